//! The disk is full, then has room again (P7, P10): changes are turned away at once, nothing is lost, what can be shown is shown,
//! and the service goes on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use tokio::task::JoinHandle;

use super::for_each_strategy;
use super::image::Image;
use super::script::{Ask, Deed, Script};
use super::service::{SEGMENT_BYTES, Service, Told, command, config};
use crate::journal::disk::faulty::{Call, FaultyDisk};
use crate::journal::group::SECTOR;
use crate::journal::lanes::SLOTS;
use crate::store::chores::{ImportInto as _, StockForm};
use crate::store::{Answered, Chores as _, NotDone, Outcome, Store as _, WasApplied, Why};
use crate::strategy::StrategyKind;

/// Returns when the journal says that the disk is full, or has room; its failure ends the test.
async fn until(service: &Service, full: bool) {
    let shared = service.journal().shared();
    while shared.metrics.full.load(Ordering::Relaxed) != u64::from(full) {
        assert_eq!(shared.watermark.failed(), None, "a full disk is no failure");
        tokio::task::yield_now().await;
    }
}

/// Whether that is what may be told while the disk is full: that nothing was changed, or that nobody knows yet.
fn is_of_a_full_disk(not_done: &NotDone) -> bool {
    match not_done {
        NotDone { why: Why::DiskFull { retry_after }, applied: WasApplied::No }
        | NotDone { why: Why::Unwritten { retry_after }, .. } => *retry_after <= Duration::from_secs(5),
        _ => false,
    }
}

fn ask(deed: Deed) -> Ask {
    Ask { deed, key: None }
}

/// A client that asks until it is told to stop, and then says how often it was told that the disk is full.
fn client(service: &Arc<Service>, seed: u64, stop: &Arc<AtomicBool>) -> JoinHandle<u64> {
    let (service, stop) = (Arc::clone(service), Arc::clone(stop));
    let mut script = Script::new(seed, 0..4, 0..1_000);
    tokio::spawn(async move {
        let mut refused = 0;
        while !stop.load(Ordering::Relaxed) {
            if let Told::NotDone(not_done) = service.ask(&script.next()).await {
                assert!(is_of_a_full_disk(&not_done), "{not_done:?}");
                refused += 1;
            }
            tokio::task::yield_now().await;
        }
        refused
    })
}

/// Clients at work on a disk with that much room, which fills up, and then has room.
async fn fills_up_and_has_room_again(kind: StrategyKind, sectors: usize) {
    let service = Service::new(kind).await;
    service.ask(&ask(Deed::Create(0, 5))).await;
    service.disk.set_room(Some(sectors * SECTOR));
    let stop = Arc::default();
    let clients: Vec<_> = (0..3).map(|seed| client(&service, seed, &stop)).collect();
    until(&service, true).await;
    // Whoever asks is answered while the disk is full.
    while !matches!(service.ask(&ask(Deed::Adjust(0, 1))).await, Told::NotDone(not_done) if is_of_a_full_disk(&not_done))
    {
    }
    let shown = service.shown();
    for disk in [service.disk.only_synced(), service.disk.process_killed(), service.disk.power_cut(3)] {
        Image::of(&disk).expect("a full disk").assert_holds(&shown);
    }
    stop.store(true, Ordering::Relaxed);
    for client in clients {
        client.await.expect("nobody waits for room");
    }
    service.disk.set_room(None);
    until(&service, false).await;
    assert_eq!(service.ask(&ask(Deed::Many(vec![(0, 1), (7, 1)]))).await, Told::Applied);
    assert_eq!(service.journal().shared().watermark.failed(), None);
    Image::of(&service.disk.only_synced()).expect("a disk with room").assert_holds(&service.shown());
}

for_each_strategy! {
    /// P7, P10: whoever asks while the disk is full is answered at once, and the service goes on once there is room, without a restart.
    async fn a_full_disk_is_waited_out(kind: StrategyKind) {
        for sectors in [0, 5, 33] {
            fills_up_and_has_room_again(kind, sectors).await;
        }
    }
}

/// P7: wherever the room ends (in a footer, in the next segment, at its first byte or its last), it is no failure.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_may_be_full_at_any_sector() {
    for sectors in 0..20 {
        fills_up_and_has_room_again(StrategyKind::Atomic, sectors).await;
    }
}

