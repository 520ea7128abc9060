//! The report of a shop.

use std::collections::BTreeMap;

use history::shop::{Audit, Counts, Numbered};
use serde::Serialize;

use super::Plan;
use super::course::Brought;
use super::lives::Lives;
use crate::crash::figures::FaultFigures;
use crate::exit::Exit;
use crate::report::document::{Better, CaseOutcome, Document};
use crate::report::{Remarks, VERSION};

/// The whole report; its members are the JSON.
#[derive(Debug, Serialize)]
pub struct ShopReport {
    /// `loadtest-shop/1`
    pub format: &'static str,
    /// The version of this program.
    pub loadtest_version: &'static str,
    /// The command line.
    pub command: String,
    /// The address of the server, or the program.
    pub server: String,
    /// Its strategy, if it told.
    pub strategy: Option<String>,
    /// The seed of everything drawn.
    pub seed: u64,
    /// Clients.
    pub clients: u32,
    /// Levels.
    pub levels: u32,
    /// From opening to closing, in seconds.
    pub seconds: f64,
    /// Questions that were asked, the last look included.
    pub asked: u64,
    /// Attempts that got no answer, or were turned away for now.
    pub asked_again: u64,
    /// Of these, attempts that may have been carried out.
    pub in_doubt: u64,
    /// Questions that were never answered.
    pub unknown: u64,
    /// Movements of the ledger.
    pub movements: u64,
    /// How far their numbers were taken for the order of time: of `all`, or of one `level` only.
    pub ledger_order: &'static str,
    /// Refusals for want of stock that were judged.
    pub refusals: u64,
    /// Reservations by what became of them.
    pub reservations: BTreeMap<&'static str, u64>,
    /// Of the committed: those that shipped a part.
    pub committed_in_part: u64,
    /// Reservations that were extended.
    pub extended: u64,
    /// Orders by what became of them.
    pub orders: BTreeMap<&'static str, u64>,
    /// Orders that waited for stock, and had it later.
    pub fulfilled_late: u64,
    /// Returns, and returns that were refused because it was back already.
    pub returns: (u64, u64),
    /// How the lives of the server ended, of a crash test.
    pub lives: Option<Lives>,
    /// What came of killing the database, of a crash test that does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fault: Option<FaultFigures>,
    /// Whether all promises were kept; absent if that could not be judged.
    pub clean: Option<bool>,
    /// Broken promises by name.
    pub violations: BTreeMap<&'static str, u64>,
    /// Some of them in full.
    pub listed: Vec<String>,
    /// Where data and logs were kept, if they were.
    pub kept: Option<String>,
    /// What decides the exit code, in words, and what else a reader must know.
    pub remarks: Remarks,
    /// The exit code.
    pub exit_code: u8,
}

impl ShopReport {
    /// Puts the figures together, with what they mean for the exit code.
    pub fn new(
        plan: &Plan,
        server: &str,
        brought: &Brought,
        audit: Option<&Audit>,
        lives: Option<Lives>,
    ) -> (Self, Vec<Exit>) {
        let none = Counts::default();
        let counts = audit.map_or(&none, |audit| &audit.counts);
        let by_fault = audit.map(|audit| &audit.by_fault).into_iter().flatten();
        let findings = findings(brought, audit, lives.as_ref());
        let report = Self {
            format: "loadtest-shop/1",
            loadtest_version: VERSION,
            command: plan.command.clone(),
            server: server.to_owned(),
            strategy: brought.strategy.clone(),
            seed: plan.seed,
            clients: plan.clients,
            levels: plan.skus,
            seconds: brought.took.as_secs_f64(),
            asked: counts.asked,
            asked_again: brought.haul.effort.again,
            in_doubt: brought.haul.effort.in_doubt,
            unknown: counts.unknown,
            movements: counts.movements,
            ledger_order: match brought.numbered {
                Numbered::Throughout => "all",
                Numbered::EachLevel => "level",
            },
            refusals: counts.refusals,
            reservations: counts.holds_by_state.iter().map(|(state, count)| (state.name(), *count)).collect(),
            committed_in_part: counts.holds_committed_in_part,
            extended: counts.holds_extended,
            orders: counts.orders_by_state.iter().map(|(state, count)| (state.name(), *count)).collect(),
            fulfilled_late: counts.orders_fulfilled_late,
            returns: (counts.returns, counts.returns_refused),
            lives,
            fault: None,
            clean: audit.map(Audit::is_clean),
            violations: by_fault.map(|(fault, count)| (fault.name(), *count)).collect(),
            listed: audit.iter().flat_map(|audit| &audit.listed).map(told).collect(),
            kept: None,
            remarks: findings.iter().map(|(_, remark)| remark.clone()).collect(),
            exit_code: 0,
        };
        (report, findings.into_iter().map(|(exit, _)| exit).collect())
    }

