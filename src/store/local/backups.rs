//! [`Shelf`]: the backups that are kept in the data directory: which there are, one as a tar archive, and its removal.
//!
//! An archive is made as it is taken, piece by piece, and never lies anywhere: whoever has no room for a second copy can take one
//! off the host. While anybody takes one none is removed, so an archive is whole or is cut off.
//!
//! It never looks into a backup further than its file `control`, and never makes one: see [`crate::journal::backup`].

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use bytes::Bytes;
use tokio::sync::{OwnedRwLockReadGuard, OwnedSemaphorePermit, RwLock, Semaphore, mpsc};
use tokio::task::spawn_blocking;

use crate::journal::backup::PARTIAL;
use crate::journal::control::{self, Content};
use crate::journal::disk::{Folder, is_out_of_files};
use crate::store::chores::{Archive, ChoreError, KeptBackup};

/// What the name ends with while the backup is removed: no name of a backup can.
const REMOVED: &str = "@removed";

/// Archives that are taken at once: each has an open file, and two pieces in memory.
const ARCHIVES_MAX: usize = 4;

/// What is read at a time.
const PIECE_BYTES: u64 = 256 * 1024;

/// Pieces that are read ahead of whoever takes them.
const PIECES_AHEAD: usize = 1;

/// What an archive is made of, in bytes, and how many zero ones end it (POSIX.1-1988, ustar).
const BLOCK_BYTES: u64 = 512;
const END_BYTES: usize = 1024;

/// The backups in a folder.
#[derive(Debug)]
pub(super) struct Shelf {
    folder: PathBuf,
    /// Taken for reading by whoever takes an archive, for writing by who removes a backup.
    uses: Arc<RwLock<()>>,
    places: Arc<Semaphore>,
}

/// A backup, as the disk has it.
struct Found {
    kept: KeptBackup,
    path: PathBuf,
    files: Vec<FoundFile>,
}

struct FoundFile {
    name: String,
    bytes: u64,
    modified_s: u64,
}

impl Shelf {
    /// Of that folder, which need not be there.
    pub(super) fn of(folder: PathBuf) -> Self {
        Self { folder, uses: Arc::default(), places: Arc::new(Semaphore::new(ARCHIVES_MAX)) }
    }

    /// Those that are whole, by name.
    pub(super) async fn list(&self) -> Result<Vec<KeptBackup>, ChoreError> {
        let folder = self.folder.clone();
        blocking(move || {
            let entries = match fs::read_dir(&folder) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
                entries => entries?,
            };
            let mut kept = Vec::new();
            for entry in entries {
                let name = entry?.file_name();
                let Some(name) = name.to_str() else { continue };
                kept.extend(look(&folder, name)?.map(|found| found.kept));
            }
            kept.sort_by(|a, b| a.name.cmp(&b.name));
            Ok(kept)
        })
        .await
    }

    /// One of them, to be taken.
    pub(super) async fn archive(&self, name: &str) -> Result<Archive, ChoreError> {
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(|_| {
            ChoreError::AlreadyRunning("as many backups are being read as may; repeat it after a moment")
        })?;
        let used = Arc::clone(&self.uses).read_owned().await;
        let found = self.found(name).await?;
        let (pieces, taken) = mpsc::channel(PIECES_AHEAD);
        let bytes = found.archived_bytes();
        let held = (place, used);
        tokio::spawn(async move {
            if let Err(error) = found.send(&pieces, &held).await {
                tracing::warn!(backup = found.kept.name, %error, "the archive of a backup was cut off");
                // If the client has gone away it need not be told.
                let _ = pieces.send(Err(error)).await;
            }
        });
        Ok(Archive { bytes, pieces: taken })
    }

    /// Removes one of them, and what is left of such as a crash kept from being removed.
    pub(super) async fn remove(&self, name: &str) -> Result<(), ChoreError> {
        let removing = Arc::clone(&self.uses)
            .try_write_owned()
            .map_err(|_| ChoreError::AlreadyRunning("a backup is being read, or removed"))?;
        let found = self.found(name).await?;
        let folder = self.folder.clone();
        blocking(move || {
            let _removing = removing;
            let mut out_of_sight = found.path.clone().into_os_string();
            out_of_sight.push(REMOVED);
            remove_if_there(Path::new(&out_of_sight))?;
            // From one moment to the next it is none any more: nobody finds the half of it.
            fs::rename(&found.path, &out_of_sight)?;
            File::open(&folder)?.sync_all()?;
            for entry in fs::read_dir(&folder)? {
                let entry = entry?;
                if entry.file_name().to_string_lossy().ends_with(REMOVED) {
                    remove_if_there(&entry.path())?;
                }
            }
            Ok(())
        })
        .await
    }

    async fn found(&self, name: &str) -> Result<Found, ChoreError> {
        let (folder, wanted) = (self.folder.clone(), name.to_owned());
        let found = blocking(move || look(&folder, &wanted)).await?;
        found.ok_or_else(|| ChoreError::NotFound(name.to_owned()))
    }
}

