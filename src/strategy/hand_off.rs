//! Who is told of a change, and when: [`HandOff`] and the [`Ledger`] every strategy writes to.
//!
//! A caller acquires whatever it needs to record a change (a slot in a journal's queue, say) *before* it asks a
//! strategy for the change, and moves it in as the hand-off. From then on nothing can go wrong between the
//! change and its record: the hand-off cannot fail, wait or await.

use std::sync::Arc;

use super::index::KeyIndex;
use crate::stock::{Applied, Level, Operation, StockKey, Transaction};

/// A permit to record one change or one transaction, called by whoever applied it.
pub trait HandOff: Send + 'static {
    /// Takes the record. Called after every lock is released, so it may cost what it must, but it may neither
    /// block on a lock that a caller of the strategy holds nor panic.
    fn hand_over<'a, C>(self, changes: C)
    where
        C: ExactSizeIterator<Item = Changed<'a>> + Clone;
}

/// One level's part of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Changed<'a> {
    /// The level.
    pub key: &'a StockKey,
    /// What happened to it, the lines of a transaction combined.
    pub operation: Operation,
    /// The level before.
    pub before: Level,
    /// The level after.
    pub after: Level,
}

impl Changed<'_> {
    /// Whether the level came into being or ceased to be, which is all that [`KeyIndex`] is about.
    #[inline]
    pub fn creates_or_deletes(&self) -> bool {
        self.before.exists() != self.after.exists()
    }
}

/// Records nothing: for stock that lives in memory only.
impl HandOff for () {
    fn hand_over<'a, C>(self, _changes: C)
    where
        C: ExactSizeIterator<Item = Changed<'a>> + Clone,
    {
    }
}

/// Where a strategy reports what it applied: first to the index of keys, then to the caller's hand-off.
///
/// Both orders matter. The index is brought up to date before the call returns, so a level that a client
/// created is in every listing it asks for afterwards; and by whoever applied the change, so a client that
/// disconnects cannot leave a level out of it.
#[derive(Debug, Clone)]
pub struct Ledger {
    index: Arc<KeyIndex>,
}

impl Ledger {
    /// A ledger over the index that listings walk.
    pub fn new(index: Arc<KeyIndex>) -> Self {
        Self { index }
    }

    /// Reports one change.
    pub fn one(&self, hand_off: impl HandOff, key: &StockKey, operation: Operation, applied: Applied) {
        let Applied { before, after } = applied;
        self.report(hand_off, std::iter::once(Changed { key, operation, before, after }));
    }

    /// Reports a transaction, whose entries `applied` belongs to one by one.
    pub fn many(&self, hand_off: impl HandOff, transaction: &Transaction, applied: &[Applied]) {
        let changes = transaction.entries().iter().zip(applied);
        self.report(
            hand_off,
            changes.map(|(entry, &Applied { before, after })| Changed {
                key: &entry.key,
                operation: entry.change.operation,
                before,
                after,
            }),
        );
    }

    fn report<'a, C>(&self, hand_off: impl HandOff, changes: C)
    where
        C: ExactSizeIterator<Item = Changed<'a>> + Clone,
    {
        self.index.update(changes.clone());
        hand_off.hand_over(changes);
    }
}
