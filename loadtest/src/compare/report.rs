//! The report of `compare`: medians over the rounds, side by side.

use std::collections::BTreeMap;

use serde::Serialize;

use super::server::Strategy;
use crate::measure::{Quantiles, median};
use crate::report::document::{Better, CaseOutcome, Document, Table};
use crate::report::run::WorkloadReport;
use crate::report::table;
use crate::report::{Remarks, VERSION, VerdictReport};
use crate::runner::Plan;

/// One strategy in one round.
#[derive(Debug, Clone, Serialize)]
pub struct Turn {
    /// The strategy.
    pub strategy: String,
    /// Whether it is meant to keep the promises.
    pub correct: bool,
    /// The round, from 1.
    pub round: u32,
    /// Requests answered (done or refused) a second.
    pub throughput_per_s: f64,
    /// Of all calls together.
    pub latency: Quantiles,
    /// CPU time of the server for each answered request.
    pub cpu_us_per_request: Option<f64>,
    /// Of a hundred acquisitions, those that had to wait.
    pub contended_percent: Option<f64>,
    /// Compare-and-swap attempts that had to be repeated.
    pub retries: Option<u64>,
    /// Requests of the measured part.
    pub requests: u64,
    /// Of these, refused for the state of the stock.
    pub refused: u64,
    /// Of these, failed.
    pub failed: u64,
    /// Answers that did not fit the contract.
    pub breaches: u64,
    /// Levels that could not be read back.
    pub unread: usize,
    /// All counters of the server, as grown over the measured part.
    pub contention: BTreeMap<String, u64>,
    /// What its history proves.
    pub verdict: VerdictReport,
}

/// The whole report; its members are the JSON.
#[derive(Debug, Serialize)]
pub struct CompareReport {
    /// `loadtest-compare/1`
    pub format: &'static str,
    /// The version of this program.
    pub loadtest_version: &'static str,
    /// The command line.
    pub command: String,
    /// The program that was started.
    pub server: String,
    /// What decided the workload, the same for every turn.
    pub workload: WorkloadReport,
    /// Rounds asked for.
    pub rounds: u32,
    /// One for each strategy, in the order asked for.
    pub strategies: Vec<Line>,
    /// Every turn.
    pub turns: Vec<Turn>,
    /// What decides the exit code, in words.
    pub remarks: Remarks,
    /// The exit code.
    pub exit_code: u8,
}

/// One strategy over all rounds.
#[derive(Debug, Clone, Serialize)]
pub struct Line {
    /// Its name.
    pub strategy: String,
    /// Rounds finished.
    pub rounds: usize,
    /// Medians over the rounds.
    pub throughput_per_s: f64,
    /// Throughput divided by that of the first strategy.
    pub throughput_ratio: f64,
    /// Median of the rounds' medians.
    pub p50_us: f64,
    /// Median of the rounds' 99th percentiles.
    pub p99_us: f64,
    /// Median.
    pub cpu_us_per_request: Option<f64>,
    /// CPU time a request divided by that of the first strategy.
    pub cpu_ratio: Option<f64>,
    /// Median.
    pub contended_percent: Option<f64>,
    /// Median.
    pub retries: Option<f64>,
    /// `consistent`, `violated`, `indeterminate` or `vacuous`: the worst of the rounds.
    pub verdict: &'static str,
    /// In how many rounds that was so.
    pub verdict_rounds: usize,
}

impl CompareReport {
    /// Puts the turns together; `exit_code` and `remarks` are decided by the caller.
    pub fn new(plan: &Plan, server: String, rounds: u32, strategies: &[Strategy], turns: Vec<Turn>) -> Self {
        let of = |strategy: &Strategy| {
            let own: Vec<&Turn> = turns.iter().filter(|turn| turn.strategy == strategy.name).collect();
            line(&strategy.name, &own)
        };
        let mut lines: Vec<Line> = strategies.iter().filter_map(of).collect();
        if let Some(first) = lines.first().cloned() {
            for line in &mut lines {
                line.throughput_ratio = line.throughput_per_s / first.throughput_per_s.max(f64::MIN_POSITIVE);
                line.cpu_ratio =
                    line.cpu_us_per_request.zip(first.cpu_us_per_request).map(|(own, first)| own / first);
            }
        }
        Self {
            format: "loadtest-compare/1",
            loadtest_version: VERSION,
            command: plan.command.clone(),
            server,
            workload: WorkloadReport::of(plan),
            rounds,
            strategies: lines,
            turns,
            remarks: Vec::new(),
            exit_code: 0,
        }
    }

