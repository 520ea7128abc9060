//! Segments: the files of the log, their names, headers and footers.
//!
//! A segment is a header sector, groups, and, once it is sealed, a footer with a sparse index of its movements. A *position*
//! in the log is the segment's base plus the offset in its file; the next segment's base is where the one before it ends, so
//! positions go up without gaps over all segments, and no position is 0.
//!
//! ```text
//! header   0 magic 8 bytes, 8 version u32, 12 zero u32, 16 base u64, 24 first_seq u64, 32 time_ms u64,
//!         40 anchor 32 bytes (hash of the last group before), 72 directory u128, 88 lineage u64 (whose it is: see `control`),
//!         96 prepared u64 (the length the file was given), 104 checksum u64 (BLAKE3 of bytes 0..104), zeros to 512
//!         before version 3: 72 checksum u64 (BLAKE3 of bytes 0..72), zeros to 512
//! footer   magic u32, entries u32, then per entry: seq u64, offset u64; zeros up to 24 bytes before the sector's end;
//!          length of the footer u64, checksum u64 (BLAKE3 of all before), zero u32, magic u32
//! ```

use bytes::Buf;
use thiserror::Error;

use super::control::Identity;
use super::group::{Hash, SECTOR};

/// The format this version writes. It reads those from [`VERSION_OLDEST`] on.
///
/// 1 stored answers in words; 2 stores what came of a request, and of a batch under one key (`stored`). A segment is of one
/// version throughout: one that an older program left is ended, and a new one begun. 3 says whose a segment is, and how long its
/// file was made. From 4 on the times of segments and groups say how old they are ([`crate::clock`]), and those of records what date it was.
/// 5 says who made a change (`record`), and who placed an order (`orders::found`). 6 has what idempotency keys stand for that came from another store (`moved`).
pub const VERSION: u32 = 6;

/// The first version whose segments say whose they are.
const VERSION_SIGNED: u32 = 3;

/// The oldest format that is read.
pub const VERSION_OLDEST: u32 = 1;

/// How long a segment gets, unless another length is asked for.
pub const BYTES_DEFAULT: u64 = 64 * 1024 * 1024;

/// The index has an entry for the first group that starts this many bytes after the last one that has an entry.
pub const INDEX_EVERY: u64 = 64 * 1024;

const MAGIC: [u8; 8] = *b"INVLOG\r\n";
const FOOTER_MAGIC: u32 = u32::from_le_bytes(*b"iIDX");
const CHECKED: usize = 104;
const CHECKED_UNSIGNED: usize = 72;
const TRAILER: usize = 24;

/// What a segment's header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// The version of the format.
    pub version: u32,
    /// The position of the segment's first byte.
    pub base: u64,
    /// The number of the first movement in it.
    pub first_seq: u64,
    /// When it was begun, as [`Clock::steady_ms`](crate::clock::Clock::steady_ms) has it.
    pub time_ms: u64,
    /// Hash of the last group before it.
    pub anchor: Hash,
    /// Whose it is, since version 3 of the format.
    pub whose: Option<Identity>,
    /// The length that its file was given when it was begun: until it is sealed, it is no shorter. 0 before version 3.
    pub prepared: u64,
}

/// Where a group starts: an entry of the sparse index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IndexEntry {
    /// The number of the group's first movement.
    pub seq: u64,
    /// The offset of the group in the file.
    pub offset: u64,
}

/// Why a file is no segment of this version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum HeaderError {
    /// It does not begin as a segment does.
    #[error("it is no segment of the log")]
    NotASegment,
    /// It does, but does not match its checksum.
    #[error("its header is damaged")]
    Damaged,
    /// It is of a version that this program does not read.
    #[error("it is of format version {0}; this program reads versions {VERSION_OLDEST} to {VERSION}")]
    Version(u32),
}

/// The name of the segment with that base.
pub fn name(base: u64) -> String {
    format!("{base:020}.log")
}

/// The base in a segment's name: `None` for any other name.
pub fn base_of(file_name: &str) -> Option<u64> {
    let digits = file_name.strip_suffix(".log")?;
    let all_digits = digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit());
    all_digits.then(|| digits.parse().ok())?
}

impl Header {
    /// The sector to write.
    pub fn to_bytes(self) -> [u8; SECTOR] {
        let mut bytes = [0; SECTOR];
        bytes[0..8].copy_from_slice(&MAGIC);
        bytes[8..12].copy_from_slice(&self.version.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.base.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.first_seq.to_le_bytes());
        bytes[32..40].copy_from_slice(&self.time_ms.to_le_bytes());
        bytes[40..72].copy_from_slice(&self.anchor);
        if let Some(Identity { directory, lineage }) = self.whose {
            bytes[72..88].copy_from_slice(&directory.to_le_bytes());
            bytes[88..96].copy_from_slice(&lineage.to_le_bytes());
            bytes[96..104].copy_from_slice(&self.prepared.to_le_bytes());
        }
        let checked = checked_bytes(self.version);
        let checksum = checksum(&bytes[..checked]);
        bytes[checked..checked + 8].copy_from_slice(&checksum);
        bytes
    }

