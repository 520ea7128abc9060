//! Reading a snapshot, one block at a time.

use std::sync::Arc;

use bytes::Buf;

use super::format::{
    self, BLOCK_HEAD_BYTES, BlockHead, BlockKind, HEADER_BYTES_MAX, Header, HeaderError, LEVEL_HEAD_BYTES,
    Trailer, u64_at,
};
use super::{SnapshotError, start_of};
use crate::journal::control::Identity;
use crate::journal::disk::{Disk, DiskFile};
use crate::journal::heads::{Head, Heads};
use crate::journal::holds::{AllFound, Found};
use crate::journal::keys::Keys;
use crate::journal::marks::Mark;
use crate::journal::orders;
use crate::journal::watermark::GroupEnd;
use crate::stock::Level;

/// The least bytes a level takes: no file has more levels than its length divided by this.
const LEVEL_BYTES_MIN: u64 = LEVEL_HEAD_BYTES as u64 + 3;

/// What was in a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Loaded {
    /// Where the replay starts.
    pub start: GroupEnd,
    /// The highest position of anything in it: a log that ends before it has lost something.
    pub highest: u64,
    /// How many levels.
    pub levels: u64,
    /// How many idempotency keys.
    pub keys: u64,
    /// Whose it is; not known of version 1.
    pub whose: Option<Identity>,
}

