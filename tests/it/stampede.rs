//! Many callers after the same few levels: nobody oversells (P2), is refused what was there (P3), hangs (P10), sees a part
//! (P4), or loses a unit (P1).

use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use inventory::stock::{Level, Reason, StockKey, Transaction};
use inventory::strategy::{Rejected, Strategy, StrategyKind, TransactRejected};
use rand::rngs::Xoshiro256PlusPlus;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use tokio::task::JoinSet;

use crate::support::clients;
use crate::support::for_each_strategy;
use crate::support::stock::{Stock, adjust, create, key, level};

/// Every client's dice follow from this and its number.
const SEED: u64 = 31_415;

fn dice(client: usize) -> Xoshiro256PlusPlus {
    Xoshiro256PlusPlus::seed_from_u64(SEED + client as u64)
}

/// `count` levels of `on_hand` units each.
async fn levels(stock: &Stock, count: usize, on_hand: u64) -> Arc<[StockKey]> {
    let keys: Arc<[StockKey]> = (0..count).map(|number| key(&format!("k{number:03}"))).collect();
    for key in &*keys {
        stock.apply_patiently(key, create(on_hand)).await;
    }
    keys
}

for_each_strategy! {
    /// P2, P3: of 1 000 takers of 1 unit exactly one wins, and every refusal shows the level after the winner, and no other.
    async fn a_thousand_takers_of_one_unit(kind: StrategyKind) {
        let stock = Stock::with_levels(kind, &[("a", 1)]).await;
        let (mut takers, barrier) = (JoinSet::new(), Arc::new(tokio::sync::Barrier::new(1_000)));
        for _ in 0..1_000 {
            let (stock, barrier) = (Arc::clone(&stock), Arc::clone(&barrier));
            takers.spawn(async move {
                barrier.wait().await;
                stock.apply(&key("a"), adjust(-1)).await
            });
        }
        let outcomes = takers.join_all().await;
        let (won, lost): (Vec<_>, Vec<_>) = outcomes.into_iter().partition(Result::is_ok);
        assert_eq!(won.into_iter().map(|won| won.map(|applied| applied.after)).collect::<Vec<_>>(), [Ok(level(0, 0, 2))]);
        for refused in lost {
            let Err(Rejected::Refused(refusal)) = refused else { panic!("{refused:?} is no refusal") };
            assert_eq!((refusal.reason, refusal.found), (Reason::Insufficient { requested: 1 }, level(0, 0, 2)));
        }
        stock.assert_all_handed_off(&[key("a")]).await;
    }

    /// P2, P3, P4: the same with 10 takers of all of 50 levels: one wins all, and the others find all of them short.
    async fn takers_of_many_levels(kind: StrategyKind) {
        let stock = Stock::new(kind);
        let keys = levels(&stock, 50, 1).await;
        let (shared, names) = (Arc::clone(&stock), Arc::clone(&keys));
        let outcomes = clients::run(10, move |_| {
            let (stock, keys) = (Arc::clone(&shared), Arc::clone(&names));
            async move { stock.transact(keys.iter().map(|key| (key.clone(), adjust(-1))).collect()).await }
        })
        .await;
        assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
        for refused in outcomes.into_iter().filter_map(Result::err) {
            let TransactRejected::Refused(refused) = refused else { panic!("{refused:?} is no refusal") };
            assert!(!refused.refusals.is_empty());
            assert!(refused.refusals.iter().all(|short| short.refusal.found == level(0, 0, 2)), "{refused:?}");
        }
        stock.assert_all_handed_off(&keys).await;
    }

    /// P1: of 400 000 changes of one level, alone and in transactions, from threads that do nothing else, none is lost.
    async fn a_hot_level_loses_nothing(kind: StrategyKind) {
        const CHANGES: u64 = 100_000;
        let stock = Stock::with_levels(kind, &[("a", 0), ("b", 0)]).await;
        let shared = Arc::clone(&stock);
        clients::run(4, move |client| {
            let stock = Arc::clone(&shared);
            async move {
                let (a, b) = (key("a"), key("b"));
                let lines = vec![(a.clone(), adjust(1)), (b, adjust(1))];
                let both = Arc::new(Transaction::new(lines).expect("two lines"));
                for _ in 0..CHANGES {
                    // Nothing is recorded, so that the threads meet at the strategy and nowhere else.
                    if client == 0 {
                        stock.strategy.transact(&both, ()).await.expect("there is room");
                    } else {
                        stock.strategy.apply(&a, adjust(1), ()).await.expect("there is room");
                    }
                }
            }
        })
        .await;
        assert_eq!(stock.read(&key("a")).await, level(4 * CHANGES, 0, 4 * CHANGES + 1));
        assert_eq!(stock.read(&key("b")).await, level(CHANGES, 0, CHANGES + 1));
    }

    /// P1, P10: A,B against B,A for 10 000 rounds: nobody hangs, and every transfer is there in the end.
    async fn opposite_orders_do_not_deadlock(kind: StrategyKind) {
        let stock = Stock::with_levels(kind, &[("a", 10_000), ("b", 10_000)]).await;
        let shared = Arc::clone(&stock);
        clients::run(2, move |client| {
            let stock = Arc::clone(&shared);
            let (from, to) = if client == 0 { ("a", "b") } else { ("b", "a") };
            async move {
                for _ in 0..10_000 {
                    let lines = vec![(key(from), adjust(-1)), (key(to), adjust(1))];
                    stock.transact(lines).await.expect("each has as many units as rounds");
                }
            }
        })
        .await;
        for name in ["a", "b"] {
            assert_eq!(stock.read(&key(name)).await, level(10_000, 0, 20_001));
        }
        stock.assert_all_handed_off(&[key("a"), key("b")]).await;
    }

    /// P1, P10: transactions of 64 of 96 levels each, in any order: nobody hangs, and no line is lost.
    async fn large_overlapping_transactions_do_not_deadlock(kind: StrategyKind) {
        const ROUNDS: u64 = 200;
        let stock = Stock::new(kind);
        let keys = levels(&stock, 96, 0).await;
        let (shared, names) = (Arc::clone(&stock), Arc::clone(&keys));
        clients::run(4, move |client| {
            let (stock, mut names, mut dice) = (Arc::clone(&shared), names.to_vec(), dice(client));
            async move {
                for _ in 0..ROUNDS {
                    names.shuffle(&mut dice);
                    let lines = names[..64].iter().map(|key| (key.clone(), adjust(1))).collect();
                    stock.transact(lines).await.expect("there is room");
                }
            }
        })
        .await;
        let mut units = 0;
        for key in &*keys {
            let level = stock.read(key).await;
            assert_eq!(level.version(), level.on_hand() + 1, "one version a unit");
            units += level.on_hand();
        }
        assert_eq!(units, 4 * ROUNDS * 64);
        stock.assert_all_handed_off(&keys).await;
    }

    /// P4, P5: levels that only ever change together look alike to whoever reads the first and the last of them, in either
    /// order: what is read later is never older. Transactions that are refused at one more level show nothing at all.
    async fn nobody_sees_a_part(kind: StrategyKind) {
        const ROUNDS: u64 = 3_000;
        let stock = Stock::with_levels(kind, &[("short", 0)]).await;
        // Many in between, so that a transaction takes as long as possible over them.
        let keys = levels(&stock, 60, 0).await;
        let (shared, names) = (Arc::clone(&stock), Arc::clone(&keys));
        // Client 0 takes it and drops it when it is done, so that the others are at it for as long.
        let pen = Arc::new(());
        let (written, pen) = (Arc::downgrade(&pen), Mutex::new(Some(pen)));
        clients::run(4, move |client| {
            let (stock, keys) = (Arc::clone(&shared), Arc::clone(&names));
            let written = Weak::clone(&written);
            let pen = if client == 0 { pen.lock().expect("nobody panics").take() } else { None };
            async move {
                let all = |delta| keys.iter().map(move |key| (key.clone(), adjust(delta)));
                let (first, last) = (&keys[0], &keys[keys.len() - 1]);
                if pen.is_some() {
                    for _ in 0..ROUNDS {
                        stock.transact(all(1).collect()).await.expect("there is room");
                    }
                }
                drop(pen);
                while written.strong_count() > 0 {
                    match client {
                        1 => {
                            let lines = all(1_000).chain([(key("short"), adjust(-1))]).collect();
                            stock.transact(lines).await.expect_err("the last level is empty");
                        }
                        2 => assert_reads_ascend(&stock, [first, last, first, last, first]).await,
                        _ => assert_reads_ascend(&stock, [last, first, last, first, last]).await,
                    }
                }
            }
        })
        .await;
        for key in &*keys {
            assert_eq!(stock.read(key).await, level(ROUNDS, 0, ROUNDS + 1));
        }
        stock.assert_all_handed_off(&keys).await;
    }

    /// P1, P2: random transfers, some of them refused, conserve what there is.
    async fn transfers_conserve_the_stock(kind: StrategyKind) {
        let stock = Stock::new(kind);
        let keys = levels(&stock, 6, 20).await;
        let (shared, names) = (Arc::clone(&stock), Arc::clone(&keys));
        let made = clients::run(4, move |client| {
            let (stock, mut names, mut dice) = (Arc::clone(&shared), names.to_vec(), dice(client));
            async move {
                let mut made = 0;
                for _ in 0..2_000 {
                    names.shuffle(&mut dice);
                    let units = dice.random_range(1..30);
                    let lines = vec![(names[0].clone(), adjust(-units)), (names[1].clone(), adjust(units))];
                    match stock.transact(lines).await {
                        Ok(_) => made += 1,
                        Err(TransactRejected::Refused(refused)) => assert_eq!(refused.refusals.len(), 1),
                        Err(contention) => panic!("{contention:?}"),
                    }
                }
                made
            }
        })
        .await;
        let (mut units, mut changes) = (0, 0);
        for key in &*keys {
            let level = stock.read(key).await;
            units += level.on_hand();
            changes += level.version() - 1;
        }
        let made: u64 = made.iter().sum();
        assert_eq!((units, changes), (6 * 20, 2 * made));
        assert!((1..4 * 2_000).contains(&made), "some transfers are made and some refused: {made} made");
        stock.assert_all_handed_off(&keys).await;
    }

    /// P3, P10: callers that may not wait at all either make their change or end with `Contention`, without a trace; none
    /// is told that the stock is short, and none that was told "no" has changed anything.
    async fn whoever_may_not_wait_leaves_no_trace(kind: StrategyKind) {
        let stock = Stock::with_lock_timeout(kind, Duration::ZERO);
        let keys = levels(&stock, 8, 0).await;
        let (shared, names) = (Arc::clone(&stock), Arc::clone(&keys));
        let made = clients::run(4, move |client| {
            let (stock, names, mut dice) = (Arc::clone(&shared), Arc::clone(&names), dice(client));
            async move {
                let mut made = [0_u64; 8];
                for _ in 0..3_000 {
                    let first = dice.random_range(0..names.len());
                    let chosen = if dice.random() { first..first + 1 } else { first..names.len() };
                    let lines: Vec<_> = names[chosen.clone()].iter().map(|key| (key.clone(), adjust(1))).collect();
                    let is_made = match stock.transact(lines).await {
                        Ok(_) => true,
                        Err(TransactRejected::Contention(_)) => false,
                        Err(refused) => panic!("{refused:?}"),
                    };
                    chosen.for_each(|number| made[number] += u64::from(is_made));
                }
                made
            }
        })
        .await;
        for (number, key) in keys.iter().enumerate() {
            let made: u64 = made.iter().map(|made| made[number]).sum();
            assert_eq!(stock.read(key).await, level(made, 0, made + 1));
        }
        stock.assert_all_handed_off(&keys).await;
    }
}

/// Reads levels that are always equal, one after the other: none is older than the one read before.
async fn assert_reads_ascend(stock: &Stock, keys: [&StockKey; 5]) {
    let mut last = Level::ABSENT;
    for key in keys {
        let level = stock.read(key).await;
        assert_eq!(level.version(), level.on_hand() + 1, "a refused transaction shows in {key}: {level:?}");
        assert!(level.version() >= last.version(), "{key} at {level:?} was read after {last:?}");
        last = level;
    }
}
