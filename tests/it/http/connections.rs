//! Connections: several requests on one, one after the other or at once, and their bounds (P10).

use std::time::Duration;

use axum::http::Method;
use inventory::strategy::StrategyKind;
use serde_json::json;

use crate::support::app::raw::Raw;
use crate::support::app::{TestApp, contract};

/// Short enough not to be waited for, and measured nowhere. Only what never comes may be up against it: anything else is too
/// late for it on a busy machine.
const SHORT: Duration = Duration::from_millis(50);

const LIVEZ: &str = "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n";

fn adjust(delta: &str) -> String {
    let body = format!("{{\"delta\":{delta}}}");
    let length = body.len();
    format!(
        "POST /v1/stock/A/adjust HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    )
}

/// A connection carries request after request, refused ones included.
#[tokio::test]
async fn a_connection_is_kept_alive() {
    let app = TestApp::stocked(StrategyKind::Atomic, &[("A", 1)]).await;
    let mut connection = app.connect().await;
    for version in 2..=10 {
        connection.write(adjust("1")).await;
        connection.answer().await.assert_level(200, version, version);
        connection.write(adjust("-99")).await;
        connection.answer().await.assert_problem(409, "insufficient-stock");
        connection.write("GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n").await;
        connection.answer().await.assert_problem(404, "not-found");
    }
    connection.write("GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
    connection.answer().await.assert_status(200);
    assert!(connection.rest().await.is_empty(), "closed, as asked");
}

/// Requests sent without waiting are answered in their order, each with the effect of those before it.
#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let app = TestApp::stocked(StrategyKind::Atomic, &[("A", 1)]).await;
    let mut connection = app.connect().await;
    // One round adds 2, asks for too much, takes 2, and asks for half a unit.
    connection.write(["2", "-9", "-2", "0.5"].map(adjust).concat().repeat(20)).await;
    for round in 0..20 {
        connection.answer().await.assert_level(200, 3, 2 * round + 2);
        connection.answer().await.assert_problem(409, "insufficient-stock");
        connection.answer().await.assert_level(200, 1, 2 * round + 3);
        let malformed = connection.answer().await;
        contract::check(&Method::POST, "/v1/stock/A/adjust", malformed.assert_fields(&["/delta"]));
    }
}

/// The answer to a change that was made is sent, whatever stands behind its request: a stray line end (RFC 9112,
/// section 2.2), or a head of which the rest never comes.
#[tokio::test]
async fn what_follows_a_request_does_not_hold_its_answer_back() {
    let app = TestApp::stocked(StrategyKind::Atomic, &[("A", 1)]).await;
    for (version, behind) in (2..).zip(["\r\n", "\n", "G", "GET /liv"]) {
        let mut connection = app.connect().await;
        connection.write(adjust("1") + behind).await;
        connection.answer().await.assert_level(200, version, version);
    }
}

/// P10: a client that takes nothing of its answers loses its connection, and with it its slot.
#[tokio::test]
async fn a_client_that_never_reads_is_cut_off() {
    let app =
        TestApp::with(StrategyKind::Atomic).with_connections_max(1).with_write_timeout(SHORT).start().await;
    let mut deaf = app.connect().await;
    // Far more than the socket's buffers hold: each answer is some forty kilobytes.
    deaf.write("GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n".repeat(1_000)).await;
    // The only slot there is: this is answered when the other is out.
    let mut next = app.connect().await;
    next.write(LIVEZ).await;
    next.answer().await.assert_status(200);
    drop(deaf);
}

/// A request in pieces of one byte is a request.
#[tokio::test]
async fn a_request_may_come_byte_by_byte() {
    let app = TestApp::stocked(StrategyKind::Atomic, &[("A", 1)]).await;
    let mut connection = app.connect().await;
    for byte in adjust("4").bytes() {
        connection.write([byte]).await;
        tokio::task::yield_now().await;
    }
    connection.answer().await.assert_level(200, 5, 2);
}

/// P10: half a head is cut off at the idle timeout at the latest, and so is a connection that idles before or between requests.
#[tokio::test]
async fn half_a_head_is_cut_off() {
    let app = TestApp::with(StrategyKind::Atomic).with_idle_timeout(SHORT).start().await;
    for beginning in ["", "G", "GET /livez HTTP/1.1\r\n", "GET /livez HTTP/1.1\r\nHost: x\r\n"] {
        let mut connection = app.connect().await;
        connection.write(beginning).await;
        // It ends; what it is told, if anything, is an error of the client.
        let told = String::from_utf8(connection.rest().await).expect("text");
        assert!(told.is_empty() || told.starts_with("HTTP/1.1 4"), "{told}");
    }
    let mut idle = Raw::connect_with(app.address, LIVEZ);
    idle.answer().await.assert_status(200);
    assert!(idle.rest().await.is_empty(), "an idle connection ends");
}

/// P10: so does one that idles after any answer: one without a body, one that is made piece by piece, one that says how long it is.
#[tokio::test]
async fn who_idles_after_any_answer_is_cut_off() {
    let app = TestApp::stocked(StrategyKind::Atomic, &[("A", 5), ("B", 0)]).await;
    let tag = app.get("/v1/stock/A").await.header("etag").to_owned();
    app.post("/v1/backup", &json!({ "name": "b" })).await.assert_status(201);
    let app = TestApp::over(StrategyKind::Atomic, app.end().await).with_idle_timeout(SHORT).start().await;
    let host = "Host: x\r\n";
    for (request, status) in [
        (format!("GET /v1/stock/A HTTP/1.1\r\n{host}If-None-Match: {tag}\r\n\r\n"), 304),
        (format!("HEAD /v1/stock/A HTTP/1.1\r\n{host}\r\n"), 200),
        (format!("DELETE /v1/stock/B HTTP/1.1\r\n{host}\r\n"), 204),
        (format!("GET /v1/stock/A HTTP/1.1\r\n{host}\r\n"), 200),
        (format!("GET /v1/export HTTP/1.1\r\n{host}\r\n"), 200),
        (format!("GET /v1/backups/b HTTP/1.1\r\n{host}\r\n"), 200),
    ] {
        // It is read to the end of the connection, which nobody but the service brings about.
        let answer = Raw::connect_with(app.address, request.as_bytes()).rest().await;
        assert!(answer.starts_with(format!("HTTP/1.1 {status} ").as_bytes()), "{request}");
    }
}

/// P10: a body that never comes is 408, and not in doubt: nothing is begun before all of it is there. So it is in every route that
/// takes one.
#[tokio::test]
async fn half_a_body_is_answered_at_the_request_timeout() {
    let stock = TestApp::stocked(StrategyKind::Atomic, &[("A", 1)]).await.end().await;
    let app = TestApp::over(StrategyKind::Atomic, stock).with_request_timeout(SHORT).start().await;
    for (method, path) in [
        (Method::POST, "/v1/stock/A/adjust"),
        (Method::PUT, "/v1/stock/A"),
        (Method::DELETE, "/v1/stock/A"),
        (Method::POST, "/v1/adjustments"),
        (Method::POST, "/v1/transfers"),
        (Method::POST, "/v1/backup"),
    ] {
        for framing in ["Content-Length: 11", "Transfer-Encoding: chunked"] {
            if method == Method::DELETE && framing.starts_with("Content-Length") {
                // It takes no body, and does not wait for one that is announced.
                continue;
            }
            let mut connection = app.connect().await;
            let head = format!("{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json");
            let begun = if method == Method::DELETE { "" } else { "1\r\n{\r\n" };
            connection.write(format!("{head}\r\n{framing}\r\n\r\n{begun}")).await;
            let answer = connection.answer().await;
            contract::check(&method, path, answer.assert_problem(408, "request-timeout"));
            assert_eq!((answer.at("/applied"), answer.header("connection")), ("no".into(), "close"));
        }
    }
    let app = TestApp::over(StrategyKind::Atomic, app.end().await).start().await;
    assert_eq!(app.level("A").await, (1, 1));
}

/// P10: no more connections than the bound are served; a further one waits, and is served when one is over.
#[tokio::test]
async fn connections_are_bounded() {
    let app = TestApp::with(StrategyKind::Atomic).with_connections_max(2).start().await;
    let (mut first, mut second) = (app.connect().await, app.connect().await);
    for connection in [&mut first, &mut second] {
        connection.write(LIVEZ).await;
        connection.answer().await.assert_status(200);
    }
    let mut third = app.connect().await;
    third.write(LIVEZ).await;
    // Both are served a hundred times more while the third waits.
    for _ in 0..100 {
        for connection in [&mut first, &mut second] {
            connection.write(LIVEZ).await;
            connection.answer().await.assert_status(200);
        }
    }
    assert!(third.has_nothing(), "the third is not served beside them");
    drop(first);
    third.answer().await.assert_status(200);
}

/// A body that breaks off in what are no chunks is answered, and the answer says that it is the last of its connection and is not lost
/// to a reset, however much the client sends behind it: where the next request would begin, nobody knows.
#[tokio::test]
async fn a_broken_body_ends_its_connection_with_an_answer() {
    let app = TestApp::stocked(StrategyKind::Atomic, &[("A", 1)]).await;
    let head = "POST /v1/stock/A/adjust HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n\
                Transfer-Encoding: chunked\r\n\r\n";
    for broken in ["xyz\r\n", "b\r\n{\"delta\":1}0\r\n\r\n", "fffffffffffffffff\r\n"] {
        let mut connection = app.connect().await;
        connection.write(format!("{head}{broken}")).await;
        // More than the socket's buffers hold: it is taken until the answer is read.
        let sent = connection.send("z".repeat(1 << 20)).await;
        let answer = connection.answer().await;
        answer.assert_problem(400, "invalid-request");
        assert_eq!(answer.header("connection"), "close", "{broken:?}, {sent:?}");
    }
    // Half a body, and no more to come: the client can still be told.
    let mut connection = app.connect().await;
    connection.write(format!("{head}5\r\n{{")).await;
    connection.end().await;
    let answer = connection.answer().await;
    answer.assert_problem(400, "invalid-request");
    assert_eq!(answer.header("connection"), "close");
    assert_eq!(app.level("A").await, (1, 1));
}

/// What is not HTTP is told so, or cut off, and nobody else notices.
#[tokio::test]
async fn what_is_not_http_harms_nobody() {
    let app = TestApp::stocked(StrategyKind::Atomic, &[("A", 1)]).await;
    let many_headers = "GET / HTTP/1.1\r\n".to_owned() + &"A: b\r\n".repeat(1_000) + "\r\n";
    let long_path = format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(1 << 20));
    for garbage in ["\0\0\0\0", "hello\r\n\r\n", "GET / HTTP/9.9\r\n\r\n", &many_headers, &long_path] {
        let mut connection = app.connect().await;
        connection.write(garbage).await;
        connection.end().await;
        let told = connection.rest().await;
        assert!(told.is_empty() || told.starts_with(b"HTTP/1.1 4"), "{}", String::from_utf8_lossy(&told));
    }
    assert_eq!(app.level("A").await, (1, 1));
}
