//! `partitioned`: shared nothing. As many owners as cores, each with a map of its own; a level's key says whose it is.
//!
//! **What is shared:** the owners' queues. There is no map of all levels. Calls for one level, and transactions whose levels
//! have one owner, are messages to that owner, as in a single actor, and run beside those of the other owners.
//!
//! # Transactions over several partitions
//!
//! 1. *Enqueue.* A part goes into the queue of each owner involved. All parts are enqueued under one lock, the *order*: so any
//!    two transactions stand in the same order in every queue that has both.
//! 2. *Meet.* An owner that comes to its part lends its map to the transaction and waits ([`meeting`]).
//! 3. *Decide.* The last to come claims the call, judges all lines, and changes all or none, on the maps of all. **That is the instant
//!    at which the transaction happens**: every owner involved has stopped, so no read and no change comes in between. Who
//!    reads one level after the other sees all before it or all after it: P4 and P5, for every observer.
//! 4. *Part.* Each owner takes its map back and goes on; the last one hands over and answers.
//!
//! A **snapshot** over several partitions is a meeting, too, at which nothing is changed.
//!
//! **No deadlock:** of all transactions that are not done, take the first in the order. What stands before its parts in any
//! queue is calls for one owner, which end by themselves, and transactions before it in the order, which are done. So
//! each of its owners gets to its part, and the first is done; then the next is first. Enqueueing never waits
//! (who comes to a full queue waits at its door, in the same order), so the order's lock is never held for long.
//!
//! **Waits:** as the actor's: first come, first served, up to the lock timeout. A transaction can be given up until the last
//! owner has come; those that wait at the meeting are let go at once, with their maps as they were, and those that
//! come later skip it. So a stuck owner stops its own levels, and others for no longer than the lock timeout at a time.
//!
//! **Hand-off:** by the owner that applied the change, after the others were let go.
//!
//! **Memory order:** that of the queues', calls' and meetings' locks.
//!
//! **Choose it** when nearly all calls are for one level, spread over many, and cores are many: owners keep their maps in their
//! own caches. Every transaction over several partitions stops all of them and costs a sleep and a waking for each.

pub mod meeting;

#[cfg(test)]
mod model;

use std::sync::Arc;

use self::meeting::{Agenda, Look, Meeting, Part, Split};
use super::owner::Owners;
use super::owner::message::{Apply, Message, Read, Snapshot, Transact};
use super::owner::queue::Patience;
use super::{Contention, ContentionReport, Ledger, Rejected, Strategy, StrategyConfig, TransactRejected};
use crate::stock::{Applied, Change, HandOff, KeySet, Level, StockKey, Transaction};
use crate::sync::Mutex;

/// The handle of owners of parts of the levels. Dropped, it lets them work off their queues and end.
#[derive(Debug)]
pub struct Partitioned {
    owners: Owners,
    hasher: ahash::RandomState,
    /// Held while the parts of a transaction are enqueued: the one order of all transactions.
    order: Mutex<()>,
}

impl Partitioned {
    /// Starts the owners of empty stock that reports to `ledger`. Needs no runtime: they are threads.
    #[expect(clippy::needless_pass_by_value, reason = "as every strategy is built")]
    pub fn new(config: StrategyConfig, ledger: Ledger) -> Self {
        let owners = Owners::start("partition", config.partitions, &config, &ledger);
        Self { owners, hasher: ahash::RandomState::default(), order: Mutex::new(()) }
    }

    /// Takes in levels as recovery found them. For empty stock that nobody uses yet.
    pub async fn restore(&self, levels: Vec<(StockKey, Level)>) {
        let mut parts = vec![Vec::new(); self.owners.count()];
        for (key, level) in levels {
            parts[self.owner_of(&key)].push((key, level));
        }
        for (owner, part) in parts.into_iter().enumerate() {
            self.owners.restore(owner, part).await;
        }
    }

    /// The owners, to wait for what was sent to them, or for their end.
    pub fn owners(&self) -> &Owners {
        &self.owners
    }

    /// Whose a level is.
    pub fn owner_of(&self, key: &StockKey) -> usize {
        let hash = u128::from(self.hasher.hash_one(key));
        #[expect(clippy::cast_possible_truncation, reason = "a product's upper half, less than the count")]
        let owner = ((hash * self.owners.count() as u128) >> u64::BITS) as usize;
        owner
    }

    /// Enqueues the parts of a meeting, in one order with all others. If one cannot be, the rest is to be given up.
    fn send_parts<A: Agenda>(
        &self,
        meeting: &Arc<Meeting<A>>,
        owners: &[usize],
        patience: &mut Patience,
    ) -> Result<(), Contention> {
        let _order = self.order.lock();
        owners.iter().enumerate().try_for_each(|(seat, &owner)| {
            let part: Message = Arc::new(Part { meeting: Arc::clone(meeting), seat });
            self.owners.send(owner, part, patience)
        })
    }

    /// Lets those owners meet, ascending and each once, and does there what the meeting is about.
    async fn meet<A: Agenda>(&self, owners: &[usize], agenda: A) -> Result<A::Answer, Contention> {
        let meeting = Arc::new(Meeting::new(agenda, owners.len()));
        let mut patience = self.owners.patience();
        let sent = self.send_parts(&meeting, owners, &mut patience);
        self.owners.answer(meeting, sent, &patience).await
    }

    /// Whose the levels are: the owners, ascending and each once, and for each key the place of its owner among them.
    fn seats<'k>(&self, keys: impl Iterator<Item = &'k StockKey>) -> (Vec<usize>, Vec<usize>) {
        let owner_of_key: Vec<usize> = keys.map(|key| self.owner_of(key)).collect();
        let mut owners = owner_of_key.clone();
        owners.sort_unstable();
        owners.dedup();
        let seat_of = |owner| owners.binary_search(owner).expect("every key's owner is among them");
        let seats = owner_of_key.iter().map(seat_of).collect();
        (owners, seats)
    }
}

impl Strategy for Partitioned {
    async fn read(&self, key: &StockKey) -> Result<Level, Contention> {
        self.owners.ask(self.owner_of(key), Read { key: key.clone() }).await
    }

    async fn snapshot(&self, keys: &Arc<KeySet>) -> Result<Vec<Level>, Contention> {
        let (owners, seats) = self.seats(keys.keys().iter());
        let keys = Arc::clone(keys);
        match owners[..] {
            [] => Ok(Vec::new()),
            [owner] => self.owners.ask(owner, Snapshot { keys }).await,
            _ => self.meet(&owners, Look { keys, seats }).await,
        }
    }

    async fn apply<H: HandOff>(
        &self,
        key: &StockKey,
        change: Change,
        hand_off: H,
    ) -> Result<Applied, Rejected> {
        let question = Apply { key: key.clone(), change, hand_off };
        Ok(self.owners.ask(self.owner_of(key), question).await??)
    }

    async fn transact<H: HandOff>(
        &self,
        transaction: &Arc<Transaction>,
        hand_off: H,
    ) -> Result<Vec<Applied>, TransactRejected> {
        let (owners, seats) = self.seats(transaction.entries().iter().map(|entry| &entry.key));
        let transaction = Arc::clone(transaction);
        match owners[..] {
            [owner] => Ok(self.owners.ask(owner, Transact { transaction, hand_off }).await??),
            _ => Ok(self.meet(&owners, Split { transaction, seats, hand_off }).await??),
        }
    }

    fn contention(&self) -> ContentionReport {
        self.owners.contention()
    }
}
