//! [`TestApp`]: the whole service, in this process, behind a real socket.
//!
//! Every answer that a test gets through it is held against the OpenAPI document ([`contract`]), so each test also tests
//! that what it sees is documented. It never waits for time to pass: see [`TestApp::quiesce`] for how to know that
//! nobody is inside.

pub(crate) mod answer;
pub(crate) mod collector;
pub(crate) mod contract;
pub(crate) mod http2;
pub(crate) mod raw;
pub(crate) mod receiver;
pub(crate) mod watcher;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::http::Method;
use inventory::access::{Access, JwtConfig};
use inventory::app::{App, Ended, Listening};
use inventory::config::Config;
use inventory::http::HttpState;
use inventory::http::admission::{AdmissionConfig, QueueConfig};
use inventory::http::middleware::cors::Origins;
use inventory::http::policy::Policy;
use inventory::http::rate_limit::RateLimitConfig;
use inventory::http::server::Drained;
use inventory::http::server::listen::Listener;
use inventory::store::{Database, Keeping, Orders, Storage};
use inventory::strategy::StrategyKind;
use inventory::webhooks::WebhookConfig;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use self::answer::Answer;
use self::raw::Raw;
use self::watcher::Watcher;

/// How long anything may take before it is given up for dead. No measure of speed.
pub(crate) const WATCHDOG: Duration = Duration::from_secs(30);

/// With it set to `postgres`, services of tests keep their stock in a database: not all of the tests are meant for that, see CONTRIBUTING.md.
const STORE_VARIABLE: &str = "INVENTORY_TEST_STORE";

/// Stock in that database; what servers of tests acknowledge a crash takes back.
pub(crate) fn in_database(url: &str, keeping: Keeping) -> Storage {
    let database = Database { allows_async_commit: true, connections: 6, ..Database::at(url) };
    Storage::Postgres { database, keeping }
}

/// A service that is about to start.
pub(crate) struct Builder {
    config: Config,
    data: Arc<TempDir>,
}

/// A service that runs until it is dropped or told to [drain](TestApp::drain).
pub(crate) struct TestApp {
    pub(crate) address: SocketAddr,
    connections_max: usize,
    client: reqwest::Client,
    stop: Option<oneshot::Sender<()>>,
    server: JoinHandle<Ended>,
    access: Option<&'static Access>,
    /// What its handlers see.
    pub(crate) state: &'static HttpState,
    /// Where its stock is; removed with it.
    data: Arc<TempDir>,
    _database: Option<databases::Database>,
}

/// A request that is about to be sent.
pub(crate) struct Call {
    method: Method,
    path: String,
    request: reqwest::RequestBuilder,
}

impl Builder {
    fn keeping(&mut self) -> &mut Keeping {
        match &mut self.config.storage {
            Storage::Memory(keeping)
            | Storage::Folder { keeping, .. }
            | Storage::Postgres { keeping, .. } => keeping,
        }
    }

    /// Stock in a database, where [`STORE_VARIABLE`] asks for that: another one for each service.
    fn in_database_if_asked(&mut self) -> Option<databases::Database> {
        let has_its_own = matches!(self.config.storage, Storage::Postgres { .. });
        if !has_its_own && std::env::var(STORE_VARIABLE).is_ok_and(|store| store == "postgres") {
            let server = databases::postgres();
            let made = server.database().expect("a database");
            let keeping = self.config.storage.keeping().clone();
            self.config.storage = in_database(&made.url(), keeping);
            return Some(made);
        }
        None
    }

    /// Stock in memory only.
    pub(crate) fn ephemeral(mut self) -> Self {
        self.config.storage = Storage::Memory(self.config.storage.keeping().clone());
        self
    }

    /// With its stock kept otherwise.
    pub(crate) fn with_storage(mut self, storage: Storage) -> Self {
        self.config.storage = storage;
        self
    }

