//! A service that has not yet read what is on disk (P7): it says so, and shows nothing.

use std::sync::Arc;
use std::sync::mpsc;

use axum::http::Method;
use inventory::app::{App, Listening};
use inventory::config::Config;
use inventory::store::{Keeping, Storage};
use inventory::strategy::StrategyKind;
use serde_json::json;
use tempfile::TempDir;
use tokio::net::TcpListener;

use crate::support::app::{Call, WATCHDOG, client};
use crate::support::process::Server;

/// P7: until recovery is over, readiness and every request of stock answer 503, and changes are told `"applied": "no"`.
///
/// Recovery runs on the one thread that the runtime has for what blocks, and that is held by the test.
#[test]
fn until_recovery_is_over_nothing_is_shown() {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(2).max_blocking_threads(1).enable_all().build().unwrap();
    runtime.block_on(async {
        let data = Arc::new(TempDir::new().unwrap());
        let server = Server::over(StrategyKind::Atomic, Arc::clone(&data));
        server.put("/v1/stock/wool", &json!({ "on_hand": 4 })).await.assert_status(201);
        server.kill();
        let (release, held) = mpsc::channel::<()>();
        let holds = tokio::task::spawn_blocking(move || _ = held.recv());
        let storage = Storage::Folder { path: data.path().to_owned(), keeping: Keeping::default() };
        let app = App::build(Config { storage, ..Config::new(StrategyKind::Atomic) }).unwrap();
        let opened = app.opened();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let service = tokio::spawn(app.serve(Listening::at(listener), std::future::pending()));
        let client = client();
        let call = |method, path| Call::new(&client, method, &url, path);
        call(Method::GET, "/readyz").send().await.assert_status(503);
        call(Method::GET, "/livez").send().await.assert_status(200);
        call(Method::GET, "/v1/stock/wool").send().await.assert_problem(503, "not-ready");
        call(Method::GET, "/v1/movements").send().await.assert_problem(503, "not-ready");
        let put = call(Method::PUT, "/v1/stock/silk").json(&json!({ "on_hand": 1 })).send().await;
        put.assert_problem(503, "not-ready");
        assert_eq!(put.at("/applied"), "no");
        drop(release);
        holds.await.unwrap();
        tokio::time::timeout(WATCHDOG, opened).await.expect("recovery is over");
        call(Method::GET, "/readyz").send().await.assert_status(200);
        call(Method::GET, "/v1/stock/wool").send().await.assert_level(200, 4, 1);
        call(Method::GET, "/v1/stock/silk").send().await.assert_problem(404, "stock-not-found");
        service.abort();
    });
}
