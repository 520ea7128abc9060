//! Levels without versions of which no order could be searched for to the end: what the books alone can convict, and how what
//! was found is told (P1 to P3).

use history::Effect::{Add, Create};
use history::Key;
use history::{Conclusion, Kind, Reason, Seen, Stock, Violation};

use crate::support::{Story, line};

fn told(on_hand: u64) -> Seen {
    Seen::unversioned(Key(0), Stock::Level { on_hand, reserved: 0 })
}

fn silent() -> Seen {
    Seen::unversioned(Key(0), Stock::Untold)
}

/// A thousand units, and one write more at once than a search has numbers for; 871 are left.
fn crowded() -> Story {
    let story = Story::new().read((1, 2), told(1_000));
    (0..129).fold(story, |story, at| story.write((3 + at, 1_000 + at), Add(-1), silent()))
}

/// The one violation that is found, or none.
fn found(story: &Story) -> Option<Violation> {
    let verdict = story.verdict();
    match verdict.conclusion {
        Conclusion::Indeterminate { .. } => None,
        Conclusion::Violations { total: 1, ref listed, .. } => Some(listed[0].clone()),
        _ => panic!("{verdict}"),
    }
}

fn assert_found(story: &Story, kind: Kind, headline: &str, why: &str) {
    let found = found(story).expect("a violation");
    assert_eq!((found.kind, found.headline.as_str()), (kind, headline));
    assert_eq!(found.explanation, [why]);
    assert_eq!(found.culprits.len(), 1);
}

#[test]
fn a_read_has_to_be_within_what_may_have_been_done() {
    let during = |units| crowded().read((500, 600), told(units)).write((3_000, 3_001), Add(-1), silent());
    assert_eq!(found(&during(1_000)), None);
    assert_eq!(found(&during(871)), None);
    let headline = "an answer shows units of `a` that cannot have been there";
    for units in [1_001, 870] {
        let why = format!(
            "There were between 871 and 1000 units, by the beginning and 0 changes that had been answered before, give or \
             take 129 others that may have come before. It tells {units}."
        );
        assert_found(&during(units), Kind::WrongRead, headline, &why);
    }
    let after = |units| crowded().read((2_000, 2_001), told(units)).write((3_000, 3_001), Add(-1), silent());
    assert_eq!(found(&after(871)), None);
    let why = "There were exactly 871 units, by the beginning and 129 changes that had been answered before, give or take 0 \
               others that may have come before. It tells 872.";
    assert_found(&after(872), Kind::WrongRead, headline, why);
    // At the moment of an answer its change may or may not have come before; what is missing has no units.
    let at = |units| crowded().read((1_128, 1_128), told(units)).write((3_000, 3_001), Add(-1), silent());
    assert_eq!((found(&at(871)), found(&at(872))), (None, None));
    assert!(found(&at(873)).is_some());
    let missing = Seen::unversioned(Key(0), Stock::Absent);
    assert!(
        found(&crowded().read((2_000, 2_001), missing).write((3_000, 3_001), Add(-1), silent())).is_some()
    );
}

#[test]
fn the_last_read_is_what_all_changes_add_up_to() {
    let last = |units| crowded().read((2_000, 2_001), told(units)).read((2_002, 2_003), told(units));
    assert_eq!(found(&last(871)), None);
    let why = "There were exactly 871 units, by the beginning and 129 changes that had been answered before, give or take 0 \
               others that may have come before. It tells 870.";
    let headline = "the final stock of `a` is not what the acknowledged changes add up to";
    assert_found(&last(870), Kind::Unbalanced, headline, why);
    // A write of unknown outcome may have come before, whenever its client gave up.
    let open = |units| crowded().unknown(5, &[line(0, Add(-2))]).read((2_000, 2_001), told(units));
    assert_eq!((found(&open(871)), found(&open(869)), found(&open(870))), (None, None, None));
    assert!(found(&open(868)).is_some() && found(&open(872)).is_some());
    // A read sent at the moment of the last answer need not have seen that change, and is not the last.
    let touching = crowded().read((1_128, 2_001), told(900));
    assert_eq!(found(&touching).map(|found| found.kind), Some(Kind::WrongRead));
}

#[test]
fn more_cannot_be_taken_than_was_there() {
    let taken = |units: i64| crowded().write((2_000, 2_001), Add(-units), silent());
    assert_eq!(found(&taken(871)), None);
    let headline = "a change of `a` was applied although fewer units were there than it took";
    let why = "There were exactly 871 units, by the beginning and 129 changes that had been answered before, give or take 0 \
               others that may have come before.";
    assert_found(&taken(872), Kind::Oversold, headline, why);
}

#[test]
fn a_refusal_is_false_if_there_were_always_enough() {
    let refused = |units: i64, reason| crowded().refused((2_000, 2_001), Add(-units), reason, silent());
    assert_eq!(found(&refused(872, Reason::Insufficient)), None);
    let headline = "a refusal for `a`, although there were enough units at any time";
    let why = "There were exactly 871 units, by the beginning and 129 changes that had been answered before, give or take 0 \
               others that may have come before.";
    assert_found(&refused(871, Reason::Insufficient), Kind::FalseRefusal, headline, why);
    // For other reasons only what it shows can be judged.
    assert_eq!(found(&refused(1, Reason::Missing)), None);
    let shows = |units| {
        let story = crowded().refused((2_000, 2_001), Add(-900), Reason::Insufficient, told(units));
        story.write((3_000, 3_001), Add(-1), silent())
    };
    assert_eq!(found(&shows(871)), None);
    assert_eq!(found(&shows(870)).map(|found| found.kind), Some(Kind::WrongRead));
}

