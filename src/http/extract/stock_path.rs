//! [`StockPath`]: the stock level that a path and its `?location=` name.

use std::sync::Arc;

use axum::extract::rejection::RawPathParamsRejection;
use axum::extract::{FromRequestParts, RawPathParams};
use axum::http::request::Parts;

use super::query::Query;
use crate::http::problem::{Problem, ProblemKind};
use crate::stock::{Location, Remark, Sku, StockKey};

/// The level named by `/v1/stock/{sku}...?location=`.
#[derive(Debug)]
pub struct StockPath(pub StockKey);

/// The same with `?reason=&reference=`, for a request that has no body to say them in.
#[derive(Debug)]
pub struct RemarkedStockPath(pub StockKey, pub Option<Arc<Remark>>);

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
