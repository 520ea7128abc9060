//! [`Working`]: what a batch works on: rows that were read under the locks of their partitions, and what is to be written of them.
//!
//! Commands are judged here one after the other, each against what the one before has left, by the pure functions of the domain; then all that
//! has become of it is written together. No database and no clock: the time was read once, under the locks.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::counts::Counts;
use super::names::Names;
use super::order_sql::OrderSql;
use super::partition::Partitions;
use crate::said::Said;
use crate::stock::{
    Applied, Change, Entry, EntryRefusal, Level, Operation, Order, OrderId, Refusal, RefusedLevel,
    Reservation, ReservationId, StockKey, Transaction,
};
use crate::store::refusals::{RefusalCounts, most_telling};
use crate::store::{Keeping, MovementKind, NotDone, Outcome, Why};
use crate::telemetry::Pace;

/// How a store works; the same for all of its batches.
#[derive(Debug)]
pub(super) struct How {
    pub(super) partitions: Partitions,
    pub(super) keeping: Keeping,
    pub(super) sql: OrderSql,
    pub(super) names: Names,
    pub(super) counts: Counts,
    pub(super) refusals: RefusalCounts,
    /// Idempotency keys that are held: counted now and then, and those that are kept here in between.
    pub(super) keys_held: AtomicI64,
    /// How fast orders have had their turn.
    pub(super) pace: Mutex<Pace>,
}

/// The row of a partition, locked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Part {
    pub(super) head: i64,
    pub(super) tick: i64,
    pub(super) clock_ms: i64,
    pub(super) levels: i64,
    pub(super) pending: i64,
    pub(super) queued: i64,
    pub(super) backordered: i64,
}

/// A level, and what stands beside it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shelf {
    pub(super) level: Level,
    /// Its last movement; 0 for none.
    pub(super) seq: i64,
    /// Orders that wait for its units.
    pub(super) waits: i32,
}

/// Something that has a row, or is to have one.
#[derive(Debug, Clone)]
pub(super) struct Kept<T> {
    pub(super) it: T,
    pub(super) ended_ms: Option<u64>,
}

/// What an idempotency key stands for.
#[derive(Debug, Clone)]
pub(super) struct KeyKept {
    pub(super) fingerprint: [u8; 32],
    /// `None` while lines of a batch are under way.
    pub(super) outcome: Option<Outcome>,
    pub(super) until_ms: u64,
}

/// Who is first in the line of a level.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum First {
    /// That order: by its rank.
    Is(crate::store::rank::Rank, OrderId),
    /// It has just left, and the next is not known.
    Unknown,
}

/// A unit of work that is due: a line that is held beyond its deadline.
#[derive(Debug, Clone)]
pub(super) struct Due {
    pub(super) reservation: ReservationId,
    pub(super) key: StockKey,
    pub(super) quantity: crate::stock::Quantity,
}

/// A movement that is to be written.
#[derive(Debug)]
pub(super) struct Moved {
    pub(super) seq: i64,
    pub(super) prev: i64,
    pub(super) kind: MovementKind,
    pub(super) key: StockKey,
    pub(super) applied: Applied,
    pub(super) said: Said,
    pub(super) reservation: Option<ReservationId>,
    pub(super) order: Option<OrderId>,
}

/// Why a level changes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Because<'a> {
    /// What the ledger calls it; by the operation, if it has no name of its own.
    pub(super) kind: Option<MovementKind>,
    pub(super) said: &'a Said,
    pub(super) reservation: Option<ReservationId>,
    pub(super) order: Option<OrderId>,
}

