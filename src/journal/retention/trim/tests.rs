//! The running journal in memory: the same log as on disk, within a bound, and keys that outlive it (promises P6, P8, P10, P11).

use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::*;
use crate::journal::disk::memory::MemoryDisk;
use crate::journal::history::{HistoryError, Movement, Page};
use crate::journal::keys::{Claim, Taken};
use crate::journal::lanes::SLOTS;
use crate::journal::record::{Record, RecordKind};
use crate::journal::stored::{Imported, Stored};
use crate::journal::{Journal, JournalConfig, Start};
use crate::said::Said;
use crate::stock::{Change, Changed, HandOff, IfMissing, Level, Once, Operation, StockKey};

const ADD: Operation = Operation::Adjust { delta: 1, if_missing: IfMissing::Create };
const SMALL: u64 = 1024 * 1024;

fn started(config: &JournalConfig) -> (Arc<MemoryDisk>, Journal) {
    let disk = Arc::new(MemoryDisk::new());
    let journal = Journal::start(Arc::<MemoryDisk>::clone(&disk), Start::empty(), config).unwrap();
    (disk, journal)
}

fn small() -> JournalConfig {
    JournalConfig {
        volatile_bytes_max: SMALL,
        // Whoever waits for the writer's next look hangs.
        look_every: Duration::from_hours(1),
        ..JournalConfig::default()
    }
}

fn key(text: &str) -> StockKey {
    StockKey::from_text(text).unwrap()
}

/// One unit more of a level, recorded.
async fn add(journal: &Journal, key: &StockKey, before: Level, claim: Option<Claim>) -> Level {
    let permit = journal.permit(RecordKind::Change, Said::default(), claim).await.unwrap();
    let after = Change::unconditional(ADD).judge(before).unwrap();
    permit.hand_over(std::iter::once(Changed { key, operation: ADD, before, after }));
    after
}

async fn add_many(journal: &Journal, key: &StockKey, from: Level, count: usize) -> Level {
    let mut level = from;
    for _ in 0..count {
        level = add(journal, key, level, None).await;
    }
    level
}

fn claimed(journal: &Journal, key: u128) -> Claim {
    journal.shared().keys.claim(once(key), usize::MAX).unwrap()
}

fn once(key: u128) -> Once {
    Once { key, fingerprint: [7; 32] }
}

fn of_level(journal: &Journal, key: &StockKey, limit: usize) -> Page<history::Before> {
    let shared = journal.shared();
    let head = shared.heads.get(key.text(), shared.heads.hash(key.text()));
    history::of_level(&shared.log, head, &shared.watermark, key, None, limit, |_| true).unwrap()
}

/// All movements that are there, by number.
fn all(journal: &Journal) -> Vec<Movement> {
    let shared = journal.shared();
    let (mut all, mut seq) = (Vec::new(), shared.log.first_seq() - 1);
    loop {
        let page = history::after(&shared.log, &shared.watermark, seq, 1000, |_, _| true).unwrap();
        all.extend(page.movements);
        match page.next {
            Some(next) => seq = next,
            None => return all,
        }
    }
}

fn block_on<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(future)
}

