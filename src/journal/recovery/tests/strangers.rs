//! Segments of another log among those that a snapshot covers, which a start does not read: where they say whose they are, and where
//! they do not (P7, P8).

use super::*;
use crate::journal::control::{Control, Stranger};
use crate::journal::group::SECTOR;

/// A log of several segments, all but the last covered by a snapshot.
fn covered_log(delta: i64) -> (Memory, Writer) {
    let memory = Memory::new();
    let mut writer = writer(&memory);
    for group in 0..60 {
        writer.time_ms += 7;
        assert!(writer.add(&format!("sku-{} main", group % 5), delta));
        writer.commit();
    }
    let (disk, never) = (memory.disk(), std::sync::atomic::AtomicBool::new(false));
    crate::journal::testing::snapshot(disk.as_ref(), &writer.heads, &writer.keys, &writer.watermark, &never)
        .unwrap();
    (memory, writer)
}

fn covered(writer: &Writer) -> Vec<String> {
    let mut names: Vec<String> =
        writer.log.segments().iter().map(|segment| segment::name(segment.header.base)).collect();
    names.pop();
    assert!(names.len() >= 3, "{names:?}");
    names
}

/// Of versions that did not say whose a segment is: the chain of hashes tells.
#[test]
fn a_covered_segment_of_another_log_breaks_the_chain() {
    let ((ours, writer), (theirs, _)) = (covered_log(3), covered_log(5));
    assert_same(&start(&ours.copy()).unwrap(), &writer);
    for name in covered(&writer) {
        let exchanged = ours.copy();
        exchanged.put(&name, theirs.get(&name));
        let before = exchanged.content();
        for refused in [start(&exchanged), look(&exchanged.disk(), &OPTIONS, &|_| {})] {
            let error = refused.unwrap_err();
            assert!(matches!(error, RecoveryError::Gap { .. }), "{name}: {error}");
            assert!(error.to_string().contains(".log"), "{error}");
        }
        assert_eq!(exchanged.content(), before);
    }
}

/// A damaged one is no stranger: no level depends on it, so the start goes on, and says so.
#[test]
fn damage_in_a_covered_segment_is_told_and_does_not_keep_a_start_from_going_on() {
    let (ours, writer) = covered_log(3);
    for name in covered(&writer) {
        let damaged = ours.copy();
        // The last group before the footer.
        damaged.edit(&name, |bytes| {
            let last =
                (SECTOR..bytes.len()).step_by(SECTOR).rfind(|at| group::read_header(&bytes[*at..]).is_ok());
            bytes[last.unwrap() + group::HEADER_BYTES + 20] ^= 1;
        });
        let recovered = start(&damaged).unwrap();
        assert_eq!(levels(&recovered.heads), levels(&writer.heads));
        let told = recovered.report.warnings.join("; ");
        assert!(told.contains(&name) && told.contains("restore it from a backup"), "{told}");
    }
}

/// A directory in which every file says whose it is takes none that does not.
#[test]
fn a_file_that_does_not_say_whose_it_is_is_a_stranger_where_all_do() {
    let (ours, writer) = covered_log(3);
    let known = Control::open(ours.disk(), start(&ours).unwrap().control, writer.end(), None).unwrap();
    start(&ours).unwrap();
    known.close(writer.end()).unwrap();
    start(&ours).unwrap();
    let signed = Content { unsigned: 0, ..Content::read(&ours).unwrap().unwrap().unwrap() };
    Control::open(ours.disk(), signed, writer.end(), None).unwrap();
    match start(&ours).unwrap_err() {
        RecoveryError::Stranger { source, .. } => assert_eq!(source, Stranger::Unsigned),
        other => panic!("{other}"),
    }
}

/// P7: an earlier version that goes on with a directory which this one had opened, and had not written to, does not know the control
/// file: what it wrote is taken, over a snapshot, too, and where it was killed. What had been there before is missed as ever.
#[test]
fn what_an_earlier_version_wrote_after_this_one_had_opened_the_directory_is_taken() {
    for (groups, closes) in [(0, false), (0, true), (5, false), (5, true)] {
        let memory = Memory::new();
        small_log(&memory, groups);
        let Recovered { control, end, log, .. } = start(&memory).unwrap();
        let directory = control.directory;
        let opened = Control::open(memory.disk(), control, end, log.bases()).unwrap();
        if closes {
            opened.close(end).unwrap();
        }
        let before = memory.copy();
        let mut earlier = Writer::resume(memory.disk(), start(&memory).unwrap(), SEGMENT);
        for group in 0..60 {
            assert!(earlier.add(&format!("sku-{} main", group % 5), 1));
            earlier.commit();
            if group % 7 == 0 {
                assert_same(&start(&memory.copy()).unwrap(), &earlier);
            }
        }
        let (disk, never) = (memory.disk(), std::sync::atomic::AtomicBool::new(false));
        let Writer { heads, keys, watermark, .. } = &earlier;
        crate::journal::testing::snapshot(disk.as_ref(), heads, keys, watermark, &never).unwrap();
        // It was killed in the middle of a group.
        let newest = segment::name(earlier.log.bases().unwrap().1);
        let torn = earlier.end().position - earlier.log.bases().unwrap().1;
        memory.edit(&newest, |bytes| {
            bytes.resize(bytes.len().max(bytes_of(torn) + SECTOR), 0);
            bytes[bytes_of(torn) + SECTOR / 2] = 1;
        });
        let recovered = start(&memory).unwrap();
        assert!(recovered.report.cut.is_some());
        assert_eq!(levels(&recovered.heads), levels(&earlier.heads));
        assert_eq!(
            (recovered.end.undated(), recovered.control.directory),
            (earlier.end().undated(), directory)
        );
        assert_eq!(recovered.control.unsigned, earlier.end().position);
        assert!(recovered.report.warnings.join("; ").contains("earlier version"));
        Control::open(memory.disk(), recovered.control, recovered.end, recovered.log.bases()).unwrap();
        assert!(start(&memory).unwrap().report.warnings.is_empty(), "it follows the log");
        if groups > 0 {
            let at = place(end) - SECTOR;
            before.edit(&segment::name(0), |bytes| bytes[at..].fill(0));
            let error = start(&before).unwrap_err();
            assert!(matches!(error, RecoveryError::Shortened { .. }), "{error}");
            before.delete(&segment::name(0));
            start(&before).unwrap_err();
        }
    }
}
