//! [`Refusal`]: why a change was not made, with what was asked and what was there.

use super::level::Level;
use super::operation::Precondition;

/// A change that the state of its level forbids.
///
/// `found` is the level as it was judged: its version is the witness that lets anyone check the refusal
/// against the history of the level (promise P3, and P6 for refusals).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    /// Why.
    pub reason: Reason,
    /// The level that was judged.
    pub found: Level,
}

/// Why a change was refused, in the order in which the reasons are looked for: the first that holds is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// The level is not in the state the request demanded.
    PreconditionFailed(Precondition),
    /// There is no such level.
    NotFound,
    /// There is such a level, and the request did not say that it may be overwritten.
    AlreadyExists,
    /// A count of `requested` units is below the units reserved.
    BelowReserved {
        /// The count.
        requested: u64,
    },
    /// A delete while units are reserved.
    StockReserved,
    /// A release or shipment of more units than are reserved.
    NotReserved {
        /// The units asked for.
        requested: u64,
    },
    /// Fewer units are available than the request takes.
    Insufficient {
        /// The units asked for, all lines of the level together.
        requested: u64,
    },
    /// The result would be past [`super::QUANTITY_MAX`].
    QuantityOverflow {
        /// The units to add, all lines of the level together.
        requested: u64,
    },
    /// The level has used up its versions ([`super::VERSION_MAX`]).
    VersionsExhausted,
}

impl Reason {
    /// The place of the reason in the order in which reasons are told, where a request is refused for several: precondition
    /// before existence before state before stock. Each has a place of its own, from 0 to [`Reason::COUNT`] - 1.
    pub fn precedence(self) -> usize {
        match self {
            Self::PreconditionFailed(_) => 0,
            Self::NotFound => 1,
            Self::AlreadyExists => 2,
            Self::BelowReserved { .. } => 3,
            Self::StockReserved => 4,
            Self::NotReserved { .. } => 5,
            Self::Insufficient { .. } => 6,
            Self::QuantityOverflow { .. } => 7,
            Self::VersionsExhausted => 8,
        }
    }

    /// How many reasons there are.
    pub const COUNT: usize = 9;
}
