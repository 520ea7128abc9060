//! What a run needs before it can ask anything: a server that wants requests, the levels' names, and clients.
//!
//! A service may have several replicas. What is asked in the beginning and in the end is then asked of the first that answers, so that it
//! comes before and after all else at that one; in between the clients are spread over all of them. Times are those of one clock, the
//! clients' own, so what has to come after what is the same however many servers there are.

use std::sync::Arc;
use std::time::Duration;

use history::{Key, Log, Meta, Store};

use super::RunError;
use super::cores::{Cores, Home};
use super::fan_out::{fan_out, insist};
use super::session::{Exchange, Session, Tally};
use super::ways::{Traffic, Ways, links};
use crate::catalogue::Catalogue;
use crate::client::faults::{FaultCounts, Faults, Saboteur};
use crate::client::plain::Paths;
use crate::client::replicas::Route;
use crate::client::{Call, Client, Options, Replicas};
use crate::output::Progress;
use crate::schedule::{Clock, Rate};
use crate::target::Target;

/// A service, the levels of a run, and its clients.
#[derive(Debug)]
pub struct Stage {
    /// What is asked beside the clients' calls goes through this, to the first replica that answered.
    pub client: Arc<Client>,
    /// One for each request in flight.
    pub sessions: Vec<Session>,
    /// All replicas, in the order of the command line; never none.
    replicas: Vec<Arc<Client>>,
}

impl Stage {
    /// Connects, and makes sure that a replica wants requests: all clients ask that one until they are spread. They live on threads of
    /// their own.
    pub async fn open(
        replicas: &Replicas,
        catalogue: Arc<Catalogue>,
        concurrency: u32,
        timeout: Duration,
    ) -> Result<Self, RunError> {
        Self::open_to(replicas, None, catalogue, concurrency, timeout).await
    }

    /// The same with a server that is spoken to as a description says, if there is one.
    pub async fn open_to(
        replicas: &Replicas,
        described: Option<Arc<Target>>,
        catalogue: Arc<Catalogue>,
        concurrency: u32,
        timeout: Duration,
    ) -> Result<Self, RunError> {
        let options = Options { connections: concurrency as usize, timeout };
        let client =
            |url: &String| Client::of(url, Arc::clone(&catalogue), described.clone(), options).map(Arc::new);
        let replicas = replicas.urls().iter().map(client).collect::<Result<Vec<_>, _>>()?;
        let first = first_ready(&replicas).await?;
        let (clock, cores) = (Clock::start(), Cores::for_clients(concurrency));
        // A pool of connections for each thread and replica: a connection is driven by the thread that opened it.
        let sibling = |replica: &Arc<Client>| replica.sibling(options).map(Arc::new);
        let pools = (0..cores.count()).map(|_| replicas.iter().map(sibling).collect::<Result<Vec<_>, _>>());
        let pools = pools.collect::<Result<Vec<_>, _>>()?;
        let store = Arc::new(Store::default());
        let session = |id| {
            let home = cores.home(id);
            let mut ways = Ways::new(id, pools[home.index()].clone());
            ways.turn_to(first);
            Session::over(id, ways, clock).at(home).keeping(&store)
        };
        let client = Arc::clone(&replicas[first]);
        Ok(Self { client, sessions: (0..concurrency).map(session).collect(), replicas })
    }

    /// A stage of one replica, whose sessions somebody made.
    #[must_use]
    pub fn of_one(client: Arc<Client>, sessions: Vec<Session>) -> Self {
        Self { replicas: vec![Arc::clone(&client)], client, sessions }
    }

    /// Gives each client a connection of its own to each replica, in place of the pools.
    #[must_use]
    pub fn bare(mut self, timeout: Duration) -> Self {
        if let Some(paths) = self.paths() {
            let bare = |session: Session| session.on(links(&paths, timeout));
            self.sessions = self.sessions.into_iter().map(bare).collect();
        }
        self
    }

    /// Lets each client meet faults of its own making, drawn from a seed.
    #[must_use]
    pub fn sabotaged(mut self, faults: Faults, seed: u64, timeout: Duration) -> Self {
        let Some(paths) = self.paths() else { return self };
        let catalogue = self.client.catalogue();
        let run = catalogue.keys().next().map(|key| catalogue.entry(key).sku.clone()).unwrap_or_default();
        let saboteur = |id: u32| {
            // Apart from what is asked: the same calls are made with and without faults.
            let seed = seed.wrapping_add(u64::from(id) + 1).wrapping_mul(0xD6E8_FEB8_6659_FD93);
            Saboteur::new(faults, seed, links(&paths, timeout).collect(), (id, format!("{run}-{id}")))
        };
        let sabotaged = |session: Session| {
            let id = session.id();
            session.sabotaged(saboteur(id))
        };
        self.sessions = self.sessions.into_iter().map(sabotaged).collect();
        self
    }

    /// What is the same in all requests to each replica; `None` if something of it cannot be said in a request.
    fn paths(&self) -> Option<Vec<(Arc<Client>, Arc<Paths>)>> {
        let paths = |replica: &Arc<Client>| Some((Arc::clone(replica), Arc::new(Paths::of(replica)?)));
        self.replicas.iter().map(paths).collect()
    }

