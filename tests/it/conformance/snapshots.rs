//! Several levels as of one instant (P4, P5): what one caller sees, and that no sum is one that there never was, whatever others do.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use inventory::stock::{KeySet, Level};
use inventory::strategy::StrategyKind;

use crate::support::clients;
use crate::support::for_each_strategy;
use crate::support::stock::{
    Stock, adjust, adjust_or_create, create, delete, key, level, reserve, tombstone,
};

/// Levels between which units are moved.
const LEVELS: usize = 16;
/// What each of them has at first.
const UNITS: u64 = 100;
/// Transfers of one mover.
const TRANSFERS: usize = 2_000;
/// Who moves; as many again look.
const MOVERS: usize = 2;
/// How often somebody has looked, at least, before nothing is moved any more: however the clients are scheduled.
const LOOKS_MIN: usize = 20;

fn name(number: usize) -> String {
    format!("k{number:02}")
}

for_each_strategy! {
    /// P6: each level is as it is, in the order of the keys: those that were deleted, and those that never were, as well.
    async fn a_snapshot_shows_each_level_as_it_is(kind: StrategyKind) {
        let stock = Stock::with_levels(kind, &[("a", 5), ("b", 7), ("d", 1)]).await;
        stock.apply(&key("b"), reserve(3)).await.expect("units enough");
        stock.apply(&key("d"), delete()).await.expect("nothing is held");
        let shown = stock.snapshot(&["d", "b", "never", "a", "a"].map(key)).await;
        assert_eq!(shown, [level(5, 0, 1), level(7, 3, 2), tombstone(2), Level::ABSENT]);
        assert_eq!(stock.snapshot(&[]).await, []);
        assert_eq!(stock.snapshot(&[key("a")]).await, [level(5, 0, 1)]);
        assert_eq!(stock.listed(), ["a", "b"].map(key), "a look leaves nothing behind");
        stock.apply(&key("a"), adjust(-1)).await.expect("units enough");
        assert_eq!(stock.snapshot(&["a", "b"].map(key)).await, [level(4, 0, 2), level(7, 3, 2)]);
    }

    /// P4: while units are moved about, none is missing in any answer, and none is there twice; and of a snapshot and the next, none goes back.
    async fn units_that_are_moved_are_always_somewhere(kind: StrategyKind) {
        let stock = Stock::new(kind);
        for number in 0..LEVELS {
            stock.apply(&key(&name(number)), create(UNITS)).await.expect("a new level");
        }
        let (moving, looked) = (Arc::new(AtomicUsize::new(MOVERS)), Arc::new(AtomicUsize::new(0)));
        let shared = Arc::clone(&stock);
        clients::run(2 * MOVERS, move |client| {
            let (stock, moving, looked) = (Arc::clone(&shared), Arc::clone(&moving), Arc::clone(&looked));
            async move {
                if client < MOVERS {
                    let mut steps = 0..;
                    while let Some(step) = steps.next()
                        && (step < TRANSFERS || looked.load(Ordering::SeqCst) < LOOKS_MIN)
                    {
                        let (from, to) = ((client + 7 * step) % LEVELS, (client + 7 * step + 5) % LEVELS);
                        // A refusal is as good: then nothing is moved.
                        let _moved = stock
                            .transact(vec![(key(&name(from)), adjust(-3)), (key(&name(to)), adjust_or_create(3))])
                            .await;
                        if step % 8 == 0 {
                            tokio::task::yield_now().await;
                        }
                    }
                    moving.fetch_sub(1, Ordering::SeqCst);
                    return;
                }
                let keys: Vec<_> = (0..LEVELS).map(|number| key(&name(number))).collect();
                let mut before = vec![Level::ABSENT; LEVELS];
                while moving.load(Ordering::SeqCst) > 0 {
                    let levels = stock.snapshot(&keys).await;
                    let sum: u64 = levels.iter().map(|level| level.on_hand()).sum();
                    assert_eq!(sum, UNITS * LEVELS as u64, "{levels:?}");
                    assert!(before.iter().zip(&levels).all(|(before, now)| before.version() <= now.version()));
                    before = levels;
                    looked.fetch_add(1, Ordering::SeqCst);
                    tokio::task::yield_now().await;
                }
            }
        })
        .await;
        stock.recorder.assert_permits_accounted_for();
    }

    /// P4: a level that comes into being while it is looked at comes with what it was made of.
    async fn levels_that_come_and_go_are_seen_whole(kind: StrategyKind) {
        let stock = Stock::with_levels(kind, &[("a", 1_000)]).await;
        let (moving, shared) = (Arc::new(AtomicUsize::new(1)), Arc::clone(&stock));
        clients::run(2, move |client| {
            let (stock, moving) = (Arc::clone(&shared), Arc::clone(&moving));
            async move {
                if client == 0 {
                    for number in 0..1_000 {
                        let lines = vec![(key("a"), adjust(-1)), (key(&number.to_string()), adjust_or_create(1))];
                        stock.transact(lines).await.expect("units enough");
                        tokio::task::yield_now().await;
                    }
                    moving.store(0, Ordering::SeqCst);
                    return;
                }
                let keys: Vec<_> =
                    (0..1_000).map(|number: u32| key(&number.to_string())).chain([key("a")]).collect();
                while moving.load(Ordering::SeqCst) > 0 {
                    let levels = stock.snapshot(&keys).await;
                    assert_eq!(levels.iter().map(|level| level.on_hand()).sum::<u64>(), 1_000);
                    tokio::task::yield_now().await;
                }
            }
        })
        .await;
        let all: Vec<_> = (0..1_000).map(|number: u32| key(&number.to_string())).collect();
        assert_eq!(stock.snapshot(&all).await, vec![level(1, 0, 1); 1_000]);
        assert_eq!(KeySet::new(all).keys().len(), 1_000);
    }
}
