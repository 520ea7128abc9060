//! Alerts that several replicas share: a mark that was set at one counts for the very next movement, wherever that is made and told (P12).

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::hooks::{Services, config};
use crate::support::app::TestApp;
use crate::support::app::receiver::Receiver;
use crate::support::app::watcher::Event;

/// What was told of a crossing: of which level, to which side, by which mark.
fn crossing(name: &str, data: &Value) -> (String, String, u64) {
    let sku = data["sku"].as_str().expect("a sku").to_owned();
    (sku, name.to_owned(), data["low_at"].as_u64().expect("a number"))
}

fn crossings_of(events: &[Event], sku: &str) -> Vec<(String, String, u64)> {
    events.iter().map(|event| crossing(&event.name, &event.data)).filter(|told| told.0 == sku).collect()
}

/// What one replica answers every other says at once, and what comes next is told by it at all.
#[databases::needs(Postgres)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mark_is_known_and_counts_wherever_it_was_set() {
    let services = Services::start(3, config()).await;
    services.apps[0].create("A", 10).await;
    let mut watchers = Vec::new();
    for app in &services.apps {
        watchers.push(app.watch("/v1/events?kind=stock.low,stock.replenished", "").await);
    }
    for round in 0..30_usize {
        let [here, there, elsewhere] =
            [round % 3, (round + 1) % 3, (round + 2) % 3].map(|at| &services.apps[at]);
        let low_at = round as u64 % 7 + 1;
        here.put("/v1/alerts/A", &json!({ "low_at": low_at })).await.assert_status(200);
        assert_eq!(there.get("/v1/alerts/A").await.assert_status(200).at("/low_at"), low_at);
        assert_eq!(elsewhere.get("/v1/alerts").await.at("/items/0/low_at"), low_at);
        there.post("/v1/stock/A/adjust", &json!({ "delta": -10 })).await.assert_status(200);
        for watcher in &mut watchers {
            let event = watcher.next().await.expect("it is told");
            assert_eq!(crossing(&event.name, &event.data), ("A".to_owned(), "stock.low".to_owned(), low_at));
        }
        elsewhere.delete("/v1/alerts/A").await.assert_status(204);
        here.get("/v1/alerts/A").await.assert_problem(404, "alert-not-found");
        here.delete("/v1/alerts/A").await.assert_problem(404, "alert-not-found");
        there.post("/v1/stock/A/adjust", &json!({ "delta": 10 })).await.assert_status(200);
    }
}

/// Sets a mark at one replica and crosses it at another, again and again. Returns what has to be told of it.
async fn crosses(apps: Vec<Arc<TestApp>>, number: usize, rounds: usize) -> Vec<(String, String, u64)> {
    let sku = format!("S{number}");
    let at = |step: usize| &apps[(number + step) % apps.len()];
    let mut told = Vec::new();
    for round in 0..rounds {
        let low_at = (round % 5) as u64 + 1;
        let mark = at(round).put(&format!("/v1/alerts/{sku}"), &json!({ "low_at": low_at })).await;
        mark.assert_status(200);
        // From 10 to none, and back: both are over the mark.
        for (step, delta, name) in [(1, -10, "stock.low"), (2, 10, "stock.replenished")] {
            let (path, change) = (format!("/v1/stock/{sku}/adjust"), json!({ "delta": delta }));
            at(round + step).post(&path, &change).await.assert_status(200);
            told.push((sku.clone(), name.to_owned(), low_at));
        }
    }
    told
}

/// P12: while marks are set and crossed at all replicas at once, each crossing is told once by every stream and by a webhook: by the mark that was answered
/// before it, the same at every replica, and the same again to whoever reads it all a second time.
#[databases::needs(Postgres)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_crossing_is_told_once_and_the_same_everywhere() {
    const LEVELS: usize = 6;
    // No more changes of a mark than are remembered for who reads it all again.
    const ROUNDS: usize = 16;
    let services = Services::start(3, config()).await;
    for number in 0..LEVELS {
        services.apps[0].create(&format!("S{number}"), 10).await;
    }
    let only = "/v1/events?kind=stock.low,stock.replenished";
    let mut watchers = Vec::new();
    for app in &services.apps {
        watchers.push(app.watch(only, "").await);
    }
    let mut receiver = Receiver::start().await;
    let wanted = json!({ "events": ["stock.low", "stock.replenished"] });
    services.hook(1, &receiver.url, &wanted).await;
    let mut crossing_levels = JoinSet::new();
    for number in 0..LEVELS {
        crossing_levels.spawn(crosses(services.apps.clone(), number, ROUNDS));
    }
    let expected = crossing_levels.join_all().await;
    let count: usize = expected.iter().map(Vec::len).sum();
    let mut streams = Vec::new();
    for watcher in &mut watchers {
        streams.push(watcher.take(count).await);
    }
    for levels in &expected {
        assert_eq!(crossings_of(&streams[0], &levels[0].0), *levels);
    }
    assert!(streams.iter().all(|stream| *stream == streams[0]), "the same at every replica");
    let told: Vec<_> =
        receiver.take(count).await.iter().map(|delivery| delivery.json()["data"].clone()).collect();
    assert_eq!(told, streams[0].iter().map(|event| event.data.clone()).collect::<Vec<_>>());
    receiver.assert_quiet();
    for app in &services.apps {
        let again = app.watch(&format!("{only}&after=0"), "").await.take(count).await;
        assert_eq!(again, streams[0], "the same to whoever reads it again");
    }
}
