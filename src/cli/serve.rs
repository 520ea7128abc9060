//! `inventory serve`: what may be said to it, and the process from its start to its end. Its length is that of the list of flags, each with its help.

use std::cmp::Ordering;
use std::io;
use std::path::PathBuf;
use std::pin::pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::builder::{BoolishValueParser, PossibleValuesParser, TypedValueParser};
use clap::parser::ValueSource;
use clap::{ArgAction, ArgMatches, Args};
use ipnet::IpNet;
use tracing_subscriber::EnvFilter;

use super::jwt::JwtArgs;
use super::logging::{self, LogFormat};
use super::settings::{self, Setting};
use super::store::StoreArgs;
use super::{EXIT_USAGE, collector, fail, print, reload, size, supervisor, unknown_variables};
use crate::app::{App, Ended, Listening};
use crate::config::{ACCESS_LOG_LINES_DEFAULT, Config, ConfigError, DATA_DIR_DEFAULT};
use crate::descriptors;
use crate::http::admission::{AdmissionConfig, QueueConfig};
use crate::http::feed::FeedConfig;
use crate::http::middleware::cors::{Origin, Origins};
use crate::http::policy::Policy;
use crate::http::rate_limit::{Rate, RateLimitConfig};
use crate::http::server::Drained;
use crate::http::server::listen::Listener;
use crate::http::server::tls::{Tls, TlsFiles};
use crate::shutdown;
use crate::store::{Discipline, Keeping, Orders, Storage};
use crate::strategy::{ACTOR_QUEUE_DEFAULT, StrategyKind};

