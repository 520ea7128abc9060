//! What may be asked of webhooks: to make one, to end it, to sign with another secret, to go on.
//!
//! What is asked for is written before it is answered, and holds from then on, whichever process was asked: each change is made of what is asked for by then
//! ([`Webhooks::write`]), so none undoes another. Once begun it is carried through, whoever has gone away.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use thiserror::Error;

use super::address::NoAddress;
use super::filter::Filter;
use super::hook::{Disabled, Hook, HookId, HookView, OldSecret, Settings};
use super::kept::KeptHooks;
use super::secret::Secret;
use super::{Webhooks, no_randomness, random};
use crate::clock::wall_ms;
use crate::outgoing::url::Url;
use crate::store::{Document, MovementCursor, NotDone, Revision, Store as _, Why};

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
        let secret = secret.or_else(Secret::random).ok_or_else(no_randomness)?;
        let created_ms = wall_ms();
        let id = HookId::new(created_ms, random().ok_or_else(no_randomness)?);
        let signs = secret.clone();
        let most = self.config.hooks_max;
        self.write(move |all, begins| {
            if all.len() >= most {
                return Err(NotChanged::TooMany(all.len()));
            }
            let (old_secret, disabled, enabled) = (None, None, 0);
            all.push(Settings {
                id,
                url,
                filter,
                batch,
                created_ms,
                begins,
                secret: signs,
                old_secret,
                disabled,
                enabled,
            });
            Ok(())
        })
        .await?;
        let hook = self.named(id)?;
        self.resume(&hook);
        Ok((hook.view(self.end(), created_ms), secret))
    }

    /// Ends a webhook: when this returns nothing more is sent, by no process.
    pub async fn delete(&'static self, id: HookId) -> Result<(), NotChanged> {
        carried_through(async move {
            let changing = self.changing.lock().await;
            let hook = self.named(id);
            let deleted = self
                .write(move |all, _| {
                    let at = position(all, id)?;
                    all.remove(at);
                    Ok(())
                })
                .await;
            drop(changing);
            if self.store.leases().is_some() {
                // Also where it is deleted already: whoever did that may have gone away before nothing more was sent.
                if let Ok(()) | Err(NotChanged::NotFound(_)) = deleted {
                    self.until_let_go(id).await?;
                }
            } else if deleted.is_ok() {
                hook?.halt().await;
                self.dirty.notify_one();
            }
            deleted
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
            let signs = secret.clone();
            let _changing = self.changing.lock().await;
            self.write(move |all, _| {
                let at = position(all, id)?;
                let settings = &mut all[at];
                // The same once more is a retry: what signed before it goes on to.
                if settings.secret != signs {
                    let old = std::mem::replace(&mut settings.secret, signs);
                    let until_ms = now_ms.saturating_add(valid_ms);
                    settings.old_secret = Some(OldSecret { secret: old, until_ms });
                }
                Ok(())
            })
            .await?;
            Ok((self.named(id)?.view(self.end(), now_ms), secret))
        })
        .await
    }

    /// Goes on with a webhook that was disabled, from where it was; one that waits for its next attempt makes it now.
    pub async fn enable(&'static self, id: HookId) -> Result<HookView, NotChanged> {
        carried_through(async move {
            let _changing = self.changing.lock().await;
            let is_alone = self.store.leases().is_none();
            if is_alone {
                self.named(id)?.halt().await;
            }
            let enabled = self
                .write(move |all, _| {
                    let at = position(all, id)?;
                    all[at].disabled = None;
                    all[at].enabled += 1;
                    Ok(())
                })
                .await;
            // Where it was halted it goes on, whether or not that was written.
            let hook = self.named(id);
            if let (Ok(hook), true) = (&hook, is_alone || enabled.is_ok()) {
                self.resume(hook);
            }
            self.dirty.notify_one();
            enabled?;
            Ok(hook?.view(self.end(), wall_ms()))
        })
        .await
    }

    /// Sends nothing more to a webhook, unless somebody has asked meanwhile to go on with it: it was enabled so often when that was found out. Returns
    /// whether it is so. For who tells it.
    pub(super) fn disable(&self, hook: &Hook, enabled: u64, reason: String) -> bool {
        let mut settings = hook.settings.lock();
        if settings.enabled != enabled {
            return false;
        }
        tracing::warn!(webhook = %hook.id, reason, "a webhook is disabled");
        // It holds, whether or not it can be written now.
        settings.disabled = Some(Disabled { reason, at_ms: wall_ms() });
        hook.is_disabled_unwritten.store(true, Ordering::Release);
        drop(settings);
        self.has_unwritten.store(true, Ordering::Release);
        self.is_dirty(hook);
        true
    }

    /// Changes what is asked for, by whichever process it was: once that is written it holds. `change` is told where the ledger ends, too. For who holds
    /// `changing`.
    pub(super) async fn write(
        &'static self,
        change: impl FnOnce(&mut Vec<Settings>, MovementCursor) -> Result<(), NotChanged> + Send,
    ) -> Result<(), NotChanged> {
        let (known, before) = self.asked_for();
        let (mut all, mut judged) = (Vec::new(), None);
        let kept = self
            .store
            .change_document(Document::Webhooks, known, |newer, end| {
                let made = made_of(newer, before, end, change);
                let (bytes, came) = match made {
                    Ok((bytes, settings)) => {
                        all = settings;
                        (Some(bytes), Ok(()))
                    }
                    Err(not) => (None, Err(not)),
                };
                judged = Some(came);
                bytes
            })
            .await?;
        if let Some(revision) = kept {
            self.install(revision, all);
        }
        judged.expect("a change is judged, or is an error")
    }

    /// What is asked for, as far as is known here, and of which document that is.
    fn asked_for(&self) -> (Revision, Vec<Settings>) {
        let known = self.known.lock();
        let settings = known.hooks.values().map(|hook| hook.settings.lock().clone());
        (known.revision, settings.collect())
    }

    fn named(&self, id: HookId) -> Result<Arc<Hook>, NotChanged> {
        self.known.lock().hooks.get(&id).cloned().ok_or(NotChanged::NotFound(id))
    }
}

