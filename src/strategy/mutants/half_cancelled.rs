//! `half-cancelled`: a client that goes away in the middle leaves the first lines of its transaction, and not the others.
//!
//! **The bug:** the lines are written with an await between them, and dropping the future there undoes nothing. **Why people write
//! it:** the lock is held over the await, so nobody sees the lines one without the other, and every test passes in which clients
//! wait for their answers. But a server drops the future of a request whose connection is gone, at whatever await it is: a
//! guard that is dropped lets go of the lock, and what was written stays written.
//!
//! **Breaks P11**, and with it P4. As long as every client waits for its answer it keeps the whole contract.

use std::sync::Arc;

use tokio::sync::{Mutex, MutexGuard};

use crate::stock::{Applied, Change, HandOff, KeySet, Level, StockKey, Transaction};
use crate::strategy::table::{self, Table};
use crate::strategy::{
    Access, Contention, ContentionReport, Ledger, Rejected, Strategy, StrategyConfig, TransactRejected,
};

/// One map behind one lock that is held over an await.
#[derive(Debug)]
pub struct HalfCancelled {
    table: Mutex<Table>,
    access: Access,
}

impl HalfCancelled {
    /// Empty stock that reports to `ledger`.
    pub fn new(config: StrategyConfig, ledger: Ledger) -> Self {
        Self { table: Mutex::default(), access: Access::new(config, ledger) }
    }

    async fn lock(&self) -> Result<MutexGuard<'_, Table>, Contention> {
        tokio::time::timeout(self.access.lock_timeout(), self.table.lock()).await.map_err(|_| Contention)
    }
}

/// Reports what was written, however far that is when the future is dropped: the ledger could not go on without it.
struct Report<'a, H: HandOff> {
    ledger: &'a Ledger,
    transaction: &'a Transaction,
    hand_off: Option<H>,
    written: Vec<Applied>,
}

impl<H: HandOff> Drop for Report<'_, H> {
    fn drop(&mut self) {
        if let Some(hand_off) = self.hand_off.take().filter(|_| !self.written.is_empty()) {
            self.ledger.many(hand_off, self.transaction, &self.written);
        }
    }
}

impl Strategy for HalfCancelled {
    async fn read(&self, key: &StockKey) -> Result<Level, Contention> {
        Ok(table::read(&*self.lock().await?, key))
    }

    async fn snapshot(&self, keys: &Arc<KeySet>) -> Result<Vec<Level>, Contention> {
        Ok(table::read_all(&*self.lock().await?, keys))
    }

    async fn apply<H: HandOff>(
        &self,
        key: &StockKey,
        change: Change,
        hand_off: H,
    ) -> Result<Applied, Rejected> {
        let applied = table::apply(&mut *self.lock().await?, key, change)?;
        self.access.ledger().one(hand_off, key, change.operation, applied);
        Ok(applied)
    }

    async fn transact<H: HandOff>(
        &self,
        transaction: &Arc<Transaction>,
        hand_off: H,
    ) -> Result<Vec<Applied>, TransactRejected> {
        let (ledger, written) = (self.access.ledger(), Vec::with_capacity(transaction.entries().len()));
        // Before the lock, so that it is dropped after it.
        let mut report = Report { ledger, transaction, hand_off: Some(hand_off), written };
        let mut table = self.lock().await?;
        let found = transaction.entries().iter().map(|entry| table::read(&table, &entry.key)).collect();
        let applied = table::judge(transaction, found)?;
        for (entry, applied) in transaction.entries().iter().zip(&applied) {
            if !report.written.is_empty() {
                // The bug: whoever is dropped here has written some lines, and never writes the others.
                tokio::task::yield_now().await;
            }
            table::put(&mut table, &entry.key, applied.after);
            report.written.push(*applied);
        }
        drop(table);
        Ok(applied)
    }

    fn contention(&self) -> ContentionReport {
        self.access.meter().report()
    }
}
