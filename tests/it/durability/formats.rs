//! Data directories that earlier versions of the log's format left (P6, P7, P8): each opens, verifies and serves, every key that
//! was used is answered as it was then, and what is written now is found by the next start.
//!
//! Of each version, `data.tar.gz` is the directory after a kill, `expected.json` what its service had answered: made by the program
//! of that version, with keys of every kind, snapshots, deletions and imports; since version 2 with a backup in it, and since version 4 with
//! reservations and orders, one of which still waits, in version 5 with a movement that somebody with a name made. None of them changes any more.

use std::process::Command;
use std::sync::Arc;

use axum::http::Method;
use inventory::store::{Keeping, Storage};
use inventory::strategy::StrategyKind;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::app::TestApp;
use crate::support::for_each_strategy;

/// The versions there were.
const VERSIONS: [u32; 5] = [1, 2, 3, 4, 5];

fn expected(version: u32) -> Value {
    let text = match version {
        1 => include_str!("version_1/expected.json"),
        2 => include_str!("version_2/expected.json"),
        3 => include_str!("version_3/expected.json"),
        4 => include_str!("version_4/expected.json"),
        _ => include_str!("version_5/expected.json"),
    };
    serde_json::from_str(text).expect("JSON")
}

/// The directory, as it was left.
fn data(version: u32) -> Arc<TempDir> {
    let folder = TempDir::new().expect("a temporary folder");
    let archive = format!("{}/tests/it/durability/version_{version}/data.tar.gz", env!("CARGO_MANIFEST_DIR"));
    let mut unpack = Command::new("tar");
    unpack.args(["-xzf", &archive, "--strip-components=1", "-C"]).arg(folder.path());
    assert!(unpack.status().expect("tar runs").success(), "the archive is unpacked");
    Arc::new(folder)
}

/// Over that directory. Its keys are as old as the file: none may have run out.
async fn start(kind: StrategyKind, data: &Arc<TempDir>) -> TestApp {
    let keeping = Keeping { keys_retention: std::time::Duration::MAX, ..Keeping::default() };
    let storage = Storage::Folder { path: data.path().to_owned(), keeping };
    TestApp::over(kind, Arc::clone(data)).with_storage(storage).start().await
}

fn list<'v>(value: &'v Value, name: &str) -> &'v [Value] {
    value[name].as_array().unwrap_or_else(|| panic!("{name} is a list"))
}

/// Sends a request of then again.
async fn again(app: &TestApp, ask: &Value) -> crate::support::app::answer::Answer {
    let mut call = app.call(Method::POST, ask["path"].as_str().expect("a path"));
    for (name, value) in ask["headers"].as_object().expect("headers") {
        call = call.header(name, value.as_str().expect("a value"));
    }
    call.body(ask["body"].as_str().expect("a body").as_bytes().to_vec()).send().await
}

/// An answer without what it says of lines that were malformed: these were never judged, so nothing of them is kept; they are read
/// again, and what is wrong with them is told in the words of the program that reads them. All else is compared to the letter.
fn without_wording(body: &str) -> Result<&str, Value> {
    if !body.contains("/problems/validation-failed") {
        return Ok(body);
    }
    let mut answer: Value = serde_json::from_str(body).expect("JSON");
    for result in answer["results"]
        .as_array_mut()
        .expect("only a batch has some that are malformed and some that are not")
    {
        let problem = &mut result["problem"];
        if problem["type"] == "/problems/validation-failed" {
            problem["detail"].take();
            problem["errors"].as_array_mut().expect("errors").iter_mut().for_each(|error| {
                error["detail"].take();
            });
        }
    }
    Err(answer)
}

/// P8: each is answered as it was then, to the letter, and changes nothing.
async fn assert_replays(app: &TestApp, asks: &[Value]) {
    for ask in asks {
        let (answer, then) = (again(app, ask).await, &ask["answer"]);
        assert_eq!(answer.header("idempotent-replayed"), "true", "{ask}: {}", answer.text());
        assert_eq!(Value::from(answer.status), then["status"], "{ask}");
        assert_eq!(
            without_wording(answer.text()),
            without_wording(then["body"].as_str().expect("a body")),
            "{ask}"
        );
        assert_eq!(answer.header("etag"), then["etag"].as_str().unwrap_or_default(), "{ask}");
        assert_eq!(answer.header("content-type"), then["content_type"], "{ask}");
    }
}

