//! What the journal counts: for `/metrics` and `/v1/status`.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::telemetry::histogram::Histogram;

/// Upper bounds of the group sizes that are told apart, in records: powers of two.
pub const GROUP_BOUNDS: usize = 15;

/// The writer's counters. Only its thread raises them.
#[derive(Debug, Default)]
pub struct JournalMetrics {
    /// How long writing and syncing a group took.
    pub syncs: Histogram,
    /// Groups of at most 1, 2, 4, ... 2^14 records, and larger ones.
    pub group_sizes: [AtomicU64; GROUP_BOUNDS + 1],
    /// Records written.
    pub records: AtomicU64,
    /// Bytes written, padding included.
    pub bytes: AtomicU64,
    /// Records held back right now, until what they depend on is written.
    pub held: AtomicU64,
    /// How long the oldest of them has been, in nanoseconds.
    pub held_age_ns: AtomicU64,
    /// Segments that were dropped to keep a log in memory within its bound.
    pub segments_trimmed: AtomicU64,
    /// 1 while the disk is full and the log waits for room.
    pub full: AtomicU64,
}

impl JournalMetrics {
    /// Counts a group of that many records.
    pub fn group(&self, records: u64, bytes: u64) {
        let size = records.max(1).next_power_of_two().trailing_zeros() as usize;
        add(&self.group_sizes[size.min(GROUP_BOUNDS)], 1);
        add(&self.records, records);
        add(&self.bytes, bytes);
    }
}

/// One thread writes each counter: a load and a store.
pub(super) fn add(counter: &AtomicU64, by: u64) {
    counter.store(counter.load(Ordering::Relaxed) + by, Ordering::Relaxed);
}
