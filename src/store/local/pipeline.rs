//! The pipeline: a bounded queue of orders, and workers that let one after the other take its units.
//!
//! - [`counter`]: whose turn it is, and who waits for which level. [`Rank`]: who is before whom.
//! - Here: the workers, who wakes them, and how they end. What a turn does is in [`orders`](super::orders).
//!
//! **The queue is in the log.** What is here is made anew at each start from the orders that are not over ([`Pipeline::add`]); an order is
//! added only when its record is on disk, so that nothing becomes of an order that a crash could take back.
//!
//! **A worker waits for no disk.** It takes a permit of the journal, makes the change, and goes on; whoever is shown what became of an
//! order waits for that itself.
//!
//! **Waiting costs nothing.** An order that waits for units has its levels watched ([`Freed`](crate::journal::freed::Freed)), is tried once more,
//! and then nobody looks at it until units of one of them come free, or those before it in a line go.

mod counter;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use self::counter::Counter;
pub(super) use self::counter::{Task, What};
use super::Local;
use crate::journal::lanes::Lanes;
use crate::stock::{Order, OrderState};
use crate::store::Orders;
use crate::store::rank::Rank;
use crate::sync::Mutex;
use crate::telemetry::Pace;

/// Until a worker goes on where the journal takes nothing, or the levels are contended.
const AFTER_FAILURE: Duration = Duration::from_millis(100);

/// The queue, and who works on it.
#[derive(Debug)]
pub(super) struct Pipeline {
    how: Orders,
    lanes: Arc<Lanes>,
    counter: Mutex<Counter>,
    pace: Mutex<Pace>,
    /// There may be something to do.
    work: Notify,
    /// Workers that there are.
    workers: AtomicUsize,
    stops: AtomicBool,
    stopped: Notify,
    /// An order has had its turn, or a worker has ended.
    turned: Notify,
    /// Orders that are over, by what became of them.
    pub(super) ended: Ended,
}

/// How many orders came to an end here.
#[derive(Debug, Default)]
pub(super) struct Ended {
    pub(super) fulfilled: AtomicU64,
    pub(super) rejected: AtomicU64,
    pub(super) cancelled: AtomicU64,
}

impl Pipeline {
    /// An empty queue, on which nobody works yet.
    pub(super) fn new(how: Orders, lanes: Arc<Lanes>) -> Self {
        Self {
            how,
            lanes,
            counter: Mutex::default(),
            pace: Mutex::default(),
            work: Notify::new(),
            workers: AtomicUsize::new(0),
            stops: AtomicBool::new(false),
            stopped: Notify::new(),
            turned: Notify::new(),
            ended: Ended::default(),
        }
    }

    /// How orders have their turn.
    pub(super) fn how(&self) -> &Orders {
        &self.how
    }

    /// An order is to have its turn: it is on disk.
    pub(super) fn add(&self, order: Arc<Order>) {
        let rank = Rank::of(&order, &self.how);
        self.counter.lock().add(rank, order);
        self.work.notify_one();
    }

    /// An order was cancelled: its place in the lines is free.
    pub(super) fn cancelled(&self, order: &Order) {
        let unwatched = self.counter.lock().cancelled(Rank::of(order, &self.how));
        self.after_leaving(unwatched);
    }

    /// An order is over: whoever is first in its lines now has its turn.
    pub(super) fn leave(&self, task: &Task) {
        let unwatched = self.counter.lock().leave(task.rank);
        self.after_leaving(unwatched);
    }

    /// What is to be done with an order could not be done, and is to be done again.
    pub(super) fn put_back(&self, task: &Task) {
        self.counter.lock().put_back(task.rank);
        self.work.notify_one();
    }

    /// It found too little, and waits for units.
    pub(super) fn wait(&self, task: &Task) {
        self.counter.lock().wait(task.rank);
        // Whoever is behind it has something to do now, or it has itself.
        self.work.notify_one();
        self.turned.notify_waiters();
    }

    /// From here on it is told of units of its levels that come free. Whether it was not before: then it is worth another look.
    pub(super) fn watch(&self, task: &Task, order: &Order) -> bool {
        if !self.counter.lock().watch(task.rank) {
            return false;
        }
        self.lanes.watch(order.lines.iter().map(|line| &line.key));
        true
    }

    /// Whether there is a place to wait for it; one that waited before the service started has one in any case.
    pub(super) fn take_place(&self, task: &Task, order: &Order) -> bool {
        let waited = order.state == OrderState::Backordered;
        let places_max = if waited { usize::MAX } else { self.how.backorders_max };
        self.counter.lock().take_place(task.rank, places_max)
    }

