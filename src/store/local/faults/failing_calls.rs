//! Each kind of storage call fails, at each place where it is made, once or from then on: while the service runs, writes, rolls
//! segments, takes snapshots, drops what is old and is backed up; and while it starts. Then another start (P7).
//!
//! Whatever fails, a service goes on or has failed, and says so; and the next start over what is left, on a disk that works again, has all
//! that was ever shown.

use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use super::image::Image;
use super::script::{Ask, Deed, Script};
use super::service::{self, Service, Shown, Told};
use crate::clock::wall_ms;
use crate::journal::disk::faulty::{Call, Fault, FaultyDisk};
use crate::journal::disk::{Disk, Folder};
use crate::journal::recovery::{self, Options};
use crate::journal::{JournalConfig, backup};
use crate::store::{NotDone, Store as _, Why};
use crate::strategy::StrategyKind;

/// All there are.
const CALLS: [Call; 10] = [
    Call::Create,
    Call::Open,
    Call::List,
    Call::Rename,
    Call::Remove,
    Call::SyncNames,
    Call::Read,
    Call::Write,
    Call::Sync,
    Call::SetLen,
];
/// The places: of each kind of call the first few, and some of those that come later.
const PLACES: [u64; 9] = [1, 2, 3, 4, 5, 6, 8, 13, 34];
/// An error of the device, a want of descriptors, and a read-only file system.
const ERRORS: [Option<i32>; 3] = [None, Some(24), Some(30)];

#[derive(Debug, Clone, Copy)]
struct Case {
    call: Call,
    place: u64,
    error: Option<i32>,
    for_good: bool,
}

fn cases() -> impl Iterator<Item = Case> {
    let places = CALLS.iter().flat_map(|call| PLACES.map(|place| (*call, place)));
    let errors = places.flat_map(|place| ERRORS.map(|error| (place, error)));
    errors.flat_map(|((call, place), error)| {
        [false, true].map(|for_good| Case { call, place, error, for_good })
    })
}

impl Case {
    fn happens_to(self, disk: &FaultyDisk) {
        let fault = Fault::nth(self.call, self.place, ErrorKind::Other);
        let fault = if let Some(error) = self.error { fault.raw(error) } else { fault };
        disk.fail(if self.for_good { fault.for_good() } else { fault });
    }
}

/// Short segments, of which none stays that need not.
fn config() -> JournalConfig {
    JournalConfig { retain_bytes: Some(0), keys_retention: Duration::ZERO, ..service::config() }
}

async fn open(disk: &FaultyDisk) -> Result<Arc<Service>, recovery::RecoveryError> {
    Service::open(StrategyKind::Atomic, disk, &config()).await
}

/// Changes, snapshots and what they let go, over some segments.
async fn live(service: &Arc<Service>, seed: u64, told: &str) {
    let mut script = Script::new(seed, 0..4, 0..0);
    for _ in 0..3 {
        for _ in 0..12 {
            if let Told::NotDone(NotDone { why, .. }) = service.ask(&script.next()).await {
                let is_honest =
                    matches!(why, Why::Unavailable(_) | Why::DiskFull { .. } | Why::Unwritten { .. });
                assert!(is_honest, "{told}: {why:?}");
            }
        }
        let service = Arc::clone(service);
        // That it fails is what may happen; that it hangs, or panics, is not.
        let _outcome =
            tokio::task::spawn_blocking(move || service.journal().snapshots().take()).await.unwrap();
    }
}

/// Whatever is left there, a start over it has all that was shown, and goes on.
async fn assert_starts(disk: &FaultyDisk, shown: &Shown, told: &str) {
    let image = Image::of(disk).unwrap_or_else(|error| panic!("{told}: {error}"));
    image.assert_holds(shown);
    let service = open(disk).await.unwrap_or_else(|error| panic!("{told}: {error}"));
    let told = service.ask(&Ask { deed: Deed::Many(vec![(0, 1)]), key: None }).await;
    assert_eq!(told, Told::Applied);
    service.store.shut_down().await;
    assert_eq!(service.journal().shared().watermark.failed(), None);
}

