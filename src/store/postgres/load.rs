//! Under the locks: from a beginning transaction to what a batch works on.
//!
//! The lock of a partition is a statement of its own, before anything of it is read. READ COMMITTED gives each statement a snapshot as of its
//! beginning: a statement that locked *and* read would read as of before it waited for the lock, and lose what was committed meanwhile.
//! Statements are written so that there is one way to carry them out, by keys: they are planned when tables are empty, and nobody plans them again
//! before statistics are taken. A join that may go either way (`unnest ... JOIN`), or a list of keys (`= ANY`), then walks a whole partition for each
//! batch; what is looked up in `LATERAL (... OFFSET 0)` cannot. (Measured: a quarter of the throughput on one hot level, for the look at the keys alone.)
//!
//! Partitions are locked ascending, and a batch locks nothing else but the keys that it writes last, ascending too, so no two transactions wait for each other.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use deadpool_postgres::ClientWrapper;
use tokio_postgres::{Row, Statement};
use uuid::Uuid;

use super::failure::{Stage, Trouble};
use super::kept::{order_in, reservation_in};
use super::outcome;
use super::partition::Partitions;
use super::pipeline::{Pipeline, first_error, param};
use super::rows;
use super::work::Work;
use super::working::{Due, First, How, Kept, KeyKept, Shelf, Working};
use crate::stock::{Quantity, ReservationId, StockKey};
use crate::store::rank::Rank;

/// `EvalPlanQual` reads the row again once the lock is ours, so what comes back is current.
const LOCK: &str = "SELECT head, tick, clock_ms, levels, pending, queued, backordered \
    FROM inventory.part WHERE p = $1 FOR UPDATE";
/// What time it is, and when the first line that is held in the partition is due: after the lock.
const CLOCK: &str = "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::int8, \
    (SELECT expires_ms FROM inventory.held WHERE p = $1 ORDER BY expires_ms LIMIT 1)";
const LEVELS: &str = "SELECT w.sku, w.location, l.on_hand, l.reserved, l.version, l.present, l.seq, l.waits \
    FROM unnest($2::text[], $3::text[]) AS w (sku, location) CROSS JOIN LATERAL (SELECT * FROM inventory.level x \
    WHERE x.p = $1 AND x.sku = w.sku COLLATE \"C\" AND x.location = w.location COLLATE \"C\" OFFSET 0) l";
const KEYS: &str = "SELECT w.key, o.fingerprint, o.outcome, o.until_ms FROM unnest($2::uuid[]) AS w (key) \
    CROSS JOIN LATERAL (SELECT * FROM inventory.once x WHERE x.k = $1 AND x.key = w.key OFFSET 0) o";
const RESERVATIONS: &str = "SELECT r.body, r.ended_ms FROM unnest($2::uuid[]) AS w (id) \
    CROSS JOIN LATERAL (SELECT * FROM inventory.reservation x WHERE x.p = $1 AND x.id = w.id OFFSET 0) r";
const ORDERS: &str = "SELECT o.body, o.ended_ms FROM unnest($2::uuid[]) AS w (id) \
    CROSS JOIN LATERAL (SELECT * FROM inventory.orders x WHERE x.p = $1 AND x.id = w.id OFFSET 0) o";
const DUE: &str = "SELECT h.reservation, w.sku, w.location, h.quantity \
    FROM unnest($2::text[], $3::text[]) AS w (sku, location) CROSS JOIN LATERAL (SELECT * FROM inventory.held x \
    WHERE x.p = $1 AND x.sku = w.sku COLLATE \"C\" AND x.location = w.location COLLATE \"C\" \
    AND x.expires_ms <= $4 OFFSET 0) h ORDER BY h.expires_ms, h.reservation LIMIT $5";

/// Lines that are let go in one transaction; if there are more, they are let go first of all, and the batch begins again.
pub(super) const DUE_MAX: usize = 2_000;

/// What has to be read for a batch, by partition or place.
#[derive(Debug, Default)]
struct Wanted {
    levels: BTreeMap<i32, BTreeSet<StockKey>>,
    keys: BTreeMap<i32, BTreeSet<u128>>,
    reservations: BTreeMap<i32, BTreeSet<u128>>,
    orders: BTreeMap<i32, BTreeSet<u128>>,
    /// Levels for whose units orders have their turn.
    turns: BTreeMap<i32, BTreeSet<StockKey>>,
}

