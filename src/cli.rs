//! The command line: what may be said, and what each command does with it.
//!
//! Standard output has results only (the address of `serve`, the tables of `strategies`, the document of
//! `openapi`, what `export`, `verify`, `migrate` and `schema` have to say); everything else goes to standard error.

mod collector;
mod healthcheck;
mod jwt;
mod key;
mod logging;
mod migrate;
mod offline;
mod place;
mod progress;
mod reload;
mod schema;
mod serve;
mod settings;
mod size;
#[cfg(feature = "sqlite")]
mod sqlite;
mod store;
mod supervisor;

use std::ffi::OsString;
use std::future::Future;
use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use serde_json::json;
use tracing_subscriber::EnvFilter;

use self::logging::LogFormat;
use crate::http::openapi;
use crate::strategy::StrategyKind;

/// Bad usage or configuration.
const EXIT_USAGE: u8 = 2;

/// What scripts may rely on.
const EXIT_CODES: &str = "Exit codes:
  0  it did what it was told
  1  it could not, or not all of it: the last line on standard error says why
  2  bad usage, or a configuration that is refused: nothing was begun
  4  `verify` has found something wrong";

/// An HTTP inventory service that never loses an update.
#[derive(Debug, Parser)]
#[command(name = "inventory", version, arg_required_else_help = true, after_help = EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the inventory over HTTP
    Serve(Box<serve::ServeArgs>),
    /// Print what `serve` would be started with, by flags, variables and defaults: a flag a line, and who said it. Exit 2 if it is refused
    Config(Box<serve::ServeArgs>),
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
    /// Verify a data directory, or a database: what was recorded, and the levels against it. Exit 0 if nothing is wrong, 4 if something is, else 1
    Verify(offline::VerifyArgs),
    /// Export the stock in a data directory, or a database
    Export(offline::ExportArgs),
    /// Import stock into a data directory, or a database: each level in FILE gets its `on_hand`, all of them or none
    Import(offline::ImportArgs),
    /// Copy a data directory, so that a server can be started on the copy
    Backup(offline::BackupArgs),
    /// Move all of the stock to a store in PostgreSQL, from one to a data directory, or from one to another: levels, their versions and history, reservations, orders, idempotency keys
    Migrate(migrate::MigrateArgs),
    /// Print the tables of a store in PostgreSQL as SQL, or make them
    Schema(schema::SchemaArgs),
    /// Make keys by which clients are known
    Key(key::KeyArgs),
    /// Ask a running service whether it is well: exit 0 if URL answers 200, each step within 5 seconds; else 1
    Healthcheck(healthcheck::HealthcheckArgs),
}

/// Runs the command that the process was started with.
pub fn run() -> ExitCode {
    let args: Vec<OsString> = std::env::args_os().collect();
    if args.get(1).is_some_and(|command| command == "serve") {
        logging::choose(LogFormat::asked_for(&args));
    }
    let command = match parse(args) {
        Ok(command) => command,
        Err(error) => return usage(&error),
    };
    match command {
        Command::Serve(args) => serve::serve(&args),
        Command::Config(args) => configuration(&args),
        Command::Strategies { json } => print(&strategies(json)),
        Command::Openapi { json: true } => print(&(openapi::Documents::new().json + "\n")),
        Command::Openapi { json: false } => print(&openapi::Documents::new().yaml),
        Command::Verify(args) => offline::verify(&args),
        Command::Export(args) => offline::export(&args),
        Command::Import(args) => offline::import(&args),
        Command::Backup(args) => offline::backup(&args),
        Command::Migrate(args) => migrate::migrate(&args),
        Command::Schema(args) => schema::schema(&args),
        Command::Key(args) => key::key(args),
        Command::Healthcheck(args) => match healthcheck::check(&args) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail(ExitCode::FAILURE, &error.to_string()),
        },
    }
}

