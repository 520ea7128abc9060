//! `/v1/transfers`: units from one location to another.

use axum::response::Response;

use super::{BATCH_BYTES_MAX, answer};
use crate::http::dto::{LevelsAnswer, TransfersRequest};
use crate::http::extract::{Asker, IdempotencyKey, JsonBody, Service, Unconditional};
use crate::http::problem::Problem;
use crate::store::TransactionKind;

/// Move units between locations
///
/// All lines or none: at no moment are units in both places or in neither. A missing destination is created.
#[utoipa::path(
    post, path = "/v1/transfers", tag = "batches", operation_id = "transfer",
    params(
        ("Idempotency-Key" = Option<String>, Header, description = "A key of the client's choice, 1 to 255 visible characters: however often the request is sent with it, it takes effect once", max_length = 255),
    ),
    request_body(content = TransfersRequest<'static>, content_type = "application/json"),
    responses(
        (status = 200, description = "The levels after", body = LevelsAnswer<'static>),
        (status = 400, description = "`invalid-request`, `idempotency-key-required`: there is none, and the service asks for one with each change", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "`stock-not-found`: there is no level to take from", body = Problem, content_type = "application/problem+json"),
        (status = 408, description = "`request-timeout`: the body did not come in time; nothing was changed", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "`insufficient-stock`: every short line is named. `idempotency-key-in-progress`", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "`request-too-large`", body = Problem, content_type = "application/problem+json"),
        (status = 415, description = "`unsupported-media-type`", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "`validation-failed`, `too-many-lines`, `quantity-overflow`, `idempotency-key-reused`", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "`contention`, `overloaded`, `journal-unavailable`, `store-unavailable`, `not-ready`, `request-timeout`", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn transfer(
    Service(store): Service,
    who: Asker,
    _: Unconditional,
    idempotency_key: IdempotencyKey,
    body: JsonBody<BATCH_BYTES_MAX>,
) -> Result<Response, Problem> {
    let asked = |request: TransfersRequest<'_>| Ok((request.transaction()?, request.remark()?));
    let (transaction, remark) = body.read(asked)?;
    let idempotency = idempotency_key.with_body(body.bytes());
    answer::transaction(store, transaction, TransactionKind::Transfer, idempotency, who.says(remark)).await
}
