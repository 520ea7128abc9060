//! [`recover`]: from what is on disk to the levels, keys and log to go on with; or a refusal that says what is damaged.
//!
//! The newest valid snapshot is loaded and the log replayed from where it starts. Everything read is checked: each group's
//! checksum, its place in the chain, numbers, times and counts; each line's link and version, and that its level is what the
//! rules of the stock make of the level before. What is left out is only what must be: a segment wholly before the
//! snapshot's start is not read but for its header and footer (`verify` reads it).
//!
//! The writer writes one group at a time, so a crash leaves at most one unfinished, at the very end:
//!
//! - It is *cut*, as nobody was told of it: its remains are overwritten with zeros, synced, and announced with position and
//!   number. A crash meanwhile leaves fewer remains, which the next start cuts.
//! - So is a footer without a file that ends with it: the segment is written on.
//! - A group that is invalid anywhere else is *damage*: in a segment that is sealed, before a group that is valid, or longer
//!   than what one group can leave. Then [`recover`] refuses and changes nothing on disk.
//!
//! Where nobody was writing, after a clean stop and in a copy, the file `control` says where the log ends: there nothing is
//! unfinished, and whatever is missing or too much is damage. It also says whose the files are; strangers among them are refused.
//!
//! What was found is then made to survive a power cut, since it is shown from here on: a process that was killed may have
//! written its last group, or renamed a file, and not synced it.
//!
//! Only then are leftovers removed (files being prepared when the process stopped), so a refusal leaves all as it was found.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use thiserror::Error;

use super::check::Finding;
use super::control::{Content, ControlError, Stranger};
use super::disk::Disk;
use super::group;
use super::heads::Heads;
use super::holds::AllFound;
use super::keys::Keys;
use super::log::{Log, Segment};
use super::orders;
use super::scan::{PIECE_BYTES, Scan, Step};
use super::segment::HeaderError;
use super::snapshot::{self, Loaded, SnapshotError};
use super::watermark::GroupEnd;

mod files;
mod replay;
mod tail;

pub(super) use files::{Files, footer};
pub use tail::Cut;

use replay::Replay;

/// The name of the segment that is preallocated and not yet used.
const NEXT_SEGMENT: &str = "next.segment";

/// What recovery is to know.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// What the system takes for the time, in milliseconds of Unix time: for what versions left that dated everything by that.
    pub now_ms: u64,
    /// How long idempotency keys are kept.
    pub key_retention: Duration,
}

/// How far recovery is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// The bytes of the log that were replayed.
    pub bytes: u64,
    /// The bytes of the log to replay.
    pub bytes_total: u64,
    /// The movements that were replayed.
    pub movements: u64,
}

/// All there is to go on with.
#[derive(Debug)]
pub struct Recovered {
    /// The levels.
    pub heads: Heads,
    /// The idempotency keys.
    pub keys: Keys,
    /// The reservations.
    pub holds: AllFound,
    /// The orders.
    pub orders: orders::AllFound,
    /// The segments.
    pub log: Log,
    /// The segment to write on: none if there is none yet, or the last one is sealed.
    pub tail: Option<Arc<Segment>>,
    /// Where the log ends.
    pub end: GroupEnd,
    /// Whose the files are, and how they were left.
    pub control: Content,
    /// What was done.
    pub report: Report,
}

/// What recovery did.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// The snapshot that was loaded.
    pub snapshot: Option<String>,
    /// Segments in the log.
    pub segments: usize,
    /// Groups that were replayed.
    pub groups: u64,
    /// Records that were replayed.
    pub records: u64,
    /// Movements that were replayed, or found in the snapshot already.
    pub movements: u64,
    /// Levels there are, tombstones included.
    pub levels: usize,
    /// Idempotency keys there are.
    pub keys: usize,
    /// The unfinished commit that was cut.
    pub cut: Option<Cut>,
    /// Leftovers that were removed.
    pub removed: Vec<String>,
    /// What an operator should know, and a start does not depend on.
    pub warnings: Vec<String>,
    /// How long it took.
    pub duration: Duration,
}

