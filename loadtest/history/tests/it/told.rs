//! How violations are told: every wording there is, so that who reads a report sees what was asked, what was answered, and why
//! both cannot be.

use history::Effect::{Add, AddOrCreate, Count, Create, Delete};
use history::{
    Effect, History, Key, Kind, Line, Outcome, Reason, Record, Refused, Request, Seen, Stock, Violation,
    check,
};

use crate::support::{Story, absent, line, seen};

fn held(key: u32, version: u64, on_hand: u64, reserved: u64) -> Seen {
    Seen { key: Key(key), version, stock: Stock::Level { on_hand, reserved } }
}

/// The first violation of a kind.
fn violation(story: &Story, kind: Kind) -> Violation {
    let verdict = story.verdict();
    let found = verdict.violations().iter().find(|violation| violation.kind == kind);
    found.unwrap_or_else(|| panic!("no {kind}: {verdict}")).clone()
}

/// What the one culprit of a wrong read of a level at version 1 is said to have been asked and answered.
fn account(request: Request, outcome: Outcome) -> [String; 2] {
    let story = Story::new().read((0, 0), seen(0, 1, 5)).record((1_500_000, 1_500_001), request, outcome);
    let verdict = story.verdict();
    let culprit = &verdict.violations()[0].culprits[0];
    assert_eq!(culprit.account.len(), 3, "{verdict}");
    assert!(
        culprit.account[0].starts_with("client 1, sent at 1.500000 ms, answered at 1.500001 ms"),
        "{verdict}"
    );
    [culprit.account[1].clone(), culprit.account[2].clone()]
}

#[test]
fn every_request_has_its_words() {
    let effects: [(Effect, &str); 7] = [
        (Add(-3), "`a` -3"),
        (Add(3), "`a` +3"),
        (AddOrCreate(4), "`a` +4, created if missing"),
        (Create(2), "create `a` with on_hand 2"),
        (Count { on_hand: 6, if_version: None }, "count `a` as on_hand 6"),
        (Count { on_hand: 6, if_version: Some(1) }, "count `a` as on_hand 6 if it is at version 1"),
        (Delete, "delete `a`"),
    ];
    for (effect, words) in effects {
        let wrong = seen(0, 2, 77);
        let [asked, answered] = account(Request::Write(vec![line(0, effect)]), Outcome::Applied(vec![wrong]));
        assert_eq!(asked, format!("asked:    {words}"));
        assert_eq!(answered, "answered: applied; now `a` at version 2: on_hand 77");
    }
    let [asked, answered] = account(Request::Read(Key(0)), Outcome::Read(held(0, 1, 9, 2)));
    assert_eq!(
        (asked.as_str(), answered.as_str()),
        ("asked:    read `a`", "answered: `a` at version 1: on_hand 9, reserved 2, available 7")
    );
    let stocks = [
        (Stock::Absent, "no such level"),
        (Stock::Available(4), "4 available"),
        (Stock::Level { on_hand: 1, reserved: 2 }, "on_hand 1, reserved 2"),
    ];
    for (stock, words) in stocks {
        let told = Seen { key: Key(0), version: 1, stock };
        let [_, answered] = account(Request::Read(Key(0)), Outcome::Read(told));
        assert_eq!(answered, format!("answered: `a` at version 1: {words}"));
    }
}

#[test]
fn every_reason_has_its_words() {
    let reasons = [
        (Add(-1), Reason::Insufficient, "not enough"),
        (Add(-1), Reason::Missing, "missing"),
        (Add(-1), Reason::Exists, "exists already"),
        (Add(-1), Reason::VersionMismatch, "version differs"),
        (Delete, Reason::Reserved, "units are held"),
        (Add(1), Reason::Overflow, "out of range"),
    ];
    for (effect, reason, words) in reasons {
        let refused = vec![Refused { seen: seen(0, 1, 5), reason }];
        let request = Request::Write(vec![line(0, effect)]);
        let [_, answered] = account(request, Outcome::Refused(refused));
        assert_eq!(answered, format!("answered: refused; {words}: `a` at version 1: on_hand 5"));
    }
}

