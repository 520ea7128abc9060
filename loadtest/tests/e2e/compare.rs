//! `compare`, with a server program that has an honest and two dishonest strategies: an example of this crate, which
//! `cargo test` builds along (but `cargo test --test e2e` does not).

use std::path::PathBuf;

use super::{assert_exit, loadtest, stdout};

/// The server program: an example of this crate, built beside the program under test.
fn server() -> String {
    let program = PathBuf::from(env!("CARGO_BIN_EXE_loadtest"));
    program.with_file_name("examples").join("fake_inventory").display().to_string()
}

fn compare(strategies: &str, more: &[&str]) -> std::process::Output {
    let server = server();
    let short = ["--rounds", "2", "--requests", "2000", "--warmup", "10ms", "--skus", "5", "--seed", "7"];
    let fixed = ["compare", "--server-bin", &server, "--strategies", strategies];
    loadtest(&[&fixed[..], &short, more].concat())
}

#[test]
fn correct_strategies_pass() {
    let output = compare("all", &[]);
    assert_exit(&output, 0);
    let text = stdout(&output);
    assert!(text.contains("honest") && text.contains("consistent (2/2)") && !text.contains("racy"), "{text}");
}

#[test]
fn only_the_racy_strategy_is_named_with_its_culprits() {
    let output = compare("all,racy", &["--allow-racy"]);
    assert_exit(&output, 4);
    let text = stdout(&output);
    assert!(text.contains("racy broke its promises in 2 of 2 rounds"), "{text}");
    assert!(!text.contains("honest broke") && text.contains("LOST UPDATE"), "{text}");
    let violation = text.split("LOST UPDATE").nth(1).expect("a violation");
    assert!(violation.matches("client").count() >= 2, "{violation}");
}

#[test]
fn a_racy_strategy_that_gets_away_is_no_pass() {
    let output = compare("honest,tame", &["--allow-racy"]);
    assert_exit(&output, 5);
    assert!(stdout(&output).contains("tame loses updates, and was not caught"), "{}", stdout(&output));
}

#[test]
fn what_cannot_be_compared_is_told_in_one_line() {
    assert_exit(&compare("all,racy", &[]), 2);
    assert_exit(&compare("spinlock", &[]), 2);
    let output = loadtest(&["compare", "--server-bin", "/nowhere/inventory"]);
    assert_exit(&output, 1);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(errors.contains("/nowhere/inventory could not be started"), "{errors}");
}

#[test]
fn the_report_holds_every_turn() {
    let folder = tempfile::tempdir().unwrap();
    let (json, markdown) = (folder.path().join("a.json"), folder.path().join("a.md"));
    let out = format!("json={},md={}", json.display(), markdown.display());
    assert_exit(&compare("all", &["--out", &out]), 0);
    let report: serde_json::Value = serde_json::from_slice(&std::fs::read(json).unwrap()).unwrap();
    assert_eq!(report["format"], "loadtest-compare/1");
    assert_eq!(report["turns"].as_array().unwrap().len(), 2);
    assert_eq!(report["strategies"][0]["verdict"], "consistent");
    assert!(std::fs::read_to_string(markdown).unwrap().contains("| honest"));
}

#[test]
fn an_interrupted_comparison_finishes_its_turn_and_leaves_no_server() {
    let mut tool = endless();
    let server = child_of(tool.id());
    terminate(tool.id());
    assert_eq!(tool.wait().expect("it ends").code(), Some(130));
    wait_until_gone(server);
}

#[test]
fn who_asks_twice_does_not_wait_and_leaves_no_server_either() {
    let mut tool = endless();
    let server = child_of(tool.id());
    // One signal may arrive before the first was taken, and then counts as one: asked until it is done.
    while tool.try_wait().expect("its state").is_none() {
        terminate(tool.id());
        std::thread::yield_now();
    }
    assert_eq!(tool.wait().expect("it ends").code(), Some(130));
    wait_until_gone(server);
}

/// A comparison that would go on for a day.
fn endless() -> std::process::Child {
    let server = server();
    std::process::Command::new(env!("CARGO_BIN_EXE_loadtest"))
        .args([
            "compare",
            "--server-bin",
            &server,
            "--strategies",
            "honest",
            "--duration",
            "24h",
            "--skus",
            "5",
        ])
        .stdout(std::process::Stdio::null())
        .spawn()
        .expect("the program runs")
}

/// Waits for the server that a comparison starts (the one it asks for strategies ends by itself).
pub(crate) fn child_of(pid: u32) -> u32 {
    loop {
        for entry in std::fs::read_dir("/proc").expect("Linux").flatten() {
            let Some(child) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
            let read = |file| std::fs::read_to_string(entry.path().join(file)).unwrap_or_default();
            let parent = format!("PPid:\t{pid}\n");
            if read("status").contains(&parent) && read("cmdline").contains("\0serve\0") {
                return child;
            }
        }
        std::thread::yield_now();
    }
}

pub(crate) fn terminate(pid: u32) {
    let pid = nix::unistd::Pid::from_raw(i32::try_from(pid).expect("a pid"));
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).expect("it is our child");
}

/// A killed process may stay as a zombie until somebody reaps it, but it serves nobody.
pub(crate) fn wait_until_gone(pid: u32) {
    let is_there = || {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
    };
    while is_there() {
        std::thread::yield_now();
    }
}
