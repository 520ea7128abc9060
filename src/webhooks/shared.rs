//! Webhooks of several processes that share the stock: each may be asked for anything, and one at a time tells a hook.
//!
//! **What was asked for** is one document, changed in one order ([`Webhooks::write`]); a process asks for it, if it has changed, before it answers, and before each
//! attempt to hand a message over. So another secret signs whatever is begun after it was answered, wherever that was.
//!
//! **Who tells a hook** is who has its lease: whichever process looks first when nobody has it. How far the hook has come is in the lease, and only who has it moves that: who
//! has lost it takes no place back. He stops before the lease is over ([`super::turn`]), and asks before each attempt whether he
//! still has it, so that a clock of the database that was set costs one attempt beside the next, and not two senders. Who takes over goes on from what was written down last; what was
//! taken since is told again, under the same id.
//!
//! **After a `DELETE` nothing is sent**: it is written first that the hook is no more; whoever tells it sees that, and ends the lease. The answer waits until the lease can be
//! had, and is ended: by then he has stopped, or can be heard of no more, and whoever takes it from now on asks what it is for before he sends anything.
//! What cannot be promised is that bytes which had left before, or a process that was frozen in the middle of writing some, are not received later.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;

use super::changes::settings_in;
use super::hook::{Hook, HookId, Progress};
use super::kept::KeptProgress;
use super::worker::{Flow, PAUSE_AFTER_ERROR};
use super::{Webhooks, no_randomness, random, turn, worker};
use crate::store::lease::{Claim, Lease};
use crate::store::{Document, Kept, Leases, NotDone, Store as _, Why};

/// Between two looks whether a hook that was deleted is let go.
const LET_GO_EVERY: Duration = Duration::from_millis(20);
/// How long it may take to give everything back when the service stops: what is not is had by others when its time is over.
const GIVE_BACK_TIME: Duration = Duration::from_secs(3);

/// Looks what other processes were asked for, and tells what none of them tells.
pub(super) async fn look_now_and_then(all: &'static Webhooks) {
    let mut is_failing = false;
    loop {
        match all.look_around().await {
            Ok(leases) => {
                is_failing = false;
                take_up(all, &leases);
            }
            Err(error) => {
                if !is_failing {
                    tracing::warn!(%error, "what is asked of webhooks cannot be looked up; it is tried again");
                }
                is_failing = true;
            }
        }
        tokio::time::sleep(all.config.look_every).await;
    }
}

/// Sees to the hooks that nobody tells, and to what is left of those that are no more.
fn take_up(all: &'static Webhooks, leases: &[Lease]) {
    for hook in all.every() {
        let is_held = leases.iter().any(|lease| lease.is_held && lease.name == name_of(hook.id));
        if !is_held {
            all.resume(&hook);
        }
    }
    // What was asked for was looked up after the leases, and a hook is there before it has one: so these are of hooks that were deleted.
    let over = leases.iter().filter(|lease| !lease.is_held).filter_map(|lease| id_of(&lease.name));
    let over: Vec<HookId> = over.filter(|id| !all.known.lock().hooks.contains_key(id)).collect();
    if !over.is_empty() {
        tokio::spawn(async move {
            for id in over {
                // Whoever looks next does it.
                let _left = all.end_if_free(id).await;
            }
        });
    }
}

/// Tells a hook of what happens, if no other process does, until it is lost, disabled or deleted.
pub(super) async fn tell_in_turn(all: &'static Webhooks, hook: Arc<Hook>) {
    let Some(leases) = all.store.leases() else { return };
    let Some(claim) = random() else { return };
    let (name, time) = (name_of(hook.id), all.config.lease);
    let asked = Instant::now();
    match leases.take(&name, claim, time).await {
        Ok(Some(left)) => {
            let Some(progress) = progress_of(&hook, left.as_deref()) else { return };
            // In this order: whoever looks around does not show what another has said once this has begun.
            *hook.claim.lock() = Some(claim);
            *hook.progress.lock() = progress;
        }
        Ok(None) => return,
        Err(error) => {
            tracing::debug!(webhook = %hook.id, %error, "the lease of a webhook cannot be had");
            return;
        }
    }
    let renew = || leases.renew(&name, claim, time, left_of(&hook));
    let kept = turn::keep(asked, time, &hook.moved, all.config.positions_every, renew);
    tokio::select! {
        // Who has lost it sends nothing more, whatever is under way.
        biased;
        () = kept => {
            hook.lose();
            let _lost = hook.claim.lock().take();
            tracing::warn!(webhook = %hook.id, "the lease of a webhook is lost; who has it next goes on");
        }
        () = tell(all, &hook) => give_back(leases, &hook).await,
    }
}

/// Tells a hook, and returns when it is sent nothing more and that is written.
async fn tell(all: &'static Webhooks, hook: &Arc<Hook>) {
    worker::run(all, Arc::clone(hook)).await;
    while let Err(error) = all.write_disabled().await {
        tracing::debug!(%error, "that a webhook is disabled cannot be written; it is tried again");
        tokio::time::sleep(PAUSE_AFTER_ERROR).await;
    }
}

/// A hook is no more: who tells it here stops, and then others may know.
pub(super) async fn let_go(all: &'static Webhooks, hook: Arc<Hook>) {
    hook.halt().await;
    if let Some(leases) = all.store.leases() {
        give_back(leases, &hook).await;
    }
}

