//! Pages: of levels, of reservations, of orders. Each partition is asked for as many as the page may have, all in one round trip; the first of all are
//! the page.

use std::sync::Arc;
use std::time::Duration;

use tokio_postgres::Row;
use uuid::Uuid;

use super::Postgres;
use super::deeds_of_reservations::keys_of;
use super::failure::{Stage, Trouble};
use super::kept::{order_in, reservation_in};
use super::load::prepared;
use super::pipeline::{Param, Pipeline, param};
use super::rows;
use super::sweeper::uuid;
use super::work::{What, Work};
use crate::stock::{Level, Order, OrderId, Reservation, ReservationId, ReservationState, StockKey};
use crate::store::{
    LevelCursor, LevelPage, LevelQuery, NotDone, OrderPage, OrderQuery, ReservationPage, ReservationQuery,
};

const LEVELS: &str = "SELECT l.sku, l.location, l.on_hand, l.reserved, l.version, l.present, \
    l.reserved > 0 AND EXISTS (SELECT 1 FROM inventory.held h WHERE h.p = $1 AND h.sku = l.sku \
    AND h.location = l.location AND h.expires_ms <= (extract(epoch FROM clock_timestamp()) * 1000)::int8) \
    FROM inventory.level l WHERE l.p = $1 AND (l.sku, l.location) > ($2, $3) AND l.sku <= $4 AND l.present \
    ORDER BY l.sku, l.location LIMIT $5";
const RESERVATION: &str = "SELECT r.body FROM inventory.reservation r WHERE r.p = $1 AND r.id = $2";
const RESERVATIONS: &str = "SELECT r.id, r.body FROM inventory.reservation r WHERE r.p = $1 AND r.id > $2 \
    AND ($3::text IS NULL OR r.state = $3) ORDER BY r.id LIMIT $4";
const ORDER: &str = "SELECT o.body FROM inventory.orders o WHERE o.p = $1 AND o.id = $2";
const ORDERS: &str = "SELECT o.id, o.body FROM inventory.orders o WHERE o.p = $1 AND o.id > $2 \
    AND ($3::text IS NULL OR o.state = $3) ORDER BY o.id LIMIT $4";

impl Postgres {
    /// A page of levels, each current when it is read.
    pub(super) async fn page_of_levels(&self, query: LevelQuery<'_>) -> Result<LevelPage, NotDone> {
        // The highest there is: no name is above it.
        let top = "\u{10FFFF}".repeat(16);
        let (lower, upper) = match query.sku {
            Some(sku) => (sku.as_str().to_owned(), sku.as_str().to_owned()),
            None => (query.sku_prefix.to_owned(), format!("{}{top}", query.sku_prefix)),
        };
        let after = query.after.map(|LevelCursor(key)| (key.sku().to_owned(), key.location().to_owned()));
        let (sku, location) = after.unwrap_or_default().max((lower, String::new()));
        let most = i64::try_from(query.limit).unwrap_or(i64::MAX).saturating_add(1);
        let partitions = self.0.how.partitions;
        let only =
            query.sku.map(|sku| partitions.of_key(&StockKey::new(sku, &crate::stock::Location::DEFAULT)));
        let asked = only.map_or_else(|| partitions.all().collect(), |only| vec![only]);
        let params = |p| {
            vec![param(p), param(sku.clone()), param(location.clone()), param(upper.clone()), param(most)]
        };
        let read = |row: &Row| {
            let (key, level) = rows::level(row, 0)?;
            Some((key, level, row.get::<_, bool>(6)))
        };
        let mut found: Vec<(StockKey, Level, bool)> = self.of_each(LEVELS, asked, params, read).await?;
        found.sort_by(|(a, ..), (b, ..)| a.cmp(b));
        let is_more = found.len() > query.limit;
        found.truncate(query.limit);
        let next = is_more.then(|| found.last().map(|(key, ..)| LevelCursor(key.clone()))).flatten();
        let wanted = |key: &StockKey| {
            query.location.is_none_or(|location| location.as_str() == key.location())
                && key.sku().starts_with(query.sku_prefix)
        };
        let mut levels = Vec::with_capacity(found.len());
        for (key, level, is_due) in found.into_iter().filter(|(key, ..)| wanted(key)) {
            let level = if is_due { self.level_now(&key).await? } else { level };
            if level.exists() {
                levels.push((key, level));
            }
        }
        Ok(LevelPage { levels, next })
    }

    /// Rows of each of those partitions.
    async fn of_each<T>(
        &self,
        query: &str,
        asked: Vec<i32>,
        params: impl Fn(i32) -> Vec<Param>,
        read: impl Fn(&Row) -> Option<T>,
    ) -> Result<Vec<T>, NotDone> {
        let looked = async {
            let client = self.for_reading().await?;
            let statement = prepared(&client, query).await?;
            let mut pipeline = Pipeline::of(&client);
            for p in asked {
                pipeline.ask(statement.clone(), params(p));
            }
            let mut found = Vec::new();
            let answers = pipeline.sent().await;
            client.give_back();
            for rows in answers {
                for row in &rows.map_err(|error| Trouble::of(&error, Stage::Before))? {
                    found.push(read(row).ok_or_else(|| Trouble::damaged("a row of a page"))?);
                }
            }
            Ok(found)
        };
        self.looked(looked).await
    }

