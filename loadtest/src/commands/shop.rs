//! `--profile shop` of `run` and of `crash`.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use history::shop::{Audit, audit};
use tokio::sync::watch;

use super::crash::{Home, server_program, shown_command_line};
use super::{command_line, fail, misused};
use crate::cli::crash::CrashArgs;
use crate::cli::{RunArgs, limit};
use crate::client::replicas::Route;
use crate::crash::figures::FaultFigures;
use crate::crash::server::Launch;
use crate::exit::Exit;
use crate::interrupt::Stop;
use crate::output::{self, Out, Progress};
use crate::report::replicas;
use crate::schedule::Limit;
use crate::shop::Plan;
use crate::shop::clerk::Hours;
use crate::shop::course::{Brought, Course};
use crate::shop::lives::{self, Lives, LivesError};
use crate::shop::report::ShopReport;
use crate::workload;

/// How long `run` asks when it is not told.
const DURATION: Duration = Duration::from_secs(10);

/// For how many timeouts a question is sent again before a running server is given up.
const TIMEOUTS: u32 = 3;

/// Levels: so few that clients meet.
const SKUS: u32 = 8;

/// Units that each opens with.
const OPENING_STOCK: u64 = 100;

/// Drives a running server as a shop.
pub(super) async fn run(args: RunArgs, stop: &Stop) -> Exit {
    let foreign = foreign(&args);
    if !foreign.is_empty() {
        return misused(format!("a shop has a course of its own: leave out {}", foreign.join(", ")));
    }
    let plan = Plan {
        prefix: format!("lt-{}-", workload::fresh_run_id()),
        skus: args.workload.skus.unwrap_or(SKUS),
        opening_stock: args.workload.opening_stock.unwrap_or(OPENING_STOCK),
        clients: args.workload.concurrency(),
        limit: limit(args.duration, args.requests, DURATION),
        seed: args.workload.seed.unwrap_or_else(workload::fresh_seed),
        timeout: args.workload.timeout,
        give_up: args.workload.timeout * TIMEOUTS,
        outages: Arc::default(),
        command: command_line(),
    };
    if let Err(error) = args.url.are_reached_by(plan.clients) {
        return misused(error);
    }
    let urls: Vec<&str> = args.url.urls().iter().map(|url| url.trim_end_matches('/')).collect();
    // Nobody is to be asked again and again where there is nobody.
    if let Err(error) = reachable(&urls, plan.timeout).await {
        return fail(format!("{} cannot be driven: {error}", urls.join(",")));
    }
    let door = |url: &&str| watch::channel::<Option<Arc<str>>>(Some((*url).into()));
    // Whoever holds them open closes none of them.
    let (_open, doors): (Vec<_>, Vec<_>) = urls.iter().map(door).unzip();
    let progress = Progress::every(args.progress_every);
    progress.begin("opening the levels", None);
    let course = match Course::open(&plan, doors).await {
        Ok(course) => course,
        Err(error) => return fail(error),
    };
    progress.begin("keeping shop", Some(plan.limit));
    let clients = course.hire(&plan, &Arc::new(Hours::new(plan.limit, stop)));
    let desk = course.desk();
    let brought = course.close(clients, &progress).await;
    if !args.keep && !desk.is_given_up() {
        progress.begin("removing the levels", None);
        brought.clean_up(&desk).await;
    }
    let (brought, audit) = judge(brought, &progress).await;
    progress.close();
    let (mut report, mut exits) = ShopReport::new(&plan, &urls.join(","), &brought, audit.as_ref(), None);
    let silent: Vec<&str> = desk.silent().into_iter().filter_map(|at| urls.get(at).copied()).collect();
    if urls.len() > 1 && !silent.is_empty() && !stop.requested() {
        exits.push(Exit::CouldNotRun);
        report.remarks.push(replicas::told_silent(&silent));
    }
    publish(report, exits, args.out.as_ref(), stop)
}

