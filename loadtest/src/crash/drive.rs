//! From life to life: start, drive, kill, start again, and in the end read everything back.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use history::{History, Meta, Record, Seen};
use serde::Serialize;
use tokio::time::{Instant, sleep};

use super::Plan;
use super::access::{Traffic, Up};
use super::accounts::{self, Accounts};
use super::counts::Counts;
use super::crew::Crew;
use super::fate::{Ending, Fate, Fates};
use super::haul::Haul;
use super::listing::list;
use super::server::{Launch, Server, StartError};
use super::workload::Pair;
use crate::catalogue::Catalogue;
use crate::client::{Client, Options};
use crate::interrupt::Stop;
use crate::measure::server::ServerStatus;
use crate::output::Progress;
use crate::runner::Stage;
use crate::runner::fan_out::{insist, is_answered};
use crate::runner::session::{Class, Exchange, Session, Tally};
use crate::schedule::{Clock, Limit};

/// How often a life looks whether to stop.
const LOOK: Duration = Duration::from_millis(50);

/// A start that is to be killed before it is ready is killed after this at the latest.
const STILLBORN_MAX: Duration = Duration::from_secs(5);

/// Why there was no crash test.
#[derive(Debug, thiserror::Error)]
pub enum CrashError {
    /// The first life did not begin.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The levels could not be opened.
    #[error("{open} of {all} levels could not be opened: {example}")]
    Opening {
        /// How many.
        open: usize,
        /// Of how many.
        all: usize,
        /// What happened.
        example: String,
    },
}

/// What a crash test brought.
#[derive(Debug)]
pub struct Crash {
    /// Everything that was seen, over all lives.
    pub history: History,
    /// The strategy of the server, if it told.
    pub strategy: Option<String>,
    /// Every start, in order.
    pub lives: Vec<Life>,
    /// What the clients did.
    pub counts: Counts,
    /// Refusals and failures of everything the clients sent.
    pub tally: Tally,
    /// Answers outside the contract, the reading back included.
    pub breaches: u64,
    /// What the books say; nothing if there was no final state to compare with.
    pub accounts: Option<Accounts>,
    /// Pairs that were seen with a transaction in one level only.
    pub torn_pairs: usize,
    /// Levels that could not be read back one by one in the end.
    pub unread: usize,
    /// Why there is no listing of the final stock.
    pub unlisted: Option<String>,
    /// Why the server did not come back.
    pub lost: Option<String>,
    /// Stops by SIGTERM that did not go as they should.
    pub unclean: Vec<String>,
}

/// One start of the server.
#[derive(Debug, Clone, Serialize)]
pub struct Life {
    /// Which start, from 1.
    pub number: u32,
    /// How it ended.
    pub end: End,
    /// From its start to being ready; absent if it never was.
    pub ready_after_ms: Option<f64>,
    /// Writes that may have taken effect in it, although it did not answer them.
    pub in_doubt: u64,
}

/// How a life ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum End {
    /// By SIGKILL, under traffic.
    Killed,
    /// By SIGKILL, before it was ready, or just then.
    KilledEarly,
    /// By SIGTERM, under traffic.
    Terminated,
    /// It ended by itself, which it must not.
    ByItself,
    /// It was never ready, or ended before.
    NeverReady,
    /// It was the last one: everything was read back from it.
    Last,
}

/// Runs a crash test.
pub async fn drive(
    plan: &Plan,
    launch: &Launch,
    stop: &Stop,
    progress: &Progress,
) -> Result<Crash, CrashError> {
    let mut driver = Driver::new(plan, launch, stop);
    progress.begin("opening the levels", None);
    let mut open = driver.open().await?;
    driver.crew.hire(plan, driver.clock);
    let mut fates = Fates::new(plan.spec.base().seed, plan.span);
    progress.begin("killing and restarting", Some(Limit::Requests(plan.cycles.into())));
    for _ in 0..plan.cycles {
        if driver.live(&mut open, &fates.draw()).await == Going::Over {
            break;
        }
        progress.advance();
    }
    progress.begin("reading every level back", None);
    let crash = driver.close(open).await;
    progress.end();
    Ok(crash)
}

/// Whether there is a next life.
#[derive(Debug, PartialEq, Eq)]
enum Going {
    On,
    Over,
}

/// A life that is ready, and what is known of it.
struct Open {
    server: Server,
    up: Up,
    ready_after: Duration,
}

