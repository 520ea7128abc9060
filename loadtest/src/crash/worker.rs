//! One client of a crash test: sends its writes one after another, each until it is answered, across all lives.
//!
//! Some writes are sent once more after they were answered, in the same life or a later one, as an *echo*: the answer
//! has to be the same. A server that keeps its keys only in memory passes every other test.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use history::{Outcome, Record};
use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};
use serde::Serialize;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::errand::{Attempt, Errand, Wire};
use super::workload::Generator;
use crate::client::answer::{Outcomes, judge};
use crate::client::failure::NO_CONNECTION;
use crate::client::{Call, Client, IdempotencyKey, Kind};
use crate::runner::session::{Tally, records};
use crate::schedule::Clock;

/// The pause before an attempt that follows one that was not answered for good.
const PAUSE: Duration = Duration::from_millis(5);

/// The longest a client that found nobody listening waits for the next life before it tries the same one again.
const ABSENCE_MAX: Duration = Duration::from_secs(1);

/// One answered write of so many is sent once more.
const ECHO_EVERY: u32 = 8;

/// The most echoes that wait to be sent.
const ECHOES_MAX: usize = 8;

/// Where requests go just now.
#[derive(Debug, Clone)]
pub enum Access {
    /// Nowhere: there is no server.
    Down,
    /// To a server.
    Up(Up),
    /// Nowhere, and never again.
    Over,
}

/// A life that takes requests.
#[derive(Debug, Clone)]
pub struct Up {
    /// Which start of the server it is.
    pub life: u32,
    /// How it is reached.
    pub client: Arc<Client>,
    /// What may be sent.
    pub traffic: Traffic,
    /// Writes that may have taken effect in this life, although it did not answer them.
    pub doubts: Arc<AtomicU64>,
}

/// What may be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Traffic {
    /// Writes that are not answered yet: the server is not ready.
    Retries,
    /// Everything.
    All,
    /// What is left over, and then the client is finished.
    Rest,
}

/// What a client did.
#[derive(Debug, Default)]
pub struct Counts {
    /// Writes, by kind.
    pub writes: BTreeMap<Kind, Writes>,
    /// Reads that were answered.
    pub reads: u64,
    /// Reads that were not, which is of no consequence.
    pub reads_lost: u64,
    /// Requests sent, all attempts counted.
    pub requests: u64,
    /// Echoes with another outcome than before: the write was executed twice.
    pub echoes_differing: Examples,
    /// Echoes with the same outcome, but not marked as replayed or not the same byte for byte.
    pub echoes_inexact: Examples,
    /// Writes whose answer was marked as replayed, although every earlier attempt was said not to have happened.
    pub denied: Examples,
    /// Writes that the server would not have, or that it never answered within the contract.
    pub rejected: Examples,
}

/// The writes of one kind.
#[derive(Debug, Clone, Copy, Default, Serialize)]
#[expect(missing_docs, reason = "each is what its name says, explained in the README")]
pub struct Writes {
    pub applied: u64,
    pub refused: u64,
    pub unknown: u64,
    pub unknown_replayed: u64,
    pub unknown_executed: u64,
    pub unresolved: u64,
    pub echoes: u64,
}

