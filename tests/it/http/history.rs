//! What was: `GET /v1/movements` by what somebody looks for, and `GET /v1/stock/{sku}?at=` (P6, P7, P12).

use std::sync::Arc;

use axum::http::Method;
use inventory::store::{Keeping, Storage};
use inventory::strategy::StrategyKind;
use serde_json::{Value, json};

use crate::support::app::TestApp;
use crate::support::for_each_strategy;

/// All items of a walk, by its links.
async fn walk(app: &TestApp, path: &str) -> Vec<Value> {
    let (mut all, mut next) = (Vec::new(), path.to_owned());
    loop {
        let page = app.get(&next).await;
        all.extend(page.assert_status(200).at("/items").as_array().expect("items").clone());
        let link = page.header("link");
        if link.is_empty() {
            return all;
        }
        link.split(['<', '>']).nth(1).expect("a path").clone_into(&mut next);
    }
}

/// Changes of two levels under several references, and what the ledger has of them.
async fn a_few_days(app: &TestApp) -> Vec<Value> {
    for sku in ["A", "B"] {
        app.create(sku, 100).await;
    }
    for number in 0..30 {
        let sku = ["A", "B"][number % 2];
        let body =
            json!({ "delta": -1, "reason": "sold", "reference": format!("order {} & more", number % 5) });
        app.post(&format!("/v1/stock/{sku}/adjust"), &body).await.assert_status(200);
        if number % 10 == 0 {
            let lines = json!([{ "sku": sku, "from": "main", "to": "shop", "quantity": 1 }]);
            app.post("/v1/transfers", &json!({ "lines": lines, "reference": "van" }))
                .await
                .assert_status(200);
        }
    }
    walk(app, "/v1/movements?after=0&limit=7").await
}

for_each_strategy! {
    /// Each filter finds what the ledger has of it, no more and no less, of all levels in order and of one from the newest on, in pages.
    async fn movements_are_found_by_what_they_are_about(kind: StrategyKind) {
        let app = TestApp::start(kind).await;
        let ledger = a_few_days(&app).await;
        let middle = ledger[ledger.len() / 2]["time"].as_str().expect("a time").to_owned();
        for (filter, has) in [
            ("reference=order+3+%26+more", &(|item: &Value| item["reference"] == "order 3 & more") as &dyn Fn(&Value) -> bool),
            ("kind=transferred", &|item| item["kind"] == "transferred"),
            ("kind=created,transferred&location=shop", &|item| item["kind"] == "transferred" && item["location"] == "shop"),
            ("reference=van&kind=adjusted", &|_| false),
            (&format!("from={middle}"), &|item| item["time"].as_str() >= Some(&middle)),
            (&format!("to={middle}"), &|item| item["time"].as_str() < Some(&middle)),
            ("from=1970-01-01&to=9999-01-01", &|_| true),
        ] {
            let wanted: Vec<&Value> = ledger.iter().filter(|item| has(item)).collect();
            let found = walk(&app, &format!("/v1/movements?after=0&limit=2&{filter}")).await;
            assert_eq!(found.iter().collect::<Vec<_>>(), wanted, "{filter}");
            let location = if filter.contains("location") { "shop" } else { "main" };
            let of_level = |item: &&Value| item["sku"] == "A" && item["location"] == location;
            let wanted: Vec<&Value> = wanted.into_iter().filter(of_level).rev().collect();
            let found = walk(&app, &format!("/v1/movements?sku=A&limit=2&{filter}")).await;
            assert_eq!(found.iter().collect::<Vec<_>>(), wanted, "{filter}, of one level");
        }
    }

    /// P6: after each movement, by number and by time, each level is what the movements up to it say.
    async fn a_level_is_shown_as_it_was(kind: StrategyKind) {
        let app = TestApp::start(kind).await;
        a_few_days(&app).await;
        app.remove("/v1/stock/B").await.assert_status(204);
        app.create("B", 9).await;
        let ledger = walk(&app, "/v1/movements?after=0").await;
        for (at, movement) in ledger.iter().enumerate() {
            let (seq, time) = (&movement["seq"], movement["time"].as_str().expect("a time"));
            for (sku, location) in [("A", "main"), ("B", "main"), ("A", "shop"), ("never", "main")] {
                let of_level = |item: &&Value| item["sku"] == sku && item["location"] == location;
                let last = ledger[..=at].iter().rfind(of_level);
                let shown = app.get(&format!("/v1/stock/{sku}?location={location}&at={seq}")).await;
                as_it_was(&shown, last);
                let last = ledger.iter().filter(of_level).rfind(|item| item["time"].as_str() <= Some(time));
                as_it_was(&app.get(&format!("/v1/stock/{sku}?location={location}&at={time}")).await, last);
            }
        }
        app.get("/v1/stock/A?at=0").await.assert_problem(404, "stock-not-found");
        app.get("/v1/stock/A?at=1970-01-01").await.assert_problem(404, "stock-not-found");
    }
}

