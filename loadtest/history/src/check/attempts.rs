//! Attempts at one request under one idempotency key: at most one effect, and one answer (P8).
//!
//! A client that is in doubt asks again under the same key, and a client that is testing asks again although it was
//! answered. Whatever comes of it, all attempts are one operation: it began with the first attempt that may have had an effect,
//! had taken effect when the first answer was there, and is what that answer says. So one attempt stands for all of them
//! wherever levels are looked at, with the times of all, and the others are passed over. If an effect came about twice,
//! there is a version that no answer carries, which is found like any other.
//!
//! What is found here is found by answers alone: two attempts that were answered have to have been asked and answered alike. If
//! they were not, each is an operation by itself. Memory is 64 bytes for each attempt, and nothing for what has no key.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

use super::found::Found;
use crate::record::{Answer, Asked, Op, Seen};

/// An attempt that may have had an effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Attempt {
    once: u64,
    /// What was asked, as a hash: two requests with one are taken for the same.
    asked: u64,
    invoked: u64,
    record: u32,
    returned: u64,
    /// Nothing if it was not answered.
    answer: Option<Told>,
}

/// What an answer told, as hashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Told {
    all: u64,
    /// The versions alone, if it was applied and told them.
    versions: Option<u64>,
}

/// The attempts of a history: which of them count, and when.
#[derive(Debug, Default)]
pub(super) struct Attempts {
    all: Vec<Attempt>,
    /// Records that stand for several attempts, ascending, with the times of all of them.
    spans: Vec<(u32, u64, u64)>,
    /// Records that another stands for, ascending.
    passed_over: Vec<u32>,
    /// Attempts that were answered though one before them was, by invocation.
    repetitions: Vec<Repetition>,
}

/// A request that was sent again, and answered again.
#[derive(Debug, Clone, Copy)]
pub(super) struct Repetition {
    pub(super) first: u32,
    pub(super) again: u32,
    pub(super) invoked: u64,
    pub(super) returned: u64,
}

impl Attempts {
    /// Takes an operation up, if it is an attempt under a key that may have had an effect.
    pub(super) fn add(&mut self, record: u32, op: &Op<'_>) {
        let (Some(once), Asked::Write(lines)) = (op.once, op.request) else { return };
        let answer = match op.outcome {
            Answer::Applied(seen) => {
                let all = hash((0, sorted(seen, |seen| *seen)));
                let is_told = seen.iter().all(Seen::is_version_told);
                let versions = is_told.then(|| hash(sorted(seen, |seen| (seen.key, seen.version))));
                Some(Told { all, versions })
            }
            Answer::Refused(refused) => {
                let all = hash((1, sorted(refused, |refused| (refused.seen, refused.reason))));
                Some(Told { all, versions: None })
            }
            Answer::Unknown => None,
            Answer::Read(_) | Answer::Snapshot(..) | Answer::NotApplied => return,
        };
        let Op { invoked_ns: invoked, returned_ns: returned, .. } = *op;
        self.all.push(Attempt { once, asked: hash(lines), invoked, record, returned, answer });
    }

    pub(super) fn append(&mut self, mut other: Self) {
        self.all.append(&mut other.all);
    }

    /// Puts attempts together, when all are known; answers what cannot be.
    pub(super) fn finish(&mut self) -> Vec<Found> {
        let mut all = std::mem::take(&mut self.all);
        all.sort_unstable();
        let mut found = Vec::new();
        for same_key in all.chunk_by(|a, b| a.once == b.once).filter(|attempts| attempts.len() > 1) {
            match contradiction(same_key) {
                Some(odd) => found.push(odd),
                None => {
                    same_key.chunk_by(|a, b| a.asked == b.asked).for_each(|attempts| self.unite(attempts));
                }
            }
        }
        self.spans.sort_unstable();
        self.passed_over.sort_unstable();
        self.repetitions.sort_unstable_by_key(|repetition| (repetition.invoked, repetition.again));
        found
    }

    /// Lets one attempt at a request stand for all.
    fn unite(&mut self, attempts: &[Attempt]) {
        let [first, _, ..] = attempts else { return };
        let answered = || attempts.iter().filter(|attempt| attempt.answer.is_some());
        let earliest = answered().min_by_key(|attempt| (attempt.returned, attempt.record));
        let stands = earliest.unwrap_or(first);
        self.spans.push((stands.record, first.invoked, stands.returned));
        let others = attempts.iter().map(|attempt| attempt.record).filter(|record| *record != stands.record);
        self.passed_over.extend(others);
        self.repetitions.extend(answered().filter(|attempt| attempt.record != stands.record).map(|again| {
            let Attempt { record, invoked, returned, .. } = *again;
            Repetition { first: stands.record, again: record, invoked, returned }
        }));
    }

    /// How many records another stands for.
    pub(super) fn passed_over(&self) -> usize {
        self.passed_over.len()
    }

    /// When an operation was sent and answered, all attempts at it taken together; nothing if another record stands for it.
    pub(super) fn times(&self, record: u32, invoked: u64, returned: u64) -> Option<(u64, u64)> {
        if self.spans.is_empty() {
            return Some((invoked, returned));
        }
        if self.passed_over.binary_search(&record).is_ok() {
            return None;
        }
        let place = self.spans.binary_search_by_key(&record, |(record, ..)| *record);
        Some(place.map_or((invoked, returned), |at| (self.spans[at].1, self.spans[at].2)))
    }

    /// Requests that were answered again between two moments.
    pub(super) fn repeated_between(&self, from: u64, until: u64) -> impl Iterator<Item = Repetition> {
        let all = self.repetitions.iter().take_while(move |repetition| repetition.invoked <= until);
        all.filter(move |repetition| repetition.returned >= from).copied()
    }
}

/// Two attempts under one key that were asked or answered otherwise: the first that was answered, and the first that differs.
fn contradiction(attempts: &[Attempt]) -> Option<Found> {
    let mut answered: Vec<&Attempt> = attempts.iter().filter(|attempt| attempt.answer.is_some()).collect();
    answered.sort_unstable_by_key(|attempt| (attempt.returned, attempt.record));
    let first = answered.first()?;
    let is_other = |other: &&&Attempt| (other.asked, other.answer) != (first.asked, first.answer);
    let other = answered.iter().find(is_other)?;
    let versions = |attempt: &Attempt| attempt.answer.and_then(|told| told.versions);
    let are_two = versions(first).zip(versions(other)).is_some_and(|(one, two)| one != two);
    Some(if first.asked == other.asked && are_two {
        Found::AppliedTwice { first: first.record, again: other.record, gap: None }
    } else {
        Found::OtherAnswer {
            first: first.record,
            again: other.record,
            is_other_request: first.asked != other.asked,
        }
    })
}

fn hash(what: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    what.hash(&mut hasher);
    hasher.finish()
}

/// What is told of levels, in the order of the levels: an answer that tells the same in another order tells the same.
fn sorted<T, U: Ord>(all: &[T], part: impl Fn(&T) -> U) -> Vec<U> {
    let mut parts: Vec<U> = all.iter().map(part).collect();
    parts.sort_unstable();
    parts
}
