//! `loadtest crash`

use std::path::{Path, PathBuf};

use history::Log;

use super::{command_line, fail, save};
use crate::cli::crash::{CrashArgs, CrashProfile};
use crate::compare::server_beside;
use crate::crash::Plan;
use crate::crash::drive::drive;
use crate::crash::findings::findings;
use crate::crash::report::CrashReport;
use crate::crash::server::Launch;
use crate::crash::workload::Spec;
use crate::exit::Exit;
use crate::interrupt::Stop;
use crate::output::{self, Progress};
use crate::report::VerdictReport;
use crate::{verdict, workload};

/// Kills and restarts a server of its own, verifies what it kept, reports it.
pub(super) async fn crash(args: CrashArgs, stop: &Stop) -> Exit {
    if args.profile == Some(CrashProfile::Shop) {
        return super::shop::crash(args, stop).await;
    }
    let Some(program) = server_program(&args) else { return no_server() };
    let plan = match plan(&args) {
        Ok(plan) => plan,
        Err(exit) => return exit,
    };
    let mut home = match Home::make(&args) {
        Ok(home) => home,
        Err(error) => return fail(error),
    };
    let launch = home.launch(program, &args);
    let progress = Progress::viewed_or_new("loadtest crash", stop);
    let mut crash = match drive(&plan, &launch, stop, &progress).await {
        Ok(crash) => crash,
        Err(error) => return fail(error),
    };
    progress.begin("judging what was recorded", None);
    let history = Log::from(&std::mem::take(&mut crash.history));
    let unsaved = save(&history, args.history.as_deref());
    let (history, checked, took) = verdict::check(history).await;
    progress.close();
    let mut exits: Vec<Exit> = unsaved.into_iter().chain([verdict::exit(&checked)]).collect();
    let mut report = CrashReport::new(&plan, &launch, &crash, VerdictReport::new(checked, took));
    for (exit, remark) in findings(&crash) {
        exits.push(exit);
        report.remarks.push(remark);
    }
    if stop.requested() {
        exits.push(Exit::Interrupted);
        report.remarks.push("interrupted; the lives until then were verified".to_owned());
    }
    if args.keep || exits.contains(&Exit::Violation) {
        // Saved beside the data and the logs, unless it was saved elsewhere anyway.
        let file = args.history.is_none().then(|| home.logs.join("history.jsonl.gz"));
        exits.extend(save(&history, file.as_deref()));
        report.kept = Some(home.keep());
    }
    report.exit_code = Exit::worst(exits.iter().copied()).code();
    let out = if args.json { Some(args.out.unwrap_or_default().with_json_shown()) } else { args.out };
    if let Err(error) = output::publish(out.as_ref(), &report.document(), &report) {
        exits.push(fail(error));
    }
    Exit::worst(exits)
}

/// The server to start.
pub(super) fn server_program(args: &CrashArgs) -> Option<PathBuf> {
    args.server_bin.clone().or_else(server_beside)
}

/// There is none.
pub(super) fn no_server() -> Exit {
    fail(
        "there is no `inventory` beside this program; build it with `cargo build --release --workspace`, or give it \
         with --server-bin",
    )
}

fn plan(args: &CrashArgs) -> Result<Plan, Exit> {
    let spec = workload::Spec {
        skus: args.skus,
        keys: args.keys,
        mix: args.mix.clone(),
        opening_stock: args.opening_stock,
        seed: args.seed.unwrap_or_else(workload::fresh_seed),
    };
    let spec = Spec::new(spec, args.come_and_go).map_err(|error| {
        output::remark(&error.to_string());
        Exit::Usage
    })?;
    Ok(Plan {
        spec,
        prefix: format!("lt-{}-", workload::fresh_run_id()),
        cycles: args.cycles,
        clients: args.clients,
        listers: args.listers,
        span: args.life,
        timeout: args.timeout,
        records_max: usize::try_from(args.max_records).unwrap_or(usize::MAX),
        events: args.profile == Some(CrashProfile::Events),
        command: command_line(),
    })
}

/// Where the server's data and logs are. What is temporary is removed in the end, however it comes to it.
pub(super) struct Home {
    data: PathBuf,
    logs: PathBuf,
    temporary: Option<PathBuf>,
}

/// A folder that could not be made.
#[derive(Debug, thiserror::Error)]
#[error("{path} could not be made: {source}; choose another place with --data-dir")]
pub(super) struct HomeError {
    path: String,
    source: std::io::Error,
}

impl Home {
    /// The data directory that was given, with the logs beside it; or else both in a temporary folder.
    pub(super) fn make(args: &CrashArgs) -> Result<Self, HomeError> {
        let temporary = std::env::temp_dir().join(format!("loadtest-crash-{}", workload::fresh_run_id()));
        let home = match &args.data_dir {
            Some(data) => Self { logs: beside(data), data: data.clone(), temporary: None },
            None => Self {
                data: temporary.join("data"),
                logs: temporary.join("logs"),
                temporary: Some(temporary),
            },
        };
        for folder in [&home.data, &home.logs] {
            let failed = |source| HomeError { path: folder.display().to_string(), source };
            std::fs::create_dir_all(folder).map_err(failed)?;
        }
        Ok(home)
    }

    /// How every life of the server is started.
    pub(super) fn launch(&self, program: PathBuf, args: &CrashArgs) -> Launch {
        // The receiver of its webhook is on loopback.
        let is_told = args.profile == Some(CrashProfile::Events);
        let allowed = is_told.then_some(["--webhook-allow", "127.0.0.0/8"]).into_iter().flatten();
        Launch {
            program,
            strategy: args.strategy.clone(),
            data_dir: self.data.clone(),
            logs: self.logs.clone(),
            arguments: allowed.map(str::to_owned).chain(args.server_arguments.iter().cloned()).collect(),
            recovery_max: args.recovery_max,
        }
    }

    /// Leaves everything where it is, and says where that is.
    pub(super) fn keep(&mut self) -> String {
        self.temporary = None;
        format!("{} (data), {} (logs, history)", self.data.display(), self.logs.display())
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        if let Some(folder) = &self.temporary {
            // What cannot be removed stays behind in the folder for temporary files, which is the place for it.
            let _ = std::fs::remove_dir_all(folder);
        }
    }
}

/// The folder for logs beside a data directory: the same name with `-logs` behind it.
fn beside(data: &Path) -> PathBuf {
    let mut name = data.file_name().unwrap_or_default().to_owned();
    name.push("-logs");
    data.with_file_name(name)
}
