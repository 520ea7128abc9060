//! The queue of orders: its bound, and that what was accepted is there whatever becomes of the service (P7, P8, P10).

use std::process::Command;
use std::time::Duration;

use axum::http::Method;
use inventory::http::server::Drained;
use inventory::store::{Discipline, Orders};
use inventory::strategy::StrategyKind;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::orders::{backordered, over, place};
use crate::support::app::answer::Answer;
use crate::support::app::{Call, TestApp};
use crate::support::for_each_strategy;
use crate::support::process::Server;

fn one() -> Value {
    json!({"lines": [{"sku": "A", "quantity": 1}]})
}

/// Sends all of them at once.
async fn all(calls: impl IntoIterator<Item = Call>) -> Vec<Answer> {
    let sent: JoinSet<Answer> = calls.into_iter().map(Call::send).collect();
    sent.join_all().await
}

for_each_strategy! {
    /// P8, P10: a full queue takes in no more and says so; nothing was done, so the same order is accepted later, under its key, once.
    async fn a_full_queue_is_told(kind: StrategyKind) {
        const AT_ONCE: usize = 32;
        let orders = Orders { queue_max: 1, workers: 1, discipline: Discipline::Priority, ..Orders::default() };
        let app = TestApp::with(kind).with_orders(orders).start().await;
        app.create("A", 1_000_000).await;
        let place_under = |key: &String| {
            app.call(Method::POST, "/v1/orders").header("idempotency-key", key).json(&one())
        };
        let (mut paths, mut refused) = (Vec::new(), 0);
        // How many there is room for is a matter of how fast they have their turn.
        while refused == 0 {
            let keys: Vec<String> = (0..AT_ONCE).map(|at| format!("k{}", paths.len() + at)).collect();
            let answers = loop {
                let answers = all(keys.iter().map(place_under)).await;
                let full: Vec<&Answer> = answers.iter().filter(|answer| answer.status != 202).collect();
                for answer in &full {
                    assert_eq!(answer.assert_problem(503, "queue-full").at("/applied"), "no");
                }
                if full.is_empty() {
                    break answers;
                }
                refused += full.len();
            };
            paths.extend(answers.iter().map(place));
        }
        for path in &paths {
            assert_eq!(over(&app, path).await.at("/state"), "fulfilled");
        }
        assert_eq!(app.level("A").await.0, 1_000_000 - paths.len() as u64, "each was carried out once");
    }

    /// Nobody waits for stock while the service ends: whoever does is told how things are, and the order is there afterwards.
    async fn a_wait_ends_with_the_service(kind: StrategyKind) {
        let app = TestApp::with(kind).with_request_timeout(Duration::from_hours(1));
        let mut app = app.start().await;
        app.create("A", 1).await;
        let path = backordered(&app, "A", 2).await;
        let mut connection = app.connect().await;
        let body = json!({"lines": [{"sku": "A", "quantity": 2}], "backorder": true}).to_string();
        let head = format!(
            "POST /v1/orders HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nPrefer: wait=60\r\n\
             Content-Length: {}\r\nExpect: 100-continue\r\n\r\n",
            body.len()
        );
        connection.write(head).await;
        // It is being read: the shutdown does not keep it from being answered.
        connection.answer().await.assert_status(100);
        connection.write(body).await;
        app.begin_shutdown();
        let answer = connection.answer().await;
        let waiting = place(answer.assert_status(202));
        assert_eq!(app.drained().await, Drained::Clean);
        let app = TestApp::over(kind, app.data()).start().await;
        for path in [path, waiting] {
            assert!(app.get(&path).await.assert_status(200).at("/fulfilled_at").is_null());
        }
    }
}

/// What was left of a level that no server has.
fn on_hand(data: &tempfile::TempDir) -> u64 {
    let file = data.path().with_extension("ndjson");
    let mut export = Command::new(env!("CARGO_BIN_EXE_inventory"));
    export.args(["export", "--data-dir"]).arg(data.path()).arg("--ndjson").arg(&file);
    assert!(export.output().expect("the executable").status.success());
    let text = std::fs::read_to_string(&file).expect("an export");
    std::fs::remove_file(&file).expect("it is there");
    let level: Value = serde_json::from_str(text.lines().next().expect("a level")).expect("JSON");
    level["on_hand"].as_u64().expect("a number")
}

/// Orders that a server has accepted: their paths.
async fn accepted(server: &Server, orders: usize) -> Vec<String> {
    server.put("/v1/stock/A", &json!({"on_hand": 1_000})).await.assert_status(201);
    let calls = (0..orders).map(|_| server.call(Method::POST, "/v1/orders").json(&one()));
    all(calls).await.iter().map(|answer| place(answer.assert_status(202))).collect()
}

/// Each was carried out once, or will be before it is told.
async fn assert_all_there(server: &Server, paths: &[String]) {
    for path in paths {
        let order = server.call(Method::GET, path).header("prefer", "wait=25").send().await;
        assert_eq!(order.assert_status(200).at("/state"), "fulfilled", "{}", order.text());
    }
    let level = server.get("/v1/stock/A").await;
    assert_eq!(level.number("/on_hand"), 1_000 - paths.len() as u64);
}

/// P7: what is queued when the service is asked to end has its turn first.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_queued_has_its_turn_before_the_service_ends() {
    let server = Server::start(StrategyKind::Atomic);
    let paths = accepted(&server, 64).await;
    let data = server.data();
    let (code, said) = server.terminate();
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(on_hand(&data), 1_000 - 64, "all of them had their turn");
    assert_all_there(&Server::over(StrategyKind::Sharded, data), &paths).await;
}

/// P7: what did not have its turn in the time there was, is there after the next start, and so it is after a crash.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_accepted_is_there_after_any_end() {
    let data = std::sync::Arc::new(tempfile::TempDir::new().expect("a temporary folder"));
    let hurried = ["--shutdown-grace", "1ms", "--order-workers", "1"];
    let server = Server::with_arguments(StrategyKind::Mutex, std::sync::Arc::clone(&data), &hurried);
    let paths = accepted(&server, 64).await;
    let (_, said) = server.terminate();
    assert!(!said.contains("panicked"), "{said}");
    assert_all_there(&Server::over(StrategyKind::Atomic, data), &paths).await;

    let server = Server::start(StrategyKind::Partitioned);
    let paths = accepted(&server, 64).await;
    assert_all_there(&server.kill_and_restart(), &paths).await;
}
