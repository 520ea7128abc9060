//! What is done now and then: verification, backups, imports. The right to each belongs to the work while it goes on, so none
//! runs twice, whoever has gone away; and all of it ends when the service stops.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::runtime::Handle;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinError;

use super::Local;
use super::backups::Shelf;
use super::import::Import;
use super::open::look_at_documents;
use crate::journal::backup;
use crate::journal::data_dir::DataDir;
use crate::journal::disk::{Disk, is_full, is_out_of_files};
use crate::journal::verify::{self, Live, Problem, Report, Stopped, VerifyError};
use crate::stock::{Level, StockKey};
use crate::store::Chores;
use crate::store::chores::{
    Archive, BACKUPS, Backup, ChoreError, Finding, ImportError, ImportInto, KeptBackup, StockForm,
    VerifyReport,
};
use crate::strategy::Strategy as _;

/// Where the journal's files are.
#[derive(Debug)]
pub(super) struct Home {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) path: PathBuf,
}

/// The right to each chore, and the word to stop.
#[derive(Debug)]
pub(super) struct Rights {
    home: Option<Home>,
    shelf: Option<Shelf>,
    importing: Arc<Semaphore>,
    applying: Arc<Semaphore>,
    verifying: Arc<Semaphore>,
    stop: Arc<AtomicBool>,
    stopped: Arc<Notify>,
}

impl Home {
    pub(super) fn of(data: &DataDir) -> Self {
        Self { disk: data.disk(), path: data.path().to_owned() }
    }
}

impl Rights {
    pub(super) fn new(home: Option<Home>) -> Self {
        let one = || Arc::new(Semaphore::new(1));
        Self {
            shelf: home.as_ref().map(|home| Shelf::of(home.path.join(BACKUPS))),
            home,
            importing: one(),
            applying: one(),
            verifying: one(),
            stop: Arc::default(),
            stopped: Arc::default(),
        }
    }

    /// Where the journal's files are; `None` where it is in memory.
    pub(super) fn home(&self) -> Option<&Home> {
        self.home.as_ref()
    }

    /// Waits for the right to make an import happen.
    pub(super) async fn applying(&self) -> Option<OwnedSemaphorePermit> {
        // Never closed.
        Arc::clone(&self.applying).acquire_owned().await.ok()
    }

    /// Tells what takes long to give up, as the service stops.
    pub(super) fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
        self.stopped.notify_waiters();
    }

    /// Tells when the service stops. To be asked before [`Rights::is_stopping`] is.
    pub(super) fn stopped(&self) -> &Arc<Notify> {
        &self.stopped
    }

    /// Whether the service stops.
    pub(super) fn is_stopping(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    pub(super) fn stopping(&self) -> &Arc<AtomicBool> {
        &self.stop
    }
}

