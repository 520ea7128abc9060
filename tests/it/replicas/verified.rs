//! Verification of a store that replicas share: it finds whatever somebody has changed behind the service's back, says nothing else, and is not misled by
//! those who change the stock while it looks.

use std::sync::Arc;
use std::time::Duration;

use databases::Database;
use inventory::app::{Intent, Offline};
use inventory::stock::{OrderLine, Quantity, Transaction};
use inventory::store::chores::VerifyReport;
use inventory::store::{
    AnyStore, Chores as _, Command, Database as Config, Deed, Keeping, Outcome, Store as _, TransactionKind,
};
use tokio::task::JoinSet;
use tokio_postgres::{Client, NoTls};

use crate::support::stock::{adjust, create, key, reserve};
use crate::support::store::{changed, open_replica};

async fn with_stock(levels: &[(&str, u64)]) -> (AnyStore, Database) {
    let database = databases::postgres().database().expect("a database");
    let store = open_replica(&database.url(), Keeping::default()).await;
    for (sku, on_hand) in levels {
        let made = store.execute(Command::change(key(sku), create(*on_hand))).await;
        changed(made.expect("it is judged")).expect("a level");
    }
    (store, database)
}

async fn connected(database: &Database) -> Client {
    let (client, connection) = tokio_postgres::connect(&database.url(), NoTls).await.expect("a database");
    tokio::spawn(connection);
    client
}

async fn verified(store: &AnyStore) -> VerifyReport {
    store.verify().await.expect("it is looked at")
}

fn held(lines: &[(&str, u64)], ttl: Duration) -> Deed {
    let lines = lines.iter().map(|(sku, quantity)| (key(sku), reserve(*quantity))).collect();
    Deed::Reserve { transaction: Arc::new(Transaction::new(lines).expect("lines")), ttl }
}

fn order(lines: &[(&str, u64)]) -> Deed {
    let line = |(sku, units): &(&str, u64)| OrderLine {
        key: key(sku),
        quantity: Quantity::new(*units).expect("units"),
    };
    let mut lines: Vec<OrderLine> = lines.iter().map(line).collect();
    lines.sort_by(|a, b| a.key.cmp(&b.key));
    Deed::Order { lines, priority: 0, backorder: true }
}

/// What somebody does behind the service's back, how it is undone, and what is said of it.
const DAMAGE: [(&str, &str, &str); 17] = [
    (
        "UPDATE inventory.level SET on_hand = on_hand + 1 WHERE sku = 'a'",
        "UPDATE inventory.level SET on_hand = on_hand - 1 WHERE sku = 'a'",
        "a@main: it is 11 on hand and 3 reserved at version 3, and its last movement, ",
    ),
    (
        "UPDATE inventory.level SET reserved = 9 WHERE sku = 'b'",
        "UPDATE inventory.level SET reserved = 2 WHERE sku = 'b'",
        "b@main: 9 units are reserved, and 2 are held",
    ),
    (
        "UPDATE inventory.level SET reserved = 99 WHERE sku = 'b'",
        "UPDATE inventory.level SET reserved = 2 WHERE sku = 'b'",
        "are what no level can have",
    ),
    (
        "UPDATE inventory.level SET waits = 5 WHERE sku = 'c'",
        "UPDATE inventory.level SET waits = 1 WHERE sku = 'c'",
        "c@main: 5 orders are said to wait for it, and 1 do",
    ),
    (
        "UPDATE inventory.level SET sku = 'z' WHERE sku = 'd'",
        "UPDATE inventory.level SET sku = 'd' WHERE sku = 'z'",
        "d@main: movement ",
    ),
    (
        "UPDATE inventory.movement SET p = p + 100 WHERE sku = 'a' AND version = 2",
        "UPDATE inventory.movement SET p = p - 100 WHERE sku = 'a' AND version = 2",
        " is missing",
    ),
    (
        "UPDATE inventory.movement SET prev = 0 WHERE sku = 'a' AND version = 3",
        "UPDATE inventory.movement m SET prev = (SELECT seq FROM inventory.movement q WHERE q.p = m.p AND q.sku = 'a' AND q.version = 2) \
         WHERE sku = 'a' AND version = 3",
        "some are in the history of no level",
    ),
    (
        "UPDATE inventory.movement SET on_hand_before = 99 WHERE sku = 'a' AND version = 2",
        "UPDATE inventory.movement SET on_hand_before = 5 WHERE sku = 'a' AND version = 2",
        "goes on from 99 on hand and 0 reserved at version 1",
    ),
    (
        "UPDATE inventory.movement SET version = 7 WHERE sku = 'a' AND version = 3",
        "UPDATE inventory.movement SET version = 3 WHERE sku = 'a' AND version = 7",
        "at version 6",
    ),
    (
        "UPDATE inventory.part SET head = head + 1 WHERE p = 0",
        "UPDATE inventory.part SET head = head - 1 WHERE p = 0",
        "partition 0: its last movement is ",
    ),
    (
        "UPDATE inventory.part SET levels = levels + 1, pending = pending + 1, queued = queued + 1, backordered = backordered + 1 WHERE p = 1",
        "UPDATE inventory.part SET levels = levels - 1, pending = pending - 1, queued = queued - 1, backordered = backordered - 1 WHERE p = 1",
        "partition 1: it says that there are ",
    ),
    (
        "UPDATE inventory.held SET quantity = 1 WHERE sku = 'a'",
        "UPDATE inventory.held SET quantity = 3 WHERE sku = 'a'",
        "which says otherwise",
    ),
    (
        "UPDATE inventory.held SET p = p + 100 WHERE sku = 'b'",
        "UPDATE inventory.held SET p = p - 100 WHERE sku = 'b'",
        "and its 2 units are not held",
    ),
    (
        "UPDATE inventory.reservation SET state = 'released', ended_ms = 1",
        "UPDATE inventory.reservation SET state = 'pending', ended_ms = NULL",
        "does not say what its body says",
    ),
    (
        "UPDATE inventory.waiting SET p = p + 100",
        "UPDATE inventory.waiting SET p = p - 100",
        "does not stand in the line of this level",
    ),
    (
        "UPDATE inventory.run SET head = head + 1 WHERE last = (SELECT max(last) FROM inventory.run)",
        "UPDATE inventory.run SET head = head - 1 WHERE last = (SELECT max(last) FROM inventory.run)",
        "which are not as many",
    ),
    (
        "UPDATE inventory.feed SET total = total + 1",
        "UPDATE inventory.feed SET total = total - 1",
        "the ledger: it is said to end at ",
    ),
];

