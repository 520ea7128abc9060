//! The figures of a history: how much of it could have gone wrong. They judge nothing.

use super::index::{Event, Index, NONE, Role, Row};
use super::verdict::{Reasons, Summary};
use crate::record::Reason;

/// Counts one level; the records of several lines of which a change overlapped another go to `joints`, since they can do
/// so on several levels and count once.
pub(super) fn count(index: &Index<'_>, row: &Row, summary: &mut Summary, joints: &mut Vec<u32>) {
    let events = &index.events[row.events.clone()];
    summary.levels += u64::from(!events.is_empty());
    summary.levels_unversioned += u64::from(!events.is_empty() && row.is_untold);
    let changes = events.iter().filter(|event| event.role == Role::Change);
    let mut spans: Vec<Span> = changes.map(Span::of).collect();
    if spans.is_empty() {
        return;
    }
    summary.levels_written += 1;
    summary.levels_unread += u64::from(!has_final_read(events, &spans));
    spans.sort_unstable_by_key(|span| span.invoked);
    let before = (summary.contended_writes, joints.len());
    for (span, _) in spans.iter().zip(contended(&spans)).filter(|(_, contended)| *contended) {
        match span.joint {
            NONE => summary.contended_writes += 1,
            record => joints.push(record),
        }
    }
    summary.levels_contended += u64::from(before != (summary.contended_writes, joints.len()));
    summary.overlap_max = summary.overlap_max.max(overlap_max(&spans));
}

/// A write's time on a level.
struct Span {
    invoked: u64,
    returned: u64,
    /// Its record, if it changed several levels.
    joint: u32,
}

impl Span {
    fn of(event: &Event) -> Self {
        let Event { invoked, returned, .. } = *event;
        Self { invoked, returned, joint: if event.is_joint { event.record } else { NONE } }
    }
}

impl Summary {
    /// Takes in the figures of another part of the same history; its span is left alone.
    pub(super) fn add(&mut self, other: &Summary) {
        self.operations += other.operations;
        self.reads += other.reads;
        self.applied += other.applied;
        self.applied_many_line += other.applied_many_line;
        self.refused += other.refused;
        self.reasons.add(other.reasons);
        self.not_applied += other.not_applied;
        self.unknown += other.unknown;
        self.repeated += other.repeated;
        self.unknown_repeated += other.unknown_repeated;
        self.unknown_applied += other.unknown_applied;
        self.unanswered_reads += other.unanswered_reads;
        self.levels += other.levels;
        self.levels_written += other.levels_written;
        self.levels_contended += other.levels_contended;
        self.levels_unread += other.levels_unread;
        self.contended_writes += other.contended_writes;
        self.overlap_max = self.overlap_max.max(other.overlap_max);
        self.judged_apart += other.judged_apart;
        self.levels_unversioned += other.levels_unversioned;
        self.residual.add(other.residual);
    }
}

impl Reasons {
    fn add(&mut self, other: Reasons) {
        self.insufficient += other.insufficient;
        self.missing += other.missing;
        self.exists += other.exists;
        self.version_mismatch += other.version_mismatch;
        self.reserved += other.reserved;
        self.overflow += other.overflow;
    }

    pub(super) fn of(&mut self, reason: Reason) -> &mut u64 {
        match reason {
            Reason::Insufficient => &mut self.insufficient,
            Reason::Missing => &mut self.missing,
            Reason::Exists => &mut self.exists,
            Reason::VersionMismatch => &mut self.version_mismatch,
            Reason::Reserved => &mut self.reserved,
            Reason::Overflow => &mut self.overflow,
        }
    }
}

/// Whether a level was read after its last change had been answered.
fn has_final_read(events: &[Event], changes: &[Span]) -> bool {
    let last = changes.iter().map(|change| change.returned).max().unwrap_or(0);
    events.iter().any(|event| event.role == Role::Read && event.invoked > last)
}

/// Which spans overlap another; they are sorted by invocation.
fn contended(spans: &[Span]) -> Vec<bool> {
    let mut is_contended = vec![false; spans.len()];
    let mut latest = None::<(u64, usize)>;
    for (number, span) in spans.iter().enumerate() {
        // Whoever returned last among the earlier ones overlaps, or none of them does.
        if let Some((_, other)) = latest.filter(|(returned, _)| *returned >= span.invoked) {
            is_contended[number] = true;
            is_contended[other] = true;
        }
        latest = latest.max(Some((span.returned, number)));
    }
    is_contended
}

/// The most spans at one moment; they are sorted by invocation.
fn overlap_max(spans: &[Span]) -> u64 {
    let mut returns: Vec<u64> = spans.iter().map(|span| span.returned).collect();
    returns.sort_unstable();
    let mut returned = 0;
    let mut most = 0;
    for (before, span) in spans.iter().enumerate() {
        while returns[returned] < span.invoked {
            returned += 1;
        }
        most = most.max(before + 1 - returned);
    }
    most as u64
}
