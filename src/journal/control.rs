//! [`Control`]: whose the files are, and where the log ends: the file `control` of a data directory.
//!
//! Every segment and snapshot says whose it is: the *directory* it was written in, and in which *lineage*. A directory has one
//! lineage until a copy of it, a backup, is gone on with: then the copy begins another, as the history that went on after the
//! copy is taken back in it, and its numbers and versions are used again for something else.
//!
//! The file also says in which state the files were left:
//!
//! - *open*: somebody writes, or was killed. How far the log went is for the log to say, but it begins with all that was there
//!   when it was opened, and the oldest and the newest segment it had are there.
//! - *closed*: the log ends there, at that hash. Whatever is missing, or is too much, is damage.
//! - *a copy*: the same, and who goes on with it begins a lineage.
//!
//! It is replaced as a whole, under a temporary name, synced and renamed. There is none where versions 1 and 2 of the format
//! wrote: such a directory gets one when it is written to for the first time, which notes how far nobody said whose it is. Those
//! versions do not know this file, and may still go on there until a file says whose it is: so far it is advice, and follows the log.
//!
//! ```text
//!   0 magic 8 bytes, 8 version u32, 12 state u32 (1 open, 2 closed, 3 a copy), 16 directory u128,
//!  32 unsigned u64 (segments that begin before this position need not say whose they are),
//!  40 oldest u64, 48 newest u64 (bases of segments), 56 the end: position u64, next_seq u64, time_ms u64, hash 32 bytes,
//! 112 lineages u32 (in the list), 116 restores u32 (lineages there were before the last, ever),
//! 120 per lineage: id u64, the position it begins at u64; since version 2: away_ms u64, date_ms u64; then checksum u64 (BLAKE3 of all before)
//! ```

use std::hash::{BuildHasher as _, RandomState};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Buf;
use parking_lot::Mutex;
use thiserror::Error;

use super::disk::{Disk, DiskFile, is_short};
use super::group::SECTOR;
use super::watermark::GroupEnd;

/// The name of the file.
pub const NAME: &str = "control";

/// Its name while it is written. Recovery removes it.
pub const TEMPORARY: &str = "control.tmp";

/// A second one, kept for when there is no room, or no descriptor, to make another: see [`Control::keep_spare`]. Recovery removes it.
pub const SPARE: &str = "control.spare.tmp";

/// The version this program writes. 1 did not say what the service was away for.
const VERSION: u32 = 2;

/// The oldest version that is read.
const VERSION_OLDEST: u32 = 1;

const MAGIC: [u8; 8] = *b"INVCTL\r\n";
const HEAD_BYTES: usize = 120;
const TIMES_BYTES: usize = 16;
const CHECKSUM_BYTES: usize = 8;

/// Lineages that a directory may have segments of: each restore of a copy adds one, and one goes with its last segment.
const LINEAGES_MAX: usize = 4096;

/// Whose a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// The data directory it was written in, and those that were copied from it.
    pub directory: u128,
    /// The history it is of.
    pub lineage: u64,
}

/// A history that no other shares its newest part with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lineage {
    /// A random number.
    pub id: u64,
    /// The position at which it begins: what is before is that of the lineage before.
    pub from: u64,
}

/// How the files were left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Somebody writes, or was killed.
    Open = 1,
    /// The log ends where the file says.
    Closed = 2,
    /// The same, of a copy that nobody went on with.
    Copy = 3,
}

/// What the file says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    /// How the files were left.
    pub state: State,
    /// Which directory.
    pub directory: u128,
    /// Segments that begin before this position, and snapshots up to it, need not say whose they are: versions wrote them that
    /// did not.
    pub unsigned: u64,
    /// The base of the oldest segment that is not to be dropped: what is missing from there on is missed.
    pub oldest: u64,
    /// The base of the newest segment.
    pub newest: u64,
    /// Where the log ends; while it is open, where it ended when it was opened, but for the position: that has come at least as far.
    pub end: GroupEnd,
    /// Oldest first; the last is the one that is gone on with.
    pub lineages: Vec<Lineage>,
    /// How often a copy was gone on with, ever: 0 in the first lineage.
    pub restores: u32,
    /// What the service was away for in all, in milliseconds: see [`crate::clock`].
    pub away_ms: u64,
    /// What date it was where the log ended, or was gone on with; 0 if that is not known.
    pub date_ms: u64,
}