fn parse(args: impl IntoIterator<Item = impl Into<OsString> + Clone>) -> Result<Command, clap::Error> {
    let matches = Cli::command().try_get_matches_from(args)?;
    let mut command = Cli::from_arg_matches(&matches)?.command;
    if let (Command::Serve(args) | Command::Config(args), Some((name, matches))) =
        (&mut command, matches.subcommand())
    {
        let cli = Cli::command();
        args.note_sources(cli.find_subcommand(name).expect("it was parsed"), matches);
    }
    let place = match &mut command {
        Command::Verify(args) => Some(&mut args.place),
        Command::Export(args) => Some(&mut args.place),
        Command::Import(args) => Some(&mut args.place),
        _ => None,
    };
    if let (Some(place), Some((_, matches))) = (place, matches.subcommand()) {
        place.note_sources(matches);
    }
    Ok(command)
}

/// What a server would be started with, as text; what is said and not known comes last.
fn configuration(args: &serve::ServeArgs) -> ExitCode {
    let asked = args.config().map_err(|error| error.to_string());
    if let Err(error) =
        asked.and_then(|mut config| collector::ask(&mut config, |name| std::env::var_os(name)))
    {
        return fail(ExitCode::from(EXIT_USAGE), &error);
    }
    let unknown = unknown_variables().into_iter().map(|unknown| format!("# {unknown}\n"));
    print(&settings::as_lines(args.settings()).into_iter().chain(unknown).collect::<String>())
}

/// Variables of the environment that were perhaps meant for this program.
fn unknown_variables() -> Vec<settings::Unknown> {
    let names = std::env::vars_os().map(|(name, _)| name.to_string_lossy().into_owned());
    settings::unknown_variables(&Cli::command(), names)
}

/// One strategy a line, its name first; or a list of objects.
fn strategies(as_json: bool) -> String {
    let all: Vec<_> = StrategyKind::known().map(StrategyKind::description).collect();
    if as_json {
        let objects = all.iter().map(|strategy| {
            json!({
                "name": strategy.name,
                "shares": strategy.shares,
                "cost": strategy.cost,
                "choose_when": strategy.choose_when,
                "correct": strategy.correct,
            })
        });
        return format!("{:#}\n", json!(objects.collect::<Vec<_>>()));
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
    logging::last_words(message);
    code
}

/// Carries out what a command does that serves nobody, to its end; what is worth a warning is logged meanwhile. Where it cannot even begin, why has
/// been said.
fn carried_out<T>(work: impl Future<Output = T>) -> Result<T, ExitCode> {
    if let Err(error) = logging::start(EnvFilter::new("warn"), LogFormat::Text) {
        return Err(fail(ExitCode::FAILURE, &format!("cannot start the log: {error}")));
    }
    let _flushed = logging::Flushed;
    match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => Ok(runtime.block_on(work)),
        Err(error) => Err(fail(ExitCode::FAILURE, &format!("cannot start the runtime: {error}"))),
    }
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
    use crate::config::Config;
    use crate::store::Storage;

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
    fn a_store_is_used_where_nobody_says_otherwise() {
        let is_in_database =
            |args: &[&str]| config(args).map(|config| matches!(config.storage, Storage::Postgres { .. }));
        let store = ["--store", "postgres://shop@db/stock"];
        assert_eq!(is_in_database(&store), Ok(true));
        assert_eq!(is_in_database(&[&store[..], &["--ephemeral=false"]].concat()), Ok(true));
        for other in [&["--data-dir", "d"][..], &["--ephemeral"]] {
            let said = is_in_database(&[&store[..], other].concat()).unwrap_err();
            assert!(said.starts_with("--store keeps stock in a database"), "{said}");
        }
        assert!(is_in_database(&["--store-ca", "ca.pem"]).is_err(), "of no store");
    }

    #[test]
    fn owners_and_their_queues_are_as_asked_for() {
        let asked =
            config(&["--strategy", "partitioned", "--partitions", "3", "--actor-queue", "7"]).unwrap();
        assert_eq!((asked.strategy.partitions, asked.strategy.actor_queue), (3, 7));
    }
}
