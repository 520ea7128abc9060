//! What files there are, and that the segments are there without a gap.

use std::sync::Arc;

use super::{NEXT_SEGMENT, Options, RecoveryError};
use crate::journal::control::{self, Content, ControlError, Identity};
use crate::journal::disk::{Disk, DiskFile};
use crate::journal::group::SECTOR;
use crate::journal::retention::SNAPSHOTS_KEPT;
use crate::journal::segment::{self, Header, HeaderError, IndexEntry};
use crate::journal::snapshot;
use crate::journal::watermark::GroupEnd;

/// The longest footer that is read: an entry for every 64 KiB of 256 GiB.
const FOOTER_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// The files of the journal.
#[derive(Debug)]
pub(crate) struct Files {
    /// Oldest first.
    pub(crate) segments: Vec<SegmentFile>,
    /// Newest first.
    pub(crate) snapshots: Vec<String>,
    /// Whose they are; versions 1 and 2 of the format did not say.
    pub(crate) control: Option<Content>,
    /// No file says whose it is, nor does `control` know of any that did: versions wrote them that do not know `control`, and that
    /// may have gone on after it was written.
    pub(super) is_unsigned: bool,
    /// To be removed.
    pub(super) leftovers: Vec<String>,
    /// Segments that the log does not need and that a gap parts from it: to be put aside.
    pub(super) orphans: Vec<String>,
}

/// A segment's file, its header read.
#[derive(Debug)]
pub(crate) struct SegmentFile {
    pub(crate) name: String,
    pub(crate) file: Arc<dyn DiskFile>,
    pub(crate) header: Header,
    pub(crate) len: u64,
}

impl Files {
    /// Lists the folder and reads the header of every segment.
    pub(crate) fn open(disk: &dyn Disk, options: &Options) -> Result<Self, RecoveryError> {
        let names = disk.list();
        let names =
            names.map_err(|source| RecoveryError::Io { file: "the data directory".to_owned(), source })?;
        let (segments, snapshots, leftovers, orphans) = Default::default();
        let (control, is_unsigned) = (read_control(disk)?, false);
        let mut files = Self { segments, snapshots, control, is_unsigned, leftovers, orphans };
        for name in names {
            if let Some(base) = segment::base_of(&name) {
                files.segments.push(SegmentFile::open(disk, name, base)?);
            } else if snapshot::start_of(&name).is_some() {
                files.snapshots.push(name);
            } else if name == NEXT_SEGMENT || name.strip_suffix(".tmp").is_some() {
                files.leftovers.push(name);
            }
        }
        files.segments.sort_by_key(|segment| segment.header.base);
        // Their names are numbers of equal length.
        files.snapshots.sort_by(|a, b| b.cmp(a));
        files.leftovers.sort();
        files.is_unsigned = files.says_nothing(disk);
        files.check_owner(disk)?;
        files.leave_out_orphans(options);
        files.check_gaps()?;
        Ok(files)
    }

    /// Leaves out what retention of an earlier version may have left: an old segment that could not be removed, while its
    /// successors were. Retention removes nothing younger than idempotency keys, nor what the older of two snapshots needs. A
    /// gap that could be anything else is left to [`Files::check_gaps`].
    fn leave_out_orphans(&mut self, options: &Options) {
        let hole = |pair: &[SegmentFile]| pair[0].end() < pair[1].header.base;
        let Some(before) = self.segments.windows(2).rposition(hole) else { return };
        let (old, next) = (&self.segments[..=before], &self.segments[before + 1].header);
        let age_ms = u128::from(options.now_ms.saturating_sub(next.time_ms));
        let covering = self.snapshots.iter().filter_map(|name| snapshot::start_of(name));
        let is_covered = covering.filter(|start| *start >= next.base).count() >= SNAPSHOTS_KEPT;
        let is_older = |segment: &SegmentFile| segment.header.first_seq <= next.first_seq;
        if is_covered && age_ms > options.key_retention.as_millis() && old.iter().all(is_older) {
            self.orphans = self.segments.drain(..=before).map(|segment| segment.name).collect();
        }
    }

