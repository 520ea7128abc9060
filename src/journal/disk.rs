//! [`Disk`]: the storage calls of the journal, all of them, behind one small trait.
//!
//! Everything the journal asks of a file system goes through here, so that tests can put a disk under it that fails,
//! tears, forgets what was not synced, or fills up (`faulty`). It knows nothing of records and never retries: a call that
//! failed has failed.

use std::fmt::Debug;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

#[cfg(test)]
pub mod faulty;
pub mod memory;
pub mod pool;
pub mod strict;

/// A folder of files. Names are plain file names, without a path.
pub trait Disk: Debug + Send + Sync {
    /// Makes a new, empty file. Fails where there is one of that name.
    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>>;

    /// Opens a file that is there, for reading and writing.
    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>>;

    /// The names of all files, in any order.
    fn list(&self) -> io::Result<Vec<String>>;

    /// Gives a file another name, in one step, replacing a file that has it. Survives a crash only after
    /// [`Disk::sync_names`].
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file. Survives a crash only after [`Disk::sync_names`].
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Makes creations, renames and removals survive a crash.
    fn sync_names(&self) -> io::Result<()>;

    /// Fails where the folder is no longer the one at its path: it was moved away or replaced, and whoever starts there next
    /// would find other files.
    fn is_in_place(&self) -> io::Result<()> {
        Ok(())
    }

    /// Bytes that may still be written, as far as the file system says: `None` where it says nothing.
    fn room(&self) -> io::Result<Option<u64>> {
        Ok(None)
    }

    /// Whether a crash takes all of it: then nothing that is written can be taken back while the process lives, and there is
    /// nothing to wait for.
    fn is_volatile(&self) -> bool {
        false
    }
}

/// An open file.
pub trait DiskFile: Debug + Send + Sync {
    /// Reads up to `buffer.len()` bytes from `offset` on; fewer only at the end of the file.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Writes all bytes at `offset`. Survives a crash only after [`DiskFile::sync`]; until then any part of it may.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Makes what was written survive a crash (`fdatasync`).
    fn sync(&self) -> io::Result<()>;

    /// The length in bytes.
    fn len(&self) -> io::Result<u64>;

    /// Cuts the file, or fills it up with zeros. Survives a crash only after [`DiskFile::sync`].
    fn set_len(&self, len: u64) -> io::Result<()>;

    /// Says that the file will get that long. Worth something only where it saves copying.
    fn expect_len(&self, _len: u64) {}

    /// Sets room aside for the first `len` bytes, where the file system can, and writes nothing. Fails where there is not as much.
    fn reserve(&self, _len: u64) -> io::Result<()> {
        Ok(())
    }

    /// Whether there is nothing in it.
    fn is_empty(&self) -> io::Result<bool> {
        self.len().map(|len| len == 0)
    }

    /// Reads exactly `buffer.len()` bytes.
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        match self.read_at(buffer, offset)? {
            read if read == buffer.len() => Ok(()),
            _ => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
}

/// The real thing: a folder of the file system.
#[derive(Debug, Clone)]
pub struct Folder {
    path: PathBuf,
    /// Device and inode: which folder it is, whatever becomes of its path.
    identity: (u64, u64),
    /// Open for as long as it is used: that its names cannot be synced for want of a descriptor does not happen.
    itself: Arc<File>,
    /// Nothing is ever written: files are opened for reading alone, and what changes names is refused.
    only_reads: bool,
}

impl Folder {
    /// Opens a folder, making it and its parents where they are missing; what was made survives a crash.
    pub fn open_or_create(path: &Path) -> io::Result<Self> {
        let missing: Vec<&Path> =
            path.ancestors().take_while(|path| !path.as_os_str().is_empty() && !path.exists()).collect();
        fs::create_dir_all(path)?;
        for made in missing {
            let parent = made.parent().filter(|parent| !parent.as_os_str().is_empty());
            File::open(parent.unwrap_or(Path::new(".")))?.sync_all()?;
        }
        Self::open(path)
    }

