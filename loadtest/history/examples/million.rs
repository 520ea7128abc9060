//! Times the checker on histories of a million operations, made by the model: `cargo run --release -p history
//! --example million [operations]`. Each is checked as it is, and again with one update lost.
#![expect(clippy::print_stdout, reason = "its figures are its purpose")]

use std::time::Instant;

use history::plant::Fault;
use history::sample::{self, Shape};
use history::{History, Verdict, check};

fn main() {
    let operations = std::env::args().nth(1).and_then(|count| count.parse().ok()).unwrap_or(1_000_000);
    let base = Shape { operations, clients: 64, is_varied: false, unknown_percent: 0, ..Shape::default() };
    let shapes = [
        ("one line each, 1 level", Shape { keys: 1, many_line_percent: 0, ..base }),
        ("one line each, 1 000 levels", Shape { keys: 1_000, many_line_percent: 0, ..base }),
        ("20% of 2-4 lines, 1 000 levels", Shape { keys: 1_000, ..base }),
        ("all kinds, 0.1% unknown, one line each", Shape { keys: 1_000, many_line_percent: 0, ..base }),
        ("all kinds, 0.1% unknown, 20% of 2-4 lines", Shape { keys: 1_000, ..base }),
    ];
    for (name, shape) in shapes {
        let has_unknown = name.contains("unknown");
        let mut history = sample::history(&Shape { is_varied: has_unknown, ..shape });
        if has_unknown {
            forget_answers(&mut history);
        }
        report(name, &history);
        if let Some(broken) = Fault::LoseUpdate.plant(&history, operations / 3) {
            report("  with one update lost", &broken);
        }
    }
}

/// Makes every thousandth write one of unknown outcome.
fn forget_answers(history: &mut History) {
    for record in history.records.iter_mut().step_by(1_000) {
        if matches!(record.request, history::Request::Write(_)) {
            record.outcome = history::Outcome::Unknown;
        }
    }
}

fn report(name: &str, history: &History) {
    let start = Instant::now();
    let verdict: Verdict = check(history);
    let took = start.elapsed();
    let first = verdict.to_string();
    println!("{:>8.3} s  {name}: {}", took.as_secs_f64(), first.lines().next().unwrap_or_default());
}