#[test]
fn a_false_refusal_tells_what_was_asked_and_what_was_there() {
    let told = |effect, reason| {
        let story =
            Story::new().read((0, 0), held(0, 1, 5, 2)).refused((1, 2), effect, reason, held(0, 1, 5, 2));
        let found = violation(&story, Kind::FalseRefusal);
        assert_eq!(found.headline, "a refusal for `a` whose reason was not true");
        assert_eq!(found.culprits[0].role, "The refusal (record 1):");
        found.explanation
    };
    let truth = "The truth at version 1: on_hand 5, reserved 2, available 3.";
    assert_eq!(
        told(Add(-3), Reason::Insufficient),
        [format!("It asked for 3, and 3 were available. {truth}")]
    );
    assert_eq!(told(Add(0), Reason::Insufficient), [truth]);
    assert_eq!(told(Add(3), Reason::Overflow), [truth]);
    assert_eq!(told(Delete, Reason::Missing), [truth]);
}

#[test]
fn a_change_that_should_have_been_refused_says_why() {
    let held = held(0, 1, 5, 2);
    let changes: [(Seen, Effect, &str, Kind); 6] = [
        (held, Add(-4), "fewer units were available than it took", Kind::Oversold),
        (absent(0, 1), Add(4), "the level was not there", Kind::BrokenPrecondition),
        (held, Create(4), "the level was there already", Kind::BrokenPrecondition),
        (
            held,
            Count { on_hand: 4, if_version: Some(7) },
            "the level was not at the version it demanded",
            Kind::BrokenPrecondition,
        ),
        (held, Delete, "units were held", Kind::BrokenPrecondition),
        (held, Add(1 << 41), "the quantity leaves the allowed range", Kind::BrokenPrecondition),
    ];
    for (before, effect, why, kind) in changes {
        let story = Story::new().read((0, 0), before).write((1, 2), effect, seen(0, 2, 1));
        let verdict = story.verdict();
        let found = &verdict.violations()[0];
        assert_eq!(
            (found.kind, found.headline.as_str()),
            (kind, format!("a change of `a` was applied although {why}").as_str())
        );
        let before = if before == held { "on_hand 5, reserved 2, available 3" } else { "it was deleted" };
        assert_eq!(found.explanation, [format!("Before: version 1, {before}.")]);
    }
    let never = Story::new().write((1, 2), Add(4), seen(0, 1, 4));
    let found = violation(&never, Kind::BrokenPrecondition);
    assert_eq!(found.explanation, ["Before: version 0, it had never existed."]);
}

#[test]
fn a_wrong_answer_is_told_with_the_truth_and_with_who_made_it() {
    let story = Story::new().write((1, 2), Create(5), seen(0, 1, 5)).read((3, 4), seen(0, 1, 6));
    let found = violation(&story, Kind::WrongRead);
    assert_eq!(found.headline, "`a` was not as this answer shows it at its version");
    assert_eq!(found.explanation, ["The truth at that version: on_hand 5."]);
    let roles: Vec<&str> = found.culprits.iter().map(|culprit| culprit.role.as_str()).collect();
    assert_eq!(roles, ["The culprit (record 1):", "The change that made the version (record 0):"]);
    // A wrong change has made its version itself.
    let story = story.write((5, 6), Add(2), seen(0, 2, 9));
    let found = violation(&story, Kind::WrongChange);
    assert_eq!(
        found.explanation,
        ["Before: version 1, on_hand 5, made by record 0 (client 0).", "The change leads to on_hand 7."]
    );
    let roles: Vec<&str> = found.culprits.iter().map(|culprit| culprit.role.as_str()).collect();
    assert_eq!(roles, ["The culprit (record 2):", "The change before it (record 0):"]);
    let unsound = Story::new().read((1, 2), held(0, 1, 5, 6));
    assert_eq!(
        violation(&unsound, Kind::WrongRead).headline,
        "`a` began with more units held than there, or out of range"
    );
}

#[test]
fn what_is_out_of_real_time_is_told_by_what_it_was() {
    let told = |story: &Story| violation(story, Kind::RealTime);
    let begun = || Story::new().read((0, 0), seen(0, 1, 5));
    let changed = || begun().write((10, 2_500), Add(1), seen(0, 2, 6));
    let why = "Version 2 had been answered 3.750 µs before the other was sent.";
    let read = told(&changed().read((6_250, 7_000), seen(0, 1, 5)));
    assert_eq!(read.headline, "a read of `a` shows version 1 after version 2 had been answered");
    assert_eq!(read.explanation, [why]);
    assert_eq!(read.culprits[0].role, "Answered first (record 1):");
    assert_eq!(read.culprits[1].role, "Sent later, and yet of an earlier state (record 2):");
    let refused = told(&changed().refused((6_250, 7_000), Add(-9), Reason::Insufficient, seen(0, 1, 5)));
    assert_eq!(
        refused.headline,
        "a refusal for `a` was judged at version 1 after version 2 had been answered"
    );
    let change = told(&begun().write((10, 20), Add(1), seen(0, 3, 7)).write((30, 40), Add(1), seen(0, 2, 6)));
    assert_eq!(change.headline, "a change of `a` became version 2 after version 3 had been answered");
    let early = told(&begun().read((10, 20), seen(0, 2, 6)).write((30, 40), Add(1), seen(0, 2, 6)));
    assert_eq!(early.headline, "version 2 of `a` was seen before the change that made it was sent");
}

