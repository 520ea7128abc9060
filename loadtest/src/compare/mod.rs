//! Comparing strategies: a fresh server for each turn, the same seeded workload, interleaved rounds.
//!
//! Rounds are interleaved (A B C, A B C, ...) so that whatever else the machine does hits every strategy alike; each
//! figure is the median over the rounds. Every turn is verified, and a fast strategy that loses an update is no winner.

pub mod report;
pub mod server;

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::exit::Exit;
use crate::interrupt::Stop;
use crate::measure::rows;
use crate::output::{self, Progress};
use crate::report::VerdictReport;
use crate::runner::{self, Plan, Run, RunError};
use crate::verdict;
use crate::workload::fresh_run_id;
use report::Turn;
use server::{ServerError, ServerProcess, Strategy};

/// Why there was no comparison.
#[derive(Debug, thiserror::Error)]
pub enum CompareError {
    /// A server would not start or stop.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// A server could not be driven.
    #[error("strategy {strategy}: {source}")]
    Run {
        /// Which one.
        strategy: String,
        /// What happened.
        source: RunError,
    },
    /// A strategy that there is not.
    #[error("there is no strategy `{name}`; there are {known}")]
    UnknownStrategy {
        /// What was asked for.
        name: String,
        /// What there is.
        known: String,
    },
    /// A strategy that loses updates, without leave.
    #[error("strategy `{0}` loses updates on purpose; add --allow-racy to see it caught")]
    NotAllowed(String),
    /// An empty list.
    #[error("no strategy to compare; use --strategies all, or names with commas between")]
    NoStrategy,
}

/// The strategies of a list: `all` stands for every correct one, and nothing is compared twice.
pub fn choose(
    wanted: &[String],
    known: &[Strategy],
    allow_racy: bool,
) -> Result<Vec<Strategy>, CompareError> {
    let mut chosen: Vec<Strategy> = Vec::new();
    for name in wanted.iter().map(|name| name.trim()).filter(|name| !name.is_empty()) {
        let matching: Vec<&Strategy> = if name == "all" {
            known.iter().filter(|strategy| strategy.correct).collect()
        } else {
            known.iter().filter(|strategy| strategy.name == name).collect()
        };
        if matching.is_empty() {
            let known: Vec<&str> = known.iter().map(|strategy| strategy.name.as_str()).collect();
            return Err(CompareError::UnknownStrategy { name: name.to_owned(), known: known.join(", ") });
        }
        if let Some(racy) = matching.iter().find(|strategy| !strategy.correct && !allow_racy) {
            return Err(CompareError::NotAllowed(racy.name.clone()));
        }
        for strategy in matching {
            if !chosen.contains(strategy) {
                chosen.push(strategy.clone());
            }
        }
    }
    if chosen.is_empty() { Err(CompareError::NoStrategy) } else { Ok(chosen) }
}

/// The server to start when none is given: `inventory` beside this program.
pub fn server_beside() -> Option<PathBuf> {
    let beside = std::env::current_exe().ok()?.with_file_name("inventory");
    beside.is_file().then_some(beside)
}

/// Gives every strategy its turn in every round. Answers the turns that were finished; fewer when stopped.
pub async fn turns(
    program: &Path,
    strategies: &[Strategy],
    rounds: u32,
    plan: &Plan,
    stop: &Stop,
) -> Result<Vec<Turn>, CompareError> {
    let progress = Progress::new();
    let mut turns = Vec::new();
    for round in 1..=rounds {
        for strategy in strategies {
            if stop.requested() {
                return Ok(turns);
            }
            progress.prefix(format!("[round {round} of {rounds}] {}:", strategy.name));
            turns.push(turn(program, strategy, round, plan, stop, &progress).await?);
        }
    }
    Ok(turns)
}

async fn turn(
    program: &Path,
    strategy: &Strategy,
    round: u32,
    plan: &Plan,
    stop: &Stop,
    progress: &Progress,
) -> Result<Turn, CompareError> {
    let mut server = ServerProcess::start(program, strategy).await?;
    // The server is fresh: nothing need be deleted from it.
    let plan = Plan { prefix: format!("lt-{}-", fresh_run_id()), keep: true, ..plan.clone() };
    let run = runner::run(server.url(), &plan, Some(server.pid()), stop, progress).await;
    let mut run = run.map_err(|source| CompareError::Run { strategy: strategy.name.clone(), source })?;
    // Stopped before the check, which would otherwise share the machine with an idle server.
    if let Some(remark) = server.stop().await {
        output::remark(&remark);
    }
    let (_, checked, took) = verdict::check(std::mem::take(&mut run.history)).await;
    Ok(figures(strategy, round, &run, VerdictReport::new(checked, took)))
}

