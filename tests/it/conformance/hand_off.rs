//! The hand-off: exactly once per applied change, with what changed, after every lock is released (P7 rests on it).

use std::sync::{Arc, Mutex};
use std::time::Duration;

use inventory::stock::{
    Applied, Change, Changed, HandOff, Level, Operation, Precondition, StockKey, Transaction,
};
use inventory::strategy::{
    AnyStrategy, Contention, KeyIndex, Ledger, Rejected, Strategy, StrategyConfig, StrategyKind,
};

use crate::support::clients::poll_once;
use crate::support::for_each_strategy;
use crate::support::recorder::Handed;
use crate::support::stock::{Stock, adjust, create, key, level, units};

/// What a hand-off was answered when it asked its strategy for a read and a change.
type Answers = (Option<Result<Level, Contention>>, Option<Result<Applied, Rejected>>);

/// How long a caller waits for a lock that its own thread would hold; the test takes that long only when it fails.
const PATIENT: Duration = Duration::from_secs(2);

/// A hand-off that calls back. It polls each call once: a strategy that held a lock would answer `Contention` at the lock
/// timeout; one with a queue need not answer at once.
struct CallsBack {
    strategy: Arc<AnyStrategy>,
    answers: Arc<Mutex<Vec<Answers>>>,
}

impl HandOff for CallsBack {
    fn hand_over<'a, C>(self, changes: C)
    where
        C: ExactSizeIterator<Item = Changed<'a>> + Clone,
    {
        for Changed { key, .. } in changes {
            let read = poll_once(self.strategy.read(key));
            let is_kept_out = read == Some(Err(Contention));
            let applied = poll_once(self.strategy.apply(key, adjust(1), ()));
            self.answers.lock().expect("nobody panics").push((read, applied));
            if is_kept_out {
                return;
            }
        }
    }
}

for_each_strategy! {
    /// P7, P11: one record per applied change, with key, operation, before and after; none for a refusal.
    async fn each_applied_change_is_handed_off_once(kind: StrategyKind) {
        let stock = Stock::new(kind);
        stock.apply(&key("a"), create(5)).await.expect("a new level");
        stock.apply(&key("a"), adjust(-6)).await.expect_err("short");
        stock.apply(&key("a"), adjust(-5)).await.expect("units enough");
        stock.transact(vec![(key("b"), create(1)), (key("a"), adjust(-1))]).await.expect_err("short");
        stock.transact(vec![(key("b"), create(1)), (key("a"), adjust(1))]).await.expect("room");
        let handed = |sku, operation, before, after| Handed { key: key(sku), operation, before, after };
        let create = |units| create(units).operation;
        let adjust = |delta| -> Operation { adjust(delta).operation };
        let expected = vec![
            vec![handed("a", create(5), Level::ABSENT, level(5, 0, 1))],
            vec![handed("a", adjust(-5), level(5, 0, 1), level(0, 0, 2))],
            vec![
                handed("a", adjust(1), level(0, 0, 2), level(1, 0, 3)),
                handed("b", create(1), Level::ABSENT, level(1, 0, 1)),
            ],
        ];
        assert_eq!(stock.recorder.records(), expected);
        assert_eq!(stock.recorder.dropped(), 2);
    }

    /// P6: what changes nothing has no record, whether it is asked for alone or among others; what it found is told all the same.
    async fn what_changes_nothing_is_not_handed_off(kind: StrategyKind) {
        let recount = |on_hand| Change::unconditional(Operation::Recount { on_hand: units(on_hand) });
        let stock = Stock::with_levels(kind, &[("a", 5), ("b", 5)]).await;
        let same = Applied { before: level(5, 0, 1), after: level(5, 0, 1) };
        assert_eq!(stock.apply(&key("a"), recount(5)).await, Ok(same));
        let both = stock.transact(vec![(key("a"), recount(5)), (key("b"), recount(5))]).await;
        assert_eq!(both, Ok(vec![same, same]));
        assert_eq!((stock.recorder.records().len(), stock.recorder.dropped()), (2, 2));
        let lines = vec![(key("a"), recount(5)), (key("b"), recount(6)), (key("c"), recount(0))];
        let applied = stock.transact(lines).await.expect("room");
        assert_eq!(applied.iter().map(|applied| applied.after).collect::<Vec<_>>(), [level(5, 0, 1), level(6, 0, 2), level(0, 0, 1)]);
        let handed: Vec<_> = stock.recorder.records()[2].iter().map(|handed| handed.key.clone()).collect();
        assert_eq!(handed, [key("b"), key("c")]);
        let moved_on = Change { precondition: Precondition::Version(1), ..recount(6) };
        stock.transact(vec![(key("a"), recount(9)), (key("b"), moved_on)]).await.expect_err("it has moved on");
        stock.assert_all_handed_off(&["a", "b", "c"].map(key)).await;
        assert_eq!(stock.listed(), ["a", "b", "c"].map(key));
    }

    /// A hand-off may use the strategy: every lock, of every line, has been released when it is called.
    async fn it_is_called_after_every_lock_is_released(kind: StrategyKind) {
        let config = StrategyConfig { lock_timeout: PATIENT, ..StrategyConfig::default() };
        let ledger = Ledger::new(Arc::new(KeyIndex::default()));
        let strategy = Arc::new(AnyStrategy::new(kind, config, ledger));
        let answers = Arc::new(Mutex::new(Vec::new()));
        let calls_back = || CallsBack { strategy: Arc::clone(&strategy), answers: Arc::clone(&answers) };
        strategy.apply(&key("a"), create(5), calls_back()).await.expect("a new level");
        // What the hand-off gave up again may still be in the queue: the transaction is to find nobody before it.
        strategy.join().await;
        let names: Vec<StockKey> = (0..100).map(|number| key(&format!("k{number}"))).collect();
        let lines = names.iter().map(|name| (name.clone(), create(5))).collect();
        let transaction = Arc::new(Transaction::new(lines).expect("lines"));
        strategy.transact(&transaction, calls_back()).await.expect("new levels");
        let answers = std::mem::take(&mut *answers.lock().expect("nobody panics"));
        let count = answers.len();
        for (read, applied) in answers {
            assert!(read.is_none_or(|read| read == Ok(level(5, 0, 1))), "{read:?}");
            let after = applied.map(|applied| applied.map(|applied| applied.after));
            assert!(after.is_none_or(|after| after == Ok(level(6, 0, 2))), "{applied:?}");
        }
        assert_eq!(count, 1 + names.len());
    }
}
