//! Which segment holds a position or a movement, at every edge between segments.

use super::*;
use crate::journal::disk::faulty::FaultyDisk;
use crate::journal::segment::{INDEX_EVERY, name};

/// A segment from `base` to `end` whose first movement is `first_seq`.
fn segment(base: u64, end: u64, first_seq: u64) -> Arc<Segment> {
    let disk = FaultyDisk::new();
    let file = crate::journal::disk::Disk::create(&disk, &name(base)).unwrap();
    let header =
        Header { version: 2, base, first_seq, time_ms: 0, anchor: [0; 32], whose: None, prepared: 0 };
    Arc::new(Segment::new(header, file, Vec::new(), end))
}

/// Three segments; the middle one holds nothing but answers, so the third begins with the same movement.
fn log() -> Log {
    let log = Log::new(vec![segment(512, 2_048, 1), segment(2_048, 3_072, 5)]);
    log.push(segment(3_072, 4_096, 5));
    log
}

fn base(segment: Option<Arc<Segment>>) -> Option<u64> {
    segment.map(|segment| segment.header.base)
}

#[test]
fn every_position_is_in_one_segment_up_to_what_was_written() {
    let log = log();
    let table = [
        (511, None),
        (512, Some(512)),
        (2_047, Some(512)),
        (2_048, Some(2_048)),
        (3_072, Some(3_072)),
        (4_095, Some(3_072)),
        (4_096, None),
        (u64::MAX, None),
    ];
    for (position, expected) in table {
        assert_eq!(base(log.at_position(position)), expected, "position {position}");
    }
    log.segments()[2].set_end(5_000);
    assert_eq!((base(log.at_position(4_999)), log.bytes()), (Some(3_072), 5_000 - 512));
    assert_eq!(base(Log::default().at_position(0)), None);
}

#[test]
fn every_movement_is_in_one_segment_and_none_in_one_of_answers() {
    let log = log();
    for (seq, expected) in [(0, None), (1, Some(512)), (4, Some(512)), (5, Some(3_072)), (99, Some(3_072))] {
        assert_eq!(base(log.at_seq(seq)), expected, "movement {seq}");
    }
    assert_eq!((log.first_seq(), Log::default().first_seq()), (1, 1));
}

#[test]
fn segments_are_taken_whole_and_never_the_last() {
    let bases = |segments: &[Arc<Segment>]| -> Vec<u64> {
        segments.iter().map(|segment| segment.header.base).collect()
    };
    let taken = |position| {
        let log = log();
        let taken = log.take_before(position);
        (bases(&taken), bases(&log.segments()))
    };
    assert_eq!(taken(2_047), (vec![], vec![512, 2_048, 3_072]));
    assert_eq!(taken(2_048), (vec![512], vec![2_048, 3_072]));
    assert_eq!(taken(u64::MAX), (vec![512, 2_048], vec![3_072]));
    let log = log();
    log.take_before(2_048);
    assert_eq!((base(log.at_position(600)), base(log.at_seq(4)), log.first_seq()), (None, None, 5));
}

#[test]
fn a_walk_for_a_movement_starts_at_or_before_it() {
    let segment = segment(512, 512, 10);
    assert_eq!(segment.offset_before(10), 512, "without an index, the first group");
    // Groups of three movements, every 32 KiB: every other one has an entry.
    let groups: Vec<(u64, u64)> =
        (0..9).map(|group| (10 + 3 * group, 512 + group * INDEX_EVERY / 2)).collect();
    for &(seq, offset) in &groups {
        segment.index_group(seq, offset);
    }
    assert_eq!(segment.index().len(), 5);
    for seq in 10..10 + 27 {
        let (_, holder) = *groups.iter().rfind(|&&(first, _)| first <= seq).unwrap();
        let start = segment.offset_before(seq);
        assert!(groups.iter().any(|&(_, offset)| offset == start), "at a group");
        assert!(start <= holder && holder - start < INDEX_EVERY, "movement {seq}: {start}, {holder}");
    }
}
