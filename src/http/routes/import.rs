//! `POST /v1/import`: many levels from a file, all or none, however many.

use axum::http::HeaderValue;
use axum::response::Response;

use super::answer;
use crate::http::dto::{ImportAnswer, ImportLine};
use crate::http::extract::{Asker, IdempotencyKey, Service, StockFile, Unconditional};
use crate::http::problem::Problem;
use crate::store::chores::ImportInto as _;
use crate::store::{Answered, Chores as _, Outcome};

/// Import stock
///
/// The body has a line per stock level, as an export writes them: at most 1 GiB, at most 4096 bytes a line. After the
/// import each named level has that `on_hand`: created where it was missing, counted where it was there, left alone where it had that
/// many: then there is no movement, and the version stays. All or nothing: every line is checked first, and if one is wrong nothing is
/// done. Once it has begun to be applied a crash does not stop it. Levels are applied 10 000 at a time, in the order of their names:
/// readers may see the first before the last.
///
/// A line with a `version` is refused if the level has moved on from it, and the whole import with it. That is judged before anything is applied and
/// again with each change: nobody's change is ever overwritten. An import of 10 000 levels at most is then called off whole; of a larger one that is
/// under way such a level is left as it is, and `left_out` counts it.
///
/// Where the stock is in a database (--store), 10 000 levels at most are one transaction. More are applied 2 000 at a time, and no start completes what a crash
/// of the replica cut short: the same request under its `Idempotency-Key`, to any replica, has those applied that are missing, and none twice. So
/// send one with it. One import at a time at each replica.
///
/// `text/csv` (RFC 4180, UTF-8) has a first line that names the columns, in any order: `sku` and `on_hand`, perhaps `location` and `version`. Semicolons or tabs
/// may stand for the commas, as spreadsheets of many countries write them.
#[utoipa::path(
    post, path = "/v1/import", tag = "ledger", operation_id = "importStock",
    params(("Idempotency-Key" = Option<String>, Header, description = "The import takes effect at most once", max_length = 255)),
    request_body(content((ImportLine = "application/x-ndjson"), (String = "text/csv")), description = "A line per level"),
    responses(
        (status = 200, description = "Imported, and on disk", body = ImportAnswer),
        (status = 400, description = "`invalid-request`: the body was cut off, or a header is malformed. `idempotency-key-required`: there is none, and the service asks for one with each change", body = Problem, content_type = "application/problem+json"),
        (status = 408, description = "`request-timeout`: the body did not come in time; nothing was changed", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "`already-running`: another import is under way. `below-reserved`: more units of a level are held. `idempotency-key-in-progress`", body = Problem, content_type = "application/problem+json"),
        (status = 412, description = "`version-mismatch`: levels have moved on from the versions that their lines name; each line with its number, at most 100 of them", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "`request-too-large`", body = Problem, content_type = "application/problem+json"),
        (status = 415, description = "`unsupported-media-type`", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "`validation-failed`: each wrong line with its number, at most 100 of them; two lines that name the same level are wrong. `idempotency-key-reused`", body = Problem, content_type = "application/problem+json"),
        (status = 500, description = "`internal-error`", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "`not-ready`, `contention`, `overloaded`, `journal-unavailable`, `store-unavailable`, `request-timeout`", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn import(
    Service(store): Service,
    who: Asker,
    _: Unconditional,
    idempotency_key: IdempotencyKey,
    mut body: StockFile,
) -> Result<Response, Problem> {
    let mut import = store.begin_import(body.form)?;
    let mut hash = idempotency_key.begin_body();
    while let Some(piece) = body.next().await? {
        if let Some(hash) = &mut hash {
            hash.update(&piece);
        }
        if !import.push(piece).await {
            break;
        }
    }
    let idempotency = hash.map(|hash| Box::new(hash.finish()));
    let Answered { outcome, replayed } = import.finish(idempotency, who.name()).await?;
    let response = match outcome {
        Outcome::Import(imported) => {
            let body = serde_json::to_vec(&ImportAnswer::new(imported));
            let body = body.expect("an answer has string keys and plain values");
            answer::typed(body, HeaderValue::from_static("application/json"))
        }
        Outcome::Written(written) => answer::written(written),
        _ => return Err(Problem::unexpected()),
    };
    Ok(answer::marked(response, replayed))
}
