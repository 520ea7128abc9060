//! Tests of the module above.

use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use crate::clock::manual::Manual;
use crate::clock::{Clock, Left};
use crate::journal::holds::Holds;
use crate::journal::orders::Orders;
use crate::journal::recovery::{self, Options};
use crate::journal::testing::{self, Memory, Writer, levels};

mod failures;

const HOUR: Duration = Duration::from_hours(1);
const HOUR_MS: u64 = 3_600_000;
const KEEP: Policy = Policy {
    age_max: None,
    bytes_max: None,
    key_retention: HOUR,
    reservations_retention: HOUR,
    orders_retention: HOUR,
};

/// An hour between groups; a segment has two of them.
fn groups(writer: &mut Writer, count: usize) {
    for _ in 0..count {
        writer.time_ms += HOUR_MS;
        writer.add("a main", 1);
        writer.commit();
    }
}

fn snapshot(writer: &Writer) -> u64 {
    let stop = AtomicBool::new(false);
    let parts = (&writer.heads, &writer.keys, &writer.watermark);
    testing::snapshot(writer.disk.as_ref(), parts.0, parts.1, parts.2, &stop).unwrap().start.position
}

/// Ten segments, and two snapshots: at the end of the sixth hour and of the sixteenth.
fn written(memory: &Memory) -> Writer {
    let mut writer = Writer::new(memory.disk(), 1536);
    groups(&mut writer, 6);
    snapshot(&writer);
    groups(&mut writer, 10);
    snapshot(&writer);
    groups(&mut writer, 4);
    assert_eq!(writer.log.segments().len(), 10);
    writer
}

fn run(writer: &Writer, policy: Policy) -> Removed {
    let mut removed = Removed::default();
    apply(writer.disk.as_ref(), &writer.log, &policy, writer.time_ms, &mut removed, &|_| Ok(())).unwrap();
    removed
}

fn assert_starts(memory: &Memory, writer: &Writer) {
    let options = Options { now_ms: writer.time_ms, key_retention: HOUR };
    let recovered = recovery::recover(&memory.disk(), &options, &|_| {}).unwrap();
    assert_eq!(levels(&recovered.heads), levels(&writer.heads));
    assert_eq!(recovered.end.undated(), writer.end().undated());
}

#[test]
fn nothing_leaves_by_default_but_surplus_snapshots() {
    let memory = Memory::new();
    let writer = written(&memory);
    assert_eq!(run(&writer, KEEP), Removed::default());
    let third = snapshot(&writer);
    let removed = run(&writer, KEEP);
    assert_eq!((removed.snapshots.len(), removed.segments.len()), (1, 0));
    assert!(memory.names().contains(&snapshot::name(third)));
    assert_starts(&memory, &writer);
}

#[test]
fn segments_past_a_bound_leave_unless_a_kept_snapshot_needs_them() {
    for policy in [
        Policy { age_max: Some(HOUR), ..KEEP },
        Policy { bytes_max: Some(0), ..KEEP },
        Policy { bytes_max: Some(0), age_max: Some(HOUR * 1000), ..KEEP },
    ] {
        let memory = Memory::new();
        let writer = written(&memory);
        // The older snapshot starts with the group after the sixth: in the fourth segment.
        assert_eq!(run(&writer, policy).segments.len(), 2, "{policy:?}");
        assert_starts(&memory, &writer);
        let older = memory.names().into_iter().filter(|name| name.ends_with(".snapshot")).max().unwrap();
        memory.edit(&older, |bytes| bytes[100] ^= 1);
        assert_starts(&memory, &writer);
    }
}

#[test]
fn what_is_younger_than_a_bound_or_than_keys_stays() {
    let memory = Memory::new();
    let writer = written(&memory);
    assert_eq!(run(&writer, Policy { age_max: Some(HOUR * 17), ..KEEP }).segments.len(), 1);
    assert!(run(&writer, Policy { bytes_max: Some(1 << 30), ..KEEP }).segments.is_empty());
    let keys = Policy { bytes_max: Some(0), key_retention: HOUR * 1000, ..KEEP };
    assert!(run(&writer, keys).segments.is_empty());
}

#[test]
fn a_damaged_snapshot_counts_for_nothing_and_stays() {
    let memory = Memory::new();
    let writer = written(&memory);
    let newest = memory.names().into_iter().filter(|name| name.ends_with(".snapshot")).max().unwrap();
    memory.edit(&newest, |bytes| bytes[100] ^= 1);
    let removed = run(&writer, Policy { bytes_max: Some(0), ..KEEP });
    assert_eq!(removed, Removed { damaged: vec![newest.clone()], ..Removed::default() });
    assert!(memory.names().contains(&newest));
    assert_starts(&memory, &writer);
}

