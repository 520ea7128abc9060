//! `GET /v1/events`: every change once, in order, to whoever watches, and to whoever comes back (P12, P7).

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::http::Method;
use inventory::strategy::StrategyKind;
use serde_json::{Value, json};

use crate::support::app::TestApp;
use crate::support::app::contract::conforms_in;
use crate::support::app::watcher::{Event, Watcher};
use crate::support::for_each_strategy;
use crate::support::process::Server;

/// The whole ledger, page by page.
async fn ledger(app: &TestApp) -> Vec<Value> {
    let (mut all, mut after) = (Vec::new(), 0);
    loop {
        let page = app.get(&format!("/v1/movements?after={after}&limit=1000")).await;
        let items = page.assert_status(200).at("/items").as_array().expect("items").clone();
        let Some(last) = items.last() else { return all };
        after = last["seq"].as_u64().expect("a number");
        all.extend(items);
    }
}

/// The next events up to the movement of that number.
async fn until(watcher: &mut Watcher, seq: u64) -> Vec<Event> {
    let mut events = Vec::new();
    while events.last().is_none_or(|event: &Event| event.data["seq"].as_u64() < Some(seq)) {
        events.push(watcher.next().await.expect("the stream goes on"));
    }
    events
}

fn data(events: &[Event]) -> Vec<Value> {
    events.iter().map(|event| event.data.clone()).collect()
}

/// Every kind of change there is, of a few levels, by several clients at once.
async fn a_busy_day(app: &Arc<TestApp>) {
    for sku in ["A", "B", "C"] {
        app.create(sku, 1_000).await;
    }
    let client = |number: usize| {
        let app = Arc::clone(app);
        async move {
            for round in 0..6 {
                let sku = ["A", "B", "C"][(number + round) % 3];
                app.post(&format!("/v1/stock/{sku}/adjust"), &json!({ "delta": -1, "reason": "sold" }))
                    .await
                    .assert_status(200);
                let lines = json!([{ "sku": sku, "from": "main", "to": "shop", "quantity": 1 }]);
                app.post("/v1/transfers", &json!({ "lines": lines })).await.assert_status(200);
                let held =
                    app.post("/v1/reservations", &json!({ "lines": [{ "sku": sku, "quantity": 2 }] })).await;
                let id = held.assert_status(201).at("/id").as_str().expect("an id").to_owned();
                let end = if round % 2 == 0 { "commit" } else { "release" };
                app.post(&format!("/v1/reservations/{id}/{end}"), &json!({})).await.assert_status(200);
                let order = json!({ "lines": [{ "sku": sku, "quantity": 1 }] });
                let placed = app
                    .call(Method::POST, "/v1/orders")
                    .header("prefer", "wait=20")
                    .json(&order)
                    .send()
                    .await;
                let id = placed.assert_status(200).at("/id").as_str().expect("an id").to_owned();
                app.post(&format!("/v1/orders/{id}/returns"), &json!({})).await.assert_status(200);
            }
        }
    };
    let clients: Vec<_> = (0..4).map(|number| tokio::spawn(client(number))).collect();
    for client in clients {
        client.await.expect("a client");
    }
    app.create("gone", 3).await;
    let counted =
        app.call(Method::PUT, "/v1/stock/gone").header("if-match", "*").json(&json!({ "on_hand": 4 }));
    counted.send().await.assert_status(200);
    app.remove("/v1/stock/gone").await.assert_status(204);
    let import = app.call(Method::POST, "/v1/import").header("content-type", "application/x-ndjson");
    import.body("{\"sku\":\"new\",\"on_hand\":7}\n").send().await.assert_status(200);
    app.create("end", 1).await;
}

