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
    let short = ["--rounds", "2", "--requests", "2000", "--rate", "20000"];
    loadtest(
        &[&["compare", "--server-bin", &server, "--strategies", strategies], &short[..], &SMALL, more]
            .concat(),
    )
}

const SMALL: [&str; 6] = ["--warmup", "10ms", "--skus", "5", "--seed", "7"];

/// Enough rounds for a gate, each as short as can be. A delay that a gate has to find on any machine is a hundred times what
/// such a round takes, since a busy machine makes single rounds ten times as long; and of nine rounds, one may be worse than that.
fn gated(more: &[&str]) -> std::process::Output {
    let server = server();
    let short = ["--rounds", "9", "--requests", "64", "--rate", "400"];
    loadtest(
        &[&["compare", "--server-bin", &server, "--strategies", "honest"], &short[..], &SMALL, more].concat(),
    )
}

#[test]
fn correct_strategies_pass() {
    let output = compare("all", &[]);
    assert_exit(&output, 0);
    let text = stdout(&output);
    assert!(text.contains("honest") && text.contains("consistent (2/2)") && !text.contains("racy"), "{text}");
    assert!(text.contains("honest (A/A)") && text.contains("Storage: durable"), "{text}");
    let too_wide =
        text.lines().find(|line| line.starts_with(['│', '┌', '╞', '└']) && line.chars().count() > 80);
    assert_eq!(too_wide, None, "a table fits 80 columns");
    assert!(text.contains("inconclusive"), "two rounds say nothing: {text}");
}

#[test]
fn the_gate_fires_at_a_server_that_is_delayed_and_names_it() {
    let output = gated(&["--gate", "10%", "--gate-on", "throughput,p99", "--delay-control", "400ms"]);
    assert_exit(&output, 6);
    let text = stdout(&output);
    assert!(text.contains("REGRESSION: throughput of honest (delayed) is"), "{text}");
    assert!(text.contains("the gate caught honest (delayed)"), "{text}");
}

#[test]
fn a_control_that_the_gate_does_not_look_at_makes_its_silence_worthless() {
    let output = gated(&["--gate", "99%", "--gate-on", "throughput", "--delay-control", "1ms"]);
    assert_exit(&output, 5);
    assert!(stdout(&output).contains("the gate did not catch honest (delayed)"), "{}", stdout(&output));
}

#[test]
fn a_gate_that_could_not_fire_is_refused_with_the_rounds_it_takes() {
    let output = compare("honest", &["--gate", "10%"]);
    assert_exit(&output, 2);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(errors.contains("at least --rounds 6"), "{errors}");
    assert_exit(&compare("honest", &["--gate", "10"]), 2);
    assert_exit(&compare("honest", &["--gate-on", "p95"]), 2);
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
    assert_exit(&compare("honest", &["--baseline", "spinlock"]), 2);
    assert_exit(&compare("honest", &["--", "--data-dir=elsewhere"]), 2);
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
    assert_eq!(report["format"], "loadtest-compare/2");
    let turns = report["turns"].as_array().unwrap();
    assert_eq!(turns.len(), 4, "the baseline and its copy, twice each");
    for turn in turns {
        assert_eq!((&turn["storage"], &turn["paced"]["not_sent"]), (&"durable".into(), &0.into()), "{turn}");
        assert_eq!((&turn["requests"], &turn["paced"]["requests"]), (&2_000.into(), &2_000.into()), "{turn}");
        // All of a round have the same tape, and every round has its own.
        assert_eq!(turn["seed"].as_u64(), turn["round"].as_u64().map(|round| 6 + round), "{turn}");
    }
    assert_eq!(report["strategies"][0]["verdict"], "consistent");
    assert_eq!((&report["storage"], &report["rate"]["per_s"]), (&"durable".into(), &20_000.0.into()));
    let metrics: Vec<&str> =
        report["comparisons"].as_array().unwrap().iter().map(|c| c["metric"].as_str().unwrap()).collect();
    assert_eq!(metrics, ["cpu", "throughput", "p50", "p99"]);
    assert_eq!(report["comparisons"][0]["control"]["contender"], "honest (A/A)");
    assert!(std::fs::read_to_string(markdown).unwrap().contains("| honest"));
}

