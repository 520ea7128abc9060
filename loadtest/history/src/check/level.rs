//! Each level by itself: versions unique and contiguous, every state the one before plus the change, every read and
//! refusal true at its version, and all of it in real time.
//!
//! The versions in the answers give the order, so one pass over a level's events in version order decides. It never
//! guesses: where the state is not known (after a duplicate, or across versions that a write of unknown outcome may
//! have made) it takes the next state an answer tells, and leaves that stretch to the search.

use super::found::{Findings, Found, Gap};
use super::index::{Event, Index, Role, Row};
use crate::model::{self, Change, Level};
use crate::record::{Key, Reason, Request};

/// How many requests that were sent again are looked at, to tell which of them made a missing version.
const REPETITIONS_MAX: usize = 64;

/// Checks one level; answers whether it has versions that writes of unknown outcome have yet to explain.
pub(super) fn check(index: &Index<'_>, row: &Row, findings: &mut Findings) -> bool {
    let mut pass = Pass::new(index, findings, row);
    pass.states();
    let is_open = pass.missing > 0;
    real_time(index, row, findings);
    is_open
}

/// One level, walked up by version.
struct Pass<'a> {
    index: &'a Index<'a>,
    findings: &'a mut Findings,
    key: Key,
    row: &'a Row,
    /// The version reached.
    version: u64,
    /// The level at that version, if known.
    state: Option<Level>,
    /// How many versions no recorded change made.
    missing: u64,
}

impl<'a> Pass<'a> {
    fn new(index: &'a Index<'a>, findings: &'a mut Findings, row: &'a Row) -> Self {
        let key = Key(row.key);
        Self { index, findings, key, row, version: row.base.version, state: Some(row.base), missing: 0 }
    }

    fn states(&mut self) {
        let index = self.index;
        let mut first = self.row.events.start;
        for events in index.events[self.row.events.clone()].chunk_by(|a, b| a.version == b.version) {
            self.version_of(first, events);
            first += events.len();
        }
    }

    /// All events of one version: the changes that made it, then those who saw it.
    fn version_of(&mut self, first: usize, events: &[Event]) {
        let version = events[0].version;
        let changes = events.partition_point(|event| event.role == Role::Change);
        if version <= self.row.base.version {
            // The level had this version before the run; nothing in the run can have made it.
            for at in first..first + changes {
                self.findings.add(Found::SameVersion { first: None, second: number(at) });
            }
            if version == self.row.base.version {
                self.looks(first + changes, &events[changes..]);
            } else {
                self.looks_before_base(first + changes, &events[changes..]);
            }
            return;
        }
        self.reach(version, changes > 0, number(first));
        match changes {
            0 => {}
            1 => self.change(number(first), &events[0]),
            _ => {
                for at in first + 1..first + changes {
                    self.findings.add(Found::SameVersion { first: Some(number(first)), second: number(at) });
                }
                self.state = None;
            }
        }
        self.version = version;
        self.looks(first + changes, &events[changes..]);
    }

    /// Those who saw a version before the one the level began with: if they overlap the opening reads, real time does
    /// not object, but nothing recorded can have made the change between.
    fn looks_before_base(&mut self, first: usize, events: &[Event]) {
        let index = self.index;
        let base = self.row.base.version;
        let of_base = index.events[self.row.events.clone()].iter().filter(|event| event.version == base);
        let opened = of_base.map(|event| event.returned).min().unwrap_or(0);
        for (at, event) in (first..).zip(events) {
            if event.invoked <= opened {
                let (first, unknown) = (event.version + 1, self.row.unknown);
                let gap = Gap { key: self.key, first, last: base, shown_by: number(at), unknown };
                self.findings.add(Found::Missing(gap));
            }
        }
    }

    /// Moves up to a version, or to just below the change that made it, noting what is missing between.
    fn reach(&mut self, version: u64, is_made: bool, shown_by: u32) {
        let last = if is_made { version - 1 } else { version };
        if last <= self.version {
            return;
        }
        self.missing = self.missing.saturating_add(last - self.version);
        let before = self.state.take();
        if self.missing > self.row.unknown {
            let gap =
                Gap { key: self.key, first: self.version + 1, last, shown_by, unknown: self.row.unknown };
            let repeated = before.and_then(|before| self.repetition(before, &gap));
            self.findings.add(repeated.unwrap_or(Found::Missing(gap)));
        }
        self.version = last;
    }