struct Driver<'a> {
    plan: &'a Plan,
    launch: &'a Launch,
    stop: &'a Stop,
    clock: Clock,
    catalogue: Arc<Catalogue>,
    pairs: Vec<Pair>,
    crew: Crew,
    starts: u32,
    lives: Vec<(Life, Arc<AtomicU64>)>,
    records: Vec<Record>,
    strategy: Option<String>,
    breaches: u64,
    torn_pairs: BTreeSet<usize>,
    lost: Option<String>,
    unclean: Vec<String>,
}

impl<'a> Driver<'a> {
    fn new(plan: &'a Plan, launch: &'a Launch, stop: &'a Stop) -> Self {
        Self {
            plan,
            launch,
            stop,
            clock: Clock::start(),
            catalogue: Arc::new(plan.spec.base().catalogue(&plan.prefix)),
            pairs: plan.spec.pairs(),
            crew: Crew::new(plan),
            starts: 0,
            lives: Vec::new(),
            records: Vec::new(),
            strategy: None,
            breaches: 0,
            torn_pairs: BTreeSet::new(),
            lost: None,
            unclean: Vec::new(),
        }
    }

    /// The first life, and its levels: all before any kill, since a creation takes no key.
    async fn open(&mut self) -> Result<Open, CrashError> {
        let open = self.start(false).await?;
        self.strategy = ServerStatus::of(&open.up.client).await.strategy;
        let mut stage = self.stage(&open.up.client);
        let calls = self.plan.spec.base().opening();
        let exchanges = insist(&mut stage.sessions, calls.into()).await;
        let all = exchanges.len();
        let is_done = |exchange: &&Exchange| exchange.class == Class::Done;
        let made = exchanges.iter().flatten().filter(is_done).count();
        let tally = self.dismiss(stage);
        if made == all {
            return Ok(open);
        }
        let failure = tally.failures.into_values().next().map(|failure| failure.example);
        let example = failure.unwrap_or_else(|| crate::report::counts(&tally.refusals));
        Err(CrashError::Opening { open: all - made, all, example })
    }

    /// One life under traffic, its end, and the start of the next one.
    async fn live(&mut self, open: &mut Open, fate: &Fate) -> Going {
        if self.stop.requested() {
            return Going::Over;
        }
        self.crew.admit(&open.up, Traffic::All);
        let ended = tokio::select! {
            how = open.server.ended() => Some(how),
            () = self.wait(fate.traffic) => None,
        };
        if ended.is_none() && self.stop.requested() {
            return Going::Over;
        }
        let end = match (ended, fate.ending) {
            (Some(how), _) => {
                self.unclean.push(format!("life {} ended by itself, with {how}", open.server.number()));
                End::ByItself
            }
            (None, Ending::Kill) => {
                open.server.kill();
                End::Killed
            }
            (None, Ending::Terminate) => {
                // The clients go on: what they send while it drains is answered, or turned away.
                self.unclean.extend(open.server.terminate().await);
                End::Terminated
            }
        };
        self.crew.turn_away();
        open.server.ended().await;
        self.enter(open.server.number(), end, Some(open.ready_after), &open.up.doubts);
        match self.restart(fate, open.ready_after).await {
            Ok(next) => {
                *open = next;
                Going::On
            }
            Err(error) => {
                self.crew.turn_away();
                self.enter(self.starts, End::NeverReady, None, &Arc::default());
                self.lost = Some(error.to_string());
                Going::Over
            }
        }
    }

    /// Waits, or until the user does not want to any longer.
    async fn wait(&self, duration: Duration) {
        let end = Instant::now() + duration;
        while !self.stop.requested() && Instant::now() < end {
            sleep(LOOK.min(end.saturating_duration_since(Instant::now()))).await;
        }
    }

    async fn restart(&mut self, fate: &Fate, recovery: Duration) -> Result<Open, StartError> {
        if let Some(part) = fate.stillborn {
            self.stillborn(recovery.mul_f64(part).min(STILLBORN_MAX)).await?;
        }
        let open = self.start(fate.impatient).await?;
        if !fate.impatient {
            self.look_back(&open.up.client).await;
        }
        Ok(open)
    }

    /// A start that is killed while it recovers.
    async fn stillborn(&mut self, after: Duration) -> Result<(), StartError> {
        self.starts += 1;
        let mut server = self.launch.start(self.starts)?;
        let begin = async {
            let client = server.client(&self.catalogue, self.options()).await?;
            server.ready(&client).await
        };
        let ready = tokio::select! {
            ready = begin => Some(ready?),
            () = sleep(after) => None,
        };
        server.kill();
        server.ended().await;
        self.enter(server.number(), End::KilledEarly, ready, &Arc::default());
        Ok(())
    }

