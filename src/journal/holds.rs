//! [`Holds`]: the reservations there are: which units of which levels are held, and until when.
//!
//! The units themselves are in the levels. What is here says whose they are, and when they are free again; so three things are
//! asked of it:
//!
//! - *Is anything due?* [`Holds::is_due`], asked by every request: one load of one word, the earliest deadline of all, and a look at the
//!   clock only where there is one.
//! - *What is due of this level?* [`Holds::due_of`], by whoever touches the level: the deadlines of each level, in order.
//! - *What is due?* [`Holds::due`], by who tidies up: level by level, those first whose first deadline came first.
//!
//! **Settled once.** A reservation is committed, released or expires, once, whoever tries ([`hold`]): the first to *begin* keeps the others
//! waiting until the levels have changed, and then what became of it is known; or gives it back as it was.
//!
//! A hold is entered before its units are taken and leaves the deadlines after they were given back, so whoever looks in between finds it, and
//! waits for what comes of it. Finished ones stay for a while, and are bounded in number.
//!
//! The journal has it because a start finds it in the log, and a snapshot is of it too; what may be asked of reservations, and in
//! which order a deed, its record and its answer come, is the store's.

mod deadlines;
pub mod found;
pub mod hold;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

pub use found::{AllFound, Found};
pub use hold::{Begun, Hold, Opening, Settlement, Way};

use self::deadlines::Deadlines;
use super::register::{Kept, Page, Register};
use crate::stock::{HeldLine, Reservation, ReservationId, ReservationState, StockKey, Term};
use crate::sync::Notify;

/// All reservations: those that hold something, and the last of those that do not any more.
#[derive(Debug)]
pub struct Holds {
    register: Register<Hold>,
    deadlines: Deadlines,
    /// Those that are not finished.
    open: AtomicUsize,
    /// Something was settled, or given up: who waits looks again.
    changed: Notify,
    /// The earliest deadline has become earlier.
    earlier: Notify,
}

impl Holds {
    /// None. Of finished ones `finished_max` stay at most.
    pub fn new(finished_max: usize) -> Self {
        Self {
            register: Register::new(finished_max),
            deadlines: Deadlines::default(),
            open: AtomicUsize::new(0),
            changed: Notify::new(),
            earlier: Notify::new(),
        }
    }

    /// Whether the deadline of any reservation has come; `now_ms` is asked only where there is one at all.
    #[inline]
    pub fn is_due(&self, now_ms: impl FnOnce() -> u64) -> bool {
        let earliest = self.deadlines.earliest();
        earliest != u64::MAX && earliest <= now_ms()
    }

    /// The earliest deadline of all; `None` where nothing is held.
    pub fn earliest_ms(&self) -> Option<u64> {
        Some(self.deadlines.earliest()).filter(|earliest| *earliest != u64::MAX)
    }