    /// Reads a header.
    pub fn read(bytes: &[u8]) -> Result<Self, HeaderError> {
        let head = bytes.get(..SECTOR).filter(|head| head[..8] == MAGIC).ok_or(HeaderError::NotASegment)?;
        let u64_at = |at: usize| (&head[at..]).get_u64_le();
        let version = (&head[8..]).get_u32_le();
        let (checked, rest) = head.split_at(checked_bytes(version));
        let intact = rest[..8] == checksum(checked) && rest[8..].iter().all(|&byte| byte == 0);
        // A later version may check its header otherwise: what it says of itself comes first.
        let known = (VERSION_OLDEST..=VERSION).contains(&version);
        if version > VERSION || (intact && !known) {
            return Err(HeaderError::Version(version));
        }
        if !intact {
            return Err(HeaderError::Damaged);
        }
        let anchor = head[40..72].try_into().expect("32 bytes");
        let identity = || Identity { directory: (&head[72..]).get_u128_le(), lineage: u64_at(88) };
        let is_signed = version >= VERSION_SIGNED;
        let (whose, prepared) = (is_signed.then(identity), if is_signed { u64_at(96) } else { 0 });
        let (base, first_seq, time_ms) = (u64_at(16), u64_at(24), u64_at(32));
        Ok(Self { version, base, first_seq, time_ms, anchor, whose, prepared })
    }
}

/// How much of a header its checksum is of.
fn checked_bytes(version: u32) -> usize {
    if version < VERSION_SIGNED { CHECKED_UNSIGNED } else { CHECKED }
}

/// The length of the footer of a segment with that many entries in its index.
pub fn footer_bytes(entries: usize) -> usize {
    (8 + 16 * entries + TRAILER).next_multiple_of(SECTOR)
}

/// The footer of a sealed segment, whole sectors long.
pub fn footer_to_bytes(index: &[IndexEntry]) -> Vec<u8> {
    let len = footer_bytes(index.len());
    let mut bytes = Vec::with_capacity(len);
    bytes.extend_from_slice(&FOOTER_MAGIC.to_le_bytes());
    bytes.extend_from_slice(&u32::try_from(index.len()).expect("one entry per 64 KiB").to_le_bytes());
    for entry in index {
        bytes.extend_from_slice(&entry.seq.to_le_bytes());
        bytes.extend_from_slice(&entry.offset.to_le_bytes());
    }
    bytes.resize(len - TRAILER, 0);
    bytes.extend_from_slice(&(len as u64).to_le_bytes());
    let checksum = checksum(&bytes);
    bytes.extend_from_slice(&checksum);
    bytes.extend_from_slice(&0_u32.to_le_bytes());
    bytes.extend_from_slice(&FOOTER_MAGIC.to_le_bytes());
    bytes
}

/// The length of the footer that ends with these bytes (at least the last [`SECTOR`] of a file), if they end one.
pub fn footer_len(tail: &[u8]) -> Option<u64> {
    let trailer = tail.last_chunk::<TRAILER>()?;
    let ends = trailer[16..20] == [0; 4] && trailer[20..] == FOOTER_MAGIC.to_le_bytes();
    let len = (&trailer[..]).get_u64_le();
    (ends && len >= SECTOR as u64 && len.is_multiple_of(SECTOR as u64)).then_some(len)
}

/// Reads a footer: `None` where the bytes are none, or are damaged.
pub fn read_footer(bytes: &[u8]) -> Option<Vec<IndexEntry>> {
    let trailer_at = bytes.len().checked_sub(TRAILER)?;
    let (checked, check) = (&bytes[..trailer_at + 8], &bytes[trailer_at + 8..trailer_at + 16]);
    if footer_len(bytes)? != bytes.len() as u64
        || checksum(checked) != check
        || bytes[..4] != FOOTER_MAGIC.to_le_bytes()
    {
        return None;
    }
    let entries = (&bytes[4..]).try_get_u32_le().ok()? as usize;
    let entry =
        |chunk: &[u8]| IndexEntry { seq: (&chunk[..]).get_u64_le(), offset: (&chunk[8..]).get_u64_le() };
    // Up to the trailer: what comes after is no entry, whatever the count says.
    Some(bytes[..trailer_at].get(8..8 + 16 * entries)?.chunks_exact(16).map(entry).collect())
}

/// Whether a footer starts here, rather than a group.
pub fn is_footer(bytes: &[u8]) -> bool {
    bytes.starts_with(&FOOTER_MAGIC.to_le_bytes())
}

fn checksum(bytes: &[u8]) -> [u8; 8] {
    let hash = blake3::hash(bytes);
    *hash.as_bytes().first_chunk().expect("a hash has 32 bytes")
}

#[cfg(test)]
mod tests;
