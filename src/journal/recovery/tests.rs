//! Tests of the module above: promise P7, what was acknowledged is there, or the start is refused.

use std::cell::RefCell;

use proptest::prelude::*;

use super::*;
use crate::journal::group::SECTOR;
use crate::journal::segment;
use crate::journal::testing::{EMPTY, Memory, Told, Writer, all_keys, levels, units};
use crate::stock::{IfMissing, Once, Operation};

mod strangers;
mod versions;

const SEGMENT: u64 = 8 * 1024;
const OPTIONS: Options = Options { now_ms: 2_000_000, key_retention: Duration::from_hours(24) };

fn start(memory: &Memory) -> Result<Recovered, RecoveryError> {
    recover(&memory.disk(), &OPTIONS, &|_| {})
}

/// Where a group ends in the file of the first segment.
fn place(end: GroupEnd) -> usize {
    bytes_of(end.position)
}

fn bytes_of(offset: u64) -> usize {
    usize::try_from(offset).unwrap()
}

fn writer(memory: &Memory) -> Writer {
    Writer::new(memory.disk(), SEGMENT)
}

/// The recovered journal is exactly what was written.
fn assert_same(recovered: &Recovered, writer: &Writer) {
    assert_eq!(levels(&recovered.heads), levels(&writer.heads));
    assert_eq!(all_keys(&recovered.keys), all_keys(&writer.keys));
    assert_eq!(recovered.end.undated(), writer.end().undated());
    let shape = |log: &Log| -> Vec<_> {
        log.segments().iter().map(|segment| (segment.header, segment.index(), segment.end())).collect()
    };
    assert_eq!(shape(&recovered.log), shape(&writer.log));
}

fn small_log(memory: &Memory, groups: usize) -> Writer {
    let mut writer = writer(memory);
    for group in 0..groups {
        writer.time_ms += 7;
        assert!(writer.add(&format!("sku-{} main", group % 5), 10));
        writer.record(&[("a main", add(1)), ("b main", add(2))], Some(once(group as u128)));
        if group % 3 == 0 {
            writer.answer(1000 + group as u128, b"no");
        }
        writer.commit();
    }
    writer
}

fn add(delta: i64) -> Operation {
    Operation::Adjust { delta, if_missing: IfMissing::Create }
}

fn once(key: u128) -> Once {
    Once { key, fingerprint: [1; 32] }
}

#[test]
fn an_empty_folder_is_an_empty_journal() {
    let recovered = start(&Memory::new()).unwrap();
    assert_eq!(recovered.end, EMPTY);
    assert!(recovered.tail.is_none() && recovered.heads.is_empty() && recovered.log.segments().is_empty());
}

#[test]
fn what_was_written_comes_back_and_is_written_on() {
    let memory = Memory::new();
    let written = small_log(&memory, 40);
    assert!(written.log.segments().len() >= 3, "several segments");
    let recovered = start(&memory).unwrap();
    assert_same(&recovered, &written);
    assert!(recovered.report.warnings.is_empty() && recovered.report.cut.is_none());
    assert_eq!(recovered.report.movements, 3 * 40);
    let mut on = Writer::resume(memory.disk(), recovered, SEGMENT);
    assert!(on.add("a main", 5));
    on.commit();
    assert_same(&start(&memory).unwrap(), &on);
}

#[test]
fn a_sealed_last_segment_is_followed_by_a_new_one() {
    let memory = Memory::new();
    let mut written = small_log(&memory, 3);
    written.seal();
    let recovered = start(&memory).unwrap();
    assert!(recovered.tail.is_none());
    assert_eq!(recovered.end.position, recovered.log.segments()[0].end());
    assert_same(&recovered, &written);
    let mut on = Writer::resume(memory.disk(), recovered, SEGMENT);
    on.add("a main", 5);
    on.commit();
    assert_same(&start(&memory).unwrap(), &on);
}

