//! What is held, and the reservations it is held for: from both sides.
//!
//! From its deadline on a line holds nothing, and whoever comes first lets it go, at its level or at the home of its reservation: so of what is due one
//! side may be gone already, and nothing is wrong.

use std::collections::{BTreeMap, HashMap};

use tokio_postgres::Row;
use uuid::Uuid;

use super::super::failure::Trouble;
use super::super::kept::reservation_in;
use super::super::pipeline::{Param, param};
use super::super::rows;
use super::{Look, PAGE_ROWS, is_full, pieces};
use crate::stock::{Reservation, ReservationId, ReservationState, StockKey};

const HELD: &str = "SELECT h.reservation, h.sku, h.location, h.quantity, h.expires_ms, l.present FROM \
    (SELECT * FROM inventory.held x WHERE x.p = $1 AND (x.reservation, x.sku, x.location) > ($2, $3, $4) \
    ORDER BY x.reservation, x.sku, x.location LIMIT $5) h \
    LEFT JOIN LATERAL (SELECT z.present FROM inventory.level z WHERE z.p = $1 AND z.sku = h.sku \
    AND z.location = h.location OFFSET 0) l ON true ORDER BY h.reservation, h.sku, h.location";
const NAMED: &str = "SELECT r.id, r.body FROM unnest($2::uuid[]) AS w (id) CROSS JOIN LATERAL \
    (SELECT * FROM inventory.reservation x WHERE x.p = $1 AND x.id = w.id OFFSET 0) r";
const RESERVATIONS: &str = "SELECT r.id, r.state, r.expires_ms, r.ended_ms, r.body FROM inventory.reservation r \
    WHERE r.p = $1 AND r.id > $2 ORDER BY r.id LIMIT $3";
const LINES: &str = "SELECT h.reservation, h.sku, h.location FROM \
    unnest($2::uuid[], $3::text[], $4::text[]) AS w (id, sku, location) CROSS JOIN LATERAL \
    (SELECT * FROM inventory.held x WHERE x.p = $1 AND x.reservation = w.id AND x.sku = w.sku COLLATE \"C\" \
    AND x.location = w.location COLLATE \"C\" OFFSET 0) h";

