//! One turn: a fresh server, driven in closed loop and then at the fixed rate, and both verified.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;

use super::contender::{Contender, Role};
use super::server::{Launch, ServerProcess, Storage};
use super::{CompareError, delay};
use crate::client::Replicas;
use crate::interrupt::Stop;
use crate::measure::{Quantiles, per_second, rows};
use crate::output::{self, Progress};
use crate::report::VerdictReport;
use crate::runner::{self, Plan, Run};
use crate::verdict;
use crate::workload::{Spec, fresh_run_id};

/// What is the same for all turns.
#[derive(Debug, Clone)]
pub struct Setup {
    /// The measured part in closed loop, and by its limit also that at the fixed rate.
    pub plan: Plan,
    /// Requests a second of the part at the fixed rate; without one there is no such part.
    pub rate_per_s: Option<f64>,
    /// Where data directories are made.
    pub folder: Option<PathBuf>,
    /// Further arguments of `serve`.
    pub arguments: Vec<String>,
}

/// One contender in one round.
#[derive(Debug, Clone, Serialize)]
pub struct Turn {
    /// Who had the turn: the strategy, with what tells it from others of the same strategy.
    pub contender: String,
    /// The strategy.
    pub strategy: String,
    /// Whether it is meant to keep the promises.
    pub correct: bool,
    /// Why it is there.
    pub role: Role,
    /// Where the server kept its stock.
    pub storage: Storage,
    /// The round, from 1.
    pub round: u32,
    /// The place in its round, from 1.
    pub place: u32,
    /// The seed of the workload, the same for all of a round.
    pub seed: u64,
    /// Requests answered (done or refused) a second.
    pub throughput_per_s: f64,
    /// Of all calls together, in closed loop: how long the queue was, rather than how fast the server is.
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
    /// Answers that did not fit the contract, in both parts.
    pub breaches: u64,
    /// Levels that could not be read back, in both parts.
    pub unread: usize,
    /// Clients that were never answered, in either part: they left the load to the others.
    pub unheard: u32,
    /// All counters of the server, as grown over the measured part.
    pub contention: BTreeMap<String, u64>,
    /// What the history of the closed loop proves.
    pub verdict: VerdictReport,
    /// The part at the fixed rate.
    pub paced: Option<Paced>,
}

/// The part of a turn at the fixed rate, in open loop.
#[derive(Debug, Clone, Serialize)]
pub struct Paced {
    /// Requests a second.
    pub rate_per_s: f64,
    /// From the intended starts, of all calls together.
    pub latency: Quantiles,
    /// Requests that ended.
    pub requests: u64,
    /// Of these, failed.
    pub failed: u64,
    /// Requests that began more than a millisecond late, because every client was busy.
    pub late: u64,
    /// Requests that were never sent: the percentiles are lower bounds then.
    pub not_sent: u64,
    /// What its history proves.
    pub verdict: VerdictReport,
}

impl Turn {
    /// The worst that is proved: `violated`, `indeterminate`, `vacuous` or `consistent`. That nobody contends at the fixed rate
    /// is as it may be: it is the closed loop that has to prove something.
    pub fn result(&self) -> &'static str {
        let paced = self.paced.as_ref().map(|paced| paced.verdict.result);
        let results = [Some(self.verdict.result), paced.filter(|result| *result != "vacuous")];
        results.into_iter().flatten().max_by_key(|result| verdict::severity(result)).unwrap_or("vacuous")
    }

    /// The first violation in either part.
    pub fn violation(&self) -> Option<&history::Violation> {
        let paced = self.paced.as_ref().map(|paced| &paced.verdict);
        [Some(&self.verdict), paced]
            .into_iter()
            .flatten()
            .find_map(|verdict| verdict.detail.violations().first())
    }
}

/// Gives a contender its turn.
pub async fn turn(
    setup: &Setup,
    contender: &Contender,
    (round, place): (u32, u32),
    stop: &Stop,
    progress: &Progress,
) -> Result<Turn, CompareError> {
    let failed = |source| CompareError::Run { strategy: contender.label.clone(), source };
    let mut server = ServerProcess::start(&contender.launch(setup)).await?;
    let delayed = match contender.delay {
        Some(delay) => Some(delay::Proxy::start(server.url(), delay).await.map_err(CompareError::Proxy)?),
        None => None,
    };
    let server_at = Replicas::one(delayed.as_ref().map_or(server.url(), delay::Proxy::url));
    let plan = part(&setup.plan, round);
    let mut run = runner::run(&server_at, &plan, Some(server.pid()), stop, progress).await.map_err(failed)?;
    let mut paced = None;
    // A negative control is not judged by its latency, and may be past answering: it has lost what it would have to tell.
    let is_control = contender.role == Role::NegativeControl;
    if let Some(rate) = setup.rate_per_s.filter(|_| !is_control && !stop.requested()) {
        // The server is warm by now.
        let plan = Plan { offered: Some(rate.into()), warmup: Duration::ZERO, ..part(&setup.plan, round) };
        paced = Some((rate, runner::run(&server_at, &plan, None, stop, progress).await.map_err(failed)?));
    }
    progress.begin("judging what was recorded", None);
    // Stopped before the check, which would otherwise share the machine with an idle server.
    if let Some(remark) = server.stop().await {
        output::remark(&remark);
    }
    drop((delayed, server));
    let verdict = verify(&mut run).await;
    let mut turn = figures(contender, (round, place), plan.spec.seed, &run, verdict);
    if let Some((rate, mut run)) = paced {
        turn.breaches += run.breaches;
        turn.unread += run.unread;
        turn.unheard = turn.unheard.max(run.measured.unheard);
        let verdict = verify(&mut run).await;
        turn.paced = Some(paced_figures(rate, &run, verdict));
    }
    progress.end();
    Ok(turn)
}

