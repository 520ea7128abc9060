//! The composition root: the only place that builds the long-lived parts and puts them together.

mod collector;
mod moving;
mod offline;

use std::sync::Arc;
use std::time::{Duration, Instant};

use thiserror::Error;

use self::collector::Telling;
use crate::access::{Access, ApiKeys, AuthFileError, JwksError, Tokens};
use crate::alerts::{Alerts, Unreadable};
use crate::config::Config;
use crate::http::routes::Face;
use crate::http::server::listen::Listener;
use crate::http::server::tls::Tls;
use crate::http::server::{self, Drained, Entrance, Leaving, ServerConfig};
use crate::http::{self, HttpState};
use crate::store::{AnyStore, Storage, Store as _, local, postgres};
use crate::webhooks::{Webhooks, WebhooksError};

pub use crate::store::local::{Intent, OfflineVerification};
pub use moving::{MigrateError, Place, make_tables, migrate, tables};
pub use offline::{Offline, verify};

/// After the store failed, how long answers that say so may take to leave.
const FAILURE_GRACE: Duration = Duration::from_secs(1);

/// Connections of those who run the service, at once. They are beside those of clients: a probe finds a way in when clients find none.
const PRIVATE_CONNECTIONS_MAX: usize = 64;

/// A store that is about to be opened.
#[derive(Debug)]
enum Opening {
    Local(local::Opening),
    Postgres(postgres::Opening),
}