    /// The reservation of that name, as its row says.
    pub(super) async fn reservation_as_written(
        &self,
        id: ReservationId,
    ) -> Result<Option<Reservation>, NotDone> {
        let home = self.0.how.partitions.of_id(id);
        let params = |p| vec![param(p), param(uuid(id))];
        let read = |row: &Row| reservation_in(row.get(0));
        Ok(self.of_each(RESERVATION, vec![home], params, read).await?.pop())
    }

    /// The reservation of that name, as it is: one whose deadline has come is ended first.
    pub(super) async fn reservation_named(&self, id: ReservationId) -> Result<Option<Reservation>, NotDone> {
        let Some(reservation) = self.reservation_as_written(id).await? else { return Ok(None) };
        if reservation.state != ReservationState::Pending
            || !self.is_past(reservation.term.expires_ms).await?
        {
            return Ok(Some(reservation));
        }
        self.0.lanes.done(Work::new(What::Expire(id), keys_of(&reservation))).await?;
        self.reservation_as_written(id).await
    }

    /// Whether that time has come, by the database's clock.
    async fn is_past(&self, time_ms: u64) -> Result<bool, NotDone> {
        let read = |row: &Row| Some(row.get::<_, i64>(0));
        let now = self.of_each(super::NOW, vec![0], |_| Vec::new(), read).await?.pop();
        Ok(now.is_some_and(|now_ms| now_ms.cast_unsigned() >= time_ms))
    }

    /// A page of reservations. What is due is ended first, so each is as it is.
    pub(super) async fn page_of_reservations(
        &self,
        query: ReservationQuery,
    ) -> Result<ReservationPage, NotDone> {
        self.end_what_is_due().await?;
        let (after, state) =
            (query.after.map_or(0, ReservationId::to_bits), query.state.map(ReservationState::name));
        let read = |row: &Row| reservation_in(row.get(1));
        let mut reservations = self.page(RESERVATIONS, after, state, query.limit, read).await?;
        reservations.sort_by_key(|reservation| reservation.term.id);
        let is_more = reservations.len() > query.limit;
        reservations.truncate(query.limit);
        let next = is_more.then(|| reservations.last().map(|last| last.term.id)).flatten();
        Ok(ReservationPage { reservations, next })
    }

    /// The order of that name, as it is.
    pub(super) async fn order_named(&self, id: OrderId) -> Result<Option<Arc<Order>>, NotDone> {
        let home = self.0.how.partitions.of_id(id);
        let params = |p| vec![param(p), param(uuid(id))];
        let read = |row: &Row| order_in(row.get(0));
        Ok(self.of_each(ORDER, vec![home], params, read).await?.pop())
    }

    /// The same once it is over, or after that time.
    pub(super) async fn order_named_when_final(
        &self,
        id: OrderId,
        patience: Duration,
    ) -> Result<Option<Order>, NotDone> {
        let over = async {
            let home = self.0.how.partitions.of_id(id);
            let counts = &self.0.how.counts;
            let mut moved = counts.listen();
            loop {
                moved.borrow_and_update();
                let tick = counts.tick(home);
                let order = self.order_named(id).await?;
                if order.as_ref().is_none_or(|order| order.state.is_final()) {
                    return Ok(order);
                }
                while counts.tick(home) == tick {
                    if moved.changed().await.is_err() {
                        return Ok(order);
                    }
                }
            }
        };
        let order = match tokio::time::timeout(patience, over).await {
            Ok(order) => order?,
            Err(_) => self.order_named(id).await?,
        };
        Ok(order.map(|order| (*order).clone()))
    }

    /// A page of orders.
    pub(super) async fn page_of_orders(&self, query: OrderQuery) -> Result<OrderPage, NotDone> {
        let after = query.after.map_or(0, OrderId::to_bits);
        let state = query.state.map(crate::stock::OrderState::name);
        let read = |row: &Row| order_in(row.get(1));
        let mut orders = self.page(ORDERS, after, state, query.limit, read).await?;
        orders.sort_by_key(|order| order.id);
        let is_more = orders.len() > query.limit;
        orders.truncate(query.limit);
        let next = is_more.then(|| orders.last().map(|last| last.id)).flatten();
        Ok(OrderPage { orders: orders.iter().map(|order| (**order).clone()).collect(), next })
    }

    /// One more than a page may have of each partition, after that name.
    async fn page<T>(
        &self,
        query: &str,
        after: u128,
        state: Option<&'static str>,
        limit: usize,
        read: impl Fn(&Row) -> Option<T>,
    ) -> Result<Vec<T>, NotDone> {
        let most = i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1);
        let params = |p| vec![param(p), param(Uuid::from_u128(after)), param(state), param(most)];
        self.of_each(query, self.0.how.partitions.all().collect(), params, read).await
    }
}
