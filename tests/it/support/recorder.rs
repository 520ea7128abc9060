//! [`Recorder`]: takes what a strategy hands off, and knows of every permit what became of it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use inventory::stock::{Changed, HandOff, Level, Operation, StockKey};

/// All hand-offs of one strategy, in the order in which they came.
#[derive(Debug, Default)]
pub(crate) struct Recorder {
    records: Mutex<Vec<Vec<Handed>>>,
    issued: AtomicU64,
    dropped: AtomicU64,
}

/// One level's part of a record: a [`Changed`] that owns its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Handed {
    pub(crate) key: StockKey,
    pub(crate) operation: Operation,
    pub(crate) before: Level,
    pub(crate) after: Level,
}

/// The hand-off of one call. Dropping it unused is counted, too.
#[derive(Debug)]
pub(crate) struct Permit {
    recorder: Arc<Recorder>,
    used: bool,
}

impl Recorder {
    /// A permit for one call.
    pub(crate) fn permit(self: &Arc<Self>) -> Permit {
        self.issued.fetch_add(1, Ordering::SeqCst);
        Permit { recorder: Arc::clone(self), used: false }
    }

    /// What was handed off so far.
    pub(crate) fn records(&self) -> Vec<Vec<Handed>> {
        self.locked().clone()
    }

    /// How many permits were dropped without having been called.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::SeqCst)
    }

    /// Every version of a level from 1 to that of `last`, handed off once, each starting where the one before ended.
    pub(crate) fn assert_history_of(&self, key: &StockKey, last: Level) {
        let records = self.locked();
        let mut changes: Vec<&Handed> =
            records.iter().flatten().filter(|handed| handed.key == *key).collect();
        changes.sort_by_key(|handed| handed.after.version());
        let mut level = Level::ABSENT;
        for handed in changes {
            assert_eq!(handed.before, level, "{key}: {handed:?} does not follow on the version before");
            assert_eq!(handed.after.version(), level.version() + 1, "{key}: {handed:?}");
            level = handed.after;
        }
        assert_eq!(level, last, "{key}: what was handed off ends elsewhere than the level");
    }

    /// Every permit was either called or dropped.
    pub(crate) fn assert_permits_accounted_for(&self) {
        let called = u64::try_from(self.locked().len()).expect("a count");
        assert_eq!(called + self.dropped(), self.issued.load(Ordering::SeqCst), "permits called and dropped");
    }

    fn locked(&self) -> MutexGuard<'_, Vec<Vec<Handed>>> {
        self.records.lock().expect("nobody panics while recording")
    }
}

impl HandOff for Permit {
    fn hand_over<'a, C>(mut self, changes: C)
    where
        C: ExactSizeIterator<Item = Changed<'a>> + Clone,
    {
        self.used = true;
        let length = changes.len();
        let owned = |Changed { key, operation, before, after }| Handed {
            key: StockKey::clone(key),
            operation,
            before,
            after,
        };
        let record: Vec<Handed> = changes.map(owned).collect();
        assert_eq!(record.len(), length, "the length that was announced");
        self.recorder.locked().push(record);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if !self.used {
            self.recorder.dropped.fetch_add(1, Ordering::SeqCst);
        }
    }
}