/// P6: changes of a few levels by several threads at once are all there, once, in order, each linked to the one before.
#[test]
fn every_movement_is_there_once_in_order_and_linked() {
    const THREADS: usize = 4;
    const EACH: usize = 5_000;
    let (_, journal) = started(&JournalConfig::default());
    let keys = ["a main", "b main", "c main"].map(key);
    let levels = [Level::ABSENT; 3].map(parking_lot::Mutex::new);
    let start = Barrier::new(THREADS);
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (journal, keys, levels, start) = (&journal, &keys, &levels, &start);
            scope.spawn(move || {
                start.wait();
                block_on(async {
                    for number in 0..EACH {
                        let at = (thread + number) % keys.len();
                        let permit = journal.permit(RecordKind::Change, Said::default(), None).await.unwrap();
                        // As strategies do it: changed under a lock, handed over after it.
                        let mut level = levels[at].lock();
                        let (before, after) = (*level, Change::unconditional(ADD).judge(*level).unwrap());
                        *level = after;
                        drop(level);
                        permit.hand_over(std::iter::once(Changed {
                            key: &keys[at],
                            operation: ADD,
                            before,
                            after,
                        }));
                    }
                    journal.caught_up().await.unwrap();
                });
            });
        }
    });
    let movements = all(&journal);
    assert_eq!(movements.len(), THREADS * EACH);
    for (key, level) in keys.iter().zip(levels) {
        let versions = movements.iter().filter(|movement| movement.key == *key);
        let versions: Vec<u64> = versions.map(|movement| movement.after.version()).collect();
        assert_eq!(versions, (1..=level.lock().version()).collect::<Vec<u64>>());
        let (shared, mut from, mut walked) = (journal.shared(), None, Vec::new());
        loop {
            let head = shared.heads.get(key.text(), shared.heads.hash(key.text()));
            let page =
                history::of_level(&shared.log, head, &shared.watermark, key, from, 900, |_| true).unwrap();
            walked.extend(page.movements.iter().map(|movement| movement.after.version()));
            from = page.next;
            if from.is_none() {
                break;
            }
        }
        assert_eq!(walked, versions.into_iter().rev().collect::<Vec<u64>>());
    }
}

/// Nobody waits for what no crash can take back, and who looks for it finds it.
#[tokio::test]
async fn an_answer_waits_for_nothing_and_a_reader_for_all_before() {
    let (_, journal) = started(&small());
    let (a, mut level) = (key("a main"), Level::ABSENT);
    for _ in 0..50 {
        level = add(&journal, &a, level, None).await;
        // Both complete at the first look: no task is woken for them.
        assert_eq!(at_once(journal.durable(&a, level.version())), Ok(()));
        assert_eq!(at_once(journal.settled()), Ok(()));
        journal.caught_up().await.unwrap();
        assert_eq!(of_level(&journal, &a, 1).movements[0].after, level);
    }
    assert_eq!(at_once(journal.caught_up()), Ok(()), "there is nothing to catch up with");
}

fn at_once<F: Future>(future: F) -> F::Output {
    let mut future = std::pin::pin!(future);
    match future.as_mut().poll(&mut std::task::Context::from_waker(std::task::Waker::noop())) {
        std::task::Poll::Ready(output) => output,
        std::task::Poll::Pending => panic!("it waits"),
    }
}

/// A change that was made before one that is handed over already is waited for as well, and is not left for the writer's next
/// look.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_waits_for_what_is_held_back() {
    let (_, journal) = started(&small());
    let a = key("a main");
    let first = Change::unconditional(ADD).judge(Level::ABSENT).unwrap();
    let permit = journal.permit(RecordKind::Change, Said::default(), None).await.unwrap();
    add(&journal, &a, first, None).await;
    let mut reader = std::pin::pin!(journal.caught_up());
    let soon = tokio::time::timeout(Duration::from_millis(50), reader.as_mut()).await;
    assert!(soon.is_err(), "the first change is not there");
    permit.hand_over(std::iter::once(Changed {
        key: &a,
        operation: ADD,
        before: Level::ABSENT,
        after: first,
    }));
    reader.await.unwrap();
    assert_eq!(of_level(&journal, &a, 9).movements.len(), 2);
}

