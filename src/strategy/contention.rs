//! [`Meter`]: what sharing costs - who had to wait, how long, and how long the lock was held.
//!
//! All of it is counted per thread ([`crate::telemetry`]), so that measuring contention adds none. The fast path,
//! a lock that was free, costs one counter; a clock is read only for those who wait, and for one hold in
//! [`HOLD_SAMPLE`].

use std::ops::{Deref, DerefMut};
use std::time::{Duration, Instant};

use super::Contention;
use crate::telemetry::{Distribution, Histogram, Striped};

/// One hold in this many is timed. A power of two.
pub const HOLD_SAMPLE: u64 = 64;

const ACQUISITIONS: usize = 0;
const CONTENDED: usize = 1;
const TIMEOUTS: usize = 2;
const RETRIES: usize = 3;

/// Counts the acquisitions of one strategy.
#[derive(Debug, Default)]
pub struct Meter {
    counters: Striped<4>,
    waits: Histogram,
    holds: Histogram,
}

/// What a [`Meter`] has counted.
#[derive(Debug, Clone, PartialEq)]
pub struct ContentionReport {
    /// Times a caller got in: one per lock taken, per message an owner took or, lock-free, per change that
    /// needed no lock.
    pub acquisitions: u64,
    /// Of those and of the timeouts, the ones that found somebody inside and waited.
    pub contended: u64,
    /// Callers that gave up at the lock timeout.
    pub timeouts: u64,
    /// Compare-and-swaps that failed because another thread's came first.
    pub retries: u64,
    /// How long the contended waited, successful or not.
    pub waits: Distribution,
    /// How long locks were held: one hold in [`HOLD_SAMPLE`] per thread.
    pub holds: Distribution,
}

/// A lock's guard that may be timing its hold.
#[derive(Debug)]
pub struct Held<'a, G> {
    // Dropped in this order: the lock is free before the sample is recorded.
    guard: G,
    _sample: Option<HoldSample<'a>>,
}

/// Times one hold, until it is dropped.
#[derive(Debug)]
pub struct HoldSample<'a> {
    holds: &'a Histogram,
    since: Instant,
}

impl Meter {
    /// Takes a lock: `try_now` without waiting, and only if that fails `wait` until the deadline, timed.
    pub fn acquire<G>(
        &self,
        timeout: Duration,
        try_now: impl FnOnce() -> Option<G>,
        wait: impl FnOnce(Instant) -> Option<G>,
    ) -> Result<Held<'_, G>, Contention> {
        let guard = match try_now() {
            Some(guard) => guard,
            None => {
                let deadline = Instant::now() + timeout;
                self.counters.add(CONTENDED, 1);
                self.waited(|| wait(deadline))?
            }
        };
        Ok(Held { guard, _sample: self.entered() })
    }

    /// Counts a message that its owner took, after it had `waited` for others if there were any; what is returned
    /// is dropped when the work on it is done, which is its hold.
    #[must_use]
    pub fn served(&self, waited: Option<Duration>) -> Option<HoldSample<'_>> {
        if let Some(waited) = waited {
            self.waits.observe(waited);
            self.counters.add(CONTENDED, 1);
        }
        self.entered()
    }

    /// Counts a message that waited for so long and was given up.
    pub fn gave_up(&self, waited: Duration) {
        self.waits.observe(waited);
        self.counters.add(CONTENDED, 1);
        self.counters.add(TIMEOUTS, 1);
    }

    /// Counts a change made without a lock.
    pub fn lock_free(&self) {
        self.counters.add(ACQUISITIONS, 1);
    }

    /// Counts a call without a lock that had to wait for others, or to try again so many times.
    pub fn contended(&self, retries: u64) {
        self.counters.add(CONTENDED, 1);
        self.counters.add(RETRIES, retries);
    }

    /// Runs and times a wait that is `None` if it came to nothing; then the caller has given up.
    pub fn waited<T>(&self, wait: impl FnOnce() -> Option<T>) -> Result<T, Contention> {
        let start = Instant::now();
        let outcome = wait();
        self.waits.observe(start.elapsed());
        outcome.ok_or_else(|| self.timed_out())
    }

    /// Counts a caller that gave up.
    pub fn timed_out(&self) -> Contention {
        self.counters.add(TIMEOUTS, 1);
        Contention
    }

    fn entered(&self) -> Option<HoldSample<'_>> {
        let before = self.counters.add(ACQUISITIONS, 1);
        let sampled = before & (HOLD_SAMPLE - 1) == 0;
        sampled.then(|| HoldSample { holds: &self.holds, since: Instant::now() })
    }

    /// What was counted so far.
    pub fn report(&self) -> ContentionReport {
        ContentionReport {
            acquisitions: self.counters.sum(ACQUISITIONS),
            contended: self.counters.sum(CONTENDED),
            timeouts: self.counters.sum(TIMEOUTS),
            retries: self.counters.sum(RETRIES),
            waits: self.waits.distribution(),
            holds: self.holds.distribution(),
        }
    }
}

