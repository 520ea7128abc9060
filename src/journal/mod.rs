//! The durable log: acknowledged means on disk, once, in order (promises P7 and P8).
//!
//! One append-only log, which is the ledger as well: no change is there without every change it depends on, and none is
//! acknowledged, or shown, before it is there.
//!
//! The way of a change: [`lanes`] (a permit before it is applied, the record after) → [`turns`] (as it was handed over) → [`order`] (nothing before what it
//! depends on) → [`writer`] (one thread: number, seal, write, sync) → [`watermark`] and [`heads`] (who waits is told).
//!
//! The same journal runs in memory ([`disk::memory`]), where nothing has to be waited for, only the newest movements are there, and
//! keys live on ([`kept`]).
//!
//! A journal of stock from another store: [`founding`], [`moved`].
//!
//! The forms: [`record`] in [`group`] in [`segment`]. The files: [`disk`] (every storage call), [`append`], [`prepare`],
//! [`log`].
//!
//! It never retries a failed write, never shows what a crash could take back, and knows neither HTTP nor how the stock is
//! shared.

pub mod append;
pub mod backup;
pub mod bell;
pub mod check;
pub mod chunks;
pub mod config;
pub mod control;
pub mod data_dir;
pub mod disk;
pub mod documents;
pub mod founding;
pub mod freed;
pub mod group;
pub mod heads;
pub mod history;
pub mod holds;
pub mod kept;
pub mod keys;
pub mod lanes;
pub mod log;
pub mod marks;
pub mod metrics;
pub mod moved;
pub mod order;
pub mod orders;
pub mod pace;
pub mod prepare;
pub mod record;
pub mod recovery;
pub mod register;
pub mod retention;
pub mod room;
pub mod scan;
pub mod segment;
pub mod settled;
pub mod snapshot;
pub(crate) mod sorted;
pub mod stored;
#[cfg(test)]
pub(crate) mod testing;
pub mod turns;
pub mod verify;
pub mod waiters;
pub mod watermark;
pub mod writer;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};

use self::append::Appender;
pub use self::config::JournalConfig;
use self::control::{Content, Control};
use self::disk::Disk;
use self::heads::{Heads, Written};
use self::holds::{AllFound, Holds};
use self::keys::{Claim, Keys};
use self::lanes::{Denied, Lanes, NoSlot, Permit, Slot};
use self::log::{Log, Segment};
use self::metrics::JournalMetrics;
use self::orders::Orders;
use self::record::RecordKind;
use self::retention::trim::Trimmer;
use self::retention::{Parts, Snapshotter};
use self::watermark::{Failed, GroupEnd, NotOnDisk, Watermark};
use self::writer::Writer;
use crate::clock::{Clock, Left};
use crate::said::Said;
use crate::stock::StockKey;

/// What a journal goes on from: an empty log, or what recovery found.
#[derive(Debug)]
pub struct Start {
    /// The last written change of every level.
    pub heads: Heads,
    /// The idempotency keys that were used.
    pub keys: Keys,
    /// The reservations that were made.
    pub holds: AllFound,
    /// The orders that were placed.
    pub orders: orders::AllFound,
    /// The segments there are.
    pub log: Log,
    /// The last segment, if it is not sealed.
    pub tail: Option<Arc<Segment>>,
    /// The end of the last group.
    pub end: GroupEnd,
    /// Where the snapshot starts that was loaded; 0 if none was.
    pub covered: u64,
    /// Whose the files are, and how they were left.
    pub control: Content,
    /// Whether nothing is going to be written: the files stay as they were left.
    pub only_reads: bool,
}

impl Start {
    /// A log in which nothing was ever written.
    pub fn empty() -> Self {
        let (heads, keys, log, control) = (Heads::new(), Keys::new(), Log::default(), Content::fresh());
        let (holds, orders) = (AllFound::default(), orders::AllFound::default());
        Self {
            heads,
            keys,
            holds,
            orders,
            log,
            tail: None,
            end: GroupEnd::GENESIS,
            covered: 0,
            control,
            only_reads: false,
        }
    }
}

/// The running journal.
#[derive(Debug)]
pub struct Journal {
    shared: Arc<Shared>,
    writer: Mutex<Option<JoinHandle<()>>>,
    snapshots: Snapshotter,
    disk: Arc<dyn Disk>,
    keys_max: usize,
    is_volatile: bool,
}

