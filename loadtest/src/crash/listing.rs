//! The final stock, read through the listing: page after page, until there is none left.

use history::Seen;

use super::walk::{Breach, Walk};
use crate::catalogue::Catalogue;
use crate::client::{Client, Failure};

/// Levels a page: small enough that a run has several pages.
const PAGE: u32 = 25;

/// How often a page that was not answered is asked for.
const ATTEMPTS_MAX: u32 = 5;

/// Why there is no listing.
#[derive(Debug, thiserror::Error)]
pub enum ListingError {
    /// No usable answer.
    #[error("GET /v1/stock was not answered: {0}")]
    Unanswered(String),
    /// An answer that is no page of levels.
    #[error("GET /v1/stock answered {0}")]
    Breach(#[from] Breach),
}

/// Every level of a catalogue as the listing shows it, by key; `None` where it shows none.
pub async fn list(
    client: &Client,
    catalogue: &Catalogue,
    sku_prefix: &str,
) -> Result<Vec<Option<Seen>>, ListingError> {
    let mut levels = vec![None; catalogue.len()];
    let mut walk = Walk::new(catalogue, 0..u32::try_from(catalogue.len()).unwrap_or(u32::MAX));
    let mut cursor: Option<String> = None;
    // A page brings at least one level, or there is something wrong with it.
    for _ in 0..=catalogue.len() {
        cursor = walk.page(&page(client, sku_prefix, cursor.as_deref()).await?)?;
        if cursor.is_none() {
            for seen in walk.stretch(true).shown {
                levels[seen.key.0 as usize] = Some(seen);
            }
            return Ok(levels);
        }
    }
    Err(Breach::Malformed("pages without an end".to_owned()).into())
}

async fn page(client: &Client, sku_prefix: &str, cursor: Option<&str>) -> Result<Vec<u8>, ListingError> {
    let mut last = String::new();
    for _ in 0..ATTEMPTS_MAX {
        match client.list(sku_prefix, PAGE, cursor).await {
            Ok(answer) if answer.status == 200 => return Ok(answer.body),
            Ok(answer) => last = format!("status {}", answer.status),
            Err(Failure { example, .. }) => last = example,
        }
    }
    Err(ListingError::Unanswered(last))
}
