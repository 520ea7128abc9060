//! A look at all partitions, now and then: what other processes have done wakes whoever waits for it, and totals are brought up to date.
//!
//! It is one small statement. While somebody waits it is made often, and else seldom. Nothing that is answered depends on it: whoever is woken looks
//! for himself. It is also how a service knows that the database is there, and takes changes, while nobody asks for one.

use std::time::Duration;

use super::failure::{Stage, Trouble};
use super::load::prepared;
use super::{Postgres, rows};
use crate::store::NotDone;

const PARTS: &str = "SELECT p, head, tick, clock_ms, levels, pending, queued, backordered, \
    current_setting('transaction_read_only') FROM inventory.part";

/// While somebody waits, and while nobody does.
const OFTEN: Duration = Duration::from_millis(25);
const SELDOM: Duration = Duration::from_millis(500);

/// Looks at all partitions.
pub(super) async fn look(store: &Postgres) -> Result<(), NotDone> {
    let looked = async {
        let client = store.for_reading().await?;
        let statement = prepared(&client, PARTS).await?;
        let rows = client.query(&statement, &[]).await;
        client.give_back();
        let rows = rows.map_err(|error| Trouble::of(&error, Stage::Before))?;
        if rows.iter().any(|row| row.get::<_, &str>(8) == "on") {
            return Err(Trouble::read_only());
        }
        store.0.how.counts.saw(rows.iter().map(|row| (row.get(0), rows::part(row, 1))));
        Ok::<_, Trouble>(())
    };
    let looked = store.in_time(looked).await;
    match &looked {
        Ok(()) => store.0.batcher.health.works(),
        // It was made to stop, and another one may take changes by now: what is open leads to this one.
        Err(trouble) if trouble.is_read_only() => store.0.batcher.pools.forget_idle(),
        Err(_) => {}
    }
    store.noted(looked)
}

/// Looks now and then, until the store stops.
pub(super) fn start(store: &Postgres) -> tokio::task::JoinHandle<()> {
    let store = store.clone();
    tokio::spawn(async move {
        while store.pause(if store.0.how.counts.is_listened_to() { OFTEN } else { SELDOM }).await {
            // What is wrong is noted, and said once.
            let _noted = look(&store).await;
            if store.0.how.counts.total(|part| part.queued) > 0 {
                store.0.batcher.orders.notify_one();
            }
        }
    })
}
