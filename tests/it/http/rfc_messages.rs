//! RFC 9112, clause by clause: what a message looks like on the wire, what is read in one way only, and when a connection ends. Each test
//! names the clause.

use inventory::strategy::StrategyKind;

use crate::support::app::TestApp;

async fn start() -> TestApp {
    TestApp::stocked(StrategyKind::Atomic, &[("A", 5)]).await
}

/// The last request of a connection.
const LAST: &str = "GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";

/// The statuses of all that comes of these bytes and one more request: its 200 is the last if the connection went on that far.
async fn statuses(app: &TestApp, bytes: &str) -> Vec<u16> {
    let mut connection = app.connect().await;
    connection.write(format!("{bytes}{LAST}")).await;
    let all = String::from_utf8(connection.rest().await).expect("text");
    let heads = all.match_indices("HTTP/1.").map(|(at, _)| &all[at + 9..at + 12]);
    heads.map(|status| status.parse().expect("a status")).collect()
}

/// A PUT of a level with five units, its body in that framing.
fn put(sku: &str, version: &str, framing: &str, body: &str) -> String {
    format!(
        "PUT /v1/stock/{sku} HTTP/{version}\r\nHost: x\r\nContent-Type: application/json\r\n{framing}\r\n\r\n{body}"
    )
}

/// 3.2: a request of HTTP/1.1 names its host, once and well; one of HTTP/1.0 need not.
#[tokio::test]
async fn a_request_names_its_host_once() {
    let app = start().await;
    for path in ["/livez", "/v1/stock/A", "/nothing", "/v1/import"] {
        for (host, detail) in [
            ("", "host is missing"),
            ("Host: a\r\nHost: b\r\n", "host is there twice"),
            ("Host: a\r\nHost: a\r\n", "host is there twice"),
            ("Host: a b\r\n", "host must be a host"),
            ("Host: a/b\r\n", "host must be a host"),
            ("Host: user@a\r\n", "host must be a host"),
        ] {
            let mut connection = app.connect().await;
            connection.write(format!("GET {path} HTTP/1.1\r\n{host}\r\n")).await;
            let refused = connection.answer().await;
            let told = refused.assert_problem(400, "invalid-request").at("/detail");
            assert!(told.as_str().unwrap().contains(detail), "{told}");
        }
    }
    for head in ["1.0\r\n", "1.0\r\nHost: a\r\n"] {
        assert_eq!(statuses(&app, &format!("GET /livez HTTP/{head}\r\n")).await, [200], "{head:?}");
    }
    for head in ["1.1\r\nHost:\r\n", "1.1\r\nHost: [::1]:80\r\n"] {
        assert_eq!(statuses(&app, &format!("GET /livez HTTP/{head}\r\n")).await, [200, 200], "{head:?}");
    }
    assert_eq!(statuses(&app, "GET /livez HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n").await, [400]);
}

/// 3.2.2: the whole address of a request is taken as well as its path.
#[tokio::test]
async fn a_target_may_be_a_whole_address() {
    let app = start().await;
    assert_eq!(
        statuses(&app, "GET http://other.example/livez HTTP/1.1\r\nHost: x\r\n\r\n").await,
        [200, 200]
    );
    assert_eq!(
        statuses(&app, "GET http://other.example/nothing HTTP/1.1\r\nHost: x\r\n\r\n").await,
        [404, 200]
    );
}

/// 2.2: an empty line before a request is passed over; 2.3: another major version is not spoken; 5.1, 5.2: no space before a colon, no folded
/// lines, and no characters that end a line for one reader and not for another. What is refused so ends the connection.
#[tokio::test]
async fn a_head_is_read_in_one_way_only() {
    let app = start().await;
    assert_eq!(statuses(&app, "\r\n\r\nGET /livez HTTP/1.1\r\nHost: x\r\n\r\n").await, [200, 200]);
    for wrong in [
        "GET /livez HTTP/2.0\r\nHost: x\r\n\r\n",
        "GET /livez\r\nHost: x\r\n\r\n",
        "GET  /livez HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /livez HTTP/1.1\r\nHost : x\r\n\r\n",
        "GET /livez HTTP/1.1\r\nHost: x\r\nA: b\r\n c\r\n\r\n",
        "GET /livez HTTP/1.1\r\nHost: x\r\nA: b\0c\r\n\r\n",
        "GET /livez HTTP/1.1\r\nHost: x\r\nA: b\rc\r\n\r\n",
        "GET /livez HTTP/1.1\r\n Host: x\r\n\r\n",
    ] {
        assert_eq!(statuses(&app, wrong).await, [400], "{wrong:?}");
    }
}

