//! The movements of a partition: numbered without a gap, each going on from the one of its level before it.

use tokio_postgres::Row;

use super::super::failure::Trouble;
use super::super::origin::DROPPED_SEQ;
use super::super::pipeline::param;
use super::super::rows;
use super::{Look, PAGE_ROWS, is_full};
use crate::stock::{Level, StockKey};
use crate::store::MovementKind;

/// Each with the one of its level before it, as it says, and with the last one that its level knows.
const MOVEMENTS: &str = "SELECT m.seq, m.prev, m.sku, m.location, m.on_hand, m.reserved, m.version, m.present, \
    m.on_hand_before, m.reserved_before, m.kind, q.sku, q.location, q.on_hand, q.reserved, q.version, l.seq \
    FROM (SELECT * FROM inventory.movement x WHERE x.p = $1 AND x.seq > $2 ORDER BY x.seq LIMIT $3) m \
    LEFT JOIN LATERAL (SELECT * FROM inventory.movement y WHERE y.p = $1 AND y.seq = m.prev OFFSET 0) q ON true \
    LEFT JOIN LATERAL (SELECT z.seq FROM inventory.level z WHERE z.p = $1 AND z.sku = m.sku \
    AND z.location = m.location OFFSET 0) l ON true ORDER BY m.seq";

/// What there is of movements.
#[derive(Debug, Default)]
pub(super) struct History {
    pub(super) movements: i64,
    /// The versions that levels had before the first movement that is kept of them.
    pub(super) versions_before: i64,
}

impl Look<'_> {
    pub(super) async fn movements(&mut self) -> Result<History, Trouble> {
        let (mut history, mut last) = (History::default(), self.floor);
        loop {
            let params = vec![param(self.p), param(last), param(PAGE_ROWS)];
            let rows = self.page(MOVEMENTS, params).await?;
            for row in &rows {
                let seq: i64 = row.get(0);
                if seq != last + 1 {
                    let which = match seq - 1 {
                        only if only == last + 1 => format!("movement {only} is missing"),
                        end => format!("the movements {} to {end} are missing", last + 1),
                    };
                    self.found(Some(last + 1), None, which);
                }
                last = seq;
                history.movements += 1;
                history.versions_before += self.movement(row, seq);
            }
            if !is_full(&rows) {
                break;
            }
        }
        if last != self.part.head {
            let head = self.part.head;
            self.found(Some(last + 1), None, format!("its last movement is {last}, and it says {head}"));
        }
        self.report.movements += history.movements.unsigned_abs();
        Ok(history)
    }

    /// One movement; the versions that its level had before all that is kept.
    fn movement(&mut self, row: &Row, seq: i64) -> i64 {
        let Some(key) = self.key(row, 2, "a movement") else { return 0 };
        let Some(after) = rows::units(row, 4) else {
            self.found(Some(seq), Some(&key), format!("movement {seq} leaves what no level can be"));
            return 0;
        };
        let kind: &str = row.get(10);
        if MovementKind::named(kind).is_none() {
            self.found(
                Some(seq),
                Some(&key),
                format!("movement {seq} is {kind:?}, which is no kind of movement"),
            );
        }
        if row.get::<_, Option<i64>>(16).is_none_or(|last| last < seq) {
            let detail = format!("movement {seq} is after the last one that the level knows");
            self.found(Some(seq), Some(&key), detail);
        }
        // Nothing before it, or nothing that was kept, here or when the stock came here.
        let prev: i64 = row.get(1);
        if prev == DROPPED_SEQ || prev <= self.floor {
            self.first(row, seq, &key, after)
        } else {
            self.next(row, seq, &key, after)
        }
    }

    /// The first that is kept of a level: if it is the first there was, the level came out of nothing.
    fn first(&mut self, row: &Row, seq: i64, key: &StockKey, after: Level) -> i64 {
        let before: (i64, i64) = (row.get(8), row.get(9));
        match after.version() {
            0 => self.found(Some(seq), Some(key), format!("movement {seq} gives it no version")),
            1 if before != (0, 0) => {
                let detail = format!("movement {seq} is its first, and says that it had units before");
                self.found(Some(seq), Some(key), detail);
            }
            _ => {}
        }
        after.version().saturating_sub(1).cast_signed()
    }

    fn next(&mut self, row: &Row, seq: i64, key: &StockKey, after: Level) -> i64 {
        let prev: i64 = row.get(1);
        let same = (row.get::<_, Option<&str>>(11), row.get::<_, Option<&str>>(12));
        if prev >= seq || same != (Some(key.sku()), Some(key.location())) {
            let detail = format!("movement {seq} follows {prev}, which is none of this level before it");
            self.found(Some(seq), Some(key), detail);
            return 0;
        }
        let left: (i64, i64, i64) = (row.get(13), row.get(14), row.get(15));
        let found: (i64, i64, i64) = (row.get(8), row.get(9), after.version().cast_signed() - 1);
        if left != found {
            let told = |(on_hand, reserved, version): (i64, i64, i64)| {
                format!("{on_hand} on hand and {reserved} reserved at version {version}")
            };
            let detail =
                format!("movement {seq} goes on from {}, and {prev} left {}", told(found), told(left));
            self.found(Some(seq), Some(key), detail);
        }
        0
    }
}
