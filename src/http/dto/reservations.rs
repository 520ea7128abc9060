//! The bodies of reservations.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::de::{Error, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

use super::fields::{Object, Text};
use super::lines::{QuantityLine, QuantityLineAnswer};
use super::requests::{check_count, each_line, line_error, not_a_transaction, remark};
use super::time;
use crate::http::problem::Problem;
use crate::stock::reservation::{
    RESERVATION_LINES_MAX, TTL_SECONDS_DEFAULT, TTL_SECONDS_MAX, TTL_SECONDS_MIN,
};
use crate::stock::{
    Change, Entry, HeldLine, Operation, Remark, Reservation, ReservationState, StockKey, Transaction,
};

/// How long a reservation holds: an integer number of seconds, 1 to 30 days of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ttl(Duration);

/// Units to hold.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReserveRequest<'a> {
    /// What to hold: all lines or none. Lines that name the same level are one.
    #[serde(borrow)]
    #[schema(value_type = Vec<QuantityLine<'static>>, min_items = 1, max_items = 1_000)]
    pub lines: Vec<Object<QuantityLine<'a>>>,
    /// How long, in seconds; 900 where it is left out.
    #[serde(default)]
    #[schema(value_type = Option<u32>, minimum = 1, maximum = 2_592_000, example = 900)]
    ttl_seconds: Option<Ttl>,
    /// Why: free text.
    #[serde(borrow, default)]
    #[schema(value_type = Option<String>, max_length = 64)]
    reason: Option<Text<'a>>,
    /// What it belongs to, in the client's own books: free text.
    #[serde(borrow, default)]
    #[schema(value_type = Option<String>, max_length = 128, example = "cart 4711")]
    reference: Option<Text<'a>>,
}

/// What of a reservation leaves the house.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CommitRequest<'a> {
    /// What leaves the house; the rest is let go. All that is held where it is left out.
    #[serde(borrow, default)]
    #[schema(value_type = Option<Vec<QuantityLine<'static>>>, min_items = 1, max_items = 1_000)]
    pub lines: Option<Vec<Object<QuantityLine<'a>>>>,
    /// Why: free text.
    #[serde(borrow, default)]
    #[schema(value_type = Option<String>, max_length = 64)]
    reason: Option<Text<'a>>,
    /// What it belongs to, in the client's own books: free text.
    #[serde(borrow, default)]
    #[schema(value_type = Option<String>, max_length = 128)]
    reference: Option<Text<'a>>,
}

/// Why a reservation is let go.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReleaseRequest<'a> {
    /// Why: free text.
    #[serde(borrow, default)]
    #[schema(value_type = Option<String>, max_length = 64)]
    reason: Option<Text<'a>>,
    /// What it belongs to, in the client's own books: free text.
    #[serde(borrow, default)]
    #[schema(value_type = Option<String>, max_length = 128)]
    reference: Option<Text<'a>>,
}

/// For how long a reservation is to hold from now on.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ExtendRequest<'a> {
    /// How long, in seconds from now on; 900 where it is left out. It never holds for less than before.
    #[serde(default)]
    #[schema(value_type = Option<u32>, minimum = 1, maximum = 2_592_000, example = 900)]
    ttl_seconds: Option<Ttl>,
    /// Why: free text.
    #[serde(borrow, default)]
    #[schema(value_type = Option<String>, max_length = 64)]
    reason: Option<Text<'a>>,
    /// What it belongs to, in the client's own books: free text.
    #[serde(borrow, default)]
    #[schema(value_type = Option<String>, max_length = 128)]
    reference: Option<Text<'a>>,
}

/// A reservation.
#[derive(Debug, Serialize, ToSchema)]
pub struct ReservationAnswer<'a> {
    /// Its name: a UUID; names sort by the time of their making.
    #[schema(example = "0193a6f0-5b7c-7c3a-9d1e-3f6a2b8c4d5e")]
    id: String,
    /// How far it is: `pending` until one of the others.
    state: ReservationStateAnswer,
    /// What it holds, or held: one for each level, ascending by sku, then location.
    lines: Vec<QuantityLineAnswer<'a>>,
    /// When it was made (RFC 3339, UTC).
    #[schema(example = "2026-11-22T14:05:00.123Z")]
    created_at: String,
    /// From when on it holds nothing.
    #[schema(example = "2026-11-22T14:20:00.123Z")]
    expires_at: String,
    /// Of one that was committed: what left the house.
    #[serde(skip_serializing_if = "Option::is_none")]
    committed: Option<Vec<QuantityLineAnswer<'a>>>,
}

/// How far a reservation is.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ReservationStateAnswer {
    /// It holds its units.
    Pending,
    /// Its units, or some of them, have left the house; the others were let go.
    Committed,
    /// Its units were let go.
    Released,
    /// Its deadline came first: its units were let go.
    Expired,
}