for_each_strategy! {
    /// P12: whoever watched meanwhile was told of every movement once, in the order of the ledger, word for word as the ledger has it;
    /// and whoever comes back with any id is told of everything after it, once.
    async fn every_change_is_told_once_and_from_every_place_on(kind: StrategyKind) {
        let app = Arc::new(TestApp::start(kind).await);
        let mut first = app.watch("/v1/events", "").await;
        let beginning = first.at.clone();
        a_busy_day(&app).await;
        let ledger = ledger(&app).await;
        let last = ledger.last().expect("movements")["seq"].as_u64().expect("a number");
        let events = until(&mut first, last).await;
        assert_eq!(data(&events), ledger);
        let mut seen = vec![beginning];
        seen.extend(events.iter().map(|event| event.id.clone()));
        for (from, id) in seen.iter().enumerate().step_by(7) {
            let wanted = &events[from..];
            let mut again = app.watch("/v1/events", id).await;
            assert_eq!(again.at, *id, "the first block names the place it begins at");
            assert_eq!(again.take(wanted.len()).await, wanted, "after {from}");
        }
        schemas_fit(&app, &events).await;
    }

    /// P12, P4 for readers: levels that were read while they changed, and the events after the place they name, give what the stock is.
    async fn levels_and_the_events_after_them_leave_nothing_out(kind: StrategyKind) {
        let app = Arc::new(TestApp::start(kind).await);
        let day = tokio::spawn({
            let app = Arc::clone(&app);
            async move { a_busy_day(&app).await }
        });
        let mut snapshots = Vec::new();
        while !day.is_finished() {
            let page = app.get("/v1/stock?limit=1000").await;
            let cursor = page.assert_status(200).at("/event_cursor");
            snapshots.push((page.at("/items"), cursor));
            let export = app.get("/v1/export").await;
            let lines = export.assert_status(200).text();
            let items = lines.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON")).collect();
            snapshots.push((items, export.header("event-cursor").into()));
            let keys: Vec<_> = ["A", "B", "C", "gone", "new", "end"].map(|sku| json!({ "sku": sku })).into();
            let answer = app.post("/v1/stock/query", &json!({ "keys": keys, "consistent": true })).await;
            let mut items = answer.assert_status(200).at("/items").as_array().expect("items").clone();
            items.extend(app.get("/v1/stock?location=shop").await.at("/items").as_array().expect("items").clone());
            snapshots.push((items.into(), answer.at("/event_cursor")));
        }
        day.await.expect("a day");
        let now = levels(&app.get("/v1/stock?limit=1000").await.at("/items"));
        let ledger = ledger(&app).await;
        let last = ledger.last().expect("movements")["seq"].as_u64().expect("a number");
        for (items, cursor) in snapshots {
            let mut levels = levels(&items);
            let mut watcher = app.watch(&format!("/v1/events?after={}", cursor.as_str().expect("a cursor")), "").await;
            let mut events = Vec::new();
            if watcher.at != app.watch("/v1/events", "").await.at {
                events = until(&mut watcher, last).await;
            }
            for event in data(&events) {
                apply(&mut levels, &event);
            }
            assert_eq!(levels, now);
        }
    }

    /// P7, P12: over kills, restarts and another strategy a stream goes on where it was.
    async fn a_stream_goes_on_over_kills(kind: StrategyKind) {
        let mut server = Server::start(kind);
        let mut at = String::new();
        let (mut told, mut expected) = (Vec::new(), Vec::new());
        for life in 0..4 {
            let mut watcher =
                server.call(Method::GET, "/v1/events?after=0").header("last-event-id", &at).watch().await.expect("a stream");
            for number in 0..5 {
                let sku = format!("sku-{life}-{number}");
                server.put(&format!("/v1/stock/{sku}"), &json!({ "on_hand": number })).await.assert_status(201);
                expected.push(sku);
            }
            // Some were answered that this watcher is not told of any more.
            for event in watcher.take(life + 1).await {
                told.push(event.data["sku"].as_str().expect("a sku").to_owned());
                at = event.id;
            }
            server = server.kill_and_restart();
        }
        let mut watcher = server.call(Method::GET, "/v1/events").header("last-event-id", &at).watch().await.expect("a stream");
        for event in watcher.take(expected.len() - told.len()).await {
            told.push(event.data["sku"].as_str().expect("a sku").to_owned());
        }
        assert_eq!(told, expected);
    }

    /// In memory, too, where nobody waits for a log.
    async fn a_change_in_memory_is_told_as_well(kind: StrategyKind) {
        let app = TestApp::with(kind).ephemeral().start().await;
        let mut watcher = app.watch("/v1/events", "").await;
        for number in 0..20 {
            app.create(&format!("sku-{number}"), number).await;
            let event = watcher.next().await.expect("the stream goes on");
            assert_eq!(event.data["after"]["on_hand"], number);
        }
    }
}

/// Levels by sku and location: on hand, reserved and version.
fn levels(items: &Value) -> BTreeMap<(String, String), [u64; 3]> {
    let level = |item: &Value| {
        let numbers = ["on_hand", "reserved", "version"].map(|name| item[name].as_u64().expect("a number"));
        (place(item), numbers)
    };
    items.as_array().expect("items").iter().map(level).collect()
}

fn place(item: &Value) -> (String, String) {
    let [sku, location] = ["sku", "location"].map(|name| item[name].as_str().expect("a text").to_owned());
    (sku, location)
}

/// What a movement makes of levels that were read before or after it.
fn apply(levels: &mut BTreeMap<(String, String), [u64; 3]>, movement: &Value) {
    let (place, version) = (place(movement), movement["version"].as_u64().expect("a number"));
    if levels.get(&place).is_some_and(|[.., had]| *had >= version) {
        return;
    }
    if movement["kind"] == "deleted" {
        levels.remove(&place);
        return;
    }
    let [on_hand, reserved] =
        ["on_hand", "reserved"].map(|name| movement["after"][name].as_u64().expect("a number"));
    levels.insert(place, [on_hand, reserved, version]);
}

/// Each event is what the schema of its name says, which no other kind's is.
async fn schemas_fit(app: &TestApp, events: &[Event]) {
    let mut schemas = BTreeMap::new();
    for event in events {
        assert_eq!(event.data["kind"], event.name.as_str());
        if !schemas.contains_key(&event.name) {
            let served = app.get(&format!("/schemas/{}.json", event.name)).await;
            schemas.insert(event.name.clone(), served.assert_status(200).json());
        }
        let schema = &schemas[&event.name];
        conforms_in(schema, schema, &event.data).unwrap_or_else(|why| panic!("{why}: {event:?}"));
        let others = schemas.iter().filter(|(name, _)| **name != event.name);
        assert!(others.into_iter().all(|(_, other)| conforms_in(other, other, &event.data).is_err()));
    }
    let seen: Vec<&str> = schemas.keys().map(String::as_str).collect();
    let all =
        "adjusted counted created deleted fulfilled imported released reserved returned shipped transferred";
    assert_eq!(seen.join(" "), all, "all kinds but what expires, which time must pass for");
}