    /// Everything there is to tell.
    pub fn document(&self) -> Document {
        let mut document = Document::new("A shop");
        let Self { server, seed, clients, levels, asked, seconds, .. } = self;
        let strategy = self.strategy.as_deref().unwrap_or("not told");
        document.line(format!(
            "Shop at {server} (strategy {strategy}): seed {seed}, {clients} clients, {levels} levels, {seconds:.1} s"
        ));
        if let Some(lives) = &self.lives {
            document.line(lives.to_string());
        }
        if let Some(fault) = &self.fault {
            fault.tell(&mut document);
        }
        document.line(format!(
            "{asked} questions: {} sent again, {} of them in doubt, {} never answered; {} movements in the ledger",
            self.asked_again, self.in_doubt, self.unknown, self.movements
        ));
        if self.ledger_order != "all" {
            document.line("The numbers of the ledger are the order of each level: between levels, what was asked and answered decides".to_owned());
        }
        let row = |name: &str, (state, count): (&&str, &u64)| {
            vec![name.to_owned(), (*state).to_owned(), count.to_string()]
        };
        let mut rows: Vec<Vec<String>> = self.reservations.iter().map(|of| row("reservations", of)).collect();
        rows.push(row("reservations", (&"committed in part", &self.committed_in_part)));
        rows.push(row("reservations", (&"extended", &self.extended)));
        rows.extend(self.orders.iter().map(|of| row("orders", of)));
        rows.push(row("orders", (&"fulfilled after waiting", &self.fulfilled_late)));
        rows.push(row("returns", (&"taken back", &self.returns.0)));
        rows.push(row("returns", (&"refused: back already", &self.returns.1)));
        rows.push(row("refusals", (&"for want of stock", &self.refusals)));
        document.table("shop", &["what", "became", "count"], rows);
        for listed in &self.listed {
            document.line(listed.clone());
        }
        for remark in &self.remarks {
            document.line(format!("Finding: {remark}"));
        }
        if let Some(kept) = &self.kept {
            document.line(format!("Kept: {kept}"));
        }
        let (line, outcome) = self.verdict();
        document.line(line);
        document.case("invariant", "the ledger explains every answer", outcome);
        document.figure("questions per second", "1/s", *asked as f64 / seconds.max(1e-9), Better::Higher);
        document
    }

    fn verdict(&self) -> (String, CaseOutcome) {
        match self.clean {
            Some(true) => {
                let line = "Verdict: the ledger explains every answer: nothing lost, nothing twice, nothing early or late";
                (line.to_owned(), CaseOutcome::Passed)
            }
            Some(false) => {
                let kinds: Vec<String> =
                    self.violations.iter().map(|(fault, count)| format!("{count} x {fault}")).collect();
                let message = format!("violated: {}", kinds.join(", "));
                let detail = self.listed.join("\n");
                (format!("Verdict: {message}"), CaseOutcome::Failed { message, detail })
            }
            None => {
                let message = "there is no ledger to judge by".to_owned();
                (format!("Verdict: {message}"), CaseOutcome::Undecided { message })
            }
        }
    }
}

fn told(finding: &history::shop::Finding) -> String {
    format!("{}: {}", finding.fault.name(), finding.text)
}

/// What it means, in words and as exit codes.
fn findings(brought: &Brought, audit: Option<&Audit>, lives: Option<&Lives>) -> Vec<(Exit, String)> {
    let mut findings = Vec::new();
    let mut note = |exit, text: String| findings.push((exit, text));
    if let Some(audit) = audit {
        if !audit.is_clean() {
            note(Exit::Violation, format!("{} promises were broken", audit.total()));
        }
        let Counts { unknown, movements, .. } = audit.counts;
        if movements == 0 {
            note(Exit::Inconclusive, "nothing was changed, so nothing was tried".to_owned());
        }
        if unknown > 0 {
            note(
                Exit::Inconclusive,
                format!("{unknown} questions were never answered, so the proof has holes"),
            );
        }
    }
    if let Err(error) = &brought.books {
        note(Exit::Inconclusive, error.to_string());
    }
    let (breaches, example) = &brought.haul.breaches;
    if *breaches > 0 {
        let example = example.as_deref().unwrap_or_default();
        note(Exit::Inconclusive, format!("{breaches} answers did not fit the contract, such as: {example}"));
    }
    if brought.queued > 0 {
        let queued = brought.queued;
        note(
            Exit::Inconclusive,
            format!("{queued} orders were still queued long after the last client had left"),
        );
    }
    if let Some(lives) = lives {
        if let Some(lost) = &lives.lost {
            note(Exit::Violation, format!("the server did not come back: {lost}"));
        }
        for unclean in &lives.unclean {
            note(Exit::Inconclusive, unclean.clone());
        }
        let is_unharmed = lives.outages.iter().all(|outage| outage.failed == 0);
        if !lives.outages.is_empty() && is_unharmed {
            let text = "no kill of the database found a question in flight, so nothing was tried";
            note(Exit::Inconclusive, text.to_owned());
        }
        if lives.killed > 0 && brought.haul.effort.in_doubt == 0 {
            note(Exit::Inconclusive, "no kill found a question in flight, so nothing was tried".to_owned());
        }
    }
    findings
}
