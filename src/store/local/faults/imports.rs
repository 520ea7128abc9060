//! Imports that have happened (P1, P8): one whose file could not be removed is never applied again, whatever comes after; and one that
//! cannot be seen through is the last thing that the process does.

use std::io::ErrorKind;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::image::start;
use super::reservations::reserve;
use super::script::Deed;
use super::service::{command, config, key};
use crate::clock::wall_ms;
use crate::journal::Journal;
use crate::journal::disk::faulty::{Call, Fault, FaultyDisk};
use crate::journal::disk::is_full;
use crate::journal::recovery::{self, Options};
use crate::stock::Once;
use crate::store::chores::{ChoreError, Chores as _, ImportError, ImportInto as _, StockForm};
use crate::store::local::chores::Home;
use crate::store::local::import::pending;
use crate::store::local::{Local, OfflineVerification, verify_offline};
use crate::store::{
    self, Answered, Command, Idempotency, Imported, Keeping, NotDone, Outcome, Store as _, Transition,
    WasApplied, Why,
};
use crate::strategy::{StrategyConfig, StrategyKind};

/// What an open does over a folder, over that disk, when every key has run out.
async fn opened(disk: &FaultyDisk) -> Local {
    let disk = disk.disk();
    let options = Options { now_ms: wall_ms() + 3_600_000, key_retention: Duration::ZERO };
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

/// 100 units of each of the levels.
async fn import(store: &Local) -> Imported {
    match try_import(store, None).await.expect("it is applied") {
        Answered { outcome: Outcome::Import(imported), replayed: false } => imported,
        other => panic!("{other:?}"),
    }
}

async fn try_import(store: &Local, once: Option<Once>) -> Result<Answered, ImportError> {
    try_import_of(store, 100, None, once).await
}

/// That many units of each of the levels; perhaps only if each is at that version.
async fn try_import_of(
    store: &Local,
    units: u64,
    version: Option<u64>,
    once: Option<Once>,
) -> Result<Answered, ImportError> {
    let mut import = store.begin_import(StockForm::Csv).expect("the only one");
    let version = version.map(|version| version.to_string()).unwrap_or_default();
    let lines: Vec<String> = (0..4).map(|level| format!("k{level},{units},{version}\n")).collect();
    assert!(import.push(format!("sku,on_hand,version\n{}", lines.concat()).into()).await);
    import.finish(once.map(|once| Box::new(Idempotency { once, version_1: None })), None).await
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
        disk.fail(Fault::next(call, ErrorKind::Other).on(&name_to_be(disk)));
    });
}

