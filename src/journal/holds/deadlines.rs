//! When which reservation is due: of all, and of each level.
//!
//! [`Deadlines`] is exact at every instant: its word is the least of all deadlines that are entered, since it is changed under the lock
//! under which they are. A word that was only lowered would have every request look for what is not due any more; one that was raised
//! without the lock could pass over a deadline that is entered meanwhile, and then an expired reservation would be shown.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

use crossbeam_utils::CachePadded;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry as Place;

use crate::stock::{ReservationId, StockKey};
use crate::sync::{AtomicU64, Mutex};

const SHARDS: usize = 16;
const LEVEL_SHARDS: usize = 64;

/// Deadlines, the earliest first.
type InOrder = BTreeSet<Entry>;

/// A deadline, and whose it is. There are two of these for each reservation, so the name lies in halves: a `u128` has to lie at a multiple of
/// 16 bytes, which would pad an entry of 24 to 32.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    deadline_ms: u64,
    /// The high half first.
    id: [u64; 2],
}

impl Entry {
    #[expect(clippy::cast_possible_truncation, reason = "the name is cut in two")]
    fn new(deadline_ms: u64, id: ReservationId) -> Self {
        let bits = id.to_bits();
        Self { deadline_ms, id: [(bits >> 64) as u64, bits as u64] }
    }

    fn id(self) -> ReservationId {
        let [high, low] = self.id;
        ReservationId::from_bits(u128::from(high) << 64 | u128::from(low))
    }
}

/// The deadlines of all reservations that hold something.
#[derive(Debug)]
pub(super) struct Deadlines {
    shards: Box<[CachePadded<Mutex<InOrder>>]>,
    /// The earliest of each shard; [`u64::MAX`] where there is none. Changed under that shard's lock and this one.
    firsts: Mutex<[u64; SHARDS]>,
    /// The earliest of all: changed under the lock of `firsts`. Every request reads it.
    earliest: CachePadded<AtomicU64>,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            shards: (0..SHARDS).map(|_| CachePadded::default()).collect(),
            firsts: Mutex::new([u64::MAX; SHARDS]),
            earliest: CachePadded::new(AtomicU64::new(u64::MAX)),
        }
    }
}

impl Deadlines {
    /// The earliest; [`u64::MAX`] where there is none.
    #[inline]
    pub(super) fn earliest(&self) -> u64 {
        // Sequentially consistent, as the levels are: who was told of a reservation, or of its end, sees its deadline come, or gone.
        self.earliest.load(Ordering::SeqCst)
    }

    /// Enters a deadline; whether the earliest of all has become earlier.
    pub(super) fn insert(&self, deadline_ms: u64, id: ReservationId) -> bool {
        let shard = Self::shard_of(id);
        let mut deadlines = self.shards[shard].lock();
        deadlines.insert(Entry::new(deadline_ms, id));
        self.note(shard, &deadlines)
    }

    /// Takes a deadline out.
    pub(super) fn remove(&self, deadline_ms: u64, id: ReservationId) {
        let shard = Self::shard_of(id);
        let mut deadlines = self.shards[shard].lock();
        deadlines.remove(&Entry::new(deadline_ms, id));
        self.note(shard, &deadlines);
    }

    /// Those that have come, `count` at most.
    pub(super) fn due(&self, now_ms: u64, count: usize) -> Vec<ReservationId> {
        let mut due = Vec::new();
        for shard in &self.shards {
            let deadlines = shard.lock();
            let have_come = deadlines.iter().take_while(|entry| entry.deadline_ms <= now_ms);
            due.extend(have_come.take(count - due.len()).map(|entry| entry.id()));
        }
        due
    }

    /// Under the lock of the shard: its earliest may be another one.
    fn note(&self, shard: usize, deadlines: &InOrder) -> bool {
        let first = deadlines.first().map_or(u64::MAX, |entry| entry.deadline_ms);
        let mut firsts = self.firsts.lock();
        if firsts[shard] == first {
            return false;
        }
        firsts[shard] = first;
        let earliest = firsts.iter().copied().min().unwrap_or(u64::MAX);
        earliest < self.earliest.swap(earliest, Ordering::SeqCst)
    }

    fn shard_of(id: ReservationId) -> usize {
        usize::try_from(id.to_bits() % SHARDS as u128).expect("below the number of shards")
    }
}

/// The deadlines of the reservations of each level.
#[derive(Debug)]
pub(super) struct ByLevel {
    hasher: ahash::RandomState,
    shards: Box<[Mutex<HashTable<OfLevel>>]>,
}

#[derive(Debug)]
struct OfLevel {
    key: StockKey,
    deadlines: InOrder,
}

impl Default for ByLevel {
    fn default() -> Self {
        let hasher = ahash::RandomState::new();
        Self { hasher, shards: (0..LEVEL_SHARDS).map(|_| Mutex::default()).collect() }
    }
}

impl ByLevel {
    pub(super) fn insert(&self, key: &StockKey, deadline_ms: u64, id: ReservationId) {
        let hash = self.hasher.hash_one(key);
        let mut shard = self.shard(hash).lock();
        let entry = shard.entry(hash, |of| of.key == *key, |of| self.hasher.hash_one(&of.key));
        let of_level = match entry {
            Place::Occupied(entry) => entry.into_mut(),
            Place::Vacant(entry) => {
                entry.insert(OfLevel { key: key.clone(), deadlines: InOrder::new() }).into_mut()
            }
        };
        of_level.deadlines.insert(Entry::new(deadline_ms, id));
    }

    pub(super) fn remove(&self, key: &StockKey, deadline_ms: u64, id: ReservationId) {
        let hash = self.hasher.hash_one(key);
        let mut shard = self.shard(hash).lock();
        if let Ok(mut entry) = shard.find_entry(hash, |of| of.key == *key) {
            let deadlines = &mut entry.get_mut().deadlines;
            deadlines.remove(&Entry::new(deadline_ms, id));
            if deadlines.is_empty() {
                entry.remove();
            }
        }
    }

    /// The one of that level whose deadline came first, if it has come.
    pub(super) fn due(&self, key: &StockKey, now_ms: u64) -> Option<ReservationId> {
        let hash = self.hasher.hash_one(key);
        let shard = self.shard(hash).lock();
        let first = shard.find(hash, |of| of.key == *key)?.deadlines.first()?;
        (first.deadline_ms <= now_ms).then(|| first.id())
    }

    fn shard(&self, hash: u64) -> &Mutex<HashTable<OfLevel>> {
        // The table uses the low bits.
        &self.shards[usize::try_from(hash >> 56).expect("eight bits") % LEVEL_SHARDS]
    }
}
