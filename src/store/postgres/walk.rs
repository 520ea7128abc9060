//! The movements of one level, newest first, and what it was: a walk back by keys, as each movement names the one of its level before it.
//!
//! A walk ends where something was dropped ([`super::retention`]); what is missing otherwise is damage.

use std::collections::HashMap;

use super::Postgres;
use super::failure::{Stage, Trouble};
use super::history::{LOOK, Local, columns, movement_in};
use super::load::prepared;
use super::origin::{DROPPED, DROPPED_SEQ};
use super::retention::Floors;
use crate::stock::{Level, StockKey};
use crate::store::ledger::MovementPlace;
use crate::store::query::NotACursor;
use crate::store::{
    HistoryError, Lineage, Moment, Movement, MovementCursor, MovementFilter, MovementPage, NotDone, Seq,
    Store as _, Why,
};

const NEWEST: &str = "SELECT seq FROM inventory.level WHERE p = $1 AND sku = $2 AND location = $3";
const WALK: &str = concat!(
    "WITH RECURSIVE h AS (SELECT m.*, 1 AS step FROM inventory.movement m WHERE m.p = $1 AND m.seq = $2 \
     UNION ALL SELECT m.*, h.step + 1 FROM h JOIN inventory.movement m ON m.p = $1 AND m.seq = h.prev \
     WHERE h.step < $3) SELECT ",
    columns!("h"),
    " FROM h ORDER BY h.step"
);
const NUMBERS: &str = "SELECT s.seq, r.last - (r.head - s.seq) FROM unnest($2::int8[]) AS s (seq) \
    CROSS JOIN LATERAL (SELECT last, head FROM inventory.run WHERE z = 0 AND p = $1 AND head >= s.seq \
    ORDER BY head LIMIT 1) r";
const HEAD_AT: &str = "SELECT \
    (SELECT r.head - (r.last - $2) FROM (SELECT last, p, head FROM inventory.run WHERE z = 0 AND last >= $2 \
     ORDER BY last LIMIT 1) r WHERE r.p = $1), \
    (SELECT head FROM inventory.run WHERE z = 0 AND p = $1 AND last <= $2 ORDER BY last DESC LIMIT 1), \
    (SELECT last FROM inventory.run WHERE z = 0 AND p = $3 ORDER BY last DESC LIMIT 1)";

/// Steps of a walk back at once.
const STEPS: i32 = 1_000;

/// A walk back over the movements of a level.
struct Walked {
    /// The newest first.
    all: Vec<Local>,
    /// It ended for its length alone: the one before the last is there.
    is_cut: bool,
    /// The last movement of the partition that is gone, as it was known after the walk.
    floor: i64,
}

impl Walked {
    /// Whether a movement that is not there is gone: here, or before the stock came here. Any other is missing.
    fn is_gone(&self, seq: i64) -> bool {
        seq == DROPPED_SEQ || (1..=self.floor).contains(&seq)
    }
}

impl Postgres {
    pub(super) async fn of_level(
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
        match (version, walked.all.first()) {
            (Some(version), Some(first)) if !is_next(first, version) => return Err(NotACursor.into()),
            (Some(version), None) if !walked.is_gone(start) || !self.has_left(key, version).await? => {
                return Err(NotACursor.into());
            }
            (None, None) if start != 0 && !walked.is_gone(start) => return Err(missing(key, start)),
            _ => {}
        }
        let (count, is_cut) = (walked.all.len(), walked.is_cut);
        let (mut page, mut next, mut compacted) = (Vec::new(), None, start != 0 && count == 0);
        for (at, local) in (1..).zip(walked.all) {
            compacted = local.prev == DROPPED_SEQ || (local.prev > 0 && at == count && !is_cut);
            next = (local.prev > 0 && !compacted).then_some((local.prev, local.movement.after.version()));
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
            let numbers: HashMap<i64, i64> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
            match seqs.iter().find(|seq| **seq > floor && !numbers.contains_key(seq)) {
                Some(seq) => Err(Trouble::damaged(format!("movement {seq} of {key} has no number"))),
                None => Ok((numbers, floor)),
            }
        };
        let (numbers, floor) = self.looked(asked).await?;
        let kept = page.into_iter().take_while(|local| local.seq > floor);
        let number = |local: Local| {
            let number = numbers.get(&local.seq).copied().unwrap_or_default();
            Movement { seq: Seq(number.unsigned_abs()), ..local.movement }
        };
        Ok(kept.map(number).collect())
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
            if let Some(local) = walked.all.iter().find(|local| was(local)) {
                return Ok(local.movement.after);
            }
            start = match walked.all.last() {
                Some(last) if last.prev == 0 || walked.is_cut => last.prev,
                None if !walked.is_gone(start) => return Err(missing(key, start)),
                // It, or the one before it, is gone.
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
            let row = client.query_one(&statement, &[&p, &number, &DROPPED]).await;
            client.give_back();
            let row = row.map_err(|error| Trouble::of(&error, Stage::Before))?;
            let (within, before): (Option<i64>, Option<i64>) = (row.get(0), row.get(1));
            Ok((within.or(before).unwrap_or(0), row.get::<_, Option<i64>>(2).unwrap_or(0)))
        };
        let (local, dropped) = self.looked(asked).await?;
        if number < dropped { Err(self.begins_after(dropped)) } else { Ok(local) }
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
    async fn walk(&self, key: &StockKey, start: i64, most: i32) -> Result<Walked, NotDone> {
        let p = self.0.how.partitions.of_key(key);
        let asked = async {
            let client = self.for_reading().await?;
            let statement = prepared(&client, WALK).await?;
            let rows = client.query(&statement, &[&p, &start, &most]).await;
            let rows = rows.map_err(|error| Trouble::of(&error, Stage::Before))?;
            // After that, so that whatever was gone by then is known to be.
            let floor = Floors::of(&client).await?.of_partition(p);
            client.give_back();
            let all: Option<Vec<Local>> = rows.iter().map(movement_in).collect();
            let all = all.ok_or_else(|| Trouble::damaged(format!("a movement of {key}")))?;
            let is_cut = i32::try_from(all.len()).is_ok_and(|count| count >= most);
            let walked = Walked { all, is_cut, floor };
            match walked.all.last().map(|last| last.prev) {
                Some(prev) if prev != 0 && !is_cut && !walked.is_gone(prev) => {
                    Err(Trouble::damaged(format!("movement {prev} of {key} is missing")))
                }
                _ => Ok(walked),
            }
        };
        self.looked(asked).await
    }

    /// Whether the movement that a cursor leads to, the one before that version, is kept no more. A cursor of the store that the stock came from leads to
    /// any place here, and what it is for may be at another.
    async fn has_left(&self, key: &StockKey, version: u64) -> Result<bool, NotDone> {
        let mut start = self.newest_of(key).await?;
        loop {
            let walked = self.walk(key, start, STEPS).await?;
            let Some(last) = walked.all.last() else { return Ok(true) };
            if last.movement.after.version() < version {
                return Ok(false);
            }
            if !walked.is_cut {
                return Ok(true);
            }
            start = last.prev;
        }
    }
}

/// A movement that is said to be there is not, and was not dropped.
fn missing(key: &StockKey, seq: i64) -> HistoryError {
    NotDone::no(Why::Damaged(format!("movement {seq} of {key} is missing"))).into()
}
