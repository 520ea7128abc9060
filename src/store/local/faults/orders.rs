//! Orders that race, wait, are cancelled, given back and cut short by a crash (P4, P8, P10, P12).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use parking_lot::Mutex;

use super::service::{Service, config, key, quantity};
use super::{for_each_strategy, reservations::reserve};
use crate::clock::manual::Manual;
use crate::journal::disk::faulty::{Call, FaultyDisk};
use crate::journal::{JournalConfig, disk};
use crate::said::Said;
use crate::stock::{
    Change, IfMissing, Location, Once, Operation, Order, OrderId, OrderLine, OrderProblem, OrderState,
    Precondition, Remark, Sku, StockKey,
};
use crate::store::ledger::From;
use crate::store::{
    Answered, Command, Deed, Discipline, Idempotency, Keeping, Movement, MovementFilter, MovementKind,
    MovementQuery, NotDone, OrderQuery, OrderRefused, Orders, Outcome, ReturnLine, Store as _, Transition,
    Why,
};
use crate::strategy::StrategyKind;

const NOW_MS: u64 = 1_790_000_000_000;
/// Longer than any order waits for its turn here.
const PATIENCE: Duration = Duration::from_mins(1);

/// A service that takes orders.
struct Shop {
    time: Arc<Manual>,
    kind: StrategyKind,
    config: JournalConfig,
    keeping: Keeping,
    service: Arc<Service>,
}

impl Shop {
    /// Levels 0 to 3 have so many units, and nobody works on orders yet.
    async fn closed(kind: StrategyKind, units: u64, how: Orders) -> Self {
        let time = Arc::new(Manual::at(NOW_MS));
        let config = JournalConfig { time: Arc::clone(&time) as _, ..config() };
        let keeping = Keeping { orders: how, ..Keeping::default() };
        let disk = FaultyDisk::new();
        let through = disk::guarded(disk.disk());
        let service = Service::open_keeping(kind, &disk, through, &config, &keeping).await;
        let shop = Self { time, kind, config, keeping, service: service.expect("an empty disk") };
        for level in 0..4 {
            let put = Change::put(quantity(units), Precondition::Absent);
            shop.service.store.execute(Command::change(key(level), put)).await.expect("a level");
        }
        shop
    }

    /// The same, with workers.
    async fn with(kind: StrategyKind, units: u64) -> Self {
        let shop = Self::closed(kind, units, Orders::default()).await;
        shop.service.store.start_orders();
        shop
    }

    /// The process is killed; another goes on with what is on the disk. Nobody works on orders yet.
    async fn killed(self) -> Self {
        let disk = self.service.disk.process_killed();
        self.service.store.0.pipeline.stop();
        self.service.store.0.pipeline.joined().await;
        tokio::task::block_in_place(|| self.service.journal().close());
        let through = disk::guarded(disk.disk());
        let service = Service::open_keeping(self.kind, &disk, through, &self.config, &self.keeping).await;
        Self { service: service.expect("a whole log"), ..self }
    }

    async fn execute(&self, deed: Deed, number: Option<u128>) -> Result<Answered, NotDone> {
        let fingerprint = *blake3::hash(format!("{deed:?}").as_bytes()).as_bytes();
        let once = |key| Box::new(Idempotency { once: Once { key, fingerprint }, version_1: None });
        let command = Command { idempotency: number.map(once), ..Command::new(deed) };
        self.service.store.execute(command).await
    }

    async fn place(&self, lines: &[(usize, u64)], backorder: bool) -> OrderId {
        ordered(self.execute(order(lines, backorder), None).await.expect("it is taken in"))
            .expect("an order")
            .id
    }

    async fn order(&self, id: OrderId) -> Order {
        self.service.store.order(id).await.expect("nobody is at it for long").expect("it is kept")
    }

    async fn over(&self, id: OrderId) -> Order {
        let order = self.service.store.order_when_final(id, PATIENCE).await;
        let order = order.expect("nobody is at it for long").expect("it is kept");
        assert!(order.state.is_final(), "{order:?}");
        order
    }

    /// Completes once the order waits for units.
    async fn waits(&self, id: OrderId) {
        let entry = self.service.store.register().get(id).expect("it is there");
        entry.until(|order| order.state == OrderState::Backordered).await;
    }

