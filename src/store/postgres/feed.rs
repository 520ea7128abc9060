//! The ledger as one row of movements, the same for all: a row of *runs*.
//!
//! Within a partition movements have numbers without gaps, in the order of commits. Between partitions there is no order until somebody makes one:
//! whoever reads the ledger first appends a run for each partition that has moved on, under the lock of one row. A run says which movements of
//! one partition come next. So from then on each movement has one number, for every replica and for good; the heads of all partitions at
//! the end of a run are a vector clock, and a number is a name for it.
//!
//! Nothing that makes a change waits for this, and nobody pays for it but who reads. A run that was appended has only movements that are committed,
//! and of a partition all before them: so a level that was read after the end of the ledger was asked for shows nothing that is not before that
//! end or after it in the ledger.
//!
//! **What is to count from a place on** is kept under the lock of that row, together with the runs that bring it up to date ([`Appending`]). A movement
//! that is committed later is in a run that was appended under the same lock later: so whoever has read it there, and looks after that, sees what
//! was kept.

use std::sync::atomic::{AtomicU64, Ordering};

use deadpool_postgres::ClientWrapper;
use tokio_postgres::Statement;

use super::batch::COMMIT_TIME;
use super::failure::{Stage, Trouble};
use super::load::prepared;
use super::pipeline::{Pipeline, Rows, first_error, param};
use super::save::COMMIT;
use super::{Postgres, watch};
use crate::store::{MovementCursor, NotDone, Seq, Why};

const HEADS: &str = "SELECT p, head FROM inventory.part ORDER BY p";
const FEED: &str = "SELECT total, heads FROM inventory.feed WHERE z = 0";
const LOCK: &str = "SELECT total, heads FROM inventory.feed WHERE z = 0 FOR UPDATE";
const RUNS: &str = "INSERT INTO inventory.run (z, last, p, head) SELECT feed.z, u.* FROM inventory.feed, \
    unnest($1::int8[], $2::int4[], $3::int8[]) AS u WHERE feed.z = 0";
const MOVE_ON: &str = "UPDATE inventory.feed SET total = $1, heads = $2 WHERE z = 0";

/// What is known of the ledger's end.
#[derive(Debug, Default)]
pub(super) struct Feed {
    total: AtomicU64,
    /// The number of the last movement that was dropped, as far as is known here: another process may have dropped more.
    dropped: AtomicU64,
    /// One at a time appends: the others find that it was done.
    pub(super) appending: tokio::sync::Mutex<()>,
}

/// Where the runs end: how many movements are in them, and of each partition how many.
struct End {
    total: i64,
    heads: Vec<i64>,
}

/// Runs that are to be appended: the number of the last movement of each, its partition, and that movement's number in there.
type Runs = (Vec<i64>, Vec<i32>, Vec<i64>);

/// The statements that bring the runs up to date, in a transaction of their own.
pub(super) struct Appending {
    lock: Statement,
    heads: Statement,
    insert: Statement,
    move_on: Statement,
}

/// What brings the runs up to date: where they end then.
pub(super) struct Next {
    pub(super) total: i64,
    heads: Vec<i64>,
    runs: Runs,
}

impl Feed {
    /// One that begins after that movement.
    pub(super) fn after(dropped: u64) -> Self {
        Self { dropped: AtomicU64::new(dropped), ..Self::default() }
    }

    /// The number of the last movement that was dropped, as far as is known here; 0 for none.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Acquire)
    }

    /// It was seen to begin after that movement. Returns the last that is known to be dropped.
    pub(super) fn begins_after(&self, dropped: i64) -> u64 {
        let dropped = u64::try_from(dropped).unwrap_or(0);
        self.dropped.fetch_max(dropped, Ordering::AcqRel).max(dropped)
    }

    /// The number of the last movement that is in a run, as far as is known here.
    pub(super) fn end(&self) -> Seq {
        Seq(self.total.load(Ordering::Acquire))
    }

    pub(super) fn saw(&self, total: i64) -> Seq {
        let total = u64::try_from(total).unwrap_or(0);
        Seq(self.total.fetch_max(total, Ordering::AcqRel).max(total))
    }
}

