//! Keys of wholes: what is carried out part by part, under one idempotency key.
//!
//! The key is taken first, and keeps every other request of that key out; then each part is carried out under a key of its own, made from the whole's
//! and its number. When all are done, what came of the whole is kept under its key, and the keys of the parts go, in one transaction. Where that is
//! missing, a retry on any replica finds which parts were done, and carries out the others.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use deadpool_postgres::Client;
use uuid::Uuid;

use super::Postgres;
use super::batch::COMMIT_TIME;
use super::deeds::milliseconds;
use super::failure::{Stage, Trouble};
use super::load::prepared;
use super::outcome;
use super::partition::Partitions;
use super::pipeline::{Pipeline, first_error, param};
use super::save::COMMIT;
use crate::stock::Once;
use crate::store::{NotDone, Outcome, Why};

const TAKE: &str = "INSERT INTO inventory.once (k, key, fingerprint, until_ms) SELECT part.p, $2::uuid, $3::bytea, \
    (extract(epoch FROM clock_timestamp()) * 1000)::int8 + $4::int8 FROM inventory.part WHERE part.p = $1 \
    ON CONFLICT (k, key) DO NOTHING RETURNING k";
const LOOK: &str = "SELECT fingerprint, outcome, until_ms <= (extract(epoch FROM clock_timestamp()) * 1000)::int8 \
    FROM inventory.once WHERE k = $1 AND key = $2";
const REMOVE_RUN_OUT: &str = "DELETE FROM inventory.once WHERE k = $1 AND key = $2 \
    AND until_ms <= (extract(epoch FROM clock_timestamp()) * 1000)::int8";
const REMOVE_PARTS: &str = "DELETE FROM inventory.once WHERE k = $1 AND key = ANY($2::uuid[])";
const KEEP: &str = "UPDATE inventory.once SET outcome = $3 WHERE k = $1 AND key = $2";

/// How often a key that runs out just now is tried to be taken.
const TRIES: usize = 3;

/// What a key stands for.
pub(super) enum Known {
    /// Nothing.
    Nothing,
    /// A whole that is under way, or was cut short.
    UnderWay,
    /// That.
    Over(Outcome),
}

impl Postgres {
    /// What the key stands for; for another request, that is an error.
    pub(super) async fn whole_known(&self, once: Once) -> Result<Known, NotDone> {
        let (k, key) = (Partitions::of_once(once.key), Uuid::from_u128(once.key));
        let asked = async {
            let client = self.for_reading().await?;
            let look = prepared(&client, LOOK).await?;
            let row = client.query_opt(&look, &[&k, &key]).await;
            client.give_back();
            match row.map_err(|error| Trouble::of(&error, Stage::Before))? {
                Some(row) if !row.get::<_, bool>(2) => known(&row, once),
                _ => Ok(Ok(Known::Nothing)),
            }
        };
        self.looked(asked).await?
    }

    /// Takes the key of a whole; what it stands for, if it stands for something already. One that was cut short is gone on with.
    pub(super) async fn whole_taken(&self, once: Once) -> Result<Option<Outcome>, NotDone> {
        let pools = &self.0.batcher.pools;
        let asked = async {
            // Not one of those that only look: a commit waits for its standby.
            let client = pools.for_transaction().await.map_err(|error| Trouble::unconnected(&error))?;
            let warnings = pools.warnings();
            let taken = self.take_whole(&client, once).await;
            match &taken {
                Ok(_) => client.give_back(),
                Err(_) => _ = client.take_back().await,
            }
            Ok((taken?, pools.warnings() == warnings))
        };
        let taken = tokio::time::timeout(COMMIT_TIME, asked).await;
        let (taken, is_sure) = self.noted(taken.unwrap_or_else(|_| Err(Trouble::late(Stage::Commit))))?;
        if !is_sure {
            let what =
                "the database warned while it committed, so a key may not be kept as safely as it is to be";
            return Err(NotDone::unknown(Why::Away(what.to_owned())));
        }
        taken
    }

