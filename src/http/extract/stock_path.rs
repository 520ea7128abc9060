//! [`StockPath`]: the stock level that a path and its `?location=` name.

use std::sync::Arc;

use axum::extract::rejection::RawPathParamsRejection;
use axum::extract::{FromRequestParts, RawPathParams};
use axum::http::request::Parts;

use super::query::Query;
use crate::http::problem::{Problem, ProblemKind};
use crate::stock::{Location, QUANTITY_MAX, Quantity, Remark, Sku, StockKey};

/// The level named by `/v1/stock/{sku}...?location=`.
#[derive(Debug)]
pub struct StockPath(pub StockKey);

/// The same with `?reason=&reference=`, for a request that has no body to say them in.
#[derive(Debug)]
pub struct RemarkedStockPath(pub StockKey, pub Option<Arc<Remark>>);

/// The same with `?min_available=`, for a request that may wait for so many units.
#[derive(Debug)]
pub struct WatchedStockPath(pub StockKey, pub Option<Quantity>);

impl<S: Send + Sync> FromRequestParts<S> for StockPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let params = RawPathParams::from_request_parts(parts, state).await;
        let query = Query::parse(&parts.uri, &["location"])?;
        key(params, &query).map(Self)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for RemarkedStockPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let params = RawPathParams::from_request_parts(parts, state).await;
        let query = Query::parse(&parts.uri, &["location", "reason", "reference"])?;
        let remark = query.remark()?;
        Ok(Self(key(params, &query)?, remark))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for WatchedStockPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let params = RawPathParams::from_request_parts(parts, state).await;
        let query = Query::parse(&parts.uri, &["location", "min_available"])?;
        let min_available = query.read("min_available", units)?;
        Ok(Self(key(params, &query)?, min_available))
    }
}

/// A number of units as a parameter says it: digits alone, and not 0.
fn units(text: &str) -> Result<Quantity, String> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
    let units = if is_plain { text.parse().ok().and_then(Quantity::new) } else { None };
    units.ok_or_else(|| format!("must be an integer from 1 to {QUANTITY_MAX}"))
}

fn key(
    params: Result<RawPathParams, RawPathParamsRejection>,
    query: &Query<'_>,
) -> Result<StockKey, Problem> {
    let params = params.map_err(|error| Problem::new(ProblemKind::InvalidRequest, error.body_text()))?;
    // The one path that has no such parameter is that of queries, and a sku may be called so.
    let sku = params.iter().find(|(name, _)| *name == "sku").map_or("query", |(_, sku)| sku);
    let sku = Sku::parse(sku).map_err(|error| Problem::parameter("sku", error.to_string()))?;
    let location = query.read("location", Location::parse)?.unwrap_or(Location::DEFAULT);
    Ok(StockKey::new(sku, location))
}
