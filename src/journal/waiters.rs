//! [`Waiters`]: who waits for a level to become something, and is woken when it has.
//!
//! Nobody polls. Who waits *enters* ([`Waiters::enter`]), looks at the level once more, and sleeps. Whoever hands a change over finds, under a
//! lock that it takes anyway, whether anybody waits for a level of that part of all levels ([`Lanes`](super::lanes::Lanes)); where nobody does, that is all it costs.
//! Only then it comes here, and judges what the change has made: those whose wait is over are woken, and nobody else. Those that ask for
//! more units than there are are not even looked at.
//!
//! **Nothing is missed.** A change that was handed over before somebody entered was made before it, so that the look after it sees it; one that is handed
//! over after it finds who entered. Somebody who is woken is not listening any more: so it listens again before it looks again.
//!
//! **One keeps the time.** That a reservation's deadline comes changes a level, and nobody hands it over. So of those who wait for a level, the
//! one that entered first sleeps no longer than until the next deadline of the level, and expires what is due, which tells the others; it is told of
//! reservations that are made, whose deadlines may be earlier. When it leaves, the next is told.
//!
//! It never says that a level is still so: who is woken looks for itself.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crossbeam_utils::CachePadded;

use crate::stock::{Changed, Level, Operation, StockKey, Until};
use crate::sync::{Mutex, Notify};

/// Parts, each with a lock and a bit: who changes a level that nobody waits for seldom meets one that somebody does.
const SHARDS: u32 = 32;

/// Where somebody asks for more units than any level has: it is met by none that exists.
const NEVER: u64 = u64::MAX;

/// All who wait.
#[derive(Debug)]
pub struct Waiters {
    hasher: ahash::RandomState,
    shards: Box<[CachePadded<Mutex<Shard>>]>,
    /// How many there are.
    count: AtomicUsize,
    #[cfg(test)]
    woken: AtomicUsize,
}

/// A place among those who wait. Whoever has it leaves with it.
#[derive(Debug)]
pub struct Ticket {
    key: StockKey,
    number: u64,
    told: Arc<Notify>,
}

/// Those who wait for the levels whose hashes fall here.
#[derive(Debug, Default)]
struct Shard {
    levels: HashMap<StockKey, Crowd, ahash::RandomState>,
    next: u64,
}

/// Those who wait for one level.
#[derive(Debug, Default)]
struct Crowd {
    /// All, in the order in which they entered: the first keeps the time.
    all: BTreeMap<u64, Waiter>,
    /// Those who listen, by how many units they need at least: that, and their number.
    listening: BTreeSet<(u64, u64)>,
}

#[derive(Debug)]
struct Waiter {
    until: Until,
    told: Arc<Notify>,
}

impl Default for Waiters {
    fn default() -> Self {
        Self {
            hasher: ahash::RandomState::new(),
            shards: (0..SHARDS).map(|_| CachePadded::default()).collect(),
            count: AtomicUsize::new(0),
            #[cfg(test)]
            woken: AtomicUsize::new(0),
        }
    }
}

impl Waiters {
    /// The bits of its parts, of what is watched.
    pub const BITS: u64 = (1 << SHARDS) - 1;

