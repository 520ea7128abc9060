//! The negative control: a lone caller finds nothing wrong with it, so that what finds it out is the racing alone.

use inventory::stock::Applied;
use inventory::strategy::StrategyKind;

use crate::support::stock::{Stock, adjust, create, key, level, tombstone};

#[tokio::test]
async fn a_lone_caller_finds_nothing_wrong_with_the_negative_control() {
    let stock = Stock::new(StrategyKind::Racy);
    assert_eq!(stock.strategy.kind(), StrategyKind::Racy);
    stock.strategy.restore(vec![(key("old"), level(3, 0, 4)), (key("gone"), tombstone(2))]).await;
    assert_eq!(stock.read(&key("old")).await, level(3, 0, 4));
    let created = Applied { before: tombstone(2), after: level(5, 0, 3) };
    assert_eq!(stock.apply(&key("gone"), create(5)).await, Ok(created));
    assert_eq!(stock.read(&key("gone")).await, level(5, 0, 3));
    let both = stock.transact(vec![(key("gone"), adjust(-2)), (key("old"), adjust(2))]).await;
    let made: Vec<_> = both.expect("units enough").iter().map(|made| made.after).collect();
    assert_eq!(made, [level(3, 0, 4), level(5, 0, 5)]);
    assert_eq!((stock.read(&key("gone")).await, stock.read(&key("old")).await), (made[0], made[1]));
    assert!(stock.apply(&key("old"), adjust(-6)).await.is_err());
    assert_eq!(stock.read(&key("old")).await, level(5, 0, 5));
    assert_eq!(stock.contention().timeouts, 0);
    assert!(stock.contention().acquisitions > 0);
    stock.recorder.assert_permits_accounted_for();
}
