//! From life to life of a server on a data directory: start, drive, kill, start again, and in the end read everything back.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::sleep;

use super::Plan;
use super::access::{Stint, Traffic, Up};
use super::fate::{Ending, Fate, Fates};
use super::outcome::{Crash, CrashError, End, Life};
use super::server::{Launch, Server, StartError};
use super::trial::Trial;
use crate::interrupt::Stop;
use crate::output::Progress;
use crate::schedule::Limit;

/// A start that is to be killed before it is ready is killed after this at the latest.
pub const STILLBORN_MAX: Duration = Duration::from_secs(5);

/// Runs a crash test.
pub async fn drive(
    plan: &Plan,
    launch: &Launch,
    stop: &Stop,
    progress: &Progress,
) -> Result<Crash, CrashError> {
    let mut driver = Driver { launch, starts: 0, trial: Trial::new(plan, stop) };
    progress.begin("opening the levels", None);
    let mut open = driver.start(false).await?;
    driver.trial.open(&open.up.client).await?;
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
    launch: &'a Launch,
    starts: u32,
    trial: Trial<'a>,
}

impl Driver<'_> {
    /// One life under traffic, its end, and the start of the next one.
    async fn live(&mut self, open: &mut Open, fate: &Fate) -> Going {
        let trial = &mut self.trial;
        if trial.stop.requested() {
            return Going::Over;
        }
        trial.crew.admit(&open.up, Traffic::All);
        let ended = tokio::select! {
            how = open.server.ended() => Some(how),
            () = async {
                trial.wait(fate.traffic).await;
                trial.await_moment(fate.ending).await;
            } => None,
        };
        if ended.is_none() && trial.stop.requested() {
            return Going::Over;
        }
        let end = match (ended, fate.ending) {
            (Some(how), _) => {
                trial.unclean.push(format!("life {} ended by itself, with {how}", open.server.number()));
                End::ByItself
            }
            (None, Ending::Kill | Ending::KillOnSight | Ending::KillInHush) => {
                open.server.kill();
                End::Killed
            }
            (None, Ending::Terminate) => {
                // The clients go on: what they send while it drains is answered, or turned away.
                trial.unclean.extend(open.server.terminate().await);
                End::Terminated
            }
        };
        trial.crew.turn_away(0);
        open.server.ended().await;
        open.up.stint.is_over.store(true, Ordering::Release);
        let number = open.server.number();
        trial.enter(Life::of(number, None, end, Some(open.ready_after)), &open.up.stint);
        match self.restart(fate, open.ready_after).await {
            Ok(next) => {
                *open = next;
                Going::On
            }
            Err(error) => {
                let trial = &mut self.trial;
                trial.crew.turn_away(0);
                trial.enter(Life::of(self.starts, None, End::NeverReady, None), &Arc::default());
                trial.lost = Some(error.to_string());
                Going::Over
            }
        }
    }

    async fn restart(&mut self, fate: &Fate, recovery: Duration) -> Result<Open, StartError> {
        if let Some(part) = fate.stillborn {
            self.stillborn(recovery.mul_f64(part).min(STILLBORN_MAX)).await?;
        }
        let open = self.start(fate.impatient).await?;
        if !fate.impatient {
            self.trial.look_back(&open.up.client, open.up.life).await;
        }
        Ok(open)
    }

    /// A start that is killed while it recovers.
    async fn stillborn(&mut self, after: Duration) -> Result<(), StartError> {
        self.starts += 1;
        let mut server = self.launch.start(self.starts)?;
        let begin = async {
            let client = server.client(&self.trial.scene.catalogue, self.trial.options()).await?;
            server.ready(&client).await
        };
        let ready = tokio::select! {
            ready = begin => Some(ready?),
            () = sleep(after) => None,
        };
        server.kill();
        server.ended().await;
        self.trial.enter(Life::of(server.number(), None, End::KilledEarly, ready), &Arc::default());
        Ok(())
    }

    /// Starts a life and waits until it is ready. Impatient clients ask from the moment on that it listens.
    async fn start(&mut self, impatient: bool) -> Result<Open, StartError> {
        self.starts += 1;
        let mut server = self.launch.start(self.starts)?;
        let client = server.client(&self.trial.scene.catalogue, self.trial.options()).await?;
        let stint = Stint::new(&self.trial.scene.outages);
        let up = Up { life: self.starts, client: Arc::new(client), traffic: Traffic::Retries, stint };
        if impatient {
            self.trial.crew.admit(&up, Traffic::Retries);
        }
        let ready_after = server.ready(&up.client).await?;
        Ok(Open { server, up, ready_after })
    }

    /// The last life answers what is left over; then everything is read back, and it is stopped.
    async fn close(mut self, mut open: Open) -> Crash {
        let trial = &mut self.trial;
        if trial.lost.is_none() {
            trial.crew.admit(&open.up, Traffic::Rest);
        }
        trial.gather().await;
        if trial.lost.is_none() {
            trial.read_all(&open.up.client, open.up.life).await;
            trial.unclean.extend(open.server.terminate().await);
            let number = open.server.number();
            trial.enter(Life::of(number, None, End::Last, Some(open.ready_after)), &open.up.stint);
        } else {
            trial.forsake(&[]).await;
        }
        self.trial.end()
    }
}
