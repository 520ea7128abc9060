//! One client of a crash test: sends its writes one after another, each until it is answered, across all lives.
//!
//! Some writes are sent once more after they were answered, in the same life or a later one, as an *echo*: the answer
//! has to be the same. A server that keeps its keys only in memory passes every other test.

use std::collections::VecDeque;

use history::Outcome;
use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};

use super::access::{Gate, Traffic, Up};
use super::errand::{Attempt, Errand, Wire};
use super::haul::Haul;
use super::workload::Generator;
use crate::client::answer::{Outcomes, judge};
use crate::client::failure::NO_CONNECTION;
use crate::client::{Call, Client, IdempotencyKey};
use crate::runner::session::records;
use crate::schedule::Clock;

/// One answered write of so many is sent once more.
const ECHO_EVERY: u32 = 8;

/// The most echoes that wait to be sent.
const ECHOES_MAX: usize = 8;

/// Everything that decides what a client asks.
#[derive(Debug)]
pub struct Assignment {
    /// The number of the client.
    pub id: u32,
    /// What it asks.
    pub generator: Generator,
    /// The beginning of its keys, which nobody else uses.
    pub keys: String,
    /// The seed of its echoes.
    pub seed: u64,
    /// The most records it keeps.
    pub records_max: usize,
}

/// One client.
#[derive(Debug)]
pub struct Worker {
    assignment: Assignment,
    clock: Clock,
    gate: Gate,
    rng: Xoshiro256PlusPlus,
    keys_used: u64,
    pending: Option<Errand>,
    echoes: VecDeque<Echo>,
    haul: Haul,
}

/// A write that was answered and will be sent once more.
#[derive(Debug)]
struct Echo {
    errand: Errand,
    outcomes: Outcomes,
    wire: Wire,
    /// The first life it may be sent in.
    from_life: u32,
}

/// What to do next.
enum Task {
    Errand(Errand),
    Echo(Echo),
    Read(Call),
    Wait,
    Leave,
}

impl Worker {
    /// A client with nothing on its way.
    pub fn new(assignment: Assignment, clock: Clock, gate: Gate) -> Self {
        let rng = Xoshiro256PlusPlus::seed_from_u64(assignment.seed);
        Self {
            assignment,
            clock,
            gate,
            rng,
            keys_used: 0,
            pending: None,
            echoes: VecDeque::new(),
            haul: Haul::default(),
        }
    }

    /// Works until all is over, or until nothing is left of the rest; answers what it saw.
    pub async fn work(mut self) -> Haul {
        while let Some(up) = self.gate.up().await {
            let going_on = match self.next_task(&up) {
                Task::Errand(errand) => self.run(errand, &up).await,
                Task::Echo(echo) => self.echo(echo, &up).await,
                Task::Read(call) => self.read(call, &up).await,
                Task::Wait => self.gate.changed().await,
                Task::Leave => false,
            };
            if !going_on {
                break;
            }
        }
        self.leave()
    }

    fn next_task(&mut self, up: &Up) -> Task {
        if up.traffic == Traffic::Hush {
            return Task::Wait;
        }
        if let Some(errand) = self.pending.take() {
            return Task::Errand(errand);
        }
        if up.traffic == Traffic::Retries {
            return Task::Wait;
        }
        let is_full = self.haul.records.len() >= self.assignment.records_max;
        let due = self.echoes.front().is_some_and(|echo| echo.from_life <= up.life);
        if up.traffic == Traffic::Rest {
            return self.echoes.pop_front().map_or(Task::Leave, Task::Echo);
        }
        let now = due && (is_full || self.rng.random_range(0..4) == 0);
        match self.echoes.pop_front_if(|_| now) {
            Some(echo) => Task::Echo(echo),
            None if is_full => Task::Wait,
            None => self.draw(),
        }
    }

    fn draw(&mut self) -> Task {
        let call = self.assignment.generator.next_call();
        if call.is_read() {
            return Task::Read(call);
        }
        self.keys_used += 1;
        let text = format!("{}{}-{}", self.assignment.keys, self.assignment.id, self.keys_used);
        // Both ways of writing a key are served; the number of the client decides, so that a retry writes it the same.
        let key = match self.assignment.id % 2 {
            0 => IdempotencyKey::quoted(&text),
            _ => IdempotencyKey::bare(&text),
        };
        match key {
            Ok(key) => Task::Errand(Errand::new(call, key, self.clock.now_ns())),
            // The beginning of the keys is our own: it is made of letters, digits and dashes.
            Err(_) => Task::Leave,
        }
    }

    async fn read(&mut self, call: Call, up: &Up) -> bool {
        let request = up.client.prepare(&call);
        self.haul.counts.requests += 1;
        let sent_ns = self.clock.now_ns();
        let reply = up.client.send(request).await;
        let judgement = judge(&call, up.client.catalogue(), reply);
        if let Outcomes::Whole(Outcome::Read(_)) = &judgement.outcomes {
            self.haul.counts.reads += 1;
            let now_ns = self.clock.now_ns();
            self.haul.records.extend(records(self.assignment.id, call, judgement.outcomes, sent_ns, now_ns));
            return true;
        }
        self.haul.tally.add(&judgement);
        self.haul.counts.reads_lost += 1;
        up.stint.outages.failed();
        let nobody = judgement.failure.is_some_and(|failure| failure.kind == NO_CONNECTION);
        if nobody { self.gate.next_life().await } else { self.gate.pause().await }
    }