/// Why the log cannot be gone on with. Nothing on disk was changed, unless it is an [`RecoveryError::Io`].
#[derive(Debug, Error)]
pub enum RecoveryError {
    /// The disk said so.
    #[error("{file}: {source}")]
    Io {
        /// The file, or the folder.
        file: String,
        /// What the system says.
        source: io::Error,
    },
    /// A segment's header.
    #[error("segment {file}: {source}; {}", hint(*.source))]
    Header {
        /// The file.
        file: String,
        /// What is wrong.
        source: HeaderError,
    },
    /// Something in the log is not what was written.
    #[error(
        "segment {file} is damaged at offset {offset}, where movement {seq} or a later one is: {finding}{}; {RESTORE}",
        followed(*.valid_after)
    )]
    Damaged {
        /// The segment's file.
        file: String,
        /// The offset in it.
        offset: u64,
        /// The number of the next movement there.
        seq: u64,
        /// What is wrong.
        finding: Finding,
        /// Where a valid group follows: it is this that makes an unfinished commit impossible.
        valid_after: Option<u64>,
    },
    /// A segment does not begin where, or with what, the one before it ends.
    #[error(
        "segment {file} does not continue {before}: {what}; segments are missing or were exchanged; {RESTORE}"
    )]
    Gap {
        /// The segment's file.
        file: String,
        /// What is before it.
        before: String,
        /// The difference.
        what: String,
    },
    /// Neither a snapshot nor the log's beginning is there.
    #[error(
        "the log begins with {file} at movement {first_seq}, and no valid snapshot covers what was before it: {tried}; {RESTORE}"
    )]
    NoBeginning {
        /// The oldest segment's file.
        file: String,
        /// Its first movement.
        first_seq: u64,
        /// What is wrong with each snapshot.
        tried: String,
    },
    /// The file that says whose the others are, and where the log ends.
    #[error("{} cannot be relied on: {source}; {RESTORE}", super::control::NAME)]
    Control {
        /// Why.
        source: ControlError,
    },
    /// A file of another directory, or of another lineage.
    #[error(
        "{file} does not belong here, or the file {} does not: {source}; {RESTORE}",
        super::control::NAME
    )]
    Stranger {
        /// The file.
        file: String,
        /// Whose it is.
        source: Stranger,
    },
    /// The log was closed, and is not what it was.
    #[error(
        "the log was closed after movement {closed}, and ends with movement {found}, in segment {file}: acknowledged changes are missing, or {} is an older one; {RESTORE}",
        super::control::NAME
    )]
    NotAsClosed {
        /// The newest segment there is.
        file: String,
        /// The last movement when it was closed.
        closed: u64,
        /// The last movement there is.
        found: u64,
    },
    /// The log does not reach as far as it had.
    #[error(
        "the log ends at position {end}, in segment {file}, and had reached position {reached}: acknowledged changes are missing; {RESTORE}"
    )]
    Shortened {
        /// The newest segment there is, or the one that is missing.
        file: String,
        /// What it had reached.
        reached: u64,
        /// Where it ends.
        end: u64,
    },
    /// A segment is missing, or shorter than it was made.
    #[error("segment {file} {what}: acknowledged changes are missing; {RESTORE}")]
    CutShort {
        /// The file.
        file: String,
        /// What is wrong with it.
        what: String,
    },
    /// A snapshot of a later version.
    #[error(transparent)]
    Snapshot(SnapshotError),
    /// The log ends before what a snapshot has seen of it: acknowledged changes are missing.
    #[error(
        "the log ends at position {end}, but snapshot {snapshot} was taken when it reached position {seen}: acknowledged changes are missing; {RESTORE}"
    )]
    LogBehind {
        /// The snapshot.
        snapshot: String,
        /// What it has seen.
        seen: u64,
        /// Where the log ends.
        end: u64,
    },
}

const RESTORE: &str = "nothing was changed: restore the data directory from a backup, or find the missing file; \
                       starting without it would lose acknowledged changes";

fn hint(error: HeaderError) -> &'static str {
    match error {
        HeaderError::Version(_) => "nothing was changed: start the version of the program that wrote it",
        _ => RESTORE,
    }
}