    /// Everything there is to tell.
    pub fn document(&self) -> Document {
        let WorkloadReport { seed, skus, keys, mix, concurrency, .. } = &self.workload;
        let mut document = Document::new("Strategies compared");
        document.line(format!(
            "Workload: seed {seed}, {skus} skus ({keys}), concurrency {concurrency}, mix {mix}"
        ));
        document.line(format!("Medians over {} rounds; x is the ratio to the first strategy.", self.rounds));
        document.push(self.table());
        for remark in &self.remarks {
            document.line(format!("Finding: {remark}"));
        }
        for line in &self.strategies {
            self.tell_demand(&mut document, line);
            document.figure(
                format!("throughput of {}", line.strategy),
                "1/s",
                line.throughput_per_s,
                Better::Higher,
            );
            if let Some(cpu) = line.cpu_us_per_request {
                document.figure(format!("CPU a request of {}", line.strategy), "us", cpu, Better::Lower);
            }
        }
        document
    }

    /// Whether a strategy lost nothing; of the negative control, whether it was caught.
    fn tell_demand(&self, document: &mut Document, line: &Line) {
        let violation = self.first_violation(&line.strategy);
        if let Some((round, violation)) = violation {
            document.line(format!("{} in round {round}, the first of its violations:", line.strategy));
            document.verbatim(violation.to_string());
        }
        let correct = self.turns.iter().any(|turn| turn.strategy == line.strategy && turn.correct);
        let outcome = match (line.verdict, violation) {
            ("violated", Some((round, violation))) if correct => CaseOutcome::Failed {
                message: format!("broke its promises in round {round}"),
                detail: violation.to_string(),
            },
            ("violated", _) if !correct => CaseOutcome::Passed,
            ("consistent", _) if correct => CaseOutcome::Passed,
            (verdict, _) => CaseOutcome::Undecided { message: verdict.to_owned() },
        };
        document.case("strategy", line.strategy.as_str(), outcome);
    }

    fn first_violation(&self, strategy: &str) -> Option<(u32, &history::Violation)> {
        let mut own = self.turns.iter().filter(|turn| turn.strategy == strategy);
        own.find_map(|turn| turn.verdict.detail.violations().first().map(|violation| (turn.round, violation)))
    }

    fn table(&self) -> Table {
        let header = [
            "strategy",
            "requests/s",
            "x",
            "p50 ms",
            "p99 ms",
            "CPU us/request",
            "x",
            "contended %",
            "retries",
            "verdict",
        ];
        let dash = || "-".to_owned();
        let number =
            |value: Option<f64>, places: usize| value.map_or_else(dash, |value| format!("{value:.places$}"));
        let row = |line: &Line| {
            vec![
                line.strategy.clone(),
                format!("{:.0}", line.throughput_per_s),
                format!("{:.2}", line.throughput_ratio),
                table::millis(line.p50_us),
                table::millis(line.p99_us),
                number(line.cpu_us_per_request, 1),
                number(line.cpu_ratio, 2),
                number(line.contended_percent, 2),
                number(line.retries, 0),
                format!("{} ({}/{})", line.verdict, line.verdict_rounds, line.rounds),
            ]
        };
        Table::new("strategies", &header, self.strategies.iter().map(row).collect())
    }
}

fn line(strategy: &str, turns: &[&Turn]) -> Option<Line> {
    let of =
        |figure: fn(&Turn) -> Option<f64>| median(turns.iter().filter_map(|turn| figure(turn)).collect());
    let verdict = turns.iter().map(|turn| turn.verdict.result).max_by_key(|result| severity(result))?;
    #[expect(clippy::cast_precision_loss, reason = "counts of a run are far below 2^53")]
    let retries = of(|turn| turn.retries.map(|retries| retries as f64));
    Some(Line {
        strategy: strategy.to_owned(),
        rounds: turns.len(),
        throughput_per_s: of(|turn| Some(turn.throughput_per_s))?,
        throughput_ratio: 1.0,
        p50_us: of(|turn| Some(turn.latency.p50_us))?,
        p99_us: of(|turn| Some(turn.latency.p99_us))?,
        cpu_us_per_request: of(|turn| turn.cpu_us_per_request),
        cpu_ratio: None,
        contended_percent: of(|turn| turn.contended_percent),
        retries,
        verdict,
        verdict_rounds: turns.iter().filter(|turn| turn.verdict.result == verdict).count(),
    })
}

fn severity(result: &str) -> u8 {
    match result {
        "violated" => 3,
        "indeterminate" => 2,
        "vacuous" => 1,
        _ => 0,
    }
}
