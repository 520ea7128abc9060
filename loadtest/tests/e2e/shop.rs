//! `--profile shop` of `run` and of `crash`: reservations, orders and returns of the real service, on each strategy, are explained by its
//! ledger; a strategy that is wrong on purpose is convicted.

use std::path::PathBuf;
use std::process::Output;

use serde_json::Value;

use super::flash_sale::{Service, program};
use super::{assert_exit, loadtest, stdout};

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn shop(url: &str, more: &[&str]) -> (Output, Value) {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("a.json");
    let out = format!("json={}", file.display());
    let fixed = ["run", url, "--profile", "shop", "--seed", "7", "--out", &out];
    let output = loadtest(&[&fixed[..], more].concat());
    let report = std::fs::read(file).map_or(Value::Null, |json| serde_json::from_slice(&json).expect("JSON"));
    (output, report)
}

/// Everything that can become of reservations, orders and returns has become of some.
#[track_caller]
fn assert_tried(report: &Value) {
    for path in [
        "/reservations/committed",
        "/reservations/released",
        "/reservations/expired",
        "/committed_in_part",
        "/extended",
        "/orders/fulfilled",
        "/orders/rejected",
        "/orders/cancelled",
        "/fulfilled_late",
        "/returns/0",
        "/returns/1",
        "/refusals",
    ] {
        let count = report.pointer(path).and_then(Value::as_u64).unwrap_or(0);
        assert!(count > 0, "no {path} in {report}");
    }
}

fn keeps_its_promises(strategy: &str) {
    let service = Service::start(strategy, &[]);
    let (output, report) = shop(&service.url, &["--requests", "8000"]);
    assert_exit(&output, 0);
    assert_eq!((&report["strategy"], &report["clean"]), (&strategy.into(), &true.into()));
    assert_eq!((&report["unknown"], &report["violations"]), (&0.into(), &serde_json::json!({})));
    assert_tried(&report);
}

macro_rules! for_each_strategy {
    ($($strategy:ident),*) => {
        mod keeps_its_promises {
            $(
                #[test]
                fn $strategy() {
                    super::keeps_its_promises(stringify!($strategy));
                }
            )*
        }
    };
}

for_each_strategy!(mutex, reentrant, rwlock, sharded, atomic, actor, partitioned);

/// Whose turn it is, is judged by what the server says of its queue.
#[test]
fn the_disciplines_are_kept() {
    for more in
        [&["--queue-discipline", "lifo"][..], &["--queue-discipline", "priority", "--order-ageing", "1s"]]
    {
        let service = Service::start("atomic", more);
        let (output, report) = shop(&service.url, &["--requests", "8000"]);
        assert_exit(&output, 0);
        assert!(report["fulfilled_late"].as_u64() > Some(0), "{report}");
    }
}

/// One server under two names is a service of two replicas: what is placed here is looked at, committed and given back there.
#[test]
fn several_replicas_are_explained_by_one_ledger() {
    let service = Service::start("atomic", &[]);
    let both = format!("{},{}", service.url, service.url.replace("127.0.0.1", "localhost"));
    let (output, report) = shop(&both, &["--requests", "8000"]);
    assert_exit(&output, 0);
    assert_eq!((&report["server"], &report["strategy"]), (&both.as_str().into(), &"atomic".into()));
    assert_eq!((&report["unknown"], &report["violations"]), (&0.into(), &serde_json::json!({})));
    assert_tried(&report);
}

/// Three replicas over one database: the ledger of its partitions is in order within a level, that of one partition throughout. Both explain everything.
#[databases::needs(Postgres)]
#[test]
fn replicas_over_a_database_are_explained() {
    let server = databases::postgres();
    for (partitions, order) in [("16", "level"), ("1", "all")] {
        let database = server.database().expect("a database");
        // Nothing of a test is synced.
        let store = ["--store", &database.url(), "--store-allow-async-commit", "--partitions", partitions];
        let replicas: Vec<Service> = (0..3).map(|_| Service::serve(&store)).collect();
        let urls: Vec<&str> = replicas.iter().map(|replica| replica.url.as_str()).collect();
        let (output, report) = shop(&urls.join(","), &["--requests", "8000"]);
        assert_exit(&output, 0);
        let told = (&report["ledger_order"], &report["unknown"], &report["violations"]);
        assert_eq!(told, (&order.into(), &0.into(), &serde_json::json!({})), "{report}");
        for path in
            ["/reservations/expired", "/reservations/committed", "/orders/fulfilled", "/fulfilled_late"]
        {
            assert!(report.pointer(path).and_then(Value::as_u64) > Some(0), "no {path} in {report}");
        }
    }
}

/// A cache that changes do not invalidate shows what everybody knows to be over.
#[test]
fn a_strategy_that_is_wrong_on_purpose_is_convicted() {
    let service = Service::start("stale-cache", &["--allow-racy"]);
    let (output, report) = shop(&service.url, &["--requests", "8000"]);
    assert_exit(&output, 4);
    assert!(report["violations"]["STALE ANSWER"].as_u64() > Some(0), "{report}");
    assert!(report["listed"].as_array().is_some_and(|listed| !listed.is_empty()), "{report}");
    assert!(stdout(&output).contains("Verdict: violated: "), "{}", stdout(&output));
}

/// `kill -9`, again and again, on the same data.
#[test]
fn nothing_of_a_shop_is_lost_in_a_crash() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = program();
    let fixed = ["crash", "--profile", "shop", "--cycles", "5", "--seed", "7", "--json", "--server-bin"];
    let data = folder.path().join("data").display().to_string();
    let output = loadtest(&[&fixed[..], &[&server, "--data-dir", &data]].concat());
    assert_exit(&output, 0);
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!((&report["clean"], &report["unknown"]), (&true.into(), &0.into()), "{report}");
    let count = |path| report.pointer(path).and_then(Value::as_u64).unwrap_or(0);
    assert!(count("/lives/killed") > 0 && count("/in_doubt") > 0, "{report}");
    assert!(count("/reservations/committed") > 0 && count("/orders/fulfilled") > 0, "{report}");
    assert!(PathBuf::from(data).is_dir(), "what was named is left there");
}

#[test]
fn a_shop_says_what_it_does_not_know() {
    let output =
        loadtest(&["run", "http://127.0.0.1:1", "--profile", "shop", "--rate", "5", "--mix", "read=1"]);
    assert_exit(&output, 2);
    assert!(stderr(&output).contains("leave out --rate, --mix"), "{}", stderr(&output));
    let output = loadtest(&["crash", "--profile", "shop", "--listers", "5"]);
    assert_exit(&output, 2);
    assert!(stderr(&output).contains("--listers"), "{}", stderr(&output));
    let output = loadtest(&["run", "http://127.0.0.1:1", "--profile", "shop"]);
    assert_exit(&output, 1);
    assert!(stderr(&output).contains("http://127.0.0.1:1 cannot be driven"), "{}", stderr(&output));
}
