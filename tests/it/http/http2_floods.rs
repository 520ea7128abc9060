//! HTTP/2: what would cost a service more than its client, and is cut off, while others are served (P10).

use axum::http::{HeaderName, HeaderValue, Method};
use inventory::strategy::StrategyKind;

use crate::support::app::TestApp;
use crate::support::app::http2::{
    ACK, CONTINUATION, END_HEADERS, END_STREAM, Frames, GET, HEADERS, Http2, PING, RST_STREAM, bodiless,
    frame, head,
};

/// `ENHANCE_YOUR_CALM`.
const CALM: u32 = 11;
const CANCEL: [u8; 4] = [0, 0, 0, 8];

async fn start() -> (TestApp, Http2) {
    let app = TestApp::with(StrategyKind::Atomic).with_http2().start().await;
    let other = Http2::connect(&app).await;
    (app, other)
}

/// CVE-2023-44487: requests that are reset as soon as they are made.
#[tokio::test]
async fn a_flood_of_resets_is_cut_off() {
    let (app, other) = start().await;
    let mut flood = Frames::connect(&app).await;
    let request = head(GET, "/v1/stock");
    let resets = |stream| {
        [frame(HEADERS, END_STREAM | END_HEADERS, stream, &request), frame(RST_STREAM, 0, stream, &CANCEL)]
    };
    let all: Vec<u8> = (0..20_000).flat_map(|number| resets(2 * number + 1)).flatten().collect();
    flood.write(all).await;
    assert_eq!(flood.end().await, Some(CALM));
    other.get("/livez").await.assert_status(200);
}

/// The same, slowly: each is taken before it is given up.
#[tokio::test]
async fn requests_that_are_given_up_again_and_again_are_cut_off() {
    let (app, other) = start().await;
    let mut flood = Frames::connect(&app).await;
    let request = head(GET, "/v1/events");
    let mut number = 0;
    loop {
        assert!(number < 2_000, "it goes on");
        let stream = 2 * number + 1;
        flood
            .write(
                [frame(HEADERS, END_STREAM | END_HEADERS, stream, &request), frame(PING, 0, 0, &[7; 8])]
                    .concat(),
            )
            .await;
        // Told to go, it is asked whether it has heard so: that ping is not its own.
        let came = loop {
            let came = flood.next().await.expect("it is told");
            if came.kind == PING {
                break came;
            }
        };
        if came.flags & ACK == 0 {
            break;
        }
        flood.write(frame(RST_STREAM, 0, stream, &CANCEL)).await;
        number += 1;
    }
    assert!(number >= 999, "{number} are few");
    other.get("/livez").await.assert_status(200);
}

/// CVE-2024-27316: a head without an end.
#[tokio::test]
async fn a_head_without_an_end_is_cut_off() {
    let (app, other) = start().await;
    for piece in [&[][..], &[0x86; 1_000]] {
        let mut flood = Frames::connect(&app).await;
        flood.write(frame(HEADERS, END_STREAM, 1, &head(GET, "/livez"))).await;
        flood.write(frame(CONTINUATION, 0, 1, piece).repeat(1_000)).await;
        assert!(flood.end().await.is_some_and(|reason| reason != 0));
        other.get("/livez").await.assert_status(200);
    }
}

/// A head has its bounds, as it has over HTTP/1.1, and one that is over them is refused alone.
#[tokio::test]
async fn heads_are_bounded() {
    let (app, client) = start().await;
    let with = async |count: usize, length: usize| {
        let mut asked = bodiless(&Method::GET, "/livez");
        for number in 0..count {
            let name = HeaderName::try_from(format!("x-{number}")).expect("a name");
            asked.headers_mut().insert(name, HeaderValue::try_from("v".repeat(length)).expect("a value"));
        }
        client.answer(asked).await.expect("an answer").status
    };
    assert_eq!(with(64, 1).await, 200);
    assert_eq!(with(65, 1).await, 431);
    assert_eq!(with(10, 1_500).await, 200);
    assert_eq!(with(10, 2_000).await, 431);
    client.get("/livez").await.assert_status(200);
    drop(app);
}

/// What means nothing in HTTP/2 is no request (RFC 9113, section 8.2.2).
#[tokio::test]
async fn fields_of_connections_are_refused() {
    let (app, _other) = start().await;
    for (name, value) in [("connection", "close"), ("transfer-encoding", "chunked"), ("te", "gzip")] {
        let mut frames = Frames::connect(&app).await;
        let text = |text: &str| [&[u8::try_from(text.len()).expect("short")], text.as_bytes()].concat();
        let request = [head(GET, "/livez"), vec![0], text(name), text(value)].concat();
        frames.write(frame(HEADERS, END_STREAM | END_HEADERS, 1, &request)).await;
        let reset = frames.until(RST_STREAM, 0).await.expect("it is reset");
        assert_eq!(reset.payload, [0, 0, 0, 1], "{name}");
    }
}
