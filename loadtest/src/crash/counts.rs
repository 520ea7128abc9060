//! What the clients of a crash test did, in numbers.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::client::Kind;

/// What a client did.
#[derive(Debug, Default)]
pub struct Counts {
    /// Writes, by kind.
    pub writes: BTreeMap<Kind, Writes>,
    /// Reads that were answered.
    pub reads: u64,
    /// Reads that were not, which is of no consequence.
    pub reads_lost: u64,
    /// Requests sent, all attempts counted.
    pub requests: u64,
    /// Echoes with another outcome than before: the write was executed twice.
    pub echoes_differing: Examples,
    /// Echoes with the same outcome, but not marked as replayed or not the same byte for byte.
    pub echoes_inexact: Examples,
    /// Writes whose answer was marked as replayed, although every earlier attempt was said not to have happened.
    pub denied: Examples,
    /// Writes that the server would not have, or that it never answered within the contract.
    pub rejected: Examples,
    /// Levels that come and go.
    pub comings: Comings,
    /// Listings and exports.
    pub looks: Looks,
}

/// How the levels fared that come and go.
#[derive(Debug, Clone, Copy, Default, Serialize)]
#[expect(missing_docs, reason = "each is what its name says, explained in the README")]
pub struct Comings {
    pub created: u64,
    pub deleted: u64,
    pub refused: u64,
    pub unknown: u64,
    pub unknown_done: u64,
    pub unknown_not_done: u64,
    pub unresolved: u64,
}

/// What was looked at by listing and exporting.
#[derive(Debug, Clone, Copy, Default, Serialize)]
#[expect(missing_docs, reason = "each is what its name says, explained in the README")]
pub struct Looks {
    pub pages: u64,
    pub exports: u64,
    pub exports_cut_off: u64,
    pub levels_shown: u64,
    pub levels_missing: u64,
    pub deletions_early: u64,
}

/// The writes of one kind.
#[derive(Debug, Clone, Copy, Default, Serialize)]
#[expect(missing_docs, reason = "each is what its name says, explained in the README")]
pub struct Writes {
    pub applied: u64,
    pub refused: u64,
    pub unknown: u64,
    pub unknown_replayed: u64,
    pub unknown_executed: u64,
    pub unresolved: u64,
    pub echoes: u64,
}

/// How often something happened that should not, with the first example.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Examples {
    /// How often.
    pub count: u64,
    /// The first time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first: Option<String>,
}

impl Examples {
    /// One more.
    pub fn add(&mut self, example: impl FnOnce() -> String) {
        self.count += 1;
        self.first.get_or_insert_with(example);
    }

    /// Takes others in.
    pub fn merge(&mut self, other: Self) {
        self.count += other.count;
        self.first = self.first.take().or(other.first);
    }
}

impl Counts {
    /// Takes the counts of another client in.
    pub fn merge(&mut self, other: Self) {
        for (kind, writes) in other.writes {
            self.writes.entry(kind).or_default().add(writes);
        }
        self.reads += other.reads;
        self.reads_lost += other.reads_lost;
        self.requests += other.requests;
        self.echoes_differing.merge(other.echoes_differing);
        self.echoes_inexact.merge(other.echoes_inexact);
        self.denied.merge(other.denied);
        self.rejected.merge(other.rejected);
        self.comings.add(other.comings);
        self.looks.add(other.looks);
    }
}

impl Writes {
    /// Adds others to these.
    pub fn add(&mut self, other: Self) {
        self.applied += other.applied;
        self.refused += other.refused;
        self.unknown += other.unknown;
        self.unknown_replayed += other.unknown_replayed;
        self.unknown_executed += other.unknown_executed;
        self.unresolved += other.unresolved;
        self.echoes += other.echoes;
    }
}

impl Comings {
    /// Adds others to these.
    pub fn add(&mut self, other: Self) {
        self.created += other.created;
        self.deleted += other.deleted;
        self.refused += other.refused;
        self.unknown += other.unknown;
        self.unknown_done += other.unknown_done;
        self.unknown_not_done += other.unknown_not_done;
        self.unresolved += other.unresolved;
    }
}

impl Looks {
    /// Adds others to these.
    pub fn add(&mut self, other: Self) {
        self.pages += other.pages;
        self.exports += other.exports;
        self.exports_cut_off += other.exports_cut_off;
        self.levels_shown += other.levels_shown;
        self.levels_missing += other.levels_missing;
        self.deletions_early += other.deletions_early;
    }
}
