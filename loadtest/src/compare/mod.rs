//! Comparing strategies: a fresh server for each turn, the same seeded workload, interleaved rounds, and no word without its
//! interval.
//!
//! In each round every contender has a turn, in an order drawn by lot from the seed, so that whatever else the machine does
//! hits all alike and the tests of [`crate::statistics`] hold. One contender is a copy of the baseline (A/A): what differs between
//! the two is noise. A turn is measured in closed loop (CPU time, throughput) and then in open loop at one rate for all
//! (latency). Every turn is verified, and a fast strategy that loses an update is no winner.
//!
//! [`contender`] is who has a turn (an [`earlier`] run can be the baseline), [`turn`] what happens in it on a [`server`] of its own, [`metric`] the figures that come of
//! it, [`judge`] what they say; [`findings`] decides the exit code, [`gate`] what regressions are allowed, [`report`] tells.

pub mod contender;
pub mod delay;
pub mod earlier;
pub mod findings;
pub mod gate;
pub mod judge;
pub mod metric;
mod page;
pub mod place;
pub mod report;
pub mod server;
pub mod turn;

use std::path::{Path, PathBuf};

use rand::SeedableRng;
use rand::rngs::Xoshiro256PlusPlus;
use rand::seq::SliceRandom;

use crate::interrupt::Stop;
use crate::output::Progress;
use crate::runner::{Plan, RunError};
use contender::{Contender, Role};
use server::{ServerError, Storage, Strategy};
use turn::{Setup, Turn};

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
    /// A baseline that is not among what is compared.
    #[error("the baseline `{name}` is not among the strategies compared: {compared}")]
    NoBaseline {
        /// What was named.
        name: String,
        /// What there is.
        compared: String,
    },
    /// The delay control has no place to listen.
    #[error("the proxy of --delay-control could not listen: {0}")]
    Proxy(std::io::Error),
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

/// Gives every contender its turn in every round, in an order drawn from the seed. Answers the turns that were finished; fewer
/// when stopped.
pub async fn rounds(
    setup: &Setup,
    contenders: &[Contender],
    rounds: u32,
    stop: &Stop,
    progress: &Progress,
) -> Result<Vec<Turn>, CompareError> {
    let mut turns = Vec::new();
    for round in 1..=rounds {
        for (place, index) in (1..).zip(order(contenders.len(), setup.plan.spec.seed, round)) {
            if stop.requested() {
                return Ok(turns);
            }
            let contender = &contenders[index];
            progress.prefix(format!("[round {round} of {rounds}] {}:", contender.label));
            turns.push(turn::turn(setup, contender, (round, place), stop, progress).await?);
        }
    }
    Ok(turns)
}

/// The order of a round, by lot: whoever always came after the same one would be measured in its wake.
fn order(contenders: usize, seed: u64, round: u32) -> Vec<usize> {
    let mut order: Vec<usize> = (0..contenders).collect();
    // The tape of the round is drawn from the seed, too: the constant keeps the two apart.
    let seed = seed.wrapping_add(u64::from(round)) ^ 0x0BDE_4D0E_5EED_CAFE;
    order.shuffle(&mut Xoshiro256PlusPlus::seed_from_u64(seed));
    order
}

/// Measures in closed loop how much the baseline can do, on a server of its own, before the first round.
pub async fn calibrate(
    setup: &Setup,
    baseline: &Contender,
    stop: &Stop,
    progress: &Progress,
) -> Result<Turn, CompareError> {
    progress.prefix(format!("[before the first round] {}:", baseline.label));
    let setup = Setup { rate_per_s: None, ..setup.clone() };
    turn::turn(&setup, baseline, (1, 0), stop, progress).await
}

/// Gives every strategy its turn in every round, in memory, in closed loop, with nothing compared.
pub async fn turns(
    program: &Path,
    strategies: &[Strategy],
    rounds: u32,
    plan: &Plan,
    stop: &Stop,
) -> Result<Vec<Turn>, CompareError> {
    let setup = Setup { plan: plan.clone(), rate_per_s: None, folder: None, arguments: Vec::new() };
    let contender = |strategy: &Strategy| Contender {
        label: strategy.name.clone(),
        strategy: strategy.clone(),
        program: program.to_owned(),
        storage: Storage::Ephemeral,
        role: Role::Candidate,
        against: None,
        delay: None,
    };
    let contenders: Vec<Contender> = strategies.iter().map(contender).collect();
    self::rounds(&setup, &contenders, rounds, stop, &Progress::new()).await
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
    fn orders_are_drawn_from_the_seed_and_differ_between_rounds() {
        let orders: Vec<Vec<usize>> = (1..=20).map(|round| order(5, 7, round)).collect();
        for order in &orders {
            let mut all = order.clone();
            all.sort_unstable();
            assert_eq!(all, [0, 1, 2, 3, 4]);
        }
        assert_eq!(orders[3], order(5, 7, 4));
        // Nobody is always first, and nobody always follows the same one.
        assert!((0..5).all(|who| orders.iter().any(|order| order[0] == who)), "{orders:?}");
        assert_ne!(orders[0], orders[1]);
        assert_ne!(orders, (1..=20).map(|round| order(5, 8, round)).collect::<Vec<_>>());
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
