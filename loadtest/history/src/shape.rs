//! Whether an answer fits its request at all, before any state is asked for.
//!
//! A defect is the fault of whoever answered or wrote the record down; it is reported, never repaired.

use crate::model::{self, Units};
use crate::record::{Answer, Asked, Key, Line, Op, Seen};

/// Why a record cannot be right, whatever the stock was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Defect {
    /// The answer came before the request.
    #[error("it was answered before it was sent")]
    Time,
    /// A key that the history does not name.
    #[error("key {} is not among the keys of the history", .0.0)]
    UnnamedKey(Key),
    /// A read answered as a write, a write as a read, or a read of another level.
    #[error("the answer is not one to this request")]
    OtherAnswer,
    /// No lines, or lines that cannot be combined.
    #[error("the lines have no meaning together, and yet they were judged")]
    Meaningless,
    /// The sums of a consistent read are not those of the levels it tells.
    #[error("the totals are not the sums of the levels it tells")]
    OtherTotals,
    /// An applied write must tell every level it changed, once, and a consistent read every level it was asked for.
    #[error("the answer does not tell each level of the request exactly once")]
    OtherLevels,
    /// A refusal must name at least one level.
    #[error("the refusal names no level")]
    NothingNamed,
    /// A refusal may name only levels that were asked for.
    #[error("the refusal names a level that the request does not")]
    StrangerNamed,
}

/// The first defect of a record, if it has one.
pub(crate) fn defect(op: &Op<'_>, keys: usize) -> Option<Defect> {
    let answered = !matches!(op.outcome, Answer::NotApplied | Answer::Unknown);
    if answered && op.returned_ns < op.invoked_ns {
        return Some(Defect::Time);
    }
    match (op.request, op.outcome) {
        (Asked::Read(key), _) if is_unnamed(key, keys) => Some(Defect::UnnamedKey(key)),
        (Asked::Write(lines), _) if lines.iter().any(|line| is_unnamed(line.key, keys)) => {
            lines.iter().map(|line| line.key).find(|key| is_unnamed(*key, keys)).map(Defect::UnnamedKey)
        }
        (Asked::Snapshot(asked), _) if asked.iter().any(|key| is_unnamed(*key, keys)) => {
            asked.iter().copied().find(|key| is_unnamed(*key, keys)).map(Defect::UnnamedKey)
        }
        (_, Answer::NotApplied | Answer::Unknown) => None,
        (Asked::Read(key), Answer::Read(seen)) => (seen.key != key).then_some(Defect::OtherAnswer),
        (Asked::Write(lines), Answer::Applied(seen)) => match (lines, seen) {
            // The common case needs no list of its own.
            ([line], [seen]) => (line.key != seen.key).then_some(Defect::OtherLevels),
            _ => many_line_defect(lines, seen),
        },
        (Asked::Write(lines), Answer::Refused(refused)) => {
            if lines.is_empty() || (lines.len() > 1 && model::combine(lines).is_err()) {
                Some(Defect::Meaningless)
            } else if refused.is_empty() {
                Some(Defect::NothingNamed)
            } else if let ([line], [refused]) = (lines, refused) {
                (line.key != refused.seen.key).then_some(Defect::StrangerNamed)
            } else {
                let mut asked: Vec<Key> = lines.iter().map(|line| line.key).collect();
                asked.sort_unstable();
                let stranger = refused.iter().any(|refused| asked.binary_search(&refused.seen.key).is_err());
                stranger.then_some(Defect::StrangerNamed)
            }
        }
        (Asked::Snapshot(asked), Answer::Snapshot(seen, totals)) => snapshot_defect(asked, seen, totals),
        (Asked::Read(_) | Asked::Snapshot(_), _)
        | (Asked::Write(_), Answer::Read(_) | Answer::Snapshot(..)) => Some(Defect::OtherAnswer),
    }
}

fn is_unnamed(key: Key, keys: usize) -> bool {
    key.0 as usize >= keys
}

fn snapshot_defect(asked: &[Key], seen: &[Seen], totals: Option<Units>) -> Option<Defect> {
    if asked.is_empty() {
        return Some(Defect::Meaningless);
    }
    let mut asked = asked.to_vec();
    asked.sort_unstable();
    asked.dedup();
    let mut told: Vec<Key> = seen.iter().map(|seen| seen.key).collect();
    told.sort_unstable();
    if told != asked {
        return Some(Defect::OtherLevels);
    }
    // Where a level does not tell all of its units, its part of the sums is not known.
    let sums = model::totals(seen);
    (totals.is_some() && sums.is_some() && sums != totals).then_some(Defect::OtherTotals)
}

fn many_line_defect(lines: &[Line], seen: &[Seen]) -> Option<Defect> {
    let Ok(changes) = model::combine(lines) else { return Some(Defect::Meaningless) };
    if changes.is_empty() {
        return Some(Defect::Meaningless);
    }
    let mut told: Vec<Key> = seen.iter().map(|seen| seen.key).collect();
    told.sort_unstable();
    let same = told.len() == changes.len() && told.iter().zip(&changes).all(|(told, (key, _))| told == key);
    (!same).then_some(Defect::OtherLevels)
}
