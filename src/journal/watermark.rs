//! [`Watermark`]: how far the log is on disk, and whether it ever will be further.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::{Condvar, Mutex};
use thiserror::Error;
use tokio::sync::oneshot;

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
    /// When it was written, as [`Clock::steady_ms`](crate::clock::Clock::steady_ms) has it: what grows old does by this.
    pub time_ms: u64,
    /// When it was written, as its movements show it: milliseconds of Unix time; 0 where that is not known.
    pub date_ms: u64,
}

impl GroupEnd {
    /// The end of a log in which nothing was ever written.
    pub const GENESIS: Self = Self { position: 0, next_seq: 1, hash: [0; 32], time_ms: 0, date_ms: 0 };
}

/// The journal has failed: nothing more will be written by this process.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("the journal has failed: {reason}")]
pub struct Failed {
    /// What happened, once and for all.
    pub reason: String,
}

/// Why something that was handed over is not known to be on disk.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NotOnDisk {
    /// It will never be.
    #[error(transparent)]
    Failed(#[from] Failed),
    /// It waits for room on the disk, and nobody knows for how long.
    #[error("the disk is full")]
    Full,
}

/// How far the log is on disk.
#[derive(Debug)]
pub struct Watermark {
    durable: AtomicU64,
    end: Mutex<GroupEnd>,
    moved: Condvar,
    failed: OnceLock<Failed>,
    /// It has waited for room on the disk, now or before.
    has_stalled: AtomicBool,
    sleepers: Mutex<Vec<Sleeper>>,
}

/// Who is told when the record at a position is on disk.
#[derive(Debug)]
struct Sleeper {
    position: u64,
    told: oneshot::Sender<()>,
}

impl Watermark {
    /// Everything before `end` is on disk.
    pub fn new(end: GroupEnd) -> Self {
        let durable = AtomicU64::new(end.position);
        Self {
            durable,
            end: Mutex::new(end),
            moved: Condvar::new(),
            failed: OnceLock::new(),
            has_stalled: AtomicBool::new(false),
            sleepers: Mutex::default(),
        }
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
        let mut sleepers = self.sleepers.lock();
        if !sleepers.is_empty() {
            for sleeper in sleepers.extract_if(.., |sleeper| sleeper.position < end.position) {
                // Who has gone away meanwhile need not be told.
                let _ = sleeper.told.send(());
            }
        }
    }

    /// The journal has failed, for ever; the first reason is kept. For the writer, and for who finds damage.
    pub fn fail(&self, reason: impl Into<String>) {
        let end = self.end.lock();
        // Who loses the race finds the first reason there, which is the one that counts.
        let _ = self.failed.set(Failed { reason: reason.into() });
        drop(end);
        self.moved.notify_all();
        // Dropping their senders tells them.
        self.sleepers.lock().clear();
    }

    /// Waits until the record at that position, which is written, is on disk.
    pub async fn reach(&self, position: u64) -> Result<(), Failed> {
        if self.covers(position) {
            return Ok(());
        }
        let told = {
            let mut sleepers = self.sleepers.lock();
            // Again, under the lock under which the writer looks for sleepers after it moved the mark.
            if self.covers(position) {
                return Ok(());
            }
            if let Some(failed) = self.failed() {
                return Err(failed.clone());
            }
            let (teller, told) = oneshot::channel();
            sleepers.push(Sleeper { position, told: teller });
            told
        };
        told.await.map_err(|_| self.failure())
    }

    /// Why whoever waits was not told.
    pub fn failure(&self) -> Failed {
        self.failed().cloned().unwrap_or_else(|| Failed { reason: "it was closed".to_owned() })
    }

    /// The log waits for room on the disk, and whoever waits for it is told nothing.
    pub fn stall(&self) {
        self.has_stalled.store(true, Ordering::Release);
    }

    /// Why whoever waits was not told, where it may also be that the log waits, or waited, for room.
    pub fn why_untold(&self) -> NotOnDisk {
        match self.failed() {
            None if self.has_stalled.load(Ordering::Acquire) => NotOnDisk::Full,
            // A writer that panics drops what it holds a moment before it has failed.
            _ => self.failure().into(),
        }
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
