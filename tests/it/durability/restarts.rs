//! What a server shows after it was killed, and what it refuses to start over (P7).

use std::fs;
use std::sync::Arc;

use axum::http::Method;
use inventory::strategy::StrategyKind;
use serde_json::{Value, json};

use crate::support::for_each_strategy;
use crate::support::process::{Server, refused_start};

/// Everything that can be read: each level, its `ETag`, the listing, the ledger.
async fn everything(server: &Server) -> Vec<(String, String, Value)> {
    let mut all = Vec::new();
    let paths = [
        "/v1/stock/wool",
        "/v1/stock/wool?location=shop",
        "/v1/stock/silk",
        "/v1/stock/never",
        "/v1/stock",
        "/v1/movements",
        "/v1/movements?sku=wool",
        "/v1/movements?sku=wool&location=shop",
    ];
    for path in paths {
        let answer = server.get(path).await;
        let mut body = answer.json();
        // The name of the request, not of what it is about.
        body.as_object_mut().expect("an object").retain(|name, _| name != "request_id" && name != "instance");
        all.push((path.to_owned(), answer.header("etag").to_owned(), body));
    }
    all
}

/// What the README shows of a day: goods come, are sold, moved, and go out of the range.
async fn a_day(server: &Server) {
    let body = json!({ "on_hand": 100, "reason": "delivery", "reference": "note 17" });
    server.put("/v1/stock/wool", &body).await.assert_level(201, 100, 1);
    let body = json!({ "delta": -3, "reason": "sold", "reference": "order 4711" });
    let adjusted = server.call(Method::POST, "/v1/stock/wool/adjust").json(&body).send().await;
    adjusted.assert_level(200, 97, 2);
    server.put("/v1/stock/silk", &json!({ "on_hand": 5 })).await.assert_status(201);
    let lines = json!([{ "sku": "wool", "from": "main", "to": "shop", "quantity": 7 }]);
    let body = json!({ "lines": lines, "reason": "restock", "reference": "van 2" });
    server.post_once("/v1/transfers", "move", &body).await.assert_status(200);
    server.call(Method::DELETE, "/v1/stock/silk").header("if-match", "*").send().await.assert_status(204);
}

for_each_strategy! {
    /// P6, P7: a server that was killed shows, when it is started again, what it had shown: levels, `ETag`s, movements with
    /// their reasons and references; and goes on counting versions where it stopped.
    async fn what_was_answered_is_there_after_a_kill(kind: StrategyKind) {
        let server = Server::start(kind);
        a_day(&server).await;
        let before = everything(&server).await;
        let server = server.kill_and_restart();
        assert_eq!(everything(&server).await, before);
        let told = server.get("/v1/movements?sku=wool").await;
        let newest = [("/items/0", "restock", "van 2"), ("/items/1", "sold", "order 4711"), ("/items/2", "delivery", "note 17")];
        for (item, reason, reference) in newest {
            assert_eq!(told.at(&format!("{item}/reason")), reason);
            assert_eq!(told.at(&format!("{item}/reference")), reference);
        }
        server.get("/v1/stock/silk").await.assert_problem(404, "stock-not-found");
        // The tombstone kept the version.
        server.put("/v1/stock/silk", &json!({ "on_hand": 1 })).await.assert_level(201, 1, 3);
        let stale = server.call(Method::PUT, "/v1/stock/wool").header("if-match", "\"2\"");
        stale.json(&json!({ "on_hand": 1 })).send().await.assert_problem(412, "version-mismatch");
        let server = server.kill_and_restart();
        server.get("/v1/stock/silk").await.assert_level(200, 1, 3);
        server.get("/v1/stock/wool").await.assert_level(200, 90, 3);
    }

    /// P1, P7: killed while clients are at work: each change that was answered is there.
    async fn a_kill_under_load_loses_nothing_that_was_answered(kind: StrategyKind) {
        let server = Server::start(kind);
        server.put("/v1/stock/wool", &json!({ "on_hand": 0 })).await.assert_status(201);
        let url = server.url.clone();
        let (counts, mut counted) = tokio::sync::mpsc::unbounded_channel();
        let client = |counts: tokio::sync::mpsc::UnboundedSender<()>| {
            let url = url.clone();
            async move {
                let client = reqwest::Client::builder().no_proxy().build().expect("a client");
                let mut acknowledged = 0_u64;
                loop {
                    let request = client.post(format!("{url}/v1/stock/wool/adjust")).json(&json!({ "delta": 1 }));
                    match request.send().await {
                        Ok(answer) if answer.status() == 200 => acknowledged += 1,
                        Ok(answer) => panic!("{answer:?}"),
                        Err(_) => return acknowledged,
                    }
                    let _ = counts.send(());
                }
            }
        };
        let clients: Vec<_> = (0..8).map(|_| tokio::spawn(client(counts.clone()))).collect();
        for _ in 0..200 {
            counted.recv().await.expect("clients at work");
        }
        let data = server.kill();
        let mut acknowledged = 0;
        for client in clients {
            acknowledged += client.await.expect("a client");
        }
        let server = Server::over(kind, data);
        let level = server.get("/v1/stock/wool").await;
        let (on_hand, version) = (level.number("/on_hand"), level.number("/version"));
        assert_eq!(version, on_hand + 1, "each change raised the version by one");
        assert!((acknowledged..=acknowledged + 8).contains(&on_hand), "{on_hand} of {acknowledged} acknowledged");
    }
}