/// P10: however much is recorded, and however fast, the log stays within its bound.
#[test]
fn a_long_run_stays_within_its_bound() {
    let (disk, journal) = started(&small());
    let running = AtomicUsize::new(2);
    let most = std::thread::scope(|scope| {
        for name in ["a main", "b main"] {
            let (journal, running) = (&journal, &running);
            scope.spawn(move || {
                block_on(add_many(journal, &key(name), Level::ABSENT, 150_000));
                running.fetch_sub(1, Ordering::Relaxed);
            });
        }
        let mut most = 0;
        while running.load(Ordering::Relaxed) > 0 {
            most = most.max(disk.bytes());
            std::thread::yield_now();
        }
        most
    });
    block_on(journal.caught_up()).unwrap();
    // The longest group: all that the slots of two lanes allow.
    let (max, group) = (usize::try_from(SMALL).unwrap(), 2 * SLOTS * 80);
    assert!(most <= max + group && most > max / 2, "{most} bytes");
    assert!(journal.shared().log.bytes() <= SMALL + group as u64);
    assert!(journal.shared().log.segments().len() <= 17);
    let metrics = &journal.shared().metrics;
    assert_eq!(metrics.records.load(Ordering::Relaxed), 300_000);
    assert!(metrics.segments_trimmed.load(Ordering::Relaxed) > 10);
}

/// What was dropped is told as dropped, and what is left has no gap.
#[tokio::test]
async fn movements_of_segments_that_were_dropped_are_told_as_compacted() {
    let (_, journal) = started(&small());
    let (a, quiet) = (key("a main"), key("quiet main"));
    add(&journal, &quiet, Level::ABSENT, Some(claimed(&journal, 1))).await;
    let level = add_many(&journal, &a, Level::ABSENT, 40_000).await;
    journal.caught_up().await.unwrap();
    let shared = journal.shared();
    let first = shared.log.first_seq();
    assert!(first > 10_000, "{first}");
    let page = history::after(&shared.log, &shared.watermark, 0, 10, |_, _| true).unwrap();
    assert!(page.compacted && page.movements.is_empty());
    let movements = all(&journal);
    assert_eq!((movements[0].seq, movements.last().unwrap().after), (first, level));
    assert!(movements.windows(2).all(|pair| pair[0].seq + 1 == pair[1].seq));
    // Its only movement is kept for the key, and no part of a history.
    let page = of_level(&journal, &quiet, 10);
    assert!(page.compacted && page.movements.is_empty());
    assert!(matches!(history::record_in_log(&shared.log, 600), Err(HistoryError::Compacted)));
}

/// P8: a key answers for as long as it is held, though the segment of its record is long gone; then both are gone.
#[tokio::test]
async fn the_record_of_a_key_outlives_its_segment_and_goes_with_its_key() {
    let (_, journal) = started(&small());
    let (a, shared) = (key("a main"), journal.shared());
    let mut level = Level::ABSENT;
    for key in 0..40_u128 {
        level = add(&journal, &a, level, Some(claimed(&journal, key))).await;
        let permit = journal
            .permit(RecordKind::Imported, Said::default(), Some(claimed(&journal, 100 + key)))
            .await
            .unwrap();
        let told = permit.store(&Stored::Imported(Imported::default()));
        assert_eq!(at_once(told), Ok(()), "nothing can take it back");
        level = add_many(&journal, &a, level, 1_000).await;
    }
    level = add_many(&journal, &a, level, 20_000).await;
    journal.caught_up().await.unwrap();
    let position = |key| match shared.keys.get(key) {
        Some(Taken::At(position)) => position,
        other => panic!("{key}: {other:?}"),
    };
    let oldest = shared.log.segments()[0].header.base;
    assert!(position(39) < oldest, "all of their segments were dropped");
    assert_eq!(shared.log.kept().len(), 80);
    for key in 0..40 {
        for key in [key, 100 + key] {
            let bytes = history::record_at(&shared.log, position(key)).unwrap();
            let record = Record::read(&bytes).unwrap();
            assert_eq!(record.note().once, Some(once(key)));
            assert_eq!(record.stored().is_some(), key >= 100);
        }
    }
    // As the thread for it does, in two rounds.
    let half = position(20);
    for _ in 0..2 {
        shared.keys.forget_before(half);
        shared.log.kept().forget_before(half);
    }
    assert_eq!((shared.keys.get(19), shared.log.kept().len()), (None, 40));
    assert!(history::record_at(&shared.log, half).is_ok());
    assert!(matches!(history::record_at(&shared.log, half - 1), Err(HistoryError::Compacted)));
    // Those that are forgotten before their segments are dropped are not kept at all.
    add(&journal, &a, level, Some(claimed(&journal, 999))).await;
    journal.caught_up().await.unwrap();
    for _ in 0..2 {
        shared.keys.forget_before(shared.watermark.position());
        shared.log.kept().forget_before(shared.watermark.position());
    }
    add_many(&journal, &a, next(level), 20_000).await;
    journal.caught_up().await.unwrap();
    assert!(shared.log.kept().is_empty());
}

