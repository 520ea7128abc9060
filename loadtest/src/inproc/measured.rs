//! One turn: a fresh strategy, a warm-up, a timed pass, a recorded pass; and what they prove.
//!
//! Both passes are verified. The timed pass by adding up: every acknowledged change raises one version by one and says
//! what it made of the units, so afterwards the levels must have gained exactly the versions and the units that were
//! acknowledged; a lost update leaves fewer. The recorded pass by the checker of histories, answer by answer.

use std::sync::Arc;
use std::time::{Duration, Instant};

use history::{Conclusion, History, Limits, Meta, Require, Verdict};
use inventory::stock::StockKey;
use inventory::strategy::StrategyKind;
use serde::Serialize;
use tokio::runtime::Handle;

use super::floor::{Bare, Find, Floor, Hashbrown, Locked, Papaya, Swapped, SwappedWide};
use super::recorded::recorded;
use super::stock::{Stock, Sum, keys};
use super::tape::{BATCH, Tape};
use super::timed::{Pass, Target, Until, timed};
use super::{Limit, Plan, Subject};
use crate::report::VerdictReport;

/// The warm-up is this part of a timed pass.
const WARMUP_PART: u32 = 10;

/// How often the recorded pass is made again if no two changes of a level overlapped in it.
const ATTEMPTS_MAX: u32 = 5;

/// Violations that are told in full.
const LISTED_MAX: usize = 1;

/// One subject in one round with one number of threads.
#[derive(Debug, Clone, Serialize)]
pub struct Turn {
    /// The strategy, or the floor.
    pub subject: &'static str,
    /// Whether it is meant to keep the promises.
    pub correct: bool,
    /// How many threads.
    pub threads: u32,
    /// The round, from 1.
    pub round: u32,
    /// Operations of the timed pass.
    pub operations: u64,
    /// Of these, refused for the state of the stock.
    pub refused: u64,
    /// Of these, ended at the lock timeout.
    pub timed_out: u64,
    /// Operations a second, over all threads.
    pub operations_per_s: f64,
    /// CPU time of the process for each operation, whichever threads it was spent on.
    pub cpu_ns: f64,
    /// Median of the samples.
    pub p50_ns: u64,
    /// 99th percentile of the samples.
    pub p99_ns: u64,
    /// 99.9th percentile of the samples.
    pub p99_9_ns: u64,
    /// Of a hundred acquisitions, those that found somebody inside. Absent for a floor.
    pub contended_percent: Option<f64>,
    /// Compare-and-swaps that had to be repeated, per thousand operations. Absent for a floor.
    pub retries_per_1000: Option<f64>,
    /// Whether the levels gained exactly what was acknowledged in the timed pass.
    pub books: Books,
    /// What the history of the recorded pass proves. Absent for a floor, which keeps no versions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verdict: Option<VerdictReport>,
}

/// What was acknowledged in a timed pass, and what the levels show of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Books {
    /// Changes acknowledged. Of a floor, those of units only.
    pub changes_acknowledged: u64,
    /// Versions that the levels gained; of a floor, which has none, as many as acknowledged.
    pub versions_gained: u64,
    /// Units that the answers say were gained.
    pub units_acknowledged: i64,
    /// Units that the levels gained.
    pub units_gained: i64,
    /// Whether the levels could be read before and after.
    pub is_read: bool,
}

impl Books {
    /// Whether no acknowledged change is missing and none came from nowhere.
    pub fn balance(&self) -> bool {
        self.is_read
            && self.changes_acknowledged == self.versions_gained
            && self.units_acknowledged == self.units_gained
    }
}

/// Where turns are taken.
#[derive(Debug)]
pub struct Bench<'a> {
    plan: &'a Plan,
    runtime: &'a Handle,
    keys: Arc<[StockKey]>,
    tapes: Vec<Tape>,
}

impl<'a> Bench<'a> {
    /// Writes the tapes, one for each thread there will be.
    pub fn new(plan: &'a Plan, runtime: &'a Handle) -> Self {
        let keys = keys(&plan.spec.catalogue(""));
        let threads = plan.threads.iter().copied().max().unwrap_or(1);
        let tapes = (0..threads).map(|thread| Tape::record(&plan.spec, thread, &keys)).collect();
        Self { plan, runtime, keys, tapes }
    }

    /// Measures and verifies one subject.
    pub fn turn(&self, subject: Subject, threads: u32, round: u32) -> Turn {
        let tapes = &self.tapes[..threads as usize];
        // Within the runtime's context: a strategy may start tasks.
        let _context = self.runtime.enter();
        let units = self.plan.spec.opening_stock.cast_signed();
        let levels = self.keys.len();
        let turn = match subject {
            Subject::Strategy(kind) => self.strategy(kind, tapes),
            Subject::BareSwap => self.floor(&Floor::new(Bare::<Swapped>::new(units), 1), tapes),
            Subject::BareMutex => self.floor(&Floor::new(Bare::<Locked>::new(units), 1), tapes),
            Subject::LookUpSwap => {
                self.floor(&Floor::new(Papaya::<Swapped>::new(&self.keys, units), levels), tapes)
            }
            Subject::LookUpWideSwap => {
                self.floor(&Floor::new(Papaya::<SwappedWide>::new(&self.keys, units), levels), tapes)
            }
            Subject::PlainLookUpSwap => {
                self.floor(&Floor::new(Hashbrown::new(&self.keys, units), levels), tapes)
            }
        };
        Turn { subject: subject.name(), correct: subject.is_correct(), threads, round, ..turn }
    }

