//! Orders, under the locks of their home and of their levels: placed, had their turn, cancelled, given back.
//!
//! **Nobody is overtaken.** A level that orders wait for has one line, by rank, and only who is first in all of its lines takes units. Who is first
//! was read under the lock; what the batch itself does to a line is kept up with, and where it cannot be, those that are left have another turn.
//!
//! **Waiting costs nothing.** Who waits is marked for another try when units of its level come in, or those before it go: in the same transaction,
//! so that no replica has to be there to remember it.

use std::sync::Arc;

use super::deeds::Judged;
use super::working::{Because, First, Kept, Working};
use crate::said::Said;
use crate::stock::{Order, OrderId, OrderLine, OrderProblem, OrderState, OrderTimes, Remark, StockKey};
use crate::store::of_orders::{can_wait, giving_back, said_of};
use crate::store::rank::Rank;
use crate::store::{MovementKind, NotDone, OrderRefused, ReturnLine, Why};

impl Working {
    /// Places an order: from here on it is not lost.
    pub(super) fn place(
        &mut self,
        lines: &[OrderLine],
        priority: u8,
        backorder: bool,
        said: &Said,
    ) -> Result<Judged, NotDone> {
        if self.total(|part| part.queued) >= self.how.keeping.orders.queue_max {
            return Err(NotDone::no(Why::QueueFull { retry_after: self.how.until_there_is_room() }));
        }
        let home = self.home_of(lines.first().map(|line| &line.key));
        let id: OrderId = self.how.names.next(self.now_ms, self.how.partitions, home);
        let order = Order {
            id,
            state: OrderState::Queued,
            lines: lines.to_vec(),
            priority,
            backorder,
            remark: said.remark.as_ref().map(|remark| Box::new(Remark::clone(remark))),
            actor: said.actor.clone(),
            times: OrderTimes { created_ms: self.now_ms, ..OrderTimes::default() },
            returned: Vec::new(),
            problem: None,
        };
        self.part(home).queued += 1;
        self.writes.orders.insert(id);
        self.orders.insert(id, Kept { it: Arc::new(order.clone()), ended_ms: None });
        Ok(Judged::order(order))
    }

    /// Cancels an order that has not taken its units.
    pub(super) fn cancel(&mut self, id: OrderId) -> Judged {
        let Some(order) = self.order(id) else { return Judged::no_order(OrderRefused::NotFound) };
        match order.state {
            OrderState::Queued | OrderState::Backordered => {}
            OrderState::Cancelled => return Judged { is_kept: false, ..Judged::order((*order).clone()) },
            _ => return Judged::no_order(OrderRefused::State(Box::new((*order).clone()))),
        }
        Judged::order(self.becomes(&order, OrderState::Cancelled, None))
    }

    /// Gives back what an order took: what is named, or all that is left.
    pub(super) fn give_back(
        &mut self,
        id: OrderId,
        lines: Option<&[ReturnLine]>,
        because: Because<'_>,
    ) -> Judged {
        let Some(order) = self.order(id) else { return Judged::no_order(OrderRefused::NotFound) };
        let (transaction, returned) = match giving_back(&order, lines) {
            Ok(giving) => giving,
            Err(refused) => return Judged::no_order(refused),
        };
        let because = Because { kind: Some(MovementKind::Returned), order: Some(id), ..because };
        if let Err(levels) = self.transact(&transaction, because) {
            return Judged::no_order(OrderRefused::Levels(levels));
        }
        let order = Order { returned, ..(*order).clone() };
        self.is_now(order.clone());
        Judged::order(order)
    }

    /// An order has its turn. Whether it has had it: `false` where it could not be said whether it is first.
    pub(super) fn turn(&mut self, id: OrderId) -> bool {
        let Some(order) = self.order(id).filter(|order| !order.state.is_final()) else { return true };
        // Those after it would overtake it.
        if self.is_unsure {
            return false;
        }
        let rank = Rank::of(&order, &self.how.keeping.orders);
        let mut held_up = None;
        for line in &order.lines {
            match self.firsts.get(&line.key) {
                Some(First::Unknown) => {
                    self.is_unsure = true;
                    return false;
                }
                Some(First::Is(first, other)) if *other != id && *first < rank => {
                    held_up.get_or_insert_with(|| line.key.clone());
                }
                _ => {}
            }
        }
        if let Some(key) = held_up {
            self.waits_or_is_rejected(&order, OrderProblem::Promised(key), order.backorder);
            return true;
        }
        let said = said_of(&order);
        let (kind, reservation) = (Some(MovementKind::Fulfilled), None);
        let because = Because { kind, said: &said, reservation, order: Some(id) };
        match self.transact(&order.taking(), because) {
            Ok(_) => drop(self.becomes(&order, OrderState::Fulfilled, None)),
            Err(levels) => {
                let may_wait = can_wait(&order, &levels);
                self.waits_or_is_rejected(&order, OrderProblem::Levels(levels), may_wait);
            }
        }
        true
    }

