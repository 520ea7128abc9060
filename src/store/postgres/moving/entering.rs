//! [`enter`]: a store in a database of all that another store sends, in one transaction.
//!
//! Rows are copied in as they come, each to its partition. What is known of a partition at the end (its counts, its last movement) is written last, then all
//! is committed. The time is the database's: what was so long ago before is so long ago here.
//!
//! Memory: the names of the levels, as each movement names the one before it; the rest a piece at a time.

use std::collections::{BTreeMap, HashMap};
use std::pin::pin;
use std::time::Duration;

use deadpool_postgres::ClientWrapper;
use thiserror::Error;
use tokio::sync::mpsc::Receiver;
use tokio_postgres::binary_copy::BinaryCopyInWriter;
use tokio_postgres::types::{ToSql, Type};
use uuid::Uuid;

use super::alone;
use crate::stock::{Level, Order, OrderState, Reservation, ReservationState, StockKey};
use crate::store::moving::{Aged, Beginning, Contradiction, Moved, MovedKey, Piece};
use crate::store::postgres::connect::Lent;
use crate::store::postgres::documents::named;
use crate::store::postgres::failure::{Stage, Trouble, told};
use crate::store::postgres::kept::{KeptOrder, KeptReservation, text_of};
use crate::store::postgres::open::Opening;
use crate::store::postgres::origin::{DROPPED, DROPPED_SEQ, LINEAGE};
use crate::store::postgres::outcome;
use crate::store::postgres::partition::Partitions;
use crate::store::postgres::save::{COMMIT, text};
use crate::store::postgres::schema::bring_up_to_date;
use crate::store::postgres::sweeper::uuid;
use crate::store::postgres::working::Part;
use crate::store::postgres::{NOW, OpenError};
use crate::store::{Database, DatabaseUrl, Keeping, Movement, WasApplied};

const LOCK_META: &str = "SELECT FROM inventory.meta WHERE z = 0 FOR UPDATE";
const LOCK: &str = "SELECT FROM inventory.part WHERE p = $1 FOR UPDATE";
const IS_EMPTY: &str = "SELECT NOT (EXISTS (SELECT FROM inventory.level) OR EXISTS (SELECT FROM inventory.movement) \
    OR EXISTS (SELECT FROM inventory.reservation) OR EXISTS (SELECT FROM inventory.held) \
    OR EXISTS (SELECT FROM inventory.orders) OR EXISTS (SELECT FROM inventory.waiting) \
    OR EXISTS (SELECT FROM inventory.once) OR EXISTS (SELECT FROM inventory.run) \
    OR EXISTS (SELECT FROM inventory.document WHERE name <> 'webhook-positions') \
    OR EXISTS (SELECT FROM inventory.lease))";
/// What a replica leaves that was there before, and to which nothing came.
const CLEAR: &str = "DELETE FROM inventory.document WHERE z = 0";
const WAITS: &str = "INSERT INTO inventory.level (p, sku, location, on_hand, reserved, version, present, seq, waits) \
    VALUES ($1, $2, $3, 0, 0, 0, false, 0, $4) ON CONFLICT (p, sku, location) DO UPDATE SET waits = excluded.waits";
const DOCUMENT: &str = "INSERT INTO inventory.document (z, name, version, bytes) VALUES (0, $1, 1, $2)";
const PART: &str = "UPDATE inventory.part SET head = $2, tick = 1, clock_ms = $3, levels = $4, pending = $5, \
    queued = $6, backordered = $7 WHERE p = $1";
const FEED: &str = "UPDATE inventory.feed SET total = $1, heads = $2 WHERE z = 0";

/// By how much what is moved may be dated later than the database's clock: it goes on from there, as it never goes back.
const AHEAD_MAX_MS: u64 = 60_000;

