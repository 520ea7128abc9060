//! The report of `sweep`: a curve for each strategy and way of reaching it, as table, JSON and chart.

use serde::Serialize;

use super::usl::{self, CONCURRENCIES_MIN, Coefficient, Fit};
use super::{Face, Turn};
use crate::exit::Exit;
use crate::inproc::Plan;
use crate::inproc::report::Workload;
use crate::measure::machine::Machine;
use crate::report::charts;
use crate::report::document::{Axis, Better, Chart, Document, Point, Series, Table};
use crate::report::{Remarks, VERSION};
use crate::statistics::median;

/// Up to this ratio of the highest to the lowest point a linear axis shows both.
const LINEAR_RATIO_MAX: f64 = 20.0;

/// Places of a curve in a chart.
const CURVE_POINTS: u32 = 80;

/// The whole report; its members are the JSON.
#[derive(Debug, Serialize)]
pub struct SweepReport {
    /// `loadtest-sweep/1`
    pub format: &'static str,
    /// The version of this program.
    pub loadtest_version: &'static str,
    /// The command line.
    pub command: String,
    /// Where it ran.
    pub machine: Machine,
    /// What decided the workload. Its length is that of a pass in this process.
    pub workload: Workload,
    /// Length of a measurement over HTTP.
    pub http_duration_ms: u64,
    /// One for each strategy and way of reaching it.
    pub curves: Vec<Curve>,
    /// Every turn.
    pub turns: Vec<Turn>,
    /// What decides the exit code, in words, and what else a reader must know.
    pub remarks: Remarks,
    /// The exit code.
    pub exit_code: u8,
}

/// One strategy, reached in one way.
#[derive(Debug, Clone, Serialize)]
pub struct Curve {
    /// How it was reached.
    pub face: Face,
    /// The strategy.
    pub strategy: String,
    /// What was measured, ascending.
    pub points: Vec<Measured>,
    /// The fitted law, to all rounds; absent where the data cannot say.
    pub usl: Option<Fit>,
}

/// One concurrency: median, least and most over the rounds.
#[derive(Debug, Clone, Copy, Serialize)]
#[expect(missing_docs, reason = "each is what its name says, with its unit last")]
pub struct Measured {
    pub concurrency: u32,
    pub rounds: usize,
    pub throughput_per_s: f64,
    pub throughput_per_s_min: f64,
    pub throughput_per_s_max: f64,
}

impl SweepReport {
    /// Puts the turns together; `exit_code` is decided by the caller.
    pub fn new(plan: &Plan, http_duration_ms: u64, machine: Machine, turns: Vec<Turn>) -> Self {
        let mut report = Self {
            format: "loadtest-sweep/1",
            loadtest_version: VERSION,
            command: plan.command.clone(),
            machine,
            workload: Workload::of(plan),
            http_duration_ms,
            curves: curves(&turns),
            turns,
            remarks: Vec::new(),
            exit_code: 0,
        };
        let most = plan.threads.last().copied().unwrap_or(1) as usize;
        let inproc = report.turns.iter().any(|turn| turn.face == Face::Inproc);
        if inproc && most > report.machine.cores {
            report.remarks.push(format!(
                "beyond {} threads the cores are shared, in this process: there the law describes the scheduler, too",
                report.machine.cores
            ));
        }
        report
    }

    /// Everything there is to tell.
    pub fn document(&self) -> Document {
        let mut document = Document::new("Throughput against concurrency");
        for line in self.about() {
            document.line(line);
        }
        for face in [Face::Inproc, Face::Http] {
            let own: Vec<&Curve> = self.curves.iter().filter(|curve| curve.face == face).collect();
            if !own.is_empty() {
                document.line(format!("Throughput a second, {}:", face.name()));
                document.push(throughputs(face, &own));
                document.push(self.chart(face, &own));
            }
        }
        document.line("X(N) = λN / (1 + σ(N-1) + κN(N-1)), ± standard error:");
        document.push(self.fits());
        for remark in &self.remarks {
            document.line(format!("Finding: {remark}"));
        }
        for curve in &self.curves {
            for point in &curve.points {
                let Measured { concurrency, throughput_per_s, .. } = point;
                let name =
                    format!("throughput of {} {} at N = {concurrency}", curve.strategy, curve.face.name());
                document.figure(name, "1/s", *throughput_per_s, Better::Higher);
            }
        }
        document
    }

    fn about(&self) -> Vec<String> {
        let Workload { seed, skus, keys, mix, rounds, .. } = &self.workload;
        vec![
            format!("Seed {seed}, {skus} skus ({keys}), mix {mix}; medians over {rounds} rounds"),
            self.machine.to_string(),
        ]
    }

