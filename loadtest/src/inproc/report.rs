//! The report of `inproc`: medians over the rounds, strategies above the floor they stand on.

use serde::Serialize;

use super::measured::Turn;
use super::timed::clock_cost_ns;
use super::{Limit, Plan, Subject};
use crate::exit::Exit;
use crate::measure::machine::Machine;
use crate::report::document::{Axis, Better, CaseOutcome, Chart, Document, Point, Series, Table};
use crate::report::{Remarks, VERSION, millis};
use crate::statistics::median;
use crate::verdict::severity;

/// Below this part of the cores that the threads could use, the figures are said to be those of a busy machine.
const CORES_SHARE_MIN: f64 = 0.8;

/// The whole report; its members are the JSON.
#[derive(Debug, Serialize)]
pub struct InprocReport {
    /// `loadtest-inproc/1`
    pub format: &'static str,
    /// The version of this program.
    pub loadtest_version: &'static str,
    /// The command line.
    pub command: String,
    /// Where it ran.
    pub machine: Machine,
    /// What a sample holds beside the call: two readings of the clock.
    pub clock_ns: u64,
    /// What decided the workload.
    pub workload: Workload,
    /// One for each subject and number of threads.
    pub rows: Vec<Row>,
    /// Every turn.
    pub turns: Vec<Turn>,
    /// What decides the exit code, in words, and what else a reader must know.
    pub remarks: Remarks,
    /// The exit code.
    pub exit_code: u8,
}

/// What decided the workload: with these, the measurement can be repeated.
#[derive(Debug, Clone, Serialize)]
pub struct Workload {
    /// The seed.
    pub seed: u64,
    /// The number of skus, each with a level at two locations.
    pub skus: u32,
    /// Their distribution.
    pub keys: String,
    /// The weights of operations.
    pub mix: String,
    /// The units every level opened with.
    pub opening_stock: u64,
    /// Length of a timed pass, if it was one.
    pub duration_ms: Option<u64>,
    /// Operations of a timed pass, if it was a number.
    pub operations: Option<u64>,
    /// Rounds asked for.
    pub rounds: u32,
    /// Calls recorded and checked in each turn.
    pub recorded: u32,
}

/// One subject with one number of threads: medians over the rounds.
#[derive(Debug, Clone, Serialize)]
#[expect(missing_docs, reason = "each is the median of the member of a turn that has its name")]
pub struct Row {
    pub subject: &'static str,
    pub threads: u32,
    pub rounds: usize,
    pub operations_per_s: f64,
    /// The slowest round.
    pub operations_per_s_min: f64,
    /// The fastest round.
    pub operations_per_s_max: f64,
    /// Operations a second, divided by those of the same subject on one thread.
    pub scaling: Option<f64>,
    pub cpu_ns: f64,
    /// CPU time for each operation, divided by that of a papaya look-up and a compare-and-swap on as many threads.
    pub cpu_ratio_to_floor: Option<f64>,
    pub p50_ns: f64,
    pub p99_ns: f64,
    pub p99_9_ns: f64,
    pub contended_percent: Option<f64>,
    pub retries_per_1000: Option<f64>,
    /// `consistent`, `violated`, `indeterminate`, `vacuous`; of a floor `adds up`: the worst of the rounds.
    pub verdict: &'static str,
    /// In how many rounds that was so.
    pub verdict_rounds: usize,
}

impl InprocReport {
    /// Puts the turns together; `exit_code` is decided by the caller.
    pub fn new(plan: &Plan, machine: Machine, subjects: &[Subject], turns: Vec<Turn>) -> Self {
        let of = |subject: &Subject, threads| {
            let own = turns.iter().filter(|turn| turn.subject == subject.name() && turn.threads == threads);
            row(&own.collect::<Vec<_>>())
        };
        let rows = subjects.iter().flat_map(|subject| plan.threads.iter().map(move |&n| (subject, n)));
        let mut rows: Vec<Row> = rows.filter_map(|(subject, threads)| of(subject, threads)).collect();
        compare(&mut rows);
        let remarks = starved(&rows, machine.cores);
        Self {
            format: "loadtest-inproc/1",
            loadtest_version: VERSION,
            command: plan.command.clone(),
            machine,
            clock_ns: clock_cost_ns(),
            workload: Workload::of(plan),
            rows,
            turns,
            remarks,
            exit_code: 0,
        }
    }

    /// Everything there is to tell.
    pub fn document(&self) -> Document {
        let Workload { seed, skus, keys, mix, opening_stock, rounds, recorded, .. } = &self.workload;
        let mut document = Document::new("Strategies in one process");
        document.line(format!(
            "Workload: seed {seed}, {skus} skus ({keys}), mix {mix}, opening stock {opening_stock}; medians over {rounds} \
             rounds of {}",
            self.workload.length(),
        ));
        document.line(format!("Machine: {}", self.machine));
        document.push(self.table());
        document.line(
            "x 1: throughput against one thread. x floor: CPU time against papaya + AtomicI64, on as many threads.",
        );
        document.line(format!(
            "Latencies are of one call in {}, and hold two readings of the clock ({} ns).",
            super::tape::BATCH,
            self.clock_ns
        ));
        document.line(format!(
            "Timed passes are verified by adding up versions and units; {recorded} calls more, on the same tapes, are \
             recorded and checked one by one."
        ));
        for remark in &self.remarks {
            document.line(format!("Finding: {remark}"));
        }
        document.push(self.chart());
        self.tell_demands(&mut document);
        for row in &self.rows {
            let of = |figure: &str| format!("{figure} of {} on {} threads", row.subject, row.threads);
            document.figure(of("operations"), "1/s", row.operations_per_s, Better::Higher);
            document.figure(of("CPU an operation"), "ns", row.cpu_ns, Better::Lower);
        }
        document
    }

