//! The command line of `compare`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueHint};

use super::{WorkloadArgs, duration, rate};
use crate::compare::gate::share;
use crate::compare::metric::Metric;
use crate::output::Out;

/// Arguments of `compare`.
#[derive(Debug, Args)]
pub struct CompareArgs {
    /// `all` (every correct strategy of the server), or names with commas between; `all,racy` adds the bad example.
    #[arg(long, default_value = "all", value_name = "LIST", value_delimiter = ',')]
    pub strategies: Vec<String>,
    /// The strategy that others are compared with; the first of --strategies if not given. A copy of it runs along: what
    /// differs between the two is noise. Or an earlier run, FILE.json of its --out: each strategy against itself then.
    #[arg(long, value_name = "NAME|FILE.json")]
    pub baseline: Option<String>,
    /// Compare with an earlier run although it was made on another machine or otherwise differs.
    #[arg(long)]
    pub force: bool,
    /// Allow strategies that are known to lose updates: the verifier must catch them, or the exit code is 5.
    #[arg(long)]
    pub allow_racy: bool,
    /// The server to start; `inventory` beside this program if not given. Given twice, the second program is compared with
    /// the first, strategy by strategy.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::ExecutablePath)]
    pub server_bin: Vec<PathBuf>,
    /// Keep stock in memory only, instead of on disk as the service does.
    #[arg(long)]
    pub ephemeral: bool,
    /// Where each server gets a data directory of its own, removed afterwards; the system's folder for temporary files if not
    /// given.
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath, conflicts_with = "ephemeral")]
    pub data_in: Option<PathBuf>,
    /// Rounds; in each, every strategy has its turn. It takes 6 to say anything, and more for many strategies.
    #[arg(long, default_value_t = 10, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100))]
    pub rounds: u32,
    /// How long to measure in each of the two parts of a turn [default: 300ms].
    #[arg(long, value_name = "TIME", value_parser = duration, conflicts_with = "requests")]
    pub duration: Option<Duration>,
    /// How many requests to measure in each part of a turn, instead of a duration.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub requests: Option<u64>,
    /// How long to ask before measuring.
    #[arg(long, default_value = "100ms", value_name = "TIME", value_parser = duration)]
    pub warmup: Duration,
    /// Requests a second of the part in which latency is measured, the same for all; half of what the baseline does in closed
    /// loop, measured before the first round, if not given.
    #[arg(long, value_name = "R", value_parser = rate)]
    pub rate: Option<f64>,
    /// What is as good as equal: ratios from 1/(1+SHARE) to 1+SHARE.
    #[arg(long, default_value = "5%", value_name = "SHARE", value_parser = share)]
    pub margin: f64,
    /// Exit 6 if a figure is worse than the baseline's by more than this, beyond the noise and not by chance.
    #[arg(long, value_name = "SHARE", value_parser = share)]
    pub gate: Option<f64>,
    /// The figures that --gate looks at: cpu (per operation), throughput, p50, p99 (both at the fixed rate).
    #[arg(
        long,
        default_value = "cpu,throughput",
        value_name = "LIST",
        value_delimiter = ',',
        requires = "gate"
    )]
    pub gate_on: Vec<Metric>,
    /// Let the baseline run once more behind a proxy that holds each request back for this long (whole milliseconds): the gate
    /// has to name it, or the exit code is 5.
    #[arg(long, value_name = "TIME", value_parser = duration, requires = "gate")]
    pub delay_control: Option<Duration>,
    /// The workload.
    #[command(flatten)]
    pub workload: WorkloadArgs,
    /// Write the report: FORMAT=FILE, several with commas between; json, md, html, junit, csv; - is standard output.
    #[arg(long, value_name = "FILES")]
    pub out: Option<Out>,
    /// Further arguments for `serve`, after `--`.
    #[arg(last = true, value_name = "ARGUMENTS")]
    pub server_arguments: Vec<String>,
}