/// Lets the next have a hook that nobody tells here any more, or nobody if it is no more.
async fn give_back(leases: &impl Leases, hook: &Hook) {
    let claim = hook.claim.lock().take();
    let Some(claim) = claim else { return };
    let name = name_of(hook.id);
    let given = if hook.is_over.load(Ordering::Acquire) {
        leases.end(&name, claim).await
    } else {
        leases.give_back(&name, claim, left_of(hook)).await
    };
    if let Err(error) = given {
        tracing::debug!(webhook = %hook.id, %error, "a lease was not given back: it is over when its time is");
    }
}

impl Webhooks {
    /// Learns what other processes were asked for by now.
    pub(super) async fn learn(&'static self) -> Result<(), NotDone> {
        let known = self.known.lock().revision;
        if let Some(Kept { revision, bytes }) = self.store.document_after(Document::Webhooks, known).await? {
            self.install(revision, settings_in(&bytes)?);
        }
        Ok(())
    }

    /// Learns what other processes were asked for by now, and how far those have come that they tell. Returns the leases as they were before that.
    pub(super) async fn look_around(&'static self) -> Result<Vec<Lease>, NotDone> {
        let Some(leases) = self.store.leases() else { return Ok(Vec::new()) };
        let found = leases.leases().await?;
        self.learn().await?;
        for lease in &found {
            let hook = id_of(&lease.name).and_then(|id| self.known.lock().hooks.get(&id).cloned());
            if let (Some(hook), Some(left)) = (hook, &lease.left) {
                show(&hook, left);
            }
        }
        Ok(found)
    }

    /// Whether a hook may be sent a message now; asked until there is an answer. At once, where no other process could have a say.
    pub(super) async fn may_send(&'static self, hook: &Hook) -> Flow {
        let Some(leases) = self.store.leases() else { return Flow::Continue(()) };
        let name = name_of(hook.id);
        loop {
            let Some(claim) = *hook.claim.lock() else { return Flow::Break(()) };
            match tokio::try_join!(leases.is_held(&name, claim), self.learn()) {
                Ok((true, ())) if hook.is_told() => return Flow::Continue(()),
                Ok(_) => return Flow::Break(()),
                Err(error) => {
                    tracing::debug!(webhook = %hook.id, %error, "whether a message may be sent cannot be asked");
                    tokio::time::sleep(PAUSE_AFTER_ERROR / 4).await;
                }
            }
        }
    }

    /// Returns when nobody tells a hook that was deleted, and nobody will. Bounded by the time of a lease.
    pub(super) async fn until_let_go(&'static self, id: HookId) -> Result<(), NotDone> {
        let bound = self.config.lease + self.config.look_every * 2 + PAUSE_AFTER_ERROR;
        let let_go = async {
            while !self.end_if_free(id).await? {
                tokio::time::sleep(LET_GO_EVERY).await;
            }
            Ok(())
        };
        // It is deleted, and this may be asked again.
        let ended = tokio::time::timeout(bound, let_go).await.unwrap_or(Err(NotDone::no(Why::Contention)));
        ended.map_err(|NotDone { why, .. }| NotDone::unknown(why))
    }

    /// Ends the lease of a hook that is no more, if nobody has it. Whether nobody has.
    async fn end_if_free(&self, id: HookId) -> Result<bool, NotDone> {
        let Some(leases) = self.store.leases() else { return Ok(true) };
        let claim: Claim = random().ok_or_else(no_randomness)?;
        let name = name_of(id);
        if leases.take(&name, claim, self.config.lease).await?.is_none() {
            return Ok(false);
        }
        leases.end(&name, claim).await?;
        Ok(true)
    }

    /// The service stops: others may have what it tells.
    pub(super) async fn give_all_back(&'static self) -> Result<(), NotDone> {
        let Some(leases) = self.store.leases() else { return Ok(()) };
        let mut giving: JoinSet<()> = JoinSet::new();
        for hook in self.every() {
            giving.spawn(async move { give_back(leases, &hook).await });
        }
        let given = tokio::time::timeout(GIVE_BACK_TIME, giving.join_all()).await;
        given.map(drop).map_err(|_| NotDone::unknown(Why::Contention))
    }
}

/// Where a hook goes on, by what was left in its lease; `None` if that is of a form that is not known here. If nobody ever had it, it is where it was when
/// the stock came here from a process that was alone, or at its beginning: as it was opened, or learned of.
fn progress_of(hook: &Hook, left: Option<&[u8]>) -> Option<Progress> {
    let Some(left) = left else { return Some(hook.progress.lock().clone()) };
    match serde_json::from_slice::<KeptProgress>(left) {
        Ok(kept) => Some(kept.into_progress(hook.settings.lock().enabled)),
        Err(error) => {
            tracing::error!(webhook = %hook.id, %error, "how far a webhook has come is of a form that is not known here");
            None
        }
    }
}

/// Shows how far a hook has come by what another process has said, unless it is told here.
fn show(hook: &Hook, left: &[u8]) {
    let Ok(kept) = serde_json::from_slice::<KeptProgress>(left) else { return };
    let enabled = hook.settings.lock().enabled;
    let is_claimed = hook.claim.lock();
    if is_claimed.is_none() {
        *hook.progress.lock() = kept.into_shown(enabled);
    }
}

/// What is left in the lease of a hook.
fn left_of(hook: &Hook) -> Vec<u8> {
    serde_json::to_vec(&hook.kept_progress()).expect("it has string keys and plain values")
}

fn name_of(id: HookId) -> String {
    format!("webhook/{id}")
}

fn id_of(name: &str) -> Option<HookId> {
    name.strip_prefix("webhook/").and_then(HookId::parse)
}
