//! [`FaultyDisk`]: a disk in memory that fails as disks do, when a test says so, and the same way every time.
//!
//! It keeps what was written apart from what is on the platter: a write counts only after [`DiskFile::sync`], a name only
//! after [`Disk::sync_names`]. [`FaultyDisk::power_cut`] is the disk as it may be found afterwards; the disk itself goes on,
//! so one run can be cut at many moments, each with many seeds. [`Fault`]s make chosen calls fail; hooks run at chosen
//! calls, so that a test can stop the world exactly there. No threads, no clock, no randomness but the seed's.
//!
//! Where real disks differ, this one is the worse: a synced file without a synced name may be lost, writes reach the
//! platter sector by sector in any order, and what a failed sync left behind is never written by a later one that succeeds.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::sync::Arc;

use parking_lot::Mutex;

use super::Disk;
use crate::journal::control;
use crate::journal::segment::Header;
use inode::{Inode, Seeded};

mod calls;
mod inode;
#[cfg(test)]
mod tests;

/// A disk in memory. Clones are the same disk.
#[derive(Clone, Default)]
pub struct FaultyDisk {
    state: Arc<Mutex<State>>,
}

/// The kinds of calls, to say which fail and at which a hook runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Call {
    /// [`Disk::create`].
    Create,
    /// [`Disk::open`].
    Open,
    /// [`Disk::list`].
    List,
    /// [`Disk::rename`].
    Rename,
    /// [`Disk::remove`].
    Remove,
    /// [`Disk::sync_names`].
    SyncNames,
    /// [`DiskFile::read_at`].
    Read,
    /// [`DiskFile::write_at`]. One that fails has written the first half of its bytes.
    Write,
    /// [`DiskFile::sync`].
    Sync,
    /// [`DiskFile::set_len`].
    SetLen,
    /// Any call that is to change something: all but open, list and read. Nothing reports it; faults and hooks may name it.
    Change,
}

/// A call that is to fail.
#[derive(Debug, Clone)]
pub struct Fault {
    call: Call,
    nth: u64,
    kind: io::ErrorKind,
    /// The system's number of the error, where the kind does not tell it.
    raw: Option<i32>,
    file: Option<String>,
    for_good: bool,
}

type Hook = Arc<dyn Fn(&FaultyDisk) + Send + Sync>;

#[derive(Default)]
struct State {
    /// By number; a removed file stays, as somebody may have it open.
    inodes: Vec<Inode>,
    /// As the process sees them.
    names: Names,
    /// As they are certain to survive.
    synced_names: Names,
    /// What lies between.
    name_changes: Vec<NameChange>,
    /// A sync of the names has failed: no later one is worth anything.
    names_lost: bool,
    /// How many sectors all files may have.
    sectors_max: Option<usize>,
    counts: BTreeMap<Call, u64>,
    /// Files that somebody has open.
    open: usize,
    faults: Vec<Fault>,
    /// With the number of calls until they run: `None` for those that run at each.
    hooks: Vec<(Call, Option<u64>, Hook)>,
}

type Names = BTreeMap<String, usize>;

#[derive(Debug, Clone)]
enum NameChange {
    Create(String, usize),
    Rename(String, String),
    Remove(String),
}

#[derive(Debug)]
struct FaultyFile {
    disk: FaultyDisk,
    inode: usize,
}

impl Drop for FaultyFile {
    fn drop(&mut self) {
        self.disk.state.lock().open -= 1;
    }
}

impl Fault {
    /// The `nth` call of that kind from now on fails; 1 is the next one.
    pub fn nth(call: Call, nth: u64, kind: io::ErrorKind) -> Self {
        Self { call, nth, kind, raw: None, file: None, for_good: false }
    }

    /// The next call of that kind fails.
    pub fn next(call: Call, kind: io::ErrorKind) -> Self {
        Self::nth(call, 1, kind)
    }

    /// It fails with the error that has this number.
    #[must_use]
    pub fn raw(self, error: i32) -> Self {
        Self { raw: Some(error), ..self }
    }

    /// Only calls for the file that has this name when they are made count (of a rename, the old name).
    #[must_use]
    pub fn on(self, file: &str) -> Self {
        Self { file: Some(file.to_owned()), ..self }
    }

    /// All further ones fail too.
    #[must_use]
    pub fn for_good(self) -> Self {
        Self { for_good: true, ..self }
    }
}

impl FaultyDisk {
    /// An empty disk that works.
    pub fn new() -> Self {
        Self::default()
    }

    /// The disk as the journal takes it.
    pub fn disk(&self) -> Arc<dyn Disk> {
        Arc::new(self.clone())
    }

    /// Makes a call fail.
    pub fn fail(&self, fault: Fault) {
        self.state.lock().faults.push(fault);
    }

