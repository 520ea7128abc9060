//! The report of `compare` as a document. One table for each figure, as benchstat has it: each fits 80 columns.

use super::contender::Role;
use super::findings::percent;
use super::judge::{Comparison, Design, Row};
use super::metric::Metric;
use super::report::{CompareReport, Line, Rate};
use super::server::Storage;
use crate::report::document::{Better, CaseOutcome, Chart, Document, Interval, Table};
use crate::report::run::WorkloadReport;
use crate::statistics::{Finding, ROUNDS_MIN};

impl CompareReport {
    /// Everything there is to tell.
    pub fn document(&self) -> Document {
        let mut document = Document::new("Strategies compared");
        for line in self.head().lines() {
            document.line(line);
        }
        for comparison in &self.comparisons {
            self.tell_figure(&mut document, comparison);
        }
        document.heading("Proof");
        document.push(self.proofs());
        for remark in &self.remarks {
            document.line(format!("Finding: {remark}"));
        }
        for line in &self.strategies {
            if let Some((round, violation)) = self.first_violation(&line.contender) {
                document.line(format!("{} in round {round}, the first of its violations:", line.contender));
                document.verbatim(violation.to_string());
            }
            document.case("strategy", line.contender.as_str(), self.proof_of(line));
        }
        self.tell_gate(&mut document);
        document
    }

    /// Whether a contender lost nothing; of the negative control, whether it was caught.
    fn proof_of(&self, line: &Line) -> CaseOutcome {
        let is_control = line.role == Role::NegativeControl;
        match (line.verdict, self.first_violation(&line.contender)) {
            ("violated", _) if is_control => CaseOutcome::Passed,
            ("consistent", _) if !is_control => CaseOutcome::Passed,
            ("violated", Some((round, violation))) => CaseOutcome::Failed {
                message: format!("broke its promises in round {round}"),
                detail: violation.to_string(),
            },
            (verdict, _) => CaseOutcome::Undecided { message: verdict.to_owned() },
        }
    }

    /// A demand for each candidate in each figure that the gate is on.
    fn tell_gate(&self, document: &mut Document) {
        for comparison in &self.comparisons {
            for row in &comparison.candidates {
                let Some(broke) = row.broke_gate else { continue };
                let told = row.judged.as_ref().map(|judged| format!("{:.3} of the baseline", judged.ratio));
                let message = told.unwrap_or_default();
                let failed = CaseOutcome::Failed { message: message.clone(), detail: message };
                let name = format!("{} of {}", comparison.metric.title(), row.contender);
                document.case("gate", name, if broke { failed } else { CaseOutcome::Passed });
            }
        }
    }

    fn head(&self) -> String {
        let WorkloadReport { seed, skus, keys, mix, concurrency, .. } = &self.workload;
        let storage = match (self.storage, &self.data_in) {
            (Storage::Durable, Some(folder)) => {
                format!("durable, each server on a fresh data directory in {folder}")
            }
            (Storage::Durable, None) => "durable".to_owned(),
            (Storage::Ephemeral, _) => "in memory (--ephemeral)".to_owned(),
        };
        let rate = self.rate.map_or_else(
            || "none: latency was not measured".to_owned(),
            |Rate { per_s, calibrated_per_s, fraction }| {
                let of = |(calibrated, fraction): (f64, f64)| {
                    format!(", {} of what the baseline did alone ({calibrated:.0})", percent(fraction))
                };
                format!("{per_s:.0} req/s{}", calibrated_per_s.zip(fraction).map_or_else(String::new, of))
            },
        );
        let arguments = match self.server_arguments.join(" ") {
            arguments if arguments.is_empty() => String::new(),
            arguments => format!("Arguments of serve: {arguments}\n"),
        };
        let programs = match (&self.servers[..], &self.baseline_file) {
            ([one, other], _) => format!("A: {one}\nB: {other}\n"),
            (_, Some(file)) => {
                let forced = match &file.differences[..] {
                    [] => String::new(),
                    differences => format!("\nNevertheless (--force): {}", differences.join("; ")),
                };
                format!("Baseline: the rounds in {}, made by: {}{forced}\n", file.path, file.command)
            }
            _ => String::new(),
        };
        format!(
            "{programs}Workload: seed {seed}, {skus} skus ({keys}), concurrency {concurrency}\nMix: {mix}\nStorage: {storage}\n\
             {arguments}Fixed rate: {rate}\nMachine: {}\nRounds: {}, every contender once in each, in an order drawn from \
             the seed\n{}; p is corrected for all candidates (Holm)\n\
             Equivalent is {}; {}\n",
            self.machine,
            self.rounds,
            match self.baseline_file {
                None => "Ratios are medians to the baseline of the same round",
                Some(_) => "Ratios are of medians, now to then; those of the A/A row are to now",
            },
            self.comparisons.first().map_or_else(String::new, |comparison| around(comparison.margin)),
            self.gate_words()
        )
    }

    fn gate_words(&self) -> String {
        let Some(gate) = &self.gate else { return "no gate".to_owned() };
        let metrics: Vec<&str> = gate.metrics.iter().map(|metric| metric.name()).collect();
        format!("gate: at most {} worse in {}", percent(gate.allowed), metrics.join(", "))
    }

