//! What an audit finds.

use std::collections::BTreeMap;

use super::holds::Lives;
use super::orders::Fates;
use super::{Answer, Ask, Books, HoldState, Ledger, OrderState};

/// Findings that are told in full; the rest are counted.
const LISTED_MAX: usize = 20;

/// A promise that was broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// The ledger is no history of a level, or of all of them together.
    BrokenLedger,
    /// A movement that nobody asked for.
    Unexplained,
    /// An acknowledged change is not in the ledger.
    Lost,
    /// A change is in the ledger more than once.
    Twice,
    /// A change is in the ledger in part, or with other units.
    Torn,
    /// A change was refused, and is in the ledger.
    DoneAllTheSame,
    /// An answer shows units that the level never had at that version.
    WrongValue,
    /// An answer is older than what was known before it was asked for.
    Stale,
    /// An answer shows what happened only after it came; or the ledger has the order wrong.
    BeforeItsTime,
    /// A reservation expired before its deadline.
    ExpiredEarly,
    /// A reservation held after its deadline.
    HeldTooLong,
    /// A reservation ended more than once.
    SettledTwice,
    /// A reservation was acknowledged, and is gone.
    LostReservation,
    /// A reservation or an order is said to be in a state that it never was in, or not any more.
    WrongState,
    /// Something was refused that could have been done.
    FalseRefusal,
    /// An order was accepted, and is gone.
    LostOrder,
    /// An order took its units more than once.
    FulfilledTwice,
    /// An order was served although one that is before it waits for the same level.
    Overtaken,
    /// An order waits for units that are there.
    SleptThrough,
    /// More came back than was taken.
    ReturnedTwice,
}

impl Fault {
    /// In capitals, as verdicts are.
    pub const fn name(self) -> &'static str {
        match self {
            Self::BrokenLedger => "BROKEN LEDGER",
            Self::Unexplained => "UNEXPLAINED MOVEMENT",
            Self::Lost => "LOST UPDATE",
            Self::Twice => "APPLIED TWICE",
            Self::Torn => "TORN",
            Self::DoneAllTheSame => "REFUSED AND DONE",
            Self::WrongValue => "WRONG VALUE",
            Self::Stale => "STALE ANSWER",
            Self::BeforeItsTime => "BEFORE ITS TIME",
            Self::ExpiredEarly => "EXPIRED EARLY",
            Self::HeldTooLong => "HELD TOO LONG",
            Self::SettledTwice => "SETTLED TWICE",
            Self::LostReservation => "LOST RESERVATION",
            Self::WrongState => "WRONG STATE",
            Self::FalseRefusal => "FALSE REFUSAL",
            Self::LostOrder => "LOST ORDER",
            Self::FulfilledTwice => "FULFILLED TWICE",
            Self::Overtaken => "OVERTAKEN",
            Self::SleptThrough => "SLEPT THROUGH",
            Self::ReturnedTwice => "RETURNED TWICE",
        }
    }
}

/// One broken promise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Which.
    pub fault: Fault,
    /// Who, what and when, in one line.
    pub text: String,
}

/// What an audit came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Audit {
    /// The first of what was found.
    pub listed: Vec<Finding>,
    /// All of it.
    pub by_fault: BTreeMap<Fault, u64>,
    /// What the books are of.
    pub counts: Counts,
}

/// What happened, so that a reader sees what was tried.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "counts of what they are named after")]
pub struct Counts {
    pub asked: u64,
    pub unknown: u64,
    pub movements: u64,
    /// Refusals that were judged.
    pub refusals: u64,
    pub holds_by_state: BTreeMap<HoldState, u64>,
    /// Of the committed: those that shipped a part.
    pub holds_committed_in_part: u64,
    pub holds_extended: u64,
    /// By the last that is known of each.
    pub orders_by_state: BTreeMap<OrderState, u64>,
    /// Orders that waited for units and had them later.
    pub orders_fulfilled_late: u64,
    pub returns: u64,
    pub returns_refused: u64,
}

impl Audit {
    /// Whether nothing was found.
    pub fn is_clean(&self) -> bool {
        self.by_fault.is_empty()
    }

    /// How much was found.
    pub fn total(&self) -> u64 {
        self.by_fault.values().sum()
    }
}

/// What is being found.
#[derive(Debug, Default)]
pub(super) struct Findings {
    listed: Vec<Finding>,
    by_fault: BTreeMap<Fault, u64>,
}

impl Findings {
    /// Adds one. The words are made only if they are told.
    pub(super) fn add(&mut self, fault: Fault, text: impl FnOnce() -> String) {
        *self.by_fault.entry(fault).or_default() += 1;
        // The first of each kind is told, however many there are of another.
        if self.listed.len() < LISTED_MAX || self.by_fault[&fault] == 1 {
            self.listed.push(Finding { fault, text: text() });
        }
    }

    pub(super) fn into_audit(self, counts: Counts) -> Audit {
        Audit { listed: self.listed, by_fault: self.by_fault, counts }
    }
}

impl Counts {
    pub(super) fn of(books: &Books, ledger: &Ledger<'_>, lives: &Lives, fates: &Fates) -> Self {
        let mut counts = Self {
            asked: books.told.len() as u64,
            unknown: books.told.iter().filter(|told| !told.is_answered()).count() as u64,
            movements: ledger.movements().len() as u64,
            ..Self::default()
        };
        for told in &books.told {
            match (&told.ask, &told.answer) {
                (Ask::Return { .. }, Answer::Order(_)) => counts.returns += 1,
                (Ask::Return { .. }, Answer::Left(_)) => counts.returns_refused += 1,
                (Ask::Extend { .. }, Answer::Hold(_)) => counts.holds_extended += 1,
                (_, Answer::Short(_)) => counts.refusals += 1,
                _ => {}
            }
        }
        for life in lives.values() {
            *counts.holds_by_state.entry(life.state).or_default() += 1;
            counts.holds_committed_in_part += u64::from(life.is_in_part);
        }
        for fate in fates.values() {
            *counts.orders_by_state.entry(fate.last_seen).or_default() += 1;
            let waited = fate.seen_waiting_ns.is_some() && !fate.taken.is_empty();
            counts.orders_fulfilled_late += u64::from(waited);
        }
        counts
    }
}
