//! `combining`: locks whose holders do the work of those who wait for them (flat combining).
//!
//! **What is shared:** maps, one per shard, each behind a lock. Who finds a lock taken publishes its request in a slot beside
//! it; whoever holds the lock applies all requests that are published before it lets go, each with a version of its own.
//! So the levels move between cores once per batch instead of once per request. The protocol is in [`shard`], the life
//! of a request in [`slot`].
//!
//! **Locks:** a read or a change of one level takes the lock of its shard, or none at all if somebody serves it. A transaction
//! takes the locks of its shards **in ascending order, each once**, holds them all until it is done, and serves what is
//! published in each before it lets it go. Nobody waits for a lock while it holds another, but transactions, in that order.
//!
//! **Waits:** a few looks, then asleep in the lock's queue, up to the lock timeout; then the request is withdrawn, unless it is being
//! served at that moment, which takes no longer than the change itself.
//!
//! **Who hands over:** the caller itself, whoever applied its change, after it saw the answer, with no lock held and
//! no await in between. Nothing of a call awaits, so it cannot be cancelled between the two, and a panic of its own change reaches it before
//! it. A combiner knows no hand-off, so one that dies leaves none undone.
//!
//! **Fairness:** a published request is passed over by fewer than twice [`SLOTS`] others of its shard ([`shard`] says why); a transaction
//! has the lock's own fairness: half a millisecond after it could have had it.
//!
//! **Memory order:** the locks'.
//!
//! **Source:** Hendler, Incze, Shavit, Tzafrir: Flat combining and the synchronization-parallelism tradeoff, SPAA 2010. Theirs keeps
//! publication records in a list, one a thread, and spins; here they are an array, and waiters sleep.

pub mod shard;
pub mod slot;
pub mod sync;

#[cfg(test)]
mod model;

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use hashbrown::raw::RawTable;

use self::shard::{Desk, Inside, Shard, Tuning};
use super::contention::Held;
use super::{
    Contention, ContentionReport, HandOff, Ledger, Meter, Rejected, Strategy, StrategyConfig,
    TransactRejected, table,
};
use crate::stock::{Applied, Change, Level, Refusal, StockKey, Transaction};

/// Requests that can be published in a shard at a time. More callers wait at its lock.
pub const SLOTS: usize = 32;

/// Shards: a power of two.
const SHARDS: usize = 16;

const TUNING: Tuning = Tuning { slots: SLOTS, looks: 16, passes: 1 };

/// Maps behind locks whose holders serve those who wait.
#[derive(Debug)]
pub struct Combining {
    shards: Box<[Shard<Levels>]>,
    hasher: ahash::RandomState,
    ledger: Ledger,
    meter: Meter,
    config: StrategyConfig,
}

/// The levels of one shard.
pub struct Levels {
    table: RawTable<(StockKey, Level)>,
    hasher: ahash::RandomState,
}

/// What is asked of one level.
#[derive(Debug)]
pub struct Question {
    key: StockKey,
    /// Hashed by the asker: outside the lock.
    hash: u64,
    /// `None`: it is only read.
    change: Option<Change>,
}

/// What came of it.
#[derive(Debug, Clone, Copy)]
pub enum Answer {
    /// The level.
    Read(Level),
    /// The change, made or not.
    Judged(Result<Applied, Refusal>),
}

/// Where a key lies: in which shard, under which hash.
#[derive(Debug, Clone, Copy)]
struct Place {
    shard: usize,
    hash: u64,
}

type HeldShards<'a> = Vec<(usize, Held<'a, Inside<'a, Levels>>)>;

impl Combining {
    /// Empty stock that reports to `ledger`.
    pub fn new(config: StrategyConfig, ledger: Ledger) -> Self {
        let hasher = ahash::RandomState::new();
        let levels = |_| Shard::new(Levels { table: RawTable::new(), hasher: hasher.clone() }, TUNING);
        let shards = (0..SHARDS).map(levels).collect();
        Self { shards, hasher, ledger, meter: Meter::default(), config }
    }

    fn place(&self, key: &StockKey) -> Place {
        let hash = self.hasher.hash_one(key);
        // The map uses the lowest bits and the highest seven: these are others.
        let shard = (hash >> 32) as usize & (self.shards.len() - 1);
        Place { shard, hash }
    }

    fn ask(&self, key: &StockKey, change: Option<Change>) -> Result<Answer, Contention> {
        let Place { shard, hash } = self.place(key);
        let shard = &self.shards[shard];
        if let Some(mut inside) = shard.try_enter() {
            let sample = self.meter.served(None);
            let answer = inside.answer(key, hash, change);
            drop(inside);
            drop(sample);
            return Ok(answer);
        }
        self.meter.contended(0);
        let deadline = Instant::now() + self.config.lock_timeout;
        let question = Question { key: key.clone(), hash, change };
        let answer = self.meter.waited(|| shard.ask_until(question, deadline))?;
        self.meter.lock_free();
        Ok(answer)
    }

