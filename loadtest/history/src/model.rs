//! The sequential model: what the service must do if it did one thing at a time.
//!
//! It is written from the service's promises, not from its code, and every judgement of the checkers goes through
//! it. Pure: no clock, no I/O, no knowledge of histories.

use serde::{Deserialize, Serialize};

use crate::record::{Effect, Key, Line, Outcome, Reason, Refused, Request, Seen, Stock};

/// The largest quantity: 2^40 - 1 units.
pub const QUANTITY_MAX: u64 = (1 << 40) - 1;

/// Beyond every sum of two quantities, so that a combined change may be clamped to it without changing any answer.
const UNITS_MAX: i64 = 1 << 42;

/// One stock level.
///
/// Its version counts the changes ever applied to it. A deleted level is a tombstone: no stock, but its version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Level {
    /// How many changes were applied, deletions included.
    pub version: u64,
    /// The units, or nothing for a level that never existed or was deleted.
    pub stock: Option<Units>,
}

/// The units of a level that exists, or of several together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct Units {
    /// Physically there.
    pub on_hand: u64,
    /// Held by reservations.
    pub reserved: u64,
}

/// What a write does to one level: the lines of one key, combined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Change {
    /// Add a signed number of units.
    Add {
        /// How many; beyond any quantity it is clamped.
        units: i64,
        /// Whether a missing level is created empty first.
        creates: bool,
    },
    /// Create the level.
    Create {
        /// With these units.
        on_hand: u64,
    },
    /// Set the units.
    Count {
        /// To this.
        on_hand: u64,
        /// Only if the level is at this version.
        if_version: Option<u64>,
    },
    /// Delete the level.
    Delete,
}

/// The lines of one key cannot be combined: only additions can.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("only additions can be combined on one level")]
pub struct Incombinable(pub Key);

/// In which order the reasons are tried when several are true: precondition, existence, state, stock.
const PRECEDENCE: [Reason; 6] = [
    Reason::VersionMismatch,
    Reason::Missing,
    Reason::Exists,
    Reason::Reserved,
    Reason::Insufficient,
    Reason::Overflow,
];

impl Level {
    /// The level after a change, one version higher, or the first reason to refuse it.
    pub fn after(self, change: Change) -> Result<Level, Reason> {
        if let Some(reason) = PRECEDENCE.into_iter().find(|reason| self.refuses(change, *reason)) {
            return Err(reason);
        }
        let Units { on_hand, reserved } = self.stock.unwrap_or_default();
        let stock = match change {
            Change::Add { units, .. } => {
                Some(Units { on_hand: on_hand.saturating_add_signed(units), reserved })
            }
            Change::Create { on_hand } | Change::Count { on_hand, .. } => Some(Units { on_hand, reserved }),
            Change::Delete => None,
        };
        Ok(Level { version: self.version + 1, stock })
    }

    /// Whether a reason to refuse a change is true of this level. Several can be, and a service may name any.
    pub fn refuses(self, change: Change, reason: Reason) -> bool {
        let exists = self.stock.is_some();
        let Units { on_hand, reserved } = self.stock.unwrap_or_default();
        match (reason, change) {
            (Reason::Exists, Change::Create { .. }) => exists,
            (
                Reason::Missing,
                Change::Add { creates: false, .. } | Change::Delete | Change::Count { if_version: None, .. },
            ) => !exists,
            (Reason::VersionMismatch, Change::Count { if_version: Some(version), .. }) => {
                !exists || version != self.version
            }
            (Reason::Reserved, Change::Delete) => reserved > 0,
            (Reason::Reserved, Change::Count { on_hand: counted, .. }) => exists && counted < reserved,
            (Reason::Insufficient, Change::Add { units, creates }) => {
                (exists || creates) && units < 0 && self.available() < units.unsigned_abs()
            }
            (Reason::Overflow, Change::Add { units, creates }) => {
                (exists || creates) && on_hand.saturating_add_signed(units) > QUANTITY_MAX
            }
            (Reason::Overflow, Change::Create { on_hand } | Change::Count { on_hand, .. }) => {
                on_hand > QUANTITY_MAX
            }
            _ => false,
        }
    }

    /// Units that may be taken: those on hand that no reservation holds. None of a missing level.
    pub fn available(self) -> u64 {
        self.stock.map_or(0, |units| units.on_hand.saturating_sub(units.reserved))
    }

    /// Whether an answer about this version tells the truth, as far as it tells anything.
    pub fn shows(self, told: Stock) -> bool {
        match told {
            Stock::Absent => self.stock.is_none(),
            Stock::Level { on_hand, reserved } => self.stock == Some(Units { on_hand, reserved }),
            Stock::Available(units) => self.available() == units,
            Stock::Untold => true,
        }
    }

    /// The level an answer tells, if it tells all of it.
    pub fn told(seen: &Seen) -> Option<Level> {
        let stock = match seen.stock {
            Stock::Absent => None,
            Stock::Level { on_hand, reserved } => Some(Units { on_hand, reserved }),
            Stock::Available(_) | Stock::Untold => return None,
        };
        Some(Level { version: seen.version, stock })
    }

    /// Whether the quantities are in range and no more units are held than are there.
    pub fn is_sound(self) -> bool {
        self.stock.is_none_or(|units| units.reserved <= units.on_hand && units.on_hand <= QUANTITY_MAX)
    }

