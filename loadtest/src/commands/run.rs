//! `loadtest run URL`, or `URL,URL,...`

use std::sync::Arc;
use std::time::Duration;

use history::{Log, Verdict};

use super::{command_line, fail, misused, save};
use crate::calibrate::{self, Ceiling, CeilingPlan};
use crate::cli::profile::Named;
use crate::cli::{RunArgs, limit};
use crate::exit::Exit;
use crate::interrupt::Stop;
use crate::output::{self, Progress};
use crate::report::VerdictReport;
use crate::report::bank::Bank;
use crate::report::headline::FAILED_SHARE_MAX;
use crate::report::replicas;
use crate::report::run::{Asked, DeathReport, RunReport};
use crate::report::sale::Sale;
use crate::report::sometimes::Sometimes;
use crate::runner::{self, Plan, Run};
use crate::schedule::Offered;
use crate::target::{Target, TargetError, Unable};
use crate::threshold::Threshold;
use crate::workload::{Profile, QUERIED_SKUS_MAX};
use crate::{verdict, workload};

/// How long `run` measures when it is not told.
const DURATION: Duration = Duration::from_secs(10);

/// How long `run` warms up when it is not told.
const WARMUP: Duration = Duration::from_secs(1);

/// Runs the workload, verifies it, reports it.
pub(super) async fn run(args: RunArgs, stop: &Stop) -> Exit {
    if args.workload.profile == Some(Named::Shop) {
        return super::shop::run(args, stop).await;
    }
    let target = match args.target.as_deref().map(Target::load).transpose() {
        Ok(target) => target.map(Arc::new),
        Err(error @ TargetError::Unreadable { .. }) => return fail(error),
        Err(error @ TargetError::Wrong { .. }) => return misused(error),
    };
    let plan = match plan(&args, target) {
        Ok(plan) => plan,
        Err(error) => return misused(error),
    };
    if let Err(error) = args.url.are_reached_by(plan.concurrency) {
        return misused(error);
    }
    if plan.spec.is_too_large_a_bank() {
        return misused(format!(
            "a bank has at most {QUERIED_SKUS_MAX} skus, as one query names at most 10 000 levels; see --skus"
        ));
    }
    let (ceiling, unknown) = ceiling(&args, stop).await;
    let progress = Progress::viewed(&format!("loadtest run {}", args.url), stop, args.progress_every);
    let mut run = match runner::run(&args.url, &plan, None, stop, &progress).await {
        Ok(run) => run,
        Err(error) => return fail(error),
    };
    progress.begin("judging what was recorded", None);
    let history = std::mem::take(&mut run.history);
    let unsaved = save(&history, args.history.as_deref());
    let (history, checked, took) = verdict::check(history).await;
    let (history, sale) = close_sale(history, &plan, &checked).await;
    let (history, bank) = close_bank(history, &plan).await;
    // What cannot be read back has no verdict either, which is told.
    let sometimes = Sometimes::of(history).await.unwrap_or_default();
    progress.close();
    let mut findings: Vec<Exit> = unsaved.into_iter().chain([verdict::exit(&checked)]).collect();

    let thresholds = args.thresholds();
    let asked = Asked {
        thresholds: &thresholds,
        ceiling,
        interrupted: stop.requested(),
        sale: sale.as_ref(),
        bank: bank.as_ref(),
    };
    let mut report = RunReport::new(&args.url, &plan, &run, VerdictReport::new(checked, took), asked);
    for (finding, remark) in sometimes.missed(&args.require_sometimes) {
        findings.push(finding);
        report.remarks.push(remark);
    }
    report.sometimes = sometimes;
    let books = sale.iter().flat_map(Sale::findings).chain(bank.iter().flat_map(Bank::findings));
    for (finding, remark) in books {
        findings.push(finding);
        report.remarks.push(remark);
    }
    if report.thresholds.iter().any(|threshold| !threshold.kept) {
        findings.push(Exit::ThresholdMissed);
    }
    for (finding, remark) in remarks(&thresholds, &run, &report, stop) {
        findings.push(finding);
        report.remarks.push(remark);
    }
    report.remarks.extend(unknown);
    report.exit_code = Exit::worst(findings.iter().copied()).code();
    if let Err(error) = output::publish(args.out.as_ref(), &report.document(), &report) {
        findings.push(fail(error));
    }
    Exit::worst(findings)
}

/// The books of a sale, if nothing but a sale was asked for. What cannot be read back has no verdict either, which is told.
async fn close_sale(history: Log, plan: &Plan, verdict: &Verdict) -> (Log, Option<Sale>) {
    if !plan.spec.is_sale() {
        return (history, None);
    }
    let (history, sale) = Sale::of(history, &plan.spec, verdict).await;
    (history, sale.ok())
}

/// The books of a bank, if units were only moved, and looked at all together.
async fn close_bank(history: Log, plan: &Plan) -> (Log, Option<Bank>) {
    if !plan.spec.is_bank() {
        return (history, None);
    }
    let (history, bank) = Bank::of(history, &plan.spec).await;
    (history, bank.ok())
}

/// What the generator itself can do, or why that is not known.
async fn ceiling(args: &RunArgs, stop: &Stop) -> (Option<Ceiling>, Option<String>) {
    let (client, concurrency) = (args.client, args.workload.concurrency());
    match args.ceiling {
        CeilingPlan::Waived => (None, None),
        CeilingPlan::Given(requests_per_s) => {
            (Some(Ceiling { requests_per_s, cpu_us_per_request: None }), None)
        }
        CeilingPlan::Measure => {
            match calibrate::ceiling(client, args.target.is_some(), concurrency, calibrate::SHORT, stop).await
            {
                Ok(ceiling) => (Some(ceiling), None),
                Err(error) => (None, Some(format!("the generator's own ceiling is not known: {error}"))),
            }
        }
    }
}

