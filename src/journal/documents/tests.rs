//! Tests of the module above.

use super::*;
use crate::journal::control::Content;
use crate::journal::disk::faulty::{Call, Fault, FaultyDisk};
use crate::journal::disk::memory::MemoryDisk;

const OLD: &[u8] = b"{\"old\":true}";

fn documents(disk: &FaultyDisk, directory: u128) -> Documents {
    let control = Control::unwritten(Content { directory, ..Content::fresh() });
    Documents::new(&disk.disk(), Arc::new(control))
}

/// Longer than a sector, so that it can be torn.
fn new() -> Vec<u8> {
    (0..20_000_u32).flat_map(u32::to_le_bytes).collect()
}

fn of(disk: &FaultyDisk) -> Option<Vec<u8>> {
    documents(disk, 7).read(Name::Webhooks).expect("it is whole")
}

#[test]
fn each_comes_out_as_it_went_in_and_is_the_bytes_documented() {
    let disk = FaultyDisk::new();
    let documents = documents(&disk, 7);
    for name in Name::ALL {
        assert_eq!(documents.read(name).unwrap(), None);
        documents.write(name, format!("\"{}\"", name.file()).into_bytes()).unwrap();
    }
    for name in Name::ALL {
        let found = documents.read(name).unwrap().unwrap();
        assert_eq!(found, format!("\"{}\"", name.file()).into_bytes());
        let bytes = disk.get(name.file());
        assert_eq!(bytes[..12], *b"INVDOC\r\n\x01\0\0\0");
        assert_eq!((u32::from(bytes[12]), bytes[16]), (name as u32, 7));
        assert_eq!(bytes[32..bytes.len() - 8], found);
    }
    assert_eq!(documents.check().unwrap(), []);
}

#[test]
fn in_memory_they_are_no_files() {
    let disk: Arc<dyn Disk> = Arc::new(MemoryDisk::default());
    let documents = Documents::new(&disk, Arc::new(Control::unwritten(Content::fresh())));
    documents.write(Name::Alerts, OLD.to_vec()).unwrap();
    assert_eq!(documents.read(Name::Alerts).unwrap().as_deref(), Some(OLD));
    assert_eq!(documents.read(Name::Webhooks).unwrap(), None);
    assert!(disk.list().unwrap().is_empty());
}

/// P7: whenever the power goes, the old one is there or the new one, whole; and the new one once that was said.
#[test]
fn a_crash_at_any_step_leaves_the_old_one_or_the_new_one() {
    let mut found_old = 0;
    for call in [Call::Create, Call::Write, Call::Sync, Call::Rename, Call::SyncNames] {
        for seed in 0..20 {
            let disk = FaultyDisk::new();
            documents(&disk, 7).write(Name::Webhooks, OLD.to_vec()).unwrap();
            let cut = Arc::new(Mutex::new(None));
            let to = Arc::clone(&cut);
            disk.at(call, 1, move |disk| *to.lock() = Some(disk.power_cut(seed)));
            documents(&disk, 7).write(Name::Webhooks, new()).unwrap();
            let cut = cut.lock().take().expect("it was called");
            let found = of(&cut).expect("one of the two");
            assert!(found == OLD || found == new(), "{call:?}, {seed}: {} bytes", found.len());
            found_old += usize::from(found == OLD);
            assert_eq!(of(&disk.only_synced()), Some(new()), "it was said that it is kept");
        }
    }
    assert!(found_old >= 80, "{found_old}");
}

#[test]
fn what_fails_is_told_and_leaves_the_old_one() {
    for call in [Call::Create, Call::Write, Call::Sync, Call::Rename, Call::SyncNames] {
        for kind in [io::ErrorKind::StorageFull, io::ErrorKind::Other] {
            let disk = FaultyDisk::new();
            let documents = documents(&disk, 7);
            documents.write(Name::Webhooks, OLD.to_vec()).unwrap();
            disk.fail(Fault::next(call, kind));
            let not = documents.write(Name::Webhooks, new()).unwrap_err();
            assert_eq!((not.source.kind(), not.may_be_kept), (kind, call == Call::SyncNames), "{call:?}");
            if call != Call::SyncNames {
                assert_eq!(of(&disk).as_deref(), Some(OLD), "{call:?}");
                assert_eq!(disk.names(), ["webhooks"], "{call:?}: nothing is left of it");
            }
            documents.write(Name::Webhooks, new()).unwrap();
            assert_eq!(of(&disk), Some(new()));
        }
    }
}

#[test]
fn one_that_is_damaged_or_no_longer_its_own_is_refused_by_its_name() {
    let disk = FaultyDisk::new();
    documents(&disk, 7).write(Name::Webhooks, OLD.to_vec()).unwrap();
    let whole = disk.get("webhooks");
    let refused = |bytes: &[u8]| {
        disk.put("webhooks", bytes);
        documents(&disk, 7).read(Name::Webhooks).unwrap_err().to_string()
    };
    for bit in 0..whole.len() * 8 {
        let mut flipped = whole.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(refused(&flipped).starts_with("webhooks cannot be relied on"), "bit {bit}");
    }
    for len in 0..whole.len() {
        assert!(refused(&whole[..len]).contains("it is damaged"), "cut at {len}");
    }
    disk.put("webhooks", &whole);
    disk.put("alerts", &whole);
    let documents_7 = documents(&disk, 7);
    assert!(documents_7.read(Name::Alerts).unwrap_err().to_string().starts_with("alerts cannot"));
    assert_eq!(documents_7.check().unwrap(), [(Name::Alerts, DocumentError::Other)]);
    let of_another = documents(&disk, 8).read(Name::Webhooks).unwrap_err().to_string();
    assert!(of_another.contains("another data directory"), "{of_another}");
    let copied = copy(disk.disk().as_ref(), 7, FaultyDisk::new().disk().as_ref());
    assert_eq!(copied.unwrap_err().0, Name::Alerts);
}
