//! The bodies of exports, imports, backups and verifications.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::fields::Text;
use crate::http::problem::Problem;
use crate::store::Imported;
use crate::store::chores::{Backup, Finding, KeptBackup, VerifyReport};
use crate::wire::time;

/// A line of an export: one stock level.
#[derive(Debug, Serialize, ToSchema)]
pub struct ExportLine {
    /// The sku.
    #[schema(max_length = 64, example = "85123A")]
    pub sku: String,
    /// The location.
    #[schema(max_length = 32, example = "main")]
    pub location: String,
    /// Units physically there.
    #[schema(maximum = 1_099_511_627_775_u64, example = 100)]
    pub on_hand: u64,
    /// Units held by reservations.
    #[schema(example = 0)]
    pub reserved: u64,
    /// The version of the level.
    #[schema(example = 1)]
    pub version: u64,
    /// After a restore of a backup: the lineage that the version is of.
    #[schema(example = "00c0ffee00c0ffee")]
    pub lineage: Option<String>,
}

/// A line of an import: one stock level, as an export writes it, or less.
#[derive(Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ImportLine {
    /// The sku.
    #[schema(max_length = 64, example = "85123A")]
    pub sku: String,
    /// The location; `main` where it is left out.
    #[schema(max_length = 32, example = "main")]
    pub location: Option<String>,
    /// Units that are there.
    #[schema(maximum = 1_099_511_627_775_u64, example = 100)]
    pub on_hand: u64,
    /// 0, if it is there: holds cannot be imported.
    #[schema(maximum = 0, example = 0)]
    pub reserved: Option<u64>,
    /// The version that was exported: the level must still be at it. 0: there must be no such level.
    #[schema(maximum = 17_592_186_044_415_u64, example = 1)]
    pub version: Option<u64>,
    /// The lineage that the version is of, where an export names one.
    #[schema(example = "00c0ffee00c0ffee")]
    pub lineage: Option<String>,
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
    /// Those that had that many units: there is no movement of them, and their versions are what they were. Left out if there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unchanged: Option<u64>,
    /// Of more than 10 000 levels, those that were left as they are, as while the import was applied they moved on from the version it
    /// names, or more units came to be held than it says; left out if there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub left_out: Option<u64>,
}

/// Which backup to make.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BackupRequest<'a> {
    /// Its name, of which no backup may be yet: 1 to 64 of `A-Z a-z 0-9 . _ ~ -`, not beginning with a dot.
    #[serde(borrow)]
    #[schema(value_type = String, max_length = 64, pattern = "^[A-Za-z0-9_~-][A-Za-z0-9._~-]*$", example = "before-stocktaking")]
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

/// The backups in the data directory.
#[derive(Debug, Serialize, ToSchema)]
pub struct BackupsAnswer {
    /// Those that are whole, by name.
    pub items: Vec<KeptBackupAnswer>,
}

/// A backup in the data directory.
#[derive(Debug, Serialize, ToSchema)]
pub struct KeptBackupAnswer {
    /// Its name.
    #[schema(max_length = 64, example = "before-stocktaking")]
    name: String,
    /// When it was made, by the clock of the disk.
    #[schema(format = DateTime, example = "2026-11-28T15:40:00.000Z")]
    created_at: String,
    /// The number of the last movement in it; 0 if there is none.
    #[schema(example = 4711)]
    last_seq: u64,
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
    /// What is not wrong, and an operator should know: offline, what the next start will do about what a crash left.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
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

impl ImportAnswer {
    /// What was done, as it is told.
    pub fn new(imported: Imported) -> Self {
        let Imported { levels, created, counted, left_out } = imported;
        // What is none is not told, as before there was such a thing: a replay over an upgrade is what it was.
        let some = |count: u64| (count > 0).then_some(count);
        Self { levels, created, counted, unchanged: some(imported.unchanged()), left_out: some(left_out) }
    }
}

impl BackupRequest<'_> {
    /// The name, if it is one.
    pub fn checked_name(&self) -> Result<String, Problem> {
        let name = &self.name.0;
        backup_name(name).map_err(|detail| Problem::field("/name", detail))?;
        Ok(name.to_string())
    }
}

/// Whether a backup may have that name, which becomes that of a folder: what means something to a file system is in none.
pub fn backup_name(name: &str) -> Result<(), String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '~' | '-');
    match name {
        "" => Err("must not be empty".to_owned()),
        long if long.len() > BACKUP_BYTES_MAX => {
            Err(format!("must be at most {BACKUP_BYTES_MAX} characters long"))
        }
        hidden if hidden.starts_with('.') => Err("must not begin with a dot".to_owned()),
        name => match name.chars().find(|&c| !allowed(c)) {
            Some(c) => Err(format!("must consist of A-Z a-z 0-9 . _ ~ - only, found {c:?}")),
            None => Ok(()),
        },
    }
}

/// The longest name of a backup.
const BACKUP_BYTES_MAX: usize = 64;

impl BackupAnswer {
    /// A backup that was made.
    pub fn new(backup: Backup) -> Self {
        let path = backup.shown.display().to_string();
        let Backup { last_seq, segments, snapshot, bytes, .. } = backup;
        Self { path, last_seq, segments, snapshot, bytes }
    }
}

impl KeptBackupAnswer {
    /// A backup that is kept.
    pub fn new(kept: KeptBackup) -> Self {
        let KeptBackup { name, made_at_ms, last_seq, bytes } = kept;
        Self { name, created_at: time(made_at_ms), last_seq, bytes }
    }
}

impl VerifyAnswer {
    /// A report, as it is told.
    pub fn new(report: &VerifyReport) -> Self {
        Self {
            clean: report.is_clean(),
            segments: report.segments,
            groups: report.groups,
            records: report.records,
            movements: report.movements,
            levels: report.levels,
            levels_changed: report.levels_changed,
            snapshot: report.snapshot.clone(),
            findings_total: report.findings_total,
            findings: report.findings.iter().map(FindingAnswer::new).collect(),
            notes: report.notes.clone(),
        }
    }
}

impl FindingAnswer {
    fn new(finding: &Finding) -> Self {
        let Finding { file, offset, seq, key, detail } = finding.clone();
        let (sku, location) = key.map(|key| (key.sku().to_owned(), key.location().to_owned())).unzip();
        Self { file, offset, seq, sku, location, detail }
    }
}
