//! [`Order`]: records that came before what they depend on, held back until it is written.
//!
//! Two changes of one level may be handed over in either order. A record is written only when, for each level it touches,
//! the change with the version before is written or goes before it in the same group; so what is on disk is closed under
//! dependency wherever the log is cut. Since transactions are linearizable, two records never wait for each other: each
//! waits for what happened before it.
//!
//! A record may have several lines of one level, whose versions follow each other. The first of them waits for what is before
//! the record, the others for nothing: see [`missing`].
//!
//! In memory, where a change is answered before it is written, what was handed over after a record that waits is *parked* behind it:
//! it may be of another level, and made by somebody who had the answer to the one that waits. Only what is waited for overtakes.
//!
//! Levels are told apart by the hash of their key here. If two ever share one, a record may be taken for ready too soon: the
//! writer looks again before it writes, and holds it back once more.

use std::collections::{HashSet, VecDeque};
use std::time::{Duration, Instant};

use hashbrown::HashTable;
use thiserror::Error;

use super::heads::{Head, Heads, KeyHash, version};
use super::record;
use crate::stock::Level;

/// A record that waits, and what for.
#[derive(Debug)]
pub struct Held {
    /// Its bytes, unsealed.
    pub record: Vec<u8>,
    /// The lane whose slot it keeps.
    pub lane: usize,
    /// How many records of that lane came before it.
    pub number: u64,
    since: Instant,
    missing: usize,
}

/// A record as it was taken from its lane.
#[derive(Debug, Clone, Copy)]
pub struct Taken<'a> {
    /// Its bytes, unsealed.
    pub record: &'a [u8],
    /// The lane.
    pub lane: usize,
    /// How many records of that lane came before it.
    pub number: u64,
}

/// A change that must be written before a record is, and is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Missing<'r> {
    /// The key of its level.
    pub key: &'r str,
    /// The level.
    pub level: KeyHash,
    /// The version.
    pub version: u64,
}

/// A change of a level to a version that does not follow: whoever handed it over broke the contract of the stock.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "{key} was changed to version {version} after version {written} was written: the stock broke its contract"
)]
pub struct Twice {
    /// The level.
    pub key: String,
    /// The version that was handed over.
    pub version: u64,
    /// The version that was written.
    pub written: u64,
}

/// What a record, handed over and unsealed, waits for: of each line the version before it, unless that is written or is a line of
/// the same record. `hashes` has that of each line's key.
pub fn missing<'r>(heads: &Heads, record: &'r [u8], hashes: &[KeyHash]) -> Result<Vec<Missing<'r>>, Twice> {
    let mut missing = Vec::new();
    for ((key, after), &level) in record::trusted_lines(record).zip(hashes) {
        let version = missing_before(key, after, heads.get(key, level))?;
        missing.extend(version.map(|version| Missing { key, level, version }));
    }
    if !missing.is_empty() {
        let own: HashSet<(&str, u64)> =
            record::trusted_lines(record).map(|(key, after)| (key, after.version())).collect();
        missing.retain(|missing| !own.contains(&(missing.key, missing.version)));
    }
    Ok(missing)
}

/// The version that must be written before a change, if it is not; `head` is what is written of the level.
pub fn missing_before(key: &str, after: Level, head: Option<Head>) -> Result<Option<u64>, Twice> {
    if after.version() <= version(head) {
        return Err(Twice::new(key, after, head));
    }
    let before = after.version() - 1;
    Ok((before > version(head)).then_some(before))
}

impl Twice {
    /// That change, where `head` is what is written of the level.
    pub fn new(key: &str, after: Level, head: Option<Head>) -> Self {
        Self { key: key.to_owned(), version: after.version(), written: version(head) }
    }
}

/// The records that are held back.
#[derive(Debug, Default)]
pub struct Order {
    /// Places, which are used again.
    held: Vec<Option<Held>>,
    free: Vec<usize>,
    waiting: HashTable<Waiting>,
    hasher: ahash::RandomState,
    /// What comes after a record that is held back, in its order.
    parked: VecDeque<Held>,
    /// Something is waited for that was not, since the parked were last looked through for it.
    look_again: bool,
}