#[test]
fn a_crash_at_any_step_leaves_a_log_that_starts() {
    for step in 0.. {
        let memory = Memory::new();
        let writer = written(&memory);
        snapshot(&writer);
        memory.die_after(step);
        let (policy, mut removed) = (Policy { bytes_max: Some(0), ..KEEP }, Removed::default());
        let outcome =
            apply(writer.disk.as_ref(), &writer.log, &policy, writer.time_ms, &mut removed, &|_| Ok(()));
        assert_starts(&memory.copy(), &writer);
        if outcome.is_ok() {
            assert!(step > 8, "{step}");
            break;
        }
    }
}

fn parts(writer: &Writer) -> Parts {
    Parts {
        disk: Arc::clone(&writer.disk),
        log: Arc::clone(&writer.log),
        control: None,
        heads: Arc::clone(&writer.heads),
        keys: Arc::clone(&writer.keys),
        holds: Arc::new(Holds::new(0)),
        orders: Arc::new(Orders::new(0)),
        lanes: None,
        watermark: Arc::clone(&writer.watermark),
    }
}

/// A clock that stands still.
fn clock() -> Clock {
    Clock::resume(Arc::new(Manual::at(5)), Left::default())
}

#[test]
fn a_snapshot_is_taken_on_request_and_told_in_numbers() {
    let memory = Memory::new();
    let mut writer = written(&memory);
    let never = Schedule { bytes: u64::MAX, interval: Duration::MAX, ..Schedule::default() };
    let snapshotter = Snapshotter::start(parts(&writer), never, KEEP, 0, clock()).unwrap();
    let taken = snapshotter.take().unwrap();
    assert_eq!(taken.start.undated(), writer.end().undated());
    groups(&mut writer, 1);
    assert_eq!(snapshotter.take().unwrap().start.undated(), writer.end().undated());
    let metrics = snapshotter.metrics();
    assert_eq!(metrics.taken.load(Ordering::Relaxed), 2);
    assert_eq!(metrics.time_ms.load(Ordering::Relaxed), 5);
    assert_eq!(metrics.position.load(Ordering::Relaxed), writer.end().position);
    assert_starts(&memory, &writer);
    memory.die_after(0);
    assert!(snapshotter.take().is_err());
    assert_eq!(metrics.failed.load(Ordering::Relaxed), 1);
}

#[test]
fn a_snapshot_is_taken_when_the_log_has_grown() {
    let memory = Memory::new();
    let mut writer = written(&memory);
    let at = snapshot(&writer);
    let soon = Schedule { bytes: 1024, interval: Duration::MAX, ..Schedule::default() };
    groups(&mut writer, 3);
    let snapshotter = Snapshotter::start(parts(&writer), soon, KEEP, at, clock()).unwrap();
    while snapshotter.metrics().taken.load(Ordering::Relaxed) == 0 {
        std::thread::yield_now();
    }
    assert_eq!(snapshotter.metrics().position.load(Ordering::Relaxed), writer.end().position);
}

#[test]
fn it_stops_at_once() {
    let writer = written(&Memory::new());
    // Whoever waits for its next look hangs.
    let rarely = Schedule { look_every: Duration::from_hours(1), ..Schedule::default() };
    drop(Snapshotter::start(parts(&writer), rarely, KEEP, 0, clock()).unwrap());
}

/// What keys hold up is counted: it is past a bound, and younger than keys are kept.
#[test]
fn what_stays_for_keys_alone_is_counted() {
    let memory = Memory::new();
    let writer = written(&memory);
    let segments = writer.log.segments();
    let held = |policy: Policy| held_for_keys(&writer.log, &policy, writer.time_ms);
    let all_but_last = segments[9].header.base - segments[0].header.base;
    // Two hours a segment, and each says when the one before it ended.
    let day = Policy { key_retention: HOUR * 24, ..KEEP };
    assert_eq!(held(day), 0, "there is no bound");
    assert_eq!(held(Policy { bytes_max: Some(0), ..day }), all_but_last);
    assert_eq!(held(Policy { bytes_max: Some(1 << 30), ..day }), 0);
    assert_eq!(
        held(Policy { bytes_max: Some(0), key_retention: HOUR * 2, ..KEEP }),
        segments[9].header.base - segments[8].header.base
    );
    // Past the bound of age, and younger than keys.
    let aged = held(Policy { age_max: Some(HOUR * 10), key_retention: HOUR * 14, ..KEEP });
    assert_eq!(aged, segments[4].header.base - segments[2].header.base);
}
