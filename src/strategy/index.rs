//! [`KeyIndex`]: which levels exist, in order, so that a listing never scans a strategy's map.
//!
//! It changes only when a level is created or deleted, so the traffic of a shop (adjustments) never touches its
//! lock. It holds no stock: a listing takes a page of keys here and reads each level from the strategy.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;

use parking_lot::RwLock;

use crate::stock::{Changed, Location, Sku, StockKey};

/// How many keys one page may look at: a filter that fits few keys gives a short page with a cursor, never a
/// walk of the whole index under its lock.
pub const KEYS_EXAMINED_MAX: usize = 10_000;

/// The levels that exist, ordered by sku, then location.
#[derive(Debug, Default)]
pub struct KeyIndex {
    keys: RwLock<Keys>,
}

/// Creates and deletes of one level may be reported in the wrong order, since they are reported after the
/// locks are released. Versions put them right: a report older than what is known is ignored.
#[derive(Debug, Default)]
struct Keys {
    existing: BTreeMap<StockKey, u64>,
    /// As many as there are tombstones, which the strategies keep as well.
    deleted: HashMap<StockKey, u64, ahash::RandomState>,
}

/// Which keys a page is of.
#[derive(Debug, Clone, Copy, Default)]
pub struct Filter<'a> {
    /// Only keys of this sku.
    pub sku: Option<&'a Sku<'a>>,
    /// Only keys whose sku starts so.
    pub sku_prefix: &'a str,
    /// Only keys at this location.
    pub location: Option<&'a Location<'a>>,
}

/// A page of keys.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// The keys, ascending.
    pub keys: Vec<StockKey>,
    /// The last key looked at, where there may be more after it.
    pub resume_after: Option<StockKey>,
}

impl KeyIndex {
    /// Takes in creates and deletes.
    // Apart, so that what nearly every change does not need is not in its way.
    #[cold]
    pub fn record<'a>(&self, changes: impl Iterator<Item = Changed<'a>>) {
        let mut keys = self.keys.write();
        for change in changes.filter(Changed::creates_or_deletes) {
            keys.set(change.key, change.after.version(), change.after.exists());
        }
    }

    /// Takes in keys as recovery found them: each with its version, and whether its level exists. For an empty index.
    pub fn restore(&self, found: Vec<(StockKey, u64, bool)>) {
        let (existing, deleted): (Vec<_>, Vec<_>) = found.into_iter().partition(|(_, _, exists)| *exists);
        let strip = |(key, version, _)| (key, version);
        let mut keys = self.keys.write();
        // A B-tree is built from all its keys at once in a fraction of the time that one by one takes.
        keys.existing = existing.into_iter().map(strip).collect();
        keys.deleted = deleted.into_iter().map(strip).collect();
    }

    /// How many levels exist.
    pub fn len(&self) -> usize {
        self.keys.read().existing.len()
    }

    /// Whether no level exists.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Up to `limit` keys after `after` that fit the filter, looking at [`KEYS_EXAMINED_MAX`] at most.
    pub fn page(&self, filter: Filter<'_>, after: Option<&StockKey>, limit: usize) -> Page {
        let keys = self.keys.read();
        let mut page = Page::default();
        // Those of one sku are the first of those that begin as it does.
        let prefix = filter.sku.map_or(filter.sku_prefix, Sku::as_str);
        for (examined, key) in keys.from(prefix, after).enumerate() {
            let is_past = filter.sku.is_some_and(|sku| sku.as_str() != key.sku());
            if is_past || !key.sku().starts_with(filter.sku_prefix) {
                break;
            }
            if page.keys.len() == limit || examined == KEYS_EXAMINED_MAX {
                return page;
            }
            page.resume_after = Some(key.clone());
            if filter.location.is_none_or(|location| location.as_str() == key.location()) {
                page.keys.push(key.clone());
            }
        }
        page.resume_after = None;
        page
    }
}

impl Keys {
    fn set(&mut self, key: &StockKey, version: u64, exists: bool) {
        let known = self.existing.get(key).or_else(|| self.deleted.get(key));
        if known.is_some_and(|&known| known >= version) {
            return;
        }
        if exists {
            self.deleted.remove(key);
            self.existing.insert(key.clone(), version);
        } else {
            self.existing.remove(key);
            self.deleted.insert(key.clone(), version);
        }
    }