    async fn run(&mut self, mut errand: Errand, up: &Up) -> bool {
        let request = errand.request(&up.client);
        self.haul.counts.requests += 1;
        let (was_in_doubt, sent_ns) = (errand.in_doubt, self.clock.now_ns());
        let reply = up.client.send(request).await;
        let (attempt, judgement) = errand.judge(&up.client, reply);
        let now_ns = self.clock.now_ns();
        self.haul.tally.add(&judgement);
        let kind = errand.call.kind();
        if errand.in_doubt && !was_in_doubt {
            self.haul.counts.writes.entry(kind).or_default().unknown += 1;
            up.stint.outages.unknown();
        }
        match attempt {
            Attempt::Final { outcomes, wire } => {
                if !wire.replayed && outcomes.have_an_effect() {
                    up.stint.outages.acknowledged(sent_ns);
                }
                self.finish(errand, outcomes, wire, now_ns, up);
                return true;
            }
            Attempt::Rejected => {
                let what = judgement.failure.map(|failure| failure.example);
                self.haul.counts.rejected.add(|| what.unwrap_or_default());
                self.give_up(errand);
            }
            Attempt::Doubt => {
                up.stint.doubt();
                up.stint.outages.failed();
                self.gate.go_on();
                self.pending = Some(errand);
            }
            Attempt::NotNow => {
                up.stint.outages.failed();
                self.pending = Some(errand);
            }
            Attempt::NoServer => {
                up.stint.outages.failed();
                self.pending = Some(errand);
                return self.gate.next_life().await;
            }
        }
        self.gate.pause().await
    }

    fn finish(&mut self, errand: Errand, outcomes: Outcomes, wire: Wire, now_ns: u64, up: &Up) {
        let writes = self.haul.counts.writes.entry(errand.call.kind()).or_default();
        match &outcomes {
            Outcomes::Whole(Outcome::Refused(_)) => writes.refused += 1,
            _ => writes.applied += 1,
        }
        if errand.in_doubt {
            up.stint.outages.settled();
        }
        match (errand.in_doubt, wire.replayed) {
            (true, true) => writes.unknown_replayed += 1,
            (true, false) => writes.unknown_executed += 1,
            (false, true) => {
                self.haul.counts.denied.add(|| errand.describe(&up.client));
            }
            (false, false) => {}
        }
        let (id, sent_ns) = (self.assignment.id, errand.first_sent_ns);
        if self.rng.random_range(0..ECHO_EVERY) == 0 && self.echoes.len() < ECHOES_MAX {
            let from_life = up.life + u32::from(self.rng.random::<bool>());
            let (errand, outcomes) = (errand.clone(), outcomes.clone());
            self.echoes.push_back(Echo { errand, outcomes, wire, from_life });
        }
        self.haul.records.extend(records(id, errand.call, outcomes, sent_ns, now_ns));
    }

    async fn echo(&mut self, mut echo: Echo, up: &Up) -> bool {
        let request = echo.errand.request(&up.client);
        self.haul.counts.requests += 1;
        let reply = up.client.send(request).await;
        let (attempt, judgement) = echo.errand.judge(&up.client, reply);
        match attempt {
            Attempt::Final { outcomes, wire } => {
                self.haul.counts.writes.entry(echo.errand.call.kind()).or_default().echoes += 1;
                self.compare(&echo, &outcomes, &wire, &up.client);
                return true;
            }
            Attempt::Rejected => {
                self.haul.tally.add(&judgement);
                let what = judgement.failure.map(|failure| failure.example).unwrap_or_default();
                let whose = || echo.errand.describe(&up.client);
                self.haul.counts.echoes_inexact.add(|| format!("{} is now rejected: {what}", whose()));
            }
            Attempt::Doubt | Attempt::NotNow => self.echoes.push_front(echo),
            Attempt::NoServer => {
                self.echoes.push_front(echo);
                return self.gate.next_life().await;
            }
        }
        self.gate.pause().await
    }

    fn compare(&mut self, echo: &Echo, outcomes: &Outcomes, wire: &Wire, client: &Client) {
        let told = |wire: &Wire| format!("{} {}", wire.status, String::from_utf8_lossy(&wire.body));
        let whose = || echo.errand.describe(client);
        let both = || format!("{} was answered {}, then {}", whose(), told(&echo.wire), told(wire));
        if *outcomes != echo.outcomes {
            self.haul.counts.echoes_differing.add(both);
        } else if !wire.replayed || (wire.status, &wire.body) != (echo.wire.status, &echo.wire.body) {
            let mark = if wire.replayed { "" } else { ", without Idempotent-Replayed: true" };
            self.haul.counts.echoes_inexact.add(|| both() + mark);
        }
    }

    fn give_up(&mut self, errand: Errand) {
        if errand.in_doubt {
            self.haul.counts.writes.entry(errand.call.kind()).or_default().unresolved += 1;
        }
        let (left, now_ns) = (Outcomes::Whole(errand.left()), self.clock.now_ns());
        self.haul.records.extend(records(
            self.assignment.id,
            errand.call,
            left,
            errand.first_sent_ns,
            now_ns,
        ));
    }

    fn leave(mut self) -> Haul {
        if let Some(errand) = self.pending.take() {
            self.give_up(errand);
        }
        self.haul
    }
}
