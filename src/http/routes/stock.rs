//! `/v1/stock/{sku}`: one level.

use axum::http::{StatusCode, header};
use axum::response::Response;

use super::address::{self, encoded};
use super::{BODY_BYTES_MAX, answer, movements};
use crate::http::dto::{AdjustRequest, PutRequest, StockLevel};
use crate::http::extract::{
    Asker, Bodiless, Conditions, IdempotencyKey, JsonBody, Prefer, ReadStockPath, RemarkedStockPath, Service,
    StockPath, Unkeyed,
};
use crate::http::problem::Problem;
use crate::stock::{Change, Level, Operation, Reason, Refusal, StockKey};
use crate::store::{AnyStore, Command, Deed, Moment, Store as _};

const SKU_IN_PATH: &str = "The sku, percent-encoded (a slash is `%2F`): 1 to 64 bytes of UTF-8, without control characters and without white space at either end";
const LOCATION_IN_QUERY: &str = "The location: the same of 1 to 32 bytes; `main` where left out";

/// Read a stock level
///
/// With `Prefer: wait=S` the answer waits, S seconds at most, until `min_available` units are available and, with `If-None-Match`, the level is at none of
/// the versions named: it is answered as soon as both are so, and as it is then if they are not in time. A level that does not exist has
/// the version that its 404 tells, 0 before it was ever created, and may be waited for. Without `Prefer: wait`, `min_available` changes nothing.
///
/// With `at` the level is shown as it was: as many records of it are read as it has had movements since.
#[utoipa::path(
    get, path = "/v1/stock/{sku}", tag = "stock", operation_id = "readStock",
    params(
        ("sku" = String, Path, description = SKU_IN_PATH, max_length = 64),
        ("location" = Option<String>, Query, description = LOCATION_IN_QUERY, max_length = 32),
        ("min_available" = Option<u64>, Query, description = "With `Prefer: wait`: how many units are waited for", minimum = 1, maximum = 1_099_511_627_775_i64),
        ("at" = Option<String>, Query, description = "The level as it was then: after the movement of that number (of any level), or at that time (RFC 3339 in UTC, or a date, which begins at midnight). No entity tag, and no conditions"),
        ("If-None-Match" = Option<String>, Header, description = "Entity tags the client already has; with `Prefer: wait`, `*` waits until there is no such level"),
        ("If-Match" = Option<String>, Header, description = "The entity tag the level must have, or `*`; nobody waits once it does not"),
        ("Prefer" = Option<String>, Header, description = "`wait=S` (RFC 7240): wait up to S seconds, 60 at most and nine tenths of the request timeout, for what `min_available` and `If-None-Match` ask for"),
    ),
    responses(
        (status = 200, description = "The level", body = StockLevel<'static>,
         headers(("ETag" = String, description = "The version, in quotes; after a restore of a backup, the lineage with it"), ("Preference-Applied" = String, description = "`wait=S`: for how long the request would have waited, of one that waits"))),
        (status = 304, description = "The level is still at one of the versions named",
         headers(("ETag" = String, description = "The version, in quotes; after a restore of a backup, the lineage with it"), ("Preference-Applied" = String, description = "`wait=S`: for how long the request has waited, of one that waits"))),
        (status = 400, description = "`invalid-request`", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "`stock-not-found`", body = Problem, content_type = "application/problem+json"),
        (status = 410, description = "`history-compacted`: what the level was then is past the retention, or there is no such movement in this history", body = Problem, content_type = "application/problem+json"),
        (status = 412, description = "`version-mismatch`", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "`validation-failed`", body = Problem, content_type = "application/problem+json"),
        (status = 500, description = "`internal-error`: a record is damaged", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "`contention`, `overloaded`, `journal-unavailable`, `store-unavailable`, `not-ready`, `request-timeout`", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn read(
    Service(store): Service,
    ReadStockPath { key, min_available, at }: ReadStockPath,
    conditions: Conditions,
    prefer: Prefer,
) -> Result<Response, Problem> {
    if let Some(moment) = at {
        return as_it_was(store, &key, moment, &conditions).await;
    }
    let waits = match prefer.patience() {
        Some(patience) => conditions.until(min_available)?.map(|until| (patience, until)),
        None => None,
    };
    let Some((patience, until)) = waits else {
        return shown(store, &key, store.read(&key).await?, &conditions);
    };
    // Apart, so that the future of a read that does not wait has no room for it.
    let when = Box::pin(patience.unless_stopped(store.read_when(&key, &until, patience.time())));
    let level = match when.await {
        Some(level) => level?,
        None => store.read(&key).await?,
    };
    shown(store, &key, level, &conditions).map(|response| answer::having_waited(response, patience))
}

/// The level as it was. It has no entity tag: nothing can be changed by what was.
async fn as_it_was(
    store: &AnyStore,
    key: &StockKey,
    moment: Moment,
    conditions: &Conditions,
) -> Result<Response, Problem> {
    conditions.none()?;
    let level = Box::pin(store.level_at(key, moment)).await.map_err(movements::problem)?;
    if !level.exists() {
        return Err(Problem::not_found(key, level.version()));
    }
    Ok(answer::json(&StockLevel::new(key, level), StockLevel::JSON_BYTES))
}

/// What is told of a level to who reads it under these conditions.
fn shown(
    store: &AnyStore,
    key: &StockKey,
    level: Level,
    conditions: &Conditions,
) -> Result<Response, Problem> {
    let precondition = conditions.if_match()?;
    if !precondition.holds(level) {
        let refusal = Refusal { reason: Reason::PreconditionFailed(precondition), found: level };
        return Err(Problem::refused(refusal, key, ""));
    }
    if !level.exists() {
        return Err(Problem::not_found(key, level.version()));
    }
    if conditions.not_modified(level) {
        return Ok(answer::empty(StatusCode::NOT_MODIFIED, level, store.lineage()));
    }
    Ok(answer::level(StatusCode::OK, key, level, store.lineage()))
}

/// Create a stock level, or record a physical count
///
/// Without a precondition, or with `If-None-Match: *`, it only creates. To overwrite, send `If-Match` with the entity tag
/// that was read, or `If-Match: *`.
#[utoipa::path(
    put, path = "/v1/stock/{sku}", tag = "stock", operation_id = "putStock",
    params(
        ("sku" = String, Path, description = SKU_IN_PATH, max_length = 64),
        ("location" = Option<String>, Query, description = LOCATION_IN_QUERY, max_length = 32),
        ("If-Match" = Option<String>, Header, description = "The entity tag of the level to overwrite, or `*`"),
        ("If-None-Match" = Option<String>, Header, description = "`*`: create only, 412 where there is a level"),
    ),
    request_body(content = PutRequest<'static>, content_type = "application/json"),
    responses(
        (status = 200, description = "Counted: the level after", body = StockLevel<'static>,
         headers(("ETag" = String, description = "The version, in quotes; after a restore of a backup, the lineage with it"))),
        (status = 201, description = "Created: the new level", body = StockLevel<'static>,
         headers(("ETag" = String, description = "The version, in quotes; after a restore of a backup, the lineage with it"), ("Location" = String, description = "The path of the level"))),
        (status = 400, description = "`invalid-request`", body = Problem, content_type = "application/problem+json"),
        (status = 408, description = "`request-timeout`: the body did not come in time; nothing was changed", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "`below-reserved`", body = Problem, content_type = "application/problem+json"),
        (status = 412, description = "`version-mismatch`", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "`request-too-large`", body = Problem, content_type = "application/problem+json"),
        (status = 415, description = "`unsupported-media-type`", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "`validation-failed`", body = Problem, content_type = "application/problem+json"),
        (status = 428, description = "`precondition-required`: the level exists, or the service asks for one in any case", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "`contention`, `overloaded`, `journal-unavailable`, `store-unavailable`, `not-ready`, `request-timeout`", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn put(
    Service(store): Service,
    who: Asker,
    StockPath(key): StockPath,
    conditions: Conditions,
    _: Unkeyed,
    body: JsonBody<BODY_BYTES_MAX>,
) -> Result<Response, Problem> {
    let (on_hand, remark) = body.read(|put: PutRequest<'_>| Ok((put.on_hand.0, put.remark()?)))?;
    let change = Change::put(on_hand, conditions.for_put()?);
    let command = Command { deed: Deed::Change { key, change }, idempotency: None, said: who.says(remark) };
    answer::change(store, command, "", |key, applied| {
        if applied.before.exists() {
            return answer::level(StatusCode::OK, key, applied.after, store.lineage());
        }
        let mut response = answer::level(StatusCode::CREATED, key, applied.after, store.lineage());
        let path = format!("/v1/stock/{}?location={}", encoded(key.sku()), encoded(key.location()));
        response.headers_mut().insert(header::LOCATION, address::location(path));
        response
    })
    .await
}

/// Delete a stock level
///
/// While it has units it is only deleted with `If-Match`, and they go with it. The level keeps its version: created again, it
/// continues from there. There is no body: reason and reference are parameters.
#[utoipa::path(
    delete, path = "/v1/stock/{sku}", tag = "stock", operation_id = "deleteStock",
    params(
        ("sku" = String, Path, description = SKU_IN_PATH, max_length = 64),
        ("location" = Option<String>, Query, description = LOCATION_IN_QUERY, max_length = 32),
        ("reason" = Option<String>, Query, description = "Why: free text", max_length = 64),
        ("reference" = Option<String>, Query, description = "What it belongs to, in the client's own books: free text", max_length = 128),
        ("If-Match" = Option<String>, Header, description = "The entity tag of the level to delete, or `*`; needed while it has units"),
    ),
    responses(
        (status = 204, description = "Deleted", headers(("ETag" = String, description = "The version of the deletion, in quotes"))),
        (status = 400, description = "`invalid-request`", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "`stock-not-found`", body = Problem, content_type = "application/problem+json"),
        (status = 408, description = "`request-timeout`: the body did not come in time; nothing was changed", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "`stock-reserved`", body = Problem, content_type = "application/problem+json"),
        (status = 412, description = "`version-mismatch`", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "`validation-failed`", body = Problem, content_type = "application/problem+json"),
        (status = 428, description = "`precondition-required`: the level has units, or the service asks for one in any case", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "`contention`, `overloaded`, `journal-unavailable`, `store-unavailable`, `not-ready`, `request-timeout`", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn delete(
    Service(store): Service,
    who: Asker,
    RemarkedStockPath(key, remark): RemarkedStockPath,
    conditions: Conditions,
    _: Unkeyed,
    _: Bodiless,
) -> Result<Response, Problem> {
    let change = Change { operation: Operation::Delete, precondition: conditions.for_delete()? };
    let command = Command { deed: Deed::Change { key, change }, idempotency: None, said: who.says(remark) };
    answer::change(store, command, "", |_, applied| {
        answer::empty(StatusCode::NO_CONTENT, applied.after, store.lineage())
    })
    .await
}

/// Adjust a stock level
///
/// Adds `delta` units, or takes them where it is negative: checked and changed in one step, never below what is
/// available.
#[utoipa::path(
    post, path = "/v1/stock/{sku}/adjust", tag = "stock", operation_id = "adjustStock",
    params(
        ("sku" = String, Path, description = SKU_IN_PATH, max_length = 64),
        ("location" = Option<String>, Query, description = LOCATION_IN_QUERY, max_length = 32),
        ("If-Match" = Option<String>, Header, description = "The entity tag the level must have, or `*`"),
        ("Idempotency-Key" = Option<String>, Header, description = "A key of the client's choice, 1 to 255 visible characters: however often the request is sent with it, it takes effect once", max_length = 255),
    ),
    request_body(content = AdjustRequest<'static>, content_type = "application/json"),
    responses(
        (status = 200, description = "The level after", body = StockLevel<'static>,
         headers(("ETag" = String, description = "The version, in quotes; after a restore of a backup, the lineage with it"))),
        (status = 400, description = "`invalid-request`, `idempotency-key-required`: there is none, and the service asks for one with each change", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "`stock-not-found`", body = Problem, content_type = "application/problem+json"),
        (status = 408, description = "`request-timeout`: the body did not come in time; nothing was changed", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "`insufficient-stock`, `idempotency-key-in-progress`", body = Problem, content_type = "application/problem+json"),
        (status = 412, description = "`version-mismatch`", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "`request-too-large`", body = Problem, content_type = "application/problem+json"),
        (status = 415, description = "`unsupported-media-type`", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "`validation-failed`, `quantity-overflow`, `idempotency-key-reused`", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "`contention`, `overloaded`, `journal-unavailable`, `store-unavailable`, `not-ready`, `request-timeout`", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn adjust(
    Service(store): Service,
    who: Asker,
    StockPath(key): StockPath,
    conditions: Conditions,
    idempotency_key: IdempotencyKey,
    body: JsonBody<BODY_BYTES_MAX>,
) -> Result<Response, Problem> {
    let (operation, remark) =
        body.read(|adjust: AdjustRequest<'_>| Ok((adjust.operation(), adjust.remark()?)))?;
    let change = Change { operation, precondition: conditions.if_match_only()? };
    let idempotency = idempotency_key.with_body(body.bytes());
    let command = Command { deed: Deed::Change { key, change }, idempotency, said: who.says(remark) };
    answer::change(store, command, "/delta", |key, applied| {
        answer::level(StatusCode::OK, key, applied.after, store.lineage())
    })
    .await
}
