//! Export: every level that exists as a line of JSON, ascending by sku, then location.
//!
//! Page by page, so memory is bounded however many levels there are. Each level is current, and durable, when it is read; all
//! together are of no single instant.

use std::fmt::Write as _;

use crate::stock::{Level, StockKey};
use crate::store::{LevelCursor, LevelPage, LevelQuery, NotDone, Store};

/// Levels of a page.
const PAGE_LEVELS: usize = 1_000;

/// Where an export is.
#[derive(Debug, Default)]
pub struct Export {
    after: Option<LevelCursor>,
    over: bool,
}

impl Export {
    /// The next levels; `None` at the end. A page may be empty although more follow.
    pub async fn page(&mut self, store: &impl Store) -> Result<Option<Vec<(StockKey, Level)>>, NotDone> {
        if self.over {
            return Ok(None);
        }
        let after = self.after.as_ref();
        let query = LevelQuery { sku: None, sku_prefix: "", location: None, after, limit: PAGE_LEVELS };
        let LevelPage { levels, next } = store.list(query).await?;
        self.over = next.is_none();
        self.after = next;
        Ok(Some(levels))
    }
}

/// The levels as lines.
pub fn export_lines(levels: &[(StockKey, Level)]) -> String {
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
