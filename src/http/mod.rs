//! The HTTP face: routes, extractors, bodies, problems, and the middleware around them.
//!
//! This is the only part of the service that knows axum. It turns requests into commands and queries for the
//! [store](AnyStore), and what comes of them into bytes, and decides nothing about stock.
//!
//! [`routes`] has the handlers, [`extract`] what they take, [`dto`] what travels, [`problem`] every error,
//! [`stack`] the middleware in order, [`scopes`] what each route needs, [`server`] the connections ([`request_body`] what they know of the request at hand, [`waits_for`] what that waits for), [`admission`] how many are let in, [`rate_limit`] how often one client is, [`feed`] who watches ([`pieces`] a body that others make), [`policy`] what is asked of each change, `lookup` how a field of a head is found, [`metrics`] what is counted, [`access_log`] what is told of each request ([`trace_context`] what it is a part of, [`span`] what is recorded of it), [`perhaps`] what was meant by a path that is none, [`openapi`] the
//! document.

pub mod access_log;
pub mod admission;
pub mod dto;
pub mod extract;
pub mod feed;
mod lookup;
pub mod metrics;
pub mod middleware;
pub mod openapi;
pub mod perhaps;
pub mod pieces;
pub mod policy;
pub mod problem;
pub mod rate_limit;
pub mod request_body;
pub mod routes;
pub mod scopes;
pub mod server;
pub mod span;
pub mod stack;
pub mod trace_context;
pub mod waits_for;

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::Request;
use axum::http::{Method, StatusCode, Uri, header};
use axum::response::IntoResponse as _;
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};

use self::access_log::AccessLog;
use self::admission::exports::Exports;
use self::admission::{Admission, AdmissionConfig};
use self::extract::BodyRoom;
use self::feed::{Feed, FeedConfig};
use self::metrics::HttpMetrics;
use self::middleware::cors::Origins;
use self::openapi::Documents;
use self::perhaps::Known;
use self::policy::Policy;
use self::problem::{Problem, ProblemKind};
use self::rate_limit::{RateLimit, RateLimitConfig};
use self::routes::{Face, stock_query};
use self::server::counts::Connections;
use crate::access::Access;
use crate::alerts::Alerts;
use crate::store::AnyStore;
use crate::strategy::StrategyKind as Strategy;
use crate::telemetry::spans::Tracer;
use crate::webhooks::Webhooks;

/// What every handler sees, for as long as the process lives.
///
/// Handlers get it as `&'static`: the router hands each request a copy of the state, and copying an `Arc` would
/// be a counter in one cache line that every core writes twice per request.
#[derive(Debug)]
pub struct HttpState {
    /// The service, once it has recovered what it had.
    store: OnceLock<&'static AnyStore>,
    /// Which levels are told of when they are low, as the store has it.
    alerts: OnceLock<&'static Alerts>,
    /// Who is told of what happens, once the service has recovered.
    webhooks: OnceLock<&'static Webhooks>,
    opened: Notify,
    recovery: OnceLock<Duration>,
    /// How stock is shared, known before the service has recovered.
    pub strategy: Strategy,
    /// The keys by which clients are known; `None` where nobody needs one.
    pub access: Option<&'static Access>,
    /// The origins whose pages may ask.
    pub origins: Origins,
    /// What is asked of each change.
    pub policy: Policy,
    /// What was counted of requests.
    pub metrics: HttpMetrics,
    /// What is told of requests.
    pub access_log: AccessLog,
    /// Which requests are recorded as spans; `None` where none is.
    pub tracer: Option<&'static Tracer>,
    /// What was counted of connections.
    pub connections: Connections,
    /// How many requests are carried out at once.
    pub admission: Admission,
    /// How often one client may ask; `None` where there is no limit.
    pub rate_limit: Option<RateLimit>,
    /// How many exports there are at once.
    pub exports: Exports,
    /// The memory that bodies take.
    pub bodies: BodyRoom,
    /// Whether to tell a load balancer to send requests here.
    pub readiness: Readiness,
    /// How long a request may wait for what it wants, before it is answered as things are: well within what it may take in all.
    pub wait_max: Duration,
    /// When the service started.
    pub started: Instant,
    /// Who watches the events.
    pub feed: Feed,
    documents: Documents,
    /// What the service waits for before it is open.
    awaited: Mutex<Option<String>>,
}

/// Whether the service takes requests: from the end of start-up to the beginning of shutdown. An event: its end can be waited for.
#[derive(Debug, Default)]
pub struct Readiness(watch::Sender<Takes>);

/// Whether requests are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Takes {
    #[default]
    None,
    All,
    /// All, and yet clients are to go elsewhere.
    Last,
}

/// The bounds of the HTTP face that a user may set.
#[derive(Debug, Clone)]
pub struct HttpConfig {
    /// How long a request may take, its body included.
    pub request_timeout: Duration,
    /// How many requests are carried out at once, and how many wait for that.
    pub admission: AdmissionConfig,
    /// How often one client may ask; as often as it likes if `None`.
    pub rate_limit: Option<RateLimitConfig>,
    /// How many exports there may be at once.
    pub exports_max: usize,
    /// How much memory the bodies of all requests may take together, in bytes, where they come in several pieces.
    pub bodies_bytes_max: usize,
    /// How many lines a second the access log has of answers below 400, and of those of 4xx; of none of both if `None`.
    pub access_log_lines_max: Option<u32>,
    /// The bounds of the event stream.
    pub feed: FeedConfig,
    /// The origins whose pages may ask, from browsers.
    pub origins: Origins,
    /// What is asked of each change.
    pub policy: Policy,
}

