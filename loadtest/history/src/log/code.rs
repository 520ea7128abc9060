//! How an operation is written in a block: numbers of as many bytes as they need, times as distances.
//!
//! A head byte says what follows: what was asked and answered, whether the client is the one before (it nearly always
//! is, in a log of one client), and whether the answer tells of the one level that was asked for, so that its key is
//! not written twice. Whatever a [`Record`](crate::record::Record) can say comes back as it was, nonsense included: it is not
//! for a log to judge. Numbers are LEB128, signed ones zigzag first (as in Protocol Buffers).

#![expect(
    clippy::inline_always,
    reason = "kept apart, what is decoded goes through memory in pieces that do not match, which takes a third longer"
)]

use super::LogError;
use crate::model::Units;
use crate::record::{Answer, Asked, Effect, Key, Line, Op, Reason, Refused, Seen, Stock};

const IS_READ: u8 = 1 << 3;
const IS_SAME_CLIENT: u8 = 1 << 4;
/// One line at most, and one level in the answer, which is that of the request.
const IS_PLAIN: u8 = 1 << 5;
/// A key of idempotency follows the times.
const HAS_ONCE: u8 = 1 << 6;
/// A read of several levels, which follow as a list.
const IS_SNAPSHOT: u8 = 1 << 7;

/// What the next operation of a block is told by its distance from.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Previous {
    client: u32,
    invoked_ns: u64,
}

/// Appends an operation.
pub(super) fn encode(op: &Op<'_>, previous: &mut Previous, out: &mut Vec<u8>) {
    let is_same_client = op.client == previous.client;
    let is_plain = is_plain(op);
    let flag = |is: bool, bit: u8| if is { bit } else { 0 };
    out.push(
        outcome_number(op.outcome)
            | flag(matches!(op.request, Asked::Read(_)), IS_READ)
            | flag(matches!(op.request, Asked::Snapshot(_)), IS_SNAPSHOT)
            | flag(op.once.is_some(), HAS_ONCE)
            | flag(is_same_client, IS_SAME_CLIENT)
            | flag(is_plain, IS_PLAIN),
    );
    if !is_same_client {
        number(out, op.client.into());
    }
    signed(out, op.invoked_ns.wrapping_sub(previous.invoked_ns).cast_signed());
    signed(out, op.returned_ns.wrapping_sub(op.invoked_ns).cast_signed());
    *previous = Previous { client: op.client, invoked_ns: op.invoked_ns };
    if let Some(once) = op.once {
        number(out, once);
    }
    match op.request {
        Asked::Read(key) => number(out, key.0.into()),
        Asked::Snapshot(keys) => {
            number(out, keys.len() as u64);
            for key in keys {
                number(out, key.0.into());
            }
        }
        Asked::Write(lines) => {
            count(out, lines.len(), is_plain);
            for line in lines {
                number(out, line.key.0.into());
                effect(out, line.effect);
            }
        }
    }
    answer(op.outcome, is_plain, out);
}

fn answer(outcome: Answer<'_>, is_plain: bool, out: &mut Vec<u8>) {
    let key = |out: &mut Vec<u8>, seen: &Seen| {
        if !is_plain {
            number(out, seen.key.0.into());
        }
    };
    let list = |out: &mut Vec<u8>, all: &[Seen]| {
        count(out, all.len(), is_plain);
        for told in all {
            key(out, told);
            seen(out, told);
        }
    };
    match outcome {
        Answer::Read(told) => {
            key(out, &told);
            seen(out, &told);
        }
        Answer::Applied(all) => list(out, all),
        Answer::Snapshot(all, totals) => {
            list(out, all);
            out.push(u8::from(totals.is_some()));
            for sum in totals.iter().flat_map(|totals| [totals.on_hand, totals.reserved]) {
                number(out, sum);
            }
        }
        Answer::Refused(all) => {
            count(out, all.len(), is_plain);
            for refused in all {
                out.push(refused.reason as u8);
                key(out, &refused.seen);
                seen(out, &refused.seen);
            }
        }
        Answer::NotApplied | Answer::Unknown => {}
    }
}

fn outcome_number(outcome: Answer<'_>) -> u8 {
    match outcome {
        Answer::Read(_) => 0,
        Answer::Applied(_) => 1,
        Answer::Refused(_) => 2,
        Answer::NotApplied => 3,
        Answer::Unknown => 4,
        Answer::Snapshot(..) => 5,
    }
}

fn is_plain(op: &Op<'_>) -> bool {
    let asked = match op.request {
        Asked::Read(key) => Some(key),
        Asked::Write([line]) => Some(line.key),
        Asked::Write(_) | Asked::Snapshot(_) => None,
    };
    asked.is_some_and(|asked| match op.outcome {
        Answer::Read(seen) => seen.key == asked,
        Answer::Applied([seen]) => seen.key == asked,
        Answer::Refused([refused]) => refused.seen.key == asked,
        Answer::Applied(_) | Answer::Refused(_) | Answer::Snapshot(..) => false,
        Answer::NotApplied | Answer::Unknown => true,
    })
}

