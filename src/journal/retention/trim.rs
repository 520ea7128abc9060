//! [`Trimmer`]: keeps a log in memory within its bound, in the writer's thread, so that no load outruns it.
//!
//! The oldest segments are dropped as a new one is begun. What an idempotency key still needs of them is moved to
//! [`Kept`](crate::journal::kept::Kept) first. No snapshot is needed: nothing ever starts from what is in memory.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use crate::journal::disk::Disk;
use crate::journal::history;
use crate::journal::log::Log;
use crate::journal::segment;

/// The shortest and the longest segment in memory: short, since they are dropped whole.
const SEGMENT_BYTES: std::ops::RangeInclusive<u64> = 64 * 1024..=4 * 1024 * 1024;

/// Segments in a log that is as long as it may be.
const SEGMENTS: u64 = 16;

/// The bound of a log in memory, and what it needs to be kept.
#[derive(Debug)]
pub struct Trimmer {
    disk: Arc<dyn Disk>,
    log: Arc<Log>,
    bytes_max: u64,
    segment_bytes: u64,
    /// The positions of records under an idempotency key, in the segments that are there.
    keyed: VecDeque<u64>,
}

/// How long segments get in a log in memory that may have that many bytes.
pub fn segment_bytes(bytes_max: u64) -> u64 {
    (bytes_max / SEGMENTS).clamp(*SEGMENT_BYTES.start(), *SEGMENT_BYTES.end())
}

impl Trimmer {
    /// Keeps the log to `bytes_max`: its last segment counts as `segment_bytes` long, even while it is shorter.
    pub fn new(disk: Arc<dyn Disk>, log: Arc<Log>, bytes_max: u64, segment_bytes: u64) -> Self {
        Self { disk, log, bytes_max, segment_bytes, keyed: VecDeque::new() }
    }

    /// There is a record under an idempotency key at that position, which is above those of all before.
    pub fn keyed(&mut self, position: u64) {
        self.keyed.push_back(position);
    }

    /// Drops the oldest segments while the log is longer than it may be. Returns how many; the last segment always stays.
    pub fn trim(&mut self) -> io::Result<u64> {
        if !self.is_too_long() {
            return Ok(0);
        }
        let segments = self.log.segments();
        let Some(last) = segments.last() else { return Ok(0) };
        let end = last.header.base.saturating_add(self.segment_bytes);
        let too_long = |base: u64| end - base > self.bytes_max;
        let dropped = segments.iter().take_while(|segment| too_long(segment.header.base)).count();
        let Some(first_left) = segments.get(dropped.min(segments.len() - 1)) else { return Ok(0) };
        let before = first_left.header.base;
        self.keep_before(before)?;
        let dropped = self.log.take_before(before);
        for segment in &dropped {
            self.disk.remove(&segment::name(segment.header.base))?;
        }
        Ok(dropped.len() as u64)
    }

    /// Asked before every group: two loads under a lock that nobody holds for long.
    fn is_too_long(&self) -> bool {
        let Some((first, last)) = self.log.bases() else { return false };
        first < last && last.saturating_add(self.segment_bytes) - first > self.bytes_max
    }

    /// Moves the records under a key before that position aside. They are found there before they leave the log.
    fn keep_before(&mut self, before: u64) -> io::Result<()> {
        while let Some(position) = self.keyed.pop_front_if(|position| *position < before) {
            if self.log.kept().wants(position) {
                let record = history::record_in_log(&self.log, position).map_err(io::Error::other)?;
                self.log.kept().insert(position, record.into_boxed_slice());
            }
        }
        if self.keyed.capacity() > 4 * self.keyed.len() + 1024 {
            self.keyed.shrink_to(2 * self.keyed.len());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
