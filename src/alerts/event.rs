//! [`Event`]: what can be told: a movement of some kind, or an alert; each by its name.

use serde::{Deserialize, Serialize};

use super::Side;
use crate::store::MovementKind;

/// An event that may be asked for, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Event {
    /// A movement of that kind.
    Movement(MovementKind),
    /// What is available of a level has crossed its mark, to that side.
    Alert(Side),
}

impl Event {
    /// Every event there is.
    pub fn all() -> impl Iterator<Item = Self> {
        MovementKind::ALL.map(Self::Movement).into_iter().chain(Side::ALL.map(Self::Alert))
    }

    /// The names of all, with commas between them.
    pub fn names() -> String {
        Self::all().map(Self::name).collect::<Vec<_>>().join(", ")
    }

    /// The event of that name: the kind of a movement, or an alert.
    pub fn named(name: &str) -> Result<Self, String> {
        let found = Self::all().find(|event| event.name() == name);
        found.ok_or_else(|| format!("must be one of {}", Self::names()))
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
