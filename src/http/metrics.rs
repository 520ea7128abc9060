//! What is counted of requests, and how everything that is counted is shown at `/metrics`.

use std::collections::HashMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::http::{Method, StatusCode};
use parking_lot::Mutex;

use super::HttpState;
use super::rate_limit::RateLimit;
use super::trace_context::TraceId;
use crate::store::Store as _;
use crate::telemetry::exposition::Exemplar;
use crate::telemetry::{Exposition, Histogram, Striped, log, process};

/// The routes that are told apart, as the router and the document spell them. Anything else is counted as the
/// first.
pub const ROUTES: [&str; 41] = [
    "none",
    "/",
    "/v1/stock",
    "/v1/stock/{sku}",
    "/v1/stock/{sku}/adjust",
    "/v1/stock/query",
    "/v1/adjustments",
    "/v1/transfers",
    "/v1/reservations",
    "/v1/reservations/{id}",
    "/v1/reservations/{id}/commit",
    "/v1/reservations/{id}/release",
    "/v1/reservations/{id}/extend",
    "/v1/orders",
    "/v1/orders/{id}",
    "/v1/orders/{id}/returns",
    "/v1/movements",
    "/v1/events",
    "/v1/alerts",
    "/v1/alerts/{sku}",
    "/v1/webhooks",
    "/v1/webhooks/{id}",
    "/v1/webhooks/{id}/ping",
    "/v1/webhooks/{id}/secret",
    "/v1/webhooks/{id}/enable",
    "/v1/export",
    "/v1/import",
    "/v1/backup",
    "/v1/backups",
    "/v1/backups/{name}",
    "/v1/verify",
    "/v1/status",
    "/livez",
    "/readyz",
    "/metrics",
    "/openapi.yaml",
    "/openapi.json",
    "/docs",
    "/docs/{file}",
    "/problems/{name}",
    "/schemas/{event}",
];

const METHODS: [&str; 8] = ["GET", "PUT", "POST", "DELETE", "HEAD", "QUERY", "OPTIONS", "other"];

/// Every status the service answers with; any other is counted as the last.
const STATUSES: [u16; 24] = [
    200, 201, 202, 204, 302, 303, 304, 400, 401, 403, 404, 405, 408, 409, 410, 412, 413, 415, 422, 428, 429,
    500, 503, 0,
];

const REQUESTS: usize = ROUTES.len() * METHODS.len() * STATUSES.len();

/// Counts of requests. Raised per thread, so that counting is not what requests wait for.
#[derive(Debug)]
pub struct HttpMetrics {
    requests: Striped<REQUESTS>,
    durations: Box<[Timed]>,
    /// Entered and left, whose difference is in flight.
    flight: Striped<2>,
    route_index: HashMap<&'static str, usize, ahash::RandomState>,
}

/// How long the requests of an endpoint took.
#[derive(Debug, Default)]
struct Timed {
    histogram: Histogram,
    /// The last of them that a trace shows.
    exemplar: Mutex<Option<Traced>>,
}

#[derive(Debug, Clone, Copy)]
struct Traced {
    trace: TraceId,
    duration: Duration,
    at: SystemTime,
}

/// A route and a method: what requests are counted by before their status is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Endpoint {
    route: usize,
    method: usize,
}

impl Endpoint {
    /// The route, as the router spells it.
    pub fn route(self) -> &'static str {
        ROUTES[self.route]
    }

    /// The method, if it is one of those that are told apart; else `other`.
    pub fn method(self) -> &'static str {
        METHODS[self.method]
    }

    /// The route, if it is one.
    pub fn known_route(self) -> Option<&'static str> {
        (self.route > 0).then(|| self.route())
    }

    /// Whether the method is one of those that are told apart.
    pub fn is_known_method(self) -> bool {
        self.method < METHODS.len() - 1
    }
}

impl HttpMetrics {
    /// Where a request is counted.
    pub fn endpoint(&self, method: &Method, route: Option<&str>) -> Endpoint {
        let route = route.and_then(|route| self.route_index.get(route)).copied().unwrap_or(0);
        let method = METHODS.iter().position(|known| *known == method.as_str()).unwrap_or(METHODS.len() - 1);
        Endpoint { route, method }
    }

    /// A request came in.
    pub fn entered(&self) {
        self.flight.add(0, 1);
    }

    /// A request is over, answered or not.
    pub fn left(&self) {
        self.flight.add(1, 1);
    }

    /// A request was answered, as a part of that trace.
    pub fn answered(
        &self,
        endpoint: Endpoint,
        status: StatusCode,
        duration: Duration,
        trace: Option<TraceId>,
    ) {
        let known = STATUSES.iter().position(|&known| known == status.as_u16());
        let status = known.unwrap_or(STATUSES.len() - 1);
        let endpoint = endpoint.route * METHODS.len() + endpoint.method;
        self.requests.add(endpoint * STATUSES.len() + status, 1);
        let timed = &self.durations[endpoint];
        timed.histogram.observe(duration);
        if let Some(trace) = trace.filter(TraceId::is_sampled) {
            timed.show(trace, duration);
        }
    }

