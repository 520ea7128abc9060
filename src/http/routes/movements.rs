//! `/v1/movements`: the ledger.

use axum::http::{HeaderValue, Uri, header};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::http::dto::{MovementAnswer, MovementsAnswer};
use crate::http::extract::{Query, Service};
use crate::http::problem::{Kind, Problem};
use crate::inventory::{LedgerError, MovementFilter};
use crate::journal::history::{Before, HistoryError, Page};
use crate::stock::{Location, Sku, StockKey};

const LIMIT_DEFAULT: usize = 100;
const LIMIT_MAX: usize = 1_000;

/// What is asked for, and where a page starts: a place in its history for one level, a number for all.
enum Question {
    OfLevel { key: StockKey, from: Option<Before> },
    After { seq: u64, filter: MovementFilter },
}

/// List movements
///
/// With `sku` and without `after`: the history of that stock level, newest first. With `after`, or without `sku`: all movements
/// with a number above `after` (0 where it is left out), in order; `sku` and `location` are filters then. Only movements that are
/// on disk are listed, and a client finds there whatever it has been answered.
#[utoipa::path(
    get, path = "/v1/movements", tag = "ledger", operation_id = "listMovements",
    params(
        ("sku" = Option<String>, Query, description = "Only movements of this sku", max_length = 64),
        ("location" = Option<String>, Query, description = "Only movements at this location. With `sku` and without `after`: `main` where left out", max_length = 32),
        ("after" = Option<u64>, Query, description = "Only movements with a number above this, in order"),
        ("cursor" = Option<String>, Query, description = "Where to go on: `next_cursor` of the page before"),
        ("limit" = Option<usize>, Query, description = "How many at most: 1 to 1000, 100 where left out", minimum = 1, maximum = 1000),
    ),
    responses(
        (status = 200, description = "A page. It may be short, or empty, although `next_cursor` says that there is more", body = MovementsAnswer<'static>,
         headers(("Link" = String, description = "`rel=\"next\"`: the next page, where there is one"))),
        (status = 404, description = "`ledger-not-kept`: the service runs with --ephemeral", body = Problem, content_type = "application/problem+json"),
        (status = 410, description = "`history-compacted`: movements right after that number are past the retention", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "`validation-failed`", body = Problem, content_type = "application/problem+json"),
        (status = 500, description = "`internal-error`: a record is damaged", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "`not-ready`, `request-timeout`", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn list(Service(inventory): Service, uri: Uri) -> Result<Response, Problem> {
    let query = Query::parse(&uri, &["sku", "location", "after", "cursor", "limit"])?;
    let limit = query.get("limit").map_or(Ok(LIMIT_DEFAULT), parse_limit)?;
    let question = question(&query)?;
    match question {
        Question::OfLevel { key, from } => {
            let page = inventory.movements_of(key, from, limit).await.map_err(problem)?;
            let cursor = page.next.map(encode_before);
            Ok(answer(&query, limit, &page, cursor))
        }
        Question::After { seq, filter } => {
            let page = inventory.movements_after(seq, filter, limit).await.map_err(problem)?;
            if page.compacted {
                let oldest = inventory.oldest_movement();
                let detail = format!("the oldest movement that is kept is number {oldest}");
                return Err(Problem::new(Kind::HistoryCompacted, detail));
            }
            let cursor = page.next.map(|next| URL_SAFE_NO_PAD.encode(next.to_be_bytes()));
            Ok(answer(&query, limit, &page, cursor))
        }
    }
}

fn answer<Next>(query: &Query<'_>, limit: usize, page: &Page<Next>, next_cursor: Option<String>) -> Response {
    let link = next_cursor.as_ref().map(|cursor| link(query, cursor, limit));
    let items = page.movements.iter().map(MovementAnswer::new).collect();
    let body = MovementsAnswer { items, next_cursor, compacted: page.compacted };
    let body = serde_json::to_vec(&body).expect("movements have string keys and plain values");
    let mut response = super::answer::typed(body, HeaderValue::from_static("application/json"));
    if let Some(link) = link {
        response.headers_mut().insert(header::LINK, link);
    }
    response
}

fn question(query: &Query<'_>) -> Result<Question, Problem> {
    let invalid = |name: &'static str| {
        move |error: crate::stock::NameError| Problem::parameter(name, error.to_string())
    };
    let sku = query.get("sku").map(Sku::parse).transpose().map_err(invalid("sku"))?;
    let location = query.get("location").map(Location::parse).transpose().map_err(invalid("location"))?;
    let cursor = query.get("cursor");
    let after = query.get("after").map(parse_after).transpose()?;
    match (sku, after) {
        (Some(sku), None) => {
            let key = StockKey::new(sku, location.unwrap_or(Location::DEFAULT));
            Ok(Question::OfLevel { key, from: cursor.map(decode_before).transpose()? })
        }
        (sku, after) => {
            let text = |name: String| Some(name);
            let filter = MovementFilter {
                sku: sku.and_then(|sku| text(sku.to_string())),
                location: location.and_then(|location| text(location.to_string())),
            };
            let cursor = cursor.map(decode_seq).transpose()?;
            Ok(Question::After { seq: cursor.or(after).unwrap_or(0), filter })
        }
    }
}

fn problem(error: LedgerError) -> Problem {
    match error {
        LedgerError::NotKept => Problem::ledger_not_kept(),
        LedgerError::History(HistoryError::Cursor) => not_a_cursor(),
        LedgerError::History(HistoryError::Compacted) => {
            Problem::new(Kind::HistoryCompacted, "that part of the ledger was dropped")
        }
        LedgerError::History(error) => Problem::new(Kind::InternalError, error.to_string()),
        LedgerError::Obstacle(obstacle) => obstacle.into(),
    }
}

fn parse_limit(text: &str) -> Result<usize, Problem> {
    let limit = text.parse().ok().filter(|limit| (1..=LIMIT_MAX).contains(limit));
    limit.ok_or_else(|| Problem::parameter("limit", format!("must be an integer from 1 to {LIMIT_MAX}")))
}

fn parse_after(text: &str) -> Result<u64, Problem> {
    text.parse().map_err(|_| Problem::parameter("after", "must be the number of a movement, or 0"))
}

/// A place in a level's history: position and version, eight bytes each.
fn encode_before(before: Before) -> String {
    let (position, version) = (before.position.to_be_bytes(), before.version.to_be_bytes());
    URL_SAFE_NO_PAD.encode([position, version].concat())
}

fn decode_before(cursor: &str) -> Result<Before, Problem> {
    let [position, version] = decode_numbers(cursor)?;
    Ok(Before { position, version })
}

fn decode_seq(cursor: &str) -> Result<u64, Problem> {
    let [seq] = decode_numbers(cursor)?;
    Ok(seq)
}

fn decode_numbers<const N: usize>(cursor: &str) -> Result<[u64; N], Problem> {
    let bytes = URL_SAFE_NO_PAD.decode(cursor).map_err(|_| not_a_cursor())?;
    let (numbers, rest) = bytes.as_chunks::<8>();
    let numbers: Option<[[u8; 8]; N]> = numbers.try_into().ok().filter(|_| rest.is_empty());
    Ok(numbers.ok_or_else(not_a_cursor)?.map(u64::from_be_bytes))
}

fn not_a_cursor() -> Problem {
    Problem::parameter("cursor", "must be the next_cursor of an earlier page")
}

/// The same request with the next cursor. Everything in it is visible ASCII that needs no escaping.
fn link(query: &Query<'_>, cursor: &str, limit: usize) -> HeaderValue {
    let mut link = format!("</v1/movements?limit={limit}&cursor={cursor}");
    for name in ["sku", "location", "after"] {
        if let Some(value) = query.get(name) {
            link = format!("{link}&{name}={value}");
        }
    }
    link.push_str(">; rel=\"next\"");
    HeaderValue::try_from(link).expect("names and cursors are visible ASCII")
}
