//! What is on disk is closed under dependency (P7), in whatever order changes are handed over and wherever the log is cut.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use parking_lot::Mutex;
use rand::rngs::Xoshiro256PlusPlus;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};

use super::image::{Image, movements, recover, start_of};
use super::service::{config, key, text};
use crate::journal::disk::faulty::{Call, FaultyDisk};
use crate::journal::group::{self, SECTOR};
use crate::journal::lanes::Permit;
use crate::journal::record::RecordKind;
use crate::journal::watermark::Failed;
use crate::journal::{Journal, JournalConfig, segment};
use crate::said::Said;
use crate::stock::{Change, Changed, HandOff, IfMissing, Level, Operation, StockKey};

const CASES: u64 = 40;
const LEVELS: usize = 5;
const RECORDS: usize = 60;

/// A record to hand over.
#[derive(Debug, Clone)]
struct Made(Vec<(StockKey, Operation, Level, Level)>);

impl Made {
    fn hand_over(&self, permit: Permit) {
        let changed = |(key, operation, before, after): &'_ (StockKey, Operation, Level, Level)| {
            (key.clone(), *operation, *before, *after)
        };
        let owned: Vec<_> = self.0.iter().map(changed).collect();
        permit.hand_over(owned.iter().map(|(key, operation, before, after)| Changed {
            key,
            operation: *operation,
            before: *before,
            after: *after,
        }));
    }
}

/// Changes of a few levels, of one line and of many, in the order in which they happened; and the levels after all of them.
fn happened(random: &mut Xoshiro256PlusPlus) -> (Vec<Made>, BTreeMap<String, Level>) {
    let mut levels = [Level::ABSENT; LEVELS];
    let mut made = Vec::new();
    while made.len() < RECORDS {
        let mut touched: Vec<usize> = (0..LEVELS).collect();
        touched.shuffle(random);
        touched.truncate(if random.random_bool(0.6) { 1 } else { random.random_range(2..4) });
        touched.sort_unstable();
        let lines = touched.into_iter().map(|level| {
            let before = levels[level];
            let delete = before.exists() && random.random_bool(0.15);
            let add = Operation::Adjust { delta: random.random_range(1..5), if_missing: IfMissing::Create };
            let operation = if delete { Operation::Delete } else { add };
            let after = Change::unconditional(operation).judge(before).expect("always allowed");
            levels[level] = after;
            (key(level), operation, before, after)
        });
        made.push(Made(lines.collect()));
    }
    let after = levels.iter().enumerate().filter(|(_, level)| level.version() > 0);
    (made, after.map(|(level, after)| (text(level), *after)).collect())
}

fn journal(disk: &FaultyDisk, config: &JournalConfig) -> Journal {
    let (start, _) = start_of(&disk.disk()).expect("a disk that was not damaged");
    Journal::start(disk.disk(), start, config).expect("threads")
}

async fn permit(journal: &Journal) -> Permit {
    journal.permit(RecordKind::Change, Said::default(), None).await.expect("a slot")
}

/// Hands over from several threads, so that several lanes are used, and while the first sync waits: so most of it is in one
/// group.
async fn hand_over_shuffled(
    journal: &Journal,
    disk: &FaultyDisk,
    mut made: Vec<Made>,
    random: &mut Xoshiro256PlusPlus,
) {
    made.shuffle(random);
    let (all_there, sync_waits) = mpsc::channel::<()>();
    let sync_waits = Mutex::new(sync_waits);
    if random.random_bool(0.7) {
        // Until the sender is dropped.
        disk.at(Call::Sync, 2, move |_| _ = sync_waits.lock().recv());
    }
    let mut permits = Vec::new();
    for _ in 0..made.len() {
        permits.push(permit(journal).await);
    }
    let mut with_permits: Vec<(Made, Permit)> = made.into_iter().zip(permits).collect();
    std::thread::scope(|scope| {
        while !with_permits.is_empty() {
            let part = with_permits.split_off(with_permits.len().saturating_sub(20));
            scope.spawn(move || part.into_iter().for_each(|(made, permit)| made.hand_over(permit)));
        }
    });
    drop(all_there);
}

/// Every movement's predecessor is there, and so is every line of its record.
fn assert_closed(disk: &FaultyDisk, made: &[Made], what: &str) {
    let recovered = recover(disk).unwrap_or_else(|error| panic!("{what}: {error}"));
    let movements = movements(&recovered).unwrap_or_else(|error| panic!("{what}: {error}"));
    let mut levels: BTreeMap<String, u64> = BTreeMap::new();
    for movement in &movements {
        let version = levels.entry(movement.key.text().to_owned()).or_default();
        assert_eq!(movement.after.version(), *version + 1, "{what}: {movement:?} has no predecessor");
        *version += 1;
    }
    let has = |(key, _, _, after): &(StockKey, Operation, Level, Level)| {
        levels.get(key.text()).is_some_and(|version| after.version() <= *version)
    };
    for Made(lines) in made {
        let there = lines.iter().filter(|line| has(line)).count();
        assert!(there == 0 || there == lines.len(), "{what}: torn: {lines:?}");
    }
}

