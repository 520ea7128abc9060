//! The backups in the data directory: listed, taken off the host, removed (P7, P10).

use std::path::Path;
use std::sync::Arc;

use axum::http::Method;
use inventory::strategy::StrategyKind;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::backups::copied;
use crate::support::app::TestApp;

async fn back_up(app: &TestApp, name: &str) -> u64 {
    app.post("/v1/backup", &json!({ "name": name })).await.assert_status(201).number("/bytes")
}

async fn names(app: &TestApp) -> Vec<Value> {
    let listed = app.get("/v1/backups").await;
    let items = listed.assert_status(200).at("/items");
    items.as_array().expect("a list").iter().map(|item| item["name"].clone()).collect()
}

/// A file as long as that, of zeros, of which the disk keeps nothing.
fn add_file(backup: &Path, bytes: u64) {
    let file = std::fs::File::create(backup.join("zeros")).expect("a file");
    file.set_len(bytes).expect("a length");
}

/// What is taken off the host is, unpacked, a data directory: one on which a service starts, which has what the backup had and verifies.
#[tokio::test]
async fn a_backup_that_was_taken_off_the_host_is_started_on() {
    let app = TestApp::stocked(StrategyKind::Atomic, &[("A", 5), ("B", 7)]).await;
    assert_eq!(names(&app).await, [Value::Null; 0]);
    let bytes = back_up(&app, "b1").await;
    app.post("/v1/stock/A/adjust", &json!({ "delta": -1 })).await.assert_status(200);
    back_up(&app, "b0").await;
    let listed = app.get("/v1/backups").await;
    let [early, late] = [1, 0].map(|at| listed.at(&format!("/items/{at}")));
    assert_eq!((&early["name"], &late["name"]), (&json!("b1"), &json!("b0")), "by name");
    assert_eq!((early["last_seq"].as_u64(), late["last_seq"].as_u64()), (Some(2), Some(3)));
    assert_eq!(early["bytes"].as_u64(), Some(bytes));

    let taken = app.get("/v1/backups/b1").await;
    assert_eq!(taken.assert_status(200).media_type(), "application/x-tar");
    assert_eq!(taken.header("content-disposition"), "attachment; filename=\"b1.tar\"");
    assert_eq!(taken.header("content-length"), taken.body.len().to_string());
    let head = app.call(Method::HEAD, "/v1/backups/b1").send().await;
    assert_eq!(head.assert_status(200).header("content-length"), taken.header("content-length"));
    let unpacked = TempDir::new().expect("a folder");
    tar::Archive::new(&taken.body[..]).unpack(unpacked.path()).expect("an archive");
    let restored = copied(&unpacked.path().join("b1"));
    let restored = TestApp::over(StrategyKind::Sharded, Arc::new(restored)).start().await;
    assert_eq!((restored.level("A").await, restored.level("B").await), ((5, 1), (7, 1)));
    let report = restored.post("/v1/verify", &json!({})).await;
    assert_eq!(report.assert_status(200).at("/clean"), true, "{}", report.text());
}

/// The archive's length is what it says whatever the lengths of the files are: of none, of whole blocks, of one byte more.
#[tokio::test]
async fn an_archive_is_as_long_as_it_says() {
    let app = TestApp::stocked(StrategyKind::Mutex, &[("A", 1)]).await;
    back_up(&app, "b").await;
    let backup = app.data().path().join("backups/b");
    for bytes in [0, 1, 511, 512, 513, 256 * 1024, 256 * 1024 + 1, 600_000] {
        add_file(&backup, bytes);
        let taken = app.get("/v1/backups/b").await;
        assert_eq!(taken.assert_status(200).header("content-length"), taken.body.len().to_string());
        let mut archive = tar::Archive::new(&taken.body[..]);
        let entries: Vec<_> =
            archive.entries().expect("entries").map(|entry| entry.expect("a file")).collect();
        let last = entries.last().expect("files");
        assert_eq!(last.path().expect("a path"), Path::new("b/zeros"));
        assert_eq!(last.size(), bytes);
    }
}

