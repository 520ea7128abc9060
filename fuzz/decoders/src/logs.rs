//! A data directory, in memory, and what recovery makes of it. The first byte says whether checksums are made right, and the chain; then each file:
//! a byte for what it is, four for its length, its bytes. A segment is called what its header says, and so is a snapshot.
//!
//! - Whoever only looks finds what recovery finds, or is refused as it is.
//! - What is refused is left as it was, to the byte.
//! - What is gone on with is found again by the next start, which has nothing left to cut.
//! - No more is made than the files have room for.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use inventory::journal::control;
use inventory::journal::disk::Disk;
use inventory::journal::disk::memory::MemoryDisk;
use inventory::journal::recovery::{self, Options, Recovered, RecoveryError};
use inventory::journal::{segment, snapshot};

use crate::seal;

/// How long a file is made that says it was made longer.
const PREPARED_BYTES_MAX: u64 = 64 * 1024;

/// The least that a level takes of a file: its place in a snapshot.
const LEVEL_BYTES_MIN: usize = 28;

/// The longest error, in bytes.
const ERROR_BYTES_MAX: usize = 4 * 1024;

const OPTIONS: Options = Options { now_ms: 1_800_000_000_000, key_retention: Duration::from_hours(24) };

/// See the module.
pub fn hold(bytes: &[u8]) {
    let Some((flags, files)) = bytes.split_first() else { return };
    let disk = directory(*flags, files);
    let before = content(disk.as_ref());
    let looked = recovery::look(&disk, &OPTIONS, &|_| {});
    assert_eq!(content(disk.as_ref()), before, "who looks changes nothing");
    let recovered = match recovery::recover(&disk, &OPTIONS, &|_| {}) {
        Ok(recovered) => recovered,
        Err(error) => {
            let told = error.to_string();
            assert!(told.len() <= ERROR_BYTES_MAX, "{told}");
            let looked = looked.err().map(|error| error.to_string());
            assert_eq!(looked, Some(told), "who looks is refused as well");
            if !matches!(error, RecoveryError::Io { .. }) {
                assert_eq!(content(disk.as_ref()), before, "what is refused is left as it was");
            }
            return;
        }
    };
    let looked = looked.expect("who looks finds it as well");
    let total: usize = before.values().map(Vec::len).sum();
    assert!(recovered.heads.len() * LEVEL_BYTES_MIN <= total, "levels of nothing");
    assert_eq!(found(&looked), found(&recovered));
    let again = recovery::recover(&disk, &OPTIONS, &|_| {}).expect("what was gone on with starts again");
    assert!(again.report.cut.is_none(), "nothing is left to cut");
    assert_eq!(found(&again), found(&recovered));
}

/// The files there are.
fn directory(flags: u8, mut files: &[u8]) -> Arc<dyn Disk> {
    let disk: Arc<dyn Disk> = Arc::new(MemoryDisk::new());
    while let (Some(kind), Some(len)) = (files.first(), seal::u32_at(files, 1)) {
        let (_, rest) = files.split_at(5);
        let (bytes, rest) = rest.split_at(len.min(rest.len()));
        files = rest;
        let mut bytes = bytes.to_vec();
        let number = seal::u64_at(&bytes, 16).unwrap_or_default();
        let is_sealed = flags & 1 == 1;
        let (name, seal): (String, fn(&mut [u8], bool)) = match kind % 5 {
            0 => (segment::name(number), seal::segment),
            1 => (snapshot::name(number), |bytes, _| seal::snapshot(bytes)),
            2 => (control::NAME.to_owned(), |bytes, _| seal::control(bytes)),
            3 => ("next.segment".to_owned(), seal::segment),
            _ => ("snapshot.tmp".to_owned(), |_, _| {}),
        };
        if is_sealed {
            seal(&mut bytes, flags & 2 == 0);
        }
        if let (0, Some(prepared @ 1..=PREPARED_BYTES_MAX)) = (kind % 5, seal::u64_at(&bytes, 96)) {
            let len = usize::try_from(prepared).unwrap_or_default().max(bytes.len());
            bytes.resize(len, 0);
        }
        // The first of a name is the file.
        if let Ok(file) = disk.create(&name) {
            file.write_at(&bytes, 0).expect("memory takes it");
        }
    }
    disk
}

fn content(disk: &dyn Disk) -> BTreeMap<String, Vec<u8>> {
    let names = disk.list().expect("it is in memory");
    let content = |name: String| {
        let file = disk.open(&name).expect("it is there");
        let len = file.len().expect("it is in memory");
        let mut bytes = vec![0; usize::try_from(len).expect("it is in memory")];
        file.read_exact_at(&mut bytes, 0).expect("it is that long");
        (name, bytes)
    };
    names.into_iter().map(content).collect()
}

/// What recovery found, in words that can be compared.
fn found(recovered: &Recovered) -> String {
    let (mut levels, mut keys) = (BTreeMap::new(), BTreeMap::new());
    recovered.heads.walk(|key, head| {
        levels.insert(key.text().to_owned(), head);
    });
    // Recovery forgets those that have run out, and who looks does not: so those alone that it keeps.
    recovered.keys.marks().mark_end(recovered.end.time_ms, recovered.end.position);
    recovered.keys.expire(recovered.end.time_ms, OPTIONS.key_retention);
    recovered.keys.walk(|key, position| {
        keys.insert(key, position);
    });
    let holds = recovered.holds.clone().into_sorted();
    let orders = recovered.orders.clone().into_sorted();
    format!("{levels:?} {keys:?} {holds:?} {orders:?} {:?}", recovered.end)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// Where every checksum is right already none is changed: so `seal` has the same account of the forms as the service has.
    #[test]
    fn sealing_what_is_sound_changes_nothing() {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../corpus/logs");
        let mut sound = 0;
        for input in std::fs::read_dir(corpus).expect("a corpus") {
            let path = input.expect("a readable entry").path();
            let bytes = std::fs::read(&path).expect("a readable input");
            let Some((_, files)) = bytes.split_first() else { continue };
            let raw = directory(0, files);
            let Ok(found) = recovery::look(&raw, &OPTIONS, &|_| {}) else { continue };
            if found.report.cut.is_some() || found.heads.is_empty() {
                continue;
            }
            sound += 1;
            assert_eq!(content(directory(1, files).as_ref()), content(raw.as_ref()), "{}", path.display());
        }
        assert!(sound >= 4, "{sound}: at least one of each version of the form");
    }
}
