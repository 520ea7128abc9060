//! When the n-th request is meant to start: a function of n, the seed and the plan, and of nothing that happens.

use std::fmt;

use clap::ValueEnum;

use super::order_statistics::OrderStatistics;
use super::{Limit, Rate};

/// How arrivals are spread.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Pattern {
    /// As evenly as the rate allows.
    Uniform,
    /// As independent users come: a Poisson process that is given how many come in all.
    Poisson,
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Uniform => "uniform",
            Self::Poisson => "poisson",
        })
    }
}

/// The intended starts of a phase. A clone gives the same ones.
#[derive(Debug, Clone)]
pub struct Timetable {
    rate: Rate,
    planned: u64,
    phase_s: f64,
    chance: Option<OrderStatistics>,
}

impl Timetable {
    /// Of a phase that lasts so long, or has so many requests: then it lasts as long as they take.
    pub fn new(rate: &Rate, pattern: Pattern, limit: Limit, seed: u64) -> Self {
        let mean = rate.mean_per_s();
        let (planned, phase_s) = match limit {
            Limit::Requests(requests) => (requests, requests as f64 / mean),
            Limit::For(duration) => {
                let phase_s = duration.as_secs_f64();
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "a rate and a duration are positive, and a saturated count is as good as endless"
                )]
                let planned = (mean * phase_s).ceil() as u64;
                (planned, phase_s)
            }
        };
        let chance = (pattern == Pattern::Poisson).then(|| OrderStatistics::new(planned, seed));
        Self { rate: rate.clone(), planned, phase_s, chance }
    }

    /// How many requests are to be sent.
    pub fn planned(&self) -> u64 {
        self.planned
    }

    /// When a request, numbered from 0, is meant to start: nanoseconds from the beginning of the phase.
    pub fn start_ns(&mut self, number: u64) -> u64 {
        let before = match &mut self.chance {
            None => number as f64,
            Some(chance) => chance.get(number) * self.rate.mean_per_s() * self.phase_s,
        };
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "2^53 ns is a hundred days, and times are positive"
        )]
        let start_ns = (self.rate.due_s(before, self.phase_s) * 1e9) as u64;
        start_ns
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn starts(rate: &str, pattern: Pattern, limit: Limit, seed: u64) -> Vec<u64> {
        let mut table = Timetable::new(&rate.parse().unwrap(), pattern, limit, seed);
        (0..table.planned()).map(|number| table.start_ns(number)).collect()
    }

    const TWO_SECONDS: Limit = Limit::For(Duration::from_secs(2));

    #[test]
    fn a_constant_rate_is_evenly_spaced_to_the_last() {
        let starts = starts("1000", Pattern::Uniform, TWO_SECONDS, 0);
        assert_eq!(starts.len(), 2_000);
        assert!(
            (0..).zip(&starts).all(|(number, start)| start.abs_diff(number * 1_000_000) <= 1),
            "{starts:?}"
        );
    }

    #[test]
    fn a_ramp_and_steps_spend_as_many_as_they_add_up_to() {
        let ramp = starts("0:1000", Pattern::Uniform, TWO_SECONDS, 0);
        // A quarter of them in the first half.
        assert_eq!((ramp.len(), ramp.partition_point(|start| *start < 1_000_000_000)), (1_000, 250));
        let steps = starts("100,300", Pattern::Uniform, TWO_SECONDS, 0);
        assert_eq!((steps.len(), steps.partition_point(|start| *start < 1_000_000_000)), (400, 100));
        let counted = starts("100,300", Pattern::Uniform, Limit::Requests(800), 0);
        assert_eq!(counted.partition_point(|start| *start < 2_000_000_000), 200);
    }

    #[test]
    fn chance_is_seeded_and_does_not_drift() {
        let same = [(); 2].map(|()| starts("500:1500", Pattern::Poisson, TWO_SECONDS, 7));
        assert_eq!(same[0], same[1]);
        assert_ne!(same[0], starts("500:1500", Pattern::Poisson, TWO_SECONDS, 8));
        assert!(same[0].is_sorted() && same[0].len() == 2_000);
        assert!(same[0].last().is_some_and(|last| *last < 2_000_000_000));
        // 750 are expected in the first half; four standard errors of a binomial are 87.
        let half = same[0].partition_point(|start| *start < 1_000_000_000);
        assert!((663..838).contains(&half), "{half}");
    }
}
