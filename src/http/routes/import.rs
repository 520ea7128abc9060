//! `POST /v1/import`: many levels from a file, all or none, however many.

use std::sync::Arc;

use axum::body::Bytes;
use axum::http::HeaderValue;
use axum::response::Response;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::answer;
use crate::http::dto::{ExportLine, ImportAnswer};
use crate::http::extract::{BodyDigest, IdempotencyKey, NdjsonBody, Service, Unconditional};
use crate::http::once::{fresh, mark, replayed};
use crate::http::problem::{Kind, Problem};
use crate::inventory::import::{self, ImportError, Imported, Place, Stage, Staged};
use crate::journal::lanes::Keyed;
use crate::journal::record::Once;

/// Pieces of the body that are taken in ahead of what is checked.
const PIECES_AHEAD: usize = 4;

/// Import stock
///
/// The body has a line of JSON per stock level, as an export writes them: at most 1 GiB, at most 4096 bytes a line. After the
/// import each named level has that `on_hand`: created where it was missing, counted where it was there. All or nothing: every
/// line is checked first, and if one is wrong nothing is done. Once it has begun to be applied a crash does not stop it. Levels
/// are applied 10 000 at a time, in the order of their names: readers may see the first before the last.
#[utoipa::path(
    post, path = "/v1/import", tag = "ledger", operation_id = "importStock",
    params(("Idempotency-Key" = Option<String>, Header, description = "The import takes effect at most once", max_length = 255)),
    request_body(content = ExportLine, content_type = "application/x-ndjson", description = "A line per level"),
    responses(
        (status = 200, description = "Imported, and on disk", body = ImportAnswer),
        (status = 400, description = "`invalid-request`: the body was cut off, or a header is malformed", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "`already-running`: another import is under way. `below-reserved`: more units of a level are held. `idempotency-key-in-progress`", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "`request-too-large`", body = Problem, content_type = "application/problem+json"),
        (status = 415, description = "`unsupported-media-type`", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "`validation-failed`: each wrong line with its number, at most 100 of them; two lines that name the same level are wrong. `idempotency-key-reused`", body = Problem, content_type = "application/problem+json"),
        (status = 500, description = "`internal-error`", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "`not-ready`, `contention`, `overloaded`, `journal-unavailable`, `request-timeout`", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn import(
    Service(inventory): Service,
    _: Unconditional,
    idempotency_key: IdempotencyKey,
    mut body: NdjsonBody,
) -> Result<Response, Problem> {
    let already = || Problem::new(Kind::AlreadyRunning, "another import is under way; nothing was imported");
    let right = inventory.chores().import().ok_or_else(already)?;
    let place = Place::of(inventory.chores().home()).map_err(ImportError::Io)?;
    let mut digest = idempotency_key.begin_body();
    let id = digest.as_ref().map_or_else(import::fresh_id, BodyDigest::id);
    let stage = take_in(&mut body, &place, id, digest.as_mut()).await?;
    let once = digest.map(|digest| digest.finish().whole());
    let keyed: Option<Keyed> = match once {
        Some(once) => match fresh(inventory.books().begin(once).await?)? {
            Ok(keyed) => Some(keyed),
            Err(stored) => return Ok(mark(replayed(&stored, |_| Response::default()))),
        },
        None => None,
    };
    let staged = finish(stage, once).await?;
    // On a task of its own: a client that goes away does not stop what has happened.
    let importing = tokio::spawn(async move {
        let imported = inventory.import(staged, keyed).await;
        drop((place, right));
        imported
    });
    let imported: Imported = joined(importing).await?;
    Ok(answer::typed(imported.to_json(), HeaderValue::from_static("application/json")))
}

/// Passes the body on to a thread that may wait for the disk.
async fn take_in(
    body: &mut NdjsonBody,
    place: &Place,
    id: u128,
    mut digest: Option<&mut BodyDigest>,
) -> Result<Stage, Problem> {
    let (pieces, mut taken) = mpsc::channel::<Bytes>(PIECES_AHEAD);
    let mut stage = Stage::begin(Arc::clone(&place.disk), id);
    let staging = tokio::task::spawn_blocking(move || {
        while let Some(piece) = taken.blocking_recv() {
            stage.push(&piece)?;
        }
        Ok(stage)
    });
    while let Some(piece) = body.next().await? {
        if let Some(digest) = &mut digest {
            digest.update(&piece);
        }
        if pieces.send(piece).await.is_err() {
            // The thread has ended early, and says why.
            break;
        }
    }
    drop(pieces);
    joined(staging).await
}

async fn finish(stage: Stage, once: Option<Once>) -> Result<Staged, Problem> {
    joined(tokio::task::spawn_blocking(move || stage.finish(once))).await
}

async fn joined<T>(task: JoinHandle<Result<T, ImportError>>) -> Result<T, Problem> {
    match task.await {
        Ok(outcome) => outcome.map_err(Problem::from),
        Err(panicked) => Err(Problem::new(Kind::InternalError, panicked.to_string())),
    }
}
