//! Throughput against concurrency, in this process and over HTTP, with a law of scalability fitted to it.
//!
//! The turns themselves, with all their verification, are those of [`crate::inproc`] and [`crate::compare`]; here they are
//! only ordered: rounds are interleaved, and each round goes through all concurrencies, so that whatever else the
//! machine does hits all alike. [`usl`] fits the law, [`report`] tells and draws.

pub mod report;
pub mod usl;

use std::path::Path;
use std::time::Duration;

use serde::Serialize;

use crate::client::Sender;
use crate::client::replicas::Route;
use crate::compare::server::Strategy;
use crate::compare::{self, CompareError};
use crate::inproc;
use crate::interrupt::Stop;
use crate::runner;
use crate::schedule::Limit;

/// How long a server is asked before it is measured.
const WARMUP: Duration = Duration::from_millis(200);

/// The longest wait for one answer of a server.
const TIMEOUT: Duration = Duration::from_secs(10);

/// How the strategies are reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Face {
    /// Called by threads of this process.
    Inproc,
    /// Asked by connections to a server of its own.
    Http,
}

/// One strategy in one round at one concurrency.
#[derive(Debug, Clone, Serialize)]
pub struct Turn {
    /// How it was reached.
    pub face: Face,
    /// The strategy.
    pub strategy: String,
    /// Whether it is meant to keep the promises.
    pub correct: bool,
    /// Threads, or connections with a request in flight.
    pub concurrency: u32,
    /// The round, from 1.
    pub round: u32,
    /// Operations, or answered requests, a second.
    pub throughput_per_s: f64,
    /// `consistent`, `violated`, `indeterminate` or `vacuous`.
    pub verdict: &'static str,
    /// Requests that failed, answers outside the contract, levels that could not be read back, and clients that were never answered.
    pub holes: u64,
}

impl Face {
    /// What it is called in tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Inproc => "in this process",
            Self::Http => "over HTTP",
        }
    }
}

impl Turn {
    /// Whether its proof says something: one worker alone contends with nobody, so nothing is asked of it but right answers.
    pub fn proves(&self) -> bool {
        let is_open = self.verdict == "indeterminate" || (self.verdict == "vacuous" && self.concurrency > 1);
        !is_open && self.holes == 0
    }
}

/// The turns in this process.
pub fn inproc(plan: &inproc::Plan, strategies: &[Strategy], stop: &Stop) -> Vec<Turn> {
    let subjects: Vec<_> =
        strategies.iter().filter_map(|strategy| inproc::Subject::of_strategy(&strategy.name)).collect();
    let runtime = tokio::runtime::Handle::current();
    let turns = inproc::turns(plan, &subjects, stop, &runtime);
    let told = |turn: &inproc::measured::Turn| Turn {
        face: Face::Inproc,
        strategy: turn.subject.to_owned(),
        correct: turn.correct,
        concurrency: turn.threads,
        round: turn.round,
        throughput_per_s: turn.operations_per_s,
        verdict: turn.result(),
        holes: turn.timed_out,
    };
    turns.iter().map(told).collect()
}

/// The turns over HTTP: the workload of `plan`, a fresh server for each.
pub async fn http(
    plan: &inproc::Plan,
    duration: Duration,
    program: &Path,
    strategies: &[Strategy],
    stop: &Stop,
) -> Result<Vec<Turn>, CompareError> {
    let mut turns = Vec::new();
    for round in 1..=plan.rounds {
        for &concurrency in &plan.threads {
            let plan = runner::Plan {
                spec: plan.spec.clone(),
                target: None,
                prefix: String::new(),
                concurrency,
                warmup: WARMUP,
                limit: Limit::For(duration),
                offered: None,
                sender: Sender::default(),
                route: Route::default(),
                faults: None,
                timeout: TIMEOUT,
                records_max: 4_000_000,
                keep: true,
                command: plan.command.clone(),
            };
            for turn in compare::turns(program, strategies, 1, &plan, stop).await? {
                turns.push(Turn {
                    face: Face::Http,
                    strategy: turn.strategy,
                    correct: turn.correct,
                    concurrency,
                    round,
                    throughput_per_s: turn.throughput_per_s,
                    verdict: turn.verdict.result,
                    holes: turn.failed + turn.breaches + turn.unread as u64 + u64::from(turn.unheard),
                });
            }
        }
    }
    Ok(turns)
}