/// Why the file cannot be believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ControlError {
    /// It is not there, but files that say whose they are.
    #[error("it is missing")]
    Missing,
    /// It is not what was written.
    #[error("it is damaged")]
    Damaged,
    /// A later version of the program wrote it.
    #[error("it is of format version {0}; this program reads versions {VERSION_OLDEST} to {VERSION}")]
    Version(u32),
}

/// Why a file is not of this directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Stranger {
    /// It says that it is another's.
    #[error("it was written in another data directory")]
    Directory,
    /// It was written here or in a copy, after the histories of the two had parted.
    #[error("it is of another lineage: of what was written after this directory was copied, or to the copy")]
    Lineage,
    /// It does not say, where every file does.
    #[error("it does not say whose it is, and here everything does")]
    Unsigned,
}

/// The file, as the journal that writes keeps it.
#[derive(Debug)]
pub struct Control {
    /// None where nothing is to be kept.
    disk: Option<Arc<dyn Disk>>,
    identity: Identity,
    restores: u32,
    content: Mutex<Content>,
    /// Whoever holds the lock of the content may take this one, never the other way round.
    spare: Mutex<Option<Arc<dyn DiskFile>>>,
    /// The file does not say yet what it is to say before anything is written to the log.
    is_behind: AtomicBool,
}

impl Content {
    /// Of a directory in which nothing was written, or nothing that says whose it is.
    pub fn fresh() -> Self {
        Self {
            state: State::Open,
            directory: u128::from(random()) << 64 | u128::from(random()),
            unsigned: 0,
            oldest: 0,
            newest: 0,
            end: GroupEnd::GENESIS,
            lineages: vec![Lineage { id: random(), from: 0 }],
            restores: 0,
            away_ms: 0,
            date_ms: 0,
        }
    }

    /// Reads the file: `None` where there is none.
    pub fn read(disk: &dyn Disk) -> io::Result<Option<Result<Self, ControlError>>> {
        let file = match disk.open(NAME) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let most = HEAD_BYTES + 16 * LINEAGES_MAX + TIMES_BYTES + CHECKSUM_BYTES;
        let len = usize::try_from(file.len()?).unwrap_or(usize::MAX);
        let mut bytes = vec![0; len.min(most)];
        file.read_exact_at(&mut bytes, 0)?;
        Ok(Some(if len > most { Err(ControlError::Damaged) } else { Self::from_bytes(&bytes) }))
    }

    /// What date it was where the log ends; 0 if that is not known.
    pub fn date_at(&self, end: GroupEnd) -> u64 {
        let is_here = self.end.hash == end.hash && self.date_ms > 0;
        if is_here { self.date_ms } else { end.date_ms }
    }

    /// Where the log must end, if it was left so that this is known.
    pub fn sealed_end(&self) -> Option<GroupEnd> {
        (self.state != State::Open).then_some(self.end)
    }

    /// A position that the log had reached for certain.
    pub fn reached(&self) -> u64 {
        self.unsigned.max(self.end.position).max(self.current().from)
    }

    /// Whether anything was ever written here that says whose it is, as far as this file knows: nothing goes into a segment of that
    /// kind before the log reaches into it here ([`Control::begun`]).
    pub fn has_signed(&self) -> bool {
        self.reached() > self.unsigned
    }

    /// Whose what is written now is.
    pub fn identity(&self) -> Identity {
        Identity { directory: self.directory, lineage: self.current().id }
    }

    fn current(&self) -> Lineage {
        *self.lineages.last().expect("there is always one")
    }

