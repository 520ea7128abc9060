//! Lanes: the bounded way from whoever applies a change to the writer.
//!
//! A caller takes a [`Slot`] in the lane of its thread *before* it asks a strategy for a change, says of which record it is to be, and moves
//! that [`Permit`] in as the hand-off. Whoever applies the change encodes the record into the lane: no await, no waiting for a slot, nothing that
//! can fail. Threads have lanes of their own so that they do not meet at one lock, and the writer empties a lane by
//! swapping its buffer for an empty one.
//!
//! On disk, every record wakes the writer, since somebody waits for it. In memory nobody does: there the writer is woken for a lane
//! that holds [`MUCH`], or when somebody [asks](Bell::ask); else it looks up now and then.
//!
//! **A permit that is lost ends the process.** Dropping a permit gives its slot back. But while its thread unwinds, nobody
//! can say whether the change was applied; if it was, every later change of that level would wait for a record that never
//! comes. So that drop aborts, and recovery starts from what is on disk, which has neither. A slot of which no permit was made is of
//! no change: its drop only gives it back, whatever its thread does.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::{Semaphore, SemaphorePermit, oneshot};

use super::bell::Bell;
use super::freed::Freed;
use super::keys::Claim;
use super::orders;
use super::record::{self, RecordHead, RecordKind};
use super::settled::Settled;
use super::stored::Stored;
use super::waiters::{Ticket, Waiters};
use super::watermark::Failed;
use crate::said::Said;
use crate::stock::{Changed, HandOff, StockKey, Term, Until};
use crate::telemetry::{log, striped};

/// Lanes. Threads past this share.
const LANES: usize = 16;

/// Records a lane holds, handed over and not yet in a group: some megabytes.
pub const SLOTS: usize = 8_192;

/// Bytes of records in a lane for which the writer is woken where nobody waits for a single one: well before the lane is out of
/// slots, and enough for a wake-up to cost nothing per record.
const MUCH: usize = 256 * 1024;
const _: () = assert!(MUCH / (record::HEAD_BYTES + record::LINE_HEAD_BYTES) < SLOTS / 2, "half of the slots");

/// All lanes, and the bell that wakes the writer.
#[derive(Debug)]
pub struct Lanes {
    all: Box<[Arc<Lane>]>,
    bell: Arc<Bell>,
    freed: Arc<Freed>,
    waiters: Arc<Waiters>,
    /// The disk is full: no slot is given out. Beside what everybody reads who wants one, and seldom changed.
    full: AtomicBool,
}

/// One lane.
#[derive(Debug)]
pub struct Lane {
    queue: Mutex<Queue>,
    slots: Semaphore,
    /// Nobody takes anything from it any more: see [`Lanes::give_up`]. Changed under the queue's lock.
    given_up: AtomicBool,
    /// Who is to be told of changes: [`ORDERS`], and a bit for each part of [`Waiters`] where somebody is. Changed under the queue's lock, and
    /// read under it: who handed a change over before it was set made the change before that, and is seen by who looks at the level after it.
    watched: AtomicU64,
    freed: Arc<Freed>,
    waiters: Arc<Waiters>,
    settled: Settled,
    bell: Arc<Bell>,
    /// Bytes of records from which on a hand-over wakes the writer.
    rings_at: usize,
    /// Where records are stamped with the time of their hand-over, for [`super::turns`]: since when that counts.
    stamps_since: Option<Instant>,
}

/// What was handed over and not yet taken.
#[derive(Debug, Default)]
pub struct Queue {
    /// Records, unsealed, one after the other.
    pub records: Vec<u8>,
    /// Who is told when a stored answer is on disk: one for each such record, in their order.
    pub told: Vec<oneshot::Sender<()>>,
}

/// A slot in a lane, for a record of which nothing is known yet. Dropped, it is given back.
#[derive(Debug)]
#[must_use = "a slot that is dropped is given back"]
pub struct Slot<'l> {
    lane: &'l Arc<Lane>,
}

/// A slot in a lane, for one record.
#[derive(Debug)]
pub struct Permit {
    lane: Arc<Lane>,
    kind: RecordKind,
    claim: Option<Claim>,
    said: Said,
    used: bool,
}

/// What the lines of a record are of, beside their levels.
#[derive(Debug)]
pub enum Of {
    /// A reservation.
    Reservation(Term),
    /// An order, as it is after it.
    Order(orders::Found),
}

/// Why no slot was given out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Denied {
    /// The lane stayed full: the disk is slower than what is asked of it.
    TimedOut,
    /// The disk is full.
    DiskFull,
    /// The journal has failed or was closed.
    Failed(Failed),
}

