//! From samples to figures. Clients only append samples; histograms are made once, when the run is over, so that
//! measuring costs the run an append and not a histogram for each client and kind.

pub mod machine;
pub mod process;
pub mod server;

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::client::Kind;
use crate::runner::session::Class;
use crate::schedule::{LATE, nanos};

/// One request of the measured part.
#[derive(Debug, Clone, Copy)]
pub struct Sample {
    /// What kind of call it was.
    pub kind: Kind,
    /// How it went.
    pub class: Class,
    /// From its start (in open loop: its intended start) to the end of its answer.
    pub latency_ns: u64,
}

/// What one phase of a run did.
#[derive(Debug, Default)]
pub struct Phase {
    /// Every request.
    pub samples: Vec<Sample>,
    /// From the first start to the last answer.
    pub elapsed: Duration,
    /// How well the open loop kept its rate; empty in closed loop.
    pub open_loop: OpenLoop,
    /// Whether a client stopped early because its share of `--max-records` was full.
    pub full: bool,
}

/// How well the open loop kept its rate.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct OpenLoop {
    /// The rate asked for; `None` in closed loop.
    pub rate_per_s: Option<f64>,
    /// Requests that were to be sent.
    pub planned: u64,
    /// Requests that began more than a millisecond late, because every client was busy.
    pub late: u64,
    /// The latest start.
    pub late_ns_max: u64,
    /// Requests that were never sent: when the time was up, every client was still busy.
    pub not_sent: u64,
}

impl OpenLoop {
    /// Counts a start this much after the intended one.
    pub fn started(&mut self, late_ns: u64) {
        self.late += u64::from(late_ns > nanos(LATE));
        self.late_ns_max = self.late_ns_max.max(late_ns);
    }

    /// Takes another client's count in.
    pub fn merge(&mut self, other: Self) {
        self.late += other.late;
        self.late_ns_max = self.late_ns_max.max(other.late_ns_max);
    }
}

/// Percentiles of latency, in microseconds. Requests that timed out are in, with the time they waited; ones that
/// failed otherwise are not, since a fast error would flatter.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
#[expect(
    missing_docs,
    clippy::struct_field_names,
    reason = "each is the percentile of its name, with its unit last"
)]
pub struct Quantiles {
    pub p50_us: f64,
    pub p90_us: f64,
    pub p99_us: f64,
    pub p99_9_us: f64,
    pub max_us: f64,
}

/// The figures of one kind of call, or of all.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Row {
    /// The kind.
    pub operation: String,
    /// Requests that ended.
    pub requests: u64,
    /// Answered as asked.
    pub done: u64,
    /// Refused for the state of the stock.
    pub refused: u64,
    /// Timeouts, overload, lost connections, answers that do not fit the contract.
    pub failed: u64,
    /// Of those that were answered or timed out.
    pub latency: Quantiles,
}

/// A row for each kind that occurred, and one for all.
pub fn rows(samples: &[Sample]) -> (Vec<Row>, Row) {
    let of = |kind| {
        let row =
            row(kind_name(kind), samples.iter().filter(|sample| kind.is_none_or(|kind| sample.kind == kind)));
        (row.requests > 0).then_some(row)
    };
    let rows = Kind::ALL.into_iter().filter_map(|kind| of(Some(kind))).collect();
    (rows, of(None).unwrap_or_default())
}

fn kind_name(kind: Option<Kind>) -> &'static str {
    kind.map_or("all", Kind::name)
}

fn row<'a>(operation: &str, samples: impl Iterator<Item = &'a Sample>) -> Row {
    let mut row = Row { operation: operation.to_owned(), ..Row::default() };
    let mut latencies = Latencies::default();
    for sample in samples {
        row.requests += 1;
        match sample.class {
            Class::Done => row.done += 1,
            Class::Refused => row.refused += 1,
            Class::TimedOut | Class::Failed => row.failed += 1,
        }
        if sample.class != Class::Failed {
            latencies.add(sample.latency_ns);
        }
    }
    row.latency = latencies.quantiles();
    row
}

