//! The floor: what the bare primitives cost on the same tapes, so that a strategy's figure can be read as "so much more".
//!
//! They are no strategies. They keep a number of units without a version, reserve nothing, and know neither wait bounds
//! nor records of what they did; the lines of a transaction are applied one after another. What they share with the
//! strategies is the check-then-act: no number goes below zero, and no update is lost, which is verified by adding up.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use history::{Effect, Key, Line};
use inventory::stock::StockKey;
use portable_atomic::AtomicU128;

use super::block_on::Parker;
use super::tape::{Step, Tape};
use super::timed::{Tally, Target};

/// A number of units that many threads change, without losing a change or going below zero.
pub trait Cell: Sync + Send {
    /// A cell with these units.
    fn new(units: i64) -> Self;
    /// The units.
    fn get(&self) -> i64;
    /// Replaces the units by what `next` makes of them, or not where it refuses. The units before and after.
    fn change(&self, next: impl Fn(i64) -> Option<i64>) -> Option<(i64, i64)>;
}

/// How a cell is found.
pub trait Find: Sync {
    /// What is found.
    type Cell: Cell;
    /// Calls `visit` with the cell of a level.
    fn visit<R>(&self, level: u32, visit: impl FnOnce(&Self::Cell) -> R) -> R;
}

/// Units changed by a compare-and-swap loop.
#[derive(Debug)]
pub struct Swapped(AtomicI64);

/// Units in a word of 128 bits, changed by a compare-and-swap loop: the size of the word of `atomic`.
#[derive(Debug)]
pub struct SwappedWide(AtomicU128);

/// Units behind a mutex.
#[derive(Debug)]
pub struct Locked(parking_lot::Mutex<i64>);

/// One cell for all levels: the bare primitive.
#[derive(Debug)]
pub struct Bare<C>(C);

/// A cell for each level in papaya's lock-free map: the look-up that `atomic` makes.
#[derive(Debug)]
pub struct Papaya<C> {
    keys: Arc<[StockKey]>,
    map: papaya::HashMap<StockKey, C, ahash::RandomState>,
}

/// A cell for each level in a plain hash map that nobody changes: the least that a look-up can cost.
#[derive(Debug)]
pub struct Hashbrown {
    keys: Arc<[StockKey]>,
    map: hashbrown::HashMap<StockKey, Swapped, ahash::RandomState>,
}

/// A floor as a target.
#[derive(Debug)]
pub struct Floor<F> {
    cells: F,
    levels: u32,
}

impl Cell for Swapped {
    fn new(units: i64) -> Self {
        Self(AtomicI64::new(units))
    }

    #[inline]
    fn get(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }

    #[inline]
    fn change(&self, next: impl Fn(i64) -> Option<i64>) -> Option<(i64, i64)> {
        let mut before = self.get();
        loop {
            let after = next(before)?;
            match self.0.compare_exchange(before, after, Ordering::SeqCst, Ordering::SeqCst) {
                Ok(_) => return Some((before, after)),
                Err(found) => before = found,
            }
        }
    }
}

impl Cell for SwappedWide {
    fn new(units: i64) -> Self {
        Self(AtomicU128::new(wide(units)))
    }

    #[inline]
    fn get(&self) -> i64 {
        narrow(self.0.load(Ordering::SeqCst))
    }

    #[inline]
    fn change(&self, next: impl Fn(i64) -> Option<i64>) -> Option<(i64, i64)> {
        let mut before = self.get();
        loop {
            let after = next(before)?;
            match self.0.compare_exchange(wide(before), wide(after), Ordering::SeqCst, Ordering::SeqCst) {
                Ok(_) => return Some((before, after)),
                Err(found) => before = narrow(found),
            }
        }
    }
}

fn wide(units: i64) -> u128 {
    u128::from(units.cast_unsigned())
}

#[expect(clippy::cast_possible_truncation, reason = "only 64 bits of the word are used")]
fn narrow(word: u128) -> i64 {
    (word as u64).cast_signed()
}

