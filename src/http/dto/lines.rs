//! Lines of units: one level, and how many of it. Of reservations, orders, and what is given back.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::fields::{MovedUnits, Text};
use super::requests::field;
use crate::http::problem::FieldError;
use crate::stock::{Location, Quantity, Sku, StockKey};

/// Units of one level.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct QuantityLine<'a> {
    /// The sku.
    #[serde(borrow)]
    #[schema(value_type = String, max_length = 64, example = "85123A")]
    sku: Text<'a>,
    /// The location; `main` where it is left out.
    #[serde(borrow, default)]
    #[schema(value_type = Option<String>, max_length = 32)]
    location: Option<Text<'a>>,
    /// The units, at least 1.
    #[schema(value_type = u64, minimum = 1, maximum = 1_099_511_627_775_u64, example = 3)]
    quantity: MovedUnits,
}

/// Units of one level that come back.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReturnedLine<'a> {
    /// The sku.
    #[serde(borrow)]
    #[schema(value_type = String, max_length = 64, example = "85123A")]
    sku: Text<'a>,
    /// The location they were taken from; `main` where it is left out.
    #[serde(borrow, default)]
    #[schema(value_type = Option<String>, max_length = 32)]
    location: Option<Text<'a>>,
    /// The units, at least 1.
    #[schema(value_type = u64, minimum = 1, maximum = 1_099_511_627_775_u64, example = 1)]
    quantity: MovedUnits,
    /// The location they go to; where they were taken from, if it is left out. The level is made where it is missing.
    #[serde(borrow, default)]
    #[schema(value_type = Option<String>, max_length = 32)]
    to: Option<Text<'a>>,
}

/// Units of one level.
#[derive(Debug, Serialize, ToSchema)]
pub struct QuantityLineAnswer<'a> {
    /// The sku.
    #[schema(example = "85123A")]
    sku: &'a str,
    /// The location.
    #[schema(example = "main")]
    location: &'a str,
    /// The units.
    #[schema(example = 3)]
    quantity: u64,
}

impl QuantityLine<'_> {
    /// The level that the line names; if it names none, what is wrong goes to `errors`.
    pub(super) fn key(&self, index: usize, errors: &mut Vec<FieldError>) -> Option<StockKey> {
        let (sku, location) = names(&self.sku, self.location.as_ref(), index, errors);
        Some(StockKey::new(&sku?, &location?))
    }

    /// The units.
    pub(super) fn quantity(&self) -> Quantity {
        self.quantity.0
    }
}

impl ReturnedLine<'_> {
    /// The level that the units were taken from, and the one they go to; if either is none, what is wrong goes to `errors`.
    pub(super) fn keys(&self, index: usize, errors: &mut Vec<FieldError>) -> Option<(StockKey, StockKey)> {
        let (sku, from) = names(&self.sku, self.location.as_ref(), index, errors);
        let to = match &self.to {
            Some(to) => field(errors, index, "to", Location::parse(&to.0)),
            None => from.clone(),
        };
        let sku = sku?;
        Some((StockKey::new(&sku, &from?), StockKey::new(&sku, &to?)))
    }

    /// The units.
    pub(super) fn quantity(&self) -> Quantity {
        self.quantity.0
    }
}

fn names<'t>(
    sku: &'t Text<'_>,
    location: Option<&'t Text<'_>>,
    index: usize,
    errors: &mut Vec<FieldError>,
) -> (Option<Sku<'t>>, Option<Location<'t>>) {
    let sku = field(errors, index, "sku", Sku::parse(&sku.0));
    let location = location.map_or(Ok(Location::DEFAULT), |text| Location::parse(&text.0));
    (sku, field(errors, index, "location", location))
}

impl<'a> QuantityLineAnswer<'a> {
    /// That many units of that level.
    pub(super) fn new(key: &'a StockKey, quantity: Quantity) -> Self {
        Self { sku: key.sku(), location: key.location(), quantity: quantity.units() }
    }
}