    async fn cancel(&self, id: OrderId) -> Result<Order, OrderRefused> {
        ordered(self.execute(Deed::Cancel { id }, None).await.expect("it is judged"))
    }

    async fn give_back(&self, id: OrderId, lines: Option<Vec<ReturnLine>>) -> Result<Order, OrderRefused> {
        ordered(self.execute(Deed::Return { id, lines }, None).await.expect("it is judged"))
    }

    async fn receive(&self, level: usize, units: i64) {
        let operation = Operation::Adjust { delta: units, if_missing: IfMissing::Create };
        let command = Command::change(key(level), Change::unconditional(operation));
        self.service.store.execute(command).await.expect("room");
    }

    async fn on_hand(&self, level: usize) -> u64 {
        self.service.store.read(&key(level)).await.expect("a level").on_hand()
    }

    async fn all(&self) -> BTreeMap<OrderId, Order> {
        let query = OrderQuery { state: None, after: None, limit: 10_000 };
        let page = self.service.store.orders(query).await.expect("a page");
        page.orders.into_iter().map(|order| (order.id, order)).collect()
    }

    async fn movements(&self) -> Vec<Movement> {
        let query =
            MovementQuery::After { from: From::Oldest, filter: MovementFilter::default(), limit: 10_000 };
        self.service.store.movements(query).await.expect("a page").movements
    }

    /// P12: the units that are gone are those of fulfilled orders that did not come back, unit for unit, in the levels and in the ledger.
    async fn assert_books(&self, units: u64) {
        let mut taken: BTreeMap<StockKey, i64> = BTreeMap::new();
        for order in self.all().await.into_values().filter(|order| order.state == OrderState::Fulfilled) {
            for (at, line) in order.lines.iter().enumerate() {
                *taken.entry(line.key.clone()).or_default() += order.left(at).cast_signed();
            }
        }
        let mut told: BTreeMap<StockKey, i64> = BTreeMap::new();
        for movement in self.movements().await.into_iter().filter(|movement| movement.order.is_some()) {
            assert!(matches!(movement.kind, MovementKind::Fulfilled | MovementKind::Returned));
            let (before, after) = (movement.before.0.cast_signed(), movement.after.on_hand().cast_signed());
            *told.entry(movement.key).or_default() += before - after;
        }
        for level in 0..4 {
            let gone = units.cast_signed() - self.on_hand(level).await.cast_signed();
            assert_eq!(gone, taken.get(&key(level)).copied().unwrap_or(0), "level {level}");
            assert_eq!(gone, told.get(&key(level)).copied().unwrap_or(0), "level {level}, in the ledger");
        }
    }
}

fn order(lines: &[(usize, u64)], backorder: bool) -> Deed {
    let line = |(level, units): &(usize, u64)| OrderLine { key: key(*level), quantity: quantity(*units) };
    Deed::Order { lines: lines.iter().map(line).collect(), priority: 0, backorder }
}

fn back(level: usize, units: u64) -> ReturnLine {
    ReturnLine { key: key(level), quantity: quantity(units), to: key(level) }
}

fn ordered(answered: Answered) -> Result<Order, OrderRefused> {
    match answered.outcome {
        Outcome::Order(judged) => judged.map(|order| *order),
        other => panic!("{other:?}"),
    }
}

