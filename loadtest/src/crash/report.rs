//! The report of `crash`.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde::Serialize;

use super::Plan;
use super::accounts::Accounts;
use super::counts::{Comings, Examples, Looks, Writes};
use super::delivered::WebhookAudit;
use super::figures::{Cycles, FaultFigures, Recovery, TakenBackFigures, Workload};
use super::outcome::{Crash, Life};
use super::server::Launch;
use super::told::EventsAudit;
use crate::report::document::{CaseOutcome, Document, Table};
use crate::report::{FailureRow, Remarks, VERSION, VerdictReport, counts, failures, tell_failures};

/// The whole report; its members are the JSON.
#[derive(Debug, Serialize)]
pub struct CrashReport {
    /// `loadtest-crash/1`
    pub format: &'static str,
    /// The version of this program.
    pub loadtest_version: &'static str,
    /// The command line.
    pub command: String,
    /// The server program.
    pub server: String,
    /// How many replicas of it share a database; absent if it has a data directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replicas: Option<u32>,
    /// That database, without a password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub store: Option<String>,
    /// What came of killing that database; absent if it was not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fault: Option<FaultFigures>,
    /// Its strategy, if it told.
    pub strategy: Option<String>,
    /// What decided the workload.
    pub workload: Workload,
    /// How the lives ended.
    pub cycles: Cycles,
    /// Writes by kind.
    pub writes: BTreeMap<&'static str, Writes>,
    /// All writes together.
    pub total: Writes,
    /// Reads that were answered.
    pub reads: u64,
    /// Requests sent, all attempts counted.
    pub requests: u64,
    /// From a restart to the first 200 on `/readyz`.
    pub recovery: Recovery,
    /// What the books say; absent if there was no final state to compare with.
    pub accounts: Option<Accounts>,
    /// Pairs of levels that were seen with a transaction in one of them only.
    pub torn_pairs: usize,
    /// Levels that come and go.
    pub comings: Comings,
    /// Listings and exports.
    pub looks: Looks,
    /// Sights of listings and exports that a kill took back.
    pub taken_back: TakenBackFigures,
    /// Levels that were missing from a listing or an export although they were there all along.
    pub left_out: Examples,
    /// What the event stream told; absent unless somebody watched it to the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub events: Option<EventsAudit>,
    /// What the webhook told; likewise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub webhook: Option<WebhookAudit>,
    /// Answered writes that were sent once more and executed again.
    pub echoes_differing: Examples,
    /// Refusals by the name of the problem; lines of independent batches count one each.
    pub refusals: BTreeMap<String, u64>,
    /// Everything that was no usable answer, by kind. Writes among them were sent again.
    pub failures: Vec<FailureRow>,
    /// What the history over all lives proves.
    pub verdict: VerdictReport,
    /// Every start of the server.
    pub lives: Vec<Life>,
    /// Where the data, the logs and the history were kept, if they were.
    pub kept: Option<String>,
    /// What decides the exit code, in words, and what else a reader must know.
    pub remarks: Remarks,
    /// The exit code.
    pub exit_code: u8,
}

impl CrashReport {
    /// Puts the figures together; `exit_code`, `kept` and `remarks` are decided by the caller.
    pub fn new(plan: &Plan, launch: &Launch, crash: &Crash, verdict: VerdictReport) -> Self {
        let writes = &crash.counts.writes;
        let mut total = Writes::default();
        for writes in writes.values() {
            total.add(*writes);
        }
        Self {
            format: "loadtest-crash/1",
            loadtest_version: VERSION,
            command: plan.command.clone(),
            server: launch.program.display().to_string(),
            replicas: plan.replicas,
            store: launch.store(),
            fault: FaultFigures::of(plan, crash),
            strategy: crash.strategy.clone(),
            workload: Workload::of(plan),
            cycles: Cycles::of(plan, crash),
            writes: writes.iter().map(|(kind, writes)| (kind.name(), *writes)).collect(),
            total,
            reads: crash.counts.reads,
            requests: crash.counts.requests,
            recovery: Recovery::of(&crash.lives, plan.replicas),
            accounts: crash.accounts.clone(),
            torn_pairs: crash.torn_pairs,
            comings: crash.counts.comings,
            looks: crash.counts.looks,
            taken_back: TakenBackFigures::of(&crash.taken_back),
            left_out: crash.left_out.clone(),
            events: crash.events.clone(),
            webhook: crash.webhook.clone(),
            echoes_differing: crash.counts.echoes_differing.clone(),
            refusals: crash.tally.refusals.clone(),
            failures: failures(&crash.tally),
            verdict,
            lives: crash.lives.clone(),
            kept: None,
            remarks: Vec::new(),
            exit_code: 0,
        }
    }

