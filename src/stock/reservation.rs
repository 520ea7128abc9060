//! Reservations: what they are called, what they hold, and what became of them.
//!
//! A reservation holds units of some levels for somebody, until a deadline: they stay on hand, and are not available. It is
//! *pending* until it is committed, released or has expired, whichever is first, once. The units are in the levels
//! ([`Operation::Reserve`](super::Operation::Reserve) and what undoes it); what is here says whose they are.

use super::id::Id;
use super::key::StockKey;
use super::quantity::Quantity;

/// The most lines of a reservation.
pub const RESERVATION_LINES_MAX: usize = 1_000;
/// The shortest time a reservation may hold units for, in seconds.
pub const TTL_SECONDS_MIN: u64 = 1;
/// The longest: 30 days.
pub const TTL_SECONDS_MAX: u64 = 30 * 24 * 60 * 60;
/// The time unless another is asked for: 15 minutes.
pub const TTL_SECONDS_DEFAULT: u64 = 15 * 60;

/// The name of a reservation.
pub type ReservationId = Id<Reservation>;

/// Which reservation, and how long it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Term {
    /// Its name.
    pub id: ReservationId,
    /// From when on it holds nothing, as it was told: in milliseconds of Unix time.
    pub expires_date_ms: u64,
    /// The same, by the clock that deadlines are kept by ([`Clock::now_ms`](crate::clock::Clock::now_ms)), which nobody sets.
    pub expires_ms: u64,
}

impl Term {
    /// When it was made, in milliseconds of Unix time: that is in its name.
    pub fn created_ms(&self) -> u64 {
        self.id.date_ms()
    }
}

/// Units of one level that a reservation holds, or held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldLine {
    /// The level. Each is in a reservation once.
    pub key: StockKey,
    /// The units.
    pub quantity: Quantity,
}

/// How far a reservation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReservationState {
    /// It holds its units.
    Pending,
    /// Its units, or some of them, have left the house; the others were let go.
    Committed,
    /// Its units were let go.
    Released,
    /// Its deadline came first: its units were let go.
    Expired,
}

/// A reservation as it is, or was when it was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reservation {
    /// Which, and how long.
    pub term: Term,
    /// How far it is.
    pub state: ReservationState,
    /// What it holds, or held: ascending by key.
    pub lines: Vec<HeldLine>,
    /// Of a committed one, what left the house: ascending by key, without what was let go.
    pub committed: Vec<HeldLine>,
}

impl ReservationState {
    /// Its name, as it is told.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Committed => "committed",
            Self::Released => "released",
            Self::Expired => "expired",
        }
    }

    /// The state of that name.
    pub fn named(name: &str) -> Option<Self> {
        [Self::Pending, Self::Committed, Self::Released, Self::Expired]
            .into_iter()
            .find(|state| state.name() == name)
    }
}
