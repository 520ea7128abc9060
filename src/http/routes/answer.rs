//! Answers, as the routes write them.

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;

use crate::http::dto::{StockLevel, WriteJson};
use crate::stock::{Level, StockKey};

/// A JSON answer of 200. `bytes` is about how long it gets.
pub(super) fn json(answer: &impl WriteJson, bytes: usize) -> Response {
    let mut body = Vec::with_capacity(bytes);
    answer.write_json(&mut body);
    typed(body, HeaderValue::from_static("application/json"))
}

/// An answer of 200 with that type.
pub(super) fn typed(body: impl Into<Body>, content_type: HeaderValue) -> Response {
    let mut response = Response::new(body.into());
    response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    response
}

/// A level, with its entity tag.
pub(super) fn level(status: StatusCode, key: &StockKey, level: Level) -> Response {
    let mut response = json(&StockLevel::new(key, level), StockLevel::JSON_BYTES);
    *response.status_mut() = status;
    response.headers_mut().insert(header::ETAG, etag(level));
    response
}

/// No body, only an entity tag.
pub(super) fn empty(status: StatusCode, level: Level) -> Response {
    let mut response = Response::default();
    *response.status_mut() = status;
    response.headers_mut().insert(header::ETAG, etag(level));
    response
}

/// The version in quotes.
fn etag(level: Level) -> HeaderValue {
    let mut digits = itoa::Buffer::new();
    let version = digits.format(level.version()).as_bytes();
    let mut tag = [b'"'; 2 + 20];
    tag[1..=version.len()].copy_from_slice(version);
    HeaderValue::from_bytes(&tag[..version.len() + 2]).expect("digits and quotes are visible ASCII")
}
