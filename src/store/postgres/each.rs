//! Many changes that stand alone: each is work of its own, in the order of the lines.
//!
//! **Under an idempotency key** each line is once, and so is the whole. The key is taken first, and keeps every other request of that key out; then
//! each line is carried out under a key of its own. When all are judged, what came of each is kept under the key of the whole, and the keys of the
//! lines go. Where that is missing, a retry on any replica finds the lines that were judged, and carries out the others. It is a task of its own,
//! so a client that goes away does not cut it short.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use uuid::Uuid;

use super::Postgres;
use super::batch::COMMIT_TIME;
use super::commands::unknown_of_earlier;
use super::deeds::milliseconds;
use super::failure::{Stage, Trouble};
use super::lanes::replied;
use super::load::prepared;
use super::outcome;
use super::partition::Partitions;
use super::pipeline::{Pipeline, first_error, param};
use super::save::COMMIT;
use super::work::{Done, Work};
use crate::said::Said;
use crate::stock::Once;
use crate::store::{Answered, Deed, EachLine, Idempotency, LineOutcome, NotDone, Outcome, Why};

/// Lines that are under way at once.
const AT_ONCE: usize = 256;

const TAKE: &str = "INSERT INTO inventory.once (k, key, fingerprint, until_ms) SELECT part.p, $2::uuid, $3::bytea, \
    (extract(epoch FROM clock_timestamp()) * 1000)::int8 + $4::int8 FROM inventory.part WHERE part.p = $1 \
    ON CONFLICT (k, key) DO NOTHING RETURNING k";
const LOOK: &str = "SELECT fingerprint, outcome, until_ms <= (extract(epoch FROM clock_timestamp()) * 1000)::int8 \
    FROM inventory.once WHERE k = $1 AND key = $2";
const REMOVE_RUN_OUT: &str = "DELETE FROM inventory.once WHERE k = $1 AND key = $2 \
    AND until_ms <= (extract(epoch FROM clock_timestamp()) * 1000)::int8";
const REMOVE_LINES: &str = "DELETE FROM inventory.once WHERE k = $1 AND key = ANY($2::uuid[])";
const KEEP: &str = "UPDATE inventory.once SET outcome = $3 WHERE k = $1 AND key = $2";

/// How often a key that runs out just now is tried to be taken.
const TRIES: usize = 3;

impl Postgres {
    pub(super) async fn each_carried_out(
        &self,
        lines: Arc<[EachLine]>,
        idempotency: Option<Box<Idempotency>>,
        said: Said,
    ) -> Result<Answered, NotDone> {
        let Some(idempotency) = idempotency else {
            let (outcomes, _) = self.each(&lines, None, &said).await;
            return Ok(Answered { outcome: Outcome::Each(outcomes), replayed: false });
        };
        let (store, once) = (self.clone(), idempotency.once);
        let carried = tokio::spawn(async move { store.each_once(&lines, once, &said).await });
        carried.await.unwrap_or_else(|panicked| Err(NotDone::unknown(Why::Damaged(panicked.to_string()))))
    }

    async fn each_once(&self, lines: &[EachLine], once: Once, said: &Said) -> Result<Answered, NotDone> {
        // An earlier try may have got further.
        if let Some(outcome) = self.taken(once).await.map_err(unknown_of_earlier)? {
            return Ok(Answered { outcome, replayed: true });
        }
        let (outcomes, replayed) = self.each(lines, Some(once), said).await;
        let outcome = Outcome::Each(outcomes);
        if let Some(text) = outcome::text(&outcome) {
            // Where it cannot be kept the lines are, each under its own key.
            if let Err(not_done) = self.kept(once, lines.len(), text).await {
                tracing::debug!(%not_done, "a batch is kept by its lines alone");
            }
        }
        Ok(Answered { outcome, replayed })
    }

