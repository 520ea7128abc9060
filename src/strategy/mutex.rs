//! `mutex`: one lock around everything.
//!
//! **Locks:** one [`parking_lot::Mutex`] around one map; every call, reads too, takes it once. There is no order
//! to get wrong. **Waits:** asleep, up to the lock timeout. parking_lot's mutex is eventually fair: a waiter is
//! handed the lock at the latest about half a millisecond after it could have had it, so nobody starves.
//! **Memory order:** the lock's acquire and release; nothing else is shared.
//!
//! **Choose it** when one core is enough: it is the cheapest per call where nobody waits, many-line
//! transactions cost no more than their lines, and it is the easiest to reason about. A 10 000-line transaction
//! holds everybody up for its milliseconds.

use parking_lot::MutexGuard;

use super::contention::Held;
use super::table::{self, Table};
use super::{Access, Contention, Immediate, Ledger, Rejected, StrategyConfig, TransactRejected};
use crate::stock::{Applied, Change, KeySet, Level, StockKey, Transaction};

/// One map behind one mutex.
#[derive(Debug)]
pub struct Mutex {
    table: parking_lot::Mutex<Table>,
    access: Access,
}

impl Mutex {
    /// Empty stock that reports to `ledger`.
    pub fn new(config: StrategyConfig, ledger: Ledger) -> Self {
        Self { table: parking_lot::Mutex::default(), access: Access::new(config, ledger) }
    }

    /// Takes in levels as recovery found them. For empty stock that nobody uses yet.
    pub fn restore(&self, levels: Vec<(StockKey, Level)>) {
        self.table.lock().extend(levels);
    }

    fn lock(&self) -> Result<Held<'_, MutexGuard<'_, Table>>, Contention> {
        self.access.acquire(|| self.table.try_lock(), |deadline| self.table.try_lock_until(deadline))
    }
}

impl Immediate for Mutex {
    fn access(&self) -> &Access {
        &self.access
    }

    fn read_now(&self, key: &StockKey) -> Result<Level, Contention> {
        Ok(table::read(&*self.lock()?, key))
    }

    fn snapshot_now(&self, keys: &KeySet) -> Result<Vec<Level>, Contention> {
        Ok(table::read_all(&*self.lock()?, keys))
    }

    #[inline]
    fn change_level(&self, key: &StockKey, change: Change) -> Result<Applied, Rejected> {
        // The guard is a temporary of this expression: the lock is free before the ledger hears of the change.
        Ok(table::apply(&mut *self.lock()?, key, change)?)
    }

    fn change_levels(&self, transaction: &Transaction) -> Result<Vec<Applied>, TransactRejected> {
        Ok(table::transact(&mut *self.lock()?, transaction)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::strategy::kept_out::{assert_changes_are_kept_out, five, impatient, key, look, read, stocked};

    /// P3, P10: while the lock is held nobody gets in; afterwards all is as it was.
    #[test]
    fn whoever_cannot_get_in_changes_nothing() {
        let keys = [key("a"), key("b")];
        let strategy = stocked(impatient(Mutex::new), &keys);
        let held = strategy.table.lock();
        assert_changes_are_kept_out(&strategy, &keys[0], &keys[1]);
        assert_eq!(read(&strategy, &keys[0]), Err(Contention));
        assert_eq!(look(&strategy, &keys), Err(Contention));
        drop(held);
        assert!(keys.iter().all(|key| read(&strategy, key) == Ok(five())));
    }
}
