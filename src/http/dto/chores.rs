//! The bodies of exports, imports, backups and verifications.

use std::path::Path;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::fields::Text;
use crate::journal::backup::Copied;
use crate::journal::verify::{Problem as Finding, Report};

/// A line of an export, and of an import: one stock level. An import needs `sku` and `on_hand`.
#[derive(Debug, Serialize, ToSchema)]
pub struct ExportLine {
    /// The sku.
    #[schema(max_length = 64, example = "85123A")]
    pub sku: String,
    /// The location; of an import `main` where it is left out.
    #[schema(max_length = 32, example = "main")]
    pub location: String,
    /// Units physically there.
    #[schema(maximum = 1_099_511_627_775_u64, example = 100)]
    pub on_hand: u64,
    /// Units held by reservations. Of an import 0, or left out.
    #[schema(example = 0)]
    pub reserved: u64,
    /// The version of the level. An import takes no notice of it.
    #[schema(example = 1)]
    pub version: u64,
}

/// What an import did.
#[derive(Debug, Serialize, ToSchema)]
pub struct ImportAnswer {
    /// The levels in the body.
    #[schema(example = 3)]
    pub levels: u64,
    /// Those that were not there before.
    #[schema(example = 2)]
    pub created: u64,
    /// Those that were, and have been counted.
    #[schema(example = 1)]
    pub counted: u64,
    /// Those that were left as they are, as more units came to be held while the import was applied than it says; left out if
    /// there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub left_out: Option<u64>,
}

/// Which backup to make.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BackupRequest<'a> {
    /// Its name, of which no backup may be yet: 1 to 64 of `A-Z a-z 0-9 . _ ~ -`, not beginning with a dot.
    #[serde(borrow)]
    #[schema(value_type = String, max_length = 64, example = "before-stocktaking")]
    pub name: Text<'a>,
}

/// A backup that was made: complete, and on disk.
#[derive(Debug, Serialize, ToSchema)]
pub struct BackupAnswer {
    /// Where it is, within the data directory.
    #[schema(example = "backups/before-stocktaking")]
    path: String,
    /// The number of the last movement in it; 0 if there is none.
    #[schema(example = 4711)]
    last_seq: u64,
    /// Segments of the log in it.
    #[schema(example = 3)]
    segments: usize,
    /// The snapshot in it, if there was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    snapshot: Option<String>,
    /// Bytes of all its files.
    #[schema(example = 1_048_576)]
    bytes: u64,
}

/// What was verified, and what is wrong.
#[derive(Debug, Serialize, ToSchema)]
pub struct VerifyAnswer {
    /// Whether nothing is wrong.
    pub clean: bool,
    /// Segments that were read.
    pub segments: usize,
    /// Groups that match their checksums and continue the chain.
    pub groups: u64,
    /// Records in them.
    pub records: u64,
    /// Movements in them.
    pub movements: u64,
    /// Levels recomputed from the log, deleted ones included, and compared with the live ones.
    pub levels: usize,
    /// Levels of these that were not compared, as they changed meanwhile.
    pub levels_changed: usize,
    /// The snapshot that the levels start from, where the beginning of the log was dropped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<String>,
    /// How many findings there are.
    pub findings_total: u64,
    /// The first 100 of them.
    pub findings: Vec<FindingAnswer>,
}

/// One thing that is wrong.
#[derive(Debug, Default, Serialize, ToSchema)]
pub struct FindingAnswer {
    /// The file that is damaged.
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
    /// Where in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    offset: Option<u64>,
    /// The number of the movement expected there.
    #[serde(skip_serializing_if = "Option::is_none")]
    seq: Option<u64>,
    /// The sku of the level that differs.
    #[serde(skip_serializing_if = "Option::is_none")]
    sku: Option<String>,
    /// Its location.
    #[serde(skip_serializing_if = "Option::is_none")]
    location: Option<String>,
    /// What is wrong.
    detail: String,
}

impl BackupAnswer {
    /// A backup that was made in the data directory `home`.
    pub fn new(copied: Copied, home: &Path) -> Self {
        let path = copied.path.strip_prefix(home).unwrap_or(&copied.path).display().to_string();
        let Copied { next_seq, segments, snapshot, bytes, .. } = copied;
        Self { path, last_seq: next_seq.saturating_sub(1), segments, snapshot, bytes }
    }
}

impl VerifyAnswer {
    /// A report, as it is told.
    pub fn new(report: &Report) -> Self {
        Self {
            clean: report.is_clean(),
            segments: report.segments,
            groups: report.groups,
            records: report.records,
            movements: report.movements,
            levels: report.levels,
            levels_changed: report.levels_changed,
            snapshot: report.snapshot.clone(),
            findings_total: report.problems_total,
            findings: report.problems.iter().map(FindingAnswer::new).collect(),
        }
    }

    /// The report of a log that is so damaged that nothing could be recomputed from it.
    pub fn unreadable(detail: String) -> Self {
        let findings = vec![FindingAnswer { detail, ..FindingAnswer::default() }];
        Self { clean: false, findings_total: 1, findings, ..Self::new(&Report::default()) }
    }
}

impl FindingAnswer {
    fn new(finding: &Finding) -> Self {
        let detail = finding.to_string();
        match finding {
            Finding::Log { file, offset, seq, .. } => Self {
                file: Some(file.clone()),
                offset: Some(*offset),
                seq: Some(*seq),
                detail,
                ..Self::default()
            },
            Finding::Snapshot(_) => Self { detail, ..Self::default() },
            Finding::Level { key, .. } => Self {
                sku: Some(key.sku().to_owned()),
                location: Some(key.location().to_owned()),
                detail,
                ..Self::default()
            },
        }
    }
}
