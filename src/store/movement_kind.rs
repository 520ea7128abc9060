//! [`MovementKind`]: what a movement was, in the words in which it is told.

use crate::stock::Operation;

/// What a movement was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MovementKind {
    /// The level came into being.
    Created,
    /// A physical count.
    Counted,
    /// Units were added or taken.
    Adjusted,
    /// Units were moved to or from another location.
    Transferred,
    /// The level was brought in from a file.
    Imported,
    /// Units were held.
    Reserved,
    /// Held units were let go.
    Released,
    /// Held units left the house, all or some of them.
    Shipped,
    /// Held units were let go, as their deadline had come.
    Expired,
    /// An order took them.
    Fulfilled,
    /// An order gave them back.
    Returned,
    /// The level was removed; its units went with it.
    Deleted,
}

impl MovementKind {
    /// Every one there is.
    pub const ALL: [Self; 12] = [
        Self::Created,
        Self::Counted,
        Self::Adjusted,
        Self::Transferred,
        Self::Imported,
        Self::Reserved,
        Self::Released,
        Self::Shipped,
        Self::Expired,
        Self::Fulfilled,
        Self::Returned,
        Self::Deleted,
    ];

    /// The one of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// By what happened to the level.
    pub fn of(operation: Operation) -> Self {
        match operation {
            Operation::Create { .. } => Self::Created,
            Operation::Count { .. } | Operation::Recount { .. } => Self::Counted,
            Operation::Adjust { .. } => Self::Adjusted,
            Operation::Reserve { .. } => Self::Reserved,
            Operation::Release { .. } => Self::Released,
            Operation::Ship { .. } | Operation::Settle { .. } => Self::Shipped,
            Operation::Delete => Self::Deleted,
        }
    }

    /// Its name, as the ledger shows it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Counted => "counted",
            Self::Adjusted => "adjusted",
            Self::Transferred => "transferred",
            Self::Imported => "imported",
            Self::Reserved => "reserved",
            Self::Released => "released",
            Self::Shipped => "shipped",
            Self::Expired => "expired",
            Self::Fulfilled => "fulfilled",
            Self::Returned => "returned",
            Self::Deleted => "deleted",
        }
    }
}
