//! Writes of unknown outcome: they explain what they can, whole or not at all, and nothing else.

use history::Effect::{Add, Create, Delete};
use history::{Conclusion, Kind, Limits};

use crate::support::{Story, absent, line, seen};

fn stocked() -> Story {
    Story::new().read((1, 2), seen(0, 4, 10)).read((1, 2), seen(1, 8, 10)).read((1, 2), absent(2, 0))
}

#[test]
fn an_unknown_write_may_never_have_happened() {
    stocked().unknown(3, &[line(0, Add(-1))]).read((5, 6), seen(0, 4, 10)).assert_consistent();
}

#[test]
fn an_unknown_write_explains_a_version_it_fits() {
    let story = stocked().unknown(3, &[line(0, Add(-1))]).write((5, 6), Add(-1), seen(0, 6, 8));
    story.assert_consistent();
    assert_eq!(story.verdict().summary.unknown_applied, 1);
    stocked().unknown(3, &[line(0, Add(-1))]).read((5, 6), seen(0, 5, 9)).assert_consistent();
    stocked()
        .unknown(3, &[line(0, Delete)])
        .unknown(3, &[line(0, Create(5))])
        .read((5, 6), seen(0, 6, 5))
        .assert_consistent();
}

#[test]
fn an_unknown_write_that_does_not_fit_explains_nothing() {
    let wrong_units = stocked().unknown(3, &[line(0, Add(-2))]).write((5, 6), Add(-1), seen(0, 6, 8));
    assert_eq!(wrong_units.assert_violated(Kind::MissingVersion), [4]);
    let sent_too_late = stocked().write((5, 6), Add(-1), seen(0, 6, 8)).unknown(7, &[line(0, Add(-1))]);
    assert_eq!(sent_too_late.assert_violated(Kind::MissingVersion), [3]);
    let refused = stocked().unknown(3, &[line(0, Add(-11))]).read((5, 6), seen(0, 5, 0));
    assert_eq!(refused.assert_violated(Kind::MissingVersion), [4]);
    let used_once = stocked().unknown(3, &[line(0, Add(-1))]).read((5, 6), seen(0, 6, 8));
    assert_eq!(used_once.assert_violated(Kind::MissingVersion), [4]);
}

#[test]
fn an_unknown_write_of_several_lines_happens_whole() {
    let both = [line(0, Add(-1)), line(1, Add(1))];
    stocked().unknown(3, &both).read((5, 6), seen(0, 5, 9)).read((7, 8), seen(1, 9, 11)).assert_consistent();
    let half = stocked().unknown(3, &both).read((5, 6), seen(0, 5, 9)).read((7, 8), seen(1, 8, 10));
    half.assert_violated(Kind::MissingVersion);
    // Seen on one level only, with nobody to look at the other afterwards: it can have happened there, too.
    stocked().unknown(3, &both).read((7, 8), seen(0, 5, 9)).assert_consistent();
    // It cannot have: what it needs on the other level was not there.
    let short = stocked().unknown(3, &[line(0, Add(-1)), line(1, Add(-11))]).read((7, 8), seen(0, 5, 9));
    assert_eq!(short.assert_violated(Kind::MissingVersion), [4]);
}

#[test]
fn an_unseen_unknown_write_may_have_made_another_possible() {
    stocked()
        .unknown(3, &[line(0, Add(-1)), line(1, Add(-11))])
        .unknown(3, &[line(1, Add(1))])
        .read((7, 8), seen(0, 5, 9))
        .assert_consistent();
}

#[test]
fn a_write_of_no_use_may_have_had_to_come_early() {
    // The count of `b` is only possible before the deletion, which is needed first, and makes `c`, which the last
    // write needs; but that one only comes up when the deletion has happened.
    let count = history::Effect::Count { on_hand: 5, if_version: None };
    stocked()
        .read((1, 2), seen(3, 4, 10))
        .unknown(3, &[line(1, count), line(2, Create(7))])
        .unknown(3, &[line(0, Add(-1)), line(1, Delete)])
        .unknown(3, &[line(3, Add(-2)), line(2, Add(-7))])
        .read((4, 5), seen(0, 5, 9))
        .read((10, 11), seen(3, 4, 10))
        .read((12, 13), seen(3, 5, 8))
        .assert_consistent();
}

#[test]
fn a_wrong_choice_is_taken_back_with_all_that_followed() {
    let untold = history::Seen { stock: history::Stock::Untold, ..seen(0, 5, 0) };
    stocked()
        .unknown(3, &[line(0, Add(-1))])
        .unknown(3, &[line(0, Add(-2))])
        .unknown(3, &[line(0, Add(-5)), line(1, Add(-1))])
        .read((4, 5), untold)
        .read((6, 7), seen(1, 8, 10))
        .read((8, 9), seen(0, 5, 8))
        .assert_consistent();
}

#[test]
fn known_writes_of_several_lines_constrain_unknown_ones() {
    // Each missing version alone is explained, but the known write ties the two levels the other way round.
    let story = stocked()
        .unknown(3, &[line(0, Add(-1)), line(1, Add(-1))])
        .writes((5, 50), &[line(0, Add(1)), line(1, Add(1))], &[seen(0, 5, 11), seen(1, 10, 10)])
        .read((5, 50), seen(0, 6, 10));
    assert!(story.verdict().is_violated());
    assert_eq!(history::brute::is_linearizable(&story.history()), Some(false));
}

#[test]
fn another_level_can_show_that_an_unknown_write_was_sent_too_late() {
    // On `a` alone the write could follow the unknown one; on `b` it was seen before that had been sent.
    let story = |sent| {
        stocked()
            .writes((5, 200), &[line(0, Add(1)), line(1, Add(1))], &[seen(0, 6, 10), seen(1, 9, 11)])
            .read((10, 20), seen(1, 9, 11))
            .unknown(sent, &[line(0, Add(-1))])
    };
    story(20).assert_consistent();
    assert_eq!(story(21).assert_violated(Kind::MissingVersion), [3]);
}

#[test]
fn a_search_that_is_cut_short_is_indeterminate() {
    // Which of many different withdrawals add up to what is missing?
    let mut story = Story::new().read((1, 2), seen(0, 1, 1_000_000));
    for units in 0..40 {
        story = story.unknown(3, &[line(0, Add(-(1_000 + units * 7)))]);
    }
    let history = story.read((5, 6), seen(0, 21, 1_000_000 - 20_001)).history();
    let limits = Limits { search_steps: 10_000, ..Limits::lenient() };
    let verdict = history::check_with(&history, &limits);
    let text = verdict.to_string();
    assert!(text.contains("at most 45460 units could hide in 40 unknown outcomes"), "{text}");
    let Conclusion::Indeterminate { residual, .. } = verdict.conclusion else { panic!("{text}") };
    assert_eq!((residual.unknown, residual.units_max), (40, 40 * 1_000 + 7 * (39 * 40 / 2)));
}

#[test]
fn many_alike_unknown_writes_are_one_choice() {
    let mut story = Story::new().read((1, 2), seen(0, 1, 1_000));
    for _ in 0..300 {
        story = story.unknown(3, &[line(0, Add(-1))]);
    }
    let history = story.read((5, 6), seen(0, 201, 800)).read((7, 8), seen(0, 202, 800)).history();
    let verdict = history::check_with(&history, &Limits::lenient());
    assert_eq!(verdict.count(Kind::MissingVersion), 1, "{verdict}");
}
