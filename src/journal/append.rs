//! [`Appender`]: writes groups at the end of the log and syncs them, one segment after the other.
//!
//! What survives a crash, step by step, when a segment is full: its footer and its length (synced before anything else
//! happens); the next file under its preparing name with its header (synced before it is renamed); its name (synced before
//! a group is written to it). A crash in between leaves a sealed last segment, which recovery follows with a new one.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::disk::Disk;
use super::group::{self, SECTOR};
use super::log::{Log, Segment};
use super::pace;
use super::prepare::{self, Preparer};
use super::segment::{self, Header};
use super::watermark::GroupEnd;

/// The length of the very first segment; each is twice as long as the one before it, up to the bound. So a small stock takes
/// little disk, and a large one few files.
const FIRST_BYTES: u64 = 1024 * 1024;

/// Between two looks whether a full disk has room again.
const FULL_PAUSE: Duration = Duration::from_millis(250);

/// The end of the log.
#[derive(Debug)]
pub struct Appender {
    disk: Arc<dyn Disk>,
    log: Arc<Log>,
    preparer: Preparer,
    segment: Option<Active>,
    end: GroupEnd,
    segment_bytes: u64,
}

#[derive(Debug)]
struct Active {
    segment: Arc<Segment>,
    /// Bytes that the file was prepared for.
    len: u64,
}

impl Appender {
    /// The log ends at `end`: in the segment `tail`, if that is not sealed.
    pub fn new(
        disk: Arc<dyn Disk>,
        log: Arc<Log>,
        tail: Option<Arc<Segment>>,
        end: GroupEnd,
        segment_bytes: u64,
    ) -> io::Result<Self> {
        let segment = match tail {
            Some(segment) => Some(Active { len: segment.file.len()?, segment }),
            None => None,
        };
        let preparer = Preparer::new(Arc::clone(&disk));
        Ok(Self { disk, log, preparer, segment, end, segment_bytes })
    }

    /// Whether it appends to storage that a crash takes whole.
    pub fn is_volatile(&self) -> bool {
        self.disk.is_volatile()
    }

    /// The end of the last group.
    pub fn end(&self) -> GroupEnd {
        self.end
    }

    /// Makes sure that a group with a body of that many bytes fits, and returns the position at which it will start. While
    /// the disk is full it waits, and calls `full` before each look, which says whether to wait on.
    pub fn make_room(
        &mut self,
        body: usize,
        time_ms: u64,
        mut full: impl FnMut() -> bool,
    ) -> io::Result<u64> {
        if body > self.body_max() {
            self.seal(&mut full)?;
            self.next_segment(time_ms, &mut full)?;
        }
        Ok(self.end.position)
    }

    /// How long the body of a group may be that is to fit where the log ends.
    pub fn body_max(&self) -> usize {
        let Some(active) = &self.segment else { return 0 };
        // What is written now may be nothing that the program that began this segment could read.
        if active.segment.header.version != segment::VERSION {
            return 0;
        }
        let used = self.end.position - active.segment.header.base;
        // A segment takes at least one group, however long.
        if used == SECTOR as u64 {
            return group::BODY_BYTES_MAX;
        }
        // Its footer fits as well, so that a disk that is full can take it.
        let footer = segment::footer_bytes(active.segment.index_len() + 1) as u64;
        let room = usize::try_from(active.len.saturating_sub(used + footer)).unwrap_or(usize::MAX);
        (room - room % SECTOR).saturating_sub(group::HEADER_BYTES).min(group::BODY_BYTES_MAX)
    }

    /// Writes and syncs a group, as [`group::finish`] made it. [`Appender::make_room`] came before. After an error nothing may
    /// be written any more: nobody knows what is on disk.
    pub fn append(&mut self, bytes: &[u8], end: GroupEnd) -> io::Result<()> {
        let active = self.segment.as_ref().expect("room was made");
        let segment = &active.segment;
        let offset = self.end.position - segment.header.base;
        segment.file.write_at(bytes, offset)?;
        segment.file.sync()?;
        // Synced, but where? Nobody is told of what went into a folder that another server does not find.
        self.disk.is_in_place()?;
        segment.index_group(self.end.next_seq, offset);
        segment.set_end(end.position);
        self.end = end;
        // The file that follows is prepared in good time, and not before: a quiet log stays small.
        if offset + bytes.len() as u64 > active.len / 2 {
            self.preparer.begin(self.next_len())?;
        }
        Ok(())
    }

    fn next_len(&self) -> u64 {
        let last = self.log.segments().last().map(|last| last.end() - last.header.base);
        let active = self.segment.as_ref().map(|active| active.len);
        active.or(last).map_or(FIRST_BYTES, |len| (2 * len).next_power_of_two()).min(self.segment_bytes)
    }

    /// Ends the active segment with its footer, which may have no room where the last group was longer than the segment.
    fn seal(&mut self, full: &mut dyn FnMut() -> bool) -> io::Result<()> {
        let Some(Active { segment, .. }) = self.segment.take() else { return Ok(()) };
        let offset = self.end.position - segment.header.base;
        let footer = segment::footer_to_bytes(&segment.index());
        while let Err(error) = segment.file.write_at(&footer, offset) {
            wait_for_room(error, full)?;
        }
        segment.file.set_len(offset + footer.len() as u64)?;
        segment.file.sync()?;
        self.end.position += footer.len() as u64;
        segment.set_end(self.end.position);
        Ok(())
    }

    fn next_segment(&mut self, time_ms: u64, full: &mut dyn FnMut() -> bool) -> io::Result<()> {
        let len = self.next_len();
        let (file, len) = loop {
            match self.preparer.take(len) {
                Ok(prepared) => break prepared,
                Err(error) => wait_for_room(error, full)?,
            }
        };
        let GroupEnd { position: base, next_seq: first_seq, hash: anchor, .. } = self.end;
        let header = Header { version: segment::VERSION, base, first_seq, time_ms, anchor };
        file.write_at(&header.to_bytes(), 0)?;
        file.sync()?;
        self.disk.rename(prepare::NAME, &segment::name(base))?;
        self.disk.sync_names()?;
        self.end.position = base + SECTOR as u64;
        let segment = Arc::new(Segment::new(header, file, Vec::new(), self.end.position));
        self.log.push(Arc::clone(&segment));
        self.segment = Some(Active { segment, len });
        Ok(())
    }
}

/// Waits a little, if that is what the error is about and the caller waits on. Nothing of what is repeated then was synced.
fn wait_for_room(error: io::Error, full: &mut dyn FnMut() -> bool) -> io::Result<()> {
    if !is_full(&error) || !full() {
        return Err(error);
    }
    pace::pause(FULL_PAUSE);
    Ok(())
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
