//! One walk through the levels of a run, by the pages of a listing or the lines of an export: what it showed, and where
//! a level that is not among that would have been.
//!
//! Both are in key order, so a walk covers a range of keys: all that was asked for if it came to its end, else what is
//! up to the last level it showed. What was cut off after that proves nothing.

use std::ops::Range;

use history::{Key, Seen, Stock};
use serde::Deserialize;

use crate::catalogue::Catalogue;
use crate::client::wire::{ExportLine, Page};

/// Why answers are no walk through the levels.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Breach {
    /// Not the JSON it should be.
    #[error("{0}")]
    Malformed(String),
    /// A level of the run, by its name, which is none.
    #[error("{0}, which nobody created")]
    Unknown(String),
    /// A level that does not fit what was asked for.
    #[error("{0}, which was not asked for")]
    Unasked(String),
    /// A level that comes after itself, or after one behind it.
    #[error("{0} out of order, or twice")]
    Order(String),
}

/// A walk under way.
#[derive(Debug)]
pub struct Walk<'a> {
    catalogue: &'a Catalogue,
    /// The keys that are still ahead.
    ahead: Range<u32>,
    /// The keys it is of.
    range: Range<u32>,
    /// What it showed since it was last asked.
    shown: Vec<Seen>,
}

/// A stretch of a walk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stretch {
    /// The levels it showed, ascending.
    pub shown: Vec<Seen>,
    /// The keys of which every level that is not among them was missing.
    pub covered: Range<u32>,
}

impl<'a> Walk<'a> {
    /// A walk through these keys of a catalogue.
    pub fn new(catalogue: &'a Catalogue, range: Range<u32>) -> Self {
        Self { catalogue, ahead: range.clone(), range, shown: Vec::new() }
    }

    /// Takes the next page of a listing; answers the cursor of the page after it.
    pub fn page(&mut self, body: &[u8]) -> Result<Option<String>, Breach> {
        let page: Page<'_> = parse(body)?;
        for level in &page.items {
            let stock = Stock::Level { on_hand: level.on_hand, reserved: level.reserved };
            let key = self.catalogue.find(&level.sku, &level.location);
            let name = || format!("{} at {}", level.sku, level.location);
            let key = key.ok_or_else(|| Breach::Unknown(name()))?;
            self.show(Seen { key, version: level.version, stock }, name)?;
        }
        Ok(page.next_cursor.map(Into::into))
    }

    /// Takes the lines of an export; the last one is left out unless it ends. An export shows the levels of others, too;
    /// those of the run begin with `prefix`.
    pub fn lines(&mut self, body: &[u8], prefix: &str) -> Result<(), Breach> {
        let end = body.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
        for line in body[..end].split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let line: ExportLine<'_> = parse(line)?;
            let stock = Stock::Level { on_hand: line.on_hand, reserved: line.reserved };
            let name = || format!("{} at {}", line.sku, line.location);
            match self.catalogue.find(&line.sku, &line.location) {
                Some(key) => self.show(Seen { key, version: line.version, stock }, name)?,
                None if line.sku.starts_with(prefix) => return Err(Breach::Unknown(name())),
                None => {}
            }
        }
        Ok(())
    }

    /// The stretch since this was last asked: up to the last level it showed, or to the end if it has come to it.
    pub fn stretch(&mut self, is_at_end: bool) -> Stretch {
        let start = self.ahead.start;
        let end = match self.shown.last() {
            _ if is_at_end => self.ahead.end,
            Some(last) => last.key.0 + 1,
            None => start,
        };
        self.ahead.start = end;
        Stretch { shown: std::mem::take(&mut self.shown), covered: start..end }
    }

    fn show(&mut self, seen: Seen, name: impl Fn() -> String) -> Result<(), Breach> {
        if !self.range.contains(&seen.key.0) {
            return Err(Breach::Unasked(name()));
        }
        let is_behind = self.shown.last().is_some_and(|last| last.key >= seen.key);
        if is_behind || seen.key.0 < self.ahead.start {
            return Err(Breach::Order(name()));
        }
        self.shown.push(seen);
        Ok(())
    }
}

impl Stretch {
    /// Those of some keys that were missing.
    pub fn missing(&self, of: Range<u32>) -> impl Iterator<Item = Key> {
        let of = of.start.max(self.covered.start)..of.end.min(self.covered.end);
        let is_shown = |key: &Key| self.shown.binary_search_by_key(key, |seen| seen.key).is_ok();
        of.map(Key).filter(move |key| !is_shown(key))
    }
}

