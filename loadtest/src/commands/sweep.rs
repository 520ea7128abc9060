//! `loadtest sweep`

use std::path::PathBuf;
use std::time::Duration;

use super::{command_line, fail};
use crate::cli::inproc::ascending;
use crate::cli::sweep::SweepArgs;
use crate::compare::server::{Strategy, strategies};
use crate::compare::{choose, server_beside};
use crate::exit::Exit;
use crate::inproc::{self, Limit, Plan};
use crate::interrupt::Stop;
use crate::measure::machine::Machine;
use crate::report::millis;
use crate::sweep::report::{SweepReport, findings};
use crate::sweep::{self, Turn};
use crate::{output, workload};

/// How long a pass in this process takes when it is not told.
const INPROC_DURATION: Duration = Duration::from_millis(100);

/// How long a measurement over HTTP takes when it is not told.
const HTTP_DURATION: Duration = Duration::from_millis(500);

/// Calls that are recorded and checked after each pass in this process.
const RECORDED: u32 = 20_000;

/// Measures and verifies each strategy at each concurrency, fits the law, draws it.
pub(super) async fn sweep(args: SweepArgs, stop: &Stop) -> Exit {
    let plan = plan(&args);
    let http_duration = args.duration.unwrap_or(HTTP_DURATION);
    let machine = Machine::here();
    let turns = match turns(&args, &plan, http_duration, stop).await {
        Ok(turns) => turns,
        Err(exit) => return exit,
    };
    let mut report = SweepReport::new(&plan, millis(http_duration), machine, turns);
    let mut exits = Vec::new();
    for (exit, remark) in findings(&report.turns) {
        exits.push(exit);
        report.remarks.push(remark);
    }
    if stop.requested() {
        exits.push(Exit::Interrupted);
        report.remarks.push("interrupted; the turns finished until then were verified".to_owned());
    }
    report.exit_code = Exit::worst(exits.iter().copied()).code();
    let mut document = report.document();
    match report.svg().map(|svg| output::write(&args.svg, &svg)) {
        Some(Ok(())) => document.line(format!("Drawn: {}", args.svg.display())),
        Some(Err(error)) => exits.push(fail(error)),
        None => document.line("Nothing drawn: nothing was measured"),
    }
    if let Err(error) = output::publish(args.out.as_ref(), &document, &report) {
        exits.push(fail(error));
    }
    Exit::worst(exits)
}

/// All turns, in this process and over HTTP. What there is to do is checked before the first of them.
async fn turns(args: &SweepArgs, plan: &Plan, duration: Duration, stop: &Stop) -> Result<Vec<Turn>, Exit> {
    let inside = if args.http { None } else { Some(chosen(args, &inproc::strategies())?) };
    let outside = if args.inproc { None } else { Some(server(args).await?) };
    let mut turns = Vec::new();
    if let Some(strategies) = inside {
        let (plan, stop) = (plan.clone(), stop.clone());
        let work = move || sweep::inproc(&plan, &strategies, &stop);
        let done = tokio::task::spawn_blocking(work).await;
        turns.extend(done.map_err(|error| fail(format!("the measurement broke off: {error}")))?);
    }
    if let Some((program, strategies)) = outside {
        turns.extend(sweep::http(plan, duration, &program, &strategies, stop).await.map_err(fail)?);
    }
    Ok(turns)
}

/// The server to start, and those of its strategies that are wanted.
async fn server(args: &SweepArgs) -> Result<(PathBuf, Vec<Strategy>), Exit> {
    let Some(program) = args.server_bin.clone().or_else(server_beside) else {
        return Err(fail(
            "there is no `inventory` beside this program; build it with `cargo build --release --workspace`, give it \
             with --server-bin, or stay in this process with --inproc",
        ));
    };
    let known = strategies(&program).await.map_err(fail)?;
    Ok((program, chosen(args, &known)?))
}

fn chosen(args: &SweepArgs, known: &[Strategy]) -> Result<Vec<Strategy>, Exit> {
    choose(&args.strategies, known, args.allow_racy).map_err(|error| {
        output::remark(&error.to_string());
        Exit::Usage
    })
}

fn plan(args: &SweepArgs) -> Plan {
    Plan {
        spec: args.tape.spec(args.tape.seed.unwrap_or_else(workload::fresh_seed)),
        threads: ascending(args.concurrency.clone()),
        limit: Limit::For(args.duration.unwrap_or(INPROC_DURATION)),
        rounds: args.rounds,
        recorded: RECORDED,
        command: command_line(),
    }
}