impl Cell for Locked {
    fn new(units: i64) -> Self {
        Self(parking_lot::Mutex::new(units))
    }

    #[inline]
    fn get(&self) -> i64 {
        *self.0.lock()
    }

    #[inline]
    fn change(&self, next: impl Fn(i64) -> Option<i64>) -> Option<(i64, i64)> {
        let mut units = self.0.lock();
        let before = *units;
        *units = next(before)?;
        Some((before, *units))
    }
}

impl<C: Cell> Bare<C> {
    /// One cell with these units.
    pub fn new(units: i64) -> Self {
        Self(C::new(units))
    }
}

impl<C: Cell> Papaya<C> {
    /// A cell with these units for each key.
    pub fn new(keys: &Arc<[StockKey]>, units: i64) -> Self {
        let map = papaya::HashMap::default();
        // Less than half full, as `atomic` keeps its map.
        map.pin().reserve(2 * keys.len());
        keys.iter().for_each(|key| {
            map.pin().insert(key.clone(), C::new(units));
        });
        Self { keys: Arc::clone(keys), map }
    }
}

impl Hashbrown {
    /// A cell with these units for each key.
    pub fn new(keys: &Arc<[StockKey]>, units: i64) -> Self {
        let map = keys.iter().map(|key| (key.clone(), Swapped::new(units))).collect();
        Self { keys: Arc::clone(keys), map }
    }
}

impl<C: Cell> Find for Bare<C> {
    type Cell = C;

    #[inline]
    fn visit<R>(&self, _level: u32, visit: impl FnOnce(&C) -> R) -> R {
        visit(&self.0)
    }
}

impl<C: Cell> Find for Papaya<C> {
    type Cell = C;

    #[inline]
    fn visit<R>(&self, level: u32, visit: impl FnOnce(&C) -> R) -> R {
        visit(self.map.pin().get(&self.keys[level as usize]).expect("every key is there"))
    }
}

impl Find for Hashbrown {
    type Cell = Swapped;

    #[inline]
    fn visit<R>(&self, level: u32, visit: impl FnOnce(&Swapped) -> R) -> R {
        visit(self.map.get(&self.keys[level as usize]).expect("every key is there"))
    }
}

impl<F: Find> Floor<F> {
    /// Cells for that many levels; one for a bare primitive.
    pub fn new(cells: F, levels: usize) -> Self {
        Self { cells, levels: u32::try_from(levels).expect("levels are few") }
    }

    /// The units of all levels: call it while nobody changes them.
    pub fn sum(&self) -> i64 {
        (0..self.levels).map(|level| self.cells.visit(level, F::Cell::get)).sum()
    }

    #[inline]
    fn line(&self, Line { key, effect }: Line, tally: &mut Tally) {
        let next = |before: i64| match effect {
            Effect::Add(delta) | Effect::AddOrCreate(delta) => {
                Some(before + delta).filter(|after| *after >= 0)
            }
            Effect::Create(units) | Effect::Count { on_hand: units, .. } => Some(units.cast_signed()),
            Effect::Delete => Some(0),
        };
        match self.cells.visit(key.0, |cell| cell.change(next)) {
            Some((before, after)) => {
                tally.changes += 1;
                tally.units += after - before;
            }
            None => tally.refused += 1,
        }
    }
}

impl<F: Find> Target for Floor<F> {
    #[inline]
    fn perform(&self, _: &Parker, tape: &Tape, step: Step, tally: &mut Tally) {
        match step {
            Step::Read(level) => {
                std::hint::black_box(self.cells.visit(level, F::Cell::get));
            }
            Step::Adjust { level, delta } => {
                self.line(Line { key: Key(level), effect: Effect::Add(i64::from(delta)) }, tally);
            }
            Step::Change(index) => self.line(tape.changes[index as usize].line, tally),
            Step::Transact(index) => {
                let lines = &tape.transactions[index as usize].lines;
                for line in lines {
                    self.line(*line, tally);
                }
            }
        }
    }
}