/// What came of beginning a batch.
pub(super) struct Begun {
    pub(super) working: Working,
    /// More was due than is let go at once: that is all that is to be done.
    pub(super) is_only_due: bool,
    /// From when it was sent to when the locks were ours, less a round trip.
    pub(super) lock_wait: Duration,
}

/// What an answer in the pipeline is of.
#[derive(Debug, Clone, Copy)]
enum Slot {
    Nothing,
    Lock(i32),
    Clock,
    Levels,
    Keys,
    Reservations,
    Orders,
    Waiting,
}

impl Wanted {
    fn of(works: &[Work], how: &How) -> Self {
        let partitions = how.partitions;
        let mut wanted = Self::default();
        for work in works {
            for key in &work.keys {
                let p = partitions.of_key(key);
                wanted.levels.entry(p).or_default().insert(key.clone());
                if work.is_turn() {
                    wanted.turns.entry(p).or_default().insert(key.clone());
                }
            }
            for once in work.once.into_iter().chain(work.line.map(|(whole, _)| whole)) {
                wanted.keys.entry(Partitions::of_once(once.key)).or_default().insert(once.key);
            }
            if let Some(id) = work.reservation() {
                wanted.reservations.entry(partitions.of_id(id)).or_default().insert(id.to_bits());
            }
            if let Some(id) = work.order() {
                wanted.orders.entry(partitions.of_id(id)).or_default().insert(id.to_bits());
            }
        }
        wanted
    }
}

/// Begins a transaction, locks those partitions, and reads what the batch needs of them: one round trip.
pub(super) async fn begin(
    client: &ClientWrapper,
    how: &Arc<How>,
    locked: &BTreeSet<i32>,
    works: &[Work],
) -> Result<Begun, Trouble> {
    let mut slots = Vec::new();
    let mut pipeline = Pipeline::of(client);
    lock(client, &mut pipeline, &mut slots, locked).await?;
    let locks = slots.len();
    read(client, &mut pipeline, &mut slots, (how, locked, works)).await?;
    let sent_at = Instant::now();
    let (mut begun_at, mut locked_at) = (sent_at, sent_at);
    let answers = pipeline.sent_with(|at| {
        if at == 0 {
            begun_at = Instant::now();
        }
        if at == locks - 1 {
            locked_at = Instant::now();
        }
    });
    let answers = answers.await;
    let lock_wait = locked_at.saturating_duration_since(begun_at);
    let mut working = Working::new(Arc::clone(how));
    take(&mut working, &slots, answers)?;
    finish(client, working, lock_wait).await
}

/// Begins a transaction and locks a partition, alone: for who gathers what is to be done in it while it waits. Returns how long it waited.
pub(super) async fn lock_first(
    client: &ClientWrapper,
    working: &mut Working,
    locked: &BTreeSet<i32>,
) -> Result<Duration, Trouble> {
    let mut slots = Vec::new();
    let mut pipeline = Pipeline::of(client);
    lock(client, &mut pipeline, &mut slots, locked).await?;
    let mut begun_at = Instant::now();
    let answers = pipeline
        .sent_with(|at| {
            if at == 0 {
                begun_at = Instant::now();
            }
        })
        .await;
    let lock_wait = begun_at.elapsed();
    take(working, &slots, answers)?;
    Ok(lock_wait)
}

/// After [`lock_first`]: reads what the batch needs.
pub(super) async fn read_locked(
    client: &ClientWrapper,
    mut working: Working,
    lock_wait: Duration,
    works: &[Work],
) -> Result<Begun, Trouble> {
    let mut slots = Vec::new();
    let mut pipeline = Pipeline::of(client);
    let locked: BTreeSet<i32> = working.parts.keys().copied().collect();
    let how = Arc::clone(&working.how);
    read(client, &mut pipeline, &mut slots, (&how, &locked, works)).await?;
    let answers = pipeline.sent().await;
    take(&mut working, &slots, answers)?;
    finish(client, working, lock_wait).await
}

