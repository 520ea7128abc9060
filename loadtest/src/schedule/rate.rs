//! The course of a rate over a phase: constant, a ramp, or steps; and its integral, in closed form.
//!
//! With the rate r(t), N(t) = ∫ r is how many requests are due by t. Both N and its inverse are written out, so when the
//! n-th request is due costs a square root at most, and errors do not add up along the way.

use std::fmt;
use std::str::FromStr;

/// The slowest rate, in requests a second: one in a quarter of an hour.
const RATE_MIN: f64 = 0.001;

/// The fastest.
const RATE_MAX: f64 = 10_000_000.0;

/// More steps than this are a mistake.
const STEPS_MAX: usize = 1_000;

/// Requests a second over a phase.
#[derive(Debug, Clone, PartialEq)]
pub enum Rate {
    /// Each for an equal share of the phase; a constant rate is one step.
    Steps(Vec<f64>),
    /// From the first to the second, in a straight line.
    Ramp(f64, f64),
}

/// A rate that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RateError {
    /// Not a number in bounds.
    #[error(
        "`{0}` is no rate: a number of requests a second from {RATE_MIN} to {RATE_MAX:.0} (a ramp may begin or end at 0)"
    )]
    Number(String),
    /// A ramp with more than two ends, or of nothing.
    #[error("`{0}` is no ramp: use FROM:TO, such as 100:5000, which are not both 0")]
    Ramp(String),
    /// A step that is a ramp, or too many.
    #[error("`{0}`: use R, FROM:TO, or up to {STEPS_MAX} steps R1,R2,R3")]
    Steps(String),
}

impl From<f64> for Rate {
    fn from(per_s: f64) -> Self {
        Self::Steps(vec![per_s])
    }
}

impl Rate {
    /// The mean over the phase, in requests a second.
    pub fn mean_per_s(&self) -> f64 {
        match self {
            Self::Steps(steps) => steps.iter().sum::<f64>() / steps.len().max(1) as f64,
            Self::Ramp(from, to) => f64::midpoint(*from, *to),
        }
    }

    /// The rate at a time, both in seconds, within a phase of this length.
    pub fn at_per_s(&self, time_s: f64, phase_s: f64) -> f64 {
        let part = (time_s / phase_s).clamp(0.0, 1.0);
        match self {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "the number of a step"
            )]
            Self::Steps(steps) => steps[((part * steps.len() as f64) as usize).min(steps.len() - 1)],
            Self::Ramp(from, to) => from + (to - from) * part,
        }
    }

    /// The time in seconds by which this many requests are due, within a phase of this length: the inverse of N.
    pub fn due_s(&self, requests: f64, phase_s: f64) -> f64 {
        if requests <= 0.0 {
            return 0.0;
        }
        match self {
            Self::Steps(steps) => steps_due_s(steps, requests, phase_s / steps.len() as f64),
            Self::Ramp(from, to) => {
                // N(t) = from t + a t²/2, solved for t in the form that subtracts nothing from what is nearly as large.
                let a = (to - from) / phase_s;
                2.0 * requests / (from + (from * from + 2.0 * a * requests).max(0.0).sqrt())
            }
        }
    }
}

fn steps_due_s(steps: &[f64], requests: f64, each_s: f64) -> f64 {
    let (mut rest, mut began_s) = (requests, 0.0);
    for (index, per_s) in steps.iter().enumerate() {
        if rest <= per_s * each_s || index + 1 == steps.len() {
            return began_s + rest / per_s;
        }
        rest -= per_s * each_s;
        began_s = each_s * (index + 1) as f64;
    }
    began_s
}

impl FromStr for Rate {
    type Err = RateError;

    fn from_str(text: &str) -> Result<Self, RateError> {
        let number = |part: &str, least: f64| {
            let number = part.trim().parse::<f64>().ok().filter(|number| (least..=RATE_MAX).contains(number));
            number
                .filter(|number| *number == 0.0 || *number >= RATE_MIN)
                .ok_or_else(|| RateError::Number(part.to_owned()))
        };
        if let Some((from, to)) = text.split_once(':') {
            if text.contains(',') {
                return Err(RateError::Steps(text.to_owned()));
            }
            if to.contains(':') {
                return Err(RateError::Ramp(text.to_owned()));
            }
            let (from, to) = (number(from, 0.0)?, number(to, 0.0)?);
            return if from + to > 0.0 {
                Ok(Self::Ramp(from, to))
            } else {
                Err(RateError::Ramp(text.to_owned()))
            };
        }
        let steps = text.split(',').map(|part| number(part, RATE_MIN)).collect::<Result<Vec<_>, _>>()?;
        if steps.len() > STEPS_MAX { Err(RateError::Steps(text.to_owned())) } else { Ok(Self::Steps(steps)) }
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ramp(from, to) => write!(f, "{from}:{to}"),
            Self::Steps(steps) => {
                let steps: Vec<String> = steps.iter().map(f64::to_string).collect();
                f.write_str(&steps.join(","))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rates() -> impl Strategy<Value = Rate> {
        let rate = 1.0..5_000.0f64;
        prop_oneof![
            prop::collection::vec(rate.clone(), 1..6).prop_map(Rate::Steps),
            (rate.clone(), rate.clone()).prop_map(|(from, to)| Rate::Ramp(from, to)),
            rate.clone().prop_map(|to| Rate::Ramp(0.0, to)),
            rate.prop_map(|from| Rate::Ramp(from, 0.0)),
        ]
    }

    /// N(t) by the midpoint rule, which knows nothing but the rate itself.
    fn due_by(rate: &Rate, time_s: f64, phase_s: f64) -> f64 {
        let slices = 20_000;
        let width = time_s / f64::from(slices);
        (0..slices).map(|slice| rate.at_per_s((f64::from(slice) + 0.5) * width, phase_s) * width).sum()
    }

    proptest! {
        #[test]
        fn as_many_are_due_as_the_rate_adds_up_to(rate in rates(), phase_s in 0.1..100.0f64, part in 0.0..1.0f64) {
            let all = rate.mean_per_s() * phase_s;
            prop_assert!((due_by(&rate, phase_s, phase_s) - all).abs() <= 1e-3 * all + 1e-6);
            let requests = part * all;
            let time_s = rate.due_s(requests, phase_s);
            prop_assert!((0.0..=phase_s * (1.0 + 1e-9)).contains(&time_s), "{time_s} of {phase_s}");
            // The midpoint rule misses the edge of a step by one slice at most.
            let counted = due_by(&rate, time_s, phase_s);
            prop_assert!((counted - requests).abs() <= 1e-3 * all + 1e-6, "{counted} for {requests}");
        }

        #[test]
        fn a_rate_reads_as_it_is_written(rate in rates()) {
            prop_assert_eq!(rate.to_string().parse::<Rate>(), Ok(rate));
        }
    }

    #[test]
    fn nonsense_is_refused_and_named() {
        for wrong in ["", "x", "-1", "1,,2", "1,0", "1:2:3", "1:2,3", "0:0", "NaN", "inf", "1e9", "0"] {
            assert!(wrong.parse::<Rate>().is_err(), "{wrong}");
        }
        let error = "100,20x,3".parse::<Rate>().unwrap_err().to_string();
        assert!(error.starts_with("`20x` is no rate"), "{error}");
    }
}
