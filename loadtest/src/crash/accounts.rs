//! The books: what the acknowledged changes add up to, against what the server shows in the end.
//!
//! Every level's version counts its changes, so each acknowledged change has a number of its own, from 1 to the final
//! version without a gap. A number that two answers carry, or that lies beyond the final version, is an acknowledged
//! change that is *missing*. A number that no answer carries is a change nobody asked for: one that was applied
//! *twice*. A transaction of which some levels are missing and others are not is *torn*. This needs no checker, only
//! that no outcome is left unknown, and it is independent of the order of anything.

use std::collections::BTreeMap;

use history::{Effect, Outcome, Record, Request, Seen, Stock};
use serde::Serialize;

/// Levels that are told in full.
const LISTED_MAX: usize = 5;

/// What the books say.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Accounts {
    /// Changes of a level that were acknowledged, the opening included.
    pub acknowledged: u64,
    /// Of these, those that the final state does not have.
    pub missing: u64,
    /// Changes in the final state that were never acknowledged, although every write was: applied twice.
    pub doubled: u64,
    /// Acknowledged transactions that the final state has in part.
    pub torn: u64,
    /// Levels with any of these, or with other units than computed.
    pub levels_wrong: u64,
    /// Levels of which nobody can say, since a write to them was never answered.
    pub levels_uncertain: u64,
    /// The first of the wrong levels.
    pub listed: Vec<WrongLevel>,
}

/// A level that is not what the acknowledged changes make of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WrongLevel {
    /// The level.
    pub name: String,
    /// Units according to the acknowledged changes.
    pub expected_on_hand: i64,
    /// Units in the end; `None` if there is no level.
    pub found_on_hand: Option<u64>,
    /// Acknowledged changes, which is the version to expect.
    pub expected_version: u64,
    /// The version in the end.
    pub found_version: u64,
    /// Versions whose change is missing.
    pub missing: Vec<u64>,
    /// Versions that no answer carried.
    pub doubled: Vec<u64>,
}

/// One level's page in the books.
#[derive(Debug, Clone, Default)]
struct Page {
    units: i64,
    /// Version, when it was sent, and by which record.
    acknowledged: Vec<(u64, u64, usize)>,
    uncertain: bool,
}

/// Closes the books over everything that was recorded, against the final levels by key.
pub fn close(records: &[Record], names: &[String], finals: &[Option<Seen>]) -> Accounts {
    let mut pages = enter(records, names.len());
    let mut accounts = Accounts::default();
    // How many levels of a transaction are missing.
    let mut lost: BTreeMap<usize, usize> = BTreeMap::new();
    for (key, page) in pages.iter_mut().enumerate() {
        let found = finals.get(key).copied().flatten();
        let version = found.map_or(0, |seen| seen.version);
        let on_hand = found.and_then(|seen| match seen.stock {
            Stock::Level { on_hand, .. } => Some(on_hand),
            _ => None,
        });
        accounts.acknowledged += page.acknowledged.len() as u64;
        let (missing, mut doubled) = page.against(version);
        for (_, record) in &missing {
            *lost.entry(*record).or_default() += 1;
        }
        if page.uncertain {
            // A write that was never answered may have made these.
            accounts.levels_uncertain += 1;
            doubled = Vec::new();
        }
        accounts.missing += missing.len() as u64;
        accounts.doubled += doubled.len() as u64;
        let same_units = i64::try_from(on_hand.unwrap_or(0)).is_ok_and(|units| units == page.units);
        if missing.is_empty() && doubled.is_empty() && (same_units || page.uncertain) {
            continue;
        }
        accounts.levels_wrong += 1;
        if accounts.listed.len() < LISTED_MAX {
            accounts.listed.push(WrongLevel {
                name: names[key].clone(),
                expected_on_hand: page.units,
                found_on_hand: on_hand,
                expected_version: page.acknowledged.len() as u64,
                found_version: version,
                missing: missing.into_iter().map(|(version, _)| version).collect(),
                doubled,
            });
        }
    }
    let is_torn = |(record, levels): (&usize, &usize)| match &records[*record].outcome {
        Outcome::Applied(seen) => *levels < seen.len(),
        _ => false,
    };
    accounts.torn = lost.iter().filter(|lost| is_torn(*lost)).count() as u64;
    accounts
}

/// Enters every acknowledged change on the page of its level.
fn enter(records: &[Record], levels: usize) -> Vec<Page> {
    let mut pages = vec![Page::default(); levels];
    for (number, record) in records.iter().enumerate() {
        let Request::Write(lines) = &record.request else { continue };
        match &record.outcome {
            Outcome::Applied(seen) => {
                for seen in seen {
                    let entry = (seen.version, record.invoked_ns, number);
                    pages[seen.key.0 as usize].acknowledged.push(entry);
                }
                for line in lines {
                    let units = &mut pages[line.key.0 as usize].units;
                    match line.effect {
                        Effect::Add(delta) | Effect::AddOrCreate(delta) => *units += delta,
                        Effect::Create(on_hand) | Effect::Count { on_hand, .. } => {
                            *units = i64::try_from(on_hand).unwrap_or(i64::MAX);
                        }
                        Effect::Delete => *units = 0,
                    }
                }
            }
            Outcome::Unknown => lines.iter().for_each(|line| pages[line.key.0 as usize].uncertain = true),
            _ => {}
        }
    }
    pages
}