    /// Whether a segment that begins at `base` may say that.
    pub fn owns_segment(&self, base: u64, whose: Option<Identity>) -> Result<(), Stranger> {
        let Some(whose) = whose else {
            return if base < self.unsigned { Ok(()) } else { Err(Stranger::Unsigned) };
        };
        let in_force = self.lineages.iter().rfind(|lineage| lineage.from <= base);
        self.is_own(whose, in_force.is_some_and(|lineage| lineage.id == whose.lineage))
    }

    /// Whether a snapshot that starts at `start`, and has seen nothing after `highest`, may say that.
    pub fn owns_snapshot(&self, start: u64, highest: u64, whose: Option<Identity>) -> Result<(), Stranger> {
        let Some(whose) = whose else {
            let is_of_nothing = start == 0 && highest == 0;
            let is_before = self.unsigned > 0 && start.max(highest) <= self.unsigned;
            return if is_of_nothing || is_before { Ok(()) } else { Err(Stranger::Unsigned) };
        };
        let at = self.lineages.iter().position(|lineage| lineage.id == whose.lineage);
        let within = |at: usize| {
            let until = self.lineages.get(at + 1).map_or(u64::MAX, |next| next.from);
            self.lineages[at].from <= start && start.max(highest) <= until
        };
        self.is_own(whose, at.is_some_and(within))
    }

    fn is_own(&self, whose: Identity, is_in_lineage: bool) -> Result<(), Stranger> {
        match whose.directory == self.directory {
            false => Err(Stranger::Directory),
            true if is_in_lineage => Ok(()),
            true => Err(Stranger::Lineage),
        }
    }

    /// Begins another lineage where the log ends. Those that have no segment any more are forgotten.
    fn part(&mut self, oldest_base: u64) -> io::Result<()> {
        let from = self.end.position;
        self.lineages.push(Lineage { id: random(), from });
        let needed = self.lineages.iter().rposition(|lineage| lineage.from <= oldest_base).unwrap_or(0);
        self.lineages.drain(..needed.min(self.lineages.len() - 1));
        if self.lineages.len() > LINEAGES_MAX {
            return Err(io::Error::other("too many lineages: it was restored from copies too often"));
        }
        self.restores = self.restores.saturating_add(1);
        Ok(())
    }

    fn to_bytes(&self) -> Vec<u8> {
        let mut bytes =
            Vec::with_capacity(HEAD_BYTES + 16 * self.lineages.len() + TIMES_BYTES + CHECKSUM_BYTES);
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&(self.state as u32).to_le_bytes());
        bytes.extend_from_slice(&self.directory.to_le_bytes());
        let GroupEnd { position, next_seq, time_ms, hash, date_ms: _ } = self.end;
        for number in [self.unsigned, self.oldest, self.newest, position, next_seq, time_ms] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        bytes.extend_from_slice(&hash);
        let count = u32::try_from(self.lineages.len()).expect("bounded");
        bytes.extend_from_slice(&count.to_le_bytes());
        bytes.extend_from_slice(&self.restores.to_le_bytes());
        for Lineage { id, from } in &self.lineages {
            bytes.extend_from_slice(&id.to_le_bytes());
            bytes.extend_from_slice(&from.to_le_bytes());
        }
        bytes.extend_from_slice(&self.away_ms.to_le_bytes());
        bytes.extend_from_slice(&self.date_ms.to_le_bytes());
        let checksum = checksum(&bytes);
        bytes.extend_from_slice(&checksum);
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self, ControlError> {
        let (checked, check) = bytes.split_last_chunk().ok_or(ControlError::Damaged)?;
        let intact = checksum(checked) == *check;
        let mut rest = checked.strip_prefix(&MAGIC).ok_or(ControlError::Damaged)?;
        let version = rest.try_get_u32_le().map_err(|_| ControlError::Damaged)?;
        // A later version may check itself otherwise: what it says of itself comes first.
        if version > VERSION || (intact && version < VERSION_OLDEST) {
            return Err(ControlError::Version(version));
        }
        if !intact || checked.len() < HEAD_BYTES + 16 {
            return Err(ControlError::Damaged);
        }
        let state = match rest.get_u32_le() {
            1 => State::Open,
            2 => State::Closed,
            3 => State::Copy,
            _ => return Err(ControlError::Damaged),
        };
        let directory = rest.get_u128_le();
        let [unsigned, oldest, newest, position, next_seq, time_ms] = [(); 6].map(|()| rest.get_u64_le());
        let (hash, mut rest) = rest.split_first_chunk().ok_or(ControlError::Damaged)?;
        // The date is in the log.
        let end = GroupEnd { position, next_seq, time_ms, hash: *hash, date_ms: 0 };
        let (count, restores) = (rest.get_u32_le() as usize, rest.get_u32_le());
        let times = if version == 1 { 0 } else { TIMES_BYTES };
        if rest.len() != 16 * count + times || count == 0 {
            return Err(ControlError::Damaged);
        }
        let lineage = |_| Lineage { id: rest.get_u64_le(), from: rest.get_u64_le() };
        let lineages = (0..count).map(lineage).collect();
        let (away_ms, date_ms) = if times == 0 { (0, 0) } else { (rest.get_u64_le(), rest.get_u64_le()) };
        Ok(Self { state, directory, unsigned, oldest, newest, end, lineages, restores, away_ms, date_ms })
    }

