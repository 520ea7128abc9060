//! What is written of orders is read back, and what was found twice is found once.

use proptest::prelude::*;

use super::*;
use crate::stock::{Level, Location, Precondition, Reason, Refusal, RefusedLevel, Sku, StockKey};

fn key(sku: &str) -> StockKey {
    StockKey::new(&Sku::parse(sku).unwrap(), &Location::DEFAULT)
}

fn any_problem() -> impl Strategy<Value = Option<OrderProblem>> {
    let level = ("[a-z]{1,9}", 0..999_usize, 1..99_u64).prop_map(|(sku, line, requested)| {
        let reason = if requested == 7 {
            Reason::PreconditionFailed(Precondition::Exists)
        } else {
            Reason::Insufficient { requested }
        };
        RefusedLevel { key: key(&sku), line, refusal: Refusal { reason, found: Level::ABSENT } }
    });
    prop_oneof![
        Just(None),
        prop::collection::vec(level, 1..4).prop_map(|levels| Some(OrderProblem::Levels(levels))),
        "[a-z]{1,9}".prop_map(|sku| Some(OrderProblem::Promised(key(&sku)))),
    ]
}

prop_compose! {
    fn any_found()(
        (id, revision, state) in (any::<u128>(), any::<u32>(), 0..5_usize),
        (priority, backorder) in (0..=PRIORITY_MAX, any::<bool>()),
        (created_ms, backordered, ended, grown_ms) in (any::<u64>(), any::<u64>(), any::<u64>(), any::<u64>()),
        (reason, reference) in ("[a-zä]{0,9}", "[a-z]{0,9}"),
        actor in prop::option::of("[a-z@.-]{1,64}"),
        lines in prop::collection::btree_map("[a-z]{1,9}", (1..99_u64, 0..99_u64), 1..6),
        problem in any_problem(),
    ) -> Found {
        let at = |time: u64| Some(time).filter(|time| *time > 0);
        let mut returned: Vec<_> = lines
            .values()
            .map(|(quantity, back)| Quantity::new(*back.min(quantity)).unwrap())
            .collect();
        if returned.iter().all(|back| *back == Quantity::ZERO) {
            returned.clear();
        }
        let line = |(sku, (quantity, _)): (String, (u64, u64))| {
            OrderLine { key: key(&sku), quantity: Quantity::new(quantity).unwrap() }
        };
        let lines: Vec<_> = lines.into_iter().map(line).collect();
        let is_said = !(reason.is_empty() && reference.is_empty());
        let order = Order {
            id: OrderId::from_bits(id),
            state: OrderState::ALL[state],
            lines,
            priority,
            backorder,
            remark: is_said.then(|| Box::new(Remark { reason, reference })),
            actor: actor.map(SmolStr::from),
            times: OrderTimes { created_ms, backordered_ms: at(backordered), ended_ms: at(ended) },
            returned,
            problem,
        };
        Found { order: Arc::new(order), revision, grown_ms }
    }
}

proptest! {
    /// What is read is what was written; nothing shorter, and nothing longer, is taken for it.
    #[test]
    fn an_order_is_read_back(found in any_found()) {
        let mut bytes = Vec::new();
        found.write(&mut bytes);
        let back = Found::read(&bytes);
        prop_assert_eq!(back.as_ref(), Some(&found));
        for cut in 0..bytes.len() {
            prop_assert_eq!(Found::read(&bytes[..cut]), None, "cut at {}", cut);
        }
        bytes.push(0);
        prop_assert_eq!(Found::read(&bytes), None);
    }

    /// Whatever the bytes are, reading them does not panic.
    #[test]
    fn any_bytes_can_be_read(found in any_found(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut bytes = Vec::new();
        found.write(&mut bytes);
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let _ = Found::read(&bytes);
    }

    /// In whatever order, and however often, the records of an order are found: the newest says what became of it.
    #[test]
    fn the_newest_revision_is_what_became_of_it(
        found in any_found(),
        revisions in prop::collection::vec(0..5_u32, 1..12),
    ) {
        let newest = *revisions.iter().max().unwrap();
        let mut all = AllFound::default();
        for revision in revisions {
            let state = OrderState::ALL[revision as usize];
            let one = Arc::new(Order { state, ..(*found.order).clone() });
            all.insert(Found { order: one, revision, grown_ms: u64::from(state.is_final()) });
        }
        let all = all.into_sorted();
        prop_assert_eq!(all.len(), 1);
        prop_assert_eq!(all[0].revision, newest);
        prop_assert_eq!(all[0].order.state, OrderState::ALL[newest as usize]);
    }
}

/// P10: what has ended leaves when its time is over, and the oldest first; what has not stays. What is given back later does not make an
/// order younger.
#[test]
fn what_has_ended_is_forgotten_and_nothing_else() {
    let order = |id, state| Order { state, ..super::super::tests::order(OrderId::from_bits(id)) };
    let mut all = AllFound::default();
    let mut put = |id, state, revision, grown_ms| {
        all.insert(Found { order: Arc::new(order(id, state)), revision, grown_ms });
    };
    put(1, OrderState::Queued, 0, 0);
    put(2, OrderState::Backordered, 1, 0);
    for (id, grown_ms) in [(3, 10), (4, 20), (5, 30), (6, 40)] {
        put(id, OrderState::Fulfilled, 1, grown_ms);
    }
    put(4, OrderState::Fulfilled, 2, 90);
    let left = |all: &AllFound| -> Vec<u128> {
        all.clone().into_sorted().iter().map(|found| found.order.id.to_bits()).collect()
    };
    all.forget(10, 9);
    assert_eq!(left(&all), [1, 2, 4, 5, 6], "what was over for long enough");
    all.forget(10, 2);
    assert_eq!(left(&all), [1, 2, 5, 6], "and of the rest the oldest");
}
