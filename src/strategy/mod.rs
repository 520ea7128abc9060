//! Ways of sharing the stock between threads: one contract, one file or folder per way.
//!
//! [`Strategy`] is the contract. [`StrategyKind`] is the catalogue of the ways there are, [`AnyStrategy`] the one that
//! was chosen at startup. The ways: [`mutex`], [`reentrant`], [`rwlock`], [`sharded`], [`atomic`], [`actor`],
//! [`partitioned`], and [`racy`], which breaks
//! the contract on purpose so that the tools that look for lost updates can be seen to find one. More that break it,
//! each in a way of its own, are in `mutants`, which only builds with the feature of that name have.
//!
//! What they have in common lives beside them. For those whose callers do the work themselves: [`immediate`] (what such a
//! strategy has to say for itself, and the rest of the contract, written once) and [`access`] (the way in, and whom it
//! reports to). For those that pass messages: [`owner`] (threads with maps of their own, and what they are sent). For all:
//! [`table`] (the rules of the domain on a plain map), [`ledger`] (where a change is reported) and [`index`] (which
//! levels there are, in order), [`contention`] (what waiting cost), [`backoff`] (how to wait where there is no lock to
//! sleep on).
//! No strategy imports another, and none knows of HTTP, of files or of time other than its lock timeout. Nor does any know
//! who records its changes: that is the caller's [`HandOff`], which the domain defines.

pub mod access;
pub mod actor;
pub mod any;
pub mod atomic;
pub mod backoff;
pub mod catalog;
pub mod contention;
pub mod immediate;
pub mod index;
pub mod ledger;
#[cfg(feature = "mutants")]
pub mod mutants;
pub mod mutex;
pub mod owner;
pub mod partitioned;
pub mod racy;
pub mod reentrant;
pub mod rwlock;
pub mod sharded;
pub mod table;

#[cfg(test)]
mod kept_out;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;

use crate::stock::{Applied, Change, EntryRefusal, HandOff, KeySet, Level, Refusal, StockKey, Transaction};

pub use access::Access;
pub use any::AnyStrategy;
pub use catalog::StrategyKind;
pub use contention::{ContentionReport, Meter};
pub use immediate::Immediate;
pub use index::KeyIndex;
pub use ledger::Ledger;

/// A shared, mutable map from [`StockKey`] to [`Level`], safe to use from any number of threads.
///
/// # The contract
///
/// **Linearizable.** Each call takes effect at one instant between its start and its end (promise P5).
/// [`Strategy::apply`] judges and changes its level in that one instant: no other change of the level comes
/// between the look and the act (P1). [`Strategy::transact`] changes all its levels in one instant, and no
/// reader, of one level or of several in turn, sees some changed and some not (P4). [`Strategy::snapshot`] shows all its
/// levels as they were at one instant, so a sum over them is one that there was.
///
/// **The domain decides.** The level after a change is what [`Change::judge`] or [`Transaction::judge`] says,
/// so its version is one higher (P6) and `0 <= reserved <= on_hand` always holds (P2). What changes nothing leaves the version as it is.
///
/// **Refusals are true.** [`Rejected::Refused`] means that at one instant between start and end the level was as
/// the refusal shows it. [`TransactRejected::Refused`] names at least one level that was short at one such
/// instant; every other level it names was as it shows it at some such instant (P3).
///
/// **Waiting is bounded.** A call that cannot get in within the lock timeout ends with [`Contention`]; then it
/// has changed nothing and never will. It is never reported as a refusal.
///
/// **Whoever applies hands over.** The `hand_off` is called exactly once for each applied change or transaction,
/// by the thread that applied it, after every lock is released and before the call returns, with no await in
/// between; dropped uncalled otherwise, also where nothing had to be changed. It is told of those levels only that changed. Two changes of one level may be handed over in either order: their
/// versions say which came first.
///
/// **Cancellation-safe.** Dropping the returned future at any await point leaves the whole effect or none (P11).
///
/// **Nothing is forgotten.** A deleted level stays as a tombstone that keeps its version.
///
/// Every answer carries its *witness*, the version of each level it depends on: in [`Applied`], in
/// [`Refusal::found`], in [`TransactRefused::found`].
pub trait Strategy: Send + Sync {
    /// The level as it is; [`Level::ABSENT`] where it was never created.
    fn read(&self, key: &StockKey) -> impl Future<Output = Result<Level, Contention>> + Send;

    /// Several levels, as all of them were at one instant. One level per key of the set, in its order.
    fn snapshot(&self, keys: &Arc<KeySet>) -> impl Future<Output = Result<Vec<Level>, Contention>> + Send;

    /// Judges one change and, if it is allowed, makes it.
    fn apply<H: HandOff>(
        &self,
        key: &StockKey,
        change: Change,
        hand_off: H,
    ) -> impl Future<Output = Result<Applied, Rejected>> + Send;

    /// Judges the changes of several levels and, if all are allowed, makes all. One [`Applied`] per entry of the
    /// transaction, in its order.
    fn transact<H: HandOff>(
        &self,
        transaction: &Arc<Transaction>,
        hand_off: H,
    ) -> impl Future<Output = Result<Vec<Applied>, TransactRejected>> + Send;

    /// What waiting has cost so far.
    fn contention(&self) -> ContentionReport;
}

/// What every strategy is built from.
#[derive(Debug, Clone, Copy)]
pub struct StrategyConfig {
    /// How long a call may wait to get in before it ends with [`Contention`].
    pub lock_timeout: Duration,
    /// How many messages an owner's queue holds (`actor`, `partitioned`); more wait at its door. At least 1.
    pub actor_queue: usize,
    /// How many owners share the levels of `partitioned`. At least 1.
    pub partitions: usize,
}

/// The capacity of an owner's queue, unless another is asked for: some milliseconds of work, and some ten kilobytes.
pub const ACTOR_QUEUE_DEFAULT: usize = 1_024;

impl Default for StrategyConfig {
    /// A second of patience, and an owner per core.
    fn default() -> Self {
        let cores = std::thread::available_parallelism();
        Self {
            lock_timeout: Duration::from_secs(1),
            actor_queue: ACTOR_QUEUE_DEFAULT,
            partitions: cores.map_or(1, std::num::NonZero::get),
        }
    }
}

/// The lock timeout ran out: nothing was changed, and repeating the call is safe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the stock was contended for longer than the lock timeout; nothing was changed")]
pub struct Contention;

/// Why a change was not made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rejected {
    /// The state of the level forbids it.
    Refused(Refusal),
    /// It could not get in.
    Contention(Contention),
}

/// Why a transaction was not made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TransactRejected {
    /// The state of some levels forbids it.
    Refused(TransactRefused),
    /// It could not get in.
    Contention(Contention),
}

/// The levels that forbid a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransactRefused {
    /// Every entry that was refused, ascending; at least one.
    pub refusals: Vec<EntryRefusal>,
    /// The level of every entry, as it was judged: the witness.
    pub found: Vec<Level>,
}

impl From<Refusal> for Rejected {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<Contention> for Rejected {
    fn from(contention: Contention) -> Self {
        Self::Contention(contention)
    }
}

impl From<TransactRefused> for TransactRejected {
    fn from(refused: TransactRefused) -> Self {
        Self::Refused(refused)
    }
}

impl From<Contention> for TransactRejected {
    fn from(contention: Contention) -> Self {
        Self::Contention(contention)
    }
}
