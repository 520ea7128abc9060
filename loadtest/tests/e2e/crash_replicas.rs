//! `crash --store` and `crash --fault`: replicas of the real service over a real PostgreSQL, which are killed, or the database under them.
//!
//! The real service is an example of this crate, which `cargo test` builds along (but `cargo test --test e2e` does not). Where PostgreSQL is not on the machine
//! the tests are ignored; see `databases`.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use databases::{Postgres, started};
use serde_json::Value;
use tempfile::TempDir;

use super::compare::terminate;
use super::flash_sale::program;
use super::{assert_exit, loadtest};

/// A folder for temporary files that whoever runs PostgreSQL may reach.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let open = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(folder.path(), open).expect("it is ours");
    folder
}

fn command(folder: &Path, more: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_loadtest"));
    command.args(["crash", "--json", "--seed", "7", "--server-bin", &program()]).args(more);
    command.env("TMPDIR", folder);
    command
}

/// A crash test that finds nothing, and leaves nothing: its report.
#[track_caller]
fn clean(more: &[&str]) -> Value {
    let folder = folder();
    let output = command(folder.path(), more).output().expect("the program runs");
    assert_exit(&output, 0);
    assert_eq!(folder.path().read_dir().expect("a folder").count(), 0, "temporary files are removed");
    serde_json::from_slice(&output.stdout).expect("JSON")
}

#[track_caller]
fn count(report: &Value, path: &str) -> u64 {
    report.pointer(path).and_then(Value::as_u64).unwrap_or_else(|| panic!("{path} in {report}"))
}

/// That the books add up, and that every unknown outcome was settled.
#[track_caller]
fn assert_kept(report: &Value) {
    assert_eq!(report["verdict"]["result"], "consistent");
    for zero in
        ["/accounts/missing", "/accounts/doubled", "/accounts/torn", "/torn_pairs", "/total/unresolved"]
    {
        assert_eq!(count(report, zero), 0, "{zero}");
    }
    let total = |name: &str| count(report, &format!("/total/{name}"));
    assert_eq!(total("unknown"), total("unknown_replayed") + total("unknown_executed"));
    assert!(total("unknown") > 0, "{report}");
}

fn durable() -> Postgres {
    started(Postgres::start_durable())
}

/// Clients go on with the others, under their keys: nothing is lost, nothing happens twice.
#[databases::needs(Postgres)]
#[test]
fn replicas_that_are_killed_lose_nothing() {
    let database = durable();
    let report = clean(&["--store", &database.url(), "--cycles", "9"]);
    assert_kept(&report);
    assert_eq!((&report["replicas"], &report["strategy"]), (&3.into(), &"postgres".into()));
    assert_eq!(report["store"], database.url());
    assert_eq!((count(&report, "/cycles/done"), count(&report, "/cycles/together_max")), (9, 3));
    for some in ["/cycles/kills_in_flight", "/cycles/terminated", "/cycles/kills_early", "/comings/created"] {
        assert!(count(&report, some) > 0, "{some} in {report}");
    }
    let lives = report["lives"].as_array().expect("a list");
    let of = |replica: u64| lives.iter().filter(move |life| life["replica"] == replica).collect::<Vec<_>>();
    for replica in 0..3 {
        assert_eq!(of(replica).last().map(|life| &life["end"]), Some(&"last".into()), "{report}");
    }
    assert!(report.get("fault").is_none());
}

#[databases::needs(Postgres)]
#[test]
fn a_shop_of_replicas_that_are_killed_is_explained_by_its_ledger() {
    let database = durable();
    let report =
        clean(&["--store", &database.url(), "--profile", "shop", "--cycles", "5", "--replicas", "2"]);
    assert_eq!((&report["clean"], &report["unknown"]), (&true.into(), &0.into()), "{report}");
    assert!(count(&report, "/lives/killed") > 0 && count(&report, "/in_doubt") > 0, "{report}");
    assert_eq!(report["lives"]["ended"].as_array().map(Vec::len), Some(5), "{report}");
}

/// That what happened was told once by the stream of events, and by the webhook at least once, in order.
#[track_caller]
fn assert_told(report: &Value) {
    for zero in ["missing", "repeated", "out_of_order", "differing", "breaches"] {
        assert_eq!(count(report, &format!("/events/{zero}/count")), 0, "{zero} in {report}");
    }
    for zero in ["missing", "out_of_order", "differing", "unsigned", "breaches"] {
        assert_eq!(count(report, &format!("/webhook/{zero}/count")), 0, "{zero} in {report}");
    }
    assert!(count(report, "/events/told") > 0 && count(report, "/events/snapshots") > 0, "{report}");
    assert_eq!(report["events"]["told"], report["webhook"]["ledger"], "{report}");
    assert_eq!(report["webhook"]["told"], report["webhook"]["ledger"], "{report}");
    assert!(report["webhook"].get("left").is_none(), "the webhook is deleted: {report}");
}

