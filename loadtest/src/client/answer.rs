//! Judging an answer: what may the history believe of it?
//!
//! An answer is believed only where it fits the contract in full. One that does not is a failure that counts and
//! shows an example; if it was the answer to a write that may have happened, its outcome is unknown, never guessed.

use std::borrow::Cow;

use history::model::Units;
use history::{Key, Outcome, Reason, Refused, Seen, Stock};
use serde::Deserialize;

use super::failure::{Doubt, Failure};
pub(crate) use super::wire::QUANTITY_MAX;
use super::wire::{Level, Levels, LineResult, Missing, Problem, ProblemLine, Queried, Results, Totals};
use super::{Answer, Call};
use crate::catalogue::Catalogue;

/// What one answer means.
#[derive(Debug, PartialEq, Eq)]
pub struct Judgement {
    /// For the history.
    pub outcomes: Outcomes,
    /// The names of the problems that refused it; for an independent batch, of each refused line.
    pub refusals: Problems,
    /// For the error table; `None` for every answer that fits the contract and is no overload.
    pub failure: Option<Failure>,
}

/// One outcome for the whole call, or one for each line of an independent batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcomes {
    /// Of the whole call.
    Whole(Outcome),
    /// Of each line.
    Lines(Vec<Outcome>),
}

impl Outcomes {
    /// Whether anything was changed.
    pub fn have_an_effect(&self) -> bool {
        let is_applied = |outcome: &Outcome| matches!(outcome, Outcome::Applied(_));
        match self {
            Self::Whole(outcome) => is_applied(outcome),
            Self::Lines(outcomes) => outcomes.iter().any(is_applied),
        }
    }
}

/// Names of problems.
pub type Problems = Vec<String>;

/// Judges the answer, or the lack of one, to a call.
pub fn judge(call: &Call, catalogue: &Catalogue, reply: Result<Answer, Failure>) -> Judgement {
    match reply {
        Ok(answer) => Judge { call, catalogue }.answer(&answer),
        Err(failure) => Judgement::failed(call, failure),
    }
}

impl Judgement {
    /// Of an answer that means one thing.
    pub(crate) fn whole(outcome: Outcome) -> Self {
        Self { outcomes: Outcomes::Whole(outcome), refusals: Vec::new(), failure: None }
    }

    /// Of a call that got no usable answer.
    pub(crate) fn failed(call: &Call, failure: Failure) -> Self {
        // A read has no effect to be in doubt about: it is recorded as if it had not been sent.
        let unknown = failure.doubt == Doubt::Unknown && !call.is_read();
        let outcome = if unknown { Outcome::Unknown } else { Outcome::NotApplied };
        Self { failure: Some(failure), ..Self::whole(outcome) }
    }
}

/// Why an answer does not fit the contract.
type Breach = String;

struct Judge<'a> {
    call: &'a Call,
    catalogue: &'a Catalogue,
}

