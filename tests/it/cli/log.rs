//! The log never ends or stalls the service, whatever becomes of standard error.

use std::io::{Read as _, Write as _, pipe};
use std::process::{Command, Stdio};

use nix::sys::signal::Signal;

use serde_json::Value;

use super::{Served, end_of, inventory, told};

/// What a pipe holds on Linux, unless it is told otherwise.
const PIPE_BYTES: usize = 64 * 1024;

fn serve(data: &tempfile::TempDir) -> Command {
    let mut command = inventory(&["serve", "--listen", "127.0.0.1:0", "--log", "trace", "--data-dir"]);
    command.arg(data.path());
    command
}

/// Requests, a change and a backup (which takes a snapshot), then the end: all as if somebody read the log.
fn assert_serves_and_ends(served: Served) {
    for _ in 0..50 {
        assert_eq!(served.get("/readyz"), "ready\n");
    }
    assert!(served.send("PUT", "/v1/stock/A", r#"{"on_hand":3}"#).starts_with("HTTP/1.1 201 "));
    assert!(served.send("POST", "/v1/backup", r#"{"to":"copy"}"#).starts_with("HTTP/1.1 "));
    assert!(served.get("/v1/stock/A").contains(r#""on_hand":3"#));
    served.signal(Signal::SIGTERM);
    assert_eq!(served.end(), (Some(0), String::new()));
}

#[test]
fn a_log_whose_reader_has_gone_away_is_no_end() {
    let data = tempfile::tempdir().expect("a temporary folder");
    let (reader, writer) = pipe().expect("a pipe");
    drop(reader);
    let served = Served::logging_to(Stdio::from(writer), &mut serve(&data));
    let lost = served.get("/metrics");
    let lost = lost.lines().find_map(|line| line.strip_prefix("inventory_log_lines_lost_total "));
    assert!(lost.expect("it is counted").parse::<u64>().expect("a number") > 0, "{lost:?}");
    assert_serves_and_ends(served);
}

#[test]
fn a_log_that_nobody_reads_holds_nobody_up() {
    let data = tempfile::tempdir().expect("a temporary folder");
    let (_unread, mut writer) = pipe().expect("a pipe");
    writer.write_all(&vec![b'-'; PIPE_BYTES]).expect("it has room for that, and not for more");
    assert_serves_and_ends(Served::logging_to(Stdio::from(writer), &mut serve(&data)));
}

#[test]
fn a_log_that_is_read_has_the_last_word() {
    let data = tempfile::tempdir().expect("a temporary folder");
    let (mut reader, writer) = pipe().expect("a pipe");
    let mut command = serve(&data);
    let served = Served::logging_to(Stdio::from(writer), command.args(["--log-format", "text"]));
    // It has a copy of the pipe's end, which would keep it open.
    drop(command);
    let reading = std::thread::spawn(move || {
        let mut all = String::new();
        reader.read_to_string(&mut all).expect("UTF-8");
        all
    });
    assert_serves_and_ends(served);
    let all = reading.join().expect("it is read to its end");
    assert!(all.contains("serving") && all.contains("every accepted request was answered; bye"), "{all}");
}

/// Who finds the data directory in use says so, and not that it serves.
#[test]
fn what_is_not_served_is_not_said_to_be() {
    let data = tempfile::tempdir().expect("a temporary folder");
    let served = Served::start(&mut serve(&data));
    let mut second = inventory(&["serve", "--listen", "127.0.0.1:0", "--log", "info", "--data-dir"]);
    let line = told(&end_of(second.arg(data.path())), 1);
    assert!(line.contains("in use"), "{line}");
    drop(served);
}

/// What a server logs to its end; and how it answers meanwhile is for the caller.
pub(super) fn logged(command: &mut Command, act: impl FnOnce(&Served)) -> Vec<Value> {
    let (mut reader, writer) = pipe().expect("a pipe");
    let served = Served::logging_to(Stdio::from(writer), command);
    // The command has a copy of the pipe's end, which would keep it open.
    command.stderr(Stdio::null());
    let reading = std::thread::spawn(move || {
        let mut all = String::new();
        reader.read_to_string(&mut all).expect("UTF-8");
        all
    });
    act(&served);
    served.signal(Signal::SIGTERM);
    assert_eq!(served.end().0, Some(0));
    let all = reading.join().expect("it is read to its end");
    let parsed = |line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    all.lines().map(parsed).collect()
}

/// A log of JSON has numbers where there are numbers, so that who reads it can add and compare. It is what there is where nobody watches.
#[test]
fn a_log_of_json_has_numbers() {
    let data = tempfile::tempdir().expect("a temporary folder");
    let mut lines = Vec::new();
    // The second start has something to recover.
    for (sku, format) in [("A", &["--log-format", "json"][..]), ("B", &[])] {
        lines.extend(logged(serve(&data).args(format), |served| {
            let made = served.send("PUT", &format!("/v1/stock/{sku}"), r#"{"on_hand":3}"#);
            assert!(made.starts_with("HTTP/1.1 201 "));
            let copied = served.send("POST", "/v1/backup", &format!(r#"{{"name":"{sku}"}}"#));
            assert!(copied.starts_with("HTTP/1.1 201 "));
        }));
    }
    assert!(
        lines.iter().any(|line| line["fields"]["message"].as_str().is_some_and(|m| m.contains("recovered")))
    );
    for line in lines {
        let is_ours = line["target"].as_str().is_some_and(|target| target.starts_with("inventory"));
        for (name, value) in line["fields"].as_object().expect("fields") {
            // An id of sixteen digits may have no letter.
            let is_text = is_ours
                && name != "request_id"
                && value.as_str().is_some_and(|text| text.parse::<f64>().is_ok());
            assert!(!is_text, "{name} is a number: {line}");
        }
    }
}
