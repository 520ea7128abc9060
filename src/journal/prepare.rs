//! [`Preparer`]: the next segment's file, filled with zeros by a thread of its own before it is needed.
//!
//! Blocks that were written once can be written again and synced without a word to the file system's own journal: a sync
//! takes two thirds of the time (67 against 101 microseconds where it was measured). A file that is being prepared has a
//! name of its own, which recovery removes; it becomes part of the log when it is renamed.
//!
//! In memory there is nothing to fill: there a file is made when it is needed.
//!
//! **A disk that is full is noticed here**, while the segment before still has room, and nothing is lost by it. The file system is
//! asked for room first ([`Disk::room`], [`DiskFile::reserve`]), so that a full disk is not written full; a file that is shorter
//! than the one wanted is taken where there is no room for more; and what cannot be filled is removed at once. Then it is looked for
//! room again, less and less often. So it is where no file can be opened.
//!
//! With the segment goes what else is needed to begin it: a spare of the file `control` ([`Control::keep_spare`]).

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use super::control::Control;
use super::disk::{Disk, DiskFile, is_full, is_short};

/// The name of the file while it is prepared.
pub const NAME: &str = "next.segment";

/// No shorter file is taken for want of room, unless one was wanted: one that is full at once helps nobody.
pub const SHORTEST_BYTES: u64 = 1024 * 1024;

const CHUNK: usize = 1024 * 1024;

/// Between the first two looks whether there is room; each pause is twice as long as the one before it, up to the longest.
const PAUSE_FIRST: Duration = Duration::from_millis(250);
const PAUSE_LONGEST: Duration = Duration::from_secs(5);

/// How often whoever waits for the file is asked whether to wait on.
const ASK_EVERY: Duration = Duration::from_millis(50);

/// A prepared file and its length.
pub type Prepared = (Arc<dyn DiskFile>, u64);

/// Makes the next file.
#[derive(Debug)]
pub struct Preparer {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    disk: Arc<dyn Disk>,
    control: Option<Arc<Control>>,
    state: Mutex<State>,
    /// Something is in the state for who waits for the file.
    told: Condvar,
    /// Something is in the state for the thread.
    asked: Condvar,
    /// Until the next look whether there is room, in milliseconds: 0 while there is, as far as is known.
    pause_ms: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    /// How long the file must be at least.
    needed: u64,
    /// What came of it, once something did.
    outcome: Option<io::Result<Prepared>>,
    /// Looks that found no room.
    looks: u64,
    /// The thread is to look now.
    look_now: bool,
    /// The thread is to end.
    stop: bool,
}

impl Preparer {
    /// Nothing is being prepared.
    pub fn new(disk: Arc<dyn Disk>, control: Option<Arc<Control>>) -> Self {
        let shared = Shared {
            disk,
            control,
            state: Mutex::default(),
            told: Condvar::new(),
            asked: Condvar::new(),
            pause_ms: AtomicU64::new(0),
        };
        Self { shared: Arc::new(shared), thread: None }
    }

    /// Begins to prepare a file of that length, unless one is being or was prepared. At least `needed` is insisted on.
    pub fn begin(&mut self, wanted: u64, needed: u64) -> io::Result<()> {
        if self.thread.is_none() && !self.shared.disk.is_volatile() {
            *self.shared.state.lock() = State { needed, ..State::default() };
            let shared = Arc::clone(&self.shared);
            let thread = std::thread::Builder::new().name("journal-prepare".to_owned());
            self.thread = Some(thread.spawn(move || shared.run(wanted))?);
        }
        Ok(())
    }

    /// Waits until the file is prepared, or it is known that there is no room for it now. At once where none is being prepared.
    pub fn decided(&self) {
        if self.thread.is_some() {
            let mut state = self.shared.state.lock();
            while state.outcome.is_none() && state.looks == 0 {
                self.shared.told.wait(&mut state);
            }
        }
    }

    /// While there is no room for a file: how long until it is looked for again, at most.
    pub fn pause(&self) -> Option<Duration> {
        let pause_ms = self.shared.pause_ms.load(Ordering::Relaxed);
        (pause_ms > 0).then(|| Duration::from_millis(pause_ms))
    }

    /// Waits for a file that is at least `needed` long. While there is no room for one, `waits` is told every now and then
    /// how long until it is looked for again, and says whether to wait on; if not, it is looked for room once more.
    pub fn take(
        &mut self,
        wanted: u64,
        needed: u64,
        waits: &mut dyn FnMut(Duration) -> bool,
    ) -> io::Result<Prepared> {
        if self.shared.disk.is_volatile() {
            return prepare(&*self.shared.disk, wanted.max(needed), needed);
        }
        loop {
            self.begin(wanted, needed)?;
            let outcome = self.shared.outcome(needed, waits);
            self.end();
            match outcome {
                // Prepared before anybody knew of a group as long as that: another takes its place.
                Ok((_, len)) if len < needed => {}
                outcome => return outcome,
            }
        }
    }

    fn end(&mut self) {
        let Some(thread) = self.thread.take() else { return };
        self.shared.state.lock().stop = true;
        self.shared.asked.notify_all();
        // A panic in it was reported when it happened.
        let _ = thread.join();
        self.shared.pause_ms.store(0, Ordering::Relaxed);
    }
}

