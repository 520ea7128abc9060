//! The rules of many levels: combining, ordering, all or nothing (promise P4).

use proptest::prelude::*;

use super::*;
use crate::stock::{IfMissing, Location, Operation, Quantity, Reason, Sku};

fn key(name: &str) -> StockKey {
    StockKey::new(&Sku::parse(name).unwrap(), &Location::DEFAULT)
}

fn adjust(delta: i64) -> Change {
    Change::unconditional(Operation::Adjust { delta, if_missing: IfMissing::Refuse })
}

proptest! {
    /// Lines in any order, with any repetition: each key once, ascending, its delta the sum of its lines, its
    /// line the first that named it.
    #[test]
    fn lines_are_sorted_and_combined(lines in prop::collection::vec((0..8_u8, -9..9_i64), 1..40)) {
        let changes = lines.iter().map(|(k, delta)| (key(&format!("k{k}")), adjust(*delta))).collect();
        let transaction = Transaction::new(changes).unwrap();
        prop_assert!(transaction.entries().windows(2).all(|pair| pair[0].key < pair[1].key));
        for entry in transaction.entries() {
            let named = |(k, _): &&(u8, i64)| format!("k{k}") == entry.key.sku();
            let sum = lines.iter().filter(named).map(|(_, delta)| delta).sum();
            prop_assert_eq!(entry.change, adjust(sum));
            prop_assert_eq!(Some(entry.line), lines.iter().position(|line| named(&line)));
        }
    }
}

#[test]
fn one_short_line_refuses_all_and_every_short_line_is_named() {
    let transaction =
        Transaction::new(vec![(key("c"), adjust(-5)), (key("a"), adjust(-5)), (key("b"), adjust(-1))])
            .unwrap();
    let level = |on_hand| Level::existing(on_hand, 0, 1).unwrap();
    let refusals = transaction.judge(&[level(4), level(1), level(0)]).unwrap_err();
    let named: Vec<_> = refusals.iter().map(|r| (r.entry, transaction.entries()[r.entry].line)).collect();
    assert_eq!(named, [(0, 1), (2, 0)]);
    assert!(refusals.iter().all(|r| r.refusal.reason == Reason::Insufficient { requested: 5 }));
    let applied = transaction.judge(&[level(5), level(1), level(5)]).unwrap();
    assert!(applied.iter().all(|made| made.after.on_hand() == 0 && made.after.version() == 2));
    assert_eq!(applied[0].before, level(5));
}

#[test]
fn two_lines_are_short_together_though_neither_is_alone() {
    let transaction = Transaction::new(vec![(key("a"), adjust(-2)), (key("a"), adjust(-2))]).unwrap();
    let refusals = transaction.judge(&[Level::existing(3, 0, 1).unwrap()]).unwrap_err();
    assert_eq!(refusals[0].refusal.reason, Reason::Insufficient { requested: 4 });
}

#[test]
fn lines_that_cancel_out_are_still_a_change() {
    let transaction = Transaction::new(vec![(key("a"), adjust(2)), (key("a"), adjust(-2))]).unwrap();
    let applied = transaction.judge(&[Level::existing(0, 0, 1).unwrap()]).unwrap();
    assert_eq!((applied[0].after.on_hand(), applied[0].after.version()), (0, 2));
}

#[test]
fn different_kinds_on_one_level_are_a_conflict() {
    let count =
        Change::unconditional(Operation::Count { on_hand: Quantity::ZERO, if_missing: IfMissing::Refuse });
    let lines = vec![(key("b"), adjust(1)), (key("a"), adjust(1)), (key("a"), count)];
    assert_eq!(Transaction::new(lines), Err(TransactionError::Conflict { first: 1, second: 2 }));
}

#[test]
fn the_number_of_changes_is_bounded() {
    assert_eq!(Transaction::new(vec![]), Err(TransactionError::Empty));
    let many = |n: usize| (0..n).map(|i| (key(&i.to_string()), adjust(1))).collect();
    assert!(Transaction::new(many(ENTRIES_MAX)).is_ok());
    assert_eq!(Transaction::new(many(ENTRIES_MAX + 1)), Err(TransactionError::TooMany(ENTRIES_MAX + 1)));
}
