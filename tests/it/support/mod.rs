//! What the integration tests share: one test body per promise, a named test per strategy.
//!
//! [`for_each_strategy`] makes the tests, [`stock`] is the thing under test with the [`recorder`] that takes its
//! hand-offs, [`process`] the real server, [`clients`] runs many callers at once, [`recording`] writes down what they saw for the checker, [`checker`] runs programs that know a format better,
//! [`tokens`] and [`certificates`] sign them, [`proxy`] is the network before a database, and fails, [`small_disk`] is soon full.

pub(crate) mod app;
pub(crate) mod certificates;
pub(crate) mod checker;
pub(crate) mod clients;
pub(crate) mod nginx;
pub(crate) mod process;
pub(crate) mod proxy;
pub(crate) mod recorder;
pub(crate) mod recording;
pub(crate) mod small_disk;
pub(crate) mod stock;
pub(crate) mod store;
pub(crate) mod tokens;

/// Every strategy that keeps the promises: the name of its tests, and its kind. **The one list**: a strategy added here
/// runs every test there is, and a test fails while this list and the catalogue differ.
macro_rules! correct_strategies {
    ($then:ident) => {
        $crate::support::$then! { mutex: Mutex, reentrant: Reentrant, rwlock: RwLock, sharded: Sharded, atomic: Atomic, actor: Actor, partitioned: Partitioned }
    };
}

/// Makes of each body a module of tests, one per strategy, so that a failure reads `conformance::read_your_writes::atomic`.
///
/// The body runs on a runtime of two workers, and may spawn threads and tasks.
macro_rules! for_each_strategy {
    ($( $(#[$about:meta])* async fn $name:ident($kind:ident: StrategyKind) $body:block )+) => {$(
        $(#[$about])*
        mod $name {
            use super::*;

            async fn body($kind: StrategyKind) $body

            $crate::support::correct_strategies!(named_tests);
        }
    )+};
}

macro_rules! named_tests {
    ($($test:ident: $kind:ident),+) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $test() {
            body(StrategyKind::$kind).await;
        }
    )+};
}

/// Every store there is: the name of its tests, and its kind. **The one list** again: the next store is a line here.
macro_rules! correct_stores {
    ($then:ident, $keeping:expr) => {
        $crate::support::$then! { $keeping; memory: Memory, disk: Disk }
    };
}

/// Makes of each body a module of tests, one per store and strategy, so that a failure reads
/// `contract::a_key_takes_effect_once::disk::atomic`. The store is empty, and has the bounds that are said, or the usual ones.
macro_rules! for_each_store {
    ($( $(#[$about:meta])* async fn $name:ident($opened:ident: Opened $(with $keeping:expr)?) $body:block )+) => {$(
        $(#[$about])*
        mod $name {
            use super::*;

            async fn with_store($opened: Opened) $body

            $crate::support::correct_stores!(tests_of_store, [$($keeping,)? Keeping::default()]);

            /// In a database there is no strategy: the database shares the levels.
            #[databases::needs(Postgres)]
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn postgres() {
                let [keeping, ..] = [$($keeping,)? Keeping::default()];
                with_store(Opened::in_database(keeping).await).await;
            }
        }
    )+};
}

macro_rules! tests_of_store {
    ($keeping:expr; $store:ident: $kind:ident $(, $others:ident: $other_kinds:ident)*) => {
        mod $store {
            use inventory::strategy::StrategyKind;

            use super::*;

            async fn body(kind: StrategyKind) {
                // The first that is said.
                let [keeping, ..] = $keeping;
                with_store(Opened::empty($crate::support::store::StoreKind::$kind, kind, keeping).await).await;
            }

            $crate::support::correct_strategies!(named_tests);
        }
        $crate::support::tests_of_store! { $keeping; $($others: $other_kinds),* }
    };
    ($keeping:expr;) => {};
}

macro_rules! listed_kinds {
    ($($test:ident: $kind:ident),+) => {
        [$((stringify!($test), inventory::strategy::StrategyKind::$kind)),+]
    };
}

pub(crate) use {
    correct_stores, correct_strategies, for_each_store, for_each_strategy, listed_kinds, named_tests,
    tests_of_store,
};

/// The list of the tests is that of the catalogue, and each test is named as its strategy is.
#[test]
fn every_correct_strategy_is_tested() {
    let listed = correct_strategies!(listed_kinds);
    let catalogue = inventory::strategy::StrategyKind::ALL.into_iter().filter(|kind| kind.is_correct());
    assert!(listed.iter().all(|(name, kind)| kind.name() == *name), "{listed:?}");
    assert_eq!(listed.map(|(_, kind)| kind).to_vec(), catalogue.collect::<Vec<_>>());
}
