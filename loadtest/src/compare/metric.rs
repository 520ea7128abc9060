//! The figures that are compared.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::turn::Turn;
use crate::statistics::Better;

/// A figure that each turn has, or lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// CPU time of the server for each answered request, in closed loop, in microseconds.
    Cpu,
    /// Answered requests a second, in closed loop.
    Throughput,
    /// Median latency at the fixed rate, from the intended start, in microseconds.
    P50,
    /// 99th percentile of latency at the fixed rate, likewise.
    P99,
}

/// A word that names no figure.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no figure `{0}`; there are cpu, throughput, p50 and p99")]
pub struct MetricError(String);

impl Metric {
    /// In the order of the report.
    pub const ALL: [Self; 4] = [Self::Cpu, Self::Throughput, Self::P50, Self::P99];

    /// Its name on the command line and in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Throughput => "throughput",
            Self::P50 => "p50",
            Self::P99 => "p99",
        }
    }

    /// What it is, in words.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Cpu => "CPU per operation",
            Self::Throughput => "Throughput",
            Self::P50 => "p50 at the fixed rate",
            Self::P99 => "p99 at the fixed rate",
        }
    }

    /// The unit it is shown in.
    pub const fn unit(self) -> &'static str {
        match self {
            Self::Cpu => "us",
            Self::Throughput => "req/s",
            Self::P50 | Self::P99 => "ms",
        }
    }

    /// Its value in that unit, as it is shown.
    pub fn show(self, value: f64) -> String {
        match self {
            Self::Cpu => format!("{value:.2}"),
            Self::Throughput => format!("{value:.0}"),
            Self::P50 | Self::P99 => format!("{:.3}", value / 1_000.0),
        }
    }

    /// Which direction is good.
    pub const fn better(self) -> Better {
        match self {
            Self::Throughput => Better::Higher,
            Self::Cpu | Self::P50 | Self::P99 => Better::Lower,
        }
    }

    /// Of a turn. A figure of nothing (no request was answered) is none: it has no logarithm.
    pub fn of(self, turn: &Turn) -> Option<f64> {
        let value = match self {
            Self::Cpu => turn.cpu_us_per_request?,
            Self::Throughput => turn.throughput_per_s,
            Self::P50 => turn.paced.as_ref()?.latency.p50_us,
            Self::P99 => turn.paced.as_ref()?.latency.p99_us,
        };
        (value > 0.0 && value.is_finite()).then_some(value)
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Metric {
    type Err = MetricError;

    fn from_str(text: &str) -> Result<Self, MetricError> {
        let known = Self::ALL.into_iter().find(|metric| metric.name() == text);
        known.ok_or_else(|| MetricError(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_names() {
        assert_eq!("p99".parse(), Ok(Metric::P99));
        assert!("p95".parse::<Metric>().unwrap_err().to_string().contains("cpu, throughput"));
        assert_eq!(Metric::P50.show(1_234.5), "1.234");
    }
}
