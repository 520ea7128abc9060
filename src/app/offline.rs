//! The stock without a server: for commands that read or change a data directory that nobody serves.

use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use thiserror::Error;

use super::OpenError;
use crate::config::{Config, Storage};
use crate::inventory::Inventory;
use crate::journal::data_dir::{DataDir, DataDirError};
use crate::journal::recovery::{self, RecoveryError};
use crate::journal::verify::{self, Live, Progress, Report, VerifyError};
use crate::journal::{JournalConfig, now_ms};
use crate::strategy::Kind;

/// An inventory over a data directory that is this process's own while the value lives.
#[derive(Debug)]
pub struct Offline {
    /// The stock.
    pub inventory: Inventory,
    _data: DataDir,
}

/// Why a data directory cannot be worked on.
#[derive(Debug, Error)]
pub enum OfflineError {
    /// It is in use, or not there.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// What is in it cannot be gone on with.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The log is damaged.
    #[error(transparent)]
    Recovery(#[from] RecoveryError),
    /// It could not be verified.
    #[error(transparent)]
    Verify(#[from] VerifyError),
}

impl Offline {
    /// Recovers what is on disk, as a start does: an unfinished commit is cut, an import that had happened is completed.
    /// `create`: whether a folder that is not there is made.
    pub async fn open(path: &Path, create: bool) -> Result<Self, OfflineError> {
        let data = if create { DataDir::open_or_create(path)? } else { DataDir::open(path)? };
        // No key is turned away or forgotten, and nothing dropped: how long they are kept is for the server to say.
        let (keys_max, keys_retention) = (usize::MAX, Duration::MAX);
        let journal = JournalConfig { keys_max, keys_retention, ..JournalConfig::default() };
        let storage = Storage::Durable { data_dir: path.to_owned(), journal };
        let config = Config { storage, ..Config::new(Kind::Atomic) };
        let inventory = super::open(&config, Some(&data)).await?;
        Ok(Self { inventory, _data: data })
    }

    /// Ends it, once everything is on disk.
    pub async fn close(self) {
        self.inventory.shut_down().await;
    }
}

/// Verifies a data directory that nobody serves: the whole log, and the levels that a start would go on with against it.
/// Blocking.
pub fn verify(path: &Path, progress: &dyn Fn(Progress)) -> Result<Report, OfflineError> {
    let data = DataDir::open(path)?;
    let disk = data.disk();
    // Nothing is written but what a start would: no key is forgotten on disk.
    let options = recovery::Options { now_ms: now_ms(), key_retention: Duration::MAX };
    let recovered = recovery::recover(&disk, &options, &|_| ())?;
    let heads = &recovered.heads;
    let level =
        |key: &crate::stock::StockKey| heads.get(key.text(), heads.hash(key.text())).map(|head| head.level);
    let live = Live { level: &level, changing: false };
    let stop = AtomicBool::new(false);
    Ok(verify::verify(disk.as_ref(), &recovered.log, recovered.end, live, &stop, progress)?)
}