#[test]
fn missing_versions_are_counted_and_the_writes_that_could_have_made_them() {
    let story = Story::new().read((0, 0), seen(0, 1, 5)).write((1, 2), Add(1), seen(0, 3, 7));
    let one = violation(&story, Kind::MissingVersion);
    let shown = "of `a`, yet a later answer shows that there was one";
    assert_eq!(one.headline, format!("no recorded change made version 2 {shown}"));
    assert_eq!(
        one.explanation,
        [
            "No write of unknown outcome touched this level, so none can explain it.",
            "Before: version 1, on_hand 5."
        ]
    );
    assert_eq!(one.culprits[0].role, "What shows it (record 1):");
    let story = Story::new().unknown(1, &[line(0, Add(1))]).read((3, 4), seen(0, 4, 7));
    let several = violation(&story, Kind::MissingVersion);
    assert_eq!(several.headline, format!("no recorded change made versions 1 to 4 {shown}"));
    assert_eq!(
        several.explanation[0],
        "1 writes of unknown outcome touched this level, but they cannot explain it."
    );
}

#[test]
fn a_version_from_before_the_run_is_told() {
    let story = Story::new().read((0, 0), seen(0, 3, 5)).write((1, 2), Add(1), seen(0, 3, 6));
    let found = violation(&story, Kind::LostUpdate);
    assert_eq!(found.headline, "a change of `a` claims version 3, which it had before the run");
    assert_eq!(
        found.explanation,
        ["Every change raises the version by exactly 1, so this one is not in the level."]
    );
}

#[test]
fn changes_that_did_not_overlap_or_continue_are_not_said_to() {
    let lost = |second: (u64, u64)| {
        let story = Story::new().read((0, 0), seen(0, 1, 9)).write((10, 20), Add(-1), seen(0, 2, 8));
        violation(&story.write(second, Add(-2), seen(0, 2, 7)), Kind::LostUpdate).explanation
    };
    let unique = "Every change raises the version by exactly 1, so at most one of the two is in the level.";
    assert_eq!(
        lost((20, 1_020)),
        [unique, "Before: version 1, on_hand 9.", "They were in flight together for 0.000 µs."]
    );
    assert_eq!(lost((21, 30)), [unique, "Before: version 1, on_hand 9."]);
}

/// Of many lines those of the level in question come first, and the others as long as there is room.
#[test]
fn long_lists_are_cut_behind_the_level_in_question() {
    let keys: Vec<String> = (0..7).map(|key| format!("k{key}")).collect();
    let told = |count: u32| {
        let lines: Vec<Line> = (0..count).map(|key| line(key, Create(u64::from(key)))).collect();
        let mut answer: Vec<Seen> = (0..count).map(|key| seen(key, 1, u64::from(key))).collect();
        let last = answer.last_mut().expect("a level");
        last.stock = Stock::Level { on_hand: 99, reserved: 0 };
        let record = Record {
            client: 0,
            invoked_ns: 1,
            returned_ns: 2,
            request: Request::Write(lines),
            outcome: Outcome::Applied(answer),
            once: None,
        };
        let history = History { keys: keys.clone(), records: vec![record], ..History::default() };
        let verdict = check(&history);
        let account = &verdict.violations()[0].culprits[0].account;
        [account[1].clone(), account[2].clone()]
    };
    let [asked, answered] = told(4);
    assert_eq!(
        asked,
        "asked:    create `k3` with on_hand 3; create `k0` with on_hand 0; create `k1` with on_hand 1; create `k2` with \
         on_hand 2"
    );
    assert!(
        answered.starts_with("answered: applied; now `k3` at version 1: on_hand 99; `k0` at"),
        "{answered}"
    );
    let [asked, answered] = told(7);
    assert!(asked.starts_with("asked:    create `k6` with on_hand 6; create `k0` with"), "{asked}");
    assert!(asked.ends_with("create `k2` with on_hand 2; and 3 more"), "{asked}");
    assert!(answered.ends_with("`k2` at version 1: on_hand 2; and 3 more"), "{answered}");
}