/// Collects latencies; three significant digits, as HdrHistogram keeps them, and the exact maximum.
#[derive(Debug)]
pub struct Latencies {
    histogram: Option<Histogram<u64>>,
    max_ns: u64,
}

impl Default for Latencies {
    fn default() -> Self {
        // Three digits are always accepted.
        Self { histogram: Histogram::new(3).ok(), max_ns: 0 }
    }
}

impl Latencies {
    /// Adds one.
    pub fn add(&mut self, latency_ns: u64) {
        self.max_ns = self.max_ns.max(latency_ns);
        if let Some(histogram) = &mut self.histogram {
            // An auto-resizing histogram takes every value up to a memory limit of its own, far past any timeout.
            let _ = histogram.record(latency_ns);
        }
    }

    /// The percentiles of what was added.
    pub fn quantiles(&self) -> Quantiles {
        let Some(histogram) = self.histogram.as_ref().filter(|histogram| !histogram.is_empty()) else {
            return Quantiles::default();
        };
        // A bucket's upper edge may lie above the largest value in it.
        let at = |quantile| micros(histogram.value_at_quantile(quantile).min(self.max_ns));
        Quantiles {
            p50_us: at(0.5),
            p90_us: at(0.9),
            p99_us: at(0.99),
            p99_9_us: at(0.999),
            max_us: micros(self.max_ns),
        }
    }
}

/// Nanoseconds as microseconds, to a tenth.
#[expect(clippy::cast_precision_loss, reason = "a tenth of a microsecond is all that is shown")]
pub fn micros(nanos: u64) -> f64 {
    (nanos as f64 / 100.0).round() / 10.0
}

/// Things per second.
#[expect(clippy::cast_precision_loss, reason = "counts of a run are far below 2^53")]
pub fn per_second(count: u64, elapsed: Duration) -> f64 {
    if elapsed.is_zero() { 0.0 } else { (count as f64 / elapsed.as_secs_f64() * 10.0).round() / 10.0 }
}

/// The middle value; of an even number of values the mean of the middle two.
pub fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_unstable_by(f64::total_cmp);
    let middle = values.len() / 2;
    let upper = *values.get(middle)?;
    if values.len() % 2 == 1 { Some(upper) } else { Some(f64::midpoint(values[middle - 1], upper)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(median(Vec::new()), None);
    }

    fn sample(kind: Kind, class: Class, micros: u64) -> Sample {
        Sample { kind, class, latency_ns: micros * 1_000 }
    }

    #[test]
    fn percentiles_are_those_of_the_samples() {
        let samples: Vec<_> = (1..=1_000).map(|micros| sample(Kind::Read, Class::Done, micros)).collect();
        let (rows, all) = rows(&samples);
        assert_eq!(rows.len(), 1);
        assert!((all.latency.p50_us - 500.0).abs() < 1.0, "{all:?}");
        assert!((all.latency.p99_us - 990.0).abs() < 2.0, "{all:?}");
        assert!((all.latency.max_us - 1_000.0).abs() < f64::EPSILON, "{all:?}");
    }

    #[test]
    fn fast_errors_do_not_flatter_but_timeouts_count() {
        let samples = [
            sample(Kind::Adjust, Class::Failed, 1),
            sample(Kind::Adjust, Class::TimedOut, 9_000),
            sample(Kind::Adjust, Class::Refused, 100),
        ];
        let (_, all) = rows(&samples);
        assert_eq!((all.requests, all.done, all.refused, all.failed), (3, 0, 1, 2));
        assert!((all.latency.max_us - 9_000.0).abs() < f64::EPSILON);
        assert!(all.latency.p50_us > 90.0);
    }

    #[test]
    fn nothing_measured_is_all_zero() {
        assert_eq!(rows(&[]).1.latency, Quantiles::default());
    }
}
