//! The configuration of a service, checked: one small struct per area, made from the command line in [`crate::cli`].

use std::path::PathBuf;
use std::time::Duration;

use thiserror::Error;

use crate::access::JwtConfig;
use crate::http::HttpConfig;
use crate::http::admission::AdmissionConfig;
use crate::http::feed::FeedConfig;
use crate::http::middleware::cors::Origins;
use crate::http::policy::Policy;
use crate::http::server::{Linger, ServerConfig};
use crate::store::{Keeping, Storage};
use crate::strategy::{StrategyConfig, StrategyKind};
#[cfg(feature = "otlp")]
use crate::telemetry::otlp::OtlpSettings;
use crate::webhooks::WebhookConfig;

/// Everything a service is built from.
#[derive(Debug, Clone)]
pub struct Config {
    /// The file of the keys by which clients are known; `None` where nobody needs one.
    pub auth_file: Option<PathBuf>,
    /// The tokens by which clients are known beside it; `None` where there are none.
    pub jwt: Option<JwtConfig>,
    /// How stock is shared.
    pub kind: StrategyKind,
    /// Where stock is kept.
    pub storage: Storage,
    /// The bounds of the strategy.
    pub strategy: StrategyConfig,
    /// The bounds of requests.
    pub http: HttpConfig,
    /// The bounds of connections.
    pub server: ServerConfig,
    /// The bounds of webhooks.
    pub webhooks: WebhookConfig,
    /// What a collector is told, if one is.
    #[cfg(feature = "otlp")]
    pub otlp: Option<OtlpSettings>,
}

/// The folder that is used unless another is asked for.
pub const DATA_DIR_DEFAULT: &str = "./inventory-data";

/// Lines of the access log a second, of each kind, unless others are asked for: what a person can follow, and what costs little beside
/// the requests of a busy second.
pub const ACCESS_LOG_LINES_DEFAULT: u32 = 10;

/// Why a configuration is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ConfigError {
    /// A negative control was asked for, but not allowed.
    #[error("--strategy {0} breaks its promises on purpose; it needs --allow-racy as well")]
    RacyNotAllowed(StrategyKind),
    /// A negative control was asked to keep a ledger.
    #[error("--strategy {0} needs --ephemeral as well: no ledger can be kept of updates that are lost")]
    RacyIsEphemeral(StrategyKind),
    /// Stock was asked to be in a folder, and in memory only.
    #[error(
        "--ephemeral keeps stock in memory only, and --data-dir in a folder: one of them (or of INVENTORY_EPHEMERAL and INVENTORY_DATA_DIR) must go; a flag beats a variable"
    )]
    EphemeralWithFolder,
    /// Stock was asked to be in a database, and here.
    #[error(
        "--store keeps stock in a database, and --data-dir or --ephemeral here: one of them (or of INVENTORY_STORE, INVENTORY_DATA_DIR and INVENTORY_EPHEMERAL) must go; a flag beats a variable"
    )]
    StoreWithFolder,
    /// A bound of zero.
    #[error("{flag} must be more than 0")]
    Zero {
        /// The flag.
        flag: &'static str,
    },
    /// A number nobody can mean, which a semaphore could not count to.
    #[error("{flag} must be at most {max}")]
    TooMany {
        /// The flag.
        flag: &'static str,
        /// The most there may be.
        max: usize,
    },
    /// A duration nobody can mean, which would overflow a clock.
    #[error("{flag} must be at most {max}")]
    TooLong {
        /// The flag.
        flag: &'static str,
        /// The longest there may be, in words.
        max: &'static str,
    },
}

/// The most there may be, and how it is told: more than anybody waits for, and than anything is kept.
const WAIT_MAX: (Duration, &str) = (Duration::from_hours(24), "24h");
const KEPT_MAX: (Duration, &str) = (Duration::from_hours(24 * 36_525), "100 years");
/// More connections, messages or partitions than a machine has room for; and more idempotency keys.
const COUNT_MAX: usize = 1_000_000;
const KEYS_MAX: usize = 1_000_000_000;
/// More webhooks than one service should read its ledger for.
const WEBHOOKS_MAX: usize = 10_000;
/// More orders at once than any machine has use for.
const WORKERS_MAX: usize = 1_024;

impl Config {
    /// The defaults, with that strategy.
    pub fn new(kind: StrategyKind) -> Self {
        Self {
            auth_file: None,
            jwt: None,
            kind,
            storage: Storage::Folder { path: PathBuf::from(DATA_DIR_DEFAULT), keeping: Keeping::default() },
            strategy: StrategyConfig::default(),
            http: HttpConfig {
                request_timeout: Duration::from_secs(30),
                admission: AdmissionConfig::default(),
                rate_limit: None,
                exports_max: 8,
                bodies_bytes_max: 256 * 1024 * 1024,
                access_log_lines_max: Some(ACCESS_LOG_LINES_DEFAULT),
                feed: FeedConfig::default(),
                origins: Origins::default(),
                policy: Policy::default(),
            },
            server: ServerConfig {
                connections_max: 10_000,
                connections_per_address_max: None,
                tells_addresses: false,
                header_timeout: Duration::from_secs(5),
                idle_timeout: Duration::from_mins(1),
                write_timeout: Duration::from_secs(30),
                linger: Linger {
                    bytes: 64 * 1024 * 1024,
                    pause: Duration::from_secs(5),
                    time: Duration::from_secs(30),
                },
                drain_delay: Duration::ZERO,
                shutdown_grace: Duration::from_secs(10),
                http2_prior_knowledge: false,
                proxy_protocol: false,
            },
            webhooks: WebhookConfig::default(),
            #[cfg(feature = "otlp")]
            otlp: None,
        }
    }

