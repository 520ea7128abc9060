//! The command line: what can be asked for, and the bounds of every number.

pub mod compare;
pub mod crash;
pub mod inproc;
pub mod profile;
pub mod report;
pub mod selftest;
pub mod sweep;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueHint};

use self::profile::Named;
use crate::calibrate::{CeilingPlan, noop};
use crate::client::faults::Faults;
use crate::client::replicas::Route;
use crate::client::{Replicas, Sender};
use crate::output::{Colours, Out, Way, file};
use crate::report::sometimes::Wanted;
use crate::schedule::{Dispatch, Limit, Pattern, Rate};
use crate::threshold::Threshold;
use crate::workload::{CLIENTS, Keys, Mix, OPENING_STOCK, Profile, SKUS, SKUS_MAX, Spec};

/// Drives the inventory service and proves that no update was lost.
#[derive(Debug, Parser)]
#[command(
    version,
    about,
    after_help = "Exit codes: 0 ok, 1 could not run, 2 usage, 3 threshold missed, 4 consistency violation, \
                  5 indeterminate or vacuous, 6 regression, 130 interrupted. If several apply, 4 wins."
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// Colours on the terminal; `NO_COLOR` is heeded, too.
    #[arg(long, value_enum, default_value = "auto", global = true, value_name = "WHEN")]
    pub color: Colours,
    /// Progress on standard error: auto (on a terminal a live view of `run`, `compare` and `crash`, a bar of others; lines
    /// elsewhere), lines, or none.
    #[arg(long, value_enum, default_value = "auto", global = true, value_name = "HOW")]
    pub progress: Way,
    /// The file of the API key that is shown to servers, which has nothing else in it; or the key is in the variable `LOADTEST_KEY`. No option
    /// takes the key itself, since reports repeat the command line.
    #[arg(long, global = true, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub auth_key_file: Option<PathBuf>,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Drive a running server with a random workload, measure it, and verify every answer.
    Run(RunArgs),
    /// Measure what the generator itself can do, against a server that does nothing.
    Calibrate(CalibrateArgs),
    /// Be the server that does nothing.
    #[command(hide = true, name = noop::COMMAND)]
    Noop,
    /// Verify a saved history again.
    Check(CheckArgs),
    /// Drive a running server with the orders of a real shop.
    Replay(ReplayArgs),
    /// Start a fresh server for each strategy, drive all with the same workload, and tell differences from noise.
    Compare(compare::CompareArgs),
    /// Measure the strategies in this process, without HTTP, against the bare primitives.
    Inproc(inproc::InprocArgs),
    /// Measure throughput against concurrency, fit the Universal Scalability Law, and draw it.
    Sweep(sweep::SweepArgs),
    /// Try the checks on strategies that are wrong on purpose, and print which check caught which: the kill matrix.
    Selftest(selftest::SelftestArgs),
    /// Kill a server of its own with `kill -9` again and again, retry what was in flight, and verify what it kept.
    Crash(crash::CrashArgs),
    /// Write a report that was saved as JSON again, as anything that reports are written as.
    Report(report::ReportArgs),
    /// Show two reports that were saved as JSON side by side.
    Diff(report::DiffArgs),
}

/// The workload, the same for `run` and `compare`.
#[derive(Debug, Clone, Args)]
pub struct WorkloadArgs {
    /// Requests in flight at once, at most; as many connections are kept alive [default: 32].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub concurrency: Option<u32>,
    /// Skus of the run, each with a level at two locations [default: 100].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(SKUS_MAX)))]
    pub skus: Option<u32>,
    /// A workload by name: what is asked, of which skus, with how much stock, by how many clients, as far as nothing else is said.
    #[arg(long, value_name = "NAME", value_parser = profile::ProfileParser)]
    pub profile: Option<Named>,
    /// How skus are drawn: uniform, zipf:S, hotspot:F:S (the part F has the share S), or single [default: zipf:1].
    #[arg(long, value_name = "KEYS")]
    pub keys: Option<Keys>,
    /// How operations are drawn: weights of adjust, read, batch, independent, transfer, put, create-delete, query [default:
    /// adjust=63,read=20,batch=5,independent=3,transfer=5,put=3,create-delete=1].
    #[arg(long, value_name = "MIX")]
    pub mix: Option<Mix>,
    /// Units that every level opens with [default: 50]. Sales outrun restocks a little, so scarcity and refusals follow.
    #[arg(long, value_name = "UNITS", value_parser = clap::value_parser!(u64).range(0..=1_000_000_000))]
    pub opening_stock: Option<u64>,
    /// The seed of everything drawn; a fresh one is drawn and shown if none is given.
    #[arg(long, value_name = "SEED")]
    pub seed: Option<u64>,
    /// The longest wait for one answer; after it the outcome is unknown.
    #[arg(long, default_value = "10s", value_name = "TIME", value_parser = duration)]
    pub timeout: Duration,
    /// The most operations recorded. Each takes some 16 bytes, in memory up to 256 MiB, then in a temporary file; checking takes
    /// as much again, and no more than some 300 MiB unless one level has most of them. The run stops early when they are used up.
    #[arg(long, default_value_t = 10_000_000, value_name = "N", value_parser = clap::value_parser!(u64).range(1_000..=100_000_000))]
    pub max_records: u64,
}

