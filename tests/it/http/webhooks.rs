//! `/v1/webhooks`: every change is posted to whoever asked for it, signed, in order, at least once, whatever becomes of the service (P12, P7).

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Method, Request};
use inventory::alerts::Alerts;
use inventory::config::Config;
use inventory::http::routes::Face;
use inventory::http::{self, HttpState};
use inventory::store::local::{Intent, Opening};
use inventory::store::{AnyStore, Keeping, Storage};
use inventory::strategy::StrategyKind;
use inventory::webhooks::{WebhookConfig, Webhooks};
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::support::app::receiver::{Delivery, Receiver, Reply};
use crate::support::app::{TestApp, WATCHDOG};
use crate::support::for_each_strategy;
use crate::support::process::Server;

/// A configuration under which loopback may be told, and nothing takes long but an attempt.
pub(super) fn config() -> WebhookConfig {
    WebhookConfig {
        allow: vec!["127.0.0.0/8".parse().expect("a network")],
        attempt_timeout: WATCHDOG,
        backoff_first: Duration::from_millis(5),
        backoff_max: Duration::from_millis(50),
        positions_every: Duration::from_millis(1),
        ..WebhookConfig::default()
    }
}

/// A service whose webhooks may be on loopback.
pub(super) async fn start(kind: StrategyKind) -> TestApp {
    TestApp::with(kind).with_webhooks(config()).start().await
}

/// A webhook: its path and its secret.
pub(super) async fn hook(app: &TestApp, url: &str, more: &Value) -> (String, String) {
    let mut body = json!({ "url": url });
    body.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    let made = app.post("/v1/webhooks", &body).await;
    let path = made.assert_status(201).header("location").to_owned();
    (path, made.at("/secret").as_str().expect("a secret").to_owned())
}

/// What a webhook says of itself once it is in that state. Asked again and again: nobody is told of it.
pub(super) async fn once_it_is(app: &TestApp, path: &str, state: &str) -> Value {
    let asked = async {
        loop {
            let answer = app.get(path).await;
            if answer.assert_status(200).at("/state") == state {
                return answer.json();
            }
        }
    };
    tokio::time::timeout(WATCHDOG, asked).await.unwrap_or_else(|_| panic!("{path} is never {state}"))
}

/// A webhook that is made in the moment the service opens, before all begin to be told, is told by one and not by two.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_webhook_begins_once() {
    let settings = Config { webhooks: config(), ..Config::new(StrategyKind::Mutex) };
    let state: &'static HttpState = Box::leak(Box::new(HttpState::new(settings.kind, &settings.http)));
    let storage = Storage::Memory(Keeping::default());
    let opening =
        Opening::begin(settings.kind, settings.strategy, &storage, Intent::Change).expect("a store");
    let store: &'static AnyStore =
        Box::leak(Box::new(AnyStore::Local(opening.open().await.expect("it opens"))));
    let alerts: &'static Alerts = Box::leak(Box::default());
    let webhooks = Webhooks::open(store, alerts, settings.webhooks).await.expect("there are none");
    state.open(store, alerts, webhooks);
    let router = http::router(state, &settings.http, Face::All, false);
    let ask = async |method: Method, path: &str, body: String| {
        let request = Request::builder().method(method).uri(path).header("host", "x");
        let request = request.header("content-type", "application/json").body(Body::from(body));
        let answer = router.clone().oneshot(request.expect("a request")).await.expect("an answer");
        let location = answer.headers().get("location").map(|path| path.to_str().expect("ASCII").to_owned());
        assert!(answer.status().is_success(), "{answer:?}");
        location
    };
    let mut receiver = Receiver::start().await;
    let path = ask(Method::POST, "/v1/webhooks", json!({ "url": receiver.url }).to_string())
        .await
        .expect("its path");
    webhooks.start();
    // Of two who tell, one is behind the other now and then, and repeats what that has told.
    for number in 0..30 {
        ask(Method::PUT, &format!("/v1/stock/{number}"), "{\"on_hand\":1}".to_owned()).await;
    }
    let mut told = Vec::new();
    while told.last() != Some(&json!(30)) {
        told.push(receiver.next().await.json()["data"]["seq"].clone());
    }
    ask(Method::POST, &format!("{path}/ping"), String::new()).await;
    loop {
        let message = receiver.next().await.json();
        if message["type"] == "ping" {
            break;
        }
        told.push(message["data"]["seq"].clone());
    }
    assert_eq!(told, (1..=30).collect::<Vec<_>>());
}

