//! `run` and `check`.

use super::{Fault, assert_exit, loadtest, serve, stdout};

/// A short run with much contention, unless a test says otherwise.
const SHORT: [(&str, &str); 6] = [
    ("--requests", "3000"),
    ("--warmup", "20ms"),
    ("--skus", "5"),
    ("--seed", "7"),
    ("--concurrency", "16"),
    ("--ceiling", "none"),
];

fn run(fault: Fault, more: &[&str]) -> std::process::Output {
    let url = serve(fault);
    let short = SHORT
        .iter()
        .filter(|(option, _)| !more.contains(option))
        .flat_map(|(option, value)| [*option, *value]);
    let arguments: Vec<&str> = ["run", &url].into_iter().chain(short).chain(more.iter().copied()).collect();
    loadtest(&arguments)
}

#[test]
fn an_honest_server_passes() {
    let output = run(Fault::None, &[]);
    assert_exit(&output, 0);
    let text = stdout(&output);
    for wanted in ["CONSISTENT", "seed 7", "insufficient-stock", "strategy fake", "Failures: none"] {
        assert!(text.contains(wanted), "{wanted} in {text}");
    }
}

#[test]
fn the_bare_client_proves_the_same() {
    let hyper = ["--client", "hyper"];
    let output = run(Fault::None, &hyper);
    assert_exit(&output, 0);
    let text = stdout(&output);
    for wanted in ["CONSISTENT", "insufficient-stock", "Failures: none", "Client (hyper): "] {
        assert!(text.contains(wanted), "{wanted} in {text}");
    }
    assert_exit(&run(Fault::LostUpdate, &hyper), 4);
    let output = run(Fault::Unreliable, &hyper);
    let text = stdout(&output);
    for wanted in ["503 contention", "503 request-timeout", "connection lost"] {
        assert!(text.contains(wanted), "{wanted} in {text}");
    }
    assert!(!text.contains("VIOLATED"), "{text}");
}

#[test]
fn a_lost_update_is_told_with_both_culprits() {
    let output = run(Fault::LostUpdate, &[]);
    assert_exit(&output, 4);
    let text = stdout(&output);
    assert!(text.contains("VIOLATED") && text.contains("LOST UPDATE"), "{text}");
    let violation =
        text.split("[1]").nth(1).expect("the first violation").split("[2]").next().unwrap_or_default();
    assert!(violation.matches("client").count() >= 2, "{violation}");
}

#[test]
fn a_refusal_of_stock_that_was_there_is_a_violation() {
    let output = run(Fault::Undersell, &[]);
    assert_exit(&output, 4);
    assert!(stdout(&output).contains("FALSE REFUSAL"), "{}", stdout(&output));
}

#[test]
fn a_wrong_read_is_a_violation_even_if_a_threshold_is_missed_too() {
    let output = run(Fault::WrongReads, &["--min-throughput", "9000000"]);
    assert_exit(&output, 4);
    assert!(stdout(&output).contains("MISSED"), "{}", stdout(&output));
}

#[test]
fn lost_answers_leave_no_false_alarm() {
    let output = run(Fault::Unreliable, &[]);
    let text = stdout(&output);
    for wanted in ["503 contention", "503 request-timeout", "connection lost"] {
        assert!(text.contains(wanted), "{wanted} in {text}");
    }
    // The search for what the lost answers would have said may give up; it must never accuse.
    assert!(matches!(output.status.code(), Some(0 | 5)), "{text}");
    assert!(!text.contains("VIOLATED"), "{text}");
}

#[test]
fn requests_without_an_answer_time_out_and_are_unknown() {
    let output = run(Fault::Silent, &["--timeout", "300ms", "--requests", "600"]);
    let text = stdout(&output);
    assert!(text.contains("x timeout"), "{text}");
    assert!(!text.contains("VIOLATED"), "{text}");
}

#[test]
fn answers_outside_the_contract_are_counted_and_the_proof_has_holes() {
    let output = run(Fault::Gibberish, &[]);
    let text = stdout(&output);
    assert!(text.contains("x contract breach, such as: adjust answered 200"), "{text}");
    assert!(text.contains("so the proof has holes"), "{text}");
    assert!(matches!(output.status.code(), Some(4 | 5)), "{text}");
}

