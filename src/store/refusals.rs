//! Refusals by reason: their names, their precedence, their counts.

use crate::stock::{EntryRefusal, Reason, Refusal};
use crate::telemetry::Striped;

/// The names of the reasons, as metrics show them, in the order of their precedence.
const REASONS: [&str; Reason::COUNT] = [
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
pub(in crate::store) struct RefusalCounts {
    counts: Striped<{ REASONS.len() }>,
}

impl RefusalCounts {
    /// Counts one refusal.
    pub(in crate::store) fn count(&self, reason: Reason) {
        self.counts.add(reason.precedence(), 1);
    }

    /// Each reason's name and count.
    pub(in crate::store) fn all(&self) -> impl Iterator<Item = (&'static str, u64)> {
        REASONS.iter().enumerate().map(|(index, name)| (*name, self.counts.sum(index)))
    }
}

/// The refusal a transaction is told of when its levels are refused for several reasons: precondition before
/// existence before state before stock, and the first line among equals.
pub(in crate::store) fn most_telling(refusals: &[EntryRefusal]) -> Refusal {
    let first = refusals.iter().map(|entry| entry.refusal).min_by_key(|refusal| refusal.reason.precedence());
    first.expect("a refusal names at least one level")
}
