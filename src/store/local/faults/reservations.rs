//! Reservations that race, expire, are given up and are cut short by a crash (P4, P8, P9, P11), on a time that is the test's.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use super::cancellation::give_up;
use super::for_each_strategy;
use super::service::{Service, config, key, quantity};
use crate::clock::manual::Manual;
use crate::journal::JournalConfig;
use crate::journal::disk::faulty::{Call, FaultyDisk};
use crate::stock::{
    Applied, Change, HeldLine, IfMissing, Level, Once, Operation, Precondition, Refusal, Reservation,
    ReservationId, ReservationState, Transaction,
};
use crate::store::{
    Answered, Command, Deed, EachLine, Idempotency, LevelQuery, LineOutcome, MovementFilter, MovementKind,
    MovementQuery, NotDone, Outcome, ReservationQuery, ReservationRefused, Store as _, TransactionKind,
    Transition,
};
use crate::strategy::StrategyKind;

const NOW_MS: u64 = 1_790_000_000_000;
const TTL: Duration = Duration::from_secs(10);
const MOMENT: Duration = Duration::from_millis(1);
const JUST_BEFORE: Duration = Duration::from_millis(9_999);

/// What was told of each reservation at some moment.
type States = BTreeMap<ReservationId, ReservationState>;

/// A service whose time is the test's.
struct Shop {
    time: Arc<Manual>,
    kind: StrategyKind,
    config: JournalConfig,
    service: Arc<Service>,
}

impl Shop {
    /// Levels 0 to 3 have so many units.
    async fn with(kind: StrategyKind, units: u64) -> Self {
        let time = Arc::new(Manual::at(NOW_MS));
        let config = JournalConfig { time: Arc::clone(&time) as _, ..config() };
        let service = Service::open(kind, &FaultyDisk::new(), &config).await.expect("an empty disk");
        let shop = Self { time, kind, config, service };
        for level in 0..4 {
            shop.change(level, Change::put(quantity(units), Precondition::Absent)).await.expect("a level");
        }
        shop
    }

    /// The process is killed; another one goes on with what is on the disk.
    async fn restarted(&self, disk: &FaultyDisk) -> Self {
        let service = Service::open(self.kind, disk, &self.config).await.expect("a whole log");
        Self { time: Arc::clone(&self.time), kind: self.kind, config: self.config.clone(), service }
    }

    async fn change(&self, level: usize, change: Change) -> Result<Applied, Refusal> {
        let command = Command::change(key(level), change);
        match self.service.store.execute(command).await.expect("it is judged").outcome {
            Outcome::Change(judged) => judged,
            other => panic!("{other:?}"),
        }
    }

    async fn execute(&self, deed: Deed, number: Option<u128>) -> Result<Answered, NotDone> {
        let fingerprint = *blake3::hash(format!("{deed:?}").as_bytes()).as_bytes();
        let once = |key| Box::new(Idempotency { once: Once { key, fingerprint }, version_1: None });
        let command = Command { idempotency: number.map(once), ..Command::new(deed) };
        self.service.store.execute(command).await
    }

    async fn reserve(
        &self,
        lines: &[(usize, u64)],
        ttl: Duration,
    ) -> Result<Reservation, ReservationRefused> {
        judged(self.execute(reserve(lines, ttl), None).await.expect("it is judged"))
    }

    async fn settle(
        &self,
        id: ReservationId,
        transition: Transition,
    ) -> Result<Reservation, ReservationRefused> {
        judged(self.execute(Deed::Settle { id, transition }, None).await.expect("it is judged"))
    }

    async fn read(&self, level: usize) -> Level {
        self.service.store.read(&key(level)).await.expect("a level")
    }

    async fn reservation(&self, id: ReservationId) -> Option<Reservation> {
        self.service.store.reservation(id).await.expect("nobody is at it for long")
    }

    async fn all(&self) -> BTreeMap<ReservationId, Reservation> {
        let query = ReservationQuery { state: None, after: None, limit: 1_000 };
        let page = self.service.store.reservations(query).await.expect("a page");
        page.reservations.into_iter().map(|reservation| (reservation.term.id, reservation)).collect()
    }

    /// P2: what the levels have reserved is what pending reservations hold, unit for unit; by the log, too.
    async fn assert_books(&self) {
        let mut held = BTreeMap::new();
        for reservation in self.all().await.into_values() {
            if reservation.state == ReservationState::Pending {
                for line in reservation.lines {
                    *held.entry(line.key.text().to_owned()).or_insert(0) += line.quantity.units();
                }
            }
        }
        for level in 0..4 {
            let there = self.service.in_memory(level).await;
            assert_eq!(there.reserved(), held.get(key(level).text()).copied().unwrap_or(0), "level {level}");
        }
        self.service.assert_verified();
    }