#[test]
fn a_change_tells_what_it_left() {
    let change = |units| crowded().write((2_000, 2_001), Add(-4), told(units));
    assert_eq!(found(&change(867)), None);
    let headline = "the answer to a change of `a` tells units that cannot have been there";
    for units in [866, 868, 871] {
        let why = format!(
            "There were exactly 867 units, by the beginning and 129 changes that had been answered before, give or take 0 \
             others that may have come before. It tells {units}."
        );
        assert_found(&change(units), Kind::WrongChange, headline, &why);
    }
    let added = |units| crowded().write((2_000, 2_001), Add(4), told(units));
    assert_eq!((found(&added(875)), found(&added(874)).is_some()), (None, true));
}

#[test]
fn of_several_wrong_answers_the_first_is_told() {
    let story = crowded().read((2_000, 2_001), told(900)).read((2_002, 2_003), told(901)).write(
        (3_000, 3_001),
        Add(-1),
        silent(),
    );
    let found = found(&story).expect("a violation");
    assert_eq!(found.culprits[0].record, 130);
}

#[test]
fn what_could_not_be_searched_for_is_told() {
    let text = crowded().verdict().to_string();
    let first =
        "INDETERMINATE: no order was found within the bound of the search on 1 levels without versions.";
    assert_eq!(text.lines().next(), Some(first));
    let text = crowded().unknown(5, &[line(0, Add(-2))]).verdict().to_string();
    let first = "INDETERMINATE: no order was found within the bound of the search on 1 levels without versions; at most 2 units \
                 could hide in 1 unknown outcomes.";
    assert_eq!(text.lines().next(), Some(first));
}

/// What a contradiction says of itself: why, and the roles of its records.
fn contradiction(story: &Story, kind: Kind) -> (String, Vec<String>, Vec<String>) {
    let verdict = story.verdict();
    let found = verdict.violations().iter().find(|found| found.kind == kind);
    let found = found.unwrap_or_else(|| panic!("no {kind}: {verdict}"));
    let roles = found.culprits.iter().map(|culprit| culprit.role.clone()).collect();
    (found.headline.clone(), found.explanation.clone(), roles)
}

#[test]
fn a_single_answer_is_told_with_what_was_there_before() {
    let story = Story::new().read((1, 2), told(5)).write((3, 4), Add(-1), told(3));
    let (headline, why, roles) = contradiction(&story, Kind::WrongChange);
    assert_eq!(headline, "no order explains an answer about `a`");
    assert_eq!(
        why,
        ["Before: on_hand 5, when record 0 had been answered.", "No other change was under way."]
    );
    assert_eq!(roles, ["The culprit (record 1):", "What was there before (record 0):"]);
    let story = Story::new().write((3, 4), Add(-1), silent());
    let (_, why, roles) = contradiction(&story, Kind::Oversold);
    assert_eq!(why, ["Before: it had never existed, in the beginning.", "No other change was under way."]);
    assert_eq!(roles, ["The culprit (record 0):"]);
}

#[test]
fn several_answers_are_told_with_how_many_others_were_under_way() {
    let story = || {
        let story = Story::new().read((1, 2), told(5));
        story.write((3, 10), Add(-1), told(4)).write((4, 9), Add(-2), told(3))
    };
    let shared = [
        "Before: on_hand 5, when record 0 had been answered.",
        "By their answers all of them found on_hand 5: one has overwritten the other.",
    ];
    let apart = "Without any one of these answers there is an order.";
    for (unknown, others) in [
        (0, "No other change was under way."),
        (1, "Another change was under way, which does not explain it either."),
        (2, "2 other changes were under way, which do not explain it either."),
    ] {
        let story = (0..unknown).fold(story(), |story, at| story.unknown(5, &[line(0, Add(-3 - at))]));
        let (headline, why, roles) = contradiction(&story, Kind::LostUpdate);
        assert_eq!(headline, "two acknowledged changes of `a` cannot both be in it");
        assert_eq!(why, [shared[0], shared[1], others, apart]);
        assert_eq!(roles, ["Culprit 1 (record 1):", "Culprit 2 (record 2):"]);
    }
    // Found at different units, nothing was overwritten.
    let story =
        Story::new().read((1, 2), told(5)).write((3, 10), Add(-1), told(4)).write((4, 9), Add(-1), told(2));
    let verdict = story.verdict();
    assert!(verdict.is_violated() && !verdict.to_string().contains("overwritten"), "{verdict}");
}

#[test]
fn a_level_that_was_there_is_not_sold_by_creating_it_again() {
    let story = Story::new().read((1, 2), told(5)).write((3, 4), Create(0), silent());
    contradiction(&story, Kind::BrokenPrecondition);
}

/// What is added and what is taken bound the units from different sides.
#[test]
fn additions_bound_from_above() {
    let story = Story::new().read((1, 2), told(1_000));
    let growing = (0..129).fold(story, |story, at| story.write((3 + at, 1_000 + at), Add(2), silent()));
    let during =
        |units| growing.clone().read((500, 600), told(units)).write((3_000, 3_001), Add(1), silent());
    assert_eq!((found(&during(1_000)), found(&during(1_258))), (None, None));
    assert!(found(&during(999)).is_some() && found(&during(1_259)).is_some());
    // Between the first answer and the last, what was answered is certain and the rest possible.
    let middle =
        |units| growing.clone().read((1_050, 1_051), told(units)).write((3_000, 3_001), Add(1), silent());
    assert_eq!((found(&middle(1_100)), found(&middle(1_258))), (None, None));
    assert!(found(&middle(1_099)).is_some() && found(&middle(1_259)).is_some());
    let change = |units| growing.clone().write((2_000, 2_001), Add(4), told(units));
    assert_eq!(found(&change(1_262)), None);
    assert!(found(&change(1_261)).is_some() && found(&change(1_263)).is_some());
}