impl Postgres {
    /// Sees to it that every movement that is committed by now has its number. Returns the last.
    pub(super) async fn catch_up(&self) -> Result<Seq, NotDone> {
        // A task of its own: whoever asks may go away, and what has begun is carried through.
        let store = self.clone();
        let caught_up = tokio::spawn(async move { store.catch_up_now().await }).await;
        caught_up.unwrap_or_else(|panicked| Err(NotDone::no(Why::Damaged(panicked.to_string()))))
    }

    async fn catch_up_now(&self) -> Result<Seq, NotDone> {
        let caught_up = async {
            // Who waits for this waits no longer than who has it.
            let _appending = self.0.feed.appending.lock().await;
            let (end, heads) = self.in_time(self.end_and_heads()).await?;
            if runs(&end, &heads).0.is_empty() {
                return Ok(end.total);
            }
            self.append().await
        };
        let caught_up = tokio::time::timeout(COMMIT_TIME, caught_up).await;
        let total = self.noted(caught_up.unwrap_or_else(|_| Err(Trouble::late(Stage::Before))))?;
        Ok(self.0.feed.saw(total))
    }

    /// Where the runs end, and what there is.
    async fn end_and_heads(&self) -> Result<(End, Vec<i64>), Trouble> {
        let client = self.for_reading().await?;
        let (heads, feed) = (prepared(&client, HEADS).await?, prepared(&client, FEED).await?);
        let mut pipeline = Pipeline::of(&client);
        // In this order: where the runs have all that was there before, they have all.
        pipeline.ask(heads, Vec::new());
        pipeline.ask(feed, Vec::new());
        let mut answers = pipeline.sent().await;
        client.give_back();
        if let Some((_, error)) = first_error(&mut answers) {
            return Err(Trouble::of(&error, Stage::Before));
        }
        Ok((end_in(answers.pop())?, heads_in(answers.pop())?))
    }

    /// Appends a run for each partition that has moved on.
    async fn append(&self) -> Result<i64, Trouble> {
        let client = self.0.batcher.pools.for_transaction().await;
        let client = client.map_err(|error| Trouble::unconnected(&error))?;
        let appended = self.append_in_transaction(&client).await;
        if appended.is_ok() {
            client.give_back();
        } else {
            client.take_back().await;
        }
        appended
    }

    async fn append_in_transaction(&self, client: &deadpool_postgres::Client) -> Result<i64, Trouble> {
        let appending = Appending::prepared(client).await?;
        let mut pipeline = Pipeline::of(client);
        appending.begin(&mut pipeline);
        let mut answers = pipeline.sent().await;
        if let Some((_, error)) = first_error(&mut answers) {
            return Err(Trouble::of(&error, Stage::Before));
        }
        let heads = answers.pop();
        let next = Next::of(answers.pop(), heads)?;
        let mut pipeline = Pipeline::of(client);
        let total = next.total;
        appending.write(&mut pipeline, next);
        pipeline.words(COMMIT);
        let mut answers = pipeline.sent().await;
        // Whether it was appended or not, whoever comes next finds out.
        match first_error(&mut answers) {
            None => Ok(total),
            Some((_, error)) => Err(Trouble::of(&error, Stage::Before)),
        }
    }

    /// Completes when there may be movements after that place.
    pub(super) async fn more_than(&self, after: MovementCursor) -> Result<(), NotDone> {
        let Some(seq) = after.seq() else { return Ok(()) };
        let mut moved = self.0.how.counts.listen();
        loop {
            // Before it is looked: what moves on from here on is not missed.
            moved.borrow_and_update();
            if self.catch_up().await? > seq {
                return Ok(());
            }
            if moved.changed().await.is_err() {
                return watch::look(self).await;
            }
        }
    }
}

