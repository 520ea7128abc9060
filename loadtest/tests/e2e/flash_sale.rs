//! `run --profile flash-sale`: every unit is sold once and nobody is refused one that is there, on each strategy of the real
//! service; and who sells too much, or too little, is convicted.
//!
//! The real service is an example of this crate, which `cargo test` builds along (but `cargo test --test e2e` does not).

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

use super::{Fault, assert_exit, loadtest, serve, stdout};

/// A sale of few units to many clients, all of whom ask again and again.
const SMALL: [&str; 8] =
    ["--concurrency", "48", "--opening-stock", "200", "--seed", "7", "--ceiling", "none"];

/// The real service in a process of its own, until the test ends.
pub(crate) struct Service {
    child: Child,
    pub(crate) url: String,
}

/// The real service.
pub(crate) fn program() -> String {
    let program = PathBuf::from(env!("CARGO_BIN_EXE_loadtest")).with_file_name("examples/mutant_inventory");
    program.display().to_string()
}

impl Service {
    pub(crate) fn start(strategy: &str, more: &[&str]) -> Self {
        Self::serve(&[&["--ephemeral", "--strategy", strategy], more].concat())
    }

    pub(crate) fn serve(how: &[&str]) -> Self {
        let mut child = Command::new(program())
            .args(["serve", "--listen", "127.0.0.1:0"])
            .args(how)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the service starts");
        let mut url = String::new();
        let out = child.stdout.take().expect("it is piped");
        BufReader::new(out).read_line(&mut url).expect("its first line is its address");
        Self { child, url: url.trim().to_owned() }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.child.kill().expect("it is ours");
        self.child.wait().expect("it ends");
    }
}

/// A sale, its report for people and its report for programs.
fn sale(url: &str, more: &[&str]) -> (Output, Value) {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("a.json");
    let out = format!("json={}", file.display());
    let fixed = ["run", url, "--profile", "flash-sale", "--out", &out];
    let output = loadtest(&[&fixed, &SMALL[..], more].concat());
    let report = std::fs::read(file).map_or(Value::Null, |json| serde_json::from_slice(&json).expect("JSON"));
    (output, report)
}

fn sells_each_unit_once(strategy: &str) {
    let service = Service::start(strategy, &[]);
    let (output, report) = sale(&service.url, &[]);
    assert_exit(&output, 0);
    let told = &report["sale"];
    assert_eq!(
        (&told["units"], &told["sold"], &told["left"]),
        (&200.into(), &200.into(), &0.into()),
        "{told}"
    );
    assert_eq!((&told["refused_falsely"], &told["in_doubt"]), (&0.into(), &0.into()), "{told}");
    assert!(told["refused"].as_u64() > Some(0) && told["sold_out_after_us"].as_u64() > Some(0), "{told}");
    assert_eq!((&report["strategy"], &report["verdict"]["result"]), (&strategy.into(), &"consistent".into()));
}

macro_rules! for_each_strategy {
    ($($strategy:ident),*) => {
        mod sells_each_unit_once {
            $(
                #[test]
                fn $strategy() {
                    super::sells_each_unit_once(stringify!($strategy));
                }
            )*
        }
    };
}

for_each_strategy!(mutex, reentrant, rwlock, sharded, atomic, actor, partitioned);

#[test]
fn a_sale_says_what_became_of_it_and_has_bounds_of_its_own() {
    let output = loadtest(&["run", &serve(Fault::None), "--profile", "flash-sale", "--ceiling", "none"]);
    assert_exit(&output, 0);
    let text = stdout(&output);
    for wanted in [
        "1 skus (single), concurrency 256, mix adjust=90,read=10",
        "5120 requests in",
        "Sale: 1000 units at the start, 1000 sold in ",
        " 0 left; sold out after ",
        "each judged to be justified: the level was short at one point between start and end",
        "CONSISTENT",
    ] {
        assert!(text.contains(wanted), "{wanted} in {text}");
    }
}

#[test]
fn who_sells_what_is_not_there_is_convicted() {
    let (output, report) = sale(&serve(Fault::Oversell), &[]);
    assert_exit(&output, 4);
    assert!(report["sale"]["sold"].as_u64() > Some(200), "{}", report["sale"]);
    let text = stdout(&output);
    assert!(text.contains("VIOLATED") && text.contains("Note: oversold: "), "{text}");
}

#[test]
fn who_refuses_what_is_there_is_convicted() {
    let (output, report) = sale(&serve(Fault::Undersell), &[]);
    assert_exit(&output, 4);
    let sale = &report["sale"];
    assert_eq!(
        (&sale["sold"], &sale["left"]),
        (&200.into(), &0.into()),
        "each unit was sold all the same: {sale}"
    );
    assert!(sale["refused_falsely"].as_u64() > Some(0), "{sale}");
    let text = stdout(&output);
    assert!(text.contains("FALSE REFUSAL") && text.contains(" were found to be false"), "{text}");
}

/// The last read shows a unit that was sold.
#[test]
fn books_that_do_not_add_up_are_a_violation() {
    let (output, report) = sale(&serve(Fault::WrongReads), &[]);
    assert_exit(&output, 4);
    assert_eq!(report["sale"]["left"], 1);
    assert!(stdout(&output).contains("Note: the sale does not add up: of 200 units 200 were sold"));
}

#[test]
fn a_sale_that_is_not_sold_out_proves_nothing_of_its_end() {
    let (output, report) = sale(&serve(Fault::None), &["--requests", "100"]);
    assert_exit(&output, 5);
    assert_eq!(report["sale"]["sold_out_after_us"], Value::Null);
    let text = stdout(&output);
    assert!(text.contains("not sold out: ") && text.starts_with("No headline: "), "{text}");
}

#[test]
fn who_asks_for_more_than_to_sell_gets_no_books_of_a_sale() {
    let (output, report) = sale(&serve(Fault::None), &["--mix", "adjust=9,put=1"]);
    assert_exit(&output, 0);
    assert_eq!(report["sale"], Value::Null);
}
