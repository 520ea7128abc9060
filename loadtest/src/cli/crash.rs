//! The command line of `crash`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueHint};

use super::duration;
use crate::cluster::Fault;
use crate::crash::fate::Span;
use crate::crash::store::StoreUrl;
use crate::crash::workload::{MIX, SKUS_MIN};
use crate::output::{Out, file};
use crate::workload::{Keys, Mix};

/// What the clients of a crash test do, by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum CrashProfile {
    /// A shop: reservations, orders and returns.
    Shop,
    /// As without a profile, while somebody watches the event stream and somebody is told by a webhook, over all lives.
    Events,
}

/// Arguments of `crash`.
#[derive(Debug, Args)]
pub struct CrashArgs {
    /// How many lives of the server are ended, by `kill -9` or now and then by SIGTERM; with `--store` how often replicas are ended, with `--fault` how often the database is killed. 20 if not given, with `--fault` 5.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    cycles: Option<u32>,
    /// Replicas over this PostgreSQL database, <postgres://USER@HOST/DATABASE>, in place of one server with a data directory: one or several of them are ended in each cycle and started again, while clients go on with the others. What a run writes there begins with a prefix of its own, and stays.
    #[arg(long, value_name = "URL", conflicts_with_all = ["data_dir", "strategy", "fault"])]
    pub store: Option<StoreUrl>,
    /// A file with the password of that database, if it is not in the address.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, requires = "store")]
    pub store_password_file: Option<PathBuf>,
    /// How many replicas; 3 if not given. With `--store` or `--fault`.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100))]
    replicas: Option<u32>,
    /// Kill the database in place of the replicas: one of our own, made with PostgreSQL's programs in a temporary folder and removed with it. Tells how long it is until a change is acknowledged again.
    #[arg(long, value_name = "FAULT", conflicts_with_all = ["data_dir", "strategy"])]
    pub fault: Option<Fault>,
    /// What the clients do, but change and read levels: `shop`, where they reserve, commit, order, wait, cancel and give back; `events`, the same as without, while somebody watches the event stream and somebody is told by a webhook.
    #[arg(long, value_name = "NAME", conflicts_with_all = ["come_and_go", "listers", "mix", "skus", "keys", "history"])]
    pub profile: Option<CrashProfile>,
    /// Clients that change and read what is fought over, each with one request in flight.
    #[arg(long, default_value_t = 16, value_name = "N", value_parser = clap::value_parser!(u32).range(2..=1_000))]
    pub clients: u32,
    /// Levels that come and go, each with a client of its own that does nothing but create and delete it.
    #[arg(long, default_value_t = 4, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=1_000))]
    pub come_and_go: u32,
    /// Clients that list and export as fast as they can, to see what a kill takes back.
    #[arg(long, default_value_t = 2, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=1_000))]
    pub listers: u32,
    /// The server to start; `inventory` beside this program if not given.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::ExecutablePath)]
    pub server_bin: Option<PathBuf>,
    /// The strategy of the server; its own default if not given.
    #[arg(long, value_name = "NAME")]
    pub strategy: Option<String>,
    /// Where the server keeps its data; it is left there. A temporary folder if not given, which is removed unless a
    /// violation was found.
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub data_dir: Option<PathBuf>,
    /// Leave the temporary folder with data, logs and history.
    #[arg(long)]
    pub keep: bool,
    /// The seed of everything drawn; a fresh one is drawn and shown if none is given.
    #[arg(long, value_name = "SEED")]
    pub seed: Option<u64>,
    /// How long each life is driven, from being ready to its end. 50ms..400ms if not given, with `--fault` 1s..3s.
    #[arg(long, value_name = "MIN..MAX")]
    life: Option<Span>,
    /// How operations are drawn: weights of adjust, read, batch, independent, transfer.
    #[arg(long, default_value = MIX, value_name = "MIX")]
    pub mix: Mix,
    /// Skus of the run, each with a level at two locations; one in four is only ever changed in both at once.
    #[arg(long, default_value_t = 24, value_name = "N", value_parser = clap::value_parser!(u32).range(i64::from(SKUS_MIN)..=10_000))]
    pub skus: u32,
    /// How skus are drawn: uniform, zipf:S, or single.
    #[arg(long, default_value = "zipf:1", value_name = "KEYS")]
    pub keys: Keys,
    /// Units that levels open with.
    #[arg(long, default_value_t = 50, value_name = "UNITS", value_parser = clap::value_parser!(u64).range(0..=1_000_000_000))]
    pub opening_stock: u64,
    /// The longest wait for one answer; after it the write is sent again under its key.
    #[arg(long, default_value = "10s", value_name = "TIME", value_parser = duration)]
    pub timeout: Duration,
    /// The longest the server may take from its start to being ready.
    #[arg(long, default_value = "30s", value_name = "TIME", value_parser = duration)]
    pub recovery_max: Duration,
    /// The most operations recorded; each takes some 300 bytes. No more is asked when they are used up.
    #[arg(long, default_value_t = 2_000_000, value_name = "N", value_parser = clap::value_parser!(u64).range(1_000..=100_000_000))]
    pub max_records: u64,
    /// Save everything that was seen, for `check`; gzipped if the name ends in .gz.
    #[arg(long, value_name = "FILE", value_parser = file)]
    pub history: Option<PathBuf>,
    /// Print the report as JSON.
    #[arg(long)]
    pub json: bool,
    /// Write the report: FORMAT=FILE, several with commas between; json, md, html, junit, csv, hgrm; - is standard output.
    #[arg(long, value_name = "FILES")]
    pub out: Option<Out>,
    /// Further arguments for `serve`, after `--`.
    #[arg(last = true, value_name = "ARGUMENTS")]
    pub server_arguments: Vec<String>,
}

