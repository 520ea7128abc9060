//! What is counted, in the Prometheus text format, version 0.0.4, and in that of `OpenMetrics` 1.0, which has exemplars.
//!
//! Written by hand because the counters are: the client libraries show only counters of their own, which every
//! core writes. The formats are `# HELP`, `# TYPE` and a line per sample
//! (<https://prometheus.io/docs/instrumenting/exposition_formats/>, <https://prometheus.io/docs/specs/om/open_metrics_spec/>).

use std::fmt::{Display, Write as _};

use super::exposition::{Buckets, Exemplar, Exposition, Family, Kind, Sample, Value};

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

impl Exposition {
    /// All of it, as text.
    pub fn to_text(&self, format: Format) -> String {
        let mut writer = Writer { text: String::new(), format };
        self.families().iter().for_each(|family| writer.family(family));
        if format == Format::OpenMetrics {
            writer.text.push_str("# EOF\n");
        }
        writer.text
    }
}

/// A text under construction.
struct Writer {
    text: String,
    format: Format,
}

impl Writer {
    fn family(&mut self, family: &Family) {
        let Family { name, help, kind, samples } = family;
        let is_named_without = self.format == Format::OpenMetrics && *kind == Kind::Counter;
        let shown = name.strip_suffix("_total").filter(|_| is_named_without).unwrap_or(name);
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        self.push(format_args!("# HELP {shown} {help}\n# TYPE {shown} {kind}\n"));
        for Sample { labels, value } in samples {
            match value {
                Value::Number(number) => self.line(name, "", labels, number),
                Value::Buckets(buckets) => self.buckets(name, labels, buckets),
            }
        }
    }

    fn buckets(&mut self, name: &str, labels: &[(String, String)], buckets: &Buckets) {
        let mut exemplar = buckets.exemplar.as_ref().filter(|_| self.format == Format::OpenMetrics);
        let mut cumulative = 0;
        for (bound, count) in buckets.bounds.iter().copied().chain([f64::INFINITY]).zip(&buckets.counts) {
            cumulative += count;
            let shown = if bound.is_finite() { bound.to_string() } else { "+Inf".to_owned() };
            self.start(name, "_bucket", labels, Some(&shown));
            self.push(cumulative);
            if let Some(Exemplar { trace, seconds, at }) = exemplar.take_if(|it| it.seconds <= bound) {
                self.push(format_args!(" # {{trace_id=\"{trace:032x}\"}} {seconds} {at:.3}"));
            }
            self.text.push('\n');
        }
        self.line(name, "_sum", labels, buckets.sum);
        self.line(name, "_count", labels, cumulative);
    }

    fn line(&mut self, name: &str, suffix: &str, labels: &[(String, String)], value: impl Display) {
        self.start(name, suffix, labels, None);
        self.push(value);
        self.text.push('\n');
    }

    /// All of a line that stands before its value.
    fn start(&mut self, name: &str, suffix: &str, labels: &[(String, String)], bound: Option<&str>) {
        self.text.push_str(name);
        self.text.push_str(suffix);
        let labels = labels.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let mut separator = '{';
        for (name, value) in labels.chain(bound.map(|bound| ("le", bound))) {
            let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            self.push(format_args!("{separator}{name}=\"{value}\""));
            separator = ',';
        }
        self.text.push_str(if separator == ',' { "} " } else { " " });
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
        text.sample("a_total", &[], 3_u64);
        text.sample("a_total", &[("x", "1\"\\\n"), ("y", "2")], 4_u64);
        let expected = "# HELP a_total Things.\n# TYPE a_total counter\na_total 3\n\
                        a_total{x=\"1\\\"\\\\\\n\",y=\"2\"} 4\n";
        assert_eq!(text.to_text(Format::Prometheus), expected);
    }

    /// A family of counters is named without `_total`, an exemplar stands in its bucket alone, and the end shows that it is the end.
    #[test]
    fn open_metrics_have_exemplars_and_an_end() {
        let histogram = Histogram::default();
        histogram.observe(Duration::from_micros(1));
        histogram.observe(Duration::from_mins(1));
        let shown = |format, seconds| {
            let mut text = Exposition::default();
            text.counter("a_total", "Things.");
            text.sample("a_total", &[], 3_u64);
            let exemplar = Exemplar { trace: 0xaf7, seconds, at: 1_700_000_000.25 };
            text.histogram("d", "Times.");
            text.distribution_with("d", &[], &histogram.distribution(), Some(exemplar));
            text.to_text(format)
        };
        let (fast, slow) = (shown(Format::OpenMetrics, 1e-6), shown(Format::OpenMetrics, 60.0));
        assert!(fast.starts_with("# HELP a Things.\n# TYPE a counter\na_total 3\n"), "{fast}");
        let trace = format!("{:0>32}", "af7");
        let told =
            format!("d_bucket{{le=\"0.000001024\"}} 1 # {{trace_id=\"{trace}\"}} 0.000001 1700000000.250\n");
        assert!(fast.contains(&told) && fast.matches("trace_id").count() == 1, "{fast}");
        let told = format!("d_bucket{{le=\"+Inf\"}} 2 # {{trace_id=\"{trace}\"}} 60 1700000000.250\n");
        assert!(slow.contains(&told), "{slow}");
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
        text.histogram("d", "Times.");
        text.distribution("d", &[("r", "x")], &histogram.distribution());
        let text = text.to_text(Format::Prometheus);
        assert!(text.contains("histogram\nd_bucket{r=\"x\",le=\"0.000000256\"} 1\n"), "{text}");
        assert!(text.contains("d_bucket{r=\"x\",le=\"+Inf\"} 2\n"));
        assert!(text.ends_with("d_sum{r=\"x\"} 1.000000001\nd_count{r=\"x\"} 2\n"), "{text}");
    }
}
