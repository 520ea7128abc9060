//! A command under an idempotency key (promise P8).
//!
//! The key is claimed before the change, and the record of the change carries it; so does the record of a refusal, which is
//! written after the witness of what it says. A retry is answered from that record. What was not judged (contention, overload,
//! a failure) is not recorded, and the key is free again. Nor is what changed nothing and would come out the same again: that a reservation is
//! not there, or was settled before; nor what an order is not ready for yet.

use super::Local;
use super::books::Begun;
use crate::journal::record::RecordKind;
use crate::journal::stored::Stored;
use crate::said::Said;
use crate::stock::RefusedLevel;
use crate::store::{
    Answered, Deed, Idempotency, NotDone, OrderRefused, Outcome, ReservationRefused, WasApplied, Why,
};

impl Local {
    /// Carries a deed out, unless it was before.
    pub(super) async fn once(
        &self,
        deed: &Deed,
        idempotency: &Idempotency,
        said: Said,
    ) -> Result<Answered, NotDone> {
        let books = &self.0.books;
        // A batch that was cut short has left its key at its lines.
        if books.lines_before(idempotency, 0..1).await?.iter().any(Option::is_some) {
            return Err(NotDone::no(Why::KeyReused));
        }
        let claim = match books.begin(idempotency).await? {
            Begun::Fresh(claim) => claim,
            Begun::Before(record) => {
                return Ok(Answered { outcome: record.outcome_of(deed)?, replayed: true });
            }
        };
        let outcome = self.carry_out(deed, said, Some(claim.clone())).await?;
        if let Some(refused) = refused(deed, &outcome) {
            let stored = books.store(RecordKind::Refused, claim, &Stored::Refused(refused)).await?;
            books.told(stored, WasApplied::No).await?;
        }
        Ok(Answered { outcome, replayed: false })
    }
}

/// What is to be recorded of a refusal.
fn refused(deed: &Deed, outcome: &Outcome) -> Option<Vec<RefusedLevel>> {
    match (deed, outcome) {
        (Deed::Change { key, .. }, Outcome::Change(Err(refusal))) => {
            Some(vec![RefusedLevel { key: key.clone(), line: 0, refusal: *refusal }])
        }
        (
            _,
            Outcome::Transaction(Err(levels))
            | Outcome::Reservation(Err(ReservationRefused::Levels(levels)))
            | Outcome::Order(Err(OrderRefused::Levels(levels))),
        ) => Some(levels.clone()),
        _ => None,
    }
}
