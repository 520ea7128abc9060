//! The bytes of a snapshot: header, blocks and trailer. No file.

use bytes::Buf;

use super::{VERSION, VERSION_OLDEST};
use crate::journal::control::Identity;
use crate::journal::group::Hash;
use crate::journal::watermark::GroupEnd;

/// A block is written once it has this many bytes.
pub(super) const BLOCK_BYTES: usize = 256 * 1024;

/// The longest block: it may have been one byte short before its last entry, which may be an order of 1 000 lines that all stood in
/// its way.
pub(super) const BLOCK_BYTES_MAX: usize = BLOCK_BYTES + 256 * 1024;

/// The most bytes of the file's header.
pub(super) const HEADER_BYTES_MAX: usize = 120;

const HEADER_BYTES_UNSIGNED: usize = 88;
const HEADER_BYTES_UNDATED: usize = 112;

/// The first version whose snapshots say whose they are.
const VERSION_SIGNED: u32 = 2;

/// The first version whose snapshots say what date it was.
const VERSION_DATED: u32 = 3;

/// Bytes of a block before its body.
pub(super) const BLOCK_HEAD_BYTES: usize = 48;

/// Bytes of a level before its key.
pub(super) const LEVEL_HEAD_BYTES: usize = 25;

const MAGIC: [u8; 8] = *b"INVSNP\r\n";
const TRAILER_BYTES: usize = 64;

/// What a snapshot's header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) start: GroupEnd,
    /// How many levels there were when it was begun.
    pub(super) levels: u64,
    /// Whose it is; not known of version 1.
    pub(super) whose: Option<Identity>,
}

/// What is in a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BlockKind {
    Levels = 1,
    Keys = 2,
    Marks = 3,
    Trailer = 4,
    Chunks = 5,
    Reservations = 6,
    Orders = 7,
}

/// A block's head.
#[derive(Debug, Clone, Copy)]
pub(super) struct BlockHead {
    pub(super) kind: BlockKind,
    pub(super) entries: u32,
    pub(super) body_len: usize,
    hash: Hash,
}

/// What a snapshot's trailer says, but for the hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Trailer {
    pub(super) levels: u64,
    pub(super) keys: u64,
    pub(super) marks: u64,
    /// The highest position that was seen.
    pub(super) highest: u64,
}

/// Why a header is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HeaderError {
    Damaged,
    Version(u32),
}

impl Header {
    pub(super) fn to_bytes(self) -> Vec<u8> {
        let version = if self.whose.is_some() { VERSION } else { VERSION_OLDEST };
        let mut bytes = vec![0; header_bytes(version)];
        bytes[0..8].copy_from_slice(&MAGIC);
        bytes[8..12].copy_from_slice(&version.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.start.position.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.start.next_seq.to_le_bytes());
        bytes[32..40].copy_from_slice(&self.start.time_ms.to_le_bytes());
        bytes[40..72].copy_from_slice(&self.start.hash);
        bytes[72..80].copy_from_slice(&self.levels.to_le_bytes());
        if let Some(Identity { directory, lineage }) = self.whose {
            bytes[80..96].copy_from_slice(&directory.to_le_bytes());
            bytes[96..104].copy_from_slice(&lineage.to_le_bytes());
            bytes[104..112].copy_from_slice(&self.start.date_ms.to_le_bytes());
        }
        let checked = bytes.len() - 8;
        let hash = blake3::hash(&bytes[..checked]);
        bytes[checked..].copy_from_slice(&hash.as_bytes()[..8]);
        bytes
    }