    /// The keys from the first that can start with the prefix, and after `after`, ascending.
    fn from<'a>(&'a self, sku_prefix: &str, after: Option<&StockKey>) -> impl Iterator<Item = &'a StockKey> {
        // The least key with that prefix: no location at all sorts below every location.
        let least = StockKey::least_with_prefix(sku_prefix);
        let start = match (after, least) {
            (Some(after), Some(least)) if *after >= least => Bound::Excluded(after.clone()),
            (Some(after), None) => Bound::Excluded(after.clone()),
            (_, Some(least)) => Bound::Included(least),
            (None, None) => Bound::Unbounded,
        };
        self.existing.range((start, Bound::Unbounded)).map(|(key, _)| key)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::stock::{Change, IfMissing, Level, Operation, Quantity};

    fn key(sku: &str, location: &str) -> StockKey {
        StockKey::new(&Sku::parse(sku).unwrap(), &Location::parse(location).unwrap())
    }

    /// With spaces and without: a space sorts before `!`, and that before letters.
    const NAMES: &str = "[ab]{1,3}|[ab] [ab!]|a[ !]b[ !]a";

    fn existing(version: u64) -> Level {
        Level::existing(0, 0, version).unwrap()
    }

    fn report(index: &KeyIndex, key: &StockKey, before: Level, after: Level) {
        let operation = Operation::Count { on_hand: Quantity::ZERO, if_missing: IfMissing::Refuse };
        index.record(std::iter::once(Changed { key, operation, before, after }));
    }

    proptest! {
        /// Walking page by page gives exactly the keys that fit, in order, whatever the page size.
        #[test]
        fn pages_cover_the_filter_exactly(
            names in prop::collection::btree_set((NAMES, "[xy]|x y"), 0..60),
            sku in prop::option::of("[ab]{1,2}|a b"), prefix in "[ab]{0,2}|a |a b", location in prop::option::of("[xy]|x y"), limit in 1..8_usize,
        ) {
            let index = KeyIndex::default();
            for (sku, location) in &names {
                report(&index, &key(sku, location), Level::ABSENT, existing(1));
            }
            let wanted = sku.as_deref().map(|text| Sku::parse(text).unwrap());
            let at = location.as_deref().map(|text| Location::parse(text).unwrap());
            let filter = Filter { sku: wanted.as_ref(), sku_prefix: &prefix, location: at.as_ref() };
            let (mut walked, mut after) = (Vec::new(), None);
            loop {
                let page = index.page(filter, after.as_ref(), limit);
                prop_assert!(page.keys.len() <= limit);
                walked.extend(page.keys);
                after = page.resume_after;
                if after.is_none() {
                    break;
                }
            }
            let fits = |(named, at): &&(String, String)| {
                named.starts_with(&prefix) && sku.as_ref().is_none_or(|sku| named == sku) && location.as_ref().is_none_or(|location| at == location)
            };
            let expected: Vec<_> = names.iter().filter(fits).map(|(sku, at)| key(sku, at)).collect();
            prop_assert_eq!(walked, expected);
        }

        /// Reports of one level in any order leave the index as the last version left the level.
        #[test]
        fn the_highest_version_wins(order in Just((1..=9_u64).collect::<Vec<_>>()).prop_shuffle()) {
            let (index, key) = (KeyIndex::default(), key("a", "main"));
            // Odd versions create, even ones delete.
            let at = |version| if version % 2 == 1 { existing(version) } else { Level::tombstone(version).unwrap() };
            for version in order {
                report(&index, &key, at(version - 1), at(version));
            }
            prop_assert_eq!(index.len(), 1);
        }
    }

    #[test]
    fn a_page_examines_a_bounded_number_of_keys() {
        let index = KeyIndex::default();
        let change = Change::unconditional(Operation::Create { on_hand: Quantity::ZERO });
        let after = change.judge(Level::ABSENT).unwrap();
        for n in 0..=KEYS_EXAMINED_MAX {
            report(&index, &key(&format!("k{n:06}"), "main"), Level::ABSENT, after);
        }
        let elsewhere = Location::parse("elsewhere").unwrap();
        let filter = Filter { location: Some(&elsewhere), ..Filter::default() };
        let page = index.page(filter, None, 10);
        assert_eq!(page.keys, []);
        assert_eq!(page.resume_after, Some(key(&format!("k{:06}", KEYS_EXAMINED_MAX - 1), "main")));
        assert_eq!(index.page(filter, page.resume_after.as_ref(), 10), Page::default());
    }

    #[test]
    fn an_index_knows_how_many_exist() {
        let (index, key) = (KeyIndex::default(), key("a", "main"));
        assert!(index.is_empty());
        report(&index, &key, Level::ABSENT, existing(1));
        assert_eq!((index.len(), index.is_empty()), (1, false));
        report(&index, &key, existing(1), Level::tombstone(2).unwrap());
        assert_eq!((index.len(), index.is_empty()), (0, true));
    }

    /// What recovery found is as if it had been reported, deletions included.
    #[test]
    fn restored_keys_are_known_at_their_versions() {
        let index = KeyIndex::default();
        let (there, gone) = (key("a", "main"), key("b", "main"));
        index.restore(vec![(there.clone(), 4, true), (gone.clone(), 6, false)]);
        let listed = || index.page(Filter::default(), None, 10).keys;
        assert_eq!(listed(), std::slice::from_ref(&there));
        // Older reports, or such of what is known already, change nothing.
        report(&index, &gone, Level::tombstone(4).unwrap(), existing(5));
        report(&index, &gone, Level::tombstone(5).unwrap(), existing(6));
        report(&index, &there, existing(3), Level::tombstone(4).unwrap());
        assert_eq!(listed(), std::slice::from_ref(&there));
        report(&index, &gone, Level::tombstone(6).unwrap(), existing(7));
        report(&index, &there, existing(4), Level::tombstone(5).unwrap());
        assert_eq!(listed(), [gone]);
    }

    /// A page that is full says where it goes on; one that is not is the last.
    #[test]
    fn a_page_goes_on_only_where_there_may_be_more() {
        let index = KeyIndex::default();
        let keys = ["a", "b", "c"].map(|sku| key(sku, "main"));
        index.restore(keys.iter().map(|key| (key.clone(), 1, true)).collect());
        let page = |after, limit| index.page(Filter::default(), after, limit);
        let first = Page { keys: keys[..2].to_vec(), resume_after: Some(keys[1].clone()) };
        assert_eq!(page(None, 2), first);
        assert_eq!(page(Some(&keys[1]), 2), Page { keys: keys[2..].to_vec(), resume_after: None });
        assert_eq!(page(None, 3), Page { keys: keys.to_vec(), resume_after: None });
        assert_eq!(page(Some(&keys[2]), 2), Page::default());
    }
}
