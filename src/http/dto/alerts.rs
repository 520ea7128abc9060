//! Alerts: what is asked and answered of them, and the event that tells of one.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::fields::Units;
use super::movements::{MovementAnswer, time};
use crate::alerts::{Crossing, Side};
use crate::stock::{Level, StockKey};
use crate::store::Movement;

/// When a stock level is low.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AlertRequest {
    /// The mark: the level is low while so many units are available, or fewer.
    #[schema(value_type = u64, maximum = 1_099_511_627_775_u64, example = 10)]
    pub low_at: Units,
}

/// An alert of a stock level.
#[derive(Debug, Serialize, ToSchema)]
pub struct AlertAnswer<'a> {
    /// The sku.
    #[schema(example = "85123A")]
    sku: &'a str,
    /// The location.
    #[schema(example = "main")]
    location: &'a str,
    /// The mark.
    #[schema(example = 10)]
    low_at: u64,
    /// The units that are available now; none of a level that does not exist.
    #[schema(example = 46)]
    available: u64,
    /// Whether they are at the mark or below.
    low: bool,
}

/// The alerts there are.
#[derive(Debug, Serialize, ToSchema)]
pub struct AlertsAnswer<'a> {
    /// All of them, ascending by sku, then location.
    pub items: Vec<AlertAnswer<'a>>,
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

impl<'a> AlertAnswer<'a> {
    /// The alert of a level that is at present so.
    pub fn new(key: &'a StockKey, low_at: u64, level: Level) -> Self {
        let available = level.available();
        Self { sku: key.sku(), location: key.location(), low_at, available, low: available <= low_at }
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
