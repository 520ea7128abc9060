//! Alerts: when the available units of a level fall to a mark, and when they rise above it again.
//!
//! Nothing is noted when stock changes, and no change is slower for it: an alert is *derived*, by whoever tells of a movement, from what the
//! level was before and after it, and the mark that was set by then ([`rules`]). So it is told once for each crossing, whatever caused it and
//! however often the ledger is read again.
//!
//! Which marks there are is kept beside the stock, each with the place in the ledger from which on it counts. That place is chosen while nobody derives
//! anything: so whoever has told of a movement without a mark finds, ever after, that the mark did not count for it.
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
use crate::store::{Document, NotDone, Store};

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

/// The marks that were kept cannot be understood.
#[derive(Debug, Error)]
#[error("the alerts in the data directory cannot be read: {0}")]
pub struct Unreadable(pub String);

/// Somebody changes the marks. Dropped, they are as they were.
struct Change<'a>(&'a Alerts);

impl Alerts {
    /// The marks that a store keeps.
    pub async fn load(store: &impl Store) -> Result<Self, Unreadable> {
        let kept = store.document(Document::Alerts).await.map_err(|error| Unreadable(error.to_string()))?;
        let end = store.feed_end().seq().unwrap_or_default();
        let rules = kept.map_or_else(|| Ok(Rules::default()), |bytes| Rules::from_document(&bytes, end));
        let rules = Arc::new(rules.map_err(Unreadable)?);
        Ok(Self { inner: Mutex::new(Inner { rules, is_changing: false }), settled: Notify::new() })
    }

    /// The marks, once nobody changes them. Whatever was read of the ledger before this may be judged by them.
    pub async fn rules(&self) -> Arc<Rules> {
        loop {
            // Before it is looked: who is done in between is heard.
            let settled = self.settled.notified();
            if let Some(rules) = self.if_settled(|inner| Arc::clone(&inner.rules)) {
                return rules;
            }
            settled.await;
        }
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
        store.feed_caught_up().await?;
        let since = store.feed_end().seq().unwrap_or_default();
        let before = Arc::clone(&self.inner.lock().rules);
        let had = before.low_at(key).is_some();
        if low_at.is_none() && !had {
            return Ok(false);
        }
        if low_at.is_some() && !had && before.len() >= ALERTS_MAX {
            return Err(NotSet::TooMany);
        }
        let rules = before.with(key, low_at.map(Quantity::units), since);
        store.keep_document(Document::Alerts, rules.to_document()).await?;
        self.inner.lock().rules = Arc::new(rules);
        drop(change);
        Ok(had)
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
