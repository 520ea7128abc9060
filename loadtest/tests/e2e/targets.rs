//! `run --target`: inventories that are described, sound ones and hostile ones.
//!
//! A hostile target is never found consistent: what it does wrong is convicted where the history can show it (exit 4), and is a
//! hole in the proof where it cannot (exit 5). A sound one is never accused.

use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use serde_json::{Value, json};

use super::hostile::{Asked, Reaction, SHOP, serve, silent, unversioned};
use super::{assert_exit, loadtest, stdout};

/// A run of a described target, and its report.
fn drive(description: &str, url: &str, more: &[&str]) -> (Output, Value) {
    let folder = tempfile::tempdir().expect("a folder");
    let (file, report) = (folder.path().join("shop.toml"), folder.path().join("report.json"));
    std::fs::write(&file, description).expect("written");
    let out = format!("json={}", report.display());
    let file = file.display().to_string();
    let fixed = ["run", "--target", &file, url, "--warmup", "20ms", "--seed", "7", "--out", &out];
    let common = [("--requests", "1500"), ("--ceiling", "none"), ("--concurrency", "16"), ("--skus", "3")];
    let is_asked =
        |option: &str| more.contains(&option) || option == "--requests" && more.contains(&"--duration");
    let common = common.iter().filter(|(option, _)| !is_asked(option));
    let common = common.flat_map(|(option, value)| [*option, *value]);
    let arguments: Vec<&str> = fixed.into_iter().chain(common).chain(more.iter().copied()).collect();
    let output = loadtest(&arguments);
    let report =
        std::fs::read(report).map_or(Value::Null, |text| serde_json::from_slice(&text).expect("JSON"));
    (output, report)
}

/// Asserts the exit code and what is said, with and without a pool of connections.
fn assert_told(
    description: &str,
    react: impl Fn(&Asked) -> Reaction + Clone + Send + Sync + 'static,
    more: &[&str],
    code: i32,
    words: &[&str],
) {
    for client in ["reqwest", "hyper"] {
        let url = serve(react.clone());
        let (output, report) = drive(description, &url, &[more, &["--client", client]].concat());
        assert_exit(&output, code);
        let text = stdout(&output) + &String::from_utf8_lossy(&output.stderr);
        for wanted in words {
            assert!(text.contains(wanted), "{client}: {wanted} in {text}");
        }
        if code != 0 {
            assert_ne!(report["headline"]["shows"], "saturation", "{client}: {text}");
        }
        if code == 4 {
            assert_eq!(report["verdict"]["result"], "violated", "{client}: {text}");
        } else {
            assert_ne!(report["verdict"]["result"], "violated", "{client}: {text}");
        }
    }
}

#[test]
fn a_sound_target_is_consistent_with_versions_without_and_without_quantities() {
    for description in [SHOP.to_owned(), unversioned(), silent()] {
        assert_told(&description, |_| Reaction::Honest, &[], 0, &["CONSISTENT", "described as little shop"]);
    }
    // Everything of a run is there: open loop, thresholds, faults.
    let more =
        ["--rate", "2000", "--threshold", "errors<5%", "--fault", "replay=2%,slow=0.2%,disconnect=0.2%"];
    let (output, report) = drive(SHOP, &serve(|_| Reaction::Honest), &more);
    assert_exit(&output, 0);
    assert!(report["faults"]["replayed"].as_u64().unwrap() > 0, "{report}");
    assert_eq!(
        (&report["target"], &report["faults"]["answered_otherwise"]),
        (&"little shop".into(), &0.into())
    );
    assert_eq!(report["contention_known"], false);
    // Closing the connection after each answer is its right.
    assert_told(SHOP, |_| Reaction::Close, &[], 0, &["CONSISTENT", "Failures: none"]);
}

#[test]
fn a_lost_update_is_convicted_with_both_culprits() {
    let react = |asked: &Asked| if asked.is_every(20) { Reaction::LostUpdate } else { Reaction::Honest };
    assert_told(SHOP, react, &[], 4, &["VIOLATED", "Culprit 1", "Culprit 2"]);
    // Of a level without versions the first contradiction is told. Where the change that got lost had been answered long before, it is
    // what the other is told to contradict: hence many levels.
    assert_told(&unversioned(), react, &["--skus", "24"], 4, &["VIOLATED", "Culprit 1", "Culprit 2"]);
    // Nothing but the sums can tell.
    assert_told(&silent(), react, &[], 4, &["UNBALANCED BOOKS"]);
}

