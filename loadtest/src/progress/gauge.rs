//! What a thread of clients shows of itself while it works: counts, and how long answers took, in coarse buckets.
//!
//! Only the thread that owns a [`Gauge`] writes to it, so a request costs a few plain loads and stores to cache lines that no
//! other thread writes; whoever looks reads all gauges and adds them up, a few times a second. What the report tells is
//! measured apart from this, and exactly.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::runner::session::Class;

/// Buckets of a power of two: what is shown of a time is right to a sixteenth.
const IN_OCTAVE: u64 = 16;
/// Times are counted in units of 2^10 ns, about a microsecond.
const UNIT_BITS: u32 = 10;
/// The longest time that is told apart, in units: beyond an hour.
const UNITS_MAX: u64 = (1 << 32) - 1;
/// As many as it takes up to there.
const BUCKETS: usize = 464;

/// The figures of one thread, on cache lines of their own (in pairs, since they are fetched so).
#[derive(Debug)]
#[repr(align(128))]
pub struct Gauge {
    done: AtomicU64,
    refused: AtomicU64,
    failed: AtomicU64,
    times: Box<[AtomicU64; BUCKETS]>,
}

/// What gauges showed at one moment, added up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// Requests that were answered as asked.
    pub done: u64,
    /// Requests that were refused for the state of the stock.
    pub refused: u64,
    /// Requests that failed or timed out.
    pub failed: u64,
    times: Box<[u64; BUCKETS]>,
}

impl Default for Gauge {
    fn default() -> Self {
        let [done, refused, failed] = [const { AtomicU64::new(0) }; 3];
        Self { done, refused, failed, times: Box::new([const { AtomicU64::new(0) }; BUCKETS]) }
    }
}

impl Gauge {
    /// Adds one request. Only the thread that owns the gauge may: two that added at once would lose some.
    pub fn add(&self, class: Class, response_ns: u64) {
        let counter = match class {
            Class::Done => &self.done,
            Class::Refused => &self.refused,
            Class::TimedOut | Class::Failed => &self.failed,
            // Its client went away on purpose: that is no answer, and no failure.
            Class::Abandoned => return,
        };
        raise(counter);
        // As in the report: a fast error would flatter.
        if class != Class::Failed {
            raise(&self.times[bucket(response_ns)]);
        }
    }
}

/// Relaxed: a sum that is a moment old is good enough to look at.
fn raise(counter: &AtomicU64) {
    counter.store(counter.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
}

impl Default for Shown {
    fn default() -> Self {
        Self { done: 0, refused: 0, failed: 0, times: Box::new([0; BUCKETS]) }
    }
}

impl Shown {
    /// What all these show now. Each figure only grows, but they are not of one instant.
    pub fn of<'a>(gauges: impl Iterator<Item = &'a Gauge>) -> Self {
        let mut shown = Self::default();
        for gauge in gauges {
            shown.done += gauge.done.load(Ordering::Relaxed);
            shown.refused += gauge.refused.load(Ordering::Relaxed);
            shown.failed += gauge.failed.load(Ordering::Relaxed);
            for (sum, count) in shown.times.iter_mut().zip(&*gauge.times) {
                *sum += count.load(Ordering::Relaxed);
            }
        }
        shown
    }

    /// What was added since.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let mut grown = self.clone();
        grown.done = grown.done.saturating_sub(earlier.done);
        grown.refused = grown.refused.saturating_sub(earlier.refused);
        grown.failed = grown.failed.saturating_sub(earlier.failed);
        for (own, earlier) in grown.times.iter_mut().zip(&*earlier.times) {
            *own = own.saturating_sub(*earlier);
        }
        grown
    }

    /// Requests that were answered, as asked or with a refusal.
    pub fn answered(&self) -> u64 {
        self.done + self.refused
    }

    /// Requests that ended.
    pub fn requests(&self) -> u64 {
        self.answered() + self.failed
    }

    /// The time in nanoseconds that this part of all (0 to 1) did not exceed, to a sixteenth; `None` if there was none.
    pub fn at_ns(&self, quantile: f64) -> Option<u64> {
        let total: u64 = self.times.iter().sum();
        if total == 0 {
            return None;
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a part of a count is a count, far below 2^53"
        )]
        let wanted = ((total as f64 * quantile).ceil() as u64).clamp(1, total);
        let mut seen = 0;
        let at = self.times.iter().position(|count| {
            seen += count;
            seen >= wanted
        });
        at.map(upper_ns)
    }
}

/// Where a time is counted.
fn bucket(nanos: u64) -> usize {
    let units = (nanos >> UNIT_BITS).min(UNITS_MAX);
    if units < 2 * IN_OCTAVE {
        return usize::try_from(units).unwrap_or(0);
    }
    // The five leading bits say which bucket of its power of two it is.
    let shift = u64::from(units.ilog2()) - 4;
    usize::try_from(shift * IN_OCTAVE + (units >> shift)).unwrap_or(BUCKETS - 1).min(BUCKETS - 1)
}

/// The end of a bucket.
fn upper_ns(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    if bucket < 2 * IN_OCTAVE {
        return (bucket + 1) << UNIT_BITS;
    }
    let shift = bucket / IN_OCTAVE - 1;
    (bucket % IN_OCTAVE + IN_OCTAVE + 1) << shift << UNIT_BITS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_counted_in_a_bucket_that_ends_within_a_sixteenth_of_it() {
        let mut last = 0;
        for nanos in (0..40).flat_map(|bits| [1_u64 << bits, (1 << bits) + (1 << bits) / 3]) {
            let at = bucket(nanos);
            assert!(at >= last && at < BUCKETS, "{nanos}");
            last = at;
            let upper = upper_ns(at);
            let slack = (nanos / IN_OCTAVE).max(1 << UNIT_BITS);
            assert!(upper > nanos && upper <= nanos + slack, "{nanos}: {upper}");
        }
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
        for at in 1..BUCKETS {
            assert_eq!(bucket(upper_ns(at - 1)), at, "buckets follow one another");
        }
    }

    #[test]
    fn gauges_add_up_and_what_was_before_is_taken_off() {
        let gauges = [Gauge::default(), Gauge::default()];
        gauges[0].add(Class::Done, 9_000_000_000);
        let before = Shown::of(gauges.iter());
        for micros in 1..=100 {
            gauges[micros % 2].add(Class::Done, micros as u64 * 1_024);
        }
        gauges[0].add(Class::Refused, 100 * 1_024);
        // Neither of them is a time; one is no request that ended.
        gauges[1].add(Class::Failed, 1);
        gauges[1].add(Class::Abandoned, 1);
        let shown = Shown::of(gauges.iter()).since(&before);
        assert_eq!((shown.done, shown.refused, shown.failed), (100, 1, 1));
        assert_eq!((shown.answered(), shown.requests()), (101, 102));
        let half = shown.at_ns(0.5).unwrap();
        assert!((51 * 1_024..=55 * 1_024).contains(&half), "{half}");
        assert!(shown.at_ns(1.0).unwrap() < 110 * 1_024);
        assert_eq!(Shown::default().at_ns(0.5), None);
    }
}