/// A page of reservations, in the order in which they were made. Each is current when it was read.
#[derive(Debug, Serialize, ToSchema)]
pub struct ReservationsAnswer<'a> {
    /// The reservations. A filter may leave a page short, or empty, although more follow.
    #[schema(max_items = 1_000)]
    pub items: Vec<ReservationAnswer<'a>>,
    /// Where the next page starts; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

struct TtlVisitor;

impl Visitor<'_> for TtlVisitor {
    type Value = Ttl;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an integer from {TTL_SECONDS_MIN} to {TTL_SECONDS_MAX}")
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Ttl, E> {
        match value {
            TTL_SECONDS_MIN..=TTL_SECONDS_MAX => Ok(Ttl(Duration::from_secs(value))),
            _ => Err(E::invalid_value(Unexpected::Unsigned(value), &self)),
        }
    }
}

impl<'de> Deserialize<'de> for Ttl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_u64(TtlVisitor)
    }
}

impl ReserveRequest<'_> {
    /// The reason and the reference, checked.
    pub fn remark(&self) -> Result<Option<Arc<Remark>>, Problem> {
        remark(self.reason.as_ref(), self.reference.as_ref())
    }

    /// How long.
    pub fn ttl(&self) -> Duration {
        ttl(self.ttl_seconds)
    }

    /// All lines as one transaction.
    pub fn transaction(&self) -> Result<Transaction, Problem> {
        check_count(self.lines.len(), RESERVATION_LINES_MAX)?;
        let keys = each_line(&self.lines, |index, Object(line), errors| line.key(index, errors))?;
        let entry = |(line, (key, Object(wanted))): (usize, (StockKey, &Object<QuantityLine<'_>>))| {
            let change = Change::unconditional(Operation::Reserve { quantity: wanted.quantity() });
            Entry { key, change, line }
        };
        let entries = keys.into_iter().zip(&self.lines).enumerate().map(entry);
        Transaction::of_lines(entries).map_err(|error| not_a_transaction(&error))
    }
}

impl CommitRequest<'_> {
    /// The reason and the reference, checked.
    pub fn remark(&self) -> Result<Option<Arc<Remark>>, Problem> {
        remark(self.reason.as_ref(), self.reference.as_ref())
    }

    /// What leaves the house, in the order of the request; each level once.
    pub fn lines(&self) -> Result<Option<Vec<HeldLine>>, Problem> {
        let Some(lines) = &self.lines else { return Ok(None) };
        check_count(lines.len(), RESERVATION_LINES_MAX)?;
        let keys = each_line(lines, |index, Object(line), errors| line.key(index, errors))?;
        let mut errors = Vec::new();
        let mut seen = std::collections::HashMap::with_capacity(keys.len());
        for (index, key) in keys.iter().enumerate() {
            if let Some(first) = seen.insert(key, index) {
                errors.push(line_error(index, "sku", &format!("names the level of line {first} once more")));
            }
        }
        if !errors.is_empty() {
            return Err(Problem::fields(errors));
        }
        let line = |(key, Object(line)): (StockKey, &Object<QuantityLine<'_>>)| HeldLine {
            key,
            quantity: line.quantity(),
        };
        Ok(Some(keys.into_iter().zip(lines).map(line).collect()))
    }
}

impl ReleaseRequest<'_> {
    /// The reason and the reference, checked.
    pub fn remark(&self) -> Result<Option<Arc<Remark>>, Problem> {
        remark(self.reason.as_ref(), self.reference.as_ref())
    }
}

impl ExtendRequest<'_> {
    /// The reason and the reference, checked.
    pub fn remark(&self) -> Result<Option<Arc<Remark>>, Problem> {
        remark(self.reason.as_ref(), self.reference.as_ref())
    }

    /// How long.
    pub fn ttl(&self) -> Duration {
        ttl(self.ttl_seconds)
    }
}

fn ttl(asked: Option<Ttl>) -> Duration {
    asked.map_or(Duration::from_secs(TTL_SECONDS_DEFAULT), |Ttl(ttl)| ttl)
}

impl<'a> ReservationAnswer<'a> {
    /// A reservation, as it is told.
    pub fn new(reservation: &'a Reservation) -> Self {
        let Reservation { term, state, lines, committed } = reservation;
        let told = |lines: &'a [HeldLine]| {
            lines.iter().map(|line| QuantityLineAnswer::new(&line.key, line.quantity)).collect()
        };
        Self {
            id: term.id.to_string(),
            state: (*state).into(),
            lines: told(lines),
            created_at: time(term.created_ms()),
            expires_at: time(term.expires_date_ms),
            committed: (*state == ReservationState::Committed).then(|| told(committed)),
        }
    }
}

impl From<ReservationState> for ReservationStateAnswer {
    fn from(state: ReservationState) -> Self {
        match state {
            ReservationState::Pending => Self::Pending,
            ReservationState::Committed => Self::Committed,
            ReservationState::Released => Self::Released,
            ReservationState::Expired => Self::Expired,
        }
    }
}
