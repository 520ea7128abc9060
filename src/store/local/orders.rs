//! Orders: placed, had their turn, cancelled, given back.
//!
//! The way of an order: its record is handed over, and with that it is placed ([`Local::place`]); once it is on disk it is in the queue
//! ([`pipeline`](super::pipeline)), and whoever placed it is told. When it is its turn, a worker takes its units, all or none, in one
//! change that is recorded as that ([`Local::see_to`]); or it is rejected; or it waits.
//!
//! **Once.** Whatever becomes of an order is done by who has its turn ([`Turn`]), which ends with the hand-off of the record: so a cancel and a
//! worker do not both win, and what was given back is known before anybody gives the same back again. The permit is taken before the
//! turn, so that nobody has it while waiting for the journal.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::pipeline::{Task, What};
use super::{Local, levels_refused, versions_seen};
use crate::journal::control::random;
use crate::journal::keys::Claim;
use crate::journal::lanes::{Of, Permit};
use crate::journal::orders::{Entry, Orders, Turn};
use crate::journal::record::RecordKind;
use crate::journal::stored::Stored;
use crate::said::Said;
use crate::stock::{
    Changed, HandOff, Order, OrderId, OrderLine, OrderProblem, OrderState, OrderTimes, RefusedLevel, Remark,
    StockKey,
};
use crate::store::of_orders::{can_wait, giving_back, said_of};
use crate::store::{Deed, NotDone, OrderPage, OrderQuery, OrderRefused, ReturnLine, WasApplied, Why};
use crate::strategy::{Strategy as _, TransactRejected};

/// What came of a command about an order.
type Judged = Result<Order, OrderRefused>;

/// How long somebody waits for another who has the turn of the same order.
const UNDER_WAY_MAX: Duration = Duration::from_secs(5);

/// What came of trying to take the units of an order.
enum Tried {
    /// They are taken, or it was over before.
    Over,
    /// These levels stood in the way; with the versions at which they did, of all levels.
    Short(Vec<RefusedLevel>, Vec<(StockKey, u64)>),
}

impl Local {
    /// Carries out what is asked of orders. What is returned has been witnessed.
    pub(super) async fn of_order(
        &self,
        deed: &Deed,
        said: Said,
        claim: Option<Claim>,
    ) -> Result<Judged, NotDone> {
        match deed {
            Deed::Order { lines, priority, backorder } => {
                self.place(lines, *priority, *backorder, said, claim).await.map(Ok)
            }
            Deed::Cancel { id } => self.cancel(*id, said, claim).await,
            Deed::Return { id, lines } => self.give_back_of(*id, lines.as_deref(), said, claim).await,
            _ => unreachable!("it is about orders"),
        }
    }

    /// Places an order: from here on it is not lost.
    async fn place(
        &self,
        lines: &[OrderLine],
        priority: u8,
        backorder: bool,
        said: Said,
        claim: Option<Claim>,
    ) -> Result<Order, NotDone> {
        let permit = self.0.books.permit(RecordKind::Ordered, said.clone(), claim).await?;
        let created_ms = self.date_ms();
        let random = u128::from(random()) << 64 | u128::from(random());
        let order = Arc::new(Order {
            id: self.register().next_id(created_ms, random),
            state: OrderState::Queued,
            lines: lines.to_vec(),
            priority,
            backorder,
            remark: said.remark.map(|remark| Box::new(Remark::clone(&remark))),
            actor: said.actor,
            times: OrderTimes { created_ms, ..OrderTimes::default() },
            returned: Vec::new(),
            problem: None,
        });
        let placing = self.register().place(Arc::clone(&order), self.0.pipeline.how().queue_max);
        let full = || NotDone::no(Why::QueueFull { retry_after: self.0.pipeline.until_there_is_room() });
        let placing = placing.ok_or_else(full)?;
        let told = placing.placed(|found| permit.store(&Stored::Order(found)));
        // Whoever placed it may go away: it has its turn all the same.
        let (pipeline, placed) = (Arc::clone(&self.0.pipeline), Arc::clone(&order));
        let (done, telling) = tokio::sync::oneshot::channel();
        tokio::spawn(async move {
            if told.await.is_ok() {
                pipeline.add(placed);
                let _ = done.send(());
            }
        });
        self.0.books.told(telling, WasApplied::Unknown).await?;
        Ok((*order).clone())
    }

    /// Cancels an order that has not taken its units.
    async fn cancel(&self, id: OrderId, said: Said, claim: Option<Claim>) -> Result<Judged, NotDone> {
        let Some(entry) = self.register().get(id) else { return Ok(Err(OrderRefused::NotFound)) };
        let permit = self.0.books.permit(RecordKind::Cancelled, said, claim).await?;
        let turn = self.turn_of(&entry).await?;
        match turn.order().state {
            OrderState::Queued | OrderState::Backordered => {}
            state => {
                let order = (**turn.order()).clone();
                drop((turn, permit));
                self.0.books.witness_all(WasApplied::No).await?;
                let is_same = state == OrderState::Cancelled;
                return Ok(if is_same { Ok(order) } else { Err(OrderRefused::State(Box::new(order))) });
            }
        }
        let told = self.becomes(turn, OrderState::Cancelled, None, permit);
        let order = entry.order();
        self.0.pipeline.cancelled(&order);
        self.0.pipeline.ended.cancelled.fetch_add(1, Ordering::Relaxed);
        self.0.books.told(told, WasApplied::Unknown).await?;
        Ok(Ok((*order).clone()))
    }

