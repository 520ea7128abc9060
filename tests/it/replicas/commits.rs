//! Connections that are lost at a commit (P8): whoever is told that nothing was done can rely on it, and whoever is told that nobody knows is told by
//! the next try under the key, wherever that is made.
//!
//! Nothing is left to chance here: the network fails before the commit is passed on, or after it was carried out and before that is told.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use databases::Database as Server;
use inventory::stock::{Change, Once, Operation, OrderLine, Quantity, ReservationId, StockKey, Transaction};
use inventory::store::{
    Answered, AnyStore, Command, Deed, Idempotency, Keeping, LineOutcome, NotDone, OrderQuery, Outcome,
    Store as _, TransactionKind, Transition, WasApplied, Why,
};
use tokio_postgres::NoTls;

use crate::support::proxy::{Fault, Proxy};
use crate::support::stock::{adjust, create, key};
use crate::support::store::{changed, each, open_replica};

/// What is in a request that locks a partition.
pub(super) const LOCK: &str = "inventory.part WHERE p = $1 FOR UPDATE";

/// A database, one replica behind a network that fails, and one that has its own way there.
pub(super) struct Two {
    pub(super) near: AnyStore,
    pub(super) far: AnyStore,
    pub(super) proxy: Proxy,
    pub(super) database: Server,
    keys: AtomicU64,
}

/// The kinds of deeds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Adjust,
    Transaction,
    Batch,
    Reserve,
    Commit,
    Order,
}

const KINDS: [Kind; 6] =
    [Kind::Adjust, Kind::Transaction, Kind::Batch, Kind::Reserve, Kind::Commit, Kind::Order];

/// What a deed changes: units on hand of `a` and `b`, units reserved, versions, orders.
type Facts = [i64; 5];

impl Two {
    /// With two levels, which are of two partitions.
    pub(super) async fn open() -> Self {
        let database = databases::postgres().database().expect("a database");
        let proxy = Proxy::before(&database).await;
        let far = open_replica(&database.url(), Keeping::default()).await;
        for sku in ["a", "b"] {
            changed(far.execute(Command::change(key(sku), create(1_000))).await.expect("it is judged"))
                .expect("a level");
        }
        let near = open_replica(&proxy.url(), Keeping::default()).await;
        Self { near, far, proxy, database, keys: AtomicU64::new(0) }
    }

    /// A key that was not used.
    pub(super) fn new_key(&self) -> Once {
        let number = self.keys.fetch_add(1, Ordering::Relaxed) + 1;
        Once { key: u128::from(number) << 70, fingerprint: [1; 32] }
    }

    async fn facts(&self) -> Facts {
        let [a, b] = [self.far.read(&key("a")).await, self.far.read(&key("b")).await]
            .map(|level| level.expect("a level"));
        let query = OrderQuery { after: None, state: None, limit: 500 };
        let orders = self.far.orders(query).await.expect("a page").orders;
        let number = |units: u64| i64::try_from(units).expect("few");
        [
            number(a.on_hand()),
            number(b.on_hand()),
            number(a.reserved() + b.reserved()),
            number(a.version() + b.version()),
            i64::try_from(orders.len()).expect("few"),
        ]
    }

    /// What is to be asked for, with whatever it needs to be there.
    async fn deed(&self, kind: Kind) -> impl Fn() -> Deed + use<> {
        let mut reservation = None;
        if kind == Kind::Commit {
            let deed = Deed::Reserve { transaction: holding(), ttl: Duration::from_hours(1) };
            let made = self.far.execute(Command::new(deed)).await.expect("it is judged");
            let Outcome::Reservation(Ok(made)) = made.outcome else { panic!("{made:?}") };
            reservation = Some(made.term.id);
        }
        move || deed(kind, reservation)
    }

    /// Nothing goes on by itself any more: no order is queued.
    async fn is_quiet(&self) {
        for order in
            self.far.orders(OrderQuery { after: None, state: None, limit: 500 }).await.expect("a page").orders
        {
            let patience = Duration::from_secs(20);
            let over =
                self.far.order_when_final(order.id, patience).await.expect("an answer").expect("an order");
            assert!(over.state.is_final(), "{over:?}");
        }
    }
}

fn holding() -> Arc<Transaction> {
    let reserve = Change::unconditional(Operation::Reserve { quantity: Quantity::new(1).expect("one") });
    let lines = ["a", "b"].map(|sku| (key(sku), reserve)).to_vec();
    Arc::new(Transaction::new(lines).expect("a transaction"))
}

