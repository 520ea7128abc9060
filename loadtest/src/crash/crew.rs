//! The clients of a crash test: hired once, told where to send in each life, and waited for in the end. Of several replicas each client has its own.

use std::sync::Arc;
use std::time::Duration;

use history::Key;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use super::Plan;
use super::access::{Access, Gate, Stint, Traffic, Up};
use super::board::Board;
use super::haul::Haul;
use super::lister::{Lister, Watch};
use super::outage::Outages;
use super::owner::{Owner, Ownership};
use super::worker::{Assignment, Worker};
use super::workload::Spec;
use crate::catalogue::Catalogue;
use crate::client::Client;
use crate::client::replicas::own;
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
    /// What they meet while the database is away.
    pub outages: Arc<Outages>,
}

/// All clients.
#[derive(Debug)]
pub struct Crew {
    access: watch::Sender<Access>,
    tasks: JoinSet<Haul>,
    timeout: Duration,
    places: usize,
    /// The life of the service, and what may be sent to it.
    life: u32,
    traffic: Traffic,
}

impl Scene {
    /// The scene of a run that begins now.
    pub fn new(plan: &Plan) -> Self {
        let (clock, comings) = (Clock::start(), plan.spec.comings());
        let board = Board::new(Key(comings.start), comings.end - comings.start, clock);
        let catalogue = plan.spec.catalogue(&plan.prefix);
        let outages = Arc::new(Outages::new(clock));
        Self { clock, catalogue: Arc::new(catalogue), board: Arc::new(board), outages }
    }
}

impl Crew {
    /// Nobody yet.
    pub fn new(plan: &Plan) -> Self {
        let places = plan.replicas.map_or(1, |replicas| replicas as usize).max(1);
        let access = watch::Sender::new(Access::Open(vec![None; places]));
        let (tasks, timeout) = (JoinSet::new(), plan.timeout);
        Self { access, tasks, timeout, places, life: 1, traffic: Traffic::All }
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
            let gate = self.gate(id);
            self.tasks.spawn(Worker::new(assignment, scene.clock, gate).work());
        }
        for (id, key) in (plan.clients..).zip(plan.spec.comings()) {
            let has_replicas = plan.replicas.is_some();
            let own = Ownership { id, key: Key(key), seed: seed(id), records_max, has_replicas };
            let (board, gate) = (Arc::clone(&scene.board), self.gate(id));
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
            self.tasks.spawn(Lister::new(watch, board, catalogue, self.gate(id)).work());
        }
    }

    /// Where a client may learn where to ask.
    pub fn gate(&self, client: u32) -> Gate {
        Gate::new(&self.access, own(client, self.places))
    }

    /// Lets them send to a life of a server that has no replicas.
    pub fn admit(&self, up: &Up, traffic: Traffic) {
        self.set(0, Some(Up { traffic, ..up.clone() }));
    }

    /// Lets them send to a replica what may be sent just now, or only what is not answered yet, if it is not ready.
    pub fn open(&self, at: usize, client: &Arc<Client>, stint: &Arc<Stint>, is_ready: bool) {
        let traffic = if is_ready { self.traffic } else { Traffic::Retries };
        let (client, stint) = (Arc::clone(client), Arc::clone(stint));
        self.set(at, Some(Up { life: self.life, client, traffic, stint }));
    }

    /// What may be sent to the replicas that are ready, from here on.
    pub fn allow(&mut self, traffic: Traffic) {
        self.traffic = traffic;
        self.each(|up| {
            if up.traffic != Traffic::Retries {
                up.traffic = traffic;
            }
        });
    }

    /// An end was made: of replicas, or of the database. What is asked from here on is asked in the next life of the service.
    pub fn turn_over(&mut self) {
        self.life += 1;
        let life = self.life;
        self.each(|up| up.life = life);
    }

    /// The life of the service.
    pub fn life(&self) -> u32 {
        self.life
    }

    /// From here on nobody asks at an address that may soon be somebody else's.
    pub fn turn_away(&self, at: usize) {
        self.set(at, None);
    }

    /// Lets them answer for what is left over, if there is anybody to ask, and waits for each, but not for ever.
    pub async fn gather(&mut self, is_up: bool) -> Haul {
        if is_up {
            self.each(|up| up.traffic = Traffic::Rest);
        } else {
            self.dismiss();
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

    fn set(&self, at: usize, up: Option<Up>) {
        self.access.send_if_modified(|access| match access {
            Access::Open(places) => {
                places[at] = up;
                true
            }
            Access::Over => false,
        });
    }

    fn each(&self, change: impl FnMut(&mut Up)) {
        self.access.send_if_modified(|access| match access {
            Access::Open(places) => {
                places.iter_mut().flatten().for_each(change);
                true
            }
            Access::Over => false,
        });
    }
}
