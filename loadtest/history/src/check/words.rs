//! Records, requests and states in words: one wording for every message.

use std::fmt::Write;

use crate::log::Log;
use crate::model::{Level, Units};
use crate::record::{Effect, Key, Line, Outcome, Reason, Record, Refused, Request, Seen, Stock};

/// How many lines of a many-line request or answer are written out.
const LINES_SHOWN: usize = 4;

/// Words about one history.
#[derive(Debug, Clone, Copy)]
pub(super) struct Words<'h> {
    log: &'h Log,
    /// The first invocation: times are told from it.
    start_ns: u64,
}

impl<'h> Words<'h> {
    pub(super) fn new(log: &'h Log, start_ns: u64) -> Self {
        Self { log, start_ns }
    }

    /// The name of a level, quoted.
    pub(super) fn level(&self, key: Key) -> String {
        match self.log.keys.get(key.0 as usize) {
            Some(name) => format!("`{name}`"),
            None => format!("key {}", key.0),
        }
    }

    /// Milliseconds since the start of the history, to the nanosecond.
    pub(super) fn time(&self, at_ns: u64) -> String {
        let since = self.since_start(at_ns);
        format!("{}.{:06} ms", since / 1_000_000, since % 1_000_000)
    }

    /// Nanoseconds since the start of the history.
    pub(super) fn since_start(&self, at_ns: u64) -> u64 {
        at_ns.saturating_sub(self.start_ns)
    }

    /// Who asked what when, and what was answered; of many lines those about `focus` come first.
    pub(super) fn account(&self, record: u32, focus: Option<Key>) -> Vec<String> {
        // What is on disk and cannot be read back any more is told without its account.
        let Ok(Some(entry)) = self.log.record(record.into()) else { return Vec::new() };
        let end = match entry.outcome {
            Outcome::Unknown => "gave up",
            _ => "answered",
        };
        vec![
            format!(
                "client {}, sent at {}, {end} at {}",
                entry.client,
                self.time(entry.invoked_ns),
                self.time(entry.returned_ns)
            ),
            format!("asked:    {}", self.request(&entry.request, focus)),
            format!("answered: {}", self.outcome(&entry.outcome, focus)),
        ]
    }

    /// What was asked and answered, in a few words.
    pub(super) fn short(record: &Record) -> String {
        let seen = |seen: &Seen| match (seen.is_version_told(), seen.stock) {
            (true, _) => format!("version {}", seen.version),
            (false, Stock::Level { on_hand, .. }) => on_hand.to_string(),
            (false, Stock::Available(units)) => format!("{units} available"),
            (false, Stock::Absent) => "missing".to_owned(),
            (false, Stock::Untold) => "applied".to_owned(),
        };
        let asked = match &record.request {
            Request::Read(_) => "read".to_owned(),
            Request::Snapshot(keys) => format!("read {} levels", keys.len()),
            Request::Write(lines) => match lines.as_slice() {
                [Line { effect: Effect::Add(units) | Effect::AddOrCreate(units), .. }] => {
                    format!("{units:+}")
                }
                [Line { effect: Effect::Create(on_hand), .. }] => format!("create {on_hand}"),
                [Line { effect: Effect::Count { on_hand, .. }, .. }] => format!("count {on_hand}"),
                [Line { effect: Effect::Delete, .. }] => "delete".to_owned(),
                lines => format!("{} lines", lines.len()),
            },
        };
        let answered = match &record.outcome {
            Outcome::Read(told) => seen(told),
            Outcome::Snapshot { totals: Some(totals), .. } => format!("{} in all", totals.on_hand),
            Outcome::Snapshot { levels, .. } => format!("{} told", levels.len()),
            Outcome::Applied(told) => match told.as_slice() {
                [told] => seen(told),
                told => format!("applied to {} levels", told.len()),
            },
            Outcome::Refused(_) => "refused".to_owned(),
            Outcome::NotApplied => "not applied".to_owned(),
            Outcome::Unknown => "nobody knows".to_owned(),
        };
        format!("{asked} -> {answered}")
    }

