//! Faults to plant in good histories, as a service that breaks its promises would have left them.
//!
//! Each takes the number of a place to plant at (counted through, so any number will do) and answers nothing if the
//! history has no such place. The original is never touched.

use crate::model::{self, Level};
use crate::record::{Effect, History, Key, Line, Outcome, Reason, Record, Request, Seen, Stock};

/// A way to break a history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The record of an applied write is deleted: its version is missing.
    Forget,
    /// Two additions to a level start from one state: both get one version, and the first is lost.
    LoseUpdate,
    /// Two changes of one level swap their answers.
    Swap,
    /// A change happens only after everything else is over.
    Delay,
    /// A change is answered before anything else has begun.
    Hasten,
    /// A read shows one unit more than was there.
    CorruptRead,
    /// Of a write of several lines one line is lost.
    Tear,
    /// Two writes of several lines, appended, happen in one order on one level and in the other on another.
    Fracture,
    /// A refusal for lack of units is given though they were there.
    RefuseFalsely,
    /// An addition that was sent again under its key happens again, and its answer is the stored one.
    Repeat,
    /// A write that was sent again under its key is answered with another stock.
    AnswerOtherwise,
    /// A consistent read, appended, shows one level after a write to two and the other before it.
    TearRead,
    /// No answer tells versions, and of a write to two levels, appended, a read shows one part and a later read not the other.
    TearUntold,
}

impl Fault {
    /// Every fault.
    pub const ALL: [Fault; 13] = [
        Fault::Forget,
        Fault::LoseUpdate,
        Fault::Swap,
        Fault::Delay,
        Fault::Hasten,
        Fault::CorruptRead,
        Fault::Tear,
        Fault::Fracture,
        Fault::RefuseFalsely,
        Fault::Repeat,
        Fault::AnswerOtherwise,
        Fault::TearRead,
        Fault::TearUntold,
    ];

    /// A copy of the history with this fault.
    pub fn plant(self, history: &History, place: usize) -> Option<History> {
        let mut broken = history.clone();
        match self {
            Fault::Forget => {
                let at = pick(history, place, is_applied)?;
                broken.records.remove(at);
            }
            Fault::LoseUpdate => lose_update(&mut broken, place)?,
            Fault::Swap => swap(&mut broken, place)?,
            Fault::Delay => delay(&mut broken, place)?,
            Fault::Hasten => hasten(&mut broken, place)?,
            Fault::CorruptRead => {
                let shows_units = |record: &Record| {
                    matches!(&record.outcome, Outcome::Read(Seen { stock: Stock::Level { .. }, .. }))
                };
                // The opening reads prove themselves: only a level that was changed has a truth to differ from.
                let at =
                    pick(history, place, |record| shows_units(record) && has_version_made(history, record))?;
                if let Outcome::Read(Seen { stock: Stock::Level { on_hand, .. }, .. }) =
                    &mut broken.records[at].outcome
                {
                    *on_hand += 1;
                }
            }
            Fault::Tear => tear(&mut broken, place)?,
            Fault::Repeat => repeat(&mut broken, place)?,
            Fault::AnswerOtherwise => answer_otherwise(&mut broken, place)?,
            Fault::TearRead => tear_read(&mut broken, place)?,
            Fault::TearUntold => tear_untold(&mut broken, place)?,
            Fault::Fracture => fracture(&mut broken, place)?,
            Fault::RefuseFalsely => {
                let at = pick(history, place, asks_too_much)?;
                if let Request::Write(lines) = &mut broken.records[at].request {
                    *lines =
                        lines.iter().map(|line| Line { key: line.key, effect: Effect::Add(1) }).collect();
                }
            }
        }
        Some(broken)
    }
}

/// The index of one of the records that fit.
fn pick(history: &History, place: usize, fits: impl Fn(&Record) -> bool) -> Option<usize> {
    let fitting: Vec<usize> = (0..history.records.len()).filter(|at| fits(&history.records[*at])).collect();
    fitting.get(place.checked_rem(fitting.len())?).copied()
}

/// An applied write that is a record by itself: of several attempts under one key each would have to be changed.
fn is_applied(record: &Record) -> bool {
    matches!(record.outcome, Outcome::Applied(_)) && record.once.is_none()
}