/// The name that the import which is staged is about to get.
fn name_to_be(disk: &FaultyDisk) -> String {
    let names = disk.names();
    let staged =
        names.iter().find_map(|name| name.strip_suffix(".tmp").filter(|name| name.ends_with(".import")));
    staged.expect("it is staged").to_owned()
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

/// What keeps an import from being seen through, once it has its name or is about to get it.
fn fail_midway(disk: &FaultyDisk, call: Call) {
    disk.at(Call::Rename, 1, move |disk| match call {
        Call::Read => disk.fail(Fault::next(call, ErrorKind::Other).on(&name_to_be(disk))),
        _ => disk.fail(Fault::next(call, ErrorKind::Other)),
    });
}

/// P1, P8: an import that has happened and meets a failure ends the process: nothing is acknowledged that the next start, which
/// completes it, would undo; its key is not carried out a second time meanwhile, and no backup has the half of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_import_that_cannot_be_seen_through_ends_the_process_and_the_next_start_completes_it() {
    for call in [Call::Read, Call::SyncNames] {
        let disk = FaultyDisk::new();
        let store = opened(&disk).await;
        store.execute(command(&Deed::Create(9, 1), None)).await.expect("it is kept");
        fail_midway(&disk, call);
        let once = Once { key: 77, fingerprint: [7; 32] };
        let told = try_import(&store, Some(once)).await;
        let unknown = |told: &Result<_, ImportError>| matches!(told, Err(ImportError::NotDone(not_done)) if not_done.applied == WasApplied::Unknown);
        assert!(unknown(&told), "{call:?}: {told:?}");
        disk.heal();
        let failed = store.0.books.shared().watermark.failed().expect("the process is to end");
        assert!(failed.reason.contains("import"), "{failed:?}");
        let told = store.execute(command(&Deed::Adjust(9, 1), None)).await;
        assert!(
            matches!(told, Err(NotDone { why: Why::Unavailable(_), applied: WasApplied::No })),
            "{told:?}"
        );
        let again = try_import(&store, Some(once)).await;
        let no = matches!(&again, Err(ImportError::NotDone(not_done)) if not_done.applied == WasApplied::No);
        assert!(no, "{call:?}: {again:?}");
        assert_eq!(pending(&disk.disk()).expect("a folder").len(), 1, "{call:?}: the one that has happened");
        let copied = store.back_up("half".into()).await;
        assert!(matches!(copied, Err(ChoreError::Failed(_))), "{copied:?}");
        store.shut_down().await;
        let next = opened(&disk.process_killed()).await;
        let level = next.read(&key(3)).await.expect("it is there");
        assert_eq!((level.on_hand(), level.version()), (100, 1), "{call:?}");
        let told = try_import(&next, Some(once)).await.expect("it is known");
        assert!(told.replayed, "{call:?}: {told:?}");
    }
}

/// A service that stops leaves an import to the next start as well, and that is no failure; nor is one that did not happen.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_import_that_is_left_by_a_service_that_stops_or_did_not_happen_is_no_failure() {
    for stops in [true, false] {
        let disk = FaultyDisk::new();
        let store = opened(&disk).await;
        store.execute(command(&Deed::Create(9, 1), None)).await.expect("it is kept");
        let rights = store.clone();
        disk.at(Call::Rename, 1, move |disk| {
            let (call, name) = if stops {
                (Call::Read, name_to_be(disk))
            } else {
                (Call::Rename, name_to_be(disk) + ".tmp")
            };
            disk.fail(Fault::next(call, ErrorKind::Other).on(&name));
            if stops {
                rights.stop();
            }
        });
        try_import(&store, None).await.expect_err("it was left, or did not happen");
        assert_eq!(store.0.books.shared().watermark.failed(), None, "{stops}");
        assert_eq!(pending(&disk.disk()).expect("a folder").len(), usize::from(stops));
        adjust_one(&store).await;
        store.shut_down().await;
        let next = opened(&disk.process_killed()).await;
        let level = next.read(&key(3)).await.expect("it can be read");
        assert_eq!(level.on_hand(), if stops { 100 } else { 0 });
    }
}

async fn adjust_one(store: &Local) {
    store.execute(command(&Deed::Adjust(9, 1), None)).await.expect("the service goes on");
}

/// P7: who verifies a folder with an import that is not completed is told of it, and whether the next start can complete it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn verify_tells_of_an_import_that_is_not_completed_and_finds_one_that_is_damaged() {
    let disk = FaultyDisk::new();
    let store = opened(&disk).await;
    store.execute(command(&Deed::Create(9, 1), None)).await.expect("it is kept");
    fail_midway(&disk, Call::Read);
    try_import(&store, None).await.expect_err("it was left");
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (name, bytes) in disk.process_killed().content() {
        std::fs::write(folder.path().join(name), bytes).expect("room");
    }
    let report = || match verify_offline(folder.path(), &|_, _| ()).expect("it can be read") {
        OfflineVerification::Report(report) => report,
        OfflineVerification::Damaged(told) => panic!("{told}"),
    };
    let name = pending(&disk.disk()).expect("a folder").remove(0);
    let whole = report();
    assert!(whole.is_clean(), "{whole:?}");
    assert!(
        whole.notes.iter().any(|note| note.contains(&name) && note.contains("4 levels")),
        "{:?}",
        whole.notes
    );
    let path = folder.path().join(&name);
    let mut bytes = std::fs::read(&path).expect("it is there");
    *bytes.last_mut().expect("entries") ^= 1;
    std::fs::write(&path, bytes).expect("room");
    let damaged = report();
    assert_eq!((damaged.findings_total, damaged.findings[0].file.as_deref()), (1, Some(name.as_str())));
}