    /// Everything there is to tell.
    pub fn document(&self) -> Document {
        let Workload { seed, clients, come_and_go, listers, skus, pairs, keys, mix, life, .. } =
            &self.workload;
        let mut document = Document::new("Crash test");
        document.line(format!(
            "Crash test of {} (strategy {}): seed {seed}, {clients} clients, {skus} skus ({keys}; {pairs} are pairs), \
             {come_and_go} levels that come and go, {listers} listers, mix {mix}, life {life}",
            self.server,
            self.strategy.as_deref().unwrap_or("not told"),
        ));
        document.line(self.ends());
        if let Some(fault) = &self.fault {
            fault.tell(&mut document);
        }
        document.push(self.table());
        document.line(self.recovery.text());
        let judges = [Some(self.books()), Some(self.sights()), self.told(), self.delivered()];
        for line in judges.iter().flatten().flat_map(|text| text.lines()) {
            document.line(line);
        }
        document.line(format!("{} requests, {} reads answered", self.requests, self.reads));
        document.line(format!("Refusals: {}", counts(&self.refusals)));
        tell_failures(&mut document, &self.failures);
        for remark in &self.remarks {
            document.line(format!("Finding: {remark}"));
        }
        if let Some(kept) = &self.kept {
            document.line(format!("Kept: {kept}"));
        }
        self.verdict.tell(&mut document);
        self.tell_demands(&mut document);
        document
    }

    /// What was ended, and how.
    fn ends(&self) -> String {
        let Cycles {
            done,
            planned,
            kills,
            kills_in_flight,
            kills_early,
            terminated,
            starts,
            together_max,
            ..
        } = self.cycles;
        let of_what = match (&self.replicas, &self.store) {
            (Some(replicas), Some(store)) => format!(" of {replicas} replicas over {store}"),
            _ => String::new(),
        };
        if let Some(fault) = &self.fault {
            let how = match fault.kind {
                "failover" => "and its standby promoted",
                _ => "and started again",
            };
            return format!(
                "{done} of {planned} cycles{of_what}: the primary killed {how}; {starts} starts of replicas"
            );
        }
        let together =
            if self.replicas.is_some() { format!(", up to {together_max} together") } else { String::new() };
        format!(
            "{done} of {planned} cycles{of_what}: {kills} by SIGKILL ({kills_in_flight} with writes in flight), {terminated} by \
             SIGTERM{together}; {kills_early} killed while starting; {starts} starts"
        )
    }

