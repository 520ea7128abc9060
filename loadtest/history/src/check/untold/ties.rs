//! The levels without versions that operations tie together, laid out for a search over all of them.

use std::collections::HashMap;

use super::super::found::{Findings, Found};
use super::super::index::{Index, Role};
use super::super::scan::Scan;
use super::whole::{Act, Ending, search};
use super::{Deed, NEVER, deed, torn, unversioned, without_version};
use crate::model::Level;

/// How many events of levels without versions may be at hand at once: some 200 bytes each. Beyond, each level is judged by itself.
const EVENTS_MAX: u64 = 1 << 20;

/// Levels without versions whose operations are to be looked at together; none if nothing ties two of them, or they are too many.
pub(in super::super) fn keys(scan: &Scan) -> Option<Vec<u32>> {
    let untold: Vec<u32> =
        (0..).zip(&scan.extents).filter(|(_, extent)| extent.is_untold).map(|(key, _)| key).collect();
    let events: u64 = untold.iter().map(|key| u64::from(scan.extents[*key as usize].events)).sum();
    (untold.len() > 1 && events <= EVENTS_MAX).then_some(untold)
}

/// What part of the steps of a search a search over several levels has: each step is on all that is under way on any of them.
const STEPS_PART: u64 = 4;

/// Looks at the levels of an index, none of which tells versions; answers how many operations on several levels were judged on
/// each of them alone.
pub(in super::super) fn check(index: &Index<'_>, search_steps: u64, findings: &mut Findings) -> u64 {
    let acts = acts(index);
    let component_of = components(index.rows.len(), &acts);
    let mut by_component: HashMap<u32, Vec<Act>> = HashMap::new();
    for act in acts {
        by_component.entry(component_of[act.parts[0].0 as usize]).or_default().push(act);
    }
    let mut parts: Vec<(u32, Vec<Act>)> =
        by_component.into_iter().filter(|(_, acts)| acts.iter().any(|act| act.parts.len() > 1)).collect();
    parts.sort_unstable_by_key(|(component, _)| *component);
    let mut apart = 0;
    // Shared out beforehand, as for single levels.
    let steps = search_steps / STEPS_PART / (parts.len() as u64).max(1);
    for (component, acts) in &parts {
        let rows: Vec<u32> = (0..)
            .zip(&component_of)
            .filter(|(_, of)| *of == component)
            .map(|(row, _): (u32, _)| row)
            .collect();
        if !is_judged(index, &rows, acts, steps, findings) {
            apart += acts.iter().filter(|act| act.parts.len() > 1).count() as u64;
        }
    }
    apart
}

/// Searches for an order of the operations on a few rows; `false` if the bound was reached.
fn is_judged(index: &Index<'_>, rows: &[u32], acts: &[Act], steps: u64, findings: &mut Findings) -> bool {
    let place = |row: u32| {
        rows.binary_search(&row).map_or(u32::MAX, |place| u32::try_from(place).unwrap_or(u32::MAX))
    };
    let acts: Vec<Act> = acts
        .iter()
        .map(|act| Act { parts: act.parts.iter().map(|(row, deed)| (place(*row), *deed)).collect(), ..*act })
        .collect();
    let base: Vec<Level> = rows.iter().map(|row| unversioned(index.rows[*row as usize].base)).collect();
    let mut steps = steps.saturating_add(8 * acts.len() as u64);
    match search(&base, &acts, &mut steps) {
        Ending::Explained => {}
        Ending::GaveUp => return false,
        Ending::Stuck { at, anchor } => {
            let mut torn = torn::shrink(&acts, at, &anchor);
            for (row, _) in &mut torn.before {
                *row = index.rows[rows[*row as usize] as usize].key;
            }
            findings.add(Found::Torn(Box::new(torn)));
        }
    }
    true
}

/// Every operation, by invocation, with its part on each level.
fn acts(index: &Index<'_>) -> Vec<Act> {
    let mut acts: Vec<Act> = Vec::with_capacity(index.events.len());
    let row_of: HashMap<u32, u32> = (0..).zip(&index.rows).map(|(number, row)| (row.key, number)).collect();
    // By record; of a refusal each line is by itself.
    let mut order: Vec<(u32, u32, usize)> = Vec::new();
    for number in index.rows.iter().flat_map(|row| row.events.clone()) {
        let event = &index.events[number];
        let place = if matches!(event.role, Role::Refusal(_)) { event.place } else { 0 };
        order.push((event.record, place, number));
    }
    order.sort_unstable();
    for same in order.chunk_by(|a, b| (a.0, a.1) == (b.0, b.1)) {
        let event = &index.events[same[0].2];
        let part = |(_, _, number): &(u32, u32, usize)| {
            let event = &index.events[*number];
            (row_of[&event.key], deed(index, event))
        };
        let mut parts: Vec<(u32, Deed)> = same.iter().map(part).collect();
        parts.sort_unstable_by_key(|(row, _)| *row);
        acts.push(Act { invoked: event.invoked, returned: event.returned, record: event.record, parts });
    }
    let mut unknown: Vec<(u32, u64, u32, Deed)> = Vec::new();
    for (number, row) in (0..).zip(&index.rows) {
        let of_row = index.scan.unknown_on_untold(row.key);
        unknown.extend(of_row.map(|(invoked, record, change)| {
            (record, invoked, number, Deed::Maybe(without_version(change)))
        }));
    }
    unknown.sort_unstable_by_key(|(record, _, row, _)| (*record, *row));
    for same in unknown.chunk_by(|a, b| a.0 == b.0) {
        let parts = same.iter().map(|(_, _, row, deed)| (*row, *deed)).collect();
        acts.push(Act { invoked: same[0].1, returned: NEVER, record: same[0].0, parts });
    }
    acts.sort_unstable_by_key(|act| (act.invoked, act.returned, act.record));
    acts
}

/// By row: the least row that operations tie it to.
fn components(rows: usize, acts: &[Act]) -> Vec<u32> {
    let mut above: Vec<u32> = (0..).take(rows).collect();
    for act in acts {
        for pair in act.parts.windows(2) {
            let (one, other) = (root(&mut above, pair[0].0), root(&mut above, pair[1].0));
            above[one.max(other) as usize] = one.min(other);
        }
    }
    (0..).take(rows).map(|row| root(&mut above, row)).collect()
}

/// The row that stands for all that are tied to one.
fn root(above: &mut [u32], mut row: u32) -> u32 {
    while above[row as usize] != row {
        above[row as usize] = above[above[row as usize] as usize];
        row = above[row as usize];
    }
    row
}
