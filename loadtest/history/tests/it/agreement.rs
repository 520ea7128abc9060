//! The checker against brute force, in both directions: on histories of up to 8 operations, good ones and broken ones,
//! a violation is found exactly when no order explains the answers.

use history::brute;
use history::file::{load_log, save};
use history::plant::Fault;
use history::sample::{self, Random, Shape};
use history::{Conclusion, History, Limits, Outcome, Request, Seen, Stock, check_log, check_with};
use proptest::prelude::*;

use crate::independent;

/// How many of the histories each way, so that agreement is not agreement on one answer.
#[derive(Debug, Default)]
struct Tally {
    good: u32,
    bad: u32,
    unknown: u32,
    applied: u32,
    /// With attempts that another stands for, and with consistent reads: good and bad.
    repeated: [u32; 2],
    snapshots: [u32; 2],
}

fn number(random: &mut Random, end: u64) -> usize {
    usize::try_from(random.below(end)).unwrap_or(0)
}

fn small(seed: u64, random: &mut Random) -> History {
    sample::history(&Shape {
        seed,
        operations: 3 + number(random, 6),
        clients: 2 + u32::from(random.chance(50)),
        keys: 1 + u32::from(random.chance(70)) + u32::from(random.chance(30)),
        many_line_percent: [0, 30, 70][number(random, 3)],
        unknown_percent: [0, 25, 50][number(random, 3)],
        repeated_percent: [0, 0, 30][number(random, 3)],
        snapshot_percent: [0, 20, 50][number(random, 3)],
        is_varied: random.chance(50),
        is_stocked: random.chance(70),
        is_framed: false,
    })
}

/// One small blind change: of a time, of an answer, of what is known, or of what was asked.
pub(crate) fn disturb(history: &mut History, random: &mut Random) {
    if random.chance(25) {
        // All but the one that makes a history one without versions, of which brute force knows nothing.
        let told: Vec<Fault> = Fault::ALL.into_iter().filter(|fault| *fault != Fault::TearUntold).collect();
        let fault = told[number(random, told.len() as u64)];
        let place = number(random, 100);
        if let Some(broken) = fault.plant(history, place) {
            *history = broken;
        }
        return;
    }
    let count = history.records.len() as u64;
    let Ok(at) = usize::try_from(random.below(count)) else { return };
    if random.chance(5) {
        repeat(history, at, random);
        return;
    }
    let Some(record) = history.records.get_mut(at) else { return };
    match random.below(6) {
        0 => {
            let shift = random.below(200);
            record.invoked_ns += shift;
            record.returned_ns += shift;
        }
        1 => record.returned_ns = record.invoked_ns + random.below(200),
        2 => record.invoked_ns = record.invoked_ns.saturating_sub(random.below(200)),
        3 if matches!(record.request, Request::Write(_)) => record.outcome = Outcome::Unknown,
        4 => {
            history.records.remove(at);
        }
        _ => alter(&mut record.outcome, random),
    }
}

/// An attempt more under the key of a write, which is told the same, or not; or is not answered.
fn repeat(history: &mut History, at: usize, random: &mut Random) {
    let record = &mut history.records[at];
    if !matches!(record.request, Request::Write(_)) {
        return;
    }
    let once = *record.once.get_or_insert(1_000 + random.below(2));
    let mut again = record.clone();
    again.once = Some(once);
    again.invoked_ns += random.below(400);
    again.returned_ns = again.invoked_ns + random.below(200);
    match random.below(4) {
        0 => again.outcome = Outcome::Unknown,
        1 => record.outcome = Outcome::Unknown,
        2 => alter(&mut again.outcome, random),
        _ => {}
    }
    history.records.push(again);
}

fn alter(outcome: &mut Outcome, random: &mut Random) {
    let mut seen: Vec<&mut Seen> = match outcome {
        Outcome::Read(seen) => vec![seen],
        Outcome::Applied(seen) | Outcome::Snapshot { levels: seen, .. } => seen.iter_mut().collect(),
        Outcome::Refused(refused) => refused.iter_mut().map(|refused| &mut refused.seen).collect(),
        Outcome::NotApplied | Outcome::Unknown => return,
    };
    let Some(seen) = seen.first_mut() else { return };
    match random.below(4) {
        0 => seen.version += 1,
        1 => seen.version = seen.version.saturating_sub(1),
        2 => seen.stock = Stock::Untold,
        _ => {
            if let Stock::Level { on_hand, .. } = &mut seen.stock {
                *on_hand = random.below(8);
            }
        }
    }
}

