//! `/v1/reservations`: units held, committed, let go and read, as a client sees it (P4, P8, P9).

use axum::http::Method;
use inventory::strategy::StrategyKind;
use serde_json::{Value, json};

use crate::support::app::TestApp;
use crate::support::app::answer::Answer;
use crate::support::for_each_strategy;

async fn reserve(app: &TestApp, lines: &[(&str, u64)], ttl_seconds: u64) -> Answer {
    let line = |(sku, quantity): &(&str, u64)| json!({"sku": sku, "quantity": quantity});
    let lines: Value = lines.iter().map(line).collect();
    app.post("/v1/reservations", &json!({ "lines": lines, "ttl_seconds": ttl_seconds })).await
}

/// The path of a reservation that was made.
fn place(answer: &Answer) -> String {
    let id = answer.assert_status(201).at("/id");
    let place = format!("/v1/reservations/{}", id.as_str().expect("a name"));
    assert_eq!(answer.header("location"), place);
    place
}

/// On hand, reserved and available of a level.
async fn units(app: &TestApp, sku: &str) -> [u64; 3] {
    let level = app.get(&format!("/v1/stock/{sku}")).await;
    level.assert_status(200);
    ["/on_hand", "/reserved", "/available"].map(|field| level.number(field))
}

for_each_strategy! {
    /// P4: all lines or none; the units stay, and are nobody else's; commit takes them, release gives them back.
    async fn units_are_held_and_given_back_or_taken(kind: StrategyKind) {
        let app = TestApp::stocked(kind, &[("A", 10), ("B", 2)]).await;
        let made = reserve(&app, &[("B", 2), ("A", 3), ("A", 1)], 900).await;
        let path = place(&made);
        let lines = json!([
            {"sku": "A", "location": "main", "quantity": 4}, {"sku": "B", "location": "main", "quantity": 2}
        ]);
        assert_eq!((made.at("/state"), made.at("/lines")), ("pending".into(), lines.clone()));
        assert_eq!((units(&app, "A").await, units(&app, "B").await), ([10, 4, 6], [2, 2, 0]));
        let short = reserve(&app, &[("A", 6), ("B", 1)], 900).await;
        short.assert_problem(409, "insufficient-stock");
        assert_eq!((short.at("/lines/0/sku"), short.at("/lines/0/available")), ("B".into(), 0.into()));
        assert_eq!(units(&app, "A").await, [10, 4, 6]);
        app.put("/v1/stock/A", &json!({"on_hand": 3})).await.assert_problem(428, "precondition-required");
        let counted = app.call(Method::PUT, "/v1/stock/A").header("if-match", "*").json(&json!({"on_hand": 3}));
        counted.send().await.assert_problem(409, "below-reserved");
        app.remove("/v1/stock/A").await.assert_problem(409, "stock-reserved");
        let read = app.get(&path).await;
        assert_eq!(read.assert_status(200).json(), made.json());

        // Some of it is taken, the rest is let go.
        let commit = format!("{path}/commit");
        let part = json!({"lines": [{"sku": "A", "quantity": 3}], "reason": "sold", "reference": "order 1"});
        let committed = app.post(&commit, &part).await;
        assert_eq!(committed.assert_status(200).at("/state"), "committed");
        assert_eq!(committed.at("/committed"), json!([{"sku": "A", "location": "main", "quantity": 3}]));
        assert_eq!(committed.at("/lines"), lines);
        assert_eq!((units(&app, "A").await, units(&app, "B").await), ([7, 0, 7], [2, 0, 2]));
        assert_eq!(app.post(&commit, &part).await.assert_status(200).json(), committed.json());
        app.post(&commit, &json!({})).await.assert_problem(409, "reservation-committed");
        app.call(Method::POST, &format!("{path}/release")).send().await.assert_problem(409, "reservation-committed");
        let history = app.get("/v1/movements?sku=A&limit=1").await;
        let movement = history.assert_status(200).at("/items/0");
        assert_eq!((&movement["kind"], &movement["delta"]), (&"shipped".into(), &(-3).into()));
        assert_eq!((&movement["reason"], &movement["reservation"]), (&"sold".into(), &made.at("/id")));

        let other = place(&reserve(&app, &[("A", 7)], 900).await);
        let released = app.call(Method::POST, &format!("{other}/release")).send().await;
        assert_eq!(released.assert_status(200).at("/state"), "released");
        assert!(released.at("/committed").is_null());
        app.post(&format!("{other}/release"), &json!({})).await.assert_status(200);
        app.post(&format!("{other}/commit"), &json!({})).await.assert_problem(409, "reservation-released");
        assert_eq!(units(&app, "A").await, [7, 0, 7]);
    }

    /// P9: over a real second: held before the deadline, free at the first look after it, and nothing else can become of it.
    async fn a_reservation_expires(kind: StrategyKind) {
        let app = TestApp::stocked(kind, &[("A", 3)]).await;
        let made = reserve(&app, &[("A", 3)], 1).await;
        let path = place(&made);
        reserve(&app, &[("A", 1)], 1).await.assert_problem(409, "insufficient-stock");
        let deadline = made.at("/expires_at");
        loop {
            let [_, reserved, _] = units(&app, "A").await;
            let read = app.get(&path).await;
            if reserved == 0 {
                assert_eq!(read.at("/state"), "expired");
                break;
            }
            assert_eq!(read.at("/expires_at"), deadline);
        }
        for way in ["commit", "release", "extend"] {
            let late = app.post(&format!("{path}/{way}"), &json!({})).await;
            late.assert_problem(409, "reservation-expired");
        }
        place(&reserve(&app, &[("A", 3)], 900).await);
        let history = app.get("/v1/movements?sku=A").await;
        assert!(history.at("/items").as_array().expect("a list").iter().any(|movement| movement["kind"] == "expired"));
    }

    /// P8: under a key a reservation is made once, and extended once.
    async fn a_key_makes_one_reservation(kind: StrategyKind) {
        let app = TestApp::stocked(kind, &[("A", 10)]).await;
        let once = |path: &str, key: &str, body: &Value| {
            app.call(Method::POST, path).header("idempotency-key", key).json(body).send()
        };
        let body = json!({"lines": [{"sku": "A", "quantity": 3}]});
        let first = once("/v1/reservations", "k", &body).await;
        let path = place(&first);
        let again = once("/v1/reservations", "k", &body).await;
        assert_eq!((again.json(), again.header("idempotent-replayed")), (first.json(), "true"));
        assert_eq!(again.header("location"), path);
        assert_eq!(units(&app, "A").await, [10, 3, 7]);
        let longer = json!({"ttl_seconds": 3600});
        let extended = once(&format!("{path}/extend"), "x", &longer).await;
        assert_ne!(extended.assert_status(200).at("/expires_at"), first.at("/expires_at"));
        let again = once(&format!("{path}/extend"), "x", &longer).await;
        assert_eq!((again.json(), again.header("idempotent-replayed")), (extended.json(), "true"));
        let committed = once(&format!("{path}/commit"), "c", &json!({})).await;
        let again = once(&format!("{path}/commit"), "c", &json!({})).await;
        assert_eq!((again.json(), again.header("idempotent-replayed")), (committed.json(), "true"));
        once(&format!("{path}/release"), "c", &json!({})).await.assert_problem(422, "idempotency-key-reused");
        assert_eq!(units(&app, "A").await, [7, 0, 7]);
    }
}

