//! What may be asked of a store beside commands and its [`ledger`](super::ledger): levels, pages of what there is, and how it is doing.
//!
//! Where a walk goes on is the store's own affair: a [`LevelCursor`] is shown and taken back as text, and means nothing to anybody else.

use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;

use super::config::Discipline;
use super::ledger::Lineage;
pub use super::level_cursor::LevelCursor;
use crate::stock::{
    KeySet, Level, Location, Order, OrderId, OrderState, Reservation, ReservationId, ReservationState, Sku,
    StockKey,
};
use crate::strategy::ContentionReport;

/// Which levels, and from where on.
#[derive(Debug, Clone, Copy)]
pub struct LevelQuery<'a> {
    /// Only levels of this sku.
    pub sku: Option<&'a Sku<'a>>,
    /// Only levels whose sku starts so.
    pub sku_prefix: &'a str,
    /// Only levels at this location.
    pub location: Option<&'a Location<'a>>,
    /// Only levels after this place.
    pub after: Option<&'a LevelCursor>,
    /// How many at most. A store may look at fewer, and give a short page that says where to go on.
    pub limit: usize,
}

/// Levels by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StockQuery {
    /// Which.
    pub keys: Arc<KeySet>,
    /// Whether all are to be as they were at one instant; otherwise each is current when it is read.
    pub consistent: bool,
}

/// A page of levels.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LevelPage {
    /// The levels, ascending by sku, then location.
    pub levels: Vec<(StockKey, Level)>,
    /// Where the next page starts, if there may be one.
    pub next: Option<LevelCursor>,
}

/// Which reservations to show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReservationQuery {
    /// Only those of this state.
    pub state: Option<ReservationState>,
    /// Only those after this one.
    pub after: Option<ReservationId>,
    /// How many at most.
    pub limit: usize,
}

/// A page of reservations.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ReservationPage {
    /// In the order in which they were made.
    pub reservations: Vec<Reservation>,
    /// After which the next page begins, if there may be one.
    pub next: Option<ReservationId>,
}

/// Which orders to show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OrderQuery {
    /// Only those of this state.
    pub state: Option<OrderState>,
    /// Only those after this one.
    pub after: Option<OrderId>,
    /// How many at most.
    pub limit: usize,
}

/// A page of orders.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OrderPage {
    /// In the order in which they were placed.
    pub orders: Vec<Order>,
    /// After which the next page begins, if there may be one.
    pub next: Option<OrderId>,
}

/// A text that is no cursor of the kind asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("must be the next_cursor of an earlier page")]
pub struct NotACursor;

/// How a store is doing.
#[derive(Debug, Clone)]
pub struct Status {
    /// How stock is shared between threads, or the kind of database that it is in.
    pub strategy: &'static str,
    /// Whether changes survive the process.
    pub durable: bool,
    /// Whether changes wait for room on the disk.
    pub full: bool,
    /// Why what keeps it cannot be reached, if it cannot; it is tried again.
    pub away: Option<String>,
    /// Which history it shows.
    pub lineage: Lineage,
    /// How far the numbers of movements say which came first.
    pub ledger_order: LedgerOrder,
    /// How many levels there are.
    pub levels: usize,
    /// What sharing has cost so far.
    pub contention: ContentionReport,
    /// The queue of orders.
    pub orders: OrdersStatus,
}

/// How far the numbers of movements say which of two came first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LedgerOrder {
    /// Of all: whatever an answer shows has its number before anything that is asked for after it.
    All,
    /// Of one level only. Between levels they say which come next for who reads on.
    Level,
}

impl LedgerOrder {
    /// As it is told.
    pub const fn name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Level => "level",
        }
    }
}

/// The queue of orders, and who waits.
#[derive(Debug, Clone, Copy)]
pub struct OrdersStatus {
    /// Whose turn it is.
    pub discipline: Discipline,
    /// How long an order waits for each priority more, where priorities count.
    pub ageing: Duration,
    /// Orders whose turn it is not yet.
    pub queued: usize,
    /// Orders that wait for units.
    pub backordered: usize,
}
