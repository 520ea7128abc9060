//! The command line: what may be said, and what each command does with it.
//!
//! Standard output has results only (the address of `serve`, the tables of `strategies`, the document of
//! `openapi`, what `export` and `verify` have to say); everything else goes to standard error.

mod healthcheck;
mod offline;
mod progress;
mod size;
#[cfg(feature = "sqlite")]
mod sqlite;

use std::cmp::Ordering;
use std::ffi::OsString;
use std::io::{self, IsTerminal, Write as _};
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::pin::pin;
use std::process::ExitCode;
use std::time::Duration;

use clap::builder::BoolishValueParser;
use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{ArgAction, Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand, ValueEnum};
use serde_json::json;
use tokio::net::TcpListener;
use tracing_subscriber::EnvFilter;

use crate::app::{App, Ended};
use crate::config::{Config, ConfigError, DATA_DIR_DEFAULT};
use crate::descriptors;
use crate::http::openapi;
use crate::http::server::Drained;
use crate::shutdown;
use crate::store::{Keeping, Storage};
use crate::strategy::{ACTOR_QUEUE_DEFAULT, StrategyKind};
use crate::telemetry::log;

/// Bad usage or configuration.
const EXIT_USAGE: u8 = 2;

/// An HTTP inventory service that never loses an update.
#[derive(Debug, Parser)]
#[command(name = "inventory", version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the inventory over HTTP
    Serve(ServeArgs),
    /// List the strategies: what each shares, what it costs, when to choose it
    Strategies {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Print the OpenAPI document
    Openapi {
        /// As JSON rather than YAML
        #[arg(long)]
        json: bool,
    },
    /// Verify a data directory: the log, and the levels against it. Exit 0 if nothing is wrong, 4 if something is, else 1
    Verify(offline::VerifyArgs),
    /// Export the stock in a data directory
    Export(offline::ExportArgs),
    /// Import stock into a data directory: each level in FILE gets its `on_hand`, all of them or none
    Import(offline::ImportArgs),
    /// Copy a data directory, so that a server can be started on the copy
    Backup(offline::BackupArgs),
    /// Ask a running service whether it is well: exit 0 if URL answers 200, each step within 5 seconds; else 1
    Healthcheck {
        /// Such as <http://127.0.0.1:8080/readyz>
        url: String,
    },
}

