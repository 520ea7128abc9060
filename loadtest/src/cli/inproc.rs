//! The command line of `inproc`.

use std::time::Duration;

use clap::Args;

use super::duration;
use crate::output::Out;
use crate::workload::{Keys, Mix, SKUS_MAX, Spec};

/// What is asked of strategies in this process.
#[derive(Debug, Clone, Args)]
pub struct TapeArgs {
    /// Skus, each with a level at two locations.
    #[arg(long, default_value_t = 1_000, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(SKUS_MAX)))]
    pub skus: u32,
    /// How skus are drawn: uniform, zipf:S, or single (one level).
    #[arg(long, default_value = "zipf:1", value_name = "KEYS")]
    pub keys: Keys,
    /// How operations are drawn: weights of adjust, read, batch, independent, transfer, put, create-delete.
    #[arg(long, default_value = "adjust=80,read=20", value_name = "MIX")]
    pub mix: Mix,
    /// Units that every level opens with. Sales outrun restocks a little, so scarcity and refusals follow.
    #[arg(long, default_value_t = 50, value_name = "UNITS", value_parser = clap::value_parser!(u64).range(0..=1_000_000_000))]
    pub opening_stock: u64,
    /// The seed of everything drawn; a fresh one is drawn and shown if none is given.
    #[arg(long, value_name = "SEED")]
    pub seed: Option<u64>,
}

/// Arguments of `inproc`.
#[derive(Debug, Args)]
pub struct InprocArgs {
    /// `all` (every correct strategy), or names with commas between; `all,racy` adds the bad example.
    #[arg(long, alias = "strategies", default_value = "all", value_name = "LIST", value_delimiter = ',')]
    pub strategy: Vec<String>,
    /// Allow strategies that are known to lose updates: they must be caught, or the exit code is 5.
    #[arg(long)]
    pub allow_racy: bool,
    /// Threads: numbers with commas between.
    #[arg(long, default_value = "1,2,4,8", value_name = "LIST", value_delimiter = ',', value_parser = clap::value_parser!(u32).range(1..=1_024))]
    pub threads: Vec<u32>,
    /// What is asked.
    #[command(flatten)]
    pub tape: TapeArgs,
    /// How long to measure in each turn [default: 100ms].
    #[arg(long, value_name = "TIME", value_parser = duration, conflicts_with = "operations")]
    pub duration: Option<Duration>,
    /// How many operations to measure in each turn, over all threads, instead of a duration.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub operations: Option<u64>,
    /// Rounds; in each, every row has its turn. Figures are medians over the rounds.
    #[arg(long, default_value_t = 5, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100))]
    pub rounds: u32,
    /// Calls that are recorded and checked in each turn, after the timed pass, over all threads.
    #[arg(long, default_value_t = 20_000, value_name = "N", value_parser = clap::value_parser!(u32).range(100..=10_000_000))]
    pub recorded: u32,
    /// Write the report: FORMAT=FILE, several with commas between; json, md, html, junit, csv, hgrm; - is standard output.
    #[arg(long, value_name = "FILES")]
    pub out: Option<Out>,
}

impl TapeArgs {
    /// What decides the tapes, with a seed.
    pub fn spec(&self, seed: u64) -> Spec {
        Spec {
            skus: self.skus,
            keys: self.keys,
            mix: self.mix.clone(),
            opening_stock: self.opening_stock,
            seed,
        }
    }
}

/// Numbers of threads or requests in flight: ascending, each once.
pub fn ascending(mut numbers: Vec<u32>) -> Vec<u32> {
    numbers.sort_unstable();
    numbers.dedup();
    numbers
}
