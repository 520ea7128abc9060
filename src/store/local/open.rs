//! From what is on disk to a store: recovery, the journal, the levels, and the imports that had happened.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use thiserror::Error;

use super::books::Books;
use super::chores::{Home, Rights};
use super::pipeline::Pipeline;
use super::{Local, Parts, chores, documents, history, import};
use crate::clock::wall_ms;
use crate::journal::control::{ControlError, State};
use crate::journal::data_dir::{DataDir, DataDirError};
use crate::journal::disk::Disk;
use crate::journal::disk::memory::MemoryDisk;
use crate::journal::documents::{self as files, DocumentError, Documents};
use crate::journal::holds::AllFound;
use crate::journal::recovery::{self, Recovered, RecoveryError, Report};
use crate::journal::retention::Schedule;
use crate::journal::segment::HeaderError;
use crate::journal::verify::{self, Live, Progress, VerifyError};
use crate::journal::{Journal, JournalConfig, Start, snapshot};
use crate::stock::StockKey;
use crate::store::chores::{Finding, ImportError, VerifyReport};
use crate::store::refusals::RefusalCounts;
use crate::store::{Keeping, Storage};
use crate::strategy::{AnyStrategy, KeyIndex, Ledger, StrategyConfig, StrategyKind};

/// Levels that are handed to the strategy at once when they are restored.
const RESTORED_AT_ONCE: usize = 16 * 1024;

/// What a store is opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Intent {
    /// To be served: a folder that is missing or empty becomes a data directory.
    Serve,
    /// To be changed, in a data directory that is there.
    Change,
    /// To be read, in a data directory that is there and in which nothing changes. What a crash left is passed over, and stays.
    Read,
}

/// A store that is about to be opened. Its folder, if it has one, is this process's own while this lives, unless it is only read.
#[derive(Debug)]
pub struct Opening {
    intent: Intent,
    kind: StrategyKind,
    strategy: StrategyConfig,
    keeping: Keeping,
    data: Option<DataDir>,
}

