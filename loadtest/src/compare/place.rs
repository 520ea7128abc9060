//! What kind of file system servers keep their data on: on one in memory, a sync costs nothing, and durable is only a word.

use std::path::{Path, PathBuf};

/// File systems that keep nothing on a disk.
const IN_MEMORY: [&str; 2] = ["tmpfs", "ramfs"];

/// The type of the file system that a folder is on, such as `ext4`; `None` where that cannot be found out.
pub fn filesystem(folder: &Path) -> Option<String> {
    let mounts = std::fs::read_to_string("/proc/self/mounts").ok()?;
    filesystem_in(&mounts, &folder.canonicalize().ok()?)
}

/// Whether a file system is one in memory.
pub fn is_in_memory(filesystem: &str) -> bool {
    IN_MEMORY.contains(&filesystem)
}

/// The mount of the longest path that leads to the folder; of equals the last, which hides those before it. Lines are
/// `device path type options 0 0`, with a space in a path as `\040` (proc(5)).
fn filesystem_in(mounts: &str, folder: &Path) -> Option<String> {
    let mount = |line: &str| {
        let mut fields = line.split(' ').skip(1);
        let path = PathBuf::from(fields.next()?.replace("\\040", " "));
        let kind = fields.next()?.to_owned();
        folder.starts_with(&path).then(|| (path.components().count(), kind))
    };
    mounts.lines().filter_map(mount).max_by_key(|(depth, _)| *depth).map(|(_, kind)| kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_innermost_mount_counts() {
        let mounts =
            "/dev/vda / ext4 rw 0 0\ntmpfs /tmp tmpfs rw 0 0\n/dev/vdb /tmp/big\\040disk xfs rw 0 0\n";
        let of = |folder: &str| filesystem_in(mounts, Path::new(folder));
        assert_eq!(of("/var/lib").as_deref(), Some("ext4"));
        assert_eq!(of("/tmp/x").as_deref(), Some("tmpfs"));
        assert_eq!(of("/tmpfiles").as_deref(), Some("ext4"));
        assert_eq!(of("/tmp/big disk/y").as_deref(), Some("xfs"));
        assert_eq!(filesystem_in("", Path::new("/")), None);
        assert!(filesystem(Path::new("/")).is_some() && is_in_memory("tmpfs") && !is_in_memory("ext4"));
    }
}
