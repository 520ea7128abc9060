//! The event stream: every movement, as it becomes durable, to everybody who watches.
//!
//! What is the same for all is done once: one task, the [`tail`], follows the end of the ledger while anybody watches, writes each
//! event as it goes over the wire, and keeps the last megabytes in a [`ring`]. A [`reader`] is a place in the ledger and nothing else: it takes
//! what the ring has after it, shared and not copied, and reads the ledger by itself where it is further back. So a writer never
//! knows of a reader, and a slow one costs what it has not yet taken: one piece.
//!
//! **Exactly once, in order.** A piece begins right after the place where the last one ended, and the `id` of each event is its place: who
//! comes back with one goes on right after it, over restarts too, since only what is on disk is ever shown.
//!
//! - [`event`]: how an event is written. [`wants`]: which of them a reader asked for. [`schema`]: what they look like.
//! - [`tail`], [`ring`], [`reader`].
//!
//! It never reads a level, and never answers a request but that for the stream.

mod event;
mod reader;
mod ring;
pub mod schema;
mod tail;
mod wants;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Semaphore, mpsc, watch};

use self::event::Place as At;
use self::reader::Reader;
use self::ring::{Found, Ring};
use super::Readiness;
use super::pieces::Pieces;
use super::problem::{Problem, ProblemKind};
use crate::alerts::Alerts;
use crate::store::{AnyStore, MovementCursor, Store as _};
use crate::telemetry::Exposition;

pub use wants::Wants;

/// Pieces made ahead of a reader: what it has not taken of them is all that a slow one holds.
const PIECES_AHEAD: usize = 1;

/// Readers that read the ledger at the same time, being further back than the ring: the others wait. Reading it costs processor time
/// that writers could use.
const CATCHING_UP_MAX: usize = 2;

/// The bounds of the stream.
#[derive(Debug, Clone)]
pub struct FeedConfig {
    /// How many may watch at once.
    pub readers_max: usize,
    /// How long a reader hears nothing, before it is told that the connection still stands.
    pub heartbeat: Duration,
}

impl Default for FeedConfig {
    fn default() -> Self {
        Self { readers_max: 10_000, heartbeat: Duration::from_secs(15) }
    }
}

/// Who watches, and what they all take from.
#[derive(Debug)]
pub struct Feed {
    config: FeedConfig,
    followed: Mutex<Followed>,
    /// Raised with every piece, and when the tail ends.
    grown: watch::Sender<u64>,
    catching_up: Semaphore,
    /// Readers that are further back than the ring.
    behind: AtomicUsize,
    /// Readers whose connection ended before they had taken what they were sent.
    dropped: AtomicU64,
}

#[derive(Debug, Default)]
struct Followed {
    readers: usize,
    /// Whether a task follows the end of the ledger. It ends some time after the last reader has gone.
    is_tailed: bool,
    /// The tail could not go on: readers end, too, and come back to be told why.
    is_broken: bool,
    ring: Ring,
}

/// The place of one reader among those there may be. Dropped, it is free again.
#[derive(Debug)]
struct Place(&'static Feed);

/// One reader is further back than the ring, until this is dropped.
#[derive(Debug)]
struct Behind(&'static Feed);

impl Feed {
    /// Nobody watches yet.
    pub fn new(config: FeedConfig) -> Self {
        Self {
            config,
            followed: Mutex::default(),
            grown: watch::Sender::new(0),
            catching_up: Semaphore::new(CATCHING_UP_MAX),
            behind: AtomicUsize::new(0),
            dropped: AtomicU64::new(0),
        }
    }

    /// One more watches what comes after a place, which must be one of the ledger. The body ends when the service stops, or the client takes
    /// nothing of it.
    pub fn watch(
        &'static self,
        store: &'static AnyStore,
        alerts: &'static Alerts,
        readiness: &'static Readiness,
        after: MovementCursor,
        wants: Wants,
    ) -> Result<Pieces, Problem> {
        let reader = Reader::new(self.place(store, alerts)?, (store, alerts), wants, after);
        let (pieces, taken) = mpsc::channel(PIECES_AHEAD);
        tokio::spawn(reader.run(pieces, readiness));
        Ok(Pieces(taken))
    }

    /// A place among the readers; and from here on somebody follows the ledger.
    fn place(&'static self, store: &'static AnyStore, alerts: &'static Alerts) -> Result<Place, Problem> {
        let mut followed = self.followed.lock();
        if followed.readers >= self.config.readers_max {
            let many = followed.readers;
            let detail = format!("{many} watch the events, and that is as many as may; nothing was changed");
            return Err(Problem::new(ProblemKind::Overloaded, detail));
        }
        followed.readers += 1;
        if !followed.is_tailed {
            let end = store.feed_end();
            followed.is_tailed = true;
            followed.is_broken = false;
            followed.ring = Ring::after(end.seq().unwrap_or_default());
            tokio::spawn(tail::follow(self, store, alerts, end));
        }
        Ok(Place(self))
    }

    /// How many watch; `None` if nobody does, and then nobody follows the ledger from here on.
    fn readers(&self) -> Option<usize> {
        let mut followed = self.followed.lock();
        if followed.readers == 0 {
            followed.is_tailed = false;
            followed.ring = Ring::default();
            return None;
        }
        Some(followed.readers)
    }

    fn push(&self, batch: ring::Batch) {
        self.followed.lock().ring.push(Arc::new(batch));
        self.grown.send_modify(|pieces| *pieces += 1);
    }

    /// The tail cannot go on.
    fn breaks(&self) {
        let mut followed = self.followed.lock();
        followed.is_tailed = false;
        followed.is_broken = true;
        followed.ring = Ring::default();
        drop(followed);
        self.grown.send_modify(|pieces| *pieces += 1);
    }

    /// What the ring has after a place; `None` if the tail broke.
    fn find(&self, after: At) -> Option<Found> {
        let followed = self.followed.lock();
        (!followed.is_broken).then(|| followed.ring.find(after))
    }

    /// Appends what is counted of it.
    pub fn expose(&self, text: &mut Exposition) {
        text.gauge("inventory_event_readers", "Clients that watch the event stream.");
        text.sample("inventory_event_readers", &[], self.followed.lock().readers);
        text.gauge(
            "inventory_event_readers_behind",
            "Clients of the event stream that are further back than what is kept in memory, and are told from the log.",
        );
        text.sample("inventory_event_readers_behind", &[], self.behind.load(Ordering::Relaxed));
        text.counter(
            "inventory_event_readers_dropped_total",
            "Clients of the event stream whose connection ended, by --write-timeout or otherwise, before they took what was being sent.",
        );
        text.sample("inventory_event_readers_dropped_total", &[], self.dropped.load(Ordering::Relaxed));
    }
}

impl Behind {
    fn new(feed: &'static Feed) -> Self {
        feed.behind.fetch_add(1, Ordering::Relaxed);
        Self(feed)
    }
}

impl Drop for Behind {
    fn drop(&mut self) {
        self.0.behind.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.followed.lock().readers -= 1;
    }
}