fn parse<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Breach> {
    serde_json::from_slice(body).map_err(|error| Breach::Malformed(error.to_string()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn catalogue() -> Catalogue {
        let names = ["r-a", "r-b", "r-c", "r-d", "r-e"];
        Catalogue::new(names.map(|name| (name.to_owned(), "main".to_owned())).into())
    }

    fn page(skus: &[&str], next: Option<&str>) -> Vec<u8> {
        let level = |sku: &&str| json!({ "sku": sku, "location": "main", "on_hand": 2, "reserved": 0, "available": 2, "version": 7 });
        let mut page = json!({ "items": skus.iter().map(level).collect::<Vec<_>>() });
        if let Some(next) = next {
            page["next_cursor"] = json!(next);
        }
        page.to_string().into()
    }

    fn line(sku: &str) -> String {
        let line = json!({ "sku": sku, "location": "main", "on_hand": 2, "reserved": 1, "version": 7 });
        format!("{line}\n")
    }

    fn missing(stretch: &Stretch, of: Range<u32>) -> Vec<u32> {
        stretch.missing(of).map(|key| key.0).collect()
    }

    #[test]
    fn a_listing_that_came_to_its_end_misses_everything_that_it_does_not_show() {
        let catalogue = catalogue();
        let stock = Stock::Level { on_hand: 2, reserved: 0 };
        let mut walk = Walk::new(&catalogue, 0..5);
        assert_eq!(walk.page(&page(&["r-b"], Some("on"))), Ok(Some("on".to_owned())));
        let stretch = walk.stretch(false);
        assert_eq!(stretch.shown, [Seen { key: Key(1), version: 7, stock }]);
        assert_eq!(missing(&stretch, 0..5), [0]);
        // A page may be empty although more follow.
        assert_eq!(walk.page(&page(&[], Some("on"))), Ok(Some("on".to_owned())));
        assert_eq!(missing(&walk.stretch(false), 0..5), [0; 0]);
        assert_eq!(walk.page(&page(&["r-d"], None)), Ok(None));
        let stretch = walk.stretch(true);
        assert_eq!(missing(&stretch, 0..5), [2, 4]);
        assert_eq!(missing(&stretch, 3..5), [4]);
    }

    #[test]
    fn a_listing_that_broke_off_proves_nothing_past_the_last_level_it_showed() {
        let catalogue = catalogue();
        let mut walk = Walk::new(&catalogue, 0..5);
        walk.page(&page(&["r-b", "r-d"], Some("on"))).unwrap();
        assert_eq!(missing(&walk.stretch(false), 0..5), [0, 2]);
        assert_eq!(missing(&Walk::new(&catalogue, 0..5).stretch(false), 0..5), [0; 0]);
    }

    #[test]
    fn a_listing_of_some_says_nothing_of_the_others() {
        let catalogue = catalogue();
        let mut walk = Walk::new(&catalogue, 3..4);
        assert_eq!(walk.page(&page(&[], None)), Ok(None));
        assert_eq!(missing(&walk.stretch(true), 0..5), [3]);
        let mut walk = Walk::new(&catalogue, 3..4);
        assert_eq!(walk.page(&page(&["r-b"], None)), Err(Breach::Unasked("r-b at main".into())));
    }

    #[test]
    fn an_export_counts_up_to_its_last_whole_line() {
        let catalogue = catalogue();
        let text = line("other") + &line("r-b") + &line("r-d") + &line("r-e");
        let mut walk = Walk::new(&catalogue, 0..5);
        walk.lines(text.as_bytes(), "r-").unwrap();
        assert_eq!(missing(&walk.stretch(true), 0..5), [0, 2]);
        // Wherever it is cut, also within a line or just before its end.
        for (length, expected) in [(0, vec![]), (text.len() - 1, vec![0, 2]), (text.len() / 2 + 5, vec![0])] {
            let mut walk = Walk::new(&catalogue, 0..5);
            walk.lines(&text.as_bytes()[..length], "r-").unwrap();
            assert_eq!(missing(&walk.stretch(false), 0..5), expected, "{length} of {}", text.len());
        }
    }

    #[test]
    fn what_is_no_walk_is_a_breach() {
        let catalogue = catalogue();
        let walk = || Walk::new(&catalogue, 0..5);
        assert_eq!(walk().page(&page(&["r-x"], None)), Err(Breach::Unknown("r-x at main".into())));
        assert_eq!(walk().page(&page(&["r-b", "r-b"], None)), Err(Breach::Order("r-b at main".into())));
        assert_eq!(walk().page(&page(&["r-b", "r-a"], None)), Err(Breach::Order("r-a at main".into())));
        assert!(matches!(walk().page(b"{"), Err(Breach::Malformed(_))));
        let mut again = walk();
        again.page(&page(&["r-b"], Some("on"))).unwrap();
        again.stretch(false);
        assert_eq!(again.page(&page(&["r-b"], None)), Err(Breach::Order("r-b at main".into())));
        let twice = line("r-b") + &line("r-b");
        assert_eq!(walk().lines(twice.as_bytes(), "r-"), Err(Breach::Order("r-b at main".into())));
        assert_eq!(walk().lines(line("r-x").as_bytes(), "r-"), Err(Breach::Unknown("r-x at main".into())));
        assert!(matches!(walk().lines(b"{}\n", "r-"), Err(Breach::Malformed(_))));
    }
}
