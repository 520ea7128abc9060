//! What is told in the end: text for people, Markdown for pages, JSON for programs, all from the same figures.
//!
//! The JSON is a promise. Its `format` is `loadtest-run/1`, `loadtest-replay/1`, `loadtest-compare/1`,
//! `loadtest-inproc/1`, `loadtest-sweep/1` or `loadtest-crash/1`; members may be
//! added within a number, never changed or taken away. Units are last in every name.

pub mod run;
pub mod table;

use std::collections::BTreeMap;
use std::time::Duration;

use history::Verdict;
use serde::Serialize;

use crate::runner::session::Tally;
use crate::verdict;

/// The version of this program, in every report.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What a reader must know beside the figures, and what decides the exit code, in words.
pub type Remarks = Vec<String>;

/// A kind of failure.
#[derive(Debug, Clone, Serialize)]
pub struct FailureRow {
    /// What kind.
    pub kind: String,
    /// How often.
    pub count: u64,
    /// The first one, in full.
    pub example: String,
}

/// What the recorded history proves.
#[derive(Debug, Clone, Serialize)]
pub struct VerdictReport {
    /// `consistent`, `violated`, `indeterminate` or `vacuous`.
    pub result: &'static str,
    /// How long the check took.
    pub check_ms: u64,
    /// All of it: figures, and violations with their culprits.
    pub detail: Verdict,
}

impl VerdictReport {
    /// A verdict that took this long.
    pub fn new(detail: Verdict, took: Duration) -> Self {
        Self { result: verdict::name(&detail), check_ms: millis(took), detail }
    }

    /// As text.
    pub fn text(&self) -> String {
        format!("Verdict ({} ms): {}", self.check_ms, self.detail)
    }
}

/// Failures by kind.
pub fn failures(tally: &Tally) -> Vec<FailureRow> {
    let row = |(kind, failures): (&std::borrow::Cow<'static, str>, &crate::runner::session::Failures)| {
        FailureRow { kind: kind.to_string(), count: failures.count, example: failures.example.clone() }
    };
    tally.failures.iter().map(row).collect()
}

/// Counts as `name 3, other 4`, or `none`.
pub fn counts(counts: &BTreeMap<String, u64>) -> String {
    let each: Vec<String> = counts.iter().map(|(name, count)| format!("{name} {count}")).collect();
    if each.is_empty() { "none".to_owned() } else { each.join(", ") }
}

/// Failures as lines of text, each with its example.
pub fn failure_lines(failures: &[FailureRow]) -> String {
    if failures.is_empty() {
        return "Failures: none\n".to_owned();
    }
    let lines: Vec<String> = failures
        .iter()
        .map(|row| format!("  {} x {}, such as: {}\n", row.count, row.kind, row.example))
        .collect();
    format!("Failures:\n{}", lines.concat())
}

/// A report as JSON.
pub fn json(report: &impl Serialize) -> String {
    // Reports hold strings, numbers and lists only: there is nothing in them that JSON cannot say.
    serde_json::to_string_pretty(report).unwrap_or_else(|error| format!("{{\"error\":\"{error}\"}}"))
}

/// Whole milliseconds.
pub fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
