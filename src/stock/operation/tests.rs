//! The rules of one level, by property (promises P2 and P6) and by table.

use proptest::prelude::*;

use super::*;
use crate::stock::level::tests::any_level;
use crate::stock::quantity::QUANTITY_MAX;

pub(crate) fn any_operation() -> impl proptest::strategy::Strategy<Value = Operation> {
    let quantity = || {
        prop_oneof![Just(0), Just(1), Just(QUANTITY_MAX), 0..=QUANTITY_MAX]
            .prop_map(|n| Quantity::new(n).unwrap())
    };
    let delta = prop_oneof![-5..5_i64, any::<i64>(), Just(i64::MIN), Just(i64::MAX)];
    let if_missing = || prop_oneof![Just(IfMissing::Refuse), Just(IfMissing::Create)];
    prop_oneof![
        quantity().prop_map(|on_hand| Operation::Create { on_hand }),
        (quantity(), if_missing()).prop_map(|(on_hand, if_missing)| Operation::Count { on_hand, if_missing }),
        quantity().prop_map(|on_hand| Operation::Recount { on_hand }),
        (delta, if_missing()).prop_map(|(delta, if_missing)| Operation::Adjust { delta, if_missing }),
        quantity().prop_map(|quantity| Operation::Reserve { quantity }),
        quantity().prop_map(|quantity| Operation::Release { quantity }),
        quantity().prop_map(|quantity| Operation::Ship { quantity }),
        Just(Operation::Delete),
    ]
}

