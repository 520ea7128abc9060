//! Several stores over one database, asked at the same time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use databases::Database as Server;
use inventory::stock::{
    Change, KeySet, Once, Operation, OrderId, OrderLine, OrderState, Quantity, Reason, ReservationState,
    StockKey, Transaction,
};
use inventory::store::ledger::From;
use inventory::store::{
    AnyStore, Command, Deed, Idempotency, Keeping, Movement, MovementFilter, MovementQuery, Outcome,
    StockQuery, Store as _, TransactionKind, Transition, Why,
};
use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};
use tokio::task::JoinSet;
use tokio_postgres::NoTls;

use crate::support::stock::{adjust, create, key, level};
use crate::support::store::{changed, each, open_replica};

const ONCE: Once = Once { key: 7, fingerprint: [1; 32] };

/// Replicas of one service.
struct Replicas {
    stores: Vec<Arc<AnyStore>>,
    database: Server,
}

impl Replicas {
    /// So many.
    async fn open(count: usize) -> Self {
        let database = databases::postgres().database().expect("a database");
        let mut stores = Vec::new();
        for _ in 0..count {
            stores.push(Arc::new(open_replica(&database.url(), Keeping::default()).await));
        }
        Self { stores, database }
    }

    async fn with_levels(count: usize, levels: &[(&str, u64)]) -> Self {
        let replicas = Self::open(count).await;
        for (sku, on_hand) in levels {
            let made = replicas.stores[0].execute(Command::change(key(sku), create(*on_hand))).await;
            changed(made.expect("it is judged")).expect("a level");
        }
        replicas
    }

    /// Deadlocks that the database met.
    async fn deadlocks(&self) -> i64 {
        let (client, connection) =
            tokio_postgres::connect(&self.database.url(), NoTls).await.expect("a database");
        tokio::spawn(connection);
        let count = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()";
        client.query_one(count, &[]).await.expect("a count").get(0)
    }

    /// The ledger, as that replica tells it.
    async fn ledger(&self, replica: usize) -> Vec<Movement> {
        let (mut movements, mut from) = (Vec::new(), From::Oldest);
        loop {
            let query = MovementQuery::After { from, filter: MovementFilter::default(), limit: 500 };
            let page = self.stores[replica].movements(query).await.expect("a page");
            movements.extend(page.movements);
            match page.next {
                Some(next) => from = From::Cursor(next),
                None => return movements,
            }
        }
    }

    async fn on_hand(&self, replica: usize, sku: &str) -> u64 {
        self.stores[replica].read(&key(sku)).await.expect("a level").on_hand()
    }
}

fn transaction(lines: Vec<(StockKey, Change)>) -> Deed {
    let transaction = Arc::new(Transaction::new(lines).expect("a transaction"));
    Deed::Transaction { transaction, kind: TransactionKind::Adjustment }
}

/// P2, P3: of 1 000 who want one unit, at three replicas, one has it, and all others are told what was there after that.
#[databases::needs(Postgres)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_takers_of_one_unit() {
    let replicas = Replicas::with_levels(3, &[("a", 1)]).await;
    let mut takers = JoinSet::new();
    for taker in 0..1_000 {
        let store = Arc::clone(&replicas.stores[taker % 3]);
        takers.spawn(async move {
            changed(store.execute(Command::change(key("a"), adjust(-1))).await.expect("it is judged"))
        });
    }
    let (won, lost): (Vec<_>, Vec<_>) = takers.join_all().await.into_iter().partition(Result::is_ok);
    assert_eq!(won.into_iter().map(|won| won.expect("it won").after).collect::<Vec<_>>(), [level(0, 0, 2)]);
    assert_eq!(lost.len(), 999);
    for refused in lost {
        let refusal = refused.expect_err("it lost");
        assert_eq!((refusal.reason, refusal.found), (Reason::Insufficient { requested: 1 }, level(0, 0, 2)));
    }
}