    /// Spreads the clients over the replicas: each asks its own from now on, or those of the skus.
    pub fn spread(&mut self, route: Route) {
        for session in &mut self.sessions {
            let own = session.id() as usize;
            session.turn_to(own);
            session.choose_by(route);
        }
    }

    /// Gathers the clients at the first replica that answers, for what is asked in the end. If none does, each stays where it is.
    pub async fn gather(&mut self) {
        // With one there is nothing to choose, and nobody to be asked.
        if self.is_one() {
            return;
        }
        let Ok(first) = first_ready(&self.replicas).await else { return };
        self.client = Arc::clone(&self.replicas[first]);
        for session in &mut self.sessions {
            session.choose_by(Route::Client);
            session.turn_to(first);
        }
    }

    /// All replicas, in the order of the command line.
    pub fn replicas(&self) -> &[Arc<Client>] {
        &self.replicas
    }

    /// Whether there is one server, and no other beside it.
    pub fn is_one(&self) -> bool {
        self.replicas.len() == 1
    }

    /// What was asked of each replica since the last time.
    pub fn take_traffic(&mut self) -> Vec<Traffic> {
        let mut all = vec![Traffic::default(); self.replicas.len()];
        for session in &mut self.sessions {
            for (sum, own) in all.iter_mut().zip(session.take_traffic()) {
                sum.merge(own);
            }
        }
        all
    }

    /// Lets whoever looks see what the clients do from now on, each thread by itself.
    pub fn show(&mut self, progress: &Progress, offered: Option<&Rate>) {
        let thread = |session: &Session| session.home().map_or(0, Home::index);
        let threads = self.sessions.iter().map(thread).max().map_or(0, |last| last + 1);
        let watches = progress.watches(threads, self.client.catalogue(), offered);
        for session in &mut self.sessions {
            session.watch = watches.get(thread(session)).cloned();
        }
    }

    /// The faults since the last time.
    pub fn take_faults(&mut self) -> FaultCounts {
        let mut all = FaultCounts::default();
        for session in &mut self.sessions {
            let own = session.take_faults();
            all.disconnected += own.disconnected;
            all.replayed += own.replayed;
            all.answered_otherwise += own.answered_otherwise;
            all.slow += own.slow;
        }
        all
    }

    /// Nanoseconds on the clock that all clients share.
    pub fn now_ns(&self) -> u64 {
        self.sessions.first().map_or(0, |session| session.clock().now_ns())
    }

    /// Reads every level; answers the reads by key.
    pub async fn read_back(&mut self) -> Vec<Option<Exchange>> {
        let calls = self.client.catalogue().keys().map(Call::Read).collect();
        insist(&mut self.sessions, calls).await
    }

    /// Deletes every level. What could not be deleted stays behind; the names are the run's own.
    pub async fn clean_up(&mut self) {
        let calls: Vec<Call> = self.client.catalogue().keys().map(Call::Delete).collect();
        for session in &mut self.sessions {
            // What is not recorded is not counted as if it were.
            session.watch = None;
        }
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

/// The first of these replicas that wants requests. If there is none, it is told why the first of all does not.
async fn first_ready(replicas: &[Arc<Client>]) -> Result<usize, RunError> {
    let mut why = None;
    for (number, replica) in replicas.iter().enumerate() {
        match ready(replica).await {
            Ok(()) => return Ok(number),
            Err(error) => why = why.or(Some(error)),
        }
    }
    why.map_or(Ok(0), Err)
}

async fn ready(client: &Client) -> Result<(), RunError> {
    let url = client.base().to_string();
    let page = match client.described() {
        None => Some("/readyz"),
        Some(described) => described.ready.as_deref(),
    };
    let (request, reply) = match page {
        Some(page) => (format!("GET {page}"), client.get(page).await),
        // Whoever names no page is ready if there is an answer at all, whatever it says of a level that there is not.
        None => ("the first read".to_owned(), client.send(client.prepare(&Call::Read(Key(0)))).await),
    };
    match reply {
        Ok(answer) if page.is_none() || (200..300).contains(&answer.status) => may_change(client, url).await,
        Ok(answer) => Err(RunError::NotReady { url, request, answer: answer.status.to_string() }),
        Err(failure) if failure.is_unsent() => Err(RunError::NoServer { url, example: failure.example }),
        Err(failure) => Err(RunError::NotReady { url, request, answer: failure.example }),
    }
}

/// That who asks may change stock, found out with a change that is none. Without a key every request of a run would be refused, and a run of
/// refusals says nothing of the server.
async fn may_change(client: &Client, url: String) -> Result<(), RunError> {
    if client.described().is_some() {
        return Ok(());
    }
    match client.post_adjustments(b"{}".to_vec()).await.map(|answer| answer.status) {
        Ok(401) => Err(RunError::NoKey { url }),
        Ok(403) => Err(RunError::MayNotChange { url }),
        // Whatever else it makes of it is not the question here.
        Ok(_) | Err(_) => Ok(()),
    }
}
