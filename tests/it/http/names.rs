//! Names as shops have them, through every door: whatever is in one, and however it is spelt, it is one level (P1, P8), and comes
//! out as it is.

use axum::http::Method;
use inventory::stock::Sku;
use inventory::strategy::StrategyKind;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use proptest::strategy::{Strategy as _, ValueTree as _};
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};
use unicode_normalization::UnicodeNormalization as _;

use crate::support::app::TestApp;
use crate::support::app::answer::Answer;
use crate::support::for_each_strategy;

/// What would be something else if a door forgot to encode, decode, escape or normalise it; and what sorts around a separator.
const NAMES: [&str; 24] = [
    "BANK CHARGES",
    "BANK",
    "BANK!",
    "BANK  CHARGES",
    "1/2\"",
    "ä",
    "A+B",
    "A B",
    "A%2BB",
    "C#",
    "a/b",
    "a/adjust",
    "it's",
    "\\",
    "\\\"",
    "query",
    "?location=x&y",
    "<b>;\"",
    "a@b",
    "{sku}",
    "a\u{2028}b",
    "\u{feff}x",
    "각 📦",
    "...",
];

/// These, and some at random: in normal form, ascending.
fn names() -> Vec<String> {
    let mut runner = TestRunner::deterministic();
    let any = "\\PC{1,9}|[ -~]{1,9}|[a\u{308}\u{e4} ]{1,5}".prop_filter_map("no name", |text: String| {
        Sku::parse(&text).ok().filter(|sku| sku.as_str().len() <= 32).map(|sku| sku.to_string())
    });
    let mut random = || any.new_tree(&mut runner).expect("a name").current();
    let mut names: Vec<String> = NAMES.map(str::to_owned).into_iter().collect();
    names.extend((0..12).map(|_| random()));
    names.sort();
    names.dedup();
    names
}

fn encoded(name: &str) -> String {
    utf8_percent_encode(name, NON_ALPHANUMERIC).to_string()
}

/// As an older program, or another keyboard, would spell it.
fn otherwise(name: &str) -> String {
    name.nfd().collect()
}

/// The path of a level, spelt as it may be.
fn path(sku: &str, what: &str, location: &str) -> String {
    format!("/v1/stock/{}{what}?location={}", encoded(sku), encoded(location))
}

/// Every page of a list, as its `Link` leads on: sku and location of each item.
async fn walked(app: &TestApp, first: &str) -> Vec<(String, String)> {
    let (mut all, mut next) = (Vec::new(), Some(first.to_owned()));
    while let Some(path) = next {
        let page = app.get(&path).await;
        page.assert_status(200);
        let text = |item: &Value, name: &str| item[name].as_str().expect("a name").to_owned();
        let items = page.at("/items");
        all.extend(
            items.as_array().expect("a list").iter().map(|item| (text(item, "sku"), text(item, "location"))),
        );
        let link = page.header("link");
        assert_eq!(link.is_empty(), page.at("/next_cursor").is_null());
        next =
            link.strip_prefix('<').and_then(|link| link.strip_suffix(">; rel=\"next\"")).map(str::to_owned);
        assert!(link.is_empty() || next.is_some(), "{link}");
    }
    all
}

fn assert_named(answer: &Answer, place: &str, sku: &str, location: &str) {
    let told = (answer.at(&format!("{place}/sku")), answer.at(&format!("{place}/location")));
    assert_eq!(told, (sku.into(), location.into()), "{}", answer.text());
}

