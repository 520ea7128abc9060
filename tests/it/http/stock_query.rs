//! `POST /v1/stock/query`, and `QUERY /v1/stock`: levels by name, as of one instant (P4).

use std::sync::Arc;

use axum::http::Method;
use inventory::strategy::StrategyKind;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::support::app::TestApp;
use crate::support::for_each_strategy;

fn query() -> Method {
    Method::from_bytes(b"QUERY").expect("a method")
}

for_each_strategy! {
    /// Each level as it is, in the order asked for; those that are not there, with their versions; and what all have together.
    async fn levels_and_what_they_have_together(kind: StrategyKind) {
        let app = TestApp::stocked(kind, &[("B", 7), ("A", 5), ("A?location=shop", 2), ("gone", 0)]).await;
        app.remove("/v1/stock/gone").await.assert_status(204);
        let held = json!({"lines": [{"sku": "B", "quantity": 3}]});
        app.post("/v1/reservations", &held).await.assert_status(201);
        let keys = json!([
            {"sku": "B"}, {"sku": "gone"}, {"sku": "A", "location": "shop"}, {"sku": "never"}, {"sku": "A", "location": "main"},
        ]);
        for consistent in [true, false] {
            let answer = app.post("/v1/stock/query", &json!({"keys": keys, "consistent": consistent})).await;
            let level = |sku: &str, location: &str, on_hand: u64, reserved: u64, version: u64| {
                json!({"sku": sku, "location": location, "on_hand": on_hand, "reserved": reserved,
                       "available": on_hand - reserved, "version": version})
            };
            let expected = json!({
                "items": [level("B", "main", 7, 3, 2), level("A", "shop", 2, 0, 1), level("A", "main", 5, 0, 1)],
                "missing": [
                    {"sku": "gone", "location": "main", "version": 2}, {"sku": "never", "location": "main", "version": 0},
                ],
                "totals": {"levels": 3, "on_hand": 14, "reserved": 3, "available": 11},
                "consistent": consistent, "event_cursor": answer.at("/event_cursor"),
            });
            assert_eq!(answer.assert_status(200).json(), expected);
            let body = json!({"keys": keys, "consistent": consistent});
            let queried = app.call(query(), "/v1/stock").json(&body).send().await;
            assert_eq!((queried.status, queried.json(), queried.header("accept-query")), (200, expected, "application/json"));
        }
        let one = app.post("/v1/stock/query", &json!({"keys": [{"sku": "A"}]})).await;
        assert_eq!((one.at("/consistent"), one.number("/totals/on_hand")), (json!(false), 5), "not unless it is asked for");
    }

    /// P4: while units are moved between levels, every sum is what there is, and every answer comes.
    async fn a_sum_is_right_while_units_are_moved(kind: StrategyKind) {
        const LEVELS: usize = 20;
        let app = Arc::new(TestApp::start(kind).await);
        let place = |number: usize| format!("place-{number:02}");
        for number in 0..LEVELS {
            app.create(&format!("A?location={}", place(number)), 10).await;
        }
        let (over, is_over) = watch::channel(false);
        let moving = (0..2_usize).map(|mover| {
            let (app, is_over) = (Arc::clone(&app), is_over.clone());
            tokio::spawn(async move {
                let mut step = 0;
                while !*is_over.borrow() {
                    step += 1;
                    let (from, to) = ((7 * step + mover) % LEVELS, (7 * step + mover + 3) % LEVELS);
                    let line = json!({"sku": "A", "from": place(from), "to": place(to), "quantity": 1 + step % 3});
                    // Refused where too little is there, which is as good.
                    let moved = app.post("/v1/transfers", &json!({"lines": [line]})).await;
                    assert!([200, 409].contains(&moved.status), "{}", moved.text());
                }
                step
            })
        });
        let moving: Vec<_> = moving.collect();
        let keys: Value = (0..LEVELS).map(|number| json!({"sku": "A", "location": place(number)})).collect();
        for _ in 0..100 {
            let answer = app.post("/v1/stock/query", &json!({"keys": keys, "consistent": true})).await;
            assert_eq!(
                answer.assert_status(200).at("/totals"),
                json!({"levels": LEVELS, "on_hand": 200, "reserved": 0, "available": 200})
            );
        }
        over.send_replace(true);
        for mover in moving {
            assert!(mover.await.expect("no panic") > 0);
        }
    }
}

/// What is wrong with a query is said of each key.
#[tokio::test]
async fn a_wrong_query_is_told_key_by_key() {
    let app = TestApp::stocked(StrategyKind::Mutex, &[("A", 5)]).await;
    let asked = async |body: Value| app.post("/v1/stock/query", &body).await;
    asked(json!({})).await.assert_fields(&["/keys"]);
    asked(json!({"keys": []})).await.assert_fields(&["/keys"]);
    asked(json!({"keys": [{"sku": "A"}, {"sku": ""}, {"location": "x"}, {"sku": "A", "location": 5}]}))
        .await
        .assert_fields(&["/keys/1/sku", "/keys/2/sku", "/keys/3/location"]);
    asked(json!({"keys": [{"sku": "A"}, {"sku": "B"}, {"sku": "A", "location": "main"}]}))
        .await
        .assert_fields(&["/keys/2"]);
    asked(json!({"keys": [{"sku": "A"}], "consistent": "yes", "at": 3}))
        .await
        .assert_fields(&["/consistent", "/at"]);
    let keys =
        |count: usize| -> Value { (0..count).map(|number| json!({"sku": number.to_string()})).collect() };
    asked(json!({"keys": keys(10_001)})).await.assert_problem(422, "too-many-lines");
    let most = asked(json!({"keys": keys(10_000), "consistent": true})).await;
    assert_eq!((most.assert_status(200).count("/missing"), most.count("/items")), (10_000, 0));
    let conditional = app.call(Method::POST, "/v1/stock/query").header("If-Match", "\"1\"");
    conditional.json(&json!({"keys": [{"sku": "A"}]})).send().await.assert_problem(400, "invalid-request");
    let text = app.call(query(), "/v1/stock").header("Content-Type", "text/plain").body("A").send().await;
    text.assert_problem(415, "unsupported-media-type");
    app.call(query(), "/v1/stock?limit=5")
        .json(&json!({"keys": [{"sku": "A"}]}))
        .send()
        .await
        .assert_parameter("limit");
    let allowed = app.call(Method::PATCH, "/v1/stock").send().await;
    assert_eq!(
        allowed.assert_problem(405, "method-not-allowed").header("allow"),
        "GET, HEAD, OPTIONS, QUERY"
    );
    app.call(query(), "/v1/stock/A").json(&json!({})).send().await.assert_problem(405, "method-not-allowed");
}

/// A sku may be called as the path of queries is.
#[tokio::test]
async fn a_sku_may_be_called_query() {
    let app = TestApp::stocked(StrategyKind::Mutex, &[("query", 5)]).await;
    app.get("/v1/stock/query").await.assert_level(200, 5, 1);
    app.post("/v1/stock/query/adjust", &json!({"delta": -1})).await.assert_level(200, 4, 2);
    let found = app.post("/v1/stock/query", &json!({"keys": [{"sku": "query"}]})).await;
    assert_eq!(found.number("/items/0/on_hand"), 4);
    app.remove("/v1/stock/query").await.assert_status(204);
    app.get("/v1/stock/query").await.assert_problem(404, "stock-not-found");
    app.call(Method::PATCH, "/v1/stock/query").send().await.assert_problem(405, "method-not-allowed");
}
