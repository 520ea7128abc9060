//! Retention: movements that are older than they are to be kept leave the ledger, the oldest first, some at a time.
//!
//! What leaves is always a beginning of the ledger, so that nothing in its midst is ever missing. Where it begins now is a run of no partition
//! ([`DROPPED`]), written in the transaction that removes the movements, under the lock of the ledger's end. So whoever reads at that moment is shown all of
//! a stretch or that it is gone: movements that are fewer than their runs say were removed in between, and the runs, looked at again, say so.
//!
//! Beside it is kept how many of each partition are gone: a movement that names one of those as the one before it is where the history of its level begins.

use std::time::{Duration, Instant};

use deadpool_postgres::ClientWrapper;
use tokio_postgres::Row;

use super::deeds::milliseconds;
use super::failure::{Stage, Trouble};
use super::load::prepared;
use super::origin::DROPPED;
use super::pipeline::{Pipeline, Rows, first_error, param};
use super::save::COMMIT;
use super::{NOW, Postgres};
use crate::store::NotDone;

const LOCK: &str = "SELECT total FROM inventory.feed WHERE z = 0 FOR UPDATE";
const RUNS: &str = "SELECT last, p, head FROM inventory.run WHERE z = 0 ORDER BY last LIMIT $1";
/// The first of a stretch that is to stay.
const STAYS: &str = "SELECT seq FROM inventory.movement WHERE p = $1 AND seq > $2 AND seq <= $3 AND time_ms >= $4 \
    ORDER BY seq LIMIT 1";
const REMOVE: &str = "DELETE FROM inventory.movement WHERE p = $1 AND seq > $2 AND seq <= $3";
const REMOVE_RUNS: &str = "DELETE FROM inventory.run WHERE z = 0 AND last <= $1";
const BEGINS: &str = "INSERT INTO inventory.run (z, last, p, head) VALUES (0, $1, $2, 0)";
const FLOORS: &str = "SELECT bytes FROM inventory.document WHERE z = 0 AND name = $1";
const KEEP_FLOORS: &str = "INSERT INTO inventory.document (z, name, version, bytes) VALUES (0, $1, 1, $2) \
    ON CONFLICT (z, name) DO UPDATE SET version = document.version + 1, bytes = excluded.bytes";

/// The name of the row among the documents that says how many movements of each partition are gone.
const FLOORS_NAME: &str = "dropped";

/// Movements that are removed in one transaction: it keeps those waiting who bring the ledger up to date.
const AT_ONCE: i64 = 2_000;
/// How long it goes on before other things have their turn.
const AT_IT: Duration = Duration::from_secs(5);
/// Runs that are looked at for that. Where somebody watches, they are short.
const RUNS_AT_ONCE: i64 = 512;

/// Of each partition, the number of its last movement that is gone; 0 for none.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Floors(Vec<i64>);

/// The oldest movements of a run: those of a partition after one number, up to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stretch {
    p: i32,
    after: i64,
    up_to: i64,
}

/// What there is to be removed.
#[derive(Debug, Default, PartialEq, Eq)]
struct Removal {
    /// The number in the ledger of the last movement that is gone then.
    dropped: i64,
    stretches: Vec<Stretch>,
}

impl Floors {
    /// As the database has them.
    pub(super) async fn of(client: &ClientWrapper) -> Result<Self, Trouble> {
        let statement = prepared(client, FLOORS).await?;
        let row = client.query_opt(&statement, &[&FLOORS_NAME]).await;
        Ok(Self::in_row(row.map_err(|error| Trouble::of(&error, Stage::Before))?.as_ref()))
    }

    fn in_row(row: Option<&Row>) -> Self {
        let bytes = row.map_or(&[][..], |row| row.get(0));
        Self(bytes.as_chunks().0.iter().map(|bytes| i64::from_be_bytes(*bytes)).collect())
    }

    /// That of a partition.
    pub(super) fn of_partition(&self, p: i32) -> i64 {
        usize::try_from(p).ok().and_then(|p| self.0.get(p)).copied().unwrap_or(0)
    }

    fn raise(&mut self, p: i32, floor: i64) {
        let Ok(p) = usize::try_from(p) else { return };
        self.0.resize(self.0.len().max(p + 1), 0);
        self.0[p] = floor;
    }

