//! [`leave`]: all there is in a database, piece by piece.
//!
//! What is due is ended first, as a store of many processes ends a reservation in steps, and only one that has ended, or has not begun to, can be told. Then
//! all partitions are locked, for as long as it takes: nothing changes meanwhile.

use std::collections::VecDeque;
use std::time::Duration;

use thiserror::Error;
use tokio::sync::mpsc::Sender;
use tokio_postgres::Row;
use uuid::Uuid;

use super::alone;
use crate::stock::{Once, Order, Reservation, ReservationState};
use crate::store::moving::{Aged, Beginning, Contradiction, MovedKey, PIECE_LONG_MAX, PIECE_MAX, Piece};
use crate::store::postgres::connect::Lent;
use crate::store::postgres::failure::{Trouble, told};
use crate::store::postgres::history::{Local, MOVEMENT, movement_in};
use crate::store::postgres::kept::{order_in, reservation_in};
use crate::store::postgres::open::Opening;
use crate::store::postgres::origin::Origin;
use crate::store::postgres::outcome;
use crate::store::postgres::partition::Partitions;
use crate::store::postgres::{NOW, OpenError, Postgres, rows};
use crate::store::{Database, Document, Keeping, Movement, NotDone, Outcome, Seq, Store as _};

const HAS_TABLES: &str = "SELECT to_regclass('inventory.meta') IS NOT NULL";
const LOCK: &str = "SELECT clock_ms FROM inventory.part WHERE p = $1 FOR SHARE";
const DUE: &str = "SELECT EXISTS (SELECT FROM inventory.held \
    WHERE expires_ms <= (extract(epoch FROM clock_timestamp()) * 1000)::int8)";
const HELD: &str = "SELECT count(*) FROM inventory.held";
const LEFT: &str = "SELECT kept FROM inventory.lease WHERE z = 0 AND kept IS NOT NULL ORDER BY name";
const UNDER_WAY: &str =
    "SELECT key, fingerprint FROM inventory.once WHERE k = $1 AND outcome IS NULL AND until_ms > $2";
const PART_DONE: &str =
    "SELECT outcome FROM inventory.once WHERE k = $1 AND key = $2 AND outcome IS NOT NULL";
const FEED: &str = "SELECT total FROM inventory.feed WHERE z = 0 FOR SHARE";

/// Rounds in which what is due is ended.
const ROUNDS_MAX: u32 = 10_000;