/// Its switches are off where they are `=false`, as flags and as variables: so a flag beats a variable either way.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own")]
pub(super) struct ServeArgs {
    /// Who said where stock is kept, and whether it is: told by the parser.
    #[arg(skip)]
    said_by: SaidBy,
    /// All that was said, and by whom.
    #[arg(skip)]
    settings: Vec<Setting>,
    /// Address to listen on, or unix:PATH; may be repeated. Port 0 takes a free one. Each is a line on standard output, in order
    #[arg(
        long,
        env = "INVENTORY_LISTEN",
        value_name = "HOST:PORT",
        value_delimiter = ',',
        default_value = "127.0.0.1:8080"
    )]
    listen: Vec<String>,
    /// A further address, for those who run the service, with places of its own: metrics, backup and verify, which are then at no other, and
    /// the probes. It is the last line on standard output
    #[arg(long, env = "INVENTORY_METRICS_LISTEN", value_name = "HOST:PORT")]
    metrics_listen: Option<String>,
    /// The certificate that clients see, a PEM file, with those that lead to one they know: then --listen speaks HTTPS alone. Read again on SIGHUP
    #[arg(long, env = "INVENTORY_TLS_CERT", value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// The private key of that certificate, a PEM file
    #[arg(long, env = "INVENTORY_TLS_KEY", value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Clients must show a certificate that one of these has signed, a PEM file
    #[arg(long, env = "INVENTORY_TLS_CLIENT_CA", value_name = "FILE", requires = "tls_cert")]
    tls_client_ca: Option<PathBuf>,
    /// At --listen without TLS, take HTTP/2 from clients that know that it is spoken, beside HTTP/1.1. Over TLS they choose by themselves
    #[arg(long, env = "INVENTORY_HTTP2_PRIOR_KNOWLEDGE", value_parser = BoolishValueParser::new(), num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true", hide_default_value = true, action = ArgAction::Set)]
    http2_prior_knowledge: bool,
    /// At --listen, each connection begins with the header of the PROXY protocol, version 2, that says whose it is; one without is closed. Only
    /// where nobody reaches the address but a proxy that sends it: it is believed
    #[arg(long, env = "INVENTORY_PROXY_PROTOCOL", value_parser = BoolishValueParser::new(), num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true", hide_default_value = true, action = ArgAction::Set)]
    proxy_protocol: bool,
    /// The file of the keys by which clients are known, which `inventory key new` writes; read again on SIGHUP. With it every request needs one,
    /// but for probes and documents
    #[arg(long, env = "INVENTORY_AUTH_FILE", value_name = "FILE")]
    auth_file: Option<PathBuf>,
    #[command(flatten)]
    jwt: JwtArgs,
    /// Listen beyond this machine although there are no keys: whoever reaches the address may do anything
    #[arg(long, env = "INVENTORY_INSECURE_NO_AUTH", value_parser = BoolishValueParser::new(), num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true", hide_default_value = true, action = ArgAction::Set)]
    insecure_no_auth: bool,
    /// Origin whose pages may ask from browsers and read the answers, as <https://shop.example>; may be repeated. None if left out
    #[arg(long, env = "INVENTORY_CORS_ORIGIN", value_name = "ORIGIN", value_delimiter = ',')]
    cors_origin: Vec<Origin>,
    /// Refuse each POST that changes stock and has no Idempotency-Key: 400 `idempotency-key-required`
    #[arg(long, env = "INVENTORY_REQUIRE_IDEMPOTENCY_KEY", value_parser = BoolishValueParser::new(), num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true", hide_default_value = true, action = ArgAction::Set)]
    require_idempotency_key: bool,
    /// Refuse each PUT and DELETE of a stock level that has no If-Match or If-None-Match: 428 `precondition-required`
    #[arg(long, env = "INVENTORY_REQUIRE_PRECONDITION", value_parser = BoolishValueParser::new(), num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true", hide_default_value = true, action = ArgAction::Set)]
    require_precondition: bool,
    /// How stock is shared between threads; `inventory strategies` explains them
    #[arg(long, env = "INVENTORY_STRATEGY", value_name = "NAME", default_value = "atomic")]
    strategy: StrategyKind,
    /// Where stock is kept on disk; made where it is missing. One process at a time
    #[arg(long, env = "INVENTORY_DATA_DIR", value_name = "DIR", default_value = DATA_DIR_DEFAULT)]
    data_dir: PathBuf,
    /// Keep stock in memory only: nothing survives the process, and the ledger has recent movements only
    #[arg(long, env = "INVENTORY_EPHEMERAL", value_parser = BoolishValueParser::new(), num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true", hide_default_value = true, action = ArgAction::Set)]
    ephemeral: bool,
    #[command(flatten)]
    store: StoreArgs,
    /// How many idempotency keys are held at most; a new one beyond gets 503 `overloaded`
    #[arg(long, env = "INVENTORY_IDEMPOTENCY_KEYS", value_name = "N", default_value_t = 1_000_000)]
    idempotency_keys: usize,
    /// How long an idempotency key is held
    #[arg(long, env = "INVENTORY_IDEMPOTENCY_RETENTION", value_name = "DURATION", default_value = "24h", value_parser = humantime::parse_duration)]
    idempotency_retention: Duration,
    /// A snapshot is taken when the log has grown by this much; recovery reads what was written since
    #[arg(long, env = "INVENTORY_SNAPSHOT_BYTES", value_name = "SIZE", default_value = "256MiB", value_parser = size::parse)]
    snapshot_bytes: u64,
    /// A snapshot is taken after this long, if anything was written
    #[arg(long, env = "INVENTORY_SNAPSHOT_INTERVAL", value_name = "DURATION", default_value = "15m", value_parser = humantime::parse_duration)]
    snapshot_interval: Duration,
    /// Drop movements older than this; all are kept if left out
    #[arg(long, env = "INVENTORY_RETAIN_AGE", value_name = "DURATION", value_parser = humantime::parse_duration)]
    retain_age: Option<Duration>,
    /// Drop the oldest movements while the log is longer than this; all are kept if left out, and with --store
    #[arg(long, env = "INVENTORY_RETAIN_BYTES", value_name = "SIZE", value_parser = size::parse)]
    retain_bytes: Option<u64>,
    /// How many reservations may be pending at once; a new one beyond gets 503 `overloaded`
    #[arg(long, env = "INVENTORY_RESERVATIONS", value_name = "N", default_value_t = 2_000_000)]
    reservations: usize,
    /// How long reservations that are committed, released or expired can be read; of the newest 100 000
    #[arg(long, env = "INVENTORY_RESERVATION_RETENTION", value_name = "DURATION", default_value = "24h", value_parser = humantime::parse_duration)]
    reservation_retention: Duration,
    /// How many requests may wait for stock at once (`Prefer: wait`); one more gets 503 `overloaded`
    #[arg(long, env = "INVENTORY_WAITERS_MAX", value_name = "N", default_value_t = 10_000)]
    waiters_max: usize,
    /// Which of the queued orders is next: the first placed, the last, or the most urgent
    #[arg(long, env = "INVENTORY_QUEUE_DISCIPLINE", value_name = "NAME", default_value = "fifo", value_parser = discipline())]
    queue_discipline: Discipline,
    /// How many orders may be queued at once; a new one beyond gets 503 `queue-full`
    #[arg(long, env = "INVENTORY_QUEUE_CAPACITY", value_name = "N", default_value_t = 10_000)]
    queue_capacity: usize,
    /// How many orders have their turn at the same time
    #[arg(long, env = "INVENTORY_ORDER_WORKERS", value_name = "N", default_value_t = 4)]
    order_workers: usize,
    /// With the discipline `priority`: how long an order waits for as much as one priority more, so that none starves
    #[arg(long, env = "INVENTORY_ORDER_AGEING", value_name = "DURATION", default_value = "10s", value_parser = humantime::parse_duration)]
    order_ageing: Duration,
    /// How many orders may wait for stock at once; one beyond is rejected where it finds too little
    #[arg(long, env = "INVENTORY_BACKORDER_CAPACITY", value_name = "N", default_value_t = 100_000)]
    backorder_capacity: usize,
    /// How long orders that are fulfilled, rejected or cancelled can be read, and given back; of the newest 100 000
    #[arg(long, env = "INVENTORY_ORDER_RETENTION", value_name = "DURATION", default_value = "30d", value_parser = humantime::parse_duration)]
    order_retention: Duration,
    /// Allow a strategy that breaks its promises on purpose (`racy`)
    #[arg(long, env = "INVENTORY_ALLOW_RACY", value_parser = BoolishValueParser::new(), num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true", hide_default_value = true, action = ArgAction::Set)]
    allow_racy: bool,
    /// How long a request may wait for others that change the same stock before 503 `contention`
    #[arg(long, env = "INVENTORY_LOCK_TIMEOUT", value_name = "DURATION", default_value = "1s", value_parser = humantime::parse_duration)]
    lock_timeout: Duration,
    /// How many messages may wait in the queue of an owner (strategies actor and partitioned); more wait at its door
    #[arg(long, env = "INVENTORY_ACTOR_QUEUE", value_name = "N", default_value_t = ACTOR_QUEUE_DEFAULT)]
    actor_queue: usize,
    /// How many owners share the levels (strategy partitioned); one per core if left out. Of a database: in how many partitions
    /// its stock is, which is fixed when its tables are made; 16 if left out
    #[arg(long, env = "INVENTORY_PARTITIONS", value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    partitions: Option<u16>,
    /// How long a request may take, its body included
    #[arg(long, env = "INVENTORY_REQUEST_TIMEOUT", value_name = "DURATION", default_value = "30s", value_parser = humantime::parse_duration)]
    request_timeout: Duration,
    /// How long a client may take to send a request's head, once it has begun
    #[arg(long, env = "INVENTORY_HEADER_TIMEOUT", value_name = "DURATION", default_value = "5s", value_parser = humantime::parse_duration)]
    header_timeout: Duration,
    /// How long a connection may idle. Sooner it may be closed if others wait for a place
    #[arg(long, env = "INVENTORY_IDLE_TIMEOUT", value_name = "DURATION", default_value = "60s", value_parser = humantime::parse_duration)]
    idle_timeout: Duration,
    /// How long a client may take nothing of an answer before its connection is closed
    #[arg(long, env = "INVENTORY_WRITE_TIMEOUT", value_name = "DURATION", default_value = "30s", value_parser = humantime::parse_duration)]
    write_timeout: Duration,
    /// How many requests are carried out at once; not counted are those that wait for their body, or sleep
    #[arg(long, env = "INVENTORY_MAX_IN_FLIGHT", value_name = "N", default_value_t = 1_024)]
    max_in_flight: usize,
    /// How many more may wait for that; one more gets 503 `overloaded` at once
    #[arg(long, env = "INVENTORY_ADMISSION_QUEUE", value_name = "N", default_value_t = 1_024)]
    admission_queue: usize,
    /// For how long each may wait for that, before it gets 503 `overloaded`
    #[arg(long, env = "INVENTORY_ADMISSION_WAIT", value_name = "DURATION", default_value = "500ms", value_parser = humantime::parse_duration)]
    admission_wait: Duration,
    /// How often one client may ask, as 100/s, by the name of its key or by its address (of IPv6 a network of 64 bits); more gets 429
    /// `rate-limited`. As often as it likes if left out
    #[arg(long, env = "INVENTORY_RATE_LIMIT", value_name = "N/TIME")]
    rate_limit: Option<Rate>,
    /// How often it may ask at once, if it has not for long; N if left out
    #[arg(long, env = "INVENTORY_RATE_LIMIT_BURST", value_name = "N", requires = "rate_limit")]
    rate_limit_burst: Option<u32>,
    /// How many exports there may be at once; one more gets 503 `overloaded`
    #[arg(long, env = "INVENTORY_EXPORTS_MAX", value_name = "N", default_value_t = 8)]
    exports_max: usize,
    /// How much memory the bodies of all requests may take together, where they are longer than a few KiB; one more gets 503 `overloaded`
    #[arg(long, env = "INVENTORY_MAX_BODY_MEMORY", value_name = "SIZE", default_value = "256MiB", value_parser = size::parse)]
    max_body_memory: u64,
    /// How many connections at once; further ones wait
    #[arg(long, env = "INVENTORY_MAX_CONNECTIONS", value_name = "N", default_value_t = 10_000)]
    max_connections: usize,
    /// How many of them one address may have (of IPv6 a network of 64 bits); nine tenths if left out
    #[arg(long, env = "INVENTORY_MAX_CONNECTIONS_PER_ADDRESS", value_name = "N")]
    max_connections_per_address: Option<usize>,
    /// How many clients may watch the events at once; one more gets 503 `overloaded`
    #[arg(long, env = "INVENTORY_EVENT_READERS", value_name = "N", default_value_t = 10_000)]
    event_readers: usize,
    /// How long a client that watches the events hears nothing, before a comment tells it that the connection stands
    #[arg(long, env = "INVENTORY_EVENT_HEARTBEAT", value_name = "DURATION", default_value = "15s", value_parser = humantime::parse_duration)]
    event_heartbeat: Duration,
    /// How many webhooks there may be; one more gets 503 `overloaded`
    #[arg(long, env = "INVENTORY_WEBHOOKS_MAX", value_name = "N", default_value_t = 100)]
    webhooks_max: usize,
    /// Addresses that webhooks may be at although they are not public, as 10.1.0.0/16; may be repeated
    #[arg(long, env = "INVENTORY_WEBHOOK_ALLOW", value_name = "CIDR", value_delimiter = ',')]
    webhook_allow: Vec<IpNet>,
    /// After SIGTERM, how long requests are still taken while /readyz says 503: what a load balancer needs to send them elsewhere
    #[arg(long, env = "INVENTORY_DRAIN_DELAY", value_name = "DURATION_OR_0", default_value = "0s", value_parser = humantime::parse_duration)]
    drain_delay: Duration,
    /// How long requests may go on after that, while none is taken any more
    #[arg(long, env = "INVENTORY_SHUTDOWN_GRACE", value_name = "DURATION", default_value = "10s", value_parser = humantime::parse_duration)]
    shutdown_grace: Duration,
    /// Threads that serve requests; one per core if left out
    #[arg(long, env = "INVENTORY_WORKERS", value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    workers: Option<u16>,
    /// What to log: error, warn, info, debug, trace, or a tracing filter
    #[arg(long, env = "INVENTORY_LOG", value_name = "FILTER", default_value = "info")]
    log: String,
    /// How to log, and to say why it ends
    #[arg(long, env = "INVENTORY_LOG_FORMAT", value_name = "FORMAT", default_value = "auto")]
    log_format: LogFormat,
    /// Log a line for each request, at level info and as `inventory::access`: method, route, status, time and id. Answers of 5xx are logged in any case
    #[arg(long, env = "INVENTORY_ACCESS_LOG", value_name = "BOOL", value_parser = BoolishValueParser::new(), default_value = "true", action = ArgAction::Set)]
    access_log: bool,
    /// At most how many such lines a second, of requests that were carried out and as many of those that were refused (4xx); the rest are counted
    #[arg(long, env = "INVENTORY_ACCESS_LOG_RATE", value_name = "N", default_value_t = ACCESS_LOG_LINES_DEFAULT, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    access_log_rate: u32,
}

