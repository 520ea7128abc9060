//! [`Filter`]: which events a webhook is for.

use serde::{Deserialize, Serialize};

use crate::alerts::Side;
use crate::store::{Movement, MovementFilter, MovementKind};

/// An event that a webhook may be for, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Event {
    /// A movement of that kind.
    Movement(MovementKind),
    /// What is available of a level has crossed its mark, to that side.
    Alert(Side),
}

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

impl Event {
    /// The event of that name: the kind of a movement, or an alert.
    pub fn named(name: &str) -> Result<Self, String> {
        let alert = Side::ALL.into_iter().find(|side| side.event() == name).map(Self::Alert);
        alert.or_else(|| MovementKind::named(name).map(Self::Movement)).ok_or_else(|| {
            let known =
                MovementKind::ALL.map(MovementKind::name).into_iter().chain(Side::ALL.map(Side::event));
            format!("must be one of {}", known.collect::<Vec<_>>().join(", "))
        })
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Movement(kind) => kind.name(),
            Self::Alert(side) => side.event(),
        }
    }
}

impl TryFrom<String> for Event {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        Self::named(&name)
    }
}

impl From<Event> for String {
    fn from(event: Event) -> Self {
        event.name().to_owned()
    }
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