    /// An order has left the queue: it is over, or waits for units.
    pub(super) fn has_left_the_queue(&self) {
        self.pace.lock().left(Instant::now());
    }

    /// How long it takes until a tenth of a full queue has had its turn, at the present pace.
    pub(super) fn until_there_is_room(&self) -> Duration {
        self.pace.lock().until_left((self.how.queue_max / 10).max(1), Instant::now())
    }

    /// Whether an order could have its turn, if there were a worker.
    #[cfg(test)]
    pub(super) fn has_work(&self) -> bool {
        self.counter.lock().has_work()
    }

    /// Tells the workers to end once each has done what it is at.
    pub(super) fn stop(&self) {
        self.stops.store(true, Ordering::SeqCst);
        self.stopped.notify_waiters();
    }

    /// Completes when there are no workers.
    pub(super) async fn joined(&self) {
        self.until(|| self.workers.load(Ordering::SeqCst) == 0).await;
    }

    /// Completes when `queued` says that none is left, or there are no workers.
    pub(super) async fn drained(&self, queued: impl Fn() -> usize) {
        self.until(|| queued() == 0 || self.workers.load(Ordering::SeqCst) == 0).await;
    }

    async fn until(&self, is_so: impl Fn() -> bool) {
        loop {
            let turned = self.turned.notified();
            tokio::pin!(turned);
            // Before it is looked at: what happens from here on is not missed.
            turned.as_mut().enable();
            if is_so() {
                return;
            }
            turned.await;
        }
    }

    /// The next task, once there is one; `None` where the workers are to end.
    async fn next(&self) -> Option<Task> {
        loop {
            let stopped = self.stopped.notified();
            tokio::pin!(stopped);
            stopped.as_mut().enable();
            if self.stops.load(Ordering::SeqCst) {
                return None;
            }
            let (task, is_more) = {
                let mut counter = self.counter.lock();
                (counter.next(), counter.has_work())
            };
            if is_more {
                self.work.notify_one();
            }
            if task.is_some() {
                return task;
            }
            tokio::select! {
                () = stopped => {}
                () = self.work.notified() => {}
            }
        }
    }

    /// Units came free of levels that somebody waits for.
    fn freed(&self) {
        let freed = self.lanes.freed().take();
        let mut counter = self.counter.lock();
        for key in &freed {
            counter.freed(key);
        }
        drop(counter);
        self.work.notify_one();
    }

    fn after_leaving(&self, unwatched: Option<Arc<Order>>) {
        if let Some(order) = unwatched {
            self.lanes.unwatch(order.lines.iter().map(|line| &line.key));
        }
        self.work.notify_one();
        self.turned.notify_waiters();
    }
}

/// A worker, while there is one.
struct Working(Arc<Pipeline>);

impl Drop for Working {
    fn drop(&mut self) {
        self.0.workers.fetch_sub(1, Ordering::SeqCst);
        self.0.turned.notify_waiters();
    }
}

impl Local {
    /// Lets the orders that are not over have their turn, and those that are placed from here on.
    pub(super) fn start_orders(&self) {
        let pipeline = Arc::clone(&self.0.pipeline);
        self.register().open().into_iter().for_each(|order| pipeline.add(order));
        for _ in 0..pipeline.how.workers {
            self.start_worker();
        }
        // Who tells of units that come free; while it sleeps it does not keep the store from going.
        tokio::spawn(async move {
            let lanes = Arc::clone(&pipeline.lanes);
            loop {
                let stopped = pipeline.stopped.notified();
                tokio::pin!(stopped);
                stopped.as_mut().enable();
                if pipeline.stops.load(Ordering::SeqCst) {
                    return;
                }
                tokio::select! {
                    () = stopped => return,
                    () = lanes.freed().told() => pipeline.freed(),
                }
            }
        });
    }

    fn start_worker(&self) {
        let (parts, pipeline) = (Arc::downgrade(&self.0), Arc::clone(&self.0.pipeline));
        pipeline.workers.fetch_add(1, Ordering::SeqCst);
        let working = Working(Arc::clone(&pipeline));
        tokio::spawn(async move {
            let _working = working;
            while let Some(task) = pipeline.next().await {
                let Some(local) = parts.upgrade().map(Local) else { return };
                if let Err(not_done) = local.see_to(&task).await {
                    tracing::debug!(order = %task.id, %not_done, "an order could not have its turn; it is tried again");
                    pipeline.put_back(&task);
                    if local.0.books.is_alive().is_err() {
                        return;
                    }
                    drop(local);
                    tokio::time::sleep(AFTER_FAILURE).await;
                }
            }
        });
    }
}
