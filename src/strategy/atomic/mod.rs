//! `atomic`: no lock; every level is one 128-bit word that is changed whole by compare-and-swap.
//!
//! **What is shared:** a lock-free map (papaya) from key to cell. A cell is never unlinked, since a
//! compare-and-swap on an unlinked cell would be a lost update: a deleted level is a word with a flag. A
//! change of one level loads the word, judges it, and swaps it for the next; if another thread's swap came first
//! it looks again. Between look and act nothing can come, because the version in the word makes every state
//! of a level a different word: there is no ABA.
//!
//! **Transactions** claim their cells in ascending order of the key, one by one, then decide at one point. The
//! protocol, who waits and who helps, and why it is atomic for every observer is in [`protocol`].
//!
//! **Snapshots** of many levels read all twice, and only where a level keeps changing claim them, as a transaction would.
//!
//! **Waits:** reads and refusals never wait. A change waits only for a transaction that has claimed its level and
//! not yet decided, at most the lock timeout.
//!
//! **Memory order:** sequentially consistent throughout ([`word`] says why acquire and release are not enough),
//! which costs nothing over acquire and release on x86-64 and little elsewhere.
//!
//! **Choose it** by default: a single hot level costs one contended cache line instead of a queue of sleepers,
//! different levels share nothing at all, and a preempted thread holds nobody up, unless it was in the
//! middle of a transaction. `mutex` may win where nearly every request is a large transaction.
//!
//! Memory: a cell outlives its level, and a transfer that is refused at the last moment may leave an empty cell for
//! a destination that never existed.

pub mod cells;
pub mod gate;
pub mod protocol;
pub mod word;

#[cfg(test)]
mod model;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use self::cells::Cells;
use self::gate::ParkingGate;
use self::protocol::{Descriptor, Memory, Patience, Protocol, Register};
use self::word::PackedWord;
use super::{Access, Contention, Immediate, Ledger, Rejected, StrategyConfig, TransactRejected, table};
use crate::stock::{Applied, Change, Entry, KeySet, Level, StockKey, Transaction};

/// How often a snapshot looks whether a level has changed, before it claims them: a small one nearly always comes through at the first
/// look, and for a large one among changes each look is worth less than the one before.
const SNAPSHOT_ROUNDS: usize = 3;

/// A lock-free map of packed levels.
#[derive(Debug)]
pub struct Atomic {
    cells: Cells,
    protocol: Protocol<Real>,
    access: Access,
}

impl Atomic {
    /// Empty stock that reports to `ledger`.
    pub fn new(config: StrategyConfig, ledger: Ledger) -> Self {
        word::assert_lock_free();
        Self { cells: Cells::default(), protocol: Protocol::default(), access: Access::new(config, ledger) }
    }

    /// Takes in levels as recovery found them. For empty stock that nobody uses yet.
    pub fn restore(&self, levels: Vec<(StockKey, Level)>) {
        let cells = self.cells.pin();
        for (key, level) in levels {
            cells.restore(key, level);
        }
    }

    fn patience(&self) -> Patience<'_> {
        Patience::new(self.access.lock_timeout(), self.access.meter())
    }
}

impl Immediate for Atomic {
    fn access(&self) -> &Access {
        &self.access
    }

    fn read_now(&self, key: &StockKey) -> Result<Level, Contention> {
        let cells = self.cells.pin();
        Ok(cells.get(key).map_or(Level::ABSENT, |cell| self.protocol.read(cell)))
    }

    fn snapshot_now(&self, keys: &KeySet) -> Result<Vec<Level>, Contention> {
        let cells = self.cells.pin();
        let cell = |index: usize| cells.get(&keys.keys()[index]);
        self.protocol.snapshot(keys.keys().len(), cell, SNAPSHOT_ROUNDS, self.patience())
    }

    #[inline]
    fn change_level(&self, key: &StockKey, change: Change) -> Result<Applied, Rejected> {
        let cells = self.cells.pin();
        let cell = match cells.get(key) {
            Some(cell) => cell,
            None => {
                // What is refused where there is nothing leaves nothing behind: probing for skus costs no memory.
                change.judge(Level::ABSENT)?;
                cells.get_or_create(key)
            }
        };
        self.protocol.apply(cell, change, self.patience())
    }

    fn change_levels(&self, transaction: &Transaction) -> Result<Vec<Applied>, TransactRejected> {
        let cells = self.cells.pin();
        let entries = transaction.entries();
        let known: Vec<_> = entries.iter().map(|entry| cells.get(&entry.key)).collect();
        // A refusal needs no claim: one level that is short right now is reason enough (P3), so requests that
        // cannot succeed hold nobody up and create no cells.
        let level = |cell: Option<&PackedWord>| cell.map_or(Level::ABSENT, |cell| self.protocol.read(cell));
        table::judge(transaction, known.iter().copied().map(level).collect())?;
        let cell =
            |(entry, known): (&Entry, Option<_>)| known.unwrap_or_else(|| cells.get_or_create(&entry.key));
        let claimable: Vec<&PackedWord> = entries.iter().zip(known).map(cell).collect();
        self.protocol.transact(transaction, &claimable, self.patience())
    }
}

/// The memory of the running service, as against that of the model checker.
#[derive(Debug)]
enum Real {}

impl Memory for Real {
    type Word = PackedWord;
    type Gate = ParkingGate;
    type Register = LiveTransactions;
}

/// The transactions that have claims, by the number that stands in a claimed word. A number is never reused, so
/// an old claim cannot be mistaken for a new one, and looking a number up needs no unsafe code.
#[derive(Debug, Default)]
struct LiveTransactions {
    next: AtomicU64,
    live: papaya::HashMap<u64, Arc<Descriptor<Real>>, ahash::RandomState>,
}

impl Register<Real> for LiveTransactions {
    fn enter(&self, entries: usize) -> Arc<Descriptor<Real>> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let descriptor = Arc::new(Descriptor::new(id, entries));
        self.live.pin().insert(id, Arc::clone(&descriptor));
        descriptor
    }

    fn find(&self, id: u64) -> Option<Arc<Descriptor<Real>>> {
        self.live.pin().get(&id).cloned()
    }

    fn leave(&self, id: u64) {
        self.live.pin().remove(&id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A transaction can be looked up as long as it is live, and costs no memory afterwards; no number is given twice.
    #[test]
    fn transactions_are_found_while_they_are_live() {
        let register = LiveTransactions::default();
        let (first, second) = (register.enter(2), register.enter(3));
        let is_found = |number, descriptor: &Arc<Descriptor<Real>>| {
            register.find(number).is_some_and(|found| Arc::ptr_eq(&found, descriptor))
        };
        assert!(is_found(0, &first) && is_found(1, &second));
        register.leave(0);
        assert!(register.find(0).is_none() && is_found(1, &second));
        register.leave(1);
        assert!(register.live.pin().is_empty());
        assert!(is_found(2, &register.enter(1)));
    }
}
