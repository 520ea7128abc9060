//! Durations in log-scale buckets, counted per thread.

use std::time::Duration;

use super::striped::Striped;

/// Finite buckets: upper bounds of 2^0 to 2^26 times [`BOUND_NS_MIN`].
const FINITE: usize = 27;
/// The lowest upper bound, in nanoseconds. The highest is 2^26 times as much: 17 seconds.
const BOUND_NS_MIN: u64 = 256;
const INFINITE: usize = FINITE;
const SUM: usize = FINITE + 1;
/// Counters of one histogram: the buckets, one past them, and the sum.
pub const COUNTERS: usize = FINITE + 2;

/// How long things took, from 256 ns to 17 s in buckets that double.
#[derive(Debug, Default)]
pub struct Histogram {
    counters: Striped<COUNTERS>,
}

/// What a [`Histogram`] has counted, ready to be shown.
#[derive(Debug, Clone, PartialEq)]
pub struct Distribution {
    /// Observations, in all buckets.
    pub count: u64,
    /// Their sum, in nanoseconds.
    pub sum_ns: u64,
    /// Observations at or below each of [`bounds_seconds`] and, last, above all of them; not cumulative.
    pub buckets: Vec<u64>,
}

impl Histogram {
    /// Counts one duration. Past 584 years the sum wraps.
    pub fn observe(&self, duration: Duration) {
        let ns = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        self.counters.add(bucket(ns), 1);
        self.counters.add(SUM, ns);
    }

    /// What was counted so far.
    pub fn distribution(&self) -> Distribution {
        let buckets: Vec<u64> = (0..=INFINITE).map(|bucket| self.counters.sum(bucket)).collect();
        Distribution { count: buckets.iter().sum(), sum_ns: self.counters.sum(SUM), buckets }
    }
}

/// The upper bounds of the finite buckets, in seconds, ascending.
pub fn bounds_seconds() -> impl Iterator<Item = f64> {
    (0..FINITE).map(|bucket| (BOUND_NS_MIN << bucket) as f64 / 1e9)
}

fn bucket(ns: u64) -> usize {
    let doublings = ns.div_ceil(BOUND_NS_MIN).max(1).next_power_of_two().trailing_zeros();
    (doublings as usize).min(INFINITE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_duration_falls_at_or_below_its_bound_and_above_the_one_before() {
        let bounds: Vec<f64> = bounds_seconds().collect();
        for ns in [0, 1, 255, 256, 257, 511, 512, 513, 1 << 20, (1 << 20) + 1, 17 << 30] {
            let bucket = bucket(ns);
            let seconds = ns as f64 / 1e9;
            assert!(bucket == INFINITE || seconds <= bounds[bucket], "{ns}");
            assert!(bucket == 0 || seconds > bounds[bucket - 1], "{ns}");
        }
        assert_eq!(bucket(u64::MAX / 2), INFINITE);
    }

    #[test]
    fn counts_and_sums() {
        let histogram = Histogram::default();
        histogram.observe(Duration::from_nanos(100));
        histogram.observe(Duration::from_mins(1));
        let seen = histogram.distribution();
        assert_eq!((seen.count, seen.sum_ns), (2, 60_000_000_100));
        assert_eq!((seen.buckets[0], seen.buckets[INFINITE]), (1, 1));
    }
}