/// What the writer and its clients share.
#[derive(Debug)]
pub struct Shared {
    /// Where changes are handed over.
    pub lanes: Arc<Lanes>,
    /// What was written of each level.
    pub heads: Arc<Heads>,
    /// Which idempotency keys were used.
    pub keys: Arc<Keys>,
    /// Which reservations there are.
    pub holds: Arc<Holds>,
    /// Which orders there are.
    pub orders: Arc<Orders>,
    /// The files.
    pub log: Arc<Log>,
    /// Whose they are.
    pub control: Arc<Control>,
    /// By which what is written is dated, and what is kept grows old.
    pub clock: Clock,
    /// How much of it is on disk.
    pub watermark: Arc<Watermark>,
    /// What is counted.
    pub metrics: JournalMetrics,
    closed: AtomicBool,
    has_failed: Notify,
    /// What was handed over waits for room on the disk.
    stalled: Notify,
    /// While it is full: between two looks for room, in milliseconds.
    pause_ms: AtomicU64,
}

impl Journal {
    /// Starts the writer where `start` ends. From here on the files are open; of a copy another lineage begins.
    pub fn start(disk: Arc<dyn Disk>, start: Start, config: &JournalConfig) -> io::Result<Self> {
        let log = Arc::new(start.log);
        let is_volatile = disk.is_volatile();
        let (steady_ms, date_ms) = (start.end.time_ms, start.control.date_at(start.end));
        let left = Left { steady_ms, date_ms, away_ms: start.control.away_ms };
        let clock = Clock::resume(Arc::clone(&config.time), left);
        let (away_ms, date_ms) = (clock.away_ms(), clock.date_began_ms());
        let content = Content { away_ms, date_ms, ..start.control };
        let control = if is_volatile || start.only_reads {
            Control::unwritten(content)
        } else {
            Control::open(Arc::clone(&disk), content, start.end, log.bases())?
        };
        let control = Arc::new(control);
        let holds = found_holds(start.holds, start.end.time_ms, config);
        let orders = found_orders(start.orders, start.end.time_ms, config);
        let segment_bytes = config.segment_bytes_on(is_volatile);
        let trimmer = is_volatile.then(|| {
            Trimmer::new(Arc::clone(&disk), Arc::clone(&log), config.volatile_bytes_max, segment_bytes)
        });
        let appender = Appender::new(
            Arc::clone(&disk),
            Arc::clone(&log),
            Arc::clone(&control),
            start.tail,
            start.end,
            segment_bytes,
        )?;
        let shared = Arc::new(Shared {
            lanes: Arc::new(Lanes::new(is_volatile)),
            heads: Arc::new(start.heads),
            keys: Arc::new(start.keys),
            holds: Arc::new(holds),
            orders: Arc::new(orders),
            log,
            control,
            clock: clock.clone(),
            watermark: Arc::new(Watermark::new(start.end)),
            metrics: JournalMetrics::default(),
            closed: AtomicBool::new(false),
            has_failed: Notify::new(),
            stalled: Notify::new(),
            pause_ms: AtomicU64::new(0),
        });
        let writer = Writer::new(Arc::clone(&shared), appender, config, trimmer);
        let thread = std::thread::Builder::new().name("journal".to_owned()).spawn(move || writer.run())?;
        let snapshots = Snapshotter::start(
            shared.snapshot_parts(&disk),
            config.snapshots,
            config.policy(),
            start.covered,
            clock,
        )?;
        let (writer, keys_max) = (Mutex::new(Some(thread)), config.keys_max);
        Ok(Self { shared, writer, snapshots, disk, keys_max, is_volatile })
    }

