//! One client of a run: performs calls one after another and writes down what it saw.
//!
//! Each session owns its records, so recording takes no lock and no atomic: an append to a log of its own, which goes to disk
//! where memory ends ([`history::log`]).

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use history::{Log, Outcome, Record, Seen, Store};

use super::cores::Home;
use super::ways::{Traffic, Ways, leads_nowhere};
use crate::client::answer::judge;
use crate::client::failure::{ABANDONED, CONTRACT_BREACH, TIMEOUT};
use crate::client::faults::{Again, FaultCounts, Saboteur, Suffered};
use crate::client::plain::Link;
use crate::client::replicas::Route;
use crate::client::{Answer, Call, Client, Failure, IdempotencyKey, Judgement, Kind, Outcomes};
use crate::progress::board::Watch;
use crate::schedule::Clock;

/// One client of a run.
#[derive(Debug)]
pub struct Session {
    id: u32,
    ways: Ways,
    clock: Clock,
    home: Option<Home>,
    saboteur: Option<Saboteur>,
    /// The figures of its thread, if somebody looks.
    pub watch: Option<Arc<Watch>>,
    /// What this client saw, in its own order.
    pub records: Log,
    /// Refusals and failures since the tally was last taken.
    pub tally: Tally,
}

/// Refusals and failures, counted by name.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    /// Refusals by the name of the problem.
    pub refusals: BTreeMap<String, u64>,
    /// Failures by kind, with the first example of each.
    pub failures: BTreeMap<Cow<'static, str>, Failures>,
}

/// How often a kind of failure happened.
#[derive(Debug, Clone)]
pub struct Failures {
    /// How often.
    pub count: u64,
    /// The first one, in full.
    pub example: String,
}

/// One call and how it went.
#[derive(Debug, Clone, Copy)]
pub struct Exchange {
    /// What kind of call it was.
    pub kind: Kind,
    /// When it was sent.
    pub invoked_ns: u64,
    /// When the whole answer was there.
    pub returned_ns: u64,
    /// How it went.
    pub class: Class,
    /// What became of a write.
    pub fate: Fate,
    /// What a read saw.
    pub seen: Option<Seen>,
    /// Whether the connection was refused or lost: then the server may be gone.
    pub cut_off: bool,
}

/// What became of a write, as far as its client knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It took effect. Also: a read was answered, or the lines of an independent batch each have their own fate.
    Applied,
    /// It was refused for the state of the stock.
    Refused,
    /// It certainly did not happen.
    NotApplied,
    /// Nobody knows.
    Unknown,
}

/// How a call went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Answered as asked. An independent batch counts as answered, whatever its lines met.
    Done,
    /// Refused for the state of the stock.
    Refused,
    /// No answer in time.
    TimedOut,
    /// Its client went away on purpose.
    Abandoned,
    /// Anything else: overload, a lost connection, an answer that does not fit the contract.
    Failed,
}

impl Session {
    /// A client of one server, with nothing recorded yet.
    pub fn new(id: u32, client: Arc<Client>, clock: Clock) -> Self {
        Self::over(id, Ways::new(id, vec![client]), clock)
    }

    /// A client of a service, whose ways to it are these.
    pub fn over(id: u32, ways: Ways, clock: Clock) -> Self {
        Self {
            id,
            ways,
            clock,
            home: None,
            saboteur: None,
            watch: None,
            records: Log::default(),
            tally: Tally::default(),
        }
    }

    /// The same client, with what it records kept together with that of others: they have one bound of memory.
    #[must_use]
    pub fn keeping(self, store: &Arc<Store>) -> Self {
        Self { records: Log::new(Arc::clone(store)), ..self }
    }

    /// A client that lives on a thread of its own choice, as its connections do.
    #[must_use]
    pub fn at(self, home: Home) -> Self {
        Self { home: Some(home), ..self }
    }

    /// A client with a connection of its own to each replica, in place of the pool's.
    #[must_use]
    pub fn on(self, links: impl IntoIterator<Item = Link>) -> Self {
        Self { ways: self.ways.on(links), ..self }
    }

    /// A client that meets faults of its own making.
    #[must_use]
    pub fn sabotaged(self, saboteur: Saboteur) -> Self {
        Self { saboteur: Some(saboteur), ..self }
    }

    /// The faults it met since the last time.
    pub fn take_faults(&mut self) -> FaultCounts {
        self.saboteur.as_mut().map(Saboteur::take_counts).unwrap_or_default()
    }

    /// What it asked of each replica since the last time, in their order.
    pub fn take_traffic(&mut self) -> impl Iterator<Item = Traffic> {
        self.ways.take_traffic()
    }

    /// Lets it ask that replica from now on; past the last one comes the first.
    pub fn turn_to(&mut self, replica: usize) {
        self.ways.turn_to(replica);
    }

