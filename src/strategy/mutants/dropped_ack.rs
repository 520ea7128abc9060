//! `dropped-ack`: a change that is acknowledged, and now and then never made.
//!
//! **The bug:** the answer is written when the change is decided, not when it is made. **Why people write it:** the caller is
//! answered at once and the work goes into a queue or a write-behind cache, which is faster until its worker restarts, its
//! buffer is full, or its task is dropped with an error that nobody awaits. Here one adjustment in [`DROPPED_EVERY`] is lost so.
//!
//! **Breaks P1 and P7:** the next change starts from the level without it, and gets the version that was given away already. A
//! level that nobody changes any more shows it only to who reads it again: so a proof needs a last read of everything.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::stock::{Applied, Change, KeySet, Level, Operation, StockKey, Transaction};
use crate::strategy::table::{self, Table};
use crate::strategy::{Access, Contention, Immediate, Ledger, Rejected, StrategyConfig, TransactRejected};

/// Of so many adjustments that were allowed, one is dropped.
pub const DROPPED_EVERY: u64 = 64;

/// One map behind one lock, and a queue before it that loses a change now and then.
#[derive(Debug)]
pub struct DroppedAck {
    table: parking_lot::Mutex<Table>,
    allowed: AtomicU64,
    access: Access,
}

impl DroppedAck {
    /// Empty stock that reports to `ledger`.
    pub fn new(config: StrategyConfig, ledger: Ledger) -> Self {
        Self {
            table: parking_lot::Mutex::default(),
            allowed: AtomicU64::new(0),
            access: Access::new(config, ledger),
        }
    }

    fn locked<T>(&self, act: impl FnOnce(&mut Table) -> T) -> Result<T, Contention> {
        let mut table =
            self.access.acquire(|| self.table.try_lock(), |deadline| self.table.try_lock_until(deadline))?;
        Ok(act(&mut table))
    }
}

impl Immediate for DroppedAck {
    fn access(&self) -> &Access {
        &self.access
    }

    fn read_now(&self, key: &StockKey) -> Result<Level, Contention> {
        self.locked(|table| table::read(table, key))
    }

    fn snapshot_now(&self, keys: &KeySet) -> Result<Vec<Level>, Contention> {
        self.locked(|table| table::read_all(table, keys))
    }

    fn change_level(&self, key: &StockKey, change: Change) -> Result<Applied, Rejected> {
        Ok(self.locked(|table| {
            let before = table::read(table, key);
            let applied = Applied { before, after: change.judge(before)? };
            let adjusts = matches!(change.operation, Operation::Adjust { .. });
            // Relaxed: a count, which decides nothing but whose turn it is.
            if !adjusts || !(self.allowed.fetch_add(1, Ordering::Relaxed) + 1).is_multiple_of(DROPPED_EVERY) {
                table::put(table, key, applied.after);
            }
            // The bug: it is told as made, whether it was or not.
            Ok::<_, crate::stock::Refusal>(applied)
        })??)
    }

    fn change_levels(&self, transaction: &Transaction) -> Result<Vec<Applied>, TransactRejected> {
        Ok(self.locked(|table| table::transact(table, transaction))??)
    }
}