    fn fits(&self) -> Table {
        let header =
            ["strategy", "reached", "λ per second", "σ contention", "κ coherence", "peak at N", "residual %"];
        let dash = || "-".to_owned();
        let cells = |curve: &Curve| {
            let mut cells = vec![curve.strategy.clone(), curve.face.name().to_owned()];
            match &curve.usl {
                Some(fit) => cells.extend([
                    coefficient(&fit.lambda, |value| format!("{value:.0}")),
                    coefficient(&fit.sigma, |value| format!("{value:.4}")),
                    coefficient(&fit.kappa, |value| format!("{value:.6}")),
                    fit.peak_concurrency.map_or_else(dash, |peak| format!("{peak:.1}")),
                    format!("{:.1}", fit.residual_percent),
                ]),
                None => {
                    let what = format!("not identifiable: fewer than {CONCURRENCIES_MIN} concurrencies");
                    cells.extend([what, dash(), dash(), dash(), dash()]);
                }
            }
            cells
        };
        Table::new("fits", &header, self.curves.iter().map(cells).collect())
    }

    /// As a picture, on its own.
    pub fn svg(&self) -> Option<String> {
        let mut about = self.about();
        about.push(
            "Points are medians, bars reach from the slowest round to the fastest; curves are X(N) = λN / (1 + σ(N-1) + \
             κN(N-1)), fitted"
                .to_owned(),
        );
        charts::side_by_side(&about, &self.charts())
    }

    /// Throughput against concurrency for each way of reaching the strategies.
    fn charts(&self) -> Vec<Chart> {
        let of = |face: Face| {
            let own: Vec<&Curve> = self.curves.iter().filter(|curve| curve.face == face).collect();
            (!own.is_empty()).then(|| self.chart(face, &own))
        };
        [Face::Inproc, Face::Http].into_iter().filter_map(of).collect()
    }

    fn chart(&self, face: Face, curves: &[&Curve]) -> Chart {
        let (title, x, y) = match face {
            Face::Inproc => ("In this process", "threads", "operations a second"),
            Face::Http => ("Over HTTP", "connections, each with one request in flight", "requests a second"),
        };
        let cores = self.machine.cores;
        let all = || curves.iter().flat_map(|curve| &curve.points).map(|point| point.throughput_per_s);
        let far_apart = all().fold(0.0, f64::max) > LINEAR_RATIO_MAX * all().fold(f64::INFINITY, f64::min);
        Chart::Lines {
            title: title.to_owned(),
            x: Axis { label: x.to_owned(), logarithmic: true },
            y: Axis { label: y.to_owned(), logarithmic: far_apart },
            mark: (face == Face::Inproc).then(|| (cores as f64, format!("{cores} cores"))),
            series: curves.iter().map(|curve| series(curve)).collect(),
        }
    }
}

fn throughputs(face: Face, curves: &[&Curve]) -> Table {
    let mut concurrencies: Vec<u32> =
        curves.iter().flat_map(|curve| &curve.points).map(|point| point.concurrency).collect();
    concurrencies.sort_unstable();
    concurrencies.dedup();
    let header: Vec<String> = std::iter::once("strategy".to_owned())
        .chain(concurrencies.iter().map(|n| format!("N = {n}")))
        .collect();
    let header: Vec<&str> = header.iter().map(String::as_str).collect();
    let cell = |curve: &Curve, n: u32| {
        let point = curve.points.iter().find(|point| point.concurrency == n);
        point.map_or_else(|| "-".to_owned(), |point| format!("{:.0}", point.throughput_per_s))
    };
    let row = |curve: &&Curve| {
        let cells = concurrencies.iter().map(|n| cell(curve, *n));
        std::iter::once(curve.strategy.clone()).chain(cells).collect()
    };
    Table::new(&format!("throughput {}", face.name()), &header, curves.iter().map(row).collect())
}

/// A coefficient with its standard error, or in words what the data cannot say.
fn coefficient(coefficient: &Coefficient, number: impl Fn(f64) -> String) -> String {
    let Coefficient { value, standard_error, is_identified } = *coefficient;
    match standard_error {
        Some(error) if is_identified => format!("{} ± {}", number(value), number(error)),
        Some(error) => format!("{} ± {} (not identifiable)", number(value), number(error)),
        None => format!("{} (at its bound)", number(value)),
    }
}