    /// Reads the header that `bytes` begin with; returns its length as well.
    pub(super) fn read(bytes: &[u8]) -> Result<(Self, usize), HeaderError> {
        if bytes.len() < HEADER_BYTES_UNSIGNED || bytes[..8] != MAGIC {
            return Err(HeaderError::Damaged);
        }
        let version = (&bytes[8..]).get_u32_le();
        let len = header_bytes(version);
        let checked = bytes.get(..len).and_then(|header| header.split_last_chunk::<8>());
        let intact = checked.is_some_and(|(checked, check)| {
            blake3::hash(checked).as_bytes()[..8] == *check && bytes[12..16] == [0; 4]
        });
        // A later version may check its header otherwise: what it says of itself comes first.
        let known = (VERSION_OLDEST..=VERSION).contains(&version);
        if version > VERSION || (intact && !known) {
            return Err(HeaderError::Version(version));
        }
        if !intact {
            return Err(HeaderError::Damaged);
        }
        let start = GroupEnd {
            position: u64_at(bytes, 16),
            next_seq: u64_at(bytes, 24),
            time_ms: u64_at(bytes, 32),
            hash: array(bytes, 40),
            date_ms: if version >= VERSION_DATED { u64_at(bytes, 104) } else { 0 },
        };
        let identity = || Identity { directory: (&bytes[80..]).get_u128_le(), lineage: u64_at(bytes, 96) };
        let whose = (version >= VERSION_SIGNED).then(identity);
        Ok((Self { start, levels: u64_at(bytes, 72), whose }, len))
    }
}

fn header_bytes(version: u32) -> usize {
    match version {
        _ if version < VERSION_SIGNED => HEADER_BYTES_UNSIGNED,
        _ if version < VERSION_DATED => HEADER_BYTES_UNDATED,
        _ => HEADER_BYTES_MAX,
    }
}

/// Completes a block whose first [`BLOCK_HEAD_BYTES`] are free; returns its head.
pub(super) fn finish_block(block: &mut [u8], kind: BlockKind, entries: u32) -> [u8; BLOCK_HEAD_BYTES] {
    let body_len = u32::try_from(block.len() - BLOCK_HEAD_BYTES).expect("a block is at most BLOCK_BYTES_MAX");
    block[0] = kind as u8;
    block[4..8].copy_from_slice(&entries.to_le_bytes());
    block[8..12].copy_from_slice(&body_len.to_le_bytes());
    let hash = hash(&block[..16], &block[BLOCK_HEAD_BYTES..]);
    block[16..48].copy_from_slice(&hash);
    array(block, 0)
}

impl BlockHead {
    /// Reads a head: `None` where it is none.
    pub(super) fn read(head: &[u8; BLOCK_HEAD_BYTES]) -> Option<Self> {
        let kind = match head[0] {
            1 => BlockKind::Levels,
            2 => BlockKind::Keys,
            3 => BlockKind::Marks,
            4 => BlockKind::Trailer,
            5 => BlockKind::Chunks,
            6 => BlockKind::Reservations,
            7 => BlockKind::Orders,
            _ => return None,
        };
        let body_len = (&head[8..]).get_u32_le() as usize;
        let zeros = head[1..4] == [0; 3] && head[12..16] == [0; 4];
        (zeros && body_len <= BLOCK_BYTES_MAX).then(|| Self {
            kind,
            entries: (&head[4..]).get_u32_le(),
            body_len,
            hash: array(head, 16),
        })
    }

    /// Whether the body is that of the head.
    pub(super) fn fits(&self, head: &[u8; BLOCK_HEAD_BYTES], body: &[u8]) -> bool {
        hash(&head[..16], body) == self.hash
    }
}

impl Trailer {
    pub(super) fn to_bytes(self, chain: &Hash) -> [u8; TRAILER_BYTES] {
        let mut bytes = [0; TRAILER_BYTES];
        for (at, number) in [self.levels, self.keys, self.marks, self.highest].into_iter().enumerate() {
            bytes[at * 8..at * 8 + 8].copy_from_slice(&number.to_le_bytes());
        }
        bytes[32..].copy_from_slice(chain);
        bytes
    }

    /// The trailer and the hash: `None` where the bytes are none.
    pub(super) fn read(bytes: &[u8]) -> Option<(Self, Hash)> {
        let bytes: &[u8; TRAILER_BYTES] = bytes.try_into().ok()?;
        let number = |at: usize| u64_at(bytes, at * 8);
        let trailer = Self { levels: number(0), keys: number(1), marks: number(2), highest: number(3) };
        Some((trailer, array(bytes, 32)))
    }
}

pub(super) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    (&bytes[at..]).get_u64_le()
}

/// `N` bytes from `at` on.
pub(super) fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes[at..at + N].try_into().expect("a range of N bytes")
}

fn hash(head: &[u8], body: &[u8]) -> Hash {
    let mut hasher = blake3::Hasher::new();
    hasher.update(head);
    hasher.update(body);
    *hasher.finalize().as_bytes()
}