fn followed(offset: Option<u64>) -> String {
    offset.map_or_else(String::new, |offset| {
        format!(" (a valid group follows at offset {offset}, so it is no unfinished commit)")
    })
}

/// Brings the journal back, as the module describes; on an empty folder it returns an empty one.
pub fn recover(
    disk: &Arc<dyn Disk>,
    options: &Options,
    progress: &dyn Fn(Progress),
) -> Result<Recovered, RecoveryError> {
    let (mut recovered, files, last_group) = read(disk, options, progress)?;
    let report = &mut recovered.report;
    if let Some(cut) = &report.cut {
        tail::cut(&files, cut)?;
    }
    persist(disk.as_ref(), &files, last_group)?;
    put_aside(disk.as_ref(), &files.orphans, report);
    remove_leftovers(disk.as_ref(), &files, report)?;
    // While nobody served it nothing grew old: see `clock`.
    let (keys, end) = (&recovered.keys, recovered.end);
    keys.marks().mark_end(end.time_ms, end.position);
    keys.expire(end.time_ms, options.key_retention);
    report.keys = keys.len();
    Ok(recovered)
}

/// What [`recover`] would go on with, or refuse, and nothing is changed on disk: an unfinished commit stays where it is, and is
/// reported; so do orphans and leftovers.
pub fn look(
    disk: &Arc<dyn Disk>,
    options: &Options,
    progress: &dyn Fn(Progress),
) -> Result<Recovered, RecoveryError> {
    let (mut recovered, files, _) = read(disk, options, progress)?;
    for name in &files.orphans {
        recovered.report.warnings.push(format!("{}; the next start puts it aside", orphaned(name)));
    }
    Ok(recovered)
}

/// Reads all there is. Also returns the files, and the position of the last group.
fn read(
    disk: &Arc<dyn Disk>,
    options: &Options,
    progress: &dyn Fn(Progress),
) -> Result<(Recovered, Files, Option<u64>), RecoveryError> {
    let started = Instant::now();
    let files = Files::open(disk.as_ref(), options)?;
    let mut report = Report::default();
    let loading = load_snapshot(disk.as_ref(), &files, &mut report)?;
    // Who does not know the control file may have been killed since it was written.
    let is_closed =
        !files.is_unsigned && files.control.as_ref().is_some_and(|control| control.sealed_end().is_some());
    let mut replay = Replay::new(loading, is_closed, &mut report, progress);
    let segments = replay.run(&files)?;
    let last_group = replay.last_group;
    let (heads, keys, tail, end) = (replay.heads, replay.keys, replay.tail, replay.end);
    let (holds, orders) = (replay.holds, replay.orders);
    let control = files.control_at(end, tail.is_some())?;
    if files.control.as_ref().is_some_and(|before| before.unsigned < control.unsigned) {
        let found = "a program of an earlier version has written here since this one did: what it wrote is gone on with";
        report.warnings.push(found.to_owned());
    }
    report.segments = segments.len();
    (report.levels, report.keys) = (heads.len(), keys.len());
    report.duration = started.elapsed();
    let recovered =
        Recovered { heads, keys, holds, orders, log: Log::new(segments), tail, end, control, report };
    Ok((recovered, files, last_group))
}

/// What a snapshot had, as far as it was read.
#[derive(Debug, Default)]
struct Loading {
    loaded: Option<Loaded>,
    heads: Heads,
    keys: Keys,
    holds: AllFound,
    orders: orders::AllFound,
}

impl Loading {
    fn load(&mut self, disk: &dyn Disk, name: &str) -> Result<Loaded, SnapshotError> {
        snapshot::load(disk, name, &self.heads, &self.keys, &mut self.holds, &mut self.orders)
    }
}

