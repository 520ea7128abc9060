//! Webhooks: whoever asked for it is told of every movement, by a signed message to a URL (Standard Webhooks 1.0).
//!
//! A webhook is a place in the ledger and a URL. One task for each reads what comes after the place and posts it, one message at a time
//! ([`worker`]), so no writer knows of one, and a receiver that is slow, or away, holds up nobody but itself. **At least once, in order**: the
//! place is moved when a message was taken, and written down about once a second; what was taken since is told again after a crash, under
//! the same id.
//!
//! **Of several processes that share the stock** each knows what was asked for, and one at a time tells a hook ([`shared`]): who has its lease.
//!
//! - [`hook`]: one of them. [`filter`]: what it is for. [`kept`]: what is kept of it, [`positions`]: and when. [`config`]: the bounds. [`changes`]: what may be
//!   asked.
//! - [`shared`], [`turn`]: who tells it, where several could.
//! - [`message`]: what is sent. [`secret`]: what signs it. [`address`]: where to. [`post`]: one attempt; [`crate::outgoing`] carries it out.
//!
//! It reads the ledger through the gate and changes nothing in the stock; it is not asked by anybody before a change.

pub mod address;
mod changes;
pub mod config;
pub mod filter;
pub mod hook;
mod kept;
mod message;
mod positions;
pub mod post;
pub mod secret;
mod shared;
mod turn;
mod worker;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;
use thiserror::Error;
use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinHandle;

use self::address::Addresses;
pub use self::changes::{Asked, NotChanged};
pub use self::config::WebhookConfig;
pub use self::hook::{Hook, HookId, HookView};
use self::hook::{HookState, Progress, Settings};
use self::kept::{KeptHooks, KeptPositions, KeptProgress};
use self::message::Message;
pub use self::post::Attempt;
use self::post::Poster;
pub use self::secret::Secret;
use crate::alerts::Alerts;
use crate::clock::wall_ms;
use crate::store::{AnyStore, Document, Kept, MovementCursor, NotDone, Revision, Seq, Store as _, Why};
use crate::telemetry::Exposition;

/// Webhooks for which the ledger is read at the same time: reading costs processor time that writers could use.
const LOOKING_MAX: usize = 2;

/// All webhooks of a service.
#[derive(Debug)]
pub struct Webhooks {
    store: &'static AnyStore,
    alerts: &'static Alerts,
    config: WebhookConfig,
    poster: Poster,
    known: Mutex<Known>,
    /// Held by who changes what is asked for, until it is written.
    changing: tokio::sync::Mutex<()>,
    looking: Semaphore,
    /// Somewhere there is something to be written down.
    dirty: Notify,
    /// What was asked for is not written as it is: a hook was disabled, and there was no room to say so.
    has_unwritten: AtomicBool,
    counts: Counts,
    stopped: AtomicBool,
    /// Who writes down how far they have come; or, where several processes share them, who looks what the others do.
    writer: Mutex<Option<JoinHandle<()>>>,
}

/// What was asked for, as far as is known here.
#[derive(Debug, Default)]
struct Known {
    hooks: BTreeMap<HookId, Arc<Hook>>,
    /// Which document that is of.
    revision: Revision,
}

#[derive(Debug, Default)]
struct Counts {
    taken: AtomicU64,
    failed: AtomicU64,
}

/// Why webhooks cannot be gone on with.
#[derive(Debug, Error)]
pub enum WebhooksError {
    /// What is kept of them cannot be read.
    #[error("what is kept of webhooks cannot be read: {0}")]
    Unread(NotDone),
    /// It was read, and is of a form that this program does not know.
    #[error("the file {file} is of a form that this program does not know: {error}")]
    Unknown {
        /// The file.
        file: &'static str,
        /// What is wrong.
        error: serde_json::Error,
    },
}

