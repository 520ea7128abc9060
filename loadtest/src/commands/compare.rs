//! `loadtest compare`

use std::time::Duration;

use super::{command_line, fail};
use crate::cli::{CompareArgs, limit};
use crate::client::Sender;
use crate::compare::report::CompareReport;
use crate::compare::{choose, findings, server, server_beside, turns};
use crate::exit::Exit;
use crate::interrupt::Stop;
use crate::runner::Plan;
use crate::{output, workload};

/// How long each turn measures when it is not told: seven strategies in three rounds stay below 90 s.
const DURATION: Duration = Duration::from_secs(2);

/// Starts the servers, drives and verifies each, reports them side by side.
pub(super) async fn compare(args: CompareArgs, stop: &Stop) -> Exit {
    let Some(program) = args.server_bin.clone().or_else(server_beside) else {
        return fail(
            "there is no `inventory` beside this program; build it with `cargo build --release --workspace`, \
             or give it with --server-bin",
        );
    };
    let known = match server::strategies(&program).await {
        Ok(known) => known,
        Err(error) => return fail(error),
    };
    let strategies = match choose(&args.strategies, &known, args.allow_racy) {
        Ok(strategies) => strategies,
        Err(error) => {
            output::remark(&error.to_string());
            return Exit::Usage;
        }
    };
    let plan = plan(&args);
    let turns = match turns(&program, &strategies, args.rounds, &plan, stop).await {
        Ok(turns) => turns,
        Err(error) => return fail(error),
    };
    let mut report =
        CompareReport::new(&plan, program.display().to_string(), args.rounds, &strategies, turns);
    let mut exits = Vec::new();
    for (exit, remark) in findings(&strategies, &report.turns) {
        exits.push(exit);
        report.remarks.push(remark);
    }
    if stop.requested() {
        exits.push(Exit::Interrupted);
        report.remarks.push("interrupted; the rounds finished until then were verified".to_owned());
    }
    report.exit_code = Exit::worst(exits.iter().copied()).code();
    if let Err(error) = output::publish(args.out.as_ref(), &report.document(), &report) {
        exits.push(fail(error));
    }
    Exit::worst(exits)
}

fn plan(args: &CompareArgs) -> Plan {
    Plan {
        spec: args.workload.spec(args.workload.seed.unwrap_or_else(workload::fresh_seed)),
        // Each turn has a prefix of its own.
        prefix: String::new(),
        concurrency: args.workload.concurrency,
        warmup: args.warmup,
        limit: limit(args.duration, args.requests, DURATION),
        offered: None,
        sender: Sender::default(),
        faults: None,
        timeout: args.workload.timeout,
        records_max: usize::try_from(args.workload.max_records).unwrap_or(usize::MAX),
        keep: true,
        command: command_line(),
    }
}
