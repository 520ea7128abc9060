//! Behind nginx, which keeps connections to the service and sends the requests of everybody over them: whatever one client sends, each other
//! one gets its own answer, and a request that is hidden in another is never carried out (P10, P11).

use inventory::strategy::StrategyKind;

use crate::support::app::TestApp;
use crate::support::nginx::Nginx;

/// nginx in front of that service, with few connections to it; `None` where there is no nginx.
async fn before(app: &TestApp) -> Option<Nginx> {
    let service = app.address;
    Nginx::start(|place, socket| {
        format!(
            "daemon off; master_process off; pid {place}/pid; error_log {place}/error.log info;
             events {{ worker_connections 64; }}
             http {{
               access_log off; client_body_temp_path {place}; proxy_temp_path {place};
               fastcgi_temp_path {place}; uwsgi_temp_path {place}; scgi_temp_path {place};
               upstream service {{ server {service}; keepalive 2; }}
               server {{
                 listen unix:{socket}; underscores_in_headers on; ignore_invalid_headers off;
                 location / {{
                   proxy_pass http://service; proxy_http_version 1.1; proxy_set_header Connection '';
                   proxy_request_buffering off; proxy_buffering off;
                   proxy_ignore_client_abort on;
                 }}
               }}
             }}"
        )
    })
    .await
}

/// How much a hidden request adds, should it be carried out.
const HIDDEN: u64 = 1_000_000_000;

/// A request that is hidden in another.
fn hidden() -> String {
    let body = format!(r#"{{"delta":{HIDDEN}}}"#);
    format!(
        "POST /v1/stock/A/adjust HTTP/1.1\r\nHost: evil\r\nX-Request-Id: hidden\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// How many of these answers are to hidden requests that were carried out: where nginx takes it for a request of its own, which it may be, who sent it
/// is answered.
fn carried_out(answers: &str) -> u64 {
    let is_one = |answer: &&str| answer.starts_with("200 ") && answer.contains("x-request-id: hidden\r\n");
    answers.split("HTTP/1.1 ").filter(is_one).count() as u64
}

/// What somebody sends who means ill: a name, and the bytes.
fn attacks() -> Vec<(&'static str, Vec<u8>)> {
    let hidden = hidden();
    let post = |fields: &str, body: &str| {
        format!("POST /v1/adjustments HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n{fields}\r\n\r\n{body}")
            .into_bytes()
    };
    let length = hidden.len();
    let mut attacks = vec![
        ("two lengths", post(&format!("Content-Length: {length}\r\nContent-Length: 0"), &hidden)),
        ("a list of lengths", post(&format!("Content-Length: 0, {length}"), &hidden)),
        ("a length with a sign", post("Content-Length: +0", &hidden)),
        ("a length and chunks", post("Content-Length: 5\r\nTransfer-Encoding: chunked", &format!("0\r\n\r\n{hidden}"))),
        ("chunks and a length", post("Transfer-Encoding: chunked\r\nContent-Length: 5", &format!("0\r\n\r\n{hidden}"))),
        ("chunks of nothing", post("Transfer-Encoding: chunked", &format!("0\r\nX: {hidden}"))),
        ("a chunk with an extension", post("Transfer-Encoding: chunked", &format!("0;a=\"\r\n{hidden}\r\n0\r\n\r\n"))),
        ("a body beside a GET", format!("GET /v1/stock/A HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n{hidden}").into()),
        ("a body beside a DELETE", format!("DELETE /nothing HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n{hidden}").into()),
        ("a body beside a HEAD", format!("HEAD /v1/stock/A HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n{hidden}").into()),
        ("an upgrade", format!("GET /v1/stock/A HTTP/1.1\r\nHost: x\r\nUpgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\nContent-Length: {length}\r\n\r\n{hidden}").into()),
        ("an expectation", post(&format!("Expect: 100-continue\r\nContent-Length: {length}"), &hidden)),
        ("an unread body", post(&format!("Content-Length: {}", 64 * 1024 + length), &format!("{}{hidden}", "x".repeat(64 * 1024)))),
        ("half a body", post("Content-Length: 4000", &hidden)),
        ("a new line in a path", format!("GET /v1/stock/A%0d%0aHost:%20x%0d%0a%0d%0a{} HTTP/1.1\r\nHost: x\r\n\r\n", "POST%20/v1/stock/A/adjust").into()),
        ("many fields", format!("GET /v1/stock/A HTTP/1.1\r\nHost: x\r\n{}\r\n", "X-Y: z\r\n".repeat(200)).into()),
        ("long fields", format!("GET /v1/stock/A HTTP/1.1\r\nHost: x\r\n{}\r\n", format!("X-Y: {}\r\n", "z".repeat(7_000)).repeat(3)).into()),
        ("a field that is folded", format!("GET /v1/stock/A HTTP/1.1\r\nHost: x\r\nX-Y: a\r\n Transfer-Encoding: chunked\r\n\r\n{hidden}").into()),
    ];
    for coding in [
        "xchunked",
        "\tchunked",
        "chunked, identity",
        "identity, chunked",
        "\"chunked\"",
        "chunked\r\nTransfer-Encoding: x",
    ] {
        attacks.push((
            "a coding that is none",
            post(&format!("Content-Length: {length}\r\nTransfer-Encoding: {coding}"), &hidden),
        ));
        attacks.push((
            "a coding that is none, and no length",
            post(&format!("Transfer-Encoding: {coding}"), &hidden),
        ));
    }
    for name in
        ["Transfer-Encoding ", "Transfer_Encoding", "X: y\nTransfer-Encoding", "Transfer-Encoding\u{b}"]
    {
        attacks.push((
            "a field with another name",
            post(&format!("{name}: chunked\r\nContent-Length: 3"), &format!("0\r\n\r\n{hidden}")),
        ));
    }
    attacks
}

/// Somebody's own request is answered, and its answer is that of nobody else.
async fn assert_own_answer(nginx: &Nginx, number: u64, after: &str) {
    let body = r#"{"delta":-1}"#;
    let asked = format!(
        "POST /v1/stock/A/adjust HTTP/1.1\r\nHost: shop\r\nX-Request-Id: mine-{number}\r\nContent-Type: application/json\r\n\
         Connection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let answer = nginx.answers(asked.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "after {after}: {answer}");
    assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "after {after}: {answer}");
    assert!(answer.contains(&format!("mine-{number}\r\n")), "after {after}: {answer}");
}

/// After each attack, some of them many at once, those who share the connections are answered as if there had been none.
#[tokio::test]
async fn behind_nginx_each_gets_the_answer_to_what_it_asked() {
    const UNITS: u64 = 1_000_000;
    let app = TestApp::stocked(StrategyKind::Atomic, &[("A", UNITS)]).await;
    let Some(nginx) = before(&app).await else { return };
    let (mut own, mut openly) = (0, 0);
    for (name, bytes) in attacks() {
        for _ in 0..3 {
            // With a connection that is kept already, and after it.
            assert_own_answer(&nginx, own, name).await;
            openly += carried_out(&nginx.answers(&bytes).await);
            assert_own_answer(&nginx, own + 1, name).await;
            own += 2;
        }
    }
    let (on_hand, _) = app.level("A").await;
    assert_eq!(on_hand, UNITS - own + openly * HIDDEN, "of what was hidden something was carried out");
}
