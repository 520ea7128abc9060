//! Thresholds: what a run has to keep, said as `p99<20ms for adjust`, and whether it did.
//!
//! ```text
//! threshold = metric op bound [ "for" operation ]
//! metric    = "p50" | "p90" | "p99" | "p99.9" | "max" | "errors" | "throughput"
//! op        = "<" | "<="   for times and errors;   ">" | ">="   for throughput
//! bound     = a time (20ms) | a share (0.1%) | a number of requests a second (5000)
//! operation = "adjust" | "read" | ...   without one, all of them
//! ```
//!
//! A threshold that nothing was measured for is missed: a pipeline that tests nothing must not pass.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::Serialize;

use crate::cli::duration;
use crate::client::Kind;
use crate::measure::{Samples, Sums, micros, per_second};

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Metric {
    /// A percentile of the response time, as a part of 1; 1 is the longest.
    Response(f64),
    /// The share of requests that failed, in percent. Refusals are no failures.
    Errors,
    /// Requests answered a second.
    Throughput,
}

/// The names of all metrics.
const METRICS: [(&str, Metric); 7] = [
    ("p50", Metric::Response(0.5)),
    ("p90", Metric::Response(0.9)),
    ("p99", Metric::Response(0.99)),
    ("p99.9", Metric::Response(0.999)),
    ("max", Metric::Response(1.0)),
    ("errors", Metric::Errors),
    ("throughput", Metric::Throughput),
];

/// Something that a run has to keep.
#[derive(Debug, Clone, PartialEq)]
pub struct Threshold {
    /// As it was written.
    text: String,
    metric: Metric,
    /// Whether the bound itself is allowed.
    inclusive: bool,
    /// In microseconds, percent, or requests a second.
    bound: f64,
    operation: Option<Kind>,
}

/// A threshold that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ThresholdError {
    /// Nothing is compared.
    #[error(
        "`{0}` compares nothing: use METRIC<BOUND or METRIC>BOUND, such as p99<20ms, errors<0.1%, throughput>5000"
    )]
    NoComparison(String),
    /// No such metric.
    #[error("`{0}` is no metric: use p50, p90, p99, p99.9, max, errors or throughput")]
    Metric(String),
    /// The wrong way round.
    #[error("{metric} has to be {wanted} its bound: `{op}` is the wrong way round")]
    Direction {
        /// Of what.
        metric: String,
        /// `below` or `above`
        wanted: &'static str,
        /// What was written.
        op: &'static str,
    },
    /// The bound does not fit the metric.
    #[error("`{bound}` is no bound of {metric}: {wanted}")]
    Bound {
        /// Of what.
        metric: String,
        /// What was written.
        bound: String,
        /// What is right.
        wanted: String,
    },
    /// No such operation.
    #[error("`{0}` is no operation: use adjust, read, batch, independent, transfer, count, create or delete")]
    Operation(String),
}

/// What thresholds are judged by.
#[derive(Debug, Clone, Copy)]
pub struct Measured<'a> {
    /// Every request.
    pub samples: &'a Samples,
    /// The time they took together.
    pub elapsed: Duration,
    /// Requests that were never sent.
    pub dropped: u64,
}

/// Whether a threshold was kept. Its members are the JSON.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Judged {
    /// The threshold as it was written, or its option on the command line.
    pub name: String,
    /// The bound, in `unit`.
    pub bound: f64,
    /// What was measured, in `unit`; 0 where nothing was.
    pub actual: f64,
    /// Whether it was kept.
    pub kept: bool,
    /// `us`, `%` or `requests/s`
    pub unit: &'static str,
    /// The operation it is about; absent if it is about all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operation: Option<&'static str>,
    /// How many requests it was judged by.
    pub samples: u64,
    /// Why it was missed although `actual` may look well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

impl Threshold {
    /// `--max-p99`
    pub fn max_p99(bound: Duration) -> Self {
        let bound = bound.as_secs_f64() * 1e6;
        Self::all("max-p99 (us)", Metric::Response(0.99), bound)
    }

    /// `--min-throughput`, in requests a second.
    pub fn min_throughput(bound: f64) -> Self {
        Self::all("min-throughput (requests/s)", Metric::Throughput, bound)
    }

    /// `--max-failed`, in percent.
    pub fn max_failed(bound: f64) -> Self {
        Self::all("max-failed (%)", Metric::Errors, bound)
    }

    fn all(name: &str, metric: Metric, bound: f64) -> Self {
        Self { text: name.to_owned(), metric, inclusive: true, bound, operation: None }
    }

    /// Whether it says how many requests may fail.
    pub fn is_of_errors(&self) -> bool {
        self.metric == Metric::Errors
    }

    /// Whether a run kept it.
    pub fn judge(&self, measured: Measured<'_>) -> Judged {
        let sums = match self.operation {
            None => measured.samples.all(),
            Some(kind) => measured.samples.of(kind).cloned().unwrap_or_default(),
        };
        let (actual, samples) = self.metric.measure(&sums, measured.elapsed);
        let actual = actual.filter(|_| samples > 0);
        let why = match actual {
            None => Some("no samples".to_owned()),
            Some(_) => self.metric.doubt(&sums, measured.dropped),
        };
        let actual = actual.unwrap_or(0.0);
        let kept = why.is_none() && self.allows(actual);
        let (unit, operation) = (self.metric.unit(), self.operation.map(Kind::name));
        Judged { name: self.text.clone(), bound: self.bound, actual, kept, unit, operation, samples, why }
    }

