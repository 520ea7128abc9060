//! `/v1/alerts`: which levels are told of when they are low.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, Uri};
use axum::response::Response;
use serde::Serialize;

use super::{BODY_BYTES_MAX, answer};
use crate::alerts::NotSet;
use crate::http::HttpState;
use crate::http::dto::{AlertAnswer, AlertRequest, AlertsAnswer};
use crate::http::extract::{Bodiless, JsonBody, NoConditions, Query, Service, StockPath, Unkeyed};
use crate::http::problem::{Problem, ProblemKind};
use crate::stock::{KeySet, Quantity, StockKey};
use crate::store::{AnyStore, StockQuery, Store as _};

/// Set the alert of a stock level
///
/// From then on `stock.low` is told once when what is available falls to `low_at` or below, and `stock.replenished` once when it rises above, for each crossing and
/// whatever caused it: as events of `/v1/events`, right after the movement that did it. A level that does not exist has nothing available, and
/// may have an alert.
#[utoipa::path(
    put, path = "/v1/alerts/{sku}", tag = "ledger", operation_id = "putAlert",
    params(
        ("sku" = String, Path, description = "The sku", max_length = 64),
        ("location" = Option<String>, Query, description = "The location; `main` where left out", max_length = 32),
    ),
    request_body(content = AlertRequest, content_type = "application/json"),
    responses(
        (status = 200, description = "The alert", body = AlertAnswer<'static>),
        (status = 400, description = "`invalid-request`", body = Problem, content_type = "application/problem+json"),
        (status = 408, description = "`request-timeout`: the body did not come in time; nothing was changed", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "`request-too-large`", body = Problem, content_type = "application/problem+json"),
        (status = 415, description = "`unsupported-media-type`", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "`validation-failed`", body = Problem, content_type = "application/problem+json"),
        (status = 500, description = "`internal-error`", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "`overloaded` (also where 10 000 levels have one), `journal-unavailable`, `store-unavailable`, `contention`, `not-ready`, `request-timeout`", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn put(
    State(state): State<&'static HttpState>,
    Service(store): Service,
    StockPath(key): StockPath,
    _: NoConditions,
    _: Unkeyed,
    body: JsonBody<BODY_BYTES_MAX>,
) -> Result<Response, Problem> {
    let low_at = body.read(|alert: AlertRequest| Ok(alert.low_at.0))?;
    set(state, store, &key, Some(low_at)).await?;
    Ok(shown(&AlertAnswer::new(&key, low_at.units(), store.read(&key).await?)))
}

/// Read the alert of a stock level
#[utoipa::path(
    get, path = "/v1/alerts/{sku}", tag = "ledger", operation_id = "readAlert",
    params(
        ("sku" = String, Path, description = "The sku", max_length = 64),
        ("location" = Option<String>, Query, description = "The location; `main` where left out", max_length = 32),
    ),
    responses(
        (status = 200, description = "The alert", body = AlertAnswer<'static>),
        (status = 404, description = "`alert-not-found`", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "`validation-failed`", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "`contention`, `overloaded`, `journal-unavailable`, `store-unavailable`, `not-ready`, `request-timeout`", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn read(
    State(state): State<&'static HttpState>,
    Service(store): Service,
    StockPath(key): StockPath,
) -> Result<Response, Problem> {
    let low_at = state.alerts()?.rules(store).await?.low_at(&key).ok_or_else(|| not_found(&key))?;
    Ok(shown(&AlertAnswer::new(&key, low_at, store.read(&key).await?)))
}

/// Remove the alert of a stock level
#[utoipa::path(
    delete, path = "/v1/alerts/{sku}", tag = "ledger", operation_id = "deleteAlert",
    params(
        ("sku" = String, Path, description = "The sku", max_length = 64),
        ("location" = Option<String>, Query, description = "The location; `main` where left out", max_length = 32),
    ),
    responses(
        (status = 204, description = "Removed"),
        (status = 400, description = "`invalid-request`", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "`alert-not-found`", body = Problem, content_type = "application/problem+json"),
        (status = 408, description = "`request-timeout`: the body did not come in time; nothing was changed", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "`validation-failed`", body = Problem, content_type = "application/problem+json"),
        (status = 500, description = "`internal-error`", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "`overloaded`, `journal-unavailable`, `store-unavailable`, `not-ready`, `request-timeout`", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn delete(
    State(state): State<&'static HttpState>,
    Service(store): Service,
    StockPath(key): StockPath,
    _: NoConditions,
    _: Unkeyed,
    _: Bodiless,
) -> Result<Response, Problem> {
    if !set(state, store, &key, None).await? {
        return Err(not_found(&key));
    }
    let mut response = Response::default();
    *response.status_mut() = StatusCode::NO_CONTENT;
    Ok(response)
}

/// List alerts
///
/// All there are, with what is available of each level now: those with `"low":true` are at their mark or below.
#[utoipa::path(
    get, path = "/v1/alerts", tag = "ledger", operation_id = "listAlerts",
    responses(
        (status = 200, description = "The alerts", body = AlertsAnswer<'static>),
        (status = 422, description = "`validation-failed`: a parameter, of which there are none", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "`contention`, `overloaded`, `journal-unavailable`, `store-unavailable`, `not-ready`, `request-timeout`", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn list(
    State(state): State<&'static HttpState>,
    Service(store): Service,
    uri: Uri,
) -> Result<Response, Problem> {
    Query::parse(&uri, &[])?;
    let rules = state.alerts()?.rules(store).await?;
    let keys = Arc::new(KeySet::new(rules.iter().map(|(key, _)| key.clone()).collect()));
    let levels = store.query(StockQuery { keys: Arc::clone(&keys), consistent: false }).await?;
    let level = |key| levels[keys.position(key).expect("every key is in the set")];
    let items = rules.iter().map(|(key, low_at)| AlertAnswer::new(key, low_at, level(key))).collect();
    Ok(shown(&AlertsAnswer { items }))
}

/// Carried through, whether or not the client stays. Returns whether there was one.
async fn set(
    state: &'static HttpState,
    store: &'static AnyStore,
    key: &StockKey,
    low_at: Option<Quantity>,
) -> Result<bool, Problem> {
    let (alerts, key) = (state.alerts()?, key.clone());
    let set = tokio::spawn(async move { alerts.set(store, &key, low_at).await });
    match set.await {
        Ok(Ok(had)) => Ok(had),
        Ok(Err(NotSet::NotDone(not_done))) => Err(not_done.into()),
        Ok(Err(error @ NotSet::TooMany)) => Err(Problem::new(ProblemKind::Overloaded, error.to_string())),
        Err(_panicked) => Err(Problem::new(ProblemKind::InternalError, "the alert was not kept")),
    }
}

fn not_found(key: &StockKey) -> Problem {
    let detail = format!("sku {} at location {} has no alert", key.sku(), key.location());
    Problem::new(ProblemKind::AlertNotFound, detail)
}

fn shown(answer: &impl Serialize) -> Response {
    let body = serde_json::to_vec(answer).expect("alerts have string keys and plain values");
    answer::typed(body, HeaderValue::from_static("application/json"))
}
