//! What listings and exports showed in one life of the server, against what there was in a later one.
//!
//! Whatever was shown binds: the level must never again be at an earlier version. That a level was missing is a sight like
//! any other: its deletion was shown ([`super::board`] says which). The checker of histories judges these sights as well;
//! here they are counted, and named for what they are.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use history::Key;

use super::counts::Examples;

/// How a level was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum View {
    /// By the listing.
    Listing,
    /// By the export.
    Export,
}

/// What was shown of a level.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shown {
    /// At which version, or a later one.
    pub version: u64,
    /// Whether it was missing.
    pub is_missing: bool,
    /// Where.
    pub by: View,
}

/// What listings and exports showed, and what was found after it.
#[derive(Debug, Default)]
pub struct Sights {
    /// The latest version shown of each level in each life.
    shown: BTreeMap<(Key, u32), Shown>,
    /// The earliest version found of each level in each life.
    found: BTreeMap<(Key, u32), u64>,
    /// Levels that were missing although they were there all along.
    pub left_out: Examples,
}

/// Something that was shown in one life and was not so in a later one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TakenBack {
    /// The level, by its name.
    pub name: String,
    /// What was shown.
    pub shown: Shown,
    /// In which start of the server.
    pub life: u32,
    /// The version it was found at later.
    pub found: u64,
    /// In which start of the server.
    pub found_in: u32,
}

impl Sights {
    /// A level was shown, or was missing.
    pub fn show(&mut self, key: Key, life: u32, shown: Shown) {
        match self.shown.entry((key, life)) {
            Entry::Vacant(first) => {
                first.insert(shown);
            }
            Entry::Occupied(mut known) if known.get().version < shown.version => {
                known.insert(shown);
            }
            Entry::Occupied(_) => {}
        }
    }

    /// A level was at that very version at some time of a life.
    pub fn find(&mut self, key: Key, life: u32, version: u64) {
        let least = self.found.entry((key, life)).or_insert(version);
        *least = version.min(*least);
    }

    /// Takes those of another client in.
    pub fn merge(&mut self, other: Self) {
        for ((key, life), shown) in other.shown {
            self.show(key, life, shown);
        }
        for ((key, life), version) in other.found {
            self.find(key, life, version);
        }
        self.left_out.merge(other.left_out);
    }

    /// Everything that was taken back, the earliest first; `names` has the name of each level. Within a life nothing is compared: there the answers of a moment overtake
    /// one another, and only the checker knows their times.
    pub fn taken_back(&self, names: &[String]) -> Vec<TakenBack> {
        let mut taken_back = Vec::new();
        let mut latest: Option<(Key, u32, Shown)> = None;
        let moments: BTreeSet<_> = self.shown.keys().chain(self.found.keys()).copied().collect();
        for (key, life) in moments {
            latest = latest.filter(|(of, ..)| *of == key);
            if let (Some((_, shown_in, shown)), Some(found)) = (latest, self.found.get(&(key, life)))
                && *found < shown.version
            {
                let (name, found) = (names[key.0 as usize].clone(), *found);
                taken_back.push(TakenBack { name, shown, life: shown_in, found, found_in: life });
                // From here on it is as it was found: the same loss is not counted again in each further life.
                latest = None;
            }
            if let Some(shown) = self.shown.get(&(key, life))
                && latest.is_none_or(|(_, _, before)| before.version < shown.version)
            {
                latest = Some((key, life, *shown));
            }
        }
        taken_back.sort_by_key(|taken_back| taken_back.found_in);
        taken_back
    }
}

impl View {
    /// As it is asked for.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Listing => "GET /v1/stock",
            Self::Export => "GET /v1/export",
        }
    }
}

impl fmt::Display for TakenBack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, shown: Shown { version, is_missing, by }, life, found, found_in } = self;
        let by = by.name();
        if *is_missing {
            write!(
                f,
                "{name} was missing from {by} in life {life}, so deleted at version {version} or later, "
            )?;
        } else {
            write!(f, "{name} was at version {version} in {by} in life {life}, ")?;
        }
        write!(f, "and at version {found} in life {found_in}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Key = Key(4);
    const B: Key = Key(5);

    fn shown(version: u64, is_missing: bool) -> Shown {
        Shown { version, is_missing, by: View::Listing }
    }

    fn taken_back(sights: &Sights) -> Vec<TakenBack> {
        sights.taken_back(&["a", "b", "c", "d", "e", "f"].map(str::to_owned))
    }

    #[test]
    fn what_was_shown_and_is_still_there_is_in_order() {
        let mut sights = Sights::default();
        sights.show(A, 1, shown(3, false));
        sights.show(A, 1, shown(4, true));
        sights.find(A, 2, 4);
        sights.find(A, 3, 6);
        // Of another level, and found before it was shown.
        sights.find(B, 2, 1);
        sights.show(B, 2, shown(2, true));
        assert_eq!(taken_back(&sights), []);
    }

    #[test]
    fn a_deletion_that_was_shown_and_is_gone_was_taken_back() {
        let mut sights = Sights::default();
        sights.show(A, 1, shown(4, true));
        sights.show(A, 1, shown(3, false));
        sights.find(A, 1, 3);
        sights.find(A, 3, 5);
        sights.find(A, 3, 3);
        sights.find(A, 4, 3);
        sights.find(B, 3, 1);
        let expected = TakenBack { name: "e".into(), shown: shown(4, true), life: 1, found: 3, found_in: 3 };
        assert_eq!(taken_back(&sights).as_slice(), std::slice::from_ref(&expected));
        let text = expected.to_string();
        assert!(
            text.starts_with("e was missing from GET /v1/stock in life 1, so deleted at version 4"),
            "{text}"
        );
        assert!(text.ends_with("at version 3 in life 3"), "{text}");
    }

    #[test]
    fn it_does_not_matter_who_saw_it_and_in_which_order_they_tell() {
        let of_one = || {
            let mut sights = Sights::default();
            sights.show(A, 1, shown(2, true));
            sights.left_out.add(|| "one".to_owned());
            sights
        };
        let of_another = || {
            let mut sights = Sights::default();
            sights.find(A, 2, 1);
            sights.show(A, 2, shown(1, false));
            sights
        };
        for (mut first, second) in [(of_one(), of_another()), (of_another(), of_one())] {
            first.merge(second);
            assert_eq!(taken_back(&first).len(), 1);
            assert_eq!(first.left_out.count, 1);
        }
    }

    #[test]
    fn each_loss_counts_once() {
        let mut sights = Sights::default();
        sights.show(A, 1, shown(8, false));
        sights.find(A, 2, 7);
        sights.find(A, 3, 7);
        sights.show(A, 3, shown(9, false));
        sights.find(A, 4, 8);
        let losses: Vec<_> = taken_back(&sights).iter().map(|lost| (lost.life, lost.found_in)).collect();
        assert_eq!(losses, [(1, 2), (3, 4)]);
    }
}
