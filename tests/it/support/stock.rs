//! [`Stock`]: a strategy with all that it reports to, and short words for what is asked of it.

use std::sync::Arc;
use std::time::Duration;

use inventory::stock::{
    Applied, Change, IfMissing, KeySet, Level, Location, Operation, Precondition, Quantity, Sku, StockKey,
    Transaction,
};
use inventory::strategy::index::Filter;
use inventory::strategy::{
    AnyStrategy, Contention, ContentionReport, KeyIndex, Ledger, Rejected, Strategy, StrategyConfig,
    StrategyKind, TransactRejected,
};

use super::recorder::Recorder;

/// Longer than any test waits, shorter than [`super::clients::WATCHDOG`]: a deadlock between callers that wait with a
/// limit ends in `Contention`, which no test expects, before the watchdog ends it.
const PATIENT: Duration = Duration::from_secs(30);

/// A strategy, its index, and a record of everything it handed off.
pub(crate) struct Stock {
    pub(crate) strategy: AnyStrategy,
    pub(crate) index: Arc<KeyIndex>,
    pub(crate) recorder: Arc<Recorder>,
}

impl Stock {
    /// Empty stock, whose callers wait as long as they must.
    pub(crate) fn new(kind: StrategyKind) -> Arc<Self> {
        Self::with_lock_timeout(kind, PATIENT)
    }

    /// Empty stock, whose callers wait that long.
    pub(crate) fn with_lock_timeout(kind: StrategyKind, lock_timeout: Duration) -> Arc<Self> {
        let index = Arc::new(KeyIndex::default());
        let ledger = Ledger::new(Arc::clone(&index));
        let strategy =
            AnyStrategy::new(kind, StrategyConfig { lock_timeout, ..StrategyConfig::default() }, ledger);
        Arc::new(Self { strategy, index, recorder: Arc::default() })
    }

    /// Stock with these levels, at version 1.
    pub(crate) async fn with_levels(kind: StrategyKind, levels: &[(&str, u64)]) -> Arc<Self> {
        let stock = Self::new(kind);
        for (sku, on_hand) in levels {
            stock.apply(&key(sku), create(*on_hand)).await.expect("a new level");
        }
        stock
    }

    /// The level. Asks until it gets in: a lock timeout that a test makes short is not meant for its own reads. Whoever
    /// stays inside for ever is found by [`super::clients::WATCHDOG`] or by the lock timeout of a patient stock.
    pub(crate) async fn read(&self, key: &StockKey) -> Level {
        loop {
            match self.strategy.read(key).await {
                Ok(level) => return level,
                Err(Contention) => tokio::task::yield_now().await,
            }
        }
    }

    /// Several levels at one instant, in the order of their keys, each once. Asks until it gets in.
    pub(crate) async fn snapshot(&self, keys: &[StockKey]) -> Vec<Level> {
        let keys = Arc::new(KeySet::new(keys.to_vec()));
        loop {
            match self.strategy.snapshot(&keys).await {
                Ok(levels) => return levels,
                Err(Contention) => tokio::task::yield_now().await,
            }
        }
    }

    /// Makes a change that nothing refuses; asks until it gets in.
    pub(crate) async fn apply_patiently(&self, key: &StockKey, change: Change) -> Applied {
        loop {
            match self.apply(key, change).await {
                Ok(applied) => return applied,
                Err(Rejected::Contention(_)) => tokio::task::yield_now().await,
                Err(refused) => panic!("{refused:?}"),
            }
        }
    }

    /// Asks for one change.
    pub(crate) async fn apply(&self, key: &StockKey, change: Change) -> Result<Applied, Rejected> {
        self.strategy.apply(key, change, self.recorder.permit()).await
    }

    /// Asks for many, all or nothing.
    pub(crate) async fn transact(
        &self,
        lines: Vec<(StockKey, Change)>,
    ) -> Result<Vec<Applied>, TransactRejected> {
        let transaction = Arc::new(Transaction::new(lines).expect("lines that make a transaction"));
        self.strategy.transact(&transaction, self.recorder.permit()).await
    }

    /// Every key that a listing shows.
    pub(crate) fn listed(&self) -> Vec<StockKey> {
        self.index.page(Filter::default(), None, usize::MAX).keys
    }

    /// What waiting has cost.
    pub(crate) fn contention(&self) -> ContentionReport {
        self.strategy.contention()
    }

    /// Whether every version of these levels, from the first to the one they have now, was handed off exactly once with
    /// the right levels before and after, and every other permit dropped. Call it when nobody else is at work.
    pub(crate) async fn assert_all_handed_off(&self, keys: &[StockKey]) {
        for key in keys {
            let last = self.read(key).await;
            self.recorder.assert_history_of(key, last);
        }
        self.recorder.assert_permits_accounted_for();
    }
}

/// A level's key, at the default location.
pub(crate) fn key(sku: &str) -> StockKey {
    StockKey::new(&Sku::parse(sku).expect("a sku"), &Location::DEFAULT)
}

/// An existing level.
pub(crate) fn level(on_hand: u64, reserved: u64, version: u64) -> Level {
    Level::existing(on_hand, reserved, version).expect("a level")
}

/// A deleted one.
pub(crate) fn tombstone(version: u64) -> Level {
    Level::tombstone(version).expect("a version")
}

/// A quantity.
pub(crate) fn units(units: u64) -> Quantity {
    Quantity::new(units).expect("a quantity")
}

/// Brings a level into being.
pub(crate) fn create(on_hand: u64) -> Change {
    Change::unconditional(Operation::Create { on_hand: units(on_hand) })
}

/// Sets what is on hand.
pub(crate) fn count(on_hand: u64) -> Change {
    Change::unconditional(Operation::Count { on_hand: units(on_hand), if_missing: IfMissing::Refuse })
}

/// Adds units to a level that exists.
pub(crate) fn adjust(delta: i64) -> Change {
    Change::unconditional(Operation::Adjust { delta, if_missing: IfMissing::Refuse })
}

/// Adds units to a level, which may have to be created.
pub(crate) fn adjust_or_create(delta: i64) -> Change {
    Change::unconditional(Operation::Adjust { delta, if_missing: IfMissing::Create })
}

/// Holds units.
pub(crate) fn reserve(quantity: u64) -> Change {
    Change::unconditional(Operation::Reserve { quantity: units(quantity) })
}

/// Lets held units go.
pub(crate) fn release(quantity: u64) -> Change {
    Change::unconditional(Operation::Release { quantity: units(quantity) })
}

/// Takes held units out.
pub(crate) fn ship(quantity: u64) -> Change {
    Change::unconditional(Operation::Ship { quantity: units(quantity) })
}

/// Removes a level.
pub(crate) fn delete() -> Change {
    Change::unconditional(Operation::Delete)
}

/// The same change, if the level is as demanded.
pub(crate) fn only_if(precondition: Precondition, change: Change) -> Change {
    Change { precondition, ..change }
}
