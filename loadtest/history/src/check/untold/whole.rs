//! Whether levels without versions have an order together, when each by itself has one: what joins them, a write to several
//! or a consistent read, took place on all of them at one moment (P4).
//!
//! The search of [`super::search`] once more, over all levels that anything ties together: a situation is what has taken place
//! of what is under way, and the units of every level. As nearly all of these are known at any moment, a situation
//! holds those alone that are not as most recently known. And of what is under way only that is tried which touches, if by a
//! chain of others, a level of the operation that returns: whatever else happens can just as well happen later.
//!
//! It is exact where it comes to an end; where it reaches its bound nothing is concluded. A level that does tell versions
//! is left out, with its part of what joins it to others.

use std::collections::HashSet;

use super::anchors::{Anchor, Anchors};
use super::{Deed, NEVER, search};
use crate::model::{Change, Level};
use crate::record::Stock;

/// An operation on one level or more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Act {
    pub(in super::super) invoked: u64,
    /// The end of time for one that was never answered.
    pub(in super::super) returned: u64,
    pub(in super::super) record: u32,
    /// What it did or saw on each, by the number of the level.
    pub(in super::super) parts: Vec<(u32, Deed)>,
}

impl Act {
    /// Whether it leaves all levels as they were.
    pub(in super::super) fn is_look(&self) -> bool {
        self.parts.iter().all(|(_, deed)| deed.is_look())
    }

    pub(in super::super) fn is_optional(&self) -> bool {
        self.parts.iter().any(|(_, deed)| matches!(deed, Deed::Maybe(_)))
    }

    fn rows(&self) -> impl Iterator<Item = u32> {
        self.parts.iter().map(|(row, _)| *row)
    }
}

/// How many situations may be possible at one moment.
const SITUATIONS_MAX: usize = 20_000;

/// How many operations lie between two anchors, at least: each holds all levels.
const ANCHORS_APART: usize = 32;

/// How a search ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) enum Ending {
    /// There is an order.
    Explained,
    /// There is none, not even of what came before the return of this operation; all was known at the anchor.
    Stuck { at: usize, anchor: Anchor<Vec<Level>> },
    /// The bound was reached.
    GaveUp,
}

/// What could be true at a moment.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Situation {
    /// Which of the operations under way have taken place.
    done: u128,
    /// Levels that are not as [`Search::known`] has them, ascending.
    others: Vec<(u32, Level)>,
}

struct Search<'a> {
    acts: &'a [Act],
    /// Every level as it was when last all was known of it.
    known: Vec<Level>,
    slots: Vec<usize>,
    slot_of: Vec<u32>,
    looks: u128,
    changes: u128,
    situations: Vec<Situation>,
    next: usize,
    anchors: Anchors<Vec<Level>>,
}

/// Looks for an order of operations (by invocation) from these levels on; each situation that is tried costs a step.
pub(in super::super) fn search(base: &[Level], acts: &[Act], steps_left: &mut u64) -> Ending {
    let mut search = Search {
        acts,
        known: base.to_vec(),
        slots: vec![usize::MAX; search::SLOTS as usize],
        slot_of: vec![u32::MAX; acts.len()],
        looks: 0,
        changes: 0,
        situations: vec![Situation { done: 0, others: Vec::new() }],
        next: 0,
        anchors: Anchors::new(base.to_vec()),
    };
    let mut returns: Vec<usize> = (0..acts.len()).filter(|at| acts[*at].returned != NEVER).collect();
    returns.sort_unstable_by_key(|at| (acts[*at].returned, *at));
    for at in returns {
        if !search.send_until(acts[at].returned) || !search.finish(at, steps_left) {
            return Ending::GaveUp;
        }
        if search.situations.is_empty() {
            let anchor = search.anchors.take_before(acts[at].invoked, |act| acts[act].returned);
            return Ending::Stuck { at, anchor };
        }
        search.settle_known();
        search.drop_anchor(at);
    }
    Ending::Explained
}

