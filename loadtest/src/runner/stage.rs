//! What a run needs before it can ask anything: a server that wants requests, the levels' names, and clients.

use std::sync::Arc;
use std::time::Duration;

use history::{Key, Log, Meta, Store};

use super::RunError;
use super::cores::{Cores, Home};
use super::fan_out::{fan_out, insist};
use super::session::{Exchange, Session, Tally};
use crate::catalogue::Catalogue;
use crate::client::failure::NO_CONNECTION;
use crate::client::faults::{FaultCounts, Faults, Saboteur};
use crate::client::plain::{Link, Paths};
use crate::client::{Call, Client, Options};
use crate::output::Progress;
use crate::schedule::{Clock, Rate};
use crate::target::Target;

/// A server, the levels of a run, and its clients.
#[derive(Debug)]
pub struct Stage {
    /// What is asked beside the clients' calls goes through this.
    pub client: Arc<Client>,
    /// One for each request in flight.
    pub sessions: Vec<Session>,
}

impl Stage {
    /// Connects, and makes sure that the server wants requests. The clients live on threads of their own.
    pub async fn open(
        url: &str,
        catalogue: Arc<Catalogue>,
        concurrency: u32,
        timeout: Duration,
    ) -> Result<Self, RunError> {
        Self::open_to(url, None, catalogue, concurrency, timeout).await
    }

    /// The same with a server that is spoken to as a description says, if there is one.
    pub async fn open_to(
        url: &str,
        described: Option<Arc<Target>>,
        catalogue: Arc<Catalogue>,
        concurrency: u32,
        timeout: Duration,
    ) -> Result<Self, RunError> {
        let options = Options { connections: concurrency as usize, timeout };
        let client = Arc::new(Client::of(url, catalogue, described, options)?);
        ready(&client).await?;
        let (clock, cores) = (Clock::start(), Cores::for_clients(concurrency));
        // A pool of connections for each thread: a connection is driven by the thread that opened it.
        let pools = (0..cores.count()).map(|_| client.sibling(options).map(Arc::new));
        let pools = pools.collect::<Result<Vec<_>, _>>()?;
        let store = Arc::new(Store::default());
        let session = |id| {
            let home = cores.home(id);
            Session::new(id, Arc::clone(&pools[home.index()]), clock).at(home).keeping(&store)
        };
        Ok(Self { client, sessions: (0..concurrency).map(session).collect() })
    }

    /// Gives each client a connection of its own, in place of the pools.
    #[must_use]
    pub fn bare(self, timeout: Duration) -> Self {
        let Self { client, sessions } = self;
        let Some(paths) = Paths::of(&client).map(Arc::new) else { return Self { client, sessions } };
        let link = || Link::new(Arc::clone(&client), Arc::clone(&paths), timeout);
        let sessions = sessions.into_iter().map(|session| session.on(link())).collect();
        Self { client, sessions }
    }

    /// Lets each client meet faults of its own making, drawn from a seed.
    #[must_use]
    pub fn sabotaged(self, faults: Faults, seed: u64, timeout: Duration) -> Self {
        let Self { client, sessions } = self;
        let Some(paths) = Paths::of(&client).map(Arc::new) else { return Self { client, sessions } };
        let run = client.catalogue().keys().next().map(|key| client.catalogue().entry(key).sku.clone());
        let run = run.unwrap_or_default();
        let saboteur = |id: u32| {
            let link = Link::new(Arc::clone(&client), Arc::clone(&paths), timeout);
            // Apart from what is asked: the same calls are made with and without faults.
            let seed = seed.wrapping_add(u64::from(id) + 1).wrapping_mul(0xD6E8_FEB8_6659_FD93);
            Saboteur::new(faults, seed, link, (id, format!("{run}-{id}")))
        };
        let sabotaged = |session: Session| {
            let id = session.id();
            session.sabotaged(saboteur(id))
        };
        let sessions = sessions.into_iter().map(sabotaged).collect();
        Self { client, sessions }
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
        Err(failure) if failure.kind == NO_CONNECTION => {
            Err(RunError::NoServer { url, example: failure.example })
        }
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