/// 6.1, 6.3: how long a body is has one reading, or the request is refused and the connection ends.
#[tokio::test]
async fn a_body_ends_in_one_place_only() {
    let app = start().await;
    let (body, chunked) = ("{\"on_hand\":5}", "d\r\n{\"on_hand\":5}\r\n0\r\n\r\n");
    for (framing, body) in [
        ("Content-Length: 13\r\nContent-Length: 12", body),
        ("Content-Length: +13", body),
        ("Content-Length: 0x0d", body),
        ("Content-Length: 13, 12", body),
        ("Content-Length: ", body),
        ("Transfer-Encoding: chunked, gzip", chunked),
        ("Transfer-Encoding: gzip", chunked),
        ("Transfer-Encoding: chunked", "+d\r\n{\"on_hand\":5}\r\n0\r\n\r\n"),
    ] {
        let refused = statuses(&app, &put("B", "1.1", framing, body)).await;
        assert_eq!(refused, [400], "{framing}");
    }
    assert_eq!(statuses(&app, &put("B", "1.0", "Transfer-Encoding: chunked", chunked)).await, [400]);
    // A coding that nobody here decodes is not taken for none.
    let coded = statuses(&app, &put("B", "1.1", "Transfer-Encoding: gzip, chunked", chunked)).await;
    assert_eq!(coded.first(), Some(&400));
    app.get("/v1/stock/B").await.assert_problem(404, "stock-not-found");
    // Chunked wins over a length, and the connection ends with it.
    let both = put("C", "1.1", "Content-Length: 3\r\nTransfer-Encoding: chunked", chunked);
    assert_eq!(statuses(&app, &both).await, [201]);
    // One length twice is one length.
    let twice = put("D", "1.1", "Content-Length: 13\r\nContent-Length: 13", body);
    assert_eq!(statuses(&app, &twice).await, [201, 200]);
}

/// 7.1: codings have no case, extensions and trailers are passed over, a body without its end is none.
#[tokio::test]
async fn chunks_may_have_extensions_and_trailers() {
    let app = start().await;
    let extended = "d;a=b\r\n{\"on_hand\":5}\r\n0\r\nX-Sum: y\r\n\r\n";
    let put_b = put("B", "1.1", "Transfer-Encoding: Chunked", extended);
    assert_eq!(statuses(&app, &put_b).await, [201, 200]);
    let mut cut = app.connect().await;
    cut.write(put("C", "1.1", "Transfer-Encoding: chunked", "d\r\n{\"on_hand\":5}\r\n")).await;
    cut.end().await;
    let told = cut.rest().await;
    assert!(told.is_empty() || told.starts_with(b"HTTP/1.1 400 "), "{told:?}");
    app.get("/v1/stock/C").await.assert_problem(404, "stock-not-found");
}

/// 9.3, 9.6: a connection goes on unless somebody says `close`, or speaks HTTP/1.0 and does not ask for it; 9.3.2: answers come in the order
/// of the requests.
#[tokio::test]
async fn a_connection_goes_on_until_somebody_closes_it() {
    let app = start().await;
    let get =
        |path: &str, version: &str, more: &str| format!("GET {path} HTTP/{version}\r\nHost: x\r\n{more}\r\n");
    let two = |version: &str, more: &str| get("/livez", version, more) + &get("/nothing", version, "");
    assert_eq!(statuses(&app, &two("1.1", "")).await, [200, 404, 200]);
    assert_eq!(statuses(&app, &two("1.1", "Connection: close\r\n")).await, [200]);
    assert_eq!(statuses(&app, &two("1.0", "")).await, [200]);
    assert_eq!(statuses(&app, &two("1.0", "Connection: keep-alive\r\n")).await, [200, 404]);
    let mut closing = app.connect().await;
    closing.write(get("/livez", "1.1", "Connection: close\r\n")).await;
    assert_eq!(closing.answer().await.header("connection"), "close");
}

/// RFC 9110, 10.1.1: whoever expects to be asked on is, but for HTTP/1.0, which knows no such answer; 7.8: an upgrade may be declined.
#[tokio::test]
async fn only_who_knows_of_interim_answers_gets_one() {
    let app = start().await;
    let expecting = "Expect: 100-continue\r\nContent-Length: 13";
    assert_eq!(statuses(&app, &put("B", "1.0", expecting, "{\"on_hand\":5}")).await, [201]);
    let mut connection = app.connect().await;
    connection.write(put("C", "1.1", expecting, "")).await;
    connection.answer().await.assert_status(100);
    connection.write("{\"on_hand\":5}").await;
    connection.answer().await.assert_level(201, 5, 1);
    let upgrade =
        "GET /livez HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\r\n";
    assert_eq!(statuses(&app, upgrade).await, [200, 200]);
}
