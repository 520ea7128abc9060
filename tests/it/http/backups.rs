//! Backups and verification over HTTP: a restore drill under load (P1, P7), and what is refused.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::http::Method;
use inventory::strategy::StrategyKind;
use serde_json::json;
use tempfile::TempDir;

use crate::support::app::TestApp;
use crate::support::app::answer::Answer;

/// Adjusts one level again and again until told to stop; returns how often it was acknowledged, and says so meanwhile.
async fn load(
    app: Arc<TestApp>,
    sku: String,
    told: Arc<std::sync::atomic::AtomicU64>,
    stop: Arc<AtomicBool>,
) {
    while !stop.load(Ordering::Relaxed) {
        let lines = json!({ "lines": [{ "sku": sku, "delta": 1 }, { "sku": "TOTAL", "delta": 1 }] });
        app.post("/v1/adjustments", &lines).await.assert_status(200);
        told.fetch_add(1, Ordering::SeqCst);
    }
}

/// Copies a folder of files.
pub(super) fn copied(from: &std::path::Path) -> TempDir {
    let into = TempDir::new().expect("a temporary folder");
    for entry in std::fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        std::fs::copy(entry.path(), into.path().join(entry.file_name())).expect("a copy");
    }
    into
}

/// A backup taken while changes go on is a consistent prefix: it has all that was acknowledged before it, no transaction in part,
/// and verifies. A service starts on it, and goes on. With a snapshot in it, too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_restore_drill() {
    let skus = ["A", "B", "C"];
    let app =
        Arc::new(TestApp::stocked(StrategyKind::Atomic, &[("A", 0), ("B", 0), ("C", 0), ("TOTAL", 0)]).await);
    let stop = Arc::new(AtomicBool::new(false));
    let acknowledged: Vec<_> = skus.iter().map(|_| Arc::new(std::sync::atomic::AtomicU64::new(0))).collect();
    let loads: Vec<_> = skus
        .iter()
        .zip(&acknowledged)
        .map(|(sku, told)| {
            tokio::spawn(load(Arc::clone(&app), (*sku).to_owned(), Arc::clone(told), Arc::clone(&stop)))
        })
        .collect();
    let mut before = Vec::new();
    for (number, name) in ["first", "second"].into_iter().enumerate() {
        while acknowledged.iter().any(|told| told.load(Ordering::SeqCst) < 20 * (number as u64 + 1)) {
            tokio::task::yield_now().await;
        }
        let counts: Vec<u64> = acknowledged.iter().map(|told| told.load(Ordering::SeqCst)).collect();
        let made = app.post("/v1/backup", &json!({ "name": name })).await;
        assert_eq!(made.assert_status(201).at("/path"), format!("backups/{name}"));
        before.push((name, counts));
        app.post("/v1/verify", &json!({})).await.assert_status(200);
    }
    stop.store(true, Ordering::Relaxed);
    for load in loads {
        load.await.unwrap();
    }
    for (name, counts) in before {
        let restored = copied(&app.data().path().join("backups").join(name));
        let restored = TestApp::over(StrategyKind::Sharded, Arc::new(restored)).start().await;
        let report = restored.post("/v1/verify", &json!({})).await;
        assert_eq!(report.assert_status(200).at("/clean"), true, "{}", report.text());
        assert_eq!(report.number("/levels"), 4);
        let mut sum = 0;
        for (sku, told) in skus.iter().zip(counts) {
            let (on_hand, version) = restored.level(sku).await;
            assert!(on_hand >= told, "{sku}: {told} were acknowledged before, {on_hand} are there");
            assert_eq!(version, on_hand + 1, "one change per unit");
            sum += on_hand;
        }
        assert_eq!(restored.level("TOTAL").await.0, sum, "no transaction is there in part");
        restored.create("NEW", 1).await;
    }
}

fn text_at(answer: &Answer, pointer: &str) -> String {
    let found = answer.assert_status(200).at(pointer);
    found.as_str().unwrap_or_else(|| panic!("{pointer} is a text: {}", answer.text())).to_owned()
}

/// P6: what is gone on with after a restore is another lineage: no tag, cursor or number of what was taken back passes for something
/// of it, whatever it has come to meanwhile. The original goes on as it was, and so does each restored copy, on its own.
#[tokio::test]
async fn nothing_of_a_history_that_was_taken_back_passes_after_a_restore() {
    let app = TestApp::stocked(StrategyKind::Atomic, &[("A", 10)]).await;
    app.post("/v1/backup", &json!({ "name": "b" })).await.assert_status(201);
    let lost = app.post("/v1/stock/A/adjust", &json!({ "delta": -1 })).await;
    assert_eq!(lost.assert_status(200).header("etag"), "\"2\"");
    let cursors = {
        let pages = ["/v1/movements?after=0&limit=1", "/v1/movements?sku=A&limit=1"];
        [text_at(&app.get(pages[0]).await, "/next_cursor"), text_at(&app.get(pages[1]).await, "/next_cursor")]
    };
    let copies = [0, 1].map(|_| Arc::new(copied(&app.data().path().join("backups/b"))));
    let mut lineages = Vec::new();
    for copy in &copies {
        let mut restored = TestApp::over(StrategyKind::Mutex, Arc::clone(copy)).start().await;
        restored.post("/v1/stock/A/adjust", &json!({ "delta": 500 })).await.assert_level(200, 510, 2);
        for life in ["first", "second"] {
            nothing_lost_passes(&restored, &cursors).await;
            lineages.push(text_at(&restored.get("/v1/status").await, "/lineage"));
            restored.begin_shutdown();
            restored.drained().await;
            restored = TestApp::over(StrategyKind::Sharded, Arc::clone(copy)).start().await;
            assert_eq!(restored.level("A").await, (510, 2), "{life}");
        }
    }
    assert_eq!((&lineages[0], &lineages[2]), (&lineages[1], &lineages[3]), "one for each, for good");
    assert_ne!(lineages[0], lineages[2], "and one of its own");
    let original = app.get("/v1/stock/A").await;
    assert_eq!(original.assert_status(200).header("etag"), "\"2\"");
    assert_eq!(app.get("/v1/status").await.at("/lineage"), serde_json::Value::Null);
}

