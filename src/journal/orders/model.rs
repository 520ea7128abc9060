//! Orders under the model checker (shuttle): the turn of an order, and the wake-up of who waits for units, on the code that is shipped.
//!
//! What the store adds - a turn, a look at the level, a watch, another look - is here in the store's order; a lane is its lock and its flag.
//! Whoever is not woken is a deadlock, which shuttle reports.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;

use shuttle::future::block_on;
use shuttle::thread;

use super::tests::order;
use super::{Entry, Orders};
use crate::journal::freed::Freed;
use crate::stock::{Change, Changed, IfMissing, Level, Operation, Order, OrderState, StockKey};
use crate::sync::schedules::outcomes;
use crate::sync::{AtomicU64, Mutex};

fn assert_occurred(occurred: &BTreeSet<String>, expected: &[&str]) {
    let expected: BTreeSet<String> = expected.iter().map(|&outcome| outcome.to_owned()).collect();
    assert_eq!(*occurred, expected);
}

fn placed(orders: &Arc<Orders>) -> Arc<Entry> {
    let id = orders.next_id(7, 0);
    orders.place(Arc::new(order(id)), 9).unwrap().placed(drop);
    orders.get(id).unwrap()
}

/// Waits for the turn, and ends the order that way, unless it is over; whether it did.
async fn end(orders: &Arc<Orders>, entry: &Arc<Entry>, state: OrderState, gives_up: bool) -> bool {
    let turn = entry.once(|| entry.begin(orders)).await;
    if turn.order().state.is_final() || gives_up {
        return false;
    }
    let order = Arc::new(Order { state, ..(**turn.order()).clone() });
    turn.done(order, 1, || ());
    true
}

/// A worker, a cancel, one that gives its turn up, and one who waits for the outcome: one of the first two ends it, and the last is told.
#[test]
fn an_order_comes_to_one_end() {
    let occurred = outcomes(|| {
        let orders = Arc::new(Orders::new(9));
        let entry = placed(&orders);
        let ways =
            [(OrderState::Fulfilled, false), (OrderState::Cancelled, false), (OrderState::Rejected, true)];
        let enders: Vec<_> = ways
            .into_iter()
            .map(|(state, gives_up)| {
                let (orders, entry) = (Arc::clone(&orders), Arc::clone(&entry));
                thread::spawn(move || block_on(end(&orders, &entry, state, gives_up)))
            })
            .collect();
        let told = {
            let entry = Arc::clone(&entry);
            thread::spawn(move || {
                block_on(entry.until(|order| order.state.is_final()));
                entry.order().state
            })
        };
        let ended: Vec<bool> = enders.into_iter().map(|ender| ender.join().unwrap()).collect();
        let told = told.join().unwrap();
        assert_eq!(ended.iter().filter(|ended| **ended).count(), 1);
        assert_eq!(told, entry.order().state);
        assert_eq!(ended[1], told == OrderState::Cancelled);
        assert_eq!(orders.queued(), 0);
        told.name().to_owned()
    });
    assert_occurred(&occurred, &["fulfilled", "cancelled"]);
}

/// A level, and a lane through which its changes are handed over.
struct House {
    units: AtomicU64,
    /// The lock of the lane, and under it whether anything is watched.
    lane: Mutex<bool>,
    freed: Freed,
}

impl House {
    /// Units come in: the level changes, then the change is handed over.
    fn receive(&self, key: &StockKey) {
        let before = self.units.load(SeqCst);
        self.units.swap(before + 1, SeqCst);
        let is_watched = *self.lane.lock();
        if is_watched {
            let level = |units| Level::existing(units, 0, units + 1).unwrap();
            let operation = Operation::Adjust { delta: 1, if_missing: IfMissing::Create };
            let (before, after) = (level(before), level(before + 1));
            let change = Change::unconditional(operation).operation;
            self.freed.tell([Changed { key, operation: change, before, after }].into_iter());
        }
    }

    fn take(&self, wanted: u64) -> bool {
        self.units.load(SeqCst) >= wanted
    }

    /// Looks, watches, looks again, and sleeps until it is told, as often as it takes.
    fn wait_for(&self, key: &StockKey, wanted: u64) -> &'static str {
        if self.take(wanted) {
            return "at once";
        }
        self.freed.watch(std::iter::once(key), || *self.lane.lock() = true);
        let mut told = "at the second look";
        while !self.take(wanted) {
            block_on(self.freed.told());
            assert!(self.freed.take().contains(key), "told for nothing");
            told = "when it was told";
        }
        self.freed.unwatch(std::iter::once(key), || *self.lane.lock() = false);
        told
    }
}

/// P9's sibling for stock: units that come in while somebody looks, watches and goes to sleep are not missed.
#[test]
fn units_that_come_in_are_not_missed() {
    let occurred = outcomes(|| {
        let key = order(super::OrderId::from_bits(1)).lines[0].key.clone();
        let (units, lane) = (AtomicU64::new(0), Mutex::new(false));
        let house = Arc::new(House { units, lane, freed: Freed::default() });
        let receiver = {
            let (house, key) = (Arc::clone(&house), key.clone());
            thread::spawn(move || {
                house.receive(&key);
                house.receive(&key);
            })
        };
        let told = house.wait_for(&key, 2);
        receiver.join().unwrap();
        assert_eq!((house.freed.watched(), *house.lane.lock()), (0, false));
        told.to_owned()
    });
    assert_occurred(&occurred, &["at once", "at the second look", "when it was told"]);
}
