//! [`Watermark`]: how far the log is on disk, and whether it ever will be further.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::{Condvar, Mutex};
use thiserror::Error;

use super::group::Hash;

/// Where a group ends: all there is to know to write, or to replay, the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GroupEnd {
    /// The position after the group.
    pub position: u64,
    /// The number of the next movement.
    pub next_seq: u64,
    /// The group's hash: the chain so far.
    pub hash: Hash,
    /// When it was written, in milliseconds of Unix time.
    pub time_ms: u64,
}

/// The journal has failed: nothing more will be written by this process.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("the journal has failed: {reason}")]
pub struct Failed {
    /// What happened, once and for all.
    pub reason: String,
}

/// How far the log is on disk.
#[derive(Debug)]
pub struct Watermark {
    durable: AtomicU64,
    end: Mutex<GroupEnd>,
    moved: Condvar,
    failed: OnceLock<Failed>,
}

impl Watermark {
    /// Everything before `end` is on disk.
    pub fn new(end: GroupEnd) -> Self {
        let durable = AtomicU64::new(end.position);
        Self { durable, end: Mutex::new(end), moved: Condvar::new(), failed: OnceLock::new() }
    }

    /// Whether the record at that position is on disk.
    pub fn covers(&self, position: u64) -> bool {
        position < self.position()
    }

    /// The position before which everything is on disk.
    pub fn position(&self) -> u64 {
        // Acquire, with the release in `advance`: what the writer did before it is visible.
        self.durable.load(Ordering::Acquire)
    }

    /// The end of the last group that is on disk.
    pub fn end(&self) -> GroupEnd {
        *self.end.lock()
    }

    /// A group was synced. For the writer.
    pub fn advance(&self, end: GroupEnd) {
        *self.end.lock() = end;
        self.durable.store(end.position, Ordering::Release);
        self.moved.notify_all();
    }

    /// The journal has failed, for ever; the first reason is kept. For the writer, and for who finds damage.
    pub fn fail(&self, reason: impl Into<String>) {
        let end = self.end.lock();
        // Who loses the race finds the first reason there, which is the one that counts.
        let _ = self.failed.set(Failed { reason: reason.into() });
        drop(end);
        self.moved.notify_all();
    }

    /// Why nothing more will be written, if so.
    pub fn failed(&self) -> Option<&Failed> {
        self.failed.get()
    }

    /// Blocks until the record at that position is on disk. For threads of the journal's own, never for a task.
    pub fn wait_for(&self, position: u64) -> Result<(), Failed> {
        let mut end = self.end.lock();
        loop {
            if position < end.position {
                return Ok(());
            }
            if let Some(failed) = self.failed.get() {
                return Err(failed.clone());
            }
            self.moved.wait(&mut end);
        }
    }
}
