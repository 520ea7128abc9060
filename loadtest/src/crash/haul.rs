//! What one client of a crash test brings home, and all of them together.

use history::Record;

use super::counts::Counts;
use super::sights::Sights;
use crate::runner::session::Tally;

/// What clients saw and did, over all lives.
#[derive(Debug, Default)]
pub struct Haul {
    /// What they saw, each client's in its own order.
    pub records: Vec<Record>,
    /// Refusals and failures of all attempts.
    pub tally: Tally,
    /// What they did.
    pub counts: Counts,
    /// What listings and exports showed, and what there was later.
    pub sights: Sights,
}

impl Haul {
    /// Takes that of another client in.
    pub fn merge(&mut self, other: Self) {
        self.records.extend(other.records);
        self.tally.merge(other.tally);
        self.counts.merge(other.counts);
        self.sights.merge(other.sights);
    }
}