fn has_version_made(history: &History, read: &Record) -> bool {
    let Outcome::Read(seen) = &read.outcome else { return false };
    let made = |record: &Record| {
        matches!(&record.outcome, Outcome::Applied(made)
            if made.iter().any(|made| made.key == seen.key && made.version == seen.version))
    };
    history.records.iter().any(made)
}

fn asks_too_much(record: &Record) -> bool {
    record.once.is_none()
        && matches!(&record.outcome, Outcome::Refused(refused)
            if refused.iter().any(|refused| refused.reason == Reason::Insufficient))
}

/// The changes of each level by single additions, as (key, version, record, units), sorted.
fn additions(history: &History) -> Vec<(Key, u64, usize, i64)> {
    let mut found = Vec::new();
    for (at, record) in history.records.iter().enumerate() {
        if let (Request::Write(lines), Outcome::Applied(seen)) = (&record.request, &record.outcome)
            && record.once.is_none()
            && let ([Line { effect: Effect::Add(units), .. }], [seen]) = (lines.as_slice(), seen.as_slice())
        {
            found.push((seen.key, seen.version, at, *units));
        }
    }
    found.sort_unstable();
    found
}

fn lose_update(history: &mut History, place: usize) -> Option<()> {
    let additions = additions(history);
    let pairs: Vec<_> =
        additions.windows(2).filter(|pair| pair[0].0 == pair[1].0 && pair[0].1 + 1 == pair[1].1).collect();
    let pair = pairs.get(place.checked_rem(pairs.len())?)?;
    let (key, version, _, units) = pair[0];
    take_back(history, key, version, units);
    Some(())
}

/// Makes a level as if the change to a version had never happened, except in the answer to that change itself.
fn take_back(history: &mut History, key: Key, version: u64, units: i64) {
    alter_after(history, key, version, |seen_version, on_hand| {
        (seen_version - 1, on_hand.saturating_sub_signed(units))
    });
}

/// Changes the version and the units of a level wherever a version after this one is told.
fn alter_after(history: &mut History, key: Key, version: u64, alter: impl Fn(u64, u64) -> (u64, u64)) {
    for seen in history.records.iter_mut().flat_map(|record| told(&mut record.outcome)) {
        if seen.key == key && seen.version > version {
            let (told_version, stock) = (seen.version, &mut seen.stock);
            if let Stock::Level { on_hand, .. } = stock {
                (seen.version, *on_hand) = alter(told_version, *on_hand);
            } else {
                seen.version = alter(told_version, 0).0;
            }
        }
    }
}

/// Every level an answer tells of.
fn told(outcome: &mut Outcome) -> Vec<&mut Seen> {
    match outcome {
        Outcome::Read(seen) => vec![seen],
        Outcome::Applied(seen) | Outcome::Snapshot { levels: seen, .. } => seen.iter_mut().collect(),
        Outcome::Refused(refused) => refused.iter_mut().map(|refused| &mut refused.seen).collect(),
        Outcome::NotApplied | Outcome::Unknown => Vec::new(),
    }
}

fn swap(history: &mut History, place: usize) -> Option<()> {
    let additions = additions(history);
    let differ = |pair: &&[(Key, u64, usize, i64)]| pair[0].0 == pair[1].0 && pair[0].3 != pair[1].3;
    let pairs: Vec<_> = additions.windows(2).filter(differ).collect();
    let pair = pairs.get(place.checked_rem(pairs.len())?)?;
    let (first, second) = (pair[0].2, pair[1].2);
    let outcome = history.records[first].outcome.clone();
    history.records[first].outcome = std::mem::replace(&mut history.records[second].outcome, outcome);
    Some(())
}

fn delay(history: &mut History, place: usize) -> Option<()> {
    let end = history.records.iter().map(|record| record.returned_ns).max()?;
    let at = pick(history, place, |record| {
        is_applied(record) && is_seen_elsewhere(history, record, |seen, made| seen >= made)
    })?;
    (history.records[at].invoked_ns, history.records[at].returned_ns) = (end + 1, end + 2);
    Some(())
}

fn hasten(history: &mut History, place: usize) -> Option<()> {
    let start = history.records.iter().map(|record| record.invoked_ns).min()?;
    let at = pick(history, place, |record| {
        is_applied(record) && is_seen_elsewhere(history, record, |seen, made| seen < made)
    })?;
    (history.records[at].invoked_ns, history.records[at].returned_ns) =
        (start.checked_sub(2)?, start.checked_sub(1)?);
    Some(())
}

