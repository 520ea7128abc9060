//! [`Connections`]: how many there are, and what became of those who wanted one.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use crate::telemetry::Exposition;

/// What is counted of connections. Raised once for each, and not for each request, but for those over HTTP/2.
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
    /// Whose proxy did not say who they are.
    not_introduced: AtomicU64,
    /// That speak HTTP/2.
    http2: AtomicU64,
    http2_requests: AtomicU64,
    /// Requests over HTTP/2 that are not over.
    http2_open: AtomicUsize,
    /// Requests over HTTP/2 beyond those that there may be at once.
    http2_refused: AtomicU64,
    /// Answers over HTTP/2 that their clients did not take in time.
    http2_reset: AtomicU64,
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

    pub(super) fn not_introduced(&self) {
        self.not_introduced.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn speaks_http2(&self) {
        self.http2.fetch_add(1, Ordering::Relaxed);
    }

    /// A request over HTTP/2 came in; says whether there are not more than `max` now. It is over in any case when it is.
    pub(super) fn http2_begins(&self, max: usize) -> bool {
        self.http2_requests.fetch_add(1, Ordering::Relaxed);
        let is_well = self.http2_open.fetch_add(1, Ordering::Relaxed) < max;
        if !is_well {
            self.http2_refused.fetch_add(1, Ordering::Relaxed);
        }
        is_well
    }

    pub(super) fn http2_is_over(&self) {
        self.http2_open.fetch_sub(1, Ordering::Relaxed);
    }

    pub(super) fn http2_reset(&self) {
        self.http2_reset.fetch_add(1, Ordering::Relaxed);
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
        text.gauge(
            "inventory_http2_requests_in_flight",
            "Requests over HTTP/2 that have come in and are not yet over.",
        );
        text.sample(
            "inventory_http2_requests_in_flight",
            &[],
            self.http2_open.load(Ordering::Relaxed) as u64,
        );
        let of_http2 = [
            ("inventory_http2_connections_total", "Connections that spoke HTTP/2.", &self.http2),
            ("inventory_http2_requests_total", "Requests over HTTP/2.", &self.http2_requests),
            (
                "inventory_http2_requests_refused_total",
                "Requests over HTTP/2 beyond those that there may be at once, of all connections.",
                &self.http2_refused,
            ),
            (
                "inventory_http2_streams_reset_total",
                "Answers over HTTP/2 that were given up, as their client took nothing of them for --write-timeout.",
                &self.http2_reset,
            ),
        ];
        for (name, help, count) in of_http2 {
            text.counter(name, help);
            text.sample(name, &[], count.load(Ordering::Relaxed));
        }
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
            (
                "inventory_connections_not_introduced_total",
                "Connections that ended as no header of the PROXY protocol, version 2, had come, or none that was well.",
                self.not_introduced.load(Ordering::Relaxed),
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