/// The records as JSON, a line each.
pub(crate) fn text(history: &History) -> String {
    let line = |record| serde_json::to_string(record).unwrap_or_default() + "\n";
    history.records.iter().map(line).collect()
}

fn assert_agree(history: &History, tally: &mut Tally) {
    let Some(truth) = brute::is_linearizable(history) else { return };
    let verdict = check_with(history, &Limits::lenient());
    match &verdict.conclusion {
        Conclusion::Consistent => {
            assert!(truth, "accepted, and no order explains it:\n{}", text(history));
        }
        Conclusion::Violations { .. } => {
            assert!(!truth, "refused, and an order explains it: {verdict}\n{}", text(history));
        }
        other => panic!("{other:?} on so small a history:\n{}", text(history)),
    }
    tally.good += u32::from(truth);
    tally.bad += u32::from(!truth);
    tally.unknown += u32::from(verdict.summary.unknown > 0);
    tally.applied += u32::from(verdict.summary.unknown_applied > 0);
    let is_snapshot = |record: &history::Record| matches!(record.outcome, Outcome::Snapshot { .. });
    tally.repeated[usize::from(!truth)] += u32::from(verdict.summary.repeated > 0);
    tally.snapshots[usize::from(!truth)] += u32::from(history.records.iter().any(is_snapshot));
}

fn tally(seeds: std::ops::Range<u64>, disturbances: u64) -> Tally {
    let mut tally = Tally::default();
    for seed in seeds {
        let mut random = Random(seed ^ 0x5eed);
        let mut history = small(seed, &mut random);
        for _ in 0..random.below(disturbances + 1) {
            disturb(&mut history, &mut random);
        }
        assert_agree(&history, &mut tally);
    }
    tally
}

#[test]
fn brute_force_accepts_what_the_model_made() {
    let tally = tally(0..20_000, 0);
    assert_eq!(tally.bad, 0);
    assert!(tally.good > 15_000 && tally.applied > 1_000, "{tally:?}");
}

#[test]
fn checker_and_brute_force_agree_on_disturbed_histories() {
    let tally = tally(0..60_000, 3);
    assert!(tally.good > 10_000 && tally.bad > 10_000, "{tally:?}");
    assert!(tally.unknown > 10_000 && tally.applied > 3_000, "{tally:?}");
    assert!(tally.repeated.iter().chain(&tally.snapshots).all(|count| *count > 2_000), "{tally:?}");
}

/// As `loadtest check` judges a saved file, against a checker that shares no line with it.
#[test]
fn a_thousand_saved_histories_are_judged_as_by_an_independent_checker() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("history.ndjson");
    let (mut good, mut bad, mut seed) = (0, 0, 7_000_000);
    while good < 500 || bad < 500 {
        seed += 1;
        let mut random = Random(seed);
        let mut history = small(seed, &mut random);
        for _ in 0..random.below(4) {
            disturb(&mut history, &mut random);
        }
        // What it says nothing of: answers from before the request, and what is not an answer to it.
        let is_odd = |record: &history::Record| {
            record.returned_ns < record.invoked_ns && record.outcome != Outcome::Unknown
        };
        let truth = independent::is_linearizable(&history) && !history.records.iter().any(is_odd);
        if [good, bad][usize::from(!truth)] == 500 {
            continue;
        }
        (good, bad) = (good + u32::from(truth), bad + u32::from(!truth));
        save(&history, &path).unwrap();
        let loaded = load_log(&path, std::sync::Arc::default()).unwrap();
        let verdict = check_log(&loaded.log, &Limits::lenient()).unwrap();
        assert_eq!(verdict.is_consistent(), truth, "{verdict}\n{}", text(&history));
        assert_eq!(verdict.is_violated(), !truth, "{verdict}\n{}", text(&history));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn checker_and_brute_force_agree_on_any_seed(seed in any::<u64>(), disturbances in 0..6u64) {
        tally(seed..seed.saturating_add(1), disturbances);
    }
}

#[test]
#[ignore = "minutes long; run it after changing a checker"]
fn checker_and_brute_force_agree_for_long() {
    tally(1_000_000..4_000_000, 4);
}

#[test]
fn brute_force_tries_twelve_steps_and_no_more() {
    let reads = |count: u32| {
        let story = crate::support::Story::new();
        let reads = (0..count).fold(story, |story, _| story.read((1, 2), crate::support::absent(0, 0)));
        history::brute::is_linearizable(&reads.history())
    };
    assert_eq!((reads(12), reads(13)), (Some(true), None));
}
