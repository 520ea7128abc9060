//! One phase of a run: every client plays its tape and asks, in closed or in open loop, until the limit.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use super::cores::{Cores, Home};
use super::joined;
use super::session::{Class, Exchange, Session};
use super::vitals::Vitals;
use crate::measure::{Course, OpenLoop, Phase, Sample, Samples};
use crate::output::Progress;
use crate::schedule::arrivals::Ticket;
use crate::schedule::timetable::Timetable;
use crate::schedule::{Arrivals, Clock, LATE, Limit, Offered, nanos};
use crate::workload::{Spec, Tape, tape};

/// What a phase is to do.
#[derive(Debug, Clone)]
pub struct Order {
    /// The number of the phase: each draws from generators of its own.
    pub number: u32,
    /// What it is called.
    pub stage: &'static str,
    /// How much.
    pub limit: Limit,
    /// What the open loop offers; `None` is closed loop.
    pub offered: Option<Offered>,
    /// No client records more than this: a bound on memory, not on time.
    pub records_max: usize,
}

/// Runs one phase with all sessions at once.
pub async fn run(
    sessions: &mut Vec<Session>,
    spec: &Spec,
    order: &Order,
    vitals: &Vitals,
    progress: &Progress,
) -> Phase {
    let Some(clock) = sessions.first().map(Session::clock) else { return Phase::default() };
    let clients = sessions.len() as u64;
    let steps = order
        .limit
        .requests()
        .map_or(usize::MAX, |requests| usize::try_from(requests.div_ceil(clients)).unwrap_or(usize::MAX));
    let steps = steps.min(tape::steps(sessions.len()));
    // Drawn before the clock starts.
    let draw = |session: &Session| Tape::draw(spec.generator(order.number, session.id()), steps);
    let tapes: Vec<Tape> = sessions.iter().map(draw).collect();
    let start_ns = clock.now_ns();
    let plan_arrivals = |offered| Arrivals::plan(offered, order.limit, spec.seed, start_ns, clients);
    let arrivals = order.offered.as_ref().map(plan_arrivals).map(Arc::new);
    let plan = Plan {
        order: order.clone(),
        vitals: vitals.clone(),
        progress: progress.clone(),
        arrivals: arrivals.clone(),
        clock,
        start_ns,
        clients,
    };
    let mut phase = Phase::default();
    for crew in crews(sessions.drain(..).zip(tapes), &plan).await {
        phase.full |= crew.sessions.iter().any(|session| is_full(session, order));
        phase.samples.merge(&crew.counted.samples);
        phase.course.merge(crew.counted.course);
        phase.unheard += crew.counted.unheard;
        sessions.extend(crew.sessions);
    }
    // Of a server that died, what came after is no part of the measurement.
    let end_ns = vitals.death().map_or_else(|| clock.now_ns(), |death| death.at_ns);
    phase.elapsed = Duration::from_nanos(end_ns.saturating_sub(start_ns));
    sessions.sort_unstable_by_key(Session::id);
    if let (Some(arrivals), Some(offered)) = (arrivals, &order.offered) {
        phase.open_loop = OpenLoop {
            rate_per_s: Some(offered.rate.mean_per_s()),
            planned: arrivals.planned(),
            late: phase.samples.late(),
            late_ns_max: phase.samples.lag().max_ns(),
            not_sent: arrivals.planned().saturating_sub(phase.samples.all().sent()),
        };
    }
    phase
}

/// Everything that the clients of a phase have in common.
#[derive(Debug, Clone)]
struct Plan {
    order: Order,
    vitals: Vitals,
    progress: Progress,
    arrivals: Option<Arc<Arrivals>>,
    clock: Clock,
    start_ns: u64,
    clients: u64,
}

/// The clients of one thread, and what they counted together.
struct Crew {
    sessions: Vec<Session>,
    counted: Counted,
}

/// What the clients of one thread counted.
#[derive(Debug, Default)]
struct Counted {
    samples: Samples,
    course: Course,
    unheard: u32,
}

/// Lets each thread's clients work; answers when all are done.
async fn crews(clients: impl Iterator<Item = (Session, Tape)>, plan: &Plan) -> Vec<Crew> {
    let mut by_thread: BTreeMap<Option<usize>, Vec<(Session, Tape)>> = BTreeMap::new();
    for client in clients {
        by_thread.entry(client.0.home().map(Home::index)).or_default().push(client);
    }
    let mut tasks = JoinSet::new();
    for clients in by_thread.into_values() {
        let plan = plan.clone();
        // Sessions that live nowhere are given a thread for this phase.
        let home = clients.first().and_then(|(session, _)| session.home().cloned());
        let home = home.unwrap_or_else(|| Cores::for_clients(1).home(0));
        tasks.spawn(home.run(move || crew(clients, plan)));
    }
    let mut crews = Vec::new();
    while let Some(done) = tasks.join_next().await {
        crews.push(joined(done));
    }
    crews
}