fn any_precondition() -> impl proptest::strategy::Strategy<Value = Precondition> {
    prop_oneof![
        Just(Precondition::Any),
        Just(Precondition::Absent),
        Just(Precondition::Exists),
        (0..4_u64).prop_map(Precondition::Version),
        Just(Precondition::Empty),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    /// Whatever is asked of whatever level: either the level keeps its invariants and its version rises by one, or a recount found what
    /// it asked for and changed nothing, or the refusal carries the level it judged.
    #[test]
    fn every_outcome_keeps_the_invariants(
        level in any_level(), operation in any_operation(), precondition in any_precondition(),
    ) {
        match (Change { operation, precondition }).judge(level) {
            Ok(after) => {
                prop_assert!(precondition.holds(level));
                let is_found = matches!(operation, Operation::Recount { on_hand } if level.exists() && level.on_hand() == on_hand.units());
                prop_assert_eq!(after.version(), level.version() + u64::from(!is_found));
                prop_assert!(!is_found || after == level);
                prop_assert!(after.reserved() <= after.on_hand() && after.on_hand() <= QUANTITY_MAX);
                prop_assert_eq!(after.exists(), operation != Operation::Delete);
                prop_assert_eq!(Level::from_bits(after.to_bits()), Some(after));
            }
            Err(refusal) => prop_assert_eq!(refusal.found, level),
        }
    }

    /// P3 in the small: an adjustment is refused for stock exactly when the stock is short.
    #[test]
    fn an_adjustment_is_short_exactly_when_less_is_available(
        (a, b) in (0..=QUANTITY_MAX, 0..=QUANTITY_MAX), delta in prop_oneof![any::<i64>(), -9..9_i64],
    ) {
        let level = Level::existing(a.max(b), a.min(b), 1).unwrap();
        let change = Change::unconditional(Operation::Adjust { delta, if_missing: IfMissing::Refuse });
        let exact = i128::from(level.available()) + i128::from(delta);
        let outcome = change.judge(level);
        let insufficient = Reason::Insufficient { requested: delta.unsigned_abs() };
        prop_assert_eq!(outcome.is_err_and(|refusal| refusal.reason == insufficient), exact < 0);
        if let Ok(after) = outcome {
            prop_assert_eq!(i128::from(after.available()), exact);
            prop_assert_eq!(after.reserved(), level.reserved());
        }
    }

    /// Combining two adjustments and judging once never gives more or less than exact arithmetic does.
    #[test]
    fn combined_adjustments_add_up(a in -1_000..1_000_i64, b in -1_000..1_000_i64) {
        let adjust = |delta| Operation::Adjust { delta, if_missing: IfMissing::Refuse };
        prop_assert_eq!(adjust(a).combine(adjust(b)), Some(adjust(a + b)));
    }
}

fn level(on_hand: u64, reserved: u64) -> Level {
    Level::existing(on_hand, reserved, 7).unwrap()
}

fn reason(operation: Operation, found: Level) -> Option<Reason> {
    Change::unconditional(operation).judge(found).err().map(|refusal| refusal.reason)
}

#[test]
fn each_refusal_says_what_was_asked() {
    let quantity = |units| Quantity::new(units).unwrap();
    let adjust = |delta| Operation::Adjust { delta, if_missing: IfMissing::Refuse };
    let count = |on_hand| Operation::Count { on_hand: quantity(on_hand), if_missing: IfMissing::Refuse };
    let full = QUANTITY_MAX;
    let table = [
        (adjust(-6), level(10, 5), Reason::Insufficient { requested: 6 }),
        (adjust(1), level(full, 0), Reason::QuantityOverflow { requested: 1 }),
        (adjust(1), Level::ABSENT, Reason::NotFound),
        (Operation::Reserve { quantity: quantity(6) }, level(10, 5), Reason::Insufficient { requested: 6 }),
        (Operation::Release { quantity: quantity(6) }, level(10, 5), Reason::NotReserved { requested: 6 }),
        (Operation::Ship { quantity: quantity(6) }, level(10, 5), Reason::NotReserved { requested: 6 }),
        (count(4), level(10, 5), Reason::BelowReserved { requested: 4 }),
        (count(4), Level::ABSENT, Reason::NotFound),
        (Operation::Create { on_hand: quantity(4) }, level(0, 0), Reason::AlreadyExists),
        (Operation::Delete, level(10, 5), Reason::StockReserved),
        (Operation::Delete, Level::ABSENT, Reason::NotFound),
    ];
    for (operation, found, expected) in table {
        assert_eq!(reason(operation, found), Some(expected), "{operation:?} on {found:?}");
    }
}

#[test]
fn the_last_version_is_refused_not_wrapped() {
    let last = Level::existing(1, 0, VERSION_MAX).unwrap();
    assert_eq!(reason(Operation::Delete, last), Some(Reason::VersionsExhausted));
}

#[test]
fn preconditions_come_before_existence() {
    let judge = |precondition, found| {
        let change = Change { operation: Operation::Delete, precondition };
        change.judge(found).err().map(|refusal| refusal.reason)
    };
    let version = Precondition::Version(8);
    assert_eq!(judge(version, Level::ABSENT), Some(Reason::PreconditionFailed(version)));
    assert_eq!(judge(version, level(1, 0)), Some(Reason::PreconditionFailed(version)));
    assert_eq!(judge(Precondition::Version(7), level(1, 0)), None);
    let tombstone = Level::tombstone(7).unwrap();
    assert_eq!(
        judge(Precondition::Version(7), tombstone),
        Some(Reason::PreconditionFailed(Precondition::Version(7)))
    );
}

#[test]
fn a_level_created_again_continues_its_versions() {
    let create = Change::unconditional(Operation::Create { on_hand: Quantity::new(3).unwrap() });
    let again = create.judge(Level::tombstone(9).unwrap()).unwrap();
    assert_eq!((again.version(), again.on_hand()), (10, 3));
}

/// A line of an import, and what is written of it: the level has the units counted whether it was there or not, and never fewer than are held.
#[test]
fn a_count_that_creates_starts_from_nothing_and_still_keeps_what_is_held() {
    let quantity = |units| Quantity::new(units).unwrap();
    let recount = |units| Change::unconditional(Operation::Recount { on_hand: quantity(units) });
    let count = |units| {
        Change::unconditional(Operation::Count { on_hand: quantity(units), if_missing: IfMissing::Create })
    };
    for import in [&recount as &dyn Fn(u64) -> Change, &count] {
        let after = |found| import(5).judge(found).map(|after| (after.on_hand(), after.version()));
        assert_eq!(after(Level::ABSENT), Ok((5, 1)));
        assert_eq!(after(Level::tombstone(9).unwrap()), Ok((5, 10)));
        assert_eq!(after(level(10, 5)), Ok((5, level(10, 5).version() + 1)));
        assert_eq!(import(4).judge(level(10, 5)).unwrap_err().reason, Reason::BelowReserved { requested: 4 });
        assert_eq!(import(0).judge(Level::tombstone(9).unwrap()).map(Level::version), Ok(10));
    }
    assert_eq!(count(10).judge(level(10, 5)).map(Level::version), Ok(8), "a count is a change");
    assert_eq!(recount(10).judge(level(10, 5)), Ok(level(10, 5)));
    let at = |version| Change { precondition: Precondition::Version(version), ..recount(10) };
    assert_eq!(at(7).judge(level(10, 5)), Ok(level(10, 5)));
    let moved_on = Reason::PreconditionFailed(Precondition::Version(6));
    assert_eq!(at(6).judge(level(10, 5)).unwrap_err().reason, moved_on, "also where nothing would change");
}
