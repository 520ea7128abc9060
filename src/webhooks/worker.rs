//! Who tells one webhook of what happens: it reads the ledger from where the hook is, posts one message at a time, and moves on when one is
//! taken. So a hook is told of every movement, in the order of the ledger, at least once; and nobody who makes a change waits for it.
//!
//! It may be ended at any time: what it was about to hand over is handed over again by who comes after it.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::Webhooks;
use super::hook::{Failing, Hook};
use super::message::{Happening, Message};
use super::post::Attempt;
use crate::alerts::Event;
use crate::clock::wall_ms;
use crate::outgoing::backoff;
use crate::store::ledger::From;
use crate::store::{HistoryError, MovementCursor, MovementPage, MovementQuery, NotDone, Seq, Store as _};

/// Movements that are read at a time.
const PAGE: usize = 100;
/// After a look that found nothing for the hook, before the next: others make many changes meanwhile, and each look reads the ledger.
const PAUSE: Duration = Duration::from_millis(20);
/// Before the next look where one failed.
pub(super) const PAUSE_AFTER_ERROR: Duration = Duration::from_secs(1);

/// Whether the hook is to be told of more.
pub(super) type Flow = ControlFlow<()>;

/// What a look at the ledger found.
struct Found {
    happenings: Vec<Happening>,
    /// Everything up to here was looked at.
    looked_at: MovementCursor,
}

/// Tells a hook of what happens, until it is disabled.
pub(super) async fn run(all: &'static Webhooks, hook: Arc<Hook>) {
    while step(all, &hook).await.is_continue() {}
}

async fn step(all: &'static Webhooks, hook: &Arc<Hook>) -> Flow {
    let at = hook.progress.lock().at;
    match look(all, hook, at).await {
        Ok(found) => {
            let is_idle = found.happenings.is_empty();
            tell(all, hook, &found).await?;
            if is_idle && found.looked_at == at {
                wait_for_more(all, at).await;
            } else if is_idle {
                tokio::time::sleep(PAUSE).await;
            }
        }
        Err(HistoryError::Compacted { oldest }) => tell_of_gap(all, hook, at, oldest).await?,
        Err(HistoryError::OtherLineage | HistoryError::Ahead { .. }) => {
            all.begin_anew(hook, all.store.feed_end());
        }
        Err(error) => {
            tracing::warn!(webhook = %hook.id, %error, "the ledger cannot be read for a webhook; it is tried again");
            tokio::time::sleep(PAUSE_AFTER_ERROR).await;
        }
    }
    Flow::Continue(())
}

/// What comes after a place, as far as the hook is for it.
async fn look(all: &Webhooks, hook: &Hook, at: MovementCursor) -> Result<Found, HistoryError> {
    // Never closed.
    let _turn = all.looking.acquire().await;
    let filter = hook.settings.lock().filter.clone();
    // Whatever is before this is looked at, wanted or not.
    let end = all.store.feed_end();
    let seq = at.seq().unwrap_or_default();
    // What follows from a movement is found where that is.
    let from = if at.is_within() { Seq::new(seq.number().saturating_sub(1)) } else { seq };
    let from = From::Cursor(MovementCursor::after(from, at.lineage()));
    let query = MovementQuery::After { from, filter: filter.sources(), limit: PAGE };
    let MovementPage { movements, next, lineage, .. } = all.store.movements(query).await?;
    // After the page was read: see there.
    let rules = all.alerts.rules(all.store).await?;
    let last = movements.last().map(|movement| movement.seq);
    let looked_at = [at.seq(), last, next.unwrap_or(end).seq()].into_iter().flatten().max();
    let mut happenings = Vec::with_capacity(movements.len());
    for movement in movements.into_iter().map(Arc::new) {
        let crossing = rules.judge(&movement);
        let past = MovementCursor::after(movement.seq, lineage);
        let is_told = movement.seq <= seq;
        if !is_told && filter.has_movement(&movement) {
            let within = MovementCursor::within(movement.seq, lineage);
            let at = if crossing.is_some() { within } else { past };
            happenings.push(Happening { movement: Arc::clone(&movement), crossing: None, at });
        }
        if crossing.is_some_and(|crossing| filter.has(Event::Alert(crossing.side))) {
            happenings.push(Happening { movement, crossing, at: past });
        }
    }
    Ok(Found { happenings, looked_at: MovementCursor::after(looked_at.unwrap_or_default(), lineage) })
}

