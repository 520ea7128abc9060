//! What is known of the levels that come and go, by everybody together: it turns "it was missing" into a version.
//!
//! Each of these levels belongs to one client, its *owner*, who alone changes it: a creation (odd versions), then a
//! deletion (even ones), one at a time. A listing does not say at which version a level is missing, but this much is
//! certain of a level that was missing from a walk that began when version `v` was known:
//!
//! * `v` is even: it was missing then, and may have been all along. It was seen at version `v` or later.
//! * `v` is odd: a deletion was seen that nobody had told of when the walk began. Since `v + 2` is asked for only when
//!   `v + 1` is known, the level was missing at version `v + 1` during the walk.
//!
//! So the history may hold a read of the level at just that version, within the walk, and whoever keeps the promises is
//! never accused for it: whatever was answered at a later version was answered after the walk began. That needs one
//! order of "it is known" and "the walk began", so both are stamped under one lock: what is known is known before the
//! answer that told of it counts as returned.

use std::fmt;

use history::{Key, Seen};
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::schedule::Clock;

/// What is known of the levels that come and go.
pub struct Board {
    clock: Clock,
    /// The first of them. They follow one another.
    first: u32,
    known: Mutex<Vec<Known>>,
    /// Told of a deletion that was seen before anybody was told of it.
    early: Notify,
}

/// What is known of one level. Without a doubt about the last change all three are the same.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Known {
    /// The version its owner was told.
    answered: u64,
    /// The highest version that any answer told of.
    told: u64,
    /// The version that the last request of its owner makes.
    asked: u64,
}

/// What was known when a walk began.
#[derive(Debug, Clone)]
pub struct Outset {
    /// When it began.
    pub at_ns: u64,
    first: u32,
    known: Vec<Known>,
}

/// What a walk's answers mean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrival {
    /// When they count as returned.
    pub at_ns: u64,
    /// The levels that were missing, as far as that says anything.
    pub missing: Vec<Missing>,
}

/// A level that was missing from a walk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Missing {
    /// The level.
    pub key: Key,
    /// Where it was missing.
    pub version: u64,
    /// Whether this is the first that anybody was told of that version.
    pub is_early: bool,
    /// Whether it was there all along: its creation was answered before the walk, and no deletion was sent until after.
    pub is_left_out: bool,
}

impl Board {
    /// That many levels from `first` on, of which nothing is known.
    pub fn new(first: Key, levels: u32, clock: Clock) -> Self {
        let known = Mutex::new(vec![Known::default(); levels as usize]);
        Self { clock, first: first.0, known, early: Notify::new() }
    }

    /// The owner is about to send a change that makes this version. Answers when it counts as sent.
    pub fn ask(&self, key: Key, version: u64) -> u64 {
        self.note(key, |known| known.asked = version)
    }

    /// The owner was told that the level is at this version, and has no request on its way. Answers when the answer counts
    /// as returned.
    pub fn settle(&self, key: Key, version: u64) -> u64 {
        self.note(key, |known| *known = Known { answered: version, told: version, asked: version })
    }

    /// Somebody else was told of this version of a level; it may be any level of the run.
    pub fn tell(&self, seen: &Seen) {
        if self.is_of(seen.key) {
            self.note(seen.key, |known| known.told = known.told.max(seen.version));
        }
    }

    /// A walk begins: nothing is sent yet.
    pub fn outset(&self) -> Outset {
        let known = self.known.lock();
        Outset { at_ns: self.clock.now_ns(), first: self.first, known: known.clone() }
    }

    /// The answers of a walk are there: what they showed, and which levels, of those that come and go, were missing where
    /// they would have been.
    pub fn arrive(&self, outset: &Outset, shown: &[Seen], missing: impl Iterator<Item = Key>) -> Arrival {
        let mut known = self.known.lock();
        for seen in shown.iter().filter(|seen| self.is_of(seen.key)) {
            let known = &mut known[self.index(seen.key)];
            known.told = known.told.max(seen.version);
        }
        let missing: Vec<Missing> = missing
            .filter_map(|key| {
                let index = self.index(key);
                outset.known[index].missing(&mut known[index], key)
            })
            .collect();
        if missing.iter().any(|missing| missing.is_early) {
            self.early.notify_waiters();
        }
        Arrival { at_ns: self.clock.now_ns(), missing }
    }

    /// Waits until a walk shows a deletion that nobody was told of. If a crash takes it back, this is the moment.
    pub async fn early_deletion(&self) {
        self.early.notified().await;
    }

    fn note(&self, key: Key, note: impl FnOnce(&mut Known)) -> u64 {
        let mut known = self.known.lock();
        note(&mut known[self.index(key)]);
        self.clock.now_ns()
    }

    fn is_of(&self, key: Key) -> bool {
        key.0 >= self.first
    }

    fn index(&self, key: Key) -> usize {
        (key.0 - self.first) as usize
    }
}

impl Outset {
    /// The version that was known of a level; 0 for one that does not come and go.
    pub fn told(&self, key: Key) -> u64 {
        let index = key.0.checked_sub(self.first);
        index.and_then(|index| self.known.get(index as usize)).map_or(0, |known| known.told)
    }
}

impl Known {
    /// What it means that the level was missing from a walk that began when this was known, and ended when `now` is.
    fn missing(self, now: &mut Self, key: Key) -> Option<Missing> {
        if self.told.is_multiple_of(2) {
            return Some(Missing { key, version: self.told, is_early: false, is_left_out: false });
        }
        let version = self.told + 1;
        if now.asked >= version {
            let is_early = now.told < version;
            now.told = now.told.max(version);
            return Some(Missing { key, version, is_early, is_left_out: false });
        }
        // No deletion was sent. Of a level whose creation was not answered when the walk began nothing is promised.
        let is_left_out = self.answered == self.told;
        is_left_out.then_some(Missing { key, version, is_early: false, is_left_out })
    }
}

impl fmt::Debug for Board {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Board").field("first", &self.first).finish_non_exhaustive()
    }
}

#[cfg(test)]
#[path = "board_tests.rs"]
mod tests;
