//! Reads of levels: one, several by name, and one once it is something.
//!
//! A read is one statement, and so of one instant; whatever is seen is committed, and on disk wherever the database keeps it (P7). It says also when the
//! first line held at the level is due: if that has come, the level is looked at under its lock instead, which lets go what is due first (P9).

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use super::failure::{Stage, Trouble};
use super::load::prepared;
use super::work::{Done, What, Work};
use super::{Postgres, rows};
use crate::stock::{KeySet, Level, StockKey, Until};
use crate::store::{NotDone, StockQuery, Why};

const LEVEL: &str = "SELECT l.on_hand, l.reserved, l.version, l.present, \
    (extract(epoch FROM clock_timestamp()) * 1000)::int8, \
    (SELECT h.expires_ms FROM inventory.held h WHERE h.p = $1 AND h.sku = $2 AND h.location = $3 \
    ORDER BY h.expires_ms LIMIT 1) \
    FROM inventory.part LEFT JOIN inventory.level l ON l.p = $1 AND l.sku = $2 AND l.location = $3 WHERE part.p = $1";

/// A level as it was seen, and how long after that its next deadline is.
struct Seen {
    level: Level,
    due_in: Option<Duration>,
}

/// A place among those who wait, given back when it is dropped.
struct Place<'s>(&'s AtomicUsize);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Postgres {
    /// The level as it is.
    pub(super) async fn level_now(&self, key: &StockKey) -> Result<Level, NotDone> {
        Ok(self.seen(key).await?.level)
    }

    async fn seen(&self, key: &StockKey) -> Result<Seen, NotDone> {
        let p = self.0.how.partitions.of_key(key);
        let looked = async {
            let client = self.for_reading().await?;
            let statement = prepared(&client, LEVEL).await?;
            let row = client.query_one(&statement, &[&p, &key.sku(), &key.location()]).await;
            client.give_back();
            let row = row.map_err(|error| Trouble::of(&error, Stage::Before))?;
            let level = match row.get::<_, Option<bool>>(3) {
                None => Level::ABSENT,
                Some(_) => {
                    rows::units(&row, 0).ok_or_else(|| Trouble::damaged(format!("the level {key}")))?
                }
            };
            let due_in_ms = row.get::<_, Option<i64>>(5).map(|due_ms| due_ms - row.get::<_, i64>(4));
            Ok((level, due_in_ms))
        };
        let (level, due_in_ms) = self.looked(looked).await?;
        match due_in_ms {
            // Once it was let go it is looked at again for what is next.
            Some(..=0) => {
                let level = self.looked_at(vec![key.clone()]).await?.pop().unwrap_or(Level::ABSENT);
                Ok(Seen { level, due_in: Some(Duration::ZERO) })
            }
            due_in_ms => {
                let due_in = due_in_ms.map(|ms| Duration::from_millis(ms.unsigned_abs()));
                Ok(Seen { level, due_in })
            }
        }
    }

    /// Levels at one instant, under their locks: in the order of their keys.
    pub(super) async fn looked_at(&self, keys: Vec<StockKey>) -> Result<Vec<Level>, NotDone> {
        let set = KeySet::new(keys);
        if set.keys().is_empty() {
            return Ok(Vec::new());
        }
        let keys = set.keys().to_vec();
        match self.0.lanes.done(Work::new(What::Look(Arc::new(set)), keys)).await? {
            Done::Levels(levels) => Ok(levels),
            _ => Err(NotDone::no(Why::Damaged("a look came to something else".to_owned()))),
        }
    }

    /// Levels by name.
    pub(super) async fn levels_of(&self, query: &StockQuery) -> Result<Vec<Level>, NotDone> {
        let keys = query.keys.keys();
        if query.consistent {
            return self.looked_at(keys.to_vec()).await;
        }
        // Those of a partition at one instant, which is more than is asked, and far less work than one after the other.
        let mut levels = vec![Level::ABSENT; keys.len()];
        let mut parts: std::collections::BTreeMap<i32, Vec<usize>> = std::collections::BTreeMap::new();
        for (at, key) in keys.iter().enumerate() {
            parts.entry(self.0.how.partitions.of_key(key)).or_default().push(at);
        }
        for places in parts.into_values() {
            let some = places.iter().map(|at| keys[*at].clone()).collect();
            for (at, level) in places.iter().zip(self.looked_at(some).await?) {
                levels[*at] = level;
            }
        }
        Ok(levels)
    }

    /// The level once it is that; after that time as it is then.
    pub(super) async fn level_when(
        &self,
        key: &StockKey,
        until: &Until,
        patience: Duration,
    ) -> Result<Level, NotDone> {
        let late = Instant::now() + patience;
        let level = self.level_now(key).await?;
        if until.is_met(level) || patience.is_zero() {
            return Ok(level);
        }
        match tokio::time::timeout_at(late, self.level_when_met(key, until)).await {
            Ok(level) => level,
            Err(_) => self.level_now(key).await,
        }
    }

    async fn level_when_met(&self, key: &StockKey, until: &Until) -> Result<Level, NotDone> {
        let waiters = &self.0.waiters;
        let _place = Place(waiters);
        if waiters.fetch_add(1, Ordering::Relaxed) >= self.0.how.keeping.waiters_max {
            return Err(NotDone::no(Why::WaitersFull));
        }
        let p = self.0.how.partitions.of_key(key);
        let counts = &self.0.how.counts;
        let mut moved = counts.listen();
        loop {
            // Before it is looked at: what is committed from here on is not missed.
            moved.borrow_and_update();
            let tick = counts.tick(p);
            let Seen { level, due_in } = self.seen(key).await?;
            if until.is_met(level) {
                return Ok(level);
            }
            let moves_on = async {
                while counts.tick(p) == tick {
                    if moved.changed().await.is_err() {
                        return;
                    }
                }
            };
            match due_in {
                Some(due_in) => drop(tokio::time::timeout(due_in, moves_on).await),
                None => moves_on.await,
            }
        }
    }
}
