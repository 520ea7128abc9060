//! The service: commands and queries over the strategy and the index of keys.
//!
//! It knows what a client may ask of stock, and counts what was refused; it knows neither HTTP nor how the
//! stock is shared. Every command is one call of the strategy, so that nothing is checked here and acted upon
//! there.

mod books;
mod chores;
pub mod export;
pub mod import;
mod ledger;
mod memory;
mod refusals;

#[cfg(test)]
mod faults;

use std::sync::Arc;

use crate::journal::record::Kind as RecordKind;
use crate::stock::{
    Applied, Change, IfMissing, Level, Operation, Precondition, Quantity, Refusal, StockKey, Transaction,
};
use crate::strategy::index::{Filter, Page};
use crate::strategy::{
    AnyStrategy, ContentionReport, KeyIndex, Kind, Ledger, Rejected, Strategy, StrategyConfig,
    TransactRefused, TransactRejected,
};

pub use books::{Begun, Books, Entry, Memo, Obstacle, StoredRecord, Told};
pub use chores::{BackupError, Chores, Home, VerifyAnswerError};
pub use ledger::{LedgerError, MovementFilter};
pub use memory::Memory;
pub use refusals::{REASONS, RefusalCounts, most_telling};

/// The stock, the books, and everything a client may do with them.
///
/// Whatever is returned of a level, also in a refusal, has been witnessed: a crash cannot take it back (promise P7). The
/// calls that say so return sooner, and leave that to [`Inventory::witness`].
#[derive(Debug)]
pub struct Inventory {
    stock: AnyStrategy,
    index: Arc<KeyIndex>,
    refusals: RefusalCounts,
    books: Books,
    chores: Chores,
}

/// Levels that are handed to the strategy at once when they are restored.
const RESTORED_AT_ONCE: usize = 16 * 1024;

/// Why a change was not made, or is not known to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChangeError {
    /// The state of the level forbids it.
    Refused(Refusal),
    /// It got no answer.
    Obstacle(Obstacle),
}

