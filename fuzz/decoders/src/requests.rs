//! Whole requests, through routes and middleware, to a service that keeps everything in memory: a line with method and target, lines with a
//! field each, an empty line, the body. Whatever hyper makes of a head is behind us here: what it lets through is ours.
//!
//! - Nothing is answered 500, and nothing panics.
//! - Every refusal is a problem of a bounded size.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Method, Request, StatusCode, header};
use http_body_util::BodyExt as _;
use inventory::alerts::Alerts;
use inventory::config::Config;
use inventory::http::routes::Face;
use inventory::http::{self, HttpState};
use inventory::store::local::{Intent, Opening};
use inventory::store::{AnyStore, Keeping, Storage};
use inventory::strategy::StrategyKind;
use inventory::webhooks::Webhooks;
use tokio::runtime::Runtime;
use tower::ServiceExt as _;

use crate::told;

/// What a request may wait for has to come soon.
const REQUEST_TIMEOUT: Duration = Duration::from_millis(100);

/// So many changes are made, and from then on none is sent: what is kept would grow, and lists with it.
const CHANGES_MAX: u32 = 20_000;

/// Not sent: these call others, make files, or take as long as there is stock.
const LEFT_OUT: [&str; 4] = ["/v1/webhooks", "/v1/import", "/v1/verify", "/v1/backup"];

/// A service, and how many changes it has made.
struct Service {
    runtime: Runtime,
    router: Router,
    changes: AtomicU32,
}

/// See the module.
pub fn hold(bytes: &[u8]) {
    static SERVICE: OnceLock<Service> = OnceLock::new();
    let Some(request) = request(bytes) else { return };
    SERVICE.get_or_init(Service::start).answer(request);
}

/// The request that the bytes are, if they are one.
fn request(bytes: &[u8]) -> Option<Request<Body>> {
    let end = bytes.windows(2).position(|two| two == b"\n\n");
    let (head, body) = match end {
        Some(end) => (&bytes[..end], &bytes[end + 2..]),
        None => (bytes, &b""[..]),
    };
    let mut lines = head.split(|&byte| byte == b'\n');
    let line = lines.next()?;
    let space = line.iter().position(|&byte| byte == b' ')?;
    let mut request = Request::builder().method(&line[..space]).uri(&line[space + 1..]);
    for field in lines {
        let colon = field.iter().position(|&byte| byte == b':')?;
        request = request.header(&field[..colon], field[colon + 1..].trim_ascii());
    }
    let request = request.body(Body::from(body.to_vec())).ok()?;
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    let is_left_out = !is_read && LEFT_OUT.iter().any(|path| request.uri().path().starts_with(path));
    (!is_left_out).then_some(request)
}

impl Service {
    fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.expect("a runtime can be had");
        let router = runtime.block_on(open());
        Self { runtime, router, changes: AtomicU32::new(0) }
    }

    fn answer(&self, request: Request<Body>) {
        let is_change = !request.method().is_safe();
        if is_change && self.changes.load(Ordering::Relaxed) > CHANGES_MAX {
            return;
        }
        let has_body = request.method() != Method::HEAD;
        let (head, body) = self.runtime.block_on(async {
            let Ok(response) = self.router.clone().oneshot(request).await;
            let (head, body) = response.into_parts();
            // What goes on for as long as somebody watches is not waited for.
            let is_error = head.status.is_client_error() || head.status.is_server_error();
            let body = if is_error { body.collect().await.ok() } else { None };
            (head, body.map(http_body_util::Collected::to_bytes))
        });
        assert_ne!(head.status, StatusCode::INTERNAL_SERVER_ERROR, "{body:?}");
        if is_change && head.status.is_success() {
            self.changes.fetch_add(1, Ordering::Relaxed);
        }
        if let Some(body) = body.filter(|_| has_body) {
            let kind = head.headers.get(header::CONTENT_TYPE).map(axum::http::HeaderValue::as_bytes);
            assert_eq!(kind, Some(&b"application/problem+json"[..]), "{}: {body:?}", head.status);
            told::json(&body);
        }
    }
}

/// Builds the service as `app` does, without a way in. It lives as long as the process.
async fn open() -> Router {
    let kind = StrategyKind::Mutex;
    let keeping = Keeping { retain_bytes: Some(1024 * 1024), ..Keeping::default() };
    let mut config = Config { storage: Storage::Memory(keeping), ..Config::new(kind) };
    config.http.request_timeout = REQUEST_TIMEOUT;
    let opening = Opening::begin(kind, config.strategy, &config.storage, Intent::Serve);
    let local = opening.expect("memory is there").open().await.expect("there is nothing in it");
    let store: &'static AnyStore = Box::leak(Box::new(AnyStore::Local(local)));
    let alerts: &'static Alerts = Box::leak(Box::new(Alerts::load(store).await.expect("there are none")));
    let webhooks = Webhooks::open(store, alerts, config.webhooks.clone()).await.expect("there are none");
    let state: &'static HttpState = Box::leak(Box::new(HttpState::new(kind, &config.http)));
    state.open(store, alerts, webhooks);
    http::router(state, &config.http, Face::All, false)
}