    fn says_nothing(&self, disk: &dyn Disk) -> bool {
        let says_whose = |name: &String| matches!(snapshot::whose(disk, name), Ok((_, Some(_))));
        let is_signed = self.segments.iter().any(|segment| segment.header.whose.is_some())
            || self.snapshots.iter().any(says_whose);
        !is_signed && self.control.as_ref().is_some_and(|control| !control.has_signed())
    }

    /// Every segment and snapshot must be of this directory, and of the lineage that was in force where it begins.
    fn check_owner(&self, disk: &dyn Disk) -> Result<(), RecoveryError> {
        for segment in &self.segments {
            let (base, whose) = (segment.header.base, segment.header.whose);
            match &self.control {
                Some(_) if self.is_unsigned => {}
                Some(control) => {
                    let stranger = |source| RecoveryError::Stranger { file: segment.name.clone(), source };
                    control.owns_segment(base, whose).map_err(stranger)?;
                }
                None if whose.is_some() => {
                    return Err(RecoveryError::Control { source: ControlError::Missing });
                }
                None => {}
            }
        }
        for name in &self.snapshots {
            // One that cannot be read, is damaged or of a later version is for who would load it.
            if let Ok((start, whose)) = snapshot::whose(disk, name) {
                self.check_snapshot(name, start, start, whose)?;
            }
        }
        Ok(())
    }

    /// A snapshot must not have seen what is not of the lineage it says it is of.
    pub(super) fn check_snapshot(
        &self,
        name: &str,
        start: u64,
        highest: u64,
        whose: Option<Identity>,
    ) -> Result<(), RecoveryError> {
        match &self.control {
            Some(_) if self.is_unsigned => Ok(()),
            Some(control) => control
                .owns_snapshot(start, highest, whose)
                .map_err(|source| RecoveryError::Stranger { file: name.to_owned(), source }),
            None if whose.is_some() => Err(RecoveryError::Control { source: ControlError::Missing }),
            None => Ok(()),
        }
    }

    /// What the control file says, held against where the log was found to end; `is_open`: the last segment is not sealed. A
    /// directory that has no such file gets what is to be in it.
    pub(super) fn control_at(&self, end: GroupEnd, is_open: bool) -> Result<Content, RecoveryError> {
        let Some(control) = &self.control else {
            return Ok(Content { unsigned: end.position, ..Content::fresh() });
        };
        if self.is_unsigned {
            return self.unsigned_control_at(control, end);
        }
        let oldest = self.segments.first().map_or(0, |first| first.header.base);
        if oldest > control.oldest {
            let what = "is missing".to_owned();
            return Err(RecoveryError::CutShort { file: segment::name(control.oldest), what });
        }
        let last = self.segments.last();
        let file = last.map_or_else(|| segment::name(control.newest), |last| last.name.clone());
        if let Some(closed) = control.sealed_end() {
            if (closed.hash, closed.next_seq) == (end.hash, end.next_seq) {
                return Ok(control.clone());
            }
            let (closed, found) = (closed.next_seq - 1, end.next_seq - 1);
            return Err(RecoveryError::NotAsClosed { file, closed, found });
        }
        if last.map_or(0, |last| last.header.base) < control.newest {
            let what = "is missing".to_owned();
            return Err(RecoveryError::CutShort { file: segment::name(control.newest), what });
        }
        if let Some(last) = last.filter(|last| is_open && last.header.whose == Some(control.identity()))
            && last.len < last.header.prepared
        {
            let what = format!("is {} bytes long, and was made {} long", last.len, last.header.prepared);
            return Err(RecoveryError::CutShort { file, what });
        }
        let reached = control.reached();
        if end.position < reached {
            return Err(RecoveryError::Shortened { file, reached, end: end.position });
        }
        Ok(control.clone())
    }

