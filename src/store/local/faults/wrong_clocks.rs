//! Clocks that are wrong for a while: nothing is forgotten, dropped or dated for good by them (P8, P10).
//!
//! Time is a test's ([`Manual`]): it passes when it is told to, and the system's clock is set when it is told to, while the service
//! runs and while it does not.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::for_each_strategy;
use super::image::{movements, recover};
use super::script::{Ask, Deed};
use super::service::{Service, Told, config, key, quantity};
use crate::clock::TimeSource as _;
use crate::clock::manual::Manual;
use crate::journal::JournalConfig;
use crate::journal::disk::faulty::FaultyDisk;
use crate::stock::{Change, Operation, Transaction};
use crate::store::{self, Command, Outcome, Store as _};
use crate::strategy::StrategyKind;

const NOW_MS: u64 = 1_790_000_000_000;
const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);
const MOMENT: Duration = Duration::from_millis(1);
const TTL: Duration = Duration::from_secs(10);
const JUST_BEFORE: Duration = Duration::from_millis(9_999);
const JUST_BEFORE_HALF: Duration = Duration::from_millis(4_999);
const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * 3_600_000;
const TEN_YEARS_MS: i64 = 3_650 * DAY_MS;
/// Two days and ten years, forth and back.
const STEPS: [i64; 4] = [2 * DAY_MS, -2 * DAY_MS, TEN_YEARS_MS, -TEN_YEARS_MS];

/// A service whose time is the test's, and which is stopped and started.
struct Timed {
    time: Arc<Manual>,
    kind: StrategyKind,
    config: JournalConfig,
    service: Arc<Service>,
}

impl Timed {
    async fn new(kind: StrategyKind, config: JournalConfig) -> Self {
        let time = Arc::new(Manual::at(NOW_MS));
        let config = JournalConfig { time: Arc::clone(&time) as _, ..config };
        let service = Service::open(kind, &FaultyDisk::new(), &config).await.expect("an empty disk");
        Self { time, kind, config, service }
    }

    /// Somebody sets the system's clock.
    fn step(&self, by_ms: i64) {
        self.time.set(self.time.wall_ms().strict_add_signed(by_ms));
    }

    /// The process is killed, and started again.
    async fn restart(&mut self) {
        let disk = self.service.disk.only_synced();
        self.service = Service::open(self.kind, &disk, &self.config).await.expect("a whole log");
    }

    /// Two units of level 0 are held for so long.
    async fn hold(&self, ttl: Duration) {
        let two = Change::unconditional(Operation::Reserve { quantity: quantity(2) });
        let transaction = Arc::new(Transaction::new(vec![(key(0), two)]).expect("a line"));
        let made = self.service.store.execute(Command::new(store::Deed::Reserve { transaction, ttl })).await;
        assert!(matches!(made.expect("it is judged").outcome, Outcome::Reservation(Ok(_))));
    }

    async fn reserved(&self) -> u64 {
        self.service.store.read(&key(0)).await.expect("a level").reserved()
    }

    async fn keyed(&self, key: u128) -> Told {
        self.service.ask(&Ask { deed: Deed::Many(vec![(0, 1)]), key: Some(key) }).await
    }

    /// As the thread does once a minute.
    fn forgets(&self) {
        let shared = self.service.journal().shared();
        let end = shared.watermark.end();
        shared.keys.marks().mark_end(end.time_ms, end.position);
        shared.keys.expire(shared.clock.steady_ms(), self.config.keys_retention);
    }

    fn snapshot(&self) {
        tokio::task::block_in_place(|| self.service.journal().snapshots().take()).expect("room");
    }

    fn dates(&self) -> Vec<u64> {
        let recovered = recover(&self.service.disk.only_synced()).expect("a whole log");
        movements(&recovered).expect("a whole log").iter().map(|movement| movement.time_ms).collect()
    }
}

for_each_strategy! {
    /// P9: a clock that is set while the service runs ends no reservation early or late. Set back while it does not run, it ends none early, and
    /// each at the latest as long after the start as it had from its last record.
    async fn no_reservation_ends_by_a_clock_that_is_set(kind: StrategyKind) {
        for by_ms in [HOUR_MS, -HOUR_MS, TEN_YEARS_MS, -TEN_YEARS_MS] {
            let mut timed = Timed::new(kind, config()).await;
            timed.service.ask(&Ask { deed: Deed::Create(0, 5), key: None }).await;
            timed.hold(TTL).await;
            timed.step(by_ms);
            timed.time.pass(JUST_BEFORE);
            assert_eq!(timed.reserved().await, 2, "{by_ms}");
            timed.step(-by_ms);
            timed.time.pass(MOMENT);
            assert_eq!(timed.reserved().await, 0, "{by_ms}");
            timed.hold(TTL).await;
            timed.time.pass(TTL / 2);
            timed.step(-by_ms.abs());
            timed.restart().await;
            assert_eq!(timed.reserved().await, 2, "{by_ms}");
            timed.time.pass(JUST_BEFORE_HALF);
            assert_eq!(timed.reserved().await, 2, "{by_ms}");
            timed.time.pass(TTL / 2 + MOMENT);
            assert_eq!(timed.reserved().await, 0, "{by_ms}");
        }
    }

    /// P8: a key is not forgotten early, whether the clock is set while the service runs, or while it does not, and once it is right again.
    async fn no_key_is_forgotten_early(kind: StrategyKind) {
        for by_ms in STEPS {
            for stops in [false, true] {
                for snapshots in [false, true] {
                    let mut timed = Timed::new(kind, config()).await;
                    assert_eq!(timed.keyed(1).await, Told::Applied);
                    timed.time.pass(23 * HOUR);
                    // Something is written after it, so that it is the older part of the log.
                    assert_eq!(timed.keyed(2).await, Told::Applied);
                    for by_ms in [by_ms, -by_ms] {
                        timed.step(by_ms);
                        if stops {
                            timed.restart().await;
                        }
                        if snapshots {
                            timed.snapshot();
                        }
                        timed.time.pass(10 * MINUTE);
                        timed.forgets();
                        assert_eq!(timed.keyed(1).await, Told::Again, "{by_ms} ms, stopped: {stops}");
                    }
                }
            }
        }
    }
}

