//! What bounds the event stream (P10): who may watch, what is refused, who is dropped, and what is said when nothing happens.

use std::time::Duration;

use axum::http::Method;
use inventory::http::server::Drained;
use inventory::store::{Keeping, Storage};
use inventory::strategy::StrategyKind;
use serde_json::json;

use crate::support::app::TestApp;

const ATOMIC: StrategyKind = StrategyKind::Atomic;

/// Only what was asked for comes, and who wants little still learns how far it is.
#[tokio::test]
async fn filters_leave_out_what_is_not_wanted() {
    let heartbeat = Duration::from_millis(50);
    let app = TestApp::with(ATOMIC).with_event_heartbeat(heartbeat).start().await;
    for sku in ["A", "B", "A?location=shop"] {
        app.create(sku, 5).await;
        let adjusted = sku.replacen("A?", "A/adjust?", 1);
        let path = if adjusted == sku { format!("{sku}/adjust") } else { adjusted };
        app.post(&format!("/v1/stock/{path}"), &json!({ "delta": 1 })).await.assert_status(200);
    }
    for (filter, wanted) in [
        ("sku=A", &["created A main", "adjusted A main", "created A shop", "adjusted A shop"][..]),
        ("location=shop", &["created A shop", "adjusted A shop"]),
        ("kind=adjusted", &["adjusted A main", "adjusted B main", "adjusted A shop"]),
        ("kind=created,deleted&sku=B", &["created B main"]),
        ("kind=expired", &[]),
    ] {
        let mut watcher = app.watch(&format!("/v1/events?after=0&{filter}"), "").await;
        let mut told = Vec::new();
        for event in watcher.take(wanted.len()).await {
            let text = |name: &str| event.data[name].as_str().expect("a text").to_owned();
            told.push([text("kind"), text("sku"), text("location")].join(" "));
        }
        assert_eq!(told, wanted, "{filter}");
        watcher.is_kept_alive(2).await;
        assert_eq!(watcher.at, app.watch("/v1/events", "").await.at, "{filter}: it knows how far it is");
    }
}

/// A place that is none, a filter that is none: each is named, and nothing is watched.
#[tokio::test]
async fn what_is_no_place_and_no_filter_is_refused() {
    let app = TestApp::stocked(ATOMIC, &[("A", 5)]).await;
    let refused = async |path: &str, seen: &str| {
        let answer = app.call(Method::GET, path).header("last-event-id", seen).watch().await;
        answer.err().unwrap_or_else(|| panic!("{path} {seen} is watched"))
    };
    for (parameter, value) in
        [("kind", "sold"), ("kind", ""), ("sku", ""), ("location", ""), ("after", "x"), ("after", "")]
    {
        refused(&format!("/v1/events?{parameter}={value}"), "").await.assert_parameter(parameter);
    }
    refused("/v1/events?since=1", "").await.assert_parameter("since");
    let of_level = app.get("/v1/movements?sku=A&limit=1").await;
    assert!(of_level.at("/next_cursor").is_null(), "one movement");
    for wrong in ["x", "-1", "7-", "AAAA"] {
        let answer = refused("/v1/events", wrong).await;
        answer.assert_problem(400, "invalid-request");
        assert!(answer.text().contains("Last-Event-ID"), "{}", answer.text());
    }
    for (path, seen) in
        [("/v1/events?after=2", ""), ("/v1/events", "2"), ("/v1/events", "1-00c0ffee00c0ffee")]
    {
        refused(path, seen).await.assert_problem(410, "history-compacted");
    }
    // What a client saw last counts more than where it began.
    let mut watcher = app.watch("/v1/events?after=0", "1").await;
    app.create("B", 1).await;
    assert_eq!(watcher.next().await.expect("an event").data["sku"], "B");
    app.get("/schemas/adjusted").await.assert_problem(404, "not-found");
    app.get("/schemas/sold.json").await.assert_problem(404, "not-found");
    assert!(app.get("/metrics").await.text().contains("inventory_event_readers 1\n"));
}

/// P10: no more may watch than may, and a place is free again when its watcher has gone.
#[tokio::test]
async fn only_so_many_may_watch() {
    let app = TestApp::with(ATOMIC).with_event_readers(2).start().await;
    let first = app.watch("/v1/events", "").await;
    let mut second = app.watch("/v1/events", "").await;
    let third = app.call(Method::GET, "/v1/events").watch().await;
    third.err().expect("two are as many as may").assert_problem(503, "overloaded");
    drop(first);
    // Whoever has gone is noticed without anything being sent to it.
    let mut third = loop {
        if let Ok(third) = app.call(Method::GET, "/v1/events").watch().await {
            break third;
        }
    };
    app.create("A", 1).await;
    for watcher in [&mut second, &mut third] {
        assert_eq!(watcher.next().await.expect("an event").data["sku"], "A");
    }
}

