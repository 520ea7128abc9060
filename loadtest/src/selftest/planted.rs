//! Faults planted in good recorded histories: whether the checker finds what no server did, in records a server left.
//!
//! The histories are the small storms of the correct strategies, so what is planted in is real: overlapping requests, refusals,
//! deleted levels. Each fault is planted at several places of each, and has to be found at every one of them.

use history::History;
use history::check::Limits;
use history::plant::Fault;

use super::judge::{self, Kill, LISTED_MAX};
use super::matrix::{Group, Row};

/// Where in a history a fault is planted: counted through the places there are, so any numbers do.
const PLACES: [usize; 3] = [0, 7, 31];

/// One row for each fault.
pub fn rows(good: &[History]) -> Vec<Row> {
    Fault::ALL.into_iter().map(|fault| row(fault, good)).collect()
}

fn row(fault: Fault, good: &[History]) -> Row {
    let (name, breaks) = describe(fault);
    let mut row = Row::new(Group::Planted, name, breaks);
    for bad in good.iter().flat_map(|good| PLACES.iter().filter_map(|place| fault.plant(good, *place))) {
        let limits = Limits { violations_listed: LISTED_MAX, ..Limits::lenient() };
        let kills = judge::kills("planted", &bad, &history::check_with(&bad, &limits));
        row.attempts += 1;
        row.operations += bad.records.len() as u64;
        if kills.is_empty() {
            let seed = bad.meta.seed.unwrap_or_default();
            row.doubts.push(format!("not found in the history of {} with seed {seed}", strategy(&bad)));
        }
        row.kills.extend(kills);
    }
    row
}

fn strategy(history: &History) -> &str {
    history.meta.strategy.as_deref().unwrap_or("an unknown strategy")
}

/// The name of a fault, and what was planted.
fn describe(fault: Fault) -> (&'static str, &'static str) {
    match fault {
        Fault::Forget => ("forget", "the record of an applied write is gone"),
        Fault::LoseUpdate => ("lose-update", "two additions start from one state"),
        Fault::Swap => ("swap", "two changes of one level have swapped their answers"),
        Fault::Delay => ("delay", "a change happens after everything that saw it"),
        Fault::Hasten => ("hasten", "a change is answered before what it came after"),
        Fault::CorruptRead => ("corrupt-read", "a read shows one unit more"),
        Fault::Tear => ("tear", "of a write of several lines one line is lost"),
        Fault::Fracture => ("fracture", "two writes of two lines, in one order here and the other there"),
        Fault::Repeat => ("repeat", "an addition that is sent again under its key happens again"),
        Fault::AnswerOtherwise => {
            ("answer-otherwise", "a write that is sent again under its key is answered otherwise")
        }
        Fault::TearUntold => ("tear-untold", "without versions, half of a write to two levels is seen"),
        Fault::TearRead => ("tear-read", "a consistent read shows half of a write to two levels"),
        Fault::RefuseFalsely => ("refuse-falsely", "an addition is refused for lack of units"),
    }
}

impl Row {
    /// The kills of all copies, one for each check: how many violations, and the soonest.
    pub fn soonest(&self) -> Vec<Kill> {
        let mut soonest: Vec<Kill> = Vec::new();
        for kill in &self.kills {
            match soonest.iter_mut().find(|known| known.check == kill.check) {
                None => soonest.push(kill.clone()),
                Some(known) => {
                    let violations = known.violations + kill.violations;
                    if kill.operations < known.operations {
                        *known = kill.clone();
                    }
                    known.violations = violations;
                }
            }
        }
        soonest
    }
}

#[cfg(test)]
mod tests {
    use history::sample::{self, Shape};

    use super::super::matrix::State;
    use super::*;

    fn good() -> Vec<History> {
        let shape = |seed| Shape { seed, operations: 400, unknown_percent: 0, ..Shape::default() };
        [1, 2].map(|seed| sample::history(&shape(seed))).to_vec()
    }

    #[test]
    fn every_planted_fault_is_found_at_every_place() {
        let rows = rows(&good());
        assert_eq!(rows.len(), Fault::ALL.len());
        for row in rows {
            assert_eq!(row.state(), State::Killed, "{row:?}");
            assert!(row.attempts >= 4, "{row:?}");
        }
    }

    #[test]
    fn a_fault_that_could_not_be_planted_was_not_found() {
        let rows = rows(&[]);
        assert!(rows.iter().all(|row| row.state() == State::Survived));
    }

    #[test]
    fn the_soonest_of_each_check_stands_for_all() {
        let kill = |check: &str, operations| Kill {
            trial: "storm",
            check: check.to_owned(),
            violations: 2,
            operations,
            after_ms: 1.0,
        };
        let row = Row { kills: vec![kill("a", 9), kill("b", 5), kill("a", 7)], ..rows(&[]).remove(0) };
        let soonest: Vec<(String, u64, u64)> =
            row.soonest().into_iter().map(|kill| (kill.check, kill.operations, kill.violations)).collect();
        assert_eq!(soonest, [("a".to_owned(), 7, 4), ("b".to_owned(), 5, 2)]);
    }
}
