//! The power is cut at every call that changes the disk, while clients are at work (P4, P6, P7, P8).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use super::for_each_strategy;
use super::image::{Image, Truth};
use super::script::Script;
use super::service::{Service, Shown, Told, config};
use crate::journal::disk::faulty::{Call, FaultyDisk};
use crate::journal::group::SECTOR;
use crate::journal::{JournalConfig, segment};
use crate::strategy::StrategyKind;

const CLIENTS: u64 = 6;
const ASKS_PER_CLIENT: usize = 18;
const LEVELS: usize = 5;
const RUNS: u64 = 4;
/// Cuts at each call: each finds another disk.
const CUTS_PER_CALL: u64 = 3;

/// What was found after a cut, and what had been shown before it.
struct Found {
    shown: Shown,
    image: Image,
}

/// Clients at work, and snapshots taken meanwhile, on a disk that `at_call` looks at before each change.
async fn work(
    kind: StrategyKind,
    seed: u64,
    config: &JournalConfig,
    at_call: impl Fn(&Service, &FaultyDisk) + Send + Sync + 'static,
) -> Arc<Service> {
    let service = Service::open(kind, &FaultyDisk::new(), config).await.expect("an empty disk");
    let looks = Arc::downgrade(&service);
    service.disk.at_each(Call::Change, move |disk| {
        if let Some(service) = looks.upgrade() {
            at_call(&service, disk);
        }
    });
    // The records of keys may not leave with their segments while the keys are kept.
    let drops = config.retain_bytes.is_some();
    let (keys, asks) = if drops { (0, 5 * ASKS_PER_CLIENT) } else { (40, ASKS_PER_CLIENT) };
    let client = |number: u64| {
        let (service, mut script) =
            (Arc::clone(&service), Script::new(seed * 100 + number, 0..LEVELS, 0..keys));
        async move {
            for asked in 0..asks {
                if number == 0 && asked % 5 == 4 {
                    tokio::task::block_in_place(|| service.journal().snapshots().take()).expect("a snapshot");
                }
                let told = service.ask(&script.next()).await;
                assert!(!matches!(told, Told::NotDone(_)), "{told:?}");
                tokio::task::yield_now().await;
            }
        }
    };
    let clients: Vec<_> = (0..CLIENTS).map(|number| tokio::spawn(client(number))).collect();
    for client in clients {
        client.await.expect("a client");
    }
    tokio::task::block_in_place(|| service.journal().close());
    service
}

/// A disk that was found after a cut: recovered, and recovered again after a cut at any call of that recovery.
fn recovered(found: &FaultyDisk, seed: u64, twice: bool) -> Image {
    let again = Arc::new(Mutex::new(Vec::new()));
    if twice {
        let again = Arc::clone(&again);
        found.at_each(Call::Change, move |disk| again.lock().push(disk.power_cut(seed)));
    }
    let image = Image::of(found).unwrap_or_else(|error| panic!("refused after a power cut: {error}"));
    for disk in again.lock().drain(..) {
        assert_eq!(Image::of(&disk).expect("a cut while it recovers"), image);
    }
    image
}

