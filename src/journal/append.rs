//! [`Appender`]: writes groups at the end of the log and syncs them, one segment after the other.
//!
//! What survives a crash, step by step, when a segment is full: its footer and its length (synced before anything else
//! happens); the next file under its preparing name with its header (synced before it is renamed); its name; that it is the
//! newest (both synced before a group is written to it). A crash in between leaves a sealed last segment, which recovery follows
//! with a new one, or one without a group.
//!
//! A group is written only to where there were zeros before: a segment is made long enough for the group that it is made for. So
//! a full disk is met where nothing is lost by waiting, and never by a write of which nobody knows how far it came.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::control::Control;
use super::disk::{Disk, is_short};
use super::group::{self, SECTOR};
use super::log::{Log, Segment};
use super::pace;
use super::prepare::{self, Preparer};
use super::segment::{self, Header};
use super::watermark::GroupEnd;

/// The length of the very first segment; each is twice as long as the one before it, up to the bound. So a small stock takes
/// little disk, and a large one few files.
const FIRST_BYTES: u64 = 1024 * 1024;

/// While there is no next segment, so much of this one is kept for what has been let in already: a quarter of it at most.
const RESERVE_BYTES_MAX: u64 = 1024 * 1024;

/// Between two tries of what needs a block or a descriptor more and finds none: a footer where there is no room for it, a name.
const FULL_PAUSE: Duration = Duration::from_millis(250);

