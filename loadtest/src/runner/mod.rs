//! A run: open the levels, warm up, measure, read every level back, clean up; everything but the clean-up is recorded.
//!
//! Recording starts with the opening, on levels whose names nobody else uses, so that neither the warm-up nor another
//! client of the same server can look like a violation. Latency is taken from the measured part only.

pub mod cores;
pub mod fan_out;
pub mod phase;
pub mod session;
pub mod stage;
pub mod vitals;
pub mod ways;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use history::{Log, LogError, Meta};
use tokio::task::JoinError;

use crate::catalogue::Catalogue;
use crate::client::faults::{FaultCounts, Faults};
use crate::client::replicas::Route;
use crate::client::{Call, ClientError, Replicas, Sender};
use crate::interrupt::Stop;
use crate::measure::Phase;
use crate::measure::process::{cpu_time, own_cpu_time};
use crate::measure::server::ServerStatus;
use crate::output::Progress;
use crate::progress::board::MEASURING;
use crate::schedule::{Limit, Offered};
use crate::target::Target;
use crate::workload::Spec;
use fan_out::{insist, is_answered};
use phase::Order;
use session::Tally;
pub use stage::Stage;
use vitals::{Death, Vitals};
use ways::Traffic;

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
    #[error(
        "no server answers at {url} ({example}); start one, such as with `inventory serve`, and give its address"
    )]
    NoServer {
        /// The address.
        url: String,
        /// What happened.
        example: String,
    },
    /// Somebody listens, but does not want requests.
    #[error("the server at {url} is not ready: {request} answered {answer}; wait for it, or look at its log")]
    NotReady {
        /// The address.
        url: String,
        /// What it was asked.
        request: String,
        /// What it answered.
        answer: String,
    },
    /// It asks for a key, and the one that was shown, if there was one, is none of its own.
    #[error(
        "the server at {url} wants a key that is in force: name its file with --auth-key-file, or put it into LOADTEST_KEY"
    )]
    NoKey {
        /// The address.
        url: String,
    },
    /// It knows the key, which may only look.
    #[error(
        "the server at {url} knows the key, but with it nothing may be changed: a run needs one with the scope write"
    )]
    MayNotChange {
        /// The address.
        url: String,
    },
    /// It does not do what its description says.
    #[error(
        "no level could be opened, so there is nothing to drive ({example}); does the description of {target} fit what \
         listens at {url}?"
    )]
    NothingOpened {
        /// The address.
        url: String,
        /// What it was taken for.
        target: String,
        /// What happened.
        example: String,
    },
}

/// Everything that decides a run.
#[derive(Debug, Clone)]
pub struct Plan {
    /// What is asked.
    pub spec: Spec,
    /// How the server is spoken to, if not as this service is.
    pub target: Option<Arc<Target>>,
    /// The beginning of every sku of the run.
    pub prefix: String,
    /// Requests in flight at once, at most.
    pub concurrency: u32,
    /// How long to ask before measuring.
    pub warmup: Duration,
    /// How much to measure.
    pub limit: Limit,
    /// What the open loop offers; `None` is closed loop.
    pub offered: Option<Offered>,
    /// The longest wait for one answer.
    pub timeout: Duration,
    /// What sends the requests.
    pub sender: Sender,
    /// How clients choose among replicas.
    pub route: Route,
    /// Faults from the clients' side.
    pub faults: Option<Faults>,
    /// The most records kept, over all clients.
    pub records_max: usize,
    /// Leave the levels behind.
    pub keep: bool,
    /// The command line, for the record.
    pub command: String,
}

impl Plan {
    /// The levels.
    fn catalogue(&self) -> Catalogue {
        match &self.target {
            Some(target) => target.catalogue(&self.spec, &self.prefix),
            None => self.spec.catalogue(&self.prefix),
        }
    }
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
    /// The growth of its contention counters over the measured part; empty if it did not tell.
    pub contention: BTreeMap<String, u64>,
    /// Whether the server told them, before and after.
    pub contention_known: bool,
    /// When the measured part began, on the clock of the run.
    pub measured_from_ns: u64,
    /// How the server ended, if it did: then so did the run.
    pub death: Option<Death>,
    /// The CPU time of the server over the measured part, where its process is known.
    pub server_cpu: Option<Duration>,
    /// Faults from the clients' side, in the measured part; `None` if none were asked for.
    pub faults: Option<FaultCounts>,
    /// The CPU time of this process over the measured part.
    pub client_cpu: Option<Duration>,
    /// What was asked of each replica in the measured part, in the order of the command line.
    pub traffic: Vec<Traffic>,
}

