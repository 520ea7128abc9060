//! [`Shard`]: something that one thread at a time is inside of, and the slots in which others leave their questions meanwhile.
//!
//! # The protocol
//!
//! **Who finds nobody inside** goes in and does its own work. **Who finds somebody** publishes its question in a slot, looks
//! for a while whether it was answered or the way in is free, and then sleeps in the lock's own queue. **Who goes out** first
//! serves every question that is published at that moment: it is the combiner of that batch. So the levels stay in the
//! cache of one core for a batch, and most of those who wait never take the lock.
//!
//! Nobody depends on the combiner for more than speed: whoever waits for its answer also waits for the lock, and once
//! it has it, it finds its question answered, or still there to be served by itself. There is no wake-up to lose, no
//! combiner to elect, and a combiner that unwinds leaves the lock to the next in the queue.
//!
//! **A panic** while a question of another is served is carried to its asker, as if it had done the work itself; the rest of
//! the batch is served.
//!
//! # The bound
//!
//! Whoever goes out serves *all* questions that were published when it looked, each slot once, at most [`Tuning::passes`] times. So
//! a published question is passed over at most by the rest of the batch under way and by whoever comes in next with
//! its batch: by fewer than `2 * slots` others. A caller that finds no free slot (more callers wait than there are slots)
//! has only the lock's own fairness, and so have [`Shard::enter_until`]'s callers.
//!
//! **Memory order:** everything inside is ordered by the lock. The set of published slots is sequentially consistent: it is
//! only a hint where to look, and losing one costs the bound, not the answer.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::thread;
use std::time::Instant;

use crossbeam_utils::CachePadded;

use super::slot::Slot;
use super::sync::{self, AtomicU64, Mutex, MutexGuard, Ordering};

/// What is inside: it answers questions.
pub trait Desk {
    /// What it is asked.
    type Question: fmt::Debug;
    /// What it says.
    type Answer: fmt::Debug;
    /// Answers one.
    fn serve(&mut self, question: Self::Question) -> Self::Answer;
}

/// A desk, and slots for those who find it taken.
#[derive(Debug)]
pub struct Shard<D: Desk> {
    desk: CachePadded<Mutex<D>>,
    /// A bit for each slot that was published since somebody looked.
    published: CachePadded<AtomicU64>,
    slots: Box<[CachePadded<Slot<D::Question, D::Answer>>]>,
    tuning: Tuning,
}

/// The numbers of the protocol.
#[derive(Debug, Clone, Copy)]
pub struct Tuning {
    /// Slots of a shard: at most 64.
    pub slots: usize,
    /// How often who waits looks before it sleeps.
    pub looks: u32,
    /// How many batches who goes out serves at most.
    pub passes: u32,
}

/// Being inside. Dropped, it serves what is published, and lets the next one in.
#[derive(Debug)]
pub struct Inside<'a, D: Desk> {
    shard: &'a Shard<D>,
    desk: MutexGuard<'a, D>,
}

/// A question in a slot. It must be waited for: dropped, it keeps its slot for good.
#[derive(Debug)]
#[must_use]
pub(super) struct Posted<'a, D: Desk> {
    shard: &'a Shard<D>,
    slot: &'a Slot<D::Question, D::Answer>,
}

impl<D: Desk> Shard<D> {
    /// With nobody inside.
    pub fn new(desk: D, tuning: Tuning) -> Self {
        Self {
            desk: CachePadded::new(Mutex::new(desk)),
            published: CachePadded::new(AtomicU64::new(0)),
            slots: (0..tuning.slots).map(|_| CachePadded::new(Slot::new())).collect(),
            tuning,
        }
    }

