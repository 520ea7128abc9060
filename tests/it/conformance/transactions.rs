//! Many levels at a time: all or nothing (P4), and refusals that name every short line (P3).

use inventory::stock::{
    Applied, Change, ENTRIES_MAX, EntryRefusal, Level, Precondition, Reason, Refusal, StockKey,
};
use inventory::strategy::{StrategyKind, TransactRefused, TransactRejected};

use crate::support::for_each_strategy;
use crate::support::stock::{
    Stock, adjust, adjust_or_create, count, create, delete, key, level, only_if, reserve, ship, tombstone,
};

fn lines(lines: &[(&str, Change)]) -> Vec<(StockKey, Change)> {
    lines.iter().map(|(sku, change)| (key(sku), *change)).collect()
}

for_each_strategy! {
    /// P4: every line happens, whatever its kind; the answers come in the order of the keys.
    async fn all_lines_happen(kind: StrategyKind) {
        let stock = Stock::with_levels(kind, &[("a", 5), ("b", 5), ("c", 5)]).await;
        let applied = stock
            .transact(lines(&[
                ("new", create(1)),
                ("dest", adjust_or_create(2)),
                ("c", delete()),
                ("a", adjust(-5)),
                ("b", only_if(Precondition::Version(1), reserve(5))),
            ]))
            .await;
        let after = [
            ("a", level(5, 0, 1), level(0, 0, 2)),
            ("b", level(5, 0, 1), level(5, 5, 2)),
            ("c", level(5, 0, 1), tombstone(2)),
            ("dest", Level::ABSENT, level(2, 0, 1)),
            ("new", Level::ABSENT, level(1, 0, 1)),
        ];
        assert_eq!(applied, Ok(after.map(|(_, before, after)| Applied { before, after }).to_vec()));
        for (sku, _, after) in after {
            assert_eq!(stock.read(&key(sku)).await, after, "{sku}");
        }
        assert_eq!(stock.listed(), ["a", "b", "dest", "new"].map(key));
        stock.assert_all_handed_off(&after.map(|(sku, ..)| key(sku))).await;
        assert_eq!(stock.recorder.records().last().map(Vec::len), Some(5), "one record for all lines");
    }

    /// P4, P6: the lines of one level are one change of one version.
    async fn lines_of_one_level_count_together(kind: StrategyKind) {
        let stock = Stock::with_levels(kind, &[("a", 3), ("b", 3)]).await;
        let applied = stock.transact(lines(&[("b", adjust(-2)), ("a", adjust(-1)), ("b", adjust(-1))])).await;
        let expected = [(level(3, 0, 1), level(2, 0, 2)), (level(3, 0, 1), level(0, 0, 2))];
        assert_eq!(applied, Ok(expected.map(|(before, after)| Applied { before, after }).to_vec()));
        let cancelled = stock.transact(lines(&[("a", adjust(2)), ("a", adjust(-2))])).await;
        assert_eq!(cancelled, Ok(vec![Applied { before: level(2, 0, 2), after: level(2, 0, 3) }]));
        stock.assert_all_handed_off(&[key("a"), key("b")]).await;
    }

    /// P3, P4: a refusal names every short line, shows every level, and leaves nothing of any line.
    async fn a_refusal_names_every_short_line(kind: StrategyKind) {
        let stock = Stock::with_levels(kind, &[("a", 5), ("b", 1), ("d", 5), ("e", 0)]).await;
        let refused = stock
            .transact(lines(&[
                ("a", adjust(-1)),
                ("b", adjust(-1)),
                ("b", adjust(-1)),
                ("c", adjust(1)),
                ("d", adjust(-5)),
                ("e", ship(1)),
                ("f", adjust_or_create(1)),
            ]))
            .await;
        let found = [level(5, 0, 1), level(1, 0, 1), Level::ABSENT, level(5, 0, 1), level(0, 0, 1), Level::ABSENT];
        let short = |entry: usize, reason| EntryRefusal { entry, refusal: Refusal { reason, found: found[entry] } };
        let refusals = vec![
            short(1, Reason::Insufficient { requested: 2 }),
            short(2, Reason::NotFound),
            short(4, Reason::NotReserved { requested: 1 }),
        ];
        let expected = TransactRefused { refusals, found: found.to_vec() };
        assert_eq!(refused, Err(TransactRejected::Refused(expected)));
        for (sku, found) in ["a", "b", "c", "d", "e", "f"].iter().zip(found) {
            assert_eq!(stock.read(&key(sku)).await, found, "{sku}");
        }
        assert_eq!(stock.listed(), ["a", "b", "d", "e"].map(key));
        stock.assert_all_handed_off(&["a", "b", "c", "d", "e", "f"].map(key)).await;
        assert_eq!(stock.recorder.dropped(), 1);
    }

    /// P4: the last line decides as much as the first.
    async fn any_one_line_can_refuse_all(kind: StrategyKind) {
        let skus: Vec<String> = (0..100).map(|number| format!("k{number:02}")).collect();
        let stock = Stock::new(kind);
        for sku in &skus {
            stock.apply(&key(sku), create(1)).await.expect("a new level");
        }
        for short in 0..skus.len() {
            let delta = |line: usize| adjust(if line == short { -2 } else { -1 });
            let changes = skus.iter().enumerate().map(|(line, sku)| (key(sku), delta(line))).collect();
            let Err(TransactRejected::Refused(refused)) = stock.transact(changes).await else {
                panic!("line {short} is short");
            };
            assert_eq!(refused.refusals.iter().map(|short| short.entry).collect::<Vec<_>>(), [short]);
        }
        for sku in &skus {
            assert_eq!(stock.read(&key(sku)).await, level(1, 0, 1), "{sku}");
        }
    }

    /// P4: preconditions of single lines are judged with all.
    async fn a_stale_precondition_refuses_all(kind: StrategyKind) {
        let stock = Stock::with_levels(kind, &[("a", 5), ("b", 5)]).await;
        let stale = Precondition::Version(2);
        let refused = stock.transact(lines(&[("a", adjust(-1)), ("b", only_if(stale, count(1)))])).await;
        let Err(TransactRejected::Refused(refused)) = refused else { panic!("{refused:?}") };
        assert_eq!(refused.refusals[0].refusal.reason, Reason::PreconditionFailed(stale));
        assert_eq!(stock.read(&key("a")).await, level(5, 0, 1));
    }

    /// P4, P10: the largest transaction there may be is one change of all its levels, too.
    async fn the_largest_transaction_is_made(kind: StrategyKind) {
        let stock = Stock::new(kind);
        let line = |number: usize| (key(&format!("k{number}")), adjust_or_create(1));
        for version in 1..=2 {
            let applied = stock.transact((0..ENTRIES_MAX).map(line).collect()).await.expect("there is room");
            assert!(applied.iter().all(|applied| applied.after == level(version, 0, version)));
        }
        assert_eq!(stock.index.len(), ENTRIES_MAX);
    }
}
