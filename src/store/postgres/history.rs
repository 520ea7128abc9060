//! Questions to the ledger as a whole: its movements from a place on. Of one level it is asked by a walk ([`super::walk`]), so the hottest table has one index.

use tokio_postgres::Row;
use uuid::Uuid;

use super::failure::{Stage, Trouble};
use super::load::prepared;
use super::origin::DROPPED;
use super::pipeline::{Pipeline, param};
use super::{Postgres, rows};
use crate::stock::Id;
use crate::store::ledger::From;
use crate::store::query::NotACursor;
use crate::store::{
    HistoryError, Lineage, Movement, MovementCursor, MovementFilter, MovementKind, MovementPage,
    MovementQuery, NotDone, Seq, Store as _, Why,
};

/// The columns of a movement, in the order in which they are read.
macro_rules! columns {
    ($m:literal) => {
        concat!(
            $m,
            ".seq, ",
            $m,
            ".prev, ",
            $m,
            ".sku, ",
            $m,
            ".location, ",
            $m,
            ".on_hand, ",
            $m,
            ".reserved, ",
            $m,
            ".version, ",
            $m,
            ".present, ",
            $m,
            ".time_ms, ",
            $m,
            ".kind, ",
            $m,
            ".on_hand_before, ",
            $m,
            ".reserved_before, ",
            $m,
            ".reason, ",
            $m,
            ".reference, ",
            $m,
            ".actor, ",
            $m,
            ".reservation, ",
            $m,
            ".\"order\""
        )
    };
}

pub(super) use columns;

/// The columns of a movement of the table `m`.
pub(super) const MOVEMENT: &str = columns!("m");

const STRETCH: &str = concat!(
    "SELECT ",
    columns!("m"),
    " FROM inventory.movement m WHERE m.p = $1 AND m.seq > $2 AND m.seq <= $3 ORDER BY m.seq"
);
const RUNS_AFTER: &str =
    "SELECT last, p, head FROM inventory.run WHERE z = 0 AND last > $1 ORDER BY last LIMIT $2";
const BEGINS: &str = "SELECT last FROM inventory.run WHERE z = 0 AND p = $1 ORDER BY last DESC LIMIT 1";
/// Movements that are looked at for a page, if it does not want more: the others make it short.
pub(super) const LOOK: usize = 1_000;
/// Runs that are looked at for a page.
const RUNS: i64 = 256;
/// A movement as it is in its partition.
pub(super) struct Local {
    pub(super) seq: i64,
    pub(super) prev: i64,
    pub(super) movement: Movement,
}

/// What there is of the ledger after a place.
enum Stretch {
    /// Movements, and the number up to which all are among them.
    Is(Vec<Movement>, u64),
    /// It begins after that movement, which is later.
    Begins(i64),
    /// Movements that were there are gone.
    Torn,
}

impl Postgres {
    pub(super) async fn page_of_movements(&self, query: MovementQuery) -> Result<MovementPage, HistoryError> {
        match query {
            MovementQuery::OfLevel { key, cursor, filter, limit } => {
                self.of_level(&key, cursor, &filter, limit).await
            }
            MovementQuery::After { from, filter, limit } => self.after(&from, &filter, limit).await,
        }
    }

    async fn after(
        &self,
        from: &From,
        filter: &MovementFilter,
        limit: usize,
    ) -> Result<MovementPage, HistoryError> {
        loop {
            match self.after_known(from, filter, limit).await {
                // Another process has dropped more, which is known from here on.
                Err(HistoryError::Compacted { .. }) if matches!(from, From::Oldest) => {}
                page => return page,
            }
        }
    }

    async fn after_known(
        &self,
        from: &From,
        filter: &MovementFilter,
        limit: usize,
    ) -> Result<MovementPage, HistoryError> {
        let lineage = self.lineage();
        let (Seq(after), of) = match from {
            From::Oldest => (Seq(self.0.feed.dropped()), lineage),
            From::Seq(seq) => (*seq, lineage),
            From::SeqOf(seq, of) => (*seq, *of),
            From::Cursor(cursor) => (cursor.seq().ok_or(NotACursor)?, cursor.lineage()),
        };
        let look = u64::try_from(limit.max(LOOK)).unwrap_or(u64::MAX);
        // A page that may be the last has whatever was answered before it was asked for, by whichever replica.
        if self.0.feed.end().0 < after.saturating_add(look) {
            self.catch_up().await?;
        }
        let end = self.reached(Seq(after), of).await?;
        let mut is_torn = false;
        let (found, looked_at) = loop {
            match self.stretch(after, look).await? {
                Stretch::Is(found, looked_at) => break (found, looked_at),
                Stretch::Begins(dropped) => return Err(self.begins_after(dropped)),
                // What was dropped is a beginning, so whoever looks again is told that.
                Stretch::Torn if !is_torn => is_torn = true,
                Stretch::Torn => {
                    let what = format!("movements after {after} are missing");
                    return Err(NotDone::no(Why::Damaged(what)).into());
                }
            }
        };
        let (mut movements, mut at) = (Vec::new(), looked_at);
        for movement in found {
            if movements.len() == limit {
                at = movements.last().map_or(at, |last: &Movement| last.seq.0);
                break;
            }
            if filter.has(&movement) {
                movements.push(movement);
            }
        }
        let next = (at < end.0).then(|| MovementCursor::after(Seq(at), lineage));
        Ok(MovementPage { movements, next, compacted: false, lineage })
    }

