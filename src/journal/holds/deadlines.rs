//! When which reservation is due: of each level, and so of all.
//!
//! Each deadline is entered once for each level that its reservation holds units of, and in no other list: what is due next of all is
//! among the *firsts*, the earliest deadline of each level. Where reservations are many and levels are few, so are the firsts.
//!
//! [`Deadlines`] is exact at every instant: its word is the least of all deadlines that are entered, since it is changed under the lock
//! under which they are. A word that was only lowered would have every request look for what is not due any more; one that was raised
//! without the lock could pass over a deadline that is entered meanwhile, and then an expired reservation would be shown.
//!
//! Levels are told apart by 22 bits of the hash of their key here. Where two share these, who looks for what is due of one finds what is
//! due of the other as well, and expires that, which was due.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crossbeam_utils::CachePadded;

use super::hold::Hold;
use crate::journal::sorted::{Keyed, Sorted};
use crate::stock::StockKey;
use crate::sync::{AtomicU64, Mutex};

const SHARDS: usize = 64;

/// Of a word that has a level and a deadline, the bits of the deadline, in milliseconds: enough until the year 10 889, as in names.
const DEADLINE_BITS: u32 = 48;
const DEADLINE_MAX: u64 = (1 << DEADLINE_BITS) - 1;

/// The deadlines of all reservations that hold something.
#[derive(Debug)]
pub(super) struct Deadlines {
    hasher: ahash::RandomState,
    shards: Box<[CachePadded<Mutex<Shard>>]>,
    /// The earliest of each shard; [`u64::MAX`] where there is none. Changed under that shard's lock and this one.
    firsts: CachePadded<Mutex<[u64; SHARDS]>>,
    /// The earliest of all: changed under the lock of `firsts`. Every request reads it.
    earliest: CachePadded<AtomicU64>,
}

/// The deadlines of the levels whose hashes fall here.
#[derive(Debug, Default)]
struct Shard {
    /// Level by level, and of each the earliest first.
    all: Sorted<Entry>,
    /// The earliest of each level, the earliest of all first.
    firsts: Sorted<First>,
}

/// A deadline of a level, and whose it is. There is one for each line of each reservation, so both are in one word: the level above,
/// the deadline below.
#[derive(Debug)]
struct Entry {
    word: u64,
    hold: Arc<Hold>,
}

/// The earliest deadline of a level, above, and the level, below.
#[derive(Debug)]
struct First(u64);

impl Entry {
    fn word(level: u16, deadline_ms: u64) -> u64 {
        u64::from(level) << DEADLINE_BITS | deadline_ms.min(DEADLINE_MAX)
    }

    fn level(&self) -> u64 {
        self.word >> DEADLINE_BITS
    }

    fn deadline_ms(&self) -> u64 {
        self.word & DEADLINE_MAX
    }
}

impl First {
    fn new(deadline_ms: u64, level: u16) -> Self {
        Self(deadline_ms << u16::BITS | u64::from(level))
    }

    fn deadline_ms(&self) -> u64 {
        self.0 >> u16::BITS
    }

    fn level(&self) -> u16 {
        u16::try_from(self.0 & u64::from(u16::MAX)).expect("16 bits")
    }
}

impl Keyed for Entry {
    /// Also where the reservation lies: enough to tell it from others while it is entered, and at hand without looking there.
    type Key = (u64, usize);

    fn key(&self) -> Self::Key {
        (self.word, address(&self.hold))
    }
}

impl Keyed for First {
    type Key = u64;

    fn key(&self) -> u64 {
        self.0
    }
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            hasher: ahash::RandomState::new(),
            shards: (0..SHARDS).map(|_| CachePadded::default()).collect(),
            firsts: CachePadded::new(Mutex::new([u64::MAX; SHARDS])),
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

    /// Enters a deadline of a level; whether the earliest of all has become earlier.
    pub(super) fn insert(&self, key: &StockKey, deadline_ms: u64, hold: &Arc<Hold>) -> bool {
        self.change(key, |shard, level| {
            shard.all.insert(Entry { word: Entry::word(level, deadline_ms), hold: Arc::clone(hold) });
        })
    }