/// Why the lanes gave out no slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoSlot {
    /// There was none in time.
    TimedOut,
    /// The disk is full.
    DiskFull,
    /// They are closed.
    Closed,
}

/// Of what is watched: orders wait for units of some level, and [`Freed`] is told. The other bits are those of [`Waiters`].
const ORDERS: u64 = 1 << 63;
const _: () = assert!(Waiters::BITS & ORDERS == 0, "each has a bit of its own");

/// How long a request waits for a slot.
const PERMIT_WAIT_MAX: Duration = Duration::from_secs(2);

impl Lanes {
    /// Empty lanes. `is_volatile`: nobody waits for what is handed over.
    pub fn new(is_volatile: bool) -> Self {
        let rings_at = if is_volatile { MUCH } else { 1 };
        let stamps_since = is_volatile.then(Instant::now);
        let (bell, freed, waiters) =
            (Arc::<Bell>::default(), Arc::<Freed>::default(), Arc::<Waiters>::default());
        let lane = || {
            let (slots, given_up) = (Semaphore::new(SLOTS), AtomicBool::new(false));
            Arc::new(Lane {
                queue: Mutex::default(),
                slots,
                given_up,
                watched: AtomicU64::new(0),
                freed: Arc::clone(&freed),
                waiters: Arc::clone(&waiters),
                settled: Settled::default(),
                bell: Arc::clone(&bell),
                rings_at,
                stamps_since,
            })
        };
        let all = (0..LANES).map(|_| lane()).collect();
        Self { all, bell, freed, waiters, full: AtomicBool::new(false) }
    }

