//! The register of orders: bounds, turns, pages, and what is forgotten.

use super::*;
use crate::stock::{Location, OrderLine, OrderTimes, Quantity, Sku, StockKey};

pub(super) fn order(id: OrderId) -> Order {
    let key = StockKey::new(&Sku::parse("a").unwrap(), &Location::DEFAULT);
    Order {
        id,
        state: OrderState::Queued,
        lines: vec![OrderLine { key, quantity: Quantity::new(1).unwrap() }],
        priority: 0,
        backorder: false,
        remark: None,
        actor: None,
        times: OrderTimes::default(),
        returned: Vec::new(),
        problem: None,
    }
}

fn placed(orders: &Arc<Orders>) -> Arc<Entry> {
    let id = orders.next_id(7, 0);
    orders.place(Arc::new(order(id)), usize::MAX).unwrap().placed(drop);
    orders.get(id).unwrap()
}

fn becomes(orders: &Arc<Orders>, entry: &Arc<Entry>, state: OrderState, grown_ms: u64) {
    let turn = entry.begin(orders).unwrap();
    let order = Arc::new(Order { state, ..(**turn.order()).clone() });
    turn.done(order, grown_ms, || ());
}

/// P10: as many are queued as may be; one that was not placed after all, and one that is not queued any more, make room.
#[test]
fn the_queue_is_bounded() {
    let orders = Arc::new(Orders::new(100));
    let place = |max| orders.place(Arc::new(order(orders.next_id(1, 0))), max);
    let (first, second) = (place(2).unwrap(), place(2).unwrap());
    assert!(place(2).is_none());
    drop(first);
    let id = second.entry.id;
    second.placed(drop);
    assert_eq!((orders.queued(), orders.open().len()), (1, 1));
    place(2).unwrap().placed(drop);
    assert!(place(2).is_none());
    becomes(&orders, &orders.get(id).unwrap(), OrderState::Backordered, 5);
    assert_eq!((orders.queued(), orders.backordered()), (1, 1));
    assert!(place(2).is_some());
    becomes(&orders, &orders.get(id).unwrap(), OrderState::Fulfilled, 5);
    assert_eq!(orders.backordered(), 0);
}

/// Names count up within one millisecond, when the date stands still or goes back, and after a start.
#[test]
fn later_orders_have_higher_names() {
    let orders = Arc::new(Orders::new(100));
    let mut last = orders.next_id(1_000, u128::MAX);
    for (date_ms, random) in [(1_000, 0), (1_000, u128::MAX), (900, 5), (1_001, 0)] {
        let next = orders.next_id(date_ms, random);
        assert!(next > last, "{next} after {last}");
        last = next;
    }
    let again = Orders::new(100);
    again.restore(Found { order: Arc::new(order(last)), revision: 0, grown_ms: 0 });
    assert!(again.next_id(1, 0) > last);
}

/// Nobody is shown an order whose record is not handed over, and a turn is one person's.
#[test]
fn one_has_the_turn_and_a_turn_that_is_dropped_changes_nothing() {
    let orders = Arc::new(Orders::new(100));
    let placing = orders.place(Arc::new(order(orders.next_id(1, 0))), 9).unwrap();
    let id = placing.entry.id;
    assert!(orders.get(id).is_none() && orders.page(None, None, 9).kept.is_empty());
    orders.walk(|_| panic!("a snapshot of what was not handed over"));
    assert!(placing.entry.begin(&orders).is_none());
    placing.placed(|found| assert_eq!(found.revision, 0));
    let entry = orders.get(id).unwrap();
    let turn = entry.begin(&orders).unwrap();
    assert!(entry.begin(&orders).is_none());
    drop(turn);
    let turn = entry.begin(&orders).unwrap();
    assert_eq!(turn.order().state, OrderState::Queued);
    let next = Arc::new(Order { state: OrderState::Cancelled, ..(**turn.order()).clone() });
    let found = turn.found(Arc::clone(&next));
    assert_eq!(found.revision, 1);
    turn.done(next, 9, || ());
    assert_eq!((entry.order().state, orders.queued()), (OrderState::Cancelled, 0));
    orders.walk(|seen| assert_eq!(seen, Found { grown_ms: 9, ..found.clone() }));
}

/// P10: the newest that are over stay; and pages go through all of a state, each once, in the order in which they were placed.
#[test]
fn pages_show_all_that_are_kept() {
    let orders = Arc::new(Orders::new(32));
    let entries: Vec<_> = (0..200).map(|_| placed(&orders)).collect();
    for (at, entry) in entries.iter().enumerate().filter(|(at, _)| at / 16 % 2 == 0) {
        becomes(&orders, entry, OrderState::Fulfilled, at as u64);
    }
    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let page = orders.page(Some(OrderState::Queued), after, 7);
        assert!(page.kept.len() <= 7);
        seen.extend(page.kept.iter().map(|entry| entry.id));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    let odd = entries.iter().enumerate().filter(|(at, _)| at / 16 % 2 == 1);
    let queued: Vec<_> = odd.map(|(_, entry)| entry.id).collect();
    assert_eq!(seen, queued);
    let kept = orders.page(Some(OrderState::Fulfilled), None, 500).kept;
    assert_eq!(kept.len(), 32);
    assert!(kept.iter().all(|entry| entry.inner.lock().grown_ms >= 128), "the oldest go");
    orders.forget_before(190);
    assert_eq!(orders.page(Some(OrderState::Fulfilled), None, 500).kept.len(), 8);
}