    fn snapshot(&self) {
        tokio::task::block_in_place(|| self.service.journal().snapshots().take()).expect("room");
    }
}

/// Holds so many of each of those levels.
pub(super) fn reserve(lines: &[(usize, u64)], ttl: Duration) -> Deed {
    let line = |(level, units): &(usize, u64)| {
        (key(*level), Change::unconditional(Operation::Reserve { quantity: quantity(*units) }))
    };
    let transaction = Transaction::new(lines.iter().map(line).collect()).expect("lines");
    Deed::Reserve { transaction: Arc::new(transaction), ttl }
}

fn judged(answered: Answered) -> Result<Reservation, ReservationRefused> {
    match answered.outcome {
        Outcome::Reservation(judged) => judged.map(|reservation| *reservation),
        other => panic!("{other:?}"),
    }
}

fn taking(units: i64) -> Change {
    Change::unconditional(Operation::Adjust { delta: -units, if_missing: IfMissing::Refuse })
}

/// Ways to come across a level; each says how many units were there to be taken.
#[derive(Debug, Clone, Copy)]
enum Look {
    Read,
    List,
    Refusal,
    Transaction,
    Line,
    Reserve,
    Delete,
}

const LOOKS: [Look; 7] =
    [Look::Read, Look::List, Look::Refusal, Look::Transaction, Look::Line, Look::Reserve, Look::Delete];

impl Look {
    /// Whether level 0 is seen to hold something.
    async fn sees_a_hold(self, shop: &Shop) -> bool {
        let more = taking(6);
        match self {
            Self::Read => shop.read(0).await.reserved() > 0,
            Self::List => {
                let query = LevelQuery { sku: None, sku_prefix: "k0", location: None, after: None, limit: 9 };
                let page = shop.service.store.list(query).await.expect("a page");
                page.levels[0].1.reserved() > 0
            }
            Self::Refusal => shop.change(0, more).await.expect_err("more than there is").found.reserved() > 0,
            Self::Transaction => {
                let transaction = Transaction::new(vec![(key(1), taking(1)), (key(0), more)]).expect("lines");
                let kind = TransactionKind::Adjustment;
                let deed = Deed::Transaction { transaction: Arc::new(transaction), kind };
                match shop.execute(deed, None).await.expect("it is judged").outcome {
                    Outcome::Transaction(Err(refused)) => refused[0].refusal.found.reserved() > 0,
                    other => panic!("{other:?}"),
                }
            }
            Self::Line => {
                let deed = Deed::Each { lines: [EachLine { key: key(0), change: more }].into() };
                match shop.execute(deed, None).await.expect("it is judged").outcome {
                    Outcome::Each(lines) => match &lines[0] {
                        LineOutcome::Judged(Err(refusal)) => refusal.found.reserved() > 0,
                        other => panic!("{other:?}"),
                    },
                    other => panic!("{other:?}"),
                }
            }
            Self::Reserve => match shop.reserve(&[(0, 6)], TTL).await {
                Err(ReservationRefused::Levels(levels)) => levels[0].refusal.found.reserved() > 0,
                other => panic!("{other:?}"),
            },
            Self::Delete => shop.change(0, Change::unconditional(Operation::Delete)).await.is_err(),
        }
    }
}