/// One group of several sectors at the end, unfinished in every way: any of its sectors on disk, the others not.
#[test]
fn a_torn_last_group_is_cut_whatever_part_of_it_is_there() {
    let memory = Memory::new();
    let mut written = small_log(&memory, 2);
    let (before, name) = (written.end(), memory.names()[0].clone());
    let complete = levels(&written.heads);
    let blank = memory.get(&name);
    for line in 0..30 {
        written.add(&format!("torn-{line} main"), 1);
    }
    let end = written.commit();
    let whole = memory.get(&name);
    let (from, to) = (place(before), place(end));
    let sectors = (to - from) / SECTOR;
    assert!((3..10).contains(&sectors), "{sectors}");
    for kept in 0..(1_u32 << sectors) - 1 {
        let torn = Memory::new();
        let mut bytes = blank.clone();
        for sector in (0..sectors).filter(|sector| kept >> sector & 1 == 1) {
            let range = from + sector * SECTOR..from + (sector + 1) * SECTOR;
            bytes[range.clone()].copy_from_slice(&whole[range]);
        }
        torn.put(&name, bytes);
        let recovered = start(&torn).unwrap();
        assert_eq!(recovered.end.undated(), before.undated(), "{kept:b}");
        assert_eq!(levels(&recovered.heads), complete);
        let cut = recovered.report.cut;
        assert_eq!(cut.is_some(), kept != 0, "{kept:b}");
        if let Some(cut) = cut {
            assert_eq!((cut.position, cut.seq, cut.footer), (before.position, before.next_seq, false));
        }
        assert_eq!(torn.get(&name), blank, "nothing is left of it");
    }
}

/// Any single byte changed, anywhere: the same levels, or a refusal, or the last group cut and announced.
#[test]
fn damage_at_any_byte_is_harmless_refused_or_cut_and_announced() {
    let memory = Memory::new();
    let mut written = Writer::new(memory.disk(), 2048);
    for group in 0..6 {
        written.add(&format!("sku-{group} main"), 10);
        written.record(&[("a main", add(3))], Some(once(5)));
        written.commit();
    }
    let (whole, end) = (levels(&written.heads), written.end());
    let (mut refused, mut cut, mut harmless) = (0, 0, 0);
    for name in memory.names() {
        let bytes = memory.get(&name);
        for at in 0..bytes.len() {
            let damaged = memory.copy();
            damaged.edit(&name, |bytes| bytes[at] ^= 0x41);
            let before = damaged.content();
            match start(&damaged) {
                Err(error) => {
                    refused += 1;
                    assert!(error.to_string().contains("log"), "{error}");
                    assert_eq!(damaged.content(), before, "a refusal changes nothing: {name} {at}");
                }
                Ok(recovered) if recovered.report.cut.is_some() => {
                    cut += 1;
                    let cut = recovered.report.cut.clone().unwrap();
                    assert_eq!(cut.position, recovered.end.position, "{name} {at}");
                    let last = end.position - recovered.end.position;
                    assert!(last <= SECTOR as u64, "only the last group: {name} {at}");
                }
                Ok(recovered) => {
                    harmless += 1;
                    assert_eq!(levels(&recovered.heads), whole, "{name} {at}");
                    assert_eq!(recovered.end.undated(), end.undated(), "{name} {at}");
                }
            }
        }
    }
    assert!(refused > 1000 && cut > 200 && harmless > 100, "{refused} {cut} {harmless}");
}

fn damage_group(memory: &Memory, writer: &Writer, segment: usize, group_from_end: u64) -> (String, u64) {
    let segment = &writer.log.segments()[segment];
    let name = segment::name(segment.header.base);
    let offset = SECTOR as u64 * (1 + group_from_end);
    memory.edit(&name, |bytes| bytes[bytes_of(offset) + 100] ^= 1);
    (name, offset)
}

#[test]
fn an_invalid_group_before_a_valid_one_is_refused_by_name() {
    let memory = Memory::new();
    let written = small_log(&memory, 4);
    assert_eq!(written.log.segments().len(), 1);
    let (name, at) = damage_group(&memory, &written, 0, 0);
    match start(&memory).unwrap_err() {
        RecoveryError::Damaged { file, offset, seq, valid_after, .. } => {
            assert_eq!((file, offset, seq), (name, at, 1));
            assert!(valid_after.is_some_and(|valid| valid > at));
        }
        error => panic!("{error}"),
    }
}

