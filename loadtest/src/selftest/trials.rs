//! What is asked of every server: three small workloads, each aimed at a kind of bug, on levels of its own.
//!
//! - *storm*: everything `run` asks, on few levels, with scarce stock, by more clients than the server has threads. For races
//!   between requests, lost changes, torn transactions and stale reads. A *small* one is asked beside it, for faults to be
//!   planted in.
//! - *replays*: every write carries an `Idempotency-Key` and is sent again once it was answered; both are attempts at one operation. For
//!   retries that take effect twice.
//! - *leavers*: every other transaction comes from a client that goes away without its answer, so that its outcome is unknown:
//!   the checker lets it have happened, or not, as a whole. For what is done in part when a request is dropped.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use history::{History, Meta, Outcome, Record, Seen};
use tokio::task::JoinSet;

use super::leaver::send_and_leave;
use super::{Plan, judge};
use crate::client::answer::judge as judge_answer;
use crate::client::replicas::Route;
use crate::client::{Call, Change, Client, IdempotencyKey, Outcomes, Replicas, Sender};
use crate::crash::accounts::{self, Accounts};
use crate::interrupt::Stop;
use crate::output::Progress;
use crate::runner::fan_out::insist;
use crate::runner::session::{Session, attempts, records};
use crate::runner::{self, RunError, Stage, joined};
use crate::schedule::Limit;
use crate::workload::{Generator, Keys, Spec, fresh_run_id};

/// Clients at once.
const CLIENTS: u32 = 12;

/// The longest wait for an answer. A mutant may never give one; of a correct strategy one more outcome is unknown.
const TIMEOUT: Duration = Duration::from_secs(2);

/// A replay is sent for each of so many requests of a storm.
const REPLAYS_SHARE: u64 = 6;

/// A client leaves for each of so many requests of a storm. Each leaves a doubt that the checker has to search through.
const LEAVERS_SHARE: u64 = 25;

/// Requests of the small storm.
const SMALL: u64 = 300;

/// Lines of a transaction whose client leaves: between any two of them its request may be dropped.
const LINES_LEFT: usize = 6;

/// One workload, and what came of it.
#[derive(Debug)]
pub struct Trial {
    /// Its name.
    pub name: &'static str,
    /// Everything that was seen.
    pub history: History,
    /// Whether it is small enough to plant faults in.
    pub is_small: bool,
    /// Whether two writes of it have to have overlapped, or it proves nothing.
    pub is_contended: bool,
    /// Answers outside the contract, and levels that could not be read back: holes in the proof.
    pub holes: u64,
    /// What the books say, where they can say something.
    pub books: Option<Accounts>,
    /// Second answers under a key that were not the first.
    pub replays_differing: u64,
}

/// The trials there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Everything at once.
    Storm,
    /// The same, small enough to plant faults in.
    SmallStorm,
    /// Keyed writes, each sent twice.
    Replays,
    /// Clients that leave before they are answered.
    Leavers,
}

impl Kind {
    /// Every trial.
    pub const ALL: [Self; 4] = [Self::Storm, Self::SmallStorm, Self::Replays, Self::Leavers];

    /// Its name in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Storm => "storm",
            Self::SmallStorm => "small storm",
            Self::Replays => "replays",
            Self::Leavers => "leavers",
        }
    }
}

/// Puts a fresh server on trial.
pub async fn run(
    kind: Kind,
    url: &str,
    plan: &Plan,
    stop: &Stop,
    progress: &Progress,
) -> Result<Trial, RunError> {
    match kind {
        Kind::Storm => storm(kind, url, plan, plan.requests, stop, progress).await,
        Kind::SmallStorm => storm(kind, url, plan, SMALL, stop, progress).await,
        Kind::Replays => replay(url, plan, plan.requests.div_ceil(REPLAYS_SHARE)).await,
        Kind::Leavers => leave(url, plan, plan.requests.div_ceil(LEAVERS_SHARE)).await,
    }
}

