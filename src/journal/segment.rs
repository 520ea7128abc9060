//! Segments: the files of the log, their names, headers and footers.
//!
//! A segment is a header sector, groups, and, once it is sealed, a footer with a sparse index of its movements. A *position*
//! in the log is the segment's base plus the offset in its file; the next segment's base is where the one before it ends, so
//! positions go up without gaps over all segments, and no position is 0.
//!
//! ```text
//! header   0 magic 8 bytes, 8 version u32, 12 zero u32, 16 base u64, 24 first_seq u64, 32 time_ms u64,
//!         40 anchor 32 bytes (hash of the last group before), 72 checksum u64 (BLAKE3 of bytes 0..72), zeros to 512
//! footer   magic u32, entries u32, then per entry: seq u64, offset u64; zeros up to 24 bytes before the sector's end;
//!          length of the footer u64, checksum u64 (BLAKE3 of all before), zero u32, magic u32
//! ```

use bytes::Buf;
use thiserror::Error;

use super::group::{Hash, SECTOR};

/// The format this version writes. It reads those from [`VERSION_OLDEST`] on.
///
/// 1 stored answers in words; 2 stores what came of a request, and of a batch under one key (`stored`). A segment is of one
/// version throughout: one that an older program left is ended, and a new one begun.
pub const VERSION: u32 = 2;

/// The oldest format that is read.
pub const VERSION_OLDEST: u32 = 1;

/// How long a segment gets, unless another length is asked for.
pub const BYTES_DEFAULT: u64 = 64 * 1024 * 1024;

/// The index has an entry for the first group that starts this many bytes after the last one that has an entry.
pub const INDEX_EVERY: u64 = 64 * 1024;

const MAGIC: [u8; 8] = *b"INVLOG\r\n";
const FOOTER_MAGIC: u32 = u32::from_le_bytes(*b"iIDX");
const CHECKED: usize = 72;
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
    /// When it was begun, in milliseconds of Unix time.
    pub time_ms: u64,
    /// Hash of the last group before it.
    pub anchor: Hash,
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
        let checksum = checksum(&bytes[..CHECKED]);
        bytes[72..80].copy_from_slice(&checksum);
        bytes
    }

    /// Reads a header.
    pub fn read(bytes: &[u8]) -> Result<Self, HeaderError> {
        let head = bytes.get(..SECTOR).filter(|head| head[..8] == MAGIC).ok_or(HeaderError::NotASegment)?;
        let u64_at = |at: usize| (&head[at..]).get_u64_le();
        let version = (&head[8..]).get_u32_le();
        let intact = head[72..80] == checksum(&head[..CHECKED]) && head[80..].iter().all(|&byte| byte == 0);
        // A later version may check its header otherwise: what it says of itself comes first.
        let known = (VERSION_OLDEST..=VERSION).contains(&version);
        if version > VERSION || (intact && !known) {
            return Err(HeaderError::Version(version));
        }
        if !intact {
            return Err(HeaderError::Damaged);
        }
        let anchor = head[40..72].try_into().expect("32 bytes");
        Ok(Self { version, base: u64_at(16), first_seq: u64_at(24), time_ms: u64_at(32), anchor })
    }
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
