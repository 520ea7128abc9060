//! `selftest`, with the real service and its mutants: an example of this crate, which `cargo test` builds along (but
//! `cargo test --test e2e` does not).

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{assert_exit, loadtest, stdout};

/// A server program beside the program under test.
fn example(name: &str) -> String {
    let program = PathBuf::from(env!("CARGO_BIN_EXE_loadtest"));
    program.with_file_name("examples").join(name).display().to_string()
}

/// A short self-test with as much time as a busy machine may want, and its report.
fn selftest(server: &str, folder: &Path) -> (std::process::Output, Value, String) {
    let (json, page) = (folder.join("a.json"), folder.join("a.md"));
    let out = format!("json={},md={}", json.display(), page.display());
    let fixed = ["selftest", "--seed", "7", "--requests", "1000", "--max-time", "10m", "--out", &out];
    let output = loadtest(&[&fixed[..], &["--server-bin", server]].concat());
    let report = std::fs::read(json).map_or(Value::Null, |json| serde_json::from_slice(&json).expect("JSON"));
    (output, report, std::fs::read_to_string(page).unwrap_or_default())
}

/// The server with the mutants, which serves something else where one strategy is asked for.
fn impostor(folder: &Path, asked: &str, served: &str) -> String {
    let (program, real) = (folder.join("impostor"), example("mutant_inventory"));
    let script = format!(
        "#!/bin/sh\nexec {real} $(echo \"$@\" | sed 's/--strategy {asked} /--strategy {served} /; /^serve/s/$/ --allow-racy/; s/--allow-racy --allow-racy/--allow-racy/')\n"
    );
    std::fs::write(&program, script).expect("written");
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).expect("a program");
    program.display().to_string()
}

fn row<'r>(report: &'r Value, name: &str) -> &'r Value {
    let rows = report["rows"].as_array().expect("rows");
    rows.iter().find(|row| row["name"] == name).unwrap_or_else(|| panic!("{name} has a row"))
}

#[test]
fn every_mutant_dies_and_no_correct_strategy_is_accused() {
    let folder = tempfile::tempdir().unwrap();
    let (output, report, page) = selftest(&example("mutant_inventory"), folder.path());
    assert_exit(&output, 0);
    assert_eq!((&report["format"], &report["exit_code"]), (&"loadtest-selftest/1".into(), &0.into()));
    let states = |group: &str| {
        let rows = report["rows"].as_array().unwrap().iter().filter(|row| row["group"] == group);
        rows.map(|row| row["state"].as_str().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(states("correct"), ["clean"; 7]);
    assert_eq!(states("mutant"), ["killed"; 7]);
    assert_eq!(states("planted"), ["killed"; 13]);
    // Each dies of what it is wrong in.
    let kinds = [
        ("racy", "lost update"),
        ("dropped-ack", "lost update"),
        ("double-replay", "books"),
        ("stale-cache", "out of real time"),
        ("half-cancelled", "missing version"),
    ];
    for (name, kind) in kinds {
        let kills = row(&report, name)["kills"].as_array().unwrap();
        assert!(kills.iter().any(|kill| kill["check"] == kind), "{name}: {kills:?}");
    }
    let text = stdout(&output);
    assert!(text.contains("Mutants killed: 7 of 7") && text.contains("LU lost update"), "{text}");
    assert!(page.starts_with("# The kill matrix") && page.contains("| torn-lines "), "{page}");
}

#[test]
fn a_mutant_that_survives_is_exit_5_and_named() {
    let folder = tempfile::tempdir().unwrap();
    let server = impostor(folder.path(), "stale-cache", "mutex");
    let (output, report, _) = selftest(&server, folder.path());
    assert_exit(&output, 5);
    assert!(stdout(&output).contains("the mutant stale-cache"), "{}", stdout(&output));
    assert_eq!(
        (&row(&report, "stale-cache")["state"], &row(&report, "racy")["state"]),
        (&"survived".into(), &"killed".into())
    );
}

#[test]
fn a_correct_strategy_that_is_accused_is_exit_4_and_named() {
    let folder = tempfile::tempdir().unwrap();
    let server = impostor(folder.path(), "sharded", "dropped-ack");
    let (output, report, _) = selftest(&server, folder.path());
    assert_exit(&output, 4);
    assert!(
        stdout(&output).contains("sharded is meant to be correct, and is accused of lost update"),
        "{}",
        stdout(&output)
    );
    assert_eq!(
        (&row(&report, "sharded")["state"], &row(&report, "mutex")["state"]),
        (&"accused".into(), &"clean".into())
    );
}

#[test]
fn a_server_without_the_mutants_is_told_how_to_build_one() {
    let output = loadtest(&["selftest", "--server-bin", &example("fake_inventory")]);
    assert_exit(&output, 1);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        errors.contains("lacks the mutants upgraded-lock") && errors.contains("--example mutant_inventory"),
        "{errors}"
    );
}

#[test]
fn what_there_was_no_time_for_is_no_pass() {
    let folder = tempfile::tempdir().unwrap();
    let out = format!("json={}", folder.path().join("a.json").display());
    let output = loadtest(&[
        "selftest",
        "--server-bin",
        &example("mutant_inventory"),
        "--max-time",
        "0s",
        "--out",
        &out,
    ]);
    assert_exit(&output, 5);
    assert!(stdout(&output).contains("mutex was not tried: the time was up"), "{}", stdout(&output));
}
