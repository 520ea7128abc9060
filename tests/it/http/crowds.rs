//! Many clients at once: what each may take, and who makes room (P10).

use std::net::IpAddr;
use std::time::Duration;

use axum::http::Method;
use inventory::strategy::StrategyKind;
use serde_json::json;

use crate::support::app::raw::Raw;
use crate::support::app::{TestApp, WATCHDOG};

const LIVEZ: &str = "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n";

async fn is_served(connection: &mut Raw) {
    connection.write(LIVEZ).await;
    connection.answer().await.assert_status(200);
}

/// Who holds every place and does nothing with it makes room for who waits, long before its time to idle is over.
#[tokio::test]
async fn who_idles_makes_room() {
    let app = TestApp::with(StrategyKind::Atomic)
        .with_connections_max(100)
        .with_connections_per_address(1_000)
        .with_idle_timeout(WATCHDOG)
        .start()
        .await;
    let mut idle = Vec::new();
    for number in 0..100 {
        let mut connection = app.connect().await;
        if number % 2 == 0 {
            is_served(&mut connection).await;
        }
        idle.push(connection);
    }
    let mut next = app.connect().await;
    tokio::time::timeout(Duration::from_secs(10), is_served(&mut next)).await.expect("there is room");
    // Some of them, and not all: the others are served as before.
    let mut left = 0;
    for mut connection in idle {
        connection.write(LIVEZ).await;
        left += usize::from(!connection.rest_until_answer().await.is_empty());
    }
    assert!(left >= 20, "{left} are left");
}

/// P10: one address does not take the places of all others. Those beyond what it may have are closed at once, and it has others when they
/// are over.
#[tokio::test]
async fn an_address_has_its_share() {
    let app = TestApp::with(StrategyKind::Atomic).with_connections_per_address(3).start().await;
    let from = |address: &str| Raw::connect_from(app.address, address.parse::<IpAddr>().expect("an address"));
    let mut mine = Vec::new();
    for _ in 0..3 {
        let mut connection = from("127.0.0.2").await;
        is_served(&mut connection).await;
        mine.push(connection);
    }
    assert!(from("127.0.0.2").await.rest().await.is_empty(), "it is closed");
    is_served(&mut from("127.0.0.3").await).await;
    assert!(app.get("/metrics").await.text().contains("inventory_connections_refused_total 1\n"));
    mine.pop();
    let served = async {
        loop {
            let mut connection = from("127.0.0.2").await;
            connection.write(LIVEZ).await;
            if !connection.rest_until_answer().await.is_empty() {
                return;
            }
        }
    };
    tokio::time::timeout(WATCHDOG, served).await.expect("its place is free");
}

/// Fault 2: a body that is announced takes no memory; those that come share what there is, and one more is refused and not done.
#[tokio::test]
async fn bodies_share_their_memory() {
    let app = TestApp::with(StrategyKind::Atomic).with_body_memory(4 << 20).start().await;
    app.create("A", 1).await;
    let head = "POST /v1/adjustments HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 4194304\r\n\r\n";
    let mut slow = Vec::new();
    for _ in 0..100 {
        let mut connection = app.connect().await;
        connection.write(format!("{head}{{")).await;
        slow.push(connection);
    }
    let taken = async |wanted: &dyn Fn(u64) -> bool| {
        loop {
            let metrics = app.get("/metrics").await;
            let line =
                metrics.text().lines().find_map(|line| line.strip_prefix("inventory_body_memory_bytes "));
            if wanted(line.expect("it is counted").parse().expect("a number")) {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    let soon = |taken| tokio::time::timeout(WATCHDOG, taken);
    soon(taken(&|bytes| (1..1_000).contains(&bytes))).await.expect("each takes its byte");
    drop(slow);
    // Each of these takes more than two megabytes, and there are four.
    let body = json!({"lines": [{"sku": "A", "delta": 1, "reason": "x".repeat(40)}], "": ""}).to_string();
    let padded = format!("{}{}", body.replace(",\"\":\"\"", ""), " ".repeat(2 << 20));
    let mut first = app.connect().await;
    first.write(format!("{head}{}", &padded[..=(2 << 20)])).await;
    soon(taken(&|bytes| bytes > 2 << 20)).await.expect("it takes its memory");
    let second = app.call(Method::POST, "/v1/adjustments").header("content-type", "application/json");
    let refused = second.body(padded.clone()).send().await;
    refused.assert_problem(503, "overloaded");
    assert_eq!(refused.at("/applied"), "no");
    // A small one is as ever.
    app.post("/v1/stock/A/adjust", &json!({"delta": 1})).await.assert_level(200, 2, 2);
    drop(first);
    soon(taken(&|bytes| bytes == 0)).await.expect("it is given back");
    let third = app.call(Method::POST, "/v1/adjustments").header("content-type", "application/json");
    third.body(padded).send().await.assert_status(200);
}
