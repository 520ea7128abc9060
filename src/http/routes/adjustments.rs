//! `/v1/adjustments`: many levels in one request, together or each on its own.

use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderValue;
use axum::response::Response;

use super::{BATCH_BYTES_MAX, answer};
use crate::http::HttpState;
use crate::http::dto::{
    AdjustmentsAnswer, AdjustmentsRequest, BatchWriter, LevelsAnswer, LineResult, Mode, StockLevel,
};
use crate::http::extract::{JsonBody, Unconditional};
use crate::http::problem::Problem;
use crate::inventory::Inventory;
use crate::stock::{Applied, Precondition, StockKey, Transaction};

/// Lines of an independent batch between two chances for other tasks of the thread to run: some ten microseconds.
const LINES_PER_TURN: usize = 256;

/// Adjust several stock levels
///
/// In `atomic` mode (the default) all lines are applied or none, and nobody ever sees a part. In `independent` mode each
/// line is judged alone, exactly as if it were a request of its own, and answered on its own.
#[utoipa::path(
    post, path = "/v1/adjustments", tag = "batches", operation_id = "adjustMany",
    request_body(content = AdjustmentsRequest<'static>, content_type = "application/json"),
    responses(
        (status = 200, description = "`atomic`: the levels after (`LevelsAnswer`). `independent`: what became of each line (`BatchAnswer`).",
         body = AdjustmentsAnswer<'static>),
        (status = 400, description = "`invalid-request`", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "`stock-not-found` (atomic)", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "`insufficient-stock` (atomic): every short line is named", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "`request-too-large`", body = Problem, content_type = "application/problem+json"),
        (status = 415, description = "`unsupported-media-type`", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "`validation-failed`, `too-many-lines`, `quantity-overflow` (atomic)", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "`contention` (atomic), `request-timeout`", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn adjust_many(
    State(state): State<&'static HttpState>,
    _: Unconditional,
    body: JsonBody<BATCH_BYTES_MAX>,
) -> Result<Response, Problem> {
    let request: AdjustmentsRequest<'_> = body.parse()?;
    match request.mode {
        Mode::Atomic => together(&state.inventory, request.transaction()?).await,
        Mode::Independent => each_alone(&state.inventory, &request).await,
    }
}

/// Makes a transaction and answers with the levels after it.
pub(super) async fn together(inventory: &Inventory, transaction: Transaction) -> Result<Response, Problem> {
    let transaction = Arc::new(transaction);
    let outcome = inventory.transact(&transaction).await;
    let applied = outcome.map_err(|rejected| Problem::transaction_rejected(rejected, &transaction))?;
    let entries = transaction.entries().iter().zip(&applied);
    let levels = entries.map(|(entry, applied)| StockLevel::new(&entry.key, applied.after)).collect();
    Ok(answer::json(&LevelsAnswer { levels }, StockLevel::JSON_BYTES * (applied.len() + 1)))
}

async fn each_alone(inventory: &Inventory, request: &AdjustmentsRequest<'_>) -> Result<Response, Problem> {
    let keys = request.keys()?;
    let mut batch = BatchWriter::new(keys.len());
    for (index, (key, line)) in keys.iter().zip(&request.lines).enumerate() {
        if index % LINES_PER_TURN == LINES_PER_TURN - 1 {
            tokio::task::yield_now().await;
        }
        let outcome = inventory.adjust(key, line.0.delta.0, Precondition::Any).await;
        let outcome =
            outcome.map_err(|rejected| Problem::rejected(rejected, key, &format!("/lines/{index}")));
        batch.push(&result(key, outcome));
    }
    Ok(answer::typed(batch.finish(), HeaderValue::from_static("application/json")))
}

fn result(key: &StockKey, outcome: Result<Applied, Problem>) -> LineResult<'_> {
    let (sku, location) = (key.sku(), key.location());
    match outcome {
        Ok(applied) => {
            let level = Some(StockLevel::new(key, applied.after));
            LineResult { sku, location, status: 200, level, problem: None }
        }
        Err(problem) => {
            let status = problem.kind().entry().status.as_u16();
            LineResult { sku, location, status, level: None, problem: Some(Box::new(problem)) }
        }
    }
}
