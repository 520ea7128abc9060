//! [`Kept`]: records of idempotency keys that outlive the segment they were in.
//!
//! A log in memory is short, and keys are held for a day: when its oldest segment is dropped, the records in it that a retry may
//! still be answered from are moved here, and go when their keys have been forgotten. Whoever takes a
//! new key in looks at how many bytes they are. A log on disk needs none of this: no segment leaves before its keys.

use std::collections::VecDeque;

use parking_lot::Mutex;

/// Records by position.
#[derive(Debug, Default)]
pub struct Kept {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    /// Positions go up: segments are dropped oldest first.
    records: VecDeque<(u64, Box<[u8]>)>,
    /// No key whose record is before this position is held.
    forgotten: u64,
    /// As of the round before: a reader may have asked for its key's position then, and looks for the record now.
    forgotten_before: u64,
    /// Of all records.
    bytes: usize,
}

impl Kept {
    /// Whether somebody may still ask for a record at that position: its key is held, or was until just now.
    pub fn wants(&self, position: u64) -> bool {
        position >= self.inner.lock().forgotten_before
    }

    /// Keeps a record. Its position is above those of all that are kept.
    pub fn insert(&self, position: u64, record: Box<[u8]>) {
        let mut inner = self.inner.lock();
        debug_assert!(inner.records.back().is_none_or(|(last, _)| *last < position), "positions go up");
        inner.bytes += record.len();
        inner.records.push_back((position, record));
    }

    /// The record at that position, if it is kept.
    pub fn get(&self, position: u64) -> Option<Vec<u8>> {
        let inner = self.inner.lock();
        let index = inner.records.binary_search_by_key(&position, |(position, _)| *position).ok()?;
        Some(inner.records[index].1.to_vec())
    }

    /// The keys whose records are before that position were forgotten. Their records go in the round after this one.
    pub fn forget_before(&self, position: u64) {
        let mut inner = self.inner.lock();
        let before = std::mem::replace(&mut inner.forgotten, position);
        inner.forgotten_before = before;
        let gone = inner.records.partition_point(|(position, _)| *position < before);
        let dropped: Vec<(u64, Box<[u8]>)> = inner.records.drain(..gone).collect();
        inner.bytes -= dropped.iter().map(|(_, record)| record.len()).sum::<usize>();
        if inner.records.capacity() > 4 * inner.records.len() {
            let left = 2 * inner.records.len();
            inner.records.shrink_to(left);
        }
        // Many are freed after the lock.
        drop(inner);
        drop(dropped);
    }

    /// Bytes of all of them: the lines of a batch have one key together and a record each, so their number says little.
    pub fn bytes(&self) -> usize {
        self.inner.lock().bytes
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.inner.lock().records.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_found_until_the_round_after_their_keys_were_forgotten() {
        let kept = Kept::default();
        for position in [10, 20, 30] {
            kept.insert(position, vec![1; 3].into());
        }
        assert_eq!((kept.get(20), kept.get(15), kept.len()), (Some(vec![1; 3]), None, 3));
        kept.forget_before(25);
        assert_eq!(kept.len(), 3, "who asked for a key just before still finds them");
        kept.forget_before(25);
        assert_eq!((kept.get(20), kept.get(30).is_some(), kept.len()), (None, true, 1));
        kept.forget_before(40);
        // Too old when its segment is dropped.
        let kept = Kept::default();
        kept.forget_before(40);
        kept.forget_before(50);
        assert!(!kept.wants(35) && kept.wants(45));
    }
}