/// P10: an import for which the log has no room does not happen, and keeps nobody else from writing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_import_that_the_log_has_no_room_for_does_not_happen() {
    let disk = FaultyDisk::new();
    let store = opened(&disk).await;
    store.execute(command(&Deed::Create(9, 1), None)).await.expect("it is kept");
    // Plenty for the staged file, and for a few changes.
    disk.set_room(Some(256 * 1024));
    let told = try_import(&store, None).await;
    assert!(matches!(&told, Err(ImportError::Io(error)) if is_full(error)), "{told:?}");
    assert_eq!(pending(&disk.disk()).expect("a folder"), Vec::<String>::new());
    assert!(!disk.names().iter().any(|name| name.contains(".import")), "{:?}", disk.names());
    assert_eq!(store.0.books.shared().watermark.failed(), None);
    assert!(!store.read(&key(0)).await.expect("it can be read").exists());
    adjust_one(&store).await;
    disk.set_room(Some(2 * 1024 * 1024));
    assert_eq!(import(&store).await.created, 4);
}

/// The levels that an import names, as they are.
async fn levels_of(store: &Local) -> Vec<(u64, u64)> {
    let mut levels = Vec::new();
    for level in 0..4 {
        let level = store.read(&key(level)).await.expect("it can be read");
        levels.push((level.on_hand(), level.version()));
    }
    levels
}

/// P8: versions are judged once. What has happened is completed after a crash, and what is in the log already is not refused for the versions
/// that it made itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_import_with_versions_is_completed_after_a_crash_and_not_refused() {
    for applied in [false, true] {
        let disk = FaultyDisk::new();
        let store = opened(&disk).await;
        assert_eq!(import(&store).await.created, 4);
        let once = Once { key: 78, fingerprint: [8; 32] };
        if applied {
            fail_removals(&disk, Call::Remove);
        } else {
            fail_midway(&disk, Call::Read);
        }
        let told = try_import_of(&store, 50, Some(1), Some(once)).await;
        assert_eq!(told.is_ok(), applied, "{told:?}");
        let found = disk.process_killed();
        assert_eq!(pending(&found.disk()).expect("a folder").len(), 1);
        let next = opened(&found).await;
        assert_eq!(levels_of(&next).await, [(50, 2); 4], "{applied}");
        assert_eq!(pending(&found.disk()).expect("a folder").len(), 0);
        let again = try_import_of(&next, 50, Some(1), Some(once)).await.expect("it is known");
        let Answered { outcome: Outcome::Import(imported), replayed: true } = again else {
            panic!("{again:?}")
        };
        assert_eq!((imported.counted, imported.unchanged()), (4, 0), "{applied}");
        let moved_on = try_import_of(&next, 50, Some(1), None).await;
        assert!(
            matches!(moved_on, Err(ImportError::Refused { moved_on: true, total: 4, .. })),
            "{moved_on:?}"
        );
    }
}

