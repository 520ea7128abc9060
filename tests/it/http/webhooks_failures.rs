//! Webhooks whose receivers fail, each in its own way: what is tried again, what is not, and what is said of it.

use std::time::Duration;

use axum::http::Method;
use inventory::store::{Keeping, Storage};
use inventory::strategy::StrategyKind;
use inventory::webhooks::WebhookConfig;
use serde_json::{Value, json};

use super::webhooks::{config, hook, once_it_is, start};
use crate::support::app::TestApp;
use crate::support::app::receiver::{Receiver, Reply};
use crate::support::process::refused_start;

/// The same message, until it is taken; then the next.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_is_no_success_is_tried_again() {
    let config = WebhookConfig { attempt_timeout: Duration::from_secs(2), ..config() };
    let app = TestApp::with(StrategyKind::Atomic).with_webhooks(config).start().await;
    let mut receiver = Receiver::start().await;
    let mut elsewhere = Receiver::start().await;
    let moved = format!("HTTP/1.1 307 x\r\nLocation: {}\r\nContent-Length: 0\r\n\r\n", elsewhere.url);
    let huge = [b"HTTP/1.1 500 x\r\n\r\n".to_vec(), vec![b'x'; 4 << 20]].concat();
    let endless = [b"HTTP/1.1 200 x\r\nx: ".to_vec(), vec![b'x'; 1 << 20]].concat();
    let replies = [
        Reply::Status(500),
        Reply::Status(400),
        Reply::Status(503),
        Reply::Raw(b"\x16\x03\x01 no HTTP at all\r\n\r\n".to_vec()),
        Reply::Raw(Vec::new()),
        Reply::Raw(b"HTTP/1.1 20".to_vec()),
        Reply::Raw(b"HTTP/1.1 200 OK\r\nContent-Le".to_vec()),
        Reply::Raw(moved.into_bytes()),
        Reply::Raw(huge),
        Reply::Raw(endless),
        Reply::Hang,
    ];
    let failures = replies.len();
    receiver.answer(replies);
    let (path, secret) = hook(&app, &receiver.url, &json!({})).await;
    app.create("A", 1).await;
    let attempts = receiver.take(failures + 1).await;
    for attempt in &attempts {
        assert_eq!(attempt.target, "/hooks?a=1");
        assert_eq!((attempt.id(), &attempt.body), (attempts[0].id(), &attempts[0].body));
        attempt.verified(&secret);
    }
    app.create("B", 1).await;
    assert_eq!(receiver.next().await.verified(&secret)["data"]["sku"], "B");
    let active = once_it_is(&app, &path, "active").await;
    assert!(active.get("last_error").is_none() && active.get("attempts").is_none(), "{active}");
    let metrics = app.get("/metrics").await;
    let counted = |line: &str| assert!(metrics.text().lines().any(|found| found == line), "{line}");
    counted(&format!("inventory_webhook_failures_total {failures}"));
    counted("inventory_webhooks{state=\"active\"} 1");
    elsewhere.assert_quiet();
}

/// The status counts: what comes after it is the receiver's affair, as long as it takes no time and no room.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_success_is_one_whatever_body_it_has() {
    let app = start(StrategyKind::Atomic).await;
    let mut receiver = Receiver::start().await;
    let huge =
        [b"HTTP/1.1 200 x\r\nContent-Length: 999999999\r\n\r\n".to_vec(), vec![b'x'; 8 << 20]].concat();
    receiver.answer([
        Reply::Raw(huge),
        Reply::Raw(b"HTTP/1.1 202 x\r\nContent-Length: 100\r\n\r\ncut".to_vec()),
        Reply::Raw(b"HTTP/1.1 299 x\r\n\r\nto the end".to_vec()),
    ]);
    let (path, secret) = hook(&app, &receiver.url, &json!({})).await;
    for number in 1..=4 {
        app.create(&format!("S{number}"), number).await;
        assert_eq!(receiver.next().await.verified(&secret)["data"]["seq"], number);
    }
    once_it_is(&app, &path, "active").await;
    receiver.assert_quiet();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_that_is_gone_is_left_alone_until_it_is_enabled() {
    let app = start(StrategyKind::Atomic).await;
    let mut receiver = Receiver::start().await;
    receiver.answer([Reply::Status(410)]);
    let (path, secret) = hook(&app, &receiver.url, &json!({})).await;
    app.create("A", 1).await;
    receiver.next().await;
    let disabled = once_it_is(&app, &path, "disabled").await;
    assert!(disabled["disabled_reason"].as_str().unwrap().contains("410"), "{disabled}");
    app.create("B", 1).await;
    // It is disabled after a restart as well, and still behind.
    let app = TestApp::over(StrategyKind::Atomic, app.end().await).with_webhooks(config()).start().await;
    let disabled = app.get(&path).await;
    assert_eq!((disabled.at("/state"), disabled.at("/behind")), (json!("disabled"), json!(2)));
    receiver.assert_quiet();
    let enabled = app.call(Method::POST, &format!("{path}/enable")).send().await;
    assert_eq!(enabled.assert_status(200).at("/state"), "active");
    for sku in ["A", "B"] {
        assert_eq!(receiver.next().await.verified(&secret)["data"]["sku"], sku);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_that_fails_for_long_enough_is_disabled() {
    let bounds = WebhookConfig { attempts_max: 3, failing_max: Duration::ZERO, ..config() };
    let app = TestApp::with(StrategyKind::Atomic).with_webhooks(bounds).start().await;
    let mut receiver = Receiver::start().await;
    receiver.answer(vec![Reply::Status(500); 3]);
    let (path, _) = hook(&app, &receiver.url, &json!({})).await;
    app.create("A", 1).await;
    receiver.take(3).await;
    let disabled = once_it_is(&app, &path, "disabled").await;
    assert!(disabled["disabled_reason"].as_str().unwrap().contains("3 attempts"), "{disabled}");
    receiver.assert_quiet();
}

/// What the receiver asks for is honoured, within a bound; and whoever enables the webhook need not wait for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn retry_after_is_honoured() {
    let bounds = WebhookConfig { backoff_max: Duration::from_hours(1), ..config() };
    let app = TestApp::with(StrategyKind::Atomic).with_webhooks(bounds).start().await;
    let mut receiver = Receiver::start().await;
    let later = b"HTTP/1.1 503 x\r\nRetry-After: 86400\r\nContent-Length: 0\r\n\r\n".to_vec();
    receiver.answer([Reply::Raw(later)]);
    let (path, secret) = hook(&app, &receiver.url, &json!({})).await;
    app.create("A", 1).await;
    receiver.next().await;
    let waits = loop {
        let failing = once_it_is(&app, &path, "failing").await;
        if failing.get("next_attempt_at").is_some() {
            break failing;
        }
    };
    assert_eq!((&waits["attempts"], &waits["last_error"]), (&json!(1), &json!("it answered 503")));
    let at = |name: &str| humantime::parse_rfc3339(waits[name].as_str().unwrap()).unwrap();
    let wait = at("next_attempt_at").duration_since(at("failing_since")).unwrap();
    assert!((3_590..=3_610).contains(&wait.as_secs()), "an hour, which is the bound: {wait:?}");
    app.call(Method::POST, &format!("{path}/enable")).send().await.assert_status(200);
    assert_eq!(receiver.next().await.verified(&secret)["data"]["sku"], "A");
}

/// Nothing is sent to an address that is not public, also if it was allowed, or another, when the webhook was made.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_is_judged_at_each_attempt() {
    let app = start(StrategyKind::Atomic).await;
    let mut receiver = Receiver::start().await;
    let by_name = receiver.url.replace("127.0.0.1", "localhost");
    let (path, _) = hook(&app, &by_name, &json!({})).await;
    app.create("A", 1).await;
    receiver.next().await;
    let nowhere = WebhookConfig { allow: Vec::new(), ..config() };
    let app = TestApp::over(StrategyKind::Atomic, app.end().await).with_webhooks(nowhere).start().await;
    app.create("B", 1).await;
    let failing = once_it_is(&app, &path, "failing").await;
    assert!(failing["last_error"].as_str().unwrap().contains("loopback"), "{failing}");
    let ping = app.call(Method::POST, &format!("{path}/ping")).send().await;
    assert!(ping.at("/error").as_str().unwrap().contains("--webhook-allow"), "{}", ping.text());
    receiver.assert_quiet();
}

