//! `replay`, with hand-made orders and with a week of real ones.

use std::io::Write;

use super::{Fault, assert_exit, loadtest, serve, stdout};

/// Duplicate skus in an invoice, cancellations, a write-off, a name that is none, two windows.
pub(super) fn orders() -> String {
    let mut lines = vec!["invoice,sku,quantity,at".to_owned()];
    for invoice in 0..200 {
        for line in ["a,2", "a,1", "b,4"] {
            lines.push(format!("5{invoice:03},{line},2010-12-01T08:{:02}Z", invoice % 60));
        }
    }
    for invoice in 0..50 {
        lines.push(format!("C6{invoice:02},b,-4,2010-12-01T09:{invoice:02}Z"));
        lines.push(format!("7{invoice:02},a,-1,2010-12-01T13:{invoice:02}Z"));
    }
    for line in ["800,\" a\",1", "800,a,1", "801,\" a\",1"] {
        lines.push(format!("{line},2010-12-01T14:00Z"));
    }
    lines.join("\n") + "\n"
}

fn replay(fault: Fault, more: &[&str]) -> std::process::Output {
    let mut file = tempfile::Builder::new().suffix(".csv").tempfile().expect("a file");
    file.write_all(orders().as_bytes()).expect("written");
    let url = serve(fault);
    loadtest(&[&["replay", &url, file.path().to_str().expect("UTF-8")], more].concat())
}

#[test]
fn an_honest_server_ends_with_the_computed_stock() {
    let output = replay(Fault::None, &[]);
    assert_exit(&output, 0);
    let text = stdout(&output);
    let wanted = [
        "CONSISTENT",
        "301 / 0",
        "Final stock: exact: 2 skus exact, 0 wrong",
        "2 lines of ` a`",
        "1 invoices of which nothing was left",
        "` a`: 422 validation-failed: refused, as it should be",
    ];
    for wanted in wanted {
        assert!(text.contains(wanted), "{wanted} in {text}");
    }
}

#[test]
fn scarce_stock_makes_real_refusals_and_stays_exact() {
    let output = replay(Fault::None, &["--stock-fraction", "0.7"]);
    assert_exit(&output, 0);
    let text = stdout(&output);
    assert!(text.contains("Refusals: insufficient-stock"), "{text}");
    assert!(text.contains("Final stock: exact: 2 skus exact, 0 wrong, 0 uncertain"), "{text}");
}

#[test]
fn a_wrong_final_stock_is_a_violation() {
    let output = replay(Fault::WrongReads, &[]);
    assert_exit(&output, 4);
    let text = stdout(&output);
    assert!(text.contains("Final stock: WRONG") && text.contains("expected"), "{text}");
}

#[test]
fn a_week_of_real_orders_is_replayed() {
    let url = serve(Fault::None);
    let week = concat!(env!("CARGO_MANIFEST_DIR"), "/data/online-retail-week.csv.gz");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("week.json");
    let output = loadtest(&["replay", &url, week, "--out", &format!("json={}", file.display())]);
    assert_exit(&output, 0);
    let report: serde_json::Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    assert_eq!(report["format"], "loadtest-replay/1");
    assert_eq!(report["lines"], 21_112);
    assert_eq!(report["final_stock"]["wrong"], 0);
    // `BANK CHARGES` is among them.
    assert_eq!(report["left_out"], serde_json::json!({}));
}

#[test]
fn files_that_hold_no_orders_are_told_with_their_line() {
    let mut file = tempfile::Builder::new().suffix(".csv").tempfile().unwrap();
    file.write_all(b"invoice,sku,quantity,at\n1,a,many,2010-12-01T08:26Z\n").unwrap();
    let output = loadtest(&["replay", "http://127.0.0.1:1", file.path().to_str().unwrap()]);
    assert_exit(&output, 1);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(errors.contains("line 2: `many` is no quantity"), "{errors}");
}