    /// Gives back what an order took: what is named, or all that is left.
    async fn give_back_of(
        &self,
        id: OrderId,
        lines: Option<&[ReturnLine]>,
        said: Said,
        claim: Option<Claim>,
    ) -> Result<Judged, NotDone> {
        let Some(entry) = self.register().get(id) else { return Ok(Err(OrderRefused::NotFound)) };
        let permit = self.0.books.permit(RecordKind::Returned, said, claim).await?;
        let turn = self.turn_of(&entry).await?;
        let (transaction, returned) = match giving_back(turn.order(), lines) {
            Ok((transaction, returned)) => (Arc::new(transaction), returned),
            Err(refused) => {
                drop((turn, permit));
                self.0.books.witness_all(WasApplied::No).await?;
                return Ok(Err(refused));
            }
        };
        let order = Arc::new(Order { returned, ..(**turn.order()).clone() });
        let made = self.0.stock.transact(&transaction, self.moving(turn, Arc::clone(&order), permit)).await;
        Ok(match self.told_of(&transaction, made).await? {
            Ok(_) => Ok((*order).clone()),
            Err(refused) => Err(OrderRefused::Levels(refused)),
        })
    }

    /// An order has its turn, or is told that it is held up. After an error nothing has become of it.
    pub(super) async fn see_to(&self, task: &Task) -> Result<(), NotDone> {
        let Some(entry) = self.register().get(task.id) else {
            self.0.pipeline.leave(task);
            return Ok(());
        };
        match &task.what {
            What::HeldUp(key) => {
                let problem = OrderProblem::Promised(key.clone());
                self.waits_or_is_rejected(task, &entry, problem).await
            }
            What::Try => loop {
                let (levels, seen) = match self.try_to_take(&entry).await? {
                    Tried::Over => {
                        self.0.pipeline.leave(task);
                        return Ok(());
                    }
                    Tried::Short(levels, seen) => (levels, seen),
                };
                let order = entry.order();
                // Watched first, then looked at: units that come free after that look are told of.
                if can_wait(&order, &levels) && self.0.pipeline.watch(task, &order) {
                    continue;
                }
                // What is said of these levels is on disk before it is said.
                let seen = seen.iter().map(|(key, version)| (key, *version));
                self.0.books.witness_levels(seen, WasApplied::No).await?;
                return self.waits_or_is_rejected(task, &entry, OrderProblem::Levels(levels)).await;
            },
        }
    }

    /// Takes the units of an order, all or none.
    async fn try_to_take(&self, entry: &Arc<Entry>) -> Result<Tried, NotDone> {
        let order = entry.order();
        let transaction = Arc::new(order.taking());
        self.settle_due_of_all(transaction.entries().iter().map(|entry| &entry.key)).await?;
        let permit = self.0.books.permit(RecordKind::Fulfilled, said_of(&order), None).await?;
        let turn = self.turn_of(entry).await?;
        if turn.order().state.is_final() {
            return Ok(Tried::Over);
        }
        let times = OrderTimes { ended_ms: Some(self.date_ms()), ..turn.order().times };
        let fulfilled = Order { state: OrderState::Fulfilled, times, ..(**turn.order()).clone() };
        let was_queued = turn.order().state == OrderState::Queued;
        let moving = self.moving(turn, Arc::new(fulfilled), permit);
        match self.0.stock.transact(&transaction, moving).await {
            Ok(_) => {
                self.0.pipeline.ended.fulfilled.fetch_add(1, Ordering::Relaxed);
                if was_queued {
                    self.0.pipeline.has_left_the_queue();
                }
                Ok(Tried::Over)
            }
            Err(TransactRejected::Contention(_)) => Err(NotDone::no(Why::Contention)),
            Err(TransactRejected::Refused(refused)) => {
                let seen = versions_seen(&transaction, &refused).map(|(key, version)| (key.clone(), version));
                Ok(Tried::Short(levels_refused(&transaction, &refused), seen.collect()))
            }
        }
    }