/// Who said something, in ascending order: nobody (the default), the environment, the command line.
#[derive(Debug, Clone, Copy, Default)]
struct SaidBy {
    data_dir: Option<ValueSource>,
    ephemeral: Option<ValueSource>,
    store: Option<ValueSource>,
}

impl ServeArgs {
    /// Notes who said what.
    pub(super) fn note_sources(&mut self, command: &clap::Command, matches: &ArgMatches) {
        self.settings = settings::of(command, matches);
        let said_by = |name| matches.value_source(name);
        self.said_by = SaidBy {
            data_dir: said_by("data_dir"),
            ephemeral: said_by("ephemeral"),
            store: said_by("store"),
        };
    }

    /// All that was said, and by whom.
    pub(super) fn settings(&self) -> &[Setting] {
        &self.settings
    }

    /// What is to be built.
    pub(super) fn config(&self) -> Result<Config, ConfigError> {
        let mut config = Config::new(self.strategy);
        config.storage = self.storage()?;
        config.auth_file.clone_from(&self.auth_file);
        config.jwt = self.jwt.config();
        config.strategy.lock_timeout = self.lock_timeout;
        config.strategy.actor_queue = self.actor_queue;
        if let Some(partitions) = self.partitions {
            config.strategy.partitions = usize::from(partitions);
        }
        config.http.request_timeout = self.request_timeout;
        config.http.bodies_bytes_max = usize::try_from(self.max_body_memory).unwrap_or(usize::MAX);
        let queue = QueueConfig { capacity: self.admission_queue, failfast_timeout: self.admission_wait };
        config.http.admission = AdmissionConfig { in_flight_max: self.max_in_flight, queue };
        let limited = |rate| RateLimitConfig { rate, burst: self.rate_limit_burst };
        config.http.rate_limit = self.rate_limit.map(limited);
        config.http.exports_max = self.exports_max;
        config.http.access_log_lines_max = self.access_log.then_some(self.access_log_rate);
        config.http.feed = FeedConfig { readers_max: self.event_readers, heartbeat: self.event_heartbeat };
        config.http.origins = Origins::new(self.cors_origin.clone());
        config.http.policy =
            Policy { idempotency_key: self.require_idempotency_key, precondition: self.require_precondition };
        config.webhooks.hooks_max = self.webhooks_max;
        config.webhooks.allow.clone_from(&self.webhook_allow);
        config.server.header_timeout = self.header_timeout;
        config.server.idle_timeout = self.idle_timeout;
        config.server.drain_delay = self.drain_delay;
        config.server.write_timeout = self.write_timeout;
        config.server.connections_max = self.max_connections;
        config.server.connections_per_address_max = self.max_connections_per_address;
        config.server.shutdown_grace = self.shutdown_grace;
        config.server.http2_prior_knowledge = self.http2_prior_knowledge;
        config.server.proxy_protocol = self.proxy_protocol;
        config.check(self.allow_racy)
    }

