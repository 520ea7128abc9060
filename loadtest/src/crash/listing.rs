//! The final stock, read through the listing: page after page, until there is none left.

use history::Seen;
use history::Stock;

use crate::catalogue::Catalogue;
use crate::client::wire::Page;
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
    Breach(String),
}

/// Every level of a catalogue as the listing shows it, by key; `None` where it shows none.
pub async fn list(
    client: &Client,
    catalogue: &Catalogue,
    sku_prefix: &str,
) -> Result<Vec<Option<Seen>>, ListingError> {
    let mut levels = vec![None; catalogue.len()];
    let mut cursor: Option<String> = None;
    // A page brings at least one level, or there is something wrong with it.
    for _ in 0..=catalogue.len() {
        let body = page(client, sku_prefix, cursor.as_deref()).await?;
        let page: Page<'_> =
            serde_json::from_slice(&body).map_err(|error| ListingError::Breach(error.to_string()))?;
        for level in &page.items {
            let name = || format!("{} at {}", level.sku, level.location);
            let key = catalogue
                .find(&level.sku, &level.location)
                .ok_or_else(|| ListingError::Breach(format!("{}, which nobody created", name())))?;
            let stock = Stock::Level { on_hand: level.on_hand, reserved: level.reserved };
            let seen = Seen { key, version: level.version, stock };
            if levels[key.0 as usize].replace(seen).is_some() {
                return Err(ListingError::Breach(format!("{} twice", name())));
            }
        }
        match page.next_cursor {
            Some(next) => cursor = Some(next.into_owned()),
            None => return Ok(levels),
        }
    }
    Err(ListingError::Breach("pages without an end".to_owned()))
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