async fn assert_stock(app: &TestApp, expected: &Value) {
    assert_eq!(app.get("/v1/stock?limit=1000").await.assert_status(200).at("/items"), expected["levels"]);
    assert_eq!(app.get("/v1/export").await.assert_status(200).text(), expected["export"]);
    let ledger = app.get("/v1/movements?after=0&limit=1000").await;
    assert_eq!(ledger.assert_status(200).at("/items"), expected["movements"]);
    let history = app.get("/v1/movements?sku=wool&limit=1000").await;
    assert_eq!(history.assert_status(200).at("/items"), expected["history_of_wool"]);
    for order in expected["orders"].as_array().into_iter().flatten() {
        let path = format!("/v1/orders/{}", order["id"].as_str().expect("an id"));
        assert_eq!(app.get(&path).await.assert_status(200).json(), *order);
    }
}

for_each_strategy! {
    /// P6, P7, P8: the shop goes on where it stopped, whichever the strategy.
    async fn a_shop_of_an_earlier_version_goes_on(kind: StrategyKind) {
        for version in VERSIONS {
            goes_on(kind, version).await;
        }
    }
}

async fn goes_on(kind: StrategyKind, version: u32) {
    let (data, expected) = (data(version), expected(version));
    let mut app = start(kind, &data).await;
    for started in ["again", "over what was written since"] {
        if started == "again" {
            assert_stock(&app, &expected).await;
        }
        assert_replays(&app, list(&expected, "keyed")).await;
        assert_replays(&app, list(&expected, "keyed_encoded")).await;
        let verified = app.post("/v1/verify", &Value::Null).await;
        assert_eq!(verified.assert_status(200).at("/clean"), true, "{}", verified.text());
        // A deleted level goes on from its version (P6).
        let gone = &list(&expected, "deleted")[0];
        let path = format!("/v1/stock/{}", gone["sku"].as_str().expect("a sku"));
        if started == "again" {
            let created = app.put(&path, &serde_json::json!({ "on_hand": 3 })).await;
            created.assert_level(201, 3, gone["version"].as_u64().expect("a version") + 1);
        }
        app.begin_shutdown();
        app.drained().await;
        app = start(kind, &data).await;
    }
}

/// P6, P7: a backup that version 2 to 5 made serves what it had, and lets the stock go on from there.
#[tokio::test]
async fn a_backup_of_an_earlier_version_goes_on() {
    for version in [2, 3, 4, 5] {
        backup_goes_on(version).await;
    }
}

async fn backup_goes_on(version: u32) {
    let (data, expected) = (data(version), expected(version));
    let copy = data.path().join("backups/monday");
    let storage = Storage::Folder { path: copy, keeping: Keeping::default() };
    let app = TestApp::over(StrategyKind::Atomic, Arc::clone(&data)).with_storage(storage).start().await;
    let ledger = app.get("/v1/movements?after=0&limit=1000").await;
    let (then, now) = (list(&expected, "movements"), ledger.assert_status(200).at("/items"));
    let now = now.as_array().expect("a list");
    assert!(now.len() > 40 && now.len() < then.len(), "{}", now.len());
    assert_eq!(now[..], then[..now.len()]);
    let verified = app.post("/v1/verify", &Value::Null).await;
    assert_eq!(verified.assert_status(200).at("/clean"), true, "{}", verified.text());
    app.post("/v1/stock/wool/adjust", &serde_json::json!({ "delta": 1 })).await.assert_status(200);
}

/// P8: a batch of then that was cut short: a line that was carried out is not carried out again, the rest is, once.
#[tokio::test]
async fn a_batch_of_the_first_version_that_was_cut_short_is_carried_through_once() {
    let (data, expected) = (data(1), expected(1));
    let app = start(StrategyKind::Atomic, &data).await;
    let ask = &list(&expected, "keyed_partial")[0];
    let first = again(&app, ask).await.assert_status(200).clone();
    assert_eq!((first.number("/applied"), first.number("/refused")), (4, 1));
    // Of 100 and 100 units: 1 and 2 were taken then, 4 and 8 now.
    assert_eq!(app.level("partial-1").await.0, 95);
    assert_eq!(app.level("partial-2?location=shop").await.0, 90);
    let second = again(&app, ask).await;
    assert_eq!((second.assert_status(200).text(), app.level("partial-1").await.0), (first.text(), 95));
}

/// P8: a key of then, used for something else now, is told to be used, as it was told then.
#[tokio::test]
async fn a_key_of_the_first_version_with_another_body_is_refused() {
    let (data, expected) = (data(1), expected(1));
    let app = start(StrategyKind::Mutex, &data).await;
    let adjusted =
        list(&expected, "keyed").iter().find(|ask| ask["what"] == "adjust, bare key").expect("it is there");
    let mut other = adjusted.clone();
    other["body"] = Value::from("{\"delta\":-4}");
    again(&app, &other).await.assert_problem(422, "idempotency-key-reused");
    assert_stock(&app, &expected).await;
}
