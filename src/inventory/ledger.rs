//! Questions to the ledger: the movements of one level, or of all.
//!
//! They read files, so they run on the threads for that, never on one that serves requests.

use std::sync::Arc;

use super::{Inventory, Obstacle};
use crate::journal::history::{self, Before, HistoryError, Page};
use crate::journal::{Journal, Shared};
use crate::stock::{StockKey, key};

/// Why there are no movements to show.
#[derive(Debug)]
pub enum LedgerError {
    /// The service keeps its stock in memory only.
    NotKept,
    /// The ledger cannot say.
    History(HistoryError),
    /// It got no answer.
    Obstacle(Obstacle),
}

/// Which movements are asked for, by number.
#[derive(Debug, Clone, Default)]
pub struct MovementFilter {
    /// Only of this sku.
    pub sku: Option<String>,
    /// Only at this location.
    pub location: Option<String>,
}

impl MovementFilter {
    fn wants(&self, text: &str) -> bool {
        let wanted =
            |wanted: &Option<String>, part: &str| wanted.as_deref().is_none_or(|wanted| wanted == part);
        let (sku, location) = text.split_once(key::SEPARATOR).unwrap_or((text, ""));
        wanted(&self.sku, sku) && wanted(&self.location, location)
    }
}

impl Inventory {
    /// The movements of one level, newest first: from the newest on, or from where a page before ended.
    pub async fn movements_of(
        &self,
        key: StockKey,
        from: Option<Before>,
        limit: usize,
    ) -> Result<Page<Before>, LedgerError> {
        self.ask_journal(move |journal| {
            history::of_level(&journal.log, &journal.heads, &journal.watermark, &key, from, limit)
        })
        .await
    }

    /// The movements with numbers above `seq`, in order, of those that are wanted.
    pub async fn movements_after(
        &self,
        seq: u64,
        filter: MovementFilter,
        limit: usize,
    ) -> Result<Page<u64>, LedgerError> {
        self.ask_journal(move |journal| {
            history::after(&journal.log, &journal.watermark, seq, limit, |line| filter.wants(line.key))
        })
        .await
    }

    /// The number of the oldest movement that is kept; 1 where nothing was dropped.
    pub fn oldest_movement(&self) -> u64 {
        self.books().journal().map_or(1, |journal| journal.shared().log.first_seq())
    }

    async fn ask_journal<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Shared) -> Result<T, HistoryError> + Send + 'static,
    ) -> Result<T, LedgerError> {
        let shared = Arc::clone(self.books().journal().map(Journal::shared).ok_or(LedgerError::NotKept)?);
        match tokio::task::spawn_blocking(move || question(&shared)).await {
            Ok(answer) => answer.map_err(LedgerError::History),
            Err(panicked) => Err(LedgerError::Obstacle(Obstacle::Damaged(panicked.to_string()))),
        }
    }
}