impl Chores for Local {
    fn begin_import(&self, form: StockForm) -> Result<impl ImportInto + 'static, ImportError> {
        let right = Arc::clone(&self.0.rights.importing).try_acquire_owned();
        Import::begin(self.clone(), form, right.map_err(|_| ImportError::AlreadyRunning)?)
    }

    async fn verify(&self) -> Result<VerifyReport, ChoreError> {
        let disk = Arc::clone(&self.0.rights.home.as_ref().ok_or(ChoreError::NoFiles)?.disk);
        let right = Arc::clone(&self.0.rights.verifying).try_acquire_owned();
        let right = right.map_err(|_| ChoreError::AlreadyRunning("a verification is under way"))?;
        let (store, runtime) = (self.clone(), Handle::current());
        let verified = tokio::task::spawn_blocking(move || {
            let _right = right;
            let stop = Arc::clone(store.0.rights.stopping());
            let level = |key: &StockKey| runtime.block_on(store.live_level(key));
            let (live, shared) = (Live { level: &level, changing: true }, store.0.books.shared());
            let report =
                verify::verify(disk.as_ref(), &shared.log, shared.watermark.end(), live, &stop, &|_| ())?;
            let mut report = shown(report);
            let io = |source| VerifyError::Io { file: "the documents beside the log".to_owned(), source };
            look_at_documents(&disk, shared.control.identity().directory, &mut report).map_err(io)?;
            Ok(report)
        });
        match verified.await.map_err(|panicked| failed(&panicked))? {
            Ok(report) => Ok(report),
            Err(VerifyError::Stopped) => Err(ChoreError::Stopped),
            Err(VerifyError::Io { source, .. }) if is_out_of_files(&source) => Err(ChoreError::TooManyFiles),
            Err(error) => Err(ChoreError::Failed(error.to_string())),
        }
    }

    async fn back_up(&self, into: PathBuf) -> Result<Backup, ChoreError> {
        let home = self.0.rights.home.as_ref().ok_or(ChoreError::NoFiles)?;
        let right = Arc::clone(&self.0.rights.applying).try_acquire_owned();
        let busy = ChoreError::AlreadyRunning("a backup is being made, or an import applied");
        let right = right.map_err(|_| busy)?;
        // The import that had the right before may have been left to the next start: a copy would have the half of it.
        if let Some(failed) = self.0.books.shared().watermark.failed() {
            return Err(ChoreError::Failed(failed.reason.clone()));
        }
        let (disk, into, store) = (Arc::clone(&home.disk), home.path.join(into), self.clone());
        let copied = tokio::task::spawn_blocking(move || {
            let _right = right;
            let shared = store.0.books.shared();
            backup::copy(
                disk.as_ref(),
                &shared.log,
                &shared.control,
                &shared.watermark,
                &into,
                store.0.rights.stopping(),
            )
        });
        let copied = copied.await.map_err(|panicked| failed(&panicked))?.map_err(not_backed_up)?;
        let backup::Copied { path, next_seq, segments, snapshot, bytes } = copied;
        let shown = path.strip_prefix(&home.path).unwrap_or(&path).to_owned();
        Ok(Backup { path, shown, last_seq: next_seq.saturating_sub(1), segments, snapshot, bytes })
    }

    async fn backups(&self) -> Result<Vec<KeptBackup>, ChoreError> {
        self.shelf()?.list().await
    }

    async fn archive(&self, name: &str) -> Result<Archive, ChoreError> {
        self.shelf()?.archive(name).await
    }

    async fn remove_backup(&self, name: &str) -> Result<(), ChoreError> {
        self.shelf()?.remove(name).await
    }
}

impl Local {
    fn shelf(&self) -> Result<&Shelf, ChoreError> {
        self.0.rights.shelf.as_ref().ok_or(ChoreError::NoFiles)
    }

    /// The level as it is, for a verification: whoever is in the way goes away again, which says nothing about the level; but
    /// a strategy that has ended never answers, so this ends when the service stops.
    async fn live_level(&self, key: &StockKey) -> Result<Option<Level>, Stopped> {
        loop {
            if self.0.rights.is_stopping() {
                return Err(Stopped);
            }
            if let Ok(level) = self.0.stock.read(key).await {
                return Ok((level.version() > 0).then_some(level));
            }
        }
    }
}

/// A report, in the words of the gate.
pub(super) fn shown(report: Report) -> VerifyReport {
    let Report { segments, groups, records, movements, levels, levels_changed, snapshot, .. } = report;
    let findings_total = report.problems_total;
    let findings = report.problems.iter().map(finding).collect();
    VerifyReport {
        segments,
        groups,
        records,
        movements,
        levels,
        levels_changed,
        snapshot,
        findings,
        findings_total,
        notes: Vec::new(),
    }
}

fn finding(problem: &Problem) -> Finding {
    let detail = problem.to_string();
    match problem {
        Problem::Log { file, offset, seq, .. } => Finding {
            file: Some(file.clone()),
            offset: Some(*offset),
            seq: Some(*seq),
            detail,
            ..Finding::default()
        },
        Problem::Snapshot(_) => Finding { detail, ..Finding::default() },
        Problem::Level { key, .. } | Problem::Held { key, .. } => {
            Finding { key: Some(key.clone()), detail, ..Finding::default() }
        }
    }
}

fn not_backed_up(error: backup::BackupError) -> ChoreError {
    match error {
        backup::BackupError::Exists(path) => ChoreError::Exists(path),
        backup::BackupError::Stopped => ChoreError::Stopped,
        backup::BackupError::Io { source, .. } if is_full(&source) => ChoreError::Full,
        backup::BackupError::Io { source, .. } if is_out_of_files(&source) => ChoreError::TooManyFiles,
        error => ChoreError::Failed(error.to_string()),
    }
}

fn failed(panicked: &JoinError) -> ChoreError {
    ChoreError::Failed(panicked.to_string())
}
