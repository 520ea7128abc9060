//! The Prometheus text format, version 0.0.4.
//!
//! Written by hand because the counters are: the client libraries show only counters of their own, which every
//! core writes. The format is `# HELP`, `# TYPE` and a line per sample
//! (<https://prometheus.io/docs/instrumenting/exposition_formats/>).

use std::fmt::{Display, Write as _};

use super::histogram::{Distribution, bounds_seconds};

/// The media type of the format.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// A text under construction.
#[derive(Debug, Default)]
pub struct Exposition {
    text: String,
}

/// Names and values of labels. Values are escaped here.
pub type Labels<'a> = &'a [(&'a str, &'a str)];

impl Exposition {
    /// Begins a family of counters (a name ending in `_total`).
    pub fn counter(&mut self, name: &str, help: &str) {
        self.family(name, help, "counter");
    }

    /// Begins a family of gauges.
    pub fn gauge(&mut self, name: &str, help: &str) {
        self.family(name, help, "gauge");
    }

    /// Begins a family of histograms.
    pub fn histogram(&mut self, name: &str, help: &str) {
        self.family(name, help, "histogram");
    }

    /// One sample of a counter or gauge.
    pub fn sample(&mut self, name: &str, labels: Labels<'_>, value: impl Display) {
        self.text.push_str(name);
        self.labels(labels, None);
        self.text.push(' ');
        self.push(value);
        self.text.push('\n');
    }

    /// All samples of one histogram, in seconds.
    pub fn distribution(&mut self, name: &str, labels: Labels<'_>, seen: &Distribution) {
        let bounds = bounds_seconds().map(|bound| bound.to_string()).chain(["+Inf".to_owned()]);
        let mut cumulative = 0;
        for (bound, count) in bounds.zip(&seen.buckets) {
            cumulative += count;
            self.text.push_str(name);
            self.text.push_str("_bucket");
            self.labels(labels, Some(&bound));
            self.text.push(' ');
            self.push(cumulative);
            self.text.push('\n');
        }
        self.sample(&format!("{name}_sum"), labels, seen.sum_ns as f64 / 1e9);
        self.sample(&format!("{name}_count"), labels, seen.count);
    }

    /// The finished text.
    pub fn into_text(self) -> String {
        self.text
    }

    fn family(&mut self, name: &str, help: &str, kind: &str) {
        self.push(format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
    }

    fn labels(&mut self, labels: Labels<'_>, bound: Option<&str>) {
        let bound = bound.map(|bound| ("le", bound));
        let mut separator = '{';
        for (name, value) in labels.iter().copied().chain(bound) {
            let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            self.push(format_args!("{separator}{name}=\"{value}\""));
            separator = ',';
        }
        if separator == ',' {
            self.text.push('}');
        }
    }

    fn push(&mut self, value: impl Display) {
        write!(self.text, "{value}").expect("writing to a string does not fail");
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::telemetry::Histogram;

    #[test]
    fn samples_have_labels_with_escapes() {
        let mut text = Exposition::default();
        text.counter("a_total", "Things.");
        text.sample("a_total", &[], 3);
        text.sample("a_total", &[("x", "1\"\\\n"), ("y", "2")], 4);
        let expected = "# HELP a_total Things.\n# TYPE a_total counter\na_total 3\n\
                        a_total{x=\"1\\\"\\\\\\n\",y=\"2\"} 4\n";
        assert_eq!(text.into_text(), expected);
    }

    #[test]
    fn buckets_are_cumulative_and_end_in_infinity() {
        let histogram = Histogram::default();
        histogram.observe(Duration::from_nanos(1));
        histogram.observe(Duration::from_secs(1));
        let mut text = Exposition::default();
        text.distribution("d", &[("r", "x")], &histogram.distribution());
        let text = text.into_text();
        assert!(text.starts_with("d_bucket{r=\"x\",le=\"0.000000256\"} 1\n"), "{text}");
        assert!(text.contains("d_bucket{r=\"x\",le=\"+Inf\"} 2\n"));
        assert!(text.ends_with("d_sum{r=\"x\"} 1.000000001\nd_count{r=\"x\"} 2\n"), "{text}");
    }
}
