//! Reservations, under the locks of their home and of their levels: made, settled, extended, ended by their deadline (promise P9).
//!
//! Whatever is due of the levels of a batch was let go before its first command is judged. So a reservation whose deadline has come holds nothing
//! here any more, and all that is left to do is to say so of it.

use std::time::Duration;

use super::deeds::{Judged, milliseconds};
use super::working::{Because, Kept, Working};
use crate::stock::{Order, Reservation, ReservationId, ReservationState, StockKey, Term, Transaction};
use crate::store::of_reservations::{committed, finished_before, giving_back, held, shipped};
use crate::store::{NotDone, OrderRefused, Outcome, ReservationRefused, Transition, Why};

/// When somebody is to come back who finds as many reservations as may be, and nothing is known of when one ends.
const AGAIN_AFTER: Duration = Duration::from_secs(1);

impl Judged {
    /// What became of a reservation: kept.
    pub(super) fn reservation(reservation: Reservation) -> Self {
        Self { outcome: Outcome::Reservation(Ok(Box::new(reservation))), is_kept: true }
    }

    /// Why nothing did: kept where levels stood in the way.
    pub(super) fn no_reservation(refused: ReservationRefused) -> Self {
        let is_kept = matches!(refused, ReservationRefused::Levels(_));
        Self { outcome: Outcome::Reservation(Err(refused)), is_kept }
    }

    /// What became of an order: kept.
    pub(super) fn order(order: Order) -> Self {
        Self { outcome: Outcome::Order(Ok(Box::new(order))), is_kept: true }
    }

    /// Why nothing did: kept where levels stood in the way.
    pub(super) fn no_order(refused: OrderRefused) -> Self {
        let is_kept = matches!(refused, OrderRefused::Levels(_));
        Self { outcome: Outcome::Order(Err(refused)), is_kept }
    }
}

impl Working {
    /// Holds units of several levels, all or none.
    pub(super) fn reserve(
        &mut self,
        transaction: &Transaction,
        ttl: Duration,
        because: Because<'_>,
    ) -> Result<Judged, NotDone> {
        if self.total(|part| part.pending) >= self.how.keeping.reservations_max {
            return Err(NotDone::no(Why::ReservationsFull { retry_after: AGAIN_AFTER }));
        }
        let lines = held(transaction);
        let home = self.home_of(lines.first().map(|line| &line.key));
        let expires_ms = self.now_ms.saturating_add(milliseconds(ttl));
        let id: ReservationId = self.how.names.next(self.now_ms, self.how.partitions, home);
        let term = Term { id, expires_date_ms: expires_ms, expires_ms };
        if let Err(levels) = self.transact(transaction, Because { reservation: Some(id), ..because }) {
            return Ok(Judged::no_reservation(ReservationRefused::Levels(levels)));
        }
        let line = |line: &crate::stock::HeldLine| (id, line.key.clone(), line.quantity.units(), expires_ms);
        self.writes.held.extend(lines.iter().map(line));
        let (lines, committed) = (lines.into_vec(), Vec::new());
        let reservation = Reservation { term, state: ReservationState::Pending, lines, committed };
        self.part(home).pending += 1;
        self.writes.reservations.insert(id);
        let kept = Kept { it: reservation.clone(), ended_ms: None };
        self.reservations.insert(id, kept);
        Ok(Judged::reservation(reservation))
    }

    /// Does that with a reservation, unless something else was done before.
    pub(super) fn settle_as_asked(
        &mut self,
        id: ReservationId,
        transition: &Transition,
        because: Because<'_>,
    ) -> Judged {
        self.end_if_due(id);
        let Some(Kept { it: reservation, .. }) = self.reservations.get(&id).cloned() else {
            return Judged::no_reservation(ReservationRefused::NotFound);
        };
        if reservation.state != ReservationState::Pending {
            return match finished_before(reservation, transition) {
                Ok(reservation) => Judged { is_kept: false, ..Judged::reservation(reservation) },
                Err(refused) => Judged::no_reservation(refused),
            };
        }
        let because = Because { reservation: Some(id), ..because };
        let (state, given, committed) = match transition {
            Transition::Extend(ttl) => return self.extend(reservation, *ttl),
            Transition::Release => {
                let given = giving_back(&reservation.lines, None);
                (ReservationState::Released, given, Vec::new())
            }
            Transition::Commit(lines) => match shipped(&reservation.lines, lines.as_deref()) {
                Ok(shipped) => {
                    let given = giving_back(&reservation.lines, Some(&shipped));
                    (ReservationState::Committed, given, committed(&reservation.lines, &shipped))
                }
                Err(refused) => return Judged::no_reservation(refused),
            },
        };
        // The units of a pending reservation are in its levels, and nothing else takes them away.
        if let Err(levels) = self.transact(&given, because) {
            tracing::error!(reservation = %id, ?levels, "the levels do not hold what a reservation says");
            return Judged { is_kept: false, ..Judged::no_reservation(ReservationRefused::Levels(levels)) };
        }
        let line = |line: &crate::stock::HeldLine| (id, line.key.clone());
        self.writes.let_go.extend(reservation.lines.iter().map(line));
        let reservation = Reservation { state, committed, ..reservation };
        self.has_ended(reservation.clone());
        Judged::reservation(reservation)
    }

    /// It holds for that long from now on, and never for less than was promised.
    fn extend(&mut self, reservation: Reservation, ttl: Duration) -> Judged {
        let id = reservation.term.id;
        let expires_ms = self.now_ms.saturating_add(milliseconds(ttl)).max(reservation.term.expires_ms);
        let term = Term { id, expires_date_ms: expires_ms, expires_ms };
        let reservation = Reservation { term, ..reservation };
        let line = |line: &crate::stock::HeldLine| ((id, line.key.clone()), expires_ms);
        self.writes.extended.extend(reservation.lines.iter().map(line));
        self.part(self.how.partitions.of_id(id));
        self.writes.reservations.insert(id);
        let kept = Kept { it: reservation.clone(), ended_ms: None };
        self.reservations.insert(id, kept);
        Judged::reservation(reservation)
    }

    /// Says of a reservation that it has expired, if its deadline has come.
    pub(super) fn end_if_due(&mut self, id: ReservationId) {
        let is_due = self.reservations.get(&id).is_some_and(|kept| {
            kept.it.state == ReservationState::Pending && kept.it.term.expires_ms <= self.now_ms
        });
        if is_due {
            self.expired(id);
        }
    }

    /// Says of a reservation that it has expired, if its row is here and it is pending.
    pub(super) fn expired(&mut self, id: ReservationId) {
        let kept = self.reservations.get(&id).filter(|kept| kept.it.state == ReservationState::Pending);
        let Some(reservation) = kept.map(|kept| kept.it.clone()) else { return };
        self.has_ended(Reservation { state: ReservationState::Expired, ..reservation });
    }

    fn has_ended(&mut self, reservation: Reservation) {
        let id = reservation.term.id;
        let now_ms = self.now_ms;
        if let Some(kept) = self.reservations.get_mut(&id) {
            kept.it = reservation;
            kept.ended_ms = Some(now_ms);
        }
        self.part(self.how.partitions.of_id(id)).pending -= 1;
        self.writes.reservations.insert(id);
    }
}

/// The levels that a reservation is of.
pub(super) fn keys_of(reservation: &Reservation) -> Vec<StockKey> {
    reservation.lines.iter().map(|line| line.key.clone()).collect()
}
