//! What `loadtest` makes of the shops, over their shipped descriptions: the naive ones are convicted with both culprits named, the
//! atomic ones are never accused.
//!
//! `loadtest` is an example of this crate here, which `cargo test` builds along (but `cargo test --test it` does not).

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Instant;

use serde_json::Value;
use targets::Way;

use crate::support::{Kind, Served, for_each_shop};

/// How often each shop is judged where that is asked for.
const HUNDRED: u32 = 100;

/// A run of `loadtest` against a shop, and its report: all clients want the same few items.
fn judge(shop: &Served, seed: u32, more: &[&str]) -> (Output, Value) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let report = folder.path().join("report.json");
    let program = PathBuf::from(env!("CARGO_BIN_EXE_shop-redis")).with_file_name("examples/loadtest");
    let output = Command::new(program)
        .args(["run", &shop.url, "--target"])
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join(shop.description()))
        .args(["--seed", &seed.to_string(), "--requests", "2000", "--skus", "4", "--concurrency", "16"])
        .args(["--warmup", "0s", "--ceiling", "none", "--out", &format!("json={}", report.display())])
        .args(more)
        .output()
        .expect("the example is built by `cargo test`");
    let report =
        std::fs::read(report).map_or(Value::Null, |json| serde_json::from_slice(&json).expect("JSON"));
    (output, report)
}

/// Everything that it printed.
fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr[..]].concat()).into_owned()
}

for_each_shop!(is_judged_rightly);

async fn is_judged_rightly(shop: &Served, way: Way) {
    match way {
        Way::Naive => is_convicted(shop),
        Way::Atomic | Way::Locked | Way::Recorded => (1..=3).for_each(|seed| is_clean(shop, seed)),
    }
}

/// With both culprits: of each lost update the requests are named that cannot all have been carried out, two or (where several
/// overwrote each other at once) more, of different clients, each with the answer that says it was.
fn is_convicted(shop: &Served) {
    let (output, report) = judge(shop, 1, &[]);
    let text = said(&output);
    assert_eq!(output.status.code(), Some(4), "{text}");
    assert_eq!(report["verdict"]["result"], "violated", "{text}");
    let listed = report["verdict"]["detail"]["conclusion"]["listed"].as_array().expect("violations");
    let lost: Vec<&Value> = listed.iter().filter(|violation| violation["kind"] == "lost_update").collect();
    assert!(!lost.is_empty(), "{text}");
    for violation in lost {
        let culprits = violation["culprits"].as_array().expect("culprits").iter().map(account);
        let clients: BTreeSet<String> = culprits
            .map(|account| {
                assert!(account[2].starts_with("answered: applied"), "{violation:#}");
                assert!(account.iter().all(|line| text.contains(line)), "{account:?} in {text}");
                account[0].split(',').next().unwrap_or_default().to_owned()
            })
            .collect();
        assert!(clients.len() >= 2, "{violation:#}");
    }
}

/// The lines about a culprit: who and when, what was asked, what was answered.
fn account(culprit: &Value) -> Vec<String> {
    let lines = culprit["account"].as_array().expect("an account").iter();
    lines.map(|line| line.as_str().expect("a line").to_owned()).collect()
}

fn is_clean(shop: &Served, seed: u32) {
    let (output, report) = judge(shop, seed, &[]);
    let text = said(&output);
    assert_eq!(output.status.code(), Some(0), "seed {seed}: {text}");
    assert_eq!(report["verdict"]["result"], "consistent", "seed {seed}: {text}");
}

for_each_shop!(is_not_accused_of_what_clients_did);

/// Clients that go away in the middle of a request leave it done or not done, and nobody knows which. Of the naive ones this says
/// nothing, but that they are driven.
async fn is_not_accused_of_what_clients_did(shop: &Served, way: Way) {
    let (output, report) = judge(shop, 7, &["--fault", "disconnect=2%,slow=0.2%"]);
    let text = said(&output);
    assert!(text.contains("Faults of the clients: ") && !text.contains(" 0 disconnected"), "{text}");
    if way != Way::Naive {
        assert!(matches!(output.status.code(), Some(0 | 5)), "{text}");
        assert_ne!(report["verdict"]["result"], "violated", "{text}");
    }
}

/// Prints how often each verdict was reached. It may not be that of the other way, not once.
#[test]
#[ignore = "takes minutes: cargo test -p targets -- --ignored --nocapture"]
fn a_hundred_runs_of_each() {
    for kind in [Kind::Postgres, Kind::Redis] {
        for (way, wrong) in [(Way::Atomic, "violated"), (Way::Naive, "consistent")] {
            let shop = Served::start(kind, way);
            let (mut verdicts, started) = (BTreeMap::<String, u32>::new(), Instant::now());
            for seed in 1..=HUNDRED {
                let (output, report) = judge(&shop, seed, &[]);
                let verdict = report["verdict"]["result"].as_str().unwrap_or("no report");
                assert_ne!(verdict, wrong, "seed {seed}: {}", said(&output));
                let code = output.status.code().unwrap_or(-1);
                *verdicts.entry(format!("{verdict} (exit code {code})")).or_default() += 1;
            }
            let seconds = started.elapsed().as_secs();
            println!("{kind:?} {way:?}, {HUNDRED} runs in {seconds} s: {verdicts:?}");
        }
    }
}
