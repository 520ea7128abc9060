//! `holds`: very many reservations that all run out within one second, while others read and change the same levels.
//!
//! The workload. Levels with many units each; reservations of one unit of one level, spread over all of them, durable, each made with the
//! whole number of seconds that puts its deadline into the one second that was chosen before. From some seconds before that second until
//! some after it, clients ask at a fixed rate: a read, a unit in, a read, a unit out. An answer is timed from when it was meant to be asked for, if
//! the client was late with it as the answer before took long, and else from when it was sent.
//!
//! What is judged: every answer of a client shows how many units of a level are reserved, and the client knows the deadlines of all that it
//! made. Not fewer may be shown than run out after the answer came, and not more than ran out after the question was asked; at the end,
//! nothing. Anything else is counted, and fails the run.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use clap::Args;
use tokio::task::JoinSet;

use super::client::{Connection, number, text};
use super::quantile;
use super::server::{Server, pick, sku};

/// By how much this process may read the time differently: its clock and the server's count whole milliseconds.
const SLACK_MS: u64 = 2;

/// Pairs of which the time is taken that so many reservations need.
const TRIED: u64 = 20_000;

#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct Holds {
    /// Reservations that are made
    #[arg(long = "holds", default_value_t = 1_000_000)]
    count: u64,
    /// Levels they are spread over
    #[arg(long, default_value_t = 10_000)]
    levels: u64,
    /// Connections over which they are made
    #[arg(long, default_value_t = 256)]
    connections: usize,
    /// Clients while they run out
    #[arg(long, default_value_t = 64)]
    clients: u32,
    /// Requests a second of all of these
    #[arg(long, default_value_t = 3_200)]
    rate: u32,
    /// How long they ask before the first deadline, and after the last, in seconds
    #[arg(long, default_value_t = 5)]
    around: u64,
}

/// Of each level, when what is held of it runs out: ascending, in milliseconds of Unix time.
#[derive(Debug)]
struct Deadlines(Vec<Vec<u64>>);

/// When an answer was asked for, and what became of it.
#[derive(Debug, Clone, Copy)]
struct Sample {
    asked_ms: u64,
    took_us: u64,
    wrong: Option<Wrong>,
}

/// What an answer shows that cannot be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wrong {
    /// A reservation that was over when it was asked for.
    ShowsExpired,
    /// One less than hold still.
    MissesHeld,
}

impl Holds {
    pub(crate) async fn run(self) -> io::Result<()> {
        let server = Server::with_levels(self.levels).await?;
        let per_second = self.try_out(&server).await?;
        let before = server.resident_bytes()?;
        let needed = Duration::from_secs_f64(1.4 * self.count as f64 / per_second);
        let due_ms = unix_ms() + millis(needed) + (self.around + 5) * 1_000;
        let began = Instant::now();
        let deadlines = self.make(&server, Aim::At(due_ms)).await?;
        let took = began.elapsed();
        let bytes = server.resident_bytes()?.saturating_sub(before);
        let (first_ms, last_ms) = deadlines.ends();
        println!(
            "{} reservations of one line over {} levels, made in {:.1} s ({:.0} a second) over {} connections",
            self.count,
            self.levels,
            took.as_secs_f64(),
            self.count as f64 / took.as_secs_f64(),
            self.connections,
        );
        println!(
            "resident: {:.0} bytes each ({} MiB before)",
            bytes as f64 / self.count as f64,
            before >> 20
        );
        println!("deadlines within {} ms", last_ms - first_ms);
        let from_ms = first_ms.saturating_sub(self.around * 1_000);
        let Some(wait_ms) = from_ms.checked_sub(unix_ms()) else {
            return Err(io::Error::other("they were not made in time: the machine is too busy"));
        };
        tokio::time::sleep(Duration::from_millis(wait_ms)).await;
        let cpu = server.cpu()?;
        let samples = self.watch(&server, Arc::new(deadlines), last_ms + self.around * 1_000).await?;
        let cpu = server.cpu()?.saturating_sub(cpu);
        told("before", &samples, 0, first_ms);
        told("meanwhile", &samples, first_ms, last_ms + 1);
        told("after", &samples, last_ms + 1, u64::MAX);
        println!("CPU time of the server meanwhile, and around it: {:.1} s", cpu.as_secs_f64());
        let left = still_reserved(&server).await?;
        println!("units that are reserved at the end: {left}");
        let wrong = samples.iter().filter(|sample| sample.wrong.is_some()).count();
        if wrong == 0 && left == 0 { Ok(()) } else { Err(io::Error::other("answers were wrong")) }
    }

