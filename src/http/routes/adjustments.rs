//! `/v1/adjustments`: many levels in one request, together or each on its own.

use std::sync::Arc;

use axum::response::Response;

use super::{BATCH_BYTES_MAX, answer, independent};
use crate::http::dto::{AdjustmentsAnswer, AdjustmentsRequest, LooseAdjustmentsRequest, Mode};
use crate::http::extract::{Asker, IdempotencyKey, JsonBody, Service, Unconditional};
use crate::http::problem::Problem;
use crate::stock::{Remark, Transaction};
use crate::store::TransactionKind;

/// Adjust several stock levels
///
/// In `atomic` mode (the default) all lines are applied or none, and nobody ever sees a part. In `independent` mode each
/// line is judged alone, exactly as if it were a request of its own, and answered on its own; one that is not as it must be is
/// told so with 422, and the others are carried out.
#[utoipa::path(
    post, path = "/v1/adjustments", tag = "batches", operation_id = "adjustMany",
    params(
        ("Idempotency-Key" = Option<String>, Header, description = "A key of the client's choice, 1 to 255 visible characters: however often the request is sent with it, it takes effect once", max_length = 255),
    ),
    request_body(content = AdjustmentsRequest<'static>, content_type = "application/json"),
    responses(
        (status = 200, description = "`atomic`: the levels after (`LevelsAnswer`). `independent`: what became of each line (`BatchAnswer`).",
         body = AdjustmentsAnswer<'static>),
        (status = 400, description = "`invalid-request`, `idempotency-key-required`: there is none, and the service asks for one with each change", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "`stock-not-found` (atomic)", body = Problem, content_type = "application/problem+json"),
        (status = 408, description = "`request-timeout`: the body did not come in time; nothing was changed", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "`insufficient-stock` (atomic): every short line is named. `idempotency-key-in-progress`", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "`request-too-large`", body = Problem, content_type = "application/problem+json"),
        (status = 415, description = "`unsupported-media-type`", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "`validation-failed`, `too-many-lines`, `quantity-overflow` (atomic), `idempotency-key-reused`", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "`contention` (atomic), `overloaded`, `journal-unavailable`, `store-unavailable`, `not-ready`, `request-timeout`", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn adjust_many(
    Service(store): Service,
    who: Asker,
    _: Unconditional,
    idempotency_key: IdempotencyKey,
    body: JsonBody<BATCH_BYTES_MAX>,
) -> Result<Response, Problem> {
    let asked = body.read(|request: AdjustmentsRequest<'_>| match request.mode {
        Mode::Atomic => Ok(Asked::Together(request.transaction()?, request.remark()?)),
        Mode::Independent => Ok(Asked::Alone(request.each()?, request.remark()?)),
    });
    // A line that is none is told in its place, if each stands alone.
    let asked = asked.or_else(|problem| {
        let alone = body.read(|request: LooseAdjustmentsRequest<'_>| match request.mode {
            Mode::Atomic => Ok(None),
            Mode::Independent => Ok(Some(Asked::Alone(request.each()?, request.remark()?))),
        });
        alone.ok().flatten().ok_or(problem)
    })?;
    let idempotency = idempotency_key.with_body(body.bytes());
    match asked {
        Asked::Together(transaction, remark) => {
            let said = who.says(remark);
            answer::transaction(store, transaction, TransactionKind::Adjustment, idempotency, said).await
        }
        Asked::Alone(lines, remark) => {
            independent::each_alone(store, lines, idempotency, who.says(remark)).await
        }
    }
}

/// What is asked of the lines.
enum Asked {
    Together(Transaction, Option<Arc<Remark>>),
    Alone(Vec<independent::Line>, Option<Arc<Remark>>),
}