/// Why a database cannot be left.
#[derive(Debug, Error)]
pub enum LeaveError {
    /// It cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// There is none.
    #[error("there is no stock in {0}")]
    NoStock(crate::store::DatabaseUrl),
    /// Replicas are connected to it.
    #[error("{0} connections of replicas are open to {1}: stop them, stock is moved while nobody serves it")]
    Served(i64, crate::store::DatabaseUrl),
    /// An import was applied in part.
    #[error(
        "an import was cut short, and a part of it is applied: start a replica and repeat it under its Idempotency-Key, or wait until that has run out"
    )]
    ImportCutShort,
    /// It gave no answer.
    #[error(transparent)]
    NotDone(#[from] NotDone),
    /// What is in it cannot be.
    #[error(transparent)]
    Contradiction(#[from] Contradiction),
    /// The database said so.
    #[error("the database: {0}")]
    Database(String),
    /// Nobody takes the pieces any more.
    #[error("the store that is moved to takes no more")]
    NotTaken,
}

/// What is left, with all of its partitions locked.
struct Leaving {
    store: Postgres,
    client: Lent,
    to: Sender<Piece>,
    now_ms: u64,
    /// Lines of reservations that hold units.
    held: i64,
}

/// The movements of one partition, in order.
struct Lane {
    p: i32,
    read: VecDeque<Local>,
}

/// Sends all there is.
pub async fn leave(database: &Database, to: Sender<Piece>) -> Result<(), LeaveError> {
    let opening = Opening::begin(database, &Keeping::default())?;
    let client = opening.connection().await?;
    let has_tables = client.query_one(HAS_TABLES, &[]).await.map_err(failed)?;
    if !has_tables.get::<_, bool>(0) {
        return Err(LeaveError::NoStock(database.url.clone()));
    }
    let others = alone::others(&client).await.map_err(failed)?;
    if others > 0 {
        return Err(LeaveError::Served(others, database.url.clone()));
    }
    let store = opening.open_to_tidy().await?;
    let left = async {
        store.end_all_that_is_due(&client).await?;
        let mut leaving = Leaving { store: store.clone(), client, to, now_ms: 0, held: 0 };
        leaving.all().await
    };
    let left = left.await;
    store.end().await;
    left
}

impl Postgres {
    /// Ends what is due, whole.
    async fn end_all_that_is_due(&self, client: &Lent) -> Result<(), LeaveError> {
        for _ in 0..ROUNDS_MAX {
            self.end_what_is_due().await?;
            self.let_lines_go().await?;
            if !client.query_one(DUE, &[]).await.map_err(failed)?.get::<_, bool>(0) {
                return Ok(());
            }
        }
        Err(Contradiction("reservations that are due do not come to an end".to_owned()).into())
    }
}

impl Leaving {
    async fn all(&mut self) -> Result<(), LeaveError> {
        let beginning = self.begin().await?;
        self.send(Piece::Beginning(beginning)).await?;
        self.movements(&beginning).await?;
        for p in self.partitions().all() {
            self.levels(p).await?;
        }
        for p in self.partitions().all() {
            self.reservations(p).await?;
        }
        let held: i64 = self.client.query_one(HELD, &[]).await.map_err(failed)?.get(0);
        if held != self.held {
            let what = format!("reservations hold {} lines, and {held} are held", self.held);
            return Err(Contradiction(what).into());
        }
        for p in self.partitions().all() {
            self.orders(p).await?;
        }
        for k in Partitions::places() {
            self.keys(k).await?;
        }
        for name in Document::ALL {
            let mut bytes = self.store.document(name).await?.map(|kept| kept.bytes);
            if name == Document::WebhookPositions {
                bytes = self.positions(bytes).await?;
            }
            if let Some(bytes) = bytes {
                self.send(Piece::Document(name, bytes)).await?;
            }
        }
        self.send(Piece::End).await
    }

    /// How far webhooks have come: here each says it in its lease, and elsewhere all do in one document. Those that nobody told here yet are where
    /// they were when they came.
    async fn positions(&self, came: Option<Vec<u8>>) -> Result<Option<Vec<u8>>, LeaveError> {
        let unknown =
            |_| LeaveError::from(Contradiction("how far webhooks have come cannot be read".to_owned()));
        let read = |bytes: &[u8]| serde_json::from_slice::<serde_json::Value>(bytes).map_err(unknown);
        let mut all = Vec::new();
        for row in self.client.query(LEFT, &[]).await.map_err(failed)? {
            all.push(read(row.get(0))?);
        }
        if let Some(came) = came {
            let named: Vec<serde_json::Value> = all.iter().map(|one| one["id"].clone()).collect();
            let came = read(&came)?["positions"].as_array().cloned().unwrap_or_default();
            all.extend(came.into_iter().filter(|one| !named.contains(&one["id"])));
        }
        let document = serde_json::json!({ "positions": all }).to_string();
        Ok((!all.is_empty()).then(|| document.into_bytes()))
    }

    fn partitions(&self) -> Partitions {
        self.store.0.how.partitions
    }

    async fn send(&self, piece: Piece) -> Result<(), LeaveError> {
        self.to.send(piece).await.map_err(|_| LeaveError::NotTaken)
    }

    /// Locks all partitions, lowest first, and sees to it that each movement has its number.
    async fn begin(&mut self) -> Result<Beginning, LeaveError> {
        alone::takes_its_time(&self.client).await.map_err(failed)?;
        self.client.batch_execute("BEGIN").await.map_err(failed)?;
        let mut date_ms = 0;
        for p in self.partitions().all() {
            let row = self.client.query_one(LOCK, &[&p]).await.map_err(failed)?;
            date_ms = date_ms.max(row.get::<_, i64>(0));
        }
        self.store.catch_up().await?;
        let now: i64 = self.client.query_one(NOW, &[]).await.map_err(failed)?.get(0);
        // Locked, so that nobody drops movements meanwhile.
        let newest: i64 = self.client.query_one(FEED, &[]).await.map_err(failed)?.get(0);
        self.now_ms = now.unsigned_abs();
        let origin = Origin::of(&self.client).await.map_err(failed)?;
        Ok(Beginning {
            lineage: origin.lineage,
            oldest: origin.dropped + 1,
            newest: newest.unsigned_abs(),
            date_ms: date_ms.max(now).unsigned_abs(),
        })
    }

    async fn cursor(&self, name: &str, select: &str) -> Result<(), LeaveError> {
        let declared = format!("DECLARE {name} NO SCROLL CURSOR FOR {select}");
        self.client.batch_execute(&declared).await.map_err(failed)
    }

    async fn fetch(&self, name: &str, most: usize) -> Result<Vec<Row>, LeaveError> {
        self.client.query(&format!("FETCH {most} FROM {name}"), &[]).await.map_err(failed)
    }

    /// All rows of a cursor, some at a time; `each` makes a piece of some.
    async fn rows(
        &self,
        select: &str,
        most: usize,
        mut each: impl FnMut(&[Row]) -> Result<Piece, Contradiction> + Send,
    ) -> Result<(), LeaveError> {
        self.cursor("rows", select).await?;
        loop {
            let some = self.fetch("rows", most).await?;
            if some.is_empty() {
                return self.client.batch_execute("CLOSE rows").await.map_err(failed);
            }
            self.send(each(&some)?).await?;
        }
    }

    /// The ledger: what the runs say comes next is taken from the partition it is of.
    async fn movements(&self, beginning: &Beginning) -> Result<(), LeaveError> {
        let mut lanes = Vec::new();
        for p in self.partitions().all() {
            let select =
                format!("SELECT {MOVEMENT} FROM inventory.movement m WHERE m.p = {p} ORDER BY m.seq");
            self.cursor(&format!("movements_{p}"), &select).await?;
            lanes.push(Lane { p, read: VecDeque::new() });
        }
        let runs = "SELECT last, p, head FROM inventory.run WHERE z = 0 AND p >= 0 ORDER BY last";
        self.cursor("runs", runs).await?;
        let (mut number, mut piece) = (beginning.oldest, Vec::new());
        loop {
            let runs = self.fetch("runs", PIECE_MAX).await?;
            if runs.is_empty() {
                break;
            }
            for run in runs {
                let (last, p, head): (i64, i32, i64) = (run.get(0), run.get(1), run.get(2));
                let lane = usize::try_from(p).ok().and_then(|p| lanes.get_mut(p));
                let lane = lane.ok_or_else(|| Contradiction(format!("there is no partition {p}")))?;
                while number.cast_signed() <= last {
                    let movement = self.next(lane, head - (last - number.cast_signed())).await?;
                    piece.push(Movement { seq: Seq::new(number), ..movement });
                    number += 1;
                    if piece.len() == PIECE_MAX {
                        self.send(Piece::Movements(std::mem::take(&mut piece))).await?;
                    }
                }
            }
        }
        self.send(Piece::Movements(piece)).await
    }

    /// The next movement of a partition, which has that number in there.
    async fn next(&self, lane: &mut Lane, seq: i64) -> Result<Movement, LeaveError> {
        if lane.read.is_empty() {
            for row in self.fetch(&format!("movements_{}", lane.p), PIECE_MAX).await? {
                let movement =
                    movement_in(&row).ok_or_else(|| Contradiction("a movement is none".to_owned()))?;
                lane.read.push_back(movement);
            }
        }
        let p = lane.p;
        let next = lane.read.pop_front().filter(|local| local.seq == seq);
        let missing = || Contradiction(format!("movement {seq} of partition {p} is missing"));
        Ok(next.ok_or_else(missing)?.movement)
    }

    async fn levels(&self, p: i32) -> Result<(), LeaveError> {
        let select = format!(
            "SELECT sku, location, on_hand, reserved, version, present FROM inventory.level WHERE p = {p} \
             AND version > 0 ORDER BY sku, location"
        );
        let levels = |some: &[Row]| {
            let levels = some.iter().map(|row| rows::level(row, 0)).collect::<Option<_>>();
            levels.map(Piece::Levels).ok_or_else(|| Contradiction("a level is none".to_owned()))
        };
        self.rows(&select, PIECE_MAX, levels).await
    }

    fn ago(now_ms: u64, row: &Row) -> Duration {
        let ended_ms = row.get::<_, Option<i64>>(1).unwrap_or(0).unsigned_abs();
        Duration::from_millis(now_ms.saturating_sub(ended_ms))
    }

    async fn reservations(&mut self, p: i32) -> Result<(), LeaveError> {
        let select = format!("SELECT body, ended_ms FROM inventory.reservation WHERE p = {p} ORDER BY id");
        let (now_ms, mut held) = (self.now_ms, 0);
        let mut one = |row: &Row| -> Option<Aged<Reservation>> {
            let it = reservation_in(row.get(0))?;
            let is_pending = it.state == ReservationState::Pending;
            held += if is_pending { i64::try_from(it.lines.len()).ok()? } else { 0 };
            Some(Aged { it, ended_ago: (!is_pending).then(|| Self::ago(now_ms, row)) })
        };
        let all = |some: &[Row]| {
            let all = some.iter().map(&mut one).collect::<Option<_>>();
            all.map(Piece::Reservations).ok_or_else(|| Contradiction("a reservation is none".to_owned()))
        };
        self.rows(&select, PIECE_LONG_MAX, all).await?;
        self.held += held;
        Ok(())
    }

    async fn orders(&self, p: i32) -> Result<(), LeaveError> {
        let select = format!("SELECT body, ended_ms FROM inventory.orders WHERE p = {p} ORDER BY id");
        let now_ms = self.now_ms;
        let one = |row: &Row| -> Option<Aged<Order>> {
            let it = (*order_in(row.get(0))?).clone();
            let is_over = it.state.is_final();
            Some(Aged { it, ended_ago: is_over.then(|| Self::ago(now_ms, row)) })
        };
        let all = |some: &[Row]| {
            let all = some.iter().map(one).collect::<Option<_>>();
            all.map(Piece::Orders).ok_or_else(|| Contradiction("an order is none".to_owned()))
        };
        self.rows(&select, PIECE_LONG_MAX, all).await
    }

    /// Keys whose outcome is known: of a batch that was cut short its lines have theirs.
    async fn keys(&self, k: i32) -> Result<(), LeaveError> {
        let now_ms = self.now_ms;
        self.no_import_is_cut_short(k).await?;
        let select = format!(
            "SELECT key, fingerprint, outcome, until_ms FROM inventory.once WHERE k = {k} \
             AND outcome IS NOT NULL AND until_ms > {now_ms} ORDER BY until_ms"
        );
        let one = |row: &Row| -> Option<MovedKey> {
            let key = row.get::<_, Uuid>(0).as_u128();
            let fingerprint = row.get::<_, &[u8]>(1).try_into().ok()?;
            let left_ms = row.get::<_, i64>(3).unsigned_abs().saturating_sub(now_ms);
            Some(MovedKey {
                once: Once { key, fingerprint },
                outcome: outcome::outcome(row.get(2))?,
                left: Duration::from_millis(left_ms),
            })
        };
        let all = |some: &[Row]| {
            let all = some.iter().map(one).collect::<Option<_>>();
            all.map(Piece::Keys).ok_or_else(|| Contradiction("an idempotency key is none".to_owned()))
        };
        self.rows(&select, PIECE_LONG_MAX, all).await
    }
}

impl Leaving {
    /// Whoever repeats an import that was cut short finds here which of its chunks were applied, and nowhere else.
    async fn no_import_is_cut_short(&self, k: i32) -> Result<(), LeaveError> {
        let now_ms = self.now_ms.cast_signed();
        for row in self.client.query(UNDER_WAY, &[&k, &now_ms]).await.map_err(failed)? {
            let fingerprint = row.get::<_, &[u8]>(1).try_into();
            let fingerprint =
                fingerprint.map_err(|_| Contradiction("an idempotency key is none".to_owned()))?;
            let whole = Once { key: row.get::<_, Uuid>(0).as_u128(), fingerprint };
            let first = whole.line(0).key;
            let place = Partitions::of_once(first);
            let part =
                self.client.query_opt(PART_DONE, &[&place, &Uuid::from_u128(first)]).await.map_err(failed)?;
            let done = part.and_then(|part| outcome::outcome(part.get(0)));
            if matches!(done, Some(Outcome::Import(_))) {
                return Err(LeaveError::ImportCutShort);
            }
        }
        Ok(())
    }
}

#[expect(clippy::needless_pass_by_value, reason = "errors are mapped by it")]
fn failed(error: tokio_postgres::Error) -> LeaveError {
    LeaveError::Database(told(&error))
}

impl From<Trouble> for LeaveError {
    fn from(trouble: Trouble) -> Self {
        Self::NotDone(trouble.into_not_done())
    }
}
