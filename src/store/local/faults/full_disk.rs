//! The disk is full, then has room again (P7, P10): requests wait or are turned away, nothing is lost, and the service goes on.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::for_each_strategy;
use super::image::Image;
use super::script::{Ask, Deed, Script};
use super::service::{Service, Told, command, config};
use crate::journal::disk::faulty::{Call, FaultyDisk};
use crate::journal::group::SECTOR;
use crate::journal::lanes::SLOTS;
use crate::store::{Answered, NotDone, Store as _, WasApplied, Why};
use crate::strategy::StrategyKind;

/// Returns when the journal says that the disk is full; its failure ends the test.
async fn full(service: &Service) {
    let shared = service.journal().shared();
    while shared.metrics.full.load(Ordering::Relaxed) == 0 {
        assert_eq!(shared.watermark.failed(), None, "a full disk is no failure");
        tokio::task::yield_now().await;
    }
}

/// A client that asks until it is told to stop, and then says how much it was acknowledged.
fn client(
    service: &Arc<Service>,
    seed: u64,
    stop: &Arc<std::sync::atomic::AtomicBool>,
) -> tokio::task::JoinHandle<u64> {
    let (service, stop) = (Arc::clone(service), Arc::clone(stop));
    let mut script = Script::new(seed, 0..4, 0..1_000);
    tokio::spawn(async move {
        let mut asked = 0;
        while !stop.load(Ordering::Relaxed) {
            let told = service.ask(&script.next()).await;
            assert!(!matches!(told, Told::NotDone(_)), "{told:?}");
            asked += 1;
            tokio::task::yield_now().await;
        }
        asked
    })
}

/// Clients at work on a disk with that much room, which fills up, and then has room.
async fn fills_up_and_has_room_again(kind: StrategyKind, sectors: usize) {
    let service = Service::new(kind).await;
    service.ask(&Ask { deed: Deed::Create(0, 5), key: None }).await;
    service.disk.set_room(Some(sectors * SECTOR));
    let stop = Arc::default();
    let clients: Vec<_> = (0..3).map(|seed| client(&service, seed, &stop)).collect();
    full(&service).await;
    let shown = service.shown();
    for disk in [service.disk.only_synced(), service.disk.process_killed(), service.disk.power_cut(3)] {
        Image::of(&disk).expect("a full disk").assert_holds(&shown);
    }
    stop.store(true, Ordering::Relaxed);
    service.disk.set_room(None);
    for client in clients {
        client.await.expect("a client that waited is answered");
    }
    let told = service.ask(&Ask { deed: Deed::Many(vec![(0, 1), (7, 1)]), key: None }).await;
    assert_eq!(told, Told::Applied);
    let shared = service.journal().shared();
    assert_eq!((shared.metrics.full.load(Ordering::Relaxed), shared.watermark.failed()), (0, None));
    Image::of(&service.disk.only_synced()).expect("a disk with room").assert_holds(&service.shown());
}

for_each_strategy! {
    /// P7, P10: whoever asks while the disk is full waits and is answered once there is room, without a restart.
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

/// P10: once the lane of the journal is full, a request is turned away in bounded time, and nothing was changed: the time is
/// that of the runtime, which goes on by itself while everybody waits.
#[tokio::test(start_paused = true)]
async fn who_finds_the_lane_full_is_turned_away_unchanged() {
    let service = Service::new(StrategyKind::Atomic).await;
    assert_eq!(service.ask(&Ask { deed: Deed::Create(0, 0), key: None }).await, Told::Applied);
    service.disk.set_room(Some(0));
    let mut waiting = Vec::new();
    for _ in 0..SLOTS + 200 {
        let service = Arc::clone(&service);
        waiting.push(tokio::spawn(
            async move { service.store.execute(command(&Deed::Adjust(0, 1), None)).await },
        ));
    }
    let refused = |outcome: &Result<Answered, NotDone>| match outcome {
        Ok(_) => false,
        Err(NotDone { why: Why::Overloaded, applied: WasApplied::No }) => true,
        Err(other) => panic!("{other:?}"),
    };
    full(&service).await;
    // Longer than anybody waits for a slot: whoever found none is answered.
    tokio::time::advance(Duration::from_secs(3)).await;
    tokio::task::yield_now().await;
    let in_memory = service.in_memory(0).await;
    assert!(waiting.iter().any(tokio::task::JoinHandle::is_finished), "some were turned away");
    service.disk.set_room(None);
    let (mut applied, mut overloaded) = (0, 0);
    for task in waiting {
        *(if refused(&task.await.unwrap()) { &mut overloaded } else { &mut applied }) += 1;
    }
    assert!(overloaded > 0 && applied >= SLOTS, "{applied} applied, {overloaded} turned away");
    assert_eq!(service.in_memory(0).await.on_hand(), applied as u64);
    assert!(in_memory.on_hand() <= applied as u64);
}

/// P7: a group that is longer than a segment is written past what was prepared; a disk that is full there fails for good, and
/// nothing is acknowledged.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_under_a_group_is_final() {
    let service = Service::new(StrategyKind::Mutex).await;
    assert_eq!(service.ask(&Ask { deed: Deed::Create(0, 5), key: None }).await, Told::Applied);
    let prepared = usize::try_from(super::service::SEGMENT_BYTES).unwrap();
    // Room for the next segment as it is prepared, and its footer; not for a transaction of twice its length.
    service.disk.set_room(Some(prepared + 4 * SECTOR));
    let many = (0..500).map(|level| (level, 1)).collect();
    let told = service.ask(&Ask { deed: Deed::Many(many), key: None }).await;
    let failed = service.journal().failed().await;
    assert_eq!(told, Told::NotDone(NotDone::unknown(Why::Unavailable(failed.reason))));
    for disk in [service.disk.only_synced(), service.disk.process_killed()] {
        let image = Image::of(&disk).expect("an unfinished group");
        image.assert_holds(&service.shown());
        assert_eq!(image.levels.len(), 1);
    }
}

/// P7: what was told while the disk was full is there after a crash, and a start on a disk that is still full is refused or
/// waits, but loses nothing.
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
    full(&next).await;
    stop.store(true, Ordering::Relaxed);
    disk.set_room(None);
    client.await.expect("a client that waited is answered");
    assert!(disk.count(Call::Create) > 0);
    Image::of(&disk.only_synced()).expect("a disk with room").assert_holds(&next.shown());
}
