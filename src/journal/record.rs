//! Records: what one change, transaction or stored answer looks like in the log.
//!
//! Bytes, and nothing but bytes: no file, no clock, no lock. All numbers are little-endian.
//!
//! ```text
//! record   0 len u32        of the whole record, this field included
//!          4 crc u32        CRC-32 (IEEE) of all that follows
//!          8 seq u64        number of its first movement; the next lines count on
//!         16 time_ms u64    Unix time at which it was written: what date it was, which may be less than that of a record before
//!         24 kind u8        see RecordKind
//!         25 flags u8       1: it carries an idempotency key
//!         26 lines u16
//!         28 reason_len u16, 30 reference_len u16     bytes of UTF-8
//!         32 [key 16, fingerprint 32]                 if flagged
//!            reason, reference, lines, then what is stored under the key where there are no lines: see `stored`
//! line     0 operation u8, 1 key_len u8
//!          2 operand i64    see Line
//!         10 after u128     Level::to_bits: quantities, version, flags
//!         26 previous u64   position of the level's previous record, 0 if there is none
//!         34 key            sku, a space, location
//! ```
//!
//! The hand-off writes a record with `seq`, `time_ms`, `crc` and every `previous` zero ([`encode`]); the writer fills
//! them in once it knows where the record goes ([`seal`]). In between, `time_ms` has room for a [`stamp`].

use std::ops::Range;
use std::time::Duration;

use bytes::Buf;
use thiserror::Error;

use super::stored::{Reader, Stored};
use crate::stock::{Changed, IfMissing, Level, Once, Operation, Quantity, StockKey};

/// Bytes of a record before its variable parts.
pub const HEAD_BYTES: usize = 32;
/// Bytes of a line before its key.
pub const LINE_HEAD_BYTES: usize = 34;
/// Bytes of the idempotency part.
const ONCE_BYTES: usize = 48;
/// The longest record: a transaction of the most lines with the longest names, and room for the texts.
pub const RECORD_BYTES_MAX: usize = 8 * 1024 * 1024;

const CRC: Range<usize> = 4..8;
const SEQ: Range<usize> = 8..16;
const TIME: Range<usize> = 16..24;
const KIND: usize = 24;
const FLAGS: usize = 25;
const LINES: Range<usize> = 26..28;
const REASON_LEN: Range<usize> = 28..30;
const REFERENCE_LEN: Range<usize> = 30..32;
const FLAG_ONCE: u8 = 1;
/// The operand of a count that found no level.
const NO_LEVEL: i64 = -1;

const LINE_AFTER: Range<usize> = 10..26;
const LINE_PREVIOUS: Range<usize> = 26..34;

/// What a record is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum RecordKind {
    /// A change of one level, or the atomic adjustment of several.
    Change = 1,
    /// Units moved between locations.
    Transfer = 2,
    /// An answer kept under an idempotency key, in words: of version 1 of the format. No lines.
    Answer = 3,
    /// Levels brought in from a file.
    Import = 4,
    /// A refusal kept under an idempotency key. No lines.
    Refused = 5,
    /// What came of each line of a batch, kept under the batch's idempotency key. No lines.
    Batch = 6,
    /// What an import did, kept under its idempotency key. No lines.
    Imported = 7,
    /// A chunk of an import of which every level was left out, under the chunk's key. No lines.
    ImportLeftOut = 8,
}

impl RecordKind {
    /// Whether a record of this kind is a chunk of an import.
    pub fn is_chunk(self) -> bool {
        matches!(self, Self::Import | Self::ImportLeftOut)
    }
}

/// What the caller of a change has to say about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordHead<'a> {
    /// What it is.
    pub kind: RecordKind,
    /// Under which idempotency key.
    pub once: Option<Once>,
    /// Free text, at most 64 characters; empty for none.
    pub reason: &'a str,
    /// Free text, at most 128 characters; empty for none.
    pub reference: &'a str,
}

/// A record, borrowed from its bytes and checked: every part is within bounds and decodes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Record<'a> {
    bytes: &'a [u8],
    note: RecordHead<'a>,
    /// Where the lines begin.
    lines_at: usize,
    /// Where they end, and what is stored begins.
    lines_end: usize,
}

