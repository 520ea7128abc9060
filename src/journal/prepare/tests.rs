//! Tests of the module above.

use super::*;
use crate::journal::disk::faulty::{Call, Fault, FaultyDisk};

const MIB: u64 = 1024 * 1024;

fn sectors(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap()
}

/// Waits until it was found that there is no room.
fn short(preparer: &Preparer) {
    while preparer.pause().is_none() {
        std::thread::yield_now();
    }
}

/// P10: where there is no room for the file that is wanted, a shorter one is taken; and nothing is written where there is none.
#[test]
fn a_shorter_file_is_taken_where_there_is_little_room_and_nothing_is_written_where_there_is_none() {
    for (room, taken) in [(9, Some(8)), (8, Some(8)), (7, Some(4)), (3, Some(2)), (1, Some(1)), (0, None)] {
        let disk = FaultyDisk::new();
        disk.set_room(Some(sectors(room * MIB)));
        let prepared = prepare(&*disk.disk(), 8 * MIB, 1024);
        match taken {
            Some(mebibytes) => {
                let (file, len) = prepared.unwrap();
                assert_eq!((len, file.len().unwrap()), (mebibytes * MIB, mebibytes * MIB), "{room}");
            }
            None => {
                assert!(is_full(&prepared.unwrap_err()));
                assert_eq!((disk.count(Call::Write), disk.names()), (0, Vec::new()));
            }
        }
    }
}

/// A file system that does not say how much room there is, or says more than a quota allows: what could not be filled goes again.
#[test]
fn what_could_not_be_filled_is_removed() {
    for (call, nth) in [(Call::Write, 3), (Call::Sync, 1)] {
        let disk = FaultyDisk::new();
        disk.fail(Fault::nth(call, nth, io::ErrorKind::QuotaExceeded).for_good());
        assert!(is_full(&prepare(&*disk.disk(), 4 * MIB, 4 * MIB).unwrap_err()));
        assert_eq!(disk.names(), Vec::<String>::new(), "{call:?}");
    }
}

/// The log is synced meanwhile, and waits for what is on its way to the disk: that is a piece of the file, and not all of it.
#[test]
fn what_is_filled_is_synced_piece_by_piece() {
    let disk = FaultyDisk::new();
    prepare(&*disk.disk(), 4 * MIB, 4 * MIB).unwrap();
    assert_eq!((disk.count(Call::Write), disk.count(Call::Sync)), (4, 4));
    let disk = FaultyDisk::new();
    disk.fail(Fault::nth(Call::Sync, 2, io::ErrorKind::QuotaExceeded));
    assert!(prepare(&*disk.disk(), 4 * MIB, 4 * MIB).is_err());
    assert_eq!(disk.count(Call::Write), 2, "nothing more is written before");
}

/// P10: who waits for room is asked whether to wait on, and a file that is long enough comes once there is room; one that was
/// prepared before is not taken where it is too short.
#[test]
fn a_full_disk_is_waited_out_and_a_file_that_is_too_short_replaced() {
    let disk = FaultyDisk::new();
    let mut preparer = Preparer::new(disk.disk(), None);
    preparer.begin(MIB, 1024).unwrap();
    let mut asked = 0;
    disk.at(Call::Create, 1, |disk| disk.set_room(Some(sectors(MIB))));
    let (_, len) = preparer
        .take(2 * MIB, 3 * MIB, &mut |pause| {
            assert!(pause >= PAUSE_FIRST && pause <= PAUSE_LONGEST);
            asked += 1;
            disk.set_room(None);
            true
        })
        .unwrap();
    assert_eq!((len, preparer.pause()), (3 * MIB, None));
    assert!(asked > 0);
}

/// Whoever stops waiting has it looked for room once more, and is not kept waiting for the next look.
#[test]
fn who_waits_no_longer_has_it_looked_for_room_once_more() {
    for has_room in [false, true] {
        let disk = FaultyDisk::new();
        disk.set_room(Some(0));
        let mut preparer = Preparer::new(disk.disk(), None);
        preparer.begin(MIB, 1024).unwrap();
        short(&preparer);
        let taken = preparer.take(MIB, 1024, &mut |_| {
            disk.set_room((!has_room).then_some(0));
            false
        });
        assert_eq!(taken.is_ok(), has_room);
        assert_eq!(preparer.pause(), None, "nothing is looked for any more");
    }
}

/// A file that cannot be opened for want of descriptors is waited for like room; any other failure is told.
#[test]
fn a_want_of_descriptors_is_waited_out_and_other_failures_are_told() {
    let disk = FaultyDisk::new();
    disk.fail(Fault::next(Call::Create, io::ErrorKind::Other).raw(rustix::io::Errno::MFILE.raw_os_error()));
    let mut preparer = Preparer::new(disk.disk(), None);
    preparer.take(MIB, 1024, &mut |_| true).unwrap();
    let disk = FaultyDisk::new();
    disk.fail(Fault::next(Call::Sync, io::ErrorKind::Other));
    let mut preparer = Preparer::new(disk.disk(), None);
    assert!(preparer.take(MIB, 1024, &mut |_| true).is_err());
}

/// What is left of an earlier try and cannot be removed is in nobody's way, and nothing of it is seen.
#[test]
fn what_cannot_be_removed_is_used_again() {
    let disk = FaultyDisk::new();
    disk.put(NAME, &vec![7; 3 * CHUNK]);
    disk.fail(Fault::next(Call::Remove, io::ErrorKind::Other).for_good());
    let (file, len) = prepare(&*disk.disk(), MIB, 1024).unwrap();
    let mut bytes = vec![1; CHUNK + 1];
    assert_eq!((len, file.read_at(&mut bytes, 0).unwrap()), (MIB, CHUNK));
    assert!(bytes[..CHUNK].iter().all(|byte| *byte == 0));
}