/// Why nothing was moved into a database.
#[derive(Debug, Error)]
pub enum EnterError {
    /// It cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// There is stock already.
    #[error("the store in {0} is not empty: stock is moved to one that is")]
    NotEmpty(DatabaseUrl),
    /// Replicas are connected to it.
    #[error("{0} connections of replicas are open to {1}: stop them, stock is moved while nobody serves it")]
    Served(i64, DatabaseUrl),
    /// Its clock is wrong, or the other's was.
    #[error("what is moved is dated {} s later than the clock of the database: set that, or wait", .0.as_secs())]
    Ahead(Duration),
    /// What is sent cannot be.
    #[error(transparent)]
    Contradiction(#[from] Contradiction),
    /// The other store ended before it had said all.
    #[error("the store that is left was not read to its end")]
    CutShort,
    /// The database said so, and nothing was moved.
    #[error("the database: {0}; nothing was moved")]
    Database(String),
    /// Nobody knows whether it was.
    #[error(
        "the connection was lost while all was committed: {0}. Look whether {1} is empty; if it is not, all was moved"
    )]
    Unknown(String, DatabaseUrl),
}

/// What is known of the rows so far.
struct Entering<'c> {
    client: &'c ClientWrapper,
    partitions: Partitions,
    beginning: Beginning,
    now_ms: u64,
    parts: Vec<Part>,
    /// Of each level the number of its last movement, in its partition, and the version after it.
    newest: HashMap<StockKey, (i64, u64)>,
    next_seq: u64,
    run: Option<Run>,
    /// Orders that wait for units of a level.
    waits: BTreeMap<StockKey, i32>,
}

/// Movements of one partition that follow each other: the number of the last, its partition, its number in there.
#[derive(Debug, Clone, Copy)]
struct Run {
    last: i64,
    p: i32,
    head: i64,
}

/// Takes all that is sent. `progress` is told what came so far.
pub async fn enter(
    database: &Database,
    mut from: Receiver<Piece>,
    progress: &(dyn Fn(&Moved) + Sync),
) -> Result<Moved, EnterError> {
    let opening = Opening::begin(database, &Keeping::default())?;
    // Nothing is made for what cannot be left.
    let Some(Piece::Beginning(beginning)) = from.recv().await else { return Err(EnterError::CutShort) };
    let client = opening.connection().await?;
    let others = alone::others(&client).await.map_err(failed)?;
    if others > 0 {
        return Err(EnterError::Served(others, database.url.clone()));
    }
    let partitions = bring_up_to_date(&client, database).await?;
    begin(&client, partitions, database).await?;
    let mut entering = Entering::new(&client, partitions, beginning).await?;
    let mut moved = Moved::default();
    loop {
        match from.recv().await.ok_or(EnterError::CutShort)? {
            Piece::End => break,
            piece => {
                moved.count(&piece);
                entering.take(piece).await?;
                progress(&moved);
            }
        }
    }
    entering.finish().await?;
    client.batch_execute(COMMIT).await.map_err(|error| {
        match Trouble::of(&error, Stage::Commit).into_not_done().applied {
            WasApplied::No => failed(error),
            WasApplied::Unknown => EnterError::Unknown(told(&error), database.url.clone()),
        }
    })?;
    Ok(moved)
}

/// Begins the transaction, in which the store is this process's own, and is empty.
async fn begin(client: &Lent, partitions: Partitions, database: &Database) -> Result<(), EnterError> {
    alone::takes_its_time(client).await.map_err(failed)?;
    client.batch_execute("BEGIN").await.map_err(failed)?;
    client.query_one(LOCK_META, &[]).await.map_err(failed)?;
    for p in partitions.all() {
        client.query_one(LOCK, &[&p]).await.map_err(failed)?;
    }
    let is_empty: bool = client.query_one(IS_EMPTY, &[]).await.map_err(failed)?.get(0);
    if !is_empty {
        return Err(EnterError::NotEmpty(database.url.clone()));
    }
    client.execute(CLEAR, &[]).await.map_err(failed).map(drop)
}

impl<'c> Entering<'c> {
    async fn new(
        client: &'c ClientWrapper,
        partitions: Partitions,
        beginning: Beginning,
    ) -> Result<Self, EnterError> {
        let now: i64 = client.query_one(NOW, &[]).await.map_err(failed)?.get(0);
        let now_ms = now.unsigned_abs();
        let ahead_ms = beginning.date_ms.saturating_sub(now_ms);
        if ahead_ms > AHEAD_MAX_MS {
            return Err(EnterError::Ahead(Duration::from_millis(ahead_ms)));
        }
        let dropped = beginning.oldest - 1;
        let run = (dropped > 0).then_some(Run { last: dropped.cast_signed(), p: DROPPED, head: 0 });
        Ok(Self {
            client,
            partitions,
            beginning,
            now_ms,
            parts: partitions.all().map(|_| Part::default()).collect(),
            newest: HashMap::new(),
            next_seq: beginning.oldest,
            run,
            waits: BTreeMap::new(),
        })
    }

