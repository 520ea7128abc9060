//! A run: open the levels, warm up, measure, read every level back, clean up; everything but the clean-up is recorded.
//!
//! Recording starts with the opening, on levels whose names nobody else uses, so that neither the warm-up nor another
//! client of the same server can look like a violation. Latency is taken from the measured part only.

pub mod fan_out;
pub mod phase;
pub mod session;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use history::{Log, LogError, Meta, Store};
use tokio::task::JoinError;

use crate::catalogue::Catalogue;
use crate::client::failure::NO_CONNECTION;
use crate::client::{Call, Client, ClientError, Options};
use crate::interrupt::Stop;
use crate::measure::Phase;
use crate::measure::process::cpu_time;
use crate::measure::server::ServerStatus;
use crate::output::Progress;
use crate::schedule::{Clock, Limit};
use crate::workload::Spec;
use fan_out::{fan_out, insist, is_answered};
use phase::Order;
use session::{Exchange, Session, Tally};

/// Why there was no run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// What was recorded is gone.
    #[error("what was recorded cannot be read back: {0}")]
    Unreadable(#[from] LogError),
    /// The address is none.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// Nobody listens there.
    #[error("no server answers at {url} ({example}); start one with `inventory serve` and give its address")]
    NoServer {
        /// The address.
        url: String,
        /// What happened.
        example: String,
    },
    /// Somebody listens, but does not want requests.
    #[error(
        "the server at {url} is not ready: GET /readyz answered {answer}; wait for it, or look at its log"
    )]
    NotReady {
        /// The address.
        url: String,
        /// What it answered.
        answer: String,
    },
}

/// Everything that decides a run.
#[derive(Debug, Clone)]
pub struct Plan {
    /// What is asked.
    pub spec: Spec,
    /// The beginning of every sku of the run.
    pub prefix: String,
    /// Requests in flight at once, at most.
    pub concurrency: u32,
    /// How long to ask before measuring.
    pub warmup: Duration,
    /// How much to measure.
    pub limit: Limit,
    /// Requests per second in open loop; `None` is closed loop.
    pub rate_per_s: Option<f64>,
    /// The longest wait for one answer.
    pub timeout: Duration,
    /// The most records kept, over all clients.
    pub records_max: usize,
    /// Leave the levels behind.
    pub keep: bool,
    /// The command line, for the record.
    pub command: String,
}

/// What a run brought.
#[derive(Debug)]
pub struct Run {
    /// Everything that was seen.
    pub history: Log,
    /// The measured part.
    pub measured: Phase,
    /// Its refusals and failures.
    pub tally: Tally,
    /// Answers that did not fit the contract, in every part of the run.
    pub breaches: u64,
    /// Levels that could not be read back.
    pub unread: usize,
    /// Whether the history got too long for memory and could not be written to disk either, so that the run ended early.
    pub disk_failed: bool,
    /// The strategy of the server, if it told.
    pub strategy: Option<String>,
    /// The growth of its contention counters over the measured part.
    pub contention: BTreeMap<String, u64>,
    /// The CPU time of the server over the measured part, where its process is known.
    pub server_cpu: Option<Duration>,
}

/// Runs a plan against the server at `url`. With the server's process id its CPU time is taken, too.
pub async fn run(
    url: &str,
    plan: &Plan,
    server: Option<u32>,
    stop: &Stop,
    progress: &Progress,
) -> Result<Run, RunError> {
    let catalogue = Arc::new(plan.spec.catalogue(&plan.prefix));
    let mut stage = Stage::open(url, catalogue, plan.concurrency, plan.timeout).await?;
    let mut rest = Tally::default();

    progress.begin("opening the levels", None);
    insist(&mut stage.sessions, plan.spec.opening().into()).await;
    let share = plan.records_max / stage.sessions.len().max(1);
    let order = |number, limit, rate_per_s| Order { number, limit, rate_per_s, records_max: share };
    progress.begin("warming up", None);
    // The warm-up is closed loop even before an open one: it is there to fill caches and open connections.
    let warmup = order(0, Limit::For(plan.warmup), None);
    phase::run(&mut stage.sessions, &plan.spec, &warmup, stop, progress).await;
    rest.merge(stage.take_tally());

    progress.begin("measuring", Some(plan.limit));
    let before = (ServerStatus::of(&stage.client).await, server.and_then(cpu_time));
    let measure = order(1, plan.limit, plan.rate_per_s);
    let measured = phase::run(&mut stage.sessions, &plan.spec, &measure, stop, progress).await;
    let after = (server.and_then(cpu_time), ServerStatus::of(&stage.client).await);
    let tally = stage.take_tally();

    progress.begin("reading every level back", None);
    let unread = stage.read_back().await.iter().filter(|read| !is_answered(read.as_ref())).count();
    rest.merge(stage.take_tally());
    let meta = Meta {
        seed: Some(plan.spec.seed),
        strategy: before.0.strategy.clone(),
        command: Some(plan.command.clone()),
    };
    let history = stage.take_history(meta);
    let disk_failed = history.has_failed();
    if !plan.keep {
        progress.begin("deleting the levels", None);
        stage.clean_up().await;
    }
    progress.end();
    Ok(Run {
        history,
        measured,
        breaches: tally.breaches() + rest.breaches(),
        tally,
        unread,
        disk_failed,
        strategy: before.0.strategy.clone(),
        contention: after.1.since(&before.0),
        server_cpu: after.0.zip(before.1).map(|(after, before)| after.saturating_sub(before)),
    })
}

