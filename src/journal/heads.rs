//! [`Heads`]: of each level, the last change that was written to the log.
//!
//! The writer keeps it: it tells which change of a level may be written next, and where the link of that change points.
//! Readers use it to ask whether what they saw is on disk (promise P7), the ledger to find where a level's history starts,
//! a snapshot to walk all levels. It is a plain map in shards, each behind a lock held for one look-up: its readers never meet
//! the strategy's, and the writer is alone in changing it.

use hashbrown::HashTable;
use parking_lot::RwLock;
use tokio::sync::oneshot;

use crate::stock::{Level, StockKey};

/// Shards: a power of two. Far more than threads, so two seldom meet in one.
const SHARDS: usize = 256;

/// The last written change of every level.
#[derive(Debug)]
pub struct Heads {
    shards: Box<[RwLock<Shard>]>,
    hasher: ahash::RandomState,
}

/// The last written change of one level.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// The level after it.
    pub level: Level,
    /// The position of its record.
    pub position: u64,
}

/// A shard: levels, and who waits for a version of one of them to be written.
#[derive(Default)]
struct Shard {
    table: HashTable<Known>,
    waiting: Vec<Waiting>,
    /// Nobody is put on the list: see [`Heads::stall`].
    stalled: bool,
}

struct Known {
    key: StockKey,
    head: Head,
}

struct Waiting {
    hash: u64,
    version: u64,
    told: oneshot::Sender<()>,
}

/// Whether a version of a level is in the log.
#[derive(Debug)]
pub enum Written {
    /// It is, in a record at this position or before it.
    At(u64),
    /// Not yet: the receiver is told when the group that holds it is on disk, or ends with an error if that never happens.
    NotYet(oneshot::Receiver<()>),
}

/// The hash of a key, so that a level is hashed once and looked up twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyHash(u64);

impl Heads {
    /// No levels.
    pub fn new() -> Self {
        let shards = (0..SHARDS).map(|_| RwLock::default()).collect();
        Self { shards, hasher: ahash::RandomState::new() }
    }

    /// The hash of the text of a key, to look it up with.
    pub fn hash(&self, key: &str) -> KeyHash {
        KeyHash(self.hasher.hash_one(key))
    }

    /// The last written change of a level: `None` if there never was one.
    pub fn get(&self, key: &str, hash: KeyHash) -> Option<Head> {
        self.shard(hash).read().find(key, hash)
    }

    /// Whether that version of the level, which somebody saw, is in the log; if not, who asks is put on the list of those
    /// who are told.
    pub fn written(&self, key: &StockKey, version: u64) -> Written {
        let text = key.text();
        let hash = self.hash(text);
        let shard = self.shard(hash);
        if let Some(position) = shard.read().position_since(text, hash, version) {
            return Written::At(position);
        }
        let mut shard = shard.write();
        // Again, under the lock under which the writer looks for who waits.
        if let Some(position) = shard.position_since(text, hash, version) {
            return Written::At(position);
        }
        let (told, telling) = oneshot::channel();
        if !shard.stalled {
            shard.waiting.push(Waiting { hash: hash.0, version, told });
        }
        Written::NotYet(telling)
    }

    /// Sets the last written change of a level if it is the one that follows the last: what [`Heads::get`] and [`Heads::set`]
    /// do, with one look-up. Returns the head before; if the change does not follow it, nothing is set.
    pub fn advance(
        &self,
        key: &str,
        hash: KeyHash,
        head: Head,
        woken: &mut Vec<oneshot::Sender<()>>,
    ) -> Result<Option<Head>, Option<Head>> {
        let mut shard = self.shard(hash).write();
        let before = shard.find_mut(key, hash);
        if version(before.as_deref().copied()) + 1 != head.level.version() {
            return Err(before.copied());
        }
        let before = match before {
            Some(there) => Some(std::mem::replace(there, head)),
            None => {
                shard.insert(&self.hasher, key, hash, head);
                None
            }
        };
        shard.wake(hash, head, woken);
        Ok(before)
    }

    /// Sets the last written change of a level, and moves those who wait for it to `woken`, to be told once it is on disk.
    pub fn set(&self, key: &str, hash: KeyHash, head: Head, woken: &mut Vec<oneshot::Sender<()>>) {
        let mut shard = self.shard(hash).write();
        match shard.find_mut(key, hash) {
            Some(there) => *there = head,
            None => shard.insert(&self.hasher, key, hash, head),
        }
        shard.wake(hash, head, woken);
    }

