//! Of levels that have no order together, the fewest answers that cannot all be true: as in [`super::shrink`], over several
//! levels. An answer is forgotten on all levels of its operation at once.

use super::anchors::Anchor;
use super::whole::{Act, Ending, search};
use super::{Deed, NEVER};
use crate::model::Level;

/// Steps for one look at what remains. If they do not suffice, it may be explained, and the answers in question stay.
const STEPS_MAX: u64 = 100_000;

/// Answers about several levels that contradict each other, though on each level by itself there is an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Torn {
    /// The levels concerned, by number, as they were before.
    pub(in super::super) before: Vec<(u32, Level)>,
    /// The record that told so last; none if that is how they began.
    pub(in super::super) told_by: Option<u32>,
    /// The records of the answers, by invocation.
    pub(in super::super) records: Vec<u32>,
    /// The records of other changes of several of these levels that were under way, of which it does not matter whether they
    /// took place: as a whole they do not explain it.
    pub(in super::super) tying: Vec<u32>,
    /// How many more changes were under way, of which it does not matter what they did.
    pub(in super::super) others: usize,
    /// Whether one of the answers is a consistent read of several levels.
    pub(in super::super) has_snapshot: bool,
}

/// Shrinks what a search was stuck with at an operation.
pub(in super::super) fn shrink(acts: &[Act], at: usize, anchor: &Anchor<Vec<Level>>) -> Torn {
    let end = acts[at].returned;
    let under_way = anchor.under_way.iter().map(|act| &acts[*act]);
    let sent = acts[anchor.next..].iter().take_while(|act| act.invoked <= end);
    // What returned later is known to have been under way, and nothing more is needed of it.
    let part_of = |act: &Act| if act.returned > end { forgotten(act) } else { Some(act.clone()) };
    let mut kept: Vec<Act> = under_way.chain(sent).filter_map(part_of).collect();
    kept.sort_unstable_by_key(|act| (act.invoked, act.returned, act.record));
    let mut size = kept.len().div_ceil(2);
    while size > 0 {
        forget_in_chunks(&anchor.known, &mut kept, size);
        size = if size == 1 { 0 } else { size.div_ceil(2) };
    }
    // Forgetting one may have made another superfluous.
    forget_in_chunks(&anchor.known, &mut kept, 1);
    drop_others(&anchor.known, &mut kept);
    let (others, culprits): (Vec<Act>, Vec<Act>) = kept.into_iter().partition(Act::is_optional);
    let mut rows: Vec<u32> = culprits.iter().flat_map(|act| act.parts.iter().map(|(row, _)| *row)).collect();
    rows.sort_unstable();
    rows.dedup();
    let is_tying = |act: &Act| act.parts.iter().filter(|(row, _)| rows.contains(row)).count() > 1;
    let tying: Vec<u32> = others.iter().filter(|act| is_tying(act)).map(|act| act.record).collect();
    Torn {
        others: others.len() - tying.len(),
        tying,
        before: rows.iter().map(|row| (*row, anchor.known[*row as usize])).collect(),
        told_by: anchor.told_by.map(|act| acts[act].record),
        records: culprits.iter().map(|act| act.record).collect(),
        has_snapshot: culprits.iter().any(|act| act.is_look() && act.parts.len() > 1),
    }
}

/// Forgets so many answers at a time, wherever what remains is still a contradiction.
fn forget_in_chunks(base: &[Level], kept: &mut Vec<Act>, size: usize) {
    let mut start = 0;
    while start < kept.len() {
        let end = kept.len().min(start + size);
        let has_answer = kept[start..end].iter().any(|act| !act.is_optional());
        let middle: Vec<Act> = kept[start..end].iter().filter_map(forgotten).collect();
        let fewer: Vec<Act> = kept[..start].iter().chain(&middle).chain(&kept[end..]).cloned().collect();
        if has_answer && is_contradiction(base, &fewer) {
            start += middle.len();
            *kept = fewer;
        } else {
            start = end;
        }
    }
}

/// Leaves out those of unknown effect that could not help even if they were there: only a contradiction that needs
/// none of them is told without them.
fn drop_others(base: &[Level], kept: &mut Vec<Act>) {
    let levels: std::collections::HashSet<u32> = kept
        .iter()
        .filter(|act| !act.is_optional())
        .flat_map(|act| act.parts.iter().map(|(row, _)| *row))
        .collect();
    let is_near = |act: &Act| !act.is_optional() || act.parts.iter().any(|(row, _)| levels.contains(row));
    let fewer: Vec<Act> = kept.iter().filter(|act| is_near(act)).cloned().collect();
    if fewer.len() < kept.len() && is_contradiction(base, &fewer) {
        *kept = fewer;
    }
}

/// An operation of whose answer nothing is believed: what it did it may have done, and when it was sent. Nothing is left of a look.
fn forgotten(act: &Act) -> Option<Act> {
    let maybe = |(row, deed): &(u32, Deed)| match deed {
        Deed::Look(_) | Deed::Refusal(..) => None,
        Deed::Change(change, _) | Deed::Maybe(change) => Some((*row, Deed::Maybe(*change))),
    };
    let parts: Vec<_> = act.parts.iter().filter_map(maybe).collect();
    if parts.is_empty() { None } else { Some(Act { parts, returned: NEVER, ..*act }) }
}

fn is_contradiction(base: &[Level], acts: &[Act]) -> bool {
    matches!(search(base, acts, &mut STEPS_MAX.clone()), Ending::Stuck { .. })
}
