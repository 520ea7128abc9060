//! What a violation names is what proves it: the culprits alone are enough, and without any one of them nothing is proved.
//!
//! An answer is left out by forgetting what it says: a change is of unknown outcome, a read or a refusal is not there. Two kinds are proved by what is *not* there, a change that would explain a version, so nothing that
//! is there is enough: missing versions, and second effects that only such a version shows.

use std::collections::BTreeMap;

use history::Effect::{Add, Create};
use history::check::Culprit;
use history::model::Units;
use history::plant::Fault;
use history::sample::{self, Random, Shape};
use history::{History, Key, Kind, Limits, Outcome, Reason, Request, Violation, check_with};

use crate::support::{Story, seen};

fn forget(history: &History, is_forgotten: impl Fn(usize) -> bool) -> History {
    let mut fewer = history.clone();
    for (_, record) in fewer.records.iter_mut().enumerate().filter(|(number, _)| is_forgotten(*number)) {
        let is_write =
            matches!(record.request, Request::Write(_)) && !matches!(record.outcome, Outcome::Refused(_));
        record.outcome = if is_write { Outcome::Unknown } else { Outcome::NotApplied };
    }
    fewer
}

fn violations(history: &History) -> Vec<Violation> {
    check_with(history, &Limits { violations_listed: 100, ..Limits::lenient() }).violations().to_vec()
}

/// Small histories with one fault, and some that are disturbed blindly.
fn wrong_histories() -> impl Iterator<Item = History> {
    (0..6_000u64).filter_map(|seed| {
        let mut random = Random(seed);
        let shape = Shape {
            seed,
            operations: 12,
            clients: 4,
            keys: 2,
            many_line_percent: [0, 40][usize::try_from(seed % 2).unwrap_or(0)],
            unknown_percent: 0,
            repeated_percent: 0,
            snapshot_percent: 10,
            is_varied: random.chance(50),
            ..Shape::default()
        };
        let good = sample::history(&shape);
        let fault = Fault::ALL[usize::try_from(random.below(Fault::ALL.len() as u64)).unwrap_or(0)];
        if random.chance(60) {
            return fault.plant(&good, usize::try_from(random.below(50)).unwrap_or(0));
        }
        let mut disturbed = good;
        crate::agreement::disturb(&mut disturbed, &mut random);
        Some(disturbed)
    })
}

/// Of the kinds that mostly come with consequences, one each without.
fn written() -> impl Iterator<Item = History> {
    let sold = || Story::new().read((1, 2), seen(0, 4, 10)).write((3, 4), Add(-5), seen(0, 5, 5));
    let refused = |times, told| sold().refused(times, Add(-9), Reason::Insufficient, told).once(7);
    let totals = Some(Units { on_hand: 6, reserved: 0 });
    let snapshot = Outcome::Snapshot { levels: vec![seen(0, 5, 5)], totals };
    [
        sold().write((5, 6), Add(-8), seen(0, 6, 0)),
        sold().write((5, 6), Create(1), seen(0, 6, 1)),
        sold().write((5, 6), Add(-1), seen(0, 6, 5)),
        refused((5, 6), seen(0, 5, 5))
            .write((7, 8), Add(1), seen(0, 6, 6))
            .refused((9, 10), Add(-9), Reason::Insufficient, seen(0, 6, 6))
            .once(7),
        sold().record((5, 6), Request::Snapshot(vec![Key(0)]), snapshot),
    ]
    .into_iter()
    .map(Story::history)
}

#[test]
fn every_culprit_is_needed_and_all_of_them_are_enough() {
    let mut seen: BTreeMap<Kind, u32> = BTreeMap::new();
    for history in wrong_histories().chain(written()) {
        let first_write = history.records.iter().filter(|record| matches!(record.request, Request::Write(_)));
        let first_write = first_write.map(|record| record.invoked_ns).min().unwrap_or(u64::MAX);
        let all = violations(&history);
        // Of several some are consequences: after two changes became one version nobody knows what was there.
        for violation in all.iter().filter(|_| all.len() == 1) {
            // What is named as under way is not needed: whether it took place does not matter.
            let is_proof = |culprit: &&Culprit| !culprit.role.starts_with("A change of several of them");
            let named: Vec<usize> =
                violation.culprits.iter().filter(is_proof).map(|culprit| culprit.record).collect();
            let text = || format!("{violation}\n{}", crate::agreement::text(&history));
            // How the levels began is what opening reads show, and no answer of the run.
            let is_opening = |number: usize| history.records[number].returned_ns < first_write;
            let only = |left: &dyn Fn(usize) -> bool| {
                forget(&history, |number| !left(number) && !is_opening(number))
            };
            if violation.kind == Kind::MissingVersion || violation.kind == Kind::AppliedTwice {
                // Proved by what is not there.
                *seen.entry(violation.kind).or_default() += 1;
                continue;
            }
            let alone = only(&|number| named.contains(&number));
            assert!(!violations(&alone).is_empty(), "they alone: {}", text());
            for spared in named.iter().filter(|number| !is_opening(**number)) {
                let fewer = only(&|number| named.contains(&number) && number != *spared);
                // That nothing made a version that was seen may still be so.
                let left = violations(&fewer);
                let is_by_absence = left.iter().all(|other| other.kind == Kind::MissingVersion);
                assert!(is_by_absence, "without record {spared}: {}", text());
            }
            *seen.entry(violation.kind).or_default() += 1;
        }
    }
    // Books are of everything that happened to a level.
    let missing = Kind::ALL.into_iter().filter(|kind| !seen.contains_key(kind));
    assert_eq!(missing.collect::<Vec<Kind>>(), [Kind::Unbalanced], "{seen:?}");
}
