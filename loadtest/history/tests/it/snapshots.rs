//! Consistent reads of several levels (P4 for readers, P5): all they show was so at one moment of the request.

use history::Effect::Add;
use history::model::Units;
use history::{Kind, Outcome, Request};

use crate::support::{Story, line, seen};

fn stocked() -> Story {
    Story::new().read((1, 2), seen(0, 4, 10)).read((1, 2), seen(1, 8, 10)).read((1, 2), seen(2, 1, 5))
}

/// Three units go from `a` to `b`.
fn moved() -> Story {
    let lines = [line(0, Add(-3)), line(1, Add(3))];
    stocked().writes((10, 20), &lines, &[seen(0, 5, 7), seen(1, 9, 13)])
}

#[test]
fn a_cut_before_or_after_a_transfer_is_right() {
    moved().snapshot((10, 20), &[seen(0, 4, 10), seen(1, 8, 10)]).assert_consistent();
    moved().snapshot((10, 20), &[seen(0, 5, 7), seen(1, 9, 13)]).assert_consistent();
    moved().snapshot((30, 40), &[seen(1, 9, 13), seen(0, 5, 7), seen(2, 1, 5)]).assert_consistent();
}

#[test]
fn a_cut_through_a_transfer_is_torn() {
    let torn = moved().snapshot((10, 20), &[seen(0, 5, 7), seen(1, 8, 10)]);
    let mut culprits = torn.assert_violated(Kind::TornRead);
    culprits.sort_unstable();
    assert_eq!(culprits, [3, 4]);
    let text = torn.verdict().to_string();
    assert!(text.contains("a consistent read shows levels as they never were together"), "{text}");
    // Two reads of one level each may well see that.
    moved().read((10, 20), seen(0, 5, 7)).read((10, 12), seen(1, 8, 10)).assert_consistent();
}

#[test]
fn a_cut_is_within_the_request() {
    moved().snapshot((30, 40), &[seen(0, 4, 10), seen(2, 1, 5)]).assert_violated(Kind::RealTime);
}

/// Each level by itself is in order, and no write changes two of them: real time alone ties them.
#[test]
fn levels_are_tied_by_real_time_alone() {
    let changed =
        || stocked().write((10, 20), Add(1), seen(0, 5, 11)).write((30, 40), Add(1), seen(1, 9, 11));
    changed().snapshot((5, 50), &[seen(0, 5, 11), seen(1, 8, 10)]).assert_consistent();
    changed().snapshot((5, 50), &[seen(0, 4, 10), seen(1, 9, 11)]).assert_violated(Kind::TornRead);
}

#[test]
fn two_cuts_have_to_agree_on_an_order() {
    let both = || stocked().write((10, 90), Add(1), seen(0, 5, 11)).write((10, 90), Add(1), seen(1, 9, 11));
    let one = [seen(0, 5, 11), seen(1, 8, 10)];
    let other = [seen(0, 4, 10), seen(1, 9, 11)];
    both().snapshot((10, 90), &one).assert_consistent();
    both().snapshot((10, 90), &other).assert_consistent();
    both().snapshot((10, 90), &one).snapshot((10, 90), &one).assert_consistent();
    both().snapshot((10, 90), &one).snapshot((10, 90), &other).assert_violated(Kind::TornRead);
}

#[test]
fn many_readers_of_one_version_do_not_wait_for_one_another() {
    let mut story = moved();
    for at in 0..6u64 {
        // In any order on either level, and overlapping all of the others.
        let (a, b) = (seen(0, 5, 7), seen(1, 9, 13));
        story = story.snapshot((30 + at, 90 - at), &if at % 2 == 0 { [a, b] } else { [b, a] });
    }
    story.write((95, 96), Add(1), seen(0, 6, 8)).assert_consistent();
}

#[test]
fn an_unknown_write_is_seen_whole() {
    let doubt = || stocked().unknown(10, &[line(0, Add(-3)), line(1, Add(3))]);
    doubt().snapshot((11, 12), &[seen(0, 5, 7), seen(1, 9, 13)]).assert_consistent();
    doubt().snapshot((11, 12), &[seen(0, 4, 10), seen(1, 8, 10)]).assert_consistent();
    let half = doubt().snapshot((11, 12), &[seen(0, 5, 7), seen(1, 8, 10)]);
    assert!(half.verdict().is_violated());
    assert_eq!(history::brute::is_linearizable(&half.history()), Some(false));
}

#[test]
fn a_run_may_open_with_a_consistent_read() {
    let story = Story::new().snapshot((1, 2), &[seen(0, 4, 10), seen(1, 8, 10)]);
    story.write((3, 4), Add(1), seen(0, 5, 11)).assert_consistent();
}

#[test]
fn totals_are_the_sums_of_what_is_told() {
    let levels = vec![seen(0, 4, 10), seen(1, 8, 10)];
    let keys = levels.iter().map(|seen| seen.key).collect();
    let totals = Some(Units { on_hand: 21, reserved: 0 });
    let wrong = stocked().record((5, 6), Request::Snapshot(keys), Outcome::Snapshot { levels, totals });
    assert_eq!(wrong.assert_violated(Kind::Malformed), [3]);
}

#[test]
fn each_level_that_was_asked_for_is_told_once() {
    let levels = vec![seen(0, 4, 10)];
    let keys = vec![history::Key(0), history::Key(1)];
    let outcome = Outcome::Snapshot { levels, totals: None };
    stocked().record((5, 6), Request::Snapshot(keys), outcome).assert_violated(Kind::Malformed);
}