    /// Goes in if nobody is inside.
    pub fn try_enter(&self) -> Option<Inside<'_, D>> {
        self.desk.try_lock().map(|desk| Inside { shard: self, desk })
    }

    /// Goes in, and waits for it; `None` at the deadline.
    pub fn enter_until(&self, deadline: Instant) -> Option<Inside<'_, D>> {
        sync::lock_until(&self.desk, deadline).map(|desk| Inside { shard: self, desk })
    }

    /// Has a question answered by whoever is inside, or goes in itself; `None` at the deadline, and then the question was not
    /// served and never will be.
    pub fn ask_until(&self, question: D::Question, deadline: Instant) -> Option<D::Answer> {
        match self.post(question) {
            Ok(posted) => posted.wait(deadline),
            Err(question) => self.enter_until(deadline).map(|mut inside| inside.desk.serve(question)),
        }
    }

    /// Publishes a question; gives it back if no slot is free.
    pub(super) fn post(&self, question: D::Question) -> Result<Posted<'_, D>, D::Question> {
        let Some(number) = self.reserve() else {
            return Err(question);
        };
        let slot = &*self.slots[number];
        slot.publish(question);
        self.published.fetch_or(1 << number, Ordering::SeqCst);
        Ok(Posted { shard: self, slot })
    }

    fn reserve(&self) -> Option<usize> {
        let count = self.slots.len();
        let first = sync::thread_number();
        (0..count).map(|step| (first + step) % count).find(|&number| self.slots[number].reserve())
    }
}

impl<D: Desk> Posted<'_, D> {
    /// Waits for the answer, or for a way in; `None` at the deadline, and then the question was withdrawn.
    pub(super) fn wait(self, deadline: Instant) -> Option<D::Answer> {
        let Self { shard, slot } = self;
        for look in 0..shard.tuning.looks {
            if slot.is_answered() {
                return Some(unwrapped(slot.collect()));
            }
            if let Some(inside) = shard.try_enter() {
                return Some(inside.own(slot));
            }
            sync::pause(look);
        }
        if let Some(inside) = shard.enter_until(deadline) {
            return Some(inside.own(slot));
        }
        match slot.withdraw() {
            Some(_question) => None,
            None => Some(unwrapped(taken(slot))),
        }
    }
}

impl<D: Desk> Inside<'_, D> {
    /// Answers a question whose asker has come in itself: here, unless somebody did it before.
    fn own(mut self, slot: &Slot<D::Question, D::Answer>) -> D::Answer {
        // Questions are taken and answered inside, where nobody else is: it is either still published or answered.
        match slot.withdraw() {
            Some(question) => self.desk.serve(question),
            None => unwrapped(slot.collect()),
        }
    }

    fn combine(&mut self) {
        for _ in 0..self.shard.tuning.passes {
            // The cheap look first: mostly there is nothing, and a swap would move the line.
            if self.shard.published.load(Ordering::SeqCst) == 0 {
                return;
            }
            let mut batch = self.shard.published.swap(0, Ordering::SeqCst);
            while batch != 0 {
                self.serve_slot(batch.trailing_zeros() as usize);
                batch &= batch - 1;
            }
        }
    }

    fn serve_slot(&mut self, number: usize) {
        let slot = &*self.shard.slots[number];
        // Gone, if its asker withdrew it or came in itself.
        if let Some(question) = slot.take() {
            slot.answer(catch_unwind(AssertUnwindSafe(|| self.desk.serve(question))));
        }
    }
}

impl<D: Desk> Drop for Inside<'_, D> {
    fn drop(&mut self) {
        // Who unwinds lets go at once: those who wait are in the lock's queue, and serve themselves.
        if !thread::panicking() {
            self.combine();
        }
    }
}

impl<D: Desk> Deref for Inside<'_, D> {
    type Target = D;

    fn deref(&self) -> &D {
        &self.desk
    }
}

impl<D: Desk> DerefMut for Inside<'_, D> {
    fn deref_mut(&mut self) -> &mut D {
        &mut self.desk
    }
}

/// Waits for the answer to a question that was taken: as long as it takes to serve it.
#[cold]
fn taken<Q, A>(slot: &Slot<Q, A>) -> thread::Result<A> {
    let mut looks = 0;
    while !slot.is_answered() {
        sync::pause(looks);
        looks = looks.saturating_add(1);
    }
    slot.collect()
}

fn unwrapped<A>(answer: thread::Result<A>) -> A {
    answer.unwrap_or_else(|panic| resume_unwind(panic))
}
