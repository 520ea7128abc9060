//! A server that asks for keys: whoever was given one drives it, and nothing that is printed or written has the key.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

use super::targets::Service;
use super::{assert_exit, loadtest, stdout};

/// The service, which is an example of this crate.
fn program() -> PathBuf {
    Path::new(env!("CARGO_BIN_EXE_loadtest")).with_file_name("examples").join("mutant_inventory")
}

/// A key, in a file of its own, and the file by which a server knows it.
struct Keys {
    folder: TempDir,
    key: String,
}

impl Keys {
    fn made() -> Self {
        Self::that_may("write")
    }

    fn that_may(scope: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut program = Command::new(program());
        program
            .args(["key", "new", "load", "--scope", scope, "--auth-file"])
            .arg(folder.path().join("server"));
        let made = program.output().expect("the service, which `cargo test` builds along");
        let key = stdout(&made).trim().to_owned();
        std::fs::write(folder.path().join("mine"), format!("{key}\n")).expect("a file");
        Self { folder, key }
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    /// What was printed and written has everything but the key.
    #[track_caller]
    fn assert_untold(&self, output: &Output) {
        let printed =
            [&output.stdout, &output.stderr].map(|printed| String::from_utf8_lossy(printed).into_owned());
        let read = |entry: std::io::Result<std::fs::DirEntry>| {
            let path = entry.expect("a readable entry").path();
            let written = path.is_file() && !path.ends_with("mine");
            if written { std::fs::read(path).expect("a file") } else { Vec::new() }
        };
        let written = self.folder.path().read_dir().expect("a readable folder").map(read);
        let all = written.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).chain(printed);
        all.for_each(|text| assert!(!text.contains(&self.key[4..]), "{text}"));
    }
}

/// `run` by either client and as a shop, and `replay`: with the key they do what they do without keys, else they do not begin.
#[test]
fn whoever_has_a_key_drives_a_server_that_asks_for_one() {
    let keys = Keys::made();
    let service = Service::start(&["--auth-file", &keys.path("server")]);
    let orders = keys.path("orders.csv");
    std::fs::write(&orders, super::replay::orders()).expect("a file");
    let mine = keys.path("mine");
    let (report, history) = (keys.path("report.json"), keys.path("history.jsonl"));
    let out = format!("json={report}");
    let short = ["--requests", "2000", "--warmup", "10ms", "--skus", "3", "--ceiling", "none", "--seed", "7"];
    let run = [&["run", &service.url, "--out", &out, "--history", &history], &short[..]].concat();
    for (command, more) in [
        (&run[..], &["--client", "reqwest"][..]),
        (&run, &["--client", "hyper"]),
        (&run, &["--fault", "replay=5%,slow=1%,disconnect=1%"]),
        (&["run", &service.url, "--profile", "shop", "--requests", "200", "--out", &out], &[]),
        (&["replay", &service.url, &orders, "--out", &out], &[]),
    ] {
        let with_key = [command, more, &["--auth-key-file", &mine]].concat();
        let output = loadtest(&with_key);
        assert_exit(&output, 0);
        keys.assert_untold(&output);
        let written = std::fs::read_to_string(&report).expect("a report");
        assert!(written.contains("--auth-key-file"), "the command is told: {written}");
        // Nothing was found out about the server: neither that it is right nor that it is wrong.
        let without = loadtest(&[command, more].concat());
        assert_exit(&without, 1);
        let in_environment = Command::new(env!("CARGO_BIN_EXE_loadtest"))
            .args([command, more].concat())
            .env("LOADTEST_KEY", &keys.key)
            .output()
            .expect("the program runs");
        assert_exit(&in_environment, 0);
        keys.assert_untold(&in_environment);
    }
}

/// A key with which nothing may be changed: no run begins, and it is told why.
#[test]
fn who_may_only_look_drives_nothing() {
    let keys = Keys::that_may("read");
    let service = Service::start(&["--auth-file", &keys.path("server")]);
    let mine = keys.path("mine");
    let output =
        loadtest(&["run", &service.url, "--requests", "10", "--ceiling", "none", "--auth-key-file", &mine]);
    assert_exit(&output, 1);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("scope write"), "{said}");
    keys.assert_untold(&output);
}

/// Servers that `compare` and `crash` start themselves ask for keys if they are told to.
#[test]
fn servers_of_its_own_may_ask_for_keys() {
    let keys = Keys::made();
    let (server, program) = (keys.path("server"), program().display().to_string());
    let mine = keys.path("mine");
    let asks = ["--auth-key-file", &mine, "--server-bin", &program];
    let short = ["--rounds", "2", "--requests", "200", "--rate", "2000", "--warmup", "10ms", "--skus", "3"];
    let theirs = ["--", "--auth-file", &server];
    let output = loadtest(&[&["compare", "--strategies", "mutex"], &asks[..], &short, &theirs].concat());
    assert_exit(&output, 0);
    keys.assert_untold(&output);
    let short = ["--cycles", "3", "--life", "50ms..90ms", "--seed", "7", "--clients", "4", "--json"];
    let output = loadtest(&[&["crash"], &asks[..], &short, &theirs].concat());
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    assert_eq!(report["verdict"]["result"], "consistent", "{}", String::from_utf8_lossy(&output.stderr));
    assert!(report["writes"]["adjust"]["applied"].as_u64() > Some(0), "{report}");
    keys.assert_untold(&output);
}

/// What is no key is told by its place, and nothing of it is repeated; who asks no server does not mind.
#[test]
fn what_is_no_key_is_not_shown() {
    let keys = Keys::made();
    let run =
        |file: &str| loadtest(&["run", "http://127.0.0.1:1", "--requests", "1", "--auth-key-file", file]);
    // The file of the server, by mistake.
    let output = run(&keys.path("server"));
    assert_exit(&output, 2);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("--auth-key-file") && !said.contains("sha256"), "{said}");
    assert_exit(&run(&keys.path("none")), 1);
    let empty = |arguments: &[&str]| {
        let mut program = Command::new(env!("CARGO_BIN_EXE_loadtest"));
        program.args(arguments).env("LOADTEST_KEY", "two words").output().expect("the program runs")
    };
    let output = empty(&["run", "http://127.0.0.1:1", "--requests", "1"]);
    assert_exit(&output, 2);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("LOADTEST_KEY") && !said.contains("two words"), "{said}");
    assert_exit(&empty(&["--version"]), 0);
}
