//! One level at a time: reads, changes, refusals, versions.

use inventory::stock::{Applied, Change, Level, Precondition, QUANTITY_MAX, Reason, Refusal};
use inventory::strategy::{Rejected, StrategyKind};

use crate::support::for_each_strategy;
use crate::support::stock::{
    Stock, adjust, adjust_or_create, count, create, delete, key, level, only_if, release, reserve, ship,
    tombstone,
};

for_each_strategy! {
    /// P6: what was never created is absent, at version 0, and in no listing.
    async fn nothing_is_there_at_first(kind: StrategyKind) {
        let stock = Stock::new(kind);
        assert_eq!(stock.read(&key("a")).await, Level::ABSENT);
        assert_eq!(stock.listed(), []);
    }

    /// P1, P6: each change starts from what the one before left, its version one higher, and every read shows it.
    async fn read_your_writes(kind: StrategyKind) {
        let (stock, a) = (Stock::new(kind), key("a"));
        let steps = [
            (create(5), level(5, 0, 1)),
            (adjust(-2), level(3, 0, 2)),
            (reserve(2), level(3, 2, 3)),
            (release(1), level(3, 1, 4)),
            (ship(1), level(2, 0, 5)),
            (count(9), level(9, 0, 6)),
            (count(9), level(9, 0, 7)),
            (adjust_or_create(1), level(10, 0, 8)),
            (delete(), tombstone(9)),
        ];
        let mut before = Level::ABSENT;
        for (change, after) in steps {
            assert_eq!(stock.apply(&a, change).await, Ok(Applied { before, after }), "{change:?}");
            assert_eq!(stock.read(&a).await, after, "{change:?}");
            before = after;
        }
        assert_eq!(stock.read(&key("b")).await, Level::ABSENT, "another level is another level");
        stock.assert_all_handed_off(&[a]).await;
    }

    /// P3, P6: a refusal says why, and shows the level and the version it judged; nothing has changed.
    async fn a_refusal_shows_what_was_found(kind: StrategyKind) {
        let stock = Stock::with_levels(kind, &[("a", 10), ("full", QUANTITY_MAX)]).await;
        stock.apply(&key("a"), reserve(4)).await.expect("units enough");
        let (a, full) = (level(10, 4, 2), level(QUANTITY_MAX, 0, 1));
        let table = [
            ("a", adjust(-7), a, Reason::Insufficient { requested: 7 }),
            ("a", reserve(7), a, Reason::Insufficient { requested: 7 }),
            ("a", release(5), a, Reason::NotReserved { requested: 5 }),
            ("a", ship(5), a, Reason::NotReserved { requested: 5 }),
            ("a", count(3), a, Reason::BelowReserved { requested: 3 }),
            ("a", create(1), a, Reason::AlreadyExists),
            ("a", delete(), a, Reason::StockReserved),
            ("full", adjust(1), full, Reason::QuantityOverflow { requested: 1 }),
            ("none", adjust(1), Level::ABSENT, Reason::NotFound),
            ("none", count(1), Level::ABSENT, Reason::NotFound),
            ("none", delete(), Level::ABSENT, Reason::NotFound),
            ("none", adjust_or_create(-1), Level::ABSENT, Reason::Insufficient { requested: 1 }),
        ];
        for (sku, change, found, reason) in table {
            let refused = Err(Rejected::Refused(Refusal { reason, found }));
            assert_eq!(stock.apply(&key(sku), change).await, refused, "{change:?} of {sku}");
            assert_eq!(stock.read(&key(sku)).await, found, "{change:?} of {sku}");
        }
        assert_eq!(stock.listed(), [key("a"), key("full")]);
        stock.assert_all_handed_off(&[key("a"), key("full"), key("none")]).await;
    }

    /// P3: a refusal leaves nothing behind: what comes later finds the level as if it had never been asked for.
    async fn a_refusal_leaves_nothing_behind(kind: StrategyKind) {
        let (stock, a) = (Stock::new(kind), key("a"));
        stock.apply(&a, adjust(-1)).await.expect_err("there is no level");
        assert_eq!(stock.apply(&a, create(1)).await, Ok(Applied { before: Level::ABSENT, after: level(1, 0, 1) }));
        assert_eq!(stock.recorder.dropped(), 1);
    }

    /// P6: a deleted level keeps its version, refusals show it, and a level created again goes on from there.
    async fn versions_outlive_a_delete(kind: StrategyKind) {
        let (stock, a) = (Stock::with_levels(kind, &[("a", 3)]).await, key("a"));
        stock.apply(&a, delete()).await.expect("nothing is reserved");
        assert_eq!(stock.read(&a).await, tombstone(2));
        let refusal = Refusal { reason: Reason::NotFound, found: tombstone(2) };
        assert_eq!(stock.apply(&a, adjust(1)).await, Err(refusal.into()));
        let again = stock.apply(&a, create(7)).await;
        assert_eq!(again, Ok(Applied { before: tombstone(2), after: level(7, 0, 3) }));
        stock.apply(&a, delete()).await.expect("nothing is reserved");
        let filled = stock.apply(&a, adjust_or_create(2)).await;
        assert_eq!(filled, Ok(Applied { before: tombstone(4), after: level(2, 0, 5) }));
        stock.assert_all_handed_off(&[a]).await;
    }

    /// P1: a precondition is judged with the change, against the level the change would be made to.
    async fn preconditions_are_judged(kind: StrategyKind) {
        let (stock, a) = (Stock::with_levels(kind, &[("a", 3)]).await, key("a"));
        let refused = |precondition, found| {
            Err(Rejected::Refused(Refusal { reason: Reason::PreconditionFailed(precondition), found }))
        };
        let stale = Precondition::Version(2);
        assert_eq!(stock.apply(&a, only_if(stale, count(9))).await, refused(stale, level(3, 0, 1)));
        let absent = Precondition::Absent;
        assert_eq!(stock.apply(&a, only_if(absent, create(9))).await, refused(absent, level(3, 0, 1)));
        let fits = |after: Result<Applied, _>| after.map(|applied| applied.after);
        let current = Precondition::Version(1);
        assert_eq!(fits(stock.apply(&a, only_if(current, count(9))).await), Ok(level(9, 0, 2)));
        assert_eq!(fits(stock.apply(&a, only_if(Precondition::Exists, delete())).await), Ok(tombstone(3)));
        let gone = Precondition::Version(3);
        assert_eq!(stock.apply(&a, only_if(gone, create(1))).await, refused(gone, tombstone(3)));
        assert_eq!(fits(stock.apply(&a, only_if(absent, create(1))).await), Ok(level(1, 0, 4)));
    }

    /// Listings show what exists, in order, from the moment a create or delete is answered.
    async fn listings_show_what_exists(kind: StrategyKind) {
        let stock = Stock::with_levels(kind, &[("b", 1), ("c", 1), ("a", 1)]).await;
        assert_eq!(stock.listed(), [key("a"), key("b"), key("c")]);
        stock.apply(&key("b"), delete()).await.expect("it is there");
        assert_eq!(stock.listed(), [key("a"), key("c")]);
        stock.apply(&key("d"), adjust_or_create(0)).await.expect("it need not be there");
        stock.apply(&key("b"), create(1)).await.expect("it is not there");
        stock.apply(&key("c"), adjust(1)).await.expect("it is there");
        assert_eq!(stock.listed(), [key("a"), key("b"), key("c"), key("d")]);
    }

    /// Contention is counted: a lone caller gets in every time and waits for nobody.
    async fn a_lone_caller_never_waits(kind: StrategyKind) {
        let stock = Stock::with_levels(kind, &[("a", 0)]).await;
        let before = stock.contention();
        for _ in 0..100 {
            stock.apply(&key("a"), adjust(1)).await.expect("there is room");
        }
        let after = stock.contention();
        assert!(after.acquisitions >= before.acquisitions + 100, "{after:?}");
        assert_eq!((after.contended, after.timeouts, after.retries), (0, 0, 0), "{after:?}");
    }

    /// P2: no delta is too large to be judged, and none wraps.
    async fn extreme_deltas_are_refused(kind: StrategyKind) {
        let stock = Stock::with_levels(kind, &[("a", 1)]).await;
        let extremes: [Change; 4] = [adjust(i64::MIN), adjust(i64::MAX), reserve(QUANTITY_MAX), ship(QUANTITY_MAX)];
        for change in extremes {
            let refused = stock.apply(&key("a"), change).await;
            assert!(matches!(refused, Err(Rejected::Refused(refusal)) if refusal.found == level(1, 0, 1)), "{change:?}");
        }
    }
}
