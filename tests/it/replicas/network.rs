//! A network that says nothing, or leads nowhere (P10): every wait has a bound, what is told is true, and the service goes on by itself when it can.

use std::collections::BTreeSet;
use std::time::Duration;

use databases::Database as Server;
use inventory::store::{Deed, Keeping, Store as _, WasApplied};
use inventory::strategy::StrategyKind;
use serde_json::json;
use tokio_postgres::NoTls;

use super::commits::{Two, asked};
use crate::support::app::{TestApp, WATCHDOG, in_database};
use crate::support::proxy::{Fault, Proxy, Way};
use crate::support::stock::{adjust, key};
use crate::support::store::{changed, open_replica};

/// A service behind a network that fails, with a level of five units.
async fn served() -> (TestApp, Proxy, Server) {
    let database = databases::postgres().database().expect("a database");
    let proxy = Proxy::before(&database).await;
    let storage = in_database(&proxy.url(), Keeping::default());
    let app = TestApp::with(StrategyKind::Atomic).with_storage(storage).start().await;
    app.create("a", 5).await;
    (app, proxy, database)
}

pub(super) async fn until_ready(app: &TestApp, wanted: bool) {
    let status = if wanted { 200 } else { 503 };
    let mut last = String::new();
    let ready = async {
        loop {
            let answer = app.get("/readyz").await;
            if answer.status == status {
                return;
            }
            answer.text().clone_into(&mut last);
            tokio::task::yield_now().await;
        }
    };
    let ready = tokio::time::timeout(WATCHDOG, ready).await;
    assert!(ready.is_ok(), "it does not come to {status}: {last}");
}

pub(super) async fn assert_goes_on(app: &TestApp, on_hand: u64) {
    until_ready(app, true).await;
    let adjusted = app.post("/v1/stock/a/adjust", &json!({ "delta": -1 })).await;
    assert_eq!(adjusted.assert_status(200).number("/on_hand"), on_hand);
    assert_eq!(app.level("a").await.0, on_hand);
}

/// Whoever asks meanwhile is told, in bounded time; nobody has to start anything again.
async fn nothing_passes(way: Way) {
    let (app, proxy, _database) = served().await;
    proxy.stall(way);
    let body = json!({ "delta": -1 });
    let (adjusted, read, ledger, page) = tokio::join!(
        app.post("/v1/stock/a/adjust", &body),
        app.get("/v1/stock/a"),
        app.get("/v1/movements"),
        app.get("/v1/stock"),
    );
    adjusted.assert_problem(503, "store-unavailable");
    assert_eq!(adjusted.at("/applied"), "no", "nothing was sent that changes anything");
    for answer in [read, ledger, page] {
        answer.assert_problem(503, "store-unavailable");
    }
    until_ready(&app, false).await;
    proxy.pass();
    assert_goes_on(&app, 4).await;
    app.get("/v1/movements").await.assert_status(200);
}

#[databases::needs(Postgres)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_network_that_takes_no_questions_is_lived_with() {
    nothing_passes(Way::ToDatabase).await;
}

#[databases::needs(Postgres)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_network_that_brings_no_answers_is_lived_with() {
    nothing_passes(Way::ToReplica).await;
}

/// A commit of which nothing is heard is given up, and is unknown: it has taken effect, or the database has ended what it heard no more of.
#[databases::needs(Postgres)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_of_which_nothing_is_heard_is_unknown() {
    let stalled = async |way, left| {
        let two = Two::open().await;
        let once = Some(two.new_key());
        let deed = || Deed::Change { key: key("a"), change: adjust(-1) };
        two.proxy.fails_at("COMMIT", Fault::Stall(way));
        let told = asked(&two.near, deed(), None).await.expect_err("nothing is heard of it");
        assert_eq!(told.applied, WasApplied::Unknown, "{way:?}: {told:?}");
        two.proxy.pass();
        assert_eq!(two.far.read(&key("a")).await.expect("a level").on_hand(), left, "{way:?}");
        let next = changed(asked(&two.near, deed(), once).await.expect("it goes on")).expect("a unit");
        assert_eq!(next.after.on_hand(), left - 1, "{way:?}");
    };
    tokio::join!(stalled(Way::ToDatabase, 1_000), stalled(Way::ToReplica, 999));
}

