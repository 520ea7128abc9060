//! `loadtest replay URL FILE`, or `URL,URL,... FILE`

use super::{command_line, fail, misused, save};
use crate::cli::ReplayArgs;
use crate::exit::Exit;
use crate::interrupt::Stop;
use crate::output::{self, Progress};
use crate::replay::drive::{Plan, Replay, drive};
use crate::replay::file;
use crate::replay::report::ReplayReport;
use crate::report::{VerdictReport, replicas};
use crate::{verdict, workload};

/// Replays a file of orders, verifies it, reports it.
pub(super) async fn replay(args: ReplayArgs, stop: &Stop) -> Exit {
    if let Err(error) = args.url.are_reached_by(args.concurrency) {
        return misused(error);
    }
    let path = args.file.clone();
    let orders = match tokio::task::spawn_blocking(move || file::load(&path)).await {
        Ok(Ok(orders)) => orders,
        Ok(Err(error)) => return fail(error),
        Err(error) => return fail(format!("the orders could not be read: {error}")),
    };
    let plan = Plan {
        prefix: args.prefix.clone().unwrap_or_else(|| format!("rp-{}-", workload::fresh_run_id())),
        concurrency: args.concurrency,
        window: args.window,
        stock_fraction: args.stock_fraction,
        timeout: args.timeout,
        route: args.route,
        keep: args.keep,
        command: command_line(),
    };
    if let Some(long) = orders.skus.iter().find(|sku| plan.prefix.len() + sku.len() > 64) {
        return fail(format!("{}{long} is longer than 64 characters; give a shorter --prefix", plan.prefix));
    }
    let mut replay = match drive(&args.url, &orders, &plan, stop, &Progress::new()).await {
        Ok(replay) => replay,
        Err(error) => return fail(error),
    };
    let history = std::mem::take(&mut replay.history);
    let unsaved = save(&history, args.history.as_deref());
    let (_, checked, took) = verdict::check(history).await;
    let mut findings: Vec<Exit> = unsaved.into_iter().chain([verdict::exit(&checked)]).collect();
    let mut report = ReplayReport::new(&args.url, &orders, &plan, &replay, VerdictReport::new(checked, took));
    let silent = replicas::silent(&report.replicas).filter(|_| !stop.requested());
    let silent = silent.map(|remark| (Exit::CouldNotRun, remark));
    for (finding, remark) in remarks(&replay, &plan, stop).into_iter().chain(silent) {
        findings.push(finding);
        report.remarks.push(remark);
    }
    report.exit_code = Exit::worst(findings.iter().copied()).code();
    if let Err(error) = output::publish(args.out.as_ref(), &report.document(), &report) {
        findings.push(fail(error));
    }
    Exit::worst(findings)
}

/// What a reader must know beside the figures, and what it means for the exit code.
fn remarks(replay: &Replay, plan: &Plan, stop: &Stop) -> Vec<(Exit, String)> {
    let mut remarks = Vec::new();
    let mut note = |exit, remark: String| remarks.push((exit, remark));
    let fates = replay.invoices;
    if stop.requested() {
        note(Exit::Interrupted, "interrupted; what had been recorded until then was verified".to_owned());
    }
    if !replay.wrong.is_empty() {
        note(
            Exit::Violation,
            "the final stock is not the one computed from the accepted invoices".to_owned(),
        );
    }
    if plan.stock_fraction >= 1.0 && fates.refused > 0 {
        let refused = fates.refused;
        note(
            Exit::Violation,
            format!("{refused} invoices were refused, although the opening stock covers all"),
        );
    }
    if let Some((name, answer, _)) = replay.foreign.iter().find(|(_, _, refused)| !refused) {
        let contract = format!("`{name}` was answered {answer}, but the contract says 422: it is no sku");
        note(Exit::Inconclusive, contract);
    }
    if fates.unknown > 0 || replay.uncertain > 0 {
        let doubt = "of some invoices nobody knows whether they were booked, so not every final stock can be computed";
        note(Exit::Inconclusive, doubt.to_owned());
    }
    if fates.given_up > 0 {
        note(Exit::Inconclusive, format!("{} invoices were never taken by the server", fates.given_up));
    }
    if replay.tally.breaches() > 0 {
        let breaches = replay.tally.breaches();
        note(
            Exit::Inconclusive,
            format!("{breaches} answers did not fit the contract, so the proof has holes"),
        );
    }
    remarks
}
