//! What all clients know of: the reservations and orders that there are, so that they get in each other's way.

use std::sync::atomic::{AtomicU64, Ordering};

use history::shop::{Answer, Ask, Line, Name, Told};
use parking_lot::Mutex;
use rand::{Rng, RngExt};

/// Of so many of the newest one is drawn: they are those that somebody else is at, too.
const NEWEST: usize = 48;

/// A name, and what it is of.
pub type Known = (Name, Vec<Line>);

/// All reservations and orders of a run.
#[derive(Debug, Default)]
pub struct Board {
    holds: Mutex<Vec<Known>>,
    orders: Mutex<Vec<Known>>,
    /// The number of the last question.
    asked: AtomicU64,
    /// When the last reservation that was made or extended is over, in nanoseconds.
    last_deadline_ns: AtomicU64,
}

impl Board {
    /// A number for the next question.
    pub fn next_number(&self) -> u64 {
        self.asked.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Pins up what an answer brought.
    pub fn pin(&self, told: &Told) {
        match (&told.ask, &told.answer) {
            (Ask::Reserve { lines, ttl_ns }, Answer::Hold(seen)) => {
                self.holds.lock().push((seen.id, lines.clone()));
                self.last_deadline_ns.fetch_max(told.answered_ns + ttl_ns, Ordering::Relaxed);
            }
            (Ask::Extend { ttl_ns, .. }, Answer::Hold(_)) => {
                self.last_deadline_ns.fetch_max(told.answered_ns + ttl_ns, Ordering::Relaxed);
            }
            (Ask::Order { lines, .. }, Answer::Order(seen)) => {
                self.orders.lock().push((seen.id, lines.clone()));
            }
            _ => {}
        }
    }

    /// One of the newest reservations.
    pub fn some_hold(&self, rng: &mut impl Rng) -> Option<Known> {
        some(&self.holds.lock(), rng)
    }

    /// One of the newest orders.
    pub fn some_order(&self, rng: &mut impl Rng) -> Option<Known> {
        some(&self.orders.lock(), rng)
    }

    /// All reservations.
    pub fn holds(&self) -> Vec<Name> {
        self.holds.lock().iter().map(|(name, _)| *name).collect()
    }

    /// All orders.
    pub fn orders(&self) -> Vec<Name> {
        self.orders.lock().iter().map(|(name, _)| *name).collect()
    }

    /// When no reservation holds any more.
    pub fn last_deadline_ns(&self) -> u64 {
        self.last_deadline_ns.load(Ordering::Relaxed)
    }
}

fn some(known: &[Known], rng: &mut impl Rng) -> Option<Known> {
    let newest = &known[known.len().saturating_sub(NEWEST)..];
    (!newest.is_empty()).then(|| newest[rng.random_range(0..newest.len())].clone())
}