fn count(out: &mut Vec<u8>, count: usize, is_plain: bool) {
    if !is_plain {
        number(out, count as u64);
    }
}

fn effect(out: &mut Vec<u8>, effect: Effect) {
    match effect {
        Effect::Add(units) => {
            out.push(0);
            signed(out, units);
        }
        Effect::AddOrCreate(units) => {
            out.push(1);
            signed(out, units);
        }
        Effect::Create(on_hand) => {
            out.push(2);
            number(out, on_hand);
        }
        Effect::Count { on_hand, if_version: None } => {
            out.push(3);
            number(out, on_hand);
        }
        Effect::Count { on_hand, if_version: Some(version) } => {
            out.push(4);
            number(out, on_hand);
            number(out, version);
        }
        Effect::Delete => out.push(5),
    }
}

fn seen(out: &mut Vec<u8>, seen: &Seen) {
    // A version that was not told is the largest number, and takes one byte like this.
    number(out, seen.version.wrapping_add(1));
    match seen.stock {
        Stock::Absent => out.push(0),
        Stock::Level { on_hand, reserved: 0 } => {
            out.push(1);
            number(out, on_hand);
        }
        Stock::Level { on_hand, reserved } => {
            out.push(2);
            number(out, on_hand);
            number(out, reserved);
        }
        Stock::Available(units) => {
            out.push(3);
            number(out, units);
        }
        Stock::Untold => out.push(4),
    }
}

fn signed(out: &mut Vec<u8>, value: i64) {
    number(out, (value << 1 ^ value >> 63).cast_unsigned());
}

fn number(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    out.push(value.to_le_bytes()[0]);
}

/// Reads operations back; its lists are used again for each, so that reading allocates nothing.
#[derive(Debug, Default)]
pub struct Reader {
    bytes: Bytes,
    previous: Previous,
    lines: Vec<Line>,
    seen: Vec<Seen>,
    refused: Vec<Refused>,
    keys: Vec<Key>,
}

impl Reader {
    /// Makes room for a block of so many bytes, which is to be put there, and begins at its start.
    pub(super) fn start(&mut self, length: usize) -> &mut [u8] {
        self.previous = Previous::default();
        self.bytes.start(length)
    }

    /// The next operation.
    pub(super) fn next(&mut self) -> Result<Op<'_>, LogError> {
        let (asked, head) = self.parts().ok_or(LogError::Damaged)?;
        let request = match head.request {
            IS_READ => Asked::Read(asked),
            IS_SNAPSHOT => Asked::Snapshot(&self.keys),
            0 => Asked::Write(&self.lines),
            _ => return Err(LogError::Damaged),
        };
        let outcome = match head.outcome {
            0 => Answer::Read(head.read),
            1 => Answer::Applied(&self.seen),
            2 => Answer::Refused(&self.refused),
            3 => Answer::NotApplied,
            4 => Answer::Unknown,
            5 => Answer::Snapshot(&self.seen, head.totals),
            _ => return Err(LogError::Damaged),
        };
        let Previous { client, invoked_ns } = self.previous;
        Ok(Op { client, invoked_ns, returned_ns: head.returned_ns, request, outcome, once: head.once })
    }

    /// Takes an operation apart: the level it is about, if it is one, and its head; the rest is in the lists.
    #[inline(always)]
    fn parts(&mut self) -> Option<(Key, Head)> {
        let bytes = &mut self.bytes;
        let head = bytes.byte()?;
        let is_plain = head & IS_PLAIN != 0;
        if head & IS_SAME_CLIENT == 0 {
            self.previous.client = bytes.number32()?;
        }
        let invoked_ns = self.previous.invoked_ns.wrapping_add(bytes.signed()?.cast_unsigned());
        self.previous.invoked_ns = invoked_ns;
        let returned_ns = invoked_ns.wrapping_add(bytes.signed()?.cast_unsigned());
        let once = if head & HAS_ONCE != 0 { Some(bytes.number()?) } else { None };
        let mut asked = Key(0);
        let request = head & (IS_READ | IS_SNAPSHOT);
        if request == IS_READ {
            asked = Key(bytes.number32()?);
        } else if request == IS_SNAPSHOT {
            self.keys.clear();
            for _ in 0..bytes.number()? {
                self.keys.push(Key(bytes.number32()?));
            }
        } else {
            self.lines.clear();
            for _ in 0..bytes.count(is_plain)? {
                asked = Key(bytes.number32()?);
                self.lines.push(Line { key: asked, effect: bytes.effect()? });
            }
        }
        let plain_key = is_plain.then_some(asked);
        let outcome = head & 0b111;
        let mut read = Seen { key: asked, version: 0, stock: Stock::Untold };
        match outcome {
            0 => read = bytes.seen(plain_key)?,
            1 | 5 => {
                self.seen.clear();
                for _ in 0..bytes.count(is_plain)? {
                    self.seen.push(bytes.seen(plain_key)?);
                }
            }
            2 => {
                self.refused.clear();
                for _ in 0..bytes.count(is_plain)? {
                    let reason = *REASONS.get(usize::from(bytes.byte()?))?;
                    self.refused.push(Refused { seen: bytes.seen(plain_key)?, reason });
                }
            }
            _ => {}
        }
        let mut totals = None;
        if outcome == 5 && bytes.byte()? != 0 {
            totals = Some(Units { on_hand: bytes.number()?, reserved: bytes.number()? });
        }
        Some((asked, Head { returned_ns, request, outcome, read, once, totals }))
    }
}

