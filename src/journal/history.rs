//! The movements in the log, as people read them: of one level newest first, or of all from a number on.
//!
//! Only what is on disk is shown (promise P7). The history of a level is a walk back along the links in its lines, so it needs
//! no index; each record's checksum is checked, and that the line found is that level, at exactly one version less than the one
//! before. A record may hold several versions of the level: each links to it but the first. Movements by number are found through the sparse index of the segments.
//!
//! Work per page is bounded: [`PAGE_MAX`] movements, [`HOPS_MAX`] records and [`PAGE_BYTES_MAX`] bytes looked at (and the one
//! record or group with which the bound was reached). A page that ends there is short, or empty, and says where to go on.

use std::io;
use std::sync::Arc;

use thiserror::Error;

use super::check::Finding;
use super::disk::DiskFile;
use super::group::{self, HEADER_BYTES};
use super::heads::Head;
use super::log::{Log, Segment};
use super::record::{self, Line, Record, RecordError, RecordKind};
use super::scan::{Scan, Step};
use super::segment;
use super::watermark::Watermark;
use crate::stock::{Level, Operation, OrderId, ReservationId, StockKey};

/// The most movements of a page.
pub const PAGE_MAX: usize = 1000;

/// The most records of a level that a page looks at, those not yet on disk included.
pub const HOPS_MAX: usize = 16 * 1024;

/// The most bytes that a page looks at. The last record or group may go past it.
pub const PAGE_BYTES_MAX: u64 = 32 * 1024 * 1024;

/// Bytes read for a record of unknown length: nearly all fit.
const FIRST_READ: usize = 1024;

/// Bytes read at a time by a walk forward, which often ends soon.
const WALK_BYTES: usize = 256 * 1024;

/// One line of a record: what happened to one level.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Movement {
    /// Its number.
    pub seq: u64,
    /// When it was written, in milliseconds of Unix time.
    pub time_ms: u64,
    /// What it was a part of.
    pub kind: RecordKind,
    /// The level.
    pub key: StockKey,
    /// What happened.
    pub operation: Operation,
    /// Units on hand and reserved before.
    pub before: (u64, u64),
    /// The level after.
    pub after: Level,
    /// What was said about it; empty for nothing.
    pub reason: String,
    /// What it refers to; empty for nothing.
    pub reference: String,
    /// Who made it; empty for nobody.
    pub actor: String,
    /// Which reservation made it, if one did.
    pub reservation: Option<ReservationId>,
    /// Which order made it, if one did.
    pub order: Option<OrderId>,
}

/// A place in the history of a level: right before the movement of that version, in the record at that position. The position alone
/// would not do, since a page may end between two movements of one record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Before {
    /// The position of the record.
    pub position: u64,
    /// The version of the level after the movement.
    pub version: u64,
}

/// A page of movements; the next one starts at a [`Before`] for [`of_level`], at a number for [`after`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<Next> {
    /// The movements, in order.
    pub movements: Vec<Movement>,
    /// Where the next page starts. `None` at the end.
    pub next: Option<Next>,
    /// Whether movements that would be here are in segments that were dropped.
    pub compacted: bool,
}

/// Why there is no page.
#[derive(Debug, Error)]
pub enum HistoryError {
    /// The disk said so.
    #[error("segment {file} at offset {offset}: {source}")]
    Io {
        /// The segment's file.
        file: String,
        /// Where in it.
        offset: u64,
        /// What the system says.
        source: io::Error,
    },
    /// The log is not what was written.
    #[error(
        "segment {file} is damaged at offset {offset}: {finding}; verify the log and restore it from a backup"
    )]
    Damaged {
        /// The segment's file.
        file: String,
        /// Where in it.
        offset: u64,
        /// What is wrong.
        finding: Finding,
    },
    /// The caller's position is that of no movement of the level.
    #[error("there is no movement of that level to go on from")]
    Cursor,
    /// The record was in a segment that was dropped.
    #[error("the record was dropped with the oldest part of the log")]
    Compacted,
    /// The position is not in the log, or not yet on disk.
    #[error("there is no record at position {0}")]
    NoRecord(u64),
}