async fn nothing_lost_passes(restored: &TestApp, cursors: &[String; 2]) {
    let tag = restored.get("/v1/stock/A").await.header("etag").to_owned();
    assert!(tag.starts_with("\"2-") && tag.len() == 20, "{tag}");
    let ask = async |method: Method, path: &str, name: &str, value: &str, body: &str| {
        let call = restored.call(method, path).header(name, value);
        let call = if body.is_empty() { call } else { call.header("content-type", "application/json") };
        call.body(body.as_bytes().to_vec()).send().await
    };
    let seen = ask(Method::GET, "/v1/stock/A", "if-none-match", "\"2\"", "").await;
    seen.assert_level(200, 510, 2);
    assert_eq!(ask(Method::GET, "/v1/stock/A", "if-none-match", &tag, "").await.status, 304);
    for lost in ["\"2\"", "\"1\"", "\"2-00c0ffee00c0ffee\""] {
        let put = ask(Method::PUT, "/v1/stock/A", "if-match", lost, "{\"on_hand\":1}").await;
        put.assert_problem(412, "version-mismatch");
        let adjust = ask(Method::POST, "/v1/stock/A/adjust", "if-match", lost, "{\"delta\":1}").await;
        adjust.assert_problem(412, "version-mismatch");
        ask(Method::GET, "/v1/stock/A", "if-match", lost, "").await.assert_problem(412, "version-mismatch");
        let delete = ask(Method::DELETE, "/v1/stock/A", "if-match", lost, "").await;
        delete.assert_problem(412, "version-mismatch");
    }
    let lineage = text_at(&restored.get("/v1/status").await, "/lineage");
    let [of_all, of_level] = cursors;
    for lost in [
        format!("cursor={of_all}"),
        format!("sku=A&cursor={of_level}"),
        "after=99999".to_owned(),
        format!("after=3-{lineage}"),
        "after=1-00c0ffee00c0ffee".to_owned(),
    ] {
        let told = restored.get(&format!("/v1/movements?{lost}")).await;
        told.assert_problem(410, "history-compacted");
        assert!(told.text().contains("read the stock again"), "{lost}: {}", told.text());
    }
    for (after, items) in [("0", 2), ("1", 1), ("2", 0)] {
        for after in [after.to_owned(), format!("{after}-{lineage}")] {
            let page = restored.get(&format!("/v1/movements?after={after}")).await;
            let count = page.assert_status(200).at("/items").as_array().map(Vec::len);
            assert_eq!((count, text_at(&page, "/lineage")), (Some(items), lineage.clone()), "{after}");
        }
    }
    // Its own cursors go on.
    for walk in ["after=0", "sku=A"] {
        let first = text_at(&restored.get(&format!("/v1/movements?limit=1&{walk}")).await, "/next_cursor");
        let next = restored.get(&format!("/v1/movements?limit=1&{walk}&cursor={first}")).await;
        assert_eq!(next.assert_status(200).at("/items").as_array().map(Vec::len), Some(1), "{walk}");
    }
}

/// P6: also where nothing was ever taken back, a number that no movement has is none to go on from; the newest is.
#[tokio::test]
async fn there_is_nothing_to_go_on_from_past_the_end() {
    for app in [
        TestApp::stocked(StrategyKind::Atomic, &[("A", 1)]).await,
        TestApp::with(StrategyKind::Atomic).ephemeral().start().await,
    ] {
        if app.get("/v1/stock/A").await.status == 404 {
            app.create("A", 1).await;
        }
        let end = app.get("/v1/movements?after=1").await;
        assert_eq!(end.assert_status(200).at("/items"), json!([]));
        let past = app.get("/v1/movements?after=2").await;
        past.assert_problem(410, "history-compacted");
        assert!(past.text().contains("the newest is number 1"), "{}", past.text());
    }
}

/// A backup has one name, once; what is no name is refused.
#[tokio::test]
async fn backups_are_never_overwritten() {
    let app = TestApp::stocked(StrategyKind::Mutex, &[("A", 1)]).await;
    let back_up = async |name: &str| app.post("/v1/backup", &json!({ "name": name })).await;
    back_up("b1").await.assert_status(201);
    back_up("b1").await.assert_problem(409, "backup-exists");
    for name in ["", ".", "..", ".b", "a/b", "../b", "a b", "b@partial", &"x".repeat(65)] {
        back_up(name).await.assert_fields(&["/name"]);
    }
    let mut names: Vec<_> = std::fs::read_dir(app.data().path().join("backups"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    names.sort();
    assert_eq!(names, ["b1"]);
}

/// A service without a ledger has nothing to verify or back up.
#[tokio::test]
async fn an_ephemeral_service_keeps_no_ledger() {
    let app = TestApp::with(StrategyKind::Mutex).ephemeral().start().await;
    app.post("/v1/verify", &json!({})).await.assert_problem(404, "ledger-not-kept");
    app.post("/v1/backup", &json!({ "name": "b" })).await.assert_problem(404, "ledger-not-kept");
}
