//! Snapshots: the levels and idempotency keys of one moment, so that a start need not replay the whole log.
//!
//! A snapshot is *fuzzy*: nothing stops while it is taken, so it is of no single moment. It says from which position the log
//! has to be replayed, and of each level what was seen of it after that; the replay skips what is in it already. [`write()`]
//! does these steps, in this order, and says what a crash after each leaves:
//!
//! 1. Where the log is on disk, is the *start*. Every change before it is in [`Heads`] (the writer enters a change before it
//!    is on disk), so nothing that happened before the start can be missed. Nothing is written yet.
//! 2. The walk over levels and keys is written under a temporary name. It may see changes that are not on disk. A crash leaves
//!    a temporary file, which recovery removes.
//! 3. The file is synced. A crash leaves the same.
//! 4. Wait until all that was seen is on disk: a snapshot that has its name never holds what the log could lose.
//! 5. The file gets its name, and the names are synced. A crash in between leaves either name; both are whole.
//!
//! ```text
//! file    header, blocks, trailer block; nothing after it. All numbers are little-endian.
//! header  0 magic 8 bytes, 8 version u32, 12 zero u32, 16 start: position u64, 24 next_seq u64, 32 time_ms u64, 40 hash 32,
//!         72 levels u64 (about), 80 directory u128, 96 lineage u64 (whose it is: see `control`), 104 checksum u64 (BLAKE3 of
//!         bytes 0..104); in version 1: 80 checksum u64 (BLAKE3 of bytes 0..80)
//! block   0 kind u8, 1 zero 3 bytes, 4 entries u32, 8 body_len u32, 12 zero u32, 16 hash 32 (BLAKE3 of bytes 0..16 and the
//!         body), 48 body
//! kind 1  levels: position u64 of the last record, level u128, key_len u8, key; tombstones too
//! kind 2  idempotency keys: position u64, key u128
//! kind 3  marks: time_ms u64, position u64
//! kind 5  chunks of imports that are in the log (since version 2): position u64, key u128
//! kind 4  trailer: levels u64, keys u64, marks u64, highest position seen u64, BLAKE3 of the header and all blocks' heads
//! ```

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use thiserror::Error;

use super::control::Identity;
use super::disk::{Disk, DiskFile};
use super::group::Hash;
use super::heads::{Head, Heads};
use super::holds::{Found, Holds};
use super::keys::Keys;
use super::marks::Mark;
use super::orders::{self, Orders};
use super::watermark::{Failed, GroupEnd, Watermark};

mod format;
mod read;

pub use read::{Item, Loaded, check, load, whose};

use format::{BLOCK_BYTES, BlockKind, Header, Trailer};

/// The format this version writes. 1 did not say whose a snapshot is, nor 2 the date of the newest movement, nor 3 who placed an order.
pub const VERSION: u32 = 4;

/// The oldest format that is read.
pub const VERSION_OLDEST: u32 = 1;

/// The name while it is written. Recovery removes it.
pub(super) const TEMPORARY: &str = "snapshot.tmp";

/// What a snapshot is taken of.
pub struct Walked<'w> {
    /// The levels.
    pub heads: &'w Heads,
    /// The idempotency keys.
    pub keys: &'w Keys,
    /// The reservations.
    pub holds: &'w Holds,
    /// The orders.
    pub orders: &'w Orders,
    /// Waits until all that was handed over before is in the log; whether it is.
    pub caught_up: &'w dyn Fn() -> bool,
}

/// What is in a snapshot that was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Written {
    /// Where the replay starts.
    pub start: GroupEnd,
    /// How many levels, tombstones included.
    pub levels: u64,
    /// How many idempotency keys.
    pub keys: u64,
    /// The length of the file.
    pub bytes: u64,
}

/// Why there is no snapshot.
#[derive(Debug, Error)]
pub enum SnapshotError {
    /// The disk said so.
    #[error("snapshot {file}: {source}")]
    Io {
        /// The file.
        file: String,
        /// What the system says.
        source: io::Error,
    },
    /// It was to stop.
    #[error("the snapshot was given up: the service stops")]
    Stopped,
    /// What was seen of reservations is not on disk, and nobody knows when it will be.
    #[error("the snapshot was given up: what was seen is not on disk")]
    NotWritten,
    /// What was seen will never be on disk.
    #[error("the snapshot was given up: {0}")]
    Failed(#[from] Failed),
    /// The file is not what was written.
    #[error("snapshot {file} is damaged at offset {offset}: {what}")]
    Damaged {
        /// The file.
        file: String,
        /// Where.
        offset: u64,
        /// What is wrong.
        what: &'static str,
    },
    /// A later version of the program wrote it.
    #[error(
        "snapshot {file} is of format version {version}; this program reads versions {VERSION_OLDEST} to {VERSION}: start the program that wrote it"
    )]
    Version {
        /// The file.
        file: String,
        /// Its version.
        version: u32,
    },
}

