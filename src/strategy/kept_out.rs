//! What every strategy must do with callers that cannot get in (P3, P10), for the tests of each, which hold its lock from
//! inside: from outside nobody can hold it for sure.
//!
//! The lock timeout is zero, so every wait ends at once and no test measures time.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::{Contention, KeyIndex, Ledger, Rejected, Strategy, StrategyConfig, TransactRejected};
use crate::stock::{
    Applied, Change, Changed, HandOff, IfMissing, KeySet, Level, Location, Operation, Quantity, Sku,
    StockKey, Transaction,
};

/// A hand-off that is never called.
pub(super) struct Never;

impl HandOff for Never {
    fn hand_over<'a, C>(self, changes: C)
    where
        C: ExactSizeIterator<Item = Changed<'a>> + Clone,
    {
        panic!("handed off, though nobody could get in: {:?}", changes.collect::<Vec<_>>());
    }
}

/// A strategy whose callers may not wait.
pub(super) fn impatient<S>(new: impl FnOnce(StrategyConfig, Ledger) -> S) -> S {
    let ledger = Ledger::new(Arc::new(KeyIndex::default()));
    new(StrategyConfig { lock_timeout: Duration::ZERO, ..StrategyConfig::default() }, ledger)
}

/// A key.
pub(super) fn key(sku: &str) -> StockKey {
    StockKey::new(&Sku::parse(sku).unwrap(), &Location::DEFAULT)
}

/// Adds units.
pub(super) fn adjust(delta: i64) -> Change {
    Change::unconditional(Operation::Adjust { delta, if_missing: IfMissing::Refuse })
}

/// Creates each level with 5 units: see [`five`].
pub(super) fn stocked<S: Strategy>(strategy: S, keys: &[StockKey]) -> S {
    let change = Change::unconditional(Operation::Create { on_hand: Quantity::new(5).unwrap() });
    for key in keys {
        ready(strategy.apply(key, change, ())).unwrap();
    }
    strategy
}

/// A level that [`stocked`] made and nobody changed.
pub(super) fn five() -> Level {
    Level::existing(5, 0, 1).unwrap()
}

/// Reads a level that nobody holds.
pub(super) fn read<S: Strategy>(strategy: &S, key: &StockKey) -> Result<Level, Contention> {
    ready(strategy.read(key))
}

/// Looks at several levels that nobody holds.
pub(super) fn look<S: Strategy>(strategy: &S, keys: &[StockKey]) -> Result<Vec<Level>, Contention> {
    ready(strategy.snapshot(&Arc::new(KeySet::new(keys.to_vec()))))
}

/// Takes one unit of a level.
pub(super) fn take<S: Strategy>(strategy: &S, key: &StockKey) -> Result<Applied, Rejected> {
    ready(strategy.apply(key, adjust(-1), ()))
}

/// That a change of `held`, and a transaction of `free` and `held`, end with contention, are counted, and hand nothing off.
pub(super) fn assert_changes_are_kept_out<S: Strategy>(strategy: &S, free: &StockKey, held: &StockKey) {
    let before = strategy.contention();
    let change = ready(strategy.apply(held, adjust(-1), Never));
    assert_eq!(change, Err(Rejected::Contention(Contention)));
    let lines = [free, held].map(|key| (key.clone(), adjust(-1)));
    let transaction = Arc::new(Transaction::new(lines.to_vec()).unwrap());
    let transacted = ready(strategy.transact(&transaction, Never));
    assert_eq!(transacted, Err(TransactRejected::Contention(Contention)));
    let after = strategy.contention();
    let counted = [after.timeouts - before.timeouts, after.contended - before.contended, after.waits.count];
    assert_eq!(counted, [2, 2, before.waits.count + 2]);
}

/// What a call returns that answers at once.
fn ready<T>(call: impl Future<Output = T>) -> T {
    match pin!(call).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(returned) => returned,
        Poll::Pending => panic!("a call that takes a lock answers at once"),
    }
}