    fn in_flight(&self) -> u64 {
        // Left first: a request counted as left was counted as entered before, so the difference is not negative.
        let left = self.flight.sum(1);
        self.flight.sum(0).saturating_sub(left)
    }
}

impl Default for HttpMetrics {
    fn default() -> Self {
        Self {
            requests: Striped::new(),
            durations: (0..ROUTES.len() * METHODS.len()).map(|_| Timed::default()).collect(),
            flight: Striped::new(),
            route_index: ROUTES.iter().enumerate().map(|(index, route)| (*route, index)).collect(),
        }
    }
}

impl Timed {
    /// Keeps a request as the one that is shown; another, if somebody else does that just now.
    fn show(&self, trace: TraceId, duration: Duration) {
        if let Some(mut shown) = self.exemplar.try_lock() {
            *shown = Some(Traced { trace, duration, at: SystemTime::now() });
        }
    }

    fn exemplar(&self) -> Option<Exemplar> {
        let Traced { trace, duration, at } = (*self.exemplar.lock())?;
        let at = at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        Some(Exemplar { trace: trace.id(), seconds: duration.as_secs_f64(), at })
    }
}

/// Everything that is counted. What it shows may be ahead of what is durable.
pub fn gathered(state: &HttpState) -> Exposition {
    let mut text = Exposition::default();
    text.gauge("inventory_build_info", "Always 1; the labels say what runs.");
    let labels = [("version", env!("CARGO_PKG_VERSION")), ("strategy", state.strategy.name())];
    text.sample("inventory_build_info", &labels, 1_u64);
    text.gauge("inventory_uptime_seconds", "Seconds since the service started.");
    text.sample("inventory_uptime_seconds", &[], state.started.elapsed().as_secs_f64());
    text.counter(
        "inventory_log_lines_lost_total",
        "Lines of the log that could not be written: standard error was full, or nobody read it.",
    );
    text.sample("inventory_log_lines_lost_total", &[], log::lines_lost());
    state.access_log.expose(&mut text);
    if let Some(tracer) = state.tracer {
        tracer.expose(&mut text);
    }
    process::expose(&mut text);
    requests(&mut text, &state.metrics);
    state.connections.expose(&mut text);
    text.gauge("inventory_body_memory_bytes", "Memory that bodies of requests take, of --max-body-memory.");
    text.sample("inventory_body_memory_bytes", &[], state.bodies.taken());
    state.admission.expose(&mut text);
    RateLimit::expose(state.rate_limit.as_ref(), &mut text);
    state.exports.expose(&mut text);
    state.feed.expose(&mut text);
    if let Ok(store) = state.store() {
        store.expose(&mut text);
        if let Ok(webhooks) = state.webhooks() {
            webhooks.expose(&mut text);
        }
        if let Some(recovery) = state.recovery() {
            text.gauge(
                "inventory_recovery_seconds",
                "How long reading what was on disk took when the service started.",
            );
            text.sample("inventory_recovery_seconds", &[], recovery.as_secs_f64());
        }
    }
    text
}

fn requests(text: &mut Exposition, metrics: &HttpMetrics) {
    text.gauge("http_server_active_requests", "Requests that have come in and are not yet over.");
    text.sample("http_server_active_requests", &[], metrics.in_flight());
    text.counter("inventory_http_requests_total", "Requests answered.");
    for counter in 0..REQUESTS {
        let count = metrics.requests.sum(counter);
        if count == 0 {
            continue;
        }
        let (endpoint, status) = (counter / STATUSES.len(), STATUSES[counter % STATUSES.len()]);
        let (route, method) = (ROUTES[endpoint / METHODS.len()], METHODS[endpoint % METHODS.len()]);
        let status = if status == 0 { "other".to_owned() } else { status.to_string() };
        let labels = [("route", route), ("method", method), ("status", &status)];
        text.sample("inventory_http_requests_total", &labels, count);
    }
    // As OpenTelemetry names it; statuses are told apart by the counter above, which has no buckets to multiply.
    let name = "http_server_request_duration_seconds";
    text.histogram(name, "From the request's head to the answer's.");
    for (endpoint, timed) in metrics.durations.iter().enumerate() {
        let seen = timed.histogram.distribution();
        if seen.count > 0 {
            let (route, method) = (ROUTES[endpoint / METHODS.len()], METHODS[endpoint % METHODS.len()]);
            let labels = [("http_route", route), ("http_request_method", method)];
            text.distribution_with(name, &labels, &seen, timed.exemplar());
        }
    }
}