/// Arguments of `run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// The address of the server, such as <http://127.0.0.1:8080>; or those of several replicas of one service, with commas between:
    /// clients are spread over all of them, and one history is judged.
    #[arg(value_name = "URL", value_hint = ValueHint::Url)]
    pub url: Replicas,
    /// Drive an inventory that is not this service: a description of how to ask it and how to read its answers, in TOML
    /// (docs/targets.md).
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub target: Option<PathBuf>,
    /// How long to measure [default: 10s; a flash sale goes on until each unit was asked for some five times].
    #[arg(long, value_name = "TIME", value_parser = duration, conflicts_with = "requests")]
    pub duration: Option<Duration>,
    /// How many requests to measure, instead of a duration.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub requests: Option<u64>,
    /// How long to ask before measuring [default: 1s; a flash sale begins at once].
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub warmup: Option<Duration>,
    /// Open loop: requests a second, whatever the server does; a ramp FROM:TO, or steps R1,R2,R3. Latency counts from the
    /// intended start.
    #[arg(long, value_name = "R")]
    pub rate: Option<Rate>,
    /// How the requests of an open loop are spread.
    #[arg(long, value_name = "HOW", default_value = "uniform", requires = "rate")]
    pub arrivals: Pattern,
    /// Who sends them: whoever is free, or each client its own.
    #[arg(long, value_name = "WHO", default_value = "shared", requires = "rate")]
    pub dispatch: Dispatch,
    /// What sends the requests: a pool of connections, or a bare connection for each client, which takes less of the machine.
    #[arg(long, value_name = "CLIENT", default_value = "reqwest")]
    pub client: Sender,
    /// How clients choose among several replicas: each has one of its own, or whoever asks for a sku asks the replica of that.
    #[arg(long, value_name = "HOW", default_value = "client")]
    pub route: Route,
    /// Faults from the clients' side, as shares of the writes that take a key: disconnect (in mid-request), replay (the same
    /// keyed request again) and slow (the body in pieces), such as disconnect=0.5%,replay=1%,slow=0.1%.
    #[arg(long, value_name = "FAULTS")]
    pub fault: Option<Faults>,
    /// What the generator itself can do: measure (for half a second, first), none (do not mind), or requests a second. Past 70%
    /// of it a run has no headline.
    #[arg(long, value_name = "CEILING", default_value = "measure")]
    pub ceiling: CeilingPlan,
    /// Between two lines of progress; 0s for none.
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = duration)]
    pub progress_every: Duration,
    /// The workload.
    #[command(flatten)]
    pub workload: WorkloadArgs,
    /// Save everything that was seen, for `check`; gzipped if the name ends in .gz.
    #[arg(long, value_name = "FILE", value_parser = file)]
    pub history: Option<PathBuf>,
    /// Write the report: FORMAT=FILE, several with commas between; json, md, html, junit, csv, hgrm; - is standard output.
    #[arg(long, value_name = "FILES")]
    pub out: Option<Out>,
    /// Leave the run's levels on the server.
    #[arg(long)]
    pub keep: bool,
    /// Exit 5 unless the run reached each of these situations: names with commas between, such as contended-pair,sold-out, or all.
    /// The report counts every one.
    #[arg(long, value_name = "NAMES", value_delimiter = ',', value_parser = crate::report::sometimes::named)]
    pub require_sometimes: Vec<Wanted>,
    /// Exit 3 unless this is kept, such as 'p99<20ms for adjust', 'errors<0.1%' or 'throughput>5000'; may be repeated. Metrics are
    /// p50, p90, p99, p99.9, max, errors and throughput, of all operations or of one. Without samples it is missed.
    #[arg(long, value_name = "BOUND")]
    pub threshold: Vec<Threshold>,
    /// Exit 3 if the 99th percentile of latency is above this.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub max_p99: Option<Duration>,
    /// Exit 3 if fewer requests a second are answered.
    #[arg(long, value_name = "N", value_parser = rate)]
    pub min_throughput: Option<f64>,
    /// Exit 3 if more of a hundred requests fail (refusals are no failures).
    #[arg(long, value_name = "PERCENT", value_parser = percent)]
    pub max_failed: Option<f64>,
}

