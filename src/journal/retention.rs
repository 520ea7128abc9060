//! What may leave the disk, and the thread that takes snapshots.
//!
//! Kept are the two newest snapshots that are whole, and every segment that a start from the older of them needs. By default no
//! segment ever leaves: the log is the history. With a bound of age or of size the oldest ones do, if they are all of this:
//! before the start of the older snapshot kept, past either bound, and older than idempotency keys are kept (their outcomes are
//! in the log). That a retry finds its answer goes before a bound of the disk; what stays for it is counted, and told when it begins.
//!
//! What a crash leaves: files go one at a time, oldest first, and each removal is on disk before the next begins, so the
//! segments that are left never have a gap. Snapshots go before segments; the one that the segments were measured by was read
//! from end to end before the first went.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;

use super::disk::Disk;
use super::log::{Log, Segment};
use super::segment;
use super::snapshot::{self, SnapshotError};

mod snapshotter;
pub mod trim;

pub use snapshotter::{FORGET_EVERY, Metrics, Parts, Schedule, Snapshotter};

/// How many snapshots are kept: if the newest is damaged there is another.
pub const SNAPSHOTS_KEPT: usize = 2;

/// Which segments may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// Those whose movements are all older than this.
    pub age_max: Option<Duration>,
    /// The oldest, as long as the others are more than this many bytes.
    pub bytes_max: Option<u64>,
    /// How long idempotency keys are kept: no segment that is younger goes.
    pub key_retention: Duration,
    /// How long finished reservations are kept.
    pub reservations_retention: Duration,
    /// How long orders are kept that are over.
    pub orders_retention: Duration,
}

/// What was removed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Removed {
    /// Snapshots.
    pub snapshots: Vec<String>,
    /// Segments.
    pub segments: Vec<String>,
    /// Snapshots that are damaged: they are left for somebody to look at, and count for nothing.
    pub damaged: Vec<String>,
}

/// Why something could not be removed. Whatever is left is consistent.
#[derive(Debug, Error)]
#[error("{file}: {source}")]
pub struct RetentionError {
    /// The file, or the folder.
    pub file: String,
    /// What the system says.
    pub source: io::Error,
}

/// Removes what the policy lets go, and notes in `removed` what is gone, also where it fails midway. Called by one thread at a
/// time, after a snapshot was taken, and again after a while where it failed.
///
/// `dropping` is told from which position on segments stay, and sees to it that nobody misses those before, whatever comes next.
///
/// A segment leaves the log only once it is gone for certain, and the first that cannot be removed ends the round: whatever
/// fails, the segments that are left have no gap, and those that are not gone are tried again.
pub fn apply(
    disk: &dyn Disk,
    log: &Log,
    policy: &Policy,
    now_ms: u64,
    removed: &mut Removed,
    dropping: &dyn Fn(u64) -> io::Result<()>,
) -> Result<(), RetentionError> {
    let kept = snapshots(disk, removed)?;
    // Fewer than two, and nothing may go: the newest alone could turn out to be damaged.
    let Some(&oldest_start) = kept.get(SNAPSHOTS_KEPT - 1) else { return Ok(()) };
    let segments = log.segments();
    let before = droppable(&segments, policy, oldest_start, now_ms);
    if segments.first().is_some_and(|oldest| oldest.header.base < before) {
        dropping(before)
            .map_err(|source| RetentionError { file: super::control::NAME.to_owned(), source })?;
    }
    for pair in segments.windows(2).take_while(|pair| pair[1].header.base <= before) {
        let name = segment::name(pair[0].header.base);
        remove(disk, &name)?;
        log.take_before(pair[1].header.base);
        removed.segments.push(name);
    }
    Ok(())
}

/// Removes all but the newest snapshots that are whole; returns the starts of those, newest first.
fn snapshots(disk: &dyn Disk, removed: &mut Removed) -> Result<Vec<u64>, RetentionError> {
    let names = disk.list();
    let names = names.map_err(|source| RetentionError { file: "the data directory".to_owned(), source })?;
    let mut starts: Vec<u64> = names.iter().filter_map(|name| snapshot::start_of(name)).collect();
    starts.sort_unstable_by(|a, b| b.cmp(a));
    let mut kept = Vec::with_capacity(SNAPSHOTS_KEPT);
    let mut surplus = Vec::new();
    for start in starts {
        let name = snapshot::name(start);
        if kept.len() == SNAPSHOTS_KEPT {
            surplus.push(name);
            continue;
        }
        match snapshot::check(disk, &name) {
            Ok(_) => kept.push(start),
            Err(SnapshotError::Io { source, .. }) => return Err(RetentionError { file: name, source }),
            Err(_) => removed.damaged.push(name),
        }
    }
    for name in surplus.into_iter().rev() {
        remove(disk, &name)?;
        removed.snapshots.push(name);
    }
    Ok(kept)
}

/// The base of the first segment that must stay.
fn droppable(segments: &[Arc<Segment>], policy: &Policy, oldest_start: u64, now_ms: u64) -> u64 {
    let end = segments.last().map_or(0, |last| last.end());
    let mut before = 0;
    for pair in segments.windows(2) {
        let next = &pair[1];
        let needed = next.header.base > oldest_start || policy.keys_need_before(next, now_ms);
        if needed || !policy.is_past_before(next, end, now_ms) {
            break;
        }
        before = next.header.base;
    }
    before
}

/// Bytes of segments that are past a bound and stay all the same, because idempotency keys may need them.
pub fn held_for_keys(log: &Log, policy: &Policy, now_ms: u64) -> u64 {
    if policy.age_max.is_none() && policy.bytes_max.is_none() {
        return 0;
    }
    let segments = log.segments();
    let end = segments.last().map_or(0, |last| last.end());
    let held = segments.windows(2).filter(|pair| {
        let next = &pair[1];
        policy.is_past_before(next, end, now_ms) && policy.keys_need_before(next, now_ms)
    });
    held.map(|pair| pair[1].header.base - pair[0].header.base).sum()
}

impl Policy {
    /// Whether all that is before that segment is past a bound; `end` is that of the log.
    fn is_past_before(&self, next: &Segment, end: u64, now_ms: u64) -> bool {
        // Where the next segment begins, and when: nothing before it is later.
        let too_old = self.age_max.is_some_and(|age| is_older(next.header.time_ms, age, now_ms));
        let too_many = self.bytes_max.is_some_and(|bytes| end - next.header.base > bytes);
        too_old || too_many
    }

    /// Whether something before that segment may be younger than keys are kept.
    fn keys_need_before(&self, next: &Segment, now_ms: u64) -> bool {
        !is_older(next.header.time_ms, self.key_retention, now_ms)
    }
}

fn is_older(time_ms: u64, age: Duration, now_ms: u64) -> bool {
    u128::from(now_ms.saturating_sub(time_ms)) > age.as_millis()
}

/// Removes a file for good: on disk before this returns. One that has no name any more is one whose removal was not synced.
fn remove(disk: &dyn Disk, name: &str) -> Result<(), RetentionError> {
    let removed = match disk.remove(name) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    };
    let removed = removed.and_then(|()| disk.sync_names());
    removed.map_err(|source| RetentionError { file: name.to_owned(), source })
}

#[cfg(test)]
mod tests;
