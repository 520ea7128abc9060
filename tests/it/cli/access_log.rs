//! The access log: a line for each request, a few a second, without a word of what the request was about; and the last words of `serve`.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::Command;

use serde_json::Value;

use super::log::logged;
use super::{Served, end_of, inventory};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

fn serve(args: &[&str]) -> Command {
    let mut command = inventory(&["serve", "--listen", "127.0.0.1:0", "--ephemeral", "--log-format", "json"]);
    command.args(args);
    command
}

/// The status of a request with these further fields.
fn ask(served: &Served, request: &str, fields: &str, body: &str) -> u16 {
    let mut stream = TcpStream::connect(served.address()).expect("it listens");
    let length = body.len();
    let head =
        format!("{request} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n{fields}");
    write!(stream, "{head}Content-Type: application/json\r\n\r\n{body}").expect("a request");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status")
}

/// The fields of the lines of the access log.
fn of_requests(lines: &[Value]) -> Vec<&Value> {
    lines.iter().filter(|line| line["target"] == "inventory::access").map(|line| &line["fields"]).collect()
}

/// Fills the table of keys, so that further ones are answered with 503.
fn overload(served: &Served, times: usize) {
    for number in 0..=times {
        let key = format!("Idempotency-Key: {number}\r\n");
        let status = ask(served, "POST /v1/stock/S3CRET/adjust", &key, r#"{"delta":1}"#);
        assert_eq!(status, if number == 0 { 200 } else { 503 });
    }
}

/// Method, route, status, time, id and trace; the route and not the path, so no sku.
#[test]
fn a_request_is_a_line() {
    let mut command = serve(&["--access-log-rate", "1000", "--idempotency-keys", "1"]);
    let lines = logged(&mut command, |served| {
        let fields = format!("X-Request-Id: mine\r\nTraceparent: 00-{TRACE}-00f067aa0ba902b7-01\r\n");
        assert_eq!(ask(served, "PUT /v1/stock/S3CRET", &fields, r#"{"on_hand":3}"#), 201);
        let invalid = format!("Traceparent: 00-{TRACE}-0000000000000000-01\r\n");
        assert_eq!(ask(served, "GET /v1/stock/N0NE", &invalid, ""), 404);
        assert_eq!(ask(served, "BREW /pot", "", ""), 404);
        overload(served, 1);
    });
    let requests = of_requests(&lines);
    let told: Vec<_> = requests
        .iter()
        .map(|line| (line["method"].as_str(), line["route"].as_str(), line["status"].as_u64()))
        .map(|(method, route, status)| (method.expect("it"), route.expect("it"), status.expect("a number")))
        .collect();
    let expected = [
        ("PUT", "/v1/stock/{sku}", 201),
        ("GET", "/v1/stock/{sku}", 404),
        ("other", "none", 404),
        ("POST", "/v1/stock/{sku}/adjust", 200),
        ("POST", "/v1/stock/{sku}/adjust", 503),
    ];
    assert_eq!(told, expected);
    assert!(requests.iter().all(|line| line["duration_ms"].as_f64().is_some_and(|ms| ms > 0.0)));
    assert_eq!((&requests[0]["request_id"], &requests[0]["trace_id"]), (&"mine".into(), &TRACE.into()));
    assert_eq!(requests[1]["request_id"].as_str().map(str::len), Some(16));
    assert_eq!(requests[1].get("trace_id"), None, "what is not valid is passed over");
    let levels = lines.iter().filter(|line| line["target"] == "inventory::access").map(|line| &line["level"]);
    assert_eq!(levels.collect::<Vec<_>>(), ["INFO", "INFO", "INFO", "INFO", "WARN"]);
    for line in &lines {
        let line = line.to_string();
        assert!(!line.contains("S3CRET") && !line.contains("N0NE") && !line.contains("pot"), "{line}");
    }
}

/// P10: what is too much of a second is left out and counted, but for failures, which are all told.
#[test]
fn what_is_left_out_is_counted() {
    const EACH: usize = 40;
    let mut left_out = 0;
    let mut command = serve(&["--access-log-rate", "1", "--idempotency-keys", "1"]);
    let lines = logged(&mut command, |served| {
        for _ in 0..EACH {
            assert_eq!(served.get("/readyz"), "ready\n");
            assert_eq!(ask(served, "GET /v1/stock/A", "", ""), 404);
        }
        assert_eq!(ask(served, "PUT /v1/stock/S3CRET", "", r#"{"on_hand":3}"#), 201);
        overload(served, EACH);
        let name = "inventory_access_log_lines_left_out_total ";
        let metrics = served.get("/metrics");
        let count = metrics.lines().find_map(|line| line.strip_prefix(name)).expect("it is counted");
        left_out = count.parse().expect("a number");
    });
    let requests = of_requests(&lines);
    let failed = requests.iter().filter(|line| line["status"] == 503).count();
    assert_eq!(failed, EACH, "each of them");
    let others = requests.iter().filter(|line| line["status"] != 503 && line["route"] != "/metrics").count();
    assert_eq!(others + left_out, 2 * EACH + 2, "what is not told is counted");
    assert!(left_out > 0, "one line a second, and many a second were asked");
}

/// Without it, failures are told all the same; and `inventory::access` is a target, so a filter has it, too.
#[test]
fn it_can_be_off() {
    for off in
        [&["--access-log", "false"][..], &["--access-log=no"], &["--log", "info,inventory::access=warn"]]
    {
        let mut command = serve(off);
        let lines = logged(command.args(["--idempotency-keys", "1"]), |served| {
            assert_eq!(ask(served, "PUT /v1/stock/S3CRET", "", r#"{"on_hand":3}"#), 201);
            overload(served, 1);
        });
        let told: Vec<_> = of_requests(&lines).iter().map(|line| line["status"].clone()).collect();
        assert_eq!(told, [503], "{off:?}");
        assert!(lines.len() > 1, "the rest of the log is there");
    }
}

/// Why it ends is a line as those before: JSON where it is asked for or nobody watches, whatever is wrong and however it was said.
#[test]
fn the_last_words_have_the_format_of_the_log() {
    let nowhere = ["serve", "--ephemeral", "--listen", "nowhere"];
    let nonsense = ["serve", "--nonsense"];
    for (args, named) in [(&nowhere[..], "nowhere"), (&nonsense, "--nonsense")] {
        for (flags, variable, is_json) in [
            (&[][..], "auto", true),
            (&["--log-format", "json"], "text", true),
            (&["--log-format=text"], "json", false),
            (&[], "text", false),
        ] {
            let mut command = inventory(args);
            let output = end_of(command.args(flags).env("INVENTORY_LOG_FORMAT", variable));
            assert_eq!(output.status.code(), Some(2));
            let said = String::from_utf8(output.stderr).expect("UTF-8");
            assert_eq!(said.lines().count(), 1, "{said}");
            let words = if is_json {
                let line: Value =
                    serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said}"));
                assert_eq!(line["level"], "ERROR");
                assert!(line["timestamp"].as_str().is_some_and(|time| time.ends_with('Z')), "{said}");
                line["fields"]["message"].as_str().expect("a message").to_owned()
            } else {
                said.strip_prefix("error: ").unwrap_or_else(|| panic!("{said}")).to_owned()
            };
            assert!(words.contains(named), "{words}");
        }
    }
}
