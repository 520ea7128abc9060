//! The rules of the domain on a plain map, for every strategy that puts a lock around one.
//!
//! Nothing here locks: the caller holds whatever makes `&mut` true.

use crate::stock::{Applied, Change, KeySet, Level, Refusal, StockKey, Transaction};

use super::TransactRefused;

/// Levels by key. The hash is seeded per process (ahash), because clients choose the keys.
pub type Table = hashbrown::HashMap<StockKey, Level, ahash::RandomState>;

/// The level as it is.
pub fn read(table: &Table, key: &StockKey) -> Level {
    table.get(key).copied().unwrap_or(Level::ABSENT)
}

/// Several levels as they are: at one instant, as the caller keeps everybody out who changes them.
pub fn read_all(table: &Table, keys: &KeySet) -> Vec<Level> {
    keys.keys().iter().map(|key| read(table, key)).collect()
}

/// Judges one change and makes it. A refused change leaves no trace, so asking for skus that do not exist
/// cannot fill the memory.
pub fn apply(table: &mut Table, key: &StockKey, change: Change) -> Result<Applied, Refusal> {
    if let Some(level) = table.get_mut(key) {
        let before = *level;
        *level = change.judge(before)?;
        return Ok(Applied { before, after: *level });
    }
    let applied = Applied { before: Level::ABSENT, after: change.judge(Level::ABSENT)? };
    table.insert(key.clone(), applied.after);
    Ok(applied)
}

/// Judges a transaction and makes it: all levels are judged before the first is changed.
pub fn transact(table: &mut Table, transaction: &Transaction) -> Result<Vec<Applied>, TransactRefused> {
    let found: Vec<Level> = transaction.entries().iter().map(|entry| read(table, &entry.key)).collect();
    let applied = judge(transaction, found)?;
    for (entry, applied) in transaction.entries().iter().zip(&applied) {
        put(table, &entry.key, applied.after);
    }
    Ok(applied)
}

/// Overwrites a level.
pub fn put(table: &mut Table, key: &StockKey, level: Level) {
    match table.get_mut(key) {
        Some(there) => *there = level,
        None => {
            table.insert(key.clone(), level);
        }
    }
}

/// [`Transaction::judge`], which tells the levels it found whichever way it goes.
pub fn judge(transaction: &Transaction, found: Vec<Level>) -> Result<Vec<Applied>, TransactRefused> {
    transaction.judge(&found).map_err(|refusals| TransactRefused { refusals, found })
}