    async fn take_whole(
        &self,
        client: &Client,
        once: Once,
    ) -> Result<Result<Option<Outcome>, NotDone>, Trouble> {
        let (k, key) = (Partitions::of_once(once.key), Uuid::from_u128(once.key));
        let retention = milliseconds(self.0.how.keeping.keys_retention).cast_signed();
        let is_full = self.0.how.keys_are_full();
        let wrong = |error: &tokio_postgres::Error| Trouble::of(error, Stage::Before);
        for _ in 0..TRIES {
            if !is_full {
                let take = prepared(client, TAKE).await?;
                let fingerprint = once.fingerprint.to_vec();
                let taken = client.query(&take, &[&k, &key, &fingerprint, &retention]).await;
                if !taken.map_err(|error| wrong(&error))?.is_empty() {
                    self.0.how.keys_held.fetch_add(1, Ordering::Relaxed);
                    return Ok(Ok(None));
                }
            }
            let look = prepared(client, LOOK).await?;
            let row = client.query_opt(&look, &[&k, &key]).await.map_err(|error| wrong(&error))?;
            let Some(row) = row else {
                if is_full {
                    let retry_after = self.0.how.keys_run_out_in();
                    return Ok(Err(NotDone::no(Why::KeysFull { retry_after })));
                }
                continue;
            };
            if row.get(2) {
                let remove = prepared(client, REMOVE_RUN_OUT).await?;
                client.execute(&remove, &[&k, &key]).await.map_err(|error| wrong(&error))?;
                continue;
            }
            return Ok(known(&row, once)?.map(|known| match known {
                Known::Over(outcome) => Some(outcome),
                Known::Nothing | Known::UnderWay => None,
            }));
        }
        Err(Trouble::Again("a key ran out and was taken, time and again".to_owned()))
    }

    /// Keeps what came of a whole, if it has a key, in the place of what came of its parts: so many.
    pub(super) async fn whole_kept(
        &self,
        once: Once,
        parts: u32,
        text: Option<String>,
    ) -> Result<(), NotDone> {
        let mut places: BTreeMap<i32, Vec<Uuid>> = BTreeMap::new();
        for number in 0..parts {
            let key = once.line(number).key;
            places.entry(Partitions::of_once(key)).or_default().push(Uuid::from_u128(key));
        }
        let kept = async {
            let client = self.0.batcher.pools.for_transaction().await;
            let client = client.map_err(|error| Trouble::unconnected(&error))?;
            let (remove, keep) = (prepared(&client, REMOVE_PARTS).await?, prepared(&client, KEEP).await?);
            let mut pipeline = Pipeline::of(&client);
            pipeline.words("BEGIN");
            for (k, keys) in places {
                pipeline.ask(remove.clone(), vec![param(k), param(keys)]);
            }
            if let Some(text) = text {
                let (k, key) = (Partitions::of_once(once.key), Uuid::from_u128(once.key));
                pipeline.ask(keep, vec![param(k), param(key), param(text)]);
            }
            pipeline.words(COMMIT);
            let mut answers = pipeline.sent().await;
            match first_error(&mut answers) {
                None => {
                    client.give_back();
                    Ok(())
                }
                Some((_, error)) => {
                    client.take_back().await;
                    Err(Trouble::of(&error, Stage::Within))
                }
            }
        };
        let kept = tokio::time::timeout(COMMIT_TIME, kept).await;
        self.noted(kept.unwrap_or_else(|_| Err(Trouble::late(Stage::Commit))))
    }
}

/// What a row says that has not run out.
fn known(row: &tokio_postgres::Row, once: Once) -> Result<Result<Known, NotDone>, Trouble> {
    if row.get::<_, &[u8]>(0) != once.fingerprint.as_slice() {
        return Ok(Err(NotDone::no(Why::KeyReused)));
    }
    let Some(text) = row.get::<_, Option<&str>>(1) else { return Ok(Ok(Known::UnderWay)) };
    let outcome = outcome::outcome(text).ok_or_else(|| Trouble::damaged("an outcome"))?;
    Ok(Ok(Known::Over(outcome)))
}
