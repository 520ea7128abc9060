//! [`Chores`]: what is done now and then: imports, backups, verification.
//!
//! One of each at a time, in a process. The right to one belongs to the work, not to whoever asked for it: a client that goes away neither
//! stops what has begun nor lets a second one begin.

use std::future::Future;
use std::io;
use std::path::PathBuf;

use bytes::Bytes;
use smol_str::SmolStr;
use thiserror::Error;
use tokio::sync::mpsc;

use super::command::Idempotency;
use super::outcome::{Answered, NotDone};
use crate::stock::StockKey;

/// What a store does beside serving.
pub trait Chores: Send + Sync {
    /// Begins an import; [`ImportError::AlreadyRunning`] while another one, or what is left of it, is under way.
    fn begin_import(&self, form: StockForm) -> Result<impl ImportInto + 'static, ImportError>;

    /// Recomputes the stock from all that is kept of its movements, and compares what that makes with the live stock. Changes go on meanwhile.
    fn verify(&self) -> impl Future<Output = Result<VerifyReport, ChoreError>> + Send;

    /// Copies what a start needs into a new folder: everything acknowledged before, and a consistent prefix of the rest. A
    /// relative path is one in the store's own folder.
    fn back_up(&self, into: PathBuf) -> impl Future<Output = Result<Backup, ChoreError>> + Send;

    /// The backups in [`BACKUPS`] that are whole, by name.
    fn backups(&self) -> impl Future<Output = Result<Vec<KeptBackup>, ChoreError>> + Send;

    /// One of them as somebody takes it, to keep it elsewhere.
    fn archive(&self, name: &str) -> impl Future<Output = Result<Archive, ChoreError>> + Send;

    /// Removes one of them; not while somebody takes it.
    fn remove_backup(&self, name: &str) -> impl Future<Output = Result<(), ChoreError>> + Send;
}

/// The folder of backups that have no other place, in the store's own folder.
pub const BACKUPS: &str = "backups";

/// An import whose bytes are coming in. Dropped before [`ImportInto::finish`], it leaves nothing.
pub trait ImportInto: Send {
    /// Takes in the next bytes. Once something is wrong with them, the rest need not be given: [`ImportInto::finish`] says what.
    /// Returns whether more are wanted.
    fn push(&mut self, bytes: Bytes) -> impl Future<Output = bool> + Send;

    /// All bytes have come: makes the import happen, in the name of `actor`, if anybody. Whoever does not wait for the end does not stop it.
    fn finish(
        self,
        idempotency: Option<Box<Idempotency>>,
        actor: Option<SmolStr>,
    ) -> impl Future<Output = Result<Answered, ImportError>> + Send;
}

/// How a file says what is in stock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum StockForm {
    /// A JSON object a line.
    #[default]
    Ndjson,
    /// Comma-separated values, with a line of names first.
    Csv,
}

/// The wrong lines of an import that are listed; more are only counted.
pub const LINE_ERRORS_MAX: usize = 100;

/// The longest import, in bytes.
pub const IMPORT_BYTES_MAX: u64 = 1024 * 1024 * 1024;

/// A line of an import that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LineError {
    /// Its number, counted from 1.
    pub line: u64,
    /// The field that is wrong; empty where it is the whole line.
    pub field: String,
    /// What is wrong.
    pub detail: String,
}

/// Why nothing was imported; or, of the last two, perhaps why it is not known to be.
#[derive(Debug, Error)]
pub enum ImportError {
    /// Another one is under way.
    #[error("another import is under way; nothing was imported")]
    AlreadyRunning,
    /// Lines that are wrong.
    #[error("{}", told(.errors, *.total))]
    Lines {
        /// The first of them, ascending.
        errors: Vec<LineError>,
        /// How many there are.
        total: u64,
    },
    /// It has no line.
    #[error("there is no line in it")]
    Empty,
    /// It is longer than it may be.
    #[error("it is longer than {IMPORT_BYTES_MAX} bytes")]
    TooLarge,
    /// Levels that cannot have the units that the file says: others moved on since, or more units are held.
    #[error("{}", told(.errors, *.total))]
    Refused {
        /// Whether any of them is not at the version that its line names.
        moved_on: bool,
        /// The first of them, in the order of their names.
        errors: Vec<LineError>,
        /// How many there are.
        total: u64,
    },
    /// The service stops.
    #[error("the import was given up: the service stops; nothing was imported")]
    Stopped,
    /// The disk said so.
    #[error("the import cannot be kept on disk: {0}")]
    Io(io::Error),
    /// It got no answer.
    #[error(transparent)]
    NotDone(#[from] NotDone),
}

fn told(errors: &[LineError], total: u64) -> String {
    let listed: Vec<String> = errors.iter().take(10).map(ToString::to_string).collect();
    let more = total - listed.len() as u64;
    let more = if more > 0 { format!("; and {more} more") } else { String::new() };
    format!("{}{more}", listed.join("; "))
}

impl std::fmt::Display for LineError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "line {}", self.line)?;
        if !self.field.is_empty() {
            write!(f, ", {}", self.field)?;
        }
        write!(f, ": {}", self.detail)
    }
}

