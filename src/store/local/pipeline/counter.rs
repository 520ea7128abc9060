//! [`Counter`]: whose turn it is, and who waits for which level. Data only: no lock, no clock, nobody is woken from here.
//!
//! ```text
//!   queued --next--> at the counter, in the line of each of its levels
//!                      first in all its lines:             tried  --> gone
//!                      behind one that waits for units:    held up --> waiting, or gone
//!                      behind one that is being tried:     blocked, until that is known
//!                    waiting, and first in all its lines when units come free, or those before it go:  tried again
//! ```
//!
//! **Nobody is overtaken.** A level has one line, in the order of ranks, and only who is first in all of its lines is tried. So an order never
//! takes units of a level for which one waits that is before it; and since there is one order of ranks, the lowest at the counter is
//! first everywhere, and nobody waits for one that waits for it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use crate::stock::{Order, OrderId, StockKey};
use crate::store::rank::Rank;

/// How many may be blocked before no further order is called up: they are called up one after the other, and each of them looks at
/// all who are before it.
const BLOCKED_MAX: usize = 64;

/// The queue, and the lines.
#[derive(Debug, Default)]
pub(super) struct Counter {
    queued: BTreeMap<Rank, Arc<Order>>,
    there: BTreeMap<Rank, Standing>,
    lines: HashMap<StockKey, BTreeSet<Rank>>,
    /// Of those that are there: to be seen to.
    ready: BTreeSet<Rank>,
    /// Of those that are there: behind one that is seen to.
    blocked: BTreeSet<Rank>,
    /// How many have a place to wait.
    places: usize,
}

/// An order at the counter.
#[derive(Debug)]
struct Standing {
    order: Arc<Order>,
    stage: Stage,
    /// Whether units of its levels that come free are told of.
    is_watched: bool,
    has_place: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Stage {
    /// To be tried, or to be told that it is held up.
    Ready,
    /// Somebody sees to it; `again`: something has changed since.
    SeenTo { again: bool },
    /// Behind one that is ready or seen to.
    Blocked,
    /// It waits for units, or for one before it that does.
    Waiting,
}

/// What is to be done with an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::store::local) struct Task {
    pub(super) rank: Rank,
    pub(in crate::store::local) id: OrderId,
    pub(in crate::store::local) what: What,
}

/// What.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::store::local) enum What {
    /// To take its units.
    Try,
    /// One that is before it waits for units of this level: it is to wait, too, or to be rejected.
    HeldUp(StockKey),
}

/// Levels that need not be watched any more: those of an order that has left.
pub(super) type Unwatched = Option<Arc<Order>>;

impl Counter {
    /// An order is to have its turn.
    pub(super) fn add(&mut self, rank: Rank, order: Arc<Order>) {
        self.queued.insert(rank, order);
    }

    /// What is to be done next, if anything is. Whoever asks does it, and then says what came of it: [`Counter::wait`],
    /// [`Counter::put_back`] or [`Counter::leave`].
    pub(super) fn next(&mut self) -> Option<Task> {
        while let Some(rank) = self.next_rank() {
            if let Some(task) = self.see_to(rank) {
                return Some(task);
            }
        }
        None
    }

    /// It found too little, and waits. Whether it does; or it is to be tried again, as something has changed since. Those behind it are
    /// held up now.
    pub(super) fn wait(&mut self, rank: Rank) -> bool {
        let Some(standing) = self.there.get_mut(&rank) else { return false };
        if standing.stage == (Stage::SeenTo { again: true }) {
            self.put_back(rank);
            return false;
        }
        standing.stage = Stage::Waiting;
        let order = Arc::clone(&standing.order);
        // They are told: whom they are behind waits.
        let behind = self.blocked.range(rank..).copied();
        let behind = behind.filter(|blocked| shares_level(&order, &self.there[blocked].order));
        for blocked in behind.collect::<Vec<_>>() {
            self.make_ready(blocked);
        }
        true
    }

    /// It could not be seen to, and is to be seen to again.
    pub(super) fn put_back(&mut self, rank: Rank) {
        if self.there.contains_key(&rank) {
            self.make_ready(rank);
        }
    }

    /// It is over: whoever is first now in one of its lines is seen to. Also of one that nobody had called up.
    pub(super) fn leave(&mut self, rank: Rank) -> Unwatched {
        self.queued.remove(&rank);
        let standing = self.there.remove(&rank)?;
        self.ready.remove(&rank);
        self.blocked.remove(&rank);
        self.places -= usize::from(standing.has_place);
        for line in &standing.order.lines {
            if let Some(others) = self.lines.get_mut(&line.key) {
                others.remove(&rank);
                if others.is_empty() {
                    self.lines.remove(&line.key);
                }
            }
        }
        for line in &standing.order.lines {
            self.look_at_first(&line.key);
        }
        standing.is_watched.then_some(standing.order)
    }