/// The backup of that name, if there is one that is whole.
fn look(folder: &Path, name: &str) -> io::Result<Option<Found>> {
    // It has the name of a folder in this one, and of nothing else.
    let is_name = Path::new(name).file_name().is_some_and(|itself| itself == name);
    if !is_name || name.ends_with(PARTIAL) || name.ends_with(REMOVED) {
        return Ok(None);
    }
    let path = folder.join(name);
    match path.symlink_metadata() {
        Ok(metadata) if metadata.is_dir() => {}
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => return Ok(None),
    }
    let Some(Ok(content)) = Content::read(&Folder::open_to_read(&path)?)? else { return Ok(None) };
    let Some(end) = content.sealed_end() else { return Ok(None) };
    let mut files = Vec::new();
    for entry in fs::read_dir(&path)? {
        let entry = entry?;
        let (metadata, name) = (entry.metadata()?, entry.file_name());
        let Some(name) = name.to_str().filter(|_| metadata.is_file()) else { continue };
        let modified = metadata.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
        files.push(FoundFile {
            name: name.to_owned(),
            bytes: metadata.len(),
            modified_s: modified.as_secs(),
        });
    }
    files.sort_by(|a, b| a.name.cmp(&b.name));
    let made = path.join(control::NAME).metadata()?.modified()?.duration_since(UNIX_EPOCH);
    let kept = KeptBackup {
        name: name.to_owned(),
        made_at_ms: made.map_or(0, |made| u64::try_from(made.as_millis()).unwrap_or(u64::MAX)),
        last_seq: end.next_seq.saturating_sub(1),
        bytes: files.iter().map(|file| file.bytes).sum(),
    };
    Ok(Some(Found { kept, path, files }))
}

impl Found {
    fn archived_bytes(&self) -> u64 {
        let files = self.files.iter().map(|file| BLOCK_BYTES + file.bytes + u64::from(padding(file.bytes)));
        BLOCK_BYTES + files.sum::<u64>() + END_BYTES as u64
    }

    /// Makes the archive, as fast as its pieces are taken, and no further than that.
    async fn send(
        &self,
        pieces: &mpsc::Sender<io::Result<Bytes>>,
        _held: &(OwnedSemaphorePermit, OwnedRwLockReadGuard<()>),
    ) -> io::Result<()> {
        let modified_s = self.kept.made_at_ms / 1000;
        let folder = header(&format!("{}/", self.kept.name), tar::EntryType::Directory, 0, modified_s)?;
        if pieces.send(Ok(folder)).await.is_err() {
            return Ok(());
        }
        for FoundFile { name, bytes, modified_s } in &self.files {
            let inside = format!("{}/{name}", self.kept.name);
            let head = header(&inside, tar::EntryType::Regular, *bytes, *modified_s)?;
            let path = self.path.join(name);
            let mut file = spawn_blocking(move || File::open(path)).await??;
            if pieces.send(Ok(head)).await.is_err() {
                return Ok(());
            }
            let mut left = *bytes;
            while left > 0 {
                let len = left.min(PIECE_BYTES);
                left -= len;
                let after = if left == 0 { padding(*bytes) } else { 0 };
                let read;
                (file, read) = spawn_blocking(move || piece(file, len, after)).await??;
                if pieces.send(Ok(read)).await.is_err() {
                    return Ok(());
                }
            }
        }
        // If it is not taken any more there is nothing left to do.
        let _ = pieces.send(Ok(Bytes::from_static(&[0; END_BYTES]))).await;
        Ok(())
    }
}

/// The next `len` bytes of a file, and so many zeros.
fn piece(mut file: File, len: u64, zeros: u16) -> io::Result<(File, Bytes)> {
    let len = usize::try_from(len).unwrap_or(usize::MAX);
    let mut bytes = vec![0; len + usize::from(zeros)];
    file.read_exact(&mut bytes[..len])?;
    Ok((file, bytes.into()))
}

/// How many bytes an archive has after so many of a file.
fn padding(bytes: u64) -> u16 {
    u16::try_from(bytes.next_multiple_of(BLOCK_BYTES) - bytes).expect("it is less than a block")
}

fn header(path: &str, kind: tar::EntryType, bytes: u64, modified_s: u64) -> io::Result<Bytes> {
    let mut header = tar::Header::new_ustar();
    header.set_path(path)?;
    header.set_entry_type(kind);
    // As a data directory is: for its owner alone.
    header.set_mode(if kind.is_dir() { 0o700 } else { 0o600 });
    header.set_size(bytes);
    header.set_mtime(modified_s);
    header.set_cksum();
    Ok(Bytes::copy_from_slice(header.as_bytes()))
}

fn remove_if_there(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, ChoreError> {
    let done = spawn_blocking(work).await.map_err(|panicked| ChoreError::Failed(panicked.to_string()))?;
    done.map_err(|error| match error {
        error if is_out_of_files(&error) => ChoreError::TooManyFiles,
        error => ChoreError::Failed(format!("the folder of backups: {error}")),
    })
}