fn curves(turns: &[Turn]) -> Vec<Curve> {
    let mut names: Vec<(Face, &str)> = Vec::new();
    for turn in turns {
        let name = (turn.face, turn.strategy.as_str());
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let curve = |(face, strategy): (Face, &str)| {
        let own: Vec<&Turn> =
            turns.iter().filter(|turn| turn.face == face && turn.strategy == strategy).collect();
        let points: Vec<usl::Point> = own
            .iter()
            .map(|turn| usl::Point {
                concurrency: f64::from(turn.concurrency),
                throughput: turn.throughput_per_s,
            })
            .collect();
        Curve { face, strategy: strategy.to_owned(), points: measured(&own), usl: usl::fit(&points) }
    };
    names.into_iter().map(curve).collect()
}

fn measured(turns: &[&Turn]) -> Vec<Measured> {
    let mut concurrencies: Vec<u32> = turns.iter().map(|turn| turn.concurrency).collect();
    concurrencies.sort_unstable();
    concurrencies.dedup();
    let at = |concurrency| {
        let rounds = turns.iter().filter(|turn| turn.concurrency == concurrency);
        let all: Vec<f64> = rounds.map(|turn| turn.throughput_per_s).collect();
        Some(Measured {
            concurrency,
            rounds: all.len(),
            throughput_per_s_min: all.iter().copied().fold(f64::INFINITY, f64::min),
            throughput_per_s_max: all.iter().copied().fold(0.0, f64::max),
            throughput_per_s: median(&all)?,
        })
    };
    concurrencies.into_iter().filter_map(at).collect()
}

fn series(curve: &Curve) -> Series {
    let point = |point: &Measured| Point {
        x: f64::from(point.concurrency),
        y: point.throughput_per_s,
        low: point.throughput_per_s_min,
        high: point.throughput_per_s_max,
    };
    let points: Vec<Point> = curve.points.iter().map(point).collect();
    let ends = points.first().zip(points.last()).map(|(first, last)| (first.x, last.x));
    let drawn = |fit: &Fit, (first, last): (f64, f64)| {
        let x = |step: u32| first * (last / first).powf(f64::from(step) / f64::from(CURVE_POINTS));
        (0..=CURVE_POINTS).map(|step| (x(step), fit.at(x(step)))).collect()
    };
    let line = curve.usl.as_ref().zip(ends).map(|(fit, ends)| drawn(fit, ends)).unwrap_or_default();
    let note = curve.usl.as_ref().map_or_else(
        || "no law fitted: too few concurrencies".to_owned(),
        |fit| {
            let sigma = coefficient(&fit.sigma, |value| format!("{value:.3}"));
            let kappa = coefficient(&fit.kappa, |value| format!("{value:.5}"));
            format!("σ {sigma}, κ {kappa}")
        },
    );
    Series { name: format!("{}: {note}", curve.strategy), points, curve: line }
}

/// What the turns mean, in words and as exit codes.
pub fn findings(turns: &[Turn]) -> Vec<(Exit, String)> {
    let mut findings = Vec::new();
    let mut names: Vec<&str> = Vec::new();
    for turn in turns {
        if names.contains(&turn.strategy.as_str()) {
            continue;
        }
        let name = turn.strategy.as_str();
        names.push(name);
        let own: Vec<&Turn> = turns.iter().filter(|turn| turn.strategy == name).collect();
        let all = own.len();
        let violated = own.iter().filter(|turn| turn.verdict == "violated").count();
        let open = own.iter().filter(|turn| !turn.proves()).count();
        if violated > 0 {
            findings
                .push((Exit::Violation, format!("{name} broke its promises in {violated} of {all} turns")));
        } else if !turn.correct {
            let what = format!("{name} loses updates, and was not caught: prove harder");
            findings.push((Exit::Inconclusive, what));
        } else if open > 0 {
            let what = format!("{name}: {open} of {all} turns prove nothing, or have holes in their proof");
            findings.push((Exit::Inconclusive, what));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turns(face: Face, concurrencies: &[u32]) -> Vec<Turn> {
        let turn = |concurrency: u32, round: u32| Turn {
            face,
            strategy: "mutex".to_owned(),
            correct: true,
            concurrency,
            round,
            throughput_per_s: 1e6 * f64::from(concurrency) / (1.0 + 0.1 * f64::from(concurrency - 1))
                + f64::from(round),
            verdict: "consistent",
            holes: 0,
        };
        concurrencies.iter().flat_map(|n| [1, 2, 3].map(|round| turn(*n, round))).collect()
    }

    #[test]
    fn a_curve_has_medians_and_a_fit_where_there_are_points_enough() {
        let turns = [turns(Face::Inproc, &[1, 2, 4, 8]), turns(Face::Http, &[1, 2, 4])].concat();
        let curves = curves(&turns);
        assert_eq!(curves.len(), 2);
        let first = curves[0].points[0];
        assert!((first.throughput_per_s - 1_000_002.0).abs() < 1e-6 && first.rounds == 3, "{first:?}");
        let fit = curves[0].usl.expect("four concurrencies are enough");
        assert!((fit.sigma.value - 0.1).abs() < 1e-3, "{fit:?}");
        assert_eq!(curves[1].usl, None);
    }

    #[test]
    fn a_lone_worker_need_not_contend_and_a_violation_wins() {
        let mut turns = turns(Face::Inproc, &[1, 2]);
        turns[0].verdict = "vacuous";
        assert_eq!(findings(&turns), []);
        turns[3].verdict = "vacuous";
        assert_eq!(findings(&turns)[0].0, Exit::Inconclusive);
        turns[4].verdict = "violated";
        assert_eq!(findings(&turns)[0].0, Exit::Violation);
    }
}
