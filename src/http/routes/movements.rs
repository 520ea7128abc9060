//! `/v1/movements`: the ledger.

use axum::http::{HeaderValue, Uri, header};
use axum::response::Response;

use super::address::{self, encoded};
use super::answer;
use crate::http::dto::{MovementAnswer, MovementsAnswer};
use crate::http::extract::{Page, Query, Service};
use crate::http::problem::{Problem, ProblemKind};
use crate::stock::{Location, Sku, StockKey};
use crate::store::ledger::From;
use crate::store::{HistoryError, Lineage, MovementCursor, MovementQuery, Numbered, Seq, Store as _};

/// List movements
///
/// With `sku` and without `after`: the history of that stock level, newest first. With `after`, or without `sku`: all movements
/// with a number above `after` (0 where it is left out), in order; `sku` and `location` are filters then. Only movements that are
/// on disk are listed, and a client finds there whatever it has been answered.
///
/// What it costs: the history of a level reads its own movements only; all movements are read in order, 32 MiB of the log for each page at most.
/// `kind`, `reference`, `actor`, `from` and `to` leave out what was read, and save nothing: a page may be short, or empty, and say where to go on.
#[utoipa::path(
    get, path = "/v1/movements", tag = "ledger", operation_id = "listMovements",
    params(
        ("sku" = Option<String>, Query, description = "Only movements of this sku", max_length = 64),
        ("location" = Option<String>, Query, description = "Only movements at this location. With `sku` and without `after`: `main` where left out", max_length = 32),
        ("after" = Option<String>, Query, description = "Only movements with a number above this, in order. A number (`4711`) is taken as one of the present lineage; with a lineage (`4711-00c0ffee00c0ffee`, the `lineage` of the page it is from) it is refused in another", pattern = "^[0-9]+(-[0-9a-f]{16})?$"),
        ("kind" = Option<String>, Query, description = "Only movements of these kinds, with commas between them"),
        ("reference" = Option<String>, Query, description = "Only movements that refer to exactly this", max_length = 128),
        ("actor" = Option<String>, Query, description = "Only movements that were made with a key, or a token, of this name", max_length = 64),
        ("from" = Option<String>, Query, description = "Only movements dated at this time or later: RFC 3339 in UTC, or a date, which begins at midnight"),
        ("to" = Option<String>, Query, description = "Only movements dated before this time"),
        ("cursor" = Option<String>, Query, description = "Where to go on: `next_cursor` of the page before"),
        ("limit" = Option<usize>, Query, description = "How many at most: 1 to 1000, 100 where left out", minimum = 1, maximum = 1000),
    ),
    responses(
        (status = 200, description = "A page. It may be short, or empty, although `next_cursor` says that there is more", body = MovementsAnswer<'static>,
         headers(("Link" = String, description = "`rel=\"next\"`: the next page, where there is one"))),
        (status = 410, description = "`history-compacted`: movements right after that number are past the retention; or the number, or the cursor, is of a history that a restore took back", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "`validation-failed`", body = Problem, content_type = "application/problem+json"),
        (status = 500, description = "`internal-error`: a record is damaged", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "`not-ready`, `overloaded`: too many files are open, `request-timeout`", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn list(Service(store): Service, uri: Uri) -> Result<Response, Problem> {
    let query = Query::parse(
        &uri,
        &["sku", "location", "after", "cursor", "limit", "kind", "reference", "actor", "from", "to"],
    )?;
    let Page { limit, cursor } = query.page()?;
    let page = store.movements(asked(&query, limit, cursor)?).await.map_err(problem)?;
    let next_cursor = page.next.as_ref().map(MovementCursor::to_string);
    let link = next_cursor.as_ref().map(|cursor| link(&query, cursor, limit));
    let items = page.movements.iter().map(MovementAnswer::new).collect();
    let lineage = page.lineage.id().map(|id| format!("{id:016x}"));
    let body = MovementsAnswer { items, next_cursor, compacted: page.compacted, lineage };
    let body = serde_json::to_vec(&body).expect("movements have string keys and plain values");
    let mut response = answer::typed(body, HeaderValue::from_static("application/json"));
    if let Some(link) = link {
        response.headers_mut().insert(header::LINK, link);
    }
    Ok(response)
}

fn asked(query: &Query<'_>, limit: usize, cursor: Option<MovementCursor>) -> Result<MovementQuery, Problem> {
    let sku = query.read("sku", Sku::parse)?;
    let location = query.read("location", Location::parse)?;
    let filter = query.movements()?;
    let number = |text: &str| {
        let expected = "must be the number of a movement, or 0; perhaps with a dash and its lineage";
        text.parse::<Numbered>().map_err(|_| expected)
    };
    let after = query.read("after", number)?;
    if let (Some(sku), None) = (&sku, after) {
        let key = StockKey::new(sku, &location.unwrap_or(Location::DEFAULT));
        return Ok(MovementQuery::OfLevel { key, cursor, filter, limit });
    }
    let from = match (cursor, after) {
        (Some(cursor), _) => From::Cursor(cursor),
        (None, Some(numbered)) => self::from(numbered),
        (None, None) => From::Seq(Seq::default()),
    };
    Ok(MovementQuery::After { from, filter, limit })
}

/// After the movement of that number. Which history it is of, a number without a lineage does not say.
pub(super) fn from(Numbered { number, lineage }: Numbered) -> From {
    match lineage {
        Lineage::FIRST => From::Seq(Seq::new(number)),
        lineage => From::SeqOf(Seq::new(number), lineage),
    }
}

pub(super) fn problem(error: HistoryError) -> Problem {
    match error {
        HistoryError::Cursor(error) => Problem::parameter("cursor", error.to_string()),
        HistoryError::Compacted { .. } | HistoryError::OtherLineage | HistoryError::Ahead { .. } => {
            Problem::new(ProblemKind::HistoryCompacted, error.to_string())
        }
        HistoryError::NotDone(not_done) => not_done.into(),
    }
}

/// The same request with the next cursor.
fn link(query: &Query<'_>, cursor: &str, limit: usize) -> HeaderValue {
    let mut link = format!("/v1/movements?limit={limit}&cursor={cursor}");
    for name in ["sku", "location", "after", "kind", "reference", "actor", "from", "to"] {
        if let Some(value) = query.get(name) {
            link = format!("{link}&{name}={}", encoded(value));
        }
    }
    address::next(&link)
}
