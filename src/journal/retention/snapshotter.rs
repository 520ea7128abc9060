//! [`Snapshotter`]: the thread that takes snapshots, forgets old idempotency keys and removes what may go.
//!
//! Of a journal in memory it takes none, since no start would ever read one: there it forgets keys, and what was kept for them.
//!
//! A snapshot that fails is reported, and tried again when the next one is due: the log has everything. Nothing here ever
//! stops the writer.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::{Policy, Removed, apply, held_for_keys};
use crate::clock::Clock;
use crate::journal::control::{self, Control};
use crate::journal::disk::Disk;
use crate::journal::heads::Heads;
use crate::journal::holds::Holds;
use crate::journal::keys::Keys;
use crate::journal::lanes::Lanes;
use crate::journal::log::Log;
use crate::journal::orders::Orders;
use crate::journal::snapshot::{self, SnapshotError, Walked, Written};
use crate::journal::watermark::Watermark;

/// Why there is no snapshot of a journal in memory.
const IN_MEMORY: &str = "everything is in memory only: there is nothing to start from";

/// Between two rounds of forgetting idempotency keys.
pub const FORGET_EVERY: Duration = Duration::from_mins(1);

/// After a snapshot failed, until the next one that nobody asked for: a disk that is full is not filled again every second.
const FAILED_PAUSE: Duration = Duration::from_mins(1);

/// When a snapshot is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Schedule {
    /// When the log grew by that much since the last one.
    pub bytes: u64,
    /// When that long has passed since the last one, and the log grew at all.
    pub interval: Duration,
    /// Between two looks whether one is due.
    pub look_every: Duration,
}

impl Schedule {
    /// Whether one is due, after the log grew by that much; the times are since the last one, and since one failed after it.
    fn is_due(&self, grown: u64, since: Duration, since_failure: Option<Duration>) -> bool {
        let waits = since_failure.is_some_and(|since| since < FAILED_PAUSE);
        !waits && (grown >= self.bytes || (grown > 0 && since >= self.interval))
    }
}

impl Default for Schedule {
    fn default() -> Self {
        Self {
            bytes: 256 * 1024 * 1024,
            interval: Duration::from_mins(15),
            look_every: Duration::from_secs(1),
        }
    }
}

/// The parts of the journal that snapshots are taken of.
#[derive(Debug, Clone)]
pub struct Parts {
    /// Where the files are.
    pub disk: Arc<dyn Disk>,
    /// The segments.
    pub log: Arc<Log>,
    /// Whose they are.
    pub control: Option<Arc<Control>>,
    /// The levels.
    pub heads: Arc<Heads>,
    /// The idempotency keys.
    pub keys: Arc<Keys>,
    /// The reservations.
    pub holds: Arc<Holds>,
    /// The orders.
    pub orders: Arc<Orders>,
    /// Where changes are handed over: a snapshot of reservations and orders waits for what was. `None` where they are not.
    pub lanes: Option<Arc<Lanes>>,
    /// How far the log is on disk.
    pub watermark: Arc<Watermark>,
}

/// What the thread has done, as numbers. Zero before the first time.
#[derive(Debug, Default)]
pub struct Metrics {
    /// Snapshots that were taken.
    pub taken: AtomicU64,
    /// Snapshots that failed.
    pub failed: AtomicU64,
    /// How long the last one took.
    pub duration_ms: AtomicU64,
    /// The length of its file.
    pub bytes: AtomicU64,
    /// When it was taken, in milliseconds of Unix time, as [`Clock::steady_ms`] has it: its age is the time since then.
    pub time_ms: AtomicU64,
    /// Where it starts: what a start would have to replay is the log from there.
    pub position: AtomicU64,
    /// Segments that were dropped.
    pub segments_dropped: AtomicU64,
    /// Bytes of segments past a bound of retention that stay because idempotency keys may need them.
    pub held_for_keys_bytes: AtomicU64,
}

/// The thread. Dropping it stops it, and waits for it.
#[derive(Debug)]
pub struct Snapshotter {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    metrics: Metrics,
    /// Snapshots that were asked for, and that many were answered.
    requests: Mutex<Requests>,
    changed: Condvar,
    stop: AtomicBool,
}

#[derive(Debug, Default)]
struct Requests {
    asked: u64,
    answered: u64,
    /// The outcome of the last one.
    outcome: Option<Result<Written, String>>,
}