/// No connection can be made, and those that were are gone.
#[databases::needs(Postgres)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_lets_nobody_in_is_waited_for() {
    let (app, proxy, _database) = served().await;
    proxy.refuse();
    let adjusted = app.post("/v1/stock/a/adjust", &json!({ "delta": -1 })).await;
    adjusted.assert_problem(503, "store-unavailable");
    assert_eq!(adjusted.at("/applied"), "no");
    app.get("/v1/stock/a").await.assert_problem(503, "store-unavailable");
    until_ready(&app, false).await;
    proxy.pass();
    assert_goes_on(&app, 4).await;
}

/// One of several hosts takes connections and says nothing: the other is found all the same, also where it is the one that was used until then.
#[databases::needs(Postgres)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_that_says_nothing_keeps_nobody_from_another() {
    let server = databases::postgres();
    let database = server.database().expect("a database");
    let (one, other) = (Proxy::before(&database).await, Proxy::before(&database).await);
    one.stall(Way::ToReplica);
    let url = format!("postgresql://postgres@{},{}/{}", one.address(), other.address(), database.name());
    let opening = tokio::time::timeout(WATCHDOG, open_replica(&url, Keeping::default()));
    let store = opening.await.expect("it finds the other");
    let read = async || store.read(&key("a")).await;
    assert!(!read().await.expect("an answer").exists());
    other.refuse();
    one.pass();
    let found = async {
        while read().await.is_err() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(WATCHDOG, found).await.expect("it finds the one");
}

/// Whoever asks next does not wait behind a question that somebody has given up and that is never answered, however soon that was.
#[databases::needs(Postgres)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_look_that_is_given_up_is_in_nobodys_way() {
    let server = databases::postgres();
    let database = server.database().expect("a database");
    let proxy = Proxy::before(&database).await;
    let store = open_replica(&proxy.url(), Keeping::default()).await;
    // More often than there are connections.
    let (times, level) = (16, key("a"));
    proxy.fails_often_at("LEFT JOIN inventory.level l ON", Fault::Silence, times);
    for given_up in 1..=u64::try_from(times).expect("a few") {
        tokio::select! {
            read = store.read(&level) => panic!("nothing answers it: {read:?}"),
            () = proxy.has_failed(given_up) => {}
        }
    }
    assert!(!store.read(&level).await.expect("an answer").exists());
}

/// Who has got an answer gives the connection back: none is closed by those who ask one after the other, whatever they ask for.
#[databases::needs(Postgres)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_was_answered_gives_the_connection_back() {
    let server = databases::postgres();
    let database = server.database().expect("a database");
    let storage = in_database(&database.url(), Keeping::default());
    let app = TestApp::with(StrategyKind::Atomic).with_storage(storage).start().await;
    app.create("a", 5).await;
    let (client, connection) = tokio_postgres::connect(&database.url(), NoTls).await.expect("a connection");
    tokio::spawn(connection);
    let connections = async || -> BTreeSet<i32> {
        let named = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'inventory'";
        client.query(named, &[]).await.expect("rows").iter().map(|row| row.get(0)).collect()
    };
    let ask = async || {
        for path in [
            "/v1/stock/a",
            "/v1/stock/a?at=1",
            "/v1/stock",
            "/v1/movements",
            "/v1/movements?sku=a",
            "/v1/reservations",
            "/v1/orders",
            "/v1/alerts",
            "/v1/webhooks",
        ] {
            app.get(path).await.assert_status(200);
        }
        app.post("/v1/stock/query", &json!({ "keys": [{ "sku": "a" }] })).await.assert_status(200);
        app.post("/v1/stock/a/adjust", &json!({ "delta": 1 })).await.assert_status(200);
        app.get("/v1/reservations/018f0000-0000-7000-8000-000000000000").await.assert_status(404);
    };
    ask().await;
    let before = connections().await;
    for _ in 0..20 {
        ask().await;
    }
    let after = connections().await;
    assert!(before.is_subset(&after) && !before.is_empty(), "of {before:?} there are {after:?} left");
}
