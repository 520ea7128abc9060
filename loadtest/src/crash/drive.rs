//! From life to life: start, drive, kill, start again, and in the end read everything back.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use history::{History, Meta, Seen, Stock};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use super::Plan;
use super::access::{Traffic, Up};
use super::accounts;
use super::crew::{Crew, Scene};
use super::delivered::WebhookAudit;
use super::fate::{Ending, Fate, Fates};
use super::haul::Haul;
use super::hook::Hook;
use super::listing::list;
use super::outcome::{Crash, CrashError, End, Life};
use super::server::{Launch, Server, StartError};
use super::told::EventsAudit;
use super::watcher::Watcher;
use super::workload::Pair;
use crate::client::{Client, Options};
use crate::interrupt::Stop;
use crate::measure::server::ServerStatus;
use crate::output::Progress;
use crate::runner::fan_out::{insist, is_answered};
use crate::runner::session::{Class, Exchange, Session, Tally};
use crate::runner::{Stage, joined};
use crate::schedule::Limit;

/// How often a life looks whether to stop.
const LOOK: Duration = Duration::from_millis(50);

/// How long it has been quiet when a kill in a hush begins to wait for something to see.
const HUSH: Duration = Duration::from_millis(5);

/// The longest a kill waits for something to see.
const SIGHT_MAX: Duration = Duration::from_millis(25);

/// A start that is to be killed before it is ready is killed after this at the latest.
const STILLBORN_MAX: Duration = Duration::from_secs(5);

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
    driver.crew.hire(plan, &driver.scene);
    driver.watch();
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
    scene: Scene,
    pairs: Vec<Pair>,
    crew: Crew,
    starts: u32,
    lives: Vec<(Life, Arc<AtomicU64>)>,
    /// What the driver saw itself, and in the end what everybody saw.
    haul: Haul,
    strategy: Option<String>,
    breaches: u64,
    torn_pairs: BTreeSet<usize>,
    lost: Option<String>,
    unclean: Vec<String>,
    watcher: Option<JoinHandle<Watcher>>,
    hook: Option<Hook>,
}

impl<'a> Driver<'a> {
    fn new(plan: &'a Plan, launch: &'a Launch, stop: &'a Stop) -> Self {
        Self {
            plan,
            launch,
            stop,
            scene: Scene::new(plan),
            pairs: plan.spec.pairs(),
            crew: Crew::new(plan),
            starts: 0,
            lives: Vec::new(),
            haul: Haul::default(),
            strategy: None,
            breaches: 0,
            torn_pairs: BTreeSet::new(),
            lost: None,
            unclean: Vec::new(),
            watcher: None,
            hook: None,
        }
    }

    /// From here on somebody watches the events, if anybody is to.
    fn watch(&mut self) {
        let Self { plan, scene, crew, .. } = self;
        let watcher = || Watcher::new(crew.gate(), Arc::clone(&scene.catalogue), plan.prefix.clone());
        self.watcher = plan.events.then(|| tokio::spawn(watcher().work()));
    }

    /// What the events told, up to the last there is to say of each level.
    async fn told(&mut self, client: &Client, last: &[Option<Seen>]) -> Option<EventsAudit> {
        let watcher = joined(self.watcher.take()?.await);
        Some(watcher.rest(client, last).await.audit(last, &self.scene.catalogue))
    }

    /// What the webhook told, up to the end of the ledger.
    async fn delivered(&mut self, client: &Client) -> Option<WebhookAudit> {
        Some(self.hook.take()?.rest(client).await)
    }

