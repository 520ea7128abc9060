//! [`DataDir`]: the folder of one stock, and the lock that keeps a second process out of it.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use thiserror::Error;

use super::disk::{Disk, Folder};

/// The file that is locked besides the folder itself, which keeps out versions that lock nothing else. It stays: who holds the
/// lock counts, not whether the file is there. Anybody can remove it and lock a new one; the folder cannot be exchanged unseen.
const LOCK_NAME: &str = "lock";

/// A folder that no other process uses while this value lives.
#[derive(Debug)]
pub struct DataDir {
    folder: Folder,
    _locks: [File; 2],
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
        let itself = File::open(path).map_err(failed)?;
        let lock = OpenOptions::new().create(true).truncate(false).write(true).open(path.join(LOCK_NAME));
        let locks = [itself, lock.map_err(failed)?];
        for lock in &locks {
            lock.try_lock().map_err(|error| match error {
                TryLockError::WouldBlock => DataDirError::InUse(path.to_owned()),
                TryLockError::Error(error) => failed(error),
            })?;
        }
        // What was locked is what was opened, and is what is there.
        folder.is_in_place().map_err(failed)?;
        Ok(Self { folder, _locks: locks })
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

#[cfg(test)]
mod tests;