    /// A slot in the lane of this thread, if there is one now: there nearly always is. None is given out while the disk is full.
    #[inline]
    pub fn slot(&self) -> Option<Slot<'_>> {
        let lane = self.my_lane();
        let taken = if self.is_full() { None } else { lane.slots.try_acquire().ok() };
        taken.map(|taken| Slot::of(lane, taken))
    }

    /// Waits for a slot in the lane of this thread, a bounded time; while the disk is full, not at all.
    pub async fn slot_in_time(&self) -> Result<Slot<'_>, NoSlot> {
        let lane = self.my_lane();
        if self.is_full() {
            return Err(if lane.slots.is_closed() { NoSlot::Closed } else { NoSlot::DiskFull });
        }
        self.bell.ask();
        let taken = tokio::time::timeout(PERMIT_WAIT_MAX, lane.slots.acquire()).await;
        let slot = Slot::of(lane, taken.map_err(|_| NoSlot::TimedOut)?.map_err(|_| NoSlot::Closed)?);
        if self.is_full() { Err(NoSlot::DiskFull) } else { Ok(slot) }
    }

    fn my_lane(&self) -> &Arc<Lane> {
        &self.all[striped::my_stripe() % LANES]
    }

    /// Whether no slots are given out because the disk is full.
    pub fn is_full(&self) -> bool {
        // Relaxed: who is let in a moment late waits for room with the others.
        self.full.load(Ordering::Relaxed)
    }

    /// Says that the disk is full, or has room again. For the writer.
    pub fn set_full(&self, full: bool) {
        self.full.store(full, Ordering::Relaxed);
    }

    /// What was handed over waits for room on the disk: who waits for all of it is told so, until [`Lanes::resume`].
    pub fn stall(&self) {
        self.all.iter().for_each(|lane| lane.settled.stall());
    }

    /// The log goes on after [`Lanes::stall`].
    pub fn resume(&self) {
        self.all.iter().for_each(|lane| lane.settled.resume());
    }

    /// How many records were handed over, ever.
    pub fn handed_over(&self) -> u64 {
        self.all.iter().map(|lane| lane.settled.count()).sum()
    }

    /// Gives out no more slots; those given out stay good.
    pub fn close(&self) {
        self.all.iter().for_each(|lane| lane.slots.close());
        self.bell.ask();
    }

    /// Nothing is taken any more: whoever handed an answer over, or still does, is told that it will never be on disk.
    pub fn give_up(&self) {
        for lane in &self.all {
            let mut queue = lane.queue.lock();
            lane.given_up.store(true, Ordering::Relaxed);
            *queue = Queue::default();
            lane.settled.give_up();
        }
    }

    /// How many records of that lane are on disk.
    pub fn settled(&self, lane: usize) -> &Settled {
        &self.all[lane].settled
    }

    /// Takes what the lanes hold, all at one instant: whatever is handed over later is in no lane yet. `into`, a queue for each
    /// lane, must be empty. For the writer, the only one who holds more than one lane's lock.
    pub fn take_all(&self, into: &mut [Queue]) {
        debug_assert!(into.iter().all(|queue| queue.records.is_empty() && queue.told.is_empty()));
        let mut queues: [_; LANES] = std::array::from_fn(|lane| self.all[lane].queue.lock());
        for (queue, into) in queues.iter_mut().zip(into) {
            std::mem::swap(&mut **queue, into);
        }
    }

    /// Blocks until all that was handed over before is in the log; whether it is. For a thread of its own.
    pub fn wait_until_caught_up(&self) -> bool {
        // All places on the lists are taken before the writer is asked: what it then looks at is all that they wait for.
        let waits: Vec<_> = self.all.iter().filter_map(|lane| lane.settled.wait()).collect();
        if !waits.is_empty() {
            self.bell.ask();
        }
        waits.into_iter().all(|told| told.blocking_recv().is_ok())
    }

    /// From here on [`Lanes::freed`] is told of units of these levels that come free. Whatever was handed over before was changed before:
    /// who looks at the levels after this has seen it.
    pub fn watch<'k>(&self, keys: impl Iterator<Item = &'k StockKey>) {
        self.freed.watch(keys, || self.set_watched(ORDERS, true));
    }

    /// Takes [`Lanes::watch`] of the same levels back.
    pub fn unwatch<'k>(&self, keys: impl Iterator<Item = &'k StockKey>) {
        self.freed.unwatch(keys, || self.set_watched(ORDERS, false));
    }

    /// A place among [`Lanes::waiters`], for who waits for that level; `None` where there are `at_most` already. As with [`Lanes::watch`], who
    /// looks at the level after this misses nothing. To be given back with [`Lanes::leave`].
    pub fn enter(&self, key: &StockKey, until: &Until, at_most: usize) -> Option<Ticket> {
        self.waiters.enter(key, until, at_most, |bit| self.set_watched(bit, true))
    }

    /// Gives a place of [`Lanes::enter`] back.
    pub fn leave(&self, ticket: &Ticket) {
        self.waiters.leave(ticket, |bit| self.set_watched(bit, false));
    }

    fn set_watched(&self, bit: u64, watched: bool) {
        for lane in &self.all {
            let _queue = lane.queue.lock();
            // Relaxed: the lock orders it. In one step all the same, since other bits are others' to change.
            if watched {
                lane.watched.fetch_or(bit, Ordering::Relaxed);
            } else {
                lane.watched.fetch_and(!bit, Ordering::Relaxed);
            }
        }
    }

    /// Which of the levels that are watched had units come free.
    pub fn freed(&self) -> &Arc<Freed> {
        &self.freed
    }

    /// Who waits for a level to become something.
    pub fn waiters(&self) -> &Waiters {
        &self.waiters
    }

    /// Whether somebody is to be told of changes, in any lane.
    #[cfg(test)]
    pub(crate) fn are_watched(&self) -> bool {
        self.all.iter().any(|lane| lane.watched.load(Ordering::Relaxed) != 0)
    }

    /// Gives the slots of records that are in a group back to their lane.
    pub fn release(&self, lane: usize, slots: usize) {
        self.all[lane].slots.add_permits(slots);
    }

    /// How many lanes there are.
    pub fn count(&self) -> usize {
        self.all.len()
    }

    /// Whether a lane holds so much that the writer is to take it now.
    pub fn hold_enough(&self) -> bool {
        self.all.iter().any(|lane| lane.queue.lock().records.len() >= lane.rings_at)
    }

    /// Whether somebody waits until what a lane held is dealt with.
    pub fn have_sleepers(&self) -> bool {
        self.all.iter().any(|lane| lane.settled.has_sleepers())
    }

    /// Whether every slot is free: nothing is handed over, and nobody can.
    pub fn all_slots_free(&self) -> bool {
        self.all.iter().all(|lane| lane.slots.available_permits() == SLOTS)
    }

    /// What wakes the writer.
    pub fn bell(&self) -> &Bell {
        &self.bell
    }
}

impl<'l> Slot<'l> {
    fn of(lane: &'l Arc<Lane>, taken: SemaphorePermit<'l>) -> Self {
        // Given back by who has it: by this when it is dropped, by its permit, or once the record is in a group.
        taken.forget();
        Self { lane }
    }

    /// It is to be for that record, under that key.
    #[inline]
    pub fn permit(self, kind: RecordKind, said: Said, claim: Option<Claim>) -> Permit {
        let permit = Permit { lane: Arc::clone(self.lane), kind, claim, said, used: false };
        // From here on it is the permit that gives it back.
        std::mem::forget(self);
        permit
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        self.lane.slots.add_permits(1);
    }
}