/// P1, P4: transactions of the same levels in opposite orders, from three replicas: no unit is lost, none waits for one that waits for it, and
/// nobody sees a part.
#[databases::needs(Postgres)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn opposite_orders_never_deadlock() {
    const ROUNDS: usize = 10_000;
    const SKUS: [&str; 8] = ["a", "b", "c", "d", "e", "f", "g", "h"];
    let replicas = Replicas::with_levels(3, &SKUS.map(|sku| (sku, 1_000))).await;
    let rounds = Arc::new(AtomicU64::new(0));
    let mut movers = JoinSet::new();
    for mover in 0..48_usize {
        let (store, rounds) = (Arc::clone(&replicas.stores[mover % 3]), Arc::clone(&rounds));
        movers.spawn(async move {
            let mut dice = Xoshiro256PlusPlus::seed_from_u64(mover as u64);
            while rounds.fetch_add(1, Ordering::Relaxed) < ROUNDS as u64 {
                let (from, to) = (dice.random_range(0..SKUS.len()), dice.random_range(1..SKUS.len()));
                let to = (from + to) % SKUS.len();
                let lines = vec![(key(SKUS[from]), adjust(-1)), (key(SKUS[to]), adjust(1))];
                store.execute(Command::new(transaction(lines))).await.expect("it is judged");
            }
        });
    }
    let keys = Arc::new(KeySet::new(SKUS.map(key).to_vec()));
    while !movers.is_empty() {
        let query = StockQuery { keys: Arc::clone(&keys), consistent: true };
        let levels = replicas.stores[1].query(query).await.expect("levels");
        assert_eq!(levels.iter().map(|level| level.on_hand()).sum::<u64>(), 8_000, "at one instant");
        while let Some(moved) = movers.try_join_next() {
            moved.expect("no panic");
        }
    }
    assert_eq!(replicas.deadlocks().await, 0);
    let ledger = replicas.ledger(0).await;
    assert!(ledger.iter().map(|movement| movement.seq.number()).eq(1..=ledger.len() as u64));
    assert_eq!(ledger, replicas.ledger(2).await, "every replica tells the same");
}

/// P8: one key, sent to all replicas at once, takes effect once; and used for something else, wherever that is, is told.
#[databases::needs(Postgres)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_takes_effect_once_wherever_it_is_sent() {
    let replicas = Replicas::with_levels(3, &[("a", 0), ("b", 0)]).await;
    let once = |once, sku| {
        let deed = Deed::Change { key: key(sku), change: adjust(1) };
        Command { idempotency: Some(Box::new(Idempotency { once, version_1: None })), ..Command::new(deed) }
    };
    for round in 0..100_u64 {
        let this = Once { key: u128::from(round) << 64 | 5, ..ONCE };
        let mut racers = JoinSet::new();
        for racer in 0..9 {
            let store = Arc::clone(&replicas.stores[racer % 3]);
            // Each third is another request, of a level of another partition, under the same key.
            let is_other = racer % 3 == 2;
            let command =
                if is_other { once(Once { fingerprint: [2; 32], ..this }, "b") } else { once(this, "a") };
            racers.spawn(async move { (is_other, store.execute(command).await) });
        }
        let (mut fresh, mut reused) = (0, 0);
        for (is_other, answered) in racers.join_all().await {
            match answered {
                Ok(answered) => fresh += u32::from(!answered.replayed),
                Err(not_done) => {
                    assert_eq!(not_done.why, Why::KeyReused, "{is_other}");
                    reused += 1;
                }
            }
        }
        assert_eq!(fresh, 1, "round {round}");
        assert!(reused == 3 || reused == 6, "one of the two requests was first: {reused}");
    }
    assert_eq!(replicas.on_hand(0, "a").await + replicas.on_hand(1, "b").await, 100);
}

