//! Reads: one level, levels by name, and levels in pages. All wait for the witness of what they show, and of what they leave out.

use std::sync::Arc;

use super::Local;
use crate::stock::{KeySet, Level, StockKey};
use crate::store::{LevelCursor, LevelPage, LevelQuery, NotDone, StockQuery, WasApplied, Why};
use crate::strategy::Strategy;
use crate::strategy::index::{Filter, Page};

/// How often a snapshot is taken again because a deadline came while it was: each time takes a deadline of one of its levels in just that
/// moment.
const SNAPSHOTS_MAX: usize = 32;

impl Local {
    /// The level as it is, witnessed.
    pub(super) async fn read_level(&self, key: &StockKey) -> Result<Level, NotDone> {
        let level = self.read_unwitnessed(key).await?;
        self.0.books.witness(key, level.version(), WasApplied::No).await?;
        Ok(level)
    }

    async fn read_unwitnessed(&self, key: &StockKey) -> Result<Level, NotDone> {
        if self.is_due() {
            Box::pin(self.expire_due_of(key)).await?;
        }
        self.0.stock.read(key).await.map_err(|_| NotDone::no(Why::Contention))
    }

    /// Levels by name, witnessed.
    pub(super) async fn levels_of(&self, query: &StockQuery) -> Result<Vec<Level>, NotDone> {
        let keys = query.keys.keys();
        let levels = if query.consistent {
            self.snapshot_unwitnessed(&query.keys).await?
        } else {
            let mut levels = Vec::with_capacity(keys.len());
            for key in keys {
                levels.push(self.read_unwitnessed(key).await?);
            }
            levels
        };
        let seen = keys.iter().zip(&levels).map(|(key, level)| (key, level.version()));
        self.0.books.witness_levels(seen, WasApplied::No).await?;
        Ok(levels)
    }

    /// Levels as they were at one instant, at which nothing was held whose deadline had come.
    async fn snapshot_unwitnessed(&self, keys: &Arc<KeySet>) -> Result<Vec<Level>, NotDone> {
        let contention = || NotDone::no(Why::Contention);
        for _ in 0..SNAPSHOTS_MAX {
            self.settle_due_of_all(keys.keys().iter()).await?;
            let levels = self.0.stock.snapshot(keys).await.map_err(|_| contention())?;
            // Else two reservations may have come due meanwhile, of which somebody let only the one go: at no instant was the one
            // over and the other not.
            if !self.is_any_due(keys.keys()) {
                return Ok(levels);
            }
        }
        Err(contention())
    }

    /// A page of levels, each current when it is read; one that was deleted meanwhile is left out.
    ///
    /// The page waits once for all it saw. What the index has no key of any more is a sight as well: the record of that deletion
    /// was handed over before the index heard of it, so it is on disk once everything is that was handed over by now.
    pub(super) async fn page_of_levels(&self, query: LevelQuery<'_>) -> Result<LevelPage, NotDone> {
        let filter = Filter { sku: query.sku, sku_prefix: query.sku_prefix, location: query.location };
        let Page { keys, resume_after } =
            self.0.index.page(filter, query.after.map(|after| &after.0), query.limit);
        let mut levels = Vec::with_capacity(keys.len());
        for key in keys {
            let level = self.read_unwitnessed(&key).await?;
            levels.push((key, level));
        }
        let seen = levels.iter().map(|(key, level)| (key, level.version()));
        self.0.books.witness_levels(seen, WasApplied::No).await?;
        self.0.books.witness_all(WasApplied::No).await?;
        levels.retain(|(_, level)| level.exists());
        Ok(LevelPage { levels, next: resume_after.map(LevelCursor) })
    }
}