#[test]
fn an_invalid_group_in_a_sealed_segment_is_refused_even_if_it_is_the_last_of_all() {
    let memory = Memory::new();
    let mut written = small_log(&memory, 1);
    written.seal();
    let name = memory.names()[0].clone();
    // In its records; and in its header, after which its remains could be as long as they are.
    for at in [100, 0, 40] {
        let damaged = memory.copy();
        damaged.edit(&name, |bytes| bytes[SECTOR + at] ^= 1);
        let error = start(&damaged).unwrap_err();
        assert!(matches!(error, RecoveryError::Damaged { valid_after: None, .. }), "{error}");
    }
}

#[test]
fn the_last_group_of_a_segment_before_another_is_no_unfinished_commit() {
    let memory = Memory::new();
    let written = small_log(&memory, 40);
    let second = &written.log.segments()[1];
    let last = second.end() - second.header.base;
    let name = segment::name(second.header.base);
    // The footer takes one sector; the group before it at least one.
    memory.edit(&name, |bytes| bytes[bytes_of(last) - 2 * SECTOR + 10] ^= 1);
    assert!(matches!(start(&memory).unwrap_err(), RecoveryError::Damaged { .. }));
}

#[test]
fn remains_longer_than_the_unfinished_group_says_are_damage() {
    let memory = Memory::new();
    let mut written = small_log(&memory, 2);
    let (before, name) = (written.end(), memory.names()[0].clone());
    written.add("torn main", 1);
    let end = written.commit();
    memory.edit(&name, |bytes| bytes[place(before) + 80] ^= 1);
    assert!(start(&memory.copy()).unwrap().report.cut.is_some());
    memory.edit(&name, |bytes| bytes[place(end) + 700] = 1);
    assert!(matches!(start(&memory).unwrap_err(), RecoveryError::Damaged { .. }));
}

#[test]
fn an_unfinished_footer_is_removed_and_the_segment_written_on() {
    let memory = Memory::new();
    let written = small_log(&memory, 2);
    let (name, whole) = (memory.names()[0].clone(), levels(&written.heads));
    let blank = memory.get(&name);
    let index = written.log.segments()[0].index();
    let footer = segment::footer_to_bytes(&index);
    let at = place(written.end());
    // Written and not cut to its length; and torn, cut or not.
    for (torn, cut) in [(false, false), (true, false), (true, true)] {
        let interrupted = Memory::new();
        let mut bytes = blank.clone();
        bytes[at..at + footer.len()].copy_from_slice(&footer);
        if torn {
            bytes[at + footer.len() - 10..at + footer.len()].fill(0);
        }
        if cut {
            bytes.truncate(at + footer.len());
        }
        interrupted.put(&name, bytes);
        let recovered = start(&interrupted).unwrap();
        assert!(recovered.report.cut.as_ref().is_some_and(|cut| cut.footer), "{torn} {cut}");
        assert_eq!(recovered.end.undated(), written.end().undated());
        let mut on = Writer::resume(interrupted.disk(), recovered, SEGMENT);
        on.add("a main", 5);
        on.commit();
        let again = start(&interrupted).unwrap();
        assert_eq!(levels(&again.heads).len(), whole.len());
        assert_eq!(again.end.undated(), on.end().undated());
    }
}

#[test]
fn a_damaged_footer_is_rebuilt_with_a_warning() {
    let memory = Memory::new();
    let written = small_log(&memory, 40);
    let first = &written.log.segments()[0];
    let name = segment::name(first.header.base);
    for from_end in [500, 20, 3] {
        let damaged = memory.copy();
        damaged.edit(&name, |bytes| {
            let at = bytes.len() - from_end;
            bytes[at] ^= 0xff;
        });
        let recovered = start(&damaged).unwrap();
        assert_same(&recovered, &written);
        assert!(recovered.report.warnings[0].contains(&name), "{:?}", recovered.report.warnings);
    }
}

