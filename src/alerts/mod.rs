//! Alerts: when the available units of a level fall to a mark, and when they rise above it again.
//!
//! Nothing is noted when stock changes, and no change is slower for it: an alert is *derived*, by whoever tells of a movement, from what the
//! level was before and after it, and the mark that was set by then ([`rules`]). So it is told once for each crossing, whatever caused it and
//! however often the ledger is read again.
//!
//! Which marks there are is kept beside the stock, each with the place in the ledger from which on it counts. That place is chosen while nobody derives
//! anything: so whoever has told of a movement without a mark finds, ever after, that the mark did not count for it.
//!
//! **Of several processes** one cannot stop the others from deriving. There the place is chosen, and the marks are kept, in one transaction, under the
//! lock under which movements get their numbers ([`Store::change_document`]). A movement for which a new mark counts is one with a number above that
//! place: it got that under the same lock, later. So whoever has read it from the ledger, and *then* asks for the marks, sees the new one; and whoever
//! asked before has read nothing for which it counts. That is the whole of it: first the page, then the marks ([`Alerts::rules`]), and both from where
//! changes are made, never from a copy that is behind. It costs one small question for each page, as the marks are sent only where they have changed.
//!
//! [`Event`] names what there is to be told: movements, and alerts.
//!
//! It never reads a level, and knows nothing of HTTP.

mod event;
pub mod rules;

use std::sync::Arc;

use parking_lot::Mutex;
use thiserror::Error;
use tokio::sync::Notify;

pub use self::event::Event;
pub use self::rules::{Crossing, Rules, Side};
use crate::stock::{Quantity, StockKey};
use crate::store::{Document, Kept, MovementCursor, NotDone, Revision, Seq, Store, Why};

/// How many levels may have a mark.
pub const ALERTS_MAX: usize = 10_000;

/// The marks, as they are now.
#[derive(Debug, Default)]
pub struct Alerts {
    inner: Mutex<Inner>,
    settled: Notify,
}

#[derive(Debug, Default)]
struct Inner {
    rules: Arc<Rules>,
    /// Which document they are of.
    revision: Revision,
    /// Somebody changes them, and has chosen from where on: nobody derives anything meanwhile.
    is_changing: bool,
}

/// Why a mark was not set.
#[derive(Debug, Error)]
pub enum NotSet {
    /// There are as many as may be.
    #[error("{ALERTS_MAX} stock levels have an alert, and that is as many as may")]
    TooMany,
    /// It was not kept.
    #[error(transparent)]
    NotDone(#[from] NotDone),
}

/// What came of a change, beside what is kept.
struct Set {
    rules: Rules,
    /// Whether there was a mark.
    had: bool,
}

/// The marks that were kept cannot be understood.
#[derive(Debug, Error)]
#[error("the alerts in the data directory cannot be read: {0}")]
pub struct Unreadable(pub String);

/// Somebody changes the marks. Dropped, they are as they were.
struct Change<'a>(&'a Alerts);

impl Alerts {
    /// The marks that a store keeps.
    pub async fn load(store: &impl Store) -> Result<Self, Unreadable> {
        let unreadable = |error: NotDone| Unreadable(error.to_string());
        let kept = store.document(Document::Alerts).await.map_err(unreadable)?;
        let mut inner = Inner::default();
        if let Some(Kept { revision, bytes }) = kept {
            let end = end_of(store).await.map_err(unreadable)?;
            let rules = Arc::new(Rules::from_document(&bytes, end).map_err(Unreadable)?);
            inner = Inner { rules, revision, is_changing: false };
        }
        Ok(Self { inner: Mutex::new(inner), settled: Notify::new() })
    }

