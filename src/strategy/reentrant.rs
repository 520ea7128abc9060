//! `reentrant`: one lock that its holder may take again.
//!
//! **Locks:** one [`parking_lot::ReentrantMutex`] around one map. A read or a change takes it once. A transaction takes it,
//! checks every line, and then *calls the one-line path for each*, which takes it again: the lock counts how often its
//! holder is inside and is free when the count is back at zero. So the whole transaction is one hold, whoever it
//! calls. **Waits:** asleep, up to the lock timeout; taking it again never waits. **Memory order:** the lock's.
//!
//! **What re-entry buys:** there is one path that changes a level, and the many-line path is made of calls to it. With a
//! plain mutex that call would wait for a lock that its own thread holds: a deadlock with itself, ended by
//! the lock timeout with half of the lines made. There the inner path has to exist twice, one that locks and
//! one that trusts its caller to have locked (`&mut Table` makes that trust a proof, see [`super::mutex`]).
//!
//! **What it costs:** each lock operation compares the owner with the running thread, and counts. And the lock no longer
//! proves that its holder is alone with the map: the same thread may be in the middle of it further up the stack.
//! So the guard gives a shared reference only, and the map sits in a [`RefCell`], which checks at run time what
//! the compiler checks for a mutex. The rule that keeps that check from ever failing: **no borrow of the map lives
//! across a call that locks**. The hand-off is made by the outermost call only, once, after the last hold ended.
//!
//! **Choose it** to see what a re-entrant lock does; `mutex` does the same for less.

use std::cell::RefCell;

use parking_lot::{ReentrantMutex, ReentrantMutexGuard};

use super::contention::Held;
use super::table::{self, Table};
use super::{Access, Contention, Immediate, Ledger, Rejected, StrategyConfig, TransactRejected};
use crate::stock::{Applied, Change, KeySet, Level, StockKey, Transaction};

/// One map behind one re-entrant mutex.
#[derive(Debug)]
pub struct Reentrant {
    // The cell is what makes the map mutable: a re-entrant guard cannot, since its thread may hold others.
    table: ReentrantMutex<RefCell<Table>>,
    access: Access,
}

impl Reentrant {
    /// Empty stock that reports to `ledger`.
    pub fn new(config: StrategyConfig, ledger: Ledger) -> Self {
        Self { table: ReentrantMutex::default(), access: Access::new(config, ledger) }
    }

    /// Takes in levels as recovery found them. For empty stock that nobody uses yet.
    pub fn restore(&self, levels: Vec<(StockKey, Level)>) {
        self.table.lock().borrow_mut().extend(levels);
    }

    fn lock(&self) -> Result<Held<'_, ReentrantMutexGuard<'_, RefCell<Table>>>, Contention> {
        self.access.acquire(|| self.table.try_lock(), |deadline| self.table.try_lock_until(deadline))
    }
}

impl Immediate for Reentrant {
    fn access(&self) -> &Access {
        &self.access
    }

    fn read_now(&self, key: &StockKey) -> Result<Level, Contention> {
        Ok(table::read(&self.lock()?.borrow(), key))
    }

    fn snapshot_now(&self, keys: &KeySet) -> Result<Vec<Level>, Contention> {
        Ok(table::read_all(&self.lock()?.borrow(), keys))
    }

    // The one-line path: the only place that changes a level. Its caller may hold the lock, which is one more reason why it
    // reports to nobody.
    fn change_level(&self, key: &StockKey, change: Change) -> Result<Applied, Rejected> {
        let table = self.lock()?;
        Ok(table::apply(&mut table.borrow_mut(), key, change)?)
    }

    // The many-line path: checks all lines under one hold, then makes each through the one-line path.
    fn change_levels(&self, transaction: &Transaction) -> Result<Vec<Applied>, TransactRejected> {
        let table = self.lock()?;
        let entries = transaction.entries();
        // A borrow per line, each over when its line is read: none may be left when the one-line path borrows.
        let found = entries.iter().map(|entry| table::read(&table.borrow(), &entry.key)).collect();
        let checked = table::judge(transaction, found)?;
        let made = entries.iter().map(|entry| self.change_level(&entry.key, entry.change));
        let made: Result<Vec<Applied>, Rejected> = made.collect();
        // Half a transaction must not get out: nothing may have come between the check and the lines.
        assert_eq!(
            made.as_ref(),
            Ok(&checked),
            "a line was changed under the lock that its transaction holds"
        );
        Ok(checked)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::thread;

    use super::*;
    use crate::strategy::kept_out::{
        adjust, assert_changes_are_kept_out, five, impatient, key, look, read, stocked, take,
    };

    /// P3, P10: while another thread holds the lock nobody gets in; afterwards all is as it was.
    #[test]
    fn whoever_cannot_get_in_changes_nothing() {
        let keys = [key("a"), key("b")];
        let strategy = stocked(impatient(Reentrant::new), &keys);
        let (held, tried) = (Barrier::new(2), Barrier::new(2));
        thread::scope(|scope| {
            scope.spawn(|| {
                let _guard = strategy.table.lock();
                held.wait();
                tried.wait();
            });
            held.wait();
            assert_changes_are_kept_out(&strategy, &keys[0], &keys[1]);
            assert_eq!(read(&strategy, &keys[0]), Err(Contention));
            assert_eq!(look(&strategy, &keys), Err(Contention));
            tried.wait();
        });
        assert!(keys.iter().all(|key| read(&strategy, key) == Ok(five())));
    }

    /// The holder comes in again, by either path, and each line of a transaction is a hold of its own.
    #[test]
    fn the_holder_may_come_in_again() {
        let keys = [key("a"), key("b")];
        let strategy = stocked(impatient(Reentrant::new), &keys);
        let held = strategy.table.lock();
        assert_eq!(take(&strategy, &keys[0]).map(|applied| applied.before), Ok(five()));
        let before = strategy.contention_now().acquisitions;
        let lines = keys.clone().map(|key| (key, adjust(-1))).to_vec();
        let made = strategy.change_levels(&Transaction::new(lines).unwrap()).unwrap();
        assert_eq!(made.iter().map(|applied| applied.after.on_hand()).collect::<Vec<_>>(), [3, 4]);
        assert_eq!(strategy.contention_now().acquisitions, before + 1 + 2);
        drop(held);
    }
}
