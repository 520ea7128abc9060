//! The clients of a crash test: hired once, told where to send in each life, and waited for in the end.

use std::sync::Arc;
use std::time::Duration;

use history::Key;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use super::Plan;
use super::access::{Access, Gate, Traffic, Up};
use super::board::Board;
use super::haul::Haul;
use super::lister::{Lister, Watch};
use super::owner::{Owner, Ownership};
use super::worker::{Assignment, Worker};
use super::workload::Spec;
use crate::catalogue::Catalogue;
use crate::runner::joined;
use crate::schedule::Clock;

/// The longest the last life is given to answer what is left over.
const REST_MAX: Duration = Duration::from_secs(30);

/// What all clients have in common.
#[derive(Debug, Clone)]
pub struct Scene {
    /// The clock of all times.
    pub clock: Clock,
    /// The levels of the run.
    pub catalogue: Arc<Catalogue>,
    /// What is known of those that come and go.
    pub board: Arc<Board>,
}

/// All clients.
#[derive(Debug)]
pub struct Crew {
    access: watch::Sender<Access>,
    tasks: JoinSet<Haul>,
    timeout: Duration,
}

impl Scene {
    /// The scene of a run that begins now.
    pub fn new(plan: &Plan) -> Self {
        let (clock, comings) = (Clock::start(), plan.spec.comings());
        let board = Board::new(Key(comings.start), comings.end - comings.start, clock);
        let catalogue = plan.spec.catalogue(&plan.prefix);
        Self { clock, catalogue: Arc::new(catalogue), board: Arc::new(board) }
    }
}

impl Crew {
    /// Nobody yet.
    pub fn new(plan: &Plan) -> Self {
        Self { access: watch::Sender::new(Access::Down), tasks: JoinSet::new(), timeout: plan.timeout }
    }

    /// Hires the clients. They wait to be admitted.
    pub fn hire(&mut self, plan: &Plan, scene: &Scene) {
        let records_max = plan.records_max / plan.all_clients().max(1) as usize;
        // The numbers of clients go on from kind to kind, so that each has a seed of its own.
        let seed = |id: u32| plan.spec.base().seed.rotate_left(17) ^ u64::from(id);
        for id in 0..plan.clients {
            let generator = plan.spec.generator(id);
            let assignment =
                Assignment { id, generator, keys: plan.prefix.clone(), seed: seed(id), records_max };
            let gate = Gate::new(&self.access);
            self.tasks.spawn(Worker::new(assignment, scene.clock, gate).work());
        }
        for (id, key) in (plan.clients..).zip(plan.spec.comings()) {
            let own = Ownership { id, key: Key(key), seed: seed(id), records_max };
            let (board, gate) = (Arc::clone(&scene.board), Gate::new(&self.access));
            self.tasks.spawn(Owner::new(own, board, scene.clock, gate).work());
        }
        for id in plan.all_clients() - plan.listers..plan.all_clients() {
            let watch = Watch {
                id,
                prefix: plan.prefix.clone(),
                comings: plan.spec.comings(),
                comings_prefix: Spec::comings_prefix(&plan.prefix),
                seed: seed(id),
                records_max,
            };
            let (board, catalogue) = (Arc::clone(&scene.board), Arc::clone(&scene.catalogue));
            self.tasks.spawn(Lister::new(watch, board, catalogue, Gate::new(&self.access)).work());
        }
    }

    /// Where one more may learn where to ask.
    pub fn gate(&self) -> Gate {
        Gate::new(&self.access)
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
                Ok(Some(done)) => all.merge(joined(done)),
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