/// The end of the log.
#[derive(Debug)]
pub struct Appender {
    disk: Arc<dyn Disk>,
    log: Arc<Log>,
    control: Arc<Control>,
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
        control: Arc<Control>,
        tail: Option<Arc<Segment>>,
        end: GroupEnd,
        segment_bytes: u64,
    ) -> io::Result<Self> {
        let segment = match tail {
            Some(segment) => Some(Active { len: segment.file.len()?, segment }),
            None => None,
        };
        let preparer = Preparer::new(Arc::clone(&disk), Some(Arc::clone(&control)));
        Ok(Self { disk, log, control, preparer, segment, end, segment_bytes })
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
    /// the disk is full it waits, and calls `full` again and again, with the time until the next look, which says whether to wait on.
    pub fn make_room(
        &mut self,
        body: usize,
        time_ms: u64,
        mut full: impl FnMut(Duration) -> bool,
    ) -> io::Result<u64> {
        while let Err(error) = self.control.catch_up() {
            wait_for_room(error, &mut full)?;
        }
        if body > self.body_max() {
            self.seal(&mut full)?;
            self.next_segment(time_ms, needed_for(body), &mut full)?;
        }
        Ok(self.end.position)
    }

    /// How long the body of a group may be that is to fit where the log ends.
    pub fn body_max(&self) -> usize {
        let room = usize::try_from(self.rest()).unwrap_or(usize::MAX);
        (room - room % SECTOR).saturating_sub(group::HEADER_BYTES).min(group::BODY_BYTES_MAX)
    }

    /// Looks ahead before anything is written: a disk that is nearly full is found to be so before a change is let in.
    pub fn look_ahead(&mut self) {
        let scarce = |room: u64| room < FIRST_BYTES.min(self.segment_bytes);
        if self.rest() < RESERVE_BYTES_MAX && self.disk.room().ok().flatten().is_some_and(scarce) {
            self.begin_next();
        }
    }

    /// Whether what is left is for what has been let in already: there is no next segment, and no room for one. Then, how long
    /// until it is looked for room again.
    pub fn is_tight(&self) -> Option<Duration> {
        let len = self.segment.as_ref().map_or(0, |active| active.len);
        if self.rest() > (len / 4).min(RESERVE_BYTES_MAX) {
            return None;
        }
        // Before more is let in than fits, it is known whether there is a next one: it would be waited for soon in any case.
        self.preparer.decided();
        self.preparer.pause()
    }

    /// Bytes that groups may still take of this segment, so that its footer fits as well.
    fn rest(&self) -> u64 {
        let Some(active) = &self.segment else { return 0 };
        // What is written now may be nothing that the program that began this segment could read, and is of one lineage.
        let header = &active.segment.header;
        if header.version != segment::VERSION || header.whose != Some(self.control.identity()) {
            return 0;
        }
        let used = self.end.position - active.segment.header.base;
        let footer = segment::footer_bytes(active.segment.index_len() + 1) as u64;
        active.len.saturating_sub(used + footer)
    }

    /// Writes and syncs a group, as [`group::finish`] made it. [`Appender::make_room`] came before. After an error nothing may
    /// be written any more: nobody knows what is on disk.
    pub fn append(&mut self, bytes: &[u8], end: GroupEnd) -> io::Result<()> {
        self.write(bytes)?;
        self.sync()?;
        // Synced, but where? Nobody is told of what went into a folder that another server does not find.
        self.disk.is_in_place()?;
        self.reached(bytes.len(), end);
        Ok(())
    }

    /// [`Appender::append`], but for the sync: for who writes a log of which nobody is told anything before [`Appender::sync`].
    pub fn append_unsynced(&mut self, bytes: &[u8], end: GroupEnd) -> io::Result<()> {
        self.write(bytes)?;
        self.reached(bytes.len(), end);
        Ok(())
    }

    /// Syncs what was written to the last segment: those before it were when they were sealed.
    pub fn sync(&self) -> io::Result<()> {
        self.segment.as_ref().map_or(Ok(()), |active| active.segment.file.sync())
    }

    fn write(&self, bytes: &[u8]) -> io::Result<()> {
        let segment = &self.segment.as_ref().expect("room was made").segment;
        segment.file.write_at(bytes, self.end.position - segment.header.base)
    }

    /// A group of so many bytes was written.
    fn reached(&mut self, bytes: usize, end: GroupEnd) {
        let active = self.segment.as_ref().expect("room was made");
        let segment = &active.segment;
        let offset = self.end.position - segment.header.base;
        segment.index_group(self.end.next_seq, offset);
        segment.set_end(end.position);
        self.end = end;
        // The file that follows is prepared in good time, and not before: a quiet log stays small.
        if offset + bytes as u64 > active.len / 2 {
            self.begin_next();
        }
    }

    fn begin_next(&mut self) {
        // If there is no thread for it now, it is begun once it is needed.
        let _ = self.preparer.begin(self.next_len(), needed_for(0));
    }

    fn next_len(&self) -> u64 {
        let last = self.log.segments().last().map(|last| last.end() - last.header.base);
        let active = self.segment.as_ref().map(|active| active.len);
        active.or(last).map_or(FIRST_BYTES, |len| (2 * len).next_power_of_two()).min(self.segment_bytes)
    }

    /// Ends the active segment with its footer, which may have no room where an older version, or a backup, left it.
    fn seal(&mut self, full: &mut dyn FnMut(Duration) -> bool) -> io::Result<()> {
        let Some(Active { segment, .. }) = self.segment.take() else { return Ok(()) };
        let offset = self.end.position - segment.header.base;
        let footer = segment::footer_to_bytes(&segment.index());
        while let Err(error) = segment.file.write_at(&footer, offset) {
            wait_for_room(error, full)?;
        }
        // Before the file is cut to its length: one that is shorter than it was made, and has no footer, is damaged.
        segment.file.sync()?;
        segment.file.set_len(offset + footer.len() as u64)?;
        segment.file.sync()?;
        self.end.position += footer.len() as u64;
        segment.set_end(self.end.position);
        self.let_go_of(&segment);
        Ok(())
    }

    /// The segment is only read from here on, if at all: it need not keep a descriptor of its own. If it cannot be opened now, it does.
    fn let_go_of(&self, segment: &Segment) {
        if self.disk.is_volatile() {
            return;
        }
        if let Ok(file) = self.disk.open(&segment::name(segment.header.base)) {
            self.log.replace(Arc::new(segment.through(file)));
        }
    }

    fn next_segment(
        &mut self,
        time_ms: u64,
        needed: u64,
        full: &mut dyn FnMut(Duration) -> bool,
    ) -> io::Result<()> {
        let (file, len) = self.preparer.take(self.next_len(), needed, full)?;
        let GroupEnd { position: base, next_seq: first_seq, hash: anchor, .. } = self.end;
        let (version, whose) = (segment::VERSION, Some(self.control.identity()));
        let header = Header { version, base, first_seq, time_ms, anchor, whose, prepared: len };
        file.write_at(&header.to_bytes(), 0)?;
        file.sync()?;
        // A folder may need a block more for a longer name.
        while let Err(error) = self.disk.rename(prepare::NAME, &segment::name(base)) {
            wait_for_room(error, full)?;
        }
        self.disk.sync_names()?;
        while let Err(error) = self.control.begun(base) {
            wait_for_room(error, full)?;
        }
        self.end.position = base + SECTOR as u64;
        let segment = Arc::new(Segment::new(header, file, Vec::new(), self.end.position));
        self.log.push(Arc::clone(&segment));
        self.segment = Some(Active { segment, len });
        Ok(())
    }
}

/// Waits a little for room, or for a descriptor, if that is what the error is about and the caller waits on. Nothing of what is repeated then was synced.
fn wait_for_room(error: io::Error, full: &mut dyn FnMut(Duration) -> bool) -> io::Result<()> {
    if !is_short(&error) || !full(FULL_PAUSE) {
        return Err(error);
    }
    pace::pause(FULL_PAUSE);
    Ok(())
}

/// The length of a segment that takes a group with a body of that many bytes.
fn needed_for(body: usize) -> u64 {
    (SECTOR + group::size(body) + segment::footer_bytes(1)) as u64
}