/// Arguments of `calibrate`.
#[derive(Debug, Args)]
pub struct CalibrateArgs {
    /// What sends the requests.
    #[arg(long, value_name = "CLIENT", default_value = "reqwest")]
    pub client: Sender,
    /// Requests in flight at once; as many connections are kept alive.
    #[arg(long, default_value_t = 32, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub concurrency: u32,
    /// How long to measure.
    #[arg(long, default_value = "2s", value_name = "TIME", value_parser = duration)]
    pub duration: Duration,
    /// Write the report: FORMAT=FILE, several with commas between; json, md, html, junit, csv, hgrm; - is standard output.
    #[arg(long, value_name = "FILES")]
    pub out: Option<Out>,
}

/// Arguments of `check`.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// A history saved by `--history`.
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub file: PathBuf,
}

/// Arguments of `replay`.
#[derive(Debug, Args)]
pub struct ReplayArgs {
    /// The address of the server, such as <http://127.0.0.1:8080>; or those of several replicas of one service, with commas between:
    /// clients are spread over all of them, and one history is judged.
    #[arg(value_name = "URL", value_hint = ValueHint::Url)]
    pub url: Replicas,
    /// Order lines with the columns invoice,sku,quantity,at; gzipped if the name ends in .gz.
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub file: PathBuf,
    /// How much of the shop's time is in flight at once: invoices of one window overlap, windows do not.
    #[arg(long, default_value = "4h", value_name = "TIME", value_parser = window)]
    pub window: Duration,
    /// Invoices in flight at once, at most.
    #[arg(long, default_value_t = 64, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub concurrency: u32,
    /// The part of the needed stock to open with; below 1, invoices are really refused.
    #[arg(long, default_value_t = 1.0, value_name = "F", value_parser = fraction)]
    pub stock_fraction: f64,
    /// What every sku begins with on the server; a fresh name if none is given.
    #[arg(long, value_name = "PREFIX", value_parser = prefix)]
    pub prefix: Option<String>,
    /// How clients choose among several replicas: each has one of its own, or an invoice goes to the replica of its first sku.
    #[arg(long, value_name = "HOW", default_value = "client")]
    pub route: Route,
    /// The longest wait for one answer; after it the outcome is unknown.
    #[arg(long, default_value = "30s", value_name = "TIME", value_parser = duration)]
    pub timeout: Duration,
    /// Save everything that was seen, for `check`; gzipped if the name ends in .gz.
    #[arg(long, value_name = "FILE", value_parser = file)]
    pub history: Option<PathBuf>,
    /// Write the report: FORMAT=FILE, several with commas between; json, md, html, junit, csv, hgrm; - is standard output.
    #[arg(long, value_name = "FILES")]
    pub out: Option<Out>,
    /// Leave the skus on the server.
    #[arg(long)]
    pub keep: bool,
}

impl Command {
    /// Whether it asks a server, which may ask for a key.
    pub fn asks_a_server(&self) -> bool {
        matches!(self, Self::Run(_) | Self::Replay(_) | Self::Compare(_) | Self::Sweep(_) | Self::Crash(_))
    }
}

impl RunArgs {
    /// What the run has to keep: the thresholds, and the options that are short for one.
    pub fn thresholds(&self) -> Vec<Threshold> {
        let short = [
            self.max_p99.map(Threshold::max_p99),
            self.min_throughput.map(Threshold::min_throughput),
            self.max_failed.map(Threshold::max_failed),
        ];
        self.threshold.iter().cloned().chain(short.into_iter().flatten()).collect()
    }
}

impl WorkloadArgs {
    /// Requests in flight at once, at most.
    pub fn concurrency(&self) -> u32 {
        self.concurrency.or(self.profile().map(Profile::clients)).unwrap_or(CLIENTS)
    }

    /// The mix of operations that was asked for by name.
    pub fn profile(&self) -> Option<Profile> {
        self.profile.and_then(Named::mix)
    }

