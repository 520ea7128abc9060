//! `/v1/orders`: units that are ordered, waited for, cancelled, given back and read, as a client sees it (P4, P8, P12).

use axum::http::Method;
use inventory::strategy::StrategyKind;
use serde_json::{Value, json};

use crate::support::app::answer::Answer;
use crate::support::app::{TestApp, WATCHDOG};
use crate::support::for_each_strategy;

/// Places an order, and waits for what becomes of it.
pub(super) async fn order(app: &TestApp, body: &Value) -> Answer {
    app.call(Method::POST, "/v1/orders").header("prefer", "wait=25").json(body).send().await
}

/// Places one that is fulfilled: its path.
pub(super) async fn fulfilled(app: &TestApp, lines: &Value) -> String {
    let answer = order(app, &json!({ "lines": lines })).await;
    assert_eq!(answer.assert_status(200).at("/state"), "fulfilled", "{}", answer.text());
    place(&answer)
}

/// Places one that waits for stock: its path, once it does.
pub(super) async fn backordered(app: &TestApp, sku: &str, quantity: u64) -> String {
    let body = json!({ "lines": [{"sku": sku, "quantity": quantity}], "backorder": true });
    let path = place(app.post("/v1/orders", &body).await.assert_status(202));
    waits_for_units(app, &path).await;
    path
}