async fn lock(
    client: &ClientWrapper,
    pipeline: &mut Pipeline<'_>,
    slots: &mut Vec<Slot>,
    locked: &BTreeSet<i32>,
) -> Result<(), Trouble> {
    let statement = prepared(client, LOCK).await?;
    pipeline.words("BEGIN");
    slots.push(Slot::Nothing);
    for p in locked {
        pipeline.ask(statement.clone(), vec![param(*p)]);
        slots.push(Slot::Lock(*p));
    }
    Ok(())
}

async fn read(
    client: &ClientWrapper,
    pipeline: &mut Pipeline<'_>,
    slots: &mut Vec<Slot>,
    (how, locked, works): (&Arc<How>, &BTreeSet<i32>, &[Work]),
) -> Result<(), Trouble> {
    let wanted = Wanted::of(works, how);
    let clock = prepared(client, CLOCK).await?;
    for p in locked {
        pipeline.ask(clock.clone(), vec![param(*p)]);
        slots.push(Slot::Clock);
    }
    let first = &how.sql.first_waiting;
    for (query, slot, keys) in [(LEVELS, Slot::Levels, &wanted.levels), (first, Slot::Waiting, &wanted.turns)]
    {
        for (p, keys) in keys {
            let (skus, locations) = rows::names(keys.iter());
            pipeline.ask(prepared(client, query).await?, vec![param(*p), param(skus), param(locations)]);
            slots.push(slot);
        }
    }
    for (query, slot, ids) in [
        (KEYS, Slot::Keys, &wanted.keys),
        (RESERVATIONS, Slot::Reservations, &wanted.reservations),
        (ORDERS, Slot::Orders, &wanted.orders),
    ] {
        for (p, ids) in ids {
            let ids: Vec<Uuid> = ids.iter().map(|id| Uuid::from_u128(*id)).collect();
            pipeline.ask(prepared(client, query).await?, vec![param(*p), param(ids)]);
            slots.push(slot);
        }
    }
    Ok(())
}

/// Takes in what the statements came to.
fn take(
    working: &mut Working,
    slots: &[Slot],
    mut answers: Vec<super::pipeline::Rows>,
) -> Result<(), Trouble> {
    if let Some((_, error)) = first_error(&mut answers) {
        return Err(Trouble::of(&error, Stage::Before));
    }
    for (slot, rows) in slots.iter().zip(answers) {
        let rows = rows.map_err(|error| Trouble::of(&error, Stage::Before))?;
        for row in &rows {
            take_row(working, *slot, row).ok_or_else(|| Trouble::damaged(format!("a row of {slot:?}")))?;
        }
        if let (Slot::Lock(p), true) = (slot, rows.is_empty()) {
            return Err(Trouble::damaged(format!("there is no partition {p}")));
        }
    }
    Ok(())
}

fn take_row(working: &mut Working, slot: Slot, row: &Row) -> Option<()> {
    match slot {
        Slot::Nothing => {}
        Slot::Lock(p) => {
            let part = rows::part(row, 0);
            // Nothing is judged by an earlier time than anything was before.
            working.now_ms = working.now_ms.max(part.clock_ms.try_into().ok()?);
            working.parts.insert(p, part);
        }
        Slot::Clock => {
            let (clock_ms, due_ms): (i64, Option<i64>) = (row.get(0), row.get(1));
            working.now_ms = working.now_ms.max(clock_ms.try_into().ok()?);
            working.due_ms = [working.due_ms, due_ms].into_iter().flatten().min();
        }
        Slot::Levels => {
            let (key, level) = rows::level(row, 0)?;
            working.levels.insert(key, Shelf { level, seq: row.get(6), waits: row.get(7) });
        }
        Slot::Keys => {
            let (key, fingerprint): (Uuid, &[u8]) = (row.get(0), row.get(1));
            let outcome = match row.get::<_, Option<&str>>(2) {
                Some(text) => Some(outcome::outcome(text)?),
                None => None,
            };
            let until_ms = row.get::<_, i64>(3).try_into().ok()?;
            let kept = KeyKept { fingerprint: fingerprint.try_into().ok()?, outcome, until_ms };
            working.keys.insert(key.as_u128(), kept);
        }
        Slot::Reservations => {
            let it = reservation_in(row.get(0))?;
            let ended_ms = row.get::<_, Option<i64>>(1).map(i64::cast_unsigned);
            working.reservations.insert(it.term.id, Kept { it, ended_ms });
        }
        Slot::Orders => {
            let it = order_in(row.get(0))?;
            let ended_ms = row.get::<_, Option<i64>>(1).map(i64::cast_unsigned);
            working.orders.insert(it.id, Kept { it, ended_ms });
        }
        Slot::Waiting => {
            let key = StockKey::kept(row.get(0), row.get(1))?;
            let id = crate::stock::Id::from_bits(row.get::<_, Uuid>(2).as_u128());
            let priority = u8::try_from(row.get::<_, i32>(3)).ok()?;
            let rank = Rank::of_placed(id, priority, &working.how.keeping.orders);
            working.firsts.insert(key, First::Is(rank, id));
        }
    }
    Some(())
}

