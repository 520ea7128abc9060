//! [`verify`]: reads the whole log again and says where it, or the live stock, is not what was written.
//!
//! It goes from the oldest segment to the end of the log when it began: checksums, chain, numbers, times, every link, and each
//! level as the rules of the stock make it; then it compares the levels with the live ones, and what is reserved of each with
//! what the reservations hold that are pending ([`held`]). Where the beginning of the log was dropped, the oldest snapshot says
//! what there was. It goes on after what it finds, and lists the first hundred.
//!
//! It changes nothing and holds no lock while it reads: the writer goes on. Memory: the levels and the pending reservations once
//! more, and one piece of file.

mod held;

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use thiserror::Error;

use self::held::Held;
use super::check::{self, Finding};
use super::disk::Disk;
use super::group::{self, Group, SECTOR};
use super::heads::{Head, Heads};
use super::holds::AllFound;
use super::keys::Keys;
use super::log::{Log, Segment};
use super::orders;
use super::record::Record;
use super::recovery::footer;
use super::scan::{PIECE_BYTES, Scan, Search, Step};
use super::segment::{self, Header};
use super::snapshot;
use super::watermark::GroupEnd;
use crate::stock::{Level, StockKey};

/// The findings that are listed; more are only counted.
pub const FINDINGS_MAX: usize = 100;

/// The levels to compare with.
#[derive(Clone, Copy)]
pub struct Live<'l> {
    /// The level of a key, if there is or was one; an error once the verification is to stop.
    pub level: &'l dyn Fn(&StockKey) -> Result<Option<Level>, Stopped>,
    /// Whether changes go on meanwhile: a level that is past the version in the log is then not compared.
    pub changing: bool,
}

/// The verification is to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stopped;

/// How far the verification is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// The bytes of the log that were read.
    pub bytes: u64,
    /// The bytes of the log to read.
    pub bytes_total: u64,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// In the log.
    Log {
        /// The segment's file.
        file: String,
        /// Where in it.
        offset: u64,
        /// The number of the movement expected there.
        seq: u64,
        /// What.
        finding: Finding,
    },
    /// A snapshot.
    Snapshot(String),
    /// The live level is not that of the log.
    Level {
        /// Which.
        key: StockKey,
        /// As the log has it.
        log: Level,
        /// As it is.
        live: Option<Level>,
    },
    /// What is reserved of a level is not what the pending reservations hold of it.
    Held {
        /// Which.
        key: StockKey,
        /// The units that the level says are reserved.
        reserved: u64,
        /// The units that they hold.
        held: u64,
    },
}

/// What was verified, and what was found.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// Segments that were read.
    pub segments: usize,
    /// Groups that are valid.
    pub groups: u64,
    /// Records in them.
    pub records: u64,
    /// Movements in them.
    pub movements: u64,
    /// Levels in the log, tombstones included.
    pub levels: usize,
    /// Levels that were not compared as they changed meanwhile.
    pub levels_changed: usize,
    /// The snapshot the levels start from, if the beginning of the log was dropped.
    pub snapshot: Option<String>,
    /// The first problems.
    pub problems: Vec<Problem>,
    /// How many there are.
    pub problems_total: u64,
}

/// Why there is no report.
#[derive(Debug, Error)]
pub enum VerifyError {
    /// The disk said so.
    #[error("{file}: {source}")]
    Io {
        /// The file, or the folder.
        file: String,
        /// What the system says.
        source: io::Error,
    },
    /// It was to stop.
    #[error("the verification was given up: the service stops")]
    Stopped,
    /// Nothing says what the levels were where the log begins.
    #[error("the log begins with movement {0}, and no valid snapshot covers what was before it")]
    NoBeginning(u64),
}

/// Verifies the log up to `end` (the watermark's, or where recovery found the end), and the live levels against it.
pub fn verify(
    disk: &dyn Disk,
    log: &Log,
    end: GroupEnd,
    live: Live<'_>,
    stop: &AtomicBool,
    progress: &dyn Fn(Progress),
) -> Result<Report, VerifyError> {
    let segments = log.segments();
    let mut run = Run::new(end, stop, progress);
    let oldest = segments.first().map(|oldest| oldest.header);
    (run.heads, run.held) = run.beginning(disk, oldest.as_ref())?;
    let from = oldest.map_or(end.position, |oldest| oldest.base);
    run.told.bytes_total = end.position.saturating_sub(from);
    for segment in segments.iter().filter(|segment| segment.header.base < end.position) {
        run.segment(segment)?;
        run.report.segments += 1;
    }
    run.compare(live)?;
    run.report.levels = run.heads.len();
    Ok(run.report)
}

impl Report {
    /// Whether nothing is wrong.
    pub fn is_clean(&self) -> bool {
        self.problems_total == 0
    }