/// P12 for many: each of a thousand is told everything, in order.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_watch() {
    let app = TestApp::start(ATOMIC).await;
    let mut watchers = Vec::new();
    for _ in 0..1_000 {
        watchers.push(app.watch("/v1/events", "").await);
    }
    for number in 0..20 {
        app.create(&format!("sku-{number:02}"), number).await;
    }
    for watcher in &mut watchers {
        let told: Vec<_> =
            watcher.take(20).await.into_iter().map(|event| event.data["after"]["on_hand"].clone()).collect();
        assert_eq!(told, (0..20).collect::<Vec<u64>>());
    }
}

/// P10: who takes nothing is dropped, writers never wait for it, and it goes on where it was, once there is somebody to take it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_takes_nothing_is_dropped_and_can_go_on() {
    const ROUNDS: usize = 6;
    const LINES: usize = 5_000;
    let patience = Duration::from_millis(500);
    let app = TestApp::with(ATOMIC).with_write_timeout(patience).start().await;
    app.create("A", 0).await;
    let mut stopped = app.watch("/v1/events", "").await;
    let mut reading = app.watch("/v1/events", "").await;
    let lines = vec![json!({ "sku": "A", "delta": 1 }); LINES];
    let batch = json!({ "mode": "independent", "lines": lines, "reason": "x".repeat(64), "reference": "y".repeat(128) });
    // By the time this one has read everything, the other has been sent more than anything in between holds.
    let reading = tokio::spawn(async move { reading.take(ROUNDS * LINES).await });
    for _ in 0..ROUNDS {
        app.post("/v1/adjustments", &batch).await.assert_status(200);
    }
    let all = reading.await.expect("it reads everything");
    assert!(all.windows(2).all(|two| two[0].data["version"].as_u64() < two[1].data["version"].as_u64()));
    loop {
        let metrics = app.get("/metrics").await;
        let metrics = metrics.text();
        if metrics.contains("inventory_event_readers_dropped_total 1\n") {
            break;
        }
    }
    // What it can still take of its stream is without a gap, and what it is told afterwards goes on from there.
    let mut told = Vec::new();
    while let Some(event) = stopped.next().await {
        told.push(event);
    }
    assert!(told.len() < all.len(), "it was dropped");
    let mut again = app.watch("/v1/events", &stopped.at).await;
    told.extend(again.take(all.len() - told.len()).await);
    assert!(told == all, "everything once");
}

/// Where nothing happens, a comment says that the connection stands; and a stop lets everybody go, at once and cleanly.
#[tokio::test]
async fn the_quiet_are_kept_alive_and_let_go_when_the_service_stops() {
    let mut app = TestApp::with(ATOMIC).with_event_heartbeat(Duration::from_millis(20)).start().await;
    let mut watchers = Vec::new();
    for _ in 0..5 {
        watchers.push(app.watch("/v1/events", "").await);
    }
    for watcher in &mut watchers {
        watcher.is_kept_alive(3).await;
    }
    app.begin_shutdown();
    for watcher in &mut watchers {
        assert_eq!(watcher.next().await, None);
    }
    assert_eq!(app.drained().await, Drained::Clean);
}

/// P12: what is past the retention is said to be gone, never left out; what is kept is told.
#[tokio::test]
async fn what_is_past_the_retention_is_said_to_be_gone() {
    let keeping = Keeping { retain_bytes: Some(1024 * 1024), ..Keeping::default() };
    let app = TestApp::with(ATOMIC).with_storage(Storage::Memory(keeping)).start().await;
    app.create("A", 0).await;
    let begin = app.watch("/v1/events?after=0", "").await.next().await.expect("an event").id;
    let lines = vec![json!({ "sku": "A", "delta": 1 }); 10_000];
    let batch = json!({ "mode": "independent", "lines": lines, "reference": "y".repeat(128) });
    let gone = loop {
        app.post("/v1/adjustments", &batch).await.assert_status(200);
        if let Err(gone) = app.call(Method::GET, "/v1/events").header("last-event-id", &begin).watch().await {
            break gone;
        }
    };
    gone.assert_problem(410, "history-compacted");
    let oldest = app.get("/v1/movements?after=0").await;
    oldest.assert_problem(410, "history-compacted");
    let mut watcher = app.watch("/v1/events", "").await;
    app.create("B", 1).await;
    assert_eq!(watcher.next().await.expect("an event").data["sku"], "B");
}