    async fn take(&mut self, piece: Piece) -> Result<(), EnterError> {
        match piece {
            Piece::Beginning(_) | Piece::End => Ok(()),
            Piece::Movements(movements) => self.movements(&movements).await,
            Piece::Levels(levels) => self.levels(&levels).await,
            Piece::Reservations(all) => self.reservations(&all).await,
            Piece::Orders(all) => self.orders(&all).await,
            Piece::Keys(keys) => self.keys(&keys).await,
            Piece::Document(name, bytes) => self.document(named(name), &bytes).await,
        }
    }

    fn part(&mut self, p: i32) -> &mut Part {
        &mut self.parts[usize::try_from(p).expect("a partition has a number from 0 on")]
    }

    async fn movements(&mut self, movements: &[Movement]) -> Result<(), EnterError> {
        let (mut rows, mut runs) = (Rows::default(), Vec::new());
        for movement in movements {
            let Movement { seq, key, before, after, .. } = movement;
            if seq.number() != self.next_seq {
                return Err(Contradiction(format!("movement {} is missing", self.next_seq)).into());
            }
            self.next_seq += 1;
            let p = self.partitions.of_key(key);
            let part = self.part(p);
            part.head += 1;
            let head = part.head;
            let next = Run { last: number(seq.number()), p, head };
            if let Some(run) = self.run.replace(next).filter(|run| run.p != p) {
                runs.push(run);
            }
            let prev = match self.newest.insert(key.clone(), (head, after.version())) {
                Some((_, version)) if version + 1 != after.version() => {
                    return Err(
                        Contradiction(format!("movement {seq} does not follow what is before it")).into()
                    );
                }
                Some((prev, _)) => prev,
                None if after.version() == 1 => 0,
                None => DROPPED_SEQ,
            };
            rows.begin().add(p).add(head).add(number(movement.time_ms)).add(movement.kind.name());
            rows.add(key.sku().to_owned()).add(key.location().to_owned());
            rows.add(number(before.0)).add(number(before.1)).level(*after).add(prev);
            rows.add(text(&movement.reason)).add(text(&movement.reference)).add(text(&movement.actor));
            rows.add(movement.reservation.map(uuid)).add(movement.order.map(uuid));
        }
        self.copy(
            "movement (p, seq, time_ms, kind, sku, location, on_hand_before, reserved_before, on_hand, reserved, \
             version, present, prev, reason, reference, actor, reservation, \"order\")",
            &[
                Type::INT4, Type::INT8, Type::INT8, Type::TEXT, Type::TEXT, Type::TEXT, Type::INT8, Type::INT8,
                Type::INT8, Type::INT8, Type::INT8, Type::BOOL, Type::INT8, Type::TEXT, Type::TEXT, Type::TEXT,
                Type::UUID, Type::UUID,
            ],
            rows,
        )
        .await?;
        self.runs(&runs).await
    }

    async fn runs(&self, runs: &[Run]) -> Result<(), EnterError> {
        let mut rows = Rows::default();
        for Run { last, p, head } in runs {
            rows.begin().add(0_i32).add(*last).add(*p).add(*head);
        }
        let types = [Type::INT4, Type::INT8, Type::INT4, Type::INT8];
        self.copy("run (z, last, p, head)", &types, rows).await
    }

