//! Whether a level has an order that explains every answer: by trying, but only where there is a choice.
//!
//! After Lowe ("Testing for linearizability", 2017; just-in-time linearization): the operations are walked by their
//! returns. What could be true at a moment is a set of *situations*: the units, and which of the operations under way have
//! taken place. When an operation returns, each situation in which it has not taken place is led on by operations under way
//! until it has; if none can be, there is no order. Two things keep the set small. An operation that changes nothing takes
//! place as soon as the units are as it says, which never spoils a solution. And where answers tell the units after a
//! change, only one that leads there can come next.

use std::collections::HashSet;

use super::anchors::{Anchor, Anchors};
use super::{Act, Deed, NEVER};
use crate::model::Level;

/// How many operations may be under way at once: they are numbered by the bits of a word. A write of unknown outcome is
/// under way until the end.
pub(super) const SLOTS: u32 = u128::BITS;

/// How many situations may be possible at one moment.
const SITUATIONS_MAX: usize = 20_000;

/// How a search ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) enum Ending {
    /// There is an order.
    Explained,
    /// There is none: not even of those that come before the return of this operation, and itself. All was known at
    /// the anchor, which is the last before it was sent.
    Stuck { at: usize, anchor: Anchor<Level> },
    /// The bound was reached.
    GaveUp,
}

/// How many anchors there may be before those that are of no use any more are looked for.
const ANCHORS_MANY: usize = 64;

/// What could be true at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Situation {
    /// Which of the operations under way have taken place.
    done: u128,
    level: Level,
}

struct Search<'a> {
    acts: &'a [Act],
    /// The operations under way, by slot.
    slots: Vec<usize>,
    slot_of: Vec<u32>,
    looks: u128,
    changes: u128,
    situations: Vec<Situation>,
    visited: HashSet<Situation>,
    next: usize,
    anchors: Anchors<Level>,
}

/// Looks for an order of operations (by invocation) from these units on; each situation that is tried costs a step.
pub(in super::super) fn search(base: Level, acts: &[Act], steps_left: &mut u64) -> Ending {
    let mut search = Search {
        acts,
        slots: vec![usize::MAX; SLOTS as usize],
        slot_of: vec![u32::MAX; acts.len()],
        looks: 0,
        changes: 0,
        situations: vec![Situation { done: 0, level: base }],
        visited: HashSet::new(),
        next: 0,
        anchors: Anchors::new(base),
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
        search.drop_anchor(at);
    }
    Ending::Explained
}

impl Search<'_> {
    /// Takes up all that was sent until a moment; `false` if that is too much.
    fn send_until(&mut self, moment: u64) -> bool {
        let mut has_new_look = false;
        while let Some(act) = self.acts.get(self.next).filter(|act| act.invoked <= moment) {
            let slot = (!(self.looks | self.changes)).trailing_zeros();
            if slot >= SLOTS {
                return false;
            }
            self.slots[slot as usize] = self.next;
            self.slot_of[self.next] = slot;
            if act.deed.is_look() {
                self.looks |= 1 << slot;
                has_new_look = true;
            } else {
                self.changes |= 1 << slot;
            }
            self.next += 1;
        }
        if has_new_look {
            let settled = self.situations.iter().map(|situation| self.settle(*situation)).collect();
            self.situations = settled;
        }
        true
    }

    /// What changes nothing takes place as soon as it can.
    fn settle(&self, mut situation: Situation) -> Situation {
        for slot in bits(self.looks & !situation.done) {
            if self.acts[self.slots[slot as usize]].deed.on(situation.level).is_some() {
                situation.done |= 1 << slot;
            }
        }
        situation
    }

    /// Leads every situation on until an operation that returns has taken place; `false` if the bound was reached.
    fn finish(&mut self, at: usize, steps_left: &mut u64) -> bool {
        let bit = 1 << self.slot_of[at];
        // What may have taken place need not have.
        let is_optional = matches!(self.acts[at].deed, Deed::Maybe(_));
        let mut stack = std::mem::take(&mut self.situations);
        let mut finished: HashSet<Situation> = HashSet::new();
        if is_optional {
            finished.extend(stack.iter().filter(|situation| situation.done & bit == 0).copied());
        }
        self.visited.clear();
        while let Some(situation) = stack.pop() {
            if !self.visited.insert(situation) {
                continue;
            }
            let Some(left) = steps_left.checked_sub(1) else { return false };
            *steps_left = left;
            if situation.done & bit != 0 {
                finished.insert(Situation { done: situation.done & !bit, ..situation });
                continue;
            }
            self.lead_on(situation, &mut stack);
            if self.visited.len() + finished.len() > SITUATIONS_MAX {
                return false;
            }
        }
        self.looks &= !bit;
        self.changes &= !bit;
        self.situations = finished.into_iter().collect();
        true
    }

    /// All that a situation can become by one change.
    fn lead_on(&self, situation: Situation, stack: &mut Vec<Situation>) {
        let left = self.changes & !situation.done;
        let act = |slot: u32| (&self.acts[self.slots[slot as usize]], self.slots[slot as usize]);
        for slot in bits(left) {
            let (this, number) = act(slot);
            // Of those under way that did the same, the first to return can just as well come first.
            let has_first = bits(left).map(act).any(|(other, other_number)| {
                other.deed == this.deed && (other.returned, other_number) < (this.returned, number)
            });
            if has_first {
                continue;
            }
            if let Some(level) = this.deed.on(situation.level) {
                stack.push(self.settle(Situation { done: situation.done | 1 << slot, level }));
            }
        }
    }

    /// Notes the moment, if all is known: one situation, in which no change has been made that has not returned.
    fn drop_anchor(&mut self, at: usize) {
        let [only] = self.situations.as_slice() else { return };
        if only.done & self.changes != 0 {
            return;
        }
        let under_way = bits((self.looks | self.changes) & !only.done);
        let under_way = under_way.map(|slot| self.slots[slot as usize]).collect();
        let anchor = Anchor { known: only.level, told_by: Some(at), under_way, next: self.next };
        self.anchors.push(anchor);
        if self.anchors.len() > ANCHORS_MANY {
            self.drop_old_anchors();
        }
    }

    /// Forgets anchors that are followed by another from before the first of what can still get stuck was sent.
    fn drop_old_anchors(&mut self) {
        let can_stick = bits(self.looks | self.changes).map(|slot| &self.acts[self.slots[slot as usize]]);
        let first = can_stick.filter(|act| act.returned != NEVER).map(|act| act.invoked).min();
        let first = first.unwrap_or(NEVER);
        self.anchors.forget_before(first, |act| self.acts[act].returned);
    }
}

/// The numbers of the bits of a word, ascending.
pub(super) fn bits(mut word: u128) -> impl Iterator<Item = u32> {
    std::iter::from_fn(move || {
        let slot = word.trailing_zeros();
        word &= word.wrapping_sub(1);
        (slot < SLOTS).then_some(slot)
    })
}