    /// The first life, and its levels: all before any kill, since a creation takes no key.
    async fn open(&mut self) -> Result<Open, CrashError> {
        let open = self.start(false).await?;
        self.strategy = ServerStatus::of(&open.up.client).await.strategy;
        if self.plan.events {
            let seed = self.plan.spec.base().seed;
            let made = Hook::make(&open.up.client, &self.plan.prefix, seed).await;
            self.hook = Some(made.map_err(CrashError::Webhook)?);
        }
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
            () = self.wait(&open.up, fate) => None,
        };
        if ended.is_none() && self.stop.requested() {
            return Going::Over;
        }
        let end = match (ended, fate.ending) {
            (Some(how), _) => {
                self.unclean.push(format!("life {} ended by itself, with {how}", open.server.number()));
                End::ByItself
            }
            (None, Ending::Kill | Ending::KillOnSight | Ending::KillInHush) => {
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

    /// Waits for the end of a life, or until the user does not want to any longer.
    async fn wait(&self, up: &Up, fate: &Fate) {
        let end = Instant::now() + fate.traffic;
        while !self.stop.requested() && Instant::now() < end {
            sleep(LOOK.min(end.saturating_duration_since(Instant::now()))).await;
        }
        if self.stop.requested() || !self.plan.has_sights() {
            return;
        }
        match fate.ending {
            Ending::KillOnSight => {}
            Ending::KillInHush => {
                self.crew.admit(up, Traffic::Hush);
                sleep(HUSH).await;
            }
            Ending::Kill | Ending::Terminate => return,
        }
        // Without anything to see, the moment is as good as any other.
        let _ = timeout(SIGHT_MAX, self.scene.board.early_deletion()).await;
    }

    async fn restart(&mut self, fate: &Fate, recovery: Duration) -> Result<Open, StartError> {
        if let Some(part) = fate.stillborn {
            self.stillborn(recovery.mul_f64(part).min(STILLBORN_MAX)).await?;
        }
        let open = self.start(fate.impatient).await?;
        if !fate.impatient {
            self.look_back(&open.up).await;
        }
        Ok(open)
    }

    /// A start that is killed while it recovers.
    async fn stillborn(&mut self, after: Duration) -> Result<(), StartError> {
        self.starts += 1;
        let mut server = self.launch.start(self.starts)?;
        let begin = async {
            let client = server.client(&self.scene.catalogue, self.options()).await?;
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
        let client = Arc::new(server.client(&self.scene.catalogue, self.options()).await?);
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
    async fn look_back(&mut self, up: &Up) {
        let mut stage = self.stage(&up.client);
        let seen = self.read_back(&mut stage).await;
        self.dismiss(stage);
        self.weigh(&seen, up.life);
    }

    async fn read_back(&self, stage: &mut Stage) -> Vec<Option<Seen>> {
        let exchanges = stage.read_back().await;
        let answered = |exchange: Option<Exchange>| {
            exchange.filter(|exchange| is_answered(Some(exchange))).and_then(|exchange| exchange.seen)
        };
        exchanges.into_iter().map(answered).collect()
    }

    fn weigh(&mut self, seen: &[Option<Seen>], life: u32) {
        for seen in seen.iter().flatten() {
            self.haul.sights.find(seen.key, life, seen.version);
            self.scene.board.tell(seen);
        }
        for (number, pair) in self.pairs.iter().enumerate() {
            let [main, annex] = [pair.main, pair.annex].map(|key| seen[key.0 as usize]);
            if main.zip(annex).is_some_and(|(main, annex)| pair.is_torn(&main, &annex)) {
                self.torn_pairs.insert(number);
            }
        }
    }

    /// The last life answers what is left over; then everything is read back, and it is stopped.
    async fn close(mut self, mut open: Open) -> Crash {
        let haul = self.crew.gather(self.lost.is_none().then_some(&open.up)).await;
        self.haul.merge(haul);
        let mut breaches = self.haul.tally.breaches();
        let (mut accounts, mut unread, mut unlisted) = (None, self.scene.catalogue.len(), None);
        let (mut events, mut webhook) = (None, None);
        if self.lost.is_none() {
            let mut stage = self.stage(&open.up.client);
            let seen = self.read_back(&mut stage).await;
            unread = seen.iter().filter(|seen| seen.is_none()).count();
            let tally = self.dismiss(stage);
            self.haul.tally.merge(tally);
            self.weigh(&seen, open.up.life);
            match list(&open.up.client, &self.scene.catalogue, &self.plan.prefix).await {
                Ok(listed) => {
                    let last: Vec<_> = listed.into_iter().zip(seen).map(last).collect();
                    let names = self.scene.catalogue.names();
                    accounts = Some(accounts::close(&self.haul.records, &names, &last));
                    events = self.told(&open.up.client, &last).await;
                    webhook = self.delivered(&open.up.client).await;
                }
                Err(error) => unlisted = Some(error.to_string()),
            }
            self.unclean.extend(open.server.terminate().await);
            self.enter(open.server.number(), End::Last, Some(open.ready_after), &open.up.doubts);
        }
        breaches += self.breaches;
        let meta = Meta {
            seed: Some(self.plan.spec.base().seed),
            strategy: self.strategy.clone(),
            command: Some(self.plan.command.clone()),
        };
        let (lives, names) = (self.lives.into_iter(), self.scene.catalogue.names());
        let Haul { records, tally, counts, sights } = self.haul;
        Crash {
            taken_back: sights.taken_back(&names),
            history: History { meta, keys: names, records },
            strategy: self.strategy,
            lives: lives
                .map(|(life, doubts)| Life { in_doubt: doubts.load(Ordering::Relaxed), ..life })
                .collect(),
            counts,
            left_out: sights.left_out,
            breaches,
            tally,
            accounts,
            torn_pairs: self.torn_pairs.len(),
            unread,
            unlisted,
            events,
            webhook,
            lost: self.lost,
            unclean: self.unclean,
        }
    }

    fn options(&self) -> Options {
        Options { connections: self.plan.all_clients() as usize + 3, timeout: self.plan.timeout }
    }

    /// Sessions beside the clients, to open and to read back: one for each client.
    fn stage(&self, client: &Arc<Client>) -> Stage {
        let session = |id| Session::new(self.plan.all_clients() + id, Arc::clone(client), self.scene.clock);
        Stage::of_one(Arc::clone(client), (0..self.plan.clients).map(session).collect())
    }

    /// Keeps what a stage has recorded.
    fn dismiss(&mut self, mut stage: Stage) -> Tally {
        for session in &mut stage.sessions {
            // A stage asks for each level once or twice: that is never too much for memory.
            let records = session.records.take_records();
            self.haul
                .records
                .extend(records.unwrap_or_else(|error| unreachable!("it is in memory: {error}")));
        }
        let tally = stage.take_tally();
        self.breaches += tally.breaches();
        tally
    }
}

/// The last there is to say of a level: as it is listed or, since a listing does not tell the version of a deletion, as it
/// was read when it was read as missing.
fn last((listed, read): (Option<Seen>, Option<Seen>)) -> Option<Seen> {
    listed.or(read.filter(|read| read.stock == Stock::Absent && read.version > 0))
}
