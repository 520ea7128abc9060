//! Reports as files of every kind, on terminals of every width, and told again from their JSON.

use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};

use nix::pty::{Winsize, openpty};
use quick_junit::Report;

use super::fake::Fault;
use super::{assert_exit, loadtest, serve, stdout};

const FORMATS: [&str; 5] = ["json", "md", "html", "junit", "csv"];

/// `--out` for all of them in a folder.
fn everything(folder: &Path) -> String {
    FORMATS.map(|format| format!("{format}={}", folder.join(format).display())).join(",")
}

fn text(folder: &Path, name: &str) -> String {
    std::fs::read_to_string(folder.join(name)).expect("it was written")
}

fn run(fault: Fault, arguments: &[&str]) -> std::process::Output {
    let url = serve(fault);
    let fixed = ["run", &url, "--requests", "1000", "--warmup", "20ms", "--skus", "2", "--seed", "7"];
    loadtest(&[&fixed[..], arguments].concat())
}

#[test]
fn every_format_is_what_it_says_and_comes_again_from_the_json() {
    let (folder, again) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let out = everything(folder.path());
    // A threshold that nobody can miss, and one that everybody does.
    let demands = ["--max-p99", "1h", "--min-throughput", "9000000", "--out", &out];
    assert_exit(&run(Fault::None, &demands), 3);

    let junit = Report::deserialize_from_str(&text(folder.path(), "junit")).expect("JUnit");
    assert_eq!((junit.tests, junit.failures, junit.errors), (3, 1, 0));
    let html = text(folder.path(), "html");
    assert!(html.starts_with("<!DOCTYPE html>") && html.contains("no update was lost"), "{html}");
    let csv = text(folder.path(), "csv");
    assert!(csv.starts_with("table,row,column,value\n") && csv.contains("figures,p99 of all,us,"), "{csv}");

    let json = folder.path().join("json");
    let output = loadtest(&["report", json.to_str().unwrap(), "--out", &everything(again.path())]);
    assert_exit(&output, 0);
    assert!(stdout(&output).contains("FAILED    threshold: min-throughput"), "{}", stdout(&output));
    for format in ["md", "html", "junit", "csv"] {
        assert_eq!(text(folder.path(), format), text(again.path(), format), "{format}");
    }
    let read = |folder| serde_json::from_str::<serde_json::Value>(&text(folder, "json")).expect("JSON");
    assert_eq!(read(folder.path()), read(again.path()));
}

#[test]
fn a_violation_is_a_failure_everywhere() {
    let folder = tempfile::tempdir().unwrap();
    assert_exit(&run(Fault::LostUpdate, &["--out", &everything(folder.path())]), 4);
    let junit = text(folder.path(), "junit");
    let read = Report::deserialize_from_str(&junit).expect("JUnit");
    assert_eq!(read.failures, 1, "{junit}");
    for format in ["md", "html", "junit"] {
        assert!(text(folder.path(), format).contains("LOST UPDATE"), "{format}");
    }
}

#[test]
fn two_reports_are_shown_side_by_side() {
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    for folder in &folders {
        assert_exit(&run(Fault::None, &["--out", &everything(folder.path())]), 0);
    }
    let [before, after] = folders.each_ref().map(|folder| folder.path().join("json").display().to_string());
    let output = loadtest(&["diff", &before, &after, "--out", "csv=-"]);
    assert_exit(&output, 0);
    assert!(stdout(&output).contains("\nfigures,p99 of all,after / before,"), "{}", stdout(&output));
    assert!(stdout(&output).contains("\ndemands,invariant: no update was lost,after,passed\n"));
}

#[test]
fn what_is_no_report_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("x.json");
    for (content, told) in [
        ("", "is no report"),
        ("[]", "is no report"),
        ("{\"format\":\"loadtest-run/1\"}", "earlier version"),
        ("{\"document\":{\"format\":\"loadtest-document/9\"}}", "loadtest-document/9"),
    ] {
        std::fs::write(&file, content).unwrap();
        let name = file.display().to_string();
        for arguments in [vec!["report", &name], vec!["diff", &name, &name]] {
            let output = loadtest(&arguments);
            assert_exit(&output, 1);
            let errors = String::from_utf8_lossy(&output.stderr);
            assert!(errors.contains(told) && errors.lines().count() == 1, "{content}: {errors}");
        }
    }
    assert_exit(&loadtest(&["report", "/nowhere/x.json"]), 1);
}

/// What the program prints to a terminal of that many columns.
fn on_a_terminal(columns: u16, arguments: &[&str]) -> String {
    let size = Winsize { ws_row: 40, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    let terminal = openpty(&size, None).expect("a terminal");
    let child = Command::new(env!("CARGO_BIN_EXE_loadtest"))
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(terminal.slave)
        .stderr(Stdio::null())
        .env("TERM", "xterm")
        .env_remove("NO_COLOR")
        .spawn();
    let mut child = child.expect("the program runs");
    let mut screen = Vec::new();
    // It ends with an error when the last who writes has gone.
    let _ = std::fs::File::from(terminal.master).read_to_end(&mut screen);
    child.wait().expect("it ends");
    String::from_utf8(screen).expect("text")
}

#[test]
fn a_terminal_is_filled_and_not_overrun() {
    let folder = tempfile::tempdir().unwrap();
    assert_exit(&run(Fault::None, &["--out", &everything(folder.path())]), 0);
    let json = folder.path().join("json").display().to_string();
    for columns in [80, 100, 200] {
        let screen = on_a_terminal(columns, &["report", &json]);
        for line in screen.lines() {
            assert!(console::measure_text_width(line) <= usize::from(columns), "{columns}: {line}");
        }
        assert!(screen.contains("p99.9 ms") && screen.contains('\u{1b}'), "{screen}");
        let plain = on_a_terminal(columns, &["report", &json, "--color", "never"]);
        assert_eq!(plain, console::strip_ansi_codes(&screen));
    }
}
