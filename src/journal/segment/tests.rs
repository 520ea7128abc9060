//! Segments: names, headers and footers come out as they went in, are the bytes documented, and no damage passes for one.

use proptest::prelude::*;
use proptest::sample::Index;

use super::*;
use crate::journal::control::Identity;
use crate::journal::group;

fn any_header() -> impl Strategy<Value = Header> {
    let whose = any::<(u128, u64, u64)>();
    let parts = (VERSION_OLDEST..=VERSION, any::<(u64, u64, u64)>(), any::<Hash>(), whose);
    parts.prop_map(|(version, (base, first_seq, time_ms), anchor, (directory, lineage, prepared))| {
        let is_signed = version >= VERSION_SIGNED;
        let whose = is_signed.then_some(Identity { directory, lineage });
        let prepared = if is_signed { prepared } else { 0 };
        Header { version, base, first_seq, time_ms, anchor, whose, prepared }
    })
}

fn any_index(len_max: usize) -> impl Strategy<Value = Vec<IndexEntry>> {
    let entry = any::<(u64, u64)>().prop_map(|(seq, offset)| IndexEntry { seq, offset });
    prop::collection::vec(entry, 0..len_max)
}

/// Of the oldest version that is read.
fn golden_header() -> Header {
    let (base, first_seq, time_ms, anchor) = (0x0102_0304, 77, 1_700_000_000_000, [0xAB; 32]);
    Header { version: 1, base, first_seq, time_ms, anchor, whose: None, prepared: 0 }
}

/// Of the version that is written.
fn golden_signed_header() -> Header {
    let whose = Some(Identity { directory: 0x0102_0304, lineage: 0x0506 });
    Header { version: 3, whose, prepared: 1 << 20, ..golden_header() }
}

fn hex(bytes: &[u8]) -> String {
    format!("{bytes:02x?}").replace(['[', ',', ' ', ']'], "")
}

/// Makes the checksum that of the footer.
fn fix_up(footer: &mut [u8]) {
    if let Some(at) = footer.len().checked_sub(16) {
        let checksum = checksum(&footer[..at]);
        footer[at..at + 8].copy_from_slice(&checksum);
    }
}

proptest! {
    #[test]
    fn headers_come_out_as_they_went_in(header in any_header(), after in prop::collection::vec(any::<u8>(), 0..600)) {
        let bytes = [&header.to_bytes()[..], &after].concat();
        prop_assert_eq!(Header::read(&bytes), Ok(header));
    }

    #[test]
    fn names_come_out_as_they_went_in_and_sort_as_numbers(a: u64, b: u64) {
        prop_assert_eq!(base_of(&name(a)), Some(a));
        prop_assert_eq!(name(a).cmp(&name(b)), a.cmp(&b));
    }

    /// From the end of a file of which nothing else is known.
    #[test]
    fn a_footer_is_found_from_the_end_of_the_file(
        index in any_index(200), before in prop::collection::vec(any::<u8>(), 0..2_000),
    ) {
        let footer = footer_to_bytes(&index);
        prop_assert_eq!(footer.len(), (8 + 16 * index.len() + 24).next_multiple_of(SECTOR));
        let file = [before.clone(), footer.clone()].concat();
        let len = usize::try_from(footer_len(&file[file.len() - SECTOR..]).unwrap()).unwrap();
        prop_assert_eq!(len, footer.len());
        let found = &file[file.len() - len..];
        prop_assert!(is_footer(found));
        prop_assert_eq!(read_footer(found), Some(index));
    }

    #[test]
    fn a_footer_cut_short_is_none(index in any_index(100)) {
        let footer = footer_to_bytes(&index);
        for len in 0..footer.len() {
            prop_assert_eq!(read_footer(&footer[..len]), None);
            prop_assert_eq!(read_footer(&footer[footer.len() - len..]), None);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8_192))]

    #[test]
    fn decoders_survive_hostile_bytes(
        header in any_header(), index in any_index(70),
        flips in prop::collection::vec((any::<Index>(), 0..8_u32), 0..6),
        count in prop::option::of(prop_oneof![any::<u32>(), 0..130_u32]),
        random in prop::collection::vec(any::<u8>(), 0..1_100), is_random in any::<bool>(),
    ) {
        let (mut head, mut footer) = (header.to_bytes().to_vec(), footer_to_bytes(&index));
        if is_random {
            (head, footer) = (random.clone(), random);
        }
        for bytes in [&mut head, &mut footer].into_iter().filter(|bytes| !bytes.is_empty()) {
            for (at, bit) in &flips {
                let at = at.index(bytes.len());
                bytes[at] ^= 1 << bit;
            }
        }
        if let (Some(count), Some(there)) = (count, footer.get_mut(4..8)) {
            there.copy_from_slice(&count.to_le_bytes());
        }
        let _ = (Header::read(&head), footer_len(&footer), read_footer(&footer), is_footer(&footer));
        if head.len() >= SECTOR {
            let checked = checked_bytes(header.version);
            let checksum = checksum(&head[..checked]);
            head[checked..checked + 8].copy_from_slice(&checksum);
        }
        fix_up(&mut footer);
        let _ = Header::read(&head);
        let room = footer.len().saturating_sub(8 + TRAILER) / 16;
        prop_assert!(read_footer(&footer).is_none_or(|index| index.len() <= room));
    }

    #[test]
    fn other_names_are_no_segments(name in "[0-9+ -]{0,22}(\\.log|\\.tmp|)") {
        prop_assert!(base_of(&name).is_none_or(|base| super::name(base) == name));
    }
}

