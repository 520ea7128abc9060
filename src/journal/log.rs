//! [`Log`]: the segments there are, for everybody who reads them; the writer alone adds to them.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::RwLock;

use super::disk::DiskFile;
use super::kept::Kept;
use super::segment::{Header, IndexEntry};

/// All segments, oldest first, without gaps.
#[derive(Debug, Default)]
pub struct Log {
    segments: RwLock<Vec<Arc<Segment>>>,
    kept: Kept,
}

/// One segment: its file, and where in it which movement is.
pub struct Segment {
    /// What its header says.
    pub header: Header,
    /// Its file. Only the writer writes to it.
    pub file: Arc<dyn DiskFile>,
    index: RwLock<Vec<IndexEntry>>,
    /// The position after its last group (after its footer, once it is sealed).
    end: AtomicU64,
}

impl Log {
    /// A log of those segments, oldest first.
    pub fn new(segments: Vec<Arc<Segment>>) -> Self {
        Self { segments: RwLock::new(segments), kept: Kept::default() }
    }

    /// All segments, oldest first.
    pub fn segments(&self) -> Vec<Arc<Segment>> {
        self.segments.read().clone()
    }

    /// Adds the segment that follows the last one.
    pub fn push(&self, segment: Arc<Segment>) {
        self.segments.write().push(segment);
    }

    /// Puts another in the place of the segment with its base.
    pub fn replace(&self, segment: Arc<Segment>) {
        let mut segments = self.segments.write();
        if let Some(there) = segments.iter_mut().find(|there| there.header.base == segment.header.base) {
            *there = segment;
        }
    }

    /// Takes the oldest segments out that end at or before `position`; their files are the caller's to remove. The last one stays.
    pub fn take_before(&self, position: u64) -> Vec<Arc<Segment>> {
        let mut segments = self.segments.write();
        let whole = segments.windows(2).take_while(|pair| pair[1].header.base <= position).count();
        segments.drain(..whole).collect()
    }

    /// The segment that holds this position: `None` where it was dropped, or not yet written.
    pub fn at_position(&self, position: u64) -> Option<Arc<Segment>> {
        let segments = self.segments.read();
        let after = segments.partition_point(|segment| segment.header.base <= position);
        segments.get(after.checked_sub(1)?).filter(|segment| position < segment.end()).cloned()
    }

    /// The segment in which the movement of that number is, if it is in any: `None` where that segment was dropped.
    pub fn at_seq(&self, seq: u64) -> Option<Arc<Segment>> {
        let segments = self.segments.read();
        // Of several that begin with the same number, all but the last have no movement.
        let after = segments.partition_point(|segment| segment.header.first_seq <= seq);
        segments.get(after.checked_sub(1)?).cloned()
    }

    /// The bases of the oldest and the newest segment.
    pub fn bases(&self) -> Option<(u64, u64)> {
        let segments = self.segments.read();
        Some((segments.first()?.header.base, segments.last()?.header.base))
    }

    /// What is kept of segments that were dropped.
    pub fn kept(&self) -> &Kept {
        &self.kept
    }

    /// The number of the oldest movement that is still there.
    pub fn first_seq(&self) -> u64 {
        self.segments.read().first().map_or(1, |segment| segment.header.first_seq)
    }

    /// Bytes of all segments, without what is preallocated.
    pub fn bytes(&self) -> u64 {
        self.segments.read().iter().map(|segment| segment.end() - segment.header.base).sum()
    }
}

impl Segment {
    /// A segment whose groups (and footer) end at that position.
    pub fn new(header: Header, file: Arc<dyn DiskFile>, index: Vec<IndexEntry>, end: u64) -> Self {
        Self { header, file, index: RwLock::new(index), end: AtomicU64::new(end) }
    }

    /// The same segment, read through another opening of its file.
    #[must_use]
    pub fn through(&self, file: Arc<dyn DiskFile>) -> Self {
        Self::new(self.header, file, self.index(), self.end())
    }

    /// The position after what was written.
    pub fn end(&self) -> u64 {
        // Acquire: whoever sees the end sees the bytes before it, as the system call that wrote them came first.
        self.end.load(Ordering::Acquire)
    }

    /// Moves the end. For the writer.
    pub fn set_end(&self, position: u64) {
        self.end.store(position, Ordering::Release);
    }

    /// Adds an entry to the sparse index, if the last one is far enough behind. For the writer, and recovery.
    pub fn index_group(&self, seq: u64, offset: u64) {
        let mut index = self.index.write();
        if index.last().is_none_or(|last| offset >= last.offset + super::segment::INDEX_EVERY) {
            index.push(IndexEntry { seq, offset });
        }
    }

    /// How many entries the sparse index has.
    pub fn index_len(&self) -> usize {
        self.index.read().len()
    }

    /// The sparse index.
    pub fn index(&self) -> Vec<IndexEntry> {
        self.index.read().clone()
    }

    /// The offset of a group from which a walk forward meets the movement of that number, if it is in this segment.
    pub fn offset_before(&self, seq: u64) -> u64 {
        let index = self.index.read();
        let after = index.partition_point(|entry| entry.seq <= seq);
        let first = super::group::SECTOR as u64;
        after.checked_sub(1).map_or(first, |entry| index[entry].offset)
    }
}

impl fmt::Debug for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Segment")
            .field("header", &self.header)
            .field("end", &self.end())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
