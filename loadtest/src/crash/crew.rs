//! The clients of a crash test: hired once, told where to send in each life, and waited for in the end.

use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use super::Plan;
use super::access::{Access, Gate, Traffic, Up};
use super::haul::Haul;
use super::worker::{Assignment, Worker};
use crate::schedule::Clock;

/// The longest the last life is given to answer what is left over.
const REST_MAX: Duration = Duration::from_secs(30);

/// All clients.
#[derive(Debug)]
pub struct Crew {
    access: watch::Sender<Access>,
    tasks: JoinSet<Haul>,
    timeout: Duration,
}

impl Crew {
    /// Nobody yet.
    pub fn new(plan: &Plan) -> Self {
        Self { access: watch::Sender::new(Access::Down), tasks: JoinSet::new(), timeout: plan.timeout }
    }

    /// Hires the clients. They wait to be admitted.
    pub fn hire(&mut self, plan: &Plan, clock: Clock) {
        let records_max = plan.records_max / plan.clients.max(1) as usize;
        for id in 0..plan.clients {
            let assignment = Assignment {
                id,
                generator: plan.spec.generator(id),
                keys: plan.prefix.clone(),
                seed: plan.spec.base().seed.rotate_left(17) ^ u64::from(id),
                records_max,
            };
            self.tasks.spawn(Worker::new(assignment, clock, Gate::new(&self.access)).work());
        }
    }

    /// Lets them send to a life.
    pub fn admit(&self, up: &Up, traffic: Traffic) {
        self.access.send_replace(Access::Up(Up { traffic, ..up.clone() }));
    }

    /// From here on nobody asks at an address that may soon be somebody else's.
    pub fn turn_away(&self) {
        self.access.send_replace(Access::Down);
    }

    /// Lets them answer for what is left over, if there is a life to ask, and waits for each, but not for ever.
    pub async fn gather(&mut self, last: Option<&Up>) -> Haul {
        match last {
            Some(up) => self.admit(up, Traffic::Rest),
            None => self.dismiss(),
        }
        let mut all = Haul::default();
        let mut deadline = Instant::now() + REST_MAX;
        loop {
            match timeout_at(deadline, self.tasks.join_next()).await {
                Ok(None) => return all,
                Ok(Some(Ok(haul))) => all.merge(haul),
                // Without what it saw nothing adds up, and the server would be blamed for it.
                Ok(Some(Err(error))) => std::panic::resume_unwind(error.into_panic()),
                Err(_) => {
                    // A request in flight ends with its own time limit, and its client with it.
                    self.dismiss();
                    deadline = Instant::now() + self.timeout + REST_MAX;
                }
            }
        }
    }

    fn dismiss(&self) {
        self.access.send_replace(Access::Over);
    }
}
