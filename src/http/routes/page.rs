//! `/v1/stock`: levels in pages.

use axum::http::{HeaderValue, Uri, header};
use axum::response::Response;

use super::address::{self, encoded};
use super::answer;
use crate::http::dto::{PageAnswer, StockLevel};
use crate::http::extract::{Page, Query, Service};
use crate::http::problem::Problem;
use crate::stock::{Location, Sku};
use crate::store::{LevelCursor, LevelQuery, Store as _};

/// List stock levels
///
/// Ascending by sku, then location. Each level is current when it is read, and a level whose creation was answered
/// before the walk began, and that is not deleted meanwhile, is in exactly one page; a page is not a snapshot of all. A page looks at 10 000 levels at most, so a filter may leave it
/// short, or empty, although `next_cursor` says that there is more.
#[utoipa::path(
    get, path = "/v1/stock", tag = "stock", operation_id = "listStock",
    params(
        ("limit" = Option<usize>, Query, description = "How many levels at most: 1 to 1000, 100 where left out", minimum = 1, maximum = 1000),
        ("cursor" = Option<String>, Query, description = "Where to go on: `next_cursor` of the page before"),
        ("location" = Option<String>, Query, description = "Only levels at this location", max_length = 32),
        ("sku" = Option<String>, Query, description = "Only levels of this sku: every location of it", max_length = 64),
        ("sku_prefix" = Option<String>, Query, description = "Only levels whose sku starts so, character by character; it may end with a space", max_length = 64),
    ),
    responses(
        (status = 200, description = "A page", body = PageAnswer<'static>,
         headers(("Link" = String, description = "`rel=\"next\"`: the next page, where there is one"))),
        (status = 422, description = "`validation-failed`", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "`contention`, `overloaded`, `journal-unavailable`, `store-unavailable`, `not-ready`, `request-timeout`", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn list(Service(store): Service, uri: Uri) -> Result<Response, Problem> {
    let query = Query::parse(&uri, &["limit", "cursor", "location", "sku", "sku_prefix"])?;
    let Page { limit, cursor: after } = query.page::<LevelCursor>()?;
    let location = query.read("location", Location::parse)?;
    let sku = query.read("sku", Sku::parse)?;
    let sku_prefix = query.read("sku_prefix", Sku::parse_prefix)?.unwrap_or_default();

    let (sku, location) = (sku.as_ref(), location.as_ref());
    let wanted = LevelQuery { sku, sku_prefix: &sku_prefix, location, after: after.as_ref(), limit };
    // Before any level is read.
    let event_cursor = store.feed_end().to_string();
    let page = store.list(wanted).await?;
    let items = page.levels.iter().map(|(key, level)| StockLevel::new(key, *level)).collect();
    let next_cursor = page.next.as_ref().map(LevelCursor::to_string);
    let link = next_cursor.as_ref().map(|cursor| link(&query, cursor, limit));
    let bytes = StockLevel::JSON_BYTES * (page.levels.len() + 1);
    let mut response = answer::json(&PageAnswer { items, next_cursor, event_cursor }, bytes);
    if let Some(link) = link {
        response.headers_mut().insert(header::LINK, link);
    }
    Ok(response)
}

/// The same request with the next cursor: every other value comes back as it was sent.
fn link(query: &Query<'_>, cursor: &str, limit: usize) -> HeaderValue {
    let mut link = format!("/v1/stock?limit={limit}&cursor={cursor}");
    for name in ["location", "sku", "sku_prefix"] {
        if let Some(value) = query.get(name) {
            link = format!("{link}&{name}={}", encoded(value));
        }
    }
    address::next(&link)
}