/// Why a store cannot be opened.
#[derive(Debug, Error)]
pub enum OpenError {
    /// That of one process.
    #[error(transparent)]
    Local(#[from] local::OpenError),
    /// That of many.
    #[error(transparent)]
    Postgres(#[from] postgres::OpenError),
}

impl OpenError {
    /// Whether the configuration is to blame.
    pub fn is_misdirected(&self) -> bool {
        match self {
            Self::Local(error) => error.is_misdirected(),
            Self::Postgres(error) => error.is_misdirected(),
        }
    }
}

impl Opening {
    /// What needs no recovery.
    fn begin(config: &Config) -> Result<Self, OpenError> {
        Ok(match &config.storage {
            Storage::Postgres { database, keeping } => {
                Self::Postgres(postgres::Opening::begin(database, keeping)?)
            }
            storage => {
                Self::Local(local::Opening::begin(config.kind, config.strategy, storage, Intent::Serve)?)
            }
        })
    }

    async fn open(&self, state: &HttpState) -> Result<AnyStore, OpenError> {
        Ok(match self {
            Self::Local(opening) => AnyStore::Local(opening.open().await?),
            Self::Postgres(opening) => {
                AnyStore::Postgres(opening.open_telling(|why| state.waits_for(why)).await?)
            }
        })
    }
}

/// A service that is built and not yet started.
#[derive(Debug)]
pub struct App {
    state: &'static HttpState,
    config: Config,
    opening: Opening,
}

/// How a service ended.
#[derive(Debug)]
pub enum Ended {
    /// It was asked to.
    Shutdown(Drained),
    /// It could not start.
    NotOpened(OpenError),
    /// What is kept beside the stock cannot be understood.
    Unreadable(Unreadable),
    /// What is kept of webhooks cannot be gone on with.
    NoWebhooks(WebhooksError),
    /// The store can keep nothing any more: this is why.
    Failed(String),
}

/// Why a service cannot be built.
#[derive(Debug, Error)]
pub enum BuildError {
    /// There are no keys to know clients by.
    #[error("--auth-file {0}")]
    NoKeys(#[from] AuthFileError),
    /// There are no keys to verify tokens by.
    #[error("--jwt-jwks {0}")]
    NoTokens(#[from] JwksError),
    /// The data directory cannot be taken.
    #[error(transparent)]
    NotOpened(#[from] OpenError),
}

impl BuildError {
    /// Whether the configuration is to blame: the service was pointed at something else altogether.
    pub fn is_misdirected(&self) -> bool {
        match self {
            Self::NoKeys(_) | Self::NoTokens(_) => true,
            Self::NotOpened(error) => error.is_misdirected(),
        }
    }
}

/// Where a service is asked.
#[derive(Debug)]
pub struct Listening {
    /// By its clients.
    pub public: Vec<Listener>,
    /// By those who run it, if they have a way in of their own: then what is for them is not for clients.
    pub private: Option<Listener>,
    /// The certificate that clients see, if what is sent over TCP is not to be read in between.
    pub tls: Option<Arc<Tls>>,
}

impl Listening {
    /// At one address, for everybody.
    pub fn at(listener: impl Into<Listener>) -> Self {
        Self { public: vec![listener.into()], private: None, tls: None }
    }

    fn entrances(self, state: &'static HttpState, config: &Config) -> Vec<Entrance> {
        let entrance = |listeners, face, tls: Option<Arc<Tls>>, connections_max| {
            let router = http::router(state, &config.http, face, tls.is_some());
            Entrance { listeners, router, tls, connections_max, is_public: face != Face::Private }
        };
        let public = if self.private.is_some() { Face::Public } else { Face::All };
        let mut entrances = vec![entrance(self.public, public, self.tls, config.server.connections_max)];
        entrances.extend(
            self.private
                .map(|listener| entrance(vec![listener], Face::Private, None, PRIVATE_CONNECTIONS_MAX)),
        );
        entrances
    }
}

impl App {
    /// Builds every part that needs no recovery. The data directory is this process's own from here on.
    pub fn build(config: Config) -> Result<Self, BuildError> {
        let keys = config.auth_file.as_deref().map(ApiKeys::open).transpose()?;
        let tokens = config.jwt.clone().map(Tokens::open).transpose()?;
        let access = Access::of(keys, tokens).map(|access| &*Box::leak(Box::new(access)));
        let opening = Opening::begin(&config)?;
        // Leaked on purpose: it lives as long as the process, and needs no reference count (see `HttpState`).
        let state = HttpState::new(config.kind, &config.http).guarded_by(access);
        let state = Box::leak(Box::new(state.traced_by(collector::tracer(&config))));
        Ok(Self { state, config, opening })
    }

    /// What clients are known by, to be read again; `None` where nobody is asked who it is.
    pub fn access(&self) -> Option<&'static Access> {
        self.state.access
    }

    /// What its handlers see: for who looks at it, or takes places in it, from the inside.
    pub fn state(&self) -> &'static HttpState {
        self.state
    }

    /// Completes when the service that [`App::serve`] runs has recovered what is on disk, and takes requests.
    pub fn opened(&self) -> impl Future<Output = ()> + use<> {
        let state = self.state;
        async move { state.opened().await }
    }

    /// Recovers what is on disk and serves until `shutdown` completes, then finishes what was accepted. Requests that come
    /// before recovery is done are told so.
    pub async fn serve(self, listening: Listening, shutdown: impl Future<Output = ()>) -> Ended {
        let grace = self.config.server.shutdown_grace;
        let telling = Telling::start(&self.config, self.state);
        let (ended, stopped) = Box::pin(self.serve_stock(listening, shutdown)).await;
        // Last, so that what the end was like is told as well.
        telling.finish(grace.saturating_sub(stopped.elapsed())).await;
        ended
    }

    /// Says also when it was asked to end, or had to.
    async fn serve_stock(self, listening: Listening, shutdown: impl Future<Output = ()>) -> (Ended, Instant) {
        let Self { state, config, opening } = self;
        let entrances = listening.entrances(state, &config);
        let mut early = None;
        let opened = async {
            match opening.open(state).await {
                Ok(store) => {
                    // Leaked as the state is, which lives as long.
                    let store: &'static AnyStore = Box::leak(Box::new(store));
                    match beside(store, &config).await {
                        Ok((alerts, webhooks)) => {
                            state.open(store, alerts, webhooks);
                            webhooks.start();
                            Ended::Failed(failure(state).await)
                        }
                        Err(ended) => ended,
                    }
                }
                Err(error) => Ended::NotOpened(error),
            }
        };
        let stop = async {
            tokio::select! {
                () = shutdown => {}
                ended = opened => early = Some(ended),
            }
        };
        let grace = config.server.shutdown_grace;
        let mut stopped = Instant::now();
        let leaving = |leaving| {
            if leaving == Leaving::Delayed {
                return state.readiness.fall();
            }
            stopped = Instant::now();
            state.readiness.set(false);
            if let (Ok(store), Ok(webhooks)) = (state.store(), state.webhooks()) {
                webhooks.stop();
                store.stop();
            }
        };
        let tells_addresses = config.http.rate_limit.is_some();
        let server = ServerConfig { tells_addresses, ..config.server.clone() };
        let drained = server::serve(entrances, server, &state.connections, stop, leaving).await;
        if let Some(ended) = early {
            return (ended, stopped);
        }
        if let Ok(webhooks) = state.webhooks() {
            webhooks.finish().await;
        }
        if let (Drained::Clean, Ok(store)) = (drained, state.store()) {
            drain(store, grace.saturating_sub(stopped.elapsed())).await;
            // Requests that were cut off may have left a strategy's thread at work on what will never end.
            store.shut_down().await;
            // What was accepted may have found no room on the disk to the end.
            tokio::select! {
                biased;
                failed = store.failed() => return (Ended::Failed(failed), stopped),
                () = std::future::ready(()) => {}
            }
        }
        (Ended::Shutdown(drained), stopped)
    }
}

/// What is kept beside the stock.
async fn beside(
    store: &'static AnyStore,
    config: &Config,
) -> Result<(&'static Alerts, &'static Webhooks), Ended> {
    let alerts = Alerts::load(store).await.map_err(Ended::Unreadable)?;
    let alerts: &'static Alerts = Box::leak(Box::new(alerts));
    let webhooks = Webhooks::open(store, alerts, config.webhooks.clone()).await.map_err(Ended::NoWebhooks)?;
    Ok((alerts, webhooks))
}

/// Lets the orders that are queued have their turn, as far as there is time. Nobody places one any more.
async fn drain(store: &AnyStore, time: Duration) {
    if tokio::time::timeout(time, store.drain()).await.is_err() {
        // None is lost: that is what the journal is for.
        tracing::warn!(
            "the shutdown grace ran out; orders that are queued have their turn after the next start"
        );
    }
}

/// Completes once the store can keep nothing any more, and whoever waited for it has been told.
async fn failure(state: &HttpState) -> String {
    let Ok(store) = state.store() else { return std::future::pending().await };
    let failed = store.failed().await;
    state.readiness.set(false);
    // Those who waited for it are told now; their answers need a moment to leave.
    tokio::time::sleep(FAILURE_GRACE).await;
    failed
}
