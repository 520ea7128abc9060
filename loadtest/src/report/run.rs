//! The report of `run`.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::bank::Bank;
use super::document::{Better, Block, CaseOutcome, Document, Spectrum};
use super::headline::{self, Evidence, Headline};
use super::over_time::OverTime;
use super::replicas::{self, ReplicaReport};
use super::sale::Sale;
use super::sometimes::Sometimes;
use super::{FailureRow, Remarks, VERSION, VerdictReport, counts, failures, millis, table, tell_failures};
use crate::calibrate::Ceiling;
use crate::client::faults::FaultCounts;
use crate::client::{Kind, Replicas};
use crate::measure::{OpenLoop, Quantiles, Row, Samples, Sums, per_second, rows};
use crate::runner::{Plan, Run};
use crate::schedule::Limit;
use crate::threshold::{Judged, Measured, Threshold};

/// The whole report; its members are the JSON.
#[derive(Debug, Serialize)]
pub struct RunReport {
    /// `loadtest-run/1`
    pub format: &'static str,
    /// The version of this program.
    pub loadtest_version: &'static str,
    /// The command line.
    pub command: String,
    /// The address of the server; those of several replicas with commas between.
    pub url: String,
    /// What was asked of each replica in the measured part; absent if there is one server.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub replicas: Vec<ReplicaReport>,
    /// What it is, by its description; absent if it was spoken to as this service is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// Its strategy, if it told; of replicas that have several, all of them.
    pub strategy: Option<String>,
    /// What the run may be quoted with; `null` if anything stands against it.
    pub headline: Option<Headline>,
    /// What stands against a headline; empty if there is one.
    pub why: Vec<String>,
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
    /// The measured part, interval by interval.
    pub over_time: OverTime,
    /// Refusals by the name of the problem; lines of independent batches count one each.
    pub refusals: BTreeMap<String, u64>,
    /// Everything that was no usable answer, by kind.
    pub failures: Vec<FailureRow>,
    /// How well the rate was kept; absent in closed loop.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub open_loop: Option<OpenLoop>,
    /// What was to be sent, was sent, and was answered.
    pub load: LoadReport,
    /// CPU time of this process over the measured part for each request, in microseconds.
    pub client_cpu_us_per_request: Option<f64>,
    /// What the generator itself can do; absent if that was waived, or could not be measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ceiling: Option<Ceiling>,
    /// Faults from the clients' side; absent if none were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub faults: Option<FaultCounts>,
    /// Growth of the server's contention counters over the measured part. Those of several replicas do not add up: none are told then.
    pub contention: BTreeMap<String, u64>,
    /// Which interesting situations the run reached, by name, with how often; those that it never reached are 0.
    pub sometimes: Sometimes,
    /// What became of a sale; absent if more was asked than to sell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sale: Option<Sale>,
    /// The books of a bank; absent if it was none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bank: Option<Bank>,
    /// Whether the server told them; if not, its contention is unknown, not none.
    pub contention_known: bool,
    /// When the server died, if it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_died: Option<DeathReport>,
    /// What the history proves.
    pub verdict: VerdictReport,
    /// Thresholds that were asked for.
    pub thresholds: Vec<Judged>,
    /// What else a reader must know.
    pub remarks: Remarks,
    /// The exit code.
    pub exit_code: u8,
    /// Whole distributions of response times, of all requests and of each kind, for the document.
    #[serde(skip)]
    spectra: Vec<Spectrum>,
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
    /// The rate asked for, as it was typed; absent in closed loop.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate: Option<String>,
    /// How arrivals were spread: `uniform` or `poisson`; absent in closed loop.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub arrivals: Option<String>,
    /// Who sent them: `shared` or `client`; absent in closed loop.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dispatch: Option<String>,
    /// What sent the requests: `reqwest` or `hyper`.
    pub client: String,
}

/// The load of the measured part.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LoadReport {
    /// `open` or `closed`
    #[serde(rename = "loop")]
    pub kind: &'static str,
    /// Requests that were to be sent; absent in closed loop, which offers as much as is answered.
    pub offered: Option<u64>,
    /// Requests that were sent.
    pub sent: u64,
    /// Requests that were answered, as asked or with a refusal.
    pub achieved: u64,
    /// Requests that were never sent.
    pub dropped: u64,
    /// Requests that were sent more than a millisecond late.
    pub late: u64,
    /// From the intended start of a request to sending it. In closed loop the intended start is when the client has its
    /// last answer, so this is the client's own time between two requests.
    pub lag: Quantiles,
}

/// The end of the server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DeathReport {
    /// `warming up` or `measuring`
    pub stage: &'static str,
    /// When, from the beginning of the measured part; 0 before it.
    pub at_ms: u64,
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
            rate: plan.offered.as_ref().map(|offered| offered.rate.to_string()),
            arrivals: plan.offered.as_ref().map(|offered| offered.pattern.to_string()),
            client: plan.sender.to_string(),
            dispatch: plan.offered.as_ref().map(|offered| offered.dispatch.to_string()),
        }
    }
}

