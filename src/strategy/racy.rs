//! `racy`: the check-then-act bug itself. It **loses updates** and oversells.
//!
//! A negative control: a tool that looks for lost updates is worth something only if it finds them where they
//! are. The server refuses to start with it unless `--allow-racy` is given.
//!
//! **Locks:** each look at the map and each write to it is a critical section of its own, so there is no data race
//! and no crash, only a wrong result: the check is made under a read lock, the lock is released, other tasks
//! run (a yield makes sure of it), and then the change that was right for the old level is written over
//! whatever is there now. Two changes that looked at the same level both write its next version; one of them
//! is gone. That is what the same code does with two round trips to a database, or an `if` before a `lock`.
//!
//! **Choose it** never.

use std::sync::Arc;

use super::table::{self, Table};
use super::{
    Access, Contention, ContentionReport, Ledger, Rejected, Strategy, StrategyConfig, TransactRejected,
};
use crate::stock::{Applied, Change, HandOff, KeySet, Level, StockKey, Transaction};

/// One map whose check and act are two critical sections.
#[derive(Debug)]
pub struct Racy {
    table: parking_lot::RwLock<Table>,
    access: Access,
}

impl Racy {
    /// Empty stock that reports to `ledger`.
    pub fn new(config: StrategyConfig, ledger: Ledger) -> Self {
        Self { table: parking_lot::RwLock::default(), access: Access::new(config, ledger) }
    }

    /// Takes in levels as recovery found them. For empty stock that nobody uses yet.
    pub fn restore(&self, levels: Vec<(StockKey, Level)>) {
        self.table.write().extend(levels);
    }

    fn look(&self, key: &StockKey) -> Result<Level, Contention> {
        let table =
            self.access.acquire(|| self.table.try_read(), |deadline| self.table.try_read_until(deadline))?;
        Ok(table::read(&table, key))
    }

    fn overwrite<'a>(&self, levels: impl Iterator<Item = (&'a StockKey, Level)>) -> Result<(), Contention> {
        let mut table = self
            .access
            .acquire(|| self.table.try_write(), |deadline| self.table.try_write_until(deadline))?;
        for (key, level) in levels {
            table.insert(key.clone(), level);
        }
        Ok(())
    }
}

impl Strategy for Racy {
    async fn read(&self, key: &StockKey) -> Result<Level, Contention> {
        self.look(key)
    }

    async fn snapshot(&self, keys: &Arc<KeySet>) -> Result<Vec<Level>, Contention> {
        let mut levels = Vec::with_capacity(keys.keys().len());
        for key in keys.keys() {
            levels.push(self.look(key)?);
            // The bug once more: what was read is no longer held while the rest is.
            tokio::task::yield_now().await;
        }
        Ok(levels)
    }

    async fn apply<H: HandOff>(
        &self,
        key: &StockKey,
        change: Change,
        hand_off: H,
    ) -> Result<Applied, Rejected> {
        let before = self.look(key)?;
        let applied = Applied { before, after: change.judge(before)? };
        // The bug: what was checked is no longer held while it is acted upon.
        tokio::task::yield_now().await;
        self.overwrite(std::iter::once((key, applied.after)))?;
        self.access.ledger().one(hand_off, key, change.operation, applied);
        Ok(applied)
    }

    async fn transact<H: HandOff>(
        &self,
        transaction: &Arc<Transaction>,
        hand_off: H,
    ) -> Result<Vec<Applied>, TransactRejected> {
        let levels = transaction.entries().iter().map(|entry| self.look(&entry.key));
        let applied = table::judge(transaction, levels.collect::<Result<_, _>>()?)?;
        tokio::task::yield_now().await;
        let after = transaction.entries().iter().zip(&applied);
        self.overwrite(after.map(|(entry, applied)| (&entry.key, applied.after)))?;
        self.access.ledger().many(hand_off, transaction, &applied);
        Ok(applied)
    }

    fn contention(&self) -> ContentionReport {
        self.access.meter().report()
    }
}
