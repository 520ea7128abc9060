//! Histories of services that tell no versions (P1, P2, P3, P5): what is wrong is convicted, with the culprits, and what
//! is right is never accused.

use history::Effect::{Add, Count, Create, Delete};
use history::plant::Fault;
use history::sample::{self, Random, Shape};
use history::{
    Conclusion, Effect, History, Key, Kind, Limits, Line, Outcome, Reason, Record, Request, Seen, Stock,
    check_with,
};

use crate::independent;
use crate::support::{Story, line};

/// A quantity, and no version.
fn told(on_hand: u64) -> Seen {
    Seen::unversioned(Key(0), Stock::Level { on_hand, reserved: 0 })
}

/// That it was applied, or refused, and nothing else.
fn silent() -> Seen {
    Seen::unversioned(Key(0), Stock::Untold)
}

fn five() -> Story {
    Story::new().read((1, 2), told(5))
}

fn assert_right(story: &Story) {
    let verdict = story.verdict();
    assert!(verdict.is_consistent(), "{verdict}");
}

/// Asserts that violations of exactly these kinds are found, and answers the culprits of the first.
fn assert_wrong(story: &Story, kinds: &[Kind]) -> Vec<usize> {
    let verdict = story.verdict();
    let found: Vec<Kind> = verdict.violations().iter().map(|violation| violation.kind).collect();
    assert_eq!(found, kinds, "{verdict}");
    verdict.violations()[0].culprits.iter().map(|culprit| culprit.record).collect()
}

#[test]
fn an_order_that_explains_it_is_found() {
    assert_right(
        &five().write((3, 10), Add(-1), told(3)).write((3, 10), Add(-1), told(4)).read((11, 12), told(3)),
    );
    assert_right(&five().write((3, 10), Add(-1), silent()).read((4, 9), told(5)).read((4, 9), told(4)));
    assert_right(&five().write((3, 4), Count { on_hand: 9, if_version: Some(7) }, told(9)).write(
        (5, 6),
        Delete,
        silent(),
    ));
    assert_right(&Story::new().write((1, 2), Create(3), silent()).refused(
        (3, 4),
        Add(-4),
        Reason::Insufficient,
        silent(),
    ));
}

#[test]
fn two_that_looked_before_either_wrote_are_named() {
    let story =
        five().write((3, 10), Add(-1), told(4)).write((4, 9), Add(-1), told(4)).read((11, 12), told(4));
    assert_eq!(assert_wrong(&story, &[Kind::LostUpdate, Kind::Unbalanced]), [1, 2]);
    let text = story.verdict().violations()[0].to_string();
    assert!(text.contains("two acknowledged changes of `a` cannot both be in it"), "{text}");
    assert!(text.contains("all of them found on_hand 5: one has overwritten the other"), "{text}");
    // Of different amounts, too.
    let story = five().write((3, 10), Add(-1), told(4)).write((4, 9), Add(-2), told(3));
    assert_eq!(assert_wrong(&story, &[Kind::LostUpdate]), [1, 2]);
}

#[test]
fn what_could_have_brought_it_back_excuses_both() {
    let story = |restock: (u64, u64)| {
        five().write((3, 10), Add(-1), told(4)).write((4, 9), Add(-1), told(4)).write(
            restock,
            Add(1),
            silent(),
        )
    };
    assert_right(&story((5, 6)));
    assert_wrong(&story((12, 13)), &[Kind::LostUpdate]);
    assert_right(
        &five()
            .write((3, 10), Add(-1), told(4))
            .write((4, 9), Add(-1), told(4))
            .unknown(5, &[line(0, Add(1))]),
    );
}

#[test]
fn culprits_are_found_among_many() {
    let mut story = Story::new().read((1, 2), told(100));
    for at in 0..40u64 {
        story = story.write((10 + at * 10, 25 + at * 10), Add(-1), told(99 - at));
    }
    assert_right(&story);
    // Two more, of which the second found what the first had found.
    let story = story.write((500, 520), Add(-3), told(57)).write((501, 519), Add(-5), told(55));
    let story = story.write((600, 601), Add(-1), told(54)).read((700, 701), told(54));
    assert_eq!(assert_wrong(&story, &[Kind::LostUpdate, Kind::Unbalanced]), [41, 42]);
}