    /// The level as a full answer tells it.
    pub fn seen(self, key: Key) -> Seen {
        let stock = self
            .stock
            .map_or(Stock::Absent, |Units { on_hand, reserved }| Stock::Level { on_hand, reserved });
        Seen { key, version: self.version, stock }
    }
}

impl From<Effect> for Change {
    fn from(effect: Effect) -> Self {
        match effect {
            Effect::Add(units) => Change::Add { units: units.clamp(-UNITS_MAX, UNITS_MAX), creates: false },
            Effect::AddOrCreate(units) => {
                Change::Add { units: units.clamp(-UNITS_MAX, UNITS_MAX), creates: true }
            }
            Effect::Create(on_hand) => Change::Create { on_hand },
            Effect::Count { on_hand, if_version } => Change::Count { on_hand, if_version },
            Effect::Delete => Change::Delete,
        }
    }
}

/// One change per key, sorted by key.
///
/// Additions to one key count together; if one of them may create the level, all together may. Whatever else names a
/// key twice has no meaning, and the service must not answer it as a change.
pub fn combine(lines: &[Line]) -> Result<Vec<(Key, Change)>, Incombinable> {
    let mut sorted = lines.to_vec();
    sorted.sort_by_key(|line| line.key);
    sorted
        .chunk_by(|a, b| a.key == b.key)
        .map(|same| match same {
            [line] => Ok((line.key, Change::from(line.effect))),
            [first, ..] => sum(same.iter()).map(|change| (first.key, change)).ok_or(Incombinable(first.key)),
            [] => unreachable!("a chunk has at least one line"),
        })
        .collect()
}

/// What lines ask of one level, which is what [`combine`] says of it; nothing if it is not named, or cannot be combined.
pub(crate) fn combine_on(lines: &[Line], key: Key) -> Option<Change> {
    let mut same = lines.iter().filter(|line| line.key == key);
    match (same.next(), same.next()) {
        (Some(line), None) => Some(Change::from(line.effect)),
        (Some(_), Some(_)) => sum(lines.iter().filter(|line| line.key == key)),
        _ => None,
    }
}

fn sum<'a>(lines: impl Iterator<Item = &'a Line>) -> Option<Change> {
    let mut total: i128 = 0;
    let mut creates = false;
    for line in lines {
        match line.effect {
            Effect::Add(units) => total += i128::from(units),
            Effect::AddOrCreate(units) => {
                total += i128::from(units);
                creates = true;
            }
            Effect::Create(_) | Effect::Count { .. } | Effect::Delete => return None,
        }
    }
    let clamped = total.clamp(-i128::from(UNITS_MAX), i128::from(UNITS_MAX));
    let units = i64::try_from(clamped).unwrap_or(UNITS_MAX);
    Some(Change::Add { units, creates })
}

/// A whole stock, one level per key: what a single-threaded service would hold.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct World {
    /// By index of the key.
    pub levels: Vec<Level>,
}

impl World {
    /// Every level absent and at version 0.
    pub fn empty(keys: usize) -> Self {
        Self { levels: vec![Level::default(); keys] }
    }

    /// Answers a request and, if it is a write that can be applied, applies it.
    ///
    /// A refusal names every level that refuses. What has no meaning is not applied.
    pub fn answer(&mut self, request: &Request) -> Outcome {
        match request {
            Request::Read(key) => Outcome::Read(self.levels[key.0 as usize].seen(*key)),
            Request::Snapshot(keys) => self.snapshot(keys),
            Request::Write(lines) => match combine(lines) {
                Ok(changes) => self.apply(&changes).map_or_else(Outcome::Refused, Outcome::Applied),
                Err(Incombinable(_)) => Outcome::NotApplied,
            },
        }
    }

    /// Several levels at once, each told once, and their sums.
    fn snapshot(&self, keys: &[Key]) -> Outcome {
        let mut keys = keys.to_vec();
        keys.sort_unstable();
        keys.dedup();
        let levels: Vec<Seen> = keys.iter().map(|key| self.levels[key.0 as usize].seen(*key)).collect();
        let totals = totals(&levels);
        Outcome::Snapshot { levels, totals }
    }

    /// Applies all changes (one per key), or none and every level that refuses.
    pub fn apply(&mut self, changes: &[(Key, Change)]) -> Result<Vec<Seen>, Vec<Refused>> {
        let mut next = Vec::with_capacity(changes.len());
        let mut refused = Vec::new();
        for (key, change) in changes {
            let level = self.levels[key.0 as usize];
            match level.after(*change) {
                Ok(after) => next.push(after.seen(*key)),
                Err(reason) => refused.push(Refused { seen: level.seen(*key), reason }),
            }
        }
        if !refused.is_empty() {
            return Err(refused);
        }
        for seen in &next {
            self.levels[seen.key.0 as usize] = Level::told(seen).unwrap_or_default();
        }
        Ok(next)
    }
}

/// What levels have together; a level that is not there has nothing. Nothing if one of them does not tell all of its units.
pub fn totals(levels: &[Seen]) -> Option<Units> {
    levels.iter().try_fold(Units::default(), |sum, seen| {
        let units = Level::told(seen)?.stock.unwrap_or_default();
        let (on_hand, reserved) =
            (sum.on_hand.checked_add(units.on_hand)?, sum.reserved.checked_add(units.reserved)?);
        Some(Units { on_hand, reserved })
    })
}
