//! The report of `replay`.

use std::collections::BTreeMap;

use serde::Serialize;

use super::drive::{Fates, Plan, Replay, WrongStock};
use super::file::{LeftOut, Orders};
use crate::client::Replicas;
use crate::measure::{Quantiles, per_second};
use crate::report::document::{Better, CaseOutcome, Document};
use crate::report::replicas::{self, ReplicaReport};
use crate::report::{
    FailureRow, Remarks, VERSION, VerdictReport, counts, failures, millis, table, tell_failures,
};

/// Skus with a wrong final stock that are shown; all are counted.
const SHOWN_MAX: usize = 10;

/// The whole report; its members are the JSON.
#[derive(Debug, Serialize)]
pub struct ReplayReport {
    /// `loadtest-replay/1`
    pub format: &'static str,
    /// The version of this program.
    pub loadtest_version: &'static str,
    /// The command line.
    pub command: String,
    /// The address of the server; those of several replicas with commas between.
    pub url: String,
    /// What was asked of each replica while the invoices were sent; absent if there is one server.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub replicas: Vec<ReplicaReport>,
    /// Its strategy, if it told; of replicas that have several, all of them.
    pub strategy: Option<String>,
    /// The beginning of the skus' names.
    pub prefix: String,
    /// Order lines in the file.
    pub lines: u64,
    /// Invoices in the file.
    pub invoices_in_file: u64,
    /// Skus that can be sent.
    pub skus: usize,
    /// Length of a window of shop time.
    pub window_ms: u64,
    /// Windows sent, one after another.
    pub windows: usize,
    /// Invoices in flight at most.
    pub concurrency: u32,
    /// The part of the needed stock that was opened with.
    pub stock_fraction: f64,
    /// How the invoices fared.
    pub invoices: Fates,
    /// Refused invoices of which the returned goods were booked on their own.
    pub returns_booked: u64,
    /// Invoices in flight together with another one.
    pub overlapped: u64,
    /// The most in flight at one moment.
    pub in_flight_max: u64,
    /// From the first invoice to the last answer.
    pub elapsed_ms: u64,
    /// From opening the stock to reading everything back.
    pub elapsed_all_ms: u64,
    /// Invoices answered a second.
    pub invoices_per_s: f64,
    /// Latency of invoices.
    pub latency: Quantiles,
    /// Lines left out, by the name of their sku.
    pub left_out: BTreeMap<String, LeftOut>,
    /// Invoices of which nothing was left.
    pub emptied: u64,
    /// Lines of quantity 0, left out too.
    pub zero_lines: u64,
    /// What the server said to one line of each left-out name.
    pub foreign: Vec<Foreign>,
    /// Refusals by the name of the problem.
    pub refusals: BTreeMap<String, u64>,
    /// Everything that was no usable answer, by kind.
    pub failures: Vec<FailureRow>,
    /// Whether every final stock is the computed one.
    pub final_stock: FinalStock,
    /// What the history proves.
    pub verdict: VerdictReport,
    /// What else a reader must know.
    pub remarks: Remarks,
    /// The exit code.
    pub exit_code: u8,
}

/// What the server said to a name outside the alphabet.
#[derive(Debug, Serialize)]
pub struct Foreign {
    /// The name.
    pub sku: String,
    /// Status and problem.
    pub answer: String,
    /// Whether it was refused as the contract says.
    pub refused: bool,
}

/// Whether every final stock is the one computed from the file and the accepted invoices.
#[derive(Debug, Serialize)]
pub struct FinalStock {
    /// Skus that are exact.
    pub exact: usize,
    /// Skus that are not.
    pub wrong: usize,
    /// Skus that cannot be computed, since nobody knows whether an invoice was booked.
    pub uncertain: usize,
    /// The first wrong ones.
    pub shown: Vec<WrongStock>,
}

impl ReplayReport {
    /// Puts the figures of a replay together; `exit_code` and `remarks` are decided by the caller.
    pub fn new(
        servers: &Replicas,
        orders: &Orders,
        plan: &Plan,
        replay: &Replay,
        verdict: VerdictReport,
    ) -> Self {
        let answered = replay.invoices.accepted + replay.invoices.refused;
        let (wrong, uncertain) = (replay.wrong.len(), replay.uncertain);
        let foreign = |(sku, answer, refused): &(String, String, bool)| Foreign {
            sku: sku.clone(),
            answer: answer.clone(),
            refused: *refused,
        };
        Self {
            format: "loadtest-replay/1",
            loadtest_version: VERSION,
            command: plan.command.clone(),
            url: servers.to_string(),
            replicas: replicas::of(servers, &replay.traffic),
            strategy: replay.strategy.clone(),
            prefix: plan.prefix.clone(),
            lines: orders.lines,
            invoices_in_file: orders.invoices.len() as u64 + orders.emptied,
            skus: orders.skus.len(),
            window_ms: millis(plan.window),
            windows: replay.windows,
            concurrency: plan.concurrency,
            stock_fraction: plan.stock_fraction,
            invoices: replay.invoices,
            returns_booked: replay.returns_booked,
            overlapped: replay.overlap.overlapped,
            in_flight_max: replay.overlap.in_flight_max,
            elapsed_ms: millis(replay.elapsed),
            elapsed_all_ms: millis(replay.elapsed_all),
            invoices_per_s: per_second(answered, replay.elapsed),
            latency: replay.latency,
            left_out: orders.left_out.clone(),
            emptied: orders.emptied,
            zero_lines: orders.zero_lines,
            foreign: replay.foreign.iter().map(foreign).collect(),
            refusals: replay.tally.refusals.clone(),
            failures: failures(&replay.tally),
            final_stock: FinalStock {
                exact: orders.skus.len() - wrong - uncertain,
                wrong,
                uncertain,
                shown: replay.wrong.iter().take(SHOWN_MAX).cloned().collect(),
            },
            verdict,
            remarks: Vec::new(),
            exit_code: 0,
        }
    }

