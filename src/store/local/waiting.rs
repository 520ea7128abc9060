//! Who waits for a level to become something: it sleeps until the level has, or its patience is over.
//!
//! Looks, enters ([`Waiters`](crate::journal::waiters::Waiters)), looks again, sleeps, and whenever it is woken the same again from the second look on. What it is
//! woken by is only told to be worth a look: what is answered was read after that, and is witnessed like every read (P7).
//!
//! **A deadline wakes, too** (P9). Units of a reservation that is over are free at that instant, though nobody has changed the level yet. So one of those who wait
//! for a level sleeps no longer than until its next deadline, and expires what is due; that is a change, which tells whoever it concerns.
//!
//! Whoever goes away, or is late, gives its place back (P11). It never changes a level but for that.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::Local;
use crate::journal::lanes::Lanes;
use crate::journal::waiters::Ticket;
use crate::stock::{Level, StockKey, Until};
use crate::store::{NotDone, Why};

/// A place among those who wait, given back when it is dropped.
struct Place<'l> {
    lanes: &'l Arc<Lanes>,
    ticket: Ticket,
}

impl Local {
    /// The level once it is that, witnessed; after that time as it is then.
    pub(super) async fn level_when(
        &self,
        key: &StockKey,
        until: &Until,
        patience: Duration,
    ) -> Result<Level, NotDone> {
        let late = Instant::now() + patience;
        let level = self.read_level(key).await?;
        if until.is_met(level) || patience.is_zero() {
            return Ok(level);
        }
        match tokio::time::timeout_at(late, self.level_when_met(key, until)).await {
            Ok(level) => level,
            Err(_) => self.read_level(key).await,
        }
    }

    async fn level_when_met(&self, key: &StockKey, until: &Until) -> Result<Level, NotDone> {
        let place = Place::take(&self.0.books.shared().lanes, key, until, self.0.waiters_max);
        let place = place.ok_or_else(|| NotDone::no(Why::WaitersFull))?;
        loop {
            let level = self.read_level(key).await?;
            if until.is_met(level) {
                return Ok(level);
            }
            self.until_woken(key, &place).await?;
            // Before the next look: what is made from here on is not missed.
            place.lanes.waiters().listen(&place.ticket);
        }
    }

    /// Sleeps until the level was made what is waited for. Meanwhile it may be the one that keeps the time of the level.
    async fn until_woken(&self, key: &StockKey, place: &Place<'_>) -> Result<(), NotDone> {
        let waiters = place.lanes.waiters();
        loop {
            let next_ms = if waiters.keeps_time(&place.ticket) { self.holds().next_of(key) } else { None };
            tokio::select! {
                woken = waiters.told(&place.ticket) => if woken {
                    return Ok(());
                },
                () = self.until_ms(next_ms) => self.expire_due_of(key).await?,
            }
        }
    }

    /// Completes at that time of the clock by which deadlines are kept; never, if there is none.
    async fn until_ms(&self, time_ms: Option<u64>) {
        match time_ms {
            Some(time_ms) => {
                tokio::time::sleep(Duration::from_millis(time_ms.saturating_sub(self.now_ms()))).await;
            }
            None => std::future::pending().await,
        }
    }
}

impl<'l> Place<'l> {
    fn take(lanes: &'l Arc<Lanes>, key: &StockKey, until: &Until, at_most: usize) -> Option<Self> {
        lanes.enter(key, until, at_most).map(|ticket| Self { lanes, ticket })
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.lanes.leave(&self.ticket);
    }
}
