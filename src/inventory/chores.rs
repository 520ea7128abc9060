//! What is done now and then: verification, backups, imports. Who does one holds the right to it, so that none runs twice.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use thiserror::Error;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Inventory;
use crate::journal::backup::{self, Copied};
use crate::journal::disk::Disk;
use crate::journal::verify::{self, Live, Progress, Report, VerifyError};
use crate::stock::{Level, StockKey};
use crate::strategy::Strategy;

/// Where the journal's files are.
#[derive(Debug, Clone)]
pub struct Home {
    /// The files.
    pub disk: Arc<dyn Disk>,
    /// The folder.
    pub path: PathBuf,
}

/// The rights to each chore, and the word to stop.
#[derive(Debug)]
pub struct Chores {
    home: Option<Home>,
    importing: Arc<Semaphore>,
    applying: Arc<Semaphore>,
    verifying: Arc<Semaphore>,
    stop: Arc<AtomicBool>,
}

/// Why there is no report.
#[derive(Debug, Error)]
pub enum VerifyAnswerError {
    /// The stock is in memory only.
    #[error("no ledger is kept")]
    NotKept,
    /// Another one is under way.
    #[error("a verification is under way")]
    AlreadyRunning,
    /// It could not be carried through.
    #[error(transparent)]
    Verify(#[from] VerifyError),
    /// Its thread panicked.
    #[error("the verification panicked")]
    Panicked,
}

/// Why there is no backup.
#[derive(Debug, Error)]
pub enum BackupError {
    /// The stock is in memory only.
    #[error("no ledger is kept")]
    NotKept,
    /// Another one is under way, or an import is being applied.
    #[error("a backup is being made, or an import applied")]
    AlreadyRunning,
    /// It could not be made.
    #[error(transparent)]
    Backup(#[from] backup::BackupError),
    /// Its thread panicked.
    #[error("the backup panicked")]
    Panicked,
}

impl Chores {
    pub(super) fn settle(&mut self, home: Home) {
        self.home = Some(home);
    }

    /// Where the journal's files are; `None` without a journal.
    pub fn home(&self) -> Option<&Home> {
        self.home.as_ref()
    }

    /// The right to take an import in; `None` while somebody has it.
    pub fn import(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.importing).try_acquire_owned().ok()
    }

    /// Waits for the right to make an import happen.
    pub(super) async fn applying(&self) -> Option<OwnedSemaphorePermit> {
        // Never closed.
        Arc::clone(&self.applying).acquire_owned().await.ok()
    }

    /// Tells what takes long to give up, as the service stops.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

impl Default for Chores {
    fn default() -> Self {
        let one = || Arc::new(Semaphore::new(1));
        Self { home: None, importing: one(), applying: one(), verifying: one(), stop: Arc::default() }
    }
}

impl Inventory {
    /// Reads the whole log again, and compares what it makes with the live stock. One at a time; changes go on meanwhile.
    pub async fn verify(
        &'static self,
        progress: impl Fn(Progress) + Send + 'static,
    ) -> Result<Report, VerifyAnswerError> {
        let (Some(journal), Some(home)) = (self.books().journal(), self.chores.home.clone()) else {
            return Err(VerifyAnswerError::NotKept);
        };
        let right = Arc::clone(&self.chores.verifying).try_acquire_owned();
        let right = right.map_err(|_| VerifyAnswerError::AlreadyRunning)?;
        let (shared, stop, runtime) =
            (Arc::clone(journal.shared()), Arc::clone(&self.chores.stop), Handle::current());
        let verified = tokio::task::spawn_blocking(move || {
            // Given back when the work is over, not when who asked for it has gone away.
            let _right = right;
            let level = |key: &StockKey| {
                // Whoever is in the way goes away again: that says nothing about the level.
                let read = async {
                    loop {
                        if let Ok(level) = self.stock.read(key).await {
                            return level;
                        }
                    }
                };
                Some(runtime.block_on(read)).filter(|level: &Level| level.version() > 0)
            };
            let live = Live { level: &level, changing: true };
            verify::verify(home.disk.as_ref(), &shared.log, shared.watermark.end(), live, &stop, &progress)
        });
        Ok(verified.await.map_err(|_| VerifyAnswerError::Panicked)??)
    }

    /// Copies what a start needs into a new folder: everything acknowledged before, and a consistent prefix of the rest.
    pub async fn back_up(&self, into: PathBuf) -> Result<Copied, BackupError> {
        let (Some(journal), Some(home)) = (self.books().journal(), self.chores.home.clone()) else {
            return Err(BackupError::NotKept);
        };
        let right = Arc::clone(&self.chores.applying).try_acquire_owned();
        let right = right.map_err(|_| BackupError::AlreadyRunning)?;
        let (shared, stop) = (Arc::clone(journal.shared()), Arc::clone(&self.chores.stop));
        let copied = tokio::task::spawn_blocking(move || {
            let _right = right;
            backup::copy(home.disk.as_ref(), &shared.log, &shared.watermark, &into, &stop)
        });
        Ok(copied.await.map_err(|_| BackupError::Panicked)??)
    }
}
