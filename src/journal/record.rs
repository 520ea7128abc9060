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
//!         25 flags u8       1: it carries an idempotency key; 2: it says who made it (since version 5 of the format)
//!         26 lines u16
//!         28 reason_len u16, 30 reference_len u16     bytes of UTF-8
//!         32 [key 16, fingerprint 32]                 if flagged
//!            [actor_len u8, actor]                    if flagged: bytes of UTF-8, at least one
//!            reason, reference, lines; then what is stored, where there are no lines: see `stored`;
//!            of a reservation: id u128, created_ms u64, expires_date_ms u64, expires_ms u64; of an order: see `orders::found`
//! line     0 operation u8, 1 key_len u8
//!          2 operand i64    see Line
//!         10 after u128     Level::to_bits: quantities, version, flags
//!         26 previous u64   position of the level's previous record, 0 if there is none
//!         34 key            sku, a separator, location: the text of a `StockKey`
//!            [release u64]  of a reservation that is shipped in part: the units that are let go
//! ```
//!
//! The hand-off writes a record with `seq`, `time_ms`, `crc` and every `previous` zero ([`encode`]); the writer fills
//! them in once it knows where the record goes ([`seal`]). In between, `time_ms` has room for a [`stamp`].

use std::ops::Range;
use std::time::Duration;

use bytes::{Buf, BufMut};
use thiserror::Error;

use super::orders;
use super::stored::{Reader, Stored};
use crate::stock::{Changed, Level, Once, OrderId, ReservationId, Term};

mod kind;
mod line;

pub use kind::RecordKind;
pub use line::{LINE_HEAD_BYTES, Line};
use line::{LINE_PREVIOUS, level_at, line_bytes, push_line};

/// Bytes of a record before its variable parts.
pub const HEAD_BYTES: usize = 32;
/// Bytes of the term of a reservation.
const TERM_BYTES: usize = 40;
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
const FLAG_ACTOR: u8 = 2;

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
    /// Who made it, at most 64 bytes; empty for nobody.
    pub actor: &'a str,
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

/// The same, of a reservation or an order: the record ends with which, as `tail` appends it.
pub fn encode_with<'c>(
    out: &mut Vec<u8>,
    note: &RecordHead<'_>,
    changes: impl ExactSizeIterator<Item = Changed<'c>>,
    tail: impl FnOnce(&mut Vec<u8>),
) {
    let start = begin(out, note, changes.len());
    for changed in changes {
        push_line(out, &changed);
    }
    tail(out);
    finish(out, start);
}

/// Appends a term.
pub(super) fn put_term(out: &mut Vec<u8>, term: &Term) {
    out.put_u128_le(term.id.to_bits());
    for number in [term.created_ms(), term.expires_date_ms, term.expires_ms] {
        out.put_u64_le(number);
    }
}

/// Reads a term off the beginning of `bytes`.
pub(super) fn take_term(bytes: &mut &[u8]) -> Option<Term> {
    let id = ReservationId::from_bits(bytes.try_get_u128_le().ok()?);
    let mut number = || bytes.try_get_u64_le().ok();
    // When it was made is in its name, too.
    let (_created_ms, expires_date_ms, expires_ms) = (number()?, number()?, number()?);
    Some(Term { id, expires_date_ms, expires_ms })
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
    let once = if note.once.is_some() { FLAG_ONCE } else { 0 };
    bytes[FLAGS] = once | if note.actor.is_empty() { 0 } else { FLAG_ACTOR };
    bytes[LINES].copy_from_slice(&lines.to_le_bytes());
    bytes[REASON_LEN].copy_from_slice(&text_len(note.reason));
    bytes[REFERENCE_LEN].copy_from_slice(&text_len(note.reference));
    out.extend_from_slice(&bytes);
    if let Some(once) = note.once {
        out.extend_from_slice(&once.key.to_le_bytes());
        out.extend_from_slice(&once.fingerprint);
    }
    if !note.actor.is_empty() {
        out.put_u8(u8::try_from(note.actor.len()).expect("a name has at most 64 bytes"));
        out.extend_from_slice(note.actor.as_bytes());
    }
    out.extend_from_slice(note.reason.as_bytes());
    out.extend_from_slice(note.reference.as_bytes());
    start
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
        at += line_bytes(&record[at..]);
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
        let key = &record[key_at..key_at + usize::from(record[at + 1])];
        let after = level_at(record, at).expect("encode wrote a level");
        at += line_bytes(&record[at..]);
        (std::str::from_utf8(key).expect("encode wrote a key"), after)
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
    let actor_at = HEAD_BYTES + if record[FLAGS] & FLAG_ONCE == 0 { 0 } else { ONCE_BYTES };
    let actor = if record[FLAGS] & FLAG_ACTOR == 0 { 0 } else { 1 + usize::from(record[actor_at]) };
    actor_at + actor + usize::from(u16_at(record, REASON_LEN)) + usize::from(u16_at(record, REFERENCE_LEN))
}