impl<Next> Default for Page<Next> {
    /// Nothing, and no more to come.
    fn default() -> Self {
        Self { movements: Vec::new(), next: None, compacted: false }
    }
}

/// The movements of one level that `filter` wants, newest first: from `head` on, its last one, or from `from` on, the `next` of the page before.
///
/// The record of the head has to be in the log: there is a moment in which the writer's heads have one that it is about to write.
pub fn of_level(
    log: &Log,
    head: Option<Head>,
    watermark: &Watermark,
    key: &StockKey,
    from: Option<Before>,
    limit: usize,
    mut filter: impl FnMut(&Movement) -> bool,
) -> Result<Page<Before>, HistoryError> {
    let Some(head) = head else {
        return from.map_or(Ok(Page::default()), |_| Err(HistoryError::Cursor));
    };
    let mut walk = Walk { log, key, position: head.position, version: head.level.version(), bytes: 0 };
    let mut page = Page::default();
    if let Some(from) = from {
        let newest = head.level.version();
        if !watermark.covers(from.position) || from.position > head.position || from.version > newest {
            return Err(HistoryError::Cursor);
        }
        match walk.resume(from) {
            Err(HistoryError::Compacted) => page.compacted = true,
            outcome => outcome?,
        }
    }
    let mut last = from;
    for _ in 0..HOPS_MAX {
        if page.compacted || walk.position == 0 {
            return Ok(page);
        }
        if page.movements.len() >= limit.min(PAGE_MAX) || walk.bytes >= PAGE_BYTES_MAX {
            break;
        }
        let Walk { position, version, .. } = walk;
        match walk.hop() {
            // Newer ones may not be on disk: they are not shown yet.
            Ok(movement) if watermark.covers(position) => {
                if filter(&movement) {
                    page.movements.push(movement);
                }
            }
            Ok(_) => {}
            Err(HistoryError::Compacted) => {
                page.compacted = true;
                return Ok(page);
            }
            Err(error) => return Err(error),
        }
        last = watermark.covers(position).then_some(Before { position, version });
    }
    // If all that was looked at is not on disk yet, there is nothing to go on from: the next page starts anew.
    page.next = last.filter(|_| walk.position != 0);
    Ok(page)
}

/// A walk back along the links of a level.
struct Walk<'w> {
    log: &'w Log,
    key: &'w StockKey,
    /// The next record to read: 0 after the first one of the level.
    position: u64,
    /// The version it must have.
    version: u64,
    bytes: u64,
}

impl Walk<'_> {
    /// Continues before a movement that a client named: it need not be one.
    fn resume(&mut self, before: Before) -> Result<(), HistoryError> {
        let bytes = match record_in_log(self.log, before.position) {
            Ok(bytes) => bytes,
            Err(HistoryError::Damaged { .. } | HistoryError::NoRecord(_)) => {
                return Err(HistoryError::Cursor);
            }
            Err(error) => return Err(error),
        };
        let record = Record::read(&bytes).map_err(|_| HistoryError::Cursor)?;
        (self.position, self.version) = (before.position, before.version);
        let line = self.lines(&record).find(|(_, line)| line.after.version() == before.version);
        let (_, line) =
            line.filter(|(_, line)| self.links_back(&record, line)).ok_or(HistoryError::Cursor)?;
        (self.position, self.version) = (line.previous, before.version - 1);
        Ok(())
    }

    /// The movement at the position, which moves to the one before.
    fn hop(&mut self) -> Result<Movement, HistoryError> {
        let (position, version) = (self.position, self.version);
        let bytes = record_in_log(self.log, position)?;
        self.bytes += bytes.len() as u64;
        let damaged = |finding| damaged_at(self.log, position, finding);
        let record = Record::read(&bytes).map_err(|error| damaged(error.into()))?;
        let key = || self.key.text().to_owned();
        let found = self.lines(&record).find(|(_, line)| line.after.version() == version);
        let Some((index, line)) = found else {
            let found = self.lines(&record).next().map_or(0, |(_, line)| line.after.version());
            return Err(damaged(Finding::Version { key: key(), expected: version, found }));
        };
        if !self.links_back(&record, &line) {
            return Err(damaged(Finding::Link { key: key(), version, expected: 0, found: line.previous }));
        }
        let movement = movement(&record, index, &line)
            .ok_or_else(|| damaged(Finding::Outcome { key: key(), version }))?;
        (self.position, self.version) = (line.previous, version - 1);
        Ok(movement)
    }

    /// The lines of the level in a record, each with its place.
    fn lines<'r>(&self, record: &Record<'r>) -> impl Iterator<Item = (usize, Line<'r>)> {
        let key = self.key.text();
        record.lines().enumerate().filter(move |(_, line)| line.key == key)
    }

    /// Whether the line of a record at the walk's position and version links to an earlier record, or to its own where that
    /// has the version before as well: so a walk always ends.
    fn links_back(&self, record: &Record<'_>, line: &Line<'_>) -> bool {
        let Some(before) = self.version.checked_sub(1) else { return false };
        let is_before = |(_, line): (usize, Line<'_>)| line.after.version() == before;
        match line.previous {
            0 => before == 0,
            previous if previous == self.position => before > 0 && self.lines(record).any(is_before),
            previous => before > 0 && previous < self.position,
        }
    }
}