/// P10: a key runs out once the service has run for as long as keys are kept, whatever the clock has shown.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_run_out_by_the_time_that_passed() {
    for by_ms in STEPS {
        let mut timed = Timed::new(StrategyKind::Atomic, config()).await;
        assert_eq!(timed.keyed(1).await, Told::Applied);
        timed.step(by_ms);
        timed.restart().await;
        assert_eq!(timed.keyed(2).await, Told::Applied);
        timed.step(-by_ms);
        timed.time.pass(24 * HOUR + 2 * MINUTE);
        timed.forgets();
        assert_eq!(timed.service.journal().shared().keys.len(), 0, "{by_ms} ms");
        assert_eq!(timed.keyed(1).await, Told::Applied, "{by_ms} ms: it is as good as new");
        timed.restart().await;
        assert_eq!(timed.keyed(1).await, Told::Again, "{by_ms} ms");
        assert_eq!(timed.keyed(2).await, Told::Applied, "{by_ms} ms: a start does not bring it back");
    }
}

/// While nobody runs the service nothing grows old: it is a start that could be wrong about the time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_key_runs_out_while_the_service_is_away() {
    let mut timed = Timed::new(StrategyKind::Mutex, config()).await;
    assert_eq!(timed.keyed(1).await, Told::Applied);
    timed.time.pass(100 * HOUR);
    timed.restart().await;
    timed.forgets();
    assert_eq!(timed.keyed(1).await, Told::Again);
}

/// A start ten years ahead dates what is written by that start, and nothing after it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn movements_are_not_dated_ahead_for_good() {
    for by_ms in STEPS {
        for snapshots in [false, true] {
            let mut timed = Timed::new(StrategyKind::Sharded, config()).await;
            timed.keyed(1).await;
            for by_ms in [by_ms, -by_ms] {
                timed.step(by_ms);
                timed.restart().await;
                if snapshots {
                    timed.snapshot();
                }
                timed.time.pass(MINUTE);
                timed.keyed(u128::from(timed.time.wall_ms())).await;
            }
            let minute = 60_000;
            let wrong = (NOW_MS + minute).strict_add_signed(by_ms);
            assert_eq!(timed.dates(), [NOW_MS, wrong, NOW_MS + 2 * minute], "{by_ms} ms");
        }
    }
}

/// A clock that is set while the service runs dates nothing by a step.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn movements_follow_a_clock_that_is_set_by_a_tenth_of_what_passes() {
    for by_ms in STEPS {
        let timed = Timed::new(StrategyKind::RwLock, config()).await;
        timed.keyed(1).await;
        timed.step(by_ms);
        timed.keyed(2).await;
        timed.time.pass(MINUTE);
        timed.keyed(3).await;
        let slewed = (NOW_MS + 60_000).strict_add_signed(6_000 * by_ms.signum());
        assert_eq!(timed.dates(), [NOW_MS, NOW_MS, slewed], "{by_ms} ms");
    }
}

/// P10: nothing is dropped by age before it is that old, and then it is, whatever the clock shows.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn retention_by_age_drops_by_the_time_that_passed() {
    for by_ms in STEPS {
        let keys_retention = Duration::ZERO;
        let retain_age = Some(30 * MINUTE);
        let timed =
            Timed::new(StrategyKind::Mutex, JournalConfig { keys_retention, retain_age, ..config() }).await;
        let fill = async || {
            for _ in 0..200 {
                let ask = Ask { deed: Deed::Many(vec![(0, 1)]), key: None };
                assert_eq!(timed.service.ask(&ask).await, Told::Applied);
            }
            timed.snapshot();
        };
        let dropped =
            || timed.service.journal().snapshots().metrics().segments_dropped.load(Ordering::Relaxed);
        fill().await;
        timed.step(by_ms);
        fill().await;
        fill().await;
        assert_eq!(dropped(), 0, "{by_ms} ms");
        timed.time.pass(HOUR);
        fill().await;
        fill().await;
        assert!(dropped() > 3, "{by_ms} ms: {}", dropped());
    }
}
