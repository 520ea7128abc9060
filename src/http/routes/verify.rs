//! `POST /v1/verify`: is the log what was written, and the stock what the log says?

use axum::Json;

use crate::http::dto::VerifyAnswer;
use crate::http::extract::{Service, Unconditional};
use crate::http::problem::Problem;
use crate::store::Chores as _;

/// Verify
///
/// Reads the whole log again: every checksum, the chain, the numbers, every link; recomputes every level by the rules of the
/// stock; and compares it with the live one, and what is reserved of it with what the pending reservations hold by the log.
/// Changes go on meanwhile: a level that changed is not compared with the live one. One at a time. The body of the request, if
/// there is one, is not looked at.
///
/// Where the stock is in a database (--store) there is no log: each partition is looked at in one snapshot, and every movement, level, reservation, order and run
/// of the ledger is held against the others. `segments`, `groups` and `records` are 0 then, and `seq` is a number within the partition that `detail` names.
#[utoipa::path(
    post, path = "/v1/verify", tag = "ledger", operation_id = "verify",
    responses(
        (status = 200, description = "What was verified, and what is wrong: `clean` says whether anything is", body = VerifyAnswer),
        (status = 400, description = "`invalid-request`", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "`ledger-not-kept`: the service runs with --ephemeral", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "`already-running`: another verification is under way", body = Problem, content_type = "application/problem+json"),
        (status = 500, description = "`internal-error`: the log cannot be read", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "`not-ready`, `overloaded`: too many files are open, `store-unavailable`, `request-timeout`", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn verify(Service(store): Service, _: Unconditional) -> Result<Json<VerifyAnswer>, Problem> {
    let report = store.verify().await?;
    if !report.is_clean() {
        tracing::error!(findings = report.findings_total, "the verification found differences or damage");
    }
    Ok(Json(VerifyAnswer::new(&report)))
}
