//! [`Room`]: what the writer knows of the room on the disk, and who is told.
//!
//! A disk that fills up is met in two steps. First there is no room for the *next* segment while the one in use still has some: from
//! then on no change is let in ([`Lanes::set_full`](super::lanes::Lanes::set_full)), and what is left is for those that were. They
//! are written and acknowledged as ever. Only where they are more than that, the log *stalls*: it can write nothing until there is
//! room, and who waits for it is told so at once, as nobody knows for how long.
//!
//! Nothing is ever lost by it but what the process takes along when it ends meanwhile, of which nothing was acknowledged or shown.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::Shared;

/// While the disk is full, how often the writer looks up by itself: nobody hands anything over then that would wake it.
pub const LOOK_EVERY: Duration = Duration::from_millis(100);

/// What is known.
#[derive(Debug, Default)]
pub struct Room {
    full: bool,
    stalled: bool,
}

impl Room {
    /// Whether no change is let in.
    pub fn is_full(&self) -> bool {
        self.full
    }

    /// The log goes on. `tight`: what is left is for what was let in, and this is how long until it is looked for room again.
    pub fn goes_on(&mut self, shared: &Shared, tight: Option<Duration>) {
        if std::mem::take(&mut self.stalled) {
            shared.resume();
        }
        if tight.is_some() || self.full {
            self.set(shared, tight);
        }
    }

    /// The log can write nothing before there is room, for which it is looked again in `pause`. Returns whether to wait on.
    pub fn stalls(&mut self, shared: &Shared, pause: Duration) -> bool {
        self.set(shared, Some(pause));
        if !std::mem::replace(&mut self.stalled, true) {
            let records = shared.unwritten();
            tracing::error!(
                records,
                "changes that were made wait for room on the disk; none of them was acknowledged"
            );
        }
        shared.stall();
        !shared.is_closed()
    }

    fn set(&mut self, shared: &Shared, pause: Option<Duration>) {
        let pause_ms = pause.map_or(0, |pause| u64::try_from(pause.as_millis()).unwrap_or(u64::MAX));
        shared.pause_ms.store(pause_ms, Ordering::Relaxed);
        let full = pause.is_some();
        if std::mem::replace(&mut self.full, full) == full {
            return;
        }
        shared.lanes.set_full(full);
        shared.metrics.full.store(u64::from(full), Ordering::Relaxed);
        if full {
            tracing::error!(
                "no change is let in until there is room for the next segment of the log: the disk is full, or no file can be opened"
            );
        } else {
            tracing::info!("there is room for the next segment of the log again");
        }
    }
}
