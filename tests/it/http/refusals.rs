//! A refusal that is made before the body has come is read by a client that sends all of it first, as most do; and what is thrown away
//! for its sake is bounded, in bytes and in time (P10).

use std::time::Duration;

use axum::http::Method;
use inventory::http::server::Drained;
use inventory::strategy::StrategyKind;

use crate::support::app::answer::Answer;
use crate::support::app::raw::Raw;
use crate::support::app::{TestApp, contract};

const MIB: usize = 1024 * 1024;
/// More than the buffers of both sockets ever hold, and less than is thrown away.
const LONG: usize = 16 * MIB;
/// More than is thrown away, and these buffers, hold.
const ENDLESS: usize = 64 * MIB;

/// Headers of a body that would be taken, were it not for its length.
const JSON: &str = "Content-Type: application/json\r\n";
const TEXT: &str = "Content-Type: text/plain\r\n";

/// What is refused by the head alone, or by the beginning of the body: the request, how long its body is, and the answer.
const EARLY: [(&str, &str, &str, usize, u16, &str); 14] = [
    ("POST", "/v1/stock/A/adjust", JSON, LONG, 413, "request-too-large"),
    ("PUT", "/v1/stock/A", JSON, LONG, 413, "request-too-large"),
    ("POST", "/v1/adjustments", JSON, LONG, 413, "request-too-large"),
    ("POST", "/v1/transfers", JSON, LONG, 413, "request-too-large"),
    ("POST", "/v1/stock/A/adjust", "", LONG, 415, "unsupported-media-type"),
    ("POST", "/v1/import", TEXT, LONG, 415, "unsupported-media-type"),
    ("POST", "/v1/import", TEXT, 200, 415, "unsupported-media-type"),
    ("POST", "/v1/imports", TEXT, LONG, 404, "not-found"),
    ("PUT", "/v1/stock/A/adjust", JSON, LONG, 405, "method-not-allowed"),
    ("DELETE", "/v1/stock/A", JSON, LONG, 400, "invalid-request"),
    ("POST", "/v1/stock/A/adjust", "If-None-Match: x\r\n", LONG, 400, "invalid-request"),
    ("POST", "/v1/adjustments", "Idempotency-Key: a b\r\n", LONG, 400, "invalid-request"),
    ("POST", "/v1/stock/A%00/adjust", JSON, LONG, 422, "validation-failed"),
    ("POST", "/v1/stock/A/adjust?colour=red", JSON, LONG, 422, "validation-failed"),
];

async fn start() -> TestApp {
    TestApp::stocked(StrategyKind::Atomic, &[("A", 1)]).await
}

fn head(method: &str, path: &str, headers: &str) -> String {
    format!("{method} {path} HTTP/1.1\r\nHost: x\r\n{headers}\r\n")
}

/// A body of that length: as it is, or in chunks.
fn body(length: usize, chunked: bool) -> (String, Vec<u8>) {
    let bytes = vec![b' '; length];
    if !chunked {
        return (format!("Content-Length: {length}\r\n"), bytes);
    }
    let chunk = |chunk: &[u8]| [format!("{:x}\r\n", chunk.len()).as_bytes(), chunk, b"\r\n"].concat();
    let chunks: Vec<u8> = bytes.chunks(10_000).flat_map(chunk).chain(*b"0\r\n\r\n").collect();
    ("Transfer-Encoding: chunked\r\n".to_owned(), chunks)
}

/// Sends a whole request before it reads, in two parts as most clients do.
async fn send_then_read(app: &TestApp, head: &str, body: &[u8]) -> (Raw, Answer) {
    let mut connection = app.connect().await;
    connection.send(head).await.expect("the head is taken");
    connection.send(body).await.unwrap_or_else(|error| panic!("sending the body of {head}: {error}"));
    let answer = connection.answer().await;
    (connection, answer)
}

#[tokio::test]
async fn a_client_that_sends_all_before_it_reads_is_told() {
    let app = start().await;
    for (method, path, headers, length, status, problem) in EARLY {
        for chunked in [false, true] {
            let (framing, body) = body(length, chunked);
            let head = head(method, path, &format!("{headers}{framing}"));
            let (connection, answer) = send_then_read(&app, &head, &body).await;
            contract::check(&method.parse().unwrap(), path, answer.assert_problem(status, problem));
            if length > 64 * 1024 {
                assert_eq!(answer.header("connection"), "close", "{head}");
                assert!(connection.rest().await.is_empty(), "{head}");
            }
        }
    }
    assert_eq!(app.level("A").await, (1, 1), "nothing was changed");
}

/// What is answered without a look at the body, and is no refusal, is read as well.
#[tokio::test]
async fn a_body_that_nobody_looks_at_does_not_spoil_the_answer() {
    let app = start().await;
    for (method, path) in [("GET", "/v1/stock/A"), ("POST", "/v1/verify"), ("GET", "/v1/export")] {
        let head = head(method, path, &format!("Content-Length: {LONG}\r\n"));
        let (_, answer) = send_then_read(&app, &head, &vec![b'x'; LONG]).await;
        answer.assert_status(200);
    }
}