fn plan(args: &RunArgs, target: Option<Arc<Target>>) -> Result<Plan, Unable> {
    let mut spec = args.workload.spec(args.workload.seed.unwrap_or_else(workload::fresh_seed));
    if let Some(target) = &target {
        spec = target.workload(spec, args.workload.is_mixed())?;
        if args.fault.is_some_and(|faults| faults.replays()) {
            target.can_replay()?;
        }
    }
    let profile = args.workload.profile();
    let of_profile =
        profile.and_then(|profile| profile.requests(args.workload.concurrency(), spec.opening_stock));
    let requests = args.requests.or(of_profile.filter(|_| args.duration.is_none()));
    let limit = limit(args.duration, requests, DURATION);
    let warms_up = profile.is_none_or(Profile::warms_up);
    Ok(Plan {
        spec,
        target,
        prefix: format!("lt-{}-", workload::fresh_run_id()),
        concurrency: args.workload.concurrency(),
        warmup: args.warmup.unwrap_or(if warms_up { WARMUP } else { Duration::ZERO }),
        limit,
        offered: args.rate.clone().map(|rate| Offered {
            rate,
            pattern: args.arrivals,
            dispatch: args.dispatch,
        }),
        timeout: args.workload.timeout,
        sender: args.client,
        route: args.route,
        faults: args.fault,
        records_max: usize::try_from(args.workload.max_records).unwrap_or(usize::MAX),
        keep: args.keep,
        command: command_line(),
    })
}

/// What a reader must know beside the figures, and what it means for the exit code.
fn remarks(thresholds: &[Threshold], run: &Run, report: &RunReport, stop: &Stop) -> Vec<(Exit, String)> {
    let mut remarks = Vec::new();
    let mut note = |exit, remark: String| remarks.push((exit, remark));
    if stop.requested() {
        note(Exit::Interrupted, "interrupted; what had been recorded until then was verified".to_owned());
    }
    if run.breaches > 0 {
        let breaches = run.breaches;
        note(
            Exit::Inconclusive,
            format!("{breaches} answers did not fit the contract, so the proof has holes"),
        );
    }
    if let Some(DeathReport { stage, at_ms }) = &report.server_died {
        note(
            Exit::Inconclusive,
            format!(
                "the server died {:.2} s into the measured part ({stage}): from then on nobody listened at {}. The \
                 run ended there; no level could be read back",
                Duration::from_millis(*at_ms).as_secs_f64(),
                report.url
            ),
        );
    } else if run.unread > 0 {
        note(Exit::Inconclusive, format!("{} levels could not be read back at the end", run.unread));
    }
    let absent = [unheard(run, report.workload.concurrency, stop), silent(run, report, stop)];
    absent.into_iter().flatten().for_each(|remark| note(Exit::CouldNotRun, remark));
    if report.total.done + report.total.refused == 0 {
        note(
            Exit::Inconclusive,
            "no request of the measured part was answered: nothing was measured".to_owned(),
        );
    }
    if !thresholds.iter().any(Threshold::is_of_errors)
        && report.total.failed as f64 > FAILED_SHARE_MAX * report.total.requests as f64
    {
        note(
            Exit::Inconclusive,
            format!(
                "{} of {} requests failed, more than {}%: say how many are allowed to with --threshold 'errors<...'",
                report.total.failed,
                report.total.requests,
                FAILED_SHARE_MAX * 100.0
            ),
        );
    }
    if report.workload.concurrency == 1 {
        // The lines of its independent batches overlap one another on paper, but nobody else is there.
        note(Exit::Inconclusive, "one client alone contends with nobody; raise --concurrency".to_owned());
    }
    if run.disk_failed {
        let folder = std::env::temp_dir();
        let remark = format!(
            "stopped early because the history got too long for memory and could not be written to {}",
            folder.display()
        );
        note(Exit::Ok, remark);
    } else if run.measured.full {
        note(Exit::Ok, "stopped early because --max-records was reached".to_owned());
    }
    let not_sent = run.measured.open_loop.not_sent;
    if not_sent > 0 && !stop.requested() {
        let remark = format!(
            "the rate was not kept: {not_sent} requests were never sent because every client was busy, so the \
             percentiles are lower bounds; raise --concurrency or lower --rate"
        );
        note(Exit::Ok, remark);
    }
    remarks
}

/// That fewer clients took part than were asked for, if that is so. Whoever is answered later made good what failed before; those who never
/// were leave the load to the others, whose figures look all the better.
fn unheard(run: &Run, concurrency: u32, stop: &Stop) -> Option<String> {
    let unheard = run.measured.unheard;
    if unheard == 0 || run.death.is_some() || stop.requested() {
        return None;
    }
    Some(format!(
        "{unheard} of {concurrency} clients were never answered: all their connections were refused or lost, so this was not the load that \
         was asked for; raise the limits of the server (connections, backlog) and of open files and ports here, or lower --concurrency"
    ))
}

/// That replicas took no part, if that is so though the run went to its end.
fn silent(run: &Run, report: &RunReport, stop: &Stop) -> Option<String> {
    let went_to_its_end = run.death.is_none() && !stop.requested();
    replicas::silent(&report.replicas).filter(|_| went_to_its_end)
}
