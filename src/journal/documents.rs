//! [`Documents`]: small files that are kept beside the log for somebody else, who knows what is in them.
//!
//! A document is replaced as a whole, under a temporary name, synced and renamed: a crash leaves the old one or the new one. It says which
//! it is, whose, and checks itself: one that is not what was written is refused, and never guessed at. A backup has them all.
//!
//! What fails here fails for who asked, and not for the log. In memory they are kept for as long as the process lives.
//!
//! ```text
//!   0 magic 8 bytes, 8 version u32, 12 which u32 (see [`Name`]), 16 directory u128, 32 the document; then checksum u64 (BLAKE3 of all before)
//! ```

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use bytes::Buf as _;
use parking_lot::Mutex;
use thiserror::Error;

use super::control::Control;
use super::disk::Disk;

/// The version this program writes and reads.
const VERSION: u32 = 1;

const MAGIC: [u8; 8] = *b"INVDOC\r\n";
const HEAD_BYTES: usize = 32;
const CHECKSUM_BYTES: usize = 8;

/// The longest document: 16 MiB.
pub const BYTES_MAX: usize = 16 * 1024 * 1024;

/// Which document. Its number is in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Name {
    /// When to raise an alarm.
    Alerts = 1,
    /// Who is told of movements.
    Webhooks = 2,
    /// How far they have been told.
    WebhookPositions = 3,
}

/// Why a document cannot be believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum DocumentError {
    /// It is not what was written.
    #[error("it is damaged")]
    Damaged,
    /// It is another one, under this name.
    #[error("it is another document, under a name that is not its own")]
    Other,
    /// It says that it is another directory's.
    #[error("it was written in another data directory")]
    Directory,
    /// A later version of the program wrote it.
    #[error("it is of format version {0}; this program reads version {VERSION}")]
    Version(u32),
}

/// The documents of a data directory, or of a service that keeps nothing.
#[derive(Debug)]
pub struct Documents {
    control: Arc<Control>,
    kept: Kept,
    /// One is written at a time.
    writing: Mutex<()>,
}

#[derive(Debug)]
enum Kept {
    OnDisk(Arc<dyn Disk>),
    InMemory(Mutex<BTreeMap<Name, Vec<u8>>>),
}

/// Why a document was not kept.
#[derive(Debug)]
pub struct NotKept {
    /// What the system says.
    pub source: io::Error,
    /// Whether the new one may be there all the same after a crash.
    pub may_be_kept: bool,
}

impl Name {
    /// All there are.
    pub const ALL: [Self; 3] = [Self::Alerts, Self::Webhooks, Self::WebhookPositions];

    /// The name of its file.
    pub fn file(self) -> &'static str {
        match self {
            Self::Alerts => "alerts",
            Self::Webhooks => "webhooks",
            Self::WebhookPositions => "webhook-positions",
        }
    }

    /// The name of its file while it is written. Recovery removes what has such a name.
    pub fn temporary(self) -> &'static str {
        match self {
            Self::Alerts => "alerts.tmp",
            Self::Webhooks => "webhooks.tmp",
            Self::WebhookPositions => "webhook-positions.tmp",
        }
    }
}

impl Documents {
    /// Those of the data directory whose files are on that disk, or of none if it is volatile.
    pub fn new(disk: &Arc<dyn Disk>, control: Arc<Control>) -> Self {
        let kept = if disk.is_volatile() {
            Kept::InMemory(Mutex::default())
        } else {
            Kept::OnDisk(Arc::clone(disk))
        };
        Self { control, kept, writing: Mutex::default() }
    }

    /// A document; `None` where there is none. Blocking.
    pub fn read(&self, name: Name) -> io::Result<Option<Vec<u8>>> {
        match &self.kept {
            Kept::OnDisk(disk) => read(disk.as_ref(), name, self.control.identity().directory),
            Kept::InMemory(kept) => Ok(kept.lock().get(&name).cloned()),
        }
    }

    /// Replaces a document, for good. Blocking.
    pub fn write(&self, name: Name, bytes: Vec<u8>) -> Result<(), NotKept> {
        let not = |source| NotKept { source, may_be_kept: false };
        if bytes.len() > BYTES_MAX {
            let source = io::Error::other(format!("a document has at most {BYTES_MAX} bytes"));
            return Err(not(source));
        }
        match &self.kept {
            Kept::OnDisk(disk) => {
                let _one_at_a_time = self.writing.lock();
                // It says whose it is, so that must be on disk before.
                self.control.catch_up().map_err(not)?;
                replace(disk.as_ref(), name, &to_bytes(name, self.control.identity().directory, &bytes))
            }
            Kept::InMemory(kept) => {
                kept.lock().insert(name, bytes);
                Ok(())
            }
        }
    }

    /// What is wrong with each that is not as it was written. Blocking.
    pub fn check(&self) -> io::Result<Vec<(Name, DocumentError)>> {
        match &self.kept {
            Kept::OnDisk(disk) => check(disk.as_ref(), self.control.identity().directory),
            Kept::InMemory(_) => Ok(Vec::new()),
        }
    }
}