#[test]
fn what_is_sold_and_was_not_there_is_convicted() {
    let react = |asked: &Asked| if asked.is_adjust() { Reaction::BelowZero } else { Reaction::Honest };
    assert_told(&unversioned(), react, &[], 4, &["a level has -"]);
    // Sales and restocks alone: where a read is among many culprits, and the search for the fewest has reached its bound, it is the read that
    // is called wrong.
    assert_told(&silent(), react, &["--mix", "adjust=1"], 4, &["OVERSOLD"]);
}

#[test]
fn a_target_that_always_says_200_is_never_consistent() {
    let always = |body: &'static str| {
        move |_: &Asked| Reaction::Answer(200, serde_json::from_str(body).expect("JSON"))
    };
    // By the description a level is created with 201.
    let nothing = ["no level could be opened", "create answered 200: no rule covers it"];
    assert_told(SHOP, always(r#"{"quantity":50,"version":1}"#), &[], 1, &nothing);
    let lenient = |description: String| description.replace("applied = [201]", "applied = [200]");
    for description in [SHOP.to_owned(), unversioned(), silent()] {
        assert_told(&lenient(description), always(r#"{"quantity":50,"version":1}"#), &[], 4, &["VIOLATED"]);
    }
    // Nothing can be read, so nothing is known.
    let words = ["could not be read back", "so the proof has holes"];
    let mute = lenient(silent()).replacen("quantity = \"/quantity\"\n", "", 1);
    // With so much in stock, nothing that was sold was not there.
    assert_told(&mute, always("{}"), &["--opening-stock", "1000000"], 5, &words);
}

#[test]
fn lies_about_quantities_are_convicted() {
    let more = |body: &mut Value| body["quantity"] = json!(body["quantity"].as_i64().unwrap_or(0) + 1);
    let of_changes =
        move |asked: &Asked| if asked.is_every(50) { Reaction::Lie(more) } else { Reaction::Honest };
    let of_reads = move |asked: &Asked| {
        if asked.method == "GET" && asked.number % 50 == 49 { Reaction::Lie(more) } else { Reaction::Honest }
    };
    for description in [SHOP.to_owned(), unversioned()] {
        assert_told(&description, of_changes, &[], 4, &["VIOLATED"]);
        assert_told(&description, of_reads, &[], 4, &["VIOLATED"]);
    }
}

fn take_back(body: &mut Value, by: i64) {
    let version = body["version"].as_i64().unwrap_or(0);
    body["version"] = json!((version - by).max(1));
}

#[test]
fn versions_that_stay_or_go_back_are_convicted() {
    let stays: fn(&mut Value) = |body| take_back(body, 1);
    let goes_back: fn(&mut Value) = |body| take_back(body, 9);
    for lie in [stays, goes_back] {
        let react =
            move |asked: &Asked| if asked.is_every(50) { Reaction::Lie(lie) } else { Reaction::Honest };
        assert_told(SHOP, react, &[], 4, &["VIOLATED"]);
        // Who is not told of versions is not lied to.
        assert_told(&unversioned(), react, &[], 0, &["CONSISTENT"]);
    }
    // A version that is none is a breach.
    let react = |asked: &Asked| {
        if asked.is_every(50) {
            Reaction::Lie(|body| body["version"] = json!(u64::MAX))
        } else {
            Reaction::Honest
        }
    };
    assert_told(SHOP, react, &[], 5, &["so the proof has holes"]);
}

#[test]
fn a_target_that_hangs_is_waited_for_no_longer_than_was_said() {
    let quick = ["--timeout", "200ms", "--requests", "300"];
    assert_told(SHOP, |_| Reaction::Hang, &quick, 1, &["is not ready: the first read answered"]);
    let react = |asked: &Asked| if asked.is_every(20) { Reaction::Hang } else { Reaction::Honest };
    assert_told(SHOP, react, &quick, 5, &["x timeout", "requests failed, more than 1%"]);
}

#[test]
fn a_target_that_resets_connections_or_talks_nonsense_leaves_doubt() {
    let nothing = ["is not ready: the first read answered"];
    assert_told(SHOP, |_| Reaction::Reset, &[], 1, &nothing);
    assert_told(SHOP, |_| Reaction::Bytes(b"\x00\xff\x13 nonsense\r\n\r\n"), &[], 1, &nothing);
    let wrong: [(Reaction, &str); 4] = [
        (Reaction::Reset, "connection lost"),
        (Reaction::Bytes(b"\x00\xff\x13 nonsense\r\n\r\n"), "connection lost"),
        (
            Reaction::Bytes(b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{\"quantity\":"),
            "answer broken off",
        ),
        (Reaction::Bytes(b"HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\n<html>\n"), "x contract breach"),
    ];
    for (reaction, told) in wrong {
        let react = move |asked: &Asked| if asked.is_every(20) { reaction.clone() } else { Reaction::Honest };
        assert_told(SHOP, react, &[], 5, &[told]);
    }
}

#[test]
fn an_answer_without_end_is_cut_off() {
    let react = |asked: &Asked| if asked.is_every(100) { Reaction::Endless } else { Reaction::Honest };
    assert_told(SHOP, react, &["--requests", "600"], 5, &["an answer of more than 16 MiB, cut off there"]);
}

#[test]
fn a_target_that_dies_is_told_once() {
    let react = |asked: &Asked| {
        if asked.is_adjust() && asked.number == 700 { Reaction::Die } else { Reaction::Honest }
    };
    assert_told(SHOP, react, &["--duration", "1h"], 5, &["the server died"]);
}

/// What is sent twice takes effect once, or is found to have taken effect twice.
#[test]
fn a_key_that_is_taken_no_notice_of_is_convicted() {
    let more = ["--fault", "replay=5%"];
    assert_told(&unversioned(), |_| Reaction::Honest, &more, 0, &["(0 answered otherwise)"]);
    assert_told(&unversioned(), |_| Reaction::Again, &more, 4, &["VIOLATED"]);
}

#[test]
fn what_makes_no_sense_is_a_usage_error_that_says_why() {
    let told = |description: &str, more: &[&str], code: i32, words: &str| {
        let (output, _) = drive(description, "http://127.0.0.1:1", more);
        assert_exit(&output, code);
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(errors.contains(words) && errors.trim_end().lines().count() == 1, "{words} in {errors}");
    };
    let wrong = SHOP.replace("refused = [", "refuse = [");
    told(&wrong, &[], 2, "shop.toml, line 25: unknown field `refuse`");
    let missing = "little shop has no batch, transfer: it can be asked for adjust, read, create-delete";
    told(SHOP, &["--mix", "batch=1,transfer=1,adjust=1"], 2, missing);
    told(SHOP, &["--profile", "tpcc-new-order"], 2, "little shop has no batch");
    let keyless = SHOP.replace("{key}", "none");
    told(&keyless, &["--fault", "replay=1%"], 2, "[adjust] of little shop names no {key}");
    told(SHOP, &[], 1, "no server answers");
    let output = loadtest(&["run", "--target", "/no/such.toml", "http://127.0.0.1:1"]);
    assert_exit(&output, 1);
}

/// The service itself, until it is dropped.
pub(super) struct Service {
    child: Child,
    pub(super) url: String,
}

impl Service {
    /// The service with its mutants, which is an example of this crate.
    pub(super) fn start(more: &[&str]) -> Self {
        use std::io::{BufRead, BufReader};
        let program =
            Path::new(env!("CARGO_BIN_EXE_loadtest")).with_file_name("examples").join("mutant_inventory");
        let mut child = Command::new(program)
            .args(["serve", "--ephemeral", "--listen", "127.0.0.1:0"])
            .args(more)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the service, which `cargo test` builds along");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("its address");
        Self { child, url: line.trim().to_owned() }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The description that ships, and the real service: without versions the verdict is the same.
#[test]
fn this_service_without_its_versions_is_judged_as_with_them() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("targets");
    let description = std::fs::read_to_string(folder.join("inventory.toml")).expect("it ships");
    let service = Service::start(&[]);
    for client in ["reqwest", "hyper"] {
        let (output, report) = drive(&description, &service.url, &["--requests", "4000", "--client", client]);
        assert_exit(&output, 0);
        let text = stdout(&output);
        assert!(text.contains("CONSISTENT") && text.contains("6 levels did not tell versions"), "{text}");
        assert_eq!(report["target"], "inventory without its versions");
    }
    // All it can do, counts and deletions with it.
    let mix = ["--mix", "adjust=50,read=20,transfer=10,put=5,create-delete=5"];
    let (output, _) = drive(&description, &service.url, &mix);
    assert_exit(&output, 0);
    // With keys it can be asked twice.
    let keyed = description.replace(
        "body = '{\"delta\":{delta}}'",
        "body = '{\"delta\":{delta}}'\nheaders = { idempotency-key = \"{key}\" }",
    );
    let keyed = keyed.split("\n[transfer]").next().unwrap_or_default();
    let (output, report) = drive(keyed, &service.url, &["--fault", "replay=5%"]);
    assert_exit(&output, 0);
    assert!(report["faults"]["replayed"].as_u64().unwrap() > 0, "{report}");

    let racy = Service::start(&["--strategy", "racy", "--allow-racy"]);
    let (output, _) = drive(&description, &racy.url, &["--requests", "4000"]);
    assert_exit(&output, 4);
    let text = stdout(&output);
    for wanted in ["VIOLATED", "LOST UPDATE", "Culprit 1", "Culprit 2"] {
        assert!(text.contains(wanted), "{wanted} in {text}");
    }
}