#[test]
fn a_run_of_nothing_but_errors_is_no_pass() {
    let output = run(Fault::Overloaded, &["--mix", "adjust=1", "--requests", "200"]);
    assert_exit(&output, 5);
    assert!(stdout(&output).contains("503 contention"), "{}", stdout(&output));
}

#[test]
fn a_run_without_contention_is_no_pass() {
    let quiet = run(Fault::None, &["--concurrency", "1", "--requests", "50", "--mix", "adjust=1"]);
    assert_exit(&quiet, 5);
    assert!(stdout(&quiet).contains("VACUOUS"), "{}", stdout(&quiet));
    let output = run(Fault::None, &["--concurrency", "1", "--requests", "50"]);
    assert_exit(&output, 5);
    assert!(stdout(&output).contains("one client alone contends with nobody"), "{}", stdout(&output));
}

#[test]
fn nobody_listening_could_not_run() {
    // Bound and closed again: nobody listens there.
    let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let output = loadtest(&["run", &format!("http://{address}")]);
    assert_exit(&output, 1);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(errors.lines().count(), 1, "{errors}");
    assert!(errors.contains("no server answers") && errors.contains("inventory serve"), "{errors}");
}

#[test]
fn nonsense_is_a_usage_error() {
    for arguments in [
        &["run"][..],
        &["run", "http://127.0.0.1:1", "--mix", "sell=1"],
        &["run", "http://127.0.0.1:1", "--duration", "1s", "--requests", "5"],
        &["run", "http://127.0.0.1:1", "--skus", "0"],
        &["dance"],
    ] {
        assert_exit(&loadtest(arguments), 2);
    }
    assert_exit(&loadtest(&["--help"]), 0);
}

#[test]
fn a_missed_threshold_has_a_code_of_its_own() {
    let output = run(Fault::None, &["--min-throughput", "9000000", "--max-p99", "1us"]);
    assert_exit(&output, 3);
    assert_eq!(stdout(&output).matches("MISSED").count(), 2);
    assert_exit(&run(Fault::None, &["--min-throughput", "1", "--max-p99", "1h", "--max-failed", "0"]), 0);
}

#[test]
fn each_threshold_that_is_missed_is_named() {
    let missed = ["--threshold", "p50<1us for adjust", "--threshold", "p99<1h for create"];
    let kept = ["--threshold", "errors<=0%", "--threshold", "throughput > 1"];
    // No create is asked for in this mix.
    let mix = ["--mix", "adjust=3,read=1"];
    let output = run(Fault::None, &[&mix[..], &missed, &kept].concat());
    assert_exit(&output, 3);
    let text = stdout(&output);
    for (threshold, end) in [
        ("p50<1us for adjust", "us: MISSED"),
        ("p99<1h for create", "MISSED (no samples)"),
        ("errors<=0%", "kept"),
        ("throughput > 1", "kept"),
    ] {
        let line = text.lines().find(|line| line.starts_with(&format!("Threshold {threshold}: ")));
        assert!(line.is_some_and(|line| line.ends_with(end)), "{threshold}: {text}");
    }
    assert_exit(&run(Fault::None, &[&mix[..], &kept].concat()), 0);
    let output = loadtest(&["run", "http://127.0.0.1:1", "--threshold", "p98<1ms"]);
    assert_exit(&output, 2);
    assert!(String::from_utf8_lossy(&output.stderr).contains("`p98` is no metric"), "{output:?}");
}

#[test]
fn a_ramp_steps_and_chance_send_what_they_add_up_to() {
    for (rate, arrivals) in [("1000:5000", "poisson"), ("2000,4000", "uniform")] {
        for dispatch in ["shared", "client"] {
            let output = run(Fault::None, &["--rate", rate, "--arrivals", arrivals, "--dispatch", dispatch]);
            assert_exit(&output, 0);
            let text = stdout(&output);
            assert!(text.contains("offered 3000 (") && text.contains("dropped 0"), "{text}");
            assert!(text.contains(&format!("rate {rate} ({arrivals})")), "{text}");
        }
    }
    for wrong in [&["--rate", "1:2:3"][..], &["--rate", "0"], &["--arrivals", "poisson"]] {
        assert_exit(&loadtest(&[&["run", "http://127.0.0.1:1"], wrong].concat()), 2);
    }
}

