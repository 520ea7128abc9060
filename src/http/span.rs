//! [`ServerSpan`]: a request as a span of a trace, by the semantic conventions of OpenTelemetry (HTTP, stable:
//! <https://opentelemetry.io/docs/specs/semconv/http/http-spans/>).
//!
//! It is begun when the head has come and ends with the head of the answer, where the request is counted as well. It has the path, and so the names of levels, but
//! never the query, a body, or a key: of the request's fields it has the one that says to whom it was sent, and `tracestate`. What has no bound otherwise is cut off.

use std::borrow::Cow;
use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use axum::extract::Request;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Version, header};
use axum::response::Response;

use super::metrics::Endpoint;
use super::middleware::REQUEST_ID;
use super::server::ClientAddress;
use super::trace_context::{TraceContext, TraceId};
use crate::telemetry::spans::{Attribute, Parent, Span, SpanIds, Tracer};

const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
/// The longest that is passed on (W3C Trace Context asks for this much at least); a longer one is left out, as one may.
const TRACESTATE_BYTES_MAX: usize = 512;
/// The longest path, in bytes: more than any that leads somewhere. With as many spans as may wait this bounds their memory.
const PATH_BYTES_MAX: usize = 512;

/// A request that is recorded.
#[derive(Debug)]
pub struct ServerSpan {
    tracer: &'static Tracer,
    span: Span,
}

impl ServerSpan {
    /// Begins that of a request, if it is to be recorded. Boxed, as few are, and every request has room for it.
    pub fn begin(
        tracer: &'static Tracer,
        request: &Request,
        endpoint: Endpoint,
        context: Option<TraceContext>,
        is_secured: bool,
    ) -> Option<Box<Self>> {
        let parent = context.map(|TraceContext { trace, parent }| Parent {
            trace: trace.id(),
            span: parent,
            is_sampled: trace.is_sampled(),
        });
        tracer.begin(parent).map(|ids| Self::of(tracer, ids, request, endpoint, is_secured))
    }

    // Out of the way of those that are not.
    #[cold]
    fn of(
        tracer: &'static Tracer,
        ids: SpanIds,
        request: &Request,
        endpoint: Endpoint,
        is_secured: bool,
    ) -> Box<Self> {
        let span = Span {
            ids,
            trace_state: ids.parent.map(|_| trace_state(request.headers())).unwrap_or_default(),
            name: name(endpoint),
            began: SystemTime::now(),
            duration: Duration::ZERO,
            attributes: asked(request, endpoint, is_secured),
            is_failed: false,
        };
        Box::new(Self { tracer, span })
    }

    /// The trace that it is a part of.
    pub fn trace(&self) -> TraceId {
        TraceId::recorded(self.span.ids.trace)
    }

    /// It is over: with this answer, or with none, as the client has gone.
    pub fn end(self, answer: Option<&Response>, duration: Duration) {
        let Self { tracer, mut span } = self;
        span.duration = duration;
        if let Some(answer) = answer {
            let status = answer.status();
            span.attributes.extend(answered(status, answer.headers()));
            span.is_failed = status.is_server_error();
        }
        tracer.end(span);
    }
}

/// The method and the route, of which there are few; of what leads nowhere the method alone.
fn name(endpoint: Endpoint) -> String {
    let method = if endpoint.is_known_method() { endpoint.method() } else { "HTTP" };
    match endpoint.known_route() {
        Some(route) => format!("{method} {route}"),
        None => method.to_owned(),
    }
}

fn asked(request: &Request, endpoint: Endpoint, is_secured: bool) -> Vec<(&'static str, Attribute)> {
    let method = if endpoint.is_known_method() { endpoint.method() } else { "_OTHER" };
    let mut attributes = vec![
        ("http.request.method", text(method)),
        ("url.scheme", text(if is_secured { "https" } else { "http" })),
        ("url.path", path(request.uri().path())),
        ("network.protocol.version", text(version(request.version()))),
    ];
    attributes.extend(endpoint.known_route().map(|route| ("http.route", text(route))));
    if let Some(server) = server(request) {
        attributes.push(("server.address", Attribute::Text(server.host().to_owned().into())));
        attributes.extend(server.port_u16().map(|port| ("server.port", Attribute::Number(port.into()))));
    }
    // Of IPv6 no more is known than the network.
    if let Some(ClientAddress(Some(IpAddr::V4(address)))) = request.extensions().get() {
        attributes.push(("client.address", Attribute::Text(address.to_string().into())));
    }
    attributes
}

fn answered(status: StatusCode, headers: &HeaderMap) -> Vec<(&'static str, Attribute)> {
    let mut attributes = vec![("http.response.status_code", Attribute::Number(status.as_u16().into()))];
    if status.is_server_error() {
        attributes.push(("error.type", Attribute::Text(status.as_str().to_owned().into())));
    }
    let request_id = headers.get(REQUEST_ID).and_then(|id| id.to_str().ok());
    let request_id = request_id.map(|id| Attribute::OneOf(id.to_owned()));
    attributes.extend(request_id.map(|id| ("http.response.header.x-request-id", id)));
    attributes
}

fn text(text: &'static str) -> Attribute {
    Attribute::Text(Cow::Borrowed(text))
}

/// A path has ASCII only, so it may be cut anywhere.
fn path(path: &str) -> Attribute {
    let cut = path.get(..PATH_BYTES_MAX).unwrap_or(path);
    Attribute::Text(cut.to_owned().into())
}

fn version(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "1.0",
        Version::HTTP_2 => "2",
        _ => "1.1",
    }
}

/// To whom it was sent, as the client says.
fn server(request: &Request) -> Option<Authority> {
    let host = || request.headers().get(header::HOST)?.to_str().ok()?.parse().ok();
    request.uri().authority().cloned().or_else(host)
}

/// As it came; of several fields, all.
fn trace_state(headers: &HeaderMap) -> String {
    let fields = headers.get_all(TRACESTATE).iter().map(HeaderValue::to_str);
    let state = fields.collect::<Result<Vec<_>, _>>().unwrap_or_default().join(",");
    if state.len() > TRACESTATE_BYTES_MAX { String::new() } else { state }
}
