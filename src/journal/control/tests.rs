//! Tests of the module above.

use proptest::prelude::*;
use proptest::sample::Index;

use super::*;
use crate::journal::disk::faulty::{Call, Fault, FaultyDisk};
use crate::journal::testing::Memory;

const END: GroupEnd =
    GroupEnd { position: 9000, next_seq: 17, hash: [0xCD; 32], time_ms: 1_700_000_000_000, date_ms: 0 };

fn content(lineages: &[(u64, u64)]) -> Content {
    let lineages = lineages.iter().map(|&(id, from)| Lineage { id, from }).collect();
    Content { directory: 7, end: END, oldest: 256, newest: 4096, lineages, restores: 1, ..Content::fresh() }
}

impl Content {
    /// The file as it was before the log had reached anything.
    pub(crate) fn left_open(bytes: &[u8]) -> Vec<u8> {
        let content = Self::from_bytes(bytes).expect("a whole file");
        Self { state: State::Open, newest: 0, end: GroupEnd::GENESIS, ..content }.to_bytes()
    }
}

fn own(lineage: u64) -> Identity {
    Identity { directory: 7, lineage }
}

#[test]
fn it_comes_out_as_it_went_in_and_is_the_bytes_documented() {
    let content = Content {
        state: State::Copy,
        unsigned: 512,
        away_ms: 5,
        date_ms: 6,
        ..content(&[(1, 0), (2, 9000)])
    };
    let bytes = content.to_bytes();
    assert_eq!(bytes.len(), 120 + 2 * 16 + 16 + 8);
    assert_eq!(bytes[..16], *b"INVCTL\r\n\x02\0\0\0\x03\0\0\0");
    assert_eq!((bytes[16], bytes[33], bytes[41], bytes[49], bytes[64]), (7, 2, 1, 16, 17));
    assert_eq!(bytes[80..112], [0xCD; 32]);
    assert_eq!((bytes[112], bytes[116], bytes[120], bytes[136]), (2, 1, 1, 2));
    assert_eq!((bytes[152], bytes[160]), (5, 6));
    assert_eq!(Content::from_bytes(&bytes), Ok(content));
}

/// What version 1 wrote says nothing of times.
#[test]
fn the_first_version_is_read() {
    let content = content(&[(1, 0), (2, 9000)]);
    let bytes = content.to_bytes();
    let mut old = [&bytes[..8], &[1, 0, 0, 0], &bytes[12..120 + 2 * 16]].concat();
    let check = checksum(&old);
    old.extend_from_slice(&check);
    assert_eq!(Content::from_bytes(&old), Ok(content));
}

#[test]
fn no_flipped_bit_passes_and_no_length_but_its_own() {
    let bytes = content(&[(1, 0)]).to_bytes();
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(Content::from_bytes(&flipped).is_err(), "bit {bit}");
    }
    for len in 0..bytes.len() {
        assert_eq!(Content::from_bytes(&bytes[..len]), Err(ControlError::Damaged), "cut at {len}");
    }
    assert_eq!(Content::from_bytes(&[&bytes[..], &[0]].concat()), Err(ControlError::Damaged));
}

proptest! {
    #[test]
    fn hostile_bytes_are_survived(
        lineages in 0..u32::MAX, flips in prop::collection::vec((any::<Index>(), any::<u8>()), 0..4),
        random in prop::collection::vec(any::<u8>(), 0..300), is_random: bool,
    ) {
        let mut bytes = if is_random { random } else { content(&[(1, 0), (2, 3)]).to_bytes() };
        if bytes.len() >= 128 {
            bytes[112..116].copy_from_slice(&lineages.to_le_bytes());
        }
        for (at, xor) in flips {
            if !bytes.is_empty() {
                let at = at.index(bytes.len());
                bytes[at] ^= xor;
            }
        }
        if let Some(at) = bytes.len().checked_sub(8) {
            let checksum = checksum(&bytes[..at]);
            bytes[at..].copy_from_slice(&checksum);
        }
        let _ = Content::from_bytes(&bytes);
    }
}

/// P6: each segment is of the lineage that was in force where it begins; each snapshot saw nothing of another.
#[test]
fn strangers_are_told_by_what_they_say() {
    let content = Content { unsigned: 1000, ..content(&[(1, 0), (2, 5000), (3, 8000)]) };
    for (base, lineage) in [(0, 1), (4999, 1), (5000, 2), (7999, 2), (8000, 3), (u64::MAX, 3)] {
        assert_eq!(content.owns_segment(base, Some(own(lineage))), Ok(()), "{base}");
        for other in (0..5).filter(|other| *other != lineage) {
            assert_eq!(
                content.owns_segment(base, Some(own(other))),
                Err(Stranger::Lineage),
                "{base} {other}"
            );
        }
    }
    let other = Some(Identity { directory: 8, lineage: 1 });
    assert_eq!(content.owns_segment(0, other), Err(Stranger::Directory));
    assert_eq!(content.owns_segment(999, None), Ok(()));
    assert_eq!(content.owns_segment(1000, None), Err(Stranger::Unsigned));
    for (start, highest, lineage) in [(4000, 5000, 1), (5000, 4000, 1), (5000, 4000, 2), (8000, 9000, 3)] {
        assert_eq!(content.owns_snapshot(start, highest, Some(own(lineage))), Ok(()), "{start} {highest}");
    }
    for (start, highest, lineage) in [(4000, 5001, 1), (5001, 1, 1), (4999, 1, 2), (7000, 8001, 2), (1, 1, 9)]
    {
        let told = content.owns_snapshot(start, highest, Some(own(lineage)));
        assert_eq!(told, Err(Stranger::Lineage), "{start} {highest}");
    }
    assert_eq!(content.owns_snapshot(1, 1, other), Err(Stranger::Directory));
    assert_eq!(content.owns_snapshot(1000, 999, None), Ok(()));
    assert_eq!(content.owns_snapshot(1000, 1001, None), Err(Stranger::Unsigned));
    let signed = Content { unsigned: 0, ..content };
    assert_eq!(signed.owns_snapshot(0, 0, None), Ok(()), "of nothing");
    assert_eq!(signed.owns_snapshot(0, 1, None), Err(Stranger::Unsigned));
}

