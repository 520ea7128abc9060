//! Tests of the module above.

use super::*;
use crate::journal::record::{RecordHead, RecordKind};
use crate::stock::Changed;
use crate::stock::{Change, IfMissing, Operation, StockKey};

const ADD: Operation = Operation::Adjust { delta: 1, if_missing: IfMissing::Create };

/// The level that was added to `version` times.
fn level(version: u64) -> Level {
    (0..version).fold(Level::ABSENT, |level, _| Change::unconditional(ADD).judge(level).unwrap())
}

/// A record of those versions of those levels.
fn record(lines: &[(&str, u64)]) -> Vec<u8> {
    let keys: Vec<StockKey> = lines.iter().map(|(key, _)| StockKey::from_text(key).unwrap()).collect();
    let changes = keys.iter().zip(lines).map(|(key, &(_, version))| Changed {
        key,
        operation: ADD,
        before: level(version - 1),
        after: level(version),
    });
    let mut bytes = Vec::new();
    record::encode(
        &mut bytes,
        &RecordHead { kind: RecordKind::Change, once: None, reason: "", reference: "", actor: "" },
        changes,
    );
    bytes
}

/// Levels of which those versions are written.
fn heads(written: &[(&str, u64)]) -> Heads {
    let heads = Heads::new();
    for &(key, version) in written {
        let head = Head { level: level(version), position: 512 };
        heads.set(key, heads.hash(key), head, &mut Vec::new());
    }
    heads
}

fn hashes(heads: &Heads, record: &[u8]) -> Vec<KeyHash> {
    record::trusted_lines(record).map(|(key, _)| heads.hash(key)).collect()
}

fn missing_of(written: &[(&str, u64)], lines: &[(&str, u64)]) -> Result<Vec<(String, u64)>, Twice> {
    let (heads, record) = (heads(written), record(lines));
    let missing = missing(&heads, &record, &hashes(&heads, &record))?;
    Ok(missing.iter().map(|missing| (missing.key.to_owned(), missing.version)).collect())
}

#[test]
fn a_line_waits_for_the_version_before_unless_its_own_record_has_it() {
    let a = |version| vec![("a main".to_owned(), version)];
    assert_eq!(missing_of(&[], &[("a main", 1), ("a main", 2), ("a main", 3)]), Ok(vec![]));
    assert_eq!(missing_of(&[("a main", 4)], &[("a main", 5), ("a main", 6)]), Ok(vec![]));
    assert_eq!(missing_of(&[("a main", 3)], &[("a main", 5), ("a main", 6)]), Ok(a(4)));
    assert_eq!(missing_of(&[], &[("b main", 1), ("a main", 2), ("b main", 2), ("a main", 3)]), Ok(a(1)));
    // Not of another level that has that version in the record.
    assert_eq!(missing_of(&[("b main", 1)], &[("b main", 2), ("a main", 3)]), Ok(a(2)));
}

#[test]
fn a_version_that_is_written_is_not_written_twice() {
    let twice = |version, written| Err(Twice { key: "a main".to_owned(), version, written });
    assert_eq!(missing_of(&[("a main", 5)], &[("a main", 5), ("a main", 6)]), twice(5, 5));
    assert_eq!(missing_of(&[("a main", 6)], &[("b main", 1), ("a main", 5)]), twice(5, 6));
}

#[test]
fn a_record_is_released_by_any_version_it_waits_for() {
    let (heads, mut order, mut ready) = (Heads::new(), Order::default(), Vec::new());
    let level = heads.hash("a main");
    for version in 2..=4 {
        let record = record(&[("a main", version + 1)]);
        order.hold(Taken { record: &record, lane: 0, number: version }, [(level, version)]);
    }
    // Those of one record, one by one.
    for (version, left) in [(1, 3), (2, 2), (3, 1), (4, 0)] {
        order.written(level, version, &mut ready);
        assert_eq!(order.len(), left, "{version}");
    }
    let released: Vec<u64> = ready.iter().map(|held| held.number).collect();
    assert_eq!(released, [2, 3, 4]);
}