    async fn levels(&mut self, levels: &[(StockKey, Level)]) -> Result<(), EnterError> {
        let mut rows = Rows::default();
        for (key, level) in levels {
            let p = self.partitions.of_key(key);
            let seq = match self.newest.get(key) {
                Some((_, version)) if *version != level.version() => {
                    let what = format!("the level {key} is not what its last movement says");
                    return Err(Contradiction(what).into());
                }
                Some((seq, _)) => *seq,
                None => DROPPED_SEQ,
            };
            self.part(p).levels += i64::from(level.exists());
            rows.begin().add(p).add(key.sku().to_owned()).add(key.location().to_owned()).level(*level);
            rows.add(seq).add(0_i32);
        }
        let types = [
            Type::INT4,
            Type::TEXT,
            Type::TEXT,
            Type::INT8,
            Type::INT8,
            Type::INT8,
            Type::BOOL,
            Type::INT8,
            Type::INT4,
        ];
        let table = "level (p, sku, location, on_hand, reserved, version, present, seq, waits)";
        self.copy(table, &types, rows).await
    }

    /// When something ended that ended so long ago.
    fn ended_ms(&self, ended_ago: Option<Duration>) -> Option<i64> {
        let ago = |ago: Duration| u64::try_from(ago.as_millis()).unwrap_or(u64::MAX);
        ended_ago.map(|it| number(self.now_ms.saturating_sub(ago(it))))
    }

    async fn reservations(&mut self, all: &[Aged<Reservation>]) -> Result<(), EnterError> {
        let (mut rows, mut held) = (Rows::default(), Rows::default());
        for Aged { it, ended_ago } in all {
            let (id, home, kept) =
                (uuid(it.term.id), self.partitions.of_id(it.term.id), KeptReservation::of(it));
            let expires_ms = number(it.term.expires_date_ms);
            rows.begin().add(home).add(id).add(it.state.name()).add(expires_ms);
            rows.add(self.ended_ms(*ended_ago)).add(text_of(&kept));
            if it.state != ReservationState::Pending {
                continue;
            }
            self.part(home).pending += 1;
            for line in &it.lines {
                held.begin().add(self.partitions.of_key(&line.key)).add(id);
                held.add(line.key.sku().to_owned()).add(line.key.location().to_owned());
                held.add(number(line.quantity.units())).add(expires_ms);
            }
        }
        let types = [Type::INT4, Type::UUID, Type::TEXT, Type::INT8, Type::INT8, Type::TEXT];
        self.copy("reservation (p, id, state, expires_ms, ended_ms, body)", &types, rows).await?;
        let types = [Type::INT4, Type::UUID, Type::TEXT, Type::TEXT, Type::INT8, Type::INT8];
        self.copy("held (p, reservation, sku, location, quantity, expires_ms)", &types, held).await
    }

    async fn orders(&mut self, all: &[Aged<Order>]) -> Result<(), EnterError> {
        let (mut rows, mut waiting) = (Rows::default(), Rows::default());
        for Aged { it, ended_ago } in all {
            let (id, home, created_ms) =
                (uuid(it.id), self.partitions.of_id(it.id), number(it.times.created_ms));
            let priority = i32::from(it.priority);
            rows.begin().add(home).add(id).add(it.state.name()).add(priority).add(created_ms);
            rows.add(self.ended_ms(*ended_ago)).add(text_of(&KeptOrder::of(it)));
            self.part(home).queued += i64::from(it.state == OrderState::Queued);
            if it.state != OrderState::Backordered {
                continue;
            }
            self.part(home).backordered += 1;
            for line in &it.lines {
                *self.waits.entry(line.key.clone()).or_default() += 1;
                waiting.begin().add(self.partitions.of_key(&line.key)).add(line.key.sku().to_owned());
                // Each is tried once more: who is first, and may have its units, was not written down where it came from.
                waiting.add(line.key.location().to_owned()).add(id).add(priority).add(created_ms).add(true);
            }
        }
        let types = [Type::INT4, Type::UUID, Type::TEXT, Type::INT4, Type::INT8, Type::INT8, Type::TEXT];
        self.copy("orders (p, id, state, priority, created_ms, ended_ms, body)", &types, rows).await?;
        let types = [Type::INT4, Type::TEXT, Type::TEXT, Type::UUID, Type::INT4, Type::INT8, Type::BOOL];
        self.copy("waiting (p, sku, location, id, priority, created_ms, ready)", &types, waiting).await
    }

