//! [`Freed`]: which levels had units come free, for who waits for them.
//!
//! Nobody polls, and nobody is woken for nothing: who waits for units of some levels has them *watched* ([`Freed::watch`]), looks at them once
//! more, and sleeps. Whoever changes a level hands the change over, and finds there, under a lock that it takes anyway, whether anything
//! is watched at all ([`Lanes`](super::lanes::Lanes)): where nothing is, that is all it costs. Only then it comes here.
//!
//! **Nothing is missed.** A change that was handed over before the watch was set was made before it, so that the look after it sees it; one that is
//! handed over after it finds it set. It never says that units are there: only that it is worth a look.

use std::collections::{HashMap, HashSet};

use crate::stock::{Changed, StockKey};
use crate::sync::{Mutex, Notify};

/// Levels that are watched, and those that had units come free.
#[derive(Debug, Default)]
pub struct Freed {
    inner: Mutex<Inner>,
    told: Notify,
}

#[derive(Debug, Default)]
struct Inner {
    /// By how many.
    watched: HashMap<StockKey, usize>,
    freed: HashSet<StockKey>,
}

impl Freed {
    /// Watches these levels once more; `raise` tells whoever hands changes over, before this returns.
    pub fn watch<'k>(&self, keys: impl Iterator<Item = &'k StockKey>, raise: impl FnOnce()) {
        let mut inner = self.inner.lock();
        if inner.watched.is_empty() {
            raise();
        }
        for key in keys {
            *inner.watched.entry(key.clone()).or_default() += 1;
        }
    }

    /// Watches these levels once less; `lower` tells whoever hands changes over, where nothing is left.
    pub fn unwatch<'k>(&self, keys: impl Iterator<Item = &'k StockKey>, lower: impl FnOnce()) {
        let mut inner = self.inner.lock();
        for key in keys {
            let watched = inner.watched.get_mut(key).expect("it was watched before");
            *watched -= 1;
            if *watched == 0 {
                inner.watched.remove(key);
                inner.freed.remove(key);
            }
        }
        if inner.watched.is_empty() {
            lower();
        }
    }

    /// These changes were made: notes those of them that freed units somebody waits for.
    pub fn tell<'a>(&self, changes: impl Iterator<Item = Changed<'a>>) {
        let mut inner = self.inner.lock();
        let mut any = false;
        for changed in changes.filter(|changed| changed.after.available() > changed.before.available()) {
            if inner.watched.contains_key(changed.key) {
                any |= inner.freed.insert(changed.key.clone());
            }
        }
        drop(inner);
        if any {
            self.told.notify_one();
        }
    }

    /// Those that had units come free since this was asked, while they were watched.
    pub fn take(&self) -> HashSet<StockKey> {
        std::mem::take(&mut self.inner.lock().freed)
    }

    /// How many levels are watched.
    #[cfg(test)]
    pub(crate) fn watched(&self) -> usize {
        self.inner.lock().watched.len()
    }

    /// Completes when there is something to [take](Freed::take). For one task: it is told even if it does not listen.
    pub async fn told(&self) {
        self.told.notified().await;
    }
}