/// The name of the snapshot from which the log is replayed from that position on.
pub fn name(start: u64) -> String {
    format!("{start:020}.snapshot")
}

/// The start in a snapshot's name: `None` for any other name.
pub fn start_of(file_name: &str) -> Option<u64> {
    let digits = file_name.strip_suffix(".snapshot")?;
    let all_digits = digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit());
    all_digits.then(|| digits.parse().ok())?
}

/// Takes a snapshot, as the module describes. Memory: one block, and a copy of one shard of the levels or keys.
///
/// The writer has to enter the levels *and keys* of a group before it advances the watermark past it. `whose`: of the directory;
/// without it, the snapshot is as version 1 of the format had them.
pub fn write(
    disk: &dyn Disk,
    whose: Option<Identity>,
    content: &Walked<'_>,
    watermark: &Watermark,
    stop: &AtomicBool,
) -> Result<Written, SnapshotError> {
    let start = watermark.end();
    let failed = |source| SnapshotError::Io { file: TEMPORARY.to_owned(), source };
    match disk.remove(TEMPORARY) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    let file = disk.create(TEMPORARY).map_err(failed)?;
    let written = written(&file, whose, start, content, stop).and_then(|written| {
        if written.1 > 0 {
            watermark.wait_for(written.1)?;
        }
        disk.rename(TEMPORARY, &name(start.position)).map_err(failed)?;
        Ok(written.0)
    });
    if written.is_err() {
        // The room is not kept from others. The next snapshot, or the next start, removes it if this does not.
        let _ = disk.remove(TEMPORARY);
    }
    let written = written?;
    disk.sync_names().map_err(failed)?;
    Ok(written)
}

/// Writes and syncs the file. Returns the highest position in it as well.
fn written(
    file: &Arc<dyn DiskFile>,
    whose: Option<Identity>,
    start: GroupEnd,
    content: &Walked<'_>,
    stop: &AtomicBool,
) -> Result<(Written, u64), SnapshotError> {
    let mut out = write_file(file, whose, start, content, stop)?;
    let failed = |source| SnapshotError::Io { file: TEMPORARY.to_owned(), source };
    let bytes = out.finish().and_then(|bytes| file.sync().map(|()| bytes)).map_err(failed)?;
    let Trailer { levels, keys, highest, .. } = out.trailer;
    Ok((Written { start, levels, keys, bytes }, highest))
}

fn write_file<'f>(
    file: &'f Arc<dyn DiskFile>,
    whose: Option<Identity>,
    start: GroupEnd,
    content: &Walked<'_>,
    stop: &'f AtomicBool,
) -> Result<Out<'f>, SnapshotError> {
    let Walked { heads, keys, holds, orders, caught_up } = *content;
    let mut out = Out::new(file, &Header { start, levels: heads.len() as u64, whose }, stop);
    // Reservations and orders are seen when they are handed over, levels when they are written: so first those, and on with what has caught
    // up.
    holds.walk(|found| out.reservation(&found));
    out.end_block();
    orders.walk(|found| out.order(&found));
    out.end_block();
    if !caught_up() {
        return Err(SnapshotError::NotWritten);
    }
    // After an error the walk goes on, and writes nothing: a walk cannot be left.
    heads.walk(|key, head| out.level(key.text(), head));
    out.end_block();
    keys.walk(|key, position| out.key(key, position));
    out.end_block();
    keys.marks().all().into_iter().for_each(|mark| out.mark(mark));
    out.end_block();
    keys.chunks().all().into_iter().for_each(|(key, position)| out.chunk(key, position));
    out.end_block();
    match out.error.take() {
        None if out.stopped => Err(SnapshotError::Stopped),
        None => Ok(out),
        Some(source) => Err(SnapshotError::Io { file: TEMPORARY.to_owned(), source }),
    }
}