/// What is wrong with each document of that directory that is not as it was written.
pub fn check(disk: &dyn Disk, directory: u128) -> io::Result<Vec<(Name, DocumentError)>> {
    let mut wrong = Vec::new();
    for name in Name::ALL {
        if let Some(bytes) = raw(disk, name)? {
            wrong.extend(from_bytes(name, directory, &bytes).err().map(|error| (name, error)));
        }
    }
    Ok(wrong)
}

/// Copies every document there is, and returns the bytes of them all. One that is damaged is not copied: that fails.
pub fn copy(from: &dyn Disk, directory: u128, into: &dyn Disk) -> Result<u64, (Name, io::Error)> {
    let mut copied = 0;
    for name in Name::ALL {
        let failed = |error| (name, error);
        let Some(bytes) = raw(from, name).map_err(failed)? else { continue };
        from_bytes(name, directory, &bytes).map_err(|wrong| failed(unreadable(name, wrong)))?;
        replace(into, name, &bytes).map_err(|not| failed(not.source))?;
        copied += bytes.len() as u64;
    }
    Ok(copied)
}

fn read(disk: &dyn Disk, name: Name, directory: u128) -> io::Result<Option<Vec<u8>>> {
    let Some(bytes) = raw(disk, name)? else { return Ok(None) };
    let document = from_bytes(name, directory, &bytes).map_err(|wrong| unreadable(name, wrong))?;
    Ok(Some(document.to_vec()))
}

/// The whole file, as far as it may be long; `None` where there is none.
fn raw(disk: &dyn Disk, name: Name) -> io::Result<Option<Vec<u8>>> {
    let file = match disk.open(name.file()) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    // One byte more than any has: that one is damaged.
    let most = HEAD_BYTES + BYTES_MAX + CHECKSUM_BYTES + 1;
    let mut bytes = vec![0; usize::try_from(file.len()?).unwrap_or(usize::MAX).min(most)];
    file.read_exact_at(&mut bytes, 0)?;
    Ok(Some(bytes))
}

fn unreadable(name: Name, wrong: DocumentError) -> io::Error {
    let what =
        format!("{} cannot be relied on: {wrong}; restore it from a backup, or remove it", name.file());
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// Writes the file under another name, and gives it its own.
fn replace(disk: &dyn Disk, name: Name, bytes: &[u8]) -> Result<(), NotKept> {
    let not = |source| NotKept { source, may_be_kept: false };
    // Whether there is one that stays, making it tells.
    let _ = disk.remove(name.temporary());
    let written = (|| {
        let file = disk.create(name.temporary())?;
        file.write_at(bytes, 0)?;
        file.sync()?;
        disk.is_in_place()?;
        disk.rename(name.temporary(), name.file())
    })();
    if written.is_err() {
        // What could not be written, or not be named, is not kept from others.
        let _ = disk.remove(name.temporary());
    }
    written.map_err(not)?;
    disk.sync_names().map_err(|source| NotKept { source, may_be_kept: true })
}

fn to_bytes(name: Name, directory: u128, document: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEAD_BYTES + document.len() + CHECKSUM_BYTES);
    bytes.extend_from_slice(&MAGIC);
    bytes.extend_from_slice(&VERSION.to_le_bytes());
    bytes.extend_from_slice(&(name as u32).to_le_bytes());
    bytes.extend_from_slice(&directory.to_le_bytes());
    bytes.extend_from_slice(document);
    let checksum = checksum(&bytes);
    bytes.extend_from_slice(&checksum);
    bytes
}

fn from_bytes(name: Name, directory: u128, bytes: &[u8]) -> Result<&[u8], DocumentError> {
    let (checked, check) = bytes.split_last_chunk().ok_or(DocumentError::Damaged)?;
    let intact = checksum(checked) == *check;
    let mut rest = checked.strip_prefix(&MAGIC).ok_or(DocumentError::Damaged)?;
    let version = rest.try_get_u32_le().map_err(|_| DocumentError::Damaged)?;
    // A later version may check itself otherwise: what it says of itself comes first.
    if version > VERSION {
        return Err(DocumentError::Version(version));
    }
    if !intact || version != VERSION || checked.len() < HEAD_BYTES || checked.len() > HEAD_BYTES + BYTES_MAX {
        return Err(DocumentError::Damaged);
    }
    if rest.get_u32_le() != name as u32 {
        return Err(DocumentError::Other);
    }
    if rest.get_u128_le() != directory {
        return Err(DocumentError::Directory);
    }
    Ok(rest)
}

fn checksum(bytes: &[u8]) -> [u8; CHECKSUM_BYTES] {
    *blake3::hash(bytes).as_bytes().first_chunk().expect("a hash has 32 bytes")
}

#[cfg(test)]
mod tests;
