//! Tests of the module above, through the lanes, and through a journal in memory.

use std::sync::{Arc, Barrier};

use parking_lot::Mutex;

use super::*;
use crate::journal::disk::memory::MemoryDisk;
use crate::journal::lanes::Permit;
use crate::journal::record::RecordKind;
use crate::journal::{Journal, JournalConfig, Start, history};
use crate::said::Said;
use crate::stock::{Change, Changed, HandOff, IfMissing, Level, Operation, StockKey};

const ADD: Operation = Operation::Adjust { delta: 1, if_missing: IfMissing::Create };

/// The level that was added to `version` times.
fn level(version: u64) -> Level {
    (0..version).fold(Level::ABSENT, |level, _| Change::unconditional(ADD).judge(level).unwrap())
}

fn hand_over(permit: Permit, sku: &str, version: u64) {
    let key = StockKey::from_text(&format!("{sku} main")).unwrap();
    let (before, after) = (level(version - 1), level(version));
    permit.hand_over([Changed { key: &key, operation: ADD, before, after }].into_iter());
}

/// On a thread of its own, which is to say mostly through a lane of its own, and answered before this returns.
fn one_after_the_other(lanes: &Lanes, skus: &[String]) {
    for sku in skus {
        let permit = lanes.slot().unwrap().permit(RecordKind::Change, Said::default(), None);
        hand_over(permit, sku, 1);
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(future)
}

fn skus_of(turns: &mut Turns) -> Vec<String> {
    let mut skus = Vec::new();
    while let Some(Turn { record, .. }) = turns.next_turn() {
        let (key, _) = record::trusted_lines(record).next().unwrap();
        skus.push(key.trim_end_matches(" main").to_owned());
    }
    skus
}

#[test]
fn in_memory_the_turns_are_those_of_the_hand_overs_whatever_their_lanes() {
    let lanes = Lanes::new(true);
    let mut turns = Turns::new(lanes.count());
    for round in 0..3 {
        // Threads that live at the same time have lanes of their own. Each passes the turn on to the next.
        let handed_over = Mutex::new(Vec::new());
        let all_live = Barrier::new(8);
        std::thread::scope(|scope| {
            for thread in 0..8 {
                let (lanes, handed_over, all_live) = (&lanes, &handed_over, &all_live);
                scope.spawn(move || {
                    all_live.wait();
                    for at in 0..50 {
                        let mut handed_over = handed_over.lock();
                        let skus = [format!("{round}-{thread}-{at}"), format!("{round}-{thread}-{at}-too")];
                        one_after_the_other(lanes, &skus);
                        handed_over.extend(skus);
                    }
                    all_live.wait();
                });
            }
        });
        turns.take(&lanes);
        assert_eq!(skus_of(&mut turns), handed_over.into_inner(), "round {round}");
    }
    turns.take(&lanes);
    assert!(turns.next_turn().is_none(), "nothing was handed over");
}

#[test]
fn without_stamps_one_lane_comes_after_the_other() {
    let lanes = Lanes::new(false);
    let mut turns = Turns::new(lanes.count());
    let all_live = Barrier::new(4);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (lanes, all_live) = (&lanes, &all_live);
            scope.spawn(move || {
                all_live.wait();
                one_after_the_other(
                    lanes,
                    &[format!("{thread}-0"), format!("{thread}-1"), format!("{thread}-2")],
                );
                all_live.wait();
            });
        }
    });
    turns.take(&lanes);
    let skus = skus_of(&mut turns);
    assert_eq!(skus.len(), 12);
    for threads in skus.chunks_exact(3) {
        let (thread, _) = threads[0].split_once('-').unwrap();
        assert_eq!(threads, [format!("{thread}-0"), format!("{thread}-1"), format!("{thread}-2")]);
    }
}

fn in_memory() -> Journal {
    Journal::start(Arc::new(MemoryDisk::new()), Start::empty(), &JournalConfig::default()).unwrap()
}

/// Sku and version of every movement, in the order of their numbers.
async fn movements(journal: &Journal) -> Vec<(String, u64)> {
    journal.caught_up().await.unwrap();
    let shared = journal.shared();
    let page = history::after(&shared.log, &shared.watermark, 0, 1_000, |_, _| true).unwrap();
    let named = |movement: history::Movement| (movement.key.sku().to_string(), movement.after.version());
    page.movements.into_iter().map(named).collect()
}

/// A client may have the answer to a change that waits for one before it, since in memory nobody waits for the log; what it does
/// then is numbered after that change.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_memory_what_comes_after_a_change_that_is_held_back_waits_with_it() {
    let journal = in_memory();
    let mut permits = Vec::new();
    for _ in 0..7 {
        permits.push(journal.permit(RecordKind::Change, Said::default(), None).await.unwrap());
    }
    let mut next = || permits.pop().unwrap();
    hand_over(next(), "a", 3);
    hand_over(next(), "b", 1);
    hand_over(next(), "c", 2);
    // Nothing of these can be written yet: the writer has looked, and parked what came after the first.
    journal.shared().lanes.bell().ask();
    hand_over(next(), "d", 1);
    hand_over(next(), "a", 2);
    hand_over(next(), "a", 1);
    hand_over(next(), "c", 1);
    let expected = [("a", 1), ("a", 2), ("a", 3), ("b", 1), ("c", 1), ("c", 2), ("d", 1)];
    assert_eq!(movements(&journal).await, expected.map(|(sku, version)| (sku.to_owned(), version)));
    tokio::task::block_in_place(|| journal.close());
    assert_eq!(journal.shared().watermark.failed(), None);
}

/// Threads hand the changes of few levels over as they come, each told of before the next is made: the ledger has them in that order.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_memory_the_ledger_is_in_the_order_of_the_answers() {
    let journal = in_memory();
    let told = Mutex::new(Vec::<(String, u64)>::new());
    std::thread::scope(|scope| {
        for thread in 0..6 {
            let (journal, told) = (&journal, &told);
            scope.spawn(move || {
                for at in 0..80 {
                    let permit = block_on(journal.permit(RecordKind::Change, Said::default(), None)).unwrap();
                    let mut told = told.lock();
                    let sku = format!("s{}", (thread * 7 + at * 3) % 5);
                    let version = 1 + told.iter().filter(|(known, _)| *known == sku).count() as u64;
                    hand_over(permit, &sku, version);
                    told.push((sku, version));
                    // So that the writer empties the lanes in the midst of it.
                    journal.shared().lanes.bell().ask();
                }
            });
        }
    });
    assert_eq!(movements(&journal).await, told.into_inner());
    tokio::task::block_in_place(|| journal.close());
}
