//! Negative controls: are the checks worth anything? `loadtest selftest`.
//!
//! A checker that never objects passes every test of a correct service. So it is tried on services that are wrong on purpose, each
//! in one way that people really get wrong, and on good histories in which one fault was planted. What comes of it is the
//! *kill matrix*: which check convicted which fault, and how soon. A fault that nothing convicts is a hole in the proof; a
//! correct strategy that is accused is a false alarm, which is worse.
//!
//! Everything goes over HTTP, each strategy on a server of its own, as [`crate::compare`] starts them: two of the bugs are not in a strategy
//! but above it (how retries are recognised, what a client leaves behind that goes away), and what is judged is what a
//! user of this program would be told. The workloads are small and aimed, so that each bug shows within seconds:
//!
//! * [`trials`] are what is asked: a *storm* of everything on few levels, writes that are *replayed* under their key, and
//!   clients that *leave* before they are answered; every strategy goes through all of them, and through all checks;
//! * [`leaver`] is how a client leaves;
//! * [`roster`] names the mutants that there have to be;
//! * [`judge`] says what a trial proves, and how soon it was proved;
//! * [`planted`] plants faults in histories that correct strategies left, and judges those;
//! * [`matrix`] is all of it, and what it means; [`report`] is how it is told.

pub mod judge;
pub mod leaver;
pub mod matrix;
pub mod planted;
pub mod report;
pub mod roster;
pub mod trials;

use std::path::Path;
use std::time::{Duration, Instant};

use history::History;

use crate::compare::server::{Launch, ServerError, ServerProcess, Storage, Strategy};
use crate::interrupt::Stop;
use crate::output::Progress;
use crate::runner::RunError;
use judge::Judged;
use matrix::{Group, Matrix, Row};
use trials::{Kind, Trial};

/// How often a mutant is tried before it is said to have survived: the bugs are races, and a busy machine may hide one once. And how
/// often a correct strategy is, before nothing is said to have been proved of it: on a busy machine what clients left behind may be
/// too much for the checker's search.
pub const ATTEMPTS_MAX: u32 = 5;

/// The longest a trial may take. It ends by a number of requests, but a mutant may leave every one of them without an answer.
const TRIAL_MAX: Duration = Duration::from_secs(30);

/// Everything that decides a self-test, but the server program.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The seed of everything drawn.
    pub seed: u64,
    /// Requests of one storm; the other trials are a fixed part of it.
    pub requests: u64,
    /// No trial begins later than this after the start.
    pub time_max: Duration,
    /// The command line, for the record.
    pub command: String,
}

/// Why there was no self-test.
#[derive(Debug, thiserror::Error)]
pub enum SelftestError {
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
    /// The server was built without what is to be found.
    #[error(
        "{program} lacks the mutants {missing}, which no release has; build a server with them, `cargo build --release \
         --package loadtest --example mutant_inventory`, and give it with --server-bin target/release/examples/mutant_inventory"
    )]
    NoMutants {
        /// Which program.
        program: String,
        /// Their names.
        missing: String,
    },
}

/// Tries every strategy of the server, then plants faults in what the correct ones left.
pub async fn selftest(
    program: &Path,
    known: &[Strategy],
    plan: &Plan,
    stop: &Stop,
) -> Result<Matrix, SelftestError> {
    roster::complete(program, known)?;
    let (start, progress) = (Instant::now(), Progress::new());
    let is_over = || stop.requested() || start.elapsed() > plan.time_max;
    let (mut rows, mut good) = (Vec::new(), Vec::new());
    for strategy in roster::in_order(known) {
        let mut row = Row::new(Group::of(strategy), &strategy.name, roster::breaks(&strategy.name));
        while !is_over() && row.wants_another_attempt() {
            // What the attempt before could not tell, this one may.
            row.doubts.clear();
            progress.prefix(format!("{}:", strategy.name));
            let seed = plan.seed.wrapping_add(u64::from(row.attempts));
            for trial in attempt(program, strategy, seed, plan, stop, &progress).await? {
                row.add(&trial.judged);
                good.extend(trial.to_plant_in.filter(|_| strategy.correct));
            }
            row.attempts += 1;
        }
        rows.push(row);
    }
    progress.prefix("planted faults:".to_owned());
    progress.begin("planting and judging", None);
    // A history that is already wrong proves nothing of what is planted in it.
    if rows.iter().all(|row| row.group != Group::Correct || row.kills.is_empty()) {
        rows.extend(plant(good).await);
    }
    progress.end();
    Ok(Matrix { rows, took: start.elapsed() })
}

/// A trial that was judged.
struct Tried {
    judged: Judged,
    /// Its history, if it is one to plant faults in.
    to_plant_in: Option<History>,
}

