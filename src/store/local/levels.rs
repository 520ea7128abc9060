//! Reads: one level, and levels in pages. Both wait for the witness of what they show, and of what they leave out.

use super::Local;
use crate::stock::{Level, StockKey};
use crate::store::{LevelCursor, LevelPage, LevelQuery, NotDone, WasApplied, Why};
use crate::strategy::Strategy;
use crate::strategy::index::{Filter, Page};

impl Local {
    /// The level as it is, witnessed.
    pub(super) async fn read_level(&self, key: &StockKey) -> Result<Level, NotDone> {
        let level = self.read_unwitnessed(key).await?;
        self.0.books.witness(key, level.version(), WasApplied::No).await?;
        Ok(level)
    }

    async fn read_unwitnessed(&self, key: &StockKey) -> Result<Level, NotDone> {
        self.settle_due(key).await?;
        self.0.stock.read(key).await.map_err(|_| NotDone::no(Why::Contention))
    }

    /// A page of levels, each current when it is read; one that was deleted meanwhile is left out.
    ///
    /// The page waits once for all it saw. What the index has no key of any more is a sight as well: the record of that deletion
    /// was handed over before the index heard of it, so it is on disk once everything is that was handed over by now.
    pub(super) async fn page_of_levels(&self, query: LevelQuery<'_>) -> Result<LevelPage, NotDone> {
        let filter = Filter { sku_prefix: query.sku_prefix, location: query.location };
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