/// Lets go what is due of the levels that were read, before anything else is judged: hardly ever there is any.
async fn finish(client: &ClientWrapper, mut working: Working, lock_wait: Duration) -> Result<Begun, Trouble> {
    let is_due = working.due_ms.is_some_and(|due_ms| due_ms.cast_unsigned() <= working.now_ms);
    let mut is_only_due = false;
    if is_due {
        let due = due(client, &working).await?;
        is_only_due = due.len() >= DUE_MAX;
        read_homes(client, &mut working, &due).await?;
        working.settle(due)?;
    }
    Ok(Begun { working, is_only_due, lock_wait })
}

async fn due(client: &ClientWrapper, working: &Working) -> Result<Vec<Due>, Trouble> {
    let how = &working.how;
    let mut pipeline = Pipeline::of(client);
    let statement = prepared(client, DUE).await?;
    for p in working.parts.keys() {
        // Also of levels that were never seen to have a row: they hold nothing.
        let here = working.levels.keys().filter(|key| how.partitions.of_key(key) == *p);
        let (skus, locations) = rows::names(here);
        let (now, most) = (working.now_ms.cast_signed(), i64::try_from(DUE_MAX).unwrap_or(i64::MAX));
        let params = vec![param(*p), param(skus), param(locations), param(now), param(most)];
        pipeline.ask(statement.clone(), params);
    }
    let mut all = Vec::new();
    for rows in pipeline.sent().await {
        for row in rows.map_err(|error| Trouble::of(&error, Stage::Before))? {
            let one = || {
                Some(Due {
                    reservation: ReservationId::from_bits(row.get::<_, Uuid>(0).as_u128()),
                    key: StockKey::kept(row.get(1), row.get(2))?,
                    quantity: Quantity::new(row.get::<_, i64>(3).try_into().ok()?)?,
                })
            };
            all.push(one().ok_or_else(|| Trouble::damaged("a line that is held"))?);
        }
    }
    all.truncate(DUE_MAX);
    Ok(all)
}

/// Reads the reservations whose lines are let go, where their home is locked.
async fn read_homes(client: &ClientWrapper, working: &mut Working, due: &[Due]) -> Result<(), Trouble> {
    let mut homes: BTreeMap<i32, BTreeSet<u128>> = BTreeMap::new();
    for Due { reservation, .. } in due {
        let home = working.how.partitions.of_id(*reservation);
        if working.parts.contains_key(&home) && !working.reservations.contains_key(reservation) {
            homes.entry(home).or_default().insert(reservation.to_bits());
        }
    }
    let mut pipeline = Pipeline::of(client);
    let statement = prepared(client, RESERVATIONS).await?;
    let mut slots = Vec::new();
    for (home, ids) in homes {
        let ids: Vec<Uuid> = ids.into_iter().map(Uuid::from_u128).collect();
        pipeline.ask(statement.clone(), vec![param(home), param(ids)]);
        slots.push(Slot::Reservations);
    }
    let answers = pipeline.sent().await;
    take(working, &slots, answers)
}

/// A statement that this connection knows.
pub(super) async fn prepared(client: &ClientWrapper, query: &str) -> Result<Statement, Trouble> {
    client.prepare_cached(query).await.map_err(|error| Trouble::of(&error, Stage::Before))
}
