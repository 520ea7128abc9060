//! Verification: is the stock what its movements say, and do all rows say the same?
//!
//! **A partition is looked at in one snapshot** (REPEATABLE READ, read only), page by page. All of one partition changes under one lock, in one
//! transaction, so a snapshot of it is of one instant, and has no half of anything. A lock, be it FOR SHARE, would show the same, and keep every change of
//! the partition waiting for as long as it takes, which is minutes where there is much. A snapshot keeps nobody waiting; what it costs is that rows
//! which are replaced meanwhile are kept by the database until it is over, so there is one for each partition and not one for all.
//!
//! What is of two partitions, a reservation and what is held for it, an order and where it waits, is read in the same snapshot, which in PostgreSQL is of all
//! of them.
//!
//! A connection of its own, so that it takes none from who serves. Memory is bounded by a page.

mod held;
mod levels;
mod movements;
mod orders;
mod runs;

use std::future::Future;

use tokio_postgres::Row;

use super::Postgres;
use super::connect::Lent;
use super::failure::{Stage, Trouble};
use super::load::prepared;
use super::partition::Partitions;
use super::pipeline::{Param, Pipeline};
use super::retention::Floors;
use super::rows;
use super::working::Part;
use crate::stock::StockKey;
use crate::store::chores::{ChoreError, Finding, VerifyReport};
use crate::store::{NotDone, Why};

const PART: &str = "SELECT head, tick, clock_ms, levels, pending, queued, backordered, \
    greatest((extract(epoch FROM clock_timestamp()) * 1000)::int8, (SELECT max(clock_ms) FROM inventory.part)) \
    FROM inventory.part WHERE p = $1";
const BEGIN: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY";

/// Rows of a page.
const PAGE_ROWS: i64 = 2_000;
/// Findings that are listed; more are only counted.
const FINDINGS_MAX: usize = 100;

/// A partition in a snapshot, and what is found wrong with it.
struct Look<'a> {
    store: &'a Postgres,
    client: &'a Lent,
    report: &'a mut VerifyReport,
    partitions: Partitions,
    p: i32,
    part: Part,
    /// The number of its last movement that was dropped; 0 for none.
    floor: i64,
    /// What time it was when it was looked at: what was let go by then was due.
    now_ms: i64,
}

impl Postgres {
    /// Verifies all of it.
    pub(super) async fn verified(&self) -> Result<VerifyReport, ChoreError> {
        let mut report = VerifyReport::default();
        let looked = self.look_at_all(&mut report).await;
        if self.0.rights.is_stopping() {
            return Err(ChoreError::Stopped);
        }
        // Not noted: a connection of its own that is not to be had says nothing of those that serve.
        looked.map_err(Trouble::into_not_done)?;
        Ok(report)
    }

    async fn look_at_all(&self, report: &mut VerifyReport) -> Result<(), Trouble> {
        let client = self.0.batcher.pools.for_verifying().await;
        let client = client.map_err(|error| Trouble::unconnected(&error))?;
        let begin = async || in_time(self, client.batch_execute(BEGIN)).await?.map_err(|error| wrong(&error));
        let end =
            async || in_time(self, client.batch_execute("COMMIT")).await?.map_err(|error| wrong(&error));
        begin().await?;
        let heads = runs::look(self, &client, report).await?;
        end().await?;
        let partitions = self.0.how.partitions;
        for (p, numbered) in partitions.all().zip(heads) {
            begin().await?;
            self.look_at(&client, report, p, numbered).await?;
            end().await?;
        }
        Ok(())
    }

    /// Looks at one partition, of which so many movements had a number in the ledger before.
    async fn look_at(
        &self,
        client: &Lent,
        report: &mut VerifyReport,
        p: i32,
        numbered: i64,
    ) -> Result<(), Trouble> {
        let statement = prepared(client, PART).await?;
        let row = in_time(self, client.query_opt(&statement, &[&p])).await?.map_err(|error| wrong(&error))?;
        let Some(row) = row else {
            add(report, Finding { detail: format!("partition {p} is missing"), ..Finding::default() });
            return Ok(());
        };
        let (part, now_ms) = (rows::part(&row, 0), row.get(7));
        let partitions = self.0.how.partitions;
        let floor = in_time(self, Floors::of(client)).await??.of_partition(p);
        let mut look = Look { store: self, client, report, partitions, p, part, floor, now_ms };
        if numbered > part.head {
            let head = part.head;
            look.add(format!("the ledger has numbered {numbered} movements, and only {head} were made"));
        }
        let before = look.report.findings_total;
        let history = look.movements().await?;
        let versions = look.levels().await?;
        // Each version is a movement; which one is not known, as it is nothing that a movement or a level says.
        if look.report.findings_total == before && versions - history.versions_before != history.movements {
            let all = versions - history.versions_before;
            look.add(format!(
                "there are {} movements, and the levels have had {all} versions: some are in the history of no level",
                history.movements
            ));
        }
        look.held().await?;
        look.reservations().await?;
        look.orders().await?;
        look.waiting().await
    }
}

