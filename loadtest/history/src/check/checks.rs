//! The checks of single levels, the cheapest first; one that comes later, of reservations or of the discipline of a queue, is
//! put beside them here.
//!
//! A check looks at one level, and says what it found and what it leaves open. Which one has anything to say depends on
//! what answers tell: with versions [`Versions`] decides alone, and completely; without, [`Books`] add up, [`Order`] decides
//! if it comes to an end, and [`Bounds`] say what can be said if it does not. What ties levels together comes after all of them ([`super::joints`], [`super::order`]).

use std::cell::OnceCell;

use super::found::{Findings, Found};
use super::index::{Index, Row};
use super::level;
use super::untold::Life;
use super::untold::books;
use super::untold::search::{Ending, search};
use super::untold::shrink::shrink;
use super::verdict::Residual;
use super::violation::Kind;
use crate::record::Key;

/// Every check, in the order in which a level is given to them.
pub(super) const CHECKS: [&dyn Check; 4] = [&Books, &Versions, &Order, &Bounds];

/// A check of one level.
pub(super) trait Check: Sync {
    /// Whether it has anything to say of a level.
    fn concerns(&self, row: &Row) -> bool;

    /// Looks at a level, of which the checks before have left this open.
    fn look(&self, subject: &Subject<'_>, before: Left, findings: &mut Findings) -> Left;
}

/// A level that is looked at.
pub(super) struct Subject<'a> {
    pub(super) index: &'a Index<'a>,
    pub(super) row: &'a Row,
    /// The most steps that a search may waste.
    pub(super) search_steps: u64,
    life: OnceCell<Life>,
}

impl<'a> Subject<'a> {
    pub(super) fn new(index: &'a Index<'a>, row: &'a Row, search_steps: u64) -> Self {
        Self { index, row, search_steps, life: OnceCell::new() }
    }

    /// What happened on it, laid out for checks that know no versions; once for all of them.
    fn life(&self) -> &Life {
        self.life.get_or_init(|| Life::of(self.index, self.row))
    }

    fn key(&self) -> Key {
        Key(self.row.key)
    }
}

/// What a check leaves open.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Left {
    /// Versions that writes of unknown outcome have yet to explain.
    pub(super) has_missing: bool,
    /// Whether its bound was reached.
    pub(super) gave_up: bool,
    /// What unknown outcomes leave open.
    pub(super) residual: Residual,
}

impl Left {
    /// What is left open when another check has looked as well.
    pub(super) fn and(self, other: Left) -> Left {
        let mut residual = self.residual;
        residual.add(other.residual);
        Left {
            has_missing: self.has_missing || other.has_missing,
            gave_up: self.gave_up || other.gave_up,
            residual,
        }
    }
}

/// The units add up at the end.
struct Books;

impl Check for Books {
    fn concerns(&self, row: &Row) -> bool {
        row.is_untold
    }

    fn look(&self, subject: &Subject<'_>, _: Left, findings: &mut Findings) -> Left {
        let key = subject.key();
        // Whoever reads the same wrong stock once more says nothing new.
        let found = books::imbalances(subject.life()).find(|found| found.kind == Kind::Unbalanced);
        findings.extend(found.map(|imbalance| Found::Imbalance { key, imbalance }));
        Left { residual: books::residual(subject.life()), ..Left::default() }
    }
}

/// The versions are an order that explains every answer.
struct Versions;

impl Check for Versions {
    fn concerns(&self, row: &Row) -> bool {
        !row.is_untold
    }

    fn look(&self, subject: &Subject<'_>, _: Left, findings: &mut Findings) -> Left {
        let has_missing = level::check(subject.index, subject.row, findings);
        Left { has_missing, ..Left::default() }
    }
}

/// There is an order that explains every answer, if it has to be found without versions.
struct Order;

impl Check for Order {
    fn concerns(&self, row: &Row) -> bool {
        row.is_untold
    }

    fn look(&self, subject: &Subject<'_>, _: Left, findings: &mut Findings) -> Left {
        let Life { base, acts } = subject.life();
        // Each operation costs a step when nothing goes wrong.
        let mut steps = subject.search_steps.saturating_add(8 * acts.len() as u64);
        match search(*base, acts, &mut steps) {
            Ending::Explained => Left::default(),
            Ending::GaveUp => Left { gave_up: true, ..Left::default() },
            Ending::Stuck { at, anchor } => {
                let contradiction = Box::new(shrink(acts, at, &anchor));
                findings.add(Found::Contradiction { key: subject.key(), contradiction });
                Left::default()
            }
        }
    }
}

/// No answer shows what no order could give, if none could be searched for to the end.
struct Bounds;

impl Check for Bounds {
    fn concerns(&self, row: &Row) -> bool {
        row.is_untold
    }

    fn look(&self, subject: &Subject<'_>, before: Left, findings: &mut Findings) -> Left {
        if before.gave_up {
            let key = subject.key();
            // What follows the first is mostly its consequence.
            let found = books::imbalances(subject.life()).find(|found| found.kind != Kind::Unbalanced);
            findings.extend(found.map(|imbalance| Found::Imbalance { key, imbalance }));
        }
        Left::default()
    }
}
