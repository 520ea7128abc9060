//! Why a sweep is stuck: a circle of operations each of which has to come before the next.

use std::collections::{HashMap, HashSet, VecDeque};

use super::problem::{Entry, Touch};
use super::sweep::Sweep;

/// Operations that each have to come before the next, and the last before the first.
#[derive(Debug, Clone)]
pub(super) struct Cycle {
    pub(super) links: Vec<Link>,
    /// Whether one of them is a consistent read of several levels.
    pub(super) has_snapshot: bool,
}

/// One operation of a cycle, and why it comes before the next.
#[derive(Debug, Clone, Copy)]
pub(super) struct Link {
    /// Its number in the history.
    pub(super) record: u32,
    pub(super) because: Because,
}

/// Why one operation comes before another.
#[derive(Debug, Clone, Copy)]
pub(super) enum Because {
    /// It was answered before the other was sent.
    RealTime,
    /// On a level, by these events of the index.
    Level { event: u32, next: u32 },
}

/// Finds a short circle among the operations that have not run, if it is a circle that keeps them.
///
/// Whoever was sent too late waits for the operation that was answered first, so every circle through real time can
/// be told as one through that operation; a breadth-first search from it finds the shortest. A circle of levels alone
/// is found by walking until an operation comes up again, and shortened in the same way.
pub(super) fn find(sweep: &Sweep<'_>) -> Option<Cycle> {
    let start = sweep.blocking()?;
    shortest_through(sweep, start).or_else(|| shortest_through(sweep, walk(sweep, start)?))
}

fn shortest_through(sweep: &Sweep<'_>, target: u32) -> Option<Cycle> {
    let mut next_of: HashMap<u32, (u32, Because)> = HashMap::new();
    let mut queue = VecDeque::from([target]);
    let mut waits = Vec::new();
    while let Some(node) = queue.pop_front() {
        waits.clear();
        waits_for(sweep, node, &mut waits);
        for (before, because) in waits.drain(..) {
            if before == target {
                return Some(close(sweep, target, (node, because), &next_of));
            }
            next_of.entry(before).or_insert_with(|| {
                queue.push_back(before);
                (node, because)
            });
        }
    }
    None
}

/// Reads a circle off: from the target to the operation that closed it, and along the links back to the target.
fn close(
    sweep: &Sweep<'_>,
    target: u32,
    first: (u32, Because),
    next_of: &HashMap<u32, (u32, Because)>,
) -> Cycle {
    let record = |local: u32| sweep.problem.nodes[local as usize].record;
    let (mut at, because) = first;
    let mut links = vec![Link { record: record(target), because }];
    let mut has_snapshot = is_snapshot(sweep, target);
    while at != target {
        let Some((next, because)) = next_of.get(&at) else { break };
        links.push(Link { record: record(at), because: *because });
        has_snapshot |= is_snapshot(sweep, at);
        at = *next;
    }
    Cycle { links, has_snapshot }
}

fn is_snapshot(sweep: &Sweep<'_>, node: u32) -> bool {
    let touches = sweep.problem.touches(node);
    touches.len() > 1 && touches.iter().all(|touch| !sweep.problem.entries[touch.entry as usize].is_change)
}

/// Goes from one operation to one it waits for until one comes up again.
fn walk(sweep: &Sweep<'_>, start: u32) -> Option<u32> {
    let mut met = HashSet::new();
    let mut at = start;
    let mut waits = Vec::new();
    while met.insert(at) {
        waits.clear();
        waits_for(sweep, at, &mut waits);
        at = waits.first()?.0;
    }
    Some(at)
}

/// The operations that have not run and have to run right before this one, and why.
fn waits_for(sweep: &Sweep<'_>, node: u32, waits: &mut Vec<(u32, Because)>) {
    for touch in sweep.problem.touches(node) {
        waits_on_level(sweep, *touch, waits);
    }
    if !sweep.is_released(node)
        && let Some(first) = sweep.blocking()
    {
        waits.push((first, Because::RealTime));
    }
}

/// On a level: the change that made what it saw, or those who saw the version that it changed; below missing versions,
/// whatever comes next.
fn waits_on_level(sweep: &Sweep<'_>, touch: Touch, waits: &mut Vec<(u32, Because)>) {
    let problem = sweep.problem;
    let Entry { event: next, mut version, is_change, .. } = problem.entries[touch.entry as usize];
    let before = waits.len();
    let mut wait = |entry: u32| {
        let entry = problem.entries[entry as usize];
        if !sweep.has_run(entry.node) {
            waits.push((entry.node, Because::Level { event: entry.event, next }));
        }
        waits.len()
    };
    let maker = problem.group(touch.row, version).and_then(|group| group.change);
    if let Some(change) = maker.filter(|_| !is_change) {
        wait(change);
        return;
    }
    while version > sweep.cursor(touch.row).level.version {
        version -= 1;
        let Some(group) = problem.group(touch.row, version) else { return };
        let waiting = (group.looks.0..group.looks.1).map(&mut wait).max();
        if waiting.is_some_and(|waiting| waiting > before) {
            return;
        }
        if let Some(change) = group.change {
            wait(change);
            return;
        }
    }
}