/// P9: units that a replica has held are free at the deadline, whatever has become of it; and never before.
#[databases::needs(Postgres)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn holds_end_though_their_replica_is_gone() {
    let mut replicas = Replicas::with_levels(2, &[("a", 5), ("b", 5)]).await;
    let reserve = Operation::Reserve { quantity: Quantity::new(5).expect("five") };
    let lines = ["a", "b"].map(|sku| (key(sku), Change::unconditional(reserve))).to_vec();
    let transaction = Arc::new(Transaction::new(lines).expect("a transaction"));
    let deed = || Deed::Reserve { transaction: Arc::clone(&transaction), ttl: Duration::from_secs(1) };
    let gone = replicas.stores.remove(0);
    let made = gone.execute(Command::new(deed())).await.expect("it is judged");
    let Outcome::Reservation(Ok(reservation)) = made.outcome else { panic!("{made:?}") };
    gone.shut_down().await;
    let left = &replicas.stores[0];
    // Whoever wants all the units has them as soon as they are free, and is told of others until then.
    let until_ms = loop {
        let tried = left.execute(Command::new(deed())).await.expect("it is judged");
        match tried.outcome {
            Outcome::Reservation(Ok(next)) => break next.term.created_ms(),
            Outcome::Reservation(Err(_)) => tokio::task::yield_now().await,
            other => panic!("{other:?}"),
        }
    };
    assert!(until_ms >= reservation.term.expires_ms, "{until_ms} is before {}", reservation.term.expires_ms);
    let ended = left.reservation(reservation.term.id).await.expect("an answer").expect("it is kept");
    assert_eq!(ended.state, ReservationState::Expired);
    let deed = Deed::Settle { id: reservation.term.id, transition: Transition::Commit(None) };
    let late = left.execute(Command::new(deed)).await.expect("it is judged");
    assert!(matches!(late.outcome, Outcome::Reservation(Err(_))), "{late:?}");
}

/// P8: a batch under a key that is sent again while it is under way, to other replicas, changes each of its levels once a line.
#[databases::needs(Postgres)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_is_once_though_it_is_sent_again_meanwhile() {
    const LINES: usize = 1_500;
    let replicas = Replicas::with_levels(3, &[("a", 0), ("b", 0)]).await;
    for round in 0..4_u64 {
        let once = Once { key: u128::from(round + 1) << 64, ..ONCE };
        let mut senders = JoinSet::new();
        for sender in 0..6_u64 {
            let store = Arc::clone(&replicas.stores[usize::try_from(sender % 3).expect("few")]);
            senders.spawn(async move {
                let [a, b] = ["a", "b"].map(key);
                let lines: Vec<_> =
                    (0..LINES).map(|line| (if line % 2 == 0 { &a } else { &b }, adjust(1))).collect();
                let idempotency = Some(Box::new(Idempotency { once, version_1: None }));
                store.execute(Command { idempotency, ..Command::new(each(&lines)) }).await
            });
            // Some begin while others are at it.
            tokio::time::sleep(Duration::from_millis(sender * 7)).await;
        }
        let mut outcomes = Vec::new();
        for sent in senders.join_all().await {
            outcomes.push(sent.expect("it is judged").outcome);
        }
        assert!(outcomes.iter().all(|outcome| *outcome == outcomes[0]), "each is told the same");
        let sum = replicas.on_hand(0, "a").await + replicas.on_hand(0, "b").await;
        assert_eq!(sum, (round + 1) * LINES as u64);
    }
}

/// P9: of two who extend the same reservation at once nobody makes it shorter.
#[databases::needs(Postgres)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_extends_makes_nothing_shorter() {
    let replicas = Replicas::with_levels(2, &[("a", 5)]).await;
    let reserve = Operation::Reserve { quantity: Quantity::new(5).expect("five") };
    let lines = vec![(key("a"), Change::unconditional(reserve))];
    let transaction = Arc::new(Transaction::new(lines).expect("a transaction"));
    let deed = Deed::Reserve { transaction, ttl: Duration::from_secs(1) };
    let made = replicas.stores[0].execute(Command::new(deed)).await.expect("it is judged");
    let Outcome::Reservation(Ok(reservation)) = made.outcome else { panic!("{made:?}") };
    let id = reservation.term.id;
    let mut extending = JoinSet::new();
    for number in 0..64_usize {
        let store = Arc::clone(&replicas.stores[0]);
        let ttl = Duration::from_secs(if number % 2 == 0 { 1 } else { 3_600 });
        let deed = Deed::Settle { id, transition: Transition::Extend(ttl) };
        extending.spawn(async move { store.execute(Command::new(deed)).await });
    }
    for extended in extending.join_all().await {
        extended.expect("it is judged");
    }
    // Time is what this is about: the shorter ones have passed.
    tokio::time::sleep(Duration::from_millis(1_300)).await;
    assert_eq!(replicas.stores[1].read(&key("a")).await.expect("a level").reserved(), 5);
    let kept = replicas.stores[1].reservation(id).await.expect("an answer").expect("it is kept");
    assert_eq!(kept.state, ReservationState::Pending);
}

