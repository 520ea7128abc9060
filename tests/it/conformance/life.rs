//! From the beginning to the end of a strategy: what it takes in, which one it is, and what it does when it is told to end.

use std::sync::Arc;

use inventory::stock::{Applied, StockKey};
use inventory::strategy::{Contention, Rejected, Strategy, StrategyKind};

use crate::support::for_each_strategy;
use crate::support::stock::{Stock, adjust, create, delete, key, level, tombstone};

/// Levels of as many kinds as there are, and enough of them that every partition and many shards have some.
fn found() -> Vec<(StockKey, inventory::stock::Level)> {
    let many = (0..200).map(|number| (key(&format!("k{number}")), level(number, 0, number + 1)));
    [(key("a"), level(5, 2, 7)), (key("gone"), tombstone(4))].into_iter().chain(many).collect()
}

for_each_strategy! {
    /// P1, P6, P7: levels as recovery found them are there, each at its version, and go on from there; nobody is told of them.
    async fn levels_that_were_there_before_go_on_from_where_they_were(kind: StrategyKind) {
        let stock = Stock::new(kind);
        stock.strategy.restore(found()).await;
        for (key, level) in found() {
            assert_eq!(stock.read(&key).await, level, "{key}");
        }
        assert_eq!(stock.listed(), [], "the index is told by whoever recovers");
        let (a, gone) = (key("a"), key("gone"));
        let taken = Applied { before: level(5, 2, 7), after: level(2, 2, 8) };
        assert_eq!(stock.apply(&a, adjust(-3)).await, Ok(taken));
        let created = Applied { before: tombstone(4), after: level(1, 0, 5) };
        assert_eq!(stock.apply(&gone, create(1)).await, Ok(created));
        let both = stock.transact(vec![(key("k7"), adjust(1)), (key("k9"), delete())]).await;
        let (seven, nine) = (level(8, 0, 9), tombstone(11));
        assert_eq!(both.map(|made| made.iter().map(|made| made.after).collect::<Vec<_>>()), Ok(vec![seven, nine]));
    }

    /// A strategy is the one that was asked for.
    async fn a_strategy_knows_which_it_is(kind: StrategyKind) {
        assert_eq!(Stock::new(kind).strategy.kind(), kind);
    }

    /// P10: after its end a strategy with threads of its own takes no calls, and says so; one without goes on.
    async fn after_its_end_a_strategy_keeps_everybody_out_or_goes_on(kind: StrategyKind) {
        let stock = Stock::with_levels(kind, &[("a", 5), ("b", 5)]).await;
        stock.strategy.join().await;
        stock.strategy.shut_down().await;
        let has_threads = matches!(kind, StrategyKind::Actor | StrategyKind::Partitioned);
        let read = stock.strategy.read(&key("a")).await;
        let change = stock.apply(&key("a"), adjust(-1)).await;
        let both = stock.transact(vec![(key("a"), adjust(-1)), (key("b"), adjust(-1))]).await;
        if has_threads {
            assert_eq!(read, Err(Contention));
            assert_eq!(change, Err(Rejected::Contention(Contention)));
            assert_eq!(both, Err(Contention.into()));
        } else {
            assert_eq!(read, Ok(level(5, 0, 1)));
            assert!(change.is_ok() && both.is_ok());
        }
        // It is over for whoever comes to wait for the end, too.
        Arc::clone(&stock).strategy.shut_down().await;
        stock.recorder.assert_permits_accounted_for();
    }
}