/// In a timeline an operation has a few words.
#[test]
fn operations_are_told_in_a_few_words_beside_their_bars() {
    let told = |effect: Effect, outcome: Outcome| {
        let request = Request::Write(vec![line(0, effect)]);
        let story = Story::new().read((0, 0), seen(0, 1, 5)).write((10, 20), Add(1), seen(0, 2, 6)).record(
            (30, 40),
            request,
            outcome,
        );
        let verdict = story.verdict();
        let timeline = verdict.violations().iter().find(|found| found.timeline.len() == 3);
        let timeline = &timeline.unwrap_or_else(|| panic!("{verdict}")).timeline;
        assert_eq!(timeline[0], "from 0.000010 ms to 0.000040 ms:");
        let words: Vec<&str> = timeline[1..].iter().filter_map(|line| line.split('|').nth(2)).collect();
        assert_eq!(words[0], " +1 -> version 2");
        words[1].trim().to_owned()
    };
    let applied = || Outcome::Applied(vec![seen(0, 2, 6)]);
    assert_eq!(told(Add(-1), applied()), "-1 -> version 2");
    assert_eq!(told(AddOrCreate(1), applied()), "+1 -> version 2");
    assert_eq!(told(Create(6), applied()), "create 6 -> version 2");
    assert_eq!(told(Count { on_hand: 6, if_version: None }, applied()), "count 6 -> version 2");
    assert_eq!(told(Delete, applied()), "delete -> version 2");
    let refused = vec![Refused { seen: seen(0, 1, 5), reason: Reason::Insufficient }];
    assert_eq!(told(Add(-9), Outcome::Refused(refused)), "-9 -> refused");
    // The bar of what came first ends where that of the other is still to begin.
    let story = Story::new()
        .read((0, 0), seen(0, 1, 5))
        .write((10, 20), Add(1), seen(0, 2, 6))
        .read((30, 50), seen(0, 1, 5));
    assert_eq!(
        violation(&story, Kind::RealTime).timeline,
        [
            "from 0.000010 ms to 0.000050 ms:",
            "record 1 |[========]                              | +1 -> version 2",
            "record 2 |                   [===================]| read -> version 1",
        ]
    );
}

#[test]
fn the_next_change_tells_which_of_two_was_kept() {
    let kept = |on_hand: u64| {
        let story = Story::new()
            .read((0, 0), seen(0, 1, 9))
            .write((10, 20), Add(-1), seen(0, 2, 8))
            .write((10, 20), Add(-2), seen(0, 2, 7))
            .write((30, 40), Add(-1), seen(0, 3, on_hand));
        violation(&story, Kind::LostUpdate).explanation.last().cloned().unwrap_or_default()
    };
    assert_eq!(kept(7), "The next change, record 3, continued from record 1: record 2 was lost.");
    assert_eq!(kept(6), "The next change, record 3, continued from record 2: record 1 was lost.");
    assert_eq!(kept(1), "They were in flight together for 0.010 µs.");
}

/// Of a refusal of several levels the one in question comes first; a client that gave up has no answer.
#[test]
fn refusals_of_many_and_those_without_an_answer_are_told() {
    let lines = [line(1, Add(-9)), line(0, Add(-1))];
    let named = [seen(1, 1, 5), seen(0, 1, 5)].map(|seen| Refused { seen, reason: Reason::Insufficient });
    let story = Story::new().read((0, 0), seen(0, 1, 5)).read((0, 0), seen(1, 1, 5)).record(
        (1, 2),
        Request::Write(lines.to_vec()),
        Outcome::Refused(named.to_vec()),
    );
    let found = violation(&story, Kind::FalseRefusal);
    assert_eq!(
        found.culprits[0].account[1..],
        [
            "asked:    `a` -1; `b` -9",
            "answered: refused; not enough: `a` at version 1: on_hand 5; not enough: `b` at version 1: on_hand 5"
        ]
    );
    assert!(found.timeline.is_empty(), "one bar overlaps nobody");
    let story = Story::new().unknown(1_000_000, &[line(7, Add(1))]);
    let account = &violation(&story, Kind::Malformed).culprits[0].account;
    assert_eq!(account[0], "client 0, sent at 0.000000 ms, gave up at 0.000000 ms");
    assert_eq!(account[2], "answered: nothing that says whether it was applied");
}