/// The movements with numbers above `seq` that `filter` wants, in order. `next` is the number to go on from, given as `seq`.
pub fn after(
    log: &Log,
    watermark: &Watermark,
    seq: u64,
    limit: usize,
    filter: impl FnMut(&Record<'_>, &Line<'_>) -> bool,
) -> Result<Page<u64>, HistoryError> {
    let limit = limit.min(PAGE_MAX);
    let mut forward = Forward { last: seq, limit, filter, page: Page::default(), bytes: 0 };
    let durable = watermark.position();
    let segments = log.segments();
    let wanted = seq.saturating_add(1);
    let Some(oldest) = segments.first() else { return Ok(forward.page) };
    if wanted < oldest.header.first_seq {
        forward.page.compacted = true;
        return Ok(forward.page);
    }
    let from = segments.partition_point(|segment| segment.header.first_seq <= wanted).saturating_sub(1);
    for (at, segment) in segments[from..].iter().enumerate() {
        let offset = if at == 0 { segment.offset_before(wanted) } else { group::SECTOR as u64 };
        if !forward.segment(segment, offset, durable)? {
            forward.page.next = Some(forward.last);
            return Ok(forward.page);
        }
    }
    Ok(forward.page)
}

/// A walk forward over groups.
struct Forward<F> {
    /// The number of the last movement that was looked at.
    last: u64,
    limit: usize,
    filter: F,
    page: Page<u64>,
    bytes: u64,
}

impl<F: FnMut(&Record<'_>, &Line<'_>) -> bool> Forward<F> {
    /// Walks one segment from an offset on. Returns false where the page is full.
    fn segment(
        &mut self,
        segment: &Arc<Segment>,
        mut offset: u64,
        durable: u64,
    ) -> Result<bool, HistoryError> {
        let base = segment.header.base;
        let end = segment.end().min(durable).saturating_sub(base);
        let mut scan = Scan::new(Arc::clone(&segment.file), end, WALK_BYTES);
        while offset < end {
            if self.bytes >= PAGE_BYTES_MAX {
                return Ok(false);
            }
            let step = scan.step(offset).map_err(|source| io_error(segment, offset, source))?;
            let group = match step {
                Step::Group(group) => group,
                Step::Footer | Step::End => break,
                Step::Invalid(error) => return Err(damaged(segment, offset, error.into())),
            };
            let size = group::size(group.header.body_len) as u64;
            let full = self
                .group(group.body)
                .map_err(|(at, finding)| damaged(segment, offset + HEADER_BYTES as u64 + at, finding))?;
            if full {
                return Ok(false);
            }
            self.bytes += size;
            offset += size;
        }
        Ok(true)
    }

