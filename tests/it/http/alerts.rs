//! `/v1/alerts`: each crossing of a mark is told once, whatever caused it, to whoever watches and whoever comes back (P12).

use std::sync::Arc;

use axum::http::Method;
use inventory::strategy::StrategyKind;
use serde_json::{Value, json};

use super::webhooks;
use crate::support::app::TestApp;
use crate::support::app::contract::conforms_in;
use crate::support::app::receiver::{Delivery, Receiver};
use crate::support::app::watcher::Event;
use crate::support::for_each_strategy;
use crate::support::process::Server;

/// What the ledger says was crossed: the kind and the number of the movement, of each movement of `A` at `main` after that number.
fn crossings(ledger: &[Value], low_at: u64, since: u64) -> Vec<(String, u64)> {
    let mut crossed = Vec::new();
    for item in ledger.iter().filter(|item| item["sku"] == "A" && item["location"] == "main") {
        let available = |when: &str| {
            let [on_hand, reserved] =
                ["on_hand", "reserved"].map(|name| item[when][name].as_u64().expect("a number"));
            on_hand - reserved
        };
        let (was_low, is_low) = (available("before") <= low_at, available("after") <= low_at);
        let seq = item["seq"].as_u64().expect("a number");
        if was_low != is_low && seq > since {
            crossed.push((if is_low { "stock.low" } else { "stock.replenished" }.to_owned(), seq));
        }
    }
    crossed
}

fn told(events: &[Event]) -> Vec<(String, u64)> {
    events.iter().map(|event| (event.name.clone(), event.data["seq"].as_u64().expect("a number"))).collect()
}

for_each_strategy! {
    /// Many write at once, and hold, and let go: each crossing is told once, in order, right after the movement that did it; and again, the
    /// same, to who reads it all a second time.
    async fn each_crossing_is_told_once(kind: StrategyKind) {
        let app = Arc::new(TestApp::start(kind).await);
        app.create("A", 4).await;
        app.post("/v1/stock/A/adjust", &json!({ "delta": 4 })).await.assert_status(200);
        let alert = app.put("/v1/alerts/A", &json!({ "low_at": 5 })).await;
        assert_eq!(alert.assert_status(200).json(), json!({"sku": "A", "location": "main", "low_at": 5, "available": 8, "low": false}));
        let mut watcher = app.watch("/v1/events?kind=stock.low,stock.replenished", "").await;
        let client = |number: u64| {
            let app = Arc::clone(&app);
            async move {
                for round in 0..25 {
                    let delta = if (number + round).is_multiple_of(2) { 3 } else { -3 };
                    app.post("/v1/stock/A/adjust", &json!({ "delta": delta })).await;
                    let held = app.post("/v1/reservations", &json!({"lines": [{"sku": "A", "quantity": 2}]})).await;
                    if held.status == 201 {
                        let id = held.at("/id").as_str().expect("an id").to_owned();
                        let end = if u64::is_multiple_of(round, 3) { "commit" } else { "release" };
                        app.post(&format!("/v1/reservations/{id}/{end}"), &json!({})).await.assert_status(200);
                    }
                }
            }
        };
        let clients: Vec<_> = (0..4).map(|number| tokio::spawn(client(number))).collect();
        for client in clients {
            client.await.expect("a client");
        }
        let ledger = app.get("/v1/movements?after=0&limit=1000").await.at("/items").as_array().expect("items").clone();
        let expected = crossings(&ledger, 5, 2);
        assert!(expected.len() > 5, "{expected:?}");
        let events = watcher.take(expected.len()).await;
        assert_eq!(told(&events), expected);
        let mut all = app.watch("/v1/events?after=0", "").await.take(ledger.len() + expected.len()).await;
        for pair in all.windows(2).filter(|pair| pair[1].name.starts_with("stock.")) {
            assert_eq!(pair[0].data["seq"], pair[1].data["seq"], "right after its movement");
        }
        all.retain(|event| event.name.starts_with("stock."));
        assert_eq!(all, events, "the same, whoever reads it");
        for event in &all {
            let schema = app.get(&format!("/schemas/{}.json", event.name)).await.assert_status(200).json();
            conforms_in(&schema, &schema, &event.data).unwrap_or_else(|why| panic!("{why}: {event:?}"));
        }
        // From each place on, also from between a movement and its alert.
        let all = app.watch("/v1/events?after=0", "").await.take(ledger.len() + expected.len()).await;
        for (at, event) in all.iter().enumerate().take(all.len() - 1) {
            if at % 9 == 0 || all[at + 1].name.starts_with("stock.") {
                assert_eq!(app.watch("/v1/events", &event.id).await.next().await.as_ref(), Some(&all[at + 1]));
            }
        }
    }

    /// P7, P9: a mark outlives the process, a reservation that runs out crosses it as anything does, and what was told is not told again.
    async fn alerts_outlive_a_kill(kind: StrategyKind) {
        let server = Server::start(kind);
        server.put("/v1/stock/A", &json!({"on_hand": 10})).await.assert_status(201);
        server.put("/v1/alerts/A", &json!({"low_at": 5})).await.assert_status(200);
        let seven = json!({"lines": [{"sku": "A", "quantity": 7}], "ttl_seconds": 1});
        let mut watcher = server.call(Method::GET, "/v1/events").watch().await.expect("a stream");
        server.call(Method::POST, "/v1/reservations").json(&seven).send().await.assert_status(201);
        let [held, low] = watcher.take(2).await.try_into().expect("two");
        assert_eq!((held.name.as_str(), low.name.as_str()), ("reserved", "stock.low"));
        assert_eq!(low.data["available"], 3);
        let server = server.kill_and_restart();
        let mut again = server.call(Method::GET, "/v1/events").header("last-event-id", &held.id).watch().await.expect("a stream");
        assert_eq!(again.next().await.expect("the alert"), low, "it had the movement, and not yet the alert");
        let rest: Vec<_> = again.take(2).await.into_iter().map(|event| event.name).collect();
        assert_eq!(rest, ["expired", "stock.replenished"]);
        let mut after = server.call(Method::GET, "/v1/events").header("last-event-id", &low.id).watch().await.expect("a stream");
        assert_eq!(after.next().await.expect("an event").name, "expired");
    }
}

