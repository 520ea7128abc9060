//! The first pass over a log: how much there is of each level, what was never answered, and what cannot be an answer at
//! all. Everything later passes need to know before they look at single levels.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::attempts::Attempts;
use super::found::Found;
use super::verdict::Summary;
use super::workers;
use crate::log::{Log, LogError, Reader};
use crate::model::{self, Change};
use crate::record::{Answer, Asked, Key, Op, Seen};
use crate::shape::{self, Defect};

/// A write of unknown outcome: it may have happened once, at any moment from its invocation on, or never.
#[derive(Debug, Clone)]
pub(super) struct Unknown {
    pub(super) invoked: u64,
    pub(super) record: u32,
    pub(super) changes: Vec<(Key, Change)>,
}

/// A record that cannot be right, whatever the stock was.
#[derive(Debug, Clone, Copy)]
pub(super) struct Defective {
    invoked: u64,
    pub(super) record: u32,
    pub(super) defect: Defect,
}

/// What is known of one level before its events are looked at.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Extent {
    /// How many events tell of it.
    pub(super) events: u32,
    /// How many writes of unknown outcome could have changed it.
    pub(super) unknown: u32,
    /// Whether any of its events does not tell the version.
    pub(super) is_untold: bool,
}

/// The result of the first pass.
#[derive(Debug, Default)]
pub(super) struct Scan {
    /// The figures that are counted by record; those of single levels are still missing.
    pub(super) summary: Summary,
    /// By key.
    pub(super) extents: Vec<Extent>,
    /// By invocation; only what they ask of levels whose versions are told.
    pub(super) unknown: Vec<Unknown>,
    /// What writes of unknown outcome ask of the other levels: key, invocation, record, change; by key.
    unknown_on_untold: Vec<(u32, u64, u32, Change)>,
    /// By invocation.
    pub(super) defects: Vec<Defective>,
    /// The records of the defects, ascending.
    defective: Vec<u32>,
    /// When the first write was sent.
    pub(super) first_write: Option<u64>,
    /// When the first operation was sent.
    pub(super) start_ns: u64,
    end_ns: u64,
    /// Whether any operation took place on several levels at once.
    pub(super) joins_levels: bool,
    /// How many operations tell no versions of several levels that they took place on at once.
    pub(super) tying_untold: u64,
    /// Which records are attempts at one request.
    pub(super) attempts: Attempts,
    /// What the answers to these contradict.
    pub(super) replays: Vec<Found>,
}

/// The first pass over a whole log.
pub(super) fn scan(log: &Log) -> Result<Scan, LogError> {
    let next = AtomicUsize::new(0);
    let parts: Vec<Result<Scan, LogError>> = workers::run(log.blocks(), || {
        let mut scan = Scan::new(log.keys.len());
        let mut reader = Reader::default();
        loop {
            let block = next.fetch_add(1, Ordering::Relaxed);
            if block >= log.blocks() {
                return Ok(scan);
            }
            log.read(block, &mut reader, |number, op| scan.add(record_number(number), op))?;
        }
    });
    let mut whole = Scan::new(log.keys.len());
    for part in parts {
        whole.merge(part?);
    }
    whole.finish();
    Ok(whole)
}

/// Records are counted in 32 bits: see [`super::check_log`].
pub(super) fn record_number(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(super::index::NONE)
}

impl Scan {
    fn new(keys: usize) -> Self {
        Self { extents: vec![Extent::default(); keys], start_ns: u64::MAX, ..Self::default() }
    }

    fn add(&mut self, record: u32, op: Op<'_>) {
        self.count(&op);
        self.start_ns = self.start_ns.min(op.invoked_ns);
        self.end_ns = self.end_ns.max(op.returned_ns);
        if matches!(op.request, Asked::Write(_)) {
            self.first_write = self.first_write.into_iter().chain([op.invoked_ns]).min();
        }
        if let Some(defect) = shape::defect(&op, self.extents.len()) {
            self.defects.push(Defective { invoked: op.invoked_ns, record, defect });
            return;
        }
        if op.once.is_some() {
            self.attempts.add(record, &op);
        }
        match (op.request, op.outcome) {
            (_, Answer::Read(seen)) => self.tell(&seen),
            (_, Answer::Applied(seen) | Answer::Snapshot(seen, _)) => {
                self.joins_levels |= seen.len() > 1;
                let untold = seen.iter().filter(|seen| !seen.is_version_told());
                self.tying_untold += u64::from(seen.len() > 1 && untold.count() > 1);
                for seen in seen {
                    self.tell(seen);
                }
            }
            (_, Answer::Refused(refused)) => {
                for refused in refused {
                    self.tell(&refused.seen);
                }
            }
            (Asked::Write(lines), Answer::Unknown) => {
                // Lines without a meaning together cannot have been applied.
                if let Ok(changes) = model::combine(lines) {
                    for (key, _) in &changes {
                        self.extents[key.0 as usize].unknown += 1;
                    }
                    self.unknown.push(Unknown { invoked: op.invoked_ns, record, changes });
                }
            }
            _ => {}
        }
    }

