//! The ledger, and what follows from it, as it is told, in JSON: the same to whoever asks (`http`) and to whoever is told (`webhooks`).
//!
//! It never asks for a movement.

use std::time::{Duration, UNIX_EPOCH};

use serde::Serialize;
use utoipa::ToSchema;

use crate::alerts::{Crossing, Side};
use crate::store::{Movement, MovementKind as Kind};

/// What happened to one stock level.
#[derive(Debug, Serialize, ToSchema)]
pub struct MovementAnswer<'a> {
    /// The number of the movement: rises by 1 over all levels, in the order in which movements became durable.
    #[schema(example = 4711)]
    seq: u64,
    /// When it was written (RFC 3339, UTC).
    #[schema(example = "2026-11-22T14:05:00.123Z")]
    time: String,
    /// What it was.
    #[schema(example = "adjusted")]
    kind: MovementKind,
    /// The sku.
    #[schema(example = "85123A")]
    sku: &'a str,
    /// The location.
    #[schema(example = "main")]
    location: &'a str,
    /// Units added to what is on hand; negative where they were taken.
    #[schema(example = -3)]
    delta: i64,
    /// The units before. All zero where there was no level.
    before: UnitsAnswer,
    /// The units after. All zero where there is no level any more.
    after: UnitsAnswer,
    /// The version of the level after it.
    #[schema(example = 2)]
    version: u64,
    /// Why, in the words of who asked.
    #[serde(skip_serializing_if = "str::is_empty")]
    #[schema(value_type = Option<String>, max_length = 64)]
    reason: &'a str,
    /// What it belongs to, in the words of who asked.
    #[serde(skip_serializing_if = "str::is_empty")]
    #[schema(value_type = Option<String>, max_length = 128)]
    reference: &'a str,
    /// Who made it: the name of an API key, or `jwt:` and the subject of a token. Absent where neither was needed, and of what the service does by itself, such as an expiry.
    #[serde(skip_serializing_if = "str::is_empty")]
    #[schema(value_type = Option<String>, max_length = 64, example = "till-1")]
    actor: &'a str,
    /// The reservation that made it, if one did.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "0193a6f0-5b7c-7c3a-9d1e-3f6a2b8c4d5e")]
    reservation: Option<String>,
    /// The order that made it, if one did.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "0193a6f0-5b7c-7c3a-9d1e-3f6a2b8c4d5e")]
    order: Option<String>,
}

/// Units of a level at one moment.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
pub struct UnitsAnswer {
    /// Units physically there.
    on_hand: u64,
    /// Units held by reservations.
    reserved: u64,
}

/// What a movement was.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum MovementKind {
    /// The level came into being.
    Created,
    /// A physical count.
    Counted,
    /// Units were added or taken.
    Adjusted,
    /// Units were moved to or from another location.
    Transferred,
    /// The level was brought in from a file.
    Imported,
    /// Units were held.
    Reserved,
    /// Held units were let go.
    Released,
    /// Held units left the house, all or some of them.
    Shipped,
    /// Held units were let go, as their deadline had come.
    Expired,
    /// An order took them.
    Fulfilled,
    /// An order gave them back.
    Returned,
    /// The level was removed; its units went with it.
    Deleted,
}

/// A page of movements.
#[derive(Debug, Serialize, ToSchema)]
pub struct MovementsAnswer<'a> {
    /// The movements: newest first of one level, in the order of their numbers otherwise.
    #[schema(max_items = 1_000)]
    pub items: Vec<MovementAnswer<'a>>,
    /// Where the next page starts; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
    /// Whether there were older movements, which are past the retention of this service.
    pub compacted: bool,
    /// The lineage whose numbers these are: absent unless a backup was restored.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "00c0ffee00c0ffee")]
    pub lineage: Option<String>,
}

