//! [`Immediate`]: the strategies whose callers do the work themselves, and so have nothing to await.
//!
//! A future that never waits still costs copies: the arguments into it, the answer out of it, for every layer that awaits
//! it. So [`AnyStrategy`](super::AnyStrategy) calls these strategies as plain functions; to everybody else they are a
//! [`Strategy`] like any other.

use std::sync::Arc;

use super::{Contention, ContentionReport, Rejected, Strategy, TransactRejected};
use crate::stock::{Applied, Change, HandOff, Level, StockKey, Transaction};

/// A [`Strategy`] of plain functions: the same contract, with nothing to drop half-way.
pub trait Immediate: Send + Sync {
    /// See [`Strategy::read`].
    fn read_now(&self, key: &StockKey) -> Result<Level, Contention>;

    /// See [`Strategy::apply`].
    fn apply_now<H: HandOff>(&self, key: &StockKey, change: Change, hand_off: H)
    -> Result<Applied, Rejected>;

    /// See [`Strategy::transact`].
    fn transact_now<H: HandOff>(
        &self,
        transaction: &Transaction,
        hand_off: H,
    ) -> Result<Vec<Applied>, TransactRejected>;

    /// See [`Strategy::contention`].
    fn contention_now(&self) -> ContentionReport;
}

impl<S: Immediate> Strategy for S {
    async fn read(&self, key: &StockKey) -> Result<Level, Contention> {
        self.read_now(key)
    }

    async fn apply<H: HandOff>(
        &self,
        key: &StockKey,
        change: Change,
        hand_off: H,
    ) -> Result<Applied, Rejected> {
        self.apply_now(key, change, hand_off)
    }

    async fn transact<H: HandOff>(
        &self,
        transaction: &Arc<Transaction>,
        hand_off: H,
    ) -> Result<Vec<Applied>, TransactRejected> {
        self.transact_now(transaction, hand_off)
    }

    fn contention(&self) -> ContentionReport {
        self.contention_now()
    }
}