#[tokio::test]
async fn reservations_are_listed_in_pages_by_state() {
    let app = TestApp::stocked(StrategyKind::Atomic, &[("A", 100)]).await;
    let mut paths = Vec::new();
    for _ in 0..7 {
        paths.push(place(&reserve(&app, &[("A", 1)], 900).await));
    }
    for path in &paths[..3] {
        app.post(&format!("{path}/commit"), &json!({})).await.assert_status(200);
    }
    for (query, expected) in [("", 7), ("&state=pending", 4), ("&state=committed", 3), ("&state=expired", 0)]
    {
        let (mut seen, mut next) = (Vec::new(), format!("/v1/reservations?limit=2{query}"));
        loop {
            let page = app.get(&next).await;
            for item in page.assert_status(200).at("/items").as_array().expect("a list") {
                seen.push(item["id"].as_str().expect("a name").to_owned());
            }
            let link = page.header("link").to_owned();
            match link.strip_prefix('<').and_then(|link| link.split_once('>')) {
                Some((path, _)) => next = path.to_owned(),
                None => break,
            }
        }
        assert_eq!(seen.len(), expected, "{query}");
        assert!(seen.is_sorted(), "in the order of making");
    }
    app.get("/v1/reservations?state=gone").await.assert_parameter("state");
    app.get("/v1/reservations?cursor=x").await.assert_parameter("cursor");
}

