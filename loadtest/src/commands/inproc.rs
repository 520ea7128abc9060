//! `loadtest inproc`

use std::time::Duration;

use tokio::runtime::Handle;

use super::{command_line, fail, misused};
use crate::cli::inproc::{InprocArgs, ascending};
use crate::compare::choose;
use crate::exit::Exit;
use crate::inproc::report::{InprocReport, findings};
use crate::inproc::{self, Limit, Plan, Subject};
use crate::interrupt::Stop;
use crate::measure::machine::Machine;
use crate::workload::Operation;
use crate::{output, workload};

/// How long a timed pass takes when it is not told: eight strategies and the floor on four numbers of threads, in five
/// rounds, stay below a minute.
const DURATION: Duration = Duration::from_millis(100);

/// Measures and verifies the strategies in this process, reports them above their floor.
pub(super) async fn inproc(args: InprocArgs, stop: &Stop) -> Exit {
    let chosen = match choose(&args.strategy, &inproc::strategies(), args.allow_racy) {
        Ok(chosen) => chosen,
        Err(error) => {
            output::remark(&error.to_string());
            return Exit::Usage;
        }
    };
    if args.tape.mix.weight(Operation::Query) > 0 {
        return misused(
            "no query is asked for in this process; leave it out of the mix, and see `loadtest run URL --profile bank`",
        );
    }
    let strategies = chosen.iter().filter_map(|strategy| Subject::of_strategy(&strategy.name));
    let subjects: Vec<Subject> = strategies.chain(Subject::FLOOR).collect();
    let plan = plan(&args);
    let machine = Machine::here();
    let (turns, subjects) = {
        let (plan, stop, runtime) = (plan.clone(), stop.clone(), Handle::current());
        let work = move || (inproc::turns(&plan, &subjects, &stop, &runtime), subjects);
        match tokio::task::spawn_blocking(work).await {
            Ok(done) => done,
            Err(error) => return fail(format!("the measurement broke off: {error}")),
        }
    };
    let mut report = InprocReport::new(&plan, machine, &subjects, turns);
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
    if let Err(error) = output::publish(args.out.as_ref(), &report.document(), &report) {
        exits.push(fail(error));
    }
    Exit::worst(exits)
}

fn plan(args: &InprocArgs) -> Plan {
    let limit = args.operations.map_or(Limit::For(args.duration.unwrap_or(DURATION)), Limit::Operations);
    Plan {
        spec: args.tape.spec(args.tape.seed.unwrap_or_else(workload::fresh_seed)),
        threads: ascending(args.threads.clone()),
        limit,
        rounds: args.rounds,
        recorded: args.recorded,
        command: command_line(),
    }
}