impl HttpState {
    /// The state of a service that has just started, and has yet to recover what it had.
    pub fn new(strategy: Strategy, config: &HttpConfig) -> Self {
        Self {
            store: OnceLock::new(),
            alerts: OnceLock::new(),
            webhooks: OnceLock::new(),
            opened: Notify::new(),
            recovery: OnceLock::new(),
            strategy,
            access: None,
            origins: config.origins.clone(),
            policy: config.policy,
            metrics: HttpMetrics::default(),
            access_log: AccessLog::new(config.access_log_lines_max),
            tracer: None,
            connections: Connections::default(),
            admission: Admission::new(config.admission),
            rate_limit: config.rate_limit.map(RateLimit::new),
            exports: Exports::new(config.exports_max),
            bodies: BodyRoom::new(config.bodies_bytes_max),
            readiness: Readiness::default(),
            // What is left is for the body to come, the change to be made, and the answer to leave.
            wait_max: config.request_timeout * 9 / 10,
            started: Instant::now(),
            feed: Feed::new(config.feed.clone()),
            documents: Documents::new(),
            awaited: Mutex::default(),
        }
    }

    /// The same, for clients that have these keys.
    #[must_use]
    pub fn guarded_by(self, access: Option<&'static Access>) -> Self {
        Self { access, ..self }
    }

    /// The same, with some of its requests recorded.
    #[must_use]
    pub fn traced_by(self, tracer: Option<&'static Tracer>) -> Self {
        Self { tracer, ..self }
    }

    /// The service cannot open yet, for that.
    pub fn waits_for(&self, what: &str) {
        *self.awaited.lock() = Some(what.to_owned());
    }

    /// What the service waits for, while it is not open.
    pub fn awaited(&self) -> Option<String> {
        self.awaited.lock().clone().filter(|_| self.store.get().is_none())
    }

    /// The service has recovered: requests are taken from here on.
    pub fn open(&self, store: &'static AnyStore, alerts: &'static Alerts, webhooks: &'static Webhooks) {
        // First, as whoever finds the service finds it too.
        let _first = self.recovery.set(self.started.elapsed());
        let is_first = self.alerts.set(alerts).is_ok()
            && self.webhooks.set(webhooks).is_ok()
            && self.store.set(store).is_ok();
        assert!(is_first, "a service opens once");
        self.readiness.set(true);
        self.opened.notify_waiters();
    }

    /// How long recovery took, once it is over.
    pub fn recovery(&self) -> Option<Duration> {
        self.recovery.get().copied()
    }

    /// Completes when the service has recovered.
    pub async fn opened(&self) {
        let notified = self.opened.notified();
        if self.store.get().is_none() {
            notified.await;
        }
    }

    /// Which levels are told of when they are low; `not-ready` until it has recovered.
    pub fn alerts(&self) -> Result<&'static Alerts, Problem> {
        self.alerts.get().copied().ok_or_else(recovering)
    }

    /// The service; `not-ready` until it has recovered.
    pub fn store(&self) -> Result<&'static AnyStore, Problem> {
        self.store.get().copied().ok_or_else(recovering)
    }

    /// Who is told of what happens; `not-ready` until the service has recovered.
    pub fn webhooks(&self) -> Result<&'static Webhooks, Problem> {
        self.webhooks.get().copied().ok_or_else(recovering)
    }
}

fn recovering() -> Problem {
    Problem::new(ProblemKind::NotReady, "the service is still reading what it has on disk")
}

impl Readiness {
    /// Says whether requests are taken.
    pub fn set(&self, ready: bool) {
        self.0.send_replace(if ready { Takes::All } else { Takes::None });
    }

    /// Requests are still taken, if they were, and none is to be sent here any more.
    pub fn fall(&self) {
        self.0.send_modify(|takes| {
            if *takes == Takes::All {
                *takes = Takes::Last;
            }
        });
    }

    /// Whether requests are to be sent here.
    pub fn get(&self) -> bool {
        *self.0.borrow() == Takes::All
    }

    /// Completes once no requests are taken; at once while none are yet.
    pub async fn lost(&self) {
        let mut takes = self.0.subscribe();
        let _it_lives_as_long_as_this = takes.wait_for(|takes| *takes == Takes::None).await;
    }
}

/// Everything from the request line to the answer, for those who come in by that face, over TLS or not.
pub fn router(state: &'static HttpState, config: &HttpConfig, face: Face, is_secured: bool) -> Router {
    let (routes, document) = routes::of(face);
    let known = Arc::new(Known::of(&document));
    let elsewhere = Arc::clone(&known);
    let routes = routes
        .fallback(async move |method: Method, uri: Uri| {
            // Of the service as a whole that can be asked.
            let options =
                (method == Method::OPTIONS && uri.path() == "*").then(|| known.options("*")).flatten();
            options.unwrap_or_else(|| known.not_found(uri.path()).into_response())
        })
        .method_not_allowed_fallback(async move |request: Request| {
            let (method, path) = (request.method(), request.uri().path());
            // The router has no such method.
            if method.as_str() == stock_query::QUERY && path == stock_query::QUERIED {
                return stock_query::by_method(state, request).await.into_response();
            }
            if *method == Method::OPTIONS {
                return elsewhere.options(path).unwrap_or_else(|| StatusCode::NO_CONTENT.into_response());
            }
            let mut response = elsewhere.not_allowed(method, path).into_response();
            if let Some(allow) = elsewhere.allow(path) {
                response.headers_mut().insert(header::ALLOW, allow);
            }
            response
        })
        .with_state(state);
    stack::around(routes, state, config, is_secured)
}
