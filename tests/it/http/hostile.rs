//! What nobody sends who means well: nothing of it ends the service, is taken for something else, or is given back as it came (P10, P11).

use axum::http::Method;
use inventory::strategy::StrategyKind;
use serde_json::{Value, json};

use crate::support::app::TestApp;

async fn start() -> TestApp {
    TestApp::stocked(StrategyKind::Atomic, &[("A", 5)]).await
}

/// Nothing has changed, and the service is well.
async fn assert_unharmed(app: &TestApp) {
    app.get("/livez").await.assert_status(200);
    assert_eq!(app.level("A").await, (5, 1));
    assert_eq!(app.get("/v1/stock").await.assert_status(200).count("/items"), 1);
}

/// JSON as deep as it is long, and numbers as long as it is, cost no stack and no time: they are refused.
#[tokio::test]
async fn json_without_measure_is_refused() {
    let app = start().await;
    let deep = |open: &str, close: &str, times: usize| open.repeat(times) + &close.repeat(times);
    for body in [
        deep("[", "]", 30_000),
        "[".repeat(60_000),
        "{\"lines\":".repeat(5_000),
        format!("{{\"delta\":{}}}", deep("[", "]", 30_000)),
        format!("{{\"delta\":1,\"x\":{}}}", deep("{\"a\":[", "]}", 8_000)),
        format!("{{\"delta\":{}}}", "9".repeat(60_000)),
        format!("{{\"delta\":-{}}}", "9".repeat(60_000)),
        format!("{{\"delta\":1.{}1}}", "0".repeat(60_000)),
        format!("{{\"delta\":1e{}}}", "9".repeat(60_000)),
        format!("{{\"delta\":1,\"reason\":\"{}\"}}", "\\u0041".repeat(10_000)),
        format!("{{{}\"delta\":1}}", "\"delta\":1,".repeat(6_000)),
        format!("{{\"{}\":1}}", "k".repeat(60_000)),
    ] {
        let refused = app.post_bytes("/v1/stock/A/adjust", body.clone()).await;
        assert!([400, 422].contains(&refused.status), "{}: {}", &body[..40], refused.status);
        assert!(
            refused.body.len() < 16 * 1024,
            "an answer of {} bytes to {}",
            refused.body.len(),
            &body[..40]
        );
    }
    assert_unharmed(&app).await;
}

/// What is no UTF-8 is refused where it is text: in a body, in a path, in a parameter. In a header that is passed on it is not passed on.
#[tokio::test]
async fn what_is_no_text_is_refused() {
    let app = start().await;
    for wrong in [&b"\xff"[..], b"\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\x80"] {
        let body = [b"{\"delta\":1,\"reason\":\"", wrong, b"\"}"].concat();
        app.post_bytes("/v1/stock/A/adjust", body).await.assert_problem(400, "invalid-request");
        let encoded = percent_encoding::percent_encode(wrong, percent_encoding::NON_ALPHANUMERIC);
        for path in [
            format!("/v1/stock/{encoded}"),
            format!("/v1/stock/A?location={encoded}"),
            format!("/v1/stock?sku_prefix={encoded}"),
            format!("/v1/movements?reference={encoded}"),
        ] {
            let refused = app.get(&path).await;
            assert!([400, 422].contains(&refused.status), "{path}: {}", refused.status);
        }
        let named = app.call(Method::GET, "/livez").header("x-request-id", wrong).send().await;
        assert!(!named.assert_status(200).header("x-request-id").is_empty());
        app.call(Method::GET, "/v1/stock/A").header("idempotency-key", wrong).send().await;
    }
    assert_unharmed(&app).await;
}