    /// A slot for one record, if there is one now. It is taken before the change is asked for.
    #[inline]
    pub fn slot(&self) -> Option<Slot<'_>> {
        self.shared.lanes.slot()
    }

    /// Waits for a slot.
    pub async fn slot_in_time(&self) -> Result<Slot<'_>, Denied> {
        match self.shared.lanes.slot_in_time().await {
            Ok(slot) => Ok(slot),
            Err(NoSlot::Closed) => Err(Denied::Failed(self.shared.why_none().await)),
            Err(NoSlot::TimedOut) => Err(Denied::TimedOut),
            Err(NoSlot::DiskFull) => Err(Denied::DiskFull),
        }
    }

    /// A slot for that record, now or in time.
    pub async fn permit(&self, kind: RecordKind, said: Said, claim: Option<Claim>) -> Result<Permit, Denied> {
        let slot = match self.slot() {
            Some(slot) => slot,
            // Apart, so that a future of which nearly none waits has no room for a timer.
            None => Box::pin(self.slot_in_time()).await?,
        };
        Ok(slot.permit(kind, said, claim))
    }

    /// How many idempotency keys may be held.
    pub fn keys_max(&self) -> usize {
        self.keys_max
    }

    /// Waits until that version of the level, which somebody saw, is on disk. A version 0 is that of no change. In memory nothing
    /// can be taken back while there is anybody to notice, so there it returns at once. While the log waits for room on the disk nobody
    /// waits with it: that is told.
    pub async fn durable(&self, key: &StockKey, version: u64) -> Result<(), NotOnDisk> {
        if version == 0 || self.is_volatile {
            return Ok(());
        }
        let shared = &self.shared;
        match shared.heads.written(key, version) {
            Written::At(position) => Ok(shared.watermark.reach(position).await?),
            Written::NotYet(told) => {
                // Looked at after the place on the list was taken: who fails first and clears the list then is seen here.
                if let Some(failed) = shared.watermark.failed() {
                    return Err(failed.clone().into());
                }
                told.await.map_err(|_| shared.watermark.why_untold())
            }
        }
    }

    /// [`Journal::durable`] of many levels, in one wait for those that are written, which nearly always is all there is.
    pub async fn durable_all<'k>(
        &self,
        seen: impl Iterator<Item = (&'k StockKey, u64)> + Send,
    ) -> Result<(), NotOnDisk> {
        if self.is_volatile {
            return Ok(());
        }
        let shared = &self.shared;
        let (mut last, mut unwritten) = (None, Vec::new());
        for (key, version) in seen.filter(|(_, version)| *version > 0) {
            match shared.heads.written(key, version) {
                Written::At(position) => last = last.max(Some(position)),
                Written::NotYet(told) => unwritten.push(told),
            }
        }
        // After the places on the lists were taken: see `durable`.
        if let Some(failed) = shared.watermark.failed().filter(|_| !unwritten.is_empty()) {
            return Err(failed.clone().into());
        }
        for told in unwritten {
            told.await.map_err(|_| shared.watermark.why_untold())?;
        }
        match last {
            Some(position) => Ok(shared.watermark.reach(position).await?),
            None => Ok(()),
        }
    }

    /// Waits until everything that was handed over before is on disk: for a batch, which then need not ask for each change. In
    /// memory it returns at once.
    pub async fn settled(&self) -> Result<(), NotOnDisk> {
        if self.is_volatile { Ok(()) } else { self.caught_up().await }
    }

    /// Waits until everything that was handed over before is in the log, also in memory: for who looks there for what somebody was
    /// told of, in a history or under an idempotency key. A key whose outcome was handed over has a position after it.
    pub async fn caught_up(&self) -> Result<(), NotOnDisk> {
        let lanes = &self.shared.lanes;
        // All places on the lists are taken before the writer is asked: what it then looks at is all that they wait for.
        let waits: Vec<_> = (0..lanes.count()).filter_map(|lane| lanes.settled(lane).wait()).collect();
        if waits.is_empty() {
            return Ok(());
        }
        lanes.bell().ask();
        for told in waits {
            told.await.map_err(|_| self.shared.watermark.why_untold())?;
        }
        Ok(())
    }

    /// Waits until a record is on disk that is stored instead of a change: `told` is told then.
    pub async fn stored(&self, told: oneshot::Receiver<()>) -> Result<(), NotOnDisk> {
        tokio::select! {
            biased;
            stored = told => stored.map_err(|_| self.shared.watermark.why_untold()),
            // Called again and again while the log waits, so that nobody who comes late misses it.
            () = self.shared.stalled.notified() => Err(NotOnDisk::Full),
        }
    }

    /// While the disk is full: how long until it is looked for room again, at most.
    pub fn looks_for_room_in(&self) -> Duration {
        Duration::from_millis(self.shared.pause_ms.load(Ordering::Relaxed))
    }

    /// Whether a crash takes all of it: it runs in memory.
    pub fn is_volatile(&self) -> bool {
        self.is_volatile
    }

    /// The thread that takes snapshots.
    pub fn snapshots(&self) -> &Snapshotter {
        &self.snapshots
    }

    /// Where the files are.
    pub fn disk(&self) -> &Arc<dyn Disk> {
        &self.disk
    }

    /// What the journal shares with its clients.
    pub fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Completes when the journal has failed.
    pub async fn failed(&self) -> Failed {
        loop {
            let notified = self.shared.has_failed.notified();
            if let Some(failed) = self.shared.watermark.failed() {
                return failed.clone();
            }
            notified.await;
        }
    }

    /// Nothing more is acknowledged, as something is on disk that only a start can set right; the process is to end.
    pub fn fail(&self, reason: &str) {
        self.shared.fail(reason);
    }

    /// Takes no more changes, and blocks until those handed over are on disk, and where the log ends is noted.
    pub fn close(&self) {
        self.snapshots.stop();
        self.shared.closed.store(true, Ordering::Release);
        self.shared.lanes.close();
        if let Some(writer) = self.writer.lock().take() {
            // A writer that panicked has failed the journal, and everybody was told.
            let _ = writer.join();
            self.shared.seal();
        }
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.close();
    }
}