for_each_strategy! {
    /// P4, P6, P7, P8: no change that was acknowledged is lost, nothing that was shown is newer than what is recovered, no
    /// transaction is torn, every key is there if and only if its effect is, and the versions go up by one.
    async fn a_power_cut_takes_back_nothing_that_was_shown(kind: StrategyKind) {
        let cuts = Arc::new(AtomicU64::new(0));
        for seed in 0..RUNS {
            let found: Arc<Mutex<Vec<Found>>> = Arc::default();
            let (finds, counts) = (Arc::clone(&found), Arc::clone(&cuts));
            let service = work(kind, seed, &config(), move |service, disk| {
                // First what was shown: whatever is shown later need not be there.
                let shown = service.shown();
                for _ in 0..CUTS_PER_CALL {
                    let cut = counts.fetch_add(1, Ordering::Relaxed);
                    let image = recovered(&disk.power_cut(cut), cut, cut.is_multiple_of(5));
                    image.assert_holds(&shown);
                    finds.lock().push(Found { shown: shown.clone(), image });
                }
            })
            .await;
            let (truth, shown) = (Truth::of(&service.disk), service.shown());
            truth.assert_changed(&shown);
            for found in found.lock().iter() {
                found.image.assert_holds(&found.shown);
                found.image.assert_prefix_of(&truth);
                found.image.assert_consistent_with(&shown);
            }
            Image::of(&service.disk.only_synced()).expect("a clean end").assert_holds(&shown);
            assert!(service.acknowledged() > 20 && truth.movements().len() > 30, "clients were at work");
        }
        let cuts = cuts.load(Ordering::Relaxed);
        println!("{kind}: {cuts} power cuts");
        assert!(cuts > 300, "{cuts}");
    }

    /// P7: the same while old segments and snapshots are removed.
    async fn a_power_cut_while_segments_are_dropped_loses_nothing(kind: StrategyKind) {
        let config = JournalConfig { retain_bytes: Some(0), keys_retention: Duration::ZERO, ..config() };
        let cuts = Arc::new(AtomicU64::new(0));
        let counts = Arc::clone(&cuts);
        let service = work(kind, 40, &config, move |service, disk| {
            let shown = service.shown();
            for _ in 0..CUTS_PER_CALL {
                let cut = counts.fetch_add(1, Ordering::Relaxed);
                recovered(&disk.power_cut(cut), cut, cut.is_multiple_of(5)).assert_holds(&shown);
            }
        })
        .await;
        let image = Image::of(&service.disk.only_synced()).expect("a clean end");
        image.assert_holds(&service.shown());
        image.assert_consistent_with(&service.shown());
        let dropped = service.journal().snapshots().metrics().segments_dropped.load(Ordering::Relaxed);
        println!("{kind}: {} power cuts, {dropped} segments dropped", cuts.load(Ordering::Relaxed));
        assert!(dropped > 0, "nothing was dropped");
    }

    /// P7: what is found after a cut is gone on with, and what is acknowledged then survives the next cut too.
    async fn a_service_goes_on_after_a_power_cut(kind: StrategyKind) {
        let found: Arc<Mutex<Vec<FaultyDisk>>> = Arc::default();
        let finds = Arc::clone(&found);
        work(kind, 77, &config(), move |_, disk| finds.lock().push(disk.power_cut(disk.count(Call::Change)))).await;
        let disks = std::mem::take(&mut *found.lock());
        for (seed, disk) in (0..).zip(disks).step_by(4) {
            let service = Service::open(kind, &disk, &config()).await.expect("recovered");
            let mut script = Script::new(seed, 0..LEVELS, 100..120);
            for _ in 0..6 {
                let told = service.ask(&script.next()).await;
                assert!(!matches!(told, Told::NotDone(_)), "{told:?}");
            }
            let shown = service.shown();
            for image in [disk.only_synced(), disk.power_cut(seed), disk.process_killed()] {
                Image::of(&image).expect("recovered again").assert_holds(&shown);
            }
        }
    }
}

/// P7: a segment that is shorter than it was made, and not sealed, is refused as cut short. So it is cut to its length only once its
/// footer is on the platter, whatever a power cut keeps of the two.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_segment_is_cut_to_its_length_once_its_footer_is_on_disk() {
    let service = Service::new(StrategyKind::Mutex).await;
    let seen = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&seen);
    service.disk.at(Call::SetLen, 1, move |disk| {
        let synced = disk.only_synced().content();
        let mut segments = synced.iter().filter(|(file, _)| segment::base_of(file).is_some());
        let has_footer = |bytes: &[u8]| bytes.chunks(SECTOR).any(segment::is_footer);
        counted.fetch_add(1 + u64::from(segments.any(|(_, bytes)| has_footer(bytes))), Ordering::SeqCst);
    });
    let mut script = Script::new(3, 0..4, 0..9);
    while seen.load(Ordering::SeqCst) == 0 {
        service.ask(&script.next()).await;
    }
    assert_eq!(seen.load(Ordering::SeqCst), 2, "the footer is there");
}