/// Why a store cannot be opened.
#[derive(Debug, Error)]
pub enum OpenError {
    /// The folder cannot be used.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// What is in it is damaged, or of another version.
    #[error(transparent)]
    Recovery(#[from] RecoveryError),
    /// The journal could not be started.
    #[error("the journal cannot be started: {0}")]
    Start(#[from] std::io::Error),
    /// An import that had happened could not be completed.
    #[error("an import that had happened when the service stopped cannot be completed: {0}")]
    Import(#[from] ImportError),
    /// It could not be verified.
    #[error(transparent)]
    Verify(#[from] VerifyError),
    /// An import that had happened is to be completed, by who may write.
    #[error(
        "an import was under way when the service stopped, and is not complete: `serve` completes it first"
    )]
    ImportPending,
    /// What is kept beside the stock is not what was written.
    #[error("{file} cannot be relied on: {source}; restore it from a backup, or remove it")]
    Document {
        /// The file.
        file: &'static str,
        /// Why not.
        source: DocumentError,
    },
    /// The thread that reads it panicked.
    #[error("reading what is on disk panicked")]
    Panicked,
}

impl OpenError {
    /// Whether what was asked for is no data directory at all, and something else.
    pub fn is_misdirected(&self) -> bool {
        matches!(self, Self::DataDir(DataDirError::Foreign { .. }))
    }
}

impl Opening {
    /// Takes the folder for this process.
    pub fn begin(
        kind: StrategyKind,
        strategy: StrategyConfig,
        storage: &Storage,
        intent: Intent,
    ) -> Result<Self, OpenError> {
        let data = match (storage, intent) {
            // A database is no folder, and has no opening here.
            (Storage::Memory(_) | Storage::Postgres { .. }, _) => None,
            (Storage::Folder { path, .. }, Intent::Serve) => Some(DataDir::open_or_create(path)?),
            (Storage::Folder { path, .. }, Intent::Change) => Some(DataDir::open(path)?),
            (Storage::Folder { path, .. }, Intent::Read) => Some(DataDir::look(path)?),
        };
        Ok(Self { intent, kind, strategy, keeping: storage.keeping().clone(), data })
    }

    /// Reads what is on disk and goes on with it: an unfinished commit is cut, an import that had happened is completed.
    pub async fn open(&self) -> Result<Local, OpenError> {
        let config = journal_config(&self.keeping);
        let strategy = self.strategy;
        let Some(data) = &self.data else {
            let start = Start::empty();
            let journal = Journal::start(Arc::new(MemoryDisk::default()), start, &config)?;
            let local = Local::new(self.kind, strategy, journal, &self.keeping, None);
            local.start_sweeping();
            local.start_orders();
            return Ok(local);
        };
        let disk = data.disk();
        let pending = import::pending(&disk)?;
        if self.intent == Intent::Read && !pending.is_empty() {
            return Err(OpenError::ImportPending);
        }
        let start = recover(data, self.intent, &config, !pending.is_empty()).await?;
        // Who only looks at the stock needs none of them.
        if self.intent == Intent::Serve
            && let Some((name, source)) = files::check(disk.as_ref(), start.control.directory)?.pop()
        {
            return Err(OpenError::Document { file: name.file(), source });
        }
        let mut levels = Vec::new();
        start.heads.walk(|key, head| levels.push((key.clone(), head.level)));
        let is_copy = start.control.state == State::Copy && !start.only_reads;
        let journal = Journal::start(data.disk(), start, &config)?;
        if is_copy {
            let lineage = journal.shared().control.identity().lineage;
            tracing::info!(
                lineage = format!("{lineage:016x}"),
                "a backup is gone on with: a new lineage begins, and no entity tag or cursor of before is valid in it"
            );
        }
        let local = Local::new(self.kind, strategy, journal, &self.keeping, Some(Home::of(data)));
        local.restore(levels).await;
        local.finish_imports(&disk, &pending).await?;
        if self.intent == Intent::Serve {
            // What was due while nobody served it is over before anybody asks. Where it cannot be ended now (on a full disk), whoever touches
            // its levels does it, or is told.
            if let Err(not_done) = local.expire_all_due().await {
                tracing::warn!(%not_done, "reservations that expired while the service was away are not ended yet");
            }
            local.start_sweeping();
            local.start_orders();
        }
        Ok(local)
    }
}

impl Local {
    /// Empty stock over a journal.
    pub(super) fn new(
        kind: StrategyKind,
        strategy: StrategyConfig,
        journal: Journal,
        keeping: &Keeping,
        home: Option<Home>,
    ) -> Self {
        let index = Arc::new(KeyIndex::default());
        let stock = AnyStrategy::new(kind, strategy, Ledger::new(Arc::clone(&index)));
        let books = Books::new(journal, keeping);
        let (refusals, rights) = (RefusalCounts::default(), Rights::new(home));
        let opened_at = history::end_of_feed(books.shared());
        let control = Arc::clone(&books.shared().control);
        let documents = Arc::new(Documents::new(books.journal().disk(), control));
        let lanes = Arc::clone(&books.shared().lanes);
        let pipeline = Arc::new(Pipeline::new(keeping.orders.clone(), lanes));
        let waiters_max = keeping.waiters_max;
        Self(Arc::new(Parts {
            stock,
            index,
            books,
            documents,
            opened_at,
            refusals,
            pipeline,
            rights,
            waiters_max,
        }))
    }

    /// Takes in the levels that recovery found. For empty stock that nobody uses yet.
    pub(super) async fn restore(&self, mut levels: Vec<(StockKey, crate::stock::Level)>) {
        let index =
            |(key, level): &(StockKey, crate::stock::Level)| (key.clone(), level.version(), level.exists());
        self.0.index.restore(levels.iter().map(index).collect());
        while !levels.is_empty() {
            let rest = levels.split_off(levels.len().saturating_sub(RESTORED_AT_ONCE));
            self.0.stock.restore(rest).await;
        }
    }
}

/// What was found of a folder that nobody serves.
#[derive(Debug)]
pub enum OfflineVerification {
    /// What was verified, and what is wrong.
    Report(VerifyReport),
    /// A start would be refused: this is why.
    Damaged(String),
}

/// Verifies a folder that nobody serves: the whole log, and the levels that a start would go on with against it. Nothing in it is
/// changed. Blocking.
pub fn verify_offline(path: &Path, progress: &dyn Fn(u64, u64)) -> Result<OfflineVerification, OpenError> {
    let data = DataDir::look(path)?;
    let disk = data.disk();
    let options = recovery::Options { now_ms: wall_ms(), key_retention: Duration::MAX };
    let recovered = match recovery::look(&disk, &options, &|_| ()) {
        Ok(recovered) => recovered,
        Err(error) if is_damage(&error) => return Ok(OfflineVerification::Damaged(error.to_string())),
        Err(error) => return Err(error.into()),
    };
    let heads = &recovered.heads;
    let level = |key: &StockKey| Ok(heads.get(key.text(), heads.hash(key.text())).map(|head| head.level));
    let (live, stop) = (Live { level: &level, changing: false }, AtomicBool::new(false));
    let progress = |told: Progress| progress(told.bytes, told.bytes_total);
    let report = verify::verify(disk.as_ref(), &recovered.log, recovered.end, live, &stop, &progress)?;
    let mut report = chores::shown(report);
    report.notes.extend(recovered.report.cut.as_ref().map(|cut| format!("{cut}: the next start cuts it")));
    report.notes.extend(recovered.report.warnings);
    look_at_imports(&disk, &mut report)?;
    look_at_documents(&disk, recovered.control.directory, &mut report)?;
    Ok(OfflineVerification::Report(report))
}

/// Imports that had happened when the service stopped: a start completes those that are whole, and is refused by the others.
fn look_at_imports(disk: &Arc<dyn Disk>, report: &mut VerifyReport) -> std::io::Result<()> {
    for name in import::pending(disk)? {
        match import::look(disk, &name) {
            Ok(levels) => report.notes.push(format!(
                "{name} is an import of {levels} levels that had happened when the service stopped: the next start completes it"
            )),
            Err(error) => {
                let detail = format!(
                    "{name}: an import that had happened when the service stopped cannot be completed: {error}; restore the file, or the \
                     data directory, from a backup"
                );
                report.findings.push(Finding { file: Some(name), detail, ..Finding::default() });
                report.findings_total += 1;
            }
        }
    }
    Ok(())
}

/// Documents that are not as they were written: a start is refused by them.
pub(super) fn look_at_documents(
    disk: &Arc<dyn Disk>,
    directory: u128,
    report: &mut VerifyReport,
) -> std::io::Result<()> {
    let wrong = files::check(disk.as_ref(), directory)?;
    report.findings_total += wrong.len() as u64;
    report.findings.extend(wrong.into_iter().map(documents::finding));
    Ok(())
}

/// Whether a start is refused for what is on disk, rather than for want of the disk or of another version.
fn is_damage(error: &RecoveryError) -> bool {
    match error {
        RecoveryError::Io { .. } | RecoveryError::Snapshot(_) => false,
        RecoveryError::Header { source, .. } => !matches!(source, HeaderError::Version(_)),
        RecoveryError::Control { source } => !matches!(source, ControlError::Version(_)),
        _ => true,
    }
}

fn journal_config(keeping: &Keeping) -> JournalConfig {
    let defaults = JournalConfig::default();
    JournalConfig {
        keys_max: keeping.keys_max,
        keys_retention: keeping.keys_retention,
        snapshots: Schedule {
            bytes: keeping.snapshot_bytes,
            interval: keeping.snapshot_interval,
            ..defaults.snapshots
        },
        retain_age: keeping.retain_age,
        retain_bytes: keeping.retain_bytes,
        reservations_finished_max: keeping.reservations_finished_max,
        reservations_retention: keeping.reservations_retention,
        orders_finished_max: keeping.orders.finished_max,
        orders_retention: keeping.orders.retention,
        volatile_bytes_max: keeping.retain_bytes.unwrap_or(defaults.volatile_bytes_max),
        ..defaults
    }
}

async fn recover(
    data: &DataDir,
    intent: Intent,
    config: &JournalConfig,
    keep_keys: bool,
) -> Result<Start, OpenError> {
    let disk = data.disk();
    // Which chunks of an import are in the log their keys tell, however old.
    let key_retention = if keep_keys { Duration::MAX } else { config.keys_retention };
    let options = recovery::Options { now_ms: wall_ms(), key_retention };
    let read = move || match intent {
        Intent::Read => recovery::look(&disk, &options, &report_progress()),
        _ => recovery::recover(&disk, &options, &report_progress()),
    };
    let recovered = tokio::task::spawn_blocking(read).await.map_err(|_| OpenError::Panicked)??;
    let Recovered { heads, keys, holds, orders, log, tail, end, control, report } = recovered;
    log_report(&report, data.is_new(), intent);
    let covered = report.snapshot.as_deref().and_then(snapshot::start_of).unwrap_or(0);
    let only_reads = intent == Intent::Read;
    // Who only reads ends nothing: what is shown is what is in the log.
    let holds = if only_reads { AllFound::default() } else { holds };
    Ok(Start { heads, keys, holds, orders, log, tail, end, covered, control, only_reads })
}

/// Tells the operator what recovery found.
fn log_report(report: &Report, is_new: bool, intent: Intent) {
    if is_new {
        tracing::info!("created: there was no stock");
        return;
    }
    for warning in &report.warnings {
        tracing::warn!("{warning}");
    }
    if let Some(cut) = &report.cut {
        let last = cut.seq.saturating_sub(1);
        let done = if intent == Intent::Read { "passed over" } else { "cut" };
        tracing::warn!(file = cut.file, bytes = cut.bytes, last_movement_kept = last, "{done}: {cut}");
    }
    tracing::info!(
        levels = report.levels,
        movements = report.movements,
        snapshot = report.snapshot.as_deref(),
        // Of 64 bits: a number of 128 is a text in a log of JSON.
        duration_ms = u64::try_from(report.duration.as_millis()).unwrap_or(u64::MAX),
        "recovered"
    );
}

/// Says how far a long recovery is, at most once a second.
fn report_progress() -> impl Fn(recovery::Progress) {
    let last = parking_lot::Mutex::new(std::time::Instant::now());
    move |progress| {
        let mut last = last.lock();
        if last.elapsed() >= Duration::from_secs(1) {
            *last = std::time::Instant::now();
            let percent = progress.bytes * 100 / progress.bytes_total.max(1);
            tracing::info!(percent, movements = progress.movements, "reading the log");
        }
    }
}
