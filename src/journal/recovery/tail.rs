//! The end of the log: what an interrupted write leaves, told from damage.

use std::fmt;
use std::io;

use super::{Files, RecoveryError};
use crate::journal::group::{self, BODY_BYTES_MAX, Header, SECTOR};
use crate::journal::scan::{Scan, Search};
use crate::journal::watermark::GroupEnd;

/// An unfinished commit that was cut off the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cut {
    /// The segment's file.
    pub file: String,
    /// Where in the file it began.
    pub offset: u64,
    /// Where in the log it began.
    pub position: u64,
    /// The number its first movement would have had.
    pub seq: u64,
    /// The length of its remains.
    pub bytes: u64,
    /// Whether it was no group of records but a segment's footer.
    pub footer: bool,
}

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, offset, seq, bytes, .. } = self;
        let last = seq.saturating_sub(1);
        write!(
            f,
            "the last {bytes} bytes of segment {file}, from offset {offset} on, are of a commit that was not finished when the \
             service stopped, and was never acknowledged; the last movement before it is {last}"
        )
    }
}

/// What is after the last valid group of a segment that is not sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tail {
    /// Nothing was written there.
    Clean,
    /// Something that one interrupted write can have left.
    Unfinished { bytes: u64, footer: bool },
    /// Something that it cannot.
    Damaged { valid_after: Option<u64> },
}

/// Looks at what is from `offset` on, where no valid group starts. A write may reach the disk in any order and any part: a
/// first sector that is blank says nothing of those after it.
pub(super) fn look(scan: &mut Scan, offset: u64, end: &GroupEnd) -> io::Result<Tail> {
    let Some(written_end) = scan.written_end(offset)? else { return Ok(Tail::Clean) };
    match scan.search(offset + SECTOR as u64)? {
        Search::None => {}
        Search::Found(valid) => return Ok(Tail::Damaged { valid_after: Some(valid) }),
        Search::GivenUp => return Ok(Tail::Damaged { valid_after: None }),
    }
    let (header, footer) = scan.head(offset)?;
    // The bytes that one write can have touched: those that the header says, if it is there and the one expected.
    let is_next = |header: &Header| header.previous == end.hash && header.first_seq == end.next_seq;
    let body_len = header.filter(is_next).map_or(BODY_BYTES_MAX, |header| header.body_len);
    let bytes = written_end - offset;
    if bytes > group::size(body_len) as u64 {
        return Ok(Tail::Damaged { valid_after: None });
    }
    Ok(Tail::Unfinished { bytes, footer })
}

/// Overwrites the remains with zeros, and syncs. After a crash meanwhile some of them are left, in whatever order they went:
/// still no group, and cut by the next start.
pub(super) fn cut(files: &Files, cut: &Cut) -> Result<(), RecoveryError> {
    let file = files
        .segments
        .last()
        .filter(|file| file.name == cut.file)
        .expect("what is cut ends the last segment");
    let io = |source| RecoveryError::Io { file: cut.file.clone(), source };
    let len = usize::try_from(cut.bytes).expect("the length of one group at most");
    let zeros = vec![0; len];
    file.file.write_at(&zeros, cut.offset).map_err(io)?;
    file.file.sync().map_err(io)
}
