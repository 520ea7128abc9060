//! `rwlock`: shared reads, exclusive writes.
//!
//! **Locks:** one [`parking_lot::RwLock`] around one map; reads share it, changes take it alone, each call once.
//! **Waits:** asleep, up to the lock timeout. A waiting writer keeps new readers out, so a stream of reads cannot
//! starve the changes. **Memory order:** the lock's.
//!
//! **Choose it** when reads outnumber changes by far *and* are long enough to overlap. Here a read is one map
//! look-up, shorter than the two writes to the lock's reader count that sharing it costs, so on many cores the
//! count itself becomes the contended thing: measure before preferring it to `mutex`.

use parking_lot::{RwLockReadGuard, RwLockWriteGuard};

use super::contention::Held;
use super::table::{self, Table};
use super::{Access, Contention, Immediate, Ledger, Rejected, StrategyConfig, TransactRejected};
use crate::stock::{Applied, Change, KeySet, Level, StockKey, Transaction};

/// One map behind one read-write lock.
#[derive(Debug)]
pub struct RwLock {
    table: parking_lot::RwLock<Table>,
    access: Access,
}

impl RwLock {
    /// Empty stock that reports to `ledger`.
    pub fn new(config: StrategyConfig, ledger: Ledger) -> Self {
        Self { table: parking_lot::RwLock::default(), access: Access::new(config, ledger) }
    }

    /// Takes in levels as recovery found them. For empty stock that nobody uses yet.
    pub fn restore(&self, levels: Vec<(StockKey, Level)>) {
        self.table.write().extend(levels);
    }

    fn lock_shared(&self) -> Result<Held<'_, RwLockReadGuard<'_, Table>>, Contention> {
        self.access.acquire(|| self.table.try_read(), |deadline| self.table.try_read_until(deadline))
    }

    fn lock_alone(&self) -> Result<Held<'_, RwLockWriteGuard<'_, Table>>, Contention> {
        self.access.acquire(|| self.table.try_write(), |deadline| self.table.try_write_until(deadline))
    }
}

impl Immediate for RwLock {
    fn access(&self) -> &Access {
        &self.access
    }

    fn read_now(&self, key: &StockKey) -> Result<Level, Contention> {
        Ok(table::read(&*self.lock_shared()?, key))
    }

    fn snapshot_now(&self, keys: &KeySet) -> Result<Vec<Level>, Contention> {
        Ok(table::read_all(&*self.lock_shared()?, keys))
    }

    fn change_level(&self, key: &StockKey, change: Change) -> Result<Applied, Rejected> {
        // The guard is a temporary of this expression: the lock is free before the ledger hears of the change.
        Ok(table::apply(&mut *self.lock_alone()?, key, change)?)
    }

    fn change_levels(&self, transaction: &Transaction) -> Result<Vec<Applied>, TransactRejected> {
        Ok(table::transact(&mut *self.lock_alone()?, transaction)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::strategy::kept_out::{assert_changes_are_kept_out, five, impatient, key, look, read, stocked};

    /// P3, P10: while the lock is held to write nobody gets in; while it is held to read, readers do.
    #[test]
    fn whoever_cannot_get_in_changes_nothing() {
        let keys = [key("a"), key("b")];
        let strategy = stocked(impatient(RwLock::new), &keys);
        let writing = strategy.table.write();
        assert_changes_are_kept_out(&strategy, &keys[0], &keys[1]);
        assert_eq!(read(&strategy, &keys[0]), Err(Contention));
        assert_eq!(look(&strategy, &keys), Err(Contention));
        drop(writing);
        let reading = strategy.table.read();
        assert_changes_are_kept_out(&strategy, &keys[0], &keys[1]);
        assert!(keys.iter().all(|key| read(&strategy, key) == Ok(five())));
        assert_eq!(look(&strategy, &keys), Ok(vec![five(); 2]));
        drop(reading);
        assert!(keys.iter().all(|key| read(&strategy, key) == Ok(five())));
    }
}