    /// Returns whether the page is full with more to come, or may be.
    fn group(&mut self, body: &[u8]) -> Result<bool, (u64, Finding)> {
        let mut at = 0;
        while at < body.len() {
            let record = Record::read(&body[at..]).map_err(|error| (at as u64, error.into()))?;
            let newest = record.seq().saturating_add(record.line_count());
            // Whole records that were shown before are not taken apart.
            let lines = (newest > self.last.saturating_add(1)).then(|| record.lines().enumerate());
            for (index, line) in lines.into_iter().flatten() {
                let seq = record.seq().saturating_add(index as u64);
                if seq <= self.last {
                    continue;
                }
                if self.page.movements.len() >= self.limit {
                    return Ok(true);
                }
                if (self.filter)(&record, &line) {
                    let version = line.after.version();
                    let impossible = || Finding::Outcome { key: line.key.to_owned(), version };
                    let movement =
                        movement(&record, index, &line).ok_or_else(|| (at as u64, impossible()))?;
                    self.page.movements.push(movement);
                }
                self.last = seq;
            }
            at += record.len();
        }
        Ok(false)
    }
}

/// The bytes of the record at that position, its checksum checked: [`Record::read`] takes them apart. Also of one that was kept
/// when its segment was dropped, for the idempotency key it has.
pub fn record_at(log: &Log, position: u64) -> Result<Vec<u8>, HistoryError> {
    match record_in_log(log, position) {
        Err(HistoryError::Compacted) => log.kept().get(position).ok_or(HistoryError::Compacted),
        outcome => outcome,
    }
}

/// [`record_at`], of a record in a segment that is there. Histories are of those only: what is kept beside has gaps.
pub fn record_in_log(log: &Log, position: u64) -> Result<Vec<u8>, HistoryError> {
    let Some(segment) = log.at_position(position) else {
        let oldest = log.segments().first().map_or(0, |segment| segment.header.base);
        return Err(if position < oldest {
            HistoryError::Compacted
        } else {
            HistoryError::NoRecord(position)
        });
    };
    let offset = position - segment.header.base;
    let mut bytes = vec![0; FIRST_READ];
    read(&segment, &mut bytes, 0, offset)?;
    let finding = |error: RecordError| damaged(&segment, offset, error.into());
    let len = record::len_of(&bytes).map_err(finding)?;
    let had = bytes.len();
    // What is not there need not be made room for.
    if offset.saturating_add(len as u64) > segment.end() - segment.header.base {
        return Err(finding(RecordError::Length));
    }
    bytes.resize(len, 0);
    if len > had {
        read(&segment, &mut bytes, had, offset)?;
    }
    Record::read(&bytes).map_err(finding)?;
    Ok(bytes)
}

/// Fills `bytes[from..]` with what is at `offset + from`; fewer at the end of the file.
fn read(segment: &Segment, bytes: &mut Vec<u8>, from: usize, offset: u64) -> Result<(), HistoryError> {
    let file: &dyn DiskFile = segment.file.as_ref();
    let read = file.read_at(&mut bytes[from..], offset + from as u64);
    let read = read.map_err(|source| io_error(segment, offset, source))?;
    bytes.truncate(from + read);
    Ok(())
}

fn movement(record: &Record<'_>, index: usize, line: &Line<'_>) -> Option<Movement> {
    let note = record.note();
    Some(Movement {
        seq: record.seq().checked_add(index as u64)?,
        time_ms: record.time_ms(),
        kind: note.kind,
        key: line.stock_key()?,
        operation: line.operation,
        before: line.units_before()?,
        after: line.after,
        reason: note.reason.to_owned(),
        reference: note.reference.to_owned(),
        actor: note.actor.to_owned(),
        reservation: record.term().map(|term| term.id),
        order: record.order_id(),
    })
}

fn io_error(segment: &Segment, offset: u64, source: io::Error) -> HistoryError {
    HistoryError::Io { file: segment::name(segment.header.base), offset, source }
}

fn damaged(segment: &Segment, offset: u64, finding: Finding) -> HistoryError {
    HistoryError::Damaged { file: segment::name(segment.header.base), offset, finding }
}

fn damaged_at(log: &Log, position: u64, finding: Finding) -> HistoryError {
    match log.at_position(position) {
        Some(segment) => damaged(&segment, position - segment.header.base, finding),
        // It was dropped since it was read.
        None => HistoryError::Compacted,
    }
}

#[cfg(test)]
mod tests;
