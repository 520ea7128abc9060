//! The operations of a violation as bars over time, a line each: who overlapped whom is seen and not computed.

use super::words::Words;
use crate::record::{Outcome, Record};

/// How many columns the time from the first invocation to the last answer takes.
const COLUMNS: u128 = 40;

/// Bars for records with their numbers, in the order of their invocation; none for fewer than two, which overlap nobody.
///
/// `[` is when an operation was sent, `]` when its answer had arrived, `?` when its client gave up.
pub(super) fn timeline(words: &Words<'_>, mut records: Vec<(usize, Record)>) -> Vec<String> {
    if records.len() < 2 {
        return Vec::new();
    }
    records.sort_by_key(|(number, record)| (record.invoked_ns, record.returned_ns, *number));
    let start = records.iter().map(|(_, record)| record.invoked_ns).min().unwrap_or(0);
    let end = records.iter().map(|(_, record)| record.returned_ns).max().unwrap_or(0);
    let width = records.iter().map(|(number, _)| number.to_string().len()).max().unwrap_or(0);
    let mut lines = vec![format!("from {} to {}:", words.time(start), words.time(end))];
    lines.extend(records.iter().map(|(number, record)| {
        let bar = bar(record, start, end);
        format!("record {number:>width$} |{bar}| {}", Words::short(record))
    }));
    lines
}

fn bar(record: &Record, start: u64, end: u64) -> String {
    let span = u128::from(end.saturating_sub(start)).max(1);
    let column = |at: u64| {
        let column = u128::from(at.saturating_sub(start)) * (COLUMNS - 1) / span;
        usize::try_from(column).unwrap_or(0)
    };
    let (from, to) = (column(record.invoked_ns), column(record.returned_ns));
    let last = if record.outcome == Outcome::Unknown { '?' } else { ']' };
    (0..usize::try_from(COLUMNS).unwrap_or(0))
        .map(|at| match at {
            // Sent and answered within one column is seen as answered.
            _ if at == to => last,
            _ if at == from => '[',
            _ if from < at && at < to => '=',
            _ => ' ',
        })
        .collect()
}
