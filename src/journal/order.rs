//! [`Order`]: records that came before what they depend on, held back until it is written.
//!
//! Two changes of one level may be handed over in either order. A record is written only when, for each level it touches,
//! the change with the version before is written or goes before it in the same group; so what is on disk is closed under
//! dependency wherever the log is cut. Since transactions are linearizable, two records never wait for each other: each
//! waits for what happened before it.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::stock::StockKey;

/// A record that waits, and what for.
#[derive(Debug)]
pub struct Held {
    /// Its bytes, unsealed.
    pub record: Vec<u8>,
    /// The lane whose slot it keeps.
    pub lane: usize,
    since: Instant,
    missing: usize,
}

/// The records that are held back.
#[derive(Debug, Default)]
pub struct Order {
    held: HashMap<u64, Held>,
    /// Who waits for that version of that level to be written.
    waiting: HashMap<(StockKey, u64), Vec<u64>, ahash::RandomState>,
    next: u64,
}

impl Order {
    /// Holds a record back until each of `missing`, a level's key and the version it must reach first, is written. At least one.
    pub fn hold(&mut self, record: &[u8], lane: usize, missing: impl IntoIterator<Item = (StockKey, u64)>) {
        let id = self.next;
        self.next += 1;
        let mut held = Held { record: record.to_vec(), lane, since: Instant::now(), missing: 0 };
        for on in missing {
            held.missing += 1;
            self.waiting.entry(on).or_default().push(id);
        }
        debug_assert!(held.missing > 0, "a record that waits for nothing is not held back");
        self.held.insert(id, held);
    }

    /// That version of that level was written: moves the records that waited for nothing else to `ready`.
    pub fn written(&mut self, key: &str, version: u64, ready: &mut Vec<Held>) {
        if self.waiting.is_empty() {
            return;
        }
        let key = StockKey::from_text(key).expect("the key of a level that was changed");
        for id in self.waiting.remove(&(key, version)).unwrap_or_default() {
            let held = self.held.get_mut(&id).expect("who waits is held");
            held.missing -= 1;
            if held.missing == 0 {
                ready.extend(self.held.remove(&id));
            }
        }
    }

    /// How many records are held back.
    pub fn len(&self) -> usize {
        self.held.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// How long the oldest has been held back.
    pub fn age(&self) -> Option<Duration> {
        self.held.values().map(|held| held.since.elapsed()).max()
    }

    /// What the oldest waits for: the change that is missing.
    pub fn missing(&self) -> Option<(&StockKey, u64)> {
        let oldest = self.held.iter().min_by_key(|(_, held)| held.since)?.0;
        let waits = |(_, ids): &(&(StockKey, u64), &Vec<u64>)| ids.contains(oldest);
        self.waiting.iter().find(waits).map(|((key, version), _)| (key, *version))
    }
}
