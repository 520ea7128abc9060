//! [`Moved`]: what an idempotency key stands for that was used in another store, from where the stock came.
//!
//! There the key and its change were one row; here the record of a change is its line in the ledger, which came without its key. So what came of it
//! is told whole, beside the ledger: a retry is answered from it, and nothing else is. Bytes only; no file, no clock.
//!
//! ```text
//! moved    tag u8; 1 line; 2 count u32, then per level: key_len u8, key, before u128, after u128; 3 count u32, then lines;
//!          4 reservation (see `holds::found`); 5 order (see `orders::found`)
//! line     0 u8, before u128, after u128 (Level::to_bits); or a refusal (see `stored`)
//! ```

use bytes::{Buf, BufMut};

use super::holds;
use super::orders;
use super::stored::{put_key, put_refusal, take_key, take_refusal};
use crate::stock::{Applied, Level, Refusal, StockKey};

/// What came of a request. What was refused as a whole, and imports, are told as those of this store are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Moved {
    /// Of a change of one level.
    Change(Result<Applied, Refusal>),
    /// Of a transaction, which was carried out: each level, ascending.
    Transaction(Vec<(StockKey, Applied)>),
    /// Of a batch of lines that stand alone, line by line.
    Batch(Vec<Result<Applied, Refusal>>),
    /// A reservation, as it was then.
    Reservation(holds::Found),
    /// An order, as it was then.
    Order(orders::Found),
}

const CHANGE: u8 = 1;
const TRANSACTION: u8 = 2;
const BATCH: u8 = 3;
const RESERVATION: u8 = 4;
const ORDER: u8 = 5;

/// The tag of a line that was carried out; reasons have the others.
const APPLIED: u8 = 0;

impl Moved {
    /// Appends the bytes.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Change(line) => {
                out.put_u8(CHANGE);
                put_line(out, line);
            }
            Self::Transaction(levels) => {
                out.put_u8(TRANSACTION);
                put_count(out, levels.len());
                for (key, applied) in levels {
                    put_key(out, key);
                    put_applied(out, applied);
                }
            }
            Self::Batch(lines) => {
                out.put_u8(BATCH);
                put_count(out, lines.len());
                for line in lines {
                    put_line(out, line);
                }
            }
            Self::Reservation(found) => {
                out.put_u8(RESERVATION);
                found.write(out);
            }
            Self::Order(found) => {
                out.put_u8(ORDER);
                found.write(out);
            }
        }
    }

    /// Reads what [`Moved::write`] wrote: `None` where the bytes are none, or more.
    pub(super) fn read(mut bytes: &[u8]) -> Option<Self> {
        let moved = match bytes.try_get_u8().ok()? {
            CHANGE => Self::Change(take_line(&mut bytes)?),
            TRANSACTION => {
                let level = |bytes: &mut &[u8]| Some((take_key(bytes)?, take_applied(bytes)?));
                Self::Transaction(take_many(&mut bytes, level)?)
            }
            BATCH => Self::Batch(take_many(&mut bytes, take_line)?),
            RESERVATION => Self::Reservation(holds::Found::take(&mut bytes)?),
            ORDER => Self::Order(orders::Found::take(&mut bytes)?),
            _ => return None,
        };
        bytes.is_empty().then_some(moved)
    }
}

fn put_count(out: &mut Vec<u8>, count: usize) {
    out.put_u32_le(u32::try_from(count).expect("a request has at most 20 000 lines"));
}

fn put_applied(out: &mut Vec<u8>, applied: &Applied) {
    out.put_u128_le(applied.before.to_bits());
    out.put_u128_le(applied.after.to_bits());
}

fn put_line(out: &mut Vec<u8>, line: &Result<Applied, Refusal>) {
    match line {
        Ok(applied) => {
            out.put_u8(APPLIED);
            put_applied(out, applied);
        }
        Err(refusal) => put_refusal(out, refusal),
    }
}

/// So many, as they begin with: what cannot be there is not made room for.
fn take_many<T>(bytes: &mut &[u8], take: impl Fn(&mut &[u8]) -> Option<T>) -> Option<Vec<T>> {
    let count = bytes.try_get_u32_le().ok()?;
    (count as usize <= bytes.len()).then_some(())?;
    (0..count).map(|_| take(bytes)).collect()
}

fn take_applied(bytes: &mut &[u8]) -> Option<Applied> {
    let mut level = || Level::from_bits(bytes.try_get_u128_le().ok()?);
    Some(Applied { before: level()?, after: level()? })
}

fn take_line(bytes: &mut &[u8]) -> Option<Result<Applied, Refusal>> {
    match bytes.try_get_u8().ok()? {
        APPLIED => take_applied(bytes).map(Ok),
        tag => take_refusal(tag, bytes).map(Err),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stock::{HeldLine, Location, Quantity, Reason, ReservationId, ReservationState, Sku, Term};

    fn key(sku: &str) -> StockKey {
        StockKey::new(&Sku::parse(sku).unwrap(), &Location::DEFAULT)
    }

    fn all() -> Vec<Moved> {
        let applied = Applied { before: Level::ABSENT, after: Level::existing(5, 2, 1).unwrap() };
        let reason = Reason::Insufficient { requested: 9 };
        let refusal = Refusal { reason, found: Level::tombstone(4).unwrap() };
        let quantity = Quantity::new(3).unwrap();
        let found = holds::Found {
            term: Term { id: ReservationId::from_bits(7), expires_date_ms: 9, expires_ms: 9 },
            state: ReservationState::Committed,
            lines: [HeldLine { key: key("a b"), quantity }].into(),
            committed: [quantity].into(),
            finished_ms: 3,
        };
        vec![
            Moved::Change(Ok(applied)),
            Moved::Change(Err(refusal)),
            Moved::Transaction(vec![(key("a b"), applied), (key("\u{e4}"), applied)]),
            Moved::Batch(vec![Ok(applied), Err(refusal)]),
            Moved::Reservation(found),
        ]
    }

    /// P8: what is read is what was written; nothing shorter, and nothing longer, is taken for it.
    #[test]
    fn what_was_moved_is_read_back() {
        for moved in all() {
            let mut bytes = Vec::new();
            moved.write(&mut bytes);
            assert_eq!(Moved::read(&bytes), Some(moved));
            for cut in 0..bytes.len() {
                assert_eq!(Moved::read(&bytes[..cut]), None, "cut at {cut}");
            }
            bytes.push(0);
            assert_eq!(Moved::read(&bytes), None);
        }
    }
}
