//! The report of `compare`: every turn, and what they say together. Its text is in [`super::page`].

use serde::Serialize;

use super::contender::{Contender, Role};
use super::earlier::BaselineFile;
use super::gate::Gate;
use super::judge::Comparison;
use super::server::Storage;
use super::turn::Turn;
use crate::measure::machine::Machine;
use crate::report::run::WorkloadReport;
use crate::report::{Remarks, VERSION};
use crate::runner::Plan;
use crate::statistics::median;
use crate::verdict::severity;

/// The format of this report.
pub const FORMAT: &str = "loadtest-compare/2";

/// The whole report; its members are the JSON.
#[derive(Debug, Serialize)]
pub struct CompareReport {
    /// [`FORMAT`]
    pub format: &'static str,
    /// The version of this program.
    pub loadtest_version: &'static str,
    /// The command line.
    pub command: String,
    /// The machine it ran on.
    pub machine: Machine,
    /// The programs that were started: one, or two that are compared, `A` and `B`.
    pub servers: Vec<String>,
    /// The earlier run that was the baseline, if one was.
    pub baseline_file: Option<BaselineFile>,
    /// Further arguments that they were given.
    pub server_arguments: Vec<String>,
    /// Where servers kept their stock (a negative control always in memory).
    pub storage: Storage,
    /// The folder of their data directories; absent if all was in memory.
    pub data_in: Option<String>,
    /// The type of file system that folder is on.
    pub data_filesystem: Option<String>,
    /// What decided the workload; the seed is that of the first round, and each round's is one more.
    pub workload: WorkloadReport,
    /// Rounds asked for.
    pub rounds: u32,
    /// The fixed rate.
    pub rate: Option<Rate>,
    /// The gate.
    pub gate: Option<Gate>,
    /// One for each contender, controls last.
    pub strategies: Vec<Line>,
    /// One for each figure.
    pub comparisons: Vec<Comparison>,
    /// Every turn.
    pub turns: Vec<Turn>,
    /// What decides the exit code, in words.
    pub remarks: Remarks,
    /// The exit code.
    pub exit_code: u8,
}

/// The fixed rate of the second part of each turn.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Rate {
    /// Requests a second.
    pub per_s: f64,
    /// What the baseline did in closed loop before the first round; absent if the rate was given.
    pub calibrated_per_s: Option<f64>,
    /// The part of that which the rate is.
    pub fraction: Option<f64>,
}

/// One contender over all rounds; figures are medians.
#[derive(Debug, Clone, Serialize)]
pub struct Line {
    /// Its name.
    pub contender: String,
    /// The strategy.
    pub strategy: String,
    /// Why it is there.
    pub role: Role,
    /// Whether there is anything that it is compared with.
    pub is_compared: bool,
    /// Where its servers kept their stock.
    pub storage: Storage,
    /// Rounds finished.
    pub rounds: usize,
    /// Requests answered a second, in closed loop.
    pub throughput_per_s: Option<f64>,
    /// CPU time of the server for each answered request, in closed loop.
    pub cpu_us_per_request: Option<f64>,
    /// Median latency at the fixed rate.
    pub paced_p50_us: Option<f64>,
    /// 99th percentile of latency at the fixed rate.
    pub paced_p99_us: Option<f64>,
    /// In closed loop.
    pub contended_percent: Option<f64>,
    /// In closed loop.
    pub retries: Option<f64>,
    /// `consistent`, `violated`, `indeterminate` or `vacuous`: the worst of the rounds.
    pub verdict: &'static str,
    /// In how many rounds that was so.
    pub verdict_rounds: usize,
}

/// What a report says of how it was made.
#[derive(Debug, Clone)]
pub struct Circumstances {
    /// The machine.
    pub machine: Machine,
    /// The programs.
    pub servers: Vec<String>,
    /// Where they kept their stock.
    pub storage: Storage,
    /// In which folder, and on which type of file system.
    pub data: Option<(String, Option<String>)>,
    /// Their further arguments.
    pub server_arguments: Vec<String>,
    /// The fixed rate.
    pub rate: Option<Rate>,
    /// The gate.
    pub gate: Option<Gate>,
    /// Rounds asked for.
    pub rounds: u32,
    /// The earlier run that is the baseline.
    pub baseline_file: Option<BaselineFile>,
}

impl CompareReport {
    /// Puts everything together; `exit_code` and `remarks` are decided by the caller.
    pub fn new(
        plan: &Plan,
        circumstances: Circumstances,
        contenders: &[Contender],
        turns: Vec<Turn>,
        comparisons: Vec<Comparison>,
    ) -> Self {
        let of = |contender: &Contender| line(contender, &turns);
        let strategies = contenders.iter().filter_map(of).collect();
        let Circumstances {
            machine,
            servers,
            storage,
            data,
            server_arguments,
            rate,
            gate,
            rounds,
            baseline_file,
        } = circumstances;
        let (data_in, data_filesystem) = data.unzip();
        Self {
            format: FORMAT,
            loadtest_version: VERSION,
            command: plan.command.clone(),
            machine,
            servers,
            baseline_file,
            server_arguments,
            storage,
            data_in,
            data_filesystem: data_filesystem.flatten(),
            workload: WorkloadReport::of(plan),
            rounds,
            rate,
            gate,
            strategies,
            comparisons,
            turns,
            remarks: Vec::new(),
            exit_code: 0,
        }
    }
}

fn line(contender: &Contender, turns: &[Turn]) -> Option<Line> {
    let own: Vec<&Turn> = turns.iter().filter(|turn| turn.contender == contender.label).collect();
    let of = |figure: fn(&Turn) -> Option<f64>| {
        median(&own.iter().filter_map(|turn| figure(turn)).collect::<Vec<_>>())
    };
    let verdict = own.iter().map(|turn| turn.result()).max_by_key(|result| severity(result))?;
    Some(Line {
        contender: contender.label.clone(),
        strategy: contender.strategy.name.clone(),
        role: contender.role,
        is_compared: contender.against.is_some(),
        storage: contender.storage,
        rounds: own.len(),
        throughput_per_s: of(|turn| Some(turn.throughput_per_s)),
        cpu_us_per_request: of(|turn| turn.cpu_us_per_request),
        paced_p50_us: of(|turn| Some(turn.paced.as_ref()?.latency.p50_us)),
        paced_p99_us: of(|turn| Some(turn.paced.as_ref()?.latency.p99_us)),
        contended_percent: of(|turn| turn.contended_percent),
        retries: of(|turn| turn.retries.map(|retries| retries as f64)),
        verdict,
        verdict_rounds: own.iter().filter(|turn| turn.result() == verdict).count(),
    })
}
