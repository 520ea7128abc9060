//! The kill matrix: a row for each strategy and each planted fault, and what all of it means.

use std::time::Duration;

use serde::Serialize;

use super::judge::{self, Kill};
use crate::compare::server::Strategy;
use crate::exit::Exit;

/// What kind of row it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Group {
    /// A strategy that keeps its promises: must not be accused.
    Correct,
    /// A strategy that is wrong on purpose: must be killed.
    Mutant,
    /// A fault planted in a good history: must be found wherever it was planted.
    Planted,
}

/// What came of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Correct, and nothing was objected to.
    Clean,
    /// Correct, and accused: a false alarm, or the strategy is not correct.
    Accused,
    /// Wrong, and convicted.
    Killed,
    /// Wrong, and nothing objected: a hole in the proof.
    Survived,
    /// Correct, and a trial of it proved nothing.
    Unproved,
    /// Not tried: the time was up, or the self-test was interrupted.
    Untried,
}

/// One row.
#[derive(Debug, Clone)]
pub struct Row {
    /// What kind of row it is.
    pub group: Group,
    /// The name of the strategy, or of the fault.
    pub name: String,
    /// What is wrong with it; empty for correct strategies.
    pub breaks: &'static str,
    /// How often it was tried; of a planted fault, the places it was planted at.
    pub attempts: u32,
    /// Operations of all its histories.
    pub operations: u64,
    /// Every objection.
    pub kills: Vec<Kill>,
    /// Trials that proved nothing, and why; of a planted fault, where it was not found.
    pub doubts: Vec<String>,
}

/// All rows.
#[derive(Debug)]
pub struct Matrix {
    /// Correct strategies, mutants, planted faults.
    pub rows: Vec<Row>,
    /// How long it took.
    pub took: Duration,
}

impl Group {
    /// The group of a strategy.
    pub fn of(strategy: &Strategy) -> Self {
        if strategy.correct { Self::Correct } else { Self::Mutant }
    }
}

impl Row {
    /// A row that was not tried yet.
    pub fn new(group: Group, name: &str, breaks: &'static str) -> Self {
        Self {
            group,
            name: name.to_owned(),
            breaks,
            attempts: 0,
            operations: 0,
            kills: Vec::new(),
            doubts: Vec::new(),
        }
    }

    /// What came of it.
    pub fn state(&self) -> State {
        match self.group {
            Group::Correct if !self.kills.is_empty() => State::Accused,
            // A fault that was planted nowhere was found nowhere.
            Group::Planted if self.kills.is_empty() || !self.doubts.is_empty() => State::Survived,
            _ if self.attempts == 0 => State::Untried,
            Group::Correct if !self.doubts.is_empty() => State::Unproved,
            Group::Correct => State::Clean,
            Group::Mutant if self.kills.is_empty() => State::Survived,
            Group::Mutant | Group::Planted => State::Killed,
        }
    }
}

impl Matrix {
    /// What it means, in words and as exit codes; none if every mutant died, every planted fault was found, and nobody was
    /// accused who is right.
    pub fn findings(&self) -> Vec<(Exit, String)> {
        let mut findings: Vec<_> = self.rows.iter().filter_map(finding).collect();
        if !self.rows.iter().any(|row| row.group == Group::Planted) {
            let what = "no faults were planted: there is no good history to plant them in".to_owned();
            findings.push((Exit::Inconclusive, what));
        }
        findings
    }

    /// The checks that killed anything: kinds of violations, most telling first, then the others.
    pub fn checks(&self) -> Vec<String> {
        let kinds = history::Kind::ALL.iter().map(|kind| judge::check(*kind));
        let all = kinds.chain([judge::BOOKS, judge::REPLAYED_ANSWER].map(str::to_owned));
        let killed =
            |check: &String| self.rows.iter().flat_map(|row| &row.kills).any(|kill| kill.check == *check);
        all.filter(killed).collect()
    }
}

fn finding(row: &Row) -> Option<(Exit, String)> {
    let Row { name, attempts, breaks, .. } = row;
    let first = row.doubts.first().map_or("", String::as_str);
    match row.state() {
        State::Clean | State::Killed => None,
        State::Accused => {
            let by: Vec<String> =
                row.soonest().into_iter().map(|kill| format!("{} ({})", kill.check, kill.trial)).collect();
            Some((
                Exit::Violation,
                format!("{name} is meant to be correct, and is accused of {}", by.join(", ")),
            ))
        }
        State::Survived if row.group == Group::Planted => {
            let (missed, of) = (row.doubts.len(), attempts);
            let what =
                format!("the planted fault {name} ({breaks}) survived at {missed} of {of} places: {first}");
            Some((Exit::Inconclusive, what))
        }
        State::Survived => {
            Some((Exit::Inconclusive, format!("the mutant {name} ({breaks}) survived {attempts} attempts")))
        }
        State::Unproved => Some((Exit::Inconclusive, format!("nothing was proved of {name}: {first}"))),
        State::Untried => Some((Exit::Inconclusive, format!("{name} was not tried: the time was up"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kill() -> Kill {
        Kill { trial: "storm", check: "lost update".to_owned(), violations: 1, operations: 9, after_ms: 1.0 }
    }

    fn row(group: Group, killed: bool) -> Row {
        let kills = if killed { vec![kill()] } else { Vec::new() };
        Row { attempts: 1, kills, ..Row::new(group, "x", "y") }
    }

    fn exit(rows: Vec<Row>) -> Exit {
        let findings = Matrix { rows, took: Duration::ZERO }.findings();
        Exit::worst(findings.into_iter().map(|(exit, _)| exit))
    }

    fn all_well() -> Vec<Row> {
        vec![row(Group::Correct, false), row(Group::Mutant, true), row(Group::Planted, true)]
    }

    #[test]
    fn all_is_well_if_the_wrong_die_and_the_right_live() {
        assert_eq!(exit(all_well()), Exit::Ok);
    }

    #[test]
    fn a_survivor_is_5_and_an_accused_4_and_4_wins() {
        assert_eq!(exit([all_well(), vec![row(Group::Mutant, false)]].concat()), Exit::Inconclusive);
        assert_eq!(exit([all_well(), vec![row(Group::Planted, false)]].concat()), Exit::Inconclusive);
        assert_eq!(exit([all_well(), vec![row(Group::Correct, true)]].concat()), Exit::Violation);
        let both = vec![row(Group::Correct, true), row(Group::Mutant, false)];
        assert_eq!(exit([all_well(), both].concat()), Exit::Violation);
    }

    #[test]
    fn what_was_not_tried_or_not_proved_is_5() {
        let untried = Row { attempts: 0, ..row(Group::Mutant, false) };
        assert_eq!(exit([all_well(), vec![untried]].concat()), Exit::Inconclusive);
        let unproved = Row { doubts: vec!["why".to_owned()], ..row(Group::Correct, false) };
        assert_eq!(exit([all_well(), vec![unproved]].concat()), Exit::Inconclusive);
        assert_eq!(exit(vec![row(Group::Correct, false), row(Group::Mutant, true)]), Exit::Inconclusive);
    }

    #[test]
    fn a_planted_fault_that_was_missed_once_survived() {
        let missed = Row { doubts: vec!["there".to_owned()], ..row(Group::Planted, true) };
        assert_eq!(missed.state(), State::Survived);
    }
}