/// Its switches are off where they are `=false`, as flags and as variables: so a flag beats a variable either way.
#[derive(Debug, Args)]
struct ServeArgs {
    /// Who said where stock is kept, and whether it is: told by the parser.
    #[arg(skip)]
    said_by: SaidBy,
    /// Address to listen on; port 0 takes a free one. The address is the first line on standard output
    #[arg(long, env = "INVENTORY_LISTEN", value_name = "HOST:PORT", default_value = "127.0.0.1:8080")]
    listen: String,
    /// How stock is shared between threads; `inventory strategies` explains them
    #[arg(long, env = "INVENTORY_STRATEGY", value_name = "NAME", default_value = "atomic")]
    strategy: StrategyKind,
    /// Where stock is kept on disk; made where it is missing. One process at a time
    #[arg(long, env = "INVENTORY_DATA_DIR", value_name = "DIR", default_value = DATA_DIR_DEFAULT)]
    data_dir: PathBuf,
    /// Keep stock in memory only: nothing survives the process, and the ledger has recent movements only
    #[arg(long, env = "INVENTORY_EPHEMERAL", value_parser = BoolishValueParser::new(), num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true", hide_default_value = true, action = ArgAction::Set)]
    ephemeral: bool,
    /// How many idempotency keys are held at most; a new one beyond gets 503 `overloaded`
    #[arg(long, env = "INVENTORY_IDEMPOTENCY_KEYS", value_name = "N", default_value_t = 1_000_000)]
    idempotency_keys: usize,
    /// How long an idempotency key is held
    #[arg(long, env = "INVENTORY_IDEMPOTENCY_RETENTION", value_name = "DURATION", default_value = "24h", value_parser = humantime::parse_duration)]
    idempotency_retention: Duration,
    /// A snapshot is taken when the log has grown by this much; recovery reads what was written since
    #[arg(long, env = "INVENTORY_SNAPSHOT_BYTES", value_name = "SIZE", default_value = "256MiB", value_parser = size::parse)]
    snapshot_bytes: u64,
    /// A snapshot is taken after this long, if anything was written
    #[arg(long, env = "INVENTORY_SNAPSHOT_INTERVAL", value_name = "DURATION", default_value = "15m", value_parser = humantime::parse_duration)]
    snapshot_interval: Duration,
    /// Drop movements older than this; all are kept if left out
    #[arg(long, env = "INVENTORY_RETAIN_AGE", value_name = "DURATION", value_parser = humantime::parse_duration)]
    retain_age: Option<Duration>,
    /// Drop the oldest movements while the log is longer than this; all are kept if left out
    #[arg(long, env = "INVENTORY_RETAIN_BYTES", value_name = "SIZE", value_parser = size::parse)]
    retain_bytes: Option<u64>,
    /// Allow the strategy that loses updates on purpose
    #[arg(long, env = "INVENTORY_ALLOW_RACY", value_parser = BoolishValueParser::new(), num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true", hide_default_value = true, action = ArgAction::Set)]
    allow_racy: bool,
    /// How long a request may wait for others that change the same stock before 503 `contention`
    #[arg(long, env = "INVENTORY_LOCK_TIMEOUT", value_name = "DURATION", default_value = "1s", value_parser = humantime::parse_duration)]
    lock_timeout: Duration,
    /// How many messages may wait in the queue of an owner (strategies actor and partitioned); more wait at its door
    #[arg(long, env = "INVENTORY_ACTOR_QUEUE", value_name = "N", default_value_t = ACTOR_QUEUE_DEFAULT)]
    actor_queue: usize,
    /// How many owners share the levels (strategy partitioned); one per core if left out
    #[arg(long, env = "INVENTORY_PARTITIONS", value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    partitions: Option<u16>,
    /// How long a request may take, its body included
    #[arg(long, env = "INVENTORY_REQUEST_TIMEOUT", value_name = "DURATION", default_value = "30s", value_parser = humantime::parse_duration)]
    request_timeout: Duration,
    /// How long a client may take to send a request's head, and a connection may idle
    #[arg(long, env = "INVENTORY_HEADER_TIMEOUT", value_name = "DURATION", default_value = "60s", value_parser = humantime::parse_duration)]
    header_timeout: Duration,
    /// How long a client may take nothing of an answer before its connection is closed
    #[arg(long, env = "INVENTORY_WRITE_TIMEOUT", value_name = "DURATION", default_value = "30s", value_parser = humantime::parse_duration)]
    write_timeout: Duration,
    /// How many connections at once; further ones wait
    #[arg(long, env = "INVENTORY_MAX_CONNECTIONS", value_name = "N", default_value_t = 10_000)]
    max_connections: usize,
    /// How long requests may go on after SIGTERM
    #[arg(long, env = "INVENTORY_SHUTDOWN_GRACE", value_name = "DURATION", default_value = "10s", value_parser = humantime::parse_duration)]
    shutdown_grace: Duration,
    /// Threads that serve requests; one per core if left out
    #[arg(long, env = "INVENTORY_WORKERS", value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    workers: Option<u16>,
    /// What to log: error, warn, info, debug, trace, or a tracing filter
    #[arg(long, env = "INVENTORY_LOG", value_name = "FILTER", default_value = "info")]
    log: String,
    /// How to log
    #[arg(long, env = "INVENTORY_LOG_FORMAT", value_name = "FORMAT", default_value = "text")]
    log_format: LogFormat,
}

/// Who said something, in ascending order: nobody (the default), the environment, the command line.
#[derive(Debug, Clone, Copy, Default)]
struct SaidBy {
    data_dir: Option<ValueSource>,
    ephemeral: Option<ValueSource>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum LogFormat {
    /// For people
    Text,
    /// For machines, one object a line
    Json,
}

/// Runs the command that the process was started with.
pub fn run() -> ExitCode {
    let command = match parse(std::env::args_os()) {
        Ok(command) => command,
        Err(error) => return usage(&error),
    };
    match command {
        Command::Serve(args) => serve(&args),
        Command::Strategies { json } => print(&strategies(json)),
        Command::Openapi { json: true } => print(&(openapi::Documents::new().json + "\n")),
        Command::Openapi { json: false } => print(&openapi::Documents::new().yaml),
        Command::Verify(args) => offline::verify(&args),
        Command::Export(args) => offline::export(&args),
        Command::Import(args) => offline::import(&args),
        Command::Backup(args) => offline::backup(&args),
        Command::Healthcheck { url } => match healthcheck::check(&url) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail(ExitCode::FAILURE, &error.to_string()),
        },
    }
}