#[tokio::test]
async fn what_is_wrong_with_a_request_is_told_and_nothing_is_held() {
    let app = TestApp::stocked(StrategyKind::Mutex, &[("A", 5)]).await;
    let wrong =
        json!({"lines": [{"sku": "A", "quantity": 0}, {"sku": "", "quantity": 1}], "ttl_seconds": 2_592_001});
    let refused = app.post("/v1/reservations", &wrong).await;
    refused.assert_fields(&["/lines/0/quantity", "/lines/1/sku", "/ttl_seconds"]);
    app.post("/v1/reservations", &json!({"lines": []})).await.assert_fields(&["/lines"]);
    let many: Vec<Value> =
        (0..1_001).map(|index| json!({"sku": format!("s{index}"), "quantity": 1})).collect();
    app.post("/v1/reservations", &json!({ "lines": many })).await.assert_problem(422, "too-many-lines");
    reserve(&app, &[("missing", 1)], 900).await.assert_problem(404, "stock-not-found");
    app.get("/v1/reservations/x").await.assert_parameter("id");
    let nobody = "/v1/reservations/018bcfe5-6801-7000-8000-000000000000";
    app.get(nobody).await.assert_problem(404, "reservation-not-found");
    app.post(&format!("{nobody}/commit"), &json!({})).await.assert_problem(404, "reservation-not-found");
    let path = place(&reserve(&app, &[("A", 2)], 900).await);
    let commit = format!("{path}/commit");
    for (lines, pointers) in [
        (json!([{"sku": "A", "quantity": 3}]), vec!["/lines/0/quantity"]),
        (json!([{"sku": "A", "quantity": 1}, {"sku": "B", "quantity": 1}]), vec!["/lines/1/sku"]),
        (json!([{"sku": "A", "quantity": 1}, {"sku": "A", "quantity": 1}]), vec!["/lines/1/sku"]),
        (json!([]), vec!["/lines"]),
    ] {
        app.post(&commit, &json!({ "lines": lines })).await.assert_fields(&pointers);
    }
    app.post_bytes(&commit, "{").await.assert_problem(400, "invalid-request");
    app.call(Method::POST, &commit).body("x").send().await.assert_problem(415, "unsupported-media-type");
    app.delete(&path).await.assert_problem(405, "method-not-allowed");
    assert_eq!(units(&app, "A").await, [5, 2, 3]);
    assert_eq!(app.get(&path).await.at("/state"), "pending");
}

/// P7, P9: what was held is held after a restart, and what was due meanwhile is over before the first request.
#[tokio::test]
async fn reservations_survive_a_restart() {
    let app = TestApp::stocked(StrategyKind::Sharded, &[("A", 9)]).await;
    let short = place(&reserve(&app, &[("A", 1)], 1).await);
    let long = place(&reserve(&app, &[("A", 2)], 900).await);
    let gone = place(&reserve(&app, &[("A", 3)], 900).await);
    app.post(&format!("{gone}/commit"), &json!({})).await.assert_status(200);
    let before = app.get(&long).await.json();
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(1);
    let app = TestApp::over(StrategyKind::Actor, app.end().await).start().await;
    assert_eq!(app.get(&long).await.assert_status(200).json(), before);
    assert_eq!(app.get(&gone).await.at("/state"), "committed");
    while app.get(&short).await.at("/state") == "pending" {
        assert!(std::time::Instant::now() < deadline + std::time::Duration::from_secs(20), "it ends");
    }
    assert_eq!(units(&app, "A").await, [6, 2, 4]);
}
