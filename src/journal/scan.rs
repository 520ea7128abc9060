//! [`Scan`]: reads the groups of one segment's file one after the other, in large pieces.
//!
//! It knows bytes and offsets only: whether a group belongs where it is found is for [`super::check`] to say. It takes
//! nothing it reads for granted: its buffer never grows past the longest group and one piece, and what it reads and hashes is
//! bounded, whatever the bytes say.

use std::io;
use std::sync::Arc;

use super::disk::DiskFile;
use super::group::{self, BODY_BYTES_MAX, Group, GroupError, HEADER_BYTES, SECTOR};
use super::segment;

/// What a reader of whole segments asks the file for at a time.
pub const PIECE_BYTES: usize = 2 * 1024 * 1024;

/// The bytes that a search for a valid group hashes at most. One that claims many more is no torn group but an attack or a
/// garbled file, and is treated as damage.
const SEARCH_BYTES_MAX: u64 = 1024 * 1024 * 1024;

/// A reader of one segment's file.
#[derive(Debug)]
pub struct Scan {
    file: Arc<dyn DiskFile>,
    piece: usize,
    /// Bytes of the file from `start` on, `filled` of them.
    buffer: Vec<u8>,
    start: u64,
    filled: usize,
    /// The bytes of the file that are looked at.
    end: u64,
}

/// What is at an offset.
#[derive(Debug)]
pub enum Step<'a> {
    /// A group that matches its checksum.
    Group(Group<'a>),
    /// What begins as a footer does.
    Footer,
    /// Nothing: the file ends there.
    End,
    /// Neither.
    Invalid(GroupError),
}

/// The outcome of a search for a valid group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Search {
    /// There is none.
    None,
    /// There is one at this offset.
    Found(u64),
    /// There is so much that might be one that the search was given up.
    GivenUp,
}

impl Scan {
    /// Reads the first `end` bytes of a file, `piece` bytes at a time.
    pub fn new(file: Arc<dyn DiskFile>, end: u64, piece: usize) -> Self {
        Self { file, piece, buffer: Vec::new(), start: 0, filled: 0, end }
    }

    /// What is at that offset.
    pub fn step(&mut self, offset: u64) -> io::Result<Step<'_>> {
        let head = self.window(offset, SECTOR)?;
        if head.is_empty() {
            return Ok(Step::End);
        }
        if segment::is_footer(head) {
            return Ok(Step::Footer);
        }
        let body_len = match group::read_header(head) {
            Ok(header) => header.body_len,
            Err(error) => return Ok(Step::Invalid(error)),
        };
        // It fills whole sectors: one whose padding is not there was cut, though nothing of it is missing.
        if self.end.saturating_sub(offset) < group::size(body_len) as u64 {
            return Ok(Step::Invalid(GroupError::Cut));
        }
        let bytes = self.window(offset, HEADER_BYTES + body_len)?;
        Ok(group::read(bytes).map_or_else(Step::Invalid, Step::Group))
    }

    /// What the sector at that offset looks like: a group's header, unchecked, and whether it is the beginning of a footer.
    pub fn head(&mut self, offset: u64) -> io::Result<(Option<group::Header>, bool)> {
        let head = self.window(offset, SECTOR)?;
        Ok((group::read_header(head).ok(), segment::is_footer(head)))
    }

    /// The first valid group at `from`, a multiple of the sector, or after it.
    pub fn search(&mut self, from: u64) -> io::Result<Search> {
        let (mut offset, mut hashed) = (from, 0);
        while offset < self.end {
            let head = self.window(offset, SECTOR)?;
            if let Ok(header) = group::read_header(head) {
                hashed += group::size(header.body_len) as u64;
                if hashed > SEARCH_BYTES_MAX {
                    return Ok(Search::GivenUp);
                }
                if matches!(self.step(offset)?, Step::Group(_)) {
                    return Ok(Search::Found(offset));
                }
            }
            offset += SECTOR as u64;
        }
        Ok(Search::None)
    }

    /// The offset after the last byte from `from` on that is not zero: `None` if all are.
    pub fn written_end(&mut self, from: u64) -> io::Result<Option<u64>> {
        let (mut offset, mut last) = (from, None);
        while offset < self.end {
            let piece = self.window(offset, self.piece)?;
            if piece.is_empty() {
                break;
            }
            for (at, sector) in piece.chunks(SECTOR).enumerate() {
                // Without a branch per byte: this looks at whole preallocated segments.
                if sector.iter().fold(0, |any, &byte| any | byte) != 0 {
                    let in_sector = sector.iter().rposition(|&byte| byte != 0).map_or(0, |at| at + 1);
                    last = Some(offset + (at * SECTOR + in_sector) as u64);
                }
            }
            offset += piece.len() as u64;
        }
        Ok(last)
    }

    /// The bytes from `offset` on: at least `want`, unless the file ends before.
    fn window(&mut self, offset: u64, want: usize) -> io::Result<&[u8]> {
        debug_assert!(want <= HEADER_BYTES + BODY_BYTES_MAX || want == self.piece, "bounded by the caller");
        let left = usize::try_from(self.end.saturating_sub(offset)).unwrap_or(usize::MAX);
        let want = want.min(left);
        let kept = match usize::try_from(offset.wrapping_sub(self.start)) {
            Ok(skipped) if offset >= self.start && skipped <= self.filled => {
                if self.filled - skipped >= want {
                    return Ok(&self.buffer[skipped..self.filled]);
                }
                self.buffer.copy_within(skipped..self.filled, 0);
                self.filled - skipped
            }
            _ => 0,
        };
        let fill = want.max(self.piece).min(left);
        if self.buffer.len() < fill {
            self.buffer.resize(fill, 0);
        }
        (self.start, self.filled) = (offset, kept);
        self.filled += self.file.read_at(&mut self.buffer[kept..fill], offset + kept as u64)?;
        Ok(&self.buffer[..self.filled])
    }
}