    /// Lets it choose the replica that it asks like that from now on.
    pub fn choose_by(&mut self, route: Route) {
        self.ways.choose_by(route);
    }

    /// Where it lives; `None` is wherever its caller runs it.
    pub fn home(&self) -> Option<&Home> {
        self.home.as_ref()
    }

    /// The number of the client.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// The clock of the run.
    pub fn clock(&self) -> Clock {
        self.clock
    }

    /// Performs one call and records it; at more than one replica, if its own leads nowhere ([`super::ways`]).
    pub async fn perform(&mut self, call: Call) -> Exchange {
        let kind = call.kind();
        let Made { began_ns, in_doubt, last } = self.make(&call).await;
        let Attempt { invoked_ns, returned_ns, judgement, again } = last;
        let class = class(&judgement);
        let fate = match fate(&judgement) {
            // The last attempt certainly did nothing, but one before it may have.
            Fate::NotApplied if in_doubt.is_some() => Fate::Unknown,
            fate => fate,
        };
        let cut_off = judgement.failure.as_ref().is_some_and(Failure::is_cut_off);
        let seen = match &judgement.outcomes {
            Outcomes::Whole(Outcome::Read(seen)) => Some(*seen),
            _ => None,
        };
        match (in_doubt, again) {
            (None, None) => self.record(records(self.id, call, judgement.outcomes, invoked_ns, returned_ns)),
            (Some(once), _) => {
                let last = records(self.id, call, judgement.outcomes, invoked_ns, returned_ns);
                self.record(attempts(once, last));
            }
            (None, Some(again)) => {
                let once = again.once;
                let second = self.judge(&call, Ok(again.answer)).outcomes;
                let first = records(self.id, call.clone(), judgement.outcomes, invoked_ns, returned_ns);
                self.record(attempts(once, first));
                let second = records(self.id, call, second, again.invoked_ns, again.returned_ns);
                self.record_again(attempts(once, second));
            }
        }
        Exchange { kind, invoked_ns: began_ns, returned_ns, class, fate, seen, cut_off }
    }
}

/// A call that was made, at one replica or at several.
struct Made {
    /// When the first attempt was sent.
    began_ns: u64,
    /// The number of its key, if an attempt before the last may have had an effect.
    in_doubt: Option<u64>,
    last: Attempt,
}

/// One attempt at a call.
struct Attempt {
    invoked_ns: u64,
    returned_ns: u64,
    judgement: Judgement,
    /// The same request once more, if it was sent again and answered again.
    again: Option<Again>,
}

impl Session {
    /// Makes a call of the replica that it asks, and of the next ones in turn as long as that leads nowhere.
    async fn make(&mut self, call: &Call) -> Made {
        self.ways.choose(call);
        if let Some(last) = self.suffer(call).await {
            // What met a fault is what it is. But whoever found nobody there asks elsewhere from now on.
            if last.judgement.failure.as_ref().is_some_and(Failure::is_unsent) {
                self.ways.go_on();
            }
            return Made { began_ns: last.invoked_ns, in_doubt: None, last };
        }
        let key = self.ways.key(call);
        let mut last = self.attempt(call, key.as_ref()).await;
        let (began_ns, mut in_doubt) = (last.invoked_ns, None);
        for _ in 0..self.ways.detours() {
            if !leads_nowhere(&last.judgement, key.is_some()) {
                break;
            }
            if last.judgement.outcomes == Outcomes::Whole(Outcome::Unknown) {
                let once = *in_doubt.get_or_insert_with(|| self.ways.number());
                let (invoked_ns, returned_ns) = (last.invoked_ns, last.returned_ns);
                let doubt = records(self.id, call.clone(), last.judgement.outcomes, invoked_ns, returned_ns);
                self.record_again(attempts(once, doubt));
            }
            self.ways.go_on();
            last = self.attempt(call, key.as_ref()).await;
        }
        Made { began_ns, in_doubt, last }
    }

    /// Makes a call with a fault of its own making, if it draws one.
    async fn suffer(&mut self, call: &Call) -> Option<Attempt> {
        let (clock, at) = (self.clock, self.ways.at());
        let saboteur = self.saboteur.as_mut()?;
        let invoked_ns = clock.now_ns();
        let suffered = saboteur.perform(call, at, || clock.now_ns()).await?;
        if let Some(breach) = &suffered.breach {
            self.tally.fail(breach);
        }
        let Suffered { reply, returned_ns, again, .. } = suffered;
        self.ways.count_in(&reply);
        Some(Attempt { invoked_ns, returned_ns, judgement: self.judge_and_count(call, reply), again })
    }

    /// Makes a call of the replica that it asks, once.
    async fn attempt(&mut self, call: &Call, key: Option<&IdempotencyKey>) -> Attempt {
        let (invoked_ns, reply) = self.ways.send(call, key, self.clock).await;
        let returned_ns = self.clock.now_ns();
        Attempt { invoked_ns, returned_ns, judgement: self.judge_and_count(call, reply), again: None }
    }

