//! How connections end: a client that closed its side is answered, an answer that was cut off does not pass for whole, and a head that
//! is too large is told so (P10, P11; RFC 9112, section 9).

use std::io::ErrorKind;
use std::time::Duration;

use inventory::strategy::StrategyKind;

use crate::support::app::raw::Raw;
use crate::support::app::{TestApp, WATCHDOG};

/// Short enough not to be waited for, and measured nowhere.
const SHORT: Duration = Duration::from_millis(50);

fn adjust(sku: &str) -> String {
    let head = "HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 11";
    format!("POST /v1/stock/{sku}/adjust {head}\r\n\r\n{{\"delta\":1}}")
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n")
}

/// Fault 7: whoever asks and closes its side, as `nc -N` and `socat` do, is answered, and then the connection ends. So is each of
/// several requests on one connection.
#[tokio::test]
async fn a_client_that_closed_its_side_is_answered() {
    let app = TestApp::stocked(StrategyKind::Atomic, &[("A", 0)]).await;
    for version in 2..=50 {
        let mut connection = app.connect().await;
        connection.write(adjust("A")).await;
        connection.end().await;
        connection.answer().await.assert_level(200, version - 1, version);
        assert!(connection.rest().await.is_empty(), "the connection ends");
    }
    let mut connection = app.connect().await;
    connection.write(adjust("A").repeat(3) + &get("/livez")).await;
    connection.end().await;
    for version in 51..=53 {
        connection.answer().await.assert_level(200, version - 1, version);
    }
    connection.answer().await.assert_status(200);
    assert!(connection.rest().await.is_empty());
    // Answers of every kind: at once, of some size, in pieces.
    for (path, last) in [("/livez", "alive\n"), ("/openapi.json", "}"), ("/v1/export", "0\r\n\r\n")] {
        let mut connection = app.connect().await;
        connection.write(get(path)).await;
        connection.end().await;
        let told = String::from_utf8(connection.rest().await).expect("text");
        assert!(told.starts_with("HTTP/1.1 200 ") && told.ends_with(last), "{path}: {told}");
    }
}

/// A request of which half came before its client closed its side is none: nobody waits for the rest.
#[tokio::test]
async fn half_a_request_ends_with_its_client() {
    let app = TestApp::stocked(StrategyKind::Atomic, &[("A", 1)]).await;
    for half in [&adjust("A")[..40], &adjust("A")[..adjust("A").len() - 4]] {
        let mut connection = app.connect().await;
        connection.write(half).await;
        connection.end().await;
        let told = String::from_utf8(connection.rest().await).expect("text");
        assert!(told.is_empty() || told.starts_with("HTTP/1.1 400 "), "{told}");
    }
    assert_eq!(app.level("A").await, (1, 1));
}

/// A client that has gone while it waits for stock gives its place back: nobody can tell that it has gone and not only closed its
/// side, so after some seconds in which there was nothing to tell it.
#[tokio::test]
async fn a_client_that_has_gone_is_not_waited_for_long() {
    let app = TestApp::stocked(StrategyKind::Atomic, &[("A", 1)]).await;
    let mut connection = app.connect().await;
    connection.write("GET /v1/stock/A?min_available=2 HTTP/1.1\r\nHost: x\r\nPrefer: wait=20\r\n\r\n").await;
    let waiters = async |count: &str| {
        let line = format!("inventory_stock_waiters {count}\n");
        while !app.get("/metrics").await.text().contains(&line) {
            tokio::task::yield_now().await;
        }
    };
    waiters("1").await;
    drop(connection);
    tokio::time::timeout(Duration::from_secs(15), waiters("0")).await.expect("it is not waited for");
}

/// Fault 4: an answer that ends with its connection (HTTP/1.0) and is cut off ends with a reset, and not as a whole one does.
#[tokio::test]
async fn what_was_cut_off_does_not_pass_for_whole() {
    let app = TestApp::with(StrategyKind::Atomic).with_write_timeout(SHORT).start().await;
    let lines: String = (0..60_000).fold(String::new(), |lines, number| {
        lines + &format!("{{\"sku\":\"a-sku-of-some-length-so-that-there-is-much-to-write-{number:05}\",\"on_hand\":1}}\n")
    });
    let import =
        app.call(axum::http::Method::POST, "/v1/import").header("content-type", "application/x-ndjson");
    import.body(lines).send().await.assert_status(200);
    let mut connection = app.connect().await;
    connection.write("GET /v1/export HTTP/1.0\r\n\r\n").await;
    let broken_off = async {
        while !app.get("/metrics").await.text().contains("inventory_connections_broken_off_total 1\n") {
            tokio::task::yield_now().await;
        }
    };
    // It takes nothing until it is cut off.
    tokio::time::timeout(WATCHDOG, broken_off).await.expect("it is cut off");
    assert_eq!(connection.rest_or_reset().await.unwrap_err().kind(), ErrorKind::ConnectionReset);
}

/// P10: a head has 64 fields and 16 KiB at most.
#[tokio::test]
async fn heads_are_bounded() {
    let app = TestApp::start(StrategyKind::Atomic).await;
    let fields = |count: usize, bytes: usize| {
        let field = |number: usize| format!("X-{number:03}: {}\r\n", "x".repeat(bytes));
        "GET /livez HTTP/1.1\r\nHost: x\r\n".to_owned() + &(1..count).map(field).collect::<String>() + "\r\n"
    };
    for (head, status) in
        [(fields(64, 1), 200), (fields(65, 1), 431), (fields(15, 1_000), 200), (fields(18, 1_000), 431)]
    {
        let mut connection = app.connect().await;
        connection.write(head).await;
        connection.answer().await.assert_status(status);
    }
    // One field that never ends.
    let mut connection = app.connect().await;
    let _refused = connection.send("GET /livez HTTP/1.1\r\nX: ".to_owned() + &"x".repeat(1 << 20)).await;
    let told = connection.rest().await;
    assert!(told.is_empty() || told.starts_with(b"HTTP/1.1 431 "), "{}", String::from_utf8_lossy(&told));
}

/// P10: a head that has begun has to come, however long a connection may idle.
#[tokio::test]
async fn a_head_that_has_begun_is_not_waited_for_as_long_as_an_idle_connection() {
    let app = TestApp::with(StrategyKind::Atomic).with_header_timeout(SHORT).start().await;
    let (mut idle, mut served) = (app.connect().await, Raw::connect_with(app.address, get("/livez")));
    served.answer().await.assert_status(200);
    for beginning in ["G", "GET /livez HTTP/1.1\r\n", "GET /livez HTTP/1.1\r\nHost: x\r\n"] {
        let mut connection = app.connect().await;
        connection.write(beginning).await;
        assert!(connection.rest().await.is_empty(), "it ends");
    }
    // Half a head behind a request that was answered is one, too.
    let mut second = app.connect().await;
    second.write(get("/livez")).await;
    second.answer().await.assert_status(200);
    second.write("GET /liv").await;
    assert!(second.rest().await.is_empty(), "it ends");
    assert!(idle.has_nothing() && served.has_nothing());
    for connection in [&mut idle, &mut served] {
        connection.write(get("/livez")).await;
        connection.answer().await.assert_status(200);
    }
}
