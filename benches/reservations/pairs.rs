//! `pairs`: a reservation and its commit, against two plain adjustments.
//!
//! Both are durable, and both are asked for over the same connections, each of which has one request under way. They take turns, in each
//! round in the other order, so that what else the machine does hits both; what is told is the median of the rounds. The server's CPU
//! time says more than the rates do, which the clients take their part of the cores from.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use clap::Args;
use tokio::task::JoinSet;

use super::client::{Connection, text};
use super::quantile;
use super::server::{Server, pick, sku};

#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct Pairs {
    /// Rounds of one turn each
    #[arg(long, default_value_t = 7)]
    rounds: u32,
    /// How long a turn is, in seconds
    #[arg(long, default_value_t = 4)]
    seconds: u64,
    /// Connections, with one request under way each
    #[arg(long, default_value_t = 256)]
    connections: usize,
    /// Levels that they choose from
    #[arg(long, default_value_t = 1_000)]
    levels: u64,
}

/// What a connection does again and again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Deed {
    /// Reserves a unit, and commits it.
    Pair,
    /// Takes a unit, twice.
    TwoAdjustments,
}

/// What a turn took.
#[derive(Debug, Clone, Copy)]
struct Turn {
    per_second: f64,
    cpu_us_each: f64,
}

impl Pairs {
    pub(crate) async fn run(self) -> io::Result<()> {
        let server = Server::with_levels(self.levels).await?;
        let mut connections = Vec::new();
        for _ in 0..self.connections {
            connections.push(Connection::open(server.address).await?);
        }
        // Not counted: the first of each, for buffers, tables and segments that are made only once.
        for deed in [Deed::Pair, Deed::TwoAdjustments] {
            (_, connections) = self.turn(&server, connections, deed).await?;
        }
        let (mut pairs, mut adjustments) = (Vec::new(), Vec::new());
        println!(
            "{:>5} {:>10} {:>10} {:>12} {:>12} {:>6}",
            "round", "pairs/s", "2 adj./s", "us/pair", "us/2 adj.", "ratio"
        );
        for round in 0..self.rounds {
            let mut order = [Deed::Pair, Deed::TwoAdjustments];
            order.rotate_left(usize::from(round % 2 == 1));
            for deed in order {
                let turn;
                (turn, connections) = self.turn(&server, connections, deed).await?;
                if deed == Deed::Pair { pairs.push(turn) } else { adjustments.push(turn) }
            }
            if let (Some(pair), Some(two)) = (pairs.last(), adjustments.last()) {
                row(&(round + 1).to_string(), *pair, *two, pair.cpu_us_each / two.cpu_us_each);
            }
        }
        let ratios = pairs.iter().zip(&adjustments).map(|(pair, two)| pair.cpu_us_each / two.cpu_us_each);
        row("", Turn::median(&pairs), Turn::median(&adjustments), median(ratios));
        Ok(())
    }

    async fn turn(
        self,
        server: &Server,
        connections: Vec<Connection>,
        deed: Deed,
    ) -> io::Result<(Turn, Vec<Connection>)> {
        let (done, levels) = (Arc::new(AtomicU64::new(0)), self.levels);
        let (began, cpu) = (Instant::now(), server.cpu()?);
        let end = began + Duration::from_secs(self.seconds);
        let mut tasks = JoinSet::new();
        for mut connection in connections {
            let done = Arc::clone(&done);
            tasks.spawn(async move {
                while Instant::now() < end {
                    let nth = done.fetch_add(1, Ordering::Relaxed);
                    deed.perform(&mut connection, pick(nth, levels)).await?;
                }
                Ok::<_, io::Error>(connection)
            });
        }
        let mut connections = Vec::new();
        while let Some(joined) = tasks.join_next().await {
            connections.push(joined.map_err(io::Error::other)??);
        }
        let (took, cpu) = (began.elapsed(), server.cpu()?.saturating_sub(cpu));
        let done = done.load(Ordering::Relaxed) as f64;
        let turn = Turn {
            per_second: done / took.as_secs_f64(),
            cpu_us_each: cpu.as_secs_f64() * 1_000_000.0 / done,
        };
        Ok((turn, connections))
    }
}

impl Deed {
    async fn perform(self, connection: &mut Connection, level: u64) -> io::Result<()> {
        let sku = sku(level);
        match self {
            Self::Pair => {
                let id = text(connection.reserve(&sku, 900).await?, "id")?.to_owned();
                connection.settle(&id, "commit").await?;
            }
            Self::TwoAdjustments => {
                connection.adjust(&sku, -1).await?;
                connection.adjust(&sku, -1).await?;
            }
        }
        Ok(())
    }
}

impl Turn {
    /// Of each figure by itself.
    fn median(turns: &[Self]) -> Self {
        Self {
            per_second: median(turns.iter().map(|turn| turn.per_second)),
            cpu_us_each: median(turns.iter().map(|turn| turn.cpu_us_each)),
        }
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    quantile(&values, 0.5).unwrap_or(f64::NAN)
}

fn row(round: &str, pair: Turn, two: Turn, ratio: f64) {
    let name = if round.is_empty() { "med." } else { round };
    println!(
        "{name:>5} {:>10.0} {:>10.0} {:>12.1} {:>12.1} {ratio:>6.2}",
        pair.per_second, two.per_second, pair.cpu_us_each, two.cpu_us_each
    );
}
