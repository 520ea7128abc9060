//! The access log: a line for each request that was answered, as far as lines do not cost more than requests.
//!
//! An answer of 5xx is always told, as a warning. Of the others a few a second are, of those that were refused (4xx) as many as of those
//! that were not, so that neither crowds out the other; what is left out is counted. A line names the route and whose key was shown, never a sku, a
//! location or the key, and nothing is allocated for a line that is not written.

use std::time::{Duration, Instant};

use axum::http::HeaderMap;
use axum::response::Response;

use super::metrics::Endpoint;
use super::middleware::REQUEST_ID;
use super::trace_context::TraceId;
use crate::telemetry::{Exposition, Sampler};

/// Tells of requests, as a target of the log: `inventory::access`.
#[derive(Debug)]
pub struct AccessLog(Option<Sampled>);

#[derive(Debug)]
struct Sampled {
    /// Answers below 400.
    fine: Sampler,
    refused: Sampler,
}

/// A request that was answered.
#[derive(Debug, Clone, Copy)]
pub struct Answered<'a> {
    /// What was asked.
    pub endpoint: Endpoint,
    /// When its head had been read.
    pub at: Instant,
    /// How long it took from there to the head of the answer.
    pub duration: Duration,
    /// What the client calls the whole that this request is a part of.
    pub trace_id: Option<TraceId>,
    /// The name of the key, or of the subject of the token, that was shown, if one is asked for; also of one that was good for less.
    pub principal: Option<&'a str>,
    /// The answer.
    pub response: &'a Response,
}

impl AccessLog {
    /// At most so many lines a second of answers below 400, and of those of 4xx; of none of both if `None`.
    pub fn new(lines_per_second_max: Option<u32>) -> Self {
        let sampled = |lines| Sampled { fine: Sampler::new(lines), refused: Sampler::new(lines) };
        Self(lines_per_second_max.map(sampled))
    }

    /// Tells of a request, if it is one to be told of.
    pub fn answered(&self, answered: Answered<'_>) {
        let status = answered.response.status();
        if status.is_server_error() {
            return answered.warn();
        }
        let Some(Sampled { fine, refused }) = &self.0 else { return };
        let sampler = if status.is_client_error() { refused } else { fine };
        if sampler.takes(answered.at + answered.duration) {
            answered.tell();
        }
    }

    /// Shows how many lines were left out.
    pub fn expose(&self, text: &mut Exposition) {
        let left_out =
            self.0.as_ref().map_or(0, |sampled| sampled.fine.left_out() + sampled.refused.left_out());
        text.counter(
            "inventory_access_log_lines_left_out_total",
            "Requests that the access log has no line of, since it had enough of that second.",
        );
        text.sample("inventory_access_log_lines_left_out_total", &[], left_out);
    }
}

/// A line of the access log at that level.
macro_rules! line {
    ($level:ident, $answered:expr, $message:literal) => {{
        let Answered { endpoint, duration, trace_id, principal, response, .. } = $answered;
        tracing::$level!(
            target: "inventory::access",
            method = endpoint.method(),
            route = endpoint.route(),
            status = response.status().as_u16(),
            duration_ms = duration.as_secs_f64() * 1e3,
            request_id = request_id(response.headers()),
            trace_id = trace_id.map(tracing::field::display),
            principal,
            $message
        );
    }};
}

impl Answered<'_> {
    // Out of the way of what is left out.
    #[cold]
    fn tell(self) {
        line!(info, self, "request");
    }

    #[cold]
    fn warn(self) {
        line!(warn, self, "request failed");
    }
}

fn request_id(headers: &HeaderMap) -> Option<&str> {
    headers.get(REQUEST_ID).and_then(|id| id.to_str().ok())
}
