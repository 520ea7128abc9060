//! [`recorded`]: what the record of a movement is of, and what happened to its level, by what the ledger tells of it.

use crate::journal::record::RecordKind;
use crate::stock::{Change, IfMissing, Level, Operation, Quantity};
use crate::store::local::history::kind_of;
use crate::store::{Movement, MovementKind};

/// What the level was before a movement, as far as that alone tells: whether it existed with no units, or not at all, only its kind does.
pub(super) fn before_alone(movement: &Movement) -> Option<Level> {
    let version = movement.after.version().checked_sub(1)?;
    let (on_hand, reserved) = movement.before;
    match (version, movement.kind) {
        (0, _) => Some(Level::ABSENT),
        (_, MovementKind::Created) => Level::tombstone(version),
        _ => Level::existing(on_hand, reserved, version),
    }
}

/// Of what the record is, and what happened; `None` where that does not make of the level before what the movement says.
pub(super) fn recorded(movement: &Movement, before: Level) -> Option<(RecordKind, Operation)> {
    let Movement { kind, after, .. } = movement;
    let on_hand = Quantity::new(after.on_hand())?;
    let if_missing = if before.exists() { IfMissing::Refuse } else { IfMissing::Create };
    let less = |more: u64, less: u64| Quantity::new(more.checked_sub(less)?);
    let delta = after.on_hand().cast_signed() - before.on_hand().cast_signed();
    let operation = match kind {
        MovementKind::Created => Operation::Create { on_hand },
        MovementKind::Counted => Operation::Count { on_hand, if_missing },
        MovementKind::Imported => Operation::Count { on_hand, if_missing: IfMissing::Create },
        MovementKind::Adjusted | MovementKind::Transferred | MovementKind::Returned => {
            Operation::Adjust { delta, if_missing }
        }
        MovementKind::Fulfilled => Operation::Adjust { delta, if_missing: IfMissing::Refuse },
        MovementKind::Reserved => Operation::Reserve { quantity: less(after.reserved(), before.reserved())? },
        MovementKind::Released | MovementKind::Expired => {
            Operation::Release { quantity: less(before.reserved(), after.reserved())? }
        }
        MovementKind::Shipped => {
            let ship = less(before.on_hand(), after.on_hand())?;
            let release = less(less(before.reserved(), after.reserved())?.units(), ship.units())?;
            if release == Quantity::ZERO {
                Operation::Ship { quantity: ship }
            } else {
                Operation::Settle { ship, release }
            }
        }
        MovementKind::Deleted => Operation::Delete,
    };
    let record = record_of(movement)?;
    let follows = Change::unconditional(operation).judge(before) == Ok(*after)
        && movement.before == (before.on_hand(), before.reserved())
        && kind_of(record, operation) == *kind;
    follows.then_some((record, operation))
}

fn record_of(movement: &Movement) -> Option<RecordKind> {
    let of_reservation = movement.reservation.is_some();
    Some(match movement.kind {
        MovementKind::Reserved if of_reservation => RecordKind::Reserved,
        MovementKind::Released if of_reservation => RecordKind::Released,
        MovementKind::Shipped if of_reservation => RecordKind::Committed,
        MovementKind::Expired if of_reservation => RecordKind::Expired,
        MovementKind::Fulfilled if movement.order.is_some() => RecordKind::Fulfilled,
        MovementKind::Returned if movement.order.is_some() => RecordKind::Returned,
        MovementKind::Expired | MovementKind::Fulfilled | MovementKind::Returned => return None,
        MovementKind::Transferred => RecordKind::Transfer,
        MovementKind::Imported => RecordKind::Import,
        _ => RecordKind::Change,
    })
}