    /// Goes into every shard named, in the one order there is: ascending, each once.
    fn enter(&self, places: &[Place]) -> Result<HeldShards<'_>, Contention> {
        let mut shards: Vec<usize> = places.iter().map(|place| place.shard).collect();
        shards.sort_unstable();
        shards.dedup();
        // Set by the first that has to be waited for, and bounds the waits of all.
        let mut deadline = None;
        let mut enter = |number: usize| {
            let shard = &self.shards[number];
            let wait = |fresh| shard.enter_until(*deadline.get_or_insert(fresh));
            Ok((number, self.meter.acquire(self.config.lock_timeout, || shard.try_enter(), wait)?))
        };
        shards.into_iter().map(&mut enter).collect()
    }

    fn transact_now(&self, transaction: &Transaction) -> Result<Vec<Applied>, TransactRejected> {
        let entries = transaction.entries();
        let places: Vec<Place> = entries.iter().map(|entry| self.place(&entry.key)).collect();
        let mut held = self.enter(&places)?;
        let at = |held: &HeldShards<'_>, shard| {
            held.binary_search_by_key(&shard, |held| held.0).expect("the shard of every place is held")
        };
        let find = |(entry, place): (&crate::stock::Entry, &Place)| {
            held[at(&held, place.shard)].1.find(&entry.key, place.hash)
        };
        let found = entries.iter().zip(&places).map(find).collect();
        let applied = table::judge(transaction, found)?;
        for ((entry, place), applied) in entries.iter().zip(&places).zip(&applied) {
            let shard = at(&held, place.shard);
            held[shard].1.put(&entry.key, place.hash, applied.after);
        }
        Ok(applied)
    }
}

impl<H: HandOff> Strategy<H> for Combining {
    async fn read(&self, key: &StockKey) -> Result<Level, Contention> {
        match self.ask(key, None)? {
            Answer::Read(level) => Ok(level),
            Answer::Judged(_) => unreachable!("a read is answered with a level"),
        }
    }

    async fn apply(&self, key: &StockKey, change: Change, hand_off: H) -> Result<Applied, Rejected> {
        let applied = match self.ask(key, Some(change))? {
            Answer::Judged(judged) => judged?,
            Answer::Read(_) => unreachable!("a change is answered with what came of it"),
        };
        self.ledger.one(hand_off, key, change.operation, applied);
        Ok(applied)
    }

    async fn transact(
        &self,
        transaction: &Arc<Transaction>,
        hand_off: H,
    ) -> Result<Vec<Applied>, TransactRejected> {
        let applied = self.transact_now(transaction)?;
        self.ledger.many(hand_off, transaction, &applied);
        Ok(applied)
    }

    fn contention(&self) -> ContentionReport {
        self.meter.report()
    }
}

impl Levels {
    fn answer(&mut self, key: &StockKey, hash: u64, change: Option<Change>) -> Answer {
        match change {
            None => Answer::Read(self.find(key, hash)),
            Some(change) => Answer::Judged(self.apply(key, hash, change)),
        }
    }

    fn apply(&mut self, key: &StockKey, hash: u64, change: Change) -> Result<Applied, Refusal> {
        if let Some((_, level)) = self.table.get_mut(hash, |(there, _)| there == key) {
            let before = *level;
            *level = change.judge(before)?;
            return Ok(Applied { before, after: *level });
        }
        let applied = Applied { before: Level::ABSENT, after: change.judge(Level::ABSENT)? };
        self.insert(key, hash, applied.after);
        Ok(applied)
    }

    fn find(&self, key: &StockKey, hash: u64) -> Level {
        self.table.get(hash, |(there, _)| there == key).map_or(Level::ABSENT, |(_, level)| *level)
    }

    fn put(&mut self, key: &StockKey, hash: u64, level: Level) {
        match self.table.get_mut(hash, |(there, _)| there == key) {
            Some((_, there)) => *there = level,
            None => self.insert(key, hash, level),
        }
    }

    fn insert(&mut self, key: &StockKey, hash: u64, level: Level) {
        let hasher = &self.hasher;
        self.table.insert(hash, (key.clone(), level), |(key, _)| hasher.hash_one(key));
    }
}

impl fmt::Debug for Levels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Levels").field("count", &self.table.len()).finish_non_exhaustive()
    }
}

impl Desk for Levels {
    type Question = Question;
    type Answer = Answer;

    fn serve(&mut self, Question { key, hash, change }: Question) -> Answer {
        self.answer(&key, hash, change)
    }
}
