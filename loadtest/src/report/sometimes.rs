//! Which interesting situations a run reached: what is told of them, and what may be demanded.
//!
//! A verdict of a run in which nothing could go wrong is worth little. So the report counts the situations in which services go
//! wrong, and `--require-sometimes` makes a run that missed one of them no pass (exit 5): nothing was proved about it.

use std::collections::BTreeMap;
use std::fmt::Write;

use history::sometimes::{Situation, count};
use history::{History, Log, LogError, Record};
use serde::Serialize;

use crate::exit::Exit;

/// How often each situation was reached, by name; those that never were are 0.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Sometimes(BTreeMap<&'static str, u64>);

/// A situation that a run has to reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// Every one.
    All,
    /// That one.
    One(Situation),
}

/// The situation of that name, or all of them.
pub fn named(name: &str) -> Result<Wanted, String> {
    if name == "all" {
        return Ok(Wanted::All);
    }
    let names = || Situation::ALL.map(Situation::name).join(", ");
    Situation::of_name(name)
        .map(Wanted::One)
        .ok_or_else(|| format!("there is no such situation; there are {}, and all", names()))
}

/// About so many operations are counted over: each is looked at one by one, which takes a few hundred bytes of memory.
pub const OPERATIONS_MAX: u64 = 1_000_000;

/// The beginning of a long history, of all its clients alike: what was asked in its first part.
fn beginning(log: &Log) -> Result<History, LogError> {
    let (mut first_ns, mut last_ns) = (u64::MAX, 0);
    log.for_each(|_, op| {
        first_ns = first_ns.min(op.invoked_ns);
        last_ns = last_ns.max(op.invoked_ns);
    })?;
    let span_ns = u128::from(last_ns.saturating_sub(first_ns));
    let part_ns = span_ns * u128::from(OPERATIONS_MAX.min(log.len())) / u128::from(log.len().max(1));
    let mut records: Vec<Record> = Vec::new();
    log.for_each(|_, op| {
        if u128::from(op.invoked_ns.saturating_sub(first_ns)) <= part_ns {
            records.push(Record::from(op));
        }
    })?;
    Ok(History { meta: log.meta.clone(), keys: log.keys.clone(), records })
}

impl Sometimes {
    /// Counts over a history, off the runtime's threads: of a long one over its beginning ([`OPERATIONS_MAX`]), so that
    /// its counts are lower bounds.
    pub async fn of(history: Log) -> Result<Self, LogError> {
        let work = move || beginning(&history).map(|history| count(&history));
        match tokio::task::spawn_blocking(work).await {
            Ok(counts) => counts.map(|counts| {
                Self(counts.into_iter().map(|(situation, count)| (situation.name(), count)).collect())
            }),
            // It panicked: pass the panic on, since there is nothing to report.
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }

    /// Those of the wanted ones that were never reached, in words and as exit codes.
    pub fn missed(&self, wanted: &[Wanted]) -> Vec<(Exit, String)> {
        let is_wanted = |situation: &Situation| {
            wanted.contains(&Wanted::All) || wanted.contains(&Wanted::One(*situation))
        };
        let missed = Situation::ALL.into_iter().filter(is_wanted).filter(|situation| self.never(*situation));
        let tell = |situation: Situation| {
            let what =
                format!("never reached, though required: {} ({})", situation.name(), situation.meaning());
            (Exit::Inconclusive, what)
        };
        missed.map(tell).collect()
    }

    /// Two lines: what was reached and how often, and what never was.
    pub fn text(&self) -> String {
        let (mut reached, mut never) = (Vec::new(), Vec::new());
        for situation in Situation::ALL {
            match self.0.get(situation.name()) {
                Some(count) if *count > 0 => reached.push(format!("{} {count}", situation.name())),
                _ => never.push(situation.name()),
            }
        }
        let or_none = |names: String| if names.is_empty() { "none".to_owned() } else { names };
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = writeln!(text, "Reached: {}", or_none(reached.join(", ")));
        let _ = writeln!(text, "Never reached: {}", or_none(never.join(", ")));
        text
    }

    fn never(&self, situation: Situation) -> bool {
        self.0.get(situation.name()).is_none_or(|count| *count == 0)
    }
}

#[cfg(test)]
mod tests {
    use history::sample::{self, Shape};

    use super::*;

    async fn sample() -> Sometimes {
        let history = sample::history(&Shape { unknown_percent: 0, ..Shape::default() });
        Sometimes::of(Log::from(&history)).await.expect("it is in memory")
    }

    #[test]
    fn situations_are_named_as_the_history_names_them() {
        assert_eq!(named("all"), Ok(Wanted::All));
        assert_eq!(named("sold-out"), Ok(Wanted::One(Situation::SoldOut)));
        let wrong = named("sold").unwrap_err();
        assert!(wrong.contains("contended-pair") && wrong.contains("and all"), "{wrong}");
    }

    #[tokio::test]
    async fn only_what_is_wanted_and_was_never_reached_is_missed() {
        let sample = sample().await;
        let one = |name| named(name).unwrap();
        assert_eq!(sample.missed(&[one("contended-pair")]), []);
        assert_eq!(sample.missed(&[]), []);
        let missed = sample.missed(&[one("contended-pair"), one("unknown-applied")]);
        let [(Exit::Inconclusive, what)] = missed.as_slice() else { panic!("{missed:?}") };
        assert!(what.contains("unknown-applied (a write of unknown outcome"), "{what}");
        assert!(sample.missed(&[Wanted::All]).iter().any(|(_, what)| what.contains("retry-of-unknown")));
        assert_eq!(Sometimes::default().missed(&[Wanted::All]).len(), Situation::ALL.len());
    }

    #[tokio::test]
    async fn the_text_tells_both_what_was_reached_and_what_never_was() {
        let text = sample().await.text();
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[0].starts_with("Reached: contended-pair "), "{text}");
        assert!(lines[1].starts_with("Never reached: ") && lines[1].contains("retry-of-unknown"), "{text}");
        assert_eq!(Sometimes::default().text().lines().next(), Some("Reached: none"));
    }
}
