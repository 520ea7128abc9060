//! What a run shows of itself to whoever looks: the stage, the figures of its threads, and what the server last told.
//!
//! Clients only write to what is their thread's ([`Gauge`], [`Books`]); a look reads them all.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::books::{Books, SoFar};
use super::gauge::{Gauge, Shown};
use super::{Counters, Stage};
use crate::catalogue::Catalogue;
use crate::client::Client;
use crate::interrupt::Stop;
use crate::measure::server::ServerStatus;
use crate::schedule::{Limit, Rate};

/// Between two questions to the server how contended it is. They go over a connection of their own.
const ASK_EVERY: Duration = Duration::from_secs(1);

/// The figures of one thread of clients.
#[derive(Debug)]
pub struct Watch {
    /// Of its requests.
    pub gauge: Gauge,
    /// Of what it was told.
    pub books: Books,
}

/// What a run shows of itself.
#[derive(Debug)]
pub struct Board {
    title: String,
    stop: Stop,
    pub(super) counters: Counters,
    stage: Mutex<Stage>,
    run: Mutex<Option<UnderWay>>,
    contention: Mutex<Contention>,
}

/// The run that is under way.
#[derive(Debug)]
struct UnderWay {
    watches: Vec<Arc<Watch>>,
    catalogue: Arc<Catalogue>,
    offered: Option<Rate>,
}

/// How contended the server says it was.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum Contention {
    /// It has not been asked twice yet.
    #[default]
    Unasked,
    /// It does not tell.
    NotTold,
    /// The growth of its counters a second; what is no counter (a mean, a maximum) as it is.
    Told(BTreeMap<String, f64>),
}

/// What is to be seen at one moment.
#[derive(Debug, Clone)]
pub struct Look {
    /// What is run.
    pub title: String,
    /// What comes before the stage, such as the turn; may be empty.
    pub prefix: String,
    /// What is under way; `None` between stages.
    pub stage: Option<StageLook>,
    /// What the proof rests on so far.
    pub so_far: SoFar,
    /// The name of the level that lost an update.
    pub lost: Option<String>,
    /// How contended the server is.
    pub contention: Contention,
    /// Whether the run was asked to stop.
    pub stopping: bool,
}

/// A stage of a run.
#[derive(Debug, Clone)]
pub struct StageLook {
    /// Which one.
    pub name: &'static str,
    /// How many stages came before.
    pub number: u64,
    /// How long it has been.
    pub elapsed: Duration,
    /// When it ends.
    pub limit: Option<Limit>,
    /// The rate that is offered now, in requests a second; `None` in closed loop.
    pub offered_per_s: Option<f64>,
    /// What its requests came to.
    pub shown: Shown,
    /// What was done in it that is no request of a watched client.
    pub steps: u64,
}

impl Board {
    pub(super) fn new(title: String, stop: Stop) -> Self {
        Self {
            title,
            stop,
            counters: Counters::default(),
            stage: Mutex::default(),
            run: Mutex::default(),
            contention: Mutex::default(),
        }
    }

    pub(super) fn prefix(&self, prefix: String) {
        lock(&self.stage).prefix = prefix;
    }

    pub(super) fn begin(&self, name: &'static str, limit: Option<Limit>) {
        let (done, shown) = (self.counters.done(), self.shown());
        lock(&self.stage).begin(name, limit, done, shown);
    }

    pub(super) fn end(&self) {
        lock(&self.stage).now = None;
    }

    /// A run begins, on this many threads: a watch for each.
    pub(super) fn watches(
        &self,
        threads: usize,
        catalogue: &Arc<Catalogue>,
        offered: Option<Rate>,
    ) -> Vec<Arc<Watch>> {
        let watch = || Arc::new(Watch { gauge: Gauge::default(), books: Books::new(catalogue.len()) });
        let watches: Vec<_> = (0..threads).map(|_| watch()).collect();
        let under_way = UnderWay { watches: watches.clone(), catalogue: Arc::clone(catalogue), offered };
        *lock(&self.run) = Some(under_way);
        *lock(&self.contention) = Contention::Unasked;
        watches
    }

    fn shown(&self) -> Shown {
        let run = lock(&self.run);
        Shown::of(run.iter().flat_map(|run| &run.watches).map(|watch| &watch.gauge))
    }

    /// What is to be seen now.
    pub fn look(&self) -> Look {
        let (shown, done) = (self.shown(), self.counters.done());
        let stage = lock(&self.stage).clone();
        let run = lock(&self.run);
        let books: Vec<&Books> = run.iter().flat_map(|run| &run.watches).map(|watch| &watch.books).collect();
        let so_far = SoFar::of(&books);
        let lost = so_far.lost.zip(run.as_ref()).and_then(|(lost, run)| {
            let key = run.catalogue.keys().nth(lost.level)?;
            let entry = run.catalogue.entry(key);
            Some(format!("{}@{}", entry.sku, entry.location))
        });
        let offered = run.as_ref().and_then(|run| run.offered.as_ref());
        Look {
            title: self.title.clone(),
            prefix: stage.prefix,
            stage: stage.now.map(|now| {
                let elapsed = now.since.elapsed();
                let offered = offered.filter(|_| now.name == MEASURING);
                StageLook {
                    name: now.name,
                    number: stage.begun,
                    elapsed,
                    limit: now.limit,
                    offered_per_s: offered.and_then(|rate| offered_per_s(rate, elapsed, now.limit?)),
                    shown: shown.since(&now.shown_before),
                    steps: done.saturating_sub(now.done_before),
                }
            }),
            so_far,
            lost,
            contention: lock(&self.contention).clone(),
            stopping: self.stop.requested(),
        }
    }