    /// Completes when the earliest deadline has become earlier. To be asked for before that is looked at.
    pub fn earlier(&self) -> tokio::sync::futures::Notified<'_> {
        self.earlier.notified()
    }

    /// The reservation of that level whose deadline has come first, if any has.
    pub fn due_of(&self, key: &StockKey, now_ms: u64) -> Option<Arc<Hold>> {
        self.deadlines.due_of(key, now_ms)
    }

    /// The earliest deadline of the reservations of that level; that of another level may be told as well.
    pub fn next_of(&self, key: &StockKey) -> Option<u64> {
        self.deadlines.next_of(key)
    }

    /// Some of the reservations whose deadline has come, `count` at most, and at least one if there are any.
    pub fn due(&self, now_ms: u64, count: usize) -> Vec<Arc<Hold>> {
        self.deadlines.due(now_ms, count)
    }

    /// The reservation of that name, while it is there.
    pub fn get(&self, id: ReservationId) -> Option<Arc<Hold>> {
        self.register.get(id)
    }

    /// A page of those after `after`, in the order of their names, that are of that state at that time, or may be once it is known what
    /// becomes of them. One whose deadline has come is as good as expired, whether or not that was done: it is left to who shows it.
    pub fn page(
        &self,
        state: Option<ReservationState>,
        now_ms: u64,
        after: Option<ReservationId>,
        limit: usize,
    ) -> Page<Hold> {
        self.register.page(after, limit, |hold| hold.may_be(state, now_ms))
    }

    /// How many are not finished.
    pub fn open_count(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// Enters a reservation whose units are about to be taken: whoever meets it waits for that. `None` where there are
    /// `open_max` already.
    pub fn open(self: &Arc<Self>, term: Term, lines: Box<[HeldLine]>, open_max: usize) -> Option<Opening> {
        // In one step: others are let in at the same time.
        let counted = |open| (open < open_max).then_some(open + 1);
        self.open.fetch_update(Ordering::Relaxed, Ordering::Relaxed, counted).ok()?;
        let hold = Arc::new(Hold::opening(term, lines));
        self.enter(&hold, term.expires_ms);
        Some(Opening::new(Arc::clone(self), hold))
    }

    /// Puts a reservation in that a start found.
    pub fn restore(&self, found: Found) {
        let (hold, finished_ms) = Hold::found(found);
        let hold = Arc::new(hold);
        match finished_ms {
            None => {
                self.open.fetch_add(1, Ordering::Relaxed);
                self.enter(&hold, hold.term().expires_ms);
            }
            Some(finished_ms) => {
                let id = hold.id();
                self.register.insert(hold);
                self.register.finished(id, finished_ms);
            }
        }
    }

    /// Calls `each` with every reservation that is neither being made nor forgotten, a shard at a time; one that is being settled is
    /// as it was before.
    pub fn walk(&self, mut each: impl FnMut(Found)) {
        self.register.walk(|hold| hold.as_found().into_iter().for_each(&mut each));
    }

    /// Forgets finished ones that were finished at `before_ms` or earlier.
    pub fn forget_before(&self, before_ms: u64) {
        self.register.forget_before(before_ms);
    }

    /// Waits until nobody is making, settling or extending that reservation.
    pub async fn until_known(&self, hold: &Hold) {
        loop {
            // Before it is looked at: what changes from here on is not missed.
            let changed = self.changed.notified();
            if !hold.is_under_way() {
                return;
            }
            changed.await;
        }
    }

    fn enter(&self, hold: &Arc<Hold>, expires_ms: u64) {
        self.register.insert(Arc::clone(hold));
        let mut is_earlier = false;
        for line in hold.lines() {
            is_earlier |= self.deadlines.insert(&line.key, expires_ms, hold);
        }
        if is_earlier {
            self.earlier.notify_waiters();
        }
    }

    /// It holds nothing any more, as its units were given back, or were never taken.
    fn leave(&self, hold: &Hold, expires_ms: u64) {
        for line in hold.lines() {
            self.deadlines.remove(&line.key, expires_ms, hold);
        }
        self.open.fetch_sub(1, Ordering::Relaxed);
    }

    /// Its units were never taken: there is no such reservation any more.
    fn never(&self, hold: &Hold) {
        self.register.remove(hold.id());
        self.changed.notify_waiters();
    }

    /// It is finished, at that time as it grows old: the oldest that are go.
    fn finished(&self, hold: &Hold, finished_ms: u64) {
        self.register.finished(hold.id(), finished_ms);
    }

    /// Its deadline is another one.
    fn postpone(&self, hold: &Arc<Hold>, from_ms: u64, to_ms: u64) {
        if from_ms == to_ms {
            return;
        }
        for line in hold.lines() {
            self.deadlines.insert(&line.key, to_ms, hold);
            self.deadlines.remove(&line.key, from_ms, hold);
        }
    }
}

impl Kept for Hold {
    type Of = Reservation;

    fn id(&self) -> ReservationId {
        self.id()
    }
}

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;
