//! Situations are counted where they were reached, and nowhere else.

use history::sometimes::{Situation, count};
use history::{Effect, History, Key, Line, Outcome, Reason, Record, Refused, Request, Seen, Stock};

use super::support::{Story, absent, line, seen};

/// The situations a story reached, with how often.
fn reached(story: Story) -> Vec<(&'static str, u64)> {
    of(&story.history())
}

fn of(history: &History) -> Vec<(&'static str, u64)> {
    let counts = count(history).into_iter().filter(|(_, count)| *count > 0);
    counts.map(|(situation, count)| (situation.name(), count)).collect()
}

fn two(first: i64, second: i64) -> [Line; 2] {
    [line(0, Effect::Add(first)), line(1, Effect::Add(second))]
}

#[test]
fn every_situation_has_a_name_of_its_own_and_is_counted_even_if_never_reached() {
    for situation in Situation::ALL {
        assert_eq!(Situation::of_name(situation.name()), Some(situation));
    }
    assert_eq!(Situation::of_name("no such thing"), None);
    let none = count(&History::default());
    assert!(none.len() == Situation::ALL.len() && none.values().all(|count| *count == 0));
}

#[test]
fn writes_of_one_level_contend_if_they_overlap() {
    let add = Effect::Add(1);
    let apart = Story::new().write((0, 10), add, seen(0, 2, 1)).write((10, 20), add, seen(0, 3, 2));
    assert_eq!(reached(apart), []);
    let elsewhere = Story::new().write((0, 10), add, seen(0, 2, 1)).write((5, 20), add, seen(1, 2, 1));
    assert_eq!(reached(elsewhere), []);
    let together = Story::new().write((0, 10), add, seen(0, 2, 1)).write((5, 20), add, seen(0, 3, 2));
    assert_eq!(reached(together), [("contended-pair", 2)]);
}

/// The one that ended last is not always the one that was sent last.
#[test]
fn a_long_write_overlaps_whatever_comes_within_it() {
    let add = Effect::Add(1);
    let story = Story::new()
        .write((0, 100), add, seen(0, 2, 1))
        .write((10, 20), add, seen(0, 3, 2))
        .write((30, 40), add, seen(0, 4, 3))
        .write((100, 110), add, seen(0, 5, 4));
    assert_eq!(reached(story), [("contended-pair", 3)]);
}

#[test]
fn a_client_does_not_contend_with_itself() {
    let mut history = Story::new()
        .write((0, 10), Effect::Add(1), seen(0, 2, 1))
        .write((0, 10), Effect::Add(1), seen(0, 3, 2))
        .history();
    assert_eq!(of(&history), [("contended-pair", 2)]);
    history.records[1].client = history.records[0].client;
    assert_eq!(of(&history), []);
    // Another client that meets the shorter of two spans of one client is found behind the longer one.
    history.records[1].returned_ns = 30;
    history.records.push(Record { client: 7, invoked_ns: 25, returned_ns: 40, ..history.records[0].clone() });
    assert_eq!(of(&history), [("contended-pair", 2)]);
}

#[test]
fn a_refusal_amid_success_needs_a_success_meanwhile() {
    let refused =
        |story: Story, times| story.refused(times, Effect::Add(-9), Reason::Insufficient, seen(0, 2, 1));
    let story = || Story::new().write((0, 10), Effect::Add(1), seen(0, 2, 1));
    assert_eq!(reached(refused(story(), (20, 30))), []);
    assert_eq!(reached(refused(story(), (5, 30))), [("refusal-amid-success", 1)]);
}

#[test]
fn transactions_overlap_counts_and_reads() {
    let counted = Effect::Count { on_hand: 5, if_version: None };
    let story = |times| {
        Story::new()
            .writes((0, 10), &two(-1, 1), &[seen(0, 2, 4), seen(1, 2, 6)])
            .write(times, counted, seen(1, 3, 5))
            .read((times.0 + 100, times.1 + 100), seen(0, 2, 4))
    };
    assert_eq!(reached(story((20, 30))), []);
    assert_eq!(reached(story((5, 30))), [("contended-pair", 2), ("transaction-over-count", 1)]);
    let read = Story::new()
        .writes((0, 10), &two(-1, 1), &[seen(0, 2, 4), seen(1, 2, 6)])
        .read((5, 6), seen(1, 1, 5));
    assert_eq!(reached(read), [("read-amid-transaction", 1)]);
}

#[test]
fn a_level_is_deleted_while_it_is_read() {
    let story = |times| Story::new().write((0, 10), Effect::Delete, absent(0, 2)).read(times, seen(0, 1, 5));
    assert_eq!(reached(story((10, 20))), []);
    assert_eq!(reached(story((9, 20))), [("deleted-while-read", 1)]);
}

#[test]
fn a_level_named_twice_counts_if_the_write_was_judged() {
    let twice = [line(0, Effect::Add(1)), line(0, Effect::Add(2))];
    let applied = Story::new().writes((0, 1), &twice, &[seen(0, 2, 3)]);
    assert_eq!(reached(applied), [("level-twice", 1)]);
    assert_eq!(reached(Story::new().unknown(0, &twice)), []);
}