/// Whether another record tells of a version that stands so to the one that a change made.
fn is_seen_elsewhere(history: &History, change: &Record, stands: impl Fn(u64, u64) -> bool) -> bool {
    let Outcome::Applied(made) = &change.outcome else { return false };
    history.records.iter().filter(|other| *other != change).any(|other| {
        let mut outcome = other.outcome.clone();
        let mut seen = told(&mut outcome).into_iter();
        seen.any(|seen| made.iter().any(|made| made.key == seen.key && stands(seen.version, made.version)))
    })
}

fn tear(history: &mut History, place: usize) -> Option<()> {
    let is_many = |record: &Record| {
        is_applied(record) && matches!(&record.outcome, Outcome::Applied(seen) if seen.len() > 1)
    };
    let is_followed = |record: &Record| is_seen_elsewhere(history, record, |seen, made| seen > made);
    let at = pick(history, place, |record| is_many(record) && is_followed(record))?;
    let Outcome::Applied(made) = history.records[at].outcome.clone() else { return None };
    let is_later = |history: &mut History, made: &Seen| {
        history
            .records
            .iter_mut()
            .flat_map(|record| told(&mut record.outcome))
            .any(|seen| seen.key == made.key && seen.version > made.version)
    };
    let lost = made.iter().find(|made| is_later(history, made))?;
    let Request::Write(lines) = &history.records[at].request else { return None };
    let units = lines.iter().filter(|line| line.key == lost.key).map(|line| match line.effect {
        Effect::Add(units) | Effect::AddOrCreate(units) => units,
        Effect::Create(_) | Effect::Count { .. } | Effect::Delete => 0,
    });
    let units = units.sum();
    take_back(history, lost.key, lost.version, units);
    Some(())
}

/// Makes an addition happen twice, as that of a request whose repetition is not recognised.
fn repeat(history: &mut History, place: usize) -> Option<()> {
    let additions = additions(history);
    // Followed by another, which tells what was there before it.
    let fits = |pair: &&[(Key, u64, usize, i64)]| {
        pair[0].0 == pair[1].0 && pair[0].1 + 1 == pair[1].1 && pair[0].3 > 0
    };
    let pairs: Vec<_> = additions.windows(2).filter(fits).collect();
    let (key, version, at, units) = pairs.get(place.checked_rem(pairs.len())?)?[0];
    alter_after(history, key, version, |version, on_hand| {
        (version + 1, on_hand.saturating_add_signed(units))
    });
    again(history, at, |_| {});
    Some(())
}

fn answer_otherwise(history: &mut History, place: usize) -> Option<()> {
    let tells_units = |record: &Record| matches!(&record.outcome, Outcome::Applied(seen) if matches!(seen[..], [Seen { stock: Stock::Level { .. }, .. }, ..]));
    let at = pick(history, place, tells_units)?;
    again(history, at, |outcome| {
        if let Some(Seen { stock: Stock::Level { on_hand, .. }, .. }) = told(outcome).into_iter().next() {
            *on_hand += 1;
        }
    });
    Some(())
}

/// Records that a write was sent again under its key while it was under way, and was answered.
fn again(history: &mut History, at: usize, alter: impl Fn(&mut Outcome)) {
    let next = history.records.iter().filter_map(|record| record.once).max().unwrap_or(0) + 1;
    let record = &mut history.records[at];
    record.once = record.once.or(Some(next));
    let mut again = record.clone();
    alter(&mut again.outcome);
    history.records.push(again);
}

/// Appends two overlapping writes to two levels, done in one order on the first level and in the other on the second.
fn fracture(history: &mut History, place: usize) -> Option<()> {
    let Pair { left, right, end } = Pair::of(history, place)?;
    let write = |client: u32, units: u64, told: Vec<Seen>| {
        let effect = Effect::AddOrCreate(units.cast_signed());
        let lines = told.iter().map(|seen| Line { key: seen.key, effect }).collect();
        let (request, outcome) = (Request::Write(lines), Outcome::Applied(told));
        Record { client, invoked_ns: end + 10, returned_ns: end + 20, request, outcome, once: None }
    };
    let first = write(0, 1, vec![more(&left, 1, 1), more(&right, 2, 3)]);
    let second = write(1, 2, vec![more(&left, 2, 3), more(&right, 1, 2)]);
    history.records.extend([first, second]);
    Some(())
}