async fn crew(clients: Vec<(Session, Tape)>, plan: Plan) -> Crew {
    let counted = Rc::new(RefCell::new(Counted::default()));
    let timetable = plan.arrivals.as_ref().map(|arrivals| arrivals.timetable());
    let mut tasks = JoinSet::new();
    for (session, tape) in clients {
        let worker = Worker {
            tape,
            gate: Gate::new(&plan, timetable.as_ref(), u64::from(session.id())),
            plan: plan.clone(),
            session,
            counted: Rc::clone(&counted),
            answered_ns: None,
        };
        tasks.spawn_local(worker.work());
    }
    let mut sessions = Vec::new();
    while let Some(done) = tasks.join_next().await {
        sessions.push(joined(done));
    }
    Crew { sessions, counted: counted.take() }
}

struct Worker {
    session: Session,
    tape: Tape,
    gate: Gate,
    plan: Plan,
    counted: Rc<RefCell<Counted>>,
    /// When the last answer was there.
    answered_ns: Option<u64>,
}

impl Worker {
    async fn work(mut self) -> Session {
        let (mut heard, mut cut_off) = (false, false);
        while !self.plan.vitals.over() && !self.is_full() {
            let Some(start) = self.gate.next(&self.plan).await else { break };
            let exchange = self.session.perform(self.tape.next_call()).await;
            if let Some(seen) = &exchange.seen {
                self.tape.heard(seen);
            }
            self.count(start, &exchange);
            // No answer in time says nothing of the connection.
            heard |= !exchange.cut_off && exchange.class != Class::TimedOut;
            cut_off |= exchange.cut_off;
            if exchange.cut_off && !self.knock(&exchange).await {
                break;
            }
        }
        self.counted.borrow_mut().unheard += u32::from(cut_off && !heard);
        self.session
    }

    fn count(&mut self, start: Start, exchange: &Exchange) {
        let Exchange { kind, class, invoked_ns, returned_ns, .. } = *exchange;
        let (began_ns, lag_ns) = match start {
            Start::Now => {
                (invoked_ns, self.answered_ns.map(|answered_ns| invoked_ns.saturating_sub(answered_ns)))
            }
            Start::Intended(intended_ns) => (intended_ns, Some(invoked_ns.saturating_sub(intended_ns))),
        };
        let response_ns = returned_ns.saturating_sub(began_ns);
        let service_ns = returned_ns.saturating_sub(invoked_ns);
        let sample = Sample { kind, class, response_ns, service_ns, lag_ns };
        let mut counted = self.counted.borrow_mut();
        counted.samples.add(&sample);
        counted.course.add(returned_ns.saturating_sub(self.plan.start_ns), &sample);
        drop(counted);
        self.answered_ns = Some(returned_ns);
        match &self.session.watch {
            Some(watch) => watch.gauge.add(class, response_ns),
            None => self.plan.progress.advance(),
        }
    }

    /// Whether the server is still there. A connection that could not be made answers at once: without a pause a client that is
    /// out of ports would ask in a busy loop.
    async fn knock(&mut self, exchange: &Exchange) -> bool {
        let goes_on = self.plan.vitals.ask(exchange.returned_ns, self.plan.order.stage).await;
        tokio::time::sleep(LATE).await;
        // The pause is no time of the generator's.
        self.answered_ns = None;
        goes_on
    }

    fn is_full(&self) -> bool {
        is_full(&self.session, &self.plan.order)
    }
}

/// Whether a client has recorded as much as it may. Without disk what is recorded would fill the memory.
fn is_full(session: &Session, order: &Order) -> bool {
    session.records.len() >= order.records_max as u64 || session.records.has_failed()
}

/// When a request may start.
#[derive(Debug, Clone, Copy)]
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
    Open(Ticket),
}

impl Gate {
    fn new(plan: &Plan, timetable: Option<&Rc<RefCell<Timetable>>>, client: u64) -> Self {
        match (plan.arrivals.as_ref().zip(timetable), plan.order.limit) {
            (Some((arrivals, timetable)), _) => {
                Self::Open(Ticket::new(Arc::clone(arrivals), Rc::clone(timetable), client))
            }
            (None, Limit::For(duration)) => Self::Until(plan.start_ns + nanos(duration)),
            // Shared out beforehand, so that what each client asks does not depend on who was faster.
            (None, Limit::Requests(total)) => {
                Self::Count(total / plan.clients + u64::from(client < total % plan.clients))
            }
        }
    }

    async fn next(&mut self, plan: &Plan) -> Option<Start> {
        match self {
            Self::Until(end_ns) => (plan.clock.now_ns() < *end_ns).then_some(Start::Now),
            Self::Count(left) => {
                *left = left.checked_sub(1)?;
                Some(Start::Now)
            }
            Self::Open(ticket) => ticket.next(plan.clock, &plan.vitals).await.map(Start::Intended),
        }
    }
}