#[test]
fn a_transaction_is_refused_for_one_line_or_for_all() {
    let refuse = |levels: &[u32]| {
        let refused =
            levels.iter().map(|key| Refused { seen: seen(*key, 1, 0), reason: Reason::Insufficient });
        let outcome = Outcome::Refused(refused.collect());
        reached(Story::new().record((0, 1), Request::Write(two(-1, -1).to_vec()), outcome))
    };
    assert_eq!(refuse(&[0, 1]), []);
    assert_eq!(refuse(&[1]), [("refused-for-one-line", 1)]);
}

#[test]
fn a_count_loses_its_race_by_the_version() {
    let demanding = Effect::Count { on_hand: 5, if_version: Some(1) };
    let late = Story::new().refused((0, 1), demanding, Reason::VersionMismatch, seen(0, 2, 1));
    assert_eq!(reached(late), [("conditional-count-lost", 1)]);
    let gone = Story::new().refused((0, 1), demanding, Reason::Missing, absent(0, 2));
    assert_eq!(reached(gone), []);
}

#[test]
fn the_last_unit_is_taken_and_a_level_comes_again() {
    let story = Story::new()
        .write((0, 1), Effect::Create(1), seen(0, 1, 1))
        .write((2, 3), Effect::Add(-1), seen(0, 2, 0))
        .write((4, 5), Effect::Delete, absent(0, 3))
        .write((6, 7), Effect::Create(0), seen(0, 4, 0));
    assert_eq!(reached(story), [("sold-out", 1), ("created-again", 1)]);
}

/// A version that is not told is not a high one: what came before decides.
#[test]
fn a_version_that_is_not_told_counts_for_nothing() {
    let untold = |on_hand| Seen::unversioned(Key(0), Stock::Level { on_hand, reserved: 0 });
    let story = Story::new()
        .write((0, 1), Effect::Create(1), untold(1))
        .unknown(2, &[line(0, Effect::Add(1))])
        .read((3, 4), untold(2));
    assert_eq!(reached(story), []);
    let gone = Seen::unversioned(Key(0), Stock::Absent);
    let story = Story::new()
        .write((0, 1), Effect::Create(1), untold(1))
        .write((2, 3), Effect::Delete, gone)
        .write((4, 5), Effect::Create(1), untold(1));
    assert_eq!(reached(story), [("created-again", 1)]);
}

#[test]
fn a_retry_asks_the_same_again_after_an_unknown_outcome() {
    let ask = |unit| [line(0, Effect::Add(unit))];
    let again = |unit| {
        let mut history = Story::new()
            .read((0, 1), seen(0, 1, 5))
            .unknown(2, &ask(1))
            .write((3, 4), Effect::Add(unit), seen(0, 2, 6))
            .history();
        history.records.iter_mut().for_each(|record| record.client = 0);
        of(&history)
    };
    assert_eq!(again(1), [("retry-of-unknown", 1)]);
    assert_eq!(again(2), []);
    // Somebody else who asks the same does not retry.
    assert_eq!(reached(Story::new().unknown(2, &ask(1)).write((3, 4), Effect::Add(1), seen(0, 2, 6))), []);
}

#[test]
fn an_unknown_write_shows_by_the_version_that_nobody_else_made() {
    let story = |last| {
        Story::new()
            .read((0, 1), seen(0, 4, 5))
            .unknown(2, &[line(0, Effect::Add(1))])
            .write((3, 4), Effect::Add(1), seen(0, last, 6))
            .read((5, 6), seen(0, last, 6))
    };
    assert_eq!(reached(story(5)), []);
    assert_eq!(reached(story(6)), [("unknown-applied", 1)]);
    // A version that is missing without an unknown write is the checker's.
    let none = Story::new().read((0, 1), seen(0, 4, 5)).read((2, 3), seen(0, 5, 6));
    assert_eq!(reached(none), []);
}

#[test]
fn only_what_was_there_before_is_created_again() {
    let created = |version| Story::new().write((1, 2), Effect::Create(1), seen(0, version, 1));
    assert_eq!(reached(created(1)), []);
    assert_eq!(reached(created(2)), [("created-again", 1)]);
    assert_eq!(reached(created(3)), [("created-again", 1)]);
}

/// The records of a history come in any order.
#[test]
fn operations_are_put_in_the_order_of_their_time() {
    let add = Effect::Add(1);
    let story = Story::new()
        .write((30, 40), add, seen(0, 4, 3))
        .write((0, 20), add, seen(0, 2, 1))
        .write((35, 60), add, seen(0, 5, 4))
        .write((5, 10), add, seen(0, 3, 2));
    assert_eq!(reached(story), [("contended-pair", 4)]);
}

#[test]
fn a_version_that_was_acknowledged_before_the_first_look_explains_nothing_later() {
    let story = Story::new()
        .write((1, 2), Effect::Add(1), seen(0, 2, 6))
        .read((3, 4), seen(0, 2, 6))
        .unknown(5, &[line(0, Effect::Add(1))])
        .read((7, 8), seen(0, 3, 7));
    assert_eq!(reached(story), [("unknown-applied", 1)]);
    // Acknowledged by two, it is still one version.
    let twice = Story::new()
        .read((0, 0), seen(0, 1, 5))
        .write((1, 2), Effect::Add(1), seen(0, 2, 6))
        .write((3, 4), Effect::Add(1), seen(0, 2, 6))
        .unknown(5, &[line(0, Effect::Add(1))])
        .read((7, 8), seen(0, 3, 7));
    assert_eq!(reached(twice), [("unknown-applied", 1)]);
}
