//! [`copy`]: what a start needs, in a folder of its own: a data directory like the one it was taken from, of one moment.
//!
//! It holds the newest snapshot that is whole and every segment there is, up to where the log was on disk when the backup began, and the
//! documents that are kept beside it.
//! So it is a consistent prefix: all that was acknowledged before is in it, and no change without those it depends on. It is
//! taken while changes go on: segments are read through the files that the journal has open, so it does not matter if
//! retention removes one meanwhile, and the last one is copied to the end of a group, which the writer never writes to again.
//!
//! Everything is *copied*, never linked, also on the same file system: a backup that shared its blocks with the original would
//! share their damage.
//!
//! It says that it is a copy (see [`super::control`]), and where its log ends, so that what is missing of it is noticed, and
//! whoever goes on with it begins another lineage.
//!
//! The folder is made under a temporary name (`<name>@partial`), synced file by file, and renamed: whatever a crash leaves, a
//! folder with the name it was to have is a whole backup. None is ever overwritten.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use thiserror::Error;

use super::control::Control;
use super::disk::{Disk, DiskFile, Folder};
use super::documents;
use super::log::{Log, Segment};
use super::segment;
use super::snapshot::{self, SnapshotError};
use super::watermark::{GroupEnd, Watermark};

/// What is copied at a time.
const PIECE_BYTES: usize = 1024 * 1024;

/// What the name ends with while the backup is made: no name of a backup can.
pub const PARTIAL: &str = "@partial";

/// How often it is begun again because retention removed what was to be copied.
const TRIES: usize = 5;

/// A backup that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copied {
    /// Where it is.
    pub path: PathBuf,
    /// Where the log in it ends: the number of the next movement.
    pub next_seq: u64,
    /// Segments in it.
    pub segments: usize,
    /// The snapshot in it.
    pub snapshot: Option<String>,
    /// Bytes of all its files.
    pub bytes: u64,
}

/// Why there is no backup. Nothing of it is left, but perhaps a folder with the temporary name.
#[derive(Debug, Error)]
pub enum BackupError {
    /// There is something of that name.
    #[error("{} exists: a backup overwrites nothing", .0.display())]
    Exists(PathBuf),
    /// The disk said so.
    #[error("{}: {source}", .path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Without its beginning, the log needs a snapshot.
    #[error("the log begins with movement {0}, and no valid snapshot covers what was before it")]
    NoBeginning(u64),
    /// It was to stop.
    #[error("the backup was given up: the service stops")]
    Stopped,
}

/// Copies the journal into the folder `into`, which must not exist; folders above it are made. Blocking.
pub fn copy(
    disk: &dyn Disk,
    log: &Log,
    control: &Control,
    watermark: &Watermark,
    into: &Path,
    stop: &AtomicBool,
) -> Result<Copied, BackupError> {
    let io = |path: &Path| {
        let path = path.to_owned();
        move |source| BackupError::Io { path, source }
    };
    if into.symlink_metadata().is_ok() {
        return Err(BackupError::Exists(into.to_owned()));
    }
    let above = match into.parent() {
        Some(above) if !above.as_os_str().is_empty() => above,
        _ => Path::new("."),
    };
    let above = Folder::open_or_create(above).map_err(io(above))?;
    let mut partial = into.as_os_str().to_owned();
    partial.push(PARTIAL);
    let partial = PathBuf::from(partial);
    // Of a backup that was cut off.
    match fs::remove_dir_all(&partial) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(io(&partial)(error)),
        _ => {}
    }
    let copied = (|| {
        let folder = Folder::open_or_create(&partial).map_err(io(&partial))?;
        let copied = fill(disk, log, control, watermark, &folder, stop)?;
        folder.sync_names().map_err(io(&partial))?;
        fs::rename(&partial, into).map_err(|error| match error.kind() {
            io::ErrorKind::DirectoryNotEmpty
            | io::ErrorKind::AlreadyExists
            | io::ErrorKind::NotADirectory => BackupError::Exists(into.to_owned()),
            _ => io(into)(error),
        })?;
        above.sync_names().map_err(io(above.path()))?;
        Ok(Copied { path: into.to_owned(), ..copied })
    })();
    if copied.is_err() {
        // If it stays, the next backup of that name removes it.
        let _ = fs::remove_dir_all(&partial);
    }
    copied
}

/// What is to be copied.
struct Plan {
    snapshot: Option<(String, Arc<dyn DiskFile>)>,
    segments: Vec<Arc<Segment>>,
    end: GroupEnd,
}

