//! Good histories are accepted, and every fault planted in one is found (P1 to P6).

use history::plant::Fault;
use history::sample::{self, Shape};
use history::{Kind, Limits, check, check_with};

fn shapes() -> impl Iterator<Item = Shape> {
    (0..40u32).map(|seed| Shape {
        seed: u64::from(seed),
        operations: 400,
        keys: 1 + seed % 5,
        many_line_percent: [0, 20, 60][seed as usize % 3],
        unknown_percent: 0,
        is_varied: seed % 2 == 0,
        is_stocked: seed % 7 != 0,
        repeated_percent: [0, 10][seed as usize % 2],
        snapshot_percent: [0, 10][seed as usize / 2 % 2],
        ..Shape::default()
    })
}

#[test]
fn good_histories_pass_all_requirements() {
    for shape in shapes() {
        let verdict = check(&sample::history(&shape));
        assert!(verdict.is_consistent(), "{shape:?}\n{verdict}");
        assert!(verdict.summary.contended_writes > 20, "{verdict}");
        assert!(verdict.summary.overlap_max > 2, "{verdict}");
    }
}

#[test]
fn good_histories_with_unknown_outcomes_pass() {
    for shape in shapes() {
        let shape = Shape { unknown_percent: 5, ..shape };
        let verdict = check(&sample::history(&shape));
        assert!(verdict.is_consistent(), "{shape:?}\n{verdict}");
    }
}

fn assert_found(fault: Fault, kinds: &[Kind]) {
    let mut planted = 0;
    for shape in shapes() {
        let good = sample::history(&shape);
        for place in [0, 7, 31] {
            let Some(bad) = fault.plant(&good, place) else { continue };
            planted += 1;
            let verdict = check_with(&bad, &Limits::lenient());
            assert!(verdict.is_violated(), "{fault:?} at {place} of {shape:?}\n{verdict}");
            let is_named = kinds.iter().any(|kind| verdict.count(*kind) > 0);
            assert!(is_named, "{fault:?} at {place} of {shape:?}\n{verdict}");
        }
    }
    assert!(planted >= 40, "{fault:?} was planted only {planted} times");
}

#[test]
fn a_forgotten_write_is_found() {
    // What is missing may be just what a request that was sent again asks for.
    assert_found(Fault::Forget, &[Kind::MissingVersion, Kind::AppliedTwice]);
}

#[test]
fn a_lost_update_is_found() {
    assert_found(Fault::LoseUpdate, &[Kind::LostUpdate]);
}

#[test]
fn swapped_answers_are_found() {
    assert_found(Fault::Swap, &[Kind::WrongChange, Kind::Oversold]);
}

#[test]
fn a_delayed_write_is_found() {
    assert_found(Fault::Delay, &[Kind::RealTime]);
}

#[test]
fn a_hastened_write_is_found() {
    assert_found(Fault::Hasten, &[Kind::RealTime]);
}

#[test]
fn a_corrupt_read_is_found() {
    assert_found(Fault::CorruptRead, &[Kind::WrongRead]);
}

#[test]
fn a_torn_write_is_found() {
    assert_found(Fault::Tear, &[Kind::LostUpdate]);
}

#[test]
fn a_fractured_order_is_found() {
    assert_found(Fault::Fracture, &[Kind::Cycle]);
}

#[test]
fn a_request_that_took_effect_twice_is_found() {
    assert_found(Fault::Repeat, &[Kind::AppliedTwice]);
}

#[test]
fn an_answer_to_a_repetition_that_differs_is_found() {
    assert_found(Fault::AnswerOtherwise, &[Kind::OtherAnswer]);
}

#[test]
fn a_torn_read_is_found() {
    assert_found(Fault::TearRead, &[Kind::TornRead]);
}

#[test]
fn a_torn_write_without_versions_is_found() {
    assert_found(Fault::TearUntold, &[Kind::TornWrite]);
}

#[test]
fn a_false_refusal_is_found() {
    assert_found(Fault::RefuseFalsely, &[Kind::FalseRefusal]);
}

/// On the many levels of a default history as well, of which all are searched together.
#[test]
fn a_torn_write_without_versions_is_found_among_many_levels() {
    for seed in [1, 2] {
        let good = sample::history(&Shape { seed, operations: 400, unknown_percent: 0, ..Shape::default() });
        for place in [0, 7, 31] {
            let bad = Fault::TearUntold.plant(&good, place).expect("a history of many levels");
            let verdict = check_with(&bad, &Limits::lenient());
            assert!(verdict.is_violated(), "at {place} of {seed}\n{verdict}");
        }
    }
}
