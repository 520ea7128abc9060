//! Who waits for stock, against whatever changes it: woken by what makes it so, by nothing else, and never passed over (P7, P9, P10, P11).
//!
//! Nobody sweeps here: a deadline that comes is met by who waits, or by nobody.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;

use super::for_each_strategy;
use super::reservations::reserve;
use super::script::Deed as Asked;
use super::service::{Service, command, config, key, quantity};
use crate::journal::disk;
use crate::journal::disk::faulty::FaultyDisk;
use crate::journal::waiters::Waiters;
use crate::stock::{
    Change, IfMissing, Known, Level, Operation, Precondition, Reservation, Transaction, Until,
};
use crate::store::{
    Command, Deed, Keeping, NotDone, Outcome, Store as _, TransactionKind, Transition, WasApplied, Why,
};
use crate::strategy::StrategyKind;

/// Longer than any test may take: whoever is passed over sleeps until the watchdog.
const PATIENCE: Duration = Duration::from_hours(1);

fn enough(units: u64) -> Until {
    Until { demanded: Precondition::Any, other_than: None, min_available: Some(quantity(units)) }
}

fn other_than(version: u64) -> Until {
    let other_than = Some(Known::Versions(Box::new([version])));
    Until { demanded: Precondition::Any, other_than, min_available: None }
}

impl Service {
    /// Somebody waits for that, in a task of its own.
    fn waits(&self, level: usize, until: Until) -> JoinHandle<Level> {
        let store = self.store.clone();
        tokio::spawn(async move { store.read_when(&key(level), &until, PATIENCE).await.expect("a level") })
    }

    fn waiters(&self) -> &Waiters {
        self.store.0.books.shared().lanes.waiters()
    }

    /// Completes when so many have entered, and listen.
    async fn asleep(&self, count: usize) {
        while self.waiters().listening() != count {
            tokio::task::yield_now().await;
        }
    }

    /// Completes when so many are left.
    async fn left(&self, count: usize) {
        while self.waiters().count() != count {
            tokio::task::yield_now().await;
        }
    }

    fn assert_nobody_waits(&self) {
        assert_eq!((self.waiters().count(), self.waiters().listening()), (0, 0));
        assert!(!self.store.0.books.shared().lanes.are_watched(), "nobody is told of anything");
    }

    async fn done(&self, deed: Deed) -> Outcome {
        self.store.execute(Command::new(deed)).await.expect("it is judged").outcome
    }

    async fn make(&self, asked: Asked) {
        let outcome = self.store.execute(command(&asked, None)).await.expect("it is judged").outcome;
        let is_made = matches!(outcome, Outcome::Change(Ok(_)) | Outcome::Transaction(Ok(_)));
        assert!(is_made, "{asked:?}: {outcome:?}");
    }

    async fn hold(&self, units: u64, ttl: Duration) -> Reservation {
        match self.done(reserve(&[(0, units)], ttl)).await {
            Outcome::Reservation(Ok(made)) => *made,
            other => panic!("{other:?}"),
        }
    }

    /// One that waits is not woken by `not_yet`, and is by `now`: what it is told.
    async fn wakes(
        &self,
        level: usize,
        until: Until,
        not_yet: Option<Asked>,
        now: impl Future<Output = ()>,
    ) -> Level {
        let waiting = self.waits(level, until);
        self.asleep(1).await;
        let woken = self.waiters().woken();
        if let Some(asked) = not_yet {
            self.make(asked).await;
        }
        assert_eq!(self.waiters().woken(), woken, "nobody is woken for nothing");
        now.await;
        let told = waiting.await.expect("no panic");
        // None where it was still looking.
        assert!(self.waiters().woken() <= woken + 1, "it was woken by that, once");
        self.assert_nobody_waits();
        told
    }
}

