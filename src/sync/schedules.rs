//! Running a model: the same few threads under thousands of schedules, chosen by the model checker (shuttle).
//!
//! Bounds: [`SCHEDULES`] for each model, half of them uniformly random, half by priorities (PCT of depth [`DEPTH`]: any bug
//! that needs that many ordered events has a known chance per schedule to show). Shuttle also reports a deadlock.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use shuttle::scheduler::{PctScheduler, RandomScheduler};
use shuttle::{Config, Runner};

use super::model::modelled;

/// Schedules of each model: some half a second of one core.
pub const SCHEDULES: usize = 10_000;
/// How many ordered events the schedules by priorities are good at.
const DEPTH: usize = 3;

/// Runs a model under every schedule, and returns the outcomes that occurred.
pub fn outcomes(model: impl Fn() -> String + Send + Sync + 'static) -> BTreeSet<String> {
    let occurred = Arc::new(Mutex::new(BTreeSet::new()));
    let model = Arc::new(model);
    let run = || {
        let (occurred, model) = (Arc::clone(&occurred), Arc::clone(&model));
        move || {
            let outcome = model();
            occurred.lock().unwrap_or_else(PoisonError::into_inner).insert(outcome);
        }
    };
    let config = || {
        let mut config = Config::new();
        config.stack_size = 256 * 1024;
        config
    };
    modelled(|| {
        Runner::new(RandomScheduler::new(SCHEDULES / 2), config()).run(run());
        Runner::new(PctScheduler::new(DEPTH, SCHEDULES / 2), config()).run(run());
    });
    let occurred = occurred.lock().unwrap_or_else(PoisonError::into_inner);
    occurred.clone()
}