    fn bytes(&self) -> Vec<u8> {
        self.0.iter().flat_map(|floor| floor.to_be_bytes()).collect()
    }
}

impl Postgres {
    /// Removes what is older than it is to be kept, if there is a bound, for [`AT_IT`]. Whether more may be left.
    pub(super) async fn drop_old_movements(&self) -> Result<bool, NotDone> {
        let Some(age) = self.0.how.keeping.retain_age else { return Ok(false) };
        // What has no number cannot leave.
        self.catch_up().await?;
        let (mut all, since) = (0, Instant::now());
        let is_all = loop {
            let began = Instant::now();
            let removed = self.noted(self.drop_some(age).await)?;
            all += removed;
            self.0.batcher.metrics.dropped(removed);
            // Whoever waits for the ledger's end has it for as long.
            if removed == 0 || !self.pause(began.elapsed()).await || since.elapsed() > AT_IT {
                break removed == 0;
            }
        };
        if all > 0 {
            tracing::info!(
                movements = all,
                begins_after = self.0.feed.dropped(),
                "movements that were kept long enough have left the ledger"
            );
        }
        Ok(!is_all)
    }

    /// Removes some. Returns how many.
    async fn drop_some(&self, age: Duration) -> Result<u64, Trouble> {
        let client = self.0.batcher.pools.for_transaction().await;
        let client = client.map_err(|error| Trouble::unconnected(&error))?;
        let removed = self.in_time(async { drop_in_transaction(&client, age).await }).await;
        match removed {
            Ok(Some(Removal { dropped, stretches })) => {
                client.give_back();
                self.0.feed.begins_after(dropped);
                Ok(stretches.iter().map(|stretch| stretch.after.abs_diff(stretch.up_to)).sum())
            }
            Ok(None) => {
                client.take_back().await;
                Ok(0)
            }
            Err(trouble) => {
                client.take_back().await;
                Err(trouble)
            }
        }
    }
}

/// What was removed, if anything: then it is committed.
async fn drop_in_transaction(client: &ClientWrapper, age: Duration) -> Result<Option<Removal>, Trouble> {
    let failed = |error: &tokio_postgres::Error| Trouble::of(error, Stage::Before);
    client.batch_execute("BEGIN").await.map_err(|error| failed(&error))?;
    // A statement of its own: what is read after it is as of after it.
    let lock = prepared(client, LOCK).await?;
    client.query_one(&lock, &[]).await.map_err(|error| failed(&error))?;
    let (runs, now) = (prepared(client, RUNS).await?, prepared(client, NOW).await?);
    let runs = client.query(&runs, &[&RUNS_AT_ONCE]).await.map_err(|error| failed(&error))?;
    let now_ms: i64 = client.query_one(&now, &[]).await.map_err(|error| failed(&error))?.get(0);
    let (dropped, stretches) = oldest(runs.iter().map(|row| (row.get(0), row.get(1), row.get(2))));
    let before_ms = now_ms.saturating_sub_unsigned(milliseconds(age));
    let statement = prepared(client, STAYS).await?;
    let mut pipeline = Pipeline::of(client);
    for Stretch { p, after, up_to } in &stretches {
        pipeline.ask(statement.clone(), vec![param(*p), param(*after), param(*up_to), param(before_ms)]);
    }
    let answers: Result<Vec<Vec<Row>>, _> = pipeline.sent().await.into_iter().collect();
    let answers = answers.map_err(|error| failed(&error))?;
    let stay = answers.iter().map(|rows| rows.first().map(|row| row.get(0)));
    let removal = removal(dropped, stretches.into_iter().zip(stay));
    if removal.stretches.is_empty() {
        return Ok(None);
    }
    let mut answers = remove(client, &removal).await?;
    // Whether it is committed or not, whoever comes next finds out.
    match first_error(&mut answers) {
        None => Ok(Some(removal)),
        Some((_, error)) => Err(failed(&error)),
    }
}