#[test]
fn without_quantities_the_books_convict() {
    // Each was applied, and nothing was told but the end.
    let sold = five().write((3, 4), Add(-1), silent()).write((3, 4), Add(-1), silent());
    assert_right(&sold);
    let sold = || five().write((3, 4), Add(-1), silent()).write((3, 4), Add(-1), silent());
    assert_right(&sold().read((5, 6), told(3)));
    let verdict = sold().read((5, 6), told(4)).verdict();
    assert_eq!((verdict.count(Kind::Unbalanced), verdict.count(Kind::WrongRead)), (1, 1), "{verdict}");
    let text = verdict.to_string();
    assert!(text.contains("There were exactly 3 units"), "{text}");
}

#[test]
fn more_is_taken_than_there_was() {
    let story = five().write((3, 10), Add(-3), silent()).write((3, 10), Add(-3), silent());
    let verdict = story.verdict();
    assert_eq!(verdict.count(Kind::Oversold), 1, "{verdict}");
    assert_eq!(assert_wrong(&story, &[Kind::Oversold]), [1, 2]);
    let story = five().write((3, 4), Add(-6), silent());
    assert_eq!(assert_wrong(&story, &[Kind::Oversold]), [1, 0]);
}

#[test]
fn a_refusal_that_was_never_true_is_false() {
    let story =
        five().write((3, 4), Add(2), silent()).refused((5, 6), Add(-6), Reason::Insufficient, silent());
    assert!(story.verdict().count(Kind::FalseRefusal) > 0, "{}", story.verdict());
    assert_right(&five().write((3, 7), Add(2), silent()).refused(
        (5, 6),
        Add(-6),
        Reason::Insufficient,
        silent(),
    ));
    let told_wrong = five().refused((5, 6), Add(-6), Reason::Insufficient, told(4));
    assert_eq!(told_wrong.verdict().count(Kind::WrongRead), 1, "{}", told_wrong.verdict());
}

#[test]
fn a_stale_read_is_convicted_with_the_change_it_missed() {
    let story = five().write((3, 4), Add(-1), told(4)).read((5, 6), told(5));
    let culprits = assert_wrong(&story, &[Kind::WrongRead, Kind::Unbalanced]);
    assert_eq!(culprits, [2, 1]);
    assert!(story.verdict().to_string().contains("Before: on_hand 4, when record 1 had been answered"));
}

#[test]
fn what_unknown_outcomes_could_hide_is_told() {
    let story = five().unknown(3, &[line(0, Add(-2))]).unknown(3, &[line(0, Add(-1))]).read((5, 6), told(3));
    let verdict = story.verdict();
    assert!(verdict.is_consistent(), "{verdict}");
    assert_eq!((verdict.summary.residual.unknown, verdict.summary.residual.units_max), (2, 3));
    assert!(verdict.to_string().contains("at most 3 units could hide in 2 unknown outcomes"), "{verdict}");
    // Within what the books allow, but no order leads there.
    assert_wrong(&five().unknown(3, &[line(0, Add(-2))]).read((5, 6), told(4)), &[Kind::WrongRead]);
    // With versions nothing can hide.
    let versioned = Story::new().read((1, 2), crate::support::seen(0, 4, 5)).unknown(3, &[line(0, Add(-2))]);
    assert_eq!(versioned.verdict().summary.residual.unknown, 0);
}

#[test]
fn a_search_that_is_too_long_is_indeterminate_and_the_books_still_count() {
    let mut story = Story::new().read((1, 2), told(1_000_000));
    for at in 0..60 {
        story = story.write((3, 100), Add(-(1 << (at % 12))), silent());
    }
    for at in 0..3 {
        story = story.unknown(4, &[line(0, Add(-(7 + at)))]);
    }
    let limits = Limits { search_steps: 1_000, ..Limits::lenient() };
    let hard = |end| story_with(&story, end);
    let verdict = check_with(&hard(1_000_000 - 20_475 - 8), &limits);
    let Conclusion::Indeterminate { residual, .. } = verdict.conclusion else { panic!("{verdict}") };
    assert_eq!((residual.unknown, residual.units_max), (3, 7 + 8 + 9));
    let verdict = check_with(&hard(1_000_000), &limits);
    assert_eq!(verdict.count(Kind::Unbalanced), 1, "{verdict}");
}

