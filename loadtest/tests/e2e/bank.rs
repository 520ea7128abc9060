//! `--profile bank` of `run`: on each strategy of the real service every look at all levels adds up; a strategy that looks at one after
//! the other, or shows transactions in part, is convicted.

use std::process::Output;

use serde_json::Value;

use super::flash_sale::Service;
use super::{assert_exit, loadtest, stdout};

fn bank(url: &str, more: &[&str]) -> (Output, Value) {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("a.json");
    let out = format!("json={}", file.display());
    let fixed = ["run", url, "--profile", "bank", "--seed", "7", "--ceiling", "none", "--out", &out];
    let output = loadtest(&[&fixed[..], more].concat());
    let report = std::fs::read(file).map_or(Value::Null, |json| serde_json::from_slice(&json).expect("JSON"));
    (output, report)
}

fn adds_up(strategy: &str) {
    let service = Service::start(strategy, &[]);
    let (output, report) = bank(&service.url, &["--requests", "4000"]);
    assert_exit(&output, 0);
    assert_eq!((&report["strategy"], &report["bank"]["wrong"]), (&strategy.into(), &0.into()), "{report}");
    // Ten skus at main, and half of them at the annex, of fifty units each.
    assert_eq!(report["bank"]["units"], 750);
    for some in ["looks", "moves"] {
        assert!(report["bank"][some].as_u64().is_some_and(|count| count > 1_000), "{report}");
    }
    assert!(stdout(&output).contains("Bank: 750 units paid in, "), "{}", stdout(&output));
}

macro_rules! for_each_strategy {
    ($($strategy:ident),*) => {
        mod adds_up {
            $(
                #[test]
                fn $strategy() {
                    super::adds_up(stringify!($strategy));
                }
            )*
        }
    };
}

for_each_strategy!(mutex, reentrant, rwlock, sharded, atomic, actor, partitioned);

/// Who looks at one level after the other finds units twice, or not at all; and so does who is shown half a transaction.
#[test]
fn torn_looks_are_convicted() {
    for strategy in ["racy", "torn-lines"] {
        let service = Service::start(strategy, &["--allow-racy"]);
        let (output, report) = bank(&service.url, &["--requests", "4000"]);
        assert_exit(&output, 4);
        assert!(report["bank"]["wrong"].as_u64().is_some_and(|wrong| wrong > 0), "{strategy}: {report}");
        assert!(stdout(&output).contains("do not add up"), "{}", stdout(&output));
    }
}

/// What one query cannot name cannot be looked at, which is told before anything is asked.
#[test]
fn a_bank_is_as_large_as_a_query_may_be() {
    let output = loadtest(&["run", "http://127.0.0.1:1", "--profile", "bank", "--skus", "5001"]);
    assert_exit(&output, 2);
    assert!(String::from_utf8_lossy(&output.stderr).contains("at most 5000 skus"), "{output:?}");
    let output = loadtest(&["inproc", "--mix", "query=1"]);
    assert_exit(&output, 2);
    assert!(String::from_utf8_lossy(&output.stderr).contains("--profile bank"), "{output:?}");
}
