//! `sharded`: a `DashMap`, whose shards each have a lock of their own.
//!
//! **Locks:** the read-write locks of the shards. A call for one level takes its shard's lock once. A transaction
//! takes the write lock of every shard that holds one of its levels, **in ascending order of the shard's
//! index, each once**, and holds them all until it is done; a snapshot does so with their read locks. The order is of locks, not of keys: two keys may
//! share a shard, and taking locks in the order of the keys would take one twice (a self-deadlock) or two in
//! opposite orders (a deadlock between two transactions).
//!
//! **Waits:** dashmap's own guards wait without a limit, so this strategy uses its raw API: `try_write`, and where
//! that fails [`backoff`] until the lock timeout. The alternative, timed locks per level inside the map, would
//! give a transaction one lock per line rather than one per shard, and make the map a place to find locks
//! in rather than the thing that is shared. Backing off has no queue, so it is not fair; shards are held for
//! some hundred nanoseconds, and the timeout bounds the rest.
//!
//! **Memory order:** the shard locks'.
//!
//! **Choose it** when changes of different levels come from many cores at once: they meet only where their
//! levels share a shard. A single hot level gains nothing from it, and a large transaction takes every shard.

use std::time::Instant;

use dashmap::{DashMap, RwLockReadGuard, RwLockWriteGuard, SharedValue};
use hashbrown::raw::RawTable;

use super::contention::Held;
use super::{
    Access, Contention, Immediate, Ledger, Rejected, StrategyConfig, TransactRejected, backoff, table,
};
use crate::stock::{Applied, Change, KeySet, Level, Refusal, StockKey, Transaction};

/// A map of shards, each behind a read-write lock.
#[derive(Debug)]
pub struct Sharded {
    map: DashMap<StockKey, Level, ahash::RandomState>,
    access: Access,
}

type Shard = RawTable<(StockKey, SharedValue<Level>)>;

/// Where a key lies: in which shard, under which hash.
#[derive(Debug, Clone, Copy)]
struct Place {
    shard: usize,
    hash: u64,
}

/// The locks of several shards, ascending by shard.
type HeldShards<G> = Vec<(usize, G)>;
type Reading<'a> = Held<'a, RwLockReadGuard<'a, Shard>>;
type Writing<'a> = Held<'a, RwLockWriteGuard<'a, Shard>>;

impl Sharded {
    /// Empty stock that reports to `ledger`.
    pub fn new(config: StrategyConfig, ledger: Ledger) -> Self {
        Self { map: DashMap::default(), access: Access::new(config, ledger) }
    }

    /// Takes in levels as recovery found them. For empty stock that nobody uses yet.
    pub fn restore(&self, levels: Vec<(StockKey, Level)>) {
        for (key, level) in levels {
            self.map.insert(key, level);
        }
    }

    fn place(&self, key: &StockKey) -> Place {
        let hash = self.map.hasher().hash_one(key);
        #[expect(clippy::cast_possible_truncation, reason = "what dashmap itself does with a hash")]
        Place { shard: self.map.determine_shard(hash as usize), hash }
    }

    /// `deadline` is set by the first lock that has to be waited for, and bounds the waits of all.
    fn read_shard(&self, shard: usize, deadline: &mut Option<Instant>) -> Result<Reading<'_>, Contention> {
        let shard = &self.map.shards()[shard];
        let wait = |fresh| backoff::until(*deadline.get_or_insert(fresh), || shard.try_read());
        self.access.acquire(|| shard.try_read(), wait)
    }

    /// As [`Sharded::read_shard`].
    fn write_shard(&self, shard: usize, deadline: &mut Option<Instant>) -> Result<Writing<'_>, Contention> {
        let shard = &self.map.shards()[shard];
        let wait = |fresh| backoff::until(*deadline.get_or_insert(fresh), || shard.try_write());
        self.access.acquire(|| shard.try_write(), wait)
    }

    /// Takes the lock of every shard named, in the one order there is: ascending, each once.
    fn lock_shards<G>(
        places: &[Place],
        mut lock: impl FnMut(usize, &mut Option<Instant>) -> Result<G, Contention>,
    ) -> Result<HeldShards<G>, Contention> {
        let mut shards: Vec<usize> = places.iter().map(|place| place.shard).collect();
        shards.sort_unstable();
        shards.dedup();
        let mut deadline = None;
        // A timeout half-way drops the guards taken so far; nothing was changed under them.
        shards.into_iter().map(|shard| Ok((shard, lock(shard, &mut deadline)?))).collect()
    }

    fn put(&self, shard: &mut Shard, place: Place, key: &StockKey, level: Level) {
        match find_mut(shard, place, key) {
            Some(there) => *there = level,
            None => {
                let entry = (key.clone(), SharedValue::new(level));
                shard.insert(place.hash, entry, |(key, _)| self.map.hasher().hash_one(key));
            }
        }
    }

    fn apply_in(
        &self,
        shard: &mut Shard,
        place: Place,
        key: &StockKey,
        change: Change,
    ) -> Result<Applied, Refusal> {
        let before = find(shard, place, key);
        let after = change.judge(before)?;
        self.put(shard, place, key, after);
        Ok(Applied { before, after })
    }
}

impl Immediate for Sharded {
    fn access(&self) -> &Access {
        &self.access
    }

    fn read_now(&self, key: &StockKey) -> Result<Level, Contention> {
        let place = self.place(key);
        Ok(find(&*self.read_shard(place.shard, &mut None)?, place, key))
    }