impl Tried {
    fn of(trial: Trial) -> Self {
        let judged = judge::judge(&trial);
        Self { judged, to_plant_in: trial.is_small.then_some(trial.history) }
    }
}

/// All trials once, each on a fresh server: a mutant that has lost an update may not be able to go on.
async fn attempt(
    program: &Path,
    strategy: &Strategy,
    seed: u64,
    plan: &Plan,
    stop: &Stop,
    progress: &Progress,
) -> Result<Vec<Tried>, SelftestError> {
    let plan = Plan { seed, ..plan.clone() };
    let mut tried = Vec::new();
    for kind in Kind::ALL {
        // In memory: the mutants keep no ledger.
        let launch = Launch {
            program: program.to_owned(),
            strategy: strategy.clone(),
            storage: Storage::Ephemeral,
            folder: None,
            arguments: Vec::new(),
        };
        let mut server = ServerProcess::start(&launch).await?;
        let trial = bounded(kind, TRIAL_MAX, trials::run(kind, server.url(), &plan, stop, progress)).await;
        // A mutant may have left its server with a change that it can never record, and for which it would wait: it is
        // killed, as it is dropped.
        if strategy.correct
            && let Some(remark) = server.stop().await
        {
            crate::output::remark(&remark);
        }
        drop(server);
        let trial = trial.map_err(|source| SelftestError::Run { strategy: strategy.name.clone(), source })?;
        progress.begin("judging", None);
        tried.push(match trial {
            Ended::InTime(trial) => blocking(move || Tried::of(trial)).await,
            Ended::Late(judged) => Tried { judged, to_plant_in: None },
        });
    }
    Ok(tried)
}

/// How a trial ended.
#[derive(Debug)]
enum Ended {
    InTime(Trial),
    /// What it saw is gone: it proves nothing.
    Late(Judged),
}

async fn bounded(
    kind: Kind,
    longest: Duration,
    trial: impl Future<Output = Result<Trial, RunError>>,
) -> Result<Ended, RunError> {
    match tokio::time::timeout(longest, trial).await {
        Ok(ended) => ended.map(Ended::InTime),
        Err(_) => {
            let doubt = Some(format!("it did not end within {longest:?}"));
            Ok(Ended::Late(Judged { trial: kind.name(), operations: 0, kills: Vec::new(), doubt }))
        }
    }
}

async fn plant(good: Vec<History>) -> Vec<Row> {
    blocking(move || planted::rows(&good)).await
}

/// Does work off the runtime's threads; a panic of it goes on here.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

impl Row {
    /// Whether it is to be tried once more. An objection is final, of whomever; a correct strategy is done once nothing is in doubt.
    fn wants_another_attempt(&self) -> bool {
        let is_open = self.group != Group::Correct || !self.doubts.is_empty();
        self.attempts == 0 || (self.attempts < ATTEMPTS_MAX && self.kills.is_empty() && is_open)
    }

    /// Takes in what one trial proved.
    fn add(&mut self, judged: &Judged) {
        self.operations += judged.operations;
        self.kills.extend(judged.kills.iter().cloned());
        self.doubts.extend(judged.doubt.iter().map(|doubt| format!("{}: {doubt}", judged.trial)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_trial_that_never_ends_proves_nothing() {
        let ended = bounded(Kind::Leavers, Duration::ZERO, std::future::pending()).await;
        let Ok(Ended::Late(judged)) = ended else { panic!("{ended:?}") };
        assert_eq!((judged.trial, judged.kills.len()), ("leavers", 0));
        let mut row = Row { attempts: 1, ..Row::new(Group::Correct, "mutex", "") };
        row.add(&judged);
        assert_eq!(row.state(), matrix::State::Unproved, "{row:?}");
    }

    #[test]
    fn what_proved_nothing_is_tried_again_and_an_objection_is_final() {
        let kill = judge::Kill {
            trial: "storm",
            check: "books".to_owned(),
            violations: 1,
            operations: 1,
            after_ms: 1.0,
        };
        let tried = |group, attempts, doubts: &[&str], kills: &[judge::Kill]| Row {
            attempts,
            doubts: doubts.iter().map(|&doubt| doubt.to_owned()).collect(),
            kills: kills.to_vec(),
            ..Row::new(group, "x", "")
        };
        let again = |row: Row| row.wants_another_attempt();
        for group in [Group::Correct, Group::Mutant] {
            assert!(again(tried(group, 0, &[], &[])));
            assert!(again(tried(group, 1, &["open"], &[])));
            assert!(!again(tried(group, 1, &["open"], std::slice::from_ref(&kill))));
            assert!(!again(tried(group, ATTEMPTS_MAX, &["open"], &[])));
        }
        assert!(!again(tried(Group::Correct, 1, &[], &[])), "it is clean");
        assert!(again(tried(Group::Mutant, 1, &[], &[])), "nothing objected yet");
    }
}
