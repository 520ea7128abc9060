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
    /// Times a caller got in: one per lock taken or, lock-free, per change that needed no lock.
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

#[derive(Debug)]
struct HoldSample<'a> {
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
                self.waited(|| wait(deadline))?
            }
        };
        let before = self.counters.add(ACQUISITIONS, 1);
        let sampled = before & (HOLD_SAMPLE - 1) == 0;
        let sample = sampled.then(|| HoldSample { holds: &self.holds, since: Instant::now() });
        Ok(Held { guard, _sample: sample })
    }

    /// Counts a change made without a lock, and how often it had to be tried again.
    pub fn lock_free(&self, retries: u64) {
        self.counters.add(ACQUISITIONS, 1);
        if retries > 0 {
            self.counters.add(CONTENDED, 1);
            self.counters.add(RETRIES, retries);
        }
    }

    /// Runs and times a wait that is `None` if it came to nothing. Somebody was inside: it counts as contended.
    pub fn waited<T>(&self, wait: impl FnOnce() -> Option<T>) -> Result<T, Contention> {
        let start = Instant::now();
        let outcome = wait();
        self.waits.observe(start.elapsed());
        self.counters.add(CONTENDED, 1);
        outcome.ok_or_else(|| self.timed_out())
    }

    /// Counts a caller that gave up.
    pub fn timed_out(&self) -> Contention {
        self.counters.add(TIMEOUTS, 1);
        Contention
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
