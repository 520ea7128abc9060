//! Levels of which answers do not tell the version: what can be said of them all the same.
//!
//! Without versions the order of the changes has to be found, and not only checked. Three checks, the cheapest first:
//!
//! - [`books`]: the units that were there in the beginning, and the acknowledged changes, leave an interval at any moment in
//!   which every answer has to be; at the end of a run it is one number, but for writes of unknown outcome. O(n log n),
//!   for levels that are only created and added to. It convicts a level, and names the answer that cannot be.
//! - [`search`]: is there an order at all? Exact, by trying; quick where answers tell quantities, since then
//!   hardly ever more than one change can come next. It has a bound.
//! - [`shrink`]: of a level that has no order, the fewest answers that cannot all be true.
//!
//! A level is looked at by itself. Whether what ties several together took place on all of them at one moment comes after
//! that: [`ties`] lays out the levels that are tied, [`whole`] searches for an order of all of them, and [`torn`] names the
//! fewest answers that have none. Where that search reaches its bound, each level still is judged by itself.

mod anchors;
pub(super) mod books;
pub(super) mod render;
pub(super) mod search;
pub(super) mod shrink;
pub(super) mod ties;
pub(super) mod torn;
pub(super) mod whole;

use super::index::{Event, Index, Role, Row};
use crate::model::{Change, Level};
use crate::record::{Reason, Stock};

/// One operation's part on a level.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Act {
    pub(super) invoked: u64,
    /// The end of time for one that was never answered.
    pub(super) returned: u64,
    pub(super) record: u32,
    pub(super) deed: Deed,
}

/// What an operation did, or saw, as far as its answer tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Deed {
    /// It saw this.
    Look(Stock),
    /// It was refused for this reason, and saw this.
    Refusal(Change, Reason, Stock),
    /// It made this change, and this was there then.
    Change(Change, Stock),
    /// It may have made this change.
    Maybe(Change),
}

/// The end of time.
pub(super) const NEVER: u64 = u64::MAX;

impl Deed {
    /// The level after it, if it can take place there. Versions are left at 0: they are not known.
    pub(super) fn on(self, level: Level) -> Option<Level> {
        match self {
            Deed::Look(stock) => level.shows(stock).then_some(level),
            Deed::Refusal(change, reason, stock) => {
                (level.shows(stock) && level.refuses(change, reason)).then_some(level)
            }
            Deed::Change(change, stock) => {
                let after = level.after(change).ok()?;
                after.shows(stock).then_some(unversioned(after))
            }
            Deed::Maybe(change) => level.after(change).ok().map(unversioned),
        }
    }

    /// Whether it leaves the level as it was.
    pub(super) fn is_look(self) -> bool {
        matches!(self, Deed::Look(_) | Deed::Refusal(..))
    }

    /// The units it adds, if that is what it does; a level that is not there has none.
    pub(super) fn added(self) -> Option<i64> {
        match self {
            Deed::Look(_) | Deed::Refusal(..) => Some(0),
            Deed::Change(change, _) | Deed::Maybe(change) => match change {
                Change::Add { units, .. } => Some(units),
                Change::Create { on_hand } => i64::try_from(on_hand).ok(),
                Change::Count { .. } | Change::Delete => None,
            },
        }
    }
}

fn unversioned(level: Level) -> Level {
    Level { version: 0, ..level }
}

/// All that happened on a level, by invocation, and the units it began with.
#[derive(Debug)]
pub(super) struct Life {
    pub(super) base: Level,
    pub(super) acts: Vec<Act>,
}

impl Life {
    pub(super) fn of(index: &Index<'_>, row: &Row) -> Self {
        let events = &index.events[row.events.clone()];
        let mut acts: Vec<Act> = events
            .iter()
            .map(|event| {
                let Event { invoked, returned, record, .. } = *event;
                Act { invoked, returned, record, deed: deed(index, event) }
            })
            .collect();
        acts.extend(index.scan.unknown_on_untold(row.key).map(|(invoked, record, change)| Act {
            invoked,
            returned: NEVER,
            record,
            deed: Deed::Maybe(without_version(change)),
        }));
        acts.sort_unstable_by_key(|act| (act.invoked, act.returned, act.record));
        Self { base: unversioned(row.base), acts }
    }
}

fn deed(index: &Index<'_>, event: &Event) -> Deed {
    let stock = index.stock(event);
    match (event.role, index.change(event)) {
        // Which version a level had cannot be judged where versions are not told.
        (Role::Read | Role::Refusal(Reason::VersionMismatch), _) | (_, None) => Deed::Look(stock),
        (Role::Refusal(reason), Some(change)) => Deed::Refusal(without_version(change), reason, stock),
        (Role::Change, Some(change)) => Deed::Change(without_version(change), stock),
    }
}

fn without_version(change: Change) -> Change {
    match change {
        Change::Count { on_hand, .. } => Change::Count { on_hand, if_version: None },
        other => other,
    }
}

/// Units that an answer tells, if it is a level that is there or not.
pub(super) fn told_units(stock: Stock) -> Option<u64> {
    match stock {
        Stock::Absent => Some(0),
        Stock::Level { on_hand, .. } => Some(on_hand),
        // Nothing reserves units of such a level, as far as is known; where something does, nothing is concluded from it.
        Stock::Available(_) | Stock::Untold => None,
    }
}
