//! What the database fails with (P8, P10), at statements that are chosen: conflicts are carried out again, and no room is told as what it is.

use std::sync::Arc;

use inventory::store::{Deed, Keeping, Store as _, WasApplied, Why};
use inventory::strategy::StrategyKind;
use serde_json::json;

use super::commits::{LOCK, Two, asked};
use super::kills::durable;
use crate::support::app::{TestApp, in_database};
use crate::support::proxy::{Fault, Proxy};
use crate::support::small_disk::SmallDisk;
use crate::support::stock::{adjust, key};
use crate::support::store::changed;

/// A statement that writes.
const WRITE: &str = "UPDATE inventory.part SET head";

fn one_less() -> Deed {
    Deed::Change { key: key("a"), change: adjust(-1) }
}

async fn on_hand(two: &Two) -> u64 {
    two.far.read(&key("a")).await.expect("a level").on_hand()
}

/// A transaction that ran into another one is carried out again, whole, and once; as often as may be, and not for ever.
#[databases::needs(Postgres)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn conflicts_are_carried_out_again_and_once() {
    const TIMES: u64 = 3;
    let two = Two::open().await;
    let (mut left, mut failed) = (1_000, 0);
    for sqlstate in ["40001", "40P01"] {
        let places = [
            (LOCK, Fault::error(sqlstate)),
            (WRITE, Fault::error(sqlstate)),
            ("COMMIT", Fault::taken_back_with_error(sqlstate)),
        ];
        for (place, fault) in places {
            let what = format!("{sqlstate} at {place}");
            two.proxy.fails_often_at(place, fault.clone(), usize::try_from(TIMES).expect("few"));
            let done = changed(asked(&two.near, one_less(), None).await.expect(&what)).expect("a unit");
            failed += TIMES;
            two.proxy.has_failed(failed).await;
            left -= 1;
            assert_eq!(done.after.on_hand(), left, "{what}");
            assert_eq!(on_hand(&two).await, left, "{what}");

            two.proxy.fails_often_at(place, fault, 1_000);
            let told = asked(&two.near, one_less(), None).await.expect_err(&what);
            let tries = 1_000 - two.proxy.fails_no_more();
            assert_eq!((told.why, told.applied), (Why::Contention, WasApplied::No), "{what}");
            assert!((2..100).contains(&tries), "{what}: it was tried {tries} times");
            failed += u64::try_from(tries).expect("few");
            assert_eq!(on_hand(&two).await, left, "{what}");
        }
    }
}

/// An error at the commit says nothing of whether it took effect: it is unknown, whatever its code, and there or not.
#[databases::needs(Postgres)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_error_at_the_commit_is_unknown() {
    let two = Two::open().await;
    let mut left = 1_000;
    for sqlstate in ["XX000", "53100", "57014", "25006"] {
        for (fault, is_there) in
            [(Fault::committed_with_error(sqlstate), true), (Fault::taken_back_with_error(sqlstate), false)]
        {
            let once = two.new_key();
            two.proxy.fails_at("COMMIT", fault);
            let told = asked(&two.near, one_less(), None).await.expect_err("it failed");
            assert_eq!(told.applied, WasApplied::Unknown, "{sqlstate}: {told:?}");
            left -= u64::from(is_there);
            assert_eq!(on_hand(&two).await, left, "{sqlstate}");
            // It goes on, under a key as without.
            let next = asked(&two.near, one_less(), Some(once)).await.expect("it goes on");
            left -= 1;
            assert_eq!(changed(next).expect("a unit").after.on_hand(), left);
        }
    }
}

/// P7, P10: a database on a disk that fills up, for real: changes are refused once there is no room, nothing of what was acknowledged is missing, and it
/// goes on when there is room.
#[databases::needs(Postgres)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_on_a_full_disk_takes_no_changes_until_there_is_room() {
    const DISK_BYTES: usize = 32 * 1_024 * 1_024;
    // A server of its own, as it loses its files in the end.
    let server = Arc::new(durable());
    let Some(disk) = SmallDisk::mount("a database on a full disk", DISK_BYTES) else { return };
    databases::give_to_servers(disk.path()).expect("it is ours");
    // Its log is elsewhere: where that finds no room the server ends, and the database is away.
    let database = server.database_in("small", disk.path()).expect("a database");
    let storage = in_database(&database.url(), Keeping::default());
    let app = TestApp::with(StrategyKind::Atomic).with_storage(storage).start().await;
    app.create("a", 0).await;
    disk.take_all();
    // What is there already has some room.
    let mut acknowledged = 0;
    let refused = loop {
        let adjusted = app.post("/v1/stock/a/adjust", &json!({ "delta": 1, "reason": "x".repeat(64) })).await;
        if adjusted.status != 200 {
            break adjusted;
        }
        acknowledged += 1;
    };
    refused.assert_problem(503, "overloaded");
    assert_eq!(refused.at("/applied"), "no");
    assert_eq!(app.level("a").await, (acknowledged, acknowledged + 1), "reads go on");
    app.get("/readyz").await.assert_status(200);
    disk.make_room();
    let adjusted = app.post("/v1/stock/a/adjust", &json!({ "delta": 1 })).await;
    assert_eq!(adjusted.assert_status(200).number("/on_hand"), acknowledged + 1);
}

/// P10: a database that has no room takes no change, says so, and nothing was done; and it goes on as soon as there is some.
#[databases::needs(Postgres)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_without_room_is_told_as_such() {
    let server = databases::postgres();
    let database = server.database().expect("a database");
    let proxy = Proxy::before(&database).await;
    let storage = in_database(&proxy.url(), Keeping::default());
    let app = TestApp::with(StrategyKind::Atomic).with_storage(storage).start().await;
    app.create("a", 5).await;
    for place in [LOCK, WRITE] {
        proxy.fails_at(place, Fault::error("53100"));
        let adjusted = app.post("/v1/stock/a/adjust", &json!({ "delta": -1 })).await;
        adjusted.assert_problem(503, "overloaded");
        assert_eq!((adjusted.at("/applied"), adjusted.header("retry-after")), (json!("no"), "1"));
        assert_eq!(app.level("a").await, (5, 1), "reads go on");
    }
    let adjusted = app.post("/v1/stock/a/adjust", &json!({ "delta": -1 })).await;
    assert_eq!(adjusted.assert_status(200).number("/on_hand"), 4);
}
