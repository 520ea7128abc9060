//! [`DataDir`]: the folder of one stock, whether it is one, and the lock that keeps a second process out of it.
//!
//! A folder is taken for a data directory by the names of the files in it. One that holds other things and nothing of ours is
//! nobody's stock, and is left as it was found: not even the lock file is made there.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use thiserror::Error;

use super::disk::{self, Disk, Folder};
use super::{control, documents, prepare, segment, snapshot};

/// The file that is locked besides the folder itself, which keeps out versions that lock nothing else. It stays: who holds the
/// lock counts, not whether the file is there. Anybody can remove it and lock a new one; the folder cannot be exchanged unseen.
const LOCK_NAME: &str = "lock";

/// What file systems have in a folder that is otherwise empty.
const OF_FILE_SYSTEMS: &str = "lost+found";

/// A folder that no other process uses while this value lives.
#[derive(Debug)]
pub struct DataDir {
    folder: Folder,
    is_new: bool,
    /// One for all: what one of them meets counts for the others.
    disk: Arc<dyn Disk>,
    _locks: Vec<Lock>,
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
    /// There is nothing at that path.
    #[error("there is no data directory {}: `serve` makes one", .0.display())]
    Missing(PathBuf),
    /// There is nothing in it.
    #[error("{} is no data directory: there is nothing in it; `serve` makes one of it", .0.display())]
    Empty(PathBuf),
    /// There is something in it, and nothing of a stock.
    #[error("{} is no data directory: it holds {name:?}, and no stock; nothing was changed", .path.display())]
    Foreign {
        /// The folder.
        path: PathBuf,
        /// Something that is in it.
        name: String,
    },
    /// The file system refuses.
    #[error("the data directory {} cannot be used: {error}", .path.display())]
    Io {
        /// The folder.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
}

/// What a folder is, by the names in it.
#[derive(Debug, PartialEq, Eq)]
enum Contents {
    Nothing,
    /// A lock file, as who served a folder and wrote nothing has left it.
    Begun,
    Stock,
    Foreign(String),
}

impl DataDir {
    /// Opens and locks a data directory; one that is missing or empty becomes one.
    pub fn open_or_create(path: &Path) -> Result<Self, DataDirError> {
        let folder = Folder::open_or_create(path).map_err(|error| failed(path, error))?;
        Self::locked(path, folder, true)
    }

    /// Opens and locks a data directory that is there.
    pub fn open(path: &Path) -> Result<Self, DataDirError> {
        let folder = Folder::open(path).map_err(|error| failed(path, error))?;
        Self::locked(path, folder, false)
    }

    /// Opens a data directory that is there for reading alone: nothing in it changes, and no file is made. Others may read it at
    /// the same time.
    pub fn look(path: &Path) -> Result<Self, DataDirError> {
        let failed = |error| failed(path, error);
        let folder = Folder::open_to_read(path).map_err(failed)?;
        let mut files = vec![File::open(path).map_err(failed)?];
        match File::open(path.join(LOCK_NAME)) {
            Ok(lock) => files.push(lock),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed(error)),
        }
        let locks = files.into_iter().map(|file| Lock::hold(path, file, File::try_lock_shared));
        let locks = locks.collect::<Result<_, _>>()?;
        folder.is_in_place().map_err(failed)?;
        contents(path, false)?;
        Ok(Self { disk: guarded(&folder), folder, is_new: false, _locks: locks })
    }

    fn locked(path: &Path, folder: Folder, create: bool) -> Result<Self, DataDirError> {
        let failed = |error| failed(path, error);
        let itself = Lock::hold(path, File::open(path).map_err(failed)?, File::try_lock)?;
        // Before the file is made that would be the only thing of ours in it.
        let is_new = contents(path, create)?;
        let lock = OpenOptions::new().create(true).truncate(false).write(true).open(path.join(LOCK_NAME));
        let lock = Lock::hold(path, lock.map_err(failed)?, File::try_lock)?;
        // What was locked is what was opened, and is what is there.
        folder.is_in_place().map_err(failed)?;
        Ok(Self { disk: guarded(&folder), folder, is_new, _locks: vec![itself, lock] })
    }

    /// Its files.
    pub fn disk(&self) -> Arc<dyn Disk> {
        Arc::clone(&self.disk)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Whether there was nothing in it when it was opened.
    pub fn is_new(&self) -> bool {
        self.is_new
    }
}

fn failed(path: &Path, error: io::Error) -> DataDirError {
    match error.kind() {
        io::ErrorKind::NotFound => DataDirError::Missing(path.to_owned()),
        _ => DataDirError::Io { path: path.to_owned(), error },
    }
}

fn guarded(folder: &Folder) -> Arc<dyn Disk> {
    disk::guarded(Arc::new(folder.clone()))
}

impl Lock {
    /// Takes the lock of a file, and keeps it.
    fn hold(
        path: &Path,
        file: File,
        take: impl FnOnce(&File) -> Result<(), TryLockError>,
    ) -> Result<Self, DataDirError> {
        match take(&file) {
            Ok(()) => Ok(Self(file)),
            Err(TryLockError::WouldBlock) => Err(DataDirError::InUse(path.to_owned())),
            Err(TryLockError::Error(error)) => Err(failed(path, error)),
        }
    }
}

/// Refuses what is no data directory; `create`: an empty one becomes one. Returns whether it is empty.
fn contents(path: &Path, create: bool) -> Result<bool, DataDirError> {
    match Contents::of(path).map_err(|error| failed(path, error))? {
        Contents::Stock | Contents::Begun => Ok(false),
        Contents::Nothing if create => Ok(true),
        Contents::Nothing => Err(DataDirError::Empty(path.to_owned())),
        Contents::Foreign(name) => Err(DataDirError::Foreign { path: path.to_owned(), name }),
    }
}

impl Contents {
    fn of(path: &Path) -> io::Result<Self> {
        let (mut foreign, mut is_begun) = (None, false);
        for entry in fs::read_dir(path)? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            if is_of_stock(&name) {
                return Ok(Self::Stock);
            }
            is_begun |= name == LOCK_NAME;
            if !is_of_nothing(&name) {
                // The first by name, whatever the order of the folder.
                foreign = foreign.filter(|other| *other < name).or(Some(name));
            }
        }
        let otherwise = if is_begun { Self::Begun } else { Self::Nothing };
        Ok(foreign.map_or(otherwise, Self::Foreign))
    }
}

/// Whether a file of that name holds something of a stock.
fn is_of_stock(name: &str) -> bool {
    segment::base_of(name).is_some()
        || snapshot::start_of(name).is_some()
        || name == control::NAME
        || name.strip_suffix(".import").is_some_and(is_an_id)
}

/// Whether a file of that name may be left where a stock was begun and nothing came of it.
fn is_of_nothing(name: &str) -> bool {
    let import = name.split_once(".import.").is_some_and(|(id, _)| is_an_id(id));
    [LOCK_NAME, OF_FILE_SYSTEMS, prepare::NAME, snapshot::TEMPORARY, control::TEMPORARY, control::SPARE]
        .contains(&name)
        || documents::Name::ALL.iter().any(|document| document.temporary() == name)
        || import
}

/// Imports that are under way are named after their numbers.
fn is_an_id(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
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
