//! Records with several versions of one level, through the running journal: whatever the order in which they are handed over,
//! they are written, linked, and whole after any cut (promises P4, P6 and P7).

use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc;

use rand::rngs::Xoshiro256PlusPlus;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};

use super::*;
use crate::clock::wall_ms;
use crate::journal::disk::faulty::{Call, FaultyDisk};
use crate::journal::group::SECTOR;
use crate::journal::heads::Heads;
use crate::journal::history::{self, Movement};
use crate::journal::recovery::{self, Options, Recovered};
use crate::journal::verify::{self, Live};
use crate::journal::watermark::Watermark;
use crate::journal::{Journal, JournalConfig, Start, record::RecordKind, segment};
use crate::said::Said;
use crate::stock::{Change, Changed, HandOff, IfMissing, Level, Operation};

const CASES: u64 = 60;
const LEVELS: usize = 3;

/// What one record is of.
type Made = Vec<(StockKey, Operation, Level, Level)>;

fn key(level: usize) -> StockKey {
    StockKey::from_text(&format!("sku-{level} main")).unwrap()
}

/// Transactions as they happened, several with many changes of one level, next to each other or not.
fn happened(random: &mut Xoshiro256PlusPlus) -> (Vec<Made>, BTreeMap<String, Level>) {
    let mut levels = BTreeMap::new();
    let made = (0..24).map(|_| {
        let lines = if random.random_bool(0.3) { 1 } else { random.random_range(2..7) };
        let line = |_| {
            let key = key(random.random_range(0..LEVELS));
            let before = levels.get(key.text()).copied().unwrap_or(Level::ABSENT);
            let operation = if before.exists() && random.random_bool(0.2) {
                Operation::Delete
            } else {
                Operation::Adjust { delta: 1, if_missing: IfMissing::Create }
            };
            let after = Change::unconditional(operation).judge(before).unwrap();
            levels.insert(key.text().to_owned(), after);
            (key, operation, before, after)
        };
        (0..lines).map(line).collect()
    });
    (made.collect(), levels)
}

fn recover(disk: &FaultyDisk) -> Recovered {
    let options = Options { now_ms: wall_ms(), key_retention: Duration::from_hours(1) };
    recovery::recover(&disk.disk(), &options, &|_| {}).unwrap()
}

fn started(disk: &FaultyDisk) -> Journal {
    let Recovered { heads, keys, holds, orders, log, tail, end, control, .. } = recover(disk);
    let config = JournalConfig { segment_bytes: 8 * 1024, ..JournalConfig::default() };
    Journal::start(
        disk.disk(),
        Start { heads, keys, holds, orders, log, tail, end, covered: 0, control, only_reads: false },
        &config,
    )
    .unwrap()
}

/// From several threads, and mostly while a sync waits, so that much of it is in one group.
async fn hand_over(journal: &Journal, disk: &FaultyDisk, made: &[Made], random: &mut Xoshiro256PlusPlus) {
    let (all_there, waits) = mpsc::channel::<()>();
    let waits = parking_lot::Mutex::new(waits);
    if random.random_bool(0.7) {
        disk.at(Call::Sync, 2, move |_| _ = waits.lock().recv());
    }
    let mut permitted = Vec::new();
    for made in made {
        permitted
            .push((made.clone(), journal.permit(RecordKind::Change, Said::default(), None).await.unwrap()));
    }
    permitted.shuffle(random);
    std::thread::scope(|scope| {
        while !permitted.is_empty() {
            let part = permitted.split_off(permitted.len().saturating_sub(8));
            scope.spawn(move || {
                for (made, permit) in part {
                    permit.hand_over(made.iter().map(|(key, operation, before, after)| Changed {
                        key,
                        operation: *operation,
                        before: *before,
                        after: *after,
                    }));
                }
            });
        }
    });
    drop(all_there);
}

/// The history of a level as a client pages through it.
fn walked(recovered: &Recovered, key: &StockKey, limit: usize) -> Vec<Movement> {
    let watermark = Watermark::new(recovered.end);
    let head = recovered.heads.get(key.text(), recovered.heads.hash(key.text()));
    let (mut all, mut from) = (Vec::new(), None);
    loop {
        let page = history::of_level(&recovered.log, head, &watermark, key, from, limit, |_| true).unwrap();
        all.extend(page.movements);
        from = page.next;
        if from.is_none() {
            return all;
        }
    }
}

fn version_of(heads: &Heads, key: &StockKey) -> u64 {
    heads.get(key.text(), heads.hash(key.text())).map_or(0, |head| head.level.version())
}

