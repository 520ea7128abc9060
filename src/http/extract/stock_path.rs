//! [`StockPath`]: the stock level that a path and its `?location=` name.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use super::movements;
use super::path::{NotText, PathParams};
use super::query::Query;
use crate::http::problem::Problem;
use crate::stock::{Location, QUANTITY_MAX, Quantity, Remark, Sku, StockKey};
use crate::store::{Lineage, Moment, Numbered, Seq};

/// The level named by `/v1/stock/{sku}...?location=`.
#[derive(Debug)]
pub struct StockPath(pub StockKey);

/// The same with `?reason=&reference=`, for a request that has no body to say them in.
#[derive(Debug)]
pub struct RemarkedStockPath(pub StockKey, pub Option<Arc<Remark>>);

/// The same with what a read may ask for.
#[derive(Debug)]
pub struct ReadStockPath {
    /// The level.
    pub key: StockKey,
    /// `?min_available=`: how many units the request may wait for.
    pub min_available: Option<Quantity>,
    /// `?at=`: the moment as of which the level is to be shown.
    pub at: Option<Moment>,
}

impl<S: Send + Sync> FromRequestParts<S> for StockPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Ok(path) = PathParams::from_request_parts(parts, state).await;
        let query = Query::parse(&parts.uri, &["location"])?;
        key(&path, &query).map(Self)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for RemarkedStockPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Ok(path) = PathParams::from_request_parts(parts, state).await;
        let query = Query::parse(&parts.uri, &["location", "reason", "reference"])?;
        let remark = query.remark()?;
        Ok(Self(key(&path, &query)?, remark))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for ReadStockPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Ok(path) = PathParams::from_request_parts(parts, state).await;
        let query = Query::parse(&parts.uri, &["location", "min_available", "at"])?;
        let min_available = query.read("min_available", units)?;
        let at = query.read("at", moment)?;
        if at.is_some() && min_available.is_some() {
            return Err(Problem::parameter("at", "is not waited for: leave min_available out"));
        }
        Ok(Self { key: key(&path, &query)?, min_available, at })
    }
}

/// A number of units as a parameter says it: digits alone, and not 0.
fn units(text: &str) -> Result<Quantity, String> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
    let units = if is_plain { text.parse().ok().and_then(Quantity::new) } else { None };
    units.ok_or_else(|| format!("must be an integer from 1 to {QUANTITY_MAX}"))
}

/// A moment as a parameter says it: the number of a movement, perhaps with its lineage, or a time.
fn moment(text: &str) -> Result<Moment, &'static str> {
    if let Ok(Numbered { number, lineage }) = text.parse() {
        let seq = Seq::new(number);
        return Ok(if lineage == Lineage::FIRST { Moment::Seq(seq) } else { Moment::SeqOf(seq, lineage) });
    }
    let time_ms = movements::time_ms(text).map_err(
        |_| "must be the number of a movement, a time in UTC (2026-11-22T15:04:05Z), or a date (2026-11-22)",
    )?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
    if u128::from(time_ms) > now { Err("must not be later than now") } else { Ok(Moment::Time(time_ms)) }
}

fn key(path: &PathParams, query: &Query<'_>) -> Result<StockKey, Problem> {
    // The one path that has no such parameter is that of queries, and a sku may be called so.
    let sku =
        path.get("sku").map_err(|NotText| Problem::parameter("sku", "must be UTF-8"))?.unwrap_or("query");
    let sku = Sku::parse(sku).map_err(|error| Problem::parameter("sku", error.to_string()))?;
    let location = query.read("location", Location::parse)?.unwrap_or(Location::DEFAULT);
    Ok(StockKey::new(&sku, &location))
}
