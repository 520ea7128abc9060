//! Nobody is served before an order that was known to wait for the same level, and is before it by the queue's discipline.
//!
//! The rank of an order is made of its name, which says when it was placed, and of its priority; so it is known from outside. Of two orders
//! that share a level the one with the better rank must not be overtaken if it was shown to wait *before* the other can have begun to be
//! served: before that was placed, or long enough before something that came before it for certain. Who was served first is said by the level itself,
//! whose movements are in order in any ledger, and never by the numbers of two levels. For each level all orders are swept by that
//! instant; those that were known to wait by then are in a Fenwick tree by rank, with how long they waited, and one look into it says
//! whether somebody better was passed over: O(n log n) in all.

use super::finding::{Fault, Findings};
use super::looks::Known;
use super::orders::{Fate, Fates};
use super::{Ask, Books, Ledger, Name, OrderState, Told, Turns};

/// An order that is being tried when a better one begins to wait may still be served: it is given so long.
const TRIED_NS: u64 = 250_000_000;

/// Priorities are from 0 to this.
const PRIORITY_MAX: u64 = 9;

/// Who is before whom: the lower.
type Rank = (u64, u128);

/// An order that is known to wait for a level.
struct Waiter {
    since_ns: u64,
    rank: Rank,
    /// It is passed over by what the ledger has of the level before this.
    until: usize,
    name: Name,
}

/// An order that took units of a level.
struct Served {
    /// It cannot have begun to be served before.
    from_ns: u64,
    rank: Rank,
    at: usize,
    name: Name,
}

pub(super) fn judge(
    books: &Books,
    ledger: &Ledger<'_>,
    fates: &Fates,
    known: &Known,
    findings: &mut Findings,
) {
    if books.turns == Turns::Untold {
        return;
    }
    let mut waiters: Vec<Vec<Waiter>> = books.levels.iter().map(|_| Vec::new()).collect();
    let mut served: Vec<Vec<Served>> = books.levels.iter().map(|_| Vec::new()).collect();
    for (&name, fate) in fates {
        let rank = rank(name, fate, books.turns);
        for line in &fate.lines {
            if let Some(since_ns) = fate.seen_waiting_ns {
                let until = until(fate, line.level, ledger, known);
                waiters[line.level].push(Waiter { since_ns, rank, until, name });
            }
            if let Some(at) = taken(fate, line.level, ledger) {
                let after_ns = known.possible[at].ns.saturating_sub(TRIED_NS);
                let from_ns = books.told[fate.placed].asked_ns.max(after_ns);
                served[line.level].push(Served { from_ns, rank, at, name });
            }
        }
    }
    for (level, (waiters, served)) in waiters.iter_mut().zip(&mut served).enumerate() {
        for (first, waited) in overtaken(waiters, served) {
            findings.add(Fault::Overtaken, || {
                let (level, seq) = (&books.levels[level], ledger.at(first.at).seq);
                let (by, name) = (first.name, waited);
                format!("order {name} waited for {level} and was next, and order {by} was served before it, by movement {seq}")
            });
        }
    }
    // One that nobody knows of may be before all others.
    let is_unknown = |told: &Told| matches!(told.ask, Ask::Order { .. }) && !told.is_answered();
    if !books.told.iter().any(is_unknown) {
        slept_through(books, ledger, fates, findings);
    }
}

/// The movement with which an order took its units of a level.
fn taken(fate: &Fate, level: usize, ledger: &Ledger<'_>) -> Option<usize> {
    fate.taken.iter().copied().find(|&at| ledger.at(at).level == level)
}

/// Up to where in the ledger of a level it is certain that an order waited.
fn until(fate: &Fate, level: usize, ledger: &Ledger<'_>, known: &Known) -> usize {
    match (fate.taken.is_empty(), fate.last_seen, fate.cancel_asked_ns) {
        // One that took units, and none of this level, is torn, and found to be that.
        (false, ..) => taken(fate, level, ledger).unwrap_or(0),
        (true, OrderState::Cancelled, Some(asked_ns)) => known.made_before(ledger, level, asked_ns),
        (true, OrderState::Backordered, _) => usize::MAX,
        _ => 0,
    }
}

