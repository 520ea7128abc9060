//! The proof, end to end: the real load generator against the real server. It must pass where no update is lost (P1 to
//! P6), and turn red where one is.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;
use std::time::SystemTime;

use inventory::strategy::Kind;

use crate::support::for_each_strategy;
use crate::support::process::Server;

/// The load generator beside the server's binary. `cargo test --workspace` has built it; a test that built it itself would
/// wait for cargo's lock, and build with other features.
fn loadtest() -> &'static Path {
    static FOUND: OnceLock<PathBuf> = OnceLock::new();
    FOUND.get_or_init(|| {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let binary = Path::new(env!("CARGO_BIN_EXE_inventory")).with_file_name("loadtest");
        let sources = ["loadtest/src", "loadtest/history/src"].map(|folder| newest(&root.join(folder)));
        let is_built = changed(&binary) > sources.into_iter().max().flatten();
        assert!(
            is_built,
            "build the load generator first: cargo build --workspace, or cargo test --workspace"
        );
        binary
    })
}

/// When a file was changed: `None` if it is not there.
fn changed(path: &Path) -> Option<SystemTime> {
    path.metadata().and_then(|metadata| metadata.modified()).ok()
}

/// When the file in that folder was changed that was changed last.
fn newest(folder: &Path) -> Option<SystemTime> {
    let entries = folder.read_dir().expect("a folder of the repository");
    let times = entries.map(|entry| {
        let path = entry.expect("an entry").path();
        if path.is_dir() { newest(&path) } else { changed(&path) }
    });
    times.max().flatten()
}

fn run(arguments: &[&str]) -> (Option<i32>, String) {
    let Output { status, stdout, stderr } =
        Command::new(loadtest()).args(arguments).output().expect("it was found");
    let said = [stdout, stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).join("\n");
    (status.code(), said)
}

for_each_strategy! {
    /// A busy week of a real shop: every invoice all or nothing (P4), invoices of four hours in flight at once, nothing
    /// refused that need not be (P3), the stock of every sku at the end what the file says (P1).
    async fn a_week_of_a_real_shop_is_booked_exactly(kind: Kind) {
        let server = Server::start(kind);
        let week = concat!(env!("CARGO_MANIFEST_DIR"), "/loadtest/data/online-retail-week.csv.gz");
        let (code, said) = run(&["replay", &server.url, week]);
        assert_eq!(code, Some(0), "{said}");
    }

    /// With too little stock, refusals are real, and every one of them is true (P3).
    async fn a_week_with_too_little_stock_is_refused_truly(kind: Kind) {
        let server = Server::start(kind);
        let week = concat!(env!("CARGO_MANIFEST_DIR"), "/loadtest/data/online-retail-week.csv.gz");
        let (code, said) = run(&["replay", &server.url, week, "--stock-fraction", "0.5"]);
        assert_eq!(code, Some(0), "{said}");
    }

    /// P7, P8, P4: killed under load again and again, the server has every change it acknowledged, none twice, and no part
    /// of a transaction. 15 lives for each strategy, more than 100 in all.
    async fn a_server_that_is_killed_keeps_what_it_acknowledged(kind: Kind) {
        let server = env!("CARGO_BIN_EXE_inventory");
        let arguments = ["crash", "--cycles", "15", "--server-bin", server, "--strategy", kind.name()];
        let (code, said) = run(&arguments);
        assert_eq!(code, Some(0), "{said}");
        assert!(said.contains(" 0 missing, 0 applied twice, 0 transactions torn"), "{said}");
    }
}

#[test]
fn one_comparison_catches_racy_and_only_racy() {
    let server = env!("CARGO_BIN_EXE_inventory");
    let arguments = ["compare", "--strategies", "all,racy", "--allow-racy", "--server-bin", server];
    let bounds = ["--rounds", "1", "--duration", "1s", "--warmup", "100ms", "--concurrency", "16"];
    let (code, said) = run(&[&arguments[..], &bounds[..]].concat());
    assert_eq!(code, Some(4), "{said}");
    assert!(said.contains("LOST UPDATE"), "{said}");
    for culprit in ["Culprit 1", "Culprit 2"] {
        assert!(said.contains(culprit), "{said}");
    }
    for kind in Kind::ALL.into_iter().filter(|kind| kind.is_correct()) {
        assert!(!said.contains(&format!("{kind} broke")), "{said}");
    }
    assert!(said.contains("racy broke its promises"), "{said}");
}
