//! [`Piece`]: stock on its way from one store to another, while nobody serves either.
//!
//! A store that is left says all it has in pieces, in the order of [`Piece`]'s variants, and at last [`Piece::End`]; the store that is entered takes them
//! as they come. So neither knows the other, and what is on the way is bounded by the channel between them. One that ends without
//! [`Piece::End`] was cut short, and what had come of it must not be taken for stock.
//!
//! What is told of time is how long ago something was, or how long it is still good: the two have clocks of their own. Deadlines of reservations are dates,
//! as whoever made them was told.

use std::time::Duration;

use thiserror::Error;

use super::command::Deed;
use super::document::Document;
use super::ledger::{Lineage, Movement};
use super::outcome::{OrderRefused, Outcome, ReservationRefused};
use crate::stock::{Level, Once, Order, Reservation, StockKey};

/// Movements, levels, keys of one piece at most; of what may be long, fewer.
pub(in crate::store) const PIECE_MAX: usize = 1_000;

/// Orders and reservations of one piece at most: each may have a thousand lines.
pub(in crate::store) const PIECE_LONG_MAX: usize = 100;

/// Pieces that may be on the way.
pub const ON_THE_WAY_MAX: usize = 8;

/// A part of a stock.
#[derive(Debug)]
pub enum Piece {
    /// First of all.
    Beginning(Beginning),
    /// The ledger, in order and without gaps, from the oldest movement that is kept to the newest.
    Movements(Vec<Movement>),
    /// Levels, tombstones too.
    Levels(Vec<(StockKey, Level)>),
    /// Reservations: all that are pending, and those that are over and still kept.
    Reservations(Vec<Aged<Reservation>>),
    /// Orders: the same.
    Orders(Vec<Aged<Order>>),
    /// Idempotency keys, those first that run out first.
    Keys(Vec<MovedKey>),
    /// What is kept beside the stock.
    Document(Document, Vec<u8>),
    /// That was all.
    End,
}

/// What is said before anything else.
#[derive(Debug, Clone, Copy)]
pub struct Beginning {
    /// The history that versions and numbers are of.
    pub lineage: Lineage,
    /// The number of the oldest movement that is kept; one more than the newest where none is.
    pub oldest: u64,
    /// The number of the newest there ever was; 0 for none.
    pub newest: u64,
    /// The latest date that anything was told at, in milliseconds of Unix time: names that are given from here on are after it.
    pub date_ms: u64,
}

/// Something that may be over.
#[derive(Debug)]
pub struct Aged<T> {
    /// What.
    pub it: T,
    /// How long ago it ended; `None` if it has not.
    pub ended_ago: Option<Duration>,
}

/// An idempotency key that was used.
#[derive(Debug)]
pub struct MovedKey {
    /// The key, and what it stands for.
    pub once: Once,
    /// What came of it: see [`Outcome::told_of`].
    pub outcome: Outcome,
    /// How long it is still held.
    pub left: Duration,
}

/// What was moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Moved {
    /// Levels.
    pub levels: u64,
    /// Levels that were deleted: their versions go on.
    pub deleted: u64,
    /// Movements.
    pub movements: u64,
    /// Reservations.
    pub reservations: u64,
    /// Those of them that hold units.
    pub pending: u64,
    /// Orders.
    pub orders: u64,
    /// Those of them that are not over.
    pub open: u64,
    /// Idempotency keys.
    pub keys: u64,
    /// What is kept beside the stock.
    pub documents: u64,
}

/// The store that is left, or the one that is entered, contradicts itself.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("{0}")]
pub struct Contradiction(pub String);

impl Outcome {
    /// The outcome as one of that deed. A store may not tell a change from a transaction of one level by what it has kept of it, nor say of what a
    /// refusal is: it tells of a transaction then. The fingerprint of the key says that the same is asked, so the deed says which it was.
    #[must_use]
    pub(in crate::store) fn told_of(self, deed: &Deed) -> Self {
        match (self, deed) {
            (Self::Transaction(Ok(levels)), Deed::Change { key, .. }) => {
                match levels.iter().rfind(|(of, _)| of == key) {
                    Some((_, applied)) => Self::Change(Ok(*applied)),
                    None => Self::Transaction(Ok(levels)),
                }
            }
            (Self::Transaction(Err(levels)), Deed::Change { .. }) if !levels.is_empty() => {
                Self::Change(Err(levels[0].refusal))
            }
            (Self::Transaction(Err(levels)), Deed::Reserve { .. } | Deed::Settle { .. }) => {
                Self::Reservation(Err(ReservationRefused::Levels(levels)))
            }
            (
                Self::Transaction(Err(levels)),
                Deed::Order { .. } | Deed::Cancel { .. } | Deed::Return { .. },
            ) => Self::Order(Err(OrderRefused::Levels(levels))),
            (outcome, _) => outcome,
        }
    }
}

impl Moved {
    /// Counts what is in a piece.
    pub(in crate::store) fn count(&mut self, piece: &Piece) {
        let many = |count: usize| count as u64;
        match piece {
            Piece::Beginning(_) | Piece::End => {}
            Piece::Movements(movements) => self.movements += many(movements.len()),
            Piece::Levels(levels) => {
                let there = many(levels.iter().filter(|(_, level)| level.exists()).count());
                self.levels += there;
                self.deleted += many(levels.len()) - there;
            }
            Piece::Reservations(all) => {
                self.reservations += many(all.len());
                self.pending += many(all.iter().filter(|it| it.ended_ago.is_none()).count());
            }
            Piece::Orders(all) => {
                self.orders += many(all.len());
                self.open += many(all.iter().filter(|it| it.ended_ago.is_none()).count());
            }
            Piece::Keys(keys) => self.keys += many(keys.len()),
            Piece::Document(..) => self.documents += 1,
        }
    }
}