fn spec(plan: &Plan, skus: u32, mix: &str) -> Spec {
    // A mix of our own is well-formed, and the default is a mix.
    let mix = mix.parse().unwrap_or_default();
    Spec { skus, keys: Keys::Uniform, mix, opening_stock: 20, seed: plan.seed }
}

async fn storm(
    kind: Kind,
    url: &str,
    plan: &Plan,
    requests: u64,
    stop: &Stop,
    progress: &Progress,
) -> Result<Trial, RunError> {
    let mix = "adjust=45,read=20,batch=10,independent=3,transfer=10,put=10,create-delete=2";
    let plan = runner::Plan {
        spec: spec(plan, 4, mix),
        target: None,
        prefix: format!("lt-{}-", fresh_run_id()),
        concurrency: CLIENTS,
        warmup: Duration::ZERO,
        limit: Limit::Requests(requests),
        offered: None,
        sender: Sender::default(),
        route: Route::default(),
        faults: None,
        timeout: TIMEOUT,
        records_max: usize::MAX,
        keep: true,
        command: plan.command.clone(),
    };
    let run = runner::run(&Replicas::one(url), &plan, None, stop, progress).await?;
    Ok(Trial {
        name: kind.name(),
        history: run.history.to_history()?,
        is_small: kind == Kind::SmallStorm,
        is_contended: true,
        holes: run.breaches + run.unread as u64,
        books: None,
        replays_differing: 0,
    })
}

/// Connects to the server and opens levels nobody else knows.
async fn open(url: &str, spec: &Spec) -> Result<Stage, RunError> {
    let catalogue = Arc::new(spec.catalogue(&format!("lt-{}-", fresh_run_id())));
    let mut stage = Stage::open(&Replicas::one(url), catalogue, CLIENTS, TIMEOUT).await?;
    insist(&mut stage.sessions, spec.opening().into()).await;
    Ok(stage)
}

/// Reads every level, and takes everything that was recorded.
async fn close(mut stage: Stage, spec: &Spec) -> Result<(History, Vec<Option<Seen>>, u64), RunError> {
    let read: Vec<Option<Seen>> =
        stage.read_back().await.into_iter().map(|exchange| exchange.and_then(|read| read.seen)).collect();
    let unread = read.iter().filter(|seen| seen.is_none()).count() as u64;
    let breaches = stage.take_tally().breaches();
    let meta = Meta { seed: Some(spec.seed), ..Meta::default() };
    Ok((stage.take_history(meta).to_history()?, read, unread + breaches))
}

async fn replay(url: &str, plan: &Plan, writes: u64) -> Result<Trial, RunError> {
    let spec = spec(plan, 3, "adjust=70,batch=15,transfer=15");
    let mut stage = open(url, &spec).await?;
    let keys = format!("selftest-{}", fresh_run_id());
    let mut clients = JoinSet::new();
    for session in stage.sessions.drain(..) {
        let id = session.id();
        let replayer = Replayer {
            client: Arc::clone(&stage.client),
            generator: spec.generator(2, id),
            keys: format!("{keys}-{id}"),
            session,
            differing: 0,
        };
        clients.spawn(replayer.work(writes.div_ceil(u64::from(CLIENTS))));
    }
    let mut replays_differing = 0;
    while let Some(done) = clients.join_next().await {
        let replayer = joined(done);
        replays_differing += replayer.differing;
        stage.sessions.push(replayer.session);
    }
    let (history, finals, holes) = close(stage, &spec).await?;
    let books = accounts::close(&first_attempts(&history.records), &history.keys, &finals);
    Ok(Trial {
        name: Kind::Replays.name(),
        history,
        is_small: false,
        is_contended: true,
        holes,
        books: Some(books),
        replays_differing,
    })
}

/// What was asked once: without what was sent again under its key, which is no change of its own.
fn first_attempts(records: &[Record]) -> Vec<Record> {
    let mut keys = HashSet::new();
    records.iter().filter(|record| record.once.is_none_or(|once| keys.insert(once))).cloned().collect()
}

