//! Connections: where they lead, how they are encrypted, and what each is told before it is used.
//!
//! Two pools: one for what takes locks, one for what only looks, so that nobody who looks waits behind those who wait for each other. Beside them one
//! connection for what looks for long, and two for leases, whose commits wait for no standby.

use std::fmt;
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use deadpool_postgres::{
    Client, Connect, Hook, HookError, Manager, ManagerConfig, Pool, PoolError, RecyclingMethod, Runtime,
};
use rustls::ClientConfig;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use thiserror::Error;
use tokio::task::JoinHandle;
use tokio_postgres::config::{Host, SslMode, TargetSessionAttrs};
use tokio_postgres::error::SqlState;
use tokio_postgres::{AsyncMessage, Config, NoTls, Socket};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::hosts::Hosts;
use crate::store::Database;

/// How long somebody waits for a free connection, or a new one to be made.
pub(super) const CONNECTION_WAIT: Duration = Duration::from_secs(3);

/// Connections for leases, of each replica.
const LEASES: usize = 2;

/// How long a statement may take beyond what it waits for a lock.
pub(super) const STATEMENT_TIME: Duration = Duration::from_secs(5);

/// The pools of a store.
#[derive(Clone)]
pub(super) struct Pools {
    writes: Pool,
    reads: Pool,
    verifies: Pool,
    leases: Pool,
    /// Warnings that connections were told.
    warnings: Arc<AtomicU64>,
    /// How long a statement may take, its wait for a lock and all.
    statement_time: Duration,
}

/// Why a database cannot be asked at all, as it was said where it is.
#[derive(Debug, Error)]
pub enum AddressError {
    /// It is no address.
    #[error("--store {url}: it is no address of a PostgreSQL database: {error}")]
    Url {
        /// What was said.
        url: crate::store::DatabaseUrl,
        /// What is wrong with it.
        error: String,
    },
    /// A file cannot be read.
    #[error("{flag} {}: {error}", .path.display())]
    File {
        /// Who named it.
        flag: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong.
        error: String,
    },
}

impl fmt::Debug for Pools {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pools").field("writes", &self.writes.status()).finish_non_exhaustive()
    }
}

