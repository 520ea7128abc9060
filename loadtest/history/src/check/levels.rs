//! All levels, a bounded number of them at a time, on every core.
//!
//! A history is linearizable if each of its levels is (Herlihy and Wing 1990), as far as no operation joins levels; so
//! levels can be looked at one after another, and only what ties them together is kept ([`super::joints`]). The log is
//! read once for each *unit* of levels. It is cheaper to read it again than to keep its events: they take four times
//! the memory, and decoding one takes twenty nanoseconds.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::checks::{CHECKS, Left, Subject};
use super::contention;
use super::found::Findings;
use super::index::Index;
use super::joints::Edge;
use super::scan::Scan;
use super::told::Told;
use super::verdict::Summary;
use super::{Limits, workers};
use crate::log::{Log, LogError};

/// How many events all units at hand may have together: 56 bytes each. A single level may have more.
const EVENTS_AT_HAND: usize = 4 << 20;

/// What is known when every level has been looked at by itself.
#[derive(Debug, Default)]
pub(super) struct Levels {
    /// The figures of the levels.
    pub(super) summary: Summary,
    /// What was found.
    pub(super) told: Told,
    /// Levels with versions that writes of unknown outcome have yet to explain, ascending.
    pub(super) open: Vec<u32>,
    /// How many levels without versions there was no order found of, within the bound.
    pub(super) given_up: u64,
    /// What ties levels together; none if anything was found.
    pub(super) edges: Vec<Edge>,
    /// Records of several lines of which a change overlapped another; several times, if on several levels.
    joints: Vec<u32>,
}

/// Looks at every level by itself.
pub(super) fn check(log: &Log, scan: &Scan, limits: &Limits) -> Result<Levels, LogError> {
    check_in_units(log, scan, limits, EVENTS_AT_HAND / workers::count())
}

fn check_in_units(log: &Log, scan: &Scan, limits: &Limits, events_max: usize) -> Result<Levels, LogError> {
    let units = units(scan, events_max);
    let next = AtomicUsize::new(0);
    let parts: Vec<Result<Vec<(usize, Levels)>, LogError>> = workers::run(units.len(), || {
        let mut done = Vec::new();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let Some(keys) = units.get(number) else { return Ok(done) };
            done.push((number, Levels::of(log, scan, limits, keys)?));
        }
    });
    let mut done = Vec::with_capacity(units.len());
    for part in parts {
        done.extend(part?);
    }
    done.sort_unstable_by_key(|(number, _)| *number);
    let mut whole = Levels::default();
    for (_, levels) in done {
        whole.append(levels, limits.violations_listed);
    }
    whole.joints.sort_unstable();
    whole.joints.dedup();
    whole.summary.contended_writes += whole.joints.len() as u64;
    Ok(whole)
}

/// Levels in ascending order, cut where the next would make a unit too big.
fn units(scan: &Scan, events_max: usize) -> Vec<Vec<u32>> {
    let mut units: Vec<Vec<u32>> = Vec::new();
    let mut room = 0;
    for (key, extent) in (0..).zip(&scan.extents) {
        let events = extent.events as usize;
        if events == 0 {
            continue;
        }
        match units.last_mut() {
            Some(unit) if events <= room => unit.push(key),
            _ => {
                units.push(vec![key]);
                room = events_max.max(events);
            }
        }
        room -= events;
    }
    units
}

impl Levels {
    fn of(log: &Log, scan: &Scan, limits: &Limits, keys: &[u32]) -> Result<Self, LogError> {
        let index = Index::new(log, scan, keys)?;
        let mut levels = Self::default();
        let mut findings = Findings::default();
        // Shared out beforehand, so that a verdict does not depend on who came first.
        let search_steps = limits.search_steps / (scan.levels_untold() as u64).max(1);
        for row in &index.rows {
            contention::count(&index, row, &mut levels.summary, &mut levels.joints);
            let subject = Subject::new(&index, row, search_steps);
            let mut left = Left::default();
            for check in CHECKS.iter().filter(|check| check.concerns(row)) {
                left = left.and(check.look(&subject, left, &mut findings));
            }
            levels.leave(row.key, left);
            if scan.joins_levels && !row.is_untold && findings.is_empty() {
                Edge::of_level(&index, row, &mut levels.edges);
            }
        }
        levels.joints.sort_unstable();
        levels.joints.dedup();
        levels.told.add(&index, findings, limits.violations_listed);
        Ok(levels)
    }

    /// Notes what the checks left open of a level.
    fn leave(&mut self, key: u32, left: Left) {
        if left.has_missing {
            self.open.push(key);
        }
        self.given_up += u64::from(left.gave_up);
        self.summary.residual.add(left.residual);
    }

    fn append(&mut self, mut other: Self, listed: usize) {
        self.summary.add(&other.summary);
        self.told.append(other.told, listed);
        self.open.append(&mut other.open);
        self.given_up += other.given_up;
        self.joints.append(&mut other.joints);
        if self.told.is_empty() {
            self.edges.append(&mut other.edges);
        } else {
            self.edges = Vec::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::scan;
    use super::*;
    use crate::plant::Fault;
    use crate::sample::{self, Shape};

    /// However levels are put together, the same is found and counted, in the same order.
    #[test]
    fn the_size_of_a_unit_changes_nothing() {
        let good = sample::history(&Shape { keys: 40, operations: 4_000, ..Shape::default() });
        for fault in [None, Some(Fault::LoseUpdate), Some(Fault::Swap), Some(Fault::Tear)] {
            let planted = fault.and_then(|fault| fault.plant(&good, 11));
            let log = Log::from(planted.as_ref().unwrap_or(&good));
            let scan = scan::scan(&log).expect("a log in memory");
            let limits = Limits::default();
            let [all, ref others @ ..] = [1_000_000, 1, 300, 1_000].map(|events_max| {
                let levels = check_in_units(&log, &scan, &limits, events_max).expect("a log in memory");
                (levels.summary, levels.open, levels.told.by_kind(), levels.told.into_listed())
            });
            assert_eq!(all.2.is_empty(), planted.is_none());
            for other in others {
                assert_eq!(other, &all);
            }
        }
    }

    #[test]
    fn a_unit_has_no_more_events_than_allowed_unless_of_one_level() {
        let log = Log::from(&sample::history(&Shape { keys: 40, operations: 4_000, ..Shape::default() }));
        let scan = scan::scan(&log).expect("a log in memory");
        let events =
            |keys: &Vec<u32>| -> u32 { keys.iter().map(|key| scan.extents[*key as usize].events).sum() };
        let cut = units(&scan, 500);
        assert!(cut.len() > 5 && cut.iter().all(|unit| unit.len() == 1 || events(unit) <= 500), "{cut:?}");
        assert_eq!(cut.concat(), (0..40).collect::<Vec<u32>>());
        assert_eq!(units(&scan, 1).len(), 40);
    }
}
