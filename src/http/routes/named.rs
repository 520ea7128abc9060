//! What reservations and orders have in common: a name in the path, answers in JSON, pages that go on after a name.

use std::str::FromStr;

use axum::extract::RawPathParams;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use serde::Serialize;

use super::answer;
use crate::http::problem::Problem;
use crate::stock::Id;

/// The name in the path.
pub(super) fn id<Of>(path: &RawPathParams) -> Result<Id<Of>, Problem> {
    let text = path.iter().find(|(name, _)| *name == "id").map_or("", |(_, id)| id);
    Id::parse(text).ok_or_else(|| Problem::parameter("id", "must be a UUID in lower case, as it was told"))
}

/// Where a page begins: after what is named.
pub(super) struct After<Of>(pub(super) Id<Of>);

impl<Of> FromStr for After<Of> {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Id::parse(text).map(Self).ok_or("must be the next_cursor of an earlier page")
    }
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
        let link = HeaderValue::try_from(format!("<{next}>; rel=\"next\""));
        let link = link.expect("names and cursors are visible ASCII");
        response.headers_mut().insert(header::LINK, link);
    }
    response
}

/// The same answer, which says where that is.
pub(super) fn at(mut response: Response, path: String) -> Response {
    let path = HeaderValue::try_from(path).expect("a UUID is visible ASCII");
    response.headers_mut().insert(header::LOCATION, path);
    response
}
