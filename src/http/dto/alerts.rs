//! Alerts: what is asked and answered of them.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::fields::Units;
use crate::stock::{Level, StockKey};

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

impl<'a> AlertAnswer<'a> {
    /// The alert of a level that is at present so.
    pub fn new(key: &'a StockKey, low_at: u64, level: Level) -> Self {
        let available = level.available();
        Self { sku: key.sku(), location: key.location(), low_at, available, low: available <= low_at }
    }
}
