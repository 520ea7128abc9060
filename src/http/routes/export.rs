//! `GET /v1/export`: every level, streamed.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, Uri};
use axum::response::Response;
use http_body::Frame;
use tokio::sync::mpsc;

use super::answer;
use crate::http::dto::{Export, ExportLine, export_lines};
use crate::http::extract::{Query, Service};
use crate::http::problem::Problem;
use crate::store::AnyStore;

/// Pages that are made ahead of the client: with their lines some hundred KiB.
const PAGES_AHEAD: usize = 2;

/// A body whose pieces are made as the client takes them.
struct Pieces(mpsc::Receiver<Result<Bytes, io::Error>>);

/// Export the stock
///
/// One line of JSON per stock level that exists, ascending by sku, then location. Each level is current, and on disk, when it is
/// read; all together are not a snapshot of one instant. An answer that ends before it is complete is cut off (no last chunk).
#[utoipa::path(
    get, path = "/v1/export", tag = "ledger", operation_id = "exportStock",
    responses(
        (status = 200, description = "A line per level", body = ExportLine, content_type = "application/x-ndjson"),
        (status = 422, description = "`validation-failed`: a parameter, of which there are none", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "`not-ready`, `contention`, `overloaded`, `journal-unavailable`, `request-timeout`", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn export(Service(store): Service, uri: Uri) -> Result<Response, Problem> {
    Query::parse(&uri, &[])?;
    let mut export = Export::default();
    // The first page comes before the answer's head: what fails at once is an answer.
    let first = export.page(store).await?.unwrap_or_default();
    let (pieces, taken) = mpsc::channel(PAGES_AHEAD);
    tokio::spawn(stream(store, export, export_lines(&first), pieces));
    Ok(answer::typed(Body::new(Pieces(taken)), HeaderValue::from_static("application/x-ndjson")))
}

/// Ends when the client has gone away.
async fn stream(
    store: &'static AnyStore,
    mut export: Export,
    first: String,
    pieces: mpsc::Sender<Result<Bytes, io::Error>>,
) {
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

impl http_body::Body for Pieces {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        self.0.poll_recv(cx).map(|piece| piece.map(|piece| piece.map(Frame::data)))
    }
}
