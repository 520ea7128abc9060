//! The checker: is there an order of the operations, within real time, that explains every answer?
//!
//! # Why it is complete, and fast
//!
//! Deciding whether a history is linearizable is hard in general because the order of the writes has to be guessed.
//! Here it does not: every answer carries the version of each level it tells of, and a version counts the changes, so
//! the versions *are* the order of each level's changes, and say between which two of them each read and refusal
//! belongs. What is left is to check that this order holds:
//!
//! 1. versions of applied changes are unique: two changes with one version are a lost update, both culprits named;
//! 2. they are contiguous;
//! 3. the state at a version is the state before plus the change, and the change was allowed there;
//! 4. real time: nothing sent after a version had been answered belongs before that version;
//! 5. every read shows the state at its version, and every refusal's reason was true of it;
//! 6. hence the last read, sent after every change had been answered, shows all of them; that there is one, for every
//!    level changed, is required;
//! 7. across levels, the orders of the levels and real time together have no circle; a consistent read of several levels is
//!    one operation on all of them, so they were as it shows them at one moment.
//!
//! Any order that explains the answers has to respect each of these constraints, and any order that respects all of
//! them explains the answers, since the state at each version has been checked. Such an order exists exactly if there
//! is no circle. So without unknown outcomes the check is complete in both directions, in O(n log n), the sorting. If
//! no applied write changed more than one level, 7 follows from 4: linearizability is local (Herlihy and Wing 1990).
//!
//! # Levels without versions
//!
//! Where an answer does not tell the version ([`Seen::VERSION_UNTOLD`]), the order of a level's changes has to be found
//! ([`untold`]): its books have to balance, and an order has to exist, which is searched for within a bound. Of a
//! contradiction as few answers are named as make one, or, where finding that out would take too long, more. Levels that operations
//! tie together are then searched together, again within a bound ([`untold::whole`]). What is convicted is wrong whatever the writes
//! of unknown outcome did; what passes may still hide a lost update behind one of them, and how much is told ([`Residual`]).
//!
//! # What it costs
//!
//! The log is read once to count ([`scan`]) and once for each unit of levels ([`levels`]), of which every core has one at
//! hand, so memory does not grow with the log: 56 bytes for each of some four million events, more only if one level has
//! more by itself. What ties levels together is kept meanwhile, 24 bytes for each line of a write to several levels
//! ([`joints`]). Only when something is left to explain, or to blame, is an index made of all levels concerned.
//!
//! Ten million operations of 64 clients, one line each, on two cores: 4.3 s of CPU time and 361 MiB for the whole process
//! on 1 000 levels, 134 MiB of it the log; 3.0 s and 914 MiB on a single one; 7.4 s and 552 MiB when a fifth of the writes
//! have two to four lines (`examples/million.rs`).
//!
//! # What is an operation
//!
//! A read, of one level or of several, or an applied write with all its lines, takes place at one moment between its invocation and its return. A
//! refusal of several lines is one such moment *per line it names*: each line must have been as it says at some moment
//! of the request, at the version it reports, which is what is promised (P3); that all were so at once is not.
//!
//! Records that are attempts at one request under one idempotency key ([`crate::Record::once`]) are one operation, from the
//! first that was sent to the first that was answered. All answers to them have to be one answer ([`attempts`]).
//!
//! # How levels begin
//!
//! A level begins as reads show it that were answered before any write of the history was sent, else absent and at
//! version 0. A history of levels that existed before has to open with such reads, and a history that opens with reads
//! of absent levels cannot lose its first writes unnoticed.
//!
//! # Unknown outcomes
//!
//! A write without an answer may have happened once, at any time after it was sent, or never. Versions that no
//! recorded change made must be such writes, each whole; [`search`] fits them in, within a bound. An operation said
//! not to have been applied did not happen: if its effect shows, that is a missing version.

mod attempts;
mod bars;
mod checks;
mod contention;
mod cycle;
mod found;
mod index;
mod joints;
mod level;
mod levels;
mod order;
mod problem;
mod render;
mod scan;
mod search;
mod sweep;
mod timeline;
mod told;
mod untold;
mod verdict;
mod violation;
mod words;
mod workers;

use crate::log::{Log, LogError};
use crate::record::History;
#[cfg(doc)]
use crate::record::Seen;
use found::{Findings, Found};
use index::Index;
use levels::Levels;
use order::Unknowns;
use scan::Scan;
use told::Told;
use untold::ties;

pub use verdict::{Conclusion, Reasons, Residual, Summary, Verdict};
pub use violation::{Bar, Culprit, Kind, Violation};

/// What a history must show to count, and what checking it may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// What a run must show so that its passing means something.
    pub require: Require,
    /// How many steps of the search for operations of unknown outcome may be wasted (tried and taken back).
    pub search_steps: u64,
    /// How many violations are written out; all are counted.
    pub violations_listed: usize,
}

/// What a run must show so that its passing means something; without it the verdict is "vacuous".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Require {
    /// At least one write was applied.
    pub applied_writes: bool,
    /// At least two applied writes overlapped in time on one level.
    pub contended_writes: bool,
    /// Every level that was changed was read after its last change had been answered.
    pub final_reads: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self { require: Require::ALL, search_steps: 5_000_000, violations_listed: 10 }
    }
}

