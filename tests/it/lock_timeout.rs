//! Somebody stays inside for too long (P3, P10): the others end with `Contention` in time, or get through, and nobody hangs. How a
//! lock is held from inside is each strategy's own affair, and tested there; from outside, what can be made to take for ever
//! is a hand-off, and with it, in some strategies, the thread that everybody waits for.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use inventory::stock::{Changed, HandOff, Transaction};
use inventory::strategy::{Rejected, Strategy, StrategyKind, TransactRejected};

use crate::support::clients;
use crate::support::for_each_strategy;
use crate::support::stock::{Stock, adjust, create, key, level};

/// Short, so that the test is; nothing depends on how short.
const LOCK_TIMEOUT: Duration = Duration::from_millis(50);

/// A hand-off that says that it was called, and then takes until it is let go.
struct Stuck {
    called: SyncSender<()>,
    let_go: Receiver<()>,
}

impl HandOff for Stuck {
    fn hand_over<'a, C>(self, _changes: C)
    where
        C: ExactSizeIterator<Item = Changed<'a>> + Clone,
    {
        self.called.send(()).expect("the test waits for it");
        self.let_go.recv().expect("the test lets it go");
    }
}

/// A hand-off that breaks the rule that it must not panic.
struct Panics;

impl HandOff for Panics {
    fn hand_over<'a, C>(self, _changes: C)
    where
        C: ExactSizeIterator<Item = Changed<'a>> + Clone,
    {
        panic!("on purpose, in a hand-off");
    }
}

/// One unit out of both levels.
fn both() -> Arc<Transaction> {
    Arc::new(Transaction::new(["a", "b"].map(|sku| (key(sku), adjust(-1))).to_vec()).expect("two lines"))
}

async fn two_levels(kind: StrategyKind) -> Arc<Stock> {
    let stock = Stock::with_lock_timeout(kind, LOCK_TIMEOUT);
    for sku in ["a", "b"] {
        // The lock timeout is short enough for a busy machine to exceed it.
        stock.apply_patiently(&key(sku), create(10)).await;
    }
    stock
}

for_each_strategy! {
    /// P3, P10: nobody hangs behind a transaction that is stuck, and nobody is told that the stock is short.
    async fn nobody_hangs_behind_a_stuck_transaction(kind: StrategyKind) {
        let stock = two_levels(kind).await;
        let (called, was_called) = sync_channel(1);
        let (let_go, is_let_go) = sync_channel(1);
        let insider = {
            let (stock, keeps) = (Arc::clone(&stock), Stuck { called, let_go: is_let_go });
            tokio::task::spawn_blocking(move || {
                tokio::runtime::Handle::current().block_on(stock.strategy.transact(&both(), keeps))
            })
        };
        let inside = tokio::task::spawn_blocking(move || was_called.recv_timeout(clients::WATCHDOG));
        inside.await.expect("no panic").expect("the transaction is made at once");
        let shared = Arc::clone(&stock);
        let made = clients::run(4, move |client| {
            let stock = Arc::clone(&shared);
            async move {
                let is_made = if client % 2 == 0 {
                    match stock.apply(&key("a"), adjust(-1)).await {
                        Ok(_) => true,
                        Err(Rejected::Contention(_)) => false,
                        Err(refused) => panic!("{refused:?}"),
                    }
                } else {
                    match stock.transact(vec![(key("a"), adjust(-1)), (key("b"), adjust(0))]).await {
                        Ok(_) => true,
                        Err(TransactRejected::Contention(_)) => false,
                        Err(refused) => panic!("{refused:?}"),
                    }
                };
                // A read ends as well, whatever it says.
                let _read = stock.strategy.read(&key("b")).await;
                u64::from(is_made)
            }
        })
        .await;
        let_go.send(()).expect("it waits for it");
        insider.await.expect("no panic").expect("it was inside");
        stock.strategy.join().await;
        let made: u64 = made.iter().sum();
        assert_eq!(stock.read(&key("a")).await, level(9 - made, 0, 2 + made), "told so, and so it is");
    }

    /// P10: a panic under a call is the caller's, and nobody else's.
    async fn a_panic_hangs_nobody(kind: StrategyKind) {
        let stock = Stock::with_levels(kind, &[("a", 10), ("b", 10)]).await;
        let calls = [0, 1].map(|number| {
            let stock = Arc::clone(&stock);
            tokio::spawn(async move {
                if number == 0 {
                    stock.strategy.apply(&key("a"), adjust(-1), Panics).await.expect("it panics");
                } else {
                    stock.strategy.transact(&both(), Panics).await.expect("it panics");
                }
            })
        });
        for call in calls {
            assert!(call.await.is_err_and(|ended| ended.is_panic()));
        }
        stock.strategy.join().await;
        assert_eq!(stock.read(&key("a")).await, level(8, 0, 3));
        assert_eq!(stock.read(&key("b")).await, level(9, 0, 2));
    }

    /// P10: the strategy ends when it is told to, having done all that was asked; who comes later does not hang.
    async fn it_shuts_down(kind: StrategyKind) {
        let stock = two_levels(kind).await;
        let outcomes = Arc::new(Mutex::new(Vec::new()));
        let (shared, told) = (Arc::clone(&stock), Arc::clone(&outcomes));
        clients::run(4, move |client| {
            let (stock, outcomes) = (Arc::clone(&shared), Arc::clone(&told));
            async move {
                if client == 0 {
                    stock.strategy.shut_down().await;
                    return;
                }
                for _ in 0..1_000 {
                    let outcome = stock.transact(vec![(key("a"), adjust(1)), (key("b"), adjust(1))]).await;
                    outcomes.lock().expect("nobody panics").push(outcome.map(|_| ()));
                }
            }
        })
        .await;
        stock.strategy.shut_down().await;
        let outcomes = std::mem::take(&mut *outcomes.lock().expect("nobody panics"));
        let made = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
        assert!(outcomes.iter().all(|told| matches!(told, Ok(()) | Err(TransactRejected::Contention(_)))));
        assert_eq!(stock.recorder.records().len(), 2 + made, "all that was made, and only that, was handed off");
        stock.recorder.assert_permits_accounted_for();
    }
}
