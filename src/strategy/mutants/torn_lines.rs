//! `torn-lines`: a transaction as many changes, one after the other.
//!
//! **The bug:** each line is a critical section of its own; if a later line is refused, the earlier ones stay. **Why people
//! write it:** a loop over a function that is right for one level looks right for many, and the compensation ("undo what was
//! done") is left for later, or is itself seen by others. It is also what a script of two statements without `BEGIN` does.
//!
//! **Breaks P4:** between two lines others see the one without the other, two transactions may happen in one order on one level
//! and in the other order on another, and a refusal, which promises that nothing was changed, has changed something.

use std::sync::Arc;

use crate::stock::{Applied, Change, EntryRefusal, HandOff, KeySet, Level, Refusal, StockKey, Transaction};
use crate::strategy::table::{self, Table};
use crate::strategy::{
    Access, Contention, ContentionReport, Ledger, Rejected, Strategy, StrategyConfig, TransactRefused,
    TransactRejected,
};

/// One map behind one lock, taken once a line.
#[derive(Debug)]
pub struct TornLines {
    table: parking_lot::Mutex<Table>,
    access: Access,
}

impl TornLines {
    /// Empty stock that reports to `ledger`.
    pub fn new(config: StrategyConfig, ledger: Ledger) -> Self {
        Self { table: parking_lot::Mutex::default(), access: Access::new(config, ledger) }
    }

    fn locked<T>(&self, act: impl FnOnce(&mut Table) -> T) -> Result<T, Contention> {
        let mut table =
            self.access.acquire(|| self.table.try_lock(), |deadline| self.table.try_lock_until(deadline))?;
        Ok(act(&mut table))
    }

    fn change(&self, key: &StockKey, change: Change) -> Result<Result<Applied, Refusal>, Contention> {
        self.locked(|table| table::apply(table, key, change))
    }

    /// A refusal at one line: every other level is told as it is now.
    fn refused(
        &self,
        transaction: &Transaction,
        entry: usize,
        refusal: Refusal,
    ) -> Result<Vec<Applied>, TransactRejected> {
        let entries = transaction.entries().iter();
        let mut found: Vec<Level> =
            self.locked(|table| entries.map(|entry| table::read(table, &entry.key)).collect())?;
        found[entry] = refusal.found;
        let refusals = vec![EntryRefusal { entry, refusal }];
        Err(TransactRejected::Refused(TransactRefused { refusals, found }))
    }
}

impl Strategy for TornLines {
    async fn read(&self, key: &StockKey) -> Result<Level, Contention> {
        self.locked(|table| table::read(table, key))
    }

    async fn snapshot(&self, keys: &Arc<KeySet>) -> Result<Vec<Level>, Contention> {
        self.locked(|table| table::read_all(table, keys))
    }

    async fn apply<H: HandOff>(
        &self,
        key: &StockKey,
        change: Change,
        hand_off: H,
    ) -> Result<Applied, Rejected> {
        let applied = self.change(key, change)??;
        self.access.ledger().one(hand_off, key, change.operation, applied);
        Ok(applied)
    }

    async fn transact<H: HandOff>(
        &self,
        transaction: &Arc<Transaction>,
        hand_off: H,
    ) -> Result<Vec<Applied>, TransactRejected> {
        let mut applied = Vec::with_capacity(transaction.entries().len());
        for (index, entry) in transaction.entries().iter().enumerate() {
            if index > 0 {
                // The bug: the lock was let go, and others act between two lines.
                tokio::task::yield_now().await;
            }
            match self.change(&entry.key, entry.change)? {
                Ok(one) => applied.push(one),
                Err(refusal) => {
                    // What stays is told to the ledger, which could not go on without it. No caller is told.
                    if !applied.is_empty() {
                        self.access.ledger().many(hand_off, transaction, &applied);
                    }
                    return self.refused(transaction, index, refusal);
                }
            }
        }
        self.access.ledger().many(hand_off, transaction, &applied);
        Ok(applied)
    }

    fn contention(&self) -> ContentionReport {
        self.access.meter().report()
    }
}