/// P10: before what was let in lacks room, nothing more is: all of one client's changes are acknowledged or refused, none is in
/// doubt; and all that is there is shown.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_change_is_let_in_that_may_lack_room() {
    let service = Service::new(StrategyKind::Atomic).await;
    assert_eq!(service.ask(&ask(Deed::Create(0, 0))).await, Told::Applied);
    service.disk.set_room(Some(0));
    let mut applied = 0;
    let refused = loop {
        match service.ask(&ask(Deed::Adjust(0, 1))).await {
            Told::Applied => applied += 1,
            Told::NotDone(not_done) => break not_done,
            other => panic!("{other:?}"),
        }
    };
    assert!(matches!(refused, NotDone { why: Why::DiskFull { .. }, applied: WasApplied::No }), "{refused:?}");
    // Half of the segment is not kept back, though: only what lacks a next one.
    assert!(applied * SECTOR as u64 >= SEGMENT_BYTES / 2 - 4 * SECTOR as u64, "{applied}");
    assert_eq!(service.in_memory(0).await.on_hand(), applied);
    for deed in [Deed::Read(0), Deed::List] {
        assert_eq!(service.ask(&ask(deed)).await, Told::Read);
    }
    for key in [None, Some(7)] {
        for deed in [Deed::Adjust(0, 1), Deed::Many(vec![(0, 1)]), Deed::Each(vec![(0, 1)])] {
            let told = service.ask(&Ask { deed, key }).await;
            let no = |not_done: &NotDone| is_of_a_full_disk(not_done) && not_done.applied == WasApplied::No;
            assert!(matches!(&told, Told::NotDone(not_done) if no(not_done)), "{told:?}");
        }
    }
    assert_eq!(service.in_memory(0).await.on_hand(), applied);
    // The service may end now, and nothing is lost.
    service.store.shut_down().await;
    assert_eq!(service.journal().shared().watermark.failed(), None);
    Image::of(&service.disk.only_synced()).expect("a full disk").assert_holds(&service.shown());
}

/// A service whose log waits for room for one transaction that is longer than a segment: it was made, and is in no file.
async fn stalled() -> (Arc<Service>, Vec<(usize, i64)>) {
    let service = Service::new(StrategyKind::Mutex).await;
    assert_eq!(service.ask(&ask(Deed::Create(0, 5))).await, Told::Applied);
    assert_eq!(service.ask(&ask(Deed::Create(9_999, 5))).await, Told::Applied);
    // Room for a segment, and not for a transaction of twice its length.
    service.disk.set_room(Some(usize::try_from(SEGMENT_BYTES).unwrap() + 4 * SECTOR));
    let lines: Vec<_> = (0..500).map(|level| (level, 1)).collect();
    let told = service.ask(&ask(Deed::Many(lines.clone()))).await;
    let Told::NotDone(NotDone { why: Why::Unwritten { .. }, applied: WasApplied::Unknown }) = told else {
        panic!("{told:?}");
    };
    (service, lines)
}

/// P7: a group that is longer than a segment waits for a segment that is long enough. Meanwhile nothing of it is shown, whoever
/// asks for what is not on disk is told so at once, and what is on disk is shown.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_longer_than_a_segment_waits_for_room() {
    let (service, lines) = stalled().await;
    let unwritten = |told: &Told, applied: WasApplied| match told {
        Told::NotDone(NotDone { why: Why::Unwritten { .. }, applied: found }) => *found == applied,
        _ => false,
    };
    for deed in [Deed::Read(0), Deed::Read(499), Deed::List] {
        let told = service.ask(&ask(deed)).await;
        assert!(unwritten(&told, WasApplied::No), "{told:?}");
    }
    assert_eq!(service.ask(&ask(Deed::Read(9_999))).await, Told::Read);
    let told = service.ask(&ask(Deed::Adjust(9_999, 1))).await;
    assert!(matches!(told, Told::NotDone(NotDone { why: Why::DiskFull { .. }, applied: WasApplied::No })));
    for disk in [service.disk.only_synced(), service.disk.process_killed()] {
        let image = Image::of(&disk).expect("nothing was begun");
        image.assert_holds(&service.shown());
        assert_eq!(image.levels.len(), 2);
    }
    service.disk.set_room(None);
    until(&service, false).await;
    assert_eq!(service.ask(&ask(Deed::Read(499))).await, Told::Read);
    assert_eq!(service.ask(&ask(Deed::Many(lines))).await, Told::Applied);
    let image = Image::of(&service.disk.only_synced()).expect("a disk with room");
    image.assert_holds(&service.shown());
    assert_eq!(image.levels.len(), 501);
}