impl<G: Deref> Deref for Held<'_, G> {
    type Target = G::Target;

    fn deref(&self) -> &G::Target {
        &self.guard
    }
}

impl<G: DerefMut> DerefMut for Held<'_, G> {
    fn deref_mut(&mut self) -> &mut G::Target {
        &mut self.guard
    }
}

impl Drop for HoldSample<'_> {
    fn drop(&mut self) {
        self.holds.observe(self.since.elapsed());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Acquisitions, contended, timeouts, retries, waits and holds.
    fn counted(meter: &Meter) -> [u64; 6] {
        let report = meter.report();
        let ContentionReport { acquisitions, contended, timeouts, retries, waits, holds } = report;
        [acquisitions, contended, timeouts, retries, waits.count, holds.count]
    }

    #[test]
    fn every_way_in_counts_what_it_was() {
        let meter = Meter::default();
        let never = |_| -> Option<()> { panic!("nobody waits for what is free") };
        drop(meter.acquire(Duration::ZERO, || Some(()), never));
        // The first hold is timed.
        assert_eq!(counted(&meter), [1, 0, 0, 0, 0, 1]);
        assert!(meter.acquire(Duration::ZERO, || None, |_| Some(())).is_ok());
        assert_eq!(counted(&meter), [2, 1, 0, 0, 1, 1]);
        assert!(meter.acquire(Duration::ZERO, || None::<()>, |_| None).is_err());
        assert_eq!(counted(&meter), [2, 2, 1, 0, 2, 1]);
        assert!(meter.served(None).is_none());
        assert_eq!(counted(&meter), [3, 2, 1, 0, 2, 1]);
        assert!(meter.served(Some(Duration::from_millis(1))).is_none());
        assert_eq!(counted(&meter), [4, 3, 1, 0, 3, 1]);
        meter.gave_up(Duration::from_millis(1));
        assert_eq!(counted(&meter), [4, 4, 2, 0, 4, 1]);
        meter.lock_free();
        assert_eq!(counted(&meter), [5, 4, 2, 0, 4, 1]);
        meter.contended(3);
        assert_eq!(counted(&meter), [5, 5, 2, 3, 4, 1]);
        assert_eq!(meter.waited(|| Some(7)), Ok(7));
        assert_eq!(meter.waited(|| None::<()>), Err(Contention));
        assert_eq!(counted(&meter), [5, 5, 3, 3, 6, 1]);
    }

    #[test]
    fn one_hold_in_so_many_is_timed() {
        let meter = Meter::default();
        for _ in 0..=2 * HOLD_SAMPLE {
            drop(meter.served(None));
        }
        assert_eq!(counted(&meter), [2 * HOLD_SAMPLE + 1, 0, 0, 0, 0, 3]);
    }

    #[test]
    fn who_has_to_wait_is_told_until_when() {
        let meter = Meter::default();
        let before = Instant::now();
        let timeout = Duration::from_hours(1);
        let deadline = meter.acquire(timeout, || None, |deadline| Some(Box::new(deadline))).map(|held| *held);
        let latest = Instant::now() + timeout;
        assert!(deadline.is_ok_and(|deadline| deadline >= before + timeout && deadline <= latest));
    }

    #[test]
    fn what_is_held_is_reached_through_the_guard() {
        let meter = Meter::default();
        let mut held = meter.acquire(Duration::ZERO, || Some(Box::new(1)), |_| None).expect("it is free");
        *held += 1;
        assert_eq!(*held, 2);
    }
}
