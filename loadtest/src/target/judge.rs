//! What the history may believe of an answer, by the rules of a description.
//!
//! An answer that no rule covers, or that lacks what the description says it tells, is a breach of contract: it counts, and
//! the outcome of its request is unknown, never guessed.

use std::borrow::Cow;

use history::{Key, Outcome, Reason, Refused, Seen, Stock};

use super::Target;
use super::operation::{Meaning, Operation, Told};
use super::reading::{Place, Reading};
use crate::client::answer::{Judgement, QUANTITY_MAX, VERSION_MAX};
use crate::client::failure::{Doubt, Failure};
use crate::client::{Answer, Call};

/// Why an answer does not fit the description.
type Breach = String;

impl Target {
    /// Judges the answer, or the lack of one, to a call.
    pub fn judge(&self, call: &Call, reply: Result<Answer, Failure>) -> Judgement {
        let answer = match reply {
            Ok(answer) => answer,
            Err(failure) => return Judgement::failed(call, failure),
        };
        let reading = Reading::new(&answer);
        let judge = Judge { target: self, call, operation: self.operation(call), reading: &reading };
        judge.judge().unwrap_or_else(|breach| Judgement::failed(call, judge.breach(&breach)))
    }
}

struct Judge<'a> {
    target: &'a Target,
    call: &'a Call,
    operation: &'a Operation,
    reading: &'a Reading<'a>,
}

/// The units of a level, as far as they are told.
enum Units {
    Untold,
    Told(u64),
    /// Fewer than none, which no level can have: what is told is not believed, but what was done was done.
    BelowZero(i64),
}

