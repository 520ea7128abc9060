//! Answers that cannot be right whatever the stock was: each defect is told, by the checker and by brute force, and what is
//! merely unusual is not.

use history::Effect::{Add, Create};
use history::{Key, Kind, Line, Outcome, Reason, Refused, Request, Seen};

use crate::support::{Story, absent, line, seen};

/// Asserts that the one operation of a history is called malformed, for this reason.
fn assert_malformed(times: (u64, u64), request: Request, outcome: Outcome, why: &str) {
    let story = Story::new().record(times, request, outcome);
    assert_eq!(story.assert_violated(Kind::Malformed), [0]);
    let verdict = story.verdict();
    assert_eq!(verdict.violations()[0].headline, format!("an answer that does not fit its request: {why}"));
}

fn write(lines: &[Line]) -> Request {
    Request::Write(lines.to_vec())
}

fn refused(named: &[Seen]) -> Outcome {
    let refused = named.iter().map(|seen| Refused { seen: *seen, reason: Reason::Missing });
    Outcome::Refused(refused.collect())
}

#[test]
fn an_answer_before_its_request_is_malformed() {
    let why = "it was answered before it was sent";
    assert_malformed((2, 1), Request::Read(Key(0)), Outcome::Read(absent(0, 0)), why);
    // At once is possible, and when a client gave up is no answer.
    Story::new().read((2, 2), absent(0, 0)).assert_consistent();
    let gave_up = |outcome| Story::new().record((2, 1), write(&[line(0, Create(1))]), outcome);
    gave_up(Outcome::Unknown).assert_consistent();
    gave_up(Outcome::NotApplied).assert_consistent();
}

#[test]
fn a_level_that_the_history_does_not_name_is_malformed() {
    let why = "key 4 is not among the keys of the history";
    assert_malformed((1, 2), Request::Read(Key(4)), Outcome::Read(absent(4, 0)), why);
    let lines = [line(0, Create(1)), line(4, Create(1)), line(5, Create(1))];
    assert_malformed((1, 2), write(&lines), Outcome::Unknown, why);
    assert_malformed((1, 2), write(&lines[1..2]), Outcome::Applied(vec![seen(4, 1, 1)]), why);
    // The last that it names is named.
    Story::new().write((1, 2), Create(1), seen(3, 1, 1)).assert_consistent();
}

#[test]
fn an_answer_to_another_question_is_malformed() {
    let why = "the answer is not one to this request";
    assert_malformed((1, 2), Request::Read(Key(0)), Outcome::Read(absent(1, 0)), why);
    assert_malformed((1, 2), Request::Read(Key(0)), Outcome::Applied(vec![seen(0, 1, 1)]), why);
    assert_malformed((1, 2), Request::Read(Key(0)), refused(&[absent(0, 0)]), why);
    assert_malformed((1, 2), write(&[line(0, Create(1))]), Outcome::Read(absent(0, 0)), why);
}

#[test]
fn lines_without_a_meaning_that_were_judged_are_malformed() {
    let why = "the lines have no meaning together, and yet they were judged";
    let both = [line(0, Create(1)), line(0, Add(1))];
    assert_malformed((1, 2), write(&both), Outcome::Applied(vec![seen(0, 1, 2)]), why);
    assert_malformed((1, 2), write(&both), refused(&[absent(0, 0)]), why);
    assert_malformed((1, 2), write(&[]), Outcome::Applied(Vec::new()), why);
    assert_malformed((1, 2), write(&[]), refused(&[absent(0, 0)]), why);
    // What did not happen, or nobody knows of, was not judged.
    for lines in [&both[..], &[]] {
        Story::new().record((1, 2), write(lines), Outcome::NotApplied).assert_consistent();
        Story::new().record((1, 2), write(lines), Outcome::Unknown).assert_consistent();
    }
}

#[test]
fn a_change_tells_each_of_its_levels_once() {
    let why = "the answer does not tell each level of the request exactly once";
    let applied = |told: &[Seen]| Outcome::Applied(told.to_vec());
    assert_malformed((1, 2), write(&[line(0, Create(1))]), applied(&[seen(1, 1, 1)]), why);
    assert_malformed((1, 2), write(&[line(0, Create(1))]), applied(&[]), why);
    let two = [line(0, Create(1)), line(1, Create(1))];
    let (a, b, c) = (seen(0, 1, 1), seen(1, 1, 1), seen(2, 1, 1));
    for told in [&[a][..], &[a, a], &[a, c], &[a, b, c], &[a, b, b]] {
        assert_malformed((1, 2), write(&two), applied(told), why);
    }
    // In any order, and once for lines that count together.
    Story::new().writes((1, 2), &two, &[b, a]).assert_consistent();
    let together = [line(0, Create(1)), line(1, Add(1)), line(1, Add(-1))];
    Story::new()
        .read((0, 0), seen(1, 3, 7))
        .writes((1, 2), &together, &[a, seen(1, 4, 7)])
        .assert_consistent();
}

#[test]
fn a_refusal_names_levels_of_its_request() {
    assert_malformed((1, 2), write(&[line(0, Add(1))]), refused(&[]), "the refusal names no level");
    let why = "the refusal names a level that the request does not";
    assert_malformed((1, 2), write(&[line(0, Add(1))]), refused(&[absent(1, 0)]), why);
    assert_malformed((1, 2), write(&[line(0, Add(1))]), refused(&[absent(0, 0), absent(1, 0)]), why);
    let lines = [line(2, Add(1)), line(0, Add(1))];
    assert_malformed((1, 2), write(&lines), refused(&[absent(0, 0), absent(1, 0)]), why);
    assert_malformed((1, 2), write(&lines), refused(&[absent(3, 0)]), why);
    for named in [&[absent(0, 0)][..], &[absent(2, 0)], &[absent(0, 0), absent(2, 0)]] {
        Story::new().record((1, 2), write(&lines), refused(named)).assert_consistent();
    }
}

/// The levels that a malformed answer tells of are not to be believed, and nothing else is blamed for it.
#[test]
fn what_a_malformed_answer_tells_is_not_believed() {
    let story = Story::new()
        .write((1, 2), Create(5), seen(0, 1, 5))
        .record((3, 4), write(&[line(1, Create(1))]), Outcome::Applied(vec![seen(0, 1, 9)]))
        .read((5, 6), seen(0, 1, 5));
    assert_eq!(story.assert_violated(Kind::Malformed), [1]);
}

/// One answer that cannot be believed does not excuse the others.
#[test]
fn beside_a_malformed_answer_others_are_judged() {
    let story = Story::new()
        .record((1, 2), Request::Read(Key(1)), Outcome::Applied(vec![seen(1, 1, 1)]))
        .read((1, 2), seen(0, 1, 5))
        .read((3, 4), seen(0, 1, 6));
    let verdict = story.verdict();
    assert_eq!((verdict.count(Kind::Malformed), verdict.count(Kind::WrongRead)), (1, 1), "{verdict}");
}
