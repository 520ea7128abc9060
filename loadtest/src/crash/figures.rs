//! The figures of a crash test's report: what decided it, and how the lives went.

use serde::Serialize;

use super::Plan;
use super::findings::kills_in_flight;
use super::outage::Outage;
use super::outcome::{Crash, End, Life};
use super::sights::TakenBack;
use crate::cluster::Fault;
use crate::report::document::{Better, Document};
use crate::report::millis;
use crate::statistics::median;

/// Sights that are told in full.
const TAKEN_BACK_LISTED_MAX: usize = 5;

/// Sights of listings and exports that a kill took back.
#[derive(Debug, Clone, Serialize)]
pub struct TakenBackFigures {
    /// Deletions: a level was missing, and is there again at the version before.
    pub deletions: usize,
    /// Versions that were shown of a level.
    pub versions: usize,
    /// The first of either, in words.
    pub listed: Vec<String>,
}

/// What decided the workload: with these, the run can be repeated.
#[derive(Debug, Clone, Serialize)]
#[expect(missing_docs, reason = "each is the option of the same name")]
pub struct Workload {
    pub seed: u64,
    pub prefix: String,
    pub clients: u32,
    pub come_and_go: u32,
    pub listers: u32,
    pub skus: u32,
    pub pairs: usize,
    pub keys: String,
    pub mix: String,
    pub opening_stock: u64,
    pub life: String,
    pub timeout_ms: u64,
}

/// How the lives ended.
#[derive(Debug, Clone, Serialize)]
pub struct Cycles {
    /// Asked for.
    pub planned: u32,
    /// Lives under traffic that ended; with replicas, times that any were ended; with a fault, times that the database was killed.
    pub done: usize,
    /// By SIGKILL.
    pub kills: usize,
    /// Of these, with writes in flight.
    pub kills_in_flight: usize,
    /// Starts that were killed before they were ready, or just then.
    pub kills_early: usize,
    /// By SIGTERM.
    pub terminated: usize,
    /// Without being asked to.
    pub by_itself: usize,
    /// All starts of the server.
    pub starts: usize,
    /// The most replicas that were ended together.
    pub together_max: usize,
}

/// How long the server took to be ready after a restart.
#[derive(Debug, Clone, Serialize)]
pub struct Recovery {
    /// Restarts that became ready.
    pub restarts: usize,
    /// The median.
    pub p50_ms: Option<f64>,
    /// The longest.
    pub max_ms: Option<f64>,
}

impl TakenBackFigures {
    /// Of what was taken back.
    pub fn of(taken_back: &[TakenBack]) -> Self {
        let deletions = taken_back.iter().filter(|sight| sight.shown.is_missing).count();
        let listed = taken_back.iter().take(TAKEN_BACK_LISTED_MAX).map(ToString::to_string).collect();
        Self { deletions, versions: taken_back.len() - deletions, listed }
    }
}

impl Workload {
    /// Of a plan.
    pub fn of(plan: &Plan) -> Self {
        let spec = plan.spec.base();
        Self {
            seed: spec.seed,
            prefix: plan.prefix.clone(),
            clients: plan.clients,
            come_and_go: plan.all_clients() - plan.clients - plan.listers,
            listers: plan.listers,
            skus: spec.skus,
            pairs: plan.spec.pairs().len(),
            keys: spec.keys.to_string(),
            mix: spec.mix.to_string(),
            opening_stock: spec.opening_stock,
            life: plan.span.to_string(),
            timeout_ms: millis(plan.timeout),
        }
    }
}

impl Cycles {
    /// Of a crash test.
    pub fn of(plan: &Plan, crash: &Crash) -> Self {
        let count = |end| crash.lives.iter().filter(|life| life.end == end).count();
        let (kills, terminated, by_itself) =
            (count(End::Killed), count(End::Terminated), count(End::ByItself));
        Self {
            planned: plan.cycles,
            done: match (plan.fault, plan.replicas) {
                (Some(_), _) => crash.outages.len(),
                (None, Some(_)) => crash.ended.len(),
                (None, None) => kills + terminated + by_itself,
            },
            kills,
            kills_in_flight: kills_in_flight(crash),
            kills_early: count(End::KilledEarly),
            terminated,
            by_itself,
            starts: crash.lives.len(),
            together_max: crash.ended.iter().copied().max().unwrap_or(0),
        }
    }
}