/// P7: a service that ends while a change waits for room says that it is lost, and nothing else is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_ends_while_changes_wait_for_room_says_what_is_lost() {
    for has_room in [false, true] {
        let (service, _) = stalled().await;
        if has_room {
            // Nobody has looked since.
            service.disk.set_room(None);
        }
        service.store.shut_down().await;
        let failed = service.journal().shared().watermark.failed().map(|failed| failed.reason.clone());
        let image = Image::of(&service.disk.only_synced()).expect("nothing was begun");
        image.assert_holds(&service.shown());
        match failed {
            Some(reason) => {
                assert!(!has_room && reason.contains("1 records"), "{reason}");
                assert_eq!(image.levels.len(), 2);
            }
            None => assert!(has_room && image.levels.len() == 501, "{}", image.levels.len()),
        }
    }
}

/// P10: many who were let in at once may be more than there is room for: each is told the truth, at once, and what they made is on
/// disk once there is room.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_was_let_in_and_lacks_room_is_told_that_nobody_knows() {
    let service = Service::new(StrategyKind::Atomic).await;
    assert_eq!(service.ask(&ask(Deed::Create(0, 0))).await, Told::Applied);
    let (synced, waits) = mpsc::channel::<()>();
    let waits = parking_lot::Mutex::new(waits);
    // All are let in while a sync takes its time.
    service.disk.at(Call::Sync, 1, move |_| _ = waits.lock().recv());
    let tasks: Vec<_> = (0..1_000).map(|_| adjusting(&service)).collect();
    while service.in_memory(0).await.on_hand() < 1_000 {
        tokio::task::yield_now().await;
    }
    service.disk.set_room(Some(0));
    drop(synced);
    let (mut applied, mut unknown) = (0, 0);
    for task in tasks {
        match task.await.unwrap() {
            Ok(_) => applied += 1,
            Err(NotDone { why: Why::Unwritten { .. }, applied: WasApplied::Unknown }) => unknown += 1,
            Err(other) => panic!("{other:?}"),
        }
    }
    assert!(applied > 0 && unknown > 0, "{applied} {unknown}");
    service.disk.set_room(None);
    until(&service, false).await;
    assert_eq!(service.ask(&ask(Deed::Read(0))).await, Told::Read);
    let image = Image::of(&service.disk.only_synced()).expect("a disk with room");
    image.assert_holds(&service.shown());
    assert_eq!(image.levels.values().next().unwrap().on_hand(), 1_000);
}

fn adjusting(service: &Arc<Service>) -> JoinHandle<Result<Answered, NotDone>> {
    let service = Arc::clone(service);
    tokio::spawn(async move { service.store.execute(command(&Deed::Adjust(0, 1), None)).await })
}

/// P10: once the lane of the journal is full, as its disk is slow, a request is turned away in bounded time, and nothing was
/// changed: the time is that of the runtime, which goes on by itself while everybody waits.
#[tokio::test(start_paused = true)]
async fn who_finds_the_lane_full_is_turned_away_unchanged() {
    let service = Service::new(StrategyKind::Atomic).await;
    assert_eq!(service.ask(&ask(Deed::Create(0, 0))).await, Told::Applied);
    let (synced, waits) = mpsc::channel::<()>();
    let waits = parking_lot::Mutex::new(waits);
    service.disk.at(Call::Sync, 1, move |_| _ = waits.lock().recv());
    let tasks: Vec<_> = (0..SLOTS + 200).map(|_| adjusting(&service)).collect();
    let refused = |outcome: &Result<Answered, NotDone>| match outcome {
        Ok(_) => false,
        Err(NotDone { why: Why::Overloaded, applied: WasApplied::No }) => true,
        Err(other) => panic!("{other:?}"),
    };
    // Longer than anybody waits for a slot: whoever found none is answered.
    while !tasks.iter().any(JoinHandle::is_finished) {
        tokio::time::advance(Duration::from_secs(3)).await;
        tokio::task::yield_now().await;
    }
    let in_memory = service.in_memory(0).await;
    drop(synced);
    let (mut applied, mut overloaded) = (0, 0);
    for task in tasks {
        *(if refused(&task.await.unwrap()) { &mut overloaded } else { &mut applied }) += 1;
    }
    assert!(overloaded > 0 && applied >= SLOTS, "{applied} applied, {overloaded} turned away");
    assert_eq!(service.in_memory(0).await.on_hand(), applied as u64);
    assert!(in_memory.on_hand() <= applied as u64);
}