    /// The table of one figure, under what it could have told, and its intervals as a picture.
    fn tell_figure(&self, document: &mut Document, comparison: &Comparison) {
        let Comparison { metric, design, noise, minimal_detectable, power, .. } = comparison;
        let detectable = minimal_detectable.map_or_else(
            || format!("nothing (it takes {ROUNDS_MIN} rounds, and more for many strategies)"),
            |effect| format!("{} or beyond (power {:.0}%)", around(effect), power * 100.0),
        );
        let noise = noise.map_or_else(|| "unknown".to_owned(), |noise| format!("within {}", around(noise)));
        let direction = if *metric == Metric::Throughput { "higher" } else { "lower" };
        document.heading(format!("{} ({}; {direction} is better)", metric.title(), metric.unit()));
        document.line(format!("Detectable: {detectable}; A/A noise: {noise}"));
        if *design == Design::Unpaired {
            document.line("Not paired by round: what changed on the machine in between is in the ratios.");
        }
        let rows = self.strategies.iter().map(|line| row(comparison, line)).collect();
        let header = ["strategy", "median", "ratio", "95% interval", "p", "finding"];
        document.table(metric.name(), &header, rows);
        document.push(intervals(comparison));
        for line in &self.strategies {
            if let Some(value) = median_of(*metric, line) {
                let better = if *metric == Metric::Throughput { Better::Higher } else { Better::Lower };
                let name = format!("{} of {}", metric.title(), line.contender);
                document.figure(name, metric.unit(), value, better);
            }
        }
    }

    /// What was proved of each, and how contended it was.
    fn proofs(&self) -> Table {
        let number = |value: Option<f64>, places: usize| {
            value.map_or_else(|| "-".to_owned(), |value| format!("{value:.places$}"))
        };
        let row = |line: &Line| {
            vec![
                line.contender.clone(),
                number(line.contended_percent, 2),
                number(line.retries, 0),
                match line.storage {
                    Storage::Durable => "durable".to_owned(),
                    Storage::Ephemeral => "in memory".to_owned(),
                },
                format!("{} ({}/{})", line.verdict, line.verdict_rounds, line.rounds),
            ]
        };
        let header = ["strategy", "contended %", "retries", "stock", "verdict"];
        Table::new("proof", &header, self.strategies.iter().map(row).collect())
    }

    fn first_violation(&self, contender: &str) -> Option<(u32, &history::Violation)> {
        let mut own = self.turns.iter().filter(|turn| turn.contender == contender);
        own.find_map(|turn| Some((turn.round, turn.violation()?)))
    }
}

/// The ratios to the baseline with what they are known within; those of the baseline's copy show the noise.
fn intervals(comparison: &Comparison) -> Chart {
    let all = comparison.control.iter().chain(&comparison.candidates);
    let interval = |row: &Row| {
        let judged = row.judged.as_ref()?;
        let known = judged.interval?;
        let name = row.contender.clone();
        Some(Interval { name, low: known.low, middle: judged.ratio, high: known.high })
    };
    Chart::Intervals {
        title: comparison.metric.title().to_owned(),
        x: "ratio to the baseline, 95% interval".to_owned(),
        reference: 1.0,
        rows: all.filter_map(interval).collect(),
    }
}

fn median_of(metric: Metric, line: &Line) -> Option<f64> {
    match metric {
        Metric::Cpu => line.cpu_us_per_request,
        Metric::Throughput => line.throughput_per_s,
        Metric::P50 => line.paced_p50_us,
        Metric::P99 => line.paced_p99_us,
    }
}

/// A contender in the table of a figure.
fn row(comparison: &Comparison, line: &Line) -> Vec<String> {
    let metric = comparison.metric;
    let value = median_of(metric, line);
    let dash = || "-".to_owned();
    let shown = value.map_or_else(dash, |value| metric.show(value));
    let all = comparison.candidates.iter().chain(&comparison.control);
    let judged = all.into_iter().find(|row| row.contender == line.contender);
    let judged = judged.and_then(|row| Some((row, row.judged.as_ref()?)));
    let Some((row, judged)) = judged else {
        let word = match line.role {
            Role::Baseline => "baseline",
            Role::NegativeControl => "not judged",
            _ => "no figure",
        };
        return vec![line.contender.clone(), shown, dash(), dash(), dash(), word.to_owned()];
    };
    let interval = judged.interval;
    vec![
        line.contender.clone(),
        shown,
        format!("{:.3}", judged.ratio),
        interval.map_or_else(dash, |interval| format!("{:.3}, {:.3}", interval.low, interval.high)),
        if judged.p_adjusted < 0.001 { "<0.001".to_owned() } else { format!("{:.3}", judged.p_adjusted) },
        finding(row, judged.finding).to_owned(),
    ]
}

/// A share as the two ratios that are so far from 1.
fn around(share: f64) -> String {
    let ratio = 1.0 + share;
    format!("{:.3}..{ratio:.3}", 1.0 / ratio)
}

/// The word in the table. A copy of the baseline is judged by the same rules; that it comes out as different is a warning.
fn finding(row: &Row, finding: Finding) -> &'static str {
    match (row.broke_gate, finding) {
        (Some(true), _) => "REGRESSION",
        (_, Finding::Faster) => "faster",
        (_, Finding::Slower) => "slower",
        (_, Finding::Equivalent) => "equivalent",
        (_, Finding::Inconclusive) => "inconclusive",
    }
}
