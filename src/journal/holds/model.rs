//! Reservations under the model checker (shuttle): the table itself, with a few callers, in thousands of random schedules.
//!
//! What runs is the code of this folder; its locks and the word of the earliest deadline are shuttle's ([`crate::sync`]). What the
//! store adds, beginning again and waiting, is in [`Table`], in the store's order. There is no time: a thread of the model says what it
//! is. Waiting is the shipped loop and tokio's own wake-up, of which each call is one step; whoever is not woken is a deadlock, which
//! shuttle reports.
//!
//! Over all schedules, the outcomes that a model is about occurred. How many schedules, and which: [`crate::sync::schedules`].

mod deadlines;
mod opening;
mod settling;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;

use shuttle::future::block_on;
use shuttle::sync::atomic::AtomicU64;

use super::{Begun, Hold, Holds, Opening, Settlement, Way};
use crate::stock::{HeldLine, Location, Quantity, ReservationId, ReservationState, Sku, StockKey, Term};

/// Before the deadline.
const EARLY: u64 = 50;
/// The deadline of the reservation that a model is about.
const DEADLINE: u64 = 100;
/// What an extension adds to the time at which it is made; so also a time at which one is not due that was extended.
const TTL: u64 = 100;
/// When everything is due.
const LATE: u64 = 1_000;

fn key() -> StockKey {
    StockKey::new(&Sku::parse("a").unwrap(), &Location::DEFAULT)
}

fn id(number: u64) -> ReservationId {
    ReservationId::new(number, u128::from(number))
}

fn term(number: u64, expires_ms: u64) -> Term {
    Term { id: id(number), expires_date_ms: expires_ms + 7, expires_ms }
}

fn assert_occurred(occurred: &BTreeSet<String>, expected: &[&str]) {
    let expected: BTreeSet<String> = expected.iter().map(|&outcome| outcome.to_owned()).collect();
    assert_eq!(*occurred, expected);
}

/// The reservations, the time, and the units of one level that are held.
struct Table {
    holds: Arc<Holds>,
    now_ms: AtomicU64,
    held: AtomicU64,
}

/// What is done with a reservation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Deed {
    Commit,
    Release,
    Extend,
    /// Begins, and goes away.
    GiveUp,
}

impl Table {
    fn new() -> Arc<Self> {
        let (now_ms, held) = (AtomicU64::new(EARLY), AtomicU64::new(0));
        Arc::new(Self { holds: Arc::new(Holds::new(100)), now_ms, held })
    }

    fn open(&self, number: u64) -> Opening {
        let lines = Box::new([HeldLine { key: key(), quantity: Quantity::new(1).unwrap() }]);
        self.holds.open(term(number, DEADLINE), lines, usize::MAX).unwrap()
    }

    /// Takes the units.
    fn make(&self, opening: Opening) -> Arc<Hold> {
        let hold = Arc::clone(opening.hold());
        self.held.fetch_add(1, SeqCst);
        opening.made(|| ());
        hold
    }

    fn now_ms(&self) -> u64 {
        self.now_ms.load(SeqCst)
    }

    /// Gives the units back. Whoever does it twice comes below zero.
    fn settle(&self, settlement: Settlement, way: Way) {
        assert_eq!(self.held.fetch_sub(1, SeqCst), 1, "given back once");
        settlement.settled(way, 1, || ());
    }

    /// Does that, unless something else was done before: whether it did.
    fn does(&self, hold: &Arc<Hold>, deed: Deed) -> bool {
        loop {
            match hold.begin(&self.holds, self.now_ms(), false) {
                Begun::Mine(settlement) => {
                    match deed {
                        Deed::Commit => {
                            self.settle(settlement, Way::Commit(Box::new([Quantity::new(1).unwrap()])));
                        }
                        Deed::Release => self.settle(settlement, Way::Release),
                        Deed::Extend => self.extend(settlement),
                        Deed::GiveUp => drop(settlement),
                    }
                    return true;
                }
                Begun::UnderWay => block_on(self.holds.until_known(hold)),
                Begun::Due | Begun::NotDue => self.expire(hold, self.now_ms()),
                Begun::Finished => return false,
            }
        }
    }

    fn extend(&self, settlement: Settlement) {
        let hold = Arc::clone(settlement.hold());
        let expires_ms = self.now_ms() + TTL;
        let until = Term { expires_ms, ..hold.term() };
        settlement.extended(until, || ());
    }

    /// Expires it if it is due; whoever else is at it is let finish.
    fn expire(&self, hold: &Arc<Hold>, now_ms: u64) {
        loop {
            match hold.begin(&self.holds, now_ms, true) {
                Begun::Mine(settlement) => {
                    assert!(hold.term().expires_ms <= now_ms, "not before the deadline that it has");
                    return self.settle(settlement, Way::Expire);
                }
                Begun::UnderWay => block_on(self.holds.until_known(hold)),
                Begun::NotDue | Begun::Due | Begun::Finished => return,
            }
        }
    }

    /// Expires what is due of the level, as whoever is about to look at it does.
    fn expire_due_of_level(&self, now_ms: u64) {
        if !self.holds.is_due(|| now_ms) {
            return;
        }
        while let Some(hold) = self.holds.due_of(&key(), now_ms) {
            self.expire(&hold, now_ms);
        }
    }

    /// Expires all that is due, as the sweeper does.
    fn sweep(&self, now_ms: u64) {
        loop {
            let due = self.holds.due(now_ms, 64);
            if due.is_empty() {
                return;
            }
            for hold in due {
                self.expire(&hold, now_ms);
            }
            shuttle::thread::yield_now();
        }
    }

    /// When nobody is at it any more: it is in the deadlines exactly if it is pending, and then its units are held.
    fn assert_whole(&self, hold: &Hold) {
        assert!(!hold.is_under_way(), "everybody has finished it or given it back");
        let pending = hold.state() == Some(ReservationState::Pending);
        let expires_ms = Some(hold.term().expires_ms).filter(|_| pending);
        assert_eq!(self.holds.earliest_ms(), expires_ms);
        assert_eq!(self.holds.due_of(&key(), LATE).map(|hold| hold.id()), pending.then(|| hold.id()));
        assert_eq!(self.holds.due(LATE, 9).len(), usize::from(pending));
        assert_eq!(self.holds.open_count(), usize::from(pending));
        assert_eq!(self.held.load(SeqCst), u64::from(pending));
    }
}
