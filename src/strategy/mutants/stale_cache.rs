//! `stale-cache`: reads from a copy that lags behind.
//!
//! **The bug:** a change does not invalidate the copy; it is refreshed only now and then. **Why people write it:** reads are
//! most of the load, a cache with a time to live is one line of code, and "a second late" sounds harmless. So does a replica
//! that is read without asking how far it is. Here a copy serves [`SERVED_BY_A_COPY`] reads of its level before it is refreshed.
//! Every change is right: none is lost, and nothing is oversold.
//!
//! **Breaks P5:** a client that was told of its change reads the level and does not find it; a level seems to go back in time
//! when two clients compare what they saw; a count that names the version it read is refused for no reason that it could see.

use crate::stock::{Applied, Change, KeySet, Level, StockKey, Transaction};
use crate::strategy::table::{self, Table};
use crate::strategy::{Access, Contention, Immediate, Ledger, Rejected, StrategyConfig, TransactRejected};

/// How many reads one copy of a level answers.
pub const SERVED_BY_A_COPY: u32 = 4;

/// A map, and copies of some of its levels, each with the reads it still answers.
#[derive(Debug, Default)]
struct Cached {
    table: Table,
    copies: hashbrown::HashMap<StockKey, (Level, u32), ahash::RandomState>,
}

/// One map behind one lock, with a cache before it.
#[derive(Debug)]
pub struct StaleCache {
    cached: parking_lot::Mutex<Cached>,
    access: Access,
}

impl StaleCache {
    /// Empty stock that reports to `ledger`.
    pub fn new(config: StrategyConfig, ledger: Ledger) -> Self {
        Self { cached: parking_lot::Mutex::default(), access: Access::new(config, ledger) }
    }

    fn locked<T>(&self, act: impl FnOnce(&mut Cached) -> T) -> Result<T, Contention> {
        let mut cached = self
            .access
            .acquire(|| self.cached.try_lock(), |deadline| self.cached.try_lock_until(deadline))?;
        Ok(act(&mut cached))
    }
}

impl Cached {
    fn read(&mut self, key: &StockKey) -> Level {
        if let Some((copy, left)) = self.copies.get_mut(key)
            && *left > 0
        {
            // The bug: whether the level has changed since is not asked.
            *left -= 1;
            return *copy;
        }
        let level = table::read(&self.table, key);
        // What is not there is not copied, so asking for skus that do not exist cannot fill the memory.
        if level.exists() {
            self.copies.insert(key.clone(), (level, SERVED_BY_A_COPY - 1));
        }
        level
    }
}

impl Immediate for StaleCache {
    fn access(&self) -> &Access {
        &self.access
    }

    fn read_now(&self, key: &StockKey) -> Result<Level, Contention> {
        self.locked(|cached| cached.read(key))
    }

    fn snapshot_now(&self, keys: &KeySet) -> Result<Vec<Level>, Contention> {
        self.locked(|cached| keys.keys().iter().map(|key| cached.read(key)).collect())
    }

    fn change_level(&self, key: &StockKey, change: Change) -> Result<Applied, Rejected> {
        Ok(self.locked(|cached| table::apply(&mut cached.table, key, change))??)
    }

    fn change_levels(&self, transaction: &Transaction) -> Result<Vec<Applied>, TransactRejected> {
        Ok(self.locked(|cached| table::transact(&mut cached.table, transaction))??)
    }
}