/// What is no whole backup is none: what is being made or removed, what somebody left there, and what only points elsewhere.
#[tokio::test]
async fn only_what_is_whole_is_a_backup() {
    let app = TestApp::stocked(StrategyKind::Mutex, &[("A", 1)]).await;
    back_up(&app, "b").await;
    let folder = app.data().path().join("backups");
    let copy = |name: &str| {
        std::fs::create_dir(folder.join(name)).expect("a folder");
        for entry in std::fs::read_dir(folder.join("b")).expect("a folder") {
            let entry = entry.expect("a file");
            std::fs::copy(entry.path(), folder.join(name).join(entry.file_name())).expect("a file");
        }
    };
    copy("c@partial");
    copy("d@removed");
    std::fs::create_dir(folder.join("empty")).expect("a folder");
    std::fs::write(folder.join("file"), "x").expect("a file");
    std::os::unix::fs::symlink(app.data().path(), folder.join("elsewhere")).expect("a link");
    assert_eq!(names(&app).await, ["b"]);
    for name in ["empty", "file", "elsewhere", "other"] {
        app.get(&format!("/v1/backups/{name}")).await.assert_problem(404, "backup-not-found");
        app.delete(&format!("/v1/backups/{name}")).await.assert_problem(404, "backup-not-found");
    }
    for name in ["c@partial", "..", ".b", "%2e%2e%2fcontrol", &"x".repeat(65)] {
        app.get(&format!("/v1/backups/{name}")).await;
        let asked = app.call(Method::DELETE, &format!("/v1/backups/{name}")).send().await;
        assert!([404, 422].contains(&asked.status), "{name}: {}", asked.status);
    }
    assert_eq!(app.level("A").await, (1, 1));
    app.post("/v1/stock/A/adjust", &json!({ "delta": 1 })).await.assert_status(200);
}

/// One that is removed is gone, with what a crash left of others, and its name is free; the rest is as it was.
#[tokio::test]
async fn a_backup_that_is_removed_is_gone() {
    let app = TestApp::stocked(StrategyKind::Mutex, &[("A", 1)]).await;
    back_up(&app, "b").await;
    back_up(&app, "c").await;
    let folder = app.data().path().join("backups");
    for left in ["b@removed", "x@removed"] {
        std::fs::create_dir(folder.join(left)).expect("a folder");
        std::fs::write(folder.join(left).join("control"), "x").expect("a file");
    }
    app.delete("/v1/backups/b").await.assert_status(204);
    app.get("/v1/backups/b").await.assert_problem(404, "backup-not-found");
    app.delete("/v1/backups/b").await.assert_problem(404, "backup-not-found");
    assert_eq!(names(&app).await, ["c"]);
    let left: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["c"]);
    back_up(&app, "b").await;
    assert_eq!(app.level("A").await, (1, 1));
}

/// While somebody takes a backup it stays; when they have gone away, whole or not, it can go. So many can take one at once, and no more.
#[tokio::test]
async fn a_backup_that_is_being_taken_stays() {
    let app = TestApp::stocked(StrategyKind::Mutex, &[("A", 1)]).await;
    back_up(&app, "b").await;
    // More than the sockets in between hold.
    add_file(&app.data().path().join("backups/b"), 64 * 1024 * 1024);
    let mut takers = Vec::new();
    for _ in 0..4 {
        let mut taker = app.connect().await;
        taker.write("GET /v1/backups/b HTTP/1.1\r\nHost: x\r\n\r\n").await;
        let begun = taker.answer_without_body().await;
        assert_eq!(begun.assert_status(200).media_type(), "application/x-tar");
        takers.push(taker);
    }
    app.get("/v1/backups/b").await.assert_problem(409, "already-running");
    app.delete("/v1/backups/b").await.assert_problem(409, "already-running");
    takers.into_iter().for_each(crate::support::app::raw::Raw::reset);
    // They are found to be gone in their own time.
    loop {
        let removed = app.delete("/v1/backups/b").await;
        if removed.status == 204 {
            break;
        }
        removed.assert_problem(409, "already-running");
        tokio::task::yield_now().await;
    }
    assert_eq!(names(&app).await, [Value::Null; 0]);
}

/// A file that is shorter than it was when the archive began: the answer ends before its length, and nobody takes it for whole.
#[tokio::test]
async fn an_archive_that_is_cut_off_shows_it() {
    let app = TestApp::stocked(StrategyKind::Mutex, &[("A", 1)]).await;
    back_up(&app, "b").await;
    let backup = app.data().path().join("backups/b");
    add_file(&backup, 64 * 1024 * 1024);
    let mut taker = app.connect().await;
    taker.write("GET /v1/backups/b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
    let begun = taker.answer_without_body().await;
    let bytes: usize = begun.assert_status(200).header("content-length").parse().expect("a number");
    add_file(&backup, 0);
    match taker.rest_or_reset().await {
        Ok(rest) => assert!(rest.len() < bytes, "{} of {bytes} bytes", rest.len()),
        Err(reset) => assert_eq!(reset.kind(), std::io::ErrorKind::ConnectionReset),
    }
}

/// A service in memory has none.
#[tokio::test]
async fn an_ephemeral_service_has_no_backups() {
    let app = TestApp::with(StrategyKind::Mutex).ephemeral().start().await;
    app.get("/v1/backups").await.assert_problem(404, "ledger-not-kept");
    app.get("/v1/backups/b").await.assert_problem(404, "ledger-not-kept");
    app.delete("/v1/backups/b").await.assert_problem(404, "ledger-not-kept");
}
