//! Groups: what is written is read, the bytes are those documented, the chain holds, and no damage passes for a group.

use proptest::prelude::*;
use proptest::sample::Index;

use super::*;

fn written(header: &Header, body: &[u8]) -> (Vec<u8>, Hash) {
    let mut bytes = vec![9; 5_000];
    begin(&mut bytes);
    bytes.extend_from_slice(body);
    let hash = finish(&mut bytes, header);
    (bytes, hash)
}

fn header(body_len: usize) -> Header {
    Header {
        body_len,
        records: 2,
        movements: 3,
        first_seq: 77,
        time_ms: 1_700_000_000_000,
        previous: [0xAB; 32],
    }
}

fn any_header() -> impl Strategy<Value = Header> {
    let numbers = (any::<u32>(), any::<u32>(), any::<u64>(), any::<u64>());
    (numbers, any::<[u8; 32]>()).prop_map(|((records, movements, first_seq, time_ms), previous)| Header {
        body_len: 0,
        records,
        movements,
        first_seq,
        time_ms,
        previous,
    })
}

/// Makes the checksum that of the bytes, if they are long enough to have one.
fn fix_up(bytes: &mut [u8]) {
    if let Ok(Header { body_len, .. }) = read_header(bytes)
        && let Some(body) = bytes.get(HEADER_BYTES..HEADER_BYTES + body_len)
    {
        let hash = hash(bytes, body);
        bytes[64..72].copy_from_slice(&hash[..8]);
    }
}

fn survives(bytes: &[u8]) {
    if let Ok(group) = read(bytes) {
        assert_eq!(group.body.len(), group.header.body_len);
        assert_eq!(Ok(group.header), read_header(bytes));
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read(
        header in any_header(), body in prop::collection::vec(any::<u8>(), 0..2_000), after in prop::collection::vec(any::<u8>(), 0..600),
    ) {
        let (mut bytes, hash) = written(&header, &body);
        prop_assert_eq!(bytes.len(), size(body.len()));
        prop_assert_eq!((bytes.len() % SECTOR, bytes.len() - 72 - body.len() < SECTOR), (0, true));
        prop_assert!(bytes[72 + body.len()..].iter().all(|&byte| byte == 0));
        prop_assert_eq!(hash, *blake3::hash(&[&bytes[..64], &body].concat()).as_bytes());
        bytes.extend(after);
        let group = read(&bytes).unwrap();
        prop_assert_eq!(group.header, Header { body_len: body.len(), ..header });
        prop_assert_eq!((group.body, group.hash), (&body[..], hash));
    }

    #[test]
    fn a_group_cut_short_is_none(header in any_header(), body in prop::collection::vec(any::<u8>(), 0..700)) {
        let (bytes, _) = written(&header, &body);
        for len in 0..HEADER_BYTES + body.len() {
            prop_assert_eq!(read(&bytes[..len]).err(), Some(GroupError::Cut), "cut to {}", len);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8_192))]

    #[test]
    fn decoders_survive_hostile_bytes(
        header in any_header(), mut bytes in prop::collection::vec(any::<u8>(), 0..300),
        is_group in any::<bool>(), flips in prop::collection::vec((any::<Index>(), 0..8_u32), 0..6), cut in any::<Index>(),
    ) {
        survives(&bytes);
        if is_group {
            bytes = written(&header, &bytes).0;
            bytes.truncate(cut.index(2 * bytes.len()));
        }
        for (at, bit) in flips {
            if !bytes.is_empty() {
                let at = at.index(bytes.len());
                bytes[at] ^= 1 << bit;
            }
        }
        survives(&bytes);
        fix_up(&mut bytes);
        survives(&bytes);
    }
}

