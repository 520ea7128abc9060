//! Of a level that has no order, the fewest answers that cannot all be true.
//!
//! An answer is left out by forgetting what it says: a look is dropped, a change becomes one that may have been made
//! while it was under way, or not. What remains cannot be explained whatever the others did; and with any one answer
//! of it forgotten as well, it can. Answers are forgotten in halves, quarters, and so on, down to one (Zeller and Hildebrandt,
//! "Simplifying and isolating failure-inducing input", 2002).

use super::anchors::Anchor;
use super::search::{Ending, search};
use super::{Act, Deed, NEVER};
use crate::model::Level;
use crate::record::Stock;

use super::super::violation::Kind;

/// Steps for one look at what remains. If they do not suffice, it may be explained, and the answers in question stay.
const STEPS_MAX: u64 = 50_000;

/// Steps for all looks together. Where answers tell no units there are so many orders to try that a single level would take
/// minutes; then more answers are named than are needed, which is told.
const STEPS_ALL: u64 = 500_000;

/// The answers that contradict each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Contradiction {
    pub(in super::super) kind: Kind,
    /// What was there before.
    pub(in super::super) before: Level,
    /// The record that told so; none if that is how the level began.
    pub(in super::super) told_by: Option<u32>,
    /// The answers, by invocation.
    pub(in super::super) acts: Vec<Act>,
    /// Whether it is known that none of them can be left out.
    pub(in super::super) is_minimal: bool,
    /// How many others were under way, of which it does not matter what they did.
    pub(in super::super) others: usize,
}

/// Shrinks what a search was stuck with at an operation.
pub(in super::super) fn shrink(acts: &[Act], at: usize, anchor: &Anchor<Level>) -> Contradiction {
    let end = acts[at].returned;
    let mut kept: Vec<Act> = anchor.under_way.iter().map(|act| acts[*act]).collect();
    kept.extend(acts[anchor.next..].iter().take_while(|act| act.invoked <= end));
    // What returned later is known to have been under way, and nothing more is needed of it.
    for act in &mut kept {
        if act.returned > end {
            forget(act);
            act.returned = NEVER;
        }
    }
    kept.retain(|act| !is_dropped(act));
    kept.sort_unstable_by_key(|act| (act.invoked, act.returned, act.record));
    let mut budget = Budget { steps: STEPS_ALL, fell_short: false };
    let mut size = kept.len().div_ceil(2);
    while size > 0 {
        forget_in_chunks(anchor.known, &mut kept, size, &mut budget);
        size = if size == 1 { 0 } else { size.div_ceil(2) };
    }
    // Forgetting one may have made another superfluous.
    budget.fell_short = false;
    forget_in_chunks(anchor.known, &mut kept, 1, &mut budget);
    let is_minimal = !budget.fell_short;
    let (others, culprits): (Vec<Act>, Vec<Act>) =
        kept.into_iter().partition(|act| matches!(act.deed, Deed::Maybe(_)));
    let kind = kind(anchor.known, &culprits, &others);
    let told_by = anchor.told_by.map(|act| acts[act].record);
    Contradiction { kind, before: anchor.known, told_by, acts: culprits, is_minimal, others: others.len() }
}

/// Forgets so many answers at a time, wherever what remains is still a contradiction.
fn forget_in_chunks(base: Level, kept: &mut Vec<Act>, size: usize, budget: &mut Budget) {
    let mut start = 0;
    while start < kept.len() {
        let end = kept.len().min(start + size);
        let mut fewer = kept.clone();
        let mut has_forgotten = false;
        for act in &mut fewer[start..end] {
            has_forgotten |= !matches!(act.deed, Deed::Maybe(_));
            forget(act);
        }
        fewer.retain(|act| !is_dropped(act));
        if has_forgotten && budget.is_contradiction(base, &fewer) {
            start = end - (kept.len() - fewer.len());
            *kept = fewer;
        } else {
            start = end;
        }
    }
}

/// What all looks at a level may cost.
struct Budget {
    steps: u64,
    /// Whether a look was given up.
    fell_short: bool,
}

impl Budget {
    fn is_contradiction(&mut self, base: Level, acts: &[Act]) -> bool {
        let allowed = self.steps.min(STEPS_MAX);
        let mut left = allowed;
        let ending = search(base, acts, &mut left);
        self.steps -= allowed - left;
        self.fell_short |= ending == Ending::GaveUp;
        matches!(ending, Ending::Stuck { .. })
    }
}

/// A look that is forgotten has nothing left that could matter.
fn is_dropped(act: &Act) -> bool {
    act.deed == Deed::Look(Stock::Untold)
}

fn forget(act: &mut Act) {
    act.deed = match act.deed {
        Deed::Look(_) | Deed::Refusal(..) => Deed::Look(Stock::Untold),
        Deed::Change(change, _) | Deed::Maybe(change) => Deed::Maybe(change),
    };
}

fn is_contradiction(base: Level, acts: &[Act]) -> bool {
    matches!(search(base, acts, &mut STEPS_MAX.clone()), Ending::Stuck { .. })
}

/// What to call it.
fn kind(base: Level, culprits: &[Act], others: &[Act]) -> Kind {
    let is_look = culprits.iter().any(|act| act.deed.is_look());
    let is_refusal = culprits.iter().any(|act| matches!(act.deed, Deed::Refusal(..)));
    // Whether it is a contradiction that things were done or refused, whatever was told of the units.
    let is_silent = is_contradiction(base, &silenced(culprits, others));
    let takes = |act: &Act| act.deed.added().is_some_and(|units| units < 0);
    match (is_look, is_silent) {
        (true, true) if is_refusal => Kind::FalseRefusal,
        (true, _) => Kind::WrongRead,
        (false, true) if culprits.iter().any(takes) => Kind::Oversold,
        (false, true) => Kind::BrokenPrecondition,
        (false, false) if culprits.len() > 1 => Kind::LostUpdate,
        (false, false) => Kind::WrongChange,
    }
}

/// The same operations, if they had told nothing of the units.
fn silenced(culprits: &[Act], others: &[Act]) -> Vec<Act> {
    let mut silent: Vec<Act> = culprits.iter().chain(others).copied().collect();
    silent.sort_unstable_by_key(|act| (act.invoked, act.returned, act.record));
    for act in &mut silent {
        act.deed = match act.deed {
            Deed::Look(_) => Deed::Look(Stock::Untold),
            Deed::Refusal(change, reason, _) => Deed::Refusal(change, reason, Stock::Untold),
            Deed::Change(change, _) => Deed::Change(change, Stock::Untold),
            Deed::Maybe(change) => Deed::Maybe(change),
        };
    }
    silent
}
