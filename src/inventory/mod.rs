//! The service: commands and queries over the strategy and the index of keys.
//!
//! It knows what a client may ask of stock, and counts what was refused; it knows neither HTTP nor how the
//! stock is shared. Every command is one call of the strategy, so that nothing is checked here and acted upon
//! there.

mod refusals;

use std::sync::Arc;

use crate::stock::{
    Applied, Change, IfMissing, Level, Operation, Precondition, Quantity, StockKey, Transaction,
};
use crate::strategy::index::{Filter, Page};
use crate::strategy::{
    AnyStrategy, Contention, ContentionReport, KeyIndex, Kind, Ledger, Rejected, Strategy, StrategyConfig,
    TransactRejected,
};

pub use refusals::{REASONS, RefusalCounts, most_telling};

/// The stock, and everything a client may do with it.
#[derive(Debug)]
pub struct Inventory {
    stock: AnyStrategy,
    index: Arc<KeyIndex>,
    refusals: RefusalCounts,
}

/// A page of levels.
#[derive(Debug, PartialEq, Eq)]
pub struct LevelPage {
    /// The levels, ascending by key, each as it was when it was read.
    pub levels: Vec<(StockKey, Level)>,
    /// Where the next page starts, if there may be one.
    pub resume_after: Option<StockKey>,
}

impl Inventory {
    /// Empty stock, shared in that way.
    pub fn new(kind: Kind, config: StrategyConfig) -> Self {
        let index = Arc::new(KeyIndex::default());
        let stock = AnyStrategy::new(kind, config, Ledger::new(Arc::clone(&index)));
        Self { stock, index, refusals: RefusalCounts::default() }
    }

    /// The level as it is; [`Level::ABSENT`] or a tombstone where there is none.
    pub async fn read(&self, key: &StockKey) -> Result<Level, Contention> {
        Strategy::<()>::read(&self.stock, key).await
    }

    /// Brings a level into being (no precondition, or [`Precondition::Absent`]) or records a count of one that
    /// is there (any other precondition). The two are told apart by what the client said, never by a look at
    /// the level, which might have changed by the time of the act.
    pub async fn put(
        &self,
        key: &StockKey,
        on_hand: Quantity,
        precondition: Precondition,
    ) -> Result<Applied, Rejected> {
        let operation = match precondition {
            Precondition::Any | Precondition::Absent => Operation::Create { on_hand },
            Precondition::Exists | Precondition::Version(_) => Operation::Count { on_hand },
        };
        self.apply(key, Change { operation, precondition }).await
    }

    /// Adds units, or takes them where `delta` is negative.
    pub async fn adjust(
        &self,
        key: &StockKey,
        delta: i64,
        precondition: Precondition,
    ) -> Result<Applied, Rejected> {
        let operation = Operation::Adjust { delta, if_missing: IfMissing::Refuse };
        self.apply(key, Change { operation, precondition }).await
    }

    /// Removes a level.
    pub async fn delete(&self, key: &StockKey, precondition: Precondition) -> Result<Applied, Rejected> {
        self.apply(key, Change { operation: Operation::Delete, precondition }).await
    }

    /// Makes the changes of several levels, all or none.
    pub async fn transact(&self, transaction: &Arc<Transaction>) -> Result<Vec<Applied>, TransactRejected> {
        let outcome = self.stock.transact(transaction, ()).await;
        if let Err(TransactRejected::Refused(refused)) = &outcome {
            self.refusals.count(most_telling(&refused.refusals).reason);
        }
        outcome
    }

    /// Up to `limit` levels that fit, after `after`. Each is current when read; the page is not a snapshot of
    /// all, and a level deleted meanwhile is left out.
    pub async fn list(
        &self,
        filter: Filter<'_>,
        after: Option<&StockKey>,
        limit: usize,
    ) -> Result<LevelPage, Contention> {
        let Page { keys, resume_after } = self.index.page(filter, after, limit);
        let mut levels = Vec::with_capacity(keys.len());
        for key in keys {
            let level = self.read(&key).await?;
            if level.exists() {
                levels.push((key, level));
            }
        }
        Ok(LevelPage { levels, resume_after })
    }

    /// Ends the threads that the strategy may have, once all that was asked of them is done.
    pub async fn shut_down(&self) {
        self.stock.shut_down().await;
    }

    /// How the stock is shared.
    pub fn strategy(&self) -> Kind {
        self.stock.kind()
    }

    /// How many levels there are.
    pub fn level_count(&self) -> usize {
        self.index.len()
    }

    /// What sharing has cost so far.
    pub fn contention(&self) -> ContentionReport {
        Strategy::<()>::contention(&self.stock)
    }

    /// How often each reason was given for a refusal.
    pub fn refusals(&self) -> &RefusalCounts {
        &self.refusals
    }

    async fn apply(&self, key: &StockKey, change: Change) -> Result<Applied, Rejected> {
        let outcome = self.stock.apply(key, change, ()).await;
        if let Err(Rejected::Refused(refusal)) = &outcome {
            self.refusals.count(refusal.reason);
        }
        outcome
    }
}
