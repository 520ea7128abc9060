//! [`Lanes`]: what waits to be done, by partition; and who does it, a batch at a time.
//!
//! **A partition has one batch under way** in a process. While it is on its way the next gathers, as in a journal's group commit: so a hot level
//! costs what its batch costs, and the busier it is the longer its batches are.
//!
//! **Whoever waits for the lock takes all with it that has come meanwhile.** Where other processes are at the same partition, a batch that was made
//! up before the lock was asked for is as short as when it was asked, however long it waited; so there the lock is asked for first, alone, and
//! the batch is made up when it is ours. That costs a round trip, and is done only where the last lock was waited for.
//!
//! What is of several partitions has a lane of its own.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::batch::Batcher;
use super::failure::Trouble;
use super::partition::Partitions;
use super::work::{Done, Reply, Work};
use crate::store::{NotDone, Why};

/// Commands that may wait in a lane.
const QUEUE_MAX: usize = 10_000;
/// Levels of the commands of a batch, together: what is longer alone is a batch of its own.
const KEYS_MAX: usize = 20_000;
/// How long a command may wait in it.
const QUEUE_TIME: Duration = Duration::from_secs(10);
/// How often a batch is tried that met others.
const ATTEMPTS: u32 = 8;
/// Before the next attempt, times the number of the attempt.
const BACKOFF: Duration = Duration::from_millis(5);

/// What waits to be done.
#[derive(Debug)]
pub(super) struct Lanes {
    partitions: Partitions,
    /// One for each partition, and the last for what is of several.
    each: Vec<Lane>,
    stops: AtomicBool,
}

/// One of them.
#[derive(Debug, Default)]
pub(super) struct Lane {
    queue: Mutex<VecDeque<Work>>,
    bell: Notify,
    /// Whether its lock was waited for last time.
    pub(super) is_contended: AtomicBool,
}

impl Lanes {
    /// For so many partitions.
    pub(super) fn new(partitions: Partitions) -> Self {
        let lanes = (0..=partitions.count()).map(|_| Lane::default()).collect();
        Self { partitions, each: lanes, stops: AtomicBool::new(false) }
    }

    /// Has work done, which has at least one partition. What comes of it is replied.
    pub(super) fn submit(&self, work: Work) -> Result<(), NotDone> {
        let mut locked = work.partitions(self.partitions).into_iter();
        let lane = match (locked.next(), locked.next()) {
            (Some(only), None) => usize::try_from(only).ok().and_then(|p| self.each.get(p)),
            _ => self.each.last(),
        };
        self.enter(lane.expect("a lane for each partition"), work)
    }

    /// Has work done in the lane that is for several partitions, whatever it is of: in the order in which it is submitted.
    pub(super) fn submit_together(&self, work: Work) -> Result<(), NotDone> {
        self.enter(self.each.last().expect("there is one"), work)
    }

    fn enter(&self, lane: &Lane, work: Work) -> Result<(), NotDone> {
        let mut queue = lane.queue.lock();
        // Under the lock: who ends what is left looks once more after this was set.
        if self.stops.load(Ordering::SeqCst) {
            return Err(NotDone::no(Why::Away("the service stops".to_owned())));
        }
        if queue.len() >= QUEUE_MAX {
            return Err(NotDone::no(Why::Overloaded));
        }
        queue.push_back(work);
        drop(queue);
        lane.bell.notify_one();
        Ok(())
    }

    /// The same, and waits for what comes of it.
    pub(super) async fn done(&self, (work, reply): (Work, Reply)) -> Result<Done, NotDone> {
        self.submit(work)?;
        replied(reply).await
    }

    /// How many commands wait.
    pub(super) fn waiting(&self) -> usize {
        self.each.iter().map(|lane| lane.queue.lock().len()).sum()
    }

    /// Takes nothing in any more; what waits is done.
    pub(super) fn stop(&self) {
        self.stops.store(true, Ordering::SeqCst);
        self.each.iter().for_each(|lane| lane.bell.notify_one());
    }

    fn is_over(&self, lane: &Lane) -> bool {
        self.stops.load(Ordering::SeqCst) && lane.queue.lock().is_empty()
    }
}

