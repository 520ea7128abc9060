//! The books of a bank: units are only moved, so all levels together have, at every instant, what was paid in.
//!
//! It needs neither versions nor an order of anything, so it is a second judge beside the checker of histories, which says of the
//! same answers whether their levels were ever so at one moment.

use history::{Answer, Asked, Log, LogError, Op};
use serde::Serialize;

use super::document::{CaseOutcome, Document};
use crate::exit::Exit;
use crate::workload::Spec;

/// What was seen of a bank.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Bank {
    /// Units that were paid in; `null` if the opening of a level was not acknowledged.
    pub units: Option<u64>,
    /// Answers that told all levels at one instant.
    pub looks: u64,
    /// Of these, those whose units are not what was paid in.
    pub wrong: u64,
    /// What the first of these had; `null` if there is none.
    pub first_wrong: Option<u64>,
    /// Moves that were made: every transfer, and every batch.
    pub moves: u64,
}

impl Bank {
    /// Closes the books of a recorded run, off the runtime's threads. The history is handed back.
    pub async fn of(history: Log, spec: &Spec) -> (Log, Result<Self, LogError>) {
        let levels = 2 * spec.skus as usize;
        let opened = spec.opening().len();
        let work = move || {
            let closed = Self::close(&history, levels, opened);
            (history, closed)
        };
        match tokio::task::spawn_blocking(work).await {
            Ok(done) => done,
            // It panicked: pass the panic on, since there is nothing to report.
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }

    fn close(history: &Log, levels: usize, opened: usize) -> Result<Self, LogError> {
        let mut bank = Self::default();
        let (mut paid_in, mut openings) = (0_u64, 0);
        history.for_each(|_, op| {
            if let (Asked::Write([line]), Answer::Applied(_)) = (op.request, op.outcome)
                && let history::Effect::Create(on_hand) = line.effect
            {
                paid_in = paid_in.saturating_add(on_hand);
                openings += 1;
            }
        })?;
        bank.units = (openings == opened).then_some(paid_in);
        history.for_each(|_, op| bank.enter(&op, levels, paid_in))?;
        Ok(bank)
    }

    fn enter(&mut self, op: &Op<'_>, levels: usize, paid_in: u64) {
        match (op.request, op.outcome) {
            (Asked::Snapshot(keys), Answer::Snapshot(seen, _)) if keys.len() == levels => {
                self.looks += 1;
                let units = history::model::totals(seen).map_or(0, |totals| totals.on_hand);
                if units != paid_in {
                    self.wrong += 1;
                    self.first_wrong.get_or_insert(units);
                }
            }
            (Asked::Write([_, _, ..]), Answer::Applied(_)) => self.moves += 1,
            _ => {}
        }
    }

    /// What it means for the exit code, in words: nothing if every answer added up, while units were moved.
    pub fn findings(&self) -> Vec<(Exit, String)> {
        let finding = match (self.units, self.first_wrong) {
            (Some(units), Some(wrong)) => {
                let Self { looks, wrong: count, .. } = self;
                (
                    Exit::Violation,
                    format!(
                        "{count} of {looks} looks at the whole bank do not add up: {units} units were paid in, and the first of them had {wrong}"
                    ),
                )
            }
            (None, _) => {
                (Exit::Inconclusive, "the bank was not accounted for: a level was not opened".to_owned())
            }
            (Some(_), None) if self.looks == 0 || self.moves == 0 => {
                let what = format!(
                    "the bank proves nothing: {} moves and {} looks at all of it; raise --duration",
                    self.moves, self.looks
                );
                (Exit::Inconclusive, what)
            }
            (Some(_), None) => return Vec::new(),
        };
        vec![finding]
    }

    /// As a part of a document, and as a demand.
    pub fn tell(&self, document: &mut Document) {
        let Self { looks, moves, wrong, .. } = self;
        let units = self.units.map_or("an unknown number of".to_owned(), |units| units.to_string());
        document.line(format!(
            "Bank: {units} units paid in, {moves} moves, {looks} looks at all levels at one instant, {wrong} of which do not add up"
        ));
        let outcome = match self.findings().into_iter().next() {
            None => CaseOutcome::Passed,
            Some((Exit::Violation, message)) => CaseOutcome::Failed { detail: message.clone(), message },
            Some((_, message)) => CaseOutcome::Undecided { message },
        };
        document.case("invariant", "all levels together have what was paid in", outcome);
    }
}

#[cfg(test)]
mod tests {
    use history::{Effect, History, Key, Line, Outcome, Record, Request, Seen, Stock};

    use super::*;

    fn seen(key: u32, on_hand: u64) -> Seen {
        Seen { key: Key(key), version: 1, stock: Stock::Level { on_hand, reserved: 0 } }
    }

    fn record(request: Request, outcome: Outcome) -> Record {
        Record { client: 0, invoked_ns: 0, returned_ns: 1, request, outcome, once: None }
    }

    fn opening(key: u32, on_hand: u64) -> Record {
        let lines = vec![Line { key: Key(key), effect: Effect::Create(on_hand) }];
        record(Request::Write(lines), Outcome::Applied(vec![seen(key, on_hand)]))
    }

    fn look(units: [u64; 2]) -> Record {
        let levels = vec![seen(0, units[0]), seen(1, units[1])];
        record(Request::Snapshot(vec![Key(0), Key(1)]), Outcome::Snapshot { levels, totals: None })
    }

    fn moved() -> Record {
        let line = |key, units| Line { key: Key(key), effect: Effect::Add(units) };
        let lines = vec![line(0, -1), line(1, 1)];
        record(Request::Write(lines), Outcome::Applied(vec![seen(0, 4), seen(1, 6)]))
    }

    fn closed(records: Vec<Record>) -> Bank {
        let history = History { keys: vec!["a".to_owned(), "b".to_owned()], records, ..History::default() };
        Bank::close(&Log::from(&history), 2, 2).unwrap()
    }

    #[test]
    fn every_look_has_to_add_up_and_somebody_has_to_have_looked() {
        let well = closed(vec![opening(0, 5), opening(1, 5), moved(), look([4, 6]), look([5, 5])]);
        assert_eq!((well.units, well.looks, well.moves, well.findings()), (Some(10), 2, 1, vec![]));
        let torn = closed(vec![opening(0, 5), opening(1, 5), moved(), look([4, 5]), look([5, 5])]);
        assert_eq!((torn.wrong, torn.first_wrong), (1, Some(9)));
        assert!(matches!(torn.findings()[..], [(Exit::Violation, _)]));
        for vacuous in [
            vec![opening(0, 5), opening(1, 5), moved()],
            vec![opening(0, 5), opening(1, 5), look([5, 5])],
            vec![opening(0, 5), moved(), look([5, 0])],
        ] {
            assert!(matches!(closed(vacuous).findings()[..], [(Exit::Inconclusive, _)]));
        }
    }
}