/// One level's part of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line<'a> {
    /// `sku`, a space, `location`.
    pub key: &'a str,
    /// What happened.
    pub operation: Operation,
    /// The units on hand before, where the operation and the level after do not tell (a count, a delete): `None` for a count that
    /// found no level.
    pub on_hand_before: Option<u64>,
    /// The level after.
    pub after: Level,
    /// Where the level's previous record is: 0 if this is its first.
    pub previous: u64,
}

/// Bytes that are no record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum RecordError {
    /// It ends before it is complete, or its length is out of bounds.
    #[error("a record is cut short or has an impossible length")]
    Length,
    /// The checksum does not match.
    #[error("a record does not match its checksum")]
    Checksum,
    /// A part has a value that none may have.
    #[error("a record has a part that cannot be: {0}")]
    Part(&'static str),
}

/// Appends an unsealed record to `out`.
pub fn encode<'c>(
    out: &mut Vec<u8>,
    note: &RecordHead<'_>,
    changes: impl ExactSizeIterator<Item = Changed<'c>>,
) {
    let start = begin(out, note, changes.len());
    for changed in changes {
        push_line(out, &changed);
    }
    finish(out, start);
}

/// Appends an unsealed record of what is stored under a key to `out`.
pub fn encode_stored(out: &mut Vec<u8>, note: &RecordHead<'_>, stored: &Stored) {
    let start = begin(out, note, 0);
    stored.write(out);
    finish(out, start);
}

fn begin(out: &mut Vec<u8>, note: &RecordHead<'_>, lines: usize) -> usize {
    let start = out.len();
    let lines = u16::try_from(lines).expect("a transaction has at most 20 000 entries");
    let text_len =
        |text: &str| u16::try_from(text.len()).expect("a text is at most 128 characters").to_le_bytes();
    let mut bytes = [0; HEAD_BYTES];
    bytes[KIND] = note.kind as u8;
    bytes[FLAGS] = if note.once.is_some() { FLAG_ONCE } else { 0 };
    bytes[LINES].copy_from_slice(&lines.to_le_bytes());
    bytes[REASON_LEN].copy_from_slice(&text_len(note.reason));
    bytes[REFERENCE_LEN].copy_from_slice(&text_len(note.reference));
    out.extend_from_slice(&bytes);
    if let Some(once) = note.once {
        out.extend_from_slice(&once.key.to_le_bytes());
        out.extend_from_slice(&once.fingerprint);
    }
    out.extend_from_slice(note.reason.as_bytes());
    out.extend_from_slice(note.reference.as_bytes());
    start
}

fn push_line(out: &mut Vec<u8>, changed: &Changed<'_>) {
    let (operation, operand) = operation_to_bytes(changed.operation, changed.before);
    let key = changed.key.text();
    let mut bytes = [0; LINE_HEAD_BYTES];
    bytes[0] = operation;
    bytes[1] = u8::try_from(key.len()).expect("a key is at most 97 bytes");
    bytes[2..10].copy_from_slice(&operand.to_le_bytes());
    bytes[LINE_AFTER].copy_from_slice(&changed.after.to_bits().to_le_bytes());
    out.extend_from_slice(&bytes);
    out.extend_from_slice(key.as_bytes());
}

fn finish(out: &mut [u8], start: usize) {
    let len = out.len() - start;
    assert!(len <= RECORD_BYTES_MAX, "a record of {len} bytes: the bounds of requests are below that");
    let len = u32::try_from(len).expect("checked above").to_le_bytes();
    out[start..start + 4].copy_from_slice(&len);
}

/// Fills in what only the writer knows: number, time and links (`previous` of each line, in order), then the checksum.
pub fn seal(record: &mut [u8], seq: u64, time_ms: u64, mut previous: impl FnMut(usize) -> u64) {
    record[SEQ].copy_from_slice(&seq.to_le_bytes());
    record[TIME].copy_from_slice(&time_ms.to_le_bytes());
    let mut at = lines_at(record);
    for line in 0..usize::from(u16_at(record, LINES)) {
        record[at..][LINE_PREVIOUS].copy_from_slice(&previous(line).to_le_bytes());
        at += LINE_HEAD_BYTES + usize::from(record[at + 1]);
    }
    let crc = crc32fast::hash(&record[CRC.end..]);
    record[CRC].copy_from_slice(&crc.to_le_bytes());
}

