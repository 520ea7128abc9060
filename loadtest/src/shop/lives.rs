//! A shop whose server is killed again and again, on the same data; or its replicas, or the database under them.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde::Serialize;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::Plan;
use super::clerk::Hours;
use super::course::{Brought, Course, CourseError};
use crate::client::{Client, Options};
use crate::cluster::{Cluster, ClusterError};
use crate::crash::access::Stint;
use crate::crash::drive::STILLBORN_MAX;
use crate::crash::fate::{Ending, Fate, Fates, Span};
use crate::crash::fleet::{Fleet, Host, Kind};
use crate::crash::outage::Outage;
use crate::crash::outcome::End;
use crate::crash::server::{Launch, Server, StartError};
use crate::crash::siege::{Harm, Siege};
use crate::interrupt::Stop;
use crate::output::Progress;
use crate::schedule::Limit;

/// How often a life looks whether to stop.
const LOOK: Duration = Duration::from_millis(50);

/// Why there was no crash test.
#[derive(Debug, thiserror::Error)]
pub enum LivesError {
    /// The first life did not begin.
    #[error(transparent)]
    Start(#[from] StartError),
    /// There is no database to kill.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// The shop did not open.
    #[error(transparent)]
    Course(#[from] CourseError),
}

/// How the lives ended.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Lives {
    /// Lives that were planned to end; with replicas, times that any were to be, or the database.
    pub planned: u32,
    /// By SIGKILL, under traffic.
    pub killed: u32,
    /// By SIGTERM, under traffic.
    pub terminated: u32,
    /// By SIGKILL, before they were ready.
    pub killed_early: u32,
    /// The longest from a start to being ready, in milliseconds.
    pub recovery_max_ms: u64,
    /// Stops by SIGTERM that did not go as they should, and lives that ended by themselves.
    pub unclean: Vec<String>,
    /// Why the server did not come back.
    pub lost: Option<String>,
    /// How many replicas were ended together, in each cycle that ended any.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ended: Vec<usize>,
    /// Every time that the database was killed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub outages: Vec<Outage>,
}

impl fmt::Display for Lives {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { planned, killed, terminated, killed_early, recovery_max_ms, ended, outages, .. } = self;
        if !outages.is_empty() {
            return write!(f, "{} of {planned} kills of the database", outages.len());
        }
        match ended.iter().max() {
            None => write!(f, "{killed} lives of {planned} ended by SIGKILL, {terminated} by SIGTERM, ")?,
            Some(together) => write!(
                f,
                "{} of {planned} cycles: {killed} replicas ended by SIGKILL, {terminated} by SIGTERM, up to {together} together, ",
                ended.len()
            )?,
        }
        write!(f, "{killed_early} killed while starting; recovery took {recovery_max_ms} ms at most")
    }
}

/// The server that lives, and the door to it.
struct House<'a> {
    launch: &'a Launch,
    door: watch::Sender<Option<Arc<str>>>,
    starts: u32,
    recovery: Duration,
    timeout: Duration,
    lives: Lives,
}

/// Runs a shop over so many lives of a server.
pub async fn drive(
    plan: &Plan,
    launch: &Launch,
    (cycles, span): (u32, Span),
    stop: &Stop,
    progress: &Progress,
) -> Result<(Brought, Lives), LivesError> {
    let (door, opened) = watch::channel(None);
    let lives = Lives { planned: cycles, ..Lives::default() };
    let (recovery, timeout) = (Duration::ZERO, plan.timeout);
    let mut house = House { launch, door, starts: 0, recovery, timeout, lives };
    progress.begin("opening the levels", None);
    let mut server = house.start(false).await?;
    let course = Course::open(plan, vec![opened]).await?;
    let hours = Arc::new(Hours::new(plan.limit, stop));
    let clients = course.hire(plan, &hours);
    progress.begin("killing and restarting", Some(Limit::Requests(cycles.into())));
    let mut fates = Fates::new(plan.seed, span);
    for _ in 0..cycles {
        if stop.requested() {
            break;
        }
        let fate = fates.draw();
        if let Some(how) = wait(&mut server, fate.traffic, stop).await {
            house.lives.unclean.push(format!("life {} ended by itself, with {how}", server.number()));
        } else if fate.ending == Ending::Terminate {
            // The clients go on: what they send while it drains is answered, or turned away.
            house.lives.unclean.extend(server.terminate().await);
            house.lives.terminated += 1;
        } else {
            server.kill();
            house.lives.killed += 1;
        }
        server.ended().await;
        house.door.send_replace(None);
        match house.restart(&fate).await {
            Ok(next) => server = next,
            Err(error) => {
                house.lives.lost = Some(error.to_string());
                break;
            }
        }
        progress.advance();
    }
    hours.over.store(true, Ordering::Relaxed);
    let brought = course.close(clients, progress).await;
    if house.lives.lost.is_none() {
        house.lives.unclean.extend(server.terminate().await);
    }
    progress.end();
    Ok((brought, house.lives))
}

