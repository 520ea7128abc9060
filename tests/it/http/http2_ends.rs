//! HTTP/2: how connections and answers end: by a shutdown, for want of room or of anything to do, and where a client takes nothing (P10).

use std::time::Duration;

use axum::http::Method;
use http_body_util::BodyExt as _;
use inventory::http::server::Drained;
use inventory::strategy::StrategyKind;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::http2::levels;
use crate::support::app::http2::{
    END_HEADERS, END_STREAM, Frames, GET, GOAWAY, HEADERS, Http2, bodiless, frame, head, pieces, request,
};
use crate::support::app::{TestApp, WATCHDOG};
use crate::support::for_each_strategy;

/// Short enough not to be waited for. Only what never comes may be up against it.
const SHORT: Duration = Duration::from_millis(50);

/// Returns once the metrics have that line.
async fn counted(app: &TestApp, line: &str) {
    let there = async {
        while !app.get("/metrics").await.text().contains(line) {
            tokio::task::yield_now().await;
        }
    };
    timeout(WATCHDOG, there).await.unwrap_or_else(|_| panic!("never {line}"));
}

for_each_strategy! {
    /// A request that was accepted is answered after the shutdown began; none is after it; and connections without one end.
    async fn what_was_accepted_is_finished(kind: StrategyKind) {
        let mut app = TestApp::with(kind).with_http2().start().await;
        app.create("A", 1).await;
        let (client, mut idle) = (Http2::connect(&app).await, Http2::connect(&app).await);
        idle.get("/livez").await.assert_status(200);
        let (sender, body) = pieces();
        sender.send("{\"delta\":").expect("it is read");
        let asked = request(&Method::POST, "/v1/stock/A/adjust", body);
        let answered = tokio::spawn({
            let client = client.clone();
            async move { client.answer(asked).await }
        });
        counted(&app, "inventory_http2_requests_in_flight 1\n").await;
        app.begin_shutdown();
        idle.is_told_to_go().await;
        sender.send("41}").expect("it is read");
        drop(sender);
        answered.await.expect("no panic").expect("an answer").assert_level(200, 42, 2);
        assert_eq!(app.drained().await, Drained::Clean);
    }
}

/// A client that does not answer is not waited for: it has nothing to stay for.
#[tokio::test]
async fn a_shutdown_does_not_wait_for_who_says_nothing() {
    let app = TestApp::with(StrategyKind::Atomic).with_http2().with_header_timeout(SHORT);
    let mut app = app.start().await;
    let mut silent = Frames::connect(&app).await;
    silent.write(frame(HEADERS, END_STREAM | END_HEADERS, 1, &head(GET, "/livez"))).await;
    silent.until(HEADERS, END_HEADERS).await.expect("an answer");
    app.begin_shutdown();
    assert_eq!(app.drained().await, Drained::Clean);
    assert_eq!(silent.end().await, Some(0), "it was told");
}

/// While clients are to go elsewhere, the first answer of a connection is the last that it is asked for; new ones are taken.
#[tokio::test]
async fn clients_are_told_to_go_elsewhere() {
    let app = TestApp::with(StrategyKind::Atomic).with_http2().with_drain_delay(Duration::from_secs(2));
    let mut app = app.start().await;
    let mut before = Http2::connect(&app).await;
    before.get("/readyz").await.assert_status(200);
    app.begin_shutdown();
    let falls = async {
        while Http2::connect(&app).await.get("/readyz").await.status == 200 {
            tokio::task::yield_now().await;
        }
    };
    timeout(WATCHDOG, falls).await.expect("it is not ready any more");
    before.get("/livez").await.assert_status(200);
    before.is_told_to_go().await;
    Http2::connect(&app).await.get("/livez").await.assert_status(200);
    assert_eq!(app.drained().await, Drained::Clean);
}

