//! The books of a shop: reservations, orders and returns, judged by the ledger.
//!
//! Where every change is in a ledger, with its number, the version of its level and who made it, the order of things need not be
//! searched for: the service has said it, of each level at least, and of all where it says so ([`Numbered`]). What is left to decide is whether
//! that order explains everything that the clients were told, and that takes O(n log n):
//!
//! 1. **The ledger is a history of each level** ([`ledger`]): versions one after the other, each state the one before plus the change,
//!    never more reserved than there is.
//! 2. **Every deed is in it once, whole** ([`deeds`]): what was acknowledged with exactly the units that were asked for, what was refused not at
//!    all, what nobody was told of at most once; and nothing is in it that nobody asked for.
//! 3. **Every answer shows a state of it** ([`looks`]): the units of that version, which is no older than what anybody knew before the
//!    question was asked, and from no later than when the answer came. Where the numbers are no order of all, it is held against what is certain
//!    to have come before ([`precedence`]); that there is no circle in that, and that none of it was asked for too late, is strict serializability of
//!    all writes either way (Herlihy and Wing, *Linearizability*, 1990, for each level; the order of all respects real time).
//! 4. **A reservation ends once** ([`holds`]), on all its levels, as the answers say it did; and not before its deadline nor after, as far as
//!    the clients' own clock can tell: a deadline is `ttl` after some instant between question and answer.
//! 5. **An order is not lost, and takes its units once** ([`orders`]); what is rejected or cancelled takes none; and no more comes back than
//!    was taken.
//! 6. **Who is before whom** ([`turns`]): nobody is served before an order that was known to wait for the same level and is before it by the
//!    queue's discipline. Orders have names of their own, so this is decided from outside (Lee and Mathur, *Efficient Decrease-and-Conquer
//!    Linearizability Monitoring*, arXiv 2410.04581, for queues, stacks and priority queues of distinct values).
//!
//! As everything in this crate it knows nothing of HTTP, and shares no line with the service. [`simulate`] makes books of a shop that keeps its
//! promises, and of shops that break one.

pub mod deeds;
pub mod finding;
pub mod holds;
pub mod ledger;
pub mod looks;
pub mod orders;
pub mod precedence;
pub mod simulate;
pub mod told;
pub mod turns;

pub use finding::{Audit, Counts, Fault, Finding};
pub use ledger::{Ledger, Movement, MovementKind};
pub use told::{
    Answer, Ask, HoldSeen, HoldState, Line, Name, OrderSeen, OrderState, Seen, Shortage, Told, Why,
};

use finding::Findings;
use precedence::Precedence;

/// Everything that was seen of a shop.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Books {
    /// The names of the levels, by number.
    pub levels: Vec<String>,
    /// What the clients were told. The last of it is about every level, reservation and order, and was asked when all else was answered.
    pub told: Vec<Told>,
    /// The ledger of these levels, in the order of its numbers, read after everything above.
    pub movements: Vec<Movement>,
    /// How exact the service's clock has to be.
    pub bound: Bound,
    /// Whose turn it is.
    pub turns: Turns,
    /// How far the numbers of the ledger say which came first.
    pub numbered: Numbered,
}

/// How far the numbers of a ledger say which of two movements came first. That is what the service promises of them, so it has to say it; of one
/// that says nothing less is taken for granted, and what it is not blamed for then is only what nobody promised.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Numbered {
    /// Of one level. Of two levels one that was seen first may have the higher number: where partitions are written side by side and numbered later, or
    /// where whoever made it was held up before it was handed over.
    #[default]
    EachLevel,
    /// Of all: whatever an answer shows has its number before anything that is asked for after it.
    Throughout,
}

/// How far a deadline may be off by the clients' clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bound {
    /// So many nanoseconds,
    pub ns: u64,
    /// and so many thousandths of the time for which it holds.
    pub per_mille: u64,
}

/// Whose turn it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Turns {
    /// It is not known: nothing is judged.
    #[default]
    Untold,
    /// The first that was placed.
    Fifo,
    /// The last that was placed.
    Lifo,
    /// The most urgent; so many milliseconds of waiting count as one priority more.
    Priority {
        /// A step of ageing.
        ageing_ms: u64,
    },
}

impl Default for Bound {
    /// Five milliseconds, and one in a thousand: the clocks of two processes of one machine tick alike, but not the same.
    fn default() -> Self {
        Self { ns: 5_000_000, per_mille: 1 }
    }
}

/// Judges the books.
pub fn audit(books: &Books) -> Audit {
    let mut findings = Findings::default();
    let ledger = Ledger::of(books, &mut findings);
    let mut shown = looks::Shown::default();
    deeds::judge(books, &ledger, &mut shown, &mut findings);
    let lives = holds::judge(books, &ledger, &mut shown, &mut findings);
    let fates = orders::judge(books, &ledger, &mut shown, &mut findings);
    let order = Precedence::of(books, &ledger, &mut findings);
    let known = looks::judge(books, &ledger, &order, &lives, shown, &mut findings);
    turns::judge(books, &ledger, &fates, &known, &mut findings);
    let counts = Counts::of(books, &ledger, &lives, &fates);
    findings.into_audit(counts)
}

#[cfg(test)]
mod tests;