/// An entry of a snapshot.
#[derive(Debug, Clone, Copy)]
pub enum Item<'a> {
    /// A level's key and last change.
    Level(&'a str, Head),
    /// An idempotency key and the position of its record.
    Key(u128, u64),
    /// When a position was reached.
    Mark(Mark),
    /// The key of a chunk of an import that is in the log, and the position of its record.
    Chunk(u128, u64),
    /// A reservation.
    Reservation(&'a Found),
    /// An order.
    Order(&'a orders::Found),
}

/// Fills levels, keys, reservations and orders, which are empty, from a snapshot. After an error they hold a part of it.
pub fn load(
    disk: &dyn Disk,
    file: &str,
    heads: &Heads,
    keys: &Keys,
    holds: &mut AllFound,
    orders: &mut orders::AllFound,
) -> Result<Loaded, SnapshotError> {
    let expect = |levels: u64| heads.reserve(usize::try_from(levels).unwrap_or(0));
    read(disk, file, expect, |entry| match entry {
        Item::Level(key, head) => {
            let put = |there: Option<Head>| there.map_or(Ok(Some(head)), |_| Err("a level is there twice"));
            heads.replay(key, put)?.then_some(()).ok_or("a key is that of no stock level")
        }
        Item::Key(key, position) => {
            keys.insert(key, position);
            Ok(())
        }
        Item::Mark(Mark { time_ms, position }) => {
            // As they were: also two of one minute.
            keys.marks().mark_end(time_ms, position);
            Ok(())
        }
        Item::Chunk(key, position) => {
            keys.chunks().note(key, position);
            Ok(())
        }
        Item::Reservation(found) => {
            holds.insert(found.clone());
            Ok(())
        }
        Item::Order(found) => {
            orders.insert(found.clone());
            Ok(())
        }
    })
}

/// Where a snapshot says that it starts, and whose it says it is, by its header alone.
pub fn whose(disk: &dyn Disk, name: &str) -> Result<(u64, Option<Identity>), SnapshotError> {
    let io = |source| SnapshotError::Io { file: name.to_owned(), source };
    let file = disk.open(name).map_err(io)?;
    let len = file.len().map_err(io)?;
    let Header { start, whose, .. } = Blocks::open(name, &file, len)?.header;
    Ok((start.position, whose))
}

/// Whether a snapshot is whole: all that [`load`] checks but what needs memory.
pub fn check(disk: &dyn Disk, file: &str) -> Result<Loaded, SnapshotError> {
    read(disk, file, |_| {}, |_| Ok(()))
}

fn read(
    disk: &dyn Disk,
    name: &str,
    expect_levels: impl FnOnce(u64),
    mut each: impl FnMut(Item<'_>) -> Result<(), &'static str>,
) -> Result<Loaded, SnapshotError> {
    let io = |source| SnapshotError::Io { file: name.to_owned(), source };
    let file = disk.open(name).map_err(io)?;
    let len = file.len().map_err(io)?;
    let mut blocks = Blocks::open(name, &file, len)?;
    let header = blocks.header;
    expect_levels(header.levels.min(len / LEVEL_BYTES_MIN));
    let mut seen = Trailer::default();
    loop {
        let at = blocks.offset;
        let damaged = |what| SnapshotError::Damaged { file: name.to_owned(), offset: at, what };
        let chain = *blocks.chain.finalize().as_bytes();
        let head = blocks.next()?;
        let body = &blocks.body[..];
        if head.kind == BlockKind::Trailer {
            let (trailer, hash) = Trailer::read(body).ok_or_else(|| damaged("the trailer is none"))?;
            // A start past the highest position is possible: only answers may have followed the last change.
            if trailer != seen || hash != chain || blocks.offset != len {
                return Err(damaged("blocks are missing, too many, or of another snapshot"));
            }
            let Trailer { levels, keys, highest, .. } = trailer;
            return Ok(Loaded { start: header.start, highest, levels, keys, whose: header.whose });
        }
        entries(&head, body, &mut seen, &mut each).map_err(damaged)?;
    }
}

/// Calls `each` with the entries of a block, and counts them.
fn entries(
    head: &BlockHead,
    mut body: &[u8],
    seen: &mut Trailer,
    each: &mut impl FnMut(Item<'_>) -> Result<(), &'static str>,
) -> Result<(), &'static str> {
    const SHORT: &str = "a block's entries and its length differ";
    for _ in 0..head.entries {
        if head.kind == BlockKind::Reservations {
            each(Item::Reservation(&Found::take(&mut body).ok_or("a reservation is none")?))?;
            continue;
        }
        if head.kind == BlockKind::Orders {
            each(Item::Order(&orders::Found::take(&mut body).ok_or("an order is none")?))?;
            continue;
        }
        let (entry, rest) = match head.kind {
            BlockKind::Levels => level(body).ok_or("a level is none")?,
            BlockKind::Keys | BlockKind::Chunks => {
                let (entry, rest) = body.split_at_checked(24).ok_or(SHORT)?;
                let (key, position) = ((&entry[8..]).get_u128_le(), u64_at(entry, 0));
                let is_key = head.kind == BlockKind::Keys;
                (if is_key { Item::Key(key, position) } else { Item::Chunk(key, position) }, rest)
            }
            BlockKind::Marks => {
                let (entry, rest) = body.split_at_checked(16).ok_or(SHORT)?;
                (Item::Mark(Mark { time_ms: u64_at(entry, 0), position: u64_at(entry, 8) }), rest)
            }
            BlockKind::Reservations | BlockKind::Orders | BlockKind::Trailer => {
                return Err("a trailer has no entries");
            }
        };
        match entry {
            Item::Level(_, head) => {
                seen.levels += 1;
                seen.highest = seen.highest.max(head.position);
            }
            Item::Key(_, position) => {
                seen.keys += 1;
                seen.highest = seen.highest.max(position);
            }
            Item::Mark(_) => seen.marks += 1,
            Item::Reservation(_) | Item::Order(_) => {}
            Item::Chunk(_, position) => seen.highest = seen.highest.max(position),
        }
        each(entry)?;
        body = rest;
    }
    if body.is_empty() { Ok(()) } else { Err(SHORT) }
}

fn level(body: &[u8]) -> Option<(Item<'_>, &[u8])> {
    let (head, rest) = body.split_at_checked(LEVEL_HEAD_BYTES)?;
    let (key, rest) = rest.split_at_checked(usize::from(head[24]))?;
    let level = Level::from_bits((&head[8..]).get_u128_le())?;
    let position = u64_at(head, 0);
    // What was written has a version, and no record is at position 0.
    (level.version() > 0 && position > 0).then_some(())?;
    Some((Item::Level(std::str::from_utf8(key).ok()?, Head { level, position }), rest))
}

/// The blocks of a file, each checked against its hash.
struct Blocks<'f> {
    name: &'f str,
    file: &'f Arc<dyn DiskFile>,
    len: u64,
    header: Header,
    offset: u64,
    body: Vec<u8>,
    chain: blake3::Hasher,
}

impl<'f> Blocks<'f> {
    fn open(name: &'f str, file: &'f Arc<dyn DiskFile>, len: u64) -> Result<Self, SnapshotError> {
        let mut bytes = [0; HEADER_BYTES_MAX];
        let read = file.read_at(&mut bytes, 0);
        let read = read.map_err(|source| SnapshotError::Io { file: name.to_owned(), source })?;
        let damaged = |what| SnapshotError::Damaged { file: name.to_owned(), offset: 0, what };
        let (header, len_of_header) = Header::read(&bytes[..read]).map_err(|error| match error {
            HeaderError::Version(version) => SnapshotError::Version { file: name.to_owned(), version },
            HeaderError::Damaged => damaged("its header is damaged"),
        })?;
        if start_of(name) != Some(header.start.position) {
            return Err(damaged("its name says that it starts elsewhere"));
        }
        let mut chain = blake3::Hasher::new();
        chain.update(&bytes[..len_of_header]);
        Ok(Self { name, file, len, header, offset: len_of_header as u64, body: Vec::new(), chain })
    }

    /// The next block: its head, and its body in `self.body`.
    fn next(&mut self) -> Result<BlockHead, SnapshotError> {
        let damaged = |what| SnapshotError::Damaged { file: self.name.to_owned(), offset: self.offset, what };
        let io = |source: std::io::Error| match source.kind() {
            std::io::ErrorKind::UnexpectedEof => damaged("it ends too early"),
            _ => SnapshotError::Io { file: self.name.to_owned(), source },
        };
        let mut bytes = [0; BLOCK_HEAD_BYTES];
        self.file.read_exact_at(&mut bytes, self.offset).map_err(io)?;
        let head = BlockHead::read(&bytes).ok_or_else(|| damaged("there is no block"))?;
        let body_at = self.offset + BLOCK_HEAD_BYTES as u64;
        if head.body_len as u64 > self.len.saturating_sub(body_at) {
            return Err(damaged("it ends too early"));
        }
        self.body.resize(head.body_len, 0);
        self.file.read_exact_at(&mut self.body, body_at).map_err(io)?;
        if !head.fits(&bytes, &self.body) {
            return Err(damaged("a block does not match its hash"));
        }
        self.chain.update(&bytes);
        self.offset = body_at + head.body_len as u64;
        debug_assert!(head.body_len <= format::BLOCK_BYTES_MAX, "checked with the head");
        Ok(head)
    }
}