    /// What clients see of a certificate, if there is one.
    fn tls(&self) -> Result<Option<Arc<Tls>>, String> {
        let (Some(cert), Some(key)) = (&self.tls_cert, &self.tls_key) else { return Ok(None) };
        let files = TlsFiles { cert: cert.clone(), key: key.clone(), client_ca: self.tls_client_ca.clone() };
        Tls::load(files).map(|tls| Some(Arc::new(tls))).map_err(|error| error.to_string())
    }

    fn orders(&self) -> Orders {
        Orders {
            discipline: self.queue_discipline,
            queue_max: self.queue_capacity,
            workers: self.order_workers,
            ageing: self.order_ageing,
            backorders_max: self.backorder_capacity,
            retention: self.order_retention,
            ..Orders::default()
        }
    }

    /// Of `--store`, `--data-dir` and `--ephemeral`, what was said on the command line beats what the environment says.
    fn storage(&self) -> Result<Storage, ConfigError> {
        let keeping = Keeping {
            keys_max: self.idempotency_keys,
            keys_retention: self.idempotency_retention,
            snapshot_bytes: self.snapshot_bytes,
            snapshot_interval: self.snapshot_interval,
            retain_age: self.retain_age,
            retain_bytes: self.retain_bytes,
            reservations_max: self.reservations,
            reservations_retention: self.reservation_retention,
            waiters_max: self.waiters_max,
            orders: self.orders(),
            ..Keeping::default()
        };
        if let Some(database) = self.store.database(self.partitions, self.lock_timeout) {
            // Its default is nobody's word.
            let data_dir = self.said_by.data_dir.filter(|source| *source != ValueSource::DefaultValue);
            let ephemeral = self.said_by.ephemeral.filter(|_| self.ephemeral);
            // A folder in the environment is what an image has for those who say nothing else.
            let data_dir = data_dir.filter(|source| *source == ValueSource::CommandLine);
            match self.said_by.store.cmp(&data_dir.max(ephemeral)) {
                Ordering::Equal => return Err(ConfigError::StoreWithFolder),
                Ordering::Greater => {
                    return Ok(Storage::Postgres { database, keeping });
                }
                Ordering::Less => {}
            }
        }
        match self.said_by.ephemeral.cmp(&self.said_by.data_dir) {
            Ordering::Equal if self.ephemeral => Err(ConfigError::EphemeralWithFolder),
            Ordering::Greater if self.ephemeral => Ok(Storage::Memory(keeping)),
            _ => Ok(Storage::Folder { path: self.data_dir.clone(), keeping }),
        }
    }
}

