//! `GET /v1/stock/{sku}` with `Prefer: wait`: who waits for stock, as a client sees it (P7, P9, P10, P11).

use std::time::Duration;

use axum::http::Method;
use inventory::http::server::Drained;
use inventory::strategy::StrategyKind;
use serde_json::json;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::support::app::answer::Answer;
use crate::support::app::{Call, TestApp, WATCHDOG};
use crate::support::for_each_strategy;

/// Less than it would wait, so that no answer comes merely because its time is over.
const TOLD_WITHIN: Duration = Duration::from_secs(15);

/// A read that waits, not yet sent: for longer than [`TOLD_WITHIN`].
fn waiting(app: &TestApp, path: &str) -> Call {
    app.call(Method::GET, path).header("prefer", "wait=20")
}

/// Sends it, and returns once so many wait.
async fn sent(app: &TestApp, call: Call, count: u64) -> JoinHandle<Answer> {
    let sent = tokio::spawn(call.send());
    wait_for(app, count).await;
    sent
}

/// Returns once so many wait.
async fn wait_for(app: &TestApp, count: u64) {
    let line = format!("inventory_stock_waiters {count}\n");
    let waits = async {
        while !app.get("/metrics").await.text().contains(&line) {
            tokio::task::yield_now().await;
        }
    };
    timeout(WATCHDOG, waits).await.unwrap_or_else(|_| panic!("{count} never wait"));
}

async fn told(sent: JoinHandle<Answer>) -> Answer {
    timeout(TOLD_WITHIN, sent).await.expect("who waits is told").expect("no panic")
}

for_each_strategy! {
    /// A receipt, units that are moved, an import and the end of a hold wake who waits for units, and the answer is the level as it is then.
    async fn units_that_come_wake_who_waits_for_them(kind: StrategyKind) {
        let app = TestApp::stocked(kind, &[("A", 1), ("B", 9)]).await;
        let call = waiting(&app, "/v1/stock/A?min_available=3");
        let sent_now = sent(&app, call, 1).await;
        app.post("/v1/stock/A/adjust", &json!({"delta": 1})).await.assert_level(200, 2, 2);
        app.post("/v1/stock/A/adjust", &json!({"delta": 1})).await.assert_level(200, 3, 3);
        let answer = told(sent_now).await;
        answer.assert_level(200, 3, 3);
        assert_eq!((answer.header("preference-applied"), answer.header("etag")), ("wait=20", "\"3\""));

        let sent_now = sent(&app, waiting(&app, "/v1/stock/B?location=shop&min_available=2"), 1).await;
        let transfer = json!({"lines": [{"sku": "B", "from": "main", "to": "shop", "quantity": 2}]});
        app.post("/v1/transfers", &transfer).await.assert_status(200);
        told(sent_now).await.assert_level(200, 2, 1);

        let sent_now = sent(&app, waiting(&app, "/v1/stock/C?min_available=5"), 1).await;
        let lines = "{\"sku\":\"C\",\"on_hand\":5}\n";
        let import = app.call(Method::POST, "/v1/import").header("content-type", "application/x-ndjson").body(lines);
        import.send().await.assert_status(200);
        told(sent_now).await.assert_level(200, 5, 1);

        let reserved = app.post("/v1/reservations", &json!({"lines": [{"sku": "A", "quantity": 3}], "ttl_seconds": 1})).await;
        reserved.assert_status(201);
        let answer = told(tokio::spawn(waiting(&app, "/v1/stock/A?min_available=1").send())).await;
        assert_eq!((answer.assert_status(200).number("/available"), answer.number("/version")), (3, 5));
        wait_for(&app, 0).await;
    }

    /// Who has a version is told of the next, and of the end of the level; with both, of the next that has enough.
    async fn a_change_wakes_who_has_the_version_before(kind: StrategyKind) {
        let app = TestApp::start(kind).await;
        let newer = |path: &str, tag: &str| waiting(&app, path).header("if-none-match", tag);
        let adjust = async |delta: i64| {
            app.post("/v1/stock/A/adjust", &json!({"delta": delta})).await.assert_status(200);
        };
        // What is not there has version 0.
        let sent_now = sent(&app, newer("/v1/stock/A", "\"0\""), 1).await;
        app.create("A", 1).await;
        told(sent_now).await.assert_level(200, 1, 1);
        let sent_now = sent(&app, newer("/v1/stock/A", "\"1\""), 1).await;
        adjust(1).await;
        let answer = told(sent_now).await;
        answer.assert_level(200, 2, 2);
        assert_eq!(answer.header("preference-applied"), "wait=20");
        let sent_now = sent(&app, newer("/v1/stock/A?min_available=2", "\"2\""), 1).await;
        adjust(-1).await;
        adjust(1).await;
        told(sent_now).await.assert_level(200, 2, 4);
        let stale = waiting(&app, "/v1/stock/A?min_available=9").header("if-match", "\"1\"");
        stale.send().await.assert_problem(412, "version-mismatch");
        let sent_now = sent(&app, waiting(&app, "/v1/stock/A?min_available=9").header("if-match", "\"4\""), 1).await;
        adjust(1).await;
        told(sent_now).await.assert_problem(412, "version-mismatch");
        let gone = sent(&app, newer("/v1/stock/A", "\"5\""), 1).await;
        let any = sent(&app, newer("/v1/stock/A", "*"), 2).await;
        app.remove("/v1/stock/A").await.assert_status(204);
        told(gone).await.assert_problem(404, "stock-not-found");
        told(any).await.assert_problem(404, "stock-not-found");
        wait_for(&app, 0).await;
    }

    /// P10, P11: one more than may is told so, who hangs up is forgotten, and nobody keeps the service from ending.
    async fn who_waits_is_bounded_and_forgotten(kind: StrategyKind) {
        let app = TestApp::with(kind).with_waiters_max(2).with_request_timeout(Duration::from_hours(1));
        let mut app = app.start().await;
        app.create("A", 1).await;
        let mut first = app.connect().await;
        let request = "GET /v1/stock/A?min_available=2 HTTP/1.1\r\nHost: x\r\nPrefer: wait=60\r\n\r\n";
        first.write(request).await;
        let mut second = app.connect().await;
        second.write(request.replace('A', "B")).await;
        wait_for(&app, 2).await;
        let refused = waiting(&app, "/v1/stock/A?min_available=2").send().await;
        assert_eq!(refused.assert_problem(503, "overloaded").at("/applied"), "no");
        assert_eq!(refused.header("retry-after"), "1");
        waiting(&app, "/v1/stock/A?min_available=1").send().await.assert_level(200, 1, 1);
        first.reset();
        wait_for(&app, 1).await;
        let mut third = app.connect().await;
        third.write(request).await;
        wait_for(&app, 2).await;
        app.begin_shutdown();
        third.answer().await.assert_level(200, 1, 1);
        second.answer().await.assert_problem(404, "stock-not-found");
        assert_eq!(app.drained().await, Drained::Clean);
    }
}

