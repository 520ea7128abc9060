//! Imports whose file could not be removed once they were applied (P8): they are never applied again, whatever comes after.

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use super::image::start;
use super::script::Deed;
use super::service::{command, config, key};
use crate::journal::disk::faulty::{Call, Fault, FaultyDisk};
use crate::journal::recovery::{self, Options};
use crate::journal::{Journal, now_ms};
use crate::store::chores::{Chores as _, ImportInto as _};
use crate::store::local::Local;
use crate::store::local::chores::Home;
use crate::store::local::import::pending;
use crate::store::{Answered, Imported, Keeping, Outcome, Store as _};
use crate::strategy::{StrategyConfig, StrategyKind};

/// What an open does over a folder, over that disk, when every key has run out.
async fn opened(disk: &FaultyDisk) -> Local {
    let disk = disk.disk();
    let options = Options { now_ms: now_ms() + 3_600_000, key_retention: Duration::ZERO };
    let unfinished = pending(&disk).expect("a folder");
    let recovered = recovery::recover(&disk, &options, &|_| {}).expect("nothing is damaged");
    let (start, _) = start(recovered);
    let mut levels = Vec::new();
    start.heads.walk(|key, head| levels.push((key.clone(), head.level)));
    let journal = Journal::start(Arc::clone(&disk), start, &config()).expect("threads");
    let home = Home { disk: Arc::clone(&disk), path: "/nowhere".into() };
    let (kind, strategy) = (StrategyKind::Mutex, StrategyConfig::default());
    let store = Local::new(kind, strategy, journal, &Keeping::default(), Some(home));
    store.restore(levels).await;
    store.finish_imports(&disk, &unfinished).await.expect("what is pending can be dealt with");
    store
}

/// 100 units of each of the levels, and a few more.
async fn import(store: &Local) -> Imported {
    let mut import = store.begin_import().expect("the only one");
    let lines: Vec<String> =
        (0..4).map(|level| format!("{{\"sku\":\"k{level}\",\"on_hand\":100}}\n")).collect();
    assert!(import.push(lines.concat().into()).await);
    match import.finish(None).await.expect("it is applied") {
        Answered { outcome: Outcome::Import(imported), replayed: false } => imported,
        other => panic!("{other:?}"),
    }
}

async fn adjust(store: &Local, delta: i64) {
    store.execute(command(&Deed::Adjust(0, delta), None)).await.expect("it is kept");
}

/// The removal fails from the moment on at which an import happens.
fn fail_removals(disk: &FaultyDisk, call: Call) {
    disk.at(Call::Rename, 1, move |disk| {
        if call == Call::SyncNames {
            // A sync of the names follows the rename; the next is that of the removal.
            return disk.fail(Fault::nth(call, 2, ErrorKind::Other));
        }
        let names = disk.names();
        let name =
            names.iter().find_map(|name| name.strip_suffix(".tmp")?.ends_with(".import").then_some(name));
        let name = name.expect("it is staged").trim_end_matches(".tmp");
        disk.fail(Fault::next(call, ErrorKind::Other).on(name));
    });
}

/// P8: over the log alone, over a snapshot, and where the removal fails at the next start as well.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_import_whose_file_stays_is_never_applied_again() {
    for (with_snapshot, call) in
        [false, true].into_iter().flat_map(|snapshot| [(snapshot, Call::Remove), (snapshot, Call::SyncNames)])
    {
        let disk = FaultyDisk::new();
        let store = opened(&disk).await;
        // The log has its first segment.
        store.execute(command(&Deed::Create(9, 1), None)).await.expect("it is kept");
        fail_removals(&disk, call);
        let imported = import(&store).await;
        assert_eq!((imported.created, imported.counted), (4, 0), "applied, and told so");
        adjust(&store, -93).await;
        let shared = Arc::clone(store.0.books.shared());
        shared.keys.forget_before(shared.watermark.position());
        assert_eq!(shared.keys.len(), 0, "every key has run out");
        if with_snapshot {
            tokio::task::block_in_place(|| store.0.books.journal().snapshots().take()).expect("room");
        }
        // A removal whose sync failed may come back: as it was before it.
        let mut left = disk.process_killed();
        if call == Call::SyncNames {
            let (name, bytes) = removed(&disk);
            left.put(&name, &bytes);
        }
        for life in ["removed again in vain", "removed", "and gone"] {
            let files = pending(&left.disk()).expect("a folder").len();
            assert_eq!(files, usize::from(life != "and gone"), "{life}");
            if life == "removed again in vain" {
                let name = pending(&left.disk()).expect("a folder").remove(0);
                left.fail(Fault::next(Call::Remove, ErrorKind::Other).on(&name));
            }
            let store = opened(&left).await;
            let level = store.read(&key(0)).await.expect("it is there");
            assert_eq!((level.on_hand(), level.version()), (7, 2), "{life}, {with_snapshot}, {call:?}");
            tokio::task::block_in_place(|| store.0.books.journal().snapshots().take()).expect("room");
            let chunks = store.0.books.shared().keys.chunks().all().len();
            assert_eq!(chunks, usize::from(life == "removed again in vain"), "{life}");
            left = left.process_killed();
        }
    }
}

/// The file of the import, which was removed, as it was.
fn removed(disk: &FaultyDisk) -> (String, Vec<u8>) {
    let synced = disk.only_synced();
    let name = pending(&synced.disk()).expect("a folder").remove(0);
    let bytes = synced.get(&name);
    (name, bytes)
}