/// The plan of one part of a turn. Every round has a tape of its own, so that figures are not those of one tape; in a round
/// all have the same. The server is fresh: nothing need be deleted from it.
fn part(plan: &Plan, round: u32) -> Plan {
    let seed = plan.spec.seed.wrapping_add(u64::from(round - 1));
    let spec = Spec { seed, ..plan.spec.clone() };
    Plan { spec, prefix: format!("lt-{}-", fresh_run_id()), keep: true, ..plan.clone() }
}

async fn verify(run: &mut Run) -> VerdictReport {
    let (_, checked, took) = verdict::check(std::mem::take(&mut run.history)).await;
    VerdictReport::new(checked, took)
}

fn figures(
    contender: &Contender,
    (round, place): (u32, u32),
    seed: u64,
    run: &Run,
    verdict: VerdictReport,
) -> Turn {
    let (_, total) = rows(&run.measured.samples);
    let answered = total.done + total.refused;
    let counter = |name: &str| run.contention.get(name).copied();
    let waits = counter("contended").zip(counter("acquisitions"));
    Turn {
        contender: contender.label.clone(),
        strategy: contender.strategy.name.clone(),
        correct: contender.strategy.correct,
        role: contender.role,
        storage: contender.storage,
        round,
        place,
        seed,
        throughput_per_s: per_second(answered, run.measured.elapsed),
        latency: total.latency,
        cpu_us_per_request: run.server_cpu.and_then(|cpu| per_request(cpu, answered)),
        contended_percent: waits.and_then(|(waited, all)| percent(waited, all)),
        retries: counter("retries"),
        requests: total.requests,
        refused: total.refused,
        failed: total.failed,
        breaches: run.breaches,
        unread: run.unread,
        unheard: run.measured.unheard,
        contention: run.contention.clone(),
        verdict,
        paced: None,
    }
}

fn paced_figures(rate_per_s: f64, run: &Run, verdict: VerdictReport) -> Paced {
    let (_, total) = rows(&run.measured.samples);
    Paced {
        rate_per_s,
        latency: total.latency,
        requests: total.requests,
        failed: total.failed,
        late: run.measured.open_loop.late,
        not_sent: run.measured.open_loop.not_sent,
        verdict,
    }
}

fn per_request(cpu: Duration, requests: u64) -> Option<f64> {
    (requests > 0).then(|| cpu.as_secs_f64() * 1e6 / requests as f64)
}

fn percent(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 * 100.0 / whole as f64)
}

impl Contender {
    fn launch(&self, setup: &Setup) -> Launch {
        Launch {
            program: self.program.clone(),
            strategy: self.strategy.clone(),
            storage: self.storage,
            folder: setup.folder.clone(),
            arguments: setup.arguments.clone(),
        }
    }
}

#[cfg(test)]
impl Turn {
    /// A turn as if it had been measured, consistent, with latencies at the fixed rate of a hundredth of the throughput's
    /// inverse.
    pub(super) fn made_up(contender: &Contender, round: u32, throughput_per_s: f64) -> Self {
        let verdict = || {
            let conclusion = history::Conclusion::Consistent;
            let empty = history::check(&history::History::default());
            VerdictReport::new(history::Verdict { conclusion, ..empty }, Duration::ZERO)
        };
        let micros = 1e6 / throughput_per_s;
        let latency = Quantiles { p50_us: micros, p99_us: 10.0 * micros, ..Quantiles::default() };
        Self {
            contender: contender.label.clone(),
            strategy: contender.strategy.name.clone(),
            correct: contender.strategy.correct,
            role: contender.role,
            storage: contender.storage,
            round,
            place: 1,
            seed: 0,
            throughput_per_s,
            latency,
            cpu_us_per_request: Some(micros),
            contended_percent: None,
            retries: None,
            requests: 1,
            refused: 0,
            failed: 0,
            breaches: 0,
            unread: 0,
            unheard: 0,
            contention: BTreeMap::new(),
            verdict: verdict(),
            paced: Some(Paced {
                rate_per_s: 1.0,
                latency,
                requests: 1,
                failed: 0,
                late: 0,
                not_sent: 0,
                verdict: verdict(),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::contender::Field;
    use super::super::server::Strategy;
    use super::*;

    #[test]
    fn the_worst_of_both_parts_counts_but_nobody_need_contend_at_the_fixed_rate() {
        let field = Field { program: Path::new("inventory"), storage: Storage::Durable, delay: None };
        let strategy = Strategy { name: "mutex".to_owned(), correct: true };
        let contender = &field.against_one(&[strategy], None).unwrap()[0];
        let with = |closed: &'static str, paced: &'static str| {
            let mut turn = Turn::made_up(contender, 1, 100.0);
            turn.verdict.result = closed;
            turn.paced.as_mut().unwrap().verdict.result = paced;
            turn.result()
        };
        assert_eq!(with("consistent", "vacuous"), "consistent");
        assert_eq!(with("vacuous", "consistent"), "vacuous");
        assert_eq!(with("consistent", "violated"), "violated");
        assert_eq!(with("indeterminate", "vacuous"), "indeterminate");
    }
}