impl Judge<'_> {
    fn answer(&self, answer: &Answer) -> Judgement {
        let judged = match answer.status {
            200..=299 => self.success(answer),
            _ => self.problem(answer),
        };
        judged.unwrap_or_else(|breach| {
            // Any 4xx says that nothing happened, whatever else is wrong with it.
            let refused = (400..500).contains(&answer.status);
            let doubt = if refused { Doubt::NotApplied } else { Doubt::Unknown };
            let shown: String = String::from_utf8_lossy(&answer.body).chars().take(300).collect();
            let kind = self.call.kind().name();
            let example = format!("{kind} answered {}: {breach}: {shown}", answer.status);
            Judgement::failed(self.call, Failure::breach(doubt, example))
        })
    }

    fn success(&self, answer: &Answer) -> Result<Judgement, Breach> {
        let expected = match self.call {
            Call::Create { .. } => 201,
            Call::Delete(_) => 204,
            _ => 200,
        };
        if answer.status != expected {
            return Err(format!("{expected} expected"));
        }
        let outcome = match self.call {
            Call::Read(key) => Outcome::Read(self.one_level(*key, answer)?),
            Call::Create { key, .. } | Call::Count { key, .. } => {
                Outcome::Applied(vec![self.one_level(*key, answer)?])
            }
            Call::Adjust(change) => Outcome::Applied(vec![self.one_level(change.key, answer)?]),
            Call::Delete(key) => {
                let version = possible(answer.etag.ok_or("no ETag with the version of the deletion")?)?;
                Outcome::Applied(vec![Seen { key: *key, version, stock: Stock::Absent }])
            }
            Call::Batch(_) | Call::Transfer(_) => Outcome::Applied(self.levels(&answer.body)?),
            Call::Independent(_) => return self.independent(&answer.body),
            Call::Query(keys) => self.snapshot(keys, &answer.body)?,
        };
        Ok(Judgement::whole(outcome))
    }

    fn one_level(&self, key: Key, answer: &Answer) -> Result<Seen, Breach> {
        let seen = self.seen(key, &parse::<Level<'_>>(&answer.body)?)?;
        match answer.etag {
            Some(etag) if etag != seen.version => Err(format!("ETag {etag}, but version {}", seen.version)),
            _ => Ok(seen),
        }
    }

    fn levels(&self, body: &[u8]) -> Result<Vec<Seen>, Breach> {
        let levels = parse::<Levels<'_>>(body)?.levels;
        let keys = self.call.keys();
        if levels.len() != keys.len() {
            return Err(format!("{} levels for {} keys", levels.len(), keys.len()));
        }
        keys.iter().zip(&levels).map(|(key, level)| self.seen(*key, level)).collect()
    }

    /// Each key is among the levels or among the missing, and both are in the order of the keys.
    fn snapshot(&self, keys: &[Key], body: &[u8]) -> Result<Outcome, Breach> {
        let Queried { items, missing, totals, consistent } = parse::<Queried<'_>>(body)?;
        if !consistent {
            return Err("a consistent query was asked for".to_owned());
        }
        if items.len() + missing.len() != keys.len() {
            return Err(format!(
                "{} levels and {} missing for {} keys",
                items.len(),
                missing.len(),
                keys.len()
            ));
        }
        let Totals { levels, on_hand, reserved, available } = totals;
        if levels != items.len() as u64 || on_hand.checked_sub(reserved) != Some(available) {
            return Err(format!(
                "totals of {levels} levels, on_hand {on_hand}, reserved {reserved} and available {available} do not agree"
            ));
        }
        let (mut items, mut missing) = (items.iter().peekable(), missing.iter());
        let mut seen = Vec::with_capacity(keys.len());
        for key in keys {
            let entry = self.catalogue.entry(*key);
            let is_here = |level: &&Level<'_>| entry.sku == level.sku && entry.location == level.location;
            let level = match items.next_if(is_here) {
                Some(level) => self.seen(*key, level)?,
                None => {
                    let Missing { sku, location, version } = missing.next().ok_or_else(|| {
                        format!("{} at {} is not told of, or out of turn", entry.sku, entry.location)
                    })?;
                    self.expect_name(*key, sku, location)?;
                    Seen { key: *key, version: possible(*version)?, stock: Stock::Absent }
                }
            };
            seen.push(level);
        }
        Ok(Outcome::Snapshot { levels: seen, totals: Some(Units { on_hand, reserved }) })
    }

    fn seen(&self, key: Key, level: &Level<'_>) -> Result<Seen, Breach> {
        let Level { on_hand, reserved, available, version, .. } = *level;
        self.expect_name(key, &level.sku, &level.location)?;
        if on_hand > QUANTITY_MAX || on_hand.checked_sub(reserved) != Some(available) {
            return Err(format!(
                "on_hand {on_hand}, reserved {reserved} and available {available} do not agree"
            ));
        }
        Ok(Seen { key, version: possible(version)?, stock: Stock::Level { on_hand, reserved } })
    }

    fn expect_name(&self, key: Key, sku: &str, location: &str) -> Result<(), Breach> {
        let entry = self.catalogue.entry(key);
        if entry.sku == sku && entry.location == location {
            return Ok(());
        }
        Err(format!("{} at {} expected, in key order; got {sku} at {location}", entry.sku, entry.location))
    }

    fn independent(&self, body: &[u8]) -> Result<Judgement, Breach> {
        let Call::Independent(changes) = self.call else { return Err("not an independent batch".to_owned()) };
        let answer = parse::<Results<'_>>(body)?;
        let applied = answer.results.iter().filter(|line| line.status == 200).count();
        if answer.results.len() != changes.len() || applied != answer.applied {
            return Err(format!("{} results, {applied} applied", answer.results.len()));
        }
        if answer.applied + answer.refused != changes.len() {
            return Err(format!("{} applied and {} refused", answer.applied, answer.refused));
        }
        let mut judgement = Judgement::whole(Outcome::Unknown);
        let mut outcomes = Vec::with_capacity(changes.len());
        for (change, line) in changes.iter().zip(&answer.results) {
            self.expect_name(change.key, &line.sku, &line.location)?;
            outcomes.push(self.line(change.key, line, &mut judgement)?);
        }
        judgement.outcomes = Outcomes::Lines(outcomes);
        Ok(judgement)
    }

    fn line(&self, key: Key, line: &LineResult<'_>, into: &mut Judgement) -> Result<Outcome, Breach> {
        match (line.status, &line.level, &line.problem) {
            (200, Some(level), None) => Ok(Outcome::Applied(vec![self.seen(key, level)?])),
            (400..=599, None, Some(problem)) => {
                let judged = self.judge_problem(line.status, problem, &[key])?;
                into.refusals.extend(judged.refusals);
                into.failure = into.failure.take().or(judged.failure);
                match judged.outcomes {
                    Outcomes::Whole(outcome) => Ok(outcome),
                    Outcomes::Lines(_) => Err("a line of lines".to_owned()),
                }
            }
            (status, ..) => Err(format!("a line of status {status} with the wrong members")),
        }
    }

    fn problem(&self, answer: &Answer) -> Result<Judgement, Breach> {
        let problem = parse::<Problem<'_>>(&answer.body)?;
        if problem.status != answer.status {
            return Err(format!("the problem says status {}", problem.status));
        }
        self.judge_problem(answer.status, &problem, &self.call.keys())
    }

    fn judge_problem(&self, status: u16, problem: &Problem<'_>, keys: &[Key]) -> Result<Judgement, Breach> {
        let name = problem.name();
        if let (Call::Read(key), "stock-not-found") = (self.call, name) {
            let named = problem.lines.as_deref().unwrap_or_default();
            let version = named.iter().find_map(|line| line.version).or(problem.version);
            let version = possible(version.ok_or("no version of the missing level")?)?;
            return Ok(Judgement::whole(Outcome::Read(Seen { key: *key, version, stock: Stock::Absent })));
        }
        let Some(reason) = self.reason(name) else {
            return Ok(Judgement::failed(self.call, self.no_refusal(status, problem)?));
        };
        let lines = problem.lines.as_deref().unwrap_or_default();
        let mut refused = Vec::with_capacity(lines.len());
        for line in lines {
            refused.push(self.refused(reason, line, keys)?);
        }
        // Lines of one key are judged together, but each of them is named.
        refused.sort_unstable_by_key(|line| line.seen.key);
        refused.dedup();
        if refused.is_empty() {
            return Err("a refusal that names no level".to_owned());
        }
        Ok(Judgement { refusals: vec![name.to_owned()], ..Judgement::whole(Outcome::Refused(refused)) })
    }

    /// The reason of the history for the problems that judge the state of the stock.
    fn reason(&self, name: &str) -> Option<Reason> {
        match (name, self.call) {
            ("insufficient-stock", _) => Some(Reason::Insufficient),
            ("version-mismatch", Call::Create { .. }) => Some(Reason::Exists),
            ("stock-not-found", _)
            | ("version-mismatch", Call::Count { if_version: None, .. } | Call::Delete(_)) => {
                Some(Reason::Missing)
            }
            ("version-mismatch", _) => Some(Reason::VersionMismatch),
            ("stock-reserved" | "below-reserved", _) => Some(Reason::Reserved),
            ("quantity-overflow", _) => Some(Reason::Overflow),
            _ => None,
        }
    }

    fn refused(&self, reason: Reason, line: &ProblemLine<'_>, keys: &[Key]) -> Result<Refused, Breach> {
        let key =
            self.catalogue.find(&line.sku, &line.location).filter(|key| keys.binary_search(key).is_ok());
        let key = key.ok_or_else(|| format!("{} at {} was not asked about", line.sku, line.location))?;
        let version = possible(line.version.ok_or("a refused line without a version")?)?;
        let stock = match (reason, line.available) {
            // What is taken from a level that a transfer would create is short as well.
            (Reason::Missing | Reason::Insufficient, None) => Stock::Absent,
            (Reason::Missing, Some(_)) => return Err("a missing level with something available".to_owned()),
            (_, Some(available)) => Stock::Available(available),
            (_, None) => Stock::Untold,
        };
        Ok(Refused { seen: Seen { key, version, stock }, reason })
    }

    /// A problem that does not judge the stock: overload, a timeout, or a request the service did not understand.
    fn no_refusal(&self, status: u16, problem: &Problem<'_>) -> Result<Failure, Breach> {
        let doubt = match (status, problem.applied.as_deref()) {
            (400..500, None) | (_, Some("no")) => Doubt::NotApplied,
            (500..600, None) | (_, Some("unknown")) => Doubt::Unknown,
            (_, applied) => return Err(format!("applied {applied:?}")),
        };
        let detail = problem.detail.as_deref().unwrap_or_default();
        let example = format!("{} answered {status} {}: {detail}", self.call.kind().name(), problem.name());
        Ok(Failure { kind: Cow::Owned(format!("{status} {}", problem.name())), example, doubt })
    }
}

/// The largest version that a level can have: 44 bits. Beyond them lies the number that stands for one that was not told, and
/// whoever told that would be judged without versions.
pub(crate) const VERSION_MAX: u64 = (1 << 44) - 1;

fn possible(version: u64) -> Result<u64, Breach> {
    if version > VERSION_MAX { Err(format!("version {version} is more than 44 bits")) } else { Ok(version) }
}

fn parse<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Breach> {
    serde_json::from_slice(body).map_err(|error| error.to_string())
}

#[cfg(test)]
#[path = "answer_tests.rs"]
mod tests;
