//! Writes of several lines: combined per level, all or nothing, and in one order on all their levels (P3, P4, P5).

use history::Effect::{Add, AddOrCreate, Create};
use history::{History, Key, Kind, Outcome, Reason, Record, Refused, Request};

use crate::support::{Story, absent, line, seen};

fn stocked() -> Story {
    Story::new().read((1, 2), seen(0, 4, 10)).read((1, 2), seen(1, 8, 10)).read((1, 2), absent(2, 0))
}

#[test]
fn lines_of_one_level_count_together() {
    stocked()
        .writes(
            (3, 4),
            &[line(0, Add(-12)), line(1, Add(1)), line(0, Add(5))],
            &[seen(1, 9, 11), seen(0, 5, 3)],
        )
        .writes((5, 6), &[line(0, Add(-5)), line(0, Add(5))], &[seen(0, 6, 3)])
        .writes((7, 8), &[line(2, Add(-1)), line(2, AddOrCreate(3))], &[seen(2, 1, 2)])
        .assert_consistent();
}

#[test]
fn a_transfer_creates_its_destination() {
    stocked()
        .writes((3, 4), &[line(0, Add(-4)), line(2, AddOrCreate(4))], &[seen(0, 5, 6), seen(2, 1, 4)])
        .assert_consistent();
}

#[test]
fn lines_that_cannot_be_combined_cannot_be_applied() {
    let story = stocked().writes((3, 4), &[line(2, Create(4)), line(2, Add(4))], &[seen(2, 1, 8)]);
    assert_eq!(story.assert_violated(Kind::Malformed), [3]);
}

#[test]
fn opposite_orders_on_two_levels_are_a_cycle() {
    let both = |units| [line(0, Add(units)), line(1, Add(units))];
    let story = stocked().writes((3, 10), &both(1), &[seen(0, 5, 11), seen(1, 10, 13)]).writes(
        (3, 10),
        &both(2),
        &[seen(0, 6, 13), seen(1, 9, 12)],
    );
    let mut culprits = story.assert_violated(Kind::Cycle);
    culprits.sort_unstable();
    assert_eq!(culprits, [3, 4]);
}

#[test]
fn a_write_seen_in_part_is_a_cycle() {
    // One reader sees the write on the first level and only then, on the second, the state before it.
    let story = stocked()
        .writes((3, 100), &[line(0, Add(-1)), line(1, Add(1))], &[seen(0, 5, 9), seen(1, 9, 11)])
        .read((10, 20), seen(0, 5, 9))
        .read((30, 40), seen(1, 8, 10));
    let mut culprits = story.assert_violated(Kind::Cycle);
    culprits.sort_unstable();
    assert_eq!(culprits, [3, 4, 5]);
}

#[test]
fn a_cycle_through_real_time_is_told_link_by_link() {
    let story = stocked()
        .writes((3, 100), &[line(0, Add(-1)), line(1, Add(1))], &[seen(0, 5, 9), seen(1, 9, 11)])
        .read((10, 20), seen(0, 5, 9))
        .read((30, 40), seen(1, 8, 10));
    let text = story.verdict().violations()[0].to_string();
    assert!(text.contains("CYCLE: 3 operations"), "{text}");
    assert!(text.contains("it was answered before record 5 was sent"), "{text}");
    assert!(text.contains("on `a` it made version 5, and the next saw version 5"), "{text}");
    assert!(text.contains("on `b` it saw version 8, and the next made version 9"), "{text}");
}

#[test]
fn the_lines_of_a_refusal_are_judged_one_by_one() {
    let refusal = |lines: Vec<Refused>| {
        let request = Request::Write(vec![line(0, Add(-11)), line(1, Add(-11))]);
        (request, Outcome::Refused(lines))
    };
    let short = |seen| Refused { seen, reason: Reason::Insufficient };
    // Never both short at one moment, yet each at its own: that is what is promised.
    let (request, outcome) = refusal(vec![short(seen(0, 4, 10)), short(seen(1, 10, 10))]);
    stocked()
        .record((3, 100), request, outcome)
        .write((10, 20), Add(1), seen(1, 9, 11))
        .write((21, 30), Add(1), seen(0, 5, 11))
        .write((31, 40), Add(-1), seen(1, 10, 10))
        .assert_consistent();
    let (request, outcome) = refusal(vec![short(seen(0, 5, 11)), short(seen(1, 8, 10))]);
    let story = stocked().write((3, 4), Add(1), seen(0, 5, 11)).record((5, 6), request, outcome);
    assert_eq!(story.assert_violated(Kind::FalseRefusal), [4], "every line that is named must be true");
}

