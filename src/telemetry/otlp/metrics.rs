//! Everything that is counted, as a message: counters as sums since the start, gauges, histograms with the buckets that they have.
//!
//! From what `/metrics` shows, under the names that it has there. The two that are OpenTelemetry's own, in the spelling of Prometheus, have its spelling
//! here, from which Prometheus makes that again.

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::metrics::v1::{
    self as wire, AggregationTemporality, Gauge, HistogramDataPoint, Metric, NumberDataPoint,
    ResourceMetrics, ScopeMetrics, Sum, exemplar, metric, number_data_point,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message as _;

use super::resource::{SCHEMA_URL, pair, scope, text};
use crate::telemetry::Exposition;
use crate::telemetry::exposition::{Buckets, Exemplar, Family, Kind, Number, Sample, Value};

/// What is spelt otherwise: as Prometheus has it, and as OpenTelemetry has it.
const SPELT: [(&str, &str); 4] = [
    ("http_server_request_duration_seconds", "http.server.request.duration"),
    ("http_server_active_requests", "http.server.active_requests"),
    ("http_route", "http.route"),
    ("http_request_method", "http.request.method"),
];
/// A gauge that is a sum by the conventions: what has come in, less what has gone.
const UP_AND_DOWN: &str = "http_server_active_requests";

/// From when to when something was counted, in nanoseconds since 1970.
#[derive(Debug, Clone, Copy)]
pub(super) struct Period {
    pub(super) from: u64,
    pub(super) to: u64,
}

/// What was gathered.
pub(super) fn message(resource: &Resource, gathered: &Exposition, time: Period) -> Bytes {
    let families = gathered.families().iter().filter(|family| !family.samples.is_empty());
    let metrics = families.map(|family| metric(family, time)).collect();
    let scope_metrics =
        vec![ScopeMetrics { scope: Some(scope()), metrics, schema_url: SCHEMA_URL.to_owned() }];
    let resource = Some(resource.clone());
    let resource_metrics =
        vec![ResourceMetrics { resource, scope_metrics, schema_url: SCHEMA_URL.to_owned() }];
    ExportMetricsServiceRequest { resource_metrics }.encode_to_vec().into()
}

fn metric(family: &Family, time: Period) -> Metric {
    let aggregation_temporality = AggregationTemporality::Cumulative.into();
    let numbers = || family.samples.iter().filter_map(|sample| number_point(sample, time)).collect();
    let data = match family.kind {
        Kind::Counter => {
            let data_points = numbers();
            metric::Data::Sum(Sum { data_points, aggregation_temporality, is_monotonic: true })
        }
        Kind::Gauge if family.name == UP_AND_DOWN => {
            let data_points = numbers();
            metric::Data::Sum(Sum { data_points, aggregation_temporality, is_monotonic: false })
        }
        Kind::Gauge => metric::Data::Gauge(Gauge { data_points: numbers() }),
        Kind::Histogram => {
            let data_points =
                family.samples.iter().filter_map(|sample| histogram_point(sample, time)).collect();
            metric::Data::Histogram(wire::Histogram { data_points, aggregation_temporality })
        }
    };
    Metric {
        name: spelt(&family.name).to_owned(),
        description: family.help.clone(),
        unit: unit(&family.name).to_owned(),
        data: Some(data),
        ..Metric::default()
    }
}

fn spelt(name: &str) -> &str {
    SPELT.iter().find(|(ours, _)| *ours == name).map_or(name, |(_, theirs)| theirs)
}

/// As the name says it (UCUM); of what is counted, none.
fn unit(name: &str) -> &'static str {
    if name == UP_AND_DOWN {
        return "{request}";
    }
    let name = name.strip_suffix("_total").unwrap_or(name);
    match name.rsplit('_').next() {
        Some("seconds") => "s",
        Some("bytes") => "By",
        _ => "",
    }
}

fn number_point(sample: &Sample, time: Period) -> Option<NumberDataPoint> {
    let Value::Number(number) = sample.value else { return None };
    let value = match number {
        // Past 2^63 it would be negative.
        Number::Whole(count) => match i64::try_from(count) {
            Ok(count) => number_data_point::Value::AsInt(count),
            Err(_) => number_data_point::Value::AsDouble(count as f64),
        },
        Number::Real(real) => number_data_point::Value::AsDouble(real),
    };
    Some(NumberDataPoint {
        attributes: attributes(sample),
        start_time_unix_nano: time.from,
        time_unix_nano: time.to,
        value: Some(value),
        ..NumberDataPoint::default()
    })
}

fn histogram_point(sample: &Sample, time: Period) -> Option<HistogramDataPoint> {
    let Value::Buckets(Buckets { bounds, counts, sum, exemplar }) = &sample.value else { return None };
    let sum = match *sum {
        Number::Whole(sum) => sum as f64,
        Number::Real(sum) => sum,
    };
    Some(HistogramDataPoint {
        attributes: attributes(sample),
        start_time_unix_nano: time.from,
        time_unix_nano: time.to,
        count: counts.iter().sum(),
        sum: Some(sum),
        bucket_counts: counts.clone(),
        explicit_bounds: bounds.clone(),
        exemplars: exemplar.iter().map(self::exemplar).collect(),
        ..HistogramDataPoint::default()
    })
}

fn exemplar(exemplar: &Exemplar) -> wire::Exemplar {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a time since 1970")]
    let time_unix_nano = (exemplar.at * 1e9) as u64;
    wire::Exemplar {
        time_unix_nano,
        trace_id: exemplar.trace.to_be_bytes().to_vec(),
        value: Some(exemplar::Value::AsDouble(exemplar.seconds)),
        ..wire::Exemplar::default()
    }
}

fn attributes(sample: &Sample) -> Vec<KeyValue> {
    sample.labels.iter().map(|(name, value)| pair(spelt(name), text(value))).collect()
}