    /// With orders that have their turn otherwise.
    pub(crate) fn with_orders(mut self, orders: Orders) -> Self {
        self.keeping().orders = orders;
        self
    }

    /// With a snapshot whenever the log has grown by so much.
    pub(crate) fn with_snapshot_bytes(mut self, snapshot_bytes: u64) -> Self {
        self.keeping().snapshot_bytes = snapshot_bytes;
        self
    }

    /// With that bound of requests that wait for stock.
    pub(crate) fn with_waiters_max(mut self, waiters_max: usize) -> Self {
        self.keeping().waiters_max = waiters_max;
        self
    }

    /// For clients that have a key of that file.
    pub(crate) fn with_auth_file(mut self, path: PathBuf) -> Self {
        self.config.auth_file = Some(path);
        self
    }

    /// For clients that have a token.
    pub(crate) fn with_tokens(mut self, jwt: JwtConfig) -> Self {
        self.config.jwt = Some(jwt);
        self
    }

    /// Pages of that origin may ask.
    pub(crate) fn with_origin(mut self, origin: &str) -> Self {
        self.config.http.origins = Origins::new(vec![origin.parse().expect("an origin")]);
        self
    }

    /// With changes that need more than they do by themselves.
    pub(crate) fn with_policy(mut self, policy: Policy) -> Self {
        self.config.http.policy = policy;
        self
    }

    pub(crate) fn with_connections_max(mut self, connections: usize) -> Self {
        self.config.server.connections_max = connections;
        self
    }

    pub(crate) fn with_header_timeout(mut self, timeout: Duration) -> Self {
        self.config.server.header_timeout = timeout;
        self
    }

    /// For clients that speak HTTP/2 without asking.
    pub(crate) fn with_http2(mut self) -> Self {
        self.config.server.http2_prior_knowledge = true;
        self
    }

    /// For a proxy that says whose each connection is.
    pub(crate) fn with_proxy_protocol(mut self) -> Self {
        self.config.server.proxy_protocol = true;
        self
    }

    pub(crate) fn with_drain_delay(mut self, delay: Duration) -> Self {
        self.config.server.drain_delay = delay;
        self
    }

    pub(crate) fn with_connections_per_address(mut self, connections: usize) -> Self {
        self.config.server.connections_per_address_max = Some(connections);
        self
    }

    /// With so many places for requests, and so many in line for them for that long.
    pub(crate) fn with_admission(
        mut self,
        in_flight_max: usize,
        capacity: usize,
        failfast: Duration,
    ) -> Self {
        let queue = QueueConfig { capacity, failfast_timeout: failfast };
        self.config.http.admission = AdmissionConfig { in_flight_max, queue };
        self
    }

    pub(crate) fn with_rate_limit(mut self, rate: &str, burst: Option<u32>) -> Self {
        let rate = rate.parse().expect("a rate");
        self.config.http.rate_limit = Some(RateLimitConfig { rate, burst });
        self
    }

    pub(crate) fn with_exports_max(mut self, exports: usize) -> Self {
        self.config.http.exports_max = exports;
        self
    }

    pub(crate) fn with_body_memory(mut self, bytes: usize) -> Self {
        self.config.http.bodies_bytes_max = bytes;
        self
    }

    pub(crate) fn with_idle_timeout(mut self, timeout: Duration) -> Self {
        self.config.server.idle_timeout = timeout;
        self
    }

    pub(crate) fn with_write_timeout(mut self, timeout: Duration) -> Self {
        self.config.server.write_timeout = timeout;
        self
    }

    pub(crate) fn with_event_readers(mut self, readers: usize) -> Self {
        self.config.http.feed.readers_max = readers;
        self
    }

    pub(crate) fn with_event_heartbeat(mut self, heartbeat: Duration) -> Self {
        self.config.http.feed.heartbeat = heartbeat;
        self
    }

    pub(crate) fn with_webhooks(mut self, webhooks: WebhookConfig) -> Self {
        self.config.webhooks = webhooks;
        self
    }

