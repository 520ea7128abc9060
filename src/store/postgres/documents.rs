//! What is kept beside the stock: a row for each document.
//!
//! Whoever changes one holds the lock of the ledger's end meanwhile ([`super::feed`]): so there is one order of all changes, none is lost, and each
//! knows which movements come after it.

use std::time::Duration;

use super::Postgres;
use super::failure::{Stage, Trouble};
use super::feed::{Appending, Next};
use super::load::prepared;
use super::pipeline::{Pipeline, first_error, param};
use super::save::COMMIT;
use crate::store::{Document, Kept, MovementCursor, NotDone, Revision, Seq, Why};

/// Its bytes only where it is not of the revision that is known.
const READ: &str = "SELECT version, CASE WHEN version <> $2 THEN bytes END FROM inventory.document \
    WHERE z = 0 AND name = $1";
const KEEP: &str = "INSERT INTO inventory.document (z, name, version, bytes) VALUES (0, $1, 1, $2) \
    ON CONFLICT (z, name) DO UPDATE SET version = document.version + 1, bytes = excluded.bytes RETURNING version";

/// How long a change may take, its turn and its lock included.
const CHANGE_TIME: Duration = Duration::from_secs(20);

/// What came of a change.
struct Changed {
    revision: Option<Revision>,
    total: i64,
    /// Nothing was said against its commit.
    is_sure: bool,
}

impl Postgres {
    pub(super) async fn document_named_after(
        &self,
        name: Document,
        known: Revision,
    ) -> Result<Option<Kept>, NotDone> {
        let read = async {
            let client = self.for_reading().await?;
            let statement = prepared(&client, READ).await?;
            let row = client.query_opt(&statement, &[&named(name), &known.0.cast_signed()]).await;
            client.give_back();
            let row = row.map_err(|error| Trouble::of(&error, Stage::Before))?;
            Ok(row.and_then(|row| kept(&row)))
        };
        self.looked(read).await
    }

    pub(super) async fn document_kept(&self, name: Document, bytes: Vec<u8>) -> Result<(), NotDone> {
        self.document_changed(name, Revision::default(), |_, _| Some(bytes)).await.map(drop)
    }

    pub(super) async fn document_changed(
        &self,
        name: Document,
        known: Revision,
        change: impl FnOnce(Option<Vec<u8>>, MovementCursor) -> Option<Vec<u8>> + Send,
    ) -> Result<Option<Revision>, NotDone> {
        let changed = tokio::time::timeout(CHANGE_TIME, async {
            let _appending = self.0.feed.appending.lock().await;
            let client = self.0.batcher.pools.for_transaction().await;
            let client = client.map_err(|error| Trouble::unconnected(&error))?;
            let changed = self.change_in_transaction(&client, name, known, change).await;
            match &changed {
                Ok(Changed { revision: Some(_), .. }) => client.give_back(),
                _ => _ = client.take_back().await,
            }
            changed
        });
        // Who is late may have been at its commit.
        let changed = changed.await.unwrap_or_else(|_| Err(Trouble::late(Stage::Commit)));
        let Changed { revision, total, is_sure } = self.noted(changed)?;
        if !is_sure {
            let what =
                "the database warned while it committed, so it may not be kept as safely as it is to be";
            return Err(NotDone::unknown(Why::Away(what.to_owned())));
        }
        if revision.is_some() {
            self.0.feed.saw(total);
        }
        Ok(revision)
    }

    async fn change_in_transaction(
        &self,
        client: &deadpool_postgres::Client,
        name: Document,
        known: Revision,
        change: impl FnOnce(Option<Vec<u8>>, MovementCursor) -> Option<Vec<u8>> + Send,
    ) -> Result<Changed, Trouble> {
        let appending = Appending::prepared(client).await?;
        let (read, keep) = (prepared(client, READ).await?, prepared(client, KEEP).await?);
        let mut pipeline = Pipeline::of(client);
        appending.begin(&mut pipeline);
        pipeline.ask(read, vec![param(named(name)), param(known.0.cast_signed())]);
        let mut answers = pipeline.sent().await;
        if let Some((_, error)) = first_error(&mut answers) {
            return Err(Trouble::of(&error, Stage::Before));
        }
        let row = answers.pop().and_then(Result::ok).unwrap_or_default();
        let newer = row.first().and_then(kept).map(|kept| kept.bytes);
        let heads = answers.pop();
        let next = Next::of(answers.pop(), heads)?;
        let total = next.total;
        let end = MovementCursor::after(Seq(total.unsigned_abs()), self.0.origin.lineage);
        let Some(bytes) = change(newer, end) else {
            return Ok(Changed { revision: None, total, is_sure: true });
        };
        let warnings = self.0.batcher.pools.warnings();
        let mut pipeline = Pipeline::of(client);
        appending.write(&mut pipeline, next);
        let written = pipeline.ask(keep, vec![param(named(name)), param(bytes)]);
        let committed = pipeline.words(COMMIT);
        let mut answers = pipeline.sent().await;
        match first_error(&mut answers) {
            None => {}
            Some((at, error)) if at == committed => return Err(Trouble::of(&error, Stage::Commit)),
            Some((_, error)) => return Err(Trouble::of(&error, Stage::Within)),
        }
        let rows = answers.swap_remove(written).unwrap_or_default();
        let row = rows.first().ok_or_else(|| Trouble::damaged("a document that was kept"))?;
        let revision = Some(Revision(row.get::<_, i64>(0).cast_unsigned()));
        Ok(Changed { revision, total, is_sure: self.0.batcher.pools.warnings() == warnings })
    }
}

/// The document of a row, if it has its bytes.
fn kept(row: &tokio_postgres::Row) -> Option<Kept> {
    let bytes: Option<Vec<u8>> = row.get(1);
    bytes.map(|bytes| Kept { revision: Revision(row.get::<_, i64>(0).cast_unsigned()), bytes })
}

/// The name of its row.
pub(super) fn named(document: Document) -> &'static str {
    match document {
        Document::Alerts => "alerts",
        Document::Webhooks => "webhooks",
        Document::WebhookPositions => "webhook-positions",
    }
}
