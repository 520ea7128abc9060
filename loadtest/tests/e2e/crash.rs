//! `crash`, with a durable server program that is honest or has one fault: an example of this crate, which `cargo test`
//! builds along (but `cargo test --test e2e` does not).

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use super::compare::{child_of, terminate, wait_until_gone};
use super::{assert_exit, loadtest, stdout};

fn server() -> String {
    let program = PathBuf::from(env!("CARGO_BIN_EXE_loadtest"));
    program.with_file_name("examples").join("fake_durable").display().to_string()
}

/// A crash test whose temporary files go to a folder that can be looked at.
fn command(folder: &Path, fault: &str, more: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_loadtest"));
    let short = ["--cycles", "9", "--life", "20ms..60ms", "--seed", "7", "--clients", "12"];
    let short = short.chunks(2).filter(|option| !more.contains(&option[0])).flatten();
    command.args(["crash", "--json", "--server-bin", &server()]).args(short).args(more);
    command.args(["--", "--fault", fault]).env("TMPDIR", folder);
    command
}

fn crash(fault: &str, more: &[&str]) -> (Output, Value, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let output = command(folder.path(), fault, more).output().expect("the program runs");
    let report = serde_json::from_slice(&output.stdout).unwrap_or_default();
    (output, report, folder)
}

/// A violation of the history, and where it shows beside.
#[track_caller]
fn assert_violated(fault: &str, more: &[&str]) -> Value {
    let (output, report, folder) = crash(fault, more);
    assert_exit(&output, 4);
    assert_eq!(report["verdict"]["result"], "violated", "{report}");
    let mut left = folder.path().read_dir().expect("a readable folder");
    let kept = left.next().expect("the folder is kept").expect("a readable entry").path();
    assert!(report["kept"].to_string().contains(&kept.display().to_string()));
    assert!(kept.join("data/journal").is_file() && kept.join("logs/life-0001.log").is_file());
    let history = kept.join("logs/history.jsonl.gz").display().to_string();
    assert_exit(&loadtest(&["check", &history]), 4);
    report
}

fn count(report: &Value, path: &str) -> u64 {
    report.pointer(path).and_then(Value::as_u64).unwrap_or_else(|| panic!("{path} in {report}"))
}

#[test]
fn an_honest_server_keeps_everything() {
    let (output, report, folder) = crash("none", &[]);
    assert_exit(&output, 0);
    assert_eq!(report["format"], "loadtest-crash/1");
    assert_eq!(report["verdict"]["result"], "consistent");
    assert_eq!(report["verdict"]["detail"]["summary"]["unknown"], 0, "every unknown outcome was resolved");
    for zero in [
        "/accounts/missing",
        "/accounts/doubled",
        "/accounts/torn",
        "/torn_pairs",
        "/total/unresolved",
        "/taken_back/deletions",
        "/taken_back/versions",
        "/left_out/count",
        "/comings/unresolved",
    ] {
        assert_eq!(count(&report, zero), 0, "{zero}");
    }
    let kinds = ["adjust", "batch", "independent", "transfer"];
    let some = ["/cycles/kills_in_flight", "/cycles/terminated", "/cycles/kills_early", "/total/echoes"];
    let some = some.into_iter().map(str::to_owned);
    for some in some.chain(kinds.map(|kind| format!("/writes/{kind}/applied"))) {
        assert!(count(&report, &some) > 0, "{some} in {report}");
    }
    let total = |name: &str| count(&report, &format!("/total/{name}"));
    assert_eq!(total("unknown"), total("unknown_replayed") + total("unknown_executed"));
    assert!(total("unknown_replayed") > 0 && total("unknown_executed") > 0, "{report}");
    assert_eq!(count(&report, "/cycles/done"), 9);
    assert_eq!(report["lives"].as_array().unwrap().last().unwrap()["end"], "last");
    assert_eq!(folder.path().read_dir().unwrap().count(), 0, "the temporary folder is removed");
}

