//! Refusals by reason: their names, their precedence, their counts.

use crate::stock::{EntryRefusal, Reason, Refusal};
use crate::telemetry::Striped;

/// The names of the reasons, as metrics show them.
pub const REASONS: [&str; 9] = [
    "precondition-failed",
    "not-found",
    "already-exists",
    "below-reserved",
    "stock-reserved",
    "not-reserved",
    "insufficient",
    "quantity-overflow",
    "versions-exhausted",
];

/// How often each reason was given.
#[derive(Debug, Default)]
pub struct RefusalCounts {
    counts: Striped<{ REASONS.len() }>,
}

impl RefusalCounts {
    /// Counts one refusal.
    pub fn count(&self, reason: Reason) {
        self.counts.add(index(reason), 1);
    }

    /// Each reason's name and count.
    pub fn all(&self) -> impl Iterator<Item = (&'static str, u64)> {
        REASONS.iter().enumerate().map(|(index, name)| (*name, self.counts.sum(index)))
    }
}

/// The refusal a transaction is told of when its levels are refused for several reasons: precondition before
/// existence before state before stock, and the first line among equals.
pub fn most_telling(refusals: &[EntryRefusal]) -> Refusal {
    let first = refusals.iter().map(|entry| entry.refusal).min_by_key(|refusal| index(refusal.reason));
    first.expect("a refusal names at least one level")
}

/// Reasons in the order of [`REASONS`], which is their precedence.
fn index(reason: Reason) -> usize {
    match reason {
        Reason::PreconditionFailed(_) => 0,
        Reason::NotFound => 1,
        Reason::AlreadyExists => 2,
        Reason::BelowReserved { .. } => 3,
        Reason::StockReserved => 4,
        Reason::NotReserved { .. } => 5,
        Reason::Insufficient { .. } => 6,
        Reason::QuantityOverflow { .. } => 7,
        Reason::VersionsExhausted => 8,
    }
}
