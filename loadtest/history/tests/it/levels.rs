//! One level by itself: each check finds what it is for, and names the records (P1, P2, P3, P5, P6).

use history::Effect::{Add, AddOrCreate, Count, Create, Delete};
use history::{Key, Kind, Outcome, Reason, Request, Seen, Stock};

use crate::support::{Story, absent, seen};

/// A level created with ten units, and three taken.
fn begun() -> Story {
    Story::new().write((10, 20), Create(10), seen(0, 1, 10)).write((30, 40), Add(-3), seen(0, 2, 7))
}

#[test]
fn a_life_of_a_level_is_consistent() {
    begun()
        .refused((50, 60), Add(-8), Reason::Insufficient, seen(0, 2, 7))
        .refused((50, 60), Create(5), Reason::Exists, seen(0, 2, 7))
        .refused((50, 60), Count { on_hand: 5, if_version: Some(1) }, Reason::VersionMismatch, seen(0, 2, 7))
        .write((70, 80), Count { on_hand: 7, if_version: Some(2) }, seen(0, 3, 7))
        .write((90, 100), Delete, absent(0, 4))
        .refused((110, 120), Add(1), Reason::Missing, absent(0, 4))
        .refused((110, 120), Count { on_hand: 1, if_version: Some(4) }, Reason::VersionMismatch, absent(0, 4))
        .write((130, 140), AddOrCreate(2), seen(0, 5, 2))
        .read((150, 160), seen(0, 5, 2))
        .assert_consistent();
}

#[test]
fn overlapping_operations_may_happen_in_either_order() {
    begun()
        .write((50, 100), Add(-1), seen(0, 4, 5))
        .write((50, 100), Add(-1), seen(0, 3, 6))
        .read((50, 100), seen(0, 2, 7))
        .read((50, 100), seen(0, 4, 5))
        .assert_consistent();
}

#[test]
fn two_changes_of_one_version_are_a_lost_update_with_both_culprits() {
    let story = begun().write((50, 100), Add(-1), seen(0, 3, 6)).write((60, 90), Add(-2), seen(0, 3, 5));
    assert_eq!(story.assert_violated(Kind::LostUpdate), [2, 3]);
}

#[test]
fn a_change_at_the_version_before_the_run_is_a_lost_update() {
    let story = Story::new().read((1, 2), seen(0, 7, 5)).write((1, 3), Add(1), seen(0, 7, 6));
    let verdict = story.verdict();
    assert_eq!(
        verdict.count(Kind::MissingVersion),
        1,
        "the read is no opening: it returned after the write was sent"
    );
    let story = Story::new().read((1, 2), seen(0, 7, 5)).write((3, 4), Add(1), seen(0, 7, 6));
    assert_eq!(story.verdict().count(Kind::LostUpdate), 1);
}

#[test]
fn a_change_at_version_zero_is_a_lost_update() {
    assert_eq!(Story::new().write((1, 2), Create(1), seen(0, 0, 1)).assert_violated(Kind::LostUpdate), [0]);
}

#[test]
fn a_version_nobody_made_is_missing() {
    let story = begun().write((50, 60), Add(-1), seen(0, 4, 5));
    assert_eq!(story.assert_violated(Kind::MissingVersion), [2]);
    let story = begun().read((50, 60), seen(0, 3, 6));
    assert_eq!(story.assert_violated(Kind::MissingVersion), [2]);
    let story = Story::new().read((1, 2), absent(0, 0)).write((3, 4), Add(1), seen(0, u64::MAX - 1, 1));
    assert_eq!(story.assert_violated(Kind::MissingVersion), [1]);
}

#[test]
fn what_was_not_applied_cannot_explain_a_version() {
    let request = Request::Write(vec![crate::support::line(0, Add(-1))]);
    let story = begun().record((45, 46), request, Outcome::NotApplied).read((50, 60), seen(0, 3, 6));
    assert_eq!(story.assert_violated(Kind::MissingVersion), [3]);
}

#[test]
fn an_answer_that_is_not_before_plus_change_is_wrong() {
    assert_eq!(begun().write((50, 60), Add(-1), seen(0, 3, 5)).assert_violated(Kind::WrongChange), [2, 1]);
    assert_eq!(begun().write((50, 60), Delete, seen(0, 3, 7)).assert_violated(Kind::WrongChange), [2, 1]);
}

#[test]
fn taking_more_than_was_there_is_overselling() {
    assert_eq!(begun().write((50, 60), Add(-8), seen(0, 3, 0)).assert_violated(Kind::Oversold), [2, 1]);
}

