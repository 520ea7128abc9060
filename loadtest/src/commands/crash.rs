//! `loadtest crash`

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use history::Log;

use super::{command_line, fail, misused, save};
use crate::cli::crash::{CrashArgs, CrashProfile};
use crate::cluster::{Cluster, ClusterError};
use crate::compare::server_beside;
use crate::crash::Plan;
use crate::crash::drive::drive;
use crate::crash::findings::findings;
use crate::crash::outcome::{Crash, CrashError};
use crate::crash::report::CrashReport;
use crate::crash::server::{Launch, Place};
use crate::crash::siege::besiege;
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
    let progress = Progress::viewed_or_new("loadtest crash", stop);
    let (launch, mut crash) = match driven(&plan, program, &args, &mut home, stop, &progress).await {
        Ok(driven) => driven,
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

/// Drives it, over what it is to be over.
async fn driven(
    plan: &Plan,
    program: PathBuf,
    args: &CrashArgs,
    home: &mut Home,
    stop: &Stop,
    progress: &Progress,
) -> Result<(Launch, Crash), CrashError> {
    progress.begin("making a place for the stock", None);
    let mut cluster = home.cluster(args).await?;
    let launch = home.launch(program, args, cluster.as_ref());
    let crash = if plan.replicas.is_some() {
        besiege(plan, &launch, cluster.as_mut(), stop, progress).await
    } else {
        drive(plan, &launch, stop, progress).await
    };
    if let Some(mut cluster) = cluster {
        cluster.end().await;
    }
    if let Err(CrashError::Cluster(error)) = &crash
        && error.has_a_log()
    {
        home.keep();
    }
    Ok((launch, crash?))
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
    let replicas = args.replicas().map_err(misused)?;
    Ok(Plan {
        spec,
        prefix: format!("lt-{}-", workload::fresh_run_id()),
        cycles: args.cycles(),
        clients: args.clients,
        listers: args.listers,
        span: args.life(),
        timeout: args.timeout,
        records_max: usize::try_from(args.max_records).unwrap_or(usize::MAX),
        replicas,
        fault: args.fault,
        events: args.profile == Some(CrashProfile::Events),
        command: shown_command_line(args),
    })
}

/// The command line, without the password of a database.
pub(super) fn shown_command_line(args: &CrashArgs) -> String {
    let line = command_line();
    args.store.as_ref().map_or_else(|| line.clone(), |store| store.masked_in(&line))
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
        let is_elsewhere = args.store.is_some() || args.fault.is_some();
        for folder in [(!is_elsewhere).then_some(&home.data), Some(&home.logs)].into_iter().flatten() {
            let failed = |source| HomeError { path: folder.display().to_string(), source };
            std::fs::create_dir_all(folder).map_err(failed)?;
        }
        Ok(home)
    }

    /// A database of our own in place of a data directory, if it is to be killed.
    pub(super) async fn cluster(&mut self, args: &CrashArgs) -> Result<Option<Cluster>, ClusterError> {
        let Some(fault) = args.fault else { return Ok(None) };
        if let Some(folder) = &self.temporary {
            // Whoever runs PostgreSQL has to pass through.
            let _ = std::fs::set_permissions(folder, Permissions::from_mode(0o755));
        }
        Cluster::start(fault, &self.data).await.map(Some)
    }

    /// How every life of the server is started.
    pub(super) fn launch(&self, program: PathBuf, args: &CrashArgs, cluster: Option<&Cluster>) -> Launch {
        // The receiver of its webhook is on loopback.
        let is_told = args.profile == Some(CrashProfile::Events);
        let allowed = is_told.then_some(["--webhook-allow", "127.0.0.0/8"]).into_iter().flatten();
        // Over one partition the numbers of the ledger are the order of all that was done, and a shop is judged by more.
        let is_shop =
            args.profile == Some(CrashProfile::Shop) && (args.store.is_some() || args.fault.is_some());
        let is_said = args.server_arguments.iter().any(|argument| argument.starts_with("--partitions"));
        let partitions = (is_shop && !is_said).then_some(["--partitions", "1"]).into_iter().flatten();
        let place = match (cluster, &args.store) {
            (Some(cluster), _) => Place::Database {
                url: cluster.url(),
                password_file: Some(cluster.password_file().to_owned()),
            },
            (None, Some(url)) => {
                Place::Database { url: url.clone(), password_file: args.store_password_file.clone() }
            }
            (None, None) => Place::Folder(self.data.clone()),
        };
        Launch {
            program,
            strategy: args.strategy.clone(),
            place,
            logs: self.logs.clone(),
            arguments: allowed
                .chain(partitions)
                .map(str::to_owned)
                .chain(args.server_arguments.iter().cloned())
                .collect(),
            recovery_max: args.recovery_max,
        }
    }

    /// Leaves everything where it is, and says where that is.
    pub(super) fn keep(&mut self) -> String {
        self.temporary = None;
        let logs = format!("{} (logs, history)", self.logs.display());
        // There is none where the stock is in somebody's database.
        if self.data.exists() { format!("{} (data), {logs}", self.data.display()) } else { logs }
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
