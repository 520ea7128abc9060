//! Strategies that are wrong on purpose, each in one way: negative controls for whoever looks for such faults.
//!
//! Compiled in by the feature `mutants` alone, which no release and no default build has; and even then refused without
//! `--allow-racy`. Each file is one lesson: what the bug is, why people write it, and which promise it breaks. Apart from its
//! one bug each keeps the contract, so what convicts it is that bug. The bugs are easy to reach: where two steps ought to be one,
//! other tasks run in between ([`tokio::task::yield_now`]), as they would while a second query is on its way to a database.
//!
//! - [`upgraded_lock`]: checked under the read lock, acted upon under the write lock. Breaks P2.
//! - [`dropped_ack`]: acknowledged, and now and then not done. Breaks P1 and P7.
//! - [`torn_lines`]: a transaction as one critical section a line. Breaks P4.
//! - [`stale_cache`]: reads from a copy that lags behind. Breaks P5.
//! - [`half_cancelled`]: a client that goes away leaves half of a transaction. Breaks P11.
//! - `double-replay`: a keyed request that is sent again happens again. Breaks P8. Its stock is that of [`mutex`](super::mutex):
//!   the bug is where keys are looked up, see [`crate::store::double_replay`].
//!
//! [`racy`](super::racy) is one more, and is in every build, so that everybody can see the proof turn red.

pub mod dropped_ack;
pub mod half_cancelled;
pub mod stale_cache;
pub mod torn_lines;
pub mod upgraded_lock;

use std::sync::Arc;

use self::dropped_ack::DroppedAck;
use self::half_cancelled::HalfCancelled;
use self::stale_cache::StaleCache;
use self::torn_lines::TornLines;
use self::upgraded_lock::UpgradedLock;
use super::catalog::Description;
use super::mutex::Mutex;
use super::{Contention, ContentionReport, Ledger, Rejected, Strategy, StrategyConfig, TransactRejected};
use crate::stock::{Applied, Change, HandOff, KeySet, Level, StockKey, Transaction};

/// A way of being wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mutant {
    /// [`upgraded_lock`].
    UpgradedLock,
    /// [`dropped_ack`].
    DroppedAck,
    /// [`torn_lines`].
    TornLines,
    /// [`stale_cache`].
    StaleCache,
    /// [`half_cancelled`].
    HalfCancelled,
    /// [`crate::store::double_replay`].
    DoubleReplay,
}

impl Mutant {
    /// Every mutant.
    pub const ALL: [Self; 6] = [
        Self::UpgradedLock,
        Self::DroppedAck,
        Self::TornLines,
        Self::StaleCache,
        Self::HalfCancelled,
        Self::DoubleReplay,
    ];

    /// What there is to know of it.
    pub fn description(self) -> Description {
        let (name, shares, cost) = match self {
            Self::UpgradedLock => (
                "upgraded-lock",
                "one map, checked under the read lock and changed under the write lock without checking again",
                "oversells, and counts over what a precondition was to protect (P2)",
            ),
            Self::DroppedAck => (
                "dropped-ack",
                "one map behind one lock, and a queue before it that now and then loses what it acknowledged",
                "loses acknowledged updates (P1, P7)",
            ),
            Self::TornLines => (
                "torn-lines",
                "one map behind one lock, taken once for each line of a transaction",
                "shows transactions in part, and leaves refused ones half done (P4)",
            ),
            Self::StaleCache => (
                "stale-cache",
                "one map behind one lock, and a cache before it that changes do not invalidate",
                "answers reads with what was (P5)",
            ),
            Self::HalfCancelled => (
                "half-cancelled",
                "one map behind one lock, held over an await between the lines of a transaction",
                "leaves half a transaction when the client goes away (P11)",
            ),
            Self::DoubleReplay => (
                "double-replay",
                "one map behind one lock; a keyed request that is sent again is carried out again",
                "applies retries twice (P8)",
            ),
        };
        let choose_when = "never; refused without --allow-racy, and in no release";
        Description { name, shares, cost, choose_when, correct: false }
    }
}

/// One of the mutants.
#[derive(Debug)]
pub enum AnyMutant {
    /// See [`upgraded_lock`].
    UpgradedLock(UpgradedLock),
    /// See [`dropped_ack`].
    DroppedAck(DroppedAck),
    /// See [`torn_lines`].
    TornLines(TornLines),
    /// See [`stale_cache`].
    StaleCache(StaleCache),
    /// See [`half_cancelled`].
    HalfCancelled(HalfCancelled),
    /// See [`crate::store::double_replay`].
    DoubleReplay(Mutex),
}

macro_rules! each {
    ($mutant:expr, $inner:ident => $done:expr) => {
        match $mutant {
            AnyMutant::UpgradedLock($inner) => $done,
            AnyMutant::DroppedAck($inner) => $done,
            AnyMutant::TornLines($inner) => $done,
            AnyMutant::StaleCache($inner) => $done,
            AnyMutant::HalfCancelled($inner) => $done,
            AnyMutant::DoubleReplay($inner) => $done,
        }
    };
}

impl AnyMutant {
    /// Empty stock that is wrong in that way. It is never kept, so there is nothing to restore.
    pub fn new(mutant: Mutant, config: StrategyConfig, ledger: Ledger) -> Self {
        match mutant {
            Mutant::UpgradedLock => Self::UpgradedLock(UpgradedLock::new(config, ledger)),
            Mutant::DroppedAck => Self::DroppedAck(DroppedAck::new(config, ledger)),
            Mutant::TornLines => Self::TornLines(TornLines::new(config, ledger)),
            Mutant::StaleCache => Self::StaleCache(StaleCache::new(config, ledger)),
            Mutant::HalfCancelled => Self::HalfCancelled(HalfCancelled::new(config, ledger)),
            Mutant::DoubleReplay => Self::DoubleReplay(Mutex::new(config, ledger)),
        }
    }

    /// Which one it is.
    pub fn mutant(&self) -> Mutant {
        match self {
            Self::UpgradedLock(_) => Mutant::UpgradedLock,
            Self::DroppedAck(_) => Mutant::DroppedAck,
            Self::TornLines(_) => Mutant::TornLines,
            Self::StaleCache(_) => Mutant::StaleCache,
            Self::HalfCancelled(_) => Mutant::HalfCancelled,
            Self::DoubleReplay(_) => Mutant::DoubleReplay,
        }
    }
}

impl Strategy for AnyMutant {
    async fn read(&self, key: &StockKey) -> Result<Level, Contention> {
        each!(self, strategy => strategy.read(key).await)
    }

    async fn snapshot(&self, keys: &Arc<KeySet>) -> Result<Vec<Level>, Contention> {
        each!(self, strategy => strategy.snapshot(keys).await)
    }

    async fn apply<H: HandOff>(
        &self,
        key: &StockKey,
        change: Change,
        hand_off: H,
    ) -> Result<Applied, Rejected> {
        each!(self, strategy => strategy.apply(key, change, hand_off).await)
    }

    async fn transact<H: HandOff>(
        &self,
        transaction: &Arc<Transaction>,
        hand_off: H,
    ) -> Result<Vec<Applied>, TransactRejected> {
        each!(self, strategy => strategy.transact(transaction, hand_off).await)
    }

    fn contention(&self) -> ContentionReport {
        each!(self, strategy => strategy.contention())
    }
}

#[cfg(test)]
mod tests;