for_each_strategy! {
    /// Each of many is told of what it waits for as soon as it is there, and of nothing less, whoever changes the level how fast; and each is woken
    /// once, but for one more where it looks while the next change comes.
    async fn none_of_many_is_passed_over(kind: StrategyKind) {
        const WAITERS: u64 = 24;
        let service = Service::new(kind).await;
        service.make(Asked::Create(0, 0)).await;
        let waiting: Vec<_> = (1..=WAITERS).map(|units| (units, service.waits(0, enough(units)))).collect();
        service.asleep(24).await;
        let writers: Vec<_> = (0..2)
            .map(|_| {
                let service = Arc::clone(&service);
                tokio::spawn(async move {
                    for _ in 0..WAITERS / 2 {
                        service.make(Asked::Adjust(0, 1)).await;
                    }
                })
            })
            .collect();
        for (units, waiting) in waiting {
            let told = waiting.await.expect("no panic");
            assert!(told.available() >= units, "{told:?} is less than {units}");
        }
        for writer in writers {
            writer.await.expect("no panic");
        }
        let woken = u64::try_from(service.waiters().woken()).expect("few");
        assert!(woken <= 2 * WAITERS, "{woken} were woken");
        service.assert_nobody_waits();
    }

    /// Units that come and go, while some enter and others are woken too late: once they stay, nobody sleeps on.
    async fn who_comes_too_late_sleeps_on_and_is_woken_again(kind: StrategyKind) {
        let service = Service::new(kind).await;
        service.make(Asked::Create(0, 0)).await;
        let flicker: Vec<_> = (0..2)
            .map(|_| {
                let service = Arc::clone(&service);
                tokio::spawn(async move {
                    for _ in 0..100 {
                        service.make(Asked::Adjust(0, 1)).await;
                        service.make(Asked::Adjust(0, -1)).await;
                    }
                })
            })
            .collect();
        // Two are never there together for long.
        let waiting: Vec<_> = (0..32).map(|_| service.waits(0, enough(2))).collect();
        for flickers in flicker {
            flickers.await.expect("no panic");
        }
        service.make(Asked::Adjust(0, 2)).await;
        for waiting in waiting {
            assert!(waiting.await.expect("no panic").available() >= 2);
        }
        service.assert_nobody_waits();
    }

    /// Whatever makes it so wakes: a level that comes to be, a receipt, a count, a release, units that are moved, a deletion.
    async fn whatever_makes_it_so_wakes(kind: StrategyKind) {
        let service = Service::new(kind).await;
        let told = service.wakes(0, enough(3), Some(Asked::Create(0, 2)), service.make(Asked::Adjust(0, 1))).await;
        assert_eq!((told.available(), told.version()), (3, 2));
        let told = service.wakes(0, enough(10), Some(Asked::Count(0, 9)), service.make(Asked::Count(0, 10))).await;
        assert_eq!((told.available(), told.version()), (10, 4));
        let held = service.hold(4, PATIENCE).await;
        let release = async { drop(service.done(Deed::Settle { id: held.term.id, transition: Transition::Release }).await) };
        let told = service.wakes(0, enough(8), Some(Asked::Adjust(0, -1)), release).await;
        assert_eq!((told.available(), told.version()), (9, 7));
        let move_one = async {
            let line = |level: usize, delta: i64| {
                (key(level), Change::unconditional(Operation::Adjust { delta, if_missing: IfMissing::Create }))
            };
            let transaction = Arc::new(Transaction::new(vec![line(0, -2), line(1, 2)]).expect("two lines"));
            drop(service.done(Deed::Transaction { transaction, kind: TransactionKind::Transfer }).await);
        };
        let told = service.wakes(1, enough(2), Some(Asked::Create(1, 0)), move_one).await;
        assert_eq!((told.available(), told.version()), (2, 2));
        let told = service.wakes(0, other_than(8), Some(Asked::Adjust(1, -2)), service.make(Asked::Adjust(0, -7))).await;
        assert_eq!((told.available(), told.version()), (0, 9));
        let told = service.wakes(0, other_than(9), None, service.make(Asked::Delete(0))).await;
        assert_eq!((told.exists(), told.version()), (false, 10));
        let told = service.wakes(0, other_than(10), None, service.make(Asked::Create(0, 5))).await;
        assert_eq!((told.exists(), told.version()), (true, 11));
        let existing = Until { other_than: Some(Known::Existing), ..other_than(0) };
        let told = service.wakes(1, existing, Some(Asked::Adjust(1, 5)), async {
            service.make(Asked::Adjust(1, -5)).await;
            service.make(Asked::Delete(1)).await;
        }).await;
        assert!(!told.exists());
        let both = Until { min_available: Some(quantity(7)), ..other_than(11) };
        let told = service.wakes(0, both, Some(Asked::Adjust(0, 1)), service.make(Asked::Adjust(0, 1))).await;
        assert_eq!((told.available(), told.version()), (7, 13));
        let demanded = Until { demanded: Precondition::Version(13), ..enough(100) };
        let told = service.wakes(0, demanded, None, service.make(Asked::Adjust(0, 1))).await;
        assert_eq!(told.version(), 14, "there is nothing to wait for any more");
    }

    /// P9: units are free at the deadline of their reservation, and who waits for them wakes then, though nobody else looks: also of one that was
    /// made while it slept, and where another kept the time until it went away.
    async fn who_waits_wakes_at_the_deadline(kind: StrategyKind) {
        let service = Service::new(kind).await;
        service.make(Asked::Create(0, 5)).await;
        service.hold(3, PATIENCE).await;
        let first = service.waits(0, enough(3));
        service.asleep(1).await;
        let others = [service.waits(0, enough(3)), service.waits(0, enough(3))];
        service.asleep(3).await;
        first.abort();
        service.left(2).await;
        let held = service.hold(2, Duration::from_millis(300)).await;
        let unwoken = service.waiters().woken();
        service.make(Asked::Adjust(0, 1)).await;
        let woken = service.waiters().woken();
        if service.store.now_ms() < held.term.expires_ms {
            assert_eq!(woken, unwoken, "one is available, and two are held");
        }
        for other in others {
            assert_eq!(other.await.expect("no panic").available(), 3);
            assert!(service.store.now_ms() >= held.term.expires_ms, "not before the deadline");
        }
        assert!(service.waiters().woken() <= unwoken + 2, "each once");
        service.assert_nobody_waits();
    }

    /// P11: who goes away is forgotten, wherever it was, and nobody is told of changes for it.
    async fn who_goes_away_is_forgotten(kind: StrategyKind) {
        let service = Service::new(kind).await;
        let waiting: Vec<_> = (0..8).map(|level| service.waits(level % 3, enough(1))).collect();
        service.asleep(8).await;
        assert!(service.store.0.books.shared().lanes.are_watched());
        waiting.iter().for_each(JoinHandle::abort);
        for waiting in waiting {
            assert!(waiting.await.is_err());
        }
        service.assert_nobody_waits();
        service.make(Asked::Create(0, 1)).await;
        assert_eq!(service.waiters().woken(), 0);
    }

    /// P10: so many wait; one more is told so, unless it does not have to wait.
    async fn how_many_wait_is_bounded(kind: StrategyKind) {
        let disk = FaultyDisk::new();
        let keeping = Keeping { waiters_max: 2, ..Keeping::default() };
        let service = Service::open_keeping(kind, &disk, disk::guarded(disk.disk()), &config(), &keeping).await;
        let service = service.expect("an empty disk");
        service.make(Asked::Create(0, 1)).await;
        let waiting = [service.waits(0, enough(2)), service.waits(1, enough(2))];
        service.asleep(2).await;
        let refused = service.store.read_when(&key(0), &enough(2), PATIENCE).await;
        assert_eq!(refused, Err(NotDone { why: Why::WaitersFull, applied: WasApplied::No }));
        for (units, patience) in [(1, PATIENCE), (2, Duration::ZERO)] {
            let told = service.store.read_when(&key(0), &enough(units), patience).await;
            assert_eq!(told.expect("it does not wait").version(), 1);
        }
        let [first, second] = waiting;
        first.abort();
        service.left(1).await;
        let third = service.waits(0, enough(2));
        service.make(Asked::Adjust(0, 1)).await;
        assert_eq!(third.await.expect("no panic").version(), 2);
        second.abort();
        service.left(0).await;
        // Who is late is told how it is then.
        let late = service.store.read_when(&key(0), &enough(9), Duration::from_millis(5)).await;
        assert_eq!(late.expect("a level").version(), 2);
        service.assert_nobody_waits();
    }
}
