//! One phase of a run: every client draws from its generator and asks, in closed or in open loop, until the limit.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use super::joined;
use super::session::{Class, Session};
use crate::interrupt::Stop;
use crate::measure::{OpenLoop, Phase, Sample};
use crate::output::Progress;
use crate::schedule::{Arrivals, Clock, LATE, Limit, nanos};
use crate::workload::{Generator, Spec};

/// What a phase is to do.
#[derive(Debug, Clone)]
pub struct Order {
    /// The number of the phase: each draws from generators of its own.
    pub number: u32,
    /// How much.
    pub limit: Limit,
    /// Requests per second in open loop; `None` is closed loop.
    pub rate_per_s: Option<f64>,
    /// No client records more than this: a bound on memory, not on time.
    pub records_max: usize,
}

/// Runs one phase with all sessions at once.
pub async fn run(
    sessions: &mut Vec<Session>,
    spec: &Spec,
    order: &Order,
    stop: &Stop,
    progress: &Progress,
) -> Phase {
    let Some(clock) = sessions.first().map(Session::clock) else { return Phase::default() };
    let clients = sessions.len() as u64;
    let start_ns = clock.now_ns();
    let arrivals = order.rate_per_s.map(|rate| Arc::new(Arrivals::plan(rate, order.limit, clock)));
    let releasing = arrivals.as_ref().map(|arrivals| arrivals.release(clock, stop.clone()));
    let mut tasks = JoinSet::new();
    for session in sessions.drain(..) {
        let worker = Worker {
            generator: spec.generator(order.number, session.id()),
            gate: Gate::new(order.limit, arrivals.as_ref(), start_ns, u64::from(session.id()), clients),
            stop: stop.clone(),
            progress: progress.clone(),
            clock,
            records_max: order.records_max,
            session,
            samples: Vec::new(),
            lateness: OpenLoop::default(),
        };
        tasks.spawn(worker.work());
    }
    let mut phase = Phase::default();
    while let Some(done) = tasks.join_next().await {
        let worker = joined(done);
        phase.full |= worker.is_full();
        phase.samples.extend(worker.samples);
        phase.open_loop.merge(worker.lateness);
        sessions.push(worker.session);
    }
    phase.elapsed = Duration::from_nanos(clock.now_ns() - start_ns);
    sessions.sort_unstable_by_key(Session::id);
    if let (Some(arrivals), Some(rate)) = (arrivals, order.rate_per_s) {
        phase.open_loop.rate_per_s = Some(rate);
        phase.open_loop.planned = arrivals.planned();
        phase.open_loop.not_sent = arrivals.planned() - arrivals.taken();
    }
    if let Some(thread) = releasing {
        // It ends with the phase: all arrivals are taken, or it was told to stop.
        let _ = tokio::task::spawn_blocking(move || thread.join()).await;
    }
    phase
}

struct Worker {
    session: Session,
    generator: Generator,
    gate: Gate,
    stop: Stop,
    progress: Progress,
    clock: Clock,
    records_max: usize,
    samples: Vec<Sample>,
    lateness: OpenLoop,
}

impl Worker {
    async fn work(mut self) -> Self {
        while !self.stop.requested() && !self.is_full() {
            let Some(start) = self.gate.next(self.clock).await else { break };
            let exchange = self.session.perform(self.generator.next_call()).await;
            if let Some(seen) = &exchange.seen {
                self.generator.heard(seen);
            }
            let began_ns = match start {
                Start::Now => exchange.invoked_ns,
                Start::Intended(intended_ns) => {
                    self.lateness.started(exchange.invoked_ns.saturating_sub(intended_ns));
                    intended_ns
                }
            };
            let latency_ns = exchange.returned_ns.saturating_sub(began_ns);
            self.samples.push(Sample { kind: exchange.kind, class: exchange.class, latency_ns });
            self.progress.advance();
            // A refused connection answers at once: without a pause a dead server would be asked in a busy loop.
            if exchange.class == Class::Failed {
                tokio::time::sleep(LATE).await;
            }
        }
        self
    }

    fn is_full(&self) -> bool {
        // Without disk what is recorded would fill the memory.
        self.session.records.len() >= self.records_max as u64 || self.session.records.has_failed()
    }
}

/// When a request may start.
enum Start {
    /// At once.
    Now,
    /// It was meant to start then.
    Intended(u64),
}

/// Lets requests start.
enum Gate {
    Until(u64),
    Count(u64),
    Open(Arc<Arrivals>),
}

impl Gate {
    fn new(limit: Limit, arrivals: Option<&Arc<Arrivals>>, start_ns: u64, client: u64, clients: u64) -> Self {
        match (arrivals, limit) {
            (Some(arrivals), _) => Self::Open(Arc::clone(arrivals)),
            (None, Limit::For(duration)) => Self::Until(start_ns + nanos(duration)),
            // Shared out beforehand, so that what each client asks does not depend on who was faster.
            (None, Limit::Requests(total)) => {
                Self::Count(total / clients + u64::from(client < total % clients))
            }
        }
    }

    async fn next(&mut self, clock: Clock) -> Option<Start> {
        match self {
            Self::Until(end_ns) => (clock.now_ns() < *end_ns).then_some(Start::Now),
            Self::Count(left) => {
                *left = left.checked_sub(1)?;
                Some(Start::Now)
            }
            Self::Open(arrivals) => arrivals.next().await.map(Start::Intended),
        }
    }
}