/// What is asked for after a change, and as a document. It is made of what another process has kept, if one has, else of what is known here; and who was
/// found to be disabled here is, though that is not written yet.
fn made_of(
    newer: Option<Vec<u8>>,
    known: Vec<Settings>,
    end: MovementCursor,
    change: impl FnOnce(&mut Vec<Settings>, MovementCursor) -> Result<(), NotChanged>,
) -> Result<(Vec<u8>, Vec<Settings>), NotChanged> {
    let mut all = match newer {
        None => known,
        Some(bytes) => {
            let settings = |settings: Settings| match known.iter().find(|known| known.id == settings.id) {
                Some(known) => settings.still_disabled(known),
                None => settings,
            };
            settings_in(&bytes)?.into_iter().map(settings).collect()
        }
    };
    change(&mut all, end)?;
    let kept = KeptHooks { webhooks: all };
    let bytes = serde_json::to_vec(&kept).expect("it has string keys and plain values");
    Ok((bytes, kept.webhooks))
}

/// What is asked for in a document.
pub(super) fn settings_in(bytes: &[u8]) -> Result<Vec<Settings>, NotDone> {
    let read = serde_json::from_slice::<KeptHooks>(bytes).map_err(|error| {
        NotDone::no(Why::Damaged(format!(
            "what is kept of webhooks is of a form that is not known here: {error}"
        )))
    })?;
    Ok(read.webhooks)
}

fn position(all: &[Settings], id: HookId) -> Result<usize, NotChanged> {
    all.iter().position(|settings| settings.id == id).ok_or(NotChanged::NotFound(id))
}

/// Carries a change through, whoever waits for it.
async fn carried_through<T: Send + 'static>(
    change: impl Future<Output = Result<T, NotChanged>> + Send + 'static,
) -> Result<T, NotChanged> {
    let changed = tokio::spawn(change).await;
    changed.unwrap_or_else(|panicked| Err(NotDone::unknown(Why::Damaged(panicked.to_string())).into()))
}
