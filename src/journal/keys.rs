//! [`Keys`]: where in the log the outcome of each idempotency key is.
//!
//! 24 bytes a key and the slack of a hash table (48 at most, once there are many): the hash of the key and the position of
//! the record, where fingerprint and outcome are read when a retry comes. Keys leave by age only: positions go up with time,
//! so those that have outlived their retention are those below a position, which [`Marks`] tells.
//!
//! A key is claimed here before its request does anything, so that of several requests with one key only one goes on. The
//! [`Claim`] is given up when its last holder (the request, or the permit it moved into the strategy) is gone without a record
//! having been handed over; after a hand-over it stays, whatever becomes of the request.
//!
//! **The lines of a batch** that stand alone have keys of their own, made from the batch's. They are needed while the batch is
//! under way, and after a crash in the middle of it; once its outcome is recorded, under the batch's own key, they go. So a
//! batch costs one key, however long it is, and its lines count against a bound of their own meanwhile ([`PASSING_MAX`]). Of a
//! batch that was not carried through they stay, and count as other keys do.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use parking_lot::Mutex;

use super::chunks::Chunks;
use super::marks::Marks;
use crate::stock::Once;

const SHARDS: usize = 64;

/// Set beside a position: the key is that of a line of a batch under way.
const PASSING: u64 = 1 << 63;
/// In place of a position: a request with the key is under way, and nothing was handed over yet.
const CLAIMED: u64 = PASSING - 1;
/// In place of a position: the record was handed over, and is not yet in a group.
const HANDED_OVER: u64 = PASSING - 2;

/// The most lines of batches that may be under way at once: as many keys take 48 MB.
pub const PASSING_MAX: usize = 1_000_000;

/// The keys that were used, and the position of the record of each.
#[derive(Debug)]
pub struct Keys {
    shards: Box<[Mutex<HashTable<Slot>>]>,
    /// Keys that stay until they are old.
    held: AtomicUsize,
    /// Keys of lines of batches under way.
    passing: AtomicUsize,
    marks: Marks,
    chunks: Chunks,
}

/// A key and where its outcome is. The key in two halves: a `u128` is aligned to 16 bytes, and would make 32 of these 24.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Slot {
    low: u64,
    high: u64,
    /// A position, or what stands for one; and [`PASSING`].
    place: u64,
}

/// The right to use a key: see [`Keys::claim`]. Held by the request and by its permit, and two words long, since every permit
/// has room for it and most have none.
#[derive(Debug, Clone)]
pub enum Claim {
    /// Of a whole request.
    Whole(Arc<WholeClaim>),
    /// Of a line of a batch, by its number.
    Line(Arc<LineClaims>, u32),
}

/// The right to the key of a whole request.
#[derive(Debug)]
pub struct WholeClaim {
    keys: Arc<Keys>,
    once: Once,
}

/// The rights to the keys of lines of a batch.
#[derive(Debug)]
pub struct LineClaims {
    keys: Arc<Keys>,
    /// Of the batch.
    once: Once,
    lines: Vec<u32>,
}

/// Why a key cannot be claimed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// A request with the key is under way.
    InProgress,
    /// Its outcome was handed over, and is not yet in the log.
    HandedOver,
    /// Its outcome is in the record at this position.
    At(u64),
    /// There are as many keys as there may be.
    Full,
}

impl Keys {
    /// No keys.
    pub fn new() -> Self {
        let shards = (0..SHARDS).map(|_| Mutex::default()).collect();
        let (held, passing) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Self { shards, held, passing, marks: Marks::default(), chunks: Chunks::default() }
    }

    /// Takes the key for one request, unless it was used, is in use, or there are `keys_max` already.
    pub fn claim(self: &Arc<Self>, once: Once, keys_max: usize) -> Result<Claim, Taken> {
        let key = once.key;
        let mut shard = self.shard(key).lock();
        match shard.entry(low(key), |slot| slot.key() == key, |slot| slot.low) {
            Entry::Occupied(entry) => Err(entry.get().taken()),
            Entry::Vacant(entry) => {
                // In one step: other shards are asked for room at the same time.
                let counted = |held| (held < keys_max).then_some(held + 1);
                let room = self.held.fetch_update(Ordering::Relaxed, Ordering::Relaxed, counted);
                room.map_err(|_| Taken::Full)?;
                entry.insert(Slot::new(key, CLAIMED));
                Ok(Claim::Whole(Arc::new(WholeClaim { keys: Arc::clone(self), once })))
            }
        }
    }

    /// Takes the keys of those lines of a batch, whose own key the caller has claimed: so nobody else is at them, and the caller
    /// has seen that none was used. All or none: [`Taken::Full`] while too many lines are under way.
    pub fn claim_lines(self: &Arc<Self>, once: Once, lines: &[u32]) -> Result<Arc<LineClaims>, Taken> {
        let counted = |passing| Some(passing + lines.len()).filter(|passing| *passing <= PASSING_MAX);
        let room = self.passing.fetch_update(Ordering::Relaxed, Ordering::Relaxed, counted);
        room.map_err(|_| Taken::Full)?;
        let mut claims = LineClaims { keys: Arc::clone(self), once, lines: Vec::with_capacity(lines.len()) };
        for (index, line) in lines.iter().enumerate() {
            let key = once.line(*line).key;
            let mut shard = self.shard(key).lock();
            match shard.entry(low(key), |slot| slot.key() == key, |slot| slot.low) {
                Entry::Occupied(_) => {
                    // The last of an earlier batch of that key is about to go. What was taken goes with `claims`.
                    self.passing.fetch_sub(lines.len() - index, Ordering::Relaxed);
                    return Err(Taken::InProgress);
                }
                Entry::Vacant(entry) => _ = entry.insert(Slot::new(key, PASSING | CLAIMED)),
            }
            claims.lines.push(*line);
        }
        Ok(Arc::new(claims))
    }

