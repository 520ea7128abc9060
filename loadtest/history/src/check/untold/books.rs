//! The books of a level: what it began with, and every acknowledged change, leave an interval at each moment in which any
//! answer has to be. When all changes have been answered it is one number, the final stock, give or take what writes of
//! unknown outcome may have done. Memory is that of the level's operations; of a level all that stays is the verdict.
//!
//! Only for levels that are created and added to: a count or a deletion makes what was there before of no matter.

use super::super::verdict::Residual;
use super::super::violation::Kind;
use super::{Act, Deed, Life, NEVER, told_units};
use crate::model::Change;
use crate::record::{Reason, Stock};

/// An answer that the books do not allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) struct Imbalance {
    pub(in super::super) kind: Kind,
    pub(in super::super) record: u32,
    /// The fewest and the most units that there can have been.
    pub(in super::super) allowed: (i128, i128),
    /// The units that were told; none if it is a change or a refusal that is not possible.
    pub(in super::super) told: Option<u64>,
    /// Changes that had been answered before, and others that may have come before.
    pub(in super::super) changes: (usize, usize),
}

/// The units that changes add up to, by a time of theirs.
struct Sums {
    times: Vec<u64>,
    /// Of the first so many: what they add, and what they take.
    added: Vec<(i128, i128)>,
}

impl Sums {
    fn new(acts: &[Act], time: impl Fn(&Act) -> u64) -> Self {
        let mut by_time: Vec<(u64, i64)> = acts
            .iter()
            .filter(|act| !act.deed.is_look())
            .map(|act| (time(act), act.deed.added().unwrap_or(0)))
            .collect();
        by_time.sort_unstable();
        let mut sum = (0, 0);
        let mut added = vec![sum];
        for (_, units) in &by_time {
            let units = i128::from(*units);
            sum = (sum.0 + units.max(0), sum.1 + units.min(0));
            added.push(sum);
        }
        Self { times: by_time.into_iter().map(|(time, _)| time).collect(), added }
    }

    fn of(&self, count: usize) -> (i128, i128) {
        self.added[count]
    }

    fn before(&self, moment: u64) -> usize {
        self.times.partition_point(|time| *time < moment)
    }

    fn until(&self, moment: u64) -> usize {
        self.times.partition_point(|time| *time <= moment)
    }
}

/// Whether the books say anything of a level.
fn has_books(life: &Life) -> bool {
    let holds = |stock: Stock| matches!(stock, Stock::Level { reserved, .. } if reserved > 0);
    life.base.stock.is_none_or(|units| units.reserved == 0)
        && life.acts.iter().all(|act| {
            act.deed.added().is_some()
                && match act.deed {
                    Deed::Look(stock) | Deed::Refusal(_, _, stock) | Deed::Change(_, stock) => !holds(stock),
                    Deed::Maybe(_) => true,
                }
        })
}

/// The answers that cannot be, by invocation.
pub(in super::super) fn imbalances(life: &Life) -> impl Iterator<Item = Imbalance> {
    let acts: &[Act] = if has_books(life) { &life.acts } else { &[] };
    let base = i128::from(life.base.stock.map_or(0, |units| units.on_hand));
    // A write that was never answered is never certain to have come before, whenever its client gave up.
    let by_return = Sums::new(&life.acts, |act| act.returned);
    let by_invocation = Sums::new(&life.acts, |act| act.invoked);
    let last =
        life.acts.iter().filter(|act| act.returned != NEVER && !act.deed.is_look()).map(|act| act.returned);
    let last = last.max().unwrap_or(0);
    let judge = move |act: &Act| {
        let certain = by_return.before(act.invoked);
        let possible = by_invocation.until(act.returned);
        let own = i128::from(act.deed.added().unwrap_or(0));
        let sum = |(more, less): (i128, i128)| more + less;
        let (certain_sum, all) = (by_return.of(certain), by_invocation.of(possible));
        let more = all.0 - certain_sum.0 - own.max(0);
        let less = all.1 - certain_sum.1 - own.min(0);
        let start = base + sum(certain_sum);
        let allowed = ((start + less).max(0), start + more);
        let is_change = usize::from(!act.deed.is_look());
        let changes = (certain, possible - certain - is_change);
        fault(act, allowed, act.invoked > last).map(|(kind, told)| {
            let shift = if told.is_some() { own } else { 0 };
            let allowed = (allowed.0 + shift, allowed.1 + shift);
            Imbalance { kind, record: act.record, allowed, told, changes }
        })
    };
    acts.iter().filter_map(judge)
}

/// What is wrong with an operation before which the units were in an interval.
fn fault(act: &Act, (least, most): (i128, i128), is_final: bool) -> Option<(Kind, Option<u64>)> {
    let own = i128::from(act.deed.added()?);
    let (stock, kind) = match act.deed {
        Deed::Look(stock) if is_final => (stock, Kind::Unbalanced),
        Deed::Refusal(Change::Add { units, .. }, Reason::Insufficient, _)
            if units < 0 && least + i128::from(units) >= 0 =>
        {
            return Some((Kind::FalseRefusal, None));
        }
        Deed::Look(stock) | Deed::Refusal(_, _, stock) => (stock, Kind::WrongRead),
        Deed::Change(..) if most + own < 0 => return Some((Kind::Oversold, None)),
        Deed::Change(_, stock) => (stock, Kind::WrongChange),
        Deed::Maybe(_) => return None,
    };
    let told = told_units(stock)?;
    let before = i128::from(told) - own;
    (before < least || before > most).then_some((kind, Some(told)))
}

/// How much writes of unknown outcome leave open at the end of a level's life.
pub(in super::super) fn residual(life: &Life) -> Residual {
    let unknown = life.acts.iter().filter(|act| act.returned == NEVER && matches!(act.deed, Deed::Maybe(_)));
    unknown.fold(Residual::default(), |residual, act| Residual {
        unknown: residual.unknown + 1,
        units_max: residual.units_max.saturating_add(moved(act.deed)),
    })
}

/// How many units an operation moves; a count or a deletion may move any number, and so counts as one.
fn moved(deed: Deed) -> u64 {
    deed.added().map_or(1, i64::unsigned_abs)
}
