//! What the checks found: a contradiction as a few indices, cheap enough to keep while counting thousands.

use super::cycle::Cycle;
use super::untold::books::Imbalance;
use super::untold::shrink::Contradiction;
use super::untold::torn::Torn;
use super::violation::{KINDS, Kind};
use crate::model::Level;
use crate::record::{Key, Reason};
use crate::shape::Defect;

/// How many findings of one kind are kept; the rest are only counted.
const KEPT_PER_KIND: usize = 1_000;

/// One contradiction, by index of events (`u32`) or of records.
#[derive(Debug, Clone)]
pub(super) enum Found {
    /// A record that cannot be right whatever the state was.
    Malformed { record: u32, defect: Defect },
    /// Two changes with one version; no first if the level was at that version before the run.
    SameVersion { first: Option<u32>, second: u32 },
    /// An applied change that the state before it refuses.
    Refusable { event: u32, before: Level, reason: Reason },
    /// An applied change whose answer is not what it leads to.
    WrongChange { event: u32, before: Level, after: Level },
    /// An opening state that no level can be in.
    Unsound { event: u32 },
    /// An answer that shows another state than its version had.
    WrongRead { event: u32, truth: Level },
    /// A refusal whose reason was not true.
    FalseRefusal { event: u32, truth: Level },
    /// Versions that nothing is recorded to have made.
    Missing(Gap),
    /// `stale` was sent after `proof` had been answered, and belongs before it.
    RealTime { stale: u32, proof: u32 },
    /// A circle of operations.
    Cycle(Cycle),
    /// An answer that the books of a level without versions do not allow.
    Imbalance { key: Key, imbalance: Imbalance },
    /// Two attempts under one key that both took effect: as both say, or as a version shows that none of them carries.
    AppliedTwice { first: u32, again: u32, gap: Option<Gap> },
    /// Two attempts under one key that were answered, and not alike.
    OtherAnswer { first: u32, again: u32, is_other_request: bool },
    /// Answers about a level without versions that cannot all be true.
    Contradiction { key: Key, contradiction: Box<Contradiction> },
    /// Answers about several levels without versions that cannot all be true, though on each level they can.
    Torn(Box<Torn>),
}

/// Consecutive versions of a level that no recorded change made, and that something shows to have been made.
#[derive(Debug, Clone, Copy)]
pub(super) struct Gap {
    pub(super) key: Key,
    pub(super) first: u64,
    pub(super) last: u64,
    /// The event that shows it.
    pub(super) shown_by: u32,
    /// How many writes of unknown outcome there were to explain it.
    pub(super) unknown: u64,
}

impl Found {
    pub(super) fn kind(&self) -> Kind {
        match self {
            Found::Malformed { .. } => Kind::Malformed,
            Found::SameVersion { .. } => Kind::LostUpdate,
            Found::Refusable { reason: Reason::Insufficient, .. } => Kind::Oversold,
            Found::Refusable { .. } => Kind::BrokenPrecondition,
            Found::WrongChange { .. } => Kind::WrongChange,
            Found::WrongRead { .. } | Found::Unsound { .. } => Kind::WrongRead,
            Found::FalseRefusal { .. } => Kind::FalseRefusal,
            Found::Missing { .. } => Kind::MissingVersion,
            Found::RealTime { .. } => Kind::RealTime,
            Found::Cycle(cycle) if cycle.has_snapshot => Kind::TornRead,
            Found::Cycle(_) => Kind::Cycle,
            Found::AppliedTwice { .. } => Kind::AppliedTwice,
            Found::OtherAnswer { .. } => Kind::OtherAnswer,
            Found::Torn(torn) if torn.has_snapshot => Kind::TornRead,
            Found::Torn(_) => Kind::TornWrite,
            Found::Imbalance { imbalance, .. } => imbalance.kind,
            Found::Contradiction { contradiction, .. } => contradiction.kind,
        }
    }
}

/// All findings: counted, and the first of each kind kept.
#[derive(Debug, Default)]
pub(super) struct Findings {
    counts: [u64; KINDS],
    kept: Vec<Found>,
}

impl Findings {
    pub(super) fn add(&mut self, found: Found) {
        let count = &mut self.counts[found.kind() as usize];
        *count += 1;
        if *count <= KEPT_PER_KIND as u64 {
            self.kept.push(found);
        }
    }

    pub(super) fn extend(&mut self, found: impl IntoIterator<Item = Found>) {
        found.into_iter().for_each(|found| self.add(found));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// How many there are of each kind, in the order of [`Kind::ALL`].
    pub(super) fn counts(&self) -> [u64; KINDS] {
        self.counts
    }

    /// The findings that were kept, most telling kind first, otherwise in the order they were found.
    pub(super) fn into_most_telling(mut self) -> Vec<Found> {
        self.kept.sort_by_key(Found::kind);
        self.kept
    }
}
