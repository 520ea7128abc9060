//! Times of many requests, and the percentiles of them.

use hdrhistogram::Histogram;
use serde::Serialize;

use super::micros;

/// The edge of every histogram, an hour: a longer time counts as this long, and a percentile that reaches it says only
/// "at least".
pub const EDGE_NS: u64 = 3_600_000_000_000;

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

/// Collects times; three significant digits, as HdrHistogram keeps them, and the exact maximum.
#[derive(Debug, Clone)]
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
    /// Keeps two significant digits: an eighth of the memory, where there are many of them.
    pub fn coarse() -> Self {
        // Two digits are always accepted.
        Self { histogram: Histogram::new(2).ok(), max_ns: 0 }
    }

    /// Adds one.
    pub fn add(&mut self, latency_ns: u64) {
        self.max_ns = self.max_ns.max(latency_ns);
        if let Some(histogram) = &mut self.histogram {
            // The histogram grows as needed, which the edge bounds.
            let _ = histogram.record(latency_ns.min(EDGE_NS));
        }
    }

    /// Takes another's times in.
    pub fn merge(&mut self, other: &Self) {
        self.max_ns = self.max_ns.max(other.max_ns);
        if let (Some(histogram), Some(other)) = (&mut self.histogram, &other.histogram) {
            // It grows to the other's size, which the same edge bounds.
            let _ = histogram.add(other);
        }
    }

    /// How many were added.
    pub fn count(&self) -> u64 {
        self.histogram.as_ref().map_or(0, Histogram::len)
    }

    /// The longest.
    pub fn max_ns(&self) -> u64 {
        self.max_ns
    }

    /// The time that this part of all (0 to 1) did not exceed; `None` if there was none.
    pub fn at_ns(&self, quantile: f64) -> Option<u64> {
        let histogram = self.histogram.as_ref().filter(|histogram| !histogram.is_empty())?;
        // A bucket's upper edge may lie above the largest value in it.
        Some(histogram.value_at_quantile(quantile).min(self.max_ns))
    }

    /// How many there are of each time, ascending: the highest one that is counted so, and the count.
    pub fn counts(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        let recorded = self.histogram.iter().flat_map(Histogram::iter_recorded);
        recorded.map(|step| (step.value_iterated_to().min(self.max_ns), step.count_since_last_iteration()))
    }

    /// The percentiles of what was added; all 0 if nothing was.
    pub fn quantiles(&self) -> Quantiles {
        let at = |quantile| micros(self.at_ns(quantile).unwrap_or(0));
        Quantiles {
            p50_us: at(0.5),
            p90_us: at(0.9),
            p99_us: at(0.99),
            p99_9_us: at(0.999),
            max_us: micros(self.max_ns),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merging_is_adding() {
        let (mut whole, mut left, mut right) =
            (Latencies::default(), Latencies::default(), Latencies::default());
        for value in 1..=2_000 {
            whole.add(value * 1_000);
            if value % 3 == 0 { left.add(value * 1_000) } else { right.add(value * 1_000) }
        }
        left.merge(&right);
        assert_eq!(left.quantiles(), whole.quantiles());
        assert_eq!((left.count(), left.max_ns()), (2_000, 2_000_000));
    }

    #[test]
    fn what_is_beyond_the_edge_counts_as_the_edge_and_keeps_its_maximum() {
        let mut latencies = Latencies::default();
        latencies.add(3 * EDGE_NS);
        let shown = latencies.at_ns(0.5).unwrap();
        assert!((EDGE_NS..EDGE_NS + EDGE_NS / 1_000).contains(&shown), "{shown}");
        assert_eq!(latencies.max_ns(), 3 * EDGE_NS);
        assert_eq!(Latencies::default().at_ns(0.5), None);
    }
}
