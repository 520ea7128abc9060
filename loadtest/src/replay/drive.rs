//! Driving a server with orders: open the stock, send window after window, read everything back.

use std::sync::Arc;
use std::time::{Duration, Instant};

use history::{Key, Log, Meta, Stock as SeenStock};

use super::file::{Invoice, Orders};
use super::overlap::{Interval, Overlap, overlap};
use super::plan::{Stock, book, book_returned, opening, part_of, windows};
use crate::catalogue::{Catalogue, DEFAULT_LOCATION};
use crate::client::body::foreign_adjustment;
use crate::client::replicas::Route;
use crate::client::wire::Problem;
use crate::client::{Call, Change, Replicas};
use crate::interrupt::Stop;
use crate::measure::server::ServerStatus;
use crate::measure::{Latencies, Quantiles};
use crate::output::Progress;
use crate::runner::fan_out::{insist, is_answered};
use crate::runner::session::{Class, Exchange, Fate, Tally};
use crate::runner::ways::Traffic;
use crate::runner::{RunError, Stage};
use crate::schedule::Limit;

/// Everything that decides a replay.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The beginning of every sku on the server.
    pub prefix: String,
    /// Invoices in flight at once, at most.
    pub concurrency: u32,
    /// The length of a window.
    pub window: Duration,
    /// The part of the needed stock to open with.
    pub stock_fraction: f64,
    /// The longest wait for one answer.
    pub timeout: Duration,
    /// How clients choose among the replicas, if there are several.
    pub route: Route,
    /// Leave the skus behind.
    pub keep: bool,
    /// The command line, for the record.
    pub command: String,
}

/// What a replay brought.
#[derive(Debug, Default)]
pub struct Replay {
    /// Everything that was seen.
    pub history: Log,
    /// The strategy of the server, if it told.
    pub strategy: Option<String>,
    /// How the invoices fared.
    pub invoices: Fates,
    /// Refused invoices of which the returned goods were booked on their own.
    pub returns_booked: u64,
    /// How much was concurrent.
    pub overlap: Overlap,
    /// Latency of invoices.
    pub latency: Quantiles,
    /// The windows sent.
    pub windows: usize,
    /// From the first invoice to the last answer.
    pub elapsed: Duration,
    /// From opening the stock to the last level read back.
    pub elapsed_all: Duration,
    /// Refusals and failures of everything sent.
    pub tally: Tally,
    /// Skus whose final stock is not the computed one.
    pub wrong: Vec<WrongStock>,
    /// Skus whose final stock cannot be computed, since nobody knows whether an invoice was booked.
    pub uncertain: usize,
    /// What the server said to a name outside the alphabet, by name.
    pub foreign: Vec<(String, String, bool)>,
    /// What was asked of each replica while the invoices were sent, in the order of the command line.
    pub traffic: Vec<Traffic>,
}

/// How the invoices fared.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Fates {
    /// Sent.
    pub sent: u64,
    /// Booked.
    pub accepted: u64,
    /// Refused for want of stock.
    pub refused: u64,
    /// Nobody knows.
    pub unknown: u64,
    /// Never taken, however often they were sent.
    pub given_up: u64,
    /// Lines of the accepted ones.
    pub lines_accepted: u64,
    /// Units that the accepted ones moved, in either direction.
    pub units_accepted: u64,
}

/// A sku whose final stock is not the computed one.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct WrongStock {
    /// Which.
    pub sku: String,
    /// Computed from the opening stock and the accepted invoices.
    pub expected: i64,
    /// What the server shows in the end; `None` if the level is not there or could not be read.
    pub found: Option<u64>,
}

