//! [`DataDir`]: the folder of one stock, and the lock that keeps a second process out of it.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use thiserror::Error;

use super::disk::pool::{self, Pool};
use super::disk::{Disk, Folder};

/// The file that is locked besides the folder itself, which keeps out versions that lock nothing else. It stays: who holds the
/// lock counts, not whether the file is there. Anybody can remove it and lock a new one; the folder cannot be exchanged unseen.
const LOCK_NAME: &str = "lock";

/// A folder that no other process uses while this value lives.
#[derive(Debug)]
pub struct DataDir {
    folder: Folder,
    /// One for all, so that whoever has a file can read it when another removes it.
    disk: Arc<dyn Disk>,
    _locks: [Lock; 2],
}

/// A file, locked until this value is dropped.
#[derive(Debug)]
struct Lock(File);

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
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(path.join(LOCK_NAME));
        let file = file.map_err(failed)?;
        let lock = |file: File| match file.try_lock() {
            Ok(()) => Ok(Lock(file)),
            Err(TryLockError::WouldBlock) => Err(DataDirError::InUse(path.to_owned())),
            Err(TryLockError::Error(error)) => Err(failed(error)),
        };
        let locks = [lock(itself)?, lock(file)?];
        // What was locked is what was opened, and is what is there.
        folder.is_in_place().map_err(failed)?;
        let disk = Arc::new(Pool::new(Arc::new(folder.clone()), pool::OPEN_MAX));
        Ok(Self { folder, disk, _locks: locks })
    }

    /// Its files.
    pub fn disk(&self) -> Arc<dyn Disk> {
        Arc::clone(&self.disk)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }
}

impl Drop for Lock {
    /// Closing the file is not enough: a child process that was forked a moment ago and has not become its program yet holds the
    /// same lock.
    fn drop(&mut self) {
        // What cannot be unlocked goes with the process.
        let _ = self.0.unlock();
    }
}

#[cfg(test)]
mod tests;