/// How often something happened that should not, with the first example.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Examples {
    /// How often.
    pub count: u64,
    /// The first time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first: Option<String>,
}

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
    access: watch::Receiver<Access>,
    rng: Xoshiro256PlusPlus,
    keys_used: u64,
    pending: Option<Errand>,
    echoes: VecDeque<Echo>,
    /// What it saw, in its own order.
    pub records: Vec<Record>,
    /// Refusals and failures of all attempts.
    pub tally: Tally,
    /// What it did.
    pub counts: Counts,
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
    pub fn new(assignment: Assignment, clock: Clock, access: watch::Receiver<Access>) -> Self {
        let rng = Xoshiro256PlusPlus::seed_from_u64(assignment.seed);
        Self {
            assignment,
            clock,
            access,
            rng,
            keys_used: 0,
            pending: None,
            echoes: VecDeque::new(),
            records: Vec::new(),
            tally: Tally::default(),
            counts: Counts::default(),
        }
    }

    /// Works until all is over, or until nothing is left of the rest.
    pub async fn work(mut self) -> Self {
        loop {
            let access = self.access.borrow_and_update().clone();
            let going_on = match access {
                Access::Over => false,
                Access::Down => self.access.changed().await.is_ok(),
                Access::Up(up) => match self.next_task(&up) {
                    Task::Errand(errand) => self.run(errand, &up).await,
                    Task::Echo(echo) => self.echo(echo, &up).await,
                    Task::Read(call) => self.read(call, &up).await,
                    Task::Wait => self.access.changed().await.is_ok(),
                    Task::Leave => false,
                },
            };
            if !going_on {
                return self.leave();
            }
        }
    }

    fn next_task(&mut self, up: &Up) -> Task {
        if let Some(errand) = self.pending.take() {
            return Task::Errand(errand);
        }
        if up.traffic == Traffic::Retries {
            return Task::Wait;
        }
        let is_full = self.records.len() >= self.assignment.records_max;
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
        self.counts.requests += 1;
        let sent_ns = self.clock.now_ns();
        let reply = up.client.send(request).await;
        let judgement = judge(&call, up.client.catalogue(), reply);
        if let Outcomes::Whole(Outcome::Read(_)) = &judgement.outcomes {
            self.counts.reads += 1;
            let now_ns = self.clock.now_ns();
            self.records.extend(records(self.assignment.id, call, judgement.outcomes, sent_ns, now_ns));
            return true;
        }
        self.tally.add(&judgement);
        self.counts.reads_lost += 1;
        let nobody = judgement.failure.is_some_and(|failure| failure.kind == NO_CONNECTION);
        if nobody { self.next_life().await } else { self.pause().await }
    }

    async fn run(&mut self, mut errand: Errand, up: &Up) -> bool {
        let request = errand.request(&up.client);
        self.counts.requests += 1;
        let was_in_doubt = errand.in_doubt;
        let reply = up.client.send(request).await;
        let (attempt, judgement) = errand.judge(&up.client, reply);
        let now_ns = self.clock.now_ns();
        self.tally.add(&judgement);
        let kind = errand.call.kind();
        if errand.in_doubt && !was_in_doubt {
            self.counts.writes.entry(kind).or_default().unknown += 1;
        }
        match attempt {
            Attempt::Final { outcomes, wire } => {
                self.finish(errand, outcomes, wire, now_ns, up);
                return true;
            }
            Attempt::Rejected => {
                let what = judgement.failure.map(|failure| failure.example);
                self.counts.rejected.add(|| what.unwrap_or_default());
                self.give_up(errand);
            }
            Attempt::Doubt => {
                up.doubts.fetch_add(1, Ordering::Relaxed);
                self.pending = Some(errand);
            }
            Attempt::NotNow => self.pending = Some(errand),
            Attempt::NoServer => {
                self.pending = Some(errand);
                return self.next_life().await;
            }
        }
        self.pause().await
    }

    fn finish(&mut self, errand: Errand, outcomes: Outcomes, wire: Wire, now_ns: u64, up: &Up) {
        let writes = self.counts.writes.entry(errand.call.kind()).or_default();
        match &outcomes {
            Outcomes::Whole(Outcome::Refused(_)) => writes.refused += 1,
            _ => writes.applied += 1,
        }
        match (errand.in_doubt, wire.replayed) {
            (true, true) => writes.unknown_replayed += 1,
            (true, false) => writes.unknown_executed += 1,
            (false, true) => {
                self.counts.denied.add(|| errand.describe(&up.client));
            }
            (false, false) => {}
        }
        let (id, sent_ns) = (self.assignment.id, errand.first_sent_ns);
        if self.rng.random_range(0..ECHO_EVERY) == 0 && self.echoes.len() < ECHOES_MAX {
            let from_life = up.life + u32::from(self.rng.random::<bool>());
            let (errand, outcomes) = (errand.clone(), outcomes.clone());
            self.echoes.push_back(Echo { errand, outcomes, wire, from_life });
        }
        self.records.extend(records(id, errand.call, outcomes, sent_ns, now_ns));
    }

    async fn echo(&mut self, mut echo: Echo, up: &Up) -> bool {
        let request = echo.errand.request(&up.client);
        self.counts.requests += 1;
        let reply = up.client.send(request).await;
        let (attempt, judgement) = echo.errand.judge(&up.client, reply);
        match attempt {
            Attempt::Final { outcomes, wire } => {
                self.counts.writes.entry(echo.errand.call.kind()).or_default().echoes += 1;
                self.compare(&echo, &outcomes, &wire, &up.client);
                return true;
            }
            Attempt::Rejected => {
                self.tally.add(&judgement);
                let what = judgement.failure.map(|failure| failure.example).unwrap_or_default();
                let whose = || echo.errand.describe(&up.client);
                self.counts.echoes_inexact.add(|| format!("{} is now rejected: {what}", whose()));
            }
            Attempt::Doubt | Attempt::NotNow => self.echoes.push_front(echo),
            Attempt::NoServer => {
                self.echoes.push_front(echo);
                return self.next_life().await;
            }
        }
        self.pause().await
    }

    fn compare(&mut self, echo: &Echo, outcomes: &Outcomes, wire: &Wire, client: &Client) {
        let told = |wire: &Wire| format!("{} {}", wire.status, String::from_utf8_lossy(&wire.body));
        let whose = || echo.errand.describe(client);
        let both = || format!("{} was answered {}, then {}", whose(), told(&echo.wire), told(wire));
        if *outcomes != echo.outcomes {
            self.counts.echoes_differing.add(both);
        } else if !wire.replayed || (wire.status, &wire.body) != (echo.wire.status, &echo.wire.body) {
            let mark = if wire.replayed { "" } else { ", without Idempotent-Replayed: true" };
            self.counts.echoes_inexact.add(|| both() + mark);
        }
    }

    async fn pause(&self) -> bool {
        sleep(PAUSE).await;
        true
    }

    /// Waits for another life, but not for ever; answers whether there may be one.
    async fn next_life(&mut self) -> bool {
        !matches!(timeout(ABSENCE_MAX, self.access.changed()).await, Ok(Err(_)))
    }

    fn give_up(&mut self, errand: Errand) {
        if errand.in_doubt {
            self.counts.writes.entry(errand.call.kind()).or_default().unresolved += 1;
        }
        let (left, now_ns) = (Outcomes::Whole(errand.left()), self.clock.now_ns());
        self.records.extend(records(self.assignment.id, errand.call, left, errand.first_sent_ns, now_ns));
    }

    fn leave(mut self) -> Self {
        if let Some(errand) = self.pending.take() {
            self.give_up(errand);
        }
        self
    }
}

impl Examples {
    /// One more.
    pub fn add(&mut self, example: impl FnOnce() -> String) {
        self.count += 1;
        self.first.get_or_insert_with(example);
    }

    fn merge(&mut self, other: Self) {
        self.count += other.count;
        self.first = self.first.take().or(other.first);
    }
}

impl Counts {
    /// Takes the counts of another client in.
    pub fn merge(&mut self, other: Self) {
        for (kind, writes) in other.writes {
            self.writes.entry(kind).or_default().add(writes);
        }
        self.reads += other.reads;
        self.reads_lost += other.reads_lost;
        self.requests += other.requests;
        self.echoes_differing.merge(other.echoes_differing);
        self.echoes_inexact.merge(other.echoes_inexact);
        self.denied.merge(other.denied);
        self.rejected.merge(other.rejected);
    }
}

impl Writes {
    /// Adds others to these.
    pub fn add(&mut self, other: Self) {
        self.applied += other.applied;
        self.refused += other.refused;
        self.unknown += other.unknown;
        self.unknown_replayed += other.unknown_replayed;
        self.unknown_executed += other.unknown_executed;
        self.unresolved += other.unresolved;
        self.echoes += other.echoes;
    }
}
