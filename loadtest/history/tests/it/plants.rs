//! What each planted fault changes, and that it changes nothing else: a fault that did more would be found for a wrong reason.

use history::Effect::{Add, Create};
use history::plant::Fault;
use history::{History, Kind, Limits, Outcome, Reason, Record, Request, Seen, Stock, check_with};

use crate::support::{Story, line, seen};

/// Additions to `a`, one of them with `b`, and a refusal; all in a row.
fn good() -> History {
    Story::new()
        .read((10, 11), seen(1, 4, 3))
        .write((20, 21), Create(10), seen(0, 1, 10))
        .write((30, 31), Add(-2), seen(0, 2, 8))
        .read((40, 41), seen(0, 2, 8))
        .write((50, 51), Add(-3), seen(0, 3, 5))
        .writes((60, 61), &[line(0, Add(-1)), line(1, Add(1))], &[seen(0, 4, 4), seen(1, 5, 4)])
        .refused((70, 71), Add(-9), Reason::Insufficient, seen(0, 4, 4))
        .read((80, 81), seen(0, 4, 4))
        .history()
}

/// What a fault makes of it: the records that differ, after those that are gone or new.
fn planted(fault: Fault, place: usize) -> History {
    let broken = fault.plant(&good(), place).expect("a place for it");
    assert!(check_with(&broken, &Limits::lenient()).is_violated(), "{fault:?}");
    broken
}

fn differing(broken: &History) -> Vec<(usize, &Record)> {
    let both = broken.records.iter().zip(&good().records).map(|(now, was)| now != was).collect::<Vec<bool>>();
    broken.records.iter().enumerate().filter(|(at, _)| both.get(*at).copied().unwrap_or(true)).collect()
}

fn answers(broken: &History) -> Vec<(usize, Vec<Seen>)> {
    let told = |outcome: &Outcome| match outcome {
        Outcome::Read(seen) => vec![*seen],
        Outcome::Snapshot { levels: seen, .. } | Outcome::Applied(seen) => seen.clone(),
        Outcome::Refused(refused) => refused.iter().map(|refused| refused.seen).collect(),
        Outcome::NotApplied | Outcome::Unknown => Vec::new(),
    };
    differing(broken).into_iter().map(|(at, record)| (at, told(&record.outcome))).collect()
}

#[test]
fn the_good_history_is_good() {
    let verdict = check_with(&good(), &Limits::lenient());
    assert!(verdict.is_consistent(), "{verdict}");
}

#[test]
fn a_forgotten_write_is_gone() {
    for (place, gone) in [(0, 1), (1, 2), (3, 5), (4, 1)] {
        let mut expected = good();
        expected.records.remove(gone);
        assert_eq!(planted(Fault::Forget, place), expected);
    }
}

#[test]
fn the_first_of_two_additions_is_lost_to_all_that_came_after_it() {
    // Of the only pair; any number of a place will do.
    for place in [0, 1] {
        assert_eq!(
            answers(&planted(Fault::LoseUpdate, place)),
            [
                (4, vec![seen(0, 2, 7)]),
                (5, vec![seen(0, 3, 6), seen(1, 5, 4)]),
                (6, vec![seen(0, 3, 6)]),
                (7, vec![seen(0, 3, 6)]),
            ]
        );
    }
    // Additions to different levels, or with another change between them, are no pair.
    let apart = Story::new()
        .read((1, 2), seen(0, 1, 9))
        .read((1, 2), seen(1, 2, 9))
        .write((3, 4), Add(1), seen(0, 2, 10))
        .write((5, 6), Add(1), seen(1, 3, 10))
        .write((7, 8), Add(1), seen(0, 4, 12));
    assert_eq!(Fault::LoseUpdate.plant(&apart.history(), 0), None);
}

#[test]
fn two_additions_swap_their_answers() {
    assert_eq!(answers(&planted(Fault::Swap, 0)), [(2, vec![seen(0, 3, 5)]), (4, vec![seen(0, 2, 8)])]);
    // Of the same units nobody would see it, and of different levels it is another fault.
    let alike = Story::new()
        .read((1, 2), seen(0, 1, 9))
        .read((1, 2), seen(1, 1, 9))
        .write((3, 4), Add(1), seen(0, 2, 10))
        .write((5, 6), Add(1), seen(0, 3, 11))
        .write((7, 8), Add(2), seen(1, 2, 11));
    assert_eq!(Fault::Swap.plant(&alike.history(), 0), None);
}

#[test]
fn a_write_is_moved_behind_or_before_everything() {
    for (place, moved) in [(0, 1), (1, 2), (2, 4), (3, 5)] {
        let broken = planted(Fault::Delay, place);
        let [(at, record)] = differing(&broken)[..] else { panic!("{broken:?}") };
        assert_eq!((at, record.invoked_ns, record.returned_ns), (moved, 82, 83));
    }
    // The first change of a level has nobody before it, but for who read the level it changed.
    for (place, moved) in [(0, 2), (1, 4), (2, 5)] {
        let broken = planted(Fault::Hasten, place);
        let [(at, record)] = differing(&broken)[..] else { panic!("{broken:?}") };
        assert_eq!((at, record.invoked_ns, record.returned_ns), (moved, 8, 9));
    }
    // Nothing is before the beginning of time, and nobody knows of a change that was seen by nobody else.
    let early = Story::new().read((0, 1), seen(0, 1, 9)).write((2, 3), Add(1), seen(0, 2, 10)).history();
    assert_eq!(Fault::Hasten.plant(&early, 0), None);
    let first =
        Story::new().write((30, 31), Create(9), seen(0, 1, 9)).read((40, 41), seen(0, 1, 9)).history();
    assert_eq!(Fault::Hasten.plant(&first, 0), None);
    assert_eq!(Fault::Delay.plant(&early, 0), None);
}

