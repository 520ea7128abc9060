//! Export: every level that exists as a line, of JSON or of cells, ascending by sku, then location.
//!
//! Page by page, so memory is bounded however many levels there are. Each level is current, and durable, when it is read; all
//! together are of no single instant. What is exported can be imported as it is: nothing is added to a value that a program
//! which reads it would take for more than that.

use std::io::Write as _;

use super::answers::write_place;
use crate::csv;
use crate::stock::{Level, StockKey};
use crate::store::chores::StockForm;
use crate::store::{LevelCursor, LevelPage, LevelQuery, Lineage, NotDone, Store};

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

/// How the lines of an export look.
#[derive(Debug, Clone, Copy)]
pub struct ExportForm {
    form: StockForm,
    /// The history that its versions are of.
    lineage: Lineage,
}

impl ExportForm {
    /// Lines of that form, with versions of that history.
    pub fn new(form: StockForm, lineage: Lineage) -> Self {
        Self { form, lineage }
    }

    /// What stands before the first level.
    pub fn head(self) -> Vec<u8> {
        match self.form {
            StockForm::Ndjson => Vec::new(),
            StockForm::Csv => format!("sku,location,on_hand,version{}", csv::LINE_END).into_bytes(),
        }
    }

    /// Appends the levels, a line each.
    pub fn write(self, levels: &[(StockKey, Level)], lines: &mut Vec<u8>) {
        lines.reserve(levels.len() * 96);
        for (key, level) in levels {
            match self.form {
                StockForm::Ndjson => self.write_json(key, *level, lines),
                StockForm::Csv => self.write_cells(key, *level, lines),
            }
        }
    }

    fn write_json(self, key: &StockKey, level: Level, lines: &mut Vec<u8>) {
        write_place(key.sku(), key.location(), lines);
        let (on_hand, reserved, version) = (level.on_hand(), level.reserved(), level.version());
        let written = write!(lines, r#","on_hand":{on_hand},"reserved":{reserved},"version":{version}"#);
        written.expect("memory takes what is written");
        if let Some(id) = self.lineage.id() {
            write!(lines, r#","lineage":"{id:016x}""#).expect("memory takes what is written");
        }
        lines.extend_from_slice(b"}\n");
    }

    fn write_cells(self, key: &StockKey, level: Level, lines: &mut Vec<u8>) {
        csv::put(lines, key.sku());
        lines.push(b',');
        csv::put(lines, key.location());
        let version = self.lineage.number(level.version());
        let written = write!(lines, ",{},{version}{}", level.on_hand(), csv::LINE_END);
        written.expect("memory takes what is written");
    }
}
