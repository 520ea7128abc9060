//! [`DataDir`]: the folder of one stock, and the lock that keeps a second process out of it.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use thiserror::Error;

use super::disk::{Disk, Folder};

/// The file that is locked. It stays: who holds the lock counts, not whether the file is there.
const LOCK_NAME: &str = "lock";

/// A folder that no other process uses while this value lives.
#[derive(Debug)]
pub struct DataDir {
    folder: Folder,
    _lock: File,
}

/// Why a folder cannot be used.
#[derive(Debug, Error)]
pub enum DataDirError {
    /// Another process has it.
    #[error("the data directory {} is in use by another process", .0.display())]
    InUse(PathBuf),
    /// The file system refuses.
    #[error("the data directory {} cannot be used: {error}", .path.display())]
    Io {
        /// The folder.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
}

impl DataDir {
    /// Opens and locks a folder, making it where it is missing.
    pub fn open_or_create(path: &Path) -> Result<Self, DataDirError> {
        Self::locked(path, Folder::open_or_create(path))
    }

    /// Opens and locks a folder that is there.
    pub fn open(path: &Path) -> Result<Self, DataDirError> {
        Self::locked(path, Folder::open(path))
    }

    fn locked(path: &Path, folder: io::Result<Folder>) -> Result<Self, DataDirError> {
        let failed = |error| DataDirError::Io { path: path.to_owned(), error };
        let folder = folder.map_err(failed)?;
        let lock = OpenOptions::new().create(true).truncate(false).write(true).open(path.join(LOCK_NAME));
        let lock = lock.map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { folder, _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(DataDirError::InUse(path.to_owned())),
            Err(TryLockError::Error(error)) => Err(failed(error)),
        }
    }

    /// Its files.
    pub fn disk(&self) -> Arc<dyn Disk> {
        Arc::new(self.folder.clone())
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }
}