    /// Makes every call work again.
    pub fn heal(&self) {
        self.state.lock().faults.clear();
    }

    /// From now on there is room for that many bytes more, counted in sectors; without a limit if `None`. A write that
    /// does not fit writes what does and fails with `StorageFull`. A hole made by `set_len` takes no room.
    pub fn set_room(&self, bytes: Option<usize>) {
        let mut state = self.state.lock();
        state.sectors_max = bytes.map(|bytes| state.sectors() + bytes / inode::SECTOR);
    }

    /// How many calls of that kind were made, failed ones included.
    pub fn count(&self, call: Call) -> u64 {
        self.state.lock().counts.get(&call).copied().unwrap_or(0)
    }

    /// Runs `hook` at the `nth` call of that kind from now on (1 is the next one), before it takes effect. No lock is held:
    /// it may wait for another thread, cut the power, or add faults, also for this very call.
    pub fn at(&self, call: Call, nth: u64, hook: impl Fn(&Self) + Send + Sync + 'static) {
        self.state.lock().hooks.push((call, Some(nth), Arc::new(hook)));
    }

    /// Runs `hook` at every call of that kind, before it takes effect.
    pub fn at_each(&self, call: Call, hook: impl Fn(&Self) + Send + Sync + 'static) {
        self.state.lock().hooks.push((call, None, Arc::new(hook)));
    }

    /// A disk as this one may be found after the power was cut now. Of each file, what was not synced is there or not, sector
    /// by sector, and one sector that was being changed may be garbled; of the changes of names since the last sync, the
    /// first few happened. The new disk works, and shares nothing with this one.
    #[must_use]
    pub fn power_cut(&self, seed: u64) -> Self {
        let mut seeded = Seeded::new(seed);
        let state = self.state.lock();
        let mut names = state.synced_names.clone();
        let kept = seeded.below(state.name_changes.len() + 1);
        state.name_changes[..kept].iter().for_each(|change| change.apply(&mut names));
        state.found(names, |inode| inode.after_power_cut(&mut seeded))
    }

    /// The disk with what is certain to survive a power cut, and nothing else.
    #[must_use]
    pub fn only_synced(&self) -> Self {
        let state = self.state.lock();
        state.found(state.synced_names.clone(), Inode::only_synced)
    }

    /// The disk as the next process finds it when this one was killed and the power stayed on: everything written is there.
    #[must_use]
    pub fn process_killed(&self) -> Self {
        let state = self.state.lock();
        state.found(state.names.clone(), Inode::all_written)
    }

    /// As [`FaultyDisk::process_killed`], but what was not synced still is not: a power cut may follow.
    #[must_use]
    pub fn process_restarted(&self) -> Self {
        let state = self.state.lock();
        let copy = State {
            inodes: state.inodes.clone(),
            names: state.names.clone(),
            synced_names: state.synced_names.clone(),
            name_changes: state.name_changes.clone(),
            names_lost: state.names_lost,
            ..State::default()
        };
        Self { state: Arc::new(Mutex::new(copy)) }
    }

    /// How many files somebody has open, each counted as often as it is.
    pub fn open_files(&self) -> usize {
        self.state.lock().open
    }

    /// The names of all files.
    pub fn names(&self) -> Vec<String> {
        self.state.lock().names.keys().cloned().collect()
    }

    /// What is in a file, as the process sees it.
    pub fn get(&self, name: &str) -> Vec<u8> {
        let state = self.state.lock();
        state.inodes[state.names[name]].bytes()
    }

    /// Puts a file there, synced with its name.
    pub fn put(&self, name: &str, bytes: &[u8]) {
        let mut state = self.state.lock();
        let inode = state.add(Inode::of(bytes));
        state.names.insert(name.to_owned(), inode);
        state.synced_names.insert(name.to_owned(), inode);
    }

    /// Changes a file behind the back of everybody, on the platter too.
    pub fn edit(&self, name: &str, edit: impl FnOnce(&mut Vec<u8>)) {
        let mut state = self.state.lock();
        let inode = state.names[name];
        let mut bytes = state.inodes[inode].bytes();
        edit(&mut bytes);
        state.inodes[inode] = Inode::of(&bytes);
    }

    /// Flips one bit of a file, on the platter too: bit 9 is the second lowest of the second byte.
    pub fn flip_bit(&self, name: &str, bit: usize) {
        self.edit(name, |bytes| bytes[bit / 8] ^= 1 << (bit % 8));
    }

