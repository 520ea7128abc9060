//! What a verdict says: to a program, and to a person.

use history::Effect::{Add, Create};
use history::{Conclusion, History, Kind, Limits, Outcome, Record, Request, check, check_with};

use crate::support::{Story, line, seen};

fn lost() -> Story {
    Story::new()
        .write((1_000_000, 1_100_000), Create(10), seen(0, 1, 10))
        .write((2_000_000, 2_700_000), Add(-3), seen(0, 2, 7))
        .write((2_000_500, 2_600_000), Add(-4), seen(0, 2, 6))
        .write((3_000_000, 3_100_000), Add(-1), seen(0, 3, 6))
}

#[test]
fn a_lost_update_is_told_with_both_culprits() {
    let verdict = lost().verdict();
    let text = verdict.violations()[0].to_string();
    let expected = "\
LOST UPDATE: two acknowledged changes of `a` both became version 2
    Every change raises the version by exactly 1, so at most one of the two is in the level.
    Before: version 1, on_hand 10, made by record 0 (client 0).
    They were in flight together for 599.500 µs.
    The next change, record 3, continued from record 1: record 2 was lost.
  Culprit 1 (record 1):
      client 1, sent at 1.000000 ms, answered at 1.700000 ms
      asked:    `a` -3
      answered: applied; now `a` at version 2: on_hand 7
  Culprit 2 (record 2):
      client 2, sent at 1.000500 ms, answered at 1.600000 ms
      asked:    `a` -4
      answered: applied; now `a` at version 2: on_hand 6
  from 1.000000 ms to 1.700000 ms:
  record 1 |[======================================]| -3 -> version 2
  record 2 |[================================]      | -4 -> version 2
";
    assert_eq!(text, expected);
}

#[test]
fn a_run_without_contention_is_vacuous() {
    let story = Story::new().write((1, 2), Create(1), seen(0, 1, 1)).read((3, 4), seen(0, 1, 1));
    let Conclusion::Vacuous { why } = check(&story.history()).conclusion else { panic!("not vacuous") };
    assert_eq!(why.len(), 1, "{why:?}");
}

#[test]
fn a_run_without_final_reads_is_vacuous() {
    let story = Story::new()
        .write((1, 2), Create(1), seen(0, 1, 1))
        .write((3, 5), Add(1), seen(0, 2, 2))
        .write((3, 6), Add(1), seen(0, 3, 3))
        .read((6, 7), seen(0, 3, 3));
    let Conclusion::Vacuous { why } = check(&story.history()).conclusion else { panic!("not vacuous") };
    assert!(why[0].contains("not read after their last change"), "{why:?}");
}

#[test]
fn nothing_but_errors_is_vacuous_and_so_is_nothing() {
    let failed = Record {
        client: 0,
        invoked_ns: 1,
        returned_ns: 2,
        request: Request::Write(vec![line(0, Add(1))]),
        outcome: Outcome::NotApplied,
        once: None,
    };
    let history = History { keys: vec!["a".to_owned()], records: vec![failed], ..History::default() };
    assert!(matches!(check(&history).conclusion, Conclusion::Vacuous { .. }));
    assert!(matches!(check(&History::default()).conclusion, Conclusion::Vacuous { .. }));
    assert!(check_with(&History::default(), &Limits::lenient()).is_consistent());
}

#[test]
fn a_violation_wins_over_a_vacuous_run() {
    assert!(check(&lost().history()).is_violated());
}

#[test]
fn all_violations_are_counted_and_some_are_listed_most_telling_first() {
    let mut story = lost();
    for _ in 0..50 {
        story = story.read((4_000_000, 4_000_001), seen(0, 1, 9));
    }
    let verdict = story.verdict();
    assert_eq!(verdict.count(Kind::LostUpdate), 1);
    assert_eq!(verdict.count(Kind::WrongRead), 50);
    assert_eq!(verdict.violations().len(), 10);
    assert_eq!(verdict.violations()[0].kind, Kind::LostUpdate);
    let text = verdict.to_string();
    assert!(text.starts_with("VIOLATED: 101 violations found."), "{text}");
    assert!(text.contains("... and 91 more, not listed."), "{text}");
}

#[test]
fn the_json_of_a_verdict_has_the_timeline_and_what_could_hide() {
    let json = serde_json::to_value(lost().verdict()).unwrap();
    let first = &json["conclusion"]["listed"][0];
    assert_eq!(first["kind"], "lost_update");
    assert_eq!(first["timeline"].as_array().map(Vec::len), Some(3), "{first}");
    assert_eq!(json["summary"]["residual"], serde_json::json!({ "unknown": 0, "units_max": 0 }));
    assert_eq!(json["summary"]["levels_unversioned"], 0);
}

/// The culprits, and what overlapped one of them on their level: nothing that came before or after, and nothing elsewhere.
#[test]
fn a_violation_has_what_was_asked_meanwhile_for_a_picture() {
    let story = lost()
        .read((2_100_000, 2_200_000), seen(0, 2, 7))
        .write((2_100_000, 2_200_000), Create(1), seen(1, 1, 1))
        .read((2_700_001, 2_700_002), seen(0, 2, 6));
    let verdict = story.verdict();
    let violation = &verdict.violations()[0];
    assert_eq!(violation.kind, Kind::LostUpdate);
    let told: Vec<_> = violation
        .bars
        .iter()
        .map(|bar| (bar.record, bar.sent_ns, bar.is_culprit, bar.what.as_str()))
        .collect();
    let expected = [
        (1, 1_000_000, true, "-3 -> version 2"),
        (2, 1_000_500, true, "-4 -> version 2"),
        (4, 1_100_000, false, "read -> version 2"),
    ];
    assert_eq!(told, expected);
    let bar = &violation.bars[1];
    assert_eq!((bar.client, bar.answered_ns, bar.is_unknown), (2, 1_600_000, false));
}

#[test]
fn a_picture_has_no_more_operations_than_can_be_told_apart_and_changes_come_first() {
    let mut story = lost();
    for at in 0..40 {
        story = story.read((2_100_000 + at, 2_200_000), seen(0, 2, 7));
    }
    let change = story.write((2_500_000, 2_650_000), Add(-1), seen(0, 4, 5));
    let verdict = change.verdict();
    let bars = &verdict.violations()[0].bars;
    assert_eq!(bars.len(), 24);
    assert_eq!(bars.iter().filter(|bar| bar.is_culprit).count(), 2);
    assert!(bars.iter().any(|bar| bar.what == "-1 -> version 4"), "{bars:?}");
    assert!(bars.is_sorted_by_key(|bar| bar.sent_ns));
}