    fn snapshot_now(&self, keys: &KeySet) -> Result<Vec<Level>, Contention> {
        let places: Vec<Place> = keys.keys().iter().map(|key| self.place(key)).collect();
        let held = Self::lock_shards(&places, |shard, deadline| self.read_shard(shard, deadline))?;
        let level = |(key, &place): (&StockKey, &Place)| find(&held[index_of(&held, place)].1, place, key);
        Ok(keys.keys().iter().zip(&places).map(level).collect())
    }

    fn change_level(&self, key: &StockKey, change: Change) -> Result<Applied, Rejected> {
        let place = self.place(key);
        // The guard is a temporary of this expression: the shard is free before the ledger hears of the change.
        Ok(self.apply_in(&mut *self.write_shard(place.shard, &mut None)?, place, key, change)?)
    }

    fn change_levels(&self, transaction: &Transaction) -> Result<Vec<Applied>, TransactRejected> {
        let entries = transaction.entries();
        let places: Vec<Place> = entries.iter().map(|entry| self.place(&entry.key)).collect();
        let mut held = Self::lock_shards(&places, |shard, deadline| self.write_shard(shard, deadline))?;
        let mut found = Vec::with_capacity(entries.len());
        for (entry, &place) in entries.iter().zip(&places) {
            found.push(find(&held[index_of(&held, place)].1, place, &entry.key));
        }
        let applied = table::judge(transaction, found)?;
        for ((entry, &place), applied) in entries.iter().zip(&places).zip(&applied) {
            let shard = index_of(&held, place);
            self.put(&mut held[shard].1, place, &entry.key, applied.after);
        }
        Ok(applied)
    }
}

/// Which of the locks is that of the place.
fn index_of<G>(held: &HeldShards<G>, place: Place) -> usize {
    let shard = held.binary_search_by_key(&place.shard, |held| held.0);
    shard.expect("the shard of every place is held")
}

fn find(shard: &Shard, place: Place, key: &StockKey) -> Level {
    let found = shard.get(place.hash, |(there, _)| there == key);
    found.map_or(Level::ABSENT, |(_, level)| *level.get())
}

fn find_mut<'a>(shard: &'a mut Shard, place: Place, key: &StockKey) -> Option<&'a mut Level> {
    shard.get_mut(place.hash, |(there, _)| there == key).map(|(_, level)| level.get_mut())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::strategy::kept_out::{
        adjust, assert_changes_are_kept_out, five, impatient, key, look, read, stocked, take,
    };

    /// Two keys whose shards are taken in that order.
    fn keys_of_ascending_shards(strategy: &Sharded) -> [StockKey; 2] {
        let mut keys: Vec<StockKey> = (0..64).map(|number| key(&number.to_string())).collect();
        keys.sort_by_key(|key| strategy.place(key).shard);
        let (first, last) = (keys[0].clone(), keys[63].clone());
        assert!(strategy.place(&first).shard < strategy.place(&last).shard, "64 keys share one shard");
        [first, last]
    }

    /// P10: the lock order. A transaction that finds its lower shard taken holds no higher one, whichever way round its keys
    /// are; so two transactions cannot wait for each other. Counted without threads, and with callers that may not wait: the
    /// locks taken before the one that was not free are exactly those below it.
    #[test]
    fn shards_are_taken_in_ascending_order() {
        let strategy = impatient(Sharded::new);
        let keys: Vec<StockKey> = (0..64).map(|number| key(&number.to_string())).collect();
        let shard = |key| strategy.place(key).shard;
        let pairs = keys.iter().flat_map(|one| keys.iter().map(move |other| (one, other)));
        let ascending = pairs.filter(|(low, high)| shard(low) < shard(high));
        let mut against_the_keys = 0;
        for (low, high) in ascending {
            against_the_keys += u32::from(low > high);
            let transaction =
                Transaction::new([low, high].map(|key| (key.clone(), adjust(1))).to_vec()).unwrap();
            for (taken, locks_below) in [(low, 0), (high, 1)] {
                let guard = strategy.map.shards()[shard(taken)].write();
                let before = strategy.contention_now().acquisitions;
                assert_eq!(strategy.change_levels(&transaction), Err(Contention.into()));
                let locks = strategy.contention_now().acquisitions - before;
                assert_eq!(
                    locks,
                    locks_below,
                    "LOCK ORDER: shard {} was taken; keys {low}, {high}",
                    shard(taken)
                );
                let before = strategy.contention_now().acquisitions;
                assert_eq!(look(&strategy, &[low.clone(), high.clone()]), Err(Contention));
                let locks = strategy.contention_now().acquisitions - before;
                assert_eq!(locks, locks_below, "LOCK ORDER of a snapshot: keys {low}, {high}");
                drop(guard);
            }
        }
        assert!(against_the_keys > 0, "some keys are in the opposite order of their shards");
    }

    /// P3, P4, P10: who cannot have a shard gives back those it has, and has changed nothing in them.
    #[test]
    fn whoever_cannot_get_in_changes_nothing() {
        let strategy = impatient(Sharded::new);
        let [free, busy] = keys_of_ascending_shards(&strategy);
        let strategy = stocked(strategy, &[free.clone(), busy.clone()]);
        let held = strategy.write_shard(strategy.place(&busy).shard, &mut None).unwrap();
        assert_changes_are_kept_out(&strategy, &free, &busy);
        assert_eq!(read(&strategy, &busy), Err(Contention));
        assert_eq!(look(&strategy, &[free.clone(), busy.clone()]), Err(Contention));
        assert_eq!(take(&strategy, &free).map(|applied| applied.before), Ok(five()));
        drop(held);
        assert_eq!(read(&strategy, &busy), Ok(five()));
    }
}