/// Every record is there whole or not at all, with all that its lines follow; every level has its whole history.
fn assert_consistent(disk: &FaultyDisk, made: &[Made], what: &str) -> BTreeMap<String, Level> {
    let recovered = recover(disk);
    for lines in made {
        let is_there = |(key, _, _, after): &&(StockKey, Operation, Level, Level)| {
            after.version() <= version_of(&recovered.heads, key)
        };
        let there = lines.iter().filter(is_there).count();
        assert!(there == 0 || there == lines.len(), "{what}: {there} of {lines:?}");
    }
    let mut levels = BTreeMap::new();
    recovered.heads.walk(|key, head| _ = levels.insert(key.text().to_owned(), head.level));
    for level in 0..LEVELS {
        let key = key(level);
        let versions: Vec<u64> =
            walked(&recovered, &key, 1).iter().map(|movement| movement.after.version()).collect();
        let expected: Vec<u64> = (1..=version_of(&recovered.heads, &key)).rev().collect();
        assert_eq!(versions, expected, "{what}: {}", key.text());
    }
    let live = |key: &StockKey| Ok(levels.get(key.text()).copied());
    let live = Live { level: &live, changing: false };
    let stop = AtomicBool::new(false);
    let report = verify::verify(&*disk.disk(), &recovered.log, recovered.end, live, &stop, &|_| {}).unwrap();
    assert!(report.is_clean(), "{what}: {:?}", report.problems);
    levels
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_versions_of_a_level_in_a_record_are_written_whole_in_any_order() {
    for seed in 0..CASES {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
        let (made, after) = happened(&mut random);
        let disk = FaultyDisk::new();
        let journal = started(&disk);
        hand_over(&journal, &disk, &made, &mut random).await;
        for (text, level) in &after {
            journal.durable(&StockKey::from_text(text).unwrap(), level.version()).await.unwrap();
        }
        tokio::task::block_in_place(|| journal.close());
        assert_eq!(journal.shared().watermark.failed(), None, "case {seed}");
        let disk = disk.only_synced();
        assert_eq!(assert_consistent(&disk, &made, &format!("case {seed}")), after);
        for (file, bytes) in disk.content() {
            if segment::base_of(&file).is_some() {
                for at in (SECTOR..bytes.len()).step_by(SECTOR) {
                    assert_consistent(
                        &disk.cut_at(&file, at),
                        &made,
                        &format!("case {seed}, {file} cut at {at}"),
                    );
                }
            }
        }
    }
}

/// Two lines of one version: the stock broke its contract, and nothing of the record is written.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_version_twice_in_a_record_fails_the_journal() {
    let disk = FaultyDisk::new();
    let journal = started(&disk);
    let operation = Operation::Adjust { delta: 1, if_missing: IfMissing::Create };
    let after = Change::unconditional(operation).judge(Level::ABSENT).unwrap();
    let key = key(0);
    let line = Changed { key: &key, operation, before: Level::ABSENT, after };
    journal
        .permit(RecordKind::Change, Said::default(), None)
        .await
        .unwrap()
        .hand_over([line, line].into_iter());
    let failed = journal.failed().await;
    assert!(failed.reason.contains("sku-0 main was changed to version 1 after version 1"), "{failed}");
    tokio::task::block_in_place(|| journal.close());
    assert!(recover(&disk.process_killed()).heads.is_empty());
}

/// A gap before the second level of a record is named, not the version that the record itself holds.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_gap_that_is_told_is_not_in_the_record() {
    let disk = FaultyDisk::new();
    let (start, config) =
        (recover(&disk), JournalConfig { held_back_max: Duration::ZERO, ..JournalConfig::default() });
    let Recovered { heads, keys, holds, orders, log, tail, end, control, .. } = start;
    let journal = Journal::start(
        disk.disk(),
        Start { heads, keys, holds, orders, log, tail, end, covered: 0, control, only_reads: false },
        &config,
    )
    .unwrap();
    let operation = Operation::Adjust { delta: 1, if_missing: IfMissing::Create };
    let levels: Vec<Level> = std::iter::successors(Some(Level::ABSENT), |level| {
        Change::unconditional(operation).judge(*level).ok()
    })
    .take(4)
    .collect();
    let (a, b) = (key(0), key(1));
    let line =
        |key, version: usize| Changed { key, operation, before: levels[version - 1], after: levels[version] };
    let lines = [line(&a, 1), line(&a, 2), line(&b, 3)];
    journal.permit(RecordKind::Change, Said::default(), None).await.unwrap().hand_over(lines.into_iter());
    let failed = journal.failed().await;
    assert!(failed.reason.contains("sku-1@main to version 2 was never handed over"), "{failed}");
}
