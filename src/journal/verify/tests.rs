//! Tests of the module above.

use std::cell::Cell;

use super::*;
use crate::journal::testing::{self, Memory, Writer};

mod of_reservations;

fn written(memory: &Memory) -> Writer {
    let mut writer = Writer::new(memory.disk(), 8 * 1024);
    for group in 0..40 {
        writer.time_ms += 10;
        for level in 0..5 {
            writer.add(&format!("sku-{level} main"), group + 1);
        }
        writer.commit();
    }
    writer.seal();
    writer.add("last main", 1);
    writer.commit();
    assert!(writer.log.segments().len() >= 3);
    writer
}

fn run(writer: &Writer, changing: bool) -> Result<Report, VerifyError> {
    run_to(writer, writer.watermark.end(), changing)
}

fn run_to(writer: &Writer, end: GroupEnd, changing: bool) -> Result<Report, VerifyError> {
    let level = |key: &StockKey| {
        Ok(writer.heads.get(key.text(), writer.heads.hash(key.text())).map(|head| head.level))
    };
    let live = Live { level: &level, changing };
    verify(writer.disk.as_ref(), &writer.log, end, live, &AtomicBool::new(false), &|_| {})
}

fn only(report: &Report) -> String {
    assert_eq!(report.problems_total, 1, "{:?}", report.problems);
    report.problems[0].to_string()
}

#[test]
fn a_log_as_it_was_written_is_clean() {
    let writer = written(&Memory::new());
    let report = run(&writer, false).unwrap();
    assert!(report.is_clean(), "{:?}", report.problems);
    assert_eq!((report.movements, report.levels, report.groups), (201, 6, 41));
    assert_eq!(report.segments, writer.log.segments().len());
}

#[test]
fn many_versions_of_a_level_in_a_record_are_clean_and_a_wrong_link_among_them_is_named() {
    let repeating = |writer: &mut Writer| {
        let add =
            |delta| crate::stock::Operation::Adjust { delta, if_missing: crate::stock::IfMissing::Create };
        let lines = [("a main", add(1)), ("b main", add(1)), ("a main", add(2)), ("a main", add(3))];
        assert!(writer.record(&lines, None));
        writer.commit();
    };
    let mut writer = Writer::new(Memory::new().disk(), 2 * 1024);
    (0..20).for_each(|_| repeating(&mut writer));
    let report = run(&writer, false).unwrap();
    assert!(report.is_clean(), "{:?}", report.problems);
    assert_eq!((report.movements, report.levels), (80, 2));
    // The first of the three says that the version before it is in its own record as well.
    let hash = writer.heads.hash("a main");
    let head = writer.heads.get("a main", hash).unwrap();
    let next = writer.end().position + group::HEADER_BYTES as u64;
    writer.heads.set("a main", hash, Head { position: next, ..head }, &mut Vec::new());
    repeating(&mut writer);
    assert!(
        only(&run(&writer, false).unwrap()).contains("a main: version 61 says that the change before it")
    );
}

#[test]
fn damage_is_named_and_what_is_after_it_still_read() {
    let memory = Memory::new();
    let writer = written(&memory);
    let second = writer.log.segments()[1].header;
    memory.edit(&segment::name(second.base), |bytes| bytes[SECTOR + 200] ^= 1);
    let report = run(&writer, false).unwrap();
    let first = report.problems[0].to_string();
    assert!(first.contains(&segment::name(second.base)) && first.contains("offset 512"), "{first}");
    assert!(first.contains(&format!("movement {}", second.first_seq)), "{first}");
    assert_eq!(report.groups, 40, "all but one");
    // The five levels that the lost group changed are told once each.
    assert_eq!(report.problems_total, 1 + 5);
}

#[test]
fn damage_of_a_header_or_footer_is_named() {
    let memory = Memory::new();
    let writer = written(&memory);
    let name = segment::name(writer.log.segments()[1].header.base);
    let intact = memory.get(&name);
    memory.edit(&name, |bytes| bytes[30] ^= 1);
    assert!(only(&run(&writer, false).unwrap()).contains("header"));
    memory.put(&name, intact);
    // The log has the file open: the same file is edited.
    let writer = {
        let memory = Memory::new();
        let writer = written(&memory);
        (memory, writer)
    };
    let (memory, writer) = writer;
    memory.edit(&name, |bytes| {
        let at = bytes.len() - 20;
        bytes[at] ^= 1;
    });
    assert!(only(&run(&writer, false).unwrap()).contains("footer"));
}

#[test]
fn a_live_level_that_differs_is_named_unless_it_moved_on() {
    let writer = written(&Memory::new());
    let hash = writer.heads.hash("sku-3 main");
    let head = writer.heads.get("sku-3 main", hash).unwrap();
    let wrong = |version: u64| {
        let level = Level::existing(1, 0, version).unwrap();
        writer.heads.set("sku-3 main", hash, Head { level, ..head }, &mut Vec::new());
    };
    wrong(head.level.version());
    assert!(only(&run(&writer, true).unwrap()).contains("sku-3@main"));
    wrong(head.level.version() - 1);
    assert!(only(&run(&writer, true).unwrap()).contains("sku-3@main"), "behind the log");
    wrong(head.level.version() + 1);
    assert_eq!(run(&writer, true).unwrap().levels_changed, 1);
    assert!(only(&run(&writer, false).unwrap()).contains("sku-3@main"));
}

#[test]
fn the_log_is_verified_up_to_where_it_was_on_disk() {
    let mut writer = written(&Memory::new());
    writer.add("sku-1 main", 1);
    writer.write_only();
    let report = run(&writer, true).unwrap();
    assert!(report.is_clean(), "{:?}", report.problems);
    assert_eq!((report.movements, report.levels_changed), (201, 1));
}

#[test]
fn where_the_beginning_was_dropped_a_snapshot_says_what_was_there() {
    let memory = Memory::new();
    let mut writer = written(&memory);
    let second = writer.log.segments()[1].header.base;
    writer.log.take_before(second);
    assert!(matches!(run(&writer, false), Err(VerifyError::NoBeginning(_))));
    let stop = AtomicBool::new(false);
    let taken =
        testing::snapshot(writer.disk.as_ref(), &writer.heads, &writer.keys, &writer.watermark, &stop)
            .unwrap();
    writer.add("sku-2 main", 1);
    writer.commit();
    let report = run(&writer, false).unwrap();
    assert!(report.is_clean(), "{:?}", report.problems);
    assert_eq!(report.snapshot, Some(snapshot::name(taken.start.position)));
    assert!(report.groups > 10);
}

#[test]
fn findings_are_bounded_and_a_stop_is_prompt() {
    let memory = Memory::new();
    let mut writer = Writer::new(memory.disk(), 64 * 1024);
    for level in 0..300 {
        writer.add(&format!("sku-{level} main"), 1);
    }
    writer.commit();
    let none = Live { level: &|_| Ok(None), changing: false };
    let go = AtomicBool::new(false);
    let told = Cell::new(0);
    let end = writer.watermark.end();
    let progress = |progress: Progress| told.set(progress.bytes);
    let report = verify(writer.disk.as_ref(), &writer.log, end, none, &go, &progress).unwrap();
    assert_eq!((report.problems_total, report.problems.len()), (300, FINDINGS_MAX));
    assert_eq!(told.get(), end.position);
    go.store(true, Ordering::Relaxed);
    let stopped = verify(writer.disk.as_ref(), &writer.log, end, none, &go, &|_| {});
    assert!(matches!(stopped, Err(VerifyError::Stopped)));
}