/// A ring of writes, each before the next on the level that they share, and all in flight at once.
fn ring(count: u32) -> History {
    let write = |at: u32| {
        let next = (at + 1) % count;
        let lines = vec![line(at, Add(1)), line(next, Add(1))];
        let outcome = Outcome::Applied(vec![seen(at, 2, 2), seen(next, 1, 1)]);
        Record {
            client: at,
            invoked_ns: 10,
            returned_ns: 20,
            request: Request::Write(lines),
            outcome,
            once: None,
        }
    };
    let read = |at: u32| Record {
        client: at,
        invoked_ns: 0,
        returned_ns: 1,
        request: Request::Read(Key(at)),
        outcome: Outcome::Read(seen(at, 0, 0)),
        once: None,
    };
    let keys = (0..count).map(|key| format!("k{key}")).collect();
    History {
        keys,
        records: (0..count).map(read).chain((0..count).map(write)).collect(),
        ..History::default()
    }
}

#[test]
fn of_a_long_circle_the_first_are_told() {
    let told = |count: u32| {
        let verdict = history::check_with(&ring(count), &history::Limits::lenient());
        let [violation] = verdict.violations() else { panic!("{verdict}") };
        assert_eq!(violation.kind, Kind::Cycle);
        assert!(violation.headline.starts_with(&format!("{count} operations would each")), "{verdict}");
        assert_eq!(violation.timeline.len(), violation.culprits.len() + 1, "a line for each, and the time");
        (violation.culprits.len(), violation.explanation.len())
    };
    assert_eq!(told(3), (3, 1));
    assert_eq!(told(12), (12, 1));
    assert_eq!(told(13), (12, 2));
    let verdict = history::check_with(&ring(14), &history::Limits::lenient());
    assert_eq!(verdict.violations()[0].explanation[1], "The first 12 of the 14 are shown.");
}

/// Whoever waits for a circle without being part of it is no culprit, though it was answered first.
#[test]
fn who_only_waits_for_a_circle_is_not_in_it() {
    let mut history = ring(2);
    // It saw what the circle made, and was answered before anything else.
    history.records.push(Record {
        client: 9,
        invoked_ns: 11,
        returned_ns: 12,
        request: Request::Read(Key(0)),
        outcome: Outcome::Read(seen(0, 2, 2)),
        once: None,
    });
    let verdict = history::check_with(&history, &history::Limits::lenient());
    let [violation] = verdict.violations() else { panic!("{verdict}") };
    assert_eq!(violation.kind, Kind::Cycle);
    let mut culprits: Vec<usize> = violation.culprits.iter().map(|culprit| culprit.record).collect();
    culprits.sort_unstable();
    assert_eq!(culprits, [2, 3], "{verdict}");
}

/// Sent at the very moment at which what it made was answered: at that moment it took place.
#[test]
fn levels_have_a_common_order_if_a_moment_is_left() {
    let at = |read: (u64, u64)| {
        stocked()
            .writes((10, 20), &[line(0, Add(-1)), line(1, Add(1))], &[seen(0, 5, 9), seen(1, 9, 11)])
            .read(read, seen(1, 9, 11))
    };
    at((5, 10)).assert_consistent();
    let chain = |returned: u64| {
        at((5, 30))
            .writes((15, 25), &[line(1, Add(1)), line(2, AddOrCreate(1))], &[seen(1, 10, 12), seen(2, 1, 1)])
            .read((3, returned), seen(2, 1, 1))
    };
    chain(15).assert_consistent();
    chain(14).assert_violated(Kind::RealTime);
}
