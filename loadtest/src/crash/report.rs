//! The report of `crash`.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde::Serialize;

use super::Plan;
use super::accounts::Accounts;
use super::counts::{Examples, Writes};
use super::drive::{Crash, End, Life};
use super::findings::kills_in_flight;
use super::server::Launch;
use crate::measure::median;
use crate::report::table::{self, Style};
use crate::report::{FailureRow, Remarks, VERSION, VerdictReport, counts, failure_lines, failures, millis};

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

/// What decided the workload: with these, the run can be repeated.
#[derive(Debug, Clone, Serialize)]
#[expect(missing_docs, reason = "each is the option of the same name")]
pub struct Workload {
    pub seed: u64,
    pub prefix: String,
    pub clients: u32,
    pub skus: u32,
    pub pairs: usize,
    pub keys: String,
    pub mix: String,
    pub opening_stock: u64,
    pub life: String,
    pub timeout_ms: u64,
}

/// How the lives ended.
#[derive(Debug, Clone, Serialize)]
pub struct Cycles {
    /// Asked for.
    pub planned: u32,
    /// Lives under traffic that ended.
    pub done: usize,
    /// By SIGKILL.
    pub kills: usize,
    /// Of these, with writes in flight.
    pub kills_in_flight: usize,
    /// Starts that were killed before they were ready, or just then.
    pub kills_early: usize,
    /// By SIGTERM.
    pub terminated: usize,
    /// Without being asked to.
    pub by_itself: usize,
    /// All starts of the server.
    pub starts: usize,
}

/// How long the server took to be ready after a restart.
#[derive(Debug, Clone, Serialize)]
pub struct Recovery {
    /// Restarts that became ready.
    pub restarts: usize,
    /// The median.
    pub p50_ms: Option<f64>,
    /// The longest.
    pub max_ms: Option<f64>,
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
            strategy: crash.strategy.clone(),
            workload: Workload::of(plan),
            cycles: Cycles::of(plan, crash),
            writes: writes.iter().map(|(kind, writes)| (kind.name(), *writes)).collect(),
            total,
            reads: crash.counts.reads,
            requests: crash.counts.requests,
            recovery: Recovery::of(&crash.lives),
            accounts: crash.accounts.clone(),
            torn_pairs: crash.torn_pairs,
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

    /// For a terminal.
    pub fn text(&self) -> String {
        format!("{}\n{}", self.page(Style::Text), self.verdict.text())
    }

    /// For a page.
    pub fn markdown(&self) -> String {
        let page = self.page(Style::Markdown).replace('\n', "  \n");
        format!("# Crash test\n\n{page}\n```text\n{}\n```\n", self.verdict.text().trim_end())
    }

    fn page(&self, style: Style) -> String {
        let Workload { seed, clients, skus, pairs, keys, mix, life, .. } = &self.workload;
        let Cycles { done, planned, kills, kills_in_flight, kills_early, terminated, starts, .. } =
            self.cycles;
        let mut page = format!(
            "Crash test of {} (strategy {}): seed {seed}, {clients} clients, {skus} skus ({keys}; {pairs} are pairs), \
             mix {mix}, life {life}\n",
            self.server,
            self.strategy.as_deref().unwrap_or("not told"),
        );
        // Writing to a String cannot fail.
        let _ = writeln!(
            page,
            "{done} of {planned} cycles: {kills} by SIGKILL ({kills_in_flight} with writes in flight), {terminated} by \
             SIGTERM; {kills_early} killed while starting; {starts} starts\n\n{}\n",
            self.table(style),
        );
        let _ = writeln!(page, "{}", self.recovery.text());
        let _ = writeln!(page, "{}", self.books());
        let _ = writeln!(
            page,
            "{} requests, {} reads answered\nRefusals: {}",
            self.requests,
            self.reads,
            counts(&self.refusals)
        );
        page.push_str(&failure_lines(&self.failures));
        for remark in &self.remarks {
            let _ = writeln!(page, "Finding: {remark}");
        }
        if let Some(kept) = &self.kept {
            let _ = writeln!(page, "Kept: {kept}");
        }
        page
    }

    fn table(&self, style: Style) -> String {
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
        table::draw(style, &header, kinds.chain([row("all", &self.total)]).collect())
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

impl Workload {
    fn of(plan: &Plan) -> Self {
        let spec = plan.spec.base();
        Self {
            seed: spec.seed,
            prefix: plan.prefix.clone(),
            clients: plan.clients,
            skus: spec.skus,
            pairs: plan.spec.pairs().len(),
            keys: spec.keys.to_string(),
            mix: spec.mix.to_string(),
            opening_stock: spec.opening_stock,
            life: plan.span.to_string(),
            timeout_ms: millis(plan.timeout),
        }
    }
}

impl Cycles {
    fn of(plan: &Plan, crash: &Crash) -> Self {
        let count = |end| crash.lives.iter().filter(|life| life.end == end).count();
        let (kills, terminated, by_itself) =
            (count(End::Killed), count(End::Terminated), count(End::ByItself));
        Self {
            planned: plan.cycles,
            done: kills + terminated + by_itself,
            kills,
            kills_in_flight: kills_in_flight(crash),
            kills_early: count(End::KilledEarly),
            terminated,
            by_itself,
            starts: crash.lives.len(),
        }
    }
}

impl Recovery {
    /// The first start has nothing to recover, so it does not count.
    fn of(lives: &[Life]) -> Self {
        let times: Vec<f64> = lives.iter().skip(1).filter_map(|life| life.ready_after_ms).collect();
        Self { restarts: times.len(), max_ms: times.iter().copied().reduce(f64::max), p50_ms: median(times) }
    }

    fn text(&self) -> String {
        match (self.p50_ms, self.max_ms) {
            (Some(p50), Some(max)) => format!(
                "Recovery, from start to ready: p50 {p50:.1} ms, max {max:.1} ms over {} restarts",
                self.restarts
            ),
            _ => "Recovery: no restart".to_owned(),
        }
    }
}
