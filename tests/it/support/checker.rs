//! [`Checker`]: a program that knows a format better than a test of ours: `promtool`, `systemd-analyze`, `kubectl`; or that stands in front of
//! services: `nginx`.
//!
//! A machine without it has not failed a test: that the test was skipped is told on standard error, past the test runner's capture. With the
//! variable of the program set to `required` (`INVENTORY_TEST_PROMTOOL`, and so on) it is a failure that says what to install, so that a
//! pipeline that means to run it cannot lose it unnoticed.

use std::io::{ErrorKind, Write as _};
use std::process::{Child, Command, Stdio};

/// A program that checks something.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Checker {
    program: &'static str,
    /// Debian's package that has it.
    package: &'static str,
    /// What says whether the tests need it: `required`, or unset.
    variable: &'static str,
}

/// Prometheus' own, for what it scrapes and by which rules.
pub(crate) const PROMTOOL: Checker =
    Checker { program: "promtool", package: "prometheus", variable: "INVENTORY_TEST_PROMTOOL" };
/// For units of systemd.
pub(crate) const SYSTEMD_ANALYZE: Checker =
    Checker { program: "systemd-analyze", package: "systemd", variable: "INVENTORY_TEST_SYSTEMD_ANALYZE" };
/// For what is applied to a cluster.
pub(crate) const KUBECTL: Checker =
    Checker { program: "kubectl", package: "kubernetes-client", variable: "INVENTORY_TEST_KUBECTL" };
/// What many services are behind.
pub(crate) const NGINX: Checker =
    Checker { program: "nginx", package: "nginx", variable: "INVENTORY_TEST_NGINX" };

impl Checker {
    /// What it has to say against that input: nothing, if all is well. `None` if it is not here and may be missing, which has been told.
    pub(crate) fn complaints(self, args: &[&str], input: &str) -> Option<String> {
        let (status, out, warned) = self.run(args, input)?;
        Some(if status { warned } else { format!("{warned}\n{out}") })
    }

    /// What it makes of its arguments, if it has nothing to say against them.
    pub(crate) fn output(self, args: &[&str]) -> Option<String> {
        let (status, out, warned) = self.run(args, "")?;
        assert!(status, "{}: {warned}", self.program);
        Some(out)
    }

    /// Starts it, if it is here; its input and output are piped.
    pub(crate) fn start(self, args: &[&str]) -> Option<Child> {
        let mut command = Command::new(self.program);
        command.args(args).current_dir(env!("CARGO_MANIFEST_DIR"));
        match command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn() {
            Ok(started) => Some(started),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                self.missing(&std::env::var(self.variable).unwrap_or_default());
                None
            }
            Err(error) => panic!("{} does not start: {error}", self.program),
        }
    }

    fn run(self, args: &[&str], input: &str) -> Option<(bool, String, String)> {
        let mut checker = self.start(args)?;
        // It may say what is wrong before it has read all.
        let _written = checker.stdin.take().expect("a pipe").write_all(input.as_bytes());
        let output = checker.wait_with_output().expect("an end");
        let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        Some((output.status.success(), said(&output.stdout), said(&output.stderr)))
    }

    /// Tells that a test is skipped, if it may be.
    fn missing(self, demand: &str) {
        let Self { program, package, variable } = self;
        let missing = format!("no {program} on this machine: `apt-get install {package}` brings it");
        match demand {
            "" => {
                let name = std::thread::current().name().unwrap_or("a test").to_owned();
                // Not `eprintln!`, which the test runner keeps to itself if the test passes. If nobody can be told, so be it.
                drop(writeln!(std::io::stderr(), "SKIPPED {name}: {missing}"));
            }
            "required" => panic!("{missing}"),
            // A demand that is misspelt must not pass for none.
            other => panic!("{variable} is `{other}`: it may be `required`, or unset"),
        }
    }
}

#[test]
fn what_is_missing_is_told_where_it_is_required() {
    for demand in ["required", "Required", "1"] {
        assert!(std::panic::catch_unwind(|| PROMTOOL.missing(demand)).is_err(), "{demand}");
    }
}
