//! HTTP/2: who speaks it, and that what is asked over it is what it is over HTTP/1.1.

use axum::http::{HeaderValue, Method};
use http_body_util::BodyExt as _;
use inventory::config::Config;
use inventory::store::{Keeping, Storage};
use inventory::strategy::StrategyKind;
use rustls::pki_types::ServerName;
use serde_json::json;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::tls::Service;
use crate::support::app::http2::{Http2, PREFACE, bodiless, nothing, pieces, request};
use crate::support::app::raw::Raw;
use crate::support::app::{TestApp, WATCHDOG};
use crate::support::certificates::Authority;
use crate::support::for_each_strategy;

const LIVEZ: &str = "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n";

/// Over TLS clients choose: HTTP/2 if they speak it, and HTTP/1.1 if they do not, or do not say.
#[tokio::test]
async fn clients_choose_over_tls() {
    let authority = Authority::new();
    let storage = Storage::Memory(Keeping::default());
    let config = Config { storage, ..Config::new(StrategyKind::Atomic) };
    let service = Service::with(config, &authority.signs("localhost"), None).await;
    let connect = async |protocols: &[&str]| {
        let stream = TcpStream::connect(&service.address).await.expect("a connection");
        let name = ServerName::try_from("localhost").expect("a name");
        authority.client_of(protocols).connect(name, stream).await
    };
    let agreed = async |protocols: &[&str]| {
        let stream = connect(protocols).await.expect("a connection");
        stream.get_ref().1.alpn_protocol().map(<[u8]>::to_vec)
    };
    assert_eq!(agreed(&["http/1.1"]).await.as_deref(), Some(&b"http/1.1"[..]));
    assert_eq!(agreed(&["http/1.1", "h2"]).await.as_deref(), Some(&b"h2"[..]), "it likes that better");
    assert_eq!(agreed(&[]).await, None);
    assert!(connect(&["h3"]).await.is_err());
    let client = Http2::over(connect(&["h2", "http/1.1"]).await.expect("a connection"), None).await;
    client.send(Method::PUT, "/v1/stock/A", "{\"on_hand\":3}").await.assert_level(201, 3, 1);
    client.get("/v1/stock/A").await.assert_level(200, 3, 1);
}

for_each_strategy! {
    /// What is asked over HTTP/2 without TLS is what it is over HTTP/1.1, which is spoken beside it.
    async fn what_is_asked_is_the_same(kind: StrategyKind) {
        let app = TestApp::with(kind).with_http2().start().await;
        let client = Http2::connect(&app).await;
        client.send(Method::PUT, "/v1/stock/A", "{\"on_hand\":3}").await.assert_level(201, 3, 1);
        app.get("/v1/stock/A").await.assert_level(200, 3, 1);
        app.post("/v1/stock/A/adjust", &json!({"delta": 4})).await.assert_level(200, 7, 2);
        client.get("/v1/stock/A").await.assert_level(200, 7, 2);
        let refused = client.send(Method::POST, "/v1/stock/A/adjust", "{\"delta\":-8}").await;
        refused.assert_problem(409, "insufficient-stock");
        client.send(Method::POST, "/v1/stock/A/adjust", "{\"delta\":0.5}").await.assert_fields(&["/delta"]);
        client.get("/nothing").await.assert_problem(404, "not-found");
        let metrics = app.get("/metrics").await;
        for line in ["inventory_http2_connections_total 1\n", "inventory_http2_requests_total 5\n"] {
            assert!(metrics.text().contains(line), "{line}");
        }
    }
}

/// Unless it is asked for, HTTP/2 without TLS is no HTTP, as ever.
#[tokio::test]
async fn it_has_to_be_asked_for() {
    let app = TestApp::start(StrategyKind::Atomic).await;
    let mut connection = app.connect().await;
    connection.write(PREFACE).await;
    connection.end().await;
    let told = connection.rest().await;
    assert!(told.is_empty() || told.starts_with(b"HTTP/1.1 4"), "{told:?}");
    assert!(app.get("/metrics").await.text().contains("inventory_http2_connections_total 0\n"));
}