    /// Whether operations were asked for by name.
    pub fn is_mixed(&self) -> bool {
        self.mix.is_some() || self.profile.is_some()
    }

    /// What decides the workload, with a seed.
    pub fn spec(&self, seed: u64) -> Spec {
        let named = self.profile();
        let mix = match (self.mix.clone(), named) {
            (Some(mix), Some(profile)) => mix.shaped(profile.shape()),
            (Some(mix), None) => mix,
            (None, named) => named.map(Profile::mix).unwrap_or_default(),
        };
        Spec {
            skus: self.skus.or(named.map(Profile::skus)).unwrap_or(SKUS),
            keys: self.keys.or(named.map(Profile::keys)).unwrap_or(Keys::Zipf(1.0)),
            mix,
            opening_stock: self.opening_stock.or(named.map(Profile::opening_stock)).unwrap_or(OPENING_STOCK),
            seed,
        }
    }
}

/// How much to measure.
pub fn limit(duration: Option<Duration>, requests: Option<u64>, default: Duration) -> Limit {
    requests.map_or_else(|| Limit::For(duration.unwrap_or(default)), Limit::Requests)
}

/// A duration such as `500ms`, `10s`, `5m` or `4h`, up to a day.
pub fn duration(text: &str) -> Result<Duration, String> {
    let unit_at = text.find(|c: char| c.is_ascii_alphabetic() || c == 'µ').unwrap_or(text.len());
    let (number, unit) = text.split_at(unit_at);
    let seconds_per_unit = match unit {
        "us" | "µs" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3_600.0,
        _ => return Err("give a number and a unit, such as 500ms, 10s, 5m or 4h".to_owned()),
    };
    let seconds = number.parse::<f64>().map_err(|_| format!("`{number}` is no number"))? * seconds_per_unit;
    if !(0.0..=86_400.0).contains(&seconds) {
        return Err("between 0 and 24h, please".to_owned());
    }
    Ok(Duration::from_secs_f64(seconds))
}

fn window(text: &str) -> Result<Duration, String> {
    let window = duration(text)?;
    if window < Duration::from_mins(1) || !window.as_secs().is_multiple_of(60) || window.subsec_nanos() > 0 {
        return Err("whole minutes, at least one: the orders are known to the minute".to_owned());
    }
    Ok(window)
}

fn rate(text: &str) -> Result<f64, String> {
    number(text, 0.001, 10_000_000.0)
}

fn percent(text: &str) -> Result<f64, String> {
    number(text, 0.0, 100.0)
}

fn fraction(text: &str) -> Result<f64, String> {
    number(text, 0.0, 1.0)
}

fn number(text: &str, least: f64, most: f64) -> Result<f64, String> {
    let number = text.parse().map_err(|_| "a number, please".to_owned())?;
    if (least..=most).contains(&number) { Ok(number) } else { Err(format!("from {least} to {most}, please")) }
}

fn prefix(text: &str) -> Result<String, String> {
    // It goes before skus that may be of any characters, and stands in names of files as it is.
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'~' | b'-');
    if (1..=32).contains(&text.len()) && text.bytes().all(allowed) {
        return Ok(text.to_owned());
    }
    Err("1 to 32 characters of A-Z a-z 0-9 . _ ~ -".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn addresses_that_make_no_sense_are_told_with_the_argument() {
        let parsed = |url: &str| Cli::try_parse_from(["loadtest", "run", url]);
        assert!(parsed("http://127.0.0.1:1").is_ok() && parsed("http://a:1,http://b:1").is_ok());
        for wrong in ["http://a:1,", "http://a:1,http://a:1", "http://a:1,https://b:1", "a:1"] {
            let error = parsed(wrong).expect_err(wrong).to_string();
            assert!(error.contains("'<URL>'"), "{error}");
        }
    }

    #[test]
    fn durations_have_units() {
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("1.5s"), Ok(Duration::from_millis(1_500)));
        assert_eq!(duration("4h"), Ok(Duration::from_hours(4)));
        for wrong in ["", "10", "s", "-1s", "1d", "25h", "NaNs"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
        assert!(window("90s").is_err() && window("90m").is_ok());
    }

    #[test]
    fn numbers_have_bounds() {
        assert!(fraction("1.1").is_err() && fraction("NaN").is_err() && fraction("0.7").is_ok());
        assert!(rate("0").is_err() && rate("5000").is_ok());
    }
}