for_each_strategy! {
    /// P9: from the deadline on nobody sees a unit held, whoever looks and however; a millisecond before, everybody does.
    async fn a_reservation_ends_at_its_deadline_for_whoever_looks(kind: StrategyKind) {
        for look in LOOKS {
            let shop = Shop::with(kind, 5).await;
            let made = shop.reserve(&[(0, 3), (1, 2)], TTL).await.expect("five are there");
            assert_eq!(made.term.expires_date_ms, NOW_MS + 10_000);
            shop.time.pass(JUST_BEFORE);
            if !matches!(look, Look::Delete) {
                assert!(look.sees_a_hold(&shop).await, "{look:?}: too early");
            }
            shop.time.pass(MOMENT);
            assert!(!look.sees_a_hold(&shop).await, "{look:?}: too late");
            // The other level went with it: one record, of all its lines.
            assert_eq!(shop.service.in_memory(1).await.reserved(), 0, "{look:?}");
            let expired = shop.reservation(made.term.id).await.expect("it is kept");
            assert_eq!(expired.state, ReservationState::Expired);
            let query = MovementQuery::OfLevel { key: key(1), cursor: None, filter: MovementFilter::default(), limit: 9 };
            let history = shop.service.store.movements(query).await.expect("a page").movements;
            assert!(history.iter().any(|movement| movement.kind == MovementKind::Expired), "{look:?}");
            shop.assert_books().await;
        }
    }

    /// P9: a page by state shows what is due as expired, and not as pending, though nobody has come round to it; it ends what it shows,
    /// and leaves the rest to others.
    async fn a_page_by_state_goes_by_the_deadline(kind: StrategyKind) {
        let shop = Shop::with(kind, 9).await;
        let mut made = Vec::new();
        for turn in 0..6 {
            let ttl = if turn % 2 == 0 { TTL } else { 2 * TTL };
            made.push(shop.reserve(&[(0, 1)], ttl).await.expect("nine are there").term.id);
            shop.time.pass(MOMENT);
        }
        let page = async |state, limit| {
            let query = ReservationQuery { state: Some(state), after: None, limit };
            let page = shop.service.store.reservations(query).await.expect("a page");
            page.reservations.into_iter().map(|reservation| reservation.term.id).collect::<Vec<_>>()
        };
        let open = || shop.service.journal().shared().holds.open_count();
        assert_eq!(page(ReservationState::Pending, 9).await, made);
        assert_eq!(page(ReservationState::Expired, 9).await, []);
        shop.time.pass(TTL);
        assert_eq!(page(ReservationState::Pending, 9).await, [made[1], made[3], made[5]]);
        assert_eq!(open(), 6, "nothing that is due was shown");
        assert_eq!(page(ReservationState::Expired, 2).await, [made[0], made[2]]);
        assert_eq!(open(), 4, "those that were shown have ended");
        assert_eq!(page(ReservationState::Expired, 9).await, [made[0], made[2], made[4]]);
        shop.assert_books().await;
    }

    /// P9: a commit before the deadline ships, one from the deadline on does not; whatever comes second is told what came first.
    async fn the_first_transition_is_the_only_one(kind: StrategyKind) {
        let shop = Shop::with(kind, 10).await;
        let part = || Transition::Commit(Some(vec![HeldLine { key: key(0), quantity: quantity(2) }]));
        let ways = [Transition::Commit(None), part(), Transition::Release, Transition::Extend(2 * TTL)];
        for (first, way) in ways.iter().enumerate() {
            let id = shop.reserve(&[(0, 3), (1, 1)], TTL).await.expect("ten are there").term.id;
            shop.time.pass(JUST_BEFORE);
            let settled = shop.settle(id, way.clone()).await.expect("in time");
            for (second, other) in ways.iter().enumerate() {
                let again = shop.settle(id, other.clone()).await;
                match again {
                    Ok(same) if first == second && first < 3 => assert_eq!(same, settled),
                    // An extended one is pending: the first of the others settles it.
                    Ok(_) if first == 3 => {}
                    Err(ReservationRefused::State(before)) if first != 3 => assert_eq!(*before, settled),
                    Err(ReservationRefused::State(_)) => {}
                    other => panic!("{first} {second}: {other:?}"),
                }
            }
            shop.assert_books().await;
        }
        let late = shop.reserve(&[(2, 3)], TTL).await.expect("ten are there").term.id;
        shop.time.pass(TTL);
        for way in ways {
            let refused = shop.settle(late, way).await.expect_err("too late");
            let ReservationRefused::State(expired) = refused else { panic!("{refused:?}") };
            assert_eq!(expired.state, ReservationState::Expired);
        }
        assert_eq!((shop.read(2).await.on_hand(), shop.read(2).await.reserved()), (10, 0));
    }

    /// P4, P9: of transitions that race with each other, with the deadline and with readers, one happens.
    async fn of_racing_transitions_one_happens(kind: StrategyKind) {
        for round in 0..40_u64 {
            let shop = Arc::new(Shop::with(kind, 9).await);
            let made = shop.reserve(&[(0, 3), (1, 2), (2, 1)], TTL).await.expect("nine are there");
            shop.time.pass(JUST_BEFORE);
            let id = made.term.id;
            let ways = [Transition::Commit(None), Transition::Release, Transition::Extend(TTL)];
            let racing = (0..6_u64).map(|racer| {
                let (shop, way) = (Arc::clone(&shop), ways[usize::try_from((racer + round) % 3).unwrap()].clone());
                tokio::spawn(async move {
                    if racer == round % 6 {
                        shop.time.pass(MOMENT);
                    }
                    let level = shop.read(usize::try_from(racer % 3).unwrap()).await;
                    assert!(level.reserved() <= 3, "{level:?}");
                    shop.settle(id, way).await
                })
            });
            let mut told = Vec::new();
            for racer in racing.collect::<Vec<_>>() {
                told.push(racer.await.expect("no panic"));
            }
            shop.time.pass(100 * TTL);
            let end = shop.reservation(id).await.expect("it is kept");
            for answer in told {
                match answer {
                    Ok(reservation) if reservation.state == ReservationState::Pending => {}
                    Ok(reservation) => assert_eq!(reservation.state, end.state, "round {round}"),
                    Err(ReservationRefused::State(reservation)) => assert_eq!(reservation.state, end.state),
                    other => panic!("{other:?}"),
                }
            }
            let shipped = u64::from(end.state == ReservationState::Committed);
            for (level, units) in [(0, 3), (1, 2), (2, 1)] {
                let there = shop.read(level).await;
                assert_eq!((there.on_hand(), there.reserved()), (9 - shipped * units, 0), "round {round}");
            }
        }
    }

    /// P2: two that want the last unit: one gets it, and the other is told what was there.
    async fn one_of_two_gets_the_last_unit(kind: StrategyKind) {
        for _ in 0..20 {
            let shop = Arc::new(Shop::with(kind, 1).await);
            let racing = (0..4).map(|_| {
                let shop = Arc::clone(&shop);
                tokio::spawn(async move { shop.reserve(&[(0, 1), (1, 1)], TTL).await })
            });
            let mut made = 0;
            for racer in racing.collect::<Vec<_>>() {
                match racer.await.expect("no panic") {
                    Ok(_) => made += 1,
                    Err(ReservationRefused::Levels(levels)) => {
                        assert!(levels.iter().all(|level| level.refusal.found.available() == 0));
                    }
                    other => panic!("{other:?}"),
                }
            }
            assert_eq!(made, 1);
            shop.assert_books().await;
        }
    }

    /// P7, P9: what was told of a reservation is there after a crash at any moment, with and without a snapshot; what was due while nobody
    /// served is over.
    async fn a_crash_leaves_every_reservation_whole(kind: StrategyKind) {
        let shop = Shop::with(kind, 100).await;
        let found: Arc<Mutex<Vec<(FaultyDisk, States)>>> = Arc::default();
        let told: Arc<Mutex<States>> = Arc::default();
        let (finds, tells) = (Arc::clone(&found), Arc::clone(&told));
        shop.service.disk.at_each(Call::Change, move |disk| {
            finds.lock().push((disk.process_killed(), tells.lock().clone()));
        });
        let mut pending = Vec::new();
        for turn in 0..24_usize {
            let made = shop.reserve(&[(turn % 4, 2), ((turn + 1) % 4, 1)], TTL).await.expect("a hundred");
            told.lock().insert(made.term.id, made.state);
            pending.push(made.term.id);
            let way = match turn % 6 {
                0 => Transition::Commit(None),
                1 => Transition::Commit(Some(vec![HeldLine { key: key(turn % 4), quantity: quantity(1) }])),
                2 => Transition::Release,
                3 => Transition::Extend(2 * TTL),
                _ => continue,
            };
            let id = pending.remove((turn * 7) % pending.len());
            let settled = shop.settle(id, way).await.expect("it was pending");
            told.lock().insert(id, settled.state);
            if turn % 8 == 2 {
                shop.snapshot();
            }
        }
        let found = std::mem::take(&mut *found.lock());
        assert!(found.len() > 30, "{}", found.len());
        for (moment, (disk, told)) in found.into_iter().enumerate() {
            let next = shop.restarted(&disk).await;
            let all = next.all().await;
            for (id, state) in &told {
                let there = all.get(id).unwrap_or_else(|| panic!("{moment}: {id} is gone")).state;
                // What was being done to it when the process was killed may have been done.
                assert!(there == *state || *state == ReservationState::Pending, "{moment}: {there:?}, was {state:?}");
            }
            next.assert_books().await;
            next.time.pass(3 * TTL);
            assert!(next.all().await.values().all(|it| it.state != ReservationState::Pending), "{moment}");
            for level in 0..4 {
                assert_eq!(next.read(level).await.reserved(), 0, "{moment}");
            }
        }
    }

    /// P8: each command under a key takes effect once, and a retry is told the same, also after a restart.
    async fn a_reservation_under_a_key_is_made_once(kind: StrategyKind) {
        let mut shop = Shop::with(kind, 5).await;
        let first = shop.execute(reserve(&[(0, 3)], TTL), Some(1)).await.expect("it is judged");
        let made = judged(first).expect("five are there");
        let id = made.term.id;
        let refused = shop.execute(reserve(&[(0, 4)], TTL), Some(2)).await.expect("it is judged");
        let extend = || Deed::Settle { id, transition: Transition::Extend(3 * TTL) };
        shop.time.pass(MOMENT);
        let extended = judged(shop.execute(extend(), Some(3)).await.expect("it is judged")).expect("it is pending");
        shop.time.pass(MOMENT);
        let commit = || Deed::Settle { id, transition: Transition::Commit(None) };
        for turn in 0..3 {
            if turn == 1 {
                let committed = shop.execute(commit(), Some(4)).await.expect("it is judged");
                assert!(!committed.replayed && judged(committed).expect("it is pending").state == ReservationState::Committed);
            }
            if turn == 2 {
                shop = shop.restarted(&shop.service.disk.only_synced()).await;
            }
            let replays = [
                (reserve(&[(0, 3)], TTL), 1, Ok(made.clone())),
                (reserve(&[(0, 4)], TTL), 2, judged(refused.clone())),
                (extend(), 3, Ok(extended.clone())),
            ];
            for (deed, number, before) in replays {
                let again = shop.execute(deed, Some(number)).await.expect("it is held");
                assert!(again.replayed, "key {number}");
                assert_eq!(judged(again), before, "key {number}");
            }
        }
        let again = shop.execute(commit(), Some(4)).await.expect("it is held");
        assert!(again.replayed);
        assert_eq!(judged(again).expect("it was committed").committed, made.lines);
        assert_eq!((shop.read(0).await.on_hand(), shop.all().await.len()), (2, 1));
    }

    /// P11: a client that goes away at any moment leaves a reservation as it was, or as it was to be, and nobody waits for it.
    async fn whoever_goes_away_leaves_a_reservation_whole(kind: StrategyKind) {
        for polls in 0..12 {
            for way in [None, Some(Transition::Commit(None)), Some(Transition::Release), Some(Transition::Extend(TTL))] {
                let shop = Shop::with(kind, 9).await;
                let id = shop.reserve(&[(0, 2), (1, 2)], TTL).await.expect("nine are there").term.id;
                let deed = match way {
                    None => reserve(&[(0, 1), (2, 1)], TTL),
                    Some(transition) => Deed::Settle { id, transition },
                };
                let _ = give_up(shop.execute(deed, None), polls).await;
                shop.assert_books().await;
                shop.time.pass(2 * TTL);
                for level in 0..4 {
                    assert_eq!(shop.read(level).await.reserved(), 0, "{polls}");
                }
                assert_eq!(shop.service.journal().shared().holds.open_count(), 0);
            }
        }
    }
}

