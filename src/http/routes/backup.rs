//! `POST /v1/backup`: a copy of the journal that a service can start on.

use std::path::Path;

use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;

use super::{BODY_BYTES_MAX, answer};
use crate::http::dto::{BackupAnswer, BackupRequest};
use crate::http::extract::{JsonBody, Service, Unconditional};
use crate::http::problem::Problem;
use crate::store::Chores as _;
use crate::store::chores::BACKUPS;

/// Back up
///
/// Makes a copy in the folder `backups` of the data directory, while changes go on: everything that was acknowledged before the
/// request, and a consistent prefix of what came meanwhile. A service can be started with the copy as its data directory.
/// An `Idempotency-Key` is not needed: the name says which backup is meant, and a second one of that name is refused.
#[utoipa::path(
    post, path = "/v1/backup", tag = "ledger", operation_id = "backUp",
    request_body(content = BackupRequest<'static>, content_type = "application/json"),
    responses(
        (status = 201, description = "The backup is complete, and on disk", body = BackupAnswer),
        (status = 400, description = "`invalid-request`", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "`ledger-not-kept`: the service runs with --ephemeral", body = Problem, content_type = "application/problem+json"),
        (status = 408, description = "`request-timeout`: the body did not come in time; nothing was changed", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "`backup-exists`; `already-running`: another backup is being made, or an import applied", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "`request-too-large`", body = Problem, content_type = "application/problem+json"),
        (status = 415, description = "`unsupported-media-type`", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "`validation-failed`", body = Problem, content_type = "application/problem+json"),
        (status = 500, description = "`internal-error`", body = Problem, content_type = "application/problem+json"),
        (status = 501, description = "`not-supported`: the stock is in a database (--store)", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "`not-ready`, `overloaded`: the disk is full, or too many files are open, `request-timeout`", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn back_up(
    Service(store): Service,
    _: Unconditional,
    body: JsonBody<BODY_BYTES_MAX>,
) -> Result<Response, Problem> {
    let name = body.read(|request: BackupRequest<'_>| request.checked_name())?;
    let backup = store.back_up(Path::new(BACKUPS).join(name)).await?;
    let body = serde_json::to_vec(&BackupAnswer::new(backup));
    let body = body.expect("an answer has string keys and plain values");
    let mut response = answer::typed(body, HeaderValue::from_static("application/json"));
    *response.status_mut() = StatusCode::CREATED;
    Ok(response)
}
