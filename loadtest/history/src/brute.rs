//! Linearizability by trying every order: slow, obvious, and the judge of the checker.
//!
//! It knows the model and nothing of the checker: no version order, no graph, no bound but the number of operations.
//! An operation may be next if no other that still has to come was answered before it was sent; a write of unknown
//! outcome may be next or be left out. Versions are part of the answers, so they have to come out right, too.

use crate::model::{self, Change, Level, World};
use crate::record::{History, Key, Outcome, Reason, Record, Request, Seen};
use crate::shape;

/// The most operations that are tried: 12 orders freely in half a thousand million ways, but few survive a few steps.
pub const OPERATIONS_MAX: usize = 12;

/// Something that happened at one moment.
struct Step<'h> {
    invoked: u64,
    /// Nothing for a write of unknown outcome: it may happen late, or never.
    returned: Option<u64>,
    what: What<'h>,
}

enum What<'h> {
    /// The level was as told.
    Saw(&'h Seen),
    /// The level was as told and refused the change.
    Refused(&'h Seen, Change, Reason),
    /// The changes were made; if an answer came, it told this.
    Changed(Vec<(Key, Change)>, Option<&'h [Seen]>),
}

/// Whether some order explains a history; nothing if it has more than [`OPERATIONS_MAX`] steps (each line of a
/// refusal is one).
pub fn is_linearizable(history: &History) -> Option<bool> {
    let mut steps = Vec::new();
    for record in &history.records {
        if shape::defect(&record.into(), history.keys.len()).is_some() {
            return Some(false);
        }
        add_steps(record, &mut steps);
    }
    if steps.len() > OPERATIONS_MAX {
        return None;
    }
    let world = opening(history);
    let is_sound = world.levels.iter().all(|level| level.is_sound());
    Some(is_sound && can_finish(&steps, &mut vec![false; steps.len()], &world))
}

fn add_steps<'h>(record: &'h Record, steps: &mut Vec<Step<'h>>) {
    let (invoked, returned) = (record.invoked_ns, Some(record.returned_ns));
    match (&record.request, &record.outcome) {
        (_, Outcome::Read(seen)) => steps.push(Step { invoked, returned, what: What::Saw(seen) }),
        (Request::Write(lines), outcome) => {
            let Ok(changes) = model::combine(lines) else { return };
            match outcome {
                Outcome::Applied(seen) => {
                    steps.push(Step { invoked, returned, what: What::Changed(changes, Some(seen)) });
                }
                Outcome::Unknown => {
                    steps.push(Step { invoked, returned: None, what: What::Changed(changes, None) });
                }
                Outcome::Refused(refused) => {
                    for line in refused {
                        let change = changes.iter().find(|(key, _)| *key == line.seen.key);
                        let Some((_, change)) = change else { continue };
                        let what = What::Refused(&line.seen, *change, line.reason);
                        steps.push(Step { invoked, returned, what });
                    }
                }
                Outcome::Read(_) | Outcome::NotApplied => {}
            }
        }
        (Request::Read(_), _) => {}
    }
}

/// The levels as reads show them that were answered before any write was sent.
fn opening(history: &History) -> World {
    let mut world = World::empty(history.keys.len());
    let mut is_told = vec![false; history.keys.len()];
    for record in &history.records {
        let (Request::Read(_), Outcome::Read(seen)) = (&record.request, &record.outcome) else { continue };
        let is_opening = history
            .records
            .iter()
            .all(|other| matches!(other.request, Request::Read(_)) || record.returned_ns < other.invoked_ns);
        let key = seen.key.0 as usize;
        let Some(level) = Level::told(seen).filter(|_| is_opening) else { continue };
        if !is_told[key] || level.version < world.levels[key].version {
            world.levels[key] = level;
            is_told[key] = true;
        }
    }
    world
}

fn can_finish(steps: &[Step<'_>], is_done: &mut [bool], world: &World) -> bool {
    let left = |at: &usize| !is_done[*at];
    let deadline = (0..steps.len()).filter(left).filter_map(|at| steps[at].returned).min();
    let Some(deadline) = deadline else { return true };
    for at in 0..steps.len() {
        if is_done[at] || steps[at].invoked > deadline {
            continue;
        }
        let Some(next) = after(&steps[at].what, world) else { continue };
        is_done[at] = true;
        if can_finish(steps, is_done, &next) {
            return true;
        }
        is_done[at] = false;
    }
    false
}

/// The world after a step, if the step can happen now.
fn after(what: &What<'_>, world: &World) -> Option<World> {
    let is_so = |seen: &Seen| {
        let level = world.levels[seen.key.0 as usize];
        (level.version == seen.version && level.shows(seen.stock)).then_some(level)
    };
    match what {
        What::Saw(seen) => is_so(seen).map(|_| world.clone()),
        What::Refused(seen, change, reason) => {
            is_so(seen).filter(|level| level.refuses(*change, *reason)).map(|_| world.clone())
        }
        What::Changed(changes, told) => {
            let mut next = world.clone();
            next.apply(changes).ok()?;
            let fits = |seen: &Seen| {
                let level = next.levels[seen.key.0 as usize];
                level.version == seen.version && level.shows(seen.stock)
            };
            told.is_none_or(|told| told.iter().all(fits)).then_some(next)
        }
    }
}