/// P2: what is held cannot be counted away or deleted, nor can be committed what is not held.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_held_cannot_be_taken_or_committed_otherwise() {
    let shop = Shop::with(StrategyKind::Atomic, 5).await;
    let id = shop.reserve(&[(0, 3)], TTL).await.expect("five are there").term.id;
    let count = |units| Change::put(quantity(units), Precondition::Exists);
    assert!(shop.change(0, count(2)).await.is_err());
    assert!(shop.change(0, Change::unconditional(Operation::Delete)).await.is_err());
    shop.change(0, count(3)).await.expect("as many as are held");
    shop.settle(id, Transition::Release).await.expect("it is pending");
    shop.change(0, count(0)).await.expect("nothing is held");
    let wrong = shop.reserve(&[(1, 2)], TTL).await.expect("five are there").term.id;
    for (level, units, held) in [(1, 3, 2), (2, 1, 0)] {
        let lines = Some(vec![HeldLine { key: key(level), quantity: quantity(units) }]);
        let refused = shop.settle(wrong, Transition::Commit(lines)).await.expect_err("it is not held");
        assert_eq!(refused, ReservationRefused::NotHeld { key: key(level), held });
    }
    assert_eq!(shop.reservation(wrong).await.expect("it is there").state, ReservationState::Pending);
    shop.assert_books().await;
}