fn next(level: Level) -> Level {
    Change::unconditional(ADD).judge(level).unwrap()
}

/// Who takes all slots and hands little over is not left waiting for the writer's next look.
#[tokio::test]
async fn a_lane_without_slots_is_emptied_at_once() {
    let (_, journal) = started(&small());
    let (a, mut level) = (key("a main"), Level::ABSENT);
    let mut out = Vec::new();
    for _ in 0..SLOTS - 2 {
        out.push(journal.permit(RecordKind::Change, Said::default(), None).await.unwrap());
    }
    for _ in 0..20 {
        level = add(&journal, &a, level, None).await;
    }
    drop(out);
}

#[tokio::test]
async fn closing_is_prompt_and_leaves_nothing_behind() {
    let (_, journal) = started(&small());
    let level = add_many(&journal, &key("a main"), Level::ABSENT, 100).await;
    tokio::task::spawn_blocking(move || {
        journal.close();
        let shared = journal.shared();
        assert_eq!(shared.heads.get("a main", shared.heads.hash("a main")).unwrap().level, level);
        assert_eq!(all(&journal).len(), 100);
    })
    .await
    .unwrap();
}

/// No start would read it; who asks for one is told so.
#[tokio::test]
async fn no_snapshot_is_taken_in_memory() {
    let (disk, journal) = started(&small());
    add_many(&journal, &key("a main"), Level::ABSENT, 10).await;
    tokio::task::spawn_blocking(move || {
        assert!(journal.snapshots().take().unwrap_err().contains("in memory only"));
        assert!(disk.list().unwrap().iter().all(|name| !name.contains("snapshot")));
    })
    .await
    .unwrap();
}

/// A journal that was handed what cannot be fails in memory as on disk, and who waits for it is told.
#[tokio::test]
async fn a_broken_contract_fails_it_and_tells_readers() {
    let (_, journal) = started(&small());
    let a = key("a main");
    add(&journal, &a, Level::ABSENT, None).await;
    add(&journal, &a, Level::ABSENT, None).await;
    assert!(journal.caught_up().await.is_err());
    assert!(journal.failed().await.reason.contains("broke its contract"));
    assert!(journal.permit(RecordKind::Change, Said::default(), None).await.is_err());
}

/// Run by the test below, in a process of its own.
#[tokio::test]
#[ignore = "ends the process: the test of the same name starts it again for it"]
async fn panics_with_a_permit() {
    if std::env::var("INVENTORY_TEST_PANICS_IN_MEMORY").is_err() {
        return;
    }
    let (_, journal) = started(&small());
    let _permit = journal.permit(RecordKind::Change, Said::default(), None).await.unwrap();
    panic!("with a permit");
}

/// P11: in memory as well a thread that panics with a permit ends the process, since its change may have been made.
#[test]
fn a_panic_with_a_permit_ends_the_process() {
    use std::os::unix::process::ExitStatusExt as _;
    let test = "journal::retention::trim::tests::panics_with_a_permit";
    let mut command = std::process::Command::new(std::env::current_exe().unwrap());
    command.args([test, "--exact", "--ignored", "--nocapture", "--test-threads=1"]);
    let output = command.env("INVENTORY_TEST_PANICS_IN_MEMORY", "1").output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.signal(), Some(6), "aborted: {said}");
    assert!(said.contains("with a permit"), "{said}");
}
