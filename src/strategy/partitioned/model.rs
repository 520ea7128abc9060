//! Transactions over several partitions under the model checker (shuttle); how it is run, and its bounds, are in
//! [`crate::strategy::owner`]'s model.

use std::collections::BTreeSet;
use std::sync::Arc;

use shuttle::future::block_on;
use shuttle::thread;

use super::Partitioned;
use crate::stock::{KeySet, StockKey};
use crate::strategy::kept_out::{assert_changes_are_kept_out, impatient};
use crate::strategy::owner::model::{Bench, Told, abandon, key, while_an_owner_is_kept};
use crate::strategy::{Strategy, StrategyConfig};
use crate::sync::schedules::outcomes;

/// Two or three owners, each with a queue of one place, and a level of each owner.
fn bench(owners: usize) -> (Arc<Bench<Partitioned>>, Arc<[StockKey]>) {
    let bench = Bench::new(Partitioned::new, 1, owners);
    let keys = keys_of(&bench.strategy);
    (bench, keys)
}

fn keys_of(strategy: &Partitioned) -> Arc<[StockKey]> {
    let key_of = |owner| {
        let mut keys = (0..).map(|number: u32| key(&number.to_string()));
        keys.find(|key| strategy.owner_of(key) == owner).unwrap()
    };
    (0..strategy.owners().count()).map(key_of).collect()
}

/// A transaction on these levels, from a thread of its own.
fn transaction(
    bench: &Arc<Bench<Partitioned>>,
    keys: &Arc<[StockKey]>,
    of: &'static [usize],
) -> thread::JoinHandle<Told> {
    let (bench, keys) = (Arc::clone(bench), Arc::clone(keys));
    thread::spawn(move || {
        let keys: Vec<StockKey> = of.iter().map(|&number| keys[number].clone()).collect();
        block_on(bench.change_all(&keys))
    })
}

fn joined(callers: Vec<thread::JoinHandle<Told>>) -> Vec<Told> {
    callers.into_iter().map(|caller| caller.join().unwrap()).collect()
}

fn assert_occurred(occurred: &BTreeSet<String>, expected: &[&str]) {
    let expected: BTreeSet<String> = expected.iter().map(|&outcome| outcome.to_owned()).collect();
    assert_eq!(*occurred, expected);
}

const BOTH: &[usize] = &[0, 1];

/// P1, P10: two transactions on the same two partitions, and a change of one of them: all happen, nobody hangs.
#[test]
fn two_transactions_on_the_same_partitions() {
    let occurred = outcomes(|| {
        let (bench, keys) = bench(2);
        let callers = [BOTH, BOTH, &[0]].map(|of| transaction(&bench, &keys, of));
        let told = joined(callers.into());
        let units = bench.settle(&keys, &[(told[0], BOTH), (told[1], BOTH), (told[2], &[0])]);
        format!("{units:?}")
    });
    assert_occurred(&occurred, &["[3, 2]"]);
}

/// P10: three transactions, each of which shares a partition with each other: nobody hangs.
#[test]
fn three_transactions_in_a_ring() {
    const RING: [&[usize]; 3] = [&[0, 1], &[1, 2], &[0, 2]];
    let occurred = outcomes(|| {
        let (bench, keys) = bench(3);
        let told = joined(RING.map(|of| transaction(&bench, &keys, of)).into());
        let told: Vec<_> = told.into_iter().zip(RING).collect();
        format!("{:?}", bench.settle(&keys, &told))
    });
    assert_occurred(&occurred, &["[2, 2, 2]"]);
}

/// P4, P5: who reads one level after the other sees both before the transaction or both after it, or it came in between.
#[test]
fn nobody_sees_a_part() {
    for order in [[0, 1, 0], [1, 0, 1]] {
        let occurred = outcomes(move || {
            let (bench, keys) = bench(2);
            let writing = transaction(&bench, &keys, BOTH);
            let read = order.map(|number| block_on(bench.units(&keys[number])).expect("nobody gives up"));
            let told = joined(vec![writing]);
            bench.settle(&keys, &[(told[0], BOTH)]);
            format!("{read:?}")
        });
        assert_occurred(&occurred, &["[0, 0, 0]", "[0, 0, 1]", "[0, 1, 1]", "[1, 1, 1]"]);
    }
}