/// What is left of the beginning of an operation when the rest is in the reader.
struct Head {
    returned_ns: u64,
    /// What kind of request, by its bits.
    request: u8,
    outcome: u8,
    read: Seen,
    once: Option<u64>,
    totals: Option<Units>,
}

/// The bytes of a block, and where reading is. Nothing is answered beyond their end.
#[derive(Debug, Default)]
struct Bytes {
    /// The block, and [`PADDING`] zeros, so that a number can be taken eight bytes at once.
    padded: Vec<u8>,
    length: usize,
    at: usize,
}

const PADDING: usize = 8;

impl Bytes {
    fn start(&mut self, length: usize) -> &mut [u8] {
        self.padded.clear();
        self.padded.resize(length + PADDING, 0);
        (self.length, self.at) = (length, 0);
        &mut self.padded[..length]
    }

    fn count(&mut self, is_plain: bool) -> Option<u64> {
        if is_plain { Some(1) } else { self.number() }
    }

    #[inline(always)]
    fn effect(&mut self) -> Option<Effect> {
        Some(match self.byte()? {
            0 => Effect::Add(self.signed()?),
            1 => Effect::AddOrCreate(self.signed()?),
            2 => Effect::Create(self.number()?),
            3 => Effect::Count { on_hand: self.number()?, if_version: None },
            4 => Effect::Count { on_hand: self.number()?, if_version: Some(self.number()?) },
            5 => Effect::Delete,
            _ => return None,
        })
    }

    #[inline(always)]
    fn seen(&mut self, plain_key: Option<Key>) -> Option<Seen> {
        let key = match plain_key {
            Some(key) => key,
            None => Key(self.number32()?),
        };
        let version = self.number()?.wrapping_sub(1);
        let stock = match self.byte()? {
            0 => Stock::Absent,
            1 => Stock::Level { on_hand: self.number()?, reserved: 0 },
            2 => Stock::Level { on_hand: self.number()?, reserved: self.number()? },
            3 => Stock::Available(self.number()?),
            4 => Stock::Untold,
            _ => return None,
        };
        Some(Seen { key, version, stock })
    }

    #[inline(always)]
    fn byte(&mut self) -> Option<u8> {
        let byte = *self.padded.get(self.at)?;
        self.at += 1;
        (self.at <= self.length).then_some(byte)
    }

    #[inline(always)]
    fn signed(&mut self) -> Option<i64> {
        let value = self.number()?;
        Some((value >> 1).cast_signed() ^ -(value & 1).cast_signed())
    }

    #[inline(always)]
    fn number32(&mut self) -> Option<u32> {
        u32::try_from(self.number()?).ok()
    }

    /// A number of up to eight bytes at once: the first byte without the highest bit is its last.
    #[inline(always)]
    fn number(&mut self) -> Option<u64> {
        const ENDS: u64 = 0x8080_8080_8080_8080;
        let word = u64::from_le_bytes(*self.padded.get(self.at..)?.first_chunk()?);
        let ends = !word & ENDS;
        if ends == 0 {
            return self.long_number();
        }
        self.at += ends.trailing_zeros() as usize / 8 + 1;
        // The bytes up to the end, without their highest bits; then neighbours are pushed together, twice as many bits each time.
        let bits = word & (ends ^ (ends - 1)) & !ENDS;
        let bits = (bits & 0x7f00_7f00_7f00_7f00) >> 1 | bits & 0x007f_007f_007f_007f;
        let bits = (bits & 0x3fff_0000_3fff_0000) >> 2 | bits & 0x0000_3fff_0000_3fff;
        let bits = (bits & 0x0fff_ffff_0000_0000) >> 4 | bits & 0x0fff_ffff;
        (self.at <= self.length).then_some(bits)
    }

    /// A number of nine or ten bytes.
    #[cold]
    fn long_number(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }
}

/// By their number in the encoding, which is that of the enum.
const REASONS: [Reason; 6] = [
    Reason::Insufficient,
    Reason::Missing,
    Reason::Exists,
    Reason::VersionMismatch,
    Reason::Reserved,
    Reason::Overflow,
];