#[test]
fn the_open_loop_sends_what_it_planned() {
    let output = run(Fault::None, &["--rate", "3000"]);
    assert_exit(&output, 0);
    let text = stdout(&output);
    assert!(text.contains("offered 3000 (") && text.contains("dropped 0"), "{text}");
}

#[test]
fn a_saved_history_is_judged_the_same_again() {
    let folder = tempfile::tempdir().unwrap();
    for (fault, code, name) in [(Fault::None, 0, "good.jsonl"), (Fault::LostUpdate, 4, "bad.jsonl.gz")] {
        let file = folder.path().join(name);
        let file = file.to_str().unwrap();
        assert_exit(&run(fault, &["--history", file]), code);
        let checked = loadtest(&["check", file]);
        assert_exit(&checked, code);
        assert!(stdout(&checked).contains("seed 7"), "{}", stdout(&checked));
    }
    assert_exit(&loadtest(&["check", folder.path().join("none").to_str().unwrap()]), 1);
}

/// A file that was cut off shows reads of writes that nobody made: it is the file that is refused, not the server.
#[test]
fn a_history_that_was_cut_off_accuses_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("history.jsonl");
    assert_exit(&run(Fault::None, &["--history", file.to_str().unwrap()]), 0);
    let whole = std::fs::read_to_string(&file).unwrap();
    let half: String = whole.split_inclusive('\n').take(whole.lines().count() / 2).collect();
    std::fs::write(&file, half).unwrap();
    let checked = loadtest(&["check", file.to_str().unwrap()]);
    assert_exit(&checked, 1);
    assert!(String::from_utf8_lossy(&checked.stderr).contains("cut off"), "{checked:?}");
}

/// Standard output has the report alone, so that a program can read it.
#[test]
fn a_report_goes_to_standard_output_where_that_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let url = serve(Fault::None);
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_loadtest"));
    command.args([
        "run",
        &url,
        "--requests",
        "300",
        "--warmup",
        "20ms",
        "--skus",
        "2",
        "--out",
        "json=-,md=a.md",
    ]);
    let output = command.current_dir(folder.path()).output().unwrap();
    assert_exit(&output, 0);
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON and nothing else");
    assert_eq!(report["exit_code"], 0);
    assert!(String::from_utf8_lossy(&output.stderr).contains("CONSISTENT"), "{output:?}");
    let names = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name());
    assert_eq!(names.collect::<Vec<_>>(), ["a.md"]);
    for taken in [["--out", "json=-,md=-"], ["--history", "-"]] {
        assert_exit(&run(Fault::None, &taken), 2);
    }
}

#[test]
fn reports_are_written_and_name_what_made_them() {
    let folder = tempfile::tempdir().unwrap();
    let (json, markdown) = (folder.path().join("a.json"), folder.path().join("a.md"));
    let out = format!("json={},md={}", json.display(), markdown.display());
    assert_exit(&run(Fault::None, &["--out", &out]), 0);
    let report: serde_json::Value = serde_json::from_slice(&std::fs::read(json).unwrap()).unwrap();
    assert_eq!(report["format"], "loadtest-run/1");
    assert_eq!(report["workload"]["seed"], 7);
    assert_eq!(report["total"]["requests"], 3_000);
    assert_eq!(report["verdict"]["result"], "consistent");
    assert_eq!(report["exit_code"], 0);
    assert!(report["command"].as_str().unwrap().starts_with("loadtest run http://"));
    assert!(std::fs::read_to_string(markdown).unwrap().contains("| adjust"));
}

#[test]
fn the_same_seed_asks_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let totals: Vec<_> = ["a", "b"]
        .map(|name| {
            let file = folder.path().join(name);
            // Without counts: what follows a read depends on what it saw.
            let mix = ["--mix", "adjust=5,read=3,batch=1,transfer=1"];
            let out = format!("json={}", file.display());
            assert_exit(&run(Fault::None, &[&mix[..], &["--out", &out]].concat()), 0);
            let report: serde_json::Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
            let requests =
                |row: &serde_json::Value| (row["operation"].to_string(), row["requests"].to_string());
            report["operations"].as_array().unwrap().iter().map(requests).collect::<Vec<_>>()
        })
        .into();
    assert_eq!(totals[0], totals[1]);
}