    fn strategy(&self, kind: StrategyKind, tapes: &[Tape]) -> Turn {
        let stock = Stock::open(kind, &self.plan.spec, &self.keys);
        self.warm_up(&stock, tapes);
        let (sum_before, waits_before) = (stock.sum(), stock.contention());
        let pass = self.timed(&stock, tapes);
        let (sum_after, waits_after) = (stock.sum(), stock.contention());
        let is_read = sum_before.is_ok() && sum_after.is_ok();
        let (before, after) = (sum_before.unwrap_or_default(), sum_after.unwrap_or_default());
        let mut turn = figures(&pass, before, after, is_read);
        let grown = |counter: fn(&inventory::strategy::ContentionReport) -> u64| {
            counter(&waits_after).saturating_sub(counter(&waits_before)) as f64
        };
        let tries = grown(|report| report.acquisitions) + grown(|report| report.timeouts);
        turn.contended_percent = (tries > 0.0).then(|| grown(|report| report.contended) * 100.0 / tries);
        turn.retries_per_1000 =
            Some(grown(|report| report.retries) * 1_000.0 / pass.operations.max(1) as f64);
        turn.verdict = Some(self.verdict(kind, &stock, tapes));
        turn
    }

    fn floor<F: Find>(&self, floor: &Floor<F>, tapes: &[Tape]) -> Turn {
        self.warm_up(floor, tapes);
        let before = floor.sum();
        let pass = self.timed(floor, tapes);
        let sum = |versions, units| Sum { versions, units };
        figures(&pass, sum(0, before), sum(pass.tally.changes, floor.sum()), true)
    }

    /// Plays and records until two changes of a level overlapped, which is what makes passing mean something. One thread
    /// alone overlaps with nobody, and is asked only for right answers.
    fn verdict(&self, kind: StrategyKind, stock: &Stock, tapes: &[Tape]) -> VerdictReport {
        let start = Instant::now();
        let writes = tapes.iter().any(Tape::writes);
        let require = Require {
            applied_writes: writes,
            contended_writes: writes && tapes.len() > 1,
            final_reads: true,
        };
        let limits = Limits { require, violations_listed: LISTED_MAX, ..Limits::default() };
        let attempt = || history::check_with(&self.record(kind, stock, tapes), &limits);
        let mut verdict = attempt();
        for _ in 1..ATTEMPTS_MAX {
            if !matches!(verdict.conclusion, Conclusion::Vacuous { .. }) {
                break;
            }
            verdict = attempt();
        }
        VerdictReport::new(verdict, start.elapsed())
    }

    fn record(&self, kind: StrategyKind, stock: &Stock, tapes: &[Tape]) -> History {
        let meta = Meta {
            seed: Some(self.plan.spec.seed),
            strategy: Some(kind.name().to_owned()),
            command: Some(self.plan.command.clone()),
        };
        let calls = (self.plan.recorded as usize).div_ceil(tapes.len());
        recorded(stock, tapes, calls, self.runtime, meta)
    }

    fn warm_up(&self, target: &impl Target, tapes: &[Tape]) {
        let until = match self.until(tapes.len()) {
            Until::Elapsed(duration) => Until::Elapsed(duration / WARMUP_PART),
            Until::Batches(batches) => Until::Batches(batches.div_ceil(u64::from(WARMUP_PART))),
        };
        timed(target, tapes, until, self.runtime);
    }

    fn timed(&self, target: &impl Target, tapes: &[Tape]) -> Pass {
        timed(target, tapes, self.until(tapes.len()), self.runtime)
    }

    fn until(&self, threads: usize) -> Until {
        match self.plan.limit {
            Limit::For(duration) => Until::Elapsed(duration),
            Limit::Operations(operations) => Until::Batches(operations.div_ceil((threads * BATCH) as u64)),
        }
    }
}

fn figures(pass: &Pass, before: Sum, after: Sum, is_read: bool) -> Turn {
    let operations = pass.operations.max(1) as f64;
    let at = |quantile| pass.latencies.value_at_quantile(quantile);
    Turn {
        subject: "",
        correct: true,
        threads: 0,
        round: 0,
        operations: pass.operations,
        refused: pass.tally.refused,
        timed_out: pass.tally.timed_out,
        operations_per_s: operations / pass.elapsed.max(Duration::from_nanos(1)).as_secs_f64(),
        cpu_ns: pass.cpu.as_secs_f64() * 1e9 / operations,
        p50_ns: at(0.5),
        p99_ns: at(0.99),
        p99_9_ns: at(0.999),
        contended_percent: None,
        retries_per_1000: None,
        books: Books {
            changes_acknowledged: pass.tally.changes,
            versions_gained: after.versions - before.versions,
            units_acknowledged: pass.tally.units,
            units_gained: after.units - before.units,
            is_read,
        },
        verdict: None,
    }
}

impl Turn {
    /// Whether an update was lost, or anything else is proven wrong.
    pub fn is_violated(&self) -> bool {
        !self.books.balance() || self.verdict.as_ref().is_some_and(|verdict| verdict.detail.is_violated())
    }

    /// What it proves, in a word: as a verdict on a history, or `adds up` for a floor.
    pub fn result(&self) -> &'static str {
        match &self.verdict {
            _ if self.is_violated() => "violated",
            Some(verdict) => verdict.result,
            None => "adds up",
        }
    }

    /// The verdict on the recorded pass, where there is one.
    pub fn detail(&self) -> Option<&Verdict> {
        self.verdict.as_ref().map(|verdict| &verdict.detail)
    }
}