#[test]
fn a_read_of_a_changed_level_shows_a_unit_more() {
    assert_eq!(answers(&planted(Fault::CorruptRead, 0)), [(3, vec![seen(0, 2, 9)])]);
    assert_eq!(answers(&planted(Fault::CorruptRead, 1)), [(7, vec![seen(0, 4, 5)])]);
    let opening = Story::new().read((1, 2), seen(0, 1, 9)).read((1, 2), seen(1, 1, 9)).history();
    assert_eq!(Fault::CorruptRead.plant(&opening, 0), None);
}

#[test]
fn of_a_write_of_several_lines_one_that_was_followed_is_lost() {
    // Nobody changed either level again, so the line of `a` is lost to those who saw it as it is.
    let mut history = good();
    let next = Story::new().write((90, 91), Add(1), seen(1, 6, 5)).history().records;
    history.records.extend(next);
    let broken = Fault::Tear.plant(&history, 0).expect("a place for it");
    assert_eq!(broken.records[..8], history.records[..8]);
    assert_eq!(broken.records[8].outcome, Outcome::Applied(vec![seen(1, 5, 4)]));
    assert_eq!(Fault::Tear.plant(&good(), 0), None);
    // One that nobody followed is no place, wherever one begins to count.
    let last = [seen(1, 7, 6), seen(2, 1, 1)];
    let last = Story::new().writes((95, 96), &[line(1, Add(1)), line(2, Create(1))], &last).history().records;
    history.records.extend(last);
    for place in [0, 1] {
        let broken = Fault::Tear.plant(&history, place).expect("a place for it");
        assert_eq!(broken.records[8].outcome, Outcome::Applied(vec![seen(1, 5, 4)]));
    }
}

#[test]
fn two_more_writes_happen_in_different_orders() {
    for (place, left, right) in
        [(0, (0, 4, 4), (1, 5, 4)), (1, (1, 5, 4), (0, 4, 4)), (2, (0, 4, 4), (1, 5, 4))]
    {
        let broken = planted(Fault::Fracture, place);
        let told = |(key, version, on_hand): (u32, u64, u64), changes, units| {
            seen(key, version + changes, on_hand + units)
        };
        assert_eq!(
            answers(&broken),
            [(8, vec![told(left, 1, 1), told(right, 2, 3)]), (9, vec![told(left, 2, 3), told(right, 1, 2)])]
        );
        assert_eq!(broken.records[8].client, 0);
        assert_eq!(broken.records[9].client, 1);
        for record in &broken.records[8..] {
            assert_eq!((record.invoked_ns, record.returned_ns), (91, 101));
        }
        let verdict = check_with(&broken, &Limits::lenient());
        assert_eq!(verdict.count(Kind::Cycle), 1, "{verdict}");
    }
    // With one level there is nothing that could be in another order.
    let alone = Story::new().write((1, 2), Create(1), seen(0, 1, 1)).history();
    assert_eq!(Fault::Fracture.plant(&alone, 0), None);
    assert_eq!(Fault::Fracture.plant(&History::default(), 0), None);
}

#[test]
fn the_last_state_of_a_level_that_is_told_counts() {
    // Told out of order, and in part.
    let history = Story::new()
        .write((30, 31), Add(1), seen(0, 3, 7))
        .write((20, 21), Add(1), seen(0, 2, 6))
        .read((10, 11), seen(1, 1, 5))
        .read((40, 41), Seen { key: history::Key(2), version: 1, stock: Stock::Available(5) })
        .history();
    let broken = Fault::Fracture.plant(&history, 0).expect("two levels told in full");
    let first = Outcome::Applied(vec![seen(0, 4, 8), seen(1, 3, 8)]);
    assert_eq!(broken.records[4].outcome, first);
}

#[test]
fn a_refusal_for_lack_of_units_asks_for_what_was_there() {
    let broken = planted(Fault::RefuseFalsely, 0);
    let [(6, record)] = differing(&broken)[..] else { panic!("{broken:?}") };
    assert_eq!(record.request, Request::Write(vec![line(0, Add(1))]));
    let other = Story::new().refused((1, 2), Create(1), Reason::Exists, seen(0, 1, 1)).history();
    assert_eq!(Fault::RefuseFalsely.plant(&other, 0), None);
}

#[test]
fn a_history_without_a_place_has_no_fault() {
    for fault in Fault::ALL {
        assert_eq!(fault.plant(&History::default(), 0), None, "{fault:?}");
    }
}
