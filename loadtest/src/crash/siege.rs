//! Replicas over one database while clients drive all of them: again and again some are ended and started anew, or the database is taken away from under them.
//!
//! What the database is taken away by is a [fault](crate::cluster::Fault); then the replicas live on, and have to find their way to whoever takes changes by themselves.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use super::Plan;
use super::access::Traffic;
use super::fate::{Fate, Fates};
use super::fleet::{Fleet, Host, Kind};
use super::heir::{Succession, Teller, teller};
use super::hook::Hook;
use super::outage::Outages;
use super::outcome::{Crash, CrashError, End};
use super::server::{Launch, StartError};
use super::trial::Trial;
use super::victims::Victims;
use crate::cluster::{Cluster, ClusterError};
use crate::interrupt::Stop;
use crate::output::Progress;
use crate::schedule::Limit;

/// How often it is looked whether to stop, and whether all replicas are there.
const LOOK: Duration = Duration::from_millis(50);

/// What happens in one cycle.
#[derive(Debug)]
pub enum Harm<'c> {
    /// Replicas are ended.
    Replicas,
    /// The database is killed, and comes back in one way or another.
    Database(&'c mut Cluster),
}

/// How a siege goes on.
#[derive(Debug)]
pub struct Siege<'a, 'c> {
    /// The replicas.
    pub fleet: Fleet<'a>,
    harm: Harm<'c>,
    victims: Victims,
    outages: Arc<Outages>,
    /// The longest that a change may not be acknowledged.
    recovery_max: Duration,
    /// Ends that did not go as they should.
    pub unclean: Vec<String>,
    /// Why the service did not come back.
    pub lost: Option<String>,
    /// How many replicas were ended together, in each cycle.
    pub ended: Vec<usize>,
}

impl<'a, 'c> Siege<'a, 'c> {
    /// One of replicas that are up.
    pub fn new(
        fleet: Fleet<'a>,
        harm: Harm<'c>,
        (seed, replicas): (u64, usize),
        recovery_max: Duration,
    ) -> Self {
        let (victims, outages) = (Victims::new(seed, replicas), fleet.outages());
        let (unclean, ended) = (Vec::new(), Vec::new());
        Self { fleet, harm, victims, outages, recovery_max, unclean, lost: None, ended }
    }

    /// Sees to it that the harm of a cycle can be made good, before its traffic.
    pub async fn arm(&mut self) -> Result<(), ClusterError> {
        match &mut self.harm {
            Harm::Replicas => Ok(()),
            Harm::Database(cluster) => cluster.arm().await,
        }
    }

    /// Lets so much traffic pass; `false` if a replica has ended by itself, which is started again, or the user does not want to any longer.
    pub async fn traffic(&mut self, fate: &Fate, stop: &Stop, host: &impl Host) -> bool {
        let end = Instant::now() + fate.traffic;
        while !stop.requested() && Instant::now() < end {
            if let Some((at, how)) = self.fleet.ended_by_itself() {
                self.unclean.push(format!("replica {at} ended by itself, with {how}"));
                self.fleet.end(&[at], End::ByItself, host).await;
                self.bring_back(at, fate, host).await;
                return false;
            }
            sleep(LOOK.min(end.saturating_duration_since(Instant::now()))).await;
        }
        !stop.requested()
    }

    /// Does the harm of a cycle, and makes it good.
    pub async fn strike(&mut self, fate: &Fate, host: &impl Host) -> Result<(), ClusterError> {
        match &mut self.harm {
            Harm::Replicas => {
                let victims = self.victims.draw();
                let unclean = self.fleet.end(&victims, fate.ending.into(), host).await;
                self.unclean.extend(unclean);
                self.ended.push(victims.len());
                let started = self.fleet.start_again(&victims, fate, host).await;
                self.come_back(started);
            }
            Harm::Database(cluster) => {
                self.outages.begin();
                cluster.strike().await;
                self.outages.gone();
                cluster.recover().await?;
                self.outages.database_is_back();
                if timeout(self.recovery_max, self.outages.first_change()).await.is_err() {
                    let max = self.recovery_max;
                    let lost =
                        format!("no change was acknowledged within {max:?} of the database's being back");
                    self.lost.get_or_insert(lost);
                }
            }
        }
        Ok(())
    }

