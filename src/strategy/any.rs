//! [`AnyStrategy`]: the strategy chosen at startup.
//!
//! An enum, not a trait object: the compiler finds a missing arm, and a call costs a jump, not a boxed future.

use std::sync::Arc;

use super::atomic::Atomic;
use super::mutex::Mutex;
use super::racy::Racy;
use super::rwlock::RwLock;
use super::sharded::Sharded;
use super::{
    Contention, ContentionReport, HandOff, Kind, Ledger, Rejected, Strategy, StrategyConfig, TransactRejected,
};
use crate::stock::{Applied, Change, Level, StockKey, Transaction};

/// One of the strategies.
#[derive(Debug)]
pub enum AnyStrategy {
    /// See [`super::mutex`].
    Mutex(Mutex),
    /// See [`super::rwlock`].
    RwLock(RwLock),
    /// See [`super::sharded`].
    Sharded(Sharded),
    /// See [`super::atomic`].
    Atomic(Atomic),
    /// See [`super::racy`].
    Racy(Racy),
}

macro_rules! each {
    ($strategy:expr, $inner:ident => $call:expr) => {
        match $strategy {
            AnyStrategy::Mutex($inner) => $call,
            AnyStrategy::RwLock($inner) => $call,
            AnyStrategy::Sharded($inner) => $call,
            AnyStrategy::Atomic($inner) => $call,
            AnyStrategy::Racy($inner) => $call,
        }
    };
}

impl AnyStrategy {
    /// Empty stock of that kind that reports to `ledger`.
    pub fn new(kind: Kind, config: StrategyConfig, ledger: Ledger) -> Self {
        match kind {
            Kind::Mutex => Self::Mutex(Mutex::new(config, ledger)),
            Kind::RwLock => Self::RwLock(RwLock::new(config, ledger)),
            Kind::Sharded => Self::Sharded(Sharded::new(config, ledger)),
            Kind::Atomic => Self::Atomic(Atomic::new(config, ledger)),
            Kind::Racy => Self::Racy(Racy::new(config, ledger)),
        }
    }

    /// Which one it is.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Mutex(_) => Kind::Mutex,
            Self::RwLock(_) => Kind::RwLock,
            Self::Sharded(_) => Kind::Sharded,
            Self::Atomic(_) => Kind::Atomic,
            Self::Racy(_) => Kind::Racy,
        }
    }
}

impl<H: HandOff> Strategy<H> for AnyStrategy {
    async fn read(&self, key: &StockKey) -> Result<Level, Contention> {
        each!(self, strategy => Strategy::<H>::read(strategy, key).await)
    }

    async fn apply(&self, key: &StockKey, change: Change, hand_off: H) -> Result<Applied, Rejected> {
        each!(self, strategy => strategy.apply(key, change, hand_off).await)
    }

    async fn transact(
        &self,
        transaction: &Arc<Transaction>,
        hand_off: H,
    ) -> Result<Vec<Applied>, TransactRejected> {
        each!(self, strategy => strategy.transact(transaction, hand_off).await)
    }

    fn contention(&self) -> ContentionReport {
        each!(self, strategy => Strategy::<H>::contention(strategy))
    }
}