/// Where nothing is told of the units there are many orders to try; the search for the fewest culprits ends all the same, and
/// does not claim what it did not find out.
#[test]
fn a_contradiction_that_is_hard_to_shrink_is_told_as_far_as_it_is() {
    let sale = |story: Story, at: u64| {
        let sent = 10 + at * 10;
        story.write((sent, sent + 115), Add(-1 - i64::try_from(at * 7 % 11).unwrap()), silent())
    };
    let verdict = (0..60).fold(Story::new().read((1, 2), told(250)), sale).verdict();
    assert!(verdict.is_violated(), "{verdict}");
    let text = verdict.to_string();
    assert!(text.contains("Not all of these answers may be needed"), "{text}");
    assert!(!text.contains("Without any one of these"), "{text}");
}

/// More than there are numbers for under way at once, none of which tells what it did.
#[test]
fn too_many_at_once_are_indeterminate() {
    let story = |writes: u64| {
        let story = Story::new().read((1, 2), told(1_000));
        (0..writes).fold(story, |story, at| story.write((3 + at, 1_000 + at), Add(-1), silent()))
    };
    assert_right(&story(128));
    let verdict = story(129).verdict();
    assert!(matches!(verdict.conclusion, Conclusion::Indeterminate { .. }), "{verdict}");
}

/// With a read in the middle of it all that hardly ever can be, and one at the end.
fn story_with(story: &Story, end: u64) -> History {
    let mut history = story.clone().read((50, 60), told(1_000_000 - 10_237)).history();
    let record = Record {
        client: 0,
        invoked_ns: 200,
        returned_ns: 201,
        request: Request::Read(Key(0)),
        outcome: Outcome::Read(told(end)),
        once: None,
    };
    history.records.push(record);
    history
}

/// Levels that tell versions and levels that do not, in one history and even in one write.
#[test]
fn each_level_is_judged_by_what_it_tells() {
    let versioned =
        |version, on_hand| Seen { key: Key(1), version, stock: Stock::Level { on_hand, reserved: 0 } };
    let both = |units| [line(0, Add(units)), line(1, Add(units))];
    let story = || {
        five()
            .read((1, 2), versioned(7, 5))
            .writes((3, 4), &both(-1), &[told(4), versioned(8, 4)])
            .unknown(5, &both(-2))
    };
    assert_right(&story().read((6, 7), versioned(9, 2)).read((8, 9), told(2)));
    assert_eq!(story().read((6, 7), versioned(9, 3)).verdict().count(Kind::MissingVersion), 1);
    assert_eq!(story().read((6, 7), told(1)).verdict().count(Kind::WrongRead), 1);
}

/// A history as a service without versions would have answered it.
pub(crate) fn without_versions(history: &mut History, hides_units: bool) {
    let hide = |seen: &mut Seen| {
        seen.version = Seen::VERSION_UNTOLD;
        if hides_units {
            seen.stock = Stock::Untold;
        }
    };
    for record in &mut history.records {
        let is_read = matches!(record.request, Request::Read(_));
        match &mut record.outcome {
            Outcome::Read(seen) => seen.version = Seen::VERSION_UNTOLD,
            Outcome::Applied(seen) => seen.iter_mut().for_each(hide),
            Outcome::Snapshot { levels, .. } => {
                for seen in levels {
                    seen.version = Seen::VERSION_UNTOLD;
                }
            }
            Outcome::Refused(refused) => refused.iter_mut().for_each(|refused| hide(&mut refused.seen)),
            Outcome::NotApplied | Outcome::Unknown => {}
        }
        if let (false, Request::Write(lines)) = (is_read, &mut record.request) {
            for Line { effect, .. } in lines {
                if let Effect::Count { if_version, .. } = effect {
                    *if_version = None;
                }
            }
        }
    }
    // A refusal for a version says nothing where there is none.
    history.records.retain(|record| {
        !matches!(&record.outcome, Outcome::Refused(refused)
            if refused.iter().any(|refused| refused.reason == Reason::VersionMismatch))
    });
}

#[test]
fn right_histories_are_never_accused() {
    for seed in 0..60u32 {
        let shape = Shape {
            seed: u64::from(seed),
            operations: 400,
            clients: 2 + seed % 7,
            keys: 1 + seed % 4,
            many_line_percent: [0, 20][seed as usize % 2],
            unknown_percent: [0, 2][seed as usize / 2 % 2],
            is_varied: seed % 3 == 0,
            ..Shape::default()
        };
        let mut history = sample::history(&shape);
        without_versions(&mut history, seed % 5 == 0);
        let verdict = check_with(&history, &Limits::lenient());
        assert!(!verdict.is_violated(), "{shape:?}\n{verdict}");
    }
}

