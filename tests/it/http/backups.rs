//! Backups and verification over HTTP: a restore drill under load (P1, P7), and what is refused.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use inventory::strategy::StrategyKind;
use serde_json::json;
use tempfile::TempDir;

use crate::support::app::TestApp;

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
fn copied(from: &std::path::Path) -> TempDir {
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
