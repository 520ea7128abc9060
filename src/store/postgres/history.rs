//! Questions to the ledger: the movements of one level, of all, and what a level was.
//!
//! Each movement names the one of its level before it, so a history is a walk by keys, and the hottest table has one index.

use tokio_postgres::Row;
use uuid::Uuid;

use super::failure::{Stage, Trouble};
use super::load::prepared;
use super::origin::DROPPED_SEQ;
use super::pipeline::{Pipeline, param};
use super::{Postgres, rows};
use crate::stock::{Id, Level, StockKey};
use crate::store::ledger::{From, MovementPlace};
use crate::store::query::NotACursor;
use crate::store::{
    HistoryError, Lineage, Moment, Movement, MovementCursor, MovementFilter, MovementKind, MovementPage,
    MovementQuery, NotDone, Seq, Store as _,
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

/// The columns of a movement of the table `m`.
pub(super) const MOVEMENT: &str = columns!("m");

const NEWEST: &str = "SELECT seq FROM inventory.level WHERE p = $1 AND sku = $2 AND location = $3";
const WALK: &str = concat!(
    "WITH RECURSIVE h AS (SELECT m.*, 1 AS step FROM inventory.movement m WHERE m.p = $1 AND m.seq = $2 \
     UNION ALL SELECT m.*, h.step + 1 FROM h JOIN inventory.movement m ON m.p = $1 AND m.seq = h.prev \
     WHERE h.step < $3) SELECT ",
    columns!("h"),
    " FROM h ORDER BY h.step"
);
const STRETCH: &str = concat!(
    "SELECT ",
    columns!("m"),
    " FROM inventory.movement m WHERE m.p = $1 AND m.seq > $2 AND m.seq <= $3 ORDER BY m.seq"
);
const RUNS_AFTER: &str =
    "SELECT last, p, head FROM inventory.run WHERE z = 0 AND last > $1 ORDER BY last LIMIT $2";
const NUMBERS: &str = "SELECT s.seq, r.last - (r.head - s.seq) FROM unnest($2::int8[]) AS s (seq) \
    CROSS JOIN LATERAL (SELECT last, head FROM inventory.run WHERE z = 0 AND p = $1 AND head >= s.seq \
    ORDER BY head LIMIT 1) r";
const HEAD_AT: &str = "SELECT \
    (SELECT r.head - (r.last - $2) FROM (SELECT last, p, head FROM inventory.run WHERE z = 0 AND last >= $2 \
     ORDER BY last LIMIT 1) r WHERE r.p = $1), \
    (SELECT head FROM inventory.run WHERE z = 0 AND p = $1 AND last <= $2 ORDER BY last DESC LIMIT 1)";

/// Movements that are looked at for a page, if it does not want more: the others make it short.
const LOOK: usize = 1_000;
/// Runs that are looked at for a page.
const RUNS: i64 = 256;
/// Steps of a walk back at once.
const STEPS: i32 = 1_000;

/// A movement as it is in its partition.
pub(super) struct Local {
    pub(super) seq: i64,
    prev: i64,
    pub(super) movement: Movement,
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

    async fn of_level(
        &self,
        key: &StockKey,
        cursor: Option<MovementCursor>,
        filter: &MovementFilter,
        limit: usize,
    ) -> Result<MovementPage, HistoryError> {
        let (start, version) = match cursor {
            None => (self.newest_of(key).await?, None),
            Some(MovementCursor { lineage, .. }) if lineage != self.lineage() => {
                return Err(HistoryError::OtherLineage);
            }
            Some(MovementCursor { place: MovementPlace::Before { position, version }, .. }) => {
                (i64::try_from(position).map_err(|_| NotACursor)?, Some(version))
            }
            Some(_) => return Err(NotACursor.into()),
        };
        let most = i32::try_from(limit.max(LOOK)).unwrap_or(STEPS);
        let walked = self.walk(key, start, most).await?;
        // One of the store that the stock came from means another place here.
        let is_next = |first: &Local, version: u64| {
            first.movement.key == *key && first.movement.after.version() + 1 == version
        };
        if version.is_some_and(|version| walked.first().is_none_or(|first| !is_next(first, version))) {
            return Err(NotACursor.into());
        }
        let (mut page, mut next, mut compacted) = (Vec::new(), None, start == DROPPED_SEQ);
        for local in walked {
            compacted = local.prev == DROPPED_SEQ;
            next = (local.prev > 0).then_some((local.prev, local.movement.after.version()));
            if filter.has(&local.movement) {
                page.push(local);
                if page.len() == limit {
                    break;
                }
            }
        }
        let movements = self.numbered(key, page).await?;
        let place = |(position, version): (i64, u64)| MovementPlace::Before {
            position: position.unsigned_abs(),
            version,
        };
        let lineage = self.lineage();
        let next = next.map(|next| MovementCursor { place: place(next), lineage });
        Ok(MovementPage { movements, next, compacted, lineage })
    }

    /// Movements of a level, with their numbers in the ledger.
    async fn numbered(&self, key: &StockKey, page: Vec<Local>) -> Result<Vec<Movement>, NotDone> {
        if page.is_empty() {
            return Ok(Vec::new());
        }
        // All of them are committed: from here on they have numbers.
        self.catch_up().await?;
        let p = self.0.how.partitions.of_key(key);
        let seqs: Vec<i64> = page.iter().map(|local| local.seq).collect();
        let asked = async {
            let client = self.for_reading().await?;
            let statement = prepared(&client, NUMBERS).await?;
            let rows = client.query(&statement, &[&p, &seqs]).await;
            client.give_back();
            rows.map_err(|error| Trouble::of(&error, Stage::Before))
        };
        let numbers: std::collections::HashMap<i64, i64> =
            self.looked(asked).await?.iter().map(|row| (row.get(0), row.get(1))).collect();
        let number = |local: Local| {
            let number = numbers.get(&local.seq).copied().unwrap_or_default();
            Movement { seq: Seq(number.unsigned_abs()), ..local.movement }
        };
        Ok(page.into_iter().map(number).collect())
    }

    async fn after(
        &self,
        from: &From,
        filter: &MovementFilter,
        limit: usize,
    ) -> Result<MovementPage, HistoryError> {
        let lineage = self.lineage();
        let (Seq(after), of) = match from {
            From::Oldest => (Seq(self.0.origin.dropped), lineage),
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
        let (found, looked_at) = self.stretch(after, look).await?;
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

    /// Movements right after that number, about so many; and the number up to which all are among them.
    async fn stretch(&self, after: u64, look: u64) -> Result<(Vec<Movement>, u64), NotDone> {
        let (after, look) = (after.cast_signed(), look.cast_signed());
        let asked = async {
            let client = self.for_reading().await?;
            let runs = prepared(&client, RUNS_AFTER).await?;
            let runs = client.query(&runs, &[&after, &RUNS]).await;
            let runs = runs.map_err(|error| Trouble::of(&error, Stage::Before))?;
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
                firsts.push(at + 1);
                at = end;
            }
            let mut movements = Vec::new();
            let answers = pipeline.sent().await;
            client.give_back();
            for (first, rows) in firsts.into_iter().zip(answers) {
                let rows = rows.map_err(|error| Trouble::of(&error, Stage::Before))?;
                for (number, row) in (first..).zip(&rows) {
                    let local = movement_in(row).ok_or_else(|| Trouble::damaged("a movement"))?;
                    movements.push(Movement { seq: Seq(number.unsigned_abs()), ..local.movement });
                }
            }
            Ok((movements, at.unsigned_abs()))
        };
        self.looked(asked).await
    }

    /// Whether what follows that movement of that history is there. Returns the newest.
    async fn reached(&self, asked: Seq, of: Lineage) -> Result<Seq, HistoryError> {
        if of != self.lineage() {
            return Err(HistoryError::OtherLineage);
        }
        let dropped = self.0.origin.dropped;
        if asked.0 < dropped {
            return Err(HistoryError::Compacted { oldest: Seq(dropped + 1) });
        }
        let mut newest = self.0.feed.end();
        if asked > newest {
            newest = self.catch_up().await?;
        }
        if asked > newest { Err(HistoryError::Ahead { asked, newest }) } else { Ok(newest) }
    }

    /// The level as it was at a moment: a walk back over its movements since.
    pub(super) async fn level_as_it_was(
        &self,
        key: &StockKey,
        moment: Moment,
    ) -> Result<Level, HistoryError> {
        let up_to = match moment {
            Moment::Seq(seq) => Some(self.local_of(key, seq, self.lineage()).await?),
            Moment::SeqOf(seq, of) => Some(self.local_of(key, seq, of).await?),
            Moment::Time(_) => None,
        };
        let was = |local: &Local| match (moment, up_to) {
            (Moment::Time(time_ms), _) => local.movement.time_ms <= time_ms,
            (_, up_to) => up_to.is_some_and(|up_to| local.seq <= up_to),
        };
        let mut start = self.newest_of(key).await?;
        while start > 0 {
            let walked = self.walk(key, start, STEPS).await?;
            if let Some(local) = walked.iter().find(|local| was(local)) {
                return Ok(local.movement.after);
            }
            start = walked.last().map_or(0, |last| last.prev);
        }
        if start == DROPPED_SEQ {
            return Err(HistoryError::Compacted { oldest: Seq(self.0.origin.dropped + 1) });
        }
        Ok(Level::ABSENT)
    }

    /// The last movement of a level's partition that is not after that one, by its number in there.
    async fn local_of(&self, key: &StockKey, seq: Seq, of: Lineage) -> Result<i64, HistoryError> {
        self.reached(seq, of).await?;
        let (p, number) = (self.0.how.partitions.of_key(key), seq.0.cast_signed());
        let asked = async {
            let client = self.for_reading().await?;
            let statement = prepared(&client, HEAD_AT).await?;
            let row = client.query_one(&statement, &[&p, &number]).await;
            client.give_back();
            let row = row.map_err(|error| Trouble::of(&error, Stage::Before))?;
            let (within, before): (Option<i64>, Option<i64>) = (row.get(0), row.get(1));
            Ok(within.or(before).unwrap_or(0))
        };
        Ok(self.looked(asked).await?)
    }

    /// The newest movement of a level, by its number in its partition; 0 if there is none.
    async fn newest_of(&self, key: &StockKey) -> Result<i64, NotDone> {
        let p = self.0.how.partitions.of_key(key);
        let asked = async {
            let client = self.for_reading().await?;
            let statement = prepared(&client, NEWEST).await?;
            let row = client.query_opt(&statement, &[&p, &key.sku(), &key.location()]).await;
            client.give_back();
            Ok(row.map_err(|error| Trouble::of(&error, Stage::Before))?.map_or(0, |row| row.get(0)))
        };
        self.looked(asked).await
    }

    /// Movements of a level from that one back, at most so many.
    async fn walk(&self, key: &StockKey, start: i64, most: i32) -> Result<Vec<Local>, NotDone> {
        let p = self.0.how.partitions.of_key(key);
        let asked = async {
            let client = self.for_reading().await?;
            let statement = prepared(&client, WALK).await?;
            let rows = client.query(&statement, &[&p, &start, &most]).await;
            client.give_back();
            let rows = rows.map_err(|error| Trouble::of(&error, Stage::Before))?;
            let all: Option<Vec<_>> = rows.iter().map(movement_in).collect();
            all.ok_or_else(|| Trouble::damaged(format!("a movement of {key}")))
        };
        self.looked(asked).await
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
