//! `loadtest compare`

use std::time::Duration;

use super::lineup::{self, Lineup, usage};
use super::{command_line, fail, misused};
use crate::cli::compare::CompareArgs;
use crate::cli::limit;
use crate::cli::profile::Named;
use crate::client::Sender;
use crate::client::replicas::Route;
use crate::compare::contender::{Contender, Role};
use crate::compare::earlier::Earlier;
use crate::compare::gate::Gate;
use crate::compare::judge::{self, Design, Sample};
use crate::compare::report::{Circumstances, CompareReport, Rate};
use crate::compare::server::{Storage, data_folder};
use crate::compare::turn::{Setup, Turn};
use crate::compare::{self, findings, place};
use crate::exit::Exit;
use crate::interrupt::Stop;
use crate::measure::machine::Machine;
use crate::output::{self, Progress};
use crate::report::run::WorkloadReport;
use crate::runner::Plan;
use crate::statistics::Rules;
use crate::workload;

/// How long each part of a turn measures when it is not told: eight contenders in ten rounds stay below 90 s.
const DURATION: Duration = Duration::from_millis(300);

/// The part of what the baseline does in closed loop that latency is measured at: far enough from where the queue is all that
/// is measured, near enough for contention.
const RATE_FRACTION: f64 = 0.5;

/// Starts the servers, drives and verifies each, tells what differs.
pub(super) async fn compare(args: CompareArgs, stop: &Stop) -> Exit {
    if args.workload.profile == Some(Named::Shop) {
        return misused("a shop is not compared, only judged: `loadtest run URL --profile shop`");
    }
    let lineup = match lineup::prepare(&args).await {
        Ok(lineup) => lineup,
        Err(exit) => return exit,
    };
    match compared(&args, lineup, stop).await {
        Ok((report, exits)) => publish(&args, &report, exits),
        Err(exit) => exit,
    }
}

async fn compared(
    args: &CompareArgs,
    lineup: Lineup,
    stop: &Stop,
) -> Result<(CompareReport, Vec<Exit>), Exit> {
    let Lineup { contenders, servers, gate, earlier } = lineup;
    let plan = plan(args, earlier.as_ref().and_then(Earlier::seed));
    let mut setup = Setup {
        plan: plan.clone(),
        rate_per_s: args.rate.or(earlier.as_ref().and_then(Earlier::rate_per_s)),
        folder: args.data_in.clone(),
        arguments: args.server_arguments.clone(),
    };
    let given = setup.rate_per_s.map(|per_s| Rate { per_s, calibrated_per_s: None, fraction: None });
    let mut circumstances = circumstances(args, servers, gate, given);
    if let Some(earlier) = &earlier {
        let accepted = earlier.accept(&circumstances, &WorkloadReport::of(&plan), args.force);
        circumstances.baseline_file = Some(accepted.map_err(|error| usage(&error))?);
    }
    let progress = Progress::viewed_or_new("loadtest compare", stop);
    let mut calibration = None;
    if given.is_none() && earlier.is_none() {
        (circumstances.rate, calibration) = calibrated(&setup, &contenders, stop, &progress).await?;
        setup.rate_per_s = circumstances.rate.map(|rate| rate.per_s);
    }
    let turns = compare::rounds(&setup, &contenders, args.rounds, stop, &progress).await.map_err(fail)?;
    progress.begin("comparing", None);
    let mut samples: Vec<Sample> = turns.iter().map(Sample::of).collect();
    samples.extend(earlier.iter().flat_map(Earlier::samples));
    let design = if earlier.is_some() { Design::Unpaired } else { Design::Paired };
    let rules = Rules::new(args.margin, plan.spec.seed);
    let comparisons = judge::judge(&samples, &contenders, design, circumstances.gate.as_ref(), &rules);
    let mut report = CompareReport::new(&plan, circumstances, &contenders, turns, comparisons);
    progress.close();
    let exits = conclude(&mut report, &contenders, calibration.as_ref(), stop);
    Ok((report, exits))
}