/// Completes once an order waits for stock.
pub(super) async fn waits_for_units(app: &TestApp, path: &str) {
    let waits = async {
        while app.get(path).await.at("/state") != "backordered" {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(WATCHDOG, waits).await.expect("it waits for stock");
}

/// The path of an order that was placed, as its answer tells it.
pub(super) fn place(answer: &Answer) -> String {
    let id = answer.at("/id");
    let place = format!("/v1/orders/{}", id.as_str().expect("a name"));
    assert_eq!(answer.header("location"), place);
    place
}

/// An order once it is over.
pub(super) async fn over(app: &TestApp, path: &str) -> Answer {
    app.call(Method::GET, path).header("prefer", "wait=25").send().await
}

async fn once(app: &TestApp, path: &str, key: &str, body: &Value) -> Answer {
    app.call(Method::POST, path).header("idempotency-key", key).json(body).send().await
}

/// Goods come in.
pub(super) async fn receive(app: &TestApp, sku: &str, units: u64) {
    app.post(&format!("/v1/stock/{sku}/adjust"), &json!({ "delta": units })).await.assert_status(200);
}

/// The newest movement of a level.
async fn newest(app: &TestApp, sku_and_query: &str) -> Value {
    let page = app.get(&format!("/v1/movements?sku={sku_and_query}&limit=1")).await;
    page.assert_status(200).at("/items/0")
}

for_each_strategy! {
    /// P4: an order takes all lines or none, and says what became of it; what is over cannot be cancelled.
    async fn an_order_takes_all_of_its_units_or_none(kind: StrategyKind) {
        let app = TestApp::stocked(kind, &[("A", 10), ("B", 5)]).await;
        let lines = json!([{"sku": "B", "quantity": 2}, {"sku": "A", "quantity": 3}, {"sku": "A", "quantity": 1}]);
        let body = json!({"lines": lines, "priority": 3, "reason": "sold", "reference": "web 1"});
        let placed = order(&app, &body).await;
        let path = place(placed.assert_status(200));
        assert_eq!(placed.header("preference-applied"), "wait=25");
        let combined = json!([
            {"sku": "A", "location": "main", "quantity": 4}, {"sku": "B", "location": "main", "quantity": 2}
        ]);
        assert_eq!((placed.at("/state"), placed.at("/lines")), ("fulfilled".into(), combined));
        assert_eq!((placed.at("/priority"), placed.at("/backorder")), (3.into(), false.into()));
        assert!(placed.at("/created_at").is_string() && placed.at("/fulfilled_at").is_string());
        for absent in ["/backordered_at", "/rejected_at", "/cancelled_at", "/returned", "/problem"] {
            assert!(placed.at(absent).is_null(), "{absent}");
        }
        assert_eq!((app.level("A").await, app.level("B").await), ((6, 2), (3, 2)));
        assert_eq!(app.get(&path).await.assert_status(200).json(), placed.json());
        let movement = newest(&app, "A").await;
        assert_eq!((&movement["kind"], &movement["delta"]), (&"fulfilled".into(), &(-4).into()));
        assert_eq!((&movement["order"], &movement["reference"]), (&placed.at("/id"), &"web 1".into()));
        app.delete(&path).await.assert_problem(409, "order-fulfilled");

        let lines = json!([{"sku": "B", "quantity": 1}, {"sku": "A", "quantity": 7}]);
        let rejected = order(&app, &json!({ "lines": lines })).await;
        assert_eq!(rejected.assert_status(200).at("/state"), "rejected");
        assert!(rejected.at("/rejected_at").is_string() && rejected.at("/fulfilled_at").is_null());
        assert_eq!(rejected.at("/problem/type"), "/problems/insufficient-stock");
        let short = json!({
            "pointer": "/lines/0", "sku": "A", "location": "main", "requested": 7, "available": 6, "version": 2
        });
        assert_eq!(rejected.at("/problem/lines"), json!([short]));
        app.delete(&place(&rejected)).await.assert_problem(409, "order-rejected");
        let missing = order(&app, &json!({"lines": [{"sku": "nope", "quantity": 1}]})).await;
        assert_eq!(missing.assert_status(200).at("/problem/type"), "/problems/stock-not-found");
        assert_eq!((app.level("A").await, app.level("B").await), ((6, 2), (3, 2)));
    }

    /// An order that waits gets what comes in before anybody who comes later, and whoever waits for it is told.
    async fn a_receipt_fulfils_what_waits_for_it(kind: StrategyKind) {
        let app = TestApp::stocked(kind, &[("A", 1)]).await;
        let path = backordered(&app, "A", 3).await;
        let waits = app.get(&path).await;
        assert!(waits.at("/backordered_at").is_string() && waits.at("/fulfilled_at").is_null());
        let later = order(&app, &json!({"lines": [{"sku": "A", "quantity": 1}]})).await;
        assert_eq!(later.assert_status(200).at("/problem/type"), "/problems/stock-promised");
        let promised = json!({"pointer": "/lines/0", "sku": "A", "location": "main", "requested": 1});
        assert_eq!(later.at("/problem/lines"), json!([promised]));
        let (told, ()) = tokio::join!(over(&app, &path), receive(&app, "A", 4));
        assert_eq!(told.assert_status(200).at("/state"), "fulfilled");
        assert_eq!(told.at("/backordered_at"), waits.at("/backordered_at"));
        assert_eq!(app.level("A").await.0, 2);
    }

    /// What waits can be cancelled, once or again: it takes nothing any more, and stands in nobody's way.
    async fn what_waits_can_be_cancelled(kind: StrategyKind) {
        let app = TestApp::stocked(kind, &[("A", 1)]).await;
        let path = backordered(&app, "A", 3).await;
        app.delete(&format!("{path}?reason=too+late&reference=web+2")).await.assert_status(204);
        app.delete(&path).await.assert_status(204);
        let cancelled = over(&app, &path).await;
        assert_eq!(cancelled.assert_status(200).at("/state"), "cancelled");
        assert!(cancelled.at("/cancelled_at").is_string() && cancelled.at("/backordered_at").is_string());
        fulfilled(&app, &json!([{"sku": "A", "quantity": 1}])).await;
        receive(&app, "A", 5).await;
        assert_eq!(app.get(&path).await.json(), cancelled.json());
        assert_eq!(app.level("A").await.0, 5);
        app.post(&format!("{path}/returns"), &json!({})).await.assert_problem(409, "order-not-fulfilled");
    }

    /// P12: each unit comes back once, to where it was or to where the line says; then no more.
    async fn what_was_taken_comes_back_once(kind: StrategyKind) {
        let app = TestApp::stocked(kind, &[("A", 10), ("B", 2)]).await;
        let path = fulfilled(&app, &json!([{"sku": "A", "quantity": 4}, {"sku": "B", "quantity": 2}])).await;
        let returns = format!("{path}/returns");
        let give = async |lines: Value| {
            app.post(&returns, &json!({"lines": lines, "reason": "too small"})).await
        };
        let back = |sku: &str, quantity: u64| json!({"sku": sku, "location": "main", "quantity": quantity});
        let first = give(json!([{"sku": "A", "quantity": 1}])).await;
        assert_eq!(first.assert_status(200).at("/returned"), json!([back("A", 1)]));
        assert_eq!(first.at("/state"), "fulfilled");
        let movement = newest(&app, "A").await;
        assert_eq!((&movement["kind"], &movement["delta"]), (&"returned".into(), &1.into()));
        assert_eq!((&movement["order"], &movement["reason"]), (&first.at("/id"), &"too small".into()));
        let second = give(json!([{"sku": "A", "quantity": 1, "to": "shop"}, {"sku": "A", "quantity": 1, "to": "shop"}]));
        assert_eq!(second.await.assert_status(200).at("/returned"), json!([back("A", 3)]));
        assert_eq!((app.level("A").await.0, app.level("A?location=shop").await), (7, (2, 1)));

        let too_many = give(json!([{"sku": "B", "quantity": 1}, {"sku": "A", "quantity": 1}, {"sku": "A", "quantity": 1}]));
        let too_many = too_many.await;
        let line = json!({"pointer": "/lines/1", "sku": "A", "location": "main", "requested": 2, "left": 1});
        assert_eq!(too_many.assert_problem(409, "returned-already").at("/lines"), json!([line]));
        assert_eq!(app.get(&path).await.at("/returned"), json!([back("A", 3)]), "nothing was changed");

        let all = app.call(Method::POST, &returns).send().await;
        assert_eq!(all.assert_status(200).at("/returned"), json!([back("A", 4), back("B", 2)]));
        assert_eq!((app.level("A").await.0, app.level("B").await.0), (8, 2));
        let again = app.post(&returns, &json!({})).await;
        let line = json!({"pointer": "", "sku": "A", "location": "main", "left": 0});
        assert_eq!(again.assert_problem(409, "returned-already").at("/lines"), json!([line]));
        assert_eq!(app.get(&path).await.json(), all.json());
    }

    /// P8: under a key an order is placed once, and gives back once.
    async fn a_key_places_one_order(kind: StrategyKind) {
        let app = TestApp::stocked(kind, &[("A", 10)]).await;
        let body = json!({"lines": [{"sku": "A", "quantity": 3}]});
        let first = once(&app, "/v1/orders", "k", &body).await;
        let path = place(first.assert_status(202));
        assert_eq!(first.at("/state"), "queued");
        let again = once(&app, "/v1/orders", "k", &body).await;
        assert_eq!((again.json(), again.header("idempotent-replayed")), (first.json(), "true"));
        assert_eq!((again.status, place(&again)), (202, path.clone()));
        // Of one that waits, what became of it since.
        let call = app.call(Method::POST, "/v1/orders").header("idempotency-key", "k").header("prefer", "wait=25");
        let waited = call.json(&body).send().await;
        assert_eq!((waited.assert_status(200).header("idempotent-replayed"), place(&waited)), ("true", path.clone()));
        assert_eq!(waited.at("/state"), "fulfilled");
        assert_eq!(app.level("A").await, (7, 2));
        let returns = format!("{path}/returns");
        let one = json!({"lines": [{"sku": "A", "quantity": 1}]});
        let returned = once(&app, &returns, "r", &one).await;
        let again = once(&app, &returns, "r", &one).await;
        assert_eq!((again.json(), again.header("idempotent-replayed")), (returned.assert_status(200).json(), "true"));
        assert_eq!(app.level("A").await, (8, 3));
        once(&app, &returns, "k", &one).await.assert_problem(422, "idempotency-key-reused");
        let too_many = json!({"lines": [{"sku": "A", "quantity": 3}]});
        // A refusal of that kind is judged again.
        once(&app, &returns, "x", &too_many).await.assert_problem(409, "returned-already");
        once(&app, &returns, "x", &too_many).await.assert_problem(409, "returned-already");
        assert_eq!(app.level("A").await, (8, 3));
    }
}

#[tokio::test]
async fn orders_are_listed_in_pages_by_state() {
    let app = TestApp::stocked(StrategyKind::Atomic, &[("A", 100), ("B", 0)]).await;
    let mut paths = Vec::new();
    for _ in 0..5 {
        paths.push(fulfilled(&app, &json!([{"sku": "A", "quantity": 1}])).await);
    }
    for _ in 0..3 {
        paths.push(backordered(&app, "B", 1).await);
    }
    app.delete(&paths[6]).await.assert_status(204);
    let states = [
        ("", 8),
        ("&state=fulfilled", 5),
        ("&state=backordered", 2),
        ("&state=cancelled", 1),
        ("&state=rejected", 0),
        ("&state=queued", 0),
    ];
    for (query, expected) in states {
        let (mut seen, mut next) = (Vec::new(), format!("/v1/orders?limit=2{query}"));
        loop {
            let page = app.get(&next).await;
            for item in page.assert_status(200).at("/items").as_array().expect("a list") {
                let state = item["state"].as_str().expect("a state");
                assert!(query.is_empty() || query.ends_with(state), "{query}: {item}");
                seen.push(item["id"].as_str().expect("a name").to_owned());
            }
            let link = page.header("link").to_owned();
            match link.strip_prefix('<').and_then(|link| link.split_once('>')) {
                Some((path, _)) => next = path.to_owned(),
                None => break,
            }
        }
        assert_eq!(seen.len(), expected, "{query}");
        assert!(seen.is_sorted(), "in the order in which they were placed");
    }
}

/// A wait is said to be applied, is over when there is nothing to wait for or its time has come, and is shorter than a request may take.
#[tokio::test]
async fn a_client_waits_as_long_as_it_prefers() {
    let app = TestApp::with(StrategyKind::Mutex).with_request_timeout(std::time::Duration::from_secs(20));
    let app = app.start().await;
    app.create("A", 100).await;
    let placed = async |prefer: &str| {
        let call = app.call(Method::POST, "/v1/orders").header("prefer", prefer);
        call.json(&json!({"lines": [{"sku": "A", "quantity": 1}]})).send().await
    };
    for (prefer, applied) in [
        ("wait=17", "wait=17"),
        ("respond-async, WAIT=\"60\"; x", "wait=18"),
        ("wait=99999999999999999999", "wait=18"),
    ] {
        let answer = placed(prefer).await;
        assert_eq!(answer.assert_status(200).header("preference-applied"), applied, "{prefer}");
        assert_eq!(answer.at("/state"), "fulfilled");
    }
    for prefer in ["wait", "wait=soon", "wait=-1", "respond-async"] {
        let answer = placed(prefer).await;
        assert_eq!(answer.assert_status(202).header("preference-applied"), "", "{prefer}");
        assert_eq!(answer.at("/state"), "queued");
    }
    // Its time comes before the stock does.
    let body = json!({"lines": [{"sku": "A", "quantity": 1_000}], "backorder": true});
    let call = app.call(Method::POST, "/v1/orders").header("prefer", "wait=1");
    let waits = call.json(&body).send().await;
    assert_eq!(waits.assert_status(202).header("preference-applied"), "wait=1");
    assert_eq!(waits.at("/state"), "backordered");
    let read = app.call(Method::GET, &place(&waits)).header("prefer", "wait=0").send().await;
    assert_eq!(read.assert_status(200).header("preference-applied"), "wait=0");
    assert_eq!(read.at("/state"), "backordered");
}
