//! Pages of other origins (`--cors-origin`): which may ask, and what their browsers are told. Browsers do the rest, so what is tested is headers.

use inventory::strategy::StrategyKind;

use crate::support::app::TestApp;
use crate::support::app::answer::Answer;

const SHOP: &str = "https://shop.example";

/// The answer to a request with these lines in its head.
async fn ask(app: &TestApp, request: &str, lines: &[(&str, &str)]) -> Answer {
    let mut connection = app.connect().await;
    let lines = lines.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect::<Vec<_>>();
    connection.write(format!("{request} HTTP/1.1\r\nHost: x\r\n{}\r\n", lines.concat())).await;
    connection.answer().await
}

fn listed<'a>(answer: &'a Answer, name: &str) -> Vec<&'a str> {
    answer.header(name).split(',').map(str::trim).collect()
}

/// A page that was named may ask with a key and preconditions, and read what clients need; no cookie is ever asked for.
#[tokio::test]
async fn a_page_that_is_allowed_may_ask() {
    let app = TestApp::with(StrategyKind::Mutex).with_origin(SHOP).start().await;
    app.create("A", 1).await;
    let preflight = [
        ("Origin", SHOP),
        ("Access-Control-Request-Method", "PUT"),
        ("Access-Control-Request-Headers", "authorization, content-type, idempotency-key, if-match"),
    ];
    let answer = ask(&app, "OPTIONS /v1/stock/A", &preflight).await;
    assert_eq!(
        (answer.assert_status(204).header("access-control-allow-origin"), answer.body.len()),
        (SHOP, 0)
    );
    for method in ["GET", "POST", "PUT", "DELETE", "QUERY"] {
        assert!(listed(&answer, "access-control-allow-methods").contains(&method), "{method}");
    }
    for header in [
        "Authorization",
        "Content-Type",
        "Idempotency-Key",
        "If-Match",
        "If-None-Match",
        "Last-Event-ID",
        "Prefer",
    ] {
        assert!(listed(&answer, "access-control-allow-headers").contains(&header), "{header}");
    }
    assert!(answer.header("vary").contains("origin") && !answer.header("x-request-id").is_empty());
    for (request, status) in
        [("GET /v1/stock/A", 200), ("GET /v1/stock/Z", 404), ("GET /nothing", 404), ("GET /livez", 200)]
    {
        let answer = ask(&app, request, &[("Origin", SHOP)]).await;
        assert_eq!(answer.assert_status(status).header("access-control-allow-origin"), SHOP);
        assert!(!answer.headers.contains_key("access-control-allow-credentials"));
        let exposed = listed(&answer, "access-control-expose-headers");
        for header in [
            "ETag",
            "Location",
            "Link",
            "Retry-After",
            "Idempotent-Replayed",
            "Event-Cursor",
            "Preference-Applied",
            "X-Request-Id",
        ] {
            assert!(exposed.contains(&header), "{header}");
        }
    }
}

/// Any other is told nothing of the kind, nor is anybody where no origin was named; and caches are told that it depends.
#[tokio::test]
async fn any_other_page_is_told_nothing() {
    let (app, closed) = (
        TestApp::with(StrategyKind::Mutex).with_origin(SHOP).start().await,
        TestApp::start(StrategyKind::Mutex).await,
    );
    let is_silent =
        |answer: &Answer| !answer.headers.keys().any(|name| name.as_str().starts_with("access-control-"));
    for origin in ["http://shop.example", "https://shop.example.evil", "null", "https://shop.example:8443"] {
        let preflight = [("Origin", origin), ("Access-Control-Request-Method", "PUT")];
        for (request, lines) in [("OPTIONS /v1/stock/A", &preflight[..]), ("GET /v1/stock", &preflight[..1])]
        {
            let answer = ask(&app, request, lines).await;
            assert!(is_silent(&answer) && answer.header("vary").contains("origin"), "{origin}: {answer:?}");
        }
    }
    for lines in [&[][..], &[("Origin", SHOP)]] {
        assert!(is_silent(&ask(&closed, "GET /v1/stock", lines).await));
    }
    assert!(is_silent(&ask(&app, "GET /v1/stock", &[]).await));
}
