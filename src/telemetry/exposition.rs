//! What is counted, in the Prometheus text format, version 0.0.4, and in that of `OpenMetrics` 1.0, which has exemplars.
//!
//! Written by hand because the counters are: the client libraries show only counters of their own, which every
//! core writes. The formats are `# HELP`, `# TYPE` and a line per sample
//! (<https://prometheus.io/docs/instrumenting/exposition_formats/>, <https://prometheus.io/docs/specs/om/open_metrics_spec/>).

use std::fmt::{Display, Write as _};

use super::histogram::{Distribution, bounds_seconds};

/// How it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// As Prometheus has read it ever since.
    #[default]
    Prometheus,
    /// The same with exemplars, and an end by which one sees that it is whole.
    OpenMetrics,
}

impl Format {
    /// The media type.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// A text under construction.
#[derive(Debug, Default)]
pub struct Exposition {
    text: String,
    format: Format,
}

/// One thing that was counted, and the trace in which it can be looked at.
#[derive(Debug, Clone, PartialEq)]
pub struct Exemplar {
    /// The id of the trace: hex digits.
    pub trace_id: String,
    /// How long it took, in seconds.
    pub seconds: f64,
    /// When it was counted, in seconds since 1970.
    pub at: f64,
}

/// Names and values of labels. Values are escaped here.
pub type Labels<'a> = &'a [(&'a str, &'a str)];

impl Exposition {
    /// To be written so.
    pub fn new(format: Format) -> Self {
        Self { text: String::new(), format }
    }

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
        self.distribution_with(name, labels, seen, None);
    }

    /// The same, with one of what it counted, where the format has a place for it: in its bucket.
    pub fn distribution_with(
        &mut self,
        name: &str,
        labels: Labels<'_>,
        seen: &Distribution,
        exemplar: Option<&Exemplar>,
    ) {
        let mut exemplar = exemplar.filter(|_| self.format == Format::OpenMetrics);
        let mut cumulative = 0;
        for (bound, count) in bounds_seconds().chain([f64::INFINITY]).zip(&seen.buckets) {
            cumulative += count;
            self.text.push_str(name);
            self.text.push_str("_bucket");
            let shown = if bound.is_finite() { bound.to_string() } else { "+Inf".to_owned() };
            self.labels(labels, Some(&shown));
            self.text.push(' ');
            self.push(cumulative);
            if let Some(Exemplar { trace_id, seconds, at }) = exemplar.take_if(|it| it.seconds <= bound) {
                self.push(format_args!(" # {{trace_id=\"{trace_id}\"}} {seconds} {at:.3}"));
            }
            self.text.push('\n');
        }
        self.sample(&format!("{name}_sum"), labels, seen.sum_ns as f64 / 1e9);
        self.sample(&format!("{name}_count"), labels, seen.count);
    }

    /// The finished text.
    pub fn into_text(mut self) -> String {
        if self.format == Format::OpenMetrics {
            self.text.push_str("# EOF\n");
        }
        self.text
    }

    fn family(&mut self, name: &str, help: &str, kind: &str) {
        let is_named_without = self.format == Format::OpenMetrics && kind == "counter";
        let name = name.strip_suffix("_total").filter(|_| is_named_without).unwrap_or(name);
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

    /// A family of counters is named without `_total`, an exemplar stands in its bucket alone, and the end shows that it is the end.
    #[test]
    fn open_metrics_have_exemplars_and_an_end() {
        let histogram = Histogram::default();
        histogram.observe(Duration::from_micros(1));
        histogram.observe(Duration::from_mins(1));
        let shown = |format, seconds| {
            let mut text = Exposition::new(format);
            text.counter("a_total", "Things.");
            text.sample("a_total", &[], 3);
            let exemplar = Exemplar { trace_id: "0af7".to_owned(), seconds, at: 1_700_000_000.25 };
            text.distribution_with("d", &[], &histogram.distribution(), Some(&exemplar));
            text.into_text()
        };
        let (fast, slow) = (shown(Format::OpenMetrics, 1e-6), shown(Format::OpenMetrics, 60.0));
        assert!(fast.starts_with("# HELP a Things.\n# TYPE a counter\na_total 3\n"), "{fast}");
        let told = "d_bucket{le=\"0.000001024\"} 1 # {trace_id=\"0af7\"} 0.000001 1700000000.250\n";
        assert!(fast.contains(told) && fast.matches("trace_id").count() == 1, "{fast}");
        assert!(slow.contains("d_bucket{le=\"+Inf\"} 2 # {trace_id=\"0af7\"} 60 1700000000.250\n"), "{slow}");
        assert!(fast.ends_with("# EOF\n"));
        let plain = shown(Format::Prometheus, 1e-6);
        assert!(!plain.contains("trace_id") && !plain.contains("EOF"), "{plain}");
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
