//! The flags of a store in a database: where it is, and how it is used. The same for `serve` and for the commands that work beside it.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::BoolishValueParser;
use clap::{ArgAction, Args};

use crate::store::Database;

#[derive(Debug, Args)]
pub(super) struct StoreArgs {
    /// Keep stock in a PostgreSQL database, which any number of replicas share: <postgres://USER@HOST/DATABASE>, as libpq writes it. `serve` makes
    /// its tables where they are missing
    #[arg(id = "store", long = "store", env = "INVENTORY_STORE", value_name = "URL")]
    url: Option<String>,
    /// A file with the password of that database, rather than in its address
    #[arg(
        id = "store_password_file",
        long = "store-password-file",
        env = "INVENTORY_STORE_PASSWORD_FILE",
        value_name = "FILE",
        requires = "store"
    )]
    password_file: Option<PathBuf>,
    /// A PEM file of who signs the certificate of that database: then what is sent is encrypted. With sslmode=require and without this, whom the
    /// system trusts
    #[arg(
        id = "store_ca",
        long = "store-ca",
        env = "INVENTORY_STORE_CA",
        value_name = "FILE",
        requires = "store"
    )]
    ca: Option<PathBuf>,
    /// How many connections to that database at most; a quarter of them only look
    #[arg(id = "store_connections", long = "store-connections", env = "INVENTORY_STORE_CONNECTIONS", value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    connections: u16,
    /// How many commands of one partition of that database are carried out together at most
    #[arg(id = "store_batch", long = "store-batch", env = "INVENTORY_STORE_BATCH", value_name = "N", default_value_t = 128, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    batch: u16,
    /// Use that database although a crash of it takes back what was acknowledged: its `synchronous_commit` is off
    #[arg(id = "store_allow_async_commit", long = "store-allow-async-commit", env = "INVENTORY_STORE_ALLOW_ASYNC_COMMIT", value_parser = BoolishValueParser::new(), num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true", hide_default_value = true, action = ArgAction::Set)]
    allow_async_commit: bool,
}

impl StoreArgs {
    /// The database, if stock is to be in one.
    pub(super) fn database(&self, partitions: Option<u16>, lock_timeout: Duration) -> Option<Database> {
        let url = self.url.as_ref()?;
        Some(Database {
            password_file: self.password_file.clone(),
            ca_file: self.ca.clone(),
            partitions,
            connections: usize::from(self.connections),
            batch_max: usize::from(self.batch),
            lock_timeout,
            allows_async_commit: self.allow_async_commit,
            ..Database::at(url)
        })
    }
}
