//! [`Hook`]: one webhook: what was asked for, how far it has been told, and how that goes.

use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use super::filter::Filter;
use super::kept::{self, KeptProgress};
use super::secret::Secret;
use crate::outgoing::url::Url;
use crate::stock::Id;
use crate::store::lease::Claim;
use crate::store::{MovementCursor, Seq};

/// The name of a webhook.
pub type HookId = Id<Hook>;

/// What was asked for, as it is kept.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Settings {
    #[serde(with = "kept::id")]
    pub(super) id: HookId,
    #[serde(with = "kept::url")]
    pub(super) url: Url,
    #[serde(flatten)]
    pub(super) filter: Filter,
    /// How many movements a message tells of at most; 1: each has a message of its own.
    pub(super) batch: usize,
    pub(super) created_ms: u64,
    /// Where it begins; how far it has come since is kept apart.
    #[serde(with = "kept::cursor")]
    pub(super) begins: MovementCursor,
    /// What signs its messages.
    pub(super) secret: Secret,
    /// What signed them before, while it still does as well.
    pub(super) old_secret: Option<OldSecret>,
    /// Why nothing is sent any more.
    pub(super) disabled: Option<Disabled>,
    /// How often somebody has asked to go on with it. What was found out before counts no more: that it fails, or is to be disabled.
    #[serde(default, skip_serializing_if = "kept::is_zero")]
    pub(super) enabled: u64,
}

/// A secret that was replaced.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct OldSecret {
    pub(super) secret: Secret,
    pub(super) until_ms: u64,
}

/// Why a webhook is sent nothing, and since when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disabled {
    /// Why.
    pub reason: String,
    /// Since when, in milliseconds of Unix time.
    pub at_ms: u64,
}

/// How far it has been told, and how that goes.
#[derive(Debug, Clone)]
pub(super) struct Progress {
    /// The last movement that was taken, or is not wanted.
    pub(super) at: MovementCursor,
    pub(super) failing: Option<Failing>,
    /// Movements that are not kept any more, of which it has yet to be told.
    pub(super) gap: Option<(Seq, Seq)>,
    /// What has become of the place it was at.
    pub(super) notice: Option<String>,
}

/// Attempts that failed in a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failing {
    /// Since when, in milliseconds of Unix time.
    pub since_ms: u64,
    /// How many.
    pub attempts: u32,
    /// What came of the last.
    pub last_error: String,
    /// When the next is made, in milliseconds of Unix time; `None` while one is.
    pub next_attempt_ms: Option<u64>,
}

/// How a webhook does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HookState {
    /// It is told of what happens.
    Active,
    /// It is being told that movements it was to be told of are not kept any more.
    Gap,
    /// The last attempt failed, and is made again.
    Failing,
    /// It is sent nothing.
    Disabled,
}

impl HookState {
    /// Every one there is.
    pub const ALL: [Self; 4] = [Self::Active, Self::Gap, Self::Failing, Self::Disabled];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Gap => "gap",
            Self::Failing => "failing",
            Self::Disabled => "disabled",
        }
    }
}

impl Settings {
    /// The same; and disabled, if it was found to be since somebody asked to go on with it last. That may not have been written yet.
    pub(super) fn still_disabled(self, known: &Self) -> Self {
        if self.enabled == known.enabled && self.disabled.is_none() {
            return Self { disabled: known.disabled.clone(), ..self };
        }
        self
    }
}

impl Progress {
    /// That of one that was told nothing yet.
    pub(super) fn begins(settings: &Settings) -> Self {
        Self { at: settings.begins, failing: None, gap: None, notice: None }
    }
}

/// One webhook.
#[derive(Debug)]
pub struct Hook {
    pub(super) id: HookId,
    pub(super) settings: Mutex<Settings>,
    pub(super) progress: Mutex<Progress>,
    /// Who tells it, while anybody of this process does.
    pub(super) task: Mutex<Option<JoinHandle<()>>>,
    /// By which this process tells it, where several could. Its progress is then what this process says.
    pub(super) claim: Mutex<Option<Claim>>,
    /// It has come further, or fails, or does so no more.
    pub(super) moved: Notify,
    /// Somebody has asked to go on with it: who waits for its next attempt makes it.
    pub(super) woken: Notify,
    /// It was disabled by who tells it, of this process, and that is not written yet.
    pub(super) is_disabled_unwritten: AtomicBool,
    /// It was deleted.
    pub(super) is_over: AtomicBool,
}