/// Why a chore was not done.
#[derive(Debug, Error)]
pub enum ChoreError {
    /// The stock is in memory only.
    #[error("this service runs with --ephemeral: nothing is on disk")]
    NoFiles,
    /// The stock is in a database.
    #[error(
        "the stock is in a database (--store): it is backed up, and restored, by the database's own means"
    )]
    InDatabase,
    /// Another one is under way, or one that stands in its way.
    #[error("{0}")]
    AlreadyRunning(&'static str),
    /// There is a backup of that name.
    #[error("{} exists already; nothing was overwritten", .0.display())]
    Exists(PathBuf),
    /// There is no backup of that name.
    #[error("there is no backup called {0}")]
    NotFound(String),
    /// The disk has no room for it.
    #[error("the disk has no room for it")]
    Full,
    /// As many files are open as may be.
    #[error("too many files are open to do it; repeat it after a moment")]
    TooManyFiles,
    /// The service stops.
    #[error("it was given up: the service stops")]
    Stopped,
    /// It could not be carried through.
    #[error("{0}")]
    Failed(String),
    /// The store did not answer.
    #[error(transparent)]
    NotDone(#[from] NotDone),
}

/// A backup that was made: complete, and on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backup {
    /// Where it is.
    pub path: PathBuf,
    /// The same, from the store's own folder on, if it is in there.
    pub shown: PathBuf,
    /// The number of the last movement in it; 0 if there is none.
    pub last_seq: u64,
    /// Segments of the log in it.
    pub segments: usize,
    /// The snapshot in it, if there was one.
    pub snapshot: Option<String>,
    /// Bytes of all its files.
    pub bytes: u64,
}

/// A backup that is kept in [`BACKUPS`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptBackup {
    /// Its name.
    pub name: String,
    /// When it was made, in milliseconds since 1970, by the clock of the disk.
    pub made_at_ms: u64,
    /// The number of the last movement in it; 0 if there is none.
    pub last_seq: u64,
    /// Bytes of all its files.
    pub bytes: u64,
}

/// A backup on its way: a tar archive of its folder, which a start goes on with once it is unpacked.
#[derive(Debug)]
pub struct Archive {
    /// How many bytes come.
    pub bytes: u64,
    /// They, piece by piece; an error where it had to be cut off. Dropped before its end, it is given up.
    pub pieces: mpsc::Receiver<io::Result<Bytes>>,
}

/// What was verified, and what was found.
///
/// A store in a database has no segments, groups and records, and no snapshot: there they are none. It looks at each partition as it was at one instant, so
/// no level changes while it is compared. A finding of it has no file, and its words name the partition, in which its movements are numbered.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct VerifyReport {
    /// Segments that were read.
    pub segments: usize,
    /// Groups that match their checksums and continue the chain.
    pub groups: u64,
    /// Records in them.
    pub records: u64,
    /// Movements in them.
    pub movements: u64,
    /// Levels recomputed from the log, tombstones included, and compared with the live ones.
    pub levels: usize,
    /// Levels of these that were not compared, as they changed meanwhile.
    pub levels_changed: usize,
    /// The snapshot that the levels start from, if the beginning of the log was dropped.
    pub snapshot: Option<String>,
    /// The first findings.
    pub findings: Vec<Finding>,
    /// How many there are.
    pub findings_total: u64,
    /// What is not wrong, and an operator should know.
    pub notes: Vec<String>,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Finding {
    /// The file that is damaged.
    pub file: Option<String>,
    /// Where in it.
    pub offset: Option<u64>,
    /// The number of the movement expected there.
    pub seq: Option<u64>,
    /// The level that differs.
    pub key: Option<StockKey>,
    /// What is wrong, in words.
    pub detail: String,
}

impl VerifyReport {
    /// Whether nothing is wrong.
    pub fn is_clean(&self) -> bool {
        self.findings_total == 0
    }

    /// Of a log that is so damaged that nothing can be recomputed from it.
    pub fn unreadable(detail: String) -> Self {
        Self {
            findings: vec![Finding { detail, ..Finding::default() }],
            findings_total: 1,
            ..Self::default()
        }
    }
}
