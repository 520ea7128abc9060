//! Export: every level that exists as a line of JSON, ascending by sku, then location.
//!
//! Page by page, so memory is bounded however many levels there are. Each level is current, and durable, when it is read; all
//! together are of no single instant.

use std::fmt::Write as _;

use super::{Inventory, Obstacle};
use crate::stock::{Level, StockKey};
use crate::strategy::index::Filter;

/// Levels of a page.
pub const PAGE_LEVELS: usize = 1_000;

/// Where an export is.
#[derive(Debug, Default)]
pub struct Export {
    after: Option<StockKey>,
    over: bool,
}

impl Export {
    /// The next levels; `None` at the end. A page may be empty although more follow.
    pub async fn page(&mut self, inventory: &Inventory) -> Result<Option<Vec<(StockKey, Level)>>, Obstacle> {
        if self.over {
            return Ok(None);
        }
        let page = inventory.list(Filter::default(), self.after.as_ref(), PAGE_LEVELS).await?;
        self.over = page.resume_after.is_none();
        self.after = page.resume_after;
        Ok(Some(page.levels))
    }
}

/// The levels as lines.
pub fn lines(levels: &[(StockKey, Level)]) -> String {
    let mut text = String::with_capacity(levels.len() * 96);
    for (key, level) in levels {
        // Names need no escaping.
        let (sku, location, on_hand) = (key.sku(), key.location(), level.on_hand());
        let (reserved, version) = (level.reserved(), level.version());
        let line = writeln!(
            text,
            r#"{{"sku":"{sku}","location":"{location}","on_hand":{on_hand},"reserved":{reserved},"version":{version}}}"#
        );
        line.expect("a string takes what is written");
    }
    text
}