/// Where each group of a log begins and ends: file, start, end.
fn groups(disk: &FaultyDisk) -> Vec<(String, usize, usize)> {
    let mut groups = Vec::new();
    for (file, bytes) in disk.content().into_iter().filter(|(file, _)| segment::base_of(file).is_some()) {
        let mut at = SECTOR;
        while let Some(Ok(header)) = bytes.get(at..).map(group::read_header) {
            groups.push((file.clone(), at, at + group::size(header.body_len)));
            at += group::size(header.body_len);
        }
    }
    groups
}

/// P7: handed over in any order, all of it is in the log, and what is left of the log after any cut is closed under dependency.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_left_after_any_cut_is_closed_under_dependency() {
    let mut cuts = 0;
    for seed in 0..CASES {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
        let (made, after) = happened(&mut random);
        let disk = FaultyDisk::new();
        let journal = journal(&disk, &config());
        hand_over_shuffled(&journal, &disk, made.clone(), &mut random).await;
        tokio::task::block_in_place(|| journal.close());
        assert_eq!(journal.shared().watermark.failed(), None);
        let disk = disk.only_synced();
        assert_eq!(Image::of(&disk).expect("a whole log").levels, after, "nothing handed over is lost");
        let groups = groups(&disk);
        for (index, (file, start, end)) in groups.iter().enumerate() {
            let whole = index + 1 == groups.len() && seed % 10 == 0;
            let step = if whole { 1 } else { 97 + usize::try_from(seed).unwrap() };
            for at in (*start..*end).step_by(step) {
                assert_closed(&disk.cut_at(file, at), &made, &format!("case {seed}, {file} cut at {at}"));
                cuts += 1;
            }
        }
    }
    println!("{cuts} cuts");
}

/// The second change of a level of which the first is never handed over.
fn orphan(level: usize) -> Made {
    let add = Operation::Adjust { delta: 1, if_missing: IfMissing::Create };
    let first = Change::unconditional(add).judge(Level::ABSENT).expect("allowed");
    let second = Change::unconditional(add).judge(first).expect("allowed");
    Made(vec![(key(level), add, first, second)])
}

/// The first change of a level.
fn first(level: usize) -> Made {
    let add = Operation::Adjust { delta: 1, if_missing: IfMissing::Create };
    Made(vec![(
        key(level),
        add,
        Level::ABSENT,
        Change::unconditional(add).judge(Level::ABSENT).expect("allowed"),
    )])
}

/// Why the journal failed. A journal that never does fails the test.
async fn failure(journal: &Journal) -> Failed {
    let watchdog = Duration::from_mins(1);
    tokio::time::timeout(watchdog, journal.failed()).await.expect("the journal fails")
}

fn impatient() -> JournalConfig {
    JournalConfig { held_back_max: Duration::ZERO, ..config() }
}

/// P7: a change whose predecessor never comes ends the journal after its bound, with a message that names what is missing; and
/// is not on disk.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_predecessor_poisons_and_is_named() {
    let disk = FaultyDisk::new();
    let journal = journal(&disk, &impatient());
    orphan(3).hand_over(permit(&journal).await);
    let failed = failure(&journal).await;
    assert!(failed.reason.contains(&key(3).to_string()) && failed.reason.contains("version 1"), "{failed}");
    assert!(journal.durable(&key(3), 2).await.is_err());
    assert!(Image::of(&disk.process_killed()).expect("an empty log").levels.is_empty());
}

/// P7, P10: also while others keep the writer busy, so that it never comes to rest.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_predecessor_poisons_under_load() {
    let disk = FaultyDisk::new();
    let journal = Arc::new(journal(&disk, &impatient()));
    // All of them before the journal has anything to do: it may fail as soon as it has.
    let mut feed = vec![(orphan(3), permit(&journal).await)];
    for level in 100..1_100 {
        feed.push((first(level), permit(&journal).await));
    }
    let start = permit(&journal).await;
    let (feed, gave) = (Mutex::new(feed.into_iter()), Arc::new(Mutex::new(0)));
    let gives = Arc::clone(&gave);
    // With each write comes the next record, so there is always one more to take.
    disk.at_each(Call::Write, move |_| {
        if let Some((made, permit)) = feed.lock().next() {
            made.hand_over(permit);
            *gives.lock() += 1;
        }
    });
    first(99).hand_over(start);
    let failed = failure(&journal).await;
    assert!(failed.reason.contains("version 1"), "{failed}");
    let gave = *gave.lock();
    assert!(gave < 1_000, "it was noticed only when the writer came to rest");
}