impl<'a> Record<'a> {
    /// The record that starts at the beginning of `bytes`, which may go on after it. Checks everything.
    pub fn read(bytes: &'a [u8]) -> Result<Self, RecordError> {
        let bytes = bytes.get(..len_of(bytes)?).ok_or(RecordError::Length)?;
        if crc32fast::hash(&bytes[CRC.end..]) != (&bytes[CRC.start..]).get_u32_le() {
            return Err(RecordError::Checksum);
        }
        let kind = RecordKind::of(bytes[KIND]).ok_or(RecordError::Part("kind"))?;
        let flags = bytes[FLAGS];
        let actor_at = HEAD_BYTES + if flags & FLAG_ONCE == 0 { 0 } else { ONCE_BYTES };
        if flags & !(FLAG_ONCE | FLAG_ACTOR) != 0 || bytes.len() < actor_at {
            return Err(RecordError::Part("flags"));
        }
        let once = (flags & FLAG_ONCE != 0).then(|| Once {
            key: (&bytes[HEAD_BYTES..]).get_u128_le(),
            fingerprint: array(bytes, HEAD_BYTES + 16),
        });
        let (actor_at, actor_len) = match bytes.get(actor_at) {
            _ if flags & FLAG_ACTOR == 0 => (actor_at, 0),
            Some(&len) if len > 0 => (actor_at + 1, usize::from(len)),
            _ => return Err(RecordError::Part("flags")),
        };
        let reason_at = actor_at + actor_len;
        let reference_at = reason_at + usize::from(u16_at(bytes, REASON_LEN));
        let lines_at = reference_at + usize::from(u16_at(bytes, REFERENCE_LEN));
        let text = |range: Range<usize>| {
            let text = bytes.get(range).ok_or(RecordError::Length)?;
            std::str::from_utf8(text).map_err(|_| RecordError::Part("text"))
        };
        let note = RecordHead {
            kind,
            once,
            actor: text(actor_at..reason_at)?,
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
            (kind, lines, rest) if kind.is_of_reservation() => lines > 0 && rest == TERM_BYTES,
            (kind, lines, _) if kind.moves_an_order() => {
                lines > 0 && orders::Found::read(&self.bytes[at..]).is_some()
            }
            (kind, 0, _) if kind == RecordKind::Extended || kind.only_tells_of_an_order() => {
                read_stored(kind, &self.bytes[at..]).is_some()
            }
            (kind, 0, _) => self.note.once.is_some() && read_stored(kind, &self.bytes[at..]).is_some(),
            _ => false,
        };
        holds.then_some(at).ok_or(RecordError::Part("lines"))
    }

    /// The line at that offset and the offset after it.
    fn line_at(&self, at: usize) -> Result<(Line<'a>, usize), RecordError> {
        let (line, len) = Line::read(self.bytes.get(at..).ok_or(RecordError::Length)?)?;
        Ok((line, at + len))
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

    /// Of which reservation it is, and how long that holds; if it is of one, and has lines.
    pub fn term(&self) -> Option<Term> {
        let mut rest = &self.bytes[self.lines_end..];
        self.note.kind.is_of_reservation().then(|| take_term(&mut rest)).flatten()
    }

    /// The order that it is of, if it is of one: as it was after it.
    pub fn order(&self) -> Option<orders::Found> {
        let kind = self.note.kind;
        let is_of_order = kind.moves_an_order() || kind.only_tells_of_an_order();
        is_of_order.then(|| orders::Found::read(&self.bytes[self.lines_end..])).flatten()
    }

    /// The name of the order whose units its lines are, if they are of one.
    pub fn order_id(&self) -> Option<OrderId> {
        let mut rest = &self.bytes[self.lines_end..];
        self.note.kind.moves_an_order().then(|| rest.try_get_u128_le().ok()).flatten().map(OrderId::from_bits)
    }

    /// What is stored under its key, if it is no change.
    pub fn stored(&self) -> Option<Stored> {
        read_stored(self.note.kind, &self.bytes[self.lines_end..])
    }
}

fn read_stored(kind: RecordKind, bytes: &[u8]) -> Option<Stored> {
    let reader = Reader::new(bytes);
    match kind {
        RecordKind::Change
        | RecordKind::Transfer
        | RecordKind::Import
        | RecordKind::Reserved
        | RecordKind::Committed
        | RecordKind::Released
        | RecordKind::Expired
        | RecordKind::Fulfilled
        | RecordKind::Returned => None,
        RecordKind::Ordered | RecordKind::Backordered | RecordKind::Rejected | RecordKind::Cancelled => {
            reader.order()
        }
        RecordKind::Extended => reader.extended(),
        RecordKind::Answer => reader.written(),
        RecordKind::Refused => reader.refused(),
        RecordKind::Batch => reader.batch(),
        RecordKind::Imported | RecordKind::ImportLeftOut => reader.imported(),
        RecordKind::Moved => reader.moved(),
    }
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
