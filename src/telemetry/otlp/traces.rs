//! Spans, as a message.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{ArrayValue, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{self as wire, ResourceSpans, ScopeSpans, Status};
use prost::Message as _;

use super::resource::{SCHEMA_URL, any, pair, scope, text};
use crate::telemetry::spans::{Attribute, Span};

/// Bits of `flags`: it was sampled (W3C Trace Context), it is known whether the parent is another service's, and it is.
const SAMPLED: u32 = 0x01;
const PARENT_IS_KNOWN: u32 = 0x100;
const PARENT_IS_REMOTE: u32 = 0x200;

/// Those spans.
pub(super) fn message(resource: &Resource, spans: Vec<Span>) -> Bytes {
    let spans = spans.into_iter().map(span).collect();
    let scope_spans = vec![ScopeSpans { scope: Some(scope()), spans, schema_url: SCHEMA_URL.to_owned() }];
    let resource = Some(resource.clone());
    let resource_spans = vec![ResourceSpans { resource, scope_spans, schema_url: SCHEMA_URL.to_owned() }];
    ExportTraceServiceRequest { resource_spans }.encode_to_vec().into()
}

/// How many of those that were sent the collector did not want, and why.
pub(super) fn rejected(answer: &[u8]) -> Option<(usize, String)> {
    let partial = ExportTraceServiceResponse::decode(answer).ok()?.partial_success?;
    let count = usize::try_from(partial.rejected_spans).ok()?;
    (count > 0).then_some((count, partial.error_message))
}

fn span(span: Span) -> wire::Span {
    let Span { ids, trace_state, name, began, duration, attributes, is_failed } = span;
    let start_time_unix_nano = unix_nano(began);
    let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
    let remote = if ids.parent.is_some() { PARENT_IS_REMOTE } else { 0 };
    wire::Span {
        trace_id: ids.trace.to_be_bytes().to_vec(),
        span_id: ids.span.to_be_bytes().to_vec(),
        parent_span_id: ids.parent.map(|parent| parent.to_be_bytes().to_vec()).unwrap_or_default(),
        trace_state,
        flags: SAMPLED | PARENT_IS_KNOWN | remote,
        name,
        kind: SpanKind::Server.into(),
        start_time_unix_nano,
        end_time_unix_nano: start_time_unix_nano.saturating_add(nanos),
        attributes: attributes.into_iter().map(attribute).collect(),
        // Of what was refused the client is to blame: no status, as the conventions have it.
        status: is_failed.then(|| Status { code: StatusCode::Error.into(), ..Status::default() }),
        ..wire::Span::default()
    }
}

fn attribute((name, value): (&'static str, Attribute)) -> KeyValue {
    let value = match value {
        Attribute::Text(word) => text(&word),
        Attribute::OneOf(word) => Value::ArrayValue(ArrayValue { values: vec![any(text(&word))] }),
        Attribute::Number(number) => Value::IntValue(number),
    };
    pair(name, value)
}

/// Nanoseconds since 1970: until the year 2554.
pub(super) fn unix_nano(at: SystemTime) -> u64 {
    let since: Duration = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}
