//! The report of `run`.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::document::{Better, CaseOutcome, Document};
use super::sometimes::Sometimes;
use super::{FailureRow, Remarks, VERSION, VerdictReport, counts, failures, millis, table, tell_failures};
use crate::measure::{OpenLoop, Quantiles, Row, per_second, rows};
use crate::runner::{Plan, Run};
use crate::schedule::Limit;

/// The whole report; its members are the JSON.
#[derive(Debug, Serialize)]
pub struct RunReport {
    /// `loadtest-run/1`
    pub format: &'static str,
    /// The version of this program.
    pub loadtest_version: &'static str,
    /// The command line.
    pub command: String,
    /// The address of the server.
    pub url: String,
    /// Its strategy, if it told.
    pub strategy: Option<String>,
    /// What decided the workload.
    pub workload: WorkloadReport,
    /// Length of the measured part.
    pub elapsed_ms: u64,
    /// Requests answered (done or refused) a second.
    pub throughput_per_s: f64,
    /// By kind of call.
    pub operations: Vec<Row>,
    /// All calls together.
    pub total: Row,
    /// Refusals by the name of the problem; lines of independent batches count one each.
    pub refusals: BTreeMap<String, u64>,
    /// Everything that was no usable answer, by kind.
    pub failures: Vec<FailureRow>,
    /// How well the rate was kept; absent in closed loop.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub open_loop: Option<OpenLoop>,
    /// Growth of the server's contention counters over the measured part.
    pub contention: BTreeMap<String, u64>,
    /// Which interesting situations the run reached, by name, with how often; those that it never reached are 0.
    pub sometimes: Sometimes,
    /// What the history proves.
    pub verdict: VerdictReport,
    /// Thresholds that were asked for.
    pub thresholds: Vec<Threshold>,
    /// What else a reader must know.
    pub remarks: Remarks,
    /// The exit code.
    pub exit_code: u8,
}

/// What decided the workload: with these, the run can be repeated.
#[derive(Debug, Clone, Serialize)]
pub struct WorkloadReport {
    /// The seed.
    pub seed: u64,
    /// The beginning of the skus' names.
    pub prefix: String,
    /// The number of skus.
    pub skus: u32,
    /// Their distribution.
    pub keys: String,
    /// The weights of operations.
    pub mix: String,
    /// The units every level opened with.
    pub opening_stock: u64,
    /// Requests in flight at most.
    pub concurrency: u32,
    /// Length of the warm-up.
    pub warmup_ms: u64,
    /// Length asked for, if it was one.
    pub duration_ms: Option<u64>,
    /// Requests asked for, if it was a number.
    pub requests: Option<u64>,
    /// The longest wait for an answer.
    pub timeout_ms: u64,
}

/// A bound that the run had to keep.
#[derive(Debug, Clone, Serialize)]
pub struct Threshold {
    /// Its option on the command line.
    pub name: &'static str,
    /// The bound.
    pub bound: f64,
    /// What was measured.
    pub actual: f64,
    /// Whether it was kept.
    pub kept: bool,
}

/// The bounds asked for.
#[derive(Debug, Clone, Copy, Default)]
pub struct Bounds {
    /// `--max-p99`
    pub p99_max: Option<Duration>,
    /// `--min-throughput`
    pub throughput_min: Option<f64>,
    /// `--max-failed`, in percent.
    pub failed_max: Option<f64>,
}

impl WorkloadReport {
    /// Of a plan.
    pub fn of(plan: &Plan) -> Self {
        let (duration_ms, requests) = match plan.limit {
            Limit::For(duration) => (Some(millis(duration)), None),
            Limit::Requests(requests) => (None, Some(requests)),
        };
        Self {
            seed: plan.spec.seed,
            prefix: plan.prefix.clone(),
            skus: plan.spec.skus,
            keys: plan.spec.keys.to_string(),
            mix: plan.spec.mix.to_string(),
            opening_stock: plan.spec.opening_stock,
            concurrency: plan.concurrency,
            warmup_ms: millis(plan.warmup),
            duration_ms,
            requests,
            timeout_ms: millis(plan.timeout),
        }
    }
}

