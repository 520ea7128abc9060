//! Waiters under the model checker (shuttle): entering, looking and sleeping against changes that are handed over, on the code that is shipped.
//!
//! What the store and the lanes add is here in their order: a change is made, then handed over under the lock of the lane; who waits looks, enters,
//! looks again, sleeps, and listens before it looks once more. Whoever is not woken is a deadlock, which shuttle reports.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;

use shuttle::future::block_on;
use shuttle::thread;

use super::{Ticket, Waiters};
use crate::stock::{
    Changed, IfMissing, Level, Location, Operation, Precondition, Quantity, Sku, StockKey, Until,
};
use crate::sync::schedules::outcomes;
use crate::sync::{AtomicU64, Mutex};

fn assert_occurred(occurred: &BTreeSet<String>, expected: &[&str]) {
    let expected: BTreeSet<String> = expected.iter().map(|&outcome| outcome.to_owned()).collect();
    assert_eq!(*occurred, expected);
}

fn key() -> StockKey {
    StockKey::new(&Sku::parse("a").unwrap(), &Location::DEFAULT)
}

fn until(units: u64) -> Until {
    Until { demanded: Precondition::Any, other_than: None, min_available: Quantity::new(units) }
}

/// A level, and a lane through which its changes are handed over.
struct House {
    units: AtomicU64,
    /// The lock of the lane, and under it who is watched for.
    lane: Mutex<u64>,
    waiters: Waiters,
}

impl House {
    fn new() -> Arc<Self> {
        let (units, lane) = (AtomicU64::new(0), Mutex::new(0));
        Arc::new(Self { units, lane, waiters: Waiters::default() })
    }

    /// The level changes, by the one thread that changes it, then the change is handed over.
    fn change(&self, operation: Operation, after: u64) {
        let before = self.units.swap(after, SeqCst);
        let watched = *self.lane.lock();
        if watched != 0 {
            let level = |units| Level::existing(units, 0, units + 1).unwrap();
            let (key, before, after) = (&key(), level(before), level(after));
            self.waiters.tell(watched, [Changed { key, operation, before, after }].into_iter());
        }
    }

    fn comes_to(&self, units: u64) {
        self.change(Operation::Adjust { delta: 1, if_missing: IfMissing::Create }, units);
    }

    fn has(&self, units: u64) -> bool {
        self.units.load(SeqCst) >= units
    }

    fn enter(&self, units: u64) -> Ticket {
        self.waiters.enter(&key(), &until(units), 9, |bit| *self.lane.lock() |= bit).unwrap()
    }

    fn leave(&self, ticket: &Ticket) {
        self.waiters.leave(ticket, |bit| *self.lane.lock() &= !bit);
    }

    /// Sleeps until there was so much.
    fn until_woken(&self, ticket: &Ticket) {
        while !block_on(self.waiters.told(ticket)) {}
    }

    /// Looks, enters, looks again, and sleeps until it is woken, as often as it takes.
    fn wait_for(&self, units: u64) -> &'static str {
        if self.has(units) {
            return "at once";
        }
        let ticket = self.enter(units);
        let mut told = "at the second look";
        while !self.has(units) {
            self.until_woken(&ticket);
            self.waiters.listen(&ticket);
            told = "when it was woken";
        }
        self.leave(&ticket);
        told
    }

    fn assert_empty(&self) {
        assert_eq!((self.waiters.count(), self.waiters.listening(), *self.lane.lock()), (0, 0, 0));
    }
}

/// Units that come in while somebody looks, enters and goes to sleep are not missed; who needs more than there is is not woken.
#[test]
fn units_that_come_in_are_not_missed() {
    let occurred = outcomes(|| {
        let house = House::new();
        let receiver = {
            let house = Arc::clone(&house);
            thread::spawn(move || (1..=3).for_each(|units| house.comes_to(units)))
        };
        let small = {
            let house = Arc::clone(&house);
            thread::spawn(move || house.wait_for(1))
        };
        let told = house.wait_for(3);
        small.join().unwrap();
        receiver.join().unwrap();
        house.assert_empty();
        assert!(house.waiters.woken() <= 3, "once, and once more after a look that came late");
        told.to_owned()
    });
    assert_occurred(&occurred, &["at once", "at the second look", "when it was woken"]);
}

/// Units that are gone again when who was woken looks: it sleeps again, and is woken again.
#[test]
fn who_comes_too_late_is_woken_again() {
    let occurred = outcomes(|| {
        let house = House::new();
        let receiver = {
            let house = Arc::clone(&house);
            thread::spawn(move || [1, 0, 1].into_iter().for_each(|units| house.comes_to(units)))
        };
        house.wait_for(1);
        receiver.join().unwrap();
        house.assert_empty();
        house.waiters.woken().to_string()
    });
    assert_occurred(&occurred, &["0", "1", "2"]);
}

/// The model finds what it is there to find: who looks before it enters, or before it listens again, sleeps for ever.
#[test]
fn a_look_in_the_wrong_order_is_found() {
    let looks_then_enters = |house: &House| {
        let is_there = house.has(1);
        let ticket = house.enter(1);
        if !is_there {
            house.until_woken(&ticket);
        }
        house.leave(&ticket);
    };
    let looks_then_listens = |house: &House| {
        let ticket = house.enter(1);
        while !house.has(1) {
            house.until_woken(&ticket);
            let is_there = house.has(1);
            house.waiters.listen(&ticket);
            if !is_there {
                house.until_woken(&ticket);
            }
        }
        house.leave(&ticket);
    };
    let waits: [fn(&House); 2] = [looks_then_enters, looks_then_listens];
    for wait in waits {
        let model = move || {
            let house = House::new();
            let receiver = {
                let house = Arc::clone(&house);
                thread::spawn(move || [1, 0, 1].into_iter().for_each(|units| house.comes_to(units)))
            };
            wait(&house);
            receiver.join().unwrap();
            String::new()
        };
        // On a thread of its own: it ends amid a model.
        let found = std::thread::spawn(move || outcomes(model)).join();
        let said = found.expect_err("somebody sleeps for ever");
        assert!(said.downcast_ref::<String>().is_some_and(|said| said.contains("deadlock")), "{said:?}");
    }
}

/// One of those who wait keeps the time: when it leaves, the next does, and is told; and whoever does is told of a reservation that is made.
#[test]
fn one_keeps_the_time() {
    let occurred = outcomes(|| {
        let house = House::new();
        let first = house.enter(5);
        assert!(house.waiters.keeps_time(&first));
        let next = {
            let house = Arc::clone(&house);
            thread::spawn(move || {
                let ticket = house.enter(5);
                let mut told = "from the beginning";
                while !house.waiters.keeps_time(&ticket) {
                    assert!(!block_on(house.waiters.told(&ticket)), "there is nothing to be woken for");
                    told = "when the first had left";
                }
                (ticket, told)
            })
        };
        house.leave(&first);
        let (ticket, told) = next.join().unwrap();
        let reserving = {
            let house = Arc::clone(&house);
            thread::spawn(move || house.change(Operation::Reserve { quantity: Quantity::ZERO }, 0))
        };
        assert!(!block_on(house.waiters.told(&ticket)), "it is to look at the time");
        reserving.join().unwrap();
        house.leave(&ticket);
        house.assert_empty();
        told.to_owned()
    });
    assert_occurred(&occurred, &["from the beginning", "when the first had left"]);
}