#[test]
fn acknowledged_changes_that_a_kill_took_back_are_missing() {
    let report = assert_violated("forgetful", &[]);
    assert!(count(&report, "/accounts/missing") > 0, "{report}");
    let kinds = report["verdict"]["detail"]["conclusion"]["by_kind"].to_string();
    assert!(kinds.contains("lost_update"), "{kinds}");
    assert!(report["remarks"].to_string().contains("acknowledged changes are missing"), "{report}");
}

#[test]
fn retries_that_are_executed_again_are_doubled() {
    let report = assert_violated("twice", &[]);
    assert!(count(&report, "/accounts/doubled") > 0, "{report}");
    assert_eq!(count(&report, "/accounts/missing"), 0, "{report}");
    assert!(count(&report, "/echoes_differing/count") > 0, "{report}");
}

#[test]
fn a_torn_transaction_is_seen_on_its_pair() {
    let report = assert_violated("torn", &["--mix", "batch=1", "--keys", "uniform", "--cycles", "48"]);
    assert!(count(&report, "/torn_pairs") > 0, "{report}");
}

#[test]
fn what_was_shown_before_it_was_written_is_a_violation() {
    let mix = ["--mix", "adjust=1,read=2", "--keys", "single", "--cycles", "16", "--clients", "24"];
    let report = assert_violated("early", &mix);
    // Every acknowledged change is there: only those who looked too early can tell.
    assert_eq!(count(&report, "/accounts/missing") + count(&report, "/accounts/doubled"), 0, "{report}");
}

#[test]
fn a_deletion_that_only_a_listing_or_an_export_showed_and_a_kill_took_back_is_a_violation() {
    for fault in ["gone", "hasty"] {
        let report = assert_violated(fault, &[]);
        assert!(count(&report, "/taken_back/deletions") > 0, "{fault}: {report}");
        let remarks = report["remarks"].to_string();
        assert!(
            remarks.contains("deletions were taken back that a listing or an export had shown"),
            "{remarks}"
        );
        // Every acknowledged change is there, and every read waited: only what was missing can tell.
        assert_eq!(count(&report, "/accounts/missing") + count(&report, "/accounts/doubled"), 0, "{report}");
        assert_eq!(count(&report, "/left_out/count"), 0, "{fault}: {report}");
    }
}

#[test]
fn a_server_that_shows_only_what_is_written_is_never_accused() {
    for seed in ["7", "8", "9"] {
        let (output, report, _folder) = crash("deferred", &["--seed", seed, "--come-and-go", "8"]);
        assert_exit(&output, 0);
        for some in
            ["/comings/created", "/comings/deleted", "/comings/unknown", "/looks/pages", "/looks/exports"]
        {
            assert!(count(&report, some) > 0, "{some} in {report}");
        }
        let comings = |name: &str| count(&report, &format!("/comings/{name}"));
        assert_eq!(comings("unknown"), comings("unknown_done") + comings("unknown_not_done"), "{report}");
        assert_eq!(comings("refused") + comings("unresolved"), 0, "{report}");
    }
}

#[test]
fn a_server_that_does_not_come_back_is_a_violation_and_its_log_is_quoted() {
    let (output, report, _folder) = crash("stuck", &[]);
    assert_exit(&output, 4);
    let remarks = report["remarks"].to_string();
    assert!(remarks.contains("did not come back") && remarks.contains("not closed cleanly"), "{remarks}");
}

#[test]
fn a_stop_that_fails_is_told() {
    let (output, report, _folder) = crash("unclean", &[]);
    assert_exit(&output, 5);
    assert!(report["remarks"].to_string().contains("exit status: 1 after SIGTERM"), "{report}");
    assert_eq!(report["verdict"]["result"], "consistent", "{report}");
}