for_each_strategy! {
    /// What is drained has had its turn, also if it waits for units now; and what is left when the service stops is there after it.
    async fn a_service_that_stops_drains_the_queue(kind: StrategyKind) {
        let shop = Shop::closed(kind, 5, Orders { workers: 1, ..Orders::default() }).await;
        let (waits, goes) = (shop.place(&[(0, 9)], true).await, shop.place(&[(1, 1)], false).await);
        shop.service.store.start_orders();
        shop.service.store.drain().await;
        assert_eq!(shop.order(waits).await.state, OrderState::Backordered);
        assert_eq!(shop.order(goes).await.state, OrderState::Fulfilled);
        let queued = {
            shop.service.store.0.pipeline.stop();
            shop.service.store.0.pipeline.joined().await;
            shop.place(&[(1, 1)], false).await
        };
        // Nobody works any more: there is nothing to wait for.
        shop.service.store.drain().await;
        let shop = shop.killed().await;
        assert_eq!((shop.order(queued).await.state, shop.order(waits).await.state), (OrderState::Queued, OrderState::Backordered));
        shop.service.store.start_orders();
        assert_eq!(shop.over(queued).await.state, OrderState::Fulfilled);
    }

    /// P4: an order takes all its units, in one change that names it and says what was said about it; or none, and says what was short.
    async fn an_order_takes_all_or_nothing(kind: StrategyKind) {
        let shop = Shop::with(kind, 5).await;
        let remark = Arc::new(Remark { reason: "web".to_owned(), reference: "A-7".to_owned() });
        let mut command = Command::new(order(&[(0, 2), (1, 3)], false));
        command.said = Said { remark: Some(remark), actor: Some("till".into()) };
        let placed = ordered(shop.service.store.execute(command).await.expect("it is taken in")).expect("an order");
        assert_eq!((placed.state, placed.times.ended_ms), (OrderState::Queued, None));
        let fulfilled = shop.over(placed.id).await;
        assert_eq!((fulfilled.state, fulfilled.times.ended_ms), (OrderState::Fulfilled, Some(NOW_MS)));
        let short = shop.over(shop.place(&[(0, 1), (1, 3), (9, 1)], false).await).await;
        let Some(OrderProblem::Levels(levels)) = &short.problem else { panic!("{short:?}") };
        assert_eq!(short.state, OrderState::Rejected);
        let named: Vec<_> = levels.iter().map(|level| (level.key.clone(), level.line)).collect();
        assert!(named.contains(&(key(1), 1)) || named.contains(&(key(9), 2)), "{named:?}");
        let moved: Vec<_> = shop.movements().await.into_iter().filter(|it| it.order == Some(placed.id)).collect();
        assert_eq!(moved.len(), 2);
        assert!(moved.iter().all(|it| it.kind == MovementKind::Fulfilled), "{moved:?}");
        assert!(moved.iter().all(|it| it.reference == "A-7" && it.actor == "till"), "{moved:?}");
        shop.assert_books(5).await;
    }

    /// P10: as many are queued as may be, and one that is cancelled makes room; who is next is said by the discipline; what is drained has had
    /// its turn.
    async fn the_queue_is_bounded_and_in_order(kind: StrategyKind) {
        for (discipline, expected) in [(Discipline::Fifo, [0, 2, 3]), (Discipline::Lifo, [3, 2, 0])] {
            let how = Orders { discipline, queue_max: 3, workers: 1, ..Orders::default() };
            let shop = Shop::closed(kind, 9, how).await;
            let mut placed = Vec::new();
            for _ in 0..3 {
                placed.push(shop.place(&[(0, 1)], false).await);
            }
            let full = shop.execute(order(&[(0, 1)], false), Some(7)).await.expect_err("three are queued");
            assert!(matches!(full.why, Why::QueueFull { .. }), "{full:?}");
            let cancelled = shop.cancel(placed[1]).await.expect("it is queued");
            assert_eq!(cancelled.state, OrderState::Cancelled);
            assert_eq!(shop.cancel(placed[1]).await, Ok(cancelled), "asked again, answered the same");
            // What was not taken in leaves its key free.
            let last = shop.execute(order(&[(0, 1)], false), Some(7)).await.expect("there is room");
            placed.push(ordered(last).expect("an order").id);
            shop.service.store.start_orders();
            shop.service.store.drain().await;
            let mut fulfilled = Vec::new();
            for id in &placed {
                let wanted = if *id == placed[1] { OrderState::Cancelled } else { OrderState::Fulfilled };
                assert_eq!(shop.order(*id).await.state, wanted);
            }
            for movement in shop.movements().await {
                fulfilled.extend(movement.order);
            }
            assert_eq!(fulfilled, expected.map(|at| placed[at]), "{discipline:?}");
            shop.assert_books(9).await;
        }
    }

    /// The condition: whatever frees units wakes the order that waits for them: a receipt, a release, an expiry, a cancel, a return.
    async fn whatever_frees_units_wakes_who_waits(kind: StrategyKind) {
        let shop = Shop::with(kind, 5).await;
        let hold = async |units, ttl| match shop.execute(reserve(&[(0, units)], ttl), None).await.unwrap().outcome {
            Outcome::Reservation(made) => made.expect("so many are there").term.id,
            other => panic!("{other:?}"),
        };
        let first = shop.over(shop.place(&[(0, 5)], false).await).await;
        let waiting = async || {
            let id = shop.place(&[(0, 1)], true).await;
            shop.waits(id).await;
            id
        };
        let id = waiting().await;
        assert_eq!(shop.order(id).await.times.backordered_ms, Some(NOW_MS));
        shop.receive(0, 1).await;
        assert_eq!(shop.over(id).await.state, OrderState::Fulfilled);
        shop.receive(0, 2).await;
        let (released, expired) = (hold(1, PATIENCE).await, hold(1, Duration::from_secs(9)).await);
        let id = waiting().await;
        let transition = Transition::Release;
        shop.execute(Deed::Settle { id: released, transition }, None).await.expect("it is pending");
        assert_eq!(shop.over(id).await.state, OrderState::Fulfilled);
        let id = waiting().await;
        shop.time.pass(Duration::from_secs(9));
        shop.service.store.expire_all_due().await.expect("nobody is in the way");
        assert_eq!(shop.over(id).await.state, OrderState::Fulfilled);
        assert!(shop.service.store.reservation(expired).await.expect("it is there").is_some());
        let id = waiting().await;
        shop.give_back(first.id, Some(vec![back(0, 1)])).await.expect("five were taken");
        assert_eq!(shop.over(id).await.state, OrderState::Fulfilled);
        // One that waits for more than there is holds up another; when it is cancelled, the other goes.
        shop.receive(0, 2).await;
        let (large, small) = (shop.place(&[(0, 9)], true).await, shop.place(&[(0, 2)], true).await);
        shop.waits(small).await;
        assert_eq!(shop.order(large).await.state, OrderState::Backordered);
        shop.cancel(large).await.expect("it waits");
        assert_eq!(shop.over(small).await.state, OrderState::Fulfilled);
        let waiting = shop.service.store.0.books.shared().lanes.freed().watched();
        assert_eq!(waiting, 0, "nobody waits any more");
    }

    /// P9: an order that comes after a reservation's deadline finds its units, though nobody has come round to it.
    async fn an_order_finds_the_units_of_a_hold_that_is_over(kind: StrategyKind) {
        let shop = Shop::with(kind, 5).await;
        let ttl = Duration::from_secs(9);
        shop.execute(reserve(&[(0, 5)], ttl), None).await.expect("five are there");
        let early = shop.over(shop.place(&[(0, 5)], false).await).await;
        assert_eq!(early.state, OrderState::Rejected);
        shop.time.pass(ttl);
        assert_eq!(shop.over(shop.place(&[(0, 5)], false).await).await.state, OrderState::Fulfilled);
    }

    /// Nobody overtakes: while an order waits for units of a level, a later one does not take them; it waits too, or is told whose they are.
    async fn a_newcomer_does_not_overtake_one_that_waits(kind: StrategyKind) {
        let shop = Shop::with(kind, 5).await;
        let large = shop.place(&[(0, 9)], true).await;
        shop.waits(large).await;
        let refused = shop.over(shop.place(&[(0, 1), (1, 1)], false).await).await;
        assert_eq!(refused.problem, Some(OrderProblem::Promised(key(0))));
        let patient = shop.place(&[(0, 1), (1, 1)], true).await;
        shop.waits(patient).await;
        assert_eq!(shop.over(shop.place(&[(2, 5)], false).await).await.state, OrderState::Fulfilled);
        shop.receive(0, 4).await;
        assert_eq!(shop.over(large).await.state, OrderState::Fulfilled);
        assert_eq!(shop.order(patient).await.state, OrderState::Backordered);
        // A restart changes nothing of it.
        let shop = shop.killed().await;
        shop.service.store.start_orders();
        let refused = shop.over(shop.place(&[(1, 1)], false).await).await;
        assert_eq!(refused.problem, Some(OrderProblem::Promised(key(1))));
        shop.receive(0, 1).await;
        assert_eq!(shop.over(patient).await.state, OrderState::Fulfilled);
    }

    /// P10: only so many wait; one beyond is rejected for what it found.
    async fn places_to_wait_are_bounded(kind: StrategyKind) {
        let how = Orders { backorders_max: 2, ..Orders::default() };
        let shop = Shop::closed(kind, 1, how).await;
        shop.service.store.start_orders();
        for level in 0..2 {
            let id = shop.place(&[(level, 2)], true).await;
            shop.waits(id).await;
        }
        let third = shop.over(shop.place(&[(2, 2)], true).await).await;
        assert!(matches!(third.problem, Some(OrderProblem::Levels(_))), "{third:?}");
        let behind = shop.over(shop.place(&[(0, 1)], true).await).await;
        assert_eq!(behind.problem, Some(OrderProblem::Promised(key(0))));
    }

    /// P12: what was taken comes back once, each unit, whoever races; what is named where it was not taken, or is too much, changes nothing.
    async fn what_was_taken_comes_back_once(kind: StrategyKind) {
        let shop = Arc::new(Shop::with(kind, 9).await);
        let id = shop.place(&[(0, 5), (1, 3)], true).await;
        let too_early = shop.give_back(shop.place(&[(3, 99)], true).await, None).await;
        assert!(matches!(too_early, Err(OrderRefused::State(_))), "{too_early:?}");
        shop.over(id).await;
        assert_eq!(shop.give_back(id, Some(vec![back(2, 1)])).await, Err(OrderRefused::NotOrdered { key: key(2) }));
        let too_much = shop.give_back(id, Some(vec![back(1, 1), back(0, 4), back(0, 2)])).await;
        assert_eq!(too_much, Err(OrderRefused::Returned { key: key(0), left: 5 }));
        let racing = (0..8).map(|_| {
            let shop = Arc::clone(&shop);
            tokio::spawn(async move { shop.give_back(id, Some(vec![back(0, 1)])).await.is_ok() })
        });
        let racing: Vec<_> = racing.collect();
        let mut given = 0;
        for one in racing {
            given += usize::from(one.await.expect("it does not panic"));
        }
        assert_eq!(given, 5);
        let elsewhere = StockKey::new(&Sku::parse(key(1).sku()).expect("a sku"), &Location::parse("back").expect("a location"));
        let line = ReturnLine { key: key(1), quantity: quantity(1), to: elsewhere.clone() };
        shop.give_back(id, Some(vec![line])).await.expect("three were taken");
        assert_eq!(shop.service.store.read(&elsewhere).await.expect("it was made").on_hand(), 1);
        let rest = shop.give_back(id, None).await.expect("two are left");
        assert_eq!(rest.returned, [quantity(5), quantity(3)]);
        assert_eq!(shop.give_back(id, None).await, Err(OrderRefused::Returned { key: key(0), left: 0 }));
        assert_eq!((shop.on_hand(0).await, shop.on_hand(1).await), (9, 8));
        let cancelled = shop.cancel(id).await;
        assert!(matches!(cancelled, Err(OrderRefused::State(_))), "{cancelled:?}");
    }

    /// P8: under a key an order is placed once, cancelled once, given back once; a retry is answered the same, after a restart, too.
    async fn under_a_key_it_happens_once(kind: StrategyKind) {
        let shop = Shop::with(kind, 9).await;
        let deed = || order(&[(0, 2)], true);
        let placed = ordered(shop.execute(deed(), Some(1)).await.expect("it is taken in")).expect("an order");
        shop.over(placed.id).await;
        let lines = Some(vec![back(0, 1)]);
        let give = || Deed::Return { id: placed.id, lines: lines.clone() };
        let given = ordered(shop.execute(give(), Some(2)).await.expect("it is judged")).expect("two were taken");
        let waits = shop.place(&[(1, 99)], true).await;
        shop.waits(waits).await;
        let cancel = || Deed::Cancel { id: waits };
        let cancelled = ordered(shop.execute(cancel(), Some(3)).await.expect("it is judged")).expect("it waits");
        let again = async |shop: &Shop| {
            for (deed, number, expected) in [(deed(), 1, &placed), (give(), 2, &given), (cancel(), 3, &cancelled)] {
                let answered = shop.execute(deed, Some(number)).await.expect("it is kept");
                assert!(answered.replayed);
                assert_eq!(ordered(answered).as_ref(), Ok(expected));
            }
            assert_eq!(shop.all().await.len(), 2);
            assert_eq!(shop.on_hand(0).await, 8);
        };
        again(&shop).await;
        let shop = shop.killed().await;
        shop.service.store.start_orders();
        again(&shop).await;
        assert_eq!(shop.order(placed.id).await, given);
        shop.assert_books(9).await;
    }

    /// An accepted order is not lost, and not fulfilled twice: kills while orders are placed, worked off, cancelled and given back.
    async fn an_accepted_order_outlives_a_kill(kind: StrategyKind) {
        let how = Orders { workers: 2, ..Orders::default() };
        let mut shop = Arc::new(Shop::closed(kind, 60, how).await);
        let mut accepted: BTreeMap<OrderId, OrderState> = BTreeMap::new();
        for life in 0..6_u64 {
            shop.service.store.start_orders();
            let clients = (0..3_u64).map(|client| {
                let shop = Arc::clone(&shop);
                tokio::spawn(async move {
                    let mut seen = Vec::new();
                    for turn in 0..8_u64 {
                        let level = usize::try_from((client + turn + life) % 4).unwrap();
                        let id = shop.place(&[(level, 1 + turn % 3)], turn % 2 == 0).await;
                        seen.push((id, OrderState::Queued));
                        match turn % 4 {
                            0 => seen.extend(shop.cancel(id).await.ok().map(|order| (id, order.state))),
                            1 => seen.extend(shop.give_back(id, None).await.ok().map(|order| (id, order.state))),
                            2 => seen.push((id, shop.order(id).await.state)),
                            _ => {}
                        }
                    }
                    seen
                })
            });
            for client in clients.collect::<Vec<_>>() {
                accepted.extend(client.await.expect("it does not panic"));
            }
            if life == 3 {
                tokio::task::block_in_place(|| shop.service.journal().snapshots().take()).expect("room");
            }
            let owned = Arc::into_inner(shop).expect("the clients are gone");
            shop = Arc::new(owned.killed().await);
            let all = shop.all().await;
            for (id, shown) in &accepted {
                let found = all.get(id).unwrap_or_else(|| panic!("{id} is lost, which was {shown:?}"));
                // What was final stays; what waited is not queued again.
                assert!(!shown.is_final() || found.state == *shown, "{id}: {shown:?}, then {:?}", found.state);
                assert!(*shown != OrderState::Backordered || found.state != OrderState::Queued, "{id}");
            }
            shop.assert_books(60).await;
        }
        shop.service.store.start_orders();
        for level in 0..4 {
            shop.receive(level, 1_000).await;
        }
        for id in accepted.keys() {
            shop.over(*id).await;
        }
        shop.assert_books(1_060).await;
    }

    /// Of a cancel and a worker one wins, and what is told is what happened.
    async fn a_cancel_races_with_the_worker(kind: StrategyKind) {
        let shop = Arc::new(Shop::with(kind, 1_000).await);
        let mut outcomes = BTreeMap::new();
        for _ in 0..100 {
            let id = shop.place(&[(0, 1)], false).await;
            let told = shop.cancel(id).await.map_err(|refused| match refused {
                OrderRefused::State(order) => order.state,
                other => panic!("{other:?}"),
            });
            let state = shop.over(id).await.state;
            assert_eq!(told.map_or_else(|state| state, |order| order.state), state);
            *outcomes.entry(state.name()).or_insert(0) += 1;
        }
        shop.assert_books(1_000).await;
    }
}

