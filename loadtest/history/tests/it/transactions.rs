//! Writes of several lines: combined per level, all or nothing, and in one order on all their levels (P3, P4, P5).

use history::Effect::{Add, AddOrCreate, Create};
use history::{Kind, Outcome, Reason, Refused, Request};

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