    /// What the other judges say.
    fn tell_demands(&self, document: &mut Document) {
        let failed = |detail: String| CaseOutcome::Failed {
            message: detail.lines().next().unwrap_or_default().to_owned(),
            detail,
        };
        let books = self.accounts.as_ref().map(|accounts| {
            accounts.missing == 0 && accounts.doubled == 0 && accounts.torn == 0 && self.torn_pairs == 0
        });
        let outcome = match books {
            Some(true) => CaseOutcome::Passed,
            Some(false) => failed(self.books()),
            None => CaseOutcome::Undecided { message: self.books() },
        };
        document.case("invariant", "the books add up", outcome);
        let TakenBackFigures { deletions, versions, .. } = &self.taken_back;
        let sound = *deletions == 0 && *versions == 0 && self.left_out.count == 0;
        let outcome = if sound { CaseOutcome::Passed } else { failed(self.sights()) };
        document.case("invariant", "nothing that was shown was taken back", outcome);
        if let Some(events) = &self.events {
            let outcome = if events.is_sound() { CaseOutcome::Passed } else { failed(events.to_string()) };
            document.case("invariant", "the events tell every change once, in order", outcome);
        }
        if let Some(webhook) = &self.webhook {
            let outcome = match &webhook.unread {
                Some(unread) => {
                    CaseOutcome::Undecided { message: format!("the ledger is not known: {unread}") }
                }
                None if webhook.is_sound() => CaseOutcome::Passed,
                None => failed(webhook.to_string()),
            };
            document.case(
                "invariant",
                "the webhook tells every movement, in order, as the ledger has it, signed",
                outcome,
            );
        }
        let again = self.echoes_differing.count;
        let told = format!("{again} answered writes were executed again when they were sent again");
        let outcome = if again == 0 { CaseOutcome::Passed } else { failed(told) };
        document.case("invariant", "a key takes effect once", outcome);
    }

    fn told(&self) -> Option<String> {
        self.events.as_ref().map(EventsAudit::to_string)
    }

    fn delivered(&self) -> Option<String> {
        self.webhook.as_ref().map(WebhookAudit::to_string)
    }

    fn table(&self) -> Table {
        let header = [
            "write",
            "applied",
            "refused",
            "unknown",
            "then replayed",
            "then executed",
            "unresolved",
            "asked again",
        ];
        let row = |name: &str, writes: &Writes| {
            let Writes { applied, refused, unknown, .. } = writes;
            let Writes { unknown_replayed, unknown_executed, unresolved, echoes, .. } = writes;
            let figures = [applied, refused, unknown, unknown_replayed, unknown_executed, unresolved, echoes];
            [name.to_owned()].into_iter().chain(figures.map(u64::to_string)).collect()
        };
        let kinds = self.writes.iter().map(|(name, writes)| row(name, writes));
        Table::new("writes", &header, kinds.chain([row("all", &self.total)]).collect())
    }

    fn sights(&self) -> String {
        let Comings { created, deleted, unknown, unknown_done, unknown_not_done, .. } = self.comings;
        let Looks { pages, exports, exports_cut_off, deletions_early, .. } = self.looks;
        let TakenBackFigures { deletions, versions, listed } = &self.taken_back;
        let mut sights = format!(
            "Come and go: {created} created, {deleted} deleted, {unknown} unknown ({unknown_done} done, {unknown_not_done} \
             not)\nSights: {pages} pages listed, {exports} exports ({exports_cut_off} cut off), {deletions_early} \
             deletions seen before they were answered; {deletions} deletions taken back, {versions} versions taken back, \
             {} left out",
            self.left_out.count,
        );
        for sight in listed {
            let _ = write!(sights, "\n  {sight}");
        }
        sights
    }

    fn books(&self) -> String {
        let Some(accounts) = &self.accounts else {
            return "Books: there is no final state to close them with".to_owned();
        };
        let Accounts { acknowledged, missing, doubled, torn, levels_uncertain, .. } = accounts;
        let mut books = format!(
            "Books: {acknowledged} acknowledged changes: {missing} missing, {doubled} applied twice, {torn} transactions \
             torn; {} pairs torn; {levels_uncertain} levels uncertain",
            self.torn_pairs
        );
        for level in &accounts.listed {
            let found = level.found_on_hand.map_or_else(|| "none".to_owned(), |units| units.to_string());
            let _ = write!(
                books,
                "\n  {}: {} units and version {} by the answers, {found} and {} in the end; missing {:?}, twice {:?}",
                level.name,
                level.expected_on_hand,
                level.expected_version,
                level.found_version,
                first(&level.missing),
                first(&level.doubled),
            );
        }
        books
    }
}

/// The first few of a list.
fn first(versions: &[u64]) -> &[u64] {
    &versions[..versions.len().min(10)]
}
