//! What the generator itself can do: its ceiling, in requests a second, against a server that does nothing.
//!
//! A generator near its ceiling measures itself. What it can do depends on the machine, on the sender, on the number of
//! connections and on who else is running, so it is measured where and when the run is, with the same threads and the
//! same code from drawing a request to recording its answer. The requests are single adjustments, most of what the default
//! mix asks. The server that does nothing shares the machine as the real one does.

pub mod noop;

use std::fmt;
use std::io;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use crate::client::{Replicas, Sender};
use crate::interrupt::Stop;
use crate::measure::per_second;
use crate::measure::process::own_cpu_time;
use crate::output::Progress;
use crate::runner::phase::{self, Order};
use crate::runner::vitals::Vitals;
use crate::runner::{RunError, Stage};
use crate::schedule::Limit;
use crate::target::{Target, TargetError};
use crate::workload::{Keys, MixError, Spec};
use noop::NoopProcess;

/// How long `run` measures it before it begins.
pub const SHORT: Duration = Duration::from_millis(500);

/// The part of the ceiling up to which figures are the server's. Past it, the queue for the generator's own cores is a part of
/// every time it measures.
pub const SHARE_MAX: f64 = 0.7;

/// The longest wait for an answer of a server that does nothing.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Records that are kept, and thrown away: recording them is a part of the cost.
const RECORDS_MAX: usize = 1_000_000;

/// Whether a run knows its ceiling.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub enum CeilingPlan {
    /// Measure it first.
    #[default]
    Measure,
    /// It is known, in requests a second.
    Given(f64),
    /// It does not matter.
    Waived,
}

/// A ceiling that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no ceiling: use measure, none, or a number of requests a second, as calibrate tells it")]
pub struct CeilingError(String);

impl FromStr for CeilingPlan {
    type Err = CeilingError;

    fn from_str(text: &str) -> Result<Self, CeilingError> {
        match text {
            "measure" => Ok(Self::Measure),
            "none" => Ok(Self::Waived),
            number => {
                let number = number.parse().ok().filter(|number| (1.0..=1e9).contains(number));
                number.map(Self::Given).ok_or_else(|| CeilingError(text.to_owned()))
            }
        }
    }
}

impl fmt::Display for CeilingPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Measure => f.write_str("measure"),
            Self::Given(per_s) => write!(f, "{per_s}"),
            Self::Waived => f.write_str("none"),
        }
    }
}

/// What the generator can do.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Ceiling {
    /// Requests answered a second.
    pub requests_per_s: f64,
    /// CPU time of the generator for each, in microseconds; absent where it was not measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_us_per_request: Option<f64>,
}

/// Why a ceiling could not be measured.
#[derive(Debug, thiserror::Error)]
pub enum CalibrateError {
    /// The server that does nothing would not start.
    #[error("a server that does nothing could not be started from this program: {0}")]
    Start(#[from] io::Error),
    /// It was not usable.
    #[error("the server that does nothing could not be driven: {0}")]
    Run(#[from] RunError),
    /// No mix of ours.
    #[error("the workload could not be made: {0}")]
    Mix(#[from] MixError),
    /// Nothing was answered.
    #[error("the server that does nothing answered nothing")]
    Silent,
    /// The description of it is wrong.
    #[error(transparent)]
    Target(#[from] TargetError),
}

/// Measures the ceiling for this long: of a client that speaks as this service does, or of one that follows a description.
pub async fn ceiling(
    sender: Sender,
    follows: bool,
    concurrency: u32,
    duration: Duration,
    stop: &Stop,
) -> Result<Ceiling, CalibrateError> {
    let server = NoopProcess::start().await?;
    let spec = Spec { skus: 1, keys: Keys::Single, mix: "adjust=1".parse()?, opening_stock: 0, seed: 1 };
    let catalogue = Arc::new(spec.catalogue(noop::PREFIX));
    let described = follows.then(|| Target::parse(noop::DESCRIPTION, "noop")).transpose()?.map(Arc::new);
    let server_at = Replicas::one(server.url());
    let mut stage = Stage::open_to(&server_at, described, catalogue, concurrency, TIMEOUT).await?;
    if sender == Sender::Hyper {
        stage = stage.bare(TIMEOUT);
    }
    let vitals = Vitals::new(&stage.client.authority(), stop.clone());
    let order = |number, duration| Order {
        number,
        stage: "calibrating",
        limit: Limit::For(duration),
        offered: None,
        records_max: RECORDS_MAX / concurrency.max(1) as usize,
    };
    let progress = Progress::silent();
    // Connections are opened first.
    phase::run(&mut stage.sessions, &spec, &order(0, duration / 5), &vitals, &progress).await;
    let before = own_cpu_time();
    let measured = phase::run(&mut stage.sessions, &spec, &order(1, duration), &vitals, &progress).await;
    let cpu = own_cpu_time().zip(before).map(|(after, before)| after.saturating_sub(before));
    let answered = measured.samples.all().answered();
    if answered == 0 {
        return Err(CalibrateError::Silent);
    }
    Ok(Ceiling {
        requests_per_s: per_second(answered, measured.elapsed),
        cpu_us_per_request: cpu.map(|cpu| (cpu.as_secs_f64() * 1e8 / answered as f64).round() / 100.0),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ceiling_is_measured_given_or_waived() {
        for text in ["measure", "none", "40000"] {
            assert_eq!(text.parse::<CeilingPlan>().unwrap().to_string(), text);
        }
        for wrong in ["", "0", "-1", "NaN", "fast"] {
            assert!(wrong.parse::<CeilingPlan>().is_err(), "{wrong}");
        }
    }
}
