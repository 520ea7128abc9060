//! [`Script`]: what a client asks, one after the other; the same for the same seed.

use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};

/// What is asked of the service, of levels by their number.
#[derive(Debug, Clone)]
pub(super) enum Deed {
    Read(usize),
    Create(usize, u64),
    Count(usize, u64),
    Adjust(usize, i64),
    Delete(usize),
    /// Several levels, all or none, each created where it is missing.
    Many(Vec<(usize, i64)>),
    /// Several changes, each alone.
    Each(Vec<(usize, i64)>),
    /// All levels.
    List,
}

/// A deed, and the idempotency key it is done under.
#[derive(Debug, Clone)]
pub(super) struct Ask {
    pub(super) deed: Deed,
    pub(super) key: Option<u128>,
}

/// An endless script over a few levels.
#[derive(Debug)]
pub(super) struct Script {
    random: Xoshiro256PlusPlus,
    levels: std::ops::Range<usize>,
    keys: std::ops::Range<u128>,
}

impl Script {
    /// About those levels, with idempotency keys of that range, some of them more than once.
    pub(super) fn new(seed: u64, levels: std::ops::Range<usize>, keys: std::ops::Range<u128>) -> Self {
        Self { random: Xoshiro256PlusPlus::seed_from_u64(seed), levels, keys }
    }

    pub(super) fn next(&mut self) -> Ask {
        let deed = self.deed();
        let may = !self.keys.is_empty() && !matches!(deed, Deed::Read(_) | Deed::List);
        let key = (may && self.random.random_bool(0.4)).then(|| self.random.random_range(self.keys.clone()));
        Ask { deed, key }
    }

    fn deed(&mut self) -> Deed {
        let level = self.level();
        match self.random.random_range(0..15) {
            12 => Deed::List,
            13.. => {
                let lines = self.random.random_range(1..5);
                Deed::Each((0..lines).map(|_| (self.level(), self.random.random_range(-3..5))).collect())
            }
            0..2 => Deed::Read(level),
            2..4 => Deed::Create(level, self.random.random_range(0..9)),
            4 => Deed::Count(level, self.random.random_range(0..9)),
            5..8 => Deed::Adjust(level, self.random.random_range(-4..6)),
            8 => Deed::Delete(level),
            _ => {
                let mut lines = vec![(level, self.random.random_range(-3..5))];
                for _ in 0..self.random.random_range(1..3) {
                    let other = self.level();
                    if lines.iter().all(|(there, _)| *there != other) {
                        lines.push((other, self.random.random_range(-2..4)));
                    }
                }
                Deed::Many(lines)
            }
        }
    }

    fn level(&mut self) -> usize {
        self.random.random_range(self.levels.clone())
    }
}
