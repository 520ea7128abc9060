//! [`Reader`]: one client that watches: a place in the ledger, and what it is sent next.

use std::convert::Infallible;
use std::sync::atomic::Ordering;

use axum::body::Bytes;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::event::{self, Place as At, Told};
use super::ring::Found;
use super::tail::MOVEMENTS_MAX;
use super::{Behind, Place, Wants};
use crate::alerts::Alerts;
use crate::http::Readiness;
use crate::http::pieces::Piece;
use crate::store::ledger::From;
use crate::store::{
    AnyStore, HistoryError, Lineage, MovementCursor, MovementPage, MovementQuery, Store as _,
};

/// One client that watches.
pub(super) struct Reader {
    place: Place,
    store: &'static AnyStore,
    alerts: &'static Alerts,
    wants: Wants,
    /// Everything up to here it was sent, or does not want.
    at: At,
    lineage: Lineage,
    /// What comes next has left the ring.
    behind: Option<Behind>,
    grown: watch::Receiver<u64>,
}

/// The stream is over: the client has gone away or takes nothing, or what comes next cannot be read.
struct Over;

impl Reader {
    pub(super) fn new(
        place: Place,
        (store, alerts): (&'static AnyStore, &'static Alerts),
        wants: Wants,
        after: MovementCursor,
    ) -> Self {
        let (at, lineage) = (At::of(after), after.lineage());
        let grown = place.0.grown.subscribe();
        Self { place, store, alerts, wants, at, lineage, behind: None, grown }
    }

    /// Sends what there is, until it is over or the service stops.
    pub(super) async fn run(mut self, pieces: mpsc::Sender<Piece>, readiness: &'static Readiness) {
        tokio::select! {
            biased;
            () = readiness.lost() => {}
            Err(Over) = self.send_all(&pieces) => {}
        }
    }

    async fn send_all(&mut self, pieces: &mpsc::Sender<Piece>) -> Result<Infallible, Over> {
        // How soon to come back, and from where, should it end before the first event.
        self.send(pieces, format!("retry: 1000\nid: {}\n\n", self.cursor()).into()).await?;
        let heartbeat = self.place.0.config.heartbeat;
        let mut quiet_until = Instant::now() + heartbeat;
        loop {
            let piece = tokio::select! {
                biased;
                () = pieces.closed() => return Err(Over),
                piece = self.next() => piece?,
                () = tokio::time::sleep_until(quiet_until) => self.sign_of_life(),
            };
            if !piece.is_empty() {
                self.send(pieces, piece).await?;
                quiet_until = Instant::now() + heartbeat;
            }
        }
    }

    /// What comes next, and moves past it; it may be nothing that is wanted. Given up at any time, nothing is lost.
    async fn next(&mut self) -> Result<Bytes, Over> {
        // Marked as seen before it is looked for: what comes in between is a change.
        drop(self.grown.borrow_and_update());
        let feed = self.place.0;
        let found = feed.find(self.at).ok_or(Over)?;
        if !matches!(found, Found::Ledger) {
            self.behind = None;
        }
        match found {
            Found::Batch(batch) => {
                let piece = batch.wanted(self.at, &self.wants);
                self.at = batch.end();
                Ok(piece)
            }
            Found::Ledger => {
                self.behind.get_or_insert_with(|| Behind::new(feed));
                self.read().await
            }
            Found::Nothing => {
                self.grown.changed().await.map_err(|_| Over)?;
                Ok(Bytes::new())
            }
        }
    }

    /// What comes next in the ledger.
    async fn read(&mut self) -> Result<Bytes, Over> {
        let _turn = self.place.0.catching_up.acquire().await.map_err(|_| Over)?;
        // Whatever is before this is looked at, wanted or not.
        let end = self.store.feed_end();
        let from = MovementCursor::after(self.at.found_after(), self.lineage);
        let (from, filter) = (From::Cursor(from), self.wants.sources());
        let query = MovementQuery::After { from, filter, limit: MOVEMENTS_MAX };
        let over = |error: HistoryError| {
            tracing::debug!(%error, "an event reader cannot go on");
            Over
        };
        let page = self.store.movements(query).await.map_err(over)?;
        // After the page was read: see there.
        let rules = self.alerts.rules(self.store).await.map_err(|error| over(error.into()))?;
        let MovementPage { movements, next, lineage, .. } = page;
        let mut piece = Vec::with_capacity(movements.len() * event::BYTES);
        let last = movements.last().map(|movement| movement.seq);
        for movement in movements {
            Told::new(movement, &rules).write(&mut piece, self.at, &self.wants, lineage);
        }
        let looked_at = next.map_or(end, |next| next).seq().max(last).unwrap_or_default();
        self.at = self.at.max(At::after(looked_at));
        Ok(piece.into())
    }

    /// Sends a piece once the one before is taken. Who takes none loses its connection, which bounds how long a write may wait.
    async fn send(&self, pieces: &mpsc::Sender<Piece>, piece: Bytes) -> Result<(), Over> {
        let has_to_wait = pieces.capacity() == 0;
        let sent = pieces.send(Ok(piece)).await;
        if sent.is_err() && has_to_wait {
            self.place.0.dropped.fetch_add(1, Ordering::Relaxed);
        }
        sent.map_err(|_| Over)
    }

    /// A comment, so that nobody in between takes the connection for dead; and where the reader is, if it wants but few events and may
    /// have passed many.
    fn sign_of_life(&self) -> Bytes {
        if self.wants.is_all() {
            return Bytes::from_static(b":\n\n");
        }
        format!(":\nid: {}\n\n", self.cursor()).into()
    }

    fn cursor(&self) -> MovementCursor {
        self.at.cursor(self.lineage)
    }
}
