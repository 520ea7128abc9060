//! Makes the checksums of changed bytes right, so that what is behind them is reached: no input would find its way past a hash. Of bytes that have
//! not the form it changes what stands where a checksum would.
//!
//! A second account of the forms in `journal`, on purpose: if it is wrong, nothing valid comes out, and the tests of the corpora see that.

use std::ops::Range;

const SECTOR: usize = 512;
const GROUP_MAGIC: &[u8] = b"iGRP";
const FOOTER_MAGIC: &[u8] = b"iIDX";
const GROUP_HEAD: usize = 72;
const RECORD_HEAD: usize = 32;
const BLOCK_HEAD: usize = 48;

/// A record, which is all of these bytes.
pub fn record(bytes: &mut [u8]) {
    let Ok(len) = u32::try_from(bytes.len()) else { return };
    if bytes.len() >= RECORD_HEAD {
        bytes[..4].copy_from_slice(&len.to_le_bytes());
        let crc = crc32fast::hash(&bytes[8..]);
        bytes[4..8].copy_from_slice(&crc.to_le_bytes());
    }
}

/// Records, one after the other, each as long as it says.
fn records(mut body: &mut [u8]) {
    while let Some(len) = u32_at(body, 0) {
        if len < RECORD_HEAD || len > body.len() {
            return;
        }
        let (first, rest) = body.split_at_mut(len);
        record(first);
        body = rest;
    }
}

/// A group that begins there, after the one with that hash, and its records: where it ends, and its hash. Nothing where none begins.
pub fn group(bytes: &mut [u8], at: usize, previous: Option<[u8; 32]>) -> Option<(usize, [u8; 32])> {
    let group = bytes.get_mut(at..)?;
    if !group.starts_with(GROUP_MAGIC) {
        return None;
    }
    let body_len = u32_at(group, 4)?;
    let end = GROUP_HEAD.checked_add(body_len).filter(|end| *end <= group.len())?;
    records(&mut group[GROUP_HEAD..end]);
    if let Some(previous) = previous {
        group[32..64].copy_from_slice(&previous);
    }
    let mut hasher = blake3::Hasher::new();
    hasher.update(&group[..64]);
    hasher.update(&group[GROUP_HEAD..end]);
    let hash = *hasher.finalize().as_bytes();
    group[64..72].copy_from_slice(&hash[..8]);
    Some((at + end.next_multiple_of(SECTOR), hash))
}

/// A segment: its header, its groups and its footer. If it is `chained`, each group is tied to the one before, too.
pub fn segment(bytes: &mut [u8], chained: bool) {
    if bytes.len() < SECTOR {
        return;
    }
    header(bytes);
    let mut previous: [u8; 32] = array(bytes, 40);
    let mut at = SECTOR;
    while let Some((end, hash)) = group(bytes, at, chained.then_some(previous)) {
        (at, previous) = (end, hash);
    }
    if bytes.get(at..).is_some_and(|rest| rest.starts_with(FOOTER_MAGIC)) {
        footer(&mut bytes[at..]);
    }
}

/// The header of a segment, which is the first sector.
pub fn header(bytes: &mut [u8]) {
    let Some(version) = u32_at(bytes, 8) else { return };
    let checked = if version < 3 { 72 } else { 104 };
    hashed(bytes, 0..checked, checked);
}

/// A footer, which is all of these bytes.
pub fn footer(bytes: &mut [u8]) {
    if let Some(trailer) = bytes.len().checked_sub(24) {
        let len = bytes.len() as u64;
        bytes[trailer..trailer + 8].copy_from_slice(&len.to_le_bytes());
        hashed(bytes, 0..trailer + 8, trailer + 8);
    }
}

/// The file `control`.
pub fn control(bytes: &mut [u8]) {
    if let Some(checked) = bytes.len().checked_sub(8) {
        hashed(bytes, 0..checked, checked);
    }
}

/// A snapshot: its header, its blocks, and in the trailer what is counted of them.
pub fn snapshot(bytes: &mut [u8]) {
    let header = match u32_at(bytes, 8) {
        Some(..2) => 88,
        Some(2) => 112,
        _ => 120,
    };
    if bytes.len() < header {
        return;
    }
    hashed(bytes, 0..header - 8, header - 8);
    let mut chain = blake3::Hasher::new();
    chain.update(&bytes[..header]);
    let mut counts = [0_u64; 4];
    let mut rest = &mut bytes[header..];
    while let Some(body_len) = u32_at(rest, 8) {
        let Some(end) = BLOCK_HEAD.checked_add(body_len).filter(|end| *end <= rest.len()) else { return };
        let (block, after) = rest.split_at_mut(end);
        if block[0] == 4 && body_len == 64 {
            for (at, count) in counts.iter().enumerate() {
                block[BLOCK_HEAD + 8 * at..][..8].copy_from_slice(&count.to_le_bytes());
            }
            block[BLOCK_HEAD + 32..].copy_from_slice(chain.finalize().as_bytes());
        }
        let mut hasher = blake3::Hasher::new();
        hasher.update(&block[..16]);
        hasher.update(&block[BLOCK_HEAD..]);
        block[16..48].copy_from_slice(hasher.finalize().as_bytes());
        chain.update(&block[..BLOCK_HEAD]);
        count(block, &mut counts);
        rest = after;
    }
}

/// Counts the entries of a block: levels, keys, marks, and the highest position.
fn count(block: &[u8], counts: &mut [u64; 4]) {
    let Some(entries) = u32_at(block, 4) else { return };
    let entries_counted = entries as u64;
    let mut body = &block[BLOCK_HEAD..];
    match block[0] {
        1 => counts[0] += entries_counted,
        2 => counts[1] += entries_counted,
        3 => counts[2] += entries_counted,
        _ => {}
    }
    for _ in 0..entries {
        let len = match block[0] {
            1 if body.len() > 24 => 25 + usize::from(body[24]),
            2 | 5 => 24,
            _ => return,
        };
        let Some((entry, rest)) = body.split_at_checked(len) else { return };
        counts[3] = counts[3].max(u64::from_le_bytes(array(entry, 0)));
        body = rest;
    }
}

/// Puts the first bytes of the hash of a part where its checksum stands, if both are there.
fn hashed(bytes: &mut [u8], checked: Range<usize>, at: usize) {
    let Some(hash) = bytes.get(checked).map(blake3::hash) else { return };
    if let Some(checksum) = bytes.get_mut(at..at + 8) {
        checksum.copy_from_slice(&hash.as_bytes()[..8]);
    }
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> Option<usize> {
    let number = bytes.get(at..)?.first_chunk().map(|chunk| u32::from_le_bytes(*chunk))?;
    usize::try_from(number).ok()
}

pub(crate) fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().map(|chunk| u64::from_le_bytes(*chunk))
}

/// `N` bytes that are there.
fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes[at..at + N].try_into().expect("a range of N bytes")
}
