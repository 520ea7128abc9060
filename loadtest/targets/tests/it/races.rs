//! The lost update, by two requests that race: the naive ways have it, the atomic ones do not.

use std::time::Duration;

use serde_json::{Value, json};
use targets::Way;
use tokio::join;
use tokio_postgres::{Client, NoTls};

use crate::support::{Kind, Running, Served, for_each_shop};

/// How long anything may take before it is given up for dead. No measure of speed.
const WATCHDOG: Duration = Duration::from_secs(30);

async fn open(shop: &Served, quantity: i64) {
    let made = shop.ask("POST", "/items", json!({"sku": "tea", "quantity": quantity})).await;
    assert_eq!(made.0, 201, "{made:?}");
}

/// Takes one, and returns how many the answer says are left.
async fn take_one(shop: &Served) -> i64 {
    let (status, answer) = shop.ask("POST", "/items/tea/take", json!({"quantity": 1})).await;
    assert_eq!(status, 200, "{answer}");
    answer["quantity"].as_i64().expect("a quantity")
}

async fn left(shop: &Served) -> i64 {
    shop.ask("GET", "/items/tea", Value::Null).await.1["quantity"].as_i64().expect("a quantity")
}

async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.expect("a connection");
    tokio::spawn(connection);
    client
}

/// Two takes that meet: the row is locked until both wait for it. What each has read by then, it has read before the other wrote.
async fn two_takes_that_meet(way: Way) -> ([i64; 2], i64) {
    let shop = Served::start(Kind::Postgres, way);
    open(&shop, 5).await;
    let Running::Postgres(database) = &shop.database else { unreachable!("it was asked for") };
    let holder = connect(&database.url()).await;
    // A connection of its own: within a transaction the view of the waiting ones stays as it was first seen.
    let watcher = connect(&database.url()).await;
    holder.batch_execute("BEGIN; SELECT 1 FROM items FOR UPDATE").await.expect("the row is locked");
    let until_both_wait = async {
        let waiting = "SELECT count(*) FROM pg_stat_activity
            WHERE datname = current_database() AND wait_event_type = 'Lock'";
        let count = async || watcher.query_one(waiting, &[]).await.expect("an answer").get::<_, i64>(0);
        while count().await < 2 {}
        holder.batch_execute("ROLLBACK").await.expect("the row is free");
    };
    let race = async { join!(take_one(&shop), take_one(&shop), until_both_wait) };
    let (one, other, ()) = tokio::time::timeout(WATCHDOG, race).await.expect("both come to the row");
    ([one.max(other), one.min(other)], left(&shop).await)
}

#[databases::needs(Postgres)]
#[tokio::test]
async fn two_naive_transactions_over_postgresql_lose_an_update() {
    let seen = two_takes_that_meet(Way::Naive).await;
    assert_eq!(seen, ([4, 4], 4), "two were sold, one is gone");
}

#[databases::needs(Postgres)]
#[tokio::test]
async fn two_atomic_updates_over_postgresql_are_both_there() {
    let seen = two_takes_that_meet(Way::Atomic).await;
    assert_eq!(seen, ([4, 3], 3));
}

/// Redis has no lock to hold two requests with, so pairs race until one loses.
#[databases::needs(Redis)]
#[tokio::test]
async fn two_naive_requests_over_redis_lose_an_update() {
    const PAIRS_MAX: i64 = 20_000;
    let shop = Served::start(Kind::Redis, Way::Naive);
    open(&shop, 2 * PAIRS_MAX).await;
    for pair in 1..=PAIRS_MAX {
        let (one, other) = join!(take_one(&shop), take_one(&shop));
        if one == other {
            assert!(left(&shop).await > 2 * (PAIRS_MAX - pair), "more are left than can be");
            return;
        }
    }
    panic!("none of {PAIRS_MAX} pairs lost an update");
}

for_each_shop!(transfers_that_cross);

/// Transfers in both directions at once: all units stay where the right ones are, and nobody waits for ever. Of the naive ones this
/// says nothing, but that they end.
async fn transfers_that_cross(shop: &Served, way: Way) {
    open(shop, 50).await;
    assert_eq!(shop.ask("POST", "/items", json!({"sku": "mate", "quantity": 50})).await.0, 201);
    let crossing = async |from: &str, to: &str| {
        for _ in 0..50 {
            let asked = json!({"from": from, "to": to, "quantity": 1});
            let (status, answer) = shop.ask("POST", "/moves", asked).await;
            assert!(matches!(status, 200 | 409 | 503), "{status} {answer}");
            assert!(way == Way::Naive || status != 503, "{answer}");
        }
    };
    let all = async {
        join!(
            crossing("tea", "mate"),
            crossing("mate", "tea"),
            crossing("tea", "mate"),
            crossing("mate", "tea")
        )
    };
    tokio::time::timeout(WATCHDOG, all).await.expect("all of them end");
    if way != Way::Naive {
        let mate = shop.ask("GET", "/items/mate", Value::Null).await.1["quantity"].as_i64();
        assert_eq!(left(shop).await + mate.expect("a quantity"), 100);
    }
}
