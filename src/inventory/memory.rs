//! [`Memory`]: the outcomes of idempotency keys of a service that keeps everything in memory.
//!
//! The same records as in the journal, in a list: what a retry is answered with is made from them in the same way.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use crate::journal::keys::{Claim, Keys, Taken};
use crate::journal::lanes::Keyed;
use crate::journal::now_ms;
use crate::journal::record::{self, Answer, Kind, Note};
use crate::stock::{Changed, HandOff};

/// Records of keys, and how many keys there may be.
#[derive(Debug)]
pub struct Memory {
    shared: Arc<Shared>,
    keys_max: usize,
    retention: Duration,
}

#[derive(Debug)]
struct Shared {
    keys: Arc<Keys>,
    records: Mutex<Records>,
}

/// Records, oldest first; the position of each is how many there were before it, those dropped included.
#[derive(Debug, Default)]
struct Records {
    dropped: u64,
    kept: std::collections::VecDeque<(u64, Box<[u8]>)>,
}

/// The permit for one record.
#[derive(Debug)]
pub struct MemoryPermit {
    shared: Arc<Shared>,
    kind: Kind,
    keyed: Keyed,
}

impl Memory {
    /// Nothing yet. At most `keys_max` keys, each kept for `retention`.
    pub fn new(keys_max: usize, retention: Duration) -> Self {
        let shared = Shared { keys: Arc::new(Keys::new()), records: Mutex::default() };
        Self { shared: Arc::new(shared), keys_max, retention }
    }

    /// The keys.
    pub fn keys(&self) -> &Keys {
        &self.shared.keys
    }

    /// Claims a key; those that have outlived their retention go first.
    pub fn claim(&self, key: u128) -> Result<Claim, Taken> {
        self.shared.forget(now_ms().saturating_sub(millis(self.retention)));
        self.shared.keys.claim(key, self.keys_max)
    }

    /// Claims a key, however many there are.
    pub fn claim_unbounded(&self, key: u128) -> Result<Claim, Taken> {
        self.shared.keys.claim(key, usize::MAX)
    }

    /// The permit for the record of a key.
    pub fn permit(&self, kind: Kind, keyed: Keyed) -> MemoryPermit {
        MemoryPermit { shared: Arc::clone(&self.shared), kind, keyed }
    }

    /// The record at a position.
    pub fn record_at(&self, position: u64) -> Option<Vec<u8>> {
        let records = self.shared.records.lock();
        let index = usize::try_from(position.checked_sub(records.dropped)?).ok()?;
        records.kept.get(index).map(|(_, record)| record.to_vec())
    }
}

impl Shared {
    /// Drops the records written before that time, and their keys.
    fn forget(&self, before_ms: u64) {
        let mut records = self.records.lock();
        let mut dropped = 0;
        while records.kept.front().is_some_and(|(time_ms, _)| *time_ms < before_ms) {
            records.kept.pop_front();
            dropped += 1;
        }
        records.dropped += dropped;
        if dropped > 0 {
            self.keys.forget_before(records.dropped);
        }
    }

    fn keep(&self, key: u128, mut record: Vec<u8>) {
        let mut records = self.records.lock();
        let position = records.dropped + records.kept.len() as u64;
        let time_ms = now_ms();
        record::seal(&mut record, position, time_ms, |_| 0);
        records.kept.push_back((time_ms, record.into_boxed_slice()));
        self.keys.insert(key, position);
    }
}

impl MemoryPermit {
    /// Stores an answer.
    pub fn answer(self, answer: Answer<'_>) {
        let mut record = Vec::new();
        record::encode_answer(&mut record, &self.note(), answer);
        self.shared.keep(self.keyed.once().key, record);
    }

    fn note(&self) -> Note<'static> {
        Note { kind: self.kind, once: Some(self.keyed.once()), reason: "", reference: "" }
    }
}

impl HandOff for MemoryPermit {
    fn hand_over<'a, C>(self, changes: C)
    where
        C: ExactSizeIterator<Item = Changed<'a>> + Clone,
    {
        let mut record = Vec::new();
        record::encode(&mut record, &self.note(), changes);
        self.shared.keep(self.keyed.once().key, record);
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
