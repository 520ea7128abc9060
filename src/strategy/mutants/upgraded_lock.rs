//! `upgraded-lock`: a check under the read lock, and the act under the write lock.
//!
//! **The bug:** the lock is let go in between, and what was checked is not checked again. **Why people write it:** most requests
//! only look, so looking is made cheap with a read lock; and a read lock cannot be turned into a write lock while others
//! have it, too, so the code lets go of it and takes the other. Unlike `racy`, the act goes on from what is there *now*: no
//! update is lost and every version is right, so tests that add up what was acknowledged pass.
//!
//! **Breaks P2:** two sales of the last unit both pass the check. What is short then is not taken, as a column that cannot go
//! below zero would have it. Preconditions (`If-Match`) are checked in vain just the same.

use std::sync::Arc;

use crate::stock::{Applied, Change, HandOff, KeySet, Level, Operation, StockKey, Transaction};
use crate::strategy::table::{self, Table};
use crate::strategy::{
    Access, Contention, ContentionReport, Ledger, Rejected, Strategy, StrategyConfig, TransactRejected,
};

/// One map behind a read-write lock that is let go between check and act.
#[derive(Debug)]
pub struct UpgradedLock {
    table: parking_lot::RwLock<Table>,
    access: Access,
}

impl UpgradedLock {
    /// Empty stock that reports to `ledger`.
    pub fn new(config: StrategyConfig, ledger: Ledger) -> Self {
        Self { table: parking_lot::RwLock::default(), access: Access::new(config, ledger) }
    }

    fn look(&self, key: &StockKey) -> Result<Level, Contention> {
        let table =
            self.access.acquire(|| self.table.try_read(), |deadline| self.table.try_read_until(deadline))?;
        Ok(table::read(&table, key))
    }

    /// Makes changes that were checked against levels as they were: each goes on from the level as it is.
    fn act<'a>(
        &self,
        changes: impl Iterator<Item = (&'a StockKey, Change, Level)>,
    ) -> Result<Vec<Applied>, Contention> {
        let mut table = self
            .access
            .acquire(|| self.table.try_write(), |deadline| self.table.try_write_until(deadline))?;
        let mut act = |(key, change, checked): (&StockKey, Change, Level)| {
            let before = table::read(&table, key);
            let after = unchecked(before, change.operation, checked);
            table::put(&mut table, key, after);
            Applied { before, after }
        };
        Ok(changes.map(&mut act).collect())
    }
}

/// The level after an operation that nobody checks; `checked` is what it would have been after the level that was checked.
fn unchecked(before: Level, operation: Operation, checked: Level) -> Level {
    let version = before.version() + 1;
    let after = if checked.exists() {
        let on_hand = match operation {
            Operation::Adjust { delta, .. } => before.on_hand().saturating_add_signed(delta),
            _ => checked.on_hand(),
        };
        Level::existing(on_hand, before.reserved().min(on_hand), version)
    } else {
        Level::tombstone(version)
    };
    // Past the range of versions or quantities: left as it is.
    after.unwrap_or(before)
}

impl Strategy for UpgradedLock {
    async fn read(&self, key: &StockKey) -> Result<Level, Contention> {
        self.look(key)
    }

    async fn snapshot(&self, keys: &Arc<KeySet>) -> Result<Vec<Level>, Contention> {
        let table =
            self.access.acquire(|| self.table.try_read(), |deadline| self.table.try_read_until(deadline))?;
        Ok(table::read_all(&table, keys))
    }

    async fn apply<H: HandOff>(
        &self,
        key: &StockKey,
        change: Change,
        hand_off: H,
    ) -> Result<Applied, Rejected> {
        let checked = change.judge(self.look(key)?)?;
        // The bug: others act before this does.
        tokio::task::yield_now().await;
        let applied = self.act(std::iter::once((key, change, checked)))?[0];
        self.access.ledger().one(hand_off, key, change.operation, applied);
        Ok(applied)
    }

    async fn transact<H: HandOff>(
        &self,
        transaction: &Arc<Transaction>,
        hand_off: H,
    ) -> Result<Vec<Applied>, TransactRejected> {
        let found = transaction.entries().iter().map(|entry| self.look(&entry.key));
        let checked = table::judge(transaction, found.collect::<Result<_, _>>()?)?;
        tokio::task::yield_now().await;
        let changes = transaction.entries().iter().zip(&checked);
        let applied = self.act(changes.map(|(entry, checked)| (&entry.key, entry.change, checked.after)))?;
        self.access.ledger().many(hand_off, transaction, &applied);
        Ok(applied)
    }

    fn contention(&self) -> ContentionReport {
        self.access.meter().report()
    }
}