    /// Starts a life and waits until it is ready. Impatient clients ask from the moment on that it listens.
    async fn start(&mut self, impatient: bool) -> Result<Open, StartError> {
        self.starts += 1;
        let mut server = self.launch.start(self.starts)?;
        let client = Arc::new(server.client(&self.catalogue, self.options()).await?);
        let up = Up { life: self.starts, client, traffic: Traffic::Retries, doubts: Arc::default() };
        if impatient {
            self.crew.admit(&up, Traffic::Retries);
        }
        let ready_after = server.ready(&up.client).await?;
        Ok(Open { server, up, ready_after })
    }

    fn enter(&mut self, number: u32, end: End, ready: Option<Duration>, doubts: &Arc<AtomicU64>) {
        let ready_after_ms = ready.map(|ready| ready.as_secs_f64() * 1e3);
        self.lives.push((Life { number, end, ready_after_ms, in_doubt: 0 }, Arc::clone(doubts)));
    }

    /// Reads every level while nobody changes anything: what a crash has left, before the retries change it. What was
    /// read before the crash must still be there.
    async fn look_back(&mut self, client: &Arc<Client>) {
        let mut stage = self.stage(client);
        let seen = self.read_back(&mut stage).await;
        self.dismiss(stage);
        self.weigh(&seen);
    }

    async fn read_back(&self, stage: &mut Stage) -> Vec<Option<Seen>> {
        let exchanges = stage.read_back().await;
        let answered = |exchange: Option<Exchange>| {
            exchange.filter(|exchange| is_answered(Some(exchange))).and_then(|exchange| exchange.seen)
        };
        exchanges.into_iter().map(answered).collect()
    }

    fn weigh(&mut self, seen: &[Option<Seen>]) {
        for (number, pair) in self.pairs.iter().enumerate() {
            let [main, annex] = [pair.main, pair.annex].map(|key| seen[key.0 as usize]);
            if main.zip(annex).is_some_and(|(main, annex)| pair.is_torn(&main, &annex)) {
                self.torn_pairs.insert(number);
            }
        }
    }

    /// The last life answers what is left over; then everything is read back, and it is stopped.
    async fn close(mut self, mut open: Open) -> Crash {
        let Haul { records, mut tally, counts } =
            self.crew.gather(self.lost.is_none().then_some(&open.up)).await;
        self.records.extend(records);
        let (mut accounts, mut unread, mut unlisted) = (None, self.catalogue.len(), None);
        if self.lost.is_none() {
            let mut stage = self.stage(&open.up.client);
            let seen = self.read_back(&mut stage).await;
            unread = seen.iter().filter(|seen| seen.is_none()).count();
            tally.merge(self.dismiss(stage));
            self.weigh(&seen);
            match list(&open.up.client, &self.catalogue, &self.plan.prefix).await {
                Ok(last) => {
                    accounts = Some(accounts::close(&self.records, &self.catalogue.names(), &last));
                }
                Err(error) => unlisted = Some(error.to_string()),
            }
            self.unclean.extend(open.server.terminate().await);
            self.enter(open.server.number(), End::Last, Some(open.ready_after), &open.up.doubts);
        }
        let meta = Meta {
            seed: Some(self.plan.spec.base().seed),
            strategy: self.strategy.clone(),
            command: Some(self.plan.command.clone()),
        };
        let lives = self.lives.into_iter();
        Crash {
            history: History { meta, keys: self.catalogue.names(), records: self.records },
            strategy: self.strategy,
            lives: lives
                .map(|(life, doubts)| Life { in_doubt: doubts.load(Ordering::Relaxed), ..life })
                .collect(),
            counts,
            breaches: self.breaches + tally.breaches(),
            tally,
            accounts,
            torn_pairs: self.torn_pairs.len(),
            unread,
            unlisted,
            lost: self.lost,
            unclean: self.unclean,
        }
    }

    fn options(&self) -> Options {
        Options { connections: self.plan.clients as usize + 1, timeout: self.plan.timeout }
    }

    /// Sessions beside the clients, to open and to read back: one for each client.
    fn stage(&self, client: &Arc<Client>) -> Stage {
        let session = |id| Session::new(self.plan.clients + id, Arc::clone(client), self.clock);
        Stage { client: Arc::clone(client), sessions: (0..self.plan.clients).map(session).collect() }
    }

    /// Keeps what a stage has recorded.
    fn dismiss(&mut self, mut stage: Stage) -> Tally {
        for session in &mut stage.sessions {
            self.records.append(&mut session.records);
        }
        let tally = stage.take_tally();
        self.breaches += tally.breaches();
        tally
    }
}