    /// Opens a folder that is there.
    pub fn open(path: &Path) -> io::Result<Self> {
        let itself = Arc::new(File::open(path)?);
        let metadata = itself.metadata()?;
        if metadata.is_dir() {
            let identity = (metadata.dev(), metadata.ino());
            Ok(Self { path: path.to_owned(), identity, itself, only_reads: false })
        } else {
            Err(io::ErrorKind::NotADirectory.into())
        }
    }

    /// Opens a folder that is there, in which nothing is to change.
    pub fn open_to_read(path: &Path) -> io::Result<Self> {
        Self::open(path).map(|folder| Self { only_reads: true, ..folder })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn may_change(&self) -> io::Result<()> {
        if self.only_reads { Err(io::ErrorKind::ReadOnlyFilesystem.into()) } else { Ok(()) }
    }
}

impl Disk for Folder {
    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        self.may_change()?;
        let options =
            OpenOptions::new().read(true).write(true).create_new(true).open(self.path.join(name))?;
        Ok(Arc::new(options))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(OpenOptions::new().read(true).write(!self.only_reads).open(self.path.join(name))?))
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            let entry = entry?;
            // A name that is not UTF-8 is none of ours.
            if let (true, Ok(name)) = (entry.file_type()?.is_file(), entry.file_name().into_string()) {
                names.push(name);
            }
        }
        Ok(names)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.may_change()?;
        fs::rename(self.path.join(from), self.path.join(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.may_change()?;
        fs::remove_file(self.path.join(name))
    }

    fn sync_names(&self) -> io::Result<()> {
        self.itself.sync_all()
    }

    fn room(&self) -> io::Result<Option<u64>> {
        let found = rustix::fs::fstatvfs(&*self.itself)?;
        // What is left to this user: not the blocks that are kept for the administrator of a full disk.
        Ok(Some(found.f_bavail.saturating_mul(found.f_frsize)))
    }

    fn is_in_place(&self) -> io::Result<()> {
        let moved = || io::Error::other("the folder was moved away or replaced while it was in use");
        match fs::metadata(&self.path) {
            Ok(found) if (found.dev(), found.ino()) == self.identity => Ok(()),
            Ok(_) => Err(moved()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(moved()),
            Err(error) => Err(error),
        }
    }
}

impl DiskFile for File {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut read = 0;
        while read < buffer.len() {
            match std::os::unix::fs::FileExt::read_at(self, &mut buffer[read..], offset + read as u64) {
                Ok(0) => break,
                Ok(bytes) => read += bytes,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(read)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.write_all_at(bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }

    fn len(&self) -> io::Result<u64> {
        self.metadata().map(|metadata| metadata.len())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        File::set_len(self, len)
    }

    fn reserve(&self, len: u64) -> io::Result<()> {
        use rustix::fs::{FallocateFlags, fallocate};
        use rustix::io::Errno;
        match fallocate(self, FallocateFlags::empty(), 0, len) {
            // A file system that cannot: whether there is room is found out by writing.
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => Ok(()),
            outcome => Ok(outcome?),
        }
    }
}

/// A folder as a journal uses it: few files of it are open, and after a failed sync of its names none is believed.
pub fn guarded(folder: Arc<dyn Disk>) -> Arc<dyn Disk> {
    Arc::new(strict::Strict::new(Arc::new(pool::Pool::new(folder, pool::OPEN_MAX))))
}

/// Whether the disk has no room for what was asked of it, or its user may have no more.
pub fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// Whether a file could not be opened because the process, or the system, has as many open as it may.
pub fn is_out_of_files(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let found = error.raw_os_error().map(Errno::from_raw_os_error);
    matches!(found, Some(Errno::MFILE | Errno::NFILE))
}

/// Whether it is a question of when: there may be room, or a descriptor, later.
pub fn is_short(error: &io::Error) -> bool {
    is_full(error) || is_out_of_files(error)
}
