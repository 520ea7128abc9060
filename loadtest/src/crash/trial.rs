//! What every crash test has, whoever is killed in it: the levels and the clients, what was seen, and in the end everything read back.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use history::{History, Meta, Seen, Stock};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use super::Plan;
use super::access::{Stint, Traffic};
use super::accounts::{self, Accounts};
use super::crew::{Crew, Scene};
use super::delivered::WebhookAudit;
use super::fate::Ending;
use super::haul::Haul;
use super::heir::{Reached, Succession};
use super::hook::{Hook, IDLE_MAX, IDLE_MAX_OF_REPLICAS};
use super::listing::list;
use super::outcome::{Crash, CrashError, End, Life};
use super::told::EventsAudit;
use super::watcher::Watcher;
use super::workload::Pair;
use crate::client::{Client, Options};
use crate::interrupt::Stop;
use crate::measure::server::ServerStatus;
use crate::runner::fan_out::{insist, is_answered};
use crate::runner::session::{Class, Exchange, Session, Tally};
use crate::runner::{Stage, joined};

/// How often it is looked whether to stop.
const LOOK: Duration = Duration::from_millis(50);

/// How long it has been quiet when a kill in a hush begins to wait for something to see.
const HUSH: Duration = Duration::from_millis(5);

/// The longest a kill waits for something to see.
const SIGHT_MAX: Duration = Duration::from_millis(25);

/// A crash test that is under way.
pub(super) struct Trial<'a> {
    pub(super) plan: &'a Plan,
    pub(super) stop: &'a Stop,
    pub(super) scene: Scene,
    pub(super) crew: Crew,
    /// Why the service did not come back.
    pub(super) lost: Option<String>,
    /// Ends that did not go as they should.
    pub(super) unclean: Vec<String>,
    /// How many replicas were ended together, in each cycle.
    pub(super) ended: Vec<usize>,
    /// What came of killing who tells the webhook.
    succession: Option<Succession>,
    pairs: Vec<Pair>,
    lives: Vec<(Life, Arc<Stint>)>,
    /// What was seen beside the clients, and in the end what everybody saw.
    haul: Haul,
    strategy: Option<String>,
    breaches: u64,
    torn_pairs: BTreeSet<usize>,
    watcher: Option<JoinHandle<Watcher>>,
    /// Who tells what happens, until that is judged.
    pub(super) hook: Option<Hook>,
    last: Last,
}

/// What was there in the end.
#[derive(Default)]
struct Last {
    accounts: Option<Accounts>,
    unread: usize,
    unlisted: Option<String>,
    events: Option<EventsAudit>,
    webhook: Option<WebhookAudit>,
}

impl<'a> Trial<'a> {
    /// One in which nothing has happened yet.
    pub(super) fn new(plan: &'a Plan, stop: &'a Stop) -> Self {
        let scene = Scene::new(plan);
        let last = Last { unread: scene.catalogue.len(), ..Last::default() };
        Self {
            plan,
            stop,
            scene,
            crew: Crew::new(plan),
            lost: None,
            unclean: Vec::new(),
            ended: Vec::new(),
            succession: None,
            pairs: plan.spec.pairs(),
            lives: Vec::new(),
            haul: Haul::default(),
            strategy: None,
            breaches: 0,
            torn_pairs: BTreeSet::new(),
            watcher: None,
            hook: None,
            last,
        }
    }

    /// How a client of a server is made that all clients of the test share.
    pub(super) fn options(&self) -> Options {
        Options { connections: self.plan.all_clients() as usize + 3, timeout: self.plan.timeout }
    }

