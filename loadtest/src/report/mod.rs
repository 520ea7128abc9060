//! What is told in the end. Every command makes a [`document::Document`] of its figures, and everything is written from that: text
//! ([`plain`]), Markdown, HTML, `JUnit`, CSV, percentiles. It knows nothing of what is reported.
//!
//! The JSON is a promise. Its `format` is `loadtest-run/1`, `loadtest-replay/1`, `loadtest-compare/2`,
//! `loadtest-inproc/1`, `loadtest-sweep/1`, `loadtest-calibrate/1`,
//! `loadtest-crash/1` or `loadtest-selftest/1`; members may be
//! added within a number, never changed or taken away. Units are last in every name.

pub mod bank;
pub mod charts;
pub mod csv;
pub mod diff;
pub mod document;
pub mod headline;
pub mod hgrm;
pub mod html;
pub mod junit;
pub mod lanes;
pub mod over_time;
pub mod plain;
pub mod replicas;
pub mod run;
pub mod sale;
pub mod sometimes;
pub mod table;

use std::collections::BTreeMap;
use std::time::Duration;

use history::{Conclusion, Verdict};
use serde::Serialize;

use crate::runner::session::Tally;
use crate::verdict;
use document::{CaseOutcome, Document};

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

    /// As a part of a document, and as the demand that no update is lost.
    pub fn tell(&self, document: &mut Document) {
        document.verbatim(self.text());
        for violation in self.detail.violations() {
            document.blocks.extend(lanes::of(violation).map(document::Block::Chart));
        }
        document.case("invariant", "no update was lost", self.outcome());
    }

    /// What became of the demand that no update is lost.
    pub fn outcome(&self) -> CaseOutcome {
        let first_line = |text: &str| text.lines().next().unwrap_or_default().to_owned();
        match &self.detail.conclusion {
            Conclusion::Consistent => CaseOutcome::Passed,
            Conclusion::Violations { listed, .. } => {
                let message = listed.first().map(|violation| first_line(&violation.to_string()));
                CaseOutcome::Failed { message: message.unwrap_or_default(), detail: self.detail.to_string() }
            }
            Conclusion::Indeterminate { .. } | Conclusion::Vacuous { .. } => {
                CaseOutcome::Undecided { message: first_line(&self.detail.to_string()) }
            }
        }
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

/// Failures as lines of a document, each with its example.
pub fn tell_failures(document: &mut Document, failures: &[FailureRow]) {
    if failures.is_empty() {
        return document.line("Failures: none");
    }
    document.line("Failures:");
    for row in failures {
        document.line(format!("  {} x {}, such as: {}", row.count, row.kind, row.example));
    }
}

/// A report as JSON: its members, and the document that everything else is written from.
pub fn json(report: &impl Serialize, document: &Document) -> String {
    #[derive(Serialize)]
    struct Whole<'a, R> {
        #[serde(flatten)]
        report: &'a R,
        document: &'a Document,
    }
    // Reports hold strings, numbers and lists only: there is nothing in them that JSON cannot say.
    serde_json::to_string_pretty(&Whole { report, document })
        .unwrap_or_else(|error| format!("{{\"error\":\"{error}\"}}"))
}

/// Whole milliseconds.
pub fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