fn fill(
    disk: &dyn Disk,
    log: &Log,
    control: &Control,
    watermark: &Watermark,
    into: &Folder,
    stop: &AtomicBool,
) -> Result<Copied, BackupError> {
    let Plan { snapshot, segments, end } = plan(disk, log, watermark)?;
    let mut copied = Copied {
        path: into.path().to_owned(),
        next_seq: end.next_seq,
        segments: segments.len(),
        snapshot: snapshot.as_ref().map(|(name, _)| name.clone()),
        bytes: 0,
    };
    if let Some((name, file)) = snapshot {
        let io = |source| BackupError::Io { path: PathBuf::from(&name), source };
        let len = file.len().map_err(io)?;
        copied.bytes += copy_file(file.as_ref(), len, into, &name, stop)?;
    }
    let base = |segment: Option<&Arc<Segment>>| segment.map_or(0, |segment| segment.header.base);
    let bases = (base(segments.first()), base(segments.last()));
    for segment in segments {
        // To the end of the last group that was on disk; nothing of what is preallocated after it.
        let len = segment.end().min(end.position) - segment.header.base;
        let name = segment::name(segment.header.base);
        copied.bytes += copy_file(segment.file.as_ref(), len, into, &name, stop)?;
    }
    // After the log, for what they say of places in it: a place that this log does not reach is one of another lineage in the copy.
    let directory = control.identity().directory;
    let io = |(name, source): (documents::Name, _)| BackupError::Io {
        path: into.path().join(name.file()),
        source,
    };
    copied.bytes += documents::copy(disk, directory, into).map_err(io)?;
    let io = |source| BackupError::Io { path: into.path().join(super::control::NAME), source };
    copied.bytes += control.copy(into, end, bases).map_err(io)?;
    Ok(copied)
}

/// First the snapshot, then how far the disk is, then the segments: what a snapshot with its name has seen is on disk, and what
/// is on disk is in a segment.
fn plan(disk: &dyn Disk, log: &Log, watermark: &Watermark) -> Result<Plan, BackupError> {
    let mut last = None;
    for _ in 0..TRIES {
        let snapshot = newest_snapshot(disk)?;
        let end = watermark.end();
        let mut segments = log.segments();
        segments.retain(|segment| segment.header.base < end.position);
        let oldest = segments.first().map(|oldest| oldest.header);
        let whole = oldest.is_none_or(|oldest| oldest.first_seq == 1 && oldest.anchor == [0; 32]);
        let reaches = |start: u64| oldest.is_none_or(|oldest| oldest.base <= start);
        match snapshot {
            Some((start, name, file)) if reaches(start) => {
                return Ok(Plan { snapshot: Some((name, file)), segments, end });
            }
            _ if whole => return Ok(Plan { snapshot: None, segments, end }),
            // Retention moved on in between: there is a newer snapshot.
            _ => last = oldest,
        }
    }
    Err(BackupError::NoBeginning(last.map_or(1, |oldest| oldest.first_seq)))
}

type FoundSnapshot = (u64, String, Arc<dyn DiskFile>);

/// The newest snapshot that is whole, open, so that it can be removed meanwhile.
fn newest_snapshot(disk: &dyn Disk) -> Result<Option<FoundSnapshot>, BackupError> {
    let io = |path: &str| {
        let path = PathBuf::from(path);
        move |source| BackupError::Io { path, source }
    };
    let mut names = disk.list().map_err(io("the data directory"))?;
    names.retain(|name| snapshot::start_of(name).is_some());
    names.sort_by(|a, b| b.cmp(a));
    for name in names {
        let gone = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
        let file = match disk.open(&name) {
            Ok(file) => file,
            Err(error) if gone(&error) => continue,
            Err(error) => return Err(io(&name)(error)),
        };
        match snapshot::check(disk, &name) {
            Ok(loaded) => return Ok(Some((loaded.start.position, name, file))),
            Err(SnapshotError::Io { source, .. }) if !gone(&source) => return Err(io(&name)(source)),
            // A damaged one helps nobody: an older one, or the log alone, does.
            Err(_) => {}
        }
    }
    Ok(None)
}

/// Copies the first `len` bytes of a file, synced.
fn copy_file(
    from: &dyn DiskFile,
    len: u64,
    into: &Folder,
    name: &str,
    stop: &AtomicBool,
) -> Result<u64, BackupError> {
    let path = into.path().join(name);
    let io = |source| BackupError::Io { path: path.clone(), source };
    let to = into.create(name).map_err(io)?;
    let mut piece = vec![0; PIECE_BYTES];
    let mut at = 0;
    while at < len {
        if stop.load(Ordering::Relaxed) {
            return Err(BackupError::Stopped);
        }
        let wanted = usize::try_from(len - at).unwrap_or(usize::MAX).min(PIECE_BYTES);
        from.read_exact_at(&mut piece[..wanted], at).map_err(io)?;
        to.write_at(&piece[..wanted], at).map_err(io)?;
        at += wanted as u64;
    }
    // Its length as well, which a sync of the data alone writes with it.
    to.sync().map_err(io)?;
    File::open(&path).and_then(|file| file.sync_all()).map_err(io)?;
    Ok(len)
}
