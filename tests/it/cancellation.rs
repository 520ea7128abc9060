//! Callers that go away (P11): whenever a call's future is dropped, the whole of its effect is there, or nothing of it; and
//! what is there was handed off.

use std::sync::Arc;

use inventory::stock::StockKey;
use inventory::strategy::StrategyKind;
use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};
use tokio::task::JoinSet;

use crate::support::clients::{self, poll_once};
use crate::support::for_each_strategy;
use crate::support::stock::{Stock, adjust, adjust_or_create, key};

fn keys() -> [StockKey; 3] {
    ["a", "b", "c"].map(key)
}

/// One unit into all of three levels.
async fn add_to_all(stock: &Stock) {
    let lines = keys().into_iter().map(|key| (key, adjust_or_create(1))).collect();
    stock.transact(lines).await.expect("there is room");
}

/// Three levels that were changed together only, however their callers went away, are equal; and all that was
/// done was handed off.
async fn assert_all_or_nothing(stock: &Stock) -> u64 {
    let [a, b, c] = keys();
    let level = stock.read(&a).await;
    assert_eq!((stock.read(&b).await, stock.read(&c).await), (level, level));
    assert_eq!(level.on_hand(), level.version());
    stock.assert_all_handed_off(&keys()).await;
    level.version()
}

for_each_strategy! {
    /// P11: futures that are never polled, and futures that are polled once and dropped.
    async fn a_dropped_call_happened_wholly_or_not_at_all(kind: StrategyKind) {
        let stock = Stock::new(kind);
        let shared = Arc::clone(&stock);
        let finished = clients::run(4, move |client| {
            let (stock, mut dice) = (Arc::clone(&shared), Xoshiro256PlusPlus::seed_from_u64(client as u64));
            async move {
                let mut finished = 0_u64;
                for _ in 0..2_000 {
                    match dice.random_range(0..3) {
                        0 => drop(add_to_all(&stock)),
                        1 => finished += u64::from(poll_once(add_to_all(&stock)).is_some()),
                        _ => {
                            add_to_all(&stock).await;
                            finished += 1;
                        }
                    }
                }
                finished
            }
        })
        .await;
        let changes = assert_all_or_nothing(&stock).await;
        assert!(changes >= finished.iter().sum(), "every call that was answered is there");
    }

    /// P11: tasks that are aborted while others are at the same levels.
    async fn an_aborted_task_leaves_all_or_nothing(kind: StrategyKind) {
        let stock = Stock::new(kind);
        let mut tasks = JoinSet::new();
        for number in 0..2_000 {
            let stock = Arc::clone(&stock);
            let task = tasks.spawn(async move {
                tokio::task::yield_now().await;
                add_to_all(&stock).await;
                tokio::task::yield_now().await;
                add_to_all(&stock).await;
            });
            if number % 3 == 0 {
                task.abort();
            } else if number % 3 == 1 {
                tokio::task::yield_now().await;
                task.abort();
            }
        }
        let mut finished = 0_u64;
        while let Some(ended) = tasks.join_next().await {
            finished += u64::from(ended.is_ok());
        }
        let changes = assert_all_or_nothing(&stock).await;
        assert!(finished > 0 && changes >= 2 * finished, "{changes} changes by {finished} finished tasks");
    }

    /// P11: a call that nobody polls has no effect at all.
    async fn a_call_that_is_never_polled_did_not_happen(kind: StrategyKind) {
        let stock = Stock::with_levels(kind, &[("a", 5)]).await;
        drop(stock.apply(&key("a"), adjust(-1)));
        assert_eq!(stock.read(&key("a")).await.version(), 1);
        stock.assert_all_handed_off(&[key("a")]).await;
    }
}
