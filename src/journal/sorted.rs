//! [`Sorted`]: a set in order that costs little more than what is in it, for what there may be millions of.
//!
//! Short runs, each in order and in memory of its own, one after the other: a B-tree of two levels. A tree of the standard library
//! fills its nodes of eleven to little more than half where keys come in order, and keeps room in them for keys and values; here a run
//! grows by an eighth, and one that is split where most come at the end stays nearly full.
//!
//! It holds what the keys are of, and asks that for its key, so that the key need not be there twice. Beside each run lies a key that
//! is at or below all of it, so that finding the run looks into none.
//!
//! Bounds: an insertion moves a run at most, [`RUN_MAX`] entries; and once in half as many the list of runs, or the half of it that is
//! shorter.

use std::cmp::Ordering;
use std::collections::VecDeque;
use std::fmt;

/// Entries of a run, unless said otherwise.
pub(super) const RUN_MAX: usize = 128;

/// What may be kept in order.
pub(super) trait Keyed {
    /// By what it is found. No two in a set have the same.
    type Key: Ord + Copy + fmt::Debug;

    /// Its key, which does not change while it is in a set.
    fn key(&self) -> Self::Key;

    /// How its key compares with that one: for what has a part of its key at hand, which nearly always tells.
    fn compare(&self, key: &Self::Key) -> Ordering {
        self.key().cmp(key)
    }
}

/// The set.
#[derive(Debug)]
pub(super) struct Sorted<T: Keyed, const MAX: usize = RUN_MAX> {
    /// None is empty.
    runs: VecDeque<Run<T>>,
}

#[derive(Debug)]
struct Run<T: Keyed> {
    /// At or below the key of each entry, and above those of the run before.
    from: T::Key,
    entries: Vec<T>,
}

impl<T: Keyed, const MAX: usize> Default for Sorted<T, MAX> {
    fn default() -> Self {
        Self { runs: VecDeque::new() }
    }
}

impl<T: Keyed, const MAX: usize> Sorted<T, MAX> {
    /// Puts it in, in place of what had its key.
    pub(super) fn insert(&mut self, entry: T) {
        let key = entry.key();
        if self.runs.is_empty() {
            self.runs.push_back(Run { from: key, entries: Vec::new() });
        }
        let mut at = self.run_of(&key);
        if self.runs[at].entries.len() == MAX {
            self.split(at);
            at = self.run_of(&key);
        }
        let run = &mut self.runs[at];
        match run.place_of(&key) {
            Ok(place) => run.entries[place] = entry,
            Err(place) => {
                run.from = run.from.min(key);
                run.grow(MAX);
                run.entries.insert(place, entry);
            }
        }
    }

    /// Takes out what has that key.
    pub(super) fn remove(&mut self, key: &T::Key) -> Option<T> {
        let at = self.run_of(key);
        let run = self.runs.get_mut(at)?;
        let place = run.place_of(key).ok()?;
        let removed = run.entries.remove(place);
        if run.entries.is_empty() {
            self.runs.remove(at);
        } else {
            self.join(at);
        }
        Some(removed)
    }

    /// What has that key.
    pub(super) fn get(&self, key: &T::Key) -> Option<&T> {
        let run = self.runs.get(self.run_of(key))?;
        run.place_of(key).ok().map(|place| &run.entries[place])
    }

    /// The first.
    pub(super) fn first(&self) -> Option<&T> {
        self.runs.front().and_then(|run| run.entries.first())
    }