/// Appends a write of a unit to each of two levels, and a consistent read beside it that shows only one of the units.
fn tear_read(history: &mut History, place: usize) -> Option<()> {
    let Pair { left, right, end } = Pair::of(history, place)?;
    let lines = [left, right].map(|seen| Line { key: seen.key, effect: Effect::AddOrCreate(1) });
    let append = |history: &mut History, client, request, outcome| {
        let (invoked_ns, returned_ns) = (end + 10, end + 20);
        history.records.push(Record { client, invoked_ns, returned_ns, request, outcome, once: None });
    };
    let applied = Outcome::Applied(vec![more(&left, 1, 1), more(&right, 1, 1)]);
    append(history, 0, Request::Write(lines.to_vec()), applied);
    let levels = vec![more(&left, 1, 1), right];
    let snapshot = Outcome::Snapshot { totals: model::totals(&levels), levels };
    append(history, 1, Request::Snapshot(vec![left.key, right.key]), snapshot);
    Some(())
}

/// Makes a history one of a service that tells no versions, and appends a write that is seen in part.
fn tear_untold(history: &mut History, place: usize) -> Option<()> {
    let Pair { left, right, end } = Pair::of(history, place)?;
    let lines = [left, right].map(|seen| Line { key: seen.key, effect: Effect::AddOrCreate(1) });
    let applied = Outcome::Applied(vec![more(&left, 1, 1), more(&right, 1, 1)]);
    let steps = [
        ((10, 50), Request::Write(lines.to_vec()), applied),
        ((20, 25), Request::Read(left.key), Outcome::Read(more(&left, 1, 1))),
        ((30, 35), Request::Read(right.key), Outcome::Read(right)),
    ];
    for (client, ((invoked, returned), request, outcome)) in (0..).zip(steps) {
        let (invoked_ns, returned_ns) = (end + invoked, end + returned);
        history.records.push(Record { client, invoked_ns, returned_ns, request, outcome, once: None });
    }
    forget_versions(history);
    Some(())
}

/// A history as a service without versions would have answered it.
pub fn forget_versions(history: &mut History) {
    // A refusal for a version says nothing where there is none.
    history.records.retain(|record| {
        !matches!(&record.outcome, Outcome::Refused(refused)
            if refused.iter().any(|refused| refused.reason == Reason::VersionMismatch))
    });
    for record in &mut history.records {
        for seen in told(&mut record.outcome) {
            seen.version = Seen::VERSION_UNTOLD;
        }
        if let Request::Write(lines) = &mut record.request {
            for Line { effect, .. } in lines {
                if let Effect::Count { if_version, .. } = effect {
                    *if_version = None;
                }
            }
        }
    }
}

/// Two levels as they are when all is over, and when that is.
struct Pair {
    left: Seen,
    right: Seen,
    end: u64,
}

impl Pair {
    fn of(history: &History, place: usize) -> Option<Self> {
        let last = last_states(history);
        let key = |offset: usize| last.get((place + offset) % last.len().max(1)).copied();
        let (left, right) = (key(0)?, key(1)?);
        let end = history.records.iter().map(|record| record.returned_ns).max()?;
        (left.key != right.key).then_some(Self { left, right, end })
    }
}

/// A level after so many changes that brought so many units.
fn more(seen: &Seen, changes: u64, units: u64) -> Seen {
    let before = Level::told(seen).and_then(|level| level.stock).unwrap_or_default();
    let stock = Stock::Level { on_hand: before.on_hand + units, reserved: before.reserved };
    Seen { key: seen.key, version: seen.version + changes, stock }
}

/// The last state told of each level, where it was told in full.
fn last_states(history: &History) -> Vec<Seen> {
    let mut last: Vec<Option<Seen>> = vec![None; history.keys.len()];
    for record in &history.records {
        let mut outcome = record.outcome.clone();
        for seen in told(&mut outcome) {
            let slot = &mut last[seen.key.0 as usize];
            if slot.is_none_or(|other| other.version <= seen.version) {
                *slot = Some(*seen);
            }
        }
    }
    last.into_iter().flatten().filter(|seen| Level::told(seen).is_some()).collect()
}