impl Drop for Preparer {
    fn drop(&mut self) {
        // What is left of the file is removed when the log is opened next.
        self.end();
    }
}

impl Shared {
    /// The thread: prepares the file, and looks for room until there is some.
    fn run(&self, wanted: u64) {
        let _told = ToldOnPanic(self);
        let mut pause = PAUSE_FIRST;
        loop {
            let needed = self.state.lock().needed;
            let outcome = self.prepare(wanted.max(needed), needed);
            let mut state = self.state.lock();
            match outcome {
                Err(error) if is_short(&error) && !state.stop => {
                    if state.looks == 0 {
                        tracing::warn!(%error, "the next segment of the log cannot be prepared; it is tried again");
                    }
                    state.looks += 1;
                }
                outcome => {
                    state.outcome = Some(outcome);
                    self.pause_ms.store(0, Ordering::Relaxed);
                    self.told.notify_all();
                    return;
                }
            }
            let pause_ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
            self.pause_ms.store(pause_ms, Ordering::Relaxed);
            self.told.notify_all();
            if !state.look_now && !state.stop {
                self.asked.wait_for(&mut state, pause);
            }
            state.look_now = false;
            pause = (2 * pause).min(PAUSE_LONGEST);
        }
    }

    fn prepare(&self, wanted: u64, needed: u64) -> io::Result<Prepared> {
        self.control.as_ref().map_or(Ok(()), |control| control.keep_spare())?;
        prepare(&*self.disk, wanted, needed)
    }

    /// Waits for what comes of it.
    fn outcome(&self, needed: u64, waits: &mut dyn FnMut(Duration) -> bool) -> io::Result<Prepared> {
        let mut state = self.state.lock();
        state.needed = state.needed.max(needed);
        loop {
            if let Some(outcome) = state.outcome.take() {
                return outcome;
            }
            if state.looks == 0 {
                self.told.wait(&mut state);
                continue;
            }
            let pause = Duration::from_millis(self.pause_ms.load(Ordering::Relaxed));
            let waits_on = parking_lot::MutexGuard::unlocked(&mut state, || waits(pause));
            if !waits_on {
                return self.last_look(state);
            }
            self.told.wait_for(&mut state, ASK_EVERY);
        }
    }

    fn last_look(&self, mut state: parking_lot::MutexGuard<'_, State>) -> io::Result<Prepared> {
        let looks = state.looks;
        state.look_now = true;
        self.asked.notify_all();
        while state.outcome.is_none() && state.looks == looks {
            self.told.wait(&mut state);
        }
        state.outcome.take().unwrap_or_else(|| Err(io::ErrorKind::StorageFull.into()))
    }
}

/// Nobody waits for a thread that has panicked.
struct ToldOnPanic<'s>(&'s Shared);

impl Drop for ToldOnPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.state.lock().outcome =
                Some(Err(io::Error::other("the thread that prepares files panicked")));
            self.0.told.notify_all();
        }
    }
}

/// A file of the length wanted; of less, down to the one needed, where there is no room for that.
fn prepare(disk: &dyn Disk, wanted: u64, needed: u64) -> io::Result<Prepared> {
    remove(disk);
    if disk.is_volatile() {
        let file = disk.create(NAME)?;
        file.expect_len(wanted);
        return Ok((file, wanted));
    }
    let shortest = needed.max(wanted.min(SHORTEST_BYTES));
    // Where the file system does not say, it is found out by trying.
    let room = disk.room().ok().flatten().unwrap_or(u64::MAX);
    let mut len = wanted;
    loop {
        let made = if len > room { Err(io::ErrorKind::StorageFull.into()) } else { filled(disk, len) };
        match made {
            Ok(file) => return Ok((file, len)),
            Err(error) if !is_full(&error) || len == shortest => return Err(error),
            Err(_) => len = (len / 2).max(shortest),
        }
    }
}

/// A file of zeros, synced. What could not be filled does not stay: others may have a use for the room.
fn filled(disk: &dyn Disk, len: u64) -> io::Result<Arc<dyn DiskFile>> {
    let file = emptied(disk)?;
    let zeroed = || {
        file.reserve(len)?;
        let zeros = vec![0; CHUNK];
        let mut at = 0;
        while at < len {
            let bytes = CHUNK.min(usize::try_from(len - at).unwrap_or(CHUNK));
            file.write_at(&zeros[..bytes], at)?;
            // Piece by piece: what is on its way to the disk is in the way of the log's own syncs, and 64 MiB are for a tenth of a second.
            file.sync()?;
            at += bytes as u64;
        }
        Ok(())
    };
    let outcome = zeroed();
    if outcome.is_err() {
        remove(disk);
    }
    outcome.map(|()| file)
}

/// A new file; or the one that is left of an earlier try and could not be removed, which nobody was told of.
fn emptied(disk: &dyn Disk) -> io::Result<Arc<dyn DiskFile>> {
    match disk.create(NAME) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let file = disk.open(NAME)?;
            file.set_len(0)?;
            Ok(file)
        }
        created => created,
    }
}

/// Removes what is left of an earlier try. What stays is used again.
fn remove(disk: &dyn Disk) {
    let _ = disk.remove(NAME);
}

#[cfg(test)]
mod tests;