    /// Kills whoever tells the webhook, while clients go on; it is started again when another does.
    async fn behead(&mut self, hook: &Hook, fate: &Fate, stop: &Stop, host: &impl Host) -> Succession {
        let mut replicas = self.fleet.clients();
        let Teller::At(sender) = teller(&replicas, hook, stop).await else { return Succession::default() };
        replicas.retain(|(at, _)| *at != sender);
        self.fleet.end(&[sender], End::Killed, host).await;
        let succession = Succession::of(sender, &replicas, hook, stop).await;
        self.bring_back(sender, fate, host).await;
        succession
    }

    /// Starts one again, without more ado.
    async fn bring_back(&mut self, at: usize, fate: &Fate, host: &impl Host) {
        let patient = Fate { stillborn: None, impatient: false, ..*fate };
        let started = self.fleet.start_again(&[at], &patient, host).await;
        self.come_back(started);
    }

    fn come_back(&mut self, started: Result<(), StartError>) {
        if let Err(error) = started {
            self.lost.get_or_insert(error.to_string());
        }
    }
}

/// Runs a crash test of replicas, over a database that is there, or over one of our own that is killed.
pub async fn besiege(
    plan: &Plan,
    launch: &Launch,
    cluster: Option<&mut Cluster>,
    stop: &Stop,
    progress: &Progress,
) -> Result<Crash, CrashError> {
    let mut trial = Trial::new(plan, stop);
    let replicas = plan.replicas.map_or(1, |replicas| replicas as usize);
    progress.begin("starting the replicas", None);
    let kind = Kind {
        launch,
        catalogue: Arc::clone(&trial.scene.catalogue),
        options: trial.options(),
        outages: Arc::clone(&trial.scene.outages),
    };
    let fleet = Fleet::start(kind, replicas, &trial.crew).await?;
    let seed = plan.spec.base().seed;
    let mut fates = Fates::new(seed, plan.span);
    let is_database = cluster.is_some();
    let harm = cluster.map_or(Harm::Replicas, Harm::Database);
    let mut siege = Siege::new(fleet, harm, (seed, replicas), launch.recovery_max);
    progress.begin("opening the levels", None);
    trial.open(siege.fleet.client()).await?;
    progress.begin("killing and restarting", Some(Limit::Requests(plan.cycles.into())));
    for _ in 0..plan.cycles {
        siege.arm().await?;
        let fate = fates.draw();
        if siege.traffic(&fate, stop, &trial.crew).await {
            if !is_database {
                trial.await_moment(fate.ending).await;
            }
            siege.strike(&fate, &trial.crew).await?;
        }
        trial.crew.turn_over();
        trial.crew.allow(Traffic::All);
        if stop.requested() || siege.lost.is_some() {
            break;
        }
        progress.advance();
    }
    let is_over = is_database || replicas == 1 || siege.lost.is_some() || stop.requested();
    if let Some(hook) = trial.hook.as_ref().filter(|_| !is_over) {
        progress.begin("killing who tells the webhook", None);
        let succession = siege.behead(hook, &fates.draw(), stop, &trial.crew).await;
        trial.crew.turn_over();
        if siege.lost.is_none() {
            trial.succeeded(succession, siege.fleet.client()).await;
        }
    }
    progress.begin("reading every level back", None);
    trial.lost = siege.lost.take();
    trial.gather().await;
    if trial.lost.is_none() {
        trial.read_all(siege.fleet.client(), trial.crew.life()).await;
    } else {
        trial.forsake(&siege.fleet.up()).await;
    }
    trial.unclean.append(&mut siege.unclean);
    trial.ended.append(&mut siege.ended);
    trial.unclean.extend(siege.fleet.stop(&trial.crew).await);
    for (life, stint) in siege.fleet.lives.drain(..) {
        trial.enter(life, &stint);
    }
    progress.end();
    Ok(trial.end())
}
