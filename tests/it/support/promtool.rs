//! `promtool`: Prometheus' own checker, which knows its formats better than a test of ours.
//!
//! A machine without it has not failed a test: that the test was skipped is told on standard error, past the test runner's capture. With
//! [`VARIABLE`] set to `required` it is a failure that says what to install, so that a pipeline that means to run it cannot lose it unnoticed.

use std::io::{ErrorKind, Write as _};
use std::process::{Command, Stdio};

/// What says whether the tests need it: `required`, or unset.
pub(crate) const VARIABLE: &str = "INVENTORY_TEST_PROMTOOL";

/// What it has to say against that input: nothing, if all is well. `None` if it is not here and may be missing, which has been told.
pub(crate) fn complaints(args: &[&str], input: &str) -> Option<String> {
    let mut command = Command::new("promtool");
    command.args(args).current_dir(env!("CARGO_MANIFEST_DIR"));
    let started = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut promtool = match started {
        Ok(promtool) => promtool,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            missing(&std::env::var(VARIABLE).unwrap_or_default());
            return None;
        }
        Err(error) => panic!("promtool does not start: {error}"),
    };
    // It may say what is wrong before it has read all.
    let _written = promtool.stdin.take().expect("a pipe").write_all(input.as_bytes());
    let output = promtool.wait_with_output().expect("an end");
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    let warned = said(&output.stderr);
    Some(if output.status.success() { warned } else { format!("{warned}\n{}", said(&output.stdout)) })
}

/// Tells that a test is skipped, if it may be.
fn missing(demand: &str) {
    let missing = "no promtool on this machine: `apt-get install prometheus` brings it";
    match demand {
        "" => {
            let name = std::thread::current().name().unwrap_or("a test").to_owned();
            // Not `eprintln!`, which the test runner keeps to itself if the test passes. If nobody can be told, so be it.
            drop(writeln!(std::io::stderr(), "SKIPPED {name}: {missing}"));
        }
        "required" => panic!("{missing}"),
        // A demand that is misspelt must not pass for none.
        other => panic!("{VARIABLE} is `{other}`: it may be `required`, or unset"),
    }
}

#[test]
fn what_is_missing_is_told_where_it_is_required() {
    for demand in ["required", "Required", "1"] {
        assert!(std::panic::catch_unwind(|| missing(demand)).is_err(), "{demand}");
    }
}