#[test]
fn missing_exchanged_and_foreign_segments_are_refused() {
    let memory = Memory::new();
    small_log(&memory, 40);
    let names = memory.names();
    for (missing, name) in names.iter().enumerate().take(names.len() - 1) {
        let damaged = memory.copy();
        damaged.delete(name);
        let error = start(&damaged).unwrap_err();
        match missing {
            0 => assert!(matches!(error, RecoveryError::NoBeginning { .. }), "{error}"),
            _ => assert!(matches!(error, RecoveryError::Gap { .. }), "{error}"),
        }
    }
    // A segment that begins where this one does, and after another group.
    let damaged = memory.copy();
    let mut header = segment::Header::read(&memory.get(&names[1])).unwrap();
    header.anchor = [9; 32];
    damaged.edit(&names[1], |bytes| bytes[..SECTOR].copy_from_slice(&header.to_bytes()));
    assert!(start(&damaged).is_err(), "it continues another log");
}

#[test]
fn headers_that_are_damaged_missing_or_of_a_later_version_are_refused() {
    let memory = Memory::new();
    small_log(&memory, 3);
    let name = memory.names()[0].clone();
    let header = |edit: fn(&mut Vec<u8>)| {
        let damaged = memory.copy();
        damaged.edit(&name, edit);
        start(&damaged).unwrap_err().to_string()
    };
    assert!(header(Vec::clear).contains(&name));
    assert!(header(|bytes| bytes[20] ^= 1).contains("damaged"));
    let later = header(|bytes| bytes[8] = 9);
    assert!(later.contains("format version 9") && later.contains(&name), "{later}");
}

#[test]
fn leftovers_are_removed_once_all_is_well_and_not_before() {
    let memory = Memory::new();
    let written = small_log(&memory, 4);
    memory.put("next.segment", vec![0; 100]);
    memory.put("snapshot.tmp", vec![1; 100]);
    memory.put("notes.txt", vec![2; 100]);
    let damaged = memory.copy();
    damage_group(&damaged, &written, 0, 0);
    start(&damaged).unwrap_err();
    assert_eq!(damaged.names().len(), 4);
    let recovered = start(&memory).unwrap();
    assert_eq!(recovered.report.removed, ["next.segment", "snapshot.tmp"]);
    assert_eq!(memory.names().len(), 2);
}

/// Rewrites the last record with a fault that its checksums do not show, as a faulty writer would.
fn forged(fault: impl FnOnce(&mut Writer)) -> RecoveryError {
    let memory = Memory::new();
    let mut written = small_log(&memory, 2);
    fault(&mut written);
    written.commit();
    start(&memory).unwrap_err()
}

fn forge_head(writer: &Writer, key: &str, edit: impl FnOnce(&mut crate::journal::heads::Head)) {
    let hash = writer.heads.hash(key);
    let mut head = writer.heads.get(key, hash).unwrap();
    edit(&mut head);
    writer.heads.set(key, hash, head, &mut Vec::new());
}

#[test]
fn lines_that_do_not_follow_are_refused() {
    let link = forged(|writer| {
        forge_head(writer, "a main", |head| head.position -= 8);
        writer.add("a main", 1);
    });
    assert!(matches!(&link, RecoveryError::Damaged { finding: Finding::Link { .. }, .. }), "{link}");
    let to_itself = forged(|writer| {
        let next = writer.end().position + crate::journal::group::HEADER_BYTES as u64;
        forge_head(writer, "a main", |head| head.position = next);
        writer.add("a main", 1);
    });
    assert!(
        matches!(&to_itself, RecoveryError::Damaged { finding: Finding::Link { .. }, .. }),
        "{to_itself}"
    );
    let version = forged(|writer| {
        forge_head(writer, "a main", |head| {
            head.level = crate::stock::Level::existing(2, 0, head.level.version() + 1).unwrap();
        });
        writer.add("a main", 1);
    });
    assert!(matches!(&version, RecoveryError::Damaged { finding: Finding::Version { .. }, .. }), "{version}");
    let outcome = forged(|writer| {
        forge_head(writer, "a main", |head| {
            head.level = crate::stock::Level::existing(99, 0, head.level.version()).unwrap();
        });
        writer.add("a main", 1);
    });
    assert!(matches!(&outcome, RecoveryError::Damaged { finding: Finding::Outcome { .. }, .. }), "{outcome}");
    let counted = forged(|writer| {
        forge_head(writer, "a main", |head| {
            head.level = crate::stock::Level::existing(99, 0, head.level.version()).unwrap();
        });
        writer.change("a main", Operation::Count { on_hand: units(5), if_missing: IfMissing::Refuse });
    });
    assert!(matches!(&counted, RecoveryError::Damaged { finding: Finding::Outcome { .. }, .. }), "{counted}");
    let time = forged(|writer| {
        writer.time_ms -= 3;
        writer.add("a main", 1);
    });
    assert!(matches!(&time, RecoveryError::Damaged { finding: Finding::Time, .. }), "{time}");
}

