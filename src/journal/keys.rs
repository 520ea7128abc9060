//! [`Keys`]: where in the log the outcome of each idempotency key is.
//!
//! 24 bytes a key and the slack of a hash table (48 at most, once there are many): the hash of the key and the position of
//! the record, where fingerprint and outcome are read when a retry comes. Keys leave by age only: positions go up with time,
//! so those that have outlived their retention are those below a position, which [`Marks`] tells.
//!
//! A key is claimed here before its request does anything, so that of several requests with one key only one goes on. The claim
//! is given up when its last holder (the request, or the permit it moved into the strategy) is gone without a record having
//! been handed over; after a hand-over it stays, whatever becomes of the request.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use parking_lot::Mutex;

use super::marks::Marks;

const SHARDS: usize = 64;

/// In place of a position: a request with the key is under way, and nothing was handed over yet.
const CLAIMED: u64 = u64::MAX;
/// In place of a position: the record was handed over, and is not yet in a group.
const HANDED_OVER: u64 = u64::MAX - 1;

/// The keys that were used, and the position of the record of each.
#[derive(Debug)]
pub struct Keys {
    shards: Box<[Mutex<HashTable<Slot>>]>,
    count: AtomicUsize,
    marks: Marks,
}

/// A key and where its outcome is. The key in two halves: a `u128` is aligned to 16 bytes, and would make 32 of these 24.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Slot {
    low: u64,
    high: u64,
    position: u64,
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
        let shards = (0..SHARDS).map(|_| Mutex::default()).collect();
        Self { shards, count: AtomicUsize::new(0), marks: Marks::default() }
    }

    /// Takes the key for one request, unless it was used, is in use, or there are `keys_max` already.
    pub fn claim(self: &Arc<Self>, key: u128, keys_max: usize) -> Result<Claim, Taken> {
        let mut shard = self.shard(key).lock();
        match shard.entry(low(key), |slot| slot.key() == key, |slot| slot.low) {
            Entry::Occupied(entry) => Err(match entry.get().position {
                CLAIMED | HANDED_OVER => Taken::InProgress,
                position => Taken::At(position),
            }),
            Entry::Vacant(_) if self.len() >= keys_max => Err(Taken::Full),
            Entry::Vacant(entry) => {
                entry.insert(Slot::new(key, CLAIMED));
                self.count.fetch_add(1, Ordering::Relaxed);
                Ok(Claim { keys: Arc::clone(self), key })
            }
        }
    }

    /// What stands in the way of a claim of the key, if anything does.
    pub fn get(&self, key: u128) -> Option<Taken> {
        let position = self.shard(key).lock().find(low(key), |slot| slot.key() == key)?.position;
        Some(if position >= HANDED_OVER { Taken::InProgress } else { Taken::At(position) })
    }

    /// Notes where the outcome of a key is.
    pub fn insert(&self, key: u128, position: u64) {
        self.set(key, position);
    }

    fn set(&self, key: u128, position: u64) {
        let mut shard = self.shard(key).lock();
        match shard.entry(low(key), |slot| slot.key() == key, |slot| slot.low) {
            Entry::Occupied(mut entry) => entry.get_mut().position = position,
            Entry::Vacant(entry) => {
                entry.insert(Slot::new(key, position));
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
            shard.retain(|slot| slot.position >= position);
            let left = shard.len();
            self.count.fetch_sub(before - left, Ordering::Relaxed);
            // Not for every key that leaves: only once most of the table is empty.
            if shard.capacity() > 4 * left {
                shard.shrink_to(2 * left, |slot| slot.low);
            }
        }
    }

    /// Calls `each` with all keys whose outcome is in the log, and its position, shard by shard.
    pub fn walk(&self, mut each: impl FnMut(u128, u64)) {
        for shard in &self.shards {
            let in_log = |slot: &&Slot| slot.position < HANDED_OVER;
            let copied: Vec<Slot> = shard.lock().iter().filter(in_log).copied().collect();
            for slot in copied {
                each(slot.key(), slot.position);
            }
        }
    }

    /// Notes that every record before `position` was written at `time_ms` or earlier. Cheap: more than one a minute is not kept.
    pub fn mark(&self, time_ms: u64, position: u64) {
        self.marks.mark(time_ms, position);
    }

    /// Forgets the keys that are older than `retention`, a minute late at most. Returns the position before which no key is left.
    pub fn expire(&self, now_ms: u64, retention: Duration) -> Option<u64> {
        let position = self.marks.expired(now_ms, retention)?;
        self.forget_before(position);
        Some(position)
    }

    /// The times that tell how old keys are.
    pub fn marks(&self) -> &Marks {
        &self.marks
    }

    /// Shards get unequal shares of the keys, the last nearly twice that of the first: so their tables double one after the
    /// other rather than all at once, and all together are never more than 42 bytes a key instead of 57.
    fn shard(&self, key: u128) -> &Mutex<HashTable<Slot>> {
        // The table uses the low half.
        let share = f64::from((key >> 96) as u32) / (f64::from(u32::MAX) + 1.0);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to below SHARDS")]
        let index = ((1.0 + share).log2() * SHARDS as f64) as usize;
        &self.shards[index.min(SHARDS - 1)]
    }
}

impl Slot {
    #[expect(clippy::cast_possible_truncation, reason = "the halves of the key")]
    fn new(key: u128, position: u64) -> Self {
        Self { low: key as u64, high: (key >> 64) as u64, position }
    }

    fn key(self) -> u128 {
        u128::from(self.high) << 64 | u128::from(self.low)
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
        let claimed = Slot::new(self.key, CLAIMED);
        if let Ok(entry) = shard.find_entry(claimed.low, |slot| *slot == claimed) {
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

#[cfg(test)]
mod tests;