    /// Takes a deadline of a level out.
    pub(super) fn remove(&self, key: &StockKey, deadline_ms: u64, hold: &Hold) {
        self.change(key, |shard, level| {
            shard.all.remove(&(Entry::word(level, deadline_ms), address(hold)));
        });
    }

    /// The one of that level whose deadline came first, if it has come.
    pub(super) fn due_of(&self, key: &StockKey, now_ms: u64) -> Option<Arc<Hold>> {
        let (index, level) = self.place_of(key);
        let shard = self.shards[index].lock();
        let first = shard.of_level(level).next()?;
        (first.deadline_ms() <= now_ms).then(|| Arc::clone(&first.hold))
    }

    /// The earliest deadline of that level, or of another that cannot be told from it here.
    pub(super) fn next_of(&self, key: &StockKey) -> Option<u64> {
        let (index, level) = self.place_of(key);
        self.shards[index].lock().first_of(level)
    }

    /// Some of those whose deadlines have come, `count` at most, and at least one if there are any.
    pub(super) fn due(&self, now_ms: u64, count: usize) -> Vec<Arc<Hold>> {
        let mut due: Vec<Arc<Hold>> = Vec::new();
        for shard in &self.shards {
            let shard = shard.lock();
            let levels = shard.firsts.iter().take_while(|first| first.deadline_ms() <= now_ms);
            let entries = levels.flat_map(|first| {
                shard.of_level(first.level()).take_while(|entry| entry.deadline_ms() <= now_ms)
            });
            due.extend(entries.take(count - due.len()).map(|entry| Arc::clone(&entry.hold)));
            if due.len() == count {
                break;
            }
        }
        // One of several levels was found at each.
        due.sort_unstable_by_key(|hold| address(hold));
        due.dedup_by_key(|hold| address(hold));
        due
    }

    /// Changes what is entered of a level; whether the earliest of all has become earlier.
    fn change(&self, key: &StockKey, change: impl FnOnce(&mut Shard, u16)) -> bool {
        let (index, level) = self.place_of(key);
        let mut shard = self.shards[index].lock();
        let before = shard.first_of(level);
        change(&mut shard, level);
        let after = shard.first_of(level);
        if before == after {
            return false;
        }
        if let Some(before) = before {
            shard.firsts.remove(&First::new(before, level).key());
        }
        if let Some(after) = after {
            shard.firsts.insert(First::new(after, level));
        }
        self.note(index, &shard)
    }

    /// Under the lock of the shard: its earliest may be another one.
    fn note(&self, index: usize, shard: &Shard) -> bool {
        let first = shard.firsts.first().map_or(u64::MAX, First::deadline_ms);
        let mut firsts = self.firsts.lock();
        if firsts[index] == first {
            return false;
        }
        firsts[index] = first;
        let earliest = firsts.iter().copied().min().unwrap_or(u64::MAX);
        earliest < self.earliest.swap(earliest, Ordering::SeqCst)
    }

    /// The shard of a level, and what tells it from others there.
    fn place_of(&self, key: &StockKey) -> (usize, u16) {
        let hash = self.hasher.hash_one(key);
        let shard = usize::try_from(hash % SHARDS as u64).expect("below the number of shards");
        (shard, u16::try_from(hash >> DEADLINE_BITS).expect("16 bits"))
    }

    #[cfg(test)]
    pub(super) fn shard_of(&self, key: &StockKey) -> usize {
        self.place_of(key).0
    }
}

impl Shard {
    /// What is entered of a level, the earliest first.
    fn of_level(&self, level: u16) -> impl Iterator<Item = &Entry> {
        self.all
            .at_or_above(&(Entry::word(level, 0), 0))
            .take_while(move |entry| entry.level() == u64::from(level))
    }

    fn first_of(&self, level: u16) -> Option<u64> {
        self.of_level(level).next().map(Entry::deadline_ms)
    }
}

fn address(hold: &Hold) -> usize {
    std::ptr::from_ref(hold).addr()
}
