//! The sweeper: expires reservations that nobody asks about, so that the ledger says when they ended.
//!
//! It only tidies up: what it has not come round to, whoever touches the level expires first
//! ([`Local::is_due`]). So it may be late, and stops when the service does.
//!
//! **It stands in nobody's way.** Whoever waits for the journal waits for what was handed over before, too: a million records at once
//! would keep every request waiting. So it hands over so few that a group which has them takes hardly longer than one that has not
//! ([`AT_ONCE`]), and no more until they are on disk; and lets others run more often than that ([`IN_A_ROW`]).

use std::sync::Arc;
use std::time::Duration;

use super::Local;
use crate::store::{NotDone, WasApplied};

/// How many it expires before it waits until they are on disk: a millisecond of one core, and some 30 KiB of log.
const AT_ONCE: usize = 4 * IN_A_ROW;

/// How many it expires before others have their turn on its thread: a fraction of a millisecond.
const IN_A_ROW: usize = 64;

/// Until it tries again where the journal takes nothing, or the levels are contended.
const AFTER_FAILURE: Duration = Duration::from_secs(1);

/// The longest it sleeps: deadlines are kept by a clock that a sleep is not measured by.
const SLEEP_MAX: Duration = Duration::from_mins(1);

impl Local {
    /// Starts it; it ends once the store stops, or is gone.
    pub(super) fn start_sweeping(&self) {
        let (parts, stop) = (Arc::downgrade(&self.0), Arc::clone(self.0.rights.stopped()));
        // While it sleeps it does not keep the store from going.
        let (holds, clock) = (Arc::clone(self.holds()), self.0.books.shared().clock.clone());
        tokio::spawn(async move {
            loop {
                let (stopped, earlier) = (stop.notified(), holds.earlier());
                tokio::pin!(stopped, earlier);
                // Before it is looked at what they tell of: what happens from here on is not missed.
                stopped.as_mut().enable();
                earlier.as_mut().enable();
                let Some(local) = parts.upgrade().map(Local) else { return };
                if local.0.rights.is_stopping() || local.0.books.is_alive().is_err() {
                    return;
                }
                let mut pause = holds.earliest_ms().map_or(SLEEP_MAX, |earliest_ms| {
                    Duration::from_millis(earliest_ms.saturating_sub(clock.now_ms()))
                });
                if pause.is_zero() {
                    pause = local.sweep().await;
                }
                drop(local);
                tokio::select! {
                    () = stopped => return,
                    () = earlier => {}
                    () = tokio::time::sleep(pause.min(SLEEP_MAX)) => {}
                }
            }
        });
    }

    /// Expires what is due; until it is to be tried again.
    async fn sweep(&self) -> Duration {
        match self.expire_in_turn().await {
            Ok(()) => Duration::ZERO,
            Err(not_done) => {
                tracing::debug!(%not_done, "reservations that are due are left to who touches their levels");
                AFTER_FAILURE
            }
        }
    }

    /// Expires all that is due, a few at a time, and lets others have their turn in between.
    async fn expire_in_turn(&self) -> Result<(), NotDone> {
        let mut handed_over = 0;
        while self.expire_some_due(IN_A_ROW).await? {
            handed_over += IN_A_ROW;
            if handed_over >= AT_ONCE {
                self.0.books.witness_all(WasApplied::No).await?;
                handed_over = 0;
            }
            tokio::task::yield_now().await;
        }
        Ok(())
    }
}
