//! Levels without versions that operations tie together (P4): what is on several of them took place on all at one moment.

use history::Effect::Add;
use history::plant::Fault;
use history::sample::{self, Random, Shape};
use history::{History, Key, Kind, Limits, Outcome, Record, Request, Seen, Stock, check_with};

use crate::independent;
use crate::support::{Story, line};
use crate::unversioned::without_versions;

fn told(key: u32, on_hand: u64) -> Seen {
    Seen::unversioned(Key(key), Stock::Level { on_hand, reserved: 0 })
}

fn silent(key: u32) -> Seen {
    Seen::unversioned(Key(key), Stock::Untold)
}

/// Five units of each of three levels.
fn fives() -> Story {
    Story::new().read((1, 2), told(0, 5)).read((1, 2), told(1, 5)).read((1, 2), told(2, 5))
}

fn assert_right(story: &Story) {
    let verdict = story.verdict();
    assert!(verdict.is_consistent(), "{verdict}");
    assert_eq!(verdict.summary.judged_apart, 0);
    assert!(independent::is_linearizable(&story.clone().history()));
}

/// Asserts that just this is found, and answers the culprits.
fn assert_wrong(story: &Story, kind: Kind) -> Vec<usize> {
    let verdict = story.verdict();
    let kinds: Vec<Kind> = verdict.violations().iter().map(|violation| violation.kind).collect();
    assert_eq!(kinds, [kind], "{verdict}");
    assert!(!independent::is_linearizable(&story.clone().history()));
    verdict.violations()[0].culprits.iter().map(|culprit| culprit.record).collect()
}

#[test]
fn a_write_seen_in_part_is_torn() {
    let moved = || fives().writes((10, 90), &[line(0, Add(-2)), line(1, Add(2))], &[silent(0), silent(1)]);
    assert_right(&moved().read((20, 30), told(0, 5)).read((40, 50), told(1, 7)));
    assert_right(&moved().read((20, 30), told(0, 3)).read((40, 50), told(1, 7)));
    let torn = moved().read((20, 30), told(0, 3)).read((40, 50), told(1, 5));
    assert_eq!(assert_wrong(&torn, Kind::TornWrite), [4, 5, 3]);
    let text = torn.verdict().to_string();
    assert!(text.contains("no order explains 2 answers about several levels together"), "{text}");
    assert!(text.contains("Before: `a` had on_hand 5, in the beginning."), "{text}");
}

#[test]
fn an_unknown_write_is_on_all_its_levels_or_on_none() {
    let doubt = || fives().unknown(10, &[line(0, Add(-2)), line(1, Add(2))]);
    assert_right(&doubt().read((20, 30), told(0, 5)).read((40, 50), told(1, 5)));
    assert_right(&doubt().read((20, 30), told(0, 5)).read((40, 50), told(1, 7)));
    assert_right(&doubt().read((20, 30), told(0, 3)).read((40, 50), told(1, 7)));
    assert_eq!(
        assert_wrong(&doubt().read((20, 30), told(0, 3)).read((40, 50), told(1, 5)), Kind::TornWrite),
        [4, 5, 3]
    );
    // Another could have taken the units.
    let other = || doubt().unknown(10, &[line(0, Add(-2)), line(2, Add(2))]);
    assert_right(&other().read((20, 30), told(0, 3)).read((40, 50), told(1, 5)));
    assert_right(&other().read((20, 30), told(0, 3)).read((40, 50), told(1, 5)).read((60, 70), told(2, 7)));
    let neither = other().read((20, 30), told(0, 3)).read((40, 50), told(1, 5)).read((60, 70), told(2, 5));
    assert_eq!(assert_wrong(&neither, Kind::TornWrite), [5, 6, 7, 3, 4]);
}

#[test]
fn transfers_leave_the_sum_of_a_consistent_read_as_it_was() {
    let moved = || fives().writes((10, 90), &[line(0, Add(-2)), line(1, Add(2))], &[silent(0), silent(1)]);
    assert_right(&moved().snapshot((20, 30), &[told(0, 5), told(1, 5)]));
    assert_right(&moved().snapshot((20, 30), &[told(0, 3), told(1, 7)]));
    assert_eq!(assert_wrong(&moved().snapshot((20, 30), &[told(0, 3), told(1, 5)]), Kind::TornRead), [4, 3]);
}