/// Why a transaction was not made, or is not known to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TransactError {
    /// The state of some levels forbids it.
    Refused(TransactRefused),
    /// It got no answer.
    Obstacle(Obstacle),
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
    /// Empty stock, shared in that way, with books in which nothing is recorded yet.
    pub fn new(kind: Kind, config: StrategyConfig, books: Books) -> Self {
        let index = Arc::new(KeyIndex::default());
        let stock = AnyStrategy::new(kind, config, Ledger::new(Arc::clone(&index)));
        Self { stock, index, refusals: RefusalCounts::default(), books, chores: Chores::default() }
    }

    /// Takes in the levels that recovery found. For empty stock that nobody uses yet.
    pub async fn restore(&self, mut levels: Vec<(StockKey, Level)>) {
        let index = |(key, level): &(StockKey, Level)| (key.clone(), level.version(), level.exists());
        self.index.restore(levels.iter().map(index).collect());
        while !levels.is_empty() {
            let rest = levels.split_off(levels.len().saturating_sub(RESTORED_AT_ONCE));
            self.stock.restore(rest).await;
        }
    }

    /// The level as it is; [`Level::ABSENT`] or a tombstone where there is none.
    pub async fn read(&self, key: &StockKey) -> Result<Level, Obstacle> {
        let level = self.stock.read(key).await?;
        self.books.witness(key, level.version(), false).await?;
        Ok(level)
    }

    /// Brings a level into being (no precondition, or [`Precondition::Absent`]) or records a count of one that
    /// is there (any other precondition). The two are told apart by what the client said, never by a look at
    /// the level, which might have changed by the time of the act.
    pub async fn put(
        &self,
        key: &StockKey,
        on_hand: Quantity,
        precondition: Precondition,
        memo: Memo,
    ) -> Result<Applied, ChangeError> {
        let operation = match precondition {
            Precondition::Any | Precondition::Absent => Operation::Create { on_hand },
            Precondition::Exists | Precondition::Version(_) => {
                Operation::Count { on_hand, if_missing: IfMissing::Refuse }
            }
        };
        self.apply(key, Change { operation, precondition }, memo).await
    }

    /// Adds units, or takes them where `delta` is negative.
    pub async fn adjust(
        &self,
        key: &StockKey,
        delta: i64,
        precondition: Precondition,
        memo: Memo,
    ) -> Result<Applied, ChangeError> {
        let operation = Operation::Adjust { delta, if_missing: IfMissing::Refuse };
        self.apply(key, Change { operation, precondition }, memo).await
    }

    /// [`Inventory::adjust`] without a precondition, whose outcome is not witnessed yet: for many that are witnessed together.
    pub async fn adjust_unwitnessed(
        &self,
        key: &StockKey,
        delta: i64,
        memo: Memo,
    ) -> Result<Applied, ChangeError> {
        let operation = Operation::Adjust { delta, if_missing: IfMissing::Refuse };
        self.apply_unwitnessed(key, Change::unconditional(operation), memo).await
    }

    /// Waits until what came of a change may be shown.
    pub async fn witness(
        &self,
        key: &StockKey,
        outcome: &Result<Applied, ChangeError>,
    ) -> Result<(), Obstacle> {
        match outcome {
            Ok(applied) => self.books.witness(key, applied.after.version(), true).await,
            Err(ChangeError::Refused(refusal)) => {
                self.books.witness(key, refusal.found.version(), false).await
            }
            Err(ChangeError::Obstacle(_)) => Ok(()),
        }
    }

    /// Removes a level.
    pub async fn delete(
        &self,
        key: &StockKey,
        precondition: Precondition,
        memo: Memo,
    ) -> Result<Applied, ChangeError> {
        self.apply(key, Change { operation: Operation::Delete, precondition }, memo).await
    }

    /// Makes the changes of several levels, all or none. `kind` is what the ledger calls them.
    pub async fn transact(
        &self,
        transaction: &Arc<Transaction>,
        kind: RecordKind,
        memo: Memo,
    ) -> Result<Vec<Applied>, TransactError> {
        let entry = self.books.permit(kind, memo).await.map_err(TransactError::Obstacle)?;
        let keys = transaction.entries().iter().map(|entry| &entry.key);
        match self.stock.transact(transaction, entry).await {
            Ok(applied) => {
                for (key, applied) in keys.zip(&applied) {
                    let witnessed = self.books.witness(key, applied.after.version(), true).await;
                    witnessed.map_err(TransactError::Obstacle)?;
                }
                Ok(applied)
            }
            Err(TransactRejected::Refused(refused)) => {
                self.refusals.count(most_telling(&refused.refusals).reason);
                for (key, found) in keys.zip(&refused.found) {
                    let witnessed = self.books.witness(key, found.version(), false).await;
                    witnessed.map_err(TransactError::Obstacle)?;
                }
                Err(TransactError::Refused(refused))
            }
            Err(TransactRejected::Contention(contention)) => Err(TransactError::Obstacle(contention.into())),
        }
    }

    /// Says where the journal's files are: for what reads or copies them beside the journal.
    #[must_use]
    pub fn at_home(mut self, home: Home) -> Self {
        self.chores.settle(home);
        self
    }

    /// What is done now and then.
    pub fn chores(&self) -> &Chores {
        &self.chores
    }

    /// Where changes are recorded.
    pub fn books(&self) -> &Books {
        &self.books
    }

    /// Up to `limit` levels that fit, after `after`. Each is current when read; the page is not a snapshot of
    /// all, and a level deleted meanwhile is left out.
    pub async fn list(
        &self,
        filter: Filter<'_>,
        after: Option<&StockKey>,
        limit: usize,
    ) -> Result<LevelPage, Obstacle> {
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
        if let Books::Durable(journal) = &self.books {
            let journal = Arc::clone(journal);
            // It blocks until the last group is on disk. A panic in there has failed the journal, which is told otherwise.
            let _closed = tokio::task::spawn_blocking(move || journal.close()).await;
        }
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
        self.stock.contention()
    }

    /// How often each reason was given for a refusal.
    pub fn refusals(&self) -> &RefusalCounts {
        &self.refusals
    }

    async fn apply(&self, key: &StockKey, change: Change, memo: Memo) -> Result<Applied, ChangeError> {
        let outcome = self.apply_unwitnessed(key, change, memo).await;
        self.witness(key, &outcome).await.map_err(ChangeError::Obstacle)?;
        outcome
    }

    async fn apply_unwitnessed(
        &self,
        key: &StockKey,
        change: Change,
        memo: Memo,
    ) -> Result<Applied, ChangeError> {
        let entry = self.books.permit(RecordKind::Change, memo).await.map_err(ChangeError::Obstacle)?;
        self.stock.apply(key, change, entry).await.map_err(|rejected| match rejected {
            Rejected::Refused(refusal) => {
                self.refusals.count(refusal.reason);
                ChangeError::Refused(refusal)
            }
            Rejected::Contention(contention) => ChangeError::Obstacle(contention.into()),
        })
    }
}
