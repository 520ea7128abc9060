//! Where full blocks are kept: in memory up to a bound, then in a temporary file.
//!
//! The file is unlinked as soon as it is open, so the system takes it back with the last handle, after a crash as well. A
//! block that cannot be written stays in memory, where it was: a record is never lost, but the run should end soon.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::code::Reader;

/// What is kept in memory before blocks go to disk, if nothing else is said: some 16 million operations.
const MEMORY_BYTES: u64 = 256 << 20;

/// Why a log could not be read back.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The temporary file failed.
    #[error("the part of the history that is on disk cannot be read: {0}")]
    Io(#[from] io::Error),
    /// What was read is not what was written.
    #[error("the part of the history that is on disk is damaged")]
    Damaged,
}

/// Keeps full blocks for all logs of a run.
#[derive(Debug)]
pub struct Store {
    memory_bytes_max: u64,
    folder: PathBuf,
    memory_bytes: AtomicU64,
    has_failed: AtomicBool,
    /// Made when the first block has to go to disk. Whole blocks only, so the lock is taken once in two thousand operations.
    file: Mutex<Option<Spilled>>,
}

#[derive(Debug)]
struct Spilled {
    file: Arc<File>,
    end: u64,
}

/// A block that is kept.
#[derive(Debug)]
pub(super) enum Kept {
    Memory(Box<[u8]>),
    File { file: Arc<File>, offset: u64, length: u32 },
}

impl Default for Store {
    fn default() -> Self {
        Self::new(MEMORY_BYTES, std::env::temp_dir())
    }
}

impl Store {
    /// Keeps up to so many bytes in memory, and the rest in a file in a folder.
    pub fn new(memory_bytes_max: u64, folder: PathBuf) -> Self {
        Self {
            memory_bytes_max,
            folder,
            memory_bytes: AtomicU64::new(0),
            has_failed: AtomicBool::new(false),
            file: Mutex::new(None),
        }
    }

    /// Keeps everything in memory.
    pub fn in_memory() -> Self {
        Self::new(u64::MAX, PathBuf::new())
    }

    /// Whether a block could not be written to disk.
    pub fn has_failed(&self) -> bool {
        self.has_failed.load(Ordering::Relaxed)
    }

    /// Keeps what a buffer holds, and empties it.
    pub(super) fn keep(&self, block: &mut Vec<u8>) -> Kept {
        // Only a figure to compare with the bound: nothing is ordered by it.
        let held = self.memory_bytes.load(Ordering::Relaxed);
        if held.saturating_add(block.len() as u64) > self.memory_bytes_max && !self.has_failed() {
            match self.write(block) {
                Ok(kept) => {
                    block.clear();
                    return kept;
                }
                Err(_) => self.has_failed.store(true, Ordering::Relaxed),
            }
        }
        self.memory_bytes.fetch_add(block.len() as u64, Ordering::Relaxed);
        let kept = Kept::Memory(block.as_slice().into());
        block.clear();
        kept
    }

    fn write(&self, block: &[u8]) -> io::Result<Kept> {
        let length = u32::try_from(block.len()).map_err(|_| io::ErrorKind::FileTooLarge)?;
        // A client that panicked held the lock only around these few lines, which leave nothing half done.
        let mut spilled = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let Spilled { file, end } = match &mut *spilled {
            Some(spilled) => spilled,
            none => none.insert(Spilled { file: Arc::new(tempfile::tempfile_in(&self.folder)?), end: 0 }),
        };
        file.write_all_at(block, *end)?;
        let offset = *end;
        *end += u64::from(length);
        Ok(Kept::File { file: Arc::clone(file), offset, length })
    }
}

impl Kept {
    /// Brings a block to a reader.
    pub(super) fn load(&self, reader: &mut Reader) -> Result<(), LogError> {
        match self {
            Kept::Memory(bytes) => reader.start(bytes.len()).copy_from_slice(bytes),
            Kept::File { file, offset, length } => {
                file.read_exact_at(reader.start(*length as usize), *offset)?;
            }
        }
        Ok(())
    }
}