impl Look<'_> {
    /// Whatever is held is held for a reservation that says so.
    pub(super) async fn held(&mut self) -> Result<(), Trouble> {
        let mut after = (Uuid::nil(), String::new(), String::new());
        loop {
            let (id, sku, location) = after.clone();
            let params = vec![param(self.p), param(id), param(sku), param(location), param(PAGE_ROWS)];
            let rows = self.page(HELD, params).await?;
            let ids = rows.iter().map(|row| row.get(0)).collect();
            let reservations = self.reservations_named(ids).await?;
            for row in &rows {
                self.held_line(row, &reservations);
            }
            if let Some(last) = rows.last() {
                after = (last.get(0), last.get(1), last.get(2));
            }
            if !is_full(&rows) {
                return Ok(());
            }
        }
    }

    fn held_line(&mut self, row: &Row, reservations: &HashMap<Uuid, Reservation>) {
        let Some(key) = self.key(row, 1, "what is held") else { return };
        let (id, quantity, expires_ms): (Uuid, i64, i64) = (row.get(0), row.get(3), row.get(4));
        let name = ReservationId::from_bits(id.as_u128());
        if quantity < 0 || row.get::<_, Option<bool>>(5) != Some(true) {
            let detail =
                format!("{quantity} units are held for reservation {name}, of a level that has none");
            self.found(None, Some(&key), detail);
        }
        let is_due = expires_ms <= self.now_ms;
        let reservation = reservations.get(&id).filter(|it| it.state == ReservationState::Pending);
        let Some(reservation) = reservation else {
            if !is_due {
                let detail =
                    format!("{quantity} units are held for reservation {name}, which is not pending");
                self.found(None, Some(&key), detail);
            }
            return;
        };
        let line = reservation.lines.iter().find(|line| line.key == key);
        let same = line.is_some_and(|line| line.quantity.units().cast_signed() == quantity)
            && reservation.term.expires_ms.cast_signed() == expires_ms;
        if !same {
            let detail = format!("{quantity} units are held for reservation {name}, which says otherwise");
            self.found(None, Some(&key), detail);
        }
    }

    /// Those of them that there are, each in its home.
    async fn reservations_named(&self, ids: Vec<Uuid>) -> Result<HashMap<Uuid, Reservation>, Trouble> {
        let mut homes: BTreeMap<i32, Vec<Uuid>> = BTreeMap::new();
        for id in ids {
            let name = ReservationId::from_bits(id.as_u128());
            homes.entry(self.partitions.of_id(name)).or_default().push(id);
        }
        let asked = homes.into_iter().map(|(home, mut ids)| {
            ids.dedup();
            vec![param(home), param(ids)]
        });
        let rows = self.all(NAMED, asked.collect()).await?;
        let read = |row: &Row| Some((row.get(0), reservation_in(row.get(1))?));
        // One that cannot be read is told where it is at home.
        Ok(rows.iter().filter_map(read).collect())
    }

    /// Whatever a reservation that is pending says is held.
    pub(super) async fn reservations(&mut self) -> Result<(), Trouble> {
        let (mut after, mut pending) = (Uuid::nil(), 0);
        loop {
            let params = vec![param(self.p), param(after), param(PAGE_ROWS)];
            let rows = self.page(RESERVATIONS, params).await?;
            let mut holding = Vec::new();
            for row in &rows {
                pending += i64::from(row.get::<_, &str>(1) == ReservationState::Pending.name());
                holding.extend(self.reservation(row));
            }
            for some in pieces(&holding, |reservation| reservation.lines.len()) {
                self.lines_are_held(some).await?;
            }
            if let Some(last) = rows.last() {
                after = last.get(0);
            }
            if !is_full(&rows) {
                break;
            }
        }
        self.counted("reservations that hold units", self.part.pending, pending);
        Ok(())
    }

    /// One of them, if it is to hold its units.
    fn reservation(&mut self, row: &Row) -> Option<Reservation> {
        let (id, state): (Uuid, &str) = (row.get(0), row.get(1));
        let (expires_ms, ended_ms): (i64, Option<i64>) = (row.get(2), row.get(3));
        let name = ReservationId::from_bits(id.as_u128());
        let Some(reservation) = reservation_in(row.get(4)) else {
            self.add(format!("reservation {name} cannot be read"));
            return None;
        };
        let is_pending = reservation.state == ReservationState::Pending;
        let same = reservation.term.id == name
            && self.partitions.of_id(name) == self.p
            && reservation.state.name() == state
            && reservation.term.expires_ms.cast_signed() == expires_ms
            && ended_ms.is_none() == is_pending;
        if !same {
            self.add(format!("the row of reservation {name} does not say what its body says"));
        }
        (is_pending && expires_ms > self.now_ms).then_some(reservation)
    }

    async fn lines_are_held(&mut self, holding: &[Reservation]) -> Result<(), Trouble> {
        type Lines<'a> = (Vec<Uuid>, Vec<&'a StockKey>);
        let mut parts: BTreeMap<i32, Lines<'_>> = BTreeMap::new();
        for (reservation, line) in holding.iter().flat_map(|it| it.lines.iter().map(move |line| (it, line))) {
            let (ids, keys) = parts.entry(self.partitions.of_key(&line.key)).or_default();
            ids.push(Uuid::from_u128(reservation.term.id.to_bits()));
            keys.push(&line.key);
        }
        let asked: Vec<Vec<Param>> = parts
            .into_iter()
            .map(|(p, (ids, keys))| {
                let (skus, locations) = rows::names(keys.into_iter());
                vec![param(p), param(ids), param(skus), param(locations)]
            })
            .collect();
        let found = self.all(LINES, asked).await?;
        let found: std::collections::HashSet<(Uuid, &str, &str)> =
            found.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect();
        for (reservation, line) in holding.iter().flat_map(|it| it.lines.iter().map(move |line| (it, line))) {
            let id = Uuid::from_u128(reservation.term.id.to_bits());
            if !found.contains(&(id, line.key.sku(), line.key.location())) {
                let (name, units) = (reservation.term.id, line.quantity.units());
                let detail = format!("reservation {name} is pending, and its {units} units are not held");
                self.found(None, Some(&line.key), detail);
            }
        }
        Ok(())
    }
}