/// Drives a server of its own as a shop, and kills it.
pub(super) async fn crash(args: CrashArgs, stop: &Stop) -> Exit {
    let Some(program) = server_program(&args) else { return super::crash::no_server() };
    let mut home = match Home::make(&args) {
        Ok(home) => home,
        Err(error) => return fail(error),
    };
    let plan = Plan {
        prefix: format!("lt-{}-", workload::fresh_run_id()),
        skus: SKUS,
        opening_stock: args.opening_stock,
        clients: args.clients,
        limit: Limit::Requests(args.max_records),
        seed: args.seed.unwrap_or_else(workload::fresh_seed),
        timeout: args.timeout,
        give_up: args.recovery_max + args.timeout,
        outages: Arc::default(),
        command: shown_command_line(&args),
    };
    let replicas = match args.replicas() {
        Ok(replicas) => replicas,
        Err(error) => return misused(error),
    };
    let progress = Progress::new();
    let driven = driven(&plan, (program, replicas), &args, &mut home, stop, &progress).await;
    let (launch, brought, lives) = match driven {
        Ok(driven) => driven,
        Err(error) => return fail(error),
    };
    let (brought, audit) = judge(brought, &progress).await;
    progress.close();
    let program = launch.program.display();
    let server = match (replicas, launch.store()) {
        (Some(replicas), Some(store)) => format!("{replicas} replicas of {program} over {store}"),
        _ => program.to_string(),
    };
    let outages = lives.outages.clone();
    let (mut report, exits) = ShopReport::new(&plan, &server, &brought, audit.as_ref(), Some(lives));
    // What is lost of a shop shows in its books, by another name.
    report.fault = args.fault.map(|fault| FaultFigures::new(fault, outages, None));
    if args.keep || exits.contains(&Exit::Violation) {
        report.kept = Some(home.keep());
    }
    let out = if args.json { Some(args.out.unwrap_or_default().with_json_shown()) } else { args.out };
    publish(report, exits, out.as_ref(), stop)
}

/// Drives it, over what it is to be over.
async fn driven(
    plan: &Plan,
    (program, replicas): (PathBuf, Option<u32>),
    args: &CrashArgs,
    home: &mut Home,
    stop: &Stop,
    progress: &Progress,
) -> Result<(Launch, Brought, Lives), LivesError> {
    let mut cluster = home.cluster(args).await?;
    let launch = home.launch(program, args, cluster.as_ref());
    let cycles = (args.cycles(), args.life());
    let driven = match replicas {
        Some(replicas) => {
            lives::besiege(plan, &launch, (replicas, cluster.as_mut()), cycles, stop, progress).await
        }
        None => lives::drive(plan, &launch, cycles, stop, progress).await,
    };
    if let Some(mut cluster) = cluster {
        cluster.end().await;
    }
    if let Err(LivesError::Cluster(error)) = &driven
        && error.has_a_log()
    {
        home.keep();
    }
    let (brought, lives) = driven?;
    Ok((launch, brought, lives))
}

/// What was asked for that a shop does not know.
fn foreign(args: &RunArgs) -> Vec<&'static str> {
    let given = [
        ("--target", args.target.is_some()),
        ("--warmup", args.warmup.is_some()),
        ("--rate", args.rate.is_some()),
        ("--route sku", args.route == Route::Sku),
        ("--fault", args.fault.is_some()),
        ("--history", args.history.is_some()),
        ("--require-sometimes", !args.require_sometimes.is_empty()),
        ("--threshold", !args.thresholds().is_empty()),
        ("--keys", args.workload.keys.is_some()),
        ("--mix", args.workload.mix.is_some()),
    ];
    given.into_iter().filter(|(_, is_given)| *is_given).map(|(name, _)| name).collect()
}

/// Whether somebody is at one of these; if nobody is, why not at the first of them.
async fn reachable(urls: &[&str], timeout: Duration) -> Result<(), reqwest::Error> {
    let http = reqwest::Client::builder().no_proxy().timeout(timeout).build()?;
    let mut why = None;
    for url in urls {
        match http.get(format!("{url}/livez")).send().await {
            Ok(_) => return Ok(()),
            Err(error) => why = why.or(Some(error)),
        }
    }
    why.map_or(Ok(()), Err)
}

/// Judges the books, off the runtime's threads.
async fn judge(brought: Brought, progress: &Progress) -> (Brought, Option<Audit>) {
    progress.begin("judging what was told", None);
    let work = move || {
        let audit = brought.books.as_ref().ok().map(audit);
        (brought, audit)
    };
    // A panic is passed on: there is nothing to report.
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
}

fn publish(mut report: ShopReport, mut exits: Vec<Exit>, out: Option<&Out>, stop: &Stop) -> Exit {
    if stop.requested() {
        exits.push(Exit::Interrupted);
        report.remarks.push("interrupted; what had been asked until then was judged".to_owned());
    }
    report.exit_code = Exit::worst(exits.iter().copied()).code();
    if let Err(error) = output::publish(out, &report.document(), &report) {
        exits.push(fail(error));
    }
    Exit::worst(exits)
}
