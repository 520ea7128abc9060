//! The figures of a verdict, each counted by hand: what a run showed, and what it has to show to mean anything.

use history::Effect::{Add, AddOrCreate, Count, Create, Delete};
use history::{
    Conclusion, Effect, History, Key, Kind, Limits, Log, Outcome, Reason, Record, Refused, Request, Require,
    Seen, Stock, Store, Summary, check_log, check_with,
};

use crate::support::{Story, absent, line, seen};

/// A level of which two units are held.
fn held(key: u32, version: u64, on_hand: u64) -> Seen {
    Seen { key: Key(key), version, stock: Stock::Level { on_hand, reserved: 2 } }
}

/// Writes of `a` and `b`, of which all but the first are in flight at the same time, and a last read of `a` alone.
fn busy() -> Story {
    Story::new()
        .write((10, 20), Create(10), seen(0, 1, 10))
        .write((30, 50), Add(-1), seen(0, 2, 9))
        .write((40, 60), Add(-1), seen(0, 3, 8))
        .write((55, 70), Add(-1), seen(0, 4, 7))
        .writes((45, 80), &[line(0, Add(-1)), line(1, Create(3))], &[seen(0, 5, 6), seen(1, 1, 3)])
        .writes((65, 90), &[line(0, Add(-1)), line(1, Add(-1))], &[seen(0, 6, 5), seen(1, 2, 2)])
        .read((95, 100), seen(0, 6, 5))
}

/// The same, and every reason to refuse a different number of times, two writes and a read of unknown outcome on `c`, of
/// which one took effect, and two operations that did not happen.
fn varied() -> Story {
    let mut story = busy().read((1, 2), held(3, 7, 5)).read((1, 3), absent(2, 0));
    let refusals: [(Effect, Reason, Seen); 6] = [
        (Add(-9), Reason::Insufficient, seen(0, 6, 5)),
        (Add(-1), Reason::Missing, absent(2, 0)),
        (Create(1), Reason::Exists, seen(0, 6, 5)),
        (Count { on_hand: 1, if_version: Some(5) }, Reason::VersionMismatch, seen(0, 6, 5)),
        (Delete, Reason::Reserved, held(3, 7, 5)),
        (Add(i64::MAX), Reason::Overflow, seen(0, 6, 5)),
    ];
    for (times, (effect, reason, seen)) in (2..).zip(refusals) {
        for _ in 0..times {
            story = story.refused((93, 110), effect, reason, seen);
        }
    }
    let both = Request::Write(vec![line(0, Add(-9)), line(2, Add(-1))]);
    let named = vec![
        Refused { seen: seen(0, 6, 5), reason: Reason::Insufficient },
        Refused { seen: absent(2, 0), reason: Reason::Missing },
    ];
    story
        .record((93, 111), both, Outcome::Refused(named))
        .unknown(105, &[line(2, AddOrCreate(4))])
        .unknown(106, &[line(2, AddOrCreate(3))])
        .read((120, 130), seen(2, 1, 4))
        .record((120, 131), Request::Read(Key(2)), Outcome::Unknown)
        .record((120, 132), Request::Read(Key(2)), Outcome::NotApplied)
        .record((120, 133), Request::Write(vec![line(1, Add(1))]), Outcome::NotApplied)
}

fn expected() -> Summary {
    let mut expected = Summary {
        operations: 43,
        reads: 4,
        applied: 6,
        applied_many_line: 2,
        refused: 28,
        not_applied: 2,
        unknown: 2,
        unknown_applied: 1,
        unanswered_reads: 1,
        levels: 4,
        levels_written: 2,
        levels_contended: 2,
        levels_unread: 1,
        // Those of two levels overlapped on both, and count once.
        contended_writes: 5,
        overlap_max: 3,
        span_ns: 132,
        ..Summary::default()
    };
    let reasons = &mut expected.reasons;
    (reasons.insufficient, reasons.missing, reasons.exists) = (3, 4, 4);
    (reasons.version_mismatch, reasons.reserved, reasons.overflow) = (5, 6, 7);
    expected
}

#[test]
fn every_figure_is_what_was_counted_by_hand() {
    let verdict = varied().verdict();
    assert!(verdict.is_consistent(), "{verdict}");
    assert_eq!(verdict.summary, expected());
}