    /// Enters, and listens from here on; `None` where there are `at_most` already. `raise` tells whoever hands changes over of that bit, before this
    /// returns.
    pub fn enter(
        &self,
        key: &StockKey,
        until: &Until,
        at_most: usize,
        raise: impl FnOnce(u64),
    ) -> Option<Ticket> {
        // In one step: others enter at the same time.
        let counted = |count| (count < at_most).then_some(count + 1);
        self.count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, counted).ok()?;
        let (index, bit) = self.place_of(key);
        let mut shard = self.shards[index].lock();
        if shard.levels.is_empty() {
            raise(bit);
        }
        let number = shard.next;
        shard.next += 1;
        let told = Arc::new(Notify::new());
        let waiter = Waiter { until: until.clone(), told: Arc::clone(&told) };
        shard.levels.entry(key.clone()).or_default().enter(number, waiter);
        Some(Ticket { key: key.clone(), number, told })
    }

    /// Leaves; `lower` tells whoever hands changes over that nobody is left there.
    pub fn leave(&self, ticket: &Ticket, lower: impl FnOnce(u64)) {
        let (index, bit) = self.place_of(&ticket.key);
        let mut shard = self.shards[index].lock();
        let crowd = shard.levels.get_mut(&ticket.key).expect("it has entered");
        let next = crowd.leave(ticket.number);
        if crowd.all.is_empty() {
            shard.levels.remove(&ticket.key);
        }
        if shard.levels.is_empty() {
            lower(bit);
        }
        drop(shard);
        self.count.fetch_sub(1, Ordering::Relaxed);
        if let Some(next) = next {
            next.notify_one();
        }
    }

    /// Listens again, after it was woken: to be done before the level is looked at.
    pub fn listen(&self, ticket: &Ticket) {
        self.with_crowd(ticket, |crowd| crowd.listen(ticket.number));
    }

    /// Whether it keeps the time of its level.
    pub fn keeps_time(&self, ticket: &Ticket) -> bool {
        self.with_crowd(ticket, |crowd| crowd.first() == Some(ticket.number))
    }

    /// Completes when it was woken, and says so; or `false` when it is to look at the time: it may keep it now, or there may be an earlier deadline.
    pub async fn told(&self, ticket: &Ticket) -> bool {
        ticket.told.notified().await;
        self.with_crowd(ticket, |crowd| !crowd.listens(ticket.number))
    }

    /// These changes were made: wakes those whose wait they have ended. `watched` are the bits that were set when they were handed over.
    pub fn tell<'a>(&self, watched: u64, changes: impl Iterator<Item = Changed<'a>>) {
        for changed in changes {
            let (index, bit) = self.place_of(changed.key);
            if watched & bit == 0 {
                continue;
            }
            let mut wakes = Vec::new();
            if let Some(crowd) = self.shards[index].lock().levels.get_mut(changed.key) {
                crowd.wake(changed.after, &mut wakes);
                #[cfg(test)]
                self.woken.fetch_add(wakes.len(), Ordering::Relaxed);
                if matches!(changed.operation, Operation::Reserve { .. }) {
                    wakes.extend(crowd.timekeeper());
                }
            }
            // Without the lock: who wakes takes it.
            for told in &wakes {
                told.notify_one();
            }
        }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// How many were woken.
    #[cfg(test)]
    pub(crate) fn woken(&self) -> usize {
        self.woken.load(Ordering::Relaxed)
    }

    /// How many listen.
    #[cfg(test)]
    pub(crate) fn listening(&self) -> usize {
        let of_shard = |shard: &CachePadded<Mutex<Shard>>| {
            shard.lock().levels.values().map(|crowd| crowd.listening.len()).sum::<usize>()
        };
        self.shards.iter().map(of_shard).sum()
    }

    fn with_crowd<T>(&self, ticket: &Ticket, with: impl FnOnce(&mut Crowd) -> T) -> T {
        let (index, _) = self.place_of(&ticket.key);
        with(self.shards[index].lock().levels.get_mut(&ticket.key).expect("it has entered"))
    }

    fn place_of(&self, key: &StockKey) -> (usize, u64) {
        let shard = self.hasher.hash_one(key) % u64::from(SHARDS);
        (usize::try_from(shard).expect("below the number of shards"), 1 << shard)
    }
}

impl Crowd {
    fn enter(&mut self, number: u64, waiter: Waiter) {
        self.all.insert(number, waiter);
        self.listen(number);
    }

    fn listen(&mut self, number: u64) {
        self.listening.insert(self.entry_of(number));
    }

    fn listens(&self, number: u64) -> bool {
        self.listening.contains(&self.entry_of(number))
    }

    fn entry_of(&self, number: u64) -> (u64, u64) {
        (self.all[&number].until.least_available().unwrap_or(NEVER), number)
    }

    /// Leaves; who is to keep the time from here on, if this one did.
    fn leave(&mut self, number: u64) -> Option<Arc<Notify>> {
        let (entry, kept_time) = (self.entry_of(number), self.first() == Some(number));
        self.listening.remove(&entry);
        self.all.remove(&number);
        if kept_time { self.timekeeper() } else { None }
    }

    fn first(&self) -> Option<u64> {
        self.all.first_key_value().map(|(number, _)| *number)
    }

    fn timekeeper(&self) -> Option<Arc<Notify>> {
        self.all.first_key_value().map(|(_, waiter)| Arc::clone(&waiter.told))
    }

    /// Those whose wait is over now that the level is this: they do not listen any more, and are to be woken.
    fn wake(&mut self, level: Level, wakes: &mut Vec<Arc<Notify>>) {
        let (enough, never) = if level.exists() {
            (..=(level.available(), u64::MAX), (NEVER, u64::MAX)..)
        } else {
            (..=(0, u64::MAX), (NEVER, 0)..)
        };
        let asked = self.listening.range(enough).chain(self.listening.range(never));
        let met = asked.filter(|(_, number)| self.all[number].until.is_met(level));
        let met: Vec<(u64, u64)> = met.copied().collect();
        for entry in met {
            self.listening.remove(&entry);
            wakes.push(Arc::clone(&self.all[&entry.1].told));
        }
    }
}

#[cfg(test)]
mod model;