/// P9, P12: all lines of a reservation are let go, though somebody has touched but one of its levels: who waits for units of another has them.
///
/// Deadlines are moved in the tables: so nobody who looks for reservations that are over can be there before whoever touches the level.
#[databases::needs(Postgres)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lines_that_nobody_touches_are_let_go() {
    const SKUS: [&str; 6] = ["a", "b", "c", "d", "e", "f"];
    let replicas = Replicas::with_levels(2, &SKUS.map(|sku| (sku, 1))).await;
    let reserve = Operation::Reserve { quantity: Quantity::new(1).expect("one") };
    let lines = SKUS.map(|sku| (key(sku), Change::unconditional(reserve))).to_vec();
    let transaction = Arc::new(Transaction::new(lines).expect("a transaction"));
    let deed = Deed::Reserve { transaction, ttl: Duration::from_hours(1) };
    let made = replicas.stores[0].execute(Command::new(deed)).await.expect("it is judged");
    let Outcome::Reservation(Ok(made)) = made.outcome else { panic!("{made:?}") };
    let mut waiting = Vec::new();
    for sku in &SKUS[1..] {
        waiting.push(placed(&replicas.stores[1], sku, true).await);
    }
    let (client, connection) =
        tokio_postgres::connect(&replicas.database.url(), NoTls).await.expect("a database");
    tokio::spawn(connection);
    let due = "UPDATE inventory.held SET expires_ms = 1 WHERE";
    client.batch_execute(&format!("{due} sku = 'a'")).await.expect("a line is due");
    // Whoever looks at that level says that the reservation is over: so nobody looks for it any more.
    while replicas.stores[0].read(&key("a")).await.expect("a level").reserved() > 0 {
        tokio::task::yield_now().await;
    }
    let kept = replicas.stores[0].reservation(made.term.id).await.expect("an answer").expect("it is kept");
    assert_eq!(kept.state, ReservationState::Expired);
    client.batch_execute(&format!("{due} sku <> 'a'")).await.expect("the others are due as well");
    for id in waiting {
        let patience = Duration::from_secs(20);
        let order =
            replicas.stores[1].order_when_final(id, patience).await.expect("an answer").expect("it is kept");
        assert_eq!(order.state, OrderState::Fulfilled);
    }
}

/// P12: a page of the ledger has whatever was answered before it was asked for, though another replica made it and this one has not looked since.
#[databases::needs(Postgres)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_has_what_another_replica_was_asked_for() {
    let replicas = Replicas::with_levels(2, &[("a", 0)]).await;
    for count in 1..=20_u64 {
        for _ in 0..3 {
            let made = replicas.stores[0].execute(Command::change(key("a"), adjust(1))).await;
            changed(made.expect("it is judged")).expect("a unit");
        }
        let all = 1 + 3 * count;
        // From before the end as it was known, which is not the end any more; from there, and from the beginning.
        for after in [all - 4, all - 3, 0] {
            let from = From::Seq(inventory::store::Seq::new(after));
            let query = MovementQuery::After { from, filter: MovementFilter::default(), limit: 500 };
            let page = replicas.stores[1].movements(query).await.expect("a page");
            let numbers = page.movements.iter().map(|movement| movement.seq.number());
            assert!(numbers.eq(after + 1..=all), "after {after} of {all}: {}", page.movements.len());
            assert_eq!(page.next, None);
        }
    }
}