    async fn keys(&self, keys: &[MovedKey]) -> Result<(), EnterError> {
        let mut rows = Rows::default();
        for MovedKey { once, outcome, left } in keys {
            let kept = outcome::text(outcome).ok_or_else(|| {
                Contradiction("what came of a request under an idempotency key is none".to_owned())
            })?;
            let left_ms = u64::try_from(left.as_millis()).unwrap_or(u64::MAX);
            let until_ms = number(self.now_ms.saturating_add(left_ms).min(i64::MAX.unsigned_abs()));
            rows.begin().add(Partitions::of_once(once.key)).add(Uuid::from_u128(once.key));
            rows.add(once.fingerprint.to_vec()).add(kept).add(until_ms);
        }
        let types = [Type::INT4, Type::UUID, Type::BYTEA, Type::TEXT, Type::INT8];
        self.copy("once (k, key, fingerprint, outcome, until_ms)", &types, rows).await
    }

    async fn document(&self, name: &str, bytes: &[u8]) -> Result<(), EnterError> {
        self.client.execute(DOCUMENT, &[&name, &bytes]).await.map_err(failed).map(drop)
    }

    /// What is known only now: who waits for which level, the last run, the partitions.
    async fn finish(mut self) -> Result<(), EnterError> {
        let (told, newest) = (self.next_seq - 1, self.beginning.newest);
        if told != newest {
            let what = format!("the ledger ends with movement {told}, and should with {newest}");
            return Err(Contradiction(what).into());
        }
        let last: Vec<Run> = self.run.take().into_iter().collect();
        self.runs(&last).await?;
        for (key, waits) in &self.waits {
            let params: [&(dyn ToSql + Sync); 4] =
                [&self.partitions.of_key(key), &key.sku(), &key.location(), waits];
            self.client.execute(WAITS, &params).await.map_err(failed)?;
        }
        let clock_ms = number(self.now_ms.max(self.beginning.date_ms));
        for (p, part) in (0_i32..).zip(&self.parts) {
            let Part { head, levels, pending, queued, backordered, .. } = part;
            let params: [&(dyn ToSql + Sync); 7] =
                [&p, head, &clock_ms, levels, pending, queued, backordered];
            self.client.execute(PART, &params).await.map_err(failed)?;
        }
        let heads: Vec<i64> = self.parts.iter().map(|part| part.head).collect();
        self.client.execute(FEED, &[&number(newest), &heads]).await.map_err(failed)?;
        match self.beginning.lineage.id() {
            Some(id) => self.document(LINEAGE, &id.to_be_bytes()).await,
            None => Ok(()),
        }
    }

    async fn copy(&self, table: &str, types: &[Type], rows: Rows) -> Result<(), EnterError> {
        if rows.0.is_empty() {
            return Ok(());
        }
        let copy = format!("COPY inventory.{table} FROM STDIN BINARY");
        let sink = self.client.copy_in(&copy).await.map_err(failed)?;
        let mut writer = pin!(BinaryCopyInWriter::new(sink, types));
        for row in rows.0 {
            let row: Vec<&(dyn ToSql + Sync)> =
                row.iter().map(|cell| &**cell as &(dyn ToSql + Sync)).collect();
            writer.as_mut().write(&row).await.map_err(failed)?;
        }
        writer.finish().await.map_err(failed).map(drop)
    }
}

/// Rows that are copied in together, cell by cell.
#[derive(Default)]
struct Rows(Vec<Vec<Box<dyn ToSql + Send + Sync>>>);

impl Rows {
    /// Begins a row.
    fn begin(&mut self) -> &mut Self {
        self.0.push(Vec::new());
        self
    }

    fn add(&mut self, cell: impl ToSql + Send + Sync + 'static) -> &mut Self {
        self.0.last_mut().expect("a row was begun").push(Box::new(cell));
        self
    }

    /// `on_hand`, reserved, version, present.
    fn level(&mut self, level: Level) -> &mut Self {
        self.add(number(level.on_hand())).add(number(level.reserved())).add(number(level.version()));
        self.add(level.exists())
    }
}

fn number(number: u64) -> i64 {
    number.cast_signed()
}

#[expect(clippy::needless_pass_by_value, reason = "errors are mapped by it")]
fn failed(error: tokio_postgres::Error) -> EnterError {
    EnterError::Database(told(&error))
}