    pub(crate) fn with_linger_bytes(mut self, bytes: u64) -> Self {
        self.config.server.linger.bytes = bytes;
        self
    }

    pub(crate) fn with_linger_time(mut self, time: Duration) -> Self {
        self.config.server.linger.time = time;
        self
    }

    pub(crate) fn with_linger_pause(mut self, time: Duration) -> Self {
        self.config.server.linger.pause = time;
        self
    }

    pub(crate) fn with_request_timeout(mut self, timeout: Duration) -> Self {
        self.config.http.request_timeout = timeout;
        self
    }

    pub(crate) fn with_shutdown_grace(mut self, grace: Duration) -> Self {
        self.config.server.shutdown_grace = grace;
        self
    }

    /// Starts it on a free port.
    pub(crate) async fn start(mut self) -> TestApp {
        let database = self.in_database_if_asked();
        let connections_max = self.config.server.connections_max;
        let app = App::build(self.config).expect("a data directory of its own");
        let (opened, access, state) = (app.opened(), app.access(), app.state());
        let (stop, stopped) = oneshot::channel();
        // As `serve` listens, bounds of its sockets and all.
        let listener = Listener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.url(false)["http://".len()..].parse().expect("an address");
        // A handle that is dropped stops the service, too.
        let server = tokio::spawn(app.serve(Listening::at(listener), async move { drop(stopped.await) }));
        tokio::time::timeout(WATCHDOG, opened).await.expect("the service opens");
        let (stop, client) = (Some(stop), client());
        TestApp {
            address,
            connections_max,
            client,
            stop,
            server,
            access,
            state,
            data: self.data,
            _database: database,
        }
    }
}

impl TestApp {
    /// With that strategy and limits of time that no test comes near, unless it makes one short to see it reached.
    pub(crate) fn with(kind: StrategyKind) -> Builder {
        Self::over(kind, Arc::new(TempDir::new().expect("a temporary folder")))
    }

    /// With that strategy, over stock that another service left.
    pub(crate) fn over(kind: StrategyKind, data: Arc<TempDir>) -> Builder {
        let storage = Storage::Folder { path: data.path().to_owned(), keeping: Keeping::default() };
        let mut config = Config { storage, ..Config::new(kind) };
        config.strategy.lock_timeout = WATCHDOG;
        config.http.request_timeout = WATCHDOG;
        config.server.shutdown_grace = WATCHDOG;
        config.server.linger.pause = WATCHDOG;
        config.server.linger.time = WATCHDOG;
        Builder { config, data }
    }

    /// With that strategy, and otherwise as it comes.
    pub(crate) async fn start(kind: StrategyKind) -> Self {
        Self::with(kind).start().await
    }

    /// With these levels at `main`, at version 1.
    pub(crate) async fn stocked(kind: StrategyKind, levels: &[(&str, u64)]) -> Self {
        let app = Self::start(kind).await;
        for (sku, on_hand) in levels {
            app.create(sku, *on_hand).await;
        }
        app
    }

    /// Reads its file of keys again.
    pub(crate) fn reload_keys(&self) {
        let keys = self.access.and_then(Access::keys).expect("it asks for keys");
        keys.reload().expect("they are as they must be");
    }

