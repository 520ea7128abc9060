//! `GET /v1/export`: every level, streamed.

use std::io;

use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, Uri};
use axum::response::Response;
use tokio::sync::mpsc;

use super::answer;
use crate::http::dto::{Export, ExportLine, export_lines};
use crate::http::extract::{Query, Service};
use crate::http::pieces::{Piece, Pieces};
use crate::http::problem::Problem;
use crate::store::{AnyStore, Store as _};

/// Pages that are made ahead of the client: with their lines some hundred KiB.
const PAGES_AHEAD: usize = 2;

/// Export the stock
///
/// One line of JSON per stock level that exists, ascending by sku, then location. Each level is current, and on disk, when it is
/// read; all together are not a snapshot of one instant. `Event-Cursor` is a place in the event stream: the events after it make of these
/// levels what the stock is at any later time (skip those whose `version` a level already has). An answer that ends before it is complete is cut off (no last chunk).
#[utoipa::path(
    get, path = "/v1/export", tag = "ledger", operation_id = "exportStock",
    responses(
        (status = 200, description = "A line per level", body = ExportLine, content_type = "application/x-ndjson",
         headers(("Event-Cursor" = String, description = "Where the events go on: `after` of `/v1/events`"))),
        (status = 422, description = "`validation-failed`: a parameter, of which there are none", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "`not-ready`, `contention`, `overloaded`, `journal-unavailable`, `request-timeout`", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn export(Service(store): Service, uri: Uri) -> Result<Response, Problem> {
    Query::parse(&uri, &[])?;
    // Before any level: what comes after this place and is not in the levels yet is in the events.
    let cursor = store.feed_end();
    let mut export = Export::default();
    // The first page comes before the answer's head: what fails at once is an answer.
    let first = export.page(store).await?.unwrap_or_default();
    let (pieces, taken) = mpsc::channel(PAGES_AHEAD);
    tokio::spawn(stream(store, export, export_lines(&first), pieces));
    let mut response =
        answer::typed(Body::new(Pieces(taken)), HeaderValue::from_static("application/x-ndjson"));
    response.headers_mut().insert(answer::EVENT_CURSOR, answer::event_cursor(cursor));
    Ok(response)
}

/// Ends when the client has gone away.
async fn stream(store: &'static AnyStore, mut export: Export, first: String, pieces: mpsc::Sender<Piece>) {
    let mut lines = first;
    loop {
        if !lines.is_empty() && pieces.send(Ok(Bytes::from(lines))).await.is_err() {
            return;
        }
        lines = match export.page(store).await {
            Ok(Some(levels)) => export_lines(&levels),
            Ok(None) => return,
            Err(error) => {
                tracing::warn!(%error, "an export was cut off");
                // If the client has gone away it need not be told.
                let _ = pieces.send(Err(io::Error::other("the export was cut off"))).await;
                return;
            }
        };
    }
}