/// What comes of work that was submitted.
pub(super) async fn replied(reply: Reply) -> Result<Done, NotDone> {
    let lost = || NotDone::unknown(Why::Damaged("a part of the service has failed".to_owned()));
    reply.await.unwrap_or_else(|_| Err(lost()))
}

impl Lane {
    /// What has gathered, at most so much. Who has gone away is not served, and who has waited too long is told.
    pub(super) fn take(&self, most: usize) -> Vec<Work> {
        let mut taken = Vec::new();
        let mut late = Vec::new();
        let (now, mut keys) = (Instant::now(), 0);
        let mut queue = self.queue.lock();
        while taken.len() < most {
            let fits = |work: &Work| taken.is_empty() || keys + work.keys.len() <= KEYS_MAX;
            let Some(work) = queue.pop_front_if(|work| fits(work)) else { break };
            if work.reply.is_closed() {
                continue;
            }
            if now.saturating_duration_since(work.since) > QUEUE_TIME {
                late.push(work);
            } else {
                keys += work.keys.len();
                taken.push(work);
            }
        }
        let is_more = !queue.is_empty();
        drop(queue);
        if is_more {
            self.bell.notify_one();
        }
        for work in late {
            let _gone = work.reply.send(Err(NotDone::no(Why::Overloaded)));
        }
        taken
    }
}

/// Starts who does what waits; each ends when the lanes stop and nothing waits.
pub(super) fn start(lanes: &Arc<Lanes>, batcher: &Arc<Batcher>) -> Vec<tokio::task::JoinHandle<()>> {
    let run = |at: usize| {
        let (lanes, batcher) = (Arc::clone(lanes), Arc::clone(batcher));
        tokio::spawn(async move {
            let lane = &lanes.each[at];
            let only = i32::try_from(at).ok().filter(|p| *p < lanes.partitions.count());
            loop {
                lane.bell.notified().await;
                if lanes.is_over(lane) {
                    return;
                }
                // A task of its own: should it panic, those of its batch are told that nobody knows, and the next batch is carried out.
                let (shared, carrying) = (Arc::clone(&lanes), Arc::clone(&batcher));
                let served = tokio::spawn(async move { serve(&shared, at, only, &carrying).await }).await;
                if let Err(panicked) = served {
                    tracing::error!(%panicked, "a batch was not carried through");
                    lane.bell.notify_one();
                }
                if lanes.is_over(lane) {
                    return;
                }
            }
        })
    };
    (0..lanes.each.len()).map(run).collect()
}

/// Carries one batch out, to its end.
async fn serve(lanes: &Lanes, at: usize, only: Option<i32>, batcher: &Batcher) {
    let lane = &lanes.each[at];
    if lane.queue.lock().is_empty() {
        return;
    }
    let mut works = Vec::new();
    let mut locked: BTreeSet<i32> = only.into_iter().collect();
    if only.is_none() || !lane.is_contended.load(Ordering::Relaxed) {
        works = lane.take(batcher.batch_max);
        if works.is_empty() {
            return;
        }
        if only.is_none() {
            locked = works.iter().flat_map(|work| work.partitions(lanes.partitions)).collect();
        }
    }
    let mut attempt = 0;
    let not_done = loop {
        match batcher.attempt(lane, &locked, &mut works).await {
            Ok(done) => {
                for (work, done) in works.into_iter().zip(done) {
                    let _gone = work.reply.send(done);
                }
                return;
            }
            Err(Trouble::Again(why)) if attempt < ATTEMPTS => {
                attempt += 1;
                batcher.metrics.again();
                tracing::debug!(why, attempt, "a batch is carried out again");
                tokio::time::sleep(BACKOFF * attempt).await;
            }
            Err(trouble) => break trouble.into_not_done(),
        }
    };
    batcher.health.failed(&not_done);
    // Whoever came while nothing was to be had is told so as well, where none was locked for anybody yet.
    if works.is_empty() {
        works = lane.take(batcher.batch_max);
    }
    for work in works {
        let _gone = work.reply.send(Err(not_done.clone()));
    }
}
