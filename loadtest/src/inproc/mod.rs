//! The strategies themselves, driven in this process: what sharing costs when no HTTP hides it.
//!
//! This is the only part of the crate that links the service, and only for its strategies: see [`stock`]. A test
//! (`tests/it/house.rs`) holds the rest to the wire.
//!
//! In reading order: [`tape`] is what each thread asks, [`timed`] plays it against the clock, [`recorded`] plays it again
//! and writes everything down, [`measured`] does both and verifies both, [`floor`] is what the bare primitives cost,
//! [`report`] puts it side by side. [`block_on`] waits for an answer without a runtime.
//!
//! Rounds are interleaved, as in [`crate::compare`], and each figure is the median over the rounds.

pub mod block_on;
pub mod floor;
pub mod measured;
pub mod recorded;
pub mod report;
pub mod stock;
pub mod tape;
pub mod timed;

use std::time::Duration;

use inventory::strategy::StrategyKind;
use tokio::runtime::Handle;

use crate::compare::server::Strategy;
use crate::interrupt::Stop;
use crate::output::Progress;
use crate::workload::Spec;
use measured::{Bench, Turn};

/// Everything that decides a measurement.
#[derive(Debug, Clone)]
pub struct Plan {
    /// What is asked.
    pub spec: Spec,
    /// Threads, ascending.
    pub threads: Vec<u32>,
    /// How long, or how much, to measure in each pass.
    pub limit: Limit,
    /// Rounds; in each, every row has its turn with every number of threads.
    pub rounds: u32,
    /// Calls that are recorded and checked in each turn, over all threads.
    pub recorded: u32,
    /// The command line, for the record.
    pub command: String,
}

/// How much one timed pass measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// This long.
    For(Duration),
    /// This many operations over all threads, rounded up to whole batches.
    Operations(u64),
}

/// What is measured in one row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// A strategy of the service.
    Strategy(StrategyKind),
    /// One `AtomicI64`, changed by a compare-and-swap loop.
    BareSwap,
    /// One `Mutex<i64>` (`parking_lot`).
    BareMutex,
    /// A look-up in a lock-free map (papaya), then a compare-and-swap loop: what `atomic` is held against.
    LookUpSwap,
    /// The same with a word of 128 bits, which is what `atomic` swaps.
    LookUpWideSwap,
    /// A look-up in a hash map that nobody changes (hashbrown), then a compare-and-swap loop.
    PlainLookUpSwap,
}

impl Subject {
    /// The bare primitives: the floor under the strategies.
    pub const FLOOR: [Self; 5] =
        [Self::BareSwap, Self::BareMutex, Self::PlainLookUpSwap, Self::LookUpSwap, Self::LookUpWideSwap];

    /// Its name in tables and reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Strategy(kind) => kind.name(),
            Self::BareSwap => "floor: AtomicI64",
            Self::BareMutex => "floor: Mutex<i64>",
            Self::LookUpSwap => "floor: papaya + AtomicI64",
            Self::LookUpWideSwap => "floor: papaya + AtomicU128",
            Self::PlainLookUpSwap => "floor: hashbrown + AtomicI64",
        }
    }

    /// Whether it keeps the promises; only the negative control does not.
    pub fn is_correct(self) -> bool {
        match self {
            Self::Strategy(kind) => kind.is_correct(),
            _ => true,
        }
    }

    /// The strategy of that name.
    pub fn of_strategy(name: &str) -> Option<Self> {
        name.parse().ok().map(Self::Strategy)
    }
}

/// The strategies there are, as a server would list them.
pub fn strategies() -> Vec<Strategy> {
    let strategy = |kind: StrategyKind| Strategy { name: kind.name().to_owned(), correct: kind.is_correct() };
    StrategyKind::ALL.into_iter().map(strategy).collect()
}

/// Gives every subject its turn with every number of threads in every round; fewer turns when stopped. Blocks, so not on
/// a thread of the runtime, whose handle is for the strategies that have tasks.
pub fn turns(plan: &Plan, subjects: &[Subject], stop: &Stop, runtime: &Handle) -> Vec<Turn> {
    let progress = Progress::new();
    let bench = Bench::new(plan, runtime);
    let mut turns = Vec::new();
    for round in 1..=plan.rounds {
        for &threads in &plan.threads {
            for &subject in subjects {
                if stop.requested() {
                    progress.end();
                    return turns;
                }
                let rounds = plan.rounds;
                progress.prefix(format!("[round {round} of {rounds}] {}, {threads} threads", subject.name()));
                progress.begin("measuring and verifying", None);
                turns.push(bench.turn(subject, threads, round));
            }
        }
    }
    progress.end();
    turns
}