    /// Replaces the file, for good.
    fn write(&self, disk: &dyn Disk) -> io::Result<()> {
        // Whether there is one that stays, making it tells.
        let _ = disk.remove(TEMPORARY);
        let file = disk.create(TEMPORARY)?;
        let written = self.replace(disk, TEMPORARY, file.as_ref());
        if written.is_err() {
            // What could not be written, or not be named, is not kept from others.
            let _ = disk.remove(TEMPORARY);
        }
        written
    }

    /// The same, by a file of that name: an empty one, or one as long as this.
    fn replace(&self, disk: &dyn Disk, name: &str, file: &dyn DiskFile) -> io::Result<()> {
        file.write_at(&self.to_bytes(), 0)?;
        file.sync()?;
        disk.rename(name, NAME)?;
        disk.sync_names()
    }
}

impl Control {
    /// Of a log that nobody writes to, or that is in memory: nothing of it is written.
    pub fn unwritten(content: Content) -> Self {
        let (identity, restores) = (content.identity(), content.restores);
        let (content, is_behind) = (Mutex::new(content), AtomicBool::new(false));
        Self { disk: None, identity, restores, content, spare: Mutex::default(), is_behind }
    }

    /// Takes the files over to write: they are open from here on. The log was found to end at `end`, and its segments to have
    /// these bases, if there are any. Of a copy another lineage begins. On a disk without room the file is written later, by
    /// [`Control::catch_up`]: until then nothing may be written that says whose it is.
    pub fn open(
        disk: Arc<dyn Disk>,
        mut content: Content,
        end: GroupEnd,
        bases: Option<(u64, u64)>,
    ) -> io::Result<Self> {
        let (oldest, newest) = bases.unwrap_or_default();
        content.end = end;
        if content.state == State::Copy {
            content.part(oldest)?;
        }
        (content.state, content.oldest, content.newest) = (State::Open, oldest, newest);
        let is_behind = match content.write(disk.as_ref()) {
            Err(error) if is_short(&error) => AtomicBool::new(true),
            written => AtomicBool::new(written.map(|()| false)?),
        };
        Ok(Self { disk: Some(disk), is_behind, ..Self::unwritten(content) })
    }

    /// Before anything is written that says whose it is, to the log or beside it: sees to it that the file says so, too.
    pub fn catch_up(&self) -> io::Result<()> {
        // Acquire, with the release below: who sees that it is not behind comes after it was written.
        if !self.is_behind.load(Ordering::Acquire) {
            return Ok(());
        }
        let content = self.content.lock();
        // Again, under the lock under which it is written: the writer and the thread that takes snapshots both ask.
        if self.is_behind.load(Ordering::Relaxed) {
            self.write(&content)?;
            self.is_behind.store(false, Ordering::Release);
        }
        Ok(())
    }

