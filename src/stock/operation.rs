//! [`Operation`], [`Precondition`] and the one function that judges them: [`Change::judge`].

use super::level::{Level, VERSION_MAX};
use super::quantity::Quantity;
use super::refusal::{Reason, Refusal};

/// What is to happen to one level.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// Bring the level into being with this many units.
    Create {
        /// The units on hand at first.
        on_hand: Quantity,
    },
    /// Record a physical count: the level has this many units, whatever the books said.
    Count {
        /// The units counted.
        on_hand: Quantity,
        /// What to do where there is no level.
        if_missing: IfMissing,
    },
    /// Record a count, of a level that may not be there, unless it is what the books say: then nothing changes. A line of an import.
    Recount {
        /// The units counted.
        on_hand: Quantity,
    },
    /// Add `delta` units (take them, where negative). The sum of the lines of one level, so it may be past any
    /// single quantity.
    Adjust {
        /// The units, signed.
        delta: i64,
        /// What to do where there is no level.
        if_missing: IfMissing,
    },
    /// Hold units for somebody.
    Reserve {
        /// The units, taken from `available`.
        quantity: Quantity,
    },
    /// Let held units go.
    Release {
        /// The units, given back to `available`.
        quantity: Quantity,
    },
    /// Take held units out of the house.
    Ship {
        /// The units, taken from both `reserved` and `on_hand`.
        quantity: Quantity,
    },
    /// Take some held units out of the house, and let others go: a reservation of which a part is shipped.
    Settle {
        /// The units to take, from both `reserved` and `on_hand`.
        ship: Quantity,
        /// The units to let go, given back to `available`.
        release: Quantity,
    },
    /// Remove the level; a tombstone keeps its version.
    Delete,
}

/// What an adjustment or a count does where there is no level.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IfMissing {
    /// Refuse it.
    Refuse,
    /// Start from an empty level (the destination of a transfer).
    Create,
}

/// What a request demands of the level before anything else is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precondition {
    /// Nothing.
    Any,
    /// That it does not exist (`If-None-Match: *`).
    Absent,
    /// That it exists (`If-Match: *`).
    Exists,
    /// That it exists at this version (`If-Match: "v"`).
    Version(u64),
    /// That it has no units on hand: what a delete demands that names no version. A level that is not there has none.
    Empty,
}

/// An operation with its precondition. They are judged together, so no caller can check first and act later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// What is to happen.
    pub operation: Operation,
    /// What must hold first.
    pub precondition: Precondition,
}

/// A change that was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Applied {
    /// The level before.
    pub before: Level,
    /// The level after: its version is exactly one higher, unless nothing [changed](Applied::is_change).
    pub after: Level,
}

impl Applied {
    /// Whether anything changed. A [recount](Operation::Recount) of what is there changes nothing: no movement tells of it.
    #[inline]
    pub fn is_change(&self) -> bool {
        self.before.version() != self.after.version()
    }
}

impl Precondition {
    /// Whether the level is as demanded.
    pub fn holds(self, level: Level) -> bool {
        match self {
            Self::Any => true,
            Self::Absent => !level.exists(),
            Self::Exists => level.exists(),
            Self::Version(version) => level.exists() && level.version() == version,
            Self::Empty => level.on_hand() == 0,
        }
    }
}

impl Change {
    /// A change with no precondition.
    pub fn unconditional(operation: Operation) -> Self {
        Self { operation, precondition: Precondition::Any }
    }

    /// Brings a level into being (no precondition, or [`Precondition::Absent`]), or records a count of one that is there (any
    /// other). The two are told apart by what is demanded, never by a look at the level, which might have changed by the time of
    /// the act.
    pub fn put(on_hand: Quantity, precondition: Precondition) -> Self {
        let operation = match precondition {
            Precondition::Any | Precondition::Absent => Operation::Create { on_hand },
            _ => Operation::Count { on_hand, if_missing: IfMissing::Refuse },
        };
        Self { operation, precondition }
    }

    /// The level after the change, or why there is none.
    ///
    /// Pure and total: the same level and change give the same answer on every strategy, in recovery and in
    /// tests. The result keeps every invariant of [`Level`] and its version is one higher; or it is the level that was found, where
    /// the operation is one that may change nothing.
    #[inline]
    pub fn judge(self, found: Level) -> Result<Level, Refusal> {
        let refuse = |reason| Err(Refusal { reason, found });
        if !self.precondition.holds(found) {
            return refuse(Reason::PreconditionFailed(self.precondition));
        }
        let Some(base) = self.operation.base(found) else {
            return refuse(if found.exists() { Reason::AlreadyExists } else { Reason::NotFound });
        };
        if self.operation.finds_what_it_asks_for(found) {
            return Ok(found);
        }
        if found.version() == VERSION_MAX {
            return refuse(Reason::VersionsExhausted);
        }
        let version = found.version() + 1;
        let (on_hand, reserved) = match self.operation.act(base) {
            Ok(Some(stock)) => stock,
            Ok(None) => return Ok(Level::tombstone(version).expect("the version was checked above")),
            Err(reason) => return refuse(reason),
        };
        Ok(Level::existing(on_hand, reserved, version).expect("act keeps the invariant of a level"))
    }
}

