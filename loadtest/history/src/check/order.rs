//! Across levels: one order of all operations, and places in it for writes of unknown outcome.
//!
//! Only reached when every level by itself is in order, so that the versions are a total order of each level's changes.

use super::cycle;
use super::found::{Findings, Found};
use super::index::Index;
use super::problem::Problem;
use super::scan::Scan;
use super::search::{self, Explanation, Obstacle};
use super::sweep::{Mode, Progress, Sweep};
use super::verdict::Residual;
use crate::model::Change;

/// How the writes of unknown outcome fared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unknowns {
    /// This many of them happened, and nothing is left to explain. Also if a violation was found.
    Explained(u64),
    /// The bound of the search was reached.
    GaveUp,
}

/// Levels with missing versions, and those that writes of unknown outcome tie to them.
struct Component {
    /// Ascending.
    keys: Vec<u32>,
    /// Numbers of the index's unknown writes, ascending.
    unknown: Vec<u32>,
}

/// The levels (ascending) that an index has to hold for [`check`]: those with versions yet to be explained and what
/// writes of unknown outcome tie to them, or all if applied writes tie levels together.
pub(super) fn levels(scan: &Scan, open: &[u32]) -> Vec<u32> {
    if scan.joins_levels {
        let is_told = |key: &u32| !scan.extents[*key as usize].is_untold;
        return (0..).take(scan.extents.len()).filter(is_told).collect();
    }
    let mut keys: Vec<u32> = components(scan, open).into_iter().flat_map(|part| part.keys).collect();
    keys.sort_unstable();
    keys
}

/// What could hide on the open levels: all that writes of unknown outcome could have done to them.
pub(super) fn residual(scan: &Scan, open: &[u32]) -> Residual {
    let mut residual = Residual::default();
    for (key, change) in scan.unknown.iter().flat_map(|unknown| &unknown.changes) {
        if open.binary_search(&key.0).is_ok() {
            let units_max = match change {
                Change::Add { units, .. } => units.unsigned_abs(),
                Change::Create { on_hand } => *on_hand,
                Change::Count { .. } | Change::Delete => 1,
            };
            residual.add(Residual { unknown: 1, units_max });
        }
    }
    residual
}

/// Looks for an order of everything; `open` are the keys with versions yet to be explained.
pub(super) fn check(index: &Index<'_>, open: &[u32], search_steps: u64, findings: &mut Findings) -> Unknowns {
    let components = components(index.scan, open);
    let whole = index.scan.joins_levels.then(|| {
        let keys: Vec<u32> = index.rows.iter().map(|row| row.key).collect();
        let mut unknown: Vec<u32> = components.iter().flat_map(|part| part.unknown.iter().copied()).collect();
        unknown.sort_unstable();
        Problem::new(index, &keys, &unknown)
    });
    if let Some(whole) = &whole {
        let mut sweep = Sweep::new(whole, Mode::OrderOnly);
        if sweep.run() == Progress::Stuck {
            findings.extend(cycle::find(&sweep).map(Found::Cycle));
            return Unknowns::Explained(0);
        }
    }
    // Each component by itself first: what fails there fails in the whole, and is told where it is.
    let mut steps_left = search_steps;
    let mut unknowns = Unknowns::Explained(0);
    for Component { keys, unknown } in &components {
        let problem = Problem::new(index, keys, unknown);
        unknowns = unknowns.and(explain(&problem, &mut steps_left, findings));
    }
    match whole {
        Some(whole) if !components.is_empty() && findings.is_empty() && unknowns != Unknowns::GaveUp => {
            explain(&whole, &mut steps_left, findings)
        }
        _ => unknowns,
    }
}

impl Unknowns {
    fn and(self, other: Unknowns) -> Unknowns {
        match (self, other) {
            (Unknowns::Explained(some), Unknowns::Explained(more)) => Unknowns::Explained(some + more),
            _ => Unknowns::GaveUp,
        }
    }
}

fn explain(problem: &Problem<'_>, steps_left: &mut u64, findings: &mut Findings) -> Unknowns {
    match search::explain(problem, steps_left) {
        Explanation::Explained { applied } => Unknowns::Explained(applied),
        Explanation::GaveUp => Unknowns::GaveUp,
        Explanation::None(obstacle) => {
            findings.add(match obstacle {
                Obstacle::Missing(gap) => Found::Missing(gap),
                Obstacle::Cycle(cycle) => Found::Cycle(cycle),
            });
            Unknowns::Explained(0)
        }
    }
}

/// Groups the open keys with all keys that writes of unknown outcome join to them.
fn components(scan: &Scan, open: &[u32]) -> Vec<Component> {
    let mut by_key: Vec<(u32, u32)> = Vec::new();
    for (number, unknown) in (0..).zip(&scan.unknown) {
        by_key.extend(unknown.changes.iter().map(|(key, _)| (key.0, number)));
    }
    by_key.sort_unstable();
    let mut has_key = vec![false; scan.extents.len()];
    let mut has_unknown = vec![false; scan.unknown.len()];
    let mut components = Vec::new();
    for key in open {
        let mut part = Component { keys: Vec::new(), unknown: Vec::new() };
        let mut next = vec![*key];
        while let Some(key) = next.pop() {
            if std::mem::replace(&mut has_key[key as usize], true) {
                continue;
            }
            part.keys.push(key);
            let start = by_key.partition_point(|(other, _)| *other < key);
            for (_, number) in by_key[start..].iter().take_while(|(other, _)| *other == key) {
                if !std::mem::replace(&mut has_unknown[*number as usize], true) {
                    part.unknown.push(*number);
                    next.extend(scan.unknown[*number as usize].changes.iter().map(|(key, _)| key.0));
                }
            }
        }
        if !part.keys.is_empty() {
            part.keys.sort_unstable();
            part.unknown.sort_unstable();
            components.push(part);
        }
    }
    components
}
