//! [`Health`]: whether the database can be reached, as was seen last.

use parking_lot::Mutex;

use crate::store::{NotDone, Why};

/// Whether the database can be reached; and if it cannot, why.
#[derive(Debug, Default)]
pub(super) struct Health(Mutex<Option<String>>);

impl Health {
    /// Something has just worked.
    pub(super) fn works(&self) {
        let before = self.0.lock().take();
        if let Some(why) = before {
            tracing::info!(why, "the database can be reached again");
        }
    }

    /// Something could not be done. Only that the database is away is remembered.
    pub(super) fn failed(&self, not_done: &NotDone) {
        let Why::Away(why) = &not_done.why else { return };
        let before = self.0.lock().replace(why.clone());
        if before.is_none() {
            tracing::warn!(why, "the database cannot be reached; it is tried again");
        }
    }

    /// Why it cannot be reached, if it cannot.
    pub(super) fn away(&self) -> Option<String> {
        self.0.lock().clone()
    }
}