/// Blocks are read by several workers, whose figures are put together.
#[test]
fn the_figures_of_many_blocks_are_those_of_one_after_another() {
    const TIMES: u64 = 300;
    let once = varied().history();
    let mut log = Log::default();
    for time in 0..TIMES {
        let prefix = |key: &String| format!("{key}-{time}");
        log.keys.extend(once.keys.iter().map(prefix));
    }
    for time in 0..TIMES {
        let shift = u32::try_from(4 * time).unwrap();
        for record in &once.records {
            let mut record = record.clone();
            record.invoked_ns += 1_000 * time;
            record.returned_ns += 1_000 * time;
            shift_keys(&mut record, shift);
            // Only the first levels are opened before any write was sent.
            if time == 0 || !matches!(record.request, Request::Read(Key(key)) if key == shift + 3) {
                log.push((&record).into());
            }
        }
    }
    let summary = check_log(&log, &Limits::lenient()).unwrap().summary;
    assert!(log.len() > 12_000, "several blocks");
    let single = expected();
    assert_eq!(summary.operations, log.len());
    assert_eq!(summary.reads, single.reads * TIMES - (TIMES - 1));
    let counted = [summary.applied, summary.applied_many_line, summary.refused, summary.not_applied];
    let by_hand = [single.applied, single.applied_many_line, single.refused, single.not_applied];
    assert_eq!(counted, by_hand.map(|figure| figure * TIMES));
    let counted = [summary.unknown, summary.unanswered_reads, summary.levels, summary.levels_written];
    let by_hand = [single.unknown, single.unanswered_reads, single.levels, single.levels_written];
    assert_eq!(counted, by_hand.map(|figure| figure * TIMES));
    let counted = [summary.levels_contended, summary.levels_unread, summary.contended_writes];
    let by_hand = [single.levels_contended, single.levels_unread, single.contended_writes];
    assert_eq!(counted, by_hand.map(|figure| figure * TIMES));
    let (counted, by_hand) = (summary.reasons, single.reasons);
    assert_eq!(
        [counted.insufficient, counted.missing, counted.exists, counted.version_mismatch],
        [by_hand.insufficient, by_hand.missing, by_hand.exists, by_hand.version_mismatch]
            .map(|figure| figure * TIMES)
    );
    assert_eq!([counted.reserved, counted.overflow], [by_hand.reserved * TIMES, by_hand.overflow * TIMES]);
    assert_eq!((summary.overlap_max, summary.span_ns), (3, 1_000 * (TIMES - 1) + 132));
}

/// The same record of other levels.
fn shift_keys(record: &mut Record, shift: u32) {
    match &mut record.request {
        Request::Read(key) => key.0 += shift,
        Request::Snapshot(keys) => keys.iter_mut().for_each(|key| key.0 += shift),
        Request::Write(lines) => lines.iter_mut().for_each(|line| line.key.0 += shift),
    }
    match &mut record.outcome {
        Outcome::Read(seen) => seen.key.0 += shift,
        Outcome::Snapshot { levels: seen, .. } | Outcome::Applied(seen) => {
            for seen in seen {
                seen.key.0 += shift;
            }
        }
        Outcome::Refused(refused) => refused.iter_mut().for_each(|refused| refused.seen.key.0 += shift),
        Outcome::NotApplied | Outcome::Unknown => {}
    }
}

#[test]
fn writes_that_only_touch_in_time_or_do_not_overlap_are_told_apart() {
    let contended = |second: (u64, u64)| {
        let story =
            Story::new().write((10, 20), Create(1), seen(0, 1, 1)).write(second, Add(1), seen(0, 2, 2));
        let summary = story.verdict().summary;
        (summary.contended_writes, summary.levels_contended, summary.overlap_max)
    };
    // Answered at the moment the other was sent: no order in real time between them.
    assert_eq!(contended((20, 30)), (2, 1, 2));
    assert_eq!(contended((21, 30)), (0, 0, 1));
    // Two that overlapped, then two others: never more than two at once.
    let story = Story::new()
        .write((10, 20), Create(1), seen(0, 1, 1))
        .write((15, 25), Add(1), seen(0, 2, 2))
        .write((30, 40), Add(1), seen(0, 3, 3))
        .write((35, 45), Add(1), seen(0, 4, 4))
        .write((50, 60), Add(1), seen(0, 5, 5));
    let summary = story.verdict().summary;
    assert_eq!((summary.contended_writes, summary.levels_contended, summary.overlap_max), (4, 1, 2));
}

#[test]
fn a_last_read_counts_if_it_was_sent_after_the_last_answer() {
    let unread = |sent: u64| {
        let story = Story::new().write((10, 20), Create(1), seen(0, 1, 1)).read((sent, 40), seen(0, 1, 1));
        story.verdict().summary.levels_unread
    };
    assert_eq!((unread(20), unread(21)), (1, 0));
    let refused = Story::new().write((10, 20), Create(1), seen(0, 1, 1)).refused(
        (30, 40),
        Create(1),
        Reason::Exists,
        seen(0, 1, 1),
    );
    assert_eq!(refused.verdict().summary.levels_unread, 1, "a refusal is no read");
}