    /// How many reservations can be made in a second, by making and releasing some. Leaves the connections' memory behind, too.
    async fn try_out(self, server: &Server) -> io::Result<f64> {
        let few = Self { count: TRIED, ..self };
        let began = Instant::now();
        few.make(server, Aim::Release).await?;
        Ok(2.0 * TRIED as f64 / began.elapsed().as_secs_f64())
    }

    async fn make(self, server: &Server, aim: Aim) -> io::Result<Deadlines> {
        let next = Arc::new(AtomicU64::new(0));
        let mut tasks = JoinSet::new();
        for _ in 0..self.connections {
            let (next, mut connection) = (Arc::clone(&next), Connection::open(server.address).await?);
            tasks.spawn(async move {
                let mut made = Vec::new();
                loop {
                    let nth = next.fetch_add(1, Ordering::Relaxed);
                    if nth >= self.count {
                        return Ok::<_, io::Error>(made);
                    }
                    let level = nth % self.levels;
                    let answer = connection.reserve(&sku(level), aim.ttl_seconds()?).await?;
                    match aim {
                        Aim::At(_) => made.push((level, deadline_ms(answer)?)),
                        Aim::Release => {
                            let id = text(answer, "id")?.to_owned();
                            connection.settle(&id, "release").await?;
                        }
                    }
                }
            });
        }
        let mut deadlines = Deadlines((0..self.levels).map(|_| Vec::new()).collect());
        while let Some(made) = tasks.join_next().await {
            for (level, deadline_ms) in made.map_err(io::Error::other)?? {
                deadlines.0[index(level)].push(deadline_ms);
            }
        }
        deadlines.0.iter_mut().for_each(|level| level.sort_unstable());
        Ok(deadlines)
    }

    /// Asks until then.
    async fn watch(
        self,
        server: &Server,
        deadlines: Arc<Deadlines>,
        until_ms: u64,
    ) -> io::Result<Vec<Sample>> {
        let every = Duration::from_secs(1) * self.clients / self.rate;
        let began = Instant::now();
        let mut tasks = JoinSet::new();
        for client in 0..self.clients {
            let (deadlines, mut connection) =
                (Arc::clone(&deadlines), Connection::open(server.address).await?);
            tasks.spawn(async move {
                let mut samples = Vec::new();
                let mut next = began + every * client / self.clients;
                for turn in 0_u64.. {
                    if unix_ms() >= until_ms {
                        break;
                    }
                    let is_late = Instant::now() > next;
                    if !is_late {
                        tokio::time::sleep_until(next.into()).await;
                    }
                    let from = if is_late { next } else { Instant::now() };
                    let level = pick(turn * u64::from(self.clients) + u64::from(client), self.levels);
                    samples.push(ask(&mut connection, level, turn, from, &deadlines).await?);
                    next += every;
                }
                Ok::<_, io::Error>(samples)
            });
        }
        let mut all = Vec::new();
        while let Some(samples) = tasks.join_next().await {
            all.extend(samples.map_err(io::Error::other)??);
        }
        Ok(all)
    }
}

/// What is to become of the reservations that are made.
#[derive(Debug, Clone, Copy)]
enum Aim {
    /// They run out from then on, within a second.
    At(u64),
    /// They are released at once.
    Release,
}

impl Aim {
    /// How long one is to hold that is made now.
    fn ttl_seconds(self) -> io::Result<u64> {
        match self {
            Self::Release => Ok(900),
            Self::At(due_ms) => match due_ms.saturating_sub(unix_ms()).div_ceil(1_000) {
                0 => Err(io::Error::other("they were not made in time: the machine is too busy")),
                seconds => Ok(seconds),
            },
        }
    }
}