/// Replays orders against a service.
pub async fn drive(
    replicas: &Replicas,
    orders: &Orders,
    plan: &Plan,
    stop: &Stop,
    progress: &Progress,
) -> Result<Replay, RunError> {
    let name = |sku: &String| (format!("{}{sku}", plan.prefix), DEFAULT_LOCATION.to_owned());
    let catalogue = Arc::new(Catalogue::new(orders.skus.iter().map(name).collect()));
    let mut stage = Stage::open(replicas, catalogue, plan.concurrency, plan.timeout).await?;
    let strategy = ServerStatus::of_all(stage.replicas()).await.strategy;
    let start = Instant::now();

    let minutes = i64::try_from(plan.window.as_secs() / 60).unwrap_or(i64::MAX);
    let windows = windows(&orders.invoices, minutes.max(1));
    let stock = part_of(&opening(orders, &windows), plan.stock_fraction);
    progress.begin("opening the stock", None);
    open(&mut stage, &stock).await;
    stage.spread(plan.route);
    stage.take_traffic();

    progress.begin("replaying", Some(Limit::Requests(orders.invoices.len() as u64)));
    let mut ledger = Ledger::new(stock);
    let began = Instant::now();
    for window in &windows {
        if stop.requested() {
            break;
        }
        ledger.window(&mut stage, &orders.invoices[window.clone()], progress).await;
        ledger.windows += 1;
    }
    let (elapsed, traffic) = (began.elapsed(), stage.take_traffic());

    progress.begin("reading every level back", None);
    stage.gather().await;
    let foreign = try_foreign(&stage, orders).await;
    let reads = stage.read_back().await;
    let elapsed_all = start.elapsed();
    let tally = stage.take_tally();
    let meta = Meta { seed: None, strategy: strategy.clone(), command: Some(plan.command.clone()) };
    let history = stage.take_history(meta);
    if !plan.keep {
        progress.begin("deleting the levels", None);
        stage.clean_up().await;
    }
    progress.end();
    let (wrong, uncertain) = ledger.compare(&orders.skus, &reads);
    Ok(Replay {
        history,
        strategy,
        invoices: ledger.fates,
        returns_booked: ledger.returns_booked,
        overlap: overlap(ledger.intervals),
        latency: ledger.latencies.quantiles(),
        windows: ledger.windows,
        elapsed,
        elapsed_all,
        tally,
        wrong,
        uncertain,
        foreign,
        traffic,
    })
}

async fn open(stage: &mut Stage, stock: &Stock) {
    let create = |(sku, units): (u32, &i64)| Call::Create { key: Key(sku), on_hand: units.unsigned_abs() };
    let calls = (0..).zip(stock).map(create).collect();
    insist(&mut stage.sessions, calls).await;
}

/// Sends one line of every left-out name on its own, to see the server refuse it.
async fn try_foreign(stage: &Stage, orders: &Orders) -> Vec<(String, String, bool)> {
    let mut answers = Vec::new();
    for (name, left_out) in &orders.left_out {
        // The bare name: with the prefix before it, it would be just as foreign.
        let (answer, refused) =
            match stage.client.post_adjustments(foreign_adjustment(name, left_out.first_delta)).await {
                Ok(answer) => {
                    let problem = serde_json::from_slice::<Problem<'_>>(&answer.body).ok();
                    let problem =
                        problem.map_or_else(|| "no problem".to_owned(), |problem| problem.name().to_owned());
                    (format!("{} {problem}", answer.status), answer.status == 422)
                }
                Err(failure) => (failure.example, false),
            };
        answers.push((name.clone(), answer, refused));
    }
    answers
}

/// What must be in stock, computed beside the server from what it accepted.
struct Ledger {
    stock: Stock,
    uncertain: Vec<bool>,
    fates: Fates,
    returns_booked: u64,
    intervals: Vec<Interval>,
    latencies: Latencies,
    windows: usize,
}

impl Ledger {
    fn new(stock: Stock) -> Self {
        Self {
            uncertain: vec![false; stock.len()],
            stock,
            fates: Fates::default(),
            returns_booked: 0,
            intervals: Vec::new(),
            latencies: Latencies::default(),
            windows: 0,
        }
    }

