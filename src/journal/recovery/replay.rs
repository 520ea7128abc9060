//! The log, applied group by group to the levels and keys.

use std::sync::Arc;

use super::files::{SegmentFile, footer};
use super::tail::{self, Tail};
use super::{Cut, Files, Loading, Progress, RecoveryError, Report};
use crate::journal::check::{self, Finding};
use crate::journal::group::{self, Group, GroupError, SECTOR};
use crate::journal::heads::Heads;
use crate::journal::holds::AllFound;
use crate::journal::keys::Keys;
use crate::journal::log::Segment;
use crate::journal::orders;
use crate::journal::record::Record;
use crate::journal::scan::{PIECE_BYTES, Scan, Step};
use crate::journal::segment::Header;
use crate::journal::snapshot::{self, Loaded};
use crate::journal::stored::Stored;
use crate::journal::watermark::GroupEnd;

/// Progress is told at least this often.
const PROGRESS_BYTES: u64 = 16 * 1024 * 1024;

/// What is read at a time to find the last group of a segment: the index has an entry every 64 KiB.
const CHAIN_PIECE_BYTES: usize = 128 * 1024;

/// A replay under way.
pub(super) struct Replay<'r> {
    pub(super) heads: Heads,
    pub(super) keys: Keys,
    pub(super) holds: AllFound,
    pub(super) orders: orders::AllFound,
    pub(super) tail: Option<Arc<Segment>>,
    /// Where the last group that was read ends.
    pub(super) end: GroupEnd,
    /// The position of the last group that was read.
    pub(super) last_group: Option<u64>,
    /// The snapshot under the levels.
    snapshot: Option<Loaded>,
    /// Whether nobody was writing: then nothing is unfinished.
    is_closed: bool,
    /// Whether records are applied: from the snapshot's start on.
    applies: bool,
    report: &'r mut Report,
    progress: &'r dyn Fn(Progress),
    told: Progress,
}

/// What ends the groups of a segment.
struct Groups {
    segment: Arc<Segment>,
    /// Where they end in the file.
    offset: u64,
    why: Stop,
}

/// What is there in place of a group.
#[derive(Clone, Copy)]
enum Stop {
    Footer,
    End,
    Invalid(GroupError),
}

impl<'r> Replay<'r> {
    pub(super) fn new(
        from: Loading,
        is_closed: bool,
        report: &'r mut Report,
        progress: &'r dyn Fn(Progress),
    ) -> Self {
        let Loading { loaded: snapshot, heads, keys, holds, orders } = from;
        let end = GroupEnd::GENESIS;
        let told = Progress { bytes: 0, bytes_total: 0, movements: 0 };
        let applies = snapshot.is_none();
        let (tail, last_group) = (None, None);
        Self {
            heads,
            keys,
            holds,
            orders,
            tail,
            end,
            last_group,
            snapshot,
            is_closed,
            applies,
            report,
            progress,
            told,
        }
    }

    /// Replays the segments from the one where the snapshot starts; of those before it only the footers are read.
    pub(super) fn run(&mut self, files: &Files) -> Result<Vec<Arc<Segment>>, RecoveryError> {
        let all = &files.segments;
        let start = self.snapshot.map_or(0, |snapshot| snapshot.start.position);
        let from = all.partition_point(|file| file.header.base <= start).saturating_sub(1);
        let from = if self.applies { 0 } else { from };
        self.told.bytes_total = all[from.min(all.len())..].iter().map(|file| file.len).sum();
        let mut segments = Vec::with_capacity(all.len());
        for (at, file) in all.iter().enumerate() {
            let next = all.get(at + 1);
            let segment = match next {
                Some(next) if at < from => self.skip(file, next)?,
                _ => self.segment(file, next.map(|next| &next.header), at == from)?,
            };
            segments.push(segment);
        }
        self.check_reached()?;
        Ok(segments)
    }

    /// A segment wholly before the snapshot's start.
    fn skip(&mut self, file: &SegmentFile, next: &SegmentFile) -> Result<Arc<Segment>, RecoveryError> {
        let index = match footer(file.file.as_ref(), file.len).map_err(|source| io(file, source))? {
            Some((_, index)) => index,
            None => {
                self.warn_footer(file);
                // Only where groups start is asked here; what is wrong with one is for those who read it.
                let mut scan = Scan::new(Arc::clone(&file.file), file.len, PIECE_BYTES);
                let (mut offset, segment) = (SECTOR as u64, new_segment(file));
                while let Step::Group(group) = scan.step(offset).map_err(|source| io(file, source))? {
                    segment.index_group(group.header.first_seq, offset);
                    offset += group::size(group.header.body_len) as u64;
                }
                segment.index()
            }
        };
        self.check_continued(file, index.last().map(|last| last.offset), next)?;
        Ok(Arc::new(Segment::new(file.header, Arc::clone(&file.file), index, file.end())))
    }