impl Pools {
    /// Pools that lead there; nothing is connected yet.
    pub(super) fn new(database: &Database) -> Result<Self, AddressError> {
        let warnings = Arc::new(AtomicU64::new(0));
        let config = config(database)?;
        let is_local = config.get_hosts().iter().all(|host| matches!(host, Host::Unix(_)));
        // A Unix socket is on this machine, and encrypts nothing.
        let tls = tls(database, config.get_ssl_mode())?.filter(|_| !is_local);
        // A quarter of them only look.
        let reads = (database.connections / 4).max(1);
        let writes = database.connections.saturating_sub(reads).max(1);
        let hosts = Arc::new(Hosts::of(&config));
        let pool = |size, more: &'static str| {
            let (tls, warnings) = (tls.clone(), Arc::clone(&warnings));
            let opening = Opening { hosts: Arc::clone(&hosts), tls, warnings };
            let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
            let manager = Manager::from_connect(config.clone(), opening, recycling);
            let settings = settings(database.lock_timeout) + more;
            Pool::builder(manager)
                .max_size(size)
                .wait_timeout(Some(CONNECTION_WAIT))
                .create_timeout(Some(hosts.time()))
                .post_create(Hook::async_fn(move |client, _| {
                    let settings = settings.clone();
                    Box::pin(async move {
                        // The pool bounds the making of a connection, and not this.
                        let told = tokio::time::timeout(CONNECTION_WAIT, client.batch_execute(&settings));
                        let late = |_| HookError::message("it gave no answer in time");
                        told.await.map_err(late)?.map_err(HookError::Backend)
                    })
                }))
                .runtime(Runtime::Tokio1)
                .build()
                .expect("a runtime is named, which is all that can be missing")
        };
        let statement_time = database.lock_timeout + STATEMENT_TIME;
        Ok(Self {
            writes: pool(writes, ""),
            reads: pool(reads, ""),
            verifies: pool(1, ""),
            // A commit waits for its standby however long that is away, and a lease is worth nothing by then: who finds none after a failover has none.
            leases: pool(LEASES, "; SET synchronous_commit = local"),
            warnings,
            statement_time,
        })
    }

    /// A connection for what takes locks, in a transaction.
    pub(super) async fn for_transaction(&self) -> Result<Lent, PoolError> {
        self.writes.get().await.map(|client| Lent(Some(client)))
    }

    /// A connection for what only looks. It is given back when the answer has come.
    pub(super) async fn for_reading(&self) -> Result<Lent, PoolError> {
        self.reads.get().await.map(|client| Lent(Some(client)))
    }

    /// How long a look may take. The database ends a statement after as long; that it says so is another matter.
    pub(super) fn look_time(&self) -> Duration {
        self.statement_time
    }

    /// Closes the connections that nobody uses: others are made to whichever host takes changes by then.
    pub(super) fn forget_idle(&self) {
        for pool in [&self.writes, &self.reads, &self.verifies, &self.leases] {
            drop(pool.retain(|_, _| false));
        }
    }

    /// A connection for leases: they are written, and are not to be in the way of who looks.
    pub(super) async fn for_leases(&self) -> Result<Lent, PoolError> {
        self.leases.get().await.map(|client| Lent(Some(client)))
    }

    /// The connection for a verification, which is at it for long.
    pub(super) async fn for_verifying(&self) -> Result<Lent, PoolError> {
        self.verifies.get().await.map(|client| Lent(Some(client)))
    }

    /// How many warnings were told so far: one that comes with a commit may say that it is not as safe as it should be.
    pub(super) fn warnings(&self) -> u64 {
        self.warnings.load(Ordering::Acquire)
    }

    /// How many connections there are, and how many are wanted: of those that write, and of those that look.
    pub(super) fn status(&self) -> [(&'static str, deadpool_postgres::Status); 2] {
        [("write", self.writes.status()), ("read", self.reads.status())]
    }

    /// Makes no further connection.
    pub(super) fn close(&self) {
        self.writes.close();
        self.reads.close();
        self.verifies.close();
    }
}

/// A connection in the middle of something: if nobody says that it is at its end, however that comes (an error, a panic, somebody who goes away), it is
/// closed rather than used again, and the database takes back what was not committed. So of a look that was given up: what was asked may never be
/// answered, and who came next would wait behind it.
pub(super) struct Lent(Option<Client>);

/// What it may take to take a transaction back.
const ROLLBACK_TIME: Duration = Duration::from_secs(1);

impl Lent {
    /// Its transaction is over, or all that was asked is answered: somebody else may use it.
    pub(super) fn give_back(mut self) {
        drop(self.0.take());
    }

    /// Takes its transaction back. Whether that was said in time.
    pub(super) async fn take_back(self) -> bool {
        let over = tokio::time::timeout(ROLLBACK_TIME, self.batch_execute("ROLLBACK")).await;
        let is_over = matches!(over, Ok(Ok(())));
        if is_over {
            self.give_back();
        }
        is_over
    }
}

impl std::ops::Deref for Lent {
    type Target = Client;

    fn deref(&self) -> &Client {
        self.0.as_ref().expect("it is lent until it is given back")
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some(client) = self.0.take() {
            drop(Client::take(client));
        }
    }
}

/// What every connection is told first: every wait is bounded, and each statement finds its rows by their keys, however small a table was
/// when it was planned.
fn settings(lock_timeout: Duration) -> String {
    let statement_timeout = lock_timeout + STATEMENT_TIME;
    format!(
        "SET lock_timeout = {}; SET statement_timeout = {}; SET idle_in_transaction_session_timeout = {}; \
         SET default_transaction_isolation = 'read committed'; SET client_min_messages = warning; \
         SET plan_cache_mode = force_generic_plan; \
         SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off; SET jit = off",
        lock_timeout.as_millis().max(1),
        statement_timeout.as_millis(),
        (statement_timeout * 2).as_millis(),
    )
}

