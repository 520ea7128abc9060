//! [`Ledger`]: where every strategy reports what it applied.
//!
//! It holds no stock and no record: it passes the report on to the hand-off of whoever asked, and brings the index of keys up
//! to date. It must be called after every lock is released, since a hand-off costs what it must.

use std::sync::Arc;

use super::index::KeyIndex;
use crate::stock::{Applied, Changed, HandOff, Operation, StockKey, Transaction};

/// Where a strategy reports what it applied: first to the caller's hand-off, then to the index of keys.
///
/// Both orders matter. What the index tells, a key that has come or gone, was handed over before: so a listing knows what to
/// wait for, also where it is about to leave a level out (promise P7). And the index is brought up to date before the call
/// returns, so a level that a client created is in every listing it asks for afterwards; by whoever applied the change, so a
/// client that disconnects cannot leave a level out of it.
#[derive(Debug, Clone)]
pub struct Ledger {
    index: Arc<KeyIndex>,
}

impl Ledger {
    /// A ledger over the index that listings walk.
    pub fn new(index: Arc<KeyIndex>) -> Self {
        Self { index }
    }

    /// Reports one change; of what changed nothing nobody is told, and the hand-off is dropped.
    pub fn one(&self, hand_off: impl HandOff, key: &StockKey, operation: Operation, applied: Applied) {
        if !applied.is_change() {
            return;
        }
        let Applied { before, after } = applied;
        self.report(hand_off, std::iter::once(Changed { key, operation, before, after }));
    }

    /// Reports a transaction, whose entries `applied` belongs to one by one: those that changed something, if any did.
    pub fn many(&self, hand_off: impl HandOff, transaction: &Transaction, applied: &[Applied]) {
        let changes = transaction.entries().iter().zip(applied);
        let told = changes.map(|(entry, &Applied { before, after })| Changed {
            key: &entry.key,
            operation: entry.change.operation,
            before,
            after,
        });
        if applied.iter().all(Applied::is_change) {
            return self.report(hand_off, told);
        }
        let moved: Vec<_> =
            told.zip(applied).filter(|(_, applied)| applied.is_change()).map(|(told, _)| told).collect();
        if !moved.is_empty() {
            self.report(hand_off, moved.iter().copied());
        }
    }

    fn report<'a, C>(&self, hand_off: impl HandOff, changes: C)
    where
        C: ExactSizeIterator<Item = Changed<'a>> + Clone,
    {
        hand_off.hand_over(changes.clone());
        self.index.update(changes);
    }
}
