//! Who gives orders their turn: one in each process, all of them from the one queue.
//!
//! It takes the first of the queue, by the discipline, and those that wait and are worth another try; and has them tried in that order, as work of one
//! batch under the locks of all their partitions. What another process has done meanwhile is seen there: an order has its turn once, whoever
//! tries. A process that dies leaves its orders where they were.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use super::Postgres;
use super::deeds_of_orders::keys_of;
use super::failure::{Stage, Trouble};
use super::kept::order_in;
use super::lanes::replied;
use super::load::prepared;
use super::pipeline::{Pipeline, param};
use super::work::{Done, What, Work};
use crate::stock::{Id, Order, OrderId};
use crate::store::NotDone;
use crate::store::rank::Rank;

/// Orders that are tried together at most.
const AT_ONCE: usize = 64;
/// Without being told of any, it looks this often.
const EVERY: Duration = Duration::from_secs(1);
/// Before the next look where one failed.
const AFTER_FAILURE: Duration = Duration::from_millis(250);

/// Gives orders their turn, until the store stops.
pub(super) fn start(store: &Postgres) -> tokio::task::JoinHandle<()> {
    let store = store.clone();
    tokio::spawn(async move {
        let mut stopped = store.0.stopped.subscribe();
        loop {
            tokio::select! {
                biased;
                _ = stopped.wait_for(|stopped| *stopped) => return,
                () = store.0.batcher.orders.notified() => {}
                () = tokio::time::sleep(EVERY) => {}
            }
            loop {
                match store.give_turns().await {
                    Ok(true) => tokio::task::yield_now().await,
                    Ok(false) => break,
                    Err(not_done) => {
                        tracing::debug!(%not_done, "orders could not have their turn; they are tried again");
                        if !store.pause(AFTER_FAILURE).await {
                            return;
                        }
                    }
                }
            }
        }
    })
}

impl Postgres {
    /// Gives some orders their turn; whether there were any.
    async fn give_turns(&self) -> Result<bool, NotDone> {
        let first = self.first_of_all().await?;
        let mut replies = Vec::with_capacity(first.len());
        for order in &first {
            let (work, reply) = Work::new(What::Turn(order.id), keys_of(order, None));
            // All of them in the lane that is for several partitions, so that they keep their order.
            self.0.lanes.submit_together(work)?;
            replies.push(reply);
        }
        let mut is_any_done = false;
        for reply in replies {
            is_any_done |= !matches!(replied(reply).await?, Done::Turned { again: true });
        }
        Ok(is_any_done)
    }

    /// Those whose turn is next, by rank.
    async fn first_of_all(&self) -> Result<Vec<Arc<Order>>, NotDone> {
        let asked = async {
            let client = self.for_reading().await?;
            let sql = &self.0.how.sql;
            let (queued, ready) =
                (prepared(&client, &sql.queued).await?, prepared(&client, &sql.ready).await?);
            let most = i64::try_from(AT_ONCE).unwrap_or(i64::MAX);
            let mut pipeline = Pipeline::of(&client);
            for p in self.0.how.partitions.all() {
                pipeline.ask(queued.clone(), vec![param(p), param(most)]);
                pipeline.ask(ready.clone(), vec![param(p), param(most)]);
            }
            let (mut orders, mut waiting): (Vec<Arc<Order>>, Vec<OrderId>) = (Vec::new(), Vec::new());
            let answers = pipeline.sent().await;
            client.give_back();
            for (at, rows) in answers.into_iter().enumerate() {
                for row in rows.map_err(|error| Trouble::of(&error, Stage::Before))? {
                    if at % 2 == 0 {
                        orders.push(order_in(row.get(1)).ok_or_else(|| Trouble::damaged("an order"))?);
                    } else {
                        waiting.push(Id::from_bits(row.get::<_, Uuid>(0).as_u128()));
                    }
                }
            }
            Ok((orders, waiting))
        };
        let (orders, waiting) = self.looked(asked).await?;
        let mut first: BTreeMap<Rank, Arc<Order>> = BTreeMap::new();
        let how = &self.0.how.keeping.orders;
        for order in orders {
            first.insert(Rank::of(&order, how), order);
        }
        for id in waiting {
            if let Some(order) = self.order_named(id).await? {
                first.insert(Rank::of(&order, how), order);
            }
        }
        Ok(first.into_values().take(AT_ONCE).collect())
    }
}
