//! A sync that fails is final (P7): nothing is acknowledged after it, and everybody is told the truth.

use std::io::ErrorKind;

use super::for_each_strategy;
use super::image::Image;
use super::script::{Ask, Deed, Script};
use super::service::{Service, Told};
use crate::journal::disk::faulty::{Call, Fault};
use crate::stock::Level;
use crate::store::{NotDone, WasApplied, Why};
use crate::strategy::StrategyKind;

/// The first syncs, each of which fails in a run of its own.
const SYNCS: u64 = 200;
/// No run needs more asks to come to its failing sync.
const ASKS_MAX: usize = 2_000;
/// Each client has levels of its own, so that what became of its change can be seen in memory.
const LEVELS_PER_CLIENT: usize = 3;

/// Asks until the journal fails; returns what was told then.
async fn client(service: &Service, seed: u64, number: usize) -> NotDone {
    let first = number * LEVELS_PER_CLIENT;
    let levels = first..first + LEVELS_PER_CLIENT;
    let keys = number as u128 * 1_000;
    let mut script = Script::new(seed * 10 + number as u64, levels.clone(), keys..keys + 500);
    for _ in 0..ASKS_MAX {
        let ask = script.next();
        let before = in_memory(service, levels.clone()).await;
        let Told::NotDone(not_done) = service.ask(&ask).await else { continue };
        let changed = in_memory(service, levels).await != before;
        assert!(matches!(not_done.why, Why::Unavailable(_)), "{not_done:?}");
        let unknown = not_done.applied == WasApplied::Unknown;
        // Of a key whose record cannot be read nobody says more than that it may have been applied; and a batch is told line by
        // line, of which this is the first that was not judged.
        let lenient = (unknown && ask.key.is_some()) || matches!(ask.deed, Deed::Each(_));
        assert!(unknown == changed || lenient, "{ask:?}: {not_done:?}, {changed}");
        return not_done;
    }
    panic!("the journal never failed");
}

async fn in_memory(service: &Service, levels: std::ops::Range<usize>) -> Vec<Level> {
    let mut found = Vec::new();
    for level in levels {
        found.push(service.in_memory(level).await);
    }
    found
}

for_each_strategy! {
    /// P7: the n-th sync fails, for every n: who waits and who comes later is told so, and no image of the disk lacks anything
    /// that was acknowledged.
    async fn a_failed_sync_is_final(kind: StrategyKind) {
        for nth in 1..=SYNCS {
            let service = Service::new(kind).await;
            service.disk.fail(Fault::nth(Call::Sync, nth, ErrorKind::Other));
            let (one, other, third) =
                tokio::join!(client(&service, nth, 0), client(&service, nth, 1), client(&service, nth, 2));
            let failed = service.journal().failed().await;
            let after = service.shown();
            for met in [one, other, third] {
                assert_eq!(met.why, Why::Unavailable(failed.reason.clone()));
            }
            for deed in [Deed::Create(50, 1), Deed::Many(vec![(51, 1), (52, 1)])] {
                for key in [None, Some(u128::from(nth) + 90_000)] {
                    let told = service.ask(&Ask { deed: deed.clone(), key }).await;
                    assert_eq!(told, Told::NotDone(NotDone::no(Why::Unavailable(failed.reason.clone()))));
                }
            }
            let cuts = (0..3).map(|seed| service.disk.power_cut(nth * 3 + seed));
            for disk in [service.disk.only_synced(), service.disk.process_killed()].into_iter().chain(cuts) {
                let image = Image::of(&disk).unwrap_or_else(|error| panic!("sync {nth}: {error}"));
                image.assert_holds(&after);
                image.assert_consistent_with(&after);
            }
        }
    }
}

/// P7: a writer that panics in the middle of a write has failed: nobody waits for it, and nobody is told that it is on disk.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_writer_that_panics_has_failed() {
    for nth in 1..20 {
        let service = Service::new(StrategyKind::Atomic).await;
        service.disk.at(Call::Write, nth, |_| panic!("in the middle of a write, on purpose"));
        let watchdog = std::time::Duration::from_secs(30);
        let met =
            tokio::time::timeout(watchdog, client(&service, nth, 0)).await.expect("nobody waits for it");
        let failed = service.journal().failed().await;
        assert!(matches!(met.why, Why::Unavailable(_)), "{met:?}");
        assert!(failed.reason.contains("panicked"), "{failed}");
        let image = Image::of(&service.disk.only_synced()).expect("an unfinished group");
        image.assert_holds(&service.shown());
    }
}
