//! [`Stored`]: what came of a request, where that is not the record of a change; mostly of one that has an idempotency key.
//!
//! Data, not words: a retry is answered from it by the code that answered the first time. Bytes only; no file, no clock.
//!
//! ```text
//! refused   count u32, then per level: key_len u8, key, line u32, refusal
//! batch     count u32, then per line: 0 u8, position u64 (of the record of its change), or a refusal
//! imported  levels u64, created u64, counted u64, left_out u64
//! extended  the term (see `record`), count u32, then per line: key_len u8, key, quantity u64
//! order     see `orders::found`
//! moved     see `moved`
//! refusal   reason u8 (1 to 12), operand u64, found u128 (Level::to_bits)
//! written   status u16, body: the answer itself, as version 1 of the format had it
//! ```

use bytes::{Buf, BufMut};

use super::moved::Moved;
use super::orders;
use super::record::{put_term, take_term};
use crate::stock::{HeldLine, Level, Precondition, Quantity, Reason, Refusal, RefusedLevel, StockKey, Term};

/// What a key stands for beside changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stored {
    /// The state of these levels forbade the request; at least one.
    Refused(Vec<RefusedLevel>),
    /// What came of each line of a batch of lines that stand alone.
    Batch(Vec<BatchLine>),
    /// What an import did.
    Imported(Imported),
    /// A reservation was extended: its new term, and what it holds.
    Extended(Term, Vec<HeldLine>),
    /// An order was placed, began to wait, was rejected or cancelled: the whole of it.
    Order(orders::Found),
    /// What came of a request in the store from where the stock came.
    Moved(Moved),
    /// An answer as version 1 of the format stored it: in the words it was given in.
    Written(WrittenAnswer),
}

/// What came of one line of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BatchLine {
    /// It was carried out: the position of its record.
    At(u64),
    /// The state of its level forbade it.
    Refused(Refusal),
}

/// What an import did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Imported {
    /// The levels that the file named.
    pub levels: u64,
    /// Those that were not there before.
    pub created: u64,
    /// Those that were.
    pub counted: u64,
    /// Those that were left as they are, since more units came to be held meanwhile than the file says.
    pub left_out: u64,
}

/// An answer over HTTP as version 1 of the format stored it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrittenAnswer {
    /// The status.
    pub status: u16,
    /// The body.
    pub body: Vec<u8>,
}

/// The tag of a line that was carried out; reasons have the others.
const AT: u8 = 0;

impl Stored {
    /// Appends the bytes.
    pub fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Refused(levels) => put_refused_levels(out, levels),
            Self::Order(found) => found.write(out),
            Self::Moved(moved) => moved.write(out),
            Self::Batch(lines) => {
                put_count(out, lines.len());
                for line in lines {
                    match line {
                        BatchLine::At(position) => {
                            out.push(AT);
                            out.put_u64_le(*position);
                        }
                        BatchLine::Refused(refusal) => put_refusal(out, refusal),
                    }
                }
            }
            Self::Imported(Imported { levels, created, counted, left_out }) => {
                for number in [levels, created, counted, left_out] {
                    out.put_u64_le(*number);
                }
            }
            Self::Extended(term, lines) => {
                put_term(out, term);
                put_count(out, lines.len());
                for HeldLine { key, quantity } in lines {
                    put_key(out, key);
                    out.put_u64_le(quantity.units());
                }
            }
            Self::Written(WrittenAnswer { status, body }) => {
                out.put_u16_le(*status);
                out.extend_from_slice(body);
            }
        }
    }
}

/// Reads what [`Stored::write`] wrote: `None` where the bytes are none, or more.
#[derive(Debug)]
pub(super) struct Reader<'b>(&'b [u8]);

impl<'b> Reader<'b> {
    /// Reads those bytes, all of them.
    pub(super) fn new(bytes: &'b [u8]) -> Self {
        Self(bytes)
    }

    pub(super) fn refused(mut self) -> Option<Stored> {
        let levels = self.refused_levels()?;
        self.0.is_empty().then_some(Stored::Refused(levels))
    }

    pub(super) fn order(self) -> Option<Stored> {
        orders::Found::read(self.0).map(Stored::Order)
    }

    pub(super) fn moved(self) -> Option<Stored> {
        Moved::read(self.0).map(Stored::Moved)
    }

    pub(super) fn batch(mut self) -> Option<Stored> {
        let count = self.count()?;
        let lines = (0..count).map(|_| self.batch_line()).collect::<Option<Vec<_>>>()?;
        self.0.is_empty().then_some(Stored::Batch(lines))
    }

    pub(super) fn imported(mut self) -> Option<Stored> {
        let mut number = || self.0.try_get_u64_le().ok();
        let (levels, created, counted, left_out) = (number()?, number()?, number()?, number()?);
        let imported = Imported { levels, created, counted, left_out };
        self.0.is_empty().then_some(Stored::Imported(imported))
    }