fn parse(args: impl IntoIterator<Item = impl Into<OsString> + Clone>) -> Result<Command, clap::Error> {
    let matches = Cli::command().try_get_matches_from(args)?;
    let mut command = Cli::from_arg_matches(&matches)?.command;
    if let (Command::Serve(args), Some((_, matches))) = (&mut command, matches.subcommand()) {
        let said_by = |name| matches.value_source(name);
        args.said_by = SaidBy { data_dir: said_by("data_dir"), ephemeral: said_by("ephemeral") };
    }
    Ok(command)
}

impl ServeArgs {
    fn config(&self) -> Result<Config, ConfigError> {
        let mut config = Config::new(self.strategy);
        config.storage = self.storage()?;
        config.strategy.lock_timeout = self.lock_timeout;
        config.strategy.actor_queue = self.actor_queue;
        if let Some(partitions) = self.partitions {
            config.strategy.partitions = usize::from(partitions);
        }
        config.http.request_timeout = self.request_timeout;
        config.server.header_timeout = self.header_timeout;
        config.server.write_timeout = self.write_timeout;
        config.server.connections_max = self.max_connections;
        config.server.shutdown_grace = self.shutdown_grace;
        config.check(self.allow_racy)
    }

    /// Of `--data-dir` and `--ephemeral`, what was said on the command line beats what the environment says.
    fn storage(&self) -> Result<Storage, ConfigError> {
        let keeping = Keeping {
            keys_max: self.idempotency_keys,
            keys_retention: self.idempotency_retention,
            snapshot_bytes: self.snapshot_bytes,
            snapshot_interval: self.snapshot_interval,
            retain_age: self.retain_age,
            retain_bytes: self.retain_bytes,
        };
        match self.said_by.ephemeral.cmp(&self.said_by.data_dir) {
            Ordering::Equal if self.ephemeral => Err(ConfigError::EphemeralWithFolder),
            Ordering::Greater if self.ephemeral => Ok(Storage::Memory(keeping)),
            _ => Ok(Storage::Folder { path: self.data_dir.clone(), keeping }),
        }
    }
}

fn serve(args: &ServeArgs) -> ExitCode {
    let bad = |message: &str| fail(ExitCode::from(EXIT_USAGE), message);
    let config = match args.config() {
        Ok(config) => config,
        Err(error) => return bad(&error.to_string()),
    };
    let filter = match EnvFilter::try_new(&args.log) {
        Ok(filter) => filter,
        Err(error) => return bad(&format!("--log {}: {error}", args.log)),
    };
    let addresses: Vec<SocketAddr> = match args.listen.to_socket_addrs() {
        Ok(addresses) => addresses.collect(),
        Err(error) => return bad(&format!("--listen {}: {error}; it must be HOST:PORT", args.listen)),
    };
    if let Err(error) = start_log(filter, args.log_format) {
        return fail(ExitCode::FAILURE, &format!("cannot start the log: {error}"));
    }
    let _flushed = LogFlushed;
    descriptors::raise(config.server.connections_max);
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    if let Some(workers) = args.workers {
        runtime.worker_threads(usize::from(workers));
    }
    match runtime.enable_all().build() {
        Ok(runtime) => runtime.block_on(listen_and_serve(&args.listen, &addresses, config)),
        Err(error) => fail(ExitCode::FAILURE, &format!("cannot start the runtime: {error}")),
    }
}

/// How long the address is held back while the service reads what it has on disk.
const ANNOUNCED_AFTER: Duration = Duration::from_secs(1);