/// Stamps an unsealed record: what puts it in its place among those of other lanes.
pub fn stamp(record: &mut [u8], since_start: Duration) {
    let nanoseconds = u64::try_from(since_start.as_nanos()).unwrap_or(u64::MAX);
    record[TIME].copy_from_slice(&nanoseconds.to_le_bytes());
}

/// The stamp of an unsealed record that this process encoded itself, in nanoseconds; 0 for one without.
pub fn trusted_stamp(record: &[u8]) -> u64 {
    (&record[TIME.start..]).get_u64_le()
}

/// The length of the record that starts here, if that much is known: not checked against anything but its bounds.
pub fn len_of(bytes: &[u8]) -> Result<usize, RecordError> {
    let len = bytes.get(..4).ok_or(RecordError::Length)?;
    let len = (&len[..]).get_u32_le() as usize;
    let possible = (HEAD_BYTES..=RECORD_BYTES_MAX).contains(&len);
    possible.then_some(len).ok_or(RecordError::Length)
}

/// Key and level after of each line of a record that this process encoded itself, sealed or not.
///
/// # Panics
///
/// On bytes that [`encode`] did not write.
pub fn trusted_lines(record: &[u8]) -> impl ExactSizeIterator<Item = (&str, Level)> {
    let mut at = lines_at(record);
    (0..usize::from(u16_at(record, LINES))).map(move |_| {
        let key_at = at + LINE_HEAD_BYTES;
        let after = level_at(record, at).expect("encode wrote a level");
        at = key_at + usize::from(record[at + 1]);
        (std::str::from_utf8(&record[key_at..at]).expect("encode wrote a key"), after)
    })
}

/// How many lines a record has that this process encoded itself.
pub fn trusted_line_count(record: &[u8]) -> u16 {
    u16_at(record, LINES)
}

/// The idempotency key of a record that this process encoded itself.
pub fn trusted_once(record: &[u8]) -> Option<u128> {
    (record[FLAGS] & FLAG_ONCE != 0).then(|| (&record[HEAD_BYTES..]).get_u128_le())
}

/// How many lines the batch has whose outcome this record stores, if it is one that this process encoded itself.
pub fn trusted_batch_lines(record: &[u8]) -> Option<u32> {
    (record[KIND] == RecordKind::Batch as u8).then(|| (&record[lines_at(record)..]).get_u32_le())
}

/// Whether a record that this process encoded itself is a chunk of an import.
pub fn trusted_is_chunk(record: &[u8]) -> bool {
    [RecordKind::Import as u8, RecordKind::ImportLeftOut as u8].contains(&record[KIND])
}

fn lines_at(record: &[u8]) -> usize {
    let once = if record[FLAGS] & FLAG_ONCE == 0 { 0 } else { ONCE_BYTES };
    HEAD_BYTES + once + usize::from(u16_at(record, REASON_LEN)) + usize::from(u16_at(record, REFERENCE_LEN))
}

impl<'a> Record<'a> {
    /// The record that starts at the beginning of `bytes`, which may go on after it. Checks everything.
    pub fn read(bytes: &'a [u8]) -> Result<Self, RecordError> {
        let bytes = bytes.get(..len_of(bytes)?).ok_or(RecordError::Length)?;
        if crc32fast::hash(&bytes[CRC.end..]) != (&bytes[CRC.start..]).get_u32_le() {
            return Err(RecordError::Checksum);
        }
        let kind = match bytes[KIND] {
            1 => RecordKind::Change,
            2 => RecordKind::Transfer,
            3 => RecordKind::Answer,
            4 => RecordKind::Import,
            5 => RecordKind::Refused,
            6 => RecordKind::Batch,
            7 => RecordKind::Imported,
            8 => RecordKind::ImportLeftOut,
            _ => return Err(RecordError::Part("kind")),
        };
        let once = match bytes[FLAGS] {
            0 => None,
            FLAG_ONCE if bytes.len() >= HEAD_BYTES + ONCE_BYTES => Some(Once {
                key: (&bytes[HEAD_BYTES..]).get_u128_le(),
                fingerprint: array(bytes, HEAD_BYTES + 16),
            }),
            _ => return Err(RecordError::Part("flags")),
        };
        let reason_at = HEAD_BYTES + if once.is_some() { ONCE_BYTES } else { 0 };
        let reference_at = reason_at + usize::from(u16_at(bytes, REASON_LEN));
        let lines_at = reference_at + usize::from(u16_at(bytes, REFERENCE_LEN));
        let text = |range: Range<usize>| {
            let text = bytes.get(range).ok_or(RecordError::Length)?;
            std::str::from_utf8(text).map_err(|_| RecordError::Part("text"))
        };
        let note = RecordHead {
            kind,
            once,
            reason: text(reason_at..reference_at)?,
            reference: text(reference_at..lines_at)?,
        };
        let mut record = Self { bytes, note, lines_at, lines_end: bytes.len() };
        record.lines_end = record.check_lines()?;
        Ok(record)
    }