/// P10: a connection without a request ends after its time to idle, whether its client agrees or not.
#[tokio::test]
async fn who_idles_is_told_to_go() {
    let app = TestApp::with(StrategyKind::Atomic).with_http2().with_idle_timeout(SHORT);
    let app = app.with_header_timeout(SHORT).start().await;
    let mut polite = Http2::connect(&app).await;
    polite.is_told_to_go().await;
    let silent = Frames::connect(&app).await;
    assert_eq!(silent.end().await, Some(0));
    // Half a head is no request either.
    let mut half = Frames::connect(&app).await;
    half.write(&frame(HEADERS, END_STREAM | END_HEADERS, 1, &head(GET, "/livez"))[..15]).await;
    assert_eq!(half.end().await, Some(0));
    counted(&app, "inventory_connections 1\n").await;
}

/// Who holds the only place and does nothing with it makes room for who waits.
#[tokio::test]
async fn who_idles_makes_room() {
    let app = TestApp::with(StrategyKind::Atomic).with_http2().with_connections_max(1);
    let app = app.with_idle_timeout(WATCHDOG).start().await;
    let idle = Http2::connect(&app).await;
    idle.get("/livez").await.assert_status(200);
    let mut next = app.connect().await;
    next.write("GET /livez HTTP/1.1\r\nHost: x\r\n\r\n").await;
    next.answer().await.assert_status(200);
    drop(idle);
    // One that is asked something does not.
    drop(next);
    let client = Http2::connect(&app).await;
    let (sender, body) = pieces();
    let asked = request(&Method::POST, "/v1/stock/A/adjust", body);
    let mut busy = tokio::spawn({
        let client = client.clone();
        async move { client.answer(asked).await }
    });
    client.get("/livez").await.assert_status(200);
    let mut next = app.connect().await;
    next.write("GET /livez HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert!(timeout(Duration::from_millis(600), &mut busy).await.is_err() && next.has_nothing());
    drop(sender);
    busy.await.expect("no panic").expect("an answer");
    drop(client);
    next.answer().await.assert_status(200);
}

/// P10: an answer of which its client takes nothing, or one byte and no more, is given up, and its stream alone.
#[tokio::test]
async fn a_client_that_takes_nothing_is_cut_off() {
    let app = TestApp::with(StrategyKind::Atomic).with_http2().with_write_timeout(SHORT).start().await;
    let stream = TcpStream::connect(app.address).await.expect("a connection");
    let client = Http2::over(stream, Some(1)).await;
    let import = app.call(Method::POST, "/v1/import").header("content-type", "application/x-ndjson");
    import.body(levels(100)).send().await.assert_status(200);
    for path in ["/openapi.json", "/v1/export"] {
        let before = app.get("/metrics").await;
        let resets = |text: &str| {
            let line =
                text.lines().find_map(|line| line.strip_prefix("inventory_http2_streams_reset_total "));
            line.expect("it is counted").parse::<u64>().expect("a number")
        };
        let unread = client.ask(bodiless(&Method::GET, path)).await.expect("a head").into_body();
        counted(&app, &format!("inventory_http2_streams_reset_total {}\n", resets(before.text()) + 1)).await;
        assert!(unread.collect().await.is_err(), "what is not whole does not pass for whole");
        client.get("/livez").await.assert_status(200);
    }
    counted(&app, "inventory_http2_requests_in_flight 0\n").await;
}

/// A client that goes away in the middle of requests leaves nothing behind.
#[tokio::test]
async fn who_goes_away_leaves_nothing() {
    let app = TestApp::with(StrategyKind::Atomic).with_http2().start().await;
    let mut leaves = Frames::connect(&app).await;
    for stream in [1, 3, 5] {
        leaves.write(frame(HEADERS, END_STREAM | END_HEADERS, stream, &head(GET, "/v1/events"))).await;
    }
    counted(&app, "inventory_http2_requests_in_flight 3\n").await;
    drop(leaves);
    counted(&app, "inventory_http2_requests_in_flight 0\n").await;
    counted(&app, "inventory_connections 1\n").await;
    let mut says_nothing = Frames::connect(&app).await;
    says_nothing.write(frame(GOAWAY, 0, 0, &[0; 8])).await;
    assert_eq!(says_nothing.end().await, Some(0));
}