fn deed(kind: Kind, reservation: Option<ReservationId>) -> Deed {
    let [a, b]: [StockKey; 2] = ["a", "b"].map(key);
    match kind {
        Kind::Adjust => Deed::Change { key: a, change: adjust(-1) },
        Kind::Transaction => {
            let transaction = Transaction::new(vec![(a, adjust(-1)), (b, adjust(1))]);
            let transaction = Arc::new(transaction.expect("a transaction"));
            Deed::Transaction { transaction, kind: TransactionKind::Adjustment }
        }
        Kind::Batch => each(&[(&a, adjust(-1)), (&b, adjust(-1)), (&a, adjust(-1))]),
        Kind::Reserve => Deed::Reserve { transaction: holding(), ttl: Duration::from_hours(1) },
        Kind::Commit => {
            let id = reservation.expect("one was made");
            Deed::Settle { id, transition: Transition::Commit(None) }
        }
        // Of a level that is not there: it is rejected when it has its turn, whoever gives it one.
        Kind::Order => {
            let lines = vec![OrderLine { key: key("nothing"), quantity: Quantity::new(1).expect("one") }];
            Deed::Order { lines, priority: 0, backorder: false }
        }
    }
}

/// What a deed changes, once.
fn change_of(kind: Kind) -> Facts {
    match kind {
        Kind::Adjust => [-1, 0, 0, 1, 0],
        Kind::Transaction => [-1, 1, 0, 2, 0],
        Kind::Batch => [-2, -1, 0, 3, 0],
        Kind::Reserve => [0, 0, 2, 2, 0],
        Kind::Commit => [-1, -1, -2, 2, 0],
        Kind::Order => [0, 0, 0, 0, 1],
    }
}

pub(super) async fn asked(store: &AnyStore, deed: Deed, once: Option<Once>) -> Result<Answered, NotDone> {
    let idempotency = once.map(|once| Box::new(Idempotency { once, version_1: None }));
    store.execute(Command { idempotency, ..Command::new(deed) }).await
}

/// What was said not to be done, or of which nothing is known: of a batch line by line.
fn not_done(told: &Result<Answered, NotDone>) -> Vec<NotDone> {
    match told {
        Err(not_done) => vec![not_done.clone()],
        Ok(Answered { outcome: Outcome::Each(lines), .. }) => {
            let one = |line: &LineOutcome| match line {
                LineOutcome::NotDone(not_done) => Some(not_done.clone()),
                _ => None,
            };
            lines.iter().filter_map(one).collect()
        }
        Ok(_) => Vec::new(),
    }
}

fn assert_all_unknown(told: &Result<Answered, NotDone>, what: &str) {
    let not_done = not_done(told);
    assert!(!not_done.is_empty(), "{what}: {told:?}");
    assert!(not_done.iter().all(|told| told.applied == WasApplied::Unknown), "{what}: {told:?}");
}

fn assert_changed(before: Facts, after: Facts, by: Facts, what: &str) {
    let changed: Vec<i64> = after.iter().zip(before).map(|(after, before)| after - before).collect();
    assert_eq!(changed, by, "{what}");
}

/// The answer to a commit is lost: nobody is told that nothing was done, the change is there, and the next try under the key, at either replica, is
/// answered as the first would have been.
#[databases::needs(Postgres)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_whose_answer_is_lost_is_unknown_and_there_once() {
    let two = Two::open().await;
    let mut failed = 0;
    for kind in KINDS {
        for fault in [Fault::CutAfter, Fault::CutUnanswered] {
            let what = format!("{kind:?}, {fault:?}");
            // Without a key it is the same, but that nobody can ask again.
            for once in [Some(two.new_key()), None] {
                let deed = two.deed(kind).await;
                two.is_quiet().await;
                let before = two.facts().await;
                two.proxy.fails_at("COMMIT", fault.clone());
                let told = asked(&two.near, deed(), once).await;
                failed += 1;
                two.proxy.has_failed(failed).await;
                assert_all_unknown(&told, &what);
                if once.is_some() {
                    let again = asked(&two.far, deed(), once).await.expect(&what);
                    assert!(again.replayed && not_done(&Ok(again.clone())).is_empty(), "{what}: {again:?}");
                    let third = asked(&two.near, deed(), once).await.expect(&what);
                    assert!(third.replayed && third.outcome == again.outcome, "{what}: {third:?}");
                }
                assert_changed(before, two.facts().await, change_of(kind), &what);
            }
        }
    }
}

