//! The compact form: whatever a record can say comes back from it as it was, from memory and from disk, and the verdict does not
//! depend on where it was kept.

use std::sync::Arc;

use history::model::Units;
use history::sample::{self, Random, Shape};
use history::{
    Effect, History, Key, Limits, Line, Log, Outcome, Reason, Record, Refused, Request, Seen, Stock, Store,
    check_log, check_with,
};
use proptest::prelude::*;

/// A store that keeps next to nothing in memory.
fn on_disk() -> (tempfile::TempDir, Arc<Store>) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let store = Store::new(100_000, folder.path().to_owned());
    (folder, Arc::new(store))
}

fn logged(history: &History, store: Arc<Store>) -> Log {
    let mut log = Log::new(store);
    (log.meta, log.keys) = (history.meta.clone(), history.keys.clone());
    history.records.iter().for_each(|record| log.push(record.into()));
    log
}

fn numbers() -> impl Strategy<Value = u64> {
    prop_oneof![0..200u64, any::<u64>(), (0..64u32).prop_map(|bits| 1 << bits), Just(u64::MAX)]
}

fn seen() -> impl Strategy<Value = Seen> {
    let stock = prop_oneof![
        Just(Stock::Absent),
        Just(Stock::Untold),
        numbers().prop_map(Stock::Available),
        numbers().prop_map(|on_hand| Stock::Level { on_hand, reserved: 0 }),
        (numbers(), numbers()).prop_map(|(on_hand, reserved)| Stock::Level { on_hand, reserved }),
    ];
    (any::<u32>(), numbers(), stock).prop_map(|(key, version, stock)| Seen { key: Key(key), version, stock })
}

fn reason() -> impl Strategy<Value = Reason> {
    let all = [
        Reason::Insufficient,
        Reason::Missing,
        Reason::Exists,
        Reason::VersionMismatch,
        Reason::Reserved,
        Reason::Overflow,
    ];
    (0..all.len()).prop_map(move |at| all[at])
}

fn line() -> impl Strategy<Value = Line> {
    let effect = prop_oneof![
        any::<i64>().prop_map(Effect::Add),
        any::<i64>().prop_map(Effect::AddOrCreate),
        numbers().prop_map(Effect::Create),
        numbers().prop_map(|on_hand| Effect::Count { on_hand, if_version: None }),
        (numbers(), numbers()).prop_map(|(on_hand, v)| Effect::Count { on_hand, if_version: Some(v) }),
        Just(Effect::Delete),
    ];
    (any::<u32>(), effect).prop_map(|(key, effect)| Line { key: Key(key), effect })
}