impl Appending {
    pub(super) async fn prepared(client: &ClientWrapper) -> Result<Self, Trouble> {
        Ok(Self {
            lock: prepared(client, LOCK).await?,
            heads: prepared(client, HEADS).await?,
            insert: prepared(client, RUNS).await?,
            move_on: prepared(client, MOVE_ON).await?,
        })
    }

    /// Begins the transaction. The last two answers are what [`Next::of`] is given.
    pub(super) fn begin(&self, pipeline: &mut Pipeline<'_>) {
        pipeline.words("BEGIN");
        // The lock is a statement of its own: what is read after it is as of after it.
        pipeline.ask(self.lock.clone(), Vec::new());
        pipeline.ask(self.heads.clone(), Vec::new());
    }

    pub(super) fn write(&self, pipeline: &mut Pipeline<'_>, next: Next) {
        let Next { total, heads, runs: (lasts, parts, local) } = next;
        if lasts.is_empty() {
            return;
        }
        pipeline.ask(self.insert.clone(), vec![param(lasts), param(parts), param(local)]);
        pipeline.ask(self.move_on.clone(), vec![param(total), param(heads)]);
    }
}

impl Next {
    /// What there is to be done, by the end of the runs under its lock, and the heads as they were after that.
    pub(super) fn of(end: Option<Rows>, heads: Option<Rows>) -> Result<Self, Trouble> {
        let (heads, end) = (heads_in(heads)?, end_in(end)?);
        let runs = runs(&end, &heads);
        let total = runs.0.last().copied().unwrap_or(end.total);
        let heads = end.heads.iter().zip(heads).map(|(before, now)| now.max(*before)).collect();
        Ok(Self { total, heads, runs })
    }
}

/// The runs that bring `end` up to `heads`.
fn runs(end: &End, heads: &[i64]) -> Runs {
    let (mut lasts, mut parts, mut local) = (Vec::new(), Vec::new(), Vec::new());
    let mut total = end.total;
    for ((p, before), now) in (0..).zip(&end.heads).zip(heads) {
        if now > before {
            total += now - before;
            lasts.push(total);
            parts.push(p);
            local.push(*now);
        }
    }
    (lasts, parts, local)
}

fn end_in(answer: Option<Rows>) -> Result<End, Trouble> {
    let rows = answer.and_then(Result::ok).unwrap_or_default();
    let row = rows.first().ok_or_else(|| Trouble::damaged("there is no row of the feed"))?;
    Ok(End { total: row.get(0), heads: row.get(1) })
}

fn heads_in(answer: Option<Rows>) -> Result<Vec<i64>, Trouble> {
    let rows = answer.and_then(Result::ok).unwrap_or_default();
    if rows.is_empty() {
        return Err(Trouble::damaged("there is no partition"));
    }
    Ok(rows.iter().map(|row| row.get(1)).collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Every movement gets one number, whatever moves on between two looks.
        #[test]
        fn numbers_have_no_gaps(steps in prop::collection::vec(prop::collection::vec(0..4_i64, 3), 0..9)) {
            let (mut end, mut heads) = (End { total: 0, heads: vec![0; 3] }, vec![0; 3]);
            let mut numbered = Vec::new();
            for step in steps {
                heads.iter_mut().zip(step).for_each(|(head, by)| *head += by);
                let (lasts, parts, local) = runs(&end, &heads);
                let mut before = end.total;
                for ((last, p), head) in lasts.iter().zip(parts).zip(local) {
                    numbered.extend((before + 1..=*last).map(|number| (number, p, head - (last - number))));
                    before = *last;
                }
                end = End { total: before, heads: heads.clone() };
            }
            let sum: i64 = heads.iter().sum();
            prop_assert!(numbered.iter().map(|(number, ..)| *number).eq(1..=sum));
            for p in 0..3 {
                let local = numbered.iter().filter(|(_, of, _)| *of == p).map(|(.., local)| *local);
                prop_assert!(local.eq(1..=heads[usize::try_from(p).unwrap()]));
            }
        }
    }
}