impl Permit {
    /// [`HandOff::hand_over`] of what is of a reservation or an order. Apart, since nearly every record is of neither.
    #[inline(never)]
    pub fn hand_over_of<'a, C>(mut self, of: &Of, changes: C)
    where
        C: ExactSizeIterator<Item = Changed<'a>> + Clone,
    {
        debug_assert!(match of {
            Of::Reservation(_) => self.kind.is_of_reservation(),
            Of::Order(_) => self.kind.moves_an_order(),
        });
        self.push_changes(changes, |out, head, changes| {
            record::encode_with(out, head, changes, |out| match of {
                Of::Reservation(term) => record::put_term(out, term),
                Of::Order(found) => found.write(out),
            });
        });
    }

    /// Hands over what is to be stored under the key instead of a change. The receiver is told when it is on disk.
    ///
    /// # Panics
    ///
    /// If the permit was not taken for that: under a key, unless it is of a reservation or an order.
    pub fn store(mut self, stored: &Stored) -> oneshot::Receiver<()> {
        let needs_key = !matches!(stored, Stored::Extended(..) | Stored::Order(_));
        assert!(self.claim.is_some() || !needs_key, "what is stored is stored under a key");
        let (told, telling) = oneshot::channel();
        let nobody_waits = self.lane.rings_at > 1;
        self.push(|head, queue, _| {
            record::encode_stored(&mut queue.records, head, stored);
            if nobody_waits {
                // Nothing can take it back: so it is with every change there.
                let _ = told.send(());
            } else {
                queue.told.push(told);
            }
        });
        telling
    }

    /// Hands over what `encode` makes of the changes, and tells those who wait for what they have made.
    #[inline]
    fn push_changes<'a, C>(&mut self, changes: C, encode: impl FnOnce(&mut Vec<u8>, &RecordHead<'_>, C))
    where
        C: ExactSizeIterator<Item = Changed<'a>> + Clone,
    {
        let mut told = None;
        self.push(|head, queue, watched| {
            // Nearly never: so nothing is copied for it.
            told = (watched != 0).then(|| (watched, changes.clone()));
            encode(&mut queue.records, head, changes);
        });
        if let Some((watched, changes)) = told {
            self.tell(watched, changes);
        }
    }

    #[cold]
    fn tell<'a>(&self, watched: u64, changes: impl Iterator<Item = Changed<'a>> + Clone) {
        if watched & ORDERS != 0 {
            self.lane.freed.tell(changes.clone());
        }
        if watched & Waiters::BITS != 0 {
            self.lane.waiters.tell(watched, changes);
        }
    }

    /// `encode` is also told who is to be told of changes.
    #[inline]
    fn push(&mut self, encode: impl FnOnce(&RecordHead<'_>, &mut Queue, u64)) {
        let remark = self.said.remark.as_deref();
        let head = RecordHead {
            kind: self.kind,
            once: self.claim.as_ref().map(Claim::once),
            reason: remark.map_or("", |remark| &remark.reason),
            reference: remark.map_or("", |remark| &remark.reference),
            actor: self.said.actor.as_deref().unwrap_or_default(),
        };
        // First, since the writer replaces it by a position as soon as it has the record.
        if let Some(claim) = &self.claim {
            claim.handed_over();
        }
        let mut queue = self.lane.queue.lock();
        let start = queue.records.len();
        encode(&head, &mut queue, self.lane.watched.load(Ordering::Relaxed));
        if let Some(began) = self.lane.stamps_since {
            // Under the lock: a lane's stamps never go back.
            record::stamp(&mut queue.records[start..], began.elapsed());
        }
        self.lane.settled.handed_over();
        if self.lane.given_up.load(Ordering::Relaxed) {
            *queue = Queue::default();
        }
        let rings = queue.records.len() >= self.lane.rings_at;
        drop(queue);
        self.used = true;
        if rings {
            self.lane.bell.ring();
        }
    }
}

impl HandOff for Permit {
    fn hand_over<'a, C>(mut self, changes: C)
    where
        C: ExactSizeIterator<Item = Changed<'a>> + Clone,
    {
        debug_assert!(
            !self.kind.is_of_reservation() && !self.kind.moves_an_order(),
            "it is handed over of one"
        );
        self.push_changes(changes, record::encode);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if self.used {
            return;
        }
        if std::thread::panicking() {
            tracing::error!(
                "a thread panicked while it held a journal permit: a change may be lost; aborting"
            );
            log::flush();
            std::process::abort();
        }
        self.lane.slots.add_permits(1);
    }
}

#[cfg(test)]
mod tests;
