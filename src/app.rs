//! The composition root: the only place that builds the long-lived parts and starts them.

mod offline;

use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio::net::TcpListener;

use crate::config::{Config, Storage};
use crate::http::server::{self, Drained};
use crate::http::{self, HttpState};
use crate::inventory::import::{self, ImportError};
use crate::inventory::{Books, Home, Inventory, Memory};
use crate::journal::data_dir::{DataDir, DataDirError};
use crate::journal::recovery::{self, Progress, RecoveryError, Report};
use crate::journal::watermark::Failed;
use crate::journal::{Journal, JournalConfig, Start, now_ms, snapshot};

pub use offline::{Offline, OfflineError, verify};

/// After the journal failed, how long answers that say so may take to leave.
const FAILURE_GRACE: Duration = Duration::from_secs(1);

/// A service that is built and not yet started.
#[derive(Debug)]
pub struct App {
    state: &'static HttpState,
    config: Config,
    data: Option<DataDir>,
}

/// How a service ended.
#[derive(Debug)]
pub enum Ended {
    /// It was asked to.
    Shutdown(Drained),
    /// It could not start.
    NotOpened(OpenError),
    /// The journal failed.
    Failed(Failed),
}

/// Why what is on disk cannot be gone on with.
#[derive(Debug, Error)]
pub enum OpenError {
    /// It is damaged, or of another version.
    #[error(transparent)]
    Recovery(#[from] RecoveryError),
    /// The journal could not be started.
    #[error("the journal cannot be started: {0}")]
    Start(#[from] std::io::Error),
    /// An import that had happened could not be completed.
    #[error("an import that had happened when the service stopped cannot be completed: {0}")]
    Import(#[from] ImportError),
    /// The thread that reads it panicked.
    #[error("reading what is on disk panicked")]
    Panicked,
}

impl App {
    /// Builds every part that needs no recovery. The data directory is this process's own from here on.
    pub fn build(config: Config) -> Result<Self, DataDirError> {
        let data = match &config.storage {
            Storage::Ephemeral => None,
            Storage::Durable { data_dir, .. } => Some(DataDir::open_or_create(data_dir)?),
        };
        // Leaked on purpose: it lives as long as the process, and needs no reference count (see `HttpState`).
        let state = Box::leak(Box::new(HttpState::new(config.kind)));
        Ok(Self { state, config, data })
    }

    /// Completes when the service that [`App::serve`] runs has recovered what is on disk, and takes requests.
    pub fn opened(&self) -> impl Future<Output = ()> + use<> {
        let state = self.state;
        async move { state.opened().await }
    }

    /// Recovers what is on disk and serves until `shutdown` completes, then finishes what was accepted. Requests that come
    /// before recovery is done are told so.
    pub async fn serve(self, listener: TcpListener, shutdown: impl Future<Output = ()>) -> Ended {
        let Self { state, config, data } = self;
        let router = http::router(state, &config.http);
        let mut early = None;
        let opened = async {
            match open(&config, data.as_ref()).await {
                Ok(inventory) => {
                    state.open(inventory);
                    failed_journal(state).await.map_or(Ended::Shutdown(Drained::Clean), Ended::Failed)
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
        let draining = || {
            state.readiness.set(false);
            if let Ok(inventory) = state.inventory() {
                inventory.chores().stop();
            }
        };
        let drained = server::serve(listener, router, config.server.clone(), stop, draining).await;
        if let Some(ended) = early {
            return ended;
        }
        if let (Drained::Clean, Ok(inventory)) = (drained, state.inventory()) {
            // Requests that were cut off may have left a strategy's thread at work on what will never end.
            inventory.shut_down().await;
        }
        Ended::Shutdown(drained)
    }
}

/// Completes when the journal fails; never if there is none.
async fn failed_journal(state: &HttpState) -> Option<Failed> {
    let journal = state.inventory().ok()?.books().journal();
    match journal {
        Some(journal) => {
            let failed = journal.failed().await;
            state.readiness.set(false);
            // Those who waited for it are told now; their answers need a moment to leave.
            tokio::time::sleep(FAILURE_GRACE).await;
            Some(failed)
        }
        None => std::future::pending().await,
    }
}

async fn open(config: &Config, data: Option<&DataDir>) -> Result<Inventory, OpenError> {
    let new = |books| Inventory::new(config.kind, config.strategy, books);
    match (&config.storage, data) {
        (Storage::Durable { journal, .. }, Some(data)) => {
            let disk = data.disk();
            let pending = import::pending(&disk)?;
            let start = recover(data, journal, !pending.is_empty()).await?;
            let mut levels = Vec::new();
            start.heads.walk(|key, head| levels.push((key.clone(), head.level)));
            let journal_started = Journal::start(data.disk(), start, journal)?;
            let home = Home { disk: data.disk(), path: data.path().to_owned() };
            let inventory = new(Books::Durable(Arc::new(journal_started))).at_home(home);
            inventory.restore(levels).await;
            inventory.finish_imports(&disk, &pending).await?;
            Ok(inventory)
        }
        _ => {
            let JournalConfig { keys_max, keys_retention, .. } = JournalConfig::default();
            Ok(new(Books::Ephemeral(Memory::new(keys_max, keys_retention))))
        }
    }
}

async fn recover(data: &DataDir, config: &JournalConfig, keep_keys: bool) -> Result<Start, OpenError> {
    let disk = data.disk();
    // Which chunks of an import are in the log their keys tell, however old.
    let key_retention = if keep_keys { Duration::MAX } else { config.keys_retention };
    let options = recovery::Options { now_ms: now_ms(), key_retention };
    let read = move || recovery::recover(&disk, &options, &report_progress());
    let recovered = tokio::task::spawn_blocking(read).await.map_err(|_| OpenError::Panicked)??;
    log_report(&recovered.report);
    let loaded = recovered.report.snapshot.as_deref();
    Ok(Start {
        covered: loaded.and_then(snapshot::start_of).unwrap_or(0),
        heads: recovered.heads,
        keys: recovered.keys,
        log: recovered.log,
        tail: recovered.tail,
        end: recovered.end,
    })
}

/// Tells the operator what recovery found.
fn log_report(report: &Report) {
    for warning in &report.warnings {
        tracing::warn!("{warning}");
    }
    if let Some(cut) = &report.cut {
        tracing::warn!(
            ?cut,
            "the last commit was not finished when the service stopped, and was never acknowledged: cut"
        );
    }
    tracing::info!(
        levels = report.levels,
        movements = report.movements,
        snapshot = report.snapshot.as_deref(),
        duration_ms = report.duration.as_millis(),
        "recovered"
    );
}

/// Says how far a long recovery is, at most once a second.
fn report_progress() -> impl Fn(Progress) {
    let last = parking_lot::Mutex::new(std::time::Instant::now());
    move |progress| {
        let mut last = last.lock();
        if last.elapsed() >= Duration::from_secs(1) {
            *last = std::time::Instant::now();
            let percent = progress.bytes * 100 / progress.bytes_total.max(1);
            tracing::info!(percent, movements = progress.movements, "reading the log");
        }
    }
}