fn circumstances(
    args: &CompareArgs,
    servers: Vec<String>,
    gate: Option<Gate>,
    rate: Option<Rate>,
) -> Circumstances {
    let storage = lineup::storage(args);
    Circumstances {
        machine: Machine::here(),
        servers,
        storage,
        data: (storage == Storage::Durable).then(|| {
            let folder = data_folder(args.data_in.as_deref());
            (folder.display().to_string(), place::filesystem(&folder))
        }),
        server_arguments: args.server_arguments.clone(),
        rate,
        gate,
        rounds: args.rounds,
        baseline_file: None,
    }
}

/// The rate of the parts in open loop: a part of what the baseline does. With the turn that told.
async fn calibrated(
    setup: &Setup,
    contenders: &[Contender],
    stop: &Stop,
    progress: &Progress,
) -> Result<(Option<Rate>, Option<Turn>), Exit> {
    let baseline = contenders.iter().find(|contender| contender.role == Role::Baseline);
    let Some(baseline) = baseline.filter(|_| !stop.requested()) else { return Ok((None, None)) };
    let turn = compare::calibrate(setup, baseline, stop, progress).await.map_err(fail)?;
    let calibrated = turn.throughput_per_s;
    let rate = (calibrated > 0.0).then_some(Rate {
        per_s: (calibrated * RATE_FRACTION).max(1.0).round(),
        calibrated_per_s: Some(calibrated),
        fraction: Some(RATE_FRACTION),
    });
    Ok((rate, Some(turn)))
}

/// What it all means. The remarks go into the report; the exit codes are answered.
fn conclude(
    report: &mut CompareReport,
    contenders: &[Contender],
    calibration: Option<&Turn>,
    stop: &Stop,
) -> Vec<Exit> {
    let mut all = findings::correctness(contenders, &report.turns);
    if calibration.is_some_and(|turn| turn.result() == "violated") {
        all.push((Exit::Violation, "the baseline broke its promises before the first round".to_owned()));
    }
    if let Some(gate) = &report.gate {
        all.extend(findings::gated(gate, &report.comparisons));
    }
    all.extend(findings::circumstances(contenders, &report.comparisons));
    if report.data_filesystem.as_deref().is_some_and(place::is_in_memory) {
        let what = "the data directories are on a file system in memory, where a sync costs nothing: name a folder on a \
                    disk with --data-in";
        all.push((Exit::Ok, what.to_owned()));
    }
    if stop.requested() {
        all.push((Exit::Interrupted, "interrupted; the rounds finished until then were verified".to_owned()));
    }
    let (exits, remarks): (Vec<Exit>, Vec<String>) = all.into_iter().unzip();
    report.remarks = remarks;
    report.exit_code = Exit::worst(exits.iter().copied()).code();
    exits
}

fn publish(args: &CompareArgs, report: &CompareReport, mut exits: Vec<Exit>) -> Exit {
    if let Err(error) = output::publish(args.out.as_ref(), &report.document(), report) {
        exits.push(fail(error));
    }
    Exit::worst(exits)
}

/// The plan of the first round. Against an earlier run, rounds have the tapes that they had then, unless told otherwise.
fn plan(args: &CompareArgs, earlier: Option<u64>) -> Plan {
    let seed = args.workload.seed.or(earlier).unwrap_or_else(workload::fresh_seed);
    Plan {
        spec: args.workload.spec(seed),
        // Each part of a turn has a prefix of its own.
        target: None,
        prefix: String::new(),
        concurrency: args.workload.concurrency(),
        warmup: args.warmup,
        limit: limit(args.duration, args.requests, DURATION),
        offered: None,
        sender: Sender::default(),
        route: Route::default(),
        faults: None,
        timeout: args.workload.timeout,
        records_max: usize::try_from(args.workload.max_records).unwrap_or(usize::MAX),
        keep: true,
        command: command_line(),
    }
}
