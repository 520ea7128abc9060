//! [`Strict`]: a folder whose names are not believed to be on disk any more once a sync of them has failed.
//!
//! A system tells of a failure once, to whoever syncs first, and may say of the next sync that all is well although what failed was
//! never written. Snapshots, retention and imports sync the names as the writer does; if one of them meets the failure and goes on,
//! the writer would acknowledge changes in a segment that a power cut leaves without a name. So every later sync of the names fails as
//! well: whoever needs one has failed, too. A start begins anew.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{Disk, DiskFile};

/// The folder.
#[derive(Debug)]
pub struct Strict {
    disk: Arc<dyn Disk>,
    has_failed: AtomicBool,
}

impl Strict {
    /// Over a folder of which no sync has failed.
    pub fn new(disk: Arc<dyn Disk>) -> Self {
        Self { disk, has_failed: AtomicBool::new(false) }
    }
}

impl Disk for Strict {
    fn sync_names(&self) -> io::Result<()> {
        let failed = || {
            io::Error::other("a sync of the folder has failed before: nobody knows which names are on disk")
        };
        if self.has_failed.load(Ordering::Acquire) {
            return Err(failed());
        }
        self.disk.sync_names().inspect_err(|_| self.has_failed.store(true, Ordering::Release))?;
        // One that failed meanwhile may have been told of what this one was to write.
        if self.has_failed.load(Ordering::Acquire) { Err(failed()) } else { Ok(()) }
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        self.disk.create(name)
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        self.disk.open(name)
    }

    fn list(&self) -> io::Result<Vec<String>> {
        self.disk.list()
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.disk.rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.disk.remove(name)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::disk::faulty::{Call, Fault, FaultyDisk};

    /// P7: a sync of the names that failed is not followed by one that is believed.
    #[test]
    fn after_a_sync_of_names_failed_none_succeeds() {
        let disk = FaultyDisk::new();
        let strict = Strict::new(disk.disk());
        strict.sync_names().unwrap();
        disk.fail(Fault::next(Call::SyncNames, io::ErrorKind::Other));
        for _ in 0..3 {
            assert!(strict.sync_names().is_err());
        }
        assert_eq!(disk.count(Call::SyncNames), 2);
        strict.create("a").unwrap();
        assert!(Strict::new(disk.disk()).sync_names().is_ok(), "a start begins anew");
    }
}