#[test]
fn two_writes_happen_in_one_order_on_all_their_levels() {
    let write = |story: Story, units, a, b| {
        story.writes((10, 90), &[line(0, Add(units)), line(1, Add(units))], &[told(0, a), told(1, b)])
    };
    assert_right(&write(write(fives(), 1, 6, 6), 2, 8, 8));
    let crossed = write(write(fives(), 1, 6, 8), 2, 8, 7);
    assert_eq!(assert_wrong(&crossed, Kind::TornWrite), [4, 3]);
}

/// What is read of other levels has to be read before they change, though the operation that comes next is on one of them.
#[test]
fn a_read_of_two_levels_may_need_a_change_of_the_one_before_the_other_changes() {
    let story = |second| {
        fives()
            .write((10, 90), Add(1), silent(1))
            .snapshot((10, 90), &[told(0, 5), told(1, second)])
            .write((20, 30), Add(1), told(0, 6))
            .read((40, 50), told(1, 5))
    };
    assert_right(&story(5));
    assert_wrong(&story(6), Kind::TornRead);
}

#[test]
fn what_cannot_be_searched_to_the_end_is_judged_apart_and_said_to_be() {
    let mut story = fives();
    for at in 0..130 {
        let both = [line(0, Add(1)), line(1, Add(1))];
        story = story.writes((10 + at, 1_000 + at), &both, &[silent(0), silent(1)]);
    }
    let story = story.read((2_000, 2_001), told(0, 135)).read((2_000, 2_001), told(1, 135));
    // Each level by itself has more under way than there are numbers for, too.
    let verdict = story.verdict();
    assert!(!verdict.is_violated() && !verdict.is_consistent(), "{verdict}");
    assert_eq!(verdict.summary.judged_apart, 130);
    assert!(
        verdict.to_string().contains("130 operations on several of these were judged on each level alone")
    );
}

#[derive(Debug, Default)]
struct Tally {
    good: u32,
    bad: u32,
    torn: u32,
}

impl Tally {
    fn judge(&mut self, history: &History) {
        let truth = independent::is_linearizable(history);
        let verdict = check_with(history, &Limits::lenient());
        assert_eq!(verdict.is_consistent(), truth, "{verdict}\n{}", crate::agreement::text(history));
        assert_eq!(verdict.is_violated(), !truth, "{verdict}\n{}", crate::agreement::text(history));
        self.good += u32::from(truth);
        self.bad += u32::from(!truth);
        self.torn += u32::from(verdict.count(Kind::TornWrite) + verdict.count(Kind::TornRead) > 0);
    }
}

/// In both directions: nothing right is accused, and nothing wrong passes.
#[test]
fn small_histories_of_several_levels_are_judged_as_by_an_independent_checker() {
    let mut tally = Tally::default();
    for seed in 0..20_000 {
        let mut random = Random(seed);
        let number = |random: &mut Random, end| usize::try_from(random.below(end)).unwrap_or(0);
        let mut history = sample::history(&Shape {
            seed,
            operations: 3 + number(&mut random, 5),
            clients: 2 + u32::from(random.chance(50)),
            keys: 2 + u32::from(random.chance(30)),
            many_line_percent: [40, 80][number(&mut random, 2)],
            unknown_percent: [0, 30][number(&mut random, 2)],
            repeated_percent: [0, 20][number(&mut random, 2)],
            snapshot_percent: [0, 30][number(&mut random, 2)],
            is_varied: random.chance(30),
            is_stocked: random.chance(80),
            is_framed: random.chance(30),
        });
        for _ in 0..random.below(3) {
            crate::agreement::disturb(&mut history, &mut random);
        }
        without_versions(&mut history, random.chance(30));
        if history.records.iter().any(|record| record.returned_ns < record.invoked_ns) || is_odd(&history) {
            continue;
        }
        tally.judge(&history);
    }
    assert!(tally.good > 3_000 && tally.bad > 3_000 && tally.torn > 500, "{tally:?}");
}