#[test]
fn only_names_that_are_written_are_read() {
    assert_eq!(name(512), "00000000000000000512.log");
    for other in [
        "",
        ".log",
        "512.log",
        "00000000000000000512",
        "00000000000000000512.log.tmp",
        "+0000000000000000512.log",
    ] {
        assert_eq!(base_of(other), None, "{other}");
    }
    assert_eq!(base_of("18446744073709551615.log"), Some(u64::MAX));
    assert_eq!(base_of("18446744073709551616.log"), None);
}

/// Bytes that were put together by hand from the documentation: they change with the format version, or not at all.
#[test]
fn the_header_is_the_bytes_documented() {
    let documented = [
        "494e564c4f470d0a 01000000 00000000 0403020100000000", // magic, version, zero, base
        "4d00000000000000 0068e5cf8b010000",                   // first_seq, time_ms
        "abababababababababababababababababababababababababababababababab",
        "56daa863c09f64f8",
    ];
    let bytes = golden_header().to_bytes();
    assert_eq!(hex(&bytes[..80]), documented.concat().replace(' ', ""));
    assert!(bytes[80..].iter().all(|&byte| byte == 0));
    let signed = golden_signed_header().to_bytes();
    let documented = [
        "494e564c4f470d0a 03000000 00000000 0403020100000000", // magic, version, zero, base
        "4d00000000000000 0068e5cf8b010000",                   // first_seq, time_ms
        "abababababababababababababababababababababababababababababababab",
        "04030201000000000000000000000000 0605000000000000 0000100000000000", // directory, lineage, prepared
    ];
    assert_eq!(hex(&signed[..104]), documented.concat().replace(' ', ""));
    assert_eq!(signed[104..112], checksum(&signed[..104]));
    assert!(signed[112..].iter().all(|&byte| byte == 0));
}

#[test]
fn the_footer_is_the_bytes_documented() {
    let index = [IndexEntry { seq: 77, offset: 512 }, IndexEntry { seq: 88, offset: 0x0102_0304 }];
    let bytes = footer_to_bytes(&index);
    let entries =
        ["69494458 02000000 4d00000000000000 0002000000000000", "5800000000000000 0403020100000000"];
    assert_eq!(hex(&bytes[..40]), entries.concat().replace(' ', ""));
    assert!(bytes[40..488].iter().all(|&byte| byte == 0));
    let trailer = "0002000000000000 1ebe940f7332eddf 00000000 69494458";
    assert_eq!(hex(&bytes[488..]), trailer.replace(' ', ""));
}

