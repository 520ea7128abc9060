//! Bodies: how long they may be (P10), and how they must be declared.

use axum::http::Method;
use inventory::strategy::StrategyKind;
use serde_json::json;

use crate::support::app::TestApp;
use crate::support::app::answer::Answer;
use crate::support::app::raw::Raw;

const KIB_64: usize = 64 * 1024;
const MIB_4: usize = 4 * 1024 * 1024;

/// Each route with a body, and how long that may be.
const LIMITS: [(&str, &str, usize); 4] = [
    ("PUT", "/v1/stock/B", KIB_64),
    ("POST", "/v1/stock/A/adjust", KIB_64),
    ("POST", "/v1/adjustments", MIB_4),
    ("POST", "/v1/transfers", MIB_4),
];

fn head(method: &str, path: &str, length: &str) -> String {
    format!("{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n{length}\r\n\r\n")
}

async fn start() -> TestApp {
    TestApp::stocked(StrategyKind::Atomic, &[("A", 1)]).await
}

/// A body with a length over the limit is refused by its head: not a byte of it need be sent.
#[tokio::test]
async fn a_declared_length_over_the_limit_is_refused_at_once() {
    let app = start().await;
    for (method, path, limit) in LIMITS {
        let mut connection = app.connect().await;
        connection.write(head(method, path, &format!("Content-Length: {}", limit + 1))).await;
        connection.answer().await.assert_problem(413, "request-too-large");
        let mut connection = app.connect().await;
        connection.write(head(method, path, "Content-Length: 1099511627776")).await;
        connection.answer().await.assert_problem(413, "request-too-large");
    }
}

/// Sends chunks until one byte over the limit was sent, or the service has had enough.
async fn send_chunked(connection: &mut Raw, method: &str, path: &str, bytes: usize) -> Answer {
    connection.write(head(method, path, "Transfer-Encoding: chunked")).await;
    let chunk = " ".repeat(KIB_64 / 2);
    for _ in 0..bytes / chunk.len() {
        connection.write(format!("{:x}\r\n{chunk}\r\n", chunk.len())).await;
    }
    let rest = bytes % chunk.len();
    let last = if rest > 0 { format!("{rest:x}\r\n{}\r\n", &chunk[..rest]) } else { String::new() };
    connection.write(format!("{last}0\r\n\r\n")).await;
    connection.answer().await
}

/// A body of no declared length is read up to the limit and no further; one of exactly the limit is read whole.
#[tokio::test]
async fn a_body_in_chunks_is_bounded_as_well() {
    let app = start().await;
    for (method, path, limit) in LIMITS {
        let mut connection = app.connect().await;
        let at_the_limit = send_chunked(&mut connection, method, path, limit).await;
        at_the_limit.assert_problem(400, "invalid-request");
        let over = send_chunked(&mut connection, method, path, limit + 1).await;
        over.assert_problem(413, "request-too-large");
    }
}

/// A body of exactly the limit is taken, and applied.
#[tokio::test]
async fn a_body_at_the_limit_is_taken() {
    let app = start().await;
    let padded = |text: &str, length: usize| text.to_owned() + &" ".repeat(length - text.len());
    app.post_bytes("/v1/stock/A/adjust", padded("{\"delta\":1}", KIB_64)).await.assert_level(200, 2, 2);
    let lines = "{\"lines\":[{\"sku\":\"A\",\"delta\":1}]}";
    app.post_bytes("/v1/adjustments", padded(lines, MIB_4)).await.assert_status(200);
    app.post_bytes("/v1/stock/A/adjust", padded("{\"delta\":1}", KIB_64 + 1))
        .await
        .assert_problem(413, "request-too-large");
    assert_eq!(app.level("A").await, (3, 3));
}

/// A body must be declared as JSON, in whatever spelling, and uncompressed.
#[tokio::test]
async fn the_type_of_a_body_must_be_json() {
    let app = start().await;
    let send = async |method: Method, path: &str, headers: &[(&str, &str)]| {
        let call = app.call(method, path).body("{\"delta\":1}");
        headers.iter().fold(call, |call, (name, value)| call.header(name, value)).send().await
    };
    let refused: [&[(&str, &str)]; 7] = [
        &[],
        &[("content-type", "")],
        &[("content-type", "text/plain")],
        &[("content-type", "application/x-www-form-urlencoded")],
        &[("content-type", "application/jsonp")],
        &[("content-type", "application/json"), ("content-encoding", "gzip")],
        &[("content-type", "application/json"), ("content-encoding", "identity, br")],
    ];
    for headers in refused {
        for (method, path, _) in LIMITS {
            let method = method.parse::<Method>().unwrap();
            let answer = send(method, path, headers).await;
            answer.assert_problem(415, "unsupported-media-type");
        }
    }
    assert_eq!(app.level("A").await, (1, 1));
    let taken: [&[(&str, &str)]; 4] = [
        &[("content-type", "application/json; charset=utf-8")],
        &[("content-type", "Application/JSON")],
        &[("content-type", "application/vnd.stock+json")],
        &[("content-type", "application/json"), ("content-encoding", "identity")],
    ];
    for (version, headers) in (2..).zip(taken) {
        send(Method::POST, "/v1/stock/A/adjust", headers).await.assert_level(200, version, version);
    }
}

/// What is declared as too long or of another type is refused before it is read, and before anything else is said of it.
#[tokio::test]
async fn a_refused_body_does_not_spoil_the_connection_for_others() {
    let app = start().await;
    let mut refused = app.connect().await;
    let mut other = app.connect().await;
    refused.write(head("POST", "/v1/stock/A/adjust", &format!("Content-Length: {MIB_4}"))).await;
    refused.answer().await.assert_problem(413, "request-too-large");
    // What the service does not want to read it does not wait for: the connection ends.
    assert!(refused.rest().await.is_empty());
    other.write("GET /v1/stock/A HTTP/1.1\r\nHost: x\r\n\r\n").await;
    other.answer().await.assert_level(200, 1, 1);
    app.post("/v1/stock/A/adjust", &json!({ "delta": 1 })).await.assert_level(200, 2, 2);
}
