//! [`Orders`]: the orders there are: those that are queued or wait for units, and the last of those that are over.
//!
//! What is asked for, what became of it and what was given back of it is here; whose turn it is, and who waits for which level, is the store's.
//!
//! **One turn at a time.** Whoever wants to change an order (to take its units, to cancel it, to give units back) first takes its [`Turn`]: the
//! others wait until it is over, and then look at what became of it. A turn ends with the hand-off of its record, by whoever applied the change
//! of the levels, so there is no moment at which they have changed and nobody would say so; dropped, it leaves the order as it was.
//!
//! The journal has it because a start finds it in the log, and a snapshot is of it too.

pub mod found;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

pub use found::{AllFound, Found};

use super::register::{Kept, Page, Register};
use crate::stock::{Order, OrderId, OrderState};
use crate::sync::{Mutex, Notify};

/// All orders.
#[derive(Debug)]
pub struct Orders {
    register: Register<Entry>,
    /// The name that was given last.
    last_id: Mutex<OrderId>,
    queued: AtomicUsize,
    backordered: AtomicUsize,
}

/// One order.
#[derive(Debug)]
pub struct Entry {
    id: OrderId,
    inner: Mutex<Inner>,
    /// A turn of it is over.
    changed: Notify,
}

#[derive(Debug)]
struct Inner {
    order: Arc<Order>,
    revision: u32,
    grown_ms: u64,
    phase: Phase,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Its record is not handed over yet: nobody is shown it.
    Placing,
    Idle,
    /// Somebody has its turn.
    Taken,
}

/// An order that is being placed. Dropped before it is, it never was.
#[derive(Debug)]
pub struct Placing {
    orders: Arc<Orders>,
    entry: Arc<Entry>,
    is_placed: bool,
}

/// The right to change an order. Dropped, it leaves the order as it was.
#[derive(Debug)]
pub struct Turn {
    orders: Arc<Orders>,
    entry: Arc<Entry>,
    order: Arc<Order>,
    revision: u32,
    is_over: bool,
}

impl Orders {
    /// None. Of those that are over `finished_max` stay at most.
    pub fn new(finished_max: usize) -> Self {
        Self {
            register: Register::new(finished_max),
            last_id: Mutex::new(OrderId::from_bits(0)),
            queued: AtomicUsize::new(0),
            backordered: AtomicUsize::new(0),
        }
    }

    /// How many are queued.
    pub fn queued(&self) -> usize {
        self.queued.load(Ordering::Relaxed)
    }

    /// How many wait for units.
    pub fn backordered(&self) -> usize {
        self.backordered.load(Ordering::Relaxed)
    }

    /// A name for an order that is placed at that time: higher than all before it, so that orders are in the order of their names.
    pub fn next_id(&self, date_ms: u64, random: u128) -> OrderId {
        let mut last = self.last_id.lock();
        let next = OrderId::new(date_ms, random).max(OrderId::from_bits(last.to_bits() + 1));
        *last = next;
        next
    }

    /// Enters an order that is about to be placed, and that nobody is shown before. `None` where `queue_max` are queued already.
    pub fn place(self: &Arc<Self>, order: Arc<Order>, queue_max: usize) -> Option<Placing> {
        // In one step: others are let in at the same time.
        let counted = |queued| (queued < queue_max).then_some(queued + 1);
        self.queued.fetch_update(Ordering::Relaxed, Ordering::Relaxed, counted).ok()?;
        let entry = Arc::new(Entry::new(order, 0, 0, Phase::Placing));
        self.register.insert(Arc::clone(&entry));
        Some(Placing { orders: Arc::clone(self), entry, is_placed: false })
    }

    /// Puts an order in that a start found. All of them, before any is placed.
    pub fn restore(&self, found: Found) {
        let Found { order, revision, grown_ms } = found;
        let (id, state) = (order.id, order.state);
        let mut last = self.last_id.lock();
        *last = id.max(*last);
        drop(last);
        self.count(None, Some(state));
        let entry = Arc::new(Entry::new(order, revision, grown_ms, Phase::Idle));
        self.register.insert(entry);
        if state.is_final() {
            self.register.finished(id, grown_ms);
        }
    }

    /// The order of that name, while it is there.
    pub fn get(&self, id: OrderId) -> Option<Arc<Entry>> {
        self.register.get(id).filter(|entry| !entry.is_being_placed())
    }

    /// All that are not over, in no particular order.
    pub fn open(&self) -> Vec<Arc<Order>> {
        let mut open = Vec::new();
        self.register.walk(|entry| open.extend(Some(entry.order()).filter(|order| !order.state.is_final())));
        open
    }

    /// A page of those after `after`, in the order of their names, that are of that state, or may be once a turn is over.
    pub fn page(&self, state: Option<OrderState>, after: Option<OrderId>, limit: usize) -> Page<Entry> {
        self.register.page(after, limit, |entry| entry.may_be(state))
    }

    /// Calls `each` with every order that was placed and is not forgotten, a shard at a time; one whose turn is under way is as it was before.
    pub fn walk(&self, mut each: impl FnMut(Found)) {
        self.register.walk(|entry| entry.as_found().into_iter().for_each(&mut each));
    }

