//! [`Batcher`]: one batch, from its locks to its commit.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use deadpool_postgres::Client;
use tokio::sync::Notify;

use super::connect::{Pools, STATEMENT_TIME};
use super::failure::{Stage, Trouble};
use super::health::Health;
use super::lanes::Lane;
use super::load::{self, Begun};
use super::metrics::Metrics;
use super::save;
use super::work::{Done, Work};
use super::working::{How, Working};
use crate::store::{NotDone, Why};

/// How long a commit may take: a standby may be away, and nobody else gets at the partition meanwhile.
pub(super) const COMMIT_TIME: Duration = Duration::from_secs(30);
/// A lock that took longer than this was waited for.
pub(super) const WAITED: Duration = Duration::from_millis(1);

/// Who carries batches out.
#[derive(Debug)]
pub(super) struct Batcher {
    pub(super) how: Arc<How>,
    pub(super) pools: Pools,
    pub(super) batch_max: usize,
    pub(super) lock_timeout: Duration,
    pub(super) metrics: Metrics,
    pub(super) health: Health,
    /// Orders may have something to do.
    pub(super) orders: Notify,
}

/// How a batch ended.
enum End {
    /// Nothing was to be changed, and the transaction is open.
    Seen(Results),
    /// It is committed.
    Committed(Results),
    /// What was due is let go, and nothing else was done.
    Due,
    /// It is committed, and perhaps not as safely as it is to be.
    Unsure,
}

/// What came of each command of a batch.
type Results = Vec<Result<Done, NotDone>>;

impl Batcher {
    /// Carries a batch out under those locks; where it is empty yet, it is what has gathered in the lane once they are ours. Unless all went well
    /// nothing was changed, or nobody knows: as is said.
    pub(super) async fn attempt(
        &self,
        lane: &Lane,
        locked: &BTreeSet<i32>,
        works: &mut Vec<Work>,
    ) -> Result<Results, Trouble> {
        let client = self.pools.for_transaction().await.map_err(|error| Trouble::unconnected(&error))?;
        match self.transaction(&client, lane, locked, works).await {
            Ok(End::Seen(results)) => {
                // Nothing was changed: that it is over is all that is to be known of it.
                client.take_back().await;
                self.health.works();
                Ok(results)
            }
            Ok(End::Committed(results)) => {
                client.give_back();
                self.health.works();
                Ok(results)
            }
            Ok(End::Due) => {
                client.give_back();
                Err(Trouble::Again("more was due than is let go at once".to_owned()))
            }
            // What is committed here may not be where it is to be as well: a wait for a standby was cut short.
            Ok(End::Unsure) => {
                client.give_back();
                let what =
                    "the database warned while it committed, so it may not be kept as safely as it is to be";
                Err(NotDone::unknown(Why::Away(what.to_owned())).into())
            }
            Err(trouble) => {
                // One that takes no changes is not asked again: another host may.
                if !trouble.is_read_only() {
                    client.take_back().await;
                }
                Err(trouble)
            }
        }
    }

    async fn transaction(
        &self,
        client: &Client,
        lane: &Lane,
        locked: &BTreeSet<i32>,
        works: &mut Vec<Work>,
    ) -> Result<End, Trouble> {
        let began = Instant::now();
        let time =
            self.lock_timeout * u32::try_from(locked.len().max(1)).unwrap_or(u32::MAX) + STATEMENT_TIME;
        let locks = tokio::time::timeout(time, self.begin(client, lane, locked, works)).await;
        let Begun { mut working, is_only_due, lock_wait } =
            locks.map_err(|_| Trouble::late(Stage::Before))??;
        lane.is_contended.store(lock_wait > WAITED, Ordering::Relaxed);
        if is_only_due {
            let is_sure = self.commit(client, &mut working).await?;
            return Ok(if is_sure { End::Due } else { End::Unsure });
        }
        let results: Results = works.iter().map(|work| working.carry_out(work)).collect();
        let is_seen = working.writes.is_empty();
        if !is_seen {
            let decided = Instant::now();
            if !self.commit(client, &mut working).await? {
                return Ok(End::Unsure);
            }
            self.metrics.commit.observe(decided.elapsed());
        }
        self.metrics.batch(works.len(), began.elapsed(), lock_wait);
        self.saw(&working);
        Ok(if is_seen { End::Seen(results) } else { End::Committed(results) })
    }

    async fn begin(
        &self,
        client: &Client,
        lane: &Lane,
        locked: &BTreeSet<i32>,
        works: &mut Vec<Work>,
    ) -> Result<Begun, Trouble> {
        if !works.is_empty() {
            return load::begin(client, &self.how, locked, works).await;
        }
        let mut working = Working::new(Arc::clone(&self.how));
        let lock_wait = load::lock_first(client, &mut working, locked).await?;
        works.extend(lane.take(self.batch_max));
        load::read_locked(client, working, lock_wait, works).await
    }

    /// Commits. Whether nothing was said against it.
    async fn commit(&self, client: &Client, working: &mut Working) -> Result<bool, Trouble> {
        let warnings = self.pools.warnings();
        let committed = tokio::time::timeout(COMMIT_TIME, save::commit(client, working)).await;
        committed.map_err(|_| Trouble::late(Stage::Commit))??;
        Ok(self.pools.warnings() == warnings)
    }

    /// What was committed, or seen, is known from here on.
    fn saw(&self, working: &Working) {
        let writes = &working.writes;
        self.how.keys_held.fetch_add(writes.keys_counted, Ordering::Relaxed);
        if writes.left_queue > 0 {
            let mut pace = self.how.pace.lock();
            (0..writes.left_queue).for_each(|_| pace.left(Instant::now()));
        }
        self.how.counts.saw(working.parts.iter().map(|(p, part)| (*p, *part)));
        if !writes.orders.is_empty() || !writes.freed.is_empty() {
            self.orders.notify_one();
        }
    }
}