/// A line of progress of the measured part is waited for: then the run is under way, and it has told so without
/// a terminal. What is in flight is drained, and everything is verified.
#[test]
fn an_interrupted_run_tells_how_far_it_is_drains_and_verifies_what_it_has() {
    use std::io::{BufRead, BufReader, Read};
    let url = serve(Fault::None);
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_loadtest"))
        .args(["run", &url, "--duration", "10m", "--warmup", "0s", "--skus", "3", "--ceiling", "none"])
        .args(["--progress-every", "50ms"])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let errors = BufReader::new(child.stderr.take().unwrap()).lines();
    let has_begun = |line: &String| line.starts_with("loadtest: measuring, ") && !line.contains(": 0 done");
    let mut told = errors.map_while(Result::ok).filter(has_begun);
    let line = told.next().expect("a line of progress");
    assert!(line.contains(" done, ") && line.ends_with(" a second"), "{line}");
    let pid = nix::unistd::Pid::from_raw(i32::try_from(child.id()).unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGINT).unwrap();
    // It goes on telling until the end.
    std::thread::spawn(move || told.count());
    let mut text = String::new();
    child.stdout.take().unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{text}");
    assert!(text.starts_with("No headline: the run was interrupted"), "{text}");
    // Drained: nothing that was in flight was given up.
    assert!(text.contains("CONSISTENT") && text.contains("Failures: none"), "{text}");
    assert!(text.contains(" 0 of unknown outcome"), "{text}");
}

#[test]
fn a_profile_says_what_is_asked_and_of_which_skus() {
    let common = ["--profile", "tpcc-new-order", "--requests", "1000"];
    let output = run(Fault::None, &common);
    assert_exit(&output, 0);
    assert!(stdout(&output).contains("(uniform), concurrency 16, mix batch=100"), "{}", stdout(&output));
    // What is said beside it wins.
    let output = run(Fault::None, &["--profile", "flash-sale", "--mix", "adjust=1", "--keys", "uniform"]);
    assert_exit(&output, 5);
    assert!(stdout(&output).contains("(uniform), concurrency 16, mix adjust=1"), "{}", stdout(&output));
    // Nothing is changed: nothing can be lost, and nothing is proved.
    assert_exit(&run(Fault::None, &["--profile", "ycsb-c"]), 5);
    let unknown = loadtest(&["run", "http://127.0.0.1:1", "--profile", "ycsb-x"]);
    assert_exit(&unknown, 2);
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("tpcc-new-order, "), "{unknown:?}");
    // The orders of the shop are no workload of `run`: who looks for them there is told where they are.
    let replay = loadtest(&["compare", "--profile", "replay"]);
    assert_exit(&replay, 2);
    assert!(String::from_utf8_lossy(&replay.stderr).contains("`loadtest replay URL FILE`"), "{replay:?}");
}

/// The fake service takes no notice of keys: what it is asked twice it does twice, which is told.
#[test]
fn faults_of_the_clients_are_counted_and_what_is_done_twice_is_told() {
    let output = run(Fault::None, &["--fault", "disconnect=1%,slow=0.2%", "--requests", "4000"]);
    let text = stdout(&output);
    let line = text.lines().find(|line| line.starts_with("Faults of the clients: ")).expect("a line");
    assert!(!line.contains(" 0 disconnected") && line.contains(" 0 replayed"), "{line}");
    assert!(!line.contains(" 0 sent slowly"), "{line}");
    // What became of the ones that went away may stay open; nobody is accused.
    assert!(matches!(output.status.code(), Some(0 | 5)) && !text.contains("VIOLATED"), "{text}");
    assert!(text.starts_with("No headline: "), "{text}");
    let output = run(Fault::None, &["--fault", "replay=5%"]);
    assert_exit(&output, 4);
    let text = stdout(&output);
    // The first of them may be a refusal: the one before had what there was.
    assert!(text.contains("asked again answered "), "{text}");
    assert!(text.contains("disconnected, ") && !text.contains("(0 answered otherwise)"), "{text}");
    assert_exit(&loadtest(&["run", "http://127.0.0.1:1", "--fault", "vanish=1%"]), 2);
}
