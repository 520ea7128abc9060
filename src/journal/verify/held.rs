//! [`Held`]: which units the pending reservations hold, rebuilt in one pass, to be compared with what the levels say is reserved.
//!
//! A level's quantities follow from its own records alone, so a unit that is reserved for nobody, or one that is held and not
//! reserved, is well by all the rules of the log. What tells is the other half of the books: who holds what. It is kept by
//! reservation and not as a sum, since what settles a reservation twice, or by other lines than it was made with, takes the same
//! units off the level and off a sum.
//!
//! It reads records only, and never asks the table of the running service: that may be what is wrong. Those that are settled are
//! not kept, so memory goes with what is pending.

use std::collections::{HashMap, HashSet};

use crate::journal::check::Finding;
use crate::journal::holds::AllFound;
use crate::journal::holds::found::{UNFIT, found_in};
use crate::journal::record::Record;
use crate::stock::{HeldLine, ReservationId, ReservationState, StockKey};

/// The pending reservations, as of the last record that was applied.
#[derive(Debug, Default)]
pub(super) struct Held {
    pending: HashMap<ReservationId, Box<[HeldLine]>>,
    /// Where the snapshot starts that `pending` began with: what is before it is in there.
    from: u64,
    /// Levels of which something was wrong, which was told: whose units they hold cannot be said any more.
    doubtful: HashSet<StockKey>,
}

/// What is held of each level.
#[derive(Debug)]
pub(super) struct ByLevel {
    units: HashMap<StockKey, u64>,
    doubtful: HashSet<StockKey>,
}

impl Held {
    /// As a snapshot has it that starts there. It may have seen what follows its start as well, which changes nothing when it is
    /// applied: what is made again was pending then, or is settled again by a record that follows.
    pub(super) fn at(start: u64, holds: AllFound) -> Self {
        Self { pending: holds.into_pending().collect(), from: start, doubtful: HashSet::new() }
    }

    /// Applies the record at that position, if it makes or settles a reservation. What is wrong with it, if it is no such record.
    pub(super) fn apply(&mut self, position: u64, record: &Record<'_>) -> Result<(), Finding> {
        let Some(term) = record.term() else { return Ok(()) };
        // When it was finished is of no interest.
        let found = found_in(record, term, 0).ok_or(Finding::Reservation(UNFIT))?;
        if position < self.from {
            return Ok(());
        }
        if found.state == ReservationState::Pending {
            self.pending.insert(term.id, found.lines);
        } else {
            self.pending.remove(&term.id);
        }
        Ok(())
    }

    /// Something is wrong with that level, and was told: what it holds is not told besides.
    pub(super) fn doubt(&mut self, key: &str) {
        self.doubtful.extend(StockKey::from_text(key));
    }

    /// The sums.
    pub(super) fn by_level(self) -> ByLevel {
        let mut units: HashMap<StockKey, u64> = HashMap::new();
        for line in self.pending.into_values().flatten() {
            // Far more than a level can have on hand is wrong all the same.
            let sum = units.entry(line.key).or_default();
            *sum = sum.saturating_add(line.quantity.units());
        }
        ByLevel { units, doubtful: self.doubtful }
    }
}

impl ByLevel {
    /// The units that are held of a level; `None` where that cannot be said. To be asked once of each level there is.
    pub(super) fn of(&mut self, key: &StockKey) -> Option<u64> {
        let units = self.units.remove(key).unwrap_or(0);
        (!self.doubtful.contains(key)).then_some(units)
    }

    /// What is held of levels that nobody asked for: they are not there.
    pub(super) fn of_no_level(self) -> impl Iterator<Item = (StockKey, u64)> {
        let Self { units, doubtful } = self;
        units.into_iter().filter(move |(key, _)| !doubtful.contains(key))
    }
}