    fn check_lines(&self) -> Result<usize, RecordError> {
        let (mut at, lines) = (self.lines_at, u16_at(self.bytes, LINES));
        for _ in 0..lines {
            (_, at) = self.line_at(at)?;
        }
        let holds = match (self.note.kind, lines, self.bytes.len() - at) {
            (RecordKind::Change | RecordKind::Transfer | RecordKind::Import, 1.., 0) => true,
            (RecordKind::Change | RecordKind::Transfer | RecordKind::Import, ..) => false,
            (kind, 0, _) => self.note.once.is_some() && read_stored(kind, &self.bytes[at..]).is_some(),
            _ => false,
        };
        holds.then_some(at).ok_or(RecordError::Part("lines"))
    }

    /// The line at that offset and the offset after it.
    fn line_at(&self, at: usize) -> Result<(Line<'a>, usize), RecordError> {
        let head = self.bytes.get(at..at + LINE_HEAD_BYTES).ok_or(RecordError::Length)?;
        let end = at + LINE_HEAD_BYTES + usize::from(head[1]);
        let key = self.bytes.get(at + LINE_HEAD_BYTES..end).ok_or(RecordError::Length)?;
        let key = std::str::from_utf8(key).map_err(|_| RecordError::Part("key"))?;
        let after = level_at(self.bytes, at).ok_or(RecordError::Part("level"))?;
        let operand = (&head[2..]).get_i64_le();
        let (operation, on_hand_before) =
            operation_from_bytes(head[0], operand, after).ok_or(RecordError::Part("operation"))?;
        let previous = (&head[LINE_PREVIOUS.start..]).get_u64_le();
        Ok((Line { key, operation, on_hand_before, after, previous }, end))
    }

    /// Bytes of the record.
    #[expect(clippy::len_without_is_empty, reason = "a record is never empty")]
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// The number of its first movement.
    pub fn seq(&self) -> u64 {
        (&self.bytes[SEQ.start..]).get_u64_le()
    }

    /// When it was written, in milliseconds of Unix time.
    pub fn time_ms(&self) -> u64 {
        (&self.bytes[TIME.start..]).get_u64_le()
    }

    /// What was said about it.
    pub fn note(&self) -> RecordHead<'a> {
        self.note
    }

    /// How many movements it is.
    pub fn line_count(&self) -> u64 {
        u64::from(u16_at(self.bytes, LINES))
    }

    /// Its lines.
    pub fn lines(&self) -> impl Iterator<Item = Line<'a>> + use<'a> {
        let record = *self;
        let mut at = record.lines_at;
        std::iter::from_fn(move || {
            let (line, end) =
                (at < record.lines_end).then(|| record.line_at(at).expect("checked when it was read"))?;
            at = end;
            Some(line)
        })
    }

    /// What is stored under its key, if it is no change.
    pub fn stored(&self) -> Option<Stored> {
        read_stored(self.note.kind, &self.bytes[self.lines_end..])
    }
}

fn read_stored(kind: RecordKind, bytes: &[u8]) -> Option<Stored> {
    let reader = Reader::new(bytes);
    match kind {
        RecordKind::Change | RecordKind::Transfer | RecordKind::Import => None,
        RecordKind::Answer => reader.written(),
        RecordKind::Refused => reader.refused(),
        RecordKind::Batch => reader.batch(),
        RecordKind::Imported | RecordKind::ImportLeftOut => reader.imported(),
    }
}