#[test]
fn lost_updates_among_many_operations_are_convicted() {
    let mut convicted = 0;
    for seed in 0..40 {
        let shape = Shape {
            seed,
            operations: 400,
            clients: 6,
            keys: 2,
            unknown_percent: 0,
            is_varied: false,
            many_line_percent: 0,
            ..Shape::default()
        };
        let Some(mut history) = Fault::LoseUpdate.plant(&sample::history(&shape), 31) else { continue };
        without_versions(&mut history, false);
        let verdict = check_with(&history, &Limits::lenient());
        assert!(verdict.is_violated(), "{shape:?}\n{verdict}");
        convicted += u32::from(verdict.violations().iter().any(|found| found.culprits.len() >= 2));
    }
    assert!(convicted > 20, "{convicted} of 40 with more than one culprit");
}

/// What an answer says is forgotten: a read is as if it had not been, a change may have been made or not.
fn forget(history: &mut History, records: impl Fn(usize) -> bool) {
    for (number, record) in history.records.iter_mut().enumerate() {
        if records(number) && matches!(record.request, Request::Write(_)) {
            record.outcome = Outcome::Unknown;
        } else if records(number) {
            record.outcome = Outcome::NotApplied;
        }
    }
}

/// Of a contradiction no answer is named that is not needed for it.
#[test]
fn without_any_one_of_the_culprits_there_is_an_order() {
    let mut forgotten = 0;
    for seed in 0..400 {
        let shape =
            Shape { seed, operations: 8, clients: 4, keys: 1, unknown_percent: 0, ..Shape::default() };
        let shape = Shape { many_line_percent: 0, is_varied: false, ..shape };
        let Some(mut history) = Fault::LoseUpdate.plant(&sample::history(&shape), 3) else { continue };
        without_versions(&mut history, false);
        let verdict = check_with(&history, &Limits::lenient());
        let found = verdict.violations().iter().find(|found| found.kind == Kind::LostUpdate);
        let Some(found) = found else { continue };
        let culprits: Vec<usize> = found.culprits.iter().map(|culprit| culprit.record).collect();
        assert!(culprits.len() >= 2, "{found}");
        for spared in &culprits {
            let mut fewer = history.clone();
            forget(&mut fewer, |record| record > 0 && (record == *spared || !culprits.contains(&record)));
            let verdict = check_with(&fewer, &Limits::lenient());
            assert!(!verdict.is_violated(), "{found}\nwithout record {spared}: {verdict}");
            forgotten += 1;
        }
    }
    assert!(forgotten > 100, "{forgotten}");
}

/// The search without versions against a checker that shares nothing with it: exact in both directions.
#[test]
fn small_histories_are_judged_as_by_an_independent_checker() {
    let (mut good, mut bad) = (0, 0);
    for seed in 0..6_000 {
        let mut random = Random(seed);
        let mut history = sample::history(&Shape {
            seed,
            operations: 3 + usize::try_from(random.below(6)).unwrap(),
            clients: 2 + u32::from(random.chance(50)),
            keys: 1,
            many_line_percent: 0,
            unknown_percent: [0, 25][usize::try_from(random.below(2)).unwrap()],
            is_varied: random.chance(50),
            is_stocked: random.chance(70),
            is_framed: false,
            ..Shape::default()
        });
        for _ in 0..random.below(3) {
            crate::agreement::disturb(&mut history, &mut random);
        }
        without_versions(&mut history, random.chance(20));
        if history.records.iter().any(|record| record.returned_ns < record.invoked_ns) {
            continue;
        }
        let truth = independent::is_linearizable(&history);
        let verdict = check_with(&history, &Limits::lenient());
        assert_eq!(verdict.is_consistent(), truth, "{verdict}\n{}", crate::agreement::text(&history));
        assert_eq!(verdict.is_violated(), !truth, "{verdict}\n{}", crate::agreement::text(&history));
        good += u32::from(truth);
        bad += u32::from(!truth);
    }
    assert!(good > 1_000 && bad > 1_000, "{good} good, {bad} bad");
}