#[test]
fn a_server_without_keys_proves_nothing() {
    let (output, report, _folder) = crash("keyless", &["--cycles", "2"]);
    assert_exit(&output, 5);
    let remarks = report["remarks"].to_string();
    assert!(remarks.contains("writes were rejected") && remarks.contains("no such header"), "{remarks}");
}

#[test]
fn what_cannot_be_run_is_told_in_one_line() {
    let nowhere = loadtest(&["crash", "--server-bin", "/nowhere/inventory"]);
    assert_exit(&nowhere, 1);
    let errors = String::from_utf8_lossy(&nowhere.stderr).into_owned();
    assert!(errors.contains("/nowhere/inventory could not be started"), "{errors}");
    let server = server();
    for wrong in [["--mix", "adjust=1,put=1"], ["--life", "2s..1s"], ["--clients", "1"]] {
        assert_exit(&loadtest(&[&["crash", "--server-bin", &server], &wrong[..]].concat()), 2);
    }
}

#[test]
fn a_data_directory_that_was_given_is_used_again_and_left() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let options = ["--cycles", "2", "--data-dir", data.to_str().unwrap()];
    for _ in 0..2 {
        assert_exit(&command(folder.path(), "none", &options).output().expect("the program runs"), 0);
    }
    assert!(data.join("journal").is_file());
    assert!(folder.path().join("data-logs/life-0001.log").is_file());
}

/// The rest of a line that a kill met in the middle: a start that went on writing behind it would lose the first change of
/// its life to the next one, and be rightly accused.
#[test]
fn a_line_that_a_kill_cut_off_takes_no_other_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    std::fs::create_dir(&data).unwrap();
    std::fs::write(data.join("journal"), "{\"method\":\"POST\",\"uri\":\"/v1/adj").unwrap();
    let options = ["--cycles", "2", "--data-dir", data.to_str().unwrap()];
    let output = command(folder.path(), "none", &options).output().expect("the program runs");
    assert_exit(&output, 0);
    let report: Value = serde_json::from_slice(&output.stdout).expect("a report");
    assert_eq!(count(&report, "/accounts/missing"), 0, "{report}");
}

#[test]
fn the_report_is_written_for_people_too() {
    let folder = tempfile::tempdir().unwrap();
    let page = folder.path().join("a.md");
    let out = format!("md={}", page.display());
    let server = server();
    let output = loadtest(&["crash", "--server-bin", &server, "--cycles", "2", "--seed", "7", "--out", &out]);
    assert_exit(&output, 0);
    let text = stdout(&output);
    for wanted in
        ["CONSISTENT", "seed 7", "2 of 2 cycles", "0 missing, 0 applied twice", "Recovery, from start"]
    {
        assert!(text.contains(wanted), "{wanted} in {text}");
    }
    assert!(std::fs::read_to_string(page).unwrap().contains("| independent"));
}

#[test]
fn an_interrupted_crash_test_verifies_what_it_has_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut tool = endless(folder.path());
    let server = child_of(tool.id());
    terminate(tool.id());
    assert_eq!(tool.wait().expect("it ends").code(), Some(130));
    wait_until_gone(server);
    assert_eq!(folder.path().read_dir().unwrap().count(), 0);
}

#[test]
fn who_asks_twice_does_not_wait_and_leaves_nothing_either() {
    let folder = tempfile::tempdir().unwrap();
    let mut tool = endless(folder.path());
    let server = child_of(tool.id());
    // One signal may arrive before the first was taken, and then counts as one: asked until it is done.
    while tool.try_wait().expect("its state").is_none() {
        terminate(tool.id());
        std::thread::yield_now();
    }
    assert_eq!(tool.wait().expect("it ends").code(), Some(130));
    wait_until_gone(server);
}

/// A crash test with one life of an hour.
fn endless(folder: &Path) -> std::process::Child {
    command(folder, "none", &["--life", "1h..1h"]).stdout(Stdio::null()).spawn().expect("the program runs")
}