    /// The last group of a segment that is not read otherwise must be the one that the next segment continues: else one of the two
    /// is another's, or an older one. It is looked for from the last group that the index knows on.
    fn check_continued(
        &mut self,
        file: &SegmentFile,
        from: Option<u64>,
        next: &SegmentFile,
    ) -> Result<(), RecoveryError> {
        let mut scan = Scan::new(Arc::clone(&file.file), file.len, CHAIN_PIECE_BYTES);
        let (mut hash, mut next_seq) = (file.header.anchor, file.header.first_seq);
        let mut offset = from.unwrap_or(SECTOR as u64);
        loop {
            match scan.step(offset).map_err(|source| io(file, source))? {
                Step::Group(Group { header, hash: found, .. }) => {
                    (hash, next_seq) = (found, header.first_seq.saturating_add(header.movements.into()));
                    offset += group::size(header.body_len) as u64;
                }
                Step::Footer | Step::End => break,
                // It is of this directory, and what is in it is told when somebody asks for it.
                Step::Invalid(error) => {
                    let (name, found) = (&file.name, error.to_string());
                    self.report.warnings.push(format!(
                        "segment {name} is damaged at offset {offset}: {found}; no level depends on it, but its movements, and \
                         what was recorded there under idempotency keys, cannot be shown: restore it from a backup"
                    ));
                    return Ok(());
                }
            }
        }
        if (next.header.anchor, next.header.first_seq) == (hash, next_seq) {
            return Ok(());
        }
        let what =
            format!("it does not continue the group that ends with movement {}", next_seq.saturating_sub(1));
        Err(RecoveryError::Gap { file: next.name.clone(), before: file.name.clone(), what })
    }

    fn segment(
        &mut self,
        file: &SegmentFile,
        next: Option<&Header>,
        is_first: bool,
    ) -> Result<Arc<Segment>, RecoveryError> {
        self.enter(file, is_first)?;
        let mut scan = Scan::new(Arc::clone(&file.file), file.len, PIECE_BYTES);
        let groups = self.groups(file, &mut scan)?;
        let footer = footer(file.file.as_ref(), file.len).map_err(|source| io(file, source))?;
        let footer_at = footer.map(|(offset, _)| offset);
        let follows =
            next.is_some_and(|next| next.anchor == self.end.hash && next.first_seq == self.end.next_seq);
        match next {
            _ if footer_at == Some(groups.offset) => self.sealed(file, &groups)?,
            Some(_) if follows => {
                // The next segment was written after the last group of this one: no group is missing, the footer is.
                self.warn_footer(file);
                self.sealed(file, &groups)?;
            }
            None if footer_at.is_none() => self.open_end(file, &mut scan, &groups)?,
            _ => {
                let finding = groups.why.finding();
                return Err(self.damaged(file, groups.offset, finding, None));
            }
        }
        Ok(groups.segment)
    }

    /// The beginning of a segment: it must continue what is before it.
    fn enter(&mut self, file: &SegmentFile, is_first: bool) -> Result<(), RecoveryError> {
        let header = &file.header;
        if is_first {
            (self.end.next_seq, self.end.hash) = (header.first_seq, header.anchor);
        } else if header.first_seq != self.end.next_seq || header.anchor != self.end.hash {
            let what = format!(
                "it continues another group than the last, or another movement than {}",
                self.end.next_seq
            );
            return Err(RecoveryError::Gap {
                file: file.name.clone(),
                before: "the segment before it".to_owned(),
                what,
            });
        }
        self.end.position = header.base;
        self.boundary(file, 0)?;
        self.end.position += SECTOR as u64;
        self.boundary(file, 0)
    }

    fn groups(&mut self, file: &SegmentFile, scan: &mut Scan) -> Result<Groups, RecoveryError> {
        let segment = Arc::new(new_segment(file));
        let mut offset = SECTOR as u64;
        let why = loop {
            match scan.step(offset).map_err(|source| io(file, source))? {
                Step::Group(group) => {
                    segment.index_group(group.header.first_seq, offset);
                    self.group(file, offset, &group)?;
                    offset = self.end.position - file.header.base;
                }
                Step::Footer => break Stop::Footer,
                Step::End => break Stop::End,
                Step::Invalid(error) => break Stop::Invalid(error),
            }
        };
        segment.set_end(self.end.position);
        Ok(Groups { segment, offset, why })
    }

