//! What the disk may forget and what it may not: a disk that lost what was synced, or kept all that was not, would prove
//! nothing about whoever runs on it.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};

use proptest::prelude::*;

use super::inode::SECTOR;
use super::*;
use crate::journal::disk::DiskFile;

const SEEDS: u64 = 2_000;

fn kind<T>(result: io::Result<T>) -> Option<io::ErrorKind> {
    result.err().map(|error| error.kind())
}

/// A disk with an empty file `f`, synced with its name, and the file.
fn with_file() -> (FaultyDisk, Arc<dyn DiskFile>) {
    let disk = FaultyDisk::new();
    disk.put("f", &[]);
    let file = disk.disk().open("f").unwrap();
    (disk, file)
}

/// All that may be found after a power cut.
fn found(disk: &FaultyDisk, name: &str) -> BTreeSet<Option<Vec<u8>>> {
    (0..SEEDS).map(|seed| disk.power_cut(seed).content().remove(name)).collect()
}

#[test]
fn what_is_written_is_read_and_what_is_synced_survives() {
    let (disk, file) = with_file();
    file.write_at(&[7; 1_300], 100).unwrap();
    assert_eq!((file.len().unwrap(), disk.get("f")), (1_400, [vec![0; 100], vec![7; 1_300]].concat()));
    let mut buffer = [9; 8];
    assert_eq!(file.read_at(&mut buffer, 1_396).unwrap(), 4);
    assert_eq!(buffer, [7, 7, 7, 7, 9, 9, 9, 9]);
    assert_eq!(file.read_at(&mut buffer, 9_999).unwrap(), 0);
    assert!(disk.only_synced().get("f").is_empty());
    assert_eq!(disk.process_killed().content(), disk.content());
    file.sync().unwrap();
    assert_eq!(found(&disk, "f"), BTreeSet::from([Some(disk.get("f"))]));
}

#[test]
fn of_what_is_not_synced_any_sectors_may_be_there_and_one_may_be_garbled() {
    let (disk, file) = with_file();
    file.write_at(&[1; 3 * SECTOR], 0).unwrap();
    file.sync().unwrap();
    file.write_at(&[2; 2 * SECTOR], SECTOR as u64).unwrap();
    let mut seen = BTreeSet::new();
    let mut garbled = 0;
    for bytes in found(&disk, "f").into_iter().flatten() {
        assert_eq!(bytes[..SECTOR], [1; SECTOR], "a sector that was not written is as it was");
        let state = |sector: &[u8]| match sector {
            [1, rest @ ..] if rest.iter().all(|&byte| byte == 1) => Some(1),
            [2, rest @ ..] if rest.iter().all(|&byte| byte == 2) => Some(2),
            _ => None,
        };
        match (state(&bytes[SECTOR..2 * SECTOR]), state(&bytes[2 * SECTOR..])) {
            (None, None) => panic!("two garbled sectors"),
            (Some(one), Some(other)) => drop(seen.insert((one, other))),
            _ => garbled += 1,
        }
    }
    assert_eq!(seen, BTreeSet::from([(1, 1), (1, 2), (2, 1), (2, 2)]));
    assert!(garbled > 10, "{garbled}");
}

#[test]
fn a_sector_rewritten_with_the_same_bytes_is_never_garbled() {
    let (disk, file) = with_file();
    file.write_at(&[1; SECTOR], 0).unwrap();
    file.sync().unwrap();
    file.write_at(&[1; SECTOR], 0).unwrap();
    assert_eq!(found(&disk, "f"), BTreeSet::from([Some(vec![1; SECTOR])]));
}

#[test]
fn later_writes_may_survive_earlier_ones() {
    let (disk, file) = with_file();
    file.set_len(2 * SECTOR as u64).unwrap();
    file.sync().unwrap();
    file.write_at(&[1; SECTOR], 0).unwrap();
    file.write_at(&[2; SECTOR], SECTOR as u64).unwrap();
    assert!(found(&disk, "f").contains(&Some([[0; SECTOR], [2; SECTOR]].concat())));
}

