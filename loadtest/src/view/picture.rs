//! From looks at a run to what is drawn: rates and percentiles of the last second and of the whole stage, and their trail.

use std::collections::VecDeque;
use std::time::Duration;

use crate::progress::board::Look;
use crate::progress::gauge::Shown;

/// What "now" is: the time that rates and percentiles of the moment are taken over.
const NOW: Duration = Duration::from_secs(1);

/// The longest trail: one figure for each column of a wide terminal.
const TRAIL_MAX: usize = 512;

/// What is drawn.
#[derive(Debug, Clone)]
pub struct Picture {
    /// What was seen.
    pub look: Look,
    /// Of the last second.
    pub now: Figures,
    /// Of the whole stage.
    pub so_far: Figures,
    /// Answers a second, look by look; the latest last.
    pub throughput: Vec<u64>,
    /// The 99th percentile in microseconds, look by look; the latest last.
    pub p99_us: Vec<u64>,
    /// The time that the trail covers.
    pub trail: Duration,
}

/// The figures of a time.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Figures {
    /// Requests answered a second, or steps where no request is watched.
    pub per_s: f64,
    /// The percentiles of response times: 50th, 99th, and the longest, in nanoseconds; `None` if there was none.
    pub times_ns: Option<[u64; 3]>,
}

/// What is remembered from one look to the next.
#[derive(Debug, Default)]
pub struct Trail {
    stage: u64,
    /// Looks of the last second, and the one before.
    recent: VecDeque<Seen>,
    throughput: VecDeque<u64>,
    p99_us: VecDeque<u64>,
    /// When each figure of the trail began.
    began: VecDeque<Duration>,
}

#[derive(Debug, Clone, Default)]
struct Seen {
    at: Duration,
    shown: Shown,
    steps: u64,
}

impl Trail {
    /// Takes a look in.
    pub fn follow(&mut self, look: Look) -> Picture {
        let mut now = Figures::default();
        let mut so_far = Figures::default();
        if let Some(stage) = &look.stage {
            if self.stage != stage.number {
                *self = Self { stage: stage.number, recent: [Seen::default()].into(), ..Self::default() };
            }
            let seen = Seen { at: stage.elapsed, shown: stage.shown.clone(), steps: stage.steps };
            so_far = seen.since(&Seen::default());
            if let Some(last) = self.recent.back().cloned() {
                self.step(&seen.since(&last), last.at);
            }
            self.recent.push_back(seen.clone());
            while self.recent.get(1).is_some_and(|second| second.at + NOW <= seen.at) {
                self.recent.pop_front();
            }
            now = self.recent.front().map_or(now, |first| seen.since(first));
        }
        let end = look.stage.as_ref().map_or(Duration::ZERO, |stage| stage.elapsed);
        Picture {
            look,
            now,
            so_far,
            throughput: self.throughput.iter().copied().collect(),
            p99_us: self.p99_us.iter().copied().collect(),
            trail: end.saturating_sub(self.began.front().copied().unwrap_or(end)),
        }
    }

    fn step(&mut self, figures: &Figures, began: Duration) {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a rate is a small positive number"
        )]
        self.throughput.push_back(figures.per_s.round() as u64);
        self.p99_us.push_back(figures.times_ns.map_or(0, |[_, p99, _]| p99 / 1_000));
        self.began.push_back(began);
        if self.began.len() > TRAIL_MAX {
            self.throughput.pop_front();
            self.p99_us.pop_front();
            self.began.pop_front();
        }
    }
}

impl Seen {
    fn since(&self, earlier: &Self) -> Figures {
        let shown = self.shown.since(&earlier.shown);
        let done = shown.answered() + self.steps.saturating_sub(earlier.steps);
        let seconds = self.at.saturating_sub(earlier.at).as_secs_f64();
        let times_ns = shown.at_ns(0.5).zip(shown.at_ns(0.99)).zip(shown.at_ns(1.0));
        Figures {
            per_s: if seconds > 0.0 { done as f64 / seconds } else { 0.0 },
            times_ns: times_ns.map(|((p50, p99), max)| [p50, p99, max]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::board::{Contention, StageLook};
    use crate::progress::books::SoFar;
    use crate::progress::gauge::Gauge;
    use crate::runner::session::Class;

    fn look(number: u64, millis: u64, gauge: &Gauge) -> Look {
        let stage = StageLook {
            name: "measuring",
            number,
            elapsed: Duration::from_millis(millis),
            limit: None,
            offered_per_s: None,
            shown: Shown::of([gauge].into_iter()),
            steps: 0,
        };
        Look {
            title: String::new(),
            prefix: String::new(),
            stage: Some(stage),
            so_far: SoFar::default(),
            lost: None,
            contention: Contention::Unasked,
            stopping: false,
        }
    }

    #[test]
    fn now_is_the_last_second_and_so_far_is_all() {
        let (mut trail, gauge) = (Trail::default(), Gauge::default());
        let add =
            |count: u64, millis: u64| (0..count).for_each(|_| gauge.add(Class::Done, millis * 1_000_000));
        add(100, 1);
        let first = trail.follow(look(1, 1_000, &gauge));
        assert_eq!((first.now.per_s, first.so_far.per_s), (100.0, 100.0));
        for quarter in 1..=8 {
            add(5, 50);
            trail.follow(look(1, 1_000 + 250 * quarter, &gauge));
        }
        let picture = trail.follow(look(1, 3_000, &gauge));
        assert_eq!((picture.now.per_s, picture.so_far.per_s.round()), (20.0, 47.0));
        let times = |figures: Figures| figures.times_ns.expect("there were some").map(|ns| ns / 1_000_000);
        assert_eq!(times(picture.now)[..2], [50, 50]);
        assert_eq!(times(picture.so_far)[..2], [1, 50]);
        assert_eq!(picture.throughput[..2], [100, 20]);
        assert_eq!((picture.throughput.len(), picture.trail), (10, Duration::from_secs(3)));
        // Another stage begins with nothing.
        let other = trail.follow(look(2, 250, &Gauge::default()));
        assert_eq!((other.throughput, other.now), (vec![0], Figures::default()));
    }
}
