//! Rows, read and checked; and arrays of what rows have.

use tokio_postgres::Row;

use super::working::Part;
use crate::stock::{Level, StockKey};

/// A partition, whose columns begin there: head, tick, `clock_ms`, levels, pending, queued, backordered.
pub(super) fn part(row: &Row, from: usize) -> Part {
    Part {
        head: row.get(from),
        tick: row.get(from + 1),
        clock_ms: row.get(from + 2),
        levels: row.get(from + 3),
        pending: row.get(from + 4),
        queued: row.get(from + 5),
        backordered: row.get(from + 6),
    }
}

/// A level, whose columns begin there: sku, location, `on_hand`, reserved, version, present.
pub(super) fn level(row: &Row, from: usize) -> Option<(StockKey, Level)> {
    let key = StockKey::kept(row.get(from), row.get(from + 1))?;
    Some((key, units(row, from + 2)?))
}

/// Units and version, whose columns begin there: `on_hand`, reserved, version, present.
pub(super) fn units(row: &Row, from: usize) -> Option<Level> {
    let number = |column: usize| u64::try_from(row.get::<_, i64>(from + column)).ok();
    let (on_hand, reserved, version) = (number(0)?, number(1)?, number(2)?);
    match (row.get(from + 3), version) {
        (true, _) => Level::existing(on_hand, reserved, version),
        (false, 0) => Some(Level::ABSENT),
        (false, _) => Level::tombstone(version),
    }
}

/// Skus and locations of levels, as two arrays.
pub(super) fn names<'k>(keys: impl Iterator<Item = &'k StockKey>) -> (Vec<String>, Vec<String>) {
    keys.map(|key| (key.sku().to_owned(), key.location().to_owned())).unzip()
}