#[test]
fn a_length_may_be_there_without_the_bytes_and_a_cut_is_whole() {
    let (disk, file) = with_file();
    file.write_at(&[1; 100], 0).unwrap();
    let states = found(&disk, "f");
    assert!(
        [Some(vec![]), Some(vec![0; 100]), Some(vec![1; 100])].iter().all(|state| states.contains(state))
    );
    file.write_at(&[1; 3 * SECTOR], 0).unwrap();
    file.sync().unwrap();
    file.set_len(10).unwrap();
    file.set_len(3 * SECTOR as u64).unwrap();
    file.write_at(&[2; SECTOR], 2 * SECTOR as u64).unwrap();
    for bytes in found(&disk, "f").into_iter().flatten() {
        let second_is_there = bytes.get(SECTOR..2 * SECTOR) == Some(&[1; SECTOR]);
        let cut_happened = bytes.len() == 10 || !second_is_there;
        let new_bytes_are_there = bytes.get(2 * SECTOR..).is_some_and(|last| last.contains(&2));
        assert!(cut_happened || !new_bytes_are_there, "what was written after the cut came before it");
    }
    file.sync().unwrap();
    let all = [vec![1; 10], vec![0; 2 * SECTOR - 10], vec![2; SECTOR]].concat();
    assert_eq!(found(&disk, "f"), BTreeSet::from([Some(all)]));
}

#[test]
fn what_a_cut_took_away_stays_away() {
    let (disk, file) = with_file();
    file.write_at(&[1; 3 * SECTOR], 0).unwrap();
    file.sync().unwrap();
    file.write_at(&[2; 3 * SECTOR], 0).unwrap();
    file.set_len(SECTOR as u64).unwrap();
    file.set_len(2 * SECTOR as u64).unwrap();
    // This length says that both happened.
    let both: Vec<_> =
        found(&disk, "f").into_iter().flatten().filter(|bytes| bytes.len() == 2 * SECTOR).collect();
    assert!(!both.is_empty() && both.iter().all(|bytes| bytes[SECTOR..] == [0; SECTOR]));
}

#[test]
fn after_a_failed_sync_later_ones_succeed_without_what_it_lost() {
    let (disk, file) = with_file();
    file.set_len(3 * SECTOR as u64).unwrap();
    file.sync().unwrap();
    file.write_at(&[1; 2 * SECTOR], 0).unwrap();
    disk.fail(Fault::next(Call::Sync, io::ErrorKind::Other));
    assert_eq!(kind(file.sync()), Some(io::ErrorKind::Other));
    assert_eq!(disk.get("f")[..SECTOR], [1; SECTOR], "it is still read");
    file.write_at(&[2; SECTOR], 2 * SECTOR as u64).unwrap();
    file.sync().unwrap();
    let lost = [[0; SECTOR], [0; SECTOR], [2; SECTOR]].concat();
    assert_eq!(disk.only_synced().get("f"), lost);
    let states = found(&disk, "f");
    assert!(
        states.contains(&Some(lost))
            && states.contains(&Some([[1; SECTOR], [1; SECTOR], [2; SECTOR]].concat()))
    );
    assert!(states.into_iter().flatten().all(|bytes| bytes[2 * SECTOR..] == [2; SECTOR]));
    // Written again, it is durable.
    file.write_at(&[1; 2 * SECTOR], 0).unwrap();
    file.sync().unwrap();
    assert_eq!(found(&disk, "f"), BTreeSet::from([Some(disk.get("f"))]));
}

#[test]
fn names_survive_only_when_they_are_synced_and_in_order() {
    let faulty = FaultyDisk::new();
    faulty.put("old", b"old");
    let disk = faulty.disk();
    let file = disk.create("new.tmp").unwrap();
    file.write_at(b"new", 0).unwrap();
    file.sync().unwrap();
    disk.rename("new.tmp", "old").unwrap();
    disk.create("next").unwrap();
    assert_eq!(faulty.names(), ["next", "old"]);
    let after: BTreeSet<_> = (0..SEEDS).map(|seed| faulty.power_cut(seed).content()).collect();
    let state = |files: &[(&str, &str)]| {
        files.iter().map(|&(name, bytes)| (name.to_owned(), bytes.as_bytes().to_vec())).collect()
    };
    let expected = [
        state(&[("old", "old")]),
        state(&[("old", "old"), ("new.tmp", "new")]),
        state(&[("old", "new")]),
        state(&[("old", "new"), ("next", "")]),
    ];
    assert_eq!(after, BTreeSet::from(expected));
    disk.sync_names().unwrap();
    disk.remove("next").unwrap();
    let after: BTreeSet<_> = (0..SEEDS).map(|seed| faulty.power_cut(seed).names()).collect();
    assert_eq!(after, BTreeSet::from([vec!["next".to_owned(), "old".to_owned()], vec!["old".to_owned()]]));
}