    /// A request that was sent again under its key, if it asks for just what a missing version did, at that time.
    fn repetition(&self, before: Level, gap: &Gap) -> Option<Found> {
        if gap.first != gap.last {
            return None;
        }
        let shown_by = &self.index.events[gap.shown_by as usize];
        let shown = self.index.seen(shown_by);
        let leads_there = |change: Change| {
            let after = before.after(change).ok()?;
            let after = match shown_by.role {
                Role::Change => after.after(self.index.change(shown_by)?).ok()?,
                Role::Read | Role::Refusal(_) => after,
            };
            (after.version == shown.version && after.shows(shown.stock)).then_some(())
        };
        let events = &self.index.events[self.row.events.clone()];
        let made_before =
            events.iter().filter(|event| event.version + 1 == gap.first && event.role == Role::Change);
        let from = made_before.map(|event| event.invoked).min().unwrap_or(0);
        let near = self.index.scan.attempts.repeated_between(from, shown_by.returned);
        let found = near.take(REPETITIONS_MAX).find(|repetition| {
            let again = self.index.record(repetition.again).map(|record| record.request);
            let Some(Request::Write(lines)) = again else { return false };
            model::combine_on(&lines, self.key).and_then(leads_there).is_some()
        })?;
        Some(Found::AppliedTwice { first: found.first, again: found.again, gap: Some(*gap) })
    }

    fn change(&mut self, number: u32, event: &Event) {
        let seen = self.index.seen(event);
        let (Some(before), Some(change)) = (self.state, self.index.change(event)) else {
            self.state = Level::told(&seen);
            return;
        };
        match before.after(change) {
            Ok(after) if after.shows(seen.stock) => self.state = Some(after),
            Ok(after) => {
                self.findings.add(Found::WrongChange { event: number, before, after });
                self.state = Level::told(&seen);
            }
            Err(reason) => {
                self.findings.add(Found::Refusable { event: number, before, reason });
                self.state = Level::told(&seen);
            }
        }
    }

    fn looks(&mut self, first: usize, events: &[Event]) {
        for (at, event) in (first..).zip(events) {
            let seen = self.index.seen(event);
            // An unknown state becomes what the first full answer tells, and that answer is judged by it, too.
            self.state = self.state.or_else(|| Level::told(&seen));
            let Some(truth) = self.state else { continue };
            if !truth.is_sound() {
                self.findings.add(Found::Unsound { event: number(at) });
            } else if !truth.shows(seen.stock) {
                self.findings.add(Found::WrongRead { event: number(at), truth });
            } else if !self.index.is_justified(event, truth) {
                self.findings.add(Found::FalseRefusal { event: number(at), truth });
            }
        }
    }
}

/// Real time on one level: whatever belongs later in version order must not have been answered before an earlier one
/// was sent. Walked down from the last version, with the earliest answer so far; what a version's change is to those
/// who saw it, it is to later versions.
fn real_time(index: &Index<'_>, row: &Row, findings: &mut Findings) {
    let mut earliest: Option<(u64, u32)> = None;
    let mut end = row.events.end;
    for events in index.events[row.events.clone()].chunk_by(|a, b| a.version == b.version).rev() {
        let first = end - events.len();
        let changes = first + events.partition_point(|event| event.role == Role::Change);
        for same in [changes..end, first..changes] {
            for at in same.clone() {
                let invoked = index.events[at].invoked;
                if let Some((_, proof)) = earliest.filter(|(returned, _)| *returned < invoked) {
                    findings.add(Found::RealTime { stale: number(at), proof });
                }
            }
            let returns = same.map(|at| (index.events[at].returned, number(at)));
            earliest = earliest.into_iter().chain(returns).min();
        }
        end = first;
    }
}

/// The reason an applied change should have been refused, in words of the level before it.
pub(super) fn would_refuse(reason: Reason) -> &'static str {
    match reason {
        Reason::Insufficient => "fewer units were available than it took",
        Reason::Missing => "the level was not there",
        Reason::Exists => "the level was there already",
        Reason::VersionMismatch => "the level was not at the version it demanded",
        Reason::Reserved => "units were held",
        Reason::Overflow => "the quantity leaves the allowed range",
    }
}

/// Events are counted in 32 bits: see [`super::check_log`].
fn number(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(super::index::NONE)
}