fn rank(name: Name, fate: &Fate, turns: Turns) -> Rank {
    match turns {
        Turns::Untold | Turns::Fifo => (0, name.0),
        Turns::Lifo => (0, !name.0),
        Turns::Priority { ageing_ms } => {
            // RFC 9562: the first 48 bits of a name are the milliseconds at which it was given.
            let placed_ms = u64::try_from(name.0 >> 80).unwrap_or(u64::MAX);
            let behind_ms = ageing_ms.saturating_mul(PRIORITY_MAX.saturating_sub(fate.priority.into()));
            (placed_ms.saturating_add(behind_ms), name.0)
        }
    }
}

/// Who was served although somebody better waited, and who that was.
fn overtaken<'s>(waiters: &mut [Waiter], served: &'s mut [Served]) -> Vec<(&'s Served, Name)> {
    let mut ranks: Vec<Rank> = waiters.iter().map(|waiter| waiter.rank).collect();
    ranks.sort_unstable();
    waiters.sort_unstable_by_key(|waiter| waiter.since_ns);
    served.sort_unstable_by_key(|served| served.from_ns);
    let (mut tree, mut known) = (Maxima::new(ranks.len()), 0);
    let mut overtaken = Vec::new();
    for served in &*served {
        while let Some(waiter) = waiters.get(known).filter(|waiter| waiter.since_ns < served.from_ns) {
            tree.raise(ranks.partition_point(|rank| *rank < waiter.rank), (waiter.until, waiter.name));
            known += 1;
        }
        let better = ranks.partition_point(|rank| *rank < served.rank);
        if let Some((_, name)) = tree.max_before(better).filter(|(until, _)| *until > served.at) {
            overtaken.push((served, name));
        }
    }
    overtaken
}

/// The maximum over the first so many places, while places are raised (Fenwick, *A New Data Structure for Cumulative Frequency Tables*, 1994).
struct Maxima(Vec<Option<(usize, Name)>>);

impl Maxima {
    fn new(places: usize) -> Self {
        Self(vec![None; places + 1])
    }

    fn raise(&mut self, place: usize, to: (usize, Name)) {
        let mut node = place + 1;
        while node < self.0.len() {
            self.0[node] = self.0[node].max(Some(to));
            node += node & node.wrapping_neg();
        }
    }

    /// Of all places before that one.
    fn max_before(&self, place: usize) -> Option<(usize, Name)> {
        let (mut node, mut max) = (place, None);
        while node > 0 {
            max = max.max(self.0[node]);
            node &= node - 1;
        }
        max
    }
}

/// The first in every one of its lines does not wait for what is there when all is quiet.
fn slept_through(books: &Books, ledger: &Ledger<'_>, fates: &Fates, findings: &mut Findings) {
    let mut waiting: Vec<(Rank, Name, &Fate)> = fates
        .iter()
        .filter(|(_, fate)| fate.last_seen == OrderState::Backordered && fate.taken.is_empty())
        .map(|(&name, fate)| (rank(name, fate, books.turns), name, fate))
        .collect();
    waiting.sort_unstable_by_key(|(rank, ..)| *rank);
    let available = |level: usize| {
        let last = ledger.of_level(level).last().map(|&at| ledger.at(at).after);
        last.map_or(0, |(on_hand, reserved)| on_hand.saturating_sub(reserved))
    };
    let mut has_first = vec![false; books.levels.len()];
    for (_, name, fate) in waiting {
        let is_first = fate.lines.iter().all(|line| !has_first[line.level]);
        if is_first && fate.lines.iter().all(|line| available(line.level) >= line.units) {
            findings.add(Fault::SleptThrough, || {
                format!("order {name} is next, all it wants is there, and it waits")
            });
        }
        for line in &fate.lines {
            has_first[line.level] = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_maximum_over_the_first_places_is_the_maximum() {
        let mut tree = Maxima::new(9);
        let mut plain = [None; 9];
        for (place, until) in [(4, 7), (0, 3), (8, 9), (3, 1), (4, 2), (6, 8), (0, 5)] {
            let to = (until, Name(until as u128));
            tree.raise(place, to);
            plain[place] = plain[place].max(Some(to));
            for end in 0..=9 {
                assert_eq!(tree.max_before(end), plain[..end].iter().copied().flatten().max());
            }
        }
    }
}