impl Page {
    /// The acknowledged changes that a level of this version does not have, each with its record, and the versions
    /// that no answer carried. Of two changes of one version the later one is taken for the one that is there: the
    /// earlier one was forgotten, else its version would not have been given again.
    fn against(&mut self, version: u64) -> (Vec<(u64, usize)>, Vec<u64>) {
        self.acknowledged.sort_unstable();
        let (mut missing, mut doubled) = (Vec::new(), Vec::new());
        let mut next = 1;
        for same in self.acknowledged.chunk_by(|a, b| a.0 == b.0) {
            let made = same[0].0;
            let kept = usize::from(made <= version);
            missing.extend(same[..same.len() - kept].iter().map(|(made, _, record)| (*made, *record)));
            doubled.extend(next..made.min(version + 1));
            next = made + 1;
        }
        doubled.extend(next..=version);
        (missing, doubled)
    }
}

#[cfg(test)]
mod tests {
    use history::{Key, Line};

    use super::*;

    fn seen(key: u32, version: u64, on_hand: u64) -> Seen {
        Seen { key: Key(key), version, stock: Stock::Level { on_hand, reserved: 0 } }
    }

    fn write(at: u64, lines: &[(u32, Effect)], outcome: Outcome) -> Record {
        let line = |(key, effect): &(u32, Effect)| Line { key: Key(*key), effect: *effect };
        let request = Request::Write(lines.iter().map(line).collect());
        Record { client: 0, invoked_ns: at, returned_ns: at + 1, request, outcome, once: None }
    }

    /// Two levels with 10 units each, opened; then one transaction that moves 3 from the first to the second.
    fn books() -> Vec<Record> {
        vec![
            write(1, &[(0, Effect::Create(10))], Outcome::Applied(vec![seen(0, 1, 10)])),
            write(2, &[(1, Effect::Create(10))], Outcome::Applied(vec![seen(1, 1, 10)])),
            write(
                3,
                &[(0, Effect::Add(-3)), (1, Effect::Add(3))],
                Outcome::Applied(vec![seen(0, 2, 7), seen(1, 2, 13)]),
            ),
        ]
    }

    fn closed(records: &[Record], last: [Option<Seen>; 2]) -> Accounts {
        close(records, &["a".to_owned(), "b".to_owned()], &last)
    }

    #[test]
    fn books_that_balance_are_clean() {
        let accounts = closed(&books(), [Some(seen(0, 2, 7)), Some(seen(1, 2, 13))]);
        assert_eq!(accounts, Accounts { acknowledged: 4, ..Accounts::default() });
    }

    #[test]
    fn a_forgotten_transaction_is_missing_and_whole() {
        let accounts = closed(&books(), [Some(seen(0, 1, 10)), Some(seen(1, 1, 10))]);
        assert_eq!((accounts.missing, accounts.doubled, accounts.torn), (2, 0, 0));
        assert_eq!(accounts.listed[0].missing, [2]);
    }

    #[test]
    fn half_a_transaction_is_torn() {
        let accounts = closed(&books(), [Some(seen(0, 2, 7)), Some(seen(1, 1, 10))]);
        assert_eq!((accounts.missing, accounts.torn, accounts.levels_wrong), (1, 1, 1));
        let gone = closed(&books(), [Some(seen(0, 2, 7)), None]);
        assert_eq!((gone.missing, gone.torn), (2, 1));
    }

    #[test]
    fn a_version_given_again_is_a_missing_change_of_the_earlier_one() {
        let mut records = books();
        records.push(write(9, &[(0, Effect::Add(-1))], Outcome::Applied(vec![seen(0, 2, 9)])));
        let accounts = closed(&records, [Some(seen(0, 2, 9)), Some(seen(1, 2, 13))]);
        assert_eq!((accounts.missing, accounts.doubled, accounts.torn), (1, 0, 1));
    }

    #[test]
    fn a_version_that_nobody_was_told_of_was_applied_twice() {
        let mut records = books();
        records.push(write(9, &[(0, Effect::Add(-1))], Outcome::Applied(vec![seen(0, 4, 5)])));
        let accounts = closed(&records, [Some(seen(0, 4, 5)), Some(seen(1, 3, 13))]);
        assert_eq!((accounts.missing, accounts.doubled, accounts.torn), (0, 2, 0));
        assert_eq!((&accounts.listed[0].doubled, &accounts.listed[1].doubled), (&vec![3], &vec![3]));
    }

    #[test]
    fn wrong_units_are_wrong_whatever_the_version() {
        let accounts = closed(&books(), [Some(seen(0, 2, 8)), Some(seen(1, 2, 13))]);
        assert_eq!((accounts.missing, accounts.levels_wrong), (0, 1));
    }

    #[test]
    fn what_was_never_answered_leaves_its_levels_uncertain() {
        let mut records = books();
        records.push(write(9, &[(0, Effect::Add(-1))], Outcome::Unknown));
        let accounts = closed(&records, [Some(seen(0, 3, 6)), Some(seen(1, 2, 13))]);
        assert_eq!((accounts.doubled, accounts.levels_wrong, accounts.levels_uncertain), (0, 0, 1));
    }
}