    /// The disk of which everything from that byte of that segment on was not written, nor any file that comes after it by name:
    /// as if the process had been killed before. The segment is as long as it was made, and not sealed.
    #[must_use]
    pub fn cut_at(&self, file: &str, at: usize) -> Self {
        let cut = Self::new();
        for (name, mut bytes) in self.content() {
            if name.as_str() == file {
                bytes[at..].fill(0);
                let prepared = Header::read(&bytes).map_or(0, |header| header.prepared);
                bytes.resize(bytes.len().max(usize::try_from(prepared).expect("short")), 0);
            }
            if name.as_str() == control::NAME {
                bytes = control::Content::left_open(&bytes);
            }
            if name.as_str() <= file || name.as_str() == control::NAME {
                cut.put(&name, &bytes);
            }
        }
        cut
    }

    /// All names and what is in the files, to compare with.
    pub fn content(&self) -> BTreeMap<String, Vec<u8>> {
        let state = self.state.lock();
        state.names.iter().map(|(name, &inode)| (name.clone(), state.inodes[inode].bytes())).collect()
    }

    /// Counts a call, runs the hooks that are due, then fails if it is to.
    fn called(&self, call: Call, name: impl Fn(&State) -> Option<String>) -> io::Result<()> {
        let due = self.state.lock().count(call);
        for hook in due {
            hook(self);
        }
        let mut state = self.state.lock();
        let name = name(&state);
        state.fault(call, name.as_deref())
    }

    fn called_with(&self, call: Call, name: &str) -> io::Result<()> {
        self.called(call, |_| Some(name.to_owned()))
    }
}

impl Call {
    /// Whether a call of kind `made` is one of this kind.
    fn covers(self, made: Self) -> bool {
        let changes = !matches!(made, Self::Open | Self::List | Self::Read);
        self == made || (self == Self::Change && changes)
    }
}

impl State {
    /// Counts a call and takes the hooks that are due.
    fn count(&mut self, call: Call) -> Vec<Hook> {
        *self.counts.entry(call).or_default() += 1;
        if Call::Change.covers(call) {
            *self.counts.entry(Call::Change).or_default() += 1;
        }
        let mut due = Vec::new();
        self.hooks.retain_mut(|(at, left, hook)| {
            if !at.covers(call) {
                return true;
            }
            let left = left.as_mut().map(|left| {
                *left -= 1;
                *left
            });
            if left.is_none_or(|left| left == 0) {
                due.push(Arc::clone(hook));
            }
            left != Some(0)
        });
        due
    }

    fn fault(&mut self, call: Call, name: Option<&str>) -> io::Result<()> {
        let mut result = Ok(());
        self.faults.retain_mut(|fault| {
            let meant = fault.call.covers(call) && (fault.file.is_none() || fault.file.as_deref() == name);
            if !meant {
                return true;
            }
            fault.nth = fault.nth.saturating_sub(1);
            if fault.nth == 0 {
                let told = || io::Error::new(fault.kind, "the disk was told to fail");
                result = Err(fault.raw.map_or_else(told, io::Error::from_raw_os_error));
            }
            fault.nth > 0 || fault.for_good
        });
        result
    }

    fn add(&mut self, inode: Inode) -> usize {
        self.inodes.push(inode);
        self.inodes.len() - 1
    }

    fn named(&self, name: &str) -> io::Result<usize> {
        self.names.get(name).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn name_of(&self, inode: usize) -> Option<String> {
        self.names.iter().find(|&(_, &of)| of == inode).map(|(name, _)| name.clone())
    }

    fn change_names(&mut self, change: NameChange) {
        change.apply(&mut self.names);
        self.name_changes.push(change);
    }

    /// How many sectors the files have that have a name.
    fn sectors(&self) -> usize {
        self.names.values().map(|&inode| self.inodes[inode].sectors()).sum()
    }

    /// How many sectors more there is room for.
    fn room(&self) -> usize {
        self.sectors_max.map_or(usize::MAX, |max| max.saturating_sub(self.sectors()))
    }

    /// A disk with those names, and of each file what `found` says.
    fn found(&self, names: Names, mut found: impl FnMut(&Inode) -> Inode) -> FaultyDisk {
        let mut state = Self::default();
        for (name, inode) in names {
            let inode = state.add(found(&self.inodes[inode]));
            state.names.insert(name, inode);
        }
        state.synced_names.clone_from(&state.names);
        FaultyDisk { state: Arc::new(Mutex::new(state)) }
    }
}

impl NameChange {
    fn apply(&self, names: &mut Names) {
        match self {
            Self::Create(name, inode) => {
                names.insert(name.clone(), *inode);
            }
            Self::Rename(from, to) => {
                let inode = names.remove(from).expect("changes of names are applied in order");
                names.insert(to.clone(), inode);
            }
            Self::Remove(name) => {
                names.remove(name);
            }
        }
    }
}

impl fmt::Debug for FaultyDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state.lock();
        f.debug_struct("FaultyDisk").field("names", &state.names).finish_non_exhaustive()
    }
}