/// Hands over what was found, and moves past it.
async fn tell(all: &'static Webhooks, hook: &Arc<Hook>, found: &Found) -> Flow {
    let batch = hook.settings.lock().batch;
    for chunk in found.happenings.chunks(batch.max(1)) {
        deliver(all, hook, &Message::of(chunk, batch <= 1)).await?;
        if let Some(last) = chunk.last() {
            all.moved(hook, last.at);
        }
    }
    if hook.progress.lock().at != found.looked_at {
        all.moved(hook, found.looked_at);
    }
    Flow::Continue(())
}

async fn tell_of_gap(all: &'static Webhooks, hook: &Arc<Hook>, at: MovementCursor, oldest: Seq) -> Flow {
    let after = at.seq().unwrap_or_default();
    hook.progress.lock().gap = Some((after, oldest));
    let before = MovementCursor::after(Seq::new(oldest.number().saturating_sub(1)), at.lineage());
    tracing::warn!(webhook = %hook.id, %after, %oldest, "movements that a webhook was to be told of are not kept any more");
    deliver(all, hook, &Message::of_gap(after, oldest, before, wall_ms())).await?;
    hook.progress.lock().gap = None;
    all.moved(hook, before);
    Flow::Continue(())
}

/// Hands a message over, however often it has to be tried.
async fn deliver(all: &'static Webhooks, hook: &Arc<Hook>, message: &Message) -> Flow {
    loop {
        // Asked before each attempt: what is signed with which secret, and whether anything is to be sent at all, others may have changed.
        all.may_send(hook).await?;
        if let Some(failing) = &mut hook.progress.lock().failing {
            failing.next_attempt_ms = None;
        }
        let (url, enabled) = {
            let settings = hook.settings.lock();
            (settings.url.clone(), settings.enabled)
        };
        let attempt = all.poster.post(&url, message, &hook.secrets(wall_ms())).await;
        if attempt.is_taken() {
            all.counts.taken.fetch_add(1, Ordering::Relaxed);
            recovered(all, hook);
            return Flow::Continue(());
        }
        all.counts.failed.fetch_add(1, Ordering::Relaxed);
        let gone = attempt.is_gone();
        let failing = failed(all, hook, &attempt);
        all.is_dirty(hook);
        let config = &all.config;
        let failed_for = wall_ms().saturating_sub(failing.since_ms);
        let is_hopeless = failing.attempts >= config.attempts_max
            && u128::from(failed_for) >= config.failing_max.as_millis();
        if gone || is_hopeless {
            let reason = if gone {
                "it answered 410 Gone".to_owned()
            } else {
                format!("{} attempts in a row failed; the last: {}", failing.attempts, failing.last_error)
            };
            if all.disable(hook, enabled, reason) {
                return Flow::Break(());
            }
        }
        let (first, longest) = (config.backoff_first, config.backoff_max);
        let wait = backoff::wait(first, longest, failing.attempts, attempt.retry_after);
        let next_ms = wall_ms() + u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        if let Some(failing) = &mut hook.progress.lock().failing {
            failing.next_attempt_ms = Some(next_ms);
        }
        all.is_dirty(hook);
        let is_woken = async {
            while hook.settings.lock().enabled == enabled {
                hook.woken.notified().await;
            }
        };
        let _woken_or_not = tokio::time::timeout(wait, is_woken).await;
    }
}

/// Notes that an attempt failed.
fn failed(all: &Webhooks, hook: &Hook, attempt: &Attempt) -> Failing {
    let mut progress = hook.progress.lock();
    let (now_ms, error) = (wall_ms(), attempt.error.clone().unwrap_or_default());
    let begins = progress.failing.is_none();
    let failing = progress.failing.get_or_insert_with(|| Failing {
        since_ms: now_ms,
        attempts: 0,
        last_error: String::new(),
        next_attempt_ms: None,
    });
    failing.attempts = failing.attempts.saturating_add(1);
    failing.last_error = error;
    let failing = failing.clone();
    drop(progress);
    if begins && !all.is_stopped() {
        let error = &failing.last_error;
        tracing::warn!(webhook = %hook.id, error, "a webhook begins to fail; its messages are tried again");
    }
    failing
}

fn recovered(all: &Webhooks, hook: &Hook) {
    if let Some(failing) = hook.progress.lock().failing.take() {
        let attempts = failing.attempts;
        tracing::info!(webhook = %hook.id, attempts, "a webhook takes messages again");
        all.is_dirty(hook);
    }
}

async fn wait_for_more(all: &Webhooks, at: MovementCursor) {
    if let Err(NotDone { why, .. }) = all.store.feed_grows(at).await {
        tracing::debug!(%why, "the ledger ends");
        tokio::time::sleep(PAUSE_AFTER_ERROR).await;
    }
}