    /// Checks what no single field can.
    pub fn check(self, allow_racy: bool) -> Result<Self, ConfigError> {
        if !self.kind.is_correct() {
            if !allow_racy {
                return Err(ConfigError::RacyNotAllowed(self.kind));
            }
            if !matches!(self.storage, Storage::Memory(_)) {
                return Err(ConfigError::RacyIsEphemeral(self.kind));
            }
        }
        self.check_durations()?;
        self.check_counts()?;
        Ok(self)
    }

    fn check_durations(&self) -> Result<(), ConfigError> {
        let keeping = self.storage.keeping();
        let durations = [
            ("--lock-timeout", self.strategy.lock_timeout, WAIT_MAX),
            ("--request-timeout", self.http.request_timeout, WAIT_MAX),
            ("--admission-wait", self.http.admission.queue.failfast_timeout, WAIT_MAX),
            ("--header-timeout", self.server.header_timeout, WAIT_MAX),
            ("--idle-timeout", self.server.idle_timeout, WAIT_MAX),
            ("--write-timeout", self.server.write_timeout, WAIT_MAX),
            ("--event-heartbeat", self.http.feed.heartbeat, WAIT_MAX),
            ("--shutdown-grace", self.server.shutdown_grace, WAIT_MAX),
            ("--idempotency-retention", keeping.keys_retention, KEPT_MAX),
            ("--reservation-retention", keeping.reservations_retention, KEPT_MAX),
            ("--order-ageing", keeping.orders.ageing, WAIT_MAX),
            ("--order-retention", keeping.orders.retention, KEPT_MAX),
            ("--snapshot-interval", keeping.snapshot_interval, KEPT_MAX),
            ("--retain-age", keeping.retain_age.unwrap_or(KEPT_MAX.0), KEPT_MAX),
        ];
        if self.server.drain_delay > WAIT_MAX.0 {
            return Err(ConfigError::TooLong { flag: "--drain-delay", max: WAIT_MAX.1 });
        }
        for (flag, duration, (longest, max)) in durations {
            if duration.is_zero() {
                return Err(ConfigError::Zero { flag });
            }
            if duration > longest {
                return Err(ConfigError::TooLong { flag, max });
            }
        }
        Ok(())
    }

    fn check_counts(&self) -> Result<(), ConfigError> {
        let keeping = self.storage.keeping();
        let counts = [
            ("--max-connections", self.server.connections_max, COUNT_MAX),
            (
                "--max-connections-per-address",
                self.server.connections_per_address_max.unwrap_or(1),
                COUNT_MAX,
            ),
            ("--max-in-flight", self.http.admission.in_flight_max, COUNT_MAX),
            ("--admission-queue", self.http.admission.queue.capacity, COUNT_MAX),
            ("--exports-max", self.http.exports_max, COUNT_MAX),
            ("--event-readers", self.http.feed.readers_max, COUNT_MAX),
            ("--webhooks-max", self.webhooks.hooks_max, WEBHOOKS_MAX),
            ("--actor-queue", self.strategy.actor_queue, COUNT_MAX),
            ("--partitions", self.strategy.partitions, COUNT_MAX),
            ("--idempotency-keys", keeping.keys_max, KEYS_MAX),
            ("--reservations", keeping.reservations_max, KEYS_MAX),
            ("--waiters-max", keeping.waiters_max, COUNT_MAX),
            ("--queue-capacity", keeping.orders.queue_max, COUNT_MAX),
            ("--order-workers", keeping.orders.workers, WORKERS_MAX),
            ("--backorder-capacity", keeping.orders.backorders_max, KEYS_MAX),
        ];
        let burst = self.http.rate_limit.and_then(|limit| Some((limit.burst? as usize, limit.burst_max())));
        let burst = burst.map(|(burst, max)| ("--rate-limit-burst", burst, max));
        for (flag, count, max) in counts.into_iter().chain(burst) {
            if count == 0 {
                return Err(ConfigError::Zero { flag });
            }
            if count > max {
                return Err(ConfigError::TooMany { flag, max });
            }
        }
        // In bytes, of which one is enough to be more than none.
        let sizes = [
            ("--snapshot-bytes", Some(keeping.snapshot_bytes)),
            ("--retain-bytes", keeping.retain_bytes),
            ("--max-body-memory", Some(self.http.bodies_bytes_max as u64)),
        ];
        match sizes.into_iter().find(|(_, bytes)| *bytes == Some(0)) {
            Some((flag, _)) => Err(ConfigError::Zero { flag }),
            None => Ok(()),
        }
    }
}