impl Limits {
    /// The default, with nothing required: for tests that do one thing at a time.
    pub fn lenient() -> Self {
        Self { require: Require::NOTHING, ..Self::default() }
    }
}

impl Require {
    /// Everything: what a load test must show.
    pub const ALL: Self = Self { applied_writes: true, contended_writes: true, final_reads: true };
    /// Nothing.
    pub const NOTHING: Self = Self { applied_writes: false, contended_writes: false, final_reads: false };
}

impl Default for Require {
    fn default() -> Self {
        Self::ALL
    }
}

/// Checks a history with the default limits: see [`check_log`].
pub fn check(history: &History) -> Verdict {
    check_with(history, &Limits::default())
}

/// Checks a history: see [`check_log`].
pub fn check_with(history: &History, limits: &Limits) -> Verdict {
    match check_log(&Log::from(history), limits) {
        Ok(verdict) => verdict,
        Err(error) => unreachable!("it is in memory, and was written just now: {error}"),
    }
}

/// Checks a log: whether some order of its operations, within real time, explains every answer.
///
/// Writes of unknown outcome may have happened once, at any time after they were sent, or never. The verdict is
/// exact, except that it is "indeterminate" when these cannot be placed within [`Limits::search_steps`].
///
/// An error means that a part of the log that was put on disk could not be read back. Panics if the answers of a
/// history tell of more than 2^32 - 2 levels in all.
pub fn check_log(log: &Log, limits: &Limits) -> Result<Verdict, LogError> {
    assert!(log.len() < u64::from(index::NONE), "records are counted in 32 bits");
    let scan = scan::scan(log)?;
    let Levels { summary: of_levels, mut told, open, given_up, edges, .. } =
        levels::check(log, &scan, limits)?;
    let mut summary = scan.summary;
    summary.add(&of_levels);
    told.append(of_records(log, &scan, limits)?, limits.violations_listed);
    if told.is_empty() && summary.levels_unversioned > 0 {
        summary.judged_apart = tied(log, &scan, limits, &mut told)?;
    }
    let mut unknowns = Unknowns::Explained(0);
    if told.is_empty() && !(open.is_empty() && joints::have_an_order(&edges)) {
        drop(edges);
        let index = Index::new(log, &scan, &order::levels(&scan, &open))?;
        let mut findings = Findings::default();
        unknowns = order::check(&index, &open, limits.search_steps, &mut findings);
        debug_assert!(!(findings.is_empty() && open.is_empty()), "{}", joints::PROOF_MISSING);
        told.add(&index, findings, limits.violations_listed);
    }
    if let Unknowns::Explained(applied) = unknowns {
        summary.unknown_applied = applied;
    }
    let conclusion = if !told.is_empty() {
        Conclusion::Violations { total: told.total(), by_kind: told.by_kind(), listed: told.into_listed() }
    } else if unknowns == Unknowns::GaveUp {
        let why = format!(
            "missing versions were not traced to the {} writes of unknown outcome within {} steps of search",
            summary.unknown, limits.search_steps
        );
        Conclusion::Indeterminate { why, residual: order::residual(&scan, &open) }
    } else if given_up > 0 {
        let why = format!(
            "no order was found within the bound of the search on {given_up} levels without versions"
        );
        Conclusion::Indeterminate { why, residual: summary.residual }
    } else {
        let why = limits.require.not_shown(&summary);
        if why.is_empty() { Conclusion::Consistent } else { Conclusion::Vacuous { why } }
    };
    Ok(Verdict { conclusion, summary })
}

/// Looks at levels without versions together; answers how many operations on several could only be judged on each.
fn tied(log: &Log, scan: &Scan, limits: &Limits, told: &mut Told) -> Result<u64, LogError> {
    let Some(keys) = ties::keys(scan) else { return Ok(scan.tying_untold) };
    let index = Index::new(log, scan, &keys)?;
    let mut findings = Findings::default();
    let apart = ties::check(&index, limits.search_steps, &mut findings);
    told.add(&index, findings, limits.violations_listed);
    Ok(apart)
}

/// The records that cannot be right whatever the stock was: an answer by itself, or two to one request.
fn of_records(log: &Log, scan: &Scan, limits: &Limits) -> Result<Told, LogError> {
    let mut told = Told::default();
    if !(scan.defects.is_empty() && scan.replays.is_empty()) {
        let mut findings = Findings::default();
        let found =
            scan.defects.iter().map(|found| Found::Malformed { record: found.record, defect: found.defect });
        findings.extend(found.chain(scan.replays.iter().cloned()));
        told.add(&Index::new(log, scan, &[])?, findings, limits.violations_listed);
    }
    Ok(told)
}

impl Require {
    fn not_shown(self, summary: &Summary) -> Vec<String> {
        let mut why = Vec::new();
        if self.applied_writes && summary.applied == 0 {
            why.push(format!("none of {} operations was a write that was applied", summary.operations));
        }
        if self.contended_writes && summary.contended_writes == 0 {
            why.push("no two applied writes overlapped in time on one level".to_owned());
        }
        if self.final_reads && summary.levels_unread > 0 {
            why.push(format!(
                "{} of {} changed levels were not read after their last change had been answered",
                summary.levels_unread, summary.levels_written
            ));
        }
        why
    }
}
