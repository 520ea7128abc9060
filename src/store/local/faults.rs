//! The durable service under faults: a disk that fails, forgets, fills up and rots, clients that go away, and threads that
//! panic (promises P7, P8, P10 and P11).
//!
//! One body per promise, run by every strategy. [`service`] is the whole [`Inventory`](super::Local) over a disk in memory,
//! and keeps what its clients were shown; [`script`] is what they ask; [`image`] is what is found on a disk afterwards, and
//! whether it is what it must be.

mod image;
mod script;
mod service;

mod bit_flips;
mod cancellation;
mod damage;
mod dependencies;
mod descriptors;
mod dropped;
mod failing_calls;
mod failing_syncs;
mod full_disk;
mod imports;
mod keys;
mod kills;
mod listing;
mod many_holds;
mod orders;
mod panics;
mod power_cuts;
mod reservations;
mod snapshots;
mod waiting;
mod wrong_clocks;

/// Every strategy that keeps the promises: the name of its tests, and its kind.
macro_rules! correct_strategies {
    ($then:ident) => {
        $crate::store::local::faults::$then! { mutex: Mutex, reentrant: Reentrant, rwlock: RwLock, sharded: Sharded, atomic: Atomic, actor: Actor, partitioned: Partitioned }
    };
}

/// Makes of each body a module of tests, one per strategy, so that a failure names it.
macro_rules! for_each_strategy {
    ($( $(#[$about:meta])* async fn $name:ident($kind:ident: StrategyKind) $body:block )+) => {$(
        $(#[$about])*
        mod $name {
            use super::*;

            async fn body($kind: StrategyKind) $body

            $crate::store::local::faults::correct_strategies!(named_tests);
        }
    )+};
}

macro_rules! named_tests {
    ($($test:ident: $kind:ident),+) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $test() {
            let watchdog = std::time::Duration::from_mins(2);
            tokio::time::timeout(watchdog, body(StrategyKind::$kind)).await.expect("nobody waits for ever");
        }
    )+};
}

macro_rules! listed_kinds {
    ($($test:ident: $kind:ident),+) => {
        [$((stringify!($test), crate::strategy::StrategyKind::$kind)),+]
    };
}

use {correct_strategies, for_each_strategy, listed_kinds, named_tests};

/// The list of the tests is that of the catalogue.
#[test]
fn every_correct_strategy_is_tested() {
    let listed = correct_strategies!(listed_kinds);
    let catalogue = crate::strategy::StrategyKind::ALL.into_iter().filter(|kind| kind.is_correct());
    assert!(listed.iter().all(|(name, kind)| kind.name() == *name), "{listed:?}");
    assert_eq!(listed.map(|(_, kind)| kind).to_vec(), catalogue.collect::<Vec<_>>());
}