/// A client that sends everything twice.
struct Replayer {
    client: Arc<Client>,
    session: Session,
    generator: Generator,
    keys: String,
    differing: u64,
}

impl Replayer {
    async fn work(mut self, writes: u64) -> Self {
        for number in 0..writes {
            // Letters, digits and dashes make a key.
            let Ok(key) = IdempotencyKey::quoted(&format!("{}-{number}", self.keys)) else { break };
            let call = self.generator.next_call();
            let sent_ns = self.session.clock().now_ns();
            let first = self.ask(&call, &key).await;
            let answered_ns = self.session.clock().now_ns();
            let is_final = matches!(&first, Outcomes::Whole(Outcome::Applied(_) | Outcome::Refused(_)));
            let own = records(self.session.id(), call.clone(), first.clone(), sent_ns, answered_ns);
            let once = u64::from(self.session.id()) << 32 | number;
            attempts(once, own).for_each(|record| self.session.records.push((&record).into()));
            // Only what was answered for good has an answer to be given again.
            if is_final {
                let sent_ns = self.session.clock().now_ns();
                let second = self.ask(&call, &key).await;
                let answered_ns = self.session.clock().now_ns();
                self.differing += u64::from(second != first);
                let own = records(self.session.id(), call, second, sent_ns, answered_ns);
                attempts(once, own).for_each(|record| self.session.records.push((&record).into()));
            }
        }
        self
    }

    async fn ask(&mut self, call: &Call, key: &IdempotencyKey) -> Outcomes {
        let reply = self.client.send(self.client.prepare_keyed(call, key)).await;
        let judgement = judge_answer(call, self.client.catalogue(), reply);
        self.session.tally.add(&judgement);
        judgement.outcomes
    }
}

async fn leave(url: &str, plan: &Plan, leavers: u64) -> Result<Trial, RunError> {
    let spec = spec(plan, 6, "adjust=1");
    let mut stage = open(url, &spec).await?;
    // Those that are open: a transaction that names another is refused, whoever waits for it.
    let levels: Vec<_> = spec.opening().iter().flat_map(Call::keys).collect();
    let client = Arc::clone(&stage.client);
    if let Some(session) = stage.sessions.first_mut() {
        for number in 0..leavers {
            // Each adds other units, so that what it did can be told from what the others did.
            let delta = i64::try_from(number).unwrap_or(i64::MAX).saturating_add(1);
            let lines = levels.iter().take(LINES_LEFT);
            let call = Call::Batch(lines.map(|&key| Change { key, delta }).collect());
            let sent_ns = session.clock().now_ns();
            let left = send_and_leave(&client.prepare(&call)).await;
            let now_ns = session.clock().now_ns();
            // Without a connection it did not happen; but which of its errors means that is not worth telling apart.
            let outcome = Outcomes::Whole(Outcome::Unknown);
            let own = records(session.id(), call, outcome, sent_ns, now_ns);
            own.for_each(|record| session.records.push((&record).into()));
            if left.is_err() {
                break;
            }
            // Somebody who stays: a level that the one who left did change shows it.
            let key = levels[usize::try_from(number).unwrap_or(0) % levels.len().min(LINES_LEFT)];
            session.perform(Call::Adjust(Change { key, delta: 1_000 })).await;
        }
    }
    let (history, _, holes) = close(stage, &spec).await?;
    Ok(Trial {
        name: Kind::Leavers.name(),
        history,
        is_small: false,
        is_contended: false,
        holes,
        books: None,
        replays_differing: 0,
    })
}

impl Trial {
    /// What the checker demands of its history.
    pub fn limits(&self) -> history::Limits {
        let contended_writes = self.is_contended;
        let require = history::check::Require { contended_writes, ..history::check::Require::ALL };
        history::Limits { require, violations_listed: judge::LISTED_MAX, ..history::Limits::default() }
    }
}
