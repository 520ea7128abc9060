//! The figures of a history: how much of it could have gone wrong. They judge nothing.

use super::index::{Index, Role, Row};
use super::verdict::{Reasons, Summary};
use crate::record::{History, Outcome, Reason, Request};

/// Counts a history.
pub(super) fn summarize(index: &Index<'_>) -> Summary {
    let mut summary = count_records(index.history);
    let mut is_contended = vec![false; index.nodes.len()];
    let mut spans = Vec::new();
    for row in &index.rows {
        let events = &index.events[row.events.clone()];
        summary.levels += u64::from(!events.is_empty());
        spans.clear();
        spans.extend(events.iter().filter(|event| event.role == Role::Change).map(|event| {
            let node = index.node(event);
            Span { invoked: node.invoked, returned: node.returned, node: event.node }
        }));
        if spans.is_empty() {
            continue;
        }
        summary.levels_written += 1;
        summary.levels_unread += u64::from(!has_final_read(index, row, &spans));
        summary.levels_contended += u64::from(mark_contended(&mut spans, &mut is_contended));
        summary.overlap_max = summary.overlap_max.max(overlap_max(&spans));
    }
    summary.contended_writes = is_contended.iter().filter(|contended| **contended).count() as u64;
    summary
}

/// A write's time on a level.
struct Span {
    invoked: u64,
    returned: u64,
    node: u32,
}

fn count_records(history: &History) -> Summary {
    let mut summary = Summary { operations: history.records.len() as u64, ..Summary::default() };
    for record in &history.records {
        match (&record.request, &record.outcome) {
            (_, Outcome::Read(_)) => summary.reads += 1,
            (_, Outcome::Applied(seen)) => {
                summary.applied += 1;
                summary.applied_many_line += u64::from(seen.len() > 1);
            }
            (_, Outcome::Refused(refused)) => {
                summary.refused += 1;
                for refused in refused {
                    *summary.reasons.of(refused.reason) += 1;
                }
            }
            (_, Outcome::NotApplied) => summary.not_applied += 1,
            (Request::Write(_), Outcome::Unknown) => summary.unknown += 1,
            (Request::Read(_), Outcome::Unknown) => summary.unanswered_reads += 1,
        }
    }
    let first = history.records.iter().map(|record| record.invoked_ns).min().unwrap_or(0);
    let last = history.records.iter().map(|record| record.returned_ns).max().unwrap_or(0);
    summary.span_ns = last.saturating_sub(first);
    summary
}

impl Reasons {
    fn of(&mut self, reason: Reason) -> &mut u64 {
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
fn has_final_read(index: &Index<'_>, row: &Row, changes: &[Span]) -> bool {
    let last = changes.iter().map(|change| change.returned).max().unwrap_or(0);
    let events = &index.events[row.events.clone()];
    events.iter().any(|event| event.role == Role::Read && index.node(event).invoked > last)
}

/// Marks the writes that overlap another, and sorts them by invocation; answers whether there are any.
fn mark_contended(spans: &mut [Span], is_contended: &mut [bool]) -> bool {
    spans.sort_unstable_by_key(|span| span.invoked);
    let mut any = false;
    let mut latest = None::<(u64, u32)>;
    for span in &*spans {
        // Whoever returned last among the earlier ones overlaps, or none of them does.
        if let Some((_, other)) = latest.filter(|(returned, _)| *returned >= span.invoked) {
            is_contended[span.node as usize] = true;
            is_contended[other as usize] = true;
            any = true;
        }
        latest = latest.max(Some((span.returned, span.node)));
    }
    any
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
