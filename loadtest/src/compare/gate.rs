//! The gate: how much worse than its baseline a candidate may be before the exit code is 6.

use serde::{Deserialize, Serialize};

use super::metric::Metric;
use crate::statistics::permutation::exchange_least;
use crate::statistics::power::rounds_needed;
use crate::statistics::{LEVEL, ROUNDS_MIN};

/// What the gate looks at if it is not told: what a server costs and how much it can do. Latencies of a short turn on a shared
/// machine are too noisy to fail a build over unless somebody asks for it.
pub const METRICS: [Metric; 2] = [Metric::Cpu, Metric::Throughput];

/// A gate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Gate {
    /// The share by which a figure may be worse: with 0.1, CPU time and latency a tenth higher, throughput a tenth lower.
    pub allowed: f64,
    /// The figures it looks at.
    pub metrics: Vec<Metric>,
}

/// A gate that cannot fire.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum GateError {
    /// Of rounds of one run.
    #[error(
        "with {rounds} rounds no difference could be told from chance, so the gate could never fire: {candidates} \
         comparisons need at least --rounds {needed}"
    )]
    Paired {
        /// Rounds there are.
        rounds: usize,
        /// Comparisons that are corrected for.
        candidates: usize,
        /// Rounds it takes.
        needed: usize,
    },
    /// Of rounds of two runs.
    #[error(
        "with {now} rounds against {then} of the earlier run, no difference could be told from chance, so the gate could \
         never fire on {candidates} comparisons: take more of either"
    )]
    Apart {
        /// Rounds of this run.
        now: usize,
        /// Rounds of the earlier one.
        then: usize,
        /// Comparisons that are corrected for.
        candidates: usize,
    },
}

impl Gate {
    /// Makes sure that so many rounds of so many candidates are enough for it to fire.
    pub fn can_fire(rounds: usize, candidates: usize) -> Result<(), GateError> {
        let needed = rounds_needed(candidates);
        if rounds < needed { Err(GateError::Paired { rounds, candidates, needed }) } else { Ok(()) }
    }

    /// The same, against rounds of an earlier run.
    pub fn can_fire_apart(now: usize, then: usize, candidates: usize) -> Result<(), GateError> {
        let is_enough =
            now.min(then) >= ROUNDS_MIN && exchange_least(now, then) * candidates.max(1) as f64 <= LEVEL;
        if is_enough { Ok(()) } else { Err(GateError::Apart { now, then, candidates }) }
    }
}

/// A share such as `10%`, from 0 to below 100.
pub fn share(text: &str) -> Result<f64, String> {
    let number = text.strip_suffix('%').ok_or_else(|| "a percentage, please, such as 10%".to_owned())?;
    let percent: f64 = number.trim().parse().map_err(|_| format!("`{number}` is no number"))?;
    if (0.0..100.0).contains(&percent) {
        Ok(percent / 100.0)
    } else {
        Err("from 0% to below 100%".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_percentages() {
        assert_eq!(share("10%"), Ok(0.1));
        assert_eq!(share("0%"), Ok(0.0));
        for wrong in ["10", "0.1", "100%", "-1%", "NaN%", "x%", ""] {
            assert!(share(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_gate_that_cannot_fire_says_how_many_rounds_it_takes() {
        assert_eq!(Gate::can_fire(8, 6), Ok(()));
        let error = Gate::can_fire(8, 7).unwrap_err().to_string();
        assert!(error.contains("7 comparisons need at least --rounds 9"), "{error}");
        assert_eq!(Gate::can_fire_apart(6, 6, 7), Ok(()));
        assert!(Gate::can_fire_apart(12, 5, 1).unwrap_err().to_string().contains("12 rounds against 5"));
    }
}