#[test]
fn reserved_units_are_carried_and_never_taken() {
    let held =
        |version, on_hand, reserved| Seen { key: Key(0), version, stock: Stock::Level { on_hand, reserved } };
    let opened = || Story::new().read((1, 2), held(5, 10, 4));
    opened().write((3, 4), Add(-6), held(6, 4, 4)).assert_consistent();
    opened().refused((3, 4), Add(-7), Reason::Insufficient, held(5, 10, 4)).assert_consistent();
    opened().refused((3, 4), Delete, Reason::Reserved, held(5, 10, 4)).assert_consistent();
    let counted = Count { on_hand: 3, if_version: None };
    opened().refused((3, 4), counted, Reason::Reserved, held(5, 10, 4)).assert_consistent();
    assert_eq!(opened().write((3, 4), Add(-7), held(6, 3, 4)).assert_violated(Kind::Oversold), [1]);
    assert_eq!(opened().write((3, 4), Add(1), held(6, 11, 0)).assert_violated(Kind::WrongChange), [1]);
    assert_eq!(opened().write((3, 4), Delete, absent(0, 6)).assert_violated(Kind::BrokenPrecondition), [1]);
    assert_eq!(Story::new().read((1, 2), held(5, 1, 4)).assert_violated(Kind::WrongRead), [0]);
}

#[test]
fn applied_although_the_precondition_did_not_hold() {
    let broken = Kind::BrokenPrecondition;
    assert_eq!(begun().write((50, 60), Create(1), seen(0, 3, 1)).assert_violated(broken), [2, 1]);
    let stale = Count { on_hand: 1, if_version: Some(1) };
    assert_eq!(begun().write((50, 60), stale, seen(0, 3, 1)).assert_violated(broken), [2, 1]);
    assert_eq!(Story::new().write((1, 2), Add(1), seen(0, 1, 1)).assert_violated(broken), [0]);
    assert_eq!(Story::new().write((1, 2), Delete, absent(0, 1)).assert_violated(broken), [0]);
    let huge = Add(1 << 40);
    assert_eq!(begun().write((50, 60), huge, seen(0, 3, (1 << 40) + 7)).assert_violated(broken), [2, 1]);
}

#[test]
fn a_read_that_differs_from_its_version_is_wrong() {
    assert_eq!(begun().read((50, 60), seen(0, 2, 8)).assert_violated(Kind::WrongRead), [2, 1]);
    assert_eq!(begun().read((50, 60), absent(0, 2)).assert_violated(Kind::WrongRead), [2, 1]);
    let held = Seen { key: Key(0), version: 2, stock: Stock::Level { on_hand: 7, reserved: 1 } };
    assert_eq!(begun().read((50, 60), held).assert_violated(Kind::WrongRead), [2, 1]);
}

#[test]
fn a_refusal_whose_reason_is_not_true_is_false() {
    let refused = |effect, reason, seen| begun().refused((50, 60), effect, reason, seen);
    let now = seen(0, 2, 7);
    let told = |stock| Seen { stock, ..now };
    for story in [
        refused(Add(-7), Reason::Insufficient, now),
        refused(Add(-7), Reason::Insufficient, told(Stock::Available(7))),
        refused(Add(-7), Reason::Insufficient, told(Stock::Untold)),
        refused(Add(-7), Reason::Missing, now),
        refused(Create(1), Reason::Missing, told(Stock::Untold)),
        refused(Add(1), Reason::Exists, now),
        refused(Count { on_hand: 1, if_version: Some(2) }, Reason::VersionMismatch, now),
        refused(Delete, Reason::Reserved, now),
        refused(Add(1), Reason::Overflow, now),
    ] {
        // A refusal that tells the state of which its reason is not true needs nobody else to prove it.
        let tells = !matches!(&story.clone().history().records[2].outcome, Outcome::Refused(lines) if lines[0].seen.stock == Stock::Untold);
        let culprits = story.assert_violated(Kind::FalseRefusal);
        assert_eq!(culprits, if tells { vec![2] } else { vec![2, 1] });
    }
    let wrong = refused(Add(-8), Reason::Insufficient, told(Stock::Available(6)));
    assert_eq!(wrong.assert_violated(Kind::WrongRead), [2, 1]);
}

#[test]
fn a_stale_answer_is_out_of_real_time() {
    let late = begun().read((50, 60), seen(0, 1, 10));
    assert_eq!(late.assert_violated(Kind::RealTime), [1, 2]);
    let late = begun().refused((50, 60), Add(-11), Reason::Insufficient, seen(0, 1, 10));
    assert_eq!(late.assert_violated(Kind::RealTime), [1, 2]);
    let late = begun().read((41, 45), seen(0, 3, 8)).write((46, 50), Add(1), seen(0, 3, 8));
    assert_eq!(late.assert_violated(Kind::RealTime), [2, 3], "seen before it was sent");
    let late = begun().write((5, 55), Add(1), seen(0, 4, 9)).write((60, 70), Add(1), seen(0, 3, 8));
    assert_eq!(late.assert_violated(Kind::RealTime), [2, 3]);
}

#[test]
fn answered_and_sent_at_one_moment_is_not_an_order() {
    begun().read((40, 50), seen(0, 1, 10)).assert_consistent();
}

