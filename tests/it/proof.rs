//! The proof, end to end: the real load generator against the real server. It must pass where no update is lost (P1 to
//! P6), and turn red where one is.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use inventory::strategy::StrategyKind;

use crate::support::for_each_strategy;
use crate::support::process::Server;

/// The load generator beside the server's binary, as new as its sources: cargo says so, and builds it if it is not. Asked in
/// the words of `cargo test --workspace`, which has built it, so that cargo finds what it would build there already. Asked for
/// this package alone it would choose other features for the dependencies, and build everything once more.
///
/// Times of files do not tell: `src` has files that are in the tests alone, and the server's `main`, which are in no load
/// generator.
fn loadtest() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let server = Path::new(env!("CARGO_BIN_EXE_inventory"));
        let profile = server.parent().expect("binaries lie in target/PROFILE");
        let mut build = Command::new(env!("CARGO"));
        // Its integration tests are not run: cargo builds a package's programs along with them.
        build.args([
            "test",
            "--workspace",
            "--locked",
            "--no-run",
            "--quiet",
            "--test",
            "e2e",
            "--target-dir",
        ]);
        build.arg(profile.parent().expect("target"));
        if !profile.ends_with("debug") {
            build.arg("--profile").arg(profile.file_name().expect("a profile"));
        }
        let status = build.current_dir(env!("CARGO_MANIFEST_DIR")).status().expect("cargo runs");
        assert!(status.success(), "the load generator does not build: cargo build --package loadtest");
        server.with_file_name("loadtest")
    })
}

fn run(arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(loadtest());
    // What it keeps of a failure belongs with what was built, where nobody else tidies up.
    command.args(arguments).env("TMPDIR", env!("CARGO_TARGET_TMPDIR"));
    let Output { status, stdout, stderr } = command.output().expect("it was built");
    let said = [stdout, stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).join("\n");
    (status.code(), said)
}

for_each_strategy! {
    /// A busy week of a real shop: every invoice all or nothing (P4), invoices of four hours in flight at once, nothing
    /// refused that need not be (P3), the stock of every sku at the end what the file says (P1).
    async fn a_week_of_a_real_shop_is_booked_exactly(kind: StrategyKind) {
        let server = Server::start(kind);
        let week = concat!(env!("CARGO_MANIFEST_DIR"), "/loadtest/data/online-retail-week.csv.gz");
        let (code, said) = run(&["replay", &server.url, week]);
        assert_eq!(code, Some(0), "{said}");
    }

    /// With too little stock, refusals are real, and every one of them is true (P3).
    async fn a_week_with_too_little_stock_is_refused_truly(kind: StrategyKind) {
        let server = Server::start(kind);
        let week = concat!(env!("CARGO_MANIFEST_DIR"), "/loadtest/data/online-retail-week.csv.gz");
        let (code, said) = run(&["replay", &server.url, week, "--stock-fraction", "0.5"]);
        assert_eq!(code, Some(0), "{said}");
    }

    /// P7, P8, P4: killed under load again and again, the server has every change it acknowledged, none twice, and no part
    /// of a transaction; and P12: who watches its events over all lives is told every change once, in order, and the
    /// receiver of a webhook, who does not take every message, at least once, in order, and signed. 15 lives for each strategy,
    /// more than 100 in all.
    async fn a_server_that_is_killed_keeps_what_it_acknowledged(kind: StrategyKind) {
        let server = env!("CARGO_BIN_EXE_inventory");
        let arguments = ["crash", "--profile", "events", "--cycles", "15", "--server-bin", server, "--strategy", kind.name()];
        let (code, said) = run(&arguments);
        assert_eq!(code, Some(0), "{said}");
        assert!(said.contains(" 0 missing, 0 applied twice, 0 transactions torn"), "{said}");
        assert!(said.contains(" 0 missing, 0 repeated, 0 out of order"), "{said}");
        assert!(said.contains(" 0 missing, 0 out of order, 0 differing, 0 badly signed"), "{said}");
    }
}

#[test]
fn one_comparison_catches_racy_and_only_racy() {
    let server = env!("CARGO_BIN_EXE_inventory");
    let arguments = ["compare", "--strategies", "all,racy", "--allow-racy", "--server-bin", server];
    // A number of requests, so that a busy machine takes longer and shows as much.
    let bounds = ["--rounds", "1", "--requests", "4000", "--warmup", "100ms", "--concurrency", "16"];
    let (code, said) = run(&[&arguments[..], &bounds[..]].concat());
    assert_eq!(code, Some(4), "{said}");
    assert!(said.contains("LOST UPDATE"), "{said}");
    for culprit in ["Culprit 1", "Culprit 2"] {
        assert!(said.contains(culprit), "{said}");
    }
    for kind in StrategyKind::ALL.into_iter().filter(|kind| kind.is_correct()) {
        assert!(!said.contains(&format!("{kind} broke")), "{said}");
    }
    assert!(said.contains("racy broke its promises"), "{said}");
}