/// Movements that were dropped before a receiver was told of them are a gap, of which it is told, and then of the oldest that is kept.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_past_the_retention_is_told_as_a_gap() {
    let keeping = Keeping { retain_bytes: Some(1024 * 1024), ..Keeping::default() };
    let app = TestApp::with(StrategyKind::Atomic)
        .with_storage(Storage::Memory(keeping))
        .with_webhooks(WebhookConfig { backoff_max: Duration::from_hours(1), ..config() })
        .start()
        .await;
    let mut receiver = Receiver::start().await;
    let later = b"HTTP/1.1 503 x\r\nRetry-After: 3600\r\nContent-Length: 0\r\n\r\n".to_vec();
    receiver.answer([Reply::Raw(later)]);
    let (path, secret) = hook(&app, &receiver.url, &json!({ "batch": 100 })).await;
    app.create("A", 1).await;
    receiver.next().await;
    once_it_is(&app, &path, "failing").await;
    let lines: Vec<Value> = (0..5_000).map(|_| json!({ "sku": "A", "delta": 1 })).collect();
    let is_kept = async || app.get("/v1/movements?after=0&limit=1").await.status == 200;
    while is_kept().await {
        let many = json!({ "mode": "independent", "lines": lines });
        app.post("/v1/adjustments", &many).await.assert_status(200);
    }
    app.call(Method::POST, &format!("{path}/enable")).send().await.assert_status(200);
    let gap = receiver.next().await.verified(&secret);
    assert_eq!((&gap["type"], &gap["data"]["after"]), (&json!("stock.gap"), &json!(0)));
    let oldest = gap["data"]["oldest"].as_u64().unwrap();
    assert!(oldest > 1, "{gap}");
    let next = receiver.next().await.verified(&secret);
    let first = next["data"][0]["seq"].as_u64().unwrap();
    assert!(first >= oldest, "it goes on with what is kept: {first} of {oldest}");
}

/// P7: what is kept of webhooks is refused by its name where it is not what was written, by a start and by a verification.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_kept_of_webhooks_is_never_guessed_at() {
    let app = start(StrategyKind::Atomic).await;
    let receiver = Receiver::start().await;
    hook(&app, &receiver.url, &json!({})).await;
    assert!(app.post_bytes("/v1/verify", "").await.text().contains("\"clean\":true"));
    let data = app.data();
    let file = data.path().join("webhooks");
    let whole = std::fs::read(&file).unwrap();
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 1;
    std::fs::write(&file, &flipped).unwrap();
    let live = app.post_bytes("/v1/verify", "").await;
    assert_eq!((live.at("/clean"), live.at("/findings/0/file")), (json!(false), json!("webhooks")));
    let data = app.end().await;
    let refused = refused_start(StrategyKind::Atomic, &data);
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(said.contains("webhooks cannot be relied on"), "{said}");
    std::fs::write(&file, &whole).unwrap();
    let app = TestApp::over(StrategyKind::Atomic, data).with_webhooks(config()).start().await;
    assert_eq!(app.get("/v1/webhooks").await.count("/items"), 1);
}
