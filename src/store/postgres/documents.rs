//! What is kept beside the stock: a row for each document.

use super::Postgres;
use super::failure::{Stage, Trouble};
use super::load::prepared;
use crate::store::{Document, NotDone};

const READ: &str = "SELECT bytes FROM inventory.document WHERE z = 0 AND name = $1";
const KEEP: &str = "INSERT INTO inventory.document (z, name, version, bytes) VALUES (0, $1, 1, $2) \
    ON CONFLICT (z, name) DO UPDATE SET version = document.version + 1, bytes = excluded.bytes";

impl Postgres {
    pub(super) async fn document_named(&self, name: Document) -> Result<Option<Vec<u8>>, NotDone> {
        let read = async {
            let client = self.for_reading().await?;
            let statement = prepared(&client, READ).await?;
            let row = client.query_opt(&statement, &[&named(name)]).await;
            Ok(row.map_err(|error| Trouble::of(&error, Stage::Before))?.map(|row| row.get(0)))
        };
        self.noted(read.await)
    }

    pub(super) async fn document_kept(&self, name: Document, bytes: Vec<u8>) -> Result<(), NotDone> {
        let kept = async {
            let client = self.for_reading().await?;
            let statement = prepared(&client, KEEP).await?;
            let kept = client.execute(&statement, &[&named(name), &bytes]).await;
            kept.map_err(|error| Trouble::of(&error, Stage::Within)).map(drop)
        };
        self.noted(kept.await)
    }
}

fn named(document: Document) -> &'static str {
    match document {
        Document::Alerts => "alerts",
        Document::Webhooks => "webhooks",
        Document::WebhookPositions => "webhook-positions",
    }
}
