//! `GET /v1/export`: every level, streamed.

use std::io;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, Uri, header};
use axum::response::Response;
use tokio::sync::mpsc;

use super::answer;
use crate::http::HttpState;
use crate::http::dto::{Export, ExportForm, ExportLine};
use crate::http::extract::{NDJSON, Query, Service, wanted_form};
use crate::http::pieces::{Piece, Pieces};
use crate::http::problem::Problem;
use crate::store::chores::StockForm;
use crate::store::{AnyStore, Store as _};

/// Pages that are made ahead of the client: with their lines some hundred KiB.
const PAGES_AHEAD: usize = 2;

/// What a spreadsheet has to know of the bytes.
const CSV_IN_UTF_8: &str = "text/csv; charset=utf-8; header=present";
/// A browser saves it under that name.
const AS_A_FILE: &str = "attachment; filename=\"stock.csv\"";

/// Export the stock
///
/// One line per stock level that exists, of JSON or of cells (RFC 4180, with a first line of names), ascending by sku, then location. Each level is current, and on disk, when it is
/// read; all together are not a snapshot of one instant. `Event-Cursor` is a place in the event stream: the events after it make of these
/// levels what the stock is at any later time (skip those whose `version` a level already has). An answer that ends before it is complete is cut off (no last chunk).
#[utoipa::path(
    get, path = "/v1/export", tag = "ledger", operation_id = "exportStock",
    params(("format" = Option<String>, Query, description = "`ndjson` or `csv`, whatever `Accept` says; by `Accept` where left out, and `ndjson` if that wants neither", pattern = "^(ndjson|csv)$")),
    responses(
        (status = 200, description = "A line per level", content((ExportLine = "application/x-ndjson"), (String = "text/csv")),
         headers(("Event-Cursor" = String, description = "Where the events go on: `after` of `/v1/events`"), ("Content-Disposition" = String, description = "Of `text/csv`: that it is a file, `stock.csv`"))),
        (status = 422, description = "`validation-failed`", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "`not-ready`, `contention`, `overloaded` (also where as many are under way as may), `journal-unavailable`, `store-unavailable`, `request-timeout`", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn export(
    State(state): State<&'static HttpState>,
    Service(store): Service,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, Problem> {
    // It is over when its body is, however it ends.
    let under_way = state.exports.begin()?;
    let wanted = wanted_form(&Query::parse(&uri, &["format"])?, &headers)?;
    // Before any level: what comes after this place and is not in the levels yet is in the events.
    let cursor = store.feed_end();
    let mut export = Export::default();
    // The first page comes before the answer's head: what fails at once is an answer.
    let form = ExportForm::new(wanted, store.lineage());
    let mut first = form.head();
    form.write(&export.page(store).await?.unwrap_or_default(), &mut first);
    let (pieces, taken) = mpsc::channel(PAGES_AHEAD);
    tokio::spawn(stream(store, export, form, first, pieces));
    let content_type = if wanted == StockForm::Csv { CSV_IN_UTF_8 } else { NDJSON };
    let mut response =
        answer::typed(Body::new(under_way.of(Pieces(taken))), HeaderValue::from_static(content_type));
    let headers = response.headers_mut();
    headers.insert(answer::EVENT_CURSOR, answer::event_cursor(cursor));
    headers.insert(header::VARY, HeaderValue::from_name(header::ACCEPT));
    if wanted == StockForm::Csv {
        headers.insert(header::CONTENT_DISPOSITION, HeaderValue::from_static(AS_A_FILE));
    }
    Ok(response)
}

/// Ends when the client has gone away.
async fn stream(
    store: &'static AnyStore,
    mut export: Export,
    form: ExportForm,
    first: Vec<u8>,
    pieces: mpsc::Sender<Piece>,
) {
    let mut lines = first;
    loop {
        if !lines.is_empty() && pieces.send(Ok(Bytes::from(lines))).await.is_err() {
            return;
        }
        lines = match export.page(store).await {
            Ok(Some(levels)) => {
                let mut lines = Vec::new();
                form.write(&levels, &mut lines);
                lines
            }
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
