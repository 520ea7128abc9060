//! A linearizability checker that shares no line with the one that is tested: not its model, its records' views, its logs, nor its
//! way of searching.
//!
//! After Wing and Gong ("Testing and verifying concurrent objects", 1993), with the memory of Lowe (2017): of the operations
//! that nothing else has to come before, each is tried next; a state that was reached with the same operations done is not
//! tried again. The rules of a stock level are written down here once more, from the words of the promises.

use std::collections::{BTreeMap, HashSet};

use history::{Effect, History, Outcome, Reason, Record, Request, Seen, Stock};

/// A level: units if it is there, and how many changes it has had.
type State = Vec<(Option<i128>, u64)>;

/// One thing that took place at one moment.
struct Step<'h> {
    sent: u64,
    answered: u64,
    record: &'h Record,
    /// Of a refusal: which of its lines.
    line: usize,
}

/// Whether some order explains a history; nothing reserved, no version or every version told.
pub(crate) fn is_linearizable(history: &History) -> bool {
    let mut steps = Vec::new();
    let Some(records) = with_attempts_as_one(&history.records) else { return false };
    for record in &records {
        let lines = match &record.outcome {
            Outcome::NotApplied => 0,
            Outcome::Refused(lines) => lines.len(),
            Outcome::Unknown if !matches!(record.request, Request::Write(_)) => 0,
            Outcome::Read(_) | Outcome::Snapshot { .. } | Outcome::Applied(_) | Outcome::Unknown => 1,
        };
        let answered = if record.outcome == Outcome::Unknown { u64::MAX } else { record.returned_ns };
        steps.extend((0..lines).map(|line| Step { sent: record.invoked_ns, answered, record, line }));
    }
    let start = beginning(history);
    steps.sort_by_key(|step| step.sent);
    let mut seen = HashSet::new();
    let mut pending = vec![(vec![false; steps.len()], start)];
    while let Some((done, state)) = pending.pop() {
        let left = || (0..steps.len()).filter(|at| !done[*at]);
        // What was never answered need not take place.
        if left().all(|at| steps[at].answered == u64::MAX) {
            return true;
        }
        let first_answer = left().map(|at| steps[at].answered).min().unwrap_or(u64::MAX);
        for at in left().filter(|at| steps[*at].sent <= first_answer) {
            let Some(next) = take(&steps[at], &state) else { continue };
            let mut done = done.clone();
            done[at] = true;
            if seen.insert((done.clone(), next.clone())) {
                pending.push((done, next));
            }
        }
    }
    false
}

/// The records, those of one key as one: from the first that was sent to the first that was answered. Nothing if two of them
/// contradict each other.
fn with_attempts_as_one(records: &[Record]) -> Option<Vec<Record>> {
    let mut by_key: BTreeMap<u64, Vec<Record>> = BTreeMap::new();
    let mut whole = Vec::new();
    for record in records {
        match (record.once, &record.request, &record.outcome) {
            (Some(key), Request::Write(_), Outcome::Applied(_) | Outcome::Refused(_) | Outcome::Unknown) => {
                by_key.entry(key).or_default().push(record.clone());
            }
            _ => whole.push(record.clone()),
        }
    }
    for mut attempts in by_key.into_values() {
        attempts.sort_by_key(|attempt| attempt.returned_ns);
        let is_answered = |attempt: &&Record| attempt.outcome != Outcome::Unknown;
        let answer = attempts.iter().find(is_answered).cloned();
        for attempt in attempts.iter().filter(is_answered) {
            let first = answer.as_ref()?;
            if (&attempt.request, told(&attempt.outcome)) != (&first.request, told(&first.outcome)) {
                return None;
            }
        }
        let mut requests: Vec<&Request> = Vec::new();
        for attempt in &attempts {
            if !requests.contains(&&attempt.request) {
                requests.push(&attempt.request);
            }
        }
        for request in requests {
            let same = || attempts.iter().filter(|attempt| attempt.request == *request);
            let stands = same().find(is_answered).or_else(|| same().next())?;
            let invoked_ns = same().map(|attempt| attempt.invoked_ns).min()?;
            whole.push(Record { invoked_ns, ..stands.clone() });
        }
    }
    Some(whole)
}

/// What an answer tells, in no order: applied or not, and of which level what.
fn told(outcome: &Outcome) -> (bool, BTreeMap<u32, (Seen, Option<Reason>)>) {
    match outcome {
        Outcome::Applied(seen) => (true, seen.iter().map(|seen| (seen.key.0, (*seen, None))).collect()),
        Outcome::Refused(lines) => {
            (false, lines.iter().map(|line| (line.seen.key.0, (line.seen, Some(line.reason)))).collect())
        }
        _ => (false, BTreeMap::new()),
    }
}

