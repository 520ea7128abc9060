//! `inproc` and `sweep`: what they say, what they write, and that a strategy that loses updates is caught.

use std::path::PathBuf;

use super::{assert_exit, loadtest, stdout};

/// A small measurement, ended by numbers of operations.
const SMALL: [&str; 9] =
    ["inproc", "--operations", "20000", "--rounds", "1", "--recorded", "4000", "--seed", "7"];

fn inproc(more: &[&str]) -> std::process::Output {
    loadtest(&[&SMALL, more].concat())
}

fn json(path: &std::path::Path) -> serde_json::Value {
    serde_json::from_slice(&std::fs::read(path).expect("written")).expect("JSON")
}

#[test]
fn every_correct_strategy_passes_and_stands_on_its_floor() {
    let folder = tempfile::tempdir().unwrap();
    let (file, page) = (folder.path().join("a.json"), folder.path().join("a.md"));
    let out = format!("json={},md={}", file.display(), page.display());
    let mix = "adjust=70,read=15,batch=5,independent=2,transfer=5,put=2,create-delete=1";
    let output =
        inproc(&["--strategy", "all", "--threads", "1,2", "--skus", "5", "--mix", mix, "--out", &out]);
    assert_exit(&output, 0);
    let report = json(&file);
    assert_eq!(report["format"], "loadtest-inproc/1");
    assert_eq!((&report["workload"]["seed"], &report["exit_code"]), (&7.into(), &0.into()));
    let rows = report["rows"].as_array().unwrap();
    let of = |name: &str| rows.iter().filter(|row| row["subject"] == name).collect::<Vec<_>>();
    for strategy in ["mutex", "rwlock", "sharded", "atomic"] {
        assert_eq!(of(strategy).len(), 2, "{strategy}");
        assert!(of(strategy).iter().all(|row| row["verdict"] == "consistent"), "{:?}", of(strategy));
    }
    assert_eq!(of("racy").len(), 0, "all are the correct ones");
    for floor in ["floor: AtomicI64", "floor: Mutex<i64>", "floor: papaya + AtomicI64"] {
        assert!(of(floor).iter().all(|row| row["verdict"] == "adds up"), "{:?}", of(floor));
    }
    let turns = report["turns"].as_array().unwrap();
    assert!(turns.iter().all(|turn| turn["operations"].as_u64() >= Some(20_000)));
    assert!(std::fs::read_to_string(page).unwrap().contains("| mutex"));
}

/// Losing an update takes two threads that meet, and a busy machine may run a short pass of one to its end before the other
/// begins. So the passes grow until they outlast any time slice: the one that is met must be caught, and no other may be blamed.
#[test]
fn the_racy_strategy_is_caught_in_both_passes() {
    let fixed = [
        "inproc",
        "--strategy",
        "atomic,racy",
        "--allow-racy",
        "--threads",
        "2",
        "--keys",
        "single",
        "--rounds",
        "1",
    ];
    let caught = [1, 10, 100].into_iter().any(|times| {
        let (operations, recorded) = ((20_000 * times).to_string(), (4_000 * times).to_string());
        let output =
            loadtest(&[&fixed[..], &["--operations", &operations, "--recorded", &recorded]].concat());
        let text = stdout(&output);
        assert!(!text.contains("atomic broke"), "{text}");
        let told = text.contains("racy broke its promises in 1 of 1 turns");
        assert_exit(&output, if told { 4 } else { 5 });
        text.contains("(in 1 the timed pass") && text.contains("LOST UPDATE")
    });
    assert!(caught, "two million operations over two threads, and they never met");
}

#[test]
fn what_cannot_be_measured_is_told_in_one_line() {
    for more in [&["--strategy", "racy"][..], &["--strategy", "spinlock"], &["--threads", "0"]] {
        assert_exit(&inproc(more), 2);
    }
    let output = loadtest(&["sweep", "--server-bin", "/nowhere/inventory"]);
    assert_exit(&output, 1);
    let both = loadtest(&["sweep", "--inproc", "--http"]);
    assert_exit(&both, 2);
}

fn sweep(folder: &std::path::Path, more: &[&str]) -> (std::process::Output, serde_json::Value, String) {
    let (file, drawn) = (folder.join("a.json"), folder.join("new").join("a.svg"));
    let (out, svg) = (format!("json={}", file.display()), drawn.display().to_string());
    let fixed = ["sweep", "--out", &out, "--svg", &svg, "--rounds", "1", "--skus", "5"];
    let output = loadtest(&[&fixed, more].concat());
    (output, json(&file), std::fs::read_to_string(drawn).expect("drawn"))
}

#[test]
fn a_sweep_fits_a_law_and_draws_it() {
    let folder = tempfile::tempdir().unwrap();
    let wanted = [
        "--inproc",
        "--strategies",
        "mutex,atomic",
        "--concurrency",
        "1,2,3,4",
        "--seed",
        "7",
        "--duration",
        "5ms",
    ];
    let (output, report, svg) = sweep(folder.path(), &wanted);
    assert_exit(&output, 0);
    assert_eq!(report["format"], "loadtest-sweep/1");
    let curves = report["curves"].as_array().unwrap();
    assert_eq!(curves.len(), 2);
    assert!(curves.iter().all(|curve| curve["usl"]["lambda"]["value"].as_f64() > Some(0.0)), "{curves:?}");
    assert!(svg.contains("<svg") && svg.contains("mutex: σ") && svg.contains("Seed 7"), "{svg}");
    assert!(stdout(&output).contains("σ contention"), "{}", stdout(&output));
}

#[test]
fn a_sweep_over_http_says_what_three_points_cannot() {
    let folder = tempfile::tempdir().unwrap();
    let server =
        PathBuf::from(env!("CARGO_BIN_EXE_loadtest")).with_file_name("examples").join("fake_inventory");
    let server = server.display().to_string();
    let wanted = ["--http", "--server-bin", &server, "--strategies", "honest", "--concurrency", "1,4,8"];
    let (output, report, svg) =
        sweep(folder.path(), &[&wanted[..], &["--keys", "single", "--mix", "adjust=1"]].concat());
    let text = stdout(&output);
    assert_exit(&output, 0);
    assert_eq!(report["curves"][0]["usl"], serde_json::Value::Null);
    assert!(text.contains("not identifiable") && svg.contains("Over HTTP"), "{text}");
}