/// What a run was asked for beside its plan, and what is known beside what it brought.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// What it has to keep.
    pub thresholds: &'a [Threshold],
    /// What the generator itself can do.
    pub ceiling: Option<Ceiling>,
    /// Whether it was interrupted.
    pub interrupted: bool,
    /// The books of a sale, if it was one.
    pub sale: Option<&'a Sale>,
    /// The books of a bank, if it was one.
    pub bank: Option<&'a Bank>,
}

impl LoadReport {
    fn of(run: &Run, total: &Row) -> Self {
        let (measured, open_loop) = (&run.measured, &run.measured.open_loop);
        let is_open = open_loop.rate_per_s.is_some();
        Self {
            kind: if is_open { "open" } else { "closed" },
            offered: is_open.then_some(open_loop.planned),
            sent: measured.samples.all().sent(),
            achieved: total.done + total.refused,
            dropped: open_loop.not_sent,
            late: measured.samples.late(),
            lag: measured.samples.lag().quantiles(),
        }
    }

    fn text(&self, service: &Quantiles, elapsed: Duration) -> String {
        let rate = |count| format!("{count} ({:.0} a second)", per_second(count, elapsed));
        let (sent, achieved) = (rate(self.sent), rate(self.achieved));
        let lag = three(&self.lag);
        match self.offered {
            Some(offered) => format!(
                "Load: offered {}, sent {sent}, achieved {achieved}, dropped {}\nService, from sending: {}\nGenerator \
                 lag, from the intended start to sending: {lag}; {} were more than 1 ms late\n",
                rate(offered),
                self.dropped,
                three(service),
                self.late,
            ),
            None => format!(
                "Load: closed loop, sent {sent}, achieved {achieved}\nBetween an answer and its client's next request: \
                 {lag}\n"
            ),
        }
    }
}

/// CPU time for each request, in microseconds.
fn cpu_us(cpu: Duration, requests: u64) -> Option<f64> {
    (requests > 0).then(|| (cpu.as_secs_f64() * 1e8 / requests as f64).round() / 100.0)
}

/// Three percentiles, in words.
fn three(quantiles: &Quantiles) -> String {
    let [p50, p99, max] = [quantiles.p50_us, quantiles.p99_us, quantiles.max_us].map(table::millis);
    format!("p50 {p50} ms, p99 {p99} ms, at most {max} ms")
}

impl DeathReport {
    fn of(run: &Run) -> Option<Self> {
        let death = run.death.as_ref()?;
        let at_ms = death.at_ns.saturating_sub(run.measured_from_ns) / 1_000_000;
        Some(Self { stage: death.stage, at_ms })
    }
}

impl RunReport {
    /// Puts the figures of a run together; `exit_code` and `remarks` are decided by the caller.
    pub fn new(servers: &Replicas, plan: &Plan, run: &Run, verdict: VerdictReport, asked: Asked<'_>) -> Self {
        let (operations, total) = rows(&run.measured.samples);
        let open_loop = run.measured.open_loop.rate_per_s.map(|_| run.measured.open_loop);
        let throughput_per_s = per_second(total.done + total.refused, run.measured.elapsed);
        let died = run.death.is_some().then_some("the server died");
        let evidence = Evidence {
            open_loop: open_loop.as_ref(),
            all: &run.measured.samples.all(),
            throughput_per_s,
            verdict: &verdict.detail,
            ceiling_per_s: asked.ceiling.map(|ceiling| ceiling.requests_per_s),
            cut_short: died.or_else(|| asked.interrupted.then_some("the run was interrupted")),
        };
        let unsold = asked.sale.is_some_and(|sale| !sale.findings().is_empty());
        let unbalanced = asked.bank.is_some_and(|bank| !bank.findings().is_empty());
        let unclean = || {
            let sale = unsold.then(|| "the sale was not sold out, or not once".to_owned());
            let bank = unbalanced.then(|| "the books of the bank do not add up, or prove nothing".to_owned());
            sale.into_iter().chain(bank).collect()
        };
        let is_clean = !unsold && !unbalanced;
        let judged =
            evidence.headline().and_then(|headline| is_clean.then_some(headline).ok_or_else(unclean));
        let (samples, elapsed, dropped) =
            (&run.measured.samples, run.measured.elapsed, run.measured.open_loop.not_sent);
        let measured = Measured { samples, elapsed, dropped };
        Self {
            format: "loadtest-run/1",
            loadtest_version: VERSION,
            command: plan.command.clone(),
            url: servers.to_string(),
            replicas: replicas::of(servers, &run.traffic),
            target: plan.target.as_ref().map(|target| target.name.clone()),
            strategy: run.strategy.clone(),
            headline: judged.as_ref().ok().cloned(),
            why: judged.err().unwrap_or_default(),
            workload: WorkloadReport::of(plan),
            elapsed_ms: millis(run.measured.elapsed),
            throughput_per_s,
            load: LoadReport::of(run, &total),
            operations,
            over_time: OverTime::new(&run.measured.course, run.measured.elapsed),
            refusals: run.tally.refusals.clone(),
            failures: failures(&run.tally),
            open_loop,
            client_cpu_us_per_request: run.client_cpu.and_then(|cpu| cpu_us(cpu, total.requests)),
            ceiling: asked.ceiling,
            faults: run.faults,
            contention: run.contention.clone(),
            sometimes: Sometimes::default(),
            sale: asked.sale.cloned(),
            bank: asked.bank.cloned(),
            contention_known: run.contention_known,
            server_died: DeathReport::of(run),
            verdict,
            total,
            thresholds: asked.thresholds.iter().map(|threshold| threshold.judge(measured)).collect(),
            remarks: Vec::new(),
            exit_code: 0,
            spectra: spectra(samples),
        }
    }

