//! Tests of the module above.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::journal::disk::faulty::{Call, Fault, FaultyDisk};
use crate::journal::recovery::{self, Options, Recovered, RecoveryError};
use crate::journal::testing::{self, Memory, Writer, all_keys, levels};
use crate::stock::Once;

const OPTIONS: Options = Options { now_ms: 2_000_000, key_retention: Duration::from_hours(24) };

fn start(memory: &Memory) -> Result<Recovered, RecoveryError> {
    recovery::recover(&memory.disk(), &OPTIONS, &|_| {})
}

fn snapshot(writer: &Writer) -> Result<Written, SnapshotError> {
    testing::snapshot(
        writer.disk.as_ref(),
        &writer.heads,
        &writer.keys,
        &writer.watermark,
        &AtomicBool::new(false),
    )
}

fn groups(writer: &mut Writer, count: u64) {
    for group in 0..count {
        writer.time_ms += 10;
        writer.add(&format!("sku-{} main", (writer.end().next_seq + group) % 17), 3);
        let once = Once { key: u128::from(writer.end().next_seq), fingerprint: [0; 32] };
        let add = crate::stock::Operation::Adjust { delta: 1, if_missing: crate::stock::IfMissing::Create };
        writer.record(&[("a main", add), ("b \"\u{e4}\u{1f}main", add)], Some(once));
        if group % 5 == 4 {
            writer.change("a main", crate::stock::Operation::Delete);
        }
        writer.commit();
    }
}

fn assert_same(recovered: &Recovered, writer: &Writer) {
    assert_eq!(levels(&recovered.heads), levels(&writer.heads));
    assert_eq!(all_keys(&recovered.keys), all_keys(&writer.keys));
    assert_eq!(recovered.end.undated(), writer.end().undated());
}

#[test]
fn a_start_replays_only_what_came_after_the_snapshot() {
    let memory = Memory::new();
    let mut writer = Writer::new(memory.disk(), 8 * 1024);
    groups(&mut writer, 30);
    let written = snapshot(&writer).unwrap();
    assert_eq!(written.start.undated(), writer.end().undated());
    assert_eq!(written.bytes, memory.get(&name(written.start.position)).len() as u64);
    let quiet = start(&memory).unwrap();
    assert_eq!((quiet.report.groups, quiet.report.movements), (0, 0));
    assert_same(&quiet, &writer);
    groups(&mut writer, 12);
    let recovered = start(&memory).unwrap();
    assert_eq!(recovered.report.groups, 12);
    assert_eq!(recovered.report.snapshot, Some(name(written.start.position)));
    assert_same(&recovered, &writer);
}

/// Sealed and nothing after it; the snapshot starts at the end of a segment, of a group before a footer, of a header.
#[test]
fn a_snapshot_may_start_at_any_seam_of_the_log() {
    let memory = Memory::new();
    let mut writer = Writer::new(memory.disk(), 8 * 1024);
    groups(&mut writer, 5);
    snapshot(&writer).unwrap();
    writer.seal();
    assert_same(&start(&memory).unwrap(), &writer);
    writer.publish();
    let at_seam = snapshot(&writer).unwrap();
    let recovered = start(&memory).unwrap();
    assert_eq!(recovered.report.snapshot, Some(name(at_seam.start.position)));
    assert_same(&recovered, &writer);
    groups(&mut writer, 5);
    assert_same(&start(&memory).unwrap(), &writer);
}

#[test]
fn a_damaged_snapshot_is_passed_over_and_without_another_the_log_must_reach_back() {
    let memory = Memory::new();
    let mut writer = Writer::new(memory.disk(), 8 * 1024);
    groups(&mut writer, 20);
    let first = name(snapshot(&writer).unwrap().start.position);
    groups(&mut writer, 40);
    let second = name(snapshot(&writer).unwrap().start.position);
    groups(&mut writer, 3);
    memory.edit(&second, |bytes| bytes[200] ^= 1);
    let recovered = start(&memory).unwrap();
    assert_eq!(recovered.report.snapshot.as_ref(), Some(&first));
    assert!(recovered.report.warnings[0].contains(&second));
    assert_same(&recovered, &writer);
    memory.edit(&first, |bytes| bytes.truncate(300));
    let recovered = start(&memory).unwrap();
    assert_eq!((recovered.report.snapshot.as_ref(), recovered.report.warnings.len()), (None, 2));
    assert_same(&recovered, &writer);
    let oldest = crate::journal::segment::name(0);
    memory.delete(&oldest);
    match start(&memory).unwrap_err() {
        RecoveryError::NoBeginning { tried, .. } => {
            assert!(tried.contains(&first) && tried.contains(&second), "{tried}");
        }
        error => panic!("{error}"),
    }
}