async fn listen_and_serve(listen: &str, addresses: &[SocketAddr], config: Config) -> ExitCode {
    let bound = async {
        let listener = TcpListener::bind(addresses).await?;
        Ok::<_, io::Error>((listener.local_addr()?, listener, shutdown::on_signal()?))
    };
    let (address, listener, shutdown) = match bound.await {
        Ok(bound) => bound,
        Err(error) => {
            return fail(ExitCode::from(EXIT_USAGE), &format!("cannot listen on {listen}: {error}"));
        }
    };
    let durability = match &config.storage {
        Storage::Memory(_) => "in memory only".to_owned(),
        Storage::Folder { path, .. } => path.display().to_string(),
    };
    let strategy = config.kind;
    let app = match App::build(config) {
        Ok(app) => app,
        // To be pointed at something else altogether is a mistake in the configuration.
        Err(error) if error.is_misdirected() => return fail(ExitCode::from(EXIT_USAGE), &error.to_string()),
        Err(error) => return fail(ExitCode::FAILURE, &error.to_string()),
    };
    // Only now: who finds the data directory in use serves nothing.
    tracing::info!(%address, %strategy, version = env!("CARGO_PKG_VERSION"), stock = durability, "serving");
    let opened = app.opened();
    let mut unread = false;
    let stop = async {
        let mut shutdown = pin!(shutdown);
        let announce = async {
            // Who reads the line finds the service ready, unless there is much to recover: then it finds out by asking.
            let _late = tokio::time::timeout(ANNOUNCED_AFTER, opened).await;
            print(&format!("http://{address}\n"))
        };
        tokio::select! {
            () = &mut shutdown => return,
            printed = announce => unread = printed != ExitCode::SUCCESS,
        }
        if !unread {
            shutdown.await;
        }
    };
    let ended = Box::pin(app.serve(listener, stop)).await;
    if unread {
        return ExitCode::FAILURE;
    }
    match ended {
        Ended::Shutdown(Drained::Clean) => {
            tracing::info!("every accepted request was answered; bye");
            ExitCode::SUCCESS
        }
        Ended::Shutdown(Drained::CutOff) => {
            tracing::warn!("the shutdown grace ran out; some requests were cut off");
            ExitCode::FAILURE
        }
        Ended::NotOpened(error) => fail(ExitCode::FAILURE, &error.to_string()),
        Ended::Failed(reason) => fail(ExitCode::FAILURE, &format!("the journal has failed: {reason}")),
    }
}

/// Whatever becomes of standard error, who logs goes on; and so does who panics, whose message is a line of the log.
fn start_log(filter: EnvFilter, format: LogFormat) -> io::Result<()> {
    let writer = log::to_stderr()?;
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(move || writer.clone());
    match format {
        LogFormat::Text => subscriber.with_ansi(io::stderr().is_terminal()).init(),
        LogFormat::Json => subscriber.json().init(),
    }
    std::panic::set_hook(Box::new(|panic| {
        let backtrace = std::backtrace::Backtrace::capture();
        tracing::error!(%panic, %backtrace, "a thread panicked");
    }));
    Ok(())
}

/// What was logged is written before the process ends.
struct LogFlushed;

impl Drop for LogFlushed {
    fn drop(&mut self) {
        log::flush();
    }
}

/// One strategy a line, its name first; or a list of objects.
fn strategies(as_json: bool) -> String {
    let all = StrategyKind::ALL.map(StrategyKind::description);
    if as_json {
        let objects = all.map(|strategy| {
            json!({
                "name": strategy.name,
                "shares": strategy.shares,
                "cost": strategy.cost,
                "choose_when": strategy.choose_when,
                "correct": strategy.correct,
            })
        });
        return format!("{:#}\n", json!(objects));
    }
    let width = all.iter().map(|strategy| strategy.name.len()).max().unwrap_or_default();
    let line = |s: &crate::strategy::catalog::Description| {
        format!("{:width$}  {}. Cost: {}. Choose it: {}.\n", s.name, s.shares, s.cost, s.choose_when)
    };
    all.iter().map(line).collect()
}

/// Help and version go to standard output; anything wrong is one line and exit code 2.
fn usage(error: &clap::Error) -> ExitCode {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => print(&error.render().to_string()),
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            fail(ExitCode::from(EXIT_USAGE), &format!("which command?\n\n{}", error.render()))
        }
        _ => {
            let text = error.render().to_string();
            // clap says what is wrong, then possible values or a tip, then the usage: the first two on one line.
            let lines = text.lines().map(str::trim).take_while(|line| !line.starts_with("Usage:"));
            let told: Vec<&str> =
                lines.filter(|line| !line.is_empty() && !line.starts_with("For more")).collect();
            fail(ExitCode::from(EXIT_USAGE), told.join("; ").trim_start_matches("error: "))
        }
    }
}

/// Reports a failure, after whatever was logged.
fn fail(code: ExitCode, message: &str) -> ExitCode {
    log::write_line(&format!("error: {message}"));
    code
}

