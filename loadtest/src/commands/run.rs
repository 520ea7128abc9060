//! `loadtest run URL`

use std::time::Duration;

use super::{command_line, fail, save};
use crate::cli::{RunArgs, limit};
use crate::exit::Exit;
use crate::interrupt::Stop;
use crate::output::{self, Progress};
use crate::report::VerdictReport;
use crate::report::run::{Bounds, RunReport};
use crate::report::sometimes::Sometimes;
use crate::runner::{self, Plan, Run};
use crate::{verdict, workload};

/// How long `run` measures when it is not told.
const DURATION: Duration = Duration::from_secs(10);

/// Runs the workload, verifies it, reports it.
pub(super) async fn run(args: RunArgs, stop: &Stop) -> Exit {
    let plan = plan(&args);
    let mut run = match runner::run(&args.url, &plan, None, stop, &Progress::new()).await {
        Ok(run) => run,
        Err(error) => return fail(error),
    };
    let history = std::mem::take(&mut run.history);
    let unsaved = save(&history, args.history.as_deref());
    let (history, checked, took) = verdict::check(history).await;
    // What cannot be read back has no verdict either, which is told.
    let sometimes = Sometimes::of(history).await.unwrap_or_default();
    let mut findings: Vec<Exit> = unsaved.into_iter().chain([verdict::exit(&checked)]).collect();

    let bounds =
        Bounds { p99_max: args.max_p99, throughput_min: args.min_throughput, failed_max: args.max_failed };
    let mut report = RunReport::new(&args.url, &plan, &run, VerdictReport::new(checked, took), bounds);
    for (finding, remark) in sometimes.missed(&args.require_sometimes) {
        findings.push(finding);
        report.remarks.push(remark);
    }
    report.sometimes = sometimes;
    if report.thresholds.iter().any(|threshold| !threshold.kept) {
        findings.push(Exit::ThresholdMissed);
    }
    for (finding, remark) in remarks(&run, &report, stop) {
        findings.push(finding);
        report.remarks.push(remark);
    }
    report.exit_code = Exit::worst(findings.iter().copied()).code();
    if let Err(error) = output::publish(args.out.as_ref(), &report.document(), &report) {
        findings.push(fail(error));
    }
    Exit::worst(findings)
}

fn plan(args: &RunArgs) -> Plan {
    Plan {
        spec: args.workload.spec(args.workload.seed.unwrap_or_else(workload::fresh_seed)),
        prefix: format!("lt-{}-", workload::fresh_run_id()),
        concurrency: args.workload.concurrency,
        warmup: args.warmup,
        limit: limit(args.duration, args.requests, DURATION),
        rate_per_s: args.rate,
        timeout: args.workload.timeout,
        records_max: usize::try_from(args.workload.max_records).unwrap_or(usize::MAX),
        keep: args.keep,
        command: command_line(),
    }
}

/// What a reader must know beside the figures, and what it means for the exit code.
fn remarks(run: &Run, report: &RunReport, stop: &Stop) -> Vec<(Exit, String)> {
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
    if run.unread > 0 {
        note(Exit::Inconclusive, format!("{} levels could not be read back at the end", run.unread));
    }
    if report.total.done + report.total.refused == 0 {
        note(
            Exit::Inconclusive,
            "no request of the measured part was answered: nothing was measured".to_owned(),
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