/// P7, P8: an order that is not on disk yet does not have its turn. Else a crash could leave what it took without its key, and a retry would
/// order again. One thread, so that whoever could put it into the queue has had its go.
#[tokio::test]
async fn an_order_has_its_turn_when_it_is_on_disk() {
    let shop = Shop::closed(StrategyKind::Mutex, 5, Orders::default()).await;
    let (asked, (go, wait)) = (Arc::new(AtomicBool::new(false)), mpsc::channel::<()>());
    shop.service.disk.at_each(Call::Sync, {
        let (asked, wait) = (Arc::clone(&asked), Mutex::new(wait));
        move |_| {
            asked.store(true, Ordering::SeqCst);
            // Until the other end is gone.
            let _ = wait.lock().recv();
        }
    });
    let (store, pipeline) = (shop.service.store.clone(), &shop.service.store.0.pipeline);
    let placed = tokio::spawn(async move { store.execute(Command::new(order(&[(0, 1)], false))).await });
    while !asked.load(Ordering::SeqCst) {
        tokio::task::yield_now().await;
    }
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert!(!pipeline.has_work() && !placed.is_finished());
    drop(go);
    ordered(placed.await.expect("it does not panic").expect("it is taken in")).expect("an order");
    assert!(pipeline.has_work());
}