    /// Whose what is written is.
    pub fn identity(&self) -> Identity {
        self.identity
    }

    /// The lineage, where it is not the first.
    pub fn restored(&self) -> Option<u64> {
        (self.restores > 0).then_some(self.identity.lineage)
    }

    /// A segment was begun, and is the newest; its header is on disk, and so the log reaches beyond that. Before anything else is
    /// written to it.
    pub fn begun(&self, base: u64) -> io::Result<()> {
        self.change(|content| {
            content.newest = base;
            content.end.position = content.end.position.max(base + SECTOR as u64);
        })
    }

    /// Segments before that one are about to be dropped: nobody misses them from here on.
    pub fn dropping(&self, oldest: u64) -> io::Result<()> {
        if self.content.lock().oldest >= oldest {
            return Ok(());
        }
        self.change(|content| content.oldest = oldest)
    }

    /// The log ends there, and nobody writes any more.
    pub fn close(&self, end: GroupEnd) -> io::Result<()> {
        self.change(|content| {
            content.date_ms = content.date_at(end);
            (content.state, content.end) = (State::Closed, end);
        })
    }

    /// Writes what the file is to say from here on; unless that fails, it counts from here on.
    fn change(&self, change: impl FnOnce(&mut Content)) -> io::Result<()> {
        let mut content = self.content.lock();
        let mut next = content.clone();
        change(&mut next);
        self.write(&next)?;
        self.is_behind.store(false, Ordering::Release);
        *content = next;
        Ok(())
    }

    /// For who holds the lock of the content.
    fn write(&self, content: &Content) -> io::Result<()> {
        let Some(disk) = &self.disk else { return Ok(()) };
        match content.write(disk.as_ref()) {
            Err(error) if is_short(&error) => {
                let mut spare = self.spare.lock();
                let Some(file) = spare.as_ref() else { return Err(error) };
                content.replace(disk.as_ref(), SPARE, file.as_ref())?;
                *spare = None;
                Ok(())
            }
            written => written,
        }
    }

    /// Sees to it that the file can be replaced once more whatever becomes of the disk: there is a second one, which is as long as any
    /// that is written while this one is open, on disk, and holds its descriptor. For who prepares the next segment, which nothing
    /// can be written to before the file says that it is the newest.
    pub fn keep_spare(&self) -> io::Result<()> {
        let Some(disk) = &self.disk else { return Ok(()) };
        // Not while the lock of the spare is held: see there.
        let bytes = self.content.lock().to_bytes();
        let mut spare = self.spare.lock();
        if spare.is_none() {
            // Whether there is one that stays, making it tells.
            let _ = disk.remove(SPARE);
            let file = disk.create(SPARE)?;
            file.write_at(&bytes, 0)?;
            file.sync()?;
            *spare = Some(file);
        }
        Ok(())
    }

    /// Writes the file of a copy whose log ends there, and whose oldest and newest segment have those bases.
    pub fn copy(&self, into: &dyn Disk, end: GroupEnd, bases: (u64, u64)) -> io::Result<u64> {
        let (oldest, newest) = bases;
        let there = self.content.lock().clone();
        let date_ms = there.date_at(end);
        let content = Content { state: State::Copy, end, oldest, newest, date_ms, ..there };
        content.write(into)?;
        Ok(content.to_bytes().len() as u64)
    }
}

fn checksum(bytes: &[u8]) -> [u8; CHECKSUM_BYTES] {
    *blake3::hash(bytes).as_bytes().first_chunk().expect("a hash has 32 bytes")
}

/// A number that nobody else has: the states of a thread are seeded by the system's randomness, once, and no two of them are the same. So
/// it costs a hash, and no call of the system: one is made for each reservation.
pub fn random() -> u64 {
    RandomState::new().hash_one(0_u8)
}

#[cfg(test)]
mod tests;