    /// What came of each line; and whether nothing was done, as all had been before.
    async fn each(&self, lines: &[EachLine], once: Option<Once>, said: &Said) -> (Vec<LineOutcome>, bool) {
        let mut outcomes = Vec::with_capacity(lines.len());
        let mut replayed = true;
        let numbered: Vec<(u32, &EachLine)> = (0..).zip(lines).collect();
        for some in numbered.chunks(AT_ONCE) {
            let submit = |(number, line): &(u32, &EachLine)| {
                let deed = Deed::Change { key: line.key.clone(), change: line.change };
                let (work, reply) = Work::deed(deed, vec![line.key.clone()], None, said.clone());
                let own = once.map(|once| once.line(*number));
                let line = once.map(|once| (once, *number as usize));
                self.0.lanes.submit(Work { once: own, line, ..work }).map(|()| reply)
            };
            let submitted: Vec<_> = some.iter().map(submit).collect();
            for reply in submitted {
                let done = match reply {
                    Ok(reply) => replied(reply).await,
                    Err(not_done) => Err(not_done),
                };
                outcomes.push(match done {
                    Ok(Done::Answered(Answered { outcome: Outcome::Change(judged), replayed: before })) => {
                        replayed &= before;
                        LineOutcome::Judged(judged)
                    }
                    Ok(other) => {
                        let what = format!("a line came to something else: {other:?}");
                        LineOutcome::NotDone(NotDone::unknown(Why::Damaged(what)))
                    }
                    Err(not_done) => {
                        replayed = false;
                        let is_once = once.is_some();
                        LineOutcome::NotDone(if is_once { unknown_of_earlier(not_done) } else { not_done })
                    }
                });
            }
        }
        (outcomes, replayed)
    }

    /// Takes the key of a whole; what it stands for, if it stands for something already. One that was cut short is gone on with.
    async fn taken(&self, once: Once) -> Result<Option<Outcome>, NotDone> {
        let (k, key) = (Partitions::of_once(once.key), Uuid::from_u128(once.key));
        let retention = milliseconds(self.0.how.keeping.keys_retention).cast_signed();
        let is_full = self.0.how.keys_are_full();
        let asked = async {
            let client = self.for_reading().await?;
            let wrong = |error: &tokio_postgres::Error| Trouble::of(error, Stage::Before);
            for _ in 0..TRIES {
                if !is_full {
                    let take = prepared(&client, TAKE).await?;
                    let fingerprint = once.fingerprint.to_vec();
                    let taken = client.query(&take, &[&k, &key, &fingerprint, &retention]).await;
                    if !taken.map_err(|error| wrong(&error))?.is_empty() {
                        self.0.how.keys_held.fetch_add(1, Ordering::Relaxed);
                        return Ok(Ok(None));
                    }
                }
                let look = prepared(&client, LOOK).await?;
                let row = client.query_opt(&look, &[&k, &key]).await.map_err(|error| wrong(&error))?;
                let Some(row) = row else {
                    if is_full {
                        let retry_after = self.0.how.keys_run_out_in();
                        return Ok(Err(NotDone::no(Why::KeysFull { retry_after })));
                    }
                    continue;
                };
                if row.get(2) {
                    let remove = prepared(&client, REMOVE_RUN_OUT).await?;
                    client.execute(&remove, &[&k, &key]).await.map_err(|error| wrong(&error))?;
                    continue;
                }
                if row.get::<_, &[u8]>(0) != once.fingerprint.as_slice() {
                    return Ok(Err(NotDone::no(Why::KeyReused)));
                }
                let Some(text) = row.get::<_, Option<&str>>(1) else { return Ok(Ok(None)) };
                let outcome = outcome::outcome(text).ok_or_else(|| Trouble::damaged("an outcome"))?;
                // All lines together, under this key: else it was another request, whatever its body.
                return Ok(match outcome {
                    Outcome::Each(_) => Ok(Some(outcome)),
                    _ => Err(NotDone::no(Why::KeyReused)),
                });
            }
            Err(Trouble::Again("a key ran out and was taken, time and again".to_owned()))
        };
        self.noted(asked.await)?
    }

    /// Keeps what came of a whole, in the place of what came of its lines.
    async fn kept(&self, once: Once, lines: usize, text: String) -> Result<(), NotDone> {
        let mut places: BTreeMap<i32, Vec<Uuid>> = BTreeMap::new();
        for number in 0..u32::try_from(lines).unwrap_or(u32::MAX) {
            let key = once.line(number).key;
            places.entry(Partitions::of_once(key)).or_default().push(Uuid::from_u128(key));
        }
        let kept = async {
            let client = self.0.batcher.pools.for_transaction().await;
            let client = client.map_err(|error| Trouble::unconnected(&error))?;
            let (remove, keep) = (prepared(&client, REMOVE_LINES).await?, prepared(&client, KEEP).await?);
            let mut pipeline = Pipeline::of(&client);
            pipeline.words("BEGIN");
            for (k, keys) in places {
                pipeline.ask(remove.clone(), vec![param(k), param(keys)]);
            }
            let (k, key) = (Partitions::of_once(once.key), Uuid::from_u128(once.key));
            pipeline.ask(keep, vec![param(k), param(key), param(text)]);
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
