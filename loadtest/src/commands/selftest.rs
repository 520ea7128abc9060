//! `loadtest selftest`

use std::path::PathBuf;

use super::{command_line, fail};
use crate::cli::selftest::SelftestArgs;
use crate::compare::{server, server_beside};
use crate::exit::Exit;
use crate::interrupt::Stop;
use crate::selftest::report::SelftestReport;
use crate::selftest::{Plan, selftest};
use crate::{output, workload};

/// Tries the checks on what is wrong on purpose, and prints the kill matrix.
pub(super) async fn selftest_command(args: SelftestArgs, stop: &Stop) -> Exit {
    let Some(program) = args.server_bin.clone().or_else(mutants_beside).or_else(server_beside) else {
        return fail(
            "there is no server beside this program; build one with the mutants, `cargo build --release --package loadtest \
             --example mutant_inventory`, and give it with --server-bin",
        );
    };
    let plan = Plan {
        seed: args.seed.unwrap_or_else(workload::fresh_seed),
        requests: args.requests,
        time_max: args.max_time,
        command: command_line(),
    };
    let known = match server::strategies(&program).await {
        Ok(known) => known,
        Err(error) => return fail(error),
    };
    let matrix = match selftest(&program, &known, &plan, stop).await {
        Ok(matrix) => matrix,
        Err(error) => return fail(error),
    };
    let report = SelftestReport::new(&matrix, &plan, program.display().to_string(), stop.requested());
    let mut exits: Vec<Exit> = matrix.findings().into_iter().map(|(exit, _)| exit).collect();
    exits.extend(stop.requested().then_some(Exit::Interrupted));
    if let Err(error) = output::publish(args.out.as_ref(), &report.document(), &report) {
        exits.push(fail(error));
    }
    Exit::worst(exits)
}

/// The server with the mutants, where cargo puts it: among the examples.
fn mutants_beside() -> Option<PathBuf> {
    let beside = std::env::current_exe().ok()?.with_file_name("examples").join("mutant_inventory");
    beside.is_file().then_some(beside)
}
