//! A part of the proof while the run goes on: no level can have more acknowledged changes than versions.
//!
//! Every change raises the version of its level by exactly 1, and the levels of a run are new, so the acknowledged changes of a
//! level have as many different versions, none above the highest that was acknowledged. If there are more of them, two have
//! the same version and one of the two is lost (pigeonhole). That there are not more proves nothing: most faults cannot be
//! seen so, and the checker judges everything in the end.
//!
//! Each thread of clients has books of its own, which cost two numbers for each level.

use std::sync::atomic::{AtomicU64, Ordering};

use history::{Outcome, Seen};

/// What one thread of clients was told.
#[derive(Debug)]
#[repr(align(128))]
pub struct Books {
    recorded: AtomicU64,
    unknown: AtomicU64,
    breaches: AtomicU64,
    untold: AtomicU64,
    /// By level: how many changes were acknowledged, and the highest version that was.
    levels: Box<[(AtomicU64, AtomicU64)]>,
}

/// What all of them were told, added up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SoFar {
    /// Operations that were recorded.
    pub recorded: u64,
    /// Of these, writes of which nobody knows whether they happened.
    pub unknown: u64,
    /// Answers that did not fit the contract.
    pub breaches: u64,
    /// Changes whose answers did not tell the version: these books say nothing of them.
    pub untold: u64,
    /// How many levels there are.
    pub levels: usize,
    /// A level with more acknowledged changes than versions.
    pub lost: Option<Lost>,
}

/// A proof that an update was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lost {
    /// The index of the level.
    pub level: usize,
    /// How many changes of it were acknowledged.
    pub changes: u64,
    /// The highest version that any of them had.
    pub version: u64,
}

impl Books {
    /// Empty ones, for this many levels.
    pub fn new(levels: usize) -> Self {
        let levels = (0..levels).map(|_| (AtomicU64::new(0), AtomicU64::new(0))).collect();
        let [recorded, unknown, breaches, untold] = [const { AtomicU64::new(0) }; 4];
        Self { recorded, unknown, breaches, untold, levels }
    }

    /// Takes down what became of a recorded operation.
    pub fn note(&self, outcome: &Outcome) {
        self.recorded.fetch_add(1, Ordering::Relaxed);
        match outcome {
            Outcome::Applied(levels) => levels.iter().for_each(|seen| self.changed(seen)),
            Outcome::Unknown => {
                self.unknown.fetch_add(1, Ordering::Relaxed);
            }
            Outcome::Read(_) | Outcome::Snapshot { .. } | Outcome::Refused(_) | Outcome::NotApplied => {}
        }
    }

    /// Counts an answer that did not fit the contract.
    pub fn breach(&self) {
        self.breaches.fetch_add(1, Ordering::Relaxed);
    }

    fn changed(&self, seen: &Seen) {
        if !seen.is_version_told() {
            self.untold.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let Some((changes, version)) = self.levels.get(seen.key.0 as usize) else { return };
        version.fetch_max(seen.version, Ordering::Relaxed);
        // Release, and acquire below: whoever sees the change counted sees a version that is no lower than its own.
        changes.fetch_add(1, Ordering::Release);
    }
}

impl SoFar {
    /// What all these say together. Changes are read before versions: what comes in between makes a level look better, never
    /// worse.
    pub fn of(books: &[&Books]) -> Self {
        let sum = |of: fn(&Books) -> &AtomicU64| -> u64 {
            books.iter().map(|books| of(books).load(Ordering::Relaxed)).sum()
        };
        let levels = books.first().map_or(0, |books| books.levels.len());
        let lost = (0..levels).find_map(|level| {
            let each = || books.iter().filter_map(|books| books.levels.get(level));
            let changes = each().map(|(changes, _)| changes.load(Ordering::Acquire)).sum();
            let version = each().map(|(_, version)| version.load(Ordering::Relaxed)).max()?;
            (changes > version).then_some(Lost { level, changes, version })
        });
        Self {
            recorded: sum(|books| &books.recorded),
            unknown: sum(|books| &books.unknown),
            breaches: sum(|books| &books.breaches),
            untold: sum(|books| &books.untold),
            levels,
            lost,
        }
    }
}

#[cfg(test)]
mod tests {
    use history::{Key, Stock};

    use super::*;

    fn applied(levels: &[(u32, u64)]) -> Outcome {
        let seen = |&(key, version)| Seen { key: Key(key), version, stock: Stock::Untold };
        Outcome::Applied(levels.iter().map(seen).collect())
    }

    #[test]
    fn two_changes_of_one_version_are_one_too_many_whichever_thread_saw_them() {
        let books = [Books::new(2), Books::new(2)];
        let so_far = || SoFar::of(&books.each_ref());
        books[0].note(&applied(&[(0, 1), (1, 1)]));
        books[1].note(&applied(&[(1, 3)]));
        books[0].note(&Outcome::Unknown);
        books[1].breach();
        assert_eq!(so_far(), SoFar { recorded: 3, unknown: 1, breaches: 1, levels: 2, ..SoFar::default() });
        // Not yet proved: it could still be version 2.
        books[0].note(&applied(&[(1, 3)]));
        assert_eq!(so_far().lost, None);
        books[1].note(&applied(&[(1, 2)]));
        assert_eq!(so_far().lost, Some(Lost { level: 1, changes: 4, version: 3 }));
    }

    #[test]
    fn what_tells_no_version_accuses_nobody() {
        let books = Books::new(1);
        for _ in 0..3 {
            books.note(&Outcome::Applied(vec![Seen::unversioned(Key(0), Stock::Untold)]));
        }
        books.note(&applied(&[(9, 1)]));
        let so_far = SoFar::of(&[&books]);
        assert_eq!((so_far.untold, so_far.lost), (3, None));
    }
}
