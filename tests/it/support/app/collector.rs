//! [`Collector`]: an OpenTelemetry collector as far as a client of it can tell: a real HTTP server that reads what it is sent with the project's own messages.

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::metrics::v1::Metric;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;

use super::receiver::{Delivery, Receiver, Reply};

/// A server that takes spans and metrics. Ends when dropped.
pub(crate) struct Collector {
    receiver: Receiver,
    /// What `OTEL_EXPORTER_OTLP_ENDPOINT` is to be.
    pub(crate) url: String,
}

impl Collector {
    pub(crate) async fn start() -> Self {
        let receiver = Receiver::start().await;
        let url = receiver.url.trim_end_matches("/hooks?a=1").to_owned();
        Self { receiver, url }
    }

    /// The next messages are answered so, one after the other; others are taken.
    pub(crate) fn answer(&self, replies: impl IntoIterator<Item = Reply>) {
        self.receiver.answer(replies);
    }

    /// The next message.
    pub(crate) async fn next(&mut self) -> Delivery {
        let delivery = self.receiver.next().await;
        assert_eq!(delivery.header("content-type"), "application/x-protobuf");
        delivery
    }

    /// The spans of the next message.
    pub(crate) async fn spans(&mut self) -> Vec<Span> {
        spans(&self.next().await)
    }

    /// The metrics of the next message.
    pub(crate) async fn metrics(&mut self) -> Vec<Metric> {
        let delivery = self.next().await;
        assert_eq!(delivery.target, "/v1/metrics");
        let message = ExportMetricsServiceRequest::decode(&*delivery.body).expect("metrics");
        let scopes = message.resource_metrics.into_iter().flat_map(|resource| resource.scope_metrics);
        scopes.flat_map(|scope| scope.metrics).collect()
    }

    /// Nothing has come that was not taken.
    pub(crate) fn assert_quiet(&mut self) {
        self.receiver.assert_quiet();
    }
}

/// The spans of a message.
pub(crate) fn spans(delivery: &Delivery) -> Vec<Span> {
    let scopes = message(delivery).resource_spans.into_iter().flat_map(|resource| resource.scope_spans);
    scopes.flat_map(|scope| scope.spans).collect()
}

/// Who sent it: what is known of the service.
pub(crate) fn resource(delivery: &Delivery) -> Vec<(String, String)> {
    let resource = message(delivery).resource_spans[0].resource.clone().expect("a resource");
    words(&resource.attributes)
}

fn message(delivery: &Delivery) -> ExportTraceServiceRequest {
    assert_eq!(delivery.target, "/v1/traces");
    ExportTraceServiceRequest::decode(&*delivery.body).expect("spans")
}

/// Attributes as words, in order of their names.
pub(crate) fn words(attributes: &[KeyValue]) -> Vec<(String, String)> {
    let mut words: Vec<_> =
        attributes.iter().map(|pair| (pair.key.clone(), word(pair.value.as_ref()))).collect();
    words.sort();
    words
}

fn word(value: Option<&opentelemetry_proto::tonic::common::v1::AnyValue>) -> String {
    match value.and_then(|value| value.value.as_ref()).expect("a value") {
        Value::StringValue(text) => text.clone(),
        Value::IntValue(number) => number.to_string(),
        Value::ArrayValue(array) => {
            let words: Vec<_> = array.values.iter().map(|value| word(Some(value))).collect();
            format!("{words:?}")
        }
        other => panic!("{other:?}"),
    }
}
