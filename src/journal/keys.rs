//! [`Keys`]: where in the log the outcome of each idempotency key is.
//!
//! 24 bytes a key and the slack of a hash table (48 at most): the hash of the key and the position of the record, where
//! fingerprint and outcome are read when a retry comes. Keys leave by age only: positions go up with time, so those that
//! have outlived their retention are those below a position.
//!
//! A key is claimed here before its request does anything, so that of several requests with one key only one goes on. The claim
//! is given up when its last holder (the request, or the permit it moved into the strategy) is gone without a record having
//! been handed over; after a hand-over it stays, whatever becomes of the request.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use parking_lot::Mutex;

const SHARDS: usize = 64;

/// In place of a position: a request with the key is under way, and nothing was handed over yet.
const CLAIMED: u64 = u64::MAX;
/// In place of a position: the record was handed over, and is not yet in a group.
const HANDED_OVER: u64 = u64::MAX - 1;

/// The keys that were used, and the position of the record of each.
#[derive(Debug)]
pub struct Keys {
    shards: Box<[Mutex<HashTable<(u128, u64)>>]>,
    count: AtomicUsize,
}

/// The right to use a key: see [`Keys::claim`].
#[derive(Debug)]
pub struct Claim {
    keys: Arc<Keys>,
    key: u128,
}

/// Why a key cannot be claimed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// A request with the key is under way.
    InProgress,
    /// Its outcome is in the record at this position.
    At(u64),
    /// There are as many keys as there may be.
    Full,
}

impl Keys {
    /// No keys.
    pub fn new() -> Self {
        Self { shards: (0..SHARDS).map(|_| Mutex::default()).collect(), count: AtomicUsize::new(0) }
    }

    /// Takes the key for one request, unless it was used, is in use, or there are `keys_max` already.
    pub fn claim(self: &Arc<Self>, key: u128, keys_max: usize) -> Result<Claim, Taken> {
        let mut shard = self.shard(key).lock();
        match shard.entry(low(key), |entry| entry.0 == key, |entry| low(entry.0)) {
            Entry::Occupied(entry) => Err(match entry.get().1 {
                CLAIMED | HANDED_OVER => Taken::InProgress,
                position => Taken::At(position),
            }),
            Entry::Vacant(_) if self.len() >= keys_max => Err(Taken::Full),
            Entry::Vacant(entry) => {
                entry.insert((key, CLAIMED));
                self.count.fetch_add(1, Ordering::Relaxed);
                Ok(Claim { keys: Arc::clone(self), key })
            }
        }
    }

    /// What stands in the way of a claim of the key, if anything does.
    pub fn get(&self, key: u128) -> Option<Taken> {
        let position = self.shard(key).lock().find(low(key), |entry| entry.0 == key)?.1;
        Some(if position >= HANDED_OVER { Taken::InProgress } else { Taken::At(position) })
    }

    /// Notes where the outcome of a key is.
    pub fn insert(&self, key: u128, position: u64) {
        self.set(key, position);
    }

    fn set(&self, key: u128, position: u64) {
        let mut shard = self.shard(key).lock();
        match shard.entry(low(key), |entry| entry.0 == key, |entry| low(entry.0)) {
            Entry::Occupied(mut entry) => entry.get_mut().1 = position,
            Entry::Vacant(entry) => {
                entry.insert((key, position));
                self.count.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Forgets the keys whose record is before that position.
    pub fn forget_before(&self, position: u64) {
        for shard in &self.shards {
            let mut shard = shard.lock();
            let before = shard.len();
            shard.retain(|entry| entry.1 >= position);
            self.count.fetch_sub(before - shard.len(), Ordering::Relaxed);
        }
    }

    /// Calls `each` with all keys whose outcome is in the log, and its position, shard by shard.
    pub fn walk(&self, mut each: impl FnMut(u128, u64)) {
        for shard in &self.shards {
            let copied: Vec<(u128, u64)> =
                shard.lock().iter().filter(|entry| entry.1 < HANDED_OVER).copied().collect();
            copied.into_iter().for_each(|(key, position)| each(key, position));
        }
    }

    fn shard(&self, key: u128) -> &Mutex<HashTable<(u128, u64)>> {
        #[expect(clippy::cast_possible_truncation, reason = "reduced modulo the number of shards")]
        let index = (key >> 64) as usize % SHARDS;
        &self.shards[index]
    }
}

impl Claim {
    /// The record of the key's outcome was handed over: the key is used, whatever happens to who claimed it.
    pub fn handed_over(&self) {
        self.keys.set(self.key, HANDED_OVER);
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let mut shard = self.keys.shard(self.key).lock();
        if let Ok(entry) = shard.find_entry(low(self.key), |entry| *entry == (self.key, CLAIMED)) {
            entry.remove();
            self.keys.count.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// The key is the output of a hash already.
#[expect(clippy::cast_possible_truncation, reason = "the low half is as random as the whole")]
fn low(key: u128) -> u64 {
    key as u64
}

impl Default for Keys {
    fn default() -> Self {
        Self::new()
    }
}
