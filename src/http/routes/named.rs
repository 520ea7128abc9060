//! What reservations and orders have in common: a name in the path, answers in JSON, pages that go on after a name.

use std::str::FromStr;

use axum::http::{HeaderValue, StatusCode, Uri, header};
use axum::response::Response;
use serde::Serialize;

use super::{address, answer};
use crate::http::extract::{Page, PathParams, Query};
use crate::http::problem::Problem;
use crate::stock::Id;

/// The name in the path.
pub(super) fn id<Of>(path: &PathParams) -> Result<Id<Of>, Problem> {
    Id::parse(path.name("id"))
        .ok_or_else(|| Problem::parameter("id", "must be a UUID in lower case, as it was told"))
}

/// A page that is asked for: of what is in that state, or in any.
pub(super) struct Asked<Of, S> {
    pub(super) limit: usize,
    pub(super) after: Option<Id<Of>>,
    pub(super) state: Option<S>,
}

/// Where a page begins: after what is named.
struct After<Of>(Id<Of>);

impl<Of> FromStr for After<Of> {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Id::parse(text).map(Self).ok_or("must be the next_cursor of an earlier page")
    }
}

impl<Of, S> Asked<Of, S> {
    /// What the parameters `limit`, `cursor` and `state` ask for; `state` reads that one.
    pub(super) fn parse(
        uri: &Uri,
        state: impl FnOnce(&str) -> Result<S, &'static str>,
    ) -> Result<Self, Problem> {
        let query = Query::parse(uri, &["limit", "cursor", "state"])?;
        let Page { limit, cursor } = query.page::<After<Of>>()?;
        let (after, state) = (cursor.map(|After(id)| id), query.read("state", state)?);
        Ok(Self { limit, after, state })
    }
}

/// Where the page after this one is: the path and query, of `limit` in the state of that name.
pub(super) fn next<Of>(path: &str, after: Id<Of>, limit: usize, state: Option<&str>) -> String {
    let state = state.map(|state| format!("&state={state}")).unwrap_or_default();
    format!("{path}?limit={limit}&cursor={after}{state}")
}

/// An answer in JSON.
pub(super) fn json(answer: &impl Serialize, status: StatusCode) -> Response {
    let body = serde_json::to_vec(answer).expect("an answer has string keys and plain values");
    let mut response = answer::typed(body, HeaderValue::from_static("application/json"));
    *response.status_mut() = status;
    response
}

/// A page, with a link to the next one, if there is one: that path and query.
pub(super) fn page(answer: &impl Serialize, next: Option<String>) -> Response {
    let mut response = json(answer, StatusCode::OK);
    if let Some(next) = next {
        response.headers_mut().insert(header::LINK, address::next(&next));
    }
    response
}

/// The same answer, which says where that is.
pub(super) fn at(mut response: Response, path: String) -> Response {
    response.headers_mut().insert(header::LOCATION, address::location(path));
    response
}
