//! P5 behind a cache: whatever is told of the state has to be asked for here each time, and says so. What may be kept says for how long.
//!
//! Every answer that any test gets is held against the same rule (`support/app/contract.rs`); these are the answers that others seldom see.

use axum::http::Method;
use inventory::strategy::StrategyKind;
use serde_json::json;

use crate::support::app::TestApp;

/// RFC 9111, section 3: what says `no-store` is stored by no cache, whatever its status; without a word a 200, a 404, a 405 or a 410 may be
/// kept for as long as a cache sees fit (section 4.2.2).
#[tokio::test]
async fn no_answer_of_the_state_may_be_kept() {
    let app = TestApp::stocked(StrategyKind::Atomic, &[("A", 5)]).await;
    let order = app.post("/v1/orders", &json!({"lines": [{"sku": "A", "quantity": 1}]})).await;
    let order = order.assert_status(202).header("location").to_owned();
    for (path, status) in [
        ("/v1/stock/A", 200),
        ("/v1/stock/Z", 404),
        ("/v1/stock", 200),
        ("/v1/stock?limit=x", 422),
        ("/v1/movements", 200),
        ("/v1/export", 200),
        ("/v1/alerts", 200),
        ("/v1/webhooks", 200),
        ("/v1/reservations", 200),
        ("/v1/orders", 200),
        (&order, 200),
        ("/v1/status", 200),
        ("/livez", 200),
        ("/readyz", 200),
        ("/metrics", 200),
        ("/", 302),
        ("/nothing", 404),
        ("/v1/adjustments", 405),
        ("/problems/nothing", 404),
        ("/docs/nothing", 404),
        ("/schemas/nothing.json", 404),
    ] {
        for method in [Method::GET, Method::HEAD] {
            let answer = app.call(method.clone(), path).send().await;
            assert_eq!(answer.assert_status(status).header("cache-control"), "no-store", "{method} {path}");
        }
    }
    let known = app.call(Method::GET, "/v1/stock/A").header("if-none-match", "\"1\"").send().await;
    // The level moved when the order took its unit.
    assert!([200, 304].contains(&known.status));
    let changed = [
        app.post("/v1/stock/A/adjust", &json!({"delta": 1})).await,
        app.put("/v1/stock/B", &json!({"on_hand": 1})).await,
        app.delete("/v1/stock/B").await,
        app.call(Method::OPTIONS, "/v1/stock/A").send().await,
        app.call(Method::POST, "/v1/verify").header("origin", "http://other.example").send().await,
    ];
    for answer in changed.iter().chain([&known]) {
        assert_eq!(answer.header("cache-control"), "no-store", "{}", answer.status);
        assert!(!answer.headers.contains_key("expires") && !answer.headers.contains_key("age"));
    }
}

/// What is the same until another version of the service runs may be kept for a while; what has its version in its name, for good.
#[tokio::test]
async fn the_documentation_may_be_kept_for_a_while() {
    let app = TestApp::start(StrategyKind::Mutex).await;
    for path in [
        "/openapi.yaml",
        "/openapi.json",
        "/docs",
        "/docs/start.js",
        "/problems/contention",
        "/schemas/adjusted.json",
    ] {
        assert_eq!(
            app.get(path).await.assert_status(200).header("cache-control"),
            "public, max-age=300",
            "{path}"
        );
    }
    let viewer = app.get("/docs/swagger-ui-5.35.0.js").await;
    assert_eq!(viewer.header("cache-control"), "public, max-age=31536000, immutable");
}