impl RunReport {
    /// Puts the figures of a run together; `exit_code` and `remarks` are decided by the caller.
    pub fn new(url: &str, plan: &Plan, run: &Run, verdict: VerdictReport, bounds: Bounds) -> Self {
        let (operations, total) = rows(&run.measured.samples);
        let open_loop = run.measured.open_loop.rate_per_s.map(|_| run.measured.open_loop);
        let mut report = Self {
            format: "loadtest-run/1",
            loadtest_version: VERSION,
            command: plan.command.clone(),
            url: url.to_owned(),
            strategy: run.strategy.clone(),
            workload: WorkloadReport::of(plan),
            elapsed_ms: millis(run.measured.elapsed),
            throughput_per_s: per_second(total.done + total.refused, run.measured.elapsed),
            operations,
            total,
            refusals: run.tally.refusals.clone(),
            failures: failures(&run.tally),
            open_loop,
            contention: run.contention.clone(),
            sometimes: Sometimes::default(),
            verdict,
            thresholds: Vec::new(),
            remarks: Vec::new(),
            exit_code: 0,
        };
        report.thresholds = report.judge(bounds);
        report
    }

    /// Everything there is to tell.
    pub fn document(&self) -> Document {
        let WorkloadReport { seed, skus, keys, mix, concurrency, .. } = &self.workload;
        let mut document = Document::new(format!("Load test of {}", self.url));
        document.line(format!(
            "Workload: seed {seed}, {skus} skus ({keys}), concurrency {concurrency}, mix {mix}"
        ));
        let strategy = self.strategy.as_deref().unwrap_or("not told");
        document.line(format!("Server: {}, strategy {strategy}", self.url));
        document.push(table::operations(&self.operations, &self.total));
        document.line(format!(
            "{} requests in {:.2} s: {:.0} a second",
            self.total.requests,
            Duration::from_millis(self.elapsed_ms).as_secs_f64(),
            self.throughput_per_s,
        ));
        document.line(format!("Refusals: {}", counts(&self.refusals)));
        tell_failures(&mut document, &self.failures);
        document.line(format!("Contention: {}", counts(&self.contention)));
        if let Some(OpenLoop { rate_per_s, planned, late, late_ns_max, not_sent }) = self.open_loop {
            document.line(format!(
                "Open loop: {} a second, {planned} planned, {late} began more than 1 ms late (at most {} ms), \
                 {not_sent} never sent",
                rate_per_s.unwrap_or_default(),
                late_ns_max / 1_000_000,
            ));
        }
        self.tell_demands(&mut document);
        self.tell_figures(&mut document);
        document
    }

    fn tell_demands(&self, document: &mut Document) {
        for Threshold { name, bound, actual, kept } in &self.thresholds {
            let word = if *kept { "kept" } else { "MISSED" };
            let told = format!("Threshold {name}: {bound:.1}, measured {actual:.1}: {word}");
            let missed =
                CaseOutcome::Failed { message: format!("measured {actual:.1}"), detail: told.clone() };
            document.case("threshold", *name, if *kept { CaseOutcome::Passed } else { missed });
            document.line(told);
        }
        for line in self.sometimes.text().lines() {
            document.line(line);
        }
        for remark in &self.remarks {
            document.line(format!("Note: {remark}"));
        }
        self.verdict.tell(document);
    }

    fn tell_figures(&self, document: &mut Document) {
        document.figure("throughput", "1/s", self.throughput_per_s, Better::Higher);
        for row in self.operations.iter().chain([&self.total]) {
            let Quantiles { p50_us, p90_us, p99_us, p99_9_us, max_us } = row.latency;
            for (name, value) in
                [("p50", p50_us), ("p90", p90_us), ("p99", p99_us), ("p99.9", p99_9_us), ("max", max_us)]
            {
                document.figure(format!("{name} of {}", row.operation), "us", value, Better::Lower);
            }
        }
        document.figure("failed requests", "requests", self.total.failed as f64, Better::Lower);
    }

    fn judge(&self, bounds: Bounds) -> Vec<Threshold> {
        let p99 = bounds.p99_max.map(|bound| {
            let bound = bound.as_secs_f64() * 1e6;
            // Requests that were never sent are as slow as can be, although nobody could measure them.
            let sent = self.open_loop.is_none_or(|open_loop| open_loop.not_sent == 0);
            let actual = self.total.latency.p99_us;
            Threshold { name: "max-p99 (us)", bound, actual, kept: sent && actual <= bound }
        });
        let throughput = bounds.throughput_min.map(|bound| {
            let actual = self.throughput_per_s;
            Threshold { name: "min-throughput (requests/s)", bound, actual, kept: actual >= bound }
        });
        let failed = bounds.failed_max.map(|bound| {
            #[expect(clippy::cast_precision_loss, reason = "counts of a run are far below 2^53")]
            let actual = self.total.failed as f64 * 100.0 / self.total.requests.max(1) as f64;
            Threshold { name: "max-failed (%)", bound, actual, kept: actual <= bound }
        });
        p99.into_iter().chain(throughput).chain(failed).collect()
    }
}