/// A new line in a name, a note or an id ends no header, no event, no log line and no cell: it is refused, or shown escaped.
#[tokio::test]
async fn a_new_line_is_no_new_header() {
    let app = start().await;
    for name in ["A%0d%0aX-Evil:%201", "A%0aX-Evil:1", "A%00", "A%1b[31m", "A%c2%85", "A%e2%80%a8"] {
        for method in [Method::GET, Method::PUT, Method::DELETE] {
            let body = if method == Method::PUT { "{\"on_hand\":1}" } else { "" };
            let mut call = app.call(method.clone(), &format!("/v1/stock/{name}"));
            if !body.is_empty() {
                call =
                    call.header("content-type", "application/json").header("if-none-match", "*").body(body);
            }
            let answer = call.send().await;
            assert!(!answer.headers.contains_key("x-evil"), "{method} {name}");
            // What is no control character in Unicode may be a name; it is one line of no protocol of ours.
            let is_control = !name.contains("%e2");
            assert!(!is_control || [404, 422].contains(&answer.status), "{method} {name}: {}", answer.status);
        }
    }
    let mut raw = app.connect().await;
    raw.write("GET /livez HTTP/1.1\r\nHost: x\r\nX-Request-Id: a\rX-Evil: 1\r\n\r\n").await;
    assert_eq!(raw.answer().await.status, 400);
    let note = json!({ "delta": 1, "reason": "a\r\nevent: evil\r\ndata: {}\n\n", "reference": "r" });
    let answer = app.post("/v1/stock/A/adjust", &note).await;
    if answer.status == 200 {
        let mut watcher = app.watch("/v1/events?after=0", "").await;
        let told = watcher.take(2).await;
        assert!(told.iter().all(|event| event.name != "evil"), "{:?}", told[1].name);
        assert_eq!(told[1].data["reason"], note["reason"]);
        app.post("/v1/stock/A/adjust", &json!({ "delta": -1 })).await.assert_status(200);
    } else {
        answer.assert_fields(&["/reason"]);
    }
    app.get("/livez").await.assert_status(200);
}

/// A path leads to what it names, and nowhere else: dots and doubled or encoded slashes are parts of names.
#[tokio::test]
async fn a_path_leads_nowhere_else() {
    let app = start().await;
    for path in [
        "/v1/stock/../../metrics",
        "/v1/stock/%2e%2e/%2e%2e/metrics",
        "/docs/..%2f..%2fCargo.toml",
        "/docs/%2e%2e/etc/passwd",
        "/problems/..%2findex",
        "/schemas/..%2f..%2fetc%2fpasswd",
        "//v1/stock",
        "/v1//stock",
        "/v1/stock/A/",
        "/v1/stock;x=1/A",
        "/V1/STOCK",
        "/v1/stock/A%2fadjust",
        "/v1/backups/..%2f..%2fcontrol",
    ] {
        let mut raw = app.connect().await;
        raw.write(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n")).await;
        let answer = raw.answer().await;
        assert!([404, 422].contains(&answer.status), "{path}: {} {}", answer.status, answer.text());
    }
    // Such a name is one, and of nothing else.
    app.put("/v1/stock/..%2f..%2fmetrics", &json!({ "on_hand": 1 })).await.assert_status(201);
    let made: Value = app.get("/v1/stock/..%2F..%2Fmetrics").await.at("/sku");
    assert_eq!(made, "../../metrics");
    app.call(Method::DELETE, "/v1/stock/..%2f..%2fmetrics")
        .header("if-match", "*")
        .send()
        .await
        .assert_status(204);
    assert_unharmed(&app).await;
}

/// One that is compressed is not unpacked, so it cannot be larger inside than out.
#[tokio::test]
async fn what_is_compressed_is_not_unpacked() {
    let app = start().await;
    for coding in ["gzip", "deflate", "br", "zstd", "x-gzip", "compress", "identity, gzip", "aes128gcm"] {
        for (path, media) in [("/v1/stock/A/adjust", "application/json"), ("/v1/import", "text/csv")] {
            let call = app.call(Method::POST, path).header("content-type", media);
            let refused = call.header("content-encoding", coding).body("\x1f\u{8b}").send().await;
            refused.assert_problem(415, "unsupported-media-type");
        }
    }
    assert_unharmed(&app).await;
}
