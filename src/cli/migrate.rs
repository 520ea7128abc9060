//! `migrate`: all of the stock, from a data directory to a database, back, or from one database to another.
//!
//! Nobody may serve either. Progress goes to standard error, what was moved to standard output.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use clap::builder::BoolishValueParser;

use super::progress::Counted;
use super::{EXIT_USAGE, carried_out, fail, print};
use crate::app::{self, MigrateError, Place};
use crate::store::Database;
use crate::store::config::without_passwords;
use crate::store::moving::Moved;

#[derive(Debug, Args)]
pub(super) struct MigrateArgs {
    /// Where the stock is: a data directory, or the address of a store, <postgres://USER@HOST/DATABASE>. It stays as it is; do not serve it again
    #[arg(value_name = "FROM")]
    from: String,
    /// Where it is to go: a folder that is empty or not there, or the address of a store in which nothing is
    #[arg(value_name = "TO")]
    to: String,
    #[command(flatten)]
    access: StoreAccess,
    /// How long the service keeps idempotency keys: what its own flag of that name says
    #[arg(long, env = "INVENTORY_IDEMPOTENCY_RETENTION", value_name = "DURATION", default_value = "24h", value_parser = humantime::parse_duration)]
    idempotency_retention: Duration,
}

/// How a store is reached, and made where it is missing.
#[derive(Debug, Args)]
pub(super) struct StoreAccess {
    /// A file with the password of the store, rather than in its address
    #[arg(long = "store-password-file", env = "INVENTORY_STORE_PASSWORD_FILE", value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// A PEM file of who signs the certificate of the store: then what is sent is encrypted
    #[arg(long = "store-ca", env = "INVENTORY_STORE_CA", value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Use the store although a crash of it takes back what was acknowledged: its `synchronous_commit` is off
    #[arg(long = "store-allow-async-commit", env = "INVENTORY_STORE_ALLOW_ASYNC_COMMIT", value_parser = BoolishValueParser::new(), num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true", hide_default_value = true)]
    allow_async_commit: bool,
    /// In how many partitions the stock of a store is that is made; 16 if left out
    #[arg(long, env = "INVENTORY_PARTITIONS", value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(super) partitions: Option<u16>,
}

impl StoreAccess {
    /// The store at that address.
    pub(super) fn database(&self, url: &str) -> Database {
        Database {
            password_file: self.password_file.clone(),
            ca_file: self.ca.clone(),
            partitions: self.partitions,
            allows_async_commit: self.allow_async_commit,
            ..Database::at(url)
        }
    }

    /// A store where it is an address of one, and else a folder.
    fn place(&self, said: &str) -> Place {
        if is_store(said) { Place::Store(self.database(said)) } else { Place::Folder(PathBuf::from(said)) }
    }
}

fn is_store(said: &str) -> bool {
    said.starts_with("postgres://") || said.starts_with("postgresql://")
}

pub(super) fn migrate(args: &MigrateArgs) -> ExitCode {
    if args.idempotency_retention.is_zero() {
        return fail(ExitCode::from(EXIT_USAGE), "--idempotency-retention must be more than 0");
    }
    let (mut from, to) = (args.access.place(&args.from), args.access.place(&args.to));
    if let (Place::Folder(_), Place::Folder(_)) = (&from, &to) {
        let what = "one of the two is a store, postgres://...: `backup` copies a data directory";
        return fail(ExitCode::from(EXIT_USAGE), what);
    }
    if let Place::Store(database) = &mut from {
        // It has as many partitions as it was made with, and nothing in it is to be acknowledged: these flags are about the other.
        (database.partitions, database.allows_async_commit) = (None, true);
    }
    let progress = Counted::new();
    let told = progress.clone();
    let counted = move |moved: &Moved| {
        told.at(&format!("{} movements, {} levels, {} keys", moved.movements, moved.levels, moved.keys));
    };
    // What is passed over in a data directory is said.
    let migrated = carried_out(app::migrate(from, to, args.idempotency_retention, counted));
    progress.end();
    match migrated {
        Ok(Ok(moved)) => print(&in_words(&args.to, &moved)),
        Ok(Err(error)) => fail(exit_code(&error), &error.to_string()),
        Err(code) => code,
    }
}

fn exit_code(error: &MigrateError) -> ExitCode {
    if error.is_misdirected() { ExitCode::from(EXIT_USAGE) } else { ExitCode::FAILURE }
}

fn in_words(to: &str, moved: &Moved) -> String {
    let Moved { levels, deleted, movements, reservations, pending, orders, open, keys, documents } = moved;
    format!(
        "{}: {levels} levels (and {deleted} deleted), {movements} movements, {reservations} reservations ({pending} pending), \
         {orders} orders ({open} open), {keys} idempotency keys, {documents} documents\n",
        without_passwords(to)
    )
}