    /// All, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.runs.iter().flat_map(|run| &run.entries)
    }

    /// Those whose keys are at or above that one, in order.
    pub(super) fn at_or_above(&self, key: &T::Key) -> impl Iterator<Item = &T> + use<'_, T, MAX> {
        let at = self.run_of(key);
        let below = self.runs.get(at).map_or(0, |run| run.place_of(key).unwrap_or_else(|place| place));
        self.runs.range(at.min(self.runs.len())..).flat_map(|run| &run.entries).skip(below)
    }

    /// The run in which a key is, if it is in any, or belongs.
    fn run_of(&self, key: &T::Key) -> usize {
        self.runs.partition_point(|run| run.from <= *key).saturating_sub(1)
    }

    /// Makes two of a run that is full.
    fn split(&mut self, at: usize) {
        // Of the last run most stay where they are: what comes next comes after them, if keys rise with time.
        let keep = if at + 1 == self.runs.len() { MAX - MAX / 8 } else { MAX / 2 };
        let run = &mut self.runs[at];
        let entries = run.entries.split_off(keep.min(MAX - 1));
        run.entries.shrink_to_fit();
        let from = entries[0].key();
        self.runs.insert(at + 1, Run { from, entries });
    }

    /// Makes one of this run and the one before it, or the one after it, where both are short; and gives back room where most of it is
    /// free.
    fn join(&mut self, at: usize) {
        let len = |at: usize| self.runs.get(at).map_or(MAX, |run| run.entries.len());
        let is_short = |at: usize| len(at) + len(at + 1) <= MAX / 2;
        let left = at.checked_sub(1).filter(|left| is_short(*left)).unwrap_or(at);
        if is_short(left)
            && let Some(mut right) = self.runs.remove(left + 1)
        {
            self.runs[left].entries.append(&mut right.entries);
        }
        let entries = &mut self.runs[left].entries;
        if entries.len() < entries.capacity() / 2 {
            entries.shrink_to_fit();
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.runs.iter().map(|run| run.entries.len()).sum()
    }
}

impl<T: Keyed> Run<T> {
    fn place_of(&self, key: &T::Key) -> Result<usize, usize> {
        self.entries.binary_search_by(|entry| entry.compare(key))
    }

    /// Makes room for one more: an eighth more, rather than twice as much.
    fn grow(&mut self, max: usize) {
        let len = self.entries.len();
        if len == self.entries.capacity() {
            self.entries.reserve_exact((len / 8).max(4).min(max - len));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    /// A key, and what tells it from another of the same key.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    struct Numbered(u16, usize);

    impl Keyed for Numbered {
        type Key = u16;

        fn key(&self) -> u16 {
            self.0
        }
    }

    impl<const MAX: usize> Sorted<Numbered, MAX> {
        /// What each operation relies on.
        fn assert_whole(&self) {
            let mut before = None;
            for run in &self.runs {
                assert!(!run.entries.is_empty() && run.entries.len() <= MAX);
                assert!(run.entries.capacity() <= MAX.max(4));
                assert!(before.is_none_or(|before| before < run.from) && run.from <= run.entries[0].0);
                assert!(run.entries.is_sorted_by(|left, right| left.0 < right.0));
                before = run.entries.last().map(|last| last.0);
            }
        }
    }

    fn is_as_a_tree<const MAX: usize>(steps: &[(bool, u16)]) {
        let (mut sorted, mut tree) = (Sorted::<Numbered, MAX>::default(), BTreeMap::new());
        for (step, &(is_in, key)) in steps.iter().enumerate() {
            if is_in {
                let entry = Numbered(key, step);
                sorted.insert(entry);
                tree.insert(key, entry);
            } else {
                assert_eq!(sorted.remove(&key), tree.remove(&key));
            }
            sorted.assert_whole();
            assert_eq!(sorted.get(&key), tree.get(&key));
            assert_eq!(sorted.first(), tree.values().next());
            assert!(sorted.at_or_above(&key).eq(tree.range(key..).map(|(_, entry)| entry)));
        }
        assert!(sorted.iter().eq(tree.values()));
        assert_eq!(sorted.len(), tree.len());
    }

    proptest! {
        /// It is what a tree of the standard library is, however its runs come to be split and joined.
        #[test]
        fn it_is_as_a_tree(steps in prop::collection::vec((prop::bool::weighted(0.6), 0..200_u16), 0..600)) {
            is_as_a_tree::<2>(&steps);
            is_as_a_tree::<8>(&steps);
            is_as_a_tree::<RUN_MAX>(&steps);
        }
    }

    /// What comes in order, or nearly so, lies nearly full; and what went leaves no room behind.
    #[test]
    fn it_costs_little_more_than_what_is_in_it() {
        let mut sorted = Sorted::<Numbered>::default();
        let room = |sorted: &Sorted<Numbered>| -> usize {
            sorted.runs.iter().map(|run| run.entries.capacity()).sum()
        };
        for key in 0..40_000_u16 {
            sorted.insert(Numbered(key ^ 3, 0));
        }
        assert!(room(&sorted) < 41_000, "{}", room(&sorted));
        for key in (0..40_000).filter(|key| key % 100 > 0) {
            sorted.remove(&key);
        }
        sorted.assert_whole();
        assert_eq!(sorted.len(), 400);
        assert!(room(&sorted) <= 1_600 && sorted.runs.len() < 20, "{} {}", room(&sorted), sorted.runs.len());
    }
}
