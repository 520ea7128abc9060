//! `schema`: the tables of a store, as SQL; or made, without a replica.

use std::process::ExitCode;

use clap::Args;
use tracing_subscriber::EnvFilter;

use super::logging::{self, LogFormat};
use super::migrate::StoreAccess;
use super::{EXIT_USAGE, fail, print};
use crate::app;

#[derive(Debug, Args)]
pub(super) struct SchemaArgs {
    /// Print, after the tables, how Citus is to spread them. Untested there
    #[arg(long, conflicts_with = "apply")]
    citus: bool,
    /// Make the tables in --store, or bring them up to date, rather than print them: what a replica does that comes first
    #[arg(long, requires = "url")]
    apply: bool,
    /// The store whose tables are made: <postgres://USER@HOST/DATABASE>
    #[arg(id = "url", long = "store", env = "INVENTORY_STORE", value_name = "URL")]
    url: Option<String>,
    #[command(flatten)]
    access: StoreAccess,
}

pub(super) fn schema(args: &SchemaArgs) -> ExitCode {
    let Some(url) = args.url.as_ref().filter(|_| args.apply) else {
        return print(&app::tables(args.access.partitions, args.citus));
    };
    if let Err(error) = logging::start(EnvFilter::new("warn"), LogFormat::Text) {
        return fail(ExitCode::FAILURE, &format!("cannot start the log: {error}"));
    }
    let _flushed = logging::Flushed;
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(ExitCode::FAILURE, &format!("cannot start the runtime: {error}")),
    };
    let database = args.access.database(url);
    match runtime.block_on(app::make_tables(&database)) {
        Ok((partitions, version)) => {
            print(&format!("{}: tables of version {version}, {partitions} partitions\n", database.url))
        }
        Err(error) if error.is_misdirected() => fail(ExitCode::from(EXIT_USAGE), &error.to_string()),
        Err(error) => fail(ExitCode::FAILURE, &error.to_string()),
    }
}