    /// Asks the server once a second how contended it is, until it is dropped.
    pub(super) async fn ask(self: Arc<Self>, client: Arc<Client>) {
        let mut last: Option<(Instant, ServerStatus)> = None;
        loop {
            let (now, status) = (Instant::now(), ServerStatus::of(&client).await);
            *lock(&self.contention) = Contention::between(last.as_ref(), now, &status);
            last = Some((now, status));
            tokio::time::sleep(ASK_EVERY).await;
        }
    }
}

/// The stage in which an open loop offers its rate.
pub const MEASURING: &str = "measuring";

impl Contention {
    fn between(earlier: Option<&(Instant, ServerStatus)>, now: Instant, status: &ServerStatus) -> Self {
        if !status.tells_contention() {
            return Self::NotTold;
        }
        let Some((before, earlier)) = earlier.filter(|(_, earlier)| earlier.tells_contention()) else {
            return Self::Unasked;
        };
        let seconds = now.duration_since(*before).as_secs_f64().max(1e-3);
        let per_s = |(name, grown): (String, u64)| {
            let is_counter = ServerStatus::is_counter(&name);
            (name, if is_counter { grown as f64 / seconds } else { grown as f64 })
        };
        Self::Told(status.since(earlier).into_iter().map(per_s).collect())
    }
}

/// The rate that is offered at a time of a phase.
fn offered_per_s(rate: &Rate, elapsed: Duration, limit: Limit) -> Option<f64> {
    let phase_s = match limit {
        Limit::For(duration) => duration.as_secs_f64(),
        Limit::Requests(requests) => requests as f64 / rate.mean_per_s(),
    };
    // What comes after the end of the phase is the rest of its requests: nothing more is offered.
    (elapsed.as_secs_f64() <= phase_s).then(|| rate.at_per_s(elapsed.as_secs_f64(), phase_s))
}

/// What a thread that panicked left is good enough to look at.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use history::{Key, Outcome, Seen, Stock};

    use super::*;
    use crate::runner::session::Class;

    fn board() -> Board {
        Board::new("loadtest run".to_owned(), Stop::default())
    }

    #[test]
    fn a_stage_counts_from_its_own_beginning() {
        let board = board();
        let names = vec![("a".to_owned(), "main".to_owned()), ("b".to_owned(), "annex".to_owned())];
        let catalogue = Arc::new(Catalogue::new(names));
        let watches = board.watches(2, &catalogue, Some(500.0.into()));
        board.begin("warming up", None);
        watches[0].gauge.add(Class::Done, 1_000);
        board.begin(MEASURING, Some(Limit::For(Duration::from_mins(1))));
        watches[1].gauge.add(Class::Refused, 1_000);
        let look = board.look();
        let stage = look.stage.expect("it is under way");
        assert_eq!((stage.name, stage.shown.requests(), stage.shown.refused), (MEASURING, 1, 1));
        assert_eq!((stage.number, stage.offered_per_s), (2, Some(500.0)));
        assert!(look.lost.is_none() && !look.stopping);
        for watch in &watches {
            let seen = Seen { key: Key(1), version: 1, stock: Stock::Untold };
            watch.books.note(&Outcome::Applied(vec![seen]));
        }
        assert_eq!(board.look().lost.as_deref(), Some("b@annex"));
        board.end();
        assert!(board.look().stage.is_none());
        // Another run has other levels.
        board.watches(1, &catalogue, None);
        assert_eq!((board.look().lost, board.look().so_far.recorded), (None, 0));
    }

    #[test]
    fn contention_is_what_was_added_in_a_second_or_not_told() {
        let told = |count| {
            let contention = [("acquisitions".to_owned(), count), ("hold_ns_max".to_owned(), 70)];
            ServerStatus { strategy: None, contention: contention.into() }
        };
        let start = Instant::now();
        let later = start + Duration::from_secs(2);
        let between = |earlier: Option<&(Instant, ServerStatus)>, status: &ServerStatus| {
            Contention::between(earlier, later, status)
        };
        assert_eq!(between(None, &told(5)), Contention::Unasked);
        assert_eq!(between(Some(&(start, told(5))), &ServerStatus::default()), Contention::NotTold);
        assert_eq!(between(Some(&(start, ServerStatus::default())), &told(5)), Contention::Unasked);
        let Contention::Told(grown) = between(Some(&(start, told(5))), &told(25)) else {
            panic!("it was told twice")
        };
        assert_eq!(grown.into_values().collect::<Vec<_>>(), [10.0, 70.0]);
    }

    #[test]
    fn nothing_is_offered_after_the_end() {
        let ramp: Rate = "100:300".parse().expect("a ramp");
        let second = Duration::from_secs(1);
        assert_eq!(offered_per_s(&ramp, second, Limit::For(2 * second)), Some(200.0));
        assert_eq!(offered_per_s(&ramp, second, Limit::Requests(400)), Some(200.0));
        assert_eq!(offered_per_s(&ramp, 3 * second, Limit::Requests(400)), None);
    }
}