/// What a connection speaks is told by its first bytes, however they come; a beginning of which the rest does not come is cut off.
#[tokio::test]
async fn the_first_bytes_tell() {
    let app = TestApp::with(StrategyKind::Atomic).with_http2().start().await;
    let adjust = "POST /v1/stock/A/adjust HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n";
    for (request, status) in [(LIVEZ, 200), (adjust, 415)] {
        let mut connection = app.connect().await;
        for byte in request.bytes() {
            connection.write([byte]).await;
            tokio::task::yield_now().await;
        }
        connection.answer().await.assert_status(status);
        connection.write(LIVEZ).await;
        connection.answer().await.assert_status(200);
    }
    let short = std::time::Duration::from_millis(50);
    let app = TestApp::with(StrategyKind::Atomic).with_http2().with_header_timeout(short).start().await;
    assert!(Raw::connect_with(app.address, &PREFACE[..10]).rest().await.is_empty());
    let app = TestApp::with(StrategyKind::Atomic).with_http2().with_idle_timeout(short).start().await;
    assert!(app.connect().await.rest().await.is_empty(), "it idles");
}

/// A hundred requests of one connection are under way at once, each with half of its body, and each is answered.
#[tokio::test]
async fn a_hundred_requests_at_once() {
    let app = TestApp::with(StrategyKind::Atomic).with_http2().start().await;
    app.create("A", 1).await;
    let client = Http2::connect(&app).await;
    let mut begun = Vec::new();
    for _ in 0..100 {
        let (sender, body) = pieces();
        sender.send("{\"delta\"").expect("it is read");
        let (client, asked) = (client.clone(), request(&Method::POST, "/v1/stock/A/adjust", body));
        begun.push((sender, tokio::spawn(async move { client.answer(asked).await })));
    }
    in_flight(&app, 100).await;
    for (sender, _) in &begun {
        sender.send(":1}").expect("it is read");
    }
    for (sender, answered) in begun {
        drop(sender);
        answered.await.expect("no panic").expect("an answer").assert_status(200);
    }
    assert_eq!(app.level("A").await, (101, 101));
    in_flight(&app, 0).await;
}

/// P10: all requests over HTTP/2 together are bounded; one more is refused, and not done.
#[tokio::test]
async fn requests_of_all_connections_are_bounded() {
    let app = TestApp::with(StrategyKind::Atomic).with_http2().with_connections_max(3).start().await;
    let (first, second) = (Http2::connect(&app).await, Http2::connect(&app).await);
    let mut begun = Vec::new();
    for _ in 0..100 {
        let (sender, body) = pieces();
        let (client, asked) = (first.clone(), request(&Method::POST, "/v1/stock/A/adjust", body));
        begun.push((sender, tokio::spawn(async move { client.answer(asked).await })));
    }
    // All of them have a place before anybody else asks for one.
    in_flight(&app, 100).await;
    let until = async |status: u16| loop {
        let answer = second.answer(bodiless(&Method::GET, "/livez")).await.expect("an answer");
        if answer.status == status {
            return answer;
        }
        tokio::task::yield_now().await;
    };
    let refused = timeout(WATCHDOG, until(503)).await.expect("there are too many");
    assert_eq!((refused.at("/type"), refused.at("/applied")), ("/problems/overloaded".into(), "no".into()));
    for (_, task) in &begun {
        task.abort();
    }
    timeout(WATCHDOG, until(200)).await.expect("they are over");
}

/// Memory of bodies is of all requests, whatever they come over.
#[tokio::test]
async fn bodies_share_their_memory() {
    let app = TestApp::with(StrategyKind::Atomic).with_http2().with_body_memory(64 * 1024).start().await;
    let client = Http2::connect(&app).await;
    let body = json!({"lines": [{"sku": "A", "delta": 1}]}).to_string() + &" ".repeat(100_000);
    let refused = client.send(Method::POST, "/v1/adjustments", body).await;
    assert_eq!(refused.assert_problem(503, "overloaded").at("/applied"), "no");
    // The rest of that body was not waited for, and the connection goes on.
    client.get("/livez").await.assert_status(200);
}