impl Search<'_> {
    fn level(&self, situation: &Situation, row: u32) -> Level {
        let place = situation.others.binary_search_by_key(&row, |(row, _)| *row);
        place.map_or(self.known[row as usize], |at| situation.others[at].1)
    }

    /// The situation after an operation, if it can take place.
    fn after(&self, situation: &Situation, slot: u32) -> Option<Situation> {
        let act = &self.acts[self.slots[slot as usize]];
        let mut next = Situation { done: situation.done | 1 << slot, others: situation.others.clone() };
        for (row, deed) in &act.parts {
            let level = deed.on(self.level(situation, *row))?;
            let place = next.others.binary_search_by_key(row, |(row, _)| *row);
            match (place, level == self.known[*row as usize]) {
                (Ok(at), true) => drop(next.others.remove(at)),
                (Ok(at), false) => next.others[at].1 = level,
                (Err(_), true) => {}
                (Err(at), false) => next.others.insert(at, (*row, level)),
            }
        }
        Some(next)
    }

    /// Takes up all that was sent until a moment; `false` if that is too much.
    fn send_until(&mut self, moment: u64) -> bool {
        let mut has_new_look = false;
        while let Some(act) = self.acts.get(self.next).filter(|act| act.invoked <= moment) {
            let slot = (!(self.looks | self.changes)).trailing_zeros();
            if slot >= search::SLOTS {
                return false;
            }
            self.slots[slot as usize] = self.next;
            self.slot_of[self.next] = slot;
            if act.is_look() {
                self.looks |= 1 << slot;
                has_new_look = true;
            } else {
                self.changes |= 1 << slot;
            }
            self.next += 1;
        }
        if has_new_look {
            let situations = std::mem::take(&mut self.situations);
            self.situations = situations.into_iter().map(|situation| self.settle(situation)).collect();
        }
        true
    }

    /// What changes nothing takes place as soon as it can.
    fn settle(&self, mut situation: Situation) -> Situation {
        for slot in search::bits(self.looks & !situation.done) {
            let act = &self.acts[self.slots[slot as usize]];
            if act.parts.iter().all(|(row, deed)| deed.on(self.level(&situation, *row)).is_some()) {
                situation.done |= 1 << slot;
            }
        }
        situation
    }

    /// Changes under way that touch the levels of an operation, or those of another under way that does: what looks at several
    /// levels may have to do so before one of them changes, and after another has.
    fn tied_to(&self, at: usize, situation: &Situation) -> u128 {
        let possible = self.possible(situation) | self.looks & !situation.done;
        let mut rows: HashSet<u32> = self.acts[at].rows().collect();
        let mut tied = 1 << self.slot_of[at];
        loop {
            let before = tied;
            for slot in search::bits(possible & !tied) {
                let act = &self.acts[self.slots[slot as usize]];
                if act.rows().any(|row| rows.contains(&row)) {
                    rows.extend(act.rows());
                    tied |= 1 << slot;
                }
            }
            if tied == before {
                return tied & self.changes & !situation.done;
            }
        }
    }

    /// Changes that may take place before anything else is sent: those that tell what they led to do so only where that is so, now or
    /// after another has led there.
    fn possible(&self, situation: &Situation) -> u128 {
        let mut possible = self.changes & !situation.done;
        loop {
            let is_possible = |slot: &u32| {
                let act = &self.acts[self.slots[*slot as usize]];
                act.parts.iter().all(|(row, deed)| {
                    let Some(before) = told_before(*deed) else { return true };
                    let here = self.level(situation, *row).stock.map(|units| units.on_hand);
                    let others = search::bits(possible & !(1 << slot))
                        .map(|other| &self.acts[self.slots[other as usize]]);
                    let mut led = others.flat_map(|other| &other.parts).filter(|(other, _)| other == row);
                    here.unwrap_or(0) == before
                        || led.any(|(_, deed)| told_after(*deed).is_none_or(|after| after == before))
                })
            };
            let fewer = search::bits(possible).filter(is_possible).fold(0, |all, slot| all | 1 << slot);
            if fewer == possible {
                return possible;
            }
            possible = fewer;
        }
    }

    /// Leads every situation on until an operation that returns has taken place; `false` if the bound was reached.
    fn finish(&mut self, at: usize, steps_left: &mut u64) -> bool {
        let bit = 1 << self.slot_of[at];
        // Each situation with the changes that are tried from it on: what cannot take place now or after others never can.
        let started = std::mem::take(&mut self.situations);
        let tied = started.iter().fold(0, |tied, situation| tied | self.tied_to(at, situation));
        let mut stack = started;
        let mut finished: HashSet<Situation> = HashSet::new();
        // What may have taken place need not have.
        if self.acts[at].is_optional() {
            finished.extend(stack.iter().filter(|situation| situation.done & bit == 0).cloned());
        }
        let mut visited: HashSet<Situation> = HashSet::new();
        while let Some(situation) = stack.pop() {
            if visited.contains(&situation) {
                continue;
            }
            let Some(left) = steps_left.checked_sub(1 + situation.others.len() as u64 / 8) else {
                return false;
            };
            *steps_left = left;
            if situation.done & bit != 0 {
                finished.insert(Situation { done: situation.done & !bit, ..situation });
                continue;
            }
            self.lead_on(&situation, tied, &mut stack);
            visited.insert(situation);
            if visited.len() + finished.len() > SITUATIONS_MAX {
                return false;
            }
        }
        self.looks &= !bit;
        self.changes &= !bit;
        let early = self.needlessly_early(&finished);
        self.situations = finished.into_iter().filter(|situation| !early.contains(situation)).collect();
        true
    }

    /// Situations that another becomes by one change that has not returned: they can wait, and will come of it if they are needed.
    fn needlessly_early(&self, finished: &HashSet<Situation>) -> HashSet<Situation> {
        if finished.len() < 2 {
            return HashSet::new();
        }
        let later = |situation: &Situation| {
            let left = search::bits(self.changes & !situation.done);
            let after: Vec<_> = left.filter_map(|slot| self.after(situation, slot)).collect();
            after.into_iter().map(|situation| self.settle(situation))
        };
        finished.iter().flat_map(later).filter(|situation| finished.contains(situation)).collect()
    }

    /// All that a situation can become by one change.
    fn lead_on(&self, situation: &Situation, tied: u128, stack: &mut Vec<Situation>) {
        let left = tied & !situation.done;
        let act = |slot: u32| (&self.acts[self.slots[slot as usize]], self.slots[slot as usize]);
        for slot in search::bits(left) {
            let (this, number) = act(slot);
            // Of those under way that did the same, the first to return can just as well come first.
            let has_first = search::bits(left).map(act).any(|(other, other_number)| {
                other.parts == this.parts && (other.returned, other_number) < (this.returned, number)
            });
            if !has_first && let Some(next) = self.after(situation, slot) {
                stack.push(self.settle(next));
            }
        }
    }

    /// Takes for known what is the same in all situations.
    fn settle_known(&mut self) {
        let [first, others @ ..] = self.situations.as_slice() else { return };
        let mut common = first.others.clone();
        common.retain(|part| others.iter().all(|other| other.others.binary_search(part).is_ok()));
        for (row, level) in &common {
            self.known[*row as usize] = *level;
        }
        for situation in self.situations.iter_mut().filter(|_| !common.is_empty()) {
            situation.others.retain(|part| common.binary_search(part).is_err());
        }
    }

    /// Notes the moment, if all is known, and it is a while since the last.
    fn drop_anchor(&mut self, at: usize) {
        let [only] = self.situations.as_slice() else { return };
        let apart = ANCHORS_APART.max(self.known.len() / 8);
        let is_near = self.next < self.anchors.next() + apart;
        if only.done & self.changes != 0 || is_near {
            return;
        }
        let under_way = search::bits((self.looks | self.changes) & !only.done);
        let under_way = under_way.map(|slot| self.slots[slot as usize]).collect();
        let anchor = Anchor { known: self.known.clone(), told_by: Some(at), under_way, next: self.next };
        self.anchors.push(anchor);
        // Those that are followed by another from before the first of what can still get stuck was sent are of no use any more.
        let can_stick =
            search::bits(self.looks | self.changes).map(|slot| &self.acts[self.slots[slot as usize]]);
        let first =
            can_stick.filter(|act| act.returned != NEVER).map(|act| act.invoked).min().unwrap_or(NEVER);
        self.anchors.forget_before(first, |act| self.acts[act].returned);
    }
}

/// The units that an addition must have found, if it tells what it led to.
fn told_before(deed: Deed) -> Option<u64> {
    match deed {
        Deed::Change(Change::Add { units, .. }, Stock::Level { on_hand, .. }) => {
            on_hand.checked_add_signed(-units)
        }
        _ => None,
    }
}

/// The units that a change led to, if it tells.
fn told_after(deed: Deed) -> Option<u64> {
    match deed {
        Deed::Change(_, stock) => super::told_units(stock),
        Deed::Look(_) | Deed::Refusal(..) | Deed::Maybe(_) => None,
    }
}
