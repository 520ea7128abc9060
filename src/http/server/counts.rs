//! [`Connections`]: how many there are, and what became of those who wanted one.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::telemetry::Exposition;

/// What is counted of connections. Raised once for each, and not for each request.
#[derive(Debug, Default)]
pub struct Connections {
    accepted: AtomicU64,
    closed: AtomicU64,
    /// Of an address that had as many as it may.
    refused: AtomicU64,
    /// That idled while others waited for a place.
    made_room: AtomicU64,
    /// That agreed on no TLS.
    not_secured: AtomicU64,
    /// Of an answer that its client did not take in time.
    broken_off: AtomicU64,
}

/// One connection. Dropped, it is counted as closed.
#[derive(Debug)]
pub(super) struct Open(&'static Connections);

impl Connections {
    pub(super) fn open(&'static self) -> Open {
        self.accepted.fetch_add(1, Ordering::Relaxed);
        Open(self)
    }

    pub(super) fn refused(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn made_room(&self) {
        self.made_room.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn not_secured(&self) {
        self.not_secured.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn broken_off(&self) {
        self.broken_off.fetch_add(1, Ordering::Relaxed);
    }

    /// Appends what is counted of them.
    pub fn expose(&self, text: &mut Exposition) {
        // Closed first: what is counted as closed was counted as accepted before.
        let closed = self.closed.load(Ordering::Acquire);
        let accepted = self.accepted.load(Ordering::Relaxed);
        text.gauge("inventory_connections", "Connections that are open.");
        text.sample("inventory_connections", &[], accepted.saturating_sub(closed));
        let counters = [
            ("inventory_connections_accepted_total", "Connections taken.", accepted),
            (
                "inventory_connections_refused_total",
                "Connections closed at once, as their address had as many as --max-connections-per-address.",
                self.refused.load(Ordering::Relaxed),
            ),
            (
                "inventory_connections_made_room_total",
                "Connections that idled and were closed, as others waited for one of --max-connections.",
                self.made_room.load(Ordering::Relaxed),
            ),
            (
                "inventory_connections_broken_off_total",
                "Connections that ended in the middle of a request or an answer, by a timeout or by the client.",
                self.broken_off.load(Ordering::Relaxed),
            ),
            (
                "inventory_connections_not_secured_total",
                "Connections that ended before both sides had agreed on TLS.",
                self.not_secured.load(Ordering::Relaxed),
            ),
        ];
        for (name, help, count) in counters {
            text.counter(name, help);
            text.sample(name, &[], count);
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.closed.fetch_add(1, Ordering::Release);
    }
}
