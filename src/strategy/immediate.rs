//! [`Immediate`]: the strategies whose callers do the work themselves, and so have nothing to await.
//!
//! A future that never waits still costs copies: the arguments into it, the answer out of it, for every layer that awaits
//! it. So [`AnyStrategy`](super::AnyStrategy) calls these strategies as plain functions; to everybody else they are a
//! [`Strategy`] like any other.
//!
//! They differ in how they read and change levels, and in nothing else. That a change is reported once, and only after its
//! locks are released, is written here for all of them.

use std::sync::Arc;

use super::{Access, Contention, ContentionReport, Rejected, Strategy, TransactRejected};
use crate::stock::{Applied, Change, HandOff, KeySet, Level, StockKey, Transaction};

/// A [`Strategy`] of plain functions: the same contract, with nothing to drop half-way.
///
/// A strategy implements what comes first: how it reads and changes levels. What follows is provided, and not to be
/// implemented again.
pub trait Immediate: Send + Sync {
    /// What it has around its stock.
    fn access(&self) -> &Access;

    /// See [`Strategy::read`].
    fn read_now(&self, key: &StockKey) -> Result<Level, Contention>;

    /// See [`Strategy::snapshot`].
    fn snapshot_now(&self, keys: &KeySet) -> Result<Vec<Level>, Contention>;

    /// Judges one change and, if it is allowed, makes it; reports it to nobody.
    ///
    /// Whatever it locked is free when it returns, since then the report begins: a hand-off under the lock would make
    /// everybody wait for it, and deadlock if it called back.
    fn change_level(&self, key: &StockKey, change: Change) -> Result<Applied, Rejected>;

    /// Judges the changes of several levels and, if all are allowed, makes all; otherwise as
    /// [`change_level`](Self::change_level). One [`Applied`] per entry of the transaction, in its order.
    fn change_levels(&self, transaction: &Transaction) -> Result<Vec<Applied>, TransactRejected>;

    /// See [`Strategy::apply`].
    fn apply_now<H: HandOff>(
        &self,
        key: &StockKey,
        change: Change,
        hand_off: H,
    ) -> Result<Applied, Rejected> {
        let applied = self.change_level(key, change)?;
        self.access().ledger().one(hand_off, key, change.operation, applied);
        Ok(applied)
    }

    /// See [`Strategy::transact`].
    fn transact_now<H: HandOff>(
        &self,
        transaction: &Transaction,
        hand_off: H,
    ) -> Result<Vec<Applied>, TransactRejected> {
        let applied = self.change_levels(transaction)?;
        self.access().ledger().many(hand_off, transaction, &applied);
        Ok(applied)
    }

    /// See [`Strategy::contention`].
    fn contention_now(&self) -> ContentionReport {
        self.access().meter().report()
    }
}

impl<S: Immediate> Strategy for S {
    async fn read(&self, key: &StockKey) -> Result<Level, Contention> {
        self.read_now(key)
    }

    async fn snapshot(&self, keys: &Arc<KeySet>) -> Result<Vec<Level>, Contention> {
        self.snapshot_now(keys)
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