    /// Where earlier versions wrote everything the control file says what was there once, and they may have gone on since: all that must
    /// still be there, and it follows what there is. Whether they dropped the oldest segments, snapshots tell, as ever for them.
    fn unsigned_control_at(&self, control: &Content, end: GroupEnd) -> Result<Content, RecoveryError> {
        let last = self.segments.last();
        let file = last.map_or_else(|| segment::name(control.newest), |last| last.name.clone());
        if last.map_or(0, |last| last.header.base) < control.newest {
            let what = "is missing".to_owned();
            return Err(RecoveryError::CutShort { file: segment::name(control.newest), what });
        }
        if end.position < control.reached() {
            return Err(RecoveryError::Shortened { file, reached: control.reached(), end: end.position });
        }
        // One that ends at the same place, and otherwise, is another log.
        if end.next_seq < control.end.next_seq
            || (end.position == control.end.position && end.hash != control.end.hash)
        {
            let (closed, found) = (control.end.next_seq - 1, end.next_seq - 1);
            return Err(RecoveryError::NotAsClosed { file, closed, found });
        }
        Ok(Content { unsigned: end.position, ..control.clone() })
    }

    fn check_gaps(&self) -> Result<(), RecoveryError> {
        for pair in self.segments.windows(2) {
            let end = pair[0].header.base.checked_add(pair[0].len);
            let what = if end != Some(pair[1].header.base) {
                let end = end.unwrap_or(u64::MAX);
                format!("it begins at position {}, not at {end}", pair[1].header.base)
            } else if pair[1].header.first_seq < pair[0].header.first_seq {
                format!("it begins with movement {}", pair[1].header.first_seq)
            } else {
                continue;
            };
            let (file, before) = (pair[1].name.clone(), pair[0].name.clone());
            return Err(RecoveryError::Gap { file, before, what });
        }
        Ok(())
    }

    /// Whether the log can be replayed from there.
    pub(super) fn reach_back_to(&self, position: u64) -> bool {
        self.segments.first().is_some_and(|first| first.header.base <= position)
    }
}

impl SegmentFile {
    fn open(disk: &dyn Disk, name: String, base: u64) -> Result<Self, RecoveryError> {
        let io = |source| RecoveryError::Io { file: name.clone(), source };
        let file = disk.open(&name).map_err(io)?;
        let len = file.len().map_err(io)?;
        let mut sector = [0; SECTOR];
        let read = file.read_at(&mut sector, 0).map_err(io)?;
        let header = Header::read(&sector[..read])
            .and_then(|header| if header.base == base { Ok(header) } else { Err(HeaderError::Damaged) });
        // No position is past the end of a u64: everything after this may add offsets of the file to the base.
        let header = header.and_then(|header| match base.checked_add(len) {
            Some(_) => Ok(header),
            None => Err(HeaderError::Damaged),
        });
        match header {
            Ok(header) => Ok(Self { name, file, header, len }),
            Err(source) => Err(RecoveryError::Header { file: name, source }),
        }
    }

    /// Whether nothing was ever before it: a hash of zeros is that of no group.
    pub(crate) fn is_first(&self) -> bool {
        self.header.first_seq == 1 && self.header.anchor == [0; 32]
    }

    /// The position after its last byte.
    pub(crate) fn end(&self) -> u64 {
        // Checked when it was opened.
        self.header.base.saturating_add(self.len)
    }
}

fn read_control(disk: &dyn Disk) -> Result<Option<Content>, RecoveryError> {
    let io = |source| RecoveryError::Io { file: control::NAME.to_owned(), source };
    let read = Content::read(disk).map_err(io)?;
    read.transpose().map_err(|source| RecoveryError::Control { source })
}

/// The footer that ends a file of that length, and the offset where it starts: `None` where there is none that is intact.
pub(crate) fn footer(file: &dyn DiskFile, len: u64) -> std::io::Result<Option<(u64, Vec<IndexEntry>)>> {
    let sector = SECTOR as u64;
    if len < 2 * sector || !len.is_multiple_of(sector) {
        return Ok(None);
    }
    let mut tail = [0; SECTOR];
    file.read_exact_at(&mut tail, len - sector)?;
    let Some(footer_len) = segment::footer_len(&tail) else { return Ok(None) };
    if footer_len > FOOTER_BYTES_MAX || footer_len > len - sector {
        return Ok(None);
    }
    let mut bytes = vec![0; usize::try_from(footer_len).unwrap_or(0)];
    file.read_exact_at(&mut bytes, len - footer_len)?;
    Ok(segment::read_footer(&bytes).map(|index| (len - footer_len, index)))
}
