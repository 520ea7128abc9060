//! The report of `selftest`: the kill matrix.

use serde::Serialize;

use super::judge::Kill;
use super::matrix::{Group, Matrix, Row, State};
use super::{ATTEMPTS_MAX, Plan};
use crate::exit::Exit;
use crate::report::document::{CaseOutcome, Document, Table};
use crate::report::{Remarks, VERSION, millis};

/// The whole report; its members are the JSON.
#[derive(Debug, Serialize)]
pub struct SelftestReport {
    /// `loadtest-selftest/1`
    pub format: &'static str,
    /// The version of this program.
    pub loadtest_version: &'static str,
    /// The command line.
    pub command: String,
    /// The program that was started.
    pub server: String,
    /// The seed.
    pub seed: u64,
    /// Requests of one storm.
    pub requests: u64,
    /// How long all of it took.
    pub took_ms: u64,
    /// The checks that killed anything: the columns of the matrix.
    pub checks: Vec<String>,
    /// The rows of the matrix.
    pub rows: Vec<Line>,
    /// What decides the exit code, in words.
    pub remarks: Remarks,
    /// The exit code.
    pub exit_code: u8,
}

/// One row of the matrix.
#[derive(Debug, Serialize)]
pub struct Line {
    /// `correct`, `mutant` or `planted`.
    pub group: Group,
    /// The name of the strategy, or of the fault.
    pub name: String,
    /// What is wrong with it; empty for correct strategies.
    pub breaks: &'static str,
    /// `clean`, `accused`, `killed`, `survived`, `unproved` or `untried`.
    pub state: State,
    /// How often it was tried; of a planted fault, the places it was planted at.
    pub attempts: u32,
    /// Operations of all its histories.
    pub operations: u64,
    /// For each check that objected, the soonest objection.
    pub kills: Vec<Kill>,
    /// Trials that proved nothing, and why.
    pub doubts: Vec<String>,
}

impl SelftestReport {
    /// Of a matrix.
    pub fn new(matrix: &Matrix, plan: &Plan, server: String, interrupted: bool) -> Self {
        let mut findings = matrix.findings();
        if interrupted {
            findings
                .push((Exit::Interrupted, "interrupted; what was tried until then was judged".to_owned()));
        }
        let exit = Exit::worst(findings.iter().map(|(exit, _)| *exit));
        Self {
            format: "loadtest-selftest/1",
            loadtest_version: VERSION,
            command: plan.command.clone(),
            server,
            seed: plan.seed,
            requests: plan.requests,
            took_ms: millis(matrix.took),
            checks: matrix.checks(),
            rows: matrix.rows.iter().map(Line::of).collect(),
            remarks: findings.into_iter().map(|(_, remark)| remark).collect(),
            exit_code: exit.code(),
        }
    }

    /// Everything there is to tell.
    pub fn document(&self) -> Document {
        let mut document = Document::new("The kill matrix");
        document.line(format!(
            "Seed {}, {} requests to a storm. Every row went through every check. A number is how many operations had been \
             answered when that check had its first proof; a dot is no objection.",
            self.seed, self.requests
        ));
        document.push(self.matrix());
        let legend: Vec<String> =
            self.checks.iter().map(|check| format!("{} {check}", code(check))).collect();
        document.line(legend.join(", "));
        document.push(self.soonest());
        document.line(self.totals());
        document
            .line(format!("Made by `loadtest selftest --seed {} --requests {}`", self.seed, self.requests));
        for remark in &self.remarks {
            document.line(format!("Finding: {remark}"));
        }
        for line in &self.rows {
            let class = format!("{:?}", line.group).to_lowercase();
            document.case(&class, line.name.as_str(), line.outcome());
        }
        document
    }

    /// Two letters for a check: with its whole name, a column would be as wide as a dozen are now.
    fn matrix(&self) -> Table {
        let codes: Vec<String> = self.checks.iter().map(|check| code(check)).collect();
        let header: Vec<&str> =
            ["strategy or fault", "state"].into_iter().chain(codes.iter().map(String::as_str)).collect();
        let row =
            |line: &Line| [line.name.clone(), line.state()].into_iter().chain(self.cells(line)).collect();
        Table::new("matrix", &header, self.rows.iter().map(row).collect())
    }

    fn soonest(&self) -> Table {
        let row = |line: &Line| {
            let soonest = line.kills.iter().min_by(|a, b| a.operations.cmp(&b.operations));
            let (by, after) = soonest.map_or(("nothing".to_owned(), "-".to_owned()), |kill| {
                let by = format!("{} ({})", kill.check, kill.trial);
                (by, format!("{} operations, {} ms", kill.operations, kill.after_ms))
            });
            vec![line.name.clone(), line.breaks.to_owned(), by, after]
        };
        let wrong = self.rows.iter().filter(|line| line.group != Group::Correct);
        let header = ["what", "is wrong so", "killed soonest by", "after"];
        Table::new("kills", &header, wrong.map(row).collect())
    }