/// By paths: made, read, adjusted, and found where the answer says it is.
async fn by_paths(app: &TestApp, sku: &str, location: &str) {
    let (other_sku, other_location) = (otherwise(sku), otherwise(location));
    let made = app.put(&path(&other_sku, "", location), &json!({ "on_hand": 10 })).await;
    assert_named(made.assert_level(201, 10, 1), "", sku, location);
    assert_eq!(app.get(made.header("location")).await.assert_level(200, 10, 1).text(), made.text());
    let again = app.put(&path(sku, "", &other_location), &json!({ "on_hand": 10 })).await;
    again.assert_problem(428, "precondition-required");
    let adjust = async |path: String| {
        let call = app
            .call(Method::POST, &path)
            .header("idempotency-key", encoded(sku))
            .json(&json!({ "delta": -1 }));
        call.send().await
    };
    let first = adjust(path(sku, "/adjust", &other_location)).await;
    assert_named(first.assert_level(200, 9, 2), "", sku, location);
    let replayed = adjust(path(&other_sku, "/adjust", location)).await;
    assert_eq!((replayed.text(), replayed.header("idempotent-replayed")), (first.text(), "true"));
    let short = app.post(&path(sku, "/adjust", location), &json!({ "delta": -100 })).await;
    assert_named(short.assert_problem(409, "insufficient-stock"), "/lines/0", sku, location);
    // In a form a space may be a plus.
    let plus = encoded(location).replace("%20", "+");
    assert_eq!(app.level(&format!("{}?location={plus}", encoded(sku))).await, (9, 2));
}

/// In bodies: many lines, moves, holds, orders, and a question.
async fn by_bodies(app: &TestApp, sku: &str, location: &str) {
    let (other_sku, other_location) = (otherwise(sku), otherwise(location));
    let both = json!([
        { "sku": sku, "location": location, "delta": 1 }, { "sku": other_sku, "location": other_location, "delta": 1 }
    ]);
    let atomic = app.post("/v1/adjustments", &json!({ "lines": both })).await;
    assert_eq!(atomic.assert_status(200).count("/levels"), 1, "two spellings are one level");
    assert_named(&atomic, "/levels/0", sku, location);
    let independent = app.post("/v1/adjustments", &json!({ "mode": "independent", "lines": both })).await;
    assert_eq!(independent.assert_status(200).number("/applied"), 2);
    assert_named(&independent, "/results/1", sku, location);
    assert_named(&independent, "/results/1/level", sku, location);
    let line = json!({ "sku": other_sku, "from": location, "to": "another place", "quantity": 2 });
    let moved = app.post("/v1/transfers", &json!({ "lines": [line] })).await;
    assert_eq!(moved.assert_status(200).count("/levels"), 2);
    let line = json!({ "sku": other_sku, "from": location, "to": other_location, "quantity": 2 });
    app.post("/v1/transfers", &json!({ "lines": [line] })).await.assert_fields(&["/lines/0/to"]);
    let lines = json!([{ "sku": other_sku, "location": other_location, "quantity": 1 }]);
    let held = app.post("/v1/reservations", &json!({ "lines": lines })).await;
    assert_named(held.assert_status(201), "/lines/0", sku, location);
    let commit = format!("{}/commit", held.header("location"));
    let lines_again = json!({ "lines": [{ "sku": sku, "location": location, "quantity": 1 }] });
    assert_named(app.post(&commit, &lines_again).await.assert_status(200), "/committed/0", sku, location);
    let order = app
        .call(Method::POST, "/v1/orders")
        .header("prefer", "wait=30")
        .json(&json!({ "lines": lines }))
        .send()
        .await;
    assert_eq!(order.assert_status(200).at("/state"), "fulfilled");
    assert_named(&app.get(order.header("location")).await, "/lines/0", sku, location);
    let returned = app.post(&format!("{}/returns", order.header("location")), &lines_again).await;
    returned.assert_status(200);
    let keys = json!([{ "sku": other_sku, "location": location }, { "sku": sku, "location": "nowhere \"" }]);
    let asked = app.post("/v1/stock/query", &json!({ "keys": keys, "consistent": true })).await;
    assert_named(asked.assert_status(200), "/items/0", sku, location);
    assert_named(&asked, "/missing/0", sku, "nowhere \"");
    let twice = json!([{ "sku": other_sku }, { "sku": sku }]);
    let twice = app.post("/v1/stock/query", &json!({ "keys": twice })).await;
    if other_sku != sku {
        twice.assert_fields(&["/keys/1"]);
    }
}