/// A server, the levels of a run, and its clients.
#[derive(Debug)]
pub struct Stage {
    /// What all sessions send through.
    pub client: Arc<Client>,
    /// One for each request in flight.
    pub sessions: Vec<Session>,
}

impl Stage {
    /// Connects, and makes sure that the server wants requests.
    pub async fn open(
        url: &str,
        catalogue: Arc<Catalogue>,
        concurrency: u32,
        timeout: Duration,
    ) -> Result<Self, RunError> {
        let options = Options { connections: concurrency as usize, timeout };
        let client = Arc::new(Client::new(url, catalogue, options)?);
        ready(&client).await?;
        let clock = Clock::start();
        let store = Arc::new(Store::default());
        let session = |id| Session::new(id, Arc::clone(&client), clock).keeping(&store);
        let sessions = (0..concurrency).map(session).collect();
        Ok(Self { client, sessions })
    }

    /// Reads every level; answers the reads by key.
    pub async fn read_back(&mut self) -> Vec<Option<Exchange>> {
        let calls = self.client.catalogue().keys().map(Call::Read).collect();
        insist(&mut self.sessions, calls).await
    }

    /// Deletes every level. What could not be deleted stays behind; the names are the run's own.
    pub async fn clean_up(&mut self) {
        let calls: Vec<Call> = self.client.catalogue().keys().map(Call::Delete).collect();
        fan_out(&mut self.sessions, calls.into()).await;
        for session in &mut self.sessions {
            session.records = Log::default();
        }
    }

    /// The refusals and failures since the last time.
    pub fn take_tally(&mut self) -> Tally {
        let mut tally = Tally::default();
        for session in &mut self.sessions {
            tally.merge(std::mem::take(&mut session.tally));
        }
        tally
    }

    /// Everything recorded until now.
    pub fn take_history(&mut self, meta: Meta) -> Log {
        let mut history = Log::default();
        for session in &mut self.sessions {
            history.append(std::mem::take(&mut session.records));
        }
        (history.meta, history.keys) = (meta, self.client.catalogue().names());
        history
    }
}

/// What a client's task brought; a panic of it goes on here. Without what that client saw nothing adds up, and the server would
/// be blamed for it.
pub fn joined<T>(done: Result<T, JoinError>) -> T {
    // Nobody aborts these tasks, so what did not end by itself panicked.
    done.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
}

async fn ready(client: &Client) -> Result<(), RunError> {
    let url = client.base().to_string();
    match client.get("/readyz").await {
        Ok(answer) if answer.status == 200 => Ok(()),
        Ok(answer) => Err(RunError::NotReady { url, answer: answer.status.to_string() }),
        Err(failure) if failure.kind == NO_CONNECTION => {
            Err(RunError::NoServer { url, example: failure.example })
        }
        Err(failure) => Err(RunError::NotReady { url, answer: failure.example }),
    }
}

/// A client whose records are gone makes a sound server look guilty, so its panic is the run's.
#[cfg(test)]
mod tests {
    use history::Key;

    use super::*;
    use crate::workload::Keys;

    /// One client, which panics at its first call: it knows no level that it could ask for.
    fn panicking() -> Vec<Session> {
        let options = Options { connections: 1, timeout: Duration::from_secs(1) };
        let client = Client::new("http://127.0.0.1:1", Arc::default(), options).expect("an address");
        vec![Session::new(0, Arc::new(client), Clock::start())]
    }

    #[tokio::test]
    #[should_panic(expected = "index out of bounds")]
    async fn a_client_that_panics_in_a_list_of_calls_is_not_passed_over() {
        fan_out(&mut panicking(), [Call::Read(Key(0))].into()).await;
    }

    #[tokio::test]
    #[should_panic(expected = "index out of bounds")]
    async fn a_client_that_panics_in_a_phase_is_not_passed_over() {
        let mix = "adjust=1".parse().expect("a mix");
        let spec = Spec { skus: 5, keys: Keys::Uniform, mix, opening_stock: 1, seed: 7 };
        let order = Order { number: 0, limit: Limit::Requests(1), rate_per_s: None, records_max: 10 };
        phase::run(&mut panicking(), &spec, &order, &Stop::default(), &Progress::new()).await;
    }
}