/// Prints a result. A reader that has gone away (`| head`) is not a failure to shout about, but it is one.
fn print(text: &str) -> ExitCode {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(args: &[&str]) -> Result<Config, String> {
        let args = ["inventory", "serve"].iter().chain(args);
        match parse(args).map_err(|error| error.to_string())? {
            Command::Serve(args) => args.config().map_err(|error| error.to_string()),
            other => Err(format!("{other:?}")),
        }
    }

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_defaults_of_the_flags_are_those_of_the_configuration() {
        let (parsed, default) = (config(&[]).unwrap(), Config::new(StrategyKind::Atomic));
        assert_eq!(format!("{parsed:?}"), format!("{default:?}"));
    }

    #[test]
    fn every_flag_is_an_environment_variable_too() {
        for argument in Cli::command().find_subcommand("serve").unwrap().get_arguments() {
            let Some(long) = argument.get_long().filter(|long| *long != "help") else { continue };
            let expected = format!("INVENTORY_{}", long.replace('-', "_").to_uppercase());
            assert_eq!(argument.get_env().and_then(|env| env.to_str()), Some(expected.as_str()));
        }
    }

    #[test]
    fn the_negative_control_must_be_allowed() {
        let refused = config(&["--strategy", "racy"]).unwrap_err();
        assert!(refused.contains("--allow-racy"), "{refused}");
        let durable = config(&["--strategy", "racy", "--allow-racy"]).unwrap_err();
        assert!(durable.contains("--ephemeral"), "{durable}");
        let allowed = config(&["--strategy", "racy", "--allow-racy", "--ephemeral"]).unwrap();
        assert_eq!(allowed.kind, StrategyKind::Racy);
    }

    #[test]
    fn bounds_of_zero_are_refused_by_name() {
        for flag in
            ["--lock-timeout", "--request-timeout", "--header-timeout", "--write-timeout", "--shutdown-grace"]
        {
            assert_eq!(config(&[flag, "0s"]).unwrap_err(), format!("{flag} must be more than 0"));
            assert_eq!(config(&[flag, "9000years"]).unwrap_err(), format!("{flag} must be at most 24h"));
        }
        for flag in ["--idempotency-retention", "--snapshot-interval", "--retain-age"] {
            assert_eq!(config(&[flag, "0s"]).unwrap_err(), format!("{flag} must be more than 0"));
            assert_eq!(
                config(&[flag, "9000years"]).unwrap_err(),
                format!("{flag} must be at most 100 years")
            );
            assert!(config(&[flag, "90years"]).is_ok());
        }
        for (flag, max) in [
            ("--max-connections", "1000000"),
            ("--actor-queue", "1000000"),
            ("--idempotency-keys", "1000000000"),
        ] {
            assert_eq!(config(&[flag, "0"]).unwrap_err(), format!("{flag} must be more than 0"));
            let above = format!("{max}1");
            assert_eq!(config(&[flag, &above]).unwrap_err(), format!("{flag} must be at most {max}"));
        }
    }

    /// Whatever counts or measures is in one of the lists above, or has a parser that refuses 0: a new flag is thought of as well.
    #[test]
    fn no_numeric_flag_takes_zero() {
        for argument in Cli::command().find_subcommand("serve").unwrap().get_arguments() {
            let is_numeric = argument.get_value_names().is_some_and(|names| {
                names.iter().any(|name| ["N", "DURATION", "SIZE"].contains(&name.as_str()))
            });
            let Some(long) = argument.get_long().filter(|_| is_numeric) else { continue };
            let flag = format!("--{long}");
            let refused = ["0", "0s"].map(|zero| config(&[&flag, zero]).expect_err(&flag));
            assert!(refused.iter().all(|line| line.contains(&flag)), "{refused:?}");
        }
    }

    #[test]
    fn a_switch_is_off_where_it_says_so() {
        let is_ephemeral =
            |args: &[&str]| config(args).map(|config| matches!(config.storage, Storage::Memory(_)));
        assert_eq!(is_ephemeral(&[]), Ok(false));
        assert_eq!(is_ephemeral(&["--ephemeral"]), Ok(true));
        assert_eq!(is_ephemeral(&["--ephemeral=true"]), Ok(true));
        assert_eq!(is_ephemeral(&["--ephemeral=false"]), Ok(false));
        assert_eq!(is_ephemeral(&["--ephemeral=false", "--data-dir", "d"]), Ok(false));
        assert!(is_ephemeral(&["--ephemeral", "--data-dir", "d"]).unwrap_err().contains("--data-dir"));
        assert!(config(&["--strategy", "racy", "--ephemeral", "--allow-racy=false"]).is_err());
    }

    #[test]
    fn owners_and_their_queues_are_as_asked_for() {
        let asked =
            config(&["--strategy", "partitioned", "--partitions", "3", "--actor-queue", "7"]).unwrap();
        assert_eq!((asked.strategy.partitions, asked.strategy.actor_queue), (3, 7));
    }
}
