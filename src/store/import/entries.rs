//! Levels to import as they are kept in a file: entry after entry, read back in pieces of bounded size.
//!
//! ```text
//! entry  0 line u64, 8 on_hand u64, 16 key_len u8 (its highest bit: a version is expected), 17 key (the text of a `StockKey`),
//!        then perhaps the version u64; little-endian
//! ```

use std::io;
use std::sync::Arc;

use bytes::Buf;

use crate::journal::disk::DiskFile;
use crate::stock::{Change, Operation, Precondition, Quantity, StockKey};

/// Bytes before the key.
const HEAD_BYTES: usize = 17;
/// Set in the length of the key where a version is expected. No key is that long.
const EXPECTED: u8 = 0x80;
/// The longest entry.
const ENTRY_BYTES_MAX: usize = HEAD_BYTES + EXPECTED as usize + size_of::<u64>();

/// One level to import. Ordered by key, then by line.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::store) struct Entry {
    pub(in crate::store) key: StockKey,
    /// The number of its line.
    pub(in crate::store) line: u64,
    pub(in crate::store) on_hand: u64,
    /// The version the level must have before; 0: there must be none. [`OTHER_HISTORY`]: no version is right.
    pub(in crate::store) expected: Option<u64>,
}

/// What is expected where a line names a version of a history that a restore took back. No level gets that far.
pub(in crate::store) const OTHER_HISTORY: u64 = u64::MAX;

impl Entry {
    /// Appends the entry.
    pub(in crate::store) fn write(&self, out: &mut Vec<u8>) {
        let key = self.key.text().as_bytes();
        out.extend_from_slice(&self.line.to_le_bytes());
        out.extend_from_slice(&self.on_hand.to_le_bytes());
        let flag = if self.expected.is_some() { EXPECTED } else { 0 };
        out.push(flag | u8::try_from(key.len()).expect("a key is at most 97 bytes"));
        out.extend_from_slice(key);
        out.extend(self.expected.into_iter().flat_map(u64::to_le_bytes));
    }

    /// What it does to its level.
    pub(in crate::store) fn change(&self) -> Change {
        let on_hand = Quantity::new(self.on_hand).expect("checked when the line, or the file, was read");
        let precondition = match self.expected {
            None => Precondition::Any,
            Some(0) => Precondition::Absent,
            Some(version) => Precondition::Version(version),
        };
        Change { operation: Operation::Recount { on_hand }, precondition }
    }

    /// The entry that starts here, and its length: `None` where the bytes are none.
    fn read(bytes: &[u8]) -> Option<(Self, usize)> {
        let u64_at = |at: usize| bytes.get(at..)?.try_get_u64_le().ok();
        let key_len = *bytes.get(HEAD_BYTES - 1)?;
        let end = HEAD_BYTES + usize::from(key_len & !EXPECTED);
        let key = StockKey::from_text(std::str::from_utf8(bytes.get(HEAD_BYTES..end)?).ok()?)?;
        let (expected, len) = match key_len & EXPECTED {
            0 => (None, end),
            _ => (Some(u64_at(end)?), end + size_of::<u64>()),
        };
        let on_hand = u64_at(8).filter(|&units| Quantity::new(units).is_some())?;
        Some((Self { key, line: u64_at(0)?, on_hand, expected }, len))
    }
}

/// Reads a range of a file, entry by entry.
#[derive(Debug)]
pub(in crate::store) struct Entries {
    file: Arc<dyn DiskFile>,
    /// The range that is not in the buffer yet.
    from: u64,
    to: u64,
    piece: usize,
    buffer: Vec<u8>,
    at: usize,
}

impl Entries {
    /// The entries in that range, read `piece` bytes at a time.
    pub(in crate::store) fn new(file: Arc<dyn DiskFile>, from: u64, to: u64, piece: usize) -> Self {
        Self { file, from, to, piece, buffer: Vec::new(), at: 0 }
    }

    /// The next entry: `None` at the end.
    pub(in crate::store) fn next(&mut self) -> io::Result<Option<Entry>> {
        if self.buffer.len() - self.at < ENTRY_BYTES_MAX && self.from < self.to {
            self.fill()?;
        }
        let left = &self.buffer[self.at..];
        if left.is_empty() {
            return Ok(None);
        }
        let damaged = || io::Error::new(io::ErrorKind::InvalidData, "an entry is not what was written");
        let (entry, len) = Entry::read(left).ok_or_else(damaged)?;
        self.at += len;
        Ok(Some(entry))
    }

    fn fill(&mut self) -> io::Result<()> {
        self.buffer.drain(..self.at);
        self.at = 0;
        let kept = self.buffer.len();
        let left = usize::try_from(self.to - self.from).unwrap_or(usize::MAX);
        self.buffer.resize(kept + left.min(self.piece), 0);
        self.file.read_exact_at(&mut self.buffer[kept..], self.from)?;
        self.from += (self.buffer.len() - kept) as u64;
        Ok(())
    }
}
