//! [`Pool`]: a folder of which few files are open at once, however many there are.
//!
//! A log that is kept for ever has thousands of segments, and each may be asked for: the ledger, a retry, a backup. A file that is
//! opened here holds a descriptor only while it was used lately; it is opened again when it is asked for. Who asks sees a difference
//! only if that fails, as an error of the read.
//!
//! As on a file system, what was opened can be read for as long as somebody has it, whatever becomes of its name: a file that is
//! removed or replaced is opened first, and stays open. So does a file that was written to, since a sync through another descriptor may
//! not tell of a write that failed. Files that are created are the caller's own and are not counted.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use super::{Disk, DiskFile};

/// Files that are open at once and can be closed: more than are read at a time.
pub const OPEN_MAX: usize = 64;

/// The folder.
#[derive(Debug)]
pub struct Pool {
    disk: Arc<dyn Disk>,
    files: Arc<Files>,
}

/// The files that somebody has.
#[derive(Debug)]
struct Files {
    disk: Arc<dyn Disk>,
    open_max: usize,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    /// By name. Several may have opened one.
    named: HashMap<String, Vec<Weak<Shared>>>,
    /// Those that hold a descriptor and can be closed; the first is the next to go, unless it was used since it was looked at.
    open: VecDeque<Weak<Shared>>,
}

/// A file that somebody has. It is taken off the books when it is dropped.
#[derive(Debug)]
struct Pooled {
    files: Arc<Files>,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// Follows renames.
    name: Mutex<String>,
    open: Mutex<Open>,
    /// Since it was last looked for one to close.
    used: AtomicBool,
}

/// Whether it is open, and whether it may be closed.
#[derive(Debug, Default)]
struct Open {
    file: Option<Arc<dyn DiskFile>>,
    stays: bool,
}

impl Pool {
    /// Over a folder; so many files are open at once.
    pub fn new(disk: Arc<dyn Disk>, open_max: usize) -> Self {
        let files = Files { disk: Arc::clone(&disk), open_max, inner: Mutex::default() };
        Self { disk, files: Arc::new(files) }
    }
}

impl Disk for Pool {
    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        self.disk.create(name)
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let file = self.disk.open(name)?;
        let open = Mutex::new(Open { file: Some(file), stays: false });
        let shared =
            Arc::new(Shared { name: Mutex::new(name.to_owned()), open, used: AtomicBool::new(true) });
        let mut inner = self.files.inner.lock();
        inner.named.entry(name.to_owned()).or_default().push(Arc::downgrade(&shared));
        inner.opened(&shared, self.files.open_max);
        drop(inner);
        Ok(Arc::new(Pooled { files: Arc::clone(&self.files), shared }))
    }

    fn list(&self) -> io::Result<Vec<String>> {
        self.disk.list()
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.files.keep_open(to)?;
        self.files.keep_open(from)?;
        self.disk.rename(from, to)?;
        self.files.renamed(from, to);
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.files.keep_open(name)?;
        self.disk.remove(name)
    }

    fn sync_names(&self) -> io::Result<()> {
        self.disk.sync_names()
    }

    fn room(&self) -> io::Result<Option<u64>> {
        self.disk.room()
    }

    fn is_in_place(&self) -> io::Result<()> {
        self.disk.is_in_place()
    }

    fn is_volatile(&self) -> bool {
        self.disk.is_volatile()
    }
}

impl Files {
    /// The name is about to become that of another file, or of none: whoever has this one keeps it.
    fn keep_open(&self, name: &str) -> io::Result<()> {
        let those: Vec<_> = {
            let inner = self.inner.lock();
            inner.named.get(name).into_iter().flatten().filter_map(Weak::upgrade).collect()
        };
        for shared in those {
            shared.get(self, true)?;
        }
        Ok(())
    }

    fn renamed(&self, from: &str, to: &str) {
        let mut inner = self.inner.lock();
        let those = inner.named.remove(from).unwrap_or_default();
        for shared in those.iter().filter_map(Weak::upgrade) {
            to.clone_into(&mut shared.name.lock());
        }
        inner.named.insert(to.to_owned(), those);
    }
}

impl Inner {
    /// That file holds a descriptor now: where there are too many, others are closed.
    fn opened(&mut self, shared: &Arc<Shared>, open_max: usize) {
        self.open.push_back(Arc::downgrade(shared));
        // Each is passed over once at most, for having been used.
        let mut left = 2 * self.open.len();
        while self.open.len() > open_max && left > 0 {
            left -= 1;
            let Some(next) = self.open.pop_front() else { return };
            let Some(shared) = next.upgrade() else { continue };
            if shared.used.swap(false, Ordering::Relaxed) {
                self.open.push_back(next);
            } else if !shared.close() {
                // In use right now, by somebody who waits for nothing: it is passed over.
                self.open.push_back(next);
            }
        }
    }
}

impl Shared {
    /// The open file. `stays`: it is not closed any more.
    fn get(self: &Arc<Self>, files: &Files, stays: bool) -> io::Result<Arc<dyn DiskFile>> {
        if !self.used.load(Ordering::Relaxed) {
            self.used.store(true, Ordering::Relaxed);
        }
        let mut open = self.open.lock();
        open.stays |= stays;
        if let Some(file) = &open.file {
            return Ok(Arc::clone(file));
        }
        let file = files.disk.open(&self.name.lock())?;
        open.file = Some(Arc::clone(&file));
        // Before the books are asked for: who has them closes files.
        drop(open);
        files.inner.lock().opened(self, files.open_max);
        Ok(file)
    }

