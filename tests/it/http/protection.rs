//! A handler that panics or never ends is answered with a problem, and harms no other request: the stack around routes that
//! no service has.

use std::future::pending;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::http::Method;
use axum::routing::{get, post};
use inventory::config::Config;
use inventory::http::problem::{Problem, ProblemKind as Named};
use inventory::http::server::{self, Entrance, counts::Connections};
use inventory::http::{HttpConfig, HttpState, stack};
use inventory::strategy::StrategyKind;
use tokio::net::TcpListener;

use crate::support::app::WATCHDOG;
use crate::support::app::answer::Answer;
use crate::support::app::raw::Raw;

/// Routes that fail in every way, with the stack around them and that much time for a request.
async fn start(request_timeout: Duration) -> SocketAddr {
    let failing = Router::new()
        .route("/panic", get(async || -> &'static str { panic!("on purpose") }))
        .route("/panic-late", post(panic_late))
        .route("/panic-oddly", get(async || -> &'static str { std::panic::panic_any(7_u8) }))
        .route("/never", get(pending::<&'static str>))
        .route("/unready", get(async || Problem::new(Named::NotReady, "on purpose")))
        .route("/well", get(async || "well"));
    let config = HttpConfig { request_timeout, ..Config::new(StrategyKind::Mutex).http };
    let state: &'static HttpState = Box::leak(Box::new(HttpState::new(StrategyKind::Mutex, &config)));
    let router = stack::around(failing, state, &config, false);
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("a bound listener");
    let connections: &'static Connections = Box::leak(Box::default());
    let listeners = vec![listener.into()];
    let entrance = Entrance { listeners, router, tls: None, connections_max: 10, is_public: true };
    let config = Config::new(StrategyKind::Mutex).server;
    tokio::spawn(server::serve(vec![entrance], config, connections, pending(), |_| ()));
    address
}

/// Waits first, so that the panic is in a later poll than the first.
async fn panic_late(body: String) -> &'static str {
    tokio::task::yield_now().await;
    panic!("on purpose, after {body}")
}

async fn ask(connection: &mut Raw, method: &Method, path: &str) -> Answer {
    let request =
        format!("{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nX-Request-Id: mine\r\n\r\nhi");
    connection.write(request).await;
    let answer = connection.answer().await;
    assert_eq!(answer.header("x-request-id"), "mine", "failures are named, too");
    answer
}

/// A panic is a 500 that does not know whether the change was made; the connection and the service go on.
#[tokio::test]
async fn a_panic_is_a_problem() {
    let address = start(WATCHDOG).await;
    let mut connection = Raw::connect(address).await;
    for (method, path) in
        [(Method::GET, "/panic"), (Method::POST, "/panic-late"), (Method::GET, "/panic-oddly")]
    {
        let failed = ask(&mut connection, &method, path).await;
        failed.assert_problem(500, "internal-error");
        assert_eq!(failed.at("/applied"), "unknown");
        assert!(!failed.text().contains("on purpose"), "the inside stays inside");
        assert_eq!(ask(&mut connection, &Method::GET, "/well").await.assert_status(200).text(), "well");
    }
}

/// A handler that never ends is a 503 at the request timeout, in doubt; meanwhile others are served.
#[tokio::test]
async fn a_request_that_never_ends_is_answered() {
    // Short, so that the test is: only what never ends is up against it, since whoever is well answers at once.
    let address = start(Duration::from_millis(50)).await;
    let (mut stuck, mut other) = (Raw::connect(address).await, Raw::connect(address).await);
    let (timed_out, ()) = tokio::join!(ask(&mut stuck, &Method::GET, "/never"), async {
        for _ in 0..20 {
            ask(&mut other, &Method::GET, "/well").await.assert_status(200);
        }
    });
    timed_out.assert_problem(503, "request-timeout");
    assert_eq!((timed_out.at("/applied"), timed_out.header("retry-after")), ("unknown".into(), "1"));
    ask(&mut stuck, &Method::GET, "/well").await.assert_status(200);
}

/// What was not begun says so.
#[tokio::test]
async fn what_was_not_begun_was_not_applied() {
    let mut connection = Raw::connect(start(WATCHDOG).await).await;
    let refused = ask(&mut connection, &Method::GET, "/unready").await;
    assert_eq!(refused.assert_problem(503, "not-ready").at("/applied"), "no");
}
