//! `schema`: the tables of a store, as SQL; or made, without a replica.

use std::process::ExitCode;

use clap::Args;

use super::migrate::StoreAccess;
use super::{EXIT_USAGE, carried_out, fail, print};
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
    let database = args.access.database(url);
    match carried_out(app::make_tables(&database)) {
        Ok(Ok((partitions, version))) => {
            print(&format!("{}: tables of version {version}, {partitions} partitions\n", database.url))
        }
        Ok(Err(error)) if error.is_misdirected() => fail(ExitCode::from(EXIT_USAGE), &error.to_string()),
        Ok(Err(error)) => fail(ExitCode::FAILURE, &error.to_string()),
        Err(code) => code,
    }
}