impl Deadlines {
    /// The first and the last.
    fn ends(&self) -> (u64, u64) {
        let (first, last) =
            (self.0.iter().filter_map(|level| level.first()), self.0.iter().filter_map(|level| level.last()));
        (first.min().copied().unwrap_or(0), last.max().copied().unwrap_or(0))
    }

    /// How many units are held of a level at that time.
    fn held(&self, level: u64, at_ms: u64) -> u64 {
        let level = &self.0[index(level)];
        (level.len() - level.partition_point(|deadline_ms| *deadline_ms <= at_ms)) as u64
    }

    fn judge(&self, level: u64, asked_ms: u64, answered_ms: u64, reserved: u64) -> Option<Wrong> {
        if reserved > self.held(level, asked_ms.saturating_sub(SLACK_MS)) {
            return Some(Wrong::ShowsExpired);
        }
        (reserved < self.held(level, answered_ms + SLACK_MS)).then_some(Wrong::MissesHeld)
    }
}

async fn ask(
    connection: &mut Connection,
    level: u64,
    turn: u64,
    from: Instant,
    deadlines: &Deadlines,
) -> io::Result<Sample> {
    let (sku, asked_ms) = (sku(level), unix_ms());
    let body = match turn % 4 {
        1 => connection.adjust(&sku, 1).await?,
        3 => connection.adjust(&sku, -1).await?,
        _ => connection.get(&format!("/v1/stock/{sku}")).await?.body_of(200)?,
    };
    let reserved = number(body, "reserved")?;
    let took_us = u64::try_from(from.elapsed().as_micros()).unwrap_or(u64::MAX);
    Ok(Sample { asked_ms, took_us, wrong: deadlines.judge(level, asked_ms, unix_ms(), reserved) })
}

/// What all levels say is reserved, together.
async fn still_reserved(server: &Server) -> io::Result<u64> {
    let mut connection = Connection::open(server.address).await?;
    let (mut reserved, mut path) = (0, "/v1/stock?limit=1000".to_owned());
    loop {
        let page = connection.get(&path).await?.body_of(200)?;
        for level in page.split("\"sku\"").skip(1) {
            reserved += number(level, "reserved")?;
        }
        match text(page, "next_cursor") {
            Ok(cursor) => path = format!("/v1/stock?limit=1000&cursor={cursor}"),
            Err(_) => return Ok(reserved),
        }
    }
}

/// Tells of those that were asked for in that time.
fn told(when: &str, samples: &[Sample], from_ms: u64, to_ms: u64) {
    let within = samples.iter().filter(|sample| (from_ms..to_ms).contains(&sample.asked_ms));
    let mut took_us: Vec<u64> = within.clone().map(|sample| sample.took_us).collect();
    took_us.sort_unstable();
    let ms = |part| quantile(&took_us, part).unwrap_or(0) as f64 / 1_000.0;
    let wrong = |wrong| within.clone().filter(|sample| sample.wrong == Some(wrong)).count();
    println!(
        "{when:<9} {:>6} answers: p50 {:.2} ms, p99 {:.2} ms, p99.9 {:.2} ms, the longest {:.2} ms; {} show an expired one, {} miss one that holds",
        took_us.len(),
        ms(0.5),
        ms(0.99),
        ms(0.999),
        ms(1.0),
        wrong(Wrong::ShowsExpired),
        wrong(Wrong::MissesHeld),
    );
}

/// The deadline that a reservation was told to have.
fn deadline_ms(answer: &str) -> io::Result<u64> {
    let time = humantime::parse_rfc3339(text(answer, "expires_at")?).map_err(io::Error::other)?;
    Ok(millis(time.duration_since(UNIX_EPOCH).unwrap_or_default()))
}

fn unix_ms() -> u64 {
    millis(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn index(level: u64) -> usize {
    usize::try_from(level).expect("levels that fit into memory")
}