/// P1, P4, P8: a level that moves on between the look and the change keeps what it has, and the others keep theirs; and so it stays, also where
/// the file could not be removed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_import_whose_levels_move_on_at_the_last_moment_is_called_off_for_good() {
    for stays in [false, true] {
        let disk = FaultyDisk::new();
        let store = opened(&disk).await;
        assert_eq!(import(&store).await.created, 4);
        let (runtime, other) = (tokio::runtime::Handle::current(), store.clone());
        disk.at(Call::Rename, 1, move |disk| {
            if stays {
                disk.fail(Fault::next(Call::Remove, ErrorKind::Other).on(&name_to_be(disk)));
            }
            runtime.block_on(adjust(&other, -1));
        });
        let told = try_import_of(&store, 50, Some(1), Some(Once { key: 79, fingerprint: [9; 32] })).await;
        let Err(ImportError::Refused { moved_on: true, errors, total: 1 }) = told else { panic!("{told:?}") };
        let told =
            "line 2, version: k0@main is at version 2 now, not at version 1: it has changed since the export";
        assert_eq!(errors[0].to_string(), told);
        let expected = [(99, 2), (100, 1), (100, 1), (100, 1)];
        assert_eq!(levels_of(&store).await, expected);
        assert_eq!(store.0.books.shared().watermark.failed(), None);
        let mut found = disk.process_killed();
        for life in 0..2 {
            assert_eq!(pending(&found.disk()).expect("a folder").len(), usize::from(stays && life == 0));
            let next = opened(&found).await;
            assert_eq!(levels_of(&next).await, expected, "{life}");
            found = found.process_killed();
        }
        // Nothing came of it, so its key stands for nothing.
        let next = opened(&found).await;
        let again = try_import_of(&next, 50, None, Some(Once { key: 79, fingerprint: [9; 32] })).await;
        let Ok(Answered { outcome: Outcome::Import(imported), replayed: false }) = again else {
            panic!("{again:?}")
        };
        assert_eq!(imported.counted, 4);
    }
}

/// P8: who was told that nothing was imported is right for good: also where what stood in the way is gone, and the file is not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_import_that_was_called_off_is_not_applied_once_nothing_is_in_its_way() {
    let disk = FaultyDisk::new();
    let store = opened(&disk).await;
    assert_eq!(import(&store).await.created, 4);
    let (runtime, other, held) =
        (tokio::runtime::Handle::current(), store.clone(), Arc::new(OnceLock::new()));
    let holds = Arc::clone(&held);
    disk.at(Call::Rename, 1, move |disk| {
        disk.fail(Fault::next(Call::Remove, ErrorKind::Other).on(&name_to_be(disk)));
        let deed = reserve(&[(0, 60)], Duration::from_mins(15));
        let answered = runtime.block_on(other.execute(Command::new(deed)));
        let Ok(Answered { outcome: Outcome::Reservation(Ok(held)), .. }) = answered else {
            panic!("{answered:?}")
        };
        holds.set(held.term.id).expect("once");
    });
    let told = try_import_of(&store, 50, None, None).await;
    assert!(matches!(told, Err(ImportError::Refused { moved_on: false, total: 1, .. })), "{told:?}");
    let (id, transition) = (*held.get().expect("it was held"), Transition::Release);
    let release = Command::new(store::Deed::Settle { id, transition });
    store.execute(release).await.expect("it is kept");
    let expected = [(100, 3), (100, 1), (100, 1), (100, 1)];
    assert_eq!(levels_of(&store).await, expected);
    let found = disk.process_killed();
    assert_eq!(pending(&found.disk()).expect("a folder").len(), 1);
    assert_eq!(levels_of(&opened(&found).await).await, expected);
}

/// P1, P8: an import that changed nothing has happened all the same: what comes after it is not undone by a file that stays.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_import_that_changes_nothing_is_never_applied_later() {
    let disk = FaultyDisk::new();
    let store = opened(&disk).await;
    assert_eq!(import(&store).await.created, 4);
    fail_removals(&disk, Call::Remove);
    let again = import(&store).await;
    assert_eq!((again.created, again.counted, again.left_out, again.unchanged()), (0, 0, 0, 4));
    assert_eq!(levels_of(&store).await, [(100, 1); 4], "no movement, no version");
    adjust(&store, -93).await;
    let found = disk.process_killed();
    assert_eq!(pending(&found.disk()).expect("a folder").len(), 1);
    let next = opened(&found).await;
    assert_eq!(levels_of(&next).await, [(7, 2), (100, 1), (100, 1), (100, 1)]);
}
