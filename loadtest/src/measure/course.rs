//! How a phase went over time: counts and response times for each interval of it, in bounded memory.
//!
//! There are at most [`INTERVALS_MAX`] intervals. When they are used up, each two become one and all are twice as long; so a long
//! run has at least half as many. A thread of clients has a course of its own, and they are merged when the phase
//! is over. A request belongs to the interval in which its answer was there.

use super::latencies::Latencies;
use super::samples::Sample;
use crate::runner::session::Class;

/// The most intervals of a phase; even, so that each has another to become one with.
pub const INTERVALS_MAX: usize = 120;

/// The length of an interval at first: 50 ms.
const FIRST_NS: u64 = 50_000_000;

/// A phase, interval by interval.
#[derive(Debug, Clone)]
pub struct Course {
    width_ns: u64,
    intervals: Vec<Interval>,
}

/// What ended in one interval.
#[derive(Debug, Clone)]
pub struct Interval {
    /// Requests that were answered, as asked or with a refusal.
    pub answered: u64,
    /// Requests that failed or timed out.
    pub failed: u64,
    /// Response times, to two digits, of those that were answered or timed out.
    pub response: Latencies,
}

impl Default for Course {
    fn default() -> Self {
        Self { width_ns: FIRST_NS, intervals: Vec::new() }
    }
}

impl Default for Interval {
    fn default() -> Self {
        Self { answered: 0, failed: 0, response: Latencies::coarse() }
    }
}

impl Course {
    /// Adds a request whose answer was there so long after the beginning of the phase.
    pub fn add(&mut self, at_ns: u64, sample: &Sample) {
        while at_ns / self.width_ns >= INTERVALS_MAX as u64 {
            self.widen();
        }
        // Below the bound above.
        let at = usize::try_from(at_ns / self.width_ns).unwrap_or(INTERVALS_MAX - 1);
        self.at(at).add(sample);
    }

    /// Takes another thread's course in.
    pub fn merge(&mut self, mut other: Self) {
        while self.width_ns < other.width_ns {
            self.widen();
        }
        while other.width_ns < self.width_ns {
            other.widen();
        }
        for (at, interval) in other.intervals.iter().enumerate() {
            self.at(at).merge(interval);
        }
    }

    /// The length of each interval, in nanoseconds.
    pub fn width_ns(&self) -> u64 {
        self.width_ns
    }

    /// From the beginning to the last one in which anything ended.
    pub fn intervals(&self) -> &[Interval] {
        &self.intervals
    }

    fn at(&mut self, at: usize) -> &mut Interval {
        if at >= self.intervals.len() {
            self.intervals.resize_with(at + 1, Interval::default);
        }
        &mut self.intervals[at]
    }

    fn widen(&mut self) {
        self.width_ns = self.width_ns.saturating_mul(2);
        let mut both = std::mem::take(&mut self.intervals).into_iter();
        while let Some(mut first) = both.next() {
            if let Some(second) = both.next() {
                first.merge(&second);
            }
            self.intervals.push(first);
        }
    }
}

impl Interval {
    fn add(&mut self, sample: &Sample) {
        match sample.class {
            Class::Done | Class::Refused => self.answered += 1,
            Class::TimedOut | Class::Failed => self.failed += 1,
            // Its client went away on purpose.
            Class::Abandoned => return,
        }
        if sample.class != Class::Failed {
            self.response.add(sample.response_ns);
        }
    }

    fn merge(&mut self, other: &Self) {
        self.answered += other.answered;
        self.failed += other.failed;
        self.response.merge(&other.response);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Kind;

    fn sample(class: Class, response_ns: u64) -> Sample {
        Sample { kind: Kind::Read, class, response_ns, service_ns: response_ns, lag_ns: None }
    }

    fn answered(course: &Course) -> Vec<u64> {
        course.intervals().iter().map(|interval| interval.answered).collect()
    }

    #[test]
    fn a_request_is_in_the_interval_in_which_it_ended() {
        let mut course = Course::default();
        course.add(0, &sample(Class::Done, 7_000_000));
        course.add(FIRST_NS - 1, &sample(Class::Refused, 9_000_000));
        course.add(2 * FIRST_NS, &sample(Class::TimedOut, 80_000_000));
        course.add(2 * FIRST_NS, &sample(Class::Failed, 1));
        course.add(2 * FIRST_NS, &sample(Class::Abandoned, 1));
        assert_eq!((course.width_ns(), answered(&course)), (FIRST_NS, vec![2, 0, 0]));
        let [first, empty, last] = course.intervals() else { panic!("three intervals") };
        assert_eq!((first.response.max_ns(), first.response.count()), (9_000_000, 2));
        assert_eq!((empty.failed, empty.response.at_ns(0.5)), (0, None));
        // A fast error would flatter; a timeout counts with the time that was waited.
        assert_eq!((last.failed, last.response.count(), last.response.max_ns()), (2, 1, 80_000_000));
    }

    #[test]
    fn however_long_it_takes_there_are_no_more_intervals_and_nothing_is_lost() {
        let mut course = Course::default();
        for at in 0..10_000 {
            course.add(at * FIRST_NS, &sample(Class::Done, 1_000 * at));
        }
        let counts = answered(&course);
        assert_eq!(course.width_ns(), 128 * FIRST_NS);
        assert!((INTERVALS_MAX / 2..=INTERVALS_MAX).contains(&counts.len()), "{}", counts.len());
        assert!(counts[..counts.len() - 1].iter().all(|count| *count == 128), "{counts:?}");
        assert_eq!(counts.iter().sum::<u64>(), 10_000);
        assert_eq!(course.intervals()[1].response.max_ns(), 255_000);
        // A single one that comes after a day.
        course.add(86_400_000_000_000, &sample(Class::Done, 1));
        assert!(course.intervals().len() <= INTERVALS_MAX);
        assert_eq!(answered(&course).iter().sum::<u64>(), 10_001);
    }

    #[test]
    fn threads_add_up_whatever_the_length_of_their_intervals() {
        let (mut long, mut short) = (Course::default(), Course::default());
        for at in 0..150 {
            long.add(at * FIRST_NS, &sample(Class::Done, 1));
        }
        for at in 0..3 {
            short.add(at * FIRST_NS, &sample(Class::Done, 1));
        }
        for (mut one, other) in [(long.clone(), short.clone()), (short, long)] {
            one.merge(other);
            assert_eq!((one.width_ns(), one.intervals().len()), (2 * FIRST_NS, 75));
            assert_eq!(answered(&one)[..3], [4, 3, 2]);
        }
    }
}