/// How many replicas there are over a database, unless it is said.
const REPLICAS: u32 = 3;

/// How often something is ended, unless it is said.
const CYCLES: u32 = 20;

/// How often a database is killed, unless it is said: each time takes some seconds.
const KILLS: u32 = 5;

/// How long a life is driven, unless it is said.
const LIFE: Span = Span { least: Duration::from_millis(50), most: Duration::from_millis(400) };

/// The same before a kill of the database.
const LIFE_OF_A_DATABASE: Span = Span { least: Duration::from_secs(1), most: Duration::from_secs(3) };

/// Options that make no sense together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MisusedError {
    /// One server has no replicas.
    #[error(
        "--replicas is of servers that share a database: give it with --store, or have one killed with --fault"
    )]
    Replicas,
    /// Each client has a replica.
    #[error(
        "{clients} clients cannot ask {replicas} replicas, as each client has one of them: raise --clients"
    )]
    TooFewClients {
        /// So many.
        clients: u32,
        /// Of so many.
        replicas: u32,
    },
}

impl CrashArgs {
    /// How many cycles there are.
    pub fn cycles(&self) -> u32 {
        self.cycles.unwrap_or(if self.fault.is_some() { KILLS } else { CYCLES })
    }

    /// How long each life is driven.
    pub fn life(&self) -> Span {
        self.life.unwrap_or(if self.fault.is_some() { LIFE_OF_A_DATABASE } else { LIFE })
    }

    /// How many replicas share a database; none, where one server has a data directory.
    pub fn replicas(&self) -> Result<Option<u32>, MisusedError> {
        if self.store.is_none() && self.fault.is_none() {
            return if self.replicas.is_some() { Err(MisusedError::Replicas) } else { Ok(None) };
        }
        let (replicas, clients) = (self.replicas.unwrap_or(REPLICAS), self.clients);
        if clients < replicas {
            return Err(MisusedError::TooFewClients { clients, replicas });
        }
        Ok(Some(replicas))
    }
}