fn figures(strategy: &Strategy, round: u32, run: &Run, verdict: VerdictReport) -> Turn {
    let (_, total) = rows(&run.measured.samples);
    let answered = total.done + total.refused;
    let counter = |name: &str| run.contention.get(name).copied();
    let contended = counter("contended").zip(counter("acquisitions"));
    Turn {
        strategy: strategy.name.clone(),
        correct: strategy.correct,
        round,
        throughput_per_s: crate::measure::per_second(answered, run.measured.elapsed),
        latency: total.latency,
        cpu_us_per_request: run.server_cpu.and_then(|cpu| per_request(cpu, answered)),
        contended_percent: contended.and_then(|(contended, all)| percent(contended, all)),
        retries: counter("retries"),
        requests: total.requests,
        refused: total.refused,
        failed: total.failed,
        breaches: run.breaches,
        unread: run.unread,
        contention: run.contention.clone(),
        verdict,
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of a run are far below 2^53")]
fn per_request(cpu: Duration, requests: u64) -> Option<f64> {
    (requests > 0).then(|| cpu.as_secs_f64() * 1e6 / requests as f64)
}

#[expect(clippy::cast_precision_loss, reason = "counts of a run are far below 2^53")]
fn percent(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 * 100.0 / whole as f64)
}

/// What the turns mean, in words and as exit codes.
pub fn findings(strategies: &[Strategy], turns: &[Turn]) -> Vec<(Exit, String)> {
    let mut findings = Vec::new();
    for strategy in strategies {
        let own: Vec<&Turn> = turns.iter().filter(|turn| turn.strategy == strategy.name).collect();
        let name = &strategy.name;
        let count = |result: &str| own.iter().filter(|turn| turn.verdict.result == result).count();
        let violated = count("violated");
        if violated > 0 {
            let rounds = own.len();
            findings.push((
                Exit::Violation,
                format!("{name} broke its promises in {violated} of {rounds} rounds"),
            ));
        } else if !strategy.correct && !own.is_empty() {
            findings.push((
                Exit::Inconclusive,
                format!("{name} loses updates, and was not caught: prove harder"),
            ));
        }
        let failed: u64 = own.iter().map(|turn| turn.failed).sum();
        if failed > 0 {
            findings
                .push((Exit::Ok, format!("{name}: {failed} requests failed, which the figures leave out")));
        }
        let open = count("vacuous") + count("indeterminate");
        let holes = own.iter().filter(|turn| turn.breaches > 0 || turn.unread > 0).count();
        if strategy.correct && open + holes > 0 {
            let what = format!("{name}: {open} rounds prove nothing, {holes} have holes in their proof");
            findings.push((Exit::Inconclusive, what));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known() -> Vec<Strategy> {
        let strategy = |name: &str, correct| Strategy { name: name.to_owned(), correct };
        vec![strategy("mutex", true), strategy("racy", false), strategy("atomic", true)]
    }

    fn names(wanted: &str, allow_racy: bool) -> Result<Vec<String>, CompareError> {
        let wanted: Vec<String> = wanted.split(',').map(str::to_owned).collect();
        let chosen = choose(&wanted, &known(), allow_racy)?;
        Ok(chosen.into_iter().map(|strategy| strategy.name).collect())
    }

    #[test]
    fn all_means_all_correct_ones() {
        assert_eq!(names("all", false).unwrap(), ["mutex", "atomic"]);
        assert_eq!(names("all,racy", true).unwrap(), ["mutex", "atomic", "racy"]);
        assert_eq!(names("atomic,all", true).unwrap(), ["atomic", "mutex"]);
    }

    #[test]
    fn racy_needs_leave_and_strangers_are_named() {
        assert!(matches!(names("all,racy", false), Err(CompareError::NotAllowed(name)) if name == "racy"));
        assert!(matches!(names("spinlock", false), Err(CompareError::UnknownStrategy { .. })));
        assert!(matches!(names("", false), Err(CompareError::NoStrategy)));
    }
}