    fn tell(&mut self, seen: &Seen) {
        let extent = &mut self.extents[seen.key.0 as usize];
        extent.events += 1;
        extent.is_untold |= !seen.is_version_told();
    }

    fn count(&mut self, op: &Op<'_>) {
        let summary = &mut self.summary;
        summary.operations += 1;
        match (op.request, op.outcome) {
            (_, Answer::Read(_) | Answer::Snapshot(..)) => summary.reads += 1,
            (_, Answer::Applied(seen)) => {
                summary.applied += 1;
                summary.applied_many_line += u64::from(seen.len() > 1);
            }
            (_, Answer::Refused(refused)) => {
                summary.refused += 1;
                for refused in refused {
                    *summary.reasons.of(refused.reason) += 1;
                }
            }
            (_, Answer::NotApplied) => summary.not_applied += 1,
            (Asked::Write(_), Answer::Unknown) => summary.unknown += 1,
            (Asked::Read(_) | Asked::Snapshot(_), Answer::Unknown) => summary.unanswered_reads += 1,
        }
    }

    fn merge(&mut self, other: Self) {
        self.summary.add(&other.summary);
        for (extent, more) in self.extents.iter_mut().zip(other.extents) {
            extent.events += more.events;
            extent.unknown += more.unknown;
            extent.is_untold |= more.is_untold;
        }
        self.unknown.extend(other.unknown);
        self.defects.extend(other.defects);
        self.first_write = self.first_write.into_iter().chain(other.first_write).min();
        self.start_ns = self.start_ns.min(other.start_ns);
        self.end_ns = self.end_ns.max(other.end_ns);
        self.joins_levels |= other.joins_levels;
        self.tying_untold += other.tying_untold;
        self.attempts.append(other.attempts);
    }

    /// Sorts what the workers found in any order.
    fn finish(&mut self) {
        self.unite_attempts();
        self.unknown.sort_unstable_by_key(|unknown| (unknown.invoked, unknown.record));
        self.know_untold();
        self.part_unknown();
        self.defects.sort_unstable_by_key(|defective| (defective.invoked, defective.record));
        self.defective = self.defects.iter().map(|defective| defective.record).collect();
        self.defective.sort_unstable();
        self.summary.span_ns = self.end_ns.saturating_sub(self.start_ns);
        if self.summary.operations == 0 {
            self.start_ns = 0;
        }
    }

    /// Lets one attempt under a key stand for all.
    fn unite_attempts(&mut self) {
        self.replays = self.attempts.finish();
        let attempts = &self.attempts;
        self.summary.repeated = attempts.passed_over() as u64;
        if self.summary.repeated == 0 {
            return;
        }
        let (extents, known) = (&mut self.extents, self.unknown.len());
        self.unknown.retain_mut(|unknown| {
            let times = attempts.times(unknown.record, unknown.invoked, u64::MAX);
            for (key, _) in unknown.changes.iter().filter(|_| times.is_none()) {
                extents[key.0 as usize].unknown -= 1;
            }
            unknown.invoked = times.map_or(unknown.invoked, |(invoked, _)| invoked);
            times.is_some()
        });
        self.summary.unknown_repeated = (known - self.unknown.len()) as u64;
    }

    /// How many levels do not tell versions.
    pub(super) fn levels_untold(&self) -> usize {
        self.extents.iter().filter(|extent| extent.is_untold).count()
    }

    /// Where no answer tells a version, none would of a level of which there is no answer.
    fn know_untold(&mut self) {
        let is_told = |extent: &Extent| extent.events > 0 && !extent.is_untold;
        if self.levels_untold() > 0 && !self.extents.iter().any(is_told) {
            for extent in &mut self.extents {
                extent.is_untold |= extent.unknown > 0;
            }
        }
    }

    /// Keeps what writes of unknown outcome ask of levels without versions apart.
    fn part_unknown(&mut self) {
        let extents = &self.extents;
        for Unknown { invoked, record, changes } in &mut self.unknown {
            changes.retain(|(key, change)| {
                let is_untold = extents[key.0 as usize].is_untold;
                if is_untold {
                    self.unknown_on_untold.push((key.0, *invoked, *record, *change));
                }
                !is_untold
            });
        }
        self.unknown.retain(|unknown| !unknown.changes.is_empty());
        self.unknown_on_untold.sort_unstable();
    }

    /// What writes of unknown outcome ask of a level without versions: invocation, record and change.
    pub(super) fn unknown_on_untold(&self, key: u32) -> impl Iterator<Item = (u64, u32, Change)> {
        let start = self.unknown_on_untold.partition_point(|(other, ..)| *other < key);
        let same = self.unknown_on_untold[start..].iter().take_while(move |(other, ..)| *other == key);
        same.map(|(_, invoked, record, change)| (*invoked, *record, *change))
    }

    /// Whether a record has a defect; the levels it tells of are not to be believed.
    pub(super) fn is_defective(&self, record: u32) -> bool {
        !self.defective.is_empty() && self.defective.binary_search(&record).is_ok()
    }
}