    /// Sends the invoices of one window, all at once as far as there are clients.
    async fn window(&mut self, stage: &mut Stage, invoices: &[Invoice], progress: &Progress) {
        let calls = invoices.iter().map(|invoice| batch(invoice, |_| true)).collect();
        let exchanges = insist(&mut stage.sessions, calls).await;
        let mut returns = Vec::new();
        for (invoice, exchange) in invoices.iter().zip(&exchanges) {
            progress.advance();
            let fate = exchange.as_ref().map_or(Fate::Unknown, |exchange| exchange.fate);
            self.enter(invoice, fate);
            if let Some(exchange) = exchange.as_ref().filter(|exchange| exchange.class != Class::Failed) {
                let Exchange { invoked_ns: sent_ns, returned_ns: answered_ns, .. } = *exchange;
                self.intervals.push(Interval { sent_ns, answered_ns });
                self.latencies.add(answered_ns.saturating_sub(sent_ns));
            }
            if fate == Fate::Refused && invoice.lines.iter().any(|line| line.delta > 0) {
                returns.push(invoice);
            }
        }
        self.book_returns(stage, &returns).await;
    }

    fn enter(&mut self, invoice: &Invoice, fate: Fate) {
        self.fates.sent += 1;
        match fate {
            Fate::Applied => {
                book(&mut self.stock, invoice);
                self.fates.accepted += 1;
                self.fates.lines_accepted += invoice.lines.len() as u64;
                self.fates.units_accepted +=
                    invoice.lines.iter().map(|line| line.delta.unsigned_abs()).sum::<u64>();
            }
            Fate::Refused => self.fates.refused += 1,
            Fate::NotApplied => self.fates.given_up += 1,
            Fate::Unknown => {
                self.fates.unknown += 1;
                self.doubt(invoice);
            }
        }
    }

    async fn book_returns(&mut self, stage: &mut Stage, invoices: &[&Invoice]) {
        let calls = invoices.iter().map(|invoice| batch(invoice, |delta| delta > 0)).collect();
        let exchanges = insist(&mut stage.sessions, calls).await;
        for (invoice, exchange) in invoices.iter().zip(&exchanges) {
            match exchange.as_ref().map(|exchange| exchange.fate) {
                Some(Fate::Applied) => {
                    book_returned(&mut self.stock, invoice);
                    self.returns_booked += 1;
                }
                Some(Fate::Refused | Fate::NotApplied) => {}
                Some(Fate::Unknown) | None => self.doubt(invoice),
            }
        }
    }

    fn doubt(&mut self, invoice: &Invoice) {
        for line in &invoice.lines {
            self.uncertain[line.sku as usize] = true;
        }
    }

    /// The skus whose final stock is another one than computed, and how many could not be computed.
    fn compare(&self, skus: &[String], reads: &[Option<Exchange>]) -> (Vec<WrongStock>, usize) {
        let mut wrong = Vec::new();
        for (index, (sku, read)) in skus.iter().zip(reads).enumerate() {
            let expected = self.stock[index];
            let found = read.as_ref().filter(|read| is_answered(Some(read))).and_then(on_hand);
            if !self.uncertain[index] && found.and_then(|found| i64::try_from(found).ok()) != Some(expected) {
                wrong.push(WrongStock { sku: sku.clone(), expected, found });
            }
        }
        (wrong, self.uncertain.iter().filter(|uncertain| **uncertain).count())
    }
}

fn on_hand(read: &Exchange) -> Option<u64> {
    match read.seen?.stock {
        SeenStock::Level { on_hand, .. } => Some(on_hand),
        _ => None,
    }
}

fn batch(invoice: &Invoice, wanted: impl Fn(i64) -> bool) -> Call {
    let lines = invoice.lines.iter().filter(|line| wanted(line.delta));
    Call::Batch(lines.map(|line| Change { key: Key(line.sku), delta: line.delta }).collect())
}