    /// Replaces a level's last written change by what `next` makes of it, unless that is `None`: one look-up. Returns whether the
    /// key is that of a possible level; if not, nothing was set. For recovery, where nobody waits.
    pub fn replay<E>(
        &self,
        key: &str,
        next: impl FnOnce(Option<Head>) -> Result<Option<Head>, E>,
    ) -> Result<bool, E> {
        let hash = self.hash(key);
        let table = &mut self.shard(hash).write().table;
        let found = table.find_mut(hash.0, |entry| entry.key.text() == key);
        let Some(head) = next(found.as_deref().map(|entry| entry.head))? else { return Ok(true) };
        if let Some(entry) = found {
            entry.head = head;
            return Ok(true);
        }
        let Some(key) = StockKey::from_text(key) else { return Ok(false) };
        table.insert_unique(hash.0, Known { key, head }, |entry| self.hasher.hash_one(entry.key.text()));
        Ok(true)
    }

    /// The log waits for room on the disk: whoever waits, or asks from now on, is told that nobody knows how long it takes, by an
    /// error of the receiver.
    pub fn stall(&self) {
        for shard in &self.shards {
            let mut shard = shard.write();
            shard.stalled = true;
            shard.waiting.clear();
        }
    }

    /// The log goes on after [`Heads::stall`].
    pub fn resume(&self) {
        self.shards.iter().for_each(|shard| shard.write().stalled = false);
    }

    /// Forgets everybody who waits: they are told that it will never happen.
    pub fn give_up(&self) {
        for shard in &self.shards {
            shard.write().waiting.clear();
        }
    }

    /// How many levels there are, tombstones included.
    pub fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.read().table.len()).sum()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Makes room for that many levels in all.
    pub fn reserve(&self, levels: usize) {
        for shard in &self.shards {
            let rehash = |entry: &Known| self.hasher.hash_one(entry.key.text());
            shard.write().table.reserve(levels / SHARDS * 9 / 8, rehash);
        }
    }

    /// Calls `each` with all levels, shard by shard; the writer waits for the copying of one shard at a time. A level changed
    /// meanwhile is seen before or after that change, never in between, and one that was there from the start is seen once.
    pub fn walk(&self, mut each: impl FnMut(&StockKey, Head)) {
        let mut copied = Vec::new();
        for shard in &self.shards {
            copied.extend(shard.read().table.iter().map(|entry| (entry.key.clone(), entry.head)));
            copied.drain(..).for_each(|(key, head): (StockKey, Head)| each(&key, head));
        }
    }

    fn shard(&self, hash: KeyHash) -> &RwLock<Shard> {
        // The table uses the lowest bits and the highest seven: the shard is chosen by those in the middle.
        let index = (hash.0 >> 32) as usize % SHARDS;
        &self.shards[index]
    }
}

impl Shard {
    fn find(&self, key: &str, hash: KeyHash) -> Option<Head> {
        self.table.find(hash.0, |entry| entry.key.text() == key).map(|entry| entry.head)
    }

    fn position_since(&self, key: &str, hash: KeyHash, version: u64) -> Option<u64> {
        self.find(key, hash).filter(|head| head.level.version() >= version).map(|head| head.position)
    }

    fn find_mut(&mut self, key: &str, hash: KeyHash) -> Option<&mut Head> {
        self.table.find_mut(hash.0, |entry| entry.key.text() == key).map(|entry| &mut entry.head)
    }

    fn insert(&mut self, hasher: &ahash::RandomState, key: &str, hash: KeyHash, head: Head) {
        let key = StockKey::from_text(key).expect("the key of a level that was changed");
        self.table.insert_unique(hash.0, Known { key, head }, |entry| hasher.hash_one(entry.key.text()));
    }

    fn wake(&mut self, hash: KeyHash, head: Head, woken: &mut Vec<oneshot::Sender<()>>) {
        if !self.waiting.is_empty() {
            let is_told =
                |waiting: &mut Waiting| waiting.hash == hash.0 && waiting.version <= head.level.version();
            woken.extend(self.waiting.extract_if(.., is_told).map(|waiting| waiting.told));
        }
    }
}

/// The version of a level's head: 0 where nothing was written of it.
pub fn version(head: Option<Head>) -> u64 {
    head.map_or(0, |head| head.level.version())
}

impl Default for Heads {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for Shard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shard")
            .field("levels", &self.table.len())
            .field("waiting", &self.waiting.len())
            .field("stalled", &self.stalled)
            .finish()
    }
}

#[cfg(test)]
mod tests;
