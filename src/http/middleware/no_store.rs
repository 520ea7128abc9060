//! Says of every answer that nobody may keep it, unless it says itself that it may be kept.
//!
//! An answer without a word about that may be kept by whoever passes it on (RFC 9111, section 4.2.2), and then a read shows a level
//! that was changed since: an answer of the state has to come from here each time (P5). `no-store` rather than `no-cache`: a cache that waits for
//! an answer on behalf of several who asked may give it to all of them, also to those who asked after a change that it does not show; what must
//! not be stored it may not (section 4). A client that keeps a level by itself asks with `If-None-Match` all the same.

use axum::http::HeaderValue;
use axum::http::header::CACHE_CONTROL;
use axum::response::Response;

const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

/// The answer, which nobody may keep that it does not allow to.
pub fn no_store(mut answer: Response) -> Response {
    answer.headers_mut().entry(CACHE_CONTROL).or_insert(NO_STORE);
    answer
}