    /// Everything there is to tell.
    pub fn document(&self) -> Document {
        let WorkloadReport { seed, skus, keys, mix, concurrency, rate, arrivals, .. } = &self.workload;
        let rate = match (rate, arrivals) {
            (Some(rate), Some(arrivals)) => format!(", rate {rate} ({arrivals})"),
            _ => String::new(),
        };
        let elapsed = Duration::from_millis(self.elapsed_ms);
        let mut document = Document::new(format!("Load test of {}", self.url));
        document.line(headline::line(self.headline.as_ref(), &self.why));
        document.break_off();
        document.line(format!(
            "Workload: seed {seed}, {skus} skus ({keys}), concurrency {concurrency}, mix {mix}{rate}"
        ));
        let server = match (&self.target, &self.strategy) {
            (Some(target), _) => format!("{}, described as {target}", self.url),
            (None, strategy) => {
                format!("{}, strategy {}", self.url, strategy.as_deref().unwrap_or("not told"))
            }
        };
        document.line(format!("Server: {server}"));
        replicas::tell(&mut document, &self.replicas);
        document.push(table::operations(&self.operations, &self.total));
        document.push(Block::Spectra {
            title: "Response times".to_owned(),
            names: self.spectra.iter().map(|spectrum| spectrum.name.clone()).collect(),
        });
        self.over_time.tell(&mut document);
        document.line(format!(
            "{} requests in {:.2} s: {:.0} a second",
            self.total.requests,
            elapsed.as_secs_f64(),
            self.throughput_per_s,
        ));
        for line in self.load.text(&self.total.service, elapsed).lines() {
            document.line(line);
        }
        document.line(format!("Refusals: {}", counts(&self.refusals)));
        if let Some(sale) = &self.sale {
            sale.tell(&mut document, &self.verdict.detail);
        }
        if let Some(bank) = &self.bank {
            bank.tell(&mut document);
        }
        tell_failures(&mut document, &self.failures);
        let contention = if self.contention_known { counts(&self.contention) } else { "unknown".to_owned() };
        document.line(format!("Contention: {contention}"));
        self.tell_client(&mut document);
        self.tell_demands(&mut document);
        self.tell_figures(&mut document);
        document.spectra.clone_from(&self.spectra);
        document
    }

    /// What the generator itself took and did.
    fn tell_client(&self, document: &mut Document) {
        if let Some(micros) = self.client_cpu_us_per_request {
            document.line(format!("Client ({}): {micros:.1} us of CPU time a request", self.workload.client));
        }
        if let Some(faults) = &self.faults {
            document.line(format!("Faults of the clients: {faults}"));
        }
        if let Some(Ceiling { requests_per_s, .. }) = self.ceiling {
            let share = self.throughput_per_s * 100.0 / requests_per_s;
            document.line(format!(
                "Generator: at {share:.0}% of its own ceiling of {requests_per_s:.0} requests a second"
            ));
        }
    }

    fn tell_demands(&self, document: &mut Document) {
        for threshold in &self.thresholds {
            let Judged { name, actual, unit, kept, why, .. } = threshold;
            let message = why.clone().unwrap_or_else(|| format!("measured {actual:.3} {unit}"));
            let missed = CaseOutcome::Failed { message, detail: threshold.to_string() };
            document.case("threshold", name.as_str(), if *kept { CaseOutcome::Passed } else { missed });
            document.line(threshold.to_string());
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
}

/// Response times, whole: of all requests, then of each kind that occurred.
fn spectra(samples: &Samples) -> Vec<Spectrum> {
    let spectrum = |name: &str, sums: &Sums| Spectrum {
        name: name.to_owned(),
        counts: sums.response().counts().collect(),
    };
    let kinds = Kind::ALL.into_iter().filter_map(|kind| Some(spectrum(kind.name(), samples.of(kind)?)));
    std::iter::once(spectrum("all", &samples.all()))
        .chain(kinds)
        .filter(|spectrum| !spectrum.counts.is_empty())
        .collect()
}