    /// What stands in the way of a claim of the key, if anything does.
    pub fn get(&self, key: u128) -> Option<Taken> {
        let shard = self.shard(key).lock();
        shard.find(low(key), |slot| slot.key() == key).map(|slot| slot.taken())
    }

    /// Notes where the outcome of a key is.
    pub fn insert(&self, key: u128, position: u64) {
        self.set(key, position);
    }

    /// Forgets a key whose outcome is at that position; one that was used again since stays.
    pub fn forget(&self, key: u128, position: u64) {
        self.remove(key, |slot| slot.position() == position);
    }

    /// Forgets the keys of the first `lines` lines of a batch: its outcome is recorded under its own key.
    pub fn forget_lines(&self, batch: u128, lines: u32) {
        let batch = Once { key: batch, fingerprint: [0; 32] };
        for line in 0..lines {
            self.remove(batch.line(line).key, |_| true);
        }
    }

    fn set(&self, key: u128, place: u64) {
        let mut shard = self.shard(key).lock();
        match shard.entry(low(key), |slot| slot.key() == key, |slot| slot.low) {
            Entry::Occupied(mut entry) => {
                let slot = entry.get_mut();
                slot.place = slot.place & PASSING | place;
            }
            Entry::Vacant(entry) => {
                entry.insert(Slot::new(key, place));
                self.held.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Removes a key, if it is there and is `unwanted`.
    fn remove(&self, key: u128, unwanted: impl FnOnce(Slot) -> bool) {
        let mut shard = self.shard(key).lock();
        if let Ok(entry) = shard.find_entry(low(key), |slot| slot.key() == key)
            && unwanted(*entry.get())
        {
            let (slot, _) = entry.remove();
            self.counter(slot).fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// The batch of a line is over: its key is given up, or stays as others do.
    fn line_over(&self, key: u128) {
        let mut shard = self.shard(key).lock();
        // Where the outcome of the whole batch was recorded the key has gone.
        let Ok(mut entry) = shard.find_entry(low(key), |slot| slot.key() == key) else { return };
        self.passing.fetch_sub(1, Ordering::Relaxed);
        if entry.get().is_claimed() {
            entry.remove();
        } else {
            entry.get_mut().place &= !PASSING;
            self.held.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Where the key in that slot is counted.
    fn counter(&self, slot: Slot) -> &AtomicUsize {
        if slot.place & PASSING == 0 { &self.held } else { &self.passing }
    }

    /// How many keys are held until they are old.
    pub fn len(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }

    /// How many lines of batches are under way.
    pub fn passing(&self) -> usize {
        self.passing.load(Ordering::Relaxed)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Forgets the keys whose record is before that position.
    pub fn forget_before(&self, position: u64) {
        for shard in &self.shards {
            let mut shard = shard.lock();
            shard.retain(|slot| {
                let stays = slot.position() >= position;
                if !stays {
                    self.counter(*slot).fetch_sub(1, Ordering::Relaxed);
                }
                stays
            });
            let left = shard.len();
            // Not for every key that leaves: only once most of the table is empty.
            if shard.capacity() > 4 * left {
                shard.shrink_to(2 * left, |slot| slot.low);
            }
        }
    }

    /// Calls `each` with all keys whose outcome is in the log, and its position, shard by shard.
    pub fn walk(&self, mut each: impl FnMut(u128, u64)) {
        for shard in &self.shards {
            let in_log = |slot: &&Slot| slot.position() < HANDED_OVER;
            let copied: Vec<Slot> = shard.lock().iter().filter(in_log).copied().collect();
            for slot in copied {
                each(slot.key(), slot.position());
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

    /// The chunks of imports that are in the log, however old their keys.
    pub fn chunks(&self) -> &Chunks {
        &self.chunks
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
    fn new(key: u128, place: u64) -> Self {
        Self { low: key as u64, high: (key >> 64) as u64, place }
    }

    fn key(self) -> u128 {
        u128::from(self.high) << 64 | u128::from(self.low)
    }

    /// The position, or what stands for one: that is after every position.
    fn position(self) -> u64 {
        self.place & !PASSING
    }

    fn is_claimed(self) -> bool {
        self.position() == CLAIMED
    }

    fn taken(self) -> Taken {
        match self.position() {
            CLAIMED => Taken::InProgress,
            HANDED_OVER => Taken::HandedOver,
            position => Taken::At(position),
        }
    }
}

impl Claim {
    /// Key and fingerprint, for the record.
    pub fn once(&self) -> Once {
        match self {
            Self::Whole(claim) => claim.once,
            Self::Line(claims, line) => claims.once.line(*line),
        }
    }

    /// The record of the key's outcome was handed over: the key is used, whatever happens to who claimed it.
    pub fn handed_over(&self) {
        let keys = match self {
            Self::Whole(claim) => &claim.keys,
            Self::Line(claims, _) => &claims.keys,
        };
        keys.set(self.once().key, HANDED_OVER);
    }
}

impl Drop for WholeClaim {
    fn drop(&mut self) {
        self.keys.remove(self.once.key, Slot::is_claimed);
    }
}

impl Drop for LineClaims {
    fn drop(&mut self) {
        for line in &self.lines {
            self.keys.line_over(self.once.line(*line).key);
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
