//! The arguments of `selftest`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueHint};

use super::duration;
use crate::output::Out;

/// Arguments of `selftest`.
#[derive(Debug, Args)]
pub struct SelftestArgs {
    /// The server to start, built with the mutants; `mutant_inventory` or `inventory` beside this program if not given.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::ExecutablePath)]
    pub server_bin: Option<PathBuf>,
    /// The seed of everything drawn; a fresh one is drawn and shown if none is given.
    #[arg(long, value_name = "SEED")]
    pub seed: Option<u64>,
    /// Requests of one storm; replays and clients that leave are a part of it.
    #[arg(long, default_value_t = 3_000, value_name = "N", value_parser = clap::value_parser!(u64).range(300..=100_000))]
    pub requests: u64,
    /// No strategy is begun with later than this: what was not tried then is told, and the exit code is 5.
    #[arg(long, default_value = "60s", value_name = "TIME", value_parser = duration)]
    pub max_time: Duration,
    /// Write the matrix: FORMAT=FILE, several with commas between; json, md, html, junit, csv; - is standard output.
    #[arg(long, value_name = "FILES")]
    pub out: Option<Out>,
}