    fn add(&mut self, problem: Problem) {
        self.problems_total += 1;
        if self.problems.len() < FINDINGS_MAX {
            self.problems.push(problem);
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let show = |level: &Level| {
            let (on_hand, reserved, version) = (level.on_hand(), level.reserved(), level.version());
            if level.exists() {
                format!("{on_hand} on hand, {reserved} reserved, version {version}")
            } else {
                format!("deleted, version {version}")
            }
        };
        match self {
            Self::Log { file, offset, seq, finding } => {
                write!(f, "segment {file}, offset {offset}, movement {seq}: {finding}")
            }
            Self::Snapshot(error) => f.write_str(error),
            Self::Level { key, log, live } => {
                let live = live.as_ref().map_or_else(|| "nothing".to_owned(), show);
                write!(f, "level {key}: the log has {}; live is {live}", show(log))
            }
            Self::Held { key, reserved, held } => write!(
                f,
                "level {key}: {reserved} are reserved, and the reservations that are pending hold {held}"
            ),
        }
    }
}

/// A verification under way.
struct Run<'r> {
    heads: Heads,
    held: Held,
    /// Where the last group ends; `None` where it is unknown, as something before is damaged, and the next group is believed.
    before: Option<GroupEnd>,
    /// Where to stop.
    end: GroupEnd,
    report: Report,
    stop: &'r AtomicBool,
    progress: &'r dyn Fn(Progress),
    told: Progress,
}

impl<'r> Run<'r> {
    fn new(end: GroupEnd, stop: &'r AtomicBool, progress: &'r dyn Fn(Progress)) -> Self {
        let told = Progress { bytes: 0, bytes_total: 0 };
        let (heads, held, report) = (Heads::new(), Held::default(), Report::default());
        Self { heads, held, before: None, end, report, stop, progress, told }
    }

    /// What there was before the oldest segment: what the oldest snapshot has that starts in the log. Checks all snapshots.
    fn beginning(&mut self, disk: &dyn Disk, oldest: Option<&Header>) -> Result<(Heads, Held), VerifyError> {
        let names = disk.list();
        let names =
            names.map_err(|source| VerifyError::Io { file: "the data directory".to_owned(), source })?;
        let mut snapshots: Vec<String> =
            names.into_iter().filter(|name| snapshot::start_of(name).is_some()).collect();
        snapshots.sort();
        let dropped = oldest.filter(|oldest| oldest.first_seq > 1 || oldest.anchor != [0; 32]);
        let mut beginning = None;
        for name in snapshots {
            let (heads, mut holds) = (Heads::new(), AllFound::default());
            let wanted = beginning.is_none() && dropped.is_some();
            let outcome = if wanted {
                let orders = &mut orders::AllFound::default();
                snapshot::load(disk, &name, &heads, &Keys::new(), &mut holds, orders)
            } else {
                snapshot::check(disk, &name)
            };
            match outcome {
                Ok(loaded)
                    if wanted && dropped.is_some_and(|oldest| oldest.base <= loaded.start.position) =>
                {
                    self.report.snapshot = Some(name);
                    beginning = Some((heads, Held::at(loaded.start.position, holds)));
                }
                Ok(_) => {}
                // Retention may remove it meanwhile.
                Err(snapshot::SnapshotError::Io { source, .. })
                    if source.kind() == io::ErrorKind::NotFound => {}
                Err(error) => self.report.add(Problem::Snapshot(error.to_string())),
            }
        }
        match (beginning, dropped) {
            (Some(beginning), _) => Ok(beginning),
            (None, None) => Ok((Heads::new(), Held::default())),
            (None, Some(oldest)) => Err(VerifyError::NoBeginning(oldest.first_seq)),
        }
    }

    fn segment(&mut self, segment: &Arc<Segment>) -> Result<(), VerifyError> {
        let io = |source| VerifyError::Io { file: segment::name(segment.header.base), source };
        let base = segment.header.base;
        let len = segment.end().min(self.end.position).saturating_sub(base);
        self.header(segment).map_err(io)?;
        let mut scan = Scan::new(Arc::clone(&segment.file), len, PIECE_BYTES);
        let rebuilt = Segment::new(segment.header, Arc::clone(&segment.file), Vec::new(), base);
        let (mut offset, mut whole) = (SECTOR as u64, true);
        loop {
            if self.stop.load(Ordering::Relaxed) {
                return Err(VerifyError::Stopped);
            }
            match scan.step(offset).map_err(io)? {
                Step::Group(group) => {
                    rebuilt.index_group(group.header.first_seq, offset);
                    self.group(&segment.header, offset, &group);
                    offset += group::size(group.header.body_len) as u64;
                }
                Step::End => break,
                Step::Footer => {
                    let found = footer(segment.file.as_ref(), len).map_err(io)?;
                    // Groups that could not be read are not in the rebuilt index.
                    if found.is_none_or(|(at, index)| at != offset || (whole && index != rebuilt.index())) {
                        self.found(&segment.header, offset, Finding::Footer);
                    }
                    break;
                }
                Step::Invalid(error) => {
                    self.found(&segment.header, offset, error.into());
                    (self.before, whole) = (None, false);
                    match scan.search(offset + SECTOR as u64).map_err(io)? {
                        Search::Found(next) => offset = next,
                        Search::None | Search::GivenUp => break,
                    }
                }
            }
        }
        self.told.bytes += len;
        (self.progress)(self.told);
        Ok(())
    }

