//! [`SmallDisk`]: a file system in memory that is soon full, made for a test. Where none can be made - that takes the rights of an administrator - it is said
//! on standard error that the test was skipped.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// Unmounted when dropped.
pub(crate) struct SmallDisk(TempDir);

impl SmallDisk {
    /// Of that size; `None`, said aloud, where it cannot be made.
    pub(crate) fn mount(test: &str, bytes: usize) -> Option<Self> {
        let folder = TempDir::new().expect("a temporary folder");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={bytes}"), "inventory-test"]);
        let outcome = mount.arg(folder.path()).output();
        if !outcome.as_ref().is_ok_and(|output| output.status.success()) {
            // Past the harness, which shows nothing of a test that passes.
            let mut aloud = std::io::stderr();
            let _ = writeln!(aloud, "SKIPPED: {test}: no file system of its own can be mounted: {outcome:?}");
            return None;
        }
        Some(Self(folder))
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// Takes so much of it.
    pub(crate) fn take(&self, bytes: usize) {
        let mut ballast = fs::File::create(self.ballast()).expect("a file");
        ballast.write_all(&vec![1; bytes]).expect("it fits");
    }

    /// Takes all that is left.
    pub(crate) fn take_all(&self) {
        let mut ballast = fs::File::create(self.ballast()).expect("a file");
        while ballast.write_all(&[1; 4_096]).is_ok() {}
    }

    /// Gives back what was taken.
    pub(crate) fn make_room(&self) {
        fs::remove_file(self.ballast()).expect("it is there");
    }

    fn ballast(&self) -> PathBuf {
        self.path().join("ballast")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Whatever is open in it goes with the process that has it.
        let _ = Command::new("umount").arg("-l").arg(self.path()).status();
    }
}