/// All that is listed, page by page, is there once, in the order of bytes; and what begins as it is asked.
async fn by_lists(app: &TestApp, expected: &[(String, String)]) {
    for limit in [1, 2, 3, 1000] {
        assert_eq!(walked(app, &format!("/v1/stock?limit={limit}")).await, expected, "{limit} at a time");
    }
    // Each sku is at two places.
    for (sku, location) in expected.iter().step_by(2) {
        let of_sku: Vec<_> = expected.iter().filter(|(named, _)| named == sku).cloned().collect();
        let asked = encoded(&otherwise(sku));
        assert_eq!(walked(app, &format!("/v1/stock?limit=1&sku={asked}")).await, of_sku);
        let at: Vec<_> = expected.iter().filter(|(_, at)| at == location).cloned().collect();
        let asked = encoded(&otherwise(location));
        assert_eq!(walked(app, &format!("/v1/stock?limit=30&location={asked}")).await, at);
        for end in (1..=sku.len()).filter(|&end| sku.is_char_boundary(end)).take(7) {
            let prefix = &sku[..end];
            let fits = |(named, _): &&(String, String)| named.starts_with(&*prefix.nfc().collect::<String>());
            let begins: Vec<_> = expected.iter().filter(fits).cloned().collect();
            let asked = encoded(&otherwise(prefix));
            assert_eq!(
                walked(app, &format!("/v1/stock?limit=2&sku_prefix={asked}")).await,
                begins,
                "{prefix:?}"
            );
        }
        let (sku_asked, location_asked) = (encoded(&otherwise(sku)), encoded(location));
        let history =
            walked(app, &format!("/v1/movements?limit=2&sku={sku_asked}&location={location_asked}")).await;
        assert!(!history.is_empty() && history.iter().all(|of| *of == (sku.clone(), location.clone())));
        let after = format!("/v1/movements?after=0&limit=500&sku={sku_asked}&location={location_asked}");
        assert_eq!(walked(app, &after).await, history, "the same, from the other end");
    }
}

async fn export(app: &TestApp) -> String {
    app.get("/v1/export").await.assert_status(200).text().to_owned()
}

/// The lines of an export without their versions.
fn unversioned(export: &str) -> Vec<Value> {
    let unversioned = |line: &str| {
        let mut line: Value = serde_json::from_str(line).expect("JSON");
        line.as_object_mut().expect("an object").remove("version").expect("a version");
        line
    };
    export.lines().map(unversioned).collect()
}

for_each_strategy! {
    async fn a_name_is_one_level_through_every_door(kind: StrategyKind) {
        let app = TestApp::start(kind).await;
        let names = names();
        let mut expected = Vec::new();
        for (sku, location) in names.iter().zip(names.iter().rev().filter(|name| name.len() <= 32)) {
            by_paths(&app, sku, location).await;
            by_bodies(&app, sku, location).await;
            expected.extend([(sku.clone(), location.clone()), (sku.clone(), "another place".to_owned())]);
        }
        expected.sort();
        by_lists(&app, &expected).await;
        let lines = export(&app).await;
        let other = TestApp::start(kind).await;
        let call = other.call(Method::POST, "/v1/import").header("content-type", "application/x-ndjson");
        // There, no level is at a version yet.
        let bare: Vec<String> = unversioned(&lines).iter().map(Value::to_string).collect();
        call.body(otherwise(&bare.join("\n"))).send().await.assert_status(200);
        assert_eq!(unversioned(&export(&other).await), unversioned(&lines));
        // What is in the log, and in a snapshot of it, is found again.
        let app = TestApp::over(kind, app.end().await).start().await;
        by_lists(&app, &expected).await;
        assert_eq!(export(&app).await, lines);
        let verified = app.post("/v1/verify", &json!({})).await;
        assert_eq!(verified.assert_status(200).at("/clean"), true, "{}", verified.text());
        for (sku, location) in &expected {
            app.remove(&path(sku, "", location)).await.assert_status(204);
        }
        assert_eq!(export(&app).await, "");
    }
}