#[test]
fn no_flipped_bit_passes() {
    let footer = footer_to_bytes(&[IndexEntry { seq: 77, offset: 512 }; 40]);
    let flipped = |bytes: &[u8], bit: usize| {
        let mut bytes = bytes.to_vec();
        bytes[bit / 8] ^= 1 << (bit % 8);
        bytes
    };
    for header in [golden_header(), golden_signed_header()] {
        let (version, header) = (header.version, header.to_bytes());
        for bit in 0..header.len() * 8 {
            let other = if (64..96).contains(&bit) { version ^ 1 << (bit - 64) } else { version };
            let expected = match bit / 8 {
                0..8 => HeaderError::NotASegment,
                _ if other > VERSION => HeaderError::Version(other),
                _ => HeaderError::Damaged,
            };
            assert_eq!(Header::read(&flipped(&header, bit)), Err(expected), "bit {bit}");
        }
    }
    for bit in 0..footer.len() * 8 {
        assert_eq!(read_footer(&flipped(&footer, bit)), None, "bit {bit}");
    }
}

#[test]
fn a_header_cut_short_is_none() {
    let bytes = golden_header().to_bytes();
    for len in 0..SECTOR {
        assert_eq!(Header::read(&bytes[..len]), Err(HeaderError::NotASegment));
    }
    assert_eq!(Header::read(&[0; SECTOR]), Err(HeaderError::NotASegment));
}

#[test]
fn another_version_is_named_before_anything_else_is_looked_at() {
    let with_version = |version: u32, fixed_up: bool| {
        let mut bytes = golden_header().to_bytes();
        bytes[8..12].copy_from_slice(&version.to_le_bytes());
        if fixed_up {
            let checked = checked_bytes(version);
            let checksum = checksum(&bytes[..checked]);
            bytes[checked..checked + 8].copy_from_slice(&checksum);
        }
        Header::read(&bytes).unwrap_err()
    };
    assert_eq!(with_version(VERSION + 1, true), HeaderError::Version(VERSION + 1));
    assert_eq!(with_version(u32::MAX, false), HeaderError::Version(u32::MAX));
    assert_eq!(with_version(0, true), HeaderError::Version(0));
    assert_eq!(with_version(0, false), HeaderError::Damaged);
    assert!(
        HeaderError::Version(7).to_string().contains("format version 7; this program reads versions 1 to 6")
    );
    const { assert!(VERSION_OLDEST == 1, "what was written is read for ever") };
}

#[test]
fn an_index_ends_before_the_trailer_whatever_it_says_of_its_length() {
    let room = (SECTOR - 8 - TRAILER) / 16;
    let mut footer = footer_to_bytes(&vec![IndexEntry { seq: 1, offset: 2 }; room]);
    assert_eq!((footer.len(), read_footer(&footer).unwrap().len()), (SECTOR, room));
    for count in [u32::try_from(room).unwrap() + 1, u32::MAX] {
        footer[4..8].copy_from_slice(&count.to_le_bytes());
        fix_up(&mut footer);
        assert_eq!(read_footer(&footer), None, "{count} entries");
    }
}

#[test]
fn a_group_is_no_footer_and_a_footer_is_no_group() {
    let mut bytes = Vec::new();
    group::begin(&mut bytes);
    let header =
        group::Header { body_len: 0, records: 0, movements: 0, first_seq: 1, time_ms: 2, previous: [0; 32] };
    group::finish(&mut bytes, &header);
    assert!(!is_footer(&bytes) && footer_len(&bytes).is_none() && read_footer(&bytes).is_none());
    assert_eq!(group::read(&footer_to_bytes(&[])).err(), Some(group::GroupError::NotAGroup));
    assert_eq!(Header::read(&bytes), Err(HeaderError::NotASegment));
}
