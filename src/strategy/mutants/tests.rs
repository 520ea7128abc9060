//! Each mutant is wrong in the way it says, and right otherwise: shown by hand, one step of a future at a time, so that
//! nothing depends on who is faster.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use super::*;
use crate::stock::{Operation, Precondition, Quantity};
use crate::strategy::kept_out::{adjust, five, key, read};
use crate::strategy::{KeyIndex, StrategyKind};

/// A mutant with levels `a` and `b`, of 5 units each.
fn mutant(mutant: Mutant) -> (AnyMutant, [StockKey; 2]) {
    let keys = [key("a"), key("b")];
    let ledger = Ledger::new(Arc::new(KeyIndex::default()));
    let new = AnyMutant::new(mutant, StrategyConfig::default(), ledger);
    assert_eq!(new.mutant(), mutant);
    let create = Change::unconditional(Operation::Create { on_hand: Quantity::new(5).unwrap() });
    for key in &keys {
        done(new.apply(key, create, ())).unwrap();
    }
    (new, keys)
}

fn poll<F: Future>(call: Pin<&mut F>) -> Poll<F::Output> {
    call.poll(&mut Context::from_waker(Waker::noop()))
}

/// What a call returns that nobody else gets between.
fn done<F: Future>(call: F) -> F::Output {
    let mut call = pin!(call);
    // A yield without a runtime is one step.
    for _ in 0..10 {
        if let Poll::Ready(returned) = poll(call.as_mut()) {
            return returned;
        }
    }
    panic!("a call that nobody is in the way of ends");
}

fn level(on_hand: u64, version: u64) -> Level {
    Level::existing(on_hand, 0, version).unwrap()
}

/// Takes so many units of both levels.
fn from_both(keys: &[StockKey; 2], units: [i64; 2]) -> Arc<Transaction> {
    let lines = keys.iter().zip(units).map(|(key, units)| (key.clone(), adjust(-units)));
    Arc::new(Transaction::new(lines.collect()).unwrap())
}

#[test]
fn all_are_known_by_name_and_none_is_correct() {
    for mutant in Mutant::ALL {
        let kind = StrategyKind::Mutant(mutant);
        assert_eq!((kind.name().parse(), kind.is_correct()), (Ok(kind), false));
    }
    assert!(!StrategyKind::ALL.iter().any(|kind| matches!(kind, StrategyKind::Mutant(_))));
}

/// With nobody between, each change and each transaction of one client is right: what convicts a mutant is its bug.
#[tokio::test]
async fn one_client_alone_sees_nothing_wrong() {
    for kind in Mutant::ALL {
        let (stock, [a, b]) = mutant(kind);
        let taken = done(stock.apply(&a, adjust(-2), ())).unwrap();
        assert_eq!(taken, Applied { before: five(), after: level(3, 2) }, "{kind:?}");
        let both = done(stock.transact(&from_both(&[a.clone(), b.clone()], [1, 1]), ())).unwrap();
        assert_eq!(both[1], Applied { before: five(), after: level(4, 2) }, "{kind:?}");
        assert_eq!(done(stock.read(&a)), Ok(level(2, 3)), "{kind:?}");
        let refused = done(stock.apply(&a, adjust(-3), ()));
        assert!(
            matches!(refused, Err(Rejected::Refused(refusal)) if refusal.found == level(2, 3)),
            "{kind:?}"
        );
        assert_eq!(stock.contention().timeouts, 0);
    }
}

#[test]
fn upgraded_lock_oversells_and_loses_no_update() {
    let (stock, [a, _]) = mutant(Mutant::UpgradedLock);
    let mut late = pin!(stock.apply(&a, adjust(-4), ()));
    assert!(poll(late.as_mut()).is_pending());
    assert_eq!(done(stock.apply(&a, adjust(-4), ())).unwrap().after, level(1, 2));
    // 8 of 5 units are sold, under versions that are right.
    assert_eq!(done(late).unwrap(), Applied { before: level(1, 2), after: level(0, 3) });
}

#[test]
fn upgraded_lock_checks_preconditions_in_vain() {
    let (stock, [a, _]) = mutant(Mutant::UpgradedLock);
    let change = Change { precondition: Precondition::Version(1), ..adjust(1) };
    let mut late = pin!(stock.apply(&a, change, ()));
    assert!(poll(late.as_mut()).is_pending());
    done(stock.apply(&a, adjust(1), ())).unwrap();
    assert_eq!(done(late).unwrap().after, level(7, 3));
}

#[test]
fn dropped_ack_acknowledges_what_it_never_does() {
    let (stock, [a, _]) = mutant(Mutant::DroppedAck);
    let mut before = five();
    for number in 1..=dropped_ack::DROPPED_EVERY {
        let told = done(stock.apply(&a, adjust(1), ())).unwrap();
        assert_eq!(told.before, before);
        let is_dropped = number == dropped_ack::DROPPED_EVERY;
        assert_eq!(read(&stock, &a) == Ok(told.after), !is_dropped, "{number}");
        before = told.after;
    }
}

#[test]
fn torn_lines_shows_half_a_transaction_and_keeps_half_of_a_refused_one() {
    let (stock, [a, b]) = mutant(Mutant::TornLines);
    let both = from_both(&[a.clone(), b.clone()], [1, 1]);
    let mut halfway = pin!(stock.transact(&both, ()));
    assert!(poll(halfway.as_mut()).is_pending());
    assert_eq!([&a, &b].map(|key| read(&stock, key)), [Ok(level(4, 2)), Ok(five())]);
    assert!(done(halfway).is_ok());
    let refused = done(stock.transact(&from_both(&[a.clone(), b.clone()], [1, 9]), ()));
    let Err(TransactRejected::Refused(refused)) = refused else { panic!("{refused:?}") };
    assert_eq!((refused.refusals[0].entry, refused.found[1]), (1, level(4, 2)));
    assert_eq!([&a, &b].map(|key| read(&stock, key)), [Ok(level(3, 3)), Ok(level(4, 2))]);
}

#[test]
fn stale_cache_answers_with_what_was() {
    let (stock, [a, _]) = mutant(Mutant::StaleCache);
    assert_eq!(read(&stock, &a), Ok(five()));
    done(stock.apply(&a, adjust(1), ())).unwrap();
    for _ in 1..stale_cache::SERVED_BY_A_COPY {
        assert_eq!(read(&stock, &a), Ok(five()));
    }
    assert_eq!(read(&stock, &a), Ok(level(6, 2)));
}

#[tokio::test]
async fn half_cancelled_keeps_the_first_line_of_who_went_away() {
    let (stock, [a, b]) = mutant(Mutant::HalfCancelled);
    let both = from_both(&[a.clone(), b.clone()], [1, 1]);
    {
        let mut halfway = pin!(stock.transact(&both, ()));
        assert!(poll(halfway.as_mut()).is_pending());
        assert!(poll(pin!(stock.read(&a))).is_pending(), "nobody sees it meanwhile");
    }
    assert_eq!((stock.read(&a).await, stock.read(&b).await), (Ok(level(4, 2)), Ok(five())));
}
