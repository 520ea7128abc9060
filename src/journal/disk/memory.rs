//! [`MemoryDisk`]: storage that a crash takes whole, for a service that keeps nothing.
//!
//! The journal over it is the same as over a folder, so that there is one way of recording a change. A sync does nothing here:
//! what is written is as safe as it will be. It never makes room for what is not written, and reads what is removed for as
//! long as somebody has it open, as a file system does.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use parking_lot::{Mutex, RwLock};

use super::{Disk, DiskFile};

/// A folder of files in memory.
#[derive(Debug, Default)]
pub struct MemoryDisk {
    files: Mutex<BTreeMap<String, Arc<MemoryFile>>>,
    spare: Arc<Spare>,
}

/// The room of the last file that went, for the next one: a page that was used before costs nothing, a fresh one a fault of the
/// kernel, which has to clear it. Empty most of the time.
type Spare = Mutex<Vec<u8>>;

/// A file. Readers hold the lock for one copy, so the one writer waits for a piece of a file at most.
#[derive(Debug, Default)]
struct MemoryFile {
    bytes: RwLock<Vec<u8>>,
    spare: Arc<Spare>,
}

impl Drop for MemoryFile {
    fn drop(&mut self) {
        let mut room = std::mem::take(self.bytes.get_mut());
        room.clear();
        *self.spare.lock() = room;
    }
}

impl MemoryDisk {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// Bytes of all files.
    pub fn bytes(&self) -> usize {
        self.files.lock().values().map(|file| file.bytes.read().len()).sum()
    }
}

impl Disk for MemoryDisk {
    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let mut files = self.files.lock();
        if files.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let bytes = RwLock::new(std::mem::take(&mut *self.spare.lock()));
        let file = Arc::new(MemoryFile { bytes, spare: Arc::clone(&self.spare) });
        files.insert(name.to_owned(), Arc::clone(&file));
        Ok(file)
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        match self.files.lock().get(name) {
            Some(file) => Ok(Arc::<MemoryFile>::clone(file)),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.files.lock().keys().cloned().collect())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut files = self.files.lock();
        let file = files.remove(from).ok_or(io::ErrorKind::NotFound)?;
        files.insert(to.to_owned(), file);
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        // Dropped after the lock: freeing a long file takes its time.
        let removed = self.files.lock().remove(name);
        removed.map(drop).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn sync_names(&self) -> io::Result<()> {
        Ok(())
    }

    fn is_volatile(&self) -> bool {
        true
    }
}

impl DiskFile for MemoryFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let bytes = self.bytes.read();
        let rest = &bytes[place(offset)?.min(bytes.len())..];
        let read = rest.len().min(buffer.len());
        buffer[..read].copy_from_slice(&rest[..read]);
        Ok(read)
    }

    fn write_at(&self, written: &[u8], offset: u64) -> io::Result<()> {
        let mut bytes = self.bytes.write();
        let from = place(offset)?;
        if bytes.len() < from {
            bytes.resize(from, 0);
        }
        // What is there is overwritten, the rest appended.
        let (over, appended) = written.split_at(written.len().min(bytes.len() - from));
        bytes[from..from + over.len()].copy_from_slice(over);
        bytes.extend_from_slice(appended);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.bytes.read().len() as u64)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut bytes = self.bytes.write();
        bytes.resize(place(len)?, 0);
        Ok(())
    }

    /// One allocation in place of many, each copied into the next.
    fn expect_len(&self, len: u64) {
        let mut bytes = self.bytes.write();
        let more = usize::try_from(len).unwrap_or(0).saturating_sub(bytes.len());
        bytes.reserve_exact(more);
    }
}

fn place(offset: u64) -> io::Result<usize> {
    usize::try_from(offset).map_err(|_| io::ErrorKind::InvalidInput.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_what_is_not_is_zero() {
        let disk = MemoryDisk::new();
        let file = disk.create("a").unwrap();
        assert!(file.is_empty().unwrap() && disk.create("a").is_err() && disk.open("b").is_err());
        file.write_at(b"world", 7).unwrap();
        file.write_at(b"hello, all", 0).unwrap();
        let mut bytes = [9; 20];
        assert_eq!(disk.open("a").unwrap().read_at(&mut bytes, 0).unwrap(), 12);
        assert_eq!(&bytes[..12], b"hello, allld");
        assert_eq!((file.read_at(&mut bytes, 12).unwrap(), file.read_at(&mut bytes, 99).unwrap()), (0, 0));
        file.set_len(3).unwrap();
        file.write_at(b"x", 5).unwrap();
        file.read_exact_at(&mut bytes[..6], 0).unwrap();
        assert_eq!((&bytes[..6], file.len().unwrap(), disk.bytes()), (&b"hel\0\0x"[..], 6, 6));
    }

    #[test]
    fn the_room_of_a_file_that_went_is_used_again_and_nothing_of_what_was_there_is_seen() {
        let disk = MemoryDisk::new();
        disk.create("a").unwrap().write_at(&[7; 1_000], 0).unwrap();
        disk.remove("a").unwrap();
        let file = disk.create("b").unwrap();
        assert!(disk.files.lock()["b"].bytes.read().capacity() >= 1_000 && file.is_empty().unwrap());
        file.write_at(b"x", 2).unwrap();
        let mut bytes = [9; 4];
        assert_eq!((file.read_at(&mut bytes, 0).unwrap(), &bytes[..3]), (3, &b"\0\0x"[..]));
    }

    #[test]
    fn a_file_that_is_removed_or_renamed_can_be_read_by_who_has_it_open() {
        let disk = MemoryDisk::new();
        let file = disk.create("a").unwrap();
        disk.create("b").unwrap();
        file.write_at(b"kept", 0).unwrap();
        disk.rename("a", "b").unwrap();
        assert_eq!(disk.list().unwrap(), ["b"]);
        disk.remove("b").unwrap();
        assert!(disk.remove("b").is_err() && disk.rename("b", "c").is_err() && disk.bytes() == 0);
        let mut bytes = [0; 4];
        file.read_exact_at(&mut bytes, 0).unwrap();
        assert_eq!(&bytes, b"kept");
    }
}