    pub(crate) fn call(&self, method: Method, path: &str) -> Call {
        Call::new(&self.client, method, &format!("http://{}", self.address), path)
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path).send().await
    }

    /// Somebody who watches from a place on; from now on, where none is named.
    pub(crate) async fn watch(&self, path: &str, last_seen: &str) -> Watcher {
        let watching = self.call(Method::GET, path).header("last-event-id", last_seen).watch().await;
        watching.unwrap_or_else(|answer| panic!("{} {}", answer.status, answer.text()))
    }

    pub(crate) async fn put(&self, path: &str, body: &Value) -> Answer {
        self.call(Method::PUT, path).json(body).send().await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.call(Method::POST, path).json(body).send().await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.call(Method::DELETE, path).send().await
    }

    /// Deletes a level with its units, whatever they are.
    pub(crate) async fn remove(&self, path: &str) -> Answer {
        self.call(Method::DELETE, path).header("if-match", "*").send().await
    }

    /// A body that may not be JSON, declared as JSON.
    pub(crate) async fn post_bytes(&self, path: &str, body: impl Into<Vec<u8>>) -> Answer {
        let call = self.call(Method::POST, path).header("content-type", "application/json");
        call.body(body.into()).send().await
    }

    /// Brings a level into being.
    pub(crate) async fn create(&self, sku_and_query: &str, on_hand: u64) {
        let created = self.put(&format!("/v1/stock/{sku_and_query}"), &json!({ "on_hand": on_hand })).await;
        created.assert_status(201);
    }

    /// What a level has on hand, and its version.
    pub(crate) async fn level(&self, sku_and_query: &str) -> (u64, u64) {
        let read = self.get(&format!("/v1/stock/{sku_and_query}")).await;
        (read.assert_status(200).number("/on_hand"), read.number("/version"))
    }

    /// A connection of its own, for what no well-behaved client sends.
    pub(crate) async fn connect(&self) -> Raw {
        Raw::connect(self.address).await
    }

    /// Returns when no connection but the caller's is open: every slot for one is taken here, and a slot comes free only
    /// when its connection and whatever ran on it is over. The caller drops its own connections first.
    pub(crate) async fn quiesce(&mut self) {
        self.client = client();
        let mut ours = Vec::new();
        for _ in 0..self.connections_max {
            let mut connection = self.connect().await;
            connection.write("GET /livez HTTP/1.1\r\nHost: x\r\n\r\n").await;
            connection.answer().await.assert_status(200);
            ours.push(connection);
        }
    }

    /// Begins the shutdown, and goes on at once.
    pub(crate) fn begin_shutdown(&mut self) {
        let stop = self.stop.take().expect("a service is stopped once");
        stop.send(()).expect("the service runs");
    }

    /// Waits until the shutdown that was begun is over.
    pub(crate) async fn drained(&mut self) -> Drained {
        let server = tokio::time::timeout(WATCHDOG, &mut self.server);
        match server.await.expect("a shutdown ends").expect("the service does not panic") {
            Ended::Shutdown(drained) => drained,
            other => panic!("{other:?}"),
        }
    }

    /// Shuts it down, and returns where its stock is.
    pub(crate) async fn end(mut self) -> Arc<TempDir> {
        self.begin_shutdown();
        assert_eq!(self.drained().await, Drained::Clean);
        self.data()
    }

    /// Where its stock is.
    pub(crate) fn data(&self) -> Arc<TempDir> {
        Arc::clone(&self.data)
    }
}

impl Drop for TestApp {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Call {
    /// A request to the service at that base URL.
    pub(crate) fn new(client: &reqwest::Client, method: Method, url: &str, path: &str) -> Self {
        let request = client.request(method.clone(), format!("{url}{path}"));
        Self { method, path: path.to_owned(), request }
    }

    pub(crate) fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.request = self.request.header(name, value.as_ref());
        self
    }

    pub(crate) fn json(mut self, body: &Value) -> Self {
        self.request = self.request.json(body);
        self
    }

    pub(crate) fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.request = self.request.body(body.into());
        self
    }

    /// Sends it, and holds the answer against the document.
    pub(crate) async fn send(self) -> Answer {
        let response = self.request.send().await.expect("an answer");
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = response.bytes().await.expect("a whole body").to_vec();
        let answer = Answer { status, headers, body };
        contract::check(&self.method, &self.path, &answer);
        answer
    }
}

/// A client that follows nothing and gives up in time.
pub(crate) fn client() -> reqwest::Client {
    let client = reqwest::Client::builder().no_proxy().timeout(WATCHDOG);
    client.redirect(reqwest::redirect::Policy::none()).build().expect("a client")
}