/// The names of the disciplines, and what they stand for.
fn discipline() -> impl TypedValueParser<Value = Discipline> {
    PossibleValuesParser::new(Discipline::ALL.map(Discipline::name))
        .map(|name| Discipline::named(&name).expect("it is one of them"))
}

/// Serves until it is told to stop, or fails.
pub(super) fn serve(args: &ServeArgs) -> ExitCode {
    let bad = |message: &str| fail(ExitCode::from(EXIT_USAGE), message);
    logging::choose(args.log_format);
    let mut config = match args.config() {
        Ok(config) => config,
        Err(error) => return bad(&error.to_string()),
    };
    let filter = match EnvFilter::try_new(&args.log) {
        Ok(filter) => filter,
        Err(error) => return bad(&format!("--log {}: {error}", args.log)),
    };
    if let Err(error) = logging::start(filter, args.log_format) {
        return fail(ExitCode::FAILURE, &format!("cannot start the log: {error}"));
    }
    let _flushed = logging::Flushed;
    tell_of_configuration(args);
    if let Err(error) = collector::ask(&mut config, |name| std::env::var_os(name)) {
        return bad(&error);
    }
    config.server.connections_max = descriptors::for_connections(config.server.connections_max);
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    if let Some(workers) = args.workers {
        runtime.worker_threads(usize::from(workers));
    }
    match runtime.enable_all().build() {
        Ok(runtime) => runtime.block_on(listen_and_serve(args, config)),
        Err(error) => fail(ExitCode::FAILURE, &format!("cannot start the runtime: {error}")),
    }
}