    fn tell_demands(&self, document: &mut Document) {
        let violations = self.first_violations();
        for (turn, violation) in &violations {
            let Turn { subject, threads, round, .. } = turn;
            document.line(format!(
                "{subject} on {threads} threads in round {round}, the first of its violations:"
            ));
            document.verbatim(violation.to_string());
        }
        let mut told: Vec<&str> = Vec::new();
        for turn in &self.turns {
            if told.contains(&turn.subject) {
                continue;
            }
            told.push(turn.subject);
            let own = || self.turns.iter().filter(|other| other.subject == turn.subject);
            let violated = own().any(Turn::is_violated);
            let open = own().find(|turn| matches!(turn.result(), "vacuous" | "indeterminate"));
            let outcome = match (turn.correct, violated, open) {
                (true, true, _) => {
                    let violation = violations.iter().find(|(other, _)| other.subject == turn.subject);
                    let detail = violation.map_or_else(
                        || "a timed pass does not add up".to_owned(),
                        |(_, violation)| violation.to_string(),
                    );
                    CaseOutcome::Failed { message: "broke its promises".to_owned(), detail }
                }
                (false, false, _) => CaseOutcome::Undecided { message: "was not caught".to_owned() },
                (true, false, Some(turn)) => CaseOutcome::Undecided { message: turn.result().to_owned() },
                _ => CaseOutcome::Passed,
            };
            let class = if Subject::of_strategy(turn.subject).is_some() { "strategy" } else { "floor" };
            document.case(class, turn.subject, outcome);
        }
    }

    /// Operations a second against threads.
    fn chart(&self) -> Chart {
        let mut series: Vec<Series> = Vec::new();
        for row in &self.rows {
            let point = Point {
                x: f64::from(row.threads),
                y: row.operations_per_s,
                low: row.operations_per_s_min,
                high: row.operations_per_s_max,
            };
            match series.iter_mut().find(|series| series.name == row.subject) {
                Some(series) => series.points.push(point),
                None => {
                    let (name, points) = (row.subject.to_owned(), vec![point]);
                    series.push(Series { name, points, curve: Vec::new() });
                }
            }
        }
        Chart::Lines {
            title: "Throughput against threads".to_owned(),
            x: Axis { label: "threads".to_owned(), logarithmic: true },
            y: Axis { label: "operations a second".to_owned(), logarithmic: true },
            mark: Some((self.machine.cores as f64, format!("{} cores", self.machine.cores))),
            series,
        }
    }

    /// The first violation of each subject that has one.
    fn first_violations(&self) -> Vec<(&Turn, &history::Violation)> {
        let mut found: Vec<(&Turn, &history::Violation)> = Vec::new();
        for turn in &self.turns {
            let Some(violation) = turn.detail().and_then(|detail| detail.violations().first()) else {
                continue;
            };
            if found.iter().all(|(earlier, _)| earlier.subject != turn.subject) {
                found.push((turn, violation));
            }
        }
        found
    }

    fn table(&self) -> Table {
        let header = [
            "strategy",
            "threads",
            "ops/s",
            "x 1",
            "CPU ns/op",
            "x floor",
            "p50 ns",
            "p99 ns",
            "p99.9 ns",
            "contended %",
            "retries/1000",
            "verdict",
        ];
        let number = |value: Option<f64>, places: usize| {
            value.map_or_else(|| "-".to_owned(), |value| format!("{value:.places$}"))
        };
        let cells = |row: &Row| {
            vec![
                row.subject.to_owned(),
                row.threads.to_string(),
                format!("{:.0}", row.operations_per_s),
                number(row.scaling, 2),
                format!("{:.1}", row.cpu_ns),
                number(row.cpu_ratio_to_floor, 2),
                format!("{:.0}", row.p50_ns),
                format!("{:.0}", row.p99_ns),
                format!("{:.0}", row.p99_9_ns),
                number(row.contended_percent, 2),
                number(row.retries_per_1000, 1),
                format!("{} ({}/{})", row.verdict, row.verdict_rounds, row.rounds),
            ]
        };
        Table::new("strategies", &header, self.rows.iter().map(cells).collect())
    }
}