#[tokio::test]
async fn what_is_not_waited_for_is_answered_at_once() {
    let app = TestApp::stocked(StrategyKind::Atomic, &[("A", 1)]).await;
    let plain = app.get("/v1/stock/A?min_available=1099511627775").await;
    plain.assert_level(200, 1, 1);
    assert!(plain.headers.get("preference-applied").is_none());
    let nothing = waiting(&app, "/v1/stock/A").send().await;
    assert!(
        nothing.assert_status(200).headers.get("preference-applied").is_none(),
        "there is nothing to wait for"
    );
    let no_time = |path: &str| app.call(Method::GET, path).header("prefer", "wait=0");
    let short = no_time("/v1/stock/A?min_available=2").send().await;
    short.assert_level(200, 1, 1);
    assert_eq!(short.header("preference-applied"), "wait=0");
    let same = no_time("/v1/stock/A").header("if-none-match", "\"1\"").send().await;
    assert_eq!(same.assert_status(304).header("preference-applied"), "wait=0");
    no_time("/v1/stock/B?min_available=2").send().await.assert_problem(404, "stock-not-found");
    let late = app.call(Method::GET, "/v1/stock/A?min_available=2").header("prefer", "wait=1").send().await;
    late.assert_level(200, 1, 1);
    assert_eq!(late.header("preference-applied"), "wait=1");
}

#[tokio::test]
async fn a_number_of_units_is_digits_and_more_than_none() {
    let app = TestApp::stocked(StrategyKind::Mutex, &[("A", 1)]).await;
    for wrong in
        ["", "0", "01", "-1", "%2B1", "+1", "1.0", "1e3", "x", "1099511627776", "99999999999999999999999"]
    {
        let path = format!("/v1/stock/A?min_available={wrong}");
        app.get(&path).await.assert_parameter("min_available");
        waiting(&app, &path).send().await.assert_parameter("min_available");
    }
    app.get("/v1/stock/A?min_available=1&min_available=2").await.assert_parameter("min_available");
    app.put("/v1/stock/A?min_available=1", &json!({"on_hand": 1})).await.assert_parameter("min_available");
}
