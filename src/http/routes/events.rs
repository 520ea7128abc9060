//! `GET /v1/events`: every movement, as it becomes durable. `/schemas/{event}`: what an event looks like.

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Uri};
use axum::response::Response;

use super::{answer, movements};
use crate::http::HttpState;
use crate::http::dto::EventAnswer;
use crate::http::extract::{PathParams, Query, Service};
use crate::http::feed::Wants;
use crate::http::problem::{Problem, ProblemKind};
use crate::store::ledger::From;
use crate::store::{AnyStore, MovementCursor, MovementFilter, MovementQuery, Numbered, Seq, Store as _};

/// Tells proxies not to hold events back.
const ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");
/// Where a browser says what it saw last.
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// Watch movements
///
/// Server-sent events: every movement, once, in the order of the ledger, as it becomes durable, and right after it the alert that follows from it
/// (`stock.low`, `stock.replenished`), if one does. `event` is its `kind`, `data` what `/v1/movements` shows, `id` its place: `Last-Event-ID`, or `after` for those who cannot set headers, goes on right after it, over restarts
/// of the service too. Without either the stream begins with what happens from now on. The first block names that place before there is an
/// event. A comment comes now and then when nothing happens. Who takes nothing of the stream for too long is dropped, and goes on where it was.
#[utoipa::path(
    get, path = "/v1/events", tag = "ledger", operation_id = "watchEvents",
    params(
        ("after" = Option<String>, Query, description = "The `id` of an event, the `event_cursor` of an answer, or the number of a movement: begin right after it"),
        ("sku" = Option<String>, Query, description = "Only events of this sku", max_length = 64),
        ("location" = Option<String>, Query, description = "Only events at this location", max_length = 32),
        ("kind" = Option<String>, Query, description = "Only events of these kinds, with commas between them: those of movements, `stock.low` and `stock.replenished`"),
        ("reference" = Option<String>, Query, description = "Only events that refer to exactly this", max_length = 128),
        ("actor" = Option<String>, Query, description = "Only events of what was done with a key, or a token, of this name", max_length = 64),
        ("Last-Event-ID" = Option<String>, Header, description = "The `id` of the last event that was seen: begin right after it, whatever `after` says"),
    ),
    responses(
        (status = 200, description = "Events, until somebody hangs up; `/schemas/{event}.json` says what the `data` of each is, one of these", body = EventAnswer<'static>, content_type = "text/event-stream"),
        (status = 400, description = "`invalid-request`: the header Last-Event-ID names no place in the stream", body = Problem, content_type = "application/problem+json"),
        (status = 410, description = "`history-compacted`: what comes right after that place is past the retention; or it is a place of a history that a restore took back", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "`validation-failed`", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "`not-ready`, `overloaded`: too many watch, or too many files are open, `journal-unavailable`, `store-unavailable`", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn watch(
    State(state): State<&'static HttpState>,
    Service(store): Service,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, Problem> {
    let query = Query::parse(&uri, &["after", "sku", "location", "kind", "reference", "actor"])?;
    let filter = query.movements_of_any_kind()?;
    let wants = Wants::new(filter, query.get("kind")).map_err(|detail| Problem::parameter("kind", detail))?;
    let after = match (last_seen(&headers)?, query.read("after", place)?) {
        (Some(seen), _) => reached(store, seen).await?,
        (None, Some(after)) => reached(store, after).await?,
        (None, None) => {
            store.feed_caught_up().await?;
            store.feed_end()
        }
    };
    let pieces = state.feed.watch(store, state.alerts()?, &state.readiness, after, wants)?;
    let mut response = answer::typed(Body::new(pieces), HeaderValue::from_static("text/event-stream"));
    response.headers_mut().insert(ACCEL_BUFFERING, HeaderValue::from_static("no"));
    Ok(response)
}

/// What the `data` of an event looks like
#[utoipa::path(
    get, path = "/schemas/{event}", tag = "ledger", operation_id = "eventSchema",
    params(("event" = String, Path, description = "The name of the event and `.json`: `adjusted.json`")),
    responses(
        (status = 200, description = "A JSON Schema (2020-12)", body = Object, content_type = "application/schema+json"),
        (status = 404, description = "`not-found`", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn schema(State(state): State<&'static HttpState>, path: PathParams) -> Result<Response, Problem> {
    let schema = path.name("event").strip_suffix(".json").and_then(|event| state.documents.event(event));
    let schema =
        schema.ok_or_else(|| Problem::new(ProblemKind::NotFound, "there is no event of this name"))?;
    Ok(answer::document(schema, HeaderValue::from_static("application/schema+json")))
}

/// What a client says that it saw last. An empty one is none: so a browser has it that has seen nothing.
fn last_seen(headers: &HeaderMap) -> Result<Option<From>, Problem> {
    let Some(value) = headers.get(LAST_EVENT_ID).filter(|value| !value.is_empty()) else { return Ok(None) };
    let from = value.to_str().map_err(|_| NO_PLACE).and_then(place);
    from.map(Some)
        .map_err(|detail| Problem::new(ProblemKind::InvalidRequest, format!("Last-Event-ID: {detail}")))
}

const NO_PLACE: &str =
    "must be the id of an event, the event_cursor of an answer, or the number of a movement";

/// A place in the stream, as a client names it: digits and a lineage are a number, anything else is a cursor.
fn place(text: &str) -> Result<From, &'static str> {
    if let Ok(numbered) = text.parse::<Numbered>() {
        return Ok(movements::from(numbered));
    }
    let cursor: MovementCursor = text.parse().map_err(|_| NO_PLACE)?;
    cursor.seq().map(|_| From::Cursor(cursor)).ok_or(NO_PLACE)
}

/// The place, if what comes after it is there.
async fn reached(store: &AnyStore, from: From) -> Result<MovementCursor, Problem> {
    let at = match &from {
        From::Oldest => MovementCursor::after(Seq::default(), store.lineage()),
        From::Seq(seq) => MovementCursor::after(*seq, store.lineage()),
        From::SeqOf(seq, lineage) => MovementCursor::after(*seq, *lineage),
        From::Cursor(cursor) => *cursor,
    };
    // What follows from a movement is found where that is.
    let before = at.seq().filter(|_| at.is_within()).map(|seq| seq.number().saturating_sub(1));
    let from = before.map_or(from, |before| From::SeqOf(Seq::new(before), at.lineage()));
    let query = MovementQuery::After { from, filter: MovementFilter::default(), limit: 1 };
    store.movements(query).await.map_err(movements::problem)?;
    Ok(at)
}