/// What a crash or an end leaves of a service that met a failure.
async fn assert_ends_well(service: Arc<Service>, disk: &FaultyDisk, told: &str) {
    let shown = service.shown();
    let crashed = [disk.only_synced(), disk.process_killed()];
    service.store.shut_down().await;
    for disk in crashed.iter().chain([&disk.only_synced(), &disk.process_killed()]) {
        assert_starts(disk, &shown, told).await;
    }
}

/// P7: a call fails while the service runs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_fails_while_the_service_runs_loses_nothing() {
    let mut failed = 0;
    for case in cases() {
        let told = format!("{case:?}");
        let disk = FaultyDisk::new();
        let service = open(&disk).await.expect("an empty disk");
        case.happens_to(&disk);
        live(&service, case.place, &told).await;
        disk.heal();
        // One that has not failed goes on as if nothing had been.
        if service.journal().shared().watermark.failed().is_none() {
            live(&service, case.place + 1, &told).await;
        } else {
            failed += 1;
        }
        assert_ends_well(service, &disk, &told).await;
    }
    assert!(failed > 0, "some failures are final");
}

/// A disk as a crash left it: with a snapshot that is surplus, one that was not finished, and a segment that was being prepared.
async fn crashed() -> (FaultyDisk, Shown) {
    let disk = FaultyDisk::new();
    let service = open(&disk).await.expect("an empty disk");
    live(&service, 1, "a disk that works").await;
    let shown = service.shown();
    let crashed = disk.process_killed();
    let surplus = disk.names().into_iter().find(|name| name.ends_with(".snapshot")).expect("one was taken");
    crashed.put("snapshot.tmp", &disk.get(&surplus)[..100]);
    crashed.put("next.segment", &[7; 3_000]);
    (crashed, shown)
}

/// P7: a call fails while the service starts: it starts all the same, or says why not; and the next start is none the worse.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_fails_while_the_service_starts_loses_nothing() {
    let (crashed, shown) = crashed().await;
    let mut refused = Vec::new();
    for case in cases() {
        let told = format!("{case:?}");
        let disk = crashed.process_killed();
        case.happens_to(&disk);
        let started = open(&disk).await;
        match started {
            Ok(service) => {
                live(&service, case.place, &told).await;
                disk.heal();
                assert_ends_well(service, &disk, &told).await;
            }
            Err(error) => {
                assert!(
                    error.to_string().contains("told to fail") || case.error.is_some(),
                    "{told}: {error}"
                );
                refused.push(case.call);
                disk.heal();
            }
        }
        assert_starts(&disk.only_synced(), &shown, &told).await;
        assert_starts(&disk, &shown, &told).await;
    }
    refused.dedup();
    // What cannot be removed does not keep a service from starting.
    assert!(!refused.contains(&Call::Remove), "{refused:?}");
    assert!(refused.contains(&Call::Open) && refused.contains(&Call::Sync), "{refused:?}");
}

/// P7: a call fails while a backup is made: it is whole, or there is none.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_fails_while_a_backup_is_made_leaves_a_whole_one_or_none() {
    let disk = FaultyDisk::new();
    let service = open(&disk).await.expect("an empty disk");
    live(&service, 1, "a disk that works").await;
    let shown = service.shown();
    let (above, mut made) = (tempfile::TempDir::new().expect("a folder"), 0);
    for (number, case) in cases().enumerate() {
        case.happens_to(&disk);
        let into = above.path().join(number.to_string());
        let shared = service.journal().shared();
        let copied = backup::copy(
            service.journal().disk().as_ref(),
            &shared.log,
            &shared.control,
            &shared.watermark,
            &into,
            &AtomicBool::new(false),
        );
        disk.heal();
        if copied.is_ok() {
            made += 1;
            recovered(&into).assert_holds(&shown);
        }
        let left = std::fs::read_dir(above.path()).expect("a folder").count();
        assert_eq!(left, usize::from(copied.is_ok()), "{case:?}: {copied:?}");
        let _ = std::fs::remove_dir_all(&into);
    }
    assert!(made > 0 && made < cases().count(), "{made}");
}

fn recovered(folder: &Path) -> Image {
    let disk: Arc<dyn Disk> = Arc::new(Folder::open(folder).expect("a backup"));
    let options = Options { now_ms: wall_ms(), key_retention: Duration::from_hours(24) };
    Image::found(&recovery::recover(&disk, &options, &|_| {}).expect("a whole backup"))
}