/// The line that a server which cannot start ends with.
fn refusal(data: &tempfile::TempDir) -> String {
    let output = refused_start(StrategyKind::Atomic, data);
    let said = String::from_utf8(output.stderr).expect("UTF-8");
    assert_eq!(output.status.code(), Some(1), "{said}");
    let errors: Vec<&str> = said.lines().filter(|line| line.starts_with("error: ")).collect();
    assert_eq!(errors.len(), 1, "one clear line: {said}");
    assert_eq!(said.lines().last(), Some(errors[0]), "it is the last one");
    errors[0].to_owned()
}

/// P7: two processes never write one log. The second says which folder it is about, and the first goes on.
#[tokio::test]
async fn a_second_process_on_a_data_directory_is_refused() {
    let server = Server::start(StrategyKind::Atomic);
    server.put("/v1/stock/wool", &json!({ "on_hand": 1 })).await.assert_status(201);
    let data = server.data();
    let line = refusal(&data);
    assert!(line.contains("in use by another process"), "{line}");
    assert!(line.contains(&data.path().display().to_string()), "{line}");
    server.put("/v1/stock/silk", &json!({ "on_hand": 1 })).await.assert_status(201);
    let server = server.kill_and_restart();
    server.get("/v1/stock/silk").await.assert_level(200, 1, 1);
}

/// P7: a log of a later version is refused by name and version, and left as it is.
#[tokio::test]
async fn a_data_directory_of_a_later_version_is_refused() {
    let server = Server::start(StrategyKind::Atomic);
    server.put("/v1/stock/wool", &json!({ "on_hand": 1 })).await.assert_status(201);
    let data: Arc<tempfile::TempDir> = server.kill();
    let is_segment = |path: &std::path::PathBuf| path.extension().is_some_and(|extension| extension == "log");
    let entries = fs::read_dir(data.path()).expect("a folder");
    let segment = entries.map(|entry| entry.expect("an entry").path()).find(is_segment).expect("a segment");
    let mut bytes = fs::read(&segment).expect("a file");
    // The version is at offset 8 of the header.
    bytes[8] = 9;
    fs::write(&segment, &bytes).expect("room");
    let line = refusal(&data);
    assert!(line.contains("version 9") && line.contains("nothing was changed"), "{line}");
    assert_eq!(fs::read(&segment).expect("a file"), bytes);
}

/// P7: damage in the middle of the log is refused, naming file and offset; with the bit back, all is there.
#[tokio::test]
async fn a_damaged_log_is_refused() {
    let server = Server::start(StrategyKind::Atomic);
    for sku in ["wool", "silk", "jute"] {
        server.put(&format!("/v1/stock/{sku}"), &json!({ "on_hand": 1 })).await.assert_status(201);
    }
    let data = server.kill();
    let segment = data.path().join(format!("{:020}.log", 0));
    let mut bytes = fs::read(&segment).expect("the first segment");
    bytes[600] ^= 4;
    fs::write(&segment, &bytes).expect("room");
    let line = refusal(&data);
    assert!(line.contains("damaged at offset 512") && line.contains(".log"), "{line}");
    bytes[600] ^= 4;
    fs::write(&segment, &bytes).expect("room");
    Server::over(StrategyKind::Mutex, data).get("/v1/stock/jute").await.assert_level(200, 1, 1);
}