    /// [`Counter::leave`], but for one that somebody sees to: who does finds out that it is over.
    pub(super) fn cancelled(&mut self, rank: Rank) -> Unwatched {
        let is_seen_to =
            self.there.get(&rank).is_some_and(|standing| matches!(standing.stage, Stage::SeenTo { .. }));
        if is_seen_to { None } else { self.leave(rank) }
    }

    /// Units of that level came free: who is first in its line is seen to.
    pub(super) fn freed(&mut self, key: &StockKey) {
        self.look_at_first(key);
    }

    /// From here on units of its levels that come free are told of; `false` if they were before.
    pub(super) fn watch(&mut self, rank: Rank) -> bool {
        let standing = self.there.get_mut(&rank);
        standing.is_some_and(|standing| !std::mem::replace(&mut standing.is_watched, true))
    }

    /// Takes one of `places_max` places to wait, unless it has one; `false` where there is none.
    pub(super) fn take_place(&mut self, rank: Rank, places_max: usize) -> bool {
        let Some(standing) = self.there.get_mut(&rank) else { return false };
        if !standing.has_place && self.places < places_max {
            standing.has_place = true;
            self.places += 1;
        }
        standing.has_place
    }

    /// Whether there is something to do, for somebody who is free.
    pub(super) fn has_work(&self) -> bool {
        !self.ready.is_empty() || (!self.queued.is_empty() && self.blocked.len() < BLOCKED_MAX)
    }

    /// The lowest that is ready, or that is called up now.
    fn next_rank(&mut self) -> Option<Rank> {
        let ready = self.ready.first().copied();
        let queued = self.queued.first_key_value().map(|(rank, _)| *rank);
        match queued.filter(|_| self.blocked.len() < BLOCKED_MAX) {
            Some(queued) if ready.is_none_or(|ready| queued < ready) => {
                self.call_up(queued);
                Some(queued)
            }
            _ => ready,
        }
    }

    /// One of the queue goes to the counter, and into its lines.
    fn call_up(&mut self, rank: Rank) {
        let order = self.queued.remove(&rank).expect("it is the first of the queue");
        for line in &order.lines {
            self.lines.entry(line.key.clone()).or_default().insert(rank);
        }
        let (is_watched, has_place) = (false, false);
        self.there.insert(rank, Standing { order, stage: Stage::Ready, is_watched, has_place });
    }

    /// What is to be done with one that is ready; nothing, if it is behind one that is not known yet to wait.
    fn see_to(&mut self, rank: Rank) -> Option<Task> {
        self.ready.remove(&rank);
        let what = if self.is_first_everywhere(rank) {
            What::Try
        } else if let Some(key) = self.behind_waiting(rank) {
            What::HeldUp(key)
        } else {
            self.there.get_mut(&rank).expect("it is at the counter").stage = Stage::Blocked;
            self.blocked.insert(rank);
            return None;
        };
        let standing = self.there.get_mut(&rank).expect("it is at the counter");
        standing.stage = Stage::SeenTo { again: false };
        Some(Task { rank, id: standing.order.id, what })
    }

    /// Whoever is first in that line may have got something to do.
    fn look_at_first(&mut self, key: &StockKey) {
        let Some(rank) = self.lines.get(key).and_then(|line| line.first()).copied() else { return };
        let is_first_everywhere = self.is_first_everywhere(rank);
        let standing = self.there.get_mut(&rank).expect("who is in a line is at the counter");
        match &mut standing.stage {
            Stage::SeenTo { again } => *again = true,
            Stage::Blocked | Stage::Waiting if is_first_everywhere => self.make_ready(rank),
            Stage::Blocked | Stage::Waiting | Stage::Ready => {}
        }
    }

    fn make_ready(&mut self, rank: Rank) {
        self.blocked.remove(&rank);
        self.there.get_mut(&rank).expect("it is at the counter").stage = Stage::Ready;
        self.ready.insert(rank);
    }

    fn is_first_everywhere(&self, rank: Rank) -> bool {
        let order = &self.there[&rank].order;
        order.lines.iter().all(|line| self.lines[&line.key].first() == Some(&rank))
    }

    /// The level for which one waits that is before it, if there is one.
    fn behind_waiting(&self, rank: Rank) -> Option<StockKey> {
        let waits = |before: &Rank| self.there[before].stage == Stage::Waiting;
        let mut lines = self.there[&rank].order.lines.iter();
        lines.find(|line| self.lines[&line.key].range(..rank).any(waits)).map(|line| line.key.clone())
    }
}

/// Whether two orders are for units of the same level; the lines of both are in the order of their keys.
fn shares_level(a: &Order, b: &Order) -> bool {
    a.lines.iter().any(|line| b.lines.binary_search_by(|other| other.key.cmp(&line.key)).is_ok())
}

#[cfg(test)]
mod tests;
