//! Orders, and the levels at which they wait: from both sides.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use tokio_postgres::Row;
use uuid::Uuid;

use super::super::failure::Trouble;
use super::super::kept::order_in;
use super::super::pipeline::{Param, param};
use super::super::rows;
use super::{Look, PAGE_ROWS, is_full, pieces};
use crate::stock::{Order, OrderId, OrderState, StockKey};

const ORDERS: &str = "SELECT o.id, o.state, o.priority, o.created_ms, o.ended_ms, o.body FROM inventory.orders o \
    WHERE o.p = $1 AND o.id > $2 ORDER BY o.id LIMIT $3";
const WAITING: &str = "SELECT w.id, w.sku, w.location, w.priority, w.created_ms FROM inventory.waiting w \
    WHERE w.p = $1 AND (w.sku, w.location, w.id) > ($2, $3, $4) ORDER BY w.sku, w.location, w.id LIMIT $5";
const NAMED: &str = "SELECT o.id, o.body FROM unnest($2::uuid[]) AS w (id) CROSS JOIN LATERAL \
    (SELECT * FROM inventory.orders x WHERE x.p = $1 AND x.id = w.id OFFSET 0) o";
const LINES: &str = "SELECT l.id, l.sku, l.location FROM \
    unnest($2::uuid[], $3::text[], $4::text[]) AS w (id, sku, location) CROSS JOIN LATERAL \
    (SELECT * FROM inventory.waiting x WHERE x.p = $1 AND x.sku = w.sku COLLATE \"C\" \
    AND x.location = w.location COLLATE \"C\" AND x.id = w.id OFFSET 0) l";

impl Look<'_> {
    /// Orders of this home: those that wait for units do so at each of their levels.
    pub(super) async fn orders(&mut self) -> Result<(), Trouble> {
        let (mut after, mut queued, mut backordered) = (Uuid::nil(), 0, 0);
        loop {
            let params = vec![param(self.p), param(after), param(PAGE_ROWS)];
            let rows = self.page(ORDERS, params).await?;
            let mut waiting = Vec::new();
            for row in &rows {
                let state: &str = row.get(1);
                queued += i64::from(state == OrderState::Queued.name());
                backordered += i64::from(state == OrderState::Backordered.name());
                waiting.extend(self.order(row));
            }
            for some in pieces(&waiting, |order| order.lines.len()) {
                self.lines_wait(some).await?;
            }
            if let Some(last) = rows.last() {
                after = last.get(0);
            }
            if !is_full(&rows) {
                break;
            }
        }
        self.counted("orders whose turn it is not yet", self.part.queued, queued);
        self.counted("orders that wait for units", self.part.backordered, backordered);
        Ok(())
    }

    /// One of them, if it waits for units.
    fn order(&mut self, row: &Row) -> Option<Arc<Order>> {
        let (id, state): (Uuid, &str) = (row.get(0), row.get(1));
        let name = OrderId::from_bits(id.as_u128());
        let Some(order) = order_in(row.get(5)) else {
            self.add(format!("order {name} cannot be read"));
            return None;
        };
        // When it ended is told by how old that is where stock was moved here: the row goes by the clock of this database, the body says the date.
        let times: (i32, i64, bool) = (row.get(2), row.get(3), row.get::<_, Option<i64>>(4).is_some());
        let said =
            (i32::from(order.priority), order.times.created_ms.cast_signed(), order.times.ended_ms.is_some());
        let is_same = order.id == name && order.state.name() == state && times == said;
        if !is_same || self.partitions.of_id(name) != self.p {
            self.add(format!("the row of order {name} does not say what its body says"));
        }
        (order.state == OrderState::Backordered).then_some(order)
    }

    async fn lines_wait(&mut self, orders: &[Arc<Order>]) -> Result<(), Trouble> {
        type Lines<'a> = (Vec<Uuid>, Vec<&'a StockKey>);
        let lines =
            || orders.iter().flat_map(|order| order.lines.iter().map(move |line| (order.id, &line.key)));
        let mut parts: BTreeMap<i32, Lines<'_>> = BTreeMap::new();
        for (id, key) in lines() {
            let (ids, keys) = parts.entry(self.partitions.of_key(key)).or_default();
            ids.push(Uuid::from_u128(id.to_bits()));
            keys.push(key);
        }
        let asked: Vec<Vec<Param>> = parts
            .into_iter()
            .map(|(p, (ids, keys))| {
                let (skus, locations) = rows::names(keys.into_iter());
                vec![param(p), param(ids), param(skus), param(locations)]
            })
            .collect();
        let found = self.all(LINES, asked).await?;
        let found: HashSet<(Uuid, &str, &str)> =
            found.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect();
        for (id, key) in lines() {
            if !found.contains(&(Uuid::from_u128(id.to_bits()), key.sku(), key.location())) {
                let detail =
                    format!("order {id} waits for units, and does not stand in the line of this level");
                self.found(None, Some(key), detail);
            }
        }
        Ok(())
    }

    /// Whoever stands in the line of a level is an order that waits for its units.
    pub(super) async fn waiting(&mut self) -> Result<(), Trouble> {
        let mut after = (String::new(), String::new(), Uuid::nil());
        loop {
            let (sku, location, id) = after.clone();
            let params = vec![param(self.p), param(sku), param(location), param(id), param(PAGE_ROWS)];
            let rows = self.page(WAITING, params).await?;
            let orders = self.orders_named(rows.iter().map(|row| row.get(0)).collect()).await?;
            for row in &rows {
                let Some(key) = self.key(row, 1, "an order in line") else { continue };
                let id: Uuid = row.get(0);
                let place: (i32, i64) = (row.get(3), row.get(4));
                let waits = orders.get(&id).is_some_and(|order| {
                    order.state == OrderState::Backordered
                        && order.lines.iter().any(|line| line.key == key)
                        && (i32::from(order.priority), order.times.created_ms.cast_signed()) == place
                });
                if !waits {
                    let name = OrderId::from_bits(id.as_u128());
                    let detail = format!("order {name} stands in its line, and does not wait for it so");
                    self.found(None, Some(&key), detail);
                }
            }
            if let Some(last) = rows.last() {
                after = (last.get(1), last.get(2), last.get(0));
            }
            if !is_full(&rows) {
                return Ok(());
            }
        }
    }

    /// Those of them that there are, each in its home.
    async fn orders_named(&self, mut ids: Vec<Uuid>) -> Result<HashMap<Uuid, Arc<Order>>, Trouble> {
        ids.sort_unstable();
        ids.dedup();
        let mut homes: BTreeMap<i32, Vec<Uuid>> = BTreeMap::new();
        for id in ids {
            homes.entry(self.partitions.of_id(OrderId::from_bits(id.as_u128()))).or_default().push(id);
        }
        let asked = homes.into_iter().map(|(home, ids)| vec![param(home), param(ids)]).collect();
        let rows = self.all(NAMED, asked).await?;
        let read = |row: &Row| Some((row.get(0), order_in(row.get(1))?));
        Ok(rows.iter().filter_map(read).collect())
    }
}