impl Operation {
    /// The level to start from: `None` where the operation needs another state of existence than it finds.
    fn base(self, found: Level) -> Option<Level> {
        let creates = match self {
            Self::Create { .. } => return (!found.exists()).then_some(found),
            Self::Recount { .. } => true,
            Self::Adjust { if_missing, .. } | Self::Count { if_missing, .. } => {
                if_missing == IfMissing::Create
            }
            _ => false,
        };
        (found.exists() || creates).then_some(found)
    }

    /// Whether nothing is to be changed.
    #[inline]
    fn finds_what_it_asks_for(self, found: Level) -> bool {
        matches!(self, Self::Recount { on_hand } if found.exists() && found.on_hand() == on_hand.units())
    }

    /// `(on_hand, reserved)` after the operation, `None` after a delete.
    fn act(self, base: Level) -> Result<Option<(u64, u64)>, Reason> {
        let (on_hand, reserved) = (base.on_hand(), base.reserved());
        let stock = match self {
            Self::Create { on_hand } => (on_hand.units(), 0),
            Self::Count { on_hand, .. } | Self::Recount { on_hand } if on_hand.units() < reserved => {
                return Err(Reason::BelowReserved { requested: on_hand.units() });
            }
            Self::Count { on_hand, .. } | Self::Recount { on_hand } => (on_hand.units(), reserved),
            Self::Adjust { delta, .. } => (adjusted(base, delta)?, reserved),
            Self::Reserve { quantity } => {
                let requested = quantity.units();
                enough(base.available(), requested, Reason::Insufficient { requested })?;
                (on_hand, reserved + requested)
            }
            Self::Release { quantity } => {
                let requested = quantity.units();
                (on_hand, enough(reserved, requested, Reason::NotReserved { requested })?)
            }
            Self::Ship { quantity } => {
                let requested = quantity.units();
                let reserved = enough(reserved, requested, Reason::NotReserved { requested })?;
                (on_hand - requested, reserved)
            }
            Self::Settle { ship, release } => {
                let requested = ship.units() + release.units();
                let reserved = enough(reserved, requested, Reason::NotReserved { requested })?;
                (on_hand - ship.units(), reserved)
            }
            Self::Delete if reserved > 0 => return Err(Reason::StockReserved),
            Self::Delete => return Ok(None),
        };
        Ok(Some(stock))
    }

    /// The two operations of one level as one, as lines of a transaction are combined before they are judged:
    /// `None` where they are of different kinds or cannot be added up.
    pub(super) fn combine(self, other: Self) -> Option<Self> {
        let sum = |a: Quantity, b: Quantity| Quantity::new(a.units() + b.units());
        Some(match (self, other) {
            (Self::Adjust { delta: a, if_missing: first }, Self::Adjust { delta: b, if_missing: second }) => {
                let creates = first == IfMissing::Create || second == IfMissing::Create;
                let if_missing = if creates { IfMissing::Create } else { IfMissing::Refuse };
                Self::Adjust { delta: a.checked_add(b)?, if_missing }
            }
            (Self::Reserve { quantity: a }, Self::Reserve { quantity: b }) => {
                Self::Reserve { quantity: sum(a, b)? }
            }
            (Self::Release { quantity: a }, Self::Release { quantity: b }) => {
                Self::Release { quantity: sum(a, b)? }
            }
            (Self::Ship { quantity: a }, Self::Ship { quantity: b }) => Self::Ship { quantity: sum(a, b)? },
            (Self::Settle { ship: a, release: c }, Self::Settle { ship: b, release: d }) => {
                Self::Settle { ship: sum(a, b)?, release: sum(c, d)? }
            }
            _ => return None,
        })
    }
}

fn adjusted(base: Level, delta: i64) -> Result<u64, Reason> {
    let requested = delta.unsigned_abs();
    if delta < 0 {
        enough(base.available(), requested, Reason::Insufficient { requested })?;
    }
    let sum = Quantity::new(base.on_hand()).and_then(|on_hand| on_hand.plus(delta));
    sum.map(Quantity::units).ok_or(Reason::QuantityOverflow { requested })
}

/// What is left of `there` after taking `requested`.
fn enough(there: u64, requested: u64, otherwise: Reason) -> Result<u64, Reason> {
    there.checked_sub(requested).ok_or(otherwise)
}

#[cfg(test)]
mod tests;
