//! Violations that have been told: counted by kind, and the first of each kind written out.

use super::found::Findings;
use super::index::Index;
use super::render::Renderer;
use super::violation::{KINDS, Kind, Violation};

/// All that was found, in words.
#[derive(Debug, Default)]
pub(super) struct Told {
    counts: [u64; KINDS],
    /// Most telling kind first, otherwise in the order they were found.
    listed: Vec<Violation>,
}

impl Told {
    /// Tells what was found in an index, of which at most `listed` in full.
    pub(super) fn add(&mut self, index: &Index<'_>, findings: Findings, listed: usize) {
        let renderer = Renderer::new(index);
        let counts = findings.counts();
        let found = findings.into_most_telling();
        let violations = found.iter().take(listed).map(|found| renderer.violation(found)).collect();
        self.append(Self { counts, listed: violations }, listed);
    }

    /// Takes in what was told of a later part of the history.
    pub(super) fn append(&mut self, other: Self, listed: usize) {
        for (count, more) in self.counts.iter_mut().zip(other.counts) {
            *count += more;
        }
        self.listed.extend(other.listed);
        self.listed.sort_by_key(|violation| violation.kind);
        self.listed.truncate(listed);
    }

    /// Whether nothing was found.
    pub(super) fn is_empty(&self) -> bool {
        self.total() == 0
    }

    /// How many violations were found.
    pub(super) fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// How many of each kind, most telling first; without those that were not found.
    pub(super) fn by_kind(&self) -> Vec<(Kind, u64)> {
        let counted = Kind::ALL.into_iter().zip(self.counts);
        counted.filter(|(_, count)| *count > 0).collect()
    }

    /// Those that are told in full.
    pub(super) fn into_listed(self) -> Vec<Violation> {
        self.listed
    }
}