/// An answer to HEAD has no body, and says how long it would be.
#[tokio::test]
async fn an_answer_to_head_has_no_body() {
    let app = TestApp::with(StrategyKind::Atomic).with_http2().start().await;
    let client = Http2::connect(&app).await;
    for path in ["/livez", "/openapi.json", "/nothing"] {
        let whole = client.get(path).await;
        let head = client.send(Method::HEAD, path, "").await;
        assert_eq!((head.status, head.body.len()), (whole.status, 0), "{path}");
        let length = head.headers.get("content-length").map(HeaderValue::as_bytes);
        assert_eq!(length, Some(whole.body.len().to_string().as_bytes()), "{path}");
    }
    app.create("A", 0).await;
    let gone = client.send(Method::DELETE, "/v1/stock/A", "").await;
    assert!(gone.body.is_empty() && gone.status < 300, "{gone:?}");
}

/// Long answers come whole, in however many pieces and windows; events come as they happen; and who waits for stock is told.
#[tokio::test]
async fn answers_that_take_their_time() {
    let app = TestApp::with(StrategyKind::Atomic).with_http2().start().await;
    let stream = TcpStream::connect(app.address).await.expect("a connection");
    // Less than a frame, and no whole number of anything.
    let client = Http2::over(stream, Some(1_021)).await;
    let lines = levels(3_000);
    let import =
        app.call(Method::POST, "/v1/import").header("content-type", "application/x-ndjson").body(lines);
    import.send().await.assert_status(200);
    for path in ["/openapi.json", "/v1/export?format=csv", "/v1/stock?limit=1000"] {
        let (over_2, over_1) = (client.get(path).await, app.get(path).await);
        assert_eq!((over_2.status, over_2.body.len()), (200, over_1.body.len()), "{path}");
        assert_eq!(over_2.body, over_1.body, "{path}");
    }
    let mut events = client.ask(bodiless(&Method::GET, "/v1/events")).await.expect("an answer").into_body();
    let mut waiting = bodiless(&Method::GET, "/v1/stock/A?min_available=2");
    waiting.headers_mut().insert("prefer", HeaderValue::from_static("wait=20"));
    let waits = tokio::spawn({
        let client = client.clone();
        async move { client.answer(waiting).await }
    });
    in_flight(&app, 2).await;
    app.create("A", 2).await;
    waits.await.expect("no panic").expect("an answer").assert_level(200, 2, 1);
    let mut told = Vec::new();
    while !String::from_utf8_lossy(&told).contains("\"sku\":\"A\"") {
        let frame = timeout(WATCHDOG, events.frame()).await.expect("an event").expect("no end");
        told.extend_from_slice(&frame.expect("no failure").into_data().expect("data"));
    }
    drop(events);
    // Who does not watch any more is no request.
    in_flight(&app, 0).await;
}

/// What says the host is `:authority`, and what is believed of pages of other sites is held against it (RFC 9113, section 8.3.1).
#[tokio::test]
async fn the_host_is_the_authority() {
    let app = TestApp::with(StrategyKind::Atomic).with_http2().start().await;
    let client = Http2::connect(&app).await;
    let asks = async |name: &'static str, value: &'static str| {
        let mut asked = request(&Method::POST, "/v1/stock/A/adjust", nothing());
        asked.headers_mut().insert(name, HeaderValue::from_static(value));
        client.answer(asked).await.expect("an answer")
    };
    asks("host", "x").await.assert_problem(400, "invalid-request");
    let other = asks("host", "other").await;
    assert!(other.assert_problem(400, "invalid-request").text().contains(":authority"));
    asks("origin", "http://other").await.assert_problem(403, "cross-origin-request");
    assert!(!asks("origin", "http://x").await.text().contains("cross-origin"));
}

/// So many levels, as they are imported.
pub(super) fn levels(count: usize) -> String {
    let line = |number| format!("{{\"sku\":\"{number:020}\",\"on_hand\":{number}}}\n");
    (0..count).map(line).collect::<Vec<_>>().concat()
}

/// Returns once so many requests over HTTP/2 are under way.
async fn in_flight(app: &TestApp, count: usize) {
    let line = format!("inventory_http2_requests_in_flight {count}\n");
    let there = async {
        while !app.get("/metrics").await.text().contains(&line) {
            tokio::task::yield_now().await;
        }
    };
    timeout(WATCHDOG, there).await.unwrap_or_else(|_| panic!("there are never {count}"));
}
