//! The map from key to cell: cells are found and added, never removed.

use std::sync::atomic::{AtomicUsize, Ordering};

use papaya::{HashMapRef, LocalGuard};

use super::word::{PackedWord, Word};
use crate::stock::{Level, StockKey};

/// A lock-free map of cells.
#[derive(Debug, Default)]
pub struct Cells {
    map: papaya::HashMap<StockKey, PackedWord, ahash::RandomState>,
    created: AtomicUsize,
}

/// The map while a thread looks at it: what it finds stays valid that long.
#[derive(Debug)]
pub struct Pinned<'a> {
    map: HashMapRef<'a, StockKey, PackedWord, ahash::RandomState, LocalGuard<'a>>,
    created: &'a AtomicUsize,
}

impl Cells {
    /// Looks at the map.
    #[inline]
    pub fn pin(&self) -> Pinned<'_> {
        Pinned { map: self.map.pin(), created: &self.created }
    }
}

impl Pinned<'_> {
    /// The cell of a key, if there is one.
    #[inline]
    pub fn get(&self, key: &StockKey) -> Option<&PackedWord> {
        self.map.get(key)
    }

    /// The cell of a key; a new one of an absent level where there is none.
    #[cold]
    pub fn get_or_create(&self, key: &StockKey) -> &PackedWord {
        let mut created = false;
        let cell = self.map.get_or_insert_with(key.clone(), || {
            created = true;
            PackedWord::new(Level::ABSENT)
        });
        if created {
            self.keep_sparse();
        }
        cell
    }

    /// A cell of a level that was there before, in a map that has none of that key.
    pub fn restore(&self, key: StockKey, level: Level) {
        self.map.insert(key, PackedWord::new(level));
        self.keep_sparse();
    }

    /// Makes room for as many cells again at each doubling. Left to itself the map fills to some 85% before it
    /// grows, and a look-up then takes several probes; this way it is never more than half full.
    fn keep_sparse(&self) {
        let created = self.created.fetch_add(1, Ordering::Relaxed) + 1;
        if created.is_power_of_two() {
            self.map.reserve(created);
        }
    }
}
