//! [`Line`]: one level's part of a record. Bytes only; see [`record`](super) for the layout.

use std::ops::Range;

use bytes::{Buf, BufMut};

use super::RecordError;
use crate::stock::{Changed, IfMissing, Level, Operation, Quantity, StockKey};

/// Bytes of a line before its key.
pub const LINE_HEAD_BYTES: usize = 34;
/// Where the level after it stands.
pub(super) const LINE_AFTER: Range<usize> = 10..26;
/// Where the position of the level's previous record stands.
pub(super) const LINE_PREVIOUS: Range<usize> = 26..34;
/// The tag of the operation whose line says two quantities.
const SETTLE: u8 = 10;
/// Bytes of the second.
const SETTLE_BYTES: usize = 8;
/// The operand of a count that found no level.
const NO_LEVEL: i64 = -1;

/// One level's part of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line<'a> {
    /// The text of a `StockKey`.
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

pub(super) fn push_line(out: &mut Vec<u8>, changed: &Changed<'_>) {
    let (operation, operand) = operation_to_bytes(changed.operation, changed.before);
    let key = changed.key.text();
    let mut bytes = [0; LINE_HEAD_BYTES];
    bytes[0] = operation;
    bytes[1] = u8::try_from(key.len()).expect("a key is at most 97 bytes");
    bytes[2..10].copy_from_slice(&operand.to_le_bytes());
    bytes[LINE_AFTER].copy_from_slice(&changed.after.to_bits().to_le_bytes());
    out.extend_from_slice(&bytes);
    out.extend_from_slice(key.as_bytes());
    if let Operation::Settle { release, .. } = changed.operation {
        out.put_u64_le(release.units());
    }
}

/// Bytes of the line that begins there.
pub(super) fn line_bytes(line: &[u8]) -> usize {
    LINE_HEAD_BYTES + usize::from(line[1]) + if line[0] == SETTLE { SETTLE_BYTES } else { 0 }
}

impl<'a> Line<'a> {
    /// The line at the beginning of `bytes`, and how long it is.
    pub(super) fn read(bytes: &'a [u8]) -> Result<(Self, usize), RecordError> {
        let head = bytes.get(..LINE_HEAD_BYTES).ok_or(RecordError::Length)?;
        let len = line_bytes(head);
        let after_head = bytes.get(LINE_HEAD_BYTES..len).ok_or(RecordError::Length)?;
        let (key, mut rest) = after_head.split_at(usize::from(head[1]));
        let key = std::str::from_utf8(key).map_err(|_| RecordError::Part("key"))?;
        let after = level_at(bytes, 0).ok_or(RecordError::Part("level"))?;
        let operand = (&head[2..]).get_i64_le();
        let release = rest.try_get_u64_le().unwrap_or(0);
        let (operation, on_hand_before) =
            operation_from_bytes(head[0], operand, release, after).ok_or(RecordError::Part("operation"))?;
        let previous = (&head[LINE_PREVIOUS.start..]).get_u64_le();
        Ok((Self { key, operation, on_hand_before, after, previous }, len))
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
            Operation::Count { if_missing: IfMissing::Create, .. } | Operation::Recount { .. } => {
                (self.on_hand_before.unwrap_or(0), reserved)
            }
            Operation::Count { .. } | Operation::Delete => (self.on_hand_before?, reserved),
            Operation::Adjust { delta, .. } => (on_hand.checked_add_signed(delta.checked_neg()?)?, reserved),
            Operation::Reserve { quantity } => (on_hand, reserved.checked_sub(quantity.units())?),
            Operation::Release { quantity } => (on_hand, reserved + quantity.units()),
            Operation::Ship { quantity } => (on_hand + quantity.units(), reserved + quantity.units()),
            Operation::Settle { ship, release } => {
                (on_hand + ship.units(), reserved + ship.units() + release.units())
            }
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
pub(super) fn operation_to_bytes(operation: Operation, before: Level) -> (u8, i64) {
    let units = |units: u64| units.cast_signed();
    match operation {
        Operation::Create { .. } => (1, 0),
        Operation::Count { if_missing: IfMissing::Refuse, .. } => (2, units(before.on_hand())),
        // A recount that changed something was a count.
        Operation::Count { if_missing: IfMissing::Create, .. } | Operation::Recount { .. }
            if before.exists() =>
        {
            (9, units(before.on_hand()))
        }
        Operation::Count { if_missing: IfMissing::Create, .. } | Operation::Recount { .. } => (9, NO_LEVEL),
        Operation::Adjust { delta, if_missing: IfMissing::Refuse } => (3, delta),
        Operation::Adjust { delta, if_missing: IfMissing::Create } => (4, delta),
        Operation::Reserve { quantity } => (5, units(quantity.units())),
        Operation::Release { quantity } => (6, units(quantity.units())),
        Operation::Ship { quantity } => (7, units(quantity.units())),
        Operation::Delete => (8, units(before.on_hand())),
        // The other quantity follows the key.
        Operation::Settle { ship, .. } => (SETTLE, units(ship.units())),
    }
}

/// The operation, and the units on hand before it where only the operand says so.
fn operation_from_bytes(
    tag: u8,
    operand: i64,
    release: u64,
    after: Level,
) -> Option<(Operation, Option<u64>)> {
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
        SETTLE => alone(Operation::Settle { ship: quantity()?, release: Quantity::new(release)? }),
        _ => None,
    }
}

pub(super) fn level_at(record: &[u8], line_at: usize) -> Option<Level> {
    Level::from_bits((&record[line_at + LINE_AFTER.start..]).get_u128_le())
}