    /// Forgets those that were over at `before_ms` or earlier.
    pub fn forget_before(&self, before_ms: u64) {
        self.register.forget_before(before_ms);
    }

    fn count(&self, from: Option<OrderState>, to: Option<OrderState>) {
        for (state, count) in
            [(OrderState::Queued, &self.queued), (OrderState::Backordered, &self.backordered)]
        {
            if to == Some(state) && from != Some(state) {
                count.fetch_add(1, Ordering::Relaxed);
            }
            if from == Some(state) && to != Some(state) {
                count.fetch_sub(1, Ordering::Relaxed);
            }
        }
    }
}

impl Kept for Entry {
    type Of = Order;

    fn id(&self) -> OrderId {
        self.id
    }
}

impl Entry {
    fn new(order: Arc<Order>, revision: u32, grown_ms: u64, phase: Phase) -> Self {
        let (id, inner) = (order.id, Mutex::new(Inner { order, revision, grown_ms, phase }));
        Self { id, inner, changed: Notify::new() }
    }

    /// Its name.
    pub fn id(&self) -> OrderId {
        self.id
    }

    /// As it is; during a turn as it was before.
    pub fn order(&self) -> Arc<Order> {
        Arc::clone(&self.inner.lock().order)
    }

    /// The same, unless somebody has its turn.
    pub fn at_rest(&self) -> Option<Arc<Order>> {
        let inner = self.inner.lock();
        (inner.phase == Phase::Idle).then(|| Arc::clone(&inner.order))
    }

    /// What `look` finds of it, once it finds something: it looks again whenever a turn is over.
    pub async fn once<T>(&self, look: impl Fn() -> Option<T>) -> T {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            // Before it is looked at: what happens from here on is not missed.
            changed.as_mut().enable();
            if let Some(found) = look() {
                return found;
            }
            changed.await;
        }
    }

    /// Waits until the order is as it is wanted.
    pub async fn until(&self, is_wanted: impl Fn(&Order) -> bool) {
        self.once(|| is_wanted(&self.order()).then_some(())).await;
    }

    /// Takes its turn; `None` while somebody else has it.
    pub fn begin(self: &Arc<Self>, orders: &Arc<Orders>) -> Option<Turn> {
        let mut inner = self.inner.lock();
        if inner.phase != Phase::Idle {
            return None;
        }
        inner.phase = Phase::Taken;
        let (order, revision) = (Arc::clone(&inner.order), inner.revision);
        Some(Turn { orders: Arc::clone(orders), entry: Arc::clone(self), order, revision, is_over: false })
    }

    fn is_being_placed(&self) -> bool {
        self.inner.lock().phase == Phase::Placing
    }

    /// Whether it is of that state (of any, if none is named), or may be when its turn is over.
    fn may_be(&self, state: Option<OrderState>) -> bool {
        let inner = self.inner.lock();
        match inner.phase {
            Phase::Placing => false,
            Phase::Taken => true,
            Phase::Idle => state.is_none_or(|state| state == inner.order.state),
        }
    }

    fn as_found(&self) -> Option<Found> {
        let inner = self.inner.lock();
        let found =
            || Found { order: Arc::clone(&inner.order), revision: inner.revision, grown_ms: inner.grown_ms };
        (inner.phase != Phase::Placing).then(found)
    }
}

impl Placing {
    /// It is placed: `record` records it, before anybody is shown it.
    pub fn placed<T>(mut self, record: impl FnOnce(Found) -> T) -> T {
        self.is_placed = true;
        let mut inner = self.entry.inner.lock();
        let found = Found { order: Arc::clone(&inner.order), revision: 0, grown_ms: 0 };
        let recorded = record(found);
        inner.phase = Phase::Idle;
        recorded
    }
}

impl Drop for Placing {
    fn drop(&mut self) {
        if !self.is_placed {
            self.orders.register.remove(self.entry.id);
            self.orders.count(Some(OrderState::Queued), None);
        }
    }
}

impl Turn {
    /// The order, as it is before anything is done.
    pub fn order(&self) -> &Arc<Order> {
        &self.order
    }

    /// What is recorded if it becomes `order`.
    pub fn found(&self, order: Arc<Order>) -> Found {
        Found { order, revision: self.revision + 1, grown_ms: 0 }
    }

    /// It has become that, at `steady_ms` as it grows old; `record` records it, before anybody is shown it.
    pub fn done<T>(mut self, order: Arc<Order>, steady_ms: u64, record: impl FnOnce() -> T) -> T {
        let (from, to) = (self.order.state, order.state);
        let is_over_now = to.is_final() && !from.is_final();
        let recorded = {
            let mut inner = self.entry.inner.lock();
            let recorded = record();
            (inner.order, inner.revision) = (order, self.revision + 1);
            if is_over_now {
                inner.grown_ms = steady_ms.max(1);
            }
            self.is_over = true;
            inner.phase = Phase::Idle;
            recorded
        };
        self.orders.count(Some(from), Some(to));
        if is_over_now {
            self.orders.register.finished(self.entry.id, steady_ms.max(1));
        }
        self.entry.changed.notify_waiters();
        recorded
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if !self.is_over {
            self.entry.inner.lock().phase = Phase::Idle;
            self.entry.changed.notify_waiters();
        }
    }
}

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;