    /// Everything there is to tell.
    pub fn document(&self) -> Document {
        let mut document = Document::new(format!("Replay against {}", self.url));
        document.table("replay", &["replay", ""], self.rows());
        self.tell_findings(&mut document);
        self.verdict.tell(&mut document);
        let FinalStock { exact, wrong, uncertain, .. } = self.final_stock;
        let told = format!("{exact} skus exact, {wrong} wrong, {uncertain} uncertain");
        let outcome = match (wrong, uncertain) {
            (0, 0) => CaseOutcome::Passed,
            (0, _) => CaseOutcome::Undecided { message: told },
            _ => CaseOutcome::Failed { message: told.clone(), detail: told },
        };
        document.case("invariant", "the final stock is the one computed from the file", outcome);
        document.figure("invoices", "1/s", self.invoices_per_s, Better::Higher);
        document.figure("p99 of invoices", "us", self.latency.p99_us, Better::Lower);
        document
    }

    fn rows(&self) -> Vec<Vec<String>> {
        let Quantiles { p50_us, p90_us, p99_us, p99_9_us, max_us } = self.latency;
        let latency = [p50_us, p90_us, p99_us, p99_9_us, max_us].map(table::millis).join(" / ");
        let Fates { sent, accepted, refused, unknown, given_up, lines_accepted, units_accepted } =
            self.invoices;
        let rows = [
            ("strategy", self.strategy.clone().unwrap_or_else(|| "not told".to_owned())),
            ("order lines / skus of the file", format!("{} / {}", self.lines, self.skus)),
            ("invoices in the file / sent", format!("{} / {sent}", self.invoices_in_file)),
            ("accepted / refused", format!("{accepted} / {refused}")),
            ("unknown / given up", format!("{unknown} / {given_up}")),
            ("returns of refused invoices booked", self.returns_booked.to_string()),
            ("lines / units accepted", format!("{lines_accepted} / {units_accepted}")),
            ("windows", self.windows.to_string()),
            ("overlapped another invoice", self.overlapped.to_string()),
            ("most in flight", self.in_flight_max.to_string()),
            ("time for the invoices", format!("{} ms", self.elapsed_ms)),
            ("with opening and reading back", format!("{} ms", self.elapsed_all_ms)),
            ("invoices / s", format!("{:.0}", self.invoices_per_s)),
            ("p50 / p90 / p99 / p99.9 / max ms", latency),
        ];
        rows.into_iter().map(|(name, value)| vec![name.to_owned(), value]).collect()
    }

    fn tell_findings(&self, document: &mut Document) {
        replicas::tell(document, &self.replicas);
        for (name, left_out) in &self.left_out {
            document.line(format!("Left out: {} lines of `{name}`, which is no sku", left_out.lines));
        }
        if self.emptied > 0 {
            document.line(format!("Not sent: {} invoices of which nothing was left", self.emptied));
        }
        for Foreign { sku, answer, refused } in &self.foreign {
            let word = if *refused { "refused, as it should be" } else { "NOT refused as the contract says" };
            document.line(format!("Sent on its own: `{sku}`: {answer}: {word}"));
        }
        document.line(format!("Refusals: {}", counts(&self.refusals)));
        tell_failures(document, &self.failures);
        let FinalStock { exact, wrong, uncertain, shown } = &self.final_stock;
        let word = if *wrong > 0 { "WRONG" } else { "exact" };
        document
            .line(format!("Final stock: {word}: {exact} skus exact, {wrong} wrong, {uncertain} uncertain"));
        for WrongStock { sku, expected, found } in shown {
            let found = found.map_or_else(|| "nothing".to_owned(), |found| found.to_string());
            document.line(format!("  {sku}: {expected} expected, {found} found"));
        }
        for remark in &self.remarks {
            document.line(format!("Note: {remark}"));
        }
    }
}