/// What was perhaps meant otherwise, and for whoever looks for it all that was said.
fn tell_of_configuration(args: &ServeArgs) {
    for unknown in unknown_variables() {
        tracing::warn!("{unknown}");
    }
    tracing::debug!(flags = settings::as_line(&args.settings), "configuration");
}

/// How long the address is held back while the service reads what it has on disk.
const ANNOUNCED_AFTER: Duration = Duration::from_secs(1);

/// Listens wherever it is to; says where it cannot.
fn listen(args: &ServeArgs) -> Result<Listening, String> {
    let bind = |flag: &str, address: &String| {
        Listener::bind(address).map_err(|error| match error.kind() {
            io::ErrorKind::InvalidInput => {
                format!("{flag} {address}: {error}; it must be HOST:PORT, or unix:PATH")
            }
            _ => format!("{flag} {address}: cannot listen there: {error}"),
        })
    };
    let public = args.listen.iter().map(|address| bind("--listen", address)).collect::<Result<_, _>>()?;
    let private =
        args.metrics_listen.as_ref().map(|address| bind("--metrics-listen", address)).transpose()?;
    Ok(Listening { public, private, tls: args.tls()? })
}

/// Whether whoever reaches the service may do anything is for somebody to say, unless only this machine reaches it.
fn check_access(args: &ServeArgs, config: &Config, listening: &Listening) -> Result<(), String> {
    let is_open = config.auth_file.is_none() && config.jwt.is_none();
    let mut all = listening.public.iter().chain(&listening.private);
    match all.find(|listener| is_open && !listener.is_local()) {
        Some(reached) if args.insecure_no_auth => {
            tracing::warn!(
                address = reached.url(listening.tls.is_some()),
                "no keys are asked for: whoever reaches this address may do anything"
            );
            Ok(())
        }
        Some(reached) => Err(format!(
            "{} can be reached from beyond this machine, and no keys are asked for: --auth-file FILE has them \
             (`inventory key new` makes one), --jwt-jwks FILE those of an issuer of tokens, or --insecure-no-auth says that whoever reaches it may do anything",
            reached.url(listening.tls.is_some())
        )),
        None => Ok(()),
    }
}