    /// Opens the levels, all before any kill, since a creation takes no key; and hires the clients, who wait to be admitted.
    pub(super) async fn open(&mut self, client: &Arc<Client>) -> Result<(), CrashError> {
        self.strategy = ServerStatus::of(client).await.strategy;
        if self.plan.events {
            let seed = self.plan.spec.base().seed;
            let made = Hook::make(client, &self.plan.prefix, seed).await;
            self.hook = Some(made.map_err(CrashError::Webhook)?);
        }
        let mut stage = self.stage(client);
        let calls = self.plan.spec.base().opening();
        let exchanges = insist(&mut stage.sessions, calls.into()).await;
        let all = exchanges.len();
        let is_done = |exchange: &&Exchange| exchange.class == Class::Done;
        let made = exchanges.iter().flatten().filter(is_done).count();
        let tally = self.dismiss(stage);
        if made < all {
            let failure = tally.failures.into_values().next().map(|failure| failure.example);
            let mut example = failure.unwrap_or_else(|| crate::report::counts(&tally.refusals));
            if let Some(hook) = self.hook.take()
                && let Some(left) = hook.forsake(&[(0, Arc::clone(client))]).await
            {
                let _ = write!(example, "; and the webhook could not be deleted: {left}");
            }
            return Err(CrashError::Opening { open: all - made, all, example });
        }
        self.crew.hire(self.plan, &self.scene);
        self.watch();
        Ok(())
    }

    /// From here on somebody watches the events, if anybody is to.
    fn watch(&mut self) {
        let Self { plan, scene, crew, hook, .. } = self;
        self.watcher = hook.as_ref().map(|hook| {
            let (catalogue, prefix) = (Arc::clone(&scene.catalogue), plan.prefix.clone());
            tokio::spawn(Watcher::new(crew.gate(0), catalogue, prefix, hook.begins()).work())
        });
    }

    /// Waits until so much time has passed, or until the user does not want to any longer.
    pub(super) async fn wait(&self, traffic: Duration) {
        let end = Instant::now() + traffic;
        while !self.stop.requested() && Instant::now() < end {
            sleep(LOOK.min(end.saturating_duration_since(Instant::now()))).await;
        }
    }

    /// Waits for the right moment of such an end.
    pub(super) async fn await_moment(&mut self, ending: Ending) {
        if self.stop.requested() || !self.plan.has_sights() {
            return;
        }
        match ending {
            Ending::KillOnSight => {}
            Ending::KillInHush => {
                self.crew.allow(Traffic::Hush);
                sleep(HUSH).await;
            }
            Ending::Kill | Ending::Terminate => return,
        }
        // Without anything to see, the moment is as good as any other.
        let _ = tokio::time::timeout(SIGHT_MAX, self.scene.board.early_deletion()).await;
    }

    /// A start of a server has come to its end.
    pub(super) fn enter(&mut self, life: Life, stint: &Arc<Stint>) {
        self.lives.push((life, Arc::clone(stint)));
    }

