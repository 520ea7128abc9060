//! [`AnyStrategy`]: the strategy chosen at startup.
//!
//! An enum, not a trait object: the compiler finds a missing arm, and a call costs a jump, not a boxed future.

use std::sync::Arc;

use super::actor::Actor;
use super::atomic::Atomic;
#[cfg(feature = "mutants")]
use super::mutants::AnyMutant;
use super::mutex::Mutex;
use super::owner::Owners;
use super::partitioned::Partitioned;
use super::racy::Racy;
use super::reentrant::Reentrant;
use super::rwlock::RwLock;
use super::sharded::Sharded;
use super::{
    Contention, ContentionReport, Immediate, Ledger, Rejected, Strategy, StrategyConfig, StrategyKind,
    TransactRejected,
};
use crate::stock::{Applied, Change, HandOff, KeySet, Level, StockKey, Transaction};

/// One of the strategies.
#[derive(Debug)]
pub enum AnyStrategy {
    /// See [`super::mutex`].
    Mutex(Mutex),
    /// See [`super::reentrant`].
    Reentrant(Reentrant),
    /// See [`super::rwlock`].
    RwLock(RwLock),
    /// See [`super::sharded`].
    Sharded(Sharded),
    /// See [`super::atomic`].
    Atomic(Atomic),
    /// See [`super::actor`].
    Actor(Actor),
    /// See [`super::partitioned`].
    Partitioned(Partitioned),
    /// See [`super::racy`].
    Racy(Racy),
    /// See [`super::mutants`].
    #[cfg(feature = "mutants")]
    Mutant(AnyMutant),
}

/// What an immediate strategy does, and what the others do.
macro_rules! each {
    ($strategy:expr, $inner:ident => $now:expr, $awaited:expr) => {
        match $strategy {
            AnyStrategy::Mutex($inner) => $now,
            AnyStrategy::Reentrant($inner) => $now,
            AnyStrategy::RwLock($inner) => $now,
            AnyStrategy::Sharded($inner) => $now,
            AnyStrategy::Atomic($inner) => $now,
            AnyStrategy::Actor($inner) => $awaited,
            AnyStrategy::Partitioned($inner) => $awaited,
            AnyStrategy::Racy($inner) => $awaited,
            #[cfg(feature = "mutants")]
            AnyStrategy::Mutant($inner) => $awaited,
        }
    };
}

impl AnyStrategy {
    /// Empty stock of that kind that reports to `ledger`.
    pub fn new(kind: StrategyKind, config: StrategyConfig, ledger: Ledger) -> Self {
        match kind {
            StrategyKind::Mutex => Self::Mutex(Mutex::new(config, ledger)),
            StrategyKind::Reentrant => Self::Reentrant(Reentrant::new(config, ledger)),
            StrategyKind::RwLock => Self::RwLock(RwLock::new(config, ledger)),
            StrategyKind::Sharded => Self::Sharded(Sharded::new(config, ledger)),
            StrategyKind::Atomic => Self::Atomic(Atomic::new(config, ledger)),
            StrategyKind::Actor => Self::Actor(Actor::new(config, ledger)),
            StrategyKind::Partitioned => Self::Partitioned(Partitioned::new(config, ledger)),
            StrategyKind::Racy => Self::Racy(Racy::new(config, ledger)),
            #[cfg(feature = "mutants")]
            StrategyKind::Mutant(mutant) => Self::Mutant(AnyMutant::new(mutant, config, ledger)),
        }
    }

    /// Takes in levels as recovery found them. For empty stock that nobody uses yet; the ledger is not told.
    pub async fn restore(&self, levels: Vec<(StockKey, Level)>) {
        match self {
            Self::Mutex(mutex) => mutex.restore(levels),
            Self::Reentrant(reentrant) => reentrant.restore(levels),
            Self::RwLock(rwlock) => rwlock.restore(levels),
            Self::Sharded(sharded) => sharded.restore(levels),
            Self::Atomic(atomic) => atomic.restore(levels),
            Self::Actor(actor) => actor.restore(levels).await,
            Self::Partitioned(partitioned) => partitioned.restore(levels).await,
            Self::Racy(racy) => racy.restore(levels),
            // Never kept, so never found: the configuration refuses it a folder.
            #[cfg(feature = "mutants")]
            Self::Mutant(_) => {}
        }
    }

    /// Which one it is.
    pub fn kind(&self) -> StrategyKind {
        match self {
            Self::Mutex(_) => StrategyKind::Mutex,
            Self::Reentrant(_) => StrategyKind::Reentrant,
            Self::RwLock(_) => StrategyKind::RwLock,
            Self::Sharded(_) => StrategyKind::Sharded,
            Self::Atomic(_) => StrategyKind::Atomic,
            Self::Actor(_) => StrategyKind::Actor,
            Self::Partitioned(_) => StrategyKind::Partitioned,
            Self::Racy(_) => StrategyKind::Racy,
            #[cfg(feature = "mutants")]
            Self::Mutant(mutant) => StrategyKind::Mutant(mutant.mutant()),
        }
    }

    /// Waits until all that was asked before is done, where somebody else than the caller does it.
    pub async fn join(&self) {
        if let Some(owners) = self.owners() {
            owners.join().await;
        }
    }

    /// Takes no more calls (they end with [`Contention`]), and waits until those there are have been answered and the threads
    /// of the strategy have ended. A strategy without threads of its own has nothing to wait for, and goes on.
    pub async fn shut_down(&self) {
        if let Some(owners) = self.owners() {
            owners.shut_down().await;
        }
    }

    fn owners(&self) -> Option<&Owners> {
        match self {
            Self::Actor(actor) => Some(actor.owners()),
            Self::Partitioned(partitioned) => Some(partitioned.owners()),
            _ => None,
        }
    }
}

impl Strategy for AnyStrategy {
    async fn read(&self, key: &StockKey) -> Result<Level, Contention> {
        each!(self, strategy => strategy.read_now(key), strategy.read(key).await)
    }

    async fn snapshot(&self, keys: &Arc<KeySet>) -> Result<Vec<Level>, Contention> {
        each!(self, strategy => strategy.snapshot_now(keys), strategy.snapshot(keys).await)
    }

    async fn apply<H: HandOff>(
        &self,
        key: &StockKey,
        change: Change,
        hand_off: H,
    ) -> Result<Applied, Rejected> {
        each!(self, strategy => strategy.apply_now(key, change, hand_off), strategy.apply(key, change, hand_off).await)
    }

    async fn transact<H: HandOff>(
        &self,
        transaction: &Arc<Transaction>,
        hand_off: H,
    ) -> Result<Vec<Applied>, TransactRejected> {
        each!(self, strategy => strategy.transact_now(transaction, hand_off), strategy.transact(transaction, hand_off).await)
    }

    fn contention(&self) -> ContentionReport {
        each!(self, strategy => strategy.contention_now(), strategy.contention())
    }
}