    /// An order that cannot have its units now: it waits for them, if it may, or is rejected for that.
    async fn waits_or_is_rejected(
        &self,
        task: &Task,
        entry: &Arc<Entry>,
        problem: OrderProblem,
    ) -> Result<(), NotDone> {
        let order = entry.order();
        let may_wait = match &problem {
            OrderProblem::Levels(levels) => can_wait(&order, levels),
            OrderProblem::Promised(_) => order.backorder,
        };
        let waits = may_wait && self.0.pipeline.take_place(task, &order);
        if waits && order.state == OrderState::Backordered {
            self.0.pipeline.wait(task);
            return Ok(());
        }
        let (state, kind) = if waits {
            (OrderState::Backordered, RecordKind::Backordered)
        } else {
            (OrderState::Rejected, RecordKind::Rejected)
        };
        let permit = self.0.books.permit(kind, said_of(&order), None).await?;
        let turn = self.turn_of(entry).await?;
        if turn.order().state.is_final() {
            drop(turn);
            self.0.pipeline.leave(task);
            return Ok(());
        }
        // Nobody waits for it to be on disk here: who is shown it does.
        drop(self.becomes(turn, state, (!waits).then_some(problem), permit));
        self.0.pipeline.has_left_the_queue();
        if waits {
            self.0.pipeline.wait(task);
        } else {
            self.0.pipeline.ended.rejected.fetch_add(1, Ordering::Relaxed);
            self.0.pipeline.leave(task);
        }
        Ok(())
    }

    /// The order comes to that state, and no level changes.
    fn becomes(
        &self,
        turn: Turn,
        state: OrderState,
        problem: Option<OrderProblem>,
        permit: Permit,
    ) -> tokio::sync::oneshot::Receiver<()> {
        let (date_ms, before) = (Some(self.date_ms()), &**turn.order());
        let times = if state == OrderState::Backordered {
            OrderTimes { backordered_ms: date_ms, ..before.times }
        } else {
            OrderTimes { ended_ms: date_ms, ..before.times }
        };
        let order = Arc::new(Order { state, times, problem, ..before.clone() });
        let stored = Stored::Order(turn.found(Arc::clone(&order)));
        turn.done(order, self.steady_ms(), || permit.store(&stored))
    }

    /// The hand-off of a change of levels with which the order becomes that.
    fn moving(&self, turn: Turn, order: Arc<Order>, permit: Permit) -> Moving {
        Moving { permit, turn, order, steady_ms: self.steady_ms() }
    }

    /// The turn of an order, once nobody else has it.
    async fn turn_of(&self, entry: &Arc<Entry>) -> Result<Turn, NotDone> {
        within_bounds(entry.once(|| entry.begin(self.register()))).await
    }

    /// The order, once nobody has its turn: what somebody is at may be seen in the levels already.
    async fn known(&self, entry: &Entry) -> Result<Arc<Order>, NotDone> {
        within_bounds(entry.once(|| entry.at_rest())).await
    }

    /// The order of that name, as it is, witnessed.
    pub(super) async fn order_named(&self, id: OrderId) -> Result<Option<Order>, NotDone> {
        let Some(entry) = self.register().get(id) else { return Ok(None) };
        let order = self.known(&entry).await?;
        self.0.books.witness_all(WasApplied::No).await?;
        Ok(Some((*order).clone()))
    }

    /// The same once it is over, or after that time.
    pub(super) async fn order_named_when_final(
        &self,
        id: OrderId,
        patience: Duration,
    ) -> Result<Option<Order>, NotDone> {
        if let Some(entry) = self.register().get(id) {
            let is_over = entry.until(|order| order.state.is_final());
            // Too late is as good: it is as it is then.
            let _ = tokio::time::timeout(patience, is_over).await;
        }
        self.order_named(id).await
    }

    /// A page of orders, each as it is when it is read, witnessed together.
    pub(super) async fn page_of_orders(&self, query: OrderQuery) -> Result<OrderPage, NotDone> {
        let page = self.register().page(query.state, query.after, query.limit);
        let mut orders = Vec::with_capacity(page.kept.len());
        for entry in page.kept {
            let order = self.known(&entry).await?;
            if query.state.is_none_or(|state| state == order.state) {
                orders.push((*order).clone());
            }
        }
        self.0.books.witness_all(WasApplied::No).await?;
        Ok(OrderPage { orders, next: page.next })
    }

    /// Completes when no order is queued, or nobody works on them.
    pub(super) async fn drained(&self) {
        self.0.pipeline.drained(|| self.register().queued()).await;
    }

    pub(super) fn register(&self) -> &Arc<Orders> {
        &self.0.books.shared().orders
    }

    fn date_ms(&self) -> u64 {
        self.0.books.shared().clock.date_ms()
    }

    fn steady_ms(&self) -> u64 {
        self.0.books.shared().clock.steady_ms()
    }
}

/// Waits for another who has the turn of the same order, a bounded time.
async fn within_bounds<T>(known: impl Future<Output = T>) -> Result<T, NotDone> {
    tokio::time::timeout(UNDER_WAY_MAX, known).await.map_err(|_| NotDone::no(Why::Contention))
}

/// The hand-off of what moves the units of an order: who applied it has recorded it, and with that the order has become `order`.
struct Moving {
    permit: Permit,
    turn: Turn,
    order: Arc<Order>,
    steady_ms: u64,
}

impl HandOff for Moving {
    fn hand_over<'a, C>(self, changes: C)
    where
        C: ExactSizeIterator<Item = Changed<'a>> + Clone,
    {
        let of = Of::Order(self.turn.found(Arc::clone(&self.order)));
        self.turn.done(self.order, self.steady_ms, || self.permit.hand_over_of(&of, changes));
    }
}
