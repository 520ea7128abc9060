//! [`Ledger`]: where every strategy reports what it applied.
//!
//! It holds no stock and no record: it passes the report on to the hand-off of whoever asked, and keeps the index of keys up
//! to date. It must be called after every lock is released, since a hand-off costs what it must.

use std::sync::Arc;

use super::index::KeyIndex;
use crate::stock::{Applied, Changed, HandOff, Operation, StockKey, Transaction};

/// Where a strategy reports what it applied: to the caller's hand-off, and to the index of keys.
///
/// The order matters. A key **comes** into the index before its change is handed over: so a listing leaves out no level whose creation may be
/// on disk by then, and joins what is told of the log after the place that was its end before (promise P12); a listing that shows the level waits
/// for it as every read does. A key **goes** after its change was handed over: so a listing that leaves the level out knows what to wait for (promise
/// P7). And the index is brought up to date before the call returns, by whoever applied the change: a level that a client created is
/// in every listing it asks for afterwards, and a client that disconnects cannot leave one out.
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
        // Most changes are of levels that were there and stay.
        if !changes.clone().any(|change| change.creates_or_deletes()) {
            return hand_off.hand_over(changes);
        }
        self.index.record(changes.clone().filter(|change| change.after.exists()));
        hand_off.hand_over(changes.clone());
        self.index.record(changes.filter(|change| !change.after.exists()));
    }
}

#[cfg(test)]
mod tests {
    use parking_lot::Mutex;

    use super::super::index::Filter;
    use super::*;
    use crate::stock::{IfMissing, Level, Location, Quantity, Sku};

    /// Notes which keys the index has when a change is handed over.
    struct Looks(Arc<KeyIndex>, Arc<Mutex<Vec<StockKey>>>);

    impl HandOff for Looks {
        fn hand_over<'a, C>(self, _: C)
        where
            C: ExactSizeIterator<Item = Changed<'a>> + Clone,
        {
            *self.1.lock() = self.0.page(Filter::default(), None, 10).keys;
        }
    }

    /// P7, P12: while a change is handed over, the index has the key of a level that has come, and still that of one that goes.
    #[test]
    fn a_key_comes_before_its_change_is_handed_over_and_goes_after() {
        let index = Arc::new(KeyIndex::default());
        let ledger = Ledger::new(Arc::clone(&index));
        let key = StockKey::new(&Sku::parse("A").unwrap(), &Location::DEFAULT);
        let count = Operation::Count { on_hand: Quantity::ZERO, if_missing: IfMissing::Create };
        let is_there = Level::existing(0, 0, 1).unwrap();
        let seen = Arc::new(Mutex::default());
        let report = |operation, before, after| {
            let looks = Looks(Arc::clone(&index), Arc::clone(&seen));
            ledger.one(looks, &key, operation, Applied { before, after });
            std::mem::take(&mut *seen.lock())
        };
        assert_eq!(report(count, Level::ABSENT, is_there), std::slice::from_ref(&key));
        assert_eq!(
            report(Operation::Delete, is_there, Level::tombstone(2).unwrap()),
            std::slice::from_ref(&key)
        );
        assert!(index.is_empty());
    }
}
