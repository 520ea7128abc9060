//! `/v1/adjustments`: many levels in one request, together or each on its own.

use std::sync::Arc;

use axum::response::Response;

use super::{BATCH_BYTES_MAX, answer, independent};
use crate::http::dto::{AdjustmentsAnswer, AdjustmentsRequest, LevelsAnswer, Mode, StockLevel};
use crate::http::extract::{IdempotencyKey, JsonBody, Keyring, Service, Unconditional};
use crate::http::once::once;
use crate::http::problem::Problem;
use crate::inventory::{Inventory, Memo, StoredRecord};
use crate::journal::record::Kind as RecordKind;
use crate::stock::Transaction;

/// Adjust several stock levels
///
/// In `atomic` mode (the default) all lines are applied or none, and nobody ever sees a part. In `independent` mode each
/// line is judged alone, exactly as if it were a request of its own, and answered on its own.
#[utoipa::path(
    post, path = "/v1/adjustments", tag = "batches", operation_id = "adjustMany",
    params(
        ("Idempotency-Key" = Option<String>, Header, description = "A key of the client's choice, 1 to 255 visible characters: however often the request is sent with it, it takes effect once", max_length = 255),
    ),
    request_body(content = AdjustmentsRequest<'static>, content_type = "application/json"),
    responses(
        (status = 200, description = "`atomic`: the levels after (`LevelsAnswer`). `independent`: what became of each line (`BatchAnswer`).",
         body = AdjustmentsAnswer<'static>),
        (status = 400, description = "`invalid-request`", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "`stock-not-found` (atomic)", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "`insufficient-stock` (atomic): every short line is named. `idempotency-key-in-progress`", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "`request-too-large`", body = Problem, content_type = "application/problem+json"),
        (status = 415, description = "`unsupported-media-type`", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "`validation-failed`, `too-many-lines`, `quantity-overflow` (atomic), `idempotency-key-reused`", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "`contention` (atomic), `overloaded`, `journal-unavailable`, `not-ready`, `request-timeout`", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn adjust_many(
    Service(inventory): Service,
    _: Unconditional,
    idempotency_key: IdempotencyKey,
    body: JsonBody<BATCH_BYTES_MAX>,
) -> Result<Response, Problem> {
    let request: AdjustmentsRequest<'_> = body.parse()?;
    let memo = Memo { remark: request.remark()?, keyed: None };
    let keyring = idempotency_key.with_body(body.bytes());
    match request.mode {
        Mode::Atomic => {
            let transaction = request.transaction()?;
            together(inventory, keyring, RecordKind::Change, memo, transaction).await
        }
        Mode::Independent => {
            let keys = request.keys()?;
            let lines: Vec<_> =
                keys.into_iter().zip(request.lines.iter().map(|line| line.0.delta.0)).collect();
            independent::each_alone(inventory, keyring, memo, &lines).await
        }
    }
}

/// Makes a transaction and answers with the levels after it.
pub(super) async fn together(
    inventory: &Inventory,
    keyring: Option<Box<Keyring>>,
    kind: RecordKind,
    memo: Memo,
    transaction: Transaction,
) -> Result<Response, Problem> {
    let transaction = Arc::new(transaction);
    let transact = async |memo| {
        let outcome = inventory.transact(&transaction, kind, memo).await;
        let applied = outcome.map_err(|rejected| Problem::transaction_rejected(rejected, &transaction))?;
        let entries = transaction.entries().iter().zip(&applied);
        Ok(levels(entries.map(|(entry, applied)| StockLevel::new(&entry.key, applied.after)).collect()))
    };
    let replay = |stored: &StoredRecord| {
        let after: Vec<_> = stored.levels().collect();
        levels(after.iter().map(|(key, level)| StockLevel::new(key, *level)).collect())
    };
    once(inventory, keyring, memo, transact, replay).await
}

fn levels(levels: Vec<StockLevel<'_>>) -> Response {
    let bytes = StockLevel::JSON_BYTES * (levels.len() + 1);
    answer::json(&LevelsAnswer { levels }, bytes)
}