impl Snapshotter {
    /// Starts the thread. `covered` is the position from which a start would replay now: the snapshot that was loaded, or 0.
    pub fn start(
        parts: Parts,
        schedule: Schedule,
        policy: Policy,
        covered: u64,
        clock: Clock,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        shared.metrics.position.store(covered, Ordering::Relaxed);
        let retry_removals = false;
        let thread =
            Thread { parts, schedule, policy, clock, shared: Arc::clone(&shared), covered, retry_removals };
        let thread = std::thread::Builder::new().name("snapshots".to_owned()).spawn(move || thread.run())?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Takes a snapshot now, and waits for it. Blocks: for a thread of its own, never for a task.
    pub fn take(&self) -> Result<Written, String> {
        let mut requests = self.shared.requests.lock();
        requests.asked += 1;
        let mine = requests.asked;
        self.shared.changed.notify_all();
        while requests.answered < mine && !self.shared.stop.load(Ordering::Relaxed) {
            self.shared.changed.wait(&mut requests);
        }
        if requests.answered < mine {
            return Err(SnapshotError::Stopped.to_string());
        }
        requests.outcome.clone().unwrap_or_else(|| Err(SnapshotError::Stopped.to_string()))
    }

    /// What it has done.
    pub fn metrics(&self) -> &Metrics {
        &self.shared.metrics
    }

    /// Tells the thread to stop; a snapshot under way is given up at its next block. Does not wait.
    pub fn stop(&self) {
        // Under the lock, so that a thread about to wait sees it or is woken.
        let requests = self.shared.requests.lock();
        self.shared.stop.store(true, Ordering::Relaxed);
        drop(requests);
        self.shared.changed.notify_all();
    }
}

impl Drop for Snapshotter {
    fn drop(&mut self) {
        self.stop();
        if let Some(thread) = self.thread.take() {
            // A panic in it was reported when it happened.
            let _ = thread.join();
        }
    }
}

struct Thread {
    parts: Parts,
    schedule: Schedule,
    policy: Policy,
    clock: Clock,
    shared: Arc<Shared>,
    /// Where the last snapshot starts.
    covered: u64,
    /// The last removals failed.
    retry_removals: bool,
}

/// Why the thread goes on.
enum Woken {
    Stop,
    /// To look whether a snapshot is due.
    Look,
    /// For the newest request that is not answered.
    Asked(u64),
}

impl Thread {
    fn run(mut self) {
        let (mut last, mut failed, mut forgot) = (Instant::now(), None::<Instant>, Instant::now());
        loop {
            let asked = match self.wait() {
                Woken::Stop => return,
                Woken::Look => None,
                Woken::Asked(asked) => Some(asked),
            };
            if forgot.elapsed() >= FORGET_EVERY {
                self.forget();
                self.tell_what_is_held();
                if self.retry_removals {
                    self.retain();
                }
                forgot = Instant::now();
            }
            if self.parts.disk.is_volatile() {
                if let Some(asked) = asked {
                    self.answer(asked, Err(IN_MEMORY.to_owned()));
                }
                continue;
            }
            let grown = self.parts.watermark.position().saturating_sub(self.covered);
            let since_failure = failed.map(|failed| failed.elapsed());
            if asked.is_none() && !self.schedule.is_due(grown, last.elapsed(), since_failure) {
                continue;
            }
            let outcome = self.take();
            last = Instant::now();
            failed = outcome.is_err().then_some(last);
            if let Some(asked) = asked {
                self.answer(asked, outcome);
            }
        }
    }

    fn answer(&self, asked: u64, outcome: Result<Written, String>) {
        let mut requests = self.shared.requests.lock();
        (requests.answered, requests.outcome) = (asked, Some(outcome));
        drop(requests);
        self.shared.changed.notify_all();
    }

    /// Forgets keys that have outlived their retention, then their records that are kept beside the log.
    fn forget(&self) {
        let Parts { keys, log, watermark, .. } = &self.parts;
        // Looked at also while nothing is written: a clock that is set is told of.
        self.clock.behind_ms();
        let (now_ms, end) = (self.clock.steady_ms(), watermark.end());
        keys.marks().mark_end(end.time_ms, end.position);
        let before = |kept: Duration| now_ms.checked_sub(u64::try_from(kept.as_millis()).unwrap_or(u64::MAX));
        if let Some(before_ms) = before(self.policy.reservations_retention) {
            self.parts.holds.forget_before(before_ms);
        }
        if let Some(before_ms) = before(self.policy.orders_retention) {
            self.parts.orders.forget_before(before_ms);
        }
        if let Some(position) = keys.expire(now_ms, self.policy.key_retention) {
            log.kept().forget_before(position);
        }
    }