    pub(super) fn extended(mut self) -> Option<Stored> {
        let term = take_term(&mut self.0)?;
        let count = self.count()?;
        let line = |_| {
            let key = self.key()?;
            Some(HeldLine { key, quantity: Quantity::new(self.0.try_get_u64_le().ok()?)? })
        };
        let lines = (0..count).map(line).collect::<Option<Vec<_>>>()?;
        self.0.is_empty().then_some(Stored::Extended(term, lines))
    }

    pub(super) fn written(mut self) -> Option<Stored> {
        let status = self.0.try_get_u16_le().ok()?;
        Some(Stored::Written(WrittenAnswer { status, body: self.0.to_vec() }))
    }

    /// A count of things of at least a byte each: what cannot be there is not made room for.
    fn count(&mut self) -> Option<u32> {
        let count = self.0.try_get_u32_le().ok()?;
        (count as usize <= self.0.len()).then_some(count)
    }

    /// Levels that stood in the way: at least one.
    fn refused_levels(&mut self) -> Option<Vec<RefusedLevel>> {
        let count = self.count()?;
        let levels = (0..count).map(|_| self.refused_level()).collect::<Option<Vec<_>>>()?;
        (!levels.is_empty()).then_some(levels)
    }

    fn refused_level(&mut self) -> Option<RefusedLevel> {
        let key = self.key()?;
        let line = self.0.try_get_u32_le().ok()? as usize;
        let tag = self.0.try_get_u8().ok()?;
        Some(RefusedLevel { key, line, refusal: self.refusal(tag)? })
    }

    fn key(&mut self) -> Option<StockKey> {
        take_key(&mut self.0)
    }

    fn batch_line(&mut self) -> Option<BatchLine> {
        match self.0.try_get_u8().ok()? {
            AT => Some(BatchLine::At(self.0.try_get_u64_le().ok()?)),
            tag => self.refusal(tag).map(BatchLine::Refused),
        }
    }

    fn refusal(&mut self, tag: u8) -> Option<Refusal> {
        let operand = self.0.try_get_u64_le().ok()?;
        let found = Level::from_bits(self.0.try_get_u128_le().ok()?)?;
        Some(Refusal { reason: reason(tag, operand)?, found })
    }
}

/// Appends levels that stood in the way.
pub(super) fn put_refused_levels(out: &mut Vec<u8>, levels: &[RefusedLevel]) {
    put_count(out, levels.len());
    for RefusedLevel { key, line, refusal } in levels {
        put_key(out, key);
        out.put_u32_le(u32::try_from(*line).unwrap_or(u32::MAX));
        put_refusal(out, refusal);
    }
}

/// Reads them off the beginning of `bytes`: at least one.
pub(super) fn take_refused_levels(bytes: &mut &[u8]) -> Option<Vec<RefusedLevel>> {
    let mut reader = Reader(bytes);
    let levels = reader.refused_levels();
    *bytes = reader.0;
    levels
}

/// Reads a key off the beginning of `bytes`.
pub(super) fn take_key(bytes: &mut &[u8]) -> Option<StockKey> {
    let len = bytes.try_get_u8().ok()?;
    let (text, rest) = bytes.split_at_checked(usize::from(len))?;
    *bytes = rest;
    StockKey::from_text(std::str::from_utf8(text).ok()?)
}

/// Appends a key.
pub(super) fn put_key(out: &mut Vec<u8>, key: &StockKey) {
    let text = key.text().as_bytes();
    out.push(u8::try_from(text.len()).expect("a key is at most 97 bytes"));
    out.extend_from_slice(text);
}

fn put_count(out: &mut Vec<u8>, count: usize) {
    out.put_u32_le(u32::try_from(count).expect("a request has at most 20 000 lines"));
}

/// Reads a refusal of that reason off the beginning of `bytes`.
pub(super) fn take_refusal(tag: u8, bytes: &mut &[u8]) -> Option<Refusal> {
    let mut reader = Reader(bytes);
    let refusal = reader.refusal(tag);
    *bytes = reader.0;
    refusal
}

/// Appends a refusal, by its reason first.
pub(super) fn put_refusal(out: &mut Vec<u8>, Refusal { reason, found }: &Refusal) {
    let (tag, operand) = tag(*reason);
    out.push(tag);
    out.put_u64_le(operand);
    out.put_u128_le(found.to_bits());
}

fn tag(reason: Reason) -> (u8, u64) {
    match reason {
        Reason::PreconditionFailed(Precondition::Any) => unreachable!("it always holds"),
        Reason::PreconditionFailed(Precondition::Absent) => (1, 0),
        Reason::PreconditionFailed(Precondition::Exists) => (2, 0),
        Reason::PreconditionFailed(Precondition::Version(version)) => (3, version),
        Reason::NotFound => (4, 0),
        Reason::AlreadyExists => (5, 0),
        Reason::BelowReserved { requested } => (6, requested),
        Reason::StockReserved => (7, 0),
        Reason::NotReserved { requested } => (8, requested),
        Reason::Insufficient { requested } => (9, requested),
        Reason::QuantityOverflow { requested } => (10, requested),
        Reason::VersionsExhausted => (11, 0),
        Reason::PreconditionFailed(Precondition::Empty) => (12, 0),
    }
}