fn config(database: &Database) -> Result<Config, AddressError> {
    let url = &database.url;
    let mut config = Config::from_str(url.secret()).map_err(|error| AddressError::Url {
        url: url.clone(),
        // What is wrong, without what was said.
        error: std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string),
    })?;
    if let Some(path) = &database.password_file {
        let flag = "--store-password-file";
        let password = std::fs::read_to_string(path).map_err(|error| file(flag, path, &error))?;
        config.password(password.trim_end_matches(['\r', '\n']));
    }
    if config.get_application_name().is_none() {
        config.application_name("inventory");
    }
    config
        .keepalives_idle(Duration::from_secs(10))
        .keepalives_interval(Duration::from_secs(5))
        .keepalives_retries(3)
        .tcp_user_timeout(Duration::from_secs(30))
        // Never a standby: what it has is behind, and it takes no changes.
        .target_session_attrs(TargetSessionAttrs::ReadWrite);
    Ok(config)
}

/// Encryption, where it was asked for: then the certificate is verified always.
fn tls(database: &Database, mode: SslMode) -> Result<Option<MakeRustlsConnect>, AddressError> {
    // Who names an authority wants it asked, whatever else is said.
    if database.ca_file.is_none() && matches!(mode, SslMode::Disable | SslMode::Prefer) {
        return Ok(None);
    }
    let mut roots = rustls::RootCertStore::empty();
    match &database.ca_file {
        Some(path) => {
            let flag = "--store-ca";
            let certificates = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
            let certificates: Vec<_> = certificates.map_err(|error| file(flag, path, &error))?;
            if certificates.is_empty() {
                return Err(file(flag, path, &"there is no certificate in it"));
            }
            for certificate in certificates {
                roots.add(certificate).map_err(|error| file(flag, path, &error))?;
            }
        }
        None => drop(roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs)),
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider has the default protocols")
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Some(MakeRustlsConnect::new(config)))
}

fn file(flag: &'static str, path: &std::path::Path, error: &dyn fmt::Display) -> AddressError {
    AddressError::File { flag, path: path.to_owned(), error: error.to_string() }
}

/// How a connection is opened: its warnings are counted.
struct Opening {
    hosts: Arc<Hosts>,
    tls: Option<MakeRustlsConnect>,
    warnings: Arc<AtomicU64>,
}

type Opened = Result<(tokio_postgres::Client, JoinHandle<()>), tokio_postgres::Error>;

impl Connect for Opening {
    fn connect(&self, _: &Config) -> Pin<Box<dyn Future<Output = Opened> + Send + '_>> {
        let (hosts, warnings) = (Arc::clone(&self.hosts), Arc::clone(&self.warnings));
        let tls = self.tls.clone();
        Box::pin(async move {
            match tls {
                Some(tls) => {
                    let (client, connection) = hosts.connect(SslMode::Require, tls).await?;
                    Ok((client, tokio::spawn(drive(connection, warnings))))
                }
                None => {
                    let (client, connection) = hosts.connect(SslMode::Disable, NoTls).await?;
                    Ok((client, tokio::spawn(drive(connection, warnings))))
                }
            }
        })
    }
}

/// Carries messages between a connection and who uses it, to its end.
async fn drive<S>(mut connection: tokio_postgres::Connection<Socket, S>, warnings: Arc<AtomicU64>)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    loop {
        match std::future::poll_fn(|context| connection.poll_message(context)).await {
            Some(Ok(AsyncMessage::Notice(notice))) => {
                // Those that come with a commit that is not waited for any more: by whom it was cut short says which.
                let cut_short = [SqlState::WARNING, SqlState::ADMIN_SHUTDOWN].contains(notice.code());
                warnings.fetch_add(u64::from(cut_short), Ordering::AcqRel);
                tracing::warn!(code = notice.code().code(), notice = notice.message(), "the database warns");
            }
            Some(Ok(_)) => {}
            Some(Err(error)) => {
                tracing::debug!(%error, "a connection to the database has ended");
                return;
            }
            None => return,
        }
    }
}
