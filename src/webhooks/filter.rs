//! [`Filter`]: which events a webhook is for.

use serde::{Deserialize, Serialize};

use crate::alerts::Event;
use crate::store::{Movement, MovementFilter};

/// Which events a webhook is for: all, unless something is named.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Filter {
    /// Only these.
    pub events: Option<Vec<Event>>,
    /// Only those of this sku.
    pub sku: Option<String>,
    /// Only those at this location.
    pub location: Option<String>,
}

impl Filter {
    /// The movements from which all its events follow: those of its levels.
    pub(super) fn sources(&self) -> MovementFilter {
        let Self { sku, location, .. } = self;
        MovementFilter { sku: sku.clone(), location: location.clone(), ..MovementFilter::default() }
    }

    /// Whether an event that follows from one of these movements is one of its own.
    pub(super) fn has(&self, event: Event) -> bool {
        self.events.as_deref().is_none_or(|events| events.contains(&event))
    }

    /// Whether a movement is.
    pub(super) fn has_movement(&self, movement: &Movement) -> bool {
        self.has(Event::Movement(movement.kind))
    }
}