impl Look<'_> {
    /// Something is wrong with the partition.
    fn add(&mut self, detail: impl AsRef<str>) {
        self.found(None, None, detail);
    }

    /// Something is wrong, with that movement, that level.
    fn found(&mut self, seq: Option<i64>, key: Option<&StockKey>, detail: impl AsRef<str>) {
        let level = key.map_or(String::new(), |key| format!("{key}: "));
        let detail = format!("partition {}: {level}{}", self.p, detail.as_ref());
        let seq = seq.and_then(|seq| u64::try_from(seq).ok());
        add(self.report, Finding { seq, key: key.cloned(), detail, ..Finding::default() });
    }

    /// A number of rows is not what the partition's own row says.
    fn counted(&mut self, what: &str, said: i64, found: i64) {
        if said != found {
            self.add(format!("it says that there are {said} {what}, and there are {found}"));
        }
    }

    /// A page.
    async fn page(&self, query: &str, params: Vec<Param>) -> Result<Vec<Row>, Trouble> {
        page(self.store, self.client, query, params).await
    }

    /// What several statements come to, one after the other.
    async fn all(&self, query: &str, asked: Vec<Vec<Param>>) -> Result<Vec<Row>, Trouble> {
        let statement = prepared(self.client, query).await?;
        let mut pipeline = Pipeline::of(self.client);
        for params in asked {
            pipeline.ask(statement.clone(), params);
        }
        let mut found = Vec::new();
        for rows in in_time(self.store, pipeline.sent()).await? {
            found.extend(rows.map_err(|error| wrong(&error))?);
        }
        Ok(found)
    }

    /// The level that a row names from that column on, if it is of this partition: else that is told.
    fn key(&mut self, row: &Row, from: usize, what: &str) -> Option<StockKey> {
        let (sku, location): (&str, &str) = (row.get(from), row.get(from + 1));
        let key = StockKey::kept(sku, location);
        match &key {
            None => self.add(format!("{what} names {sku:?} at {location:?}, which no level can be called")),
            Some(named) => {
                let home = self.partitions.of_key(named);
                if home != self.p {
                    let detail = format!("{what} belongs into partition {home}");
                    self.found(None, Some(named), detail);
                }
            }
        }
        key
    }
}

/// A page of rows, unless it is to stop.
async fn page(store: &Postgres, client: &Lent, query: &str, params: Vec<Param>) -> Result<Vec<Row>, Trouble> {
    if store.0.rights.is_stopping() {
        return Err(NotDone::no(Why::Away("the service stops".to_owned())).into());
    }
    let statement = prepared(client, query).await?;
    let mut pipeline = Pipeline::of(client);
    pipeline.ask(statement, params);
    in_time(store, pipeline.sent())
        .await?
        .pop()
        .unwrap_or_else(|| Ok(Vec::new()))
        .map_err(|error| wrong(&error))
}

/// What is asked of the database, unless it says nothing for as long as a statement may take.
async fn in_time<T>(store: &Postgres, asked: impl Future<Output = T>) -> Result<T, Trouble> {
    let asked = tokio::time::timeout(store.0.batcher.pools.look_time(), asked).await;
    asked.map_err(|_| Trouble::late(Stage::Before))
}

/// Pieces of so many that they have some [`PAGE_ROWS`] lines together.
fn pieces<T>(mut all: &[T], lines: impl Fn(&T) -> usize) -> impl Iterator<Item = &[T]> {
    std::iter::from_fn(move || {
        let (mut sum, most) = (0, usize::try_from(PAGE_ROWS).unwrap_or(usize::MAX));
        let fits = |one: &&T| {
            sum += lines(one);
            sum <= most
        };
        let count = all.iter().take_while(fits).count().max(1).min(all.len());
        let (piece, rest) = all.split_at(count);
        all = rest;
        (count > 0).then_some(piece)
    })
}

/// Whether more may follow a page of so many rows.
fn is_full(rows: &[Row]) -> bool {
    i64::try_from(rows.len()).is_ok_and(|rows| rows >= PAGE_ROWS)
}

fn add(report: &mut VerifyReport, finding: Finding) {
    report.findings_total += 1;
    if report.findings.len() < FINDINGS_MAX {
        report.findings.push(finding);
    }
}

fn wrong(error: &tokio_postgres::Error) -> Trouble {
    Trouble::of(error, Stage::Before)
}
