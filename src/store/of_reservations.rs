//! What deeds on reservations come to, beyond one level: pure, and the same for every store.

use super::{ReservationRefused, Transition};
use crate::stock::{
    Change, Entry, HeldLine, Operation, Quantity, Reservation, ReservationState, StockKey, Transaction,
};

/// What a transaction of nothing but reserving holds.
pub(in crate::store) fn held(transaction: &Transaction) -> Box<[HeldLine]> {
    let line = |entry: &Entry| match entry.change.operation {
        Operation::Reserve { quantity } => HeldLine { key: entry.key.clone(), quantity },
        _ => unreachable!("a reservation reserves"),
    };
    transaction.entries().iter().map(line).collect()
}

/// What gives the units of a reservation back: of each line so many leave the house and the others are let go, or all are let go.
pub(in crate::store) fn giving_back(lines: &[HeldLine], shipped: Option<&[Quantity]>) -> Transaction {
    let change = |(index, HeldLine { key, quantity }): (usize, &HeldLine)| {
        let shipped = shipped.map(|shipped| shipped[index]);
        let operation = match shipped.map(|shipped| (shipped, quantity.units() - shipped.units())) {
            None | Some((Quantity::ZERO, _)) => Operation::Release { quantity: *quantity },
            Some((ship, 0)) => Operation::Ship { quantity: ship },
            Some((ship, left)) => {
                let release = Quantity::new(left).expect("less than what is held");
                Operation::Settle { ship, release }
            }
        };
        (key.clone(), Change::unconditional(operation))
    };
    Transaction::new(lines.iter().enumerate().map(change).collect()).expect("each level is there once")
}

/// How much of each line leaves the house: all of it, or what is asked for (ascending by key).
pub(in crate::store) fn shipped(
    held: &[HeldLine],
    lines: Option<&[HeldLine]>,
) -> Result<Box<[Quantity]>, ReservationRefused> {
    let Some(lines) = lines else { return Ok(held.iter().map(|line| line.quantity).collect()) };
    let mut shipped = vec![Quantity::ZERO; held.len()];
    for line in lines {
        let at = held.binary_search_by(|held| held.key.cmp(&line.key)).ok();
        let there = at.map_or(0, |at| held[at].quantity.units());
        match at {
            Some(at) if line.quantity.units() <= there => shipped[at] = line.quantity,
            _ => return Err(ReservationRefused::NotHeld { key: line.key.clone(), held: there }),
        }
    }
    Ok(shipped.into())
}

/// What has left the house of a reservation of which that much of each line has: without what was let go.
pub(in crate::store) fn committed(held: &[HeldLine], shipped: &[Quantity]) -> Vec<HeldLine> {
    let lines = held.iter().zip(shipped).filter(|(_, shipped)| shipped.units() > 0);
    lines.map(|(line, shipped)| HeldLine { key: StockKey::clone(&line.key), quantity: *shipped }).collect()
}

/// What is told of a reservation that was settled before: as it is, if what is asked for is what was done.
pub(in crate::store) fn finished_before(
    reservation: Reservation,
    transition: &Transition,
) -> Result<Reservation, ReservationRefused> {
    let is_same = match (reservation.state, transition) {
        (ReservationState::Released, Transition::Release) => true,
        (ReservationState::Committed, Transition::Commit(None)) => reservation.committed == reservation.lines,
        (ReservationState::Committed, Transition::Commit(Some(lines))) => {
            lines.iter().filter(|line| line.quantity.units() > 0).eq(&reservation.committed)
        }
        _ => false,
    };
    if is_same { Ok(reservation) } else { Err(ReservationRefused::State(Box::new(reservation))) }
}
