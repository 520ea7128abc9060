//! Another database takes over: a synchronous standby that is promoted (P7), and one that is not yet, which shows what it has and takes no changes.

use databases::Postgres;
use inventory::store::{Keeping, Seq, Store as _};
use inventory::strategy::StrategyKind;
use serde_json::json;
use tokio_postgres::NoTls;

use super::kills::{Replica, assert_consistent, durable, run_over};
use super::network::{assert_goes_on, until_ready};
use crate::support::app::{TestApp, WATCHDOG, in_database};
use crate::support::proxy::Proxy;
use crate::support::store::open_replica;

/// The address of the database of both.
fn url_of(one: &Postgres, other: &Postgres) -> String {
    let hosts = format!("{},{}", one.socket().display(), other.socket().display());
    format!("host={hosts} dbname=postgres user=postgres")
}

/// A primary that acknowledges what its standby has, and the standby.
fn primary_and_standby() -> (Postgres, Postgres) {
    let primary = databases::started(Postgres::start_primary());
    let standby = primary.standby().expect("a standby");
    (primary, standby)
}

async fn told(url: &str, statements: &[&str]) {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.expect("a database");
    tokio::spawn(connection);
    for statement in statements {
        client.batch_execute(statement).await.expect("it is done");
    }
}

/// P7, P8: under load from three replicas the primary is killed, and its synchronous standby promoted: the replicas go on at that one by themselves, and of what was
/// acknowledged nothing is missing.
#[databases::needs(Postgres)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_synchronous_standby_takes_over_and_nothing_is_lost() {
    let (mut primary, standby) = primary_and_standby();
    let url = url_of(&primary, &standby);
    let replicas: Vec<Replica> = (0..3).map(|_| Replica::start(&url)).collect();
    for replica in &replicas {
        replica.until_ready(true).await;
    }
    let running = run_over(&replicas, &["--requests", "12000", "--rate", "1000", "--seed", "3"]);
    let store = open_replica(&url, Keeping::default()).await;
    // How many movements there are, as far as the database can be asked.
    let moved = async || match store.feed_caught_up().await {
        Ok(()) => store.feed_end().seq().map_or(0, Seq::number),
        Err(_) => 0,
    };
    let reaches = async |movements| {
        let reaches = async {
            while moved().await < movements {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(WATCHDOG, reaches).await.expect("it is under way");
    };
    reaches(2_000).await;
    primary.kill().expect("it runs");
    let before = store.feed_end().seq().map_or(0, Seq::number);
    standby.promote().expect("it is a standby");
    // It goes on at the other, under the same load.
    reaches(before + 500).await;
    assert_consistent(running).await;
    for (number, replica) in replicas.iter().enumerate() {
        replica.until_ready(true).await;
        let put = reqwest::Client::new().put(format!("{}/v1/stock/after-{number}", replica.url));
        let put = put.json(&json!({ "on_hand": 1 })).send().await.expect("an answer");
        assert!(put.status().is_success(), "{put:?}");
    }
    store.shut_down().await;
}

/// A replica that finds a standby alone waits until it takes changes, and says what it waits for.
#[databases::needs(Postgres)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_standby_alone_is_waited_for() {
    let (mut primary, standby) = primary_and_standby();
    // The tables are there before the replica is.
    open_replica(&primary.url(), Keeping::default()).await.shut_down().await;
    primary.kill().expect("it runs");
    let replica = Replica::start(&standby.url());
    let says = async || {
        let answer = reqwest::get(format!("{}/readyz", replica.url)).await.expect("an answer");
        answer.text().await.expect("a body")
    };
    let waits = async {
        while !says().await.contains("does not allow writes") {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(WATCHDOG, waits).await.expect("it says why");
    assert!(!replica.is_ready().await);
    standby.promote().expect("it is a standby");
    replica.until_ready(true).await;
}

/// A replica that comes to be led to a standby takes no changes and is not ready, until the standby is promoted.
#[databases::needs(Postgres)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_led_to_a_standby_goes_on_when_it_is_promoted() {
    let (mut primary, standby) = primary_and_standby();
    let proxy = Proxy::before_server(&primary).await;
    let storage = in_database(&proxy.url(), Keeping::default());
    let app = TestApp::with(StrategyKind::Atomic).with_storage(storage).start().await;
    app.create("a", 5).await;
    primary.kill().expect("it runs");
    proxy.lead_to(&standby);
    let adjusted = app.post("/v1/stock/a/adjust", &json!({ "delta": -1 })).await;
    adjusted.assert_problem(503, "store-unavailable");
    assert_eq!(adjusted.at("/applied"), "no");
    app.get("/v1/stock/a").await.assert_problem(503, "store-unavailable");
    until_ready(&app, false).await;
    standby.promote().expect("it is a standby");
    assert_goes_on(&app, 4).await;
}

/// A primary that is made to stop taking changes, with all its connections: replicas are not ready although they can read, stay so, and go over to the other when that is promoted.
#[databases::needs(Postgres)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_primary_that_is_made_to_stop_is_left() {
    let (primary, standby) = primary_and_standby();
    let storage = in_database(&url_of(&primary, &standby), Keeping::default());
    let app = TestApp::with(StrategyKind::Atomic).with_storage(storage).start().await;
    app.create("a", 5).await;
    let stop = ["ALTER SYSTEM SET default_transaction_read_only = on", "SELECT pg_reload_conf()"];
    told(&primary.url(), &stop).await;
    until_ready(&app, false).await;
    let adjusted = app.post("/v1/stock/a/adjust", &json!({ "delta": -1 })).await;
    adjusted.assert_problem(503, "store-unavailable");
    assert_eq!(adjusted.at("/applied"), "no");
    let ready = app.get("/readyz").await;
    ready.assert_problem(503, "not-ready");
    let told = ready.at("/detail");
    let told = told.as_str().expect("a reason");
    // Of the connections that there were, or of those that were tried since, at either host.
    assert!(told.contains("read-only") || told.contains("does not allow writes"), "{told}");
    standby.promote().expect("it is a standby");
    assert_goes_on(&app, 4).await;
    // It is still there, and would show what it had.
    drop(primary);
}

/// A database that is read-only by its settings, and then is not.
#[databases::needs(Postgres)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_is_read_only_for_a_while_is_waited_for() {
    let server = durable();
    let storage = in_database(&server.url(), Keeping::default());
    let app = TestApp::with(StrategyKind::Atomic).with_storage(storage).start().await;
    app.create("a", 5).await;
    let set = async |value: &str| {
        let alter = format!("ALTER SYSTEM SET default_transaction_read_only = {value}");
        told(&server.url(), &["SET default_transaction_read_only = off", &alter, "SELECT pg_reload_conf()"])
            .await;
    };
    set("on").await;
    until_ready(&app, false).await;
    let adjusted = app.post("/v1/stock/a/adjust", &json!({ "delta": -1 })).await;
    adjusted.assert_problem(503, "store-unavailable");
    assert_eq!(adjusted.at("/applied"), "no");
    set("off").await;
    assert_goes_on(&app, 4).await;
}
