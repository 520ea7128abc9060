//! The levels of a partition: each as its last movement left it, holding what is held of it, with as many orders in line as wait.

use tokio_postgres::Row;

use super::super::failure::Trouble;
use super::super::origin::DROPPED_SEQ;
use super::super::pipeline::param;
use super::super::rows;
use super::{Look, PAGE_ROWS, is_full};
use crate::stock::{Level, StockKey};

/// Each with its last movement, and the sums of what is beside it.
const LEVELS: &str = "SELECT l.sku, l.location, l.on_hand, l.reserved, l.version, l.present, l.seq, l.waits, \
    m.on_hand, m.reserved, m.version, m.present, \
    (SELECT coalesce(sum(h.quantity), 0)::int8 FROM inventory.held h WHERE h.p = $1 AND h.sku = l.sku \
    AND h.location = l.location), \
    (SELECT count(*) FROM inventory.waiting w WHERE w.p = $1 AND w.sku = l.sku AND w.location = l.location) \
    FROM (SELECT * FROM inventory.level x WHERE x.p = $1 AND (x.sku, x.location) > ($2, $3) \
    ORDER BY x.sku, x.location LIMIT $4) l \
    LEFT JOIN LATERAL (SELECT * FROM inventory.movement y WHERE y.p = $1 AND y.seq = l.seq \
    AND y.sku = l.sku AND y.location = l.location OFFSET 0) m ON true ORDER BY l.sku, l.location";

impl Look<'_> {
    /// Looks at all levels; the sum of their versions.
    pub(super) async fn levels(&mut self) -> Result<i64, Trouble> {
        let (mut after, mut there, mut versions) = ((String::new(), String::new()), 0, 0);
        loop {
            let params =
                vec![param(self.p), param(after.0.clone()), param(after.1.clone()), param(PAGE_ROWS)];
            let rows = self.page(LEVELS, params).await?;
            for row in &rows {
                there += i64::from(row.get::<_, bool>(5));
                versions += if self.is_dropped(row.get(6)) { 0 } else { row.get::<_, i64>(4) };
                if let Some(key) = self.key(row, 0, "the level") {
                    self.level(row, &key);
                }
            }
            if let Some(last) = rows.last() {
                after = (last.get(0), last.get(1));
            }
            if !is_full(&rows) {
                break;
            }
        }
        self.counted("levels", self.part.levels, there);
        Ok(versions)
    }

    /// Whether the last movement of a level was dropped, and so all its history: here, or before the stock came here.
    fn is_dropped(&self, seq: i64) -> bool {
        seq == DROPPED_SEQ || (1..=self.floor).contains(&seq)
    }

    fn level(&mut self, row: &Row, key: &StockKey) {
        let seq: i64 = row.get(6);
        // One that was never there has a row where orders wait for it.
        self.report.levels += usize::from(seq != 0);
        let reserved: i64 = row.get(3);
        let held: i64 = row.get(12);
        if reserved != held {
            self.found(None, Some(key), format!("{reserved} units are reserved, and {held} are held"));
        }
        let (waits, waiting): (i32, i64) = (row.get(7), row.get(13));
        if i64::from(waits) != waiting {
            self.found(None, Some(key), format!("{waits} orders are said to wait for it, and {waiting} do"));
        }
        let Some(level) = rows::units(row, 2) else {
            let (on_hand, version): (i64, i64) = (row.get(2), row.get(4));
            let detail = format!(
                "{on_hand} units on hand and {reserved} reserved, at version {version}, are what no level can have"
            );
            self.found(None, Some(key), detail);
            return;
        };
        let last = match (seq, row.get::<_, Option<bool>>(11)) {
            (0, _) => Some(Level::ABSENT),
            (seq, _) if self.is_dropped(seq) => Some(level),
            (_, Some(_)) => rows::units(row, 8),
            (_, None) => {
                self.found(Some(seq), Some(key), format!("its last movement is {seq}, which is none of it"));
                return;
            }
        };
        if last != Some(level) {
            let left = last.map_or_else(|| "nothing that can be".to_owned(), told);
            let detail = format!("it is {}, and its last movement, {seq}, left {left}", told(level));
            self.found(Some(seq).filter(|seq| *seq > 0), Some(key), detail);
        }
    }
}

fn told(level: Level) -> String {
    if !level.exists() {
        return format!("not there, at version {}", level.version());
    }
    format!("{} on hand and {} reserved at version {}", level.on_hand(), level.reserved(), level.version())
}