/// P7: what was told while the disk was full is there after a crash, and a start on a disk that is still full lets nothing in that
/// may lack room, and loses nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_starts_on_a_full_disk_waits_for_room() {
    let service = Service::new(StrategyKind::Sharded).await;
    let mut script = Script::new(1, 0..4, 0..9);
    for _ in 0..40 {
        service.ask(&script.next()).await;
    }
    let disk: FaultyDisk = service.disk.only_synced();
    disk.set_room(Some(0));
    let shown = service.shown();
    let next = Service::open(StrategyKind::Sharded, &disk, &config()).await.expect("a start needs no room");
    Image::of(&disk.only_synced()).expect("a start changes nothing").assert_holds(&shown);
    let stop = Arc::default();
    let client = client(&next, 9, &stop);
    until(&next, true).await;
    stop.store(true, Ordering::Relaxed);
    client.await.expect("nobody waits for room");
    disk.set_room(None);
    until(&next, false).await;
    assert_eq!(next.ask(&ask(Deed::Many(vec![(0, 1)]))).await, Told::Applied);
    assert!(disk.count(Call::Create) > 0);
    Image::of(&disk.only_synced()).expect("a disk with room").assert_holds(&next.shown());
}

/// P10: a start on a disk that is full, with no room in the last segment either, lets in not even the first change.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_without_any_room_lets_in_not_even_the_first_change() {
    let disk = FaultyDisk::new();
    disk.set_room(Some(0));
    let service = Service::open(StrategyKind::Atomic, &disk, &config()).await.expect("a start needs no room");
    until(&service, true).await;
    let told = service.ask(&ask(Deed::Create(0, 5))).await;
    let Told::NotDone(NotDone { why: Why::DiskFull { .. }, applied: WasApplied::No }) = told else {
        panic!("{told:?}");
    };
    assert_eq!(service.in_memory(0).await.version(), 0);
    assert!(!disk.names().iter().any(|name| name.contains(".log")), "{:?}", disk.names());
    disk.set_room(None);
    until(&service, false).await;
    assert_eq!(service.ask(&ask(Deed::Create(0, 5))).await, Told::Applied);
}

/// P7: what says whose it is comes after the file that says so: a snapshot of a service that started on a full disk, and had nothing
/// to write since, is no stranger to the next start; of an empty directory and of a backup.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_is_no_stranger_where_the_control_file_waited_for_room() {
    let service = Service::new(StrategyKind::Atomic).await;
    assert_eq!(service.ask(&ask(Deed::Create(0, 5))).await, Told::Applied);
    let copy = service.disk.process_killed();
    let shared = service.journal().shared();
    let bases = shared.log.bases().expect("a segment");
    shared.control.copy(copy.disk().as_ref(), shared.watermark.end(), bases).expect("room");
    for disk in [FaultyDisk::new(), copy] {
        disk.set_room(Some(0));
        let service =
            Service::open(StrategyKind::Atomic, &disk, &config()).await.expect("a start needs no room");
        disk.set_room(None);
        tokio::task::block_in_place(|| service.journal().snapshots().take()).expect("there is room");
        for left in [disk.process_killed(), disk.only_synced()] {
            let names = left.names();
            assert!(names.iter().any(|name| name.ends_with(".snapshot")), "{names:?}");
            Image::of(&left).expect("nothing is wrong").assert_holds(&service.shown());
        }
    }
}

/// P7, P8: an import that has happened waits for room like all that was let in, and each of its levels is counted once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_import_that_has_happened_waits_for_room_and_is_applied_once() {
    let service = Service::new(StrategyKind::Atomic).await;
    assert_eq!(service.ask(&ask(Deed::Create(9_999, 5))).await, Told::Applied);
    service.disk.set_room(Some(usize::try_from(SEGMENT_BYTES).unwrap()));
    let mut import = service.store.begin_import(StockForm::Ndjson).expect("none is under way");
    for level in 0..500 {
        let line = format!("{{\"sku\":\"k{level}\",\"on_hand\":3}}\n");
        assert!(import.push(line.into()).await, "it is a line");
    }
    let finishing = tokio::spawn(import.finish(None, None));
    until(&service, true).await;
    let told = service.ask(&ask(Deed::Read(0))).await;
    assert!(matches!(&told, Told::NotDone(not_done) if is_of_a_full_disk(not_done)), "{told:?}");
    assert!(!finishing.is_finished());
    service.disk.set_room(None);
    let answered = finishing.await.expect("no panic").expect("it is applied");
    let Outcome::Import(imported) = answered.outcome else { panic!("{answered:?}") };
    assert_eq!((imported.levels, imported.created, imported.counted), (500, 500, 0));
    for level in [0, 499] {
        let in_memory = service.in_memory(level).await;
        assert_eq!((in_memory.on_hand(), in_memory.version()), (3, 1));
    }
    let image = Image::of(&service.disk.only_synced()).expect("a disk with room");
    assert_eq!(image.levels.len(), 501);
}
