//! From a command to work: which levels it is about, and what makes it once.

use std::sync::Arc;

use super::Postgres;
use super::deeds_of_orders;
use super::deeds_of_reservations;
use super::work::{Done, Work};
use crate::stock::{Entry, StockKey, Transaction};
use crate::store::{Answered, Command, Deed, NotDone, Why};

/// Of a command under a key that was not looked up, or may not have been: an earlier try, at whichever replica, may have taken effect.
pub(super) fn unknown_of_earlier(not_done: NotDone) -> NotDone {
    match not_done.why {
        Why::Away(_) | Why::Contention | Why::Overloaded | Why::Damaged(_) | Why::DiskFull { .. } => {
            NotDone::unknown(not_done.why)
        }
        _ => not_done,
    }
}

impl Postgres {
    pub(super) async fn carried_out(&self, command: Command) -> Result<Answered, NotDone> {
        let Command { deed, idempotency, said } = command;
        if let Deed::Each { lines } = deed {
            return self.each_carried_out(lines, idempotency, said).await;
        }
        let is_once = idempotency.is_some();
        let done = async {
            let keys = self.keys_of(&deed).await?;
            self.0.lanes.done(Work::deed(deed, keys, idempotency.as_deref(), said)).await
        };
        match done.await {
            Ok(Done::Answered(answered)) => Ok(answered),
            Ok(_) => Err(NotDone::unknown(Why::Damaged("a command came to something else".to_owned()))),
            Err(not_done) if is_once => Err(unknown_of_earlier(not_done)),
            Err(not_done) => Err(not_done),
        }
    }

    /// The levels that a deed is about. Those of a reservation and of an order never change, so they are looked up before anything is locked; of
    /// one that is not there there are none.
    async fn keys_of(&self, deed: &Deed) -> Result<Vec<StockKey>, NotDone> {
        let all = |transaction: &Arc<Transaction>| {
            transaction.entries().iter().map(|Entry { key, .. }| key.clone()).collect()
        };
        Ok(match deed {
            Deed::Change { key, .. } => vec![key.clone()],
            Deed::Transaction { transaction, .. } | Deed::Reserve { transaction, .. } => all(transaction),
            Deed::Settle { id, .. } => {
                let reservation = self.reservation_as_written(*id).await?;
                reservation.as_ref().map(deeds_of_reservations::keys_of).unwrap_or_default()
            }
            // Nothing of the levels is changed, nor looked at: only the home of the order is.
            Deed::Order { lines, .. } => lines.first().map(|line| line.key.clone()).into_iter().collect(),
            Deed::Cancel { id } => {
                let order = self.order_named(*id).await?;
                order.map(|order| deeds_of_orders::keys_of(&order, None)).unwrap_or_default()
            }
            Deed::Return { id, lines } => {
                let order = self.order_named(*id).await?;
                order.map(|order| deeds_of_orders::keys_of(&order, lines.as_deref())).unwrap_or_default()
            }
            Deed::Each { .. } => Vec::new(),
        })
    }
}
