//! Counts and times each request by route, method and status, tells the access log of it, and records it as a span if it is one of those that are.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use axum::extract::{MatchedPath, Request};
use axum::response::Response;
use pin_project_lite::pin_project;
use smol_str::SmolStr;
use tower::{Layer, Service};

use super::access;
use crate::http::access_log::{AccessLog, Answered};
use crate::http::metrics::{Endpoint, HttpMetrics};
use crate::http::span::ServerSpan;
use crate::http::trace_context::{TraceContext, TraceId};
use crate::telemetry::spans::Tracer;

/// Counts requests into `metrics`, tells `access_log` of them, and records some with `tracer`, if there is one.
#[derive(Debug, Clone, Copy)]
pub struct ObserveLayer {
    metrics: &'static HttpMetrics,
    access_log: &'static AccessLog,
    tracer: Option<&'static Tracer>,
    /// Whether those who come in here use TLS.
    is_secured: bool,
}

/// See [`ObserveLayer`].
#[derive(Debug, Clone)]
pub struct Observe<S> {
    inner: S,
    layer: ObserveLayer,
}

impl ObserveLayer {
    /// Counts into `metrics`, and tells `access_log`.
    pub fn new(metrics: &'static HttpMetrics, access_log: &'static AccessLog) -> Self {
        Self { metrics, access_log, tracer: None, is_secured: false }
    }

    /// Records some of the requests as well, of clients who use TLS, or do not.
    #[must_use]
    pub fn traced_by(self, tracer: Option<&'static Tracer>, is_secured: bool) -> Self {
        Self { tracer, is_secured, ..self }
    }
}

impl<S> Layer<S> for ObserveLayer {
    type Service = Observe<S>;

    fn layer(&self, inner: S) -> Observe<S> {
        Observe { inner, layer: *self }
    }
}

impl<S: Service<Request, Response = Response>> Service<Request> for Observe<S> {
    type Response = Response;
    type Error = S::Error;
    type Future = Observed<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    #[inline]
    fn call(&mut self, request: Request) -> Self::Future {
        let route = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
        let endpoint = self.layer.metrics.endpoint(request.method(), route);
        let context = TraceContext::of(request.headers());
        let span = self
            .layer
            .tracer
            .and_then(|tracer| ServerSpan::begin(tracer, &request, endpoint, context, self.layer.is_secured));
        let trace_id = match &span {
            Some(span) => Some(span.trace()),
            None => context.map(|context| context.trace),
        };
        let mut started = Started::new(self.layer, endpoint, trace_id, span);
        // Whatever a call before left is of nobody here.
        let _left = access::asked_by();
        let inner = self.inner.call(request);
        // Of this request: it was handed on within that call, or not at all.
        started.principal = access::asked_by();
        Observed { inner, started }
    }
}

pin_project! {
    /// Counts the answer when it is there; a request whose client went away before is no longer in flight, but
    /// has no status to be counted under.
    pub struct Observed<F> {
        #[pin]
        inner: F,
        started: Started,
    }
}

impl<F: Future<Output = Result<Response, E>>, E> Future for Observed<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let answer = ready!(this.inner.poll(cx));
        if let Ok(response) = &answer {
            this.started.answered(response);
        }
        Poll::Ready(answer)
    }
}

/// A request in flight.
#[derive(Debug)]
struct Started {
    layer: ObserveLayer,
    endpoint: Endpoint,
    at: Instant,
    trace_id: Option<TraceId>,
    principal: Option<SmolStr>,
    /// If it is recorded, until it is over.
    span: Option<Box<ServerSpan>>,
}

impl Started {
    fn new(
        layer: ObserveLayer,
        endpoint: Endpoint,
        trace_id: Option<TraceId>,
        span: Option<Box<ServerSpan>>,
    ) -> Self {
        layer.metrics.entered();
        Self { layer, endpoint, at: Instant::now(), trace_id, principal: None, span }
    }

    fn answered(&mut self, response: &Response) {
        let span = self.span.take();
        let Self { layer, endpoint, at, trace_id, ref principal, .. } = *self;
        let ObserveLayer { metrics, access_log, .. } = layer;
        let duration = at.elapsed();
        metrics.answered(endpoint, response.status(), duration, trace_id);
        let principal = principal.as_deref();
        access_log.answered(Answered { endpoint, at, duration, trace_id, principal, response });
        if let Some(span) = span {
            span.end(Some(response), duration);
        }
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        self.layer.metrics.left();
        if let Some(span) = self.span.take() {
            span.end(None, self.at.elapsed());
        }
    }
}
