//! What a client believes to count is never ignored: preconditions, parameters and keys are honoured or refused (P1).

use axum::http::Method;
use inventory::strategy::StrategyKind;
use serde_json::{Value, json};

use crate::support::app::TestApp;

const BATCHES: [&str; 2] = ["/v1/adjustments", "/v1/transfers"];

fn batch(path: &str) -> Value {
    match path {
        "/v1/adjustments" => json!({ "lines": [{ "sku": "A", "delta": 1 }] }),
        _ => json!({ "lines": [{ "sku": "A", "from": "main", "to": "shop", "quantity": 1 }] }),
    }
}

/// A batch has no one version to be conditional on: it says so instead of changing stock unconditionally.
#[tokio::test]
async fn batches_refuse_conditions_and_parameters() {
    let app = TestApp::stocked(StrategyKind::Atomic, &[("A", 5)]).await;
    for path in BATCHES {
        for header in ["if-match", "if-none-match"] {
            let call = app.call(Method::POST, path).header(header, "\"1\"").json(&batch(path));
            call.send().await.assert_problem(400, "invalid-request");
        }
        let elsewhere = app.post(&format!("{path}?location=annex"), &batch(path)).await;
        elsewhere.assert_parameter("location");
    }
    assert_eq!(app.level("A").await, (5, 1), "nothing was changed");
}

/// Several fields are one list: a star beside a tag is no star.
#[tokio::test]
async fn a_star_beside_a_tag_overwrites_nothing() {
    let app = TestApp::stocked(StrategyKind::Atomic, &[("A", 5)]).await;
    for second in ["*", "\"2\""] {
        let call =
            app.call(Method::PUT, "/v1/stock/A").header("if-match", "\"77\"").header("if-match", second);
        call.json(&json!({ "on_hand": 9 })).send().await.assert_problem(400, "invalid-request");
    }
    assert_eq!(app.level("A").await, (5, 1), "nothing was changed");
}

/// A read may demand a version, too.
#[tokio::test]
async fn a_read_honours_if_match() {
    let app = TestApp::stocked(StrategyKind::Atomic, &[("A", 5)]).await;
    let read = async |path: &str, tag: &str| app.call(Method::GET, path).header("if-match", tag).send().await;
    read("/v1/stock/A", "\"1\"").await.assert_level(200, 5, 1);
    read("/v1/stock/A", "*").await.assert_level(200, 5, 1);
    read("/v1/stock/A", "\"2\"").await.assert_problem(412, "version-mismatch");
    read("/v1/stock/B", "*").await.assert_problem(412, "version-mismatch");
    let foreign = read("/v1/stock/A", "\"abc\"").await;
    assert!(foreign.assert_problem(412, "version-mismatch").text().contains("never one of its own"));
}

/// A key is refused where preconditions are what makes a repetition safe, before anything happens.
#[tokio::test]
async fn a_key_is_refused_by_put_and_delete() {
    let app = TestApp::stocked(StrategyKind::Atomic, &[("A", 5)]).await;
    let requests =
        [(Method::PUT, "/v1/stock/B", json!({ "on_hand": 1 })), (Method::DELETE, "/v1/stock/A", json!({}))];
    for (method, path, body) in requests {
        let call = app.call(method, path).header("idempotency-key", "k1").json(&body);
        call.send().await.assert_problem(400, "invalid-request");
    }
    assert_eq!(app.level("A").await, (5, 1), "nothing was changed");
    app.get("/v1/stock/B").await.assert_problem(404, "stock-not-found");
}

/// P10: an error tells what was wrong; it does not send the client its megabytes back.
#[tokio::test]
async fn an_error_repeats_little_of_the_request() {
    let app = TestApp::start(StrategyKind::Atomic).await;
    let long = "k".repeat(1_000_000);
    let unknown = app.post_bytes("/v1/adjustments", format!("{{\"{long}\":1}}")).await;
    assert!(unknown.assert_problem(422, "validation-failed").text().len() < 4_000);
    let text = app.post_bytes("/v1/adjustments", format!("{{\"lines\":\"{long}\"}}")).await;
    assert!(text.assert_problem(422, "validation-failed").text().len() < 4_000);
}