    /// An order that cannot have its units now: it waits for them, if it may, or is rejected for that.
    fn waits_or_is_rejected(&mut self, order: &Arc<Order>, problem: OrderProblem, may_wait: bool) {
        let waits_already = order.state == OrderState::Backordered;
        let places_max = self.how.keeping.orders.backorders_max;
        let waits = may_wait && (waits_already || self.total(|part| part.backordered) < places_max);
        match (waits, waits_already) {
            (true, true) => {
                self.part(self.how.partitions.of_id(order.id));
                self.writes.tried.insert(order.id);
            }
            (true, false) => drop(self.becomes(order, OrderState::Backordered, None)),
            (false, _) => drop(self.becomes(order, OrderState::Rejected, Some(problem))),
        }
    }

    /// The order comes to that state.
    fn becomes(&mut self, before: &Order, state: OrderState, problem: Option<OrderProblem>) -> Order {
        let now = Some(self.now_ms);
        let times = if state == OrderState::Backordered {
            OrderTimes { backordered_ms: now, ..before.times }
        } else {
            OrderTimes { ended_ms: now, ..before.times }
        };
        let order = Order { state, times, problem, ..before.clone() };
        let part = self.part(self.how.partitions.of_id(order.id));
        let was_queued = before.state == OrderState::Queued;
        part.queued -= i64::from(was_queued);
        part.backordered -= i64::from(before.state == OrderState::Backordered);
        part.backordered += i64::from(state == OrderState::Backordered);
        self.writes.left_queue += usize::from(was_queued);
        if before.state == OrderState::Backordered {
            self.leaves_its_lines(&order);
        }
        if state == OrderState::Backordered {
            self.joins_its_lines(&order);
        }
        self.is_now(order.clone());
        order
    }

    fn joins_its_lines(&mut self, order: &Order) {
        let rank = Rank::of(order, &self.how.keeping.orders);
        for OrderLine { key, .. } in &order.lines {
            self.part_of(key);
            self.levels.entry(key.clone()).or_default().waits += 1;
            self.writes.levels.insert(key.clone());
            let is_first = match self.firsts.get(key) {
                None => true,
                Some(First::Is(first, _)) => rank < *first,
                Some(First::Unknown) => false,
            };
            if is_first {
                self.firsts.insert(key.clone(), First::Is(rank, order.id));
            }
        }
        self.writes.waits.insert(order.id);
    }

    /// Whoever is first now in one of its lines is to be tried.
    fn leaves_its_lines(&mut self, order: &Order) {
        for OrderLine { key, .. } in &order.lines {
            self.part_of(key);
            let level = self.levels.entry(key.clone()).or_default();
            level.waits -= 1;
            let is_somebody_left = level.waits > 0;
            self.writes.levels.insert(key.clone());
            if is_somebody_left {
                self.writes.freed.insert(key.clone());
                self.firsts.insert(key.clone(), First::Unknown);
            } else {
                self.firsts.remove(key);
            }
        }
        // It may have begun to wait in this very batch.
        if !self.writes.waits.remove(&order.id) {
            self.writes.waits_no_more.insert(order.id);
        }
        self.writes.tried.remove(&order.id);
    }

    fn order(&self, id: OrderId) -> Option<Arc<Order>> {
        self.orders.get(&id).map(|kept| Arc::clone(&kept.it))
    }

    fn is_now(&mut self, order: Order) {
        let ended_ms = order.times.ended_ms;
        self.part(self.how.partitions.of_id(order.id));
        self.writes.orders.insert(order.id);
        if let Some(kept) = self.orders.get_mut(&order.id) {
            kept.ended_ms = ended_ms;
            kept.it = Arc::new(order);
        }
    }
}

/// The levels that an order is for, and those that something of it comes back to.
pub(super) fn keys_of(order: &Order, returned: Option<&[ReturnLine]>) -> Vec<StockKey> {
    let ordered = order.lines.iter().map(|line| &line.key);
    let returned = returned.into_iter().flatten().map(|line| &line.to);
    ordered.chain(returned).cloned().collect()
}