#[test]
fn an_earlier_run_is_a_baseline_if_it_was_made_alike() {
    let folder = tempfile::tempdir().unwrap();
    let then = folder.path().join("then.json").display().to_string();
    let now = folder.path().join("now.json").display().to_string();
    assert_exit(&gated(&["--out", &format!("json={then}")]), 0);
    let out = format!("json={now}");
    // Ten times slower, in the median of nine rounds against nine: nobody is.
    let output = gated(&["--baseline", &then, "--gate", "90%", "--gate-on", "cpu", "--out", &out]);
    assert_exit(&output, 0);
    let text = stdout(&output);
    assert!(
        text.contains(&format!("Baseline: the rounds in {then}")) && text.contains("Not paired by round"),
        "{text}"
    );
    let report: serde_json::Value = serde_json::from_slice(&std::fs::read(&now).unwrap()).unwrap();
    let cpu = &report["comparisons"][0];
    assert_eq!(
        (&cpu["design"], &cpu["candidates"][0]["against"]),
        (&"unpaired".into(), &"honest (then)".into())
    );
    assert!(cpu["candidates"][0]["judged"]["ratio"].is_number() && cpu["noise"].is_number(), "{cpu}");

    // A server that was a million times as fast then, which no noise of this machine is: found. So is what differs.
    let mut faster: serde_json::Value = serde_json::from_slice(&std::fs::read(&then).unwrap()).unwrap();
    for turn in faster["turns"].as_array_mut().unwrap() {
        turn["throughput_per_s"] = (turn["throughput_per_s"].as_f64().unwrap() * 1e6).into();
    }
    let once = folder.path().join("once.json").display().to_string();
    std::fs::write(&once, faster.to_string()).unwrap();
    let output = gated(&["--baseline", &once, "--gate", "10%"]);
    assert_exit(&output, 6);
    assert!(stdout(&output).contains("REGRESSION: throughput of honest is"), "{}", stdout(&output));
    let output = gated(&["--baseline", &then, "--ephemeral"]);
    assert_exit(&output, 2);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(errors.contains("storage") && errors.contains("--force"), "{errors}");
    let output = compare("honest", &["--baseline", &then, "--force"]);
    assert_exit(&output, 0);
    let told = "Nevertheless (--force): rate (400.0 then, 20000.0 now); requests (64 then, 2000 now)";
    assert!(stdout(&output).contains(told), "{}", stdout(&output));
}

#[test]
fn two_programs_are_compared_strategy_by_strategy() {
    let server = server();
    let output = gated(&["--server-bin", &server, "--gate", "90%"]);
    // The same program twice: an A/A test of the gate with a candidate in it.
    assert_exit(&output, 0);
    let text = stdout(&output);
    for told in ["A:honest", "B:honest", "A:honest (A/A)", "consistent (9/9)"] {
        assert!(text.contains(told), "{told}: {text}");
    }
    assert_exit(&gated(&["--server-bin", &server, "--server-bin", &server]), 2);
}

/// What a server was started with is read from its process.
#[test]
fn stock_is_on_disk_unless_it_is_not_asked_to_be_and_nothing_of_it_stays() {
    let folder = tempfile::tempdir().unwrap();
    let folder_name = folder.path().display().to_string();
    let mut tool = endless(&["--data-in", &folder_name, "--", "--lock-timeout", "7s"]);
    let server = child_of(tool.0.id());
    let told = std::fs::read_to_string(format!("/proc/{server}/cmdline")).unwrap().replace('\0', " ");
    assert!(told.contains(&format!("--data-dir {folder_name}/loadtest-compare-")), "{told}");
    assert!(told.contains("--lock-timeout 7s") && !told.contains("--ephemeral"), "{told}");
    terminate(tool.0.id());
    assert_eq!(tool.0.wait().expect("it ends").code(), Some(130));
    wait_until_gone(server);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);

    let mut tool = endless(&["--ephemeral"]);
    let server = child_of(tool.0.id());
    let told = std::fs::read_to_string(format!("/proc/{server}/cmdline")).unwrap();
    terminate(tool.0.id());
    tool.0.wait().expect("it ends");
    assert!(told.contains("--ephemeral") && !told.contains("--data-dir"), "{told}");
}

#[test]
fn an_interrupted_comparison_finishes_its_turn_and_leaves_no_server() {
    let mut tool = endless(&[]);
    let server = child_of(tool.0.id());
    terminate(tool.0.id());
    assert_eq!(tool.0.wait().expect("it ends").code(), Some(130));
    wait_until_gone(server);
}

#[test]
fn who_asks_twice_does_not_wait_and_leaves_no_server_either() {
    let mut tool = endless(&[]);
    let server = child_of(tool.0.id());
    // One signal may arrive before the first was taken, and then counts as one: asked until it is done.
    while tool.0.try_wait().expect("its state").is_none() {
        terminate(tool.0.id());
        std::thread::yield_now();
    }
    assert_eq!(tool.0.wait().expect("it ends").code(), Some(130));
    wait_until_gone(server);
}

/// A comparison that would go on for a day: it is stopped with its server, even if the test fails before it stops it.
struct Endless(std::process::Child);

impl Drop for Endless {
    fn drop(&mut self) {
        while matches!(self.0.try_wait(), Ok(None)) {
            terminate(self.0.id());
            std::thread::yield_now();
        }
    }
}

fn endless(more: &[&str]) -> Endless {
    let server = server();
    let tool = std::process::Command::new(env!("CARGO_BIN_EXE_loadtest"))
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
        .args(more)
        .stdout(std::process::Stdio::null())
        .spawn()
        .expect("the program runs");
    Endless(tool)
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