    fn allows(&self, actual: f64) -> bool {
        let distance = if self.metric.has_floor() { actual - self.bound } else { self.bound - actual };
        if self.inclusive { distance >= 0.0 } else { distance > 0.0 }
    }
}

impl Metric {
    /// What the requests show, and how many show it.
    fn measure(self, sums: &Sums, elapsed: Duration) -> (Option<f64>, u64) {
        let response = sums.response();
        match self {
            Self::Response(1.0) => (Some(micros(response.max_ns())), response.count()),
            Self::Response(quantile) => (response.at_ns(quantile).map(micros), response.count()),
            Self::Errors => {
                let requests = sums.requests();
                (Some(sums.failures() as f64 * 100.0 / requests.max(1) as f64), requests)
            }
            Self::Throughput => (Some(per_second(sums.answered(), elapsed)), sums.requests()),
        }
    }

    /// Why what was measured may be better than what was.
    fn doubt(self, sums: &Sums, dropped: u64) -> Option<String> {
        let Self::Response(quantile) = self else { return None };
        // Requests that were never sent are as slow as can be, although nobody could measure them.
        if dropped > 0 {
            return Some(format!("{dropped} requests were never sent"));
        }
        // The longest of all is cut off as soon as one was.
        sums.is_cut_off(quantile).then(|| "requests that were given up would have taken longer".to_owned())
    }

    const fn has_floor(self) -> bool {
        matches!(self, Self::Throughput)
    }

    const fn unit(self) -> &'static str {
        match self {
            Self::Response(_) => "us",
            Self::Errors => "%",
            Self::Throughput => "requests/s",
        }
    }

    fn bound(self, text: &str) -> Result<f64, String> {
        let number = |text: &str, most: f64, wanted: &str| {
            let number = text.trim().parse::<f64>().ok();
            number.filter(|number| (0.0..=most).contains(number)).ok_or_else(|| wanted.to_owned())
        };
        match self {
            Self::Response(_) => duration(text).map(|bound| bound.as_nanos() as f64 / 1e3),
            Self::Errors => {
                let wanted = "give a share from 0% to 100%, such as 0.1%";
                number(text.strip_suffix('%').ok_or(wanted)?, 100.0, wanted)
            }
            Self::Throughput => {
                let text = text.strip_suffix("/s").unwrap_or(text);
                number(text, 1e9, "give a number of requests a second, such as 5000")
            }
        }
    }
}

impl FromStr for Threshold {
    type Err = ThresholdError;

    fn from_str(text: &str) -> Result<Self, ThresholdError> {
        let nothing = || ThresholdError::NoComparison(text.to_owned());
        let at = text.find(['<', '>']).ok_or_else(nothing)?;
        let (name, rest) = (text[..at].trim(), &text[at..]);
        let op = ["<=", ">=", "<", ">"].into_iter().find(|op| rest.starts_with(op)).ok_or_else(nothing)?;
        let found = METRICS.into_iter().find(|(known, _)| *known == name);
        let (_, metric) = found.ok_or_else(|| ThresholdError::Metric(name.to_owned()))?;
        if op.starts_with('>') != metric.has_floor() {
            let wanted = if metric.has_floor() { "above" } else { "below" };
            return Err(ThresholdError::Direction { metric: name.to_owned(), wanted, op });
        }
        let mut words = rest[op.len()..].split_whitespace();
        let bound = words.next().unwrap_or_default();
        let operation = match (words.next(), words.next(), words.next()) {
            (None, ..) => None,
            (Some("for"), Some(name), None) => Some(kind(name)?),
            (Some("for"), name, more) => {
                return Err(ThresholdError::Operation(
                    [name, more].into_iter().flatten().collect::<Vec<_>>().join(" "),
                ));
            }
            (Some(word), ..) => return Err(ThresholdError::Operation(word.to_owned())),
        };
        let wrong =
            |wanted| ThresholdError::Bound { metric: name.to_owned(), bound: bound.to_owned(), wanted };
        let bound = metric.bound(bound).map_err(wrong)?;
        Ok(Self { text: text.trim().to_owned(), metric, inclusive: op.ends_with('='), bound, operation })
    }
}

fn kind(name: &str) -> Result<Kind, ThresholdError> {
    let known = Kind::ALL.into_iter().find(|kind| kind.name() == name);
    known.ok_or_else(|| ThresholdError::Operation(name.to_owned()))
}

impl fmt::Display for Judged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, bound, actual, kept, unit, why, .. } = self;
        let word = if *kept { "kept" } else { "MISSED" };
        write!(f, "Threshold {name}: bound {bound:.3} {unit}, measured {actual:.3} {unit}: {word}")?;
        why.as_ref().map_or(Ok(()), |why| write!(f, " ({why})"))
    }
}

#[cfg(test)]
#[path = "threshold_tests.rs"]
mod tests;
