//! Counts and times each request by route, method and status, and logs answers of 5xx.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use axum::extract::{MatchedPath, Request};
use axum::response::Response;
use pin_project_lite::pin_project;
use tower::{Layer, Service};

use super::request_id::REQUEST_ID;
use crate::http::metrics::{Endpoint, HttpMetrics};

/// Counts requests into `metrics`.
#[derive(Debug, Clone, Copy)]
pub struct ObserveLayer {
    metrics: &'static HttpMetrics,
}

/// See [`ObserveLayer`].
#[derive(Debug, Clone)]
pub struct Observe<S> {
    inner: S,
    metrics: &'static HttpMetrics,
}

impl ObserveLayer {
    /// Counts into `metrics`.
    pub fn new(metrics: &'static HttpMetrics) -> Self {
        Self { metrics }
    }
}

impl<S> Layer<S> for ObserveLayer {
    type Service = Observe<S>;

    fn layer(&self, inner: S) -> Observe<S> {
        Observe { inner, metrics: self.metrics }
    }
}

impl<S: Service<Request, Response = Response>> Service<Request> for Observe<S> {
    type Response = Response;
    type Error = S::Error;
    type Future = Observed<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let route = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
        let endpoint = self.metrics.endpoint(request.method(), route);
        let started = Started::new(self.metrics, endpoint);
        Observed { inner: self.inner.call(request), started }
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
    metrics: &'static HttpMetrics,
    endpoint: Endpoint,
    at: Instant,
}

impl Started {
    fn new(metrics: &'static HttpMetrics, endpoint: Endpoint) -> Self {
        metrics.entered();
        Self { metrics, endpoint, at: Instant::now() }
    }

    fn answered(&self, response: &Response) {
        let duration = self.at.elapsed();
        self.metrics.answered(self.endpoint, response.status(), duration);
        if response.status().is_server_error() {
            let request_id = response.headers().get(REQUEST_ID).and_then(|id| id.to_str().ok());
            tracing::warn!(
                route = self.endpoint.route(),
                status = response.status().as_u16(),
                duration_ms = duration.as_secs_f64() * 1e3,
                request_id,
                "request failed"
            );
        }
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        self.metrics.left();
    }
}