    fn totals(&self) -> String {
        let count = |group, state| {
            let of: Vec<&Line> = self.rows.iter().filter(|line| line.group == group).collect();
            format!("{} of {}", of.iter().filter(|line| line.state == state).count(), of.len())
        };
        format!(
            "Correct strategies not accused: {}. Mutants killed: {} (in at most {ATTEMPTS_MAX} attempts). Planted faults \
             found: {}. {:.1} s.",
            count(Group::Correct, State::Clean),
            count(Group::Mutant, State::Killed),
            count(Group::Planted, State::Killed),
            self.took_ms as f64 / 1_000.0
        )
    }

    fn cells(&self, line: &Line) -> Vec<String> {
        let cell = |check: &String| {
            let kill = line.kills.iter().find(|kill| kill.check == *check);
            kill.map_or(".".to_owned(), |kill| kill.operations.to_string())
        };
        self.checks.iter().map(cell).collect()
    }
}

impl Line {
    /// A correct one must be clean, every other must die.
    fn outcome(&self) -> CaseOutcome {
        let failed = |message: &str| CaseOutcome::Failed {
            message: message.to_owned(),
            detail: {
                let each = self.kills.iter().map(|kill| format!("{} ({})", kill.check, kill.trial));
                each.collect::<Vec<_>>().join("\n")
            },
        };
        match self.state {
            State::Clean | State::Killed => CaseOutcome::Passed,
            State::Accused => failed("a correct strategy is accused"),
            State::Survived => failed("no check caught it"),
            _ => CaseOutcome::Undecided { message: self.doubts.join("; ") },
        }
    }

    fn state(&self) -> String {
        format!("{:?}", self.state).to_lowercase()
    }

    fn of(row: &Row) -> Self {
        Self {
            group: row.group,
            name: row.name.clone(),
            breaks: row.breaks,
            state: row.state(),
            attempts: row.attempts,
            operations: row.operations,
            kills: row.soonest(),
            doubts: row.doubts.clone(),
        }
    }
}

/// Two letters for a check, so that the matrix fits a terminal: the first letters of its words, or of its word.
fn code(check: &str) -> String {
    let words: Vec<&str> = check.split(' ').filter(|word| !matches!(*word, "of" | "out")).collect();
    let letters: String = match words.as_slice() {
        [one] => one.chars().take(2).collect(),
        many => many.iter().filter_map(|word| word.chars().next()).collect(),
    };
    letters.to_uppercase()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::Duration;

    use super::super::judge::{BOOKS, REPLAYED_ANSWER};
    use super::*;
    use crate::report::plain::{self, Look};

    #[test]
    fn no_two_checks_have_one_code() {
        let kinds = history::Kind::ALL.iter().map(|kind| kind.to_string().to_lowercase());
        let checks: Vec<String> = kinds.chain([BOOKS.to_owned(), REPLAYED_ANSWER.to_owned()]).collect();
        let codes: BTreeSet<String> = checks.iter().map(|check| code(check)).collect();
        assert_eq!(codes.len(), checks.len(), "{codes:?}");
    }

    #[test]
    fn the_matrix_has_a_row_for_each_and_a_column_for_each_check_that_killed() {
        let kill = |check: &str| Kill {
            trial: "storm",
            check: check.to_owned(),
            violations: 3,
            operations: 61,
            after_ms: 4.5,
        };
        let mutant = Row {
            attempts: 1,
            kills: vec![kill("lost update"), kill("books")],
            ..Row::new(Group::Mutant, "racy", "check-then-act")
        };
        let correct = Row { attempts: 1, ..Row::new(Group::Correct, "mutex", "") };
        let matrix = Matrix { rows: vec![correct, mutant], took: Duration::from_millis(1_500) };
        let plan = Plan { seed: 7, requests: 100, time_max: Duration::MAX, command: String::new() };
        let report = SelftestReport::new(&matrix, &plan, "inventory".to_owned(), false);
        let document = report.document();
        let columns = Look { columns: Some(80), colours: false };
        let (text, page) = (plain::text(&document, columns), plain::markdown(&document));
        assert!(
            text.contains("LU lost update, BO books") && text.lines().all(|line| line.chars().count() <= 80),
            "{text}"
        );
        assert!(
            page.contains("| racy | check-then-act | lost update (storm) | 61 operations, 4.5 ms |"),
            "{page}"
        );
        assert!(
            text.contains("Mutants killed: 1 of 1") && page.contains("Planted faults found: 0 of 0"),
            "{text}"
        );
        assert!(page.contains("Made by `loadtest selftest --seed 7 --requests 100`"), "{page}");
        assert_eq!((report.exit_code, report.checks.len()), (5, 2), "nothing was planted");
    }
}