#[test]
fn answers_that_do_not_fit_their_requests() {
    let write =
        |keys: &[u32]| Request::Write(keys.iter().map(|key| crate::support::line(*key, Add(1))).collect());
    let applied = |keys: &[u32]| Outcome::Applied(keys.iter().map(|key| seen(*key, 1, 1)).collect());
    for (request, outcome) in [
        (Request::Read(Key(0)), applied(&[0])),
        (Request::Read(Key(0)), Outcome::Read(seen(1, 0, 0))),
        (Request::Read(Key(9)), Outcome::NotApplied),
        (write(&[0]), Outcome::Read(seen(0, 1, 1))),
        (write(&[0]), applied(&[1])),
        (write(&[0, 1]), applied(&[0])),
        (write(&[0, 1]), applied(&[0, 0])),
        (write(&[]), applied(&[])),
        (write(&[0]), Outcome::Refused(Vec::new())),
        (
            write(&[0]),
            Outcome::Refused(vec![history::Refused { seen: absent(1, 0), reason: Reason::Missing }]),
        ),
    ] {
        let story = Story::new().record((1, 2), request, outcome);
        assert_eq!(story.assert_violated(Kind::Malformed), [0]);
    }
    let story = Story::new().read((2, 1), absent(0, 0));
    assert_eq!(story.assert_violated(Kind::Malformed), [0]);
}

/// Whoever claims the version that the level began with does not hide what others say of it.
#[test]
fn those_who_saw_the_version_of_the_beginning_are_judged_by_it() {
    let story = Story::new()
        .read((1, 2), seen(0, 3, 5))
        .write((3, 4), Add(1), seen(0, 3, 6))
        .read((5, 6), seen(0, 3, 7));
    let verdict = story.verdict();
    let culprits = |kind: Kind| -> Vec<usize> {
        let of_kind = verdict.violations().iter().filter(|found| found.kind == kind);
        of_kind.map(|found| found.culprits[0].record).collect()
    };
    assert_eq!((culprits(Kind::LostUpdate), culprits(Kind::WrongRead)), (vec![1], vec![2]), "{verdict}");
}

/// It overlaps the read that opened the history, and shows what was before it.
#[test]
fn a_look_at_what_was_before_the_beginning_shows_a_version_that_nobody_made() {
    let story = Story::new()
        .read((1, 5), seen(0, 3, 5))
        .write((6, 7), Add(1), seen(0, 4, 6))
        .read((2, 10), seen(0, 1, 4));
    assert_eq!(story.assert_violated(Kind::MissingVersion), [2]);
    let verdict = story.verdict();
    assert!(
        verdict.violations()[0].headline.starts_with("no recorded change made versions 2 to 3 of `a`"),
        "{verdict}"
    );
}

/// A read that was answered when the first write was sent, and not before, does not say how the level began.
#[test]
fn only_reads_that_were_answered_before_the_first_write_open_a_history() {
    let story =
        |returned| Story::new().read((1, returned), seen(0, 3, 5)).write((3, 4), Add(1), seen(0, 4, 6));
    story(2).assert_consistent();
    story(3).assert_violated(Kind::MissingVersion);
}

/// What was sent after the read that opened the history had been answered is out of real time, and nothing is missing for it.
#[test]
fn a_look_at_what_was_before_the_beginning_is_late_if_it_was_sent_after_it() {
    let story = Story::new()
        .read((1, 5), seen(0, 3, 5))
        .write((6, 7), Add(1), seen(0, 4, 6))
        .read((6, 10), seen(0, 1, 4));
    story.assert_violated(Kind::RealTime);
}

/// Two that claim the version that the level began with are two lost updates.
#[test]
fn each_that_claims_the_version_of_the_beginning_is_named() {
    let story = Story::new()
        .read((1, 2), absent(1, 0))
        .read((1, 2), seen(0, 3, 5))
        .write((3, 4), Create(1), seen(1, 1, 1))
        .write((3, 4), Add(1), seen(0, 3, 6))
        .write((3, 4), Add(2), seen(0, 3, 7));
    let verdict = story.verdict();
    let lost = verdict.violations().iter().filter(|found| found.kind == Kind::LostUpdate);
    assert_eq!(lost.map(|found| found.culprits[0].record).collect::<Vec<_>>(), [3, 4], "{verdict}");
}

/// Of a version before the beginning, who claims it and who saw it are told apart.
#[test]
fn who_saw_what_was_before_the_beginning_is_named_beside_who_claims_it() {
    let story = Story::new()
        .read((1, 5), seen(0, 3, 5))
        .write((6, 9), Add(1), seen(0, 2, 6))
        .read((2, 10), seen(0, 2, 6));
    let verdict = story.verdict();
    let culprits = |kind: Kind| -> Vec<usize> {
        let of_kind = verdict.violations().iter().filter(|found| found.kind == kind);
        of_kind.map(|found| found.culprits[0].record).collect()
    };
    assert_eq!(culprits(Kind::LostUpdate), [1], "{verdict}");
    assert_eq!(culprits(Kind::MissingVersion), [2], "{verdict}");
}