/// Whoever watches goes on at another replica; who tells the webhook is killed, and another does. What others left in the stock, a run before among them, is not judged.
#[databases::needs(Postgres)]
#[test]
fn replicas_that_are_killed_tell_everything() {
    let database = durable();
    let store = database.url();
    for more in [&["--cycles", "2", "--replicas", "2"][..], &["--cycles", "8"]] {
        let report = clean(&[&["--store", &store, "--profile", "events"], more].concat());
        assert_kept(&report);
        assert_told(&report);
        let succession = &report["webhook"]["succession"];
        assert!(succession["heir"].is_u64() && succession["heir"] != succession["sender"], "{report}");
        assert!(count(&report, "/events/streams") > count(&report, "/cycles/done"), "{report}");
    }
}

#[databases::needs(Postgres)]
#[test]
fn a_promoted_standby_tells_everything() {
    let options = ["--fault", "failover", "--profile", "events", "--cycles", "2", "--life", "300ms..600ms"];
    let report = clean(&options);
    assert_kept(&report);
    assert_told(&report);
    assert!(report["webhook"].get("succession").is_none(), "no sender was killed: {report}");
}

/// Each time the standby of the one before is the primary, and has a fresh standby. What was acknowledged is there every time.
#[databases::needs(Postgres)]
#[test]
fn a_promoted_standby_has_all_that_was_acknowledged() {
    let report = clean(&["--fault", "failover", "--cycles", "2", "--life", "300ms..600ms"]);
    assert_kept(&report);
    assert_eq!(
        (&report["fault"]["kind"], &report["fault"]["acknowledged_lost"]),
        (&"failover".into(), &0.into())
    );
    let outages = report["fault"]["outages"].as_array().expect("a list");
    assert_eq!((outages.len(), count(&report, "/cycles/done"), count(&report, "/cycles/starts")), (2, 2, 3));
    for outage in outages {
        assert!(outage["first_change_s"].is_f64() && outage["database_s"].is_f64(), "{outage}");
        assert!(outage["failed"].as_u64() > Some(0), "{outage}");
        assert_eq!(outage["unknown"], outage["settled"], "{outage}");
    }
}

#[databases::needs(Postgres)]
#[test]
fn a_shop_goes_on_after_a_restart_of_its_database() {
    let report =
        clean(&["--fault", "restart", "--cycles", "1", "--life", "300ms..600ms", "--profile", "shop"]);
    assert_eq!((&report["clean"], &report["unknown"]), (&true.into(), &0.into()), "{report}");
    assert_eq!(report["fault"]["kind"], "restart");
    assert!(report["fault"]["first_change_p50_s"].as_f64() > Some(0.0), "{report}");
}

/// The processes whose command line names a folder.
fn running_in(folder: &Path) -> usize {
    let name = folder.display().to_string();
    let lines = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let lines = lines.filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok());
    lines.filter(|line| String::from_utf8_lossy(line).contains(&name)).count()
}

#[databases::needs(Postgres)]
#[test]
fn who_asks_twice_does_not_wait_and_leaves_no_database() {
    let folder = folder();
    let options = ["--fault", "failover", "--life", "1h..1h"];
    let mut tool = command(folder.path(), &options).stdout(Stdio::null()).spawn().expect("the program runs");
    // A primary, a standby, and three replicas whose password is there.
    while running_in(folder.path()) < 5 {
        assert!(tool.try_wait().expect("its state").is_none(), "it runs");
        std::thread::yield_now();
    }
    // One signal may arrive before the first was taken, and then counts as one: asked until it is done.
    while tool.try_wait().expect("its state").is_none() {
        terminate(tool.id());
        std::thread::yield_now();
    }
    assert_eq!(tool.wait().expect("it ends").code(), Some(130));
    while running_in(folder.path()) > 0 {
        std::thread::yield_now();
    }
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn what_makes_no_sense_together_is_told() {
    let store = ["--store", "postgres://nobody@127.0.0.1:1/nowhere"];
    for (wrong, wanted) in [
        (&["--replicas", "2"][..], "give it with --store"),
        (
            &[&store[..], &["--profile", "events", "--clients", "2"]].concat(),
            "2 clients cannot ask 3 replicas",
        ),
        (&[&store[..], &["--clients", "2"]].concat(), "2 clients cannot ask 3 replicas"),
        (&[&store[..], &["--profile", "shop", "--clients", "2"]].concat(), "2 clients cannot ask 3 replicas"),
        (&[&store[..], &["--data-dir", "data"]].concat(), "--data-dir"),
        (&[&store[..], &["--fault", "restart"]].concat(), "--fault"),
        (&["--store", "127.0.0.1:5432"], "postgres://USER@HOST/DATABASE"),
        (&["--store-password-file", "secret"], "--store"),
    ] {
        let output = loadtest(&[&["crash", "--server-bin", &program()], wrong].concat());
        assert_exit(&output, 2);
        assert!(told(&output).contains(wanted), "{wanted} in {}", told(&output));
    }
}

/// Why there is no database is what the log says of it, and not that it was asked.
#[test]
fn a_database_that_is_not_there_is_told() {
    let store = ["--store", "postgres://shop:se-cret@127.0.0.1:1/stock", "--recovery-max", "1s"];
    let output = loadtest(&[&["crash", "--server-bin", &program()], &store[..]].concat());
    assert_exit(&output, 1);
    let told = told(&output);
    assert!(told.contains("the database cannot be reached") && !told.contains("/readyz\""), "{told}");
    assert!(!told.contains("se-cret"), "{told}");
}