impl Line<'_> {
    /// The level before, as far as units go: on hand and reserved. `None` where the line contradicts itself: its operation does
    /// not lead to its level after from any level that can be.
    pub fn units_before(&self) -> Option<(u64, u64)> {
        let (on_hand, reserved) = (self.after.on_hand(), self.after.reserved());
        let before = match self.operation {
            Operation::Create { .. } => (0, reserved),
            // A count that found no level, and so made it, says so by naming none before.
            Operation::Count { if_missing: IfMissing::Create, .. } => {
                (self.on_hand_before.unwrap_or(0), reserved)
            }
            Operation::Count { .. } | Operation::Delete => (self.on_hand_before?, reserved),
            Operation::Adjust { delta, .. } => (on_hand.checked_add_signed(delta.checked_neg()?)?, reserved),
            Operation::Reserve { quantity } => (on_hand, reserved.checked_sub(quantity.units())?),
            Operation::Release { quantity } => (on_hand, reserved + quantity.units()),
            Operation::Ship { quantity } => (on_hand + quantity.units(), reserved + quantity.units()),
        };
        let exists_after = self.operation != Operation::Delete;
        let version_before = self.after.version().checked_sub(1)?;
        let possible = exists_after == self.after.exists()
            && Level::existing(before.0, before.1, version_before).is_some();
        possible.then_some(before)
    }

    /// Whether a line of an import made the level, rather than count one that was there.
    pub fn imported_new(&self) -> bool {
        matches!(self.operation, Operation::Count { if_missing: IfMissing::Create, .. })
            && self.on_hand_before.is_none()
    }

    /// The key, parsed: `None` where the text is none.
    pub fn stock_key(&self) -> Option<StockKey> {
        StockKey::from_text(self.key)
    }
}

/// The operation as a tag and an operand: what the level after does not tell.
fn operation_to_bytes(operation: Operation, before: Level) -> (u8, i64) {
    let units = |units: u64| units.cast_signed();
    match operation {
        Operation::Create { .. } => (1, 0),
        Operation::Count { if_missing: IfMissing::Refuse, .. } => (2, units(before.on_hand())),
        Operation::Count { if_missing: IfMissing::Create, .. } if before.exists() => {
            (9, units(before.on_hand()))
        }
        Operation::Count { if_missing: IfMissing::Create, .. } => (9, NO_LEVEL),
        Operation::Adjust { delta, if_missing: IfMissing::Refuse } => (3, delta),
        Operation::Adjust { delta, if_missing: IfMissing::Create } => (4, delta),
        Operation::Reserve { quantity } => (5, units(quantity.units())),
        Operation::Release { quantity } => (6, units(quantity.units())),
        Operation::Ship { quantity } => (7, units(quantity.units())),
        Operation::Delete => (8, units(before.on_hand())),
    }
}

/// The operation, and the units on hand before it where only the operand says so.
fn operation_from_bytes(tag: u8, operand: i64, after: Level) -> Option<(Operation, Option<u64>)> {
    let quantity = || Quantity::new(u64::try_from(operand).ok()?);
    let on_hand = Quantity::new(after.on_hand())?;
    let alone = |operation| Some((operation, None));
    match tag {
        1 if operand == 0 => alone(Operation::Create { on_hand }),
        2 => {
            let operation = Operation::Count { on_hand, if_missing: IfMissing::Refuse };
            Some((operation, Some(quantity()?.units())))
        }
        3 => alone(Operation::Adjust { delta: operand, if_missing: IfMissing::Refuse }),
        4 => alone(Operation::Adjust { delta: operand, if_missing: IfMissing::Create }),
        5 => alone(Operation::Reserve { quantity: quantity()? }),
        6 => alone(Operation::Release { quantity: quantity()? }),
        7 => alone(Operation::Ship { quantity: quantity()? }),
        8 => Some((Operation::Delete, Some(quantity()?.units()))),
        9 => {
            let before = if operand == NO_LEVEL { None } else { Some(quantity()?.units()) };
            Some((Operation::Count { on_hand, if_missing: IfMissing::Create }, before))
        }
        _ => None,
    }
}

fn level_at(record: &[u8], line_at: usize) -> Option<Level> {
    Level::from_bits((&record[line_at + LINE_AFTER.start..]).get_u128_le())
}

fn u16_at(bytes: &[u8], range: Range<usize>) -> u16 {
    (&bytes[range.start..]).get_u16_le()
}

/// `N` bytes from `at` on.
fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes[at..at + N].try_into().expect("a range of N bytes")
}

#[cfg(test)]
mod tests;
