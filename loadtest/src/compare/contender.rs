//! Who has a turn in each round, and why.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::CompareError;
use super::server::{Storage, Strategy};

/// Why a contender is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Others are compared with it.
    Baseline,
    /// It is compared with a baseline.
    Candidate,
    /// The baseline once more (A/A): what differs is noise.
    Copy,
    /// The baseline behind a known delay: the gate has to name it.
    DelayControl,
    /// It loses updates on purpose: the verifier has to convict it. How fast it is, is nobody's concern.
    NegativeControl,
}

/// Who has a turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contender {
    /// What it is called.
    pub label: String,
    /// The strategy of its server.
    pub strategy: Strategy,
    /// The program of its server.
    pub program: PathBuf,
    /// Where its server keeps its stock.
    pub storage: Storage,
    /// Why it is there.
    pub role: Role,
    /// The label of what it is compared with.
    pub against: Option<String>,
    /// How long its requests are held back.
    pub delay: Option<Duration>,
}

/// What the contenders have in common.
#[derive(Debug, Clone)]
pub struct Field<'a> {
    /// The server program.
    pub program: &'a Path,
    /// Where servers keep their stock, except a negative control's: it keeps no ledger, and can only do without.
    pub storage: Storage,
    /// How long the delay control holds requests back, if there is to be one.
    pub delay: Option<Duration>,
}

impl Field<'_> {
    /// All strategies against one of them, which has a copy: the baseline where it was named, the copy and the control last.
    ///
    /// The baseline is the first of `strategies` unless another of them is named.
    pub fn against_one(
        &self,
        strategies: &[Strategy],
        baseline: Option<&str>,
    ) -> Result<Vec<Contender>, CompareError> {
        let baseline = find(strategies, baseline)?;
        let own = |strategy: &Strategy| {
            let contender = self.contender(strategy.name.clone(), strategy);
            if strategy == baseline {
                Contender { role: Role::Baseline, ..contender }
            } else if strategy.correct {
                Contender { role: Role::Candidate, against: Some(baseline.name.clone()), ..contender }
            } else {
                contender
            }
        };
        let mut contenders: Vec<Contender> = strategies.iter().map(own).collect();
        contenders.extend(self.controls(&baseline.name, baseline));
        Ok(contenders)
    }

    /// Each strategy of this program (`A:`) against the same one of another program (`B:`). The copy is of `A:` of the
    /// baseline, which is the first of `strategies` unless another of them is named.
    pub fn against_build(
        &self,
        strategies: &[Strategy],
        baseline: Option<&str>,
        other: &Path,
    ) -> Result<Vec<Contender>, CompareError> {
        let copied = find(strategies, baseline)?;
        let mut contenders = Vec::new();
        for strategy in strategies {
            let one = self.contender(format!("A:{}", strategy.name), strategy);
            let another = Contender {
                program: other.to_owned(),
                ..self.contender(format!("B:{}", strategy.name), strategy)
            };
            if strategy.correct {
                let against = Some(one.label.clone());
                contenders.push(Contender { role: Role::Baseline, ..one });
                contenders.push(Contender { role: Role::Candidate, against, ..another });
            } else {
                contenders.extend([one, another]);
            }
        }
        contenders.extend(self.controls(&format!("A:{}", copied.name), copied));
        Ok(contenders)
    }

    /// Each strategy against its own rounds in an earlier run, `known` by their labels there. The copy is one of this run's
    /// baseline: the first of `strategies` that is known, or else the first. A strategy that was not there has nothing to be
    /// compared with.
    pub fn against_earlier(
        &self,
        strategies: &[Strategy],
        known: &[String],
    ) -> Result<Vec<Contender>, CompareError> {
        let is_known = |strategy: &&Strategy| known.contains(&strategy.name);
        let copied =
            strategies.iter().find(is_known).or(strategies.first()).ok_or(CompareError::NoStrategy)?;
        let own = |strategy: &Strategy| {
            let contender = self.contender(strategy.name.clone(), strategy);
            if strategy.correct {
                let against = is_known(&strategy).then(|| then(&strategy.name));
                Contender { role: Role::Candidate, against, ..contender }
            } else {
                contender
            }
        };
        let mut contenders: Vec<Contender> = strategies.iter().map(own).collect();
        contenders.extend(self.controls(&copied.name, copied));
        Ok(contenders)
    }

    /// The copy of a baseline, and the delay control.
    fn controls(&self, against: &str, strategy: &Strategy) -> Vec<Contender> {
        let control = |suffix: &str, role, delay| Contender {
            role,
            against: Some(against.to_owned()),
            delay,
            ..self.contender(format!("{against} ({suffix})"), strategy)
        };
        let delayed = self.delay.map(|delay| control("delayed", Role::DelayControl, Some(delay)));
        delayed.into_iter().chain([control("A/A", Role::Copy, None)]).collect()
    }

    fn contender(&self, label: String, strategy: &Strategy) -> Contender {
        Contender {
            label,
            strategy: strategy.clone(),
            program: self.program.to_owned(),
            storage: if strategy.correct { self.storage } else { Storage::Ephemeral },
            role: Role::NegativeControl,
            against: None,
            delay: None,
        }
    }
}