async fn listen_and_serve(args: &ServeArgs, config: Config) -> ExitCode {
    let listening = match listen(args).and_then(|it| check_access(args, &config, &it).map(|()| it)) {
        Ok(listening) => listening,
        Err(error) => return fail(ExitCode::from(EXIT_USAGE), &error),
    };
    let shutdown = match shutdown::on_signal() {
        Ok(shutdown) => shutdown,
        Err(error) => return fail(ExitCode::FAILURE, &format!("cannot wait for signals: {error}")),
    };
    let addresses: Vec<String> = listening
        .public
        .iter()
        .map(|listener| listener.url(listening.tls.is_some()))
        .chain(listening.private.iter().map(|listener| listener.url(false)))
        .collect();
    let durability = match &config.storage {
        Storage::Memory(_) => "in memory only".to_owned(),
        Storage::Folder { path, .. } => path.display().to_string(),
        Storage::Postgres { database, .. } => database.url.to_string(),
    };
    let strategy =
        if let Storage::Postgres { .. } = &config.storage { "postgres" } else { config.kind.name() };
    let app = match App::build(config) {
        Ok(app) => app,
        // To be pointed at something else altogether is a mistake in the configuration.
        Err(error) if error.is_misdirected() => return fail(ExitCode::from(EXIT_USAGE), &error.to_string()),
        Err(error) => return fail(ExitCode::FAILURE, &error.to_string()),
    };
    if let Err(error) = reload::on_hang_up(app.access(), listening.tls.clone()) {
        return fail(ExitCode::FAILURE, &format!("cannot wait for signals: {error}"));
    }
    // Only now: who finds the data directory in use serves nothing.
    let address = addresses.join(", ");
    tracing::info!(address, strategy, version = env!("CARGO_PKG_VERSION"), stock = durability, "serving");
    supervisor::tell_when_ready(app.opened());
    let opened = app.opened();
    let mut unread = false;
    let stop = async {
        let mut shutdown = pin!(shutdown);
        let announce = async {
            // Who reads the line finds the service ready, unless there is much to recover: then it finds out by asking.
            let _late = tokio::time::timeout(ANNOUNCED_AFTER, opened).await;
            print(&(addresses.join("\n") + "\n"))
        };
        tokio::select! {
            () = &mut shutdown => return supervisor::tell_that_it_stops(),
            printed = announce => unread = printed != ExitCode::SUCCESS,
        }
        if !unread {
            shutdown.await;
        }
        supervisor::tell_that_it_stops();
    };
    let ended = Box::pin(app.serve(listening, stop)).await;
    if unread {
        return ExitCode::FAILURE;
    }
    told(&ended)
}

/// Says how it ended.
fn told(ended: &Ended) -> ExitCode {
    match ended {
        Ended::Shutdown(Drained::Clean) => {
            tracing::info!("every accepted request was answered; bye");
            ExitCode::SUCCESS
        }
        Ended::Shutdown(Drained::CutOff) => {
            tracing::warn!("the shutdown grace ran out; some requests were cut off");
            ExitCode::FAILURE
        }
        Ended::Unreadable(error) => fail(ExitCode::FAILURE, &error.to_string()),
        Ended::NotOpened(error) => fail(ExitCode::FAILURE, &error.to_string()),
        Ended::NoWebhooks(error) => fail(ExitCode::FAILURE, &error.to_string()),
        Ended::Failed(reason) => fail(ExitCode::FAILURE, &format!("the journal has failed: {reason}")),
    }
}