/// What is available of a stock level has fallen to its mark, or has risen above it.
#[derive(Debug, Serialize, ToSchema)]
pub struct AlertEventAnswer<'a> {
    /// Which of the two.
    #[schema(example = "stock.low")]
    kind: AlertKind,
    /// The movement that did it.
    #[schema(example = 4711)]
    seq: u64,
    /// When that was written (RFC 3339, UTC).
    #[schema(example = "2026-11-22T14:05:00.123Z")]
    time: String,
    /// The sku.
    #[schema(example = "85123A")]
    sku: &'a str,
    /// The location.
    #[schema(example = "main")]
    location: &'a str,
    /// The mark.
    #[schema(example = 10)]
    low_at: u64,
    /// The units that were available before it.
    #[schema(example = 12)]
    before: u64,
    /// The units that are available after it.
    #[schema(example = 9)]
    available: u64,
    /// The version of the level after it.
    #[schema(example = 7)]
    version: u64,
}

/// The `data` of an event.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub enum EventAnswer<'a> {
    /// Of most.
    Movement(MovementAnswer<'a>),
    /// Of `stock.low` and `stock.replenished`.
    Alert(AlertEventAnswer<'a>),
}

/// An event, by its name.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(untagged)]
pub enum EventName {
    /// That of a movement.
    Movement(MovementKind),
    /// That of an alert.
    Alert(AlertKind),
}

/// What an alert tells.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
pub enum AlertKind {
    /// What is available has fallen to the mark, or below.
    #[serde(rename = "stock.low")]
    Low,
    /// It has risen above the mark.
    #[serde(rename = "stock.replenished")]
    Replenished,
}

impl<'a> MovementAnswer<'a> {
    /// A movement, as it is told.
    pub fn new(movement: &'a Movement) -> Self {
        let (on_hand, reserved) = movement.before;
        Self {
            seq: movement.seq.number(),
            time: time(movement.time_ms),
            kind: movement.kind.into(),
            sku: movement.key.sku(),
            location: movement.key.location(),
            delta: movement.after.on_hand().cast_signed() - on_hand.cast_signed(),
            before: UnitsAnswer { on_hand, reserved },
            after: UnitsAnswer { on_hand: movement.after.on_hand(), reserved: movement.after.reserved() },
            version: movement.after.version(),
            reason: &movement.reason,
            reference: &movement.reference,
            actor: &movement.actor,
            reservation: movement.reservation.map(|id| id.to_string()),
            order: movement.order.map(|id| id.to_string()),
        }
    }
}

/// A time as it is told: RFC 3339, UTC, with milliseconds.
pub fn time(time_ms: u64) -> String {
    humantime::format_rfc3339_millis(UNIX_EPOCH + Duration::from_millis(time_ms)).to_string()
}

impl From<Kind> for MovementKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Created => Self::Created,
            Kind::Counted => Self::Counted,
            Kind::Adjusted => Self::Adjusted,
            Kind::Transferred => Self::Transferred,
            Kind::Imported => Self::Imported,
            Kind::Reserved => Self::Reserved,
            Kind::Released => Self::Released,
            Kind::Shipped => Self::Shipped,
            Kind::Expired => Self::Expired,
            Kind::Fulfilled => Self::Fulfilled,
            Kind::Returned => Self::Returned,
            Kind::Deleted => Self::Deleted,
        }
    }
}

impl<'a> AlertEventAnswer<'a> {
    /// What a movement has crossed.
    pub fn new(movement: &'a Movement, Crossing { side, low_at }: Crossing) -> Self {
        let (on_hand, reserved) = movement.before;
        let kind = match side {
            Side::Low => AlertKind::Low,
            Side::Replenished => AlertKind::Replenished,
        };
        Self {
            kind,
            seq: movement.seq.number(),
            time: time(movement.time_ms),
            sku: movement.key.sku(),
            location: movement.key.location(),
            low_at,
            before: on_hand.saturating_sub(reserved),
            available: movement.after.available(),
            version: movement.after.version(),
        }
    }
}