/// The label of a contender of an earlier run.
pub fn then(contender: &str) -> String {
    format!("{contender} (then)")
}

fn find<'a>(strategies: &'a [Strategy], baseline: Option<&str>) -> Result<&'a Strategy, CompareError> {
    let found = match baseline {
        None => strategies.first(),
        Some(name) => strategies.iter().find(|strategy| strategy.name == name),
    };
    found.ok_or_else(|| CompareError::NoBaseline {
        name: baseline.unwrap_or_default().to_owned(),
        compared: names(strategies),
    })
}

fn names(strategies: &[Strategy]) -> String {
    strategies.iter().map(|strategy| strategy.name.as_str()).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strategy(name: &str, correct: bool) -> Strategy {
        Strategy { name: name.to_owned(), correct }
    }

    fn field(delay: Option<Duration>) -> Field<'static> {
        Field { program: Path::new("inventory"), storage: Storage::Durable, delay }
    }

    fn told(contenders: &[Contender]) -> Vec<(&str, Role, Option<&str>)> {
        contenders.iter().map(|c| (c.label.as_str(), c.role, c.against.as_deref())).collect()
    }

    #[test]
    fn all_are_compared_with_one_and_it_with_its_copy() {
        let strategies = [strategy("mutex", true), strategy("atomic", true), strategy("racy", false)];
        let contenders =
            field(Some(Duration::from_millis(2))).against_one(&strategies, Some("atomic")).unwrap();
        let expected = [
            ("mutex", Role::Candidate, Some("atomic")),
            ("atomic", Role::Baseline, None),
            ("racy", Role::NegativeControl, None),
            ("atomic (delayed)", Role::DelayControl, Some("atomic")),
            ("atomic (A/A)", Role::Copy, Some("atomic")),
        ];
        assert_eq!(told(&contenders), expected);
        let storages: Vec<Storage> = contenders.iter().map(|contender| contender.storage).collect();
        assert_eq!(storages[..3], [Storage::Durable, Storage::Durable, Storage::Ephemeral]);
    }

    #[test]
    fn builds_are_compared_strategy_by_strategy() {
        let strategies = [strategy("mutex", true), strategy("racy", false)];
        let contenders = field(None).against_build(&strategies, None, Path::new("other")).unwrap();
        let expected = [
            ("A:mutex", Role::Baseline, None),
            ("B:mutex", Role::Candidate, Some("A:mutex")),
            ("A:racy", Role::NegativeControl, None),
            ("B:racy", Role::NegativeControl, None),
            ("A:mutex (A/A)", Role::Copy, Some("A:mutex")),
        ];
        assert_eq!(told(&contenders), expected);
        let programs: Vec<&Path> = contenders.iter().map(|contender| contender.program.as_path()).collect();
        assert_eq!(programs, ["inventory", "other", "inventory", "other", "inventory"].map(Path::new));
    }

    #[test]
    fn an_earlier_run_is_the_baseline_of_what_it_had() {
        let strategies = [strategy("new", true), strategy("mutex", true)];
        let contenders = field(None).against_earlier(&strategies, &["mutex".to_owned()]).unwrap();
        let expected = [
            ("new", Role::Candidate, None),
            ("mutex", Role::Candidate, Some("mutex (then)")),
            ("mutex (A/A)", Role::Copy, Some("mutex")),
        ];
        assert_eq!(told(&contenders), expected);
    }

    #[test]
    fn the_first_is_the_baseline_unless_another_one_is_named() {
        let strategies = [strategy("mutex", true), strategy("atomic", true)];
        let contenders = field(None).against_one(&strategies, None).unwrap();
        assert_eq!(told(&contenders)[0], ("mutex", Role::Baseline, None));
        let error = field(None).against_one(&strategies, Some("actor")).unwrap_err();
        assert!(
            error.to_string().contains("`actor`") && error.to_string().contains("mutex, atomic"),
            "{error}"
        );
    }
}