    /// Says so when more than retention allows has to stay for idempotency keys: once, and not again while it lasts.
    fn tell_what_is_held(&self) {
        let bytes = held_for_keys(&self.parts.log, &self.policy, self.clock.steady_ms());
        let before = self.shared.metrics.held_for_keys_bytes.swap(bytes, Ordering::Relaxed);
        if bytes > 0 && before == 0 {
            let keys_retention_s = self.policy.key_retention.as_secs();
            tracing::warn!(
                bytes,
                keys_retention_s,
                "the log is longer than retention allows: what idempotency keys may need stays until they have run out"
            );
        }
    }

    /// Waits for a request, or a little.
    fn wait(&self) -> Woken {
        let mut requests = self.shared.requests.lock();
        let stopped = || self.shared.stop.load(Ordering::Relaxed);
        if !stopped() && requests.asked == requests.answered {
            self.shared.changed.wait_for(&mut requests, self.schedule.look_every);
        }
        match requests.asked {
            _ if stopped() => Woken::Stop,
            asked if asked > requests.answered => Woken::Asked(asked),
            _ => Woken::Look,
        }
    }

    fn take(&mut self) -> Result<Written, String> {
        let (began, parts, metrics) = (Instant::now(), &self.parts, &self.shared.metrics);
        let written = match write(parts, &self.shared.stop) {
            Ok(written) => written,
            Err(error) => {
                if !matches!(error, SnapshotError::Stopped) {
                    metrics.failed.fetch_add(1, Ordering::Relaxed);
                    tracing::warn!(%error, "no snapshot was taken; the log has everything, and the next start takes longer");
                }
                return Err(error.to_string());
            }
        };
        self.covered = written.start.position;
        let duration_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        metrics.duration_ms.store(duration_ms, Ordering::Relaxed);
        metrics.bytes.store(written.bytes, Ordering::Relaxed);
        metrics.time_ms.store(self.clock.steady_ms(), Ordering::Relaxed);
        metrics.position.store(written.start.position, Ordering::Relaxed);
        metrics.taken.fetch_add(1, Ordering::Relaxed);
        tracing::info!(duration_ms, bytes = written.bytes, levels = written.levels, "snapshot taken");
        self.retain();
        Ok(written)
    }

    /// Removes what may go. Where that fails it is tried again, whether or not there is another snapshot by then.
    fn retain(&mut self) {
        let mut removed = Removed::default();
        let Parts { disk, log, control, .. } = &self.parts;
        let dropping = |oldest| control.as_ref().map_or(Ok(()), |control| control.dropping(oldest));
        let outcome =
            apply(disk.as_ref(), log, &self.policy, self.clock.steady_ms(), &mut removed, &dropping);
        let dropped = removed.segments.len() as u64;
        self.shared.metrics.segments_dropped.fetch_add(dropped, Ordering::Relaxed);
        for file in removed.damaged {
            tracing::warn!(file, "a snapshot is damaged: it is kept, and not used");
        }
        self.tell_what_is_held();
        self.retry_removals = outcome.is_err();
        if let Err(error) = outcome {
            tracing::warn!(%error, "what may leave the disk could not be removed; it is tried again in a minute");
        }
    }
}

/// Takes a snapshot. It says whose it is, so the file `control` has to say so before: on a disk that was full it may not yet.
fn write(parts: &Parts, stop: &AtomicBool) -> Result<Written, SnapshotError> {
    let Parts { disk, control, heads, keys, holds, orders, lanes, watermark, .. } = parts;
    let behind = |source| SnapshotError::Io { file: control::NAME.to_owned(), source };
    control.as_ref().map_or(Ok(()), |control| control.catch_up()).map_err(behind)?;
    let whose = control.as_ref().map(|control| control.identity());
    let caught_up = || lanes.as_ref().is_none_or(|lanes| lanes.wait_until_caught_up());
    let content = Walked { heads, keys, holds, orders, caught_up: &caught_up };
    snapshot::write(disk.as_ref(), whose, &content, watermark, stop)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// P10: a disk that is full is not filled with a snapshot again and again.
    #[test]
    fn after_a_failure_the_next_one_is_not_due_at_once() {
        let schedule = Schedule::default();
        let (long, moment) = (schedule.interval, Duration::from_secs(1));
        assert!(schedule.is_due(schedule.bytes, moment, None) && schedule.is_due(1, long, None));
        assert!(!schedule.is_due(schedule.bytes - 1, moment, None) && !schedule.is_due(0, long, None));
        for since in [Duration::ZERO, moment] {
            assert!(!schedule.is_due(schedule.bytes, long, Some(since)));
        }
        assert!(schedule.is_due(schedule.bytes, moment, Some(FAILED_PAUSE)));
    }
}