    /// Movements right after that number, about so many.
    async fn stretch(&self, after: u64, look: u64) -> Result<Stretch, NotDone> {
        let (after, look) = (after.cast_signed(), look.cast_signed());
        let asked = async {
            let client = self.for_reading().await?;
            let runs = prepared(&client, RUNS_AFTER).await?;
            let runs = client.query(&runs, &[&after, &RUNS]).await;
            let runs = runs.map_err(|error| Trouble::of(&error, Stage::Before))?;
            if let Some(begins) = runs.first().filter(|run| run.get::<_, i32>(1) == DROPPED) {
                client.give_back();
                return Ok(Stretch::Begins(begins.get(0)));
            }
            let statement = prepared(&client, STRETCH).await?;
            let mut pipeline = Pipeline::of(&client);
            let (mut at, mut firsts) = (after, Vec::new());
            for run in &runs {
                let (last, p, head): (i64, i32, i64) = (run.get(0), run.get(1), run.get(2));
                let end = last.min(after.saturating_add(look));
                if at >= end {
                    break;
                }
                // Numbers of the run and of its partition go up side by side.
                let local = |number: i64| head - (last - number);
                pipeline.ask(statement.clone(), vec![param(p), param(local(at)), param(local(end))]);
                firsts.push((at + 1, end));
                at = end;
            }
            let mut movements = Vec::new();
            let answers = pipeline.sent().await;
            client.give_back();
            for ((first, end), rows) in firsts.into_iter().zip(answers) {
                let rows = rows.map_err(|error| Trouble::of(&error, Stage::Before))?;
                if i64::try_from(rows.len()) != Ok(end - first + 1) {
                    return Ok(Stretch::Torn);
                }
                for (number, row) in (first..).zip(&rows) {
                    let local = movement_in(row).ok_or_else(|| Trouble::damaged("a movement"))?;
                    movements.push(Movement { seq: Seq(number.unsigned_abs()), ..local.movement });
                }
            }
            Ok(Stretch::Is(movements, at.unsigned_abs()))
        };
        self.looked(asked).await
    }

    /// Whether what follows that movement of that history is there. Returns the newest.
    pub(super) async fn reached(&self, asked: Seq, of: Lineage) -> Result<Seq, HistoryError> {
        if of != self.lineage() {
            return Err(HistoryError::OtherLineage);
        }
        if asked.0 < self.0.feed.dropped() {
            return Err(self.compacted().await?);
        }
        let mut newest = self.0.feed.end();
        if asked > newest {
            newest = self.catch_up().await?;
        }
        if asked > newest { Err(HistoryError::Ahead { asked, newest }) } else { Ok(newest) }
    }

    /// What is asked for was dropped: where the ledger begins now.
    pub(super) async fn compacted(&self) -> Result<HistoryError, NotDone> {
        let asked = async {
            let client = self.for_reading().await?;
            let statement = prepared(&client, BEGINS).await?;
            let row = client.query_opt(&statement, &[&DROPPED]).await;
            client.give_back();
            Ok(row.map_err(|error| Trouble::of(&error, Stage::Before))?.map_or(0, |row| row.get(0)))
        };
        Ok(self.begins_after(self.looked(asked).await?))
    }

    /// The ledger was seen to begin after that movement.
    pub(super) fn begins_after(&self, dropped: i64) -> HistoryError {
        HistoryError::Compacted { oldest: Seq(self.0.feed.begins_after(dropped) + 1) }
    }
}

/// A movement, but for its number.
pub(super) fn movement_in(row: &Row) -> Option<Local> {
    let units = |column: usize| u64::try_from(row.get::<_, i64>(column)).ok();
    let text = |column: usize| row.get::<_, Option<&str>>(column).unwrap_or_default().to_owned();
    let id = |column: usize| row.get::<_, Option<Uuid>>(column).map(|id| id.as_u128());
    let (key, after) = rows::level(row, 2)?;
    let movement = Movement {
        seq: Seq::default(),
        time_ms: units(8)?,
        kind: MovementKind::named(row.get(9))?,
        key,
        before: (units(10)?, units(11)?),
        after,
        reason: text(12),
        reference: text(13),
        actor: text(14),
        reservation: id(15).map(Id::from_bits),
        order: id(16).map(Id::from_bits),
    };
    Some(Local { seq: row.get(0), prev: row.get(1), movement })
}
