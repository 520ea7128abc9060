//! Attempts under one idempotency key (P8): together they are one operation, and all answers to them are one answer.

use history::Effect::Add;
use history::{Kind, Outcome, Reason, Request};

use crate::support::{Story, line, seen};

fn stocked() -> Story {
    Story::new().read((1, 2), seen(0, 4, 10)).read((1, 2), seen(1, 8, 10))
}

#[test]
fn a_repetition_is_no_second_change() {
    let story = stocked()
        .write((3, 4), Add(-1), seen(0, 5, 9))
        .once(7)
        .write((5, 6), Add(-1), seen(0, 5, 9))
        .once(7)
        .read((7, 8), seen(0, 5, 9));
    story.assert_consistent();
    let summary = story.verdict().summary;
    assert_eq!((summary.repeated, summary.applied), (1, 2));
    assert!(story.verdict().to_string().contains("1 of these repeat another under its idempotency key"));
    // Without a key they are two changes that became one version.
    let apart = stocked().write((3, 4), Add(-1), seen(0, 5, 9)).write((5, 6), Add(-1), seen(0, 5, 9));
    assert_eq!(apart.verdict().count(Kind::LostUpdate), 1);
}

#[test]
fn an_attempt_without_an_answer_may_be_the_one_that_took_effect() {
    let story = |seen_at| {
        stocked()
            .unknown(3, &[line(0, Add(-1))])
            .once(7)
            .read(seen_at, seen(0, 5, 9))
            .write((20, 30), Add(-1), seen(0, 5, 9))
            .once(7)
    };
    // Seen before the second attempt was sent, and not before the first.
    story((4, 5)).assert_consistent();
    // The second has settled what the first left open.
    let summary = story((4, 5)).verdict().summary;
    assert_eq!((summary.unknown, summary.unknown_repeated, summary.unknown_applied), (1, 1, 0));
    assert_eq!(story((1, 2)).verdict().count(Kind::RealTime), 1);
}

#[test]
fn attempts_without_any_answer_happen_once_at_most() {
    let story = || stocked().unknown(3, &[line(0, Add(-1))]).once(7).unknown(5, &[line(0, Add(-1))]).once(7);
    story().read((7, 8), seen(0, 4, 10)).assert_consistent();
    story().read((7, 8), seen(0, 5, 9)).assert_consistent();
    story().read((7, 8), seen(0, 6, 8)).assert_violated(Kind::MissingVersion);
    let summary = story().read((7, 8), seen(0, 5, 9)).verdict().summary;
    assert_eq!((summary.unknown, summary.unknown_repeated, summary.unknown_applied), (2, 1, 1));
    // Under two keys they are two.
    let two = stocked().unknown(3, &[line(0, Add(-1))]).once(7).unknown(5, &[line(0, Add(-1))]).once(8);
    two.read((7, 8), seen(0, 6, 8)).assert_consistent();
}

#[test]
fn a_first_answer_bounds_what_came_of_all_attempts() {
    // The answer that came first says that it had happened by then.
    let story = stocked()
        .write((3, 20), Add(-1), seen(0, 5, 9))
        .once(7)
        .write((4, 5), Add(-1), seen(0, 5, 9))
        .once(7)
        .read((6, 7), seen(0, 4, 10));
    assert_eq!(story.assert_violated(Kind::RealTime), [3, 4]);
}

#[test]
fn what_was_said_not_to_have_happened_is_no_answer() {
    stocked()
        .record((3, 4), Request::Write(vec![line(0, Add(-1))]), Outcome::NotApplied)
        .once(7)
        .write((5, 6), Add(-1), seen(0, 5, 9))
        .once(7)
        .assert_consistent();
}

#[test]
fn two_effects_under_one_key_are_named() {
    let story = stocked()
        .write((3, 4), Add(-1), seen(0, 5, 9))
        .once(7)
        .write((5, 6), Add(-1), seen(0, 6, 8))
        .once(7)
        .read((7, 8), seen(0, 6, 8));
    assert_eq!(story.assert_violated(Kind::AppliedTwice), [2, 3]);
}

#[test]
fn an_effect_that_no_answer_carries_is_laid_to_the_repetition() {
    let story = |read| {
        stocked()
            .write((3, 4), Add(-1), seen(0, 5, 9))
            .once(7)
            .write((5, 6), Add(-1), seen(0, 5, 9))
            .once(7)
            .read((7, 8), read)
    };
    assert_eq!(story(seen(0, 6, 8)).assert_violated(Kind::AppliedTwice), [2, 3, 4]);
    let text = story(seen(0, 6, 8)).verdict().to_string();
    assert!(text.contains("No answer carries version 6 of `a`"), "{text}");
    // It asks for something else than what happened.
    story(seen(0, 6, 7)).assert_violated(Kind::MissingVersion);
    // And by the change that followed it.
    let followed = stocked()
        .write((3, 4), Add(-1), seen(0, 5, 9))
        .once(7)
        .write((5, 6), Add(-1), seen(0, 5, 9))
        .once(7)
        .write((7, 8), Add(5), seen(0, 7, 13));
    assert_eq!(followed.assert_violated(Kind::AppliedTwice), [2, 3, 4]);
}

#[test]
fn answers_that_differ_are_named() {
    let first = || stocked().write((3, 4), Add(-1), seen(0, 5, 9)).once(7);
    let units = first().write((5, 6), Add(-1), seen(0, 5, 8)).once(7);
    assert_eq!(units.verdict().count(Kind::OtherAnswer), 1, "{}", units.verdict());
    let refused = first().refused((5, 6), Add(-1), Reason::Missing, seen(0, 5, 9)).once(7);
    assert_eq!(refused.verdict().count(Kind::OtherAnswer), 1, "{}", refused.verdict());
    // A key stands for one request.
    let other = first().write((5, 6), Add(-2), seen(0, 6, 7)).once(7);
    assert_eq!(other.assert_violated(Kind::OtherAnswer), [2, 3]);
}

#[test]
fn refusals_are_repeated_as_well() {
    let story = |again| {
        stocked()
            .refused((3, 4), Add(-11), Reason::Insufficient, seen(0, 4, 10))
            .once(7)
            .write((5, 6), Add(3), seen(0, 5, 13))
            .refused((7, 8), Add(-11), Reason::Insufficient, again)
            .once(7)
    };
    // As it was the first time, although it is no longer so.
    story(seen(0, 4, 10)).assert_consistent();
    assert!(story(seen(0, 5, 13)).verdict().count(Kind::OtherAnswer) == 1);
}

#[test]
fn the_order_in_which_levels_are_told_does_not_matter() {
    let both = [line(0, Add(-1)), line(1, Add(1))];
    let (a, b) = (seen(0, 5, 9), seen(1, 9, 11));
    stocked()
        .writes((3, 4), &both, &[a, b])
        .once(7)
        .writes((5, 6), &both, &[b, a])
        .once(7)
        .assert_consistent();
}
