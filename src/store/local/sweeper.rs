//! The sweeper: expires reservations that nobody asks about, so that the ledger says when they ended.
//!
//! It only tidies up: what it has not come round to, whoever touches the level expires first
//! ([`Local::is_due`]). So it may be late, and stops when the service does.

use std::sync::Arc;
use std::time::Duration;

use super::Local;

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
        match self.expire_all_due().await {
            Ok(()) => Duration::ZERO,
            Err(not_done) => {
                tracing::debug!(%not_done, "reservations that are due are left to who touches their levels");
                AFTER_FAILURE
            }
        }
    }
}