/// Sums that are not those of the levels are a defect of one answer, of which the independent checker knows nothing.
fn is_odd(history: &History) -> bool {
    history.records.iter().any(|record| match &record.outcome {
        Outcome::Snapshot { levels, totals } => *totals != history::model::totals(levels),
        _ => false,
    })
}

/// Every history of up to three operations of an alphabet on two levels, at every time.
#[test]
fn every_history_of_three_operations_on_two_levels_is_judged_as_by_another() {
    let both = |units: [i64; 2]| Request::Write(vec![line(0, Add(units[0])), line(1, Add(units[1]))]);
    let applied = |told: &[Seen]| Outcome::Applied(told.to_vec());
    let letters = [
        (both([-1, 1]), applied(&[silent(0), silent(1)])),
        (both([-1, 1]), applied(&[told(0, 0), told(1, 2)])),
        (both([-1, 1]), Outcome::Unknown),
        (both([1, -1]), applied(&[told(0, 1), told(1, 1)])),
        (Request::Write(vec![line(0, Add(1))]), Outcome::Unknown),
        (Request::Read(Key(0)), Outcome::Read(told(0, 0))),
        (Request::Read(Key(1)), Outcome::Read(told(1, 1))),
        (Request::Snapshot(vec![Key(0), Key(1)]), snapshot(0, 1)),
        (Request::Snapshot(vec![Key(0), Key(1)]), snapshot(0, 2)),
        (Request::Snapshot(vec![Key(0), Key(1)]), snapshot(1, 1)),
    ];
    let slots = (1..=3).flat_map(|from| (from..=3).map(move |to| (10 * from, 10 * to + 5)));
    let slots: Vec<(u64, u64)> = slots.collect();
    let timed: Vec<Record> = letters
        .iter()
        .flat_map(|(request, outcome)| {
            slots.iter().map(|(invoked_ns, returned_ns)| Record {
                client: 0,
                invoked_ns: *invoked_ns,
                returned_ns: *returned_ns,
                request: request.clone(),
                outcome: outcome.clone(),
                once: None,
            })
        })
        .collect();
    let mut tally = Tally::default();
    let mut history = Story::new().read((1, 2), told(0, 1)).read((1, 2), told(1, 1)).history();
    extend(&mut history, &timed, 3, &mut |history| tally.judge(history));
    assert!(tally.good > 5_000 && tally.torn > 3_000, "{tally:?}");
}

fn snapshot(left: u64, right: u64) -> Outcome {
    Outcome::Snapshot { levels: vec![told(0, left), told(1, right)], totals: None }
}

fn extend(history: &mut History, timed: &[Record], most: usize, judge: &mut dyn FnMut(&History)) {
    judge(history);
    for (at, record) in timed.iter().enumerate().filter(|_| most > 0) {
        history.records.push(record.clone());
        extend(history, &timed[at..], most - 1, judge);
        history.records.pop();
    }
}

#[test]
fn right_histories_of_several_levels_are_decided() {
    for seed in 0..6u64 {
        let shape = Shape {
            seed,
            operations: 400,
            clients: 12,
            keys: 8,
            unknown_percent: 0,
            repeated_percent: 5,
            snapshot_percent: 10,
            is_varied: seed % 2 == 0,
            ..Shape::default()
        };
        let mut history = sample::history(&shape);
        without_versions(&mut history, false);
        let verdict = check_with(&history, &Limits::lenient());
        assert!(verdict.is_consistent() && verdict.summary.judged_apart == 0, "{shape:?}\n{verdict}");
        let Some(mut torn) = Fault::TearRead.plant(&sample::history(&shape), 3) else { panic!("{shape:?}") };
        without_versions(&mut torn, false);
        let verdict = check_with(&torn, &Limits::lenient());
        assert_eq!(verdict.count(Kind::TornRead), 1, "{verdict}");
    }
}
