//! `actor`: share a channel, not the data. One owner has the map; callers send it messages and await the answers.
//!
//! **What is shared:** the owner's queue, and of each call its question and answer. The map is a local variable of one
//! thread: nothing in it can race, and no lock of it can be forgotten. A message is worked off whole before the next,
//! so a transaction costs what its lines cost. This file is the callers' handle; [`super::owner`] has the message,
//! the worker and the queue, each by itself.
//!
//! **Waits:** callers as futures, asleep; first come, first served, so nobody starves. The queue is bounded
//! (`--actor-queue`): who comes when it is full waits at its door. Both waits together last at most the lock timeout, up to
//! the moment at which the owner takes the message; then the call is given up, ends with [`Contention`], and its message
//! is skipped: owner and giver-up race to claim it, and only one can win ([`super::owner::call`]). A caller that goes
//! away gives its message up likewise, or the owner, which had it already, does all of it.
//!
//! **Hand-off:** travels in the message; the owner hands over before it answers, so a slow hand-off holds everybody up.
//!
//! **Memory order:** that of the queue's lock and the calls' locks.
//!
//! **Choose it** when the state behind the service cannot be shared at all (a connection, a device, a file), or to bound and
//! observe the queue before it. Each call pays for a message and usually for waking two threads, some microseconds; the
//! map is no bottleneck, but its owner is one core's worth of work.

use std::sync::Arc;

use super::owner::Owners;
use super::owner::message::{Apply, Read, Snapshot, Transact};
use super::{Contention, ContentionReport, Ledger, Rejected, Strategy, StrategyConfig, TransactRejected};
use crate::stock::{Applied, Change, HandOff, KeySet, Level, StockKey, Transaction};

/// The only owner there is.
const OWNER: usize = 0;

/// The handle of an owner of all levels. Dropped, it lets the owner work off its queue and end.
#[derive(Debug)]
pub struct Actor {
    owners: Owners,
}

impl Actor {
    /// Starts an owner of empty stock that reports to `ledger`. Needs no runtime: the owner is a thread.
    #[expect(clippy::needless_pass_by_value, reason = "as every strategy is built")]
    pub fn new(config: StrategyConfig, ledger: Ledger) -> Self {
        Self { owners: Owners::start("actor", 1, &config, &ledger) }
    }

    /// Takes in levels as recovery found them. For empty stock that nobody uses yet.
    pub async fn restore(&self, levels: Vec<(StockKey, Level)>) {
        self.owners.restore(OWNER, levels).await;
    }

    /// The owner, to wait for what was sent to it, or for its end.
    pub fn owners(&self) -> &Owners {
        &self.owners
    }
}

impl Strategy for Actor {
    async fn read(&self, key: &StockKey) -> Result<Level, Contention> {
        self.owners.ask(OWNER, Read { key: key.clone() }).await
    }

    async fn snapshot(&self, keys: &Arc<KeySet>) -> Result<Vec<Level>, Contention> {
        self.owners.ask(OWNER, Snapshot { keys: Arc::clone(keys) }).await
    }

    async fn apply<H: HandOff>(
        &self,
        key: &StockKey,
        change: Change,
        hand_off: H,
    ) -> Result<Applied, Rejected> {
        Ok(self.owners.ask(OWNER, Apply { key: key.clone(), change, hand_off }).await??)
    }

    async fn transact<H: HandOff>(
        &self,
        transaction: &Arc<Transaction>,
        hand_off: H,
    ) -> Result<Vec<Applied>, TransactRejected> {
        let transaction = Arc::clone(transaction);
        Ok(self.owners.ask(OWNER, Transact { transaction, hand_off }).await??)
    }

    fn contention(&self) -> ContentionReport {
        self.owners.contention()
    }
}
