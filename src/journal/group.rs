//! Groups: what is written and synced in one go, and the chain that ties each to all before it.
//!
//! A group starts at a sector boundary and fills whole sectors, so a write that is torn in its last sector cannot touch a
//! group that was acknowledged before. Bytes only: no file, no clock. All numbers are little-endian.
//!
//! ```text
//!  0 magic u32
//!  4 body_len u32
//!  8 records u32
//! 12 movements u32
//! 16 first_seq u64      number of the first movement in it
//! 24 time_ms u64        when it was written, by which it grows old: never less than that of the group before
//! 32 previous 32 bytes  hash of the group before (of the segment's header, its anchor, for the first group)
//! 64 checksum u64       the first 8 bytes of the BLAKE3 hash of bytes 0..64 and the body
//! 72 body: records, one after the other; then zeros up to the sector's end
//! ```
//!
//! The full 32 bytes of that hash are the next group's `previous`: one pass over the bytes gives checksum and chain.

use bytes::Buf;
use thiserror::Error;

/// The unit in which a device writes: groups, headers and footers start at a multiple of it.
///
/// 512 bytes, the smallest logical block devices have. A torn write is taken to damage only sectors it changes: a device
/// that writes 4 KiB at a time writes back the neighbours' bytes unchanged.
pub const SECTOR: usize = 512;

/// Bytes before the body.
pub const HEADER_BYTES: usize = 72;

/// The longest body: the longest record, and enough others for a sync to cost nothing per record.
pub const BODY_BYTES_MAX: usize = 16 * 1024 * 1024;

const MAGIC: u32 = u32::from_le_bytes(*b"iGRP");
const HASHED_HEADER: usize = 64;

/// A BLAKE3 hash: the state of the chain after a group.
pub type Hash = [u8; 32];

/// What a group's header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Bytes of all its records.
    pub body_len: usize,
    /// How many records.
    pub records: u32,
    /// How many movements they are.
    pub movements: u32,
    /// The number of the first movement in it (of the next one, if it has none).
    pub first_seq: u64,
    /// When it was written, as [`Clock::steady_ms`](crate::clock::Clock::steady_ms) has it.
    pub time_ms: u64,
    /// Hash of the group before.
    pub previous: Hash,
}

/// A group that was read and matches its checksum.
#[derive(Debug, Clone, Copy)]
pub struct Group<'a> {
    /// Its header.
    pub header: Header,
    /// Its records.
    pub body: &'a [u8],
    /// Its hash.
    pub hash: Hash,
}

/// Bytes that are no group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum GroupError {
    /// Nothing was ever written here: a sector of zeros.
    #[error("nothing is written there")]
    Blank,
    /// There is something, and it is no group.
    #[error("there is no group")]
    NotAGroup,
    /// It is longer than what there is.
    #[error("a group is cut short")]
    Cut,
    /// It does not match its checksum.
    #[error("a group does not match its checksum")]
    Checksum,
}

/// Makes room for the header in an empty buffer; records are appended after it.
pub fn begin(buffer: &mut Vec<u8>) {
    buffer.clear();
    buffer.resize(HEADER_BYTES, 0);
}

/// Completes a buffer that [`begin`] started: header, checksum, zeros up to the sector's end. `header.body_len` is taken
/// from the buffer. Returns the group's hash.
pub fn finish(buffer: &mut Vec<u8>, header: &Header) -> Hash {
    let body_len = buffer.len() - HEADER_BYTES;
    assert!(body_len <= BODY_BYTES_MAX, "a body of {body_len} bytes, which no reader would take for one");
    let body_len = u32::try_from(body_len).expect("checked above");
    buffer[0..4].copy_from_slice(&MAGIC.to_le_bytes());
    buffer[4..8].copy_from_slice(&body_len.to_le_bytes());
    buffer[8..12].copy_from_slice(&header.records.to_le_bytes());
    buffer[12..16].copy_from_slice(&header.movements.to_le_bytes());
    buffer[16..24].copy_from_slice(&header.first_seq.to_le_bytes());
    buffer[24..32].copy_from_slice(&header.time_ms.to_le_bytes());
    buffer[32..64].copy_from_slice(&header.previous);
    let hash = hash(buffer, &buffer[HEADER_BYTES..]);
    buffer[64..72].copy_from_slice(&hash[..8]);
    buffer.resize(padded(buffer.len()), 0);
    hash
}

/// Bytes on disk of a group with a body of `body_len` bytes.
pub fn size(body_len: usize) -> usize {
    padded(HEADER_BYTES + body_len)
}

/// The group that starts at the beginning of `bytes`.
pub fn read(bytes: &[u8]) -> Result<Group<'_>, GroupError> {
    let header = read_header(bytes)?;
    let body = bytes.get(HEADER_BYTES..HEADER_BYTES + header.body_len).ok_or(GroupError::Cut)?;
    let hash = hash(bytes, body);
    if hash[..8] != bytes[64..72] {
        return Err(GroupError::Checksum);
    }
    Ok(Group { header, body, hash })
}

/// The header alone, unchecked but for its bounds: how long the group says it is.
pub fn read_header(bytes: &[u8]) -> Result<Header, GroupError> {
    let head = bytes.get(..HEADER_BYTES).ok_or(GroupError::Cut)?;
    let u32_at = |at: usize| (&head[at..]).get_u32_le();
    let u64_at = |at: usize| (&head[at..]).get_u64_le();
    let body_len = u32_at(4) as usize;
    if u32_at(0) != MAGIC || body_len > BODY_BYTES_MAX {
        let sector = &bytes[..SECTOR.min(bytes.len())];
        let blank = sector.iter().all(|&byte| byte == 0);
        return Err(if blank { GroupError::Blank } else { GroupError::NotAGroup });
    }
    Ok(Header {
        body_len,
        records: u32_at(8),
        movements: u32_at(12),
        first_seq: u64_at(16),
        time_ms: u64_at(24),
        previous: head[32..64].try_into().expect("32 bytes"),
    })
}

fn hash(header: &[u8], body: &[u8]) -> Hash {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&header[..HASHED_HEADER]);
    hasher.update(body);
    *hasher.finalize().as_bytes()
}

fn padded(bytes: usize) -> usize {
    bytes.next_multiple_of(SECTOR)
}

#[cfg(test)]
mod tests;