    fn group(&mut self, file: &SegmentFile, offset: u64, group: &Group<'_>) -> Result<(), RecoveryError> {
        let (before, position) = (self.end, file.header.base + offset);
        let Self { heads, keys, holds, orders, applies, .. } = self;
        let steady_ms = group.header.time_ms;
        let mut records = 0;
        let each = |position: u64, record: &Record<'_>| {
            records += 1;
            if !*applies {
                return Ok(());
            }
            if let Some(once) = record.note().once {
                keys.insert(once.key, position);
                if record.note().kind.is_chunk() {
                    keys.chunks().note(once.key, position);
                }
                if let Some(Stored::Batch(lines)) = record.stored() {
                    keys.forget_lines(once.key, u32::try_from(lines.len()).unwrap_or(u32::MAX));
                }
            }
            record.lines().try_for_each(|line| check::line(heads, &line, position))?;
            orders.replay(record, steady_ms);
            holds.replay(record, steady_ms).map_err(Finding::Reservation)
        };
        let checked = check::group(group, &before, position, each);
        let end = checked.map_err(|(at, finding)| self.damaged(file, offset + at, finding, None))?;
        if self.applies {
            report_group(self.report, records, end.next_seq - before.next_seq);
            self.keys.marks().mark_group(before.time_ms, end.time_ms, position);
        }
        self.end = end;
        self.last_group = Some(position);
        self.progress(offset, end.position - position);
        self.boundary(file, offset)
    }

    fn sealed(&mut self, file: &SegmentFile, groups: &Groups) -> Result<(), RecoveryError> {
        self.end.position = file.end();
        groups.segment.set_end(file.end());
        self.boundary(file, groups.offset)
    }

    /// The end of the last segment, which is not sealed.
    fn open_end(
        &mut self,
        file: &SegmentFile,
        scan: &mut Scan,
        groups: &Groups,
    ) -> Result<(), RecoveryError> {
        let looked = tail::look(scan, groups.offset, &self.end).map_err(|source| io(file, source))?;
        match looked {
            Tail::Clean => {}
            Tail::Unfinished { .. } if self.is_closed => {
                return Err(self.damaged(file, groups.offset, groups.why.finding(), None));
            }
            Tail::Unfinished { bytes, footer } => {
                self.report.cut = Some(Cut {
                    file: file.name.clone(),
                    offset: groups.offset,
                    position: self.end.position,
                    seq: self.end.next_seq,
                    bytes,
                    footer,
                });
            }
            Tail::Damaged { valid_after } => {
                let finding = groups.why.finding();
                return Err(self.damaged(file, groups.offset, finding, valid_after));
            }
        }
        self.tail = Some(Arc::clone(&groups.segment));
        Ok(())
    }

    /// Where a group, or a segment's header or footer, ends: is it where the snapshot starts?
    fn boundary(&mut self, file: &SegmentFile, offset: u64) -> Result<(), RecoveryError> {
        let Some(Loaded { start, .. }) = self.snapshot else { return Ok(()) };
        if self.applies || self.end.position < start.position {
            return Ok(());
        }
        let same = (start.position, start.next_seq, start.hash)
            == (self.end.position, self.end.next_seq, self.end.hash);
        if !same || start.time_ms < self.end.time_ms {
            let finding = Finding::SnapshotStart(snapshot::name(start.position));
            return Err(self.damaged(file, offset, finding, None));
        }
        (self.end.time_ms, self.end.date_ms) = (start.time_ms, start.date_ms);
        self.applies = true;
        Ok(())
    }

    /// The log must hold everything the snapshot has seen of it.
    fn check_reached(&self) -> Result<(), RecoveryError> {
        let Some(Loaded { start, highest, .. }) = self.snapshot else { return Ok(()) };
        if self.applies && highest < self.end.position {
            return Ok(());
        }
        let (snapshot, seen) = (snapshot::name(start.position), highest.max(start.position));
        Err(RecoveryError::LogBehind { snapshot, seen, end: self.end.position })
    }

    fn warn_footer(&mut self, file: &SegmentFile) {
        let name = &file.name;
        self.report.warnings.push(format!("the footer of segment {name} is damaged; its index was rebuilt"));
    }

    fn damaged(
        &self,
        file: &SegmentFile,
        offset: u64,
        finding: Finding,
        valid_after: Option<u64>,
    ) -> RecoveryError {
        RecoveryError::Damaged {
            file: file.name.clone(),
            offset,
            seq: self.end.next_seq,
            finding,
            valid_after,
        }
    }

    fn progress(&mut self, offset: u64, bytes: u64) {
        self.told.bytes += bytes;
        self.told.movements = self.report.movements;
        if offset / PROGRESS_BYTES != (offset + bytes) / PROGRESS_BYTES {
            (self.progress)(self.told);
        }
    }
}

impl Stop {
    fn finding(self) -> Finding {
        Finding::Group(match self {
            Self::Footer => GroupError::NotAGroup,
            Self::End => GroupError::Cut,
            Self::Invalid(error) => error,
        })
    }
}

fn report_group(report: &mut Report, records: u64, movements: u64) {
    report.groups += 1;
    report.records += records;
    report.movements += movements;
}

fn new_segment(file: &SegmentFile) -> Segment {
    let end = file.header.base.saturating_add(segment_header_bytes(file));
    Segment::new(file.header, Arc::clone(&file.file), Vec::new(), end)
}

fn segment_header_bytes(file: &SegmentFile) -> u64 {
    (SECTOR as u64).min(file.len)
}

fn io(file: &SegmentFile, source: std::io::Error) -> RecoveryError {
    RecoveryError::Io { file: file.name.clone(), source }
}
