//! Removals that fail, at every call, once or for good; then another attempt, or a start.

use std::io;

use super::*;
use crate::journal::disk::faulty::{Call, Fault, FaultyDisk};

const DROP: Policy = Policy { bytes_max: Some(0), ..KEEP };
/// What each attempt calls; more than it makes of any one of them.
const CALLS: [Call; 5] = [Call::Remove, Call::SyncNames, Call::Open, Call::List, Call::Read];
const NTH_MAX: u64 = 8;

/// As [`written`], with a third snapshot: one is surplus.
fn written_on(disk: &FaultyDisk) -> Writer {
    let mut writer = Writer::new(disk.disk(), 1536);
    for hours in [6, 10, 4] {
        groups(&mut writer, hours);
        snapshot(&writer);
    }
    // This small writer does not sync the ends of sealed segments.
    disk.names().iter().for_each(|name| disk.disk().open(name).unwrap().sync().unwrap());
    disk.disk().sync_names().unwrap();
    writer
}

fn try_once(writer: &Writer) -> (Removed, Result<(), RetentionError>) {
    let mut removed = Removed::default();
    let outcome = apply(writer.disk.as_ref(), &writer.log, &DROP, writer.time_ms, &mut removed, &|_| Ok(()));
    (removed, outcome)
}

fn assert_disk_starts(disk: &FaultyDisk, writer: &Writer, told: &str) {
    let options = Options { now_ms: writer.time_ms, key_retention: HOUR };
    let recovered =
        recovery::recover(&disk.disk(), &options, &|_| {}).unwrap_or_else(|error| panic!("{told}: {error}"));
    assert_eq!(levels(&recovered.heads), levels(&writer.heads), "{told}");
    assert_eq!(recovered.end.undated(), writer.end().undated(), "{told}");
}

fn on_disk(disk: &FaultyDisk) -> Vec<String> {
    disk.names().into_iter().filter(|name| segment::base_of(name).is_some()).collect()
}

fn in_log(writer: &Writer) -> Vec<String> {
    writer.log.segments().iter().map(|segment| segment::name(segment.header.base)).collect()
}

#[test]
fn one_that_fails_stops_the_rest_leaves_a_log_that_starts_and_is_tried_again() {
    let whole = FaultyDisk::new();
    let all = try_once(&written_on(&whole)).0;
    assert!(all.segments.len() > 3 && all.snapshots.len() == 1, "{all:?}");
    for call in CALLS {
        for nth in 1..=NTH_MAX {
            let told = format!("{call:?} {nth}");
            let disk = FaultyDisk::new();
            let writer = written_on(&disk);
            disk.fail(Fault::nth(call, nth, io::ErrorKind::Other));
            let (before, outcome) = try_once(&writer);
            if outcome.is_err() {
                // What is not gone for certain is still in the log, and nothing after it was touched.
                let left = in_log(&writer);
                assert!(on_disk(&disk).iter().all(|name| left.contains(name)), "{told}");
                assert!(left.len() <= on_disk(&disk).len() + 1, "{told}");
            }
            assert_disk_starts(&disk.process_killed(), &writer, &told);
            (0..8).for_each(|seed| assert_disk_starts(&disk.power_cut(seed), &writer, &told));
            disk.heal();
            let (after, outcome) = try_once(&writer);
            outcome.unwrap();
            let twice = [before.segments, after.segments].concat();
            assert_eq!(twice, all.segments, "{told}");
            assert_eq!(on_disk(&disk), in_log(&writer), "{told}");
            assert_disk_starts(&disk.process_killed(), &writer, &told);
            // After a sync that failed nobody knows which removals a power cut takes back: no start is wrong all the same.
            (0..8).for_each(|seed| assert_disk_starts(&disk.power_cut(seed), &writer, &told));
        }
    }
}

#[test]
fn one_that_fails_for_good_holds_up_all_that_are_newer() {
    let disk = FaultyDisk::new();
    let writer = written_on(&disk);
    let segments = in_log(&writer);
    disk.fail(Fault::nth(Call::Remove, 1, io::ErrorKind::Other).on(&segments[1]).for_good());
    for _ in 0..3 {
        assert!(try_once(&writer).1.is_err());
        assert_eq!(on_disk(&disk), segments[1..]);
        assert_eq!(in_log(&writer), segments[1..]);
    }
    assert_disk_starts(&disk.process_killed(), &writer, "for good");
}

/// What versions that forgot what they were to remove left behind: an old segment, and a gap after it.
#[test]
fn an_orphan_that_an_earlier_version_left_is_put_aside_and_told() {
    let disk = FaultyDisk::new();
    let writer = written_on(&disk);
    let segments = in_log(&writer);
    for name in &segments[1..3] {
        disk.disk().remove(name).unwrap();
    }
    let young = Options { now_ms: writer.time_ms, key_retention: HOUR * 1000 };
    let error = recovery::recover(&disk.disk(), &young, &|_| {}).unwrap_err();
    assert!(matches!(error, recovery::RecoveryError::Gap { .. }), "{error}");
    // The first sync of names is that of what was found.
    for fault in [None, Some((Call::Rename, 1)), Some((Call::SyncNames, 2))] {
        let disk = disk.process_killed();
        if let Some((call, nth)) = fault {
            disk.fail(Fault::nth(call, nth, io::ErrorKind::Other));
        }
        let options = Options { key_retention: HOUR, ..young };
        let recovered = recovery::recover(&disk.disk(), &options, &|_| {}).unwrap();
        assert_eq!(levels(&recovered.heads), levels(&writer.heads));
        assert_eq!(recovered.end.undated(), writer.end().undated());
        assert_eq!(recovered.log.segments().len(), segments.len() - 3);
        assert!(recovered.report.warnings.iter().any(|told| told.contains(&segments[0])), "{fault:?}");
        assert_eq!(disk.names().contains(&segments[0]), fault.is_some_and(|(call, _)| call == Call::Rename));
        assert_disk_starts(&disk.process_killed(), &writer, "once more");
    }
}

#[test]
fn a_gap_that_no_two_snapshots_cover_is_refused() {
    let disk = FaultyDisk::new();
    let writer = written_on(&disk);
    let segments = in_log(&writer);
    disk.disk().remove(&segments[segments.len() - 2]).unwrap();
    let options = Options { now_ms: writer.time_ms + 1000 * HOUR_MS, key_retention: HOUR };
    let before = disk.content();
    let error = recovery::recover(&disk.disk(), &options, &|_| {}).unwrap_err();
    assert!(matches!(error, recovery::RecoveryError::Gap { .. }), "{error}");
    assert_eq!(disk.content(), before);
}