impl Webhooks {
    /// Those of a store, and how far they have come. Lives as long as the process, as the store does; nobody is told of anything yet.
    pub async fn open(
        store: &'static AnyStore,
        alerts: &'static Alerts,
        config: WebhookConfig,
    ) -> Result<&'static Self, WebhooksError> {
        let (revision, KeptHooks { webhooks }) = read(store, Document::Webhooks, "webhooks").await?;
        let (_, KeptPositions { positions }) =
            read(store, Document::WebhookPositions, "webhook-positions").await?;
        let mut positions: BTreeMap<HookId, KeptProgress> =
            positions.into_iter().map(|kept| (kept.id, kept)).collect();
        let hook = |settings: Settings| {
            let kept = positions.remove(&settings.id);
            let progress =
                kept.map_or_else(|| Progress::begins(&settings), |kept| kept.into_progress(settings.enabled));
            (settings.id, Arc::new(Hook::new(settings, progress)))
        };
        let hooks: BTreeMap<HookId, Arc<Hook>> = webhooks.into_iter().map(hook).collect();
        let poster = Poster::new(Addresses::allowing(config.allow.clone()), config.attempt_timeout);
        let all = Box::leak(Box::new(Self {
            store,
            alerts,
            config,
            poster,
            known: Mutex::new(Known { hooks, revision }),
            changing: tokio::sync::Mutex::default(),
            looking: Semaphore::new(LOOKING_MAX),
            dirty: Notify::new(),
            has_unwritten: AtomicBool::new(false),
            counts: Counts::default(),
            stopped: AtomicBool::new(false),
            writer: Mutex::default(),
        }));
        for hook in all.every() {
            let lineage = hook.progress.lock().at.lineage();
            if lineage != store.lineage() {
                all.begin_anew(&hook, store.feed_end_at_opening());
            }
        }
        Ok(all)
    }

    /// From here on everybody is told.
    pub fn start(&'static self) {
        let writer = if self.store.leases().is_some() {
            tokio::spawn(shared::look_now_and_then(self))
        } else {
            self.every().iter().for_each(|hook| self.resume(hook));
            tokio::spawn(self.write_now_and_then())
        };
        *self.writer.lock() = Some(writer);
    }

    /// Gives up what is under way: it is handed over again later. Does not wait.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Release);
        let tasks = self.every();
        let tasks = tasks.iter().map(|hook| hook.task.lock());
        tasks.for_each(|task| task.iter().for_each(JoinHandle::abort));
    }

    /// After [`Webhooks::stop`]: writes down how far each has come.
    pub async fn finish(&'static self) {
        let writer = self.writer.lock().take();
        if let Some(writer) = writer {
            writer.abort();
            let _ended = writer.await;
        }
        for hook in self.every() {
            hook.halt().await;
        }
        let written =
            if self.store.leases().is_some() { self.give_all_back().await } else { self.write_down().await };
        if let Err(error) = written {
            tracing::warn!(%error, "how far webhooks have come was not written down: some messages are sent again");
        }
    }

    /// All of them, in the order in which they were made.
    pub async fn list(&'static self) -> Result<Vec<HookView>, NotDone> {
        self.look_around().await?;
        // How many there are to be told of, also of those that other processes made.
        self.store.feed_caught_up().await?;
        Ok(self.views())
    }

    /// The one of that name.
    pub async fn view(&'static self, id: HookId) -> Result<Option<HookView>, NotDone> {
        self.look_around().await?;
        self.store.feed_caught_up().await?;
        let hook = self.known.lock().hooks.get(&id).cloned();
        Ok(hook.map(|hook| hook.view(self.end(), wall_ms())))
    }

    /// Sends a message that tells of nothing, and says what came of it; `None` if there is no such hook.
    pub async fn ping(&'static self, id: HookId) -> Result<Option<Attempt>, NotDone> {
        self.learn().await?;
        let Some(hook) = self.known.lock().hooks.get(&id).cloned() else { return Ok(None) };
        let now_ms = wall_ms();
        let name = HookId::new(now_ms, random().ok_or_else(no_randomness)?);
        let message = Message::ping(&name.to_string(), now_ms);
        let url = hook.settings.lock().url.clone();
        Ok(Some(self.poster.post(&url, &message, &hook.secrets(now_ms)).await))
    }

    /// Appends what is counted.
    pub fn expose(&self, text: &mut Exposition) {
        let views = self.views();
        text.counter("inventory_webhook_deliveries_total", "Messages that webhooks took.");
        text.sample("inventory_webhook_deliveries_total", &[], self.counts.taken.load(Ordering::Relaxed));
        text.counter(
            "inventory_webhook_failures_total",
            "Attempts to hand a message to a webhook that failed; they are made again.",
        );
        text.sample("inventory_webhook_failures_total", &[], self.counts.failed.load(Ordering::Relaxed));
        text.gauge("inventory_webhooks", "Webhooks, by how they do.");
        for state in HookState::ALL {
            let count = views.iter().filter(|view| view.state == state).count();
            text.sample("inventory_webhooks", &[("state", state.name())], count);
        }
        text.gauge(
            "inventory_webhook_lag_movements",
            "How many movements the webhook that is furthest behind, and not disabled, has yet to be told of.",
        );
        let told = views.iter().filter(|view| view.state != HookState::Disabled);
        let lag = told.map(|view| view.behind).max().unwrap_or(0);
        text.sample("inventory_webhook_lag_movements", &[], lag);
    }

    fn every(&self) -> Vec<Arc<Hook>> {
        self.known.lock().hooks.values().cloned().collect()
    }

    fn views(&self) -> Vec<HookView> {
        let (end, now_ms) = (self.end(), wall_ms());
        self.every().iter().map(|hook| hook.view(end, now_ms)).collect()
    }

    fn end(&self) -> Seq {
        self.store.feed_end().seq().unwrap_or_default()
    }

    fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }

    /// Has a hook told of what happens, unless it is disabled, or another process does. Whoever told it before has ended.
    fn resume(&'static self, hook: &Arc<Hook>) {
        let is_wanted = hook.is_told();
        let mut task = hook.task.lock();
        // Begun before: one that is made as the service opens begins by itself, and with all the others.
        let is_told = task.as_ref().is_some_and(|task| !task.is_finished());
        // Under the lock under which it would be ended.
        if is_wanted && !is_told && !self.is_stopped() {
            let hook = Arc::clone(hook);
            *task = Some(if self.store.leases().is_some() {
                tokio::spawn(shared::tell_in_turn(self, hook))
            } else {
                tokio::spawn(worker::run(self, hook))
            });
        }
    }

    /// That is what was asked for, from that document on; unless a later one is known.
    fn install(&'static self, revision: Revision, webhooks: Vec<Settings>) {
        let mut known = self.known.lock();
        if revision < known.revision {
            return;
        }
        let mut before = std::mem::take(&mut known.hooks);
        for settings in webhooks {
            let hook = match before.remove(&settings.id) {
                Some(hook) => {
                    hook.settle(settings);
                    hook
                }
                None => {
                    let begins = Progress::begins(&settings);
                    Arc::new(Hook::new(settings, begins))
                }
            };
            known.hooks.insert(hook.id, hook);
        }
        known.revision = revision;
        drop(known);
        for hook in before.into_values() {
            hook.is_over.store(true, Ordering::Release);
            if self.store.leases().is_some() {
                tokio::spawn(shared::let_go(self, hook));
            }
        }
    }

    /// A hook has come that far.
    fn moved(&self, hook: &Hook, at: MovementCursor) {
        hook.progress.lock().at = at;
        self.is_dirty(hook);
    }

    /// There is something to be written down of a hook.
    fn is_dirty(&self, hook: &Hook) {
        hook.moved.notify_one();
        self.dirty.notify_one();
    }

    /// The place a hook was at is not one of this history: it goes on from `end`, where what came of a backup ends.
    fn begin_anew(&self, hook: &Hook, end: MovementCursor) {
        let notice = "its place was in a history that is not this one's, as a backup was restored: it goes on from the end of the backup";
        tracing::warn!(webhook = %hook.id, "a webhook was in a history that is not this one's, and goes on from its end");
        let mut progress = hook.progress.lock();
        progress.at = end;
        progress.notice = Some(notice.to_owned());
        drop(progress);
        self.is_dirty(hook);
    }
}

async fn read<T: Default + serde::de::DeserializeOwned>(
    store: &AnyStore,
    document: Document,
    file: &'static str,
) -> Result<(Revision, T), WebhooksError> {
    let kept = store.document(document).await.map_err(WebhooksError::Unread)?;
    let Some(Kept { revision, bytes }) = kept else { return Ok((Revision::default(), T::default())) };
    let read = serde_json::from_slice(&bytes).map_err(|error| WebhooksError::Unknown { file, error })?;
    Ok((revision, read))
}

/// `None` if the system has no randomness to give.
fn random() -> Option<u128> {
    let mut bytes = [0; 16];
    let random = rustls::crypto::ring::default_provider().secure_random;
    random.fill(&mut bytes).ok().map(|()| u128::from_le_bytes(bytes))
}

fn no_randomness() -> NotDone {
    NotDone::no(Why::Damaged("the system has no randomness to give".to_owned()))
}
