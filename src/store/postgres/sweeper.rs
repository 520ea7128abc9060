//! The sweeper: ends reservations that nobody asks about.
//!
//! It only tidies up: whoever locks a partition lets go what is due in it first. Several processes may do it at once, as none minds what
//! another has done before.

use std::time::Duration;

use uuid::Uuid;

use super::Postgres;
use super::deeds_of_reservations::keys_of;
use super::failure::{Stage, Trouble};
use super::kept::reservation_in;
use super::load::prepared;
use super::pipeline::{Pipeline, param};
use super::work::{What, Work};
use crate::stock::StockKey;
use crate::store::NotDone;

const DUE: &str = "SELECT r.body FROM inventory.reservation r WHERE r.p = $1 AND r.state = 'pending' AND r.expires_ms <= \
    (extract(epoch FROM clock_timestamp()) * 1000)::int8 ORDER BY r.expires_ms LIMIT $2";
const LINES: &str = "SELECT DISTINCT h.sku, h.location FROM inventory.held h WHERE h.p = $1 AND h.expires_ms <= \
    (extract(epoch FROM clock_timestamp()) * 1000)::int8 LIMIT $2";

/// Between two rounds.
const EVERY: Duration = Duration::from_millis(500);
/// Rounds between two in which lines are looked for of reservations that are over.
const LINES_EVERY: u32 = 4;
/// What is done of a kind at once, in each partition.
const AT_ONCE: i64 = 1_000;

/// Ends what is due now and then, until the store stops.
pub(super) fn start(store: &Postgres) -> tokio::task::JoinHandle<()> {
    let store = store.clone();
    tokio::spawn(async move {
        let mut round: u32 = 0;
        while store.pause(EVERY).await {
            round = round.wrapping_add(1);
            let mut ended = store.end_what_is_due().await;
            if ended.is_ok() && round.is_multiple_of(LINES_EVERY) {
                ended = store.let_lines_go().await;
            }
            if let Err(not_done) = ended {
                tracing::debug!(%not_done, "reservations that are due are left to who touches their levels");
            }
        }
    })
}

impl Postgres {
    /// Ends every reservation whose deadline has come by now.
    pub(super) async fn end_what_is_due(&self) -> Result<(), NotDone> {
        // Only where units are held.
        while self.0.how.counts.total(|part| part.pending) > 0 && self.end_some().await? {}
        Ok(())
    }

    async fn end_some(&self) -> Result<bool, NotDone> {
        let found = async {
            let client = self.for_reading().await?;
            let statement = prepared(&client, DUE).await?;
            let mut pipeline = Pipeline::of(&client);
            for p in self.0.how.partitions.all() {
                pipeline.ask(statement.clone(), vec![param(p), param(AT_ONCE)]);
            }
            let mut due = Vec::new();
            let answers = pipeline.sent().await;
            client.give_back();
            for rows in answers {
                for row in rows.map_err(|error| Trouble::of(&error, Stage::Before))? {
                    let reservation = reservation_in(row.get(0));
                    due.push(reservation.ok_or_else(|| Trouble::damaged("a reservation"))?);
                }
            }
            Ok(due)
        };
        let due = self.looked(found).await?;
        let mut replies = Vec::with_capacity(due.len());
        for reservation in &due {
            let (work, reply) = Work::new(What::Expire(reservation.term.id), keys_of(reservation));
            self.0.lanes.submit(work)?;
            replies.push(reply);
        }
        for reply in replies {
            super::lanes::replied(reply).await?;
        }
        Ok(!due.is_empty())
    }

    /// Lets lines go whose deadline has come, of whichever reservation: whoever let another line of it go has said there that it is over, and this one's
    /// level was not at hand.
    pub(super) async fn let_lines_go(&self) -> Result<(), NotDone> {
        let found = async {
            let client = self.for_reading().await?;
            let statement = prepared(&client, LINES).await?;
            let mut pipeline = Pipeline::of(&client);
            for p in self.0.how.partitions.all() {
                pipeline.ask(statement.clone(), vec![param(p), param(AT_ONCE)]);
            }
            let mut keys = Vec::new();
            let answers = pipeline.sent().await;
            client.give_back();
            for rows in answers {
                for row in rows.map_err(|error| Trouble::of(&error, Stage::Before))? {
                    let key = StockKey::kept(row.get(0), row.get(1));
                    keys.push(key.ok_or_else(|| Trouble::damaged("a line that is held"))?);
                }
            }
            Ok(keys)
        };
        let keys = self.looked(found).await?;
        self.looked_at(keys).await.map(drop)
    }
}

/// The bits of a name, as the database has them.
pub(super) fn uuid<T>(id: crate::stock::Id<T>) -> Uuid {
    Uuid::from_u128(id.to_bits())
}
