//! [`Transaction`]: changes of several levels, all or nothing.

use thiserror::Error;

use super::key::StockKey;
use super::level::Level;
use super::operation::{Applied, Change, Precondition};
use super::refusal::Refusal;

/// The most changes one transaction may be made of, before those of one level are combined: 10 000 transfers
/// of two changes each.
pub const ENTRIES_MAX: usize = 20_000;

/// Changes of several levels that happen together or not at all (promise P4).
///
/// Sorted by key, and each key once: lines that name the same level are combined *before* they are judged, so
/// that a request for 2 and 3 units of the same sku asks for 5, and its level's version rises by one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transaction {
    entries: Vec<Entry>,
}

/// What a transaction does to one level.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The level.
    pub key: StockKey,
    /// The change: of all lines that named the level, together.
    pub change: Change,
    /// The first of those lines, counted from 0 as the client gave them.
    pub line: usize,
}

/// One level that stands in the way of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EntryRefusal {
    /// The index of the entry in [`Transaction::entries`].
    pub entry: usize,
    /// Why.
    pub refusal: Refusal,
}

/// One level that stands in the way of a request, by its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedLevel {
    /// The level.
    pub key: StockKey,
    /// The first line of the request that named it, counted from 0.
    pub line: usize,
    /// Why.
    pub refusal: Refusal,
}

/// Why lines do not make a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum TransactionError {
    /// There are none.
    #[error("a transaction has at least one line")]
    Empty,
    /// More than [`ENTRIES_MAX`].
    #[error("a transaction has at most {ENTRIES_MAX} changes, not {0}")]
    TooMany(usize),
    /// Two lines ask different kinds of things of one level, or their sum cannot be expressed.
    #[error("lines {first} and {second} name the same stock level and cannot be combined")]
    Conflict {
        /// The earlier line, counted from 0.
        first: usize,
        /// The later line.
        second: usize,
    },
}

impl Transaction {
    /// Sorts the changes by key and combines those of one level. `changes[i]` is line `i`; a caller whose lines
    /// are made of several changes uses [`Transaction::of_lines`].
    pub fn new(changes: Vec<(StockKey, Change)>) -> Result<Self, TransactionError> {
        Self::of_lines(changes.into_iter().enumerate().map(|(line, (key, change))| Entry {
            key,
            change,
            line,
        }))
    }

    /// As [`Transaction::new`], with each change's line number given.
    pub fn of_lines(entries: impl IntoIterator<Item = Entry>) -> Result<Self, TransactionError> {
        let mut entries: Vec<Entry> = entries.into_iter().collect();
        match entries.len() {
            0 => return Err(TransactionError::Empty),
            1..=ENTRIES_MAX => {}
            many => return Err(TransactionError::TooMany(many)),
        }
        // Stable, so that the first of several lines stays the first.
        entries.sort_by(|a, b| a.key.cmp(&b.key));
        let mut conflict = None;
        entries.dedup_by(|later, kept| {
            if later.key != kept.key {
                return false;
            }
            match combine(kept.change, later.change) {
                Some(change) => kept.change = change,
                None => {
                    conflict
                        .get_or_insert(TransactionError::Conflict { first: kept.line, second: later.line });
                }
            }
            true
        });
        conflict.map_or(Ok(Self { entries }), Err)
    }

    /// The entries: ascending by key, each key once.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// What the transaction does to each level, one per entry, or every entry that forbids it.
    ///
    /// `found[i]` is the level of `entries()[i]`; the slices have the same length.
    pub fn judge(&self, found: &[Level]) -> Result<Vec<Applied>, Vec<EntryRefusal>> {
        assert_eq!(found.len(), self.entries.len(), "one level per entry");
        let mut applied = Vec::with_capacity(found.len());
        let mut refusals = Vec::new();
        for (entry, (wanted, &before)) in self.entries.iter().zip(found).enumerate() {
            match wanted.change.judge(before) {
                Ok(after) => applied.push(Applied { before, after }),
                Err(refusal) => refusals.push(EntryRefusal { entry, refusal }),
            }
        }
        if refusals.is_empty() { Ok(applied) } else { Err(refusals) }
    }
}

fn combine(first: Change, second: Change) -> Option<Change> {
    let precondition = match (first.precondition, second.precondition) {
        (Precondition::Any, other) | (other, Precondition::Any) => other,
        (one, other) if one == other => one,
        _ => return None,
    };
    Some(Change { operation: first.operation.combine(second.operation)?, precondition })
}

#[cfg(test)]
mod tests;
