//! Who waits for a version is told of it, exactly then; and a walk sees every level once, whatever happens meanwhile.

use std::collections::HashMap;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::RwLockUpgradableReadGuard;
use tokio::sync::oneshot::error::TryRecvError;

use super::*;

fn key(text: &str) -> StockKey {
    StockKey::from_text(text).unwrap()
}

fn head(version: u64) -> Head {
    Head { level: Level::existing(version, 0, version).unwrap(), position: version * 512 }
}

fn set(heads: &Heads, text: &str, version: u64) -> Vec<oneshot::Sender<()>> {
    let mut woken = Vec::new();
    heads.set(text, heads.hash(text), head(version), &mut woken);
    woken
}

fn not_yet(heads: &Heads, text: &str, version: u64) -> oneshot::Receiver<()> {
    match heads.written(&key(text), version) {
        Written::NotYet(told) => told,
        Written::At(position) => panic!("version {version} of {text} is at {position}"),
    }
}

#[test]
fn a_level_has_the_head_that_was_set_last() {
    let heads = Heads::new();
    assert_eq!((heads.get("a main", heads.hash("a main")), heads.len(), heads.is_empty()), (None, 0, true));
    for version in 1..=3 {
        assert!(set(&heads, "a main", version).is_empty());
    }
    set(&heads, "b main", 9);
    assert_eq!(heads.get("a main", heads.hash("a main")), Some(head(3)));
    assert_eq!(heads.get("b main", heads.hash("b main")), Some(head(9)));
    assert_eq!((heads.len(), heads.is_empty()), (2, false));
}

/// P7: a version is in the log once it or a later one was set, and not before.
#[test]
fn what_was_written_is_known_and_what_was_not_is_waited_for() {
    let heads = Heads::new();
    set(&heads, "a main", 2);
    for version in 0..=2 {
        assert!(matches!(heads.written(&key("a main"), version), Written::At(1_024)));
    }
    let mut waits = not_yet(&heads, "a main", 3);
    assert_eq!(waits.try_recv(), Err(TryRecvError::Empty));
    let woken = set(&heads, "a main", 3);
    assert_eq!(waits.try_recv(), Err(TryRecvError::Empty), "set is not yet synced");
    for told in woken {
        told.send(()).unwrap();
    }
    assert_eq!(waits.try_recv(), Ok(()));
}

#[test]
fn those_are_told_who_wait_for_that_level_and_that_version_or_one_before() {
    let heads = Heads::new();
    // Many levels, so that some share a shard.
    let texts: Vec<String> = (0..2_000).map(|number| format!("k{number} main")).collect();
    let others: Vec<_> = texts.iter().map(|text| not_yet(&heads, text, 1)).collect();
    let mut waits: Vec<_> = (1..=6).map(|version| not_yet(&heads, "a main", version)).collect();
    waits.push(not_yet(&heads, "a main", 4));
    let told = |woken: Vec<oneshot::Sender<()>>, waits: &mut [oneshot::Receiver<()>]| -> Vec<usize> {
        for told in woken {
            told.send(()).unwrap();
        }
        (0..waits.len()).filter(|&index| waits[index].try_recv() == Ok(())).collect()
    };
    assert_eq!(told(set(&heads, "a main", 4), &mut waits), [0, 1, 2, 3, 6]);
    assert!(told(set(&heads, "a main", 4), &mut waits).is_empty(), "nobody is told twice");
    assert_eq!(told(set(&heads, "a main", 5), &mut waits), [4]);
    for (text, mut other) in texts.iter().zip(others) {
        assert_eq!(other.try_recv(), Err(TryRecvError::Empty));
        assert_eq!(set(&heads, text, 1).len(), 1);
    }
}

#[test]
fn who_waits_when_all_is_given_up_learns_that_it_will_never_happen() {
    let heads = Heads::new();
    let mut waits: Vec<_> = (0..600).map(|number| not_yet(&heads, &format!("k{number} main"), 1)).collect();
    heads.give_up();
    assert!(waits.iter_mut().all(|wait| wait.try_recv() == Err(TryRecvError::Closed)));
    assert!(set(&heads, "k0 main", 1).is_empty());
}

/// No wake-up is lost between the look and the waiting: whichever side comes first, the waiter learns of the version.
#[test]
fn no_wait_begins_after_the_version_was_set() {
    let heads = Heads::new();
    let barrier = Barrier::new(2);
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| {
            let mut told = 0;
            for version in 1..=2_000 {
                barrier.wait();
                told += match heads.written(&key("a main"), version) {
                    Written::At(position) => {
                        assert_eq!(position, version * 512);
                        1
                    }
                    Written::NotYet(receiver) => usize::from(receiver.blocking_recv().is_ok()),
                };
            }
            told
        });
        let mut told = Vec::new();
        for version in 1..=2_000 {
            barrier.wait();
            told.append(&mut set(&heads, "a main", version));
            // Who asked before the set is in `told` now; who asks later finds the head.
            told.drain(..).for_each(|told| told.send(()).unwrap());
        }
        assert_eq!(waiter.join().unwrap(), 2_000);
    });
}

/// As above, with the writer held up in the narrowest place: after the look without the lock, before the one with it.
#[test]
fn a_version_set_between_the_two_looks_is_seen() {
    let heads = Heads::new();
    set(&heads, "a main", 1);
    for version in 2..=300 {
        let barrier = Barrier::new(2);
        // Readers get in meanwhile, and nobody else who wants to write.
        let held = heads.shard(heads.hash("a main")).upgradable_read();
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| {
                barrier.wait();
                heads.written(&key("a main"), version)
            });
            barrier.wait();
            (0..100).for_each(|_| std::thread::yield_now());
            let mut held = RwLockUpgradableReadGuard::upgrade(held);
            held.table.iter_mut().for_each(|entry| entry.head = head(version));
            drop(held);
            assert!(matches!(waiter.join().unwrap(), Written::At(position) if position == version * 512));
        });
    }
}

#[test]
fn a_walk_sees_each_level_once_while_they_change() {
    const LEVELS: u64 = 3_000;
    let heads = Heads::new();
    heads.reserve(100);
    let text = |number: u64| format!("k{number} main");
    for number in 0..LEVELS {
        set(&heads, &text(number), 1);
    }
    let (barrier, done) = (Barrier::new(2), AtomicBool::new(false));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            barrier.wait();
            for version in 2..=10 {
                (0..LEVELS).for_each(|number| drop(set(&heads, &text(number), version)));
                // Levels that were not there from the start make the tables grow.
                (0..LEVELS).for_each(|number| drop(set(&heads, &text(number + version * LEVELS), 1)));
            }
            done.store(true, Ordering::Release);
        });
        barrier.wait();
        let mut floor: HashMap<StockKey, u64> = HashMap::new();
        loop {
            let was_done = done.load(Ordering::Acquire);
            let mut seen = HashMap::new();
            heads.walk(|key, found| {
                assert_eq!(found, head(found.level.version()), "half of a change");
                assert_eq!(seen.insert(key.clone(), found.level.version()), None, "{key} twice");
            });
            assert!((0..LEVELS).all(|number| seen.contains_key(&key(&text(number)))));
            assert!(floor.iter().all(|(key, version)| seen[key] >= *version), "a later walk saw less");
            floor = seen;
            if was_done {
                break;
            }
        }
        assert_eq!((floor.len() as u64, heads.len() as u64), (LEVELS * 10, LEVELS * 10));
    });
}