/// The record in that place waits for that version of that level to be written.
#[derive(Debug, Clone, Copy)]
struct Waiting {
    level: KeyHash,
    version: u64,
    held: usize,
}

impl Order {
    /// Holds a record back until each of `missing`, a level and the version it must reach first, is written. At least one.
    pub fn hold(&mut self, record: Taken<'_>, missing: impl IntoIterator<Item = (KeyHash, u64)>) {
        let Taken { record, lane, number } = record;
        let place = self.free.pop().unwrap_or_else(|| {
            self.held.push(None);
            self.held.len() - 1
        });
        let mut held = Held { record: record.to_vec(), lane, number, since: Instant::now(), missing: 0 };
        self.look_again = true;
        let hasher = &self.hasher;
        for (level, version) in missing {
            held.missing += 1;
            let hash = hasher.hash_one((level, version));
            let rehash = |waiting: &Waiting| hasher.hash_one((waiting.level, waiting.version));
            self.waiting.insert_unique(hash, Waiting { level, version, held: place }, rehash);
        }
        debug_assert!(held.missing > 0, "a record that waits for nothing is not held back");
        self.held[place] = Some(held);
    }

    /// That version of that level was written: moves the records that waited for nothing else to `ready`.
    pub fn written(&mut self, level: KeyHash, version: u64, ready: &mut Vec<Held>) {
        if self.waiting.is_empty() {
            return;
        }
        let hash = self.hasher.hash_one((level, version));
        let is_it = |waiting: &Waiting| waiting.level == level && waiting.version == version;
        while let Ok(entry) = self.waiting.find_entry(hash, is_it) {
            let (Waiting { held: place, .. }, _) = entry.remove();
            let held = self.held[place].as_mut().expect("who waits is held");
            held.missing -= 1;
            if held.missing == 0 {
                ready.extend(self.held[place].take());
                self.free.push(place);
            }
        }
    }

    /// Whether a record has to wait behind one that is held back, because no held one waits for a change in it.
    pub fn is_behind(&self, record: &[u8], heads: &Heads) -> bool {
        !self.is_empty() && !self.is_awaited(record, heads)
    }

    /// Keeps a record until those before it are written, or until one of them waits for it.
    pub fn park(&mut self, record: Taken<'_>) {
        let Taken { record, lane, number } = record;
        self.parked.push_back(Held {
            record: record.to_vec(),
            lane,
            number,
            since: Instant::now(),
            missing: 0,
        });
    }

    /// The next of the parked that may be written, or looked at.
    pub fn unpark(&mut self, heads: &Heads) -> Option<Held> {
        if self.is_empty() {
            return self.parked.pop_front();
        }
        if !std::mem::take(&mut self.look_again) {
            return None;
        }
        let awaited = self.parked.iter().position(|parked| self.is_awaited(&parked.record, heads))?;
        // There may be another.
        self.look_again = true;
        self.parked.remove(awaited)
    }

    fn is_awaited(&self, record: &[u8], heads: &Heads) -> bool {
        record::trusted_lines(record).any(|(key, after)| {
            let (level, version) = (heads.hash(key), after.version());
            let hash = self.hasher.hash_one((level, version));
            self.waiting.find(hash, |waiting| waiting.level == level && waiting.version == version).is_some()
        })
    }

    /// How many records are held back.
    pub fn len(&self) -> usize {
        self.held.len() - self.free.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Lowers the count of each lane to its first record that is held back, or parked.
    pub fn lower(&self, counts: &mut [u64]) {
        for held in self.held.iter().flatten().chain(&self.parked) {
            counts[held.lane] = counts[held.lane].min(held.number);
        }
    }

    /// The record that has been held back for longest.
    pub fn oldest(&self) -> Option<&Held> {
        self.held.iter().flatten().min_by_key(|held| held.since)
    }
}

impl Held {
    /// The record, to be looked at again.
    pub fn taken(&self) -> Taken<'_> {
        Taken { record: &self.record, lane: self.lane, number: self.number }
    }

    /// How long it has been held back.
    pub fn age(&self) -> Duration {
        self.since.elapsed()
    }
}

#[cfg(test)]
mod tests;
