//! The command line of `sweep`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueHint};

use super::duration;
use super::inproc::TapeArgs;
use crate::output::{Out, file};

/// Arguments of `sweep`.
#[derive(Debug, Args)]
pub struct SweepArgs {
    /// `all` (every correct strategy), or names with commas between; `all,racy` adds the bad example.
    #[arg(long, default_value = "all", value_name = "LIST", value_delimiter = ',')]
    pub strategies: Vec<String>,
    /// Allow strategies that are known to lose updates: they must be caught, or the exit code is 5.
    #[arg(long)]
    pub allow_racy: bool,
    /// Threads, or connections with a request in flight: numbers with commas between. A law is fitted to four or more.
    #[arg(long, default_value = "1,2,4,8,16,32", value_name = "LIST", value_delimiter = ',', value_parser = clap::value_parser!(u32).range(1..=1_024))]
    pub concurrency: Vec<u32>,
    /// Only in this process, without HTTP.
    #[arg(long, conflicts_with = "http")]
    pub inproc: bool,
    /// Only over HTTP, a server for each turn.
    #[arg(long)]
    pub http: bool,
    /// The server to start; `inventory` beside this program if not given.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::ExecutablePath)]
    pub server_bin: Option<PathBuf>,
    /// How long to measure in each turn [default: 100ms in this process, 500ms over HTTP].
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub duration: Option<Duration>,
    /// Rounds; in each, every strategy has its turn at every concurrency.
    #[arg(long, default_value_t = 3, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100))]
    pub rounds: u32,
    /// What is asked.
    #[command(flatten)]
    pub tape: TapeArgs,
    /// Where to draw the curves; folders that are missing are made.
    #[arg(long, default_value = "loadtest-out/sweep.svg", value_name = "FILE", value_hint = ValueHint::FilePath, value_parser = file)]
    pub svg: PathBuf,
    /// Write the report: FORMAT=FILE, several with commas between; json, md, html, junit, csv, hgrm; - is standard output.
    #[arg(long, value_name = "FILES")]
    pub out: Option<Out>,
}
