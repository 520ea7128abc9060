//! The replicas of a service over one database: started, ended and started again, each at its place.
//!
//! Whoever sends the clients is told where a replica is before anybody may ask there, and that it is gone before its address can be somebody else's. Dropping
//! it kills all of them.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::sleep;

use super::access::Stint;
use super::crew::Crew;
use super::drive::STILLBORN_MAX;
use super::fate::{Ending, Fate};
use super::heir::Reached;
use super::outage::Outages;
use super::outcome::{End, Life};
use super::server::{Launch, Server, StartError};
use crate::catalogue::Catalogue;
use crate::client::{Client, Options};

/// Who sends the clients.
pub trait Host: Sync {
    /// There is a replica at this place; until it is ready it is only to be asked for what has no answer yet.
    fn open(&self, at: usize, client: &Arc<Client>, stint: &Arc<Stint>, is_ready: bool);

    /// There is none.
    fn shut(&self, at: usize);
}

impl Host for Crew {
    fn open(&self, at: usize, client: &Arc<Client>, stint: &Arc<Stint>, is_ready: bool) {
        Crew::open(self, at, client, stint, is_ready);
    }

    fn shut(&self, at: usize) {
        self.turn_away(at);
    }
}

/// What all replicas have in common.
#[derive(Debug)]
pub struct Kind<'a> {
    /// How each is started.
    pub launch: &'a Launch,
    /// The levels that its clients know.
    pub catalogue: Arc<Catalogue>,
    /// How they behave.
    pub options: Options,
    /// What they meet.
    pub outages: Arc<Outages>,
}

impl Kind<'_> {
    async fn begin(
        &self,
        number: u32,
        at: usize,
        impatient: bool,
        host: &impl Host,
    ) -> Result<Replica, StartError> {
        let mut server = self.launch.start(number)?;
        let client = Arc::new(server.client(&self.catalogue, self.options).await?);
        let stint = Stint::new(&self.outages);
        if impatient {
            host.open(at, &client, &stint, false);
        }
        let ready_after = server.ready(&client).await?;
        host.open(at, &client, &stint, true);
        Ok(Replica { server, client, stint, ready_after })
    }
}

/// All replicas.
#[derive(Debug)]
pub struct Fleet<'a> {
    kind: Kind<'a>,
    replicas: Vec<Replica>,
    starts: u32,
    /// Starts that have come to their end.
    pub lives: Vec<(Life, Arc<Stint>)>,
}

/// One of them.
#[derive(Debug)]
struct Replica {
    server: Server,
    client: Arc<Client>,
    stint: Arc<Stint>,
    ready_after: Duration,
}

impl<'a> Fleet<'a> {
    /// Starts so many. Whichever comes first makes the tables; all are waited for.
    pub async fn start(kind: Kind<'a>, count: usize, host: &impl Host) -> Result<Self, StartError> {
        let mut fleet = Self { kind, replicas: Vec::new(), starts: 0, lives: Vec::new() };
        for at in 0..count {
            let replica = fleet.started(at, false, host).await?;
            fleet.replicas.push(replica);
        }
        Ok(fleet)
    }

    /// How one is asked that is up: all of them are, between two ends.
    pub fn client(&self) -> &Arc<Client> {
        &self.replicas[0].client
    }

    /// How each of them is asked, by its place.
    pub fn clients(&self) -> Vec<Reached> {
        self.replicas.iter().map(|replica| Arc::clone(&replica.client)).enumerate().collect()
    }

    /// The same of those that are up.
    pub fn up(&self) -> Vec<Reached> {
        self.clients().into_iter().filter(|(at, _)| self.is_up(*at)).collect()
    }

    /// What the clients of all of them meet.
    pub fn outages(&self) -> Arc<Outages> {
        Arc::clone(&self.kind.outages)
    }

    /// The longest that one took to be ready, of those that have come to their end.
    pub fn ready_after_max(&self) -> Duration {
        let times = self.lives.iter().filter_map(|(life, _)| life.ready_after_ms);
        Duration::from_secs_f64(times.fold(0.0, f64::max) / 1e3)
    }

    /// One that has ended by itself, and how.
    pub fn ended_by_itself(&mut self) -> Option<(usize, String)> {
        let ended = |(at, replica): (usize, &mut Replica)| Some((at, replica.server.has_ended()?));
        self.replicas.iter_mut().enumerate().find_map(ended)
    }

    /// Ends some of them, all in one way; answers what did not go as it should.
    pub async fn end(&mut self, victims: &[usize], end: End, host: &impl Host) -> Vec<String> {
        let mut unclean = Vec::new();
        for at in victims {
            let server = &mut self.replicas[*at].server;
            match end {
                // Its clients go on: what they send while it drains is answered, or turned away.
                End::Terminated | End::Last => {
                    unclean.extend(server.terminate().await);
                    // From here on its address may be somebody else's.
                    host.shut(*at);
                }
                _ => server.kill(),
            }
        }
        for at in victims {
            host.shut(*at);
            let Replica { server, stint, ready_after, .. } = &mut self.replicas[*at];
            server.ended().await;
            stint.is_over.store(true, Ordering::Release);
            let life = Life::of(server.number(), Some(*at), end, Some(*ready_after));
            self.lives.push((life, Arc::clone(stint)));
        }
        unclean
    }

    /// Starts those again, at their places. The first of them may be killed once more before it is ready.
    pub async fn start_again(
        &mut self,
        victims: &[usize],
        fate: &Fate,
        host: &impl Host,
    ) -> Result<(), StartError> {
        if let (Some(part), Some(first)) = (fate.stillborn, victims.first()) {
            let after = self.replicas[*first].ready_after.mul_f64(part).min(STILLBORN_MAX);
            self.stillborn(*first, after).await?;
        }
        for at in victims {
            self.replicas[*at] = self.started(*at, fate.impatient, host).await?;
        }
        Ok(())
    }

    /// Stops all of them; answers what did not go as it should.
    pub async fn stop(&mut self, host: &impl Host) -> Vec<String> {
        let all: Vec<usize> = (0..self.replicas.len()).filter(|at| self.is_up(*at)).collect();
        self.end(&all, End::Last, host).await
    }

    fn is_up(&self, at: usize) -> bool {
        !self.replicas[at].stint.is_over.load(Ordering::Acquire)
    }

    /// One that is ready.
    async fn started(&mut self, at: usize, impatient: bool, host: &impl Host) -> Result<Replica, StartError> {
        self.starts += 1;
        let begun = self.kind.begin(self.starts, at, impatient, host).await;
        if begun.is_err() {
            host.shut(at);
            self.lives.push((Life::of(self.starts, Some(at), End::NeverReady, None), Arc::default()));
        }
        begun
    }

    /// A start that is killed while it is on its way to be ready.
    async fn stillborn(&mut self, at: usize, after: Duration) -> Result<(), StartError> {
        self.starts += 1;
        let mut server = self.kind.launch.start(self.starts)?;
        sleep(after).await;
        server.kill();
        server.ended().await;
        let life = Life::of(server.number(), Some(at), End::KilledEarly, None);
        self.lives.push((life, Arc::default()));
        Ok(())
    }
}

impl From<Ending> for End {
    fn from(ending: Ending) -> Self {
        match ending {
            Ending::Kill | Ending::KillOnSight | Ending::KillInHush => Self::Killed,
            Ending::Terminate => Self::Terminated,
        }
    }
}
