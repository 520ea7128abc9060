//! The tail: one task that follows the end of the ledger, as long as anybody watches.
//!
//! After each piece it waits a little, so that under load a piece has many events: to write one to every reader costs what it costs, whether
//! it has one event or a hundred. When nothing has happened for a while, what happens next is sent at once.

use std::time::Duration;

use super::Feed;
use super::ring::Batch;
use crate::alerts::Alerts;
use crate::store::ledger::From;
use crate::store::{AnyStore, HistoryError, MovementCursor, MovementFilter, MovementQuery, Store as _};

/// Movements of a piece at most: some ten KiB.
pub(super) const MOVEMENTS_MAX: usize = 200;

/// Between two pieces, for each reader; so all of them together are written to some thousand times a second, and not more often.
const PAUSE_PER_READER: Duration = Duration::from_micros(250);
/// The longest pause, and so the longest that an event is late on purpose.
const PAUSE_MAX: Duration = Duration::from_millis(50);

/// Follows the ledger from a place on.
pub(super) async fn follow(
    feed: &'static Feed,
    store: &'static AnyStore,
    alerts: &'static Alerts,
    from: MovementCursor,
) {
    if let Err(error) = follow_until_left(feed, store, alerts, from).await {
        tracing::warn!(%error, "the event stream breaks off; whoever watches comes back to where it was");
        feed.breaks();
    }
}

async fn follow_until_left(
    feed: &Feed,
    store: &AnyStore,
    alerts: &Alerts,
    from: MovementCursor,
) -> Result<(), HistoryError> {
    let lineage = from.lineage();
    let mut at = from.seq().unwrap_or_default();
    while let Some(readers) = feed.readers() {
        let place = MovementCursor::after(at, lineage);
        let query = MovementQuery::After {
            from: From::Cursor(place),
            filter: MovementFilter::default(),
            limit: MOVEMENTS_MAX,
        };
        let page = store.movements(query).await?;
        let goes_on = page.next.is_some();
        // After the page was read: see there.
        let rules = alerts.rules(store).await?;
        let last = page.movements.last().map(|movement| movement.seq);
        match Batch::new(at, page, &rules) {
            Some(batch) => {
                at = last.unwrap_or(at);
                feed.push(batch);
            }
            None if goes_on => continue,
            None => {
                store.feed_grows(place).await?;
                continue;
            }
        }
        if !goes_on {
            tokio::time::sleep(pause(readers)).await;
        }
    }
    Ok(())
}

fn pause(readers: usize) -> Duration {
    PAUSE_PER_READER.saturating_mul(u32::try_from(readers).unwrap_or(u32::MAX)).min(PAUSE_MAX)
}
