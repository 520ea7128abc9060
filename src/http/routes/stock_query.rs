//! `/v1/stock/query`: levels by name, as of one instant if that is asked for.

use std::sync::Arc;

use axum::extract::{FromRequest as _, FromRequestParts as _, Request};
use axum::http::{HeaderName, HeaderValue};
use axum::response::Response;

use super::{BATCH_BYTES_MAX, answer};
use crate::http::HttpState;
use crate::http::dto::{StockQueryAnswer, StockQueryRequest};
use crate::http::extract::{JsonBody, Service, Unconditional};
use crate::http::problem::Problem;
use crate::store::{AnyStore, StockQuery, Store as _};

/// The method whose body is a question (RFC 10008).
pub const QUERY: &str = "QUERY";
/// The path that takes it: that of the levels.
pub const QUERIED: &str = "/v1/stock";
/// Says what the question may be written in (RFC 10008, section 3).
const ACCEPT_QUERY: HeaderName = HeaderName::from_static("accept-query");

/// Read several stock levels
///
/// Up to 10 000 levels by name, and their totals. With `"consistent": true` all are as they were at one instant, whatever
/// changes meanwhile: a sum over levels between which units are moved is then one that there was. Nothing is changed.
///
/// `QUERY /v1/stock` (RFC 10008) with the same body is the same; this document cannot say so.
#[utoipa::path(
    post, path = "/v1/stock/query", tag = "batches", operation_id = "queryStock",
    request_body(content = StockQueryRequest<'static>, content_type = "application/json"),
    responses(
        (status = 200, description = "The levels", body = StockQueryAnswer<'static>),
        (status = 400, description = "`invalid-request`", body = Problem, content_type = "application/problem+json"),
        (status = 408, description = "`request-timeout`: the body did not come in time", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "`request-too-large`", body = Problem, content_type = "application/problem+json"),
        (status = 415, description = "`unsupported-media-type`", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "`validation-failed`, `too-many-lines`", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "`contention`, `overloaded`, `journal-unavailable`, `store-unavailable`, `not-ready`, `request-timeout`", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn query(
    Service(store): Service,
    _: Unconditional,
    body: JsonBody<BATCH_BYTES_MAX>,
) -> Result<Response, Problem> {
    answered(store, &body).await
}

/// The same by [`QUERY`], which the router does not know.
pub async fn by_method(state: &'static HttpState, request: Request) -> Result<Response, Problem> {
    let store = state.store()?;
    let (mut parts, body) = request.into_parts();
    Unconditional::from_request_parts(&mut parts, &state).await?;
    let body = JsonBody::<BATCH_BYTES_MAX>::from_request(Request::from_parts(parts, body), &state).await?;
    let mut response = answered(store, &body).await?;
    response.headers_mut().insert(ACCEPT_QUERY, HeaderValue::from_static("application/json"));
    Ok(response)
}

async fn answered(store: &AnyStore, body: &JsonBody<BATCH_BYTES_MAX>) -> Result<Response, Problem> {
    let ((keys, set), consistent) =
        body.read(|request: StockQueryRequest<'_>| Ok((request.keys()?, request.consistent)))?;
    let set = Arc::new(set);
    // Before any level is read.
    let event_cursor = store.feed_end().to_string();
    let levels = store.query(StockQuery { keys: Arc::clone(&set), consistent }).await?;
    let level = |key| levels[set.position(key).expect("every key is in the set")];
    let answer = StockQueryAnswer::new(keys.iter().map(|key| (key, level(key))), consistent, event_cursor);
    Ok(answer::json(&answer, answer.json_bytes()))
}
