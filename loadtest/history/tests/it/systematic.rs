//! Every small history there is, of an alphabet of operations and of times: the checker against brute force and against the
//! checker that shares nothing with either, in both directions.
//!
//! Of histories that differ only in the numbers of their records one is judged. A level begins with one unit; three slots of
//! time make six intervals, which is every way in which up to three operations can follow or overlap one another but
//! for some in which all of them do anyway.

use history::Effect::Add;
use history::{
    Conclusion, History, Key, Limits, Outcome, Reason, Record, Refused, Request, Seen, Stock, brute,
    check_with,
};

use crate::independent;
use crate::support::{line, seen};

/// An operation without a time.
type Letter = (Request, Outcome);

fn reads(told: impl IntoIterator<Item = Seen>) -> Vec<Letter> {
    told.into_iter().map(|seen| (Request::Read(Key(0)), Outcome::Read(seen))).collect()
}

fn writes(units: &[i64], outcomes: &[Outcome]) -> Vec<Letter> {
    let write = |units: &i64| {
        let request = Request::Write(vec![line(0, Add(*units))]);
        outcomes.iter().map(move |outcome| (request.clone(), outcome.clone()))
    };
    units.iter().flat_map(write).collect()
}

fn short(seen: Seen) -> Outcome {
    Outcome::Refused(vec![Refused { seen, reason: Reason::Insufficient }])
}

fn applied(seen: Seen) -> Outcome {
    Outcome::Applied(vec![seen])
}

/// Every interval of three slots of time; those that end in a slot overlap those that begin in it.
fn intervals() -> Vec<(u64, u64)> {
    (1..=3).flat_map(|from| (from..=3).map(move |to| (10 * from, 10 * to + 5))).collect()
}

/// Calls with every multiset of up to `most` operations, at every time.
fn each_history(begin: Seen, letters: &[Letter], most: usize, judge: &mut dyn FnMut(&History)) {
    let timed: Vec<Record> = letters
        .iter()
        .flat_map(|(request, outcome)| {
            intervals().into_iter().map(|(invoked_ns, returned_ns)| Record {
                client: 0,
                invoked_ns,
                returned_ns,
                request: request.clone(),
                outcome: outcome.clone(),
                once: None,
            })
        })
        .collect();
    let opening = Record {
        client: 0,
        invoked_ns: 1,
        returned_ns: 2,
        request: Request::Read(Key(0)),
        outcome: Outcome::Read(begin),
        once: None,
    };
    let mut history = History { keys: vec!["a".to_owned()], records: vec![opening], ..History::default() };
    extend(&mut history, &timed, most, judge);
}

fn extend(history: &mut History, timed: &[Record], most: usize, judge: &mut dyn FnMut(&History)) {
    judge(history);
    if most == 0 {
        return;
    }
    for (at, record) in timed.iter().enumerate() {
        history.records.push(record.clone());
        extend(history, &timed[at..], most - 1, judge);
        history.records.pop();
    }
}

/// How many were good and how many bad.
#[derive(Debug, Default)]
struct Tally {
    good: u32,
    bad: u32,
}

impl Tally {
    fn judge(&mut self, history: &History, truth: bool) {
        let verdict = check_with(history, &Limits::lenient());
        let is_good = match verdict.conclusion {
            Conclusion::Consistent => true,
            Conclusion::Violations { .. } => false,
            other => panic!("{other:?}\n{}", crate::agreement::text(history)),
        };
        assert_eq!(is_good, truth, "{}", crate::agreement::text(history));
        self.good += u32::from(truth);
        self.bad += u32::from(!truth);
    }
}

#[test]
fn every_history_of_three_operations_is_judged_as_by_two_others() {
    let mut letters = reads([seen(0, 1, 1), seen(0, 2, 2), seen(0, 2, 0), seen(0, 3, 1)]);
    letters.extend(writes(&[1], &[applied(seen(0, 2, 2)), applied(seen(0, 3, 1)), Outcome::Unknown]));
    letters.extend(writes(&[-1], &[applied(seen(0, 2, 0)), applied(seen(0, 3, 1)), Outcome::Unknown]));
    letters.extend(writes(&[-2], &[short(seen(0, 1, 1)), short(seen(0, 2, 2))]));
    let mut tally = Tally::default();
    each_history(seen(0, 1, 1), &letters, 3, &mut |history| {
        let truth = brute::is_linearizable(history).expect("a small history");
        assert_eq!(truth, independent::is_linearizable(history), "{}", crate::agreement::text(history));
        tally.judge(history, truth);
    });
    assert!(tally.good > 5_000 && tally.bad > 50_000, "{tally:?}");
}

#[test]
fn every_history_of_four_operations_of_a_smaller_alphabet_is_judged_as_by_two_others() {
    let mut letters = reads([seen(0, 1, 1), seen(0, 2, 0)]);
    letters.extend(writes(&[1], &[applied(seen(0, 2, 2)), applied(seen(0, 3, 1))]));
    letters.extend(writes(&[-1], &[applied(seen(0, 2, 0)), Outcome::Unknown]));
    let mut tally = Tally::default();
    each_history(seen(0, 1, 1), &letters, 4, &mut |history| {
        let truth = brute::is_linearizable(history).expect("a small history");
        assert_eq!(truth, independent::is_linearizable(history), "{}", crate::agreement::text(history));
        tally.judge(history, truth);
    });
    assert!(tally.good > 2_000 && tally.bad > 50_000, "{tally:?}");
}

#[test]
fn every_history_of_two_operations_of_a_larger_alphabet_is_judged_as_by_two_others() {
    let told = |versions: std::ops::RangeInclusive<u64>| {
        versions.flat_map(|version| (0..3).map(move |on_hand| seen(0, version, on_hand)))
    };
    let mut letters = reads(told(1..=3));
    let outcomes: Vec<Outcome> =
        told(2..=3).map(applied).chain([Outcome::Unknown, Outcome::NotApplied]).collect();
    letters.extend(writes(&[1, -1], &outcomes));
    letters.extend(writes(&[-2], &told(1..=2).map(short).collect::<Vec<_>>()));
    let mut tally = Tally::default();
    each_history(seen(0, 1, 1), &letters, 2, &mut |history| {
        let truth = brute::is_linearizable(history).expect("a small history");
        assert_eq!(truth, independent::is_linearizable(history), "{}", crate::agreement::text(history));
        tally.judge(history, truth);
    });
    assert!(tally.good > 1_000 && tally.bad > 10_000, "{tally:?}");
}

#[test]
fn every_history_of_three_operations_without_versions_is_judged_as_by_another() {
    let told = |on_hand| Seen::unversioned(Key(0), Stock::Level { on_hand, reserved: 0 });
    let silent = Seen::unversioned(Key(0), Stock::Untold);
    let mut letters = reads([told(0), told(1), told(2)]);
    letters.extend(writes(&[1], &[applied(told(1)), applied(told(2)), applied(silent), Outcome::Unknown]));
    letters.extend(writes(&[-1], &[applied(told(0)), applied(told(1)), applied(silent)]));
    letters.extend(writes(&[-2], &[short(silent), short(told(1))]));
    let mut tally = Tally::default();
    each_history(told(1), &letters, 3, &mut |history| {
        tally.judge(history, independent::is_linearizable(history));
    });
    assert!(tally.good > 20_000 && tally.bad > 20_000, "{tally:?}");
}
