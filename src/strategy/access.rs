//! [`Access`]: what a strategy has around its stock, whatever it guards it with.
//!
//! It knows how a call gets in and whom it reports to once it is out; it holds no stock, and takes no lock but the one it
//! is handed.

use std::time::{Duration, Instant};

use super::contention::Held;
use super::{Contention, Ledger, Meter, StrategyConfig};

/// The way in and the way out: how long a call may wait, what waiting has cost, and where a change is reported.
#[derive(Debug)]
pub struct Access {
    lock_timeout: Duration,
    meter: Meter,
    ledger: Ledger,
}

impl Access {
    /// For a strategy built so, which reports to `ledger`.
    pub fn new(config: StrategyConfig, ledger: Ledger) -> Self {
        Self { lock_timeout: config.lock_timeout, meter: Meter::default(), ledger }
    }

    /// Takes a lock: `try_now` without waiting, and only if that fails `wait`, for the lock timeout at most.
    #[inline]
    pub fn acquire<G>(
        &self,
        try_now: impl FnOnce() -> Option<G>,
        wait: impl FnOnce(Instant) -> Option<G>,
    ) -> Result<Held<'_, G>, Contention> {
        self.meter.acquire(self.lock_timeout, try_now, wait)
    }

    /// How long a call may wait to get in.
    pub fn lock_timeout(&self) -> Duration {
        self.lock_timeout
    }

    /// Counts who got in and who waited.
    pub fn meter(&self) -> &Meter {
        &self.meter
    }

    /// Where a change is reported, once its locks are released.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }
}
