//! Questions to the ledger: the movements of one level, of all, and what a level was.
//!
//! Each movement names the one of its level before it, so a history is a walk by keys, and the hottest table has one index.

use std::collections::HashMap;

use tokio_postgres::Row;
use uuid::Uuid;

use super::failure::{Stage, Trouble};
use super::load::prepared;
use super::origin::{DROPPED, DROPPED_SEQ};
use super::pipeline::{Pipeline, param};
use super::retention::Floors;
use super::{Postgres, rows};
use crate::stock::{Id, Level, StockKey};
use crate::store::ledger::{From, MovementPlace};
use crate::store::query::NotACursor;
use crate::store::{
    HistoryError, Lineage, Moment, Movement, MovementCursor, MovementFilter, MovementKind, MovementPage,
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
const BEGINS: &str = "SELECT last FROM inventory.run WHERE z = 0 AND p = $1 ORDER BY last DESC LIMIT 1";
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

/// What there is of the ledger after a place.
enum Stretch {
    /// Movements, and the number up to which all are among them.
    Is(Vec<Movement>, u64),
    /// It begins after that movement, which is later.
    Begins(i64),
    /// Movements that were there are gone.
    Torn,
}

/// Whether a walk back of so many steps at most ended for that alone, and the one before the last is there.
fn is_cut(walked: &[Local], most: i32) -> bool {
    i32::try_from(walked.len()).is_ok_and(|all| all >= most)
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
        let is_asked =
            version.is_none_or(|version| walked.first().is_some_and(|first| is_next(first, version)));
        if !is_asked && !(walked.is_empty() && self.is_gone(self.0.how.partitions.of_key(key), start).await?)
        {
            return Err(NotACursor.into());
        }
        // Each has the one before it beside it, unless that is gone, or the walk was as long as it may be.
        let (all, is_cut) = (walked.len(), is_cut(&walked, most));
        let (mut page, mut next, mut compacted) = (Vec::new(), None, start != 0 && walked.is_empty());
        for (at, local) in (1..).zip(walked) {
            let is_gone = local.prev == DROPPED_SEQ || (local.prev > 0 && at == all && !is_cut);
            compacted = is_gone;
            next = (local.prev > 0 && !is_gone).then_some((local.prev, local.movement.after.version()));
            if filter.has(&local.movement) {
                page.push(local);
                if page.len() == limit {
                    break;
                }
            }
        }
        let wanted = page.len();
        let movements = self.numbered(key, page).await?;
        // The oldest of them are gone meanwhile.
        if movements.len() < wanted {
            (next, compacted) = (None, true);
        }
        let place = |(position, version): (i64, u64)| MovementPlace::Before {
            position: position.unsigned_abs(),
            version,
        };
        let lineage = self.lineage();
        let next = next.map(|next| MovementCursor { place: place(next), lineage });
        Ok(MovementPage { movements, next, compacted, lineage })
    }

    /// Movements of a level, with their numbers in the ledger: those that are still there.
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
            let rows = rows.map_err(|error| Trouble::of(&error, Stage::Before))?;
            // After that: the runs that told the numbers of those above it were there.
            let floor = Floors::of(&client).await?.of_partition(p);
            client.give_back();
            let numbers = rows.iter().map(|row| (row.get(0), row.get(1)));
            Ok(numbers.filter(|(seq, _)| *seq > floor).collect())
        };
        let numbers: HashMap<i64, i64> = self.looked(asked).await?;
        let number = |local: Local| {
            let number = numbers.get(&local.seq)?;
            Some(Movement { seq: Seq(number.unsigned_abs()), ..local.movement })
        };
        Ok(page.into_iter().map_while(number).collect())
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
    async fn reached(&self, asked: Seq, of: Lineage) -> Result<Seq, HistoryError> {
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
    async fn compacted(&self) -> Result<HistoryError, NotDone> {
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
    fn begins_after(&self, dropped: i64) -> HistoryError {
        HistoryError::Compacted { oldest: Seq(self.0.feed.begins_after(dropped) + 1) }
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
            start = match walked.last() {
                Some(last) if last.prev == 0 || is_cut(&walked, STEPS) => last.prev,
                // The one before it is gone.
                _ => DROPPED_SEQ,
            };
        }
        if start == DROPPED_SEQ {
            return Err(self.compacted().await?);
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