/// The file being written, one block at a time.
struct Out<'f> {
    file: &'f Arc<dyn DiskFile>,
    stop: &'f AtomicBool,
    offset: u64,
    block: Vec<u8>,
    kind: BlockKind,
    entries: u32,
    chain: blake3::Hasher,
    trailer: Trailer,
    /// The first error: nothing is written after it.
    error: Option<io::Error>,
    /// Seen to be asked to stop: nothing is written after it either.
    stopped: bool,
}

impl<'f> Out<'f> {
    fn new(file: &'f Arc<dyn DiskFile>, header: &Header, stop: &'f AtomicBool) -> Self {
        let mut chain = blake3::Hasher::new();
        let header = header.to_bytes();
        chain.update(&header);
        let block = Vec::with_capacity(BLOCK_BYTES + 256);
        let (kind, trailer) = (BlockKind::Levels, Trailer::default());
        let (error, stopped) = (None, false);
        let mut out = Self { file, stop, offset: 0, block, kind, entries: 0, chain, trailer, error, stopped };
        out.put(&header);
        out.begin_block();
        out
    }

    fn level(&mut self, key: &str, head: Head) {
        self.begin_entry(BlockKind::Levels);
        self.block.extend_from_slice(&head.position.to_le_bytes());
        self.block.extend_from_slice(&head.level.to_bits().to_le_bytes());
        self.block.push(u8::try_from(key.len()).expect("a key is at most 97 bytes"));
        self.block.extend_from_slice(key.as_bytes());
        self.trailer.levels += 1;
        self.trailer.highest = self.trailer.highest.max(head.position);
    }

    fn key(&mut self, key: u128, position: u64) {
        self.begin_entry(BlockKind::Keys);
        self.block.extend_from_slice(&position.to_le_bytes());
        self.block.extend_from_slice(&key.to_le_bytes());
        self.trailer.keys += 1;
        self.trailer.highest = self.trailer.highest.max(position);
    }

    fn chunk(&mut self, key: u128, position: u64) {
        self.begin_entry(BlockKind::Chunks);
        self.block.extend_from_slice(&position.to_le_bytes());
        self.block.extend_from_slice(&key.to_le_bytes());
        self.trailer.highest = self.trailer.highest.max(position);
    }

    fn reservation(&mut self, found: &Found) {
        self.begin_entry(BlockKind::Reservations);
        found.write(&mut self.block);
    }

    fn order(&mut self, found: &orders::Found) {
        self.begin_entry(BlockKind::Orders);
        found.write(&mut self.block);
    }

    fn mark(&mut self, mark: Mark) {
        self.begin_entry(BlockKind::Marks);
        self.block.extend_from_slice(&mark.time_ms.to_le_bytes());
        self.block.extend_from_slice(&mark.position.to_le_bytes());
        self.trailer.marks += 1;
    }

    fn begin_entry(&mut self, kind: BlockKind) {
        if self.block.len() >= BLOCK_BYTES {
            self.end_block();
        }
        self.kind = kind;
        self.entries += 1;
    }

    fn begin_block(&mut self) {
        self.block.clear();
        self.block.resize(format::BLOCK_HEAD_BYTES, 0);
        self.entries = 0;
    }

    /// Writes the block, if anything is in it.
    fn end_block(&mut self) {
        if self.entries > 0 {
            let head = format::finish_block(&mut self.block, self.kind, self.entries);
            self.chain.update(&head);
            let block = std::mem::take(&mut self.block);
            self.put(&block);
            self.block = block;
        }
        self.begin_block();
    }

    /// Writes the trailer; returns the length of the file.
    fn finish(&mut self) -> io::Result<u64> {
        let chain: Hash = *self.chain.finalize().as_bytes();
        self.block.extend_from_slice(&self.trailer.to_bytes(&chain));
        (self.kind, self.entries) = (BlockKind::Trailer, 1);
        self.end_block();
        self.error.take().map_or(Ok(self.offset), Err)
    }

    fn put(&mut self, bytes: &[u8]) {
        // Not for the trailer: what is whole gets its name.
        self.stopped |= self.kind != BlockKind::Trailer && self.stop.load(Ordering::Relaxed);
        if self.error.is_some() || self.stopped {
            return;
        }
        match self.file.write_at(bytes, self.offset) {
            Ok(()) => self.offset += bytes.len() as u64,
            Err(error) => self.error = Some(error),
        }
    }
}

#[cfg(test)]
mod tests;