/// What is to be written. Of what is named the row is in [`Working`].
#[derive(Debug, Default)]
pub(super) struct Writes {
    pub(super) parts: BTreeSet<i32>,
    pub(super) moved: BTreeMap<i32, Vec<Moved>>,
    pub(super) levels: BTreeSet<StockKey>,
    pub(super) reservations: BTreeSet<ReservationId>,
    /// Lines that are held from here on, until that time.
    pub(super) held: Vec<(ReservationId, StockKey, u64, u64)>,
    /// Lines that are not held any more.
    pub(super) let_go: Vec<(ReservationId, StockKey)>,
    /// Lines that are held until another time.
    pub(super) extended: BTreeMap<(ReservationId, StockKey), u64>,
    pub(super) orders: BTreeSet<OrderId>,
    /// How many orders have left the queue.
    pub(super) left_queue: usize,
    /// Orders that begin to wait, and that do not wait any more.
    pub(super) waits: BTreeSet<OrderId>,
    pub(super) waits_no_more: BTreeSet<OrderId>,
    /// Orders that were tried, and go on waiting.
    pub(super) tried: BTreeSet<OrderId>,
    /// Levels whose first in line is worth another try.
    pub(super) freed: BTreeSet<StockKey>,
    /// Idempotency keys, each in its place.
    pub(super) keys: BTreeMap<(i32, u128), ([u8; 32], String)>,
    /// How many of them count: lines of a batch are once together.
    pub(super) keys_counted: i64,
    /// Those that had run out, and are used again.
    pub(super) keys_run_out: BTreeSet<(i32, u128)>,
}

/// What a batch works on.
#[derive(Debug)]
pub(super) struct Working {
    pub(super) how: Arc<How>,
    /// The database's time, read once under the locks; not before anything that was judged in these partitions.
    pub(super) now_ms: u64,
    /// When the first line is due that is held in any of the partitions.
    pub(super) due_ms: Option<i64>,
    pub(super) parts: BTreeMap<i32, Part>,
    pub(super) levels: HashMap<StockKey, Shelf>,
    pub(super) reservations: HashMap<ReservationId, Kept<Reservation>>,
    pub(super) orders: HashMap<OrderId, Kept<Arc<Order>>>,
    pub(super) keys: HashMap<u128, KeyKept>,
    pub(super) firsts: HashMap<StockKey, First>,
    /// Something could not be said of a turn: those after it have another.
    pub(super) is_unsure: bool,
    pub(super) writes: Writes,
}

impl How {
    /// How a store works that has so many partitions, of which nothing was seen yet.
    pub(super) fn new(partitions: Partitions, keeping: Keeping) -> Self {
        Self {
            sql: OrderSql::new(&keeping.orders),
            partitions,
            keeping,
            names: Names::default(),
            counts: Counts::new(partitions.count()),
            refusals: RefusalCounts::default(),
            keys_held: AtomicI64::new(0),
            pace: Mutex::default(),
        }
    }

    /// Whether as many idempotency keys are held as may be, as far as is known.
    pub(super) fn keys_are_full(&self) -> bool {
        self.keys_held() >= self.keeping.keys_max
    }

    /// How many idempotency keys are held, as far as is known: others are making some, and some run out.
    pub(super) fn keys_held(&self) -> usize {
        usize::try_from(self.keys_held.load(Ordering::Relaxed)).unwrap_or(0)
    }

    /// When some will have run out: nobody looks for the oldest.
    pub(super) fn keys_run_out_in(&self) -> Duration {
        self.keeping.keys_retention.min(Duration::from_mins(1))
    }

    /// How long it takes until a tenth of a full queue has had its turn, at the present pace.
    pub(super) fn until_there_is_room(&self) -> Duration {
        let orders = (self.keeping.orders.queue_max / 10).max(1);
        self.pace.lock().until_left(orders, Instant::now())
    }
}

impl Default for Shelf {
    /// A level that was never created.
    fn default() -> Self {
        Self { level: Level::ABSENT, seq: 0, waits: 0 }
    }
}

impl Writes {
    /// Whether nothing is to be written.
    pub(super) fn is_empty(&self) -> bool {
        self.parts.is_empty() && self.keys.is_empty()
    }
}

impl Working {
    /// Nothing was read yet.
    pub(super) fn new(how: Arc<How>) -> Self {
        Self {
            how,
            now_ms: 0,
            due_ms: None,
            parts: BTreeMap::new(),
            levels: HashMap::new(),
            reservations: HashMap::new(),
            orders: HashMap::new(),
            keys: HashMap::new(),
            firsts: HashMap::new(),
            is_unsure: false,
            writes: Writes::default(),
        }
    }

    /// The level, as the commands before have left it.
    pub(super) fn level(&self, key: &StockKey) -> Level {
        self.levels.get(key).map_or(Level::ABSENT, |shelf| shelf.level)
    }

    /// The partition of a level, which is locked, and is to be written.
    pub(super) fn part_of(&mut self, key: &StockKey) -> &mut Part {
        self.part(self.how.partitions.of_key(key))
    }