#[test]
fn after_a_failed_sync_of_names_no_later_one_counts() {
    let faulty = FaultyDisk::new();
    let disk = faulty.disk();
    disk.create("a").unwrap();
    faulty.fail(Fault::next(Call::SyncNames, io::ErrorKind::Other));
    assert!(disk.sync_names().is_err());
    disk.sync_names().unwrap();
    assert_eq!((faulty.names().len(), faulty.only_synced().names().len()), (1, 0));
}

#[test]
fn files_are_created_once_and_must_be_there_to_be_opened_renamed_or_removed() {
    let faulty = FaultyDisk::new();
    let disk = faulty.disk();
    disk.create("a").unwrap();
    assert_eq!(kind(disk.create("a")), Some(io::ErrorKind::AlreadyExists));
    assert_eq!(kind(disk.open("b")), Some(io::ErrorKind::NotFound));
    assert_eq!(kind(disk.rename("b", "c")), Some(io::ErrorKind::NotFound));
    assert_eq!(kind(disk.remove("b")), Some(io::ErrorKind::NotFound));
    let open = disk.open("a").unwrap();
    disk.remove("a").unwrap();
    open.write_at(b"still open", 0).unwrap();
    assert_eq!((open.len().unwrap(), disk.list().unwrap().len()), (10, 0));
}

#[test]
fn faults_hit_the_call_they_name() {
    let (disk, file) = with_file();
    let other = disk.disk().create("g").unwrap();
    disk.fail(Fault::nth(Call::Write, 3, io::ErrorKind::Interrupted));
    disk.fail(Fault::next(Call::SetLen, io::ErrorKind::Other).on("g").for_good());
    file.write_at(b"one", 0).unwrap();
    file.write_at(b"two", 0).unwrap();
    assert_eq!(kind(file.write_at(b"tric", 0)), Some(io::ErrorKind::Interrupted));
    assert_eq!(disk.get("f"), b"tro", "half of it was written");
    file.write_at(b"four", 0).unwrap();
    file.set_len(1).unwrap();
    assert!(other.set_len(1).is_err() && other.set_len(1).is_err());
    disk.heal();
    other.set_len(1).unwrap();
    disk.fail(Fault::nth(Call::Change, 2, io::ErrorKind::Other).for_good());
    file.sync().unwrap();
    assert!(disk.disk().create("h").is_err() && other.write_at(b"x", 0).is_err());
    file.read_exact_at(&mut [0], 0).unwrap();
    assert_eq!((disk.count(Call::Write), disk.count(Call::Create), disk.count(Call::Sync)), (5, 2, 1));
}

#[test]
fn a_full_disk_takes_what_fits_until_there_is_room_again() {
    let (disk, file) = with_file();
    file.write_at(&[1; SECTOR], 0).unwrap();
    disk.set_room(Some(2 * SECTOR));
    file.set_len(9 * SECTOR as u64).unwrap();
    file.write_at(&[2; SECTOR], 0).unwrap();
    assert_eq!(kind(file.write_at(&[3; 4 * SECTOR], 0)), Some(io::ErrorKind::StorageFull));
    assert_eq!(disk.get("f")[..4 * SECTOR], [vec![3; 3 * SECTOR], vec![0; SECTOR]].concat());
    assert_eq!(kind(file.write_at(&[4], 8 * SECTOR as u64)), Some(io::ErrorKind::StorageFull));
    disk.set_room(Some(SECTOR));
    file.write_at(&[4], 8 * SECTOR as u64).unwrap();
    disk.disk().remove("f").unwrap();
    disk.disk().create("g").unwrap().write_at(&[5; 4 * SECTOR], 0).unwrap();
    disk.set_room(None);
    disk.disk().open("g").unwrap().write_at(&[5; 9 * SECTOR], 0).unwrap();
    assert_eq!(disk.get("g").len(), 9 * SECTOR);
}

