//! RFC 9110, clause by clause, for what this service sends and takes: each test names the clause. What a message looks like on the wire
//! (RFC 9112) is in `rfc_messages`, what caches may do (RFC 9111) in `caching`, conditions of writes in `stock`.

use inventory::strategy::StrategyKind;
use serde_json::json;

use crate::support::app::TestApp;
use crate::support::app::answer::Answer;

/// Every path that can be got, but for those that never end.
const READ: [&str; 16] = [
    "/",
    "/v1/stock/A",
    "/v1/stock/Z",
    "/v1/stock",
    "/v1/movements",
    "/v1/reservations",
    "/v1/orders",
    "/v1/alerts",
    "/v1/webhooks",
    "/livez",
    "/readyz",
    "/openapi.json",
    "/docs",
    "/problems/contention",
    "/nothing",
    "/v1/adjustments",
];

async fn start() -> TestApp {
    TestApp::stocked(StrategyKind::Atomic, &[("A", 5)]).await
}

/// One request on a connection of its own: `head` without its `Host`, and a body.
async fn ask(app: &TestApp, head: &str, body: &str) -> Answer {
    let mut connection = app.connect().await;
    let length = if body.is_empty() { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
    connection.write(format!("{head}\r\nHost: x\r\n{length}\r\n{body}")).await;
    if head.starts_with("HEAD") { connection.answer_without_body().await } else { connection.answer().await }
}

/// The fields of an answer that are not of its moment.
fn lasting(answer: &Answer) -> Vec<(String, Vec<u8>)> {
    let own = |name: &str| !["date", "x-request-id"].contains(&name);
    let fields = answer.headers.iter().filter(|(name, _)| own(name.as_str()));
    let mut fields: Vec<_> =
        fields.map(|(name, value)| (name.to_string(), value.as_bytes().to_owned())).collect();
    fields.sort();
    fields
}

/// 9.3.2: HEAD has the fields of GET, and no content; 8.6: so also its `Content-Length`.
#[tokio::test]
async fn head_is_get_without_content() {
    let app = start().await;
    for path in READ {
        if path == "/v1/adjustments" {
            continue;
        }
        let (get, head) = (
            ask(&app, &format!("GET {path} HTTP/1.1"), "").await,
            ask(&app, &format!("HEAD {path} HTTP/1.1"), "").await,
        );
        assert_eq!((head.status, lasting(&head)), (get.status, lasting(&get)), "{path}");
        assert_eq!(get.header("content-length"), get.body.len().to_string(), "{path}");
    }
    // Nothing follows a head: the next answer on the connection is the next answer.
    let mut connection = app.connect().await;
    connection
        .write("HEAD /v1/stock/A HTTP/1.1\r\nHost: x\r\n\r\nGET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
        .await;
    connection.answer_without_body().await.assert_status(200);
    assert_eq!(connection.answer().await.text(), "alive\n");
}

/// 15.4.5: a 304 has the `ETag` and `Cache-Control` of the 200; 8.6: its `Content-Length` is that of the 200 or not there. To HEAD as well.
#[tokio::test]
async fn what_was_not_modified_does_not_say_that_it_is_empty() {
    let app = start().await;
    for method in ["GET", "HEAD"] {
        let head = format!("{method} /v1/stock/A HTTP/1.1\r\nIf-None-Match: \"1\"");
        let known = ask(&app, &head, "").await;
        let fields: Vec<String> = lasting(&known).into_iter().map(|(name, _)| name).collect();
        assert_eq!(
            (known.status, fields),
            (304, vec!["cache-control".to_owned(), "etag".to_owned()]),
            "{method}"
        );
        assert_eq!(known.header("etag"), "\"1\"");
    }
}

/// 8.6, 15.3.5: a 204 has no `Content-Length` and no content.
#[tokio::test]
async fn what_has_no_content_has_no_length() {
    let app = start().await;
    for head in ["DELETE /v1/stock/A HTTP/1.1\r\nIf-Match: *", "OPTIONS /v1/stock/A HTTP/1.1"] {
        let answer = ask(&app, head, "").await;
        assert!(!answer.assert_status(204).headers.contains_key("content-length"), "{head}");
        assert!(!answer.headers.contains_key("transfer-encoding"), "{head}");
    }
}

/// 9.3.7: OPTIONS says what a path has, also of HTTP/1.0 without a host (as a load balancer asks); `*` is the service as a whole.
#[tokio::test]
async fn options_tells_the_methods() {
    let app = start().await;
    for (target, allow) in [
        ("/", "GET, HEAD, OPTIONS"),
        ("/livez", "GET, HEAD, OPTIONS"),
        ("/v1/stock", "GET, HEAD, OPTIONS, QUERY"),
        ("/v1/stock/A", "DELETE, GET, HEAD, OPTIONS, PUT"),
        ("/v1/stock/query", "DELETE, GET, HEAD, OPTIONS, POST, PUT"),
        ("/v1/stock/A/adjust", "OPTIONS, POST"),
        ("/v1/verify", "OPTIONS, POST"),
        ("*", "DELETE, GET, HEAD, OPTIONS, POST, PUT, QUERY"),
    ] {
        let mut connection = app.connect().await;
        connection.write(format!("OPTIONS {target} HTTP/1.0\r\n\r\n")).await;
        let old = connection.answer().await;
        let new = ask(&app, &format!("OPTIONS {target} HTTP/1.1"), "").await;
        for answer in [old, new] {
            assert_eq!(answer.assert_status(204).header("allow"), allow, "{target}");
        }
    }
    ask(&app, "OPTIONS /nothing HTTP/1.1", "").await.assert_problem(404, "not-found");
    ask(&app, "GET * HTTP/1.1", "").await.assert_problem(404, "not-found");
    // A browser that asks for a page of another site is told nothing that would let it go on.
    let preflight =
        "OPTIONS /v1/stock/A HTTP/1.1\r\nOrigin: http://other.example\r\nAccess-Control-Request-Method: PUT";
    let told = ask(&app, preflight, "").await;
    assert!(!told.assert_status(204).headers.keys().any(|name| name.as_str().starts_with("access-control")));
}

/// 15.5.6, 10.2.1: a 405 says which methods there are, the same as OPTIONS.
#[tokio::test]
async fn a_wrong_method_is_told_what_options_tells() {
    let app = start().await;
    for path in READ.into_iter().filter(|path| *path != "/nothing") {
        let wrong = ask(&app, &format!("PATCH {path} HTTP/1.1"), "").await;
        let options = ask(&app, &format!("OPTIONS {path} HTTP/1.1"), "").await;
        assert_eq!(
            wrong.assert_problem(405, "method-not-allowed").header("allow"),
            options.header("allow"),
            "{path}"
        );
    }
}

/// 5.3: several fields of one name are one list where the field is a list, and an error where it is none.
#[tokio::test]
async fn what_must_be_said_once_is_not_said_twice() {
    let app = start().await;
    let put = "PUT /v1/stock/B HTTP/1.1\r\nContent-Type: application/json";
    for (again, name) in [
        ("Content-Type: text/plain", "content-type"),
        ("Content-Type: application/json", "content-type"),
        ("Authorization: Basic YQ==\r\nAuthorization: Basic Yg==", "authorization"),
        ("Origin: http://x\r\nOrigin: http://other.example", "origin"),
        ("Sec-Fetch-Site: same-origin\r\nSec-Fetch-Site: cross-site", "sec-fetch-site"),
        ("Last-Event-ID: 1\r\nLast-Event-ID: 2", "last-event-id"),
    ] {
        let refused = ask(&app, &format!("{put}\r\n{again}"), "{\"on_hand\":5}").await;
        let detail = refused.assert_problem(400, "invalid-request").at("/detail");
        assert!(detail.as_str().unwrap().contains(&format!("{name} is there twice")), "{detail}");
    }
    let twice = "POST /v1/stock/A/adjust HTTP/1.1\r\nContent-Type: application/json\r\nIdempotency-Key: a\r\nIdempotency-Key: b";
    ask(&app, twice, "{\"delta\":1}").await.assert_problem(400, "invalid-request");
    let coded = format!("{put}\r\nContent-Encoding: identity\r\nContent-Encoding: gzip");
    ask(&app, &coded, "{\"on_hand\":5}").await.assert_problem(415, "unsupported-media-type");
    for contradictory in ["If-Match: \"1\"\r\nIf-Match: \"2\"", "If-Match: \"1\"\r\nIf-Match: *"] {
        let put = format!("PUT /v1/stock/A HTTP/1.1\r\nContent-Type: application/json\r\n{contradictory}");
        ask(&app, &put, "{\"on_hand\":6}").await.assert_problem(400, "invalid-request");
    }
    for list in [
        "If-None-Match: \"7\"\r\nIf-None-Match: W/\"1\"",
        "If-None-Match: \"7\", , \"1\"",
        "If-None-Match: \"a,b\", \"1\"",
    ] {
        ask(&app, &format!("GET /v1/stock/A HTTP/1.1\r\n{list}"), "").await.assert_status(304);
    }
    let accepted = "GET /v1/export HTTP/1.1\r\nAccept: application/x-ndjson;q=0.5\r\nAccept: text/csv";
    assert_eq!(ask(&app, accepted, "").await.media_type(), "text/csv");
    let fine = format!(
        "{put}\r\nAccept: a/b\r\nAccept: c/d\r\nVia: 1.1 a\r\nVia: 1.1 b\r\nContent-Encoding: Identity"
    );
    ask(&app, &fine, "{\"on_hand\":5}").await.assert_level(201, 5, 1);
    app.get("/v1/stock/A").await.assert_level(200, 5, 1);
}

/// 8.8.3: a tag may have a comma within its quotes; 13.1.2: a tag that was never given out here matches nothing.
#[tokio::test]
async fn the_tags_of_others_match_nothing() {
    let app = start().await;
    for tag in ["\"a,1\"", "\"\"", "W/\"a,b\"", "\"01\"", "\"1,\""] {
        ask(&app, &format!("GET /v1/stock/A HTTP/1.1\r\nIf-None-Match: {tag}"), "")
            .await
            .assert_level(200, 5, 1);
        let put = format!("PUT /v1/stock/A HTTP/1.1\r\nContent-Type: application/json\r\nIf-Match: {tag}");
        ask(&app, &put, "{\"on_hand\":6}").await.assert_problem(412, "version-mismatch");
    }
}

/// 13.1.3, 13.1.4: without a modification date there is nothing to compare with, so those conditions are ignored; 14.2: so is a range.
#[tokio::test]
async fn dates_and_ranges_are_ignored() {
    let app = start().await;
    let date = "Sat, 29 Oct 1994 19:43:31 GMT";
    for condition in ["If-Modified-Since", "If-Unmodified-Since"] {
        ask(&app, &format!("GET /v1/stock/A HTTP/1.1\r\n{condition}: {date}"), "")
            .await
            .assert_level(200, 5, 1);
    }
    let part = ask(&app, "GET /openapi.yaml HTTP/1.1\r\nRange: bytes=0-3", "").await;
    assert_eq!(part.assert_status(200).body.len().to_string(), part.header("content-length"));
}

/// 10.2.2 (`Location`), and RFC 8288: what a link leads to is what was asked for, with every value as it was sent.
#[tokio::test]
async fn links_give_every_value_back_as_it_was_sent() {
    let app = start().await;
    // `ä` of two characters, and whatever means something in a query.
    let odd = "a%CC%88%20%26%2B%22%3E";
    for at in ["1", "2"] {
        let created = app.put(&format!("/v1/stock/{odd}{at}?location={odd}"), &json!({"on_hand": 1})).await;
        let location = created.assert_status(201).header("location");
        app.get(location).await.assert_level(200, 1, 1);
    }
    let named = format!("/v1/stock/{odd}1?location={odd}");
    let change = json!({"delta": 1, "reference": "a\u{308} &+\">"});
    app.post(&named.replacen('?', "/adjust?", 1), &change).await.assert_status(200);
    app.post(&named.replacen('?', "/adjust?", 1), &change).await.assert_status(200);
    for (path, query) in [
        ("/v1/stock", format!("sku_prefix={odd}&location={odd}&limit=1")),
        (
            "/v1/movements",
            format!("location={odd}&reference={odd}&kind=adjusted%2Ccreated&from=2020-01-01&after=0&limit=1"),
        ),
        ("/v1/movements", format!("sku={odd}1&location={odd}&limit=1")),
    ] {
        let page = app.get(&format!("{path}?{query}")).await;
        let link = page.assert_status(200).header("link");
        let next =
            link.strip_prefix('<').and_then(|link| link.strip_suffix(">; rel=\"next\"")).expect("a link");
        let (next_path, next_query) = next.split_once('?').expect("a query");
        let sorted = |query: &str| {
            let mut values: Vec<_> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
            values.retain(|(name, _)| name != "cursor");
            values.sort();
            values
        };
        assert_eq!((next_path, sorted(next_query)), (path, sorted(&query)));
        app.get(next).await.assert_status(200);
    }
}
