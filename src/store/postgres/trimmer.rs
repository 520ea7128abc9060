//! The trimmer: removes what has grown too old, some at a time until nothing is left of it. Several processes may do it at once, as none minds what another has
//! done before; and nobody waits for it, whatever there is to be removed.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::deeds::milliseconds;
use super::failure::{Stage, Trouble};
use super::load::prepared;
use super::partition::Partitions;
use super::pipeline::{Pipeline, param};
use super::{NOW, Postgres};
use crate::store::{NotDone, Why};

const KEYS: &str = "DELETE FROM inventory.once WHERE k = $1 AND key = ANY(ARRAY(SELECT key FROM inventory.once \
    WHERE k = $1 AND until_ms <= $2 ORDER BY until_ms LIMIT $3))";
const RESERVATIONS: &str = "DELETE FROM inventory.reservation WHERE p = $1 AND id = ANY(ARRAY(SELECT id \
    FROM inventory.reservation WHERE p = $1 AND state <> 'pending' AND ended_ms <= $2 ORDER BY ended_ms LIMIT $3))";
const ORDERS: &str = "DELETE FROM inventory.orders WHERE p = $1 AND id = ANY(ARRAY(SELECT id \
    FROM inventory.orders WHERE p = $1 AND ended_ms IS NOT NULL AND ended_ms <= $2 ORDER BY ended_ms LIMIT $3))";
const COUNT_KEYS: &str = "SELECT count(*) FROM inventory.once WHERE k = $1";

/// Before the first round, and between two.
const FIRST: Duration = Duration::from_millis(500);
const EVERY: Duration = Duration::from_secs(10);
/// What is removed at once.
const AT_ONCE: i64 = 1_000;

/// Removes what has grown too old now and then, until the store stops.
pub(super) fn start(store: &Postgres) -> tokio::task::JoinHandle<()> {
    let store = store.clone();
    tokio::spawn(async move {
        let (mut wait, mut has_failed) = (FIRST, false);
        while store.pause(wait).await {
            let trimmed = store.trim().await;
            wait = if matches!(trimmed, Ok(true)) { FIRST } else { EVERY };
            match trimmed {
                Ok(_) => has_failed = false,
                // That the database is away is said once, by whoever notices.
                Err(not_done) if has_failed || matches!(not_done.why, Why::Away(_)) => {
                    tracing::debug!(%not_done, "what has grown too old is removed later");
                }
                Err(not_done) => {
                    has_failed = true;
                    tracing::warn!(%not_done, "what has grown too old cannot be removed; it is tried again");
                }
            }
        }
    })
}

impl Postgres {
    /// Removes what has grown too old, some at a time. Whether more of the ledger may be left.
    async fn trim(&self) -> Result<bool, NotDone> {
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
                        return Ok(false);
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