/// What reads show that were answered before anything was written.
fn beginning(history: &History) -> State {
    let is_write = |record: &&Record| matches!(record.request, Request::Write(_));
    let first = history.records.iter().filter(is_write).map(|record| record.invoked_ns).min();
    let mut state = vec![(None, 0); history.keys.len()];
    let mut known: BTreeMap<u32, u64> = BTreeMap::new();
    for record in &history.records {
        let all = match &record.outcome {
            Outcome::Read(seen) => vec![*seen],
            Outcome::Snapshot { levels, .. } => levels.clone(),
            _ => continue,
        };
        if first.is_some_and(|first| record.returned_ns >= first) {
            continue;
        }
        for seen in all {
            let units = match seen.stock {
                Stock::Absent => None,
                Stock::Level { on_hand, .. } => Some(i128::from(on_hand)),
                Stock::Available(_) | Stock::Untold => continue,
            };
            let version = if seen.version == u64::MAX { 0 } else { seen.version };
            if known.get(&seen.key.0).is_none_or(|known| version < *known) {
                known.insert(seen.key.0, version);
                state[seen.key.0 as usize] = (units, version);
            }
        }
    }
    state
}

/// The state after a step, if it can be taken.
fn take(step: &Step<'_>, state: &State) -> Option<State> {
    match (&step.record.request, &step.record.outcome) {
        (_, Outcome::Read(seen)) => is_as_told(state, seen).then(|| state.clone()),
        (_, Outcome::Snapshot { levels, .. }) => {
            levels.iter().all(|seen| is_as_told(state, seen)).then(|| state.clone())
        }
        (Request::Write(_), Outcome::Refused(lines)) => {
            let told = &lines[step.line];
            let key = told.seen.key.0 as usize;
            (is_as_told(state, &told.seen) && is_true(told.reason, step.record, key, state[key]))
                .then(|| state.clone())
        }
        (Request::Write(_), outcome) => {
            let next = written(step.record, state)?;
            match outcome {
                Outcome::Applied(told) => told.iter().all(|seen| is_as_told(&next, seen)).then_some(next),
                _ => Some(next),
            }
        }
        (Request::Read(_) | Request::Snapshot(_), _) => None,
    }
}

fn is_as_told(state: &State, seen: &Seen) -> bool {
    let (units, version) = state[seen.key.0 as usize];
    let is_version = seen.version == u64::MAX || seen.version == version;
    is_version
        && match seen.stock {
            Stock::Absent => units.is_none(),
            Stock::Level { on_hand, reserved } => units == Some(i128::from(on_hand)) && reserved == 0,
            Stock::Available(available) => units.unwrap_or(0) == i128::from(available),
            Stock::Untold => true,
        }
}

/// The state after a write, if it is allowed.
fn written(record: &Record, state: &State) -> Option<State> {
    let Request::Write(lines) = &record.request else { return None };
    let mut next = state.clone();
    let mut keys: Vec<u32> = lines.iter().map(|line| line.key.0).collect();
    keys.sort_unstable();
    keys.dedup();
    for key in keys {
        let effects: Vec<Effect> =
            lines.iter().filter(|line| line.key.0 == key).map(|line| line.effect).collect();
        let (units, version) = state[key as usize];
        let after = match effects.as_slice() {
            [Effect::Create(on_hand)] => units.is_none().then_some(Some(i128::from(*on_hand)))?,
            [Effect::Count { on_hand, if_version }] => (units.is_some()
                && if_version.is_none_or(|demanded| demanded == version))
            .then_some(Some(i128::from(*on_hand)))?,
            [Effect::Delete] => units.is_some().then_some(None)?,
            additions => {
                let (sum, creates) = sum(additions)?;
                if units.is_none() && !creates {
                    return None;
                }
                let after = units.unwrap_or(0) + sum;
                (0..1 << 40).contains(&after).then_some(Some(after))?
            }
        };
        if after.is_some_and(|after| after >= 1 << 40) {
            return None;
        }
        next[key as usize] = (after, version + 1);
    }
    Some(next)
}

fn sum(additions: &[Effect]) -> Option<(i128, bool)> {
    let mut sum = (0, false);
    for effect in additions {
        match effect {
            Effect::Add(units) => sum.0 += i128::from(*units),
            Effect::AddOrCreate(units) => sum = (sum.0 + i128::from(*units), true),
            _ => return None,
        }
    }
    Some(sum)
}

/// Whether a reason for a refusal is true of a level.
fn is_true(reason: Reason, record: &Record, key: usize, (units, version): (Option<i128>, u64)) -> bool {
    let Request::Write(lines) = &record.request else { return false };
    let effects: Vec<Effect> =
        lines.iter().filter(|line| line.key.0 as usize == key).map(|line| line.effect).collect();
    let added = sum(&effects);
    match (reason, effects.as_slice()) {
        (Reason::Exists, [Effect::Create(_)]) => units.is_some(),
        (Reason::Missing, [Effect::Delete | Effect::Count { if_version: None, .. }]) => units.is_none(),
        (Reason::Missing, _) => added.is_some_and(|(_, creates)| !creates) && units.is_none(),
        (Reason::VersionMismatch, [Effect::Count { if_version: Some(demanded), .. }]) => {
            units.is_none() || *demanded != version
        }
        (Reason::Insufficient, _) => added.is_some_and(|(sum, creates)| {
            (units.is_some() || creates) && sum < 0 && units.unwrap_or(0) + sum < 0
        }),
        (Reason::Overflow, [Effect::Create(on_hand) | Effect::Count { on_hand, .. }]) => *on_hand >= 1 << 40,
        (Reason::Overflow, _) => added.is_some_and(|(sum, creates)| {
            (units.is_some() || creates) && units.unwrap_or(0) + sum >= 1 << 40
        }),
        _ => false,
    }
}