/// Bytes that were put together by hand from the documentation: they change with the format version, or not at all.
#[test]
fn the_bytes_are_those_documented() {
    let (bytes, hash) = written(&header(0), b"a body");
    let documented = [
        "69475250 06000000 02000000 03000000", // magic, body_len, records, movements
        "4d00000000000000 0068e5cf8b010000",   // first_seq, time_ms
        "abababababababababababababababababababababababababababababababab",
        "6eb80bc8640c3d6f",
        "6120626f6479", // body
    ];
    let hex = format!("{:02x?}", &bytes[..78]).replace(['[', ',', ' ', ']'], "");
    assert_eq!(hex, documented.concat().replace(' ', ""));
    assert_eq!((bytes.len(), &hash[..8]), (SECTOR, &bytes[64..72]));
}

/// Of header and body. The zeros after them are no part of the group: nobody reads them.
#[test]
fn no_flipped_bit_passes() {
    let body: Vec<u8> = (0..=255).collect();
    let (bytes, _) = written(&header(0), &body);
    // Something to read after it, for a length that was made longer.
    let bytes = [bytes, vec![0; 70_000]].concat();
    for bit in 0..(HEADER_BYTES + body.len()) * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(read(&flipped).is_err(), "bit {bit}");
    }
}

#[test]
fn a_group_fills_whole_sectors_and_no_more() {
    for (body_len, sectors) in [(0, 1), (1, 1), (440, 1), (441, 2), (952, 2), (953, 3)] {
        let (bytes, _) = written(&header(0), &vec![7; body_len]);
        assert_eq!((bytes.len(), size(body_len)), (sectors * SECTOR, sectors * SECTOR), "{body_len} bytes");
    }
}

#[test]
fn each_group_names_the_one_before() {
    let chain = |third: &[u8]| {
        let first = written(&Header { previous: [0; 32], ..header(0) }, b"one");
        let second = written(&Header { previous: first.1, ..header(0) }, b"two");
        let third = written(&Header { previous: second.1, ..header(0) }, third);
        [first, second, third]
    };
    let groups = chain(b"three");
    for pair in groups.windows(2) {
        assert_eq!(read(&pair[1].0).unwrap().header.previous, read(&pair[0].0).unwrap().hash);
    }
    assert_ne!(groups[0].1, groups[1].1);
    assert_ne!(groups[2].1, chain(b"tree!")[2].1);
    let elsewhere = Header { previous: [1; 32], ..header(0) };
    assert_ne!(written(&elsewhere, b"one").1, groups[0].1, "the same body after another group");
}

#[test]
fn what_was_never_written_is_told_from_what_is_no_group() {
    let mut sector = [0; 2 * SECTOR];
    assert_eq!(read(&sector).err(), Some(GroupError::Blank));
    assert_eq!(read(&sector[..HEADER_BYTES]).err(), Some(GroupError::Blank));
    assert_eq!(read(&sector[..HEADER_BYTES - 1]).err(), Some(GroupError::Cut));
    sector[SECTOR] = 1;
    assert_eq!(read(&sector).err(), Some(GroupError::Blank), "the next sector is another matter");
    sector[SECTOR - 1] = 1;
    assert_eq!(read(&sector).err(), Some(GroupError::NotAGroup));
}

#[test]
fn a_body_has_a_bound() {
    let (mut bytes, _) = written(&header(0), b"");
    let bound = u32::try_from(BODY_BYTES_MAX).unwrap();
    bytes[4..8].copy_from_slice(&bound.to_le_bytes());
    assert_eq!(read(&bytes).err(), Some(GroupError::Cut));
    bytes[4..8].copy_from_slice(&(bound + 1).to_le_bytes());
    assert_eq!(read(&bytes).err(), Some(GroupError::NotAGroup));
    let longest = vec![7; BODY_BYTES_MAX];
    assert_eq!(read(&written(&header(0), &longest).0).unwrap().body, longest);
}

#[test]
#[should_panic(expected = "a body of 16777217 bytes")]
fn a_group_that_nobody_would_read_is_never_written() {
    written(&header(0), &vec![0; BODY_BYTES_MAX + 1]);
}