/// Each kind of damage is found, and told as what it is; once it is undone nothing is.
#[databases::needs(Postgres)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_was_changed_behind_its_back_is_found() {
    let (store, database) = with_stock(&[("a", 5), ("b", 9), ("c", 1), ("d", 4)]).await;
    changed(store.execute(Command::change(key("a"), adjust(5))).await.expect("it is judged")).expect("units");
    let hour = Duration::from_hours(1);
    store.execute(Command::new(held(&[("a", 3), ("b", 2)], hour))).await.expect("it is judged");
    let placed = store.execute(Command::new(order(&[("c", 5)]))).await.expect("it is judged");
    let Outcome::Order(Ok(placed)) = placed.outcome else { panic!("{placed:?}") };
    while store.order(placed.id).await.expect("an order").is_none_or(|it| it.times.backordered_ms.is_none()) {
        tokio::task::yield_now().await;
    }
    store.feed_caught_up().await.expect("the database is there");
    // Nobody is to tidy up in between, nor to have kept what was there.
    store.shut_down().await;
    let client = connected(&database).await;
    let config = Config { connections: 2, ..Config::at(database.url()) };
    let looks = async || {
        // As the command does: one that serves would number what is not there.
        let visit = Offline::visit(&config, Intent::Read).await.expect("there is a store");
        let report = verified(&visit.store).await;
        visit.close().await;
        report
    };
    let report = looks().await;
    assert!(report.is_clean(), "{:?}", report.findings);
    assert_eq!((report.movements, report.levels, report.levels_changed), (7, 4, 0));
    for (damage, repair, said) in DAMAGE {
        let rows = client.execute(damage, &[]).await.expect("it is done");
        assert!(rows > 0, "{damage}");
        let report = looks().await;
        let told: Vec<&str> = report.findings.iter().map(|finding| finding.detail.as_str()).collect();
        assert!(told.iter().any(|detail| detail.contains(said)), "{damage}: {told:#?}");
        assert_eq!(report.findings_total, told.len() as u64);
        client.execute(repair, &[]).await.expect("it is undone");
        let report = looks().await;
        assert!(report.is_clean(), "{repair}: {:?}", report.findings);
    }
}

/// While others change it, hold units that run out, move them over partitions, and place orders that wait, nothing is found: what is looked at is of one instant.
#[databases::needs(Postgres)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn those_who_change_the_stock_meanwhile_mislead_nobody() {
    const SKUS: [&str; 6] = ["a", "b", "c", "d", "e", "f"];
    let (store, database) = with_stock(&SKUS.map(|sku| (sku, 1_000))).await;
    let store = Arc::new(store);
    let other = Arc::new(open_replica(&database.url(), Keeping::default()).await);
    let is_over = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let mut writers = JoinSet::new();
    for writer in 0..8_usize {
        let (store, is_over) =
            (Arc::clone(if writer % 2 == 0 { &store } else { &other }), Arc::clone(&is_over));
        writers.spawn(async move {
            let mut changes = 0_usize;
            while !is_over.load(std::sync::atomic::Ordering::SeqCst) {
                changes += 1;
                let (from, to) = (SKUS[(writer + changes) % 6], SKUS[(writer * 5 + changes * 7 + 1) % 6]);
                let deed = match changes % 4 {
                    _ if from == to => Deed::Change { key: key(from), change: adjust(1) },
                    0 => held(&[(from, 2), (to, 1)], Duration::from_millis(20)),
                    1 => order(&[(from, 500), (to, 400)]),
                    _ => {
                        let lines = vec![(key(from), adjust(-1)), (key(to), adjust(1))];
                        let transaction = Arc::new(Transaction::new(lines).expect("lines"));
                        Deed::Transaction { transaction, kind: TransactionKind::Transfer }
                    }
                };
                store.execute(Command::new(deed)).await.expect("it is judged");
            }
            changes
        });
    }
    for _ in 0..15 {
        let report = verified(&other).await;
        assert!(report.is_clean(), "{:#?}", report.findings);
    }
    is_over.store(true, std::sync::atomic::Ordering::SeqCst);
    let changes: usize = writers.join_all().await.into_iter().sum();
    assert!(changes > 100, "they were at it: {changes}");
    assert!(verified(&store).await.is_clean());
}
