//! Times the checker on histories of millions of operations, made by the model and kept as a log is kept in a run:
//! `cargo run --release -p history --example million [operations] [shape]`. Each is checked as it is, and again with
//! one update lost. With the number of a shape (0 to 7), only that one, whose peak memory is then that of the process.
#![expect(clippy::print_stdout, reason = "its figures are its purpose")]

use std::fs;
use std::time::Instant;

use history::sample::{self, Shape};
use history::{Effect, Key, Limits, Log, Outcome, Record, Request, Seen, Stock, Verdict, check_log};

fn main() {
    let mut arguments = std::env::args().skip(1);
    let operations = arguments.next().and_then(|count| count.parse().ok()).unwrap_or(1_000_000);
    let only: Option<usize> = arguments.next().and_then(|number| number.parse().ok());
    let base = Shape { operations, clients: 64, is_varied: false, unknown_percent: 0, ..Shape::default() };
    let shapes = [
        ("one line each, 1 level", Shape { keys: 1, many_line_percent: 0, ..base }),
        ("one line each, 1 000 levels", Shape { keys: 1_000, many_line_percent: 0, ..base }),
        ("20% of 2-4 lines, 1 000 levels", Shape { keys: 1_000, ..base }),
        ("all kinds, 0.1% unknown, one line each", Shape { keys: 1_000, many_line_percent: 0, ..base }),
        ("all kinds, 0.1% unknown, 20% of 2-4 lines", Shape { keys: 1_000, ..base }),
        ("without versions, 1 000 levels", Shape { keys: 1_000, many_line_percent: 0, ..base }),
        ("without versions, 1 level", Shape { keys: 1, many_line_percent: 0, ..base }),
        ("without versions and units, 1 000 levels", Shape { keys: 1_000, many_line_percent: 0, ..base }),
    ];
    for (number, (name, shape)) in shapes.into_iter().enumerate() {
        if only.is_some_and(|only| only != number) {
            continue;
        }
        let has_unknown = name.contains("unknown");
        let shape = Shape { is_varied: has_unknown, ..shape };
        let telling = Telling { versions: !name.contains("without"), units: !name.contains("units") };
        report(name, &log(&shape, has_unknown, telling, None));
        let mut loss = Loss { after: operations / 3, lost: None };
        report("  with one update lost", &log(&shape, has_unknown, telling, Some(&mut loss)));
    }
    println!("peak memory of the process: {} MiB", peak_kib() / 1024);
}

/// A history as a log; every thousandth write may be one of unknown outcome, and one update may be lost.
fn log(shape: &Shape, has_unknown: bool, telling: Telling, mut loss: Option<&mut Loss>) -> Log {
    let mut log = Log::default();
    let mut number = 0;
    let keys = sample::generate(shape, |mut record| {
        if let Some(loss) = &mut loss {
            loss.falsify(number, &mut record);
        }
        if has_unknown && number % 1_000 == 0 && matches!(record.request, Request::Write(_)) {
            record.outcome = Outcome::Unknown;
        }
        telling.silence(&mut record);
        log.push((&record).into());
        number += 1;
    });
    log.keys = keys;
    log
}

/// What answers tell.
#[derive(Clone, Copy)]
struct Telling {
    versions: bool,
    /// Whether changes and refusals tell units; reads always do.
    units: bool,
}

impl Telling {
    fn silence(self, record: &mut Record) {
        let is_read = matches!(record.request, Request::Read(_));
        for seen in told(record) {
            if !self.versions {
                seen.version = Seen::VERSION_UNTOLD;
            }
            if !self.units && !is_read {
                seen.stock = Stock::Untold;
            }
        }
    }
}

/// Every level that an answer tells of.
fn told(record: &mut Record) -> Vec<&mut Seen> {
    match &mut record.outcome {
        Outcome::Read(seen) => vec![seen],
        Outcome::Applied(seen) | Outcome::Snapshot { levels: seen, .. } => seen.iter_mut().collect(),
        Outcome::Refused(refused) => refused.iter_mut().map(|refused| &mut refused.seen).collect(),
        Outcome::NotApplied | Outcome::Unknown => Vec::new(),
    }
}

/// Makes answers as if the first addition after so many records had been overwritten by the next change of its level.
struct Loss {
    after: usize,
    lost: Option<(Key, u64, i64)>,
}

impl Loss {
    fn falsify(&mut self, number: usize, record: &mut Record) {
        let Some((key, version, units)) = self.lost else {
            if let (Request::Write(lines), Outcome::Applied(seen)) = (&record.request, &record.outcome)
                && let ([line], [seen]) = (lines.as_slice(), seen.as_slice())
                && let (Effect::Add(units), true) = (line.effect, number >= self.after)
            {
                self.lost = Some((seen.key, seen.version, units));
            }
            return;
        };
        for seen in told(record).into_iter().filter(|seen| seen.key == key && seen.version > version) {
            seen.version -= 1;
            if let Stock::Level { on_hand, .. } = &mut seen.stock {
                *on_hand = on_hand.saturating_add_signed(-units);
            }
        }
    }
}

fn report(name: &str, log: &Log) {
    let (start, cpu) = (Instant::now(), cpu_seconds());
    let verdict: Verdict = check_log(log, &Limits::default()).expect("a log that can be read back");
    let (took, cpu) = (start.elapsed(), cpu_seconds() - cpu);
    let text = verdict.to_string();
    let (memory, disk) = log.bytes();
    let first = text.lines().next().unwrap_or_default();
    println!("{:>8.3} s ({cpu:.2} s of CPU)  {name}: {first}", took.as_secs_f64());
    println!(
        "            {} operations: {} MiB in memory, {} MiB on disk",
        log.len(),
        memory >> 20,
        disk >> 20
    );
}

/// The CPU time of all threads of the process (Linux, in clock ticks of a hundredth of a second).
fn cpu_seconds() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // After the name, which may hold anything but ends with the last parenthesis, user and system time are 12th and 13th.
    let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks = after_name.split_whitespace().skip(11).take(2);
    ticks.filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / 100.0
}

/// The most memory the process had (Linux).
fn peak_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}