async fn placed(store: &AnyStore, sku: &str, backorder: bool) -> OrderId {
    let lines = vec![OrderLine { key: key(sku), quantity: Quantity::new(1).expect("one") }];
    let answered = store.execute(Command::new(Deed::Order { lines, priority: 0, backorder })).await;
    match answered.expect("it is judged").outcome {
        Outcome::Order(Ok(order)) => order.id,
        other => panic!("{other:?}"),
    }
}

/// An order is done once, by whoever is there; and one that waits has its units when they come, whoever brings them.
#[databases::needs(Postgres)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orders_have_their_turn_at_any_replica() {
    let mut replicas = Replicas::with_levels(3, &[("a", 100), ("b", 0)]).await;
    let mut orders = Vec::new();
    for number in 0..100 {
        orders.push(placed(&replicas.stores[number % 3], "a", false).await);
    }
    let waits = placed(&replicas.stores[0], "b", true).await;
    // The one that placed it goes away.
    replicas.stores.remove(0).shut_down().await;
    let patience = Duration::from_secs(20);
    for id in orders {
        let order =
            replicas.stores[0].order_when_final(id, patience).await.expect("an answer").expect("it is kept");
        assert_eq!(order.state, OrderState::Fulfilled);
    }
    assert_eq!(replicas.on_hand(1, "a").await, 0);
    let brought = replicas.stores[1].execute(Command::change(key("b"), adjust(1))).await;
    changed(brought.expect("it is judged")).expect("a unit");
    let order =
        replicas.stores[0].order_when_final(waits, patience).await.expect("an answer").expect("it is kept");
    assert_eq!(order.state, OrderState::Fulfilled);
    let taken = replicas.ledger(0).await.iter().filter(|movement| movement.order.is_some()).count();
    assert_eq!(taken, 101, "each once");
}

/// P12: whoever follows the ledger at one replica is told of every change of all of them once, in the order of each level.
#[databases::needs(Postgres)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_replica_tells_of_every_change_once() {
    const CHANGES: u64 = 300;
    const SKUS: [&str; 5] = ["a", "b", "c", "d", "e"];
    let replicas = Replicas::with_levels(3, &SKUS.map(|sku| (sku, 0))).await;
    let mut writers = JoinSet::new();
    for (number, store) in replicas.stores.iter().cloned().enumerate() {
        writers.spawn(async move {
            for change in 0..CHANGES {
                let sku = SKUS[(number + usize::try_from(change).expect("few")) % SKUS.len()];
                changed(store.execute(Command::change(key(sku), adjust(1))).await.expect("it is judged"))
                    .expect("a unit");
            }
        });
    }
    let store = &replicas.stores[2];
    let (mut at, mut told) = (None, BTreeMap::<String, u64>::new());
    let all = SKUS.len() as u64 + 3 * CHANGES;
    let mut count = 0;
    while count < all {
        let from = at.map_or(From::Oldest, From::Cursor);
        let query = MovementQuery::After { from, filter: MovementFilter::default(), limit: 50 };
        let page = store.movements(query).await.expect("a page");
        for movement in &page.movements {
            count += 1;
            assert_eq!(movement.seq.number(), count, "without a gap");
            let version = told.entry(movement.key.sku().to_owned()).or_default();
            assert_eq!(movement.after.version(), *version + 1, "in the order of its level");
            *version += 1;
        }
        let last = page.movements.last().map(|movement| movement.seq);
        if let Some(last) = last {
            at = Some(inventory::store::MovementCursor::after(last, store.lineage()));
        }
        if page.next.is_none() && count < all {
            let place = at.unwrap_or_else(|| store.feed_end_at_opening());
            store.feed_grows(place).await.expect("it goes on");
        }
    }
    while let Some(written) = writers.join_next().await {
        written.expect("no panic");
    }
    assert_eq!(told.values().sum::<u64>(), all);
}