#[test]
fn any_byte_changed_in_a_snapshot_is_found() {
    let memory = Memory::new();
    let mut writer = Writer::new(memory.disk(), 64 * 1024);
    groups(&mut writer, 10);
    let file = name(snapshot(&writer).unwrap().start.position);
    for at in 0..memory.get(&file).len() {
        let damaged = memory.copy();
        damaged.edit(&file, |bytes| bytes[at] ^= 0x10);
        match check(damaged.disk().as_ref(), &file) {
            Err(SnapshotError::Version { .. }) => assert!((8..12).contains(&at)),
            Err(SnapshotError::Damaged { .. }) => assert_same(&start(&damaged).unwrap(), &writer),
            other => panic!("{at}: {other:?}"),
        }
    }
    for len in 0..memory.get(&file).len() {
        let damaged = memory.copy();
        damaged.edit(&file, |bytes| bytes.truncate(len));
        assert!(matches!(check(damaged.disk().as_ref(), &file), Err(SnapshotError::Damaged { .. })), "{len}");
    }
    let longer = memory.copy();
    longer.edit(&file, |bytes| bytes.push(0));
    assert!(check(longer.disk().as_ref(), &file).is_err());
}

#[test]
fn a_snapshot_of_a_later_version_is_refused_by_name() {
    let memory = Memory::new();
    let mut writer = Writer::new(memory.disk(), 64 * 1024);
    groups(&mut writer, 3);
    let file = name(snapshot(&writer).unwrap().start.position);
    memory.edit(&file, |bytes| bytes[8] = 7);
    let error = start(&memory).unwrap_err().to_string();
    assert!(error.contains(&file) && error.contains("version 7"), "{error}");
}

#[test]
fn a_log_that_lost_what_a_snapshot_saw_is_refused() {
    let memory = Memory::new();
    let mut writer = Writer::new(memory.disk(), 64 * 1024);
    groups(&mut writer, 3);
    let before = memory.copy();
    groups(&mut writer, 3);
    let file = name(snapshot(&writer).unwrap().start.position);
    before.put(&file, memory.get(&file));
    assert!(matches!(start(&before).unwrap_err(), RecoveryError::LogBehind { .. }));
}

#[test]
fn a_snapshot_of_another_log_is_refused() {
    let (one, other) = (Memory::new(), Memory::new());
    for (memory, units) in [(&one, 1), (&other, 2)] {
        let mut writer = Writer::new(memory.disk(), 64 * 1024);
        writer.add("a main", units);
        writer.commit();
        snapshot(&writer).unwrap();
    }
    let file = one.names().into_iter().find(|name| name.ends_with("snapshot")).unwrap();
    one.put(&file, other.get(&file));
    let error = start(&one).unwrap_err().to_string();
    assert!(error.contains(&file) && error.contains("does not belong"), "{error}");
}

/// The disk dies at each step in turn: the next start has all levels, and nothing lies about.
#[test]
fn a_snapshot_interrupted_at_any_step_leaves_a_start_that_works() {
    let mut interrupted = 0;
    for step in 0.. {
        let memory = Memory::new();
        let mut writer = Writer::new(memory.disk(), 8 * 1024);
        groups(&mut writer, 20);
        snapshot(&writer).unwrap();
        groups(&mut writer, 20);
        memory.die_after(step);
        let outcome = snapshot(&writer);
        let after = memory.copy();
        assert_same(&start(&after).unwrap(), &writer);
        assert!(!after.names().iter().any(|name| name == TEMPORARY));
        if outcome.is_ok() && !memory.died() {
            break;
        }
        interrupted += 1;
    }
    assert!(interrupted >= 7, "{interrupted} steps");
}