/// The newest valid snapshot; none is needed where the log is there from its first movement on.
fn load_snapshot(disk: &dyn Disk, files: &Files, report: &mut Report) -> Result<Loading, RecoveryError> {
    let mut tried = Vec::new();
    for name in &files.snapshots {
        let mut loading = Loading::default();
        match loading.load(disk, name) {
            Ok(loaded) if files.reach_back_to(loaded.start.position) => {
                files.check_snapshot(name, loaded.start.position, loaded.highest, loaded.whose)?;
                report.warnings.append(&mut tried);
                report.snapshot = Some(name.clone());
                return Ok(Loading { loaded: Some(loaded), ..loading });
            }
            // Taken before anything was written, and of nothing: it says nothing of a log.
            Ok(loaded) if loaded.start.position == 0 && loaded.highest == 0 => {}
            Ok(_) => tried.push(format!("snapshot {name} starts before the oldest segment")),
            // A later version would write what this one cannot read into the log as well.
            Err(error @ SnapshotError::Version { .. }) => return Err(RecoveryError::Snapshot(error)),
            Err(error) => tried.push(error.to_string()),
        }
    }
    let whole = match files.segments.first() {
        Some(first) => first.is_first(),
        None => tried.is_empty(),
    };
    if whole {
        report.warnings.append(&mut tried);
        return Ok(Loading::default());
    }
    let first = files.segments.first();
    let tried = if tried.is_empty() { "there is none".to_owned() } else { tried.join("; ") };
    Err(RecoveryError::NoBeginning {
        file: first.map_or_else(|| "no segment at all".to_owned(), |first| first.name.clone()),
        first_seq: first.map_or(1, |first| first.header.first_seq),
        tried,
    })
}

/// Makes what was found survive a power cut, before anything of it is shown: a process that was killed may have written the last
/// group, or renamed a file, and not synced it. The last group is written once more, as the one sync that failed before the
/// process ended may have left it readable, and not on disk: no later sync would write it. `last_group` is its position.
fn persist(disk: &dyn Disk, files: &Files, last_group: Option<u64>) -> Result<(), RecoveryError> {
    let Some(last) = files.segments.last() else { return Ok(()) };
    let io = |source| RecoveryError::Io { file: last.name.clone(), source };
    if let Some(offset) = last_group.and_then(|position| position.checked_sub(last.header.base)) {
        let mut scan = Scan::new(Arc::clone(&last.file), last.len, PIECE_BYTES);
        if let Step::Group(group) = scan.step(offset).map_err(io)? {
            let mut bytes = vec![0; group::size(group.header.body_len)];
            last.file.read_exact_at(&mut bytes, offset).map_err(io)?;
            last.file.write_at(&bytes, offset).map_err(io)?;
        }
    }
    last.file.sync().map_err(io)?;
    disk.sync_names().map_err(|source| RecoveryError::Io { file: "the data directory".to_owned(), source })
}

/// Gives orphans a name under which nobody takes them for a part of the log. One that keeps its name is found again next time.
fn put_aside(disk: &dyn Disk, orphans: &[String], report: &mut Report) {
    for name in orphans {
        let aside = format!("{name}.orphan");
        let outcome = disk.rename(name, &aside).and_then(|()| disk.sync_names());
        let outcome = outcome.map_or_else(
            |error| format!("it could not be renamed to {aside}: {error}"),
            |()| format!("it was renamed to {aside}"),
        );
        report.warnings.push(format!("{}; {outcome}", orphaned(name)));
    }
}

fn orphaned(name: &str) -> String {
    format!(
        "segment {name} is parted from the log by a gap that retention must have left: the log begins after it, all levels \
         are covered by snapshots, and its movements are not shown"
    )
}

/// Temporary files and the segment that was being prepared: whatever they hold, nobody was told of it. One that stays is in nobody's
/// way: it is written over, or removed another time.
fn remove_leftovers(disk: &dyn Disk, files: &Files, report: &mut Report) -> Result<(), RecoveryError> {
    for name in &files.leftovers {
        match disk.remove(name) {
            Ok(()) => report.removed.push(name.clone()),
            Err(error) => report.warnings.push(format!("{name}, which is not needed, stays: {error}")),
        }
    }
    if report.removed.is_empty() {
        return Ok(());
    }
    disk.sync_names().map_err(|source| RecoveryError::Io { file: "the data directory".to_owned(), source })
}

#[cfg(test)]
mod scale;
#[cfg(test)]
mod tests;