    /// The marks, once nobody of this process changes them, and as any other has kept them by now. Whatever was read of the ledger *before* this may be
    /// judged by them.
    pub async fn rules(&self, store: &impl Store) -> Result<Arc<Rules>, NotDone> {
        let (rules, revision) = loop {
            // Before it is looked: who is done in between is heard.
            let settled = self.settled.notified();
            if let Some(found) = self.if_settled(|inner| (Arc::clone(&inner.rules), inner.revision)) {
                break found;
            }
            settled.await;
        };
        let Some(Kept { revision, bytes }) = store.document_after(Document::Alerts, revision).await? else {
            return Ok(rules);
        };
        // None of them counts from a place that this process does not know of.
        let rules = Rules::from_document(&bytes, end_of(store).await?).map_err(|what| damaged(&what))?;
        Ok(self.saw(revision, rules))
    }

    /// Sets the mark of a level, or takes it away; it counts for every movement that is recorded after this returns. Returns whether there was
    /// one. Not to be given up midway: spawn it.
    pub async fn set(
        &self,
        store: &impl Store,
        key: &StockKey,
        low_at: Option<Quantity>,
    ) -> Result<bool, NotSet> {
        let change = self.begin().await;
        let (before, known) = {
            let inner = self.inner.lock();
            (Arc::clone(&inner.rules), inner.revision)
        };
        let mut judged = None;
        let kept = store
            .change_document(Document::Alerts, known, |newer, end| {
                let made = with(newer, &before, end, key, low_at);
                let bytes = made.as_ref().ok().and_then(Option::as_ref).map(|set| set.rules.to_document());
                judged = Some(made);
                bytes
            })
            .await?;
        let set = judged.expect("a change is judged, or is an error")?;
        if let (Some(revision), Some(Set { rules, had })) = (kept, set) {
            self.saw(revision, rules);
            drop(change);
            return Ok(had);
        }
        Ok(false)
    }

    /// They are so from that document on; unless a later one was seen meanwhile. Returns how they are.
    fn saw(&self, revision: Revision, rules: Rules) -> Arc<Rules> {
        let mut inner = self.inner.lock();
        if revision >= inner.revision {
            (inner.rules, inner.revision) = (Arc::new(rules), revision);
        }
        Arc::clone(&inner.rules)
    }

    async fn begin(&self) -> Change<'_> {
        loop {
            let settled = self.settled.notified();
            if self.if_settled(|inner| inner.is_changing = true).is_some() {
                return Change(self);
            }
            settled.await;
        }
    }

    fn if_settled<T>(&self, then: impl FnOnce(&mut Inner) -> T) -> Option<T> {
        let mut inner = self.inner.lock();
        (!inner.is_changing).then(|| then(&mut inner))
    }
}

impl Drop for Change<'_> {
    fn drop(&mut self) {
        self.0.inner.lock().is_changing = false;
        self.0.settled.notify_waiters();
    }
}

/// The last movement there is, also by the doings of other processes.
async fn end_of(store: &impl Store) -> Result<Seq, NotDone> {
    store.feed_caught_up().await?;
    Ok(store.feed_end().seq().unwrap_or_default())
}

/// The marks with another for that level, or none, from that place on; `None` where there is none to be taken away.
fn with(
    newer: Option<Vec<u8>>,
    before: &Rules,
    end: MovementCursor,
    key: &StockKey,
    low_at: Option<Quantity>,
) -> Result<Option<Set>, NotSet> {
    let since = end.seq().unwrap_or_default();
    let newer =
        newer.map(|bytes| Rules::from_document(&bytes, since).map_err(|what| damaged(&what))).transpose()?;
    let before = newer.as_ref().unwrap_or(before);
    let had = before.low_at(key).is_some();
    if low_at.is_none() && !had {
        return Ok(None);
    }
    if low_at.is_some() && !had && before.len() >= ALERTS_MAX {
        return Err(NotSet::TooMany);
    }
    Ok(Some(Set { rules: before.with(key, low_at.map(Quantity::units), since), had }))
}

fn damaged(what: &str) -> NotDone {
    NotDone::no(Why::Damaged(format!("the alerts that are kept cannot be read: {what}")))
}