    /// Closes it, unless somebody is at it; one that stays is counted no longer. Returns false where somebody is.
    fn close(&self) -> bool {
        let Some(mut open) = self.open.try_lock() else { return false };
        if !open.stays {
            open.file = None;
        }
        true
    }
}

impl DiskFile for Pooled {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.shared.get(&self.files, false)?.read_at(buffer, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.shared.get(&self.files, true)?.write_at(bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.shared.get(&self.files, true)?.sync()
    }

    fn len(&self) -> io::Result<u64> {
        self.shared.get(&self.files, false)?.len()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.shared.get(&self.files, true)?.set_len(len)
    }

    fn reserve(&self, len: u64) -> io::Result<()> {
        self.shared.get(&self.files, true)?.reserve(len)
    }
}

impl Drop for Pooled {
    fn drop(&mut self) {
        let mut inner = self.files.inner.lock();
        let name = self.shared.name.lock().clone();
        let mine = |shared: &Weak<Shared>| std::ptr::eq(shared.as_ptr(), Arc::as_ptr(&self.shared));
        if let Some(those) = inner.named.get_mut(&name) {
            those.retain(|shared| !mine(shared));
            if those.is_empty() {
                inner.named.remove(&name);
            }
        }
        if let Some(place) = inner.open.iter().position(mine) {
            inner.open.remove(place);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::disk::faulty::{Call, Fault, FaultyDisk};

    const MAX: usize = 3;

    fn read(file: &Arc<dyn DiskFile>) -> io::Result<u8> {
        let mut byte = [0];
        file.read_exact_at(&mut byte, 0).map(|()| byte[0])
    }

    /// That many files, each with its number in it, all opened.
    fn opened(files: u8) -> (FaultyDisk, Pool, Vec<Arc<dyn DiskFile>>) {
        let disk = FaultyDisk::new();
        let pool = Pool::new(disk.disk(), MAX);
        let open = |number: u8| {
            disk.put(&number.to_string(), &[number]);
            pool.open(&number.to_string()).unwrap()
        };
        let files = (0..files).map(open).collect();
        (disk, pool, files)
    }

    fn open_now(pool: &Pool) -> usize {
        let inner = pool.files.inner.lock();
        let is_open = |shared: &Arc<Shared>| shared.open.lock().file.is_some();
        inner.named.values().flatten().filter_map(Weak::upgrade).filter(is_open).count()
    }

    /// P10: however many files somebody has, few are open, and each is read as ever.
    #[test]
    fn few_of_many_files_are_open_and_all_can_be_read() {
        let (disk, pool, files) = opened(50);
        assert_eq!(open_now(&pool), MAX);
        for round in 0..3 {
            for (number, file) in files.iter().enumerate() {
                assert_eq!(usize::from(read(file).unwrap()), number, "{round}");
                assert!(open_now(&pool) <= MAX);
            }
        }
        let opens = disk.count(Call::Open);
        (0..100).for_each(|_| assert_eq!(read(&files[7]).unwrap(), 7));
        assert_eq!(disk.count(Call::Open), opens + 1, "one that is in use is not opened again and again");
        drop(files);
        let inner = pool.files.inner.lock();
        assert!(inner.named.is_empty() && inner.open.is_empty(), "nothing is left of who has gone");
    }

    /// What was opened is read whatever becomes of its name, as on a file system.
    #[test]
    fn what_is_removed_renamed_or_replaced_can_be_read_by_who_has_it() {
        let (disk, pool, files) = opened(10);
        pool.remove("0").unwrap();
        pool.rename("1", "new").unwrap();
        pool.rename("2", "3").unwrap();
        disk.put("1", &[99]);
        for (number, file) in files.iter().enumerate() {
            assert_eq!(usize::from(read(file).unwrap()), number);
        }
        assert!(pool.open("0").is_err());
        assert_eq!(read(&pool.open("3").unwrap()).unwrap(), 2);
    }

    /// A want of descriptors is an error of the read, not of the file: it is read once there is one. What cannot be kept readable is
    /// not removed.
    #[test]
    fn a_file_that_cannot_be_opened_again_is_an_error_of_that_read() {
        let (disk, pool, files) = opened(10);
        let none = || Fault::next(Call::Open, io::ErrorKind::Other).raw(24);
        disk.fail(none());
        assert!(crate::journal::disk::is_out_of_files(&read(&files[0]).unwrap_err()));
        assert_eq!(read(&files[0]).unwrap(), 0);
        disk.fail(none());
        assert!(pool.remove("1").is_err() && disk.names().contains(&"1".to_owned()));
        pool.remove("1").unwrap();
        assert_eq!(read(&files[1]).unwrap(), 1);
    }

    /// A sync through another descriptor may not tell of a write that failed.
    #[test]
    fn a_file_that_was_written_stays_open() {
        let (disk, _pool, files) = opened(10);
        files[0].write_at(&[42], 0).unwrap();
        let opens = disk.count(Call::Open);
        files[1..].iter().for_each(|file| _ = read(file).unwrap());
        files[0].sync().unwrap();
        assert_eq!((read(&files[0]).unwrap(), disk.count(Call::Open)), (42, opens + 9));
    }
}
