//! What of orders is refused, and how it is told: every fault at once, with pointers; nothing is accepted (P8, P10).

use axum::http::Method;
use inventory::strategy::StrategyKind;
use serde_json::{Value, json};

use super::orders::{backordered, fulfilled, order};
use crate::support::app::TestApp;

const NOBODY: &str = "/v1/orders/018bcfe5-6801-7000-8000-000000000000";

#[tokio::test]
async fn what_is_wrong_with_an_order_is_told_and_none_is_placed() {
    let app = TestApp::stocked(StrategyKind::Mutex, &[("A", 5)]).await;
    let wrong = json!({
        "lines": [{"sku": "A", "quantity": 0}, {"sku": "", "quantity": 1}, {"sku": "A", "quantity": 1, "to": "x"}],
        "priority": 10, "backorder": "yes", "reason": "r".repeat(65),
    });
    let refused = app.post("/v1/orders", &wrong).await;
    refused.assert_fields(&[
        "/lines/0/quantity",
        "/lines/1/sku",
        "/lines/2/to",
        "/priority",
        "/backorder",
        "/reason",
    ]);
    assert!(refused.text().contains("must be true or false; it is the string"), "{}", refused.text());
    let max = 1_099_511_627_775_u64;
    let lines = |lines: Value| json!({ "lines": lines });
    for (body, pointers) in [
        (json!({}), vec!["/lines"]),
        (lines(json!([])), vec!["/lines"]),
        (
            lines(json!([{"sku": "A", "quantity": max}, {"sku": "A", "quantity": 1}])),
            vec!["/lines/1/quantity"],
        ),
        (json!({"lines": [{"sku": "A", "quantity": 1}], "backorder": null}), vec!["/backorder"]),
        (json!({"lines": [{"sku": "A", "quantity": 1}], "priority": -1}), vec!["/priority"]),
    ] {
        app.post("/v1/orders", &body).await.assert_fields(&pointers);
    }
    let many: Vec<Value> =
        (0..1_001).map(|index| json!({"sku": format!("s{index}"), "quantity": 1})).collect();
    app.post("/v1/orders", &json!({ "lines": many })).await.assert_problem(422, "too-many-lines");
    app.post_bytes("/v1/orders", "{").await.assert_problem(400, "invalid-request");
    app.post_bytes("/v1/orders", " ".repeat(512 * 1024 + 1)).await.assert_problem(413, "request-too-large");
    app.call(Method::POST, "/v1/orders").body("x").send().await.assert_problem(415, "unsupported-media-type");
    let well = lines(json!([{"sku": "A", "quantity": 1}]));
    app.post("/v1/orders?location=shop", &well).await.assert_parameter("location");
    let conditional = app.call(Method::POST, "/v1/orders").header("if-match", "*").json(&well);
    conditional.send().await.assert_problem(400, "invalid-request");
    assert_eq!(app.get("/v1/orders").await.assert_status(200).count("/items"), 0);
    assert_eq!(app.level("A").await, (5, 1));
    app.put("/v1/orders", &well).await.assert_problem(405, "method-not-allowed");
}

#[tokio::test]
async fn what_is_asked_of_no_order_is_not_found() {
    let app = TestApp::stocked(StrategyKind::Mutex, &[("A", 5)]).await;
    app.get(NOBODY).await.assert_problem(404, "order-not-found");
    let waits = app.call(Method::GET, NOBODY).header("prefer", "wait=25").send().await;
    waits.assert_problem(404, "order-not-found");
    app.delete(NOBODY).await.assert_problem(404, "order-not-found");
    app.post(&format!("{NOBODY}/returns"), &json!({})).await.assert_problem(404, "order-not-found");
    for id in ["x", "018BCFE5-6801-7000-8000-000000000000"] {
        let path = format!("/v1/orders/{id}");
        app.get(&path).await.assert_parameter("id");
        app.delete(&path).await.assert_parameter("id");
        app.post(&format!("{path}/returns"), &json!({})).await.assert_parameter("id");
    }
    app.get("/v1/orders?state=gone").await.assert_parameter("state");
    app.get("/v1/orders?cursor=x").await.assert_parameter("cursor");
    app.get("/v1/orders?limit=0").await.assert_parameter("limit");
    app.get(&format!("{NOBODY}?wait=1")).await.assert_parameter("wait");
}