/// What came of a database that was killed.
#[derive(Debug, Clone, Serialize)]
pub struct FaultFigures {
    /// `restart` or `failover`
    pub kind: &'static str,
    /// The median of the seconds from a kill to the first change that was acknowledged afterwards.
    pub first_change_p50_s: Option<f64>,
    /// The longest.
    pub first_change_max_s: Option<f64>,
    /// Acknowledged changes that were missing in the end; absent if there was no final state to compare with.
    pub acknowledged_lost: Option<u64>,
    /// Each kill.
    pub outages: Vec<Outage>,
}

impl FaultFigures {
    /// Of a crash test, if it killed a database.
    pub fn of(plan: &Plan, crash: &Crash) -> Option<Self> {
        let acknowledged_lost = crash.accounts.as_ref().map(|accounts| accounts.missing);
        plan.fault.map(|fault| Self::new(fault, crash.outages.clone(), acknowledged_lost))
    }

    /// Of such outages.
    pub fn new(fault: Fault, outages: Vec<Outage>, acknowledged_lost: Option<u64>) -> Self {
        let first: Vec<f64> = outages.iter().filter_map(|outage| outage.first_change_s).collect();
        Self {
            kind: fault.name(),
            first_change_p50_s: median(&first),
            first_change_max_s: first.into_iter().reduce(f64::max),
            acknowledged_lost,
            outages,
        }
    }

    /// Everything there is to tell.
    pub fn tell(&self, document: &mut Document) {
        let seconds = |seconds: Option<f64>| seconds.map_or("never".to_owned(), |s| format!("{s:.3}"));
        let row = |(number, outage): (usize, &Outage)| {
            let Outage { database_s, first_change_s, failed, unknown, settled, .. } = outage;
            let mut row = vec![(number + 1).to_string(), seconds(*database_s), seconds(*first_change_s)];
            row.extend([failed, unknown, settled].map(u64::to_string));
            row
        };
        let header = ["kill", "database back (s)", "first change (s)", "failed", "unknown", "settled"];
        document.table("outages", &header, self.outages.iter().enumerate().map(row).collect());
        document.line(format!(
            "From killing the primary to the first acknowledged change ({}): p50 {} s, max {} s over {} kills",
            match self.kind {
                "failover" => "on the promoted standby",
                _ => "after its restart",
            },
            seconds(self.first_change_p50_s),
            seconds(self.first_change_max_s),
            self.outages.len()
        ));
        if let Some(lost) = self.acknowledged_lost {
            document.line(format!("Acknowledged changes lost: {lost}"));
        }
        if let Some(p50) = self.first_change_p50_s {
            document.figure("first change after a kill of the database", "s", p50, Better::Lower);
        }
    }
}

impl Recovery {
    /// Of these lives. The first start of a server, or of each of so many replicas, has nothing to recover, so it does not count.
    pub fn of(lives: &[Life], replicas: Option<u32>) -> Self {
        let first = replicas.unwrap_or(1);
        let again = lives.iter().filter(|life| life.number > first);
        let times: Vec<f64> = again.filter_map(|life| life.ready_after_ms).collect();
        Self { restarts: times.len(), max_ms: times.iter().copied().reduce(f64::max), p50_ms: median(&times) }
    }

    /// In one line.
    pub fn text(&self) -> String {
        match (self.p50_ms, self.max_ms) {
            (Some(p50), Some(max)) => format!(
                "Recovery, from start to ready: p50 {p50:.1} ms, max {max:.1} ms over {} restarts",
                self.restarts
            ),
            _ => "Recovery: no restart".to_owned(),
        }
    }
}