/// The doors to the replicas.
struct Doors(Vec<watch::Sender<Option<Arc<str>>>>);

impl Host for Doors {
    fn open(&self, at: usize, client: &Arc<Client>, _: &Arc<Stint>, _: bool) {
        self.0[at].send_replace(Some(address(client)));
    }

    fn shut(&self, at: usize) {
        self.0[at].send_replace(None);
    }
}

/// Runs a shop over so many replicas, which are ended now and then, or whose database is.
pub async fn besiege(
    plan: &Plan,
    launch: &Launch,
    (replicas, cluster): (u32, Option<&mut Cluster>),
    (cycles, span): (u32, Span),
    stop: &Stop,
    progress: &Progress,
) -> Result<(Brought, Lives), LivesError> {
    progress.begin("starting the replicas", None);
    let (doors, opened): (Vec<_>, Vec<_>) = (0..replicas).map(|_| watch::channel(None)).unzip();
    let doors = Doors(doors);
    let options = Options { connections: 1, timeout: plan.timeout };
    let outages = Arc::clone(&plan.outages);
    let kind = Kind { launch, catalogue: Arc::default(), options, outages };
    let replicas = doors.0.len();
    let fleet = Fleet::start(kind, replicas, &doors).await?;
    let harm = cluster.map_or(Harm::Replicas, Harm::Database);
    let mut siege = Siege::new(fleet, harm, (plan.seed, replicas), launch.recovery_max);
    progress.begin("opening the levels", None);
    let course = Course::open(plan, opened).await?;
    let hours = Arc::new(Hours::new(plan.limit, stop));
    let clients = course.hire(plan, &hours);
    progress.begin("killing and restarting", Some(Limit::Requests(cycles.into())));
    let mut fates = Fates::new(plan.seed, span);
    for _ in 0..cycles {
        siege.arm().await?;
        let fate = fates.draw();
        if siege.traffic(&fate, stop, &doors).await {
            siege.strike(&fate, &doors).await?;
        }
        if stop.requested() || siege.lost.is_some() {
            break;
        }
        progress.advance();
    }
    hours.over.store(true, Ordering::Relaxed);
    let brought = course.close(clients, progress).await;
    siege.unclean.extend(siege.fleet.stop(&doors).await);
    progress.end();
    let count = |wanted: End| {
        let ended = siege.fleet.lives.iter().filter(|(life, _)| life.end == wanted).count();
        u32::try_from(ended).unwrap_or(u32::MAX)
    };
    let recovery_max_ms = u64::try_from(siege.fleet.ready_after_max().as_millis()).unwrap_or(u64::MAX);
    let lives = Lives {
        planned: cycles,
        killed: count(End::Killed),
        terminated: count(End::Terminated),
        killed_early: count(End::KilledEarly),
        recovery_max_ms,
        unclean: siege.unclean,
        lost: siege.lost,
        ended: siege.ended,
        outages: plan.outages.list(),
    };
    Ok((brought, lives))
}

/// Where a client asks.
fn address(client: &Client) -> Arc<str> {
    client.base().to_string().trim_end_matches('/').into()
}

/// Waits for the end of a life; answers how it ended, if it did so by itself.
async fn wait(server: &mut Server, traffic: Duration, stop: &Stop) -> Option<String> {
    let end = Instant::now() + traffic;
    while !stop.requested() && Instant::now() < end {
        let pause = LOOK.min(end.saturating_duration_since(Instant::now()));
        tokio::select! {
            how = server.ended() => return Some(how),
            () = sleep(pause) => {}
        }
    }
    None
}

impl House<'_> {
    fn options(&self) -> Options {
        Options { connections: 1, timeout: self.timeout }
    }

    /// Starts a life and opens the door when it is ready; to the impatient as soon as it listens.
    async fn start(&mut self, impatient: bool) -> Result<Server, StartError> {
        self.starts += 1;
        let mut server = self.launch.start(self.starts)?;
        let client = server.client(&Arc::default(), self.options()).await?;
        let url = address(&client);
        if impatient {
            self.door.send_replace(Some(Arc::clone(&url)));
        }
        self.recovery = server.ready(&client).await?;
        let recovery_ms = u64::try_from(self.recovery.as_millis()).unwrap_or(u64::MAX);
        self.lives.recovery_max_ms = self.lives.recovery_max_ms.max(recovery_ms);
        self.door.send_replace(Some(url));
        Ok(server)
    }

    /// The next life, perhaps after a start that is killed.
    async fn restart(&mut self, fate: &Fate) -> Result<Server, StartError> {
        if let Some(part) = fate.stillborn {
            self.stillborn(self.recovery.mul_f64(part).min(STILLBORN_MAX)).await?;
        }
        self.start(fate.impatient).await
    }

    /// A start that is killed while it recovers.
    async fn stillborn(&mut self, after: Duration) -> Result<(), StartError> {
        self.starts += 1;
        let mut server = self.launch.start(self.starts)?;
        sleep(after).await;
        server.kill();
        server.ended().await;
        self.lives.killed_early += 1;
        Ok(())
    }
}
