//! `rwlock`: shared reads, exclusive writes.
//!
//! **Locks:** one [`parking_lot::RwLock`] around one map; reads share it, changes take it alone, each call once.
//! **Waits:** asleep, up to the lock timeout. A waiting writer keeps new readers out, so a stream of reads cannot
//! starve the changes. **Memory order:** the lock's.
//!
//! **Choose it** when reads outnumber changes by far *and* are long enough to overlap. Here a read is one map
//! look-up, shorter than the two writes to the lock's reader count that sharing it costs, so on many cores the
//! count itself becomes the contended thing: measure before preferring it to `mutex`.

use parking_lot::RwLockWriteGuard;

use super::contention::Held;
use super::table::{self, Table};
use super::{
    Contention, ContentionReport, Immediate, Ledger, Meter, Rejected, StrategyConfig, TransactRejected,
};
use crate::stock::{Applied, Change, HandOff, Level, StockKey, Transaction};

/// One map behind one read-write lock.
#[derive(Debug)]
pub struct RwLock {
    table: parking_lot::RwLock<Table>,
    ledger: Ledger,
    meter: Meter,
    config: StrategyConfig,
}

impl RwLock {
    /// Empty stock that reports to `ledger`.
    pub fn new(config: StrategyConfig, ledger: Ledger) -> Self {
        Self { table: parking_lot::RwLock::default(), ledger, meter: Meter::default(), config }
    }

    /// Takes in levels as recovery found them. For empty stock that nobody uses yet.
    pub fn restore(&self, levels: Vec<(StockKey, Level)>) {
        self.table.write().extend(levels);
    }

    fn write(&self) -> Result<Held<'_, RwLockWriteGuard<'_, Table>>, Contention> {
        self.meter.acquire(
            self.config.lock_timeout,
            || self.table.try_write(),
            |deadline| self.table.try_write_until(deadline),
        )
    }
}

impl Immediate for RwLock {
    fn read_now(&self, key: &StockKey) -> Result<Level, Contention> {
        let table = self.meter.acquire(
            self.config.lock_timeout,
            || self.table.try_read(),
            |deadline| self.table.try_read_until(deadline),
        )?;
        Ok(table::read(&table, key))
    }

    fn apply_now<H: HandOff>(
        &self,
        key: &StockKey,
        change: Change,
        hand_off: H,
    ) -> Result<Applied, Rejected> {
        let applied = table::apply(&mut *self.write()?, key, change)?;
        self.ledger.one(hand_off, key, change.operation, applied);
        Ok(applied)
    }

    fn transact_now<H: HandOff>(
        &self,
        transaction: &Transaction,
        hand_off: H,
    ) -> Result<Vec<Applied>, TransactRejected> {
        let applied = table::transact(&mut *self.write()?, transaction)?;
        self.ledger.many(hand_off, transaction, &applied);
        Ok(applied)
    }

    fn contention_now(&self) -> ContentionReport {
        self.meter.report()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::strategy::kept_out::{assert_changes_are_kept_out, five, impatient, key, read, stocked};

    /// P3, P10: while the lock is held to write nobody gets in; while it is held to read, readers do.
    #[test]
    fn whoever_cannot_get_in_changes_nothing() {
        let keys = [key("a"), key("b")];
        let strategy = stocked(impatient(RwLock::new), &keys);
        let writing = strategy.table.write();
        assert_changes_are_kept_out(&strategy, &keys[0], &keys[1]);
        assert_eq!(read(&strategy, &keys[0]), Err(Contention));
        drop(writing);
        let reading = strategy.table.read();
        assert_changes_are_kept_out(&strategy, &keys[0], &keys[1]);
        assert!(keys.iter().all(|key| read(&strategy, key) == Ok(five())));
        drop(reading);
        assert!(keys.iter().all(|key| read(&strategy, key) == Ok(five())));
    }
}
