//! What is done now and then: imports and verifications. The right to each belongs to the work while it goes on, so none runs twice in a process,
//! whoever has gone away; and both end when the store stops. Backups are made by the database's own means.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Semaphore;

use super::Postgres;
use crate::store::Chores;
use crate::store::chores::{
    Archive, Backup, ChoreError, ImportError, ImportInto, KeptBackup, StockForm, VerifyReport,
};

/// The right to each chore, and the word to stop.
#[derive(Debug)]
pub(super) struct Rights {
    pub(super) importing: Arc<Semaphore>,
    verifying: Arc<Semaphore>,
    pub(super) stop: Arc<AtomicBool>,
}

impl Default for Rights {
    fn default() -> Self {
        let one = || Arc::new(Semaphore::new(1));
        Self { importing: one(), verifying: one(), stop: Arc::default() }
    }
}

impl Rights {
    /// Tells what takes long to give up.
    pub(super) fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Whether it is to.
    pub(super) fn is_stopping(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

impl Chores for Postgres {
    fn begin_import(&self, form: StockForm) -> Result<impl ImportInto + 'static, ImportError> {
        self.import_begun(form)
    }

    async fn verify(&self) -> Result<VerifyReport, ChoreError> {
        let right = Arc::clone(&self.0.rights.verifying).try_acquire_owned();
        let right = right.map_err(|_| ChoreError::AlreadyRunning("a verification is under way"))?;
        let store = self.clone();
        // On a task of its own: the right goes with the work.
        let verified = tokio::spawn(async move {
            let _right = right;
            store.verified().await
        });
        verified.await.unwrap_or_else(|panicked| Err(ChoreError::Failed(panicked.to_string())))
    }

    async fn back_up(&self, _into: PathBuf) -> Result<Backup, ChoreError> {
        Err(ChoreError::InDatabase)
    }

    async fn backups(&self) -> Result<Vec<KeptBackup>, ChoreError> {
        Err(ChoreError::InDatabase)
    }

    async fn archive(&self, _name: &str) -> Result<Archive, ChoreError> {
        Err(ChoreError::InDatabase)
    }

    async fn remove_backup(&self, _name: &str) -> Result<(), ChoreError> {
        Err(ChoreError::InDatabase)
    }
}
