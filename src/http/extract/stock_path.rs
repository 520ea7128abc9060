//! [`StockPath`]: the stock level that a path and its `?location=` name.

use axum::extract::{FromRequestParts, RawPathParams};
use axum::http::request::Parts;

use super::query::Query;
use crate::http::problem::{Kind, Problem};
use crate::stock::{Location, Sku, StockKey};

/// The level named by `/v1/stock/{sku}...?location=`.
#[derive(Debug)]
pub struct StockPath(pub StockKey);

impl<S: Send + Sync> FromRequestParts<S> for StockPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let params = RawPathParams::from_request_parts(parts, state).await;
        let params = params.map_err(|error| Problem::new(Kind::InvalidRequest, error.body_text()))?;
        let sku = params.iter().find(|(name, _)| *name == "sku").map_or("", |(_, sku)| sku);
        let sku = Sku::parse(sku).map_err(|error| Problem::parameter("sku", error.to_string()))?;
        let query = Query::parse(&parts.uri, &["location"])?;
        let location = match query.get("location") {
            Some(text) => {
                Location::parse(text).map_err(|error| Problem::parameter("location", error.to_string()))?
            }
            None => Location::DEFAULT,
        };
        Ok(Self(StockKey::new(sku, location)))
    }
}
