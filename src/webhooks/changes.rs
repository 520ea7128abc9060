//! What may be asked of webhooks: to make one, to end it, to sign with another secret, to go on.
//!
//! What is asked for is written before it is answered, and holds from then on. Once begun it is carried through, whoever has gone away.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use thiserror::Error;

use super::address::NoAddress;
use super::filter::Filter;
use super::hook::{Disabled, Hook, HookId, HookView, OldSecret, Progress, Settings};
use super::secret::Secret;
use super::{Webhooks, random};
use crate::clock::wall_ms;
use crate::outgoing::url::Url;
use crate::store::{NotDone, Store as _, Why};

/// A webhook that is asked for.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Where messages go.
    pub url: Url,
    /// Which events it is for.
    pub filter: Filter,
    /// How many movements a message tells of at most; 1: each has a message of its own.
    pub batch: usize,
    /// What is to sign its messages; one is made where none is given.
    pub secret: Option<Secret>,
}

/// Why nothing was changed.
#[derive(Debug, Error)]
pub enum NotChanged {
    /// There is no webhook of that name.
    #[error("there is no webhook {0}")]
    NotFound(HookId),
    /// There are as many as may be.
    #[error("there are {0} webhooks, and that is as many as may be; nothing was changed")]
    TooMany(usize),
    /// No message would be sent there.
    #[error("{0}")]
    Address(NoAddress),
    /// It could not be written.
    #[error(transparent)]
    NotDone(#[from] NotDone),
}

impl Webhooks {
    /// Makes a webhook, which is told of what happens from now on; and the secret that signs its messages.
    pub async fn create(&'static self, asked: Asked) -> Result<(HookView, Secret), NotChanged> {
        // What cannot be resolved now may be later; what no message is ever sent to is told at once.
        let found = self.poster.addresses().of(asked.url.host(), asked.url.port());
        let found = tokio::time::timeout(self.config.attempt_timeout, found).await;
        if let Ok(Err(refused @ NoAddress::Refused { .. })) = found {
            return Err(NotChanged::Address(refused));
        }
        carried_through(self.create_now(asked)).await
    }

    async fn create_now(&'static self, asked: Asked) -> Result<(HookView, Secret), NotChanged> {
        let Asked { url, filter, batch, secret } = asked;
        let _changing = self.changing.lock().await;
        let count = self.hooks.lock().len();
        if count >= self.config.hooks_max {
            return Err(NotChanged::TooMany(count));
        }
        let secret = secret.or_else(Secret::random).ok_or_else(no_randomness)?;
        let created_ms = wall_ms();
        self.store.feed_caught_up().await?;
        let settings = Settings {
            id: HookId::new(created_ms, random().ok_or_else(no_randomness)?),
            url,
            filter,
            batch,
            created_ms,
            begins: self.store.feed_end(),
            secret: secret.clone(),
            old_secret: None,
            disabled: None,
        };
        self.write_settings(|all| all.push(settings.clone())).await?;
        let progress = Progress { at: settings.begins, failing: None, gap: None, notice: None };
        let hook = Arc::new(Hook::new(settings, progress));
        self.hooks.lock().insert(hook.id, Arc::clone(&hook));
        self.resume(&hook);
        Ok((hook.view(self.end(), created_ms), secret))
    }

    /// Ends a webhook: when this returns nothing more is sent.
    pub async fn delete(&'static self, id: HookId) -> Result<(), NotChanged> {
        carried_through(async move {
            let _changing = self.changing.lock().await;
            let hook = self.named(id)?;
            self.write_settings(|all| all.retain(|settings| settings.id != id)).await?;
            self.hooks.lock().remove(&id);
            hook.halt().await;
            self.dirty.notify_one();
            Ok(())
        })
        .await
    }

    /// Has another secret sign the messages of a webhook, and the one before it for a while as well; one is made where none is given.
    pub async fn rotate(
        &'static self,
        id: HookId,
        secret: Option<Secret>,
    ) -> Result<(HookView, Secret), NotChanged> {
        carried_through(async move {
            let secret = secret.or_else(Secret::random).ok_or_else(no_randomness)?;
            let now_ms = wall_ms();
            let valid_ms = u64::try_from(self.config.old_secret.as_millis()).unwrap_or(u64::MAX);
            let rotate = |settings: &mut Settings| {
                // The same once more is a retry: what signed before it goes on to.
                if settings.secret != secret {
                    let old = std::mem::replace(&mut settings.secret, secret.clone());
                    let until_ms = now_ms.saturating_add(valid_ms);
                    settings.old_secret = Some(OldSecret { secret: old, until_ms });
                }
            };
            let _changing = self.changing.lock().await;
            let hook = self.named(id)?;
            self.change(&hook, rotate).await?;
            Ok((hook.view(self.end(), now_ms), secret))
        })
        .await
    }

    /// Goes on with a webhook that was disabled, from where it was; one that waits for its next attempt makes it now.
    pub async fn enable(&'static self, id: HookId) -> Result<HookView, NotChanged> {
        carried_through(async move {
            let _changing = self.changing.lock().await;
            let hook = self.named(id)?;
            hook.halt().await;
            let enabled = self.change(&hook, |settings| settings.disabled = None).await;
            if enabled.is_ok() {
                let mut progress = hook.progress.lock();
                (progress.failing, progress.notice) = (None, None);
            }
            self.resume(&hook);
            self.dirty.notify_one();
            enabled.map(|()| hook.view(self.end(), wall_ms()))
        })
        .await
    }

    /// Sends nothing more to a webhook. For who tells it, and ends now.
    pub(super) fn disable(&self, hook: &Hook, reason: String) {
        tracing::warn!(webhook = %hook.id, reason, "a webhook is disabled");
        // It holds, whether or not it can be written now.
        hook.settings.lock().disabled = Some(Disabled { reason, at_ms: wall_ms() });
        self.has_unwritten.store(true, Ordering::Release);
        self.dirty.notify_one();
    }

    /// Changes what is asked for of a webhook, once that is written. For who holds `changing`.
    async fn change(&self, hook: &Hook, change: impl Fn(&mut Settings)) -> Result<(), NotChanged> {
        let id = hook.id;
        self.write_settings(|all| all.iter_mut().filter(|settings| settings.id == id).for_each(&change))
            .await?;
        change(&mut hook.settings.lock());
        Ok(())
    }

    fn named(&self, id: HookId) -> Result<Arc<Hook>, NotChanged> {
        self.hooks.lock().get(&id).cloned().ok_or(NotChanged::NotFound(id))
    }
}

/// Carries a change through, whoever waits for it.
async fn carried_through<T: Send + 'static>(
    change: impl Future<Output = Result<T, NotChanged>> + Send + 'static,
) -> Result<T, NotChanged> {
    let changed = tokio::spawn(change).await;
    changed.unwrap_or_else(|panicked| Err(NotDone::unknown(Why::Damaged(panicked.to_string())).into()))
}

fn no_randomness() -> NotDone {
    NotDone::no(Why::Damaged("the system has no randomness for a secret".to_owned()))
}
