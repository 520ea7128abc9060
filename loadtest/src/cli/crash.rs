//! The command line of `crash`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueHint};

use super::duration;
use crate::crash::fate::Span;
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
    /// How many lives of the server are ended, by `kill -9` or now and then by SIGTERM.
    #[arg(long, default_value_t = 20, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub cycles: u32,
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
    /// How long each life is driven, from being ready to its end.
    #[arg(long, default_value = "50ms..400ms", value_name = "MIN..MAX")]
    pub life: Span,
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
