//! The ledger: every change of every level, in the order of its numbers; and whether it is a history at all.

use std::collections::{BTreeMap, HashMap};

use super::finding::{Fault, Findings};
use super::{Books, Name, Told};

/// A change of one level, as the ledger shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the members of a movement")]
pub struct Movement {
    pub seq: u64,
    pub kind: MovementKind,
    pub level: usize,
    /// On hand and reserved.
    pub before: (u64, u64),
    /// On hand and reserved.
    pub after: (u64, u64),
    pub version: u64,
    /// The number of the question that it refers to.
    pub number: Option<u64>,
    pub hold: Option<Name>,
    pub order: Option<Name>,
}

/// What a movement was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the words of the service")]
pub enum MovementKind {
    Created,
    Adjusted,
    Reserved,
    Released,
    Shipped,
    Expired,
    Fulfilled,
    Returned,
    /// Nothing that a shop of ours asks for.
    Other,
}

/// The movements, found by what they are about. Everywhere movements are named by their place in the ledger.
#[derive(Debug)]
pub struct Ledger<'a> {
    movements: &'a [Movement],
    /// Of each level, by version: the first is version 1.
    by_level: Vec<Vec<usize>>,
    by_deed: HashMap<usize, Vec<usize>>,
    by_hold: HashMap<Name, Vec<usize>>,
    by_order: HashMap<Name, Vec<usize>>,
}

impl Movement {
    /// Units added to what is on hand, and to what is reserved.
    pub fn change(&self) -> (i64, i64) {
        let change = |after: u64, before: u64| after.cast_signed() - before.cast_signed();
        (change(self.after.0, self.before.0), change(self.after.1, self.before.1))
    }

    /// Whether there was more for others after it.
    pub fn frees(&self) -> bool {
        let (on_hand, reserved) = self.change();
        on_hand - reserved > 0
    }
}

impl<'a> Ledger<'a> {
    pub(super) fn of(books: &'a Books, findings: &mut Findings) -> Self {
        let movements = books.movements.as_slice();
        let numbers: HashMap<u64, usize> =
            books.told.iter().enumerate().map(|(deed, told)| (told.number, deed)).collect();
        let mut ledger = Self {
            movements,
            by_level: vec![Vec::new(); books.levels.len()],
            by_deed: HashMap::new(),
            by_hold: HashMap::new(),
            by_order: HashMap::new(),
        };
        for (at, movement) in movements.iter().enumerate() {
            ledger.check(books, at, findings);
            ledger.by_level[movement.level].push(at);
            if let Some(deed) = movement.number.and_then(|number| numbers.get(&number)) {
                ledger.by_deed.entry(*deed).or_default().push(at);
            }
            if let Some(name) = movement.hold {
                ledger.by_hold.entry(name).or_default().push(at);
            }
            if let Some(name) = movement.order {
                ledger.by_order.entry(name).or_default().push(at);
            }
        }
        ledger
    }

    fn check(&self, books: &Books, at: usize, findings: &mut Findings) {
        let movement = &self.movements[at];
        let level = &books.levels[movement.level];
        let mut broken = |what: &str| {
            let (seq, version) = (movement.seq, movement.version);
            findings
                .add(Fault::BrokenLedger, || format!("movement {seq} of {level}, version {version}: {what}"));
        };
        if at > 0 && self.movements[at - 1].seq >= movement.seq {
            broken("its number is not above the one before");
        }
        let last = self.by_level[movement.level].last().map(|&last| &self.movements[last]);
        if movement.version != last.map_or(1, |last| last.version + 1) {
            broken("its version is not the next");
        }
        if movement.before != last.map_or((0, 0), |last| last.after) {
            broken("before it the level was not what it was after the last movement");
        }
        if movement.after.1 > movement.after.0 {
            broken("more is reserved than there is");
        }
    }

    /// All, by place.
    pub fn movements(&self) -> &'a [Movement] {
        self.movements
    }

    /// The movement at that place.
    pub fn at(&self, at: usize) -> &'a Movement {
        &self.movements[at]
    }

    /// Those of a level, ascending by version.
    pub fn of_level(&self, level: usize) -> &[usize] {
        &self.by_level[level]
    }

    /// The movement that made that version of a level.
    pub fn version(&self, level: usize, version: u64) -> Option<usize> {
        let place = usize::try_from(version.checked_sub(1)?).ok()?;
        let of_level = &self.by_level[level];
        // Where the versions are not one after the other they are searched for.
        let exact = of_level.get(place).copied().filter(|&at| self.at(at).version == version);
        exact.or_else(|| of_level.iter().copied().find(|&at| self.at(at).version == version))
    }

    /// Those that refer to a question.
    pub fn of_deed(&self, deed: usize) -> &[usize] {
        self.by_deed.get(&deed).map_or(&[], Vec::as_slice)
    }

    /// Those of a reservation.
    pub fn of_hold(&self, name: Name) -> &[usize] {
        self.by_hold.get(&name).map_or(&[], Vec::as_slice)
    }

    /// All reservations in it.
    pub fn holds(&self) -> impl Iterator<Item = Name> + '_ {
        self.by_hold.keys().copied()
    }

    /// Those of an order.
    pub fn of_order(&self, name: Name) -> &[usize] {
        self.by_order.get(&name).map_or(&[], Vec::as_slice)
    }

    /// All orders in it.
    pub fn orders(&self) -> impl Iterator<Item = Name> + '_ {
        self.by_order.keys().copied()
    }

    /// The question that each movement refers to, by place.
    pub fn deeds(&self) -> Vec<Option<usize>> {
        let mut deeds = vec![None; self.movements.len()];
        for (&deed, of_deed) in &self.by_deed {
            for &at in of_deed {
                deeds[at] = Some(deed);
            }
        }
        deeds
    }
}

/// What was asked about each reservation, or each order: `about` says about which a question is, if it is about one; those that are only in the
/// ledger nobody asked about.
pub(super) fn talks(
    books: &Books,
    in_ledger: impl Iterator<Item = Name>,
    about: impl Fn(usize, &Told) -> Option<Name>,
) -> BTreeMap<Name, Vec<usize>> {
    let mut talks: BTreeMap<Name, Vec<usize>> = in_ledger.map(|name| (name, Vec::new())).collect();
    for (deed, told) in books.told.iter().enumerate() {
        if let Some(name) = about(deed, told) {
            talks.entry(name).or_default().push(deed);
        }
    }
    talks
}

/// When something was asked and answered, for people.
pub(super) fn when(told: &Told) -> String {
    let ms = |ns: u64| format!("{}.{:03} ms", ns / 1_000_000, ns / 1_000 % 1_000);
    if told.is_answered() {
        format!("question {} ({} to {})", told.number, ms(told.asked_ns), ms(told.answered_ns))
    } else {
        format!("question {} (from {}, never answered)", told.number, ms(told.asked_ns))
    }
}