    /// The segment's header, read again, must be what it was, and continue the log.
    fn header(&mut self, segment: &Segment) -> io::Result<()> {
        let header = &segment.header;
        let mut sector = [0; SECTOR];
        let read = segment.file.read_at(&mut sector, 0)?;
        if Header::read(&sector[..read]) != Ok(*header) {
            self.found(header, 0, Finding::Header);
        }
        if self
            .before
            .is_some_and(|before| before.hash != header.anchor || before.next_seq != header.first_seq)
        {
            self.found(header, 0, Finding::Missing);
        }
        let (time_ms, date_ms) = self.before.map_or((0, 0), |before| (before.time_ms, before.date_ms));
        let (next_seq, hash) = (header.first_seq, header.anchor);
        // After damage the header is not believed to follow what was read last: the first group tells.
        if self.before.is_some() || self.report.segments == 0 {
            self.before = Some(GroupEnd { position: header.base, next_seq, hash, time_ms, date_ms });
        }
        Ok(())
    }

    fn group(&mut self, header: &Header, offset: u64, group: &Group<'_>) {
        let believed = GroupEnd {
            position: header.base + offset,
            next_seq: group.header.first_seq,
            hash: group.header.previous,
            time_ms: 0,
            date_ms: 0,
        };
        let before = self.before.unwrap_or(believed);
        let mut wrong = Vec::new();
        let (heads, held, report) = (&self.heads, &mut self.held, &mut self.report);
        let checked = check::group(group, &before, header.base + offset, |position, record| {
            lines(heads, held, position, record, &mut wrong);
            report.records += 1;
            report.movements += record.line_count();
            Ok(())
        });
        self.before = Some(before);
        for (position, finding) in wrong {
            self.found(header, position - header.base, finding);
        }
        self.report.groups += 1;
        self.before = match checked {
            Ok(end) => Some(end),
            Err((at, finding)) => {
                self.found(header, offset + at, finding);
                None
            }
        };
    }

    fn compare(&mut self, live: Live<'_>) -> Result<(), VerifyError> {
        let (report, stop, end) = (&mut self.report, self.stop, self.end);
        let mut held = std::mem::take(&mut self.held).by_level();
        let mut stopped = false;
        // A walk cannot be left: once it is to stop, the rest is passed over.
        self.heads.walk(|key, head| {
            stopped |= stop.load(Ordering::Relaxed);
            if stopped {
                return;
            }
            let Ok(found) = (live.level)(key) else {
                stopped = true;
                return;
            };
            let version = found.map_or(0, Level::version);
            if live.changing && version > head.level.version() {
                report.levels_changed += 1;
            } else if found != Some(head.level) {
                report.add(Problem::Level { key: key.clone(), log: head.level, live: found });
            }
            // A snapshot that was taken since the end was noted may have seen what this log does not tell.
            let held = held.of(key).filter(|_| head.position < end.position);
            if let Some(held) = held.filter(|held| *held != head.level.reserved()) {
                report.add(Problem::Held { key: key.clone(), reserved: head.level.reserved(), held });
            }
        });
        if stopped {
            return Err(VerifyError::Stopped);
        }
        for (key, held) in held.of_no_level() {
            self.report.add(Problem::Held { key, reserved: 0, held });
        }
        Ok(())
    }

    fn found(&mut self, header: &Header, offset: u64, finding: Finding) {
        let seq = self.before.map_or(header.first_seq, |before| before.next_seq);
        self.report.add(Problem::Log { file: segment::name(header.base), offset, seq, finding });
    }
}

/// Applies a record's lines. One that is wrong is believed after it was noted, so that each fault is told once.
fn lines(
    heads: &Heads,
    held: &mut Held,
    position: u64,
    record: &Record<'_>,
    wrong: &mut Vec<(u64, Finding)>,
) {
    let mut note = |finding| {
        if wrong.len() < FINDINGS_MAX {
            wrong.push((position, finding));
        }
    };
    if let Err(finding) = held.apply(position, record) {
        note(finding);
    }
    for line in record.lines() {
        if let Err(finding) = check::line(heads, &line, position) {
            note(finding);
            held.doubt(line.key);
            let believed = |_| Ok::<_, std::convert::Infallible>(Some(Head { level: line.after, position }));
            // A key that is no level's was noted, and has no level to compare.
            let Ok(_) = heads.replay(line.key, believed);
        }
    }
}

#[cfg(test)]
mod tests;