/// What is refused after the state of the stock was looked at, and before the body has come: an import beside another one.
#[tokio::test]
async fn an_import_beside_another_is_told() {
    let app = start().await;
    let ndjson = "Content-Type: application/x-ndjson\r\n";
    let mut first = app.connect().await;
    let first_head =
        head("POST", "/v1/import", &format!("{ndjson}Expect: 100-continue\r\nContent-Length: 99\r\n"));
    first.write(first_head).await;
    first.answer().await.assert_status(100);
    let (framing, body) = body(LONG, false);
    let second_head = head("POST", "/v1/import", &format!("{ndjson}{framing}"));
    let (_, answer) = send_then_read(&app, &second_head, &body).await;
    answer.assert_problem(409, "already-running");
}

/// Who asks first whether to send is told no, and not to go on.
#[tokio::test]
async fn who_asks_before_sending_is_told_at_once() {
    let app = start().await;
    for (method, path, headers, length, status, problem) in EARLY {
        let framing = format!("Expect: 100-continue\r\nContent-Length: {length}\r\n");
        let mut connection = app.connect().await;
        connection.write(head(method, path, &format!("{headers}{framing}"))).await;
        let answer = connection.answer().await;
        answer.assert_problem(status, problem);
        assert_eq!(answer.header("connection"), "close");
        assert!(connection.rest().await.is_empty());
    }
}

/// A refused body that is there already costs nobody the connection.
#[tokio::test]
async fn a_small_refused_body_does_not_end_the_connection() {
    let app = start().await;
    let mut connection = app.connect().await;
    for chunked in [false, true] {
        let (framing, body) = body(1_000, chunked);
        let request = [head("POST", "/v1/import", &format!("{TEXT}{framing}")).as_bytes(), &body].concat();
        for _ in 0..3 {
            connection.send(&request).await.expect("it is open");
            let answer = connection.answer().await;
            answer.assert_problem(415, "unsupported-media-type");
            assert_eq!(answer.header("connection"), "");
        }
    }
}

/// A head that is refused by its length, or is none, is answered readably as well.
#[tokio::test]
async fn a_head_that_is_refused_is_told() {
    let app = start().await;
    let long_path = format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "x".repeat(LONG));
    let many_headers = format!("GET / HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(MIB / 2));
    let garbage = "hello\r\n\r\n".repeat(MIB / 4);
    for request in [long_path, many_headers, garbage] {
        let mut connection = app.connect().await;
        connection.send(&request).await.expect("it is taken");
        let status = connection.answer().await.status;
        assert!((400..=431).contains(&status), "{status}");
    }
}

/// P10: no more is thrown away than the bound says: then the connection ends, and its slot is free.
#[tokio::test]
async fn what_is_thrown_away_is_bounded_in_bytes() {
    let app = TestApp::with(StrategyKind::Atomic).with_connections_max(1).with_linger_bytes(MIB as u64);
    let app = app.start().await;
    let mut connection = app.connect().await;
    connection.write(head("POST", "/v1/import", &format!("{TEXT}Content-Length: {ENDLESS}\r\n"))).await;
    connection.send(&vec![b' '; ENDLESS]).await.expect_err("not all of it is taken");
    app.get("/livez").await.assert_status(200);
}

/// P10: a client that neither sends nor goes away is waited for as long as the bound says.
#[tokio::test]
async fn what_is_waited_for_is_bounded_in_time() {
    // Short, so that the test is: nothing comes within it, or later.
    const SHORT: Duration = Duration::from_millis(50);
    let app = || TestApp::with(StrategyKind::Atomic).with_connections_max(1);
    for app in [app().with_linger_time(SHORT), app().with_linger_pause(SHORT)] {
        let app = app.start().await;
        let mut connection = app.connect().await;
        connection.write(head("POST", "/v1/import", &format!("{TEXT}Content-Length: {ENDLESS}\r\n"))).await;
        connection.answer().await.assert_problem(415, "unsupported-media-type");
        app.get("/livez").await.assert_status(200);
        drop(connection);
    }
}

/// P10: a connection that is only drained is one of those there may be.
#[tokio::test]
async fn a_drained_connection_is_counted() {
    let app = TestApp::with(StrategyKind::Atomic).with_connections_max(1).start().await;
    let mut connection = app.connect().await;
    connection.write(head("POST", "/v1/import", &format!("{TEXT}Content-Length: {ENDLESS}\r\n"))).await;
    connection.answer().await.assert_problem(415, "unsupported-media-type");
    let mut next = app.connect().await;
    next.write("GET /livez HTTP/1.1\r\nHost: x\r\n\r\n").await;
    for _ in 0..100 {
        connection.send(&vec![b' '; MIB / 4]).await.expect("it is taken");
    }
    assert!(next.has_nothing(), "the next is not served beside it");
    drop(connection);
    next.answer().await.assert_status(200);
}

/// A shutdown waits for nobody who has been answered.
#[tokio::test]
async fn a_drain_ends_at_shutdown() {
    let mut app = start().await;
    let mut connection = app.connect().await;
    connection.write(head("POST", "/v1/import", &format!("{TEXT}Content-Length: {ENDLESS}\r\n"))).await;
    let answer = connection.answer().await;
    contract::check(&Method::POST, "/v1/import", answer.assert_problem(415, "unsupported-media-type"));
    app.begin_shutdown();
    assert_eq!(app.drained().await, Drained::Clean);
    assert!(connection.rest().await.is_empty());
}