    fn request(&self, request: &Request, focus: Option<Key>) -> String {
        match request {
            Request::Read(key) => format!("read {}", self.level(*key)),
            Request::Snapshot(keys) => {
                let list = list(keys, |key| Some(*key) == focus, |key| self.level(*key));
                format!("read {list}, all as of one moment")
            }
            Request::Write(lines) => list(lines, |line| Some(line.key) == focus, |line| self.line(line)),
        }
    }

    fn line(&self, line: &Line) -> String {
        let level = self.level(line.key);
        match line.effect {
            Effect::Add(units) => format!("{level} {units:+}"),
            Effect::AddOrCreate(units) => format!("{level} {units:+}, created if missing"),
            Effect::Create(on_hand) => format!("create {level} with on_hand {on_hand}"),
            Effect::Count { on_hand, if_version: None } => format!("count {level} as on_hand {on_hand}"),
            Effect::Count { on_hand, if_version: Some(version) } => {
                format!("count {level} as on_hand {on_hand} if it is at version {version}")
            }
            Effect::Delete => format!("delete {level}"),
        }
    }

    fn outcome(&self, outcome: &Outcome, focus: Option<Key>) -> String {
        match outcome {
            Outcome::Read(seen) => self.seen(seen),
            Outcome::Snapshot { levels, totals } => {
                let list = list(levels, |seen| Some(seen.key) == focus, |seen| self.seen(seen));
                let sums = |totals: Units| format!("; together {}", units(totals.on_hand, totals.reserved));
                format!("{list}{}", totals.map_or(String::new(), sums))
            }
            Outcome::Applied(seen) => {
                let list = list(seen, |seen| Some(seen.key) == focus, |seen| self.seen(seen));
                format!("applied; now {list}")
            }
            Outcome::Refused(refused) => {
                let is_focus = |refused: &Refused| Some(refused.seen.key) == focus;
                let list = list(refused, is_focus, |refused| {
                    format!("{}: {}", because(refused.reason), self.seen(&refused.seen))
                });
                format!("refused; {list}")
            }
            Outcome::NotApplied => "not applied".to_owned(),
            Outcome::Unknown => "nothing that says whether it was applied".to_owned(),
        }
    }

    fn seen(&self, seen: &Seen) -> String {
        let stock = match seen.stock {
            Stock::Absent => ": no such level".to_owned(),
            Stock::Level { on_hand, reserved } => format!(": {}", units(on_hand, reserved)),
            Stock::Available(units) => format!(": {units} available"),
            Stock::Untold => String::new(),
        };
        let version =
            if seen.is_version_told() { format!(" at version {}", seen.version) } else { String::new() };
        format!("{}{version}{stock}", self.level(seen.key))
    }
}

/// A state in words.
pub(super) fn state(level: Level) -> String {
    match level.stock {
        Some(stock) => units(stock.on_hand, stock.reserved),
        None if level.version == 0 => "it had never existed".to_owned(),
        None => "it was deleted".to_owned(),
    }
}

fn units(on_hand: u64, reserved: u64) -> String {
    match on_hand.checked_sub(reserved) {
        _ if reserved == 0 => format!("on_hand {on_hand}"),
        Some(available) => format!("on_hand {on_hand}, reserved {reserved}, available {available}"),
        None => format!("on_hand {on_hand}, reserved {reserved}"),
    }
}

fn because(reason: Reason) -> &'static str {
    match reason {
        Reason::Insufficient => "not enough",
        Reason::Missing => "missing",
        Reason::Exists => "exists already",
        Reason::VersionMismatch => "version differs",
        Reason::Reserved => "units are held",
        Reason::Overflow => "out of range",
    }
}

/// A list with the focus first, cut where it gets long.
fn list<T>(all: &[T], is_focus: impl Fn(&T) -> bool, word: impl Fn(&T) -> String) -> String {
    let focus = all.iter().filter(|item| is_focus(item));
    let others = all.iter().filter(|item| !is_focus(item));
    let shown: Vec<String> = focus.chain(others).take(LINES_SHOWN).map(word).collect();
    let mut list = if shown.is_empty() { "nothing at all".to_owned() } else { shown.join("; ") };
    if all.len() > shown.len() {
        // Writing to a string cannot fail.
        let _ = write!(list, "; and {} more", all.len() - shown.len());
    }
    list
}