#[test]
fn hooks_run_before_the_call_they_wait_for() {
    let (disk, file) = with_file();
    let cut = Arc::new(Mutex::new(None));
    let keeps = Arc::clone(&cut);
    disk.at(Call::Sync, 2, move |disk| *keeps.lock() = Some((disk.only_synced(), disk.process_killed())));
    let changes = Arc::new(AtomicU64::new(0));
    let counts = Arc::clone(&changes);
    disk.at_each(Call::Change, move |_| {
        counts.fetch_add(1, Ordering::Relaxed);
    });
    for byte in [b"a", b"b", b"c"] {
        file.write_at(byte, 0).unwrap();
        file.sync().unwrap();
    }
    let (synced, written) = cut.lock().take().unwrap();
    assert_eq!((synced.get("f"), written.get("f"), disk.get("f")), (b"a".into(), b"b".into(), b"c".into()));
    assert_eq!(changes.load(Ordering::Relaxed), 6);
    disk.at(Call::Sync, 1, |disk| disk.fail(Fault::next(Call::Sync, io::ErrorKind::Other)));
    assert!(file.sync().is_err());
}

#[test]
fn a_flipped_bit_is_on_the_platter() {
    let disk = FaultyDisk::new();
    disk.put("f", &[0, 0]);
    disk.flip_bit("f", 9);
    assert_eq!(disk.power_cut(3).get("f"), [0, 2]);
}

#[derive(Debug, Clone)]
enum Step {
    Write(u64, usize),
    SetLen(u64),
    Sync,
    FailedSync,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0..3_000_u64, 0..1_500_usize).prop_map(|(offset, len)| Step::Write(offset, len)),
        1 => (0..3_000_u64).prop_map(Step::SetLen),
        2 => Just(Step::Sync),
        1 => Just(Step::FailedSync),
    ];
    prop::collection::vec(step, 0..20)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// Against a plain vector of bytes: reads agree always and, unless a sync has failed, the platter after each sync; a power
    /// cut leaves a length that the file had since, and every sector alone that was not touched since.
    #[test]
    fn it_is_a_file_and_forgets_only_what_was_not_synced(steps in steps(), seed: u64) {
        let (disk, file) = with_file();
        let (mut model, mut synced, mut failed) = (Vec::new(), Vec::new(), false);
        let (mut touched, mut lens) = (BTreeSet::new(), BTreeSet::from([0]));
        for (step, byte) in steps.into_iter().zip(1_u8..) {
            match step {
                Step::Write(offset, len) => {
                    let from = usize::try_from(offset).unwrap();
                    file.write_at(&vec![byte; len], offset).unwrap();
                    if len > 0 {
                        model.resize(model.len().max(from + len), 0);
                        model[from..from + len].fill(byte);
                        touched.extend(from / SECTOR..(from + len).div_ceil(SECTOR));
                    }
                }
                Step::SetLen(len) => {
                    file.set_len(len).unwrap();
                    model.resize(usize::try_from(len).unwrap(), 0);
                    touched.extend(model.len() / SECTOR..10);
                }
                Step::Sync => {
                    file.sync().unwrap();
                    synced.clone_from(&model);
                    touched.clear();
                    lens.clear();
                }
                Step::FailedSync => {
                    disk.fail(Fault::next(Call::Sync, io::ErrorKind::Other));
                    prop_assert!(file.sync().is_err());
                    failed = true;
                }
            }
            lens.insert(model.len());
            prop_assert_eq!(&disk.get("f"), &model);
        }
        if !failed {
            prop_assert_eq!(&disk.only_synced().get("f"), &synced);
            let cut = disk.power_cut(seed).get("f");
            prop_assert!(lens.contains(&cut.len()), "{} of {lens:?}", cut.len());
            for (number, (found, was)) in cut.chunks(SECTOR).zip(synced.chunks(SECTOR)).enumerate() {
                let len = found.len().min(was.len());
                prop_assert!(touched.contains(&number) || found[..len] == was[..len], "sector {number}");
            }
        }
        prop_assert_eq!(disk.power_cut(seed).content(), disk.power_cut(seed).content());
        file.sync().unwrap();
        if !failed {
            prop_assert_eq!(disk.power_cut(seed).content(), disk.content());
        }
    }
}