    fn judge_and_count(&mut self, call: &Call, reply: Result<Answer, Failure>) -> Judgement {
        let judgement = self.judge(call, reply);
        self.tally.add(&judgement);
        if let Some(watch) = &self.watch
            && judgement.failure.as_ref().is_some_and(Failure::is_breach)
        {
            watch.books.breach();
        }
        judgement
    }

    /// What an answer means: as the description of the target says, or as the service's own contract does.
    fn judge(&self, call: &Call, reply: Result<Answer, Failure>) -> Judgement {
        let client = self.ways.client();
        match client.described() {
            Some(described) => described.judge(call, reply),
            None => judge(call, client.catalogue(), reply),
        }
    }

    /// Records what was seen, and counts it for who watches.
    fn record(&mut self, records: impl Iterator<Item = Record>) {
        for record in records {
            self.records.push((&record).into());
            if let Some(watch) = &self.watch {
                watch.books.note(&record.outcome);
            }
        }
    }

    /// Records another attempt under the same key: what it tells is no further effect, so it is not counted again.
    fn record_again(&mut self, records: impl Iterator<Item = Record>) {
        records.for_each(|record| self.records.push((&record).into()));
    }
}

/// What the history remembers of a call: one record, or one for each line of an independent batch.
pub fn records(
    client: u32,
    call: Call,
    outcomes: Outcomes,
    invoked_ns: u64,
    returned_ns: u64,
) -> impl Iterator<Item = Record> {
    let requests = call.into_requests();
    let outcomes = match outcomes {
        // A failed independent batch has one outcome for all its lines.
        Outcomes::Whole(outcome) => vec![outcome; requests.len()],
        Outcomes::Lines(outcomes) => outcomes,
    };
    let both = requests.into_iter().zip(outcomes);
    both.map(move |(request, outcome)| Record {
        client,
        invoked_ns,
        returned_ns,
        request,
        outcome,
        once: None,
    })
}

/// The same of an attempt under an idempotency key, which has this number and those after it to itself: each line of an
/// independent batch is a request of its own, with a key of its own.
pub fn attempts(once: u64, records: impl Iterator<Item = Record>) -> impl Iterator<Item = Record> {
    (once..).zip(records).map(|(once, record)| Record { once: Some(once), ..record })
}

fn class(judgement: &Judgement) -> Class {
    match (&judgement.failure, &judgement.outcomes) {
        (Some(failure), _) if failure.kind == TIMEOUT => Class::TimedOut,
        (Some(failure), _) if failure.kind == ABANDONED => Class::Abandoned,
        (Some(_), _) => Class::Failed,
        // A refusal that does not say of which level it is tells the history nothing.
        (None, Outcomes::Whole(Outcome::Refused(_) | Outcome::NotApplied)) => Class::Refused,
        _ => Class::Done,
    }
}

fn fate(judgement: &Judgement) -> Fate {
    match &judgement.outcomes {
        Outcomes::Whole(Outcome::Refused(_)) => Fate::Refused,
        Outcomes::Whole(Outcome::NotApplied) => Fate::NotApplied,
        Outcomes::Whole(Outcome::Unknown) => Fate::Unknown,
        Outcomes::Whole(Outcome::Read(_) | Outcome::Snapshot { .. } | Outcome::Applied(_))
        | Outcomes::Lines(_) => Fate::Applied,
    }
}

impl Tally {
    /// Takes another tally in.
    pub fn merge(&mut self, other: Self) {
        for (name, count) in other.refusals {
            *self.refusals.entry(name).or_default() += count;
        }
        for (kind, failures) in other.failures {
            match self.failures.entry(kind) {
                std::collections::btree_map::Entry::Occupied(mut known) => {
                    known.get_mut().count += failures.count;
                }
                std::collections::btree_map::Entry::Vacant(new) => {
                    new.insert(failures);
                }
            }
        }
    }

    /// How many answers did not fit the contract.
    pub fn breaches(&self) -> u64 {
        self.failures.get(CONTRACT_BREACH).map_or(0, |failures| failures.count)
    }

    /// Counts one judgement.
    pub fn add(&mut self, judgement: &Judgement) {
        for name in &judgement.refusals {
            match self.refusals.get_mut(name.as_str()) {
                Some(count) => *count += 1,
                None => {
                    self.refusals.insert(name.clone(), 1);
                }
            }
        }
        if let Some(failure) = &judgement.failure {
            self.fail(failure);
        }
    }

    /// Counts one request without a usable answer.
    pub fn fail(&mut self, failure: &Failure) {
        let failures = self.failures.entry(failure.kind.clone());
        failures.or_insert_with(|| Failures { count: 0, example: failure.example.clone() }).count += 1;
    }
}