async fn remove(client: &ClientWrapper, removal: &Removal) -> Result<Vec<Rows>, Trouble> {
    let mut floors = Floors::of(client).await?;
    let (some, runs) = (prepared(client, REMOVE).await?, prepared(client, REMOVE_RUNS).await?);
    let (begins, keep) = (prepared(client, BEGINS).await?, prepared(client, KEEP_FLOORS).await?);
    let mut pipeline = Pipeline::of(client);
    for Stretch { p, after, up_to } in &removal.stretches {
        pipeline.ask(some.clone(), vec![param(*p), param(*after), param(*up_to)]);
        floors.raise(*p, *up_to);
    }
    pipeline.ask(runs, vec![param(removal.dropped)]);
    pipeline.ask(begins, vec![param(removal.dropped), param(DROPPED)]);
    pipeline.ask(keep, vec![param(FLOORS_NAME), param(floors.bytes())]);
    pipeline.words(COMMIT);
    Ok(pipeline.sent().await)
}

/// Where the ledger begins, and its oldest movements, [`AT_ONCE`] at most, by the run that each is of.
fn oldest(runs: impl Iterator<Item = (i64, i32, i64)>) -> (i64, Vec<Stretch>) {
    let (mut dropped, mut end, mut left) = (0, 0, AT_ONCE);
    let mut stretches = Vec::new();
    for (last, p, head) in runs {
        if p == DROPPED {
            (dropped, end) = (last, last);
            continue;
        }
        let after = head - (last - end);
        let up_to = head.min(after + left);
        if after == up_to {
            break;
        }
        stretches.push(Stretch { p, after, up_to });
        left -= up_to - after;
        end = last;
    }
    (dropped, stretches)
}

/// Of each stretch what is before the first that is to stay; nothing after that one.
fn removal(dropped: i64, stretches: impl Iterator<Item = (Stretch, Option<i64>)>) -> Removal {
    let mut removal = Removal { dropped, stretches: Vec::new() };
    for (stretch, stays) in stretches {
        let up_to = stays.map_or(stretch.up_to, |stays| stays - 1);
        if up_to > stretch.after {
            removal.dropped += up_to - stretch.after;
            removal.stretches.push(Stretch { up_to, ..stretch });
        }
        if stays.is_some() {
            break;
        }
    }
    removal
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// What leaves is the longest beginning of the ledger that is old, or as much of it as leaves at once, however it is spread over runs; floors and
        /// numbers go up side by side.
        #[test]
        fn a_beginning_leaves(
            before in 0..5_i64,
            spans in prop::collection::vec((0..3_i32, 1..1_500_i64), 0..9),
            young in prop::collection::btree_set(0..9_000_usize, 0..4),
        ) {
            let (mut last, mut heads) = (before, [0_i64; 3]);
            let mut runs = if before > 0 { vec![(before, DROPPED, 0)] } else { Vec::new() };
            let mut ledger = Vec::new();
            for (p, span) in spans {
                let head = &mut heads[usize::try_from(p).unwrap()];
                ledger.extend((*head + 1..=*head + span).map(|seq| (p, seq)));
                (last, *head) = (last + span, *head + span);
                runs.push((last, p, *head));
            }
            let (dropped, stretches) = oldest(runs.into_iter());
            prop_assert_eq!(dropped, before);
            let young: Vec<(i32, i64)> = young.iter().filter_map(|at| ledger.get(*at).copied()).collect();
            let old = young.first().map_or(ledger.len(), |first| ledger.iter().position(|at| at == first).unwrap());
            let stays = |it: &Stretch| (it.after + 1..=it.up_to).find(|seq| young.contains(&(it.p, *seq)));
            let asked: Vec<_> = stretches.iter().map(|it| (*it, stays(it))).collect();
            let removal = removal(dropped, asked.into_iter());
            let gone: Vec<(i32, i64)> = removal.stretches.iter().flat_map(|it| (it.after + 1..=it.up_to).map(|seq| (it.p, seq))).collect();
            let most = usize::try_from(AT_ONCE).unwrap();
            prop_assert_eq!(&gone[..], &ledger[..old.min(most)]);
            prop_assert_eq!(removal.dropped, before + i64::try_from(gone.len()).unwrap());
            let mut floors = Floors::default();
            removal.stretches.iter().for_each(|it| floors.raise(it.p, it.up_to));
            for p in 0..3 {
                let last = gone.iter().filter(|(of, _)| *of == p).map(|(_, seq)| *seq).max();
                prop_assert_eq!(floors.of_partition(p), last.unwrap_or(0));
            }
        }
    }
}
