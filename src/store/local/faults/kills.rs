//! The process is killed, the next one shows what it finds, and only then the power fails (P7).
//!
//! What the first process wrote and did not sync is there for the second; it may be shown only once it is synced.

use std::io::ErrorKind;
use std::sync::Arc;

use parking_lot::Mutex;

use super::for_each_strategy;
use super::image::Image;
use super::script::{Ask, Deed, Script};
use super::service::{Service, Told, config};
use crate::journal::disk::faulty::{Call, Fault, FaultyDisk};
use crate::journal::segment;
use crate::strategy::StrategyKind;

const ASKS: u64 = 60;

/// The disk, with what is not synced, before each change of a workload.
async fn killed_at_each_change(kind: StrategyKind) -> Vec<FaultyDisk> {
    let service = Service::new(kind).await;
    let found: Arc<Mutex<Vec<FaultyDisk>>> = Arc::default();
    let finds = Arc::clone(&found);
    service.disk.at_each(Call::Change, move |disk| finds.lock().push(disk.process_restarted()));
    let mut script = Script::new(5, 0..4, 0..30);
    for _ in 0..ASKS {
        let told = service.ask(&script.next()).await;
        assert!(!matches!(told, Told::NotDone(_)), "{told:?}");
    }
    tokio::task::block_in_place(|| service.journal().close());
    std::mem::take(&mut *found.lock())
}

/// The images that a power cut may leave.
fn cuts(disk: &FaultyDisk, seed: u64) -> impl Iterator<Item = FaultyDisk> {
    (0..4).map(move |cut| disk.power_cut(seed * 4 + cut)).chain([disk.only_synced()])
}

for_each_strategy! {
    /// P7: whatever the next process finds, and so shows, survives a power cut from the moment it starts.
    async fn what_a_restart_shows_survives_a_power_cut(kind: StrategyKind) {
        for (seed, disk) in (0..).zip(killed_at_each_change(kind).await) {
            let shown = Image::of(&disk).expect("a process was killed");
            for cut in cuts(&disk, seed) {
                let image = Image::of(&cut).expect("a power cut");
                assert_eq!(image, shown, "kill {seed}: what the restart showed is lost");
            }
        }
    }

    /// P7: what is acknowledged after a restart survives a power cut, in whichever file it was written.
    async fn what_is_acknowledged_after_a_kill_survives_a_power_cut(kind: StrategyKind) {
        for (seed, disk) in (0..).zip(killed_at_each_change(kind).await).step_by(3) {
            let service = Service::open(kind, &disk, &config()).await.expect("a process was killed");
            let mut script = Script::new(seed, 0..4, 50..60);
            for _ in 0..3 {
                service.ask(&script.next()).await;
            }
            let shown = service.shown();
            cuts(&disk, seed).for_each(|cut| Image::of(&cut).expect("a power cut").assert_holds(&shown));
        }
    }
}

/// P7: in the first run, too, the log begins with all that was begun: without its segments, one or several, a start is refused. One
/// that wrote nothing has none.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_segments_of_a_first_run_that_was_killed_are_missed() {
    let service = Service::new(StrategyKind::Atomic).await;
    let begun = service.disk.process_killed();
    assert!(Image::of(&begun).expect("nothing was written").levels.is_empty());
    let many = Ask { deed: Deed::Many((0..20).map(|level| (level, 1)).collect()), key: None };
    let segments = || service.journal().shared().log.segments().len();
    while segments() < 3 {
        assert_eq!(service.ask(&many).await, Told::Applied);
        let left = service.disk.process_killed();
        Image::of(&left).expect("a process was killed").assert_holds(&service.shown());
        let disk = left.disk();
        for name in left.names().iter().filter(|name| segment::base_of(name).is_some()) {
            disk.remove(name).expect("it is there");
        }
        let refused = Image::of(&left).map(|image| image.levels.len()).map_err(|error| error.to_string());
        assert!(
            matches!(&refused, Err(told) if told.contains("acknowledged changes are missing")),
            "{}: {refused:?}",
            segments()
        );
    }
}

/// P7: after a sync that failed, what was written can be read, and no later sync writes it: a restart shows it only after it
/// wrote it again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_restart_finds_after_a_failed_sync_survives_a_power_cut() {
    for nth in 1..60 {
        let service = Service::new(StrategyKind::Atomic).await;
        service.disk.fail(Fault::nth(Call::Sync, nth, ErrorKind::Other));
        let mut script = Script::new(nth, 0..4, 0..30);
        while !matches!(service.ask(&script.next()).await, Told::NotDone(_)) {}
        tokio::task::block_in_place(|| service.journal().close());
        let disk = service.disk.process_restarted();
        let shown = Image::of(&disk).expect("a process that ended");
        shown.assert_holds(&service.shown());
        for cut in cuts(&disk, nth) {
            assert_eq!(Image::of(&cut).expect("a power cut"), shown, "sync {nth}");
        }
    }
}
