//! The sweeper: ends reservations that nobody asks about, and removes what has grown too old, a little at a time.
//!
//! It only tidies up: whoever locks a partition lets go what is due in it first. Several processes may do it at once, as none minds what
//! another has done before.

use std::sync::atomic::Ordering;
use std::time::Duration;

use uuid::Uuid;

use super::deeds::milliseconds;
use super::deeds_of_reservations::keys_of;
use super::failure::{Stage, Trouble};
use super::kept::reservation_in;
use super::load::prepared;
use super::partition::Partitions;
use super::pipeline::{Pipeline, param};
use super::work::{What, Work};
use super::{NOW, Postgres};
use crate::stock::StockKey;
use crate::store::NotDone;

const DUE: &str = "SELECT r.body FROM inventory.reservation r WHERE r.p = $1 AND r.state = 'pending' AND r.expires_ms <= \
    (extract(epoch FROM clock_timestamp()) * 1000)::int8 ORDER BY r.expires_ms LIMIT $2";
const LINES: &str = "SELECT DISTINCT h.sku, h.location FROM inventory.held h WHERE h.p = $1 AND h.expires_ms <= \
    (extract(epoch FROM clock_timestamp()) * 1000)::int8 LIMIT $2";
const KEYS: &str = "DELETE FROM inventory.once WHERE k = $1 AND key = ANY(ARRAY(SELECT key FROM inventory.once \
    WHERE k = $1 AND until_ms <= $2 ORDER BY until_ms LIMIT $3))";
const RESERVATIONS: &str = "DELETE FROM inventory.reservation WHERE p = $1 AND id = ANY(ARRAY(SELECT id \
    FROM inventory.reservation WHERE p = $1 AND state <> 'pending' AND ended_ms <= $2 ORDER BY ended_ms LIMIT $3))";
const ORDERS: &str = "DELETE FROM inventory.orders WHERE p = $1 AND id = ANY(ARRAY(SELECT id \
    FROM inventory.orders WHERE p = $1 AND ended_ms IS NOT NULL AND ended_ms <= $2 ORDER BY ended_ms LIMIT $3))";
const COUNT_KEYS: &str = "SELECT count(*) FROM inventory.once WHERE k = $1";

/// Between two rounds.
const EVERY: Duration = Duration::from_millis(500);
/// Rounds between two in which lines are looked for of reservations that are over.
const LINES_EVERY: u32 = 4;
/// Rounds between two in which is removed what has grown too old: in the first, and then now and then.
const TRIM_EVERY: u32 = 20;
/// What is done of a kind at once, in each partition.
const AT_ONCE: i64 = 1_000;

/// Tidies up now and then, until the store stops.
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
            } else if round % TRIM_EVERY == 1
                && let Err(not_done) = store.trim().await
            {
                tracing::debug!(%not_done, "what has grown too old is removed later");
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

    /// Removes what has grown too old, some at a time.
    async fn trim(&self) -> Result<(), NotDone> {
        let keeping = &self.0.how.keeping;
        let now_ms = self.looked(self.now_ms()).await?;
        let before = |age: Duration| now_ms.saturating_sub_unsigned(milliseconds(age));
        let partitions = self.0.how.partitions;
        let all: Vec<i32> = partitions.all().collect();
        for (query, before_ms, places) in [
            (KEYS, now_ms, Partitions::places().collect()),
            (RESERVATIONS, before(keeping.reservations_retention), all.clone()),
            (ORDERS, before(keeping.orders.retention), all),
        ] {
            for p in places {
                while self.looked(self.removed(query, p, before_ms)).await? == AT_ONCE {
                    if self.0.rights.is_stopping() {
                        return Ok(());
                    }
                }
            }
        }
        self.count_keys().await?;
        self.drop_old_movements().await
    }

    /// What time it is for the database.
    async fn now_ms(&self) -> Result<i64, Trouble> {
        let client = self.for_reading().await?;
        let statement = prepared(&client, NOW).await?;
        let now = client.query_one(&statement, &[]).await;
        client.give_back();
        Ok(now.map_err(|error| Trouble::of(&error, Stage::Before))?.get(0))
    }

    /// Removes at most [`AT_ONCE`] of what was over before then. Returns how many.
    async fn removed(&self, query: &str, p: i32, before_ms: i64) -> Result<i64, Trouble> {
        let client = self.for_reading().await?;
        let statement = prepared(&client, query).await?;
        let removed = client.execute(&statement, &[&p, &before_ms, &AT_ONCE]).await;
        client.give_back();
        removed.map(u64::cast_signed).map_err(|error| Trouble::of(&error, Stage::Before))
    }

    /// Counts the idempotency keys that are held, by all processes.
    pub(super) async fn count_keys(&self) -> Result<(), NotDone> {
        let counted = async {
            let client = self.for_reading().await?;
            let statement = prepared(&client, COUNT_KEYS).await?;
            let mut pipeline = Pipeline::of(&client);
            for k in Partitions::places() {
                pipeline.ask(statement.clone(), vec![param(k)]);
            }
            let mut sum = 0;
            let answers = pipeline.sent().await;
            client.give_back();
            for rows in answers {
                let rows = rows.map_err(|error| Trouble::of(&error, Stage::Before))?;
                sum += rows.first().map_or(0, |row| row.get::<_, i64>(0));
            }
            Ok(sum)
        };
        let sum = self.looked(counted).await?;
        self.0.how.keys_held.store(sum, Ordering::Relaxed);
        Ok(())
    }
}

/// The bits of a name, as the database has them.
pub(super) fn uuid<T>(id: crate::stock::Id<T>) -> Uuid {
    Uuid::from_u128(id.to_bits())
}