/// P6: who goes on with a copy begins a lineage, once; who goes on with anything else does not.
#[test]
fn a_copy_begins_a_lineage_and_nothing_else_does() {
    let memory = Memory::new();
    let read = |memory: &Memory| Content::read(&memory.clone()).unwrap().unwrap().unwrap();
    let first = Control::open(memory.disk(), Content::fresh(), GroupEnd::GENESIS, None).unwrap();
    assert_eq!((first.restored(), read(&memory).state), (None, State::Open));
    first.begun(0).unwrap();
    first.close(END).unwrap();
    let closed = read(&memory);
    assert_eq!((closed.state, closed.end, closed.identity()), (State::Closed, END, first.identity()));
    let again = Control::open(memory.disk(), closed, END, Some((0, 0))).unwrap();
    assert_eq!((again.identity(), again.restored()), (first.identity(), None));
    let copy = Memory::new();
    again.copy(copy.disk().as_ref(), END, (0, 0)).unwrap();
    assert_eq!(read(&copy).state, State::Copy);
    let ways = [0, 1].map(|_| {
        let copy = copy.copy();
        let opened = Control::open(copy.disk(), read(&copy), END, Some((0, 0))).unwrap();
        assert_eq!(opened.identity().directory, first.identity().directory);
        let begun = read(&copy);
        assert_eq!((begun.state, begun.restores, begun.lineages[1].from), (State::Open, 1, END.position));
        let reopened = Control::open(copy.disk(), begun, END, Some((0, 0))).unwrap();
        assert_eq!((reopened.restored(), reopened.identity()), (opened.restored(), opened.identity()));
        opened.restored().unwrap()
    });
    assert_ne!(ways[0], ways[1], "each copy goes its own way");
    assert_ne!(ways[0], first.identity().lineage);
}

#[test]
fn lineages_that_have_no_segment_are_forgotten() {
    let memory = Memory::new();
    let copy = Content { state: State::Copy, ..content(&[(1, 0), (2, 3000), (3, 6000)]) };
    let kept = |oldest: u64| {
        let opened = Control::open(memory.disk(), copy.clone(), END, Some((oldest, 8000))).unwrap();
        assert_eq!(opened.restored(), Some(opened.identity().lineage));
        let lineages = opened.content.lock().lineages.clone();
        lineages.into_iter().map(|lineage| lineage.from).collect::<Vec<_>>()
    };
    assert_eq!(kept(0), [0, 3000, 6000, 9000]);
    assert_eq!(kept(3000), [3000, 6000, 9000]);
    assert_eq!(kept(7000), [6000, 9000]);
}

/// Otherwise a second try would pass for done: segments would be dropped that the file says are there.
#[test]
fn what_could_not_be_written_does_not_count() {
    for call in [Call::Create, Call::Write, Call::Sync, Call::Rename] {
        let disk = FaultyDisk::new();
        let control =
            Control::open(disk.disk(), Content::fresh(), GroupEnd::GENESIS, Some((0, 8192))).unwrap();
        disk.fail(Fault::next(call, io::ErrorKind::Other));
        assert!(control.dropping(4096).is_err(), "{call:?}");
        disk.heal();
        control.dropping(4096).unwrap();
        let read = Content::read(disk.only_synced().disk().as_ref()).unwrap();
        assert_eq!(read.unwrap().unwrap().oldest, 4096, "{call:?}");
    }
}

/// P10: with a spare the file is replaced once where no other can be made, and what it says is on disk.
#[test]
fn a_spare_takes_the_place_of_one_that_cannot_be_made_once() {
    for with_spare in [true, false] {
        let disk = FaultyDisk::new();
        let control = Control::open(disk.disk(), Content::fresh(), GroupEnd::GENESIS, None).unwrap();
        if with_spare {
            control.keep_spare().unwrap();
            control.keep_spare().unwrap();
        }
        disk.set_room(Some(0));
        assert_eq!(control.begun(4096).is_ok(), with_spare);
        let read = Content::read(disk.only_synced().disk().as_ref()).unwrap().unwrap().unwrap();
        assert_eq!(read.newest, if with_spare { 4096 } else { 0 });
        // What the file took that was replaced is another's.
        disk.set_room(Some(0));
        assert!(is_short(&control.begun(8192).unwrap_err()), "there was one");
        disk.set_room(None);
        control.begun(8192).unwrap();
        let read = Content::read(disk.only_synced().disk().as_ref()).unwrap().unwrap().unwrap();
        assert_eq!(read.newest, 8192);
    }
}