impl Judge<'_> {
    fn judge(&self) -> Result<Judgement, Breach> {
        let status = self.reading.status();
        match self.operation.meaning(self.reading) {
            Some(Meaning::Applied) => self.applied(),
            Some(Meaning::Missing) => Ok(self.missing()),
            Some(Meaning::Refused) => Ok(self.refused(Reason::Insufficient, self.available()?)),
            Some(Meaning::Exists) => Ok(self.refused(Reason::Exists, Stock::Untold)),
            Some(Meaning::Stale) => Ok(self.refused(Reason::VersionMismatch, Stock::Untold)),
            Some(Meaning::NotApplied) => Ok(self.failed("not applied", Doubt::NotApplied)),
            Some(Meaning::Unknown) => Ok(self.failed("outcome unknown", Doubt::Unknown)),
            None if status >= 500 => Ok(self.failed("outcome unknown", Doubt::Unknown)),
            None => Err("no rule covers it".to_owned()),
        }
    }

    fn failed(&self, what: &str, doubt: Doubt) -> Judgement {
        let (name, status) = (self.operation.role.name(), self.reading.status());
        let kind = Cow::Owned(format!("{status} ({what})"));
        let example = format!("{name} answered {status}: {}", self.reading.shown());
        Judgement::failed(self.call, Failure { kind, example, doubt })
    }

    fn breach(&self, breach: &str) -> Failure {
        let (name, status) = (self.operation.role.name(), self.reading.status());
        Failure::breach(
            Doubt::Unknown,
            format!("{name} answered {status}: {breach}: {}", self.reading.shown()),
        )
    }

    fn applied(&self) -> Result<Judgement, Breach> {
        let Operation { quantity, version, .. } = self.operation;
        let (mut told, mut below) = (Vec::new(), None);
        for (key, units, version) in self.levels(quantity, version) {
            let stock = match self.units(units)? {
                _ if matches!(self.call, Call::Delete(_)) => Stock::Absent,
                Units::Untold => Stock::Untold,
                Units::Told(on_hand) => Stock::Level { on_hand, reserved: 0 },
                Units::BelowZero(units) => {
                    below = Some(units);
                    Stock::Untold
                }
            };
            told.push(Seen { key, version: self.version(version)?, stock });
        }
        told.sort_unstable_by_key(|seen| seen.key);
        let failure = below.map(|units| self.breach(&format!("a level has {units} units")));
        match (self.call, told.as_slice()) {
            // A sight of what cannot be is none.
            (Call::Read(_), _) if failure.is_some() => {
                Ok(Judgement { failure, ..Judgement::whole(Outcome::NotApplied) })
            }
            (Call::Read(_), [seen]) => Ok(Judgement::whole(Outcome::Read(*seen))),
            _ => Ok(Judgement { failure, ..Judgement::whole(Outcome::Applied(told)) }),
        }
    }

    fn missing(&self) -> Judgement {
        let key = self.first_key();
        match self.call {
            Call::Read(_) => {
                let version = self.refused_version();
                Judgement::whole(Outcome::Read(Seen { key, version, stock: Stock::Absent }))
            }
            // Which of the two it was is not told.
            Call::Transfer(_) if !self.operation.creates => {
                let refusals = vec!["stock-not-found".to_owned()];
                Judgement { refusals, ..Judgement::whole(Outcome::NotApplied) }
            }
            _ => self.refused(Reason::Missing, Stock::Absent),
        }
    }

    fn refused(&self, reason: Reason, stock: Stock) -> Judgement {
        let name = match reason {
            Reason::Insufficient => "insufficient-stock",
            Reason::Missing => "stock-not-found",
            Reason::Exists => "stock-exists",
            _ => "version-mismatch",
        };
        let seen = Seen { key: self.first_key(), version: self.refused_version(), stock };
        let outcome = Outcome::Refused(vec![Refused { seen, reason }]);
        Judgement { refusals: vec![name.to_owned()], ..Judgement::whole(outcome) }
    }

    /// The levels that an answer tells of, with where it tells their units and versions.
    fn levels<'b>(
        &self,
        units: &'b Told,
        version: &'b Told,
    ) -> Vec<(Key, Option<&'b Place>, Option<&'b Place>)> {
        let mut levels = vec![(self.first_key(), units.from.as_ref(), version.from.as_ref())];
        if let Call::Transfer(moves) = self.call {
            levels.extend(moves.first().map(|line| (line.to, units.to.as_ref(), version.to.as_ref())));
        }
        levels
    }

    /// The level that it is about; of a transfer, that which units leave.
    fn first_key(&self) -> Key {
        match self.call {
            Call::Read(key) | Call::Delete(key) | Call::Create { key, .. } | Call::Count { key, .. } => *key,
            Call::Adjust(change) => change.key,
            Call::Transfer(moves) => moves.first().map_or(Key(0), |line| line.from),
            Call::Batch(changes) | Call::Independent(changes) => {
                changes.first().map_or(Key(0), |line| line.key)
            }
            Call::Query(keys) => keys.first().copied().unwrap_or(Key(0)),
        }
    }

    fn units(&self, place: Option<&Place>) -> Result<Units, Breach> {
        let Some(place) = place else { return Ok(Units::Untold) };
        let units = self.reading.number(place)?;
        match u64::try_from(units) {
            Ok(units) if units > QUANTITY_MAX => Err(format!("{units} units are more than was ever put in")),
            Ok(units) => Ok(Units::Told(units)),
            Err(_) => Ok(Units::BelowZero(units)),
        }
    }

    /// What a refusal says there was, if it is to say so.
    fn available(&self) -> Result<Stock, Breach> {
        match self.units(self.operation.available.as_ref())? {
            Units::Told(units) => Ok(Stock::Available(units)),
            Units::Untold | Units::BelowZero(_) => Ok(Stock::Untold),
        }
    }

    fn version(&self, place: Option<&Place>) -> Result<u64, Breach> {
        let Some(place) = place else { return Ok(Seen::VERSION_UNTOLD) };
        let told = self.reading.number(place)?;
        // The history counts from 1; 0 is a level that never was.
        let version = u64::try_from(told.saturating_add(1 - self.target.first_version)).ok();
        version
            .filter(|version| (1..=VERSION_MAX).contains(version))
            .ok_or_else(|| format!("{told} is no version"))
    }

    /// Where a refusal does not tell it, that is no breach: the level is judged without versions.
    fn refused_version(&self) -> u64 {
        let Operation { refused_version, version, .. } = self.operation;
        let place = refused_version.as_ref().or(version.from.as_ref());
        self.version(place).unwrap_or(Seen::VERSION_UNTOLD)
    }
}