impl Workload {
    /// Of a plan.
    pub fn of(plan: &Plan) -> Self {
        let (duration_ms, operations) = match plan.limit {
            Limit::For(duration) => (Some(millis(duration)), None),
            Limit::Operations(operations) => (None, Some(operations)),
        };
        Self {
            seed: plan.spec.seed,
            skus: plan.spec.skus,
            keys: plan.spec.keys.to_string(),
            mix: plan.spec.mix.to_string(),
            opening_stock: plan.spec.opening_stock,
            duration_ms,
            operations,
            rounds: plan.rounds,
            recorded: plan.recorded,
        }
    }

    fn length(&self) -> String {
        let ms = self.duration_ms.map(|ms| format!("{ms} ms"));
        ms.unwrap_or_else(|| format!("{} operations", self.operations.unwrap_or_default()))
    }
}

fn row(turns: &[&Turn]) -> Option<Row> {
    let first = turns.first()?;
    let of = |figure: fn(&Turn) -> Option<f64>| {
        median(&turns.iter().filter_map(|turn| figure(turn)).collect::<Vec<_>>())
    };
    let per_s = || turns.iter().map(|turn| turn.operations_per_s);
    let verdict = turns.iter().map(|turn| turn.result()).max_by_key(|result| severity(result))?;
    Some(Row {
        subject: first.subject,
        threads: first.threads,
        rounds: turns.len(),
        operations_per_s: of(|turn| Some(turn.operations_per_s))?,
        operations_per_s_min: per_s().fold(f64::INFINITY, f64::min),
        operations_per_s_max: per_s().fold(0.0, f64::max),
        scaling: None,
        cpu_ns: of(|turn| Some(turn.cpu_ns))?,
        cpu_ratio_to_floor: None,
        p50_ns: of(|turn| Some(turn.p50_ns as f64))?,
        p99_ns: of(|turn| Some(turn.p99_ns as f64))?,
        p99_9_ns: of(|turn| Some(turn.p99_9_ns as f64))?,
        contended_percent: of(|turn| turn.contended_percent),
        retries_per_1000: of(|turn| turn.retries_per_1000),
        verdict,
        verdict_rounds: turns.iter().filter(|turn| turn.result() == verdict).count(),
    })
}

/// Fills in what compares a row with others.
fn compare(rows: &mut [Row]) {
    let find = |rows: &[Row], subject: &str, threads: u32| {
        rows.iter().find(|row| row.subject == subject && row.threads == threads).cloned()
    };
    for index in 0..rows.len() {
        let Row { subject, threads, .. } = rows[index];
        let alone = find(rows, subject, 1);
        let floor = find(rows, Subject::LookUpSwap.name(), threads);
        let row = &mut rows[index];
        row.scaling = alone.map(|alone| row.operations_per_s / alone.operations_per_s);
        row.cpu_ratio_to_floor =
            floor.filter(|floor| floor.cpu_ns > 0.0).map(|floor| row.cpu_ns / floor.cpu_ns);
    }
}

/// Says where the threads were not given the cores they asked for: then they hardly meet, and contention does not show. Seen
/// on the bare compare-and-swap, which never waits and so would use every core it gets.
fn starved(rows: &[Row], cores: usize) -> Remarks {
    let bare = rows.iter().filter(|row| row.subject == Subject::BareSwap.name());
    let told = bare.filter_map(|row| {
        let (wanted, got) = (f64::from(row.threads).min(cores as f64), row.cpu_ns * row.operations_per_s / 1e9);
        (got < CORES_SHARE_MIN * wanted).then(|| {
            let threads = row.threads;
            format!("{threads} threads got {got:.1} of {wanted} cores: the machine was busy, and contention hardly shows")
        })
    });
    told.collect()
}

/// What the turns mean, in words and as exit codes.
pub fn findings(turns: &[Turn]) -> Vec<(Exit, String)> {
    let mut findings = Vec::new();
    let mut subjects: Vec<&'static str> = turns.iter().map(|turn| turn.subject).collect();
    subjects.dedup();
    let mut seen: Vec<&'static str> = Vec::new();
    for name in subjects {
        if seen.contains(&name) {
            continue;
        }
        seen.push(name);
        let own: Vec<&Turn> = turns.iter().filter(|turn| turn.subject == name).collect();
        let count = |is: &dyn Fn(&Turn) -> bool| own.iter().filter(|turn| is(turn)).count();
        let (all, violated) = (own.len(), count(&Turn::is_violated));
        if violated > 0 {
            let lost = count(&|turn| !turn.books.balance());
            let what = format!(
                "{name} broke its promises in {violated} of {all} turns (in {lost} the timed pass does not add up)"
            );
            findings.push((Exit::Violation, what));
        } else if own.iter().any(|turn| !turn.correct) {
            findings.push((
                Exit::Inconclusive,
                format!("{name} loses updates, and was not caught: prove harder"),
            ));
        }
        let open = count(&|turn| matches!(turn.result(), "vacuous" | "indeterminate"));
        if open > 0 {
            let what = format!("{name}: {open} of {all} turns prove nothing; fewer --skus make changes meet");
            findings.push((Exit::Inconclusive, what));
        }
        let timed_out: u64 = own.iter().map(|turn| turn.timed_out).sum();
        if timed_out > 0 {
            findings.push((Exit::Ok, format!("{name}: {timed_out} calls ended at the lock timeout")));
        }
    }
    findings
}
