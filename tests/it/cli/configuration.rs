//! What a server is started with is shown, and what was perhaps meant otherwise is told.

use super::log::logged;
use super::{Served, end_of, inventory, printed, serve, told};

/// The lines of `inventory config`, each as a flag and who said it.
fn settings(args: &[&str], variables: &[(&str, &str)]) -> Vec<(String, String)> {
    let mut command = inventory(&["config"]);
    let output = end_of(command.args(args).envs(variables.iter().copied()));
    assert_eq!((output.status.code(), output.stderr.len()), (Some(0), 0), "{output:?}");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let parts = |line: &str| {
        let (said, by) = line.rsplit_once("# ").expect("who said it");
        (said.trim_end().to_owned(), by.to_owned())
    };
    text.lines().map(parts).collect()
}

/// Every flag has its line: its value, if there is one, as it may be said again, and where it comes from.
#[test]
fn the_configuration_is_shown_with_who_said_it() {
    let variables = [
        ("INVENTORY_STRATEGY", "mutex"),
        ("INVENTORY_LOCK_TIMEOUT", "3s"),
        ("INVENTORY_LISTEN", "[::1]:1,unix:/a b"),
    ];
    let shown = settings(&["--strategy", "sharded", "--access-log", "false"], &variables);
    let line = |flag: &str| {
        let of_flag = |said: &str| said.trim_start_matches("# ").split(' ').next() == Some(flag);
        let (said, by) =
            shown.iter().find(|(said, _)| of_flag(said)).unwrap_or_else(|| panic!("{flag}: {shown:?}"));
        (said.as_str(), by.as_str())
    };
    assert_eq!(line("--strategy"), ("--strategy sharded", "the command line"));
    assert_eq!(line("--access-log"), ("--access-log false", "the command line"));
    assert_eq!(line("--lock-timeout"), ("--lock-timeout 3s", "INVENTORY_LOCK_TIMEOUT"));
    assert_eq!(line("--listen"), ("--listen '[::1]:1,unix:/a b'", "INVENTORY_LISTEN"));
    assert_eq!(line("--snapshot-bytes"), ("--snapshot-bytes 256MiB", "default"));
    assert_eq!(line("--retain-age"), ("# --retain-age", "default"), "nothing stands for it");
    let help = printed(&["serve", "--help"]);
    for flag in help.lines().filter_map(|line| line.trim_start().strip_prefix("--")) {
        let flag = format!("--{}", flag.split([' ', '[']).next().expect("a name"));
        line(&flag);
    }
}

/// What it shows is what `serve` would take: what that refuses, it refuses, too.
#[test]
fn what_serve_refuses_is_refused() {
    for args in [&["--strategy", "racy"][..], &["--lock-timeout", "0s"], &["--nonsense"]] {
        let mut command = inventory(&["config"]);
        let line = told(&end_of(command.args(args)), 2);
        assert!(line.contains(args[0]), "{line}");
    }
}

/// What changes need is said by a flag or by a variable, of which the flag counts.
#[test]
fn what_changes_need_is_a_flag_or_a_variable() {
    let both = [("INVENTORY_REQUIRE_IDEMPOTENCY_KEY", "true"), ("INVENTORY_REQUIRE_PRECONDITION", "yes")];
    for (args, variables, expected) in [
        (&["--require-idempotency-key"][..], &[][..], ["201", "400"]),
        (&["--require-precondition"], &[], ["428", "404"]),
        (&[], &both, ["428", "400"]),
        (&["--require-idempotency-key=false", "--require-precondition=no"], &both, ["201", "200"]),
    ] {
        let served = Served::start(serve(args).envs(variables.iter().copied()));
        let put = served.send("PUT", "/v1/stock/A", "{\"on_hand\":1}");
        let adjusted = served.send("POST", "/v1/stock/A/adjust", "{\"delta\":1}");
        let status = |answer: &str| answer.split(' ').nth(1).expect("a status").to_owned();
        assert_eq!([status(&put), status(&adjusted)], expected, "{args:?} {variables:?}");
    }
}

/// A variable whose name is misspelt would be passed over without a word. It is told with the name that was perhaps meant, and without its value.
#[test]
fn a_variable_of_no_name_is_told() {
    let variables = [
        ("INVENTORY_STRATGY", "S3CRET"),
        ("INVENTORY_WHOLLY_ELSE_AND_QUITE_SO", "S3CRET"),
        // As Kubernetes tells of a service called `inventory`.
        ("INVENTORY_SERVICE_HOST", "10.0.0.1"),
        ("INVENTORY_SERVICE_PORT_HTTP", "80"),
        ("INVENTORY_PORT", "tcp://10.0.0.1:80"),
        ("INVENTORY_PORT_80_TCP_ADDR", "10.0.0.1"),
    ];
    let expected = [
        "INVENTORY_STRATGY is no variable of this program, and ignored; INVENTORY_STRATEGY is one",
        "INVENTORY_WHOLLY_ELSE_AND_QUITE_SO is no variable of this program, and ignored",
    ];
    let mut command = inventory(&["serve", "--ephemeral", "--listen", "127.0.0.1:0", "--log-format", "json"]);
    let lines = logged(command.envs(variables), |_| ());
    let warned = lines.iter().filter(|line| line["level"] == "WARN");
    let warned: Vec<_> = warned.map(|line| line["fields"]["message"].as_str().expect("a message")).collect();
    assert_eq!(warned, expected);
    assert!(lines.iter().all(|line| !line.to_string().contains("S3CRET")));
    let shown = settings(&[], &variables);
    let told: Vec<_> =
        shown.iter().filter(|(said, _)| said.is_empty()).map(|(_, told)| told.as_str()).collect();
    assert_eq!(told, expected);
}

/// At level debug the log says what it was started with.
#[test]
fn the_log_says_what_it_was_started_with() {
    let mut command = inventory(&["serve", "--ephemeral", "--listen", "127.0.0.1:0", "--log-format", "json"]);
    let lines = logged(command.args(["--log", "debug"]), |_| ());
    let line = lines.iter().find(|line| line["fields"]["message"] == "configuration").expect("it is told");
    let flags = line["fields"]["flags"].as_str().expect("a text");
    for said in ["--ephemeral true", "--strategy atomic", "--max-connections 10000", "--log debug"] {
        assert!(flags.contains(said), "{flags}");
    }
}

/// Scripts may rely on exit codes, so they are told.
#[test]
fn exit_codes_are_told() {
    let help = printed(&["--help"]);
    let readme = include_str!("../../../README.md");
    for code in ["0", "1", "2", "4"] {
        assert!(help.lines().any(|line| line.starts_with(&format!("  {code}  "))), "{help}");
        assert!(readme.contains(&format!("\n| {code} | ")), "{code}");
    }
}