/// A webhook, as it is shown: without its secret.
#[derive(Debug, Clone)]
pub struct HookView {
    /// Its name.
    pub id: HookId,
    /// Where messages go.
    pub url: String,
    /// Which events it is for.
    pub filter: Filter,
    /// How many movements a message tells of at most.
    pub batch: usize,
    /// When it was made, in milliseconds of Unix time.
    pub created_ms: u64,
    /// How it does.
    pub state: HookState,
    /// Attempts that failed in a row.
    pub failing: Option<Failing>,
    /// Why nothing is sent.
    pub disabled: Option<Disabled>,
    /// Movements after the first of these, and before the second, are not kept any more; it is being told.
    pub gap: Option<(Seq, Seq)>,
    /// What has become of the place it was at.
    pub notice: Option<String>,
    /// The last movement that was taken, or is not wanted.
    pub position: MovementCursor,
    /// How many movements there are after that.
    pub behind: u64,
    /// Until when the secret before this one signs as well, in milliseconds of Unix time.
    pub old_secret_until_ms: Option<u64>,
}

impl Hook {
    pub(super) fn new(settings: Settings, progress: Progress) -> Self {
        let (settings, progress) = (Mutex::new(settings), Mutex::new(progress));
        let id = settings.lock().id;
        Self {
            id,
            settings,
            progress,
            task: Mutex::default(),
            claim: Mutex::default(),
            moved: Notify::new(),
            woken: Notify::new(),
            is_disabled_unwritten: AtomicBool::new(false),
            is_over: AtomicBool::new(false),
        }
    }

    /// What is asked for of it from here on.
    pub(super) fn settle(&self, settings: Settings) {
        let mut current = self.settings.lock();
        if settings.disabled.is_some() {
            self.is_disabled_unwritten.store(false, Ordering::Release);
        }
        let settings = settings.still_disabled(&current);
        let is_woken = settings.enabled != current.enabled;
        if is_woken {
            let mut progress = self.progress.lock();
            (progress.failing, progress.notice) = (None, None);
        }
        *current = settings;
        drop(current);
        if is_woken {
            self.woken.notify_one();
            self.moved.notify_one();
        }
    }

    /// Another process tells it from now on: what was found out here and not written is for that to find out.
    pub(super) fn lose(&self) {
        let mut settings = self.settings.lock();
        if self.is_disabled_unwritten.swap(false, Ordering::AcqRel) {
            settings.disabled = None;
        }
        drop(settings);
    }

    /// Whether it is to be sent anything.
    pub(super) fn is_told(&self) -> bool {
        !self.is_over.load(Ordering::Acquire) && self.settings.lock().disabled.is_none()
    }

    /// As it is shown, where that is the end of the ledger.
    pub(super) fn view(&self, end: Seq, now_ms: u64) -> HookView {
        let settings = self.settings.lock().clone();
        let Progress { at, failing, gap, notice } = self.progress.lock().clone();
        let state = match (&settings.disabled, &failing, gap) {
            (Some(_), _, _) => HookState::Disabled,
            (None, Some(_), _) => HookState::Failing,
            (None, None, Some(_)) => HookState::Gap,
            (None, None, None) => HookState::Active,
        };
        let behind = end.number().saturating_sub(at.seq().unwrap_or_default().number());
        let old_secret_until_ms =
            settings.old_secret.as_ref().map(|old| old.until_ms).filter(|until_ms| *until_ms > now_ms);
        let Settings { id, url, filter, batch, created_ms, disabled, .. } = settings;
        HookView {
            id,
            url: url.to_string(),
            filter,
            batch,
            created_ms,
            state,
            failing,
            disabled,
            gap,
            notice,
            position: at,
            behind,
            old_secret_until_ms,
        }
    }

    /// The secrets that sign a message now.
    pub(super) fn secrets(&self, now_ms: u64) -> Vec<Secret> {
        let settings = self.settings.lock();
        let old = settings.old_secret.iter().filter(|old| old.until_ms > now_ms).map(|old| &old.secret);
        [&settings.secret].into_iter().chain(old).cloned().collect()
    }

    /// What is kept of how far it has come.
    pub(super) fn kept_progress(&self) -> KeptProgress {
        let settings = self.settings.lock();
        let kept = KeptProgress::of(self.id, settings.enabled, &self.progress.lock());
        drop(settings);
        kept
    }

    /// Ends whoever tells it, if anybody does: once this returns nothing more is sent.
    pub(super) async fn halt(&self) {
        let task = self.task.lock().take();
        if let Some(task) = task {
            task.abort();
            // It ends by being told to; or has panicked, which is in the log.
            let _ended = task.await;
        }
    }
}