/// A mark may be changed and removed; what is told is by the mark that counted when it happened, also afterwards.
#[tokio::test]
async fn a_mark_counts_from_when_it_is_set() {
    let app = TestApp::stocked(StrategyKind::Atomic, &[("A", 10), ("A?location=shop", 1)]).await;
    let adjust = async |delta: i64| {
        app.post("/v1/stock/A/adjust", &json!({ "delta": delta })).await.assert_status(200);
    };
    adjust(-9).await;
    app.put("/v1/alerts/A", &json!({"low_at": 5})).await.assert_status(200);
    adjust(9).await;
    adjust(-9).await;
    app.put("/v1/alerts/A", &json!({"low_at": 0})).await.assert_status(200);
    adjust(9).await;
    adjust(-10).await;
    app.delete("/v1/alerts/A").await.assert_status(204);
    adjust(10).await;
    let wanted: Vec<_> = [("stock.replenished", 5), ("stock.low", 5), ("stock.low", 0)]
        .map(|(name, at)| (name.to_owned(), at))
        .into();
    for _ in 0..2 {
        let events = app.watch("/v1/events?after=0&kind=stock.low,stock.replenished", "").await.take(3).await;
        let told = |event: &Event| (event.name.clone(), event.data["low_at"].as_u64().expect("a number"));
        assert_eq!(events.iter().map(told).collect::<Vec<_>>(), wanted);
    }
    app.get("/v1/alerts/A").await.assert_problem(404, "alert-not-found");
    app.delete("/v1/alerts/A").await.assert_problem(404, "alert-not-found");
    app.put("/v1/alerts/A?location=shop", &json!({"low_at": 1})).await.assert_status(200);
    app.put("/v1/alerts/never", &json!({"low_at": 3})).await.assert_status(200);
    let items = json!([
        {"sku": "A", "location": "shop", "low_at": 1, "available": 1, "low": true},
        {"sku": "never", "location": "main", "low_at": 3, "available": 0, "low": true},
    ]);
    assert_eq!(app.get("/v1/alerts").await.assert_status(200).at("/items"), items);
    assert_eq!(app.get("/v1/alerts/never").await.assert_status(200).json(), items[1]);
    for (wrong, pointer) in [
        (json!({"low_at": -1}), "/low_at"),
        (json!({"low_at": "5"}), "/low_at"),
        (json!({}), "/low_at"),
        (json!({"low_at": 1, "high_at": 2}), "/high_at"),
    ] {
        let refused = app.put("/v1/alerts/A", &wrong).await;
        refused.assert_problem(422, "validation-failed");
        assert_eq!(refused.at("/errors/0/pointer"), pointer, "{wrong}");
    }
    let conditional =
        app.call(Method::PUT, "/v1/alerts/A").header("if-match", "*").json(&json!({"low_at": 1}));
    conditional.send().await.assert_problem(400, "invalid-request");
}

/// P12: a webhook is told of alerts as of movements, each once, after the movement that did it, also where it is only for these.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_webhook_is_told_of_alerts() {
    let app = webhooks::start(StrategyKind::Atomic).await;
    app.create("A", 10).await;
    app.put("/v1/alerts/A", &json!({"low_at": 5})).await.assert_status(200);
    let (mut of_all, mut of_alerts) = (Receiver::start().await, Receiver::start().await);
    let (_, all) = webhooks::hook(&app, &of_all.url, &json!({})).await;
    let (_, alerts) =
        webhooks::hook(&app, &of_alerts.url, &json!({"events": ["stock.low", "stock.replenished"]})).await;
    for delta in [-4, -3, 9] {
        app.post("/v1/stock/A/adjust", &json!({ "delta": delta })).await.assert_status(200);
    }
    let types = |deliveries: &[Delivery], secret: &str| {
        let of = |delivery: &Delivery| {
            let message = delivery.verified(secret);
            (
                message["type"].as_str().expect("a type").to_owned(),
                message["data"]["seq"].as_u64().expect("a number"),
            )
        };
        deliveries.iter().map(of).collect::<Vec<_>>()
    };
    let named =
        |all: &[(&str, u64)]| all.iter().map(|(name, seq)| ((*name).to_owned(), *seq)).collect::<Vec<_>>();
    let expected = [
        ("stock.adjusted", 2),
        ("stock.adjusted", 3),
        ("stock.low", 3),
        ("stock.adjusted", 4),
        ("stock.replenished", 4),
    ];
    assert_eq!(types(&of_all.take(5).await, &all), named(&expected));
    assert_eq!(
        types(&of_alerts.take(2).await, &alerts),
        named(&[("stock.low", 3), ("stock.replenished", 4)])
    );
    of_all.assert_quiet();
    of_alerts.assert_quiet();
}
