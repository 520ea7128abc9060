//! [`Place`]: the folder in which an import is staged.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use crate::journal::disk::{Disk, Folder};

/// The folder in which an import is staged.
#[derive(Debug)]
pub(in crate::store) struct Place {
    disk: Arc<dyn Disk>,
    /// Where nothing is to be kept: a folder that goes with this value.
    temporary: Option<PathBuf>,
}

impl Place {
    /// A folder of the store's own, which keeps what is left in it.
    pub(in crate::store) fn of_store(disk: Arc<dyn Disk>) -> Self {
        Self { disk, temporary: None }
    }

    /// A temporary one, for a store that has none of its own. What a process leaves that is killed is nobody's: the system removes it as it removes
    /// whatever is temporary.
    pub(in crate::store) fn temporary(id: u128) -> io::Result<Self> {
        let path = std::env::temp_dir().join(format!("inventory-import-{id:032x}"));
        let disk = Arc::new(Folder::open_or_create(&path)?);
        Ok(Self { disk, temporary: Some(path) })
    }

    /// Its files.
    pub(in crate::store) fn disk(&self) -> Arc<dyn Disk> {
        Arc::clone(&self.disk)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(path) = &self.temporary {
            let _ = std::fs::remove_dir_all(path);
        }
    }
}