/// A cancel says what it has to say as parameters, and takes nothing that would not count.
#[tokio::test]
async fn a_cancel_takes_nothing_that_does_not_count() {
    let app = TestApp::stocked(StrategyKind::Mutex, &[("A", 0)]).await;
    let path = backordered(&app, "A", 1).await;
    app.delete(&format!("{path}?reason={}", "r".repeat(65))).await.assert_parameter("reason");
    app.delete(&format!("{path}?reference={}", "r".repeat(129))).await.assert_parameter("reference");
    app.delete(&format!("{path}?force=true")).await.assert_parameter("force");
    for (name, value) in [("idempotency-key", "k"), ("if-match", "*"), ("if-none-match", "*")] {
        let cancel = app.call(Method::DELETE, &path).header(name, value).send().await;
        cancel.assert_problem(400, "invalid-request");
    }
    let with_body = app.call(Method::DELETE, &path).json(&json!({"reason": "x"})).send().await;
    with_body.assert_problem(400, "invalid-request");
    assert_eq!(app.get(&path).await.at("/state"), "backordered");
    let early = app.post(&format!("{path}/returns"), &json!({})).await;
    let detail = early.assert_problem(409, "order-not-fulfilled").at("/detail");
    assert!(detail.as_str().is_some_and(|detail| detail.contains("backordered")), "{detail}");
}

#[tokio::test]
async fn what_is_wrong_with_a_return_is_told_and_nothing_comes_back() {
    let app = TestApp::stocked(StrategyKind::Mutex, &[("A", 5), ("B", 5)]).await;
    let max = 1_099_511_627_775_u64;
    app.create("A?location=full", max).await;
    let path = fulfilled(&app, &json!([{"sku": "A", "quantity": 2}])).await;
    let returns = format!("{path}/returns");
    let a_line = json!({"sku": "A", "quantity": 1});
    for (lines, pointers) in [
        (json!([]), vec!["/lines"]),
        (
            json!([{"sku": "", "quantity": 1}, {"sku": "A", "quantity": 0, "to": "", "location": ""}]),
            vec!["/lines/0/sku", "/lines/1/location", "/lines/1/quantity", "/lines/1/to"],
        ),
        (json!([a_line, {"sku": "B", "quantity": 1}]), vec!["/lines/1/sku"]),
        (json!([a_line, {"sku": "A", "location": "shop", "quantity": 1}]), vec!["/lines/1/sku"]),
        (json!([{"sku": "A", "quantity": max}, a_line]), vec!["/lines/1/quantity"]),
    ] {
        app.post(&returns, &json!({ "lines": lines })).await.assert_fields(&pointers);
    }
    let many = vec![a_line.clone(); 1_001];
    app.post(&returns, &json!({ "lines": many })).await.assert_problem(422, "too-many-lines");
    app.post_bytes(&returns, "{").await.assert_problem(400, "invalid-request");
    app.call(Method::POST, &returns).body("x").send().await.assert_problem(415, "unsupported-media-type");
    let line = json!({"sku": "A", "quantity": 1, "to": "full"});
    let overflow = app.post(&returns, &json!({"lines": [a_line, line]})).await;
    assert_eq!(overflow.assert_problem(422, "quantity-overflow").at("/lines/0/pointer"), "/lines/1");
    assert_eq!(overflow.at("/lines/0/location"), "full");
    assert!(app.get(&path).await.at("/returned").is_null());
    assert_eq!(app.level("A").await, (3, 2));
    let rejected = order(&app, &json!({"lines": [{"sku": "A", "quantity": 4}]})).await;
    let id = rejected.at("/id");
    let returns = format!("/v1/orders/{}/returns", id.as_str().expect("a name"));
    let nothing = app.post(&returns, &json!({})).await;
    let detail = nothing.assert_problem(409, "order-not-fulfilled").at("/detail");
    assert!(detail.as_str().is_some_and(|detail| detail.contains("rejected")), "{detail}");
}