    /// Reads every level while nobody changes anything: what a crash has left, before the retries change it. What was
    /// read before the crash must still be there.
    pub(super) async fn look_back(&mut self, client: &Arc<Client>, life: u32) {
        let mut stage = self.stage(client);
        let seen = read_back(&mut stage).await;
        self.dismiss(stage);
        self.weigh(&seen, life);
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

    /// Whoever told the webhook was killed. That nobody told on means nothing if nothing was left to be told, or the user did not want to wait.
    pub(super) async fn succeeded(&mut self, succession: Succession, client: &Client) {
        let Some(hook) = &self.hook else { return };
        let is_untried = succession.is_broken() && (self.stop.requested() || hook.has_told_all(client).await);
        self.succession = Some(if is_untried { Succession::default() } else { succession });
    }

    /// Whoever is up answers what is left over, and the clients come home.
    pub(super) async fn gather(&mut self) {
        let haul = self.crew.gather(self.lost.is_none()).await;
        self.haul.merge(haul);
        self.breaches += self.haul.tally.breaches();
    }

    /// Everything is read back, now that nobody changes anything any more.
    pub(super) async fn read_all(&mut self, client: &Arc<Client>, life: u32) {
        let mut stage = self.stage(client);
        let seen = read_back(&mut stage).await;
        self.last.unread = seen.iter().filter(|seen| seen.is_none()).count();
        let tally = self.dismiss(stage);
        self.haul.tally.merge(tally);
        self.weigh(&seen, life);
        match list(client, &self.scene.catalogue, &self.plan.prefix).await {
            Ok(listed) => {
                let last: Vec<_> = listed.into_iter().zip(seen).map(last).collect();
                let names = self.scene.catalogue.names();
                self.last.accounts = Some(accounts::close(&self.haul.records, &names, &last));
                self.last.events = self.told(client, &last).await;
            }
            Err(error) => self.last.unlisted = Some(error.to_string()),
        }
        // It is judged by the ledger alone.
        self.last.webhook = self.delivered(client).await;
    }

    /// The service is lost, so nothing is read back: whoever is up yet deletes the webhook, as the database may be that of others.
    pub(super) async fn forsake(&mut self, up: &[Reached]) {
        let Some(hook) = self.hook.take() else { return };
        let left = hook.forsake(up).await;
        let unread = Some("the server did not come back".to_owned());
        self.last.webhook = Some(WebhookAudit { unread, left, ..WebhookAudit::default() });
    }

    /// What the events told, up to the last there is to say of each level.
    async fn told(&mut self, client: &Client, last: &[Option<Seen>]) -> Option<EventsAudit> {
        let watcher = joined(self.watcher.take()?.await);
        Some(watcher.rest(client, last).await.audit(last, &self.scene.catalogue))
    }

    /// What the webhook told, up to the end of the ledger.
    async fn delivered(&mut self, client: &Client) -> Option<WebhookAudit> {
        let idle_max = if self.plan.replicas.is_some() { IDLE_MAX_OF_REPLICAS } else { IDLE_MAX };
        let audit = self.hook.take()?.rest(client, idle_max).await;
        Some(WebhookAudit { succession: self.succession.take(), ..audit })
    }

    /// What it brought.
    pub(super) fn end(self) -> Crash {
        let meta = Meta {
            seed: Some(self.plan.spec.base().seed),
            strategy: self.strategy.clone(),
            command: Some(self.plan.command.clone()),
        };
        let (lives, names) = (self.lives.into_iter(), self.scene.catalogue.names());
        let Haul { records, tally, counts, sights } = self.haul;
        let Last { accounts, unread, unlisted, events, webhook } = self.last;
        Crash {
            taken_back: sights.taken_back(&names),
            history: History { meta, keys: names, records },
            strategy: self.strategy,
            lives: lives
                .map(|(life, stint)| Life { in_doubt: stint.doubts.load(Ordering::Relaxed), ..life })
                .collect(),
            outages: self.scene.outages.list(),
            ended: self.ended,
            counts,
            left_out: sights.left_out,
            breaches: self.breaches,
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

impl Life {
    /// A start of a server, and how it ended.
    pub(super) fn of(number: u32, replica: Option<usize>, end: End, ready: Option<Duration>) -> Self {
        let ready_after_ms = ready.map(|ready| ready.as_secs_f64() * 1e3);
        Self { number, replica, end, ready_after_ms, in_doubt: 0 }
    }
}

async fn read_back(stage: &mut Stage) -> Vec<Option<Seen>> {
    let exchanges = stage.read_back().await;
    let answered = |exchange: Option<Exchange>| {
        exchange.filter(|exchange| is_answered(Some(exchange))).and_then(|exchange| exchange.seen)
    };
    exchanges.into_iter().map(answered).collect()
}

/// The last there is to say of a level: as it is listed or, since a listing does not tell the version of a deletion, as it
/// was read when it was read as missing.
fn last((listed, read): (Option<Seen>, Option<Seen>)) -> Option<Seen> {
    listed.or(read.filter(|read| read.stock == Stock::Absent && read.version > 0))
}