    /// A partition that is locked, and is to be written.
    pub(super) fn part(&mut self, p: i32) -> &mut Part {
        self.writes.parts.insert(p);
        self.parts.get_mut(&p).expect("what is touched is locked")
    }

    /// How many there are of something in all partitions: exactly in those that are locked, and as far as is known in the others.
    pub(super) fn total(&self, of: impl Fn(&Part) -> i64) -> usize {
        let others = self.how.counts.all().into_iter().enumerate();
        let count = |(p, seen): (usize, Part)| {
            let locked = i32::try_from(p).ok().and_then(|p| self.parts.get(&p));
            of(locked.unwrap_or(&seen))
        };
        usize::try_from(others.map(count).sum::<i64>()).unwrap_or(0)
    }

    /// Judges a change of one level, and makes it.
    pub(super) fn change(
        &mut self,
        key: &StockKey,
        change: Change,
        because: Because<'_>,
    ) -> Result<Applied, Refusal> {
        let before = self.level(key);
        let applied = Applied { before, after: change.judge(before)? };
        self.apply(key, change.operation, applied, because);
        Ok(applied)
    }

    /// Judges changes of several levels, and makes all or none.
    pub(super) fn transact(
        &mut self,
        transaction: &Transaction,
        because: Because<'_>,
    ) -> Result<Vec<(StockKey, Applied)>, Vec<RefusedLevel>> {
        let entries = transaction.entries();
        let found: Vec<Level> = entries.iter().map(|entry| self.level(&entry.key)).collect();
        match transaction.judge(&found) {
            Ok(all) => {
                let apply = |(entry, applied): (&Entry, Applied)| {
                    self.apply(&entry.key, entry.change.operation, applied, because);
                    (entry.key.clone(), applied)
                };
                Ok(entries.iter().zip(all).map(apply).collect())
            }
            Err(refusals) => {
                self.how.refusals.count(most_telling(&refusals).reason);
                let named = |refused: EntryRefusal| {
                    let Entry { key, line, .. } = &entries[refused.entry];
                    RefusedLevel { key: key.clone(), line: *line, refusal: refused.refusal }
                };
                Err(refusals.into_iter().map(named).collect())
            }
        }
    }

    /// Lets go what is held beyond its deadline, first of all.
    pub(super) fn settle(&mut self, due: Vec<Due>) -> Result<(), NotDone> {
        for Due { reservation, key, quantity } in due {
            let said = Said::default();
            let (kind, order) = (Some(MovementKind::Expired), None);
            let because = Because { kind, said: &said, reservation: Some(reservation), order };
            let change = Change::unconditional(Operation::Release { quantity });
            if let Err(refusal) = self.change(&key, change, because) {
                tracing::error!(%reservation, level = %key, ?refusal, "the level does not hold what a reservation says");
                let what = format!("the levels of reservation {reservation} do not hold its units");
                return Err(NotDone::no(Why::Damaged(what)));
            }
            self.writes.let_go.push((reservation, key));
            self.expired(reservation);
        }
        Ok(())
    }

    /// A level changes: it has a movement, and whoever waits for its units may get them.
    pub(super) fn apply(
        &mut self,
        key: &StockKey,
        operation: Operation,
        applied: Applied,
        because: Because<'_>,
    ) {
        if !applied.is_change() {
            return;
        }
        let Applied { before, after } = applied;
        let p = self.how.partitions.of_key(key);
        let part = self.part(p);
        part.head += 1;
        part.levels += i64::from(after.exists()) - i64::from(before.exists());
        let seq = part.head;
        let there = self.levels.entry(key.clone()).or_default();
        let prev = std::mem::replace(&mut there.seq, seq);
        there.level = after;
        let is_freed = there.waits > 0 && after.available() > before.available();
        if is_freed {
            self.writes.freed.insert(key.clone());
        }
        self.writes.levels.insert(key.clone());
        let Because { kind, said, reservation, order } = because;
        self.writes.moved.entry(p).or_default().push(Moved {
            seq,
            prev,
            kind: kind.unwrap_or_else(|| MovementKind::of(operation)),
            key: key.clone(),
            applied,
            said: said.clone(),
            reservation,
            order,
        });
    }
}