/// P4, P5: a snapshot sees a transaction whole or not at all, and no change without the one that came before it.
#[test]
fn a_snapshot_is_of_one_instant() {
    let occurred = outcomes(|| {
        let (bench, keys) = bench(2);
        let writing = transaction(&bench, &keys, BOTH);
        // One thread's changes, one after the other.
        let changing = {
            let (bench, keys) = (Arc::clone(&bench), Arc::clone(&keys));
            thread::spawn(move || [0, 1].map(|number| block_on(bench.change(&keys[number]))))
        };
        let seen = block_on(bench.units_of_all(&keys)).expect("nobody gives up");
        let told = joined(vec![writing]);
        let changed = changing.join().unwrap();
        bench.settle(&keys, &[(told[0], BOTH), (changed[0], &[0]), (changed[1], &[1])]);
        // In the order of the set, which need not be that of the owners.
        let set = KeySet::new(keys.to_vec());
        let of = |number: usize| seen[set.position(&keys[number]).unwrap()];
        format!("{} {}", of(0), of(1))
    });
    assert_occurred(&occurred, &["0 0", "1 0", "1 1", "2 1", "2 2"]);
}

/// P10: a snapshot that is given up lets the owners go, and whoever stands behind it gets through.
#[test]
fn a_snapshot_given_up_keeps_nobody() {
    let occurred = outcomes(|| {
        let (bench, keys) = bench(2);
        let writing = transaction(&bench, &keys, BOTH);
        let looking = {
            let (bench, keys) = (Arc::clone(&bench), Arc::clone(&keys));
            thread::spawn(move || block_on(bench.units_of_all(&keys)))
        };
        bench.strategy.owners().reap_all();
        let told = joined(vec![writing]);
        let seen = looking.join().unwrap();
        block_on(bench.strategy.owners().join());
        let units = bench.settle(&keys, &[(told[0], BOTH)]);
        assert!(seen.is_none_or(|seen| seen[0] == seen[1]), "all or nothing");
        format!("{units:?}")
    });
    assert_occurred(&occurred, &["[0, 0]", "[1, 1]"]);
}

/// P3, P4, P10: a transaction that is given up, even with owners waiting at its meeting, changes no partition; and lets them go.
#[test]
fn a_transaction_given_up_changes_nothing() {
    let occurred = outcomes(|| {
        let (bench, keys) = bench(2);
        let callers = vec![transaction(&bench, &keys, &[1]), transaction(&bench, &keys, BOTH)];
        bench.strategy.owners().reap_all();
        let told = joined(callers);
        block_on(bench.strategy.owners().join());
        format!("{:?}", bench.settle(&keys, &[(told[0], &[1]), (told[1], BOTH)]))
    });
    assert_occurred(&occurred, &["[0, 1]", "[1, 1]", "[1, 2]"]);
}

/// P4, P11: a caller that goes away leaves all of its transaction or nothing, and lets the owners go.
#[test]
fn who_goes_away_leaves_all_or_nothing() {
    let occurred = outcomes(|| {
        let (bench, keys) = bench(2);
        let staying = transaction(&bench, &keys, BOTH);
        let gone = abandon(bench.change_all(&keys));
        let told = joined(vec![staying]);
        block_on(bench.strategy.owners().join());
        let units = bench.settle(&keys, &[(told[0], BOTH), (gone, BOTH)]);
        assert_eq!(units[0], units[1], "all or nothing");
        format!("{units:?}")
    });
    assert_occurred(&occurred, &["[1, 1]", "[2, 2]"]);
}

/// P3, P4, P10: while one owner is inside, who may not wait is kept out, and leaves nothing with the other owner either.
#[test]
fn whoever_cannot_get_in_changes_nothing() {
    let occurred = outcomes(|| {
        let strategy = Arc::new(impatient(|config, ledger| {
            Partitioned::new(StrategyConfig { partitions: 2, ..config }, ledger)
        }));
        let keys = keys_of(&strategy);
        while_an_owner_is_kept(&strategy, &keys[1], || {
            assert_changes_are_kept_out(&*strategy, &keys[0], &keys[1]);
        });
        block_on(strategy.owners().join());
        let level = |key| block_on(strategy.read(key)).unwrap().version();
        format!("{} {}", level(&keys[0]), level(&keys[1]))
    });
    assert_occurred(&occurred, &["0 1"]);
}

/// P10: owners that are told to end finish the transactions that all of them were sent, give up those they were not, and end.
#[test]
fn shutdown_answers_everybody_and_ends() {
    let occurred = outcomes(|| {
        let (bench, keys) = bench(2);
        let callers = vec![transaction(&bench, &keys, BOTH), transaction(&bench, &keys, &[0])];
        block_on(bench.strategy.owners().shut_down());
        format!("{:?}", joined(callers))
    });
    assert_occurred(
        &occurred,
        &["[Contention, Contention]", "[Contention, Made]", "[Made, Contention]", "[Made, Made]"],
    );
}
