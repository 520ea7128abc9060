//! A snapshot: the first byte says whether its checksums and counts are made right; the rest is the file.
//!
//! - What is whole is loaded, unless it contradicts itself; what is loaded is whole.
//! - What is loaded, taken again, and loaded again, is the same.
//! - No more is made than the file has room for.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use inventory::journal::disk::Disk;
use inventory::journal::disk::memory::MemoryDisk;
use inventory::journal::heads::Heads;
use inventory::journal::holds::{self, Holds};
use inventory::journal::keys::Keys;
use inventory::journal::orders::{self, Orders};
use inventory::journal::snapshot::{self, Loaded, SnapshotError, Walked};
use inventory::journal::watermark::{GroupEnd, Watermark};

use crate::seal;

/// The least that a level takes of a file.
const LEVEL_BYTES_MIN: usize = 28;

/// What is in a snapshot.
#[derive(Default)]
struct Content {
    heads: Heads,
    keys: Keys,
    holds: holds::AllFound,
    orders: orders::AllFound,
}

/// See the module.
pub fn hold(bytes: &[u8]) {
    let Some((flags, file)) = bytes.split_first() else { return };
    let mut file = file.to_vec();
    if flags % 2 == 1 {
        seal::snapshot(&mut file);
    }
    let name = snapshot::name(seal::u64_at(&file, 16).unwrap_or_default());
    let disk = MemoryDisk::new();
    disk.create(&name).and_then(|there| there.write_at(&file, 0)).expect("memory takes it");
    let checked = snapshot::check(&disk, &name);
    let (content, loaded) = match Content::load(&disk, &name) {
        Ok(loaded) => loaded,
        Err(error) => {
            let contradicts = matches!(error, SnapshotError::Damaged { .. });
            return assert!(checked.is_err() || contradicts, "it is whole, and yet: {error}");
        }
    };
    assert_eq!(checked.ok(), Some(loaded), "what is loaded is whole");
    assert!(content.heads.len() * LEVEL_BYTES_MIN <= file.len(), "levels of nothing");
    // Behind all that it has seen, so that taking it does not wait.
    let Some(position) = loaded.highest.checked_add(1) else { return };
    let end = GroupEnd { position, ..loaded.start };
    let before = content.told();
    let (holds, orders) = (Arc::new(Holds::new(usize::MAX)), Arc::new(Orders::new(usize::MAX)));
    content.holds.into_sorted().into_iter().for_each(|found| holds.restore(found));
    content.orders.into_sorted().into_iter().for_each(|found| orders.restore(found));
    let (heads, keys) = (&content.heads, &content.keys);
    let walked = Walked { heads, keys, holds: &holds, orders: &orders, caught_up: &|| true };
    let written =
        snapshot::write(&disk, loaded.whose, &walked, &Watermark::new(end), &AtomicBool::new(false));
    let written = written.expect("memory takes it");
    let (again, loaded) =
        Content::load(&disk, &snapshot::name(written.start.position)).expect("what is written is read");
    assert_eq!(again.told(), before);
    assert_eq!(loaded.levels, written.levels);
}

impl Content {
    fn load(disk: &dyn Disk, name: &str) -> Result<(Self, Loaded), SnapshotError> {
        let mut content = Self::default();
        let Self { heads, keys, holds, orders } = &mut content;
        let loaded = snapshot::load(disk, name, heads, keys, holds, orders)?;
        Ok((content, loaded))
    }

    /// In words that can be compared.
    fn told(&self) -> String {
        let (mut levels, mut keys) = (BTreeMap::new(), BTreeMap::new());
        self.heads.walk(|key, head| {
            levels.insert(key.text().to_owned(), head);
        });
        self.keys.walk(|key, position| {
            keys.insert(key, position);
        });
        let (marks, mut chunks) = (self.keys.marks().all(), self.keys.chunks().all());
        chunks.sort_unstable();
        let (holds, orders) = (self.holds.clone().into_sorted(), self.orders.clone().into_sorted());
        format!("{levels:?} {keys:?} {marks:?} {chunks:?} {holds:?} {orders:?}")
    }
}
