//! What reservations cost: a real server, on a socket, over a data directory, asked by clients of this process. Run by hand;
//! `benches/README.md` says how, and what was measured.
//!
//! - `holds`: very many of them, which all run out within one second, while others read and change the same levels. It says what one takes
//!   in memory, whether any answer showed one that was over, or missed one that was not, and how long the answers took.
//! - `pairs`: a reservation and its commit, against two plain adjustments, in turns: pairs a second, and the server's CPU time.
//!
//! Clients and server share the cores, so the clients are one thread, and speak HTTP by hand. It never judges what it did not see: any answer
//! but the expected one ends the run.
#![expect(clippy::print_stdout, reason = "what was measured is told on standard output")]

mod client;
mod holds;
mod pairs;
mod server;

use std::io;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};

/// The longest a run may take, whatever happens.
const RUN_MAX: Duration = Duration::from_mins(20);

#[derive(Debug, Parser)]
struct Args {
    /// Said by `cargo bench`.
    #[arg(long, hide = true, global = true)]
    bench: bool,
    /// What to measure: nothing where it is left out, as in a run of all benches
    #[command(subcommand)]
    mode: Option<Mode>,
}

#[derive(Debug, Subcommand)]
enum Mode {
    /// Many reservations that run out within one second
    Holds(holds::Holds),
    /// A reservation and its commit, against two adjustments
    Pairs(pairs::Pairs),
}

fn main() -> ExitCode {
    let Some(mode) = Args::parse().mode else {
        println!("reservations: say `holds` or `pairs`; each starts a server, and takes minutes");
        return ExitCode::SUCCESS;
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let ran = runtime.and_then(|runtime| {
        runtime.block_on(async {
            let run = async {
                match mode {
                    Mode::Holds(holds) => holds.run().await,
                    Mode::Pairs(pairs) => pairs.run().await,
                }
            };
            tokio::time::timeout(RUN_MAX, run).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
        })
    });
    match ran {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("failed: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The smallest value that so much of them does not exceed; they are sorted.
fn quantile<T: Copy>(sorted: &[T], part: f64) -> Option<T> {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and the length")]
    let rank = (part * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied()
}