fn seqs(deliveries: &[Delivery], secret: &str) -> Vec<u64> {
    let seq = |delivery: &Delivery| delivery.verified(secret)["data"]["seq"].as_u64().expect("a number");
    deliveries.iter().map(seq).collect()
}

for_each_strategy! {
    /// P12: every movement once, in the order of the ledger, word for word as the ledger has it, and signed.
    async fn every_change_is_posted_once_in_order_and_signed(kind: StrategyKind) {
        let app = Arc::new(start(kind).await);
        let mut receiver = Receiver::start().await;
        app.create("before", 1).await;
        let (path, secret) = hook(&app, &receiver.url, &json!({})).await;
        let client = |sku: &'static str| {
            let app = Arc::clone(&app);
            async move {
                app.create(sku, 100).await;
                for _ in 0..10 {
                    app.post(&format!("/v1/stock/{sku}/adjust"), &json!({ "delta": -1, "reason": "sold" }))
                        .await
                        .assert_status(200);
                    let lines = json!([{ "sku": sku, "from": "main", "to": "shop", "quantity": 1 }]);
                    app.post("/v1/transfers", &json!({ "lines": lines })).await.assert_status(200);
                }
            }
        };
        let clients: Vec<_> = ["A", "B", "C"].map(|sku| tokio::spawn(client(sku))).into();
        for client in clients {
            client.await.expect("a client");
        }
        let ledger = app.get("/v1/movements?after=1&limit=1000").await;
        let ledger = ledger.at("/items").as_array().expect("items").clone();
        assert_eq!(ledger.len(), 3 * (1 + 10 * 3));
        let deliveries = receiver.take(ledger.len()).await;
        for (delivery, movement) in deliveries.iter().zip(&ledger) {
            let message = delivery.verified(&secret);
            assert_eq!(message["data"], *movement);
            assert_eq!(message["type"], format!("stock.{}", movement["kind"].as_str().expect("a kind")));
            assert_eq!(message["timestamp"], movement["time"]);
            assert_eq!(delivery.target, "/hooks?a=1");
        }
        let ids: BTreeSet<String> = deliveries.iter().map(Delivery::id).collect();
        assert_eq!(ids.len(), deliveries.len(), "each has an id of its own");
        let told = app.get(&path).await;
        assert_eq!(told.at("/state"), "active");
        receiver.assert_quiet();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_webhook_is_made_shown_and_ended() {
    let app = start(StrategyKind::Atomic).await;
    let mut receiver = Receiver::start().await;
    let asked = json!({
        "url": receiver.url, "events": ["adjusted", "shipped"], "sku": "A", "location": "main", "batch": 7,
        "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    });
    let made = app.post("/v1/webhooks", &asked).await;
    let path = made.assert_status(201).header("location").to_owned();
    for (name, value) in asked.as_object().unwrap() {
        assert_eq!(made.at(&format!("/{name}")), *value, "{name}");
    }
    let read = app.get(&path).await;
    let mut shown = made.json();
    shown.as_object_mut().unwrap().remove("secret");
    assert_eq!(read.assert_status(200).json(), shown, "the secret is told once");
    assert_eq!(app.get("/v1/webhooks").await.at("/items"), json!([shown]));
    app.delete(&path).await.assert_status(204);
    for gone in
        [app.get(&path).await, app.delete(&path).await, app.post(&format!("{path}/ping"), &json!({})).await]
    {
        assert!(gone.status == 404 || gone.status == 400, "{}", gone.text());
    }
    app.get(&path).await.assert_problem(404, "webhook-not-found");
    app.create("A", 5).await;
    let (_, secret) = hook(&app, &receiver.url, &json!({})).await;
    app.create("B", 5).await;
    assert_eq!(receiver.next().await.verified(&secret)["data"]["sku"], "B", "of A nobody is told");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wrong_with_a_webhook_is_told_by_field() {
    let app = TestApp::start(StrategyKind::Atomic).await;
    let url = "https://shop.example/hooks";
    for (wrong, pointers) in [
        (json!({}), vec!["/url"]),
        (json!({ "url": "shop.example" }), vec!["/url"]),
        (json!({ "url": "https://user:password@shop.example/" }), vec!["/url"]),
        (json!({ "url": "ftp://shop.example/", "sku": " a", "batch": 0 }), vec!["/url", "/sku", "/batch"]),
        (json!({ "url": url, "events": [] }), vec!["/events"]),
        (json!({ "url": url, "events": ["adjusted", "sold"] }), vec!["/events/1"]),
        (json!({ "url": url, "events": "adjusted" }), vec!["/events"]),
        (json!({ "url": url, "batch": 101 }), vec!["/batch"]),
        (json!({ "url": url, "secret": "whsec_c2hvcnQ=" }), vec!["/secret"]),
        (json!({ "url": url, "colour": "red" }), vec!["/colour"]),
        (json!({ "url": format!("https://shop.example/{}", "a".repeat(2_048)) }), vec!["/url"]),
        (json!({ "url": "http://localhost:1/" }), vec!["/url"]),
        (json!({ "url": "http://127.0.0.1:1/" }), vec!["/url"]),
        (json!({ "url": "http://[::1]:1/" }), vec!["/url"]),
        (json!({ "url": "http://169.254.169.254/latest/meta-data" }), vec!["/url"]),
    ] {
        let refused = app.post("/v1/webhooks", &wrong).await;
        let mut found: Vec<String> = refused
            .assert_problem(422, "validation-failed")
            .at("/errors")
            .as_array()
            .unwrap()
            .iter()
            .map(|error| error["pointer"].as_str().unwrap().to_owned())
            .collect();
        found.sort();
        let mut pointers = pointers;
        pointers.sort_unstable();
        assert_eq!(found, pointers, "{wrong}: {}", refused.text());
        assert!(!refused.text().contains("c2hvcnQ="), "a secret is not repeated");
    }
    assert_eq!(app.get("/v1/webhooks").await.count("/items"), 0);
    let keyed =
        app.call(Method::POST, "/v1/webhooks").header("idempotency-key", "k").json(&json!({ "url": url }));
    keyed.send().await.assert_problem(400, "invalid-request");
    app.get("/v1/webhooks/0193a6f0-5b7c-7c3a-9d1e-3f6a2b8c4d5e")
        .await
        .assert_problem(404, "webhook-not-found");
    app.get("/v1/webhooks/1").await.assert_parameter("id");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn there_are_as_many_as_may_be() {
    let app = TestApp::with(StrategyKind::Atomic)
        .with_webhooks(WebhookConfig { hooks_max: 2, ..config() })
        .start()
        .await;
    let receiver = Receiver::start().await;
    let (first, _) = hook(&app, &receiver.url, &json!({})).await;
    hook(&app, &receiver.url, &json!({})).await;
    app.post("/v1/webhooks", &json!({ "url": receiver.url })).await.assert_problem(503, "overloaded");
    app.delete(&first).await.assert_status(204);
    hook(&app, &receiver.url, &json!({})).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn filters_leave_out_what_is_not_asked_for() {
    let app = start(StrategyKind::Atomic).await;
    let mut receiver = Receiver::start().await;
    let wanted = json!({ "events": ["adjusted"], "sku": "A", "location": "main" });
    let (path, secret) = hook(&app, &receiver.url, &wanted).await;
    for sku in ["A", "A?location=shop", "B"] {
        app.create(sku, 5).await;
    }
    for level in ["A/adjust?location=shop", "B/adjust", "A/adjust"] {
        app.post(&format!("/v1/stock/{level}"), &json!({ "delta": 1 })).await.assert_status(200);
    }
    assert_eq!(seqs(&[receiver.next().await], &secret), [6]);
    receiver.assert_quiet();
    let last = app.get("/v1/movements?after=6").await.count("/items");
    assert_eq!((last, app.get(&path).await.at("/state")), (0, json!("active")));
}

/// Many movements may be one message, in their order, each once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_has_as_many_as_there_are_and_no_more_than_it_may() {
    let app = start(StrategyKind::Atomic).await;
    let mut receiver = Receiver::start().await;
    receiver.answer([Reply::Status(500)]);
    let (_, secret) = hook(&app, &receiver.url, &json!({ "batch": 4 })).await;
    for number in 1..=9 {
        app.create(&format!("S{number}"), number).await;
    }
    let (mut seen, mut sizes) = (Vec::new(), BTreeSet::new());
    while seen.last() != Some(&9) {
        let message = receiver.next().await.verified(&secret);
        assert_eq!(message["type"], "stock.batch");
        let data = message["data"].as_array().unwrap().clone();
        sizes.insert(data.len());
        let numbers: Vec<u64> = data.iter().map(|movement| movement["seq"].as_u64().unwrap()).collect();
        if seen.last() != numbers.last() {
            seen.extend(numbers);
        }
    }
    assert_eq!(seen, (1..=9).collect::<Vec<_>>());
    assert!(sizes.iter().all(|size| (1..=4).contains(size)), "{sizes:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ping_says_what_came_of_it() {
    let app = start(StrategyKind::Atomic).await;
    let mut receiver = Receiver::start().await;
    let (path, secret) = hook(&app, &receiver.url, &json!({})).await;
    let ping = async || app.call(Method::POST, &format!("{path}/ping")).send().await;
    assert_eq!(ping().await.assert_status(200).at("/status"), 204);
    let message = receiver.next().await.verified(&secret);
    assert_eq!((&message["type"], &message["data"]), (&json!("ping"), &json!({})));
    receiver.answer([Reply::Status(500), Reply::Raw(b"nonsense\r\n\r\n".to_vec())]);
    let failed = ping().await;
    assert_eq!((failed.at("/status"), failed.at("/error")), (json!(500), json!("it answered 500")));
    let failed = ping().await;
    assert!(failed.at("/status").is_null() && failed.at("/error").is_string(), "{}", failed.text());
    assert_eq!(app.get(&path).await.at("/state"), "active", "a ping changes nothing");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_a_secret_is_replaced_both_sign() {
    let app = start(StrategyKind::Atomic).await;
    let mut receiver = Receiver::start().await;
    let (path, old) = hook(&app, &receiver.url, &json!({})).await;
    let rotated = app.call(Method::POST, &format!("{path}/secret")).send().await;
    let new = rotated.assert_status(200).at("/secret").as_str().unwrap().to_owned();
    assert!(new != old && rotated.at("/old_secret_until").is_string());
    app.create("A", 1).await;
    let delivery = receiver.next().await;
    assert_eq!(delivery.verified(&old), delivery.verified(&new));
    let given = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    for _ in 0..2 {
        let rotated = app.post(&format!("{path}/secret"), &json!({ "secret": given })).await;
        assert_eq!(rotated.assert_status(200).at("/secret"), given);
    }
    app.create("B", 1).await;
    let delivery = receiver.next().await;
    assert_eq!(delivery.verified(&new), delivery.verified(given), "the same once more is a retry");
    assert_eq!(delivery.header("webhook-signature").split(' ').count(), 2);
    app.post(&format!("{path}/secret"), &json!({ "secret": "x" })).await.assert_fields(&["/secret"]);
}

/// What was on its way when the service stopped is sent again, and nothing that was taken is: the place is written down at the end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_goes_on_where_it_was() {
    let app = start(StrategyKind::Atomic).await;
    let mut receiver = Receiver::start().await;
    let (path, secret) = hook(&app, &receiver.url, &json!({})).await;
    for number in 1..=3 {
        app.create(&format!("S{number}"), number).await;
    }
    assert_eq!(seqs(&receiver.take(3).await, &secret), [1, 2, 3]);
    receiver.answer([Reply::Hang]);
    app.create("S4", 4).await;
    let cut_off = receiver.next().await;
    // An attempt that is under way holds up nobody.
    let data = app.end().await;
    let app = TestApp::over(StrategyKind::Atomic, data).with_webhooks(config()).start().await;
    let again = receiver.next().await;
    assert_eq!((again.id(), again.verified(&secret)), (cut_off.id(), cut_off.verified(&secret)));
    app.create("S5", 5).await;
    assert_eq!(seqs(&[receiver.next().await], &secret), [5]);
    assert!(app.get(&path).await.assert_status(200).at("/secret").is_null());
    receiver.assert_quiet();
}

/// P7: killed at any time, a service that is started again leaves nothing out, and tells it in order.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_kill_nothing_is_missing() {
    let allow = ["--webhook-allow", "127.0.0.0/8"];
    let mut receiver = Receiver::start().await;
    let data = Arc::new(tempfile::tempdir().unwrap());
    let mut server = Server::with_arguments(StrategyKind::Atomic, data, &allow);
    let made = server.call(Method::POST, "/v1/webhooks").json(&json!({ "url": receiver.url })).send().await;
    let secret = made.assert_status(201).at("/secret").as_str().unwrap().to_owned();
    let mut seen = Vec::new();
    for round in 0..3 {
        for number in 0..20 {
            server
                .put(&format!("/v1/stock/S{round}-{number}"), &json!({ "on_hand": 1 }))
                .await
                .assert_status(201);
        }
        // Some were told, some were not, and what was told may not have been written down.
        let told = seqs(&receiver.take(7).await, &secret);
        seen.push(told);
        server = Server::with_arguments(StrategyKind::Atomic, server.kill(), &allow);
    }
    let mut told: BTreeSet<u64> = seen.iter().flatten().copied().collect();
    let mut last = 0;
    while told.len() < 60 {
        let seq = seqs(&[receiver.next().await], &secret)[0];
        // A run begins anew at most at each kill, and leaves nothing out.
        assert!(seq <= last + 1 || told.contains(&(seq - 1)), "{seq} after {last}");
        last = seq;
        told.insert(seq);
    }
    assert_eq!(told, (1..=60).collect());
}

/// The place of a webhook is one of a history that a restore took back: it says so, and goes on from where the backup ends.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restored_backup_has_its_webhooks_and_says_what_became_of_their_places() {
    let app = start(StrategyKind::Atomic).await;
    let mut receiver = Receiver::start().await;
    let (path, secret) = hook(&app, &receiver.url, &json!({})).await;
    app.create("A", 1).await;
    receiver.next().await;
    app.post("/v1/backup", &json!({ "name": "b" })).await.assert_status(201);
    app.create("B", 1).await;
    receiver.next().await;
    let data = app.end().await;
    let storage = Storage::Folder { path: data.path().join("backups/b"), keeping: Keeping::default() };
    let app =
        TestApp::over(StrategyKind::Atomic, data).with_storage(storage).with_webhooks(config()).start().await;
    let restored = app.get(&path).await;
    assert!(
        restored.assert_status(200).at("/notice").as_str().unwrap().contains("backup"),
        "{}",
        restored.text()
    );
    app.create("C", 1).await;
    assert_eq!(receiver.next().await.verified(&secret)["data"]["sku"], "C");
    let enabled = app.call(Method::POST, &format!("{path}/enable")).send().await;
    assert!(enabled.assert_status(200).at("/notice").is_null(), "whoever says so has seen it");
}