fn reason(tag: u8, operand: u64) -> Option<Reason> {
    let requested = operand;
    Some(match tag {
        1 => Reason::PreconditionFailed(Precondition::Absent),
        2 => Reason::PreconditionFailed(Precondition::Exists),
        3 => Reason::PreconditionFailed(Precondition::Version(operand)),
        4 => Reason::NotFound,
        5 => Reason::AlreadyExists,
        6 => Reason::BelowReserved { requested },
        7 => Reason::StockReserved,
        8 => Reason::NotReserved { requested },
        9 => Reason::Insufficient { requested },
        10 => Reason::QuantityOverflow { requested },
        11 => Reason::VersionsExhausted,
        12 => Reason::PreconditionFailed(Precondition::Empty),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::stock::{Location, ReservationId, Sku};

    fn any_refusal() -> impl Strategy<Value = Refusal> {
        let level = prop_oneof![
            Just(Level::ABSENT),
            (1..9_u64).prop_map(|version| Level::tombstone(version).unwrap()),
            (0..99_u64, 1..9_u64)
                .prop_map(|(on_hand, version)| Level::existing(on_hand, 0, version).unwrap()),
        ];
        let reason = (1..=12_u8, any::<u64>()).prop_map(|(tag, operand)| reason(tag, operand).unwrap());
        (reason, level).prop_map(|(reason, found)| Refusal { reason, found })
    }

    fn any_stored() -> impl Strategy<Value = Stored> {
        let level =
            ("[a-z/]{1,9}|[a-z] [a-z\"]", 0..20_000_usize, any_refusal()).prop_map(|(sku, line, refusal)| {
                RefusedLevel {
                    key: StockKey::new(&Sku::parse(&sku).unwrap(), &Location::DEFAULT),
                    line,
                    refusal,
                }
            });
        let line =
            prop_oneof![any::<u64>().prop_map(BatchLine::At), any_refusal().prop_map(BatchLine::Refused)];
        prop_oneof![
            prop::collection::vec(level, 1..9).prop_map(Stored::Refused),
            prop::collection::vec(line, 0..9).prop_map(Stored::Batch),
            any::<[u64; 4]>().prop_map(|[levels, created, counted, left_out]| {
                Stored::Imported(Imported { levels, created, counted, left_out })
            }),
            (any::<[u64; 3]>(), prop::collection::vec(("[a-z/]{1,9}|[a-z] [a-z\"]", 1..9_u64), 0..9))
                .prop_map(|(term, lines)| {
                    let [id, expires_date_ms, expires_ms] = term;
                    let id = ReservationId::from_bits(u128::from(id));
                    let line = |(sku, units): (String, u64)| {
                        let key = StockKey::new(&Sku::parse(&sku).unwrap(), &Location::DEFAULT);
                        HeldLine { key, quantity: Quantity::new(units).unwrap() }
                    };
                    let term = Term { id, expires_date_ms, expires_ms };
                    Stored::Extended(term, lines.into_iter().map(line).collect())
                }),
            (any::<u16>(), any::<Vec<u8>>())
                .prop_map(|(status, body)| Stored::Written(WrittenAnswer { status, body })),
        ]
    }

    fn read(like: &Stored, bytes: &[u8]) -> Option<Stored> {
        let reader = Reader::new(bytes);
        match like {
            Stored::Refused(_) => reader.refused(),
            Stored::Batch(_) => reader.batch(),
            Stored::Imported(_) => reader.imported(),
            Stored::Extended(..) => reader.extended(),
            Stored::Order(_) => reader.order(),
            Stored::Moved(_) => reader.moved(),
            Stored::Written(_) => reader.written(),
        }
    }

    proptest! {
        /// P8: what is read is what was written; nothing shorter, and nothing longer, is taken for it.
        #[test]
        fn what_is_stored_is_read_back(stored in any_stored()) {
            let mut bytes = Vec::new();
            stored.write(&mut bytes);
            let back = read(&stored, &bytes);
            prop_assert_eq!(back.as_ref(), Some(&stored));
            // Words end where they end.
            if !matches!(stored, Stored::Written(_)) {
                for cut in 0..bytes.len() {
                    prop_assert_eq!(read(&stored, &bytes[..cut]), None, "cut at {}", cut);
                }
                bytes.push(0);
                prop_assert_eq!(read(&stored, &bytes), None);
            }
        }

        /// Whatever the bytes are, reading them neither panics nor makes room for what is not there.
        #[test]
        fn any_bytes_can_be_read(stored in any_stored(), bytes in any::<Vec<u8>>()) {
            let _ = read(&stored, &bytes);
        }
    }
}
