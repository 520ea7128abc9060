//! What a run says it reached, and what may be demanded of it.

use serde_json::Value;

use super::{Fault, assert_exit, loadtest, serve, stdout};

fn run(more: &[&str]) -> std::process::Output {
    let url = serve(Fault::None);
    let short = ["run", &url, "--requests", "3000", "--warmup", "20ms", "--skus", "5", "--seed", "7"];
    loadtest(&[&short[..], more].concat())
}

#[test]
fn a_run_tells_what_it_reached_in_every_format() {
    let folder = tempfile::tempdir().unwrap();
    let (file, page) = (folder.path().join("a.json"), folder.path().join("a.md"));
    let out = format!("json={},md={}", file.display(), page.display());
    let output =
        run(&["--concurrency", "16", "--out", &out, "--require-sometimes", "contended-pair,sold-out"]);
    assert_exit(&output, 0);
    let report: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    let count = |name: &str| report["sometimes"][name].as_u64().expect("a count");
    for reached in
        ["contended-pair", "refusal-amid-success", "level-twice", "sold-out", "conditional-count-lost"]
    {
        assert!(count(reached) > 0, "{reached}: {}", report["sometimes"]);
    }
    assert_eq!(count("retry-of-unknown"), 0, "nothing is sent twice");
    let told = format!("Reached: contended-pair {}", count("contended-pair"));
    assert!(stdout(&output).contains(&told), "{}", stdout(&output));
    assert!(stdout(&output).contains("Never reached: retry-of-unknown"), "{}", stdout(&output));
    assert!(std::fs::read_to_string(page).unwrap().contains(&told));
}

#[test]
fn a_run_that_misses_what_is_required_is_exit_5_and_names_it() {
    let output = run(&["--concurrency", "16", "--require-sometimes", "contended-pair,retry-of-unknown"]);
    assert_exit(&output, 5);
    let text = stdout(&output);
    assert!(text.contains("Note: never reached, though required: retry-of-unknown"), "{text}");
    assert!(text.contains("CONSISTENT") && !text.contains("required: contended-pair"), "{text}");
}

#[test]
fn a_situation_that_there_is_not_is_a_mistake_of_usage() {
    let output = run(&["--require-sometimes", "sold-in"]);
    assert_exit(&output, 2);
    assert!(String::from_utf8_lossy(&output.stderr).contains("contended-pair"));
}