/// Any record, nonsense included; half of them of one level, as most are.
fn record() -> impl Strategy<Value = Record> {
    let request = prop_oneof![
        any::<u32>().prop_map(|key| Request::Read(Key(key))),
        prop::collection::vec(any::<u32>().prop_map(Key), 0..4).prop_map(Request::Snapshot),
        prop::collection::vec(line(), 0..4).prop_map(Request::Write),
    ];
    let refused = (seen(), reason()).prop_map(|(seen, reason)| Refused { seen, reason });
    let outcome = prop_oneof![
        seen().prop_map(Outcome::Read),
        prop::collection::vec(seen(), 0..4).prop_map(Outcome::Applied),
        (prop::collection::vec(seen(), 0..4), prop::option::of((numbers(), numbers()))).prop_map(
            |(levels, totals)| {
                let totals = totals.map(|(on_hand, reserved)| Units { on_hand, reserved });
                Outcome::Snapshot { levels, totals }
            }
        ),
        prop::collection::vec(refused, 0..4).prop_map(Outcome::Refused),
        Just(Outcome::NotApplied),
        Just(Outcome::Unknown),
    ];
    let times = (any::<u32>(), numbers(), numbers());
    (times, request, outcome, any::<bool>(), prop::option::of(numbers())).prop_map(
        |((client, invoked_ns, returned_ns), request, mut outcome, is_of_one, once)| {
            if let (Request::Write(lines), true) = (&request, is_of_one)
                && let [line] = lines.as_slice()
            {
                match &mut outcome {
                    Outcome::Read(seen) => seen.key = line.key,
                    Outcome::Applied(seen) => seen.iter_mut().for_each(|seen| seen.key = line.key),
                    Outcome::Refused(refused) => {
                        for refused in refused {
                            refused.seen.key = line.key;
                        }
                    }
                    Outcome::Snapshot { .. } | Outcome::NotApplied | Outcome::Unknown => {}
                }
            }
            Record { client, invoked_ns, returned_ns, request, outcome, once }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_record_comes_back(records in prop::collection::vec(record(), 0..60)) {
        let history = History { records, ..History::default() };
        let log = Log::from(&history);
        prop_assert_eq!(log.len(), history.records.len() as u64);
        prop_assert_eq!(&log.to_history().unwrap(), &history);
        for (number, record) in history.records.iter().enumerate() {
            let found = log.record(number as u64).unwrap();
            prop_assert_eq!(found.as_ref(), Some(record));
        }
        prop_assert_eq!(log.record(log.len()).unwrap(), None);
    }
}

fn long(seed: u64) -> History {
    sample::history(&Shape { seed, operations: 30_000, unknown_percent: 1, ..Shape::default() })
}

#[test]
fn what_does_not_fit_into_memory_is_on_disk_and_comes_back() {
    let (folder, store) = on_disk();
    let history = long(1);
    let mut log = logged(&history, store);
    let (memory, disk) = log.bytes();
    assert!(memory < 140_000 && disk > 200_000, "{memory} bytes in memory, {disk} on disk");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "the file has no name any more");
    assert_eq!(log.record(29_000).unwrap().as_ref(), Some(&history.records[29_000]));
    assert_eq!(log.to_history().unwrap(), history);
    assert_eq!(log.take_records().unwrap(), history.records);
    assert!(log.is_empty());
}

#[test]
fn an_operation_of_one_line_takes_few_bytes() {
    let shape = Shape { operations: 100_000, many_line_percent: 0, is_varied: false, ..Shape::default() };
    let log = Log::from(&sample::history(&shape));
    let (memory, _) = log.bytes();
    assert!(memory < 16 * log.len(), "{memory} bytes for {} operations", log.len());
}

/// As the clients of a run do it: each writes a log of its own, and they are put together in the end.
#[test]
fn logs_that_are_put_together_keep_their_order_and_their_clients() {
    let (_folder, store) = on_disk();
    let history = long(2);
    let mut logs: Vec<Log> = (0..8).map(|_| Log::new(Arc::clone(&store))).collect();
    for record in &history.records {
        logs[record.client as usize].push(record.into());
    }
    let mut whole = Log::new(store);
    whole.keys.clone_from(&history.keys);
    for log in logs {
        whole.append(log);
    }
    let mut expected = history.clone();
    expected.records.sort_by_key(|record| record.client);
    assert_eq!(whole.to_history().unwrap(), expected);
    let verdict = check_log(&whole, &Limits::default()).unwrap();
    assert_eq!(verdict, check_with(&expected, &Limits::default()));
    assert!(verdict.is_consistent(), "{verdict}");
}

#[test]
fn a_disk_that_fails_loses_nothing_and_is_told() {
    let store = Arc::new(Store::new(0, "/no/such/folder".into()));
    let history = long(3);
    let log = logged(&history, store);
    assert!(log.has_failed());
    assert_eq!(log.to_history().unwrap(), history);
    let mut whole = Log::default();
    whole.append(log);
    assert!(whole.has_failed());
    let (_folder, store) = on_disk();
    assert!(!logged(&history, store).has_failed());
}

/// The log may be cut into units of levels, read from disk, and looked at by several threads: what is said stays the same.
#[test]
fn a_violation_in_a_long_log_is_told_as_in_a_short_one() {
    let (_folder, store) = on_disk();
    let mut history = long(4);
    let mut random = Random(4);
    // A read that lies, somewhere.
    let at = loop {
        let at = usize::try_from(random.below(30_000)).unwrap();
        if let Outcome::Read(Seen { stock: Stock::Level { on_hand, .. }, .. }) =
            &mut history.records[at].outcome
        {
            *on_hand += 1;
            break at;
        }
    };
    let verdict = check_log(&logged(&history, store), &Limits::default()).unwrap();
    assert_eq!(verdict, check_with(&history, &Limits::default()));
    assert!(verdict.violations()[0].culprits.iter().any(|culprit| culprit.record == at), "{verdict}");
}

/// An operation of one level, answered about that level, does not say twice which; and a short log is not worth a block.
#[test]
fn what_goes_without_saying_takes_no_byte() {
    let seen = |key| Seen { key: Key(key), version: 3, stock: Stock::Level { on_hand: 9, reserved: 0 } };
    let add = Line { key: Key(5), effect: Effect::Add(-1) };
    let (read, write) = (Request::Read(Key(5)), Request::Write(vec![add]));
    let short = Refused { seen: seen(5), reason: Reason::Insufficient };
    for (request, outcome, bytes) in [
        // Flags, two times, a key; a version, the kind of the stock, the units.
        (read.clone(), Outcome::Read(seen(5)), 7),
        (read.clone(), Outcome::Read(seen(6)), 8),
        (read, Outcome::NotApplied, 4),
        // Flags, two times, a key, the kind of the change, the units.
        (write.clone(), Outcome::Applied(vec![seen(5)]), 9),
        (write.clone(), Outcome::Refused(vec![short]), 10),
        (write.clone(), Outcome::Unknown, 6),
        // The numbers of lines and of levels, and a key for each level.
        (write.clone(), Outcome::Applied(vec![seen(6)]), 12),
        (write, Outcome::Applied(vec![seen(5), seen(6)]), 16),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let mut log = Log::new(Arc::new(Store::new(0, folder.path().to_owned())));
        let record = Record { client: 0, invoked_ns: 1, returned_ns: 2, request, outcome, once: None };
        log.push((&record).into());
        assert_eq!(log.bytes(), (bytes, 0), "{record:?}");
        assert!(!log.is_empty());
        assert_eq!(log.to_history().unwrap().records, [record]);
    }
}