/// A connection is lost before its commit: the change is not there, whatever is told, and the next try under the key makes it.
#[databases::needs(Postgres)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_did_not_arrive_leaves_nothing() {
    let two = Two::open().await;
    let mut failed = 0;
    for kind in KINDS {
        let (deed, once) = (two.deed(kind).await, Some(two.new_key()));
        let what = format!("{kind:?}");
        two.is_quiet().await;
        let before = two.facts().await;
        two.proxy.fails_at("COMMIT", Fault::CutBefore);
        let told = asked(&two.near, deed(), once).await;
        failed += 1;
        two.proxy.has_failed(failed).await;
        assert!(!not_done(&told).is_empty(), "{what}: {told:?}");
        // Of a batch the lines of the other partition are committed by themselves.
        if kind != Kind::Batch {
            assert_changed(before, two.facts().await, [0; 5], &what);
        }
        let again = asked(&two.far, deed(), once).await.expect(&what);
        assert!(!again.replayed && not_done(&Ok(again.clone())).is_empty(), "{what}: {again:?}");
        let third = asked(&two.near, deed(), once).await.expect(&what);
        assert!(third.replayed && third.outcome == again.outcome, "{what}: {third:?}");
        assert_changed(before, two.facts().await, change_of(kind), &what);
    }
}

/// An earlier try may have been committed: a later one that cannot look its key up does not say that nothing was done, whatever it failed at. One
/// without a key says so.
#[databases::needs(Postgres)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_later_try_never_denies_an_earlier_one() {
    let two = Two::open().await;
    let mut failed = 0;
    for kind in KINDS {
        let (deed, once) = (two.deed(kind).await, Some(two.new_key()));
        two.is_quiet().await;
        let before = two.facts().await;
        two.proxy.fails_at("COMMIT", Fault::CutAfter);
        assert_all_unknown(&asked(&two.near, deed(), once).await, "the first");
        failed += 1;
        two.proxy.has_failed(failed).await;

        let what = format!("{kind:?}, there is no way to the database");
        two.proxy.refuse();
        assert_all_unknown(&asked(&two.near, deed(), once).await, &what);
        let told = not_done(&asked(&two.near, deed(), None).await);
        assert!(told.iter().all(|told| told.applied == WasApplied::No), "{what}: {told:?}");
        two.proxy.pass();
        // No room; and others are in the way as often as it is tried.
        for (sqlstate, times) in [("53100", 1), ("40001", 100), ("55P03", 1)] {
            let what = format!("{kind:?}, {sqlstate}");
            // The lines of a batch that are of another partition are answered by what is known of them, so all are to fail.
            let times = if kind == Kind::Batch { 100 } else { times };
            two.proxy.fails_often_at(LOCK, Fault::error(sqlstate), times);
            assert_all_unknown(&asked(&two.near, deed(), once).await, &what);
            failed += u64::try_from(times - two.proxy.fails_no_more()).expect("few");
            two.proxy.has_failed(failed).await;
        }
        let again = asked(&two.near, deed(), once).await.expect("it is known");
        assert!(again.replayed && not_done(&Ok(again.clone())).is_empty(), "{kind:?}: {again:?}");
        assert_changed(before, two.facts().await, change_of(kind), &format!("{kind:?}"));
    }
}

/// A key that somebody else has the lock for cannot be looked up, either: for real.
#[databases::needs(Postgres)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_later_try_that_waits_too_long_for_the_lock_is_unknown() {
    let two = Two::open().await;
    let (deed, once) = (two.deed(Kind::Adjust).await, Some(two.new_key()));
    two.proxy.fails_at("COMMIT", Fault::CutAfter);
    assert_all_unknown(&asked(&two.near, deed(), once).await, "the first");
    let (mut client, connection) =
        tokio_postgres::connect(&two.database.url(), NoTls).await.expect("a database");
    tokio::spawn(connection);
    let holds = client.transaction().await.expect("a transaction");
    holds.query("SELECT p FROM inventory.part FOR UPDATE", &[]).await.expect("the locks");
    let later = asked(&two.near, deed(), once).await.expect_err("somebody has the lock");
    assert_eq!((later.why, later.applied), (Why::Contention, WasApplied::Unknown));
    let other = asked(&two.near, deed(), None).await.expect_err("somebody has the lock");
    assert_eq!((other.why, other.applied), (Why::Contention, WasApplied::No));
    holds.rollback().await.expect("an end");
    assert!(asked(&two.near, deed(), once).await.expect("it is known").replayed);
}