/// The reservations that a start found, but for those that are over for longer than they are kept.
fn found_holds(mut found: AllFound, steady_ms: u64, config: &JournalConfig) -> Holds {
    let holds = Holds::new(config.reservations_finished_max);
    let before_ms = before(steady_ms, config.reservations_retention);
    found.forget(before_ms, config.reservations_finished_max);
    found.into_sorted().into_iter().for_each(|found| holds.restore(found));
    holds
}

/// The orders.
fn found_orders(mut found: orders::AllFound, steady_ms: u64, config: &JournalConfig) -> Orders {
    let orders = Orders::new(config.orders_finished_max);
    found.forget(before(steady_ms, config.orders_retention), config.orders_finished_max);
    found.into_sorted().into_iter().for_each(|found| orders.restore(found));
    orders
}

fn before(steady_ms: u64, kept: Duration) -> u64 {
    steady_ms.saturating_sub(u64::try_from(kept.as_millis()).unwrap_or(u64::MAX))
}

impl Shared {
    fn snapshot_parts(&self, disk: &Arc<dyn Disk>) -> Parts {
        Parts {
            disk: Arc::clone(disk),
            log: Arc::clone(&self.log),
            control: Some(Arc::clone(&self.control)),
            heads: Arc::clone(&self.heads),
            keys: Arc::clone(&self.keys),
            holds: Arc::clone(&self.holds),
            orders: Arc::clone(&self.orders),
            lanes: Some(Arc::clone(&self.lanes)),
            watermark: Arc::clone(&self.watermark),
        }
    }

    /// Nobody writes any more: notes where the log ends. If that fails, the next start takes it as after a crash.
    fn seal(&self) {
        if self.watermark.failed().is_none()
            && let Err(error) = self.control.close(self.watermark.end())
        {
            tracing::warn!(%error, "where the log ends could not be noted; the next start finds it by itself");
        }
    }

    fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Why no slots are given out any more. A journal that fails closes the lanes a moment before it says why.
    async fn why_none(&self) -> Failed {
        while self.watermark.failed().is_none() && !self.is_closed() {
            tokio::task::yield_now().await;
        }
        self.watermark.failure()
    }

    /// What was handed over waits for room on the disk. Whoever waits for it is told; called again and again meanwhile.
    fn stall(&self) {
        // First: who is told nothing from here on looks there for the reason.
        self.watermark.stall();
        self.heads.stall();
        self.lanes.stall();
        self.stalled.notify_waiters();
    }

    /// There is room: whoever asks from now on waits again.
    fn resume(&self) {
        self.heads.resume();
        self.lanes.resume();
    }

    /// How many records were handed over and are not on disk.
    fn unwritten(&self) -> u64 {
        self.lanes.handed_over().saturating_sub(self.metrics.records.load(Ordering::Relaxed))
    }

    /// The journal has failed: nothing is written from here on, and everybody who waits is told.
    fn fail(&self, reason: &str) {
        // First: who knows that it has failed is given no slot any more, and so nothing of theirs is in doubt.
        self.lanes.close();
        self.watermark.fail(reason);
        self.heads.give_up();
        self.lanes.give_up();
        self.has_failed.notify_waiters();
    }
}
