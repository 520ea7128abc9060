//! Who `compare` compares, from its arguments. Whatever is wrong with what was asked for is found here, before anything is
//! started.

use std::path::{Path, PathBuf};

use super::fail;
use crate::cli::compare::CompareArgs;
use crate::compare::contender::{Contender, Field};
use crate::compare::earlier::Earlier;
use crate::compare::gate::Gate;
use crate::compare::server::{Storage, Strategy};
use crate::compare::{choose, judge, server, server_beside};
use crate::exit::Exit;
use crate::output;

/// What `serve` is told by this program alone.
const RESERVED: [&str; 4] = ["--strategy", "--listen", "--data-dir", "--ephemeral"];

/// Who is compared, and with what.
#[derive(Debug)]
pub(super) struct Lineup {
    /// Who has a turn in each round.
    pub(super) contenders: Vec<Contender>,
    /// The programs, `A` before `B`.
    pub(super) servers: Vec<String>,
    /// The gate.
    pub(super) gate: Option<Gate>,
    /// The earlier run that is the baseline.
    pub(super) earlier: Option<Earlier>,
}

/// Puts the contenders together.
pub(super) async fn prepare(args: &CompareArgs) -> Result<Lineup, Exit> {
    refuse_reserved(&args.server_arguments)?;
    let earlier = match args.baseline.as_deref().filter(|name| is_file(name)) {
        Some(path) => Some(Earlier::read(Path::new(path)).map_err(|error| usage(&error))?),
        None => None,
    };
    let (program, other) = programs(args, earlier.is_some())?;
    let strategies = strategies(args, &program, other.as_deref()).await?;
    let field = Field { program: &program, storage: storage(args), delay: args.delay_control };
    let baseline = args.baseline.as_deref().filter(|_| earlier.is_none());
    let wanted: Vec<String> = strategies.iter().map(|strategy| strategy.name.clone()).collect();
    let contenders = match (&earlier, &other) {
        (Some(earlier), _) => {
            earlier.require(&wanted).map_err(|error| usage(&error))?;
            field.against_earlier(&strategies, &earlier.strategies())
        }
        (None, Some(other)) => field.against_build(&strategies, baseline, other),
        (None, None) => field.against_one(&strategies, baseline),
    };
    let contenders = contenders.map_err(|error| usage(&error))?;
    let gate = args.gate.map(|allowed| Gate { allowed, metrics: args.gate_on.clone() });
    if gate.is_some() {
        let candidates = contenders.iter().filter(|contender| judge::is_candidate(contender)).count();
        let now = args.rounds as usize;
        let possible = match &earlier {
            Some(earlier) => Gate::can_fire_apart(now, earlier.rounds(&wanted), candidates),
            None => Gate::can_fire(now, candidates),
        };
        possible.map_err(|error| usage(&error))?;
    }
    let servers = [Some(program), other].into_iter().flatten();
    let servers = servers.map(|program| program.display().to_string()).collect();
    Ok(Lineup { contenders, servers, gate, earlier })
}

/// Where servers keep their stock.
pub(super) fn storage(args: &CompareArgs) -> Storage {
    if args.ephemeral { Storage::Ephemeral } else { Storage::Durable }
}

/// One clear line, and the exit code for a command line that makes no sense.
pub(super) fn usage(error: &dyn std::fmt::Display) -> Exit {
    output::remark(&error.to_string());
    Exit::Usage
}

fn is_file(baseline: &str) -> bool {
    Path::new(baseline).extension().is_some_and(|extension| extension == "json")
}

fn refuse_reserved(arguments: &[String]) -> Result<(), Exit> {
    let is_reserved = |argument: &&String| {
        RESERVED.iter().any(|flag| *argument == flag || argument.starts_with(&format!("{flag}=")))
    };
    match arguments.iter().find(is_reserved) {
        None => Ok(()),
        Some(argument) => Err(usage(&format!(
            "`{argument}` is told to each server by compare itself; leave it out after --"
        ))),
    }
}

/// The server program, and the one that is compared with it, if there is one.
fn programs(args: &CompareArgs, has_file: bool) -> Result<(PathBuf, Option<PathBuf>), Exit> {
    match &args.server_bin[..] {
        [] => server_beside().map(|program| (program, None)).ok_or_else(|| {
            fail(
                "there is no `inventory` beside this program; build it with `cargo build --release --workspace`, or \
                 give it with --server-bin",
            )
        }),
        [one] => Ok((one.clone(), None)),
        [one, other] if !has_file => Ok((one.clone(), Some(other.clone()))),
        [_, _] => Err(usage(&"compare two programs, or one with an earlier run: not both at once")),
        _ => Err(usage(&"--server-bin is given once, or twice to compare two programs")),
    }
}

/// The strategies that are wanted, all of which each program has.
async fn strategies(args: &CompareArgs, one: &Path, other: Option<&Path>) -> Result<Vec<Strategy>, Exit> {
    let mut known = server::strategies(one).await.map_err(fail)?;
    if let Some(other) = other {
        let others = server::strategies(other).await.map_err(fail)?;
        known.retain(|strategy| others.contains(strategy));
    }
    choose(&args.strategies, &known, args.allow_racy).map_err(|error| usage(&error))
}