/// A random history: what is asked of which of a few levels, and where groups end.
fn history() -> impl Strategy<Value = Vec<(u8, u8, u16, bool)>> {
    proptest::collection::vec((0..6_u8, 0..9_u8, 0..50_u16, proptest::bool::weighted(0.3)), 1..120)
}

fn act(writer: &mut Writer, (key, what, amount, ends): (u8, u8, u16, bool)) {
    let key = format!("k{key} main");
    let quantity = units(u64::from(amount));
    let operation = match what {
        0 => Operation::Create { on_hand: quantity },
        1 => Operation::Count { on_hand: quantity, if_missing: IfMissing::Refuse },
        2 => Operation::Adjust { delta: -i64::from(amount), if_missing: IfMissing::Refuse },
        3 => Operation::Reserve { quantity },
        4 => Operation::Release { quantity },
        5 => Operation::Ship { quantity },
        6 => Operation::Delete,
        7 => Operation::Count { on_hand: quantity, if_missing: IfMissing::Create },
        _ => add(i64::from(amount)),
    };
    if writer.change(&key, operation) && ends {
        writer.commit();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_replay_is_the_model(history in history()) {
        let memory = Memory::new();
        let mut written = Writer::new(memory.disk(), 4096);
        for &step in &history {
            act(&mut written, step);
        }
        written.add("last main", 1);
        written.commit();
        let recovered = start(&memory).unwrap();
        assert_same(&recovered, &written);
        // The model: the last thing told of each level.
        let model: std::collections::HashMap<&str, &Told> = written.told.iter().map(|told| (told.key.as_str(), told)).collect();
        for (key, head) in levels(&recovered.heads) {
            prop_assert_eq!(head.level, model[key.as_str()].after);
        }
    }

    #[test]
    fn hostile_bytes_never_panic(
        history in history(),
        edits in proptest::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<[u8; 8]>()), 1..6),
        cut in any::<Option<prop::sample::Index>>(),
    ) {
        let memory = Memory::new();
        let mut written = Writer::new(memory.disk(), 4096);
        for &step in &history {
            act(&mut written, step);
        }
        written.add("last main", 1);
        written.commit();
        let names = memory.names();
        for (file, at, bytes) in edits {
            memory.edit(&names[file.index(names.len())], |content| {
                let at = at.index(content.len());
                let len = bytes.len().min(content.len() - at);
                content[at..at + len].copy_from_slice(&bytes[..len]);
            });
        }
        if let Some(cut) = cut {
            memory.edit(names.last().unwrap(), |content| content.truncate(cut.index(content.len())));
        }
        let _ = start(&memory);
    }
}

#[test]
fn progress_goes_up_to_the_end() {
    let memory = Memory::new();
    let mut written = Writer::new(memory.disk(), 64 * 1024 * 1024);
    for group in 0..40 {
        for line in 0..5000 {
            written.add(&format!("sku-{line}-{group} main"), 1);
        }
        written.commit();
    }
    let told = RefCell::new(Vec::new());
    recover(&memory.disk(), &OPTIONS, &|progress| told.borrow_mut().push(progress)).unwrap();
    let told = told.into_inner();
    assert!(!told.is_empty() && told.windows(2).all(|pair| pair[0].bytes < pair[1].bytes));
    assert!(told.iter().all(|progress| progress.bytes <= progress.bytes_total));
}