/// Runs a plan against a service. With the process id of a server its CPU time is taken, too.
pub async fn run(
    replicas: &Replicas,
    plan: &Plan,
    server: Option<u32>,
    stop: &Stop,
    progress: &Progress,
) -> Result<Run, RunError> {
    let mut stage = set_up(replicas, plan, progress).await?;
    // How contended one of several replicas is, is not how contended they are.
    let _asking = if stage.is_one() { progress.ask(&stage.client) } else { None };
    let vitals = Vitals::of_all(stage.replicas().iter().map(|replica| replica.authority()), stop.clone());

    progress.begin("opening the levels", None);
    let mut rest = open_levels(&mut stage, plan).await?;
    stage.spread(plan.route);
    progress.begin("warming up", Some(Limit::For(plan.warmup)));
    // The warm-up is closed loop even before an open one: it is there to fill caches and open connections.
    let warmup = Order { offered: None, ..order(plan, 0, "warming up", Limit::For(plan.warmup)) };
    phase::run(&mut stage.sessions, &plan.spec, &warmup, &vitals, progress).await;
    rest.merge(stage.take_tally());
    stage.take_faults();
    stage.take_traffic();

    progress.begin(MEASURING, Some(plan.limit));
    let before = (ServerStatus::of_all(stage.replicas()).await, server.and_then(cpu_time));
    let (measured_from_ns, own_before) = (stage.now_ns(), own_cpu_time());
    let measure = order(plan, 1, MEASURING, plan.limit);
    let measured = phase::run(&mut stage.sessions, &plan.spec, &measure, &vitals, progress).await;
    let own_after = own_cpu_time();
    let after = (server.and_then(cpu_time), ServerStatus::of_all(stage.replicas()).await);
    let (tally, faults, traffic) = (stage.take_tally(), stage.take_faults(), stage.take_traffic());

    let unread = if vitals.death().is_none() {
        progress.begin("reading every level back", None);
        stage.gather().await;
        stage.read_back().await.iter().filter(|read| !is_answered(read.as_ref())).count()
    } else {
        stage.client.catalogue().len()
    };
    rest.merge(stage.take_tally());
    let strategy = before.0.strategy.clone();
    let (seed, command) = (Some(plan.spec.seed), Some(plan.command.clone()));
    let history = stage.take_history(Meta { seed, strategy: strategy.clone(), command });
    let disk_failed = history.has_failed();
    let removes = plan.target.as_ref().is_none_or(|target| target.removes());
    if !plan.keep && removes && vitals.death().is_none() {
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
        strategy,
        contention: after.1.since(&before.0),
        contention_known: before.0.tells_contention() && after.1.tells_contention(),
        measured_from_ns,
        faults: plan.faults.map(|_| faults),
        death: vitals.death().cloned(),
        server_cpu: after.0.zip(before.1).map(|(after, before)| after.saturating_sub(before)),
        client_cpu: own_after.zip(own_before).map(|(after, before)| after.saturating_sub(before)),
        traffic,
    })
}

/// Everything that a run needs before it begins.
async fn set_up(replicas: &Replicas, plan: &Plan, progress: &Progress) -> Result<Stage, RunError> {
    let (catalogue, described) = (Arc::new(plan.catalogue()), plan.target.clone());
    let mut stage = Stage::open_to(replicas, described, catalogue, plan.concurrency, plan.timeout).await?;
    if plan.sender == Sender::Hyper {
        stage = stage.bare(plan.timeout);
    }
    if let Some(faults) = plan.faults {
        stage = stage.sabotaged(faults, plan.spec.seed, plan.timeout);
    }
    stage.show(progress, plan.offered.as_ref().map(|offered| &offered.rate));
    Ok(stage)
}

/// Opens the levels; answers what was refused and failed. Of a target that is described, one level comes first: if that cannot
/// be opened, there is no sense in asking for anything else, since it is most likely the description that is wrong.
async fn open_levels(stage: &mut Stage, plan: &Plan) -> Result<Tally, RunError> {
    let Some(target) = &plan.target else {
        insist(&mut stage.sessions, plan.spec.opening().into()).await;
        return Ok(stage.take_tally());
    };
    let create = |key| Call::Create { key, on_hand: plan.spec.opening_stock };
    let calls: Vec<Call> = stage.client.catalogue().keys().map(create).collect();
    let (first, others) = calls.split_at(calls.len().min(1));
    let made = insist(&mut stage.sessions, first.into()).await;
    let mut tally = stage.take_tally();
    if !made.iter().all(|exchange| is_answered(exchange.as_ref())) {
        let example = tally.failures.into_values().map(|failures| failures.example).next();
        return Err(RunError::NothingOpened {
            url: stage.client.base().to_string(),
            target: target.name.clone(),
            example: example.unwrap_or_default(),
        });
    }
    insist(&mut stage.sessions, others.into()).await;
    tally.merge(stage.take_tally());
    Ok(tally)
}

fn order(plan: &Plan, number: u32, stage: &'static str, limit: Limit) -> Order {
    let records_max = plan.records_max / (plan.concurrency as usize).max(1);
    Order { number, stage, limit, offered: plan.offered.clone(), records_max }
}

/// What a client's task brought; a panic of it goes on here. Without what that client saw nothing adds up, and the server would
/// be blamed for it.
pub fn joined<T>(done: Result<T, JoinError>) -> T {
    // Nobody aborts these tasks, so what did not end by itself panicked.
    done.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
}

/// A client whose records are gone makes a sound server look guilty, so its panic is the run's.
#[cfg(test)]
mod tests {
    use std::time::Duration;

    use history::Key;

    use super::fan_out::fan_out;
    use super::session::Session;
    use super::*;
    use crate::client::{Client, Options};
    use crate::schedule::Clock;
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
    async fn a_client_that_panics_on_its_own_thread_is_not_passed_over() {
        let homes = cores::Cores::for_clients(1);
        let mut settled = panicking().into_iter().map(|session| session.at(homes.home(0))).collect();
        fan_out(&mut settled, [Call::Read(Key(0))].into()).await;
    }

    #[tokio::test]
    #[should_panic(expected = "index out of bounds")]
    async fn a_client_that_panics_in_a_phase_is_not_passed_over() {
        let mix = "adjust=1".parse().expect("a mix");
        let spec = Spec { skus: 5, keys: Keys::Uniform, mix, opening_stock: 1, seed: 7 };
        let order = Order {
            number: 0,
            stage: "measuring",
            limit: Limit::Requests(1),
            offered: None,
            records_max: 10,
        };
        let vitals = Vitals::new("127.0.0.1:1", Stop::default());
        phase::run(&mut panicking(), &spec, &order, &vitals, &Progress::silent()).await;
    }
}
