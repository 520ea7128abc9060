//! [`Keys`]: where in the log the outcome of each idempotency key is.
//!
//! 24 bytes a key and the slack of a hash table (48 at most): the hash of the key and the position of the record, where
//! fingerprint and outcome are read when a retry comes. Keys leave by age only: positions go up with time, so those that
//! have outlived their retention are those below a position.

use hashbrown::HashTable;
use parking_lot::Mutex;

const SHARDS: usize = 64;

/// The keys that were used, and the position of the record of each.
#[derive(Debug)]
pub struct Keys {
    shards: Box<[Mutex<HashTable<(u128, u64)>>]>,
}

impl Keys {
    /// No keys.
    pub fn new() -> Self {
        Self { shards: (0..SHARDS).map(|_| Mutex::default()).collect() }
    }

    /// Where the outcome of a key is.
    pub fn get(&self, key: u128) -> Option<u64> {
        self.shard(key).lock().find(low(key), |entry| entry.0 == key).map(|entry| entry.1)
    }

    /// Notes where the outcome of a key is.
    pub fn insert(&self, key: u128, position: u64) {
        let mut shard = self.shard(key).lock();
        match shard.find_mut(low(key), |entry| entry.0 == key) {
            Some(entry) => entry.1 = position,
            None => {
                shard.insert_unique(low(key), (key, position), |entry| low(entry.0));
            }
        }
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().len()).sum()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Forgets the keys whose record is before that position.
    pub fn forget_before(&self, position: u64) {
        for shard in &self.shards {
            shard.lock().retain(|entry| entry.1 >= position);
        }
    }

    /// Calls `each` with all keys and positions, shard by shard.
    pub fn walk(&self, mut each: impl FnMut(u128, u64)) {
        for shard in &self.shards {
            let copied: Vec<(u128, u64)> = shard.lock().iter().copied().collect();
            copied.into_iter().for_each(|(key, position)| each(key, position));
        }
    }

    fn shard(&self, key: u128) -> &Mutex<HashTable<(u128, u64)>> {
        #[expect(clippy::cast_possible_truncation, reason = "reduced modulo the number of shards")]
        let index = (key >> 64) as usize % SHARDS;
        &self.shards[index]
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
