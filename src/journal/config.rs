//! [`JournalConfig`]: the bounds of a journal, and its clock.

use std::sync::Arc;
use std::time::Duration;

use super::retention::trim;
use super::retention::{Policy, Schedule};
use super::segment;
use crate::clock::{SystemTimeSource, TimeSource};

/// The bounds of a journal.
#[derive(Debug, Clone)]
pub struct JournalConfig {
    /// How long segments get, in bytes.
    pub segment_bytes: u64,
    /// How many idempotency keys may be held.
    pub keys_max: usize,
    /// How long an idempotency key is held.
    pub keys_retention: Duration,
    /// How long a change may be held back for one before it that was not handed over; then the journal fails.
    pub held_back_max: Duration,
    /// How often the writer looks up without being woken, for the age of what is held back.
    pub look_every: Duration,
    /// When snapshots are taken.
    pub snapshots: Schedule,
    /// Segments whose movements are all older than this are dropped, once a snapshot covers them. Never, if there is none.
    pub retain_age: Option<Duration>,
    /// The oldest segments are dropped while the others are longer than this, once a snapshot covers them. Never, if there is none.
    pub retain_bytes: Option<u64>,
    /// In memory: how long the log may be, in bytes. The oldest segments are dropped while it is longer; instead of by age or by
    /// [`JournalConfig::retain_bytes`], and without a snapshot. A group may go past it, and so do records that idempotency keys need.
    pub volatile_bytes_max: u64,
    /// How many finished reservations are kept.
    pub reservations_finished_max: usize,
    /// How long they are.
    pub reservations_retention: Duration,
    /// How many orders are kept that are over.
    pub orders_finished_max: usize,
    /// How long they are.
    pub orders_retention: Duration,
    /// Where the time comes from.
    pub time: Arc<dyn TimeSource>,
}

impl Default for JournalConfig {
    /// 64 MiB, a million keys (48 MB) for a day, and ten seconds. In memory the log is 64 MiB long.
    fn default() -> Self {
        Self {
            segment_bytes: segment::BYTES_DEFAULT,
            keys_max: 1_000_000,
            keys_retention: Duration::from_hours(24),
            held_back_max: Duration::from_secs(10),
            look_every: Duration::from_secs(1),
            snapshots: Schedule::default(),
            retain_age: None,
            retain_bytes: None,
            volatile_bytes_max: 64 * 1024 * 1024,
            reservations_finished_max: 100_000,
            reservations_retention: Duration::from_hours(24),
            orders_finished_max: 100_000,
            orders_retention: Duration::from_hours(24),
            time: Arc::new(SystemTimeSource::default()),
        }
    }
}

impl JournalConfig {
    pub(super) fn segment_bytes_on(&self, is_volatile: bool) -> u64 {
        if is_volatile { trim::segment_bytes(self.volatile_bytes_max) } else { self.segment_bytes }
    }

    pub(super) fn policy(&self) -> Policy {
        Policy {
            age_max: self.retain_age,
            bytes_max: self.retain_bytes,
            key_retention: self.keys_retention,
            reservations_retention: self.reservations_retention,
            orders_retention: self.orders_retention,
        }
    }
}