#[test]
fn a_snapshot_that_is_to_stop_leaves_nothing() {
    let memory = Memory::new();
    let mut writer = Writer::new(memory.disk(), 8 * 1024);
    groups(&mut writer, 2);
    let stop = AtomicBool::new(true);
    let outcome =
        testing::snapshot(writer.disk.as_ref(), &writer.heads, &writer.keys, &writer.watermark, &stop);
    assert!(matches!(outcome, Err(SnapshotError::Stopped)), "{outcome:?}");
    assert_eq!(memory.names().len(), 1);
}

#[test]
fn a_snapshot_gets_its_name_only_once_what_it_saw_is_on_disk() {
    let memory = Memory::new();
    let mut writer = Writer::new(memory.disk(), 8 * 1024);
    groups(&mut writer, 2);
    let start = writer.end().position;
    writer.add("a main", 1);
    writer.write_only();
    writer.watermark.fail("the disk is gone");
    assert!(matches!(snapshot(&writer), Err(SnapshotError::Failed(_))));
    assert!(!memory.names().contains(&name(start)));
}

/// A snapshot that starts at `start` and of which a walk saw these levels and keys.
fn put_snapshot(writer: &Writer, start: GroupEnd, heads: &Heads, keys: &Keys) {
    let file = writer.disk.create(TEMPORARY).unwrap();
    let content = Walked { heads, keys, holds: &Holds::new(0), orders: &Orders::new(0), caught_up: &|| true };
    write_file(&file, None, start, &content, &AtomicBool::new(false)).unwrap().finish().unwrap();
    writer.disk.rename(TEMPORARY, &name(start.position)).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// The writer goes on while the walk is under way: each level, and each key, is seen as of any moment from the start on.
    #[test]
    fn a_fuzzy_snapshot_and_the_replay_are_the_replay_alone(
        before in 1..25_u64,
        during in proptest::collection::vec(1..4_u64, 0..6),
        after in 0..10_u64,
        moments in proptest::collection::vec(any::<proptest::sample::Index>(), 32),
    ) {
        let memory = Memory::new();
        let mut writer = Writer::new(memory.disk(), 4 * 1024);
        groups(&mut writer, before);
        let begun = writer.end();
        let mut seen = vec![(levels(&writer.heads), all_keys(&writer.keys))];
        for &count in &during {
            groups(&mut writer, count);
            seen.push((levels(&writer.heads), all_keys(&writer.keys)));
        }
        let (heads, keys) = (Heads::new(), Keys::new());
        let last = &seen[seen.len() - 1];
        for (at, key) in last.0.keys().enumerate() {
            if let Some(head) = moments[at % 32].get(&seen).0.get(key) {
                heads.set(key, heads.hash(key), *head, &mut Vec::new());
            }
        }
        for (at, key) in last.1.keys().enumerate() {
            if let Some(&position) = moments[at % 32].get(&seen).1.get(key) {
                keys.insert(*key, position);
            }
        }
        groups(&mut writer, after);
        let alone = start(&memory).unwrap();
        prop_assert!(alone.report.snapshot.is_none());
        put_snapshot(&writer, begun, &heads, &keys);
        let with = start(&memory).unwrap();
        assert_same(&alone, &writer);
        assert_same(&with, &writer);
        prop_assert!(with.report.snapshot.is_some());
        prop_assert_eq!(with.report.groups, during.iter().sum::<u64>() + after);
    }
}

/// P10: a snapshot that fails, wherever it does, keeps no room from others.
#[test]
fn nothing_is_left_of_a_snapshot_that_failed() {
    for (call, nth) in [(Call::Write, 1), (Call::Sync, 1), (Call::Rename, 1)] {
        let disk = FaultyDisk::new();
        let mut writer = Writer::new(disk.disk(), 8 * 1024);
        groups(&mut writer, 5);
        let names = disk.names();
        disk.fail(Fault::nth(call, nth, std::io::ErrorKind::StorageFull));
        assert!(snapshot(&writer).is_err(), "{call:?}");
        assert_eq!(disk.names(), names, "{call:?}");
    }
}
