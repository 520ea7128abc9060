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
    /// The levels were as told, all at once.
    SawAll(&'h [Seen]),
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
    }
    let Some(records) = once_each(&history.records) else { return Some(false) };
    for record in &records {
        add_steps(record, &mut steps);
    }
    if steps.len() > OPERATIONS_MAX {
        return None;
    }
    let world = opening(history);
    let is_sound = world.levels.iter().all(|level| level.is_sound());
    Some(is_sound && can_finish(&steps, &mut vec![false; steps.len()], &world))
}

/// The records with all attempts under one key as one operation; nothing if two of them were answered, and not alike.
fn once_each(records: &[Record]) -> Option<Vec<Record>> {
    let is_attempt = |record: &&Record| {
        record.once.is_some()
            && matches!(record.request, Request::Write(_))
            && matches!(record.outcome, Outcome::Applied(_) | Outcome::Refused(_) | Outcome::Unknown)
    };
    let mut each = Vec::new();
    for record in records {
        if !is_attempt(&record) {
            each.push(record.clone());
            continue;
        }
        let others = || records.iter().filter(is_attempt).filter(|other| other.once == record.once);
        let answered = || others().filter(|other| other.outcome != Outcome::Unknown);
        let told = |record: &Record| (record.request.clone(), in_order(&record.outcome));
        if answered().any(|one| answered().any(|other| told(one) != told(other))) {
            return None;
        }
        // All times from the first attempt to the first answer, told once: in place of the first of its records.
        let same: Vec<&Record> = others().filter(|other| other.request == record.request).collect();
        if std::ptr::eq(same[0], record) {
            let answers = same.iter().filter(|attempt| attempt.outcome != Outcome::Unknown);
            let mut whole = Record::clone(answers.min_by_key(|answer| answer.returned_ns).unwrap_or(&record));
            whole.invoked_ns = same.iter().map(|attempt| attempt.invoked_ns).min()?;
            each.push(whole);
        }
    }
    Some(each)
}

/// An answer with what it tells in the order of the levels.
fn in_order(outcome: &Outcome) -> Outcome {
    let mut outcome = outcome.clone();
    match &mut outcome {
        Outcome::Applied(seen) => seen.sort_by_key(|seen| seen.key),
        Outcome::Refused(refused) => refused.sort_by_key(|refused| refused.seen.key),
        _ => {}
    }
    outcome
}

fn add_steps<'h>(record: &'h Record, steps: &mut Vec<Step<'h>>) {
    let (invoked, returned) = (record.invoked_ns, Some(record.returned_ns));
    match (&record.request, &record.outcome) {
        (_, Outcome::Read(seen)) => steps.push(Step { invoked, returned, what: What::Saw(seen) }),
        (_, Outcome::Snapshot { levels, .. }) => {
            steps.push(Step { invoked, returned, what: What::SawAll(levels) });
        }
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
                Outcome::Read(_) | Outcome::Snapshot { .. } | Outcome::NotApplied => {}
            }
        }
        (Request::Read(_) | Request::Snapshot(_), _) => {}
    }
}

/// The levels as reads show them that were answered before any write was sent.
fn opening(history: &History) -> World {
    let mut world = World::empty(history.keys.len());
    let mut is_told = vec![false; history.keys.len()];
    for record in &history.records {
        let seen = match &record.outcome {
            Outcome::Read(seen) => std::slice::from_ref(seen),
            Outcome::Snapshot { levels, .. } => levels,
            _ => continue,
        };
        let is_opening = history.records.iter().all(|other| {
            !matches!(other.request, Request::Write(_)) || record.returned_ns < other.invoked_ns
        });
        for seen in seen {
            let key = seen.key.0 as usize;
            let Some(level) = Level::told(seen).filter(|_| is_opening) else { continue };
            if !is_told[key] || level.version < world.levels[key].version {
                world.levels[key] = level;
                is_told[key] = true;
            }
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
        What::SawAll(seen) => seen.iter().all(|seen| is_so(seen).is_some()).then(|| world.clone()),
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