fn as_it_was(shown: &crate::support::app::answer::Answer, last: Option<&Value>) {
    let Some(last) = last.filter(|last| last["kind"] != "deleted") else {
        shown.assert_problem(404, "stock-not-found");
        return;
    };
    assert_eq!(shown.assert_status(200).at("/version"), last["version"]);
    assert_eq!(
        [shown.at("/on_hand"), shown.at("/reserved")],
        [last["after"]["on_hand"].clone(), last["after"]["reserved"].clone()]
    );
    assert_eq!(shown.header("etag"), "", "it is nothing to change the level by");
}

/// Each parameter that is wrong is named; what cannot be known is 410, and never an empty page or a guess.
#[tokio::test]
async fn what_is_no_moment_and_no_filter_is_refused() {
    let app = TestApp::stocked(StrategyKind::Atomic, &[("A", 5)]).await;
    for (parameter, value) in
        [("kind", "sold"), ("reference", ""), ("from", "yesterday"), ("to", "2026-11-22T10:00:00")]
    {
        app.get(&format!("/v1/movements?{parameter}={value}")).await.assert_parameter(parameter);
        app.get(&format!("/v1/movements?sku=A&{parameter}={value}")).await.assert_parameter(parameter);
    }
    for wrong in ["", "x", "-1", "2026-11-22T10:00:00", "9999-01-01"] {
        app.get(&format!("/v1/stock/A?at={wrong}")).await.assert_parameter("at");
    }
    app.get("/v1/stock/A?at=1&min_available=2").await.assert_parameter("at");
    for unknown in ["2", "1-00c0ffee00c0ffee"] {
        app.get(&format!("/v1/stock/A?at={unknown}")).await.assert_problem(410, "history-compacted");
    }
    let conditional = app.call(Method::GET, "/v1/stock/A?at=1").header("if-none-match", "\"1\"").send().await;
    conditional.assert_problem(400, "invalid-request");
}

/// P12: what a level was before the retention is 410, by number and by time, also of a level that has not changed since.
#[tokio::test]
async fn what_a_level_was_before_the_retention_is_said_to_be_gone() {
    let keeping = Keeping { retain_bytes: Some(1024 * 1024), ..Keeping::default() };
    let app =
        Arc::new(TestApp::with(StrategyKind::Atomic).with_storage(Storage::Memory(keeping)).start().await);
    for sku in ["A", "quiet"] {
        app.create(sku, 0).await;
    }
    let time = app.get("/v1/movements?sku=A").await.at("/items/0/time").as_str().expect("a time").to_owned();
    let lines = vec![json!({ "sku": "A", "delta": 1 }); 10_000];
    let batch = json!({ "mode": "independent", "lines": lines, "reference": "y".repeat(128) });
    while app.get("/v1/movements?after=0").await.status == 200 {
        app.post("/v1/adjustments", &batch).await.assert_status(200);
    }
    for sku in ["A", "quiet"] {
        for at in ["2", &time] {
            app.get(&format!("/v1/stock/{sku}?at={at}")).await.assert_problem(410, "history-compacted");
        }
    }
    let newest = app.get("/v1/movements?sku=A&limit=1").await.number("/items/0/seq");
    let (on_hand, version) = app.level("A").await;
    let shown = app.get(&format!("/v1/stock/A?at={newest}")).await;
    assert_eq!((shown.assert_status(200).number("/on_hand"), shown.number("/version")), (on_hand, version));
}