#[test]
fn each_thing_that_is_required_is_missed_by_itself() {
    let why = |story: &Story, require: Require| {
        let limits = Limits { require, ..Limits::default() };
        match check_with(&story.clone().history(), &limits).conclusion {
            Conclusion::Vacuous { why } => why,
            other => panic!("{other:?}"),
        }
    };
    let nothing = Require::NOTHING;
    let read = Story::new().read((1, 2), absent(0, 0));
    assert_eq!(
        why(&read, Require { applied_writes: true, ..nothing }),
        ["none of 1 operations was a write that was applied"]
    );
    let alone = Story::new().write((1, 2), Create(1), seen(0, 1, 1)).read((3, 4), seen(0, 1, 1));
    assert_eq!(
        why(&alone, Require { contended_writes: true, ..nothing }),
        ["no two applied writes overlapped in time on one level"]
    );
    assert_eq!(
        why(&busy(), Require { final_reads: true, ..nothing }),
        ["1 of 2 changed levels were not read after their last change had been answered"]
    );
    for (story, require) in [
        (busy(), Require { applied_writes: true, contended_writes: true, final_reads: false }),
        (alone, Require { applied_writes: true, contended_writes: false, final_reads: true }),
        (read, nothing),
    ] {
        let limits = Limits { require, ..Limits::default() };
        let verdict = check_with(&story.history(), &limits);
        assert!(verdict.is_consistent(), "{verdict}");
    }
}

#[test]
fn the_figures_are_told_in_two_sentences_and_a_third_for_levels_without_versions() {
    let text = varied().verdict().to_string();
    let expected = "\
CONSISTENT: no update was lost.
43 operations: 4 reads, 6 writes applied (2 of many lines), 28 refused, 2 not applied, 2 of unknown outcome (of which 1 explain \
what was seen).
4 stock levels, 2 written, 2 by overlapping writes, 1 not read after their last change; 5 writes overlapped another on the same \
level, at most 3 at once.
";
    assert_eq!(text, expected);
    let told = |on_hand| Seen::unversioned(Key(0), Stock::Level { on_hand, reserved: 0 });
    let story = Story::new()
        .read((1, 2), told(5))
        .write((3, 4), Add(-1), told(4))
        .unknown(5, &[line(0, Add(-2))])
        .unknown(6, &[line(0, Delete)]);
    let summary = story.verdict().summary;
    assert_eq!((summary.levels_unversioned, summary.residual.unknown, summary.residual.units_max), (1, 2, 3));
    let text = summary.to_string();
    let last = "1 levels did not tell versions; of these at most 3 units could hide in 2 unknown outcomes.";
    assert_eq!(text.lines().last(), Some(last), "{text}");
}

/// Nobody is asked about kinds that were not found, and an empty list of kinds counts nothing.
#[test]
fn a_verdict_counts_the_kinds_it_found() {
    let good = busy().verdict();
    assert!(good.violations().is_empty() && !good.is_violated());
    assert_eq!(Kind::ALL.map(|kind| good.count(kind)), [0; Kind::ALL.len()]);
    let bad = busy().read((120, 130), seen(0, 5, 7)).verdict();
    assert!(bad.is_violated() && !bad.is_consistent());
    let counts = Kind::ALL.map(|kind| (kind, bad.count(kind)));
    let found: Vec<(Kind, u64)> = counts.into_iter().filter(|(_, count)| *count > 0).collect();
    assert_eq!(found, [(Kind::WrongRead, 1), (Kind::RealTime, 1)]);
    let text = bad.to_string();
    assert!(text.starts_with("VIOLATED: 2 violations found.\n"), "{text}");
    assert!(!text.contains("not listed"), "{text}");
    let Conclusion::Violations { by_kind, .. } = bad.conclusion else { panic!("{text}") };
    assert_eq!(by_kind, found);
    let one = Story::new().read((1, 2), seen(0, 1, 1)).read((3, 4), seen(0, 1, 2)).verdict();
    assert!(one.to_string().starts_with("VIOLATED: 1 violation found.\n"), "{one}");
}

/// What is kept in memory at all stays there, to the last byte of the bound.
#[test]
fn memory_is_used_up_to_its_bound() {
    let folder = tempfile::tempdir().unwrap();
    let history =
        History { keys: vec!["a".to_owned()], records: busy().history().records, ..History::default() };
    let fill = |bound: u64| {
        let mut log = Log::new(std::sync::Arc::new(Store::new(bound, folder.path().to_owned())));
        while log.bytes() == (0, 0) || log.len() < 40_000 {
            history.records[..4].iter().for_each(|record| log.push(record.into()));
        }
        // Hands what is open to the store.
        log.append(Log::default());
        log.bytes()
    };
    let (all, none) = fill(u64::MAX);
    assert!(all > 100_000 && none == 0);
    assert_eq!(fill(all), (all, 0));
    let (memory, disk) = fill(all - 1);
    assert!(memory > 0 && disk > 0 && memory + disk == all, "{memory} and {disk} of {all}");
}
